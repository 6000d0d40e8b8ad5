// SPDX-License-Identifier: GPL-2.0-only

//! Operations that connect a port.
//!
//! The order of the checks is Xen's, because it decides which error a caller sees.

use super::{
    channel::{
        Reservation,
        State, //
    },
    ports::{
        Abi,
        Ports, //
    },
    types::{
        virq_is_global,
        Consumer,
        Delivery,
        DomId,
        Port,
        NR_VIRQS, //
    },
};
use crate::abi::errno::{
    Result,
    EEXIST,
    EINVAL, //
};

impl Ports {
    /// Takes a free port, in the state [`State::Binding`].
    ///
    /// # Errors
    ///
    /// `EINVAL` if the domain is dying, `ENOSPC` if all its ports are in use, `ENOMEM` if the table
    /// must grow and nothing was reserved.
    fn allocate(&mut self, reservation: &mut Reservation) -> Result<Port> {
        if self.dying {
            return Err(EINVAL);
        }
        let limit = self.abi_limit();
        let port = match &self.abi {
            // A port that a vCPU has still to take off a queue would be delivered with its old
            // priority, to its old vCPU.
            Abi::Fifo(_, fifo) => self
                .table
                .allocate(reservation, limit, |port| fifo.is_linked(port))?,
            _ => self.table.allocate(reservation, limit, |_| false)?,
        };

        self.active += 1;
        Ok(port)
    }

    /// Takes a free port and connects it.
    fn connect(
        &mut self,
        reservation: &mut Reservation,
        state: State,
        vcpu: u32,
        consumer: Option<Consumer>,
    ) -> Result<Port> {
        let port = self.allocate(reservation)?;

        if let Some(channel) = self.table.get_mut(port) {
            channel.state = state;
            channel.vcpu = vcpu;
            channel.consumer = consumer;
        }
        if consumer.is_some() {
            self.xen += 1;
        }
        Ok(port)
    }

    /// Allocates a port to which `remote` may bind (`EVTCHNOP_alloc_unbound`). The caller has
    /// resolved `DOMID_SELF` and checked the right to do this.
    ///
    /// # Errors
    ///
    /// `EINVAL` if this domain is dying, `ENOSPC`, `ENOMEM`.
    pub(crate) fn alloc_unbound(
        &mut self,
        remote: DomId,
        reservation: &mut Reservation,
    ) -> Result<Port> {
        self.connect(reservation, State::Unbound { remote }, 0, None)
    }

    /// As [`Ports::alloc_unbound`], for a port whose events go to `consumer` on behalf of `vcpu`.
    ///
    /// The guest can neither close it nor send through it; see [`Ports::send_from_xen`].
    ///
    /// # Errors
    ///
    /// As [`Ports::alloc_unbound`], and `ENOENT` if there is no such vCPU.
    pub(crate) fn alloc_unbound_xen(
        &mut self,
        vcpu: u32,
        remote: DomId,
        consumer: Consumer,
        reservation: &mut Reservation,
    ) -> Result<Port> {
        self.vcpu(vcpu)?;
        self.connect(reservation, State::Unbound { remote }, vcpu, Some(consumer))
    }

    /// Binds a virtual interrupt (`EVTCHNOP_bind_virq`).
    ///
    /// # Errors
    ///
    /// `EINVAL` if there is no such interrupt, or it is global and `vcpu` is not 0; `ENOENT` if
    /// there is no such vCPU; `EEXIST` if it is bound already; `EINVAL`, `ENOSPC`, `ENOMEM` for
    /// want of a port.
    pub(crate) fn bind_virq(
        &mut self,
        virq: u32,
        vcpu: u32,
        reservation: &mut Reservation,
    ) -> Result<Port> {
        if virq as usize >= NR_VIRQS || (virq_is_global(virq) && vcpu != 0) {
            return Err(EINVAL);
        }
        self.vcpu(vcpu)?;
        if self.virq_port(virq, vcpu) != 0 {
            return Err(EEXIST);
        }
        let port = self.connect(reservation, State::Virq(virq), vcpu, None)?;

        if let Some(slot) = self.vcpu_mut(vcpu)?.virqs.get_mut(virq as usize) {
            *slot = port;
        }
        Ok(port)
    }

