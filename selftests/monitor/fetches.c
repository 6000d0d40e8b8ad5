// SPDX-License-Identifier: GPL-2.0-only
/*
 * Proves that an instruction which is carried out in software, and which lies in two pages, is fetched as the processor
 * fetches it: both pages are translated, and both are judged.
 */

#include "any.h"

static struct monitor m;

/* A page table, and two pages of code that it maps one after the other. */
#define TABLE DATA(11 * PAGE_SIZE)
#define CODE DATA(12 * PAGE_SIZE)
#define LINEAR (3UL << 21)
#define STACK DATA(9 * PAGE_SIZE)
/* The instruction has two bytes in the first. */
#define AT (LINEAR + PAGE_SIZE - 2)

#define X MEM_ACCESS_X

/* Gives rights to a page of the code. */
static void rights(unsigned int page, uint8_t access)
{
	if (access_set(fd, w.domain, access, CODE / PAGE_SIZE + page, 1))
		tap_bail("cannot set rights");
}

/* Waits for the report of a fetch from an address. */
static bool fetched(vm_event_request_t *event, uint64_t address)
{
	if (!monitor_wait(&m, event, 5000)) {
		tap_note("no event");
		return false;
	}
	if (event->reason == VM_EVENT_REASON_MEM_ACCESS &&
	    (event->u.mem_access.flags & MEM_ACCESS_RWX) == X &&
	    event->u.mem_access.gla == address)
		return true;
	tap_note("reason %u, flags %#x, address %#lx", event->reason, event->u.mem_access.flags,
		 (long)event->u.mem_access.gla);
	return false;
}

int main(void)
{
	struct registers regs = { .rsp = STACK };
	vm_event_request_t event;
	uint64_t *directory;

	tap_plan(0);
	fd = xen_open("privcmd");
	any_start(1);
	directory = worker_frame(fd, w.domain, WORKER_TABLE_GFN + 2);
	if (!directory)
		tap_bail("no page table");
	any_set(TABLE, CODE | 3, 8);
	directory[3] = TABLE | 3;
	monitor_start(&m, &w);
	if (!any_handlers())
		tap_bail("the guest cannot be prepared");
	/* movabs $0x1122334455667788, %rax; jmp *%r9 */
	memcpy(data(CODE + PAGE_SIZE - 2),
	       "\x48\xb8\x88\x77\x66\x55\x44\x33\x22\x11\x41\xff\xe1", 13);
	tap(any_do(AT, regs) && w.cmd[0]->result == ANY_RAISED(14),
	    "a page of code that is not there is a page fault");
	rights(0, XENMEM_access_rw);
	any_begin(0, AT, regs);
	tap(fetched(&event, AT), "code that may not be executed is reported");
	monitor_answer(&m, &event, VM_EVENT_FLAG_EMULATE);
	tap(worker_wait(&w, 0, 5000) && w.cmd[0]->result == ANY_RAISED(14),
	    "E-4 emulated, its second page is a page fault all the same");
	/* mov %cr2, %rax */
	tap(any_do(any_put(0, INSN("", "\x0f\x20\xd0")), regs) &&
	    w.cmd[0]->result == LINEAR + PAGE_SIZE, "E-4 at the address of that page");
	any_set(TABLE + 8, (CODE + PAGE_SIZE) | 3, 8);
	any_begin(0, AT, regs);
	tap(fetched(&event, AT), "with the second page there it is reported again");
	rights(1, XENMEM_access_rw);
	monitor_answer(&m, &event, VM_EVENT_FLAG_EMULATE);
	tap(fetched(&event, LINEAR + PAGE_SIZE + 8),
	    "what follows is reported for the second page");
	rights(1, XENMEM_access_rwx);
	monitor_answer(&m, &event, 0);
	tap(worker_wait(&w, 0, 5000) && w.cmd[0]->result == 0x1122334455667788,
	    "E-7 and the instruction was carried out");
	rights(0, XENMEM_access_rwx);
	tap(any_do(AT, regs) && w.cmd[0]->result == 0x1122334455667788, "as the processor does it");
	munmap(directory, PAGE_SIZE);
	tap_equal(monitor_end(&m), 0, "the monitor ends");
	tap_equal(worker_end(&w), 0, "the guest ends");
	return tap_end();
}
