// SPDX-License-Identifier: GPL-2.0-only
/*
 * A device model that is linked to Xen's own libraries, as Debian builds them: what it maps, serves and does goes
 * through libxendevicemodel, libxenforeignmemory and libxenevtchn. Only the guest is made by our own means.
 */

#include <poll.h>
#include <pthread.h>

/* The version of Xen's headers is ours to say, so that this comes before the libraries' own. */
#include "worker.h"
#include <xen/hvm/ioreq.h>
#include <xendevicemodel.h>
#include <xenevtchn.h>
#include <xenforeignmemory.h>

#define MMIO 0xf0000000UL
#define VCPUS 2U

static int fd;
static struct worker w;
static xendevicemodel_handle *dm;
static xenforeignmemory_handle *memory;
static xenevtchn_handle *ports;

static ioservid_t id;
static xenforeignmemory_resource_handle *pages;
static buffered_iopage_t *buffer;
static shared_iopage_t *requests;
static evtchn_port_t port_of[VCPUS], buffer_port;

static volatile bool stop;
static volatile unsigned int served, buffered;
static volatile uint64_t last_write;
static uint32_t scratch[16];

/* A call of a library as a negative error number. */
#define LIB(call) ((call) < 0 ? -errno : 0)

static uint64_t answer(const ioreq_t *request)
{
	unsigned int at = (request->addr & 0x3f) / 4;

	if (request->dir == IOREQ_WRITE) {
		last_write = request->data;
		if (request->type == IOREQ_TYPE_COPY)
			scratch[at] = request->data;
		return 0;
	}
	return request->type == IOREQ_TYPE_COPY ? scratch[at] : request->addr & 0xff;
}

static void drain(void)
{
	while (buffer->read_pointer != buffer->write_pointer) {
		__sync_synchronize();
		last_write = buffer->buf_ioreq[buffer->read_pointer % IOREQ_BUFFER_SLOT_NUM].data;
		__sync_fetch_and_add(&buffer->read_pointer, 1);
		buffered++;
	}
}

static void *serve(void *unused)
{
	struct pollfd wait = { .fd = xenevtchn_fd(ports), .events = POLLIN };

	while (!stop) {
		xenevtchn_port_or_error_t port;
		unsigned int i;

		if (poll(&wait, 1, 20) != 1)
			continue;
		port = xenevtchn_pending(ports);
		if (port < 0)
			continue;
		xenevtchn_unmask(ports, port);
		drain();
		for (i = 0; i < VCPUS; i++) {
			volatile ioreq_t *slot = &requests->vcpu_ioreq[i];
			ioreq_t request;

			if (slot->state != STATE_IOREQ_READY)
				continue;
			__sync_synchronize();
			request = *(ioreq_t *)slot;
			slot->state = STATE_IOREQ_INPROCESS;
			slot->data = answer(&request);
			served++;
			__sync_synchronize();
			slot->state = STATE_IORESP_READY;
			xenevtchn_notify(ports, port_of[i]);
		}
	}
	return unused;
}

static void set_up(void)
{
	xen_pfn_t frame;
	size_t size = 0;
	void *at = NULL;
	unsigned int i;

	tap_equal(LIB(xendevicemodel_create_ioreq_server(dm, w.domain, HVM_IOREQSRV_BUFIOREQ_ATOMIC,
							 &id)), 0,
		  "create_ioreq_server");
	tap_equal(LIB(xenforeignmemory_resource_size(memory, w.domain, XENMEM_resource_ioreq_server,
						     id, &size)), 0,
		  "A-2 resource_size");
	tap_equal(size, 2 * PAGE_SIZE, "A-2 is two pages");
	pages = xenforeignmemory_map_resource(memory, w.domain, XENMEM_resource_ioreq_server, id, 0,
					      2, &at,
					      PROT_READ | PROT_WRITE, 0);
	if (!tap(pages != NULL, "A-1 map_resource"))
		tap_bail("no pages: %s", strerror(errno));
	buffer = at;
	requests = at + PAGE_SIZE;
	tap_equal(LIB(xendevicemodel_get_ioreq_server_info(dm, w.domain, id, NULL, NULL,
							   &buffer_port)), 0,
		  "get_ioreq_server_info");
	tap_equal(LIB(xendevicemodel_get_ioreq_server_info(dm, w.domain, id, &frame, NULL, NULL)),
		  -EPERM,
		  "not both ways to its pages");
	tap_equal(LIB(xendevicemodel_set_ioreq_server_state(dm, w.domain, id, 1)), 0,
		  "set_ioreq_server_state");
	for (i = 0; i < VCPUS; i++)
		port_of[i] = xenevtchn_bind_interdomain(ports, w.domain,
							requests->vcpu_ioreq[i].vp_eport);
	buffer_port = xenevtchn_bind_interdomain(ports, w.domain, buffer_port);
	tap((int)port_of[0] > 0 && (int)port_of[1] > 0 && (int)buffer_port > 0,
	    "its ports are bound");
	tap_equal(LIB(xendevicemodel_map_io_range_to_ioreq_server(dm, w.domain, id, 0, 0x3f8,
								  0x3ff)), 0,
		  "map_io_range_to_ioreq_server, ports");
	tap_equal(LIB(xendevicemodel_map_io_range_to_ioreq_server(dm, w.domain, id, 1, MMIO,
								  MMIO + 0xfff)), 0, "memory");
	tap_equal(LIB(xendevicemodel_map_pcidev_to_ioreq_server(dm, w.domain, id, 0, 0, 3, 1)), 0,
		  "and a PCI function");
}

