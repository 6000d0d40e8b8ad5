// SPDX-License-Identifier: GPL-2.0-only
/*
 * Proves that it does not matter where the arguments of /dev/xen/privcmd are, only whether they can be read
 * and written: unaligned, across pages, at the end of memory, read-only, in a guest's own memory; and that
 * it is the open file that gives the right to call, not a number or a name.
 */

#include <poll.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "domain.h"

static int fd;
/* Four pages of memory; the last is not there, and the one before can only be read. */
static uint8_t *memory;

#define READ_ONLY (memory + 2 * PAGE_SIZE)
#define MISSING (memory + 3 * PAGE_SIZE)

static void write_read_only(const void *what, size_t size)
{
	mprotect(READ_ONLY, PAGE_SIZE, PROT_READ | PROT_WRITE);
	memcpy(READ_ONLY, what, size);
	mprotect(READ_ONLY, PAGE_SIZE, PROT_READ);
}

static void test_hypercall(void)
{
	privcmd_hypercall_t call = { .op = __HYPERVISOR_xen_version, .arg = { XENVER_pagesize } };
	unsigned int i, bad = 0;

	for (i = 0; i < sizeof(call); i++)
		bad += xen_ioctl(fd, IOCTL_PRIVCMD_HYPERCALL,
				 memcpy(memory + i, &call, sizeof(call))) != 4096;
	tap_equal(bad, 0, "a call can be at any address");
	for (i = bad = 0; i <= sizeof(call); i++) {
		void *at = memory + PAGE_SIZE - i;

		bad += xen_ioctl(fd, IOCTL_PRIVCMD_HYPERCALL,
				 memcpy(at, &call, sizeof(call))) != 4096;
	}
	tap_equal(bad, 0, "and across two pages");
	write_read_only(&call, sizeof(call));
	tap_equal(xen_ioctl(fd, IOCTL_PRIVCMD_HYPERCALL, READ_ONLY), 4096,
		  "and in memory that can only be read");
	for (i = bad = 0; i < sizeof(call); i++)
		bad += xen_ioctl(fd, IOCTL_PRIVCMD_HYPERCALL, MISSING - i) != -EFAULT;
	tap_equal(bad, 0, "not where a part of it is missing");
	mprotect(READ_ONLY, PAGE_SIZE, PROT_NONE);
	tap_equal(xen_ioctl(fd, IOCTL_PRIVCMD_HYPERCALL, READ_ONLY), -EFAULT,
		  "nor where it cannot be read");
	mprotect(READ_ONLY, PAGE_SIZE, PROT_READ);
}

static void test_domctl(long domain)
{
	struct xen_domctl domctl = {
		.cmd = XEN_DOMCTL_getdomaininfo, .interface_version = XEN_DOMCTL_INTERFACE_VERSION,
		.domain = domain,
	};
	struct xen_domctl *at;
	unsigned int i, bad = 0;

	for (i = 0; i < 64; i++) {
		at = memcpy(memory + PAGE_SIZE - i * 3, &domctl, sizeof(domctl));
		bad += xen_call1(fd, __HYPERVISOR_domctl, at) != 0;
		memcpy(&domctl, at, sizeof(domctl));
		bad += domctl.u.getdomaininfo.domain != domain;
	}
	tap_equal(bad, 0, "a domctl can be at any address");
	write_read_only(&domctl, sizeof(domctl));
	tap_equal(xen_call1(fd, __HYPERVISOR_domctl, READ_ONLY), -EFAULT,
		  "one with an answer cannot be where nothing can be written");
	domctl.cmd = XEN_DOMCTL_pausedomain;
	write_read_only(&domctl, sizeof(domctl));
	tap_equal(xen_call1(fd, __HYPERVISOR_domctl, READ_ONLY), 0, "one without can");
	tap_equal(domain_unpause(fd, domain), 0, "and does what it says");
	/* Xen takes the whole union, whatever the command needs of it. */
	tap_equal(xen_call1(fd, __HYPERVISOR_domctl, MISSING - sizeof(domctl) + 1), -EFAULT,
		  "none whose last byte is missing");
}

