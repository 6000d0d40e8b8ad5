# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=sh
#
# For tests that run guests with the oxen command; to be sourced after tap.sh.

# Sets guests to the folder of the tiny guests, work to a folder of the test's own, and skips the whole
# test unless guests can run. What a test leaves running ends with it.
need_guests() {
	need_superuser
	need_oxen
	guests=${OXEN_GUESTS:-}
	[ -r "$guests/hello.elf" ] || tap_skip_all "no tiny guests: set OXEN_GUESTS"
	command -v oxen >/dev/null || tap_skip_all "no oxen command in the path"
	work=$(mktemp -d)
	trap 'destroy_all; rm -rf "$work"' EXIT
	log_begin
}

# Runs guest $1, which gives results of its own, with $2 MiB and the options that follow: it must find all well and
# power off. Its results are shown below the one that stands for all. The file that $missing names, if it is set, holds
# those that are expected to fail.
guest_passes() {
	passes_guest=$1 passes_memory=$2
	shift 2
	guest_ran "$passes_guest${*:+ $*}" "$passes_guest" "$passes_memory" --no-input "$@"
}

# Does the same under the name $1; all options of oxen run are among the further arguments.
guest_ran() {
	ran_name=$1 ran_guest=$2 ran_memory=$3 ran_status=0
	shift 3
	timeout -k 5 "${ran_timeout:-100}" oxen run --kernel "$guests/$ran_guest.elf" --memory "$ran_memory" "$@" \
		>"$work/console" 2>"$work/errors" || ran_status=$?
	guest_result "$ran_name" "$ran_guest" "$ran_status"
}

# Gives the result $1 of guest $2, which has ended with status $3 and whose words are in the folder work.
guest_result() {
	: >"$work/reasons"
	echo '# none' >"$work/missing"
	awk -v guest="$2" -v reasons="$work/reasons" -f "$(dirname "$0")/../lib/fold.awk" \
		"${missing:-$work/missing}" "$work/console"
	[ "$3" -eq 0 ] || echo "oxen run ended with status $3" >>"$work/reasons"
	cat "$work/errors" >>"$work/reasons"
	if [ ! -s "$work/reasons" ]; then tap_pass "$1"; else tap_fail "$1" "$(cat "$work/reasons")"; fi
}

# Sets vmlinuz and initramfs to a Linux kernel and an initramfs with linux-init and the programs $@ for it, or skips.
need_linux() {
	vmlinuz=${OXEN_TEST_VMLINUZ:-/boot/vmlinuz-$(uname -r)}
	[ -r "$vmlinuz" ] || tap_skip_all "no kernel for the guest: set OXEN_TEST_VMLINUZ"
	busybox=$(command -v busybox) || tap_skip_all "no busybox for the guest"
	command -v cpio >/dev/null || tap_skip_all "no cpio for the guest's initramfs"
	initramfs=$work/initramfs
	mkdir -p "$work/tree/bin"
	cp "$busybox" "$work/tree/bin/busybox"
	cp "$(dirname "$0")/../lib/linux-init" "$work/tree/init"
	chmod 755 "$work/tree/init"
	for linux_program; do cp "$linux_program" "$work/tree/bin/"; done
	(cd "$work/tree" && find . | cpio --quiet -o -H newc -R 0:0) >"$initramfs"
}

# Starts a Linux guest with $2 vCPUs under the name $1 in the background, with DO=$3 and the further
# arguments; pid is then its `oxen run`. Its console goes to $work/$1.console. What linux_consoles says it is told too.
linux_start() {
	linux_name=$1 linux_vcpus=$2 linux_do=$3
	shift 3
	oxen run --kernel "$vmlinuz" --initrd "$initramfs" --vcpus "$linux_vcpus" --memory 192 --name "$linux_name" \
		--cmdline "console=hvc0 ${linux_consoles-} panic=-1 DO=$linux_do" "$@" \
		>"$work/$linux_name.console" 2>"$work/$linux_name.errors" &
	# shellcheck disable=SC2034 # for the test.
	pid=$!
}

# Whether the console of guest $1 shows this line.
said() { tr -d '\r' <"$work/$1.console" | grep -qx "guest: $2"; }

# Prints what is known of guest $1: its last words, what `oxen run` says, where it stands, the domains, and both logs.
story() {
	tail -n 20 "$work/$1.console"
	sed 's/^/oxen run: /' "$work/$1.errors"
	oxen list
	oxen info "$1" 2>&1
	oxen dmesg | tail -n 20 | sed 's/^/oxen dmesg: /'
	log_since | tail -n 20
}

