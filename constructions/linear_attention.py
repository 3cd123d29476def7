"""Linear attention with exact weights: ``u_i ← u_i + Σ_heads Σ_{j visible} (q_i·k_j) v_j``, and gradient descent in it.

Queries, keys and values are affine in the named channels, with rational weights. One layer has degree 3, so k steps
of gradient descent need at least ⌈log3(2k+1)⌉ layers. :func:`gradient_descent` has three forms:

* ``"step"``: one step a layer (any mask, width Θ(D));
* ``"ternary"``: ⌈log3(2k+1)⌉ layers, which is optimal for every k (bidirectional mask, width 4D+3, four heads);
* ``"causal"``: ⌈log3 k⌉ + 1 layers, within one of optimal (any inclusive mask, width Θ(D²), D²+D+1 heads).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from fractions import Fraction
from typing import Any, Literal

import numpy as np
import torch
from torch import nn

from constructions.evaluate import apply_map
from constructions.network import SparseMap
from constructions.rings import Ring, ring_of
from constructions.terms import Form, channel, channel_name, channels, identity

Mask = Literal["causal", "strict", "full"]
Layout = Literal["separate", "shared"]
GradientDescentForm = Literal["step", "ternary", "causal"]
MASKS: tuple[Mask, ...] = ("causal", "strict", "full")


@dataclass(frozen=True, eq=False)
class Head:
    """One head: ``query`` and ``key`` map channels to ``head_dim``; ``value`` (output projection included) to ``targets``."""

    query: SparseMap
    key: SparseMap
    value: SparseMap
    targets: np.ndarray

    @property
    def head_dim(self) -> int:
        return self.query.n_out

    @property
    def n_nonzero(self) -> int:
        return self.query.n_nonzero + self.key.n_nonzero + self.value.n_nonzero


@dataclass(frozen=True, eq=False)
class LinearAttentionNetwork:
    """Layers of linear attention heads over named channels, each with its residual connection.

    ``inputs`` leading channels are given, the others start at zero. ``positions`` is added to the input,
    ``{(row, channel): weight}``. ``layout`` says where gradient descent's x starts (``None`` for other tasks).
    """

    n_rows: int
    mask: Mask
    channels: tuple[str, ...]
    inputs: int
    layers: tuple[tuple[Head, ...], ...]
    positions: Mapping[tuple[int, int], Fraction] = field(default_factory=dict)
    n_dims: int | None = None
    layout: Layout | None = None

    @property
    def depth(self) -> int:
        """Number of layers."""
        return len(self.layers)

    @property
    def width(self) -> int:
        """Number of channels."""
        return len(self.channels)

    @property
    def n_heads(self) -> int:
        """Largest number of heads in a layer."""
        return max((len(layer) for layer in self.layers), default=0)

    @property
    def n_nonzero(self) -> int:
        """Number of nonzero weights, positional embedding included."""
        return len(self.positions) + sum(head.n_nonzero for layer in self.layers for head in layer)

    def evaluate(self, u: Any, ring: Ring | None = None) -> np.ndarray:
        """All channels of all rows, shape (..., n_rows, width), for ``u`` of shape (..., n_rows, inputs), over its ring.

        Raises ``ValueError`` for a wrong shape and ``TypeError`` for entries of no known ring.
        """
        u = np.asarray(u)
        if u.ndim < 2 or u.shape[-2:] != (self.n_rows, self.inputs):
            raise ValueError(
                f"the network reads shape (..., {self.n_rows} rows, {self.inputs} channels), got {u.shape}"
            )
        ring = ring or ring_of(u)
        given = np.moveaxis(ring.coerce(u), (-1, -2), (0, 1))
        state = np.concatenate([given, ring.zeros((self.width - self.inputs, *given.shape[1:]))])
        for (row, index), weight in self.positions.items():
            state[index, row] = ring.reduce(np.asarray(state[index, row] + ring.element(weight)))
        for layer in self.layers:
            state = evaluate_layer(layer, state, ring, self.mask)
        return np.moveaxis(state, (0, 1), (-1, -2))

    def to_torch(self, dtype: torch.dtype = torch.float64, device: torch.device | str = "cpu") -> LinearAttentionModule:
        """The network as an ``nn.Module`` from (batch, n_rows, inputs) to (batch, n_rows, width)."""
        return LinearAttentionModule(self, dtype).to(device)

    def encode(self, a: Any, b: Any, x_init: Any) -> Any:
        """Input for rows ``a`` (..., N, D), targets ``b`` (..., N) and ``x_init`` (..., D): (..., N+1, inputs).

        Arrays give arrays (entries of any ring), tensors give tensors. Raises ``ValueError`` for shapes that do not fit
        and for tensors or float arrays that are not finite.
        """
        if self.layout is None or self.n_dims is None:
            raise ValueError("this network does not do gradient descent: give its input rows directly")
        return encode_rows(a, b, x_init, self.n_rows - 1, self.n_dims, self.layout)

    def decode(self, output: Any) -> Any:
        """x at the last row, shape (..., D), from the output of :meth:`evaluate` or of the module."""
        if self.layout is None or self.n_dims is None:
            raise ValueError("this network does not do gradient descent: read its channels directly")
        start = 0 if self.layout == "shared" else self.n_dims + 1
        return output[..., -1, start : start + self.n_dims]

    def with_weight(self, layer: int, head: int, part: Literal["query", "key", "value"], weight: Fraction) -> Any:
        """The network with the first stored weight of one map replaced: for tests that a check can fail."""
        old = self.layers[layer][head]
        sparse: SparseMap = getattr(old, part)
        weights = sparse.weights.copy()
        weights[0] = weight
        parts: dict[str, Any] = {part: replace(sparse, weights=weights)}
        heads = list(self.layers[layer])
        heads[head] = replace(old, **parts)
        return replace(self, layers=(*self.layers[:layer], tuple(heads), *self.layers[layer + 1 :]))


def encode_rows(a: Any, b: Any, x_init: Any, n_points: int, n_dims: int, layout: Layout) -> Any:
    """Rows ``[a_n, b_n]`` and a query row: ``[x, 0]`` (shared, layout E) or ``[0, 0, x]`` with x in its own channels."""
    library: Any = torch if isinstance(a, torch.Tensor) else np
    a, b, x_init = (library.as_tensor(v) if library is torch else np.asarray(v) for v in (a, b, x_init))
    if a.shape[-2:] != (n_points, n_dims) or b.shape[-1:] != (n_points,) or x_init.shape[-1:] != (n_dims,):
        raise ValueError(
            f"expected a of shape (..., {n_points}, {n_dims}), b (..., {n_points}) and x_init (..., {n_dims}), got "
            f"{tuple(a.shape)}, {tuple(b.shape)} and {tuple(x_init.shape)}"
        )
    for name, value in (("a", a), ("b", b), ("x_init", x_init)):
        if (library is torch or value.dtype.kind == "f") and not bool(library.isfinite(value).all()):
            raise ValueError(f"{name} has entries that are NaN or infinite: the construction is exact for finite input")
    batch = np.broadcast_shapes(a.shape[:-2], b.shape[:-1], x_init.shape[:-1])
    n_channels = n_dims + 1 if layout == "shared" else 2 * n_dims + 1
    shape = (*batch, n_points + 1, n_channels)
    if library is torch:
        u = a.new_zeros(shape)
    else:
        u = np.zeros(shape, dtype=np.result_type(a.dtype, b.dtype, x_init.dtype))
    u[..., :-1, :n_dims] = a
    u[..., :-1, n_dims] = b
    start = 0 if layout == "shared" else n_dims + 1
    u[..., -1, start : start + n_dims] = x_init
    return u


def evaluate_layer(layer: Sequence[Head], state: np.ndarray, ring: Ring, mask: Mask) -> np.ndarray:
    """One layer on ``state`` of shape (channels, rows, ...): key-value sums first, so no rows × rows scores."""
    ones = np.full((1, *state.shape[1:]), ring.element(1), dtype=ring.dtype)
    u = np.concatenate([state, ones])
    out = state.copy()
    for head in layer:
        query, key, value = (apply_map(sparse, u, ring) for sparse in (head.query, head.key, head.value))
        products = ring.reduce(key[:, None] * value[None, :])  # (head_dim, targets, rows, ...)
        if mask == "full":
            sums = np.add.reduce(products, axis=2, keepdims=True)
        else:
            sums = np.add.accumulate(products, axis=2)
        if mask == "strict":
            sums = np.concatenate([ring.zeros((*sums.shape[:2], 1, *sums.shape[3:])), sums[:, :, :-1]], axis=2)
        update = np.add.reduce(ring.reduce(query[:, None] * ring.reduce(sums)), axis=0)
        out[head.targets] = ring.reduce(out[head.targets] + update)
    return out


class LinearAttentionModule(nn.Module):
    """The lowering to PyTorch: per layer, dense query, key and value weights of all heads, each with a bias."""

    def __init__(self, network: LinearAttentionNetwork, dtype: torch.dtype) -> None:
        super().__init__()
        self.mask, self.n_rows = network.mask, network.n_rows
        self.inputs, self.width = network.inputs, network.width
        positions = torch.zeros(network.n_rows, network.width, dtype=dtype)
        for (row, index), weight in network.positions.items():
            positions[row, index] = float(weight)
        self.positions = nn.Parameter(positions)
        self.query, self.key, self.value = nn.ParameterList(), nn.ParameterList(), nn.ParameterList()
        for layer in network.layers:
            dim = max((head.head_dim for head in layer), default=1)
            for name, rows in (("query", dim), ("key", dim), ("value", network.width)):
                dense = torch.zeros(len(layer), rows, network.width + 1, dtype=dtype)
                for index, head in enumerate(layer):
                    sparse: SparseMap = getattr(head, name)
                    at = head.targets[sparse.rows] if name == "value" else sparse.rows
                    dense[index, at, sparse.columns] = torch.tensor([float(w) for w in sparse.weights], dtype=dtype)
                getattr(self, name).append(nn.Parameter(dense))

    def forward(self, u: torch.Tensor) -> torch.Tensor:
        """(..., n_rows, inputs) to (..., n_rows, width). Raises ``ValueError`` for another shape."""
        if u.ndim < 2 or u.shape[-2:] != (self.n_rows, self.inputs):
            raise ValueError(f"expected shape (..., {self.n_rows}, {self.inputs}), got {tuple(u.shape)}")
        state = nn.functional.pad(u, (0, self.width - self.inputs)) + self.positions
        for query, key, value in zip(self.query, self.key, self.value, strict=True):
            v = nn.functional.pad(state, (0, 1), value=1.0).unsqueeze(-3)
            q, k, v = (v @ weight.transpose(-1, -2) for weight in (query, key, value))
            if self.mask == "full":
                update = q @ (k.transpose(-1, -2) @ v)
            else:
                update = (q @ k.transpose(-1, -2)).tril(0 if self.mask == "causal" else -1) @ v
            state = state + update.sum(-3)
        return state


class _Builder:
    """Collects heads written as forms over named channels."""

    def __init__(self, names: Sequence[str], n_inputs: int) -> None:
        self.names, self.n_inputs = tuple(names), n_inputs
        self.column = {name: index for index, name in enumerate(self.names)}
        self.layers: list[dict[tuple[tuple[Form, Form], ...], dict[str, Form]]] = []

    def layer(self) -> None:
        self.layers.append({})

    def head(self, query: Sequence[Form], key: Sequence[Form], values: Mapping[str, Form]) -> None:
        """Add ``target += (query·key) value`` to the current layer; heads with the same scores are one head."""
        zero = Form({})
        score = tuple((q, k) for q, k in zip(query, key, strict=True) if zero not in (q, k))
        values = {target: value for target, value in values.items() if value != zero}
        if score and values:
            known = self.layers[-1].setdefault(score, {})
            for target, value in values.items():
                known[target] = known.get(target, zero).plus(value)

    def build(self, n_rows: int, mask: Mask, **network: Any) -> LinearAttentionNetwork:
        layers = tuple(
            tuple(
                Head(
                    self._map([q for q, _ in score]),
                    self._map([k for _, k in score]),
                    self._map(list(values.values())),
                    np.array([self.column[target] for target in values]),
                )
                for score, values in layer.items()
            )
            for layer in self.layers
        )
        return LinearAttentionNetwork(n_rows, mask, self.names, self.n_inputs, layers, **network)

    def _map(self, forms: Sequence[Form]) -> SparseMap:
        n_in = len(self.names)
        entries = {(i, self.column[name]): w for i, form in enumerate(forms) for name, w in form.weights.items()}
        entries |= {(i, n_in): form.constant for i, form in enumerate(forms)}
        return SparseMap.of(n_in, len(forms), entries)


def _names(family: str, *shape: int) -> list[str]:
    return [channel_name(family, *index) for index in np.ndindex(*shape)]


def _check(n_points: int, n_dims: int, n_steps: int, step_size: Fraction | int) -> Fraction:
    if min(n_points, n_dims, n_steps) < 1:
        raise ValueError(f"n_points, n_dims and n_steps must be at least 1, got {n_points}, {n_dims} and {n_steps}")
    if not isinstance(step_size, (int, Fraction)):
        raise TypeError(f"step_size must be an int or a Fraction (weights are exact), got {step_size!r}")
    return Fraction(step_size) / n_points


def gradient_descent(
    n_points: int,
    n_dims: int,
    n_steps: int = 1,
    *,
    step_size: Fraction | int = Fraction(1, 4),
    form: GradientDescentForm = "step",
    mask: Mask | None = None,
    layout: Layout = "separate",
) -> LinearAttentionNetwork:
    """``n_steps`` steps ``x ← x − (η/N)(Gx − c)`` from ``x_init``, read at the last of N+1 rows.

    Layout ``"separate"`` (x in D channels of its own): all forms. Layout ``"shared"`` (E: x in the channels of a): form
    ``"step"`` alone, and only with the strict mask and a single step, since the query row's own key and value are then
    nonzero and the data rows are overwritten. Raises ``ValueError`` where the construction would silently be wrong.
    """
    step = _check(n_points, n_dims, n_steps, step_size)
    default: dict[str, Mask] = {"step": "causal" if layout == "separate" else "strict", "ternary": "full"}
    mask = mask or default.get(form, "causal")
    if mask not in MASKS:
        raise ValueError(f"unknown mask {mask!r}: choose one of {', '.join(MASKS)}")
    if layout == "shared" and (form != "step" or mask != "strict" or n_steps != 1):
        raise ValueError(
            "with x in the channels of a the query row attends to itself (adding x|x|² to the sum) and data rows are "
            "overwritten: use form='step', mask='strict', n_steps=1, or layout='separate'"
        )
    if form == "step":
        return unchecked_steps(n_points, n_dims, n_steps, step, mask, layout)
    if form == "ternary":
        if mask != "full":
            raise ValueError("the ternary form multiplies by the whole matrix AAᵀ: it needs mask='full'; see 'causal'")
        return _ternary(n_points, n_dims, n_steps, step)
    if form == "causal":
        if mask == "strict":
            raise ValueError("the causal form computes at the query row from itself: it needs an inclusive mask")
        return _causal(n_points, n_dims, n_steps, step, mask)
    raise ValueError(f"unknown form {form!r}: choose 'step', 'ternary' or 'causal'")


def unchecked_steps(
    n_points: int, n_dims: int, n_steps: int, step: Fraction, mask: Mask, layout: Layout
) -> LinearAttentionNetwork:
    """The one-step layer applied ``n_steps`` times, in layouts where that is wrong too (to show that it is).

    Keys ``(a_j, b_j)``, query ``(x, −1)``, values ``−(η/N) a_j``; ``step`` is η/N.
    """
    a, b = channels("a", n_dims), channel("b")
    family = "a" if layout == "shared" else "x"
    names = [*_names("a", n_dims), "b", *(_names("x", n_dims) if layout == "separate" else [])]
    x = channels(family, n_dims)
    builder = _Builder(names, len(names))
    for _ in range(n_steps):
        builder.layer()
        builder.head(
            [*x, Form({}, Fraction(-1))], [*a, b], {channel_name(family, i): a[i].scaled(-step) for i in range(n_dims)}
        )
    return builder.build(n_points + 1, mask, n_dims=n_dims, layout=layout)


def ternary_depth(n_steps: int) -> int:
    """⌈log3(2k+1)⌉, computed in integers: the depth of the ternary form, and the lower bound."""
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


def _ternary(n_points: int, n_dims: int, n_steps: int, step: Fraction) -> LinearAttentionNetwork:
    """⌈log3(2k+1)⌉ layers. Proof, with K = AAᵀ, P = I − sK (s = η/N), S_m = I + P + … + P^{m−1} and d = (3^l − 1)/2.

    Data rows hold [A, b], W = P^d [A, b] and S = S_{d+1} [A, b]. A head whose query, key and value are p(K)A, q(K)A and
    r(K)[A, b] adds K p q r (K) [A, b]: polynomials in K commute. Write R = S_{2d+1} = S_d + P^d S_{d+1}, one head with
    scores in two parts, and S_d = S_{d+1} − P^d. Since 1 − P = sK,

        P^{3d+1}  = P^d − sK R P^d,
        S_{3d+2}  = 3 S_{d+1} − P^d − sK (R + S_d) S_{d+1},

    which are the next W and S. The query row has a = b = 0, so it changes nothing of this. There, the head with query
    (x, −1), key q(K)[A, b] and value r(K)A subtracts A ᵀ q r (K) (Ax − b) = G q(G) r(G) (x − x*) (for consistent data, and
    in general by the same identity): with Σ q r = S_m it advances x by m steps, for m = d: (1, S_d), m = 2d: (1 + P^d,
    S_d), m = 2d+1: (1, S_d) and (P^d, S_{d+1}).

    The channels keep ``power = W − [A, b]`` and ``sum = 3^{-l}(S − W/2) − [A, b]/2``, which start at zero and turn the
    affine part of the recurrence (3 S − W, W) into the identity, as the residual connection wants it.
    """
    data = [*_names("a", n_dims), "b"]
    scratch = [*_names("power", n_dims + 1), *_names("sum", n_dims + 1)]
    names = [*data, *_names("x", n_dims), *scratch]
    builder = _Builder(names, 2 * n_dims + 1)
    base = np.array([channel(name) for name in data], dtype=object)
    power, sums = channels("power", n_dims + 1), channels("sum", n_dims + 1)
    x = [*channels("x", n_dims), Form({}, Fraction(-1))]
    schedule = ternary_schedule(n_steps)
    for layer, m in enumerate(schedule):
        d, scale = (3**layer - 1) // 2, Fraction(3**layer)
        w = base + power
        s = (sums + base * Fraction(1, 2)) * scale + w * Fraction(1, 2)
        s_d = s - w if d else base * 0
        builder.layer()

        def advance_x(key: np.ndarray, value: np.ndarray) -> None:
            builder.head(x, key, {channel_name("x", i): value[i].scaled(-step) for i in range(n_dims)})

        if m == 2 * d + 1:
            advance_x(base, s_d)
            advance_x(w, s)
        elif m:
            advance_x(base + w if m == 2 * d else base, s_d)
        if layer == len(schedule) - 1:
            break
        query = [*base[:-1], *w[:-1]]
        next_scale = 1 / (3 * scale)
        builder.head(
            query,
            [*s_d[:-1], *s[:-1]],
            {channel_name("power", i): w[i].scaled(-step) for i in range(n_dims + 1)}
            | {channel_name("sum", i): w[i].scaled(step * next_scale / 2) for i in range(n_dims + 1)},
        )
        builder.head(
            query,
            [*(s_d[:-1] * 2), *s[:-1]],
            {channel_name("sum", i): s[i].scaled(-step * next_scale) for i in range(n_dims + 1)},
        )
    return builder.build(n_points + 1, "full", n_dims=n_dims, layout="separate")


def causal_depth(n_steps: int) -> int:
    """⌈log3 k⌉ + 1, computed in integers: the depth of the causal form."""
    depth = 1
    while 3 ** (depth - 1) < n_steps:
        depth += 1
    return depth


def _causal(n_points: int, n_dims: int, n_steps: int, step: Fraction, mask: Mask) -> LinearAttentionNetwork:
    """⌈log3 k⌉ + 1 layers under a causal mask. A positional channel ``query`` is 1 at the last row and 0 elsewhere.

    Layer 1 gathers, at the last row alone, P − I = −sG, t = sc and one step of x. From then on the state (P, t) = (P^j,
    s Σ_{i<j} G-polynomials c) lives on the last row only, where every key of a data row is zero, so a head is a product of
    three local numbers: P ← P³, t ← P²t + Pt + t, and x ← x, Px + t or P²x + Pt + t by the ternary digits of k − 1.
    """
    names = [
        *_names("a", n_dims),
        "b",
        *_names("x", n_dims),
        "query",
        *_names("P", n_dims, n_dims),
        *_names("t", n_dims),
    ]
    builder = _Builder(names, 2 * n_dims + 1)
    a, b, x, query = channels("a", n_dims), channel("b"), channels("x", n_dims), channel("query")
    dims = range(n_dims)
    builder.layer()
    for i in dims:
        builder.head([query], [a[i]], {channel_name("P", i, j): a[j].scaled(-step) for j in dims})
    builder.head([query], [b], {channel_name("t", j): a[j].scaled(step) for j in dims})
    builder.head([*x, -query], [*a, b], {channel_name("x", i): a[i].scaled(-step) for i in dims})
    power = channels("P", n_dims, n_dims) + identity(n_dims) * query
    t = channels("t", n_dims)
    remaining, depth = n_steps - 1, causal_depth(n_steps)
    for layer in range(1, depth):
        remaining, digit = divmod(remaining, 3)
        last = layer == depth - 1
        builder.layer()
        for i in dims:
            for j in dims:
                values = {channel_name("x", i): x[j]} if digit == 2 else {}
                if not last:
                    values |= {channel_name("P", i, c): power[j, c] for c in dims} | {channel_name("t", i): t[j]}
                builder.head(power[i], power[:, j], values)
            x_too = {channel_name("x", i): query} if digit == 2 else {}
            builder.head(power[i], t, x_too | ({} if last else {channel_name("t", i): query}))
            if digit == 1:
                builder.head(power[i], x, {channel_name("x", i): query})
        # What the residual connection carries and the new state does not contain.
        carried = {channel_name("x", i): t[i].plus(-x[i]) for i in dims} if digit else {}
        if not last:
            carried |= {channel_name("P", i, j): -power[i, j] for i in dims for j in dims}
        builder.head([query], [query], carried)
    position = {(n_points, builder.column["query"]): Fraction(1)}
    return builder.build(n_points + 1, mask, n_dims=n_dims, layout="separate", positions=position)


def multiply(n_rows: int, n_channels: int, p: int, q: int, r: int, length: int = 1) -> LinearAttentionNetwork:
    """``u[:, r:r+ℓ] ← u[:, p:p+ℓ] ⊙ u[:, q:q+ℓ]`` at every row, all else unchanged, in two layers under a causal mask.

    Positional one-hot channels e_n make scores of the identity matrix: layer 1 writes p_n e_n, layer 2 has scores
    (p_n e_n)·e_j = p_n [n = j] and values u[:, q:q+ℓ]. The input channels are the leading ones of the output.
    """
    for start in (p, q, r):
        if not 0 <= start <= n_channels - length:
            raise ValueError(f"channels {start}:{start + length} do not lie within the {n_channels} channels")
    if n_rows < 1 or length < 1:
        raise ValueError(f"n_rows and length must be at least 1, got {n_rows} and {length}")
    u, row = channels("u", n_channels), channels("row", n_rows)
    names = [*_names("u", n_channels), *_names("row", n_rows), *_names("spread", length, n_rows)]
    builder = _Builder(names, n_channels)
    builder.layer()
    for n in range(n_rows):
        builder.head([row[n]], [row[n]], {channel_name("spread", i, n): u[p + i] for i in range(length)})
    builder.layer()
    spread = channels("spread", length, n_rows)
    for i in range(length):
        builder.head(spread[i], row, {channel_name("u", r + i): u[q + i]})
    builder.head(row, row, {channel_name("u", r + i): -u[r + i] for i in range(length)})
    positions = {(n, builder.column[channel_name("row", n)]): Fraction(1) for n in range(n_rows)}
    return builder.build(n_rows, "causal", positions=positions)
