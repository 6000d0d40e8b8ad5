// SPDX-License-Identifier: GPL-2.0-only
/* event_channel_op. */

#include "hypercalls.h"

void test_evtchn(void)
{
	struct evtchn_alloc_unbound unbound = { .dom = DOMID_SELF, .remote_dom = DOMID_SELF };
	struct evtchn_bind_interdomain interdomain = { 0 };
	struct evtchn_bind_virq virq = { 0 };
	struct evtchn_bind_pirq pirq = { .pirq = 1 };
	struct evtchn_bind_ipi ipi = { 0 };
	struct evtchn_bind_vcpu vcpu = { 0 };
	struct evtchn_close close = { 0 };
	struct evtchn_send send = { 0 };
	struct evtchn_unmask unmask = { 0 };
	struct evtchn_status status = { .dom = DOMID_SELF };
	struct evtchn_reset reset = { .dom = 0x1234 };
	struct evtchn_init_control control = { 0 };
	struct evtchn_expand_array expand = { 0 };
	struct evtchn_set_priority priority = { 0 };
	evtchn_port_t port;
	u32 i;

	for (i = 1; i <= 13; i++) {
		if (i == 2 || i == 9 || i == 11)
			continue;
		tap_equal(evtchn_op(i, NOWHERE), -XEN_EFAULT,
			  "evtchn_op(%u, NOWHERE) is -XEN_EFAULT", i);
	}
	IS(0, evtchn_op(EVTCHNOP_alloc_unbound, &unbound));
	port = unbound.port;
	tap(port > 0, "a port is not 0");
	status.port = port;
	IS(0, evtchn_op(EVTCHNOP_status, &status));
	tap_equal(status.status, EVTCHNSTAT_unbound, "it is not bound");
	unbound.remote_dom = 0x1234;
	GIVES(evtchn_op(EVTCHNOP_alloc_unbound, &unbound));
	close.port = unbound.port;
	IS(0, evtchn_op(EVTCHNOP_close, &close));
	unbound.dom = 0x1234;
	STRANGER(evtchn_op(EVTCHNOP_alloc_unbound, &unbound));
	unbound.dom = 0;
	IS(-XEN_EPERM, evtchn_op(EVTCHNOP_alloc_unbound, &unbound));
	interdomain.remote_dom = DOMID_SELF;
	interdomain.remote_port = port;
	IS(0, evtchn_op(EVTCHNOP_bind_interdomain, &interdomain));
	IS(-XEN_EINVAL, evtchn_op(EVTCHNOP_bind_interdomain, &interdomain));
	status.port = interdomain.local_port;
	IS(0, evtchn_op(EVTCHNOP_status, &status));
	tap_equal(status.status, EVTCHNSTAT_interdomain, "now it is bound to another");
	tap_equal(status.u.interdomain.port, port, "to the one asked for");
	interdomain.remote_port = 0x10000;
	IS(-XEN_EINVAL, evtchn_op(EVTCHNOP_bind_interdomain, &interdomain));
	interdomain.remote_dom = 0x1234;
	IS(-XEN_ESRCH, evtchn_op(EVTCHNOP_bind_interdomain, &interdomain));
	interdomain.remote_dom = 0;
	interdomain.remote_port = 1;
	tap(evtchn_op(EVTCHNOP_bind_interdomain, &interdomain) < 0, "not to a stranger's port");

	virq.virq = 24;
	IS(-XEN_EINVAL, evtchn_op(EVTCHNOP_bind_virq, &virq));
	virq.virq = ~0U;
	IS(-XEN_EINVAL, evtchn_op(EVTCHNOP_bind_virq, &virq));
	virq.virq = VIRQ_TIMER;
	virq.vcpu = 0x1000;
	IS(-XEN_ENOENT, evtchn_op(EVTCHNOP_bind_virq, &virq));
	virq.vcpu = 0;
	IS(0, evtchn_op(EVTCHNOP_bind_virq, &virq));
	IS(-XEN_EEXIST, evtchn_op(EVTCHNOP_bind_virq, &virq));
	status.port = virq.port;
	IS(0, evtchn_op(EVTCHNOP_status, &status));
	tap_equal(status.status, EVTCHNSTAT_virq, "a virtual interrupt is bound");
	close.port = virq.port;
	IS(0, evtchn_op(EVTCHNOP_close, &close));
	pirq.pirq = 0x10000;
	IS(-XEN_EINVAL, evtchn_op(EVTCHNOP_bind_pirq, &pirq));
	ipi.vcpu = 0x1000;
	IS(-XEN_ENOENT, evtchn_op(EVTCHNOP_bind_ipi, &ipi));
	ipi.vcpu = 0;
	IS(0, evtchn_op(EVTCHNOP_bind_ipi, &ipi));
	vcpu.port = port;
	vcpu.vcpu = 0x1000;
	IS(-XEN_ENOENT, evtchn_op(EVTCHNOP_bind_vcpu, &vcpu));
	vcpu.vcpu = 0;
	IS(0, evtchn_op(EVTCHNOP_bind_vcpu, &vcpu));
	vcpu.port = ipi.port;
	IS(-XEN_EINVAL, evtchn_op(EVTCHNOP_bind_vcpu, &vcpu));
	vcpu.port = 0x10000;
	IS(-XEN_EINVAL, evtchn_op(EVTCHNOP_bind_vcpu, &vcpu));
	send.port = ipi.port;
	IS(0, evtchn_op(EVTCHNOP_send, &send));
	send.port = 0;
	IS(-XEN_EINVAL, evtchn_op(EVTCHNOP_send, &send));
	send.port = 0x10000;
	IS(-XEN_EINVAL, evtchn_op(EVTCHNOP_send, &send));
	send.port = ~0U;
	IS(-XEN_EINVAL, evtchn_op(EVTCHNOP_send, &send));
	close.port = ipi.port;
	IS(0, evtchn_op(EVTCHNOP_close, &close));
	IS(-XEN_EINVAL, evtchn_op(EVTCHNOP_close, &close));
	close.port = 0;
	IS(-XEN_EINVAL, evtchn_op(EVTCHNOP_close, &close));
	close.port = 0x10000;
	IS(-XEN_EINVAL, evtchn_op(EVTCHNOP_close, &close));
	IS(-XEN_EFAULT, evtchn_op(EVTCHNOP_unmask, NOWHERE));
	unmask.port = port;
	IS(0, evtchn_op(EVTCHNOP_unmask, &unmask));
	unmask.port = 0x10000;
	IS(-XEN_EINVAL, evtchn_op(EVTCHNOP_unmask, &unmask));
	status.port = 0x10000;
	IS(-XEN_EINVAL, evtchn_op(EVTCHNOP_status, &status));
	status.port = 1;
	status.dom = 0x1234;
	STRANGER(evtchn_op(EVTCHNOP_status, &status));
	status.dom = 0;
	IS(-XEN_EPERM, evtchn_op(EVTCHNOP_status, &status));
	STRANGER(evtchn_op(EVTCHNOP_reset, &reset));
	reset.dom = 0;
	IS(-XEN_EPERM, evtchn_op(EVTCHNOP_reset, &reset));
	/* FIFO events: refused arguments only; the guest `evtchn` uses them. */
	IS(-XEN_EFAULT, evtchn_op(EVTCHNOP_init_control, NOWHERE));
	control.vcpu = 0x1000;
	IS(-XEN_ENOENT, evtchn_op(EVTCHNOP_init_control, &control));
	control.vcpu = 0;
	control.offset = 4;
	IS(-XEN_EINVAL, evtchn_op(EVTCHNOP_init_control, &control));
	control.offset = PAGE_SIZE - 8;
	IS(-XEN_EINVAL, evtchn_op(EVTCHNOP_init_control, &control));
	control.offset = 0;
	control.control_gfn = 1 << 24;
	tap(evtchn_op(EVTCHNOP_init_control, &control) < 0,
	    "no control block where there is no memory");
	IS(-XEN_EOPNOTSUPP, evtchn_op(EVTCHNOP_expand_array, &expand));
	priority.port = port;
	priority.priority = 7;
	IS(-XEN_ENOSYS, evtchn_op(EVTCHNOP_set_priority, &priority));
	priority.port = 0x10000;
	IS(-XEN_EINVAL, evtchn_op(EVTCHNOP_set_priority, &priority));
	IS(-XEN_ENOSYS, evtchn_op(15, page));
	IS(-XEN_ENOSYS, evtchn_op(0x7fffffff, page));
	/* The old call, and the old form of the new. */
	IS(-XEN_ENOSYS, DO(event_channel_op_compat, page, 0, 0));
}
