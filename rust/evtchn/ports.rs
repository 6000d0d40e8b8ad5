// SPDX-License-Identifier: GPL-2.0-only

//! A domain's event channels, and the part that is common to all ABIs.

use super::{
    channel::{
        Channel,
        State,
        Table, //
    },
    fifo::Fifo,
    poll::Poll,
    two_level::{
        self,
        Bits,
        Raised, //
    },
    types::{
        virq_is_global,
        Delivery,
        DomId,
        Port,
        Wake,
        Width,
        FIFO_PORTS,
        MAX_VCPUS,
        NR_VIRQS, //
    },
    vcpu_info::{
        Upcall,
        UpcallEpoch,
        VcpuInfo, //
    },
};
use crate::abi::errno::{
    Result,
    EBUSY,
    EINVAL,
    ENOENT,
    ENOMEM, //
};
use crate::sys::{
    alloc::{
        KVec,
        GFP_KERNEL_ACCOUNT, //
    },
    page::SharedPage, //
};

/// Who consumes the events of a domain.
pub(crate) enum Kind {
    /// Processes of the host: domain 0, which shares no memory with the hypervisor.
    Host,
    /// A guest, with the page that holds its `shared_info`.
    Guest(SharedPage),
}

/// How events are presented to the domain.
pub(super) enum Abi {
    /// To host processes, one call per event.
    Host,
    /// In bitmaps of `shared_info`.
    TwoLevel(SharedPage),
    /// In queues of an event array; the page of `shared_info` is kept for the way back.
    Fifo(SharedPage, Fifo),
}

/// What the channels know of a vCPU.
pub(super) struct Vcpu {
    /// The port of each virtual interrupt, or 0; a global one is in vCPU 0's.
    pub(super) virqs: [Port; NR_VIRQS],
    /// Where the vCPU looks for its upcall.
    pub(super) info: Option<VcpuInfo>,
    /// Whether the guest has chosen that place itself.
    registered: bool,
    /// What the vCPU blocks for in `SCHEDOP_poll`.
    pub(super) poll: Poll,
}

/// All event channels of one domain. The caller keeps it behind a spinlock; see the room's own
/// page.
pub(crate) struct Ports {
    pub(super) domid: DomId,
    pub(super) table: Table,
    pub(super) vcpus: KVec<Vcpu>,
    pub(super) abi: Abi,
    pub(super) width: Width,
    /// Ports in use, without port 0.
    pub(super) active: u32,
    /// Those of them that the hypervisor consumes.
    pub(super) xen: u32,
    /// Set for good when the domain is being destroyed: no port is allocated any more.
    pub(super) dying: bool,
    /// Where a reset or the destruction goes on; 0 if none is under way.
    pub(super) next: Port,
    /// vCPUs in `SCHEDOP_poll`.
    pub(super) polling: u32,
}

impl Ports {
    /// Makes the channels of a domain with `vcpus` vCPUs that may use ports up to and including
    /// `max_port` (`createdomain.max_evtchn_port`); 0 leaves only port 0, which is nobody's. May sleep.
    ///
    /// # Errors
    ///
    /// `EINVAL` if there are more than [`MAX_VCPUS`] vCPUs, `ENOMEM`.
    pub(crate) fn new(domid: DomId, kind: Kind, vcpus: usize, max_port: u32) -> Result<Self> {
        if vcpus > MAX_VCPUS {
            return Err(EINVAL);
        }
        let abi = match kind {
            Kind::Host => Abi::Host,
            Kind::Guest(shared_info) => Abi::TwoLevel(shared_info),
        };
        let mut list = KVec::with_capacity(vcpus, GFP_KERNEL_ACCOUNT).map_err(|_| ENOMEM)?;

        for id in 0..vcpus {
            let info = match &abi {
                Abi::TwoLevel(shared_info) => VcpuInfo::initial(shared_info, id),
                _ => None,
            };
            let vcpu = Vcpu {
                virqs: [0; NR_VIRQS],
                info,
                registered: false,
                poll: Poll::No,
            };
            list.push(vcpu, GFP_KERNEL_ACCOUNT).map_err(|_| ENOMEM)?;
        }
        Ok(Self {
            domid,
            table: Table::new(max_port.saturating_add(1).min(FIFO_PORTS))?,
            vcpus: list,
            abi,
            width: Width::Bits64,
            active: 0,
            xen: 0,
            dying: false,
            next: 0,
            polling: 0,
        })
    }

