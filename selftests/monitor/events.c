// SPDX-License-Identifier: GPL-2.0-only
/* Proves that each event of monitor_op comes when it is on and says what it is about, and that answers are followed. */

#include "monitor.h"

static int fd;
static struct worker w;
static struct monitor m;

static const uint32_t all_events[] = {
	XEN_DOMCTL_MONITOR_EVENT_SINGLESTEP, XEN_DOMCTL_MONITOR_EVENT_SOFTWARE_BREAKPOINT,
	XEN_DOMCTL_MONITOR_EVENT_GUEST_REQUEST, XEN_DOMCTL_MONITOR_EVENT_DEBUG_EXCEPTION,
	XEN_DOMCTL_MONITOR_EVENT_CPUID, XEN_DOMCTL_MONITOR_EVENT_DESC_ACCESS,
	XEN_DOMCTL_MONITOR_EVENT_EMUL_UNIMPLEMENTED, XEN_DOMCTL_MONITOR_EVENT_INGUEST_PAGEFAULT,
	XEN_DOMCTL_MONITOR_EVENT_IO,
};

static void refused(void)
{
	struct xen_domctl domctl = { 0 };
	unsigned int i, wrong = 0;

	tap_equal(monitor_op(fd, w.domain, XEN_DOMCTL_MONITOR_OP_GET_CAPABILITIES, 0, &domctl), 0,
		  "which events there are");
	for (i = 0; i < sizeof(all_events) / sizeof(*all_events); i++) {
		wrong += !(domctl.u.monitor_op.event >> all_events[i] & 1);
		wrong += event_off(fd, w.domain, all_events[i]) != -EEXIST;
		wrong += event_on(fd, w.domain, all_events[i]) != 0;
		wrong += event_on(fd, w.domain, all_events[i]) != -EEXIST;
		wrong += event_off(fd, w.domain, all_events[i]) != 0;
	}
	tap_equal(wrong, 0, "each is switched on once, and off once");
	tap_equal(event_on(fd, w.domain, XEN_DOMCTL_MONITOR_EVENT_PRIVILEGED_CALL), -EOPNOTSUPP,
		  "what another architecture has is not there");
	tap_equal(event_on(fd, w.domain, XEN_DOMCTL_MONITOR_EVENT_VMEXIT), -EOPNOTSUPP,
		  "nor what another vendor has");
	tap_equal(event_on(fd, w.domain, XEN_DOMCTL_MONITOR_EVENT_INTERRUPT), -EOPNOTSUPP,
		  "interrupts are asked for one by one");
	tap_equal(event_on(fd, w.domain, 32), -EINVAL, "no event has such a number");
	tap_equal(monitor_op(fd, w.domain, 9, 0, NULL), -EOPNOTSUPP, "no such operation");
	tap_equal(monitor_op(fd, NO_DOMAIN, 0, 0, NULL), -ESRCH, "no such domain");
}

/* A guest of a few bytes of code, with a monitor. */
static long begin(const uint8_t *code, size_t size)
{
	long rc;

	memset(&w, 0, sizeof(w));
	w.fd = fd;
	w.domain = domain_make(fd, 1, code, size, 0);
	if (w.domain < 0)
		tap_bail("no guest: %ld", w.domain);
	memset(&m, 0, sizeof(m));
	rc = monitor_page(&m, &w);
	if (!rc)
		rc = monitor_connect(&m);
	if (rc)
		tap_bail("no monitor: %ld", rc);
	return rc;
}

#define BEGIN(code) begin(code, sizeof(code))

static void end(void)
{
	monitor_end(&m);
	tap_equal(domain_destroy(fd, w.domain), 0, "the guest ends");
}

/* Answers the way xen-access does: registers with RIP behind the instruction. */
static void skip(vm_event_request_t *event, unsigned int length)
{
	event->data.regs.x86.rip += length;
	monitor_answer(&m, event, VM_EVENT_FLAG_SET_REGISTERS);
}

