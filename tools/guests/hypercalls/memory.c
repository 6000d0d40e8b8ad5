// SPDX-License-Identifier: GPL-2.0-only
/* memory_op. */

#include "hypercalls.h"

static void test_acquire_resource(void)
{
	struct xen_mem_acquire_resource acquire = { .domid = DOMID_SELF };

	if (memory_op(XENMEM_acquire_resource, &acquire) == -XEN_ENOSYS) {
		tap_skip("not for guests here", "acquire_resource");
		return;
	}
	IS(-XEN_EFAULT, memory_op(XENMEM_acquire_resource, NOWHERE));
	/* not of itself, by that name; not of another. */
	IS(-XEN_ESRCH, memory_op(XENMEM_acquire_resource, &acquire));
	acquire.domid = 0;
	IS(-XEN_EPERM, memory_op(XENMEM_acquire_resource, &acquire));
	acquire.domid = 0x1234;
	STRANGER(memory_op(XENMEM_acquire_resource, &acquire));
	/* */
	acquire.pad = 1;
	IS(-XEN_EINVAL, memory_op(XENMEM_acquire_resource, &acquire));
	acquire.pad = 0;
	acquire.frame = 1ULL << 32;
	IS(-XEN_EINVAL, memory_op(XENMEM_acquire_resource, &acquire));
}

/* A domain may replace the map that it was given. Nothing but what it reads depends on it. */
static void test_own_map(void)
{
	static u8 entries[64 * 20], now[64 * 20];
	struct xen_memory_map map = { .nr_entries = 64 };
	struct xen_foreign_memory_map own = { .domid = DOMID_SELF };
	u32 count;

	set_xen_guest_handle(map.buffer, entries);
	IS(0, memory_op(XENMEM_memory_map, &map));
	count = map.nr_entries;
	own.map.nr_entries = 1;
	set_xen_guest_handle(own.map.buffer, entries);
	IS(0, memory_op(XENMEM_set_memory_map, &own));
	map.nr_entries = 64;
	set_xen_guest_handle(map.buffer, now);
	IS(0, memory_op(XENMEM_memory_map, &map));
	tap(map.nr_entries == 1 && !memcmp(entries, now, 20),
	    "the domain's own map is the one that it set");
	own.map.nr_entries = 1025;
	IS(-XEN_EINVAL, memory_op(XENMEM_set_memory_map, &own));
	own.map.nr_entries = count;
	IS(0, memory_op(XENMEM_set_memory_map, &own));
	own.map.nr_entries = 4;
	set_xen_guest_handle(own.map.buffer, NOWHERE);
	IS(-XEN_EFAULT, memory_op(XENMEM_set_memory_map, &own));
	map.nr_entries = 64;
	IS(0, memory_op(XENMEM_memory_map, &map));
	tap(map.nr_entries == count && !memcmp(entries, now, count * 20),
	    "it is the old one again");
}

