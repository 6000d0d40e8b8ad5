/* SPDX-License-Identifier: GPL-2.0-only */
/* Grants between guests that do what they are told: entries of version 1, and operations by hypercall. */
#ifndef SELFTESTS_GRANT_H
#define SELFTESTS_GRANT_H

#include "ioreq.h"
#include <xen/grant_table.h>

/* Where a worker keeps the argument of an operation, in its data. */
#define GRANT_ARGUMENT 0x4000U
/* References that are the guest's own to give. */
#define FIRST_REF 8U

/* The table of a domain as the host sees it, all its frames. */
__attribute__((unused)) static volatile grant_entry_v1_t *grant_table(int fd, domid_t domain,
								      unsigned int frames)
{
	long rc;
	void *at = resource_map(fd, domain, XENMEM_resource_grant_table, 0, 0, frames, &rc);

	if (!at)
		tap_bail("cannot map a grant table: %ld", rc);
	return at;
}

/* Makes an entry, in the order that its guest would. */
__attribute__((unused)) static void grant(volatile grant_entry_v1_t *entry, domid_t to,
					  uint32_t gfn, uint16_t flags)
{
	entry->frame = gfn;
	entry->domid = to;
	__sync_synchronize();
	entry->flags = flags;
}

/* Has a guest perform operations; the list comes back as it is then. The result is the hypercall's. */
__attribute__((unused)) static long grant_op(struct worker *w, unsigned int cmd, void *list,
					     size_t size, unsigned int count)
{
	long rc;

	memcpy(w->data + GRANT_ARGUMENT, list, size * count);
	rc = worker_call(w, 0, __HYPERVISOR_grant_table_op, cmd, DATA(GRANT_ARGUMENT), count, 0);
	memcpy(list, w->data + GRANT_ARGUMENT, size * count);
	return rc;
}

/* Has a guest map a grant at a frame of its memory. Returns the status, and the handle if that is not NULL. */
__attribute__((unused)) static int grant_map(struct worker *w, domid_t of, uint32_t ref,
					     uint32_t flags, uint64_t gfn,
					     uint32_t *handle)
{
	struct gnttab_map_grant_ref op = { .host_addr = gfn * PAGE_SIZE, .flags = flags, .ref = ref,
					  .dom = of };
	long rc = grant_op(w, GNTTABOP_map_grant_ref, &op, sizeof(op), 1);

	if (handle)
		*handle = op.handle;
	return (int)rc ? (int)rc - 1000 : op.status;
}

__attribute__((unused)) static int grant_unmap(struct worker *w, uint64_t gfn, uint32_t handle)
{
	struct gnttab_unmap_grant_ref op = { .host_addr = gfn * PAGE_SIZE, .handle = handle };
	long rc = grant_op(w, GNTTABOP_unmap_grant_ref, &op, sizeof(op), 1);

	return (int)rc ? (int)rc - 1000 : op.status;
}

#endif
