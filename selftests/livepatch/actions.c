// SPDX-License-Identifier: GPL-2.0-only
/* Proves that XEN_SYSCTL_LIVEPATCH_OP answers as Xen 4.20 does: names, states, the stack, the list. */

#include <pthread.h>

#include "lp.h"

static void test_names(void)
{
	struct xen_sysctl_livepatch_op op = { .cmd = XEN_SYSCTL_LIVEPATCH_GET };
	struct file file = lp_read("core42");
	char longest[129];

	memset(longest, 'n', 127);
	longest[127] = 0;
	tap_equal(lp_upload_bytes(longest, &file), 0, "L-2 a name may have 127 bytes");
	tap_equal(lp_get(longest, NULL), CHECKED, "L-1 what was loaded is CHECKED");
	tap_equal(lp_upload_bytes(longest, &file), -EEXIST, "L-2 a name is used once");
	tap_equal(lp_upload_bytes("other", &file), -EEXIST, "a payload is loaded once");
	tap_equal(lp_unload(longest), 0, "it is unloaded");
	tap_equal(lp_get(longest, NULL), -ENOENT, "and is gone");
	tap_equal(lp_unload(longest), -ENOENT, "so that it cannot be unloaded again");
	memset(longest, 'n', 128);
	longest[128] = 0;
	tap_equal(lp_upload_bytes(longest, &file), -EINVAL, "L-2 a name has no more");
	tap_equal(lp_upload_bytes("", &file), -EINVAL, "L-2 and at least one");

	op.u.get.name = lp_name("x");
	op.u.get.name.pad[1] = 1;
	tap_equal(lp_op(&op), -EINVAL, "padding of a name is 0");
	op.u.get.name = lp_name("x");
	op.u.get.name.size = 1;
	tap_equal(lp_op(&op), -EINVAL, "a name ends with a zero");
	op.u.get.name.size = 0;
	tap_equal(lp_op(&op), -EINVAL, "it has a length");
	op.u.get.name = lp_name("x");
	op.u.get.name.name.p = (void *)0x1000;
	tap_equal(lp_op(&op), -EFAULT, "it is somewhere");
	op.cmd = 4;
	tap_equal(lp_op(&op), -EOPNOTSUPP, "there is no fifth command");
	op.flags = 2;
	tap_equal(lp_op(&op), -EINVAL, "there is one flag");
	free(file.bytes);
}

static void test_upload(void)
{
	struct xen_sysctl_livepatch_op op = { .cmd = XEN_SYSCTL_LIVEPATCH_UPLOAD };
	struct file file = lp_read("core42");
	static unsigned char large[(2 << 20) + 1];

	op.u.upload.name = lp_name("x");
	op.u.upload.payload.p = file.bytes;
	tap_equal(lp_op(&op), -EINVAL, "a payload has a size");
	op.u.upload.size = sizeof(large);
	op.u.upload.payload.p = large;
	tap_equal(lp_op(&op), -EINVAL, "of 2 MiB at most");
	op.u.upload.size = ~0ULL;
	tap_equal(lp_op(&op), -EINVAL, "far less than all there is");
	op.u.upload.size = file.len;
	op.u.upload.payload.p = (void *)0x1000;
	tap_equal(lp_op(&op), -EFAULT, "it is somewhere");
	op.u.upload.payload.p = large;
	tap_equal(lp_op(&op), -EINVAL, "zeroes are none");
	free(file.bytes);
}

