// SPDX-License-Identifier: GPL-2.0-only
/*
 * Shows every CPUID leaf, and checks that no leaf offers what a guest cannot have, and that leaves agree
 * with each other and with the processor.
 */

#include "guest.h"

static u32 count;

static void show(u32 leaf, u32 subleaf)
{
	struct cpuid r = cpuid_count(leaf, subleaf);

	count++;
	printf("# cpuid %08x %02x: %08x %08x %08x %08x\n", leaf, subleaf, r.a, r.b, r.c, r.d);
}

static void show_range(u32 base)
{
	struct cpuid r;
	u32 leaf, subleaf, last = cpuid(base).a;

	if (last < base || last > base + 0x100)
		return;
	for (leaf = base; leaf <= last; leaf++) {
		show(leaf, 0);
		if (leaf != 4 && leaf != 7 && leaf != 0xb && leaf != 0xd && leaf != 0x8000001d &&
		    leaf != xen_cpuid_base + 3)
			continue;
		for (subleaf = 1; subleaf < 64; subleaf++) {
			r = cpuid_count(leaf, subleaf);
			if (r.a || r.b || (r.c & ~0xffU) || (leaf != 0xb && (r.c || r.d)))
				show(leaf, subleaf);
		}
	}
}

enum reg { A, B, C, D };

static const struct {
	u32 leaf, subleaf;
	enum reg reg;
	u8 bit;
	const char *name;
} never[] = {
	{ 0x1, 0, C, 2, "DTES64" }, { 0x1, 0, C, 3, "MONITOR" }, { 0x1, 0, C, 4, "DS-CPL" },
	{ 0x1, 0, C, 5, "VMX" }, { 0x1, 0, C, 6, "SMX" }, { 0x1, 0, C, 7, "EIST" },
	{ 0x1, 0, C, 8, "TM2" }, { 0x1, 0, C, 15, "PDCM" }, { 0x1, 0, C, 18, "DCA" },
	{ 0x1, 0, D, 21, "DS" }, { 0x1, 0, D, 22, "ACPI" }, { 0x1, 0, D, 29, "TM" },
	{ 0x1, 0, D, 31, "PBE" },
	{ 0x7, 0, B, 2, "SGX" }, { 0x7, 0, B, 12, "PQM" }, { 0x7, 0, B, 15, "PQE" },
	{ 0x7, 0, B, 25, "PT" }, { 0x7, 0, C, 5, "WAITPKG" }, { 0x7, 0, C, 13, "TME" },
	{ 0x7, 0, C, 24, "bus-lock detection" }, { 0x7, 0, C, 29, "ENQCMD" },
	{ 0x7, 0, C, 30, "SGX-LC" },
	{ 0x7, 0, D, 5, "UINTR" }, { 0x7, 0, D, 18, "PCONFIG" }, { 0x7, 0, D, 19, "LBR" },
	{ 0x80000001, 0, C, 2, "SVM" }, { 0x80000001, 0, C, 3, "extended APIC space" },
	{ 0x80000001, 0, C, 10, "IBS" }, { 0x80000001, 0, C, 12, "SKINIT" },
	{ 0x80000001, 0, C, 13, "WDT" }, { 0x80000001, 0, C, 15, "LWP" },
	{ 0x80000001, 0, C, 19, "node ID" }, { 0x80000001, 0, C, 29, "MWAITX" },
};

static const struct cpuid *get(u32 leaf, u32 subleaf)
{
	static struct cpuid r;

	r = leaf <= cpuid(leaf & 0x80000000).a ? cpuid_count(leaf, subleaf) : (struct cpuid){ 0 };
	return &r;
}

static void test_never(void)
{
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(never); i++) {
		const struct cpuid *r = get(never[i].leaf, never[i].subleaf);
		u32 value = never[i].reg == A ? r->a : never[i].reg == B ? r->b :
			never[i].reg == C ? r->c : r->d;

		tap(!(value >> never[i].bit & 1), "%s is not offered", never[i].name);
	}
	tap(!get(0xa, 0)->a, "there are no performance counters");
	tap(!get(0x8000000a, 0)->a, "there is no leaf of SVM");
	tap(!get(0x12, 0)->a && !get(0x14, 0)->a && !get(0xf, 0)->d && !get(0x10, 0)->b,
	    "there are no leaves of SGX, PT and resource control");
	tap(!(get(0x8000001f, 0)->a & 0xf), "there is no memory encryption");
}

