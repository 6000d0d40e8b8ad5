/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What the module needs from the kernel and Rust cannot reach by itself: inline functions, macros,
 * and functions whose headers the kernel's own bindings leave out. Read twice: by the C compiler
 * for helpers.c, which checks these prototypes, and by bindgen for rust/sys/raw.rs.
 *
 * Each function is a thin call; what it means and who may call it is said where sys/ wraps it.
 */
#ifndef OXEN_HELPERS_H
#define OXEN_HELPERS_H

#ifdef __BINDGEN__
typedef unsigned char u8;
typedef unsigned short u16;
typedef unsigned int u32;
typedef unsigned long long u64;
typedef signed int s32;
typedef signed long long s64;
typedef _Bool bool;
#else
#include <linux/types.h>
#endif

struct page;
struct task_struct;
struct hrtimer;
struct vm_area_struct;
struct file;
struct cpumask;
struct raw_spinlock;
struct lock_class_key;

/* Pages. */
struct page *oxen_alloc_pages(u32 order, bool account, bool try_only);
void oxen_split_page(struct page *page, u32 order);
void oxen_get_page(struct page *page);
void oxen_put_page(struct page *page);
int oxen_page_count(struct page *page);
void *oxen_page_address(struct page *page);
u64 oxen_page_to_pfn(struct page *page);
struct page *oxen_pfn_to_page(u64 pfn);
u64 oxen_virt_to_phys(const void *va);
u64 oxen_sme_mask(void);
u64 oxen_totalram_pages(void);
u64 oxen_free_pages_count(void);

/* Preemption and interrupts. */
void oxen_preempt_disable(void);
void oxen_preempt_enable(void);
void oxen_irq_disable(void);
void oxen_irq_enable(void);
bool oxen_irqs_disabled(void);
unsigned long oxen_irq_save(void);
void oxen_irq_restore(unsigned long flags);
bool oxen_need_resched(void);
void oxen_cond_resched(void);
u32 oxen_cpu_id(void);
void oxen_rcu_virt_note_context_switch(void);
bool oxen_current_is_runnable(void);
void oxen_raw_spin_init(struct raw_spinlock *lock, const char *name, struct lock_class_key *key);
unsigned long oxen_raw_spin_lock(struct raw_spinlock *lock);
bool oxen_raw_spin_trylock(struct raw_spinlock *lock, unsigned long *flags);
void oxen_raw_spin_unlock(struct raw_spinlock *lock, unsigned long flags);
void oxen_raw_spin_assert_held(struct raw_spinlock *lock);

/* Processors. */
u32 oxen_nr_cpu_ids(void);
u32 oxen_num_online_cpus(void);
bool oxen_cpu_online(u32 cpu);
u32 oxen_cpu_core_id(u32 cpu);
u32 oxen_cpu_package_id(u32 cpu);
u32 oxen_cpu_node(u32 cpu);
u64 oxen_cpu_idle_ns(u32 cpu);
s32 oxen_cpuhp_setup(s32 (*online)(u32 cpu), s32 (*offline)(u32 cpu));
void oxen_cpuhp_remove(s32 state);
s32 oxen_syscore_register(void (*stop)(void), void (*start)(void));
void oxen_syscore_unregister(void);
void oxen_kick_cpu(u32 cpu);
struct cpumask *oxen_cpumask_alloc(void);
void oxen_cpumask_free(struct cpumask *mask);
void oxen_cpumask_set(struct cpumask *mask, u32 cpu);
void oxen_cpumask_clear(struct cpumask *mask, u32 cpu);
void oxen_ipi_wait(const struct cpumask *mask);
s32 oxen_call_on_cpu(u32 cpu, void (*func)(void *), void *arg);
bool oxen_boot_cpu_has(u32 feature);
u32 oxen_tsc_khz(void);
s32 oxen_rdmsr_safe(u32 msr, u64 *value);
s32 oxen_wrmsr_safe(u32 msr, u64 value);
u64 oxen_host_dr7(void);
bool oxen_cpu_has_ibpb(void);
bool oxen_cpu_has_nrips(void);
bool oxen_cpu_has_flushbyasid(void);
bool oxen_cpu_has_decodeassists(void);
bool oxen_cpu_has_v_spec_ctrl(void);
bool oxen_cpu_has_vmcbclean(void);
bool oxen_cpu_has_bp_spec_reduce(void);
void oxen_guest_ran(void);

