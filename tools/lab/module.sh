# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash
#
# What is built from this checkout: the module for a kernel of the lab, and the userspace tools.

# What make and cargo say of what they do, not of what they found.
NOISE='^(make(\[[0-9]+\])?: |  [A-Z]+ (\[M\]|[A-Z]* )? *[^ ]+$|Skipping BTF )'
NOISE="$NOISE|^ *(Compiling|Finished|Downloaded|Downloading|Updating|Locking|Adding|Blocking) "

# Runs a build step whose log is shown on failure, and of which only what a compiler had to say is
# shown on success. Two runs in one checkout wait for each other.
build_step() {
	local title=$1 log=$2 fd rc=0
	shift 2
	make_build_dir
	need_space "$BUILD" 500 "what is built in the checkout" "free some, or run 'make clean'"
	exec {fd}>"$BUILD/.lock"
	flock "$fd"
	LAB_TAIL=200 step "$title" "$log" "$@" || rc=$?
	exec {fd}>&-
	if [ "$rc" -ne 0 ] && disk_was_full "$log"; then die "$title: the disk is full; free some, or run 'make clean'"; fi
	[ "$rc" -eq 0 ] || die "$title: failed; the compiler's words are above and in $log"
	grep -vE "$NOISE" "$log" >&2 || true
	chown -h "$(owner_ids)" "$log" "$BUILD/.lock"
}

# Builds the module for the stock or the debug kernel, as build/FLAVOUR/oxen.ko. More arguments go to make.
build_module() {
	local flavour=$1 binds=() make=()
	shift
	case $flavour in
	stock)
		need_kernel
		mapfile -t binds < <(kernel_binds)
		make=(make -C /lab/kernel/build "KERNELRELEASE=$RELEASE" CC=gcc-14)
		;;
	debug)
		need_debug_kernel
		mapfile -t binds < <(debug_kernel_binds)
		make=(make -C /lab/debug/build LLVM=1)
		;;
	esac
	make_build_dir "$BUILD/$flavour"
	build_step "module for the $flavour kernel" "$BUILD/$flavour.log" \
		in_checkout "${binds[@]}" -- "${make[@]}" "-j$KERNEL_JOBS" "M=$CHECKOUT" "MO=$BUILD/$flavour" \
		"$@" modules
}

# Builds the userspace tools as static programs, so that they run in any root and on any host, and puts
# the `oxen` command at build/bin/oxen.
build_tools() {
	need_crates
	make_build_dir "$BUILD/bin"
	# shellcheck disable=SC2016 # expanded inside the root.
	build_step "oxen command" "$BUILD/tools.log" \
		in_checkout --env "CARGO_TARGET_X86_64_UNKNOWN_LINUX_GNU_RUSTFLAGS=-Ctarget-feature=+crt-static" \
		--chdir "$CHECKOUT/tools" -- bash -euc '
		cargo build --release --locked --target x86_64-unknown-linux-gnu -p oxen
		install -m 755 "$CARGO_TARGET_DIR/x86_64-unknown-linux-gnu/release/oxen" "$0/oxen"
		' "$BUILD/bin"
	build_step "device model" "$BUILD/devmodel.log" \
		in_checkout -- make -s -C tools/devmodel "OUTPUT=$BUILD/bin"
}

# Builds the tiny guests as build/guests/NAME.elf.
build_guests() {
	need_root
	make_build_dir "$BUILD/guests"
	build_step "tiny guests" "$BUILD/guests.log" \
		in_checkout -- make -s -C tools/guests "-j$KERNEL_JOBS" "OUTPUT=$BUILD/guests"
}

# Builds the payloads that tests apply, as build/payloads/NAME.livepatch, for the module of a kernel of the lab; and
# keeps what the builder says of a diff that cannot be a live patch, as build/payloads/refused.log.
build_payloads() {
	local flavour=$1 diffs=selftests/livepatch out=$BUILD/payloads
	build_payload "$flavour" "$diffs/pagesize.diff" "$out/pagesize.livepatch" &&
		# Goes on top of that one.
		build_payload "$flavour" "$diffs/memory.diff" "$out/memory.livepatch" --on "$out/pagesize.livepatch" &&
		build_payload "$flavour" "$diffs/larger.diff" "$out/larger.livepatch" &&
		refused_payload "$flavour" "$diffs/refused.diff" "$out/refused.log"
}

