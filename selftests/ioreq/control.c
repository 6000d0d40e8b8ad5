// SPDX-License-Identifier: GPL-2.0-only
/*
 * Proves what device model operations answer: who may control a server, what ranges and pages it can have, and the rest
 * of dm_op: memory types, the log of a frame buffer, moved and modified memory, events, messages, shutdown.
 */

#include "ioreq.h"
#include <xen/vcpu.h>

static int fd;
static struct worker w;

/* Performs an operation whose payload is given. */
#define DM(number, field, ...)								\
	({										\
		struct xen_dm_op dm = { .op = (number) };				\
		dm.u.field = (__typeof__(dm.u.field)){ __VA_ARGS__ };			\
		dm_op1(fd, w.domain, &dm);						\
	})

/* XSA-506, and lengths and numbers that are wrong. */
static void arguments(void)
{
	privcmd_dm_op_t none = { .dom = w.domain, .num = 1 };
	struct xen_dm_op op = { .op = XEN_DMOP_nr_vcpus };
	privcmd_dm_op_buf_t three[3] = { { &op, sizeof(op) }, { &op, 8 }, { &op, 8 } };
	privcmd_dm_op_t ask = { .dom = w.domain, .num = 3, .ubufs = three };
	int i;

	tap_equal(xen_call(fd, __HYPERVISOR_dm_op, w.domain, 0, 0, 0, 0), -EFAULT,
		  "IO-6 no buffer");
	tap_equal(xen_ioctl(fd, IOCTL_PRIVCMD_DM_OP, &none), -EFAULT, "IO-6 no list of buffers");
	op.op = XEN_DMOP_modified_memory;
	tap_equal(dm_op1(fd, w.domain, &op), 0,
		  "IO-6 modified_memory without a list, and without a log");
	op.op = XEN_DMOP_track_dirty_vram;
	op.u.track_dirty_vram.nr = 8;
	tap_equal(dm_op1(fd, w.domain, &op), -EINVAL, "IO-6 track_dirty_vram without a bitmap");
	tap_equal(xen_ioctl(fd, IOCTL_PRIVCMD_DM_OP, &ask), -E2BIG, "three buffers");
	memset(&op, 0, sizeof(op));
	op.op = XEN_DMOP_nr_vcpus;
	tap_equal(dm_op1(fd, w.domain, &op), 0, "nr_vcpus");
	tap_equal(op.u.nr_vcpus.vcpus, 2, "is the number of vCPUs that there may be");
	for (i = 0; i < 12; i++)
		if (dm_op2(fd, w.domain, &op, i, NULL, 0) != -EFAULT)
			break;
	tap_equal(i, 12, "an operation that is cut off at any byte");
	op.pad = 1;
	tap_equal(dm_op1(fd, w.domain, &op), -EINVAL, "padding");
	op.pad = 0;
	op.op = XEN_DMOP_set_irq_level;
	tap_equal(dm_op1(fd, w.domain, &op), -EOPNOTSUPP, "an operation of another architecture");
	op.op = 21;
	tap_equal(dm_op1(fd, w.domain, &op), -EOPNOTSUPP, "one that there is not");
	op.op = ~0U;
	tap_equal(dm_op1(fd, w.domain, &op), -EOPNOTSUPP, "nor this one");
	op.op = XEN_DMOP_nr_vcpus;
	tap_equal(dm_op1(fd, 0, &op), -EPERM, "not on the control domain");
	tap_equal(dm_op1(fd, NO_DOMAIN, &op), -ESRCH, "nor on one that there is not");
}

