// SPDX-License-Identifier: GPL-2.0-only
/* A function that nop-top.c makes no-ops in. */
#include "../payload.h"

PAYLOAD("nop.................", RUNNING);

__u32 nop_core(__u32 cpu);
__asm__(".pushsection .text.nop_core, \"ax\", @progbits\n"
	".globl nop_core\n"
	".type nop_core, @function\n"
	"nop_core:\n"
	"	movl $1, %eax\n"
	"	addl $41, %eax\n"
	"	jmp nop_end\n"
	".size nop_core, . - nop_core\n"
	"nop_end:\n"
	"	jmp __x86_return_thunk\n"
	".popsection\n");

INTERNAL __u32 core(__u32 cpu)
{
	return nop_core(cpu);
}
REPLACE(oxen_cpu_core_id, core);
