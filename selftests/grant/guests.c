// SPDX-License-Identifier: GPL-2.0-only
/*
 * Proves what guests do with each other's grants: one gives pages, the other maps, reads, writes and copies them, in
 * both widths; what is refused; and what remains when one of them ends. Version 1 throughout (GT-numbers that exist
 * only because of version 2 or transfers say so in the host's tests).
 */

#include "grant.h"

/* Where pages of the other guest are mapped, beyond all memory. */
#define TO_GFN 0x200UL
/* A page of the granter that it gives. */
#define GIVEN_GFN 0x28UL
#define GIVEN (granter.data + (GIVEN_GFN - WORKER_DATA_GFN) * PAGE_SIZE)

static int fd, bits;
static struct worker granter, mapper;
static volatile grant_entry_v1_t *table;

/* A reference per part of the test, so that none hides what another left. */
static uint32_t ref = FIRST_REF;

static uint16_t in_use(uint32_t which)
{
	return table[which].flags & (GTF_reading | GTF_writing);
}

static uint64_t mapper_reads(uint64_t gfn, unsigned int offset)
{
	return worker_do(&mapper, 0, OP_READ32, gfn * PAGE_SIZE + offset, 0, 0);
}

static void by_itself(void)
{
	/* As a guest does it: the table's frame in its memory, the entry written there. */
	struct xen_add_to_physmap wide = { .domid = DOMID_SELF, .space = XENMAPSPACE_grant_table,
					  .gpfn = 0x180 };
	uint32_t narrow[4] = { DOMID_SELF, XENMAPSPACE_grant_table, 0, 0x180 };
	uint32_t handle;

	memcpy(granter.data, bits == 64 ? (void *)&wide : (void *)narrow,
	       bits == 64 ? sizeof(wide) : sizeof(narrow));
	tap_equal((int)worker_call(&granter, 0, __HYPERVISOR_memory_op, XENMEM_add_to_physmap,
				   DATA(0), 0, 0), 0,
		  "a guest puts its grant table in its memory");
	worker_do(&granter, 0, OP_WRITE32, 0x180000 + ref * 8 + 4, GIVEN_GFN, 0);
	worker_do(&granter, 0, OP_WRITE32, 0x180000 + ref * 8,
		  (uint32_t)mapper.domain << 16 | GTF_permit_access, 0);
	tap_equal(table[ref].frame, GIVEN_GFN, "the host sees the entry that it writes");
	tap_equal(grant_map(&mapper, granter.domain, ref, GNTMAP_host_map, TO_GFN, &handle),
		  GNTST_okay, "it is mapped");
	tap_equal(grant_unmap(&mapper, TO_GFN, handle), GNTST_okay, "and unmapped");
	worker_do(&granter, 0, OP_WRITE32, 0x180000 + ref * 8, 0, 0);
	ref++;
}

static void mapped(void)
{
	uint32_t handle, second;

	GIVEN[0] = 0x11;
	grant(&table[ref], mapper.domain, GIVEN_GFN, GTF_permit_access);
	tap_equal(grant_map(&mapper, granter.domain, ref, GNTMAP_host_map, TO_GFN, &handle),
		  GNTST_okay, "a page is mapped");
	tap_equal(in_use(ref), GTF_reading | GTF_writing, "GT-5 the entry says so");
	tap_equal(mapper_reads(TO_GFN, 0) & 0xff, 0x11, "the other guest reads it");
	worker_do(&mapper, 0, OP_WRITE32, TO_GFN * PAGE_SIZE + 8, 0x22334455, 0);
	tap_equal(*(uint32_t *)(GIVEN + 8), 0x22334455, "and writes it");
	tap_equal(grant_map(&mapper, granter.domain, ref, GNTMAP_host_map | GNTMAP_readonly,
			    TO_GFN + 1, &second), GNTST_okay,
		  "it is mapped once more, to be read");
	worker_do(&mapper, 0, OP_WRITE32, (TO_GFN + 1) * PAGE_SIZE + 8, 1, 0);
	tap_equal(mapper_reads(TO_GFN + 1, 8), 0x22334455, "a write there is dropped");
	tap_equal(grant_unmap(&mapper, TO_GFN + 1, handle), GNTST_general_error,
		  "a handle of another place");
	tap_equal(grant_unmap(&mapper, TO_GFN, handle), GNTST_okay, "the first is unmapped");
	tap_equal(mapper_reads(TO_GFN, 0), 0xffffffff, "GT-16 nobody reads it there");
	tap_equal(in_use(ref), GTF_reading, "GT-5 the entry says that it is only read");
	tap_equal(grant_unmap(&mapper, TO_GFN, handle), GNTST_bad_handle, "GT-1 once");
	tap_equal(grant_unmap(&mapper, TO_GFN + 1, second), GNTST_okay, "the second is unmapped");
	tap_equal(in_use(ref), 0, "GT-5 the entry is idle");
	tap_equal(grant_unmap(&mapper, TO_GFN + 1, 0xdeadbeef), GNTST_bad_handle,
		  "GT-4 a handle that there is not");
	ref++;
}

