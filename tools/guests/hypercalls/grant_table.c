// SPDX-License-Identifier: GPL-2.0-only
/* grant_table_op. */

#include "hypercalls.h"

#include <xen/grant_table.h>

void test_grant_table(void)
{
	static gnttab_set_version_t version;
	static gnttab_get_version_t get;
	static gnttab_query_size_t size;
	static gnttab_setup_table_t setup;
	static gnttab_map_grant_ref_t map;
	static gnttab_unmap_grant_ref_t unmap;
	static gnttab_copy_t copy;
	static struct xen_add_to_physmap place;
	static gnttab_swap_grant_ref_t swap;
	long rc;

#define GRANT(cmd, arg, n) DO(grant_table_op, cmd, arg, n)
	size.dom = DOMID_SELF;
	IS(0, GRANT(GNTTABOP_query_size, &size, 1));
	tap_equal(size.status, GNTST_okay, "the size of the grant table");
	tap(size.nr_frames <= size.max_nr_frames && size.max_nr_frames, "it is less than the most");
	size.dom = 0x1234;
	IS(0, GRANT(GNTTABOP_query_size, &size, 1));
	tap_equal(size.status, GNTST_bad_domain, "no domain of that number");
	size.dom = 0;
	IS(0, GRANT(GNTTABOP_query_size, &size, 1));
	tap_equal(size.status, GNTST_permission_denied, "not of another domain");
	IS(-XEN_EFAULT, GRANT(GNTTABOP_query_size, NOWHERE, 1));
	IS(-XEN_EINVAL, GRANT(GNTTABOP_query_size, &size, 2));

	get.dom = DOMID_SELF;
	IS(0, GRANT(GNTTABOP_get_version, &get, 1));
	tap_equal(get.version, 1, "the grant table is of version 1");
	version.version = 3;
	IS(-XEN_EINVAL, GRANT(GNTTABOP_set_version, &version, 1));
	version.version = 0;
	IS(-XEN_EINVAL, GRANT(GNTTABOP_set_version, &version, 1));
	version.version = 1;
	IS(0, GRANT(GNTTABOP_set_version, &version, 1));
	tap_equal(version.version, 1, "version 1 stays");
	/*
	 * Where there is no version 2 that is said as Xen with gnttab=max-ver:1 says it. GT-12, 14, 18 and 20 are
	 * about its status frames and about going there and back.
	 */
	version.version = 2;
	rc = GRANT(GNTTABOP_set_version, &version, 1);
	tap(rc == -XEN_ENOSYS || (!rc && version.version == 2),
	    "GT-12, 14, 18, 20 version 2 is there or absent");
	tap_note("is %ld", rc);
	version.version = 1;
	IS(0, GRANT(GNTTABOP_set_version, &version, 1));

	get.version = 0;
	IS(0, GRANT(GNTTABOP_get_version, &get, 1));
	tap_equal(get.version, 1, "GT-20 it is of version 1 as before");
	place.domid = DOMID_SELF;
	place.space = XENMAPSPACE_grant_table;
	place.gpfn = H(page) / PAGE_SIZE;
	place.idx = XENMAPIDX_grant_table_status;
	rc = memory_op(XENMEM_add_to_physmap, &place);
	tap(rc < 0, "GT-12, 14, 18 it has no status frames to be mapped (%ld)", rc);

	setup.dom = DOMID_SELF;
	setup.nr_frames = 1;
	set_xen_guest_handle(setup.frame_list, (void *)page);
	IS(0, GRANT(GNTTABOP_setup_table, &setup, 1));
	tap_note("setup_table's status is %d", setup.status);
	setup.nr_frames = 0x10000;
	IS(0, GRANT(GNTTABOP_setup_table, &setup, 1));
	tap_equal(setup.status, GNTST_general_error, "not more frames than there may be");
	setup.nr_frames = 1;
	setup.dom = 0x1234;
	IS(0, GRANT(GNTTABOP_setup_table, &setup, 1));
	tap_equal(setup.status, GNTST_bad_domain, "no table of a domain that is not there");
	IS(-XEN_EINVAL, GRANT(GNTTABOP_setup_table, &setup, 2));

	map.dom = 0x1234;
	map.flags = GNTMAP_host_map;
	IS(0, GRANT(GNTTABOP_map_grant_ref, &map, 1));
	tap_equal(map.status, GNTST_bad_domain, "map: no such domain");
	map.dom = 0;
	map.ref = 0xffffff;
	IS(0, GRANT(GNTTABOP_map_grant_ref, &map, 1));
	tap_equal(map.status, GNTST_bad_gntref, "map: no such reference");
	map.flags = 0;
	IS(0, GRANT(GNTTABOP_map_grant_ref, &map, 1));
	tap_equal(map.status, GNTST_bad_gntref, "map: nothing asked for");
	unmap.handle = 0x123456;
	IS(0, GRANT(GNTTABOP_unmap_grant_ref, &unmap, 1));
	tap_equal(unmap.status, GNTST_bad_handle, "unmap: no such handle");
	copy.source.domid = DOMID_SELF;
	copy.source.u.gmfn = H(page) / PAGE_SIZE;
	copy.dest.domid = DOMID_SELF;
	copy.dest.u.gmfn = H(other_page) / PAGE_SIZE;
	copy.len = 8;
	*(u64 *)page = 0x1122334455667788;
	barrier();
	IS(0, GRANT(GNTTABOP_copy, &copy, 1));
	tap_note("copy's status is %d", copy.status);
	copy.len = 5000;
	IS(0, GRANT(GNTTABOP_copy, &copy, 1));
	tap(copy.status < 0, "copy: beyond a page");
	swap.ref_a = 0xffffff;
	IS(0, GRANT(GNTTABOP_swap_grant_ref, &swap, 1));
	tap_equal(swap.status, GNTST_bad_gntref, "swap: no such reference");
	IS(-XEN_EFAULT, GRANT(GNTTABOP_map_grant_ref, NOWHERE, 1));
	IS(0, GRANT(GNTTABOP_map_grant_ref, NOWHERE, 0));
	/* Not for guests of this kind (XSA-232 for the last). */
	IS(-XEN_ENOSYS, GRANT(GNTTABOP_dump_table, page, 1));
	IS(-XEN_ENOSYS, GRANT(GNTTABOP_transfer, page, 1));
	IS(-XEN_ENOSYS, GRANT(GNTTABOP_unmap_and_replace, page, 1));
	tap_equal(GRANT(GNTTABOP_get_status_frames, page, 1), -XEN_ENOSYS,
		  "GT-12, 14, 18 nor a list of them");
	IS(-XEN_ENOSYS, GRANT(GNTTABOP_cache_flush, page, 1));
	IS(-XEN_ENOSYS, GRANT(13, page, 1));
	IS(-XEN_EINVAL, GRANT(GNTTABOP_map_grant_ref, page, 0x80000000));
}
