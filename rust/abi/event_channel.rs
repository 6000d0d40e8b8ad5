// SPDX-License-Identifier: GPL-2.0-only

//! `event_channel_op` and the words of both event ABIs (`xen/event_channel.h`).
//!
//! Every structure is the same for 32-bit guests. The bitmaps of the two-level ABI lie in the
//! shared info page: see [`super::xen`].

numbers! {
    "EVTCHNOP_" u32 [name] {
        /// Connects to a port that another domain left unbound, with a [`BindInterdomain`].
        BIND_INTERDOMAIN = 0, "bind_interdomain";
        /// Binds a virtual interrupt, with a [`BindVirq`].
        BIND_VIRQ = 1, "bind_virq";
        /// Binds a physical interrupt, with a [`BindPirq`].
        BIND_PIRQ = 2, "bind_pirq";
        /// Closes a port, with a [`Close`].
        CLOSE = 3, "close";
        /// Notifies the other end, with a [`Send`].
        SEND = 4, "send";
        /// Tells what a port is bound to, with a [`Status`].
        STATUS = 5, "status";
        /// Makes a port that another domain may connect to, with an [`AllocUnbound`].
        ALLOC_UNBOUND = 6, "alloc_unbound";
        /// Makes a port for notifications between virtual CPUs, with a [`BindIpi`].
        BIND_IPI = 7, "bind_ipi";
        /// Moves a port to another virtual CPU, with a [`BindVcpu`].
        BIND_VCPU = 8, "bind_vcpu";
        /// Unmasks a port and raises it if pending, with an [`Unmask`].
        UNMASK = 9, "unmask";
        /// Closes all ports of a domain, with a [`Reset`].
        RESET = 10, "reset";
        /// Switches to the FIFO ABI, with an [`InitControl`].
        INIT_CONTROL = 11, "init_control";
        /// Adds a page of FIFO event words, with an [`ExpandArray`].
        EXPAND_ARRAY = 12, "expand_array";
        /// Sets a port's FIFO priority, with a [`SetPriority`].
        SET_PRIORITY = 13, "set_priority";
    }
    "" u32 [] {
        /// `BindPirq`: the interrupt may be shared.
        BIND_PIRQ_WILL_SHARE = 1, "BIND_PIRQ__WILL_SHARE";
    }
    "EVTCHNSTAT_" u32 [status_name] {
        /// Free.
        STAT_CLOSED = 0, "closed";
        /// Waits for the other end.
        STAT_UNBOUND = 1, "unbound";
        /// Connected.
        STAT_INTERDOMAIN = 2, "interdomain";
        /// Bound to a physical interrupt.
        STAT_PIRQ = 3, "pirq";
        /// Bound to a virtual interrupt.
        STAT_VIRQ = 4, "virq";
        /// For notifications between virtual CPUs.
        STAT_IPI = 5, "ipi";
    }
    "EVTCHN_FIFO_" u32 [] {
        /// The most urgent priority.
        FIFO_PRIORITY_MAX = 0, "PRIORITY_MAX";
        /// The priority of a new port.
        FIFO_PRIORITY_DEFAULT = 7, "PRIORITY_DEFAULT";
        /// The least urgent priority.
        FIFO_PRIORITY_MIN = 15, "PRIORITY_MIN";
        /// Queues of a virtual CPU, one per priority.
        FIFO_MAX_QUEUES = 16, "MAX_QUEUES";
        /// Event word: number of the bit that says pending.
        FIFO_PENDING = 31, "PENDING";
        /// Event word: number of the bit that says masked.
        FIFO_MASKED = 30, "MASKED";
        /// Event word: number of the bit that says in a queue.
        FIFO_LINKED = 29, "LINKED";
        /// Event word: number of the bit that says being linked or unmasked.
        FIFO_BUSY = 28, "BUSY";
        /// Event word: bits of the port that follows in the queue.
        FIFO_LINK_BITS = 17, "LINK_BITS";
        /// Event word: mask of those bits.
        FIFO_LINK_MASK = (1 << 17) - 1, "LINK_MASK";
        /// Ports of the FIFO ABI.
        FIFO_NR_CHANNELS = 1 << 17, "NR_CHANNELS";
    }
    "" usize [] {
        /// Bytes of a FIFO event word.
        FIFO_EVENT_WORD_SIZE = 4, "sizeof(event_word_t)";
        /// Control block: 32-bit word with a bit per queue that has events.
        FIFO_CONTROL_READY = 0, "offsetof(struct evtchn_fifo_control_block, ready)";
        /// Control block: [`FIFO_MAX_QUEUES`] 32-bit words, the first port of each queue.
        FIFO_CONTROL_HEAD = 8, "offsetof(struct evtchn_fifo_control_block, head)";
        /// Control block: bytes.
        FIFO_CONTROL_SIZE = 72, "sizeof(struct evtchn_fifo_control_block)";
    }
}

/// Continuation of [`RESET`]; inside Xen only, its header hides it from callers.
pub(crate) const RESET_CONT: u32 = 14;

