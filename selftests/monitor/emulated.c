// SPDX-License-Identifier: GPL-2.0-only
/*
 * Proves that instructions which the hypervisor carries out meet the same rights as others: because a monitor asked for
 * it, because a device is accessed, or because a page walk touches a protected page.
 */

#include <cpuid.h>

#include "ioreq.h"
#include "watched.h"

static struct monitor m;

#define MMIO 0xf0000000UL

/* Has an instruction emulated that violates rights, with these flags; true if there was one event and it ended. */
static bool emulated(uint32_t op, uint64_t a, uint64_t b, uint64_t c, uint32_t flags,
		     void (*change)(vm_event_response_t *answer))
{
	vm_event_request_t event;
	vm_event_response_t answer;

	worker_begin(&w, 0, op, a, b, c);
	if (!monitor_wait(&m, &event, 5000))
		return false;
	answer = event;
	answer.flags |= flags;
	if (change)
		change(&answer);
	monitor_put(&m, &answer);
	notify(m.evtchn, m.port);
	return worker_wait(&w, 0, 5000) && !monitor_wait(&m, &event, 20);
}

static void data_for_reads(vm_event_response_t *answer)
{
	answer->data.emul.read.size = 4;
	memcpy(answer->data.emul.read.data, "\x78\x56\x34\x12", 4);
}

static void other_instruction(vm_event_response_t *answer)
{
	/* xor %eax, (%ebx), in place of a mov of the same length. */
	static const uint8_t code[16] = { 0x31, 0x03 };

	memcpy(answer->data.emul.insn.data, code, sizeof(code));
}

static void answers(void)
{
	give(XENMEM_access_r);
	*page() = 1;
	tap(emulated(OP_WRITE32, PAGE, 0x11223344, 0, VM_EVENT_FLAG_EMULATE, NULL),
	    "E-7 an instruction is emulated once, without another event");
	tap_equal(*page(), 0x11223344, "and has written");
	tap_equal(access_get(fd, w.domain, PAGE_GFN), XENMEM_access_r, "the rights stay");
	tap(emulated(OP_WRITE32, PAGE, 0x55667788, 0, VM_EVENT_FLAG_EMULATE, NULL),
	    "E-7 the next one is reported again");
	tap_equal(*page(), 0x55667788, "and emulated");
	tap(emulated(OP_OR32, PAGE, 0x00000007, 0, VM_EVENT_FLAG_EMULATE, NULL) &&
	    *page() == 0x5566778f, "read, modify, write");
	tap(emulated(OP_LOCK_XADD, PAGE, 1, 0, VM_EVENT_FLAG_EMULATE, NULL) &&
	    *page() == 0x55667790 && (uint32_t)w.cmd[0]->result == 0x5566778f, "with a lock");
	tap(emulated(OP_WRITE32, PAGE, 9, 0,
		     VM_EVENT_FLAG_EMULATE | VM_EVENT_FLAG_EMULATE_NOWRITE, NULL),
	    "an instruction without its writes");
	tap_equal(*page(), 0x55667790, "has not written");
	give(XENMEM_access_n);
	tap(emulated(OP_READ32, PAGE, 0, 0, VM_EVENT_FLAG_EMULATE, NULL) &&
	    w.cmd[0]->result == 0x55667790, "a read");
	tap(emulated(OP_READ32, PAGE, 0, 0,
		     VM_EVENT_FLAG_EMULATE | VM_EVENT_FLAG_SET_EMUL_READ_DATA, data_for_reads) &&
	    w.cmd[0]->result == 0x12345678, "a read of what the monitor says");
	tap_equal(*page(), 0x55667790, "which memory does not become");
	give(XENMEM_access_r);
	tap(emulated(OP_WRITE32, PAGE, 9, 0,
		     VM_EVENT_FLAG_EMULATE | VM_EVENT_FLAG_SET_EMUL_INSN_DATA, other_instruction) &&
	    *page() == 0x55667799, "an instruction that the monitor sends");
	give(XENMEM_access_rwx);
}

