// SPDX-License-Identifier: GPL-2.0-only
/*
 * Starts every CPU of the MADT with INIT and STARTUP, and lets them count, wait and interrupt each other.
 *
 * Command line: vcpus=N says how many there should be; x2apic uses that mode.
 */

#include "guest.h"

enum { VEC_TICK = 0x40, VEC_DONE = 0x41 };

#define ROUNDS 1000

static u64 shared_count, own_count[MAX_CPUS];
static unsigned int ticks[MAX_CPUS], nmis[MAX_CPUS], ids[MAX_CPUS], done;
static bool x2apic, leave;

static void add(u64 *to)
{
	__asm__ volatile("lock incq %0" : "+m"(*to) :: "memory");
}

static void add32(unsigned int *to)
{
	__asm__ volatile("lock incl %0" : "+m"(*to) :: "memory");
}

static void on_tick(struct regs *regs)
{
	ticks[this_cpu()->index]++;
	apic_eoi();
}

static void on_nmi(struct regs *regs)
{
	nmis[this_cpu()->index]++;
}

static void on_done(struct regs *regs)
{
	apic_eoi();
	add32(&done);
}

static void other_cpu(void)
{
	unsigned int index = this_cpu()->index, i;

	apic_enable(x2apic);
	ids[index] = apic_id();
	for (i = 0; i < ROUNDS; i++) {
		add(&shared_count);
		own_count[index]++;
	}
	/* Tells the first CPU, then waits for its interrupts with HLT. */
	irq_enable();
	apic_icr(cpus[0].apic_id, ICR_FIXED | ICR_ASSERT | VEC_DONE);
	for (;;) {
		irq_disable();
		if (READ_ONCE(leave))
			break;
		irq_enable_and_halt();
	}
	add32(&done);
}

/* Waits for some seconds until a number is reached. */
static bool reaches(unsigned int *number, unsigned int wanted)
{
	unsigned int i;

	for (i = 0; i < 10000 && READ_ONCE(*number) < wanted; i++) {
		irq_enable();
		delay_ns(1000000);
		irq_disable();
		if (on_xen)
			sched_op(SCHEDOP_yield, 0);
	}
	return READ_ONCE(*number) == wanted;
}

/* Returns how many of the other CPUs have count `wanted` within some seconds. */
static unsigned int how_many(unsigned int *counts, unsigned int running, unsigned int wanted)
{
	unsigned int i, good = 0;

	for (i = 1; i < running; i++)
		good += reaches(&counts[i], wanted);
	return good;
}

void main(void)
{
	unsigned int running, expected = param_number("vcpus", 0), i, good;

	tap_begin();
	if (on_xen)
		tap_equal(xen_map_shared_info(), 0, "shared_info is mapped");
	set_handler(VEC_TICK, on_tick);
	set_handler(VEC_DONE, on_done);
	set_handler(VEC_NMI, on_nmi);
	x2apic = param("x2apic") && apic_has_x2apic();

	running = smp_start(other_cpu, x2apic);
	tap_note("%u CPUs run, in %s mode", running, x2apic ? "x2APIC" : "xAPIC");
	if (expected)
		tap_equal(running, expected, "all CPUs start");
	else
		tap(running > 1, "other CPUs start");

	/* One interrupt may stand for several: they were all of one vector. */
	tap(running == 1 || reaches(&done, 1) || done, "other CPUs interrupt the first");
	for (i = 0; i < 10000 && READ_ONCE(shared_count) < (u64)(running - 1) * ROUNDS; i++)
		delay_ns(1000000);
	tap_equal(shared_count, (u64)(running - 1) * ROUNDS, "an atomic count misses nothing");
	for (good = 0, i = 1; i < running; i++)
		good += own_count[i] == ROUNDS;
	tap_equal(good, running - 1, "every CPU has counted");
	for (good = 0, i = 1; i < running; i++)
		good += ids[i] == cpus[i].apic_id;
	tap_equal(good, running - 1, "every CPU has the APIC ID that the MADT gives it");

	for (i = 1; i < running; i++)
		apic_icr(cpus[i].apic_id, ICR_FIXED | ICR_ASSERT | VEC_TICK);
	tap_equal(how_many(ticks, running, 1), running - 1,
		  "an interrupt reaches each CPU by its ID");
	apic_icr(0, ICR_FIXED | ICR_ASSERT | ICR_OTHERS | VEC_TICK);
	tap_equal(how_many(ticks, running, 2), running - 1,
		  "an interrupt reaches all others at once");
	apic_icr(0, ICR_FIXED | ICR_ASSERT | ICR_SELF | VEC_TICK);
	tap(reaches(&ticks[0], 1), "an interrupt reaches the CPU itself");
	apic_icr(0, ICR_FIXED | ICR_ASSERT | ICR_ALL | VEC_TICK);
	tap_equal(how_many(ticks, running, 3), running - 1, "an interrupt reaches all");
	tap(reaches(&ticks[0], 2), "an interrupt to all reaches the sender");
	for (i = 1; i < running; i++)
		apic_icr(cpus[i].apic_id, ICR_NMI | ICR_ASSERT);
	tap_equal(how_many(nmis, running, 1), running - 1, "an NMI reaches each CPU");

	if (on_xen) {
		for (good = 0, i = 0; i < running; i++)
			good += vcpu_op(VCPUOP_is_up, i, 0) == 1;
		tap_equal(good, running, "Xen says that all are up");
		tap_equal(vcpu_op(VCPUOP_is_up, running + 500, 0), -XEN_ENOENT,
			  "there are no more");
	}

	done = 0;
	WRITE_ONCE(leave, true);
	apic_icr(0, ICR_FIXED | ICR_ASSERT | ICR_OTHERS | VEC_TICK);
	tap(reaches(&done, running - 1), "all leave when told");
	tap_end();
}
