/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * For the payloads of these tests. They are compiled like the module's own C code, and name the running
 * hypervisor by a placeholder, which lp.h replaces.
 */
#ifndef SELFTESTS_PAYLOAD_H
#define SELFTESTS_PAYLOAD_H

#include <oxen/livepatch.h>

/* 20 bytes each, as the tool chain's own. */
#define RUNNING "the running build-id"

struct note {
	__u32 name_len, id_len, type;
	char name[4] __attribute__((nonstring));
	char id[20] __attribute__((nonstring));
};

#define NOTE(variable, section_name, text)						\
	static const struct note variable						\
	__attribute__((used, section(section_name), aligned(4))) = {			\
		4, 20, 3, "GNU", text							\
	}

/* Who it is, and what must have been applied last; names of 20 characters. */
#define PAYLOAD(own, depends)								\
	NOTE(note_xen, ".livepatch.xen_depends", RUNNING);				\
	NOTE(note_depends, ".livepatch.depends", depends);				\
	NOTE(note_own, ".note.gnu.build-id", own)

/* The functions of the hypervisor that these tests replace: what they return, a tool can see. */
__u32 oxen_cpu_core_id(__u32 cpu);
__u32 oxen_cpu_package_id(__u32 cpu);
__u32 oxen_cpu_node(__u32 cpu);

#define RECORD static const struct oxen_livepatch_func __attribute__((used, section(".livepatch.funcs"), aligned(8)))

/* Replaces function `old` by `new`. */
#define REPLACE(old, new)								\
	RECORD record_##old = {								\
		.name = #old, .new_addr = new, .new_size = 1, .old_size = 14,		\
		.version = OXEN_LIVEPATCH_VERSION,					\
	}

#define HOOK(kind, function)								\
	static const void *const hook_##kind						\
	__attribute__((used, section(".livepatch.hooks." #kind))) = function

/* What others may not see, and must not be left out. */
#define INTERNAL static __attribute__((used, noinline))

#endif
