// SPDX-License-Identifier: GPL-2.0-only
/*
 * Ends badly. Command line: how=WAY, one of
 *
 *   poweroff reboot suspend crash watchdog soft_reset   a shutdown with that reason
 *   reason:N    one with any number
 *   triple      a triple fault
 *   halt        HLT with interrupts off
 *   timeout     a watchdog that nobody feeds
 *   jump        a jump to where nothing is
 *   tables      page tables where nothing is
 *   exhaust     a stack without end
 */

#include "guest.h"

static const struct {
	const char *name;
	unsigned int reason;
} reasons[] = {
	{ "poweroff", SHUTDOWN_poweroff }, { "reboot", SHUTDOWN_reboot },
	{ "suspend", SHUTDOWN_suspend }, { "crash", SHUTDOWN_crash },
	{ "watchdog", SHUTDOWN_watchdog }, { "soft_reset", SHUTDOWN_soft_reset },
};

static bool is(const char *value, const char *word)
{
	size_t length = strlen(word);

	return !memcmp(value, word, length) && (!value[length] || value[length] == ' ');
}

static void no_idt(void)
{
	static const struct {
		u16 limit;
		ulong base;
	} __attribute__((packed)) none;

	__asm__ volatile("lidt %0" :: "m"(none));
}

void main(void)
{
	const char *how = param("how");
	unsigned int i;

	printf("crash: now\n");
	if (!how)
		how = "crash";
	for (i = 0; i < ARRAY_SIZE(reasons); i++)
		if (is(how, reasons[i].name))
			shutdown(reasons[i].reason);
	if (!memcmp(how, "reason:", 7))
		shutdown(how[7] - '0');
	print_flush();
	if (is(how, "triple")) {
		triple_fault();
	} else if (is(how, "halt")) {
		irq_disable();
		__asm__ volatile("hlt");
	} else if (is(how, "timeout")) {
		struct sched_watchdog watchdog = { .id = 0, .timeout = 1 };

		printf("watchdog is %ld\n", sched_op(SCHEDOP_watchdog, &watchdog));
		print_flush();
		for (;;)
			cpu_relax();
	} else if (is(how, "jump")) {
		no_idt();
		((void (*)(void))0xf8000000UL)();
	} else if (is(how, "tables")) {
		write_cr3(0xf8000000UL);
	} else if (is(how, "exhaust")) {
		no_idt();
		__asm__ volatile("1: call 1b");
	}
	print("crash: still here\n");
}
