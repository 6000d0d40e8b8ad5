#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# A real fix as a live patch: capabilities.diff, for a module that is built without it. A guest that runs on says what
# it is told before and after, and xenctx shows its registers as they are.

# shellcheck disable=SC2317 # conditions are called by wait_until.
. "$(dirname "$0")/../lib/tap.sh"
. "$(dirname "$0")/../lib/guests.sh"
. "$(dirname "$0")/../lib/xen-tools.sh"

need_guests
need_xen_tools
payload=${OXEN_PAYLOADS:-}/capabilities.livepatch
[ -r "$payload" ] || tap_skip_all "no payload: set OXEN_PAYLOADS"

# Gives a result: the guest's last words about kinds of guests are $1.
says() {
	if wait_until 30 said_last "$1"; then
		tap_pass "$2"
	else
		tap_fail "$2" "$(story asker)"
	fi
}
said_last() { [ "$(tr -d '\r' <"$work/asker.console" | sed -n 's/^.*, capabilities //p' | tail -n 1)" = "$1" ]; }
# Questions that the guest has asked when it was told something new.
asked() { sed -n 's/^.*asked \([0-9]*\), capabilities.*/\1/p' "$work/asker.console" | tail -n 1; }

tap_plan 9
oxen run --kernel "$guests/asker.elf" --memory 16 --no-input --name asker --cmdline capabilities \
	>"$work/asker.console" 2>"$work/asker.errors" &
says "hvm-3.0-x86_32 hvm-3.0-x86_32p hvm-3.0-x86_64 " "the guest is not told of 64 bits"
domid=$(domains)
xen xenctx "$domid" 0
shows "xenctx takes its registers for 32 bits wide" "eip: "

tap_check "L-16 the fix is loaded" oxen livepatch upload capabilities "$payload"
tap_check "L-16 and applied" oxen livepatch apply capabilities --timeout 2000
says "xen-3.0-x86_64 hvm-3.0-x86_32 hvm-3.0-x86_32p hvm-3.0-x86_64 " "the guest is told"
xen xenctx "$domid" 0
shows "xenctx shows registers of 64 bits" "rip: "
asked=$(asked)
if [ "${asked:-0}" -gt 1 ] && [ "$(grep -c 'asked 1,' "$work/asker.console")" -eq 1 ]; then
	tap_pass "it has run all the time: the new answer was to question $asked"
else
	tap_fail "it has run all the time" "$(story asker)"
fi
tap_check "it is the domain that it was" [ "$(domains)" = "$domid" ]
tap_check "the fix is listed" sh -c 'oxen livepatch list | grep -q "^capabilities  *applied"'
destroy_all
wait
tap_done
