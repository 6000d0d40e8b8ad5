// SPDX-License-Identifier: GPL-2.0-only
/*
 * Proves that an instruction which accesses a protected page more than once, or with a lock, is reported for what it
 * may not do, and carried out whole: it neither repeats itself unseen nor writes a part.
 */

#include "any.h"

static struct monitor m;

#define R MEM_ACCESS_R
#define W MEM_ACCESS_W

#define MOVSB INSN("a copy", "\xa4")
#define PUSH INSN("a push of memory", "\xff\x36")
#define POP INSN("a pop to memory", "\x8f\x07")
#define XCHG INSN("an exchange", "\x87\x06")
#define ADD INSN("an addition", "\x01\x06")
#define CMPXCHG INSN("a comparing exchange", "\xf0\x0f\xb1\x0e")
#define LOCK_XADD INSN("a locked addition", "\xf0\x0f\xc1\x06")
#define CMPXCHG16B INSN("a comparing exchange of 16 bytes", "\xf0\x48\x0f\xc7\x0e")
#define MOV INSN("a write", "\x89\x06")
#define LOAD INSN("a read", "\x8b\x06")

/* Has a vCPU begin an instruction, each at a place of its own. */
static void begin(unsigned int vcpu, struct insn insn, struct registers regs)
{
	static unsigned int next;

	any_begin(vcpu, any_put(next++ % ANY_PLACES, insn), regs);
}

static void answer(const vm_event_request_t *event, uint32_t flags)
{
	monitor_answer(&m, event, flags);
}

/*
 * Has an instruction executed that these rights do not allow. There is to be one event, with these flags and this
 * address, before anything is written; emulated, the instruction ends.
 */
static bool one(struct insn insn, struct registers regs, uint8_t access, uint32_t flags,
		uint64_t address)
{
	static uint8_t before[3 * PAGE_SIZE];
	vm_event_request_t event;
	bool good, same;

	memcpy(before, data(PAGE - PAGE_SIZE), sizeof(before));
	give(access);
	begin(0, insn, regs);
	if (!monitor_wait(&m, &event, 5000)) {
		tap_note("no event");
		give(XENMEM_access_rwx);
		worker_wait(&w, 0, 5000);
		return false;
	}
	same = !memcmp(before, data(PAGE - PAGE_SIZE), sizeof(before));
	good = same && (event.u.mem_access.flags & MEM_ACCESS_RWX) == flags &&
	       event.u.mem_access.flags & MEM_ACCESS_GLA_VALID &&
	       event.u.mem_access.gla == address && event.u.mem_access.gfn == address / PAGE_SIZE;
	if (!good)
		tap_note("flags %#x, address %#lx, %s", event.u.mem_access.flags,
			 (long)event.u.mem_access.gla, same ? "nothing written" : "written");
	answer(&event, VM_EVENT_FLAG_EMULATE);
	if (!worker_wait(&w, 0, 5000)) {
		tap_note("it does not end");
		give(XENMEM_access_rwx);
		while (monitor_wait(&m, &event, 100))
			answer(&event, 0);
		worker_wait(&w, 0, 5000);
		return false;
	}
	give(XENMEM_access_rwx);
	return good && !monitor_wait(&m, &event, 20);
}

static uint64_t number(uint64_t address, unsigned int len)
{
	uint64_t value = 0;

	memcpy(&value, data(address), len);
	return value;
}

static void set(uint64_t address, uint64_t value, unsigned int len)
{
	memcpy(data(address), &value, len);
}

/* One access reads the page, and another writes to it. */
static void two_accesses(void)
{
	static const struct {
		uint8_t access;
		const char *name;
		bool reads;
	} rights[] = {
		{ XENMEM_access_r, "r", true },
		{ XENMEM_access_rx, "rx", true },
		{ XENMEM_access_w, "w", false },
		{ XENMEM_access_n, "n", false },
		{ XENMEM_access_r_pw, "r_pw", true },
	};
	unsigned int i;

	for (i = 0; i < sizeof(rights) / sizeof(*rights); i++) {
		uint8_t access = rights[i].access;
		uint32_t flags = rights[i].reads ? W : R;
		struct registers regs = { .rsi = PAGE + 8, .rdi = PAGE + 0x200 };

		set(PAGE + 8, 0x1122334455667788 + i, 8);
		set(PAGE + 0x200, 0, 8);
		tap(one(MOVSB, regs, access, flags, rights[i].reads ? PAGE + 0x200 : PAGE + 8),
		    "E-4 %s within a page with %s", MOVSB.name, rights[i].name);
		tap_equal(number(PAGE + 0x200, 8), 0x88 + i, "E-7 emulated, it is done");
		regs.rsp = PAGE + 0x308;
		tap(one(PUSH, regs, access, flags, rights[i].reads ? PAGE + 0x300 : PAGE + 8),
		    "E-4 %s within a page with %s", PUSH.name, rights[i].name);
		tap_equal(number(PAGE + 0x300, 8), 0x1122334455667788 + i, "E-7 it is done");
		regs.rsp = PAGE + 8;
		regs.rdi = PAGE + 0x400;
		tap(one(POP, regs, access, flags, rights[i].reads ? PAGE + 0x400 : PAGE + 8),
		    "E-4 %s within a page with %s", POP.name, rights[i].name);
		tap_equal(number(PAGE + 0x400, 8), 0x1122334455667788 + i, "E-7 it is done");
	}
}

/* One access reads and writes. */
static void both_at_once(void)
{
	static const uint8_t rights[] = { XENMEM_access_r, XENMEM_access_w, XENMEM_access_n };
	struct registers regs = { .rsi = PAGE + 16, .rax = 5, .rcx = 77 };
	unsigned int i;

	for (i = 0; i < sizeof(rights); i++) {
		set(PAGE + 16, 100, 4);
		tap(one(XCHG, regs, rights[i], R | W, PAGE + 16) && number(PAGE + 16, 4) == 5,
		    "E-3 %s, rights %u", XCHG.name, rights[i]);
		tap(one(ADD, regs, rights[i], R | W, PAGE + 16) && number(PAGE + 16, 4) == 10,
		    "E-3 %s, rights %u", ADD.name, rights[i]);
		set(PAGE + 16, 5, 4);
		tap(one(CMPXCHG, regs, rights[i], R | W, PAGE + 16) && number(PAGE + 16, 4) == 77,
		    "E-3 %s, rights %u", CMPXCHG.name, rights[i]);
		tap(one(CMPXCHG, regs, rights[i], R | W, PAGE + 16) &&
		    number(PAGE + 16, 4) == 77 && (uint32_t)w.cmd[0]->result == 77,
		    "E-3 one that finds another value");
	}
}

/* What rights allow happens without an event, also where the processor cannot express them. */
static void allowed(void)
{
	struct registers regs = { .rsi = DATA(8), .rdi = PAGE + 0x500, .rsp = PAGE + 0x608 };
	vm_event_request_t event;

	set(DATA(8), 0xabcdef, 8);
	give(XENMEM_access_w);
	begin(0, MOVSB, regs);
	tap(worker_wait(&w, 0, 5000) && data(PAGE)[0x500] == 0xef, "a copy to a page with w");
	begin(0, PUSH, regs);
	tap(worker_wait(&w, 0, 5000) && number(PAGE + 0x600, 8) == 0xabcdef,
	    "a push of other memory to one");
	tap(!monitor_wait(&m, &event, 20), "E-3 of which nothing is reported");
	give(XENMEM_access_rwx);
}

/* Locked instructions at addresses that are not aligned. */
static void misaligned(void)
{
	static const uint64_t at[] = { PAGE + 1, PAGE + 6, PAGE + 0xe, PAGE + 0x3e, PAGE + 0x3f,
				       PAGE - 1, PAGE - 2, PAGE + PAGE_SIZE - 3 };
	unsigned int i;

	for (i = 0; i < sizeof(at) / sizeof(*at); i++) {
		struct registers regs = { .rsi = at[i], .rax = 0x01010101 };
		uint64_t where = at[i] < PAGE ? PAGE : at[i];

		memset(data(at[i] - 8), 0x55, 20);
		set(at[i], 0xfeff00ff, 4);
		tap(one(LOCK_XADD, regs, XENMEM_access_r, R | W, where),
		    "E-7 %s at %#lx ends", LOCK_XADD.name, (long)(at[i] - PAGE));
		tap_equal(number(at[i], 4), 0xfeff00ff + 0x01010101U, "with the sum");
		tap_equal((uint32_t)w.cmd[0]->result, 0xfeff00ff, "and what was there");
		tap(number(at[i] - 8, 8) == 0x5555555555555555 &&
		    number(at[i] + 4, 8) == 0x5555555555555555, "and nothing else");
	}
}

/* All 16 bytes. */
static void sixteen(void)
{
	struct registers regs = { .rsi = PAGE + 0x20, .rax = 1, .rdx = 2, .rbx = 3, .rcx = 4 };

	set(PAGE + 0x20, 1, 8);
	set(PAGE + 0x28, 2, 8);
	tap(one(CMPXCHG16B, regs, XENMEM_access_r, R | W, PAGE + 0x20), "E-7 %s",
	    CMPXCHG16B.name);
	tap_equal(number(PAGE + 0x20, 8), 3, "writes the low half");
	tap_equal(number(PAGE + 0x28, 8), 4, "and the high one");
	set(PAGE + 0x20, 1, 8);
	tap(one(CMPXCHG16B, regs, XENMEM_access_r, R | W, PAGE + 0x20) &&
	    number(PAGE + 0x20, 8) == 1 && number(PAGE + 0x28, 8) == 4 &&
	    w.cmd[0]->result == 1, "and neither if one has changed");
}

/* Two vCPUs add to a number that lies across two pages. */
static void together(void)
{
	static const uint64_t at[] = { PAGE + 0x3e, PAGE - 2 };
	unsigned int i, j;

	for (i = 0; i < 2; i++) {
		struct registers regs = { .rsi = at[i], .rax = 0x0101 };

		set(at[i], 0, 4);
		give(XENMEM_access_r);
		m.flags = VM_EVENT_FLAG_EMULATE;
		monitor_serve(&m);
		for (j = 0; j < 50; j++) {
			begin(0, LOCK_XADD, regs);
			begin(1, LOCK_XADD, regs);
			if (!worker_wait(&w, 0, 20000) || !worker_wait(&w, 1, 20000))
				break;
		}
		monitor_halt(&m);
		m.flags = 0;
		give(XENMEM_access_rwx);
		tap_equal(number(at[i], 4), 100 * 0x0101, "of two vCPUs no addition is lost");
	}
}

/* Rights that a monitor has given meanwhile: the processor executes the instruction, whatever else the answer says. */
static void relaxed(void)
{
	struct registers regs = { .rsi = PAGE + 0x40, .rax = 1234 };
	vm_event_request_t event;
	vm_event_response_t response;

	set(PAGE + 0x40, 0, 4);
	give(XENMEM_access_r);
	begin(0, MOV, regs);
	tap(monitor_wait(&m, &event, 5000), "a write to a page with r");
	give(XENMEM_access_rwx);
	answer(&event, VM_EVENT_FLAG_EMULATE | VM_EVENT_FLAG_EMULATE_NOWRITE);
	tap(worker_wait(&w, 0, 5000) && number(PAGE + 0x40, 4) == 1234,
	    "E-7 is not emulated if it may be made when the answer comes");
	give(XENMEM_access_n);
	begin(0, LOAD, regs);
	tap(monitor_wait(&m, &event, 5000), "a read of a page with n");
	give(XENMEM_access_r);
	response = event;
	response.flags |= VM_EVENT_FLAG_EMULATE | VM_EVENT_FLAG_SET_EMUL_READ_DATA;
	memset(&response.data, 0, sizeof(response.data));
	response.data.emul.read.size = 4;
	monitor_put(&m, &response);
	notify(m.evtchn, m.port);
	tap(worker_wait(&w, 0, 5000) && (uint32_t)w.cmd[0]->result == 1234,
	    "E-7 nor is one with data");
	give(XENMEM_access_n);
	begin(0, MOV, (struct registers){ .rsi = PAGE + 0x40, .rax = 99 });
	tap(monitor_wait(&m, &event, 5000), "a write to a page with n");
	give(XENMEM_access_r);
	answer(&event, VM_EVENT_FLAG_EMULATE);
	tap(worker_wait(&w, 0, 5000) && number(PAGE + 0x40, 4) == 99,
	    "E-7 is emulated if the page has got another right");
	tap(!monitor_wait(&m, &event, 20), "with one event");
	give(XENMEM_access_rwx);
}

int main(void)
{
	tap_plan(0);
	fd = xen_open("privcmd");
	any_start(2);
	monitor_start(&m, &w);
	two_accesses();
	both_at_once();
	allowed();
	misaligned();
	sixteen();
	together();
	relaxed();
	tap_equal(monitor_end(&m), 0, "the monitor ends");
	begin(0, LOAD, (struct registers){ .rsi = PAGE + 0x40 });
	tap(worker_wait(&w, 0, 5000) && (uint32_t)w.cmd[0]->result == 99, "and the guest lives on");
	tap_equal(worker_end(&w), 0, "the guest ends");
	return tap_end();
}
