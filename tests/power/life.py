#!/usr/bin/env python3
"""A shop's life in virtual time, with faults drawn at random.

    sudo tests/power/life.py [target/debug/grelot] [hours] [speed] [seed]

The whole `grelot run` with a recording that goes `speed` times as fast as the clock, mosquitto, and a
tablet that the broker knows. Every customer comes once, and stays. Faults: grelot or the broker killed with
-9, grelot restarted as by an update, the network cut or gone silent, the radio silent, the disk full. An
alert is due if the customer was received for two minutes in one go. Needs mosquitto and its clients; root
for the disk, which is a small tmpfs. The same seed draws the same customers and faults. A life of several
days prints its results so far after each; SIGTERM ends it with those.
"""
import json
import math
import os
import random
import selectors
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections import defaultdict
from datetime import datetime, timezone
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
from shop import Broker, configure, customer, end, head, recorded, subscribe  # noqa: E402

GRELOT = Path(sys.argv[1] if len(sys.argv) > 1 else "target/debug/grelot").resolve()
HOURS = float(sys.argv[2]) if len(sys.argv) > 2 else 24
SPEED = float(sys.argv[3]) if len(sys.argv) > 3 else 120
SEED = int(sys.argv[4]) if len(sys.argv) > 4 else 1

EPOCH = datetime(2026, 1, 5, 8, tzinfo=timezone.utc).timestamp()
VISITS_AN_HOUR = 25
STAY_S = (240, 2400)
EVERY_S = 4             # between two advertisements of a card
# Time of the clock on the wall, since that is what grelot and the broker need to recover: a fault every
# quarter of an hour on average, for 20 s to 5 minutes, at 120 times the clock's speed.
BETWEEN_FAULTS_S = 7.5 * SPEED
LASTS_S = (SPEED / 6, 2.5 * SPEED)
DUE_AFTER_S = max(120, 0.5 * SPEED)
REJOIN_S = 10 * SPEED
# The longest that the configuration takes.
ALERT_TTL_S = 86400
# The recording ends this long after the next restart is due.
SPARE_S = 15 * SPEED
# The registry has the customers of this long before and after.
ENROLLED_S = ALERT_TTL_S
FAULTS = ["grelot", "broker", "update", "cut", "silence", "radio", "disk"]
RESTARTS = ["grelot", "update", "radio"]
DISK = "size=32m"


class Network(threading.Thread):
    """Between grelot and the broker: passes on, is cut, or swallows."""

    def __init__(self, port):
        super().__init__(daemon=True)
        self.to, self.state, self.pairs = port, "up", {}
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.start()

    def run(self):
        looker = selectors.DefaultSelector()
        looker.register(self.listener, selectors.EVENT_READ)
        while True:
            for key, _ in looker.select(0.1):
                if key.fileobj is self.listener:
                    self.accept(looker)
                else:
                    self.pass_on(looker, key.fileobj)
            if self.state == "cut":
                for one in list(self.pairs):
                    self.close(looker, one)

    def accept(self, looker):
        client, _ = self.listener.accept()
        try:
            if self.state == "cut":
                raise ConnectionRefusedError
            server = socket.create_connection(("127.0.0.1", self.to))
        except ConnectionRefusedError:
            client.close()
            return
        self.pairs[client], self.pairs[server] = server, client
        for one in (client, server):
            looker.register(one, selectors.EVENT_READ)

    def pass_on(self, looker, one):
        if one not in self.pairs:
            return
        try:
            data = one.recv(65536)
            if self.state != "silence" and data:
                self.pairs[one].sendall(data)
        except OSError:
            data = b""
        if not data:
            self.close(looker, one)

    def close(self, looker, one):
        other = self.pairs.pop(one, None)
        if other is None:
            return
        self.pairs.pop(other, None)
        for end_of_it in (one, other):
            looker.unregister(end_of_it)
            end_of_it.close()


