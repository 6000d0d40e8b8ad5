/* SPDX-License-Identifier: GPL-2.0-only */
/* Ways in from traps, and the way to CPL 3 and back. */

	.text
	.balign 16
	.globl trap_entries
trap_entries:
	.set vector, 0
	.rept 256
	.balign 16
	/* Where the processor pushes no error code, one for it (APM volume 2, 8.2). */
	.set pushes, (vector == 8) || (vector >= 10 && vector <= 14) || (vector == 17)
	.set pushes, pushes || (vector == 21) || (vector == 29) || (vector == 30)
	.if !pushes
	push $0
	.endif
#ifdef __x86_64__
	pushq $vector
#else
	pushl $vector
#endif
	jmp trap_common
	.set vector, vector + 1
	.endr

#ifdef __x86_64__

trap_common:
	push %rax
	push %rcx
	push %rdx
	push %rbx
	push %rbp
	push %rsi
	push %rdi
	push %r8
	push %r9
	push %r10
	push %r11
	push %r12
	push %r13
	push %r14
	push %r15
	cld
	mov %rsp, %rdi
	mov %rsp, %rbx
	and $-16, %rsp
	call trap
	mov %rbx, %rsp
	pop %r15
	pop %r14
	pop %r13
	pop %r12
	pop %r11
	pop %r10
	pop %r9
	pop %r8
	pop %rdi
	pop %rsi
	pop %rbp
	pop %rbx
	pop %rdx
	pop %rcx
	pop %rax
	add $16, %rsp
	iretq

/* ulong user_enter(ulong (*function)(ulong), ulong argument, void *stack, ulong *saved_sp) */
	.globl user_enter
user_enter:
	push %rbx
	push %rbp
	push %r12
	push %r13
	push %r14
	push %r15
	mov %rsp, (%rcx)
	push $0x2b
	push %rdx
	pushf
	push $0x33
	push $user_start
	mov %rdi, %rax
	mov %rsi, %rdi
	iretq

/* At CPL 3. */
user_start:
	call *%rax
	int $0x81

/* What int $0x81 does: %rsp is on the trap stack, %gs:0 this CPU, whose saved stack pointer is passed in. */
	.globl user_return
user_return:
	mov %gs:0, %rdx
	mov CPU_KERNEL_SP(%rdx), %rsp
	pop %r15
	pop %r14
	pop %r13
	pop %r12
	pop %rbp
	pop %rbx
	ret

	.set CPU_KERNEL_SP, 40

#else

trap_common:
	pushal
	cld
	mov %esp, %ebx
	push %esp
	call trap
	mov %ebx, %esp
	popal
	add $8, %esp
	iretl

	.globl user_enter
user_enter:
	mov 4(%esp), %eax
	mov 8(%esp), %edx
	mov 12(%esp), %ecx
	push %ebx
	push %ebp
	push %esi
	push %edi
	mov 32(%esp), %ebx
	mov %esp, (%ebx)
	/* The argument, for the function to find above its return address. */
	sub $4, %ecx
	mov %edx, (%ecx)
	mov $0x2b, %ebx
	mov %ebx, %ds
	mov %ebx, %es
	push $0x2b
	push %ecx
	pushf
	push $0x33
	push $user_start
	iretl

user_start:
	call *%eax
	int $0x81

	.globl user_return
user_return:
	mov $0x10, %edx
	mov %edx, %ds
	mov %edx, %es
	mov cpus + CPU_KERNEL_SP, %esp
	pop %edi
	pop %esi
	pop %ebp
	pop %ebx
	ret

	.set CPU_KERNEL_SP, 24

#endif
