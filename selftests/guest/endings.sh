#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# Guests that end well and badly: `oxen run` says how with its status and in words, the
# hypervisor's log says why, and neither the host nor the next guest takes harm.

. "$(dirname "$0")/../lib/tap.sh"
. "$(dirname "$0")/../lib/guests.sh"

need_guests

# Gives a result: guest $4 with the further arguments ends with status $1, `oxen run` says $2 and the
# hypervisor's log $3 (patterns; what is empty is not looked for).
ends() {
	status=$1 says=$2 logs=$3 guest=$4
	shift 4
	name="$guest $*: status $status"
	oxen dmesg --clear >/dev/null
	is=0
	timeout -k 5 60 oxen run --kernel "$guests/$guest.elf" --no-input --memory 32 --name "ends" "$@" \
		>"$work/console" 2>"$work/errors" || is=$?
	oxen dmesg >"$work/dmesg"
	if [ "$is" -ne "$status" ]; then
		tap_fail "$name" "it is $is" "$(cat "$work/errors")" "$(tail -n 5 "$work/console")"
	elif [ -n "$says" ] && ! grep -qE "^oxen: domain [0-9]+ \(ends\) $says" "$work/errors"; then
		tap_fail "$name" "oxen run does not say '$says' but:" "$(cat "$work/errors")"
	elif [ -n "$logs" ] && ! grep -qE "$logs" "$work/dmesg"; then
		tap_fail "$name" "the hypervisor's log does not say '$logs' but:" "$(tail -n 20 "$work/dmesg")"
	elif ! no_domains; then
		tap_fail "$name" "the domain is still there:" "$(oxen list)"
		destroy_all
	else
		tap_pass "$name"
	fi
}

# Gives a result: `oxen run` with these arguments makes no domain, and says $2 in one line. $1 is the name.
refused() {
	what=$1 says=$2
	shift 2
	is=0
	timeout -k 5 60 oxen run --no-input --memory 32 "$@" >"$work/console" 2>"$work/errors" || is=$?
	if [ "$is" -eq 1 ] && grep -q "^oxen: .*$says" "$work/errors" && [ "$(wc -l <"$work/errors")" -eq 1 ] &&
		no_domains; then
		tap_pass "no guest: $what"
	else
		tap_fail "no guest: $what" "status $is" "$(cat "$work/errors")" "$(oxen list)"
		destroy_all
	fi
}

before=$(memory_available)
tap_plan 23

# As it asks.
ends 0 '' '' crash --cmdline how=poweroff
ends 10 rebooted '' crash --cmdline how=reboot
ends 11 suspended '' crash --cmdline how=suspend
ends 12 crashed '' crash --cmdline how=crash
ends 13 'was stopped by its watchdog' '' crash --cmdline how=watchdog
ends 14 'asked for a soft reset' '' crash --cmdline how=soft_reset
# HLT with interrupts off, when all other vCPUs are down.
ends 0 '' '' crash --cmdline how=halt
ends 0 '' '' crash --vcpus 2 --cmdline how=halt
ends 0 '' '' evtchn --cmdline reset
# As it does not ask for. A reason that is none is refused, and the guest goes on to fault.
ends 10 rebooted 'd[0-9]+v0: triple fault at 0x' crash --cmdline how=reason:9
ends 10 rebooted 'd[0-9]+v0: triple fault at 0x' crash --cmdline how=triple
ends 10 rebooted 'd[0-9]+v0: triple fault at 0x' crash --cmdline how=exhaust
ends 13 'was stopped by its watchdog' '' crash --cmdline how=timeout
ends 10 rebooted 'd[0-9]+v0: triple fault at 0xf8000000' crash --cmdline how=jump
ends 12 crashed 'd[0-9]+: crashed: vCPU 0 at 0x[0-9a-f]+: has page tables at ' crash --cmdline how=tables

# What is no guest.
echo 'not a kernel' >"$work/text"
: >"$work/empty"
head -c 8192 "$guests/hello.elf" >"$work/short"
refused "no file" "$work/none': No such file" --kernel "$work/none"
refused "a text" "$work/text'" --kernel "$work/text"
refused "an empty file" "$work/empty'" --kernel "$work/empty"
refused "half a kernel" "$work/short'" --kernel "$work/short"
refused "no initrd" "$work/none.*: No such file" --kernel "$guests/hello.elf" --initrd "$work/none"

ends 0 '' '' hello
memory_is_back "$before" 16
log_clean 60
tap_done
