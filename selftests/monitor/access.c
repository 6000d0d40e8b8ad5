// SPDX-License-Identifier: GPL-2.0-only
/*
 * Proves that accesses which a page's rights do not allow become events, that nothing happens before the answer, and
 * that those which they allow do not.
 */

#include "ioreq.h"
#include "watched.h"

static struct monitor m;

/* What a read, a write and both at once are to give: the event's flags, or 0 for none. */
struct expected {
	uint8_t access;
	const char *name;
	uint32_t read, write, both;
};

#define R MEM_ACCESS_R
#define W MEM_ACCESS_W

static const struct expected table[] = {
	{ XENMEM_access_n, "n", R, W, R | W },
	{ XENMEM_access_r, "r", 0, W, R | W },
	{ XENMEM_access_w, "w", R, 0, R | W },
	{ XENMEM_access_rw, "rw", 0, 0, 0 },
	{ XENMEM_access_rx, "rx", 0, W, R | W },
	{ XENMEM_access_rwx, "rwx", 0, 0, 0 },
	{ XENMEM_access_rx2rw, "rx2rw", 0, 0, 0 },
	{ XENMEM_access_r_pw, "r_pw", 0, W, R | W },
};

/* Has the guest make one access; returns the flags of the event that comes, or 0. The access is made in the end. */
static uint32_t flags_of(const struct expected *e, uint32_t op)
{
	vm_event_request_t event;
	uint32_t before = *page();

	give(e->access);
	worker_begin(&w, 0, op, PAGE, op == OP_OR32 ? 0x100 : before + 1, 0);
	if (!monitor_wait(&m, &event, worker_wait(&w, 0, 300) ? 20 : 2000))
		return worker_wait(&w, 0, 2000) ? 0 : ~0U;
	if (*page() != before || event.reason != VM_EVENT_REASON_MEM_ACCESS ||
	    !(event.flags & VM_EVENT_FLAG_VCPU_PAUSED) || event.u.mem_access.gfn != PAGE_GFN ||
	    event.u.mem_access.offset || event.vcpu_id || event.version != 7)
		tap_note("a wrong event: reason %u, frame %#lx", event.reason,
			 (long)event.u.mem_access.gfn);
	if (!(event.u.mem_access.flags & MEM_ACCESS_GLA_VALID) || event.u.mem_access.gla != PAGE)
		tap_note("a wrong address: %#lx", (long)event.u.mem_access.gla);
	/* Nothing happens without an answer. */
	if (worker_wait(&w, 0, 20))
		return ~0U;
	give(XENMEM_access_rwx);
	monitor_answer(&m, &event, 0);
	if (!worker_wait(&w, 0, 20000))
		return ~1U;
	return event.u.mem_access.flags & (MEM_ACCESS_RWX);
}

static void kinds(void)
{
	unsigned int i;

	for (i = 0; i < sizeof(table) / sizeof(*table); i++) {
		const struct expected *e = &table[i];

		tap_equal(flags_of(e, OP_READ32), e->read, "E-3 a read of %s", e->name);
		tap_equal(flags_of(e, OP_WRITE32), e->write, "E-3 a write of %s", e->name);
		tap_equal(flags_of(e, OP_OR32), e->both, "E-3 a read and write of %s", e->name);
	}
}

static void changing(void)
{
	vm_event_request_t event;

	give(XENMEM_access_rx2rw);
	worker_do(&w, 0, OP_WRITE32, PAGE, 1, 0);
	tap_equal(access_get(fd, w.domain, PAGE_GFN), XENMEM_access_rw,
		  "rx2rw is rw after a write");
	tap(!monitor_wait(&m, &event, 50), "of which nobody hears");
	give(XENMEM_access_n2rwx);
	tap(worker_do(&w, 0, OP_READ32, PAGE, 0, 0) == 1, "n2rwx lets an access happen");
	tap(monitor_wait(&m, &event, 2000), "and tells of it");
	tap_equal(event.flags & VM_EVENT_FLAG_VCPU_PAUSED, 0, "without waiting");
	tap_equal(event.u.mem_access.gfn, PAGE_GFN, "of the right page");
	monitor_answer(&m, &event, 0);
	tap_equal(access_get(fd, w.domain, PAGE_GFN), XENMEM_access_rwx, "it is rwx then");
	worker_do(&w, 0, OP_WRITE32, PAGE, 2, 0);
	tap(!monitor_wait(&m, &event, 50), "and nobody hears of the next");
}

/* The guest's own code. */
static void fetching(void)
{
	vm_event_request_t event;

	access_set(fd, w.domain, XENMEM_access_rw, CODE_GFN, 1);
	tap(monitor_wait(&m, &event, 5000), "code that may not run is reported");
	tap_equal(event.u.mem_access.flags & MEM_ACCESS_RWX, MEM_ACCESS_X, "as executed");
	tap_equal(event.u.mem_access.gfn, CODE_GFN, "with its frame");
	tap(event.u.mem_access.flags & MEM_ACCESS_GLA_VALID &&
	    event.u.mem_access.gla == event.data.regs.x86.rip, "and its address");
	access_set(fd, w.domain, XENMEM_access_rwx, CODE_GFN, 1);
	/* Both vCPUs run it. */
	do
		monitor_answer(&m, &event, 0);
	while (monitor_wait(&m, &event, 100));
	tap(worker_do(&w, 0, OP_READ32, PAGE, 0, 0) != WORKER_LOST, "then it runs");
}

