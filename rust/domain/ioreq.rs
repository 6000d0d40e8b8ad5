// SPDX-License-Identifier: GPL-2.0-only

//! A domain's I/O request servers: their ports and pages, and who is told of what.
//!
//! The state and the rules are in [`crate::ioreq`]. Operations that allocate, close ports or change guest memory hold
//! `Domain::ioreq_control`; the servers themselves are behind `Domain::ioreq`, a spin lock that vCPUs take for each
//! access to a device.

use kernel::sync::Arc;

use super::hypervisor::Hypervisor;
use super::vcpu::request;
use super::{
    Domain,
    Identity, //
};
use crate::abi::errno::{
    Result,
    EINVAL,
    ENOMEM,
    ESRCH, //
};
use crate::abi::hvm::params;
use crate::abi::vm_event::EmulReadData;
use crate::evtchn::{
    topology,
    Closer,
    Consumer,
    Port,
    Reservation, //
};
use crate::hw::npt::P2mType;
use crate::hw::Exit;
use crate::ioreq::{
    Buffering,
    Creator,
    GfnPages,
    Server,
    Transfer, //
};
use crate::mm::p2m::Removed;
use crate::sys::alloc::{
    KBox,
    KVec,
    GFP_KERNEL, //
};
use crate::sys::atomic::{
    AtomicU64,
    Ordering, //
};
use crate::sys::page::{
    SharedPage,
    PAGE_SIZE, //
};

/// An instruction of a vCPU that waits for device models, or has been answered by them.
pub(crate) struct DeviceAccess {
    /// What is in flight, and what was answered.
    pub(crate) transfer: Transfer,
    /// The instruction, if it is to be carried out again.
    pub(crate) given_up: Option<GivenUp>,
}

/// How an instruction is carried out again, as far as a monitor has a say in it.
#[derive(Clone, Copy)]
#[allow(
    clippy::large_enum_variant,
    reason = "there is one for each vCPU, and what is given up must not depend on memory"
)]
pub(crate) enum Again {
    /// As any other.
    Checked,
    /// Without a look at the rights of pages.
    Unchecked,
    /// The same, and what it writes is dropped.
    WithoutWrites,
    /// The same, and this is what it reads.
    WithReads(EmulReadData),
}

/// An instruction that is to be carried out again.
pub(crate) struct GivenUp {
    /// Why it left the guest.
    pub(crate) exit: Exit,
    /// How it is to be carried out.
    pub(crate) again: Again,
    /// Its bytes, as they were then.
    pub(crate) bytes: [u8; 15],
    /// How many they are.
    pub(crate) len: usize,
}

impl DeviceAccess {
    /// Nothing waits.
    pub(crate) const fn new() -> Self {
        Self {
            transfer: Transfer::new(),
            given_up: None,
        }
    }

    /// Forgets the instruction, because the vCPU's state was replaced.
    pub(crate) fn forget(&mut self) {
        self.transfer.forget();
        self.given_up = None;
    }
}

/// Who makes servers through a descriptor of a tool. When the descriptor closes, the device model has ended: its
/// servers go with it.
pub(crate) struct ServerOwner {
    /// Tells it from every other descriptor, once it has made a server; 0 before.
    id: AtomicU64,
}

/// The next owner's number.
static NEXT_OWNER: AtomicU64 = AtomicU64::new(1);

impl ServerOwner {
    /// Has made no server.
    pub(crate) const fn new() -> Self {
        Self {
            id: AtomicU64::new(0),
        }
    }

    /// Its number, which it has from now on.
    pub(crate) fn claim(&self) -> u64 {
        let now = self.id.load(Ordering::Relaxed);
        if now != 0 {
            return now;
        }
        let new = NEXT_OWNER.fetch_add(1, Ordering::Relaxed);
        match self
            .id
            .compare_exchange(0, new, Ordering::Relaxed, Ordering::Relaxed)
        {
            Ok(_) => new,
            Err(now) => now,
        }
    }

