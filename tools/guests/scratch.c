// SPDX-License-Identifier: GPL-2.0-only
/*
 * Uses a page of memory that a device model keeps (tools/devmodel), in every way in which instructions access memory,
 * and prints on the debug port too if it is told to by `e9`.
 *
 * Command line: at=0xfeb00000 is where the page is; found=N what its last four bytes should be, which are set to
 * leave=N at the end.
 */

#include "guest.h"

static volatile u8 *at;

#define PLACE(type, offset) (*(volatile type *)(at + (offset)))

static void widths(void)
{
	PLACE(u8, 0) = 0x11;
	PLACE(u16, 2) = 0x2222;
	PLACE(u32, 4) = 0x33333333;
	PLACE(u64, 8) = 0x4444444455555555;
	tap(PLACE(u8, 0) == 0x11 && PLACE(u16, 2) == 0x2222 && PLACE(u32, 4) == 0x33333333 &&
	    PLACE(u64, 8) == 0x4444444455555555, "1, 2, 4 and 8 bytes are kept");
	PLACE(u32, 21) = 0x12345678;
	tap_equal(PLACE(u32, 21), 0x12345678, "so are four that are not aligned");
	tap_equal(PLACE(u8, 23), 0x34, "in their order");
}

static void modifies(void)
{
	u32 old = 5;

	PLACE(u32, 32) = 0xf0;
	__asm__ volatile("orl $0x0f, %0" : "+m"(PLACE(u32, 32)));
	tap_equal(PLACE(u32, 32), 0xff, "OR in memory");
	__asm__ volatile("lock xaddl %0, %1" : "+r"(old), "+m"(PLACE(u32, 32)));
	tap_equal(old, 0xff, "LOCK XADD tells what was there");
	tap_equal(PLACE(u32, 32), 0x104, "and adds");
}

static void strings(void)
{
	static u8 from[256], to[256];
	volatile u8 *place = at + 1024;
	u8 *source = from, *sink = to;
	size_t count = sizeof(from), i;

	for (i = 0; i < sizeof(from); i++)
		from[i] = i * 5 + 1;
	__asm__ volatile("rep movsb" : "+S"(source), "+D"(place), "+c"(count) :: "memory");
	place = at + 1024;
	count = sizeof(to) / 4;
	__asm__ volatile("rep movsl" : "+S"(place), "+D"(sink), "+c"(count) :: "memory");
	tap(!memcmp(from, to, sizeof(from)), "256 bytes to and from it by REP MOVS");
}

void main(void)
{
	u32 found = param_number("found", 0);

	at = (volatile u8 *)(ulong)param_number("at", 0xfeb00000);
	tap_begin();
	tap_equal(PLACE(u32, 4092), found, "the page holds what was left there");
	widths();
	modifies();
	strings();
	PLACE(u32, 4092) = param_number("leave", 0);
	tap_end();
}
