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
		IOCTL_EVTCHN_BIND_VIRQ, IOCTL_EVTCHN_BIND_INTERDOMAIN, IOCTL_EVTCHN_BIND_UNBOUND_PORT,
		IOCTL_EVTCHN_UNBIND, IOCTL_EVTCHN_NOTIFY, IOCTL_EVTCHN_RESTRICT_DOMID,
	};
	unsigned int i, bad = 0;

	for (i = 0; i < sizeof(requests) / sizeof(requests[0]); i++) {
		bad += xen_ioctl(fd, requests[i], NULL) != -EFAULT;
		bad += xen_ioctl(fd, requests[i], KERNEL_ADDRESS) != -EFAULT;
		bad += xen_ioctl(fd, requests[i], (void *)~7UL) != -EFAULT;
	}
	tap_equal(bad, 0, "bad addresses fault");
	tap(xen_ioctl(fd, 0, NULL) < 0 && xen_ioctl(fd, _IOC(_IOC_NONE, 'E', 99, 4), NULL) < 0,
	    "unknown requests are refused");
	tap_equal(bind_virq(fd, 24), -EINVAL, "no virtual interrupt 24");
	tap_equal(bind_virq(fd, ~0U), -EINVAL, "nor a last one");
	tap_equal(bind_interdomain(fd, NO_DOMAIN, 1), -ESRCH, "no port of no domain");
	tap_equal(bind_interdomain(fd, 0, 0x7fffffff), -EINVAL, "no port beyond the last");
	tap(bind_interdomain(fd, 0x10000, 1) < 0, "no domain 65536");
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
	tap_equal(read(two, ports, sizeof(ports)) < 0 ? errno : 0, EAGAIN, "nothing is there to read");
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
	tap(write(two, KERNEL_ADDRESS, 4) < 0 && errno == EFAULT, "nothing is written from the kernel");
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
	tap_equal(port_status(privcmd, first), EVTCHNSTAT_closed, "closing a descriptor closes its ports");
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
	tap_equal(port_status(privcmd, 0x20000), -EINVAL, "a port beyond all is EINVAL (lsevtchn counts on it)");
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
	tap_equal(xen_call2(privcmd, __HYPERVISOR_event_channel_op, EVTCHNOP_alloc_unbound, &unbound), 0,
		  "it is given a port");
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
	tap((virq = bind_virq(other, VIRQ_DOM_EXC)) > 0, "another may have DOM_EXC when the first is closed");
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
	test_domain();
	return tap_end();
}
