// SPDX-License-Identifier: GPL-2.0-only
/*
 * Proves that /dev/xen/evtchn binds, notifies, gives and takes back ports, that a descriptor reaches only
 * its own, and that nothing is left of one that is closed.
 */

#include <pthread.h>
#include <signal.h>
#include <sys/syscall.h>

#include "domain.h"
#include "evtchn.h"

#define KERNEL_ADDRESS ((void *)0xffffffff81000000UL)

static int privcmd;

static void test_ioctl(int fd)
{
	static const unsigned long requests[] = {
		IOCTL_EVTCHN_BIND_VIRQ, IOCTL_EVTCHN_BIND_INTERDOMAIN,
		IOCTL_EVTCHN_BIND_UNBOUND_PORT,
		IOCTL_EVTCHN_UNBIND, IOCTL_EVTCHN_NOTIFY, IOCTL_EVTCHN_RESTRICT_DOMID,
	};
	unsigned int i, bad = 0;

	for (i = 0; i < sizeof(requests) / sizeof(requests[0]); i++) {
		bad += xen_ioctl(fd, requests[i], NULL) != -EFAULT;
		bad += xen_ioctl(fd, requests[i], KERNEL_ADDRESS) != -EFAULT;
		bad += xen_ioctl(fd, requests[i], (void *)~7UL) != -EFAULT;
	}
	tap_equal(bad, 0, "bad addresses fault");
	tap_equal(xen_ioctl(fd, 0, NULL), -ENOTTY, "request 0 is ENOTTY");
	tap_equal(xen_ioctl(fd, _IOC(_IOC_NONE, 'E', 99, 4), NULL), -ENOTTY,
		  "an unknown request is, too");
	tap_equal(xen_ioctl(fd, IOCTL_PRIVCMD_HYPERCALL, NULL), -ENOTTY, "and another device's");
	tap(mmap(NULL, PAGE_SIZE, PROT_READ, MAP_SHARED, fd, 0) == MAP_FAILED && errno == ENODEV,
	    "there is nothing to be mapped");
	tap_equal(bind_virq(fd, 24), -EINVAL, "no virtual interrupt 24");
	tap_equal(bind_virq(fd, ~0U), -EINVAL, "nor a last one");
	tap_equal(bind_interdomain(fd, NO_DOMAIN, 1), -ESRCH, "no port of no domain");
	tap_equal(bind_interdomain(fd, 0, 0x7fffffff), -EINVAL, "no port beyond the last");
	tap_equal(bind_interdomain(fd, 0x10000, 1), -EINVAL, "no domain 65536");
	tap_equal(notify(fd, 1), -ENOTCONN, "a port of others is not notified");
	tap_equal(notify(fd, ~0U), -ENOTCONN, "nor the last");
	tap(unbind(fd, 1) == -ENOTCONN, "nor unbound");
}

static void test_loop(void)
{
	int one = xen_open("evtchn"), two = xen_open("evtchn");
	long first = bind_unbound(one, 0), second = bind_interdomain(two, 0, first);
	struct pollfd wait = { .fd = two, .events = POLLIN | POLLOUT };
	uint32_t ports[8], i;

	tap(first > 0, "a port is made");
	tap(second > 0 && second != first, "and bound by another descriptor");
	tap_equal(port_status(privcmd, first), EVTCHNSTAT_interdomain, "Xen says so");
	/* What the binding itself may have signalled. */
	while (next_port(one, 100) == first)
		unmask(one, first);
	while (next_port(two, 100) == second)
		unmask(two, second);

	fcntl(two, F_SETFL, O_NONBLOCK);
	tap_equal(read(two, ports, sizeof(ports)) < 0 ? errno : 0, EAGAIN,
		  "nothing is there to read");
	poll(&wait, 1, 0);
	tap_equal(wait.revents, POLLOUT, "and poll says so");
	tap_equal(notify(one, first), 0, "a notification goes");
	poll(&wait, 1, 1000);
	tap_equal(wait.revents, POLLIN | POLLOUT, "poll sees it");
	tap_equal(read(two, ports, 3), -1, "less than a port cannot be read");
	tap_equal(errno, EINVAL, "which is EINVAL");
	tap_equal(read(two, KERNEL_ADDRESS, 4), -1, "not into the kernel");
	tap_equal(errno, EFAULT, "which is EFAULT");
	tap_equal(syscall(SYS_read, two, NULL, 4), -1, "nor to 0");
	tap_equal(read(two, ports, sizeof(ports)), 4, "it is read, and was not lost by that");
	tap_equal(ports[0], second, "it is the other end");
	tap_equal(next_port(one, 50), 0, "this end has none");
	notify(one, first);
	tap_equal(next_port(two, 100), 0, "another waits until the first is written back");
	tap_equal(unmask(two, second), 4, "it is");
	tap_equal(next_port(two, 1000), second, "then it comes");
	unmask(two, second);
	for (i = 0; i < 100; i++)
		notify(one, first);
	tap_equal(next_port(two, 1000), second, "many are one");
	tap_equal(next_port(two, 50), 0, "and no more");
	unmask(two, second);
	/* Odd writes. */
	tap(unmask(two, first) >= 0 && unmask(two, 0) >= 0 && unmask(two, ~0U) >= 0,
	    "writing others' ports harms nobody");
	tap(write(two, KERNEL_ADDRESS, 4) < 0 && errno == EFAULT,
	    "nothing is written from the kernel");
	tap(write(two, ports, 0) == 0, "nothing written is nothing");
	tap(write(two, ports, 2) <= 0, "nor half a port");

	tap_equal(notify(two, first), -ENOTCONN, "a descriptor does not notify another's port");
	tap_equal(unbind(two, first), -ENOTCONN, "nor unbind it");
	tap_equal(unbind(two, second), 0, "its own it can");
	tap_equal(unbind(two, second), -ENOTCONN, "once");
	tap_equal(port_status(privcmd, second), EVTCHNSTAT_closed, "it is closed");
	tap_equal(port_status(privcmd, first), EVTCHNSTAT_unbound, "the other end is free");
	tap_equal(notify(one, first), 0, "notifying nobody is no error");
	close(two);
	close(one);
	tap_equal(port_status(privcmd, first), EVTCHNSTAT_closed,
		  "closing a descriptor closes its ports");
}

