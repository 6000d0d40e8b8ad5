#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# xen-cpuid -p, and Xen's own tests that need no xenstore.

# shellcheck disable=SC2317 # conditions are called by wait_until.
. "$(dirname "$0")/../lib/tap.sh"
. "$(dirname "$0")/../lib/guests.sh"
. "$(dirname "$0")/../lib/xen-tools.sh"

need_guests
need_xen_tools

# Prints eax, ebx, ecx or edx (1 to 4) of leaf $3 as the policy $1 of $work/out has it.
leaf() {
	case $3 in *:*) at=$3 ;; *) at=$3:ffffffff ;; esac
	awk -v policy="$1 policy:" -v leaf="$at" -v reg="$2" '
		/policy/ { there = index($0, policy) == 1 }
		there && $1 == leaf { split($3, regs, ":"); print regs[reg]; exit }' "$work/out"
}

# Whether bit $3 of the number $1, hexadecimal, is $2.
bit() { [ $(((0x$1 >> $3) & 1)) -eq "$2" ]; }

# Gives a result for a condition.
holds() {
	holds_name=$1
	shift
	if "$@"; then tap_pass "$holds_name"; else tap_fail "$holds_name" "$(cat "$work/out")"; fi
}

tap_plan 14
tap_check "xen-cpuid -p" xen xen-cpuid -p
shows "there are policies for HVM, and none for PV" "Raw policy:" "Host policy:" "HVM Max policy:" \
	"HVM Default policy:" "PV Max policy not supported by Xen" "PV Default policy not supported by Xen"
# AuthenticAMD, or what this machine says.
vendor=$(sed -n 's/^vendor_id[[:space:]]*: //p' /proc/cpuinfo | head -n 1)
name=$(printf '%b' "$(echo "$(leaf Host 2 00000000)$(leaf Host 4 00000000)$(leaf Host 3 00000000)" |
	sed 's/\(..\)\(..\)\(..\)\(..\)/\\x\4\\x\3\\x\2\\x\1/g')" 2>/dev/null)
name=${name#-e }
# A shell whose printf knows no \x leaves it as it is.
case $name in *\\x*) name=$(bash -c "printf '$name'") ;; esac
holds "the host's vendor is $vendor" [ "$name" = "$vendor" ]
signature=$(leaf Host 1 00000001)
family=$(((0x$signature >> 8 & 15) + (0x$signature >> 20 & 255)))
holds "the host's family is this processor's" \
	[ "$family" = "$(sed -n 's/^cpu family[[:space:]]*: //p' /proc/cpuinfo | head -n 1)" ]
holds "guests have the host's signature" [ "$(leaf 'HVM Default' 1 00000001)" = "$signature" ]
holds "a guest has long mode" bit "$(leaf 'HVM Default' 4 80000001)" 1 29
holds "no guest has SVM" bit "$(leaf 'HVM Max' 3 80000001)" 0 2
holds "a guest knows that it is one" bit "$(leaf 'HVM Default' 3 00000001)" 1 31

# The default is a part of the most there can be, which is a part of the host's but for what is emulated
# everywhere: x2APIC, TSC deadline, TSC adjust and the hypervisor's bit.
within() {
	for where in 00000001.3 00000001.4 80000001.3 80000001.4 00000007:00000000.2; do
		a=$(leaf "$1" "${where#*.}" "${where%.*}") b=$(leaf "$2" "${where#*.}" "${where%.*}") more=0
		[ "$where" != 00000001.3 ] || more=$((1 << 31 | 1 << 24 | 1 << 21 | 1 << 27))
		[ "$where" != 00000007:00000000.2 ] || more=2
		[ -n "$a" ] && [ -n "$b" ] && [ $((0x$a & ~0x$b & ~more)) -eq 0 ] || return 1
	done
}
holds "the default policy is within the largest" within 'HVM Default' 'HVM Max'
holds "the largest is within the host's" within 'HVM Max' Host

# A guest's own view: what the tool says of its domain is what it reads.
oxen run --kernel "$guests/cpuid.elf" --no-input --memory 32 --paused --name view >"$work/console" 2>&1 &
pid=$!
wait_until 20 in_state view paused
domid=$(domains)
xen xen-cpuid -p "$domid"
oxen unpause view
wait_for "$pid" 30
different=$(for at in 00000000:00 80000000:00 80000001:00 80000002:00 80000003:00 80000008:00 00000007:00; do
	[ "${at%:*}" = 00000007 ] && suffix=:00000000 || suffix=
	seen=$(tr -d '\r' <"$work/console" | sed -n "s/^# cpuid ${at%:*} ${at#*:}: \(.*\)/\1/p" | tr ' ' :)
	policy=$(for reg in 1 2 3 4; do leaf "Domain $domid" "$reg" "${at%:*}$suffix"; done | tr '\n' : | sed 's/:$//')
	[ -n "$seen" ] && [ "$seen" = "$policy" ] || echo "leaf ${at%:*}: the guest reads $seen, the tool $policy"
done)
if [ -z "$different" ]; then
	tap_pass "a guest reads what xen-cpuid -p says of its domain"
else
	tap_fail "a guest reads what xen-cpuid -p says of its domain" "$different"
fi

# Their own words for a failure, beside the status.
passes() {
	if [ ! -x "$xen_tools/$1" ]; then
		tap_skip "$1" "it is not there"
	elif xen "$1" && ! grep -qi '^ *fail' "$work/out"; then
		tap_pass "$1"
	else
		tap_fail "$1" "$(cat "$work/out")"
	fi
}
passes test-paging-mempool
# It says what it does not find.
passes test-tsx
log_clean 20
tap_done
