// SPDX-License-Identifier: GPL-2.0-only
/*
 * Event channels: the 2-level kind first, then FIFO queues, which a guest cannot leave again.
 *
 * Command line: reset does nothing but reset all ports, and powers off if that went well.
 */

#include "guest.h"

enum { VEC_UPCALL = 0xf3 };

static volatile bool leave;

/* What the second CPU sends, if not 0, and when. */
static evtchn_port_t late_port;
static u64 late_time;

static void other_cpu(void)
{
	irq_enable();
	while (!leave) {
		if (READ_ONCE(late_port)) {
			while (xen_time() < late_time)
				cpu_relax();
			event_send(late_port);
			late_port = 0;
		}
		irq_enable_and_halt();
	}
}

static void deliver(u32 ms)
{
	unsigned int never = 0;

	wait_for(&never, 1, ms);
}

static void test_ipi(void)
{
	evtchn_port_t port = event_bind_ipi(0);

	tap(!event_is_masked(port), "a new port is not masked");
	tap_equal(event_send(port), 0, "an IPI is sent");
	tap(wait_for(&event_count[port], 1, 10000), "it is taken");
	/* With interrupts off it waits, and several are one. */
	event_count[port] = 0;
	event_send(port);
	event_send(port);
	event_send(port);
	tap(event_is_pending(port), "it is pending while interrupts are off");
	tap(wait_for(&event_count[port], 1, 10000), "it is taken when they are on");
	deliver(20);
	tap_equal(event_count[port], 1, "once");
	/* A mask. */
	event_count[port] = 0;
	event_mask(port);
	event_send(port);
	deliver(20);
	tap_equal(event_count[port], 0, "a masked event is not taken");
	tap(event_is_pending(port), "but pending");
	tap_equal(event_unmask(port), 0, "it is unmasked");
	tap(wait_for(&event_count[port], 1, 10000), "then it is taken");
	/* A mask after the event. */
	event_count[port] = 0;
	event_send(port);
	event_mask(port);
	deliver(20);
	tap_equal(event_count[port], 0, "a mask comes in time");
	event_unmask(port);
	tap(wait_for(&event_count[port], 1, 10000), "and goes");
	event_send(port);
	tap_equal(event_close(port), 0, "a port is closed");
	tap(!event_is_pending(port), "it is pending no more");
	tap_equal(event_send(port), -XEN_EINVAL, "it cannot be sent to");
}

static void test_interdomain(void)
{
	struct evtchn_alloc_unbound unbound = { .dom = DOMID_SELF, .remote_dom = DOMID_SELF };
	struct evtchn_bind_interdomain bind = { .remote_dom = DOMID_SELF };
	struct evtchn_status status = { .dom = DOMID_SELF };

	tap_equal(evtchn_op(EVTCHNOP_alloc_unbound, &unbound), 0, "a port for the domain itself");
	bind.remote_port = unbound.port;
	tap_equal(evtchn_op(EVTCHNOP_bind_interdomain, &bind), 0, "is bound by it");
	/* The binding itself is an event, so that none before it is lost. */
	deliver(20);
	event_count[unbound.port] = 0;
	event_count[bind.local_port] = 0;
	event_send(bind.local_port);
	tap(wait_for(&event_count[unbound.port], 1, 10000), "an event goes one way");
	tap_equal(event_count[bind.local_port], 0, "not the other");
	event_send(unbound.port);
	tap(wait_for(&event_count[bind.local_port], 1, 10000), "and back");
	event_close(bind.local_port);
	status.port = unbound.port;
	evtchn_op(EVTCHNOP_status, &status);
	tap_equal(status.status, EVTCHNSTAT_unbound, "closing one end frees the other");
	tap_equal(event_send(unbound.port), 0, "sending to nobody is no error");
	event_close(unbound.port);
}

static void test_poll(void)
{
	evtchn_port_t port = event_bind_ipi(0);
	struct sched_poll poll = { .nr_ports = 1 };
	unsigned int times = 0;
	u64 start;
	long rc;

	event_mask(port);
	set_xen_guest_handle(poll.ports, &port);
	start = xen_time();
	poll.timeout = start + 20000000;
	/* It may end early for an event on another port. */
	do {
		rc = sched_op(SCHEDOP_poll, &poll);
	} while (!rc && ++times < 20 && xen_time() < start + 20000000);
	tap_equal(rc, 0, "a poll ends by its time");
	tap(times < 20, "not earlier");
	event_send(port);
	start = xen_time();
	poll.timeout = start + 20000000000;
	tap_equal(sched_op(SCHEDOP_poll, &poll), 0, "a poll for a pending port ends");
	tap(xen_time() - start < 10000000000, "at once");
	event_clear(port);
	/* A mask outlives its port. */
	event_unmask(port);
	event_close(port);
}

