/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Guests that do what they are told: each vCPU executes a few instructions that read a command from a page, carry it
 * out, and write what came of it. In 32-bit protected mode without paging, or in 64-bit mode with the first 4 GiB
 * mapped one to one.
 */
#ifndef SELFTESTS_WORKER_H
#define SELFTESTS_WORKER_H

#include "domain.h"

/* Guest frames: of the first vCPU's commands (the others' follow), of data, of page tables. */
#define WORKER_CMD_GFN 0x11UL
#define WORKER_DATA_GFN 0x20UL
#define WORKER_DATA_PAGES 16U
#define WORKER_TABLE_GFN 0x30UL
#define WORKER_MAX_VCPUS DOMAIN_MAX_VCPUS

enum {
	OP_IN8 = 1, OP_IN16, OP_IN32,		/* port */
	OP_OUT8, OP_OUT16, OP_OUT32,		/* port, value */
	OP_READ8, OP_READ16, OP_READ32,		/* address */
	OP_WRITE8, OP_WRITE16, OP_WRITE32,	/* address, value */
	OP_REP_INSB, OP_REP_OUTSB,		/* port, address, count */
	OP_REP_MOVSB, OP_REP_MOVSL,		/* from, to, count */
	OP_REP_MOVSB_DOWN,
	OP_LOCK_XADD, OP_OR32, OP_XCHG32,	/* address, value */
	OP_HYPERCALL,				/* number, five arguments */
	OP_OUT8_LOOP,				/* port, value, count */
	OP_IN8_LOOP,				/* port, expected, count; tells how often not */
	OP_READ32_LOOP,				/* address, expected, count; likewise */
	OP_READ64, OP_WRITE64,			/* address, value; in 64-bit mode */
	OP_REP_STOSL,				/* to, value, count */
	OP_HALT,				/* with interrupts off */
	OP_SCRIBBLE,				/* address of a page, what is added, count, seed */
};

struct worker_cmd {
	volatile uint32_t go, op;
	volatile uint64_t a[6];
	volatile uint64_t result;
	/* How many commands were carried out. */
	volatile uint32_t done;
};

struct worker {
	int fd;
	long domain;
	unsigned int vcpus;
	struct worker_cmd *cmd[WORKER_MAX_VCPUS];
	uint8_t *data;
};