static void use(void)
{
	pthread_t thread;
	unsigned int i, wrong = 0;

	pthread_create(&thread, NULL, serve, NULL);
	tap_equal(worker_do(&w, 0, OP_IN8, 0x3fd, 0, 0), 0xfd, "a port is read");
	worker_do(&w, 1, OP_OUT8, 0x3f8, 'x', 0);
	tap_equal(last_write, 'x', "and written, by the other vCPU");
	worker_do(&w, 0, OP_WRITE32, MMIO + 8, 0x12345678, 0);
	tap_equal(worker_do(&w, 1, OP_READ32, MMIO + 8, 0, 0), 0x12345678,
		  "memory is written and read");
	worker_do(&w, 0, OP_OUT32, 0xcf8, 0x80001910, 0);
	tap_equal(worker_do(&w, 0, OP_IN16, 0xcfc, 0, 0), 0x10,
		  "the PCI function's configuration is read");
	worker_begin(&w, 0, OP_IN8_LOOP, 0x3fa, 0xfa, 300);
	worker_begin(&w, 1, OP_READ32_LOOP, MMIO + 8, 0x12345678, 300);
	for (i = 0; i < VCPUS; i++)
		wrong += worker_wait(&w, i, 30000) ? w.cmd[i]->result : 1000;
	tap_equal(wrong, 0, "300 of each at once");
	tap(served >= 605, "all by this process");
	stop = true;
	pthread_join(thread, NULL);
	tap_equal(LIB(xendevicemodel_unmap_pcidev_from_ioreq_server(dm, w.domain, id, 0, 0, 3, 1)),
		  0, "the function is taken back");
	tap_equal(LIB(xendevicemodel_unmap_io_range_from_ioreq_server(dm, w.domain, id, 0, 0x3f8,
								      0x3ff)), 0,
								      "so are the ports");
	tap_equal(worker_do(&w, 0, OP_IN8, 0x3fd, 0, 0), 0xff, "which are nobody's");
}

