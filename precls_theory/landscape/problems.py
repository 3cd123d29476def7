"""The landscapes of Thm. 4.1: a target, a form, a size, and the independent problems into which its loss falls apart.

*Operator.* Output channel d of ``(uW + B1) ⊙ (H⋆u + B2)`` has its own column of W, B1, H and B2, so the loss is a sum
over d of losses in different weights: a point is stationary when each part is, and is a local minimum when each part
is. Within a part, (W, B1) → s(W, B1), (H, B2) → (H, B2)/s leaves the loss as it is.

*Layer.* One output of a layer with r hidden units. Out is folded into Gate, and the output bias is set to its best
value: the lemmas of ``theorems/landscape`` say why neither loses or gains a local minimum, and which saddles Out = 0
adds. With one row In and filter are one map too (they are multiplied), and unit h is ``(in_h·u + p_h)(gate_h·u + q_h)``
with the scaling s_h as above. With more rows it is ``(filter_h ⋆ (in_h·u + b_h) + c_h)(gate_h·u + q_h)``, all weights
of the trained layer but for Out, with the scalings ``(in, b, filter) → (s in, s b, filter/s)`` and ``(gate, q, filter,
c) → (s gate, s q, filter/s, c/s)``. The best output bias takes the mean error over rows and inputs away.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import partial
from typing import Literal

import flint
import numpy as np

from precls_theory.landscape import targets
from precls_theory.landscape.euler import Squares, unseen_channels
from precls_theory.landscape.moments import Gaussian, Moments
from precls_theory.landscape.population_loss import Loss, SymbolicModel, population_loss
from precls_theory.landscape.row_wise import RowWise, row_wise
from precls_theory.proofs.symbolic import array_of

ModelForm = Literal["operator", "layer"]
TargetName = Literal["square", "linear", "multiply", "read"]
TARGETS: tuple[TargetName, ...] = ("square", "linear", "multiply", "read")


@dataclass(frozen=True, eq=False)
class Problem:
    """One loss with its scalings: each of ``scalings`` is a pair of families of weights scaled by s and 1/s.

    ``vanishing`` is a curve of weights, Laurent polynomials in ε as ``{power: coefficient}``, along which the loss
    tends to its greatest lower bound without reaching it. ``exact`` are weights at which the loss is 0, where there are.
    ``least`` is a least value that is not 0, with the theorem that proves it.
    ``others_are_saddles`` names the theorem by which every stationary point above the least loss is a strict saddle.
    """

    name: str
    loss: Loss
    scalings: tuple[tuple[tuple[str, ...], tuple[str, ...]], ...]
    vanishing: dict[str, dict[int, Fraction]] | None = None
    exact: dict[str, Fraction] | None = None
    others_are_saddles: str = ""
    least: tuple[Fraction, str] | None = None
    task: tuple[SymbolicModel, Callable[[np.ndarray], np.ndarray]] | None = None
    """The model and the target that the loss is of: to train on samples. A layer's model still has its output bias."""
    squares: Squares | None = None
    """Equations that every real stationary point satisfies beside those of the gradient, with the identity for them."""
    row_wise: RowWise | None = None
    """How the loss follows from that of the same layer at one row, where it does."""


@dataclass(frozen=True, eq=False)
class Landscape:
    """A whole task: the loss is the sum of the losses of the parts, in different weights."""

    target: TargetName
    form: ModelForm
    channels: int
    rows: int
    units: int
    parts: tuple[Problem, ...]


def landscape(
    target: TargetName, form: ModelForm = "operator", channels: int = 1, rows: int = 1, units: int = 1,
    coefficient: Fraction = Fraction(1, 2), moments: Moments | None = None,
) -> Landscape:  # fmt: skip
    """The losses of a target.

    Square: every entry squared. Linear: the identity, plus ``coefficient`` times the second channel into the first
    where there are two. Multiply: channel 0 times channel 1, into channel 1, the rest unchanged. Read: row 0 into the
    last row. A layer is taken with one output: Square of channel 0, the first output of Linear, the product, Read of
    channel 0.
    Raises ``ValueError`` for a size that the target does not have.
    """
    if target not in TARGETS:
        raise ValueError(f"target must be one of {', '.join(TARGETS)}, got {target!r}")
    if form not in ("operator", "layer"):
        raise ValueError(f"form must be 'operator' or 'layer', got {form!r}")
    for name, size in (("channels", channels), ("rows", rows), ("units", units)):
        if size < 1:
            raise ValueError(f"{name} must be at least 1, got {size}")
    if target == "multiply" and channels < 2:
        raise ValueError(f"multiply needs two channels to multiply, got channels={channels}")
    if target == "read" and rows < 2:
        raise ValueError(f"read copies row 0 into the last row: it needs rows >= 2, got rows={rows}")
    if form == "operator" and units != 1:
        raise ValueError(f"an operator has one unit a channel: units is for form='layer', got units={units}")
    wanted = wanted_output(target, channels, rows, coefficient)
    moments = moments or Gaussian()
    if form == "layer":
        output = 1 if target == "multiply" else 0
        make = layer_problem if rows == 1 else partial(rows_problem, rows=rows)
        parts: tuple[Problem, ...] = (make(target, wanted, output, channels, units, moments),)
    else:
        parts = tuple(operator_problem(target, wanted, channel, channels, rows, moments) for channel in range(channels))
    return Landscape(target, form, channels, rows, units, parts)


