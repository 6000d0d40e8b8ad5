#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# Ends the machine under two guests that run: ending.sh restart|poweroff|emergency|kexec. What comes then is
# looked at from outside, but for kexec: there this runs again in the kernel that follows.
# shellcheck disable=SC2317 # functions are called by name.

. "$(dirname "$0")/../lib/tap.sh"
. "$(dirname "$0")/spinning.sh"

need_guest

if grep -qw after_kexec /proc/cmdline; then
	# The module is loaded: it found no processor in host mode.
	tap_number=1 tap_planned=3
	tap_pass "kexec: the next kernel loads the module"
	tap_check "kexec: and runs a guest" spin_start later
	spin_stop later >/dev/null
	wait
	tap_done
fi

if [ "$1" = kexec ]; then
	[ -e /sys/kernel/kexec_loaded ] || {
		tap_plan 1
		tap_skip "kexec: the next kernel" "this kernel has no kexec"
		exit 4
	}
	tap_plan 3
else
	tap_plan 1
fi

begin() { spin_start one && spin_start two && spin_goes_on one && spin_goes_on two; }
tap_check "$1: two guests run" begin
# What was printed must be outside.
sleep 1

case $1 in
restart) reboot -f ;;
poweroff) poweroff -f ;;
emergency)
	echo 1 >/proc/sys/kernel/sysrq
	echo b >/proc/sysrq-trigger
	;;
kexec) "$(dirname "$0")/kexec" /guest/vmlinuz /next/initramfs "$(cat /proc/cmdline) after_kexec" ;;
esac
echo "# the machine goes on"
exit 1