/* Events of the iterations of a string instruction: each page's, with registers that say how far it is. */
static void strings(void)
{
	vm_event_request_t event;
	unsigned int i, wrong = 0, count = 0;

	memset(w.data, 0x5a, 8 * PAGE_SIZE);
	for (i = 0; i < 64; i++)
		w.data[3 * PAGE_SIZE + 4064 + i] = i;
	give(XENMEM_access_r);
	/* 32 bytes before the page, 16 in it. */
	worker_begin(&w, 0, OP_REP_MOVSB, DATA(0), PAGE - 32, 48);
	if (monitor_wait(&m, &event, 5000)) {
		tap_equal(event.data.regs.x86.rcx, 16, "E-6 registers say which iteration it is");
		tap_equal(event.data.regs.x86.rdi, PAGE, "and where");
		for (i = 0; i < 32; i++)
			wrong += w.data[4 * PAGE_SIZE - 32 + i] != 0x5a;
		tap_equal(wrong, 0, "what comes before it is done");
	}
	while (count < 100) {
		monitor_answer(&m, &event, VM_EVENT_FLAG_EMULATE);
		count++;
		if (worker_wait(&w, 0, 50) || !monitor_wait(&m, &event, 5000))
			break;
	}
	tap_equal(count, 16, "E-7 each iteration is an instruction of its own");
	tap(worker_wait(&w, 0, 5000) && !memcmp(w.data + 4 * PAGE_SIZE - 32, w.data, 48),
	    "and all are carried out");
	give(XENMEM_access_rwx);
}

/* Answers, and takes the right to write while the instruction waits for that. */
static uint64_t takes_right(struct model *model, unsigned int vcpu, const ioreq_t *request)
{
	(void)model;
	(void)vcpu;
	give(XENMEM_access_r);
	return request->addr & 0xff;
}

/* Rights change in the midst of an instruction that has read a device, which the answer to the event has go on so. */
static void changing(struct model *model, uint32_t flags)
{
	vm_event_request_t event;
	unsigned int served = model->served;

	*page() = 0;
	model->answer = takes_right;
	worker_begin(&w, 0, OP_REP_MOVSB, MMIO + 0x21, PAGE, 1);
	tap(monitor_wait(&m, &event, 5000) && event.u.mem_access.gla == PAGE,
	    "E-6 rights that change meanwhile count");
	tap(model->served == served + 1 && *page() == 0, "although the device was read");
	if (!flags)
		give(XENMEM_access_rwx);
	monitor_answer(&m, &event, flags);
	tap(worker_wait(&w, 0, 5000) && *page() == 0x21, "the instruction ends%s",
	    flags ? " as the answer has it" : "");
	tap_equal(model->served, served + 1, "E-6 and the device is read once all the same");
	model->answer = NULL;
	give(XENMEM_access_rwx);
}

/* Instructions that are emulated because of a device, with another operand in a protected page. */
static void devices(void)
{
	struct model model = { 0 };
	vm_event_request_t event;
	unsigned int served;

	model_start(&model, &w, HVM_IOREQSRV_BUFIOREQ_OFF);
	server_map(model.privcmd, w.domain, model.id, XEN_DMOP_IO_RANGE_MEMORY, MMIO, MMIO + 4095);
	server_map(model.privcmd, w.domain, model.id, XEN_DMOP_IO_RANGE_PORT, 0x3f8, 0x3ff);
	give(XENMEM_access_r);
	memset(page(), 0, 16);
	served = model.served;
	worker_begin(&w, 0, OP_REP_MOVSB, MMIO + 7, PAGE, 1);
	tap(monitor_wait(&m, &event, 5000), "a copy from a device to a protected page is reported");
	tap_equal(event.u.mem_access.flags & (MEM_ACCESS_RWX | MEM_ACCESS_GLA_VALID |
					      MEM_ACCESS_FAULT_WITH_GLA),
		  MEM_ACCESS_W | MEM_ACCESS_GLA_VALID | MEM_ACCESS_FAULT_WITH_GLA,
		  "E-3 as a write, with its address");
	tap_equal(event.u.mem_access.gla, PAGE, "which is right");
	tap_equal(model.served, served, "E-6 before the device is read");
	tap_equal(*page(), 0, "and before anything is written");
	give(XENMEM_access_rwx);
	monitor_answer(&m, &event, 0);
	tap(worker_wait(&w, 0, 5000) && *page() == 7, "then it happens");
	tap_equal(model.served, served + 1, "the device is read once");

	give(XENMEM_access_n);
	worker_begin(&w, 0, OP_REP_MOVSB, PAGE, MMIO + 9, 1);
	tap(monitor_wait(&m, &event, 5000), "a copy from a protected page to a device is reported");
	tap_equal(event.u.mem_access.flags & MEM_ACCESS_RWX, MEM_ACCESS_R, "E-3 as a read");
	monitor_answer(&m, &event, VM_EVENT_FLAG_EMULATE);
	tap(worker_wait(&w, 0, 5000) && model.last.dir == IOREQ_WRITE &&
	    model.last_write == 7, "E-7 emulated, it reaches the device");
	give(XENMEM_access_rwx);
	changing(&model, 0);
	changing(&model, VM_EVENT_FLAG_EMULATE);
	give(XENMEM_access_r);
	worker_begin(&w, 0, OP_REP_INSB, 0x3f9, PAGE + 100, 3);
	tap(monitor_wait(&m, &event, 5000) && event.u.mem_access.gla == PAGE + 100,
	    "a string from a port to a protected page is reported");
	give(XENMEM_access_rwx);
	monitor_answer(&m, &event, 0);
	tap(worker_wait(&w, 0, 5000) && ((uint8_t *)page())[102] == 0xf9, "and happens");
	model_quit(&model);
}

