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
asks() { grep -q answer "$work/console-$started"; }
while [ "$started" -lt "$count" ]; do
	started=$((started + 1))
	oxen run --kernel "$guests/asker.elf" --memory 4 --no-input --name "asker-$started" \
		>"$work/console-$started" 2>&1 &
	wait_until 60 asks || exit 1
	# What starts the next one goes first.
	renice -n 19 -p "$(pgrep -n '^oxen-')" >/dev/null
done
echo "$count vCPUs"
"$lp" cost
destroy_all
wait
