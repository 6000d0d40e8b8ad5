// SPDX-License-Identifier: GPL-2.0-only

//! The FIFO ABI: an event array of one word per port, and per vCPU a control block with 16 queue
//! heads.

use super::{
    channel::{
        Channel,
        QueueId,
        DEFAULT_PRIORITY, //
    },
    link::{
        self,
        Memory,
        Tails,
        LINKED,
        MASKED,
        PENDING, //
    },
    ports::{
        Abi,
        Ports, //
    },
    two_level::{
        Bits,
        Raised, //
    },
    types::{
        Delivery,
        Port,
        VcpuSet,
        Wake,
        FIFO_PORTS, //
    },
    vcpu_info::VcpuInfo,
    word::Word,
};
use crate::abi::{
    errno::{
        Result,
        EACCES,
        EINVAL,
        ENOENT,
        ENOMEM,
        ENOSPC,
        ENOSYS,
        EOPNOTSUPP, //
    },
    event_channel::{
        FIFO_CONTROL_HEAD,
        FIFO_CONTROL_READY,
        FIFO_CONTROL_SIZE,
        FIFO_EVENT_WORD_SIZE,
        FIFO_PRIORITY_MIN, //
    },
};
use crate::sys::{
    alloc::{
        KVec,
        GFP_KERNEL_ACCOUNT, //
    },
    page::{
        SharedPage,
        PAGE_SIZE, //
    },
};
use core::sync::atomic::AtomicU32;

/// Event words in a page.
const PER_PAGE: u32 = (PAGE_SIZE / FIFO_EVENT_WORD_SIZE) as u32;

/// Pages of a full event array.
const MAX_PAGES: usize = (FIFO_PORTS / PER_PAGE) as usize;

/// A vCPU's control block.
struct Control {
    page: SharedPage,
    offset: usize,
}

/// The pages that the guest has given.
struct Pages {
    array: KVec<SharedPage>,
    controls: KVec<Option<Control>>,
}

impl Memory for Pages {
    type Word = AtomicU32;

    fn event(&self, port: Port) -> Option<&AtomicU32> {
        self.array
            .get((port / PER_PAGE) as usize)?
            .word32((port % PER_PAGE) as usize * FIFO_EVENT_WORD_SIZE)
    }

    fn control(&self, queue: QueueId) -> Option<(&AtomicU32, &AtomicU32)> {
        let control = self.controls.get(queue.vcpu as usize)?.as_ref()?;
        let word = |at| control.page.word32(control.offset.checked_add(at)?);

        Some((
            word(FIFO_CONTROL_READY)?,
            word(FIFO_CONTROL_HEAD + usize::from(queue.priority) * 4)?,
        ))
    }
}

/// The FIFO ABI's part of a domain's channels.
pub(super) struct Fifo {
    pages: Pages,
    tails: Tails,
}

impl Fifo {
    fn has(&self, port: Port, bit: u32) -> Option<bool> {
        self.pages.event(port).map(|word| word.get() & bit != 0)
    }

    /// Returns whether the port is pending, or `None` if it has no word yet.
    pub(super) fn is_pending(&self, port: Port) -> Option<bool> {
        self.has(port, PENDING)
    }

    /// Returns whether the port is masked, or has no word yet.
    pub(super) fn is_masked(&self, port: Port) -> bool {
        self.has(port, MASKED).unwrap_or(true)
    }

    /// Returns whether the port is on a queue.
    pub(super) fn is_linked(&self, port: Port) -> bool {
        self.has(port, LINKED).unwrap_or(false)
    }

    /// Makes the port not pending. It stays on its queue: the guest takes it off and sees nothing
    /// to do.
    pub(super) fn clear_pending(&self, port: Port) {
        if let Some(word) = self.pages.event(port) {
            word.clear(PENDING);
        }
    }