    /// Returns the number of ports that the ABI in use can express.
    pub(super) fn abi_limit(&self) -> u32 {
        match self.abi {
            Abi::Host => FIFO_PORTS,
            Abi::TwoLevel(_) => self.width.ports(),
            Abi::Fifo(..) => FIFO_PORTS,
        }
    }

    /// Returns vCPU `id`.
    ///
    /// # Errors
    ///
    /// `ENOENT` if there is none.
    pub(super) fn vcpu(&self, id: u32) -> Result<&Vcpu> {
        self.vcpus.get(id as usize).ok_or(ENOENT)
    }

    /// As [`Ports::vcpu`], to change it.
    pub(super) fn vcpu_mut(&mut self, id: u32) -> Result<&mut Vcpu> {
        self.vcpus.get_mut(id as usize).ok_or(ENOENT)
    }

    /// Sets the layout of `shared_info` and `vcpu_info`, when the guest's width is latched.
    ///
    /// Nothing in the pages is moved, as in Xen: a guest does this before it uses them.
    pub(crate) fn set_width(&mut self, width: Width) {
        self.width = width;
    }

    /// Returns the latched layout.
    pub(crate) fn width(&self) -> Width {
        self.width
    }

    /// Returns the place of a vCPU's `vcpu_info`, or `None` if it has none yet.
    pub(crate) fn vcpu_info(&self, vcpu: u32) -> Option<&VcpuInfo> {
        self.vcpus.get(vcpu as usize)?.info.as_ref()
    }

    /// Returns vCPU `vcpu`'s view of its pending upcall, to be read without the lock.
    pub(crate) fn upcall(&self, vcpu: u32, epoch: &UpcallEpoch) -> Upcall {
        Upcall::new(self.vcpu_info(vcpu).cloned(), epoch)
    }

    /// Moves a vCPU's `vcpu_info` to a place of the guest's choice (`VCPUOP_register_vcpu_info`).
    ///
    /// What the old place held is copied, all selectors are set and the upcall is raised, so that
    /// nothing gets lost; the guest copes with looking at ports that are not pending. The delivery
    /// is for a vCPU that may still look at its old [`Upcall`]; `epoch` tells it to fetch the new
    /// one.
    ///
    /// # Errors
    ///
    /// `ENOENT` without such a vCPU, `EBUSY` if the guest has chosen a place before, `EINVAL` for
    /// domain 0.
    pub(crate) fn register_vcpu_info(
        &mut self,
        vcpu: u32,
        place: VcpuInfo,
        epoch: &UpcallEpoch,
    ) -> Result<Delivery> {
        let width = self.width;

        if matches!(self.abi, Abi::Host) {
            return Err(EINVAL);
        }
        let this = self.vcpu_mut(vcpu)?;
        if this.registered {
            return Err(EBUSY);
        }
        place.take_over(this.info.as_ref(), width);

        let mut wake = Wake::default();
        if place.mark() {
            wake.upcalls.insert(vcpu);
        }
        this.info = Some(place);
        this.registered = true;
        epoch.bump();
        Ok(Delivery::guest(wake))
    }

    /// Goes back to the initial `vcpu_info`, for a soft reset or destruction.
    ///
    /// Returns the place that was registered, to be dropped after the lock.
    pub(crate) fn unregister_vcpu_info(
        &mut self,
        vcpu: u32,
        epoch: &UpcallEpoch,
    ) -> Option<VcpuInfo> {
        let initial = match &self.abi {
            Abi::Host => None,
            Abi::TwoLevel(page) | Abi::Fifo(page, _) => VcpuInfo::initial(page, vcpu as usize),
        };
        let this = self.vcpus.get_mut(vcpu as usize)?;

        if !this.registered {
            return None;
        }
        this.registered = false;
        let old = core::mem::replace(&mut this.info, initial);
        epoch.bump();
        old
    }

    /// Returns the port to which `virq` is bound on `vcpu` (any, if it is global), or 0.
    pub(super) fn virq_port(&self, virq: u32, vcpu: u32) -> Port {
        let home = if virq_is_global(virq) { 0 } else { vcpu };

        self.vcpus
            .get(home as usize)
            .and_then(|vcpu| vcpu.virqs.get(virq as usize))
            .map_or(0, |port| *port)
    }

