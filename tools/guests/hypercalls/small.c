// SPDX-License-Identifier: GPL-2.0-only
/* xen_version, multicall, set_timer_op, console_io, vm_assist and sched_op. */

#include "hypercalls.h"

void test_version(void)
{
	static struct xen_feature_info features;
	static char text[1024];
	static struct {
		struct xen_build_id id;
		u8 bytes[64];
	} build_id;
	struct xen_platform_parameters parameters;
	struct xen_compile_info *compile = (void *)page;
	xen_domain_handle_t handle, zero = { 0 };
	long rc;
	u32 i;

	rc = GIVES(xen_version(XENVER_version, 0));
	tap_equal(rc >> 16, 4, "Xen's major version is 4");
	IS(rc, xen_version(XENVER_version, NOWHERE));
	memset(text, 'x', sizeof(text));
	IS(0, xen_version(XENVER_extraversion, text));
	text[16] = 0;
	if (!tap(text[0] == '.' && strlen(text) < 16, "the extra version is a text"))
		tap_note("is '%s'", text);
	IS(-XEN_EFAULT, xen_version(XENVER_extraversion, NOWHERE));
	IS(-XEN_EFAULT, xen_version(XENVER_extraversion, HOLE));
	IS(0, xen_version(XENVER_compile_info, compile));
	IS(-XEN_EFAULT, xen_version(XENVER_compile_info, NOWHERE));
	memset(text, 'x', sizeof(text));
	IS(0, xen_version(XENVER_capabilities, text));
#ifdef __x86_64__
	tap(!memcmp(text, "xen-3.0-x86_64", 14) || !memcmp(text, "hvm-3.0", 7),
	    "capabilities name ABIs");
#endif
	IS(-XEN_EFAULT, xen_version(XENVER_capabilities, NOWHERE));
	memset(text, 'x', sizeof(text));
	IS(0, xen_version(XENVER_changeset, text));
	IS(-XEN_EFAULT, xen_version(XENVER_changeset, NOWHERE));
	IS(0, xen_version(XENVER_platform_parameters, &parameters));
	IS(-XEN_EFAULT, xen_version(XENVER_platform_parameters, NOWHERE));
	features.submap_idx = 0;
	IS(0, xen_version(XENVER_get_features, &features));
	tap(features.submap >> XENFEAT_auto_translated_physmap & 1, "feature: auto-translated");
	tap(features.submap >> XENFEAT_hvm_callback_vector & 1, "feature: callback vector");
	tap(features.submap >> XENFEAT_hvm_safe_pvclock & 1, "feature: safe pvclock");
	tap(features.submap >> XENFEAT_memory_op_vnode_supported & 1,
	    "feature: vnodes in memory_op");
	tap(features.submap >> XENFEAT_not_direct_mapped & 1, "feature: not direct-mapped");
	tap(features.submap >> XENFEAT_runstate_phys_area & 1,
	    "R-13 feature: runstate by physical address");
	tap(features.submap >> XENFEAT_vcpu_time_phys_area & 1,
	    "R-13 feature: time by physical address");
	tap(!(features.submap >> XENFEAT_dom0 & 1), "feature: not the control domain");
	tap(!(features.submap >> XENFEAT_hvm_pirqs & 1), "feature: no physical interrupts");
	features.submap_idx = 1;
	IS(-XEN_EINVAL, xen_version(XENVER_get_features, &features));
	features.submap_idx = ~0U;
	IS(-XEN_EINVAL, xen_version(XENVER_get_features, &features));
	IS(-XEN_EFAULT, xen_version(XENVER_get_features, NOWHERE));
	IS(4096, xen_version(XENVER_pagesize, 0));
	IS(0, xen_version(XENVER_guest_handle, handle));
	tap(memcmp(handle, zero, sizeof(zero)), "the domain has a handle");
	IS(-XEN_EFAULT, xen_version(XENVER_guest_handle, NOWHERE));
	memset(text, 'x', sizeof(text));
	IS(0, xen_version(XENVER_commandline, text));
	IS(-XEN_EFAULT, xen_version(XENVER_commandline, NOWHERE));
	/* Not for guests. */
	build_id.id.len = sizeof(build_id.bytes);
	IS(-XEN_EPERM, xen_version(XENVER_build_id, &build_id));
	IS(-XEN_EPERM, xen_version(XENVER_build_id, 0));
	/* 11 to 14 are the texts again, of any length. */
	for (i = 11; i < 20; i++) {
		rc = xen_version(i, NOWHERE);
		tap(rc == -XEN_ENOSYS || (i < 14 && rc == -XEN_EFAULT) ||
		    (i == 14 && rc == -XEN_EPERM),
		    "xen_version(%u, NOWHERE) is refused", i);
	}
	IS(-XEN_ENOSYS, xen_version(0x7fffffff, 0));
	IS(-XEN_ENOSYS, xen_version(-1, 0));
}

