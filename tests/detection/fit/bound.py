"""How much the tapes hold: a recurrent network, trained for nothing but the figures wanted, beside
grelot's belief on the same tapes and counted by the same code.

    cargo run --release --example detection -- tapes TAPES SCENES
    pip install jax optax
    python tests/detection/fit/bound.py TAPES SPOTS.json SETUP SCENES WIDTH MINUTES

SPOTS.json is what fit.py prints, SETUP is 1 for (b) and 3 for (d). Twice a second the network hears
the contacts and what the belief makes of them, and says how probably to announce the customer now.
How probably that finds a visit in time, and how probably it is false, are sums that gradients can be
taken of: it learns to make found - price * false large, and is told the price, so that one network
gives the whole trade-off. What it finds can be found; that nothing more can, no network shows.

Standard error tells what was found within 10 s where at most 5 and 2 false arrivals are made for
100 visits: on `choosing.jsonl` while it learns, in the end on tapes it learned from and on
`tuning.jsonl`, there also with price and threshold as chosen on `choosing.jsonl`.
"""

import json
import sys
import time
from pathlib import Path

import fit
import jax
import jax.numpy as jnp
import numpy as np
import optax
from model import THRESHOLD, follow

HEARD_S, EARLY_S, SOON_S = 0.5, 5, 10
LENGTHS, STEPS = [80, 160, 512, 2600], 8192
RATE, LEARNED, ASKED = 2e-3, (0.25, 8.0), np.float32([0.4, 0.8, 1.6, 3.2])
CUSTOMERS = 16
# The belief's tapes: whole, until it is too late.
fit.PASSING_S, fit.LATE_S, fit.LENGTHS = 1e6, [SOON_S] * 4, [96, 192, 384, 768, 1600, 12_288]


