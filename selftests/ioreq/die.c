// SPDX-License-Identifier: GPL-2.0-only
/*
 * Proves what becomes of a guest whose device model is destroyed, dies or is silent: requests in flight end, the guest
 * can be paused, destroyed and shut down, and a new device model takes over (I-5, I-9).
 */

#include <dirent.h>
#include <signal.h>
#include <sys/wait.h>

#include "ioreq.h"
#include <xen/vcpu.h>

#define MMIO 0xf0000000UL

static int fd;
static struct worker w;

/* Makes a model without a thread. */
static void silent(struct model *m)
{
	long rc;

	memset(m, 0, sizeof(*m));
	rc = model_make(m, w.domain, w.vcpus, HVM_IOREQSRV_BUFIOREQ_ATOMIC);
	if (!rc)
		rc = model_connect(m);
	if (!rc)
		rc = server_map(m->privcmd, w.domain, m->id, XEN_DMOP_IO_RANGE_PORT, 0x3f8, 0x3ff);
	if (!rc)
		rc = server_map(m->privcmd, w.domain, m->id, XEN_DMOP_IO_RANGE_MEMORY, MMIO,
				MMIO + 4095);
	if (rc)
		tap_bail("cannot make a device model: %ld", rc);
}

/* Waits until a request has come. */
static bool comes(struct model *m, unsigned int vcpu)
{
	volatile uint8_t *state = (volatile uint8_t *)&m->page->vcpu_ioreq[vcpu] + 30;
	unsigned int i;

	for (i = 0; i < 3000; i++) {
		if ((*state & 0xf) == STATE_IOREQ_READY)
			return true;
		usleep(1000);
	}
	return false;
}

static void destroyed(void)
{
	struct model m;
	int begun;

	for (begun = 0; begun < 2; begun++) {
		silent(&m);
		worker_begin(&w, 0, OP_IN32, 0x3f8, 0, 0);
		worker_begin(&w, 1, OP_WRITE32, MMIO, 1, 0);
		tap(comes(&m, 0) && comes(&m, 1), "two requests come");
		if (begun) {
			model_begin(&m, 0);
			model_begin(&m, 1);
		}
		tap_equal(server_destroy(m.privcmd, w.domain, m.id), 0,
			  "their server is destroyed");
		tap(worker_wait(&w, 0, 20000) && worker_wait(&w, 1, 20000),
		    "I-5, IO-8 both vCPUs go on");
		tap_equal(w.cmd[0]->result, 0xffffffff, "I-5 what was read is all ones");
		tap_equal(worker_do(&w, 0, OP_IN8, 0x3f8, 0, 0), 0xff,
			  "and so is what is read then");
		model_die(&m);
	}
}

static void dead(void)
{
	struct model m;

	/* Begun: its effects may have taken place. */
	silent(&m);
	worker_begin(&w, 0, OP_IN32, 0x3f8, 0, 0);
	comes(&m, 0);
	model_begin(&m, 0);
	model_die(&m);
	tap(worker_wait(&w, 0, 20000), "I-9, IO-9 a request that a dead model had begun ends");
	tap_equal(w.cmd[0]->result, 0xffffffff, "I-9 with all ones");
	worker_begin(&w, 0, OP_IN32, 0x3f8, 0, 0);
	tap(!worker_wait(&w, 0, 300), "I-9 the next one waits");
	silent(&m);
	tap(comes(&m, 0), "I-9 for the next model");
	tap_equal(model_serve(&m), 1, "which serves it");
	tap(worker_wait(&w, 0, 20000) && w.cmd[0]->result == 0xf8, "I-9 and the guest goes on");

	/* Not begun. */
	worker_begin(&w, 0, OP_OUT8, 0x3f8, 0x41, 0);
	comes(&m, 0);
	model_die(&m);
	tap(!worker_wait(&w, 0, 300), "I-9 a request that was not begun waits");
	silent(&m);
	tap(comes(&m, 0), "I-9 and comes to the next model");
	model_serve(&m);
	tap_equal(m.last_write, 0x41, "I-9 with nothing lost");
	tap(worker_wait(&w, 0, 20000), "I-9 and the guest goes on");
	tap_equal(server_destroy(m.privcmd, w.domain, m.id), 0, "a model ends in order");
	tap_equal(worker_do(&w, 0, OP_IN8, 0x3f8, 0, 0), 0xff, "then its ranges are nobody's");
	model_die(&m);
}

