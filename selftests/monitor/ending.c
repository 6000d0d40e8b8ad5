// SPDX-License-Identifier: GPL-2.0-only
/*
 * Proves that a guest outlives its monitor, whichever way that ends, that a ring which is full loses nothing, and that
 * a guest which needs a monitor waits for one.
 */

#include <signal.h>
#include <sys/wait.h>

#include "watched.h"
#include <oxen/monitor.h>

static struct monitor m;

/* Where a guest finds a field of its monitor's ring. */
#define IN_RING(field) (RING_GFN * PAGE_SIZE + offsetof(test_event_sring_t, field))

static void refused(void)
{
	uint32_t port;

	tap_equal(vm_event_op(fd, w.domain, XEN_VM_EVENT_GET_VERSION, 0, &port), 0,
		  "the version of events");
	tap_equal(port, VM_EVENT_INTERFACE_VERSION, "is the header's");
	port = 0;
	tap_equal(vm_event_op(fd, DOMID_INVALID, XEN_VM_EVENT_GET_VERSION, 0, &port), 0,
		  "libxc asks for it without a domain");
	tap_equal(port, VM_EVENT_INTERFACE_VERSION, "and gets it");
	port = 0;
	tap_equal(vm_event_op(fd, 0, XEN_VM_EVENT_GET_VERSION, 0, &port), 0, "of the host too");
	tap_equal(port, VM_EVENT_INTERFACE_VERSION, "it is the same");
	tap_equal(vm_event_op(fd, NO_DOMAIN, XEN_VM_EVENT_GET_VERSION, 0, NULL), -ESRCH,
		  "but not of a domain that there is not");
	tap_equal(ring_op(fd, w.domain, XEN_VM_EVENT_ENABLE), -EOPNOTSUPP, "no page was set aside");
	tap_equal(ring_op(fd, w.domain, XEN_VM_EVENT_RESUME), -ENODEV, "no ring");
	tap_equal(ring_op(fd, w.domain, XEN_VM_EVENT_DISABLE), 0, "that there is none is no error");
	xen_set_param(fd, w.domain, HVM_PARAM_MONITOR_RING_PFN, 0x1000);
	tap_equal(ring_op(fd, w.domain, XEN_VM_EVENT_ENABLE), -EINVAL,
		  "no memory where it is to be");
	tap_equal(ring_op(fd, NO_DOMAIN, XEN_VM_EVENT_ENABLE), -ESRCH, "VE-8 no domain");
	tap_equal(ring_op(fd, DOMID_INVALID, XEN_VM_EVENT_ENABLE), -ESRCH,
		  "VE-8 nor one of that name");
	tap_equal(ring_op(fd, 0, XEN_VM_EVENT_ENABLE), -EINVAL, "VE-9 nor the host");
	tap_equal(vm_event_op(fd, w.domain, XEN_VM_EVENT_ENABLE, XEN_DOMCTL_VM_EVENT_OP_PAGING,
			      NULL), -ENOSYS, "no paging");
	tap_equal(vm_event_op(fd, w.domain, XEN_VM_EVENT_ENABLE, XEN_DOMCTL_VM_EVENT_OP_SHARING,
			      NULL), -ENOSYS, "no sharing");
	tap_equal(ring_op(fd, w.domain, 9), -ENOSYS, "no such operation");
}

/* E-9: a monitor that closes its channel, with a vCPU waiting. */
static void dies(void)
{
	vm_event_request_t event;

	monitor_start(&m, &w);
	tap_equal(ring_op(fd, w.domain, XEN_VM_EVENT_ENABLE), -EBUSY, "VE-7 there is one monitor");
	give(XENMEM_access_r);
	worker_begin(&w, 0, OP_WRITE32, PAGE, 0x77, 0);
	tap(monitor_wait(&m, &event, 5000), "a vCPU waits for its monitor");
	monitor_die(&m);
	tap(worker_wait(&w, 0, 5000) && *page() == 0x77, "E-9 which ends, and the vCPU goes on");
	monitor_start(&m, &w);
	tap(m.page != NULL, "the next monitor takes its place");
	tap_equal(access_get(fd, w.domain, PAGE_GFN), XENMEM_access_rwx,
		  "and finds that the page was let go of");
	give(XENMEM_access_r);
	worker_begin(&w, 0, OP_WRITE32, PAGE, 0x78, 0);
	tap(monitor_wait(&m, &event, 5000), "a vCPU waits for it");
	tap_equal(monitor_end(&m), 0, "E-9 its ring is taken away");
	tap(worker_wait(&w, 0, 5000) && *page() == 0x78, "E-9 and the vCPU goes on");
}

