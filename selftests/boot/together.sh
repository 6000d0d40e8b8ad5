#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# Debian's own kernel in guests with two and four vCPUs at the same time, to userspace and through work
# there, twice; with OXEN_LONG 20 times. Then the ways in which it ends, and its console's input.

# shellcheck disable=SC2317 # conditions are called by wait_until.
. "$(dirname "$0")/../lib/tap.sh"
. "$(dirname "$0")/../lib/guests.sh"

need_guests
need_linux
rounds=2
[ -z "${OXEN_LONG:-}" ] || rounds=20

# Gives a result: the guest $1, whose `oxen run` is $2, ends with $3 and its console has the further
# arguments, lines of linux-init.
ends() {
	ends_name=$1 ends_pid=$2 ends_status=$3 is=0 missing=
	shift 3
	wait_for "$ends_pid" 120 || is=$?
	for line; do said "$ends_name" "$line" || missing="$missing, no '$line'"; done
	if [ "$is" -eq "$ends_status" ] && [ -z "$missing" ]; then
		tap_pass "$ends_name ends with $is"
	else
		tap_fail "$ends_name ends with $ends_status" "it is $is$missing" "$(cat "$work/$ends_name.errors")" \
			"$(story "$ends_name")"
		oxen destroy "$ends_name" 2>/dev/null
	fi
}

before=$(memory_available)
tap_plan $((rounds * 2 + 7))
round=0
while [ $round -lt $rounds ]; do
	round=$((round + 1))
	linux_start "two-$round" 2 work --no-input
	two=$pid
	linux_start "four-$round" 4 work --no-input
	ends "two-$round" "$two" 0 'up, 2 processors.*' 'worked, 2 processors'
	ends "four-$round" "$pid" 0 'up, 4 processors.*' '3 processors' 'worked, 4 processors'
done

linux_start reboots 1 reboot --no-input
reboots=$pid
linux_start crashes 2 crash --no-input
ends reboots "$reboots" 10 'up, 1 processors.*'
ends crashes "$pid" 12 'up, 2 processors.*'
if tr -d '\r' <"$work/crashes.console" | grep -q 'Kernel panic - not syncing: sysrq triggered crash'; then
	tap_pass "its last words are on the console"
else
	tap_fail "its last words are on the console" "$(story crashes)"
fi

# Input of more than the console's ring of one KiB, all of which must come back.
mkfifo "$work/input"
oxen run --kernel "$vmlinuz" --initrd "$initramfs" --vcpus 2 --memory 192 --name answers \
	--cmdline "console=hvc0 panic=-1 quiet DO=answer" \
	<"$work/input" >"$work/answers.console" 2>"$work/answers.errors" &
pid=$!
exec 9>"$work/input"
wait_until 100 said answers 'up, .*'
sleep 1
{
	seq -f 'line %04g of the input' 200
	echo end
} >&9
ends answers "$pid" 0 'ends'
exec 9>&-
tr -d '\r' <"$work/answers.console" | sed -n 's/^guest: answer //p' >"$work/answered"
seq -f 'line %04g of the input' 200 >"$work/asked"
if cmp -s "$work/asked" "$work/answered"; then
	tap_pass "all that was typed arrives, in order"
else
	tap_fail "all that was typed arrives, in order" "$(diff "$work/asked" "$work/answered" | head -n 20)"
fi
memory_is_back "$before" 32
log_clean 100
tap_done
