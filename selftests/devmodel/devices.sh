#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# A device model's debug port and its page of memory, used by a tiny guest; and by another one after it, for which
# another model goes on with what the first kept.

. "$(dirname "$0")/../lib/tap.sh"
. "$(dirname "$0")/../lib/guests.sh"

need_guests
devmodel=$(dirname "$0")/devmodel
[ -x "$devmodel" ] || tap_skip_all "no devmodel beside this script"

# Runs the guest, which must find $1 and leave $2, with a model.
served() {
	: >"$work/model"
	oxen run --kernel "$guests/scratch.elf" --memory 16 --name scratch --paused --no-input \
		--cmdline "e9 found=$1 leave=$2" >"$work/console" 2>"$work/errors" &
	guest=$!
	wait_until 30 in_state scratch paused
	"$devmodel" --serial "$work/serial" --debug "$work/debug" --state "$work/state" "$(domains)" 2>"$work/model" &
	model=$!
	wait_until 20 grep -q 'serves domain' "$work/model"
	oxen unpause scratch
	is=0
	wait_for "$guest" 60 || is=$?
	guest_result "a guest uses the memory that a model keeps (it finds $1)" scratch "$is"
	kill -TERM "$model"
	is=0
	wait_for "$model" 10 || is=$?
	if [ "$is" -eq 0 ]; then tap_pass "the model ends"; else tap_fail "the model ends" "status $is"; fi
}

# Prints the number in the last four bytes of the page, which is the first thing in the file.
kept() { od -An -tx4 -j4092 -N4 "$work/state" | tr -d ' '; }

tap_plan 8
served 0 0x600df00d
name="what is printed on the debug port comes out of the model"
tr -d '\r' <"$work/console" | grep -a '^\(ok\|not ok\|1\.\.\)' >"$work/said"
tr -d '\r' <"$work/debug" | grep -a '^\(ok\|not ok\|1\.\.\)' >"$work/printed"
if [ -s "$work/said" ] && cmp -s "$work/said" "$work/printed"; then
	tap_pass "$name"
else
	tap_fail "$name" "$(head -n 20 "$work/debug")" "$(cat "$work/model")"
fi
name="what the guest left is kept"
if [ "$(kept)" = 600df00d ]; then tap_pass "$name"; else tap_fail "$name" "it is $(kept)"; fi
served 0x600df00d 0x12345
name="the next guest and the next model go on with it"
if [ "$(kept)" = 00012345 ]; then tap_pass "$name"; else tap_fail "$name" "it is $(kept)"; fi
log_clean 30
tap_done
