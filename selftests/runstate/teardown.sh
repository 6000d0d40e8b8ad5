#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# Domains are destroyed, and their tools killed, at many moments of a guest that registers areas, loses pages and
# takes CPUs down. No page that was given back may be written to: where the kernel fills free pages with a pattern
# (page_poison=1), it is looked for in all of them.

# shellcheck disable=SC2317 # conditions are called by wait_until.
. "$(dirname "$0")/../lib/tap.sh"
. "$(dirname "$0")/../lib/guests.sh"
. "$(dirname "$0")/runstate.sh"

need_guests

# Uses nearly all memory that is free, which makes the kernel look at the pages.
use_all_memory() {
	sync
	echo 3 >/proc/sys/vm/drop_caches
	mkdir -p "$work/full"
	mount -t tmpfs -o size=90% tmpfs "$work/full"
	free=$(awk '$1 == "MemFree:" { print int($2 / 1024) }' /proc/meminfo)
	dd if=/dev/zero of="$work/full/zero" bs=1M count=$((free - 160)) 2>/dev/null
	umount "$work/full"
}

has_run() { [ "$(time_of gone)" -ge "$1"000000 ] || ended "$pid"; }

start() {
	oxen run --kernel "$guests/runstate.elf" --memory 64 --no-input --name gone --vcpus 2 --cmdline vcpus=2 \
		>"$work/console" 2>"$work/errors" &
	pid=$!
	wait_until 20 in_state gone paused running blocked runnable
}

before=$(memory_available)
moments='1 5 20 50 100 200 400 700 1000 1500'
[ -z "${OXEN_LONG:-}" ] || moments=$(seq 1 25 2500)
# shellcheck disable=SC2086 # numbers they are.
set -- $moments
tap_plan $(($# * 2 + 6))

load
for moment; do
	start
	wait_until 30 has_run "$moment"
	tap_check "R-10 it is destroyed when it has run for $moment ms" oxen destroy gone
	wait "$pid" 2>/dev/null
done
for moment; do
	start
	wait_until 30 has_run "$moment"
	kill -KILL "$pid"
	wait "$pid" 2>/dev/null
	# Nobody has told the guest.
	sleep 0.2
	if oxen destroy gone && no_domains; then
		tap_pass "R-10 and when its tool is killed after $moment ms"
	else
		tap_fail "R-10 and when its tool is killed after $moment ms" "$(oxen list)"
		destroy_all
	fi
done
unload

# A page goes, and the guest runs on.
oxen run --kernel "$guests/runstate.elf" --memory 64 --no-input --name gone --keep >"$work/console" 2>&1
if grep -q '^ok .*R-10 nor later' "$work/console" && ! grep -q '^not ok' "$work/console"; then
	tap_pass "R-10 pages are given back while areas are in them"
else
	tap_fail "R-10 pages are given back while areas are in them" "$(tail -n 20 "$work/console")"
fi
tap_check "R-10 a domain that has shut down with areas is destroyed" oxen destroy gone
if grep -qw 'page_poison=\(1\|on\)' /proc/cmdline; then
	use_all_memory
	if dmesg | grep -q 'pagealloc: '; then
		tap_fail "R-10 no page was written to after it was given back" "$(dmesg | grep -A 8 'pagealloc: ')"
	else
		tap_pass "R-10 no page was written to after it was given back"
	fi
else
	tap_skip "R-10 no page was written to after it was given back" "this kernel was started without page_poison=1"
fi
if no_domains; then tap_pass "no domain is left"; else tap_fail "no domain is left" "$(oxen list)"; fi
memory_is_back "$before" 32
log_clean 100
tap_done
