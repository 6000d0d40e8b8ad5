// SPDX-License-Identifier: GPL-2.0-only
/* Proves that a descriptor that was restricted to a domain binds ports of that one only. */

#include "domain.h"
#include "evtchn.h"

static long restrict_to(int fd, domid_t domain)
{
	struct ioctl_evtchn_restrict_domid ask = { .domid = domain };

	return xen_ioctl(fd, IOCTL_EVTCHN_RESTRICT_DOMID, &ask);
}

int main(void)
{
	int privcmd = xen_open("privcmd"), fd = xen_open("evtchn");
	struct evtchn_alloc_unbound mine_is = { 0 }, other_is = { 0 };
	long mine, other, before, port;

	tap_plan(14);
	mine = DOMAIN_MAKE(privcmd, 1, code_idle, 0);
	other = DOMAIN_MAKE(privcmd, 1, code_idle, 0);
	if (!tap(mine > 0 && other > 0, "two domains are made"))
		tap_bail("they are %ld and %ld", mine, other);
	mine_is.dom = mine;
	other_is.dom = other;
	xen_call2(privcmd, __HYPERVISOR_event_channel_op, EVTCHNOP_alloc_unbound, &mine_is);
	xen_call2(privcmd, __HYPERVISOR_event_channel_op, EVTCHNOP_alloc_unbound, &other_is);
	before = bind_unbound(fd, other);
	tap(before > 0, "a port is bound before");
	tap_equal(restrict_to(fd, mine), 0, "the descriptor is restricted");
	tap_equal(restrict_to(fd, other), -EACCES, "not to another");
	tap(restrict_to(fd, mine) == -EACCES, "nor again");
	port = bind_interdomain(fd, mine, mine_is.port);
	tap(port > 0, "its own domain's port is bound");
	tap_equal(bind_interdomain(fd, other, other_is.port), -EACCES, "not another's");
	tap_equal(bind_interdomain(fd, 0, 1), -EACCES, "nor domain 0's");
	tap_equal(bind_unbound(fd, other), -EACCES, "nor one for another");
	tap_equal(bind_virq(fd, VIRQ_DOM_EXC), -EACCES, "nor a virtual interrupt");
	tap_equal(notify(fd, port), 0, "its ports are notified");
	tap_equal(unbind(fd, before), 0, "what it had before it can unbind");
	tap_equal(domain_destroy(privcmd, mine), 0, "the domain is destroyed");
	tap_equal(bind_interdomain(fd, mine, mine_is.port), -ESRCH, "nothing of it can be bound");
	domain_destroy(privcmd, other);
	return tap_end();
}
