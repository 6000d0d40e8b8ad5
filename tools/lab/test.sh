# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash
#
# `make test`: every suite, its log in build/test, and the sums.

. "$LAB/complaints.sh"

TEST=$BUILD/test
SUITES=()

# Says whether a suite is among those to run: ONLY names them.
wanted() { [[ " ${ONLY:-$1} " = *" $1 "* ]]; }

# Runs a suite and keeps its log with its status; a failure does not end the run.
suite() {
	local name=$1 rc=0 log
	shift
	wanted "$name" || return 0
	log=$TEST/$name.log
	SUITES+=("$log")
	step "test: $name" "$log" "$@" || rc=$?
	printf '\nSTATUS %d\n' "$rc" >>"$log"
}

# The same for a suite in a machine. One that fails where QEMU emulates the processors is run once more, and the
# second run counts: emulation fails on its own now and then. What failed at first is shown and called flaky.
suite_in_machine() {
	local name=$1 log=$TEST/$1.log
	suite "$@"
	[ -n "$AGAIN" ] && wanted "$name" && ! grep -qx 'STATUS 0' "$log" || return 0
	mv "$log" "$TEST/$name.first.log"
	[ ! -e "$TEST/$name.kernel.log" ] || mv "$TEST/$name.kernel.log" "$TEST/$name.first.kernel.log"
	unset 'SUITES[-1]'
	suite "$@"
}

# The lab's own tests.
suite_lab() { in_checkout -- "$LAB/test_lab.py"; }

# Everything in tools/ that runs on the host, the module's pure rooms among it.
suite_host() {
	in_checkout --chdir "$CHECKOUT/tools" -- cargo test --workspace --locked --no-fail-fast
}

# What takes long of it: other seeds each time, and the code of all programs of the build root.
suite_host_long() {
	in_checkout --chdir "$CHECKOUT/tools" -- cargo test --locked --no-fail-fast -p oxen-host-tests -- --ignored
}

# A fuzz target for so many seconds.
suite_fuzz() {
	printf 'TAP version 13\n1..1\n'
	if in_checkout --env "CARGO_TARGET_DIR=$BUILD/cargo-fuzz" --chdir "$BUILD" -- \
		"$CHECKOUT/tools/fuzz/run" "$1" "-max_total_time=$2" -print_final_stats=1; then
		echo "ok 1 fuzz: $1"
	else
		echo "not ok 1 fuzz: $1"
		return 1
	fi
}

# The same rooms under loom, which tries every order of what several threads do.
suite_loom() {
	in_checkout --env "CARGO_TARGET_DIR=$BUILD/cargo-loom" --env RUSTFLAGS="--cfg loom" \
		--chdir "$CHECKOUT/tools" -- cargo test --release --locked -p oxen-host-tests -- loom interleavings
}

# The kselftests, built for the host machine.
build_selftests() {
	make_build_dir "$BUILD/selftests" "$BUILD/kselftest"
	build_step "selftests" "$BUILD/selftests.log" \
		in_checkout -- make -s -C selftests "O=$BUILD/selftests" "INSTALL_PATH=$BUILD/kselftest" install
}

# One target of the kselftests in a machine of its own: what one breaks does not touch the next.
suite_selftest() {
	local module=()
	[ "$1" != fix ] || [ ! -e "$BUILD/unfixed/oxen.ko" ] || module=(--module "$BUILD/unfixed/oxen.ko")
	"$CHECKOUT/tools/vm" --no-build "${VM_OPTIONS[@]}" "${module[@]}" --timeout "${OXEN_TIMEOUT:-$LIMIT}" \
		--serial "$TEST/selftest-$1.kernel.log" -- env OXEN_LONG="$LONG" "$LAB/vm-suite" "$BUILD/kselftest" "$1"
}

suite_kunit() {
	"$CHECKOUT/tools/vm" --no-build "${VM_OPTIONS[@]}" --serial "$TEST/kunit.kernel.log" -- "$LAB/vm-suite" kunit
}

# A machine sleeps only without the folders that it shares.
suite_sleep() { run_alone host/suspend.sh; }