/* An event for each access while the rights stay: the instruction is executed again after the answer. */
static void again(void)
{
	vm_event_request_t event;
	unsigned int i, good = 0;

	give(XENMEM_access_r);
	*page() = 5;
	worker_begin(&w, 0, OP_WRITE32, PAGE, 6, 0);
	for (i = 0; i < 20; i++) {
		good += monitor_wait(&m, &event, 5000) && *page() == 5;
		if (i == 19)
			give(XENMEM_access_rwx);
		monitor_answer(&m, &event, 0);
	}
	tap_equal(good, 20, "E-6 what is not allowed comes again until it is");
	tap(worker_wait(&w, 0, 5000) && *page() == 6, "and then happens");
}

/* Accesses of two pages, of which the second is protected: ascending, one event, nothing written before. */
static void split(void)
{
	vm_event_request_t event;
	uint32_t *end = (uint32_t *)(w.data + 4 * PAGE_SIZE - 4);

	*end = *page() = 0;
	give(XENMEM_access_r);
	worker_begin(&w, 0, OP_WRITE32, PAGE - 2, 0xa1b2c3d4, 0);
	tap(monitor_wait(&m, &event, 5000), "E-4 a write of two pages");
	tap_equal(event.u.mem_access.gfn, PAGE_GFN,
		  "is reported for the page that it may not write");
	tap(!*end && !*page(), "E-6 before any of it is written");
	give(XENMEM_access_rwx);
	monitor_answer(&m, &event, 0);
	tap(worker_wait(&w, 0, 5000) && *end == 0xc3d40000 && *page() == 0xa1b2,
	    "then all of it is");
}

/* Registers are in the event, and come back if the answer says so. */
static void registers(void)
{
	vm_event_request_t event;
	vm_event_response_t answer;

	give(XENMEM_access_n);
	worker_begin(&w, 0, OP_WRITE32, PAGE, 0x1234, 0);
	if (!tap(monitor_wait(&m, &event, 5000), "an event with registers"))
		return;
	tap_equal(event.data.regs.x86.rax, 0x1234, "RAX");
	tap_equal(event.data.regs.x86.rbx, PAGE, "RBX");
	tap_equal(event.data.regs.x86.cr0, 0x11, "CR0");
	tap_equal(event.data.regs.x86.vmtrace_pos, ~0ULL, "no trace");
	tap_equal(event.data.regs.x86.cs.ar & 0xff, 0x9b, "CS");
	answer = event;
	answer.flags |= VM_EVENT_FLAG_SET_REGISTERS;
	answer.data.regs.x86.rax = 0x4321;
	give(XENMEM_access_rwx);
	monitor_put(&m, &answer);
	notify(m.evtchn, m.port);
	tap(worker_wait(&w, 0, 5000) && *page() == 0x4321,
	    "registers of the answer are the guest's");
}

/* Answers that are notified by hypercall rather than by event. */
static void resumed(void)
{
	vm_event_request_t event;

	give(XENMEM_access_n);
	worker_begin(&w, 0, OP_READ32, PAGE, 0, 0);
	tap(monitor_wait(&m, &event, 5000), "an event");
	give(XENMEM_access_rwx);
	monitor_put(&m, &event);
	tap(!worker_wait(&w, 0, 50), "an answer of which nobody was told");
	tap_equal(ring_op(fd, w.domain, XEN_VM_EVENT_RESUME), 0, "is taken by the hypercall");
	tap(worker_wait(&w, 0, 5000), "and the guest goes on");
}

/* Interrupts that come while a vCPU waits. This guest cannot take any, and ends with the first. */
static void interrupted(void)
{
	struct xen_dm_op op = { .op = XEN_DMOP_inject_event };
	vm_event_request_t event;

	op.u.inject_event.vcpuid = 0;
	op.u.inject_event.vector = 2;
	op.u.inject_event.type = XEN_DMOP_EVENT_nmi;
	give(XENMEM_access_n);
	worker_begin(&w, 0, OP_READ32, PAGE, 0, 0);
	tap(monitor_wait(&m, &event, 5000), "a vCPU waits");
	tap_equal(dm_op1(fd, w.domain, &op), 0, "it is sent an interrupt");
	usleep(200000);
	tap_equal(xen_flags(fd, w.domain) & XEN_DOMINF_shutdown, 0,
		  "E-8 VE-10 which is not delivered before the answer");
	tap_equal(domain_pause(fd, w.domain), 0, "a tool stops it");
	tap_equal(domain_unpause(fd, w.domain), 0, "and lets it go on");
	give(XENMEM_access_rwx);
	monitor_answer(&m, &event, VM_EVENT_FLAG_GET_NEXT_INTERRUPT);
	tap(monitor_wait(&m, &event, 5000) && event.reason == VM_EVENT_REASON_INTERRUPT &&
	    event.u.interrupt.x86.vector == 2 && event.u.interrupt.x86.type == 2,
	    "VE-10 a monitor that asked for it hears of the interrupt, which is not lost");
	usleep(50000);
	tap_equal(xen_flags(fd, w.domain) & XEN_DOMINF_shutdown, 0,
		  "E-8 which waits for that answer too");
	monitor_answer(&m, &event, 0);
	tap_equal(domain_wait_shutdown(fd, w.domain), SHUTDOWN_reboot, "and is delivered then");
}

int main(void)
{
	tap_plan(0);
	fd = xen_open("privcmd");
	worker_start(&w, fd, 2, 32);
	monitor_start(&m, &w);
	kinds();
	changing();
	fetching();
	again();
	split();
	registers();
	resumed();
	tap_equal(monitor_end(&m), 0, "the monitor ends");
	tap(worker_do(&w, 0, OP_READ32, PAGE, 0, 0) != WORKER_LOST, "and the guest lives on");
	monitor_start(&m, &w);
	interrupted();
	tap_equal(monitor_end(&m), 0, "the monitor ends");
	tap_equal(worker_end(&w), 0, "the guest ends");
	return tap_end();
}
