#!/bin/bash
# Assembles one Debian package from a program that is built already.
#
#   packaging/package.sh FOLDER [arguments of cargo deb]
#   packaging/package.sh target/debian --profile dist --target aarch64-unknown-linux-gnu
#
# target/package holds man pages, completions and the copyright file already:
# `cargo run --example package-files -- target/package` writes them.
set -euo pipefail
cd "$(dirname "$0")/.."
out=$1
shift
export SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH:-$(git log -1 --format=%ct)}
export LC_ALL=C
umask 022

mkdir -p "$out"
[ -e target/package/copyright ] || { sed -n '7,8p' "$0" >&2; exit 1; }
gzip -9nkf target/package/man/*.1
gzip -9n < packaging/changelog > target/package/changelog.gz
cargo deb --quiet --locked --no-build --output "$out/" "$@"
