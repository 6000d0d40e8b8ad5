#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# The module is unloaded: between two actions and with what is patched, never during one.

# shellcheck disable=SC2317 # conditions are called by wait_until.
. "$(dirname "$0")/../lib/tap.sh"
. "$(dirname "$0")/../lib/guests.sh"

need_guests
need_module_file
here=$(dirname "$(readlink -f "$0")")
# Seconds in which the module comes and goes.
seconds=15
[ -z "${OXEN_LONG:-}" ] || seconds=120

# Gives a result: the first processor's core, as the hypervisor tells it, is $1.
core_is() {
	core=$("$here/lp" core 0)
	if [ "$core" = "$1" ]; then tap_pass "$2"; else tap_fail "$2" "core is $core, not $1"; fi
}
# Whether the loop has begun.
begun() { log_since | grep -q 'live patch each: apply done'; }

# Whether that is why the last rmmod was refused. It is told otherwise if a descriptor was just being opened or closed.
in_use() { grep -q -e 'in use' -e 'temporarily unavailable' "$work/refusal"; }

tap_plan 14
"$here/lp" prepare core42 "$work/core42" || tap_skip_all "no payload"
fresh=$("$here/lp" core 0)

# A tool that has the device open for one action, which takes three seconds: nothing else keeps the module.
"$here/lp" prepare slow "$work/slow" && oxen livepatch upload slow "$work/slow"
"$here/lp" act slow apply >"$work/slow.said" &
slow=$!
in_hook() { grep -q '^State:[[:space:]]*D' "/proc/$slow/status" 2>/dev/null; }
wait_until 10 in_hook
tries=0 unloaded=0
while in_hook && [ "$tries" -lt 5 ]; do
	if ! rmmod oxen 2>"$work/refused"; then
		mv "$work/refused" "$work/refusal"
	elif in_hook; then
		unloaded=$((unloaded + 1))
	else
		# The action has ended before rmmod came to it: as it was, for what follows.
		insmod "$module" && oxen livepatch upload slow "$work/slow" && "$here/lp" act slow apply >"$work/again"
		break
	fi
	tries=$((tries + 1))
done
wait "$slow"
if [ "$tries" -gt 0 ] && [ "$unloaded" -eq 0 ] && in_use; then
	tap_pass "L-9 while an action is under way the module is not unloaded, $tries times"
else
	tap_fail "L-9 while an action is under way the module is not unloaded" "$tries times, unloaded $unloaded times" \
		"$(cat "$work/refusal")"
fi
if [ "$(cat "$work/slow.said")" = 0 ]; then
	tap_pass "L-9 which is done"
else
	tap_fail "L-9 which is done" "$(cat "$work/slow.said")"
fi
core_is 41 "and in use"
tap_check "it is reverted" oxen livepatch revert slow --timeout 2000
tap_check "and unloaded" oxen livepatch unload slow

# A tool that opens the device for each thing that it does, so that the module may go in between. It comes back at once.
"$here/lp" each each "$work/core42" "$seconds" >"$work/each" &
each=$!
wait_until 10 begun
went=0 refused=0
while ! ended "$each"; do
	if rmmod oxen 2>"$work/refusal"; then
		went=$((went + 1))
		insmod "$module" || break
	else
		refused=$((refused + 1))
		in_use || break
	fi
done
if wait "$each"; then
	tap_pass "L-9 a payload is applied and reverted while the module comes and goes: $(cat "$work/each")"
else
	tap_fail "L-9 a payload is applied and reverted while the module comes and goes" "$(cat "$work/each")" \
		"$(cat "$work/refusal")" "$(log_since | tail -n 10)"
fi
if [ "$went" -gt 0 ] && [ "$refused" -gt 0 ]; then
	tap_pass "L-9 it went $went times and was in use $refused times"
else
	tap_fail "L-9 it comes and goes" "it went $went times and was in use $refused times" "$(cat "$work/refusal")"
fi
oxen livepatch unload each >"$work/unloaded" 2>&1

tap_check "a payload is loaded" oxen livepatch upload core42 "$work/core42"
tap_check "it is applied" oxen livepatch apply core42 --timeout 2000
core_is 42 "and in use"
tap_check "the module is unloaded with it" rmmod oxen
tap_check "and loaded again" insmod "$module"
core_is "$fresh" "what was there at first is back"
if oxen livepatch list --json | tr -d ' \n' | grep -qx '\[\]'; then
	tap_pass "no payload is loaded"
else
	tap_fail "no payload is loaded" "$(oxen livepatch list --json)"
fi
tap_done