static void refused(void)
{
	uint32_t big = 4 * 512, handle;

	grant(&table[ref], mapper.domain, GIVEN_GFN, GTF_permit_access | GTF_readonly);
	tap_equal(grant_map(&mapper, granter.domain, ref, GNTMAP_host_map, TO_GFN, NULL),
		  GNTST_general_error,
		  "GT-2 a page to be read is not mapped to be written");
	tap_equal(in_use(ref), 0, "GT-2 and the entry is idle");
	tap_equal(grant_map(&mapper, granter.domain, ref, GNTMAP_host_map | GNTMAP_readonly, TO_GFN,
			    &handle), GNTST_okay,
		  "but to be read");
	grant_unmap(&mapper, TO_GFN, handle);
	tap_equal(grant_map(&mapper, granter.domain, big, GNTMAP_host_map, TO_GFN, NULL),
		  GNTST_bad_gntref,
		  "GT-6 a reference past the table");
	tap_equal(grant_map(&mapper, granter.domain, ~0U, GNTMAP_host_map, TO_GFN, NULL),
		  GNTST_bad_gntref, "GT-6 the last one");
	tap(grant_map(&mapper, granter.domain, ref + 1, GNTMAP_host_map, TO_GFN, NULL) < 0,
	    "an entry that is empty");
	tap_equal(grant_map(&mapper, NO_DOMAIN, ref, GNTMAP_host_map, TO_GFN, NULL),
		  GNTST_bad_domain, "no such domain");
	grant(&table[ref], granter.domain, GIVEN_GFN, GTF_permit_access);
	tap(grant_map(&mapper, granter.domain, ref, GNTMAP_host_map, TO_GFN, NULL) < 0,
	    "one for somebody else");
	grant(&table[ref], mapper.domain, 0x7777, GTF_permit_access);
	tap(grant_map(&mapper, granter.domain, ref, GNTMAP_host_map, TO_GFN, NULL) < 0,
	    "GT-6 a frame without memory");
	grant(&table[ref], mapper.domain, ~0U, GTF_permit_access);
	tap(grant_map(&mapper, granter.domain, ref, GNTMAP_host_map, TO_GFN, NULL) < 0,
	    "GT-6 a frame beyond all");
	tap_equal(in_use(ref), 0, "GT-2 which leaves the entry idle");
	grant(&table[ref], mapper.domain, GIVEN_GFN, GTF_permit_access);
	tap(grant_map(&mapper, granter.domain, ref,
		      GNTMAP_device_map | GNTMAP_contains_pte | GNTMAP_host_map, TO_GFN, NULL) < 0,
	    "flags that guests of this kind do not have");
	tap(grant_map(&mapper, granter.domain, ref, GNTMAP_host_map, 1ULL << 40, NULL) < 0,
	    "a place beyond all memory");
	tap_equal(in_use(ref), 0, "GT-2 which leaves the entry idle");
	grant(&table[ref], mapper.domain, GIVEN_GFN, GTF_transitive);
	tap(grant_map(&mapper, granter.domain, ref, GNTMAP_host_map, TO_GFN, NULL) < 0,
	    "GT-3 a transitive entry permits nothing");
	grant(&table[ref], mapper.domain, GIVEN_GFN, GTF_accept_transfer);
	tap(grant_map(&mapper, granter.domain, ref, GNTMAP_host_map, TO_GFN, NULL) < 0,
	    "GT-8 nor does one for a transfer");
	table[ref].flags = 0;
	ref++;
}

