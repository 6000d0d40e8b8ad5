/* SPDX-License-Identifier: GPL-2.0-only */
/* I/O request servers: operations of device models, their pages, and a thread that serves. */
#ifndef SELFTESTS_IOREQ_H
#define SELFTESTS_IOREQ_H

#include <poll.h>
#include <pthread.h>

#include "evtchn.h"
#include "worker.h"
#include <xen/hvm/ioreq.h>

/* A device model operation, with up to one more buffer. */
__attribute__((unused)) static long dm_op2(int fd, domid_t domain, struct xen_dm_op *op,
					   size_t size, void *more,
					   size_t more_size)
{
	privcmd_dm_op_buf_t buffers[2] = { { op, size }, { more, more_size } };
	privcmd_dm_op_t ask = { .dom = domain, .num = more ? 2 : 1, .ubufs = buffers };

	return xen_ioctl(fd, IOCTL_PRIVCMD_DM_OP, &ask);
}

#define dm_op1(fd, domain, op) dm_op2(fd, domain, op, sizeof(*(op)), NULL, 0)

/* Makes a server; returns its number or a negative error number. */
__attribute__((unused)) static long server_create(int fd, domid_t domain, uint8_t buffering)
{
	struct xen_dm_op op = { .op = XEN_DMOP_create_ioreq_server };
	long rc;

	op.u.create_ioreq_server.handle_bufioreq = buffering;
	rc = dm_op1(fd, domain, &op);
	return rc < 0 ? rc : op.u.create_ioreq_server.id;
}

__attribute__((unused)) static long server_destroy(int fd, domid_t domain, ioservid_t id)
{
	struct xen_dm_op op = { .op = XEN_DMOP_destroy_ioreq_server };

	op.u.destroy_ioreq_server.id = id;
	return dm_op1(fd, domain, &op);
}

__attribute__((unused)) static long server_enable(int fd, domid_t domain, ioservid_t id, uint8_t on)
{
	struct xen_dm_op op = { .op = XEN_DMOP_set_ioreq_server_state };

	op.u.set_ioreq_server_state.id = id;
	op.u.set_ioreq_server_state.enabled = on;
	return dm_op1(fd, domain, &op);
}

__attribute__((unused)) static long server_range(int fd, domid_t domain, ioservid_t id, bool map,
						 uint32_t type,
						 uint64_t start, uint64_t end)
{
	struct xen_dm_op op = {
		.op =
			map ? XEN_DMOP_map_io_range_to_ioreq_server
			    : XEN_DMOP_unmap_io_range_from_ioreq_server,
	};
	struct xen_dm_op_ioreq_server_range *range = &op.u.map_io_range_to_ioreq_server;

	range->id = id;
	range->type = type;
	range->start = start;
	range->end = end;
	return dm_op1(fd, domain, &op);
}

#define server_map(fd, domain, id, type, start, end) \
	server_range(fd, domain, id, true, type, start, end)
#define server_unmap(fd, domain, id, type, start, end) \
	server_range(fd, domain, id, false, type, start, end)

__attribute__((unused)) static long server_info(int fd, domid_t domain, ioservid_t id,
						uint16_t flags,
						struct xen_dm_op_get_ioreq_server_info *info)
{
	struct xen_dm_op op = { .op = XEN_DMOP_get_ioreq_server_info };
	long rc;

	op.u.get_ioreq_server_info.id = id;
	op.u.get_ioreq_server_info.flags = flags;
	rc = dm_op1(fd, domain, &op);
	if (info)
		*info = op.u.get_ioreq_server_info;
	return rc;
}

