#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# A payload that `oxen livepatch build` has made from pagesize.diff, applied and reverted under guests that never stop
# asking for what it changes, under others that wait for what does not come, and while processors come and go.

# shellcheck disable=SC2317 # conditions are called by wait_until.
. "$(dirname "$0")/../lib/tap.sh"
. "$(dirname "$0")/../lib/guests.sh"

need_guests
here=$(dirname "$(readlink -f "$0")")
payload=${OXEN_PAYLOADS:-}/pagesize.livepatch
[ -r "$payload" ] || tap_skip_all "no payload: set OXEN_PAYLOADS"
rounds=100
[ -z "${OXEN_LONG:-}" ] || rounds=10000

# Starts a tiny guest under the name $1.
start() {
	start_name=$1 start_guest=$2
	shift 2
	oxen run --kernel "$guests/$start_guest.elf" --memory 16 --no-input --name "$start_name" "$@" \
		>"$work/$start_name.console" 2>"$work/$start_name.errors" &
}
# The last answer that guest $1 has said is $2.
answers() { [ "$(sed -n 's/.*answer \([0-9]*\),.*/\1/p' "$work/$1.console" | tail -n 1)" = "$2" ]; }
# Both guests' last answer is $1.
both_answer() { answers one "$1" && answers two "$1"; }
# The last change that guest $1 has said.
changes() { sed -n 's/.*change \([0-9]*\).*/\1/p' "$work/$1.console" | tail -n 1; }

# Gives a result: an action of oxen livepatch succeeds, however slow the machine is.
act() {
	act_name=$1
	shift
	tap_check "$act_name" oxen livepatch "$@" --timeout 2000
}
sees() {
	if wait_until 30 both_answer "$1"; then
		tap_pass "$2"
	else
		tap_fail "$2" "$(tail -n 3 "$work/one.console")" "$(tail -n 3 "$work/two.console")"
	fi
}
# Gives a result for `lp loop` with $1 rounds. What is late is tried $3 times more: never, if that is not said.
loop() {
	if loop_said=$("$here/lp" loop pagesize "$1" "${3:-0}"); then
		tap_pass "$2 ($loop_said)"
	else
		tap_fail "$2" "$loop_said" "$(oxen livepatch list)" "$(log_since | tail -n 5)"
	fi
}

# Gives a result: pagesize is applied and reverted $1 times within the default limit, 30 ms. $2 says what guests do.
quick() {
	if quick_said=$("$here/lp" quick pagesize "$1"); then
		tap_pass "$2 ($quick_said)"
	else
		tap_fail "$2" "$quick_said" "$(oxen livepatch list)" "$(log_since | tail -n 5)"
	fi
}

tap_plan 30
start one asker
start two asker --vcpus 1
sees 4096 "two guests are told the size of a page"
tap_check "L-16 what the builder has made is loaded" oxen livepatch upload pagesize "$payload"
act "L-16 and applied" apply pagesize
sees 8192 "both are told something else"
tap_check "it is listed" sh -c 'oxen livepatch list | grep -q "^pagesize  *applied  *[0-9]"'
tap_check "with its functions" \
	sh -c 'oxen livepatch status pagesize --json | grep -q "\"functions\": \"oxen::hypercall::version::xen_version\""'
act "it is reverted" revert pagesize
sees 4096 "both are told the truth"

late=$("$here/lp" once pagesize 1)
if [ "$late" = -16 ] && both_answer 4096 && oxen livepatch list | grep -q '^pagesize  *checked'; then
	tap_pass "L-6 within a nanosecond it cannot be applied, and nothing has changed"
else
	tap_fail "L-6 within a nanosecond it cannot be applied, and nothing has changed" "$late" "$(oxen livepatch list)"
