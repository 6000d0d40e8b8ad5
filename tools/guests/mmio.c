// SPDX-License-Identifier: GPL-2.0-only
/*
 * Accesses to what is not memory, with many forms of instructions: the local APIC's page, and places where
 * nothing is, which read as ones and take no writes.
 */

#include "guest.h"

#define REG(r) ((volatile u32 *)(0xfee00000UL + (r)))

/* A register that keeps what is written and does nothing: the timer's LVT, masked (its vector and mask). */
#define KEEPS REG(APIC_LVT_TIMER)
#define BASE_VALUE 0x10030U

static void reset(void)
{
	*KEEPS = BASE_VALUE;
}

/* Runs an instruction that writes the register, then checks it. */
#define WRITES(text, value, ...)					\
	do {								\
		reset();						\
		__asm__ volatile(__VA_ARGS__);				\
		tap_equal(*KEEPS, value, text);				\
	} while (0)

static void test_apic_writes(void)
{
	u64 rcx;
	void *at;

	WRITES("mov r32 to memory", 0x10041, "movl %0, (%1)" :: "r"(0x10041),
	       "r"(KEEPS) : "memory");
	WRITES("mov r32 of the upper eight", 0x10042, "mov %k0, %%r9d; mov %%r9d, (%1)"
	       :: "r"(0x10042), "r"(KEEPS) : "r9", "memory");
	WRITES("mov imm32 to memory", 0x10043, "movl $0x10043, (%0)" :: "r"(KEEPS) : "memory");
	WRITES("mov with base, index and displacement", 0x10044,
	       "movl %0, 0x20(%1, %2, 4)" :: "r"(0x10044), "r"(0xfee00000UL), "r"(0x300UL / 4) : "memory");
	WRITES("mov with an absolute address", 0x10045,
	       "mov %0, %%eax; movabsl %%eax, 0xfee00320" :: "r"(0x10045) : "eax", "memory");
	WRITES("mov with 32-bit addressing", 0x10046,
	       "movl %0, (%k1)" :: "r"(0x10046), "r"(KEEPS) : "memory");
	WRITES("or imm8", 0x10035, "orl $5, (%0)" :: "r"(KEEPS) : "memory", "cc");
	WRITES("and imm32", 0x10020, "andl $0x1002f, (%0)" :: "r"(KEEPS) : "memory", "cc");
	WRITES("xor r32", 0x1003f, "xorl %0, (%1)" :: "r"(0xf), "r"(KEEPS) : "memory", "cc");
	WRITES("add imm8", 0x10031, "addl $1, (%0)" :: "r"(KEEPS) : "memory", "cc");
	WRITES("sub r32", 0x1002f, "subl %0, (%1)" :: "r"(1), "r"(KEEPS) : "memory", "cc");
	WRITES("inc", 0x10031, "incl (%0)" :: "r"(KEEPS) : "memory", "cc");
	WRITES("dec", 0x1002f, "decl (%0)" :: "r"(KEEPS) : "memory", "cc");
	WRITES("lock or", 0x10037, "lock orl $7, (%0)" :: "r"(KEEPS) : "memory", "cc");
	WRITES("bts", 0x10032, "btsl $1, (%0)" :: "r"(KEEPS) : "memory", "cc");
	WRITES("btr", 0x10020, "btrl $4, (%0)" :: "r"(KEEPS) : "memory", "cc");
	at = (void *)KEEPS;
	WRITES("stos", 0x10047, "stosl" : "+D"(at) : "a"(0x10047) : "memory");
	at = (void *)KEEPS;
	rcx = 1;
	WRITES("rep stos", 0x10048, "rep stosl" : "+D"(at), "+c"(rcx) : "a"(0x10048) : "memory");
	tap_equal(rcx, 0, "rep stos counts");
	tap_equal(H(at), H(KEEPS) + 4, "rep stos moves on");
}

