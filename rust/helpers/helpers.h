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
struct wait_queue_head;
struct seq_file;
struct dentry;

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
bool oxen_has_five_levels(void);
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
void oxen_softirqs_disable(void);
void oxen_softirqs_enable(void);
u32 oxen_softirqs_pending(void);
bool oxen_need_resched(void);
void oxen_cond_resched(void);
u32 oxen_cpu_id(void);
void oxen_rcu_virt_note_context_switch(void);
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
bool oxen_fixed_cpu_has_bp_spec_reduce(void);
s32 oxen_fixed_rdmsr(u32 msr, u64 *value);
s32 oxen_fixed_wrmsr(u32 msr, u64 value);
u64 oxen_host_dr7(void);
bool oxen_cpu_leaks_x87_pointers(void);
u64 oxen_random(void);
bool oxen_cpu_has_ibpb(void);
bool oxen_cpu_has_nrips(void);
bool oxen_cpu_has_flushbyasid(void);
bool oxen_cpu_has_decodeassists(void);
bool oxen_cpu_has_v_spec_ctrl(void);
bool oxen_cpu_has_vmcbclean(void);
void oxen_guest_ran(void);

/* The floating point unit. */
void oxen_fpu_begin(void);
void oxen_fpu_end(void);

/* Threads. */
struct task_struct *oxen_kthread_create(s32 (*fn)(void *), void *arg, const char *name,
					u32 domid, u32 vcpu);
s32 oxen_kthread_stop(struct task_struct *task);
void oxen_get_task(struct task_struct *task);
void oxen_put_task(struct task_struct *task);
void oxen_wake(struct task_struct *task);
bool oxen_fatal_signal_pending(void);
u64 oxen_task_runtime_ns(struct task_struct *task);
u32 oxen_task_cpu(struct task_struct *task);
s32 oxen_task_set_cpus(struct task_struct *task, const u64 *words, u32 nr);

/* Timers and clocks. */
u32 oxen_hrtimer_size(void);
void oxen_hrtimer_init(struct hrtimer *timer, bool (*fired)(struct hrtimer *timer));
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

/* debugfs. */
struct dentry *oxen_debugfs_dir(const char *name);
void oxen_debugfs_file(struct dentry *dir, const char *name, bool (*show)(struct seq_file *file));
void oxen_debugfs_remove(struct dentry *dir);
void oxen_seq_write(struct seq_file *file, const u8 *text, u64 len);

/* What a live patch never changes: fixed.c. */
void oxen_fixed_wait_open(const u32 *stage);
void oxen_fixed_wake_open(void);
void oxen_fixed_park_begin(void);
void oxen_fixed_park_schedule(void);
void oxen_fixed_park_end(void);
void oxen_fixed_yield(void);
bool oxen_fixed_current_is_runnable(void);
bool oxen_fixed_should_stop(void);
u64 oxen_fixed_ktime_ns(void);
u32 oxen_fixed_wait_size(void);
void oxen_fixed_wait_init(struct wait_queue_head *queue);
void oxen_fixed_wait_wake(struct wait_queue_head *queue);
bool oxen_fixed_wait(struct wait_queue_head *queue, const u32 *word);
bool oxen_fixed_cpus_trylock(void);
void oxen_fixed_cpus_unlock(void);
void oxen_fixed_relax(void);
void oxen_fixed_sleep_us(u32 us);

/* A write of code through an alias. */
struct oxen_poke {
	u8 *alias;
	u32 len;
	u8 old[31];
	u8 new[31];
};

u32 oxen_fixed_poke(const struct oxen_poke *pokes, u32 nr);
void oxen_fixed_unpoke(const struct oxen_poke *pokes, u32 nr);
void oxen_fixed_sync(void);
void oxen_fixed_alone(bool alone);
const void *oxen_fixed_current(void);
void oxen_fixed_fill(u8 *alias, const u8 *from, u32 len);
u8 *oxen_alias_map(u64 addr, u32 len, void **mapping);
void oxen_alias_unmap(void *mapping);

/* The module. */
void oxen_module_get(void);
void oxen_module_put(void);
bool oxen_param_runstate_walks(void);

/* Live patching: patch.c. */
struct oxen_bounds {
	u64 text;
	u64 text_len;
	/* Functions that the compiler takes for rarely used, which it sets apart. */
	u64 cold;
	u64 cold_len;
	u64 arena_text;
	u64 arena_text_len;
	u64 arena_data;
	u64 arena_data_len;
	u64 return_sample;
};

struct oxen_symbol {
	u64 addr;
	u64 size;
	bool func;
};

void oxen_text_bounds(struct oxen_bounds *bounds);
bool oxen_symbol_by_name(const u8 *name, u64 len, struct oxen_symbol *found);
bool oxen_symbol_by_addr(u64 addr, struct oxen_symbol *found);
bool oxen_is_module_text(u64 addr);
bool oxen_is_kernel_image(u64 addr);
bool oxen_has_site(u64 addr, u64 len);
u64 oxen_import_by_name(const u8 *name, u64 len);
u64 oxen_symbol_get(const u8 *name);
void oxen_symbol_put(const u8 *name);
void oxen_text_read(u8 *into, u64 addr, u32 len);
void oxen_arena_write(u64 addr, const u8 *from, u32 len);
bool oxen_cpu_has_ibt(void);
const u8 *oxen_build_id(u32 *len);
s32 oxen_verify(const u8 *data, u64 len, const u8 *signature, u64 signature_len);
bool oxen_signature_is_unknown(s32 rc);
bool oxen_wants_signatures(void);
void oxen_taint(bool is_signed);

/* Tracepoints: the functions are made by trace/events.c. */
void rust_do_trace_oxen_first_entry(u32 domid, u32 vcpu, u64 rip);
void rust_do_trace_oxen_exit(u32 domid, u32 vcpu, u32 kind, u64 rip);
void rust_do_trace_oxen_npf(u32 domid, u32 vcpu, u64 gpa, u32 flags);
void rust_do_trace_oxen_hypercall(u32 domid, s32 vcpu, u64 op, u64 arg0, u64 arg1, s64 result);
void rust_do_trace_oxen_domain(u32 domid, u32 event, u32 code);
void rust_do_trace_oxen_inject(u32 domid, u32 vcpu, u32 kind, u32 vector);
void rust_do_trace_oxen_livepatch(u32 action, s32 rc, u32 functions, u64 tools_ns, u64 vcpus_ns,
				  u64 write_ns, u64 pause_ns);

/* The log. */
bool oxen_log_allowed(void);

#endif /* OXEN_HELPERS_H */
