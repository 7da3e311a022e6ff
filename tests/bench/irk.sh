#!/bin/sh
# What a new address costs where customers are known by `irk` (16,000 keys), beside Home Assistant's
# bluetooth-data-tools with its ciphers kept, in the same run: first with AES instructions, where
# this processor has some, then without (what a Raspberry Pi 3, 4 and Zero 2 have).
#
#   tests/bench/irk.sh
#
# Needs python3 with venv, and the time of two release builds.
set -eu
cd "$(dirname "$0")/../.."
target=${CARGO_TARGET_DIR:-target}

venv=$target/bluetooth-data-tools
[ -x "$venv/bin/python" ] || python3 -m venv "$venv"
"$venv/bin/pip" install --quiet --disable-pip-version-check bluetooth-data-tools
"$venv/bin/pip" show bluetooth-data-tools cryptography | grep -E '^(Name|Version)'
GRELOT_PYTHON=$venv/bin/python
export GRELOT_PYTHON

echo
echo "With AES instructions"
cargo bench --quiet --bench identity -- irk
echo
echo "Without: --cfg aes_backend=\"soft\""
CARGO_TARGET_DIR=$target/soft RUSTFLAGS='--cfg aes_backend="soft"' \
    cargo bench --quiet --bench identity -- irk
