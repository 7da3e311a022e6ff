#!/bin/bash
# Builds the Debian packages on a Debian amd64 machine, from the commit that is checked out: gateways' for
# amd64, arm64 and armhf, and head office's for amd64. The same commit and the same compiler give the same
# bytes.
#
#   sudo packaging/build.sh FOLDER [amd64|arm64|armhf|head-office...]
#   sudo packaging/build.sh target/debian
#
# Everything happens in a Debian 12 root of its own, which holds Debian's compilers and nothing else
# from outside but the crates that Cargo.lock names, and cargo-deb. Debian 12 has two Rusts: the one of
# its release, too old, and `rustc-web`, which its security team keeps new enough for browsers.
# Needs: mmdebstrap, git. GRELOT_BUILD_ROOT keeps the root elsewhere than in target/build-root.
set -euo pipefail
cd "$(dirname "$0")/.."
out=$(mkdir -p "$1" && cd "$1" && pwd)
shift
packages=${*:-amd64 arm64 armhf head-office}
root=${GRELOT_BUILD_ROOT:-$PWD/target/build-root}
cargo_deb=3.8.0
suite=bookworm
mirror=${GRELOT_MIRROR:-http://deb.debian.org/debian}
security=${GRELOT_SECURITY_MIRROR:-http://deb.debian.org/debian-security}

rust_target() {
  case $1 in
    amd64) echo x86_64-unknown-linux-gnu ;;
    arm64) echo aarch64-unknown-linux-gnu ;;
    armhf) echo armv7-unknown-linux-gnueabihf ;;
    *) echo "no package $1: amd64, arm64, armhf or head-office" >&2; return 1 ;;
  esac
}
gcc_prefix() {
  case $1 in
    amd64) echo x86_64-linux-gnu ;;
    arm64) echo aarch64-linux-gnu ;;
    armhf) echo arm-linux-gnueabihf ;;
  esac
}
for package in $packages; do [ "$package" = head-office ] || rust_target "$package" >/dev/null; done
[ "$(id -u)" = 0 ] || { echo "run it as root: it makes a Debian root" >&2; exit 1; }

# Runs a command in the root, as in a fresh login, with a /proc of its own: cargo-deb looks for its own
# program there. Its processes and the mount end with it.
inside() {
  unshare --mount --pid --fork --kill-child --mount-proc="$root/proc" \
    chroot "$root" env -i PATH=/build/tools/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LC_ALL=C \
    CARGO_HOME=/build/cargo SOURCE_DATE_EPOCH="$SOURCE_DATE_EPOCH" "$@"
}

make_root() {
  echo "== a Debian root with Debian's compilers: $root"
  rm -rf "$root"
  mkdir -p "$(dirname "$root")"
  mmdebstrap --quiet --variant=apt --architectures=amd64,arm64 --dpkgopt=force-unsafe-io \
    --include=ca-certificates,rustc-web,cargo-web,libstd-rust-web-dev,libstd-rust-web-dev:arm64 \
    --include=gcc,make,libc6-dev,gcc-aarch64-linux-gnu,libc6-dev-arm64-cross \
    --include=gcc-arm-linux-gnueabihf,libc6-dev-armhf-cross \
    "$suite" "$root" \
    "deb $mirror $suite main" "deb $mirror $suite-updates main" "deb $security $suite-security main"
  add_armhf
  mkdir -p "$root"/build/{cargo,tools}
  touch "$root/build/complete"
}

