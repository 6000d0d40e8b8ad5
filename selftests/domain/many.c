// SPDX-License-Identifier: GPL-2.0-only
/*
 * Proves that there can be 64 domains at once and 64 vCPUs in one, that a domain can come and go many
 * times, and that the host's memory is as it was after that.
 */

#include "domain.h"

static int fd;

/* Kernel memory that is not given back, in KiB. */
static long kernel_memory(void)
{
	FILE *file = fopen("/proc/meminfo", "r");
	char line[128];
	long sum = 0, value;

	while (file && fgets(line, sizeof(line), file))
		if (sscanf(line, "SUnreclaim: %ld", &value) == 1 ||
		    sscanf(line, "KernelStack: %ld", &value) == 1 ||
		    sscanf(line, "VmallocUsed: %ld", &value) == 1 ||
		    sscanf(line, "Percpu: %ld", &value) == 1)
			sum += value;
	if (file)
		fclose(file);
	return sum;
}

static long free_memory(void)
{
	FILE *file = fopen("/proc/meminfo", "r");
	char line[128];
	long value = 0;

	while (file && fgets(line, sizeof(line), file) &&
	       sscanf(line, "MemAvailable: %ld", &value) != 1)
		;
	if (file)
		fclose(file);
	return value;
}

static void test_domains(void)
{
	long domains[64];
	unsigned int i, made = 0, running = 0, gone = 0;
	int before = domain_count(fd);

	for (i = 0; i < 64; i++) {
		domains[i] = DOMAIN_MAKE(fd, 1, code_idle, 0);
		made += domains[i] > 0;
	}
	tap_equal(made, 64, "64 domains are made");
	for (i = 0; i < 64; i++)
		domain_unpause(fd, domains[i]);
	usleep(500000);
	for (i = 0; i < 64; i++) {
		long flags = xen_flags(fd, domains[i]);

		running += flags >= 0 && !(flags & (XEN_DOMINF_paused | XEN_DOMINF_shutdown));
	}
	tap_equal(running, 64, "all run");
	tap_equal(domain_count(fd), before + 64, "all are listed");
	/* Not in the order in which they came. */
	for (i = 0; i < 64; i++)
		gone += !domain_destroy(fd, domains[i * 29 % 64]);
	tap_equal(gone, 64, "all are destroyed");
	tap_equal(domain_count(fd), before, "none is left");
}

static void test_vcpus(void)
{
	long domain = DOMAIN_MAKE(fd, 64, code_idle, 0);
	struct xen_domctl domctl = { 0 };
	unsigned int i, there = 0;

	tap_equal(domain > 0 ? 0 : domain, 0, "a domain with 64 vCPUs is made");
	for (i = 0; i < 64; i++) {
		domctl.u.getvcpuinfo.vcpu = i;
		there += !xen_domctl(fd, XEN_DOMCTL_getvcpuinfo, domain, &domctl) &&
			 domctl.u.getvcpuinfo.online == !i;
	}
	tap_equal(there, 64, "all are there, the first is up");
	domain_unpause(fd, domain);
	usleep(100000);
	tap_equal(domain_destroy(fd, domain), 0, "it runs and is destroyed");
}

static void test_again(void)
{
	long kernel = 0, memory = 0, domain;
	unsigned int i, good = 0;

	for (i = 0; i < 120; i++) {
		/* What the first rounds leave in caches is not lost. */
		if (i == 20) {
			kernel = kernel_memory();
			memory = free_memory();
		}
		domain = DOMAIN_MAKE(fd, 1 + i % 4, code_shutdown, SHUTDOWN_poweroff);
		domain_unpause(fd, domain);
		good += domain_wait_shutdown(fd, domain) == SHUTDOWN_poweroff &&
			!domain_destroy(fd, domain);
	}
	tap_equal(good, 120, "120 domains come and go");
	kernel = kernel_memory() - kernel;
	memory -= free_memory();
	/* A page for each of a hundred would be 400 KiB. */
	if (!access("/sys/kernel/debug/kmemleak", F_OK)) {
		tap_skip("kmemleak looks for what is lost", "kernel memory grows by %ld KiB",
			 kernel);
		tap_skip("the kernel keeps what was freed for a while",
			 "available memory shrinks by %ld KiB", memory);
		return;
	}
	tap(kernel < 400, "kernel memory grows by %ld KiB", kernel);
	tap(memory < 8192, "available memory shrinks by %ld KiB", memory);
}

int main(void)
{
	fd = xen_open("privcmd");
	tap_plan(0);
	test_domains();
	test_vcpus();
	test_again();
	return tap_end();
}
