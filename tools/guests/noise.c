// SPDX-License-Identifier: GPL-2.0-only
/*
 * Does again and again what a hypervisor may be tempted to write a line about: hypercalls that are none,
 * registers that are none, instructions that cannot be, accesses to nothing. Each must be answered every time
 * as it is the first time.
 *
 * Command line: n=2000 says how often; end crashes at the end, by an instruction that nobody emulates on what
 * is not memory.
 */

#include "guest.h"

#define NOTHING 0xf8000000UL

static int undefined(void)
{
	fault_begin();
	__asm__ volatile("1: ud2\n2:\n" EXTABLE(1b, 2b) ::: "memory");
	return fault_end();
}

/* LOCK is not for MOV, whatever it is that MOV writes to. */
static int locked(void)
{
	fault_begin();
	__asm__ volatile("1: .byte 0xf0\n movl %%eax, (%0)\n2:\n" EXTABLE(1b, 2b)
			 :: "r"(NOTHING) : "memory");
	return fault_end();
}

static void hypercalls(u32 count)
{
	static u8 garbage[512];
	u32 i, wrong = 0;

	memset(garbage, 0xa5, sizeof(garbage));
	for (i = 0; i < count; i++) {
		wrong += hypercall0(100 + i) != -XEN_ENOSYS;
		wrong += sched_op(1000 + i, garbage) != -XEN_ENOSYS;
		wrong += memory_op(XENMEM_populate_physmap, garbage) > 0;
		wrong += evtchn_op(EVTCHNOP_bind_interdomain, garbage) >= 0;
		wrong += hypercall1(__HYPERVISOR_domctl, garbage) >= 0;
		wrong += hypercall1(__HYPERVISOR_sysctl, garbage) >= 0;
		wrong += set_hvm_param(1000 + i, 0) != -XEN_EINVAL;
		wrong += vcpu_op(VCPUOP_register_vcpu_info, 0, garbage) >= 0;
	}
	tap_equal(wrong, 0, "hypercalls that are none are refused %u times", count);
}

static void registers(u32 count)
{
	u32 i, wrong = 0;
	u64 value;

	for (i = 0; i < count; i++) {
		wrong += rdmsr_safe(0x80000000 + i, &value) != VEC_GP;
		wrong += wrmsr_safe(0x80000000 + i, i) != VEC_GP;
		wrong += write_cr4_safe(read_cr4() | 1UL << 31) != VEC_GP;
	}
	tap_equal(wrong, 0, "registers that are none fault %u times", count);
}

static void instructions(u32 count)
{
	u32 i, wrong = 0;

	for (i = 0; i < count; i++) {
		wrong += undefined() != VEC_UD;
		wrong += locked() != VEC_UD;
	}
	tap_equal(wrong, 0, "instructions that cannot be fault %u times", count);
}

static void accesses(u32 count)
{
	u32 i, wrong = 0;

	for (i = 0; i < count; i++) {
		wrong += *(volatile u32 *)(NOTHING + i * 4) != 0xffffffff;
		*(volatile u32 *)(NOTHING + i * 4) = i;
		wrong += inl(0x4f0) != 0xffffffff;
		outl(0x4f0, i);
		apic_write(0x3f0 - (i & 3) * 0x10, 0xffffffff);
	}
	tap_equal(wrong, 0, "nothing reads as ones %u times", count);
}

void main(void)
{
	u32 count = param_number("n", 2000);

	tap_begin();
	need_xen();
	hypercalls(count);
	registers(count);
	instructions(count);
	accesses(count);
	if (param("end")) {
		print_flush();
		__asm__ volatile("fxsave (%0)" :: "r"(NOTHING) : "memory");
	}
	tap_end();
}
