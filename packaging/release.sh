#!/bin/bash
# Makes a release: gateways' three packages and head office's, bills of materials, SHA256SUMS and its
# signature, from the commit that is checked out.
#
#   sudo packaging/release.sh FOLDER KEY      sudo packaging/release.sh target/release-0.1.0 minisign.key
#
# KEY is a secret key of minisign (a file), or the id of a key of gpg. `-` signs nothing, for a trial.
# Needs what packaging/build.sh needs, and minisign or gpg.
set -euo pipefail
cd "$(dirname "$0")/.."
out=$(mkdir -p "$1" && cd "$1" && pwd)
key=$2

[ -z "$(git status --porcelain)" ] || { echo "there are changes that are not committed" >&2; exit 1; }
version=$(sed -n 's/^version = "\(.*\)"/\1/p' Cargo.toml | head -1)
packaging/build.sh "$out"
for package in grelot_"$version"_{amd64,arm64,armhf} grelot-head-office_"$version"_amd64; do
  [ -s "$out/$package.deb" ] || { echo "no package $package" >&2; exit 1; }
done

cd "$out"
sha256sum ./*.deb ./*.cdx.json BUILDINFO > SHA256SUMS
if [ "$key" = - ]; then
  echo "== not signed"
elif [ -f "$key" ]; then
  minisign -S -s "$key" -m SHA256SUMS -t "grelot $version"
else
  gpg --batch --yes --local-user "$key" --armor --detach-sign SHA256SUMS
fi
ls -l
