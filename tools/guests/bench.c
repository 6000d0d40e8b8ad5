// SPDX-License-Identifier: GPL-2.0-only
/*
 * Times round trips: the guest leaves, is answered, and is back. Where the TSC counts instructions
 * (QEMU's -icount), a line tells exactly how many a round trip takes, this loop's two or three included:
 *
 *   bench NAME LEAST MEDIAN
 *
 * Rounds come in batches so short that most see no tick of the host's clock; the least and the median
 * of the batches are told, each divided by the rounds in it.
 *
 * Command line: n=100 rounds a batch, batches=100 of them (up to 1000), after one that is not counted;
 * port=0x4f8 for the OUT. tool=PORT and buffered=PORT name ports that a device model serves, and whose writes it has
 * buffered. The last rows need an x2APIC, `wake` and `send` a second CPU. Runs on Xen, on KVM and on neither.
 * With `areas`, on Xen, only the waking, while no CPU has a runstate area (`wakenone`) and while each has: by physical
 * address (`wakephysical`), by linear address in one page (`wakepage`) and in two (`wakesplit`).
 */

#include "guest.h"

#define MAX_BATCHES 1000

static u32 rounds, batches;
static u16 port;
static u64 taken[MAX_BATCHES];

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
DEFINE_LOOP(in, "mov %[c], %%edx\n", "in %%dx, %%al")
#else
/* Too few registers for the clobbers: CPUID's %ebx and the hypercall's are saved around the loop. */
#define LOOP_CLOBBERS
DEFINE_LOOP(empty, "", "")
DEFINE_LOOP(cpuid, "xor %%ecx, %%ecx\n push %%ebx\n", "cpuid\n pop %%ebx")
DEFINE_LOOP(vmmcall, "push %%ebx\n xor %%ebx, %%ebx\n", "vmmcall\n pop %%ebx")
DEFINE_LOOP(vmcall, "push %%ebx\n xor %%ebx, %%ebx\n", "vmcall\n pop %%ebx")
DEFINE_LOOP(rdmsr, "mov %[c], %%ecx\n", "rdmsr")
DEFINE_LOOP(out, "mov %[c], %%edx\n", "out %%al, %%dx")
DEFINE_LOOP(in, "mov %[c], %%edx\n", "in %%dx, %%al")
#endif

/* --- interrupts --- */

enum { VEC_PING = 0x41 };

static volatile u32 received[2];
static volatile bool answers;

static void on_ping(struct regs *regs)
{
	u32 index = this_cpu()->index;

	received[index]++;
	apic_eoi();
	if (index && answers)
		apic_icr(cpus[0].apic_id, ICR_FIXED | ICR_ASSERT | VEC_PING);
}

/* The handler runs and ends: two writes to the x2APIC, and one delivery. */
static void loop_selfipi(u32 count, u32 a, u32 c)
{
	irq_enable();
	while (count--) {
		u32 before = received[0];

		apic_icr(0, ICR_FIXED | ICR_ASSERT | ICR_SELF | VEC_PING);
		while (received[0] == before)
			cpu_relax();
	}
	irq_disable();
}

/* Wakes the other CPU, which wakes this one. */
static void loop_wake(u32 count, u32 a, u32 c)
{
	while (count--) {
		u32 before = received[0];

		apic_icr(cpus[1].apic_id, ICR_FIXED | ICR_ASSERT | VEC_PING);
		while (received[0] == before) {
			irq_enable_and_halt();
			irq_disable();
		}
	}
}

static evtchn_port_t other_port;

/* An event to the other CPU, which is down: it becomes pending each time. */
static void loop_send(u32 count, u32 a, u32 c)
{
	struct vcpu_info *other = &shared_info->vcpu_info[1];

	while (count--) {
		event_send(other_port);
		event_clear(other_port);
		other->evtchn_pending_sel = 0;
		other->evtchn_upcall_pending = 0;
	}
}

static void other_cpu(void)
{
	apic_enable(true);
	for (;;)
		irq_enable_and_halt();
}

static void sort(u64 *values, u32 count)
{
	u32 i, j;

	for (i = 1; i < count; i++) {
		u64 value = values[i];

		for (j = i; j > 0 && values[j - 1] > value; j--)
			values[j] = values[j - 1];
		values[j] = value;
	}
}

