// SPDX-License-Identifier: GPL-2.0-only
/*
 * A small device model: a reference of how one serves a guest, and a test of what it needs.
 *
 *   devmodel [OPTION]... DOMAIN
 *
 * It gives the guest a serial port (a 16550A at 0x3f8, without an interrupt), the debug port (0xe9), and a page of
 * memory that it keeps for the guest (at 0xfeb00000). Whatever it knows of them is in a file, if it is given one: when
 * it is killed, another one goes on with that, and so does the guest.
 *
 * Everything goes through Xen's own libraries; but for one bit of ours, it would serve a guest of Xen.
 */

#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#define __XEN_TOOLS__ 1
#include <xen/xen.h>
#include <xen/memory.h>
#include <xen/hvm/dm_op.h>
#include <xen/hvm/ioreq.h>
#include <xen/sys/privcmd.h>
#include <xendevicemodel.h>
#include <xenevtchn.h>
#include <xenforeignmemory.h>

#include <oxen/dm_op.h>

#define PAGE 4096UL
#define MAX_VCPUS 128U

enum { SERIAL = 0x3f8, DEBUG = 0xe9 };
#define SCRATCH 0xfeb00000UL

/* The registers of a 16550A, by their offsets. */
enum { DATA, IER, IIR, LCR, MCR, LSR, MSR, SCR };
enum { LCR_DLAB = 0x80, MCR_LOOP = 0x10, LSR_DR = 0x01, LSR_IDLE = 0x60, FCR_ENABLE = 0x01 };

/* What lives longer than a process. */
struct state {
	uint8_t scratch[4096];
	uint8_t ier, fcr, lcr, mcr, scr, divisor[2];
	/* What was typed and the guest has not read. */
	uint8_t input[256];
	uint32_t input_put, input_got;
	/* How much was served, by all processes. */
	uint64_t served, buffered;
};

static struct state *state;
static int serial_out = STDOUT_FILENO, debug_out = STDERR_FILENO;
static uint64_t sink_first, sink_last;
static bool has_sink;

static xendevicemodel_handle *dm;
static xenforeignmemory_handle *memory;
static xenevtchn_handle *ports;
static domid_t domain;
static ioservid_t server;
static unsigned int vcpus;
static buffered_iopage_t *buffer;
static shared_iopage_t *requests;
static evtchn_port_t port_of[MAX_VCPUS];

static volatile sig_atomic_t ended;

static void on_signal(int signal)
{
	(void)signal;
	ended = 1;
}

static void fail(const char *what)
{
	fprintf(stderr, "devmodel: %s: %s\n", what, strerror(errno));
	exit(1);
}

/* --- the devices --- */

static void put(int out, uint8_t byte)
{
	while (write(out, &byte, 1) < 0 && errno == EINTR)
		;
}

static uint8_t serial_read(unsigned int at)
{
	uint8_t modem = state->mcr;

	switch (at) {
	case DATA:
		if (state->lcr & LCR_DLAB)
			return state->divisor[0];
		if (state->input_got == state->input_put)
			return 0;
		return state->input[state->input_got++ % sizeof(state->input)];
	case IER:
		return state->lcr & LCR_DLAB ? state->divisor[1] : state->ier;
	case IIR:
		return 0x01 | (state->fcr & FCR_ENABLE ? 0xc0 : 0);
	case LCR:
		return state->lcr;
	case MCR:
		return state->mcr;
	case LSR:
		return LSR_IDLE | (state->input_got == state->input_put ? 0 : LSR_DR);
	case MSR:
		/* In the loop, the outputs are the inputs; otherwise there is somebody, and ready. */
		if (modem & MCR_LOOP)
			return (modem & 2) << 3 | (modem & 1) << 5 | (modem & 12) << 4;
		return 0xb0;
	default:
		return state->scr;
	}
}

