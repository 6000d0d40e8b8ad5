/* SPDX-License-Identifier: GPL-2.0-only */
/* /dev/xen/evtchn. Calls return a negative error number, or the result. */
#ifndef SELFTESTS_EVTCHN_H
#define SELFTESTS_EVTCHN_H

#include <poll.h>

#include "xen.h"

__attribute__((unused)) static long bind_virq(int fd, uint32_t virq)
{
	struct ioctl_evtchn_bind_virq ask = { .virq = virq };

	return xen_ioctl(fd, IOCTL_EVTCHN_BIND_VIRQ, &ask);
}

__attribute__((unused)) static long bind_interdomain(int fd, unsigned int domain, unsigned int port)
{
	struct ioctl_evtchn_bind_interdomain ask = { .remote_domain = domain, .remote_port = port };

	return xen_ioctl(fd, IOCTL_EVTCHN_BIND_INTERDOMAIN, &ask);
}

__attribute__((unused)) static long bind_unbound(int fd, unsigned int domain)
{
	struct ioctl_evtchn_bind_unbound_port ask = { .remote_domain = domain };

	return xen_ioctl(fd, IOCTL_EVTCHN_BIND_UNBOUND_PORT, &ask);
}

__attribute__((unused)) static long unbind(int fd, unsigned int port)
{
	struct ioctl_evtchn_unbind ask = { .port = port };

	return xen_ioctl(fd, IOCTL_EVTCHN_UNBIND, &ask);
}

__attribute__((unused)) static long notify(int fd, unsigned int port)
{
	struct ioctl_evtchn_notify ask = { .port = port };

	return xen_ioctl(fd, IOCTL_EVTCHN_NOTIFY, &ask);
}

/* Reads one port within some time; 0 if none comes, or a negative error number. */
__attribute__((unused)) static long next_port(int fd, int ms)
{
	struct pollfd wait = { .fd = fd, .events = POLLIN };
	uint32_t port = 0;

	if (poll(&wait, 1, ms) != 1)
		return 0;
	return read(fd, &port, sizeof(port)) == sizeof(port) ? (long)port : -errno;
}

/* Lets a port that was read be notified again. */
__attribute__((unused)) static long unmask(int fd, uint32_t port)
{
	ssize_t rc = write(fd, &port, sizeof(port));

	return rc < 0 ? -errno : rc;
}

/* Returns the state of one of the control domain's ports (EVTCHNSTAT_*). */
__attribute__((unused)) static long port_status(int privcmd, unsigned int port)
{
	struct evtchn_status status = { .dom = DOMID_SELF, .port = port };
	long rc = xen_call2(privcmd, __HYPERVISOR_event_channel_op, EVTCHNOP_status, &status);

	return rc < 0 ? rc : (long)status.status;
}

#endif
