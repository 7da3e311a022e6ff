#!/usr/bin/env python3
"""Power cuts: a gateway in an emulated machine loses power at random moments while it writes.

    tests/power/cut.py [target/debug/grelot] [cuts] [seed]

The machine is the radio test bed's (tests/radio/image.sh), with the state on an ext4 disk whose volatile
cache is lost at each cut (disk.py). The broker and the tablet stay up outside. At each start three more
customers walk in, and all stay. In the end every customer must have been announced, under one visit id
each, and the store must have been readable at every start. Needs what tests/radio needs, mosquitto and
e2fsprogs.
"""
import json
import os
import random
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
from disk import Disk  # noqa: E402
from shop import Broker, advertisement, customer, end, subscribe  # noqa: E402

HERE = Path(__file__).resolve().parent
GRELOT = Path(sys.argv[1] if len(sys.argv) > 1 else "target/debug/grelot").resolve()
CUTS = int(sys.argv[2]) if len(sys.argv) > 2 else 20
SEED = int(sys.argv[3]) if len(sys.argv) > 3 else 1
NEW_EACH = 3
BED = Path(os.environ.get("GRELOT_RADIO_BED", "target/tmp/radio-bed/trixie"))

INIT = """#!/bin/busybox sh
/bin/busybox mount -t proc proc /proc
/bin/busybox mount -t sysfs sys /sys
/bin/busybox mount -t devtmpfs dev /dev
for module in virtio_pci 9pnet_virtio 9p virtio_blk ext4 virtio_net; do /bin/busybox modprobe $module; done
/bin/busybox mount -t 9p -o trans=virtio,version=9p2000.L,msize=262144 share /share
exec > /dev/ttyS0 2>&1
/bin/busybox ip link set lo up
/bin/busybox ip link set eth0 up
/bin/busybox ip addr add 10.0.2.15/24 dev eth0
/bin/busybox ip route add default via 10.0.2.2
/bin/busybox date -s @$(/bin/busybox cat /share/now)
/bin/busybox mkdir -p /state
/bin/busybox mount -t ext4 /dev/vda /state || echo "THE FILE SYSTEM IS DAMAGED"
/bin/busybox mkfifo /tmp/radio
/bin/busybox sh -c 'exec > /tmp/radio; while :; do /bin/busybox cat /share/air; /bin/busybox sleep 0.3; done' &
/share/grelot run --config /share/grelot.toml
echo "GRELOT ENDED $?"
/bin/busybox sleep 1000
"""


def report(n):
    """An HCI event that says that customer n's card was heard at -50 dBm."""
    ad = bytes.fromhex(advertisement(n))
    body = bytes([0x02, 0x01, 0x03, 0x01, n & 255, n >> 8, 3, 4, 5, 0xC6, len(ad)]) + ad + bytes([256 - 50])
    return bytes([0x04, 0x3E, len(body)]) + body


def initramfs(folder):
    """The bed's, with another first process."""
    own = folder / "own"
    own.mkdir()
    (own / "init").write_text(INIT)
    (own / "init").chmod(0o755)
    subprocess.run("find . | cpio -o -H newc --quiet | gzip -1 > ../own.cpio", shell=True, cwd=own, check=True)
    image = folder / "initramfs"
    image.write_bytes((BED / "base.cpio").read_bytes() + (folder / "own.cpio").read_bytes())
    return image