static void servers(void)
{
	struct xen_dm_op_get_ioreq_server_info info = { 0 };
	struct xen_dm_op op = { .op = XEN_DMOP_create_ioreq_server };
	long id, last, rc;
	int i;

	tap_equal(server_create(fd, w.domain, 3), -EINVAL, "a kind of buffering that there is not");
	op.u.create_ioreq_server.pad[1] = 1;
	tap_equal(dm_op1(fd, w.domain, &op), -EINVAL, "padding of create");
	id = server_create(fd, w.domain, HVM_IOREQSRV_BUFIOREQ_LEGACY);
	tap_equal(id, 0, "the first server has number 0");
	tap_equal(server_info(fd, w.domain, id, 2, &info), -EINVAL, "a flag that there is not");
	tap_equal(server_info(fd, w.domain, 5, XEN_DMOP_no_gfns, &info), -ENOENT, "no such server");
	tap_equal(server_info(fd, w.domain, id, XEN_DMOP_no_gfns, &info), 0,
		  "what there is to know of it");
	tap(info.bufioreq_port != 0, "it has a port for buffered requests");
	tap_equal(server_map(fd, w.domain, id, 3, 1, 2), -EINVAL,
		  "a type of range that there is not");
	tap_equal(server_map(fd, w.domain, id, XEN_DMOP_IO_RANGE_PORT, 2, 1), -EINVAL,
		  "IO-3 a range that ends before it begins");
	tap_equal(server_map(fd, w.domain, id, XEN_DMOP_IO_RANGE_MEMORY, ~0ULL, 0), -EINVAL,
		  "IO-3 likewise");
	tap_equal(server_map(fd, w.domain, 7, XEN_DMOP_IO_RANGE_PORT, 1, 2), -ENOENT,
		  "a range for no server");
	tap_equal(server_map(fd, w.domain, id, XEN_DMOP_IO_RANGE_PORT, 0x10, 0x1f), 0, "a range");
	tap_equal(server_map(fd, w.domain, id, XEN_DMOP_IO_RANGE_PORT, 0x1f, 0x2f), -EEXIST,
		  "twice");
	tap_equal(server_unmap(fd, w.domain, id, XEN_DMOP_IO_RANGE_PORT, 0x18, 0x20), -ENOENT,
		  "more than it has");
	tap_equal(server_unmap(fd, w.domain, id, XEN_DMOP_IO_RANGE_PORT, 0x18, 0x18), 0,
		  "a part is taken back");
	for (i = 0; i < 300; i++)
		if (server_map(fd, w.domain, id, XEN_DMOP_IO_RANGE_MEMORY, i * 16, i * 16 + 7))
			break;
	tap_equal(i, 256, "IO-7 256 ranges and no more");
	tap_equal(server_enable(fd, w.domain, 5, 1), -ENOENT, "no such server is switched on");
	for (i = 1; i < 10; i++) {
		last = server_create(fd, w.domain, 0);
		if (last < 0)
			break;
	}
	tap_equal(i, 8, "eight servers");
	tap_equal(last, -ENOSPC, "and no more");
	rc = server_map(fd, w.domain, 1, XEN_DMOP_IO_RANGE_PORT | 1U << 31, 1, 2);
	tap_equal(rc, -EINVAL, "no buffered range without a buffer");
	for (i = 0; i < 8; i++)
		if (server_destroy(fd, w.domain, i))
			break;
	tap_equal(i, 8, "all are destroyed");
	tap_equal(server_destroy(fd, w.domain, 0), -ENOENT, "once");
}

