// SPDX-License-Identifier: GPL-2.0-only
/*
 * Touches every page of RAM that its memory map names: each must be empty at first (nothing of the host or
 * of another guest in it), and keep what is written.
 *
 * Command line: used says that memory is not new (a machine with a BIOS).
 */

#include "guest.h"

static u64 pages, dirty, lost, skipped;

static bool is_empty(const u64 *page)
{
	size_t count = PAGE_SIZE / sizeof(*page);
	bool empty;

	__asm__ volatile("repe scasq"
			 : "+D"(page), "+c"(count), "=@cce"(empty) : "a"(0ULL) : "memory");
	return empty;
}

static void for_each_page(void (*what)(u64 *page))
{
	unsigned int i;
	u64 at;

	for (i = 0; i < memory_ranges(); i++) {
		struct memory_range range = memory_range(i);

		if (range.type != MEMORY_RAM)
			continue;
		for (at = range.start; at + PAGE_SIZE <= range.start + range.size; at += PAGE_SIZE)
			if (!memory_is_used(at) && at >= PAGE_SIZE)
				what((u64 *)at);
			else
				skipped++;
	}
}

static void fill(u64 *page)
{
	pages++;
	if (!is_empty(page) && dirty++ < 5)
		tap_note("page %p is not empty", page);
	page[0] = H(page);
	page[1] = 0;
	page[511] = ~H(page);
}

static void check(u64 *page)
{
	if ((READ_ONCE(page[0]) != H(page) || READ_ONCE(page[511]) != ~H(page) || page[1]) &&
	    lost++ < 5)
		tap_note("page %p holds %lx and %lx", page, (ulong)page[0], (ulong)page[511]);
}

void main(void)
{
	u64 limit = 0, at;
	unsigned int i;
	u32 value;

	tap_begin();
	for (i = 0; i < memory_ranges(); i++) {
		struct memory_range range = memory_range(i);

		if (range.type == MEMORY_RAM && range.start + range.size > limit)
			limit = range.start + range.size;
	}
	if (!map_memory(limit))
		tap_skip_all("more memory than this guest can map");

	for_each_page(fill);
	skipped = 0;
	for_each_page(check);
	tap_note("%llu pages, %llu in use", (unsigned long long)pages, (unsigned long long)skipped);
	tap(pages > 0, "there is memory");
	if (param("used"))
		tap_skip("memory is not new", "pages are empty at first");
	else
		tap_equal(dirty, 0, "pages are empty at first");
	tap_equal(lost, 0, "pages keep what is written, and no two are the same");

	/* Page 0 and the last one, which loops tend to forget. */
	*(volatile u32 *)8 = 0x12345678;
	tap_equal(*(volatile u32 *)8, 0x12345678, "page 0 is memory");
	if (on_xen) {
		at = 0xf8000000;
		tap_equal(read32_safe((void *)at, &value), NO_FAULT, "no fault where no memory is");
		tap_equal(value, ~0U, "no memory reads as ones");
	}
	tap_end();
}
