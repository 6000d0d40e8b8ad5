// SPDX-License-Identifier: GPL-2.0-only
/* Results, in TAP 13 with the plan at the end. */

#include "guest.h"

static unsigned int results, failures;

void tap_begin(void)
{
	print("TAP version 13\n");
}

bool tap(bool ok, const char *format, ...)
{
	char text[256];
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	printf("%sok %u - %s\n", ok ? "" : "not ", ++results, text);
	failures += !ok;
	return ok;
}

bool tap_equal(s64 is, s64 should, const char *format, ...)
{
	char text[256];
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	tap(is == should, "%s", text);
	if (is != should)
		printf("# is %lld (0x%llx), should be %lld (0x%llx)\n", (long long)is,
		       (unsigned long long)is, (long long)should, (unsigned long long)should);
	return is == should;
}

void tap_skip(const char *why, const char *format, ...)
{
	char text[256];
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	printf("ok %u - %s # SKIP %s\n", ++results, text, why);
}

void tap_note(const char *format, ...)
{
	char text[256];
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	printf("# %s\n", text);
}

void tap_end(void)
{
	printf("1..%u\n", results);
	if (failures)
		printf("# %u of %u failed\n", failures, results);
	power_off();
}

void tap_skip_all(const char *why)
{
	printf("1..0 # SKIP %s\n", why);
	power_off();
}

void need_xen(void)
{
	if (!on_xen)
		tap_skip_all("not on Xen");
}
