// SPDX-License-Identifier: GPL-2.0-only
/* Xen's timers, its time, and the local APIC's timer. */

#include "guest.h"

enum { VEC_UPCALL = 0xf3, VEC_TIMER = 0x50 };

#define MS 1000000ULL

static evtchn_port_t port;
static unsigned int apic_ticks;

static long set_once(u64 when)
{
	struct vcpu_set_singleshot_timer timer = { .timeout_abs_ns = when };

	return vcpu_op(VCPUOP_set_singleshot_timer, 0, &timer);
}

static long set_period(u64 ns)
{
	struct vcpu_set_periodic_timer timer = { .period_ns = ns };

	return vcpu_op(VCPUOP_set_periodic_timer, 0, &timer);
}

/* Halts until the timer's event comes; returns the time then. */
static u64 halt_for_event(void)
{
	while (!READ_ONCE(event_count[port])) {
		irq_enable_and_halt();
		irq_disable();
	}
	return xen_time();
}

static void test_time(void)
{
	u64 last = xen_time(), now, backwards = 0, tsc;
	u32 i;

	tap(last > 0, "time goes");
	for (i = 0; i < 100000; i++) {
		now = xen_time();
		backwards += now < last;
		last = now;
	}
	tap_equal(backwards, 0, "time does not go backwards");
	tap(shared_info->wc_version && !(shared_info->wc_version & 1), "there is a wall clock");
	tap(shared_info->wc_sec || shared_info->wc_sec_hi, "and it is set");
	tsc = rdtsc();
	delay_ns(10 * MS);
	tap(rdtsc() > tsc, "the TSC goes");
}

static void test_once(void)
{
	struct vcpu_runstate_info before, after;
	u64 when, now, spent;

	when = xen_time() + 30 * MS;
	event_count[port] = 0;
	vcpu_op(VCPUOP_get_runstate_info, 0, &before);
	tap_equal(set_once(when), 0, "a single-shot timer is set");
	now = halt_for_event();
	vcpu_op(VCPUOP_get_runstate_info, 0, &after);
	tap(now >= when, "it is not early");
	tap_note("%llu us late", (unsigned long long)divide(now - when, 1000, NULL));
	tap(now < when + 10000 * MS, "it is not very late");
	spent = after.time[RUNSTATE_blocked] - before.time[RUNSTATE_blocked];
	tap(spent > 10 * MS, "R-9 a halted vCPU's time counts as blocked");
	spent = after.time[0] + after.time[1] + after.time[2] + after.time[3] - before.time[0] -
		before.time[1] - before.time[2] - before.time[3];
	tap(spent >= 29 * MS, "R-9 no time is missing");
	delay_ns(20 * MS);
	tap_equal(event_count[port], 1, "it fires once");

	event_count[port] = 0;
	tap_equal(set_once(1), 0, "a timer in the past is set");
	tap(wait_for(&event_count[port], 1, 10000), "it fires at once");

	event_count[port] = 0;
	set_once(xen_time() + 100 * MS);
	tap_equal(vcpu_op(VCPUOP_stop_singleshot_timer, 0, 0), 0, "a timer is stopped");
	tap(!wait_for(&event_count[port], 1, 200), "it does not fire");

	event_count[port] = 0;
	set_once(xen_time() + 100000 * MS);
	when = xen_time() + 20 * MS;
	set_once(when);
	now = halt_for_event();
	tap(now >= when && now < when + 10000 * MS, "a new time replaces the old");
}

static void test_set_timer_op(void)
{
	u64 when = xen_time() + 20 * MS, now;

	event_count[port] = 0;
#ifdef __x86_64__
	tap_equal(hypercall1(__HYPERVISOR_set_timer_op, when), 0, "set_timer_op sets a timer");
#endif
	now = halt_for_event();
	tap(now >= when && now < when + 10000 * MS, "it fires in time");
	event_count[port] = 0;
	hypercall1(__HYPERVISOR_set_timer_op, xen_time() + 100 * MS);
	tap_equal(hypercall1(__HYPERVISOR_set_timer_op, 0), 0, "set_timer_op of 0 stops it");
	tap(!wait_for(&event_count[port], 1, 200), "it does not fire");
}