static void test_states(uint32_t fresh)
{
	int result;
	unsigned int i, bad = 0;

	lp_upload("core42");
	lp_upload("core43");
	lp_upload("core44");
	tap_equal(lp_act("nobody", LIVEPATCH_ACTION_APPLY, 0, 0), -ENOENT,
		  "there is no payload of another name");
	for (i = 5; i < 16; i++)
		bad += lp_act("core42", i, 0, 0) != -EOPNOTSUPP;
	tap_equal(bad + (lp_act("core42", 0, 0, 0) != -EOPNOTSUPP), 0, "there are four actions");
	tap_equal(lp_act("core42", LIVEPATCH_ACTION_REVERT, 0, 0), 0,
		  "what is not applied is reverted by doing nothing");
	tap_equal(lp_act("core43", LIVEPATCH_ACTION_APPLY, 0, 0), -EINVAL,
		  "L-4 the stack begins with what it is for");
	tap_equal(lp_apply("core42"), 0, "L-1 a payload is applied");
	tap_equal(lp_get("core42", &result), APPLIED, "L-1 it is APPLIED");
	tap_equal(result, 0, "L-1 without an error, at once");
	tap_equal(lp_core(0), 42, "and in use");
	tap_equal(lp_core(1), 43, "on every processor");
	tap_equal(lp_act("core42", LIVEPATCH_ACTION_APPLY, 0, 0), 0,
		  "what is applied is applied by doing nothing");
	tap_equal(lp_unload("core42"), -EINVAL, "LP-1 what is applied is not unloaded");
	tap_equal(lp_apply("core44"), -EINVAL, "L-4 what is not for the one on top is not applied");
	tap_equal(lp_apply("core43"), 0, "L-4 what is for it is");
	tap_equal(lp_core(0), 43, "and covers what is below");
	tap_equal(lp_revert("core42"), -EBUSY, "L-4 what is below another is not reverted");
	tap_equal(lp_core(0), 43, "nothing has changed");
	tap_equal(lp_replace("core44"), 0, "L-4 what is for the hypervisor replaces the stack");
	tap_equal(lp_core(0), 44, "and is in use");
	tap_equal(lp_package(0), 144, "with both its functions, the one through the other");
	tap_equal(lp_get("core42", NULL), CHECKED,
		  "what was at the bottom is not applied any more");
	tap_equal(lp_get("core43", NULL), CHECKED, "nor is what was above it");
	tap_equal(lp_revert("core44"), 0, "the replacement is reverted");
	tap_equal(lp_core(0), fresh, "and what was there at first is back");
	tap_equal(lp_apply_alone("core43"), 0, "without dependencies it is applied alone");
	tap_equal(lp_core(0), 43, "and in use");
	tap_equal(lp_replace("core43"), 0, "what is applied replaces nothing");
	tap_equal(lp_apply("core42"), -EINVAL, "L-4 what is for the hypervisor is not for it");
	tap_equal(lp_revert("core43"), 0, "it is reverted");
	tap_equal(lp_replace("core43"), -EINVAL, "L-4 what is for another replaces nothing");
	tap_equal(lp_core(0), fresh, "nothing has changed");
}

/* LP-14: one of the three makes place for another, of the same name, which says more of itself. */
static void test_list_grows(struct xen_sysctl_livepatch_op *op, char *metadata, size_t len)
{
	uint32_t room;

	op->u.list.idx = 0;
	op->u.list.nr = 0;
	tap_equal(lp_op(op), 0, "the tool asks how much there is");
	room = op->u.list.metadata_total_size;
	lp_unload("core43");
	tap_equal(lp_upload_as("core43", "wordy"), 0, "one is loaded that says more");
	memset(metadata, 'x', len);
	op->u.list.nr = 8;
	tap_equal(lp_op(op), 2, "L-13 LP-14 it is not listed");
	tap_equal(op->u.list.nr, 1, "one is left");
	tap(op->u.list.metadata_total_size <= room && !memchr(metadata, 'x',
	    op->u.list.metadata_total_size) &&
	    metadata[op->u.list.metadata_total_size] == 'x',
	    "L-13 LP-14 no byte more is written than what there is of the others");
	op->u.list.nr = 0;
	tap_equal(lp_op(op), 0, "the tool asks again");
	tap(op->u.list.metadata_total_size > room, "there is more");
	op->u.list.nr = 8;
	tap_equal(lp_op(op), 3, "all are listed");
	lp_unload("core43");
	lp_upload("core43");
}

