"""Gradient descent and Multiply in linear attention, with exact weights.

One layer ``u_i ← u_i + Σ_heads Σ_{j visible} (q_i·k_j) v_j`` has degree 3, so k steps of gradient descent need at least
⌈log3(2k+1)⌉ layers. :func:`gradient_descent` has three forms:

* ``"step"``: one step a layer (any mask, width 2D+1, one head);
* ``"ternary"``: ⌈log3(2k+1)⌉ layers, which is optimal for every k (bidirectional mask, width 4D+3, at most four heads);
* ``"causal"``: ⌈log3 k⌉ + 1 layers, within one of optimal (causal mask, width D²+3D+2, at most (D+1)² heads).
"""

from __future__ import annotations

from fractions import Fraction
from functools import partial
from typing import Annotated, Literal

import numpy as np

from constructions.algebra.terms import Form, channel, channel_name, channels, exact, identity, names
from constructions.networks.construction import construction
from constructions.networks.layer import Mask
from constructions.networks.parameters import Channels, Count, Dims, Held, Place, Points, Rows, StepSize
from constructions.networks.tasks import Regression, Sequence
from constructions.transformers.builder import TransformerBuilder
from constructions.transformers.exact import ExactTransformer

QueryLayout = Literal["separate", "E"]
DescentForm = Literal["step", "ternary", "causal"]
STEPS_THAT_FIT: dict[str, Held] = {"step": "layers", "ternary": "triplings", "causal": "triplings"}
"""By form: what the steps of a stored network are bounded by."""
MINUS_ONE = Form({}, Fraction(-1))


@construction(name="linear_attention_gradient_descent")
def gradient_descent(
    *,
    n_points: Points,
    n_dims: Dims,
    n_steps: Annotated[int, Count("steps", fits=STEPS_THAT_FIT)] = 1,
    step_size: StepSize = Fraction(1, 4),
    form: DescentForm = "step",
    mask: Mask | None = None,
    layout: QueryLayout = "separate",
) -> ExactTransformer:
    """``n_steps`` steps ``x ← x − (η/N)(Gx − c)`` from ``x_init``, read at the last of N+1 rows.

    Layout ``"separate"`` (x in D channels of its own): every form. Layout ``"E"`` (x in the channels of a): form
    ``"step"`` with the strict mask and a single step, since otherwise the query row attends to itself and the data rows
    are overwritten. Raises ``ValueError`` where the construction would silently be wrong.
    """
    step = exact(step_size) / n_points
    default: Mask = "full" if form == "ternary" else "strict" if layout == "E" else "causal"
    mask = mask or default
    if layout == "E" and (form, mask, n_steps) != ("step", "strict", 1):
        raise ValueError(
            "with x in the channels of a (layout E) the query row attends to itself, which adds x|x|², and a step "
            "overwrites the data rows: use form='step', mask='strict' and n_steps=1, or layout='separate'"
        )
    if form == "step":
        return unchecked_steps(n_points, n_dims, n_steps, step, mask, layout)
    if form == "ternary":
        if mask != "full":
            raise ValueError(f"the ternary form multiplies by all of AAᵀ: it needs mask='full', got {mask!r}")
        return _ternary(n_points, n_dims, n_steps, step)
    if mask != "causal":
        raise ValueError(f"the causal form needs mask='causal', got {mask!r} (form='ternary' is for the full mask)")
    return _causal(n_points, n_dims, n_steps, step)


def unchecked_steps(
    n_points: int, n_dims: int, n_steps: int, step: Fraction, mask: Mask, layout: QueryLayout
) -> ExactTransformer:
    """The one-step layer ``n_steps`` times, in layouts where that is wrong too: it exists to show that it is.

    Query ``(x, −1)``, keys ``(a_j, b_j)``, values ``−(η/N) a_j``; ``step`` is η/N.
    """
    family = "a" if layout == "E" else "x"
    a, b, x = channels("a", n_dims), channel("b"), channels(family, n_dims)
    inputs = [*names("a", n_dims), "b", *(names("x", n_dims) if layout == "separate" else [])]
    builder = TransformerBuilder(inputs, len(inputs))
    for _ in range(n_steps):
        builder.block()
        builder.attend([*x, MINUS_ONE], [*a, b], assign(family, a * -step))
    return builder.build(n_points + 1, mask, names(family, n_dims), _task(n_points, n_dims, layout))


def _task(n_points: int, n_dims: int, layout: QueryLayout) -> partial[Regression]:
    return partial(Regression, n_points, n_dims, layout, n_inputs=(1 if layout == "E" else n_dims + 1) + n_dims)


