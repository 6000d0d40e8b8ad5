/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The bench's guest: a 32-bit PVH kernel that runs on oxen, on Xen and on QEMU with KVM alike. It times
 * loops of instructions that leave the guest by the time stamp counter and writes one line for each,
 * `NAME TICKS`, ticks a round trip, to port 0xe9. Under QEMU's -icount a tick is one instruction of the
 * machine below, the hypervisor's among them.
 *
 * Each loop runs WARM times unmeasured and TIMES times measured. The loop's own instructions (2 or 3) are
 * part of the count.
 */

	.set	WARM, 1000
	.set	TIMES, 10000

	.set	XEN_ELFNOTE_PHYS32_ENTRY, 18
	.set	__HYPERVISOR_xen_version, 17
	.set	__HYPERVISOR_sched_op, 29
	.set	SCHEDOP_shutdown, 2
	.set	MSR_APIC_BASE, 0x1b

	.set	PORT_LOG, 0xe9	/* QEMU's debug console, Xen's guest log */
	.set	PORT_SERVED, 0x80	/* served outside the kernel: QEMU's own, or an ioreq server's */
	.set	PORT_EXIT, 0xf4	/* QEMU's isa-debug-exit; nobody's on Xen */

	.section .note.pvh, "a", @note
	.align	4
	.long	4, 4, XEN_ELFNOTE_PHYS32_ENTRY
	.asciz	"Xen"
	.long	start

	.bss
	.align	16
	.skip	4096
stack_end:
digits:
	.skip	16

	.data
	.align	4
shutdown_arg:
	.long	0			/* SHUTDOWN_poweroff */

	.text
	.code32

/* Runs the instructions given TIMES times, and prints what a round took under a name. */
	.macro	measure name:req, body:req
	mov	$WARM, %esi
1:	\body
	dec	%esi
	jnz	1b
	rdtsc
	mov	%eax, %edi
	mov	%edx, %ebp
	mov	$TIMES, %esi
2:	\body
	dec	%esi
	jnz	2b
	rdtsc
	sub	%edi, %eax
	sbb	%ebp, %edx
	mov	$TIMES, %ecx
	div	%ecx
	mov	$3f, %esi
	call	report
	jmp	4f
3:	.asciz	"\name "
4:
	.endm

	.globl	start
start:
	cld
	mov	$stack_end, %esp

	measure	cpuid, "xor %eax, %eax; cpuid"
	/* xen_version(XENVER_version, NULL): answered by Xen and oxen, refused by KVM, at once by each. */
	measure	vmmcall, "mov $__HYPERVISOR_xen_version, %eax; xor %ebx, %ebx; vmmcall"
	measure	rdmsr, "mov $MSR_APIC_BASE, %ecx; rdmsr"
	measure	out, "out %al, $PORT_SERVED"

	xor	%eax, %eax
	out	%al, $PORT_EXIT
	mov	$__HYPERVISOR_sched_op, %eax
	mov	$SCHEDOP_shutdown, %ebx
	mov	$shutdown_arg, %ecx
	vmmcall
5:	hlt
	jmp	5b

/* Prints the text at %esi, the number in %eax and a line's end. */
report:
	push	%eax
6:	lodsb
	test	%al, %al
	jz	7f
	out	%al, $PORT_LOG
	jmp	6b
7:	pop	%eax
	mov	$digits + 15, %edi
	mov	$10, %ecx
8:	xor	%edx, %edx
	div	%ecx
	add	$'0', %dl
	dec	%edi
	mov	%dl, (%edi)
	test	%eax, %eax
	jnz	8b
9:	mov	(%edi), %al
	out	%al, $PORT_LOG
	inc	%edi
	cmp	$digits + 15, %edi
	jne	9b
	mov	$'\n', %al
	out	%al, $PORT_LOG
	ret

	.section .note.GNU-stack, "", @progbits
