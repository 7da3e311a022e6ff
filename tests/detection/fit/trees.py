"""What tapes let anybody know: another way of learning, beside grelot's belief on the same scenes.

    cargo run --release --example detection -- tapes TAPES [PLACES]
    pip install scikit-learn
    python tests/detection/fit/trees.py TAPES

Gradient-boosted trees are told, twice a second, moving averages and maxima of the last seconds of
each gateway's levels and of each beacon's echoes, and say how probably the customer is inside. They
learn from calibrating.jsonl and are counted on tuning.jsonl: found within 10 s where at most 2, 5 and
8 false arrivals are made for 100 visits. In a minute that tells which places for gateways and
beacons are worth a fit of the belief; that nothing more can be found, no trees show.
"""

import json
import sys
from pathlib import Path

import numpy as np
from scipy.signal import lfilter
from sklearn.ensemble import HistGradientBoostingClassifier

STEP_S, AVERAGES_S, RECENT, EARLY_S, SOON_S, NEVER = 0.5, (1, 4, 15), 12, 5, 10, -1e3
MOST = 2, 5, 8
# Who is about to cross the threshold, or just has, teaches nothing.
CROSSING_S = -1.5, 1.0


def averages(values, there):
    """Of what was measured in a step, where something was."""
    columns = []
    for seconds in AVERAGES_S:
        kept = [1, -np.exp(-STEP_S / seconds)]
        weight = lfilter([1], kept, there.astype(float))
        mean = lfilter([1], kept, np.where(there, values, 0)) / np.maximum(weight, 1e-9)
        columns.append(np.where(weight > 1e-3, mean, np.nan))
    return [*columns, weight]


def levels(step, steps, which, values):
    """Averages of the levels of one source, the loudest so far and of late."""
    count = np.bincount(step[which], minlength=steps)
    mean = np.bincount(step[which], values[which], steps) / np.maximum(count, 1)
    loudest = np.full(steps, -120.0)
    np.maximum.at(loudest, step[which], values[which])
    late = [np.r_[np.full(back, -120.0), loudest[:steps - back]] for back in range(min(RECENT, steps))]
    return [*averages(mean, count > 0), np.maximum.accumulate(loudest), np.max(late, 0)]


def customer(line):
    """What is known at each step at which a customer was heard, how long after coming in."""
    tape = json.loads(line)
    entered = np.inf if tape["entered_s"] is None else tape["entered_s"]
    at, gateway, rssi, echo = np.array(tape["contacts"], float).T
    at = at / 1e3
    keep = at <= entered + SOON_S + 2
    at, gateway, rssi, echo = (column[keep] for column in (at, gateway, rssi, echo))
    if len(at) == 0:
        return None
    step = ((at - at[0]) / STEP_S).astype(int)
    steps = step[-1] + 1
    columns = [np.arange(steps)]
    for nth in range(len(tape["levels"])):
        columns += levels(step, steps, (gateway == nth) & (rssi != 0), rssi)
    zone, level = echo.astype(int) >> 4, echo.astype(int) & 15
    # (b) and (d) have beacons.
    for beacon in (1, 2) if tape["setup"] % 2 else ():
        columns += levels(step, steps, (zone == beacon) & (level > 0), level * 4.0 - 100)
    heard, now = np.unique(step), at[0] + STEP_S * (1 + np.arange(steps))
    return np.stack(columns, 1)[heard], (now - entered)[heard], tape["entered_s"] is not None


def read(path, setup):
    lines = (line for line in open(path) if line.startswith(f'{{"setup":{setup},'))
    return [one for one in map(customer, lines) if one]


def learn(customers):
    random = np.random.default_rng(1)
    known, inside, weights = [], [], []
    for columns, since, _ in customers:
        use = (since < CROSSING_S[0]) | (since > CROSSING_S[1])
        use &= (since > -90) | (random.random(len(since)) < 0.3)
        known.append(columns[use])
        inside.append(since[use] > 0)
        weights.append(np.full(use.sum(), 1 / np.sqrt(max(use.sum(), 1))))
    trees = HistGradientBoostingClassifier(
        max_iter=250, learning_rate=0.06, max_leaf_nodes=24, min_samples_leaf=200, l2_regularization=5, random_state=0
    )
    return trees.fit(np.concatenate(known), np.concatenate(inside), np.concatenate(weights))


def found(trees, customers):
    """The best share of visits found, by how many false arrivals are allowed for 100."""
    surest = []
    for columns, since, visits in customers:
        odds = trees.decision_function(columns)
        highest = lambda when: odds[when].max() if when.any() else NEVER
        soon = highest((since >= -EARLY_S) & (since <= SOON_S)) if visits else NEVER
        surest.append((highest(since < -EARLY_S), soon, visits))
    wrong, soon, visits = np.array(surest).T
    def at(threshold):
        timely = (visits > 0) & (wrong < threshold) & (soon >= threshold)
        return (wrong >= threshold).sum() * 100 / visits.sum(), timely.sum() * 100 / visits.sum()
    every = [at(threshold) for threshold in np.unique(np.concatenate([wrong, soon]))]
    return [max(share for false, share in every if false <= most) for most in MOST]


def main():
    folder = Path(sys.argv[1])
    for setup in range(4):
        trees = learn(read(folder / "calibrating.jsonl", setup))
        shares = found(trees, read(folder / "tuning.jsonl", setup))
        print(f"({'abcd'[setup]})", *(f"{share:.1f} % at {most}" for share, most in zip(shares, MOST)), flush=True)


if __name__ == "__main__":
    main()
