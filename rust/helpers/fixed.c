// SPDX-License-Identifier: GPL-2.0-only
/*
 * The C half of what a live patch never changes: what runs, or may be on somebody's stack, while code
 * is written. This file is linked behind the end of what can be patched (see livepatch/bounds.S).
 */

#include <linux/cpu.h>
#include <linux/debugfs.h>
#include <linux/delay.h>
#include <linux/hrtimer.h>
#include <linux/kthread.h>
#include <linux/ktime.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/moduleparam.h>
#include <linux/preempt.h>
#include <linux/sched.h>
#include <linux/seq_file.h>
#include <linux/smp.h>
#include <linux/string.h>
#include <linux/syscore_ops.h>
#include <linux/sysfs.h>
#include <linux/vmalloc.h>
#include <linux/wait.h>
#include <asm/cpufeature.h>
#include <asm/msr.h>
#include <asm/sync_core.h>

#include "helpers.h"

/* Waiting outside of the gate. */

static DECLARE_WAIT_QUEUE_HEAD(gate_opens);

void oxen_fixed_wait_open(const u32 *stage)
{
	wait_event_idle(gate_opens, READ_ONCE(*stage) == 0);
}

void oxen_fixed_wake_open(void)
{
	wake_up_all(&gate_opens);
}

void oxen_fixed_park_begin(void)
{
	set_current_state(TASK_IDLE);
}

void oxen_fixed_park_schedule(void)
{
	schedule();
}

void oxen_fixed_park_end(void)
{
	__set_current_state(TASK_RUNNING);
}

void oxen_fixed_yield(void)
{
	cond_resched();
	/* Where that does nothing, the kernel takes the processor by itself, or would do so late. */
	if (need_resched())
		schedule();
}

bool oxen_fixed_current_is_runnable(void)
{
	return task_is_runnable(current);
}

bool oxen_fixed_should_stop(void)
{
	return kthread_should_stop();
}

u64 oxen_fixed_ktime_ns(void)
{
	return ktime_get_ns();
}

u32 oxen_fixed_wait_size(void)
{
	return sizeof(struct wait_queue_head);
}

void oxen_fixed_wait_init(struct wait_queue_head *queue)
{
	init_waitqueue_head(queue);
}

void oxen_fixed_wait_wake(struct wait_queue_head *queue)
{
	/* The word was written before; pairs with the barrier of who prepares to wait. */
	smp_mb();
	if (waitqueue_active(queue))
		wake_up_all(queue);
}

bool oxen_fixed_wait(struct wait_queue_head *queue, const u32 *word)
{
	return wait_event_interruptible(*queue, READ_ONCE(*word) != 0) != 0;
}

/* Timers. */

struct oxen_hrtimer {
	struct hrtimer timer;
	bool (*fired)(struct hrtimer *timer);
};

/* A timer that comes while code is written comes again when that is over. */
#define OXEN_HRTIMER_AGAIN_NS 50000

u32 oxen_hrtimer_size(void)
{
	return sizeof(struct oxen_hrtimer);
}

static enum hrtimer_restart oxen_hrtimer_fired(struct hrtimer *timer)
{
	if (container_of(timer, struct oxen_hrtimer, timer)->fired(timer))
		return HRTIMER_NORESTART;
	hrtimer_forward_now(timer, ns_to_ktime(OXEN_HRTIMER_AGAIN_NS));
	return HRTIMER_RESTART;
}

void oxen_hrtimer_init(struct hrtimer *timer, bool (*fired)(struct hrtimer *timer))
{
	struct oxen_hrtimer *own = container_of(timer, struct oxen_hrtimer, timer);

	own->fired = fired;
	hrtimer_setup(timer, oxen_hrtimer_fired, CLOCK_MONOTONIC, HRTIMER_MODE_REL_HARD);
}

/* Interrupts and faults that find their way into the module by themselves. */

static vm_fault_t oxen_vma_fault(struct vm_fault *vmf)
{
	/* Pages are put in when the ioctl asks for them, never on demand. */
	return VM_FAULT_SIGBUS;
}

const struct vm_operations_struct oxen_vm_ops = {
	.fault = oxen_vma_fault,
};

