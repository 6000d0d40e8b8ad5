/* SPDX-License-Identifier: GPL-2.0-only */
/* PVH entry of a 32-bit guest, which stays in protected mode without paging. */

	.section .note.Xen, "a", @note
	.balign 4
	.long 4, 4, 18
	.asciz "Xen"
	.long start

	.section .text.head, "ax", @progbits
	.globl start
start:
	cld
	cli
	mov $boot_stack_top, %esp
	mov %ebx, start_info
	xor %ebp, %ebp
	call start_c
	ud2

	.bss
	.balign 16
boot_stack:
	.skip 8192
boot_stack_top:
