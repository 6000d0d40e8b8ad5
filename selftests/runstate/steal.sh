#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# Two busy Debian guests on one processor: each loses half of its time to the other, and says so in its /proc/stat.
# Then the same with page tables that are isolated (pti=on), of which the record in the kernel's memory is not a part
# while user code runs: no update may be missed. Prints the figures.
#
#   tools/vm -- selftests/runstate/steal.sh

# shellcheck disable=SC2317 # conditions are called by wait_until.
. "$(dirname "$0")/../lib/tap.sh"
. "$(dirname "$0")/../lib/guests.sh"
. "$(dirname "$0")/runstate.sh"

need_guests
need_linux
# The first processor is for the guests alone, as far as that can be had.
taskset -p -c 1 $$ >/dev/null

# Lines that guest $1 has said of its time.
lines() { tr -d '\r' <"$work/$1.console" | grep '^guest: steal .* ticks$'; }
has_lines() { [ "$(lines "$1" | wc -l)" -ge "$2" ]; }

# Starts two guests with the rest of the kernel's command line, holds both to the first processor, and waits until each
# has told its time in some intervals that both computed all through.
start_two() {
	for one in first second; do
		linux_start "$one" 1 "steal $*" --no-input
		wait_until 20 in_state "$one" running blocked runnable
		hold "$(domains | tail -n 1)" together
	done
	for one in first second; do
		wait_until 100 has_lines "$one" 1 || note "$(tail -n 20 "$work/$one.console")"
	done
	seen=$(($(lines first | wc -l) + 3)) second_seen=$(($(lines second | wc -l) + 3))
	wait_until 100 has_lines first $seen
	wait_until 100 has_lines second $second_seen
}

note() { printf '%s\n' "$1" | sed 's/^/# /'; }

# What the host itself takes of the processor is stolen from both: more on a debug kernel, whose checks take a tenth.
most=55
[ ! -e /sys/kernel/debug/kmemleak ] || most=60

# Gives a result: guest $1's last intervals but one show between 45 and $most % steal on average. $2 names it.
steals_half() {
	lines "$1" | tail -n 3 | sed "s/^/# $1: /"
	steal=$(lines "$1" | tail -n 3 | tr -d , | awk '{ sum += $3; all += $(NF - 1) }
		END { printf "%.1f", all ? sum * 100 / all : 0 }')
	if awk -v steal="$steal" -v most="$most" 'BEGIN { exit !(steal >= 45 && steal <= most) }'; then
		tap_pass "$2: $steal % steal"
	else
		tap_fail "$2: 45 to $most % steal" "$steal %" "$(tail -n 5 "$work/$1.console")"
	fi
}

tap_plan 12
start_two
steals_half first "the first of two guests on one processor"
steals_half second "the second one"
for domain in $(domains); do none_missed "$domain" "R-14 no update of domain $domain was missed"; done
destroy_all
wait
start_two pti=on
for one in first second; do
	if tr -d '\r' <"$work/$one.console" | grep -q '^guest: page tables isolated: yes'; then
		tap_pass "the $one guest isolates its page tables"
	else
		tap_fail "the $one guest isolates its page tables" "$(tail -n 20 "$work/$one.console")"
	fi
done
steals_half first "R-14 the first of two guests that isolate their page tables"
steals_half second "R-14 the second one"
for domain in $(domains); do none_missed "$domain" "R-14 no update of domain $domain was missed"; done
destroy_all
wait
if no_domains; then tap_pass "no domain is left"; else tap_fail "no domain is left" "$(oxen list)"; fi
log_clean 60
tap_done
