// SPDX-License-Identifier: GPL-2.0-only
/* E-10: proves that events pass through slots, a page and an event channel for each vCPU, as through a ring. */

#include "ioreq.h"
#include "watched.h"
#include <oxen/monitor.h>
#include <time.h>

#define VCPUS 2
/* Events of a monitor that looks. */
#define LOOKS 200U

struct slots {
	struct oxen_monitor_slot *slot[VCPUS];
	int evtchn;
	long port[VCPUS];
};

static long slots_op(uint32_t op)
{
	return vm_event_op(fd, w.domain, op, OXEN_VM_EVENT_SLOTS, NULL);
}

static void connect_slots(struct slots *s)
{
	unsigned int i;
	long rc;

	s->evtchn = xen_open("evtchn");
	for (i = 0; i < VCPUS; i++) {
		s->slot[i] = resource_map(fd, w.domain, OXEN_RESOURCE_MONITOR_SLOTS, 0, i, 1, &rc);
		if (!s->slot[i])
			tap_bail("cannot map slot %u: %ld", i, rc);
		s->port[i] = bind_interdomain(s->evtchn, w.domain, s->slot[i]->port);
		if (s->port[i] < 0)
			tap_bail("cannot bind to its port: %ld", s->port[i]);
	}
}

static void start(struct slots *s)
{
	long rc = slots_op(XEN_VM_EVENT_ENABLE);

	memset(s, 0, sizeof(*s));
	if (rc)
		tap_bail("no slots: %ld", rc);
	connect_slots(s);
}

static void die(struct slots *s)
{
	unsigned int i;

	for (i = 0; i < VCPUS; i++)
		munmap(s->slot[i], PAGE_SIZE);
	close(s->evtchn);
}

/* Waits for the event of a vCPU; its message, or NULL. */
static vm_event_request_t *event_of(struct slots *s, unsigned int vcpu, unsigned int ms)
{
	volatile uint32_t *state = &s->slot[vcpu]->state;
	unsigned int i;
	long port;

	for (i = 0; i <= ms; i += 5) {
		if (*state == OXEN_SLOT_EVENT) {
			__sync_synchronize();
			return (void *)s->slot[vcpu]->message;
		}
		port = next_port(s->evtchn, 5);
		if (port > 0)
			unmask(s->evtchn, port);
	}
	return NULL;
}

static void answer(struct slots *s, unsigned int vcpu, uint32_t flags)
{
	vm_event_response_t *answer = (void *)s->slot[vcpu]->message;

	answer->flags = (answer->flags & VM_EVENT_FLAG_VCPU_PAUSED) | flags;
	__sync_synchronize();
	*(volatile uint32_t *)&s->slot[vcpu]->state = OXEN_SLOT_ANSWER;
	notify(s->evtchn, s->port[vcpu]);
}

/* Waits for the event of vCPU 0 without sleeping. */
static bool spin(struct slots *s)
{
	volatile uint32_t *state = &s->slot[0]->state;
	time_t end = time(NULL) + 20;

	while (*state != OXEN_SLOT_EVENT) {
		if (time(NULL) > end)
			return false;
		__builtin_ia32_pause();
	}
	__sync_synchronize();
	return true;
}

/* Answers it, and tells only if that is wanted; returns whether it was. */
static bool answer_silently(struct slots *s)
{
	vm_event_response_t *answer = (void *)s->slot[0]->message;
	bool tell;

	answer->flags = (answer->flags & VM_EVENT_FLAG_VCPU_PAUSED) | VM_EVENT_FLAG_EMULATE;
	__sync_synchronize();
	*(volatile uint32_t *)&s->slot[0]->state = OXEN_SLOT_ANSWER;
	__sync_synchronize();
	tell = *(volatile uint32_t *)&s->slot[0]->waits;
	if (tell)
		notify(s->evtchn, s->port[0]);
	return tell;
}

