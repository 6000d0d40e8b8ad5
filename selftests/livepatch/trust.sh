#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# A payload is code of the kernel: signatures, and a kernel that wants them. Locks the kernel down, which nothing but a
# restart undoes: nothing that loads payloads may run after this in one machine.

# shellcheck disable=SC2317 # conditions are called by their names.
. "$(dirname "$0")/../lib/tap.sh"
. "$(dirname "$0")/../lib/guests.sh"

need_guests
command -v openssl >/dev/null || tap_skip_all "no openssl to sign with"
here=$(dirname "$(readlink -f "$0")")
lockdown=/sys/kernel/security/lockdown

# Appends a signature with our own key, which nobody trusts, to file $1, in the form of the kernel's sign-file. The
# certificate is in it: otherwise the kernel could not even tell what it is for.
sign() {
	openssl cms -sign -binary -noattr -md sha256 -outform DER -signer "$work/cert.pem" -inkey "$work/key.pem" \
		-in "$1" -out "$work/signature" || return 1
	sign_len=$(stat -c %s "$work/signature")
	{
		cat "$1" "$work/signature"
		printf '\000\000\002\000\000\000\000\000'
		printf '\000\000'
		# shellcheck disable=SC2059 # the format is made of numbers.
		printf "\\$(printf %03o $((sign_len >> 8)))\\$(printf %03o $((sign_len & 255)))"
		printf '~Module signature appended~\n'
	} >"$work/signed"
	mv "$work/signed" "$1"
}

# Gives a result: file $1 is loaded with the result $2.
loads() {
	loads_rc=$("$here/lp" upload trust "$1")
	if [ "$loads_rc" = "$2" ]; then
		tap_pass "$3"
	else
		tap_fail "$3" "$loads_rc, not $2" "$(log_since | tail -n 5)"
	fi
	[ "$loads_rc" != 0 ] || oxen livepatch unload trust
}
# Gives a result: the kernel's log says $1.
says() {
	if log_since | grep -qF "$1"; then tap_pass "$2"; else tap_fail "$2" "$(log_since | tail -n 5)"; fi
}

tap_plan 9
"$here/lp" prepare core42 "$work/plain" || tap_skip_all "no payload"
openssl req -x509 -newkey rsa:2048 -sha256 -nodes -days 1 -subj "/CN=nobody" -keyout "$work/key.pem" \
	-out "$work/cert.pem" 2>"$work/openssl" || tap_skip_all "openssl makes no key: $(cat "$work/openssl")"
cp "$work/plain" "$work/unknown"
sign "$work/unknown" || tap_skip_all "openssl does not sign"
# One byte of the code is another: what a letter says of itself, so that the payload is good otherwise.
sed 's/core is 42/core is 24/' "$work/unknown" >"$work/changed"
{
	cat "$work/plain"
	printf '\000\000\002\000\000\000\000\000\377\377\377\377~Module signature appended~\n'
} >"$work/broken"

# Others may have been refused so often just now that the log takes no more for five seconds.
sleep 6
loads "$work/plain" 0 "L-15 this kernel takes what is not signed"
loads "$work/unknown" 0 "L-15 and what is signed by somebody whom it does not know"
# A kernel that knows no signatures of modules has nothing to check others with.
if [ -e /sys/module/module/parameters/sig_enforce ]; then
	loads "$work/changed" -1 "L-15 it takes nothing that its signature is not for"
	says "is not what its signature is for" "L-15 and says so"
else
	for _ in 1 2; do tap_skip "L-15 what its signature is not for" "this kernel checks none"; done
fi
loads "$work/broken" -22 "L-15 nor what ends like a signature and is none"

[ -e "$lockdown" ] || mount -t securityfs securityfs /sys/kernel/security 2>/dev/null
# Who looks for lost memory afterwards needs debugfs.
if [ ! -e /sys/kernel/debug/kmemleak ] && [ -w "$lockdown" ] && echo integrity >"$lockdown" 2>/dev/null; then
	loads "$work/plain" -1 "L-15 one that is locked down takes nothing that is not signed"
	says "is not signed by anybody whom this kernel trusts" "L-15 and says so"
	loads "$work/unknown" -1 "L-15 nor what a stranger has signed"
	tap_check "others are still listed" oxen livepatch list
else
	for _ in 1 2 3 4; do tap_skip "L-15 a kernel that is locked down" "this one cannot be"; done
fi
tap_done
