#!/bin/sh
# Instructions an advertisement takes, counted by callgrind: grelot's decoder, its whole pipeline
# with 10,000 customers, and beside them Home Assistant's habluetooth, which decodes and tracks
# but identifies no one. The mix is that of real captures.
#
#   tests/bench/instructions.sh [CAPTURE...]
#
# Without captures: those of ../shared/data/captures or $GRELOT_SHARED/data/captures. A figure is
# the difference between feeding the mix five times and once, by the number of advertisements
# between, so it holds neither the start nor the first acquaintance. Needs valgrind and python3.
set -eu
root=$(cd "$(dirname "$0")/../.." && pwd)

if [ $# -eq 0 ]; then
    for shared in "${GRELOT_SHARED:-}" "$root/../shared" "$root/../../shared"; do
        [ -d "$shared/data/captures" ] || continue
        set -- "$shared"/data/captures/*.btsnoop "$shared"/data/captures/*.pcapng
        break
    done
fi
[ $# -gt 0 ] || { echo "SKIPPED: no captures in ../shared/data or \$GRELOT_SHARED/data"; exit 0; }

cd "$root"
cargo build --profile dist --quiet --example instructions
ours=${CARGO_TARGET_DIR:-target}/dist/examples/instructions
mkdir -p target
mix=target/instructions.mix
$ours dump 1 "$@" >"$mix"
count=$(wc -l <"$mix")

venv=target/habluetooth
[ -x "$venv/bin/python" ] || python3 -m venv "$venv"
"$venv/bin/pip" install --quiet --disable-pip-version-check habluetooth
peer_version=$("$venv/bin/pip" show habluetooth | sed -n 's/^Version: //p')

# Instructions that a command executes.
instructions() {
    valgrind --tool=callgrind --callgrind-out-file=/dev/null "$@" 2>&1 |
        sed -n 's/.*Collected : *//p'
}

# grelot MEASURE [--new-addresses]
grelot() {
    measure=$1
    shift
    once=$(instructions $ours "$measure" 1 "$@")
    more=$(instructions $ours "$measure" 5 "$@")
    echo $(((more - once) / 4 / count))
}

# A fixed hash seed: else Python counts differently each time.
peer() {
    export PYTHONHASHSEED=0
    once=$(instructions "$venv/bin/python" tests/bench/habluetooth_mix.py "$mix" 5 1 "$@")
    more=$(instructions "$venv/bin/python" tests/bench/habluetooth_mix.py "$mix" 5 5 "$@")
    echo $(((more - once) / 4 / count))
}

row() {
    printf '%-50s %10s %10s\n' "$@"
}

echo "Instructions an advertisement, $count advertisements of real captures"
row "" "as heard" "new addr."
row "grelot: decode" "$(grelot said "$@")" "-"
row "grelot: decode, identify among 10,000, track" \
    "$(grelot pipeline "$@")" "$(grelot pipeline --new-addresses "$@")"
row "  the same, one in ten from one of 50 customers" \
    "$(grelot customers "$@")" "$(grelot customers --new-addresses "$@")"
row "habluetooth $peer_version: decode, track" "$(peer)" "$(peer --new-addresses)"
