// SPDX-License-Identifier: GPL-2.0-only
/* Proves that what the kernel's own tools write into the hypervisor's functions is never written over. */

#include "probe.h"

#define OPTIMIZE "/proc/sys/debug/kprobes-optimization"

static uint32_t fresh;

/* Gives results: a payload cannot be applied, the log says why, and nothing has changed. */
static void not_applied(int log, const char *why)
{
	tap_equal(lp_apply("core42"), -EINVAL, "%s: what it is in is not replaced", why);
	tap_equal(lp_get("core42", NULL), CHECKED, "%s: its state is as it was", why);
	tap(log_says(log, "core42"), "%s: the log says so", why);
	tap_equal(lp_core(0), fresh, "%s: nothing has changed", why);
}

/* Gives results: a payload is applied and reverted. */
static void works(const char *when)
{
	tap_equal(lp_apply("core42"), 0, "%s it is applied", when);
	tap_equal(lp_core(0), 42, "and in use");
	tap_equal(lp_revert("core42"), 0, "and reverted");
	tap_equal(lp_core(0), fresh, "and not in use then");
}

static void test_breakpoint(int log)
{
	file_write(OPTIMIZE, 0, "0");
	if (probe_put("oxen_cpu_core_id", 9)) {
		tap_skip("no probes here", "a probe where a payload writes");
		return;
	}
	not_applied(log, "a breakpoint");
	tap_equal(probe_take(), 0, "it is taken away");
	works("when it has gone");

	tap_equal(lp_apply("core42"), 0, "it is applied");
	tap_equal(probe_put("oxen_cpu_core_id", 9), 0, "a breakpoint comes where it has written");
	tap_equal(lp_core(0), 42, "it is in use with that");
	tap_equal(lp_revert("core42"), -EINVAL,
		  "what is there is not what was written: it is not reverted");
	tap_equal(lp_get("core42", NULL), APPLIED, "its state is as it was");
	tap(log_says(log, "the code at write 0 is not what it was"), "the log says so");
	tap_equal(lp_core(0), 42, "it is in use");
	tap_equal(probe_take(), 0, "it is taken away");
	tap_equal(lp_revert("core42"), 0, "it is reverted then");
	tap_equal(lp_core(0), fresh, "and not in use then");
}

/* Whether the kernel has made a jump of a breakpoint; that takes it a while. */
static bool is_optimized(void)
{
	unsigned int tries;
	char line[256];
	bool found;
	FILE *list;

	for (tries = 0; tries < 100; tries++) {
		list = fopen("/sys/kernel/debug/kprobes/list", "r");
		for (found = false; list && !found && fgets(line, sizeof(line), list);)
			found = strstr(line, "oxen_cpu_core_id") && strstr(line, "[OPTIMIZED]");
		if (list)
			fclose(list);
		if (found)
			return true;
		usleep(100000);
	}
	return false;
}

/* A probe that has become a jump, which looks like a patch. */
static void test_jump(int log)
{
	if (file_write(OPTIMIZE, 0, "1") || probe_put("oxen_cpu_core_id", 9)) {
		tap_skip("no probes here", "a probe that is a jump");
		return;
	}
	if (!is_optimized()) {
		tap_skip("this kernel does not optimize it", "a probe that is a jump");
		probe_take();
		return;
	}
	not_applied(log, "a probe that is a jump");
	tap_equal(lp_upload_as("again", "core43"), 0, "one is loaded that replaces it");
	tap_equal(lp_apply_alone("again"), -EINVAL, "nor is that applied");
	tap(log_says(log, "oxen_cpu_core_id"), "the log says why");
	tap_equal(probe_take(), 0, "it is taken away");
	works("when it has gone");
	tap_equal(lp_unload("again"), 0, "the other is unloaded");
}

/* How often the tracer has seen the function. */
static unsigned int traced(void)
{
	FILE *trace = fopen(TRACING "trace", "r");
	unsigned int found = 0;
	char line[512];

	while (trace && fgets(line, sizeof(line), trace))
		found += *line != '#' && strstr(line, "oxen_cpu_core_id") != NULL;
	if (trace)
		fclose(trace);
	return found;
}

/* The function tracer writes in front of where a payload does. */
static void test_tracer(int log)
{
	unsigned int before, after;

	if (file_write(TRACING "set_ftrace_filter", O_TRUNC, "oxen_cpu_core_id") ||
	    file_write(TRACING "current_tracer", 0, "function")) {
		tap_skip("no function tracer here", "a function that is traced");
		return;
	}
	lp_core(0);
	before = traced();
	tap(before > 0, "a function is traced");
	tap_equal(lp_upload_as("again", "core43"), -EOPNOTSUPP,
		  "what would replace it is not loaded now");
	tap(log_says(log, "oxen_cpu_core_id"), "the log says why");
	tap_equal(lp_apply("core42"), 0, "what was loaded before is applied");
	tap_equal(lp_core(0), 42, "and in use");
	after = traced();
	tap(after > before, "which the tracer sees");
	tap_equal(file_write(TRACING "current_tracer", 0, "nop"), 0, "it is not traced any more");
	tap_equal(lp_core(0), 42, "the payload is in use");
	tap_equal(file_write(TRACING "current_tracer", 0, "function"), 0, "it is traced again");
	tap_equal(lp_core(0), 42, "the payload is in use");
	tap_equal(lp_revert("core42"), 0, "it is reverted");
	tap_equal(lp_core(0), fresh, "what was there before is in use");
	file_write(TRACING "current_tracer", 0, "nop");
	file_write(TRACING "set_ftrace_filter", O_TRUNC, "");
	works("when nothing traces");
	tap_equal(lp_upload_as("again", "core43"), 0, "the other is loaded then");
	tap_equal(lp_unload("again"), 0, "and unloaded");
}

int main(void)
{
	int log;

	fd = xen_open("privcmd");
	if (lp_count() != 0)
		tap_skip_all("there are payloads already");
	if (access(TRACING "kprobe_events", W_OK) && access(TRACING "current_tracer", W_OK))
		tap_skip_all("no tracing here");
	fresh = lp_core(0);
	log = log_open();
	tap_plan(0);
	lp_upload("core42");
	test_breakpoint(log);
	test_jump(log);
	test_tracer(log);
	file_write(OPTIMIZE, 0, "1");
	tap_equal(lp_unload("core42"), 0, "it is unloaded");
	tap_equal(lp_count(), 0, "none is left");
	return tap_end();
}