static void cpuid(void)
{
	static const uint8_t code[] = {
		0xb8, 0, 0, 0, 0x40,		/* mov $0x40000000, %eax */
		0x31, 0xc9,			/* xor %ecx, %ecx */
		0x0f, 0xa2,			/* cpuid */
		0xeb, 0xf5,			/* again */
	};
	vm_event_request_t event;
	unsigned int i, good = 0;

	BEGIN(code);
	tap_equal(event_on(fd, w.domain, XEN_DOMCTL_MONITOR_EVENT_CPUID), 0,
		  "CPUID is switched on");
	domain_unpause(fd, w.domain);
	for (i = 0; i < 20 && monitor_wait(&m, &event, 5000); i++) {
		good += event.reason == VM_EVENT_REASON_CPUID &&
			event.u.cpuid.leaf == 0x40000000 && !event.u.cpuid.subleaf &&
			event.u.cpuid.insn_length == 2 &&
			event.data.regs.x86.rip == CODE_GFN * PAGE_SIZE + 7 &&
			(uint32_t)event.data.regs.x86.rbx == 0x566e6558;
		skip(&event, event.u.cpuid.insn_length);
	}
	tap_equal(good, 20, "each CPUID is reported, with its answer in the registers");
	tap(monitor_wait(&m, &event, 5000), "one more");
	event.data.regs.x86.rip -= 7;
	monitor_answer(&m, &event, VM_EVENT_FLAG_SET_REGISTERS);
	tap(monitor_wait(&m, &event, 5000), "RIP goes where the answer says");
	tap_equal(event_off(fd, w.domain, XEN_DOMCTL_MONITOR_EVENT_CPUID), 0, "it is switched off");
	skip(&event, 2);
	tap(!monitor_wait(&m, &event, 100), "and not reported any more");
	end();
}

static struct xen_domctl *msr(uint32_t number, bool onchange)
{
	static struct xen_domctl domctl;

	memset(&domctl, 0, sizeof(domctl));
	domctl.u.monitor_op.u.mov_to_msr.msr = number;
	domctl.u.monitor_op.u.mov_to_msr.onchangeonly = onchange;
	return &domctl;
}

static void msrs(void)
{
	static const uint8_t code[] = {
		0xb9, 0x74, 0x01, 0, 0,		/* mov $0x174, %ecx */
		0x31, 0xd2,			/* xor %edx, %edx */
		0x40,				/* inc %eax */
		0x0f, 0x30,			/* wrmsr */
		0x89, 0xc6,			/* mov %eax, %esi */
		0x0f, 0x32,			/* rdmsr */
		0x89, 0xc7,			/* mov %eax, %edi */
		0x89, 0xf0,			/* mov %esi, %eax */
		0xeb, 0xec,			/* again */
	};
	const uint32_t event_is = XEN_DOMCTL_MONITOR_EVENT_MOV_TO_MSR;
	vm_event_request_t event;
	unsigned int i, good = 0;

	BEGIN(code);
	tap_equal(monitor_op(fd, w.domain, XEN_DOMCTL_MONITOR_OP_ENABLE, event_is, msr(0x174, 1)),
		  0, "writes to a register that guests otherwise write directly");
	tap_equal(monitor_op(fd, w.domain, XEN_DOMCTL_MONITOR_OP_ENABLE, event_is, msr(0x174, 1)),
		  -EEXIST, "once");
	tap_equal(monitor_op(fd, w.domain, XEN_DOMCTL_MONITOR_OP_ENABLE, event_is, msr(0x3000, 1)),
		  -EINVAL, "not of what nobody has");
	domain_unpause(fd, w.domain);
	for (i = 0; i < 10 && monitor_wait(&m, &event, 5000); i++) {
		good += event.reason == VM_EVENT_REASON_MOV_TO_MSR &&
			event.u.mov_to_msr.msr == 0x174 && event.u.mov_to_msr.new_value == i + 1 &&
			event.u.mov_to_msr.old_value == i;
		monitor_answer(&m, &event, 0);
	}
	tap_equal(good, 10, "are reported with the old and the new value");
	tap_equal(monitor_op(fd, w.domain, XEN_DOMCTL_MONITOR_OP_CONTROL_REGISTERS, 0, NULL), 0,
		  "the monitor decides from now on");
	/* The first may be from before. */
	if (monitor_wait(&m, &event, 5000))
		monitor_answer(&m, &event, 0);
	tap(monitor_wait(&m, &event, 5000), "a write");
	monitor_answer(&m, &event, VM_EVENT_FLAG_DENY);
	i = event.u.mov_to_msr.old_value;
	tap(monitor_wait(&m, &event, 5000) && event.u.mov_to_msr.old_value == i,
	    "that is denied does not happen");
	monitor_answer(&m, &event, 0);
	i = event.u.mov_to_msr.new_value;
	tap(monitor_wait(&m, &event, 5000) && event.u.mov_to_msr.old_value == i,
	    "one that is not does, after the answer");
	tap_equal(monitor_op(fd, w.domain, XEN_DOMCTL_MONITOR_OP_DISABLE, event_is, msr(0x174, 1)),
		  0, "switched off");
	monitor_answer(&m, &event, 0);
	if (monitor_wait(&m, &event, 50))
		monitor_answer(&m, &event, 0);
	tap(!monitor_wait(&m, &event, 100), "nothing is reported");
	end();
}