/* R is the first letter of addresses' registers. */
#define WORKER_CODE(name, bits, R, hypercall, wide)						\
	"	.section .rodata\n	.balign 16\n" name ":\n	.code" bits "\n"		\
	"1:	pause\n	cmpl $0, (%" R "bp)\n	je 1b\n"					\
	"	mov 4(%" R "bp), %ecx\n	cld\n	xor %eax, %eax\n"				\
	"	cmp $1, %ecx\n	je 101f\n	cmp $2, %ecx\n	je 102f\n	cmp $3, %ecx\n	je 103f\n"	\
	"	cmp $4, %ecx\n	je 104f\n	cmp $5, %ecx\n	je 105f\n	cmp $6, %ecx\n	je 106f\n"	\
	"	cmp $7, %ecx\n	je 107f\n	cmp $8, %ecx\n	je 108f\n	cmp $9, %ecx\n	je 109f\n"	\
	"	cmp $10, %ecx\n	je 110f\n	cmp $11, %ecx\n	je 111f\n	cmp $12, %ecx\n	je 112f\n" \
	"	cmp $13, %ecx\n	je 113f\n	cmp $14, %ecx\n	je 114f\n	cmp $15, %ecx\n	je 115f\n" \
	"	cmp $16, %ecx\n	je 116f\n	cmp $17, %ecx\n	je 117f\n	cmp $18, %ecx\n	je 118f\n" \
	"	cmp $19, %ecx\n	je 119f\n	cmp $20, %ecx\n	je 120f\n	cmp $21, %ecx\n	je 121f\n" \
	"	cmp $22, %ecx\n	je 122f\n	cmp $23, %ecx\n	je 123f\n	cmp $24, %ecx\n	je 124f\n" \
	"	cmp $25, %ecx\n	je 125f\n	cmp $26, %ecx\n	je 126f\n	cmp $27, %ecx\n	je 127f\n" \
	"	cmp $28, %ecx\n	je 128f\n	cmp $29, %ecx\n	je 129f\n	ud2\n"		\
	"101:	mov 8(%" R "bp), %edx\n	inb %dx, %al\n	jmp 2f\n"				\
	"102:	mov 8(%" R "bp), %edx\n	inw %dx, %ax\n	jmp 2f\n"				\
	"103:	mov 8(%" R "bp), %edx\n	inl %dx, %eax\n	jmp 2f\n"				\
	"104:	mov 8(%" R "bp), %edx\n	mov 16(%" R "bp), %eax\n	outb %al, %dx\n	jmp 2f\n"	\
	"105:	mov 8(%" R "bp), %edx\n	mov 16(%" R "bp), %eax\n	outw %ax, %dx\n	jmp 2f\n"	\
	"106:	mov 8(%" R "bp), %edx\n	mov 16(%" R "bp), %eax\n	outl %eax, %dx\n	jmp 2f\n"	\
	"107:	mov 8(%" R "bp), %" R "bx\n	movb (%" R "bx), %al\n	jmp 2f\n"		\
	"108:	mov 8(%" R "bp), %" R "bx\n	movw (%" R "bx), %ax\n	jmp 2f\n"		\
	"109:	mov 8(%" R "bp), %" R "bx\n	movl (%" R "bx), %eax\n	jmp 2f\n"		\
	"110:	mov 8(%" R "bp), %" R "bx\n	mov 16(%" R "bp), %eax\n	movb %al, (%" R "bx)\n	jmp 2f\n" \
	"111:	mov 8(%" R "bp), %" R "bx\n	mov 16(%" R "bp), %eax\n	movw %ax, (%" R "bx)\n	jmp 2f\n" \
	"112:	mov 8(%" R "bp), %" R "bx\n	mov 16(%" R "bp), %eax\n	movl %eax, (%" R "bx)\n	jmp 2f\n" \
	"113:	mov 8(%" R "bp), %edx\n	mov 16(%" R "bp), %" R "di\n	mov 24(%" R "bp), %" R "cx\n" \
	"	rep insb\n	mov %" R "cx, %" R "ax\n	jmp 2f\n"				\
	"114:	mov 8(%" R "bp), %edx\n	mov 16(%" R "bp), %" R "si\n	mov 24(%" R "bp), %" R "cx\n" \
	"	rep outsb\n	mov %" R "cx, %" R "ax\n	jmp 2f\n"				\
	"117:	std\n"										\
	"115:	mov 8(%" R "bp), %" R "si\n	mov 16(%" R "bp), %" R "di\n	mov 24(%" R "bp), %" R "cx\n" \
	"	rep movsb\n	mov %" R "cx, %" R "ax\n	cld\n	jmp 2f\n"			\
	"116:	mov 8(%" R "bp), %" R "si\n	mov 16(%" R "bp), %" R "di\n	mov 24(%" R "bp), %" R "cx\n" \
	"	rep movsl\n	mov %" R "cx, %" R "ax\n	jmp 2f\n"				\
	"118:	mov 8(%" R "bp), %" R "bx\n	mov 16(%" R "bp), %eax\n	lock xaddl %eax, (%" R "bx)\n	jmp 2f\n" \
	"119:	mov 8(%" R "bp), %" R "bx\n	mov 16(%" R "bp), %eax\n	orl %eax, (%" R "bx)\n	jmp 2f\n" \
	"120:	mov 8(%" R "bp), %" R "bx\n	mov 16(%" R "bp), %eax\n	xchgl %eax, (%" R "bx)\n	jmp 2f\n" \
	"121:	mov 8(%" R "bp), %" R "ax\n" hypercall "	vmmcall\n	jmp 2f\n"		\
	"122:	mov 8(%" R "bp), %edx\n	mov 16(%" R "bp), %eax\n	mov 24(%" R "bp), %ecx\n"	\
	"3:	outb %al, %dx\n	dec %ecx\n	jnz 3b\n	jmp 2f\n"				\
	"123:	mov 8(%" R "bp), %edx\n	mov 16(%" R "bp), %ebx\n	mov 24(%" R "bp), %ecx\n	xor %esi, %esi\n" \
	"3:	inb %dx, %al\n	cmp %bl, %al\n	je 4f\n	inc %esi\n4:	dec %ecx\n	jnz 3b\n"	\
	"	mov %esi, %eax\n	jmp 2f\n"							\
	"124:	mov 8(%" R "bp), %" R "dx\n	mov 16(%" R "bp), %ebx\n	mov 24(%" R "bp), %ecx\n	xor %esi, %esi\n" \
	"3:	movl (%" R "dx), %eax\n	cmp %ebx, %eax\n	je 4f\n	inc %esi\n4:	dec %ecx\n	jnz 3b\n" \
	"	mov %esi, %eax\n	jmp 2f\n"							\
	wide											\
	"127:	mov 8(%" R "bp), %" R "di\n	mov 16(%" R "bp), %eax\n	mov 24(%" R "bp), %" R "cx\n" \
	"	rep stosl\n	mov %" R "cx, %" R "ax\n	jmp 2f\n"				\
	"128:	incl 64(%" R "bp)\n	movl $0, (%" R "bp)\n	cli\n	hlt\n	jmp 1b\n"		\
	/* Small numbers, now with what is added and now without, at random places. */			\
	"129:	mov 8(%" R "bp), %" R "bx\n	mov 24(%" R "bp), %" R "si\n	mov 32(%" R "bp), %eax\n" \
	"3:	imul $1103515245, %eax, %eax\n	add $12345, %eax\n	mov %eax, %edx\n	shr $8, %edx\n" \
	"	and $0x3fc, %edx\n	mov %eax, %ecx\n	shr $20, %ecx\n	and $0x7f, %ecx\n"		\
	"	test $0x80000, %eax\n	jz 4f\n	or 16(%" R "bp), %ecx\n"				\
	"4:	mov %ecx, (%" R "bx,%" R "dx)\n	dec %" R "si\n	jnz 3b\n	jmp 2f\n"		\
	"2:	mov %" R "ax, 56(%" R "bp)\n	incl 64(%" R "bp)\n	movl $0, (%" R "bp)\n	jmp 1b\n" \
	name "_end:\n	.code64\n	.text\n"

