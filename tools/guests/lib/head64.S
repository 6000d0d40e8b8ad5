/* SPDX-License-Identifier: GPL-2.0-only */
/* PVH entry of a 64-bit guest: 32-bit protected mode to long mode with 4 GiB mapped one to one. */

#define PRESENT_RW_USER 7
#define LARGE 0x80

	.section .note.Xen, "a", @note
	.balign 4
	.long 4, 8, 18
	.asciz "Xen"
	.quad start

	.section .text.head, "ax", @progbits
	.code32
	.globl start
start:
	cld
	cli
	mov $boot_stack_top, %esp
	mov %ebx, start_info

	/* Each of four page directories maps 1 GiB in pages of 2 MiB, open to CPL 3. */
	mov $page_directories, %edi
	mov $(LARGE | PRESENT_RW_USER), %eax
	mov $2048, %ecx
1:	mov %eax, (%edi)
	movl $0, 4(%edi)
	add $0x200000, %eax
	add $8, %edi
	loop 1b
	mov $page_pointers, %edi
	mov $(page_directories + PRESENT_RW_USER), %eax
	mov $4, %ecx
1:	mov %eax, (%edi)
	add $0x1000, %eax
	add $8, %edi
	loop 1b
	movl $(page_pointers + PRESENT_RW_USER), page_root

	call long_mode
	ljmp $0x08, $long64

/* Switches to long mode with page_root; %eax, %ecx and %edx are lost. The CS is still a 32-bit one. */
	.globl long_mode
long_mode:
	mov %cr4, %eax
	or $(1 << 5), %eax
	mov %eax, %cr4
	mov $page_root, %eax
	mov %eax, %cr3
	mov $0xc0000080, %ecx
	rdmsr
	or $(1 << 8 | 1 << 11), %eax
	wrmsr
	mov %cr0, %eax
	or $(1 << 31 | 1 << 16), %eax
	mov %eax, %cr0
	lgdt boot_gdt_pointer
	ret

	.code64
long64:
	mov $0x10, %eax
	mov %eax, %ds
	mov %eax, %es
	mov %eax, %ss
	xor %eax, %eax
	mov %eax, %fs
	mov %eax, %gs
	mov $boot_stack_top, %esp
	xor %ebp, %ebp
	call start_c
	ud2

	.data
	.balign 16
boot_gdt:
	.quad 0
	.quad 0x00af9b000000ffff	/* 0x08: 64-bit code */
	.quad 0x00cf93000000ffff	/* 0x10: data */
boot_gdt_end:
	.globl boot_gdt_pointer
boot_gdt_pointer:
	.word boot_gdt_end - boot_gdt - 1
	.quad boot_gdt

	.bss
	.balign 4096
	.globl page_root, page_pointers
page_root:
	.skip 4096
page_pointers:
	.skip 4096
page_directories:
	.skip 4 * 4096
boot_stack:
	.skip 8192
boot_stack_top:
