"""Fits the recurrent network of the presence filter on random shops.

    cargo run --release --example judge -- rows ROWS 17280
    python tests/detection/fit/recurrent.py ROWS >src/pipeline/presence/recurrent_fitted.rs

ROWS has a row of 32-bit floats for each step of each customer of random shops: shop, customer, seconds, inside
or not, seconds since entering, whether this customer comes in at all, and the inputs of the network. Of ten
shops nine are for fitting. Needs numpy and torch; about 25 minutes on two busy cores, after a quarter of an
hour for the rows of 15 GB. The report goes to standard error.

With a second argument, a file that it printed before, it begins with these weights, and changes them less: for
the upper bound, whose rows are of fewer shops. (The report's kinds of equipment are the family's; of other rows
only its last lines, of all, mean something.)

    cargo run --release --example judge -- bound ROWS 36
    python tests/detection/fit/recurrent.py ROWS src/pipeline/presence/recurrent_fitted.rs >bound.rs
"""

import json
import re
import sys
import time

import numpy as np
import torch
from torch import nn

ABOUT, INPUTS = 6, 64
UNITS, MIDDLE = 48, 16
EPOCHS, BATCH, RATE, RATE_GOING_ON = 4, 96, 5e-3, 1e-3
# A customer who has been inside for long is an easy case, and there are many.
LONG_S, LONG_COUNTS = 40, 0.15


def log(*words):
    print(*words, file=sys.stderr, flush=True)


class Network(nn.Module):
    def __init__(self):
        super().__init__()
        self.features, self.gru = nn.Linear(INPUTS, UNITS), nn.GRU(UNITS, UNITS, batch_first=True)
        self.middle, self.out = nn.Linear(UNITS, MIDDLE), nn.Linear(MIDDLE, 1)

    def forward(self, inputs):
        units, _ = self.gru(torch.relu(self.features(inputs)))
        return self.out(torch.relu(self.middle(units)))[..., 0], units


def customers(path):
    rows = np.memmap(path, dtype=np.float32, mode="r").reshape(-1, ABOUT + INPUTS)
    who = rows[:, 0].astype(np.int64) * 1000 + rows[:, 1].astype(np.int64)
    bounds = [0, *(np.flatnonzero(np.diff(who)) + 1), len(rows)]
    return [rows[start:end] for start, end in zip(bounds, bounds[1:])]


def batches(of, chance=None, size=BATCH):
    longer = [len(rows) + (30 * chance.random() if chance else 0) for rows in of]
    order = np.argsort(longer)
    chunks = [order[at : at + size] for at in range(0, len(order), size)]
    if chance:
        chance.shuffle(chunks)
    for chunk in chunks:
        shape = (len(chunk), max(len(of[nth]) for nth in chunk))
        inputs, inside = np.zeros((*shape, INPUTS), np.float32), np.zeros(shape, np.float32)
        counts = np.zeros(shape, np.float32)
        for row, nth in enumerate(chunk):
            rows = of[nth]
            inputs[row, : len(rows)], inside[row, : len(rows)] = rows[:, ABOUT:], rows[:, 3]
            is_long = (rows[:, 3] > 0) & (rows[:, 4] > LONG_S)
            counts[row, : len(rows)] = np.where(is_long, LONG_COUNTS, 1)
        yield chunk, *map(torch.from_numpy, (inputs, inside, counts))


def loss_of(network, inputs, inside, counts):
    value, _ = network(inputs)
    each = nn.functional.binary_cross_entropy_with_logits(value, inside, reduction="none")
    return (each * counts).sum(), counts.sum()


def read(network, path):
    """Takes the weights over from a file that `main` printed."""
    text = open(path).read()

    def value(name, *shape):
        literal = re.search(rf"pub (?:static|const) {name}: [^=]+ = ([^;]+);", text)[1]
        literal = re.sub(r",\s*\]", "]", literal)
        return torch.tensor(json.loads(literal), dtype=torch.float32).reshape(shape)

    biases = value("BIAS", 3 * UNITS)
    hidden_biases = torch.cat([torch.zeros(2 * UNITS), value("NEW_BIAS", UNITS)])
    network.load_state_dict(
        {
            "features.weight": value("INPUT", INPUTS, UNITS).T,
            "features.bias": value("INPUT_BIAS", UNITS),
            "gru.weight_ih_l0": value("FROM_FEATURE", UNITS, 3 * UNITS).T,
            "gru.weight_hh_l0": value("FROM_HIDDEN", UNITS, 3 * UNITS).T,
            "gru.bias_ih_l0": biases,
            "gru.bias_hh_l0": hidden_biases,
            "middle.weight": value("MIDDLE", UNITS, MIDDLE).T,
            "middle.bias": value("MIDDLE_BIAS", MIDDLE),
            "out.weight": value("OUT", 1, MIDDLE),
            "out.bias": value("OUT_BIAS", 1),
        }
    )


