#!/bin/bash
# Instructions an advertisement takes on arm64, counted under qemu-user: an emulated processor, whose
# speed says nothing, and whose instructions are those of a real one.
#
#   tests/bench/instructions_arm64.sh ROOT CAPTURE...
#
# ROOT is the folder of packaging/build.sh's Debian root, or any with arm64's libc and the example
# `instructions` at build/grelot/target/aarch64-unknown-linux-gnu/dist/examples. As with instructions.sh a
# figure is the difference between feeding the captures five times and once. Needs cc and qemu-user (the
# package with dynamic programs: the static ones load no plugin).
set -euo pipefail
root=$1
shift
program=$root/build/grelot/target/aarch64-unknown-linux-gnu/dist/examples/instructions
here=$(cd "$(dirname "$0")" && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cc -shared -fPIC -O1 -o "$work/count.so" "$here/count.c"
# libc of the cross compiler's package, or the root's own.
libraries=$root/usr/aarch64-linux-gnu
[ -d "$libraries" ] || libraries=$root

# Instructions and advertisements of a run.
run() {
  "${QEMU:-qemu-aarch64}" -L "$libraries" -d plugin -D "$work/count" -plugin "$work/count.so" \
    "$program" "$@" 2> "$work/said"
  sed -n 's/^instructions: //p' "$work/count"
}
figure() {
  local measure=$1 once more first
  shift
  once=$(run "$measure" 1 "$@")
  first=$(sed -n 's/ advertisements,.*//p' "$work/said")
  more=$(run "$measure" 5 "$@")
  echo $(((more - once) / 4 / first))
}

printf '%-50s %10s %10s\n' "" "as heard" "new addr." \
  "grelot: decode" "$(figure said "$@")" "-" \
  "grelot: decode, identify among 10,000, track" "$(figure pipeline "$@")" "$(figure pipeline --new-addresses "$@")" \
  "  the same, one in ten from one of 50 customers" "$(figure customers "$@")" "$(figure customers --new-addresses "$@")"
