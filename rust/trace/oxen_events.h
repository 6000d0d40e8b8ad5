/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Tracepoints, in the system "oxen". Rust calls them through rust/trace.rs; the prototypes it uses are
 * in helpers.h, and events.c makes the compiler compare the two.
 */
#undef TRACE_SYSTEM
#define TRACE_SYSTEM oxen

#if !defined(_OXEN_EVENTS_H) || defined(TRACE_HEADER_MULTI_READ)
#define _OXEN_EVENTS_H

#include <linux/tracepoint.h>

/* As in domain::vcpu::EXIT_NAMES. */
#define oxen_exit_kinds			\
	{ 0,	"interrupt" },		\
	{ 1,	"window" },		\
	{ 2,	"cpuid" },		\
	{ 3,	"hypercall" },		\
	{ 4,	"rdmsr" },		\
	{ 5,	"wrmsr" },		\
	{ 6,	"hlt" },		\
	{ 7,	"pause" },		\
	{ 8,	"io" },			\
	{ 9,	"npf" },		\
	{ 10,	"cr" },			\
	{ 11,	"dr" },			\
	{ 12,	"exception" },		\
	{ 13,	"xsetbv" },		\
	{ 14,	"shutdown" },		\
	{ 15,	"other" }

/* As in trace::npf. */
#define oxen_npf_flags			\
	{ 1 << 0, "write" },		\
	{ 1 << 1, "fetch" },		\
	{ 1 << 2, "present" },		\
	{ 1 << 3, "page_table" }

/* As in abi::xen. */
#define oxen_hypercalls			\
	{ 7,	"platform_op" },	\
	{ 12,	"memory_op" },		\
	{ 13,	"multicall" },		\
	{ 15,	"set_timer_op" },	\
	{ 17,	"xen_version" },	\
	{ 18,	"console_io" },		\
	{ 20,	"grant_table_op" },	\
	{ 21,	"vm_assist" },		\
	{ 24,	"vcpu_op" },		\
	{ 26,	"mmuext_op" },		\
	{ 27,	"xsm_op" },		\
	{ 29,	"sched_op" },		\
	{ 32,	"event_channel_op" },	\
	{ 33,	"physdev_op" },		\
	{ 34,	"hvm_op" },		\
	{ 35,	"sysctl" },		\
	{ 36,	"domctl" },		\
	{ 39,	"argo_op" },		\
	{ 40,	"xenpmu_op" },		\
	{ 41,	"dm_op" },		\
	{ 42,	"hypfs_op" }

/* As in trace::DomainEvent. */
#define oxen_domain_events		\
	{ 0,	"created" },		\
	{ 1,	"paused" },		\
	{ 2,	"unpaused" },		\
	{ 3,	"shutdown" },		\
	{ 4,	"crashed" },		\
	{ 5,	"resumed" },		\
	{ 6,	"dying" },		\
	{ 7,	"destroyed" }

/* As in trace::InjectKind. */
#define oxen_inject_kinds		\
	{ 0,	"interrupt" },		\
	{ 1,	"nmi" },		\
	{ 2,	"exception" }

/* A vCPU is about to execute its first instruction. */
TRACE_EVENT(oxen_first_entry,
	TP_PROTO(u32 domid, u32 vcpu, u64 rip),
	TP_ARGS(domid, vcpu, rip),
	TP_STRUCT__entry(
		__field(u64, rip)
		__field(u32, domid)
		__field(u32, vcpu)
	),
	TP_fast_assign(
		__entry->rip = rip;
		__entry->domid = domid;
		__entry->vcpu = vcpu;
	),
	TP_printk("domid=%u vcpu=%u rip=0x%llx", __entry->domid, __entry->vcpu, __entry->rip)
);

/* A guest stopped, for this kind of reason, at this instruction. */
TRACE_EVENT(oxen_exit,
	TP_PROTO(u32 domid, u32 vcpu, u32 kind, u64 rip),
	TP_ARGS(domid, vcpu, kind, rip),
	TP_STRUCT__entry(
		__field(u64, rip)
		__field(u32, domid)
		__field(u32, vcpu)
		__field(u32, kind)
	),
	TP_fast_assign(
		__entry->rip = rip;
		__entry->domid = domid;
		__entry->vcpu = vcpu;
		__entry->kind = kind;
	),
	TP_printk("domid=%u vcpu=%u kind=%s rip=0x%llx", __entry->domid, __entry->vcpu,
		  __print_symbolic(__entry->kind, oxen_exit_kinds), __entry->rip)
);

