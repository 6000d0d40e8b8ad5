/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The library of the tiny guests. A guest defines main(), which runs on the first CPU with interrupts
 * off, memory mapped one to one (the first 4 GiB), and traps handled; when it returns the guest powers
 * off. Where Xen is meant, its own public headers say what its structures are.
 */
#ifndef GUEST_H
#define GUEST_H

#include <stdarg.h>

#include "x86.h"

#define __XEN_INTERFACE_VERSION__ __XEN_LATEST_INTERFACE_VERSION__
#include <xen/xen.h>
#include <xen/errno.h>
#include <xen/event_channel.h>
#include <xen/hvm/hvm_op.h>
#include <xen/hvm/params.h>
#include <xen/memory.h>
#include <xen/sched.h>
#include <xen/vcpu.h>
#include <xen/version.h>
#include <xen/arch-x86/hvm/start_info.h>

void main(void);

/* --- print.c: text goes to the PV console, or to port 0xe9 where there is none --- */

void print_char(char c);
void print(const char *text);
/* %s %c %d %i %u %x %p, with l, ll, width, zero padding and -. */
void printf(const char *format, ...) __attribute__((format(printf, 1, 2)));
int vsnprintf(char *buffer, size_t size, const char *format, va_list args);
int snprintf(char *buffer, size_t size, const char *format, ...)
	__attribute__((format(printf, 3, 4)));
void print_init(void);
/* Waits until the other side has taken what was printed. */
void print_flush(void);
/* Nobody is at the other side any more. */
void print_detach(void);

/* --- lib.c --- */

void *memset(void *to, int byte, size_t size);
void *memcpy(void *to, const void *from, size_t size);
int memcmp(const void *a, const void *b, size_t size);
int strcmp(const char *a, const char *b);
size_t strlen(const char *text);
/* Division that needs no help from the compiler's library in 32-bit mode. */
u64 divide(u64 value, u32 by, u32 *rest);

/* --- start.c: what the loader handed over --- */

enum { MEMORY_RAM = 1, MEMORY_RESERVED = 2, MEMORY_ACPI = 3 };

struct memory_range {
	u64 start, size;
	u32 type;
};

extern const struct hvm_start_info *start_info;
extern char image_start[], image_end[];

/* Returns how many ranges the memory map has, and one of them. */
unsigned int memory_ranges(void);
struct memory_range memory_range(unsigned int index);
/* Returns true if someone put something there before main() ran: the image, start_info, a module, tables. */
bool memory_is_used(u64 address);
/* Returns the APIC IDs that the MADT names, and how many. */
unsigned int madt_cpus(u32 *ids, unsigned int max);
/* Lets the first `limit` bytes (up to 16 GiB) be reached; false if that is too much. 64-bit guests only. */
bool map_memory(u64 limit);

/* --- params.c: the command line --- */

/* Looks for the word `name` or `name=...`; returns what follows the `=` (or an empty string), or NULL. */
const char *param(const char *name);
u64 param_number(const char *name, u64 otherwise);

/* --- trap.c --- */

struct regs {
#ifdef __x86_64__
	u64 r15, r14, r13, r12, r11, r10, r9, r8, di, si, bp, bx, dx, cx, ax;
	u64 vector, error, ip, cs, flags, sp, ss;
#else
	/* sp and ss are there only after a change of privilege. */
	u32 di, si, bp, unused_sp, bx, dx, cx, ax;
	u32 vector, error, ip, cs, flags, sp, ss;
#endif
};

typedef void irq_handler(struct regs *regs);

/* Calls `handler` for an interrupt or exception from now on. */
void set_handler(u8 vector, irq_handler *handler);

struct cpu {
	struct cpu *self;
	u32 index, apic_id;
	int fault;
	ulong fault_error, fault_address;
	ulong kernel_sp;
	void (*run)(void);
	volatile bool online;
	u8 stack[8192] __attribute__((aligned(16)));
	u8 trap_stack[8192] __attribute__((aligned(16)));
};

#define MAX_CPUS 128

extern struct cpu cpus[MAX_CPUS];
void trap_init(struct cpu *cpu);

static inline struct cpu *this_cpu(void)
{
#ifdef __x86_64__
	struct cpu *cpu;

	__asm__ volatile("mov %%gs:0, %0" : "=r"(cpu));
	return cpu;
#else
	return &cpus[0];
#endif
}

/* Runs `function(argument)` at CPL 3 and returns what it does. Exceptions come to the handlers as ever. */
ulong user_call(ulong (*function)(ulong), ulong argument);

/* --- xen.c --- */

/* Which hypervisor CPUID names, and whether the vendor's hypercall instruction is VMMCALL. */
extern bool on_xen, on_kvm, cpu_is_amd;
extern u32 xen_cpuid_base;
extern struct shared_info *shared_info;

long hypercall(ulong op, ulong a1, ulong a2, ulong a3, ulong a4, ulong a5);

#define H(x) ((ulong)(x))
#define hypercall0(op) hypercall(op, 0, 0, 0, 0, 0)
#define hypercall1(op, a) hypercall(op, H(a), 0, 0, 0, 0)
#define hypercall2(op, a, b) hypercall(op, H(a), H(b), 0, 0, 0)
#define hypercall3(op, a, b, c) hypercall(op, H(a), H(b), H(c), 0, 0)

