// SPDX-License-Identifier: GPL-2.0-only
/*
 * Counts what it costs to map frames of a grant table (XENMEM_acquire_resource). Where the TSC counts instructions
 * (QEMU's -icount), a line tells how many IOCTL_PRIVCMD_MMAP_RESOURCE takes; another one tells it of the hypercall that
 * does not map, but only tells the frames' numbers.
 */

#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#define __XEN_TOOLS__ 1
#define __XEN_INTERFACE_VERSION__ __XEN_LATEST_INTERFACE_VERSION__
#include <xen/xen.h>
#include <xen/domctl.h>
#include <xen/memory.h>
#include <xen/sys/privcmd.h>

#define PAGE 4096UL
#define FRAMES 64U
#define ROUNDS 50

static uint64_t rdtsc(void)
{
	uint32_t low, high;

	__asm__ volatile("rdtsc" : "=a"(low), "=d"(high));
	return (uint64_t)high << 32 | low;
}

static long hypercall(int fd, unsigned long op, unsigned long a, void *b)
{
	privcmd_hypercall_t call = { .op = op, .arg = { a, (unsigned long)b } };

	return ioctl(fd, IOCTL_PRIVCMD_HYPERCALL, &call);
}

static long domctl(int fd, struct xen_domctl *what)
{
	what->interface_version = XEN_DOMCTL_INTERFACE_VERSION;
	return hypercall(fd, __HYPERVISOR_domctl, (unsigned long)what, NULL);
}

/* The least of some rounds, for so many frames; 0 if it fails. */
static uint64_t cost(int fd, domid_t domain, unsigned int frames, int by_hypercall)
{
	static xen_pfn_t list[FRAMES];
	uint64_t least = ~0ULL;
	int i;

	for (i = 0; i < ROUNDS; i++) {
		privcmd_mmap_resource_t map = { .dom = domain, .type = XENMEM_resource_grant_table,
					       .num = frames };
		struct xen_mem_acquire_resource ask = {
			.domid = domain, .type = XENMEM_resource_grant_table, .nr_frames = frames,
		};
		uint64_t start, taken;
		void *at = mmap(NULL, frames * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
		long rc;

		if (at == MAP_FAILED)
			return 0;
		map.addr = (unsigned long)at;
		set_xen_guest_handle(ask.frame_list, list);
		start = rdtsc();
		rc = by_hypercall ? hypercall(fd, __HYPERVISOR_memory_op, XENMEM_acquire_resource,
					      &ask)
				  : ioctl(fd, IOCTL_PRIVCMD_MMAP_RESOURCE, &map);
		taken = rdtsc() - start;
		munmap(at, frames * PAGE);
		if (rc)
			return 0;
		if (taken < least)
			least = taken;
	}
	return least;
}

int main(void)
{
	struct xen_domctl create = { .cmd = XEN_DOMCTL_createdomain },
	destroy = { .cmd = XEN_DOMCTL_destroydomain };
	int fd = open("/dev/xen/privcmd", O_RDWR | O_CLOEXEC), way, bad = 0;

	create.u.createdomain.flags = XEN_DOMCTL_CDF_hvm | XEN_DOMCTL_CDF_hap;
	create.u.createdomain.max_vcpus = 1;
	create.u.createdomain.max_evtchn_port = 1023;
	create.u.createdomain.max_grant_frames = FRAMES;
	create.u.createdomain.max_maptrack_frames = 4;
	create.u.createdomain.grant_opts = XEN_DOMCTL_GRANT_version(1);
	create.u.createdomain.arch.emulation_flags = XEN_X86_EMU_LAPIC;
	if (fd < 0 || domctl(fd, &create) < 0) {
		perror("acquire-cost: cannot make a domain");
		return 1;
	}
	for (way = 0; way < 2; way++) {
		uint64_t one = cost(fd, create.domain, 1, way),
		all = cost(fd, create.domain, FRAMES, way);

		bad |= !one || !all;
		printf("%s: %llu for one frame of a grant table, %llu for %u, %llu for each more\n",
		       way ? "acquire_resource by hypercall" : "acquire_resource into a mapping",
		       (unsigned long long)one,
		       (unsigned long long)all, FRAMES,
		       (unsigned long long)((all - one) / (FRAMES - 1)));
	}
	destroy.domain = create.domain;
	domctl(fd, &destroy);
	return bad;
}
