"""What the walks of rssi_walk_position_danis allow at most: for each number of entries found, the
false arrivals that the best threshold makes, where that threshold is chosen afterwards, on the very
walks it is counted on.

    pip install numpy scipy
    python tests/detection/fit/walks.py DATA_DIR/rssi_walk_position_danis [ENTER_M LEAVE_M]

Two things are put to the threshold, both causal: with one receiver its level, of a moving average
over the last seconds; with twelve how probably the walker is near, by a filter over a grid of half
metres that knows where the receivers are, how fast people walk and, from the calibrating walk, how
each receiver's level falls with distance. An arrival counts for an entry from 5 s before it until
the walker has left; every other place of a walk whose highest value reaches the threshold is one
false arrival.
"""

import csv
import sys
from collections import defaultdict
from pathlib import Path

import numpy as np
from scipy.ndimage import gaussian_filter

CALIBRATING = "rectangular_without_rotation"
EARLY_S, NEAR_M, WALKS_M_PER_S, GRID_M = 5, 3.5, 1.0, 0.5
# The grid filter's scatter in dB (a t distribution, so that an odd level does no harm), and what a
# reading counts beside the others of the same moment.
SPREAD_DB, WEIGHTS = 7.0, (1.0, 0.5, 0.25)


def read(folder):
    """Receivers' places; and each walk: time, receiver, level, distance."""
    places = {row["sensor"]: (float(row["x_m"]), float(row["y_m"])) for row in csv.DictReader(open(folder / "sensors.csv"))}
    names, walks = sorted(places), defaultdict(list)
    for row in csv.DictReader(open(folder / "tracks.csv")):
        reading = (row["t_rel_s"], names.index(row["sensor"]), row["rssi_dbm"], row["distance_to_sensor_m"])
        walks[row["track"]].append(tuple(map(float, reading)))
    return np.array([places[name] for name in names]), {name: np.array(sorted(walk)) for name, walk in walks.items()}


def line(walk, receivers):
    """What each receiver measures at 1 m, and how much that falls in ten times the distance."""
    of = walk[:, 1].astype(int)
    columns = np.zeros((len(walk) + receivers, receivers + 1))
    columns[np.arange(len(walk)), of] = 1
    columns[:len(walk), -1] = -np.log10(walk[:, 3])
    # Receivers are alike, unless they say otherwise.
    columns[len(walk):, :-1] = 3 * (np.eye(receivers) - 1 / receivers)
    levels = np.linalg.lstsq(columns, np.r_[walk[:, 2], np.zeros(receivers)], rcond=None)[0]
    return levels[:-1], levels[-1]


def stays(times, metres, enter, leave):
    """When somebody was there, from and until; and whether they were seen to come."""
    inside, found = None, []
    for at, away in zip(times, metres):
        if not inside and away < enter:
            found.append([at, np.inf, inside is not None])
            inside = True
        elif inside and away > leave:
            found[-1][1], inside = at, False
        inside = bool(inside)
    return found


def moving(times, levels, seconds):
    """The mean of the last seconds, beginning faint."""
    weights = np.tril(np.exp(-np.maximum(times[:, None] - times, 0) / seconds))
    return (weights @ levels - 3.6) / (weights.sum(1) + 0.3)


def nearness(walk, places, at_1_m, falls, weight):
    """How probably the walker is near each receiver, after each reading."""
    xs, ys = np.meshgrid(*(np.arange(-1, np.max(places[:, axis]) + 8, GRID_M) for axis in (0, 1)))
    away = np.linalg.norm(np.stack([xs, ys], -1)[:, :, None] - places, axis=3)
    usual = at_1_m - falls * np.log10(np.maximum(away, GRID_M))
    share, then, found = np.ones(xs.shape) / xs.size, walk[0, 0], []
    for at, receiver, level, _ in walk:
        if at - then > 0.02:
            share, then = gaussian_filter(share, WALKS_M_PER_S * np.sqrt(at - then) / GRID_M, mode="nearest"), at
        off = (level - usual[..., int(receiver)]) / SPREAD_DB
        share = share * np.exp(-2.5 * weight * np.log1p(off**2 / 4))
        share = share / share.sum() + 1e-7
        found.append([share[away[..., nth] < NEAR_M].sum() for nth in range(len(places))])
    return np.array(found)


def count(label, walks, values, doors):
    """`values` of a walk and a receiver: when, and what is put to the threshold."""
    entries, elsewhere = [], []
    for name, walk in walks.items():
        for receiver in np.unique(walk[:, 1]):
            times, value = values(name, int(receiver))
            own = walk[walk[:, 1] == receiver]
            outside = np.ones(len(times), bool)
            for since, until, came in stays(own[:, 0], own[:, 3], *doors):
                there = (times >= since - EARLY_S) & (times <= until)
                outside &= ~there
                entries += [value[there].max()] if came else []
            elsewhere += [value[outside].max()] if outside.any() else []
    false = [(np.array(elsewhere) >= least).sum() for least in sorted(entries)]
    shown = ", ".join(f"{len(entries) - nth} with {false}" for nth, false in enumerate(false[:6]))
    print(f"{label}: of {len(entries)} entries, with so many false arrivals: {shown}")


def main():
    places, walks = read(Path(sys.argv[1]))
    doors = tuple(map(float, sys.argv[2:4])) or (3.0, 5.0)
    at_1_m, falls = line(walks.pop(CALIBRATING), len(places))

    def level(seconds):
        def values(name, receiver):
            own = walks[name][walks[name][:, 1] == receiver]
            return own[:, 0], moving(own[:, 0], own[:, 2] - at_1_m[receiver], seconds)
        return values

    for seconds in (0.5, 1.0, 2.0):
        count(f"one receiver, {seconds:g} s", walks, level(seconds), doors)
    for weight in WEIGHTS:
        near = {name: nearness(walk, places, at_1_m, falls, weight) for name, walk in walks.items()}
        count(f"twelve, readings count {weight:g}", walks, lambda name, nth: (walks[name][:, 0], near[name][:, nth]), doors)


if __name__ == "__main__":
    main()
