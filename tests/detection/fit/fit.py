"""Fits the constants of src/pipeline/presence/spots.rs to simulated scenes.

    cargo run --release --example detection -- tapes TAPES
    pip install jax optax
    python tests/detection/fit/fit.py TAPES MINUTES [BEGIN_WITH.json] >SPOTS.json
    python tests/detection/fit/spots.py SPOTS.json >src/pipeline/presence/fitted.rs

Gradient descent through the filter itself. What is made small, for each customer: how surely
they were announced before they came in (or though they never did), how unsurely within ten and
within thirty seconds after (two minutes with one gateway and no echoes); and, a little, how far each
moment's odds are from the truth. At first the worst mistakes are the most urgent ones; in the end a
mistake is a mistake, and the doubtful cases count. Scenes are the calibrating ones, of the usual
shop and of others; standard error tells how the tuning ones fare meanwhile: found within 10 s where
at most 8, 5 and 2 false arrivals are made for 100 visits.
"""

import json
import sys
import time
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import optax
from model import THRESHOLD, follow, guess, log_odds

ANNOUNCED = float(np.log(0.9 / 0.1))
SOFTNESS = 0.8
EARLY_S, SOON_S, PASSING_S, INSIDE_S = 5, 10, 120, 20
# Until when, by setup, (a) to (d).
LATE_S = [120, 30, 30, 30]
# How much each setup counts, (a) to (d); and a false arrival there against a late one.
SETUPS, FALSE = [1.2, 1.5, 1.0, 1.5], jnp.array([6.0, 1.6, 3.5, 2.0])
LENGTHS = [96, 192, 384, 768, 1600]
READINGS = 49_152
# The step's length as it begins; and how far mistakes become alike, between which parts of the time.
RATE, ALIKE, FROM, UNTIL = 0.02, 0.8, 0.3, 0.7
NEVER = -1e3


def customer(line):
    """One customer's tape: readings of one packet by several gateways become one moment."""
    tape = json.loads(line)
    entered = tape["entered_s"]
    times = np.array([contact[0] for contact in tape["contacts"]]) / 1e3
    until = times[0] + PASSING_S if entered is None else max(entered + LATE_S[tape["setup"]], times[0])
    # One gateway alone is the one inside, second of two.
    alone = 2 - len(tape["levels"])
    moments, heard_at, echoed_at, said = [], {}, -100.0, 0
    for at, (_, gateway, rssi, echo) in zip(times, tape["contacts"]):
        gateway += alone
        if at > until:
            break
        if not moments or at - moments[-1]["at"] > 1e-3 or moments[-1]["heard"][gateway]:
            zone, level = echo >> 4 if echo & 15 else 0, echo & 15
            moments.append({
                "at": at, "rssi": [0.0, 0.0], "heard": [0.0, 0.0], "since": [100.0, 100.0],
                "zone": zone, "echo": level * 4.0 - 100, "echo_since": at - echoed_at,
                "echo_new": float(zone > 0 and echo != said),
            })
            echoed_at, said = (at, echo) if zone else (echoed_at, said)
        moment = moments[-1]
        moment["rssi"][gateway], moment["heard"][gateway] = rssi, float(rssi != 0)
        moment["since"][gateway], heard_at[gateway] = at - heard_at.get(gateway, -100.0), at
    moments = moments[-LENGTHS[-1]:]
    columns = {name: np.array([moment[name] for moment in moments]) for name in moments[0]}
    columns["gap"] = np.diff(columns["at"], prepend=columns["at"][0])
    columns["entered"] = columns.pop("at") - (np.inf if entered is None else entered)
    levels = [[-70.0, -78.0]] * alone + tape["levels"]
    return {"setup": tape["setup"], "visits": entered is not None, "levels": levels, **columns}


def read(folder, names):
    lines = (line for name in names for line in open(folder / f"{name}.jsonl"))
    return [customer(line) for line in lines]