/* Two vCPUs write words of one page, of which each write is emulated: none is lost. */
static void together(void)
{
	unsigned int i;

	give(XENMEM_access_r);
	*page() = 0;
	m.flags = VM_EVENT_FLAG_EMULATE;
	monitor_serve(&m);
	for (i = 0; i < 50; i++) {
		worker_begin(&w, 0, OP_LOCK_XADD, PAGE, 1, 0);
		worker_begin(&w, 1, OP_LOCK_XADD, PAGE, 1, 0);
		if (!worker_wait(&w, 0, 20000) || !worker_wait(&w, 1, 20000))
			break;
	}
	monitor_halt(&m);
	m.flags = 0;
	tap_equal(*page(), 100, "locked instructions that are emulated are atomic");
	give(XENMEM_access_rwx);
}

/* Has the instruction at which the guest stands in an event be another one of three bytes. */
static void answer_with(const vm_event_request_t *event, const char *code)
{
	vm_event_response_t answer = *event;

	answer.flags |= VM_EVENT_FLAG_EMULATE | VM_EVENT_FLAG_SET_EMUL_INSN_DATA;
	memset(&answer.data, 0, sizeof(answer.data));
	memcpy(answer.data.emul.insn.data, code, 3);
	monitor_put(&m, &answer);
	notify(m.evtchn, m.port);
}

/* SWAPGS, in 64-bit mode. */
static void swaps(void)
{
	static struct saved_state state;
	HVM_SAVE_TYPE(CPU) * cpu;
	vm_event_request_t event;

	domain_pause(fd, w.domain);
	domain_save(fd, w.domain, &state);
	cpu = saved_record(&state, HVM_SAVE_CODE(CPU));
	if (!cpu)
		tap_bail("no registers");
	cpu->gs_base = 0x11110000;
	cpu->shadow_gs = 0xffff800022220000;
	tap_equal(domain_load(fd, w.domain, &state), 0, "a guest with two bases of GS");
	domain_unpause(fd, w.domain);
	give(XENMEM_access_r);
	worker_begin(&w, 0, OP_WRITE64, PAGE, 4, 0);
	tap(monitor_wait(&m, &event, 5000) && event.data.regs.x86.gs_base == 0x11110000 &&
	    event.data.regs.x86.shadow_gs == 0xffff800022220000, "which an event tells");
	answer_with(&event, "\x0f\x01\xf8");
	tap(worker_wait(&w, 0, 5000), "SWAPGS in place of a write");
	worker_begin(&w, 0, OP_WRITE64, PAGE, 4, 0);
	tap(monitor_wait(&m, &event, 5000) &&
	    event.data.regs.x86.gs_base == 0xffff800022220000 &&
	    event.data.regs.x86.shadow_gs == 0x11110000, "swaps them");
	give(XENMEM_access_rwx);
	monitor_answer(&m, &event, 0);
	tap(worker_wait(&w, 0, 5000), "and the guest goes on");
}

