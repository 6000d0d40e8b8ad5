#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# Debian's xen-access, unmodified, on Debian's kernel: each of its modes that the processor can serve, its end by a
# signal that it handles and by one that it cannot, and the guest's life throughout.

# shellcheck disable=SC2317 # conditions are called by wait_until.
. "$(dirname "$0")/../lib/tap.sh"
. "$(dirname "$0")/../lib/guests.sh"

need_guests
need_linux "$(dirname "$0")/trapper"
tools=${XEN_TOOLS:-/usr/lib/xen-4.20/bin}
[ -x "$tools/xen-access" ] ||
	tap_skip_all "no xen-access in $tools: install xen-utils-4.20, or set XEN_TOOLS"

lines() { grep -c 'guest: steal\|guest: plugged, 2' "$work/watched.console"; }
more_lines() { [ "$(lines)" -ge $(($1 + wanted)) ]; }
# How many more lines show that it lives.
wanted=1

said_often() { [ "$(grep -c "guest: $1" "$work/watched.console")" -gt 20 ]; }

# Gives the result $1: the guest says something more within two minutes.
lives() {
	lives_before=$(lines)
	if wait_until 120 more_lines "$lives_before"; then tap_pass "$1"; else tap_fail "$1" "$(story watched)"; fi
}

# Starts xen-access in mode $1; pid is then its own. What it says of itself goes elsewhere, not in between its events.
access_start() {
	"$tools/xen-access" "$domid" "$1" >"$work/access.$1" 2>"$work/own.$1" &
	pid=$!
	# One that is killed before leaves the guest paused.
	wait_until 20 grep -q "starting $1" "$work/own.$1"
	sleep 1
}

# Prints how many events the monitors of the guest got so far, as the hypervisor counts.
counted() { sed -n "s/^domain $domid .* monitor_events \([0-9]*\) .*/\1/p" /sys/kernel/debug/oxen/domains; }

# Ends the xen-access of mode $1 with a signal that it handles, with nothing in the ring that it has not seen, and gives
# two results: that it ends well, and that its lines which match $2 are as many events as were sent since there were $4,
# and some if $3 is "some".
access_end() {
	oxen pause watched
	sleep 2
	kill -INT "$pid"
	access_status=0
	wait_for "$pid" 20 || access_status=$?
	access_got=$(grep -c "$2" "$work/access.$1")
	access_sent=$(($(counted) - $4))
	oxen unpause watched
	if [ "$access_status" -eq 0 ] && grep -q 'xenaccess exit code 0' "$work/own.$1"; then
		tap_pass "$1: xen-access ends well"
	else
		tap_fail "$1: xen-access ends well" "status $access_status" "$(tail -n 5 "$work/own.$1")"
	fi
	if [ "$access_got" -eq "$access_sent" ] && { [ "$3" != some ] || [ "$access_got" -gt 0 ]; }; then
		tap_pass "$1: no event is lost of $access_sent"
	else
		tap_fail "$1: no event is lost" "$access_sent sent, $access_got printed" "$(tail -n 20 "$work/access.$1")"
	fi
}

# Runs xen-access in mode $1 for a while. Its lines that match $2 are events, of which there are some if $3 is "some".
mode() {
	mode_before=$(counted)
	access_start "$1"
	lives "$1: the guest lives while it is watched"
	access_end "$1" "$2" "$3" "$mode_before"
	lives "$1: the guest lives on"
}

tap_plan 55
linux_start watched 1 steal --no-input
domid=''
if wait_until 100 more_lines 0; then
	tap_pass "Debian's kernel runs"
else
	tap_fail "Debian's kernel runs" "$(story watched)"
fi
domid=$(domains)

mode write 'PAGE ACCESS: .w.' some
mode exec 'PAGE ACCESS: ..x' some
# The guest runs a program that does each of these several times a second.
mode cpuid 'CPUID executed' some
mode breakpoint 'Breakpoint' some
mode debug 'Debug exception' some

# E-9: killed, it leaves a guest that goes on, and another can take its place.
for one in write exec; do
	access_start "$one"
	kill -KILL "$pid"
	wait "$pid" 2>/dev/null
	lives "E-9 $one: the guest outlives xen-access that is killed"
	mode "$one" 'PAGE ACCESS' some
done

# The same with a vCPU that waits for an answer nearly always, and no time in between.
for one in cpuid breakpoint debug; do
	access_start "$one"
	kill -KILL "$pid"
	wait "$pid" 2>/dev/null
	mode "$one" '^CPUID executed\|^Breakpoint\|^Debug exception' some
done
if said_often trapper && ! grep 'trapper wrong' "$work/watched.console" >"$work/wrong"; then
	tap_pass "E-9 the guest got the answers and exceptions that it should, each once"
else
	tap_fail "E-9 the guest got the answers and exceptions that it should, each once" "$(head "$work/wrong")"
fi

# What the processor cannot do is refused.
if "$tools/xen-access" "$domid" altp2m_write >"$work/out" 2>&1; then
	tap_fail "altp2m is refused" "$(cat "$work/out")"
else
	tap_pass "altp2m is refused"
fi
lives "and the guest lives on"
destroy_all

# Linux accesses descriptor table registers and CR4 when a processor starts, and hardly ever afterwards. After two lines
# one has started while it was watched.
linux_start watched 2 plug --no-input
if wait_until 100 more_lines 0; then
	tap_pass "a guest starts its second processor again and again"
else
	tap_fail "a guest starts its second processor again and again" "$(story watched)"
fi
domid=$(domains)
wanted=2
mode desc_access 'Descriptor access' some
mode write_ctrlreg_cr4 'Control register written' some
destroy_all
tap_done