/* Every other operation of a device model. */
static void operations(void)
{
	struct xen_dm_op_modified_memory_extent extents[2] = { { .first_pfn = 0x21, .nr = 1 },
							      { .first_pfn = 0x23, .nr = 2 } };
	unsigned long bitmap[2];
	unsigned int vcpus = 0;

	tap_equal(LIB(xendevicemodel_nr_vcpus(dm, w.domain, &vcpus)), 0, "nr_vcpus");
	tap_equal(vcpus, VCPUS, "is how many there may be");
	tap_equal(LIB(xendevicemodel_set_pci_intx_level(dm, w.domain, 0, 0, 3, 0, 1)), 0,
		  "set_pci_intx_level");
	tap_equal(LIB(xendevicemodel_set_pci_intx_level(dm, w.domain, 0, 0, 32, 0, 1)), -EINVAL,
		  "of a device that there is not");
	tap_equal(LIB(xendevicemodel_set_isa_irq_level(dm, w.domain, 4, 1)), 0,
		  "set_isa_irq_level");
	tap_equal(LIB(xendevicemodel_set_isa_irq_level(dm, w.domain, 16, 1)), -EINVAL,
		  "of a line that there is not");
	tap_equal(LIB(xendevicemodel_set_irq_level(dm, w.domain, 40, 1)), -EOPNOTSUPP,
		  "set_irq_level is of another architecture");
	tap_equal(LIB(xendevicemodel_set_pci_link_route(dm, w.domain, 1, 5)), 0,
		  "set_pci_link_route");
	tap_equal(LIB(xendevicemodel_set_pci_link_route(dm, w.domain, 4, 5)), -EINVAL,
		  "of a link that there is not");
	tap_equal(LIB(xendevicemodel_inject_msi(dm, w.domain, 0xfee00000, 0x31)), 0, "inject_msi");
	tap_equal(LIB(xendevicemodel_track_dirty_vram(dm, w.domain, 0x20, 16, bitmap)), 0,
		  "track_dirty_vram");
	tap_equal(LIB(xendevicemodel_track_dirty_vram(dm, w.domain, 0x20, 16, bitmap)), 0,
		  "once more");
	worker_do(&w, 0, OP_WRITE32, 0x27000, 1, 0);
	tap_equal(LIB(xendevicemodel_modified_memory(dm, w.domain, 0x20, 1)), 0, "modified_memory");
	tap_equal(LIB(xendevicemodel_modified_memory_bulk(dm, w.domain, extents, 2)), 0,
		  "modified_memory_bulk");
	tap_equal(LIB(xendevicemodel_track_dirty_vram(dm, w.domain, 0x20, 16, bitmap)), 0,
		  "the log is read");
	tap_equal(bitmap[0] & 0xffff, 0x9b, "what the guest and the model wrote");
	tap_equal(LIB(xendevicemodel_track_dirty_vram(dm, w.domain, 0, 0, NULL)), 0, "it ends");
	tap_equal(LIB(xendevicemodel_set_mem_type(dm, w.domain, HVMMEM_ram_ro, 0x2e, 1)), 0,
		  "set_mem_type");
	worker_do(&w, 0, OP_WRITE32, 0x2e000, 5, 0);
	tap_equal(w.data[0xe000], 0, "to be read only");
	tap_equal(LIB(xendevicemodel_set_mem_type(dm, w.domain, HVMMEM_ram_rw, 0x2e, 1)), 0,
		  "and back");
	tap_equal(LIB(xendevicemodel_map_mem_type_to_ioreq_server(dm, w.domain, id,
								  HVMMEM_ioreq_server,
								  XEN_DMOP_IOREQ_MEM_ACCESS_WRITE)),
								  0,
		  "map_mem_type_to_ioreq_server");
	tap_equal(LIB(xendevicemodel_map_mem_type_to_ioreq_server(dm, w.domain, id,
								  HVMMEM_ioreq_server, 0)), 0,
								  "and back");
	w.data[0xf000] = 0x66;
	tap_equal(LIB(xendevicemodel_relocate_memory(dm, w.domain, 1, 0x2f, 0x120)), 0,
		  "relocate_memory");
	tap_equal(worker_do(&w, 0, OP_READ8, 0x120000, 0, 0), 0x66, "moves a page");
	tap_equal(LIB(xendevicemodel_pin_memory_cacheattr(dm, w.domain, 0x20, 0x2f,
							  XEN_DMOP_MEM_CACHEATTR_WB)), 0,
		  "pin_memory_cacheattr");
	tap_equal(LIB(xendevicemodel_pin_memory_cacheattr(dm, w.domain, 0x20, 0x2f,
							  XEN_DMOP_DELETE_MEM_CACHEATTR)), 0,
							  "and back");
	tap_equal(LIB(xendevicemodel_inject_event(dm, w.domain, 9, 14, 3, 0, 0, 0)), -EINVAL,
		  "inject_event, for a vCPU that there is not");
}

/* What a descriptor that was given up may still do. */
static void restricted(void)
{
	long other = DOMAIN_MAKE(fd, 1, code_idle, 0);
	unsigned int vcpus;
	size_t size;

	tap_equal(LIB(xendevicemodel_restrict(dm, w.domain)), 0,
		  "A-5 a device model restricts itself");
	tap_equal(LIB(xenforeignmemory_restrict(memory, w.domain)), 0, "A-5 and what it maps");
	tap_equal(LIB(xenevtchn_restrict(ports, w.domain)), 0, "A-5 and its ports");
	tap_equal(LIB(xendevicemodel_nr_vcpus(dm, w.domain, &vcpus)), 0,
		  "A-5 it serves its own guest");
	tap_equal(LIB(xendevicemodel_nr_vcpus(dm, other, &vcpus)), -EPERM, "A-5 and no other");
	tap_equal(LIB(xenforeignmemory_resource_size(memory, other, XENMEM_resource_grant_table, 0,
						     &size)), -EPERM,
		  "A-5 nor maps anything of it");
	tap_equal(domain_destroy(fd, other), 0, "the other is destroyed");
}

int main(void)
{
	fd = xen_open("privcmd");
	tap_plan(0);
	worker_start(&w, fd, VCPUS, 64);
	dm = xendevicemodel_open(NULL, 0);
	memory = xenforeignmemory_open(NULL, 0);
	ports = xenevtchn_open(NULL, 0);
	if (!tap(dm && memory && ports, "the libraries open the devices"))
		return tap_end();
	set_up();
	use();
	operations();
	restricted();
	tap_equal(LIB(xendevicemodel_destroy_ioreq_server(dm, w.domain, id)), 0,
		  "destroy_ioreq_server");
	tap_equal(LIB(xenforeignmemory_unmap_resource(memory, pages)), 0, "unmap_resource");
	tap_equal(LIB(xendevicemodel_shutdown(dm, w.domain, SHUTDOWN_crash)), 0, "shutdown");
	tap_equal(domain_wait_shutdown(fd, w.domain), SHUTDOWN_crash, "ends the guest");
	xenevtchn_close(ports);
	xenforeignmemory_close(memory);
	xendevicemodel_close(dm);
	tap_equal(worker_end(&w), 0, "it is destroyed");
	return tap_end();
}
