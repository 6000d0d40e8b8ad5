// SPDX-License-Identifier: GPL-2.0-only
/* The C half of sys/: see helpers.h. */

#include <linux/capability.h>
#include <linux/cpu.h>
#include <linux/cpuhotplug.h>
#include <linux/cpumask.h>
#include <linux/gfp.h>
#include <linux/hrtimer.h>
#include <linux/kernel_stat.h>
#include <linux/kthread.h>
#include <linux/ktime.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/bottom_half.h>
#include <linux/interrupt.h>
#include <linux/preempt.h>
#include <linux/pgtable.h>
#include <linux/random.h>
#include <linux/ratelimit.h>
#include <linux/rcupdate.h>
#include <linux/sched.h>
#include <linux/sched/signal.h>
#include <linux/sched/task.h>
#include <linux/seq_file.h>
#include <linux/smp.h>
#include <linux/spinlock.h>
#include <linux/tick.h>
#include <linux/topology.h>
#include <linux/vmstat.h>
#include <asm/cpufeature.h>
#include <asm/debugreg.h>
#include <asm/fpu/api.h>
#include <asm/io.h>
#include <asm/msr.h>
#include <asm/nospec-branch.h>
#include <asm/tsc.h>
#include <trace/events/ipi.h>

#include "helpers.h"

/* Pages. */

struct page *oxen_alloc_pages(u32 order, bool account, bool try_only)
{
	gfp_t gfp = (account ? GFP_KERNEL_ACCOUNT : GFP_KERNEL) | __GFP_ZERO | __GFP_NOWARN;

	/* A large block is a gain, not a need: do not disturb the machine for it. */
	if (try_only)
		gfp |= __GFP_NORETRY | __GFP_NOMEMALLOC;
	return alloc_pages(gfp, order);
}

void oxen_split_page(struct page *page, u32 order)
{
	split_page(page, order);
}

void oxen_get_page(struct page *page)
{
	get_page(page);
}

void oxen_put_page(struct page *page)
{
	put_page(page);
}

int oxen_page_count(struct page *page)
{
	return page_count(page);
}

void *oxen_page_address(struct page *page)
{
	return page_address(page);
}

u64 oxen_page_to_pfn(struct page *page)
{
	return page_to_pfn(page);
}

struct page *oxen_pfn_to_page(u64 pfn)
{
	return pfn_to_page(pfn);
}

u64 oxen_virt_to_phys(const void *va)
{
	return virt_to_phys((void *)va);
}

u64 oxen_sme_mask(void)
{
	return sme_me_mask;
}

bool oxen_has_five_levels(void)
{
	return pgtable_l5_enabled();
}

u64 oxen_totalram_pages(void)
{
	return totalram_pages();
}

u64 oxen_free_pages_count(void)
{
	return global_zone_page_state(NR_FREE_PAGES);
}

/* Preemption and interrupts. */

void oxen_preempt_disable(void)
{
	preempt_disable();
}

void oxen_preempt_enable(void)
{
	preempt_enable();
}

void oxen_irq_disable(void)
{
	local_irq_disable();
}

void oxen_irq_enable(void)
{
	local_irq_enable();
}

bool oxen_irqs_disabled(void)
{
	return irqs_disabled();
}

unsigned long oxen_irq_save(void)
{
	unsigned long flags;

	local_irq_save(flags);
	return flags;
}

void oxen_irq_restore(unsigned long flags)
{
	local_irq_restore(flags);
}

void oxen_softirqs_disable(void)
{
	local_bh_disable();
}

void oxen_softirqs_enable(void)
{
	local_bh_enable();
}

u32 oxen_softirqs_pending(void)
{
	return local_softirq_pending();
}

bool oxen_need_resched(void)
{
	return need_resched();
}

void oxen_cond_resched(void)
{
	cond_resched();
}

void oxen_rcu_virt_note_context_switch(void)
{
	rcu_note_context_switch(false);
}