/* Runs an instruction that reads the register into `got`. */
#define READS(text, value, ...)						\
	do {								\
		reset();						\
		got = 0;						\
		__asm__ volatile(__VA_ARGS__);				\
		tap_equal(got, value, text);				\
	} while (0)

static void test_apic_reads(void)
{
	static u32 memory[4];
	u64 got;
	void *to = memory;
	const void *from = (void *)KEEPS;
	u8 flag;

	READS("mov from memory", BASE_VALUE, "movl (%1), %k0" : "=r"(got) : "r"(KEEPS) : "memory");
	READS("mov into one of the upper eight", BASE_VALUE, "movl (%1), %%r10d; mov %%r10, %0"
	      : "=r"(got) : "r"(KEEPS) : "r10", "memory");
	got = ~0ULL;
	reset();
	__asm__ volatile("movl (%1), %k0" : "+r"(got) : "r"(KEEPS) : "memory");
	tap_equal(got, BASE_VALUE, "mov clears the upper half");
	READS("mov from an absolute address", BASE_VALUE,
	      "movabsl 0xfee00320, %%eax" : "=a"(got) :: "memory");
	READS("add from memory", BASE_VALUE + 1,
	      "movl $1, %k0; addl (%1), %k0" : "=&r"(got) : "r"(KEEPS) : "memory");
	READS("and with memory", 0x30,
	      "movl $0xff, %k0; andl (%1), %k0" : "=&r"(got) : "r"(KEEPS) : "memory");
	READS("movsxd", BASE_VALUE, "movslq (%1), %0" : "=r"(got) : "r"(KEEPS) : "memory");
	reset();
	__asm__ volatile("testl $0x10, (%1)" : "=@ccnz"(flag) : "r"(KEEPS) : "memory");
	tap_equal(flag, 1, "test with an immediate, not zero");
	__asm__ volatile("testl %2, (%1)" : "=@ccz"(flag) : "r"(KEEPS), "r"(0x8) : "memory");
	tap_equal(flag, 1, "test with a register, zero");
	__asm__ volatile("cmpl %2, (%1)" : "=@cce"(flag) : "r"(KEEPS), "r"(BASE_VALUE) : "memory");
	tap_equal(flag, 1, "cmp, equal");
	__asm__ volatile("cmpl $0x7f, (%1)" : "=@cca"(flag) : "r"(KEEPS) : "memory");
	tap_equal(flag, 1, "cmp, above");
	__asm__ volatile("btl $4, (%1)" : "=@ccc"(flag) : "r"(KEEPS) : "memory");
	tap_equal(flag, 1, "bt, set");
	__asm__ volatile("movsl" : "+D"(to), "+S"(from) :: "memory");
	tap_equal(memory[0], BASE_VALUE, "movs to memory");
	got = 0x10055;
	reset();
	__asm__ volatile("xchgl %k0, (%1)" : "+r"(got) : "r"(KEEPS) : "memory");
	tap_equal(got, BASE_VALUE, "xchg reads");
	tap_equal(*KEEPS, 0x10055, "and writes");
}

static bool avx;

static void enable_vectors(void)
{
	bool osxsave = cpuid(1).c >> 26 & 1;

	avx = osxsave && (cpuid(1).c >> 28 & 1) && (cpuid_count(0xd, 0).a & 4);
	write_cr0((read_cr0() & ~(CR0_EM | CR0_TS)) | CR0_MP | CR0_NE);
	write_cr4(read_cr4() | CR4_OSFXSR | CR4_OSXMMEXCPT | (osxsave ? CR4_OSXSAVE : 0));
	if (avx)
		xsetbv_safe(0, 7);
	__asm__ volatile("fninit");
}