static void test_periodic(void)
{
	u64 start;

	event_count[port] = 0;
	start = xen_time();
	tap_equal(set_period(10 * MS), 0, "a periodic timer is set");
	tap(wait_for(&event_count[port], 10, 30000), "it fires again and again");
	tap(xen_time() - start >= 89 * MS, "not too often");
	tap_equal(vcpu_op(VCPUOP_stop_periodic_timer, 0, 0), 0, "it is stopped");
	wait_for(&event_count[port], ~0U, 30);
	event_count[port] = 0;
	tap(!wait_for(&event_count[port], 1, 100), "it fires no more");
}

/* A timer that goes off while nobody may be interrupted waits. */
static void test_masked(void)
{
	event_count[port] = 0;
	event_mask(port);
	set_once(xen_time() + 10 * MS);
	delay_ns(50 * MS);
	tap(event_is_pending(port), "a timer behind a mask leaves its event pending");
	tap_equal(event_count[port], 0, "and not taken");
	event_unmask(port);
	tap(wait_for(&event_count[port], 1, 10000), "until it is unmasked");
}

static void on_apic_timer(struct regs *regs)
{
	apic_ticks++;
	apic_eoi();
}

static void test_apic(bool x2apic)
{
	const char *mode = x2apic ? "x2APIC" : "xAPIC";
	u32 first, second;

	apic_enable(x2apic);
	apic_write(APIC_TIMER_DIVIDE, 0xb);
	/* Counts down, masked. */
	apic_write(APIC_LVT_TIMER, LVT_MASKED | VEC_TIMER);
	apic_write(APIC_TIMER_INITIAL, 0xffffffff);
	first = apic_read(APIC_TIMER_CURRENT);
	delay_ns(5 * MS);
	second = apic_read(APIC_TIMER_CURRENT);
	tap(second < first, "%s: the timer counts down", mode);
	apic_write(APIC_TIMER_INITIAL, 0);
	tap_equal(apic_read(APIC_TIMER_CURRENT), 0, "%s: it stops at once", mode);
	apic_ticks = 0;
	apic_write(APIC_TIMER_INITIAL, 1000);
	tap(!wait_for(&apic_ticks, 1, 100), "%s: a masked timer does not interrupt", mode);
	/* Once. */
	apic_write(APIC_LVT_TIMER, VEC_TIMER);
	apic_ticks = 0;
	apic_write(APIC_TIMER_INITIAL, 100000);
	tap(wait_for(&apic_ticks, 1, 10000), "%s: a one-shot timer interrupts", mode);
	wait_for(&apic_ticks, ~0U, 50);
	tap_equal(apic_ticks, 1, "%s: once", mode);
	/* Again and again. */
	apic_write(APIC_LVT_TIMER, VEC_TIMER | LVT_PERIODIC);
	apic_ticks = 0;
	apic_write(APIC_TIMER_INITIAL, (first - second) / 2);
	tap(wait_for(&apic_ticks, 5, 30000), "%s: a periodic timer interrupts again and again",
	    mode);
	apic_write(APIC_TIMER_INITIAL, 0);
	wait_for(&apic_ticks, ~0U, 20);
	apic_ticks = 0;
	tap(!wait_for(&apic_ticks, 1, 50), "%s: it can be stopped", mode);
	/* At a time of the TSC. */
	if (!(cpuid(1).c >> 24 & 1)) {
		tap_skip("CPUID does not offer it", "%s: a timer by TSC", mode);
		return;
	}
	apic_write(APIC_LVT_TIMER, VEC_TIMER | LVT_DEADLINE);
	wrmsr(0x6e0, rdtsc() + 1000000);
	tap(wait_for(&apic_ticks, 1, 10000), "%s: a timer by TSC interrupts", mode);
	tap_equal(rdmsr(0x6e0), 0, "%s: and is off then", mode);
}

void main(void)
{
	tap_begin();
	need_xen();
	tap_equal(events_init(VEC_UPCALL), 0, "events come as interrupts");
	port = event_bind_virq(VIRQ_TIMER, 0);
	vcpu_op(VCPUOP_stop_periodic_timer, 0, 0);
	test_time();
	test_once();
	test_set_timer_op();
	test_periodic();
	test_masked();
	set_handler(VEC_TIMER, on_apic_timer);
	test_apic(false);
	if (apic_has_x2apic())
		test_apic(true);
	tap_end();
}
