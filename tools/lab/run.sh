# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash
#
# `make run`: the stock kernel as the host in a virtual machine, and the same kernel as a guest of oxen in
# there. The host machine is one initramfs: module, oxen command, guest kernel, guest initramfs.

# Maker: the guest's initramfs, and the part of the host's that does not change.
make_run_initramfs() {
	local part=$1 binds
	mkdir -p "$part/guest/bin" "$part/tree/bin" "$part/tree/guest"
	cp "$ROOT/bin/busybox" "$part/guest/bin/busybox"
	cp "$LAB/guest-init" "$part/guest/init"
	cp "$ROOT/bin/busybox" "$part/tree/bin/busybox"
	cp "$LAB/vm-init" "$part/tree/init"
	chmod 755 "$part/guest/init" "$part/tree/init"
	cp "$KERNEL/vmlinuz" "$part/tree/guest/vmlinuz"
	mapfile -t binds < <(kernel_binds)
	step "initramfs of the guest and of the host machine" "$CACHE/logs/run-initramfs.log" \
		in_root --rw "$part" /lab/out --ro "$part/guest" /lab/guest --ro "$part/tree" /lab/tree -- bash -euc '
		cd /lab/guest && '"$PACK"' >/lab/out/guest.cpio
		cd /lab/tree && '"$PACK"' >/lab/out/host.cpio
		' || die "cannot make the initramfs images"
	rm -rf "$part/guest" "$part/tree"
}

run_initramfs_name() {
	echo "run-initramfs-$(key_of "$(kernel_name)" "$(cat "$LAB/vm-init" "$LAB/guest-init")" \
		"$(declare -f make_run_initramfs)" "$PACK")"
}

# Sees to the images of `make run`; sets RUN_IMAGES, which holds guest.cpio and host.cpio.
need_run_initramfs() {
	local name
	name=$(run_initramfs_name)
	ensure_entry "$name" make_run_initramfs
	RUN_IMAGES=$CACHE/$name
}

# Describes a host machine that is one initramfs: its kernel, the debug kernel with DEBUG=1, in the caller's kernel,
# memory, flavour and binds.
choose_host() {
	flavour=stock kernel=/lab/kernel/vmlinuz memory=1536M
	need_kernel
	mapfile -t binds < <(kernel_binds)
	[ "${DEBUG:-}" = 1 ] || return 0
	flavour=debug kernel=/lab/debug/vmlinuz memory=3G append=$DEBUG_APPEND
	need_debug_kernel
	mapfile -t binds < <(debug_kernel_binds)
}

# Begins the tree of such a machine: the module, the oxen command. Sets RUN.
begin_tree() {
	new_run
	mkdir -p "$RUN/tree/run.d" "$RUN/tree/bin"
	cp "$BUILD/$flavour/oxen.ko" "$RUN/tree/oxen.ko"
	cp "$BUILD/bin/oxen" "$RUN/tree/bin/oxen"
}

# Ends it: the arguments are the command that the machine runs.
end_tree() {
	{
		echo 'export PATH=/bin HOME=/ TERM=linux'
		printf 'exec'
		printf ' %q' "$@"
		echo
	} >"$RUN/tree/run.d/command"
	printf '%s=%q\n' module /oxen.ko interactive "$interactive" >"$RUN/tree/run.d/settings"
	pack_tree
}

# Makes the initramfs of the tree.
pack_tree() {
	in_root --rw "$RUN" /lab/run --ro "$RUN_IMAGES" /lab/images -- bash -euc '
		cd /lab/run/tree && strip --strip-debug oxen.ko && strip bin/oxen &&
		'"$PACK"' | cat /lab/images/host.cpio - >/lab/run/initramfs
		' || die "cannot make the initramfs of this run"
}

