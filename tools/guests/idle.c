// SPDX-License-Identifier: GPL-2.0-only
/*
 * Halts with interrupts on, for ever: on every CPU, if told `smp`. Nothing interrupts it: it says so if it comes
 * out of a halt all the same.
 */

#include "guest.h"

static void idle(void)
{
	for (;;) {
		irq_enable_and_halt();
		print("woken\n");
		print_flush();
	}
}

void main(void)
{
	if (param("smp"))
		smp_start(idle, false);
	print("idle\n");
	idle();
}
