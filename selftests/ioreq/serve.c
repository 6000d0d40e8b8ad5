// SPDX-License-Identifier: GPL-2.0-only
/*
 * Proves that device models serve a guest's ports and memory: every width and direction, strings, read-modify-write,
 * PCI configuration, buffered writes, several servers and vCPUs, in 32- and 64-bit mode.
 */

#include "ioreq.h"

#define MMIO 0xf0000000UL

static int fd;
static struct worker w;
static struct model m;

/* A device with a byte-addressed memory of its own. */
static uint8_t device[8192];

static uint64_t memory_answer(struct model *model, unsigned int vcpu, const ioreq_t *request)
{
	uint64_t at = (request->addr & 0xffff) % sizeof(device), value = 0;

	(void)vcpu;
	(void)model;
	if (request->type == IOREQ_TYPE_COPY && at + request->size <= sizeof(device)) {
		if (request->dir == IOREQ_WRITE)
			memcpy(device + at, &request->data, request->size);
		else
			memcpy(&value, device + at, request->size);
		return value;
	}
	return request->addr & 0xff;
}

static void ports(void)
{
	tap_equal(server_map(m.privcmd, w.domain, m.id, XEN_DMOP_IO_RANGE_PORT, 0x3f8, 0x3ff), 0,
		  "ports are given");
	tap_equal(worker_do(&w, 0, OP_IN8, 0x3f8, 0, 0), 0xf8, "a byte is read from a port");
	tap_equal(m.last.size, 1, "it was asked for as one byte");
	tap_equal(m.last.count, 1, "once");
	tap_equal(m.last.type, IOREQ_TYPE_PIO, "of a port");
	tap_equal(worker_do(&w, 0, OP_IN16, 0x3fa, 0, 0), 0xfa, "two bytes");
	tap_equal(worker_do(&w, 0, OP_IN32, 0x3fc, 0, 0), 0xfc, "four bytes");
	tap_equal(m.last.size, 4, "asked for as four");
	worker_do(&w, 0, OP_OUT8, 0x3f8, 0x1234, 0);
	tap_equal(m.last_write, 0x34, "a byte is written");
	worker_do(&w, 0, OP_OUT16, 0x3f8, 0x12345678, 0);
	tap_equal(m.last_write, 0x5678, "two bytes");
	worker_do(&w, 0, OP_OUT32, 0x3f8, 0x12345678, 0);
	tap_equal(m.last_write, 0x12345678, "four bytes");
	/* The model answers each request with the lowest byte of its address. */
	tap_equal(w.cmd[0]->result, 0x12345678, "I-8 what a model says of a write is not used");
	tap_equal(worker_do(&w, 0, OP_IN8, 0x3f7, 0, 0), 0xff,
		  "a port beside the range is nobody's");
	tap_equal(worker_do(&w, 0, OP_IN32, 0x3fe, 0, 0), 0xffffffff,
		  "IO-12 nor is an access that leaves it");
	worker_do(&w, 0, OP_REP_INSB, 0x3f9, DATA(0), 100);
	tap(w.data[0] == 0xf9 && w.data[99] == 0xf9 && !w.data[100], "100 bytes by REP INS");
	memcpy(w.data, "the quick brown fox", 19);
	m.served = 0;
	worker_do(&w, 0, OP_REP_OUTSB, 0x3f8, DATA(0), 19);
	tap_equal(m.served, 19, "REP OUTS writes each byte once");
	tap_equal(m.last_write, 'x', "the last one last");
	tap_equal(server_unmap(m.privcmd, w.domain, m.id, XEN_DMOP_IO_RANGE_PORT, 0x3f8, 0x3f8), 0,
		  "a port is taken back");
	tap_equal(worker_do(&w, 0, OP_IN8, 0x3f8, 0, 0), 0xff, "it is nobody's");
	tap_equal(worker_do(&w, 0, OP_IN8, 0x3f9, 0, 0), 0xf9, "the next one is still the model's");
}