    /// Allocates a port for events from the domain's vCPUs to `vcpu` (`EVTCHNOP_bind_ipi`).
    ///
    /// # Errors
    ///
    /// `ENOENT` if there is no such vCPU; `EINVAL`, `ENOSPC`, `ENOMEM` for want of a port.
    pub(crate) fn bind_ipi(&mut self, vcpu: u32, reservation: &mut Reservation) -> Result<Port> {
        self.vcpu(vcpu)?;
        self.connect(reservation, State::Ipi, vcpu, None)
    }

    /// Chooses the vCPU that a port notifies from now on (`EVTCHNOP_bind_vcpu`).
    ///
    /// # Errors
    ///
    /// `ENOENT` if there is no such vCPU; `EINVAL` if the port is not connected, is the
    /// hypervisor's, or belongs to one vCPU by its nature.
    pub(crate) fn bind_vcpu(&mut self, port: Port, vcpu: u32) -> Result {
        self.vcpu(vcpu)?;
        let channel = self.table.get_mut(port).ok_or(EINVAL)?;

        if channel.consumer.is_some() {
            return Err(EINVAL);
        }
        match channel.state {
            State::Virq(virq) if virq_is_global(virq) => {}
            State::Unbound { .. } | State::Interdomain { .. } => {}
            _ => return Err(EINVAL),
        }
        channel.vcpu = vcpu;
        Ok(())
    }

    /// First of three steps of `EVTCHNOP_bind_interdomain`, in the binding domain: takes a port.
    ///
    /// # Errors
    ///
    /// `EINVAL`, `ENOSPC`, `ENOMEM` for want of a port.
    pub(crate) fn begin_bind(&mut self, reservation: &mut Reservation) -> Result<Port> {
        self.allocate(reservation)
    }

    /// Second step, in the remote domain: connects `port`, which must wait for `local`, to the
    /// binding domain's `local_port`.
    ///
    /// From here on the remote domain can send; until the third step its events are dropped, which
    /// the third step makes good.
    ///
    /// # Errors
    ///
    /// `EINVAL` if the port does not wait for that domain. The first step must then be undone with
    /// [`Ports::cancel_bind`].
    pub(crate) fn accept_bind(&mut self, port: Port, local: DomId, local_port: Port) -> Result {
        if self.dying {
            return Err(EINVAL);
        }
        let channel = self.table.get_mut(port).ok_or(EINVAL)?;

        if channel.state != (State::Unbound { remote: local }) {
            return Err(EINVAL);
        }
        channel.state = State::Interdomain {
            remote: local,
            port: local_port,
        };
        Ok(())
    }

    /// Third step, in the binding domain: connects its `port`, and makes it pending because the
    /// remote domain may have sent before.
    ///
    /// # Errors
    ///
    /// `EINVAL` if the first step has not been taken. The remote port must then be given back with
    /// `peer_closed`.
    pub(crate) fn complete_bind(
        &mut self,
        port: Port,
        remote: DomId,
        remote_port: Port,
    ) -> Result<Delivery> {
        let channel = self.table.get_mut(port).ok_or(EINVAL)?;

        if channel.state != State::Binding {
            return Err(EINVAL);
        }
        channel.state = State::Interdomain {
            remote,
            port: remote_port,
        };
        Ok(self.raise(port))
    }

    /// Undoes [`Ports::begin_bind`].
    pub(crate) fn cancel_bind(&mut self, port: Port) {
        let binding = self
            .table
            .get(port)
            .is_some_and(|channel| channel.state == State::Binding);

        if binding {
            self.free(port);
        }
    }
}
