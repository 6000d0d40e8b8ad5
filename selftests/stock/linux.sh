#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# xenctx and xen-hvmctx on Debian's kernel with two vCPUs: idle, computing, and paused.

# shellcheck disable=SC2317 # conditions are called by wait_until.
. "$(dirname "$0")/../lib/tap.sh"
. "$(dirname "$0")/../lib/guests.sh"
. "$(dirname "$0")/../lib/xen-tools.sh"

need_guests
need_linux
need_xen_tools

# Prints the values of a register of all vCPUs, as xenctx has it.
register() { sed -n "s/^\(.*[[:space:]]\)\{0,1\}$1: \([0-9a-f]*\).*/\2/p" "$work/out"; }

# Whether each hexadecimal value of standard input is at least $1 and below $2, and there are $3 of them.
# All have 16 digits, so that they compare as text; without the empty strings 626e000 would be a number.
within() {
	awk -v low="$1" -v high="$2" -v count="$3" '
		{ n++; good += ($0 "" >= low "" && $0 "" < high "") }
		END { exit !(n == count && good == n) }'
}

# Gives a result for a condition on what xenctx printed.
looks() {
	looks_name=$1
	shift
	if "$@"; then tap_pass "$looks_name"; else tap_fail "$looks_name" "$(grep -E 'vcpu|rip|cr3| cs' "$work/out")"; fi
}

rips_in_text() { register rip | within "$stext" "$etext" 2; }
# A page of the guest's 192 MiB.
cr3_are_pages() { register cr3 | within 0000000000001000 000000000c000000 2; }
both_in_kernel() { [ "$(register ' cs' | tr '\n' ' ')" = "0010 0010 " ]; }
# Both compute in user mode, but for a system call now and then.
both_in_user() {
	xen xenctx -C "$domid" && [ "$(register ' cs' | tr '\n' ' ')" = "0033 0033 " ] &&
		register rip | within 0000000000400000 0000800000000000 2
}

tap_plan 19
linux_start idle 2 idle --no-input
if wait_until 100 said idle idle; then
	tap_pass "Debian's kernel runs"
else
	tap_fail "Debian's kernel runs" "$(story idle)"
fi
read -r stext etext <<-EOF2
	$(tr -d '\r' <"$work/idle.console" | sed -n 's/^guest: text //p')
EOF2
domid=$(domains)
sleep 1

idle_looks() {
	tap_check "xenctx on a guest that is $1" xen xenctx -C -a "$domid"
	looks "$1: both vCPUs are in the kernel's text" rips_in_text
	looks "$1: and in its code segment" both_in_kernel
	looks "$1: CR3 is a page of the guest's" cr3_are_pages
	tap_check "xen-hvmctx on a guest that is $1" xen xen-hvmctx "$domid"
	entries=$(sed -n 's/^Entry [0-9]*: type \([0-9]*\) instance \([0-9]*\),.*/\1.\2/p' "$work/out" | tr '\n' ' ')
	case $entries in
	"1.0 2.0 2.1 5.0 5.1 6.0 6.1 "*"0.0 ") tap_pass "$1: records of both vCPUs" ;;
	*) tap_fail "$1: records of both vCPUs" "$entries" ;;
	esac
	# Long mode with system calls and no-execute on both; LSTAR in the kernel.
	if [ "$(grep -c 'efer *0x00000d01' "$work/out")" -eq 2 ] &&
		sed -n 's/^ *lstar 0x\([0-9a-f]*\).*/\1/p' "$work/out" | within "$stext" "$etext" 2; then
		tap_pass "$1: EFER and LSTAR are a 64-bit kernel's"
	else
		tap_fail "$1: EFER and LSTAR are a 64-bit kernel's" "$(grep -E 'efer|lstar' "$work/out")"
	fi
}

idle_looks idle
oxen pause idle
idle_looks paused
oxen unpause idle
destroy_all
wait_for "$pid" 20 || [ "$?" -ne 124 ] || echo "# oxen run did not end with its guest"

linux_start busy 2 busy --no-input
if wait_until 100 said busy busy; then tap_pass "another boots"; else tap_fail "another boots" "$(story busy)"; fi
domid=$(domains)
if wait_until 30 both_in_user; then
	tap_pass "vCPUs that compute are seen in user mode"
else
	tap_fail "vCPUs that compute are seen in user mode" "$(cat "$work/out")" "$(story busy)"
fi
destroy_all
wait_for "$pid" 20
if no_domains; then tap_pass "no domain is left"; else tap_fail "no domain is left" "$(oxen list)"; fi
log_clean 20
tap_done
