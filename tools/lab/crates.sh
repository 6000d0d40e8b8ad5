# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash
#
# The crates that the tools are built from: fetched once for a user, and what was built of them in one checkout taken
# over by the next.

# Where cargo builds, below build/.
CRATE_BUILDS=(cargo cargo-loom cargo-fuzz)

# Sees to it that cargo has the sources of what the tools are built from: a later build needs no network.
need_crates() {
	need_root
	local done log=$BUILD/crates.log
	done=$BUILD/.crates-$(key_of "$CACHE" "$(cat "$CHECKOUT/tools/Cargo.lock")")
	[ ! -e "$done" ] || return 0
	make_build_dir
	need_space "$BUILD" 2500 "what is built in the checkout" "free some, or move the checkout to another disk"
	must_step "fetch what the tools are built from" "fetching crates" "$log" \
		in_checkout --chdir "$CHECKOUT/tools" -- cargo fetch --locked
	take_crates
	rm -f "$BUILD"/.crates-*
	: >"$done"
	chown "$(owner_ids)" "$log" "$done"
}

# The name of what these very crates were built to with this root's compiler. Cargo itself compares flags and profiles.
built_crates_name() {
	key_of "$(root_name)" "$(cat "$CHECKOUT/tools/Cargo.lock" "$CHECKOUT/tools/fuzz/Cargo.lock")"
}

# Gives a checkout in which cargo has built nothing yet what another one has built of the crates.
take_crates() {
	local build
	for build in "${CRATE_BUILDS[@]}"; do
		[ ! -e "$BUILD/$build" ] || return 0
	done
	rm -rf -- "$BUILD/.taken"
	# shellcheck disable=SC2016 # expanded inside the root.
	step "taking crates that were built before" "$BUILD/take-crates.log" in_checkout -- bash -euc '
		build=$0 from=/lab/cargo/built/$1
		[ -d "$from" ] || exit 0
		# Whole or not at all: another checkout may be replacing it.
		cp -a --reflink=auto "$from" "$build/.taken"
		mv "$build/.taken"/* "$build"
		rmdir "$build/.taken"
		' "$BUILD" "$(built_crates_name)" || {
		rm -rf -- "$BUILD/.taken"
		say "they are built again"
	}
	chown "$(owner_ids)" "$BUILD/take-crates.log"
}

# Keeps what this checkout has built of the crates for the next one, if no other has.
keep_crates() {
	# shellcheck disable=SC2016 # expanded inside the root.
	step "keeping crates for the next checkout" "$BUILD/keep-crates.log" in_checkout -- bash -euc '
		build=$0 all=/lab/cargo/built kept=/lab/cargo/built/$1
		shift
		[ ! -d "$kept" ] || exit 0
		for name; do [ -d "$build/$name" ] || exit 0; done
		# Each root has its own numbers of processes: they do not tell two runs apart.
		part=$(mktemp -d "$all-XXXXXX")
		trap "rm -rf -- $part" EXIT
		for name; do cp -a --reflink=auto "$build/$name" "$part"; done
		rm -rf -- "$part/cargo-fuzz/corpus"
		find "$part" -type d -name incremental -prune -exec rm -rf -- {} +
		# What is of the checkout itself: each unit that cargo has built bears the hash of its fingerprint.
		find "$part" -type d -path "*/.fingerprint/oxen*" | while read -r unit; do
			profile=${unit%/.fingerprint/*}
			find "$profile" -depth -name "*-${unit##*-}*" -exec rm -rf -- {} +
		done
		find "$part" -type f -name "oxen*" -delete
		# Those of other versions are of no more use.
		rm -rf -- "$all"
		mkdir "$all"
		mv -T "$part" "$kept"
		' "$BUILD" "$(built_crates_name)" "${CRATE_BUILDS[@]}" || say "the next checkout builds them again"
	chown "$(owner_ids)" "$BUILD/keep-crates.log"
}
