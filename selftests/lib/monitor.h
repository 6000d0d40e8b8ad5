/* SPDX-License-Identifier: GPL-2.0-only */
/* Monitors: rights of pages, the ring of events, and which events there are. */
#ifndef SELFTESTS_MONITOR_H
#define SELFTESTS_MONITOR_H

#include <pthread.h>

#include "evtchn.h"
#include "worker.h"
#include <xen/vm_event.h>

/* The frame of the ring; the tests' domains have none there. */
#define RING_GFN 0x3fUL

DEFINE_RING_TYPES(test_event, vm_event_request_t, vm_event_response_t);
#undef xen_mb
#undef xen_rmb
#undef xen_wmb
#define xen_mb() __sync_synchronize()
#define xen_rmb() __sync_synchronize()
#define xen_wmb() __sync_synchronize()

/* A monitor of a guest of workers. */
struct monitor {
	int privcmd, evtchn;
	domid_t domain;
	uint32_t xen_port;
	long port;
	test_event_sring_t *page;
	test_event_back_ring_t ring;
	/* The last event, and how many there were. */
	vm_event_request_t last;
	unsigned int events;
	/* What to do with an event besides letting its vCPU go on. */
	void (*act)(struct monitor *m, const vm_event_request_t *event,
		    vm_event_response_t *answer);
	uint32_t flags;
	pthread_t thread;
	volatile bool stop, running;
};

__attribute__((unused)) static long vm_event_op(int fd, domid_t domain, uint32_t op, uint32_t mode,
						uint32_t *port)
{
	struct xen_domctl domctl = { 0 };
	long rc;

	domctl.u.vm_event_op.op = op;
	domctl.u.vm_event_op.mode = mode;
	rc = xen_domctl(fd, XEN_DOMCTL_vm_event_op, domain, &domctl);
	if (port)
		*port = domctl.u.vm_event_op.u.enable.port;
	return rc;
}

__attribute__((unused)) static long ring_op(int fd, domid_t domain, uint32_t op)
{
	return vm_event_op(fd, domain, op, XEN_DOMCTL_VM_EVENT_OP_MONITOR, NULL);
}

/* Sets rights of frames; first ~0 is the default. */
__attribute__((unused)) static long access_set(int fd, domid_t domain, uint8_t access,
					       uint64_t first, uint32_t count)
{
	struct xen_mem_access_op op = {
		.op = XENMEM_access_op_set_access, .access = access, .domid = domain,
		.nr = count, .pfn = first,
	};

	return xen_call2(fd, __HYPERVISOR_memory_op, XENMEM_access_op, &op);
}

/* Returns the rights of a frame, or a negative error number. */
__attribute__((unused)) static long access_get(int fd, domid_t domain, uint64_t frame)
{
	struct xen_mem_access_op op = {
		.op = XENMEM_access_op_get_access, .access = 0xee, .domid = domain, .pfn = frame,
	};
	long rc = xen_call2(fd, __HYPERVISOR_memory_op, XENMEM_access_op, &op);

	return rc < 0 ? rc : op.access;
}

__attribute__((unused)) static long access_list(int fd, domid_t domain, const uint64_t *frames,
						const uint8_t *access, uint32_t count)
{
	struct xen_mem_access_op op = {
		.op = XENMEM_access_op_set_access_multi, .domid = domain, .nr = count,
	};

	set_xen_guest_handle(op.pfn_list, frames);
	set_xen_guest_handle(op.access_list, access);
	return xen_call2(fd, __HYPERVISOR_memory_op, XENMEM_access_op, &op);
}

/* Switches an event; what else there is to say of it is in the structure already. */
__attribute__((unused)) static long monitor_op(int fd, domid_t domain, uint32_t op, uint32_t event,
					       struct xen_domctl *domctl)
{
	struct xen_domctl none = { 0 };

	if (!domctl)
		domctl = &none;
	domctl->u.monitor_op.op = op;
	domctl->u.monitor_op.event = event;
	return xen_domctl(fd, XEN_DOMCTL_monitor_op, domain, domctl);
}

__attribute__((unused)) static long event_on(int fd, domid_t domain, uint32_t event)
{
	return monitor_op(fd, domain, XEN_DOMCTL_MONITOR_OP_ENABLE, event, NULL);
}

__attribute__((unused)) static long event_off(int fd, domid_t domain, uint32_t event)
{
	return monitor_op(fd, domain, XEN_DOMCTL_MONITOR_OP_DISABLE, event, NULL);
}

__attribute__((unused)) static long access_required(int fd, domid_t domain, uint8_t required)
{
	struct xen_domctl domctl = { 0 };

	domctl.u.access_required.access_required = required;
	return xen_domctl(fd, XEN_DOMCTL_set_access_required, domain, &domctl);
}

