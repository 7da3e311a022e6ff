"""Says fitted constants as Rust does: python tests/detection/fit/spots.py <spots.json"""

import json
import math
import sys

fitted = json.load(sys.stdin)
odds = [math.exp(value) for value in fitted["first"]]
exp = lambda values: [exp(value) for value in values] if isinstance(values, list) else math.exp(values)


def rust(values, digits):
    if isinstance(values, list):
        return f"[{', '.join(rust(value, digits) for value in values)}]"
    return f"{values:.{digits}f}"


(door, inside), (door_beacon, inside_beacon) = fitted["gateways"], fitted["beacons"]
(door_spread, inside_spread), repeats = exp(fitted["spreads"]), math.exp(fitted["repeats"])
for name, values, digits in [
    ("FIRST_HEARD", [value / sum(odds) for value in odds], 4),
    ("WAYS", exp(fitted["ways"]), 3),
    ("TURNING", exp(fitted["turning"]), 3),
    ("AT_THE_DOOR.dbm", door, 1),
    ("AT_THE_DOOR.spread_db", door_spread, 1),
    ("AT_THE_DOOR.repeats_s", repeats, 2),
    ("DEEP_INSIDE.dbm", inside, 1),
    ("DEEP_INSIDE.spread_db", inside_spread, 1),
    ("DEEP_INSIDE.repeats_s", repeats, 2),
    ("DOOR_BEACON_DBM", door_beacon, 1),
    ("INSIDE_BEACON_DBM", inside_beacon, 1),
    ("ECHO_SPREAD_DB", exp(fitted["echo_spreads"]), 1),
    ("LOUDNESS_DB", math.exp(fitted["loudness"]), 1),
    ("LOUDNESS_DRIFT", math.exp(fitted["drift"]), 3),
    ("ECHO_REPEATS_S", math.exp(fitted["echo_repeats"]), 2),
    ("BESIDE_ECHO", math.exp(fitted["beside_echo"]), 2),
]:
    print(f"{name} = {rust(values, digits)};")