static struct xen_domctl *control(uint8_t index, bool sync, bool onchange, uint64_t mask)
{
	static struct xen_domctl domctl;

	memset(&domctl, 0, sizeof(domctl));
	domctl.u.monitor_op.u.mov_to_cr.index = index;
	domctl.u.monitor_op.u.mov_to_cr.sync = sync;
	domctl.u.monitor_op.u.mov_to_cr.onchangeonly = onchange;
	domctl.u.monitor_op.u.mov_to_cr.bitmask = mask;
	return &domctl;
}

static void controls(void)
{
	static const uint8_t code[] = {
		0x0f, 0x20, 0xe0,		/* mov %cr4, %eax */
		0x83, 0xf0, 0x04,		/* xor $TSD, %eax */
		0x0f, 0x22, 0xe0,		/* mov %eax, %cr4 */
		0x0f, 0x20, 0xc0,		/* mov %cr0, %eax */
		0x83, 0xf0, 0x02,		/* xor $MP, %eax */
		0x0f, 0x22, 0xc0,		/* mov %eax, %cr0 */
		0x0f, 0x20, 0xd8,		/* mov %cr3, %eax */
		0x05, 0, 0x10, 0, 0,		/* add $0x1000, %eax */
		0x0f, 0x22, 0xd8,		/* mov %eax, %cr3 */
		0x0f, 0x06,			/* clts */
		0xeb, 0xdf,			/* again */
	};
	const uint32_t event_is = XEN_DOMCTL_MONITOR_EVENT_WRITE_CTRLREG;
	uint64_t last[3] = { 0 };
	vm_event_request_t event;
	unsigned int i, good = 0, seen = 0;

	BEGIN(code);
	for (i = 0; i < 3; i++)
		tap_equal(monitor_op(fd, w.domain, XEN_DOMCTL_MONITOR_OP_ENABLE, event_is,
				     control(i, 1, 1, 0)), 0, "writes to control register %u", i);
	tap_equal(monitor_op(fd, w.domain, XEN_DOMCTL_MONITOR_OP_ENABLE, event_is,
			     control(4, 1, 1, 0)), -EINVAL, "not to one that there is not");
	domain_unpause(fd, w.domain);
	for (i = 0; i < 30 && monitor_wait(&m, &event, 5000); i++) {
		uint32_t index = event.u.write_ctrlreg.index;

		if (index > 2)
			break;
		good += event.reason == VM_EVENT_REASON_WRITE_CTRLREG &&
			(!(seen >> index & 1) || event.u.write_ctrlreg.old_value == last[index]) &&
			event.u.write_ctrlreg.new_value != event.u.write_ctrlreg.old_value &&
			/* What the host has set in CR4 is none of the guest's. */
			!(index == 2 && event.u.write_ctrlreg.new_value & 0x40);
		last[index] = event.u.write_ctrlreg.new_value;
		seen |= 1 << index;
		monitor_answer(&m, &event, 0);
	}
	tap_equal(good, 30, "are reported with the old and the new value");
	tap_equal(seen, 7, "all of them");
	for (i = 0; i < 3; i++)
		monitor_op(fd, w.domain, XEN_DOMCTL_MONITOR_OP_DISABLE, event_is,
			   control(i, 1, 1, 0));
	while (monitor_wait(&m, &event, 100))
		monitor_answer(&m, &event, 0);
	monitor_op(fd, w.domain, XEN_DOMCTL_MONITOR_OP_ENABLE, event_is, control(2, 1, 1, 4));
	tap(!monitor_wait(&m, &event, 200), "a masked bit is of no interest");
	monitor_op(fd, w.domain, XEN_DOMCTL_MONITOR_OP_DISABLE, event_is, control(2, 1, 1, 4));
	monitor_op(fd, w.domain, XEN_DOMCTL_MONITOR_OP_CONTROL_REGISTERS, 0, NULL);
	monitor_op(fd, w.domain, XEN_DOMCTL_MONITOR_OP_ENABLE, event_is, control(1, 1, 1, 0));
	tap(monitor_wait(&m, &event, 5000), "a write that the monitor decides about");
	last[1] = event.u.write_ctrlreg.old_value;
	monitor_answer(&m, &event, VM_EVENT_FLAG_DENY);
	tap(monitor_wait(&m, &event, 5000) && event.u.write_ctrlreg.old_value == last[1],
	    "is denied");
	last[1] = event.u.write_ctrlreg.new_value;
	monitor_answer(&m, &event, 0);
	tap(monitor_wait(&m, &event, 5000) && event.u.write_ctrlreg.old_value == last[1],
	    "or allowed");
	monitor_answer(&m, &event, 0);
	end();
}

