// SPDX-License-Identifier: GPL-2.0-only
/* What a hostile guest tries, layouts for the other width, and what is offered. */

#include "runstate.h"

/* HVM_PARAM_NESTEDHVM, which newer headers do not have. */
#define PARAM_NESTEDHVM 24

void test_features(void)
{
	struct xen_feature_info features = { .submap_idx = 0 };
	u64 value;

	xen_version(XENVER_get_features, &features);
	tap(features.submap >> XENFEAT_runstate_phys_area & 1,
	    "R-13 runstate areas by physical address are offered");
	tap(features.submap >> XENFEAT_vcpu_time_phys_area & 1,
	    "R-13 time areas by physical address are offered");
	tap(!(cpuid(0x80000001).c >> 2 & 1), "R-12 RS-6 CPUID offers no SVM");
	tap(!(cpuid(1).c >> 5 & 1), "R-12 RS-6 nor VMX");
	rdmsr_safe(MSR_EFER, &value);
	tap_equal(wrmsr_safe(MSR_EFER, value | EFER_SVME), VEC_GP,
		  "R-12 RS-6 SVM cannot be turned on");
	tap(set_hvm_param(PARAM_NESTEDHVM, 1) < 0, "R-12 RS-6 nor asked for");
}

/* Any command for any vCPU with any argument: an answer comes, and the guest goes on. */
void test_hostile(void)
{
	static const ulong args[] = {
		0, 1, 4095, H(NOWHERE), H(HOLE), ~0UL, ~0UL - 7, ~0UL / 2 + 1,
	};
	u32 cmd, vcpu, i, answers = 0, lasting = 0;

	for (cmd = 0; cmd < 20; cmd++) {
		/* These stop it, which is not the question here. */
		if (cmd == VCPUOP_down || cmd == VCPUOP_send_nmi || cmd == VCPUOP_initialise)
			continue;
		for (vcpu = 0; vcpu < 3; vcpu++)
			for (i = 0; i < ARRAY_SIZE(args); i++) {
				long rc = vcpu_op(cmd | (i & 1 ? 0xabc00000 : 0),
						  vcpu ? vcpu * 0x1234567 : 0, args[i]);

				answers++;
				lasting += rc <= -1000;
			}
	}
	tap_equal(lasting, 0, "RS-10 nonsense to vcpu_op gets %u answers", answers);
	vcpu_op(VCPUOP_stop_periodic_timer, 0, 0);
	vcpu_op(VCPUOP_stop_singleshot_timer, 0, 0);
	register_linear(0, NULL);
	register_physical(0, ~0ULL);
}

#ifdef __x86_64__

/*
 * A hypercall in 32-bit mode, with whatever in the upper halves of the registers. The selector of 32-bit code is
 * that of the last entry of the table that trap_init() makes.
 */
static long call_32(u32 op, u32 a1, u32 a2, u32 a3, u64 upper)
{
	u64 ax = upper << 32 | op, bx = upper << 32 | a1;
	u64 cx = upper << 32 | a2, dx = upper << 32 | a3;

	__asm__ volatile("push %%rbx; mov %[bx], %%rbx\n"
			 "pushq $0x38; pushq $1f; lretq\n"
			 ".code32\n"
			 "1: vmmcall\n"
			 "ljmpl $0x08, $2f\n"
			 ".code64\n"
			 "2: pop %%rbx"
			 : "+a"(ax), "+c"(cx), "+d"(dx)
			 : [bx] "r"(bx)
			 : "rsi", "rdi", "rbp", "r8", "r9", "r10", "r11", "r12", "memory", "cc");
	return (int32_t)ax;
}

static bool is_record32(const void *at, u64 base)
{
	record32 info;

	barrier();
	memcpy(&info, at, sizeof(info));
	return info.state >= 0 && info.state < 4 &&
	       info.state_entry_time - info.time[0] - info.time[1] - info.time[2] -
	       info.time[3] == base;
}