def customer(line):
    """One customer's contacts by half seconds; and which of the belief's readings ended each."""
    tape, line = fit.customer(line), json.loads(line)
    readings = np.cumsum(tape["gap"])
    at, gateway, rssi, echo = np.array(line["contacts"]).T
    at = (at - at[0]) / 1e3
    at, gateway, rssi, echo = (column[at <= readings[-1] + 1e-3] for column in (at, gateway, rssi, echo))
    _, last, nth = np.unique(at[::-1] // HEARD_S, return_index=True, return_inverse=True)
    last, nth = len(at) - 1 - last, nth[::-1]
    zone, level = echo[last] >> 4, echo[last] & 15
    columns = [np.log1p(np.diff(at[last], prepend=at[0])), np.log1p(at[last]) / 3]
    for beacon in (1, 2):
        echoed = (zone == beacon) & (level > 0)
        columns += [echoed, echoed * (level * 4 - 25) / 10]
    for which, levels in enumerate(line["levels"]):
        heard = (gateway == which) & (rssi != 0)
        above, count = (rssi - np.mean(levels)) / 10, np.bincount(nth[heard], minlength=len(last))
        loudest = np.full(len(last), -9.0)
        np.maximum.at(loudest, nth[heard], above[heard])
        mean = np.bincount(nth[heard], above[heard], len(last)) / np.maximum(count, 1)
        columns += [count / 2, mean, np.where(count > 0, loudest, 0)]
    return tape, np.stack(columns, 1), np.searchsorted(readings, at[last] + 1e-6, "right") - 1


def read(path, setup, scenes, spots):
    """Customers: what was heard and believed, and when; whether they come in; what `surest` says of
    the belief."""
    lines = (line for line in open(path) if line.startswith(f'{{"setup":{setup},'))
    customers = [customer(line) for line, _ in zip(lines, range(scenes * CUSTOMERS))]
    follows, found = jax.jit(lambda tapes: follow(spots, tapes)), []
    for length, size, group in alike(customers, lambda one: len(one[0]["gap"]), fit.LENGTHS, fit.READINGS):
        shares = np.array(follows(fit.pack(length, size, [tape for tape, *_ in group])[0]))
        for nth, (tape, heard, reading) in enumerate(group):
            share, entered = shares[:len(tape["gap"]), nth], tape["entered"].astype(np.float32)
            odds = np.log(share[:, THRESHOLD:].sum(1) / share[:, :THRESHOLD].sum(1))
            heard = np.column_stack([heard, np.log(share[reading]) / 4, odds[reading] / 4])
            found.append((heard.astype(np.float16), entered[reading], tape["visits"], surest(odds, entered)))
    return found


def alike(items, length, lengths, most):
    """Items side by side: how long they are at most, how many at most, and they."""
    for shortest, longest in zip([0, *lengths], lengths):
        same = [item for item in items if shortest < length(item) <= longest]
        size = max(8, most // longest)
        yield from ((longest, size, same[at:at + size]) for at in range(0, len(same), size))


def batches(customers, seed):
    random = np.random.default_rng(seed)
    customers = [customers[nth] for nth in random.permutation(len(customers))]
    work = list(alike(customers, lambda one: len(one[0]), LENGTHS, STEPS))
    for length, size, group in (work[nth] for nth in random.permutation(len(work))):
        heard = np.zeros((length, size, group[0][0].shape[1]), np.float32)
        entered, visits = np.full((length, size), np.nan, np.float32), np.zeros(size, bool)
        for nth, (one, when, visit, _) in enumerate(group):
            heard[:len(one), nth], entered[:len(one), nth], visits[nth] = one, when, visit
        yield heard, entered, visits


def network(inputs, width, seed):
    keys = iter(jax.random.split(jax.random.key(seed), 5))
    layer = lambda rows, columns: (
        jax.random.normal(next(keys), (rows, columns)) / np.sqrt(rows), jnp.zeros(columns))
    shapes = {"ear": (inputs + 1, width), "new": (width, 3 * width), "old": (width, 3 * width),
              "mind": (2 * width, width), "mouth": (width, 2)}
    return {name: layer(*shape) for name, shape in shapes.items()}


def says(p, heard, price):
    """Odds, as logarithms, with which to announce each customer now, and that they are inside."""
    through = lambda name, x: x @ p[name][0] + p[name][1]
    price = jnp.broadcast_to(jnp.log(price), heard.shape[:2])
    heard = jax.nn.relu(through("ear", jnp.concatenate([heard, price[..., None]], 2)))

    def recur(state, new):
        (keep, reset, new), (kept, again, old) = jnp.split(new, 3, 1), jnp.split(through("old", state), 3, 1)
        new = jnp.tanh(new + jax.nn.sigmoid(reset + again) * old)
        state = state + jax.nn.sigmoid(keep + kept) * (new - state)
        return state, state

    start = jnp.zeros((heard.shape[1], heard.shape[2]))
    states = jax.lax.scan(recur, start, through("new", heard), unroll=4)[1]
    said = through("mouth", jax.nn.relu(through("mind", jnp.concatenate([states, heard], 2))))
    return 0.1 * said[..., 0] + 2 * (said[..., 1] - price - 1), said[..., 1]


def cost(p, price, aside, heard, entered, visits):
    """Announced in time and not falsely, and, `aside`, how far from the truth the odds are."""
    odds, inside = says(p, heard, price)
    known = ~jnp.isnan(entered)
    odds = jnp.where(known, odds, -1e3)
    silent = jnp.cumsum(jax.nn.softplus(odds), 0) - jax.nn.softplus(odds)
    now = jnp.exp(jax.nn.log_sigmoid(odds) - silent)
    total = lambda when, what: jnp.where(when, what, 0).sum(0)
    false, soon = total(entered < -EARLY_S, now), total((entered >= -EARLY_S) & (entered <= SOON_S), now)
    surprise = total(known, jax.nn.softplus(jnp.where(entered > 0, -inside, inside)))
    each = aside * surprise / jnp.maximum(known.sum(0), 1) - (soon - price * false) / (1 + price)
    return jnp.where(known.any(0), each, 0).sum() / known.any(0).sum()


def surest(odds, entered):
    """The highest odds too early, or of somebody who never comes in, and in time."""
    highest = lambda when: np.where(when, odds, -1e3).max(0)
    return highest(entered < -EARLY_S), highest((entered >= -EARLY_S) & (entered <= SOON_S))


announce = jax.jit(lambda p, heard, price: says(p, heard, price)[0])


def judged(p, customers):
    """By price, and for each customer: `surest`, and whether they come in."""
    rules = []
    for heard, entered, visits in batches(customers, 0):
        each = [(*surest(np.array(announce(p, heard, price)), entered), visits) for price in ASKED]
        rules.append(np.array(each)[..., ~np.isnan(entered[0])])
    return np.concatenate(rules, 2)


def shares(rule, threshold):
    """Visits found in time and false arrivals, for 100 visits."""
    wrong, soon, visits = rule
    found = (visits > 0) & (wrong < threshold) & (soon >= threshold)
    return found.sum() * 100 / visits.sum(), (wrong >= threshold).sum() * 100 / visits.sum()


def best(rules, most):
    """The rule that finds most with so few false arrivals: found, false, which price and threshold."""
    every = ((*shares(rule, t), nth, t) for nth, rule in enumerate(rules) for t in np.linspace(-3, 12, 151))
    return max((one for one in every if one[1] <= most), default=(0, 0, 0, np.inf))


def report(label, rules, choosing=None):
    for most in (5, 2):
        label += "; {:.1f} at {:.1f}".format(*best(rules, most))
        if choosing is not None:
            *_, nth, threshold = best(choosing, most)
            label += " (as chosen: {:.1f} at {:.1f})".format(*shares(rules[nth], threshold))
    print(label, file=sys.stderr, flush=True)


def train(customers, choosing, width, minutes):
    descent = optax.chain(optax.clip_by_global_norm(1.0), optax.scale_by_adam())
    p = network(customers[0][0].shape[1], width, 0)
    state, started, done, epoch = descent.init(p), time.time(), 0.0, 0

    @jax.jit
    def step(p, state, rate, *batch):
        update, state = descent.update(jax.grad(cost)(p, *batch), state)
        return jax.tree.map(lambda p, update: p - rate * update, p, update), state

    while done < 1:
        epoch += 1
        random = np.random.default_rng(epoch)
        for batch in batches(customers, epoch):
            price = np.exp(random.uniform(*np.log(LEARNED), len(batch[2]))).astype(np.float32)
            rate, aside = RATE * np.cos(done * np.pi / 2) ** 2, max(1 - 5 * done, 0.1)
            p, state = step(p, state, rate, price, aside, *batch)
            done = min((time.time() - started) / 60 / minutes, 1)
        report(f"after {epoch}", judged(p, choosing))
    return p


def main():
    folder, (setup, scenes, width, minutes) = Path(sys.argv[1]), map(float, sys.argv[3:])
    spots = {name: jnp.array(value) for name, value in json.load(open(sys.argv[2])).items()}
    tapes = lambda name, scenes: read(folder / f"{name}.jsonl", int(setup), int(scenes), spots)
    customers, choosing, tuning = tapes("calibrating", scenes), tapes("choosing", 400), tapes("tuning", 400)
    p = train(customers, choosing, int(width), minutes)
    report("learned from", judged(p, customers[::max(len(customers) // len(choosing), 1)]))
    report("network", judged(p, tuning), judged(p, choosing))
    belief = lambda customers: np.array([(*surest, visits) for *_, visits, surest in customers]).T[None]
    report("belief", belief(tuning), belief(choosing))


if __name__ == "__main__":
    main()