/* Maps frames of a resource. Returns NULL with the negative error number in *rc. */
__attribute__((unused)) static void *resource_map(int fd, domid_t domain, uint32_t type,
						  uint32_t id, uint32_t idx,
						  uint64_t num, long *rc)
{
	privcmd_mmap_resource_t ask = { .dom = domain, .type = type, .id = id, .idx = idx,
				       .num = num };
	void *at = mmap(NULL, num * PAGE_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

	if (at == MAP_FAILED) {
		*rc = -errno;
		return NULL;
	}
	ask.addr = A(at);
	*rc = xen_ioctl(fd, IOCTL_PRIVCMD_MMAP_RESOURCE, &ask);
	if (!*rc)
		return at;
	munmap(at, num * PAGE_SIZE);
	return NULL;
}

/* Returns how many frames a resource has, or a negative error number. */
__attribute__((unused)) static long resource_size(int fd, domid_t domain, uint32_t type,
						  uint32_t id)
{
	privcmd_mmap_resource_t ask = { .dom = domain, .type = type, .id = id };
	long rc = xen_ioctl(fd, IOCTL_PRIVCMD_MMAP_RESOURCE, &ask);

	return rc < 0 ? rc : (long)ask.num;
}

/* A device model: a server with its pages and ports, and perhaps a thread that serves it. */
struct model {
	int privcmd, evtchn;
	domid_t domain;
	unsigned int vcpus;
	long id;
	shared_iopage_t *page;
	buffered_iopage_t *buffer;
	uint32_t ports[WORKER_MAX_VCPUS], buffer_port;
	/* What a request is answered; the default answers with the low byte of the address, writes are kept. */
	uint64_t (*answer)(struct model *model, unsigned int vcpu, const ioreq_t *request);
	volatile unsigned int served, buffered;
	volatile uint64_t last_write;
	ioreq_t last;
	pthread_t thread;
	volatile bool stop, running;
};

/* Opens the devices and makes a server that is off. Returns 0 or a negative error number. */
__attribute__((unused)) static long model_make(struct model *m, domid_t domain, unsigned int vcpus,
					       uint8_t buffering)
{
	long rc;

	m->privcmd = xen_open("privcmd");
	m->evtchn = xen_open("evtchn");
	m->domain = domain;
	m->vcpus = vcpus;
	m->id = server_create(m->privcmd, domain, buffering);
	if (m->id < 0)
		return m->id;
	m->page = resource_map(m->privcmd, domain, XENMEM_resource_ioreq_server, m->id, 1, 1, &rc);
	if (m->page && buffering)
		m->buffer = resource_map(m->privcmd, domain, XENMEM_resource_ioreq_server, m->id, 0,
					 1, &rc);
	return rc;
}

/* Switches the server on and connects its ports. */
__attribute__((unused)) static long model_connect(struct model *m)
{
	struct xen_dm_op_get_ioreq_server_info info;
	long rc = server_enable(m->privcmd, m->domain, m->id, 1);
	unsigned int i;

	for (i = 0; i < m->vcpus && rc >= 0; i++) {
		rc = bind_interdomain(m->evtchn, m->domain, m->page->vcpu_ioreq[i].vp_eport);
		m->ports[i] = rc;
	}
	if (rc >= 0 && m->buffer) {
		rc = server_info(m->privcmd, m->domain, m->id, XEN_DMOP_no_gfns, &info);
		if (!rc)
			rc = bind_interdomain(m->evtchn, m->domain, info.bufioreq_port);
		m->buffer_port = rc;
	}
	return rc < 0 ? rc : 0;
}

/* Takes what is buffered; returns how many. */
__attribute__((unused)) static unsigned int model_drain(struct model *m)
{
	volatile uint64_t *pointers = (volatile uint64_t *)m->buffer;
	unsigned int count = 0;

	while (m->buffer) {
		/* Both at once: they may be set back together. */
		uint64_t now = *pointers;
		uint32_t at = now;
		buf_ioreq_t request;
		uint64_t data;

		if (at == now >> 32)
			break;
		__sync_synchronize();
		request = m->buffer->buf_ioreq[at % IOREQ_BUFFER_SLOT_NUM];
		data = request.data;
		if (request.size == 3) {
			unsigned int next = (at + 1) % IOREQ_BUFFER_SLOT_NUM;

			data |= (uint64_t)m->buffer->buf_ioreq[next].data << 32;
		}
		__sync_fetch_and_add(&m->buffer->read_pointer, request.size == 3 ? 2 : 1);
		m->last_write = data;
		count++;
	}
	m->buffered += count;
	return count;
}

/* Begins a request of a vCPU; returns it, or NULL if there is none. */
__attribute__((unused)) static ioreq_t *model_begin(struct model *m, unsigned int vcpu)
{
	ioreq_t *slot = &m->page->vcpu_ioreq[vcpu];
	volatile uint8_t *state = (volatile uint8_t *)slot + 30;
	uint8_t now = *state;

	if ((now & 0xf) != STATE_IOREQ_READY)
		return NULL;
	__sync_synchronize();
	*state = (now & 0xf0) | STATE_IOREQ_INPROCESS;
	return slot;
}

__attribute__((unused)) static void model_end(struct model *m, unsigned int vcpu, uint64_t data)
{
	ioreq_t *slot = &m->page->vcpu_ioreq[vcpu];
	volatile uint8_t *state = (volatile uint8_t *)slot + 30;

	slot->data = data;
	__sync_synchronize();
	*state = (*state & 0xf0) | STATE_IORESP_READY;
	notify(m->evtchn, m->ports[vcpu]);
}

/* Serves what there is; returns how many requests. */
__attribute__((unused)) static unsigned int model_serve(struct model *m)
{
	unsigned int i, count = 0;

	for (i = 0; i < m->vcpus; i++) {
		ioreq_t *slot = model_begin(m, i);
		ioreq_t request;

		if (!slot)
			continue;
		/* What was written before comes before. */
		model_drain(m);
		request = *slot;
		m->last = request;
		if (request.dir == IOREQ_WRITE)
			m->last_write = request.data;
		m->served++;
		model_end(m, i, m->answer ? m->answer(m, i, &request) : (request.addr & 0xff));
		count++;
	}
	return count;
}

__attribute__((unused)) static void *model_thread(void *arg)
{
	struct model *m = arg;

	m->running = true;
	while (!m->stop) {
		long port = next_port(m->evtchn, 20);

		if (port > 0)
			unmask(m->evtchn, port);
		model_serve(m);
		model_drain(m);
	}
	return NULL;
}

/* Makes a model that serves ranges by a thread. */
__attribute__((unused)) static void model_start(struct model *m, struct worker *w,
						uint8_t buffering)
{
	long rc = model_make(m, w->domain, w->vcpus, buffering);

	if (!rc)
		rc = model_connect(m);
	if (rc)
		tap_bail("cannot make a device model: %ld", rc);
	pthread_create(&m->thread, NULL, model_thread, m);
	while (!m->running)
		usleep(1000);
}

/* Stops the thread, but leaves the server. */
__attribute__((unused)) static void model_halt(struct model *m)
{
	if (!m->running)
		return;
	m->stop = true;
	pthread_join(m->thread, NULL);
	m->stop = m->running = false;
}

/* Ends it as a process that is killed does: its descriptors close. */
__attribute__((unused)) static void model_die(struct model *m)
{
	model_halt(m);
	if (m->page)
		munmap(m->page, PAGE_SIZE);
	if (m->buffer)
		munmap(m->buffer, PAGE_SIZE);
	m->page = NULL;
	m->buffer = NULL;
	close(m->evtchn);
	close(m->privcmd);
}

/* Ends it in order. */
__attribute__((unused)) static void model_quit(struct model *m)
{
	model_halt(m);
	server_destroy(m->privcmd, m->domain, m->id);
	model_die(m);
}

#endif
