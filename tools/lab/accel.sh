# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash
#
# Which accelerator QEMU gets. Sourced inside the build root.

# Says whether this machine's KVM runs a CPU that has SVM. It is tried, not read off: KVM may be there and
# yet refuse. A processor that starts executes a boot block of four bytes, which ends QEMU with a status of
# its own.
kvm_works() {
	local rc=0
	[ -w /dev/kvm ] || return 1
	# mov $1, %al; out %al, $0xf4 at the reset vector, in 64 KiB of hlt.
	{
		head -c 65520 /dev/zero | tr '\0' '\364'
		printf '\260\001\346\364'
		head -c 12 /dev/zero | tr '\0' '\364'
	} >/tmp/probe.bin
	timeout 10 qemu-system-x86_64 -nodefaults -display none -accel kvm -cpu host,+svm,enforce -m 16 \
		-bios /tmp/probe.bin -device isa-debug-exit,iobase=0xf4,iosize=1 >/dev/null 2>&1 || rc=$?
	[ "$rc" -eq 3 ]
}

# Prints the accelerator to use: what OXEN_ACCEL says, else kvm where it works, else tcg. Fails with one line
# on standard error if OXEN_ACCEL asks for what is not there.
find_accel() {
	case ${OXEN_ACCEL:-} in
	'') if kvm_works; then echo kvm; else echo tcg; fi ;;
	tcg) echo tcg ;;
	kvm)
		kvm_works || {
			echo "OXEN_ACCEL is kvm, but KVM runs no processor with SVM here: unset it, and QEMU emulates one" >&2
			return 1
		}
		echo kvm
		;;
	*)
		echo "OXEN_ACCEL is '$OXEN_ACCEL': it can be kvm or tcg, or not be set" >&2
		return 1
		;;
	esac
}

# Prints the QEMU arguments of an accelerator, one on a line. TCG's processor is AMD's first EPYC with
# the SVM features that TCG has. OXEN_CPU adds to the processor's features, as in +la57.
accel_args() {
	case $1 in
	kvm) printf '%s\n' -accel kvm -cpu "host,+svm${OXEN_CPU:+,$OXEN_CPU}" ;;
	tcg) printf '%s\n' -accel tcg -cpu "EPYC-v1,+svm,+npt${OXEN_CPU:+,$OXEN_CPU}" ;;
	esac
}
