// SPDX-License-Identifier: GPL-2.0-only
/* Linear addresses that are not physical ones: page tables of the guest's own, user mode, SMAP, and the policy walk. */

#include "runstate.h"

#ifdef __x86_64__

/* From here on 512 pages are mapped as one likes. Nothing else is there. */
#define VIEW (1UL << 39)
#define PRESENT 1UL
#define WRITABLE 2UL
#define USER 4UL

#define RFLAGS_AC (1UL << 18)

extern u64 page_root[512];

static u64 pointers[512] __attribute__((aligned(4096))),
directory[512] __attribute__((aligned(4096)));
static u64 table[512] __attribute__((aligned(4096)));
/* The same address space without the view. */
static u64 other_root[512] __attribute__((aligned(4096)));

static u8 *view(unsigned int page)
{
	return (u8 *)(VIEW + page * PAGE_SIZE);
}

static void set_view(unsigned int page, u64 physical, u64 bits)
{
	table[page] = bits & PRESENT ? physical | bits : 0;
	invlpg(view(page));
	barrier();
}

static void view_begin(void)
{
	memcpy(other_root, page_root, sizeof(other_root));
	directory[0] = H(table) | PRESENT | WRITABLE | USER;
	pointers[0] = H(directory) | PRESENT | WRITABLE | USER;
	page_root[1] = H(pointers) | PRESENT | WRITABLE | USER;
	write_cr3(H(page_root));
}

static void view_end(void)
{
	page_root[1] = 0;
	memset(table, 0, sizeof(table));
	write_cr3(H(page_root));
}

/* Pages of the pool, in the order in which the guest never has them. */
static u8 *const front = pool + 2 * PAGE_SIZE, *const back = pool;

void test_views(void)
{
	record info;

	view_begin();
	poison(pool, sizeof(pool));
	set_view(0, H(front), PRESENT | WRITABLE);
	ANSWERS(0, register_linear(0, view(0) + 100),
		"R-2 an area is registered that only page tables know");
	tap(is_current(front + 100), "R-5 it is filled before the call returns");

	/* Behind the first page comes, physically, not the second. The old area goes first: as long as it is registered
	 * the host may take the processor and write there. */
	set_view(1, H(back), PRESENT | WRITABLE);
	register_linear(0, NULL);
	poison(pool, sizeof(pool));
	ANSWERS(0, register_linear(0, view(1) - 15),
		"R-2 an area in two pages that are not neighbours");
	tap(is_current(view(1) - 15), "R-5 is filled");
	nap(MS / 10);
	tap(is_current(view(1) - 15), "R-14 and kept up to date");
	tap(!is_poisoned(front + PAGE_SIZE - 15, 15) && is_poisoned(front, PAGE_SIZE - 15) &&
	    !is_poisoned(back, RECORD_SIZE - 15) && is_poisoned(back + RECORD_SIZE - 15, PAGE_SIZE),
	    "R-2 each part in its page and nothing beside it");

	set_view(1, 0, 0);
	ANSWERS(-XEN_EFAULT, register_linear(0, view(1) - 15), "R-2 both pages must be there");
	set_view(1, H(back), PRESENT);
	ANSWERS(-XEN_EFAULT, register_linear(0, view(1) - 15), "R-2 and writable");
	set_view(0, H(front), PRESENT);
	ANSWERS(-XEN_EFAULT, register_linear(0, view(0) + 100), "R-2 the first one too");
	set_view(2, HOLE, PRESENT | WRITABLE);
	ANSWERS(-XEN_EFAULT, register_linear(0, view(2)), "R-2 and there must be memory");
	ANSWERS(-XEN_EFAULT, register_linear(0, (void *)0x8000000000000000UL),
		"R-2 at an address that can be");
	ANSWERS(-XEN_EFAULT, register_linear(0, (void *)~0UL), "R-2 all of it");
	set_view(0, H(front), PRESENT | WRITABLE);
	set_view(1, H(back), PRESENT | WRITABLE);
	nap(MS / 10);
	tap(is_current(view(1) - 15), "R-5 what failed leaves the old area alone");

	/* The frames are the area, not the address. */
	poison(pool, sizeof(pool));
	ANSWERS(0, register_linear(0, view(0) + 256), "R-4 an area is registered");
	set_view(0, H(back), PRESENT | WRITABLE);
	poison(pool, sizeof(pool));
	nap(MS / 10);
	tap(is_current(front + 256),
	    "R-4 whose address then leads to another page: the old frame is written on");
	tap(is_poisoned(back, PAGE_SIZE), "R-4 and the new one is not");
	ANSWERS(0, register_linear(0, view(0) + 256), "R-4 until it is registered again");
	poison(front, PAGE_SIZE);
	nap(MS / 10);
	tap(is_current(back + 256) && is_poisoned(front, PAGE_SIZE),
	    "R-4 which makes it the new one");
	set_view(0, 0, 0);
	nap(MS / 10);
	tap(is_current(back + 256), "R-4 also when the address leads nowhere");

	if (running > 1) {
		u32 i;

		/* The other CPU has these page tables too; for the call this one has others. */
		page_root[1] = 0;
		other_root[1] = H(pointers) | PRESENT | WRITABLE | USER;
		write_cr3(H(other_root));
		set_view(0, H(front), PRESENT | WRITABLE);
		poison(front, PAGE_SIZE);
		ANSWERS(0, register_linear(1, view(0) + 64),
			"R-2 an area for another vCPU is found with the caller's page tables");
		info = read_at(front + 64);
		tap(info.state >= 0 && info.state < 4 && opened(&info) < info.state_entry_time,
		    "R-5 and is filled");
		for (i = 0; i < 100 &&
		     read_at(front + 64).state_entry_time == info.state_entry_time; i++)
			nap(MS);
		tap(read_at(front + 64).state_entry_time > info.state_entry_time,
		    "R-14 and kept up to date by the other");
		register_linear(1, NULL);
		other_root[1] = 0;
		page_root[1] = H(pointers) | PRESENT | WRITABLE | USER;
		write_cr3(H(page_root));
	}
	register_linear(0, NULL);
	view_end();
}

