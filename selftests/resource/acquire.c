// SPDX-License-Identifier: GPL-2.0-only
/*
 * Proves what a process is given of a domain's resources: through IOCTL_PRIVCMD_MMAP_RESOURCE, where the frames are
 * mapped, and by hypercall, where it is told their machine frames. Any number of them, interrupted at any moment, and
 * what remains of them when the domain goes.
 */

#include <pthread.h>
#include <signal.h>
#include <sys/time.h>
#include <sys/wait.h>

#include "ioreq.h"

/* Frames of the table of the large domain, which are more than one step of the operation handles. */
#define LARGE 1000U

static int fd;
static long domain, large;

static long make(uint32_t grant_frames)
{
	struct xen_domctl domctl = { 0 };
	struct xen_domctl_createdomain *create = &domctl.u.createdomain;
	long rc;

	create->flags = XEN_DOMCTL_CDF_hvm | XEN_DOMCTL_CDF_hap;
	create->max_vcpus = 1;
	create->max_evtchn_port = 1023;
	create->max_grant_frames = grant_frames;
	create->max_maptrack_frames = 4;
	create->grant_opts = XEN_DOMCTL_GRANT_version(1);
	create->arch.emulation_flags = XEN_X86_EMU_LAPIC;
	memcpy(create->handle, &grant_frames, sizeof(grant_frames));
	rc = xen_domctl(fd, XEN_DOMCTL_createdomain, 0, &domctl);
	return rc < 0 ? rc : domctl.domain;
}

/* The hypercall itself. */
static long acquire(struct xen_mem_acquire_resource *ask)
{
	return xen_call2(fd, __HYPERVISOR_memory_op, XENMEM_acquire_resource, ask);
}

static struct xen_mem_acquire_resource grants(domid_t of, uint64_t frame, uint32_t count,
					      xen_pfn_t *list)
{
	struct xen_mem_acquire_resource ask = {
		.domid = of, .type = XENMEM_resource_grant_table,
		.id = XENMEM_resource_grant_table_id_shared,
		.frame = frame, .nr_frames = count,
	};

	set_xen_guest_handle(ask.frame_list, list);
	return ask;
}

static void sizes(void)
{
	struct xen_mem_acquire_resource ask;

	tap_equal(resource_size(fd, domain, XENMEM_resource_grant_table, 0), 4,
		  "A-2, AR-4 the size of a grant table");
	tap_equal(resource_size(fd, large, XENMEM_resource_grant_table, 0), LARGE,
		  "A-2, AR-4 of a large one");
	tap_equal(resource_size(fd, domain, XENMEM_resource_ioreq_server, 0), 2,
		  "A-2, AR-4 of an ioreq server");
	tap_equal(resource_size(fd, domain, XENMEM_resource_vmtrace_buf, 0), -EINVAL,
		  "A-1 a trace is not offered");
	tap_equal(resource_size(fd, domain, 3, 0), -EINVAL, "A-2, AR-6 a type that there is not");
	tap_equal(resource_size(fd, domain, ~0U, 0), -EINVAL, "A-2, AR-6 nor this one");
	tap_equal(resource_size(fd, domain, XENMEM_resource_grant_table, 1), -EINVAL,
		  "AR-8 no status frames of version 1");
	tap_equal(resource_size(fd, domain, XENMEM_resource_grant_table, 2), -EINVAL,
		  "a part of the table that there is not");
	tap_equal(resource_size(fd, NO_DOMAIN, XENMEM_resource_grant_table, 0), -ESRCH,
		  "AR-3 no such domain");
	tap_equal(resource_size(fd, 0, XENMEM_resource_grant_table, 0), -EPERM,
		  "A-5, AR-3 not oneself");
	tap_equal(resource_size(fd, DOMID_SELF, XENMEM_resource_grant_table, 0), -ESRCH,
		  "A-5 nor by that name");

	ask = grants(domain, 0, 0, NULL);
	tap_equal(acquire(&ask), 0, "A-2 by hypercall");
	tap_equal(ask.nr_frames, 4, "A-2, AR-4 the size is told");
	tap_equal(ask.pad, 0, "A-7 and no flag");
	ask = grants(domain, 0, 0, NULL);
	ask.type = 77;
	tap_equal(acquire(&ask), -EINVAL, "A-2, AR-6 a type that there is not");
	tap_equal(ask.nr_frames, 0, "AR-6 has no size");
}

