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
[ "$folder/vmlinuz" -nt "$here/image.sh" ] && [ "$folder/base.cpio" -nt "$here/init" ] &&
  [ "$folder/base.cpio" -nt "$here/bed.service" ] && exit 0

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
apt-get $apt install --download-only --yes --no-install-recommends \
  bluez dbus systemd polkitd libgcc-s1 busybox-static kmod
(cd "$apt_folder/cache/archives" && apt-get $apt download "$kernel")

# Packages to files. Their maintainer scripts do not run; what these would do is done below.
files=$folder/files
rm -rf "$files" && mkdir -p "$files"/usr/{bin,sbin,lib,lib64}
for linked in bin sbin lib lib64; do   # in releases before and after the merger of /usr
  ln -s "usr/$linked" "$files/$linked"
done
for package in "$apt_folder"/cache/archives/*.deb; do
  dpkg-deb --fsys-tarfile "$package" | tar x -C "$files" --keep-directory-symlink --wildcards \
    --exclude='*/drivers/gpu/*' --exclude='*/drivers/media/*' --exclude='*/sound/*' \
    --exclude='*/usr/share/doc/*' --exclude='*/usr/share/man/*' --exclude='*/usr/share/locale/*' \
    --exclude='*/usr/share/i18n/*' --exclude='*/usr/lib/*/gconv/*' --exclude='*/usr/share/zoneinfo/*'
done
version=$(ls "$files/lib/modules")

# The image: all files of the packages, and of the kernel's modules those that are loaded.
root=$folder/root
rm -rf "$root" && cp -a "$files" "$root"
rm -rf "$root"/lib/modules "$root"/boot "$root"/usr/share/{bash-completion,zsh}
mkdir -p "$root"/{dev,proc,run,share,sys,tmp,var/lib/bluetooth,var/lib/polkit-1,root}
mkdir -p "$root"/etc/{polkit-1/rules.d,systemd/system,dbus-1/system.d} "$root/lib/modules/$version"
find "$files" -path '*/bin/busybox' -exec cp {} "$root/bin/busybox" \;
for shell in sh kill mount date; do
  [ -e "$root/bin/$shell" ] || ln -s busybox "$root/bin/$shell"
done

wanted="virtio_pci virtio_blk virtio_net ext4 crc32c_generic 9pnet_virtio 9p bluetooth hci_vhci ecdh_generic ecb cmac ctr ccm algif_hash algif_skcipher rfkill uhid"
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
find "$root/lib/modules/" -name '*.ko.xz' -exec xz -d {} +
cp "$files/lib/modules/$version"/modules.{order,builtin,builtin.modinfo} "$root/lib/modules/$version/"
/sbin/depmod -b "$root" "$version"

# systemd starts the bus, journald and the bed; everything else that a machine with disks and a
# network starts is left out, since the processor is emulated. bluetooth.service, dbus.service and
# polkit.service are Debian's, unchanged.
rm -rf "$root"/usr/lib/systemd/system-generators/* "$root"/etc/systemd/system/*.wants
find "$root/usr/lib/systemd/system/sysinit.target.wants" -type l \
  ! -name 'systemd-journald*' ! -name systemd-tmpfiles-setup.service -delete
rm -f "$root"/usr/lib/systemd/system/{sockets,local-fs,timers,multi-user}.target.wants/systemd-[^j]*
cp "$here"/bed.service "$root/etc/systemd/system/"
ln -s /lib/systemd/system/bluetooth.service "$root/etc/systemd/system/dbus-org.bluez.service"

cp "$here/init" "$root/init"
chmod 755 "$root" "$root/init"   # an unreadable root breaks everything that is not run as root
cat > "$root/etc/passwd" <<END
root:x:0:0:root:/root:/bin/sh
messagebus:x:100:100::/run:/bin/false
polkitd:x:102:102::/:/bin/false
grelot:x:1000:1000::/:/bin/sh
END
cat > "$root/etc/group" <<END
root:x:0:
messagebus:x:100:
bluetooth:x:101:grelot
polkitd:x:102:
systemd-journal:x:103:
utmp:x:104:
adm:x:105:
tty:x:5:
grelot:x:1000:
END
printf 'passwd: files\ngroup: files\n' > "$root/etc/nsswitch.conf"
echo 0123456789abcdef0123456789abcdef > "$root/etc/machine-id"
dpkg-deb -f "$(ls "$apt_folder"/cache/archives/bluez_*.deb)" Version > "$folder/bluez-version"
echo "$version" > "$folder/kernel-version"
(cd "$root" && find . | cpio -o -H newc --quiet) > "$folder/base.cpio.new"   # an emulated processor unpacks slowly
cp "$files/boot/vmlinuz-$version" "$folder/vmlinuz"
rm -rf "$files" "$root" "$apt_folder"
mv "$folder/base.cpio.new" "$folder/base.cpio"