layouts! {
    /// Argument of [`ALLOC_UNBOUND`].
    struct AllocUnbound: "struct evtchn_alloc_unbound" [8] {
        /// IN: the domain that gets the port.
        dom: u16,
        /// IN: the domain that may connect.
        remote_dom: u16,
        /// OUT: the port.
        port: u32,
    }

    /// Argument of [`BIND_INTERDOMAIN`].
    struct BindInterdomain: "struct evtchn_bind_interdomain" [12] {
        /// IN: the other domain.
        remote_dom: u16,
        _pad: u16,
        /// IN: its port.
        remote_port: u32,
        /// OUT: the caller's port.
        local_port: u32,
    }

    /// Argument of [`BIND_VIRQ`].
    struct BindVirq: "struct evtchn_bind_virq" [12] {
        /// IN: one of `VIRQ_*`.
        virq: u32,
        /// IN: the virtual CPU; 0 for global interrupts.
        vcpu: u32,
        /// OUT: the port.
        port: u32,
    }

    /// Argument of [`BIND_PIRQ`].
    struct BindPirq: "struct evtchn_bind_pirq" [12] {
        /// IN: the interrupt.
        pirq: u32,
        /// IN: [`BIND_PIRQ_WILL_SHARE`].
        flags: u32,
        /// OUT: the port.
        port: u32,
    }

    /// Argument of [`BIND_IPI`].
    struct BindIpi: "struct evtchn_bind_ipi" [8] {
        /// IN: the virtual CPU to notify.
        vcpu: u32,
        /// OUT: the port.
        port: u32,
    }

    /// Argument of [`CLOSE`].
    struct Close: "struct evtchn_close" [4] {
        /// IN: the port.
        port: u32,
    }

    /// Argument of [`SEND`].
    struct Send: "struct evtchn_send" [4] {
        /// IN: the port.
        port: u32,
    }

    /// Argument of [`STATUS`]; see [`StatusDetail`] for the last two words.
    struct Status: "struct evtchn_status" [24] {
        /// IN: the domain.
        dom: u16,
        _pad: u16,
        /// IN: its port.
        port: u32,
        /// OUT: one of `STAT_*`.
        status: u32,
        /// OUT: the virtual CPU that is notified.
        vcpu: u32,
        /// OUT: unbound and interdomain: the other domain in the low 16 bits; pirq and virq: the
        /// number.
        detail: u32 as "u.pirq",
        /// OUT: interdomain: the other port.
        remote_port: u32 as "u.interdomain.port",
    }

    /// Argument of [`BIND_VCPU`].
    struct BindVcpu: "struct evtchn_bind_vcpu" [8] {
        /// IN: the port.
        port: u32,
        /// IN: the virtual CPU.
        vcpu: u32,
    }

    /// Argument of [`UNMASK`].
    struct Unmask: "struct evtchn_unmask" [4] {
        /// IN: the port.
        port: u32,
    }

    /// Argument of [`RESET`].
    struct Reset: "struct evtchn_reset" [2] {
        /// IN: the domain.
        dom: u16,
    }

    /// Argument of [`INIT_CONTROL`].
    struct InitControl: "struct evtchn_init_control" [24] {
        /// IN: guest frame of the control block.
        control_gfn: u64,
        /// IN: its byte offset in the frame.
        offset: u32,
        /// IN: the virtual CPU.
        vcpu: u32,
        /// OUT: [`FIFO_LINK_BITS`].
        link_bits: u8,
        _pad: [u8; 7],
    }

    /// Argument of [`EXPAND_ARRAY`].
    struct ExpandArray: "struct evtchn_expand_array" [8] {
        /// IN: guest frame of 1024 event words.
        array_gfn: u64,
    }

    /// Argument of [`SET_PRIORITY`].
    struct SetPriority: "struct evtchn_set_priority" [8] {
        /// IN: the port.
        port: u32,
        /// IN: [`FIFO_PRIORITY_MAX`] to [`FIFO_PRIORITY_MIN`].
        priority: u32,
    }
}

/// The part of [`Status`] that depends on the state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum StatusDetail {
    /// Free.
    Closed,
    /// Waits for the domain to connect.
    Unbound(u16),
    /// Connected to a domain's port.
    Interdomain(u16, u32),
    /// Bound to a physical interrupt.
    Pirq(u32),
    /// Bound to a virtual interrupt.
    Virq(u32),
    /// For notifications between virtual CPUs.
    Ipi,
}

impl Status {
    /// Makes the answer about `port` of `dom`, whose events go to `vcpu`.
    pub(crate) fn answer(dom: u16, port: u32, vcpu: u32, state: StatusDetail) -> Self {
        let (status, detail, remote_port) = match state {
            StatusDetail::Closed => (STAT_CLOSED, 0, 0),
            StatusDetail::Unbound(remote) => (STAT_UNBOUND, remote.into(), 0),
            StatusDetail::Interdomain(remote, port) => (STAT_INTERDOMAIN, remote.into(), port),
            StatusDetail::Pirq(number) => (STAT_PIRQ, number, 0),
            StatusDetail::Virq(number) => (STAT_VIRQ, number, 0),
            StatusDetail::Ipi => (STAT_IPI, 0, 0),
        };
        Self {
            dom,
            _pad: 0,
            port,
            status,
            vcpu,
            detail,
            remote_port,
        }
    }
}
