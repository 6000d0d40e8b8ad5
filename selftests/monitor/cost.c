// SPDX-License-Identifier: GPL-2.0-only
/*
 * Counts what an event costs, by ring, by slots, and by slots that the monitor and the vCPU look at all the time: from
 * the guest's access to its next instruction, the monitor's part and two changes of the process, if there are any,
 * included. The access is a read of a page without rights, which the answer has emulated, or a store. Then what a
 * monitor costs a guest that works.
 *
 * On an emulated machine whose counter counts instructions (`tools/vm --icount --cpus 2`) the numbers are instructions
 * of both processors.
 */

#include <sched.h>

#include "ioreq.h"
#include "watched.h"
#include <oxen/monitor.h>

#define EVENTS 400U
#define STORES 50000U

static uint64_t rdtsc(void)
{
	uint32_t low, high;

	__asm__ volatile("rdtsc" : "=a"(low), "=d"(high));
	return (uint64_t)high << 32 | low;
}

static int by_number(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return x < y ? -1 : x > y;
}

/* Tells the least and the middle time between two events of a loop in the guest, and how many a second has. */
static void tell(const char *what, uint64_t *times, unsigned int count, uint64_t ns)
{
	unsigned int i;

	tap_note("%s: %llu events a second", what, (count - 1) * 1000000000ULL / (ns ? ns : 1));
	for (i = 0; i + 1 < count; i++)
		times[i] = times[i + 1] - times[i];
	qsort(times, count - 1, sizeof(*times), by_number);
	tap_note("%s: round trip %llu at least, %llu in the middle of %u", what,
		 (unsigned long long)times[0], (unsigned long long)times[(count - 1) / 2],
		 count - 1);
}

static bool by_ring(void)
{
	static uint64_t times[EVENTS];
	vm_event_request_t event;
	struct monitor m;
	uint64_t began = 0;
	unsigned int i;

	monitor_start(&m, &w);
	access_set(fd, w.domain, XENMEM_access_n, PAGE_GFN, 1);
	worker_begin(&w, 0, OP_READ32_LOOP, PAGE, 0, EVENTS);
	for (i = 0; i < EVENTS && monitor_wait(&m, &event, 5000); i++) {
		times[i] = rdtsc();
		if (!i)
			began = tap_now();
		monitor_answer(&m, &event, VM_EVENT_FLAG_EMULATE);
	}
	if (i == EVENTS)
		tell("ring", times, EVENTS, tap_now() - began);
	monitor_end(&m);
	return i == EVENTS && worker_wait(&w, 0, 5000);
}

/* Keeps the monitor on the second processor, or lets it go. */
static void stay(bool there)
{
	cpu_set_t set;
	int i;

	CPU_ZERO(&set);
	for (i = there; i < (there ? 2 : sysconf(_SC_NPROCESSORS_ONLN)); i++)
		CPU_SET(i, &set);
	sched_setaffinity(0, sizeof(set), &set);
}

/* What is counted of slots. */
struct way {
	const char *name;
	/* The monitor looks at the slot all the time. */
	bool polls;
	/* Stores of three bytes in place of reads. */
	bool stores;
	/* Which are skipped in place of being emulated. */
	bool skips;
};

