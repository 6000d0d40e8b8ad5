#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# Sends the machine to sleep while a guest runs. Each time a processor wakes it has forgotten whose it was.
# shellcheck disable=SC2317 # functions are called by name.

. "$(dirname "$0")/../lib/tap.sh"
. "$(dirname "$0")/spinning.sh"

need_guest
clock=/sys/class/rtc/rtc0/wakealarm
grep -qw mem /sys/power/state 2>/dev/null || tap_skip_all "this kernel or machine does not suspend to memory"
[ -w "$clock" ] || tap_skip_all "no clock that wakes the machine"
[ -z "$(ls -d /sys/bus/virtio/drivers/virtiofs/virtio* 2>/dev/null)" ] ||
	tap_skip_all "this machine shares folders, and they do not sleep"

tap_plan 7

begin() { spin_start sleeper && spin_goes_on sleeper; }
begun=$(date +%s)
tap_check "a guest runs" begin
# An alarm that comes before the machine sleeps does not wake it: a slow one needs longer to get there.
naps=$((5 + 4 * ($(date +%s) - begun)))

nap() {
	echo 0 >"$clock" && echo "+$naps" >"$clock" && echo mem >/sys/power/state
}
for round in first second; do
	tap_check "the machine sleeps and wakes, the $round time" nap
	tap_check "the guest goes on" spin_goes_on sleeper
	tap_check "its time has not gone back" spin_time_goes sleeper
done
spin_stop sleeper >/dev/null
wait
tap_done
