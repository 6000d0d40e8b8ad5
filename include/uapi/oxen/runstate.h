/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Runstate and time areas: what a guest may rely on, and how tools choose the policy of a domain.
 *
 * The structures and operations are those of Xen's public headers (xen/vcpu.h). What is said here is what those
 * leave open, and what is promised beyond them.
 *
 *   VCPUOP_register_runstate_memory_area     5   runstate, by linear address
 *   VCPUOP_register_runstate_phys_area      14   runstate, by guest physical address
 *   VCPUOP_register_vcpu_time_memory_area   13   vcpu_time_info, by linear address
 *   VCPUOP_register_vcpu_time_phys_area     15   vcpu_time_info, by guest physical address
 *
 * XENFEAT_runstate_phys_area (18) and XENFEAT_vcpu_time_phys_area (19) say that 14 and 15 are there.
 *
 * Whose address
 *   A linear address is one of the vCPU that makes the call, as its page tables and CR3 are during the call,
 *   also when the area is for another vCPU of the domain. It must be writable for the kernel: with CR0.WP and
 *   SMAP as they are.
 *
 * When it is translated
 *   With the policy `once`, the default: once, during the call. The one or two frames that the area lies in are
 *   the area from then on. If the guest maps something else at the address later, the old frames go on being
 *   written until the area is registered again, at the same address or another one. The page tables that are in
 *   use when the area is written do not matter: a guest that isolates them (KPTI) misses no update.
 *
 *   With the policy `walk`, which is Xen's behaviour: at each update, with the page tables that the vCPU has
 *   then. An update that finds nothing at the address, or what the kernel may not write, is lost without a word;
 *   so is each one that falls into user code that runs on isolated page tables, and one that comes while the
 *   guest changes an entry. If user code can map something of its own at the address, that is what is written
 *   to. The call succeeds whatever is at the address. Use it for guests that move an area without registering
 *   it again, and for nothing else.
 *
 * Where an area may be
 *   By linear address: at any alignment, and it may go on in a second page, which need not be the first one's
 *   neighbour. By guest physical address: aligned to a word of the guest (8 bytes, 4 in a 32-bit domain) and in
 *   one page; otherwise the call fails with XEN_ENXIO. The pages must be the guest's own: its RAM, or what the
 *   hypervisor shares with it, but nothing that it has mapped of others.
 *
 * Registering
 *   An area is filled before the call returns, whichever vCPU it is for. A call that fails leaves the area that
 *   was registered before as it was: XEN_EFAULT if the linear address cannot be written, XEN_EINVAL if there is
 *   no page at the physical one, XEN_EACCES if the guest could not write to it. Registering replaces what was
 *   registered in the same way before.
 *
 *   0 unregisters an area that was given by linear address, ~0 one that was given by physical address. After
 *   that nothing is written to it.
 *
 *   While an area is registered by physical address, one by linear address for the same vCPU is silent: it is
 *   filled when it is registered and then not written. It is written again when the other one is unregistered.
 *
 * Updates of a runstate area
 *   It is written whenever the state changes: when the host takes the processor from the vCPU, when it gives it
 *   one, when the vCPU begins and ends to wait and when it is stopped and continued. No update is ever left out
 *   (policy `once`), and none reads the guest's memory: what the guest writes there is lost, and has no effect.
 *   The record is always the whole account up to the last change: time[0] + time[1] + time[2] + time[3] is what
 *   state_entry_time is later than the vCPU's creation, and none of them ever decreases.
 *
 *   The update flag, XEN_RUNSTATE_UPDATE, is the top bit of state_entry_time: set before anything else of the
 *   record is written, by one store of the byte it is in, and cleared, likewise, after everything else was. A
 *   reader that takes state_entry_time, the rest, and state_entry_time again, and starts over if the bit was set
 *   or the two differ, never sees a torn record. An area by physical address always has it. One by linear address
 *   has it while VMASST_TYPE_runstate_update_flag is on; without it, only the vCPU itself reads its own area
 *   safely.
 *
 * Layout
 *   By linear address: that of the domain's width, which is latched when the guest writes the hypercall page's
 *   MSR or sets HVM_PARAM_CALLBACK_IRQ; it changes with the next update when the domain's width does. (If the
 *   longer one then reaches into a page that the shorter one did not need, the area is dropped.) By physical
 *   address: that of the mode in which the call was made. A vcpu_time_info is the same in both.
 *
 * When an area goes
 *   Before the page goes: when one of its pages is taken out of the guest's memory (ballooning, remapping), when
 *   the vCPU goes offline (VCPUOP_down, INIT, HLT with interrupts disabled), when the guest asks for a soft reset
 *   (SCHEDOP_shutdown), when a tool carries it out (XEN_DOMCTL_soft_reset), and when the domain is destroyed.
 *   The last that a vCPU which goes offline leaves in its record is that it is offline. An area that went does
 *   not come back by itself: the guest registers it again, as it must after a soft reset anyway.
 *
 * Nested virtualisation
 *   is not offered to guests: CPUID does not show it, EFER.SVME cannot be set, HVM_PARAM_NESTEDHVM and
 *   XEN_DOMCTL_CDF_nested_virt are refused. So there is no second kind of guest memory that an area could mean.
 */
#ifndef _UAPI_OXEN_RUNSTATE_H
#define _UAPI_OXEN_RUNSTATE_H

#include <linux/ioctl.h>
#include <linux/types.h>

/* When linear addresses of areas are translated. */
#define OXEN_RUNSTATE_VA_ONCE	0
#define OXEN_RUNSTATE_VA_WALK	1

/**
 * struct oxen_runstate_policy - a domain's policy
 * @domid: the domain
 * @runstate_va: one of OXEN_RUNSTATE_VA_*
 */
struct oxen_runstate_policy {
	__u16 domid;
	__u16 runstate_va;
};

/*
 * On /dev/xen/privcmd. A new domain has the policy that the module's parameter runstate_va says, `once` or `walk`
 * (/sys/module/oxen/parameters/runstate_va). It can be changed until a vCPU of the domain has run: then SET fails
 * with EBUSY. EINVAL for a policy that there is not, ESRCH for a domain that there is not, EPERM on a descriptor that
 * is restricted to another domain, and for SET on one that is restricted at all.
 */
#define OXEN_GET_RUNSTATE_POLICY	_IOWR('O', 0, struct oxen_runstate_policy)
#define OXEN_SET_RUNSTATE_POLICY	_IOW('O', 1, struct oxen_runstate_policy)

#endif /* _UAPI_OXEN_RUNSTATE_H */
