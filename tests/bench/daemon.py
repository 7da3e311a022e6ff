#!/usr/bin/env python3
"""What the running daemon costs: start, memory, CPU an advertisement, size.

    cargo build --profile dist && tests/bench/daemon.py [target/dist/grelot] [seconds]

Needs mosquitto. Everything runs on free ports of 127.0.0.1 and in a folder of its own. CPU time is
the kernel's account of the process (user and system) between two moments of steady running, so
that start and end do not count; a noisy machine makes it larger, never smaller.
"""
import json
import os
import random
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from datetime import datetime, timezone
from pathlib import Path

GRELOT = Path(sys.argv[1] if len(sys.argv) > 1 else "target/dist/grelot").resolve()
SECONDS = int(sys.argv[2]) if len(sys.argv) > 2 else 40
RATE = 500
TICK = os.sysconf("SC_CLK_TCK")


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def customer(n):
    uuid = "e2c56db5-dffb-48d2-b060-d0f5a71096e0"
    identity = {"uuid": uuid, "major": n >> 16, "minor": n & 0xFFFF}
    consent = {"given_at": "2025-11-02T10:14:00Z", "text": "en", "show_name": False,
               "expires_at": "2099-01-01T00:00:00Z"}
    return json.dumps({"client": f"c-{n}", "tier": "gold", "scheme": "beacon",
                       "ibeacon": identity, "consent": consent, "quiet": None})


def advert(t, n, rssi, enrolled):
    if enrolled:
        adv = f"0201061aff4c000215e2c56db5dffb48d2b060d0f5a71096e0{n >> 16:04x}{n & 0xffff:04x}c5"
    else:
        adv = random.Random(n).choice(["02011a020a0c0bff4c001006131e", "1eff060001092002",
                                       "0303e1ff1616e1ffa108", "1aff750042040180"]) + f"{n:012x}"
    return json.dumps({"t": round(t, 4), "gw": "door", "addr": f"c0:00:00:{n >> 16:02x}:{n >> 8 & 255:02x}:{n & 255:02x}",
                       "kind": "random", "rssi": rssi, "adv": adv})


class Shop:
    """A folder with a configuration, customers and a recording."""

    def __init__(self, broker, customers=0, adverts=(), speed=1.0):
        self.folder = tempfile.TemporaryDirectory()
        self.path = Path(self.folder.name)
        header = {"grelot": "recording", "version": 1, "started_at": "2026-01-05T09:00:00Z",
                  "store": 42, "gateways": ["door"]}
        with open(self.path / "scene.jsonl", "w") as scene:
            print(json.dumps(header), file=scene)
            for line in adverts:
                print(line, file=scene)
        with open(self.path / "customers.jsonl", "w") as registry:
            for n in range(customers):
                print(customer(n), file=registry)
        (self.path / "grelot.toml").write_text(f"""
[store]
id = 42
[gateway]
name = "door"
[broker]
{broker}
[[source]]
kind = "recording"
path = "scene.jsonl"
speed = {speed}
[registry]
path = "customers.jsonl"
""")

    def run(self):
        self.log = open(self.path / "log", "w")
        self.process = subprocess.Popen([GRELOT, "run", "--config", self.path / "grelot.toml"],
                                        stdout=self.log, stderr=self.log)
        return self.process.pid

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        code = self.process.wait(20)
        assert code == 0, (self.path / "log").read_text()


def resident_kib(pid):
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS"):
            return int(line.split()[1])


def cpu_s(pid):
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / TICK


def wake_ups(pid):
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("voluntary_ctxt_switches"):
            return int(line.split()[1])


def start_to_connack_ms(broker):
    shop = Shop(broker)
    begun = datetime.now(timezone.utc)
    shop.run()
    deadline = time.time() + 10
    while time.time() < deadline:
        for line in (shop.path / "log").read_text().splitlines():
            if "connected to the broker" in line:
                at = datetime.fromisoformat(line.split()[0].replace("Z", "+00:00"))
                shop.stop()
                return (at - begun).total_seconds() * 1000
        time.sleep(0.02)
    raise SystemExit((shop.path / "log").read_text())


def idle_mib(broker):
    shop = Shop(broker)
    pid = shop.run()
    time.sleep(4)
    resident = resident_kib(pid) / 1024
    shop.stop()
    return resident


def octets_per_live_device(broker, devices=20_000):
    def resident(heard):
        lines = (advert(n * 0.0001, n, -95, True) for n in range(heard))
        shop = Shop(broker, customers=devices, adverts=lines)
        pid = shop.run()
        time.sleep(6)
        kib = resident_kib(pid)
        shop.stop()
        return kib
    return (resident(devices) - resident(1)) * 1024 / devices


def paced(broker, seconds):
    def lines():
        for i in range(RATE * (seconds + 20)):
            yield advert(i / RATE, i % 300, random.Random(i).randint(-95, -50), i % 30 == 0)
    shop = Shop(broker, customers=10, adverts=lines())
    pid = shop.run()
    time.sleep(8)
    cpu, woken, begun = cpu_s(pid), wake_ups(pid), time.monotonic()
    time.sleep(seconds)
    adverts = RATE * (time.monotonic() - begun)
    cpu, woken = cpu_s(pid) - cpu, wake_ups(pid) - woken
    shop.stop()
    return cpu / adverts * 1e6, woken / (adverts / RATE)


def main():
    port = free_port()
    mosquitto = subprocess.Popen(["mosquitto", "-p", str(port)], stderr=subprocess.DEVNULL)
    try:
        time.sleep(0.5)
        external = f'urls = ["mqtt://127.0.0.1:{port}"]'
        embedded = f'embedded = true\nlisten = "127.0.0.1:{free_port()}"'
        starts = [start_to_connack_ms(external) for _ in range(11)]
        print(f"binary                        {GRELOT.stat().st_size / 1e6:7.1f} MB    (limit 12)")
        print(f"start to CONNACK, median      {statistics.median(starts):7.0f} ms    (limit 50; worst {max(starts):.0f})")
        print(f"idle, external broker         {idle_mib(external):7.1f} MiB   (limit 10)")
        print(f"idle, embedded broker         {idle_mib(embedded):7.1f} MiB   (limit 25)")
        print(f"a live enrolled device        {octets_per_live_device(external):7.0f} octets (limit 300)")
        cost, woken = paced(external, SECONDS)
        print(f"CPU an advertisement, {RATE}/s   {cost:7.1f} us    (limit 9; {woken:.0f} wake-ups a second)")
    finally:
        mosquitto.terminate()
        mosquitto.wait()


if __name__ == "__main__":
    main()