static void breakpoints(void)
{
	static const uint8_t code[] = {
		0x40,				/* inc %eax */
		0xcc,				/* int3 */
		0xeb, 0xfc,			/* again */
	};
	vm_event_request_t event;
	unsigned int i, good = 0;

	BEGIN(code);
	tap_equal(event_on(fd, w.domain, XEN_DOMCTL_MONITOR_EVENT_SOFTWARE_BREAKPOINT), 0,
		  "breakpoint instructions");
	domain_unpause(fd, w.domain);
	for (i = 0; i < 10 && monitor_wait(&m, &event, 5000); i++) {
		good += event.reason == VM_EVENT_REASON_SOFTWARE_BREAKPOINT &&
			event.u.software_breakpoint.gfn == CODE_GFN &&
			event.u.software_breakpoint.insn_length == 1 &&
			event.data.regs.x86.rip == CODE_GFN * PAGE_SIZE + 1 &&
			event.data.regs.x86.rax == i + 1;
		skip(&event, 1);
	}
	tap_equal(good, 10, "are reported, with RIP at the instruction");
	tap(monitor_wait(&m, &event, 5000), "one more");
	monitor_answer(&m, &event, 0);
	tap(monitor_wait(&m, &event, 5000) && event.data.regs.x86.rax == 11,
	    "comes again if the monitor does nothing about it");
	/* In place of the breakpoint: nop, which is as long. */
	memset(event.data.emul.insn.data, 0x90, 16);
	monitor_answer(&m, &event, VM_EVENT_FLAG_EMULATE | VM_EVENT_FLAG_SET_EMUL_INSN_DATA);
	tap(monitor_wait(&m, &event, 5000) && event.data.regs.x86.rax == 12,
	    "another instruction is executed in its place");
	end();
}

