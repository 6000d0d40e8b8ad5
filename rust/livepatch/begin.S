/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Where the code begins that a live patch may change. Linked first; it ends where arena.S says. rustc
 * sets functions apart that it takes for rarely used, in a section of that odd name.
 */

#include <linux/linkage.h>
#include <linux/objtool.h>

.section .text, "ax"
SYM_ENTRY(oxen_text_begin, SYM_L_GLOBAL, SYM_A_ALIGN)
	ANNOTATE_NOENDBR

.section .text.unlikely., "ax"
SYM_ENTRY(oxen_cold_begin, SYM_L_GLOBAL, SYM_A_ALIGN)
	ANNOTATE_NOENDBR
