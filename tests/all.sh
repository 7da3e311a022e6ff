#!/bin/bash
# Tests everything; the last lines are the test runner's own summary.
#
#   tests/all.sh           within half an hour on two cores, from a clean checkout
#   tests/all.sh --long    also lints, dependencies, every fuzz target for a minute, every picture of the
#                          page, power cuts, wear, a shop's day with faults, and head office on rmqtt
#
# Real parts are used: a broker, a browser, a virtual machine with BlueZ. What this machine lacks
# of them is installed with apt-get, as root or through sudo. Services that a package starts are
# left alone; tests use ports and folders of their own.
set -euo pipefail
cd "$(dirname "$0")/.."
PATH=$PATH:/usr/sbin:/sbin
failed=0

# Debian package and a command it brings.
parts='
build-essential   cc
mosquitto         mosquitto
mosquitto-clients mosquitto_sub
prometheus        promtool
postgresql        pg_lsclusters
openssl           openssl
libnss3-tools     certutil
chromium          chromium
curl              curl
chromium-driver   chromedriver
npm               npm
qemu-system-x86   qemu-system-x86_64
cpio              cpio
kmod              depmod
xz-utils          xz
mmdebstrap        mmdebstrap
systemd-container systemd-nspawn
lintian           lintian
binutils          objdump
npm               npm
'

as_root() {
    if [ "$(id -u)" = 0 ]; then "$@"; else sudo -n "$@"; fi
}

install_parts() {
    local missing=() package command
    while read -r package command; do
        [ -z "$package" ] || command -v "$command" >/dev/null || missing+=("$package")
    done <<<"$parts"
    [ ${#missing[@]} -gt 0 ] || return 0
    echo "== installing ${missing[*]}"
    as_root env DEBIAN_FRONTEND=noninteractive apt-get update -qq </dev/null
    as_root env DEBIAN_FRONTEND=noninteractive \
        apt-get install -qq -y --no-install-recommends "${missing[@]}" </dev/null >/dev/null
}

# What the tests of the page need of npm, in the build's folder.
install_packages() {
    local folder="${CARGO_TARGET_DIR:-target}/npm"
    [ -e "$folder/node_modules/axe-core/axe.min.js" ] || {
        mkdir -p "$folder"
        npm install --silent --no-fund --no-audit --prefix "$folder" axe-core@4.14.1 </dev/null
    }
}

step() {
    echo "== $*"
    "$@" </dev/null || { echo "== FAILED: $*" >&2; failed=1; }
}

long_form() {
    step .ci/lint
    step .ci/docs
    command -v cargo-deny >/dev/null || step cargo install --quiet --locked cargo-deny
    command -v cargo-fuzz >/dev/null || step cargo install --quiet --locked cargo-fuzz
    step tests/fuzz/run.sh 60
    campaigns
    on_rmqtt
}

# Head office on a cluster of rmqtt, which is built first: ten minutes of two cores.
on_rmqtt() {
    command -v protoc >/dev/null || step as_root apt-get install -qq -y protobuf-compiler
    step cargo build --quiet --manifest-path tests/cluster/rmqtt/Cargo.toml \
        --target-dir "${CARGO_TARGET_DIR:-target}/rmqtt"
    step cargo test --locked --bench rmqtt
}

# Power cuts, wear, and a day of a shop with faults; the machine and the disk of the first are those of
# tests/radio.
campaigns() {
    local grelot="${CARGO_TARGET_DIR:-target}/debug/grelot"
    step cargo build --quiet --locked
    step env GRELOT_RADIO_BED="${CARGO_TARGET_DIR:-target}/tmp/radio-bed/trixie" tests/power/cut.py "$grelot" 20
    step as_root tests/power/wear.py "$grelot"
    step as_root tests/power/life.py "$grelot" 24
}

# What the dependencies may be (deny.toml). Advisories need a database that is fetched from GitHub.
dependencies() {
    step cargo deny --locked check licenses bans sources
    if cargo deny fetch db </dev/null 2>/dev/null; then
        step cargo deny --locked check advisories
    else
        echo "== advisories are not checked: their database cannot be fetched"
    fi
}

{ install_parts && install_packages; } ||
    echo "== could not install all parts: tests that need them will fail" >&2
if cargo fmt --version >/dev/null 2>&1; then step cargo fmt --check; fi
[ "${1:-}" != --long ] || { export GRELOT_LONG=1; long_form; }
if command -v cargo-deny >/dev/null; then dependencies; fi
command -v cargo-deb >/dev/null || step cargo install --quiet --locked --debug cargo-deb@3.8.0

# Passes nextest's output on, with the ten slowest tests by name before its summary.
slowest_before_summary() {
    awk '
        match($0, /^ *(PASS|FAIL|TIMEOUT|SIGNAL)[^[]*\[ *[0-9.]+s\]/) {
            time = substr($0, RSTART, RLENGTH); sub(/.*\[ */, "", time); sub(/s\]/, "", time)
            name = substr($0, RSTART + RLENGTH); sub(/^ *\([^)]*\) */, "", name)
            if (!summed) seconds[name] = time + 0
        }
        /^ *Summary \[/ && !summed {
            summed = 1
            print "== slowest tests"
            for (rank = 1; rank <= 10; rank++) {
                slowest = ""
                for (name in seconds)
                    if (slowest == "" || seconds[name] > seconds[slowest]) slowest = name
                if (slowest == "") break
                printf "  %8.3f s  %s\n", seconds[slowest], slowest
                delete seconds[slowest]
            }
        }
        { print; fflush() }'
}

# nextest ends a test that hangs and times each; plain cargo test serves as well.
if command -v cargo-nextest >/dev/null; then
    runner=(cargo nextest run --locked --no-fail-fast)
    echo "== ${runner[*]}"
    "${runner[@]}" </dev/null 2>&1 | slowest_before_summary || failed=1
else
    runner=(cargo test --locked --no-fail-fast --lib --bins --tests)
    echo "== ${runner[*]}"
    "${runner[@]}" </dev/null || failed=1
fi
exit $failed