/* The three that are loaded, in order. */
static void test_list(void)
{
	struct xen_sysctl_livepatch_op op = { .cmd = XEN_SYSCTL_LIVEPATCH_LIST };
	struct xen_livepatch_status status[8];
	uint32_t name_len[8], metadata_len[8], version, metadata_total, i;
	char names[2048], metadata[4096], *at;
	long rc;

	tap_equal(lp_op(&op), 0, "L-1 the list says how many there are");
	tap_equal(op.u.list.nr, 3, "which are three");
	tap_equal(op.u.list.name_total_size, 3 * 7, "L-13 how long their names are");
	metadata_total = op.u.list.metadata_total_size;
	version = op.u.list.version;
	op.u.list.nr = 1025;
	tap_equal(lp_op(&op), -E2BIG, "it lists at most 1024 at once");
	op.u.list.nr = 0;
	op.u.list.idx = 3;
	tap_equal(lp_op(&op), -EINVAL, "there is no fourth");
	op.u.list.idx = 0;
	op.u.list.pad = 1;
	tap_equal(lp_op(&op), -EINVAL, "padding is 0");
	op.u.list.pad = 0;

	memset(names, 'x', sizeof(names));
	memset(metadata, 'x', sizeof(metadata));
	op.u.list.nr = 8;
	op.u.list.status.p = status;
	op.u.list.name.p = names;
	op.u.list.len.p = name_len;
	op.u.list.metadata.p = metadata;
	op.u.list.metadata_len.p = metadata_len;
	tap_equal(rc = lp_op(&op), 3, "L-1 all are listed");
	tap_equal(op.u.list.nr, 0, "none is left");
	tap_equal(op.u.list.version, version, "the list has not changed");
	tap(!memcmp(names, "core42\0core43\0core44", 21) && names[21] == 'x', "with their names");
	tap_equal(name_len[0], 7, "and the lengths of these");
	tap_equal(metadata_len[0] + metadata_len[1] + metadata_len[2], metadata_total,
		  "L-13 what they say of themselves");
	tap(metadata[metadata_total] == 'x', "L-13 no byte more is written");
	tap(!strcmp(metadata, "about=core is 42") && !strcmp(metadata + 17, "author=selftest"),
	    "as the payload has it");
	for (i = 0, at = metadata; i < metadata_total; i += strlen(at) + 1, at = metadata + i)
		if (!strncmp(at, "pause_ns=", 9) && strtoull(at + 9, NULL, 10) > 0)
			break;
	tap(i < metadata_total, "L-7 and how long the last action paused vCPUs: %s ns", at + 9);
	tap_equal(status[0].state, CHECKED, "with their states");

	op.u.list.idx = 1;
	op.u.list.nr = 1;
	memset(names, 'x', sizeof(names));
	tap_equal(lp_op(&op), 1, "one in the middle is listed");
	tap_equal(op.u.list.nr, 1, "one is left");
	tap(!memcmp(names, "core43", 7) && names[7] == 'x', "it is the right one");

	/* LP-14: what was loaded after a tool asked for the sizes does not fit. */
	lp_upload("nop");
	op.u.list.idx = 0;
	op.u.list.nr = 8;
	memset(names, 'x', sizeof(names));
	memset(metadata, 'x', sizeof(metadata));
	tap_equal(lp_op(&op), 3, "L-13 LP-14 no more are listed than the sizes that were told");
	tap(names[21] == 'x' && metadata[metadata_total] == 'x',
	    "L-13 LP-14 no byte more is written");
	tap_equal(op.u.list.nr, 1, "one is left");
	tap(op.u.list.version != version, "the list has changed");
	op.u.list.idx = 3;
	op.u.list.nr = 8;
	tap_equal(lp_op(&op), -EBUSY, "L-13 it cannot be listed before the tool asks again");
	op.u.list.idx = 0;
	op.u.list.nr = 0;
	lp_op(&op);
	op.u.list.nr = 8;
	tap_equal(lp_op(&op), 4, "and can afterwards");

	/* The sizes are the same, but what is before the first to be listed may be longer. */
	lp_unload("nop");
	lp_upload_as("pon", "nop");
	op.u.list.idx = 1;
	op.u.list.nr = 8;
	tap_equal(lp_op(&op), -EBUSY, "L-13 nor from its middle, if it is another list");
	op.u.list.idx = 0;
	tap_equal(lp_op(&op), 4, "but from its begin");
	op.u.list.nr = 8;
	op.u.list.name.p = (void *)0x1000;
	tap_equal(lp_op(&op), -EFAULT, "it is written somewhere");
	lp_unload("pon");
	op.u.list.name.p = names;
	test_list_grows(&op, metadata, sizeof(metadata));
}