static bool by_slots(const struct way *way)
{
	bool polls = way->polls;
	static uint64_t times[EVENTS];
	struct oxen_monitor_slot *slot;
	int evtchn = xen_open("evtchn");
	unsigned int i, idle = 0, told = 0;
	uint64_t began = 0, ended = 0;
	long rc, port;

	if (vm_event_op(fd, w.domain, XEN_VM_EVENT_ENABLE, OXEN_VM_EVENT_SLOTS, NULL))
		return false;
	slot = resource_map(fd, w.domain, OXEN_RESOURCE_MONITOR_SLOTS, 0, 0, 1, &rc);
	port = slot ? bind_interdomain(evtchn, w.domain, slot->port) : -1;
	if (port < 0)
		return false;
	access_set(fd, w.domain, way->stores ? XENMEM_access_r : XENMEM_access_n, PAGE_GFN, 1);
	slot->polls = polls;
	if (polls)
		stay(true);
	w.cmd[0]->a[3] = 1;
	worker_begin(&w, 0, way->stores ? OP_SCRIBBLE : OP_READ32_LOOP, PAGE, 0, EVENTS);
	for (i = 0; i < EVENTS && idle < (polls ? 1U << 30 : 1000);) {
		vm_event_response_t *answer = (void *)slot->message;

		if (*(volatile uint32_t *)&slot->state != OXEN_SLOT_EVENT) {
			if (polls) {
				__builtin_ia32_pause();
				idle++;
				continue;
			}
			rc = next_port(evtchn, 5);
			if (rc > 0)
				unmask(evtchn, rc);
			else
				idle++;
			continue;
		}
		if (!i)
			began = tap_now();
		times[i++] = rdtsc();
		if (i == EVENTS)
			ended = tap_now();
		__sync_synchronize();
		if (way->skips) {
			answer->flags |= VM_EVENT_FLAG_SET_REGISTERS;
			answer->data.regs.x86.rip += 3;
		} else {
			answer->flags |= VM_EVENT_FLAG_EMULATE;
		}
		__sync_synchronize();
		*(volatile uint32_t *)&slot->state = OXEN_SLOT_ANSWER;
		__sync_synchronize();
		if (*(volatile uint32_t *)&slot->waits) {
			notify(evtchn, port);
			told++;
		}
	}
	stay(false);
	vm_event_op(fd, w.domain, XEN_VM_EVENT_DISABLE, OXEN_VM_EVENT_SLOTS, NULL);
	munmap(slot, PAGE_SIZE);
	close(evtchn);
	if (i == EVENTS)
		tell(way->name, times, EVENTS, ended - began);
	if (polls)
		tap_note("%u of %u answers had to be told", told, i);
	return i == EVENTS && worker_wait(&w, 0, 5000);
}

/* Gives a page back that the guest writes. */
static void give_back(struct monitor *m, const vm_event_request_t *event,
		      vm_event_response_t *answer)
{
	(void)answer;
	access_set(m->privcmd, m->domain, XENMEM_access_rwx, event->u.mem_access.gfn, 1);
}

/* Returns how long the guest works on its pages, or 0 if it does not end. */
static uint64_t work(void)
{
	uint64_t start = rdtsc();
	unsigned int i;

	for (i = 0; i < WORKER_DATA_PAGES; i++) {
		struct worker_cmd *cmd = w.cmd[0];

		cmd->a[3] = i + 1;
		if (worker_do(&w, 0, OP_SCRIBBLE, DATA(i * PAGE_SIZE), 0, STORES) == WORKER_LOST)
			return 0;
	}
	return rdtsc() - start;
}

/* What a guest's work takes alone, with a monitor that hears nothing, and with each page's first write reported. */
static bool by_work(void)
{
	uint64_t alone = work(), present, watched;
	struct monitor m;

	monitor_start(&m, &w);
	m.act = give_back;
	monitor_serve(&m);
	present = work();
	access_set(fd, w.domain, XENMEM_access_r, WORKER_DATA_GFN, WORKER_DATA_PAGES);
	watched = work();
	monitor_end(&m);
	if (!alone || !present || !watched)
		return false;
	tap_note("%u stores to each of %u pages: %llu alone, %llu with a monitor, "
		 "%llu with %u writes reported",
		 STORES, WORKER_DATA_PAGES, (unsigned long long)alone, (unsigned long long)present,
		 (unsigned long long)watched, m.events);
	return m.events == WORKER_DATA_PAGES;
}

int main(void)
{
	static const struct way ways[] = {
		{ "slots", false, false, false },
		{ "slots that both look at", true, false, false },
		{ "the same, a store that is emulated", true, true, false },
		{ "the same, a store that is skipped", true, true, true },
	};
	unsigned int i;

	tap_plan(7);
	fd = xen_open("privcmd");
	worker_start(&w, fd, 1, 32);
	tap(by_ring(), "events through a ring");
	for (i = 0; i < sizeof(ways) / sizeof(*ways); i++) {
		if (!ways[i].polls || sysconf(_SC_NPROCESSORS_ONLN) > 1)
			tap(by_slots(&ways[i]), "E-10 events through %s", ways[i].name);
		else
			tap_skip("there is one processor", "E-10 events through %s",
				 ways[i].name);
	}
	tap(by_work(), "work of which each page's first write is reported");
	tap_equal(worker_end(&w), 0, "the guest ends");
	return tap_end();
}
