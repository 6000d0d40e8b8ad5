// SPDX-License-Identifier: GPL-2.0-only
/* Event channels of the 2-level kind: an interrupt counts what has come. */

#include "guest.h"

unsigned int event_count[EVENT_PORTS];
u32 event_cpu[EVENT_PORTS];
u8 event_bound[EVENT_PORTS];

static void take(struct regs *regs)
{
	struct vcpu_info *vcpu = &shared_info->vcpu_info[this_cpu()->index];
	xen_ulong_t selected, pending;
	unsigned int word, bit, port, width = sizeof(pending) * 8;

	vcpu->evtchn_upcall_pending = 0;
	selected = __atomic_exchange_n(&vcpu->evtchn_pending_sel, 0, __ATOMIC_SEQ_CST);
	for (word = 0; selected; word++, selected >>= 1) {
		if (!(selected & 1))
			continue;
		pending = READ_ONCE(shared_info->evtchn_pending[word]) &
			  ~READ_ONCE(shared_info->evtchn_mask[word]);
		/* A word is shared: another CPU's events are left for it. */
		for (bit = 0; bit < width; bit++)
			if (event_bound[word * width + bit] != this_cpu()->index)
				pending &= ~((xen_ulong_t)1 << bit);
		__atomic_and_fetch(&shared_info->evtchn_pending[word], ~pending, __ATOMIC_SEQ_CST);
		for (bit = 0; pending; bit++, pending >>= 1) {
			if (!(pending & 1))
				continue;
			port = word * width + bit;
			event_cpu[port] = this_cpu()->index;
			event_count[port]++;
		}
	}
}

long events_init(u8 vector)
{
	long rc = xen_map_shared_info();

	return rc ? rc : xen_set_upcall(vector, take);
}

static xen_ulong_t bit_of(evtchn_port_t port)
{
	return (xen_ulong_t)1 << port % (sizeof(xen_ulong_t) * 8);
}

void event_mask(evtchn_port_t port)
{
	__atomic_or_fetch(&shared_info->evtchn_mask[port / (sizeof(xen_ulong_t) * 8)], bit_of(port),
			  __ATOMIC_SEQ_CST);
}

bool event_is_masked(evtchn_port_t port)
{
	return READ_ONCE(shared_info->evtchn_mask[port / (sizeof(xen_ulong_t) * 8)]) & bit_of(port);
}

bool event_is_pending(evtchn_port_t port)
{
	return READ_ONCE(shared_info->evtchn_pending[port / (sizeof(xen_ulong_t) * 8)]) &
		bit_of(port);
}

void event_clear(evtchn_port_t port)
{
	__atomic_and_fetch(&shared_info->evtchn_pending[port / (sizeof(xen_ulong_t) * 8)],
			   ~bit_of(port),
			   __ATOMIC_SEQ_CST);
}

long event_unmask(evtchn_port_t port)
{
	struct evtchn_unmask unmask = { .port = port };

	return evtchn_op(EVTCHNOP_unmask, &unmask);
}

long event_send(evtchn_port_t port)
{
	struct evtchn_send send = { .port = port };

	return evtchn_op(EVTCHNOP_send, &send);
}

evtchn_port_t event_bind_virq(u32 virq, u32 vcpu)
{
	struct evtchn_bind_virq bind = { .virq = virq, .vcpu = vcpu };
	long rc = evtchn_op(EVTCHNOP_bind_virq, &bind);

	if (rc)
		panic("bind_virq(%u, %u) is %ld", virq, vcpu, rc);
	event_bound[bind.port] = vcpu;
	return bind.port;
}

evtchn_port_t event_bind_ipi(u32 vcpu)
{
	struct evtchn_bind_ipi bind = { .vcpu = vcpu };
	long rc = evtchn_op(EVTCHNOP_bind_ipi, &bind);

	if (rc)
		panic("bind_ipi(%u) is %ld", vcpu, rc);
	event_bound[bind.port] = vcpu;
	return bind.port;
}

long event_close(evtchn_port_t port)
{
	struct evtchn_close close = { .port = port };

	event_bound[port] = 0;
	return evtchn_op(EVTCHNOP_close, &close);
}

bool wait_for(unsigned int *number, unsigned int wanted, u32 ms)
{
	u64 start = xen_time();

	while (READ_ONCE(*number) < wanted && xen_time() - start < ms * 1000000ULL) {
		irq_enable();
		cpu_relax();
		irq_disable();
	}
	return READ_ONCE(*number) >= wanted;
}