/* Moves of vector registers, as far as an APIC takes them: 32 bits. */
static void test_apic_vectors(void)
{
	u64 got;

	WRITES("movd from a vector register", 0x10051,
	       "movd %k0, %%xmm1; movd %%xmm1, (%1)" :: "r"(0x10051), "r"(KEEPS) : "memory");
	WRITES("movss from one of the upper eight", 0x10052,
	       "movd %k0, %%xmm9; movss %%xmm9, (%1)" :: "r"(0x10052), "r"(KEEPS) : "memory");
	WRITES("movd from an MMX register", 0x10053,
	       "movd %k0, %%mm1; movd %%mm1, (%1); emms" :: "r"(0x10053), "r"(KEEPS) : "memory");
	READS("movd into a vector register", BASE_VALUE,
	      "pcmpeqd %%xmm2, %%xmm2; movd (%1), %%xmm2; movq %%xmm2, %0"
	      : "=r"(got) : "r"(KEEPS) : "memory");
	READS("which clears what is above", 0,
	      "pcmpeqd %%xmm2, %%xmm2; movd (%1), %%xmm2; punpckhqdq %%xmm2, %%xmm2; movq %%xmm2, %0"
	      : "=r"(got) : "r"(KEEPS) : "memory");
	READS("movd into an MMX register", BASE_VALUE,
	      "movd (%1), %%mm2; movq %%mm2, %0; emms" : "=r"(got) : "r"(KEEPS) : "memory");
	if (!avx) {
		tap_skip("no AVX", "VEX encodings");
		return;
	}
	WRITES("vmovd from a vector register", 0x10054,
	       "vmovd %k0, %%xmm3; vmovd %%xmm3, (%1)" :: "r"(0x10054), "r"(KEEPS) : "memory");
	READS("vbroadcastss", BASE_VALUE | (u64)BASE_VALUE << 32,
	      "vbroadcastss (%1), %%ymm4; vextractf128 $1, %%ymm4, %%xmm4; vmovq %%xmm4, %0"
	      : "=r"(got) : "r"(KEEPS) : "memory");
}

/* Longer ones. */
static void test_nothing_vectors(ulong nothing, ulong edge)
{
	static u64 buffer[8] __attribute__((aligned(64)));

	__asm__ volatile("movups (%0), %%xmm5; movaps %%xmm5, (%1)"
			 :: "r"(edge), "r"(buffer) : "memory");
	tap(buffer[0] == ~0ULL && buffer[1] == ~0ULL && !buffer[2],
	    "in 128, across pages, into a vector register");
	__asm__ volatile("pxor %%xmm5, %%xmm5; movhps (%0), %%xmm5; movaps %%xmm5, (%1)"
			 :: "r"(nothing), "r"(buffer) : "memory");
	tap(!buffer[0] && buffer[1] == ~0ULL, "in 64, into the upper half of one");
	__asm__ volatile("movntdq %%xmm5, (%0); movdqa (%0), %%xmm6; movdqa %%xmm6, (%1)"
			 :: "r"(nothing), "r"(buffer) : "memory");
	tap(buffer[0] == ~0ULL && buffer[1] == ~0ULL, "it takes no 128 bits either");
	if (!avx) {
		tap_skip("no AVX", "nothing in 256 bits");
		return;
	}
	__asm__ volatile("vmovdqu (%0), %%ymm7; vmovdqu %%ymm7, (%1); vzeroupper"
			 :: "r"(nothing + 1), "r"(buffer) : "memory");
	tap(buffer[3] == ~0ULL && !buffer[4], "in 256");
}