#define memory_op(cmd, arg) hypercall2(__HYPERVISOR_memory_op, cmd, arg)
#define xen_version(cmd, arg) hypercall2(__HYPERVISOR_xen_version, cmd, arg)
#define sched_op(cmd, arg) hypercall2(__HYPERVISOR_sched_op, cmd, arg)
#define evtchn_op(cmd, arg) hypercall2(__HYPERVISOR_event_channel_op, cmd, arg)
#define hvm_op(cmd, arg) hypercall2(__HYPERVISOR_hvm_op, cmd, arg)
#define vcpu_op(cmd, vcpu, arg) hypercall3(__HYPERVISOR_vcpu_op, cmd, vcpu, arg)

void xen_detect(void);
/* Has the shared_info page put in place of a page of the image; returns the hypercall's answer. */
long xen_map_shared_info(void);
long hvm_param(u32 index, u64 *value);
long set_hvm_param(u32 index, u64 value);
/* Takes event-channel upcalls as interrupts on `vector`, as a PVH Linux asks for them. */
long xen_set_upcall(u8 vector, irq_handler *handler);
void __attribute__((noreturn)) power_off(void);
void __attribute__((noreturn)) shutdown(unsigned int reason);
void __attribute__((noreturn)) triple_fault(void);
/* Leaves the guest for good after something that cannot be. */
void __attribute__((noreturn, format(printf, 1, 2))) panic(const char *format, ...);

/* --- time.c --- */

/* Nanoseconds of Xen's system time (needs shared_info) and, on anything else, 0. */
u64 xen_time(void);
/* Waits, with interrupts as they are. Uses Xen's time, or the TSC at a guessed 1 GHz. */
void delay_ns(u64 ns);

/* --- events.c: event channels of the 2-level kind --- */

#define EVENT_PORTS 4096

/* How often each port's event was taken, and by which CPU the last. */
extern unsigned int event_count[EVENT_PORTS];
extern u32 event_cpu[EVENT_PORTS];
/* Which CPU takes a port's event. */
extern u8 event_bound[EVENT_PORTS];

/* Maps shared_info and takes events as interrupts on `vector`. */
long events_init(u8 vector);
void event_mask(evtchn_port_t port);
bool event_is_masked(evtchn_port_t port);
bool event_is_pending(evtchn_port_t port);
void event_clear(evtchn_port_t port);
long event_unmask(evtchn_port_t port);
long event_send(evtchn_port_t port);
long event_close(evtchn_port_t port);
/* These cannot fail: the guest ends if they do. */
evtchn_port_t event_bind_virq(u32 virq, u32 vcpu);
evtchn_port_t event_bind_ipi(u32 vcpu);
/* Waits, with interrupts on, until a number is at least `wanted`; false after `ms` milliseconds. */
bool wait_for(unsigned int *number, unsigned int wanted, u32 ms);

/* --- apic.c --- */

enum {
	APIC_ID = 0x20, APIC_VERSION = 0x30, APIC_TPR = 0x80, APIC_PPR = 0xa0, APIC_EOI = 0xb0,
	APIC_LDR = 0xd0, APIC_DFR = 0xe0, APIC_SVR = 0xf0, APIC_ISR = 0x100, APIC_TMR = 0x180,
	APIC_IRR = 0x200, APIC_ESR = 0x280, APIC_ICR = 0x300, APIC_ICR2 = 0x310,
	APIC_LVT_TIMER = 0x320, APIC_LVT_LINT0 = 0x350, APIC_LVT_LINT1 = 0x360,
	APIC_LVT_ERROR = 0x370, APIC_TIMER_INITIAL = 0x380, APIC_TIMER_CURRENT = 0x390,
	APIC_TIMER_DIVIDE = 0x3e0, APIC_SELF_IPI = 0x3f0,
};
enum {
	ICR_FIXED = 0, ICR_NMI = 4 << 8, ICR_INIT = 5 << 8, ICR_STARTUP = 6 << 8,
	ICR_ASSERT = 1 << 14, ICR_SELF = 1 << 18, ICR_ALL = 2 << 18, ICR_OTHERS = 3 << 18,
	LVT_MASKED = 1 << 16, LVT_PERIODIC = 1 << 17, LVT_DEADLINE = 2 << 17,
};
#define APIC_BASE_ENABLE (1UL << 11)
#define APIC_BASE_X2APIC (1UL << 10)
#define APIC_BASE_BSP (1UL << 8)
#define SPURIOUS_VECTOR 0xff

/* Enables this CPU's local APIC, in x2APIC mode if wanted and there. Returns true if that is its mode. */
bool apic_enable(bool x2apic);
bool apic_has_x2apic(void);
u32 apic_read(u32 reg);
void apic_write(u32 reg, u32 value);
void apic_icr(u32 destination, u32 low);
void apic_eoi(void);
u32 apic_id(void);

/* --- cpus.c --- */

/* Starts the CPUs that the MADT names, each in `run`; returns how many run, this one included. */
unsigned int smp_start(void (*run)(void), bool x2apic);

/* --- tap.c --- */

void tap_begin(void);
/* One result; the text is what it shows. Returns `ok`. */
bool tap(bool ok, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* A result that is right when two numbers are equal; says both when they are not. */
bool tap_equal(s64 is, s64 should, const char *format, ...) __attribute__((format(printf, 3, 4)));
void tap_skip(const char *why, const char *format, ...) __attribute__((format(printf, 2, 3)));
void tap_note(const char *format, ...) __attribute__((format(printf, 1, 2)));
/* Prints the plan and powers off. */
void __attribute__((noreturn)) tap_end(void);
/* Says, in place of any result, that nothing of this guest can run here, and powers off. */
void __attribute__((noreturn)) tap_skip_all(const char *why);
/* Skips all unless Xen is below us. */
void need_xen(void);

#endif