class Life:
    def __init__(self, folder):
        self.folder = folder
        self.random = random.Random(SEED)
        self.visits = self.draw_visits()
        self.faults = self.draw_faults()
        self.suffered = defaultdict(int)
        self.state = folder / "state"
        self.state.mkdir()
        self.has_disk = os.geteuid() == 0
        if self.has_disk:
            subprocess.run(["mount", "-t", "tmpfs", "-o", DISK, "grelot-life", self.state], check=True)
        self.broker = Broker(folder)
        self.network = Network(self.broker.port)
        self.heard = folder / "heard"
        self.tablet = subscribe(self.broker.port, "%U %t %p", open(self.heard, "w"), "arrivals", "departures")
        self.grelot = None
        self.log = open(folder / "log", "w")
        # When grelot received, in virtual seconds; how far its clock is behind this one's, since it begins
        # once grelot has started, which takes part of a second; where its recording ends.
        self.up = []
        self.curve = []
        self.begun = time.time()
        self.start()

    def draw_visits(self):
        last = HOURS * 3600 - STAY_S[0]
        begins = sorted(self.random.uniform(60, last) for _ in range(round(HOURS * VISITS_AN_HOUR)))
        return [(begin, begin + self.random.uniform(*STAY_S)) for begin in begins]

    def draw_faults(self):
        faults, at = [], 600.0
        while (at := at + self.random.expovariate(1 / BETWEEN_FAULTS_S)) < HOURS * 3600 - BETWEEN_FAULTS_S:
            lasts = self.random.uniform(*LASTS_S)
            faults.append((at, self.random.choice(FAULTS), lasts))
            at += lasts
        return faults

    def now(self):
        return (time.time() - self.begun) * SPEED

    def until(self, virtual):
        while (left := virtual - self.now()) > 0:
            time.sleep(min(left / SPEED, 0.5))
            self.look()

    def start(self, silent_until=0.0):
        """The recording up to the next restart; nothing is received before `silent_until`."""
        now = self.now()
        restarts = (at for at, kind, _ in self.faults if at > now and kind in RESTARTS)
        until = max(next(restarts, math.inf), silent_until) + SPARE_S
        near = [n for n, (begin, leave) in enumerate(self.visits)
                if leave > now - ENROLLED_S and begin < until + ENROLLED_S]
        (self.folder / "customers.jsonl").write_text("\n".join(map(customer, near)) + "\n")
        lines = []
        for n in near:
            begin, leave = self.visits[n]
            at = max(begin, now, silent_until)
            rest = recorded(0, n, -52).removeprefix('{"t": 0')
            while at < min(leave, until):
                lines.append((at - now, rest))
                at += EVERY_S
        started_at = datetime.fromtimestamp(EPOCH + now, timezone.utc).isoformat().replace("+00:00", "Z")
        lines = [f'{{"t": {t:.2f}{rest}' for t, rest in sorted(lines)]
        (self.folder / "life.jsonl").write_text("\n".join([head(started_at), *lines]) + "\n")
        configure(self.folder, self.network.port, "life.jsonl", SPEED, self.state, f"""
[policy]
min_hours_between_alerts = 0
alert_ttl_secs = {ALERT_TTL_S:.0f}
[presence]
rejoin_secs = {REJOIN_S:.0f}
[tablets]
escalate_secs = 0
""")
        self.grelot = subprocess.Popen([GRELOT, "run", "--config", self.folder / "grelot.toml"], stderr=self.log,
                                       stdout=subprocess.DEVNULL)
        socket_file = self.state / "status.sock"
        while not self.answers(socket_file):
            time.sleep(0.01)
        self.up.append([max(now, silent_until), None, self.now() - now, until])

    def answers(self, path):
        with socket.socket(socket.AF_UNIX) as asking:
            try:
                asking.connect(str(path))
                return True
            except OSError:
                if self.grelot.poll() is not None:
                    self.stop(kill=True)
                return False

    def stop(self, kill):
        if self.grelot.poll() is not None:
            raise SystemExit(f"grelot ended by itself ({self.grelot.returncode}): "
                             f"{(self.folder / 'log').read_text()[-2000:]}")
        (self.grelot.kill if kill else self.grelot.terminate)()
        self.grelot.wait()
        self.up[-1][1] = self.now()

    def look(self):
        """Memory and disk, once in a virtual half hour."""
        if self.curve and self.now() - self.curve[-1][0] < 1800:
            return
        try:
            status = Path(f"/proc/{self.grelot.pid}/status").read_text()
            memory = int(status.split("VmRSS:")[1].split()[0]) / 1024
            disk = sum(file.stat().st_size for file in self.state.glob("grelot.*")) / 1024
            self.curve.append((self.now(), memory, disk))
        except (OSError, IndexError):
            pass  # it is down just now

    def suffer(self, kind, lasts):
        over = self.now() + lasts
        if kind in RESTARTS:
            self.stop(kill=kind == "grelot")
            if kind == "grelot":
                self.until(over)
            self.start(silent_until=over if kind == "radio" else 0)
        elif kind == "broker":
            self.broker.kill()
            self.until(over)
            self.broker.start()
        elif kind in ("cut", "silence"):
            self.network.state = kind
            self.until(over)
            self.network.state = "up"
        elif kind == "disk" and self.has_disk:
            ballast = self.state / "ballast"
            file = os.open(ballast, os.O_WRONLY | os.O_CREAT)
            try:
                while os.write(file, bytes(4096)):
                    pass
            except OSError:
                os.close(file)
            self.until(over)
            ballast.unlink()

    def recover(self):
        """Waits until no alert waits any longer: on a busy machine that takes longer than to the next fault."""
        asking = [GRELOT, "--json", "--config", self.folder / "grelot.toml", "status"]
        for _ in range(600):
            said = subprocess.run(asking, capture_output=True, text=True).stdout
            if '"queued":0' in said.replace(" ", ""):
                return
            time.sleep(0.2)
            self.look()

    def run(self):
        day = 1
        try:
            for at, kind, lasts in self.faults:
                self.until(at)
                if at > day * 86400 + 7200:
                    print(f"-- day {day}", flush=True)
                    self.tell(day * 86400)
                    day += 1
                self.suffer(kind, lasts)
                self.suffered[kind] += 1
                self.recover()
            self.until(HOURS * 3600 + 600)
        except KeyboardInterrupt:
            print(f"-- ended after {self.now() / 3600:.0f} hours", flush=True)
            return self.now() - 7200
        time.sleep(3)
        self.stop(kill=False)
        return math.inf

    def due(self, n):
        """When the alert of this customer was due; None if they were never received for long enough."""
        begin, leave = self.visits[n]
        spans = [(max(begin, up), min(leave, until, (down or self.now()) - behind), behind)
                 for up, down, behind, until in self.up]
        return min((start + behind for start, over, behind in spans if over - start >= DUE_AFTER_S), default=None)

    def tell(self, until=math.inf):
        """What became of the customers who were to be announced before `until`."""
        visits, first = defaultdict(set), {}
        messages = 0
        for line in self.heard.read_text().splitlines():
            at, topic, said = line.split(" ", 2)
            said = json.loads(said)
            if topic.endswith("arrivals"):
                messages += 1
                visits[said["client"]].add(said["visit"])
                first.setdefault(said["client"], (float(at) - self.begun) * SPEED)
        due = {f"c-{n}": self.due(n) for n in range(len(self.visits))}
        due = {client: at for client, at in due.items() if at is not None and at < until}
        lost = sorted(client for client in due if client not in first)
        doubled = sorted(client for client, ids in visits.items() if len(ids) > 1)
        late = sorted(first[client] - at for client, at in due.items() if client in first)
        print(f"seed {SEED}: {min(HOURS, self.now() / 3600):.0f} hours at {SPEED:g} times the clock's speed; faults: "
              + ", ".join(f"{kind} {number}" for kind, number in sorted(self.suffered.items())))
        starts = sorted(behind / SPEED for _, _, behind, _ in self.up)
        print(f"starts: {len(starts)}, median {starts[len(starts) // 2]:.2f} s, longest {starts[-1]:.2f} s of the clock")
        print("| alerts due | delivered | within 30 s | after more than 5 min | lost | doubled | sent again |\n"
              "|---|---|---|---|---|---|---|")
        print(f"| {len(due)} | {len(due) - len(lost)} | {sum(x <= 30 for x in late)} | {sum(x > 300 for x in late)} "
              f"| {len(lost)} | {len(doubled)} | {messages - sum(map(len, visits.values()))} |")
        memory, disk = [m for _, m, _ in self.curve], [d for _, _, d in self.curve]
        print("hour: memory in MiB / state in KiB: "
              + ", ".join(f"{t / 3600:.1f}: {m:.1f} / {d:.0f}" for t, m, d in self.curve[::max(1, len(self.curve) // 12)]))
        print(f"highest: {max(memory):.1f} MiB, {max(disk):.0f} KiB")
        for client in lost + doubled:
            n = int(client[2:])
            print(f"{client}: here {self.visits[n]}, due {due.get(client)}, visits {sorted(visits[client])}, first "
                  f"{first.get(client)}")
        sys.stdout.flush()
        return not lost and not doubled

    def close(self):
        end(self.tablet, self.broker.process)
        if self.grelot.poll() is None:
            end(self.grelot)
        if self.has_disk:
            subprocess.run(["umount", self.state], check=True)


def main():
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    with tempfile.TemporaryDirectory() as folder:
        life = Life(Path(folder))
        try:
            well = life.tell(life.run())
        finally:
            life.close()
    sys.exit(0 if well else 1)


if __name__ == "__main__":
    main()