# The standard library for armhf. Debian's index of it has been seen out of step with its signature
# for days; then the package itself is taken, by the hash that is written here.
add_armhf() {
  local package=libstd-rust-web-dev version
  version=$(chroot "$root" dpkg-query -W -f '${Version}' rustc-web)
  echo 'Dir::Etc::SourceParts "/dev/null"; APT::Architectures {"amd64";"arm64";"armhf";};' \
    > "$root/etc/apt/armhf.conf"
  mkdir -p "$root/build/armhf"
  if chroot "$root" sh -c "export APT_CONFIG=/etc/apt/armhf.conf; apt-get -qq update --error-on=any &&
      cd /build/armhf && apt-get -qq download $package:armhf=$version"; then
    :
  else
    echo "== Debian's armhf index is out of step: taking the package by its hash"
    local file="libstd-rust-web-dev_1.96.0+dfsg1-1~deb12u2_armhf.deb"
    local hash=b9f9dd1d03a903680f918cb2bba00a2a3d76558545d5e6a8061072ab461bb989
    chroot "$root" /usr/lib/apt/apt-helper download-file \
      "$security/pool/updates/main/r/rustc-web/$file" "/build/armhf/$file" "SHA256:$hash"
  fi
  dpkg-deb -x "$root"/build/armhf/*.deb "$root"
}

lay_sources() {
  rm -rf "$root/build/grelot"
  mkdir -p "$root/build/grelot"
  git archive HEAD | tar x -C "$root/build/grelot"
  for file in resolv.conf hosts; do cp "/etc/$file" "$root/etc/$file"; done
  # The root's own certificates, and those that this machine trusts beside them.
  cp /etc/ssl/certs/ca-certificates.crt "$root/etc/ssl/certs/ca-certificates.crt"
  inside sh -c 'cd /build/grelot && cargo fetch --quiet --locked'
  inside cargo deb --version 2>/dev/null | grep -q " $cargo_deb\$" ||
    inside cargo install --quiet --locked --root /build/tools --target-dir /build/tools/target \
      "cargo-deb@$cargo_deb"
}

# The paths of this build are not in the program, so that another folder gives the same bytes.
flags="--remap-path-prefix=/build/cargo=/cargo --remap-path-prefix=/build/grelot=/grelot"

compile() {
  local architecture=$1 target prefix variable
  shift
  target=$(rust_target "$architecture")
  prefix=$(gcc_prefix "$architecture")
  variable=$(echo "$target" | tr a-z- A-Z_)
  inside env RUSTFLAGS="$flags" "CC_${target//-/_}=$prefix-gcc" "AR_${target//-/_}=$prefix-ar" \
    "CARGO_TARGET_${variable}_LINKER=$prefix-gcc" \
    sh -c 'cd /build/grelot && exec cargo build --offline --locked --profile dist "$@"' - \
    --target "$target" "$@"
}

# glibc's newest symbol version that a program asks for.
newest_glibc() {
  inside "$(gcc_prefix "$1")-objdump" -T "$2" | grep -o 'GLIBC_[0-9.]*' | sort -uV | tail -1
}

# Man pages, completions, copyright and bill of materials of a package, with these features.
package_files() {
  local name=$1 features=$2
  echo "== $name: man pages, completions, copyright, bill of materials"
  compile amd64 --no-default-features --features "$features" --example package-files
  inside sh -c 'cd /build/grelot && rm -rf target/package &&
    target/x86_64-unknown-linux-gnu/dist/examples/package-files target/package'
  cp "$root/build/grelot/target/package/sbom.cdx.json" "$out/${name}_$version.cdx.json"
}

# One package: its name, architecture and features; then what `cargo deb` needs to know.
package() {
  local name=$1 architecture=$2 features=$3 target newest
  shift 3
  target=$(rust_target "$architecture")
  echo "== $name for $architecture: compiling for $target"
  compile "$architecture" --no-default-features --features "$features" --bin grelot
  newest=$(newest_glibc "$architecture" "/build/grelot/target/$target/dist/grelot")
  if [ "$(printf '%s\nGLIBC_2.36\n' "$newest" | sort -V | tail -1)" != GLIBC_2.36 ]; then
    echo "$architecture: the program asks for $newest, and Debian 12 has GLIBC_2.36" >&2
    exit 1
  fi
  echo "== $name for $architecture: $(stat -c %s "$root/build/grelot/target/$target/dist/grelot") octets, at most $newest"
  inside /build/grelot/packaging/package.sh /build/grelot/target/debian --profile dist --target "$target" "$@"
  cp "$root/build/grelot/target/debian/${name}_${version}_$architecture.deb" "$out/"
}

SOURCE_DATE_EPOCH=$(git log -1 --format=%ct)
export SOURCE_DATE_EPOCH
[ -e "$root/build/complete" ] || make_root
lay_sources
version=$(sed -n 's/^version = "\(.*\)"/\1/p' Cargo.toml | head -1)
inside dpkg-query -W -f '${binary:Package} ${Version}\n' > "$out/BUILDINFO"
gateways=$(echo "$packages" | tr ' ' '\n' | grep -v head-office || true)
[ -z "$gateways" ] || package_files grelot ""
for architecture in $gateways; do package grelot "$architecture" ""; done
if [[ " $packages " == *" head-office "* ]]; then
  package_files grelot-head-office head-office
  package grelot-head-office amd64 head-office --variant head-office
fi
ls -l "$out"/*.deb
