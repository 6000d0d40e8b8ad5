#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# Runs tests and prints TAP 13: each test's own output behind `# `, then one line for the test.
#
#   run_kselftest.sh [-l] [-c COLLECTION]... [-t COLLECTION:TEST]... [-S COLLECTION:TEST]... [-o SECONDS]
#   run_kselftest.sh -d FOLDER COLLECTION TEST...
#
# The first form runs what is installed beside this file (all of it unless chosen), -l lists it, -S skips,
# -o overrides every time limit. The second runs the named tests of one folder; lib.mk uses it.
#
# A test's exit status: 0 passed, 1 failed, 2 expected failure, 3 unexpected pass, 4 skipped.

set -u
base=$(cd "$(dirname "$0")" && pwd)
override=

# Prints the time limit of the folder $1.
limit() {
	[ -z "$override" ] || {
		echo "$override"
		return
	}
	timeout=45
	# shellcheck source=/dev/null
	[ ! -r "$1/settings" ] || . "$1/settings"
	# A kernel that checks all that it does is several times as slow.
	[ ! -e /sys/kernel/debug/kmemleak ] || timeout=$((timeout * 4))
	echo "$timeout"
}

# Runs test $3 of collection $2 in folder $1 as number $4. Says nothing else on standard output.
run_one() {
	seconds=$(limit "$1")
	echo "# timeout set to $seconds"
	echo "# selftests: $2: $3"
	status_file=$(mktemp)
	(
		cd "$1" || exit 1
		timeout --kill-after=10 "$seconds" "./$3" </dev/null 2>&1
		echo $? >"$status_file"
	) | sed -u 's/^/# /'
	status=$(cat "$status_file")
	rm -f "$status_file"
	case ${status:-1} in
	0) echo "ok $4 selftests: $2: $3" ;;
	2) echo "ok $4 selftests: $2: $3 # XFAIL" ;;
	4) echo "ok $4 selftests: $2: $3 # SKIP" ;;
	124 | 137)
		echo "#"
		echo "not ok $4 selftests: $2: $3 # TIMEOUT $seconds seconds"
		return 1
		;;
	*)
		echo "not ok $4 selftests: $2: $3 # exit=$status"
		return 1
		;;
	esac
}

# Runs the COLLECTION:TEST lines of standard input; $1 prints a collection's folder.
run_list() {
	list=$(cat)
	echo "TAP version 13"
	echo "1..$(echo "$list" | grep -c .)"
	worst=0 number=0
	for entry in $list; do
		number=$((number + 1))
		run_one "$($1 "${entry%%:*}")" "${entry%%:*}" "${entry#*:}" "$number" || worst=1
	done
	return $worst
}

usage() {
	sed -n '3,/^$/s/^# \{0,1\}//p' "$0"
	exit "$1"
}

installed() { echo "$base/$1"; }
one_folder() { echo "$folder"; }

chosen='' skipped='' list=''
while getopts 'lc:t:S:o:dh' option; do
	case $option in
	l) list=1 ;;
	c) chosen="$chosen $OPTARG:*" ;;
	t) chosen="$chosen $OPTARG" ;;
	S) skipped="$skipped $OPTARG" ;;
	o) override=$OPTARG ;;
	d)
		folder=$2
		collection=$3
		shift 3
		for test in "$@"; do echo "$collection:$test"; done | run_list one_folder
		exit
		;;
	h) usage 0 ;;
	*) usage 2 ;;
	esac
done

all=$base/kselftest-list.txt
[ -r "$all" ] || {
	echo "$0: nothing is installed beside it: make INSTALL_PATH=DIR install" >&2
	exit 1
}
# Prints the chosen COLLECTION:TEST lines.
pick() {
	while read -r line; do
		take=${chosen:-all}
		for pattern in $chosen; do
			# shellcheck disable=SC2254 # a pattern it is.
			case $line in $pattern) take=yes ;; esac
		done
		for pattern in $skipped; do
			# shellcheck disable=SC2254
			case $line in $pattern) take=no ;; esac
		done
		case $take in all | yes) echo "$line" ;; esac
	done <"$all"
}
if [ -n "$list" ]; then
	pick
	exit
fi
[ -n "$(pick)" ] || {
	echo "$0: no such test; -l lists them" >&2
	exit 1
}
pick | run_list installed
