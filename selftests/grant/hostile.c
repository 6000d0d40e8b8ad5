// SPDX-License-Identifier: GPL-2.0-only
/*
 * A guest whose vCPUs write anything to its grant table, all the time, while another guest and processes map, copy and
 * unmap what it says. Whatever comes of it, nobody but the guest is worse off. With OXEN_LONG set it goes on for a
 * minute.
 *
 * GT-17, GT-19, and what makes the frames, the flags and the domain of an entry be read once.
 */

#include <sys/ioctl.h>
#include <time.h>

#include "grant.h"
#include <xen/sys/gntdev.h>

/* Entries that are written: 128, the first of the table. */
#define ENTRIES 128U
#define TO_GFN 0x200UL
#define TABLE_GFN 0x180UL

static int fd;
static struct worker bad, user;
static volatile bool stop;
static volatile unsigned int maps, map_errors, copies, copy_errors;

static uint32_t next_random(uint32_t *x)
{
	*x ^= *x << 13;
	*x ^= *x >> 17;
	*x ^= *x << 5;
	return *x;
}

/* Maps by offset, up to three grants at once, looks at them, and unmaps them. */
static void *process_maps(void *seed)
{
	int gntdev = xen_open("gntdev");
	uint32_t x = A(seed);

	while (!stop) {
		struct {
			struct ioctl_gntdev_map_grant_ref head;
			struct ioctl_gntdev_grant_ref more[2];
		} ask = { .head.count = 1 + next_random(&x) % 3 };
		struct ioctl_gntdev_unmap_grant_ref end = { .count = ask.head.count };
		struct ioctl_gntdev_grant_ref *refs = ask.head.refs;
		int prot = PROT_READ | (next_random(&x) & 1 ? PROT_WRITE : 0);
		unsigned int i;
		void *at;

		for (i = 0; i < ask.head.count; i++) {
			refs[i].domid = bad.domain;
			refs[i].ref = next_random(&x) % (ENTRIES + 2);
		}
		if (ioctl(gntdev, IOCTL_GNTDEV_MAP_GRANT_REF, &ask) < 0)
			tap_bail("cannot name grants: %d", errno);
		end.index = ask.head.index;
		at = mmap(NULL, ask.head.count * PAGE_SIZE, prot, MAP_SHARED, gntdev,
			  ask.head.index);
		if (at == MAP_FAILED) {
			map_errors++;
		} else {
			maps++;
			if (prot & PROT_WRITE)
				((volatile uint8_t *)at)[4095] = x;
			else
				(void)*(volatile uint8_t *)at;
			munmap(at, ask.head.count * PAGE_SIZE);
		}
		ioctl(gntdev, IOCTL_GNTDEV_UNMAP_GRANT_REF, &end);
	}
	close(gntdev);
	return NULL;
}

static void *process_copies(void *seed)
{
	int gntdev = xen_open("gntdev");
	uint32_t x = A(seed);
	static uint8_t bytes[PAGE_SIZE];

	while (!stop) {
		struct ioctl_gntdev_grant_copy_segment part = {
			.source.foreign = { .ref = next_random(&x) % ENTRIES, .offset = x % 2048,
					   .domid = bad.domain },
			.dest.virt = bytes, .len = x % 2048, .flags = GNTCOPY_source_gref,
		};
		struct ioctl_gntdev_grant_copy ask = { .count = 1, .segments = &part };

		if (ioctl(gntdev, IOCTL_GNTDEV_GRANT_COPY, &ask) < 0 || part.status != GNTST_okay)
			copy_errors++;
		else
			copies++;
	}
	close(gntdev);
	return NULL;
}

int main(void)
{
	unsigned int seconds = tap_long() ? 60 : 10, i, mapped = 0, refused = 0, wrong = 0,
		     rounds = 0;
	volatile grant_entry_v1_t *table;
	struct xen_add_to_physmap what = { .space = XENMAPSPACE_grant_table, .gpfn = TABLE_GFN };
	uint32_t handles[16], used = 0, x = 4711;
	pthread_t threads[2];
	time_t end;

	fd = xen_open("privcmd");
	tap_plan(0);
	worker_start(&bad, fd, 3, 64);
	worker_start(&user, fd, 1, 64);
	table = grant_table(fd, bad.domain, 1);
	what.domid = bad.domain;
	if (xen_call2(fd, __HYPERVISOR_memory_op, XENMEM_add_to_physmap, &what))
		tap_bail("cannot put the table into the guest's memory");
	pthread_create(&threads[0], NULL, process_maps, (void *)1UL);
	pthread_create(&threads[1], NULL, process_copies, (void *)2UL);
	end = time(NULL) + seconds;
	while (time(NULL) < end) {
		/* For the host, for the other guest, and for everybody by turns. */
		static const unsigned int shift = 16;
		uint32_t to[3] = { 0, (uint32_t)user.domain << shift, ~0U };

		for (i = 0; i < 3; i++) {
			if (bad.cmd[i]->go)
				continue;
			bad.cmd[i]->a[3] = next_random(&x);
			worker_begin(&bad, i, OP_SCRIBBLE, TABLE_GFN * PAGE_SIZE, to[i], 50000);
		}
		for (i = 0; i < 16; i++) {
			uint32_t ref = next_random(&x) % (ENTRIES + 2);
			int rc;

			/* Now and then an entry is as it should be, unless it is scribbled over at once. */
			if (x & 6)
				grant(&table[ref], user.domain, WORKER_DATA_GFN + x % 16,
				      GTF_permit_access);
			rc = grant_map(&user, bad.domain, ref,
				       GNTMAP_host_map | (x & 1 ? GNTMAP_readonly : 0),
				       TO_GFN + used, &handles[used]);

			wrong += rc > 0 || rc < -20;
			if (rc == GNTST_okay) {
				mapped++;
				used++;
			} else {
				refused++;
			}
			if (used < 16)
				continue;
			while (used) {
				used--;
				wrong += grant_unmap(&user, TO_GFN + used,
						     handles[used]) != GNTST_okay;
			}
		}
		rounds++;
	}
	while (used) {
		used--;
		wrong += grant_unmap(&user, TO_GFN + used, handles[used]) != GNTST_okay;
	}
	tap_note("%u rounds: the other guest mapped %u and was refused %u; "
		 "processes mapped %u of %u and copied %u of %u", rounds,
		 mapped, refused, maps, maps + map_errors, copies, copies + copy_errors);
	tap(mapped && refused, "GT-19 a guest maps what another one's table says at that moment");
	tap(maps && map_errors, "GT-19 so do processes");
	tap(copies && copy_errors, "GT-19 and copy");
	tap_equal(wrong, 0, "GT-1, GT-17 what was mapped is unmapped, every time");
	tap(!(xen_flags(fd, bad.domain) & XEN_DOMINF_shutdown), "the guest that does it runs on");
	tap_equal(worker_end(&bad), 0, "and is destroyed in the middle of it");
	stop = true;
	for (i = 0; i < 2; i++)
		pthread_join(threads[i], NULL);
	tap_equal(worker_end(&user), 0, "so is the other");
	munmap((void *)table, PAGE_SIZE);
	return tap_end();
}