static void serial_write(unsigned int at, uint8_t value)
{
	switch (at) {
	case DATA:
		if (state->lcr & LCR_DLAB)
			state->divisor[0] = value;
		else if (state->mcr & MCR_LOOP)
			state->input[state->input_put++ % sizeof(state->input)] = value;
		else
			put(serial_out, value);
		break;
	case IER:
		if (state->lcr & LCR_DLAB)
			state->divisor[1] = value;
		else
			state->ier = value & 0x0f;
		break;
	case IIR:
		state->fcr = value;
		break;
	case LCR:
		state->lcr = value;
		break;
	case MCR:
		state->mcr = value & 0x1f;
		break;
	case SCR:
		state->scr = value;
		break;
	default:
		break;
	}
}

/* One access to a port or to memory, of up to eight bytes. */
static uint64_t access_device(unsigned int type, bool write, uint64_t addr, unsigned int size,
			      uint64_t data)
{
	uint64_t value = 0;
	unsigned int i;

	if (type == IOREQ_TYPE_COPY) {
		uint64_t at = addr - SCRATCH;

		if (at >= sizeof(state->scratch) || size > 8 || at + size > sizeof(state->scratch))
			return ~0ULL;
		if (write)
			memcpy(state->scratch + at, &data, size);
		else
			memcpy(&value, state->scratch + at, size);
		return value;
	}
	if (type != IOREQ_TYPE_PIO)
		return ~0ULL;
	for (i = 0; i < size && i < 8; i++) {
		uint64_t port = addr + i;
		uint8_t byte = data >> i * 8, read = 0xff;

		if (port - SERIAL < 8) {
			if (write)
				serial_write(port - SERIAL, byte);
			else
				read = serial_read(port - SERIAL);
		} else if (port == DEBUG) {
			if (write)
				put(debug_out, byte);
			else
				read = DEBUG;
		} else if (has_sink && port >= sink_first && port <= sink_last) {
			read = port;
		}
		value |= (uint64_t)read << i * 8;
	}
	return value;
}

/* --- the requests --- */

/* Takes the writes for which nobody waits. */
static void drain(void)
{
	volatile uint64_t *pointers = (volatile uint64_t *)buffer;

	for (;;) {
		/* Both at once: the hypervisor sets them back together. */
		uint64_t now = *pointers;
		uint32_t at = now, end = now >> 32;
		unsigned int used = 1;
		buf_ioreq_t *one, first;
		uint64_t data;

		if (at == end)
			return;
		__sync_synchronize();
		one = &buffer->buf_ioreq[at % IOREQ_BUFFER_SLOT_NUM];
		first = *one;
		data = first.data;
		if (first.size == 3) {
			one = &buffer->buf_ioreq[(at + 1) % IOREQ_BUFFER_SLOT_NUM];
			data |= (uint64_t)one->data << 32;
			used = 2;
		}
		access_device(first.type, true, first.addr, 1U << first.size, data);
		state->buffered++;
		__sync_synchronize();
		__sync_fetch_and_add(&buffer->read_pointer, used);
	}
}

/* Serves one vCPU, if it waits. The state moves forward only, and is the last word that is written. */
static void serve(unsigned int vcpu)
{
	volatile ioreq_t *slot = &requests->vcpu_ioreq[vcpu];
	ioreq_t request;

	if (slot->state != STATE_IOREQ_READY)
		return;
	__sync_synchronize();
	/* What was written before comes before. */
	drain();
	request = *(ioreq_t *)slot;
	slot->state = STATE_IOREQ_INPROCESS;
	if (request.type != IOREQ_TYPE_INVALIDATE && request.type != IOREQ_TYPE_TIMEOFFSET)
		slot->data = access_device(request.type, request.dir == IOREQ_WRITE, request.addr,
					   request.size, request.data);
	state->served++;
	__sync_synchronize();
	slot->state = STATE_IORESP_READY;
	xenevtchn_notify(ports, port_of[vcpu]);
}

static void take_input(void)
{
	uint8_t byte;

	if (state->input_put - state->input_got < sizeof(state->input) &&
	    read(STDIN_FILENO, &byte, 1) == 1)
		state->input[state->input_put++ % sizeof(state->input)] = byte;
}

