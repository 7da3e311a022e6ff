"""Says fitted constants as Rust does: python tests/detection/fit/spots.py <spots.json"""

import json
import math
import sys

fitted = json.load(sys.stdin)
odds = [math.exp(value) for value in fitted["first"]]
exp = lambda values: [exp(value) for value in values] if isinstance(values, list) else math.exp(values)


def rust(values, digits):
    if isinstance(values, (list, tuple)):
        return f"[{', '.join(rust(value, digits) for value in values)}]"
    return f"{values:.{digits}f}"


by_turn = lambda places: [list(zip(*place)) for place in places]
(door, inside), (door_beacon, inside_beacon) = by_turn(fitted["gateways"]), by_turn(fitted["beacons"])
(door_spread, inside_spread), (door_echo, inside_echo) = exp(fitted["spreads"]), exp(fitted["echo_spreads"])
for name, values, digits in [
    ("FIRST_HEARD", [value / sum(odds) for value in odds], 4),
    ("WAYS", exp(fitted["ways"]), 3),
    ("TURNING", exp(fitted["turning"]), 3),
    ("AT_THE_DOOR.mean", door, 1),
    ("AT_THE_DOOR.spread", door_spread, 1),
    ("DEEP_INSIDE.mean", inside, 1),
    ("DEEP_INSIDE.spread", inside_spread, 1),
    ("DOOR_BEACON.mean", door_beacon, 1),
    ("DOOR_BEACON.spread", door_echo, 1),
    ("INSIDE_BEACON.mean", inside_beacon, 1),
    ("INSIDE_BEACON.spread", inside_echo, 1),
    ("REPEATS_S (premises.rs)", math.exp(fitted["repeats"]), 2),
    ("LOUDNESS_DB (belief.rs)", math.exp(fitted["loudness"]), 1),
    ("LOUDNESS_DRIFT (belief.rs)", math.exp(fitted["drift"]), 3),
    ("ECHO_REPEATS_S (belief.rs)", math.exp(fitted["echo_repeats"]), 2),
    ("BESIDE_ECHO (belief.rs)", math.exp(fitted["beside_echo"]), 2),
]:
    print(f"{name} = {rust(values, digits)};")
