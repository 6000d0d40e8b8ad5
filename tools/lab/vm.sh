# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash
#
# The host virtual machine: its initramfs, and running it. The variables that describe a machine are
# kernel, cpus, memory, append, timeout, icount, interactive, stdin, token and registers.

# Runs in the build root: prints the folder it stands in as an uncompressed cpio. Under TCG, unpacking
# a compressed one costs more than loading.
PACK='find . -print0 | LC_ALL=C sort -z | cpio --null -o -H newc -R 0:0 --quiet'

# Maker: the initramfs of tools/vm for the stock kernel.
make_vm_initramfs() {
	local part=$1
	mkdir -p "$part/tree/bin" "$part/tree/modules"
	cp "$ROOT/bin/busybox" "$part/tree/bin/busybox"
	cp "$LAB/vm-init" "$part/tree/init"
	local binds
	mapfile -t binds < <(kernel_binds)
	# shellcheck disable=SC2016 # expanded inside the root.
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
		cd /lab/tree && '"$PACK"' >/lab/out/initramfs
		' "$RELEASE" overlay ||
		die "cannot make the host machine's initramfs"
	rm -rf "$part/tree"
}

# What the debug kernel is told: to fill free pages with a pattern and to look for it when they are used again. That
# also keeps TCG from running what it has translated of a page's former contents: virtiofs fills pages from outside of
# the machine, which TCG does not notice.
# shellcheck disable=SC2034 # for those who boot it.
DEBUG_APPEND=page_poison=1

vm_initramfs_name() {
	echo "vm-initramfs-$(key_of "$(kernel_name)" "$(cat "$LAB/vm-init")" "$(declare -f make_vm_initramfs)" "$PACK")"
}

# Sees to the initramfs of tools/vm; sets VM_INITRAMFS.
need_vm_initramfs() {
	local name
	name=$(vm_initramfs_name)
	ensure_entry "$name" make_vm_initramfs
	# shellcheck disable=SC2034 # for the caller.
	VM_INITRAMFS=$CACHE/$name/initramfs
}

# Makes the folder of one run, RUN, which the machine sees as /lab/run. It goes when we end.
new_run() {
	make_build_dir "$BUILD/vm"
	RUN=$(mktemp -d "$BUILD/vm/run.XXXXXX")
	chmod 755 "$RUN"
	TTY=$(stty -g 2>/dev/null || true)
	trap end_run EXIT
}

end_run() {
	end_child
	[ -z "$TTY" ] || stty "$TTY" 2>/dev/null || true
	rm -rf -- "$RUN"
}

# Prints the number that a file holds, if there is one.
number_in() { [ ! -s "$1" ] || tr -cd 0-9 <"$1"; }

# Sets interactive and stdin to what our own terminal or pipes ask for.
stdio_kind() {
	interactive='' stdin=''
	if [ -t 0 ] && [ -t 1 ]; then
		interactive=1
	elif [ ! -t 0 ] && ! [ /dev/fd/0 -ef /dev/null ]; then
		stdin=1
	fi
}

# Boots the machine and returns the status that it reported; 124 when its time ran out, 126 when QEMU
# did not run, 255 when it died. LOG is then the kernel's log. Arguments: more NAME VALUE settings, then
# options of in_root.
boot_machine() {
	local rc=0 status
	{
		printf '%s=%q\n' lab "$LAB" kernel "$kernel" cpus "$cpus" memory "$memory" append "$append" \
			interactive "$interactive" stdin "$stdin" timeout "$timeout" icount "${icount:-}" token "${token:-}" \
			registers "${registers:-}" "$1" "$2"
	} >"$RUN/machine"
	shift 2
	[ -z "$interactive" ] || LAB_FOREGROUND=1
	[ -z "${OXEN_ACCEL:-}" ] || set -- "$@" --env "OXEN_ACCEL=$OXEN_ACCEL"
	[ -z "${OXEN_CPU:-}" ] || set -- "$@" --env "OXEN_CPU=$OXEN_CPU"
	need_qemu
	in_root "$@" "${QEMU_BIND[@]}" --ro "$CHECKOUT" "$CHECKOUT" --rw "$RUN" /lab/run -- "$LAB/vm-inside" || rc=$?
	# The kernel's whole log when it lived to the end, else what the serial line saw.
	LOG=$BUILD/vm/kernel.log
	if [ -s "$RUN/dmesg.log" ]; then
		cp "$RUN/dmesg.log" "$LOG"
	elif [ -e "$RUN/serial.log" ]; then
		cp "$RUN/serial.log" "$LOG"
	else
		: >"$LOG"
	fi
	chown "$(owner_ids)" "$LOG"
	status=$(number_in "$RUN/status")
	if [ -n "$status" ]; then
		MACHINE_DIED=
		return "$status"
	fi
	MACHINE_DIED=1
	case $rc in
	124 | 126) return "$rc" ;;
	*) return 255 ;;
	esac
}

# Says why a machine did not end by itself, if so. Argument: boot_machine's status.
machine_failure() {
	[ -n "$MACHINE_DIED" ] || return 0
	case $1 in
	124) printf 'vm: time ran out after %s s; the end of the kernel log (%s):\n' "$timeout" "$LOG" >&2 ;;
	126)
		[ "$(wc -l <"$RUN/qemu.log")" -le 1 ] || sed 's/^/vm: /' "$RUN/qemu.log" >&2
		die "QEMU did not run to its end: $(tail -n 1 "$RUN/qemu.log")"
		;;
	*) printf 'vm: the machine ended before the command did; the end of the kernel log (%s):\n' "$LOG" >&2 ;;
	esac
	tail -n 40 "$LOG" | sed 's/^/    /' >&2
}