    /// Makes the port pending, and queues it if the guest has not masked it. Without a word for it
    /// the event is kept until there is one.
    pub(super) fn raise(
        &mut self,
        channel: &mut Channel,
        port: Port,
        info: Option<&VcpuInfo>,
    ) -> Raised {
        let to = queue_of(channel);
        let raised = link::raise(&self.pages, &mut self.tails, port, &mut channel.queue, to);

        match raised {
            Some(raised) => Raised {
                fresh: raised.fresh,
                upcall: raised.upcall && info.is_some_and(VcpuInfo::mark),
            },
            None => {
                channel.latched = true;
                Raised::default()
            }
        }
    }

    /// Unmasks the port, and queues it if it is pending; returns whether the upcall went from clear
    /// to set.
    pub(super) fn unmask(
        &mut self,
        channel: &mut Channel,
        port: Port,
        info: Option<&VcpuInfo>,
    ) -> bool {
        let to = queue_of(channel);

        link::unmask(&self.pages, &mut self.tails, port, &mut channel.queue, to)
            && info.is_some_and(VcpuInfo::mark)
    }
}

/// Returns the queue on which a channel's next event goes.
fn queue_of(channel: &Channel) -> QueueId {
    QueueId {
        vcpu: channel.vcpu,
        priority: channel.priority,
    }
}

/// Memory for the FIFO ABI of one domain, allocated before the ports' lock is taken.
///
/// Only the first control block of a domain takes it.
pub(crate) struct FifoReservation(Option<Fifo>);

impl FifoReservation {
    /// Allocates for a domain that may have `vcpus` vCPUs. May sleep.
    ///
    /// # Errors
    ///
    /// `ENOMEM`.
    pub(crate) fn new(vcpus: usize) -> Result<Self> {
        let array = KVec::with_capacity(MAX_PAGES, GFP_KERNEL_ACCOUNT).map_err(|_| ENOMEM)?;
        let mut controls = KVec::with_capacity(vcpus, GFP_KERNEL_ACCOUNT).map_err(|_| ENOMEM)?;

        for _ in 0..vcpus {
            controls
                .push(None, GFP_KERNEL_ACCOUNT)
                .map_err(|_| ENOMEM)?;
        }
        Ok(Self(Some(Fifo {
            pages: Pages { array, controls },
            tails: Tails::new(vcpus)?,
        })))
    }
}

impl Ports {
    /// Checks the arguments of [`Ports::init_control`] that need no page, so that a caller can
    /// refuse before it looks up the frame.
    ///
    /// # Errors
    ///
    /// `ENOENT` if there is no such vCPU; `EINVAL` if the block would not lie in one page, or is
    /// not aligned to 8 bytes.
    pub(crate) fn check_control(&self, vcpu: u32, offset: u32) -> Result {
        self.vcpu(vcpu)?;
        if offset as usize > PAGE_SIZE - FIFO_CONTROL_SIZE || offset % 8 != 0 {
            return Err(EINVAL);
        }
        Ok(())
    }

    /// Gives a vCPU its control block (`EVTCHNOP_init_control`). The domain's first one switches it
    /// to the FIFO ABI, with an empty event array; events that are pending are kept for when their
    /// words exist.
    ///
    /// # Errors
    ///
    /// As [`Ports::check_control`]; `EINVAL` if the vCPU has one; `ENOMEM` if nothing was reserved
    /// and it is the first; `ENOSYS` for domain 0; `EINVAL` if the domain is dying.
    pub(crate) fn init_control(
        &mut self,
        vcpu: u32,
        page: SharedPage,
        offset: u32,
        reservation: &mut FifoReservation,
    ) -> Result {
        self.check_control(vcpu, offset)?;
        if self.dying {
            return Err(EINVAL);
        }
        let control = Control {
            page,
            offset: offset as usize,
        };
        let vcpus = self.vcpus.len();
        let width = self.width;

        match &mut self.abi {
            Abi::Host => Err(ENOSYS),
            Abi::Fifo(_, fifo) => fifo.give_control(vcpu, control),
            Abi::TwoLevel(shared_info) => {
                let shared_info = shared_info.clone();
                let mut fifo = match reservation.0.take() {
                    Some(fifo) if fifo.pages.controls.len() >= vcpus => fifo,
                    _ => return Err(ENOMEM),
                };

                fifo.give_control(vcpu, control)?;
                for (port, channel) in self.table.starting_at_mut(1) {
                    channel.priority = DEFAULT_PRIORITY;
                    // Taken along, not copied: after a reset the bitmap is in use again.
                    channel.latched = channel.is_usable()
                        && Bits::of(&shared_info, width, port)
                            .is_some_and(|bits| bits.clear_pending());
                }
                self.abi = Abi::Fifo(shared_info, fifo);
                Ok(())
            }
        }
    }