__asm__(WORKER_CODE("worker32", "32", "e",
	"	mov 16(%ebp), %ebx\n	mov 24(%ebp), %ecx\n	mov 32(%ebp), %edx\n	mov 40(%ebp), %esi\n"
	"	mov 48(%ebp), %edi\n", "125:126:	ud2\n"));
__asm__(WORKER_CODE("worker64", "64", "r",
	"	mov 16(%rbp), %rdi\n	mov 24(%rbp), %rsi\n	mov 32(%rbp), %rdx\n	mov 40(%rbp), %r10\n"
	"	mov 48(%rbp), %r8\n",
	"125:	mov 8(%rbp), %rbx\n	mov (%rbx), %rax\n	jmp 2f\n"
	"126:	mov 8(%rbp), %rbx\n	mov 16(%rbp), %rax\n	mov %rax, (%rbx)\n	jmp 2f\n"));

extern const uint8_t worker32[], worker32_end[], worker64[], worker64_end[];

/* Maps one frame of a guest. */
__attribute__((unused)) static void *worker_frame(int fd, domid_t domain, xen_pfn_t gfn)
{
	return xen_map(fd, domain, &gfn, 1);
}

/* Gives the vCPUs the registers to begin with. */
__attribute__((unused)) static long worker_registers(int fd, domid_t domain, unsigned int vcpus,
						     int bits)
{
	HVM_SAVE_TYPE(CPU) cpus[WORKER_MAX_VCPUS];
	unsigned int i;

	for (i = 0; i < vcpus; i++) {
		cpus[i] = domain_cpu(CODE_GFN * PAGE_SIZE);
		cpus[i].rbp = (WORKER_CMD_GFN + i) * PAGE_SIZE;
		if (bits == 64) {
			cpus[i].cr0 = 0x80000011;
			cpus[i].cr3 = WORKER_TABLE_GFN * PAGE_SIZE;
			cpus[i].cr4 = 0x20;
			cpus[i].msr_efer = 0x500;
			cpus[i].cs_arbytes = 0xa9b;
		}
	}
	return domain_registers(fd, domain, cpus, vcpus);
}

/* Maps the first 4 GiB one to one, for 64-bit mode. */
__attribute__((unused)) static long worker_tables(int fd, domid_t domain)
{
	uint64_t *tables[6];
	unsigned int i, j;

	for (i = 0; i < 6; i++) {
		tables[i] = worker_frame(fd, domain, WORKER_TABLE_GFN + i);
		if (!tables[i])
			return -EFAULT;
	}
	tables[0][0] = (WORKER_TABLE_GFN + 1) * PAGE_SIZE | 3;
	for (i = 0; i < 4; i++) {
		tables[1][i] = (WORKER_TABLE_GFN + 2 + i) * PAGE_SIZE | 3;
		for (j = 0; j < 512; j++)
			tables[2 + i][j] = ((uint64_t)i << 30 | (uint64_t)j << 21) | 0x83;
	}
	for (i = 0; i < 6; i++)
		munmap(tables[i], PAGE_SIZE);
	return 0;
}

