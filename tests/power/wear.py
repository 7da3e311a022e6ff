#!/usr/bin/env python3
"""What a day of a shop writes to the disk: 300 visits within twelve hours, sped up.

    sudo tests/power/wear.py [target/dist/grelot] [speed]

Needs mosquitto, mosquitto-clients and e2fsprogs, and root: the state lies on an ext4 file system of its
own on a loop device, whose block counters count everything: SQLite's file and log, the file system's
metadata and its journal. Sped up, a commit now and then takes several changes at once, so that a real day
writes a little more; minutes without an event are heartbeats, which are added by their measured size.
"""
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
from shop import Broker, configure, customer, end, head, recorded, subscribe  # noqa: E402

GRELOT = Path(sys.argv[1] if len(sys.argv) > 1 else "target/dist/grelot").resolve()
SPEED = float(sys.argv[2]) if len(sys.argv) > 2 else 240
VISITS, HOURS, STAY_S = 300, 12, 600
SECTOR = 512


def recording(path):
    """Each visit: two seconds between advertisements, for ten minutes."""
    lines = []
    for n in range(VISITS):
        begin = 60 + n * (HOURS * 3600 - STAY_S - 120) / VISITS
        lines += [(begin + 2 * step, n) for step in range(STAY_S // 2)]
    with open(path, "w") as out:
        print(head("2026-01-05T09:00:00Z"), *(recorded(t, n, -52) for t, n in sorted(lines)), sep="\n", file=out)


def sectors(device):
    counts = Path(f"/sys/block/{device}/stat").read_text().split()
    return int(counts[6])


def run(*command):
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout.strip()


def main():
    with tempfile.TemporaryDirectory() as folder:
        folder = Path(folder)
        image, state = folder / "disk", folder / "state"
        state.mkdir()
        with open(image, "wb") as disk:
            disk.truncate(256 << 20)
        run("mkfs.ext4", "-q", "-E", "lazy_itable_init=0,lazy_journal_init=0", str(image))
        loop = run("losetup", "--find", "--show", str(image))
        try:
            run("mount", loop, str(state))
            try:
                measure(folder, state, Path(loop).name)
            finally:
                run("umount", str(state))
        finally:
            run("losetup", "--detach", loop)


def measure(folder, state, device):
    broker = Broker(folder)
    recording(folder / "day.jsonl")
    (folder / "customers.jsonl").write_text("\n".join(map(customer, range(VISITS))) + "\n")
    configure(folder, broker.port, "day.jsonl", SPEED, state)
    tablet = subscribe(broker.port, "%t", subprocess.DEVNULL, "#")
    log = open(folder / "log", "w+")
    run("sync")
    before = sectors(device)
    grelot = subprocess.Popen([GRELOT, "run", "--config", folder / "grelot.toml"], stderr=log,
                              stdout=subprocess.DEVNULL)
    try:
        time.sleep(HOURS * 3600 / SPEED + 20)
        run("sync")
        busy = sectors(device) - before
        # It ends with 1 where something is wrong: the recording is over, so nothing is received.
        asked = [GRELOT, "--json", "--config", folder / "grelot.toml", "status"]
        status = json.loads(subprocess.run(asked, stdout=subprocess.PIPE, text=True).stdout)
        database = sum(file.stat().st_size for file in state.iterdir() if file.is_file())
        logged = (folder / "log").stat().st_size
    finally:
        end(grelot, tablet, broker.process)
    arrivals = status["arrivals"]
    written = busy * SECTOR
    print(f"arrivals {arrivals}, delivered {status['delivery']['delivered']}")
    print(f"written within the shop's day: {written / 1e6:.1f} MB, {written / max(arrivals, 1) / 1e3:.0f} kB a visit")
    print(f"state in the end: {database / 1e3:.0f} kB; journal: {logged / 1e3:.0f} kB")


if __name__ == "__main__":
    main()