static void loop(bool input)
{
	struct pollfd wait[2] = {
		{ .fd = xenevtchn_fd(ports), .events = POLLIN },
		{ .fd = input ? STDIN_FILENO : -1, .events = POLLIN },
	};

	while (!ended) {
		xenevtchn_port_or_error_t port;
		unsigned int i;

		/* Without input there is one thing to wait for. */
		if (input) {
			if (poll(wait, 2, -1) < 0)
				continue;
			if (wait[1].revents)
				take_input();
			if (!(wait[0].revents & POLLIN))
				continue;
		}
		port = xenevtchn_pending(ports);
		if (port < 0)
			continue;
		xenevtchn_unmask(ports, port);
		drain();
		for (i = 0; i < vcpus; i++)
			serve(i);
	}
}

/* --- to begin with --- */

/* Has writes to ports buffered, which the library has no name for. */
static void map_buffered(uint64_t first, uint64_t last)
{
	struct xen_dm_op op = { .op = XEN_DMOP_map_io_range_to_ioreq_server };
	privcmd_dm_op_buf_t buf = { &op, sizeof(op) };
	privcmd_dm_op_t ask = { .dom = domain, .num = 1, .ubufs = &buf };
	int fd = open("/dev/xen/privcmd", O_RDWR | O_CLOEXEC);

	op.u.map_io_range_to_ioreq_server.id = server;
	op.u.map_io_range_to_ioreq_server.type =
		XEN_DMOP_IO_RANGE_PORT | OXEN_DMOP_IO_RANGE_BUFFERED;
	op.u.map_io_range_to_ioreq_server.start = first;
	op.u.map_io_range_to_ioreq_server.end = last;
	if (fd < 0 || ioctl(fd, IOCTL_PRIVCMD_DM_OP, &ask) < 0)
		fail("cannot have ports buffered");
	close(fd);
}

static void map_range(int is_memory, uint64_t first, uint64_t last)
{
	if (xendevicemodel_map_io_range_to_ioreq_server(dm, domain, server, is_memory, first,
							last) < 0)
		fail("cannot have a range");
}

static void start(void)
{
	evtchn_port_t buffer_port;
	void *at = NULL;
	unsigned int i;

	dm = xendevicemodel_open(NULL, 0);
	memory = xenforeignmemory_open(NULL, 0);
	ports = xenevtchn_open(NULL, 0);
	if (!dm || !memory || !ports)
		fail("cannot open the devices");
	/* Nobody else's guest is any business of ours from here on. */
	if (xendevicemodel_restrict(dm, domain) < 0 ||
	    xenforeignmemory_restrict(memory, domain) < 0 ||
	    xenevtchn_restrict(ports, domain) < 0)
		fail("cannot give up power over other domains");
	if (xendevicemodel_nr_vcpus(dm, domain, &vcpus) < 0)
		fail("cannot ask for the domain's vCPUs");
	if (vcpus > MAX_VCPUS)
		vcpus = MAX_VCPUS;
	if (xendevicemodel_create_ioreq_server(dm, domain, HVM_IOREQSRV_BUFIOREQ_ATOMIC,
					       &server) < 0)
		fail("cannot make a server");
	if (!xenforeignmemory_map_resource(memory, domain, XENMEM_resource_ioreq_server, server, 0,
					   2, &at,
					   PROT_READ | PROT_WRITE, 0))
		fail("cannot map its pages");
	buffer = at;
	requests = at + PAGE;
	if (xendevicemodel_get_ioreq_server_info(dm, domain, server, NULL, NULL,
						 &buffer_port) < 0 ||
	    xendevicemodel_set_ioreq_server_state(dm, domain, server, 1) < 0)
		fail("cannot switch it on");
	for (i = 0; i < vcpus; i++) {
		xenevtchn_port_or_error_t port =
			xenevtchn_bind_interdomain(ports, domain, requests->vcpu_ioreq[i].vp_eport);

		if (port < 0)
			fail("cannot bind a vCPU's port");
		port_of[i] = port;
	}
	if (xenevtchn_bind_interdomain(ports, domain, buffer_port) < 0)
		fail("cannot bind the buffer's port");
}

static int open_output(const char *path)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);

	if (fd < 0)
		fail(path);
	return fd;
}