    /// Its number, if it has ever made a server.
    pub(crate) fn id(&self) -> Option<u64> {
        match self.id.load(Ordering::Relaxed) {
            0 => None,
            id => Some(id),
        }
    }
}

impl Identity {
    /// The domain as one that makes servers.
    pub(crate) const fn creator(self) -> Creator {
        Creator {
            domid: self.id,
            serial: self.serial,
        }
    }
}

impl Domain {
    /// Whether accesses of the guest to devices have to be looked at: there are servers.
    #[inline]
    pub(crate) fn serves_io(&self) -> bool {
        self.serves_io.load(Ordering::Relaxed)
    }

    /// Whether an access to a port has to be looked at: somebody may serve it.
    #[inline]
    pub(crate) fn serves_port(&self, port: u16) -> bool {
        self.served_ports.may_have(port)
    }

    /// Notes what the exit path looks at, after a change of the servers.
    fn note_servers(&self) {
        let servers = self.ioreq.lock();
        self.serves_io.store(servers.any(), Ordering::Relaxed);
        self.served_ports.set(&servers.port_groups());
    }

    /// Gives a server a range.
    ///
    /// # Errors
    ///
    /// Those of [`Servers::map`](crate::ioreq::Servers::map).
    pub(crate) fn map_range(
        &self,
        creator: Creator,
        id: u16,
        type_: u32,
        range: (u64, u64),
        buffered: bool,
    ) -> Result {
        self.ioreq.lock().map(id, creator, type_, range, buffered)?;
        // Somebody may be waiting for this.
        self.servers_changed();
        Ok(())
    }

    /// Takes a range from a server.
    ///
    /// # Errors
    ///
    /// Those of [`Servers::unmap`](crate::ioreq::Servers::unmap).
    pub(crate) fn unmap_range(
        &self,
        creator: Creator,
        id: u16,
        type_: u32,
        range: (u64, u64),
    ) -> Result {
        self.ioreq.lock().unmap(id, creator, type_, range)?;
        self.note_servers();
        Ok(())
    }

    /// Makes vCPUs look at the servers again after a change of them.
    fn servers_changed(&self) {
        self.note_servers();
        for vcpu in self.vcpus() {
            vcpu.request(request::SERVERS);
        }
    }

    /// Makes a server (`XEN_DMOP_create_ioreq_server`) and returns its number.
    ///
    /// # Errors
    ///
    /// `ENOSPC` if there are as many as there can be or the guest has no port left, `ENOMEM`, `ESRCH` if the domain is
    /// dying.
    pub(crate) fn create_server(
        &self,
        hypervisor: &Hypervisor,
        creator: Creator,
        owner: u64,
        buffering: Buffering,
    ) -> Result<u16> {
        let _control = self.ioreq_control.lock();
        let count = self.config.max_vcpus as usize;
        let mut ports = KVec::with_capacity(count, GFP_KERNEL)?;
        let mut buffered = 0;
        let mut allocate = || -> Result {
            for vcpu in 0..self.config.max_vcpus {
                ports.push(self.server_port(vcpu, creator)?, GFP_KERNEL)?;
            }
            if buffering != Buffering::Off {
                buffered = self.server_port(0, creator)?;
            }
            Ok(())
        };
        if let Err(errno) = allocate() {
            self.close_ports(hypervisor, ports.iter().copied());
            return Err(errno);
        }
        let mut copy = KVec::with_capacity(count + 1, GFP_KERNEL)?;
        copy.extend_from_slice(&ports, GFP_KERNEL)?;
        if buffered != 0 {
            copy.push(buffered, GFP_KERNEL)?;
        }
        let undo = |errno| {
            self.close_ports(hypervisor, copy.iter().copied());
            errno
        };
        let server = Server::new(creator, owner, buffering, ports, buffered).map_err(undo)?;
        // Whoever destroys the domain empties the list with the mutex held, after it has said that it is dying.
        if self.life.lock().dying {
            return Err(undo(ESRCH));
        }
        let inserted = self.ioreq.lock().insert(server);
        let id = inserted.map_err(|(errno, server)| {
            drop(server);
            undo(errno)
        })?;
        self.servers_changed();
        Ok(id)
    }