static void steps(void)
{
	static const uint8_t code[] = {
		0xcc,				/* int3 */
		0x40, 0x40, 0x40, 0x40, 0x40,	/* inc %eax, five times */
		0x0f, 0xa2,			/* cpuid */
		0x31, 0xc0,			/* xor %eax, %eax */
		0xeb, 0xf4,			/* again */
	};
	vm_event_request_t event;
	unsigned int i, good = 0;

	BEGIN(code);
	event_on(fd, w.domain, XEN_DOMCTL_MONITOR_EVENT_SOFTWARE_BREAKPOINT);
	tap_equal(event_on(fd, w.domain, XEN_DOMCTL_MONITOR_EVENT_SINGLESTEP), 0, "single steps");
	domain_unpause(fd, w.domain);
	tap(monitor_wait(&m, &event, 5000), "a breakpoint");
	event.data.regs.x86.rip++;
	monitor_answer(&m, &event, VM_EVENT_FLAG_SET_REGISTERS | VM_EVENT_FLAG_TOGGLE_SINGLESTEP);
	for (i = 0; i < 5 && monitor_wait(&m, &event, 5000); i++) {
		good += event.reason == VM_EVENT_REASON_SINGLESTEP &&
			event.u.singlestep.gfn == CODE_GFN && event.data.regs.x86.rax == i + 1 &&
			event.data.regs.x86.rip == CODE_GFN * PAGE_SIZE + 2 + i &&
			!(event.data.regs.x86.rflags & 0x100);
		monitor_answer(&m, &event, 0);
	}
	tap_equal(good, 5, "each instruction is one, and the guest does not see the trap flag");
	tap(monitor_wait(&m, &event, 5000) &&
	    event.data.regs.x86.rip == CODE_GFN * PAGE_SIZE + 8,
	    "one that leaves the guest as well");
	monitor_answer(&m, &event, VM_EVENT_FLAG_TOGGLE_SINGLESTEP);
	tap(monitor_wait(&m, &event, 5000) &&
	    event.reason == VM_EVENT_REASON_SOFTWARE_BREAKPOINT, "they are switched off again");
	end();
}

/* Steps of a guest that begins to allow interrupts when there is one. */
static void steps_with_interrupt(void)
{
	static const uint8_t code[] = {
		0xc7, 0x05, 0xf0, 0x00, 0xe0, 0xfe, 0xff, 0x01, 0, 0,	/* movl $0x1ff, SVR */
		0xc7, 0x05, 0x00, 0x03, 0xe0, 0xfe, 0x40, 0, 0x04, 0,	/* movl $0x40040, ICR */
		0xcc,				/* int3 */
		0xfb,				/* sti */
		0x40, 0x40, 0x40, 0x40,		/* inc %eax, four times */
		0xeb, 0xfe,			/* for ever */
	};
	const uint64_t last = CODE_GFN * PAGE_SIZE + 26;
	vm_event_request_t event;
	unsigned int i;

	BEGIN(code);
	event_on(fd, w.domain, XEN_DOMCTL_MONITOR_EVENT_SOFTWARE_BREAKPOINT);
	event_on(fd, w.domain, XEN_DOMCTL_MONITOR_EVENT_SINGLESTEP);
	domain_unpause(fd, w.domain);
	tap(monitor_wait(&m, &event, 5000), "an interrupt waits at a breakpoint");
	event.data.regs.x86.rip++;
	event.data.regs.x86.rax = 0;
	monitor_answer(&m, &event, VM_EVENT_FLAG_SET_REGISTERS | VM_EVENT_FLAG_TOGGLE_SINGLESTEP);
	/* After STI there may be none. */
	for (i = 0; i < 5 && monitor_wait(&m, &event, 5000); i++) {
		if (event.reason != VM_EVENT_REASON_SINGLESTEP || event.data.regs.x86.rip == last)
			break;
		monitor_answer(&m, &event, 0);
	}
	tap(event.data.regs.x86.rip == last && event.data.regs.x86.rax == 4 &&
	    event.data.regs.x86.rflags & 0x200, "steps go on when it could be delivered");
	monitor_answer(&m, &event, VM_EVENT_FLAG_TOGGLE_SINGLESTEP);
	tap_equal(domain_wait_shutdown(fd, w.domain), SHUTDOWN_reboot,
		  "and it is delivered after them, to a guest that has no handler");
	end();
}

