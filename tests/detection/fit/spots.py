"""Writes what fit.py found as Rust: python tests/detection/fit/spots.py SPOTS.json >src/pipeline/presence/fitted.rs"""

import json
import math
import sys

fitted = json.load(open(sys.argv[1]))
exp = lambda values: [exp(value) for value in values] if isinstance(values, list) else math.exp(values)
share = lambda odds: [math.exp(value) / sum(map(math.exp, odds)) for value in odds]


def moves():
    """How often in a second people go from one spot (the row) to another; no spot is left more often
    than fit.py lets it be; those who leave are in the diagonal, below zero."""
    rates = exp(fitted["ways"])
    for nth, row in enumerate(rates):
        row[nth] = 0
        row[:] = [rate * min(1, 0.95 / sum(row)) for rate in row]
        row[nth] = -sum(row) - math.exp(fitted["gone"][nth])
    return rates


def rust(values, digits):
    if isinstance(values, list):
        return f"[{', '.join(rust(value, digits) for value in values)}]"
    return f"{values:.{digits}f}"


def profile(means, spreads, skew):
    # As in model.py.
    spreads = [max(spread, 3.5) for spread in exp(spreads)]
    return f"Profile {{ mean: {rust(means, 1)}, spread: {rust(spreads, 1)}, skew: {rust(math.exp(skew), 2)} }}"


def constant(what, name, kind, value):
    print(f"\n/// {what}\npub const {name}: {kind} = {value};")


print("""//! Constants of the presence filter, found by `tests/detection/fit/fit.py` and written by
//! `spots.py` beside it; `spots.rs` says what is what.

use super::spots::{BySpot, Profile};""")
constant("Where somebody is who is heard for the first time.", "FIRST_HEARD", "BySpot", rust(share(fitted["first"]), 4))
constant("Where somebody is who is known to be inside.", "KNOWN_INSIDE", "BySpot", rust(fitted["known_inside"], 3))
constant("How often in a second those on a spot (the row) move to another (the column); those who leave\n"
         "/// the spot are in the diagonal, below zero, and more of them than arrive elsewhere: some leave\n"
         "/// for good, and are heard no more.", "MOVES", "BySpot<BySpot>", rust(moves(), 4))
for nth, (gateway, what) in enumerate([
    ("AT_THE_DOOR", "A gateway at the door: in dB from the level of the spot's side."),
    ("WITHIN", "One four metres behind the door: the same, where its two levels are 10 dB apart."),
]):
    constant(what, gateway, "Profile", profile(fitted["gateways"][nth], fitted["spreads"][nth], fitted["skew"][nth]))
for nth, (beacon, what) in enumerate([
    ("DOOR_BEACON", "How loud a phone hears the beacon at the door, in dBm. It averages a few packets; the body it is\n"
                    "/// carried on does not average out."),
    ("INSIDE_BEACON", "The same of the beacon inside."),
]):
    constant(what, beacon, "Profile", profile(fitted["beacons"][nth], fitted["echo_spreads"][nth], 0.0))
for what, name, value, digits in [
    ("Readings of one gateway closer together than this, in seconds, repeat each other.", "REPEATS_S", "repeats", 2),
    ("Echoes that say the same, closer together than this, in seconds, repeat each other.", "ECHO_REPEATS_S", "echo_repeats", 2),
    ("What an echo counts that says something else than the last one.", "NEW_ECHO", "echo_new", 2),
    ("Beside an echo a level counts so much: the same body and the same walls have shadowed both.", "BESIDE_ECHO", "beside_echo", 2),
    ("How much louder than usual a loud phone is, and quieter a quiet one, in dB.", "LOUDER_DB", "loudness", 1),
    ("A phone becomes one step louder or quieter so often in a second: moved, pocketed.", "LOUDNESS_DRIFT", "drift", 3),
]:
    constant(what, name, "f32", rust(math.exp(fitted[value]), digits))