/* --- user mode with page tables that do not have the area --- */

/* Computes at CPL 3 for so many milliseconds. */
static ulong compute(ulong ms)
{
	u64 start = rdtsc();
	ulong rounds = 0;

	/* System time cannot be had here; the TSC runs at more than 100 MHz. */
	while (rdtsc() - start < ms * 100000)
		rounds++;
	return rounds;
}

/* As a kernel with isolated page tables does: the area is not mapped while user code runs. */
static void run_isolated(ulong ms)
{
	write_cr3(H(other_root));
	user_call(compute, ms);
	write_cr3(H(page_root));
}

/* Runs user code, isolated, until the processor was taken from it; false if nobody wanted it for long. */
static bool run_until_preempted(void)
{
	u64 stolen = ask(0).time[RUNSTATE_runnable], start = xen_time();

	do
		run_isolated(20);
	while (ask(0).time[RUNSTATE_runnable] == stolen && xen_time() - start < PATIENCE);
	return ask(0).time[RUNSTATE_runnable] > stolen;
}

void test_user_mode(void)
{
	unsigned int i, wrong = 0, preempted = 0;

	view_begin();
	poison(pool, sizeof(pool));
	set_view(0, H(front), PRESENT | WRITABLE);
	ANSWERS(0, register_linear(0, view(0) + 40),
		"R-2 an area is registered that user code's page tables do not have");
	for (i = 0; i < 10; i++) {
		poison(front, PAGE_SIZE);
		/* Where nobody wanted the processor nothing was written either. */
		if (run_until_preempted()) {
			preempted++;
			wrong += !is_current(front + 40);
		}
	}
	if (param("busy"))
		tap_equal(preempted, 10, "the processor is taken from user code");
	if (!preempted)
		tap_skip("nobody else wanted the processor",
			 "R-14 RS-9 the area is written while user code runs isolated");
	else
		tap_equal(wrong, 0, "R-14 RS-9 the area is written while user code runs isolated");
	register_linear(0, NULL);
	view_end();
}

/* --- SMAP --- */

/* A hypercall with RFLAGS.AC clear, as a kernel's are; nothing of the guest's memory is touched then. */
static long call_without_ac(u32 cmd, const void *arg)
{
	long rc = __HYPERVISOR_vcpu_op;
	ulong a1 = cmd, a2 = 0, a3 = H(arg);

	__asm__ volatile("clac; vmmcall; stac" : "+a"(rc), "+D"(a1), "+S"(a2), "+d"(a3) :: "memory",
			 "cc");
	return rc;
}

