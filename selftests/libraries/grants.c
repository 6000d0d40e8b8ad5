// SPDX-License-Identifier: GPL-2.0-only
/*
 * Proves what a process and a guest grant each other through libxengnttab, as Debian builds it: pages of the guest
 * mapped and copied by the process, pages of the process mapped by the guest, what is done when they are unmapped, and
 * that a process that is killed while it holds maps loses nothing for the guest.
 */

#include <signal.h>
#include <sys/wait.h>

/* The version of Xen's headers is ours to say, so that this comes before the libraries' own. */
#include "grant.h"
#include <xenevtchn.h>
#include <xengnttab.h>

#define TO_GFN 0x200UL
#define GIVEN_GFN 0x28UL
#define GIVEN (w.data + (GIVEN_GFN - WORKER_DATA_GFN) * PAGE_SIZE)

static int fd;
static struct worker w;
static volatile grant_entry_v1_t *table;
static xengnttab_handle *maps;
static uint32_t ref = FIRST_REF;

static uint16_t in_use(uint32_t which)
{
	return table[which].flags & (GTF_reading | GTF_writing);
}

/* The end of a use may take a moment: the last reference goes when the kernel has time. */
static bool becomes_idle(uint32_t which)
{
	unsigned int i;

	for (i = 0; i < 3000 && in_use(which); i++)
		usleep(1000);
	return !in_use(which);
}

static void mapped(void)
{
	uint32_t refs[3] = { ref, ref + 1, ref + 2 }, i;
	uint8_t *at, *second;

	for (i = 0; i < 3; i++)
		grant(&table[ref + i], 0, GIVEN_GFN + i, GTF_permit_access);
	GIVEN[PAGE_SIZE + 7] = 0x71;
	at = xengnttab_map_domain_grant_refs(maps, 3, w.domain, refs, PROT_READ | PROT_WRITE);
	if (!tap(at != NULL, "three pages of the guest are mapped"))
		return;
	tap_equal(at[PAGE_SIZE + 7], 0x71, "they are the guest's");
	at[2 * PAGE_SIZE] = 0x72;
	tap_equal(worker_do(&w, 0, OP_READ8, (GIVEN_GFN + 2) * PAGE_SIZE, 0, 0), 0x72,
		  "which sees what is written there");
	tap_equal(in_use(ref + 1), GTF_reading | GTF_writing,
		  "GT-5 the entries say that they are in use");
	second = xengnttab_map_grant_ref(maps, w.domain, ref, PROT_READ);
	tap(second != NULL, "one is mapped once more, to be read");
	tap_equal(xengnttab_unmap(maps, at, 3), 0, "the three are unmapped");
	tap(becomes_idle(ref + 1), "GT-5 the entries are idle");
	tap_equal(in_use(ref), GTF_reading, "GT-5 but for the one that is still read");
	tap_equal(xengnttab_unmap(maps, second, 1), 0, "that one is unmapped");
	tap(becomes_idle(ref), "GT-5 and idle");
	table[ref + 1].flags |= GTF_readonly;
	tap(!xengnttab_map_grant_ref(maps, w.domain, ref + 1, PROT_READ | PROT_WRITE),
	    "GT-2 a page to be read is not written");
	at = xengnttab_map_grant_ref(maps, w.domain, ref + 1, PROT_READ);
	tap(at && at[7] == 0x71, "but read");
	tap_equal(mprotect(at, PAGE_SIZE, PROT_READ | PROT_WRITE), -1,
		  "and cannot become writable");
	xengnttab_unmap(maps, at, 1);
	refs[1] = 4 * 512 + 1;
	tap(!xengnttab_map_domain_grant_refs(maps, 3, w.domain, refs, PROT_READ),
	    "all or none are mapped");
	tap(becomes_idle(ref) && becomes_idle(ref + 2), "GT-2 and none is in use then");
	tap(!xengnttab_map_grant_ref(maps, NO_DOMAIN, ref, PROT_READ), "none of no domain");
	ref += 3;
}

