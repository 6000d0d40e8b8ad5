/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Where the code ends that a live patch may change, and the room for payloads: in the module's own
 * text, because nothing else is executable that a module can have, and close enough for a jump of five
 * bytes. Linked behind all code that may be patched; in front of all that may not.
 */

#include <linux/linkage.h>
#include <linux/objtool.h>
#include <asm/nospec-branch.h>

#include "arena.h"

.section .text, "ax"
SYM_ENTRY(oxen_text_end, SYM_L_GLOBAL, SYM_A_ALIGN)
	ANNOTATE_NOENDBR

.section .text.unlikely., "ax"
SYM_ENTRY(oxen_cold_end, SYM_L_GLOBAL, SYM_A_ALIGN)
	ANNOTATE_NOENDBR
	int3

.section .text, "ax"

/*
 * How functions return on this machine: the kernel changes this as it does every RET. Its address has
 * bit 5 clear, with which no mitigation leaves a RET alone that it would change elsewhere.
 */
.balign 64
.skip 64, 0x90
SYM_FUNC_START_NOALIGN(oxen_return_sample)
	ANNOTATE_NOENDBR
	RET
SYM_FUNC_END(oxen_return_sample)

.balign 4096, 0xcc
SYM_ENTRY(oxen_arena_text, SYM_L_GLOBAL, SYM_A_NONE)
	ANNOTATE_NOENDBR
	.skip OXEN_ARENA_TEXT, 0xcc

.section .bss, "aw", @nobits
.balign 4096
SYM_ENTRY(oxen_arena_data, SYM_L_GLOBAL, SYM_A_NONE)
	.skip OXEN_ARENA_DATA