# Gives a TAP result: a name, then a command that is the condition. What is in `out` is said of a failure.
run_result() {
	local name=$1
	shift
	number=$((number + 1))
	if "$@"; then
		echo "ok $number $name"
	else
		bad=1
		echo "not ok $number $name"
		printf '%s\n' "$out" | sed 's/^/#   /'
	fi
}

# Each way in which a machine ends, under guests that run: processors that stayed in host mode do not hear the
# INIT of firmware or of the next kernel.
suite_ending() {
	local kind log registers said out free number bad=0 status rc
	for kind in restart poweroff emergency kexec; do
		log=$TEST/ending-$kind.kernel.log registers=$TEST/ending-$kind.registers number=0 rc=0 status=255
		case $kind in
		restart) said='reboot: Restarting system' ;;
		poweroff) said='reboot: Power down' ;;
		emergency) said='sysrq: Resetting' ;;
		kexec) said='kexec_core: Starting new kernel' status=0 ;;
		esac
		(run_ending "$kind" "$registers" "$log") || rc=$?
		# A kernel without kexec.
		[ "$rc" -ne 4 ] || continue
		printf 'TAP version 13\n1..4\n'
		out="status $rc"
		run_result "$kind: the machine ends as it was told to" [ "$rc" -eq "$status" ]
		out=$(tail -n 20 "$log")
		run_result "$kind: the kernel says that it does" grep -qF "$said" "$log"
		out=$(grep -o 'EFER=[0-9a-f]*' "$registers")
		# EFER.SVME is bit 12. Both processors must have told.
		free=$(grep -cE '^EFER=[0-9a-f]*[02468ace][0-9a-f]{3}$' <<<"$out")
		run_result "$kind: no processor is left in host mode" [ "$free $(wc -l <<<"$out")" = '2 2' ]
		out=$(grep -E "$COMPLAINTS" "$log")
		run_result "$kind: no kernel complains" [ -z "$out" ]
	done
	return "$bad"
}

# A host whose own page tables have five levels: nested ones have as many then.
suite_five_levels() {
	# shellcheck disable=SC2016 # expanded in the machine.
	OXEN_ACCEL=tcg OXEN_CPU=+la57 "$CHECKOUT/tools/vm" --no-build "${VM_OPTIONS[@]}" \
		--serial "$TEST/five-levels.kernel.log" -- \
		sh -c 'grep -qw la57 /proc/cpuinfo && exec "$0"' "$BUILD/kselftest/monitor/both"
}

# What a person does first: a guest, and a script in it. As often as the argument says.
suite_run() {
	local times=$1 n script out rc number=0 bad=0
	script=$(mktemp)
	cat >"$script" <<-'EOF'
		cat /proc/version
		nproc
		dmesg | grep -i xen
		echo to standard error >&2
		exit 3
	EOF
	printf 'TAP version 13\n1..%d\n' $((times * 6))
	for ((n = 1; n <= times; n++)); do
		rc=0
		out=$("$LAB/lab" run "$script") || rc=$?
		run_result "run $n: the script's status comes back" [ "$rc" -eq 3 ]
		run_result "run $n: the guest is Debian's kernel" grep -qF "Linux version $RELEASE" <<<"$out"
		run_result "run $n: it has two processors" grep -qx 2 <<<"$out"
		run_result "run $n: it knows that it is a Xen PVH guest" \
			grep -qE 'Booting (paravirtualized )?kernel on Xen PVH' <<<"$out"
		run_result "run $n: standard error comes too" grep -qx 'to standard error' <<<"$out"
		out=$(grep -E "$COMPLAINTS" "$BUILD/vm/kernel.log")
		run_result "run $n: the host's kernel does not complain" [ -z "$out" ]
	done
	rm -f "$script"
	return "$bad"
}

# Prints the names of the suites that there are with a flavour of the kernel.
suite_names() {
	printf '%s\n' lab lint host loom host-long fuzz fuzz-livepatch run five-levels sleep ending
	[ "$1" = stock ] || echo kunit
	make -s -C "$CHECKOUT/selftests" list | sed 's/^/selftest-/'
}