static void copied(void)
{
	char text[] = "from the process", back[17] = { 0 };
	xengnttab_grant_copy_segment_t parts[3] = {
		{
			.source.virt = text, .dest.foreign = { .ref = ref, .offset = 100,
							      .domid = w.domain },
			.len = sizeof(text), .flags = GNTCOPY_dest_gref,
		},
		{
			.source.foreign = { .ref = ref, .offset = 100, .domid = w.domain },
			.dest.virt = back,
			.len = sizeof(back), .flags = GNTCOPY_source_gref,
		},
		{
			.source.foreign = { .ref = 4096, .offset = 0, .domid = w.domain },
			.dest.virt = back,
			.len = 1, .flags = GNTCOPY_source_gref,
		},
	};

	grant(&table[ref], 0, GIVEN_GFN, GTF_permit_access);
	tap_equal(xengnttab_grant_copy(maps, 3, parts), 0,
		  "bytes are copied to the guest and back");
	tap(parts[0].status == GNTST_okay && parts[1].status == GNTST_okay, "as the status says");
	tap_equal(parts[2].status, GNTST_bad_gntref, "GT-6 but for a reference that there is not");
	tap(!memcmp(back, text, sizeof(text)) && !memcmp(GIVEN + 100, text, sizeof(text)),
	    "and they are those");
	parts[0].dest.foreign.offset = 4090;
	tap(xengnttab_grant_copy(maps, 1, parts) < 0, "not past the page's end");
	tap_equal(in_use(ref), 0, "GT-2 the entry is idle");
	ref++;
}

/* Whether a port of the guest's is pending, as its shared information says, which it puts in its memory. */
static bool is_pending(uint32_t port)
{
	struct xen_add_to_physmap what = { .domid = w.domain, .space = XENMAPSPACE_shared_info,
					  .gpfn = 0x181 };
	unsigned int i;

	xen_call2(fd, __HYPERVISOR_memory_op, XENMEM_add_to_physmap, &what);
	for (i = 0; i < 1000; i++) {
		uint64_t at = 0x181 * PAGE_SIZE + offsetof(shared_info_t,
							   evtchn_pending) + port / 8;

		if (worker_do(&w, 0, OP_READ8, at, 0, 0) >> port % 8 & 1)
			return true;
		usleep(1000);
	}
	return false;
}

/* The page and the port through which the guest learns that a process is gone. */
static void notified(void)
{
	xenevtchn_handle *ports = xenevtchn_open(NULL, 0);
	xenevtchn_port_or_error_t port = xenevtchn_bind_unbound_port(ports, w.domain);
	struct evtchn_bind_interdomain bind = { .remote_dom = 0, .remote_port = port };
	uint8_t *at;
	int child, how;

	memcpy(w.data, &bind, sizeof(bind));
	tap_equal(worker_call(&w, 0, __HYPERVISOR_event_channel_op, EVTCHNOP_bind_interdomain,
			      DATA(0), 0, 0), 0,
		  "the guest binds a port of the process");
	memcpy(&bind, w.data, sizeof(bind));
	grant(&table[ref], 0, GIVEN_GFN, GTF_permit_access);
	GIVEN[33] = 1;
	at = xengnttab_map_grant_ref_notify(maps, w.domain, ref, PROT_READ | PROT_WRITE, 33, port);
	tap(at && at[33] == 1, "a page is mapped with a byte and a port");
	xengnttab_unmap(maps, at, 1);
	tap(becomes_idle(ref) && GIVEN[33] == 0, "the byte is cleared when it is unmapped");
	tap(is_pending(bind.local_port), "and the guest is sent an event");

	/* Killed at any moment: nothing but its maps goes. */
	GIVEN[33] = 1;
	GIVEN[34] = 0x34;
	child = fork();
	if (!child) {
		xengnttab_handle *own = xengnttab_open(NULL, 0);

		at = xengnttab_map_grant_ref_notify(own, w.domain, ref, PROT_READ | PROT_WRITE, 33,
						    -1);
		if (!at)
			_exit(1);
		at[35] = 0x35;
		pause();
		_exit(0);
	}
	while (GIVEN[35] != 0x35)
		usleep(1000);
	tap_equal(in_use(ref), GTF_reading | GTF_writing, "a process has mapped a page");
	kill(child, SIGKILL);
	waitpid(child, &how, 0);
	tap(WIFSIGNALED(how), "it is killed");
	tap(becomes_idle(ref), "the guest's entry is idle");
	tap_equal(GIVEN[33], 0, "the byte is cleared");
	tap_equal(GIVEN[34], 0x34, "nothing else is lost");
	table[ref].flags = 0;
	ref++;
	xenevtchn_close(ports);
}

