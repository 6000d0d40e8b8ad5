// SPDX-License-Identifier: GPL-2.0-only
/* Keeps a book of the hooks that are called, in which order; reader.c shows it. Is loaded, and never applied. */
#include "../payload.h"

PAYLOAD("book................", RUNNING);

/* Digits in hexadecimal, the last one called is the last digit of the first word. */
__u32 book_seen[2];
/* What order.c's third payload does in its own way. */
__u32 book_own;

void book_note(__u32 digit);
__attribute__((noipa)) void book_note(__u32 digit)
{
	book_seen[1] = book_seen[1] << 4 | book_seen[0] >> 28;
	book_seen[0] = book_seen[0] << 4 | digit;
}

/* There must be something to do. */
INTERNAL void load(void)
{
}
HOOK(load, load);
