// SPDX-License-Identifier: GPL-2.0-only
/*
 * Model-specific and control registers: what may be read, what may be written, and what must fault. Needs
 * Xen: QEMU's emulated processor lets much pass that hardware does not. Command line: lax leaves out what
 * Xen leaves to the processor.
 */

#include "guest.h"

#define FAULTS(call, text) tap_equal(call, VEC_GP, text)
#define WORKS(call, text) tap_equal(call, NO_FAULT, text)

/* Those that every kernel reads without asking first. */
static const struct {
	u32 msr;
	const char *name;
	bool amd;
} readable[] = {
	{ MSR_TSC, "TSC" }, { MSR_APIC_BASE, "APIC_BASE" }, { MSR_PAT, "PAT" },
	{ 0xfe, "MTRRcap" }, { 0x2ff, "MTRRdefType" }, { 0x200, "MTRRphysBase0" },
	{ 0x201, "MTRRphysMask0" }, { 0x250, "MTRRfix64K" }, { 0x258, "MTRRfix16K" },
	{ 0x268, "MTRRfix4K" }, { 0x174, "SYSENTER_CS" }, { 0x175, "SYSENTER_ESP" },
	{ 0x176, "SYSENTER_EIP" }, { 0x179, "MCG_CAP" }, { 0x17a, "MCG_STATUS" },
	{ 0x8b, "PATCH_LEVEL" }, { 0x1d9, "DEBUGCTL" }, { MSR_EFER, "EFER" },
	{ MSR_STAR, "STAR" }, { MSR_LSTAR, "LSTAR" }, { MSR_CSTAR, "CSTAR" },
	{ MSR_SFMASK, "SFMASK" }, { MSR_FS_BASE, "FS_BASE" }, { MSR_GS_BASE, "GS_BASE" },
	{ MSR_KERNEL_GS_BASE, "KERNEL_GS_BASE" },
	{ 0xc0010010, "SYSCFG", true }, { 0xc0010015, "HWCR", true },
	{ 0xc0011029, "DE_CFG", true },
	{ 0xc0010114, "VM_CR", true },
};

/* Those that no processor, or no guest, has. */
static const u32 unknown[] = {
	0x2, 0x3, 0x1234, 0x4b564d00, 0x4b564d01, 0x40000001, 0x40000100, 0x480, 0x48b, 0x7fffffff,
	0x80000000, 0xc0000000, 0xc00000ff, 0xc0001234, 0xc001ffff, 0xc0020000, 0xdeadbeef,
	0xffffffff,
};

static void test_known(void)
{
	unsigned int i;
	u64 value;

	for (i = 0; i < ARRAY_SIZE(readable); i++) {
		if (readable[i].amd && !cpu_is_amd)
			continue;
		tap_equal(rdmsr_safe(readable[i].msr, &value), NO_FAULT, "%s can be read",
			  readable[i].name);
		tap_note("%s is %llx", readable[i].name, (unsigned long long)value);
	}
	for (i = 0; i < ARRAY_SIZE(unknown); i++) {
		tap_equal(rdmsr_safe(unknown[i], &value), VEC_GP, "MSR %x cannot be read",
			  unknown[i]);
		tap_equal(wrmsr_safe(unknown[i], 0), VEC_GP, "MSR %x cannot be written",
			  unknown[i]);
	}
}

static void keeps(u32 msr, u64 value, const char *name)
{
	u64 before = rdmsr(msr), read = 0;

	if (tap_equal(wrmsr_safe(msr, value), NO_FAULT, "%s can be written", name)) {
		rdmsr_safe(msr, &read);
		tap(read == value, "%s keeps what is written", name);
		wrmsr(msr, before);
	}
}

/* What a hypervisor may leave to the processor, which must not be QEMU's then. */
static void test_canonical(void)
{
	u64 pat = rdmsr(MSR_PAT);

	FAULTS(wrmsr_safe(MSR_LSTAR, 0x1000000000000000), "LSTAR: a non-canonical address faults");
	FAULTS(wrmsr_safe(MSR_CSTAR, 0x1000000000000000), "CSTAR: a non-canonical address faults");
	FAULTS(wrmsr_safe(MSR_FS_BASE, 0x1000000000000000),
	       "FS_BASE: a non-canonical address faults");
	FAULTS(wrmsr_safe(MSR_KERNEL_GS_BASE, 0x1000000000000000),
	       "KERNEL_GS_BASE: a non-canonical address faults");
	FAULTS(wrmsr_safe(MSR_PAT, 2), "PAT: type 2 faults");
	FAULTS(wrmsr_safe(MSR_PAT, 0x0800000000000000), "PAT: a reserved bit faults");
	tap(rdmsr(MSR_PAT) == pat, "PAT is as it was");
}