static void debug(void)
{
	static const uint8_t code[] = {
		0xbc, 0, 0, 2, 0,		/* mov $0x20000, %esp */
		0x9c,				/* pushf */
		0x80, 0x4c, 0x24, 0x01, 0x01,	/* orb $TF >> 8, 1(%esp) */
		0x9d,				/* popf */
		0x90,				/* nop */
		0xeb, 0xf1,			/* again */
	};
	struct xen_domctl domctl = { 0 };
	vm_event_request_t event;
	unsigned int i;

	BEGIN(code);
	domctl.u.monitor_op.u.debug_exception.sync = 1;
	tap_equal(monitor_op(fd, w.domain, XEN_DOMCTL_MONITOR_OP_ENABLE,
			     XEN_DOMCTL_MONITOR_EVENT_DEBUG_EXCEPTION, &domctl), 0,
		  "debug exceptions");
	domain_unpause(fd, w.domain);
	tap(monitor_wait(&m, &event, 5000) &&
	    event.reason == VM_EVENT_REASON_DEBUG_EXCEPTION &&
	    event.u.debug_exception.gfn == CODE_GFN &&
	    event.u.debug_exception.pending_dbg & 0x4000 &&
	    event.data.regs.x86.rip == CODE_GFN * PAGE_SIZE + 13, "are reported");
	monitor_answer(&m, &event, 0);
	tap(monitor_wait(&m, &event, 5000) &&
	    event.reason == VM_EVENT_REASON_DEBUG_EXCEPTION,
	    "and not delivered if the monitor does not");
	end();

	/* The same with a stack that the emulator accesses. */
	BEGIN(code);
	if (access_set(fd, w.domain, XENMEM_access_n, 0x1f, 1))
		tap_bail("the stack keeps its rights");
	monitor_op(fd, w.domain, XEN_DOMCTL_MONITOR_OP_ENABLE,
		   XEN_DOMCTL_MONITOR_EVENT_DEBUG_EXCEPTION, &domctl);
	domain_unpause(fd, w.domain);
	for (i = 0; i < 10 && monitor_wait(&m, &event, 5000); i++) {
		if (event.reason != VM_EVENT_REASON_MEM_ACCESS)
			break;
		monitor_answer(&m, &event, VM_EVENT_FLAG_EMULATE);
	}
	/* PUSHF, OR and POPF. */
	tap(i >= 3 && event.reason == VM_EVENT_REASON_DEBUG_EXCEPTION &&
	    event.data.regs.x86.rip == CODE_GFN * PAGE_SIZE + 13,
	    "an emulated POPF is not stepped by the flag that it has set");
	end();
}

