"""The degree of x_k, and the least depth of a BaseConv model that computes it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields, replace
from fractions import Fraction
from functools import partial

import flint
import numpy as np

import constructions as C
from constructions.algebra.rings import univariate
from constructions.algebra.terms import channel, prefix
from constructions.models.operators import LayerWeights
from constructions.networks.builder import Builder
from constructions.networks.layer import SparseMap
from constructions.networks.network import Network
from constructions.networks.tasks import Regression
from precls_theory.proofs import definitions
from precls_theory.proofs.symbolic import MakeVariables, flint_variables, parameters_of, require_equal, sympy_variables
from precls_theory.proofs.variants import Build, hard_coded
from precls_theory.registry import Evidence, Refuted, Size, theorem

NOTHING = -1
"""Degree of the zero polynomial."""


def least_depth(n_steps: int) -> int:
    """⌈log2(2k + 1)⌉."""
    return (2 * n_steps).bit_length()


# Degrees of x_k.


def degree_on_ray(network: Network, start: bool, point: int = 0) -> int:
    """Degree in t of the read-out for one data row a = t e_1, and x_init = t e_1 or (no start) b = t; all else 0."""
    task = network.task
    if not isinstance(task, Regression):
        raise TypeError(f"expected a regression, got {type(task).__name__}")
    t, ring = flint.fmpq_poly([0, 1]), univariate()
    A, b, x = ring.zeros((task.n_points, task.n_dims)), ring.zeros((task.n_points,)), ring.zeros((task.n_dims,))
    A[point, 0] = t
    if not start:
        b[point] = t
    if start:
        x[0] = t
    output = network.decode(network.evaluate(network.encode(A, b, x)))
    return max(entry.degree() for entry in output)


def prove_ray(make: MakeVariables = flint_variables, moment: int = 1) -> None:
    """With one data row a = t e_1 a step is ``x ← x − h (t² x − b t)`` in the first coordinate, h = η/N ≠ 0.

    (``moment`` is the factor of b t.)

    From x_init = t with b = 0: ``x_k = t (1 − h t²)^k``, of degree 2k+1. From x_init = 0 with b = t:
    ``x_k = 1 − (1 − h t²)^k``, of degree 2k. Both by induction on k, with y for (1 − h t²)^k.
    """
    v = make(t=(1,), y=(1,), h=(1,))
    t, power, h, one = v["t"], v["y"], v["h"], v.constant(1)

    def step(x: np.ndarray, b: np.ndarray) -> np.ndarray:
        return x - h * (t * t * x - v.constant(moment) * b * t)

    factor = one - h * t * t
    require_equal(step(t * power, v.zeros(1)), t * power * factor, "x_k = t (1 − h t²)^k", v.ring)
    require_equal(step(one - power, t), one - power * factor, "x_k = 1 − (1 − h t²)^k", v.ring)


def prove_degree(network: Network) -> None:
    """x_k has degree exactly 2k+1, and 2k from x_init = 0; raises :class:`Refuted` where the network's is another.

    This is the lower bound: on a ray, :func:`prove_ray`. From zero with N ≥ 2 the ray can use the first data row alone,
    so that 2k is already the degree in the rows before the last.
    """
    k = parameters_of(network)["n_steps"]
    for start, expected in ((True, 2 * k + 1), (False, 2 * k)):
        found = degree_on_ray(network, start)
        if found != expected:
            raise Refuted(f"{k} steps {'' if start else 'from zero '}have degree {expected}, got {found}", {"k": k})


# Degrees that a model can reach.


def degree_bounds(network: Network, input_degrees: np.ndarray) -> list[np.ndarray]:
    """Upper bounds, (channels, rows), on the degrees after each layer, from those of the input; −1 is the zero
    polynomial.

    One pass of the evaluator over the (max, +) semiring: a sum has the larger degree, a product the sum.
    """
    state, bounds = input_degrees, []
    for layer in network.layers:
        conv = spread(affine_degrees(layer.conv, state), layer, network)
        gate = affine_degrees(layer.gate, state)
        hidden = np.where((conv < 0) | (gate < 0), NOTHING, conv + gate)
        state = affine_degrees(layer.out, hidden)
        bounds.append(state)
    return bounds


def affine_degrees(sparse: SparseMap, state: np.ndarray) -> np.ndarray:
    """Degrees of an affine map of channels of the given degrees; constants have degree 0."""
    padded = np.concatenate([state, np.zeros((1, state.shape[1]), dtype=int)])
    out = np.full((sparse.n_out, state.shape[1]), NOTHING)
    np.maximum.at(out, sparse.rows, padded[sparse.columns])
    return out


def spread(degrees: np.ndarray, layer: C.Layer, network: Network) -> np.ndarray:
    """Degrees after the filters: the largest among the rows that a filter reads."""
    out = degrees.copy()
    for index, filter in enumerate(layer.filters):
        reads = filter.matrix(network.n_rows, network.mode) != 0
        chosen = layer.filter_index == index
        out[chosen] = np.where(reads[None], degrees[chosen][:, None, :], NOTHING).max(axis=2)
    return out


def symbolic_layer(mode: str, apply: Callable[..., np.ndarray]) -> tuple[np.ndarray, list[list[int]]]:
    """A layer of 3 rows, 2 channels, 2 hidden channels with symbols for all weights and inputs, and by row the positions
    of its inputs among the variables."""
    rows, channels, hidden = 3, 2, 2
    v = flint_variables(
        u=(rows, channels), in_weight=(channels, hidden), in_bias=(hidden,), filter=(rows, hidden), conv_bias=(hidden,),
        gate_weight=(channels, hidden), gate_bias=(hidden,), out_weight=(hidden, channels), out_bias=(channels,), branch=(2,),
    )  # fmt: skip
    names = [field.name for field in fields(LayerWeights) if field.name != "branch_weights"]
    weights = LayerWeights(**{name: v[name] for name in names}, branch_weights=v["branch"])
    return apply(weights, v["u"], mode), [list(range(row * channels, (row + 1) * channels)) for row in range(rows)]


def require_local_gate(mode: str, apply: Callable[..., np.ndarray] = definitions.layer) -> None:
    """Every monomial of a layer's output at row n has at most two inputs, and at most one that is not of row n.

    So if the inputs at the rows have degrees d_m, the output at row n has degree at most max_m d_m + d_n, whatever the
    weights: :func:`model_recursion`. Both are attained. Raises :class:`Refuted`.
    """
    output, inputs = symbolic_layer(mode, apply)
    everywhere = [position for row in inputs for position in row]
    most = 0
    for row, values in enumerate(output):
        elsewhere = [position for position in everywhere if position not in inputs[row]]
        for powers in (powers for value in values for powers in value.monoms()):
            total = sum(int(powers[position]) for position in everywhere)
            other = sum(int(powers[position]) for position in elsewhere)
            most = max(most, total)
            if total > 2 or other > 1:
                raise Refuted(f"a monomial at row {row} has {total} inputs, {other} of other rows", {"mode": mode})
    if most != 2:
        raise Refuted("the layer does not multiply at all", {"mode": mode})


def convolved_gate(weights: LayerWeights, u: np.ndarray, mode: str) -> np.ndarray:
    """The layer with its gate convolved too: what :func:`require_local_gate` must refuse."""
    return definitions.convolution(weights.filter, u, mode) * definitions.layer(weights, u, mode)


def squared_layer(weights: LayerWeights, u: np.ndarray, mode: str) -> np.ndarray:
    """The layer times its input: three factors."""
    return definitions.layer(weights, u, mode) * u


def model_recursion(before: np.ndarray, gate_is_local: bool = True) -> np.ndarray:
    """Degrees by row after one layer of *any* model: all rows in the convolved factor, the own row in the gate."""
    return before.max() + (before if gate_is_local else np.full_like(before, before.max()))


def prove_model_degrees(
    n_rows: int, depth: int, recursion: Callable[[np.ndarray], np.ndarray] = model_recursion
) -> None:
    """After l layers the degree in the data of the rows before the last is at most 2^l, and at most 2^l − 1 at the last
    row.

    At first it is 1, and 0 at the last row. In one layer the convolved factor has at most the largest degree f of any
    row, the gate at row n that of row n: f ↦ 2f, and at the last row g ↦ f + g. With f = 2^l, g = 2^l − 1: f + g =
    2^{l+1} − 1. Causal or circular makes no difference, for the gate is local in both. Counting all rows, 1 ↦ 2 ↦ 4: at
    most 2^l.
    """
    degrees = np.append(np.ones(n_rows - 1, dtype=int), 0)
    for layer in range(1, depth + 1):
        degrees = recursion(degrees)
        if degrees[-1] != 2**layer - 1 or (degrees[:-1] != 2**layer).any():
            raise Refuted(f"after {layer} layers the degrees by row are {degrees.tolist()}", {"depth": layer})
    v = flint_variables(y=(1,))
    y, one = v["y"], v.constant(1)
    require_equal(y + (y - one), (y + y) - one, "2^l + (2^l − 1) = 2^{l+1} − 1", v.ring)


def prove_depth_formula(make: MakeVariables = flint_variables) -> None:
    """``⌈log2(2k+1)⌉ = ⌊log2 k⌋ + 2`` for every k ≥ 1, and 2k ≤ 2^L − 1 says the same as 2k + 1 ≤ 2^L.

    With y = 2^m ≤ k < 2y write k = y + r, 0 ≤ r ≤ y − 1, and w = y − 1 − r ≥ 0: 2k + 1 − 2y = 2r + 1 > 0 and
    4y − (2k + 1) = 2w + 1 > 0.
    """
    v = make(r=(1,), w=(1,))
    r, w, one, two = v["r"], v["w"], v.constant(1), v.constant(2)
    y = one + r + w
    k = y + r
    require_equal(two * k + one - two * y, two * r + one, "2k + 1 − 2·2^m = 2r + 1 > 0", v.ring)
    require_equal(two * (y + y) - (two * k + one), two * w + one, "4·2^m − (2k + 1) = 2w + 1 > 0", v.ring)


def prove_depth_optimal(network: Network) -> None:
    """The network has the least depth for its number of steps, and respects the bounds of every model."""
    k = parameters_of(network)["n_steps"]
    if network.depth != least_depth(k):
        raise Refuted(f"{k} steps need {least_depth(k)} layers, the network has {network.depth}", {"k": k})
    for layer, bound in enumerate(degree_bounds(network, input_degrees(network)), start=1):
        if bound.max() > 2**layer:
            raise Refuted(f"degree {bound.max()} after {layer} layers", {"layer": layer})
    if not 2 * k + 1 <= bound[list(network.task.columns), network.task.readout_rows[0]].max():
        raise Refuted(f"the network's degree bound is below 2k + 1 = {2 * k + 1}", {"k": k})


def prove_degree_not_more(network: Network) -> None:
    """x_k has degree at most 2k+1: in the Gram form every layer after the second adds 2 (G and c have degree 2)."""
    bounds = degree_bounds(network, input_degrees(network))
    column = list(network.task.columns)
    row = network.task.readout_rows[0]
    for index, bound in enumerate(bounds[1:-1], start=2):
        by_name = dict(zip(network.layers[index - 1].outputs, bound[:, row], strict=True))
        if by_name["x[0]"] != 2 * index - 1 or by_name["G[0,0]"] != 2 or by_name["c[0]"] != 2:
            raise Refuted(f"degrees after layer {index}: {by_name}", {"layer": index})
    if bounds[-1][column, row].max() != 2 * parameters_of(network)["n_steps"] + 1:
        raise Refuted(f"the Gram form has degree at most {bounds[-1][column, row].max()}")


def input_degrees(network: Network) -> np.ndarray:
    """1 for entries that hold data, 0 for positional constants, −1 for zeros: (channels, rows)."""
    degrees = np.full((len(network.inputs), network.n_rows), NOTHING)
    for row, column in network.positions:
        degrees[column, row] = 0
    for row, column in network.task.free_channels:
        degrees[column, row] = 1
    return degrees


def one_layer_from_zero() -> Network:
    """For N = D = 1 and x_init = 0, ``x_1 = b a / 10`` in one layer: the hypothesis N ≥ 2 is needed."""
    builder = Builder(1, ["a[0]", "b"])
    x = builder.layer(x=np.array([Fraction(1, 10) * channel("a[0]") * channel("b")], dtype=object))
    return builder.build(x, lambda columns: Regression(1, 1, "A", columns, 2, takes_start=False))


def one_layer_without_step(n_points: int) -> Network:
    """With η = 0 all x_k are x_init, which one layer spreads over the rows: the hypothesis η ≠ 0 is needed."""
    builder = Builder(n_points, ["a[0]", "b", "x[0]"])
    x = builder.layer(x=np.array([prefix(channel("x[0]"))], dtype=object))
    return builder.build(x, lambda columns: Regression(n_points, 1, "A", columns, 3))


def prove_hypotheses_needed() -> None:
    """Without N ≥ 2 (from zero), and without η ≠ 0, x_1 takes one layer where the bound asks for two."""
    v = flint_variables(A=(1, 1), b=(1,))
    network = one_layer_from_zero()
    output = network.decode(network.evaluate(network.encode(v["A"], v["b"])))
    require_equal(output, v.constant(Fraction(1, 10)) * v["A"][0] * v["b"], "x_1 = η b a at N = 1", v.ring)
    v = flint_variables(A=(3, 1), b=(3,), x=(1,))
    still = one_layer_without_step(3)
    require_equal(still.decode(still.evaluate(still.encode(v["A"], v["b"], v["x"]))), v["x"], "x_1 = x_init", v.ring)
    if max(network.depth, still.depth) >= least_depth(1):
        raise Refuted("both take one layer", {"depths": [network.depth, still.depth]})


def one_step_more(n_steps: int, **parameters: object) -> Network:
    """A construction that takes one step more than it claims, in residual form."""
    build: Build = C.gradient_descent
    network = build(n_steps=n_steps, **parameters)
    more = build(**parameters | {"n_steps": n_steps + 1, "form": "residual"})
    return replace(more, parameters=network.parameters)


@theorem(
    id="degree-of-iterates",
    title="The degree of x_k is exactly 2k+1",
    statement=r"\deg_{(a,b,x_{\mathrm{init}})} x_k = 2k+1;\qquad x_{\mathrm{init}}=0:\ \deg x_k = 2k,"
    r"\text{ already in one row of data}",
    hypotheses=("η ≠ 0", "N, D, k >= 1"),
    source="new",
    covers="every k: upper bound by the degrees that the Gram form's layers add, lower bound on a ray by induction; "
    "the networks of all forms for k <= 8",
    controls={
        "a step size of 0": {"build": hard_coded(C.gradient_descent, step_size=0)},
        "one step more than claimed": {"build": one_step_more},
        "a step that adds the moment twice": lambda: prove_ray(moment=2),
    },
)
def degree_of_iterates(size: Size, build: Build = C.gradient_descent) -> Evidence:
    N, D = size.n_points, size.n_dims
    prove_ray()
    prove_ray(sympy_variables)
    for k in range(1, 9):
        for form in ("residual", "gram", "tight") + (("doubling",) if k & (k - 1) == 0 else ()):
            network = build(n_points=N, n_dims=D, n_steps=k, step_size="1/10", form=form)  # type: ignore[arg-type]
            prove_degree(network)
            if form == "gram":
                prove_degree_not_more(network)
    for k in (9, 33, 100):
        prove_degree(build(n_points=2, n_dims=1, n_steps=k, step_size="1/10", form="tight"))
        gram = build(n_points=2, n_dims=1, n_steps=k, step_size="1/10", form="gram")
        prove_degree_not_more(gram)
    return Evidence(
        f"Executed: x_k on the ray for every k, by an induction step with t, h = η/N and the power symbols; networks of all "
        f"forms at N={N}, D={D} on the ray for k = 1..8, and at N=2, D=1 for k = 9, 33, 100; degrees that the Gram form adds "
        "layer by layer for these k. Argued: the Gram form adds 2 a layer for every k, for its layers repeat",
        "Q[t, y, h], Q[t]",
        "python-flint; SymPy for the induction",
    )


@theorem(
    id="gd-depth-lower-bound",
    title="k gradient steps need ⌊log2 k⌋ + 2 layers, and the tight form has no more",
    statement=r"L \ge \lceil \log_2(2k+1)\rceil = \lfloor\log_2 k\rfloor + 2",
    hypotheses=(
        "η ≠ 0",
        "any BaseConv model, causal or circular, read at the last row, of any width, with any weights",
        "N >= 2 where x_init = 0 (at N = 1 one layer computes x_1 = η b a)",
        "layouts A and E for equality (S spends one more layer on a mask)",
    ),
    source="new",
    covers="every k and every model: what one layer with symbols for weights multiplies, branch weights included, and the "
    "degree recursion that follows; depth of the tight form for k <= 64 and of doubling for k = 1, 2, 4, …, 64, layouts A "
    "and E; both hypotheses shown necessary",
    controls={
        "the Gram form, which is deeper": {"build": hard_coded(C.gradient_descent, form="gram")},
        "a gate that sees all rows": lambda: prove_model_degrees(4, 3, partial(model_recursion, gate_is_local=False)),
        "a layer whose gate is convolved": lambda: require_local_gate("causal", convolved_gate),
        "a layer that multiplies three factors": lambda: require_local_gate("causal", squared_layer),
    },
)
def depth_lower_bound(size: Size, build: Build = C.gradient_descent) -> Evidence:
    N, D = size.n_points, size.n_dims
    for mode in ("causal", "circular"):
        require_local_gate(mode)
    prove_model_degrees(max(N, 2), 40)
    for make in (flint_variables, sympy_variables):
        prove_depth_formula(make)
    prove_hypotheses_needed()
    n, d = min(N, 2), min(D, 2)
    for layout in ("A", "E"):
        for k in range(1, 65):
            for form in ("tight",) + (("doubling",) if k & (k - 1) == 0 else ()):
                prove_depth_optimal(
                    build(n_points=n, n_dims=d, n_steps=k, step_size="1/10", form=form, layout=layout)  # type: ignore[arg-type]
                )
        full = build(n_points=N, n_dims=D, n_steps=37, step_size="1/10", form="tight", layout=layout)  # type: ignore[arg-type]
        prove_depth_optimal(full)
    return Evidence(
        "Executed: one layer, all weights, filters, branch weights and inputs symbols, 3 rows, 2 channels, causal and circular: "
        "every monomial has at most two inputs, one of them at the row itself; the recursion of degrees that follows, and its "
        f"closed form for L <= 40; ⌈log2(2k+1)⌉ = ⌊log2 k⌋ + 2 with k a symbol; depths of networks for k <= 64 at N={n}, D={d} "
        f"and k = 37 at N={N}, D={D}. Argued: the same of a layer with more rows and channels, a sum of such products; "
        "induction on L",
        "Q[weights, inputs], Z (degrees), Q[y, r]", "integer recursion; python-flint; SymPy",
        detail={"steps_in_m_plus_2_layers": "2^m by doubling, up to 2^(m+1) − 1 by the tight form"},
    )  # fmt: skip
