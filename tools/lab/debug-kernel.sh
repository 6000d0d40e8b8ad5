# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash
#
# The debug kernel, built with clang from the stock kernel's source and the fragments of configs/.
#
# An entry holds: version, vmlinuz, System.map, build/ (for modules), modules/. Inside the build root it
# is always at /lab/debug, beside the source at /lab/kernel/source.

DEBUG_CONFIGS=(required vm debug)

# Runs in the build root: configures and builds, refuses a fragment's line that the configuration lost,
# and drops what no module needs.
# shellcheck disable=SC2016
BUILD_DEBUG_KERNEL='
set -eu
jobs=$0
cd /lab/debug
set -- -C /lab/kernel/source O=/lab/debug/build LLVM=1
make "$@" tinyconfig
/lab/kernel/source/scripts/kconfig/merge_config.sh -m -O build build/.config configs/*.config >merge.log
make "$@" olddefconfig
lost=$(grep -hE "^CONFIG_|^# CONFIG_.* is not set" configs/*.config | while read -r line; do
	case $line in
	*=*) grep -qxF "$line" build/.config || echo "$line" ;;
	*) ! grep -qxE "$(echo "$line" | cut -d" " -f2)=[ym]" build/.config || echo "$line" ;;
	esac
done)
[ -z "$lost" ] || { echo "the configuration does not hold: $lost" >&2; exit 1; }
make "$@" -j"$jobs" bzImage modules
make "$@" modules_install INSTALL_MOD_PATH=/lab/debug/installed
release=$(make -s "$@" kernelrelease)
mv installed/lib/modules modules
rm -rf installed "modules/$release/build" merge.log
cp build/arch/x86/boot/bzImage vmlinuz
cp build/System.map .
find build -name "*.[oa]" ! -path "*/scripts/*" ! -path "*/tools/*" -delete
find build -maxdepth 1 \( -name "vmlinux*" -o -name ".tmp_vmlinux*" -o -name .vmlinux.export.c \) -delete
rm -f build/arch/x86/boot/bzImage build/arch/x86/boot/vmlinux.bin build/arch/x86/boot/compressed/vmlinux*
echo "$release" >version
'

make_debug_kernel() {
	local part=$1 log=$CACHE/logs/debug-kernel.log name binds
	need_space "$part" 5000 "the debug kernel"
	mkdir "$part/configs" "$part/build"
	for name in "${DEBUG_CONFIGS[@]}"; do cp "$CHECKOUT/configs/$name.config" "$part/configs/"; done
	mapfile -t binds < <(kernel_binds)
	must_step "build the debug kernel" \
		"debug kernel (KASAN, lockdep, kmemleak; about 2500 lines, 20 minutes on 2 processors)" "$log" \
		in_root "${binds[@]}" --rw "$part" /lab/debug -- bash -c "$BUILD_DEBUG_KERNEL" "$KERNEL_JOBS"
}

debug_kernel_name() {
	local name fragments=()
	for name in "${DEBUG_CONFIGS[@]}"; do fragments+=("$(cat "$CHECKOUT/configs/$name.config")"); done
	echo "debug-kernel-$(key_of "$(kernel_name)" "$BUILD_DEBUG_KERNEL" "${fragments[@]}")"
}

# Sees to the debug kernel; sets DEBUG_KERNEL (its entry) and DEBUG_RELEASE.
need_debug_kernel() {
	[ -z "${DEBUG_KERNEL:-}" ] || return 0
	need_kernel
	local name
	name=$(debug_kernel_name)
	ensure_entry "$name" make_debug_kernel
	DEBUG_KERNEL=$CACHE/$name
	DEBUG_RELEASE=$(cat "$DEBUG_KERNEL/version")
}

# The options that put the debug kernel, and the source it was built from, where the root expects them.
debug_kernel_binds() {
	kernel_binds
	printf '%s\n' --ro "$DEBUG_KERNEL" /lab/debug \
		--ro "$DEBUG_KERNEL/modules/$DEBUG_RELEASE" "/usr/lib/modules/$DEBUG_RELEASE"
}