# Keeps what the builder says of a diff of which it makes no payload.
refused_payload() {
	! build_payload "$1" "$2" "$BUILD/livepatch/refused.livepatch" >"$3" 2>&1 || return 1
	cat "$3"
}

# Builds the module without a fix, selftests/fix/capabilities.diff, for the stock kernel, as build/unfixed/oxen.ko; and
# the fix as a live patch for that.
build_unfixed() {
	local unfixed=$BUILD/unfixed binds fix=selftests/fix/capabilities
	mapfile -t binds < <(kernel_binds)
	# shellcheck disable=SC2016 # expanded inside the root.
	in_checkout "${binds[@]}" -- bash -euc '
		rsync -a --checksum --delete Kbuild include rust "$0/source/"
		# It is no part of the repository that is around it.
		GIT_CEILING_DIRECTORIES=${0%/*} git -C "$0/source" apply -R "$PWD/$1"
		# Nothing else has changed since the last time.
		touch -r rust/hypercall/version.rs "$0/source/rust/hypercall/version.rs"
		shift
		"$@" "M=$0/source" "MO=$0/module" modules
		cp "$0/module/oxen.ko" "$0/oxen.ko"
		' "$unfixed" "$fix.diff" make -C /lab/kernel/build "KERNELRELEASE=$RELEASE" CC=gcc-14 "-j$KERNEL_JOBS" &&
		in_checkout "${binds[@]}" -- "$BUILD/bin/oxen" livepatch build \
			--patch "$fix.diff" --output "$BUILD/payloads/capabilities.livepatch" \
			--module "$unfixed/oxen.ko" --source "$unfixed/source" --kdir /lab/kernel/build \
			--work "$unfixed/work" \
			--make "KERNELRELEASE=$RELEASE" --make CC=gcc-14 --make "-j$KERNEL_JOBS"
}

# Builds both of them, or one if another is told not to be wanted. Most of each is a crate, on which one processor
# works: so at once.
build_live_patches() {
	local payloads=$1 unfixed=$2 log=$BUILD/unfixed/build.log pid='' rc=0
	[ -z "$unfixed" ] || {
		build_unfixed >"$log" 2>&1 &
		pid=$!
	}
	[ -z "$payloads" ] || build_payloads stock || rc=1
	[ -z "$pid" ] || {
		wait "$pid" || rc=1
		cat "$log"
	}
	return "$rc"
}

# Makes a payload of a live patch for the module in build/FLAVOUR: out of the diff $2, as the file $3.
# What was built before the diff is kept in build/livepatch for the next one. More arguments go to the builder.
build_payload() {
	local flavour=$1 patch=$2 out=$3 binds kdir make=()
	shift 3
	[ -e "$BUILD/$flavour/oxen.ko" ] || build_module "$flavour"
	[ -x "$BUILD/bin/oxen" ] || build_tools
	case $flavour in
	stock)
		need_kernel
		mapfile -t binds < <(kernel_binds)
		kdir=/lab/kernel/build make=(--make "KERNELRELEASE=$RELEASE" --make CC=gcc-14)
		;;
	debug)
		need_debug_kernel
		mapfile -t binds < <(debug_kernel_binds)
		kdir=/lab/debug/build make=(--make LLVM=1)
		;;
	esac
	make_build_dir "$BUILD/livepatch" "$BUILD/livepatch/$flavour"
	in_checkout "${binds[@]}" -- "$BUILD/bin/oxen" livepatch build --patch "$patch" --output "$out" \
		--module "$BUILD/$flavour/oxen.ko" --source "$CHECKOUT" --kdir "$kdir" --work "$BUILD/livepatch/$flavour" \
		"${make[@]}" --make "-j$KERNEL_JOBS" "$@"
}