/* Many ports on one descriptor. */
static void test_many(void)
{
	int one = xen_open("evtchn"), two = xen_open("evtchn");
	static long first[1000], second[1000];
	unsigned int count, i, got = 0, bad = 0;
	static uint32_t ports[1000];
	ssize_t size;

	for (count = 0; count < 1000; count++) {
		first[count] = bind_unbound(one, 0);
		if (first[count] < 0)
			break;
		second[count] = bind_interdomain(two, 0, first[count]);
		if (second[count] < 0)
			break;
	}
	tap_equal(count, 1000, "a descriptor has a thousand ports");
	while ((i = next_port(two, 200)))
		unmask(two, i);
	for (i = 0; i < count; i++)
		notify(one, first[i]);
	fcntl(two, F_SETFL, O_NONBLOCK);
	while (got < count && (size = read(two, ports, sizeof(ports))) > 0) {
		for (i = 0; i < size / 4; i++) {
			unsigned int j;

			for (j = 0; j < count && second[j] != ports[i]; j++)
				;
			bad += j == count;
		}
		got += size / 4;
	}
	tap_equal(got, count, "all can be notified");
	tap_equal(bad, 0, "each is one of them");
	tap_equal(xen_ioctl(two, IOCTL_EVTCHN_RESET, NULL), 0, "the list is reset");
	close(one);
	close(two);
	for (i = bad = 0; i < count; i++)
		bad += port_status(privcmd, first[i]) != EVTCHNSTAT_closed ||
		       port_status(privcmd, second[i]) != EVTCHNSTAT_closed;
	tap_equal(bad, 0, "closing closes them all");
	tap_equal(port_status(privcmd, 0x20000), -EINVAL,
		  "a port beyond all is EINVAL (lsevtchn counts on it)");
}

static int reader_fd;

static void *reader(void *result)
{
	uint32_t port;

	*(long *)result = read(reader_fd, &port, sizeof(port)) == sizeof(port) ? (long)port : -errno;
	return NULL;
}

static void on_signal(int signal)
{
	(void)signal;
}

static void test_blocking(void)
{
	int one = xen_open("evtchn");
	long first, second, result = 0;
	struct sigaction action = { .sa_handler = on_signal };
	pthread_t thread;

	reader_fd = xen_open("evtchn");
	first = bind_unbound(one, 0);
	second = bind_interdomain(reader_fd, 0, first);
	while (next_port(reader_fd, 100) == second)
		unmask(reader_fd, second);
	pthread_create(&thread, NULL, reader, &result);
	usleep(100000);
	tap_equal(result, 0, "a read waits");
	notify(one, first);
	pthread_join(thread, NULL);
	tap_equal(result, second, "until an event comes");
	unmask(reader_fd, second);
	sigaction(SIGUSR1, &action, NULL);
	result = 0;
	pthread_create(&thread, NULL, reader, &result);
	usleep(100000);
	pthread_kill(thread, SIGUSR1);
	pthread_join(thread, NULL);
	tap_equal(result, -EINTR, "or a signal");
	close(one);
	close(reader_fd);
}