void test_memory(void)
{
	static struct xen_memory_reservation reservation;
	static struct xen_memory_map map;
	static xen_pfn_t frames[4];
	static xen_ulong_t indexes[2];
	static int errors[2];
	struct xen_add_to_physmap physmap = { .domid = DOMID_SELF };
	struct xen_remove_from_physmap remove = { .domid = DOMID_SELF };
	struct xen_add_to_physmap_batch batch = { .domid = DOMID_SELF };
	struct xen_foreign_memory_map foreign = { 0 };
	struct xen_pod_target pod = { .domid = DOMID_SELF };
	struct xen_vnuma_topology_info vnuma = { .domid = DOMID_SELF };
	struct xen_machphys_mapping machphys;
	domid_t domid = DOMID_SELF;
	long current, rc;

	/* How much there is. */
	current = GIVES(memory_op(XENMEM_current_reservation, &domid));
	tap(current > 0, "the domain has memory");
	tap(memory_op(XENMEM_maximum_reservation, &domid) >= current, "and may have as much");
	GIVES(memory_op(XENMEM_maximum_gpfn, &domid));
	GIVES(memory_op(XENMEM_maximum_ram_page, NULL));
	domid = 0;
	IS(-XEN_EPERM, memory_op(XENMEM_current_reservation, &domid));
	domid = 0x1234;
	STRANGER(memory_op(XENMEM_current_reservation, &domid));
	domid = DOMID_INVALID;
	STRANGER(memory_op(XENMEM_maximum_gpfn, &domid));
	IS(-XEN_EFAULT, memory_op(XENMEM_current_reservation, NOWHERE));
	IS(-XEN_EFAULT, memory_op(XENMEM_maximum_reservation, NOWHERE));
	IS(-XEN_EFAULT, memory_op(XENMEM_maximum_gpfn, NOWHERE));

	/* The memory map. */
	map.nr_entries = sizeof(page) / 20;
	set_xen_guest_handle(map.buffer, page);
	IS(0, memory_op(XENMEM_memory_map, &map));
	tap(map.nr_entries > 0 && map.nr_entries < 64, "the memory map has entries");
	map.nr_entries = 1;
	IS(0, memory_op(XENMEM_memory_map, &map));
	tap_equal(map.nr_entries, 1, "a short buffer gets as much as there is room for");
	map.nr_entries = 4;
	set_xen_guest_handle(map.buffer, NOWHERE);
	IS(-XEN_EFAULT, memory_op(XENMEM_memory_map, &map));
	IS(-XEN_EFAULT, memory_op(XENMEM_memory_map, NOWHERE));
	IS(-XEN_ENOSYS, memory_op(XENMEM_machine_memory_map, &map));
	foreign.domid = 0;
	IS(-XEN_EPERM, memory_op(XENMEM_set_memory_map, &foreign));
	test_own_map();
	REFUSED(memory_op(XENMEM_set_memory_map, NOWHERE), -XEN_EFAULT, -XEN_EPERM);
	IS(-XEN_ENOSYS, memory_op(XENMEM_machphys_mapping, &machphys));

	/* Reservations. */
	reservation.domid = DOMID_SELF;
	set_xen_guest_handle(reservation.extent_start, frames);
	frames[0] = H(other_page) / PAGE_SIZE;
	/* These answer with how many extents were done; so also where none could be. */
	IS(0, memory_op(XENMEM_populate_physmap, NOWHERE));
	IS(0, memory_op(XENMEM_decrease_reservation, NOWHERE));
	reservation.nr_extents = 0;
	IS(0, memory_op(XENMEM_populate_physmap, &reservation));
	IS(0, memory_op(XENMEM_decrease_reservation, &reservation));
	reservation.nr_extents = 1;
	IS(1, memory_op(XENMEM_decrease_reservation, &reservation));
	IS(current - 1, (domid = DOMID_SELF, memory_op(XENMEM_current_reservation, &domid)));
	/* Reading it is ~0, writing it does nothing. */
	WRITE_ONCE(*(u32 *)other_page, 1);
	tap_equal(READ_ONCE(*(u32 *)other_page), ~0U, "a page that is gone reads as ones");
	IS(0, memory_op(XENMEM_decrease_reservation, &reservation));
	IS(1, memory_op(XENMEM_populate_physmap, &reservation));
	tap_equal(READ_ONCE(*(u32 *)other_page), 0, "a page that is new is empty");
	IS(current, (domid = DOMID_SELF, memory_op(XENMEM_current_reservation, &domid)));
	frames[0] = (xen_pfn_t)1 << 24;
	IS(0, memory_op(XENMEM_decrease_reservation, &reservation));
	reservation.extent_order = 20;
	IS(0, memory_op(XENMEM_populate_physmap, &reservation));
	IS(0, memory_op(XENMEM_increase_reservation, &reservation));
	reservation.extent_order = 64;
	IS(0, memory_op(XENMEM_populate_physmap, &reservation));
	reservation.extent_order = 0;
	set_xen_guest_handle(reservation.extent_start, NOWHERE);
	IS(0, memory_op(XENMEM_decrease_reservation, &reservation));
	IS(0, memory_op(XENMEM_populate_physmap, &reservation));
	set_xen_guest_handle(reservation.extent_start, frames);
	reservation.nr_extents = ~0UL;
	IS(0, memory_op(XENMEM_populate_physmap, &reservation));
	reservation.nr_extents = 1;
	reservation.domid = 0;
	IS(0, memory_op(XENMEM_decrease_reservation, &reservation));
	reservation.domid = 0x1234;
	IS(0, memory_op(XENMEM_decrease_reservation, &reservation));
	reservation.domid = DOMID_SELF;

	/* Places in the physical map. */
	IS(-XEN_EFAULT, memory_op(XENMEM_add_to_physmap, NOWHERE));
	physmap.space = 77;
	IS(-XEN_EINVAL, memory_op(XENMEM_add_to_physmap, &physmap));
	physmap.space = XENMAPSPACE_gmfn_foreign;
	IS(-XEN_ENOSYS, memory_op(XENMEM_add_to_physmap, &physmap));
	physmap.space = XENMAPSPACE_dev_mmio;
	IS(-XEN_EACCES, memory_op(XENMEM_add_to_physmap, &physmap));
	physmap.space = XENMAPSPACE_shared_info;
	physmap.idx = 1;
	physmap.gpfn = H(page) / PAGE_SIZE;
	IS(-XEN_EINVAL, memory_op(XENMEM_add_to_physmap, &physmap));
	physmap.idx = 0;
	physmap.domid = 0;
	REFUSED(memory_op(XENMEM_add_to_physmap, &physmap), -XEN_EPERM, -XEN_EACCES);
	physmap.domid = 0x1234;
	STRANGER(memory_op(XENMEM_add_to_physmap, &physmap));
	physmap.domid = DOMID_SELF;
	physmap.space = XENMAPSPACE_grant_table;
	physmap.idx = 0x10000;
	IS(-XEN_EINVAL, memory_op(XENMEM_add_to_physmap, &physmap));
	physmap.space = XENMAPSPACE_gmfn;
	physmap.idx = 1 << 24;
	IS(-XEN_EACCES, memory_op(XENMEM_add_to_physmap, &physmap));

	/* A page moves from one place to another and leaves a hole. */
	*(u32 *)page = 0x600df00d;
	barrier();
	physmap.idx = H(page) / PAGE_SIZE;
	physmap.gpfn = H(other_page) / PAGE_SIZE;
	IS(0, memory_op(XENMEM_add_to_physmap, &physmap));
	tap_equal(READ_ONCE(*(u32 *)other_page), 0x600df00d, "the page is in its new place");
	tap_equal(READ_ONCE(*(u32 *)page), ~0U, "and not in its old one");
	physmap.idx = H(other_page) / PAGE_SIZE;
	physmap.gpfn = H(page) / PAGE_SIZE;
	IS(0, memory_op(XENMEM_add_to_physmap, &physmap));
	tap_equal(READ_ONCE(*(u32 *)page), 0x600df00d, "it can move back");
	IS(0, (physmap.idx = physmap.gpfn, memory_op(XENMEM_add_to_physmap, &physmap)));
	tap_equal(READ_ONCE(*(u32 *)page), 0x600df00d, "it can move to where it is");
#ifdef __x86_64__
	/* There is no such place: the page stays where it is. */
	physmap.gpfn = 1UL << 36;
	tap(memory_op(XENMEM_add_to_physmap, &physmap) < 0, "it cannot move beyond 48 bits");
	tap_equal(READ_ONCE(*(u32 *)page), 0x600df00d, "a move that fails loses nothing");
#endif
	frames[0] = H(other_page) / PAGE_SIZE;
	IS(1, memory_op(XENMEM_populate_physmap, &reservation));

	IS(-XEN_EFAULT, memory_op(XENMEM_remove_from_physmap, NOWHERE));
	remove.gpfn = 1 << 24;
	IS(-XEN_ENOENT, memory_op(XENMEM_remove_from_physmap, &remove));
	remove.gpfn = H(other_page) / PAGE_SIZE;
	IS(0, memory_op(XENMEM_remove_from_physmap, &remove));
	frames[0] = H(other_page) / PAGE_SIZE;
	rc = memory_op(XENMEM_populate_physmap, &reservation);
	tap(rc == 0 || rc == 1, "a removed page may come back");
	remove.domid = 0;
	REFUSED(memory_op(XENMEM_remove_from_physmap, &remove), -XEN_EPERM, -XEN_EACCES);
	remove.domid = 0x1234;
	STRANGER(memory_op(XENMEM_remove_from_physmap, &remove));

	IS(-XEN_EFAULT, memory_op(XENMEM_add_to_physmap_batch, NOWHERE));
	batch.space = XENMAPSPACE_gmfn_foreign;
	batch.u.foreign_domid = 0x1234;
	batch.size = 1;
	set_xen_guest_handle(batch.idxs, indexes);
	set_xen_guest_handle(batch.gpfns, frames);
	set_xen_guest_handle(batch.errs, errors);
	frames[0] = H(other_page) / PAGE_SIZE;
	rc = memory_op(XENMEM_add_to_physmap_batch, &batch);
	tap_note("batch of a foreign page is %ld, error %d", rc, errors[0]);
	tap(rc < 0 || errors[0] < 0, "no page of a domain that is not there");
	batch.u.foreign_domid = 0;
	errors[0] = 0;
	rc = memory_op(XENMEM_add_to_physmap_batch, &batch);
	tap_note("batch of a page of domain 0 is %ld, error %d", rc, errors[0]);
	tap(rc < 0 || errors[0] < 0, "no page of domain 0");
	batch.space = XENMAPSPACE_gmfn_range;
	IS(-XEN_EOPNOTSUPP, memory_op(XENMEM_add_to_physmap_batch, &batch));
	batch.space = XENMAPSPACE_gmfn;
	batch.size = 0;
	IS(0, memory_op(XENMEM_add_to_physmap_batch, &batch));
	batch.size = 1;
	batch.u.foreign_domid = 0;
	indexes[0] = 1 << 24;
	IS(0, memory_op(XENMEM_add_to_physmap_batch, &batch));
	tap_equal(errors[0], -XEN_EACCES, "the error of a batch is in its list");

	/* Others. */
	IS(-XEN_EPERM, memory_op(XENMEM_set_pod_target, &pod));
	IS(-XEN_EPERM, memory_op(XENMEM_get_pod_target, &pod));
	REFUSED(memory_op(XENMEM_set_pod_target, NOWHERE), -XEN_EFAULT, -XEN_EPERM);
	rc = memory_op(XENMEM_get_sharing_freed_pages, NULL);
	tap(rc == 0 || rc == -XEN_ENOSYS, "no pages are shared");
	IS(-XEN_EOPNOTSUPP, memory_op(XENMEM_get_vnumainfo, &vnuma));
	REFUSED(memory_op(XENMEM_get_vnumainfo, NOWHERE), -XEN_EFAULT, -XEN_EOPNOTSUPP);
	test_acquire_resource();
	/* For tools. */
	tap(memory_op(XENMEM_claim_pages, &reservation) < 0, "claim_pages is refused");
	IS(-XEN_ENOSYS, memory_op(8, NOWHERE));
	IS(-XEN_ENOSYS, memory_op(29, NOWHERE));
	IS(-XEN_ENOSYS, memory_op(63, NOWHERE));
}