static void memory(int bits)
{
	unsigned int i, wrong = 0;

	m.answer = memory_answer;
	for (i = 0; i < sizeof(device); i++)
		device[i] = i * 7;
	tap_equal(server_map(m.privcmd, w.domain, m.id, XEN_DMOP_IO_RANGE_MEMORY, MMIO,
			     MMIO + sizeof(device) - 1), 0,
		  "memory is given");
	tap_equal(worker_do(&w, 0, OP_READ8, MMIO + 3, 0, 0), 21, "a byte is read");
	tap_equal(worker_do(&w, 0, OP_READ16, MMIO + 4, 0, 0), 0x231c, "two bytes");
	tap_equal(worker_do(&w, 0, OP_READ32, MMIO + 5, 0, 0), 0x38312a23,
		  "four bytes, not aligned");
	worker_do(&w, 0, OP_WRITE8, MMIO + 100, 0x1ff, 0);
	worker_do(&w, 0, OP_WRITE16, MMIO + 102, 0xabcd, 0);
	worker_do(&w, 0, OP_WRITE32, MMIO + 104, 0x12345678, 0);
	tap(device[100] == 0xff && device[101] == (uint8_t)(101 * 7) && device[102] == 0xcd &&
	    device[103] == 0xab &&
	    !memcmp(device + 104, "\x78\x56\x34\x12", 4), "1, 2 and 4 bytes are written");
	m.served = 0;
	worker_do(&w, 0, OP_OR32, MMIO + 104, 0x80000001, 0);
	tap(device[104] == 0x79 && device[107] == 0x92, "read, modify, write");
	tap_equal(m.served, 2, "which is two requests");
	tap_equal(worker_do(&w, 0, OP_LOCK_XADD, MMIO + 104, 1, 0), 0x92345679,
		  "LOCK XADD returns what was there");
	tap_equal(device[104], 0x7a, "and adds");
	tap_equal(worker_do(&w, 0, OP_XCHG32, MMIO + 104, 7, 0), 0x9234567a, "XCHG exchanges");
	m.served = 0;
	tap_equal(worker_do(&w, 0, OP_REP_MOVSB, MMIO, DATA(0), 300), 0,
		  "300 bytes by REP MOVS from the device");
	for (i = 0; i < 300; i++)
		wrong += w.data[i] != device[i];
	tap_equal(wrong, 0, "are right");
	tap_equal(m.served, 300, "and each was read once");
	worker_do(&w, 0, OP_REP_MOVSL, MMIO, MMIO + 4096, 64);
	tap(!memcmp(device, device + 4096, 256), "REP MOVS within the device");
	worker_do(&w, 0, OP_REP_MOVSB_DOWN, DATA(299), MMIO + 2048 + 299, 300);
	tap(!memcmp(device + 2048, w.data, 300), "IO-12 downwards");
	worker_do(&w, 0, OP_REP_STOSL, MMIO + 4000, 0x5a5a5a5a, 100);
	wrong = 0;
	for (i = 4000; i < 4400; i++)
		wrong += device[i] != 0x5a;
	tap_equal(wrong, 0, "IO-13 REP STOS over the end of a page");
	tap_equal(worker_do(&w, 0, OP_WRITE32, MMIO + 4094, 0xa1b2c3d4, 0), 0xa1b2c3d4,
		  "an access of two pages");
	tap(!memcmp(device + 4094, "\xd4\xc3\xb2\xa1", 4), "is written whole");
	tap_equal(worker_do(&w, 0, OP_READ32, MMIO + 4093, 0, 0), 0xb2c3d45a, "and read whole");
	tap_equal(worker_do(&w, 0, OP_READ32, MMIO + sizeof(device), 0, 0), 0xffffffff,
		  "beside the range is nobody's");
	if (bits == 64) {
		worker_do(&w, 0, OP_WRITE64, MMIO + 512, 0x1122334455667788, 0);
		tap_equal(m.last.size, 8, "eight bytes are one request");
		tap_equal(worker_do(&w, 0, OP_READ64, MMIO + 512, 0, 0), 0x1122334455667788,
			  "eight bytes");
	}
	m.answer = NULL;
}

static void pci(void)
{
	tap_equal(server_map(m.privcmd, w.domain, m.id, XEN_DMOP_IO_RANGE_PCI, 0x19, 0x19), 0,
		  "a PCI function is given");
	worker_do(&w, 0, OP_OUT32, 0xcf8, 0x80001944, 0);
	tap_equal(worker_do(&w, 0, OP_IN16, 0xcfe, 0, 0), 0x46, "its configuration is read");
	tap_equal(m.last.type, IOREQ_TYPE_PCI_CONFIG, "as such");
	tap_equal(m.last.addr, 0x19ULL << 32 | 0x46, "by function and register");
	worker_do(&w, 0, OP_OUT8, 0xcfc, 0x77, 0);
	tap_equal(m.last_write, 0x77, "and written");
	worker_do(&w, 0, OP_OUT32, 0xcf8, 0x80001a44, 0);
	tap_equal(worker_do(&w, 0, OP_IN32, 0xcfc, 0, 0), 0xffffffff,
		  "another function is nobody's");
}