void oxen_raw_spin_init(struct raw_spinlock *lock, const char *name, struct lock_class_key *key)
{
#ifdef CONFIG_DEBUG_SPINLOCK
	__raw_spin_lock_init(lock, name, key, LD_WAIT_SPIN);
#else
	raw_spin_lock_init(lock);
#endif
}

unsigned long oxen_raw_spin_lock(struct raw_spinlock *lock)
{
	unsigned long flags;

	raw_spin_lock_irqsave(lock, flags);
	return flags;
}

bool oxen_raw_spin_trylock(struct raw_spinlock *lock, unsigned long *flags)
{
	unsigned long now;
	bool taken = raw_spin_trylock_irqsave(lock, now);

	if (taken)
		*flags = now;
	return taken;
}

void oxen_raw_spin_unlock(struct raw_spinlock *lock, unsigned long flags)
{
	raw_spin_unlock_irqrestore(lock, flags);
}

void oxen_raw_spin_assert_held(struct raw_spinlock *lock)
{
	lockdep_assert_held(lock);
}

/* Processors. */

u32 oxen_nr_cpu_ids(void)
{
	return nr_cpu_ids;
}

u32 oxen_num_online_cpus(void)
{
	return num_online_cpus();
}

bool oxen_cpu_online(u32 cpu)
{
	return cpu < nr_cpu_ids && cpu_online(cpu);
}

u32 oxen_cpu_core_id(u32 cpu)
{
	return topology_core_id(cpu);
}

u32 oxen_cpu_package_id(u32 cpu)
{
	return topology_physical_package_id(cpu);
}

u32 oxen_cpu_node(u32 cpu)
{
	return cpu_to_node(cpu);
}

u64 oxen_cpu_idle_ns(u32 cpu)
{
#ifdef CONFIG_NO_HZ_COMMON
	u64 us = get_cpu_idle_time_us(cpu, NULL);

	if (us != -1ULL)
		return us * NSEC_PER_USEC;
#endif
	return kcpustat_cpu(cpu).cpustat[CPUTIME_IDLE] + kcpustat_cpu(cpu).cpustat[CPUTIME_IOWAIT];
}

s32 oxen_cpuhp_setup(s32 (*online)(u32 cpu), s32 (*offline)(u32 cpu))
{
	return cpuhp_setup_state(CPUHP_AP_ONLINE_DYN, "virt/oxen:online", online, offline);
}

void oxen_cpuhp_remove(s32 state)
{
	cpuhp_remove_state(state);
}

void oxen_kick_cpu(u32 cpu)
{
	/*
	 * Who runs here has interrupted the guest, or has kept this thread from it: what was asked of it is
	 * seen before it goes on.
	 */
	if (cpu == raw_smp_processor_id())
		return;
	if (cpu < nr_cpu_ids && cpu_online(cpu))
		smp_send_reschedule(cpu);
}

struct cpumask *oxen_cpumask_alloc(void)
{
	return kzalloc(cpumask_size(), GFP_KERNEL);
}

void oxen_cpumask_free(struct cpumask *mask)
{
	kfree(mask);
}

void oxen_cpumask_set(struct cpumask *mask, u32 cpu)
{
	cpumask_set_cpu(cpu, mask);
	/* Pairs with the barrier in oxen_ipi_wait(): either it sees us or we see its change. */
	smp_mb__after_atomic();
}

void oxen_cpumask_clear(struct cpumask *mask, u32 cpu)
{
	smp_mb__before_atomic();
	cpumask_clear_cpu(cpu, mask);
}

s32 oxen_call_on_cpu(u32 cpu, void (*func)(void *), void *arg)
{
	return smp_call_function_single(cpu, func, arg, true);
}

bool oxen_boot_cpu_has(u32 feature)
{
	return test_cpu_cap(&boot_cpu_data, feature);
}

u32 oxen_tsc_khz(void)
{
	return tsc_khz;
}