/* Sets a page aside for a ring, as the tools that build domains do. */
__attribute__((unused)) static long monitor_page(struct monitor *m, const struct worker *w)
{
	xen_pfn_t frame = RING_GFN;
	long rc = xen_set_param(w->fd, w->domain, HVM_PARAM_MONITOR_RING_PFN, RING_GFN);

	m->privcmd = w->fd;
	m->domain = w->domain;
	if (rc)
		return rc;
	m->page = xen_map(w->fd, w->domain, &frame, 1);
	return m->page ? 0 : -EFAULT;
}

/* Makes the ring and connects to it. */
__attribute__((unused)) static long monitor_connect(struct monitor *m)
{
	long rc = vm_event_op(m->privcmd, m->domain, XEN_VM_EVENT_ENABLE,
			      XEN_DOMCTL_VM_EVENT_OP_MONITOR, &m->xen_port);

	if (rc)
		return rc;
	SHARED_RING_INIT(m->page);
	BACK_RING_INIT(&m->ring, m->page, PAGE_SIZE);
	m->evtchn = xen_open("evtchn");
	m->port = bind_interdomain(m->evtchn, m->domain, m->xen_port);
	/* What came before the ring was initialised is told once more. */
	return m->port < 0 ? m->port : notify(m->evtchn, m->port);
}

/* Takes an event; false if there is none. */
__attribute__((unused)) static bool monitor_take(struct monitor *m, vm_event_request_t *event)
{
	if (!RING_HAS_UNCONSUMED_REQUESTS(&m->ring))
		return false;
	RING_COPY_REQUEST(&m->ring, m->ring.req_cons, event);
	m->ring.req_cons++;
	m->ring.sring->req_event = m->ring.req_cons + 1;
	m->last = *event;
	m->events++;
	return true;
}

/* Waits some time for an event. */
__attribute__((unused)) static bool monitor_wait(struct monitor *m, vm_event_request_t *event,
						 unsigned int ms)
{
	unsigned int i;
	long port;

	for (i = 0; i < ms; i += 5) {
		if (monitor_take(m, event))
			return true;
		port = next_port(m->evtchn, 5);
		if (port > 0)
			unmask(m->evtchn, port);
	}
	return monitor_take(m, event);
}

/* Puts an answer in the ring, without telling. */
__attribute__((unused)) static void monitor_put(struct monitor *m,
						const vm_event_response_t *answer)
{
	memcpy(RING_GET_RESPONSE(&m->ring, m->ring.rsp_prod_pvt), answer, sizeof(*answer));
	m->ring.rsp_prod_pvt++;
	RING_PUSH_RESPONSES(&m->ring);
}

/* Answers an event: it goes on, with these flags besides. */
__attribute__((unused)) static void monitor_answer(struct monitor *m,
						   const vm_event_request_t *event, uint32_t flags)
{
	vm_event_response_t answer = *event;

	answer.flags = (event->flags & VM_EVENT_FLAG_VCPU_PAUSED) | flags;
	monitor_put(m, &answer);
	notify(m->evtchn, m->port);
}

__attribute__((unused)) static void *monitor_thread(void *arg)
{
	struct monitor *m = arg;

	m->running = true;
	while (!m->stop) {
		vm_event_request_t event;
		vm_event_response_t answer;

		if (!monitor_wait(m, &event, 20))
			continue;
		answer = event;
		answer.flags = (event.flags & VM_EVENT_FLAG_VCPU_PAUSED) | m->flags;
		if (m->act)
			m->act(m, &event, &answer);
		monitor_put(m, &answer);
		notify(m->evtchn, m->port);
	}
	return NULL;
}

/* Has a thread answer. */
__attribute__((unused)) static void monitor_serve(struct monitor *m)
{
	m->stop = false;
	pthread_create(&m->thread, NULL, monitor_thread, m);
	while (!m->running)
		usleep(1000);
}

__attribute__((unused)) static void monitor_halt(struct monitor *m)
{
	if (!m->running)
		return;
	m->stop = true;
	pthread_join(m->thread, NULL);
	m->running = false;
}

/* Makes a monitor of a guest. */
__attribute__((unused)) static void monitor_start(struct monitor *m, const struct worker *w)
{
	long rc;

	memset(m, 0, sizeof(*m));
	rc = monitor_page(m, w);
	if (!rc)
		rc = monitor_connect(m);
	if (rc)
		tap_bail("cannot make a monitor: %ld", rc);
}

/* Ends it without a word, as a process does that is killed. */
__attribute__((unused)) static void monitor_die(struct monitor *m)
{
	monitor_halt(m);
	close(m->evtchn);
}

/* Ends it in order. */
__attribute__((unused)) static long monitor_end(struct monitor *m)
{
	long rc = ring_op(m->privcmd, m->domain, XEN_VM_EVENT_DISABLE);

	monitor_die(m);
	munmap(m->page, PAGE_SIZE);
	m->page = NULL;
	return rc;
}

#endif
