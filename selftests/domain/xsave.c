// SPDX-License-Identifier: GPL-2.0-only
/*
 * Proves that a guest's vector registers can be read and changed from outside, survive other changes, and that
 * a record of them that cannot be is refused and changes nothing.
 */

#include "domain.h"

/* Loads %ymm3 from 0x100 of the page, then stores it at 0x140 and counts at 0x80 for ever. */
static const uint8_t code_vector[] = {
	0x0f, 0x20, 0xe0,			/* mov %cr4, %eax */
	0x0d, 0x00, 0x06, 0x04, 0x00,		/* or $(OSXSAVE | OSXMMEXCPT | OSFXSR), %eax */
	0x0f, 0x22, 0xe0,			/* mov %eax, %cr4 */
	0x31, 0xc9,				/* xor %ecx, %ecx */
	0x31, 0xd2,				/* xor %edx, %edx */
	0xb8, 7, 0, 0, 0,			/* mov $7, %eax */
	0x0f, 0x01, 0xd1,			/* xsetbv */
	0xc5, 0xfc, 0x10, 0x1d, 0x00, 1, 1, 0,	/* vmovups 0x10100, %ymm3 */
	0xc5, 0xfc, 0x11, 0x1d, 0x40, 1, 1, 0,	/* 1: vmovups %ymm3, 0x10140 */
	0xff, 0x05, 0x80, 0x00, 1, 0,		/* incl 0x10080 */
	0xeb, 0xf0,				/* jmp 1b */
};

#define YMM3 3
/* Where the registers are in the record: lower halves, upper halves. */
#define XMM(n) (offsetof(struct hvm_hw_cpu_xsave, save_area.fpu_sse) + 160 + 16 * (n))
#define HIGH(n) (sizeof(struct hvm_hw_cpu_xsave) + 16 * (n))

static int fd;
static long domain;
static volatile uint8_t *page;
static struct saved_state state;

static bool stored(uint8_t first)
{
	unsigned int i;

	for (i = 0; i < 32; i++)
		if (page[0x140 + i] != (uint8_t)(first + i))
			return false;
	return true;
}

static void refused(long errno_is, size_t at, uint64_t value, const char *what)
{
	uint8_t *xsave = saved_record(&state, CPU_XSAVE_CODE), old[8];

	memcpy(old, xsave + at, 8);
	memcpy(xsave + at, &value, 8);
	tap_equal(domain_load(fd, domain, &state), errno_is, "refused: %s", what);
	memcpy(xsave + at, old, 8);
}

static void test_refusals(void)
{
	struct hvm_save_descriptor *is =
		(struct hvm_save_descriptor *)saved_record(&state, CPU_XSAVE_CODE) - 1;
	size_t header = offsetof(struct hvm_hw_cpu_xsave, save_area.xsave_hdr);

	refused(-EINVAL, offsetof(struct hvm_hw_cpu_xsave, xcr0), 0, "XCR0 of 0");
	refused(-EINVAL, offsetof(struct hvm_hw_cpu_xsave, xcr0), 5, "AVX without SSE");
	refused(-EINVAL, offsetof(struct hvm_hw_cpu_xsave, xcr0_accum), 3,
		"XCR0 that was never enabled");
	refused(-EINVAL, offsetof(struct hvm_hw_cpu_xsave, xcr0_accum), 7ULL | 1ULL << 62,
		"unknown components");
	refused(-EINVAL, header, 1ULL << 9, "a component that was never enabled");
	refused(-EOPNOTSUPP, header + 8, 1ULL << 63, "the compacted format");
	refused(-EIO, header + 16, 1, "a header with unknown parts");
	is->instance = 1;
	tap_equal(domain_load(fd, domain, &state), -EINVAL, "refused: a vCPU that there is not");
	is->instance = 0;
	/* The records behind it begin in the middle of it then; the sequence is refused before they are looked at. */
	is->length = 599;
	tap_equal(domain_load(fd, domain, &state), -EINVAL, "refused: less than the header");
	is->length = 24 + 576 + 255;
	tap_equal(domain_load(fd, domain, &state), -EINVAL, "refused: less than the components");
	is->length = 24 + 576 + 256;
}