static void test_values(void)
{
	u64 base = rdmsr(MSR_APIC_BASE), efer = rdmsr(MSR_EFER);

	keeps(MSR_STAR, 0x0023001000000000, "STAR");
	keeps(MSR_LSTAR, 0xffffffff81000000, "LSTAR");
	keeps(MSR_CSTAR, 0xffffffff82000000, "CSTAR");
	keeps(MSR_SFMASK, 0x47700, "SFMASK");
	keeps(MSR_FS_BASE, 0x00007fffffffffff, "FS_BASE");
	keeps(MSR_KERNEL_GS_BASE, 0xffff888000000000, "KERNEL_GS_BASE");
	keeps(0x174, 0x10, "SYSENTER_CS");
	keeps(0x175, 0xffffffff81000000, "SYSENTER_ESP");
	keeps(0x176, 0xffffffff81000000, "SYSENTER_EIP");
	keeps(MSR_PAT, 0x0007010600070106, "PAT");
	keeps(0x200, 0x80000006, "MTRRphysBase0");
	keeps(0x201, 0xff80000800, "MTRRphysMask0");
	keeps(0x250, 0x0606060606060606, "MTRRfix64K");

	if (!param("lax"))
		test_canonical();
	FAULTS(wrmsr_safe(0x250, 0x0202020202020202), "MTRRfix64K: type 2 faults");
	FAULTS(wrmsr_safe(0x2ff, 0x2), "MTRRdefType: type 2 faults");
	FAULTS(wrmsr_safe(0xfe, 0), "MTRRcap cannot be written");

	/* EFER. */
	WORKS(wrmsr_safe(MSR_EFER, efer ^ EFER_SCE), "EFER.SCE can change");
	WORKS(wrmsr_safe(MSR_EFER, efer), "and back");
	FAULTS(wrmsr_safe(MSR_EFER, efer | 1 << 1), "EFER: bit 1 faults");
	FAULTS(wrmsr_safe(MSR_EFER, efer | 1ULL << 63), "EFER: bit 63 faults");
	FAULTS(wrmsr_safe(MSR_EFER, efer | EFER_SVME), "EFER.SVME faults: there is no SVM");
	FAULTS(wrmsr_safe(MSR_EFER, efer & ~EFER_LME), "EFER.LME cannot go while paging is on");
	tap(rdmsr(MSR_EFER) == efer, "EFER is as it was");

	/* The APIC's base. */
	FAULTS(wrmsr_safe(MSR_APIC_BASE, base | 1), "APIC_BASE: bit 0 faults");
	FAULTS(wrmsr_safe(MSR_APIC_BASE, base | 1ULL << 60), "APIC_BASE: bit 60 faults");
	FAULTS(wrmsr_safe(MSR_APIC_BASE, (base & ~APIC_BASE_ENABLE) | APIC_BASE_X2APIC),
	       "APIC_BASE: x2APIC mode without the APIC faults");
	tap(rdmsr(MSR_APIC_BASE) == base, "APIC_BASE is as it was");
	tap(base & APIC_BASE_BSP, "this is the first processor");
}

static void test_x2apic(void)
{
	u64 base = rdmsr(MSR_APIC_BASE), value;

	FAULTS(rdmsr_safe(0x802, &value), "x2APIC registers fault outside that mode");
	if (!apic_has_x2apic()) {
		tap_skip("CPUID does not offer it", "x2APIC mode");
		return;
	}
	WORKS(wrmsr_safe(MSR_APIC_BASE, base | APIC_BASE_ENABLE | APIC_BASE_X2APIC),
	      "x2APIC mode is on");
	WORKS(rdmsr_safe(0x802, &value), "the ID can be read");
	FAULTS(wrmsr_safe(0x802, 0), "and not written");
	FAULTS(wrmsr_safe(0x808, 0x100), "TPR: bit 8 faults");
	WORKS(wrmsr_safe(0x80b, 0), "EOI can be written");
	FAULTS(wrmsr_safe(0x80b, 1), "EOI: anything but 0 faults");
	FAULTS(rdmsr_safe(0x80b, &value), "EOI cannot be read");
	FAULTS(rdmsr_safe(0x80e, &value), "there is no DFR");
	FAULTS(rdmsr_safe(0x831, &value), "there is no second half of ICR");
	FAULTS(wrmsr_safe(0x828, 1), "ESR: anything but 0 faults");
	FAULTS(wrmsr_safe(0x80f, 0x10000), "SVR: bit 16 faults");
	FAULTS(wrmsr_safe(0x80d, 0), "LDR cannot be written");
	FAULTS(rdmsr_safe(0x840, &value), "there is no register 0x40");
	FAULTS(wrmsr_safe(MSR_APIC_BASE, base | APIC_BASE_ENABLE),
	       "back to xAPIC mode at once faults");
	WORKS(wrmsr_safe(MSR_APIC_BASE, base & ~(APIC_BASE_ENABLE | APIC_BASE_X2APIC)),
	      "the APIC can be off");
	WORKS(wrmsr_safe(MSR_APIC_BASE, base), "and on again");
}

