#!/bin/bash
# Runs a package for another architecture under qemu-user, beside the amd64 package:
#
#   tests/install/foreign.sh AMD64_DEB FOREIGN_DEB SUITE
#   tests/install/foreign.sh target/debian/grelot_0.1.0_{amd64,arm64}.deb bookworm
#
# The program runs with SUITE's libc of its architecture: `demo` for 30 seconds, and a recording's replay,
# which must give the same bytes as amd64's. An emulated processor: nothing of its speed counts. Needs
# qemu-user-static and a Debian mirror in apt's sources; root is not needed.
set -euo pipefail
amd64=$(realpath "$1") foreign=$(realpath "$2") suite=$3
architecture=$(dpkg-deb -f "$foreign" Architecture)
case $architecture in
  arm64) emulator=qemu-aarch64-static ;;
  armhf) emulator=qemu-arm-static ;;
  *) echo "no emulator for $architecture" >&2; exit 2 ;;
esac
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# libc of the architecture, by an apt of its own: nothing is installed.
mirror=$(apt-get indextargets --format '$(REPO_URI) $(COMPONENT)' | sed -n '/security/!s/ main$//p' | head -1)
mkdir -p "$work"/apt/{lists/partial,cache/archives/partial} "$work"/{native,root}
touch "$work/apt/status"
echo "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] $mirror $suite main" > "$work/apt/sources.list"
apt="-qq -o Dir::Etc::SourceList=$work/apt/sources.list -o Dir::Etc::SourceParts=/dev/null
  -o Dir::State::Lists=$work/apt/lists -o Dir::State::Status=$work/apt/status -o Dir::Cache=$work/apt/cache
  -o APT::Architecture=$architecture -o APT::Architectures=$architecture -o APT::Sandbox::User=
  -o Acquire::Languages=none -o Debug::NoLocking=1"
apt-get $apt update
(cd "$work/apt" && apt-get $apt download libc6 libgcc-s1)
for package in "$work"/apt/*.deb "$foreign"; do dpkg-deb -x "$package" "$work/root"; done
# Before the merger of /usr, libc lies in /lib.
for folder in lib lib64; do
  [ ! -d "$work/root/usr/$folder" ] || [ -e "$work/root/$folder" ] || ln -s "usr/$folder" "$work/root/$folder"
done
dpkg-deb -x "$amd64" "$work/native"

native=$work/native/usr/bin/grelot
there() { "$emulator" -L "$work/root" "$work/root/usr/bin/grelot" "$@"; }
there --version

# An hour of twenty customers who come and go.
cat > "$work/grelot.toml" <<'END'
[store]
id = 42
END
python3 - "$work" <<'END'
import json, random, sys
from pathlib import Path
folder, rng = Path(sys.argv[1]), random.Random(7)
uuid = "e2c56db5-dffb-48d2-b060-d0f5a71096e0"
consent = {"given_at": "2025-11-02T10:14:00Z", "text": "en", "show_name": False, "expires_at": "2099-01-01T00:00:00Z"}
with open(folder / "customers.jsonl", "w") as out:
    for n in range(20):
        print(json.dumps({"client": f"c-{n}", "tier": "gold", "scheme": "beacon", "consent": consent, "quiet": None,
                          "ibeacon": {"uuid": uuid, "major": 1, "minor": n}}), file=out)
with open(folder / "hour.jsonl", "w") as out:
    print(json.dumps({"grelot": "recording", "version": 1, "started_at": "2026-01-05T09:00:00Z", "store": 42,
                      "gateways": ["door"]}), file=out)
    for second in range(3600):
        for n in range(20):
            inside = n * 150 < second < n * 150 + 600
            if inside or rng.random() < 0.05:
                adv = f"0201061aff4c000215{uuid.replace('-', '')}0001{n:04x}c5"
                rssi = round(rng.gauss(-55 if inside else -88, 5))
                print(json.dumps({"t": second + n / 20, "gw": "door", "addr": f"c0:00:00:00:00:{n:02x}",
                                  "kind": "random", "rssi": max(rssi, -100), "adv": adv}), file=out)
END
printf '\n[registry]\npath = "customers.jsonl"\n' >> "$work/grelot.toml"
"$native" --config "$work/grelot.toml" --json replay "$work/hour.jsonl" > "$work/native.events"
there --config "$work/grelot.toml" --json replay "$work/hour.jsonl" > "$work/foreign.events"
cmp "$work/native.events" "$work/foreign.events"
echo "replay: the same $(wc -l < "$work/native.events") events as amd64"
grep -q '"event":"arrival"' "$work/native.events"

(cd "$work" && there --json demo --for 30 --seed 1 --speed 4 > demo.out 2> demo.err) || { cat "$work/demo.err"; exit 1; }
head -c 200 "$work/demo.out"; echo
echo "demo: ran for 30 seconds on $architecture, $suite"