u64 oxen_host_dr7(void)
{
	return this_cpu_read(cpu_dr7);
}

bool oxen_cpu_leaks_x87_pointers(void)
{
	return boot_cpu_has_bug(X86_BUG_FXSAVE_LEAK);
}

u64 oxen_random(void)
{
	return get_random_u64();
}

bool oxen_cpu_has_ibpb(void)
{
	return boot_cpu_has(X86_FEATURE_IBPB);
}

bool oxen_cpu_has_nrips(void)
{
	return boot_cpu_has(X86_FEATURE_NRIPS);
}

bool oxen_cpu_has_flushbyasid(void)
{
	return boot_cpu_has(X86_FEATURE_FLUSHBYASID);
}

bool oxen_cpu_has_decodeassists(void)
{
	return boot_cpu_has(X86_FEATURE_DECODEASSISTS);
}

bool oxen_cpu_has_v_spec_ctrl(void)
{
	return boot_cpu_has(X86_FEATURE_V_SPEC_CTRL);
}

bool oxen_cpu_has_vmcbclean(void)
{
	return boot_cpu_has(X86_FEATURE_VMCBCLEAN);
}

/*
 * The process that runs next on this processor may be one of the host's, whose branches a guest must not have
 * predicted (VMSCAPE). Where the processor needs it, the kernel issues a barrier before it returns there.
 */
void oxen_guest_ran(void)
{
	if (boot_cpu_has(X86_FEATURE_IBPB_EXIT_TO_USER))
		this_cpu_write(x86_ibpb_exit_to_user, true);
}

/* The floating point unit. */

void oxen_fpu_begin(void)
{
	kernel_fpu_begin_mask(0);
}

void oxen_fpu_end(void)
{
	kernel_fpu_end();
}

/* Threads. */

struct task_struct *oxen_kthread_create(s32 (*fn)(void *), void *arg, const char *name,
					u32 domid, u32 vcpu)
{
	struct task_struct *task = kthread_create(fn, arg, "%s-%u/%u", name, domid, vcpu);

	return IS_ERR(task) ? NULL : task;
}

s32 oxen_kthread_stop(struct task_struct *task)
{
	return kthread_stop(task);
}

void oxen_get_task(struct task_struct *task)
{
	get_task_struct(task);
}

void oxen_put_task(struct task_struct *task)
{
	put_task_struct(task);
}

void oxen_wake(struct task_struct *task)
{
	wake_up_process(task);
}

bool oxen_fatal_signal_pending(void)
{
	return fatal_signal_pending(current);
}

u64 oxen_task_runtime_ns(struct task_struct *task)
{
	return READ_ONCE(task->se.sum_exec_runtime);
}

u32 oxen_task_cpu(struct task_struct *task)
{
	return task_cpu(task);
}

s32 oxen_task_set_cpus(struct task_struct *task, const u64 *words, u32 nr)
{
	cpumask_var_t mask;
	u32 cpu;
	int rc;

	if (!zalloc_cpumask_var(&mask, GFP_KERNEL))
		return -ENOMEM;
	for (cpu = 0; cpu < nr_cpu_ids && cpu / 64 < nr; cpu++)
		if (words[cpu / 64] >> (cpu % 64) & 1)
			cpumask_set_cpu(cpu, mask);
	rc = set_cpus_allowed_ptr(task, mask);
	free_cpumask_var(mask);
	return rc;
}

/* Timers and clocks. */

void oxen_hrtimer_start(struct hrtimer *timer, u64 delta_ns)
{
	hrtimer_start(timer, ns_to_ktime(delta_ns), HRTIMER_MODE_REL_HARD);
}

void oxen_hrtimer_cancel(struct hrtimer *timer)
{
	hrtimer_cancel(timer);
}

u64 oxen_ktime_ns(void)
{
	return ktime_get_ns();
}

u64 oxen_wallclock_ns(void)
{
	return ktime_get_real_ns();
}

/* Devices and mappings; the operations are in fixed.c. */

