/* SPDX-License-Identifier: GPL-2.0-only */
/* Live patching as a tool does it, straight to the hypercall; and what tests see of a payload. */
#ifndef SELFTESTS_LP_H
#define SELFTESTS_LP_H

#include <libgen.h>
#include <limits.h>
#include <sys/stat.h>

#include "xen.h"

#define RUNNING "the running build-id"
#define CHECKED LIVEPATCH_STATE_CHECKED
#define APPLIED LIVEPATCH_STATE_APPLIED

static int fd;

/* A file in memory. */
struct file {
	unsigned char *bytes;
	size_t len;
};

/* Puts the running build's identity where the placeholder is. Returns how often it was there. */
static unsigned int lp_name_running(struct file *file)
{
	struct {
		struct xen_build_id id;
		unsigned char bytes[64];
	} running = { .id.len = sizeof(running.bytes) };
	size_t len = strlen(RUNNING);
	unsigned int found = 0;
	unsigned char *at;

	if (xen_call2(fd, __HYPERVISOR_xen_version, XENVER_build_id, &running) != (long)len)
		tap_bail("the hypervisor has no build-id of %zu bytes", len);
	while ((at = memmem(file->bytes, file->len, RUNNING, len))) {
		memcpy(at, running.id.buf, len);
		found++;
	}
	return found;
}

/* Reads a file; without a slash in its name, one that stands beside the program. */
__attribute__((unused)) static struct file lp_read(const char *name)
{
	static char self[PATH_MAX];
	char path[PATH_MAX + 64];
	struct file file = { 0 };
	struct stat status;
	FILE *in;

	if (!*self && readlink("/proc/self/exe", self, sizeof(self) - 1) < 0)
		tap_bail("cannot find out where I am");
	if (strchr(name, '/'))
		snprintf(path, sizeof(path), "%s", name);
	else
		snprintf(path, sizeof(path),
			 "%.*s/%s.payload", (int)(strrchr(self, '/') - self), self, name);
	in = fopen(path, "r");
	if (!in || fstat(fileno(in), &status))
		tap_bail("cannot open %s: %s", path, strerror(errno));
	file.len = status.st_size;
	file.bytes = malloc(file.len + 1);
	if (!file.bytes || fread(file.bytes, 1, file.len, in) != file.len)
		tap_bail("cannot read %s", path);
	fclose(in);
	lp_name_running(&file);
	return file;
}

__attribute__((unused)) static long lp_op(struct xen_sysctl_livepatch_op *op)
{
	struct xen_sysctl sysctl = { 0 };
	long rc;

	sysctl.u.livepatch = *op;
	rc = xen_sysctl(fd, XEN_SYSCTL_livepatch_op, &sysctl);
	*op = sysctl.u.livepatch;
	return rc;
}

static struct xen_livepatch_name lp_name(const char *name)
{
	struct xen_livepatch_name to = { .size = strlen(name) + 1 };

	to.name.p = (char *)name;
	return to;
}

/* Loads bytes under a name. */
__attribute__((unused)) static long lp_upload_bytes(const char *name, const struct file *file)
{
	struct xen_sysctl_livepatch_op op = { .cmd = XEN_SYSCTL_LIVEPATCH_UPLOAD };

	op.u.upload.name = lp_name(name);
	op.u.upload.size = file->len;
	op.u.upload.payload.p = file->bytes;
	return lp_op(&op);
}

/* Loads one of the payloads under its own name, or a file. */
__attribute__((unused)) static long lp_upload_as(const char *name, const char *payload)
{
	struct file file = lp_read(payload);
	long rc = lp_upload_bytes(name, &file);

	free(file.bytes);
	return rc;
}

#define lp_upload(payload) lp_upload_as(payload, payload)

/* Returns the state, and the last action's result, or a negative error number. */
__attribute__((unused)) static long lp_get(const char *name, int *result)
{
	struct xen_sysctl_livepatch_op op = { .cmd = XEN_SYSCTL_LIVEPATCH_GET };
	long rc;

	op.u.get.name = lp_name(name);
	rc = lp_op(&op);
	if (rc < 0)
		return rc;
	if (result)
		*result = op.u.get.status.rc;
	return op.u.get.status.state;
}

__attribute__((unused))
static long lp_act(const char *name, uint32_t cmd, uint32_t timeout, uint32_t flags)
{
	struct xen_sysctl_livepatch_op op = { .cmd = XEN_SYSCTL_LIVEPATCH_ACTION };

	op.u.action.name = lp_name(name);
	op.u.action.cmd = cmd;
	op.u.action.timeout = timeout;
	op.u.action.flags = flags;
	return lp_op(&op);
}