/* The same of a process that is killed. */
static void killed(void)
{
	unsigned int round, good = 0;

	for (round = 0; round < 5; round++) {
		int ready[2], status;
		char byte;
		pid_t child;

		if (pipe(ready))
			tap_bail("no pipe");
		child = fork();
		if (!child) {
			struct monitor own = { 0 };

			if (monitor_page(&own, &w) || monitor_connect(&own) ||
			    access_set(fd, w.domain, XENMEM_access_n, WORKER_DATA_GFN, 16) ||
			    write(ready[1], "", 1) != 1)
				_exit(1);
			for (;;)
				pause();
		}
		close(ready[1]);
		if (read(ready[0], &byte, 1) == 1) {
			worker_begin(&w, 0, OP_WRITE32, PAGE, 100 + round, 0);
			worker_begin(&w, 1, OP_READ32, PAGE + PAGE_SIZE, 0, 0);
			usleep(300000);
		}
		close(ready[0]);
		kill(child, SIGKILL);
		if (waitpid(child, &status, 0) != child || !WIFSIGNALED(status))
			continue;
		good += worker_wait(&w, 0, 10000) && worker_wait(&w, 1, 10000) &&
			*page() == 100 + round;
	}
	tap_equal(good, 5, "E-9 a guest outlives monitors that are killed");
}

/* E-2: more events than the ring has room for. */
static void full(void)
{
	vm_event_request_t event;
	unsigned int i, events = 0, order = 0;

	monitor_start(&m, &w);
	access_set(fd, w.domain, XENMEM_access_n2rwx, WORKER_DATA_GFN, 16);
	memset(w.data, 0, 16 * PAGE_SIZE);
	/* One vCPU, a page after the other: events for which nobody waits. */
	worker_begin(&w, 0, OP_REP_MOVSB, DATA(0), DATA(8 * PAGE_SIZE), 8 * PAGE_SIZE);
	tap(!worker_wait(&w, 0, 1000) || m.ring.sring->req_prod <= 8, "events fill the ring");
	for (i = 0; i < 15; i++)
		access_set(fd, w.domain, XENMEM_access_n2rwx, WORKER_DATA_GFN + i, 1);
	worker_wait(&w, 0, 2000);
	tap(!worker_wait(&w, 0, 100), "E-2 a vCPU whose event has no room waits");
	tap_equal(m.ring.sring->req_prod, 8, "with the ring full");
	m.flags = 0;
	while (events < 200 && monitor_wait(&m, &event, worker_wait(&w, 0, 10) ? 100 : 5000)) {
		order += event.u.mem_access.gfn < WORKER_DATA_GFN ||
			 event.u.mem_access.gfn >= WORKER_DATA_GFN + 16;
		monitor_answer(&m, &event, 0);
		events++;
	}
	tap(worker_wait(&w, 0, 5000), "E-2 and goes on when there is room");
	tap(events > 8, "E-2 no event is lost: there were %u", events);
	tap_equal(order, 0, "and none is of another page");
	tap_equal(monitor_end(&m), 0, "the monitor ends");
}

