"""From trained weights to exact ones (new): an exact network near a trained one, where there is one.

What training converges to is an exact solution, seen through rounding: weights that should be zero are 1e-16, taps that
should be equal differ by 1e-16, vectors that should be parallel nearly are. :func:`snap` reads that structure off with a
tolerance and imposes it; the equations (:mod:`precls_theory.training.certify.equations`) are then *linear* in one factor of
each layer, the others given: in Out for the features, in In for the gradient. They have more equations than unknowns, and
are consistent because of the structure alone. They are solved near the trained weights: a least-norm correction in
floating point, then, on a square subsystem of full rank,

* by the Krawczyk test in ball arithmetic, which gives the radius in which a solution is proved to lie,
* over Q, which gives the solution itself; that it satisfies every equation, those outside the subsystem too, is verified
  exactly.

Nothing rests on the tolerance: a wrong guess of the structure has no exact solution, and is refused. Not every solution that
training finds has this structure: with gates that cancel each other across channels the equations are no longer consistent
in one factor alone, and no exact network is found. Layers whose outputs have hidden channels of their own, as the recipe
``layerwise`` trains them, seldom end like that (five of five seeds at N=4, D=2 had one when this was written).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from fractions import Fraction

import flint
import numpy as np

from constructions.models.operators import LayerWeights
from precls_theory.training.certify.equations import Sizes, features_wanted, gradient_wanted
from precls_theory.training.certify.krawczyk import NoRootProved, Root, krawczyk

TOLERANCES = (1e-12, 1e-10, 1e-8, 1e-6)
"""What counts as zero, or as equal, tried in this order."""
RANK = 1e-9
"""Pivots below this, relative to the largest, count as zero when a square subsystem is chosen."""
NOUGHT = Fraction(0)


class NoExactNetwork(ValueError):
    """No exact network was found near the trained weights, with the reason in words."""


@dataclass(frozen=True)
class Snapped:
    """Exact weights, the distance (maximum norm over all weights) at which they lie, and what the Krawczyk test proved.

    ``krawczyk_radius``: an exact solution lies within it of the trained weights. ``live`` counts the hidden channels of
    each layer that do something.
    """

    layers: tuple[LayerWeights, ...]
    distance: Fraction
    krawczyk_radius: Fraction
    tolerance: float
    live: tuple[int, ...]


def snap(layers: Sequence[LayerWeights], sizes: Sizes) -> Snapped:
    """An exact explicit-gradient network near these two trained layers (rational weights, no positions, causal).

    Raises :class:`NoExactNetwork`.
    """
    check_shapes(layers, sizes)
    reason = ""
    for tolerance in TOLERANCES:
        try:
            first, first_root = solve_features(structured(layers[0], tolerance), sizes)
            shared = equal_taps(structured(layers[1], tolerance), sizes, tolerance)
            second, second_root = solve_gradient(tied(shared, sizes, tolerance), sizes)
        except (NoExactNetwork, NoRootProved) as error:
            reason = str(error)
            continue
        exact = (first, second)
        distance = max(apart(a, b) for a, b in zip(exact, layers, strict=True))
        # The root of the square system is the rational solution; the ball about the point that was tested holds it.
        radius = max(
            apart(replace(a, **{name: point}), b) + root.within
            for a, b, (name, point, root) in zip(exact, layers, (first_root, second_root), strict=True)
        )
        return Snapped(exact, distance, radius, tolerance, (live(first), live(second)))
    raise NoExactNetwork(f"no exact network near the trained weights was found: {reason}")


def check_shapes(layers: Sequence[LayerWeights], sizes: Sizes) -> None:
    """:class:`NoExactNetwork` unless these are two layers with the features of the layer-by-layer recipe between them."""
    shapes = [(*layer.in_weight.shape, layer.out_weight.shape[1]) for layer in layers]
    wanted = [(sizes.n_dims + 1, sizes.n_features), (sizes.n_features, sizes.n_dims)]
    if [(n_in, n_out) for n_in, _, n_out in shapes] != wanted or any(
        len(layer.filter) != sizes.n_points + 1 for layer in layers
    ):
        raise NoExactNetwork(
            f"exact networks are looked for near two layers with {sizes.n_features} features between them, as the recipe "
            f"layerwise trains them; this one has layers of (inputs, hidden, outputs) {shapes}"
        )


def structured(layer: LayerWeights, tolerance: float) -> LayerWeights:
    """Weights below the tolerance are zero."""

    if layer.branch_weights is not None:
        raise NoExactNetwork("branch weights are not looked at")

    def cleared(values: np.ndarray) -> np.ndarray:
        kept = values.copy()
        kept[np.abs(values.astype(float)) <= tolerance] = NOUGHT
        return kept

    weights = (cleared(getattr(layer, entry.name)) for entry in fields(layer) if entry.name != "branch_weights")
    return LayerWeights(*weights)


def dead(layer: LayerWeights) -> np.ndarray:
    """Which hidden channels have a factor that is zero."""
    into = np.concatenate([layer.in_weight, layer.in_bias[None]])
    gate = np.concatenate([layer.gate_weight, layer.gate_bias[None]])
    return ~np.logical_and.reduce([(part != 0).any(axis=0) for part in (into, gate, layer.filter, layer.out_weight.T)])


def live(layer: LayerWeights) -> int:
    return int((~dead(layer)).sum())


def equal_taps(layer: LayerWeights, sizes: Sizes, tolerance: float) -> LayerWeights:
    """Taps of a live channel over the data rows, equal to within the tolerance, are made equal (to the first one)."""
    taps = layer.filter.copy()
    for unit in np.flatnonzero(~dead(layer)):
        over_data = taps[: sizes.n_points, unit]
        if max(abs(float(tap - over_data[0])) for tap in over_data) > tolerance or taps[-1, unit] != 0:
            raise NoExactNetwork(f"channel {unit} of the second layer does not weigh the data rows alike")
        over_data[:] = over_data[0]
    return replace(layer, filter=taps)


def tied(layer: LayerWeights, sizes: Sizes, tolerance: float) -> LayerWeights:
    """Out of a channel that is parallel to its Gate on x, to within the tolerance, is made parallel.

    That is how a product of a symmetric matrix with a vector takes D(D+1)/2 multiplications and not D²: Q x = Σ_h (q_h·Q)
    (g_h·x) g_h; training finds it.
    """
    out = layer.out_weight.copy()
    gate = layer.gate_weight[-sizes.n_dims :]
    for unit in np.flatnonzero(~dead(layer)):
        g, o = gate[:, unit].astype(float), out[unit].astype(float)
        if not g.any():
            continue
        scale = (o @ g) / (g @ g)
        if np.abs(o - scale * g).max() <= tolerance:
            out[unit] = Fraction(float(scale)) * gate[:, unit]
    return replace(layer, out_weight=out)


Solved = tuple[str, np.ndarray, Root]
"""The factor that was solved for, the values about which the Krawczyk test was made, and its result."""


def solve_features(layer: LayerWeights, sizes: Sizes) -> tuple[LayerWeights, Solved]:
    """Out of the first layer, exactly, the rest of it given."""
    D = sizes.n_dims
    into = np.concatenate([layer.in_weight, layer.in_bias[None]])
    gate = np.concatenate([layer.gate_weight, layer.gate_bias[None]])
    if layer.conv_bias.any():
        raise NoExactNetwork("the convolution of the first layer has a bias")
    wanted = features_wanted(sizes)
    rows, targets = [], []
    for lag in range(sizes.n_points + 1):
        for a in range(D + 2):
            for b in range(a if lag == 0 else 0, D + 2):
                # b of row 0, which layout S leaves zero, could be left out at lag N; it is not, since every row is solved.
                product = into[a] * gate[b] + (into[b] * gate[a] if lag == 0 and a != b else 0)
                rows.append(layer.filter[lag] * product)
                targets.append(wanted[lag, :, a, b])
    bias = np.array([Fraction(int(place == D_const(sizes))) for place in range(len(rows))], dtype=object)
    matrix = np.concatenate([np.array(rows, dtype=object), bias[:, None]], axis=1)
    start = np.concatenate([layer.out_weight, layer.out_bias[None]])
    exact, point, root = solve_near(matrix, np.array(targets, dtype=object), start)
    return replace(layer, out_weight=exact[:-1], out_bias=exact[-1]), ("out_weight", point[:-1], root)


def D_const(sizes: Sizes) -> int:
    """Place of the constant among the coefficients of lag 0, which is the last of them."""
    return (sizes.n_dims + 2) * (sizes.n_dims + 3) // 2 - 1


def solve_gradient(layer: LayerWeights, sizes: Sizes) -> tuple[LayerWeights, Solved]:
    """In of the second layer, exactly, the rest of it given: taps are equal over the data rows and zero at row 0."""
    if layer.conv_bias.any() or layer.out_bias.any():
        raise NoExactNetwork("the second layer has a bias of the convolution or of Out")
    gate = np.concatenate([layer.gate_weight, layer.gate_bias[None]])
    rows = (layer.out_weight.T[:, None, :] * gate[None, :, :] * layer.filter[0]).reshape(-1, gate.shape[1])
    wanted = gradient_wanted(sizes)[0].transpose(0, 2, 1)  # (output, gate's channel, In's channel)
    rows[:, dead(layer)] = NOUGHT
    start = np.concatenate([layer.in_weight, layer.in_bias[None]]).T
    exact, point, root = solve_near(rows, wanted.reshape(len(rows), -1), start)
    return replace(layer, in_weight=exact[:, :-1].T, in_bias=exact[:, -1]), ("in_weight", point[:, :-1].T, root)


def solve_near(matrix: np.ndarray, targets: np.ndarray, start: np.ndarray) -> tuple[np.ndarray, np.ndarray, Root]:
    """The solution X of ``matrix X = targets`` near ``start``: exact, the point that was tested, and the test's result.

    (E, H), (E, P), (H, P) arrays of rationals. Raises :class:`NoExactNetwork` where the system is inconsistent,
    :class:`NoRootProved` where the test fails.
    """
    used = np.flatnonzero((matrix != 0).any(axis=1))
    if targets[np.setdiff1d(np.arange(len(matrix)), used)].any():
        raise NoExactNetwork("a coefficient that the target needs is zero in every hidden channel")
    A, T = rational(matrix[used]), rational(targets[used])
    X = rational(start)
    floats = matrix[used].astype(float)
    correction = np.linalg.pinv(floats, rcond=RANK) @ as_fractions(T - A * X).astype(float)
    point = exact_floats(start.astype(float) + correction)
    rows, columns = square_part(floats)
    others = np.setdiff1d(np.arange(matrix.shape[1]), columns)
    square = rational(matrix[used][np.ix_(rows, columns)])
    right = rational(targets[used][rows])
    if len(others):
        right = right - rational(matrix[used][np.ix_(rows, others)]) * rational(point[others])
    try:
        solution = square.solve(right)
    except ZeroDivisionError as error:
        raise NoExactNetwork("the equations chosen are dependent") from error
    exact = point.copy()
    exact[columns] = as_fractions(solution)
    if A * rational(exact) != T:
        raise NoExactNetwork("the structure read off the weights does not make the equations consistent")
    return exact, point, prove_root(square, right, point[columns])


def prove_root(square: flint.fmpq_mat, right: flint.fmpq_mat, point: np.ndarray) -> Root:
    """The Krawczyk test of ``square X = right`` at ``point`` (rank, P), one column after the other; the largest radii."""
    matrix = flint.arb_mat(square)
    worst = Root(NOUGHT, NOUGHT)
    values = as_fractions(right)
    for column in range(point.shape[1]):
        target = flint.arb_mat(rational(values[:, [column]]))
        root = krawczyk(lambda x, t=target: matrix * x - t, lambda x: matrix, point[:, column].tolist())  # type: ignore[misc]
        worst = Root(max(worst.radius, root.radius), max(worst.within, root.within))
    return worst


def square_part(matrix: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Rows and columns of a square part of full rank, by elimination with complete pivoting."""
    rest = matrix / np.maximum(np.abs(matrix).max(axis=1, keepdims=True), 1e-300)
    rows, columns = [], []
    largest = np.abs(rest).max(initial=0.0)
    while rest.size:
        row, column = np.unravel_index(np.abs(rest).argmax(), rest.shape)
        if abs(rest[row, column]) <= RANK * largest:
            break
        rows.append(row)
        columns.append(column)
        rest = rest - np.outer(rest[:, column] / rest[row, column], rest[row])
        rest[row], rest[:, column] = 0, 0
    return np.array(rows, dtype=np.int64), np.array(columns, dtype=np.int64)


def apart(left: LayerWeights, right: LayerWeights) -> Fraction:
    """The largest difference of two weights."""
    return max(
        Fraction(np.abs(a - b).max(initial=NOUGHT))
        for a, b in zip(vars(left).values(), vars(right).values(), strict=True)
        if a is not None
    )


def rational(values: np.ndarray) -> flint.fmpq_mat:
    entries = [flint.fmpq(int(v.numerator), int(v.denominator)) for v in values.flat]
    return flint.fmpq_mat(*values.shape, entries)


def as_fractions(matrix: flint.fmpq_mat) -> np.ndarray:
    entries = np.empty(matrix.nrows() * matrix.ncols(), dtype=object)
    entries[:] = [Fraction(int(v.p), int(v.q)) for v in matrix.entries()]
    return entries.reshape(matrix.nrows(), matrix.ncols())


def exact_floats(values: np.ndarray) -> np.ndarray:
    entries = np.empty(values.size, dtype=object)
    entries[:] = [Fraction(value) for value in values.ravel().tolist()]
    return entries.reshape(values.shape)