/* What an instruction does that a monitor has emulated is reported as of any other. */
static void of_emulator(void)
{
	static const uint8_t code[] = {
		0xb8, 0, 0x50, 0, 0,		/* mov $0x5000, %eax */
		0x0f, 0x22, 0xd8,		/* mov %eax, %cr3 */
		0xb9, 0x82, 0, 0, 0xc0,		/* mov $LSTAR, %ecx */
		0x31, 0xd2,			/* xor %edx, %edx */
		0x0f, 0x30,			/* wrmsr */
		0xeb, 0xed,			/* again */
	};
	vm_event_request_t event;
	unsigned int i, cr3 = 0, lstar = 0, emulated = 0;

	BEGIN(code);
	monitor_op(fd, w.domain, XEN_DOMCTL_MONITOR_OP_CONTROL_REGISTERS, 0, NULL);
	monitor_op(fd, w.domain, XEN_DOMCTL_MONITOR_OP_ENABLE,
		   XEN_DOMCTL_MONITOR_EVENT_WRITE_CTRLREG, control(1, 1, 1, 0));
	monitor_op(fd, w.domain, XEN_DOMCTL_MONITOR_OP_ENABLE,
		   XEN_DOMCTL_MONITOR_EVENT_MOV_TO_MSR, msr(0xc0000082, true));
	if (access_set(fd, w.domain, XENMEM_access_rw, CODE_GFN, 1))
		tap_bail("the code keeps its rights");
	domain_unpause(fd, w.domain);
	for (i = 0; i < 30 && monitor_wait(&m, &event, 5000); i++) {
		uint32_t answer = VM_EVENT_FLAG_DENY;

		if (event.reason == VM_EVENT_REASON_WRITE_CTRLREG)
			cr3 += event.u.write_ctrlreg.old_value == 0 &&
				    event.u.write_ctrlreg.new_value == 0x5000;
		else if (event.reason == VM_EVENT_REASON_MOV_TO_MSR)
			lstar += event.u.mov_to_msr.old_value == 0 &&
				event.u.mov_to_msr.new_value == 0x5000;
		else if (event.reason == VM_EVENT_REASON_MEM_ACCESS) {
			answer = VM_EVENT_FLAG_EMULATE;
			emulated++;
		}
		monitor_answer(&m, &event, answer);
	}
	tap(cr3 >= 3 && emulated > cr3 + lstar,
	    "writes to a control register by the emulator are reported, and denied");
	tap(lstar >= 3, "and so are those to a model-specific register");
	end();
}

static void descriptors(void)
{
	static const uint8_t code[] = {
		0x0f, 0x01, 0x05, 0x90, 0, 1, 0,	/* sgdt 0x10090 */
		0x0f, 0x01, 0x15, 0x90, 0, 1, 0,	/* lgdt 0x10090 */
		0x0f, 0x01, 0x0d, 0xa0, 0, 1, 0,	/* sidt 0x100a0 */
		0x0f, 0x01, 0x1d, 0xa0, 0, 1, 0,	/* lidt 0x100a0 */
		0x0f, 0x00, 0xc8,			/* str %eax */
		0x31, 0xc0,				/* xor %eax, %eax */
		0x0f, 0x00, 0xd0,			/* lldt %ax */
		0x0f, 0x00, 0xc0,			/* sldt %eax */
		0xff, 0x05, 0x80, 0, 1, 0,		/* incl 0x10080 */
		0xeb, 0xd1,				/* again */
	};
	static const uint8_t order[][2] = {
		{ VM_EVENT_DESC_GDTR, 0 }, { VM_EVENT_DESC_GDTR, 1 }, { VM_EVENT_DESC_IDTR, 0 },
		{ VM_EVENT_DESC_IDTR, 1 }, { VM_EVENT_DESC_TR, 0 }, { VM_EVENT_DESC_LDTR, 1 },
		{ VM_EVENT_DESC_LDTR, 0 },
	};
	xen_pfn_t frame = CODE_GFN;
	vm_event_request_t event;
	unsigned int i, good = 0;
	uint8_t *at;

	BEGIN(code);
	at = xen_map(fd, w.domain, &frame, 1);
	tap_equal(event_on(fd, w.domain, XEN_DOMCTL_MONITOR_EVENT_DESC_ACCESS), 0,
		  "descriptor table registers");
	domain_unpause(fd, w.domain);
	for (i = 0; i < 21 && monitor_wait(&m, &event, 5000); i++) {
		good += event.reason == VM_EVENT_REASON_DESCRIPTOR_ACCESS &&
			event.u.desc_access.descriptor == order[i % 7][0] &&
			event.u.desc_access.is_write == order[i % 7][1];
		monitor_answer(&m, &event, VM_EVENT_FLAG_EMULATE);
	}
	tap_equal(good, 21, "are reported, each access as what it is");
	tap(at && *(volatile uint32_t *)(at + 0x80) >= 2, "and emulated, the guest goes on");
	event_off(fd, w.domain, XEN_DOMCTL_MONITOR_EVENT_DESC_ACCESS);
	if (monitor_wait(&m, &event, 500))
		monitor_answer(&m, &event, 0);
	i = at ? *(volatile uint32_t *)(at + 0x80) : 0;
	usleep(200000);
	tap(at && *(volatile uint32_t *)(at + 0x80) > i + 2, "without a monitor too");
	if (at)
		munmap(at, PAGE_SIZE);
	end();
}

