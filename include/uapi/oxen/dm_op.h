/* SPDX-License-Identifier: GPL-2.0-only WITH Linux-syscall-note */
/*
 * What oxen adds to Xen's device model operations (xen/hvm/dm_op.h).
 */
#ifndef _UAPI_OXEN_DM_OP_H
#define _UAPI_OXEN_DM_OP_H

/*
 * A bit of the type of a range in XEN_DMOP_map_io_range_to_ioreq_server: writes of the guest to the range are put into
 * the server's buffer, and nobody waits for them. Reads are requests as ever; what was buffered before a read is in the
 * buffer when the read arrives. A write that the buffer has no room for, or that does not fit in a place of it (see
 * buf_ioreq_t), is a request that is waited for.
 *
 * For ports and memory, of a server that was made with a buffer; EINVAL otherwise. A Xen hypervisor, which buffers
 * nothing but what is written to VGA memory, answers EINVAL too.
 */
#define OXEN_DMOP_IO_RANGE_BUFFERED (1U << 31)

#endif /* _UAPI_OXEN_DM_OP_H */