static void test_apic_registers(void)
{
	tap_equal(*REG(APIC_VERSION) & 0xff, 0x14, "the version is that of an integrated APIC");
	*REG(APIC_TPR) = 0x50;
	tap_equal(*REG(APIC_TPR), 0x50, "TPR keeps what is written");
	tap_equal(*REG(APIC_PPR), 0x50, "PPR follows it");
	*REG(APIC_TPR) = 0;
	*REG(APIC_LDR) = 0x12345678;
	tap_equal(*REG(APIC_LDR), 0x12000000, "LDR has its upper byte");
	*REG(APIC_DFR) = 0;
	tap_equal(*REG(APIC_DFR), 0x0fffffff, "DFR has its upper bits");
	*REG(APIC_DFR) = ~0U;
	*REG(APIC_VERSION) = 0;
	tap(*REG(APIC_VERSION) != 0, "the version cannot be written");
	*REG(APIC_ICR2) = 0x7f000000;
	tap_equal(*REG(APIC_ICR2), 0x7f000000, "ICR's upper half keeps what is written");
	tap_equal(*REG(APIC_IRR) | *REG(APIC_ISR), 0, "nothing is requested or in service");
	tap_equal(*REG(APIC_TIMER_CURRENT), 0, "the timer does not run");
	*REG(APIC_LVT_LINT0) = 0x10000;
	tap_equal(*REG(APIC_LVT_LINT0) & 0x10000, 0x10000, "LINT0 is masked");
	/* An APIC without its software switch masks all. */
	*REG(APIC_SVR) = SPURIOUS_VECTOR;
	*REG(APIC_LVT_TIMER) = 0x30;
	tap_equal(*REG(APIC_LVT_TIMER), 0x10030, "off, it masks its vectors");
	*REG(APIC_SVR) = 0x100 | SPURIOUS_VECTOR;
	/* What is between registers, and beyond. */
	(void)*REG(APIC_ID + 4);
	*REG(0x3f4) = 1;
	(void)*REG(0xffc);
	(void)*(volatile u8 *)REG(APIC_ID);
	(void)*(volatile u64 *)REG(APIC_ID);
	*(volatile u8 *)REG(APIC_TPR) = 0;
	tap(true, "odd accesses harm nobody");
}

static void test_nothing(void)
{
	ulong nothing = 0xf8000000, edge = 0xf8000ffc;
	static u8 buffer[64];
	const void *from = (void *)nothing;
	void *to = buffer;
	ulong count = 16;
	u32 value;

	tap_equal(*(volatile u8 *)nothing, 0xff, "nothing reads as ones, in 8 bits");
	tap_equal(*(volatile u16 *)nothing, 0xffff, "in 16");
	tap_equal(*(volatile u32 *)nothing, 0xffffffff, "in 32");
	tap(*(volatile u64 *)nothing == ~0ULL, "in 64");
	tap_equal(*(volatile u16 *)(nothing + 1), 0xffff, "and not aligned");
	tap(*(volatile u64 *)edge == ~0ULL, "and across pages");
	*(volatile u8 *)nothing = 1;
	*(volatile u32 *)nothing = 1;
	*(volatile u64 *)nothing = 1;
	tap_equal(*(volatile u32 *)nothing, 0xffffffff, "it takes no writes");
	memset(buffer, 0, sizeof(buffer));
	__asm__ volatile("rep movsl" : "+D"(to), "+S"(from), "+c"(count) :: "memory");
	tap(buffer[0] == 0xff && buffer[63] == 0xff && !count, "it can be copied from");
	to = (void *)nothing;
	count = 1000;
	__asm__ volatile("rep stosb" : "+D"(to), "+c"(count) : "a"(0) : "memory");
	tap(!count && H(to) == nothing + 1000, "it can be filled");
	__asm__ volatile("lock incl (%0)" :: "r"(nothing) : "memory", "cc");
	tap_equal(*(volatile u32 *)nothing, 0xffffffff, "a locked increment of it changes nothing");
	value = 5;
	__asm__ volatile("xchgl %0, (%1)" : "+r"(value) : "r"(nothing) : "memory");
	tap_equal(value, ~0U, "an exchange with it gives ones");
	test_nothing_vectors(nothing, edge);
}

/* Code where nothing is: ones are no instruction. */
static void test_fetch(void)
{
	fault_begin();
	__asm__ volatile("lea 2f(%%rip), %%rax\n"
			 "mov %0, %%ecx\n"
			 "movabs $fetch_return, %%rdx\n mov %%rax, (%%rdx)\n"
			 "jmp *%%rcx\n"
			 "2:\n" :: "i"(0xf8000000) : "rax", "rcx", "rdx", "memory");
}

