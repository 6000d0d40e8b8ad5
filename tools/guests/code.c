// SPDX-License-Identifier: GPL-2.0-only
/*
 * Instructions that exit, in code that does not stay what or where it was: rewritten in place, with all
 * prefixes, across pages, moved by every level of the page tables, by another root, by a superpage, and by
 * Xen. Whoever skips such an instruction must skip the bytes that are there now. 64-bit guests only.
 */

#include "guest.h"

/* 32 MiB: a start of superpages, free in a guest of 64 MiB. Two superpages and then single pages. */
#define POOL 0x2000000UL
#define LARGE 0x200000UL
/* Where code is looked at: nothing else of the guest is in this part of the address space. */
#define WINDOW 0x10000000000UL

#define PRESENT 0x3UL
#define ACCESSED 0x20UL
#define HUGE_PAGE 0x80UL

static ulong next_page = POOL + 2 * LARGE;

/* Two translations of the window, complete to the root. */
static struct {
	u64 *root, *upper, *middle, *lower;
	ulong page;
} ways[2];

static u64 *new_table(void)
{
	u64 *table = (u64 *)next_page;

	next_page += PAGE_SIZE;
	memset(table, 0, PAGE_SIZE);
	return table;
}

static void flush(void)
{
	write_cr3(read_cr3());
}

/* An instruction, and what its result is known by. */
static struct exits {
	const char *name;
	u8 bytes[3], len;
	u32 a, c;
} instructions[] = {
	{ "CPUID", { 0x0f, 0xa2 }, 2, 0x40000000, 0 },
	{ "RDMSR", { 0x0f, 0x32 }, 2, 0, MSR_APIC_BASE },
	{ "WRMSR", { 0x0f, 0x30 }, 2, 0, MSR_APIC_BASE },
	{ "VMMCALL", { 0x0f, 0x01, 0xd9 }, 3, __HYPERVISOR_xen_version, 0 },
};

/*
 * Writes a function: `prefixes` bytes of `prefix`, the instruction, and 16 bytes that count how many of
 * them are executed. If too few bytes are skipped, the instruction's own are executed, and if too many, the
 * count is wrong. Ends in INT3s.
 */
static void write_code(void *to, const struct exits *insn, u8 prefix, unsigned int prefixes)
{
	/* push rbx; push rsi; push rdi; mov eax, a; mov ecx, c; xor edx, edx; xor edi, edi; xor esi, esi */
	static const u8 begin[] = { 0x53, 0x56, 0x57, 0xb8, 0, 0, 0, 0, 0xb9, 0, 0, 0, 0,
				    0x31, 0xd2, 0x31, 0xff, 0x31, 0xf6 };
	/* xor eax, eax; 7 times inc eax; pop rdi; pop rsi; pop rbx; ret; int3... */
	static const u8 end[] = { 0x31, 0xc0, 0xff, 0xc0, 0xff, 0xc0, 0xff, 0xc0, 0xff, 0xc0,
				  0xff, 0xc0, 0xff, 0xc0, 0xff, 0xc0, 0x5f, 0x5e, 0x5b, 0xc3,
				  0xcc, 0xcc, 0xcc, 0xcc };
	u8 *at = to;

	memcpy(at, begin, sizeof(begin));
	memcpy(at + 4, &insn->a, 4);
	memcpy(at + 9, &insn->c, 4);
	at += sizeof(begin);
	memset(at, prefix, prefixes);
	at += prefixes;
	memcpy(at, insn->bytes, insn->len);
	at += insn->len;
	memcpy(at, end, sizeof(end));
}

#define RESULT 7

static bool run(ulong at)
{
	u32 (*function)(void) = (void *)at;
	u32 result;

	__asm__ volatile("call *%1" : "=a"(result) : "r"(function)
			 : "rcx", "rdx", "r8", "r9", "r10", "r11", "memory", "cc");
	return result == RESULT;
}

static void test_rewritten(const struct exits *insn)
{
	static const u8 prefixes[] = {
		0x26, 0x2e, 0x36, 0x3e, 0x64, 0x65, 0x66, 0x67, 0x40, 0x48, 0x4f,
	};
	unsigned int i, n, good = 0, all = 0;

	for (i = 0; i < ARRAY_SIZE(prefixes); i++)
		for (n = 0; n <= 12; n++) {
			/* More than one REX is none. */
			if (prefixes[i] >> 4 == 4 && n > 1)
				break;
			write_code((void *)(ways[0].page + 0x100), insn, prefixes[i], n);
			good += run(WINDOW + 0x100);
			good += run(WINDOW + 0x100);
			all += 2;
		}
	tap_equal(good, all, "%s, rewritten in place with all prefixes", insn->name);
}

