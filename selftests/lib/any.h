/* SPDX-License-Identifier: GPL-2.0-only */
/* Guests that execute any instructions, in 64-bit mode with the first 4 GiB mapped one to one. */
#ifndef SELFTESTS_ANY_H
#define SELFTESTS_ANY_H

#include "watched.h"

/* The page of the data where instructions are put, ANY_BYTES for each place. */
#define ANY_PAGE 15
#define ANY_BYTES 32
#define ANY_PLACES (PAGE_SIZE / ANY_BYTES)

/*
 * Waits for a command, loads the registers RSI, RDI, RAX, RBX, RCX, RDX and RSP from it, and jumps to instructions
 * that are followed by a jump back, to R9.
 */
__asm__("	.section .rodata\n	.balign 16\nany64:\n"
	"1:	pause\n	cmpl $0, (%rbp)\n	je 1b\n"
	"	mov 8(%rbp), %rsi\n	mov 16(%rbp), %rdi\n	mov 24(%rbp), %rax\n"
	"	mov 32(%rbp), %rbx\n	mov 40(%rbp), %rcx\n	mov 48(%rbp), %rdx\n"
	"	mov 4(%rbp), %esp\n	mov 56(%rbp), %r8\n	lea 2f(%rip), %r9\n	jmp *%r8\n"
	"2:	mov %rax, 56(%rbp)\n	incl 64(%rbp)\n	movl $0, (%rbp)\n	jmp 1b\n"
	"any64_end:\n	.text\n");

extern const uint8_t any64[], any64_end[];

/* One or several of them. */
struct insn {
	const char *name;
	unsigned int len;
	const char *bytes;
};

#define INSN(name, bytes) ((struct insn){ name, sizeof(bytes) - 1, bytes })

struct registers {
	uint64_t rsi, rdi, rax, rbx, rcx, rdx;
	uint32_t rsp;
};

/* Bytes of the guest's data. */
__attribute__((unused)) static uint8_t *data(uint64_t address)
{
	return w.data + (address - DATA(0));
}

/* Puts instructions at a place, and returns their address. */
__attribute__((unused)) static uint64_t any_put(unsigned int place, struct insn insn)
{
	uint64_t at = DATA(ANY_PAGE * PAGE_SIZE + place * ANY_BYTES);

	memcpy(data(at), insn.bytes, insn.len);
	/* jmp *%r9 */
	memcpy(data(at) + insn.len, "\x41\xff\xe1", 3);
	return at;
}

/* Has a vCPU begin to execute what is at an address. */
__attribute__((unused)) static void any_begin(unsigned int vcpu, uint64_t at,
					      struct registers regs)
{
	struct worker_cmd *cmd = w.cmd[vcpu];

	cmd->a[0] = regs.rsi;
	cmd->a[1] = regs.rdi;
	cmd->a[2] = regs.rax;
	cmd->a[3] = regs.rbx;
	cmd->a[4] = regs.rcx;
	cmd->a[5] = regs.rdx;
	cmd->op = regs.rsp;
	cmd->result = at;
	__sync_synchronize();
	cmd->go = 1;
}

/* Makes the guest and lets it run. */
__attribute__((unused)) static void any_start(unsigned int vcpus)
{
	long rc = worker_make(&w, fd, vcpus, 64);

	if (!rc)
		rc = domain_code(fd, w.domain, any64, any64_end - any64, 0);
	if (!rc)
		rc = domain_unpause(fd, w.domain);
	if (rc)
		tap_bail("cannot make a guest: %ld", rc);
}

#endif