/* A guest accessed a guest physical address that the nested page tables do not allow. */
TRACE_EVENT(oxen_npf,
	TP_PROTO(u32 domid, u32 vcpu, u64 gpa, u32 flags),
	TP_ARGS(domid, vcpu, gpa, flags),
	TP_STRUCT__entry(
		__field(u64, gpa)
		__field(u32, domid)
		__field(u32, vcpu)
		__field(u32, flags)
	),
	TP_fast_assign(
		__entry->gpa = gpa;
		__entry->domid = domid;
		__entry->vcpu = vcpu;
		__entry->flags = flags;
	),
	TP_printk("domid=%u vcpu=%u gpa=0x%llx flags=%s", __entry->domid, __entry->vcpu,
		  __entry->gpa, __print_flags(__entry->flags, "|", oxen_npf_flags))
);

/* A hypercall, or one step of it, has a result. vcpu is -1 for a tool's. */
TRACE_EVENT(oxen_hypercall,
	TP_PROTO(u32 domid, s32 vcpu, u64 op, u64 arg0, u64 arg1, s64 result),
	TP_ARGS(domid, vcpu, op, arg0, arg1, result),
	TP_STRUCT__entry(
		__field(u64, op)
		__field(u64, arg0)
		__field(u64, arg1)
		__field(s64, result)
		__field(u32, domid)
		__field(s32, vcpu)
	),
	TP_fast_assign(
		__entry->op = op;
		__entry->arg0 = arg0;
		__entry->arg1 = arg1;
		__entry->result = result;
		__entry->domid = domid;
		__entry->vcpu = vcpu;
	),
	TP_printk("domid=%u vcpu=%d op=%s arg0=0x%llx arg1=0x%llx result=%lld",
		  __entry->domid, __entry->vcpu,
		  __print_symbolic(__entry->op, oxen_hypercalls),
		  __entry->arg0, __entry->arg1, __entry->result)
);

/* A domain changed its state. code is the reason of a shutdown, or how often it is paused now. */
TRACE_EVENT(oxen_domain,
	TP_PROTO(u32 domid, u32 event, u32 code),
	TP_ARGS(domid, event, code),
	TP_STRUCT__entry(
		__field(u32, domid)
		__field(u32, event)
		__field(u32, code)
	),
	TP_fast_assign(
		__entry->domid = domid;
		__entry->event = event;
		__entry->code = code;
	),
	TP_printk("domid=%u event=%s code=%u", __entry->domid,
		  __print_symbolic(__entry->event, oxen_domain_events), __entry->code)
);

/* A guest is interrupted at its next entry. */
TRACE_EVENT(oxen_inject,
	TP_PROTO(u32 domid, u32 vcpu, u32 kind, u32 vector),
	TP_ARGS(domid, vcpu, kind, vector),
	TP_STRUCT__entry(
		__field(u32, domid)
		__field(u32, vcpu)
		__field(u32, kind)
		__field(u32, vector)
	),
	TP_fast_assign(
		__entry->domid = domid;
		__entry->vcpu = vcpu;
		__entry->kind = kind;
		__entry->vector = vector;
	),
	TP_printk("domid=%u vcpu=%u kind=%s vector=0x%x", __entry->domid, __entry->vcpu,
		  __print_symbolic(__entry->kind, oxen_inject_kinds), __entry->vector)
);

/* As in livepatch::state::Action. */
#define oxen_livepatch_actions		\
	{ 2,	"revert" },		\
	{ 3,	"apply" },		\
	{ 4,	"replace" }

/* An action on a live patch has ended. The parts of the time are what it waited for tools and for vCPUs. */
TRACE_EVENT(oxen_livepatch,
	TP_PROTO(u32 action, s32 rc, u32 functions, u64 tools_ns, u64 vcpus_ns, u64 write_ns,
		 u64 pause_ns),
	TP_ARGS(action, rc, functions, tools_ns, vcpus_ns, write_ns, pause_ns),
	TP_STRUCT__entry(
		__field(u64, tools_ns)
		__field(u64, vcpus_ns)
		__field(u64, write_ns)
		__field(u64, pause_ns)
		__field(u32, action)
		__field(s32, rc)
		__field(u32, functions)
	),
	TP_fast_assign(
		__entry->tools_ns = tools_ns;
		__entry->vcpus_ns = vcpus_ns;
		__entry->write_ns = write_ns;
		__entry->pause_ns = pause_ns;
		__entry->action = action;
		__entry->rc = rc;
		__entry->functions = functions;
	),
	TP_printk("action=%s rc=%d functions=%u tools_ns=%llu vcpus_ns=%llu "
		  "write_ns=%llu pause_ns=%llu",
		  __print_symbolic(__entry->action, oxen_livepatch_actions), __entry->rc,
		  __entry->functions, __entry->tools_ns, __entry->vcpus_ns, __entry->write_ns,
		  __entry->pause_ns)
);

#endif /* _OXEN_EVENTS_H */

/* The header is read again by the next one, from the include path. */
#undef TRACE_INCLUDE_PATH
#define TRACE_INCLUDE_PATH .
#undef TRACE_INCLUDE_FILE
#define TRACE_INCLUDE_FILE oxen_events
#include <trace/define_trace.h>
