#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# Kills the oxen command with SIGKILL at each of its system calls into the hypervisor, before and after:
# what it leaves can be listed and destroyed, and nothing else stays. With OXEN_LONG it is each system call
# of whatever kind.

# shellcheck disable=SC2317 # conditions are called by wait_until.
. "$(dirname "$0")/../lib/tap.sh"
. "$(dirname "$0")/../lib/guests.sh"

need_guests
kill_at=$(dirname "$0")/kill-at
all=
[ -z "${OXEN_LONG:-}" ] || all=all

# Destroys what a killed command left, and counts the rounds in which there was something.
clean_up() {
	rest=$(domains) || {
		echo "step $step: oxen list fails after: $(cat "$work/where")"
		return
	}
	[ -z "$rest" ] || echo "$step" >>"$work/left"
	for one in $rest; do
		oxen destroy "$one" 2>&1 || echo "step $step: domain $one cannot be destroyed after: $(cat "$work/where")"
	done
	no_domains || echo "step $step: a domain is left after: $(cat "$work/where")"
}

# Gives two results for killing a command at each step: all went well, and in $2 rounds or more a domain was
# left, so that something was tried. $1 is the name, $3 a command that comes before each round.
kills() {
	name=$1 least=$2 before=$3
	shift 3
	step=0 status=0
	: >"$work/left"
	: >"$work/complaints"
	while [ $status -eq 0 ]; do
		step=$((step + 1))
		$before
		status=0
		timeout -k 5 60 "$kill_at" $step $all -- "$@" >/dev/null 2>"$work/where" || status=$?
		clean_up >>"$work/complaints"
	done
	[ $status -eq 3 ] || echo "kill-at ended with $status: $(cat "$work/where")" >>"$work/complaints"
	echo "# $name: $step stops, at $(wc -l <"$work/left") of them a domain was there"
	if [ ! -s "$work/complaints" ]; then
		tap_pass "$name: killed at each step"
	else
		tap_fail "$name: killed at each step" "$(head -n 40 "$work/complaints")"
	fi
	if [ "$(wc -l <"$work/left")" -ge "$least" ]; then
		tap_pass "$name: at many steps there was a domain"
	else
		tap_fail "$name: at many steps there was a domain" "at $(wc -l <"$work/left") of $step"
	fi
}

# A domain that waits for whoever is killed.
victim() {
	wait
	oxen run --kernel "$guests/hello.elf" --no-input --memory 16 --name victim --paused >/dev/null 2>&1 &
	wait_until 20 in_state victim paused
}

tap_plan 13
before=$(memory_available)
kills "oxen run" 20 : oxen run --kernel "$guests/hello.elf" --no-input --memory 16 --vcpus 2 --name run
kills "oxen destroy" 1 victim oxen destroy victim
kills "oxen shutdown" 1 victim oxen shutdown --force --wait victim
wait

# A guest outlives the command that started it, until it is told to end.
oxen run --kernel "$guests/spin.elf" --no-input --memory 16 --vcpus 2 --name alone --cmdline tick=50 \
	>"$work/console" 2>&1 &
pid=$!
ticks() { grep -q 'tick 3' "$work/console"; }
wait_until 20 ticks
kill -KILL $pid
wait $pid 2>/dev/null
was=$(time_of alone)
goes_on() { in_state alone running blocked runnable && [ "$(time_of alone)" -gt "$((was + 50000000))" ]; }
if wait_until 10 goes_on; then tap_pass "its guest runs on"; else tap_fail "its guest runs on" "$(oxen list)"; fi
# It waits with its console full, and goes on when somebody reads it.
timeout -k 5 30 oxen console alone 2>"$work/errors" </dev/null | head -n 400 | tr -d '\r' >"$work/later"
if grep -qx 'tick [0-9]*' "$work/later"; then
	tap_pass "somebody else can have its console"
else
	tap_fail "somebody else can have its console" "$(cat "$work/errors")" "$(tail "$work/later")"
fi
if oxen destroy alone && no_domains; then tap_pass "it is destroyed"; else tap_fail "it is destroyed" "$(oxen list)"; fi

if timeout -k 5 60 oxen run --kernel "$guests/hello.elf" --no-input --memory 16 >"$work/console" 2>&1; then
	tap_pass "a guest runs after all this"
else
	tap_fail "a guest runs after all this" "$(cat "$work/console")"
fi
left=$(pgrep -l '^oxen')
if [ -z "$left" ]; then tap_pass "no thread is left"; else tap_fail "no thread is left" "$left"; fi
memory_is_back "$before" 16
log_clean 400
tap_done