class Campaign:
    def __init__(self, folder):
        self.folder = folder
        self.random = random.Random(SEED)
        subprocess.run(["bash", HERE.parent / "radio/image.sh", "trixie", BED], check=True)
        self.initramfs = initramfs(folder)
        self.share = folder / "share"
        self.share.mkdir()
        subprocess.run(["strip", "-o", self.share / "grelot", GRELOT], check=True)
        image = folder / "disk"
        with open(image, "wb") as disk:
            disk.truncate(64 << 20)
        subprocess.run(["mkfs.ext4", "-q", image], check=True)
        self.disk = Disk(image, str(folder / "nbd"), SEED)
        self.broker = Broker(folder)
        self.tablet = subscribe(self.broker.port, "%p", open(folder / "arrivals", "w"), "arrivals")
        customers = NEW_EACH * (CUTS + 1)
        (self.share / "customers.jsonl").write_text("\n".join(map(customer, range(customers))) + "\n")
        (self.share / "grelot.toml").write_text(f"""
[store]
id = 42
[gateway]
name = "door"
clock = "trusted"
[broker]
urls = ["mqtt://10.0.2.2:{self.broker.port}"]
[[source]]
kind = "h4"
path = "/tmp/radio"
[registry]
path = "customers.jsonl"
[state]
path = "/state/grelot"
[policy]
min_hours_between_alerts = 0
[presence]
# A customer who is received first has walked in at that moment.
warm_up_secs = 0
""")

    def boot(self, number):
        (self.share / "now").write_text(str(int(time.time())))
        (self.share / "air").write_bytes(b"".join(map(report, range(NEW_EACH * (number + 1)))))
        self.disk.serve()
        self.console = self.folder / f"console-{number}"
        return subprocess.Popen(
            ["qemu-system-x86_64", "-M", "q35", "-smp", "1", "-m", "512", "-nodefaults", "-no-user-config",
             "-display", "none", "-no-reboot", "-accel", "tcg,thread=multi", "-cpu", "max",
             "-kernel", BED / "vmlinuz", "-initrd", self.initramfs,
             "-append", "console=ttyS0 quiet panic=-1 mitigations=off tsc=reliable no_timer_check",
             "-serial", f"file:{self.console}",
             "-drive", f"driver=nbd,server.type=unix,server.path={self.disk.path},if=virtio,cache.direct=off",
             "-fsdev", f"local,id=s,path={self.share},security_model=none,readonly=on",
             "-device", "virtio-9p-pci,fsdev=s,mount_tag=share",
             "-nic", "user,model=virtio-net-pci"], stdin=subprocess.DEVNULL)

    def arrivals(self):
        visits = defaultdict(list)
        for line in (self.folder / "arrivals").read_text().splitlines():
            message = json.loads(line)
            visits[message["client"]].append(message["visit"])
        return visits

    def wait(self, machine, done, longest=900):
        end = time.time() + longest
        while not done():
            if time.time() > end or machine.poll() is not None:
                raise SystemExit(f"it did not come so far; the console:\n{self.console.read_text()[-3000:]}")
            time.sleep(0.05)

    def check_console(self):
        said = self.console.read_text(errors="replace")
        for wrong in ("DAMAGED", "GRELOT ENDED", "cannot be read: it was moved aside"):
            if wrong in said:
                raise SystemExit(f"{wrong}; the console:\n{said[-3000:]}")

    def run(self):
        print("| cut | announced before | writes in the cache | dropped | flushes |\n|---|---|---|---|---|")
        for number in range(CUTS):
            machine = self.boot(number)
            known = len(self.arrivals())
            # Until one of the new ones is announced: then others are being written.
            after = self.random.choice([1, 1, 2])
            self.wait(machine, lambda: len(self.arrivals()) >= known + after)
            cut, dropped = self.disk.cut_writes, self.disk.dropped_writes
            # In the midst of one of the next writes, before it is answered.
            self.disk.cut_within_write(self.random.randrange(1, 16), machine.kill)
            machine.wait()
            self.disk.cut()
            self.check_console()
            print(f"| {number + 1} | {len(self.arrivals())} | {self.disk.cut_writes - cut} "
                  f"| {self.disk.dropped_writes - dropped} | {self.disk.flushes} |", flush=True)
        machine = self.boot(CUTS)
        everybody = NEW_EACH * (CUTS + 1)
        self.wait(machine, lambda: len(self.arrivals()) >= everybody)
        time.sleep(5)
        machine.kill()
        machine.wait()
        self.check_console()
        return self.arrivals(), everybody

    def end(self):
        end(self.tablet, self.broker.process)


def main():
    with tempfile.TemporaryDirectory() as folder:
        campaign = Campaign(Path(folder))
        try:
            visits, everybody = campaign.run()
        finally:
            campaign.end()
        lost = everybody - len(visits)
        doubled = [client for client, ids in visits.items() if len(set(ids)) > 1]
        repeated = sum(len(ids) - len(set(ids)) for ids in visits.values())
        print(f"\n{CUTS} cuts, {everybody} customers: {lost} lost, {len(doubled)} under two visit ids, "
              f"{repeated} alerts sent again under their id")
        sys.exit(1 if lost or doubled else 0)


if __name__ == "__main__":
    main()