/* A grant of a page that is itself another's. */
static void passed_on(void)
{
	volatile grant_entry_v1_t *own = grant_table(fd, mapper.domain, 1);
	uint32_t handle;

	grant(&table[ref], mapper.domain, GIVEN_GFN, GTF_permit_access);
	grant_map(&mapper, granter.domain, ref, GNTMAP_host_map, TO_GFN, &handle);
	grant(&own[FIRST_REF], granter.domain, TO_GFN, GTF_permit_access);
	tap(grant_map(&granter, mapper.domain, FIRST_REF, GNTMAP_host_map, TO_GFN, NULL) < 0,
	    "GT-3 a page that is granted cannot be granted on");
	own[FIRST_REF].flags = 0;
	tap_equal(grant_unmap(&mapper, TO_GFN, handle), GNTST_okay, "it is unmapped");
	munmap((void *)own, PAGE_SIZE);
	ref++;
}

/* The two layouts of GNTTABOP_copy. */
static int copy(struct worker *w, uint64_t from, domid_t from_domain, uint16_t from_offset,
		uint64_t to, domid_t to_domain,
		uint16_t to_offset, uint16_t len, uint16_t flags)
{
	long rc;

	if (bits == 64) {
		struct gnttab_copy op = {
			.source = { .u.gmfn = from, .domid = from_domain, .offset = from_offset },
			.dest = { .u.gmfn = to, .domid = to_domain, .offset = to_offset },
			.len = len, .flags = flags,
		};

		rc = grant_op(w, GNTTABOP_copy, &op, sizeof(op), 1);
		return (int)rc ? (int)rc - 1000 : op.status;
	} else {
		struct {
			uint32_t from;
			uint16_t from_domain, from_offset;
			uint32_t to;
			uint16_t to_domain, to_offset, len, flags;
			int16_t status;
		} op = { from, from_domain, from_offset, to, to_domain, to_offset, len, flags, 0 };

		rc = grant_op(w, GNTTABOP_copy, &op, sizeof(op), 1);
		return (int)rc ? (int)rc - 1000 : op.status;
	}
}

static void copied(void)
{
	uint8_t *own = mapper.data + 0x8000;

	grant(&table[ref], mapper.domain, GIVEN_GFN, GTF_permit_access);
	memcpy(GIVEN + 100, "from the granter", 17);
	tap_equal(copy(&mapper, ref, granter.domain, 100, WORKER_DATA_GFN + 8, DOMID_SELF, 7, 17,
		       GNTCOPY_source_gref), GNTST_okay,
		  "bytes are copied out of a granted page");
	tap(!memcmp(own + 7, "from the granter", 17), "and are those");
	memcpy(own, "from the other", 15);
	tap_equal(copy(&mapper, WORKER_DATA_GFN + 8, DOMID_SELF, 0, ref, granter.domain, 4081, 15,
		       GNTCOPY_dest_gref), GNTST_okay,
		  "bytes are copied into one, to its last");
	tap(!memcmp(GIVEN + 4081, "from the other", 15), "and are those");
	tap_equal(in_use(ref), 0, "GT-5 the entry is idle");
	tap_equal(copy(&mapper, ref, granter.domain, 4090, WORKER_DATA_GFN + 8, DOMID_SELF, 0, 7,
		       GNTCOPY_source_gref),
		  GNTST_bad_copy_arg, "not past the page's end");
	tap_equal(copy(&mapper, ref, granter.domain, 0, WORKER_DATA_GFN + 8, DOMID_SELF, 4095, 2,
		       GNTCOPY_source_gref),
		  GNTST_bad_copy_arg, "nor past the end of the other");
	tap_equal(copy(&mapper, ref, granter.domain, 0, WORKER_DATA_GFN + 8, DOMID_SELF, 0, 0xffff,
		       GNTCOPY_source_gref),
		  GNTST_bad_copy_arg, "nor 65535 bytes");
	tap_equal(in_use(ref), 0, "GT-2 the entry is idle");
	tap(copy(&mapper, GIVEN_GFN, granter.domain, 0, WORKER_DATA_GFN + 8, DOMID_SELF, 0, 8,
		 0) < 0,
	    "nor out of another's page without a grant");
	table[ref].flags |= GTF_readonly;
	tap(copy(&mapper, WORKER_DATA_GFN + 8, DOMID_SELF, 0, ref, granter.domain, 0, 8,
		 GNTCOPY_dest_gref) < 0,
	    "nor into one that is to be read");
	tap_equal(in_use(ref), 0, "GT-2 the entry is idle");
	table[ref].flags = 0;
	tap(copy(&mapper, ref, granter.domain, 0, WORKER_DATA_GFN + 8, DOMID_SELF, 0, 8,
		 GNTCOPY_source_gref) < 0,
	    "nor by an entry that was withdrawn");
	ref++;
}

