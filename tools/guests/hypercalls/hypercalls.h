/* SPDX-License-Identifier: GPL-2.0-only */
/* What the parts of the guest share. */
#ifndef HYPERCALLS_H
#define HYPERCALLS_H

#define __XEN_TOOLS__ 1
#include "guest.h"

/* A call and the exact answer; the text is the call itself. */
#define IS(answer, call) tap_equal(call, answer, "%s is %s", #call, #answer)
/* A call that answers with something, not an error. */
#define GIVES(call) is_not_an_error(call, #call)
/* A call that is refused in one of two ways; which depends on more than the call. */
#define REFUSED(call, one, other) is_refused(call, #call, one, other)

/*
 * A call about another domain, to which this one is nobody. Xen says which numbers are taken; EPERM for
 * all keeps that from guests.
 */
#define STRANGER(call) is_refused(call, #call, -XEN_ESRCH, -XEN_EPERM)

#define DO(op, a, b, c) hypercall3(__HYPERVISOR_##op, a, b, c)

/* A linear address where nothing is mapped (64-bit), or a physical one where there is no memory (32-bit). */
#ifdef __x86_64__
#define NOWHERE ((void *)0x7f0000000000UL)
#else
#define NOWHERE ((void *)0xf8000000UL)
#endif
/* Nothing is there in either: between RAM and the pages Xen's tools keep. */
#define HOLE ((void *)0xf9000000UL)

extern u8 page[2 * PAGE_SIZE], other_page[PAGE_SIZE];

long is_not_an_error(long rc, const char *call);
void is_refused(long rc, const char *call, long one, long other);

void test_addresses(void);
void test_console_io(void);
void test_evtchn(void);
void test_grant_table(void);
void test_hvm(void);
void test_hypercall_page(void);
void test_memory(void);
void test_multicall(void);
void test_numbers(void);
void test_privileged(void);
void test_registers(void);
void test_sched(void);
void test_time(void);
void test_user(void);
void test_vcpu(void);
void test_version(void);
void test_vm_assist(void);

#endif
