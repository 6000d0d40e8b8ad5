#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# The tiny guest that tests runstate and time areas: R-1 to R-14, and most of RS-1 to RS-11. Its processors are held
# together and apart, and others want them or not.

# shellcheck disable=SC2317 # conditions are called by wait_until.
. "$(dirname "$0")/../lib/tap.sh"
. "$(dirname "$0")/../lib/guests.sh"
. "$(dirname "$0")/runstate.sh"

need_guests

has_threads() { [ "$(vcpu_threads "$domain" | wc -l)" -eq "$1" ]; }

# Runs guest $2 with $3 vCPUs, held as $4 says, with the further arguments; it must find all well. $1 names the result.
# Afterwards the domain is there still, shut down.
areas() {
	areas_name=$1 areas_guest=$2 areas_vcpus=$3 areas_hold=$4
	shift 4
	oxen run --kernel "$guests/$areas_guest.elf" --memory 64 --no-input --name areas --paused --keep \
		--vcpus "$areas_vcpus" "$@" >"$work/console" 2>"$work/errors.all" &
	pid=$!
	wait_until 20 in_state areas paused
	domain=$(domains)
	wait_until 20 has_threads "$areas_vcpus"
	hold "$domain" "$areas_hold"
	oxen unpause areas
	areas_status=0
	wait_for "$pid" 200 || areas_status=$?
	# That it is kept is no complaint.
	grep -v 'kept; `oxen destroy' "$work/errors.all" >"$work/errors"
	guest_result "$areas_name" "$areas_guest" "$areas_status"
}

tap_plan 14
areas "a 64-bit guest" runstate 1 free
none_missed "$domain" "R-14 none of its updates was missed"
destroy_all
areas "a 32-bit guest" runstate32 1 free
none_missed "$domain" "R-14 none of its updates was missed"
destroy_all
areas "two CPUs on two processors" runstate 2 apart --cmdline vcpus=2
none_missed "$domain" "R-14 none of its updates was missed"
destroy_all
load
areas "two CPUs on one processor that others want too" runstate 2 together --cmdline "vcpus=2 busy"
none_missed "$domain" "R-14 none of its updates was missed"
destroy_all
areas "runstate_va=walk, on a processor that others want too" runstate 1 together \
	--cmdline "walk busy" --runstate-va walk
if [ "$(domain_word "$domain" runstate_va)" = walk ]; then
	tap_pass "R-3 the list of domains says so"
else
	tap_fail "R-3 the list of domains says so" "$(cat /sys/kernel/debug/oxen/domains)"
fi
if [ "$(counter "$domain" runstate_missed)" -gt 0 ]; then
	tap_pass "R-3 its missed updates are counted"
else
	tap_fail "R-3 its missed updates are counted" "$(cat /sys/kernel/debug/oxen/domains)"
fi
destroy_all
unload
# The same policy by the module's parameter.
parameter=/sys/module/oxen/parameters/runstate_va
if [ "$(cat $parameter)" = once ] && ! echo never >$parameter 2>/dev/null && echo walk >$parameter; then
	tap_pass "R-3 the default can be chosen"
else
	tap_fail "R-3 the default can be chosen" "$(cat $parameter)"
fi
oxen run --kernel "$guests/spin.elf" --memory 16 --no-input --name one --paused >/dev/null 2>&1 &
wait_until 20 in_state one paused
echo once >$parameter
oxen run --kernel "$guests/spin.elf" --memory 16 --no-input --name two --paused >/dev/null 2>&1 &
wait_until 20 in_state two paused
policies=$(for domain in $(domains); do domain_word "$domain" runstate_va; done | sort | tr '\n' ' ')
if [ "$policies" = "once walk " ]; then
	tap_pass "R-3 and new domains have it"
else
	tap_fail "R-3 and new domains have it" "$policies"
fi
destroy_all
wait
log_clean 60
tap_done