/* A guest that may not do without a monitor. */
static void required(void)
{
	vm_event_request_t event;

	monitor_start(&m, &w);
	tap_equal(access_required(fd, w.domain, 1), 0, "a monitor is required");
	give(XENMEM_access_r);
	*page() = 1;
	worker_begin(&w, 0, OP_WRITE32, PAGE, 2, 0);
	tap(monitor_wait(&m, &event, 5000), "a vCPU waits for it");
	monitor_die(&m);
	tap(!worker_wait(&w, 0, 300) && *page() == 1,
	    "E-2 it ends, and the vCPU waits for the next");
	tap(worker_do(&w, 1, OP_READ32, PAGE, 0, 0) == 1, "others go on where they may");
	monitor_start(&m, &w);
	tap_equal(access_get(fd, w.domain, PAGE_GFN), XENMEM_access_r,
		  "the rights are as they were");
	tap(monitor_wait(&m, &event, 5000), "E-2 which is told");
	give(XENMEM_access_rwx);
	monitor_answer(&m, &event, 0);
	tap(worker_wait(&w, 0, 5000) && *page() == 2, "and lets the vCPU go on");
	give(XENMEM_access_r);
	worker_begin(&w, 0, OP_WRITE32, PAGE, 3, 0);
	tap(monitor_wait(&m, &event, 5000), "once more");
	monitor_end(&m);
	tap(!worker_wait(&w, 0, 300), "E-2 without a ring it waits as well");
	tap_equal(access_required(fd, w.domain, 0), 0, "no monitor is required any more");
	tap(worker_wait(&w, 0, 5000) && *page() == 3, "E-9 and it goes on");
}

/*
 * E-9: xen-access is killed and started again. It leaves pages without rights, so that a vCPU may be the first to use
 * the next ring: before that is bound to, and initialised only then. There is no second event to make up for it.
 */
static void restarted(void)
{
	vm_event_request_t event;
	unsigned int i, rest;

	for (rest = 0; rest < 3; rest++) {
		struct xen_domctl domctl = { 0 };

		monitor_start(&m, &w);
		give(XENMEM_access_r);
		*page() = 1;
		monitor_die(&m);
		if (vm_event_op(fd, w.domain, XEN_VM_EVENT_ENABLE, XEN_DOMCTL_VM_EVENT_OP_MONITOR,
				&m.xen_port))
			tap_bail("no ring");
		worker_begin(&w, 0, OP_WRITE32, PAGE, 2, 0);
		for (i = 0; i < 5000 && !*(volatile RING_IDX *)&m.page->req_prod; i++)
			usleep(1000);
		tap(!worker_wait(&w, 0, 50) && m.page->req_prod == 1,
		    "a vCPU asks a monitor that has not bound to its port yet");
		m.evtchn = xen_open("evtchn");
		m.port = bind_interdomain(m.evtchn, w.domain, m.xen_port);
		SHARED_RING_INIT(m.page);
		BACK_RING_INIT(&m.ring, m.page, PAGE_SIZE);
		/* What a monitor does next, in one of the ways there are. */
		if (rest == 0)
			access_required(fd, w.domain, 0);
		else if (rest == 1)
			monitor_op(fd, w.domain, XEN_DOMCTL_MONITOR_OP_GET_CAPABILITIES, 0,
				   &domctl);
		else
			access_set(fd, w.domain, XENMEM_access_r, PAGE_GFN, 1);
		tap(monitor_wait(&m, &event, 2000), "E-9 and is heard when that begins");
		give(XENMEM_access_rwx);
		monitor_answer(&m, &event, 0);
		tap(worker_wait(&w, 0, 5000) && *page() == 2, "E-9 and goes on with its answer");
		monitor_end(&m);
		worker_wait(&w, 0, 5000);
	}
}