void test_multicall(void)
{
	static multicall_entry_t calls[4];

	IS(-XEN_EFAULT, DO(multicall, NOWHERE, 1, 0));
	IS(0, DO(multicall, calls, 0, 0));
	memset(calls, 0, sizeof(calls));
	calls[0].op = __HYPERVISOR_xen_version;
	calls[1].op = 63;
	calls[2].op = __HYPERVISOR_memory_op;
	calls[2].args[0] = XENMEM_current_reservation;
	calls[2].args[1] = H(NOWHERE);
	calls[3].op = __HYPERVISOR_xen_version;
	calls[3].args[0] = XENVER_pagesize;
	IS(0, DO(multicall, calls, 4, 0));
	tap_equal((long)calls[0].result, xen_version(XENVER_version, 0),
		  "the first of several calls");
	tap_equal((long)calls[1].result, -XEN_ENOSYS, "one that does not exist");
	tap_equal((long)calls[2].result, -XEN_EFAULT, "one that fails");
	tap_equal((long)calls[3].result, 4096, "one after a failed one");
	/* One in another. */
	calls[0].op = __HYPERVISOR_multicall;
	calls[0].args[0] = H(&calls[1]);
	calls[0].args[1] = 1;
	IS(0, DO(multicall, calls, 1, 0));
	tap_equal((long)calls[0].result, -XEN_EINVAL, "one multicall in another is refused");
	IS(-XEN_EFAULT, DO(multicall, NOWHERE, ~0UL, 0));
}

void test_time(void)
{
	u64 later = 0;

	/* The time's halves are two arguments in 32-bit mode, one in 64-bit mode. */
	IS(0, DO(set_timer_op, later, 0, 0));
	IS(0, DO(set_timer_op, ~0UL >> 4, 0, 0));
	IS(0, DO(set_timer_op, 0, 0, 0));
}

void test_console_io(void)
{
	long rc = DO(console_io, 0, 6, "hello\n");

	/* Xen without verbose debugging has no log for guests. */
	tap(rc == 0 || rc == -XEN_EPERM, "console_io takes text or is not for guests");
	tap_note("is %ld", rc);
	if (rc)
		return;
	IS(-XEN_EFAULT, DO(console_io, 0, 5, NOWHERE));
	IS(0, DO(console_io, 0, 0, NOWHERE));
	tap(DO(console_io, 0, ~0UL, "x") < 0, "console_io with a negative count is refused");
	IS(-XEN_EPERM, DO(console_io, 1, 5, page));
	REFUSED(DO(console_io, 7, 0, 0), -XEN_EPERM, -XEN_ENOSYS);
}

void test_vm_assist(void)
{
	IS(0, DO(vm_assist, VMASST_CMD_enable, VMASST_TYPE_runstate_update_flag, 0));
	IS(0, DO(vm_assist, VMASST_CMD_disable, VMASST_TYPE_runstate_update_flag, 0));
	IS(-XEN_EINVAL, DO(vm_assist, VMASST_CMD_enable, VMASST_TYPE_writable_pagetables, 0));
	IS(-XEN_EINVAL, DO(vm_assist, VMASST_CMD_enable, 31, 0));
	IS(-XEN_EINVAL, DO(vm_assist, VMASST_CMD_enable, 32, 0));
	IS(-XEN_EINVAL, DO(vm_assist, VMASST_CMD_enable, 0xffffffff, 0));
	IS(-XEN_ENOSYS, DO(vm_assist, 2, VMASST_TYPE_runstate_update_flag, 0));
}

void test_sched(void)
{
	struct sched_poll poll = { 0 };
	struct sched_watchdog watchdog = { 0 };
	struct sched_remote_shutdown remote = { .domain_id = 0x1234 };
	struct sched_shutdown code = { 0 };
	static evtchn_port_t ports[2];

	IS(0, sched_op(SCHEDOP_yield, 0));
	IS(-XEN_EFAULT, sched_op(SCHEDOP_shutdown, NOWHERE));
	IS(-XEN_EFAULT, sched_op(SCHEDOP_poll, NOWHERE));
	set_xen_guest_handle(poll.ports, ports);
	poll.nr_ports = 129;
	IS(-XEN_EINVAL, sched_op(SCHEDOP_poll, &poll));
	poll.nr_ports = 1;
	ports[0] = 0x10000;
	IS(-XEN_EINVAL, sched_op(SCHEDOP_poll, &poll));
	set_xen_guest_handle(poll.ports, NOWHERE);
	IS(-XEN_EFAULT, sched_op(SCHEDOP_poll, &poll));
	poll.nr_ports = 0;
	poll.timeout = 1;
	IS(0, sched_op(SCHEDOP_poll, &poll));
	IS(-XEN_EFAULT, sched_op(SCHEDOP_watchdog, NOWHERE));
	watchdog.id = 3;
	IS(-XEN_EINVAL, sched_op(SCHEDOP_watchdog, &watchdog));
	watchdog.id = 1;
	watchdog.timeout = 100;
	IS(-XEN_EINVAL, sched_op(SCHEDOP_watchdog, &watchdog));
	watchdog.id = 0;
	IS(1, sched_op(SCHEDOP_watchdog, &watchdog));
	watchdog.id = 1;
	IS(0, sched_op(SCHEDOP_watchdog, &watchdog));
	watchdog.timeout = 0;
	IS(0, sched_op(SCHEDOP_watchdog, &watchdog));
	STRANGER(sched_op(SCHEDOP_remote_shutdown, &remote));
	remote.domain_id = 0;
	IS(-XEN_EPERM, sched_op(SCHEDOP_remote_shutdown, &remote));
	IS(-XEN_EFAULT, sched_op(SCHEDOP_remote_shutdown, NOWHERE));
	IS(-XEN_EFAULT, sched_op(SCHEDOP_shutdown_code, NOWHERE));
	IS(0, sched_op(SCHEDOP_shutdown_code, &code));
	IS(-XEN_EPERM, sched_op(SCHEDOP_pin_override, page));
	IS(-XEN_ENOSYS, sched_op(8, 0));
	IS(-XEN_ENOSYS, sched_op(0x7fffffff, 0));
}