    /// Allocates a port through which a vCPU and the model of a server tell each other.
    fn server_port(&self, vcpu: u32, creator: Creator) -> Result<Port> {
        let mut reservation = Reservation::new()?;
        let mut ports = self.ports().lock();
        ports.alloc_unbound_xen(vcpu, creator.domid, Consumer::Ioreq, &mut reservation)
    }

    fn close_ports(&self, hypervisor: &Hypervisor, ports: impl Iterator<Item = Port>) {
        let _connections = hypervisor.connections.lock();
        for port in ports {
            let _ = topology::close(hypervisor, self.id(), port, Closer::Xen);
        }
    }

    /// Destroys a server (`XEN_DMOP_destroy_ioreq_server`). What vCPUs wait for from it ends with all ones.
    ///
    /// # Errors
    ///
    /// `ENOENT` if there is none of that number, `EPERM` if another domain made it.
    pub(crate) fn destroy_server(
        &self,
        hypervisor: &Hypervisor,
        creator: Creator,
        id: u16,
    ) -> Result {
        let _control = self.ioreq_control.lock();
        let (server, had_frames) = {
            let mut servers = self.ioreq.lock();
            let had_frames = servers.memory_server() == Some(id);
            (servers.remove(id, creator)?, had_frames)
        };
        self.end_server(hypervisor, &server);
        if had_frames {
            self.release_frames();
        }
        self.servers_changed();
        Ok(())
    }

    /// Gives a server all frames of the type `HVMMEM_ioreq_server`, or takes them from it.
    ///
    /// # Errors
    ///
    /// `ENOENT`, `EPERM`; `EBUSY` if a server has them already, `EINVAL` to take them from one that has not.
    pub(crate) fn set_memory_type(&self, creator: Creator, id: u16, on: bool) -> Result {
        // Frames of a server that has gone are RAM before the next one gets any.
        let _control = self.ioreq_control.lock();
        self.ioreq.lock().set_memory_type(id, creator, on)
    }

    /// Makes frames RAM that a server had by their type, which has gone without giving them back.
    fn release_frames(&self) {
        let end = self.p2m.maximum_gfn().saturating_add(1);
        // Those that it fails for become RAM when they are written next.
        let _ = self
            .p2m
            .retype_all(0..end, P2mType::IoreqServer, P2mType::RamRw);
    }

    /// Makes a frame RAM that the guest writes to, if it is of the type that a server has but none has it now. Returns
    /// whether it was.
    pub(crate) fn released_frame(&self, gfn: u64) -> bool {
        let served = self.ioreq.lock().memory_server().is_some();
        let change = |now| match now {
            P2mType::IoreqServer => Ok(P2mType::RamRw),
            _ => Err(EINVAL),
        };
        !served && self.p2m.retype_ram(gfn, change).is_ok()
    }

    /// Gives back what a server had that was taken out of the list.
    fn end_server(&self, hypervisor: &Hypervisor, server: &Server) {
        if server.is_enabled() {
            self.give_pages_back(server);
        }
        self.close_ports(hypervisor, server.ports());
    }

    /// Ends the servers of a device model that has ended itself. Accesses to their ranges wait for another one.
    fn abandon_servers(&self, hypervisor: &Hypervisor, which: impl Fn(&Server) -> bool) {
        if !self.serves_io() {
            return;
        }
        let _control = self.ioreq_control.lock();
        let had_frames = self.ioreq.lock().memory_server();
        let mut changed = false;
        loop {
            let server = self.ioreq.lock().abandon(&which);
            let Some(server) = server else {
                break;
            };
            self.end_server(hypervisor, &server);
            changed = true;
        }
        if changed {
            if had_frames != self.ioreq.lock().memory_server() {
                self.release_frames();
            }
            self.servers_changed();
        }
    }