void test_widths(void)
{
	static u8 at[64] __attribute__((aligned(64)));
	static struct vcpu_register_runstate_memory_area area;
	static struct xen_hvm_param param = {
		.domid = DOMID_SELF, .index = HVM_PARAM_CALLBACK_IRQ
	};
	const u32 op = __HYPERVISOR_vcpu_op;
	record info;
	u64 base;
	u32 i, wrong = 0;

	if (!cpu_is_amd) {
		tap_skip("VMCALL's turn has not come", "R-11 layouts for 32-bit callers");
		return;
	}
	register_linear(0, at);
	info = read_at(at);
	base = opened(&info);
	register_linear(0, NULL);

	area.addr.p = H(at);
	poison(at, sizeof(at));
	ANSWERS(0, call_32(op, VCPUOP_register_runstate_phys_area, 0, H(&area), 0),
		"R-11 a 32-bit caller registers an area by physical address");
	tap(is_record32(at, base) && is_poisoned(at + 44, 20),
	    "RS-8 R-11 it has the 32-bit layout, and no byte more");
	nap(MS / 10);
	tap(is_record32(at, base) && is_poisoned(at + 44, 20), "R-11 also when it is updated");
	area.addr.p = H(pool) + PAGE_SIZE - 40;
	ANSWERS(-XEN_ENXIO, call_32(op, VCPUOP_register_runstate_phys_area, 0, H(&area), 0),
		"RS-8 44 bytes do not fit into 40");
	area.addr.p = ~0ULL;
	ANSWERS(0, call_32(op, VCPUOP_register_runstate_phys_area, 0, H(&area), 0),
		"R-11 it unregisters it");
	poison(at, sizeof(at));
	ANSWERS(0, call_32(op, VCPUOP_get_runstate_info, 0, H(at), 0), "R-11 it asks");
	tap(!is_poisoned(at, 44) && is_poisoned(at + 44, 20), "RS-8 R-11 the answer has 44 bytes");

	/* By linear address it is the domain's width that counts, which was latched last. */
	area.addr.p = H(at);
	poison(at, sizeof(at));
	ANSWERS(0, call_32(op, VCPUOP_register_runstate_memory_area, 0, H(&area), 0),
		"R-11 a 32-bit caller registers an area by linear address");
	tap(is_current(at), "R-11 in a domain whose width is 64: that is the layout");
	param.value = 0;
	ANSWERS(0, call_32(__HYPERVISOR_hvm_op, HVMOP_set_param, H(&param), 0, 0),
		"R-11 the domain's width is 32 now");
	poison(at, sizeof(at));
	nap(MS / 10);
	tap(is_record32(at, base) && is_poisoned(at + 44, 20), "R-11 and so is the layout");
	ANSWERS(0, register_linear(0, at), "R-11 a 64-bit caller registers it again");
	poison(at, sizeof(at));
	nap(MS / 10);
	tap(is_record32(at, base) && is_poisoned(at + 44, 20), "R-11 the layout stays");
	ANSWERS(0, register_physical(0, H(at) + 4), "R-11 four bytes are an alignment now");
	register_physical(0, ~0ULL);
	set_hvm_param(HVM_PARAM_CALLBACK_IRQ, 0);
	nap(MS / 10);
	tap(is_current(at), "R-11 and the layout is the old one when the width is");
	register_linear(0, NULL);

	/* What is in the upper halves must not count (XSA-454). */
	for (i = 0; i < 16; i++)
		wrong += call_32(op, i | 0x10000 * (i & 1), 0x1000, H(&area),
				 ~0ULL >> 4 | i) != -XEN_ENOENT;
	tap_equal(wrong, 0, "RS-11 upper halves of a 32-bit caller's registers do not count");
	area.addr.p = H(at);
	ANSWERS(0, call_32(op, VCPUOP_register_runstate_memory_area, 0, H(&area), 0xdeadbeef),
		"RS-11 as in this call");
	area.addr.p = 0;
	ANSWERS(0, call_32(op, VCPUOP_register_runstate_memory_area, 0, H(&area), 0x7fffffff),
		"RS-11 and this one");
}

#else

void test_widths(void)
{
}

#endif
