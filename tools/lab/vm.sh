# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash
#
# The small initramfs images of the lab, made inside the build root.

# Runs in the build root: packs the folder /lab/tree as an uncompressed cpio (under TCG, unpacking
# costs more than loading) to /lab/out/$0.
PACK_TREE='cd /lab/tree && find . -print0 | LC_ALL=C sort -z | cpio --null -o -H newc -R 0:0 --quiet >"/lab/out/$0"'

# Maker: the initramfs of tools/vm for the stock kernel.
make_vm_initramfs() {
	local part=$1
	mkdir -p "$part/tree/bin" "$part/tree/modules"
	cp "$ROOT/bin/busybox" "$part/tree/bin/busybox"
	cp "$LAB/vm-init" "$part/tree/init"
	local binds
	mapfile -t binds < <(kernel_binds)
	step "initramfs of the host machine" "$CACHE/logs/vm-initramfs.log" \
		in_root "${binds[@]}" --rw "$part/tree" /lab/tree --rw "$part" /lab/out -- bash -euc '
		for m in $1; do
			f=$(find "/usr/lib/modules/$0" -name "$m.ko*")
			case $f in
			*.xz) xz -dc "$f" >"/lab/tree/modules/$m.ko" ;;
			*.ko) cp "$f" "/lab/tree/modules/$m.ko" ;;
			esac
		done
		chmod 755 /lab/tree/init
		'"${PACK_TREE//\$0/initramfs}" "$RELEASE" overlay ||
		die "cannot make the host machine's initramfs"
	rm -rf "$part/tree"
}

vm_initramfs_name() {
	echo "vm-initramfs-$(key_of "$(kernel_name)" "$(cat "$LAB/vm-init")" "$(declare -f make_vm_initramfs)" "$PACK_TREE")"
}

# Sees to the initramfs of tools/vm; sets VM_INITRAMFS.
need_vm_initramfs() {
	local name
	name=$(vm_initramfs_name)
	ensure_entry "$name" make_vm_initramfs
	VM_INITRAMFS=$CACHE/$name/initramfs
}