static void test_control_registers(void)
{
	ulong cr0 = read_cr0(), cr3 = read_cr3(), cr4 = read_cr4();
	struct cpuid seven = cpuid_count(7, 0);

	if (!param("lax")) {
		FAULTS(write_cr0_safe(cr0 & ~CR0_PE), "CR0.PG without PE faults");
		FAULTS(write_cr0_safe((cr0 & ~CR0_CD) | CR0_NW), "CR0.NW without CD faults");
		FAULTS(write_cr0_safe(cr0 | 1UL << 32), "CR0: bit 32 faults");
		FAULTS(write_cr0_safe(cr0 & ~CR0_PG), "CR0.PG cannot go in 64-bit mode");
	}
	WORKS(write_cr0_safe(cr0 | CR0_CD), "CR0.CD can be set");
	WORKS(write_cr0_safe(cr0 | CR0_TS), "CR0.TS can be set");
	tap(read_cr0() & CR0_TS, "and is read");
	WORKS(write_cr0_safe(cr0), "CR0 can be as it was");
	tap_equal(read_cr0(), cr0, "and is");

	FAULTS(write_cr4_safe(cr4 | 1UL << 31), "CR4: bit 31 faults");
	FAULTS(write_cr4_safe(cr4 | 1UL << 32), "CR4: bit 32 faults");
	FAULTS(write_cr4_safe(cr4 | 1UL << 15), "CR4: bit 15 faults");
	FAULTS(write_cr4_safe(cr4 | CR4_VMXE), "CR4.VMXE faults: there is no VMX");
	FAULTS(write_cr4_safe(cr4 & ~CR4_PAE), "CR4.PAE cannot go in 64-bit mode");
	WORKS(write_cr4_safe(cr4 | CR4_PGE | CR4_OSFXSR), "CR4.PGE and OSFXSR can be set");
	WORKS(write_cr4_safe(cr4), "CR4 can be as it was");
	/* A bit is reserved unless CPUID offers what it is for. */
#define OFFERED(bit, has, name)						\
	do {								\
		tap_equal(write_cr4_safe(cr4 | (bit)), (has) ? NO_FAULT : VEC_GP, \
			  "CR4." name " is as CPUID says");		\
		write_cr4(cr4);						\
	} while (0)
	/* With these on, this guest's pages, which are CPL 3's too, could not be used. */
	if (!(seven.b >> 7 & 1))
		OFFERED(CR4_SMEP, false, "SMEP");
	if (!(seven.b >> 20 & 1))
		OFFERED(CR4_SMAP, false, "SMAP");
	OFFERED(CR4_FSGSBASE, seven.b & 1, "FSGSBASE");
	OFFERED(CR4_UMIP, seven.c >> 2 & 1, "UMIP");
	OFFERED(CR4_PKE, seven.c >> 3 & 1, "PKE");
	OFFERED(CR4_OSXSAVE, cpuid(1).c >> 26 & 1, "OSXSAVE");
	OFFERED(1UL << 12, seven.c >> 16 & 1, "LA57");
	OFFERED(1UL << 17, cpuid(1).c >> 17 & 1, "PCIDE");
	if (!param("lax"))
		FAULTS(write_cr3_safe(cr3 | 1UL << 62), "CR3: bit 62 faults");
	tap_equal(read_cr3(), cr3, "CR3 is as it was");
}

static void test_xcr0(void)
{
	ulong cr4 = read_cr4();
	struct cpuid valid;
	u64 all;

	if (!(cpuid(1).c >> 26 & 1)) {
		tap_skip("CPUID does not offer it", "XSETBV");
		return;
	}
	tap_equal(xsetbv_safe(0, 1), VEC_UD, "XSETBV without CR4.OSXSAVE is undefined");
	write_cr4(cr4 | CR4_OSXSAVE);
	tap(cpuid(1).c >> 27 & 1, "CPUID shows OSXSAVE");
	valid = cpuid_count(0xd, 0);
	all = (u64)valid.d << 32 | valid.a;
	WORKS(xsetbv_safe(0, all), "XCR0 can be all that CPUID offers");
	tap_equal(cpuid_count(0xd, 0).b, valid.c, "and CPUID shows the size");
	FAULTS(xsetbv_safe(0, 0), "XCR0 without x87 faults");
	FAULTS(xsetbv_safe(0, 5), "XCR0 with AVX and no SSE faults");
	FAULTS(xsetbv_safe(0, all | 1ULL << 62), "XCR0: a bit beyond faults");
	FAULTS(xsetbv_safe(0, ~0ULL), "XCR0: all bits fault");
	FAULTS(xsetbv_safe(1, 1), "there is no XCR1");
	FAULTS(xsetbv_safe(0xffffffff, 1), "nor a last one");
	WORKS(xsetbv_safe(0, 1), "XCR0 can be x87 alone");
	tap(cpuid_count(0xd, 0).b <= valid.c, "and CPUID shows a smaller size");
	write_cr4(cr4);
	tap(!(cpuid(1).c >> 27 & 1), "CPUID shows OSXSAVE no more");
}

void main(void)
{
	tap_begin();
	need_xen();
	test_known();
	test_values();
	test_x2apic();
	test_control_registers();
	test_xcr0();
	tap_end();
}