/* Whoever takes a port's next event without reading the last loses some, and is told. */
static void test_overflow(void)
{
	int one = xen_open("evtchn"), two = xen_open("evtchn");
	long first = bind_unbound(one, 0), second = bind_interdomain(two, 0, first);
	struct pollfd wait = { .fd = two, .events = POLLIN | POLLOUT };
	uint32_t port;
	unsigned int i;

	for (i = 0; i < 1000; i++) {
		notify(one, first);
		unmask(two, second);
	}
	poll(&wait, 1, 0);
	tap_equal(wait.revents, POLLERR, "a thousand events that nobody read are too many");
	tap_equal(read(two, &port, sizeof(port)) < 0 ? errno : 0, EFBIG, "which is EFBIG");
	tap_equal(xen_ioctl(two, IOCTL_EVTCHN_RESET, NULL), 0, "the list is reset");
	poll(&wait, 1, 0);
	tap_equal(wait.revents, POLLOUT, "it is empty");
	notify(one, first);
	unmask(two, second);
	notify(one, first);
	tap_equal(next_port(two, 10000), second, "and takes events again");
	close(one);
	close(two);
}

/* Every port that there is. */
static void test_exhaustion(void)
{
	int one = xen_open("evtchn"), two = xen_open("evtchn");
	long port, last = 0;
	unsigned int count;

	for (count = 0; (port = bind_unbound(one, NO_DOMAIN)) > 0 && count < 200000; count++)
		last = port;
	tap_equal(port, -ENOSPC, "after %u ports there are no more", count);
	tap_equal(bind_unbound(two, 0), -ENOSPC, "for others neither");
	tap_equal(bind_interdomain(two, 0, last), -ENOSPC, "of no kind");
	tap_equal(bind_virq(two, VIRQ_DOM_EXC), -ENOSPC, "at all");
	tap_equal(unbind(one, last), 0, "one is given back");
	tap_equal(bind_unbound(two, 0), last, "and taken");
	close(one);
	tap((port = bind_virq(two, VIRQ_DOM_EXC)) > 0,
	    "when the descriptor is closed there are enough");
	close(two);
}

/* All that one can do with descriptors, by several threads at once, while the descriptors come and go. */
static int shared[2];
static volatile long shared_port[2];
static volatile bool stop;

static void *binder(void *unused)
{
	unsigned int i;

	for (i = 0; !stop; i++) {
		long first = bind_unbound(shared[0], 0), second;

		second = bind_interdomain(shared[1], 0, first);
		shared_port[0] = first;
		shared_port[1] = second;
		if (i & 1)
			unbind(shared[1], second);
		unbind(shared[0], first);
		unbind(shared[1], second);
	}
	return unused;
}

static void *notifier(void *unused)
{
	while (!stop) {
		notify(shared[0], shared_port[0]);
		notify(shared[1], shared_port[1]);
		unmask(shared[1], shared_port[1]);
		port_status(privcmd, shared_port[0]);
		xen_ioctl(shared[0], IOCTL_EVTCHN_RESET, NULL);
	}
	return unused;
}

static void *drainer(void *unused)
{
	uint32_t ports[64];

	while (!stop) {
		ssize_t size = read(shared[1], ports, sizeof(ports));

		if (size > 0 && write(shared[1], ports, size) != size)
			break;
		if (size < 0 && errno == EFBIG)
			xen_ioctl(shared[1], IOCTL_EVTCHN_RESET, NULL);
	}
	return unused;
}

static void *closer(void *unused)
{
	while (!stop) {
		int fd = open("/dev/xen/evtchn", O_RDWR | O_CLOEXEC);
		long port = bind_unbound(fd, 0);

		/* To one that is about to be closed, and from one that is about to be. */
		bind_interdomain(shared[1], 0, port);
		bind_interdomain(fd, 0, shared_port[0]);
		close(fd);
	}
	return unused;
}

/* Ports of the control domain that are not closed. */
static unsigned int open_ports(void)
{
	unsigned int port, count = 0;

	for (port = 1; port < 4096; port++)
		count += port_status(privcmd, port) != EVTCHNSTAT_closed;
	return count;
}

static void test_threads(void)
{
	static void *(*const jobs[])(void *) = {
		binder, binder, notifier, drainer, closer, closer,
	};
	pthread_t threads[sizeof(jobs) / sizeof(jobs[0])];
	unsigned int i, before = open_ports();

	shared[0] = xen_open("evtchn");
	shared[1] = xen_open("evtchn");
	fcntl(shared[1], F_SETFL, O_NONBLOCK);
	for (i = 0; i < sizeof(jobs) / sizeof(jobs[0]); i++)
		pthread_create(&threads[i], NULL, jobs[i], NULL);
	sleep(3);
	stop = true;
	for (i = 0; i < sizeof(jobs) / sizeof(jobs[0]); i++)
		pthread_join(threads[i], NULL);
	close(shared[0]);
	close(shared[1]);
	tap_equal(open_ports(), before, "six threads use two descriptors, and no port is left");
}

