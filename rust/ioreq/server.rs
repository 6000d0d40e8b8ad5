// SPDX-License-Identifier: GPL-2.0-only

//! One I/O request server.

use super::range::Ranges;
use super::request::{
    Kind,
    Request, //
};
use super::ring::{
    Pushed,
    Ring, //
};
use super::slot::Slot;
use crate::abi::dm_op::{
    BUFIOREQ_ATOMIC,
    BUFIOREQ_LEGACY,
    BUFIOREQ_OFF,
    IO_RANGE_MEMORY,
    IO_RANGE_PCI,
    IO_RANGE_PORT, //
};
use crate::abi::errno::{
    Result,
    EINVAL,
    ENOENT,
    EPERM, //
};
use crate::abi::memory::{
    RESOURCE_IOREQ_SERVER_FRAME_BUFIOREQ,
    RESOURCE_IOREQ_SERVER_FRAME_IOREQ, //
};
use crate::sys::alloc::{
    KBox,
    KVec,
    GFP_KERNEL_ACCOUNT, //
};
use crate::sys::page::SharedPage;

/// Kinds of ranges.
pub(super) const KINDS: usize = 3;

/// Which domain made a server: the number and what tells it from a later one of that number.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Creator {
    /// Its number.
    pub(crate) domid: u16,
    /// Never used again.
    pub(crate) serial: u64,
}

/// Whether a server takes writes that nobody waits for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Buffering {
    /// No.
    Off,
    /// Yes; the model does not change its pointer atomically.
    Legacy,
    /// Yes; the model changes its pointer atomically.
    Atomic,
}

impl Buffering {
    /// Reads `handle_bufioreq` of `XEN_DMOP_create_ioreq_server`.
    ///
    /// # Errors
    ///
    /// `EINVAL`.
    pub(crate) const fn from_raw(raw: u8) -> Result<Self> {
        match raw {
            BUFIOREQ_OFF => Ok(Self::Off),
            BUFIOREQ_LEGACY => Ok(Self::Legacy),
            BUFIOREQ_ATOMIC => Ok(Self::Atomic),
            _ => Err(EINVAL),
        }
    }
}

/// Pages of the guest's own memory that a server uses, with their guest frames.
pub(crate) struct GfnPages {
    /// For synchronous requests.
    pub(crate) sync: (u64, SharedPage),
    /// For buffered ones, if the server takes them.
    pub(crate) buffered: Option<(u64, SharedPage)>,
}

/// Where a server's pages come from. The two ways exclude each other.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Way {
    /// There are none yet.
    None,
    /// `XENMEM_acquire_resource`: pages that are never in the guest's memory (I-2).
    Frames,
    /// `XEN_DMOP_get_ioreq_server_info`: pages of the guest, which has them while the server is off.
    Gfns {
        /// That of synchronous requests.
        sync: u64,
        /// That of buffered requests, if there are any.
        buffered: Option<u64>,
    },
}

/// The port to notify of a request that was buffered, if the model must be told.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Notify(pub(crate) Option<u32>);

/// An I/O request server.
pub(crate) struct Server {
    /// Tells it from another server with its number, earlier or later. Set when it gets its number.
    pub(super) serial: u64,
    creator: Creator,
    /// The descriptor that made it, or 0.
    owner: u64,
    buffering: Buffering,
    enabled: bool,
    way: Way,
    sync: Option<SharedPage>,
    buffered: Option<SharedPage>,
    ring: Ring,
    /// Each vCPU's port.
    ports: KVec<u32>,
    buffered_port: u32,
    ranges: [Ranges; KINDS],
}

impl Server {
    /// Makes a server that is off and has no ranges. `ports` are the vCPUs' ports in order; `buffered_port` is one more
    /// if it takes buffered requests. May sleep.
    ///
    /// # Errors
    ///
    /// `ENOMEM`.
    pub(crate) fn new(
        creator: Creator,
        owner: u64,
        buffering: Buffering,
        ports: KVec<u32>,
        buffered_port: u32,
    ) -> Result<KBox<Self>> {
        let server = Self {
            serial: 0,
            creator,
            owner,
            buffering,
            enabled: false,
            way: Way::None,
            sync: None,
            buffered: None,
            ring: Ring::NEW,
            ports,
            buffered_port,
            ranges: [Ranges::new()?, Ranges::new()?, Ranges::new()?],
        };
        Ok(KBox::new(server, GFP_KERNEL_ACCOUNT)?)
    }