# Succeeds if QEMU emulates this machine's processor: it checks less than hardware does.
is_emulated() { grep -qw hypervisor /proc/cpuinfo && ! lscpu | grep -q '^Hypervisor vendor'; }

# Prints the numbers of the domains that there are, without domain 0.
domains() { oxen list --json | sed -n 's/^ *"domid": \([1-9][0-9]*\).*/\1/p'; }

no_domains() { [ -z "$(domains)" ]; }

destroy_all() {
	for domains_one in $(domains); do oxen destroy "$domains_one" >/dev/null 2>&1; done
}

# Prints the state of domain $1: running, blocked, paused, dying ..., or nothing if there is no such domain.
state_of() { oxen list | awk -v name="$1" '$1 == name || $2 == name { print $5 }'; }

in_state() {
	in_state_is=$(state_of "$1")
	shift
	for in_state_one; do [ "$in_state_is" != "$in_state_one" ] || return 0; done
	return 1
}

# Prints the time that domain $1 has run, in nanoseconds.
time_of() { oxen info --json "$1" | sed -n 's/^  "cpu_time_ns": \([0-9]*\).*/\1/p'; }

# Waits up to $1 seconds until the rest of the arguments, a command, succeeds.
wait_until() {
	wait_left=$(($1 * 10))
	shift
	until "$@" >/dev/null 2>&1; do
		[ "$wait_left" -gt 0 ] || return 1
		wait_left=$((wait_left - 1))
		sleep 0.1
	done
}

# Waits up to $2 seconds for the process $1, a child; returns its status, or 124 when it had to be killed.
wait_for() {
	wait_until "$2" ended "$1" || {
		kill -KILL "$1" 2>/dev/null
		wait "$1" 2>/dev/null
		return 124
	}
	wait "$1" 2>/dev/null
}

ended() { ! [ -d "/proc/$1" ] || grep -q '^State:[[:space:]]*Z' "/proc/$1/status"; }

# Memory that is free or could be at once, in KiB.
memory_available() {
	sync
	echo 3 >/proc/sys/vm/drop_caches
	awk '$1 == "MemAvailable:" { print $2 }' /proc/meminfo
}

# Gives a result: less than $2 MiB are missing of what $1 says there were, after a moment for what is
# freed late.
memory_is_back() {
	memory_short=0
	for _ in 1 2 3 4 5 6 7 8 9 10; do
		memory_short=$((($1 - $(memory_available)) / 1024))
		[ "$memory_short" -ge "$2" ] || break
		sleep 0.5
	done
	if [ "$memory_short" -lt "$2" ]; then
		tap_pass "memory comes back"
	else
		tap_fail "memory comes back" "$memory_short MiB are missing"
	fi
}

# --- the kernel's log ---

# Marks where the test begins.
log_begin() {
	log_mark="selftest $(basename "$(dirname "$(readlink -f "$0")")")/$(basename "$0") $$"
	echo "$log_mark" >/dev/kmsg
}

# Prints what came after it, without time stamps. The mark itself may be lost in a flood.
log_since() {
	dmesg | sed 's/^\[[^]]*\] //' |
		awk -v mark="$log_mark" '{ line[NR] = $0 } $0 == mark { from = NR }
			END { for (i = from + 1; i <= NR; i++) print line[i] }'
}

# What a kernel says of a slow machine, and of tests that measure nothing.
LOG_OTHERS='^(clocksource: |hrtimer: interrupt took|perf: interrupt took|workqueue: .* hogged CPU'
LOG_OTHERS="$LOG_OTHERS|random: |evm: overlay |tsc: |sched: |TSC found unstable|sched_clock: |selftest "
LOG_OTHERS="$LOG_OTHERS|.*: drop_caches: )"
# What the module says of a domain and of itself.
LOG_OURS='^oxen: (d[0-9]+: |[a-z_]+ refused |ready: )'

# Gives a result: since log_begin the kernel's log holds no more than $1 lines of the module, all of them
# informational, and nothing else.
log_clean() {
	log_other=$(log_since | grep -vE "$LOG_OTHERS" | grep -vE "$LOG_OURS" | head -n 40)
	log_count=$(log_since | grep -cE '^oxen')
	if [ -n "$log_other" ]; then
		tap_fail "the kernel's log holds only lines of ours" "$log_other"
	elif [ "$log_count" -gt "$1" ]; then
		tap_fail "the kernel's log holds only lines of ours" "$log_count lines, more than $1"
	else
		tap_pass "the kernel's log holds only lines of ours"
	fi
}