static void test_many(void)
{
	struct evtchn_alloc_unbound unbound = { .dom = DOMID_SELF, .remote_dom = DOMID_SELF };
	static evtchn_port_t ports[EVENT_PORTS];
	unsigned int count = 0, i, good = 0;
	long rc;

	while (!(rc = evtchn_op(EVTCHNOP_alloc_unbound, &unbound)) && count < EVENT_PORTS)
		ports[count++] = unbound.port;
	tap_note("%u more ports", count);
	tap(rc == -XEN_ENOSPC || count == EVENT_PORTS, "there is an end to ports");
	tap_note("then alloc_unbound is %ld", rc);
	for (i = 0; i < count; i++)
		good += !event_close(ports[i]);
	tap_equal(good, count, "all can be closed");
	tap_equal(evtchn_op(EVTCHNOP_alloc_unbound, &unbound), 0, "then there are ports again");
	event_close(unbound.port);
}

static void test_second_cpu(void)
{
	evtchn_port_t port = event_bind_ipi(1), virq0, virq1, moved;
	struct evtchn_alloc_unbound unbound = { .dom = DOMID_SELF, .remote_dom = DOMID_SELF };
	struct evtchn_bind_interdomain bind = { .remote_dom = DOMID_SELF };
	struct evtchn_bind_vcpu vcpu = { .vcpu = 1 };
	struct vcpu_set_singleshot_timer timer = { .timeout_abs_ns = 1 };

	event_count[port] = 0;
	event_send(port);
	tap(wait_for(&event_count[port], 1, 10000), "an IPI to the second CPU is taken");
	tap_equal(event_cpu[port], 1, "there");
	evtchn_op(EVTCHNOP_alloc_unbound, &unbound);
	bind.remote_port = unbound.port;
	evtchn_op(EVTCHNOP_bind_interdomain, &bind);
	deliver(20);
	moved = unbound.port;
	vcpu.port = moved;
	tap_equal(evtchn_op(EVTCHNOP_bind_vcpu, &vcpu), 0, "a port moves to the second CPU");
	event_bound[moved] = 1;
	event_count[moved] = 0;
	event_send(bind.local_port);
	tap(wait_for(&event_count[moved], 1, 10000), "its event is taken");
	tap_equal(event_cpu[moved], 1, "there");
	event_close(bind.local_port);
	event_close(moved);
	/* Each has a timer of its own. */
	virq0 = event_bind_virq(VIRQ_TIMER, 0);
	virq1 = event_bind_virq(VIRQ_TIMER, 1);
	tap(virq0 != virq1, "both have a timer's port");
	event_count[virq0] = event_count[virq1] = 0;
	vcpu_op(VCPUOP_stop_periodic_timer, 0, 0);
	tap_equal(vcpu_op(VCPUOP_set_singleshot_timer, 1, &timer), -XEN_EINVAL,
		  "a CPU cannot set another's");
	vcpu_op(VCPUOP_set_singleshot_timer, 0, &timer);
	tap(wait_for(&event_count[virq0], 1, 10000), "its own it can");
	tap_equal(event_count[virq1], 0, "the other's does not fire");
	event_close(virq0);
	event_close(virq1);
	event_close(port);
}

/* A poll whose time is over leaves nothing behind that ends a later block. */
static void test_block_after_poll(void)
{
	evtchn_port_t polled = event_bind_ipi(0), wake = event_bind_ipi(1);
	evtchn_port_t virq = event_bind_virq(VIRQ_TIMER, 0);
	struct sched_poll poll = { .nr_ports = 1 };
	struct vcpu_set_singleshot_timer timer = { 0 };
	unsigned int tries;
	bool blocked = false;

	event_mask(polled);
	set_xen_guest_handle(poll.ports, &polled);
	/* Something else may end the block early. Not every time. */
	for (tries = 0; tries < 3 && !blocked; tries++) {
		event_clear(polled);
		poll.timeout = xen_time() + 1000000;
		while (xen_time() < poll.timeout)
			sched_op(SCHEDOP_poll, &poll);
		timer.timeout_abs_ns = poll.timeout + 200000000;
		late_time = poll.timeout + 50000000;
		WRITE_ONCE(late_port, polled);
		event_send(wake);
		vcpu_op(VCPUOP_set_singleshot_timer, 0, &timer);
		/* What is pending already while interrupts are off would not wake it, nor anything after that. */
		irq_enable();
		sched_op(SCHEDOP_block, 0);
		blocked = xen_time() >= timer.timeout_abs_ns;
		irq_disable();
		deliver(300);
	}
	tap(blocked, "a poll that is over does not end a block");
	tap(event_is_pending(polled), "though its port's event has come");
	event_close(virq);
	event_close(wake);
	event_unmask(polled);
	event_close(polled);
}

