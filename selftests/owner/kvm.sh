#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# The hardware has one owner at a time: oxen beside KVM, which holds it from its load on or while it has
# guests, as its parameter says.

# shellcheck disable=SC2317 # conditions are called by wait_until.
. "$(dirname "$0")/../lib/tap.sh"
. "$(dirname "$0")/../lib/guests.sh"

need_guests
need_module_file
grep -qw svm /proc/cpuinfo || tap_skip_all "this processor has no SVM"
modprobe -n -q kvm_amd || tap_skip_all "this kernel has no kvm_amd"
command -v qemu-system-x86_64 >/dev/null || tap_skip_all "no qemu-system-x86_64"
[ ! -d /sys/module/kvm ] || tap_skip_all "kvm is loaded already"

kvm_load() { modprobe kvm enable_virt_at_load="$1" && modprobe kvm_amd; }
kvm_unload() { modprobe -r kvm_amd && modprobe -r kvm; }

# A virtual machine of KVM that computes and never ends.
kvm_guest() {
	qemu-system-x86_64 -accel kvm -cpu host -m 64 -nodefaults -display none -no-reboot \
		-kernel "$guests/spin.elf" -debugcon "file:$work/kvm" >"$work/qemu" 2>&1 &
	qemu=$!
}
kvm_guest_runs() { grep -q spinning "$work/kvm"; }
kvm_guest_end() {
	kill -KILL $qemu
	wait $qemu 2>/dev/null
	# KVM gives the hardware back when the last of it is gone.
	wait_until 10 kvm_idle
}
kvm_idle() { [ "$(cat /sys/module/kvm_amd/refcnt)" -eq 0 ]; }

# Gives a result: the module does not load, with one line in the kernel's log, which has $2. $1 is the name.
refused() {
	before=$(dmesg | wc -l)
	if insmod "$module" 2>"$work/insmod"; then
		tap_fail "$1" "it loads"
		rmmod oxen
		return
	fi
	dmesg | tail -n +$((before + 1)) | grep 'oxen: ' >"$work/why"
	if [ "$(wc -l <"$work/why")" -eq 1 ] && grep -q "$2" "$work/why" && grep -q busy "$work/insmod" &&
		[ ! -e /dev/xen/privcmd ]; then
		tap_pass "$1"
	else
		tap_fail "$1" "$(cat "$work/insmod" "$work/why")"
	fi
}

# Gives a result: `oxen status` ends with $2 and has $3.
status_is() {
	is=0
	oxen status >"$work/status" 2>&1 || is=$?
	if [ "$is" -eq "$2" ] && grep -q "$3" "$work/status"; then
		tap_pass "$1"
	else
		tap_fail "$1" "status $is" "$(cat "$work/status")"
	fi
}

runs() {
	tap_check "$1" timeout -k 5 60 oxen run --kernel "$guests/hello.elf" --no-input --memory 16
}

tap_plan 21
status_is "oxen status: ready" 0 '^ready$'

# Oxen is first: KVM cannot take what it takes at its load.
if kvm_load 1 2>"$work/modprobe"; then
	tap_fail "kvm_amd does not load beside oxen when it wants the hardware at once"
else
	tap_pass "kvm_amd does not load beside oxen when it wants the hardware at once"
fi
runs "guests of oxen run after that"
modprobe -r kvm
tap_check "the module unloads" rmmod oxen
status_is "oxen status: not loaded" 3 'the module is not loaded'

# KVM is first.
tap_check "kvm_amd loads after oxen is gone, and holds the hardware" kvm_load 1
refused "oxen does not load" 'SVM is in use on CPU 0: unload kvm_amd'
status_is "oxen status names the holder" 4 'kvm_amd holds the hardware'
kvm_guest
if wait_until 60 kvm_guest_runs; then
	tap_pass "KVM's guests run after that"
else
	tap_fail "KVM's guests run after that" "$(cat "$work/qemu")"
fi
kvm_guest_end
tap_check "kvm_amd unloads" kvm_unload
tap_check "oxen loads when it is gone" insmod "$module"
runs "its guests run"

# Both are loaded, and the first guest decides.
tap_check "kvm_amd loads beside oxen when it waits for a guest" kvm_load 0
: >"$work/kvm"
kvm_guest
is=0
wait_for $qemu 30 || is=$?
if [ $is -eq 1 ] && grep -q 'KVM_CREATE_VM) failed' "$work/qemu" && ! kvm_guest_runs; then
	tap_pass "but cannot have guests"
else
	tap_fail "but cannot have guests" "qemu ended with $is" "$(cat "$work/qemu")"
fi
runs "guests of oxen run after that"
rmmod oxen
kvm_guest
if wait_until 60 kvm_guest_runs; then
	tap_pass "it can when oxen is gone"
else
	tap_fail "it can when oxen is gone" "$(cat "$work/qemu")"
fi
refused "then oxen does not load" 'SVM is in use on CPU'
status_is "oxen status names the holder of the moment" 4 'kvm_amd holds the hardware'
kvm_guest_end
tap_check "oxen loads when KVM has no guest" insmod "$module"
runs "its guests run"
tap_check "kvm_amd unloads beside it" kvm_unload
tap_done