static void bench(const char *name, void (*loop)(u32 count, u32 a, u32 c), u32 a, u32 c)
{
	u32 i;

	loop(rounds, a, c);
	for (i = 0; i < batches; i++) {
		u64 start = rdtsc();

		loop(rounds, a, c);
		taken[i] = rdtsc() - start;
	}
	sort(taken, batches);
	printf("bench %s %llu %llu\n", name, (unsigned long long)divide(taken[0], rounds, NULL),
	       (unsigned long long)divide(taken[batches / 2], rounds, NULL));
}

static bool register_areas(unsigned int op, ulong first, ulong step)
{
	struct vcpu_register_runstate_memory_area area;
	unsigned int cpu;

	for (cpu = 0; cpu < 2; cpu++) {
		area.addr.p = first + cpu * step;
		if (vcpu_op(op, cpu, &area))
			return false;
	}
	return true;
}

/* Tells of the waking only, with areas of each kind that there is. */
static void bench_areas(void)
{
	static u8 pool[2][2 * PAGE_SIZE] __attribute__((aligned(4096)));
	ulong first = (ulong)pool;

	set_handler(VEC_PING, on_ping);
	if (!on_xen || !apic_has_x2apic() || !apic_enable(true))
		return;
	answers = true;
	if (smp_start(other_cpu, true) < 2)
		return;
	hypercall2(__HYPERVISOR_vm_assist, VMASST_CMD_enable, VMASST_TYPE_runstate_update_flag);
	bench("wakenone", loop_wake, 0, 0);
	if (register_areas(VCPUOP_register_runstate_phys_area, first + 64, sizeof(pool[0]))) {
		bench("wakephysical", loop_wake, 0, 0);
		register_areas(VCPUOP_register_runstate_phys_area, ~0UL, 0);
	}
	if (register_areas(VCPUOP_register_runstate_memory_area, first + 64, sizeof(pool[0])))
		bench("wakepage", loop_wake, 0, 0);
	if (register_areas(VCPUOP_register_runstate_memory_area, first + PAGE_SIZE - 20,
			   sizeof(pool[0])))
		bench("wakesplit", loop_wake, 0, 0);
}

void main(void)
{
	rounds = param_number("n", 100);
	batches = param_number("batches", 100);
	port = param_number("port", 0x4f8);

	if (!rounds)
		rounds = 1;
	if (!batches || batches > MAX_BATCHES)
		batches = MAX_BATCHES;

	printf("bench: %u-bit guest on %s, %u batches of %u rounds\n", (u32)sizeof(long) * 8,
	       on_xen ? "Xen" : on_kvm ? "KVM" : "neither Xen nor KVM", batches, rounds);
	/* QEMU, where it speaks Xen, has a BIOS's interrupt controllers on. */
	outb(0x21, 0xff);
	outb(0xa1, 0xff);
	if (param("areas")) {
		bench_areas();
		print("bench: done\n");
		return;
	}
	bench("empty", loop_empty, 0, 0);
	bench("cpuid", loop_cpuid, 0, 0);
	if (on_xen || on_kvm) {
		/* The cheapest there is: Xen's version; KVM's call 1, which does nothing. */
		bench(cpu_is_amd ? "vmmcall" : "vmcall", cpu_is_amd ? loop_vmmcall : loop_vmcall,
		      on_xen ? __HYPERVISOR_xen_version : 1, 0);
	}
	bench("rdmsr", loop_rdmsr, 0, MSR_APIC_BASE);
	bench("out", loop_out, 0, port);
	if (param("tool")) {
		bench("outtool", loop_out, 0, param_number("tool", 0));
		bench("intool", loop_in, 0, param_number("tool", 0));
	}
	if (param("buffered"))
		bench("buffered", loop_out, 0, param_number("buffered", 0));
	if (on_xen && !xen_map_shared_info()) {
		other_port = event_bind_ipi(1);
		event_unmask(other_port);
		bench("send", loop_send, 0, 0);
		event_close(other_port);
	}
	set_handler(VEC_PING, on_ping);
	if (apic_has_x2apic() && apic_enable(true)) {
		bench("selfipi", loop_selfipi, 0, 0);
		answers = true;
		if (smp_start(other_cpu, true) > 1)
			bench("wake", loop_wake, 0, 0);
	}
	print("bench: done\n");
}
