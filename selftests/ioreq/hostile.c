// SPDX-License-Identifier: GPL-2.0-only
/*
 * Proves that a hostile device model can crash its guest and nothing else: states that go backwards or do not exist
 * (XSA-262), words that change while they are read (XSA-166), pointers that were never reached, on pages that it
 * scribbles over for a minute.
 */

#include "ioreq.h"

static int fd;

/* One wrong step of a model, from each state that it finds. */
static void steps(void)
{
	unsigned int from, to, bad = 0, missed = 0;

	for (from = STATE_IOREQ_READY; from <= STATE_IOREQ_INPROCESS; from++) {
		for (to = 0; to < 16; to++) {
			struct worker w;
			struct model m = { 0 };
			volatile uint8_t *state;
			bool right = to > from ? to <= STATE_IORESP_READY : to == from;
			int reason;

			if (to == from || (right && to != STATE_IORESP_READY))
				continue;
			worker_start(&w, fd, 1, 32);
			if (model_make(&m, w.domain, 1, 0) || model_connect(&m) ||
			    server_map(m.privcmd, w.domain, m.id, XEN_DMOP_IO_RANGE_PORT, 0x3f8,
				       0x3ff))
				tap_bail("cannot make a device model");
			state = (volatile uint8_t *)m.page + 30;
			worker_begin(&w, 0, OP_IN8, 0x3f8, 0, 0);
			while ((*state & 0xf) != STATE_IOREQ_READY)
				usleep(1000);
			if (from == STATE_IOREQ_INPROCESS) {
				*state = STATE_IOREQ_INPROCESS;
				notify(m.evtchn, m.ports[0]);
				/* It must have been seen to be remembered. */
				usleep(20000);
			}
			*state = to;
			notify(m.evtchn, m.ports[0]);
			if (right) {
				missed += !worker_wait(&w, 0, 20000);
			} else {
				reason = domain_wait_shutdown(fd, w.domain);
				bad += reason != SHUTDOWN_crash;
				if (reason != SHUTDOWN_crash)
					tap_note("from %u to %u: the guest ends with %d", from, to,
						 reason);
			}
			worker_end(&w);
			model_die(&m);
		}
	}
	tap_equal(bad, 0,
		  "I-4, IO-2 a state that goes backwards or does not exist crashes the guest");
	tap_equal(missed, 0, "and one that goes forward does not");
}

/* A slot that is not free when the guest wants it. */
static void occupied(void)
{
	struct worker w;
	struct model m = { 0 };

	worker_start(&w, fd, 1, 32);
	if (model_make(&m, w.domain, 1, 0) || model_connect(&m) ||
	    server_map(m.privcmd, w.domain, m.id, XEN_DMOP_IO_RANGE_PORT, 0x3f8, 0x3ff))
		tap_bail("cannot make a device model");
	((volatile uint8_t *)m.page)[30] = STATE_IORESP_READY;
	worker_begin(&w, 0, OP_IN8, 0x3f8, 0, 0);
	tap_equal(domain_wait_shutdown(fd, w.domain), SHUTDOWN_crash,
		  "I-4 an answer before the request crashes the guest");
	worker_end(&w);
	model_die(&m);
}

static volatile bool stop;

static void *scribble(void *arg)
{
	struct model *m = arg;
	uint64_t x = 88172645463325252ULL;

	while (!stop) {
		bool other = (x >> 40) & 1 && m->buffer;
		volatile uint64_t *page = other ? (void *)m->buffer : (void *)m->page;

		x ^= x << 13;
		x ^= x >> 7;
		x ^= x << 17;
		switch (x >> 60) {
		case 0 ... 5:
			/* The first slots are those of vCPUs. */
			page[x % 16] = x;
			break;
		case 6 ... 9:
			((volatile uint8_t *)m->page)[30 + 32 * (x % 4)] = x >> 20;
			break;
		case 10:
			/* Now and then as it should be, so that guests live for a while. */
			model_serve(m);
			break;
		case 11:
			((volatile uint8_t *)m->page)[30 + 32 * (x % 4)] = (x >> 20) % 4;
			break;
		case 12:
			notify(m->evtchn, m->ports[x % 4]);
			break;
		default:
			page[x % 512] = x;
		}
	}
	return NULL;
}

static void storm(void)
{
	unsigned int seconds = tap_long() ? 60 : 10, guests = 0, crashed = 0, bad = 0;
	time_t end = time(NULL) + seconds;

	while (time(NULL) < end) {
		struct worker w;
		struct model m = { 0 };
		pthread_t thread;
		unsigned int i;

		worker_start(&w, fd, 4, guests % 2 ? 32 : 64);
		if (model_make(&m, w.domain, 4, HVM_IOREQSRV_BUFIOREQ_ATOMIC - guests % 2) ||
		    model_connect(&m) ||
		    server_map(m.privcmd, w.domain, m.id, XEN_DMOP_IO_RANGE_PORT, 0x3f8, 0x3ff) ||
		    server_map(m.privcmd, w.domain, m.id, XEN_DMOP_IO_RANGE_PORT | 1U << 31, 0x80,
			       0x83) ||
		    server_map(m.privcmd, w.domain, m.id, XEN_DMOP_IO_RANGE_MEMORY, 0xf0000000,
			       0xf0000fff))
			tap_bail("cannot make a device model");
		stop = false;
		pthread_create(&thread, NULL, scribble, &m);
		worker_begin(&w, 0, OP_IN8_LOOP, 0x3fa, 0xfa, 1 << 20);
		worker_begin(&w, 1, OP_READ32_LOOP, 0xf0000100, 0, 1 << 20);
		worker_begin(&w, 2, OP_OUT8_LOOP, 0x80, 1, 1 << 20);
		worker_begin(&w, 3, OP_REP_MOVSL, 0xf0000000, DATA(0), 256);
		for (i = 0; i < 100; i++) {
			usleep(10000);
			if (xen_flags(fd, w.domain) & XEN_DOMINF_shutdown)
				break;
		}
		crashed += i < 100;
		bad += worker_end(&w) != 0;
		stop = true;
		pthread_join(thread, NULL);
		model_die(&m);
		guests++;
	}
	tap_note("%u guests, %u of them crashed", guests, crashed);
	tap(guests && !bad,
	    "IO-1, IO-2, I-4 guests of a model that scribbles on its pages can be destroyed");
	tap(crashed > 0, "and it is found out");
}

int main(void)
{
	fd = xen_open("privcmd");
	tap_plan(0);
	steps();
	occupied();
	storm();
	return tap_end();
}
