// SPDX-License-Identifier: GPL-2.0-only
/* Descriptor tables, traps, instructions that may fault, and CPL 3. */

#include "guest.h"

struct cpu cpus[MAX_CPUS];

enum {
	SEL_CODE = 0x08, SEL_DATA = 0x10, SEL_TSS = 0x18, SEL_USER_DATA = 0x2b,
	SEL_USER_CODE = 0x33,
};

struct gate {
#ifdef __x86_64__
	u16 offset0, selector;
	u8 ist, type;
	u16 offset16;
	u32 offset32, zero;
#else
	u16 offset0, selector;
	u8 zero, type;
	u16 offset16;
#endif
} __attribute__((packed));

struct table_pointer {
	u16 limit;
	ulong base;
} __attribute__((packed));

#ifdef __x86_64__
struct tss {
	u32 unused0;
	u64 rsp[3];
	u64 unused1, ist[7], unused2;
	u16 unused3, io_map;
} __attribute__((packed));
_Static_assert(offsetof(struct cpu, kernel_sp) == 40, "user_return() knows it");
#else
struct tss {
	u32 back_link, esp0, ss0, unused[22];
	u16 trap, io_map;
} __attribute__((packed));
_Static_assert(offsetof(struct cpu, kernel_sp) == 24, "user_return() knows it");
#endif

static struct gate idt[256] __attribute__((aligned(16)));
static u64 gdts[MAX_CPUS][8];
static struct tss tsses[MAX_CPUS];
static irq_handler *handlers[256];

extern u8 trap_entries[256][16];
void user_return(void);
ulong user_enter(ulong (*function)(ulong), ulong argument, void *stack, ulong *saved_sp);

static void set_gate(unsigned int vector, ulong address, u8 type)
{
	idt[vector] = (struct gate){
		.offset0 = address,
		.selector = SEL_CODE,
		.type = type,
		.offset16 = address >> 16,
#ifdef __x86_64__
		.offset32 = address >> 32,
#endif
	};
}

void trap_init(struct cpu *cpu)
{
	u64 *gdt = gdts[cpu - cpus];
	struct tss *tss = &tsses[cpu - cpus];
	struct table_pointer gdt_pointer = { sizeof(gdts[0]) - 1, H(gdt) };
	struct table_pointer idt_pointer = { sizeof(idt) - 1, H(idt) };
	ulong trap_stack = H(cpu->trap_stack + sizeof(cpu->trap_stack));
	u64 base = H(tss);
	unsigned int i;

	cpu->self = cpu;
	cpu->index = cpu - cpus;
	cpu->fault = NO_FAULT;
	if (!idt[0].type) {
		/* Each entry is an interrupt gate, for CPL 0 or from the software vectors for all. */
		for (i = 0; i < 256; i++)
			set_gate(i, H(trap_entries[i]), i == VEC_BP || i == 0x80 ? 0xee : 0x8e);
		set_gate(0x81, H(user_return), 0xee);
	}
#ifdef __x86_64__
	gdt[1] = 0x00af9b000000ffff;
	gdt[6] = 0x00affb000000ffff;
	tss->rsp[0] = trap_stack;
	gdt[4] = base >> 32;
#else
	gdt[1] = 0x00cf9b000000ffff;
	gdt[6] = 0x00cffb000000ffff;
	tss->esp0 = trap_stack;
	tss->ss0 = SEL_DATA;
#endif
	gdt[2] = 0x00cf93000000ffff;
	gdt[3] = (sizeof(*tss) - 1) | (base & 0xffffff) << 16 | 0x89ULL << 40 |
		(base >> 24 & 0xff) << 56;
	gdt[5] = 0x00cff3000000ffff;
	/* 32-bit code, for who wants to leave 64-bit mode for a moment. */
	gdt[7] = 0x00cf9b000000ffff;
	tss->io_map = sizeof(*tss);
	__asm__ volatile("lgdt %0" :: "m"(gdt_pointer));
	__asm__ volatile("lidt %0" :: "m"(idt_pointer));
#ifdef __x86_64__
	__asm__ volatile("push %0; lea 1f(%%rip), %%rax; push %%rax; lretq; 1:"
			 :: "i"(SEL_CODE) : "rax", "memory");
	__asm__ volatile("mov %0, %%ds; mov %0, %%es; mov %0, %%ss" :: "r"(SEL_DATA));
	wrmsr(MSR_GS_BASE, H(cpu));
#else
	__asm__ volatile("ljmp %0, $1f; 1:" :: "i"(SEL_CODE) : "memory");
	__asm__ volatile("mov %0, %%ds; mov %0, %%es; mov %0, %%ss; mov %0, %%fs; mov %0, %%gs"
			 :: "r"(SEL_DATA));
#endif
	__asm__ volatile("ltr %w0" :: "r"(SEL_TSS));
}