/* A monitor that looks at a slot all the time. */
static void looked_at(struct slots *s)
{
	volatile uint32_t *polls = &s->slot[0]->polls;
	unsigned int i, told = 0;
	long port;

	while ((port = next_port(s->evtchn, 5)) > 0)
		unmask(s->evtchn, port);
	tap_equal(s->slot[0]->waits, 1, "a monitor that does not look has to tell of answers");
	give(XENMEM_access_n);
	*polls = 1;
	worker_begin(&w, 0, OP_READ32, PAGE, 0, 0);
	tap(spin(s), "E-10 a monitor that looks finds an event");
	tap(next_port(s->evtchn, 200) <= 0, "E-10 of which it is not told");
	tap_equal(s->slot[0]->waits, 1, "E-10 a vCPU does not look for long");
	tap(answer_silently(s) && worker_wait(&w, 0, 5000), "but is told of the answer");

	worker_begin(&w, 0, OP_READ32_LOOP, PAGE, 0, LOOKS);
	for (i = 0; i < LOOKS && spin(s); i++)
		told += answer_silently(s);
	tap(i == LOOKS && worker_wait(&w, 0, 5000), "E-10 %u events by looking, %u answers told", i,
	    told);
	tap(next_port(s->evtchn, 50) <= 0, "no event came through the channel");

	*polls = 0;
	worker_begin(&w, 0, OP_READ32, PAGE, 0, 0);
	tap(next_port(s->evtchn, 5000) == s->port[0], "who looks no more is told again");
	unmask(s->evtchn, s->port[0]);
	tap(event_of(s, 0, 5000), "of the next event");
	answer(s, 0, VM_EVENT_FLAG_EMULATE);
	tap(worker_wait(&w, 0, 5000), "and the vCPU goes on");

	/* While a vCPU looks, or sleeps because nobody has answered, it can be ended. */
	*polls = 1;
	worker_begin(&w, 0, OP_READ32, PAGE, 0, 0);
	tap(spin(s), "another event");
	tap_equal(domain_pause(fd, w.domain), 0,
		  "its vCPU can be paused");
	tap_equal(domain_unpause(fd, w.domain), 0, "and go on");
	answer_silently(s);
	tap(worker_wait(&w, 0, 5000), "to its answer");
	*polls = 0;
	give(XENMEM_access_rwx);
}

static void refused(void)
{
	tap_equal(resource_size(fd, w.domain, OXEN_RESOURCE_MONITOR_SLOTS, 0), -EINVAL,
		  "there are no slots");
	tap_equal(slots_op(XEN_VM_EVENT_RESUME), -ENODEV, "and nothing to resume");
	tap_equal(slots_op(XEN_VM_EVENT_ENABLE), 0, "E-10 slots are made");
	tap_equal(slots_op(XEN_VM_EVENT_ENABLE), -EBUSY, "once");
	tap_equal(resource_size(fd, w.domain, OXEN_RESOURCE_MONITOR_SLOTS, 0), VCPUS,
		  "one for each vCPU");
	tap_equal(resource_size(fd, w.domain, OXEN_RESOURCE_MONITOR_SLOTS, 1), -EINVAL,
		  "of which there is one set");
	xen_set_param(fd, w.domain, HVM_PARAM_MONITOR_RING_PFN, RING_GFN);
	tap_equal(ring_op(fd, w.domain, XEN_VM_EVENT_ENABLE), -EBUSY, "and no ring beside them");
	tap_equal(slots_op(XEN_VM_EVENT_DISABLE), 0, "they are taken away");
	tap_equal(ring_op(fd, w.domain, XEN_VM_EVENT_ENABLE), 0, "now there can be a ring");
	tap_equal(slots_op(XEN_VM_EVENT_ENABLE), -EBUSY, "and no slots beside it");
	tap_equal(ring_op(fd, w.domain, XEN_VM_EVENT_DISABLE), 0, "it is taken away");
}

