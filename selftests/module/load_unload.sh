#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# Loads and unloads the module 50 times, and looks for what it should not have left behind.

. "$(dirname "$0")/../lib/tap.sh"

need_superuser
need_module_file

# What a module that is gone must not have left.
traces() {
	ls -d /sys/module/oxen /dev/xen/privcmd /dev/xen/evtchn /sys/kernel/debug/oxen 2>/dev/null
	lsmod | grep -w '^oxen'
	grep -w oxen /proc/interrupts /proc/devices /proc/misc
	pgrep -l '^oxen'
}

# Kernel memory that counts slabs which are not given back, in KiB.
unreclaimable() { awk '$1 == "SUnreclaim:" { print $2 }' /proc/meminfo; }

tap_plan 5
[ ! -d /sys/module/oxen ] || rmmod oxen

complaint=$(for i in $(seq 50); do
	insmod "$module" 2>&1 || {
		echo "load $i failed"
		break
	}
	[ -d /sys/module/oxen ] || echo "load $i: the module is not there"
	rmmod oxen 2>&1 || {
		echo "unload $i failed"
		break
	}
	[ "$i" -ne 10 ] || unreclaimable >/tmp/module.before
done)
after=$(unreclaimable)
before=$(cat /tmp/module.before 2>/dev/null || echo 0)

if [ -z "$complaint" ]; then
	tap_pass "loads and unloads 50 times"
else
	tap_fail "loads and unloads 50 times" "$complaint"
fi

left=$(traces)
if [ -z "$left" ]; then tap_pass "leaves nothing behind"; else tap_fail "leaves nothing behind" "$left"; fi

# Forty rounds after the tenth: a page lost in each would show as 160 KiB. A kernel that looks for leaks itself keeps
# what was freed for a while, and more notes of it the longer it runs.
if [ -e /sys/kernel/debug/kmemleak ]; then
	tap_skip "kernel memory does not grow" "kmemleak looks for what is lost"
elif [ "$((after - before))" -lt 2048 ]; then
	tap_pass "kernel memory does not grow"
else
	tap_fail "kernel memory does not grow" "SUnreclaim went from $before to $after KiB in 40 rounds"
fi

if insmod "$module" 2>/dev/null && ! insmod "$module" 2>/dev/null; then
	tap_pass "refuses a second load"
else
	tap_fail "refuses a second load"
fi
tap_check "unloads after that" rmmod oxen
tap_done
