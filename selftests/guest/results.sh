#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# Runs the tiny guests that test what they see, and gives their results as its own.

. "$(dirname "$0")/../lib/tap.sh"
. "$(dirname "$0")/../lib/guests.sh"

need_guests
here=$(dirname "$0")

# Runs guest $1 with $2 MiB and the options that follow: it must find all well and power off.
passes() {
	guest=$1 memory=$2
	shift 2
	name="$guest${*:+ $*}"
	status=0
	timeout -k 5 100 oxen run --kernel "$guests/$guest.elf" --no-input --memory "$memory" "$@" \
		>"$work/console" 2>"$work/errors" || status=$?
	: >"$work/reasons"
	awk -v guest="$guest" -v reasons="$work/reasons" -f "$here/fold.awk" "$here/missing" "$work/console"
	[ "$status" -eq 0 ] || echo "oxen run ended with status $status" >>"$work/reasons"
	cat "$work/errors" >>"$work/reasons"
	if [ ! -s "$work/reasons" ]; then tap_pass "$name"; else tap_fail "$name" "$(cat "$work/reasons")"; fi
}

# QEMU's processor lets pass what no Xen looks at and hardware refuses.
lax=
! is_emulated || lax=lax

tap_plan 19
passes hello 64
passes hello32 64
passes hypercalls 64
passes hypercalls32 64
passes cpuid 64
passes code 64
passes msr 64 --cmdline "$lax"
passes fpu 64
passes fpu 64 --vcpus 2
passes smp 64 --vcpus 2 --cmdline vcpus=2
passes smp 64 --vcpus 4 --cmdline "vcpus=4 x2apic"
passes timer 64
passes evtchn 64
passes evtchn 64 --vcpus 2
passes touch 256
passes balloon 64 --vcpus 2
passes mmio 64
if no_domains; then tap_pass "no domain is left"; else tap_fail "no domain is left" "$(oxen list)"; fi
log_clean 60
tap_done