static void passed(void)
{
	vm_event_request_t *one, *two;
	struct slots s;

	start(&s);
	give(XENMEM_access_r);
	*page() = 0;
	worker_begin(&w, 0, OP_WRITE32, PAGE, 7, 0);
	worker_begin(&w, 1, OP_WRITE32, PAGE + 4, 8, 0);
	one = event_of(&s, 0, 5000);
	two = event_of(&s, 1, 5000);
	if (!tap(one && two, "E-10 each vCPU has an event in its slot"))
		return;
	tap(one->version == 7 && one->reason == VM_EVENT_REASON_MEM_ACCESS && !one->vcpu_id &&
	    one->u.mem_access.gla == PAGE && two->vcpu_id == 1 &&
	    two->u.mem_access.gla == PAGE + 4, "which says what it is");
	answer(&s, 1, VM_EVENT_FLAG_EMULATE);
	tap(worker_wait(&w, 1, 5000) && page()[1] == 8, "E-10 one is answered");
	tap(!worker_wait(&w, 0, 50) && !page()[0], "and the other one still waits");
	answer(&s, 0, VM_EVENT_FLAG_EMULATE);
	tap(worker_wait(&w, 0, 5000) && page()[0] == 7, "until it is too");
	tap_equal(s.slot[0]->state, OXEN_SLOT_IDLE, "its slot is idle then");

	/* Events for which nobody waits. */
	access_set(fd, w.domain, XENMEM_access_n2rwx, PAGE_GFN, 2);
	worker_begin(&w, 0, OP_REP_MOVSB, PAGE, PAGE + PAGE_SIZE, 1);
	one = event_of(&s, 0, 5000);
	tap(one && !(one->flags & VM_EVENT_FLAG_VCPU_PAUSED), "an event for which nobody waits");
	tap(!worker_wait(&w, 0, 100), "E-10 the next one waits for the slot");
	answer(&s, 0, 0);
	tap(event_of(&s, 0, 5000), "and comes when it is idle");
	answer(&s, 0, 0);
	tap(worker_wait(&w, 0, 5000), "the vCPU goes on");

	/* An answer of which nobody is told but by hypercall. */
	give(XENMEM_access_n);
	worker_begin(&w, 0, OP_READ32, PAGE, 0, 0);
	if (event_of(&s, 0, 5000)) {
		give(XENMEM_access_rwx);
		__sync_synchronize();
		*(volatile uint32_t *)&s.slot[0]->state = OXEN_SLOT_ANSWER;
		tap_equal(slots_op(XEN_VM_EVENT_RESUME), 0, "answers are taken by hypercall");
		tap(worker_wait(&w, 0, 5000), "and the vCPU goes on");
	}

	looked_at(&s);

	/* A monitor that writes what it likes. */
	*(volatile uint32_t *)&s.slot[0]->state = 99;
	*(volatile uint32_t *)&s.slot[1]->state = OXEN_SLOT_ANSWER;
	memset(s.slot[1]->message, 0xff, sizeof(s.slot[1]->message));
	notify(s.evtchn, s.port[0]);
	notify(s.evtchn, s.port[1]);
	tap(worker_do(&w, 0, OP_READ32, PAGE, 0, 0) != WORKER_LOST &&
	    worker_do(&w, 1, OP_READ32, PAGE, 0, 0) != WORKER_LOST,
	    "nonsense in a slot is nothing");

	give(XENMEM_access_r);
	worker_begin(&w, 0, OP_WRITE32, PAGE, 9, 0);
	tap(event_of(&s, 0, 5000), "a vCPU waits");
	unbind(s.evtchn, s.port[1]);
	tap(worker_wait(&w, 0, 5000) && page()[0] == 9,
	    "E-9 a monitor that lets go of a channel has ended, and the vCPU goes on");
	die(&s);
	start(&s);
	give(XENMEM_access_r);
	worker_begin(&w, 0, OP_WRITE32, PAGE, 10, 0);
	tap(event_of(&s, 0, 5000), "the next one takes its place");
	tap_equal(slots_op(XEN_VM_EVENT_DISABLE), 0, "E-9 slots are taken away");
	tap(worker_wait(&w, 0, 5000) && page()[0] == 10, "and the vCPU goes on");
	/* What was mapped stays mapped, and is nobody's. */
	s.slot[0]->state = OXEN_SLOT_ANSWER;
	die(&s);
}

int main(void)
{
	tap_plan(0);
	fd = xen_open("privcmd");
	worker_start(&w, fd, VCPUS, 32);
	refused();
	passed();
	tap_equal(worker_end(&w), 0, "the guest ends");
	return tap_end();
}
