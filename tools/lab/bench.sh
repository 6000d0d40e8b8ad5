# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash
#
# `make bench`: what a round trip costs, in instructions, beside KVM in the same machine.

run_bench() {
	need_kernel
	build_module stock
	build_tools
	make_build_dir "$BUILD/bench"
	build_step "bench guest" "$BUILD/bench/build.log" \
		in_checkout -- gcc -m32 -nostdlib -static -no-pie -Wl,--build-id=none -T selftests/lib/guest.ld \
		-o "$BUILD/bench/loops.elf" tools/bench/loops.S
	say "counting instructions: one processor, one instruction a nanosecond"
	"$CHECKOUT/tools/vm" --no-build --icount --memory 1G -- \
		"$CHECKOUT/tools/bench/inside" "$BUILD/bench/loops.elf" "$BUILD/oxen" </dev/null
}
