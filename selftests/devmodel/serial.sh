#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# Debian's kernel writes its messages to a serial port that a device model serves; the model is killed again and again,
# and the guest goes on with the next one.

. "$(dirname "$0")/../lib/tap.sh"
. "$(dirname "$0")/../lib/guests.sh"

need_guests
need_linux
devmodel=$(dirname "$0")/devmodel
[ -x "$devmodel" ] || tap_skip_all "no devmodel beside this script"

model=
# Starts a device model for the domain.
model_start() {
	"$devmodel" --serial "$work/serial" --debug "$work/debug" --state "$work/state" "$domain" 2>>"$work/model" &
	model=$!
}

# How many lines of the guest's counting have come.
ticks() { tr -d '\r' <"$work/serial" | grep -c 'guest: tick [0-9]* of'; }
# shellcheck disable=SC2317 # wait_until calls it.
at_least() { [ "$(ticks)" -ge "$1" ]; }
has() { tr -d '\r' <"$work/serial" | grep -q "$1"; }

tap_plan 8
: >"$work/serial"
linux_consoles="console=ttyS0"
linux_start served 2 ticks --paused --no-input
wait_until 30 in_state served paused
domain=$(domains)
model_start
wait_until 20 grep -q 'serves domain' "$work/model"
oxen unpause "$domain"
name="a kernel's messages come out of a device model's serial port"
if wait_until 120 has 'Linux version'; then
	tap_pass "$name"
else
	tap_fail "$name" "$(tail -n 20 "$work/serial")" "$(cat "$work/model")"
fi
tap_check "the kernel takes it for a 16550A" wait_until 60 has 'ttyS0 at I/O 0x3f8.* is a 16550A'
tap_check "the guest counts on it" wait_until 60 at_least 3

# I-9: at any moment.
lost=0
for round in 1 2 3 4 5 6 7 8 9 10 11 12; do
	before=$(ticks)
	kill -KILL "$model"
	wait "$model" 2>/dev/null
	[ $((round % 3)) -ne 0 ] || sleep 0.5
	model_start
	wait_until 20 at_least $((before + 2)) || lost=$((lost + 1))
	sleep "0.0$round"
done
name='I-9 killed 12 times, it goes on with the next one each time'
if [ "$lost" -eq 0 ]; then
	tap_pass "$name"
else
	tap_fail "$name" "$lost times it did not" "$(tail -n 20 "$work/serial")"
fi
is=0
wait_for "$pid" 120 || is=$?
name='it ends by itself'
if [ "$is" -eq 0 ]; then tap_pass "$name"; else tap_fail "$name" "status $is" "$(story served)"; fi
# A byte that was on its way when its model was killed may be lost.
damaged=$(tr -d '\r' <"$work/serial" | grep -a 'guest:' | grep -avc 'guest: \(tick [0-9]* of [0-9]*\|ends\)$')
if has 'guest: ends' && [ "$damaged" -le 12 ]; then
	tap_pass "I-9 at most one line for each is damaged ($damaged)"
else
	tap_fail "I-9 at most one line for each is damaged" "$damaged are" "$(tail -n 5 "$work/serial")"
fi
kill -TERM "$model" 2>/dev/null
name='the last model ends in order'
if wait_for "$model" 10; then tap_pass "$name"; else tap_fail "$name" "status $?"; fi
log_clean 30
tap_done
