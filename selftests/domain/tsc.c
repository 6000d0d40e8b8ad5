// SPDX-License-Identifier: GPL-2.0-only
/*
 * Proves that a guest's time stamp counter goes on from what the guest writes to it, whoever stops the guest,
 * and looks at it and sets it meanwhile.
 */

#include "domain.h"

/* Sets the counter to 2^40, then stores it at 0x100 of the page and counts at 0x80 for ever. */
static const uint8_t code_tsc[] = {
	0xb9, 0x10, 0, 0, 0,			/* mov $TSC, %ecx */
	0x31, 0xc0,				/* xor %eax, %eax */
	0xba, 0x00, 1, 0, 0,			/* mov $0x100, %edx */
	0x0f, 0x30,				/* wrmsr */
	0x0f, 0x31,				/* 1: rdtsc */
	0x89, 0x15, 0x04, 1, 1, 0,		/* mov %edx, 0x10104 */
	0xa3, 0x00, 1, 1, 0,			/* mov %eax, 0x10100 */
	0xff, 0x05, 0x80, 0x00, 1, 0,		/* incl 0x10080 */
	0xeb, 0xeb,				/* jmp 1b */
};

#define BEGIN (1ULL << 40)
/* More than a test takes: 2^36 ticks are half a minute at 2 GHz. */
#define RANGE (1ULL << 36)

static int fd;
static long domain;
static volatile uint8_t *page;
static struct saved_state state;

/* What the guest read last. The halves may be of two readings, one tick of the upper apart. */
static uint64_t seen(void)
{
	return *(volatile uint64_t *)(page + 0x100);
}

static uint64_t saved(void)
{
	HVM_SAVE_TYPE(CPU) *cpu;

	domain_save(fd, domain, &state);
	cpu = saved_record(&state, HVM_SAVE_CODE(CPU));
	return cpu ? cpu->tsc : 0;
}

static bool between(uint64_t low, uint64_t value, uint64_t high)
{
	if (low <= value && value <= high)
		return true;
	tap_note("%#llx is not between %#llx and %#llx", (unsigned long long)value,
		 (unsigned long long)low, (unsigned long long)high);
	return false;
}

int main(void)
{
	xen_pfn_t frame = CODE_GFN;
	uint64_t last, tsc;
	unsigned int i;
	bool good = true;

	fd = xen_open("privcmd");
	tap_plan(9);
	domain = DOMAIN_MAKE(fd, 1, code_tsc, 0);
	page = domain > 0 ? xen_map(fd, domain, &frame, 1) : NULL;
	if (!page)
		tap_bail("no domain: %ld", domain);
	tap(saved() != 0, "the counter of a guest that has not run goes");
	tap(domain_counts_on(fd, domain, page), "the guest runs");
	last = seen();
	tap(between(BEGIN, last, BEGIN + RANGE), "its counter goes on from what it wrote");
	for (i = 0; i < 20; i++, last = tsc) {
		domain_counts_on(fd, domain, page);
		tsc = seen();
		good &= between(last, tsc, BEGIN + RANGE);
	}
	tap(good, "pauses change nothing about that");
	tsc = saved();
	tap(between(last, tsc, BEGIN + RANGE), "its saved state has it");
	tap_equal(domain_load(fd, domain, &state), 0, "which is set again");
	domain_counts_on(fd, domain, page);
	tap(between(tsc, seen(), BEGIN + RANGE), "and the counter goes on from there");
	((HVM_SAVE_TYPE(CPU) *)saved_record(&state, HVM_SAVE_CODE(CPU)))->tsc = 4 * BEGIN;
	domain_load(fd, domain, &state);
	domain_counts_on(fd, domain, page);
	tap(between(4 * BEGIN, seen(), 4 * BEGIN + RANGE),
	    "or from elsewhere, if it is set to that");
	tap_equal(domain_destroy(fd, domain), 0, "the domain goes");
	return tap_end();
}