static void arguments(void)
{
	xen_pfn_t list[4] = { 0 };
	struct xen_mem_acquire_resource ask = grants(domain, 0, 1, list);

	ask.pad = 1;
	tap_equal(acquire(&ask), -EINVAL, "A-3, AR-9 padding");
	ask = grants(domain, 0, 1, NULL);
	tap_equal(acquire(&ask), -EINVAL, "AR-9 frames without a list");
	ask = grants(domain, 0, 0, list);
	tap_equal(acquire(&ask), -EINVAL, "AR-9 a list without frames");
	ask = grants(domain, 1ULL << 32, 1, list);
	tap_equal(acquire(&ask), -EINVAL, "A-3, AR-9 a frame of 2^32");
	ask = grants(domain, ~0ULL, 2, list);
	tap_equal(acquire(&ask), -EINVAL, "A-3, AR-9 frames that wrap");
	ask = grants(domain, 0xffffffff, 2, list);
	tap_equal(acquire(&ask), -EINVAL, "A-3, AR-9 frames across 2^32");
	ask = grants(domain, 4, 1, list);
	tap_equal(acquire(&ask), -EINVAL, "frames past the last");
	ask = grants(domain, 2, 3, list);
	tap_equal(acquire(&ask), -EINVAL, "frames that end past the last");
	ask = grants(domain, 0, 1, (xen_pfn_t *)0xffffffff81000000UL);
	tap_equal(acquire(&ask), -EFAULT, "a list in the kernel");
	tap_equal(xen_call2(fd, __HYPERVISOR_memory_op, XENMEM_acquire_resource, NULL), -EFAULT,
		  "no argument");
	tap_equal(xen_call2(fd, __HYPERVISOR_memory_op, XENMEM_acquire_resource | 5UL << 6, &ask),
		  -EINVAL,
		  "A-4 a continuation past the end");
}

/* AR-7: any number of frames, each the right one. */
static void counts(void)
{
	static const unsigned int counts[] = { 1, 31, 32, 33, 63, 64, 65, 128, 999, LARGE };
	static xen_pfn_t list[LARGE + 1], again[LARGE];
	unsigned int i, j, wrong;
	uint32_t *at;
	long rc;

	for (i = 0; i < sizeof(counts) / sizeof(*counts); i++) {
		unsigned int count = counts[i], first = LARGE - count;
		struct xen_mem_acquire_resource ask = grants(large, first, count, list);

		memset(list, 0xee, sizeof(list));
		rc = acquire(&ask);
		wrong = rc != 0 || list[count] != 0xeeeeeeeeeeeeeeeeULL;
		for (j = 0; j < count; j++)
			wrong += !list[j] || list[j] == 0xeeeeeeeeeeeeeeeeULL ||
			(j && list[j] == list[j - 1]);
		tap_equal(wrong, 0, "A-4, AR-7 %u frames are told", count);
		tap(ask.nr_frames == count && !ask.pad, "A-7 the argument is as it was");
		at = resource_map(fd, large, XENMEM_resource_grant_table, 0, first, count, &rc);
		wrong = rc != 0;
		for (j = 0; j < count && at; j++)
			at[j * 1024 + 1023] = first + j;
		if (at)
			munmap(at, count * PAGE_SIZE);
		tap_equal(wrong, 0, "A-4, AR-7 %u frames are mapped", count);
	}
	at = resource_map(fd, large, XENMEM_resource_grant_table, 0, 0, LARGE, &rc);
	for (j = 0, wrong = !at; j < LARGE && at; j++)
		wrong += at[j * 1024 + 1023] != j;
	if (at)
		munmap(at, LARGE * PAGE_SIZE);
	tap_equal(wrong, 0, "A-4 a frame is the same one whichever way it is asked for");
	{
		struct xen_mem_acquire_resource ask = grants(large, 0, LARGE, again);

		tap_equal(acquire(&ask), 0, "A-8 all are told once more");
		tap(!memcmp(list, again, sizeof(again)), "A-8 and the table has not grown again");
	}
}

static volatile sig_atomic_t signals;

static void on_alarm(int signal)
{
	(void)signal;
	signals++;
}