/* The two ways to the pages exclude each other. */
static void pages(void)
{
	struct xen_dm_op_get_ioreq_server_info info;
	long id, rc;
	uint64_t *page, *buffer;
	xen_pfn_t gfn;

	tap_equal(xen_set_param(fd, w.domain, HVM_PARAM_NR_IOREQ_SERVER_PAGES, 0), -EINVAL,
		  "no frames for servers");
	tap_equal(xen_set_param(fd, w.domain, HVM_PARAM_NR_IOREQ_SERVER_PAGES, 65), -EINVAL,
		  "too many");
	id = server_create(fd, w.domain, HVM_IOREQSRV_BUFIOREQ_ATOMIC);
	tap_equal(server_info(fd, w.domain, id, 0, &info), -ENOMEM, "no frames are set aside");
	tap_equal(xen_set_param(fd, w.domain, HVM_PARAM_IOREQ_SERVER_PFN, 0x38), 0,
		  "frames are set aside");
	tap_equal(xen_set_param(fd, w.domain, HVM_PARAM_NR_IOREQ_SERVER_PAGES, 2), 0,
		  "two of them");
	tap_equal(server_info(fd, w.domain, id, 0, &info), 0, "the server gets them");
	tap(info.ioreq_gfn == 0x38 && info.bufioreq_gfn == 0x39, "in order");
	tap_equal(server_info(fd, w.domain, id, 0, &info), 0, "and keeps them");
	resource_map(fd, w.domain, XENMEM_resource_ioreq_server, id, 1, 1, &rc);
	tap_equal(rc, -EPERM, "it has no others");
	gfn = info.ioreq_gfn;
	page = xen_map(fd, w.domain, &gfn, 1);
	tap(page != NULL, "they are mapped as guest memory");
	page[100] = 0x1234;
	tap_equal(worker_do(&w, 0, OP_READ32, 0x38 * PAGE_SIZE + 800, 0, 0), 0x1234,
		  "the guest sees them while it is off");
	tap_equal(server_enable(fd, w.domain, id, 1), 0, "it is switched on");
	tap_equal(page[100], 0, "the page is cleared");
	tap(((ioreq_t *)page)->vp_eport != 0, "and tells the vCPU's port");
	tap_equal(worker_do(&w, 0, OP_READ32, 0x38 * PAGE_SIZE + 24, 0, 0), 0xffffffff,
		  "the guest does not see it");
	tap_equal(server_enable(fd, w.domain, id, 0), 0, "it is switched off");
	tap_equal(worker_do(&w, 0, OP_READ32, 0x38 * PAGE_SIZE + 800, 0, 0), 0,
		  "the guest has the page again");
	munmap(page, PAGE_SIZE);
	tap_equal(server_destroy(fd, w.domain, id), 0, "it is destroyed");
	id = server_create(fd, w.domain, HVM_IOREQSRV_BUFIOREQ_ATOMIC);
	page = resource_map(fd, w.domain, XENMEM_resource_ioreq_server, id, 1, 1, &rc);
	tap_equal(rc, 0, "I-1 frame 1 of another");
	buffer = resource_map(fd, w.domain, XENMEM_resource_ioreq_server, id, 0, 1, &rc);
	tap_equal(rc, 0, "I-1 and frame 0");
	tap(page && buffer && !page[0] && !page[511] && !buffer[0], "I-2 they are clear");
	tap_equal(server_info(fd, w.domain, id, 0, &info), -EPERM, "it uses no guest memory then");
	resource_map(fd, w.domain, XENMEM_resource_ioreq_server, id, 2, 1, &rc);
	tap_equal(rc, -EINVAL, "I-1 there is no frame 2");
	tap_equal(server_destroy(fd, w.domain, id), 0, "it is destroyed");
	page[7] = 7;
	tap_equal(page[7], 7, "A-6 what is mapped stays");
	munmap(page, PAGE_SIZE);
	munmap(buffer, PAGE_SIZE);
	id = server_create(fd, w.domain, 0);
	resource_map(fd, w.domain, XENMEM_resource_ioreq_server, id, 0, 1, &rc);
	tap_equal(rc, -ENOENT, "I-1 there is no frame 0 without a buffer");
	resource_map(fd, w.domain, XENMEM_resource_ioreq_server, id + 0x10000, 1, 1, &rc);
	tap_equal(rc, -EINVAL, "a number of more than 16 bits is no server's");
	resource_map(fd, w.domain, XENMEM_resource_ioreq_server, 6, 1, 1, &rc);
	tap_equal(rc, -ENOENT, "nor is one that there is not");
	server_destroy(fd, w.domain, id);
}

static long set_type(uint64_t first, uint32_t nr, uint16_t type)
{
	return DM(XEN_DMOP_set_mem_type, set_mem_type, .nr = nr, .mem_type = type,
		  .first_pfn = first);
}

