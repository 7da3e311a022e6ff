"""Home Assistant's habluetooth over the same advertisements, for instructions.sh.

Usage: habluetooth_mix.py ADVERTISEMENTS PLANNED FED [--new-addresses]

ADVERTISEMENTS is what `instructions dump` prints: seconds, address, RSSI and payload a line. They
are planned PLANNED times over, address strings and all, and fed FED times: between two runs that
differ in FED alone there is only feeding. What is fed goes through one scanner's parser and
merge and the manager's tracking, compiled (Cython) as it is installed; no one is identified.
"""

import asyncio
import logging
import sys

from bluetooth_adapters import BluetoothAdapters
from habluetooth import BaseHaRemoteScanner, BluetoothManager, set_manager

logging.disable(logging.CRITICAL)


class NoAdapters(BluetoothAdapters):
    """A machine without Bluetooth: advertisements come from a remote scanner."""

    history = {}
    adapters = {}
    default_adapter = ""

    async def refresh(self):
        """Nothing to refresh."""


class Manager(BluetoothManager):
    """Home Assistant passes what is discovered on to integrations; here there are none."""

    def _discover_service_info(self, service_info):
        pass


async def main(path, planned, fed, new_addresses):
    with open(path) as lines:
        mix = [line.split() for line in lines]
    mix = [
        (float(t), address.upper(), int(rssi), bytes.fromhex(payload))
        for t, address, rssi, payload in (row + [""] * (4 - len(row)) for row in mix)
    ]
    span = mix[-1][0] + 0.002
    plan = []
    for round_ in range(planned):
        for place, (t, address, rssi, payload) in enumerate(mix):
            if new_addresses:
                number = (round_ * len(mix) + place) | 0x4000_0000_0000
                octets = number.to_bytes(6, "big").hex().upper()
                address = ":".join(octets[i : i + 2] for i in range(0, 12, 2))
            plan.append((address, rssi, payload, 1000.0 + round_ * span + t))

    manager = Manager(NoAdapters())
    manager._loop = asyncio.get_running_loop()
    set_manager(manager)
    scanner = BaseHaRemoteScanner("AA:BB:CC:DD:EE:FF", "door", None, False)
    manager.async_register_scanner(scanner)
    details = {}
    hear = scanner._async_on_raw_advertisement
    for address, rssi, payload, t in plan[: fed * len(mix)]:
        hear(address, rssi, payload, details, t)
    print(f"{fed * len(mix)} advertisements, {len(manager._all_history)} addresses", file=sys.stderr)


asyncio.run(
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), "--new-addresses" in sys.argv)
)