/* Has another instruction of three bytes carried out in place of a write of this value; false if that fails. */
static bool instead(uint64_t value, const char *code)
{
	vm_event_request_t event;

	worker_begin(&w, 0, OP_WRITE64, PAGE, value, 0);
	if (!monitor_wait(&m, &event, 5000))
		return false;
	answer_with(&event, code);
	return worker_wait(&w, 0, 5000);
}

/* FXSAVE, FXRSTOR and a debug register, in 64-bit mode. */
static void saves(void)
{
	static struct saved_state state;
	uint16_t *control = (uint16_t *)page();
	HVM_SAVE_TYPE(CPU) * cpu;

	domain_pause(fd, w.domain);
	domain_save(fd, w.domain, &state);
	cpu = saved_record(&state, HVM_SAVE_CODE(CPU));
	if (!cpu)
		tap_bail("no registers");
	/* OSFXSR. */
	cpu->cr4 |= 1 << 9;
	tap_equal(domain_load(fd, w.domain, &state), 0, "a guest that has FXSAVE on");
	domain_unpause(fd, w.domain);
	give(XENMEM_access_r);
	memset(page(), 0x5a, PAGE_SIZE);
	tap(instead(0, "\x0f\xae\x03") && *control == 0x37f && page()[6] == 0x1f80,
	    "FXSAVE in place of a write");
	tap(page()[104] == 0x5a5a5a5a && page()[128] == 0x5a5a5a5a,
	    "leaves alone what is not its own");
	*control = 0x27f;
	/* XMM3. */
	page()[52] = 0x11223344;
	tap(instead(0, "\x0f\xae\x0b"), "FXRSTOR in place of a write");
	memset(page(), 0, 512);
	tap(instead(0, "\x0f\xae\x03") && *control == 0x27f && page()[52] == 0x11223344,
	    "restores what was there");
	tap(instead(0x12345678, "\x0f\x23\xc0") && instead(0, "\x0f\x21\xc0") &&
	    w.cmd[0]->result == 0x12345678, "a debug register is written and read");
	give(XENMEM_access_rwx);
}

/* Page tables that may be read only: their walks are reported, or not, and the access itself is in either case. */
static void walks(void)
{
	vm_event_request_t event;
	uint64_t *table;

	worker_end(&w);
	worker_start(&w, fd, 1, 64);
	monitor_start(&m, &w);
	table = worker_frame(fd, w.domain, WORKER_TABLE_GFN + 2);
	if (!table)
		tap_bail("no page table");
	*page() = 3;
	access_set(fd, w.domain, XENMEM_access_r, WORKER_TABLE_GFN + 2, 1);
	domain_pause(fd, w.domain);
	/* Its translations are from before: another process has them dropped. */
	domain_unpause(fd, w.domain);
	worker_begin(&w, 0, OP_READ64, PAGE, 0, 0);
	tap(monitor_wait(&m, &event, 5000), "E-5 a walk that writes to a table is reported");
	tap(event.u.mem_access.flags & MEM_ACCESS_FAULT_IN_GPT &&
	    event.u.mem_access.gfn == WORKER_TABLE_GFN + 2, "E-5 as one of the table");
	tap_equal(event_on(fd, w.domain, XEN_DOMCTL_MONITOR_EVENT_INGUEST_PAGEFAULT), 0,
		  "E-5 a monitor may have that left out");
	monitor_answer(&m, &event, 0);
	tap(worker_wait(&w, 0, 5000) && w.cmd[0]->result == 3, "E-5 then it is not reported");
	tap(!monitor_wait(&m, &event, 50), "at all");
	give(XENMEM_access_r);
	worker_begin(&w, 0, OP_WRITE64, PAGE, 4, 0);
	tap(monitor_wait(&m, &event, 5000), "E-5 but the access that the walk was for is");
	tap_equal(event.u.mem_access.gfn, PAGE_GFN, "of the right page");
	tap(!(event.u.mem_access.flags & MEM_ACCESS_FAULT_IN_GPT), "and not of the table");
	tap_equal(*page(), 3, "E-6 before it has happened");
	give(XENMEM_access_rwx);
	monitor_answer(&m, &event, 0);
	tap(worker_wait(&w, 0, 5000) && *page() == 4, "then it does");
	swaps();
	saves();
	/* What leaves the guest does so in software too. */
	tap_equal(worker_do(&w, 0, OP_IN8, 0x1234, 0, 0), 0xff, "E-5 a port is read");
	tap(worker_do(&w, 0, OP_OUT8, 0x1234, 1, 0) != WORKER_LOST, "and written");
	tap_equal(worker_call(&w, 0, __HYPERVISOR_xen_version, XENVER_version, 0, 0, 0),
		  xen_call2(fd, __HYPERVISOR_xen_version, XENVER_version, NULL),
		  "E-5 a hypercall is made");
	tap(!monitor_wait(&m, &event, 50), "and nothing of it is reported");
	access_set(fd, w.domain, XENMEM_access_rwx, WORKER_TABLE_GFN + 2, 1);
	tap_equal(event_off(fd, w.domain, XEN_DOMCTL_MONITOR_EVENT_INGUEST_PAGEFAULT), 0, "back");
	munmap(table, PAGE_SIZE);
}

