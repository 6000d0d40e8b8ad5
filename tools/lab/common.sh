# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash
#
# What every part of the lab shares: messages, the cache and its locks, steps that show their progress.
# Sourced by ./lab and tools/vm; defines functions and a few read-only variables, does nothing else.

CHECKOUT=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd -P)
LAB=$CHECKOUT/tools/lab
BUILD=$CHECKOUT/build
# A root shell that `su` gives has no sbin.
PATH=$PATH:/usr/sbin:/sbin

# Prints a line about what is being done. Everything the lab says goes to standard error, so that
# standard output belongs to the command a person asked for.
say() { printf '==> %s\n' "$*" >&2; }
warn() { printf '==> warning: %s\n' "$*" >&2; }

# Ends with one line: what is wrong, and what to do.
die() {
	printf 'oxen: %s\n' "$*" >&2
	exit 1
}

# Ends unless this machine and this checkout are such as the lab can work with. Tools are in the build root;
# these are what makes it and what goes into it.
need_host() {
	local machine name missing=()
	machine=$(uname -sm)
	[ "$machine" = 'Linux x86_64' ] ||
		die "this is $machine: the lab, and oxen itself, need Linux on an x86-64 machine"
	for name in awk chroot df find flock grep mount readlink sed setpriv sha256sum stat timeout unshare; do
		command -v "$name" >/dev/null || missing+=("$name")
	done
	[ "${#missing[@]}" -eq 0 ] ||
		die "this host has no ${missing[*]}: install coreutils, util-linux, mount, findutils, grep, sed and awk"
	case $CHECKOUT in
	*[[:space:]:]*) die "the kernel's build cannot work in '$CHECKOUT': move the checkout where no space or colon is" ;;
	esac
}

# The folder of the cache. Entries below it are named KIND-KEY, where KEY is a hash of what made them.
cache_dir() {
	if [ -n "${OXEN_CACHE:-}" ]; then
		printf '%s/oxen\n' "${OXEN_CACHE%/}"
	elif [ -n "${XDG_CACHE_HOME:-}" ]; then
		printf '%s/oxen\n' "${XDG_CACHE_HOME%/}"
	elif [ -n "${HOME:-}" ]; then
		printf '%s/.cache/oxen\n' "${HOME%/}"
	else
		die "no HOME in the environment: set OXEN_CACHE to a folder for the cache (6 GB)"
	fi
}

# Becomes root, keeping what the lab needs of the environment. Mounting and chroot ask for it.
become_root() {
	[ "$(id -u)" -ne 0 ] || return 0
	local keep=("OXEN_CACHE=$(dirname "$CACHE")") name
	command -v sudo >/dev/null ||
		die "the lab needs root to mount its build root, and there is no sudo: run as root, or install sudo"
	for name in OXEN_ACCEL OXEN_CPU OXEN_MIRROR OXEN_JOBS OXEN_QUIET http_proxy https_proxy no_proxy \
		HTTP_PROXY HTTPS_PROXY NO_PROXY TERM "${LAB_KEEP[@]}"; do
		[ -z "${!name+set}" ] || keep+=("$name=${!name}")
	done
	mkdir -p "$CACHE" 2>/dev/null || die "cannot make $CACHE: set OXEN_CACHE to a folder you can write to"
	exec sudo -- env "${keep[@]}" "$0" "$@"
}

# Names of further variables that become_root keeps.
LAB_KEEP=()

# The user and group that own the checkout: what is built inside it belongs to them.
owner_ids() { stat -c '%u:%g' "$CHECKOUT"; }

# The process group of the child that runs, if any: it dies with us.
LAB_CHILD=
end_child() { [ -z "$LAB_CHILD" ] || kill -KILL -- "-$LAB_CHILD" 2>/dev/null || true; }
trap end_child EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP

# Prints the first 12 digits of the hash of the text given as arguments.
key_of() { printf '%s\0' "$@" | sha256sum | cut -c1-12; }

# What to do when the disk is full.
MORE_SPACE="free some, run 'make clean-cache', or set OXEN_CACHE to another disk"

# Ends unless the folder $1 (or its nearest parent that exists) has $2 MiB free for $3. $4 is what to do then.
need_space() {
	local dir=$1 free
	while [ ! -d "$dir" ]; do dir=$(dirname "$dir"); done
	free=$(df -Pm "$dir" | awk 'NR == 2 { print $4 }')
	[ "$free" -ge "$2" ] || die "no space for $3: $2 MiB are needed and $dir has $free; ${4:-$MORE_SPACE}"
}

# Says whether a log tells of a full disk.
disk_was_full() { grep -qiE 'No space left on device|Disk quota exceeded|not enough free space' "$1"; }

# Prints one line about why a step failed that downloads or installs, and what to do; nothing if its log
# shows none of the usual reasons.
failure_reason() {
	local network='Temporary failure|resolve host|Failed to fetch|Unable to connect|(Could not|Couldn.t) connect'
	network="$network|Connection (refused|reset)|timed out|Network is unreachable|No route to host|spurious network"
	if disk_was_full "$1"; then
		echo "the disk is full: $MORE_SPACE"
	elif grep -qE 'NO_PUBKEY|is not signed|could not be verified|GPG error' "$1"; then
		echo "the host does not know the archive's key: install a newer debian-archive-keyring"
	elif grep -qiE "$network" "$1"; then
		echo "the network or the mirror cannot be reached: check the connection, set http_proxy if there is a" \
			"proxy, or OXEN_MIRROR to another mirror"
	elif grep -qiE 'Operation not permitted|Permission denied' "$1"; then
		echo "root may not mount or make device nodes here (a container?): use a machine where it may"
	elif grep -qE 'Cannot allocate memory|signal: 9|Killed' "$1"; then
		echo "the memory was full: end other programs, or set OXEN_JOBS=1"
	elif grep -q '^no cloud kernel of the series' "$1"; then
		echo "Debian's backports hold no kernel that this checkout knows: update the checkout, or build for a" \
			"kernel of your own with 'make KDIR=FOLDER modules'"
	fi
}

