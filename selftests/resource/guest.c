// SPDX-License-Identifier: GPL-2.0-only
/*
 * Proves what a guest that is a tools domain is given of its target's resources: the frames are entered in its own
 * memory, at places of its choice, in the layouts of 64- and 32-bit callers.
 */

#include "ioreq.h"

/* Where the arguments are: at the very end of the guest's memory if need be. */
#define LAST_GFN 0x3fUL
/* Where the frames go, beyond all memory. */
#define TO_GFN 0x100UL

static int fd;
static struct worker tools, target;
static uint8_t *last_page;
static int bits;

struct wide {
	uint16_t domid, type;
	uint32_t id, nr_frames, pad;
	uint64_t frame, list;
};

/* As it is since Xen 4.14: without the tail that a 64-bit handle would need. */
struct narrow {
	uint16_t domid, type;
	uint32_t id, nr_frames, pad;
	uint64_t frame;
	uint32_t list;
} __attribute__((packed));

_Static_assert(sizeof(struct wide) == 32 && sizeof(struct narrow) == 28,
	       "the sizes of the layouts");

/* What the next call asks for. */
static struct wide ask;

/* Puts the argument so that `room` bytes of memory are left from its beginning on, which is at most its size. */
static long acquire_at_end(size_t room)
{
	uint8_t raw[32];
	struct narrow narrow = {
		.domid = ask.domid, .type = ask.type, .id = ask.id, .nr_frames = ask.nr_frames,
		.pad = ask.pad,
		.frame = ask.frame, .list = ask.list,
	};

	if (bits == 64)
		memcpy(raw, &ask, sizeof(ask));
	else
		memcpy(raw, &narrow, sizeof(narrow));
	memcpy(last_page + PAGE_SIZE - room, raw, room);
	return worker_call(&tools, 0, __HYPERVISOR_memory_op, XENMEM_acquire_resource,
			   (LAST_GFN + 1) * PAGE_SIZE - room, 0, 0);
}

static long acquire(void)
{
	return acquire_at_end(bits == 64 ? sizeof(struct wide) : sizeof(struct narrow));
}

/* Results have the width of the guest's registers. */
static long signed_result(long rc)
{
	return bits == 64 ? rc : (int)rc;
}

#define call(...) signed_result(acquire(__VA_ARGS__))

/* The count that the last call wrote. */
static uint32_t told(void)
{
	uint32_t count;
	size_t size = bits == 64 ? sizeof(struct wide) : sizeof(struct narrow);

	memcpy(&count, last_page + PAGE_SIZE - size + 8, sizeof(count));
	return count;
}

/* Writes entry i of the list, which begins at a byte of the data. */
static void entry(unsigned int offset, unsigned int i, uint64_t gfn)
{
	if (bits == 64)
		*(uint64_t *)(tools.data + offset + i * 8) = gfn;
	else
		*(uint32_t *)(tools.data + offset + i * 4) = gfn;
}

static void grants(uint32_t count)
{
	ask = (struct wide){
		.domid = target.domain, .type = XENMEM_resource_grant_table, .nr_frames = count,
		.list = count ? DATA(0) : 0,
	};
}

/* Takes frames out of the tools domain's memory again. */
static unsigned int take_out(uint64_t gfn, unsigned int count)
{
	struct xen_remove_from_physmap what = { .domid = tools.domain };
	unsigned int i, done = 0;

	for (i = 0; i < count; i++) {
		what.gpfn = gfn + i;
		done += !xen_call2(fd, __HYPERVISOR_memory_op, XENMEM_remove_from_physmap, &what);
	}
	return done;
}

static void refused(void)
{
	struct xen_domctl domctl = { 0 };

	grants(0);
	tap_equal(call(), -EPERM, "A-5 a guest has no power over another");
	domctl.u.set_target.target = target.domain;
	tap_equal(xen_domctl(fd, XEN_DOMCTL_set_target, tools.domain, &domctl), 0,
		  "it becomes a tools domain");
	ask.domid = tools.domain;
	tap_equal(call(), -EPERM, "A-5 not over itself");
	ask.domid = DOMID_SELF;
	tap_equal(call(), -ESRCH, "A-5 nor by that name");
	ask.domid = 0;
	tap_equal(call(), -EPERM, "A-5 nor over the control domain");
	ask.domid = NO_DOMAIN;
	tap_equal(call(), -ESRCH, "AR-3 nor over one that there is not");
	grants(0);
	tap_equal(call(), 0, "A-1 it may ask for the size");
	tap_equal(told(), 4, "A-2, AR-5 which is told, in its own layout");
	ask.type = 9;
	tap_equal(call(), -EINVAL, "A-2, AR-6 a type that there is not");
	grants(1);
	ask.pad = 4;
	tap_equal(call(), -EINVAL, "A-3 padding");
	grants(1);
	ask.frame = 0xffffffffULL;
	tap_equal(call(), -EINVAL, "A-3 frames across 2^32");
	grants(1);
	ask.list = 0;
	tap_equal(call(), -EINVAL, "AR-9 no list");
}