/* A tool that has not asked how much there is has no buffer that we know the size of. */
static void test_list_unasked(void)
{
	struct xen_sysctl_livepatch_op op = { .cmd = XEN_SYSCTL_LIVEPATCH_LIST };
	struct xen_livepatch_status status[8] = { 0 };
	char names[1024] = { 0 }, metadata[4096] = { 0 };
	uint32_t name_len[8], metadata_len[8];
	int other = fd;

	fd = xen_open("privcmd");
	op.u.list.nr = 8;
	op.u.list.status.p = status;
	op.u.list.name.p = names;
	op.u.list.len.p = name_len;
	op.u.list.metadata.p = metadata;
	op.u.list.metadata_len.p = metadata_len;
	tap_equal(lp_op(&op), -EBUSY,
		  "L-13 nothing is listed for a tool that has never asked how much there is");
	tap(!status[0].state && !names[0] && !metadata[0], "L-13 nor written");
	tap_equal(lp_count(), 3, "it asks");
	op.u.list.nr = 8;
	tap_equal(lp_op(&op), 3, "and can list them");
	close(fd);
	fd = other;
}

static void *act_often(void *cmd)
{
	unsigned long busy = 0, bad = 0, i;

	for (i = 0; i < 60; i++) {
		long rc = lp_act("core42", (unsigned long)cmd, 2000000000, 0);

		busy += rc == -EBUSY;
		bad += rc && rc != -EBUSY && rc != -EINVAL && rc != -ENOENT;
	}
	return (void *)(bad << 32 | busy);
}

static void *load_often(__attribute__((unused)) void *unused)
{
	struct file file = lp_read("core42");
	unsigned long bad = 0, i;

	for (i = 0; i < 60; i++) {
		long rc = lp_upload_bytes("core42", &file);

		bad += rc && rc != -EEXIST;
	}
	free(file.bytes);
	return (void *)(bad << 32);
}

/* Tools that know nothing of each other. */
static void test_two_at_once(uint32_t fresh)
{
	static const unsigned long cmds[] = {
		LIVEPATCH_ACTION_APPLY, LIVEPATCH_ACTION_REVERT,
		LIVEPATCH_ACTION_UNLOAD, LIVEPATCH_ACTION_REPLACE,
	};
	pthread_t threads[5];
	unsigned long bad = 0, busy = 0;
	unsigned int i;
	uint32_t core;
	long state;

	for (i = 0; i < 4; i++)
		pthread_create(&threads[i], NULL, act_often, (void *)cmds[i]);
	pthread_create(&threads[4], NULL, load_often, NULL);
	for (i = 0; i < 5; i++) {
		void *result;

		pthread_join(threads[i], &result);
		bad += (unsigned long)result >> 32;
		busy += (uint32_t)(unsigned long)result;
	}
	tap_note("%lu calls came while something was being done", busy);
	tap_equal(bad, 0, "LP-1 tools that disturb each other get answers that say so");
	state = lp_get("core42", NULL);
	core = lp_core(0);
	tap(state == APPLIED ? core == 42 : core == fresh,
	    "L-5 and what is in use is what the state says");
	if (state == APPLIED)
		tap_equal(lp_revert("core42"), 0, "it can be reverted");
	else
		tap_skip("it is not applied", "it can be reverted");
	tap_equal(lp_core(0), fresh, "and is not in use then");
}

int main(void)
{
	uint32_t fresh;

	fd = xen_open("privcmd");
	if (lp_count() != 0)
		tap_skip_all("there are payloads already");
	fresh = lp_core(0);
	tap_plan(0);
	test_names();
	test_upload();
	test_states(fresh);
	test_list();
	test_list_unasked();
	test_two_at_once(fresh);
	lp_unload("core42");
	tap_equal(lp_unload("core43"), 0, "one is unloaded");
	tap_equal(lp_unload("core44"), 0, "the other is unloaded");
	tap_equal(lp_count(), 0, "none is left");
	return tap_end();
}