ulong fetch_return;
static unsigned int fetch_faults;

static void on_undefined(struct regs *regs)
{
	fetch_faults++;
	regs->ip = fetch_return;
}

static unsigned int string_faults, steps;
static ulong string_fault_at, string_fault_count, string_fault_to, string_resume;

/* Notes how far the instruction came, and goes on with what is left of it elsewhere. */
static void on_page_fault(struct regs *regs)
{
	string_faults++;
	string_fault_at = read_cr2();
	string_fault_count = regs->cx;
	string_fault_to = regs->di;
	regs->di = string_resume;
}

static void on_step(struct regs *regs)
{
	steps++;
}

/* INS and OUTS of all widths, directions and lengths. */
static void test_port_strings(void)
{
	static u8 buffer[2 * PAGE_SIZE] __attribute__((aligned(4096)));
	static const char text[] = "printed by OUTS\n";
	ulong count, flags, step;
	const void *from;
	void *to;

	memset(buffer, 0, sizeof(buffer));
	to = buffer;
	__asm__ volatile("insb" : "+D"(to) : "d"(0x4f0) : "memory");
	tap(H(to) == H(buffer) + 1 && buffer[0] == 0xff && !buffer[1], "insb");
	to = buffer + 16;
	__asm__ volatile("insw" : "+D"(to) : "d"(0x4f0) : "memory");
	tap(H(to) == H(buffer) + 18 && *(u32 *)(buffer + 16) == 0xffff, "insw");
	to = buffer + 32;
	__asm__ volatile("insl" : "+D"(to) : "d"(0x4f0) : "memory");
	tap(H(to) == H(buffer) + 36 && *(u64 *)(buffer + 32) == 0xffffffff, "insl");
	/* Downwards, across a page. */
	to = buffer + PAGE_SIZE + 4;
	count = 4;
	__asm__ volatile("std; rep insw; cld" : "+D"(to), "+c"(count) : "d"(0x4f0) : "memory");
	tap(!count && H(to) == H(buffer) + PAGE_SIZE - 4 && buffer[PAGE_SIZE + 5] == 0xff &&
	    buffer[PAGE_SIZE - 2] == 0xff && !buffer[PAGE_SIZE - 3] && !buffer[PAGE_SIZE + 6],
	    "rep insw downwards, across a page");
	/* More than is done at once. */
	memset(buffer, 0, sizeof(buffer));
	to = buffer;
	count = 1500;
	__asm__ volatile("rep insl" : "+D"(to), "+c"(count) : "d"(0x4f0) : "memory");
	tap(!count && H(to) == H(buffer) + 6000 && buffer[5999] == 0xff && !buffer[6000],
	    "1500 times insl");
	to = buffer;
	__asm__ volatile("rep insb" : "+D"(to), "+c"(count) : "d"(0x4f0) : "memory");
	tap(!count && H(to) == H(buffer), "0 times insb");
	/* Addresses and the counter of 32 bits. */
	to = buffer;
	count = 0x100000002UL;
	memset(buffer, 0, 64);
	__asm__ volatile("addr32 rep insb" : "+D"(to), "+c"(count) : "d"(0x4f0) : "memory");
	tap(!count && H(to) == H(buffer) + 2 && buffer[1] == 0xff && !buffer[2],
	    "32-bit addresses and counter");
	/* Of another segment. */
	wrmsr(MSR_GS_BASE, 4);
	from = buffer;
	count = 3;
	__asm__ volatile("rep gs outsb" : "+S"(from), "+c"(count) : "d"(0x4f0) : "memory");
	tap(!count && H(from) == H(buffer) + 3, "outsb from GS");
	from = text;
	count = sizeof(text) - 1;
	__asm__ volatile("rep outsb" : "+S"(from), "+c"(count) : "d"(0xe9) : "memory");
	tap(!count && H(from) == H(text) + sizeof(text) - 1, "outsb prints");
	/* A fault in the middle. */
	set_handler(VEC_PF, on_page_fault);
	to = (void *)0xfffffffcUL;
	string_resume = H(buffer);
	count = 6;
	__asm__ volatile("rep insw" : "+D"(to), "+c"(count) : "d"(0x4f0) : "memory");
	tap_equal(string_faults, 1, "INS to where nothing is mapped faults");
	tap(string_fault_at == 0x100000000UL && string_fault_count == 4 &&
	    string_fault_to == 0x100000000UL,
	    "after the iterations before");
	tap(!count && H(to) == H(buffer) + 8, "and goes on where the handler says");
	set_handler(VEC_PF, NULL);
	/* One step for each iteration, and one for what follows. */
	set_handler(VEC_DB, on_step);
	to = buffer;
	count = 5;
	__asm__ volatile("pushf; pop %0" : "=r"(flags));
	step = flags | 1 << 8;
	__asm__ volatile("push %3; push %2; popf; rep insb; popf"
			 : "+D"(to), "+c"(count) : "r"(step), "r"(flags), "d"(0x4f0) : "memory",
			 "cc");
	set_handler(VEC_DB, NULL);
	tap_equal(steps, 6, "single steps stop after each iteration");
	tap(!count && H(to) == H(buffer) + 5, "and all are done");
}

