// SPDX-License-Identifier: GPL-2.0-only
/*
 * Times round trips: the guest leaves, is answered, and is back. Where the TSC counts instructions
 * (QEMU's -icount), a line tells exactly how many a round trip takes, this loop's two or three included:
 *
 *   bench NAME COUNT
 *
 * Command line: n=10000 rounds, after warm=1000 uncounted ones; port=0x4f8 for the OUT that a tool
 * serves. Runs on Xen, on KVM and on neither.
 */

#include "guest.h"

static u32 rounds, warm;
static u16 port;

/* Defines a function that runs `setup` and `instruction` so many times. */
#define DEFINE_LOOP(name, setup, instruction)				\
	static void loop_##name(u32 count, u32 a, u32 c)		\
	{								\
		__asm__ volatile("1: mov %[a], %%eax\n" setup instruction "\n" \
				 "sub $1, %[count]\n jnz 1b"		\
				 : [count] "+r"(count)			\
				 : [a] "r"(a), [c] "r"(c)		\
				 : "eax", "ecx", "edx", LOOP_CLOBBERS "memory"); \
	}
#ifdef __x86_64__
#define LOOP_CLOBBERS "ebx", "edi", "esi",
/* The first argument is 0: XENVER_version. */
#define ARGUMENT "xor %%edi, %%edi\n"
DEFINE_LOOP(empty, "", "")
DEFINE_LOOP(cpuid, "xor %%ecx, %%ecx\n", "cpuid")
DEFINE_LOOP(vmmcall, ARGUMENT, "vmmcall")
DEFINE_LOOP(vmcall, ARGUMENT, "vmcall")
DEFINE_LOOP(rdmsr, "mov %[c], %%ecx\n", "rdmsr")
DEFINE_LOOP(out, "mov %[c], %%edx\n", "out %%al, %%dx")
#else
/* Too few registers for the clobbers: CPUID's %ebx and the hypercall's are saved around the loop. */
#define LOOP_CLOBBERS
DEFINE_LOOP(empty, "", "")
DEFINE_LOOP(cpuid, "xor %%ecx, %%ecx\n push %%ebx\n", "cpuid\n pop %%ebx")
DEFINE_LOOP(vmmcall, "push %%ebx\n xor %%ebx, %%ebx\n", "vmmcall\n pop %%ebx")
DEFINE_LOOP(vmcall, "push %%ebx\n xor %%ebx, %%ebx\n", "vmcall\n pop %%ebx")
DEFINE_LOOP(rdmsr, "mov %[c], %%ecx\n", "rdmsr")
DEFINE_LOOP(out, "mov %[c], %%edx\n", "out %%al, %%dx")
#endif

static void bench(const char *name, void (*loop)(u32 count, u32 a, u32 c), u32 a, u32 c)
{
	u64 start, end;
	u32 rest;

	loop(warm, a, c);
	start = rdtsc();
	loop(rounds, a, c);
	end = rdtsc();
	start = divide(end - start, rounds, &rest);
	printf("bench %s %llu\n", name, (unsigned long long)start);
}

void main(void)
{
	rounds = param_number("n", 10000);
	warm = param_number("warm", 1000);
	port = param_number("port", 0x4f8);

	printf("bench: %u-bit guest on %s, %u rounds\n", (u32)sizeof(long) * 8,
	       on_xen ? "Xen" : on_kvm ? "KVM" : "neither Xen nor KVM", rounds);
	bench("empty", loop_empty, 0, 0);
	bench("cpuid", loop_cpuid, 0, 0);
	if (on_xen || on_kvm) {
		/* The cheapest there is: Xen's version; KVM's call 1, which does nothing. */
		bench("hypercall", cpu_is_amd ? loop_vmmcall : loop_vmcall,
		      on_xen ? __HYPERVISOR_xen_version : 1, 0);
	}
	bench("rdmsr", loop_rdmsr, 0, MSR_APIC_BASE);
	bench("out", loop_out, 0, port);
	print("bench: done\n");
}