    /// Makes a usable port pending for the domain and says who must be told.
    pub(super) fn raise(&mut self, port: Port) -> Delivery {
        let width = self.width;
        let Some(channel) = self.table.get_mut(port) else {
            return Delivery::None;
        };
        if !channel.is_usable() {
            return Delivery::None;
        }
        let vcpu = channel.vcpu;
        let info = self
            .vcpus
            .get(vcpu as usize)
            .and_then(|vcpu| vcpu.info.as_ref());
        let raised = match &mut self.abi {
            Abi::Host => return raise_host(channel, port),
            Abi::TwoLevel(page) => match Bits::of(page, width, port) {
                Some(bits) => bits.raise(two_level::selecting(info, width, port)),
                None => Raised::default(),
            },
            Abi::Fifo(_, fifo) => fifo.raise(channel, port, info),
        };

        self.told(port, vcpu, raised)
    }

    /// Clears the mask of a usable port and tells the vCPU if it was pending behind the mask.
    pub(super) fn unmask_usable(&mut self, port: Port) -> Delivery {
        let width = self.width;
        let Some(channel) = self.table.get_mut(port) else {
            return Delivery::None;
        };
        if !channel.is_usable() {
            return Delivery::None;
        }
        let vcpu = channel.vcpu;
        let info = self
            .vcpus
            .get(vcpu as usize)
            .and_then(|vcpu| vcpu.info.as_ref());
        let upcall = match &mut self.abi {
            Abi::Host => {
                channel.host_masked = false;
                if core::mem::take(&mut channel.latched) {
                    return raise_host(channel, port);
                }
                return Delivery::None;
            }
            Abi::TwoLevel(page) => match Bits::of(page, width, port) {
                Some(bits) => bits.unmask(two_level::selecting(info, width, port)),
                None => false,
            },
            Abi::Fifo(_, fifo) => fifo.unmask(channel, port, info),
        };
        let raised = Raised {
            fresh: false,
            upcall,
        };

        self.told(port, vcpu, raised)
    }

    /// Turns the result of an ABI into a delivery.
    fn told(&mut self, port: Port, vcpu: u32, raised: Raised) -> Delivery {
        let mut wake = Wake::default();

        if raised.upcall {
            wake.upcalls.insert(vcpu);
        }
        if raised.fresh {
            self.wake_pollers(port, &mut wake);
        }
        Delivery::guest(wake)
    }

    /// Returns whether the port is pending.
    pub(super) fn is_pending(&self, port: Port, channel: &Channel) -> bool {
        match &self.abi {
            Abi::Host => channel.latched,
            Abi::TwoLevel(page) => {
                Bits::of(page, self.width, port).is_some_and(|bits| bits.is_pending())
            }
            Abi::Fifo(_, fifo) => fifo.is_pending(port).unwrap_or(channel.latched),
        }
    }

    /// Returns whether the port is masked; one without a word in shared memory is.
    pub(super) fn is_masked(&self, port: Port, channel: &Channel) -> bool {
        match &self.abi {
            Abi::Host => channel.host_masked,
            Abi::TwoLevel(page) => {
                Bits::of(page, self.width, port).is_none_or(|bits| bits.is_masked())
            }
            Abi::Fifo(_, fifo) => fifo.is_masked(port),
        }
    }

    /// Disconnects a port on this side: nothing of it remains but its number.
    pub(super) fn free(&mut self, port: Port) {
        let Some(channel) = self.table.get(port) else {
            return;
        };
        let xen = channel.consumer.is_some();

        if matches!(channel.state, State::Free | State::Reserved) {
            return;
        }
        // An old event must not be seen by who gets the port next.
        match &self.abi {
            Abi::Host => {}
            Abi::TwoLevel(page) => {
                if let Some(bits) = Bits::of(page, self.width, port) {
                    let _ = bits.clear_pending();
                }
            }
            Abi::Fifo(_, fifo) => fifo.clear_pending(port),
        }
        self.table.release(port);
        self.active = self.active.saturating_sub(1);
        if xen {
            self.xen = self.xen.saturating_sub(1);
        }
    }
}

/// Tells the host process that consumes `port`, or latches the event until it unmasks.
fn raise_host(channel: &mut Channel, port: Port) -> Delivery {
    if channel.host_masked {
        channel.latched = true;
        return Delivery::None;
    }
    channel.host_masked = true;
    Delivery::Host { port }
}