static void test_reset(void)
{
	struct evtchn_reset reset = { .dom = DOMID_SELF };
	evtchn_port_t port = event_bind_ipi(0);

	event_send(port);
	print_flush();
	/* The console's port goes with the others: the end says how it went. */
	if (evtchn_op(EVTCHNOP_reset, &reset) || event_send(port) != -XEN_EINVAL)
		shutdown(SHUTDOWN_crash);
	power_off();
}

/* --- FIFO --- */

#define WORDS (PAGE_SIZE / sizeof(event_word_t))

static struct evtchn_fifo_control_block control __attribute__((aligned(4096)));
static event_word_t words[2 * WORDS] __attribute__((aligned(4096)));
static evtchn_port_t order[64];
static unsigned int taken;

static bool word_bit(evtchn_port_t port, unsigned int bit)
{
	return READ_ONCE(words[port]) >> bit & 1;
}

static void take_queue(unsigned int priority)
{
	u32 port = READ_ONCE(control.head[priority]), old;

	while (port) {
		do {
			old = READ_ONCE(words[port]);
		} while (!__atomic_compare_exchange_n(&words[port], &(u32){ old },
						      old & ~(1U << EVTCHN_FIFO_LINKED |
							      EVTCHN_FIFO_LINK_MASK),
						      false, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST));
		if (old >> EVTCHN_FIFO_PENDING & 1 && !(old >> EVTCHN_FIFO_MASKED & 1)) {
			__atomic_and_fetch(&words[port], ~(1U << EVTCHN_FIFO_PENDING),
					   __ATOMIC_SEQ_CST);
			if (taken < ARRAY_SIZE(order))
				order[taken] = port;
			taken++;
		}
		port = old & EVTCHN_FIFO_LINK_MASK;
	}
}

static void fifo_take(struct regs *regs)
{
	unsigned int priority;
	u32 ready;

	shared_info->vcpu_info[this_cpu()->index].evtchn_upcall_pending = 0;
	while ((ready = __atomic_exchange_n(&control.ready, 0, __ATOMIC_SEQ_CST)))
		for (priority = 0; priority <= EVTCHN_FIFO_PRIORITY_MIN; priority++)
			if (ready >> priority & 1)
				take_queue(priority);
}

static bool wait_taken(unsigned int wanted)
{
	return wait_for(&taken, wanted, 10000);
}