# Says whether a suite is among those to run that takes a machine.
machine_wanted() {
	local name
	[ -n "${ONLY:-}" ] || return 0
	for name in $ONLY; do
		case $name in lab | lint | host | loom | host-long | fuzz | fuzz-livepatch) ;; *) return 0 ;; esac
	done
	return 1
}

# Prints what the machines' processors are: kvm or tcg.
machine_accel() {
	local options=()
	[ -z "${OXEN_ACCEL:-}" ] || options=(--env "OXEN_ACCEL=$OXEN_ACCEL")
	# shellcheck disable=SC2016 # expanded inside the root.
	in_root "${options[@]}" --ro "$CHECKOUT" "$CHECKOUT" -- bash -c '. "$0/accel.sh"; find_accel' "$LAB"
}

# Builds what the machines need, and runs the suites in them.
run_machine_suites() {
	local flavour=$1 targets target times=1 payloads='' unfixed=''
	build_module "$flavour"
	build_tools
	build_guests
	build_selftests
	rm -f "$BUILD/payloads/"*
	rm -f "$BUILD/unfixed/oxen.ko"
	if [ "$flavour" = stock ]; then
		! wanted selftest-livepatch || payloads=1
		! wanted selftest-fix || unfixed=1
		make_build_dir "$BUILD/payloads" "$BUILD/unfixed/"{,source,module,work}
		[ -z "$payloads$unfixed" ] || build_step "live patches" "$BUILD/payloads.log" \
			build_live_patches "$payloads" "$unfixed"
	fi
	AGAIN=
	# The long run and the debug kernel's are there to find what happens once.
	[ "$flavour$LONG" != stock ] || [ "$(machine_accel)" != tcg ] || AGAIN=1
	[ "$flavour" = stock ] || suite kunit suite_kunit
	[ "$LONG" != long ] || times=20
	suite_in_machine run suite_run "$times"
	suite_in_machine five-levels suite_five_levels
	suite_in_machine sleep suite_sleep
	suite_in_machine ending suite_ending
	mapfile -t targets < <(cut -d: -f1 "$BUILD/kselftest/kselftest-list.txt" | uniq)
	for target in "${targets[@]}"; do
		suite_in_machine "selftest-$target" suite_selftest "$target"
	done
}

# Runs all suites. Arguments: `long` for the long ones too.
run_tests() {
	local long=${1:-} failed=0 name known
	local start=$SECONDS flavour=stock
	VM_OPTIONS=()
	[ -z "${OXEN_LONG:-}" ] || long=long
	LONG=$long
	# Seconds that a suite in a machine may take.
	LIMIT=1200
	[ "$LONG${DEBUG:-}" = '' ] || LIMIT=3600
	if [ "${DEBUG:-}" = 1 ]; then
		flavour=debug
		VM_OPTIONS=(--debug)
	fi
	known=$(suite_names "$flavour")
	for name in ${ONLY:-}; do
		grep -qxF -- "$name" <<<"$known" || die "there is no suite '$name'; there are: ${known//$'\n'/ }"
	done
	need_kernel
	[ "$flavour" = stock ] || need_debug_kernel
	need_crates
	make_build_dir "$TEST"
	rm -f "$TEST"/*.log "$TEST"/*.registers "$TEST/summary"

	suite lab suite_lab
	suite lint lint
	suite host suite_host
	suite loom suite_loom
	if [ "$long" = long ]; then
		suite host-long suite_host_long
		suite fuzz suite_fuzz emulate 300
		suite fuzz-livepatch suite_fuzz livepatch 300
	else
		# What reads bytes that are to be executed as the kernel is fuzzed each time.
		suite fuzz-livepatch suite_fuzz livepatch 20
	fi
	! machine_wanted || run_machine_suites "$flavour"

	[ -n "${ONLY:-}" ] || keep_crates
	in_checkout -- "$LAB/collect.py" "$TEST/summary" "${SUITES[@]}" >&2 || failed=1
	say "tests took $(elapsed $((SECONDS - start))); the logs are in build/test"
	return "$failed"
}