void test_smap(void)
{
	struct vcpu_register_runstate_memory_area *area = (void *)(view(1) + 64);
	record before;

	if (!(cpuid(7).b >> 20 & 1) || !cpu_is_amd) {
		tap_skip("there is no SMAP", "RS-7 areas under SMAP");
		return;
	}
	view_begin();
	poison(pool, sizeof(pool));
	set_view(0, H(front), PRESENT | WRITABLE | USER);
	set_view(1, H(back), PRESENT | WRITABLE);
	area->addr.p = H(view(0));
	/* All of this guest is in user pages: it needs AC all the time. */
	__asm__ volatile("stac" ::: "cc");
	__asm__ volatile("mov %0, %%cr4" :: "r"(read_cr4() | CR4_SMAP) : "memory");
	ANSWERS(-XEN_EFAULT, call_without_ac(VCPUOP_register_runstate_memory_area, area),
		"RS-7 a page that SMAP keeps from the kernel is no area");
	set_view(0, H(front), PRESENT | WRITABLE);
	ANSWERS(0, call_without_ac(VCPUOP_register_runstate_memory_area, area),
		"RS-7 but one of the kernel's is");
	before = read_at(front);
	nap(MS / 10);
	tap(read_at(front).state_entry_time > before.state_entry_time,
	    "RS-7 and is written, whatever AC is then");
	set_view(0, H(front), PRESENT | WRITABLE | USER);
	tap(is_current(front), "RS-7 and whatever SMAP says of its address by now");
	write_cr4(read_cr4() & ~CR4_SMAP);
	__asm__ volatile("clac" ::: "cc");
	register_linear(0, NULL);
	view_end();
}

/* --- runstate_va=walk --- */

void test_walk(void)
{
	static record at;
	struct vcpu_register_time_memory_area time = { .addr.p = H(view(2)) };
	unsigned int i, preempted, missed = 0;

	view_begin();
	poison(pool, sizeof(pool));
	set_view(0, H(front), PRESENT | WRITABLE);
	ANSWERS(0, register_linear(0, view(0) + 4000), "R-3 an area is registered");
	tap(is_current(front + 4000), "R-3 and filled");
	nap(MS / 10);
	tap(is_current(front + 4000), "R-3 and kept up to date");
	set_view(0, H(back), PRESENT | WRITABLE);
	poison(pool, sizeof(pool));
	nap(MS / 10);
	tap(is_current(back + 4000) && is_poisoned(front, PAGE_SIZE),
	    "R-3 it follows its address to another page");
	set_view(0, 0, 0);
	poison(pool, sizeof(pool));
	nap(MS / 10);
	tap(is_poisoned(pool, sizeof(pool)), "R-3 when that leads nowhere nothing is written");
	set_view(0, H(front), PRESENT);
	nap(MS / 10);
	tap(is_poisoned(pool, sizeof(pool)), "R-3 nor where the guest may only read");
	set_view(0, H(front), PRESENT | WRITABLE);
	nap(MS / 10);
	tap(is_current(front + 4000), "R-3 and when it is there again it goes on");
	set_flag(true);
	set_view(1, H(back), PRESENT | WRITABLE);
	ANSWERS(0, register_linear(0, view(1) - 15), "R-3 across a page, with the flag");
	nap(MS / 10);
	tap(is_current(view(1) - 15), "R-3 it works too");
	set_flag(false);
	tap(table[0] & 1 << 6 && table[1] & 1 << 6,
	    "R-3 the pages are marked as written, as a processor does");
	/* What fails in Xen fails here. */
	for (preempted = 0, i = 0; i < 10; i++) {
		preempted += run_until_preempted();
		missed += !is_current(view(1) - 15);
	}
	if (preempted)
		tap(missed > 0, "R-3 as in Xen, isolated user code keeps it from being written");
	else
		tap_skip("nobody else wanted the processor",
			 "R-3 isolated user code keeps it from being written");
	ANSWERS(0, register_linear(0, (void *)NOWHERE),
		"R-3 as in Xen, an address that leads nowhere is no error");
	ANSWERS(0, register_linear(0, NULL), "R-4 NULL unregisters");
	set_view(2, H(front), PRESENT | WRITABLE);
	poison(front, PAGE_SIZE);
	ANSWERS(0, vcpu_op(VCPUOP_register_vcpu_time_memory_area, 0, &time),
		"R-3 a time area is registered");
	tap(READ_ONCE(((struct vcpu_time_info *)front)->tsc_to_system_mul) ==
	    shared_info->vcpu_info[0].time.tsc_to_system_mul, "R-3 and filled");
	ANSWERS(0, register_physical(0, H(&at) & ~7UL), "an area by physical address is as ever");
	nap(MS / 10);
	tap(is_current((void *)(H(&at) & ~7UL)), "and kept up to date");
	register_physical(0, ~0ULL);
	view_end();
}

#else

void test_views(void)
{
}

void test_user_mode(void)
{
}

void test_smap(void)
{
}

void test_walk(void)
{
	tap_skip_all("no page tables here");
}

#endif