static void memory_types(void)
{
	struct model m = { 0 };
	long rc;

	tap_equal(set_type(0x2f, 1, 77), -EINVAL, "a type that there is not");
	tap_equal(set_type(0x2f, 1, HVMMEM_unused), -EINVAL, "one that was");
	tap_equal(set_type(~0ULL, 2, HVMMEM_ram_ro), -EINVAL, "a range that wraps");
	tap_equal(set_type(0x2f, 1 << 20, HVMMEM_ram_ro), -EINVAL, "one beyond the guest's memory");
	tap_equal(set_type(0x2f, 1, HVMMEM_ram_ro), 0, "RAM is made read only");
	w.data[0xf000] = 1;
	worker_do(&w, 0, OP_WRITE32, 0x2f000, 0x55555555, 0);
	tap_equal(worker_do(&w, 0, OP_READ32, 0x2f000, 0, 0), 1, "a write to it is dropped");
	tap_equal(set_type(0x2f, 1, HVMMEM_ram_rw), 0, "and is RAM again");
	worker_do(&w, 0, OP_WRITE32, 0x2f000, 0x55555555, 0);
	tap_equal(w.data[0xf000], 0x55, "and written");
	tap_equal(set_type(0x2f, 1, HVMMEM_ioreq_server), -EINVAL,
		  "no server has memory by its type");
	model_start(&m, &w, 0);
	rc = DM(XEN_DMOP_map_mem_type_to_ioreq_server, map_mem_type_to_ioreq_server, .id = m.id,
		.type = HVMMEM_ioreq_server, .flags = XEN_DMOP_IOREQ_MEM_ACCESS_READ);
	tap_equal(rc, -EINVAL, "reads cannot be had");
	rc = DM(XEN_DMOP_map_mem_type_to_ioreq_server, map_mem_type_to_ioreq_server, .id = m.id,
		.type = HVMMEM_ram_rw, .flags = XEN_DMOP_IOREQ_MEM_ACCESS_WRITE);
	tap_equal(rc, -EINVAL, "nor another type");
	rc = DM(XEN_DMOP_map_mem_type_to_ioreq_server, map_mem_type_to_ioreq_server, .id = m.id,
		.type = HVMMEM_ioreq_server, .flags = XEN_DMOP_IOREQ_MEM_ACCESS_WRITE);
	tap_equal(rc, 0, "a server gets it");
	tap_equal(set_type(0x2e, 2, HVMMEM_ioreq_server), 0, "two frames have the type");
	*(uint32_t *)(w.data + 0xf000) = 7;
	tap_equal(worker_do(&w, 0, OP_READ8, 0x2f000, 0, 0), 7, "they are read as RAM");
	tap_equal(m.served, 0, "by nobody else");
	worker_do(&w, 0, OP_WRITE32, 0x2effe, 0x12345678, 0);
	tap_equal(m.served, 2, "a write over both is two requests");
	tap_equal(m.last_write, 0x1234, "with what is written");
	tap_equal(w.data[0xf000], 7, "and writes nothing itself");
	worker_do(&w, 0, OP_LOCK_XADD, 0x2f000, 1, 0);
	tap_equal(m.last_write, 8, "LOCK XADD sends the sum");
	rc = DM(XEN_DMOP_map_mem_type_to_ioreq_server, map_mem_type_to_ioreq_server, .id = m.id,
		.type = HVMMEM_ioreq_server);
	tap_equal(rc, 0, "the type is taken back");
	worker_do(&w, 0, OP_WRITE32, 0x2f000, 0x99, 0);
	tap_equal(w.data[0xf000], 0x99, "the frames are RAM");
	tap_equal(set_type(0x2e, 1, HVMMEM_mmio_dm), 0, "a frame is made a device's");
	server_map(m.privcmd, w.domain, m.id, XEN_DMOP_IO_RANGE_MEMORY, 0x2e000, 0x2efff);
	tap_equal(worker_do(&w, 0, OP_READ32, 0x2e088, 0, 0), 0x88, "and the model answers for it");
	tap_equal(set_type(0x2e, 1, HVMMEM_ram_rw), -EINVAL, "it is not RAM again");
	/* IO-11: what was asked of the model before is not carried over. */
	model_halt(&m);
	worker_begin(&w, 0, OP_READ32, 0x2e088, 0, 0);
	while (!model_begin(&m, 0))
		usleep(1000);
	tap_equal(domain_populate(fd, w.domain, 0x2e, 1), 1,
		  "IO-11 RAM is put there while the model works");
	model_end(&m, 0, 0x42);
	tap(worker_wait(&w, 0, 20000), "IO-11 the guest goes on");
	tap_equal(w.cmd[0]->result, 0, "IO-11 and reads the RAM");
	model_quit(&m);
	tap_equal(worker_do(&w, 0, OP_READ32, 0x2e088, 0, 0), 0, "once more");
}

