"""What the campaigns share: customers with cards, what a radio receives of them, a broker, a subscriber."""
import json
import socket
import subprocess
import time

UUID = "e2c56db5-dffb-48d2-b060-d0f5a71096e0"


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def customer(n):
    """A line of the registry."""
    consent = {"given_at": "2025-11-02T10:14:00Z", "text": "en", "show_name": False,
               "expires_at": "2099-01-01T00:00:00Z"}
    return json.dumps({"client": f"c-{n}", "tier": "gold", "scheme": "beacon", "consent": consent, "quiet": None,
                       "ibeacon": {"uuid": UUID, "major": 1, "minor": n}})


def advertisement(n):
    """Of customer n's card, as hexadecimal digits."""
    return f"0201061aff4c000215{UUID.replace('-', '')}0001{n:04x}c5"


def recorded(t, n, rssi):
    """A line of a recording."""
    return json.dumps({"t": round(t, 2), "gw": "door", "addr": f"c0:00:00:00:{n >> 8:02x}:{n & 255:02x}",
                       "kind": "random", "rssi": rssi, "adv": advertisement(n)})


def head(started_at):
    """The first line of a recording."""
    return json.dumps({"grelot": "recording", "version": 1, "started_at": started_at, "store": 42,
                       "gateways": ["door"]})


def configure(folder, port, recording, speed, state, more=""):
    """Writes the configuration of a gateway that plays a recording at `speed` times its own pace."""
    (folder / "grelot.toml").write_text(f"""
[store]
id = 42
[gateway]
name = "door"
[broker]
urls = ["mqtt://127.0.0.1:{port}"]
[[source]]
kind = "recording"
path = "{recording}"
speed = {speed}
[registry]
path = "customers.jsonl"
[state]
path = "{state}"
{more}""")


class Broker:
    """mosquitto, which keeps what it has taken over a kill."""

    def __init__(self, folder):
        self.port = free_port()
        self.configuration = folder / "mosquitto.conf"
        self.configuration.write_text(
            f"listener {self.port} 127.0.0.1\nallow_anonymous true\nuser root\npersistence true\n"
            f"persistence_location {folder}/\nautosave_on_changes true\nautosave_interval 1\n"
            "max_queued_messages 0\n")
        self.process = None
        self.start()

    def start(self):
        self.process = subprocess.Popen(["mosquitto", "-c", self.configuration], stderr=subprocess.DEVNULL)
        while True:
            try:
                socket.create_connection(("127.0.0.1", self.port)).close()
                return
            except ConnectionRefusedError:
                time.sleep(0.02)

    def kill(self):
        self.process.kill()
        self.process.wait()


def subscribe(port, form, out, *topics):
    """A tablet that the broker knows over restarts: one line a message, in `form` of mosquitto_sub."""
    asked = [word for topic in topics for word in ("-t", f"grelot/v1/42/{topic}")]
    return subprocess.Popen(["mosquitto_sub", "-V", "5", "-c", "-x", "86400", "-i", "staff", "-q", "1", "-p", str(port), "-F", form,
                             *asked], stdout=out, stderr=subprocess.DEVNULL)


def end(*processes):
    for process in processes:
        process.terminate()
        process.wait()
