#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# Xen's own xen-livepatch, as Debian builds it, with each of its commands, while two guests make hypercalls. First with
# payloads that the tests' own programs are, then with what `oxen livepatch build` has made of *.diff.

# shellcheck disable=SC2317 # conditions are called by their names.
. "$(dirname "$0")/../lib/tap.sh"
. "$(dirname "$0")/../lib/guests.sh"
. "$(dirname "$0")/../lib/xen-tools.sh"

need_guests
need_xen_tools
here=$(dirname "$(readlink -f "$0")")

# Runs the tool. Its limit is 30 ms, for which an emulated machine may be too slow.
live() {
	live_tries=20
	until xen xen-livepatch "$@"; do
		live_status=$?
		live_tries=$((live_tries - 1))
		[ "$live_tries" -gt 0 ] && grep -qE 'Device or resource busy|Operation already' "$work/out" ||
			return "$live_status"
		sleep 0.2
	done
}

# Gives a result: the tool succeeds.
does() { tap_check "L-14 xen-livepatch $*" live_shown "$@"; }
live_shown() { live "$@" || { cat "$work/out"; return 1; }; }

# Gives a result: the tool fails, and says $1.
refuses() {
	refuses_why=$1
	shift
	if live "$@"; then
		tap_fail "xen-livepatch $* is refused" "$(cat "$work/out")"
	elif grep -qF -e "$refuses_why" "$work/out"; then
		tap_pass "xen-livepatch $* is refused: $refuses_why"
	else
		tap_fail "xen-livepatch $* is refused: $refuses_why" "$(cat "$work/out")"
	fi
}

# Gives a result: payload $1 is listed in state $2.
listed() {
	if live list && grep -qE "^ *$1 +\\| $2 +\\|" "$work/out"; then
		tap_pass "L-14 it lists $1 as $2"
	else
		tap_fail "L-14 it lists $1 as $2" "$(cat "$work/out")"
	fi
}

# Gives a result: the first processor's core, as the hypervisor tells it, is $1.
core_is() {
	core=$("$here/lp" core 0)
	if [ "$core" = "$1" ]; then tap_pass "$2"; else tap_fail "$2" "core is $core, not $1"; fi
}

# Starts a guest that makes hypercalls without end.
asker() {
	oxen run --kernel "$guests/asker.elf" --memory 16 --no-input --name "$1" >"$work/$1.console" 2>"$work/$1.errors" &
}
asks() { grep -q 'asked 1, answer 4096' "$work/$1.console"; }
# The last answer that guest $1 has said is $2.
answers() { [ "$(sed -n 's/.*answer \([0-9]*\),.*/\1/p' "$work/$1.console" | tail -n 1)" = "$2" ]; }
both_answer() { answers one "$1" && answers two "$1"; }
# Gives a result: both guests are told that a page has $1 bytes.
guests_see() {
	if wait_until 30 both_answer "$1"; then
		tap_pass "$2"
	else
		tap_fail "$2" "$(tail -n 3 "$work/one.console")" "$(tail -n 3 "$work/two.console")"
	fi
}
# Prints the machine's memory in KiB, as the hypervisor tells it.
memory() { oxen info --json | sed -n 's/^ *"total_memory_kib": \([0-9]*\).*/\1/p'; }
# Gives a result: the memory is $1.
memory_is() {
	memory=$(memory)
	if [ "$memory" = "$1" ]; then tap_pass "$2"; else tap_fail "$2" "memory is $memory, not $1"; fi
}
# Gives a result: payload $1 is not listed.
not_listed() {
	if live list && ! grep -qE "^ *$1 +\\|" "$work/out"; then
		tap_pass "it lists $1 no more"
	else
		tap_fail "it lists $1 no more" "$(cat "$work/out")"
	fi
}
# Gives a result: the builder has named $1, and said $2 of it.
builder_says() {
	if grep -F -e "$1: " "$payloads/refused.log" | grep -qF -e "$2"; then
		tap_pass "L-16 the builder refuses $1: $2"
	else
		tap_fail "L-16 the builder refuses $1: $2" "$(cat "$payloads/refused.log")"
	fi
}
# Prints the exits of a domain so far.
runtime() { time_of "$1"; }
# Whether a domain has run since it had run $2.
has_run() { [ "$(runtime "$1")" -gt "$2" ]; }