    /// Returns who made it.
    pub(crate) fn creator(&self) -> Creator {
        self.creator
    }

    /// Returns the descriptor that made it, or 0.
    pub(crate) fn owner(&self) -> u64 {
        self.owner
    }

    /// Returns the ports that are its own, to be closed when it has gone.
    pub(crate) fn ports(&self) -> impl Iterator<Item = u32> + '_ {
        let buffered = (self.buffering != Buffering::Off).then_some(self.buffered_port);
        self.ports.iter().copied().chain(buffered)
    }

    /// Returns the port of buffered requests, if the server takes them.
    pub(crate) fn buffered_port(&self) -> Option<u32> {
        (self.buffering != Buffering::Off).then_some(self.buffered_port)
    }

    /// Returns whether it takes requests.
    pub(crate) fn is_enabled(&self) -> bool {
        self.enabled
    }

    /// Returns whether a request for a vCPU can be put somewhere.
    pub(super) fn is_ready(&self) -> bool {
        self.enabled && self.sync.is_some()
    }

    /// Switches it on or off. The guest's own pages must have been taken from it before, or given back after.
    pub(crate) fn set_enabled(&mut self, enabled: bool) {
        self.enabled = enabled;
        self.publish_ports();
    }

    /// Tells the model its ports.
    fn publish_ports(&self) {
        let Some(page) = self.sync.as_ref().filter(|_| self.enabled) else {
            return;
        };
        for (vcpu, port) in (0u32..).zip(self.ports.iter()) {
            if let Some(slot) = Slot::of(page, vcpu) {
                slot.set_port(*port);
            }
        }
    }

    // Pages.

    /// Returns how many pages are to be allocated before a frame can be acquired.
    ///
    /// # Errors
    ///
    /// `EPERM` if the server uses pages of the guest.
    pub(crate) fn frames_needed(&self) -> Result<usize> {
        match (self.way, self.buffering) {
            (Way::Gfns { .. }, _) => Err(EPERM),
            (Way::Frames, _) => Ok(0),
            (Way::None, Buffering::Off) => Ok(1),
            (Way::None, _) => Ok(2),
        }
    }

    /// Gives the server the zeroed pages that it needs; without effect if it has pages.
    pub(crate) fn give_frames(&mut self, pages: &mut KVec<SharedPage>) {
        if self.frames_needed() != Ok(pages.len()) || pages.is_empty() {
            return;
        }
        self.sync = pages.pop();
        self.buffered = pages.pop();
        self.way = Way::Frames;
        self.publish_ports();
    }

    /// Returns a frame of the server as `XENMEM_acquire_resource` numbers them.
    ///
    /// # Errors
    ///
    /// - `ENOENT` for that of buffered requests if the server takes none.
    /// - `EINVAL` for a frame that there is not.
    /// - `EPERM` if the server has no pages of its own.
    pub(crate) fn frame(&self, index: u64) -> Result<SharedPage> {
        if self.way != Way::Frames {
            return Err(EPERM);
        }
        // CAST: both widen.
        const BUFFERED: u64 = RESOURCE_IOREQ_SERVER_FRAME_BUFIOREQ as u64;
        const SYNC: u64 = RESOURCE_IOREQ_SERVER_FRAME_IOREQ as u64;
        match index {
            BUFFERED => self.buffered.clone().ok_or(ENOENT),
            SYNC => self.sync.clone().ok_or(EINVAL),
            _ => Err(EINVAL),
        }
    }

    /// Returns whether pages of the guest have to be found for the server, and if so whether for buffered requests too.
    ///
    /// # Errors
    ///
    /// `EPERM` if the server has pages of its own.
    pub(crate) fn gfns_needed(&self) -> Result<Option<bool>> {
        match self.way {
            Way::Frames => Err(EPERM),
            Way::Gfns { .. } => Ok(None),
            Way::None => Ok(Some(self.buffering != Buffering::Off)),
        }
    }

    /// Gives the server pages of the guest.
    pub(crate) fn give_gfns(&mut self, pages: GfnPages) {
        if self.way != Way::None {
            return;
        }
        self.way = Way::Gfns {
            sync: pages.sync.0,
            buffered: pages.buffered.as_ref().map(|(gfn, _)| *gfn),
        };
        self.sync = Some(pages.sync.1);
        self.buffered = pages.buffered.map(|(_, page)| page);
        self.publish_ports();
    }

    /// Returns the guest frames of the server: that of synchronous requests, and that of buffered ones.
    pub(crate) fn gfns(&self) -> Option<(u64, Option<u64>)> {
        match self.way {
            Way::Gfns { sync, buffered } => Some((sync, buffered)),
            _ => None,
        }
    }

    /// Returns the guest's own pages that the server uses, with their frames.
    pub(crate) fn gfn_pages(&self) -> [Option<(u64, SharedPage)>; 2] {
        let Way::Gfns { sync, buffered } = self.way else {
            return [None, None];
        };
        [
            self.sync.clone().map(|page| (sync, page)),
            buffered.zip(self.buffered.clone()),
        ]
    }

    /// Returns the page of synchronous requests, with the port of a vCPU.
    pub(super) fn sync(&self, vcpu: u32) -> Option<(&SharedPage, u32)> {
        // CAST: widens.
        let port = self.ports.get(vcpu as usize)?;
        Some((self.sync.as_ref()?, *port))
    }

    /// Buffers a request; returns the port to notify.
    ///
    /// `None` says that it has to be sent another way: it does not fit in a slot, there is no room (I-7), or the server
    /// has no page for it.
    pub(super) fn buffer(&mut self, request: &Request) -> Option<Notify> {
        let page = self.buffered.as_ref().filter(|_| self.enabled)?;
        let atomic = self.buffering == Buffering::Atomic;
        match self.ring.push(page, atomic, request) {
            Pushed::Done => Some(Notify(None)),
            Pushed::Tell => Some(Notify(Some(self.buffered_port))),
            Pushed::Retry | Pushed::Unfit => None,
        }
    }

    // Ranges.

    /// Returns the set of ranges of a type of `XEN_DMOP_map_io_range_to_ioreq_server`.
    ///
    /// # Errors
    ///
    /// `EINVAL`.
    fn set(&mut self, type_: u32) -> Result<&mut Ranges> {
        let [ports, memory, pci] = &mut self.ranges;
        match type_ {
            IO_RANGE_PORT => Ok(ports),
            IO_RANGE_MEMORY => Ok(memory),
            IO_RANGE_PCI => Ok(pci),
            _ => Err(EINVAL),
        }
    }

    /// Gives the server a range; `buffered` says that writes to it are buffered.
    ///
    /// # Errors
    ///
    /// `EINVAL`, `EEXIST` if the server has a part of it, `ENOMEM` for too many.
    pub(super) fn add_range(&mut self, type_: u32, start: u64, end: u64, buffered: bool) -> Result {
        if buffered && (self.buffering == Buffering::Off || type_ == IO_RANGE_PCI) {
            return Err(EINVAL);
        }
        self.set(type_)?.add(start, end, buffered)
    }

    /// Takes a range from the server.
    ///
    /// # Errors
    ///
    /// `EINVAL`, `ENOENT` if the server does not have all of it, `ENOMEM` for too many.
    pub(super) fn remove_range(&mut self, type_: u32, start: u64, end: u64) -> Result {
        self.set(type_)?.remove(start, end)
    }

    /// Returns `None` unless all of an access is the server's, and then whether it is to be buffered.
    pub(super) fn claims(&self, request: &Request) -> Option<bool> {
        claims(&self.ranges, request)
    }

    /// Takes the ranges of a server that goes.
    pub(super) fn move_ranges(&mut self, into: &mut [Ranges; KINDS]) {
        for (to, from) in into.iter_mut().zip(self.ranges.iter_mut()) {
            core::mem::swap(to, from);
        }
    }

    /// Returns the ranges of ports.
    pub(super) fn port_ranges(&self) -> &Ranges {
        let [ports, ..] = &self.ranges;
        ports
    }

    /// Returns the ranges.
    pub(super) fn ranges(&mut self) -> &mut [Ranges; KINDS] {
        &mut self.ranges
    }
}

/// Returns `None` unless all of an access is in one of the sets, and then whether it is to be buffered.
pub(super) fn claims(ranges: &[Ranges; KINDS], request: &Request) -> Option<bool> {
    let [ports, memory, pci] = ranges;
    let last = request.last()?;
    let buffered = match request.kind {
        Kind::Port => ports.covers(request.addr, last),
        Kind::Memory => memory.covers(request.addr, last),
        Kind::PciConfig => pci.covers(request.addr >> 32, request.addr >> 32),
        Kind::Invalidate => None,
    }?;
    Some(buffered && !request.read)
}
