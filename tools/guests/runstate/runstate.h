/* SPDX-License-Identifier: GPL-2.0-only */
/* What the parts of the guest share. */
#ifndef RUNSTATE_H
#define RUNSTATE_H

#include "guest.h"

#define MS 1000000ULL
/* How long progress is waited for, in nanoseconds, on a processor that others want too. */
#define PATIENCE (30000 * MS)

/* A call and the exact answer; the text follows. */
#define ANSWERS(answer, call, ...) tap_equal(call, answer, __VA_ARGS__)

/* Where nothing is mapped (64-bit), or where there is no memory (32-bit). */
#ifdef __x86_64__
#define NOWHERE 0x7f0000000000UL
#else
#define NOWHERE 0xf8000000UL
#endif
/* A physical address where there is no memory. */
#define HOLE 0xf9000000UL

#define UPDATE XEN_RUNSTATE_UPDATE

typedef struct vcpu_runstate_info record;
#define RECORD_SIZE sizeof(record)
/* How 32-bit guests lay a record out, whatever this one is. */
typedef struct {
	int32_t state;
	u64 state_entry_time;
	u64 time[4];
} __attribute__((packed)) record32;

/* Two pages and a page, for areas at any alignment. */
extern u8 pool[3 * PAGE_SIZE];
/* How many CPUs run. */
extern unsigned int running;

/* --- account.c --- */

/* What Xen says of a vCPU, by hypercall. */
record ask(u32 vcpu);
u64 sum(const record *info);
/* Sleeps, as far as the host is concerned: the vCPU is blocked. */
void nap(u64 ns);
/* When a vCPU's account was opened, by the record in an area: the same in all of them. */
u64 opened(const record *info);
void test_account(void);
void test_others(void);

/* --- linear.c, physical.c --- */

/* Registers the runstate area of a vCPU. */
long register_linear(u32 vcpu, const void *at);
long register_physical(u32 vcpu, u64 at);
record read_at(const void *at);
void poison(void *at, size_t size);
bool is_poisoned(const void *at, size_t size);
/* Returns true if the record there is what Xen says of this vCPU, and not older. */
bool is_current(const void *at);
void set_flag(bool on);
void test_linear(void);
void test_physical(void);
void test_time_areas(void);
/* The page is given back while an area is in it. */
void test_balloon(void);

/* --- others.c: with another CPU --- */

void other_cpu(void);
void test_torn(void);
void test_contention(void);
void test_down(void);

/* --- view.c: linear addresses that are not physical ones --- */

void test_views(void);
void test_user_mode(void);
void test_smap(void);
void test_walk(void);

/* --- soft.c --- */

void __attribute__((noreturn)) test_soft(void);

/* --- hostile.c --- */

void test_hostile(void);
void test_widths(void);
void test_features(void);

#endif
