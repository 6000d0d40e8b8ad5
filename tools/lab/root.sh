# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash
#
# The build root: a Debian 13 made with mmdebstrap that holds every tool, so that the host needs none.

SUITE=trixie

# The packages as mmdebstrap takes them.
root_packages() { sed -e 's/#.*//' -e '/^[[:space:]]*$/d' "$LAB/packages" | paste -sd,; }

# Prints a mirror that the host already uses for the suite, or nothing: then mmdebstrap's own default
# serves.
host_mirror() {
	[ -z "${OXEN_MIRROR:-}" ] || {
		printf '%s\n' "$OXEN_MIRROR"
		return
	}
	# shellcheck disable=SC2016 # apt expands these.
	apt-get indextargets --format '$(REPO_URI) $(CODENAME) $(COMPONENT)' 'Created-By: Packages' 2>/dev/null |
		awk -v suite="$SUITE" '$2 == suite && $3 == "main" && $1 ~ /^https?:/ { print $1; exit }' || true
}

# Sees to mmdebstrap on the host.
need_mmdebstrap() {
	command -v mmdebstrap >/dev/null && return
	command -v apt-get >/dev/null ||
		die "this host has no apt-get: install your distribution's mmdebstrap, with dpkg and apt, and run again"
	local log=$CACHE/logs/mmdebstrap-install.log
	install_mmdebstrap() {
		export DEBIAN_FRONTEND=noninteractive
		apt-get install -y -q --no-install-recommends mmdebstrap debian-archive-keyring ||
			{
				apt-get update -q &&
					apt-get install -y -q --no-install-recommends mmdebstrap debian-archive-keyring
			}
	}
	must_step "install mmdebstrap on this host" "installing mmdebstrap on the host" "$log" install_mmdebstrap
}

# A maker for ensure_entry.
make_root() {
	local part=$1 log=$CACHE/logs/root.log mirror from_apt from=() proxy=()
	need_space "$part" 3500 "the build root"
	need_mmdebstrap
	mirror=$(host_mirror)
	[ -z "$mirror" ] || from=("$mirror")
	# The proxy that the host's apt uses, if it is not in the environment.
	eval "$(apt-config shell from_apt Acquire::http::Proxy 2>/dev/null)"
	[ -z "${from_apt:-}" ] || proxy=(--aptopt="Acquire::http::Proxy \"$from_apt\"")
	step "build root ($SUITE from ${mirror:-the default mirror}, 2 GB)" "$log" \
		unshare --mount mmdebstrap --variant=apt --include="$(root_packages)" \
		--dpkgopt='path-exclude=/usr/share/doc/*' \
		--dpkgopt='path-exclude=/usr/share/man/*' \
		--dpkgopt='path-exclude=/usr/share/locale/*' \
		--aptopt='Acquire::Retries "3"' "${proxy[@]}" \
		--setup-hook="cd \"\$1/etc/apt\" &&
			sed -n '1s/ $SUITE / $SUITE-backports /p' sources.list >sources.list.d/backports.list" \
		--customize-hook="mkdir -p \"\$1/lab\" && : >>\"\$1/etc/resolv.conf\" && : >>\"\$1/etc/hosts\"" \
		"$SUITE" "$part/root" "${from[@]}" ||
		die "cannot make the build root: $(root_failure "$log")"
	[ -s "$part/root/etc/apt/sources.list.d/backports.list" ] ||
		die "cannot derive the backports source line from $part/root/etc/apt/sources.list"
}

# What make_root says when it fails. It is a function of its own because the text of make_root is in the
# entry's key.
root_failure() { reason_or_log "$1"; }

root_name() { echo "root-$(key_of "$SUITE" "$(root_packages)" "$(declare -f make_root)")"; }

# Sees to the build root; sets ROOT.
need_root() {
	[ -z "${ROOT:-}" ] || return 0
	local name
	name=$(root_name)
	mkdir -p "$CACHE/logs" 2>/dev/null || die "cannot write to $CACHE: set OXEN_CACHE to a folder you can write to"
	LAB_REASONS=1 ensure_entry "$name" make_root
	ROOT=$CACHE/$name/root
}

# Runs a command in the build root with the options of ./inside. It ends when we do. Its standard input
# is ours unless that is a terminal.
in_root() {
	local rc=0 enter=(setpriv --pdeathsig KILL unshare --mount --pid --fork --kill-child "$LAB/inside" "$ROOT")
	# shellcheck disable=SC2031 # it is meant for the subshell.
	if [ -n "${LAB_FOREGROUND:-}" ]; then
		"${enter[@]}" "$@" || rc=$?
	else
		set -m
		if [ -t 0 ]; then "${enter[@]}" "$@" </dev/null & else "${enter[@]}" "$@" <&0 & fi
		LAB_CHILD=$!
		set +m
		wait "$LAB_CHILD" || rc=$?
		LAB_CHILD=
	fi
	return "$rc"
}

# The same as the checkout's owner, in the checkout, which it may write; with cargo's own folder.
in_checkout() {
	local owner cargo
	owner=$(owner_ids)
	cargo=$CACHE/cargo-${owner%%:*}
	mkdir -p "$cargo"
	[ "$(stat -c '%u:%g' "$cargo")" = "$owner" ] || chown "$owner" "$cargo"
	make_build_dir
	in_root --rw "$CHECKOUT" "$CHECKOUT" --rw "$cargo" /lab/cargo --env CARGO_HOME=/lab/cargo \
		--env "CARGO_TARGET_DIR=$BUILD/cargo" --user "$owner" --chdir "$CHECKOUT" "$@"
}

# Makes the checkout's build folder, and further ones below it, belonging to the checkout's owner.
make_build_dir() {
	local owner dir
	owner=$(owner_ids)
	for dir in "$BUILD" "$@"; do
		[ -d "$dir" ] || install -d -o "${owner%:*}" -g "${owner#*:}" "$dir"
	done
}