fi
before_one=$(changes one) before_two=$(changes two)
loop "$rounds" "applied and reverted $rounds times while both ask"
act "applied once more" apply pagesize
sees 8192 "both are told"
# Each round is two changes; guests run on two processors with others, so that one may miss a few.
seen_one=$(($(changes one) - before_one)) seen_two=$(($(changes two) - before_two)) enough=$((rounds * 3 / 2))
if [ "$seen_one" -ge "$enough" ] && [ "$seen_two" -ge "$enough" ]; then
	tap_pass "they have seen it come and go ($seen_one and $seen_two changes of $((rounds * 2 + 1)))"
else
	tap_fail "they have seen it come and go" "$seen_one and $seen_two changes of $((rounds * 2 + 1))"
fi
if [ "$(grep -c 'asked 1,' "$work/one.console")" -eq 1 ] && [ "$(grep -c 'asked 1,' "$work/two.console")" -eq 1 ]; then
	tap_pass "and went on all the time"
else
	tap_fail "and went on all the time" "$(head -n 20 "$work/one.console")" "$(head -n 20 "$work/two.console")"
fi
act "it is reverted" revert pagesize

# L-8, LP-13, LP-16: what vCPUs wait for does not count, and those who run come out at once. The model answers
# no more, and does not give up what it serves.
start waits flood --paused
wait_until 30 in_state waits paused
waits=$(oxen list --json | sed -n 's/^ *"domid": \([1-9][0-9]*\).*/\1/p' | tail -n 1)
"$here/../devmodel/devmodel" --debug "$work/debug" --state "$work/state" "$waits" 2>"$work/model" &
model=$!
wait_until 20 grep -q 'serves domain' "$work/model"
kill -STOP "$model"
oxen unpause waits
sleep 1
waited=$(time_of waits)
sleep 1
if grep -q 'serves domain' "$work/model" && grep -q '^State:[[:space:]]*T' "/proc/$model/status"; then
	tap_pass "a guest waits for a device model that does nothing any more ($waited ns, then $(time_of waits))"
else
	tap_fail "a guest waits for a device model that does nothing any more" "$(cat "$work/model")" \
		"$waited, then $(time_of waits)" "$(story waits)"
fi
oxen pause two
quick 20 "L-8 LP-13 within 30 ms under a guest that waits for a dead device model, and one that is paused"
oxen unpause two
kill -KILL "$model"
wait "$model" 2>/dev/null

# E-11: nor does a monitor that does not answer.
access=${XEN_TOOLS:-/usr/lib/xen-4.20/bin}/xen-access
# How many events the monitor of the guest was sent.
monitored() { sed -n "s/^domain $watched .* monitor_events \([0-9]*\) .*/\1/p" /sys/kernel/debug/oxen/domains; }
asks() { [ "$(monitored)" -gt 0 ]; }
if [ -x "$access" ]; then
	start watched asker --paused
	wait_until 30 in_state watched paused
	watched=$(oxen list --json | sed -n 's/^ *"domid": \([1-9][0-9]*\).*/\1/p' | tail -n 1)
	"$access" "$watched" write >"$work/access" 2>"$work/own" &
	monitor=$!
	wait_until 20 grep -q 'starting write' "$work/own"
	kill -STOP "$monitor"
	oxen unpause watched
	if wait_until 20 asks; then
		tap_pass "E-11 a guest waits for a monitor that does not answer"
	else
		tap_fail "E-11 a guest waits for a monitor that does not answer" "$(cat "$work/own")" "$(story watched)"
	fi
	waiting=$(monitored)
	loop 20 "E-11 a live patch does not wait for it"
	if [ "$(monitored)" = "$waiting" ] && ! grep -q answer "$work/watched.console"; then
		tap_pass "E-11 which waited all the time"
	else
		tap_fail "E-11 which waited all the time" "$waiting and $(monitored) events"
	fi
	kill -KILL "$monitor"
	wait "$monitor" 2>/dev/null
	tap_check "E-9 when the monitor is killed the guest goes on" wait_until 30 answers watched 4096
	oxen destroy watched
