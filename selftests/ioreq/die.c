// SPDX-License-Identifier: GPL-2.0-only
/*
 * Proves what becomes of a guest whose device model is destroyed, dies or is silent: requests in flight end, the guest
 * can be paused, destroyed and shut down, and a new device model takes over (I-5, I-9).
 */

#include <signal.h>
#include <sys/wait.h>

#include "ioreq.h"

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
	unsigned int kills = getenv("OXEN_LONG") && *getenv("OXEN_LONG") ? 300 : 40, i;
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
	paused();
	killed();
	return tap_end();
}
