// SPDX-License-Identifier: GPL-2.0-only
/* Xen: whether it is there, calling it, and leaving. */

#include "guest.h"

bool on_xen, on_kvm, cpu_is_amd;
u32 xen_cpuid_base;

static u8 shared_info_page[PAGE_SIZE] __attribute__((aligned(4096)));
struct shared_info *shared_info;

void xen_detect(void)
{
	struct cpuid r = cpuid(0);
	u32 base;

	/* "AuthenticAMD" and "HygonGenuine" have VMMCALL. */
	cpu_is_amd = r.b == 0x68747541 || r.b == 0x6f677948;
	if (!(cpuid(1).c >> 31))
		return;
	for (base = 0x40000000; base < 0x40010000; base += 0x100) {
		r = cpuid(base);
		if (r.b == 0x566e6558 && r.c == 0x65584d4d && r.d == 0x4d4d566e &&
		    r.a >= base + 2) {
			on_xen = true;
			xen_cpuid_base = base;
			return;
		}
		if (r.b == 0x4b4d564b && r.c == 0x564b4d56 && r.d == 0x4d)
			on_kvm = true;
	}
}

long hypercall(ulong op, ulong a1, ulong a2, ulong a3, ulong a4, ulong a5)
{
#ifdef __x86_64__
	register ulong r10 __asm__("r10") = a4;
	register ulong r8 __asm__("r8") = a5;

	if (cpu_is_amd)
		__asm__ volatile("vmmcall"
				 : "+a"(op), "+D"(a1), "+S"(a2), "+d"(a3), "+r"(r10), "+r"(r8)
				 :: "memory");
	else
		__asm__ volatile("vmcall"
				 : "+a"(op), "+D"(a1), "+S"(a2), "+d"(a3), "+r"(r10), "+r"(r8)
				 :: "memory");
#else
	if (cpu_is_amd)
		__asm__ volatile("vmmcall"
				 : "+a"(op), "+b"(a1), "+c"(a2), "+d"(a3), "+S"(a4), "+D"(a5)
				 :: "memory");
	else
		__asm__ volatile("vmcall"
				 : "+a"(op), "+b"(a1), "+c"(a2), "+d"(a3), "+S"(a4), "+D"(a5)
				 :: "memory");
#endif
	return op;
}

long xen_map_shared_info(void)
{
	struct xen_add_to_physmap place = {
		.domid = DOMID_SELF,
		.space = XENMAPSPACE_shared_info,
		.gpfn = H(shared_info_page) / PAGE_SIZE,
	};
	long rc;

	if (shared_info)
		return 0;
	rc = memory_op(XENMEM_add_to_physmap, &place);
	if (!rc)
		shared_info = (void *)shared_info_page;
	return rc;
}

long hvm_param(u32 index, u64 *value)
{
	struct xen_hvm_param param = { .domid = DOMID_SELF, .index = index };
	long rc = hvm_op(HVMOP_get_param, &param);

	*value = param.value;
	return rc;
}

long set_hvm_param(u32 index, u64 value)
{
	struct xen_hvm_param param = { .domid = DOMID_SELF, .index = index, .value = value };

	return hvm_op(HVMOP_set_param, &param);
}

long xen_set_upcall(u8 vector, irq_handler *handler)
{
	set_handler(vector, handler);
	return set_hvm_param(HVM_PARAM_CALLBACK_IRQ, 2ULL << 56 | vector);
}

void triple_fault(void)
{
	struct {
		u16 limit;
		ulong base;
	} __attribute__((packed)) none = { 0, 0 };

	__asm__ volatile("lidt %0; ud2" :: "m"(none));
	__builtin_unreachable();
}

void shutdown(unsigned int reason)
{
	struct sched_shutdown what = { .reason = reason };

	print_flush();
	if (on_xen)
		sched_op(SCHEDOP_shutdown, &what);
	/* QEMU's power management block, then what no machine survives. */
	outw(0x604, 0x2000);
	triple_fault();
}

void power_off(void)
{
	shutdown(SHUTDOWN_poweroff);
}

void panic(const char *format, ...)
{
	char text[256];
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	print("\nBail out! ");
	print(text);
	print_char('\n');
	shutdown(SHUTDOWN_crash);
}
