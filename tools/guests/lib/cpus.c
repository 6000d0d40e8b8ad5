// SPDX-License-Identifier: GPL-2.0-only
/* Other CPUs. */

#include "guest.h"

#ifdef __x86_64__

#define TRAMPOLINE 0x8000UL

extern char ap_start[], ap_end[];
extern ulong ap_stack;

static struct cpu *starting;

/* On a CPU just started, on its own stack; the next may start when it says so. */
void __attribute__((noreturn)) ap_c(void)
{
	struct cpu *cpu = starting;

	trap_init(cpu);
	WRITE_ONCE(cpu->online, true);
	cpu->run();
	irq_disable();
	for (;;)
		__asm__ volatile("hlt");
}

static bool start_one(struct cpu *cpu, void (*run)(void))
{
	unsigned int i;

	cpu->run = run;
	starting = cpu;
	ap_stack = H(cpu->stack + sizeof(cpu->stack));
	apic_icr(cpu->apic_id, ICR_INIT | ICR_ASSERT);
	delay_ns(10000);
	apic_icr(cpu->apic_id, ICR_STARTUP | ICR_ASSERT | TRAMPOLINE >> 12);
	for (i = 0; i < 5000 && !READ_ONCE(cpu->online); i++) {
		if (on_xen)
			sched_op(SCHEDOP_yield, 0);
		delay_ns(1000000);
		/* Hardware may want a second one; a CPU that runs ignores it. */
		if (i == 100 && !READ_ONCE(cpu->online))
			apic_icr(cpu->apic_id, ICR_STARTUP | ICR_ASSERT | TRAMPOLINE >> 12);
	}
	return READ_ONCE(cpu->online);
}

unsigned int smp_start(void (*run)(void), bool x2apic)
{
	u32 ids[MAX_CPUS];
	unsigned int count = madt_cpus(ids, MAX_CPUS), i, running = 1;

	apic_enable(x2apic);
	cpus[0].apic_id = apic_id();
	cpus[0].online = true;
	memcpy((void *)TRAMPOLINE, ap_start, ap_end - ap_start);
	for (i = 0; i < count; i++) {
		if (ids[i] == cpus[0].apic_id)
			continue;
		cpus[running].apic_id = ids[i];
		if (!start_one(&cpus[running], run)) {
			tap_note("the CPU with APIC ID %u does not start", ids[i]);
			break;
		}
		running++;
	}
	return running;
}

#else

unsigned int smp_start(void (*run)(void), bool x2apic)
{
	return 1;
}

#endif
