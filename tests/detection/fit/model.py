"""The presence filter of src/pipeline/presence/belief.rs, differentiable: the same spots, turns
and loudnesses, for many customers at once. Gateways stand at the door and well inside."""

import jax
import jax.numpy as jnp

LOUDNESS = jnp.array([0.27, 0.46, 0.27])
SPOTS, TURNS, THRESHOLD = 8, 2, 4
FURTHEST_DB = 24.0
# Between which spots people walk, see spots.rs.
EDGES = [(0, 1), (0, 2), (0, 3), (1, 2), (1, 3), (1, 4), (2, 4), (3, 4), (2, 3), (4, 5), (5, 6), (6, 7)]


def guess():
    """What somebody who knows radio would begin with; spreads, rates and odds as logarithms."""
    turned = jnp.array([1.0, -1.0])
    log = lambda values: jnp.log(jnp.array(values))
    by_stance = lambda by_spot, turning_db: jnp.array(by_spot)[:, None] + turning_db * turned
    onward_and_back = [
        (0.1, 0.1), (0.05, 0.15), (0.05, 0.15), (0.15, 0.1), (0.15, 0.1), (0.15, 0.1),
        (0.15, 0.1), (0.15, 0.1), (0.05, 0.05), (0.5, 0.035), (0.49, 0.045), (0.03, 0.03),
    ]
    return {
        "first": log([0.8, 0.1, 0.03, 0.03, 0.02, 0.01, 0.005, 0.005]),
        "ways": log(onward_and_back),
        "turning": log([0.15, 0.15]),
        "gateways": jnp.stack([
            by_stance([-3.0, 1, 4, 0, 6, -3, -8, -9], -3.0),
            by_stance([-2.0, 0, 0, 0, -4, 0, 3, 3], 3.0),
        ]),
        "spreads": log([[6.5] * SPOTS] * 2),
        "beacons": jnp.stack([
            by_stance([-86.0, -70, -69, -64, -60.5, -63, -71.5, -82], -3.0),
            by_stance([-83.0, -81, -82, -82, -75, -69, -66, -70], 3.0),
        ]),
        "echo_spreads": log([[6.6] * SPOTS] * 2),
        "beside_echo": log(0.27),
        "loudness": log(4.5),
        "drift": log(0.077),
        "repeats": log(0.47),
        "echo_repeats": log(0.52),
    }


def log_odds(p, tapes):
    """Logarithm of the odds that each customer is inside, after each reading: [time, customer]."""
    shares = follow(p, tapes)
    return jnp.log(shares[..., THRESHOLD:].sum(2)) - jnp.log(shares[..., :THRESHOLD].sum(2))


def follow(p, tapes):
    """How probably each customer is on each spot after each reading: [time, customer, spot].

    `tapes` holds arrays by time and customer: `gap` (s since the last contact), `rssi`, `heard`,
    `place` (0 door, 1 inside), `levels` (inside, outside), `since` (s, of that gateway) by gateway,
    and `zone`, `echo` (dBm), `echo_since`.
    """
    ways = jnp.zeros((SPOTS, SPOTS))
    for (here, there), (onward, back) in zip(EDGES, jnp.exp(p["ways"])):
        ways = ways.at[here, there].add(onward).at[here, here].add(-onward)
        ways = ways.at[there, here].add(back).at[there, there].add(-back)
    loudness = jnp.exp(p["loudness"]) * jnp.array([-1.0, 0.0, 1.0])
    drift = 0.5 * jnp.exp(p["drift"]) * jnp.array([[-1.0, 1, 0], [1, -2, 1], [0, 1, -1]])
    inside = jnp.arange(SPOTS) >= THRESHOLD
    turning = jnp.where(inside, jnp.exp(p["turning"][1]), jnp.exp(p["turning"][0]))
    spreads, echo_spreads = jnp.exp(p["spreads"]), jnp.exp(p["echo_spreads"])
    every = lambda column: column[:, None, None, None]

    def walk(grid, gap):
        step = every(jnp.clip(gap, 0, 2.0)) / 2
        for _ in range(2):
            grid = grid + step * jnp.einsum("bstl,su->butl", grid, ways)
            grid = grid + step * jnp.einsum("bstl,lm->bstm", grid, drift)
            turned = grid.mean(2, keepdims=True) - grid
            grid = grid + step * turning[None, :, None, None] * turned
        return grid

    def level(tape, gateway):
        place, levels = tape["place"][:, gateway], tape["levels"][:, gateway]
        side = jnp.where(inside, levels[:, :1], levels[:, 1:])[:, :, None]
        scale = jnp.where(place == 0, 1.0, (levels[:, 0] - levels[:, 1]) / 10)[:, None, None]
        usual = side + p["gateways"][place] * scale
        away = every(tape["rssi"][:, gateway]) - usual[..., None] - loudness
        away = jnp.clip(away, -FURTHEST_DB, FURTHEST_DB)
        fresh = jnp.minimum(tape["since"][:, gateway] / jnp.exp(p["repeats"]), 1)
        beside = jnp.where(tape["zone"] > 0, jnp.exp(p["beside_echo"]), 1)
        weight = every(fresh * beside * tape["heard"][:, gateway])
        spread = spreads[place][:, :, None, None]
        return weight * (-0.5 * (away / spread) ** 2 - jnp.log(spread))

    def echo(tape):
        here = jnp.clip(tape["zone"] - 1, 0, 1)
        spread = lambda beacon: echo_spreads[beacon][:, :, None, None]
        away = lambda beacon: (every(tape["echo"]) - p["beacons"][beacon][..., None]) / spread(beacon)
        likely = -0.5 * away(here) ** 2 - jnp.log(spread(here))
        likely = likely - jax.nn.softplus(-1.7 * away(1 - here))
        fresh = jnp.minimum(tape["echo_since"] / jnp.exp(p["echo_repeats"]), 1)
        return every(jnp.where(tape["zone"] > 0, fresh, 0)) * likely

    def hear(grid, tape):
        evidence = level(tape, 0) + level(tape, 1) + echo(tape)
        best = jax.lax.stop_gradient(evidence.max((1, 2, 3), keepdims=True))
        grid = walk(grid, tape["gap"]) * jnp.exp(evidence - best)
        grid = jnp.maximum(grid / grid.sum((1, 2, 3), keepdims=True), 1.5e-5)
        grid = grid / grid.sum((1, 2, 3), keepdims=True)
        return grid, grid.sum((2, 3))

    customers = tapes["gap"].shape[1]
    first = jax.nn.softmax(p["first"])[:, None, None] * LOUDNESS / TURNS
    start = jnp.broadcast_to(first, (customers, SPOTS, TURNS, len(LOUDNESS)))
    return jax.lax.scan(hear, start, tapes)[1]
