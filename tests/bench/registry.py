#!/usr/bin/env python3
"""What a registry costs: head office's bundle, and a gateway that takes it in.

    cargo build --profile dist && tests/bench/registry.py [target/dist/grelot] [customers...]

Needs mosquitto. Makes a book of customers with the scheme `token`, bundles it for one store on one
core, runs a gateway on that bundle, then on a newer one that takes its place while it runs.
Resident memory is the kernel's figure for the process. Waiting for mosquitto and for what is
measured costs no CPU.
"""
import json
import os
import resource
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

GRELOT = Path(sys.argv[1] if len(sys.argv) > 1 else "target/dist/grelot").resolve()
COUNTS = [int(count) for count in sys.argv[2:]] or [10_000, 1_000_000]


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def write_book(path, count):
    consent = {"given_at": "2025-11-02T10:14:00Z", "text": "fr-2025-10",
               "expires_at": "2099-11-02T00:00:00Z", "show_name": True}
    with open(path, "w") as book:
        for n in range(count):
            customer = {"client": f"c-{n:06x}", "tier": "gold", "scheme": "token",
                        "ck": os.urandom(32).hex(), "consent": consent,
                        "card": {"name": f"Mme {n % 65536:04x}.", "language": "fr"}}
            book.write(json.dumps(customer, separators=(",", ":")) + "\n")


def office(folder, *arguments):
    begun, before = time.monotonic(), resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run([GRELOT, "customers", *arguments], cwd=folder, check=True,
                   stdout=subprocess.DEVNULL)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return time.monotonic() - begun, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def bundle(folder):
    return office(folder, "bundle", "--from", "book.jsonl", "--store", "42", "--jobs", "1",
                  "--key", "keys/grelot.key", "--out", "www")


def put(folder):
    """The signature first, each whole: as head office's tools do."""
    for name in ["customers.jsonl.zst.minisig", "customers.jsonl.zst"]:
        (folder / "new").write_bytes((folder / "www/42" / name).read_bytes())
        (folder / "new").replace(folder / name)


def status(folder):
    answer = subprocess.run([GRELOT, "status", "--json", "--config", folder / "grelot.toml"],
                            capture_output=True)
    return json.loads(answer.stdout) if answer.returncode == 0 else None


def resident_mb(pid, field="VmRSS"):
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith(field):
            return int(line.split()[1]) * 1024 / 1e6


def wait(what, happened):
    begun = time.monotonic()
    while not happened():
        assert time.monotonic() - begun < 300, f"never happened: {what}"
        time.sleep(0.05)
    return time.monotonic() - begun


def settled_mb(pid):
    """Resident memory once it has not changed for a while: a replaced registry is wiped and given
    back in slices."""
    seen = []
    while len(seen) < 40 or max(seen[-40:]) - min(seen[-40:]) > 0.2:
        seen.append(resident_mb(pid))
        time.sleep(0.5)
    return seen[-1]


def measure(count, broker):
    folder = Path(tempfile.mkdtemp(prefix="grelot-registry-"))
    write_book(folder / "book.jsonl", count)
    office(folder, "keygen", "--out", "keys", "--no-password")
    took, cpu = bundle(folder)
    print(f"{count:,} customers")
    print(f"  customers bundle, one store, one core  {took:8.1f} s   ({cpu:.1f} s of CPU)")
    size = (folder / "www/42/customers.jsonl.zst").stat().st_size
    print(f"  the bundle                             {size / 1e6:8.1f} MB")
    put(folder)
    key = (folder / "keys/grelot.pub").read_text().splitlines()[1]
    (folder / "grelot.toml").write_text(f"""
[store]
id = 42
[gateway]
name = "door"
[broker]
urls = ["mqtt://127.0.0.1:{broker}"]
[state]
path = "state"
[[source]]
kind = "mqtt"
[registry]
path = "customers.jsonl.zst"
public_keys = ["{key}"]
""")
    begun = time.monotonic()
    with open(folder / "log", "w") as log:
        gateway = subprocess.Popen([GRELOT, "run", "--config", folder / "grelot.toml"],
                                   stdout=log, stderr=log)
    try:
        wait("the gateway runs", lambda: status(folder))
        print(f"  start to recognising                   {time.monotonic() - begun:8.1f} s")
        assert status(folder)["registry"]["customers"] == count
        print(f"  resident                               {settled_mb(gateway.pid):8.1f} MB")
        peak = resident_mb(gateway.pid, "VmHWM")
        print(f"    most so far                          {peak:8.1f} MB")
        made = status(folder)["registry"]["made_at"]
        bundle(folder)
        put(folder)
        took = wait("the swap", lambda: status(folder)["registry"]["made_at"] != made)
        print(f"  a newer file to in force               {took:8.1f} s")
        print(f"  resident once the old one is wiped     {settled_mb(gateway.pid):8.1f} MB")
        print(f"    most so far                          {resident_mb(gateway.pid, 'VmHWM'):8.1f} MB")
    finally:
        gateway.send_signal(signal.SIGTERM)
        gateway.wait(20)
        subprocess.run(["rm", "-r", folder])


def main():
    port = free_port()
    mosquitto = subprocess.Popen(["mosquitto", "-p", str(port)], stderr=subprocess.DEVNULL)
    try:
        time.sleep(0.5)
        for count in COUNTS:
            measure(count, port)
    finally:
        mosquitto.terminate()
        mosquitto.wait()


if __name__ == "__main__":
    main()