static void test_fifo(void)
{
	struct evtchn_init_control init = { .control_gfn = H(&control) / PAGE_SIZE, .vcpu = 0 };
	struct evtchn_expand_array expand = { .array_gfn = H(words) / PAGE_SIZE };
	struct evtchn_set_priority priority;
	static const u32 tools[] = { HVM_PARAM_CONSOLE_EVTCHN, HVM_PARAM_STORE_EVTCHN };
	static evtchn_port_t ports[2 * WORDS];
	unsigned int i, good, count;
	u64 port;
	long rc;

	/* What others send on the tools' ports is not counted here. */
	for (i = 0; i < ARRAY_SIZE(tools); i++)
		if (!hvm_param(tools[i], &port) && port < ARRAY_SIZE(words))
			words[port] = 1U << EVTCHN_FIFO_MASKED;
	rc = evtchn_op(EVTCHNOP_init_control, &init);
	if (rc == -XEN_ENOSYS) {
		tap_skip("there are none", "FIFO queues");
		return;
	}
	tap_equal(rc, 0, "a control block is given");
	tap_equal(init.link_bits, EVTCHN_FIFO_LINK_BITS, "links have 17 bits");
	set_handler(VEC_UPCALL, fifo_take);
	tap_equal(evtchn_op(EVTCHNOP_init_control, &init), -XEN_EINVAL, "not twice");
	tap_equal(evtchn_op(EVTCHNOP_expand_array, &expand), 0, "an array page is given");
	expand.array_gfn++;
	tap_equal(evtchn_op(EVTCHNOP_expand_array, &expand), 0, "and another");
	expand.array_gfn = 1 << 24;
	tap(evtchn_op(EVTCHNOP_expand_array, &expand) < 0, "not one that is no memory");

	ports[0] = event_bind_ipi(0);
	tap_equal(event_send(ports[0]), 0, "an event is sent");
	tap(word_bit(ports[0], EVTCHN_FIFO_PENDING) && word_bit(ports[0], EVTCHN_FIFO_LINKED),
	    "it is pending, in a queue");
	tap_equal(control.ready, 1U << EVTCHN_FIFO_PRIORITY_DEFAULT, "the queue is ready");
	tap_equal(control.head[EVTCHN_FIFO_PRIORITY_DEFAULT], ports[0], "it is its head");
	tap(wait_taken(1), "it is taken");
	taken = 0;
	event_send(ports[0]);
	event_send(ports[0]);
	wait_taken(1);
	deliver(20);
	tap_equal(taken, 1, "two are one");
	/* A mask. */
	taken = 0;
	__atomic_or_fetch(&words[ports[0]], 1U << EVTCHN_FIFO_MASKED, __ATOMIC_SEQ_CST);
	event_send(ports[0]);
	deliver(20);
	tap_equal(taken, 0, "a masked event is not taken");
	tap(word_bit(ports[0], EVTCHN_FIFO_PENDING), "but pending");
	tap_equal(event_unmask(ports[0]), 0, "it is unmasked");
	tap(!word_bit(ports[0], EVTCHN_FIFO_MASKED), "the mask is gone");
	tap(wait_taken(1), "it is taken then");

	/* Priorities: what is sent last is taken first. */
	for (i = 1; i < 16; i++)
		ports[i] = event_bind_ipi(0);
	for (i = good = 0; i < 16; i++) {
		priority.port = ports[i];
		priority.priority = i;
		good += !evtchn_op(EVTCHNOP_set_priority, &priority);
	}
	tap_equal(good, 16, "each port has a priority of its own");
	priority.priority = 16;
	tap_equal(evtchn_op(EVTCHNOP_set_priority, &priority), -XEN_EINVAL, "there is no 17th");
	taken = 0;
	for (i = 16; i--;)
		event_send(ports[i]);
	tap_equal(control.ready, 0xffff, "all queues are ready");
	wait_taken(16);
	for (i = good = 0; i < 16; i++)
		good += order[i] == ports[i];
	tap_equal(good, 16, "the most urgent is first");
	/* One priority: in the order in which they came. */
	for (i = 0; i < 16; i++) {
		priority.port = ports[i];
		priority.priority = 3;
		evtchn_op(EVTCHNOP_set_priority, &priority);
	}
	taken = 0;
	for (i = 0; i < 16; i++)
		event_send(ports[(i * 5) % 16]);
	wait_taken(16);
	for (i = good = 0; i < 16; i++)
		good += order[i] == ports[(i * 5) % 16];
	tap_equal(good, 16, "of one priority the first is first");
	for (i = 0; i < 16; i++)
		event_close(ports[i]);
	/* More ports than the 2-level kind has. */
	for (count = 0; count < ARRAY_SIZE(ports); count++) {
		struct evtchn_alloc_unbound unbound = {
			.dom = DOMID_SELF,
			.remote_dom = DOMID_SELF,
		};

		if (evtchn_op(EVTCHNOP_alloc_unbound, &unbound))
			break;
		ports[count] = unbound.port;
	}
	tap_note("%u ports more", count);
	for (i = good = 0; i < count; i++)
		good += !event_close(ports[i]);
	tap_equal(good, count, "all can be closed");
}

void main(void)
{
	bool second;

	tap_begin();
	need_xen();
	tap_equal(events_init(VEC_UPCALL), 0, "events come as interrupts");
	if (param("reset"))
		test_reset();
	test_ipi();
	test_interdomain();
	test_poll();
	test_many();
	second = smp_start(other_cpu, false) > 1;
	if (second) {
		test_second_cpu();
		test_block_after_poll();
	} else {
		tap_skip("one CPU only", "events on a second CPU");
	}
	leave = true;
	test_fifo();
	tap_end();
}