/* The window's second page is the other way's. */
static void test_across(const struct exits *insn)
{
	unsigned int good = 0, all = 0, offset, n;
	u8 code[80];

	ways[0].lower[1] = ways[1].page | PRESENT;
	flush();
	for (offset = 0xfd0; offset < 0x1000; offset++)
		for (n = 0; n < 3; n++) {
			unsigned int i;

			memset(code, 0xcc, sizeof(code));
			write_code(code, insn, 0x66, n);
			for (i = 0; i < sizeof(code); i++) {
				ulong at = offset + i;

				*(u8 *)(at < PAGE_SIZE ? ways[0].page + at : ways[1].page + at - PAGE_SIZE) =
					code[i];
			}
			good += run(WINDOW + offset);
			good += run(WINDOW + offset);
			all += 2;
		}
	tap_equal(good, all, "%s, across two pages", insn->name);
	ways[0].lower[1] = 0;
	flush();
}

/* Two pages with the same instruction at the same place, one with a prefix more. */
static void write_both(const struct exits *insn)
{
	/* So that what differs in length begins at the same byte. */
	write_code((void *)(ways[0].page + 0x200), insn, 0, 0);
	write_code((void *)(ways[1].page + 0x200), insn, 0x3e, 1);
}

/* Changes an entry between two values, and looks whether each leads where it should. */
static void test_entry(const struct exits *insn, u64 *entry, u64 first, u64 second,
		       const char *text)
{
	u64 before = *entry;
	unsigned int i, good = 0;

	for (i = 0; i < 8; i++) {
		*entry = i & 1 ? second : first;
		flush();
		good += run(WINDOW + 0x200);
		/* The second time it is remembered. */
		good += run(WINDOW + 0x200);
	}
	*entry = before;
	flush();
	tap_equal(good, 16, "%s, moved by %s", insn->name, text);
}

static void test_moved(const struct exits *insn)
{
	u64 *root = ways[0].root;
	unsigned int i, good = 0;

	write_both(insn);
	test_entry(insn, &ways[0].lower[0], ways[0].page | PRESENT, ways[1].page | PRESENT,
		   "a page table");
	test_entry(insn, &ways[0].middle[0], (ulong)ways[0].lower | PRESENT,
		   (ulong)ways[1].lower | PRESENT,
		   "a page directory");
	test_entry(insn, &ways[0].upper[0], (ulong)ways[0].middle | PRESENT,
		   (ulong)ways[1].middle | PRESENT,
		   "a page-directory-pointer table");
	test_entry(insn, &root[WINDOW >> 39], (ulong)ways[0].upper | PRESENT,
		   (ulong)ways[1].upper | PRESENT,
		   "the root");

	for (i = 0; i < 16; i++) {
		write_cr3((ulong)ways[i & 1].root);
		good += run(WINDOW + 0x200);
		good += run(WINDOW + 0x200);
	}
	write_cr3((ulong)root);
	tap_equal(good, 32, "%s, moved by another root", insn->name);

	memcpy((void *)(POOL + 0x200), (void *)(ways[0].page + 0x200), 80);
	memcpy((void *)(POOL + LARGE + 0x200), (void *)(ways[1].page + 0x200), 80);
	test_entry(insn, &ways[0].middle[0], POOL | PRESENT | HUGE_PAGE,
		   (POOL + LARGE) | PRESENT | HUGE_PAGE, "a superpage");
	test_entry(insn, &ways[0].middle[0], POOL | PRESENT | HUGE_PAGE,
		   (ulong)ways[1].lower | PRESENT,
		   "a superpage that is broken up");
}

/* More pages than anybody remembers, that have the same place in a small cache. */
static void test_many(const struct exits *insn)
{
	unsigned int i, round, good = 0;

	write_both(insn);
	for (i = 0; i < 64; i++)
		ways[0].lower[i] = ways[(i ^ i >> 5) & 1].page | PRESENT;
	flush();
	for (round = 0; round < 3; round++)
		for (i = 0; i < 64; i++)
			good += run(WINDOW + i * PAGE_SIZE + 0x200);
	for (round = 0; round < 64; round++)
		for (i = 0; i < 64; i += 32)
			good += run(WINDOW + i * PAGE_SIZE + 0x200);
	tap_equal(good, 5 * 64, "%s, in many pages", insn->name);
	for (i = 1; i < 64; i++)
		ways[0].lower[i] = 0;
	ways[0].lower[0] = ways[0].page | PRESENT;
	flush();
}