static void buffered(void)
{
	uint32_t buffered = 1U << 31;
	unsigned int i;

	tap_equal(server_map(m.privcmd, w.domain, m.id, XEN_DMOP_IO_RANGE_PORT | buffered, 0x80,
			     0x83), 0,
		  "ports whose writes are buffered are given");
	m.served = m.buffered = 0;
	worker_do(&w, 0, OP_OUT8, 0x80, 0x42, 0);
	for (i = 0; i < 1000 && !m.buffered; i++)
		usleep(1000);
	tap_equal(m.buffered, 1, "a write is buffered");
	tap_equal(m.last_write, 0x42, "with its value");
	tap_equal(m.served, 0, "and nobody waits for it");
	worker_do(&w, 0, OP_OUT32, 0x80, 0x12345678, 0);
	tap_equal(worker_do(&w, 0, OP_IN8, 0x81, 0, 0), 0x81, "a read is waited for");
	tap_equal(m.buffered, 2, "what was buffered comes before it");
	m.buffered = m.served = 0;
	worker_do(&w, 0, OP_OUT8_LOOP, 0x80, 7, 2000);
	worker_do(&w, 0, OP_IN8, 0x81, 0, 0);
	tap_equal(m.buffered + m.served - 1, 2000,
		  "I-7 2000 writes through 511 places, each taken once");
	tap_note("%u were buffered", m.buffered);
	model_halt(&m);
	m.buffered = m.served = 0;
	worker_begin(&w, 0, OP_OUT8_LOOP, 0x80, 7, 600);
	tap(!worker_wait(&w, 0, 300), "I-7, IO-14 with nobody to take them one is waited for");
	tap(model_drain(&m) == 511, "511 were buffered");
	pthread_create(&m.thread, NULL, model_thread, &m);
	while (!m.running)
		usleep(1000);
	tap(worker_wait(&w, 0, 20000), "the rest follows");
}

/* Each vCPU reads a port of its own, many times. */
static void together(void)
{
	unsigned int i, wrong = 0;

	for (i = 0; i < w.vcpus; i++)
		worker_begin(&w, i, OP_IN8_LOOP, 0x3fa + i, 0xfa + i, 500);
	for (i = 0; i < w.vcpus; i++)
		wrong += worker_wait(&w, i, 30000) ? w.cmd[i]->result : 500;
	tap_equal(wrong, 0, "%u vCPUs are answered each its own", w.vcpus);
}

static void several(void)
{
	struct model second = { 0 };

	model_start(&second, &w, 0);
	tap_equal(server_map(second.privcmd, w.domain, second.id, XEN_DMOP_IO_RANGE_PORT, 0x3fa,
			     0x3fa), 0,
		  "a second server claims a port of the first");
	m.served = second.served = 0;
	tap_equal(worker_do(&w, 0, OP_IN8, 0x3fa, 0, 0), 0xfa, "the port is read");
	tap(second.served == 1 && !m.served, "I-6 from the server with the higher number");
	server_enable(second.privcmd, w.domain, second.id, 0);
	worker_do(&w, 0, OP_IN8, 0x3fa, 0, 0);
	tap(second.served == 1 && m.served == 1, "and from the first while the second is off");
	model_quit(&second);
}

/* What a guest gives back device models must forget: all are told, and all are waited for. */
static void invalidated(int bits)
{
	struct model second = { 0 };
	struct {
		uint64_t extents, count;
		uint32_t order, flags;
		uint16_t domid;
	} wide = { .extents = DATA(256), .count = 1, .domid = DOMID_SELF };
	struct {
		uint32_t extents, count, order, flags;
		uint16_t domid;
	} narrow = { .extents = DATA(256), .count = 1, .domid = DOMID_SELF };

	model_start(&second, &w, 0);
	model_halt(&second);
	*(volatile uint64_t *)(w.data + 256) = 0x3f;
	if (bits == 64)
		memcpy(w.data, &wide, sizeof(wide));
	else
		memcpy(w.data, &narrow, sizeof(narrow));
	m.served = second.served = 0;
	w.cmd[0]->a[3] = w.cmd[0]->a[4] = 0;
	worker_begin(&w, 0, OP_HYPERCALL, __HYPERVISOR_memory_op, XENMEM_decrease_reservation,
		     DATA(0));
	tap(!worker_wait(&w, 0, 300), "I-6, IO-10 a message to all waits for the last");
	tap_equal(m.served, 1, "the first has answered");
	tap_equal(m.last.type, IOREQ_TYPE_INVALIDATE, "what it was told is to forget mappings");
	tap_equal(model_serve(&second), 1, "the second answers");
	tap(worker_wait(&w, 0, 20000), "and the guest goes on");
	tap_equal(w.cmd[0]->result, 1, "the page was given back");
	model_quit(&second);
}

static void run(int bits)
{
	long rc;

	tap_note("%d-bit guest", bits);
	worker_start(&w, fd, 4, bits);
	memset(&m, 0, sizeof(m));
	model_start(&m, &w, HVM_IOREQSRV_BUFIOREQ_ATOMIC);
	ports();
	memory(bits);
	pci();
	buffered();
	together();
	several();
	invalidated(bits);
	rc = xen_flags(fd, w.domain);
	tap(rc >= 0 && !(rc & XEN_DOMINF_shutdown), "the guest runs");
	model_quit(&m);
	tap_equal(worker_end(&w), 0, "it is destroyed");
}

int main(void)
{
	fd = xen_open("privcmd");
	tap_plan(0);
	run(32);
	run(64);
	return tap_end();
}
