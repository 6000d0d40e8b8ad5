// SPDX-License-Identifier: GPL-2.0-only
/*
 * Runs a command and kills it with SIGKILL at its Nth stop. A stop is the entry or the return of an ioctl,
 * or, told `all`, of any system call; those of all its threads count.
 *
 *   kill-at N [all] -- COMMAND [ARGUMENT]...
 *
 * Ends with 0 if it killed the command, and with 3 if that ended by itself before; 1 if something else went
 * wrong. Where it killed goes to standard error.
 */

#include <errno.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <sys/wait.h>
#include <unistd.h>

enum { KILLED = 0, FAILED = 1, ENDED = 3 };

static const long options = PTRACE_O_TRACESYSGOOD | PTRACE_O_EXITKILL | PTRACE_O_TRACECLONE;

static int fail(const char *what)
{
	perror(what);
	return FAILED;
}

/* Whether the thread stands at a stop that counts; says which in `text`. */
static bool counts(pid_t thread, bool all, char *text, size_t size)
{
	static unsigned long long number;
	struct __ptrace_syscall_info info;

	if (ptrace(PTRACE_GET_SYSCALL_INFO, thread, sizeof(info), &info) <= 0)
		return false;
	switch (info.op) {
	case PTRACE_SYSCALL_INFO_ENTRY:
		number = info.entry.nr;
		snprintf(text, size, "entry of system call %llu, arguments %llx %llx", number,
			 (unsigned long long)info.entry.args[0],
			 (unsigned long long)info.entry.args[1]);
		break;
	case PTRACE_SYSCALL_INFO_EXIT:
		snprintf(text, size, "return of system call %llu with %lld", number,
			 (long long)info.exit.rval);
		break;
	default:
		return false;
	}
	return all || number == SYS_ioctl;
}

/* Kills the process and waits until nothing is left of it. */
static int finish(pid_t child)
{
	int status;

	if (kill(child, SIGKILL))
		return fail("kill");
	for (;;) {
		pid_t thread = waitpid(-1, &status, __WALL);

		if (thread < 0)
			return errno == ECHILD ? KILLED : fail("waitpid");
	}
}

static int watch(pid_t child, unsigned long wanted, bool all)
{
	unsigned long count = 0;
	char text[128];
	int status;

	for (;;) {
		pid_t thread = waitpid(-1, &status, __WALL);
		long signal = 0;

		if (thread < 0)
			return errno == ECHILD ? ENDED : fail("waitpid");
		if (!WIFSTOPPED(status))
			continue;
		if (WSTOPSIG(status) == (SIGTRAP | 0x80)) {
			if (counts(thread, all, text, sizeof(text)) && ++count == wanted) {
				fprintf(stderr, "kill-at: stop %lu: %s\n", count, text);
				return finish(child);
			}
		} else if (status >> 16 == 0 && WSTOPSIG(status) != SIGSTOP &&
			   WSTOPSIG(status) != SIGTRAP) {
			signal = WSTOPSIG(status);
		}
		/* A thread may be gone by now. */
		if (ptrace(PTRACE_SYSCALL, thread, 0, signal) && errno != ESRCH)
			return fail("ptrace");
	}
}

int main(int argc, char **argv)
{
	unsigned long wanted;
	bool all = false;
	int status, at = 2;
	pid_t child;

	if (argc > at && !strcmp(argv[at], "all")) {
		all = true;
		at++;
	}
	if (argc < at + 2 || strcmp(argv[at], "--")) {
		fprintf(stderr, "usage: kill-at N [all] -- COMMAND [ARGUMENT]...\n");
		return FAILED;
	}
	wanted = strtoul(argv[1], NULL, 10);
	child = fork();
	if (child < 0)
		return fail("fork");
	if (!child) {
		if (ptrace(PTRACE_TRACEME, 0, 0, 0))
			_exit(fail("ptrace"));
		raise(SIGSTOP);
		execvp(argv[at + 1], argv + at + 1);
		_exit(fail(argv[at + 1]));
	}
	if (waitpid(child, &status, 0) != child || !WIFSTOPPED(status))
		return fail("waitpid");
	if (ptrace(PTRACE_SETOPTIONS, child, 0, options) || ptrace(PTRACE_SYSCALL, child, 0, 0))
		return fail("ptrace");
	return watch(child, wanted, all);
}
