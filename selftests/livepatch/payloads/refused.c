// SPDX-License-Identifier: GPL-2.0-only
/* Is refused: -D HOW=NUMBER says for what. */
#include "../payload.h"

PAYLOAD("refused.............", RUNNING);

INTERNAL __u32 core(__u32 cpu)
{
	return 42 + cpu;
}

#if HOW == 1
/* A section for which nothing is done. */
static const __u32 table[3] __attribute__((used, section("__ex_table"))) = { 1 };
REPLACE(oxen_cpu_core_id, core);
#elif HOW == 2
static const __u32 table[4] __attribute__((used, section(".altinstructions"))) = { 1 };
REPLACE(oxen_cpu_core_id, core);
#elif HOW == 3
/* A function that runs while code is written; the world switch; what stops everything. */
REPLACE(oxen_fixed_poke, core);
#elif HOW == 4
REPLACE(oxen_svm_enter, core);
#elif HOW == 5
REPLACE(oxen_fixed_wrmsr, core);
#elif HOW == 6
/* A function of the kernel. */
extern int _printk(const char *format, ...);
RECORD record = {
	.name = "_printk", .new_addr = core, .old_addr = _printk, .new_size = 1, .old_size = 14,
	.version = OXEN_LIVEPATCH_VERSION,
};
#elif HOW == 7
/* A function that there is not. */
REPLACE(oxen_no_such_function, core);
#elif HOW == 8
/* A function that is called, and that there is not. */
extern int oxen_no_such_function(void);
INTERNAL __u32 calls(__u32 cpu)
{
	return oxen_no_such_function();
}
REPLACE(oxen_cpu_core_id, calls);
#elif HOW == 9
/* More than there is of the function. */
RECORD record = {
	.name = "oxen_cpu_core_id", .new_addr = core, .new_size = 1, .old_size = 4096,
	.version = OXEN_LIVEPATCH_VERSION,
};
#elif HOW == 10
/* Another version of the format. */
RECORD record = {
	.name = "oxen_cpu_core_id", .new_addr = core, .new_size = 1, .old_size = 14, .version = 1,
};
#elif HOW == 11
/* A symbol that there is already. */
REPLACE(oxen_cpu_core_id, core);
__u32 oxen_cpu_node(__u32 cpu)
{
	return cpu;
}
#elif HOW == 12
/* A per-processor variable. */
static __u32 variable __attribute__((used, section(".data..percpu"))) = 1;
REPLACE(oxen_cpu_core_id, core);
#elif HOW == 13
/* Too small for a jump. */
RECORD record = {
	.name = "oxen_cpu_core_id", .new_addr = core, .new_size = 1, .old_size = 4,
	.version = OXEN_LIVEPATCH_VERSION,
};
#elif HOW == 14
/* Code that can be written. */
__asm__(".pushsection .both, \"awx\", @progbits; nop; .popsection");
REPLACE(oxen_cpu_core_id, core);
#endif
