// SPDX-License-Identifier: GPL-2.0-only
/* hvm_op. */

#include "hypercalls.h"

/* What get_param answers to a guest about itself, by parameter. */
static const int param_answers[HVM_NR_PARAMS] = {
	[HVM_PARAM_PAE_ENABLED] = -XEN_EINVAL,	/* Reserved or gone: */
	[13] = -XEN_EINVAL, [20 ... 26] = -XEN_EINVAL, [30] = -XEN_EINVAL,
	/* For tools: */
	[3] = -XEN_EPERM, [HVM_PARAM_IOREQ_PFN ... HVM_PARAM_IDENT_PT] = -XEN_EPERM,
	[HVM_PARAM_ACPI_S_STATE] = -XEN_EPERM, [HVM_PARAM_VPT_ALIGN] = -XEN_EPERM,
	[HVM_PARAM_PAGING_RING_PFN ... HVM_PARAM_SHARING_RING_PFN] = -XEN_EPERM,
	[HVM_PARAM_TRIPLE_FAULT_REASON ... HVM_PARAM_NR_IOREQ_SERVER_PAGES] = -XEN_EPERM,
	[HVM_PARAM_MCA_CAP] = -XEN_EPERM,
};

void test_hvm(void)
{
	struct xen_hvm_param param = { .domid = DOMID_SELF };
	struct xen_hvm_evtchn_upcall_vector upcall = { .vcpu = 0, .vector = 0x8 };
	struct xen_hvm_get_time get_time = { 0 };
	struct xen_hvm_pagetable_dying dying = { .domid = DOMID_SELF };
	struct xen_hvm_get_mem_type type = { .domid = DOMID_SELF };
	u64 value;
	u32 i;

	IS(-XEN_EFAULT, hvm_op(HVMOP_get_param, NOWHERE));
	IS(-XEN_EFAULT, hvm_op(HVMOP_set_param, NOWHERE));
	param.index = HVM_NR_PARAMS;
	IS(-XEN_EINVAL, hvm_op(HVMOP_get_param, &param));
	IS(-XEN_EINVAL, hvm_op(HVMOP_set_param, &param));
	param.index = ~0U;
	IS(-XEN_EINVAL, hvm_op(HVMOP_get_param, &param));
	param.index = 0;
	param.domid = 0x1234;
	STRANGER(hvm_op(HVMOP_get_param, &param));
	param.domid = 0;
	REFUSED(hvm_op(HVMOP_get_param, &param), -XEN_EPERM, -XEN_EINVAL);
	REFUSED(hvm_op(HVMOP_set_param, &param), -XEN_EPERM, -XEN_EINVAL);
	for (i = 0; i < HVM_NR_PARAMS; i++)
		tap_equal(hvm_param(i, &value), param_answers[i], "get_param(%u) is %d", i,
			  param_answers[i]);
	IS(0, hvm_param(HVM_PARAM_CALLBACK_IRQ, &value));
	IS(0, hvm_param(HVM_PARAM_STORE_PFN, &value));
	IS(0, hvm_param(HVM_PARAM_CONSOLE_PFN, &value));
	IS(-XEN_EPERM, set_hvm_param(HVM_PARAM_CONSOLE_PFN, 1));
	IS(-XEN_EPERM, set_hvm_param(HVM_PARAM_STORE_PFN, 1));
	IS(-XEN_EPERM, set_hvm_param(HVM_PARAM_IDENT_PT, 1));
	IS(-XEN_EPERM, hvm_param(HVM_PARAM_IOREQ_PFN, &value));
	/* A callback by vector, and none. */
	IS(0, set_hvm_param(HVM_PARAM_CALLBACK_IRQ, 2ULL << 56 | 0xf3));
	IS(0, set_hvm_param(HVM_PARAM_CALLBACK_IRQ, 0));
	IS(-XEN_EFAULT, hvm_op(HVMOP_set_evtchn_upcall_vector, NOWHERE));
	IS(-XEN_EINVAL, hvm_op(HVMOP_set_evtchn_upcall_vector, &upcall));
	upcall.vector = 0xf3;
	upcall.vcpu = 0x1000;
	IS(-XEN_ENOENT, hvm_op(HVMOP_set_evtchn_upcall_vector, &upcall));
	IS(0, hvm_op(HVMOP_get_time, &get_time));
	tap(get_time.now, "there is a time");
	IS(0, hvm_op(HVMOP_flush_tlbs, 0));
	IS(-XEN_EINVAL, hvm_op(HVMOP_flush_tlbs, page));
	type.pfn = H(page) / PAGE_SIZE;
	IS(0, hvm_op(HVMOP_get_mem_type, &type));
	tap_equal(type.mem_type, HVMMEM_ram_rw, "a page of RAM is RAM");
	type.pfn = H(HOLE) / PAGE_SIZE;
	IS(0, hvm_op(HVMOP_get_mem_type, &type));
	tap_equal(type.mem_type, HVMMEM_mmio_dm, "a hole is not");
	IS(0, hvm_op(HVMOP_guest_request_vm_event, 0));
	/* Shadow page tables, and second views of memory: not here. */
	REFUSED(hvm_op(HVMOP_pagetable_dying, &dying), -XEN_EINVAL, -XEN_ENOSYS);
	REFUSED(hvm_op(HVMOP_altp2m, NOWHERE), -XEN_EOPNOTSUPP, -XEN_ENOSYS);
	/* Those that moved to dm_op, or went away. */
	for (i = 2; i < 23; i++)
		if (i != HVMOP_flush_tlbs && (i < 9 || i > 11) && i != 14 &&
		    i != HVMOP_get_mem_type)
			tap_equal(hvm_op(i, NOWHERE), -XEN_ENOSYS, "hvm_op(%u) is -XEN_ENOSYS", i);
	IS(-XEN_ENOSYS, hvm_op(26, page));
	IS(-XEN_ENOSYS, hvm_op(0x7fffffff, page));
}
