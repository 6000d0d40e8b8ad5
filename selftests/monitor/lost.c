// SPDX-License-Identifier: GPL-2.0-only
/*
 * Proves that an instruction which waits for its monitor is carried out once, and as it would be without one, when that
 * monitor ends, and that breakpoints and software interrupts reach the guest as what they are. The guests check
 * themselves, and count.
 */

#include "ioreq.h"
#include "monitor.h"

static int fd;
static struct worker w;
static struct monitor m;

/* What a guest counts, in the page of its code. */
struct counts {
	volatile uint32_t rounds, wrong;
};

#define COUNTS 0xf00
static struct counts *counts;

static void begin(const uint8_t *code, size_t size)
{
	memset(&w, 0, sizeof(w));
	w.fd = fd;
	w.domain = domain_make(fd, 1, code, size, 0);
	if (w.domain < 0)
		tap_bail("no guest: %ld", w.domain);
	counts = (struct counts *)((char *)worker_frame(fd, w.domain, CODE_GFN) + COUNTS);
	monitor_start(&m, &w);
}

#define BEGIN(code) begin(code, sizeof(code))

static void end(void)
{
	monitor_end(&m);
	munmap((char *)counts - COUNTS, PAGE_SIZE);
	tap_equal(domain_destroy(fd, w.domain), 0, "the guest ends");
}

/* Whether the guest goes through some more rounds, with nobody to hear of it. */
static bool goes_on(void)
{
	uint32_t from = counts->rounds;
	unsigned int i;

	for (i = 0; i < 5000 && counts->rounds - from < 3; i++)
		usleep(1000);
	return counts->rounds - from >= 3;
}

/*
 * Waits for an event and has the monitor end, in one of the ways there are, without an answer. Then connects the next
 * one, which `on` tells what it wants. Returns whether the guest went on meanwhile.
 */
static bool ends(unsigned int way, void (*on)(void))
{
	vm_event_request_t event;
	bool good;

	if (!monitor_wait(&m, &event, 5000))
		return false;
	if (way % 2)
		ring_op(fd, w.domain, XEN_VM_EVENT_DISABLE);
	monitor_die(&m);
	good = goes_on();
	domain_pause(fd, w.domain);
	if (monitor_connect(&m))
		tap_bail("no monitor");
	on();
	domain_unpause(fd, w.domain);
	return good;
}

/* Lets some events pass, so that not always the first of a kind meets the end. */
static void pass(unsigned int events)
{
	vm_event_request_t event;

	while (events-- && monitor_wait(&m, &event, 5000))
		monitor_answer(&m, &event, 0);
}

static void cpuid_on(void)
{
	event_on(fd, w.domain, XEN_DOMCTL_MONITOR_EVENT_CPUID);
}

/* CPUID has its answer in the registers while it waits. Executed again with these it says something else. */
static void cpuid(void)
{
	static const uint8_t code[] = {
		0xb8, 0, 0, 0, 0x40,			/* mov $0x40000000, %eax */
		0x31, 0xc9,				/* xor %ecx, %ecx */
		0x0f, 0xa2,				/* cpuid */
		0x81, 0xfb, 0x58, 0x65, 0x6e, 0x56,	/* cmp $"XenV", %ebx */
		0x74, 0x06,				/* je over the next */
		0xff, 0x05, 0x04, 0x0f, 0x01, 0,	/* incl wrong */
		0xff, 0x05, 0x00, 0x0f, 0x01, 0,	/* incl rounds */
		0xeb, 0xe1,				/* again */
	};
	unsigned int i, good = 0;

	BEGIN(code);
	cpuid_on();
	domain_unpause(fd, w.domain);
	for (i = 0; i < 6; i++)
		good += ends(i, cpuid_on);
	tap_equal(good, 6, "E-9 a guest goes on whose CPUID has waited for a monitor that ends");
	tap_equal(counts->wrong, 0, "E-9 and gets what it has asked for");
	end();
}

static void writes_on(void)
{
	struct xen_domctl domctl = { 0 };

	monitor_op(fd, w.domain, XEN_DOMCTL_MONITOR_OP_CONTROL_REGISTERS, 0, NULL);
	domctl.u.monitor_op.u.mov_to_msr.msr = 0xc0000082;
	monitor_op(fd, w.domain, XEN_DOMCTL_MONITOR_OP_ENABLE,
		   XEN_DOMCTL_MONITOR_EVENT_MOV_TO_MSR, &domctl);
	memset(&domctl, 0, sizeof(domctl));
	domctl.u.monitor_op.u.mov_to_cr.index = VM_EVENT_X86_CR3;
	domctl.u.monitor_op.u.mov_to_cr.sync = 1;
	monitor_op(fd, w.domain, XEN_DOMCTL_MONITOR_OP_ENABLE,
		   XEN_DOMCTL_MONITOR_EVENT_WRITE_CTRLREG, &domctl);
}