/*
 * Anonymous-like memory for hypercall buffers: a page when it is first touched. The reference goes
 * to the page table with the page.
 */
static vm_fault_t oxen_vma_fault_zero(struct vm_fault *vmf)
{
	vmf->page = alloc_page(GFP_KERNEL_ACCOUNT | __GFP_ZERO);
	return vmf->page ? 0 : VM_FAULT_OOM;
}

const struct vm_operations_struct oxen_vm_ops_zero = {
	.fault = oxen_vma_fault_zero,
};

/* Pages that a mapping has from its beginning, and what it holds with them. */

static void oxen_vma_open_held(struct vm_area_struct *vma)
{
	struct oxen_held *held = vma->vm_private_data;

	held->get(held);
}

static void oxen_vma_close_held(struct vm_area_struct *vma)
{
	struct oxen_held *held = vma->vm_private_data;

	held->put(held);
}

const struct vm_operations_struct oxen_vm_ops_held = {
	.open = oxen_vma_open_held,
	.close = oxen_vma_close_held,
	.fault = oxen_vma_fault,
};

static void oxen_ipi_nothing(void *unused)
{
}

void oxen_ipi_wait(const struct cpumask *mask)
{
	smp_mb();
	preempt_disable();
	smp_call_function_many(mask, oxen_ipi_nothing, NULL, true);
	preempt_enable();
}

u32 oxen_cpu_id(void)
{
	return raw_smp_processor_id();
}

s32 oxen_fixed_rdmsr(u32 msr, u64 *value)
{
	return rdmsrq_safe(msr, value);
}

s32 oxen_fixed_wrmsr(u32 msr, u64 value)
{
	return wrmsrq_safe(msr, value);
}

bool oxen_fixed_cpu_has_bp_spec_reduce(void)
{
	return boot_cpu_has(X86_FEATURE_SRSO_BP_SPEC_REDUCE);
}

/* Called with interrupts off on the last processor that is running. */
static void (*syscore_stop)(void);
static void (*syscore_start)(void);

static int oxen_syscore_suspend(void *data)
{
	syscore_stop();
	return 0;
}

static void oxen_syscore_resume(void *data)
{
	syscore_start();
}

/* Every processor must be out of host mode before firmware or a new kernel takes over. */
static void oxen_shutdown_one(void *unused)
{
	syscore_stop();
}

static void oxen_syscore_shutdown(void *data)
{
	on_each_cpu(oxen_shutdown_one, NULL, 1);
}

static const struct syscore_ops oxen_syscore_ops = {
	.suspend = oxen_syscore_suspend,
	.resume = oxen_syscore_resume,
	.shutdown = oxen_syscore_shutdown,
};

static struct syscore oxen_syscore = {
	.ops = &oxen_syscore_ops,
};

s32 oxen_syscore_register(void (*stop)(void), void (*start)(void))
{
	syscore_stop = stop;
	syscore_start = start;
	register_syscore(&oxen_syscore);
	return 0;
}

void oxen_syscore_unregister(void)
{
	unregister_syscore(&oxen_syscore);
}

/* Files of debugfs: each is written at once, by a function that passes the gate. */

static int oxen_debugfs_show(struct seq_file *file, void *unused)
{
	bool (*show)(struct seq_file *file) = file->private;

	return show(file) ? 0 : -EIO;
}

static int oxen_debugfs_open(struct inode *inode, struct file *file)
{
	return single_open(file, oxen_debugfs_show, inode->i_private);
}

static const struct file_operations oxen_debugfs_fops = {
	.owner = THIS_MODULE,
	.open = oxen_debugfs_open,
	.read = seq_read,
	.llseek = seq_lseek,
	.release = single_release,
};

struct dentry *oxen_debugfs_dir(const char *name)
{
	struct dentry *dir = debugfs_create_dir(name, NULL);

	/* That debugfs is absent or locked is no error. */
	return IS_ERR(dir) ? NULL : dir;
}

void oxen_debugfs_file(struct dentry *dir, const char *name, bool (*show)(struct seq_file *file))
{
	if (dir)
		debugfs_create_file(name, 0400, dir, show, &oxen_debugfs_fops);
}

void oxen_debugfs_remove(struct dentry *dir)
{
	debugfs_remove(dir);
}