/* Where the ports are that are read and written. */
static void test_places(void)
{
	int one = xen_open("evtchn"), two = xen_open("evtchn");
	long first[2] = { bind_unbound(one, 0), bind_unbound(one, 0) };
	long second[2] = { bind_interdomain(two, 0, first[0]), bind_interdomain(two, 0, first[1]) };
	uint8_t *memory = mmap(NULL, 2 * PAGE_SIZE, PROT_READ | PROT_WRITE,
			       MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	uint32_t ports[2], *end = (uint32_t *)(memory + PAGE_SIZE) - 1;
	struct ioctl_evtchn_notify ask = { .port = first[0] };

	mprotect(memory + PAGE_SIZE, PAGE_SIZE, PROT_NONE);
	while ((ports[0] = next_port(two, 100)))
		unmask(two, ports[0]);
	tap_equal(xen_ioctl(one, IOCTL_EVTCHN_NOTIFY, memcpy(memory + 1, &ask, sizeof(ask))), 0,
		  "an argument can be at any address");
	tap_equal(xen_ioctl(one, IOCTL_EVTCHN_NOTIFY, memory + PAGE_SIZE - 3), -EFAULT,
		  "not half of it");
	notify(one, first[1]);
	/* There is room for one of the two. */
	tap_equal(read(two, end, 8), 4, "what can be read is read");
	tap_equal(*end, second[0], "in the order in which it came");
	tap_equal(next_port(two, 10000), second[1], "the rest is not lost");
	ports[0] = second[0];
	memcpy(memory + 3, ports, 4);
	tap_equal(write(two, memory + 3, 4), 4, "a port is written from any address");
	*end = second[1];
	tap_equal(write(two, end, 8) < 0 ? errno : 0, EFAULT,
		  "one of two that cannot be read is EFAULT");
	notify(one, first[0]);
	tap_equal(next_port(two, 10000), second[0], "events come again");
	munmap(memory, 2 * PAGE_SIZE);
	close(one);
	tap_equal(notify(one, first[0]), -EBADF, "a closed descriptor does nothing");
	close(two);
}

/* What the control domain's tools live by: an interrupt when a domain ends, and a domain's own ports. */
static void test_domain(void)
{
	int fd = xen_open("evtchn"), other = xen_open("evtchn");
	long virq = bind_virq(fd, VIRQ_DOM_EXC), domain, port;
	struct evtchn_alloc_unbound unbound = { .remote_dom = 0 };

	tap(virq > 0, "DOM_EXC is bound");
	tap_equal(port_status(privcmd, virq), EVTCHNSTAT_virq, "Xen says so");
	tap_equal(bind_virq(other, VIRQ_DOM_EXC), -EEXIST, "not twice");
	domain = DOMAIN_MAKE(privcmd, 1, code_shutdown, SHUTDOWN_poweroff);
	if (!tap(domain > 0, "a domain is made"))
		return;
	unbound.dom = domain;
	tap_equal(xen_call2(privcmd, __HYPERVISOR_event_channel_op, EVTCHNOP_alloc_unbound,
			    &unbound),
		  0, "it is given a port");
	port = bind_interdomain(fd, domain, unbound.port);
	tap(port > 0, "which is bound");
	tap_equal(bind_interdomain(other, domain, unbound.port), -EINVAL, "not twice");
	tap_equal(notify(fd, port), 0, "it is notified");
	while (next_port(fd, 50) == port)
		;
	domain_unpause(privcmd, domain);
	tap_equal(next_port(fd, 10000), virq, "DOM_EXC comes when the domain ends");
	unmask(fd, virq);
	domain_destroy(privcmd, domain);
	tap_equal(next_port(fd, 10000), virq, "and when it is gone");
	tap_equal(port_status(privcmd, port), EVTCHNSTAT_unbound, "its port is free");
	notify(fd, port);
	close(fd);
	tap((virq = bind_virq(other, VIRQ_DOM_EXC)) > 0,
	    "another may have DOM_EXC when the first is closed");
	close(other);
}

int main(void)
{
	int fd = xen_open("evtchn");

	privcmd = xen_open("privcmd");
	tap_plan(0);
	test_ioctl(fd);
	close(fd);
	test_loop();
	test_many();
	test_blocking();
	test_places();
	test_overflow();
	test_exhaustion();
	test_threads();
	test_domain();
	return tap_end();
}