static void ports(void)
{
	static const uint8_t code[] = {
		0x66, 0xba, 0x34, 0x12,		/* mov $0x1234, %dx */
		0xef,				/* out %eax, %dx */
		0xec,				/* in %dx, %al */
		0xeb, 0xf8,			/* again */
	};
	vm_event_request_t event;
	unsigned int i, good = 0;

	BEGIN(code);
	tap_equal(event_on(fd, w.domain, XEN_DOMCTL_MONITOR_EVENT_IO), 0, "ports");
	domain_unpause(fd, w.domain);
	for (i = 0; i < 10 && monitor_wait(&m, &event, 5000); i++) {
		good += event.reason == VM_EVENT_REASON_IO_INSTRUCTION &&
			event.u.io.port == 0x1234 && event.u.io.in == i % 2 &&
			event.u.io.bytes == (i % 2 ? 1 : 4) && !event.u.io.str;
		skip(&event, 1);
	}
	tap_equal(good, 10, "are reported");
	end();
}

static void requests(void)
{
	static const uint8_t code[] = {
		0xb8, 34, 0, 0, 0,		/* mov $hvm_op, %eax */
		0xbb, 24, 0, 0, 0,		/* mov $guest_request_vm_event, %ebx */
		0x31, 0xc9,			/* xor %ecx, %ecx */
		0x0f, 0x01, 0xd9,		/* vmmcall */
		0x89, 0xc6,			/* mov %eax, %esi */
		0xeb, 0xed,			/* again */
	};
	struct xen_domctl domctl = { 0 };
	vm_event_request_t event;
	unsigned int i, good = 0;

	BEGIN(code);
	domctl.u.monitor_op.u.guest_request.sync = 1;
	tap_equal(monitor_op(fd, w.domain, XEN_DOMCTL_MONITOR_OP_ENABLE,
			     XEN_DOMCTL_MONITOR_EVENT_GUEST_REQUEST, &domctl), 0, "requests");
	domain_unpause(fd, w.domain);
	for (i = 0; i < 10 && monitor_wait(&m, &event, 5000); i++) {
		good += event.reason == VM_EVENT_REASON_GUEST_REQUEST &&
			event.flags & VM_EVENT_FLAG_VCPU_PAUSED && !event.data.regs.x86.rsi;
		monitor_answer(&m, &event, 0);
	}
	tap_equal(good, 10, "of the guest are reported, and succeed");
	end();
}

int main(void)
{
	tap_plan(0);
	fd = xen_open("privcmd");
	BEGIN(code_spin);
	refused();
	end();
	cpuid();
	msrs();
	controls();
	breakpoints();
	steps();
	steps_with_interrupt();
	debug();
	of_emulator();
	descriptors();
	ports();
	requests();
	return tap_end();
}
