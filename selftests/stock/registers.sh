#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# xenctx and xen-hvmctx on a guest whose registers hold known values, while it runs and while it is paused.

# shellcheck disable=SC2317 # conditions are called by wait_until.
. "$(dirname "$0")/../lib/tap.sh"
. "$(dirname "$0")/../lib/guests.sh"
. "$(dirname "$0")/../lib/xen-tools.sh"

need_guests
need_xen_tools

oxen run --kernel "$guests/registers.elf" --no-input --memory 32 --name known >"$work/console" 2>&1 &
pid=$!
begun() { grep -q '^registers: rip' "$work/console"; }
wait_until 20 begun
# The line comes a moment before the values.
sleep 0.5
domid=$(domains)
read -r rip cr3 marker <<-EOF2
	$(tr -d '\r' <"$work/console" | sed -n 's/^registers: rip \([0-9a-f]*\) cr3 \([0-9a-f]*\) marker /\1 \2 /p')
EOF2

# Prints $1, hexadecimal digits, with zeroes before it to 16.
wide() { printf '%016x' "0x$1"; }

xenctx_shows() {
	xen xenctx -a "$domid" 0
	shows "xenctx on a $1 guest: rip, rsp and general registers" \
		"rip: $(wide "$rip")" "rsp: $(wide "$marker")" \
		"rax: 0101010101010101	rcx: 0303030303030303	rdx: 0404040404040404" \
		"rbx: 0202020202020202	rsi: 0505050505050505	rdi: 0606060606060606" \
		"rbp: 0707070707070707	 r8: 0808080808080808	 r9: 0909090909090909" \
		"r10: 1010101010101010	r11: 1111111111111111	r12: 1212121212121212" \
		"r13: 1313131313131313	r14: 1414141414141414	r15: 1515151515151515"
	shows "xenctx on a $1 guest: segments, control and debug registers" \
		" cs: 0008	 ss: 0010	 ds: 0010	 es: 0010" "fs: 0000 @ 0000000033333000" \
		"/0000000044444000" "cr2: 0000222222222000" "cr3: $(wide "$cr3")" \
		"dr0: 00000000d0d0d0d0" "dr1: 00000000d1d1d1d1" "dr2: 00000000d2d2d2d2" "dr3: 00000000d3d3d3d3" \
		"dr7: 0000000000000400"
	# A jump to itself.
	shows "xenctx on a $1 guest: the code it runs" "<eb> fe"
	xen xenctx -m "0x$marker" "$domid"
	shows "xenctx on a $1 guest: its memory" "1122334455667788 99aabbccddeeff00" "0123456789abcdef fedcba9876543210"
}

hvmctx_shows() {
	xen xen-hvmctx "$domid"
	shows "xen-hvmctx on a $1 guest: general registers" \
		"rax 0x0101010101010101     rbx 0x0202020202020202" "rcx 0x0303030303030303     rdx 0x0404040404040404" \
		"rbp 0x0707070707070707     rsi 0x0505050505050505" "rdi 0x0606060606060606     rsp 0x$(wide "$marker")" \
		"r8 0x0808080808080808      r9 0x0909090909090909" "r10 0x1010101010101010     r11 0x1111111111111111" \
		"r12 0x1212121212121212     r13 0x1313131313131313" "r14 0x1414141414141414     r15 0x1515151515151515" \
		"rip 0x$(wide "$rip")"
	shows "xen-hvmctx on a $1 guest: control registers, segments and MSRs" \
		"cr2 0x0000222222222000" "cr3 0x$(wide "$cr3")" "dr0 0x00000000d0d0d0d0     dr1 0x00000000d1d1d1d1" \
		"cs 0x0008 (          00000000 + 0xffffffff /  0x0a9b)" \
		"fs   0000 (        0x33333000 +" "sysenter cs 0x00000055  eip 0x0000000077777000  esp 0x0000000066666000" \
		"shadow gs 0x0000000044444000" "lstar 0x0000000011111000  cstar 0x0000000022222000" \
		"star 0x0023001000000000 sfmask         0x00047700"
	shows "xen-hvmctx on a $1 guest: the FPU" "fcw 0x027f fsw 0x0000" "mxcsr 0x00001f00" \
		"xmm00 0xa0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0" "xmm07 0xa7a7a7a7a7a7a7a7a7a7a7a7a7a7a7a7" \
		"xmm15 0xafafafafafafafafafafafafafafafaf"
	# The local APIC as at reset: software-disabled, every LVT masked.
	shows "xen-hvmctx on a $1 guest: the local APIC and the rest" "base_msr 0xfee00900" \
		"0x020: 0x00000000   0x030: 0x00050014" "0x0e0: 0xffffffff   0x0f0: 0x000000ff" "0x320: 0x00010000   0x330: 0x00010000" "PAT 0x7040600070406"
	entries=$(sed -n 's/^Entry [0-9]*: type \([0-9]*\) instance \([0-9]*\),.*/\1.\2/p' "$work/out" | tr '\n' ' ')
	case $entries in
	"1.0 2.0 5.0 6.0 "*"14.0 "*"0.0 ") tap_pass "xen-hvmctx on a $1 guest: a record of each kind" ;;
	*) tap_fail "xen-hvmctx on a $1 guest: a record of each kind" "$entries" ;;
	esac
}

tap_plan 23
xenctx_shows running
hvmctx_shows running
was=$(time_of known)
goes_on() { [ "$(state_of known)" = running ] && [ "$(time_of known)" -gt "$((was + 100000000))" ]; }
if wait_until 10 goes_on; then
	tap_pass "the guest goes on running after being looked at"
else
	tap_fail "the guest goes on running after being looked at" "$was ns, then $(time_of known)" "$(oxen list)"
fi
oxen pause known
xenctx_shows paused
hvmctx_shows paused
if in_state known paused; then tap_pass "it stays paused"; else tap_fail "it stays paused" "$(oxen list)"; fi

refuses() {
	if xen "$@"; then tap_fail "$* fails" "$(cat "$work/out")"; else tap_pass "$* fails"; fi
}
refuses xenctx 1234
refuses xen-hvmctx 1234
destroy_all
wait_for "$pid" 20
log_clean 10
tap_done