else
	for one in 1 2 3 4; do tap_skip "E-11 a monitor that does not answer, $one" "no xen-access"; done
fi

# One instruction that is emulated for minutes.
start fills asker --vcpus 1 --cmdline fill
wait_until 30 grep -q fills "$work/fills.console"
quick 20 "L-8 LP-16 within 30 ms under a guest in a long emulation"
filling() { grep -q fills "$work/fills.console" && ! grep -q 'has filled' "$work/fills.console"; }
if filling && in_state fills running runnable; then
	tap_pass "L-8 which went on all the time"
else
	tap_fail "L-8 which went on all the time" "$(story fills)"
fi
oxen destroy fills

# L-9: a processor comes and goes for as long as this goes on. What could not be done was not done because of that.
plug() {
	if plug_why=$({ echo "$1" >/sys/devices/system/cpu/cpu1/online; } 2>&1); then
		echo "$2" >>"$work/plugged"
	else
		echo "failed: $plug_why" >>"$work/plugged"
	fi
}
plugged() { grep -c "^$1" "$work/plugged"; }
: >"$work/plugged"
if [ -w /sys/devices/system/cpu/cpu1/online ]; then
	(
		while [ ! -e "$work/enough" ]; do
			plug 0 off
			plug 1 on
		done
	) &
	plug=$!
	both() { [ "$(plugged off)" -ge 1 ] && [ "$(plugged on)" -ge 1 ]; }
	wait_until 30 both
	off_before=$(plugged off) on_before=$(plugged on)
	# What is late is tried again; anything else fails.
	loop "$((rounds / 10))" "L-9 while a processor comes and goes" 1000
	off=$(($(plugged off) - off_before)) on=$(($(plugged on) - on_before))
	: >"$work/enough"
	wait "$plug"
	if [ "$off" -gt 0 ] && [ "$on" -gt 0 ] && [ "$(grep '^failed' "$work/plugged" | grep -cv busy)" -eq 0 ]; then
		tap_pass "L-9 which it does meanwhile: it went $off times and came $on times, busy $(plugged failed) times"
	else
		tap_fail "L-9 which it does meanwhile" "went $off times, came $on times" \
			"$(grep '^failed' "$work/plugged" | sort | uniq -c)"
	fi
	[ "$(cat /sys/devices/system/cpu/cpu1/online)" = 1 ] || plug 1 on
else
	tap_skip "L-9 while a processor comes and goes" "there is one that stays"
	tap_skip "L-9 which it does meanwhile" "there is one that stays"
fi

if [ -w /sys/kernel/tracing/events/oxen/oxen_livepatch/enable ]; then
	echo 1 >/sys/kernel/tracing/events/oxen/oxen_livepatch/enable
	"$here/lp" loop pagesize 1 >/dev/null
	echo 0 >/sys/kernel/tracing/events/oxen/oxen_livepatch/enable
	traced=$(grep -c 'oxen_livepatch: action=.* pause_ns=[1-9]' /sys/kernel/tracing/trace)
	if [ "$traced" -eq 2 ]; then
		tap_pass "L-7 the pause is traced"
	else
		tap_fail "L-7 the pause is traced" "$(tail -n 5 /sys/kernel/tracing/trace)"
	fi
else
	tap_skip "L-7 the pause is traced" "no tracing here"
fi
taint=$(cat /proc/sys/kernel/tainted)
if [ $((taint & (1 << 15))) -ne 0 ]; then
	tap_pass "L-14 the kernel is tainted"
else
	tap_fail "L-14 the kernel is tainted" "$taint"
fi
if log_since | grep -q '^oxen: live patch pagesize: apply done, build-id [0-9a-f]*, guests paused for [0-9]* us'; then
	tap_pass "L-14 the log says what was done"
else
	tap_fail "L-14 the log says what was done" "$(log_since | tail -n 5)"
fi
sees 4096 "both guests go on"
tap_check "it is unloaded" oxen livepatch unload pagesize
destroy_all
wait
tap_done