static bool reserve(unsigned int cmd, ulong page)
{
	xen_pfn_t frame = page / PAGE_SIZE;
	struct xen_memory_reservation what = { .nr_extents = 1, .domid = DOMID_SELF };

	set_xen_guest_handle(what.extent_start, &frame);
	return memory_op(cmd, &what) == 1;
}

#define SPARES 16

/*
 * Gives a frame back and takes another one, together with the spare ones after POOL: one of these most
 * probably gets the memory that the frame had.
 */
static bool replace(ulong frame)
{
	bool good = reserve(XENMEM_decrease_reservation, frame);
	ulong at;

	for (at = POOL; at < POOL + SPARES * PAGE_SIZE; at += PAGE_SIZE)
		good &= reserve(XENMEM_decrease_reservation, at);
	for (at = POOL; at < POOL + SPARES * PAGE_SIZE; at += PAGE_SIZE)
		good &= reserve(XENMEM_populate_physmap, at);
	return good && reserve(XENMEM_populate_physmap, frame);
}

/* Lets `table` lead to `page` at eight addresses, so that one is remembered in spite of other code. */
static void point(u64 *table, ulong page)
{
	unsigned int i;

	for (i = 0; i < 8; i++)
		table[i] = page | PRESENT;
}

static bool run_eight(void)
{
	unsigned int i, good = 0;

	for (i = 0; i < 16; i++)
		good += run(WINDOW + (i & 7) * PAGE_SIZE + 0x200);
	return good == 16;
}

/* The frame of the code, or of a table that leads there, is given back and another one taken. */
static void test_replaced(const struct exits *insn)
{
	u64 *table = ways[0].lower;
	unsigned int i, good = 0;
	ulong at;

	point(table, ways[0].page);
	flush();
	for (i = 0; i < 8; i++) {
		write_code((void *)(ways[0].page + 0x200), insn, 0x3e, i & 1);
		good += run_eight();
		good += replace(ways[0].page);
		write_code((void *)(ways[0].page + 0x200), insn, 0x3e, ~i & 1);
		for (at = POOL; at < POOL + SPARES * PAGE_SIZE; at += PAGE_SIZE)
			write_code((void *)(at + 0x200), insn, 0x3e, i & 1);
		good += run_eight();
	}
	tap_equal(good, 24, "%s, in a page that Xen replaced", insn->name);

	good = 0;
	write_both(insn);
	for (i = 0; i < 8; i++) {
		point(table, ways[i & 1].page);
		flush();
		good += run_eight();
		good += replace((ulong)table);
		memset(table, 0, PAGE_SIZE);
		point(table, ways[~i & 1].page);
		/* As they are when the processor has been there. */
		for (at = POOL; at < POOL + SPARES * PAGE_SIZE; at += PAGE_SIZE)
			point((u64 *)at, ways[i & 1].page | ACCESSED);
		flush();
		good += run_eight();
	}
	memset(table, 0, PAGE_SIZE);
	table[0] = ways[0].page | PRESENT;
	flush();
	tap_equal(good, 24, "%s, by a page table that Xen replaced", insn->name);
}

void main(void)
{
	u64 *old_root = (u64 *)(read_cr3() & ~0xfffUL);
	unsigned int i;

	tap_begin();
	need_xen();
	for (i = 0; i < 2; i++) {
		ways[i].page = (ulong)new_table();
		ways[i].lower = new_table();
		ways[i].middle = new_table();
		ways[i].upper = new_table();
		ways[i].root = new_table();
		memcpy(ways[i].root, old_root, PAGE_SIZE);
		ways[i].lower[0] = ways[i].page | PRESENT;
		ways[i].middle[0] = (ulong)ways[i].lower | PRESENT;
		ways[i].upper[0] = (ulong)ways[i].middle | PRESENT;
		ways[i].root[WINDOW >> 39] = (ulong)ways[i].upper | PRESENT;
		memset((void *)ways[i].page, 0xcc, PAGE_SIZE);
	}
	write_cr3((ulong)ways[0].root);
	/* WRMSR: what is there already, which is below 4 GiB. */
	instructions[2].a = rdmsr(MSR_APIC_BASE);
	for (i = 0; i < ARRAY_SIZE(instructions); i++) {
		const struct exits *insn = &instructions[i];

		if (insn->len == 3 && !cpu_is_amd)
			continue;
		test_rewritten(insn);
		test_across(insn);
		test_moved(insn);
		test_many(insn);
		test_replaced(insn);
	}
	write_cr3((ulong)old_root);
	tap_end();
}