/* 282ed258a5: a server that had frames by their type has gone, and has not given them back. */
static void frames(void)
{
	struct xen_dm_op map = { .op = XEN_DMOP_map_mem_type_to_ioreq_server };
	struct xen_dm_op type = { .op = XEN_DMOP_set_mem_type };
	struct model m;
	int dies;

	type.u.set_mem_type.mem_type = HVMMEM_ioreq_server;
	type.u.set_mem_type.first_pfn = 0x2e;
	type.u.set_mem_type.nr = 2;
	for (dies = 0; dies < 2; dies++) {
		silent(&m);
		map.u.map_mem_type_to_ioreq_server.id = m.id;
		map.u.map_mem_type_to_ioreq_server.type = HVMMEM_ioreq_server;
		map.u.map_mem_type_to_ioreq_server.flags = XEN_DMOP_IOREQ_MEM_ACCESS_WRITE;
		map.u.map_mem_type_to_ioreq_server.opaque = 0;
		tap_equal(dm_op1(fd, w.domain, &map), 0, "IO-16 a server gets frames by type");
		tap_equal(dm_op1(fd, w.domain, &type), 0, "IO-16 two frames");
		memset(w.data + 0xe000, 0, 8192);
		worker_begin(&w, 0, OP_WRITE32, 0x2e010, 0x1234, 0);
		tap(comes(&m, 0), "IO-16 a write to one comes");
		if (dies) {
			model_die(&m);
		} else {
			tap_equal(server_destroy(m.privcmd, w.domain, m.id), 0,
				  "IO-16 its server is destroyed");
			model_die(&m);
		}
		tap(worker_wait(&w, 0, 20000), "IO-16 the guest goes on");
		tap(w.data[0xe010] == 0x34 && w.data[0xe011] == 0x12,
		    "IO-16 and what it wrote is there");
		worker_do(&w, 0, OP_WRITE32, 0x2f010, 0x5678, 0);
		worker_do(&w, 0, OP_WRITE32, 0x2effe, 0xaabbccdd, 0);
		tap(w.data[0xf010] == 0x78 && w.data[0xf011] == 0x56, "IO-16 the frames are RAM");
		tap(w.data[0xeffe] == 0xdd && w.data[0xf001] == 0xaa, "IO-16 both of them");
	}
	silent(&m);
	map.u.map_mem_type_to_ioreq_server.id = m.id;
	map.u.map_mem_type_to_ioreq_server.opaque = 0;
	tap_equal(dm_op1(fd, w.domain, &map), 0, "IO-16 another server gets the type");
	worker_do(&w, 0, OP_WRITE32, 0x2e010, 0x4321, 0);
	tap_equal(w.data[0xe010], 0x21, "IO-16 but not the frames that another one had");
	model_die(&m);
}

/* What a 32-bit guest finds in a vcpu_runstate_info. */
struct __attribute__((packed)) runstate {
	int32_t state;
	uint64_t entered, time[4];
};

/* Asks from the other vCPU where the first one's time goes. */
static struct runstate runstate(void)
{
	struct runstate now;

	if (worker_call(&w, 1, __HYPERVISOR_vcpu_op, VCPUOP_get_runstate_info, 0, DATA(0x6000), 0))
		tap_bail("a guest cannot ask for a vCPU's runstate");
	memcpy(&now, w.data + 0x6000, sizeof(now));
	return now;
}

/* As in Xen, where such a vCPU is blocked by the hypervisor and not by its guest. */
static void waiting(void)
{
	struct runstate before, during, after;
	struct model m;

	silent(&m);
	before = runstate();
	tap(before.state == RUNSTATE_running || before.state == RUNSTATE_runnable,
	    "R-9 a vCPU runs, or waits for a processor");
	worker_begin(&w, 0, OP_IN8, 0x3f8, 0, 0);
	comes(&m, 0);
	usleep(100000);
	during = runstate();
	tap_equal(during.state, RUNSTATE_offline, "R-9 one that waits for a model is offline");
	tap(during.time[RUNSTATE_offline] - before.time[RUNSTATE_offline] >= 90000000,
	    "R-9 all the time");
	model_serve(&m);
	tap(worker_wait(&w, 0, 20000), "it has its answer");
	after = runstate();
	tap(after.state == RUNSTATE_running || after.state == RUNSTATE_runnable,
	    "R-9 then it goes on");
	tap(after.time[RUNSTATE_offline] >= during.time[RUNSTATE_offline] &&
	    after.time[RUNSTATE_blocked] == before.time[RUNSTATE_blocked],
	    "R-9 and was never blocked");
	model_die(&m);
}