    /// Ends all servers, at the end of the domain. No vCPU of it runs any more.
    pub(super) fn end_servers(&self) {
        let _control = self.ioreq_control.lock();
        loop {
            // The ports are closed with all others.
            let server: Option<KBox<Server>> = self.ioreq.lock().drain();
            if server.is_none() {
                break;
            }
        }
        let held = self.ioreq.lock().release_held();
        drop(held);
        self.note_servers();
    }

    /// Switches a server on or off (`XEN_DMOP_set_ioreq_server_state`). Pages of the guest that it uses are taken from
    /// the guest while it is on.
    ///
    /// # Errors
    ///
    /// `ENOENT`, `EPERM`; `EINVAL` if the guest has put other pages in place of those; `ENOMEM`.
    pub(crate) fn enable_server(&self, creator: Creator, id: u16, enabled: bool) -> Result {
        let _control = self.ioreq_control.lock();
        let (was, pages) = {
            let mut servers = self.ioreq.lock();
            let server = servers.get(id, creator)?;
            (server.is_enabled(), server.gfn_pages())
        };
        if was == enabled {
            return Ok(());
        }
        if enabled {
            self.take_pages(&pages)?;
        }
        self.ioreq.lock().get(id, creator)?.set_enabled(enabled);
        if !enabled {
            for (gfn, page) in pages.iter().flatten() {
                self.give_page_back(*gfn, page);
            }
        }
        self.servers_changed();
        Ok(())
    }

    /// Takes pages out of the guest's memory, all or none, and clears them.
    fn take_pages(&self, pages: &[Option<(u64, SharedPage)>; 2]) -> Result {
        let mut removed = Removed::with_capacity(pages.len())?;
        let mut result = Ok(());
        for (done, (gfn, page)) in pages.iter().flatten().enumerate() {
            let there = self
                .p2m
                .lookup(*gfn)
                .is_some_and(|leaf| leaf.ty == P2mType::RamRw && leaf.mfn == page.mfn());
            result = if there {
                self.p2m.remove(*gfn, &mut removed)
            } else {
                Err(EINVAL)
            };
            if result.is_err() {
                for (gfn, page) in pages.iter().flatten().take(done) {
                    self.give_page_back(*gfn, page);
                }
                break;
            }
        }
        // The guest cannot reach them any more.
        self.release(removed);
        if result.is_ok() {
            for (_, page) in pages.iter().flatten() {
                clear(page);
            }
        }
        result
    }

    fn give_pages_back(&self, server: &Server) {
        for (gfn, page) in server.gfn_pages().iter().flatten() {
            self.give_page_back(*gfn, page);
        }
    }

    /// Puts a page back that was taken from the guest. If its place or its allotment was used otherwise meanwhile, the
    /// guest has given it up.
    fn give_page_back(&self, gfn: u64, page: &SharedPage) {
        clear(page);
        if self
            .p2m
            .lookup(gfn)
            .is_some_and(|leaf| leaf.ty != P2mType::Invalid)
        {
            return;
        }
        if let Ok(mut removed) = Removed::with_capacity(1) {
            let page = page.page().clone();
            let _ = self.p2m.insert(gfn, page, P2mType::RamRw, &mut removed);
            self.release(removed);
        }
    }

    /// Finds the pages of the guest that a server is to use, unless it has pages
    /// (`XEN_DMOP_get_ioreq_server_info` without `XEN_DMOP_no_gfns`).
    ///
    /// # Errors
    ///
    /// - `ENOENT`; `EPERM`, also if the server has pages of its own.
    /// - `ENOMEM` if the tools have set no frames aside for servers, or all are in use.
    /// - `EINVAL` if there is no RAM at such a frame.
    pub(crate) fn use_gfns(&self, creator: Creator, id: u16) -> Result {
        let _control = self.ioreq_control.lock();
        let Some(buffered) = self.ioreq.lock().get(id, creator)?.gfns_needed()? else {
            return Ok(());
        };
        let sync = self.server_gfn(None)?;
        let buffered = if buffered {
            Some(self.server_gfn(Some(sync.0))?)
        } else {
            None
        };
        self.ioreq
            .lock()
            .get(id, creator)?
            .give_gfns(GfnPages { sync, buffered });
        Ok(())
    }

