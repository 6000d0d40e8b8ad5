// SPDX-License-Identifier: GPL-2.0-only
/*
 * Each CPU keeps its own values in all vector registers and in the x87's, and looks at them after every
 * kind of exit, with the others doing the same: nothing may mix, and nothing of the host may show.
 *
 * Command line: rounds=2000.
 */

#include "guest.h"

static bool avx;
static unsigned int bad[MAX_CPUS], done;
static u32 rounds;

struct state {
	u8 ymm[16][32];
	u32 mxcsr;
	u16 fcw;
};

#define EACH_REGISTER(m)						\
	m(0) m(1) m(2) m(3) m(4) m(5) m(6) m(7) m(8) m(9) m(10) m(11) m(12) m(13) m(14) m(15)

static void load(const struct state *state)
{
	if (avx) {
#define LOAD(n) "vmovups " #n "*32(%0), %%ymm" #n "\n"
		__asm__ volatile(EACH_REGISTER(LOAD) :: "r"(state) : "memory");
#undef LOAD
	} else {
#define LOAD(n) "movups " #n "*32(%0), %%xmm" #n "\n"
		__asm__ volatile(EACH_REGISTER(LOAD) :: "r"(state) : "memory");
#undef LOAD
	}
	__asm__ volatile("ldmxcsr %0; fldcw %1" :: "m"(state->mxcsr), "m"(state->fcw));
}

static void store(struct state *state)
{
	memset(state, 0, sizeof(*state));
	if (avx) {
#define STORE(n) "vmovups %%ymm" #n ", " #n "*32(%0)\n"
		__asm__ volatile(EACH_REGISTER(STORE) :: "r"(state) : "memory");
#undef STORE
	} else {
#define STORE(n) "movups %%xmm" #n ", " #n "*32(%0)\n"
		__asm__ volatile(EACH_REGISTER(STORE) :: "r"(state) : "memory");
#undef STORE
	}
	__asm__ volatile("stmxcsr %0; fnstcw %1" : "=m"(state->mxcsr), "=m"(state->fcw));
}

/* Fills a state with what only this CPU and round have. */
static void make(struct state *state, u32 cpu, u32 round)
{
	unsigned int i, j;

	memset(state, 0, sizeof(*state));
	for (i = 0; i < 16; i++)
		for (j = 0; j < (avx ? 32 : 16); j++)
			state->ymm[i][j] = cpu * 67 + i * 13 + j * 3 + round;
	state->mxcsr = 0x1f80 | (cpu & 3) << 13;
	state->fcw = 0x037f ^ (cpu & 3) << 10;
}

static void enable(void)
{
	write_cr0((read_cr0() & ~(CR0_EM | CR0_TS)) | CR0_MP | CR0_NE);
	write_cr4(read_cr4() | CR4_OSFXSR | CR4_OSXMMEXCPT |
		  (cpuid(1).c >> 26 & 1 ? CR4_OSXSAVE : 0));
	if (avx)
		xsetbv_safe(0, 7);
	__asm__ volatile("fninit");
}

/* Leaves the guest in one of several ways. */
static void leave(u32 round)
{
	switch (round % 6) {
	case 0:
		cpuid(0);
		break;
	case 1:
		if (on_xen)
			sched_op(SCHEDOP_yield, 0);
		break;
	case 2:
		rdmsr(MSR_APIC_BASE);
		break;
	case 3:
		inb(0x4f8);
		break;
	case 4:
		apic_read(APIC_ID);
		break;
	case 5:
		/* Long enough for the scheduler. */
		if (round % 60 == 5)
			delay_ns(2000000);
		break;
	}
}

static void work(void)
{
	struct cpu *cpu = this_cpu();
	struct state mine, now;
	u32 round;

	enable();
	for (round = 0; round < rounds; round++) {
		make(&mine, cpu->index + 1, round);
		load(&mine);
		leave(round);
		store(&now);
		/* The exception flags of MXCSR may be set by nobody here. */
		bad[cpu->index] += !!memcmp(&mine, &now, sizeof(mine));
	}
	__asm__ volatile("lock incl %0" : "+m"(done));
}

void main(void)
{
	unsigned int running, i;
	struct state first, empty;
	u16 control;

	tap_begin();
	rounds = param_number("rounds", 2000);
	avx = (cpuid(1).c >> 28 & 1) && (cpuid_count(0xd, 0).a & 4);
	if (on_xen)
		xen_map_shared_info();
	enable();
	/* Before anything is put in. */
	store(&first);
	memset(&empty, 0, sizeof(empty));
	tap(!memcmp(first.ymm, empty.ymm, sizeof(empty.ymm)),
	    "vector registers are empty at first");
	tap_equal(first.mxcsr, 0x1f80, "MXCSR is as after a reset");
	__asm__ volatile("fnstcw %0" : "=m"(control));
	tap_equal(control, 0x37f, "the x87 takes FNINIT");

	apic_enable(false);
	running = smp_start(work, false);
	tap_note("%u CPUs, %s", running, avx ? "AVX" : "SSE");
	work();
	for (i = 0; i < 60000 && READ_ONCE(done) < running; i++)
		delay_ns(1000000);
	tap_equal(done, running, "all CPUs finish");
	for (i = 0; i < running; i++)
		tap_equal(bad[i], 0, "CPU %u keeps its registers", i);

	/* With CR0.TS the next use faults, and the registers stay. */
	make(&first, 9, 9);
	load(&first);
	write_cr0(read_cr0() | CR0_TS);
	fault_begin();
	__asm__ volatile("1: movups %%xmm0, %%xmm0\n2:\n" EXTABLE(1b, 2b) ::: "memory");
	tap_equal(fault_end(), VEC_NM, "CR0.TS makes SSE fault");
	cpuid(0);
	write_cr0(read_cr0() & ~CR0_TS);
	store(&empty);
	tap(!memcmp(&first, &empty, sizeof(first)), "the registers are as they were");
	tap_end();
}