void set_handler(u8 vector, irq_handler *handler)
{
	handlers[vector] = handler;
}

struct extable {
	ulong from, to;
};

extern const struct extable extable_start[], extable_end[];

/* Called for every trap but int $0x81. */
void trap(struct regs *regs)
{
	const struct extable *entry;
	struct cpu *cpu = this_cpu();

	for (entry = extable_start; regs->vector < 32 && entry < extable_end; entry++) {
		if (entry->from != regs->ip)
			continue;
		cpu->fault = regs->vector;
		cpu->fault_error = regs->error;
		cpu->fault_address = regs->vector == VEC_PF ? read_cr2() : 0;
		regs->ip = entry->to;
		return;
	}
	if (!handlers[regs->vector])
		panic("CPU %u: trap %u, error %lx, at %lx, address %lx", cpu->index,
		      (u32)regs->vector, H(regs->error), H(regs->ip), read_cr2());
	handlers[regs->vector](regs);
}

void fault_begin(void)
{
	this_cpu()->fault = NO_FAULT;
	barrier();
}

int fault_end(void)
{
	barrier();
	return this_cpu()->fault;
}

ulong fault_error(void)
{
	return this_cpu()->fault_error;
}

ulong fault_address(void)
{
	return this_cpu()->fault_address;
}

int rdmsr_safe(u32 msr, u64 *value)
{
	u32 lo = 0, hi = 0;

	fault_begin();
	__asm__ volatile("1: rdmsr\n2:\n" EXTABLE(1b, 2b)
			 : "+a"(lo), "+d"(hi) : "c"(msr) : "memory");
	*value = (u64)hi << 32 | lo;
	return fault_end();
}

int wrmsr_safe(u32 msr, u64 value)
{
	fault_begin();
	__asm__ volatile("1: wrmsr\n2:\n" EXTABLE(1b, 2b)
			 :: "c"(msr), "a"((u32)value), "d"((u32)(value >> 32)) : "memory");
	return fault_end();
}

int write_cr0_safe(ulong value)
{
	fault_begin();
	__asm__ volatile("1: mov %0, %%cr0\n2:\n" EXTABLE(1b, 2b) :: "r"(value) : "memory");
	return fault_end();
}

int write_cr3_safe(ulong value)
{
	fault_begin();
	__asm__ volatile("1: mov %0, %%cr3\n2:\n" EXTABLE(1b, 2b) :: "r"(value) : "memory");
	return fault_end();
}

int write_cr4_safe(ulong value)
{
	fault_begin();
	__asm__ volatile("1: mov %0, %%cr4\n2:\n" EXTABLE(1b, 2b) :: "r"(value) : "memory");
	return fault_end();
}

int xsetbv_safe(u32 index, u64 value)
{
	fault_begin();
	__asm__ volatile("1: xsetbv\n2:\n" EXTABLE(1b, 2b)
			 :: "c"(index), "a"((u32)value), "d"((u32)(value >> 32)) : "memory");
	return fault_end();
}

int read32_safe(const volatile u32 *address, u32 *value)
{
	u32 result = 0;

	fault_begin();
	__asm__ volatile("1: movl %1, %0\n2:\n" EXTABLE(1b, 2b)
			 : "+r"(result) : "m"(*address) : "memory");
	*value = result;
	return fault_end();
}

int write32_safe(volatile u32 *address, u32 value)
{
	fault_begin();
	__asm__ volatile("1: movl %1, %0\n2:\n" EXTABLE(1b, 2b)
			 : "=m"(*address) : "r"(value) : "memory");
	return fault_end();
}

ulong user_call(ulong (*function)(ulong), ulong argument)
{
	static u8 stack[4096] __attribute__((aligned(16)));

	return user_enter(function, argument, stack + sizeof(stack), &this_cpu()->kernel_sp);
}
