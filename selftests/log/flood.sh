#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# Guests that make as much noise as they can: the kernel's log hears almost nothing of it, the hypervisor's
# log keeps its size and what the host itself says, and neither shows what a terminal would act on.

# shellcheck disable=SC2317 # conditions are called by wait_until.
. "$(dirname "$0")/../lib/tap.sh"
. "$(dirname "$0")/../lib/guests.sh"

need_guests

# Gives a result: the guest $2 with $3 as command line ends with status $1, and no result of its own is bad.
makes() {
	is=0
	timeout -k 5 100 oxen run --kernel "$guests/$2.elf" --no-input --memory 32 --cmdline "$3" \
		>"$work/console" 2>"$work/errors" || is=$?
	if [ "$is" -eq "$1" ] && grep -q '^ok 2 ' "$work/console" && ! grep -q '^not ok' "$work/console"; then
		tap_pass "$2 $3: status $1"
	else
		tap_fail "$2 $3: status $1" "it is $is" "$(cat "$work/errors")" "$(tail "$work/console")"
	fi
}

tap_plan 12
oxen dmesg --clear >/dev/null
lines=$(log_since | wc -l)
makes 0 flood n=3000
oxen dmesg >"$work/flood"
makes 0 noise n=5000
# Of each the kernel may say that it ended.
said_lines=$(($(log_since | wc -l) - lines))
if [ "$said_lines" -le 4 ]; then
	tap_pass "the kernel's log has a line or two of it"
else
	tap_fail "the kernel's log has a line or two of it" "$(log_since | tail -n 40)"
fi
if ! dmesg | grep -q 'flood: line'; then
	tap_pass "and nothing that they say"
else
	tap_fail "and nothing that they say"
fi

# The hypervisor's log holds the newest of it, named after the guest, and is no larger than its ring.
if grep -qE '^\(d[0-9]+\) flood: line 2999 by port 0xe9' "$work/flood" &&
	[ "$(wc -c <"$work/flood")" -le 131072 ] && [ "$(wc -c <"$work/flood")" -gt 100000 ]; then
	tap_pass "the hypervisor's log is full of it, and no larger than it can be"
else
	tap_fail "the hypervisor's log is full of it, and no larger than it can be" \
		"$(wc -c <"$work/flood") bytes" "$(tail -n 3 "$work/flood" | cut -c 1-200)"
fi
# The first line may be cut. The guest has sent every byte there is.
others=$(tail -n +2 "$work/flood" | grep -vE '^\((d[0-9]+|XEN)\) ' | head -n 5)
if [ -z "$others" ]; then
	tap_pass "each of its lines says whose it is"
else
	tap_fail "each of its lines says whose it is" "$others"
fi
if [ "$(tr -d '\n\t -~' <"$work/flood" | wc -c)" -eq 0 ]; then
	tap_pass "nothing in it but text"
else
	tap_fail "nothing in it but text" "$(tr -d '\n\t -~' <"$work/flood" | od -c | head -n 5)"
fi

# The host's own lines come after it as ever.
makes 12 noise "n=10 end"
if oxen dmesg | tail -n 1 | grep -q '^(XEN) d[0-9]*: crashed: vCPU 0 at 0x[0-9a-f]*: cannot emulate'; then
	tap_pass "the hypervisor's log goes on"
else
	tap_fail "the hypervisor's log goes on" "$(oxen dmesg | tail -n 3 | cut -c 1-200)"
fi

# Guests that crash one after the other: no more than twenty lines in five seconds.
begin=$(date +%s) number=0 crashed=0
while [ $number -lt 60 ]; do
	timeout -k 5 60 oxen run --kernel "$guests/noise.elf" --no-input --memory 16 --cmdline "n=1 end" \
		>/dev/null 2>&1
	[ $? -ne 12 ] || crashed=$((crashed + 1))
	number=$((number + 1))
done
took=$(($(date +%s) - begin))
if [ $crashed -eq 60 ]; then tap_pass "sixty guests crash"; else tap_fail "sixty guests crash" "$crashed did"; fi
said_lines=$(log_since | grep -c '^oxen: ')
most=$((20 * (took / 5 + 2) + 10))
if [ "$said_lines" -le $most ]; then
	tap_pass "the kernel's log hears of few"
else
	tap_fail "the kernel's log hears of few" "$said_lines lines in $took s"
fi
log_clean $most
tap_done
