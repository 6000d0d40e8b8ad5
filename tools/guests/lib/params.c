// SPDX-License-Identifier: GPL-2.0-only
/* The command line: words with a space between, NAME or NAME=VALUE. */

#include "guest.h"

const char *param(const char *name)
{
	const char *at = (const char *)(ulong)start_info->cmdline_paddr;
	size_t length = strlen(name);

	if (!at)
		return NULL;
	while (*at) {
		while (*at == ' ')
			at++;
		if (!memcmp(at, name, length)) {
			if (at[length] == '=')
				return at + length + 1;
			if (!at[length] || at[length] == ' ')
				return at + length;
		}
		while (*at && *at != ' ')
			at++;
	}
	return NULL;
}

u64 param_number(const char *name, u64 otherwise)
{
	const char *text = param(name);
	unsigned int base = 10, digit;
	u64 value = 0;

	if (!text || !*text || *text == ' ')
		return otherwise;
	if (text[0] == '0' && text[1] == 'x') {
		base = 16;
		text += 2;
	}
	for (; *text && *text != ' '; text++) {
		digit = *text <= '9' ? *text - '0' : (*text | 0x20) - 'a' + 10;
		if (digit >= base)
			panic("%s is not a number", name);
		value = value * base + digit;
	}
	return value;
}
