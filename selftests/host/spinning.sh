# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=sh
#
# A guest that never stops using its processor, to see whether it goes on.

guest=$OXEN_GUESTS/spin.elf

need_guest() {
	need_superuser
	need_oxen
	[ -r "$guest" ] || tap_skip_all "no guests: set OXEN_GUESTS"
	command -v oxen >/dev/null || tap_skip_all "no oxen command"
}

# Starts the guest under this name. It looks at the time all the while.
spin_start() {
	oxen run --kernel "$guest" --memory 16 --name "$1" --no-input --cmdline watch </dev/null >"/tmp/$1.log" 2>&1 &
	echo $! >"/tmp/$1.pid"
	for _ in $(seq 100); do
		[ -z "$(spin_time "$1")" ] || return 0
		sleep 0.1
	done
	cat "/tmp/$1.log"
	return 1
}

# Fails if time has gone back for the guest.
spin_time_goes() {
	! grep "time went back" "/tmp/$1.log"
}

# Prints how many nanoseconds the guest has had.
spin_time() {
	oxen info --json "$1" 2>/dev/null | sed -n 's/^  "cpu_time_ns": \([0-9]*\).*/\1/p'
}

# Succeeds once the guest has had more time than now.
spin_goes_on() {
	spin_was=$(spin_time "$1")
	for _ in $(seq 100); do
		spin_is=$(spin_time "$1")
		[ "${spin_is:-0}" -le "${spin_was:-0}" ] || return 0
		sleep 0.1
	done
	echo "$1 stands at ${spin_is:-nothing}"
	return 1
}

# Destroys the guest, and waits for its tool: until that ends, the module is in use.
spin_stop() {
	oxen destroy "$1" || return 1
	for _ in $(seq 100); do
		grep -q '^State:[[:space:]]*[^ZX]' "/proc/$(cat "/tmp/$1.pid")/status" 2>/dev/null || return 0
		sleep 0.1
	done
	echo "the tool of $1 does not end"
	return 1
}
