# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash
#
# Which accelerator QEMU gets. Sourced inside the build root.

# Prints kvm when this machine's KVM runs a CPU that has SVM, else tcg. It is tried, not read off: KVM
# may be there and yet refuse. A processor that starts executes a boot block of four bytes, which ends
# QEMU with a status of its own. OXEN_ACCEL overrides.
find_accel() {
	local rc=0
	if [ -n "${OXEN_ACCEL:-}" ]; then
		printf '%s\n' "$OXEN_ACCEL"
		return
	fi
	if [ -w /dev/kvm ]; then
		# mov $1, %al; out %al, $0xf4 at the reset vector, in 64 KiB of hlt.
		{
			head -c 65520 /dev/zero | tr '\0' '\364'
			printf '\260\001\346\364'
			head -c 12 /dev/zero | tr '\0' '\364'
		} >/tmp/probe.bin
		timeout 10 qemu-system-x86_64 -nodefaults -display none -accel kvm -cpu host,+svm,enforce -m 16 \
			-bios /tmp/probe.bin -device isa-debug-exit,iobase=0xf4,iosize=1 >/dev/null 2>&1 || rc=$?
		[ "$rc" -ne 3 ] || {
			echo kvm
			return
		}
	fi
	echo tcg
}

# Prints the QEMU arguments of an accelerator, one on a line. TCG's processor is AMD's first EPYC with
# the SVM features that TCG has.
accel_args() {
	case $1 in
	kvm) printf '%s\n' -accel kvm -cpu host,+svm ;;
	tcg) printf '%s\n' -accel tcg -cpu EPYC-v1,+svm,+npt ;;
	*)
		echo "oxen: OXEN_ACCEL is '$1'; kvm and tcg are known" >&2
		return 1
		;;
	esac
}