/* Returns how many functions deep the first vCPU's thread sleeps, or 0 if that cannot be told. */
static unsigned int depth(void)
{
	char name[32], path[300], line[256];
	unsigned int lines = 0;
	struct dirent *entry;
	DIR *proc = opendir("/proc");
	FILE *file;

	snprintf(name, sizeof(name), "-%ld/0", w.domain);
	while (proc && (entry = readdir(proc))) {
		bool found;

		snprintf(path, sizeof(path), "/proc/%.200s/comm", entry->d_name);
		file = fopen(path, "r");
		if (!file)
			continue;
		line[0] = 0;
		if (fgets(line, sizeof(line), file))
			line[strcspn(line, "\n")] = 0;
		fclose(file);
		found = strlen(line) > strlen(name) &&
			!strcmp(line + strlen(line) - strlen(name), name);
		if (!found)
			continue;
		snprintf(path, sizeof(path), "/proc/%.200s/stack", entry->d_name);
		file = fopen(path, "r");
		if (!file)
			break;
		while (fgets(line, sizeof(line), file))
			lines++;
		fclose(file);
		break;
	}
	if (proc)
		closedir(proc);
	return lines;
}

/* XSA-348: a wait that resumed the vCPU, which waited, which resumed it. */
static void deep(void)
{
	unsigned int first, i, deepest = 0, now;
	struct model m;

	silent(&m);
	worker_begin(&w, 0, OP_REP_INSB, 0x3f8, DATA(0x7000), 200);
	comes(&m, 0);
	usleep(10000);
	first = depth();
	for (i = 0; i < 200; i++) {
		/* Each of these has the vCPU look whether it can go on. */
		domain_pause(fd, w.domain);
		server_map(m.privcmd, w.domain, m.id, XEN_DMOP_IO_RANGE_PORT, 0x500, 0x500);
		domain_unpause(fd, w.domain);
		server_unmap(m.privcmd, w.domain, m.id, XEN_DMOP_IO_RANGE_PORT, 0x500, 0x500);
		if (i % 20 == 0) {
			usleep(5000);
			now = depth();
			deepest = now > deepest ? now : deepest;
		}
		model_serve(&m);
		if (i < 199 && !comes(&m, 0))
			break;
	}
	tap_equal(i, 200, "IO-4 an instruction waits 200 times, each time paused and resumed");
	if (first)
		tap(deepest < first + 10, "IO-4 and not deeper in the stack (%u, at first %u)",
		    deepest, first);
	else
		tap_skip("no /proc/PID/stack", "IO-4 and not deeper in the stack");
	tap(worker_wait(&w, 0, 20000) && !w.cmd[0]->result, "IO-4 it ends");
	model_die(&m);
}

