#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# A-10: Xen's own test of resources, as Debian builds it, passes unmodified.

. "$(dirname "$0")/../lib/tap.sh"

program=${XEN_TOOLS:-/usr/lib/xen-4.20/bin}/test-resource
need_superuser
[ -e /dev/xen/privcmd ] || tap_skip_all "the module is not loaded"
[ -x "$program" ] || tap_skip_all "no $program: install xen-utils-4.20, or set XEN_TOOLS"

tap_plan 2
status=0
output=$(timeout -k 5 60 "$program" 2>&1) || status=$?
if [ "$status" -eq 0 ]; then
	tap_pass "A-10 Xen's test-resource passes"
else
	tap_fail "A-10 Xen's test-resource passes" "status $status" "$output"
fi
case $output in
*Fail*) tap_fail "A-10 it finds nothing wrong" "$output" ;;
*"Test x86 PVH"*) tap_pass "A-10 it finds nothing wrong, with a PVH guest" ;;
*) tap_fail "A-10 it tests a PVH guest" "$output" ;;
esac
tap_done
