#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# Debian's kernel boots to its first process with every page of its memory watched for writes, by Debian's xen-access:
# no event is lost, as both sides count.

# shellcheck disable=SC2317 # conditions are called by wait_until.
. "$(dirname "$0")/../lib/tap.sh"
. "$(dirname "$0")/../lib/guests.sh"

need_guests
need_linux
tools=${XEN_TOOLS:-/usr/lib/xen-4.20/bin}
[ -x "$tools/xen-access" ] ||
	tap_skip_all "no xen-access in $tools: install xen-utils-4.20, or set XEN_TOOLS"

counted() { sed -n "s/^domain $domid .* monitor_events \([0-9]*\) .*/\1/p" /sys/kernel/debug/oxen/domains; }
# A domain that is being built is paused as well; that the guest is whole is said with the times.
there() { grep -q 'timing: all steps' "$work/watched.console" "$work/watched.errors" && in_state watched paused; }
watching() { grep -q 'starting write' "$work/own"; }

# Milliseconds since the machine started.
now() { awk '{ printf "%d\n", $1 * 1000 }' /proc/uptime; }

tap_plan 4
linux_start watched 2 idle --no-input --paused --timing
wait_until 60 there || tap_skip_all "no guest: $(story watched)"
domid=$(domains)
stdbuf -oL "$tools/xen-access" "$domid" write >"$work/access" 2>"$work/own" &
pid=$!
if wait_until 20 watching; then
	tap_pass "every page of a guest is watched that has not run"
else
	tap_fail "every page of a guest is watched that has not run" "$(cat "$work/own")"
fi
began=$(now)
oxen unpause watched
if wait_until 700 said watched idle; then
	watched_for=$(($(now) - began))
	tap_pass "it boots to its first process"
else
	tap_fail "it boots to its first process" "$(story watched)" "$(tail -n 3 "$work/access")"
fi
oxen pause watched
sleep 2
kill -INT "$pid"
wait_for "$pid" 60
got=$(grep -c '^PAGE ACCESS' "$work/access")
sent=$(counted)
if [ "$got" -eq "$sent" ] && [ "$got" -gt 1000 ]; then
	tap_pass "no event is lost of $sent"
else
	tap_fail "no event is lost" "$sent sent, $got printed" "$(tail -n 5 "$work/access")"
fi
oxen unpause watched
sleep 2
if in_state watched running blocked; then
	tap_pass "and it lives on"
else
	tap_fail "and it lives on" "$(story watched)"
fi
destroy_all

# What it costs, compared with the same guest that nobody watches.
wait_until 60 no_domains
linux_start alone 2 idle --no-input --paused --timing
built() { grep -q 'timing: all steps' "$work/alone.console" "$work/alone.errors" && in_state alone paused; }
wait_until 60 built
began=$(now)
oxen unpause alone
if wait_until 300 said alone idle; then
	echo "# it boots in ${watched_for:-?} ms with $sent events, alone in $(($(now) - began)) ms"
fi
destroy_all
tap_done
