/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A faster way for the events of a monitor: a page and an event channel for each vCPU, in place of one ring.
 *
 * The messages, their meaning and the operations that choose events are those of Xen's public headers
 * (xen/vm_event.h, xen/domctl.h). What differs is how a message gets from a vCPU to the monitor and back.
 *
 * Beginning
 *   XEN_DOMCTL_vm_event_op with XEN_VM_EVENT_ENABLE and the mode OXEN_VM_EVENT_SLOTS. No page of the guest's is
 *   needed, HVM_PARAM_MONITOR_RING_PFN is not looked at, and no port is told. A domain has a ring or slots, not
 *   both: whoever comes second gets XEN_EBUSY. XEN_VM_EVENT_DISABLE and XEN_VM_EVENT_RESUME with the same mode
 *   end it, and take the answers of all slots.
 *
 *   The pages are the resource OXEN_RESOURCE_MONITOR_SLOTS (XENMEM_acquire_resource, IOCTL_PRIVCMD_MMAP_RESOURCE)
 *   with id 0: frame n is the slot of vCPU n. Its `port` is that vCPU's event channel, to which the monitor binds.
 *
 * A message
 *   The hypervisor writes the event and sets `state` to OXEN_SLOT_EVENT, with release order, and sends an event
 *   through the channel. The monitor reads the event, writes its answer in the same place, sets `state` to
 *   OXEN_SLOT_ANSWER, with release order, and sends an event through the channel. The hypervisor takes a copy of
 *   the answer and sets `state` to OXEN_SLOT_IDLE. Neither writes the message or the state at another time.
 *
 *   Events for which the vCPU does not wait (VM_EVENT_FLAG_VCPU_PAUSED is not set) are answered alike. The vCPU's
 *   next event waits until the slot is idle, and the vCPU with it: nothing is lost.
 *
 * Without events
 *   A monitor with a processor to itself may look at `state` all the time, and say so in `polls`: then no event is
 *   sent to it, and the vCPU looks at `state` in turn for a moment (at most 200 us) before it sleeps. `waits` tells
 *   whether an answer has to be followed by an event; the monitor reads it after it has set `state`. In both
 *   directions a full barrier stands between the write and the read: a monitor that is about to sleep writes zero
 *   to `polls`, and then looks at `state` once more. `polls` of one slot says nothing of the others. It is a hint:
 *   who neither writes `polls` nor reads `waits` keeps to the protocol.
 *
 * Ending
 *   A monitor that lets go of the channel of any vCPU has ended, for all of them.
 */
#ifndef _UAPI_OXEN_MONITOR_H
#define _UAPI_OXEN_MONITOR_H

#include <linux/types.h>

/* Mode of XEN_DOMCTL_vm_event_op. */
#define OXEN_VM_EVENT_SLOTS		0x4f000002
/* Type of a resource. */
#define OXEN_RESOURCE_MONITOR_SLOTS	0x4f00

/* Values of oxen_monitor_slot.state. */
#define OXEN_SLOT_IDLE			0
#define OXEN_SLOT_EVENT			1
#define OXEN_SLOT_ANSWER		2

/* The first bytes of a slot's page. */
struct oxen_monitor_slot {
	/* One of OXEN_SLOT_*. */
	__u32 state;
	/* The event channel of the vCPU. */
	__u32 port;
	/* Written by the monitor: it looks at the slot all the time. */
	__u32 polls;
	/* Written by the hypervisor: it wants an event when there is an answer. */
	__u32 waits;
	__u32 reserved[12];
	/* A vm_event_request_t, or a vm_event_response_t. */
	__u8 message[400];
};

#endif