payloads=${OXEN_PAYLOADS:-}
[ -r "$payloads/larger.livepatch" ] || tap_skip_all "no payloads: set OXEN_PAYLOADS"
tap_plan 79
for name in core42 core43 core44 nop; do
	"$here/lp" prepare "$name" "$work/$name.livepatch" || tap_skip_all "no payloads"
done
fresh=$("$here/lp" core 0)
asker one
asker two
if wait_until 60 asks one && wait_until 60 asks two; then
	tap_pass "two guests ask"
else
	tap_fail "two guests ask" "$(story one)" "$(story two)"
fi

does list
does upload core42 "$work/core42.livepatch"
listed core42 CHECKED
refuses 'File exists' upload core42 "$work/core42.livepatch"
does apply core42
listed core42 APPLIED
core_is 42 "L-1 and it is in use"
shows "L-14 with what it says of itself" 'about=core is 42' 'author=selftest'
shows "L-7 and how long the guests were paused" 'pause_ns='
refuses 'wrong state' unload core42
does upload core43 "$work/core43.livepatch"
refuses 'Invalid argument' replace core43
does apply core43
core_is 43 "L-4 one that depends on it covers it"
refuses 'Device or resource busy' revert core42
does revert core43
core_is 42 "the lower one is back"
does apply core43
does upload core44 "$work/core44.livepatch"
refuses 'Invalid argument' apply core44
does replace core44
core_is 44 "L-4 the replacement is in use"
listed core42 CHECKED
listed core43 CHECKED
does revert core44
core_is "$fresh" "what was there at first is back"
does apply core43 --nodeps
core_is 43 "--nodeps applies one alone"
does revert core43
does unload core42
does unload core43
does unload core44
does load "$work/nop.livepatch"
core_is 42 "load uploads and applies"
does revert nop
does unload nop

# What the builder has made: pagesize, of a function in Rust, memory on top of it, in C, and larger in place of both.
total=$(memory)
guests_see 4096 "both guests are told the size of a page"
does upload pagesize "$payloads/pagesize.livepatch"
listed pagesize CHECKED
does apply pagesize
listed pagesize APPLIED
shows "L-16 it says what it replaces" 'functions=oxen::hypercall::version::xen_version'
guests_see 8192 "L-16 both are told something else"
does upload memory "$payloads/memory.livepatch"
memory_is "$total" "what is only loaded changes nothing"
does apply memory
memory_is $((total * 2)) "L-16 a function of C is another: tools are told of twice the memory"
guests_see 8192 "L-4 the one below is still in use"
refuses 'Device or resource busy' revert pagesize
does revert memory
listed memory CHECKED
memory_is "$total" "tools are told the truth"
guests_see 8192 "L-4 and guests still something else"
does apply memory
memory_is $((total * 2)) "it is applied once more"
does upload larger "$payloads/larger.livepatch"
does replace larger
listed larger APPLIED
listed pagesize CHECKED
listed memory CHECKED
guests_see 16384 "L-4 L-16 the replacement is in use"
memory_is "$total" "and what it replaces is not"
refuses 'wrong state' unload larger
does revert larger
guests_see 4096 "both guests are told the truth"
memory_is "$total" "and so are tools"
for name in larger memory pagesize; do
	does unload $name
	not_listed $name
done
builder_says domain::affinity::Affinity 'lies otherwise in memory'
builder_says oxen::domain::ioreq::NEXT_OWNER 'a variable whose first value or size has changed'
builder_says kernel::Module::init 'has done its work already'
builder_says oxen_svm_enter 'has changed, and may not be patched'

for name in one two; do
	before=$(runtime "$name")
	if wait_until 30 has_run "$name" "$before"; then
		tap_pass "guest $name runs on"
	else
		tap_fail "guest $name runs on" "$(story "$name")"
	fi
done
destroy_all
wait
tap_done
