/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The AMD world switch. AMD64 Architecture Programmer's Manual volume 2, 15.5 (VMRUN, #VMEXIT) and
 * 15.17 (GIF).
 *
 * Everything between CLGI and STGI runs with GS, FS, TR, LDTR and the SYSCALL MSRs of the guest
 * loaded: no interrupt and no NMI can be taken there, and nothing may touch per-CPU data. RFLAGS.IF
 * is set across VMRUN so that a physical interrupt ends the guest (V_INTR_MASKING); it is delivered
 * to the host when the caller next enables interrupts.
 */

#include <linux/linkage.h>
#include <asm/asm.h>
#include <asm/cpufeatures.h>
#include <asm/msr-index.h>
#include <asm/nospec-branch.h>
#include <asm/segment.h>

/* Offsets in struct svm::Gprs, in the order of the encoding; RAX and RSP live in the VMCB. */
#define GPR_RCX	8
#define GPR_RDX	16
#define GPR_RBX	24
#define GPR_RBP	40
#define GPR_RSI	48
#define GPR_RDI	56
#define GPR_R8	64
#define GPR_R9	72
#define GPR_R10	80
#define GPR_R11	88
#define GPR_R12	96
#define GPR_R13	104
#define GPR_R14	112
#define GPR_R15	120

.section .noinstr.text, "ax"

/*
 * u64 oxen_svm_enter(u64 vmcb_pa, struct gprs *gprs, u64 host_pa)
 *
 * Runs the guest until it exits. Interrupts are off on entry and on return. Returns 0, or 1 when the
 * processor refused VMRUN because host mode was taken away under us (an emergency reboot).
 */
SYM_FUNC_START(oxen_svm_enter)
	push	%rbp
	push	%rbx
	push	%r12
	push	%r13
	push	%r14
	push	%r15
	push	%rdx
	push	%rsi

	mov	%rdi, %rax
	mov	GPR_RBX(%rsi), %rbx
	mov	GPR_RCX(%rsi), %rcx
	mov	GPR_RDX(%rsi), %rdx
	mov	GPR_RDI(%rsi), %rdi
	mov	GPR_RBP(%rsi), %rbp
	mov	GPR_R8(%rsi), %r8
	mov	GPR_R9(%rsi), %r9
	mov	GPR_R10(%rsi), %r10
	mov	GPR_R11(%rsi), %r11
	mov	GPR_R12(%rsi), %r12
	mov	GPR_R13(%rsi), %r13
	mov	GPR_R14(%rsi), %r14
	mov	GPR_R15(%rsi), %r15

1:	clgi
	sti
	vmload	%rax
	/* The kernel's own selector for this is not exported; any writable data segment will do. */
	ALTERNATIVE "", "verw .Lverw_sel(%rip)", X86_FEATURE_CLEAR_CPU_BUF_VM
	mov	GPR_RSI(%rsi), %rsi
	vmrun	%rax
	vmsave	%rax
	cli

	/* On the stack: the guest's RSI, then gprs, then host_pa. */
	push	%rsi
	mov	8(%rsp), %rsi
	mov	%rbx, GPR_RBX(%rsi)
	mov	%rcx, GPR_RCX(%rsi)
	mov	%rdx, GPR_RDX(%rsi)
	mov	%rdi, GPR_RDI(%rsi)
	mov	%rbp, GPR_RBP(%rsi)
	mov	%r8, GPR_R8(%rsi)
	mov	%r9, GPR_R9(%rsi)
	mov	%r10, GPR_R10(%rsi)
	mov	%r11, GPR_R11(%rsi)
	mov	%r12, GPR_R12(%rsi)
	mov	%r13, GPR_R13(%rsi)
	mov	%r14, GPR_R14(%rsi)
	mov	%r15, GPR_R15(%rsi)
	pop	%rdi
	mov	%rdi, GPR_RSI(%rsi)
	xor	%ebp, %ebp

.Lhost:
	pop	%rsi
	pop	%rax
	vmload	%rax

	/* Before any RET: the guest may have filled the return predictor. */
	FILL_RETURN_BUFFER %rax, RSB_CLEAR_LOOPS, X86_FEATURE_RSB_VMEXIT
	ALTERNATIVE "jmp .Lno_ibpb", "", X86_FEATURE_IBPB_ON_VMEXIT
	mov	$MSR_IA32_PRED_CMD, %ecx
	mov	$PRED_CMD_IBPB, %eax
	xor	%edx, %edx
	wrmsr
.Lno_ibpb:
	CALL_UNTRAIN_RET

	/* Nothing of the guest's stays in a register that the host could speculate with. */
	xor	%ebx, %ebx
	xor	%ecx, %ecx
	xor	%edx, %edx
	xor	%edi, %edi
	xor	%r8d, %r8d
	xor	%r9d, %r9d
	xor	%r10d, %r10d
	xor	%r11d, %r11d
	mov	%ebp, %eax
	stgi
.Lout:
	pop	%r15
	pop	%r14
	pop	%r13
	pop	%r12
	pop	%rbx
	pop	%rbp
	RET

	/*
	 * Host mode was switched off under us. Only CLGI can find that out: no NMI, and so no emergency
	 * path, runs between CLGI and STGI.
	 */
.Lgone:
	cli
	mov	$1, %eax
	add	$16, %rsp
	jmp	.Lout

	_ASM_EXTABLE(1b, .Lgone)
SYM_FUNC_END(oxen_svm_enter)

/*
 * void oxen_svm_save_host(u64 host_pa)
 *
 * Keeps what VMLOAD puts back after the guest. Nothing happens if the processor is no longer in host
 * mode: VMRUN finds that out too.
 */
SYM_FUNC_START(oxen_svm_save_host)
	mov	%rdi, %rax
1:	vmsave	%rax
2:	RET

	_ASM_EXTABLE(1b, 2b)
SYM_FUNC_END(oxen_svm_save_host)

.section .rodata, "a"
	.balign 2
.Lverw_sel:
	.word	__KERNEL_DS