static void swapped(void)
{
	struct gnttab_swap_grant_ref op = { .ref_a = ref, .ref_b = ref + 1 };
	uint32_t handle;

	grant(&table[ref], mapper.domain, GIVEN_GFN, GTF_permit_access);
	grant(&table[ref + 1], mapper.domain, GIVEN_GFN + 1, GTF_permit_access);
	tap_equal((int)grant_op(&granter, GNTTABOP_swap_grant_ref, &op, sizeof(op), 1), 0,
		  "two entries are exchanged");
	tap_equal(op.status, GNTST_okay, "as the status says");
	tap(table[ref].frame == GIVEN_GFN + 1 && table[ref + 1].frame == GIVEN_GFN, "and they are");
	grant_map(&mapper, granter.domain, ref, GNTMAP_host_map, TO_GFN, &handle);
	grant_op(&granter, GNTTABOP_swap_grant_ref, &op, sizeof(op), 1);
	tap_equal(op.status, GNTST_eagain, "GT-9 not while one is in use");
	tap_equal(table[ref].frame, GIVEN_GFN + 1, "GT-9 and they stay");
	grant_unmap(&mapper, TO_GFN, handle);
	op.ref_b = ~0U;
	grant_op(&granter, GNTTABOP_swap_grant_ref, &op, sizeof(op), 1);
	tap_equal(op.status, GNTST_bad_gntref, "GT-6 nor one that there is not");
	table[ref].flags = table[ref + 1].flags = 0;
	ref += 2;
}

static void queried(void)
{
	struct gnttab_query_size size = { .dom = DOMID_SELF };
	struct gnttab_get_version version = { .dom = DOMID_SELF };
	struct gnttab_set_version set = { .version = 2 };
	struct gnttab_cache_flush flush = { .op = GNTTAB_CACHE_CLEAN, .length = 64 };

	tap_equal((int)grant_op(&granter, GNTTABOP_query_size, &size, sizeof(size), 1), 0,
		  "the size is asked for");
	tap(size.status == GNTST_okay && size.nr_frames == 4 && size.max_nr_frames == 4,
	    "and told");
	size = (struct gnttab_query_size){ .dom = mapper.domain };
	grant_op(&granter, GNTTABOP_query_size, &size, sizeof(size), 1);
	tap_equal(size.status, GNTST_permission_denied, "not another's");
	size = (struct gnttab_query_size){ .dom = granter.domain };
	tap_equal(xen_call3(fd, __HYPERVISOR_grant_table_op, GNTTABOP_query_size, &size, 1), 0,
		  "the host may ask");
	tap_equal(size.max_nr_frames, 4, "and is told");
	tap_equal((int)grant_op(&granter, GNTTABOP_get_version, &version, sizeof(version), 1), 0,
		  "the version");
	tap_equal(version.version, 1, "is 1");
	tap((int)grant_op(&granter, GNTTABOP_set_version, &set, sizeof(set), 1) < 0,
	    "GT-7 and stays 1");
	tap_equal((int)grant_op(&mapper, GNTTABOP_cache_flush, &flush, sizeof(flush), 1), -ENOSYS,
		  "GT-10 caches are not a guest's to flush");
	flush.a.dev_bus_addr = 0x1000;
	tap_equal(xen_call3(fd, __HYPERVISOR_grant_table_op, GNTTABOP_cache_flush, &flush, 1),
		  -EINVAL,
		  "GT-10 nor the host's, of a page that is not mapped by grant");
	flush.offset = 4095;
	tap_equal(xen_call3(fd, __HYPERVISOR_grant_table_op, GNTTABOP_cache_flush, &flush, 1),
		  -EINVAL,
		  "nor past the page's end");
	flush = (struct gnttab_cache_flush){ .op = 0 };
	tap_equal(xen_call3(fd, __HYPERVISOR_grant_table_op, GNTTABOP_cache_flush, &flush, 1), 0,
		  "nothing at all is done");
}