def wanted_output(
    target: TargetName, channels: int, rows: int, coefficient: Fraction
) -> Callable[[np.ndarray], np.ndarray]:
    if target == "square":
        return targets.square
    if target == "multiply":
        return targets.multiply(0, 1, 1)
    if target == "read":
        return targets.read(0, rows - 1)
    matrix = [[Fraction(int(i == j)) for j in range(channels)] for i in range(channels)]
    if channels > 1:
        matrix[1][0] = coefficient
    return targets.linear(matrix)


def affine(weights: np.ndarray, constant: flint.fmpq_mpoly, values: Sequence[flint.fmpq_mpoly]) -> flint.fmpq_mpoly:
    total = constant
    for weight, value in zip(weights, values, strict=True):
        total = total + weight * value
    return total


def operator_problem(
    target: str, wanted: Callable[[np.ndarray], np.ndarray], channel: int, channels: int, rows: int, moments: Moments
) -> Problem:
    """Output channel ``channel`` of the causal operator: weights W (D), B1 (N), H (N), B2 (N)."""

    def apply(w: dict[str, np.ndarray], u: np.ndarray) -> np.ndarray:
        out = []
        for row in range(rows):
            gate = affine(w["W"], w["B1"][row], list(u[row]))
            conv = affine(w["H"][: row + 1], w["B2"][row], [u[row - lag, channel] for lag in range(row + 1)])
            out.append(gate * conv)
        return array_of(out, (rows,))

    shapes: dict[str, tuple[int, ...]] = {"W": (channels,), "B1": (rows,), "H": (rows,), "B2": (rows,)}
    task = SymbolicModel(shapes, rows, channels, apply), lambda u: wanted(u)[:, channel]
    loss = population_loss(*task, moments)
    gate = (*(f"W_{d}" for d in range(channels)), *(f"B1_{n}" for n in range(rows)))
    conv = (*(f"H_{n}" for n in range(rows)), *(f"B2_{n}" for n in range(rows)))
    vanishing = None
    if target == "read" and rows == 2:
        # Row 0 through W·B2, row 1 through B1·H: the cross term W·H is ε.
        one = Fraction(1)
        vanishing = {name: dict[int, Fraction]() for name in (*gate, *conv)}
        vanishing[f"W_{channel}"], vanishing["B2_0"] = {1: one}, {-1: one}
        vanishing["B1_1"], vanishing["H_1"] = {0: one}, {0: one}
    exact = dict.fromkeys((*gate, *conv), Fraction(0))
    product = target == "square" or (target == "multiply" and channel == 1)
    if product:
        exact[f"W_{0 if target == 'multiply' else channel}"] = exact["H_0"] = Fraction(1)
    else:
        slopes = slope_of(wanted, channel, channels, rows)
        exact |= {f"W_{d}": slope for d, slope in enumerate(slopes)} | {f"B2_{n}": Fraction(1) for n in range(rows)}
    return Problem(
        f"channel {channel}", loss, ((gate, conv),), vanishing, exact if loss.at(exact) == 0 else None, task=task
    )


def slope_of(wanted: Callable[[np.ndarray], np.ndarray], channel: int, channels: int, rows: int) -> list[Fraction]:
    """The matrix column of a target that is linear in each row, by its values at unit vectors."""
    units = []
    for d in range(channels):
        u = np.full((rows, channels), flint.fmpq(0), dtype=object)
        u[:, d] = flint.fmpq(1)
        value = wanted(u)[0, channel]
        units.append(Fraction(int(value.p), int(value.q)))
    return units