static void test_ports(void)
{
	static u8 bytes[8];
	void *to = bytes;
	const void *from = bytes;
	ulong count = 8;
	unsigned int stays;
	u8 channel;

	tap_equal(inb(0x4f0), 0xff, "a port where nothing is reads as ones, in 8 bits");
	tap_equal(inw(0x4f0), 0xffff, "in 16");
	tap_equal(inl(0x4f0), 0xffffffff, "in 32");
	outb(0x4f0, 0);
	outw(0x4f0, 0);
	outl(0x4f0, 0);
	__asm__ volatile("rep insb" : "+D"(to), "+c"(count) : "d"(0x4f0) : "memory");
	tap(!count && bytes[0] == 0xff && bytes[7] == 0xff, "INS reads ones");
	count = 8;
	__asm__ volatile("rep outsb" : "+S"(from), "+c"(count) : "d"(0x4f0) : "memory");
	tap(!count && H(from) == H(bytes) + 8, "OUTS moves on");
	test_port_strings();
	/* Its second channel reads as 0 here, which ends attempts to calibrate with it at once; as ones on Xen. */
	outb(0x43, 0xb0);
	outb(0x42, 0xff);
	outb(0x42, 0x7f);
	channel = inb(0x42);
	for (stays = 0; stays < 100 && inb(0x42) == channel; )
		stays++;
	tap((!channel || channel == 0xff) && stays == 100, "there is no timer of old");
	outb(0x21, 0x5a);
	tap(inb(0x21) != 0x5a, "nor an interrupt controller");
	tap_equal(inl(0xcf8), 0xffffffff, "nor PCI");
	tap_equal(inb(0x71), 0xff, "nor a clock");
	tap_equal(inb(0x64), 0xff, "nor a keyboard");
}

void main(void)
{
	tap_begin();
	apic_enable(false);
	enable_vectors();
	test_apic_writes();
	test_apic_reads();
	test_apic_vectors();
	test_apic_registers();
	if (on_xen) {
		test_nothing();
		/* Hardware, for which that would be ones, gives #UD; Xen, which emulates no such fetch, #GP. */
		set_handler(VEC_UD, on_undefined);
		set_handler(VEC_GP, on_undefined);
		test_ports();
		test_fetch();
		tap_equal(fetch_faults, 1, "code where nothing is faults");
	} else {
		tap_skip("not on Xen", "places where nothing is");
	}
	tap_end();
}