static void dirty(void)
{
	uint8_t bits[8];
	struct xen_dm_op op = { .op = XEN_DMOP_track_dirty_vram };
	struct xen_dm_op_modified_memory_extent extents[3] = { { .nr = 2, .first_pfn = 0x24 },
							      { .nr = 1, .first_pfn = 0x29 } };
	struct xen_dm_op modified = { .op = XEN_DMOP_modified_memory };

	op.u.track_dirty_vram.first_pfn = 0x21;
	op.u.track_dirty_vram.nr = 13;
	memset(bits, 0xaa, sizeof(bits));
	tap_equal(dm_op2(fd, w.domain, &op, sizeof(op), bits, 1), -EINVAL,
		  "a bitmap that is too short");
	tap_equal(dm_op2(fd, w.domain, &op, sizeof(op), bits, 2), 0, "the log begins");
	tap(bits[0] == 0xff && bits[1] == 0x1f && bits[2] == 0xaa,
	    "all is written, and not more is told");
	tap_equal(dm_op2(fd, w.domain, &op, sizeof(op), bits, 2), 0, "it is read");
	tap(!bits[0] && !bits[1], "nothing was written since");
	worker_do(&w, 0, OP_WRITE32, 0x22000, 1, 0);
	worker_do(&w, 1, OP_WRITE32, 0x2dffc, 1, 0);
	worker_do(&w, 0, OP_WRITE32, 0x22004, 1, 0);
	tap_equal(dm_op2(fd, w.domain, &op, sizeof(op), bits, 2), 0, "it is read");
	tap(bits[0] == 0x02 && bits[1] == 0x10, "two frames were written");
	worker_do(&w, 0, OP_WRITE32, 0x22000, 1, 0);
	modified.u.modified_memory.nr_extents = 2;
	tap_equal(dm_op2(fd, w.domain, &modified, sizeof(modified), extents, sizeof(extents)), 0,
		  "the model has written itself");
	modified.u.modified_memory.nr_extents = 4;
	tap_equal(dm_op2(fd, w.domain, &modified, sizeof(modified), extents, sizeof(extents)),
		  -EINVAL,
		  "IO-6 more extents than there are");
	tap_equal(dm_op1(fd, w.domain, &modified), -EINVAL, "IO-6 and no list");
	extents[0].pad = 1;
	modified.u.modified_memory.nr_extents = 1;
	tap_equal(dm_op2(fd, w.domain, &modified, sizeof(modified), extents, sizeof(extents)),
		  -EINVAL, "padding");
	tap_equal(dm_op2(fd, w.domain, &op, sizeof(op), bits, 2), 0, "it is read");
	tap(bits[0] == 0x1a && bits[1] == 0x01, "what the guest and the model wrote");
	/* What the hypervisor writes for the guest counts as the guest's. */
	worker_call(&w, 0, __HYPERVISOR_xen_version, XENVER_extraversion, 0x23800, 0, 0);
	tap_equal(dm_op2(fd, w.domain, &op, sizeof(op), bits, 2), 0, "it is read");
	tap(bits[0] == 0x04 && !bits[1], "a hypercall's answer was written");
	tap_equal((long)w.cmd[0]->result, 0, "as it should");
	/* Nor does the guest fault for the hypervisor's writes to the areas that it has registered. */
	memcpy(w.data + 0x3900, &(uint64_t){ 0x23400 }, sizeof(uint64_t));
	worker_call(&w, 0, __HYPERVISOR_vcpu_op, VCPUOP_register_runstate_phys_area, 0, 0x23900, 0);
	tap_equal((long)(int)w.cmd[0]->result, 0, "an area is registered in a frame of the log");
	dm_op2(fd, w.domain, &op, sizeof(op), bits, 2);
	usleep(10000);
	tap_equal(dm_op2(fd, w.domain, &op, sizeof(op), bits, 2), 0, "it is read");
	tap(bits[0] == 0x04 && !bits[1], "the frame of an area is always written");
	memcpy(w.data + 0x3900, &(uint64_t){ ~0ULL }, sizeof(uint64_t));
	worker_call(&w, 0, __HYPERVISOR_vcpu_op, VCPUOP_register_runstate_phys_area, 0, 0x23900, 0);
	tap_equal((long)(int)w.cmd[0]->result, 0, "the area is taken back");
	dm_op2(fd, w.domain, &op, sizeof(op), bits, 2);
	dm_op2(fd, w.domain, &op, sizeof(op), bits, 2);
	tap(!bits[0] && !bits[1], "then it is not");
	op.u.track_dirty_vram.nr = 0;
	tap_equal(dm_op2(fd, w.domain, &op, sizeof(op), bits, 2), 0, "the log ends");
	worker_do(&w, 0, OP_WRITE32, 0x22000, 5, 0);
	tap_equal(worker_do(&w, 0, OP_READ32, 0x22000, 0, 0), 5, "the guest writes as ever");
	op.u.track_dirty_vram.nr = 1 << 19;
	tap_equal(dm_op2(fd, w.domain, &op, sizeof(op), bits, 8), -EINVAL, "more than 1 GiB");
}

