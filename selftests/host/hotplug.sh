#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# Takes a processor away and gives it back while guests run, and while none does.
# shellcheck disable=SC2317 # functions are called by name.

. "$(dirname "$0")/../lib/tap.sh"
. "$(dirname "$0")/spinning.sh"

need_guest
need_module_file
switch=/sys/devices/system/cpu/cpu1/online
[ -w "$switch" ] || tap_skip_all "no second processor that can be taken away"

tap_plan 8

begin() { spin_start one && spin_start two && spin_goes_on one && spin_goes_on two; }
tap_check "two guests run" begin

round() {
	for _ in 1 2 3 4 5; do
		echo 0 >"$switch" || return 1
		spin_goes_on one || return 1
		spin_goes_on two || return 1
		echo 1 >"$switch" || return 1
		spin_goes_on one || return 1
	done
}
tap_check "they go on without a processor, and with it again" round

# The processor that comes back must serve guests: hold one there.
there() { (taskset -p -c 1 $$ && spin_start three && spin_goes_on three) && spin_stop three; }
tap_check "a guest runs on the processor that came back" there
end() { spin_stop one && spin_stop two; }
tap_check "the guests end" end
wait

tap_check "the module unloads" rmmod oxen
# What was not there when the module was loaded comes into its hands too.
late() { echo 0 >"$switch" && insmod "$module" && echo 1 >"$switch"; }
tap_check "loads with a processor away" late
tap_check "a guest runs on the processor that came later" there
early() { echo 0 >"$switch" && rmmod oxen && echo 1 >"$switch"; }
tap_check "unloads with a processor away" early
insmod "$module"
tap_done
