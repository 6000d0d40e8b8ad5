# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=sh
#
# For tests of runstate areas; to be sourced after tap.sh and guests.sh.

# The threads of domain $1's vCPUs: THREAD VCPU, a line for each.
vcpu_threads() {
	for threads_one in /proc/[0-9]*/comm; do
		read -r threads_name <"$threads_one" || continue
		case $threads_name in
		"oxen-$1/"*) echo "$(basename "$(dirname "$threads_one")") ${threads_name#*/}" ;;
		esac
	done 2>/dev/null
}

# Holds the vCPUs of domain $1 to the processors $2: all to the first one (together), or each to another (apart).
hold() {
	vcpu_threads "$1" | while read -r hold_thread hold_vcpu; do
		case $2 in
		together) taskset -p -c 0 "$hold_thread" ;;
		apart) taskset -p -c $((hold_vcpu % 2)) "$hold_thread" ;;
		esac
	done >/dev/null
}

# Prints the sum of a counter of domain $1's vCPUs; $2 is its name in the list of all domains.
counter() {
	awk -v domain="$1" -v name="$2" '
		$1 == "domain" { ours = $2 == domain }
		ours && $1 == "vcpu" { for (i = 2; i < NF; i++) if ($i == name) sum += $(i + 1) }
		END { print sum + 0 }' /sys/kernel/debug/oxen/domains
}

# Prints a word of domain $1's own line.
domain_word() {
	awk -v domain="$1" -v name="$2" '
		$1 == "domain" && $2 == domain { for (i = 3; i < NF; i++) if ($i == name) print $(i + 1) }' \
		/sys/kernel/debug/oxen/domains
}

# Gives a result: no update of domain $1 was missed, and there were some. $2 is the name.
none_missed() {
	missed_of=$(counter "$1" runstate_updates) missed=$(counter "$1" runstate_missed)
	if [ "$missed_of" -gt 0 ] && [ "$missed" -eq 0 ]; then
		tap_pass "$2"
	else
		tap_fail "$2" "$missed of $missed_of"
	fi
}

# Something that wants the first processor, until unload ends it.
load() {
	taskset -c 0 sh -c 'while :; do :; done' &
	load_pid=$!
}

unload() {
	kill "$load_pid"
	wait "$load_pid" 2>/dev/null
}