static void relocate(void)
{
	long rc;

	worker_do(&w, 0, OP_WRITE32, 0x28000, 0xfeed, 0);
	rc = DM(XEN_DMOP_relocate_memory, relocate_memory, .size = 2, .pad = 1, .src_gfn = 0x28,
		.dst_gfn = 0x100);
	tap_equal(rc, -EINVAL, "padding");
	rc = DM(XEN_DMOP_relocate_memory, relocate_memory, .size = 2, .src_gfn = 0x28,
		.dst_gfn = 0x100);
	tap_equal(rc, 0, "frames are moved");
	tap_equal(worker_do(&w, 0, OP_READ32, 0x100000, 0, 0), 0xfeed, "with what is in them");
	tap_equal(worker_do(&w, 0, OP_READ32, 0x28000, 0, 0), 0xffffffff,
		  "and are not where they were");
	rc = DM(XEN_DMOP_relocate_memory, relocate_memory, .size = 1, .src_gfn = 0x28,
		.dst_gfn = 0x102);
	tap_equal(rc, -EACCES, "what is not there is not moved");
	rc = DM(XEN_DMOP_relocate_memory, relocate_memory, .size = 2, .src_gfn = ~0ULL,
		.dst_gfn = 0x102);
	tap_equal(rc, -EOVERFLOW, "nor a range that wraps");
	rc = DM(XEN_DMOP_relocate_memory, relocate_memory, .size = 2, .src_gfn = 0x100,
		.dst_gfn = 0x28);
	tap_equal(rc, 0, "they are moved back");
}

static void caches(void)
{
	long rc;
	int i;

#define PIN(s, e, t) DM(XEN_DMOP_pin_memory_cacheattr, pin_memory_cacheattr, \
				.start = s, .end = e, .type = t)
	tap_equal(PIN(4, 3, XEN_DMOP_MEM_CACHEATTR_UC), -EINVAL,
		  "IO-5 a range that ends before it begins");
	tap_equal(PIN(0, 1ULL << 40, XEN_DMOP_MEM_CACHEATTR_UC), -EINVAL, "one beyond any memory");
	tap_equal(PIN(0, 1, 2), -EINVAL, "an attribute that there is not");
	tap_equal(PIN(0, 1, XEN_DMOP_DELETE_MEM_CACHEATTR), -ENOENT, "nothing to forget");
	for (i = 0; i < 100; i++) {
		rc = PIN(i * 4, i * 4 + 1, XEN_DMOP_MEM_CACHEATTR_WC);
		if (rc)
			break;
	}
	tap_equal(i, 64, "IO-5 64 ranges");
	tap_equal(rc, -ENOSPC, "IO-5 and no more");
	tap_equal(PIN(4, 5, XEN_DMOP_MEM_CACHEATTR_WB), 0, "one is changed");
	tap_equal(PIN(4, 6, XEN_DMOP_MEM_CACHEATTR_WB), -EBUSY,
		  "one that overlaps another is refused");
	tap_equal(PIN(4, 5, XEN_DMOP_DELETE_MEM_CACHEATTR), 0, "one is forgotten");
}

