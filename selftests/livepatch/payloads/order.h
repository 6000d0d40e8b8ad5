/* SPDX-License-Identifier: GPL-2.0-only */
/* What book.c has. */
#ifndef SELFTESTS_ORDER_H
#define SELFTESTS_ORDER_H

#include "../payload.h"

extern __u32 book_seen[2];
extern __u32 book_own;
void book_note(__u32 digit);

/*
 * Replaces a function, so that tools see it: of the first processor the last eight digits, of the second six more and
 * above them what was done in an own way.
 */
#define SHOW_BOOK								\
	INTERNAL __u32 show(__u32 cpu)						\
	{									\
		return cpu ? book_own << 24 | (book_seen[1] & 0xffffff) : book_seen[0]; \
	}									\
	REPLACE(oxen_cpu_package_id, show)

#endif