# The same, or where the log is. `step` has printed its end then.
reason_or_log() {
	local why
	why=$(failure_reason "$1")
	printf '%s\n' "${why:-its last words are above, the whole log is $1}"
}

elapsed() {
	local s=$1
	if [ "$s" -lt 60 ]; then printf '%d s' "$s"; else printf '%d min %d s' $((s / 60)) $((s % 60)); fi
}

# Runs a command with its output in a file, and shows that it moves: on a terminal one line that is
# rewritten each second, elsewhere a line every half minute. Arguments: title, log file, command.
# What takes less than four seconds is not mentioned.
# Returns the command's status; on failure the end of the log is printed. A function given as command
# must check each of its own steps: `set -e` does not reach there.
step() {
	local title=$1 log=$2 start=$SECONDS pid rc=0 now last said=-1 width
	shift 2
	set -m
	(
		# shellcheck disable=SC2030 # in_root reads it: a child of ours must stay in this process group.
		LAB_FOREGROUND=1
		"$@"
	) >"$log" 2>&1 </dev/null &
	pid=$!
	LAB_CHILD=$pid
	set +m
	while kill -0 "$pid" 2>/dev/null; do
		now=$((SECONDS - start))
		if [ "$now" -lt 4 ]; then
			:
		elif [ -t 2 ] && [ "$now" -gt "$said" ]; then
			said=$now
			width=$(tput cols 2>/dev/null || echo 80)
			last=$(tail -n 1 "$log" | tr -d '\r' | tr '\t' ' ')
			last="==> $title ... $(elapsed "$now"), $(wc -l <"$log") lines: $last"
			printf '\r\033[K%s' "${last:0:width-1}" >&2
		elif [ -t 2 ]; then
			:
		elif [ "$said" -lt 0 ]; then
			printf '==> %s ...\n' "$title" >&2
			said=0
		elif [ $((now / 30)) -gt "$said" ]; then
			said=$((now / 30))
			last=$(tail -n 1 "$log" | tr -d '\r' | tr '\t' ' ')
			printf '    %s, %s lines: %s\n' "$(elapsed "$now")" "$(wc -l <"$log")" "${last:0:100}" >&2
		fi
		sleep 0.2
	done
	wait "$pid" || rc=$?
	LAB_CHILD=
	[ ! -t 2 ] || printf '\r\033[K' >&2
	if [ "$rc" -eq 0 ]; then
		now=$((SECONDS - start))
		[ "$now" -lt 4 ] || printf '==> %s: done in %s\n' "$title" "$(elapsed "$now")" >&2
	elif [ -n "${LAB_REASONS:-}" ] && [ -n "$(failure_reason "$log")" ]; then
		: # Whoever set this says it in one line.
	else
		tail -n "${LAB_TAIL:-25}" "$log" | sed 's/^/    /' >&2
		printf '==> %s: failed (status %d) after %s; the whole log is %s\n' \
			"$title" "$rc" "$(elapsed $((SECONDS - start)))" "$log" >&2
	fi
	return "$rc"
}

# As step, for a step without which nothing goes on: ends with one line if it fails. The first argument says
# what could not be done then.
must_step() {
	local what=$1 log=$3
	shift
	LAB_REASONS=1 step "$@" || die "cannot $what: $(reason_or_log "$log")"
}

# Holds an entry for as long as this process and its children live, so that clean-cache leaves it alone.
hold_entry() {
	local fd
	exec {fd}>"$CACHE/locks/$1"
	flock -s "$fd"
}

# Removes what is left of runs that died: a half-made entry nobody has locked.
sweep_cache() {
	local part name fd
	for part in "$CACHE"/part-*; do
		[ -d "$part" ] || continue
		name=${part##*/part-}
		exec {fd}>"$CACHE/locks/$name"
		if flock -n -x "$fd"; then rm -rf --one-file-system -- "$part"; fi
		exec {fd}>&-
	done
}

# Makes the cache entry $1 by running "$2 FOLDER" unless it is there; prints nothing. The maker works in
# a folder beside it, which is renamed when complete: an entry that exists is whole. Two runs that want
# the same entry wait for each other.
ensure_entry() {
	local name=$1 maker=$2 part=$CACHE/part-$1 fd
	mkdir -p "$CACHE/locks" 2>/dev/null || die "cannot write to $CACHE: set OXEN_CACHE to a folder you can write to"
	if [ ! -d "$CACHE/$name" ]; then
		exec {fd}>"$CACHE/locks/$name"
		if ! flock -n -x "$fd"; then
			say "another run is making $name; waiting for it"
			flock -x "$fd"
		fi
		if [ ! -d "$CACHE/$name" ]; then
			sweep_cache
			rm -rf --one-file-system -- "$part"
			mkdir "$part"
			"$maker" "$part"
			sync -f "$part"
			mv -T "$part" "$CACHE/$name"
		fi
		exec {fd}>&-
	fi
	hold_entry "$name"
	touch -c "$CACHE/$name"
}