/* Makes a domain of workers, paused. Returns 0 or a negative error number. */
__attribute__((unused)) static long worker_make(struct worker *w, int fd, unsigned int vcpus,
						int bits)
{
	const uint8_t *code = bits == 64 ? worker64 : worker32;
	size_t size = bits == 64 ? worker64_end - worker64 : worker32_end - worker32;
	xen_pfn_t frames[WORKER_DATA_PAGES];
	unsigned int i;
	long rc;

	memset(w, 0, sizeof(*w));
	w->fd = fd;
	w->vcpus = vcpus;
	w->domain = domain_new(fd, 0, vcpus);
	if (w->domain < 0)
		return w->domain;
	rc = domain_furnish(fd, w->domain, vcpus);
	if (!rc && bits == 64)
		rc = worker_tables(fd, w->domain);
	if (!rc)
		rc = domain_code(fd, w->domain, code, size, 0);
	if (rc)
		return rc;
	for (i = 0; i < WORKER_DATA_PAGES; i++)
		frames[i] = WORKER_DATA_GFN + i;
	w->data = xen_map(fd, w->domain, frames, WORKER_DATA_PAGES);
	if (!w->data)
		return -EFAULT;
	for (i = 0; i < vcpus && !rc; i++) {
		w->cmd[i] = worker_frame(fd, w->domain, WORKER_CMD_GFN + i);
		rc = w->cmd[i] ? 0 : -EFAULT;
	}
	return rc ? rc : worker_registers(fd, w->domain, vcpus, bits);
}

/* As above, and lets it run. */
__attribute__((unused)) static void worker_start(struct worker *w, int fd, unsigned int vcpus,
						 int bits)
{
	long rc = worker_make(w, fd, vcpus, bits);

	if (!rc)
		rc = domain_unpause(fd, w->domain);
	if (rc)
		tap_bail("cannot make a guest: %ld", rc);
}

__attribute__((unused)) static long worker_end(struct worker *w)
{
	unsigned int i;
	long rc = domain_destroy(w->fd, w->domain);

	for (i = 0; i < w->vcpus; i++)
		if (w->cmd[i])
			munmap(w->cmd[i], PAGE_SIZE);
	if (w->data)
		munmap(w->data, WORKER_DATA_PAGES * PAGE_SIZE);
	return rc;
}

/* The guest physical address of a byte of the data. */
#define DATA(offset) (WORKER_DATA_GFN * PAGE_SIZE + (offset))

/* Has a vCPU begin a command. */
__attribute__((unused)) static void worker_begin(struct worker *w, unsigned int vcpu, uint32_t op,
						 uint64_t a,
						 uint64_t b, uint64_t c)
{
	struct worker_cmd *cmd = w->cmd[vcpu];

	cmd->op = op;
	cmd->a[0] = a;
	cmd->a[1] = b;
	cmd->a[2] = c;
	__sync_synchronize();
	cmd->go = 1;
}

/* Waits some milliseconds for the end of a command; false if it does not come. */
__attribute__((unused)) static bool worker_wait(struct worker *w, unsigned int vcpu,
						unsigned int ms)
{
	unsigned int i;

	for (i = 0; w->cmd[vcpu]->go && i < ms * 10; i++)
		usleep(100);
	__sync_synchronize();
	return !w->cmd[vcpu]->go;
}

#define WORKER_LOST 0xdeadbeef00000000ULL

/* Has a vCPU carry a command out; WORKER_LOST if that does not end. */
__attribute__((unused)) static uint64_t worker_do(struct worker *w, unsigned int vcpu, uint32_t op,
						  uint64_t a,
						  uint64_t b, uint64_t c)
{
	worker_begin(w, vcpu, op, a, b, c);
	return worker_wait(w, vcpu, 20000) ? w->cmd[vcpu]->result : WORKER_LOST;
}

/* Has a vCPU make a hypercall. Addresses are the guest's. */
__attribute__((unused)) static long worker_call(struct worker *w, unsigned int vcpu, uint64_t op,
						uint64_t a,
						uint64_t b, uint64_t c, uint64_t d)
{
	struct worker_cmd *cmd = w->cmd[vcpu];

	cmd->a[3] = c;
	cmd->a[4] = d;
	cmd->a[5] = 0;
	return (long)worker_do(w, vcpu, OP_HYPERCALL, op, a, b);
}

/* The main of a test that is run with 32-bit guests and then with 64-bit ones. */
__attribute__((unused)) static int worker_both_widths(int *fd, int *bits, void (*run)(void))
{
	*fd = xen_open("privcmd");
	tap_plan(0);
	for (*bits = 32; *bits <= 64; *bits += 32)
		run();
	return tap_end();
}

#endif