static void lines(void)
{
	tap_equal(DM(XEN_DMOP_set_pci_intx_level, set_pci_intx_level, .device = 31, .intx = 3,
		     .level = 1), 0, "a PCI line");
	tap_equal(DM(XEN_DMOP_set_pci_intx_level, set_pci_intx_level, .device = 32), -EINVAL,
		  "no such device");
	tap_equal(DM(XEN_DMOP_set_pci_intx_level, set_pci_intx_level, .intx = 4), -EINVAL,
		  "no such pin");
	tap_equal(DM(XEN_DMOP_set_pci_intx_level, set_pci_intx_level, .level = 2), -EINVAL,
		  "no such level");
	tap_equal(DM(XEN_DMOP_set_pci_intx_level, set_pci_intx_level, .domain = 1), -EINVAL,
		  "no such segment");
	tap_equal(DM(XEN_DMOP_set_isa_irq_level, set_isa_irq_level, .isa_irq = 15, .level = 1), 0,
		  "an ISA line");
	tap_equal(DM(XEN_DMOP_set_isa_irq_level, set_isa_irq_level, .isa_irq = 16), -EINVAL,
		  "no such line");
	tap_equal(DM(XEN_DMOP_set_pci_link_route, set_pci_link_route, .link = 3, .isa_irq = 5), 0,
		  "a route");
	tap_equal(DM(XEN_DMOP_set_pci_link_route, set_pci_link_route, .link = 4), -EINVAL,
		  "no such link");
	tap_equal(DM(XEN_DMOP_inject_msi, inject_msi, .addr = 0xfee00000, .data = 0x41), 0,
		  "a message");
	tap_equal(DM(XEN_DMOP_inject_msi, inject_msi, .addr = 0xfee00000, .data = 0x441), -EINVAL,
		  "an NMI is none");
	tap_equal(DM(XEN_DMOP_inject_msi, inject_msi, .addr = 0xfee00000, .pad = 1, .data = 0x41),
		  -EINVAL, "padding");
	tap_equal(DM(XEN_DMOP_inject_msi, inject_msi, .addr = 0xfee00000), -EINVAL, "no vector");
#define EVENT(...) DM(XEN_DMOP_inject_event, inject_event, __VA_ARGS__)
	tap_equal(EVENT(.vcpuid = 2, .type = XEN_DMOP_EVENT_hw_exc, .vector = 13), -EINVAL,
		  "an event for no vCPU");
	tap_equal(EVENT(.vcpuid = ~0U, .type = XEN_DMOP_EVENT_hw_exc, .vector = 13), -EINVAL,
		  "nor for this one");
	tap_equal(EVENT(.type = 1), -EINVAL, "an event that there is not");
	tap_equal(EVENT(.type = XEN_DMOP_EVENT_hw_exc, .vector = 32), -EINVAL,
		  "an exception that there is not");
	tap_equal(EVENT(.type = XEN_DMOP_EVENT_hw_exc, .vector = 2), -EINVAL, "nor this one");
	tap_equal(EVENT(.type = XEN_DMOP_EVENT_sw_exc, .vector = 6), -EINVAL,
		  "a software exception that there is not");
	tap_equal(EVENT(.type = XEN_DMOP_EVENT_sw_exc, .vector = 3, .insn_len = 16), -EINVAL,
		  "an instruction that is too long");
	tap_equal(EVENT(.type = XEN_DMOP_EVENT_hw_exc, .vector = 13, .pad1 = 1), -EINVAL,
		  "padding");
}

static void endings(void)
{
	tap_equal(DM(XEN_DMOP_remote_shutdown, remote_shutdown, .reason = 99), -EINVAL,
		  "a reason that there is not");
	/* There is nobody to take it: the exception becomes a triple fault. */
	tap_equal(EVENT(.vcpuid = 1, .type = XEN_DMOP_EVENT_hw_exc, .vector = 14, .error_code = 2,
			.cr2 = 0x1234), 0,
		  "an exception is injected");
	tap_equal(domain_wait_shutdown(fd, w.domain), SHUTDOWN_reboot, "and ends the guest");
	worker_end(&w);
	worker_start(&w, fd, 2, 32);
	tap_equal(DM(XEN_DMOP_remote_shutdown, remote_shutdown, .reason = SHUTDOWN_suspend), 0,
		  "a guest is shut down");
	tap_equal(domain_wait_shutdown(fd, w.domain), SHUTDOWN_suspend, "for that reason");
	worker_end(&w);
}

int main(void)
{
	fd = xen_open("privcmd");
	tap_plan(0);
	worker_start(&w, fd, 2, 32);
	arguments();
	servers();
	pages();
	memory_types();
	dirty();
	relocate();
	caches();
	lines();
	endings();
	return tap_end();
}