/* Writes that a monitor has to decide about. The guest reads each register back at once. */
static void writes(void)
{
	static const uint8_t code[] = {
		0x40,					/* inc %eax */
		0xb9, 0x82, 0, 0, 0xc0,			/* mov $LSTAR, %ecx */
		0x31, 0xd2,				/* xor %edx, %edx */
		0x0f, 0x30,				/* wrmsr */
		0x89, 0xc6,				/* mov %eax, %esi */
		0x0f, 0x32,				/* rdmsr */
		0x39, 0xf0,				/* cmp %esi, %eax */
		0x74, 0x06,				/* je over the next */
		0xff, 0x05, 0x04, 0x0f, 0x01, 0,	/* incl wrong */
		0x0f, 0x20, 0xd8,			/* mov %cr3, %eax */
		0x05, 0, 0x10, 0, 0,			/* add $0x1000, %eax */
		0x0f, 0x22, 0xd8,			/* mov %eax, %cr3 */
		0x0f, 0x20, 0xda,			/* mov %cr3, %edx */
		0x39, 0xd0,				/* cmp %edx, %eax */
		0x74, 0x06,				/* je over the next */
		0xff, 0x05, 0x04, 0x0f, 0x01, 0,	/* incl wrong */
		0x89, 0xf0,				/* mov %esi, %eax */
		0xff, 0x05, 0x00, 0x0f, 0x01, 0,	/* incl rounds */
		0xeb, 0xc6,				/* again */
	};
	unsigned int i, good = 0;
	vm_event_request_t event;

	BEGIN(code);
	writes_on();
	domain_unpause(fd, w.domain);
	for (i = 0; i < 12; i++) {
		/* So that now the one and now the other register is written. */
		pass(2 + i / 2 % 2);
		good += ends(i, writes_on);
	}
	tap_equal(good, 12, "VE-11 a guest goes on whose write has waited for a monitor that ends");
	tap_equal(counts->wrong, 0, "VE-11 E-9 and the write was made");
	/* That the guest would have noticed: */
	pass(2);
	if (monitor_wait(&m, &event, 5000))
		monitor_answer(&m, &event, VM_EVENT_FLAG_DENY);
	pass(3);
	tap(counts->wrong == 1, "VE-11 one that is denied is missed");
	end();
}

/*
 * A guest with descriptor tables that raises #BP by INT3, by INT3 with a prefix and by INT 3, interrupt 0x30 by INT,
 * and #DB by ICEBP. Handlers note what they are and where they return to; the guest compares that with what it should
 * be.
 */
#define AT(label) "(0x10000 + " label " - traps)"
#define GATE(label) "	.word " AT(label) " - 0x10000, 8, 0x8e00, 1\n"
#define HANDLER(number)										\
	"	push %eax\n	push %ebx\n	mov $" number " << 16, %ebx\n	jmp traps_note\n"

__asm__(
	"	.section .rodata\n	.balign 16\ntraps:\n	.code32\n"
	"	lgdt " AT("traps_gdtr") "\n	ljmp $8, $" AT("traps_flat") "\n"
	"traps_flat:\n	mov $16, %eax\n	mov %eax, %ss\n	mov %eax, %ds\n	mov %eax, %es\n"
	"	mov $0x20000, %esp\n	lidt " AT("traps_idtr") "\n	cld\n"
	"traps_loop:\n	movl $0x10e00, 0x10f08\n"
	"traps_int3:\n	int3\n"
	"traps_a:\n	.byte 0x66, 0xcc\n"
	"traps_b:\n	.byte 0xcd, 3\n"
	"traps_c:\n	.byte 0xcd, 0x30\n"
	"traps_d:\n	.byte 0xf1\n"
	"traps_e:\n	mov $0x10e00, %esi\n"
	"	mov $" AT("traps_right") ", %edi\n	mov $5, %ecx\n"
	"	repe cmpsl\n	jne 1f\n	cmpl $0x10e14, 0x10f08\n	je 2f\n"
	"1:	incl 0x10f04\n2:	incl 0x10f00\n	jmp traps_loop\n"
	"traps_1:\n" HANDLER("1") "traps_3:\n" HANDLER("3") "traps_30:\n" HANDLER("0x30")
	"traps_note:\n	mov 8(%esp), %eax\n	and $0xffff, %eax\n	or %ebx, %eax\n"
	"	mov 0x10f08, %ebx\n	cmp $0x10ef0, %ebx\n	jae 1f\n	mov %eax, (%ebx)\n"
	"	addl $4, 0x10f08\n1:	pop %ebx\n	pop %eax\n	iret\n"
	"	.balign 8\n"
	"traps_right:\n	.word traps_a - traps, 3, traps_b - traps, 3, traps_c - traps, 3\n"
	"	.word traps_d - traps, 0x30, traps_e - traps, 1\n	.balign 8\n"
	"traps_gdt:\n	.quad 0, 0x00cf9b000000ffff, 0x00cf93000000ffff\n"
	"traps_gdtr:\n	.word 23\n	.long " AT("traps_gdt") "\n	.balign 8\n"
	"traps_idt:\n	.quad 0\n" GATE("traps_1") "	.quad 0\n" GATE("traps_3")
	"	.fill 44, 8, 0\n" GATE("traps_30")
	"traps_idtr:\n	.word 49 * 8 - 1\n	.long " AT("traps_idt") "\n"
	"traps_end:\n	.code64\n	.text\n");

