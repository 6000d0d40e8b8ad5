// SPDX-License-Identifier: GPL-2.0-only
/*
 * Operations on a domain that no other tool here has.
 *
 *   domain-op soft-reset DOMID    XEN_DOMCTL_soft_reset
 *   domain-op resume DOMID        XEN_DOMCTL_resumedomain
 *   domain-op refuses-soft-reset  succeeds if domains that have not shut down are not reset
 */

#include <stdlib.h>

#include "domain.h"

static int check(long rc, long should, const char *what)
{
	if (rc == should)
		return 0;
	fprintf(stderr, "%s is %ld, should be %ld\n", what, rc, should);
	return 1;
}

static int refuses(int fd)
{
	long domain = DOMAIN_MAKE(fd, 1, code_spin, 0);
	int bad = domain < 0;

	bad |= check(xen_domctl(fd, XEN_DOMCTL_soft_reset, domain, NULL), -EINVAL,
		     "soft reset of a paused domain");
	domain_unpause(fd, domain);
	bad |= check(xen_domctl(fd, XEN_DOMCTL_soft_reset, domain, NULL), -EINVAL,
		     "soft reset of one that runs");
	bad |= check(domain_destroy(fd, domain), 0, "destroying it");
	bad |= check(xen_domctl(fd, XEN_DOMCTL_soft_reset, domain, NULL), -ESRCH,
		     "soft reset of one that is gone");
	bad |= check(xen_domctl(fd, XEN_DOMCTL_soft_reset, 0, NULL), -EINVAL,
		     "soft reset of the control domain");
	return bad;
}

int main(int argc, char **argv)
{
	int fd = xen_open("privcmd");

	if (argc == 2 && !strcmp(argv[1], "refuses-soft-reset"))
		return refuses(fd);
	if (argc == 3 && !strcmp(argv[1], "soft-reset"))
		return check(xen_domctl(fd, XEN_DOMCTL_soft_reset, atoi(argv[2]), NULL), 0,
			     "soft reset");
	if (argc == 3 && !strcmp(argv[1], "resume"))
		return check(xen_domctl(fd, XEN_DOMCTL_resumedomain, atoi(argv[2]), NULL), 0,
			     "resume");
	fprintf(stderr, "usage: %s soft-reset|resume DOMID\n", argv[0]);
	return 2;
}
