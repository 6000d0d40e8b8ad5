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

/* Writes a number there. */
__attribute__((unused)) static void any_set(uint64_t address, uint64_t value, unsigned int bytes)
{
	memcpy(data(address), &value, bytes);
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

/* Has a vCPU execute what is at an address, to its end or to that of a handler; false if it does not end. */
__attribute__((unused)) static bool any_do(uint64_t at, struct registers regs)
{
	any_begin(0, at, regs);
	return worker_wait(&w, 0, 5000);
}

/* The same with instructions that prepare something, whose failure is told. */
__attribute__((unused)) static bool any_prepare(const char *name, struct insn insn,
						struct registers regs)
{
	return any_do(any_put(0, insn), regs) || tap(false, "%s", name);
}

/* Pages of the data that handlers need. */
#define ANY_TABLES DATA(9 * PAGE_SIZE)
#define ANY_HANDLERS DATA(10 * PAGE_SIZE)
/* What RAX is after an exception. */
#define ANY_RAISED(vector) (0x100 | (vector))

/* Makes descriptor tables, in which each exception has a handler that ends the command with ANY_RAISED in RAX. */
__attribute__((unused)) static bool any_handlers(void)
{
	unsigned int vector;

	any_set(ANY_TABLES + 8, 0x00af9b000000ffff, 8);
	any_set(ANY_TABLES + 16, 0x00cf93000000ffff, 8);
	for (vector = 0; vector < 32; vector++) {
		uint64_t handler = ANY_HANDLERS + 32 * vector;

		any_set(ANY_TABLES + 0x100 + 16 * vector,
			(handler & 0xffff) | 8 << 16 | 0x8eULL << 40 | handler >> 16 << 48, 8);
		any_set(ANY_TABLES + 0x108 + 16 * vector, handler >> 32, 8);
		/* mov $..., %eax; jmp *%r9 */
		any_set(handler, 0xb8 | (uint64_t)ANY_RAISED(vector) << 8, 5);
		memcpy(data(handler + 5), "\x41\xff\xe1", 3);
	}
	/* Limit and base of both. */
	any_set(ANY_TABLES + 0x80, 0x17, 2);
	any_set(ANY_TABLES + 0x82, ANY_TABLES, 8);
	any_set(ANY_TABLES + 0x90, 0x1ff, 2);
	any_set(ANY_TABLES + 0x92, ANY_TABLES + 0x100, 8);
	/* lgdt (%rsi); lidt (%rdi) */
	return any_prepare("lgdt and lidt", INSN("", "\x0f\x01\x16\x0f\x01\x1f"),
			   (struct registers){ .rsi = ANY_TABLES + 0x80,
					       .rdi = ANY_TABLES + 0x90 });
}

#endif