/* Has the frames told and mapped; false if that fails, or not all is right. */
static bool told_and_mapped(const xen_pfn_t *right)
{
	static xen_pfn_t list[LARGE];
	struct xen_mem_acquire_resource ask = grants(large, 0, LARGE, list);
	uint32_t *at;
	bool good;
	long rc;

	if (acquire(&ask) || memcmp(list, right, sizeof(list)))
		return false;
	at = resource_map(fd, large, XENMEM_resource_grant_table, 0, 0, LARGE, &rc);
	if (!at)
		return false;
	good = at[(LARGE - 1) * 1024 + 1023] == LARGE - 1 && at[1023] == 0;
	munmap(at, LARGE * PAGE_SIZE);
	return good;
}

/*
 * Signals come faster than a call can be done: no tool is told of them, as none is under Xen. One that ends the process
 * ends the call too, wherever that is.
 */
static void interrupted(void)
{
	struct itimerval often = { { 0, 300 }, { 0, 300 } }, never = { 0 };
	struct sigaction action = { .sa_handler = on_alarm };
	static xen_pfn_t right[LARGE];
	unsigned int i, wrong = 0, killed = 0;
	struct xen_mem_acquire_resource ask = grants(large, 0, LARGE, right);

	acquire(&ask);
	sigaction(SIGALRM, &action, NULL);
	setitimer(ITIMER_REAL, &often, NULL);
	for (i = 0; i < 100; i++)
		wrong += !told_and_mapped(right);
	setitimer(ITIMER_REAL, &never, NULL);
	tap_equal(wrong, 0, "A-4 signals that the tool handles end no call");
	tap(signals > 100, "A-4 and there were many");
	tap_note("%d signals", (int)signals);
	fflush(stdout);
	for (i = 0; i < 40; i++) {
		int status = 0;
		pid_t tool = fork();

		if (!tool) {
			while (told_and_mapped(right))
				;
			_exit(1);
		}
		usleep(1000 + 700 * i);
		kill(tool, SIGKILL);
		waitpid(tool, &status, 0);
		killed += WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL;
	}
	tap_equal(killed, 40, "A-4 a tool can be killed at any moment of them");
	tap(told_and_mapped(right), "A-4 and the next one gets all");
}

/* a descriptor that was restricted. */
static void restricted(void)
{
	int only = xen_open("privcmd");
	struct xen_mem_acquire_resource ask = grants(domain, 0, 0, NULL);
	domid_t to = domain;

	tap_equal(xen_ioctl(only, IOCTL_PRIVCMD_RESTRICT, &to), 0,
		  "A-5 a descriptor is restricted");
	tap_equal(resource_size(only, domain, XENMEM_resource_grant_table, 0), 4,
		  "A-5 it may have the domain's resources");
	tap_equal(resource_size(only, large, XENMEM_resource_grant_table, 0), -EPERM,
		  "A-5 and no other's");
	tap_equal(xen_call2(only, __HYPERVISOR_memory_op, XENMEM_acquire_resource, &ask), -EPERM,
		  "A-5 nor by hypercall");
	close(only);
}

/* What a refused call leaves behind: it must not hold the domain, so that its number is free when it has gone. */
static void refused(void)
{
	static const struct {
		uint16_t type;
		uint32_t id, pad;
		uint64_t frame;
		uint32_t count;
		bool bad_list;
		long rc;
	} ways[] = {
		{ XENMEM_resource_grant_table, 0, 1, 0, 1, false, -EINVAL },
		{ XENMEM_resource_grant_table, 0, 0, 1ULL << 32, 1, false, -EINVAL },
		{ XENMEM_resource_grant_table, 0, 0, 4, 1, false, -EINVAL },
		{ XENMEM_resource_grant_table, 0, 0, 3, 2, false, -EINVAL },
		{ XENMEM_resource_grant_table, 1, 0, 0, 1, false, -EINVAL },
		{ XENMEM_resource_grant_table, 2, 0, 0, 1, false, -EINVAL },
		{ XENMEM_resource_grant_table, 0, 0, 0, 1, true, -EFAULT },
		{ XENMEM_resource_ioreq_server, 7, 0, 0, 1, false, -ENOENT },
		{ XENMEM_resource_ioreq_server, 0xffff0000, 0, 0, 1, false, -EINVAL },
		{ XENMEM_resource_vmtrace_buf, 0, 0, 0, 1, false, -EINVAL },
		{ 99, 0, 0, 0, 1, false, -EINVAL },
	};
	unsigned int i, n;

	for (i = 0; i < sizeof(ways) / sizeof(*ways); i++) {
		long victim = DOMAIN_MAKE(fd, 1, code_idle, 0), rc = 0, again;
		xen_pfn_t list[2] = { 0 };
		struct xen_mem_acquire_resource ask;

		for (n = 0; n < 100; n++) {
			ask = grants(victim, ways[i].frame, ways[i].count,
				     ways[i].bad_list ? (xen_pfn_t *)0xffffffff81000000UL : list);
			ask.type = ways[i].type;
			ask.id = ways[i].id;
			ask.pad = ways[i].pad;
			rc = acquire(&ask);
			if (rc != ways[i].rc)
				break;
		}
		tap_equal(rc, ways[i].rc, "AR-3 way %u to be refused, 100 times", i);
		domain_destroy(fd, victim);
		again = domain_new(fd, victim, 1);
		tap_equal(again, victim, "AR-3 way %u leaves nothing that holds the domain", i);
		domain_destroy(fd, again);
	}
}