/* Single steps that a monitor has asked for end with it, also if the next one is there before the vCPU has looked. */
static void stepping(void)
{
	vm_event_request_t event;
	bool good;

	monitor_start(&m, &w);
	event_on(fd, w.domain, XEN_DOMCTL_MONITOR_EVENT_SINGLESTEP);
	give(XENMEM_access_r);
	worker_begin(&w, 0, OP_WRITE32, PAGE, 5, 0);
	good = monitor_wait(&m, &event, 5000);
	give(XENMEM_access_rwx);
	monitor_answer(&m, &event, VM_EVENT_FLAG_TOGGLE_SINGLESTEP);
	tap(good && monitor_wait(&m, &event, 5000) && event.reason == VM_EVENT_REASON_SINGLESTEP,
	    "a monitor has a vCPU make single steps");
	domain_pause(fd, w.domain);
	monitor_die(&m);
	monitor_connect(&m);
	event_on(fd, w.domain, XEN_DOMCTL_MONITOR_EVENT_SINGLESTEP);
	domain_unpause(fd, w.domain);
	tap(worker_wait(&w, 0, 5000) && *page() == 5, "E-9 it ends, and the vCPU runs");
	tap(!monitor_wait(&m, &event, 100), "E-9 the next monitor has asked for none");
	monitor_end(&m);
}

/* VE-2: what the guest writes into the page of a ring before there is one, and after the tools have taken it away. */
static void forged(void)
{
	struct xen_memory_reservation what = { .nr_extents = 1, .domid = w.domain };
	xen_pfn_t frame = RING_GFN;
	vm_event_request_t event;
	vm_event_response_t answer = { .version = VM_EVENT_INTERFACE_VERSION };
	unsigned int i;

	answer.flags = VM_EVENT_FLAG_VCPU_PAUSED | VM_EVENT_FLAG_EMULATE;
	answer.reason = VM_EVENT_REASON_MEM_ACCESS;
	memset(&m, 0, sizeof(m));
	monitor_page(&m, &w);
	BACK_RING_INIT(&m.ring, m.page, PAGE_SIZE);
	for (i = 0; i < 8; i++)
		memcpy(RING_GET_RESPONSE(&m.ring, i), &answer, sizeof(answer));
	/* The guest itself says that one is there. */
	worker_do(&w, 0, OP_WRITE32, IN_RING(rsp_prod), 1, 0);
	tap_equal(m.page->rsp_prod, 1, "a guest has prepared an answer");
	vm_event_op(fd, w.domain, XEN_VM_EVENT_ENABLE, XEN_DOMCTL_VM_EVENT_OP_MONITOR, &m.xen_port);
	give(XENMEM_access_r);
	*page() = 1;
	worker_begin(&w, 0, OP_WRITE32, PAGE, 2, 0);
	for (i = 0; i < 5000 && !*(volatile RING_IDX *)&m.page->req_prod; i++)
		usleep(1000);
	ring_op(fd, w.domain, XEN_VM_EVENT_RESUME);
	tap(!worker_wait(&w, 0, 300) && *page() == 1, "VE-2 which is none to a ring made there");
	ring_op(fd, w.domain, XEN_VM_EVENT_DISABLE);
	worker_wait(&w, 0, 5000);

	if (monitor_connect(&m))
		tap_bail("no monitor");
	set_xen_guest_handle(what.extent_start, &frame);
	tap_equal(xen_call2(fd, __HYPERVISOR_memory_op, XENMEM_decrease_reservation, &what), 1,
		  "the page is taken from the guest, as libxc does");
	give(XENMEM_access_r);
	*page() = 1;
	worker_begin(&w, 0, OP_WRITE32, PAGE, 2, 0);
	tap(monitor_wait(&m, &event, 5000), "the ring is what it was");
	for (i = 0; i < 8; i++)
		memcpy(RING_GET_RESPONSE(&m.ring, i), &answer, sizeof(answer));
	worker_do(&w, 1, OP_WRITE32, IN_RING(rsp_prod), 1, 0);
	tap_equal(m.page->rsp_prod, 0, "VE-2 what the guest writes there does not reach it");
	ring_op(fd, w.domain, XEN_VM_EVENT_RESUME);
	tap(!worker_wait(&w, 0, 300) && *page() == 1, "VE-2 and its vCPU waits");
	give(XENMEM_access_rwx);
	monitor_answer(&m, &event, 0);
	tap(worker_wait(&w, 0, 5000) && *page() == 2, "for the answer of the monitor");
	monitor_end(&m);
	tap_equal(domain_populate(fd, w.domain, RING_GFN, 1), 1, "the page is given back");
}

