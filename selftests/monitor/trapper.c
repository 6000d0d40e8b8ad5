// SPDX-License-Identifier: GPL-2.0-only
/*
 * For a Linux guest: does what a monitor may want to hear of (CPUID, INT3, ICEBP, single steps) and says whether it got
 * the signals that go with it.
 */

#include <signal.h>
#include <stdio.h>
#include <unistd.h>

static volatile sig_atomic_t signals;

static void count(int signal)
{
	(void)signal;
	signals++;
}

int main(void)
{
	unsigned int round, eax, ebx, ecx, edx;

	setvbuf(stdout, NULL, _IOLBF, 0);
	signal(SIGTRAP, count);
	for (round = 1;; round++) {
		signals = 0;
		eax = 0x40000000;
		ecx = 0;
		__asm__ volatile("cpuid" : "+a"(eax), "=b"(ebx), "+c"(ecx), "=d"(edx));
		__asm__ volatile("int3");
		__asm__ volatile(".byte 0xf1");
		/* The trap comes after the instruction that follows. */
		__asm__ volatile("sub $128, %%rsp; pushfq; orl $0x100, (%%rsp); popfq; nop\n\t"
				 "pushfq; andl $~0x100, (%%rsp); popfq; add $128, %%rsp"
				 : : : "memory", "cc");
		if (ebx != 0x566e6558)
			printf("guest: trapper wrong, CPUID says %#x\n", ebx);
		/* INT3, ICEBP, and NOP, PUSHF, AND, POPF with the flag. */
		if (signals != 6)
			printf("guest: trapper wrong, %d signals\n", (int)signals);
		printf("guest: trapper %u\n", round);
		usleep(200000);
	}
}
