#!/bin/bash
# Builds the test bed's kernel and initramfs from packages of one Debian release.
#
#   image.sh SUITE FOLDER      image.sh bookworm target/radio-bed/bookworm
#
# Uses the mirror that this machine's own apt uses, with lists and a package cache of its own in
# FOLDER: nothing is installed, root is not needed. Done once: a finished image is kept.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
suite=$1 folder=$2
mkdir -p "$folder"
folder=$(cd "$folder" && pwd)
exec 9>"$folder/lock" && flock 9   # tests that want the same machine run side by side
[ "$folder/vmlinuz" -nt "$here/image.sh" ] && [ "$folder/base.cpio" -nt "$here/init" ] && exit 0

mirror=$(apt-get indextargets --format '$(REPO_URI) $(COMPONENT)' | sed -n '/security/!s/ main$//p' | head -1)
[ -n "$mirror" ] || { echo "apt has no mirror configured" >&2; exit 1; }
keyring=/usr/share/keyrings/debian-archive-keyring.gpg

apt_folder=$folder/apt
mkdir -p "$apt_folder"/{lists/partial,cache/archives/partial}
touch "$apt_folder/status"
cat > "$apt_folder/$suite.sources" <<END
Types: deb
URIs: $mirror
Suites: $suite
Components: main
Architectures: amd64
Signed-By: $keyring
END
apt="-qq -o Dir::Etc::SourceList=$apt_folder/$suite.sources -o Dir::Etc::SourceParts=/dev/null
  -o Dir::Etc::Preferences=/dev/null -o Dir::Etc::PreferencesParts=/dev/null
  -o Dir::State::Lists=$apt_folder/lists -o Dir::State::Status=$apt_folder/status
  -o Dir::Cache=$apt_folder/cache -o APT::Architecture=amd64 -o APT::Architectures=amd64
  -o APT::Sandbox::User= -o Acquire::Languages=none -o Debug::NoLocking=1"
apt-get $apt update
# The meta package only names the kernel; the kernel's own dependencies (an initramfs, a boot
# loader's hooks) are for machines that boot from a disk.
kernel=$(apt-cache $apt depends linux-image-amd64 | sed -n 's/.*Depends: \(linux-image-[0-9].*\)/\1/p' | head -1)
apt-get $apt install --download-only --yes --no-install-recommends bluez dbus-daemon libgcc-s1 busybox-static kmod
(cd "$apt_folder/cache/archives" && apt-get $apt download "$kernel")

# Packages to files.
files=$folder/files
rm -rf "$files" && mkdir "$files"
for package in "$apt_folder"/cache/archives/*.deb; do
  case $package in
    */linux-image*) dpkg-deb --fsys-tarfile "$package" | tar x -C "$files" --keep-directory-symlink --wildcards \
      --exclude='*/drivers/gpu/*' --exclude='*/drivers/media/*' --exclude='*/sound/*' --exclude='*/usr/share/*' ;;
    *) dpkg-deb --fsys-tarfile "$package" | tar x -C "$files" --keep-directory-symlink ;;
  esac
done
for linked in bin sbin lib lib64; do   # releases before and after the merger of /usr
  [ -e "$files/$linked" ] || ln -s "usr/$linked" "$files/$linked"
done
version=$(ls "$files/lib/modules")

# The image: as little as it takes.
root=$folder/root
rm -rf "$root"
mkdir -p "$root"/{bin,dev,etc/bluetooth,etc/dbus-1/system.d,proc,run,share,sys,tmp,var/lib/bluetooth}
mkdir -p "$root"/usr/{bin,sbin,lib,share/dbus-1/system.d,share/dbus-1/system-services,libexec/bluetooth}
mkdir -p "$root/lib/modules/$version" "$root/lib64" "$root/lib/x86_64-linux-gnu"
cp "$files"/usr/share/dbus-1/system.conf "$root/usr/share/dbus-1/"
policy=$(find "$files/etc/dbus-1" "$files/usr/share/dbus-1" -name bluetooth.conf | head -1)
cp "$policy" "$root/etc/dbus-1/system.d/"
cp "$files"/etc/bluetooth/*.conf "$root/etc/bluetooth/"
find "$files" -path '*/bin/busybox' -exec cp {} "$root/bin/busybox" \;

loader=$(readlink -f "$files/lib64/ld-linux-x86-64.so.2")
libraries="$files/lib/x86_64-linux-gnu:$files/usr/lib/x86_64-linux-gnu"
with_libraries() {   # a program, and every library it needs, by the release's own loader
  cp "$files/$1" "$root/$1"
  "$loader" --library-path "$libraries" --list "$files/$1" | sed -n 's/.*=> \([^ ]*\) .*/\1/p' |
    while read -r library; do cp -L -n "$library" "$root/lib/x86_64-linux-gnu/"; done
}
with_libraries usr/libexec/bluetooth/bluetoothd
with_libraries usr/bin/dbus-daemon
with_libraries usr/bin/btmon
cp -L "$loader" "$root/lib64/ld-linux-x86-64.so.2"
for library in libgcc_s.so.1 libm.so.6; do   # what grelot itself needs beyond libc
  cp -L -n "$(find "$files" -name "$library" | head -1)" "$root/lib/x86_64-linux-gnu/"
done

wanted="virtio_pci 9pnet_virtio 9p bluetooth hci_vhci ecdh_generic ecb cmac ctr ccm algif_hash algif_skcipher rfkill uhid"
add_module() {
  local file dependency
  file=$(find "$files/lib/modules/$version" -name "$1.ko*" -o -name "${1//_/-}.ko*" | head -1)
  [ -n "$file" ] || return 0   # built in
  local place="$root/${file#"$files"/}"
  [ ! -e "$place" ] || return 0
  mkdir -p "$(dirname "$place")" && cp "$file" "$place"
  for dependency in $(/sbin/modinfo -F depends "$file" | tr , ' '); do add_module "$dependency"; done
}
for module in $wanted; do add_module "$module"; done
# busybox's modprobe reads no compressed modules.
find "$root/lib/modules" -name '*.ko.xz' -exec xz -d {} +
cp "$files/lib/modules/$version"/modules.{order,builtin,builtin.modinfo} "$root/lib/modules/$version/"
/sbin/depmod -b "$root" "$version"

cp "$here/init" "$root/init"
chmod 755 "$root" "$root/init"   # an unreadable root breaks everything that is not run as root
cat > "$root/etc/passwd" <<END
root:x:0:0:root:/:/bin/sh
messagebus:x:100:100::/run:/bin/false
grelot:x:1000:1000::/:/bin/sh
END
printf 'root:x:0:\nmessagebus:x:100:\nbluetooth:x:101:grelot\ngrelot:x:1000:\n' > "$root/etc/group"
echo 'passwd: files' > "$root/etc/nsswitch.conf"
echo 0123456789abcdef0123456789abcdef > "$root/etc/machine-id"
dpkg-deb -f "$(ls "$apt_folder"/cache/archives/bluez_*.deb)" Version > "$folder/bluez-version"
echo "$version" > "$folder/kernel-version"
(cd "$root" && find . | cpio -o -H newc --quiet | gzip -1) > "$folder/base.cpio.new"
cp "$files/boot/vmlinuz-$version" "$folder/vmlinuz"
rm -rf "$files" "$root" "$apt_folder"
mv "$folder/base.cpio.new" "$folder/base.cpio"
