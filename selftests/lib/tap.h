/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * TAP for tests written in C, in the manner of the kernel's kselftest.h. A test begins with tap_plan(),
 * gives as many results, and ends with `return tap_end();`, or says tap_skip_all() at once.
 */
#ifndef SELFTESTS_TAP_H
#define SELFTESTS_TAP_H

#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <errno.h>
#include <stdint.h>
#include <time.h>

static unsigned int tap_planned, tap_given, tap_failed;

__attribute__((unused, format(printf, 1, 2))) static void tap_note(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	printf("# ");
	vprintf(format, args);
	printf("\n");
	va_end(args);
	fflush(stdout);
}

/* Whether tests may take long: `make test-long`. */
__attribute__((unused)) static bool tap_long(void)
{
	const char *wanted = getenv("OXEN_LONG");

	return wanted && *wanted;
}

/* Nanoseconds since the machine started. */
__attribute__((unused)) static uint64_t tap_now(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * 1000000000ULL + now.tv_nsec;
}

/* Says how many results there will be. 0 leaves that to the end. */
__attribute__((unused)) static void tap_plan(unsigned int results)
{
	tap_planned = results;
	printf("TAP version 13\n");
	if (results)
		printf("1..%u\n", results);
	fflush(stdout);
}

/* Gives a result, and returns it. */
__attribute__((unused, format(printf, 2, 3))) static bool tap(bool ok, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	printf("%sok %u ", ok ? "" : "not ", ++tap_given);
	vprintf(format, args);
	printf("\n");
	va_end(args);
	fflush(stdout);
	tap_failed += !ok;
	return ok;
}

/* Gives a result that is right when two numbers are equal, and says both when they are not. */
#define tap_equal(is, should, ...)						\
	do {									\
		long long tap_is = (is), tap_should = (should);			\
										\
		if (!tap(tap_is == tap_should, __VA_ARGS__))			\
			tap_note("line %d: %s is %lld (0x%llx), should be %lld", __LINE__, #is, \
				 tap_is, tap_is, tap_should);			\
	} while (0)

__attribute__((unused, format(printf, 2, 3)))
static void tap_skip(const char *why, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	printf("ok %u ", ++tap_given);
	vprintf(format, args);
	printf(" # SKIP %s\n", why);
	va_end(args);
	fflush(stdout);
}

/* Ends a test that cannot run here. */
__attribute__((unused, noreturn)) static void tap_skip_all(const char *why)
{
	printf("TAP version 13\n1..0 # SKIP %s\n", why);
	exit(4);
}

/* Ends a test that cannot go on. */
__attribute__((unused, noreturn, format(printf, 1, 2)))
static void tap_bail(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	printf("Bail out! ");
	vprintf(format, args);
	printf("\n");
	va_end(args);
	exit(1);
}

/* Returns the status that main() returns. */
__attribute__((unused)) static int tap_end(void)
{
	if (!tap_planned)
		printf("1..%u\n", tap_given);
	else if (tap_given != tap_planned) {
		printf("# planned %u results, gave %u\n", tap_planned, tap_given);
		return 1;
	}
	return tap_failed ? 1 : 0;
}

#endif