/* Pages of the process, given to the guest. */
static void shared(void)
{
	xengntshr_handle *share = xengntshr_open(NULL, 0);
	uint32_t refs[2] = { 0 }, handle, one;
	uint8_t *at = xengntshr_share_pages(share, w.domain, 2, refs, 1), *readable;
	/* A child does not inherit what is mapped of a guest. */
	volatile uint32_t *said = mmap(NULL, PAGE_SIZE, PROT_READ | PROT_WRITE,
				       MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	int child, how;

	if (!tap(at != NULL, "two pages of the process are granted"))
		return;
	at[PAGE_SIZE + 1] = 0x5a;
	tap_equal(grant_map(&w, 0, refs[1], GNTMAP_host_map, TO_GFN, &handle), GNTST_okay,
		  "the guest maps one");
	tap_equal(worker_do(&w, 0, OP_READ8, TO_GFN * PAGE_SIZE + 1, 0, 0), 0x5a, "and reads it");
	worker_do(&w, 0, OP_WRITE32, TO_GFN * PAGE_SIZE + 8, 0xcafe, 0);
	tap_equal(*(uint32_t *)(at + PAGE_SIZE + 8), 0xcafe, "and writes it");
	tap_equal(xengntshr_unshare(share, at, 2), 0, "the process takes them back");
	tap_equal(worker_do(&w, 0, OP_READ32, TO_GFN * PAGE_SIZE + 8, 0, 0), 0xcafe,
		  "A-6 the guest keeps what it has mapped");
	tap_equal(grant_unmap(&w, TO_GFN, handle), GNTST_okay, "until it unmaps it");
	tap(grant_map(&w, 0, refs[0], GNTMAP_host_map, TO_GFN, NULL) < 0,
	    "the other is granted no more");
	readable = xengntshr_share_pages(share, w.domain, 1, &one, 0);
	tap(readable && grant_map(&w, 0, one, GNTMAP_host_map, TO_GFN, NULL) < 0,
	    "GT-2 a page to be read is not written");
	tap_equal(grant_map(&w, 0, one, GNTMAP_host_map | GNTMAP_readonly, TO_GFN, &handle),
		  GNTST_okay, "but read");
	tap_equal(grant_unmap(&w, TO_GFN, handle), GNTST_okay, "it is unmapped");
	xengntshr_unshare(share, readable, 1);

	/* A process that is killed takes its page back from nobody who uses it. */
	child = fork();
	if (!child) {
		xengntshr_handle *own = xengntshr_open(NULL, 0);

		at = xengntshr_share_page_notify(own, w.domain, &one, 1, 16, -1);
		if (!at)
			_exit(1);
		at[16] = 1;
		at[17] = 0x17;
		said[1] = one;
		said[0] = 1;
		pause();
		_exit(0);
	}
	while (!said[0] && !waitpid(child, &how, WNOHANG))
		usleep(1000);
	one = said[1];
	tap_equal(grant_map(&w, 0, one, GNTMAP_host_map, TO_GFN, &handle), GNTST_okay,
		  "a page of a process is mapped");
	kill(child, SIGKILL);
	waitpid(child, &how, 0);
	usleep(100000);
	tap_equal(worker_do(&w, 0, OP_READ8, TO_GFN * PAGE_SIZE + 17, 0, 0), 0x17,
		  "which is killed; the guest has the page");
	tap_equal(worker_do(&w, 0, OP_READ8, TO_GFN * PAGE_SIZE + 16, 0, 0), 0,
		  "and sees that it is gone");
	tap_equal(grant_unmap(&w, TO_GFN, handle), GNTST_okay, "it unmaps the page");
	tap(grant_map(&w, 0, one, GNTMAP_host_map, TO_GFN, NULL) < 0, "and cannot map it again");
	xengntshr_close(share);
}

/* The guest goes while a process has mapped its pages. */
static void gone(void)
{
	uint8_t *at;

	grant(&table[ref], 0, GIVEN_GFN, GTF_permit_access);
	at = xengnttab_map_grant_ref(maps, w.domain, ref, PROT_READ | PROT_WRITE);
	at[50] = 0x50;
	tap_equal(worker_end(&w), 0, "the guest is destroyed");
	tap_equal(at[50], 0x50, "A-6 the process keeps the page");
	tap_equal(xengnttab_unmap(maps, at, 1), 0, "until it unmaps it");
	tap(!xengnttab_map_grant_ref(maps, w.domain, ref, PROT_READ), "and there are no others");
}

int main(void)
{
	fd = xen_open("privcmd");
	tap_plan(0);
	worker_start(&w, fd, 1, 64);
	table = grant_table(fd, w.domain, 4);
	maps = xengnttab_open(NULL, 0);
	if (!tap(maps != NULL, "the library opens the device"))
		return tap_end();
	mapped();
	copied();
	notified();
	shared();
	gone();
	xengnttab_close(maps);
	munmap((void *)table, 4 * PAGE_SIZE);
	return tap_end();
}