/* An action that must succeed; on a slow machine it may take longer than the default allows. */
__attribute__((unused)) static long lp_do(const char *name, uint32_t cmd)
{
	int result;
	long rc = lp_act(name, cmd, 2000000000, 0);

	if (rc)
		return rc;
	if (cmd == LIVEPATCH_ACTION_UNLOAD)
		return 0;
	rc = lp_get(name, &result);
	return rc < 0 ? rc : result;
}

/* Applies a payload whatever was applied last. */
#define lp_apply_alone(name) \
	lp_act(name, LIVEPATCH_ACTION_APPLY, 2000000000, LIVEPATCH_ACTION_APPLY_NODEPS)

#define lp_apply(name) lp_do(name, LIVEPATCH_ACTION_APPLY)
#define lp_revert(name) lp_do(name, LIVEPATCH_ACTION_REVERT)
#define lp_replace(name) lp_do(name, LIVEPATCH_ACTION_REPLACE)
#define lp_unload(name) lp_do(name, LIVEPATCH_ACTION_UNLOAD)

/* What the hypervisor says of a processor: this is what payloads change. */
static struct xen_sysctl_cputopo lp_topology(unsigned int cpu)
{
	static struct xen_sysctl_cputopo cpus[512];
	struct xen_sysctl sysctl = { 0 };

	sysctl.u.cputopoinfo.num_cpus = 512;
	sysctl.u.cputopoinfo.cputopo.p = cpus;
	if (xen_sysctl(fd, XEN_SYSCTL_cputopoinfo, &sysctl) || cpu >= sysctl.u.cputopoinfo.num_cpus)
		tap_bail("cputopoinfo fails");
	return cpus[cpu];
}

__attribute__((unused)) static uint32_t lp_core(unsigned int cpu)
{
	return lp_topology(cpu).core;
}

__attribute__((unused)) static uint32_t lp_package(unsigned int cpu)
{
	return lp_topology(cpu).socket;
}

/*
 * Waits up to ten seconds until a process sleeps where signals do not reach it, for some time: not for a page of its
 * own code. Returns whether it does.
 */
__attribute__((unused)) static bool lp_sleeps(pid_t pid)
{
	unsigned int tries, asleep = 0;
	char path[64], state;
	FILE *stat;

	snprintf(path, sizeof(path), "/proc/%d/stat", pid);
	for (tries = 0; tries < 10000 && asleep < 20; tries++) {
		usleep(1000);
		stat = fopen(path, "r");
		if (!stat || fscanf(stat, "%*d (%*[^)]) %c", &state) != 1)
			state = 0;
		if (stat)
			fclose(stat);
		asleep = state == 'D' ? asleep + 1 : 0;
	}
	return asleep == 20;
}

/* How many payloads there are, or a negative error number. */
__attribute__((unused)) static long lp_count(void)
{
	struct xen_sysctl_livepatch_op op = { .cmd = XEN_SYSCTL_LIVEPATCH_LIST };
	long rc = lp_op(&op);

	return rc < 0 ? rc : op.u.list.nr;
}

/* Returns a time of the last action on a payload, in nanoseconds. */
__attribute__((unused))
static unsigned long lp_time(const char *name, const char *key)
{
	struct xen_sysctl_livepatch_op op = { .cmd = XEN_SYSCTL_LIVEPATCH_LIST };
	struct xen_livepatch_status status[8];
	uint32_t name_len[8], metadata_len[8], i;
	char names[1024], metadata[8192];
	const char *its = names, *of = metadata, *at;

	if (lp_op(&op) || op.u.list.nr > 8 || op.u.list.metadata_total_size > sizeof(metadata))
		tap_bail("cannot list the payloads");
	op.u.list.idx = 0;
	op.u.list.status.p = status;
	op.u.list.name.p = names;
	op.u.list.len.p = name_len;
	op.u.list.metadata.p = metadata;
	op.u.list.metadata_len.p = metadata_len;
	if (lp_op(&op) <= 0)
		tap_bail("cannot list the payloads");
	for (i = 0; strcmp(its, name); i++) {
		its += name_len[i];
		of += metadata_len[i];
	}
	for (at = of; at < of + metadata_len[i]; at += strlen(at) + 1)
		if (!strncmp(at, key, strlen(key)))
			return strtoul(at + strlen(key), NULL, 10);
	tap_bail("%s has no %s", name, key);
}

#endif
