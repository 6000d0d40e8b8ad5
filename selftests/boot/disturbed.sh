#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# Debian's own kernel, paused again and again while it boots, and destroyed at many moments of it.

# shellcheck disable=SC2317 # conditions are called by wait_until.
. "$(dirname "$0")/../lib/tap.sh"
. "$(dirname "$0")/../lib/guests.sh"

need_guests
need_linux

before=$(memory_available)
moments='0 10 50 150 300 600 1000 1500 2000 3000 4500'
[ -z "${OXEN_LONG:-}" ] || moments="$(seq 0 40 2000) $(seq 2100 150 6000)"
# shellcheck disable=SC2086 # numbers they are.
set -- $moments
tap_plan $(($# + 5))

linux_start paused 4 work --no-input
pauses=0
wait_until 20 in_state paused running blocked runnable
while ! ended "$pid" && [ $pauses -lt 150 ]; do
	oxen pause paused 2>/dev/null || break
	[ $((pauses % 10)) -ne 0 ] || sleep 0.3
	oxen unpause paused 2>/dev/null || break
	pauses=$((pauses + 1))
	sleep 0.05
done
is=0
wait_for "$pid" 120 || is=$?
if [ "$is" -eq 0 ] && said paused 'worked, 4 processors'; then
	tap_pass "it boots and works in spite of pauses"
else
	tap_fail "it boots and works in spite of pauses" "status $is" "$(story paused)"
	destroy_all
fi
# A slow machine comes to few while the guest boots.
if [ $pauses -ge 5 ]; then tap_pass "which were several"; else tap_fail "which were several" "$pauses"; fi

# Whether the guest $1 has run for $2 milliseconds, or its end has come before.
has_run() { [ "$(time_of "$1")" -ge "$2"000000 ] || ended "$pid"; }

for moment; do
	linux_start gone 2 busy --no-input
	wait_until 20 in_state gone paused running blocked runnable
	wait_until 60 has_run gone "$moment"
	is=0
	oxen destroy gone 2>"$work/errors" || is=$?
	end=0
	wait_for "$pid" 30 || end=$?
	if [ "$is $end" = "0 16" ] && no_domains; then
		tap_pass "it is destroyed when it has run for $moment ms"
	else
		tap_fail "it is destroyed when it has run for $moment ms" "oxen destroy ended with $is, oxen run with $end" \
			"$(cat "$work/errors" "$work/gone.errors")" "$(oxen list)"
		destroy_all
	fi
done
linux_start after 2 poweroff --no-input
is=0
wait_for "$pid" 120 || is=$?
if [ "$is" -eq 0 ] && said after 'ends'; then
	tap_pass "another one boots after that"
else
	tap_fail "another one boots after that" "status $is" "$(story after)"
fi
memory_is_back "$before" 32
log_clean 100
tap_done