def fit(network, fitting, held, rate):
    chance = np.random.default_rng(1)
    optimiser = torch.optim.AdamW(network.parameters(), lr=rate, weight_decay=1e-3)
    steps = EPOCHS * (len(fitting) // BATCH + 1)
    rates = torch.optim.lr_scheduler.OneCycleLR(optimiser, rate, total_steps=steps)
    begun = time.time()
    for epoch in range(EPOCHS):
        sums = []
        for _, *batch in batches(fitting, chance):
            loss, count = loss_of(network, *batch)
            optimiser.zero_grad()
            (loss / count).backward()
            nn.utils.clip_grad_norm_(network.parameters(), 1.0)
            optimiser.step()
            rates.step()
            sums.append((loss.item(), count.item()))
        with torch.no_grad():
            others = [tuple(map(float, loss_of(network, *batch))) for _, *batch in batches(held, size=256)]
        mean = lambda some: sum(loss for loss, _ in some) / sum(count for _, count in some)
        log(f"{epoch}: log-loss {mean(sums):.4f}, on held-out shops {mean(others):.4f}, {time.time() - begun:.0f} s")


def evaluate(network, of, name):
    """Announces each customer once, the first time the network is this sure."""
    sure = [None] * len(of)
    with torch.no_grad():
        for chunk, inputs, _, _ in batches(of, size=256):
            values = torch.sigmoid(network(inputs)[0]).numpy()
            for row, nth in enumerate(chunk):
                sure[nth] = values[row, : len(of[nth])]
    visits = max(sum(rows[0, 5] for rows in of), 1)
    for least in (0.8, 0.9, 0.95, 0.98):
        first = [(rows, np.flatnonzero(some >= least)) for rows, some in zip(of, sure)]
        hits = [(rows[at[0], 3] > 0, rows[at[0], 4]) for rows, at in first if len(at)]
        share = lambda some: 100 * sum(some) / visits
        log(
            f"{name} {least}: {share(inside and since <= 10 for inside, since in hits):.0f}"
            f" / {share(inside and since <= 60 for inside, since in hits):.0f}"
            f" / {share(not inside for inside, _ in hits):.1f},"
            f" right {100 * np.mean([inside for inside, _ in hits]):.1f} %"
        )


def usual_inside(network, of):
    """The units of customers who have been inside for a minute or more, on average."""
    sums, count = np.zeros(UNITS), 0
    with torch.no_grad():
        for chunk, inputs, inside, _ in batches(of, size=256):
            units = network(inputs)[1].numpy()
            for row, nth in enumerate(chunk):
                rows = of[nth]
                stays = (rows[:, 3] > 0) & (rows[:, 4] > 60)
                sums += units[row, : len(rows)][stays].sum(0)
                count += stays.sum()
    return np.rint(sums / count * 127).astype(int)


def rust(values):
    if np.ndim(values) == 0:
        return str(values) if isinstance(values, (int, np.integer)) else f"{values:.4f}"
    return "[" + ", ".join(map(rust, values)) + "]"


def main():
    torch.manual_seed(1)
    everyone = customers(sys.argv[1])
    fitting = [rows for rows in everyone if int(rows[0, 0]) % 10 != 0]
    held = [rows for rows in everyone if int(rows[0, 0]) % 10 == 0]
    log(len(fitting), "customers for fitting,", len(held), "held out")
    network, rate = Network(), RATE
    if len(sys.argv) > 2:
        read(network, sys.argv[2])
        rate = RATE_GOING_ON
    fit(network, fitting, held, rate)
    for kind in range(9):
        some = [rows for rows in held if int(rows[0, 0] + 200_000) % 9 == kind]
        if some:
            evaluate(network, some, f"equipment {kind}")
    evaluate(network, held, "all")
    of = {name: value.detach().numpy() for name, value in network.named_parameters()}
    vectors = lambda some: np.reshape(some, (*np.shape(some)[:-1], -1, 8))
    gates = lambda some: vectors(np.reshape(some.T, (*some.T.shape[:-1], 3, UNITS)))
    input_bias, hidden_bias = (np.reshape(of[f"gru.bias_{kind}_l0"], (3, UNITS)) for kind in ("ih", "hh"))
    bias = input_bias + hidden_bias * np.array([[1], [1], [0]])
    units = "[[f32; 8]; UNITS]"
    print("//! Weights of the network in `recurrent.rs`, fitted by `tests/detection/fit/recurrent.py`.\n")
    print(f"pub const INPUTS: usize = {INPUTS};")
    print(f"/// In vectors of eight.\npub const UNITS: usize = {UNITS // 8};")
    print(f"const MIDDLE_UNITS: usize = {MIDDLE // 8};")
    print("/// From each input to the features.")
    print(f"pub static INPUT: [[[f32; 8]; UNITS]; INPUTS] = {rust(vectors(of['features.weight'].T))};")
    print(f"pub static INPUT_BIAS: [[f32; 8]; UNITS] = {rust(vectors(of['features.bias']))};")
    print("/// From each feature to the gates: reset, update, new.")
    print(f"pub static FROM_FEATURE: [[{units}; 3]; 8 * UNITS] = {rust(gates(of['gru.weight_ih_l0']))};")
    print("/// From each unit to the gates.")
    print(f"pub static FROM_HIDDEN: [[{units}; 3]; 8 * UNITS] = {rust(gates(of['gru.weight_hh_l0']))};")
    print(f"pub static BIAS: [{units}; 3] = {rust(vectors(bias))};")
    print("/// The part of the new gate's bias that the reset gate weighs.")
    print(f"pub static NEW_BIAS: {units} = {rust(vectors(hidden_bias[2]))};")
    print("/// From each unit to the middle layer, and from there to the log-odds.")
    print(f"pub static MIDDLE: [[[f32; 8]; MIDDLE_UNITS]; 8 * UNITS] = {rust(vectors(of['middle.weight'].T))};")
    print(f"pub static MIDDLE_BIAS: [[f32; 8]; MIDDLE_UNITS] = {rust(vectors(of['middle.bias']))};")
    print(f"pub static OUT: [[f32; 8]; MIDDLE_UNITS] = {rust(vectors(of['out.weight'][0]))};")
    print(f"pub const OUT_BIAS: f32 = {rust(float(of['out.bias'][0]))};")
    print("/// The units of a customer who is known to be inside.")
    print(f"pub const INSIDE: [[i8; 8]; UNITS] = {rust(vectors(usual_inside(network, held)))};")


if __name__ == "__main__":
    main()
