"""Fits the network that turns the presence filter's state into a confidence.

    cargo run --release --example judge -- rows ROWS
    python tests/detection/fit/head.py ROWS >src/pipeline/presence/head_fitted.rs

ROWS has a row of 32-bit floats for each contact of random shops: shop, customer, seconds, inside or not,
seconds since entering, whether this customer comes in at all, and the inputs of the network. Two thirds of
the shops are for fitting. Needs numpy and scikit-learn. The report goes to standard error.
"""

import sys

import numpy as np
from sklearn.neural_network import MLPClassifier

ABOUT, UNITS, FURTHEST = 6, 24, 4.0


def log(*words):
    print(*words, file=sys.stderr, flush=True)


def load(path):
    raw = np.fromfile(path, dtype=np.float32)
    inputs = 21
    rows = raw.reshape(-1, ABOUT + inputs)
    return rows[np.lexsort((rows[:, 2], rows[:, 1], rows[:, 0]))]


def evaluate(rows, sure, least, name):
    """Announces each customer once, the first time they are this sure."""
    who = rows[:, 0].astype(np.int64) * 1000 + rows[:, 1].astype(np.int64)
    everybody, first = np.unique(who, return_index=True)
    visits = int(rows[first, 5].sum())
    at = np.flatnonzero(sure >= least)
    _, nth = np.unique(who[at], return_index=True)
    at = at[nth]
    right, since = rows[at, 3] > 0, rows[at, 4]
    of = lambda some: 100 * np.count_nonzero(some) / max(visits, 1)
    log(
        f"{name} {least}: {of(right & (since <= 10)):.0f} / {of(right & (since <= 60)):.0f} / {of(~right):.1f},"
        f" right {100 * np.mean(right) if len(right) else 0:.1f} %"
    )


def rust(values, digits=4):
    if np.ndim(values) == 0:
        return f"{values:.{digits}f}"
    return "[" + ", ".join(rust(value, digits) for value in values) + "]"


def main():
    rows = load(sys.argv[1])
    chance = np.random.default_rng(1)
    inputs, inside = rows[:, ABOUT:], rows[:, 3]
    fitting = rows[:, 0].astype(int) % 3 != 0
    # Customers who have been inside for long are easy cases, and there are many.
    counts = (inside == 0) | (rows[:, 4] < 60) | (chance.random(len(rows)) < 0.15)
    nth = np.flatnonzero(fitting & counts)
    nth = chance.choice(nth, min(len(nth), int(sys.argv[2]) if len(sys.argv) > 2 else 1_500_000), replace=False)
    mean, scale = inputs[nth].mean(0), 1 / np.maximum(inputs[nth].std(0), 1e-3)
    scaled = lambda some: np.clip((some - mean) * scale, -FURTHEST, FURTHEST)
    network = MLPClassifier((UNITS,), max_iter=14, batch_size=4000, learning_rate_init=0.004, random_state=1)
    network.fit(scaled(inputs[nth]), inside[nth])
    (hidden, out), (hidden_bias, bias) = network.coefs_, network.intercepts_
    held = np.flatnonzero(~fitting)
    value = np.maximum(scaled(inputs[held]) @ hidden + hidden_bias, 0) @ out[:, 0] + bias[0]
    sure = 1 / (1 + np.exp(-value))
    some = counts[held]
    wrong = np.where(inside[held] > 0, -np.log(sure + 1e-9), -np.log(1 - sure + 1e-9))
    log("log-loss", round(float(wrong[some].mean()), 4), "of", len(nth), "rows")
    equipment = rows[held, 0].astype(int) % 7
    for kind in range(7):
        some = equipment == kind
        evaluate(rows[held][some], sure[some], 0.95, f"equipment {kind}")
    for least in (0.8, 0.9, 0.95, 0.98):
        evaluate(rows[held], sure, least, "all")
    vectors = lambda some: np.reshape(some, (UNITS // 8, 8))
    print("//! Weights of the network in `head.rs`, fitted by `tests/detection/fit/head.py`.\n")
    print("/// How many numbers the network looks at.")
    print(f"pub const INPUTS: usize = {inputs.shape[1]};")
    print("/// Hidden units, in vectors of eight.")
    print(f"pub const UNITS: usize = {UNITS // 8};")
    print("/// Means of the inputs.")
    print(f"pub static MEAN: [f32; INPUTS] = {rust(mean)};")
    print("/// One over their standard deviations.")
    print(f"pub static SCALE: [f32; INPUTS] = {rust(scale)};")
    print("/// From each input to the hidden units.")
    print(f"pub static HIDDEN: [[[f32; 8]; UNITS]; INPUTS] = {rust([vectors(row) for row in hidden])};")
    print("/// Biases of the hidden units.")
    print(f"pub static HIDDEN_BIAS: [[f32; 8]; UNITS] = {rust(vectors(hidden_bias))};")
    print("/// From the hidden units to the log-odds.")
    print(f"pub static OUT: [[f32; 8]; UNITS] = {rust(vectors(out[:, 0]))};")
    print("/// Its bias.")
    print(f"pub const BIAS: f32 = {rust(bias[0])};")


if __name__ == "__main__":
    main()