def layer_problem(
    target: str, wanted: Callable[[np.ndarray], np.ndarray], output: int, channels: int, units: int, moments: Moments
) -> Problem:
    """One output of a layer at one row: units (in_h·u + p_h)(gate_h·u + q_h), the output bias at its best value."""

    def apply(w: dict[str, np.ndarray], u: np.ndarray) -> np.ndarray:
        total = u[0, 0] * 0
        for h in range(units):
            total = total + affine(w["in"][h], w["p"][h], list(u[0])) * affine(w["gate"][h], w["q"][h], list(u[0]))
        return array_of([total + w["bias"][0]], (1,))

    shapes = {"in": (units, channels), "p": (units,), "gate": (units, channels), "q": (units,), "bias": (1,)}
    task = SymbolicModel(shapes, 1, channels, apply), lambda u: array_of([wanted(u)[0, output]], (1,))
    with_bias = population_loss(*task, moments)
    scalings = tuple(
        (
            (*(f"in_{h}_{d}" for d in range(channels)), f"p_{h}"),
            (*(f"gate_{h}_{d}" for d in range(channels)), f"q_{h}"),
        )
        for h in range(units)
    )
    theorem = ""
    if units > channels:
        theorem = "landscape-wide-layer"
    elif units == channels >= 2 and moments_are_standard(moments):
        theorem = "landscape-critical-width"
    return Problem(
        f"output {output}", without_bias(with_bias, "bias_0"), scalings, others_are_saddles=theorem, task=task
    )


def rows_problem(
    target: str, wanted: Callable[[np.ndarray], np.ndarray], output: int, channels: int, units: int, moments: Moments,
    rows: int,
) -> Problem:  # fmt: skip
    """One output of a layer at several rows, causal: filter and In apart, for their biases differ from row to row."""

    def apply(w: dict[str, np.ndarray], u: np.ndarray) -> np.ndarray:
        out = []
        for row in range(rows):
            total = w["bias"][0]
            for h in range(units):
                seen = [affine(w["in"][h], w["b"][h], list(u[row - lag])) for lag in range(row + 1)]
                conv = affine(w["filter"][h][: row + 1], w["c"][h], seen)
                total = total + conv * affine(w["gate"][h], w["q"][h], list(u[row]))
            out.append(total)
        return array_of(out, (rows,))

    by_channel = (units, channels)
    shapes = {
        "in": by_channel,
        "b": (units,),
        "filter": (units, rows),
        "c": (units,),
        "gate": by_channel,
        "q": (units,),
    }
    task = SymbolicModel({**shapes, "bias": (1,)}, rows, channels, apply), lambda u: wanted(u)[:, output]
    with_bias = population_loss(*task, moments)
    scalings = []
    for h in range(units):
        taps = tuple(f"filter_{h}_{lag}" for lag in range(rows))
        scalings.append(((*(f"in_{h}_{d}" for d in range(channels)), f"b_{h}"), taps))
        scalings.append(((*(f"gate_{h}_{d}" for d in range(channels)), f"q_{h}"), (*taps, f"c_{h}")))
    loss, least, squares = without_bias(with_bias, "bias_0"), None, None
    if target == "read" and (units, rows) == (1, 2) and moments_are_standard(moments):
        least = Fraction(1, 2), "landscape-read-layer"
        squares = unseen_channels(loss, channels) if channels > 1 else None
    split = None
    if units == 1 and moments_are_standard(moments) and target != "read":
        one_row = layer_problem(target, wanted, output, channels, units, moments)
        split = row_wise(one_row, target, rows, slope_of(wanted, output, channels, 1))
    return Problem(f"output {output}", loss, tuple(scalings), least=least, task=task, squares=squares, row_wise=split)


def moments_are_standard(moments: Moments) -> bool:
    """Whether the inputs are independent standard Gaussians."""
    return isinstance(moments, Gaussian) and moments.covariance is None


def without_bias(loss: Loss, name: str) -> Loss:
    """The loss at the best value of a weight in which it is ``a β² + 2β c + …``, a > 0 a number: replace β by −c/a."""
    names = list(loss.names)
    place = names.index(name)
    slope = loss.gradient[place]
    context = flint.fmpq_mpoly_ctx.get(tuple(other for other in names if other != name), "degrevlex")
    curvature = slope.derivative(place)
    if not curvature.is_constant() or not curvature.leading_coefficient() > 0:
        raise ValueError(f"the loss is not a β² + 2βc + … with a number a > 0 in {name}")
    best = drop(slope.subs({name: 0}), place, context) / -curvature.leading_coefficient()
    generators = [*context.gens()[:place], best, *context.gens()[place:]]
    return Loss(loss.polynomial.compose(*generators, ctx=context))


def drop(polynomial: flint.fmpq_mpoly, place: int, context: flint.fmpq_mpoly_ctx) -> flint.fmpq_mpoly:
    """The polynomial, which does not use the variable at this place, in a context without it."""
    terms = {}
    for monomial, coefficient in polynomial.to_dict().items():
        exponents = tuple(map(int, monomial))
        terms[exponents[:place] + exponents[place + 1 :]] = coefficient
    return context.from_dict(terms)