static void open_state(const char *path)
{
	int fd = -1;

	if (path) {
		fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
		if (fd < 0 || ftruncate(fd, sizeof(*state)) < 0)
			fail(path);
	}
	state = mmap(NULL, sizeof(*state), PROT_READ | PROT_WRITE,
		     MAP_SHARED | (path ? 0 : MAP_ANONYMOUS), fd, 0);
	if (state == MAP_FAILED)
		fail("cannot keep the devices' state");
}

static void usage(FILE *to)
{
	fputs("usage: devmodel [OPTION]... DOMAIN\n"
	      "\n"
	      "Serves a serial port (0x3f8), the debug port (0xe9) and a page of memory (0xfeb00000) to a domain,\n"
	      "which is given by its number.\n"
	      "\n"
	      "  --serial FILE   adds what the guest sends to the serial port to FILE (standard output)\n"
	      "  --debug FILE    adds what it writes to the debug port to FILE (standard error)\n"
	      "  --state FILE    keeps the devices' state in FILE, to go on with when it is killed\n"
	      "  --input         has the guest read standard input from the serial port\n"
	      "  --sink PORT     takes what is written to PORT and the seven after it, and waits with each write\n"
	      "  --buffered PORT the same for eight more, for whose writes the guest does not wait\n",
	      to);
}

int main(int argc, char **argv)
{
	enum { OPT_SERIAL = 256, OPT_DEBUG, OPT_STATE, OPT_INPUT, OPT_SINK, OPT_BUFFERED,
	      OPT_HELP };
	static const struct option options[] = {
		{ "serial", required_argument, NULL, OPT_SERIAL },
		{ "debug", required_argument, NULL, OPT_DEBUG },
		{ "state", required_argument, NULL, OPT_STATE },
		{ "input", no_argument, NULL, OPT_INPUT },
		{ "sink", required_argument, NULL, OPT_SINK },	   { "buffered", required_argument,
								    NULL, OPT_BUFFERED },
		{ "help", no_argument, NULL, OPT_HELP },	   { 0 },
	};
	const struct sigaction action = { .sa_handler = on_signal };
	const char *kept = NULL;
	long sink = -1, buffered = -1;
	bool input = false;
	char *end;
	int option;

	while ((option = getopt_long(argc, argv, "", options, NULL)) >= 0) {
		switch (option) {
		case OPT_SERIAL:
			serial_out = open_output(optarg);
			break;
		case OPT_DEBUG:
			debug_out = open_output(optarg);
			break;
		case OPT_STATE:
			kept = optarg;
			break;
		case OPT_INPUT:
			input = true;
			break;
		case OPT_SINK:
			sink = strtol(optarg, NULL, 0);
			break;
		case OPT_BUFFERED:
			buffered = strtol(optarg, NULL, 0);
			break;
		case OPT_HELP:
			usage(stdout);
			return 0;
		default:
			usage(stderr);
			return 2;
		}
	}
	if (optind + 1 != argc) {
		usage(stderr);
		return 2;
	}
	domain = strtoul(argv[optind], &end, 0);
	if (*end || !domain) {
		fprintf(stderr, "devmodel: '%s' is no number of a domain\n", argv[optind]);
		return 2;
	}
	sigaction(SIGINT, &action, NULL);
	sigaction(SIGTERM, &action, NULL);
	open_state(kept);
	start();
	if (sink >= 0) {
		has_sink = true;
		sink_first = sink;
		sink_last = sink + 7;
		map_range(0, sink_first, sink_last);
	}
	if (buffered >= 0)
		map_buffered(buffered, buffered + 7);
	map_range(0, SERIAL, SERIAL + 7);
	map_range(0, DEBUG, DEBUG);
	map_range(1, SCRATCH, SCRATCH + PAGE - 1);
	fprintf(stderr, "devmodel: serves domain %u\n", domain);
	loop(input);
	fprintf(stderr, "devmodel: served %llu requests, %llu writes without an answer\n",
		(unsigned long long)state->served,
		(unsigned long long)state->buffered);
	/* In order: nobody is to go on for us. */
	xendevicemodel_destroy_ioreq_server(dm, domain, server);
	return 0;
}