static unsigned int total_pages(long of)
{
	struct xen_domctl domctl = { 0 };

	xen_domctl(fd, XEN_DOMCTL_getdomaininfo, of, &domctl);
	return domctl.u.getdomaininfo.tot_pages;
}

/* The pages of a resource are nobody's memory. */
static void ownership(void)
{
	uint64_t *page, *buffer, *table;
	unsigned int before = total_pages(domain), i, errors = 0;
	xen_pfn_t mfn[2] = { 0 };
	struct xen_mem_acquire_resource ask = { .domid = domain,
					       .type = XENMEM_resource_ioreq_server,
					       .nr_frames = 2 };
	struct xen_memory_reservation back = { .nr_extents = 2, .domid = domain };
	long rc, id = server_create(fd, domain, HVM_IOREQSRV_BUFIOREQ_ATOMIC);

	set_xen_guest_handle(ask.frame_list, mfn);
	tap_equal(acquire(&ask), 0, "A-1 frames of an ioreq server are told");
	tap(mfn[0] && mfn[1] && mfn[0] != mfn[1], "A-1 which are two");
	buffer = resource_map(fd, domain, XENMEM_resource_ioreq_server, id, 0, 2, &rc);
	tap_equal(rc, 0, "A-1 and mapped at once");
	page = buffer + 512;
	table = resource_map(fd, domain, XENMEM_resource_grant_table, 0, 0, 4, &rc);
	tap_equal(rc, 0, "so is the grant table");
	tap_equal(total_pages(domain), before, "AR-2 the domain has no more memory for that");
	set_xen_guest_handle(back.extent_start, mfn);
	tap(xen_call2(fd, __HYPERVISOR_memory_op, XENMEM_decrease_reservation, &back) <= 0,
	    "AR-1 the domain cannot give them back");
	tap_equal(total_pages(domain), before, "AR-1, AR-2 nor count them off");
	for (i = 0; i < 64; i++) {
		xen_pfn_t gfn = i;
		uint64_t *memory = xen_map(fd, domain, &gfn, 1);

		if (!memory)
			continue;
		page[0] = i + 1;
		errors += memory[0] == i + 1;
		munmap(memory, PAGE_SIZE);
	}
	tap_equal(errors, 0, "I-2 they are nowhere in the guest's memory");
	page[511] = 0x511;
	buffer[511] = 0xb0f;
	table[4 * 512 - 1] = 0x7ab1e;
	tap_equal(server_destroy(fd, domain, id), 0, "AR-1 the server is destroyed");
	tap(page[511] == 0x511 && buffer[511] == 0xb0f, "A-6, AR-1 the mapping keeps its pages");
	tap_equal(domain_destroy(fd, domain), 0, "AR-1 so is the domain");
	tap(page[511] == 0x511 && table[4 * 512 - 1] == 0x7ab1e,
	    "A-6, AR-1 the mapping keeps its pages");
	tap_equal(resource_size(fd, domain, XENMEM_resource_grant_table, 0), -ESRCH,
		  "and there are no others");
	munmap(buffer, 2 * PAGE_SIZE);
	munmap(table, 4 * PAGE_SIZE);
}

int main(void)
{
	long rc;

	fd = xen_open("privcmd");
	tap_plan(0);
	domain = DOMAIN_MAKE(fd, 1, code_idle, 0);
	large = make(LARGE);
	if (domain < 0 || large < 0)
		tap_bail("cannot make domains: %ld, %ld", domain, large);
	sizes();
	arguments();
	counts();
	interrupted();
	restricted();
	refused();
	ownership();
	rc = domain_destroy(fd, large);
	tap_equal(rc, 0, "the large domain is destroyed");
	return tap_end();
}
