#!/bin/bash
# Publishes packages in an APT repository that IT serves or mirrors: a folder of files, signed.
#
#   packaging/repository.sh FOLDER SUITE KEY PACKAGE...
#   packaging/repository.sh /srv/apt/grelot canary 0x1234ABCD target/debian/*.deb
#
# SUITE is a ring of the roll-out: canary, early, all. KEY is the id of a key of gpg; its public half is
# left beside the suites as grelot-archive-keyring.gpg. Earlier versions stay, for the way back.
# Needs apt-utils (apt-ftparchive) and gpg.
set -euo pipefail
[ $# -ge 4 ] || { sed -n '2,6p' "$0" >&2; exit 2; }
folder=$(mkdir -p "$1" && cd "$1" && pwd)
suite=$2 key=$3
shift 3

pool=pool/$suite/g/grelot
mkdir -p "$folder/$pool"
cp "$@" "$folder/$pool/"
cd "$folder"
architectures=""
for architecture in amd64 arm64 armhf; do
  compgen -G "$pool/*_$architecture.deb" >/dev/null || continue
  architectures="$architectures $architecture"
  index=dists/$suite/main/binary-$architecture
  mkdir -p "$index"
  apt-ftparchive --arch "$architecture" packages "pool/$suite" > "$index/Packages"
  gzip -9nkf "$index/Packages"
done
rm -f "dists/$suite"/{Release,InRelease,Release.gpg}    # they are no part of their own list
apt-ftparchive \
  -o APT::FTPArchive::Release::Origin=Grelot \
  -o APT::FTPArchive::Release::Label=Grelot \
  -o APT::FTPArchive::Release::Suite="$suite" \
  -o APT::FTPArchive::Release::Codename="$suite" \
  -o APT::FTPArchive::Release::Architectures="${architectures# }" \
  -o APT::FTPArchive::Release::Components=main \
  release "dists/$suite" > Release.new
mv Release.new "dists/$suite/Release"
gpg --batch --yes --local-user "$key" --clearsign --output "dists/$suite/InRelease" "dists/$suite/Release"
gpg --batch --yes --local-user "$key" --armor --detach-sign \
  --output "dists/$suite/Release.gpg" "dists/$suite/Release"
gpg --batch --yes --output grelot-archive-keyring.gpg --export "$key"