    /// Adds a page to the event array (`EVTCHNOP_expand_array`), and raises what came before its
    /// words.
    ///
    /// # Errors
    ///
    /// `EINVAL` if the domain is dying, `EOPNOTSUPP` if it does not use the FIFO ABI (any more:
    /// XSA-505), `ENOSPC` if the array is complete.
    pub(crate) fn expand_array(&mut self, page: SharedPage) -> Result<Delivery> {
        if self.dying {
            return Err(EINVAL);
        }
        let Abi::Fifo(_, fifo) = &mut self.abi else {
            return Err(EOPNOTSUPP);
        };
        let array = &mut fifo.pages.array;

        if array.len() >= MAX_PAGES {
            return Err(ENOSPC);
        }
        // CAST: less than 128 pages.
        let first = array.len() as u32 * PER_PAGE;
        // Within the capacity that was reserved, so this does not allocate.
        array.push(page, GFP_KERNEL_ACCOUNT).map_err(|_| ENOMEM)?;

        let mut wake = Wake::default();
        for port in first..first.saturating_add(PER_PAGE) {
            match self.table.get_mut(port) {
                None => break,
                Some(channel) => {
                    if !core::mem::take(&mut channel.latched) {
                        continue;
                    }
                }
            }
            if let Delivery::Guest(one) = self.raise(port) {
                wake.merge(&one);
            }
        }
        Ok(Delivery::guest(wake))
    }

    /// Sets the priority of a port's events to come (`EVTCHNOP_set_priority`).
    ///
    /// # Errors
    ///
    /// `EINVAL` if the port is not valid; `ENOSYS` in the 2-level ABI; `EACCES` if the port is not
    /// connected or is the hypervisor's; `EINVAL` if there is no such priority.
    pub(crate) fn set_priority(&mut self, port: Port, priority: u32) -> Result {
        let channel = self.table.get_mut(port).ok_or(EINVAL)?;

        if !matches!(self.abi, Abi::Fifo(..)) {
            return Err(ENOSYS);
        }
        if !channel.is_usable() {
            return Err(EACCES);
        }
        match u8::try_from(priority) {
            Ok(new) if priority <= FIFO_PRIORITY_MIN => {
                channel.priority = new;
                Ok(())
            }
            _ => Err(EINVAL),
        }
    }
}

impl Fifo {
    fn give_control(&mut self, vcpu: u32, control: Control) -> Result {
        let slot = self.pages.controls.get_mut(vcpu as usize).ok_or(ENOENT)?;

        if slot.is_some() {
            return Err(EINVAL);
        }
        *slot = Some(control);
        Ok(())
    }
}

impl Wake {
    /// Adds all of `other`.
    fn merge(&mut self, other: &Self) {
        fn union(to: &mut VcpuSet, from: VcpuSet) {
            for vcpu in from.iter() {
                to.insert(vcpu);
            }
        }

        union(&mut self.upcalls, other.upcalls);
        union(&mut self.pollers, other.pollers);
    }
}
