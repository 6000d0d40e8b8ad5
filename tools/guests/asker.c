// SPDX-License-Identifier: GPL-2.0-only
/*
 * Asks the hypervisor for the size of a page without end, by a hypercall that leaves the section, and says
 * each new answer, with the number of questions so far: who looks sees what a live patch has changed, and
 * that the guest has gone on all the time. Ends after `changes` new answers.
 *
 * With `capabilities` it asks for the kinds of guests instead.
 *
 * With `fill` it carries out one instruction that the hypervisor has to emulate 2^28 times, and asks nothing.
 */

#include "guest.h"

/* New answers that are said one by one; later ones are when they have been the answer so often. */
#define SAID 40
#define SETTLED 2000

/* Where nothing is. */
#define NOTHING 0xc0000000UL

/* Fills it: one instruction, which takes minutes. */
static void fill(void)
{
	void *to = (void *)NOTHING;
	u64 count = 1UL << 28;

	print("fills\n");
	print_flush();
	__asm__ volatile("rep stosb" : "+D"(to), "+c"(count) : "a"(0) : "memory");
	print("has filled\n");
	print_flush();
}

/* The same for the kinds of guests, for ever. */
static void ask_capabilities(void)
{
	static char answers[2][1024];
	u64 asked = 0;
	u32 now;

	for (;;) {
		now = asked++ & 1;
		xen_version(XENVER_capabilities, answers[now]);
		if (!strcmp(answers[0], answers[1]))
			continue;
		tap_note("asked %llu, capabilities %s", (unsigned long long)asked, answers[now]);
		print_flush();
		/* The next answer is compared with this one. */
		memcpy(answers[!now], answers[now], sizeof(answers[now]));
	}
}

void main(void)
{
	u64 changes = param_number("changes", ~0ULL), seen = 0, asked = 0, since = 0;
	long last = -1, answer;

	tap_begin();
	need_xen();
	if (param("fill"))
		fill();
	if (param("capabilities"))
		ask_capabilities();
	while (seen < changes) {
		answer = xen_version(XENVER_pagesize, 0);
		asked++;
		if (answer != last) {
			last = answer;
			seen++;
			since = asked;
		}
		if (seen <= SAID ? asked == since : asked - since == SETTLED)
			tap_note("asked %llu, answer %ld, change %llu",
				 (unsigned long long)asked, answer, (unsigned long long)seen);
	}
	tap(true, "the answer changed as often as expected");
	tap_end();
}