/* AR-10: the last byte of the structure is the last of memory. */
static void at_the_end(void)
{
	size_t size = bits == 64 ? sizeof(struct wide) : sizeof(struct narrow);

	grants(0);
	tap_equal(signed_result(acquire_at_end(size)), 0,
		  "A-9, AR-10 a structure of %zu bytes ends where memory ends", size);
	tap_equal(signed_result(acquire_at_end(size - 4)), -EFAULT,
		  "A-9, AR-10 four bytes less are not enough");
}

static void entered(void)
{
	uint32_t *table;
	unsigned int i, wrong = 0;
	long rc;

	table = resource_map(fd, target.domain, XENMEM_resource_grant_table, 0, 0, 4, &rc);
	if (!table)
		tap_bail("cannot map the table: %ld", rc);
	grants(4);
	for (i = 0; i < 4; i++) {
		entry(0, i, TO_GFN + 3 - i);
		table[i * 1024 + 1023] = 0xabc000 + i;
	}
	tap_equal(call(), 0, "A-1 four frames are entered in its memory");
	tap_equal(told(), 4, "A-7 the argument is as it was");
	for (i = 0; i < 4; i++)
		wrong += worker_do(&tools, 0, OP_READ32, (TO_GFN + 3 - i) * PAGE_SIZE + 4092, 0,
				   0) != 0xabc000 + i;
	tap_equal(wrong, 0, "A-1 each at its place");
	worker_do(&tools, 0, OP_WRITE32, TO_GFN * PAGE_SIZE + 16, 0x77, 0);
	tap_equal(table[3 * 1024 + 4], 0x77, "A-1 and it writes them");
	tap_equal(take_out(TO_GFN, 4), 4, "they are taken out");
	tap_equal(worker_do(&tools, 0, OP_READ32, TO_GFN * PAGE_SIZE + 16, 0, 0), 0xffffffff,
		  "and gone");
	tap_equal(table[3 * 1024 + 4], 0x77, "but not for others");
	munmap(table, 4 * PAGE_SIZE);
}

/* A failure after the first frame: the caller has to clean up. */
static void partly(void)
{
	unsigned int tail = bits == 64 ? 8 : 4;

	/* The list's second entry is beyond all memory. */
	grants(2);
	ask.list = LAST_GFN * PAGE_SIZE + 100;
	tap_equal(call(), 0, "two frames at the place 0, which the list says");
	tap_equal(take_out(0, 1), 1, "of which one is there");
	domain_populate(fd, tools.domain, 0, 1);
	{
		/* The argument is elsewhere for once. */
		uint8_t saved[32];
		size_t size = bits == 64 ? sizeof(struct wide) : sizeof(struct narrow);
		struct narrow narrow;
		long rc;

		memcpy(saved, last_page + PAGE_SIZE - 32, 32);
		grants(2);
		ask.list = (LAST_GFN + 1) * PAGE_SIZE - tail;
		narrow = (struct narrow){ .domid = ask.domid, .type = ask.type, .nr_frames = 2,
					 .list = ask.list };
		memcpy(tools.data + 2048, bits == 64 ? (void *)&ask : (void *)&narrow, size);
		memset(last_page + PAGE_SIZE - tail, 0, tail);
		last_page[PAGE_SIZE - tail] = TO_GFN & 0xff;
		last_page[PAGE_SIZE - tail + 1] = TO_GFN >> 8;
		rc = worker_call(&tools, 0, __HYPERVISOR_memory_op, XENMEM_acquire_resource,
				 DATA(2048), 0, 0);
		tap_equal(signed_result(rc), -EIO, "A-1 a list that ends too early is EIO");
		tap_equal(take_out(TO_GFN, 1), 1, "A-1 and its first frame is there");
		ask.list += tail;
		narrow.list = ask.list;
		memcpy(tools.data + 2048, bits == 64 ? (void *)&ask : (void *)&narrow, size);
		rc = worker_call(&tools, 0, __HYPERVISOR_memory_op, XENMEM_acquire_resource,
				 DATA(2048), 0, 0);
		tap_equal(signed_result(rc), -EFAULT, "A-1 one that is nowhere is not");
		memcpy(last_page + PAGE_SIZE - 32, saved, 32);
	}
	if (bits == 64) {
		grants(2);
		entry(0, 0, TO_GFN);
		entry(0, 1, 1ULL << 52);
		tap_equal(call(), -EIO,
			  "A-1 nor is a second place that there is not other than EIO");
		tap_equal(take_out(TO_GFN, 1), 1, "with the first frame there");
		entry(0, 0, 1ULL << 52);
		tap(call() < 0 && call() != -EIO,
		    "a first place that there is not is an error of its own");
	}
}