static void test_writes_back(long domain)
{
	privcmd_mmap_resource_t resource = { .dom = domain, .type = XENMEM_resource_grant_table };
	xen_pfn_t frames[2] = { 1, ~0UL };
	int errors[2] = { 0 };
	privcmd_mmapbatch_v2_t batch = { .num = 2, .dom = domain, .arr = frames, .err = errors };
	privcmd_mmapbatch_t old = { .num = 2, .dom = domain };
	void *at = mmap(NULL, 2 * PAGE_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

	write_read_only(&resource, sizeof(resource));
	tap_equal(xen_ioctl(fd, IOCTL_PRIVCMD_MMAP_RESOURCE, READ_ONLY), -EFAULT,
		  "a resource's size cannot be told where nothing can be written");
	batch.addr = A(at);
	write_read_only(&batch, sizeof(batch));
	tap_equal(xen_ioctl(fd, IOCTL_PRIVCMD_MMAPBATCH_V2, READ_ONLY), 0, "a batch can be there");
	tap(!errors[0] && errors[1], "its errors are elsewhere");
	munmap(at, 2 * PAGE_SIZE);
	at = mmap(NULL, 2 * PAGE_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	batch.addr = A(at);
	batch.err = (int *)READ_ONLY;
	tap_equal(xen_ioctl(fd, IOCTL_PRIVCMD_MMAPBATCH_V2, &batch), -EFAULT, "not they");
	munmap(at, 2 * PAGE_SIZE);
	at = mmap(NULL, 2 * PAGE_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	old.addr = A(at);
	write_read_only(frames, sizeof(frames));
	old.arr = (xen_pfn_t *)READ_ONLY;
	tap_equal(xen_ioctl(fd, IOCTL_PRIVCMD_MMAPBATCH, &old), -EFAULT,
		  "the first version's errors are in the list, which cannot");
	munmap(at, 2 * PAGE_SIZE);
}

/* A hypercall whose arguments are in the memory of the guest that it is about. */
static void test_guest_memory(long domain)
{
	xen_pfn_t frame = 2;
	privcmd_hypercall_t *call = xen_map(fd, domain, &frame, 1);
	struct xen_domctl *domctl = (void *)(call + 1);

	if (!tap(call != NULL, "a guest's page is mapped"))
		return;
	*domctl = (struct xen_domctl){
		.cmd = XEN_DOMCTL_getdomaininfo, .interface_version = XEN_DOMCTL_INTERFACE_VERSION,
		.domain = domain,
	};
	*call = (privcmd_hypercall_t){ .op = __HYPERVISOR_domctl, .arg = { A(domctl) } };
	tap_equal(xen_ioctl(fd, IOCTL_PRIVCMD_HYPERCALL, call), 0, "arguments can be in it");
	tap_equal(domctl->u.getdomaininfo.domain, domain, "and answers");
	domctl->cmd = XEN_DOMCTL_destroydomain;
	tap_equal(xen_ioctl(fd, IOCTL_PRIVCMD_HYPERCALL, call), 0,
		  "its end can be asked for from there");
	tap_equal(xen_ioctl(fd, IOCTL_PRIVCMD_HYPERCALL, call), -ESRCH,
		  "which is there when the domain is not");
	munmap(call, PAGE_SIZE);
}

/* What is created and cannot be told, is there: whoever asked for a number can end it. */
static void test_untold(void)
{
	struct xen_domctl domctl = {
		.cmd = XEN_DOMCTL_createdomain, .interface_version = XEN_DOMCTL_INTERFACE_VERSION,
		.domain = 3000,
	};
	struct xen_domctl_createdomain *create = &domctl.u.createdomain;

	create->flags = XEN_DOMCTL_CDF_hvm | XEN_DOMCTL_CDF_hap;
	create->max_vcpus = 1;
	create->max_evtchn_port = 1023;
	create->max_grant_frames = 4;
	create->grant_opts = XEN_DOMCTL_GRANT_version(1);
	create->arch.emulation_flags = XEN_X86_EMU_LAPIC;
	write_read_only(&domctl, sizeof(domctl));
	tap_equal(xen_call1(fd, __HYPERVISOR_domctl, READ_ONLY), -EFAULT,
		  "a new domain's number cannot be told");
	tap_equal(domain_destroy(fd, 3000), -ESRCH, "so there is none");
}

static void test_closed(void)
{
	static const unsigned long requests[] = {
		IOCTL_PRIVCMD_HYPERCALL, IOCTL_PRIVCMD_MMAPBATCH, IOCTL_PRIVCMD_MMAPBATCH_V2,
		IOCTL_PRIVCMD_DM_OP,
		IOCTL_PRIVCMD_RESTRICT, IOCTL_PRIVCMD_MMAP_RESOURCE,
	};
	long domain = DOMAIN_MAKE(fd, 1, code_idle, 0);
	int other = xen_open("privcmd"), null = open("/dev/null", O_RDWR | O_CLOEXEC);
	xen_pfn_t frame = 1;
	uint8_t *at = xen_map(other, domain, &frame, 1);
	privcmd_mmapbatch_v2_t batch = {
		.num = 1, .dom = domain, .arr = &frame, .err = &(int){ 0 },
	};
	unsigned int i, closed = 0, foreign = 0;

	close(other);
	for (i = 0; i < sizeof(requests) / sizeof(requests[0]); i++) {
		closed += xen_ioctl(other, requests[i], memory) == -EBADF;
		foreign += xen_ioctl(null, requests[i], memory) == -ENOTTY;
	}
	tap_equal(closed, i, "a closed descriptor takes nothing");
	tap_equal(foreign, i, "nor does another device's");
	close(null);
	tap(at != NULL, "what it mapped");
	if (at) {
		at[5] = 55;
		tap_equal(at[5], 55, "stays");
		/* Another open file's mapping is none of this one's. */
		batch.addr = A(at);
		tap_equal(xen_ioctl(fd, IOCTL_PRIVCMD_MMAPBATCH_V2, &batch), -EINVAL,
			  "another descriptor does not map into it");
		munmap(at, PAGE_SIZE);
	}
	domain_destroy(fd, domain);
}

static void test_file(void)
{
	struct pollfd wait = { .fd = fd, .events = POLLIN | POLLOUT };
	struct stat is;
	char byte = 0;
	int status;
	pid_t child;

	tap_equal(read(fd, &byte, 1) < 0 ? errno : 0, EINVAL, "nothing can be read");
	tap_equal(write(fd, &byte, 1) < 0 ? errno : 0, EINVAL, "nor written");
	tap_equal(poll(&wait, 1, 0), 0, "nor is there anything to wait for");
	tap(!fstat(fd, &is) && S_ISCHR(is.st_mode) && (is.st_mode & 0777) == 0600 && !is.st_uid,
	    "the device is root's alone");
	child = fork();
	if (!child) {
		if (setgid(65534) || setuid(65534))
			_exit(3);
		if (open("/dev/xen/privcmd", O_RDWR | O_CLOEXEC) >= 0 || errno != EACCES)
			_exit(1);
		/* As in Linux: the file is the right. */
		_exit(xen_call2(fd, __HYPERVISOR_xen_version, XENVER_pagesize, 0) == 4096 ? 0 : 2);
	}
	waitpid(child, &status, 0);
	tap_equal(status, 0, "nobody else opens it; whom root gave it to may use it");
}

int main(void)
{
	long domain;

	fd = xen_open("privcmd");
	tap_plan(0);
	memory = mmap(NULL, 4 * PAGE_SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1,
		      0);
	mprotect(READ_ONLY, PAGE_SIZE, PROT_READ);
	munmap(MISSING, PAGE_SIZE);
	domain = DOMAIN_MAKE(fd, 1, code_idle, 0);
	if (!tap(domain > 0, "a domain is made"))
		tap_bail("domain_make is %ld", domain);
	test_hypercall();
	test_domctl(domain);
	test_writes_back(domain);
	test_guest_memory(domain);
	test_untold();
	test_closed();
	test_file();
	return tap_end();
}