def assign(family: str, values: np.ndarray) -> dict[str, Form]:
    """The entries of a vector of forms as values for the channels of a family."""
    return {channel_name(family, index): value for index, value in enumerate(values)}


def ternary_depth(n_steps: int) -> int:
    """⌈log3(2k+1)⌉, in integers: the depth of the ternary form, and the lower bound for every mask and width."""
    depth = 0
    while 3**depth < 2 * n_steps + 1:
        depth += 1
    return depth


def ternary_schedule(n_steps: int) -> list[int]:
    """Steps taken by each layer of the ternary form: with d = (3^l − 1)/2 one of 0, d, 2d, 2d+1.

    Every k ≤ 3d+1 is one of these plus at most d, the reach of the layers before: [0, d] ∪ [d, 2d] ∪ [2d, 3d] ∪ {3d+1}.
    """
    steps: list[int] = []
    for layer in reversed(range(ternary_depth(n_steps))):
        d = (3**layer - 1) // 2
        steps.append(next(m for m in (0, d, 2 * d, 2 * d + 1) if n_steps - m <= d))
        n_steps -= steps[-1]
    return steps[::-1]


def _ternary(n_points: int, n_dims: int, n_steps: int, step: Fraction) -> ExactTransformer:
    """⌈log3(2k+1)⌉ layers. Notation: s = η/N, K = AAᵀ, P = I − sK, S_m = I + P + … + P^{m−1}, d = (3^l − 1)/2.

    After l layers the data rows hold [A, b], W = P^d [A, b] and S = S_{d+1} [A, b]. A head whose query, key and value
    are p(K)A, q(K)A and r(K)[A, b] adds (K p q r)(K) [A, b], for polynomials in K commute. With R = S_{2d+1} = S_d +
    P^d S_{d+1} (scores in two parts), S_d = S_{d+1} − P^d and 1 − P = sK, the next W and S are

        P^{3d+1}  = P^d − sK R P^d
        S_{3d+2}  = 3 S_{d+1} − P^d − sK (R + S_d) S_{d+1}.

    The query row has a = b = 0, so nothing of it enters here. A head with query (x, −1) there, key q(K)[A, b] and value
    r(K)A adds Aᵀ (q r)(K) (Ax − b). With Σ q r = S_m and factor −s this is m steps, since A P(K) = P(G) A and
    x_m − x = −s S_m(G) (Gx − c): for m = d take (q, r) = (1, S_d); for 2d, (1 + P^d, S_d); for 2d+1, (1, S_d) and
    (P^d, S_{d+1}).

    The channels keep ``power = W − [A, b]`` and ``sum = 3^{-l} (S − W/2) − [A, b]/2``: they start at zero, and the
    linear part of the recurrence (W, 3S − W) becomes the identity, which is the residual connection.
    """
    data = [*names("a", n_dims), "b"]
    scratch = [*names("power", n_dims + 1), *names("sum", n_dims + 1)]
    builder = TransformerBuilder([*data, *names("x", n_dims), *scratch], 2 * n_dims + 1)
    base = np.array([channel(name) for name in data], dtype=object)
    power, sums = channels("power", n_dims + 1), channels("sum", n_dims + 1)
    x = [*channels("x", n_dims), MINUS_ONE]
    schedule = ternary_schedule(n_steps)
    half = Fraction(1, 2)
    for layer, m in enumerate(schedule):
        d, scale = (3**layer - 1) // 2, Fraction(3**layer)
        # In the first layer d = 0: the scratch channels are still zero, W = S = [A, b] and S_0 = 0.
        w = base + power if layer else base
        s = (sums + base * half) * scale + w * half if layer else base
        s_d = s - w
        builder.block()
        if m == 2 * d + 1:
            builder.attend(x, base, assign("x", s_d[:-1] * -step))
            builder.attend(x, w, assign("x", s[:-1] * -step))
        elif m:
            builder.attend(x, base + w if m == 2 * d else base, assign("x", s_d[:-1] * -step))
        if layer == len(schedule) - 1:
            break
        query, rate = [*base[:-1], *w[:-1]], step / (3 * scale)
        builder.attend(query, [*s_d[:-1], *s[:-1]], assign("power", w * -step) | assign("sum", w * (rate * half)))
        builder.attend(query, [*(s_d[:-1] * 2), *s[:-1]], assign("sum", s * -rate))
    return builder.build(n_points + 1, "full", names("x", n_dims), _task(n_points, n_dims, "separate"))


def causal_depth(n_steps: int) -> int:
    """⌈log3 k⌉ + 1, in integers: the depth of the causal form."""
    depth = 1
    while 3 ** (depth - 1) < n_steps:
        depth += 1
    return depth