/* A tools domain that is a device model, as far as its pages go. */
static void server(void)
{
	long id = server_create(fd, target.domain, HVM_IOREQSRV_BUFIOREQ_ATOMIC), rc;
	uint32_t *page;

	page = resource_map(fd, target.domain, XENMEM_resource_ioreq_server, id, 1, 1, &rc);
	grants(1);
	ask.type = XENMEM_resource_ioreq_server;
	ask.id = id;
	ask.frame = 1;
	entry(0, 0, TO_GFN);
	tap_equal(call(), -EPERM, "I-3, IO-15 a server of another maker's has no pages for it");
	tap_equal(server_destroy(fd, target.domain, id), 0, "the server is destroyed");
	munmap(page, PAGE_SIZE);
	/* One of its own: struct xen_dm_op and its list of buffers. */
	{
		struct xen_dm_op op = { .op = XEN_DMOP_create_ioreq_server };
		uint32_t list[4] = { DATA(512), bits == 64 ? 0 : sizeof(op), sizeof(op), 0 };

		op.u.create_ioreq_server.handle_bufioreq = HVM_IOREQSRV_BUFIOREQ_ATOMIC;
		memcpy(tools.data + 512, &op, sizeof(op));
		memcpy(tools.data + 256, list, sizeof(list));
		rc = worker_call(&tools, 0, __HYPERVISOR_dm_op, target.domain, 1, DATA(256), 0);
		tap_equal(signed_result(rc), 0, "it makes a server of its own");
		memcpy(&op, tools.data + 512, sizeof(op));
		id = op.u.create_ioreq_server.id;
		tap_equal(server_destroy(fd, target.domain, id), -EPERM,
			  "I-3, IO-15 which nobody else controls");
		ask.id = id;
		ask.nr_frames = 2;
		ask.frame = 0;
		entry(0, 0, TO_GFN);
		entry(0, 1, TO_GFN + 1);
		tap_equal(call(), 0, "A-1 its two pages are entered in the tools domain's memory");
		worker_do(&tools, 0, OP_WRITE32, TO_GFN * PAGE_SIZE + 0xff0, 0x1234, 0);
		tap_equal(worker_do(&tools, 0, OP_READ32, TO_GFN * PAGE_SIZE + 0xff0, 0, 0), 0x1234,
			  "it uses them");
		tap_equal(worker_do(&tools, 0, OP_READ32, (TO_GFN + 1) * PAGE_SIZE + 0xff0, 0, 0),
			  0, "I-2 which were clear");
		ask.frame = 2;
		ask.nr_frames = 1;
		tap_equal(call(), -EINVAL, "I-1 there is no third");
	}
}

static void run(void)
{
	xen_pfn_t gfn = LAST_GFN;

	tap_note("%d-bit tools domain", bits);
	worker_start(&tools, fd, 1, bits);
	worker_start(&target, fd, 1, 64);
	last_page = xen_map(fd, tools.domain, &gfn, 1);
	if (!last_page)
		tap_bail("cannot map the guest's last page");
	refused();
	at_the_end();
	entered();
	partly();
	server();
	/* The target goes while its frames are in the tools domain's memory. */
	tap_equal(worker_end(&target), 0, "AR-1 the target is destroyed");
	tap_equal(worker_do(&tools, 0, OP_READ32, TO_GFN * PAGE_SIZE + 0xff0, 0, 0), 0x1234,
		  "A-6, AR-1 what is entered stays");
	tap_equal(call(), -ESRCH, "there is no more of it");
	munmap(last_page, PAGE_SIZE);
	tap_equal(worker_end(&tools), 0, "the tools domain is destroyed");
}

int main(void)
{
	return worker_both_widths(&fd, &bits, run);
}