static void test_sense(void)
{
	struct cpuid one = cpuid(1), vendor = cpuid(0), extended = cpuid(0x80000000);
	struct cpuid address = cpuid(0x80000008);
	u32 id = one.b >> 24, width = address.a & 0xff;

	tap(vendor.b && vendor.b == cpuid(0x80000000).b, "both ranges name the same vendor");
	tap(vendor.a >= 1 && extended.a >= 0x80000008, "there are leaves to the address sizes");
	tap(one.d >> 9 & 1, "there is a local APIC");
	tap(one.d & 1 && one.d >> 4 & 1 && one.d >> 5 & 1 && one.d >> 6 & 1,
	    "FPU, TSC, MSRs and PAE are there");
	tap(cpuid(0x80000001).d >> 29 & 1, "long mode is there");
	tap(cpuid(0x80000001).d >> 20 & 1, "no-execute is there");
	tap(width >= 36 && width <= 52, "physical addresses have %u bits", width);
	tap((address.a >> 8 & 0xff) == 48 || (address.a >> 8 & 0xff) == 57, "linear ones 48 or 57");
	if (vendor.a >= 0xb && cpuid(0xb).b)
		tap_equal(cpuid(0xb).d, id, "leaves 1 and 11 agree on the APIC ID");
	apic_enable(false);
	tap_equal(apic_id(), id, "the APIC agrees with CPUID");
	if (!(one.c >> 26 & 1)) {
		tap(!get(7, 0)->b || !(get(7, 0)->b >> 5 & 1), "no AVX2 without XSAVE");
		tap(!(one.c >> 28 & 1), "no AVX without XSAVE");
	}
	/* A leaf beyond the last is the last (Intel) or empty (AMD). */
	if (cpu_is_amd) {
		struct cpuid r = cpuid(vendor.a + 1);

		tap(!(r.a | r.b | r.c | r.d), "beyond the last leaf nothing is");
		r = cpuid(0x8fffffff);
		tap(!(r.a | r.b | r.c | r.d), "nor beyond the extended ones");
	}
}

static void test_xen(void)
{
	struct cpuid r = cpuid(xen_cpuid_base), host;

	tap(cpuid(1).c >> 31 & 1, "the hypervisor bit is set");
	tap(xen_cpuid_base == 0x40000000, "Xen's leaves are the first");
	tap(r.a >= xen_cpuid_base + 4, "there are Xen leaves to 4");
	r = cpuid(xen_cpuid_base + 1);
	tap_equal(r.a, xen_version(XENVER_version, 0), "leaf 1 has Xen's version");
	r = cpuid(xen_cpuid_base + 2);
	tap_equal(r.a, 1, "leaf 2: one hypercall page");
	tap_equal(r.b, 0x40000000, "leaf 2: its MSR");
	tap_equal(r.c, 0, "leaf 2: no features of PV guests");
	r = cpuid_count(xen_cpuid_base + 3, 0);
	host = cpuid_count(xen_cpuid_base + 3, 2);
	tap(r.c > 1000 && r.c < 100000000, "leaf 3: the TSC's rate is %u kHz", r.c);
	tap(host.a, "leaf 3: so is the host's, %u", host.a);
	r = cpuid(xen_cpuid_base + 4);
	tap(!(r.a >> 3 & 1) || r.b == 0, "leaf 4: this is vCPU 0");
	tap(!(r.a >> 4 & 1) || r.c > 0, "leaf 4: the domain has a number");
	tap(!(r.a >> 5 & 1), "leaf 4: no long destination IDs");
}

void main(void)
{
	tap_begin();
	show_range(0);
	show_range(0x80000000);
	if (on_xen)
		show_range(xen_cpuid_base);
	tap(count > 10, "there are %u leaves", count);
	test_never();
	test_sense();
	if (on_xen)
		test_xen();
	tap_end();
}
