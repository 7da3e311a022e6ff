#!/bin/sh
# Runs every fuzz target: the long form of the tests.
#
#   tests/fuzz/run.sh [SECONDS [TARGET...]]     60 seconds each by default
#
# Needs cargo-fuzz (`cargo install cargo-fuzz --locked`) and a C++ compiler. What is found along
# the way is kept in corpus/, a crash in artifacts/; neither is committed. A crash is fixed with
# a test, and its input becomes a seed.
set -eu
cd "$(dirname "$0")"
seconds=${1:-60}
[ $# -eq 0 ] || shift

command -v cargo-fuzz >/dev/null || {
    echo "cargo-fuzz is missing: cargo install cargo-fuzz --locked" >&2
    exit 1
}
# Coverage counters are an unstable option of a stable compiler.
export RUSTC_BOOTSTRAP=1
# The product's own versions of everything.
cp ../../Cargo.lock Cargo.lock

[ $# -gt 0 ] || set -- $(cargo fuzz list --fuzz-dir .)
# Our code forbids `unsafe`: panics, overflows and hangs are what there is to find, twice as
# fast without an address sanitizer.
cargo fuzz build --fuzz-dir . --sanitizer none
for target in "$@"; do
    mkdir -p "corpus/$target" "artifacts/$target"
    log=target/$target.log
    echo "== $target, $seconds s"
    # The built program itself: `cargo fuzz run` would build everything once more.
    "target/$(rustc -vV | sed -n 's/^host: //p')/release/$target" \
        "corpus/$target" "seeds/$target" \
        -artifact_prefix="artifacts/$target/" \
        -max_total_time="$seconds" -timeout=5 -rss_limit_mb=1024 -max_len=4096 \
        -print_final_stats=1 -verbosity=0 2>"$log" || {
        tail -n 40 "$log" >&2
        echo "== $target: FAILED" >&2
        exit 1
    }
    grep -E '^stat::(number_of_executed_units|average_exec_per_sec|peak_rss_mb)' \
        "$log"
    rm "$log"
done
echo "== all targets held"