extern const uint8_t traps[], traps_end[], traps_int3[], traps_a[], traps_d[];

static uint64_t where(const uint8_t *label)
{
	return CODE_GFN * PAGE_SIZE + (label - traps);
}

static void breakpoints_on(void)
{
	event_on(fd, w.domain, XEN_DOMCTL_MONITOR_EVENT_SOFTWARE_BREAKPOINT);
}

static void debug_on(void)
{
	struct xen_domctl domctl = { 0 };

	domctl.u.monitor_op.u.debug_exception.sync = 1;
	monitor_op(fd, w.domain, XEN_DOMCTL_MONITOR_OP_ENABLE,
		   XEN_DOMCTL_MONITOR_EVENT_DEBUG_EXCEPTION, &domctl);
}

/* Gives the guest the exception that an event is about, as xen-access does. */
static long inject(uint8_t vector, uint8_t type, uint32_t length)
{
	struct xen_dm_op op = { .op = XEN_DMOP_inject_event };

	op.u.inject_event.vector = vector;
	op.u.inject_event.type = type;
	op.u.inject_event.insn_len = length;
	op.u.inject_event.error_code = ~0U;
	return dm_op1(fd, w.domain, &op);
}

static void raised(void)
{
	vm_event_request_t event;
	unsigned int i, good = 0;

	begin(traps, traps_end - traps);
	domain_unpause(fd, w.domain);
	tap(goes_on() && !counts->wrong, "a guest raises exceptions");
	breakpoints_on();
	for (i = 0; i < 20 && monitor_wait(&m, &event, 5000); i++) {
		uint32_t length = event.u.software_breakpoint.insn_length;
		uint64_t rip = event.data.regs.x86.rip;

		good += event.reason == VM_EVENT_REASON_SOFTWARE_BREAKPOINT &&
			event.u.software_breakpoint.type == 6 &&
			((rip == where(traps_int3) && length == 1) ||
			 (rip == where(traps_a) && length == 2));
		good += !inject(3, XEN_DMOP_EVENT_sw_exc, length);
		monitor_answer(&m, &event, 0);
	}
	tap_equal(good, 40, "each INT3 is an event, with its prefixes, and nothing else is");
	tap_equal(counts->wrong, 0, "and is delivered where the monitor wants it");
	for (good = i = 0; i < 6; i++) {
		if (i / 2 % 2 && monitor_wait(&m, &event, 5000)) {
			inject(3, XEN_DMOP_EVENT_sw_exc, event.u.software_breakpoint.insn_length);
			monitor_answer(&m, &event, 0);
		}
		good += ends(i, breakpoints_on);
	}
	tap_equal(good, 6, "E-9 the guest goes on when the monitor ends that was asked");
	tap_equal(counts->wrong, 0, "E-9 and no breakpoint is lost or raised twice");
	for (good = i = 0; i < 3 && monitor_wait(&m, &event, 5000); i++) {
		inject(3, XEN_DMOP_EVENT_sw_exc, event.u.software_breakpoint.insn_length);
		ring_op(fd, w.domain, XEN_VM_EVENT_DISABLE);
		monitor_die(&m);
		good += goes_on();
		monitor_connect(&m);
		breakpoints_on();
	}
	tap(good == 3 && !counts->wrong, "E-9 nor if it has delivered it before");
	for (good = i = 0; i < 3 && monitor_wait(&m, &event, 5000); i++) {
		event_off(fd, w.domain, XEN_DOMCTL_MONITOR_EVENT_SOFTWARE_BREAKPOINT);
		monitor_answer(&m, &event, 0);
		good += goes_on();
		breakpoints_on();
	}
	tap(good == 3 && !counts->wrong, "nor if the monitor wants no breakpoints any more");
	event_off(fd, w.domain, XEN_DOMCTL_MONITOR_EVENT_SOFTWARE_BREAKPOINT);
	while (monitor_wait(&m, &event, 100))
		monitor_answer(&m, &event, 0);

	debug_on();
	for (good = i = 0; i < 10 && monitor_wait(&m, &event, 5000); i++) {
		good += event.reason == VM_EVENT_REASON_DEBUG_EXCEPTION &&
			event.u.debug_exception.type == 5 &&
			event.u.debug_exception.insn_length == 1 &&
			!event.u.debug_exception.pending_dbg &&
			event.data.regs.x86.rip == where(traps_d);
		inject(1, XEN_DMOP_EVENT_pri_sw_exc, event.u.debug_exception.insn_length);
		monitor_answer(&m, &event, 0);
	}
	tap_equal(good, 10, "ICEBP is a debug exception of its own kind");
	for (good = i = 0; i < 4; i++)
		good += ends(i, debug_on);
	tap_equal(good, 4, "E-9 the guest goes on when the monitor ends that was asked");
	tap_equal(counts->wrong, 0, "E-9 and each is delivered once");
	end();
}

int main(void)
{
	tap_plan(0);
	fd = xen_open("privcmd");
	cpuid();
	writes();
	raised();
	return tap_end();
}
