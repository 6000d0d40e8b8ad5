#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# How long the parts of an action take: in an idle hypervisor, and under guests that never stop asking for something.
# No test.
#
#   cost.sh [GUESTS]    with so many (72); each has one vCPU

. "$(dirname "$0")/../lib/tap.sh"
. "$(dirname "$0")/../lib/guests.sh"

count=${1:-72}
lp=$(dirname "$0")/lp
need_guests

echo "no guests"
"$lp" cost || exit 1
[ "$count" -gt 0 ] || exit 0
started=0
while [ "$started" -lt "$count" ]; do
	started=$((started + 1))
	oxen run --kernel "$guests/asker.elf" --memory 4 --no-input --name "asker-$started" \
		>"$work/console-$started" 2>&1 &
done
# Those that have said their first answer run.
asking=0
while [ "$asking" -lt "$count" ]; do
	sleep 1
	now=$(grep -l answer "$work"/console-* | wc -l)
	[ "$now" -ge "$asking" ] || exit 1
	asking=$now
done
echo "$count vCPUs"
"$lp" cost
destroy_all
wait
