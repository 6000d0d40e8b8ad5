// SPDX-License-Identifier: GPL-2.0-only
/* What a guest that is nobody's tools may not. */

#include "hypercalls.h"

#include <xen/argo.h>
#include <xen/domctl.h>
#include <xen/hvm/dm_op.h>
#include <xen/physdev.h>
#include <xen/platform.h>
#include <xen/pmu.h>
#include <xen/sysctl.h>

void test_privileged(void)
{
	static struct xen_domctl domctl;
	static struct xen_sysctl sysctl;
	static struct xen_platform_op platform;
	static struct xen_pmu_params pmu;
	static struct xen_dm_op_buf buffer;
	long rc;
	u32 i;

	/* Xen looks at the argument before it looks at the caller, which need not be so. */
	REFUSED(DO(domctl, NOWHERE, 0, 0), -XEN_EFAULT, -XEN_EPERM);
	REFUSED(DO(domctl, &domctl, 0, 0), -XEN_EACCES, -XEN_EPERM);
	domctl.interface_version = XEN_DOMCTL_INTERFACE_VERSION;
	domctl.domain = DOMID_SELF;
	for (i = 0; i < 92; i++) {
		domctl.cmd = i;
		rc = DO(domctl, &domctl, 0, 0);
		if (!tap(rc == -XEN_EPERM || (rc == -XEN_ESRCH && i != XEN_DOMCTL_createdomain),
			 "domctl %u on itself is refused", i))
			tap_note("is %ld", rc);
	}
	domctl.cmd = XEN_DOMCTL_destroydomain;
	domctl.domain = 0;
	IS(-XEN_EPERM, DO(domctl, &domctl, 0, 0));
	domctl.domain = 0x1234;
	REFUSED(DO(domctl, &domctl, 0, 0), -XEN_ESRCH, -XEN_EPERM);
	REFUSED(DO(sysctl, NOWHERE, 0, 0), -XEN_EFAULT, -XEN_EPERM);
	REFUSED(DO(sysctl, &sysctl, 0, 0), -XEN_EACCES, -XEN_EPERM);
	sysctl.interface_version = XEN_SYSCTL_INTERFACE_VERSION;
	for (i = 1; i < 31; i++) {
		sysctl.cmd = i;
		tap_equal(DO(sysctl, &sysctl, 0, 0), -XEN_EPERM, "sysctl %u is -XEN_EPERM", i);
	}
	REFUSED(DO(platform_op, NOWHERE, 0, 0), -XEN_EFAULT, -XEN_EPERM);
	REFUSED(DO(platform_op, &platform, 0, 0), -XEN_EACCES, -XEN_EPERM);
	platform.interface_version = XENPF_INTERFACE_VERSION;
	platform.cmd = XENPF_resource_op;
	IS(-XEN_EPERM, DO(platform_op, &platform, 0, 0));
	IS(-XEN_ENOSYS, DO(xsm_op, page, 0, 0));
	for (i = 0; i < 34; i++)
		if (i == PHYSDEVOP_map_pirq || i == PHYSDEVOP_unmap_pirq)
			REFUSED(DO(physdev_op, i, NOWHERE, 0), -XEN_EFAULT, -XEN_ENOSYS);
		else
			tap_equal(DO(physdev_op, i, page, 0), -XEN_ENOSYS,
				  "physdev_op(%u) is -XEN_ENOSYS", i);
	tap(hypercall(__HYPERVISOR_mmuext_op, H(NOWHERE), 1, 0, DOMID_SELF, 0) < 0,
	    "mmuext_op is refused");
	/* What a Xen may be built without. */
	REFUSED(DO(xenpmu_op, XENPMU_init, &pmu, 0), -XEN_EOPNOTSUPP, -XEN_ENOSYS);
	REFUSED(DO(argo_op, 1, page, 0), -XEN_ENOSYS, -XEN_EOPNOTSUPP);
	REFUSED(DO(hypfs_op, 0, 0, 0), -XEN_EPERM, -XEN_ENOSYS);
	if (DO(dm_op, DOMID_SELF, 1, &buffer) == -XEN_ENOSYS) {
		tap_skip("not for guests here", "dm_op");
		return;
	}
	STRANGER(DO(dm_op, 0x1234, 1, &buffer));
	STRANGER(DO(dm_op, DOMID_SELF, 1, &buffer));
	REFUSED(DO(dm_op, 0, 1, &buffer), -XEN_EPERM, -XEN_EINVAL);
}