static void paused(void)
{
	struct xen_domctl domctl = { 0 };
	struct model m;

	silent(&m);
	worker_begin(&w, 0, OP_IN8, 0x3f8, 0, 0);
	comes(&m, 0);
	domctl.u.getvcpuinfo.vcpu = 0;
	tap_equal(xen_domctl(fd, XEN_DOMCTL_getvcpuinfo, w.domain, &domctl), 0,
		  "a vCPU that waits can be looked at");
	tap(domctl.u.getvcpuinfo.online && !domctl.u.getvcpuinfo.running, "it does not run");
	tap_equal(domain_pause(fd, w.domain), 0, "a guest that waits is paused");
	model_serve(&m);
	tap(!worker_wait(&w, 0, 200), "and does not go on with the answer");
	tap_equal(domain_unpause(fd, w.domain), 0, "it is let run");
	tap(worker_wait(&w, 0, 20000) && w.cmd[0]->result == 0xf8, "and has its answer");

	/* L-8: paused before the answer, many times. */
	worker_begin(&w, 0, OP_IN8, 0x3f9, 0, 0);
	comes(&m, 0);
	for (int i = 0; i < 50; i++) {
		domain_pause(fd, w.domain);
		domain_unpause(fd, w.domain);
	}
	model_serve(&m);
	tap(worker_wait(&w, 0, 20000) && w.cmd[0]->result == 0xf9,
	    "paused 50 times, it has its answer");

	/* b7e0d89788: what a model works on is waited for before the guest is what is saved of it. */
	worker_begin(&w, 0, OP_IN8, 0x3fa, 0, 0);
	comes(&m, 0);
	model_begin(&m, 0);
	{
		struct xen_dm_op op = { .op = XEN_DMOP_remote_shutdown };
		long flags;

		op.u.remote_shutdown.reason = SHUTDOWN_suspend;
		dm_op1(fd, w.domain, &op);
		usleep(200000);
		flags = xen_flags(fd, w.domain);
		tap(!(flags & XEN_DOMINF_shutdown),
		    "IO-9 a guest is not shut down while a model works for it");
		model_end(&m, 0, 0x77);
		tap_equal(domain_wait_shutdown(fd, w.domain), SHUTDOWN_suspend,
			  "IO-9 but when it has answered");
		tap_equal(xen_domctl(fd, XEN_DOMCTL_resumedomain, w.domain, NULL), 0,
			  "it is resumed");
		tap(worker_wait(&w, 0, 20000) && w.cmd[0]->result == 0x77,
		    "IO-9 and has its answer, once");
	}
	worker_begin(&w, 0, OP_READ32, MMIO, 0, 0);
	comes(&m, 0);
	tap_equal(worker_end(&w), 0, "a guest that waits is destroyed");
	model_die(&m);
}

/* A device model in a process of its own, until it is killed. */
static void child_model(void)
{
	struct model m = { 0 };

	if (model_make(&m, w.domain, w.vcpus, HVM_IOREQSRV_BUFIOREQ_ATOMIC) || model_connect(&m) ||
	    server_map(m.privcmd, w.domain, m.id, XEN_DMOP_IO_RANGE_PORT, 0x3f8, 0x3ff) ||
	    server_map(m.privcmd, w.domain, m.id, XEN_DMOP_IO_RANGE_MEMORY, MMIO, MMIO + 4095))
		_exit(1);
	model_thread(&m);
	_exit(0);
}

static void killed(void)
{
	unsigned int kills = tap_long() ? 300 : 40, i;
	int status, bad = 0;

	worker_start(&w, fd, 2, 64);
	worker_begin(&w, 0, OP_IN8_LOOP, 0x3fa, 0xfa, 1 << 30);
	worker_begin(&w, 1, OP_READ32_LOOP, MMIO + 0x44, 0x44, 1 << 30);
	srandom(1);
	for (i = 0; i < kills; i++) {
		pid_t pid = fork();

		if (!pid)
			child_model();
		usleep(random() % 30000);
		kill(pid, SIGKILL);
		waitpid(pid, &status, 0);
		bad += WIFEXITED(status);
	}
	tap_equal(bad, 0, "I-9 a device model starts again %u times", kills);
	{
		struct model m = { 0 };

		model_start(&m, &w, 0);
		server_map(m.privcmd, w.domain, m.id, XEN_DMOP_IO_RANGE_PORT, 0x3f8, 0x3ff);
		server_map(m.privcmd, w.domain, m.id, XEN_DMOP_IO_RANGE_MEMORY, MMIO, MMIO + 4095);
		m.served = 0;
		for (i = 0; i < 10000 && m.served < 100; i++)
			usleep(1000);
		tap(m.served >= 100,
		    "I-9 killed at any moment, and the guest goes on with the next");
		tap(!(xen_flags(fd, w.domain) & XEN_DOMINF_shutdown), "I-9 both vCPUs run");
		model_quit(&m);
	}
	tap_equal(worker_end(&w), 0, "the guest is destroyed");
}

int main(void)
{
	fd = xen_open("privcmd");
	tap_plan(0);
	worker_start(&w, fd, 2, 32);
	destroyed();
	dead();
	frames();
	waiting();
	deep();
	paused();
	killed();
	return tap_end();
}
