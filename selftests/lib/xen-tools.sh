# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=sh
#
# Xen's own tools, as Debian builds them, by their real names: what is in the path may be a wrapper that
# looks for a Xen below this kernel.

need_xen_tools() {
	xen_tools=${XEN_TOOLS:-/usr/lib/xen-4.20/bin}
	[ -x "$xen_tools/xenctx" ] ||
		tap_skip_all "no Xen 4.20 tools in $xen_tools: install xen-utils-4.20, or set XEN_TOOLS"
}

# Runs a tool; what it prints is then in $work/out. Returns its status.
xen() {
	xen_tool=$1
	shift
	timeout -k 5 60 "$xen_tools/$xen_tool" "$@" >"$work/out" 2>&1
}

# Gives a result: what the tool printed has each of the further arguments, fixed texts.
shows() {
	shows_name=$1
	shift
	shows_missing=
	for shows_text; do
		grep -qF -e "$shows_text" "$work/out" || shows_missing="$shows_missing
no '$shows_text'"
	done
	if [ -z "$shows_missing" ]; then
		tap_pass "$shows_name"
	else
		tap_fail "$shows_name" "$shows_missing" "$(head -n 60 "$work/out")"
	fi
}