int main(void)
{
	struct xen_domctl domctl = { 0 };
	xen_pfn_t frame = CODE_GFN;
	uint8_t *xsave;
	unsigned int i;

	fd = xen_open("privcmd");
	if (!__builtin_cpu_supports("avx"))
		tap_skip_all("this processor has no AVX");
	tap_plan(32);
	domain = DOMAIN_MAKE(fd, 1, code_vector, 0);
	page = domain > 0 ? xen_map(fd, domain, &frame, 1) : NULL;
	if (!page)
		tap_bail("no domain: %ld", domain);
	for (i = 0; i < 32; i++)
		page[0x100 + i] = 0x40 + i;

	tap_equal(domain_save(fd, domain, &state), 0, "the context of a guest that has not run");
	tap(!saved_record(&state, CPU_XSAVE_CODE), "has no extended state");
	domctl.u.hvmcontext_partial.type = CPU_XSAVE_CODE;
	tap_equal(xen_domctl(fd, XEN_DOMCTL_gethvmcontext_partial, domain, &domctl), -ENOENT,
		  "nor can it be had alone");
	tap(domain_counts_on(fd, domain, page) && stored(0x40),
	    "the guest loads a vector register");
	tap_equal(domain_save(fd, domain, &state), 0, "its context");
	xsave = saved_record(&state, CPU_XSAVE_CODE);
	if (!tap(xsave != NULL, "has extended state")) {
		domain_destroy(fd, domain);
		return tap_end();
	}
	tap_equal(((struct hvm_save_descriptor *)xsave)[-1].length, 24 + 576 + 256, "with AVX");
	tap_equal(((struct hvm_hw_cpu_xsave *)xsave)->xcr0, 7, "as XCR0 says");
	tap_equal(((struct hvm_hw_cpu_xsave *)xsave)->xcr0_accum, 7, "and said");
	tap(((struct hvm_hw_cpu_xsave *)xsave)->save_area.xsave_hdr.xstate_bv & 4, "AVX is used");
	tap(!memcmp(xsave + XMM(YMM3), (uint8_t *)page + 0x100, 16),
	    "the register's lower half is there");
	tap(!memcmp(xsave + HIGH(YMM3), (uint8_t *)page + 0x110, 16), "so is its upper half");
	memset(&domctl, 0, sizeof(domctl));
	domctl.u.hvmcontext_partial.type = CPU_XSAVE_CODE;
	tap_equal(xen_domctl(fd, XEN_DOMCTL_gethvmcontext_partial, domain, &domctl), 0,
		  "it can be had alone");
	tap_equal(domctl.u.hvmcontext_partial.bufsz, 24 + 576 + 256, "as long");

	test_refusals();
	tap(domain_counts_on(fd, domain, page) && stored(0x40),
	    "what was refused has changed nothing");

	/* Another value, in both halves. */
	for (i = 0; i < 16; i++) {
		xsave[XMM(YMM3) + i] = 0x80 + i;
		xsave[HIGH(YMM3) + i] = 0x90 + i;
	}
	tap_equal(domain_load(fd, domain, &state), 0, "the context is set with another value");
	tap(domain_counts_on(fd, domain, page) && stored(0x80), "the guest has it");
	domain_save(fd, domain, &state);
	memset(xsave + offsetof(struct hvm_hw_cpu_xsave, save_area.xsave_hdr), 0, 8);
	tap_equal(domain_load(fd, domain, &state), 0, "the context is set with no component");
	domain_counts_on(fd, domain, page);
	for (i = 0; i < 32 && !page[0x140 + i]; i++)
		;
	tap_equal(i, 32, "the register is 0");
	tap_equal(domain_save(fd, domain, &state), 0, "the context again");
	xsave = saved_record(&state, CPU_XSAVE_CODE);
	tap(xsave && ((struct hvm_hw_cpu_xsave *)xsave)->xcr0 == 7, "XCR0 stays");
	tap_equal(domain_destroy(fd, domain), 0, "the domain goes");
	return tap_end();
}