    /// Finds a guest frame that was set aside for servers and that none uses, and its page.
    fn server_gfn(&self, but: Option<u64>) -> Result<(u64, SharedPage)> {
        let (base, count, legacy) = {
            let params = self.params().lock();
            let get = |index| params.get(index).unwrap_or(0);
            (
                get(params::IOREQ_SERVER_PFN),
                get(params::NR_IOREQ_SERVER_PAGES).min(64),
                [get(params::IOREQ_PFN), get(params::BUFIOREQ_PFN)],
            )
        };
        let legacy = legacy.into_iter().filter(|gfn| *gfn != 0);
        let gfn = {
            let servers = self.ioreq.lock();
            (0..count)
                .filter_map(|index| base.checked_add(index))
                .chain(legacy)
                .find(|gfn| Some(*gfn) != but && !servers.uses_gfn(*gfn))
                .ok_or(ENOMEM)?
        };
        let leaf = self.p2m.lookup(gfn).ok_or(EINVAL)?;
        if leaf.ty != P2mType::RamRw {
            return Err(EINVAL);
        }
        let page = self.p2m.get_own(gfn, true).map_err(|_| EINVAL)?;
        Ok((gfn, SharedPage::new(page)))
    }

    /// Frames of a server as `XENMEM_acquire_resource` numbers them, from `first` on, made if there are none yet (I-2).
    /// `each` gets them in order.
    ///
    /// # Errors
    ///
    /// - `ENOENT` if there is no such server, or the frame is of buffered requests and the server takes none.
    /// - `EPERM` if another domain made it, or it uses pages of the guest.
    /// - `EINVAL` for a frame that there is not; `ENOMEM`.
    pub(crate) fn server_frames(
        &self,
        creator: Creator,
        id: u16,
        first: u64,
        count: u32,
        mut each: impl FnMut(SharedPage) -> Result,
    ) -> Result {
        {
            let _control = self.ioreq_control.lock();
            let need = self.ioreq.lock().get(id, creator)?.frames_needed()?;
            let mut pages = KVec::with_capacity(need, GFP_KERNEL)?;
            for _ in 0..need {
                pages.push(SharedPage::zeroed()?, GFP_KERNEL)?;
            }
            self.ioreq.lock().get(id, creator)?.give_frames(&mut pages);
        }
        for index in 0..u64::from(count) {
            let at = first.checked_add(index).ok_or(EINVAL)?;
            let page = self.ioreq.lock().get(id, creator)?.frame(at)?;
            each(page)?;
        }
        Ok(())
    }
}

/// Clears a page that others may be writing.
fn clear(page: &SharedPage) {
    page.page().write(0, &[0; PAGE_SIZE]);
}

impl Hypervisor {
    /// Ends the servers that were made through a descriptor which has closed.
    pub(crate) fn abandon_servers_of(&self, owner: u64) {
        self.each_domain(|domain| {
            domain.abandon_servers(self, |server| server.owner() == owner);
        });
    }

    /// Ends the servers that a domain which has ended made for others.
    pub(super) fn abandon_servers_by(&self, domain: &Domain) {
        let creator = domain.identity().creator();
        self.each_domain(|domain| {
            domain.abandon_servers(self, |server| server.creator() == creator);
        });
    }

    fn each_domain(&self, f: impl Fn(&Arc<Domain>)) {
        let mut next = 1;
        while let Some(domain) = self.domain_from(next) {
            next = domain.id() + 1;
            f(&domain);
            crate::sys::irq::cond_resched();
        }
    }

    /// Notifies the device model at the other end of a port of `domain`.
    pub(crate) fn notify_model(&self, domain: &Domain, port: Port) {
        let send = domain.ports().lock().send_from_xen(port);
        topology::deliver(self, domain.id(), send);
    }
}