/* The floating point unit. */
void oxen_fpu_begin(void);
void oxen_fpu_end(void);

/* Threads. */
struct task_struct *oxen_kthread_create(s32 (*fn)(void *), void *arg, const char *name,
					u32 domid, u32 vcpu);
s32 oxen_kthread_stop(struct task_struct *task);
bool oxen_kthread_should_stop(void);
void oxen_get_task(struct task_struct *task);
void oxen_put_task(struct task_struct *task);
void oxen_wake(struct task_struct *task);
void oxen_park_begin(void);
void oxen_park_schedule(void);
void oxen_park_end(void);
bool oxen_fatal_signal_pending(void);
u64 oxen_task_runtime_ns(struct task_struct *task);
u32 oxen_task_cpu(struct task_struct *task);
s32 oxen_task_set_cpus(struct task_struct *task, const u64 *words, u32 nr);

/* Timers and clocks. */
u32 oxen_hrtimer_size(void);
void oxen_hrtimer_init(struct hrtimer *timer, void (*fired)(struct hrtimer *timer));
void oxen_hrtimer_start(struct hrtimer *timer, u64 delta_ns);
void oxen_hrtimer_cancel(struct hrtimer *timer);
u64 oxen_ktime_ns(void);
u64 oxen_wallclock_ns(void);

/* Devices and mappings. */
s32 oxen_vma_prepare(struct vm_area_struct *vma, bool lazy);
/* What a mapping holds: one reference for each mapping that it was split into. */
struct oxen_held {
	void (*get)(struct oxen_held *held);
	void (*put)(struct oxen_held *held);
};
void oxen_vma_prepare_held(struct vm_area_struct *vma);
void oxen_vma_hold(struct vm_area_struct *vma, struct oxen_held *held);
void oxen_vma_forbid_writing(struct vm_area_struct *vma);
u64 oxen_vma_pages(struct vm_area_struct *vma);
u64 oxen_vma_page_offset(struct vm_area_struct *vma);
u64 oxen_vma_start(struct vm_area_struct *vma);
bool oxen_vma_shared(struct vm_area_struct *vma);
struct oxen_held *oxen_vma_held(u64 addr, struct file *file);
s32 oxen_vma_insert(struct vm_area_struct *vma, u64 addr, struct page *page);
struct vm_area_struct *oxen_vma_find_locked(u64 addr, u64 len, struct file *file);
bool oxen_vma_writable(struct vm_area_struct *vma);
void oxen_mmap_read_unlock(void);
bool oxen_capable_admin(void);

/* The module. */
void oxen_module_get(void);
void oxen_module_put(void);
const u8 *oxen_build_id(u32 *len);
bool oxen_param_runstate_walks(void);

/* Tracepoints: the functions are made by trace/events.c. */
void rust_do_trace_oxen_first_entry(u32 domid, u32 vcpu, u64 rip);
void rust_do_trace_oxen_exit(u32 domid, u32 vcpu, u32 kind, u64 rip);
void rust_do_trace_oxen_npf(u32 domid, u32 vcpu, u64 gpa, u32 flags);
void rust_do_trace_oxen_hypercall(u32 domid, s32 vcpu, u64 op, u64 arg0, u64 arg1, s64 result);
void rust_do_trace_oxen_domain(u32 domid, u32 event, u32 code);
void rust_do_trace_oxen_inject(u32 domid, u32 vcpu, u32 kind, u32 vector);

/* The log. */
bool oxen_log_allowed(void);

#endif /* OXEN_HELPERS_H */
