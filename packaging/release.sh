#!/bin/bash
# Makes a release: three packages, SHA256SUMS, its signature, and a bill of materials, from the commit
# that is checked out.
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
for architecture in amd64 arm64 armhf; do
  [ -s "$out/grelot_${version}_$architecture.deb" ] || { echo "no package for $architecture" >&2; exit 1; }
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