def batches(customers, seed):
    random, work = np.random.default_rng(seed), []
    for shortest, longest in zip([0, *LENGTHS], LENGTHS):
        alike = [c for c in customers if shortest < len(c["gap"]) <= longest]
        random.shuffle(alike)
        size = max(16, READINGS // longest)
        work += [(longest, size, alike[at:at + size]) for at in range(0, len(alike), size)]
    for nth in random.permutation(len(work)):
        yield pack(*work[nth])


def pack(length, size, customers):
    """Customers side by side, padded to one shape so that one compilation serves all."""
    zeros = lambda *shape: np.zeros((length, size, *shape), np.float32)
    tapes = {name: zeros(2) for name in ("rssi", "heard", "since")}
    tapes |= {name: zeros() for name in ("gap", "echo", "echo_since", "echo_new")}
    tapes |= {"levels": zeros(2, 2) + np.float32([-70, -78])}
    tapes |= {"zone": zeros().astype(np.int32)}
    entered, setup = zeros() + np.inf, np.full(size, -1)
    visits, counts = np.zeros(size, bool), np.zeros(size, np.float32)
    for nth, customer in enumerate(customers):
        end = len(customer["gap"])
        for name in ("rssi", "heard", "since", "gap", "echo", "echo_since", "echo_new", "zone"):
            tapes[name][:end, nth] = customer[name]
        tapes["levels"][:, nth] = customer["levels"]
        entered[:end, nth] = np.maximum(customer["entered"], -1e6)
        setup[nth], visits[nth] = customer["setup"], customer["visits"]
        counts[nth] = SETUPS[customer["setup"]]
    return tapes, entered, visits, counts, setup


def surest(odds, entered):
    """The highest odds before coming in, soon after, and in the end."""
    highest = lambda when: jnp.where(when, odds, NEVER).max(0)
    came = (entered >= -EARLY_S) & (entered < np.inf)
    return highest(entered < -EARLY_S), highest(came & (entered <= SOON_S)), highest(came)


def cost(p, alike, tapes, entered, visits, counts, setup):
    odds = log_odds(p, tapes)
    wrong, soon, late = surest(odds, entered)
    def over(odds):
        mistake = odds / SOFTNESS
        return (1 - alike) * jax.nn.softplus(mistake) + alike * 2.5 * jax.nn.sigmoid(mistake)
    announced = jnp.where(wrong > NEVER, over(wrong - ANNOUNCED), 0)
    missed = lambda odds: jnp.where(visits & (odds > NEVER), over(ANNOUNCED - odds), 0)
    known = (entered < np.inf) & (jnp.abs(entered) > 1)
    surprise = jax.nn.softplus(jnp.where(entered > 0, -odds, odds))
    surprise = jnp.where(known, surprise, 0).sum(0) / jnp.maximum(known.sum(0), 1)
    each = FALSE[setup] * announced + missed(soon) + missed(late) + 0.3 * surprise
    return (counts * each).sum() / jnp.maximum(counts.sum(), 1e-6)


def report(p, customers, label):
    columns = []
    for tapes, entered, visits, _, setup in batches(customers, 0):
        wrong, soon, _ = jax.jit(lambda p, *of: surest(log_odds(p, of[0]), of[1]))(p, tapes, entered)
        columns.append(np.stack([wrong, soon, visits, setup]))
    wrong, soon, visits, setup = np.concatenate(columns, 1)
    for nth in range(4):
        of, all_visits = setup == nth, ((setup == nth) & (visits > 0)).sum()
        def at(threshold):
            false = of & (wrong >= threshold)
            found = of & (visits > 0) & ~false & (soon >= threshold)
            return false.sum() * 100 / all_visits, found.sum() * 100 / all_visits
        every = [at(threshold) for threshold in np.linspace(-2, 12, 281)]
        best = [max((found for false, found in every if false <= most), default=0) for most in (8, 5, 2)]
        print(label, "abcd"[nth], *(f"{share:.1f}" for share in best), file=sys.stderr, flush=True)


def known_inside(p, customers):
    """Where those are who have been inside for a while, as far as can be said."""
    total = 0
    for tapes, entered, *_ in batches(customers, 0):
        late = (entered > INSIDE_S) & (entered < np.inf)
        total += np.array(jax.jit(follow)(p, tapes))[late].sum(0)
    inside = np.where(np.arange(len(total)) < THRESHOLD, 0, total)
    return inside / inside.sum()


def main():
    folder, minutes = Path(sys.argv[1]), float(sys.argv[2])
    begun = guess()
    if len(sys.argv) > 3:
        begun = {name: jnp.array(value) for name, value in json.load(open(sys.argv[3])).items() if name in begun}
    customers = read(folder, ["calibrating", "calibrating-others"])
    tuning = read(folder, ["tuning"])
    # Levels move by decibels, the logarithms of the rest by tenths.
    scale = {name: 8.0 if name in ("gateways", "beacons") else 1.0 for name in begun}
    scaled = {name: begun[name] / scale[name] for name in begun}
    whole = lambda scaled: {name: scaled[name] * scale[name] for name in scaled}
    descent = optax.chain(optax.clip_by_global_norm(3.0), optax.scale_by_adam())
    state, started, epoch, done = descent.init(scaled), time.time(), 0, 0.0

    @jax.jit
    def step(scaled, state, rate, alike, *batch):
        gradient = jax.grad(lambda scaled: cost(whole(scaled), alike, *batch))(scaled)
        update, state = descent.update(jax.tree.map(jnp.nan_to_num, gradient), state)
        return jax.tree.map(lambda now, update: now - rate * update, scaled, update), state

    while done < 1:
        epoch += 1
        for batch in batches(customers, epoch):
            rate = RATE * np.cos(done * np.pi / 2) ** 2 + 1e-4
            alike = ALIKE * np.clip((done - FROM) / (UNTIL - FROM), 0, 1)
            scaled, state = step(scaled, state, rate, alike, *batch)
            done = min((time.time() - started) / 60 / minutes, 1)
            if done == 1:
                break
        report(whole(scaled), tuning, f"after {epoch}")
    found = {**whole(scaled), "known_inside": known_inside(whole(scaled), tuning)}
    json.dump({name: np.round(value, 4).tolist() for name, value in found.items()}, sys.stdout)


if __name__ == "__main__":
    main()