extern const struct vm_operations_struct oxen_vm_ops, oxen_vm_ops_zero, oxen_vm_ops_held;

s32 oxen_vma_prepare(struct vm_area_struct *vma, bool lazy)
{
	if (!(vma->vm_flags & VM_SHARED))
		return -EINVAL;
	vm_flags_set(vma, VM_MIXEDMAP | VM_DONTCOPY | VM_DONTEXPAND | VM_DONTDUMP);
	vma->vm_ops = lazy ? &oxen_vm_ops_zero : &oxen_vm_ops;
	return 0;
}

/* Pages that a mapping has from its beginning, and what it holds with them. */

void oxen_vma_prepare_held(struct vm_area_struct *vma)
{
	vm_flags_set(vma, VM_MIXEDMAP | VM_DONTCOPY | VM_DONTEXPAND | VM_DONTDUMP);
}

void oxen_vma_hold(struct vm_area_struct *vma, struct oxen_held *held)
{
	vma->vm_private_data = held;
	vma->vm_ops = &oxen_vm_ops_held;
}

void oxen_vma_forbid_writing(struct vm_area_struct *vma)
{
	vm_flags_clear(vma, VM_MAYWRITE);
}

u64 oxen_vma_pages(struct vm_area_struct *vma)
{
	return vma_pages(vma);
}

u64 oxen_vma_page_offset(struct vm_area_struct *vma)
{
	return vma->vm_pgoff;
}

u64 oxen_vma_start(struct vm_area_struct *vma)
{
	return vma->vm_start;
}

bool oxen_vma_shared(struct vm_area_struct *vma)
{
	return vma->vm_flags & VM_SHARED;
}

struct oxen_held *oxen_vma_held(u64 addr, struct file *file)
{
	struct mm_struct *mm = current->mm;
	struct oxen_held *held = NULL;
	struct vm_area_struct *vma;

	if (!mm)
		return NULL;
	mmap_read_lock(mm);
	vma = vma_lookup(mm, addr);
	if (vma && vma->vm_ops == &oxen_vm_ops_held && vma->vm_file == file) {
		held = vma->vm_private_data;
		held->get(held);
	}
	mmap_read_unlock(mm);
	return held;
}

s32 oxen_vma_insert(struct vm_area_struct *vma, u64 addr, struct page *page)
{
	return vm_insert_page(vma, addr, page);
}

struct vm_area_struct *oxen_vma_find_locked(u64 addr, u64 len, struct file *file)
{
	struct mm_struct *mm = current->mm;
	struct vm_area_struct *vma;

	if (!mm)
		return NULL;
	mmap_read_lock(mm);
	vma = vma_lookup(mm, addr);
	if (vma && vma->vm_ops == &oxen_vm_ops && vma->vm_file == file &&
	    len <= vma->vm_end - addr)
		return vma;
	mmap_read_unlock(mm);
	return NULL;
}

bool oxen_vma_writable(struct vm_area_struct *vma)
{
	return vma->vm_flags & VM_WRITE;
}

void oxen_mmap_read_unlock(void)
{
	mmap_read_unlock(current->mm);
}

bool oxen_capable_admin(void)
{
	return capable(CAP_SYS_ADMIN);
}

/* The module. */

void oxen_module_get(void)
{
	__module_get(THIS_MODULE);
}

void oxen_module_put(void)
{
	module_put(THIS_MODULE);
}

/* Text for readers of debugfs. */

void oxen_seq_write(struct seq_file *file, const u8 *text, u64 len)
{
	seq_write(file, text, len);
}

/* The log. */

bool oxen_log_allowed(void)
{
	/* Quiet about what was left out: the guest chooses how much that is. */
	static struct ratelimit_state limit =
		RATELIMIT_STATE_INIT_FLAGS("oxen", 5 * HZ, 20, RATELIMIT_MSG_ON_RELEASE);

	return __ratelimit(&limit);
}
