// SPDX-License-Identifier: GPL-2.0-only
/* How hypercalls are made: numbers, registers, addresses, CPL 3, the hypercall page. */

#include "hypercalls.h"

/*
 * Numbers that no Xen of today answers, or that are for PV guests only (Xen's public xen.h has the list).
 * 48 to 55 are for the architecture; Xen has two of its own there.
 */
static const u32 absent[] = {
	0, 1, 2, 3, 4, 5, 6, 8, 9, 10, 11, 14, 16, 19, 22, 23, 25, 28, 30, 31, 37, 38, 43, 44, 45,
	46, 47, 50, 51, 52, 53, 54, 55, 56, 57, 58, 59, 60, 61, 62, 63, 64, 65, 255, 256, 0xffff,
	0x7fffffff, 0x80000000, 0xffffffff,
};

void test_numbers(void)
{
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(absent); i++)
		tap_equal(hypercall(absent[i], H(NOWHERE), 0, 0, 0, 0), -XEN_ENOSYS,
			  "hypercall %u is -XEN_ENOSYS", absent[i]);
#ifdef __x86_64__
	/* All of the register counts. */
	IS(-XEN_ENOSYS, hypercall(1UL << 32 | __HYPERVISOR_xen_version, 0, 0, 0, 0, 0));
	IS(-XEN_ENOSYS, hypercall(~0UL, 0, 0, 0, 0, 0));
#endif
}

/* What registers and flags are around a hypercall. */
ulong seen[3], flags_before, flags_after;

void test_registers(void)
{
	static const ulong kept[3] = { 0x11111111, 0x22222222, 0x33333333 };

	if (!cpu_is_amd) {
		tap_skip("VMCALL's turn has not come", "a hypercall leaves registers alone");
		return;
	}
#ifdef __x86_64__
	__asm__ volatile("mov %[op], %%eax; xor %%edi, %%edi; xor %%esi, %%esi\n"
			 "mov $0x11111111, %%ebx; mov $0x22222222, %%ecx; mov $0x33333333, %%r12d\n"
			 "stc; std; pushf; popq flags_before; vmmcall; pushf; popq flags_after; cld\n"
			 "mov %%rbx, seen; mov %%rcx, seen + 8; mov %%r12, seen + 16"
			 :: [op] "i"(__HYPERVISOR_xen_version)
			 : "rax", "rbx", "rcx", "rsi", "rdi", "r12", "memory", "cc");
#else
	__asm__ volatile("pusha; mov %[op], %%eax; xor %%ebx, %%ebx; xor %%ecx, %%ecx\n"
			 "mov $0x11111111, %%esi; mov $0x22222222, %%edi; mov $0x33333333, %%ebp\n"
			 "stc; std; pushf; popl flags_before; vmmcall; pushf; popl flags_after; cld\n"
			 "mov %%esi, seen; mov %%edi, seen + 4; mov %%ebp, seen + 8; popa"
			 :: [op] "i"(__HYPERVISOR_xen_version) : "memory", "cc");
#endif
	tap(!memcmp(seen, kept, sizeof(kept)),
	    "a hypercall leaves registers that are not its own alone");
	tap_equal(flags_after, flags_before, "a hypercall leaves the flags alone");
}

/* At CPL 3. */
static ulong user_hypercall(ulong op)
{
	return hypercall(op, 0, 0, 0, 0, 0);
}

void test_user(void)
{
	u32 i;

	for (i = 0; i < 64; i++)
		tap_equal((long)user_call(user_hypercall, i), -XEN_EPERM,
			  "hypercall %u from CPL 3 is -XEN_EPERM", i);
	tap_equal((long)user_call(user_hypercall, ~0UL), -XEN_EPERM,
		  "and so is one that does not exist");
}

void test_addresses(void)
{
	char *end = (char *)page + sizeof(page);
	domid_t *split = (void *)(page + PAGE_SIZE - 1);

	/* Arguments that cross a page, and that are not aligned. */
	*split = DOMID_SELF;
	barrier();
	GIVES(memory_op(XENMEM_current_reservation, split));
	IS(0, xen_version(XENVER_extraversion, page + PAGE_SIZE - 3));
	IS(0, xen_version(XENVER_guest_handle, end - 16));
#ifdef __x86_64__
	IS(-XEN_EFAULT, memory_op(XENMEM_current_reservation, ~0UL));
	IS(-XEN_EFAULT, xen_version(XENVER_extraversion, 0xffff800000000000));
#endif
}

/* The page of ready-made hypercalls (Xen's public arch-x86/cpuid.h, leaf 2). */
void test_hypercall_page(void)
{
	u32 msr = cpuid(xen_cpuid_base + 2).b;
	long (*call)(ulong, ulong);
	u64 value = 1;

	tap_equal(cpuid(xen_cpuid_base + 2).a, 1, "there is one hypercall page");
	tap_equal(wrmsr_safe(msr, 1ULL << 50), VEC_GP, "not where there is no memory");
	memset(page, 0, PAGE_SIZE);
	tap_equal(wrmsr_safe(msr, H(page) | 0), NO_FAULT, "it is written where asked");
	tap_equal(rdmsr_safe(msr, &value), NO_FAULT, "its MSR can be read");
	tap_equal(value, 0, "as 0");
	tap_equal(page[32 * __HYPERVISOR_xen_version], 0xb8, "an entry begins with MOV to EAX");
	tap_equal(*(u32 *)(page + 32 * __HYPERVISOR_xen_version + 1), __HYPERVISOR_xen_version,
		  "of its number");
	tap_equal(page[32 * __HYPERVISOR_iret], 0x0f, "that of iret is UD2");
	call = (void *)(page + 32 * __HYPERVISOR_xen_version);
#ifdef __x86_64__
	tap_equal(call(XENVER_pagesize, 0), 4096, "it works");
#else
	(void)call;
#endif
	tap(wrmsr_safe(msr, H(page) | 1) == VEC_GP, "there is no second page");
}
