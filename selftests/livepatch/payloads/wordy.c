// SPDX-License-Identifier: GPL-2.0-only
/* Says more of itself than others. */
#include "../payload.h"

PAYLOAD("wordy...............", RUNNING);

INTERNAL __u32 core(__u32 cpu)
{
	return 40 + cpu;
}
REPLACE(oxen_cpu_core_id, core);

#define TEN "0123456789"
#define HUNDRED TEN TEN TEN TEN TEN TEN TEN TEN TEN TEN

static const char info[] __attribute__((used, section(".modinfo"))) =
	"about=" HUNDRED HUNDRED HUNDRED;
