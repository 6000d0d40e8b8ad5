# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash
#
# The stock kernel: Debian's own cloud image and its modules, and a build folder prepared from the same
# version's source and configuration, in which modules for that image are built. No kernel is built.
#
# An entry holds: version, vmlinuz, source/, build/, modules/. Inside the build root it is always at
# /lab/kernel, which is the path the build folder was made with.

# The series to look for in backports, best first.
KERNEL_SERIES='7.2 7.3'

# Runs in the build root: refreshes the lists of the backports suite and writes the newest version of
# the first series that is there to the file `found`, as RELEASE PACKAGE-VERSION SERIES.
# shellcheck disable=SC2016 # expanded inside the root.
FIND_KERNEL='
set -eu
apt=/lab/apt
mkdir -p $apt/lists/partial $apt/cache/archives/partial
cat >$apt/apt.conf <<-EOF
	Dir::State::lists "$apt/lists";
	Dir::Cache "$apt/cache";
	Dir::Etc::sourcelist "/etc/apt/sources.list.d/backports.list";
	Dir::Etc::sourceparts "/dev/null";
	APT::Sandbox::User "root";
	Acquire::Retries "3";
	Acquire::Languages "none";
EOF
export APT_CONFIG=$apt/apt.conf
apt-get update -q -o APT::Update::Error-Mode=any >&2
for series in $0; do
	for release in $(apt-cache pkgnames "linux-headers-$series." |
		sed -n "s/^linux-headers-\(.*-cloud-amd64\)\$/\1/p" | sort -rV); do
		version=$(apt-cache show --no-all-versions "linux-headers-$release" | sed -n "s/^Version: //p")
		apt-cache show "linux-source-$series=$version" >/dev/null 2>&1 || continue
		echo "$release $version $series" >$apt/found
		exit 0
	done
done
echo "no cloud kernel of the series $0 in the backports suite" >&2
exit 1
'

# Runs in the build root: downloads and unpacks what make_kernel needs. Drivers that neither a module
# nor the debug kernel is built from lose their code at once: a third of the tree is left.
# shellcheck disable=SC2016
UNPACK_KERNEL='
set -eu
release=$0 version=$1 series=$2
export APT_CONFIG=/lab/apt/apt.conf
cd /lab/apt
image=linux-binary-$release
apt-cache show "$image" >/dev/null 2>&1 || image=linux-image-$release
for package in "linux-headers-$release" "$image" "linux-modules-$release" "linux-source-$series"; do
	case $package in linux-modules-*) apt-cache show "$package" >/dev/null 2>&1 || continue ;; esac
	echo "downloading $package $version"
	apt-get download -q "$package=$version"
done
cd /lab/kernel
mkdir -p unpacked source modules build
for deb in /lab/apt/*.deb; do
	case $deb in */linux-source-*) ;; *) dpkg-deb -x "$deb" unpacked ;; esac
done
mv "unpacked/usr/lib/modules/$release" modules/ 2>/dev/null || mv "unpacked/lib/modules/$release" modules/
rm -f "modules/$release/build" "modules/$release/source"
[ -e "modules/$release/vmlinuz" ] || mv "unpacked/boot/vmlinuz-$release" "modules/$release/vmlinuz"
ln -s "modules/$release/vmlinuz" vmlinuz
cp "unpacked/usr/src/linux-headers-$release/.config" "unpacked/usr/src/linux-headers-$release/Module.symvers" .
echo "unpacking the source"
dpkg-deb --fsys-tarfile /lab/apt/linux-source-*.deb | tar -xO "./usr/src/linux-source-$series.tar.xz" |
	tar -xJ --strip-components=1 -C source \
		--exclude="*/drivers/accel/*.[ch]" --exclude="*/drivers/gpu/drm/*/*.[ch]" \
		--exclude="*/drivers/iio/*.[ch]" --exclude="*/drivers/infiniband/*.[ch]" \
		--exclude="*/drivers/media/*.[ch]" --exclude="*/drivers/net/ethernet/*.[ch]" \
		--exclude="*/drivers/net/wireless/*.[ch]" --exclude="*/drivers/scsi/*/*.[ch]" \
		--exclude="*/drivers/staging/*.[ch]" --exclude="*/sound/*.[ch]" \
		--exclude="*/Documentation/*.rst" --exclude="*/Documentation/*.svg" \
		--exclude="*/Documentation/devicetree/bindings/*.yaml" --exclude="*/arch/*/boot/dts/*" \
		--exclude="*/tools/testing/selftests/*" --exclude="*/tools/perf/*"
rm -rf unpacked /lab/apt/*.deb
echo "$release" >version
'

# Runs in the build root: makes the build folder fit for modules, and checks that what it was made from
# fits the image.
# shellcheck disable=SC2016
PREPARE_KERNEL='
set -eu
release=$0 jobs=$1
cd /lab/kernel
cp .config Module.symvers build/
set -- -C source O=/lab/kernel/build KERNELRELEASE="$release" CC=gcc-14
make "$@" olddefconfig
diff .config build/.config | grep "^[<>] .*CONFIG" | grep -v CC_VERSION_TEXT &&
	{ echo "the build root does not reproduce the configuration of $release" >&2; exit 1; }
make "$@" -j"$jobs" modules_prepare
cp Module.symvers build/
depmod "$release"
'

KERNEL_JOBS=${OXEN_JOBS:-$(nproc)}

make_kernel() {
	local part=$1 release version series log=$CACHE/logs/kernel.log
	local apt=$part/apt where=()
	need_space "$part" 3000 "the kernel's build folder"
	mkdir "$apt"
	where=(--rw "$apt" /lab/apt --rw "$part" /lab/kernel)
	must_step "find a kernel" "(1/3) looking for the newest cloud kernel" "$log" \
		in_root "${where[@]}" -- bash -c "$FIND_KERNEL" "$KERNEL_SERIES"
	read -r release version series <"$apt/found"
	must_step "fetch the kernel" "(2/3) downloading and unpacking $release (220 MB)" "$log" \
		in_root "${where[@]}" -- bash -c "$UNPACK_KERNEL" "$release" "$version" "$series"
	must_step "prepare the kernel's build folder" "(3/3) preparing $release for modules" "$log" \
		in_root "${where[@]}" --rw "$part/modules/$release" "/usr/lib/modules/$release" \
		-- bash -c "$PREPARE_KERNEL" "$release" "$KERNEL_JOBS"
	rm -rf --one-file-system -- "$apt"
}

kernel_name() {
	echo "kernel-$(key_of "$(root_name)" "$KERNEL_SERIES" "$FIND_KERNEL" "$UNPACK_KERNEL" "$PREPARE_KERNEL" \
		"$(cat "$CACHE/update-kernel" 2>/dev/null)")"
}

# Sees to the stock kernel; sets KERNEL (its entry) and RELEASE.
need_kernel() {
	[ -z "${KERNEL:-}" ] || return 0
	need_root
	local name
	name=$(kernel_name)
	ensure_entry "$name" make_kernel
	KERNEL=$CACHE/$name
	RELEASE=$(cat "$KERNEL/version")
}

# The options that put the stock kernel where the build root expects it.
kernel_binds() {
	printf '%s\n' --ro "$KERNEL" /lab/kernel --ro "$KERNEL/modules/$RELEASE" "/usr/lib/modules/$RELEASE"
}
