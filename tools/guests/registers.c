// SPDX-License-Identifier: GPL-2.0-only
/*
 * Puts known values into every register that it can and stays there, for those who look at guests from
 * outside. Says first where it will be: general registers hold 0x0101010101010101 times their number, vector
 * registers 0xa0 plus their number in each byte.
 */

#include "guest.h"

extern char registers_spin[];

static u8 vectors[16][16] __attribute__((aligned(16)));
u64 registers_marker[4] = {
	0x1122334455667788, 0x99aabbccddeeff00, 0x0123456789abcdef, 0xfedcba9876543210,
};

#define EACH_REGISTER(m)						\
	m(0) m(1) m(2) m(3) m(4) m(5) m(6) m(7) m(8) m(9) m(10) m(11) m(12) m(13) m(14) m(15)

static void load_others(void)
{
	u16 control = 0x027f;
	u32 mxcsr = 0x1f00;
	unsigned int i;

	for (i = 0; i < 16; i++)
		memset(vectors[i], 0xa0 + i, 16);
	write_cr0((read_cr0() & ~(CR0_EM | CR0_TS)) | CR0_MP | CR0_NE);
	write_cr4(read_cr4() | CR4_OSFXSR | CR4_OSXMMEXCPT);
	__asm__ volatile("fninit; fldcw %0; ldmxcsr %1" :: "m"(control), "m"(mxcsr));
#define LOAD(n) "movaps " #n "*16(%0), %%xmm" #n "\n"
	__asm__ volatile(EACH_REGISTER(LOAD) :: "r"(vectors) : "memory");
#undef LOAD
	__asm__ volatile("mov %0, %%cr2" :: "r"(0x0000222222222000UL));
	__asm__ volatile("mov %0, %%dr0" :: "r"(0xd0d0d0d0UL));
	__asm__ volatile("mov %0, %%dr1" :: "r"(0xd1d1d1d1UL));
	__asm__ volatile("mov %0, %%dr2" :: "r"(0xd2d2d2d2UL));
	__asm__ volatile("mov %0, %%dr3" :: "r"(0xd3d3d3d3UL));
	wrmsr(MSR_STAR, 0x0023001000000000);
	wrmsr(MSR_LSTAR, 0x0000000011111000);
	wrmsr(MSR_CSTAR, 0x0000000022222000);
	wrmsr(MSR_SFMASK, 0x0000000000047700);
	wrmsr(MSR_FS_BASE, 0x0000000033333000);
	wrmsr(MSR_KERNEL_GS_BASE, 0x0000000044444000);
	wrmsr(MSR_SYSENTER_CS, 0x55);
	wrmsr(MSR_SYSENTER_ESP, 0x66666000);
	wrmsr(MSR_SYSENTER_EIP, 0x77777000);
}

void main(void)
{
	printf("registers: rip %lx cr3 %lx marker %lx\n", (ulong)registers_spin, read_cr3(),
	       (ulong)registers_marker);
	print_flush();
	load_others();
	irq_disable();
#define VALUE(name, n) "movabs $0x" #n #n #n #n #n #n #n #n ", %" name "\n"
	__asm__ volatile(VALUE("rax", 01) VALUE("rbx", 02) VALUE("rcx", 03) VALUE("rdx", 04)
			 VALUE("rsi", 05) VALUE("rdi", 06) VALUE("rbp", 07) VALUE("r8", 08)
			 VALUE("r9", 09) VALUE("r10", 10) VALUE("r11", 11) VALUE("r12", 12)
			 VALUE("r13", 13) VALUE("r14", 14) VALUE("r15", 15)
			 "mov $registers_marker, %rsp\n"
			 ".globl registers_spin\n"
			 "registers_spin:\n"
			 "jmp registers_spin\n");
	__builtin_unreachable();
}