def _causal(n_points: int, n_dims: int, n_steps: int, step: Fraction) -> ExactTransformer:
    """⌈log3 k⌉ + 1 layers under a causal mask. A positional channel ``query`` is 1 at the last row and 0 elsewhere.

    Layer 1 gathers at the last row alone P − I = −sG, t = sc and one step of x. After it the state P^j and t_j = s
    S_j(G) c lives at the last row only: every key of a data row is zero, so a head multiplies three numbers of that
    row. P ← P³, t ← P²t + Pt + t, and x becomes x, Px + t or P²x + Pt + t by the ternary digits of k − 1, lowest
    first.
    """
    inputs = [*names("a", n_dims), "b", *names("x", n_dims)]
    builder = TransformerBuilder([*inputs, "query", *names("P", n_dims, n_dims), *names("t", n_dims)], len(inputs))
    a, b, x, query = channels("a", n_dims), channel("b"), channels("x", n_dims), channel("query")
    rows = [[channel_name("P", i, j) for j in range(n_dims)] for i in range(n_dims)]
    builder.block()
    for i in range(n_dims):
        builder.attend([query], [a[i]], dict(zip(rows[i], a * -step, strict=True)))
    builder.attend([query], [b], assign("t", a * step))
    builder.attend([*x, -query], [*a, b], assign("x", a * -step))
    power = channels("P", n_dims, n_dims) + identity(n_dims) * query
    t = channels("t", n_dims)
    remaining, depth = n_steps - 1, causal_depth(n_steps)
    for layer in range(1, depth):
        remaining, digit = divmod(remaining, 3)
        more = layer < depth - 1
        builder.block()
        for i, row in enumerate(rows):
            x_i, t_i = channel_name("x", i), channel_name("t", i)
            for j in range(n_dims):
                values = {x_i: x[j]} if digit == 2 else {}
                if more:
                    values |= dict(zip(row, power[j], strict=True)) | {t_i: t[j]}
                builder.attend(power[i], power[:, j], values)
            builder.attend(power[i], t, ({x_i: query} if digit == 2 else {}) | ({t_i: query} if more else {}))
            if digit == 1:
                builder.attend(power[i], x, {x_i: query})
            # What the residual connection carries over and the new state does not contain, and the other way round.
            carried = {x_i: t[i] - x[i]} if digit else {}
            builder.attend([query], [query], carried | (dict(zip(row, -power[i], strict=True)) if more else {}))
    return builder.build(
        n_points + 1, "causal", names("x", n_dims), _task(n_points, n_dims, "separate"),
        {(n_points, "query"): 1},
    )  # fmt: skip


@construction(name="linear_attention_multiply")
def multiply(
    *,
    n_rows: Rows,
    n_channels: Channels,
    left: Place,
    right: Place,
    target: Place,
    length: Channels = 1,
    mask: Mask = "causal",
) -> ExactTransformer:
    """Channels ``target:target+length`` become ``u[:, left:left+length] ⊙ u[:, right:right+length]``, in two layers.

    At every row, all else unchanged. Positional one-hot channels e_n make the identity matrix a matrix of scores:
    layer 1 writes p_n e_n, layer 2 has scores (p_n e_n)·e_j = p_n [n = j] and the right factor as its value. Raises
    ``ValueError`` when a block leaves the channels, and for the strict mask, where no row sees itself.
    """
    check_blocks(n_channels, length, left=left, right=right, target=target)
    if mask == "strict":
        raise ValueError("Multiply needs a mask under which a row sees itself: 'causal' or 'full', got 'strict'")
    u, row, spread = channels("u", n_channels), channels("row", n_rows), channels("spread", length, n_rows)
    builder = TransformerBuilder(
        [*names("u", n_channels), *names("row", n_rows), *names("spread", length, n_rows)], n_channels
    )
    builder.block()
    for n in range(n_rows):
        builder.attend([row[n]], [row[n]], {channel_name("spread", i, n): u[left + i] for i in range(length)})
    builder.block()
    for i in range(length):
        builder.attend(spread[i], row, {channel_name("u", target + i): u[right + i]})
    builder.attend(row, row, {channel_name("u", target + i): -u[target + i] for i in range(length)})
    task = partial(Sequence, n_rows, n_channels, n_inputs=n_channels)
    positions = {(n, channel_name("row", n)): 1 for n in range(n_rows)}
    return builder.build(n_rows, mask, names("u", n_channels), task, positions)


def check_blocks(n_channels: int, length: int, **starts: int) -> None:
    """Raise ``ValueError`` naming the block that leaves channels 0:n_channels."""
    for name, start in starts.items():
        if not 0 <= start <= n_channels - length:
            raise ValueError(f"{name} must be channels {start}:{start + length} within 0:{n_channels}")
