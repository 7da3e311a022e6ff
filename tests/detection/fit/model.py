"""The presence filter of src/pipeline/presence/belief.rs, differentiable: the same spots and
loudnesses, for many customers at once. Gateways hang at the door and four metres in."""

import jax
import jax.numpy as jnp

LOUDNESS = jnp.array([0.27, 0.46, 0.27])
SPOTS, THRESHOLD = 32, 16
FURTHEST_DB = 24.0
# Nowhere do readings scatter less: what is sharper is this very shop's.
LEAST_DB = 3.5
# No spot is left more often than this in a second: steps of a second stay probabilities.
OFTEN = 0.95
# Places, see spots.rs, and between which of them people walk, onward and back.
PLACES, FACING = 8, 4
WAYS = {
    (0, 1): (0.1, 0.1), (0, 2): (0.05, 0.15), (0, 3): (0.05, 0.15), (1, 2): (0.15, 0.1),
    (1, 3): (0.15, 0.1), (1, 4): (0.15, 0.1), (2, 4): (0.15, 0.1), (3, 4): (0.15, 0.1),
    (2, 3): (0.05, 0.05), (4, 5): (0.5, 0.035), (5, 6): (0.49, 0.045), (6, 7): (0.03, 0.03),
}


def guess():
    """What somebody who knows radio would begin with; spreads, rates and odds as logarithms."""
    log = lambda values: jnp.log(jnp.array(values, jnp.float32))
    # The phone towards the shop or the street, and to either side.
    facing = lambda by_place, turned_db: (
        jnp.array(by_place)[:, None] + jnp.array([turned_db - 1.5, turned_db + 1.5, -turned_db - 1.5, -turned_db + 1.5])
    ).reshape(-1)
    rates = jnp.full((PLACES, FACING, PLACES, FACING), 3e-4)
    for (here, there), (onward, back) in WAYS.items():
        for way in range(FACING):
            rates = rates.at[here, way, there, way].add(onward).at[there, way, here, way].add(back)
    for place in range(PLACES):
        rates = rates.at[place, :, place, :].add(0.03)
    return {
        "first": jnp.repeat(log([0.8, 0.1, 0.03, 0.03, 0.02, 0.01, 0.005, 0.005]), FACING),
        "ways": jnp.log(rates.reshape(SPOTS, SPOTS)),
        "gone": log([6e-3] * THRESHOLD + [3e-4] * (SPOTS - THRESHOLD)),
        "gateways": jnp.stack([
            facing([-3.0, 1, 4, 0, 6, -3, -8, -9], -3.0),
            facing([-5.0, -1, 1, 1, 0, 1, -3, -8], 3.0),
        ]),
        "spreads": log([[6.5] * SPOTS] * 2),
        "skew": log([1.0, 1.0]),
        "beacons": jnp.stack([
            facing([-82.0, -67, -66, -63, -62, -68, -74, -82], -3.0),
            facing([-82.0, -76, -77, -77, -70, -65, -69, -76], 3.0),
        ]),
        "echo_spreads": log([[6.6] * SPOTS] * 2),
        "beside_echo": log(0.27),
        "loudness": log(4.5),
        "drift": log(0.077),
        "repeats": log(0.47),
        "echo_repeats": log(0.52),
        "echo_new": log(0.3),
    }


def log_odds(p, tapes):
    """Logarithm of the odds that each customer is inside, after each reading: [time, customer]."""
    shares = follow(p, tapes)
    return jnp.log(shares[..., THRESHOLD:].sum(2)) - jnp.log(shares[..., :THRESHOLD].sum(2))


def follow(p, tapes):
    """How probably each customer is on each spot after each reading: [time, customer, spot].

    `tapes` holds arrays by time and customer: `gap` (s since the last contact), `rssi`, `heard`,
    `levels` (inside, outside), `since` (s, of that gateway) by gateway, the one at the door first,
    and `zone`, `echo` (dBm), `echo_since`, `echo_new` (1 where it is not what was said last).
    """
    ways = jnp.exp(p["ways"]) * (1 - jnp.eye(SPOTS))
    ways = ways * jnp.minimum(1, OFTEN / ways.sum(1))[:, None]
    ways = ways - jnp.diag(ways.sum(1) + jnp.exp(p["gone"]))
    loudness = jnp.exp(p["loudness"]) * jnp.array([-1.0, 0.0, 1.0])
    drift = 0.5 * jnp.exp(p["drift"]) * jnp.array([[-1.0, 1, 0], [1, -2, 1], [0, 1, -1]])
    inside = jnp.arange(SPOTS) >= THRESHOLD
    spreads, echo_spreads = (jnp.maximum(jnp.exp(p[name]), LEAST_DB) for name in ("spreads", "echo_spreads"))
    every = lambda column: column[:, None, None]

    def walk(grid, gap):
        step = every(jnp.clip(gap, 0, 2.0)) / 2
        for _ in range(2):
            grid = grid + step * (grid @ ways)
        return grid + 2 * step * jnp.einsum("bls,lm->bms", grid, drift)

    def level(tape, gateway):
        levels = tape["levels"][:, gateway]
        side = jnp.where(inside, levels[:, :1], levels[:, 1:])
        scale = 1.0 if gateway == 0 else (levels[:, :1] - levels[:, 1:]) / 10
        usual = side + p["gateways"][gateway] * scale
        away = every(tape["rssi"][:, gateway]) - usual[:, None, :] - loudness[:, None]
        away = jnp.clip(away, -FURTHEST_DB, FURTHEST_DB)
        away = jnp.where(away < 0, away * jnp.exp(p["skew"][gateway]), away)
        fresh = jnp.minimum(tape["since"][:, gateway] / jnp.exp(p["repeats"]), 1)
        beside = jnp.where(tape["zone"] > 0, jnp.exp(p["beside_echo"]), 1)
        weight = every(fresh * beside * tape["heard"][:, gateway])
        return weight * (-0.5 * (away / spreads[gateway]) ** 2 - jnp.log(spreads[gateway]))

    def echo(tape):
        away = (tape["echo"][:, None, None] - p["beacons"]) / echo_spreads
        here = -0.5 * away**2 - jnp.log(echo_spreads) - jax.nn.softplus(-1.7 * away[:, ::-1])
        likely = jnp.where(tape["zone"][:, None] == 1, here[:, 0], here[:, 1])
        fresh = jnp.minimum(tape["echo_since"] / jnp.exp(p["echo_repeats"]), 1)
        fresh = jnp.where(tape["echo_new"] > 0, jnp.exp(p["echo_new"]), fresh)
        return (jnp.where(tape["zone"] > 0, fresh, 0)[:, None] * likely)[:, None, :]

    def hear(grid, tape):
        evidence = level(tape, 0) + level(tape, 1) + echo(tape)
        best = jax.lax.stop_gradient(evidence.max((1, 2), keepdims=True))
        grid = walk(grid, tape["gap"]) * jnp.exp(evidence - best)
        grid = jnp.maximum(grid / grid.sum((1, 2), keepdims=True), 1.5e-5)
        grid = grid / grid.sum((1, 2), keepdims=True)
        return grid, grid.sum(1)

    customers = tapes["gap"].shape[1]
    first = jax.nn.softmax(p["first"]) * LOUDNESS[:, None]
    return jax.lax.scan(hear, jnp.broadcast_to(first, (customers, *first.shape)), tapes)[1]
