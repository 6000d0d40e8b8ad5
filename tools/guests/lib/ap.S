/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Where other CPUs start: real mode, copied to a page below 1 MiB whose number the startup IPI carries.
 * It touches nothing of its own page but the two values at the end.
 */

	.section .rodata
	.code16
	.globl ap_start, ap_end
ap_start:
	cli
	cld
	mov %cs, %ax
	mov %ax, %ds
	lgdtl ap_gdt_pointer - ap_start
	mov %cr0, %eax
	or $1, %eax
	mov %eax, %cr0
	ljmpl $0x08, $ap_protected

	.balign 8
ap_gdt_pointer:
	.word 23
	.long ap_gdt
ap_end:

	.data
	.balign 8
ap_gdt:
	.quad 0
	.quad 0x00cf9b000000ffff	/* 0x08: 32-bit code */
	.quad 0x00cf93000000ffff	/* 0x10: data */

	.text
	.code32
ap_protected:
	mov $0x10, %eax
	mov %eax, %ds
	mov %eax, %es
	mov %eax, %ss
	mov $ap_boot_stack_top, %esp
	/* One CPU at a time has this stack; smp_start() says when the next may have it. */
	call long_mode
	ljmp $0x08, $ap_long

	.code64
ap_long:
	mov $0x10, %eax
	mov %eax, %ds
	mov %eax, %es
	mov %eax, %ss
	xor %eax, %eax
	mov %eax, %fs
	mov %eax, %gs
	mov ap_stack, %rsp
	xor %ebp, %ebp
	call ap_c
	ud2

	.bss
	.balign 16
	.skip 256
ap_boot_stack_top:
	.globl ap_stack
ap_stack:
	.skip 8