/* The kernel crate's parameters are integers only, and not to be seen in sysfs. */

static bool runstate_walks;

static int runstate_va_set(const char *text, const struct kernel_param *param)
{
	if (sysfs_streq(text, "once"))
		WRITE_ONCE(runstate_walks, false);
	else if (sysfs_streq(text, "walk"))
		WRITE_ONCE(runstate_walks, true);
	else
		return -EINVAL;
	return 0;
}

static int runstate_va_get(char *text, const struct kernel_param *param)
{
	return sysfs_emit(text, "%s\n", READ_ONCE(runstate_walks) ? "walk" : "once");
}

static const struct kernel_param_ops runstate_va_ops = {
	.set = runstate_va_set,
	.get = runstate_va_get,
};

module_param_cb(runstate_va, &runstate_va_ops, NULL, 0644);
MODULE_PARM_DESC(runstate_va,
		 "When new domains' runstate and time areas given by linear address are translated: "
		 "once, when they are registered (default), or walk, at each update as Xen does");

bool oxen_param_runstate_walks(void)
{
	return READ_ONCE(runstate_walks);
}

/* Writing code. */

static void oxen_sync(void *unused)
{
	sync_core();
}

/* Undoes writes that were carried out, the last one first. For this processor, as below. */
void oxen_fixed_unpoke(const struct oxen_poke *pokes, u32 nr)
{
	while (nr-- > 0)
		memcpy(pokes[nr].alias, pokes[nr].old, pokes[nr].len);
	sync_core();
}

/*
 * Carries writes out, each through an alias of the page that it is in. Nobody executes what is written.
 * Returns the number of the write that found something else, which undoes those before it, or nr if all
 * were done. This processor executes what was written from now on; others do after oxen_fixed_sync().
 */
u32 oxen_fixed_poke(const struct oxen_poke *pokes, u32 nr)
{
	u32 done = 0;

	while (done < nr && !memcmp(pokes[done].alias, pokes[done].old, pokes[done].len)) {
		memcpy(pokes[done].alias, pokes[done].new, pokes[done].len);
		done++;
	}
	if (done < nr)
		oxen_fixed_unpoke(pokes, done);
	else
		sync_core();
	return done;
}

/* No processor goes on with what it has fetched before. */
void oxen_fixed_sync(void)
{
	on_each_cpu(oxen_sync, NULL, 1);
}

/* While code is written nothing else runs on this processor but interrupts. */
void oxen_fixed_alone(bool alone)
{
	if (alone)
		preempt_disable();
	else
		preempt_enable();
}

/* Whose call leaves something to be done outside. */
const void *oxen_fixed_current(void)
{
	return current;
}

/* Writes code that nobody can execute yet; or fills a place with traps if from is NULL. */
void oxen_fixed_fill(u8 *alias, const u8 *from, u32 len)
{
	if (from)
		memcpy(alias, from, len);
	else
		memset(alias, 0xcc, len);
	oxen_fixed_sync();
}

u8 *oxen_alias_map(u64 addr, u32 len, void **mapping)
{
	u64 first = addr & PAGE_MASK;
	u32 nr = (PAGE_ALIGN(addr + len) - first) >> PAGE_SHIFT, i;
	struct page **pages;
	void *alias = NULL;

	pages = kvmalloc_array(nr, sizeof(*pages), GFP_KERNEL);
	if (!pages)
		return NULL;
	for (i = 0; i < nr; i++) {
		pages[i] = vmalloc_to_page((void *)(first + ((u64)i << PAGE_SHIFT)));
		if (!pages[i])
			goto out;
	}
	alias = vmap(pages, nr, VM_MAP, PAGE_KERNEL);
out:
	kvfree(pages);
	*mapping = alias;
	return alias ? alias + (addr - first) : NULL;
}

void oxen_alias_unmap(void *mapping)
{
	vunmap(mapping);
}

bool oxen_fixed_cpus_trylock(void)
{
	return cpus_read_trylock();
}

void oxen_fixed_cpus_unlock(void)
{
	cpus_read_unlock();
}

void oxen_fixed_relax(void)
{
	cpu_relax();
}

void oxen_fixed_sleep_us(u32 us)
{
	usleep_range_idle(us, 2 * us);
}
