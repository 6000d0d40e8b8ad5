# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash
#
# `make bench`: what a round trip costs, in instructions, beside KVM in the same machine.

run_bench() {
	need_kernel
	build_module stock
	build_tools
	build_guests
	say "counting instructions: one processor, one instruction a nanosecond"
	"$CHECKOUT/tools/vm" --no-build --icount --memory 1G -- "$LAB/bench-inside" "$BUILD/guests" </dev/null
}