# Boots host and guest. With a script as argument its output is all that is printed, and its status
# returned; without one the terminal is the guest's.
run_guest() {
	local script=${1:-} rc=0 size status
	local kernel memory flavour binds cpus=2 append='' timeout=0 token='' append_guest
	[ -z "$script" ] || [ -r "$script" ] || die "there is no script $script"
	stdio_kind
	if [ -n "$script" ]; then
		interactive='' stdin='' timeout=${OXEN_TIMEOUT:-600}
		token=$(od -An -N8 -tx8 /dev/urandom | tr -d ' ')
		append_guest="quiet loglevel=1 OXEN_TOKEN=$token"
	else
		[ -n "$interactive" ] ||
			die "there is no terminal: give a script, 'make run SCRIPT=file'"
		append_guest="quiet"
		size=$(stty size 2>/dev/null || echo '0 0')
		[ "$size" = '0 0' ] || append_guest="$append_guest OXEN_ROWS=${size% *} OXEN_COLUMNS=${size#* }"
		append_guest="$append_guest TERM=${TERM:-linux}"
	fi
	choose_host
	need_run_initramfs
	build_module "$flavour"
	build_tools
	begin_tree
	mkdir -p "$RUN/tree/guest" "$RUN/guest"
	[ -z "$script" ] || cp -- "$script" "$RUN/guest/script"
	in_root --rw "$RUN" /lab/run --ro "$RUN_IMAGES" /lab/images -- bash -euc '
		cd /lab/run/guest && '"$PACK"' | cat /lab/images/guest.cpio - >/lab/run/tree/guest/initramfs
		' || die "cannot make the guest's initramfs"
	end_tree oxen run --kernel /guest/vmlinuz --initrd /guest/initramfs --name guest --vcpus 2 --memory 512 \
		--cmdline "console=hvc0 panic=-1 $append_guest"
	say "booting the $flavour kernel as the host, and Debian's kernel $RELEASE as a guest of oxen"
	boot_machine share '' "${binds[@]}" || rc=$?
	if [ -n "$script" ]; then
		cp "$RUN/console.log" "$BUILD/vm/guest-console.log" 2>/dev/null || true
		status=$(number_in "$RUN/guest-status")
		machine_failure "$rc"
		[ -z "$status" ] || return "$status"
		[ -n "$MACHINE_DIED" ] || {
			printf 'run: the guest ended before the script (oxen: status %d); from its console:\n' "$rc" >&2
			tail -n 40 "$RUN/console.log" | sed 's/^/    /' >&2
		}
		[ "$rc" -ne 0 ] || rc=255
		return "$rc"
	fi
	machine_failure "$rc"
	return "$rc"
}

# Fills the tree of a machine without shared folders that runs one program of the kselftests: TARGET/PROGRAM and
# its arguments.
alone_tree() {
	local program=$1
	shift
	begin_tree
	cp -r "$BUILD/kselftest/lib" "$BUILD/kselftest/${program%/*}" "$RUN/tree/"
	mkdir "$RUN/tree/guests"
	cp "$BUILD"/guests/*.elf "$RUN/tree/guests/"
	end_tree env OXEN_GUESTS=/guests OXEN_MODULE=/oxen.ko sh "/$program" "$@"
}

# Runs one program of the kselftests in a machine without shared folders: what it does to the machine they
# would not live through.
run_alone() {
	local kernel memory flavour binds cpus=2 append='' timeout=300 token='' interactive='' stdin='' rc=0
	choose_host
	need_run_initramfs
	alone_tree "$@"
	boot_machine share '' "${binds[@]}" || rc=$?
	machine_failure "$rc"
	return "$rc"
}

# Runs host/ending.sh, which ends the machine in the way that the argument names. When the machine stands still,
# what QEMU knows of its processors goes to the file $2, and what the kernel said to $3. Returns as
# boot_machine does: 255 for a machine that ended without a word, as it should.
run_ending() {
	local kernel memory flavour binds cpus=2 append='' timeout=300 token='' interactive='' stdin='' rc=0
	local registers=1
	choose_host
	need_run_initramfs
	alone_tree host/ending.sh "$1"
	# The machine after it starts from the same files.
	if [ "$1" = kexec ]; then
		mkdir "$RUN/tree/next"
		mv "$RUN/initramfs" "$RUN/tree/next/initramfs"
		pack_tree
	fi
	boot_machine share '' "${binds[@]}" || rc=$?
	cp "$RUN/registers" "$2" 2>/dev/null || : >"$2"
	cp "$RUN/serial.log" "$3"
	[ "$rc" -eq 255 ] || machine_failure "$rc"
	return "$rc"
}
