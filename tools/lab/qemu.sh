# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash
#
# The build root's QEMU without the error that mend-qemu describes.

# Where it is in the build root.
QEMU_PATH=/usr/bin/qemu-system-x86_64

# A maker for ensure_entry.
make_qemu() {
	local part=$1 log=$CACHE/logs/qemu.log
	step "QEMU for machines with several processors" "$log" \
		in_root --ro "$LAB" /lab/tools --rw "$part" /lab/out -- \
		/lab/tools/mend-qemu "$QEMU_PATH" /lab/out/qemu-system-x86_64 ||
		die "cannot copy QEMU: $(reason_or_log "$log")"
	! grep -q 'places fit' "$log" || warn "QEMU could not be mended: emulated machines with several processors may die"
}

qemu_name() { echo "qemu-$(key_of "$(root_name)" "$(cat "$LAB/mend-qemu")" "$(declare -f make_qemu)")"; }

# Sees to it; sets QEMU_BIND, the options of in_root that put it in the place of the build root's own.
need_qemu() {
	local name
	name=$(qemu_name)
	ensure_entry "$name" make_qemu
	# shellcheck disable=SC2034 # for the caller.
	QEMU_BIND=(--ro "$CACHE/$name/qemu-system-x86_64" "$QEMU_PATH")
}