/* More operations than one step does. */
static void many(void)
{
	struct gnttab_map_grant_ref map[100];
	struct gnttab_unmap_grant_ref unmap[100];
	unsigned int i, wrong = 0;

	for (i = 0; i < 100; i++) {
		grant(&table[100 + i], mapper.domain, WORKER_DATA_GFN + i % 16, GTF_permit_access);
		map[i] = (struct gnttab_map_grant_ref){
			.host_addr = (TO_GFN + i) * PAGE_SIZE, .flags = GNTMAP_host_map,
			.ref = 100 + i, .dom = granter.domain,
		};
	}
	tap_equal((int)grant_op(&mapper, GNTTABOP_map_grant_ref, map, sizeof(*map), 100), 0,
		  "GT-13 100 are mapped by one call");
	for (i = 0; i < 100; i++) {
		wrong += map[i].status != GNTST_okay ||
		in_use(100 + i) != (GTF_reading | GTF_writing);
		unmap[i] = (struct gnttab_unmap_grant_ref){ .host_addr = map[i].host_addr,
							   .handle = map[i].handle };
	}
	tap_equal(wrong, 0, "each of them");
	granter.data[5 * PAGE_SIZE + 50] = 0x5a;
	tap_equal(mapper_reads(TO_GFN + 16 + 5, 50) & 0xff, 0x5a, "at its place");
	tap_equal((int)grant_op(&mapper, GNTTABOP_unmap_grant_ref, unmap, sizeof(*unmap), 100), 0,
		  "GT-13 and unmapped");
	for (i = 0, wrong = 0; i < 100; i++) {
		wrong += unmap[i].status != GNTST_okay || in_use(100 + i) ||
		mapper_reads(TO_GFN + i, 0) != 0xffffffff;
		table[100 + i].flags = 0;
	}
	tap_equal(wrong, 0, "each of them");
}

/* Who ends with what it has mapped, or with what others have mapped of it. */
static void ended(void)
{
	uint32_t handle;
	unsigned int i;

	grant(&table[ref], mapper.domain, GIVEN_GFN, GTF_permit_access);
	tap_equal(grant_map(&mapper, granter.domain, ref, GNTMAP_host_map, TO_GFN, &handle),
		  GNTST_okay, "a page is mapped");
	tap_equal(worker_end(&mapper), 0, "its user is destroyed");
	for (i = 0; i < 2000 && in_use(ref); i++)
		usleep(1000);
	tap_equal(in_use(ref), 0, "GT-6 the granter's entry is idle");
	GIVEN[1] = 0x99;
	worker_start(&mapper, fd, 1, bits);
	tap(grant_map(&mapper, granter.domain, ref, GNTMAP_host_map, TO_GFN, &handle) < 0,
	    "the next guest has no part in it");
	grant(&table[ref], mapper.domain, GIVEN_GFN, GTF_permit_access);
	tap_equal(grant_map(&mapper, granter.domain, ref, GNTMAP_host_map, TO_GFN, &handle),
		  GNTST_okay, "but by its own grant");
	tap_equal(worker_end(&granter), 0, "the granter is destroyed");
	tap_equal(mapper_reads(TO_GFN, 0) >> 8 & 0xff, 0x99, "A-6 the page stays with its user");
	tap_equal(grant_unmap(&mapper, TO_GFN, handle), GNTST_okay, "who unmaps it");
	tap_equal(mapper_reads(TO_GFN, 0), 0xffffffff, "GT-16 and then has it no more");
}

