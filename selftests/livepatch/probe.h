/* SPDX-License-Identifier: GPL-2.0-only */
/* Probes of the kernel, and what its log says. */
#ifndef SELFTESTS_PROBE_H
#define SELFTESTS_PROBE_H

#include "lp.h"

#define TRACING "/sys/kernel/tracing/"

/* Writes to a file, or appends. Returns 0 or a negative error number. */
__attribute__((unused)) static int file_write(const char *path, int flags, const char *text)
{
	int to = open(path, O_WRONLY | O_CLOEXEC | flags), rc = 0;

	if (to < 0)
		return -errno;
	if (write(to, text, strlen(text)) != (ssize_t)strlen(text))
		rc = -errno;
	close(to);
	return rc;
}

/* Puts a probe at an offset in one of the module's functions. Returns 0 or a negative error number. */
__attribute__((unused)) static int probe_put(const char *function, unsigned int offset)
{
	char line[128];
	int rc;

	snprintf(line, sizeof(line), "p:lptest/probe oxen:%s+%u", function, offset);
	rc = file_write(TRACING "kprobe_events", O_APPEND, line);
	return rc ?: file_write(TRACING "events/lptest/probe/enable", 0, "1");
}

/* Takes it away. */
__attribute__((unused)) static int probe_take(void)
{
	int rc = file_write(TRACING "events/lptest/probe/enable", 0, "0");

	return rc ?: file_write(TRACING "kprobe_events", O_APPEND, "-:lptest/probe");
}

/* The log from here on. */
__attribute__((unused)) static int log_open(void)
{
	int log = open("/dev/kmsg", O_RDONLY | O_NONBLOCK | O_CLOEXEC);

	if (log < 0 || lseek(log, 0, SEEK_END) < 0)
		tap_bail("cannot read the kernel's log: %s", strerror(errno));
	return log;
}

/* Whether a line that came since then has this text. Reads all lines. */
__attribute__((unused)) static bool log_says(int log, const char *text)
{
	char line[8192];
	bool found = false;
	ssize_t len;

	for (;;) {
		len = read(log, line, sizeof(line) - 1);
		/* Lines that have been overwritten are no end. */
		if (len < 0 && errno == EPIPE)
			continue;
		if (len <= 0)
			return found;
		line[len] = 0;
		found |= strstr(line, text) != NULL;
	}
}

#endif
