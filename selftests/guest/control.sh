#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# Guests that never end by themselves: pausing, destroying and stopping them, one and many, whatever they do.

# shellcheck disable=SC2317 # conditions are called by wait_until.
. "$(dirname "$0")/../lib/tap.sh"
. "$(dirname "$0")/../lib/guests.sh"

need_guests

# Starts guest $1 in the background under the name $2 with the further arguments; pid is then its `oxen run`.
start() {
	start_guest=$1 start_name=$2
	shift 2
	# What an earlier guest of that name has said is not this one's.
	rm -f "$work/$start_name.console"
	oxen run --kernel "$guests/$start_guest.elf" --no-input --memory 16 --name "$start_name" "$@" \
		>"$work/$start_name.console" 2>"$work/$start_name.errors" &
	pid=$!
}

# Gives a result: the process pid ends with status $1 within some seconds, and no domain is left. $2 is
# the name.
ends_with() {
	is=0
	wait_for "$pid" 20 || is=$?
	if [ "$is" -eq "$1" ] && no_domains; then
		tap_pass "$2"
	else
		tap_fail "$2" "oxen run ended with $is, not $1" "$(cat "$work"/*.errors)" "$(oxen list)"
		destroy_all
	fi
}

# Gives a result: the domain $1 does not run while it is paused, in spite of $2, and runs again after.
pauses() {
	name=$1
	oxen pause "$name"
	stopped=$(state_of "$name")
	first=$(time_of "$name")
	sleep 0.5
	second=$(time_of "$name")
	oxen pause "$name"
	oxen unpause "$name"
	still=$(state_of "$name")
	oxen unpause "$name"
	if [ "$stopped $still" = "paused paused" ] && [ "$first" = "$second" ] && [ -n "$first" ] &&
		wait_until 10 in_state "$name" running blocked runnable; then
		tap_pass "$2: pauses are counted, and stop its time"
	else
		tap_fail "$2: pauses are counted, and stop its time" \
			"$stopped at $first and $second, $still, $(state_of "$name")"
	fi
}

# Whether the guest $1 has gone past its first words.
has_begun() { grep -q 'spinning\|idle' "$work/$1.console"; }

# Whether a domain has run for longer than $2 nanoseconds.
has_run() { [ "$(time_of "$1")" -gt "$2" ]; }

before=$(memory_available)
tap_plan 25

start spin busy
wait_until 20 has_begun busy
pauses busy "a guest that computes"
first=$(time_of busy)
if wait_until 10 has_run busy "$((first + 100000000))"; then
	tap_pass "it computes on"
else
	tap_fail "it computes on" "from $first to $(time_of busy)"
fi
tap_check "it is destroyed" oxen destroy busy
ends_with 16 "oxen run says that somebody else has destroyed it"
if grep -q '(busy) was destroyed by somebody else' "$work/busy.errors"; then
	tap_pass "in words too"
else
	tap_fail "in words too" "$(cat "$work/busy.errors")"
fi

start spin busy --vcpus 2 --cmdline smp
wait_until 20 has_begun busy
pauses busy "two vCPUs that compute"
oxen destroy busy
ends_with 16 "they are destroyed"

start idle quiet --vcpus 2 --cmdline smp
wait_until 20 has_begun quiet
if wait_until 10 in_state quiet blocked; then
	tap_pass "a guest that halts is blocked"
else
	tap_fail "a guest that halts is blocked" "$(oxen list)"
fi
pauses quiet "a guest that halts"
# A vCPU that was stopped and goes on does so in its halt.
for _ in 1 2 3 4 5; do oxen pause quiet && oxen unpause quiet; done
sleep 1
if ! grep -q woken "$work/quiet.console" && in_state quiet blocked; then
	tap_pass "it halts still after that"
else
	tap_fail "it halts still after that" "$(cat "$work/quiet.console")" "$(oxen list)"
fi
oxen pause quiet
tap_check "it is destroyed while it is paused" oxen destroy quiet
ends_with 16 "and gone"

start spin quiet --paused
wait_until 20 in_state quiet paused
first=$(time_of quiet)
sleep 0.5
second=$(time_of quiet)
if [ -n "$first" ] && [ "$first" = "$second" ] && ! has_begun quiet; then
	tap_pass "a guest that is started paused does nothing"
else
	tap_fail "a guest that is started paused does nothing" "$first ns, then $second" "$(cat "$work/quiet.console")"
fi
oxen unpause quiet
if wait_until 20 has_begun quiet; then
	tap_pass "until it is unpaused"
else
	tap_fail "until it is unpaused" "$(oxen list)"
fi
out=$(oxen run --kernel "$guests/hello.elf" --no-input --memory 16 --name quiet 2>&1)
if [ $? -eq 1 ] && echo "$out" | grep -q "is called 'quiet' already"; then
	tap_pass "no two domains have one name"
else
	tap_fail "no two domains have one name" "$out"
fi
oxen shutdown --force --wait --kind reboot quiet
ends_with 10 "it is shut down by force, with the reason that was asked for"

# A shell has background processes ignore SIGINT; oxen takes it all the same.
for signal in HUP:1 INT:2 TERM:15; do
	start spin stopped
	wait_until 20 has_begun stopped
	kill -s "${signal%:*}" "$pid"
	ends_with "$((128 + ${signal#*:}))" "SIG${signal%:*} ends oxen run and its guest"
done

timeout -k 5 30 oxen run --kernel "$guests/spin.elf" --no-input --memory 16 --cmdline tick=10 2>"$work/pipe.errors" |
	head -n 3 >/dev/null
if grep -q 'standard output was closed' "$work/pipe.errors" && wait_until 10 no_domains; then
	tap_pass "a closed pipe ends oxen run and its guest"
else
	tap_fail "a closed pipe ends oxen run and its guest" "$(cat "$work/pipe.errors")" "$(oxen list)"
	destroy_all
fi

# More guests, and more vCPUs, than processors.
number=0
while [ $number -lt 12 ]; do
	start spin "many$number" --vcpus 2 --cmdline smp
	number=$((number + 1))
done
all_begun() { [ "$(cat "$work"/many*.console | grep -c spinning)" -eq 12 ]; }
if wait_until 60 all_begun; then
	tap_pass "twelve guests with two vCPUs each compute"
else
	tap_fail "twelve guests with two vCPUs each compute" "$(oxen list)"
fi
tap_check "another one runs beside them" \
	timeout -k 5 60 oxen run --kernel "$guests/hello.elf" --no-input --memory 16
destroy_all
if wait_until 30 no_domains && wait; then
	tap_pass "all are destroyed"
else
	tap_fail "all are destroyed" "$(oxen list)"
fi
memory_is_back "$before" 16
log_clean 60
tap_done