/* An instruction that the processor does not have is none in software either. */
static void lacks(void)
{
	unsigned int a, b, c = 0, d;
	vm_event_request_t event;
	vm_event_response_t answer;
	/* movdiri %eax, (%ebx) */
	static const uint8_t code[16] = { 0x0f, 0x38, 0xf9, 0x03 };

	__get_cpuid_count(7, 0, &a, &b, &c, &d);
	if (c >> 27 & 1) {
		tap_skip("it is there", "an instruction that the processor does not have");
		return;
	}
	worker_end(&w);
	worker_start(&w, fd, 1, 32);
	monitor_start(&m, &w);
	*page() = 1;
	give(XENMEM_access_r);
	worker_begin(&w, 0, OP_WRITE32, PAGE, 9, 0);
	if (!tap(monitor_wait(&m, &event, 5000), "a write"))
		return;
	answer = event;
	answer.flags |= VM_EVENT_FLAG_EMULATE | VM_EVENT_FLAG_SET_EMUL_INSN_DATA;
	memcpy(answer.data.emul.insn.data, code, sizeof(code));
	monitor_put(&m, &answer);
	notify(m.evtchn, m.port);
	/* It has no handler for the exception. */
	tap_equal(domain_wait_shutdown(fd, w.domain), SHUTDOWN_reboot,
		  "an instruction that the processor does not have is undefined");
	tap_equal(*page(), 1, "and does nothing");
	tap_equal(monitor_end(&m), 0, "the monitor ends");
}

/* The same of a guest that halts for good. */
static void halts(void)
{
	worker_end(&w);
	worker_start(&w, fd, 1, 64);
	monitor_start(&m, &w);
	event_on(fd, w.domain, XEN_DOMCTL_MONITOR_EVENT_INGUEST_PAGEFAULT);
	access_set(fd, w.domain, XENMEM_access_r, WORKER_TABLE_GFN + 2, 1);
	worker_begin(&w, 0, OP_HALT, 0, 0, 0);
	tap_equal(domain_wait_shutdown(fd, w.domain), SHUTDOWN_poweroff,
		  "E-5 a guest halts that is carried out in software");
	tap_equal(m.events, 0, "of which nothing is reported");
	tap_equal(monitor_end(&m), 0, "the monitor ends");
}

int main(void)
{
	tap_plan(0);
	fd = xen_open("privcmd");
	worker_start(&w, fd, 2, 32);
	monitor_start(&m, &w);
	answers();
	strings();
	devices();
	together();
	monitor_end(&m);
	walks();
	tap_equal(monitor_end(&m), 0, "the monitor ends");
	*(uint64_t *)page() = 7;
	tap(worker_do(&w, 0, OP_READ64, PAGE, 0, 0) == 7, "and the guest lives on");
	lacks();
	halts();
	tap_equal(worker_end(&w), 0, "the guest ends");
	return tap_end();
}
