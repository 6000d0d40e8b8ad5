# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=sh
#
# TAP for tests written in shell. A test sources this, says how many results it will give, gives them,
# and ends with tap_done:
#
#   . "$(dirname "$0")/../lib/tap.sh"
#   tap_plan 2
#   tap_check "the node is there" test -e /dev/xen/privcmd
#   if something; then tap_pass "it works"; else tap_fail "it works" "why it does not"; fi
#   tap_done

tap_planned=0 tap_number=0 tap_failed=0

tap_plan() {
	tap_planned=$1
	echo "TAP version 13"
	echo "1..$1"
}

tap_pass() {
	tap_number=$((tap_number + 1))
	echo "ok $tap_number $1"
}

# A failure, with the reason as further arguments.
tap_fail() {
	tap_number=$((tap_number + 1))
	tap_failed=$((tap_failed + 1))
	echo "not ok $tap_number $1"
	shift
	for tap_line; do printf '%s\n' "$tap_line" | sed 's/^/# /'; done
}

# A test that cannot run here, with the reason.
tap_skip() {
	tap_number=$((tap_number + 1))
	echo "ok $tap_number $1 # SKIP $2"
}

# Passes if the command does, else fails with what the command printed.
tap_check() {
	tap_name=$1
	shift
	if tap_output=$("$@" 2>&1); then
		tap_pass "$tap_name"
	else
		tap_fail "$tap_name" "$* ended with status $?" "$tap_output"
	fi
}

# Skips the whole test, with the reason.
tap_skip_all() {
	echo "TAP version 13"
	echo "1..0 # SKIP $1"
	exit 4
}

# Ends the test: it passed if every planned result came and none failed.
tap_done() {
	[ "$tap_number" -eq "$tap_planned" ] || {
		echo "# planned $tap_planned results, gave $tap_number"
		exit 1
	}
	[ "$tap_failed" -eq 0 ] || exit 1
	exit 0
}

# Skips unless we are root.
need_superuser() { [ "$(id -u)" -eq 0 ] || tap_skip_all "needs root"; }

# Sets module to the file of the module: what tools/vm names, or what is installed.
need_module_file() {
	# shellcheck disable=SC2034 # for the test.
	module=${OXEN_MODULE:-$(modinfo -n oxen 2>/dev/null)}
	[ -r "$module" ] || tap_skip_all "no module file: set OXEN_MODULE"
}

# Skips unless the module is loaded.
need_oxen() { [ -d /sys/module/oxen ] || tap_skip_all "the module is not loaded"; }
