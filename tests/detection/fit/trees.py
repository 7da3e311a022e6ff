"""Evaluates boosted trees on the inputs of the network that `head.py` fits: an upper bound.

    cargo run --release --example judge -- rows ROWS
    python tests/detection/fit/trees.py ROWS

For all equipment together, and for shops with one gateway. Prints found within 10 s / within 60 s / false for
100 visits, on the third of the shops that nothing was fitted on. Needs numpy and scikit-learn.
"""

import sys

import numpy as np
from sklearn.ensemble import HistGradientBoostingClassifier

from head import ABOUT, evaluate, load

MOST_ROWS = 800_000
EQUIPMENT = 7


def main():
    rows = load(sys.argv[1])
    chance = np.random.default_rng(1)
    shop = rows[:, 0].astype(int)
    inside = rows[:, 3]
    # As for the network: customers who have been inside for long are easy cases, and there are many.
    counts = (inside == 0) | (rows[:, 4] < 60) | (chance.random(len(rows)) < 0.15)
    for name, of in (("all", shop >= 0), ("one gateway", shop % EQUIPMENT == 0)):
        nth = np.flatnonzero((shop % 3 != 0) & counts & of)
        nth = chance.choice(nth, min(len(nth), MOST_ROWS), replace=False)
        trees = HistGradientBoostingClassifier(max_iter=150, max_leaf_nodes=31, min_samples_leaf=2000,
                                               l2_regularization=10, random_state=1)
        trees.fit(rows[nth, ABOUT:], inside[nth])
        held = np.flatnonzero((shop % 3 == 0) & of)
        sure = trees.predict_proba(rows[held, ABOUT:])[:, 1]
        for kind in range(EQUIPMENT):
            some = shop[held] % EQUIPMENT == kind
            if some.any():
                evaluate(rows[held][some], sure[some], 0.95, f"trees on {name}, equipment {kind}")


main()