/* Makes rings and slots and takes them away, as fast as it can. */
static void *meddle(void *arg)
{
	volatile bool *stop = arg;
	uint32_t mode = XEN_DOMCTL_VM_EVENT_OP_MONITOR;

	while (!*stop) {
		vm_event_op(fd, w.domain, XEN_VM_EVENT_ENABLE, mode, NULL);
		event_on(fd, w.domain, XEN_DOMCTL_MONITOR_EVENT_SINGLESTEP);
		vm_event_op(fd, w.domain, XEN_VM_EVENT_RESUME, mode, NULL);
		vm_event_op(fd, w.domain, XEN_VM_EVENT_DISABLE, mode, NULL);
		mode ^= XEN_DOMCTL_VM_EVENT_OP_MONITOR ^ OXEN_VM_EVENT_SLOTS;
	}
	return NULL;
}

/* Monitors that come and go, two threads of them, while both vCPUs do what is to be reported. */
static void meddled(void)
{
	volatile bool stop = false;
	pthread_t threads[2];
	unsigned int i, done = 0;

	xen_set_param(fd, w.domain, HVM_PARAM_MONITOR_RING_PFN, RING_GFN);
	for (i = 0; i < 2; i++)
		pthread_create(&threads[i], NULL, meddle, (void *)&stop);
	for (i = 1; i <= 200; i++) {
		access_set(fd, w.domain, XENMEM_access_r, PAGE_GFN, 2);
		worker_begin(&w, 0, OP_WRITE32, PAGE, i, 0);
		worker_begin(&w, 1, OP_WRITE32, PAGE + PAGE_SIZE, i, 0);
		done += worker_wait(&w, 0, 5000) && worker_wait(&w, 1, 5000) && *page() == i &&
			page()[PAGE_SIZE / 4] == i;
	}
	stop = true;
	for (i = 0; i < 2; i++)
		pthread_join(threads[i], NULL);
	tap_equal(done, 200, "VE-12 monitors come and go, and no vCPU is lost");
	ring_op(fd, w.domain, XEN_VM_EVENT_DISABLE);
	monitor_start(&m, &w);
	tap_equal(monitor_end(&m), 0, "and there can be one");
}

/* A guest that is stopped, looked at and destroyed while it waits. */
static void disturbed(void)
{
	static struct saved_state state;
	vm_event_request_t event;
	unsigned int i;

	monitor_start(&m, &w);
	give(XENMEM_access_r);
	worker_begin(&w, 0, OP_WRITE32, PAGE, 4, 0);
	tap(monitor_wait(&m, &event, 5000), "a vCPU waits");
	for (i = 0; i < 20; i++) {
		domain_pause(fd, w.domain);
		domain_unpause(fd, w.domain);
	}
	domain_pause(fd, w.domain);
	tap_equal(domain_save(fd, w.domain, &state), 0, "its state can be had");
	domain_unpause(fd, w.domain);
	tap(!worker_wait(&w, 0, 100), "it still waits");
	give(XENMEM_access_rwx);
	monitor_answer(&m, &event, 0);
	tap(worker_wait(&w, 0, 5000) && *page() == 4, "and goes on with the answer");
	give(XENMEM_access_r);
	worker_begin(&w, 0, OP_WRITE32, PAGE, 5, 0);
	tap(monitor_wait(&m, &event, 5000), "a vCPU waits");
	tap_equal(worker_end(&w), 0, "and is destroyed");
	tap_equal(ring_op(fd, w.domain, XEN_VM_EVENT_DISABLE), -ESRCH, "with its ring");
	monitor_answer(&m, &event, 0);
	monitor_die(&m);
}

int main(void)
{
	tap_plan(0);
	fd = xen_open("privcmd");
	worker_start(&w, fd, 2, 32);
	refused();
	dies();
	killed();
	full();
	required();
	restarted();
	stepping();
	forged();
	meddled();
	disturbed();
	return tap_end();
}
