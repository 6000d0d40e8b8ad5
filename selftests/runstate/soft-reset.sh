#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# A guest asks for a soft reset, which a tool carries out: nothing is written to the guest's memory any more (RS-4),
# from when it asked (RS-5).

# shellcheck disable=SC2317 # conditions are called by wait_until.
. "$(dirname "$0")/../lib/tap.sh"
. "$(dirname "$0")/../lib/guests.sh"

need_guests
op=$(dirname "$0")/domain-op

# What the guest says after the reset is in the log: its console's event channel is closed.
words() { oxen dmesg | sed -n "s/^(d$domain) //p"; }
has_ended() { oxen info --json "$domain" | grep -q poweroff; }

# $1 names the result, $2 is the tool's operation, the rest are the guest's options.
reset() {
	reset_name=$1 reset_op=$2
	shift 2
	status=0
	timeout -k 5 60 oxen run --kernel "$guests/runstate.elf" --memory 64 --no-input --name soft --keep "$@" \
		>"$work/before" 2>"$work/all" || status=$?
	domain=$(domains)
	if [ "$status" -eq 14 ]; then
		tap_pass "$reset_name: the guest asks for a soft reset"
	else
		tap_fail "$reset_name: the guest asks for a soft reset" "status $status" "$(cat "$work/before" "$work/all")"
	fi
	: >"$work/errors"
	"$op" "$reset_op" "$domain" 2>>"$work/errors" || echo "$op ended with status $?" >>"$work/errors"
	wait_until 60 has_ended || echo "the guest does not end" >>"$work/errors"
	words >"$work/console"
	guest_result "$reset_name" runstate 0
	oxen destroy soft
}

tap_plan 9
reset "soft reset" soft-reset --cmdline "soft e9"
reset "soft reset with two CPUs" soft-reset --vcpus 2 --cmdline "soft e9 vcpus=2"
reset "resumed instead" resume --cmdline "soft=resume e9"
tap_check "R-10 and what is not shut down is not reset" "$op" refuses-soft-reset
if no_domains; then tap_pass "no domain is left"; else tap_fail "no domain is left" "$(oxen list)"; fi
log_clean 60
tap_done
