// SPDX-License-Identifier: GPL-2.0-only
/* What the compiler and everyone takes for granted. */

#include "guest.h"

void *memset(void *to, int byte, size_t size)
{
	void *end = to;

	__asm__ volatile("rep stosb" : "+D"(end), "+c"(size) : "a"(byte) : "memory");
	return to;
}

void *memcpy(void *to, const void *from, size_t size)
{
	void *end = to;

	__asm__ volatile("rep movsb" : "+D"(end), "+S"(from), "+c"(size) :: "memory");
	return to;
}

int memcmp(const void *a, const void *b, size_t size)
{
	const u8 *p = a, *q = b;

	for (; size; size--, p++, q++)
		if (*p != *q)
			return *p - *q;
	return 0;
}

int strcmp(const char *a, const char *b)
{
	for (; *a && *a == *b; a++, b++)
		;
	return (u8)*a - (u8)*b;
}

size_t strlen(const char *text)
{
	const char *end = text;

	while (*end)
		end++;
	return end - text;
}

u64 divide(u64 value, u32 by, u32 *rest)
{
	u32 high = value >> 32, low = value, quotient_high = high / by, remainder = high % by;

	/* The remainder is less than `by`, so the quotient fits. */
	__asm__("divl %4" : "=a"(low), "=d"(remainder) : "0"(low), "1"(remainder), "r"(by));
	if (rest)
		*rest = remainder;
	return (u64)quotient_high << 32 | low;
}
