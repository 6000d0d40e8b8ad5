// SPDX-License-Identifier: GPL-2.0-only
/* vcpu_op. */

#include "hypercalls.h"

void test_vcpu(void)
{
	static struct vcpu_runstate_info runstate;
	static struct vcpu_register_runstate_memory_area area;
	static struct vcpu_register_vcpu_info info;
	static struct vcpu_register_time_memory_area time_area;
	struct vcpu_set_singleshot_timer once = { .timeout_abs_ns = 0 };
	struct vcpu_set_periodic_timer periodic = { .period_ns = 1000000000 };
	struct vcpu_get_physid physid;
	static struct vcpu_time_info time;
	long rc;

	IS(1, vcpu_op(VCPUOP_is_up, 0, 0));
	IS(-XEN_ENOENT, vcpu_op(VCPUOP_is_up, 0x1000, 0));
	IS(-XEN_ENOENT, vcpu_op(VCPUOP_is_up, -1, 0));
	IS(0, vcpu_op(VCPUOP_get_runstate_info, 0, &runstate));
	tap_equal(runstate.state, RUNSTATE_running, "who asks is running");
	IS(-XEN_EFAULT, vcpu_op(VCPUOP_get_runstate_info, 0, NOWHERE));
	tap(runstate.time[RUNSTATE_running] + runstate.time[RUNSTATE_runnable],
	    "and has been for a while");

	area.addr.p = (ulong)&runstate;
	memset(&runstate, 0xff, sizeof(runstate));
	IS(0, vcpu_op(VCPUOP_register_runstate_memory_area, 0, &area));
	tap_equal(READ_ONCE(runstate.state), RUNSTATE_running,
		  "R-5 the area is filled before the call returns");
	IS(-XEN_EFAULT, vcpu_op(VCPUOP_register_runstate_memory_area, 0, NOWHERE));
	area.addr.p = 0;
	IS(0, vcpu_op(VCPUOP_register_runstate_memory_area, 0, &area));
	/* By physical address. */
	area.addr.p = (ulong)&runstate;
	memset(&runstate, 0xff, sizeof(runstate));
	IS(0, vcpu_op(VCPUOP_register_runstate_phys_area, 0, &area));
	tap_equal(READ_ONCE(runstate.state), RUNSTATE_running,
		  "R-1 so is one given by its physical address");
	area.addr.p = (ulong)page + PAGE_SIZE - 8;
	IS(-XEN_ENXIO, vcpu_op(VCPUOP_register_runstate_phys_area, 0, &area));
	area.addr.p = (ulong)page + 1;
	IS(-XEN_ENXIO, vcpu_op(VCPUOP_register_runstate_phys_area, 0, &area));
	area.addr.p = (ulong)HOLE;
	tap(vcpu_op(VCPUOP_register_runstate_phys_area, 0, &area) < 0,
	    "not where there is no memory");
	memset(&area, 0xff, sizeof(area));
	IS(0, vcpu_op(VCPUOP_register_runstate_phys_area, 0, &area));

	IS(0, vcpu_op(VCPUOP_stop_periodic_timer, 0, 0));
	IS(0, vcpu_op(VCPUOP_stop_singleshot_timer, 0, 0));
	IS(0, vcpu_op(VCPUOP_set_singleshot_timer, 0, &once));
	once.flags = VCPU_SSHOTTMR_future;
	/* The flag may be ignored, as Xen does. */
	rc = vcpu_op(VCPUOP_set_singleshot_timer, 0, &once);
	tap(rc == 0 || rc == -XEN_ETIME, "a timer that must be in the future is set, or refused");
	IS(-XEN_EFAULT, vcpu_op(VCPUOP_set_singleshot_timer, 0, NOWHERE));
	IS(-XEN_ENOENT, vcpu_op(VCPUOP_set_singleshot_timer, 0x1000, &once));
	IS(0, vcpu_op(VCPUOP_set_periodic_timer, 0, &periodic));
	periodic.period_ns = 1;
	IS(-XEN_EINVAL, vcpu_op(VCPUOP_set_periodic_timer, 0, &periodic));
	periodic.period_ns = ~0ULL;
	IS(-XEN_EINVAL, vcpu_op(VCPUOP_set_periodic_timer, 0, &periodic));
	IS(-XEN_EFAULT, vcpu_op(VCPUOP_set_periodic_timer, 0, NOWHERE));
	IS(0, vcpu_op(VCPUOP_stop_periodic_timer, 0, 0));
	IS(0, vcpu_op(VCPUOP_stop_singleshot_timer, 0, 0));

	info.mfn = 1 << 24;
	IS(-XEN_EINVAL, vcpu_op(VCPUOP_register_vcpu_info, 0, &info));
	info.mfn = H(other_page) / PAGE_SIZE;
	info.offset = PAGE_SIZE - 8;
	IS(-XEN_ENXIO, vcpu_op(VCPUOP_register_vcpu_info, 0, &info));
	info.offset = 4;
#ifdef __x86_64__
	IS(-XEN_ENXIO, vcpu_op(VCPUOP_register_vcpu_info, 0, &info));
#endif
	info.offset = PAGE_SIZE;
	IS(-XEN_EINVAL, vcpu_op(VCPUOP_register_vcpu_info, 0, &info));
	IS(-XEN_EFAULT, vcpu_op(VCPUOP_register_vcpu_info, 0, NOWHERE));
	IS(-XEN_ENOENT, vcpu_op(VCPUOP_register_vcpu_info, 0x1000, &info));
	info.offset = 64;
	IS(0, vcpu_op(VCPUOP_register_vcpu_info, 0, &info));
	IS(-XEN_EBUSY, vcpu_op(VCPUOP_register_vcpu_info, 0, &info));

	time_area.addr.p = (ulong)&time;
	IS(0, vcpu_op(VCPUOP_register_vcpu_time_memory_area, 0, &time_area));
	tap(READ_ONCE(time.tsc_to_system_mul), "the second time area is filled");
	IS(-XEN_EFAULT, vcpu_op(VCPUOP_register_vcpu_time_memory_area, 0, NOWHERE));
	time_area.addr.p = 0;
	IS(0, vcpu_op(VCPUOP_register_vcpu_time_memory_area, 0, &time_area));
	memset(&time, 0, sizeof(time));
	time_area.addr.p = (ulong)&time;
	IS(0, vcpu_op(VCPUOP_register_vcpu_time_phys_area, 0, &time_area));
	tap(READ_ONCE(time.tsc_to_system_mul), "so is one given by its physical address");
	memset(&time_area, 0xff, sizeof(time_area));
	IS(0, vcpu_op(VCPUOP_register_vcpu_time_phys_area, 0, &time_area));

	IS(-XEN_EFAULT, vcpu_op(VCPUOP_initialise, 0, NOWHERE));
	IS(0, vcpu_op(VCPUOP_up, 0, 0));
	IS(-XEN_ENOENT, vcpu_op(VCPUOP_down, 0x1000, 0));
	IS(-XEN_EINVAL, vcpu_op(VCPUOP_get_physid, 0, &physid));
	IS(-XEN_ENOSYS, vcpu_op(16, 0, 0));
	IS(-XEN_ENOSYS, vcpu_op(0x7fffffff, 0, 0));
	IS(-XEN_ENOENT, vcpu_op(0x7fffffff, 0x1000, 0));
}