/* XSA-318: a list of copies that is long enough to be interrupted, of which one fails. */
static void copied_many(void)
{
	enum { COUNT = 100, BAD = 60 };
	static struct gnttab_copy list[COUNT];
	unsigned int i, wrong = 0;
	long rc;

	/* The other width has another layout, and nothing else of its own. */
	if (bits != 64)
		return;
	grant(&table[ref], mapper.domain, GIVEN_GFN, GTF_permit_access);
	for (i = 0; i < COUNT; i++) {
		GIVEN[i] = i + 1;
		list[i] = (struct gnttab_copy){
			.source = { .u.ref = i == BAD ? ~0U : ref, .domid = granter.domain,
				    .offset = i },
			.dest = { .u.gmfn = WORKER_DATA_GFN + 1, .domid = DOMID_SELF, .offset = i },
			.len = 1, .flags = GNTCOPY_source_gref, .status = 77,
		};
	}
	memset(mapper.data + PAGE_SIZE, 0, COUNT);
	rc = grant_op(&mapper, GNTTABOP_copy, list, sizeof(*list), COUNT);
	tap_equal((int)rc, 0, "GT-11 100 are copied by one call, which says nothing of the parts");
	for (i = 0; i < COUNT; i++) {
		bool bad = i == BAD;

		wrong += list[i].status != (bad ? GNTST_bad_gntref : GNTST_okay) ||
			mapper.data[PAGE_SIZE + i] != (bad ? 0 : i + 1);
	}
	tap_equal(wrong, 0, "GT-11 each has its own status, also after one that failed");
	tap_equal(in_use(ref), 0, "GT-11 the entry is idle");
	ref++;
}

/* XSA-384: a frame of the table that was at one place, and is at another. */
static void moved(void)
{
	struct xen_add_to_physmap wide = { .domid = DOMID_SELF, .space = XENMAPSPACE_grant_table };
	uint32_t narrow[4] = { DOMID_SELF, XENMAPSPACE_grant_table, 0, 0 };
	unsigned int i, j, twice = 0, refused = 0;

	for (i = 0; i < 50; i++) {
		uint64_t to = 0x180 + i % 3, there = 0;

		wide.gpfn = narrow[3] = to;
		memcpy(granter.data, bits == 64 ? (void *)&wide : (void *)narrow,
		       bits == 64 ? sizeof(wide) : sizeof(narrow));
		refused += (int)worker_call(&granter, 0, __HYPERVISOR_memory_op,
					    XENMEM_add_to_physmap, DATA(0), 0, 0) != 0;
		table[ref].frame = i + 1;
		for (j = 0; j < 3; j++)
			there += worker_do(&granter, 0, OP_READ32,
					   (0x180 + j) * PAGE_SIZE + ref * 8 + 4, 0, 0) == i + 1;
		twice += there != 1;
	}
	table[ref].frame = 0;
	tap_equal(refused, 0, "GT-15 a frame of the table is moved 50 times");
	tap_equal(twice, 0, "GT-15 and is at one place only each time");
	ref++;
}

static void run(void)
{
	tap_note("%d-bit guests", bits);
	worker_start(&granter, fd, 1, bits);
	worker_start(&mapper, fd, 1, bits);
	table = grant_table(fd, granter.domain, 4);
	by_itself();
	mapped();
	refused();
	passed_on();
	copied();
	swapped();
	queried();
	many();
	copied_many();
	moved();
	ended();
	munmap((void *)table, 4 * PAGE_SIZE);
	tap_equal(worker_end(&mapper), 0, "both are destroyed");
}

int main(void)
{
	return worker_both_widths(&fd, &bits, run);
}
