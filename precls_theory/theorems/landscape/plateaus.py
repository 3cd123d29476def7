r"""The plateaus of training on the explicit gradient are stationary points: networks that have learned some features.

The target is ``g = (1/N) (Σ_n a_n a_nᵀ x − Σ_n b_n a_n)``, per coordinate the orthogonal features x_i, −(1/N) Σ b_n a_ni and
the coordinate of ((1/N) G − I) x, of mean squares 1, 1/N and (D+1)/N. Runs pass the levels 1 + (D+2)/N (nothing), (D+2)/N
(x), (D+1)/N (x and Σab), then single products. Here the network of two layers that has learned some of them, all weights of
its other units zero, is put into the exact population loss: the loss is the level, and the *whole* gradient is zero, in all
weights of both layers. So a plateau is a neighbourhood of such a set. Along the curve that switches the next feature on, the
eight weights of its path scaled by t, the loss is ``L − c (2t⁸ − t¹⁶)``, c the feature's mean square: no minimum, and the
way down along this curve starts at order eight, which is why runs stay. (Whether a mixed direction descends sooner is not
decided here.)

A product a_i a_j that layer 1 already forms ends the third plateau: the gradient of layer 2's In is then not zero (the control).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from fractions import Fraction
from functools import partial

import flint
import numpy as np

from constructions.algebra.filters import Filter
from constructions.algebra.terms import Expression, channel, channels, convolve, shifted
from constructions.networks.builder import Builder
from constructions.networks.network import Network
from constructions.networks.tasks import Regression
from precls_theory.landscape.moments import Gaussian
from precls_theory.landscape.population_loss import SymbolicModel, TargetMap, fmpq, population_loss
from precls_theory.proofs.symbolic import array_of
from precls_theory.registry import Evidence, Refuted, Size, theorem
from precls_theory.theorems.landscape.exact_weights import FIELDS, dense_model

FIRST, SECOND = ("aa", "ba", "x"), ("product", "ba", "x")
"""Units of the two layers, in order."""
FEATURES = {"x": ("x", "x"), "Σab": ("ba", "ba"), "(G/N − I)x": ("aa", "product")}
"""For each feature its unit in layer 1 and its unit in layer 2."""


def network(n_points: int) -> Network:
    """The explicit gradient for D = 1, with one more unit in layer 2, for x alone: its Out is the coefficient of x."""
    N = n_points
    builder = Builder(N + 1, ["a[0]", "b"])
    (a,), b = channels("a", 1), channel("b")
    aa, ba, x = builder.layer(aa=a * a, ba=b * a, x=shifted(a, N))

    def last(value: Expression) -> Expression:
        return convolve(Filter.of((1,) * N, 0), value)

    g = builder.layer(g=(last(aa) * x - last(ba)) * Fraction(1, N) + x)
    task = partial(Regression, N, 1, "S", n_inputs=len(builder.inputs), last_row=True)
    return builder.build(g, task)


def gradient_target(n_points: int) -> TargetMap:
    """g of the data in u: row 0 is (x, ·), row n is (a_n, b_n)."""

    def target(u: np.ndarray) -> np.ndarray:
        x, total = u[0, 0], u[0, 0] * 0
        for row in u[1:]:
            total = total + row[0] * (row[0] * x - row[1])
        return array_of([total / n_points], (1,))

    return target


def place(field: str, index: tuple[int, ...]) -> int | None:
    """The hidden unit that an entry of a field of weights belongs to; None for the output bias."""
    if field == "out_bias":
        return None
    return index[0] if field == "out_weight" else index[-1]


def parts(name: str) -> tuple[str, int, tuple[int, ...]]:
    """(field, layer, index) of a dense weight's name."""
    field = next(field for field in FIELDS if name.startswith(field) and name[len(field)].isdigit())
    depth, *index = name[len(field) :].split("_")
    return field, int(depth), tuple(map(int, index))


def unit_of(name: str) -> str | None:
    """``"1 aa"``: layer and unit of a dense weight, None where it belongs to no unit."""
    if name.startswith("positions"):
        return None
    field, depth, index = parts(name)
    unit = place(field, index)
    return None if unit is None else f"{depth + 1} {(FIRST, SECOND)[depth][unit]}"


def at_plateau(
    values: dict[str, Fraction], learned: tuple[str, ...], formed: tuple[str, ...] = ()
) -> dict[str, Fraction]:
    """The weights of the learned features alone; x has the coefficient 1 until the product takes its part over.

    ``formed`` are units of layer 1 that are there although nothing uses them.
    """
    kept = {f"1 {FEATURES[feature][0]}" for feature in learned} | {f"2 {FEATURES[feature][1]}" for feature in learned}
    kept |= {f"1 {unit}" for unit in formed}
    return {name: value if unit_of(name) in kept else Fraction(0) for name, value in values.items()}


def arrays_of(model: SymbolicModel, entry: Callable[[str], flint.fmpq_mpoly]) -> dict[str, np.ndarray]:
    """The arrays of weights whose entries are ``entry(name)``."""
    arrays = {}
    for family, shape in model.shapes.items():
        array = np.empty(shape, dtype=object)
        for index in np.ndindex(*shape):
            array[index] = entry("_".join([family, *map(str, index)]))
        arrays[family] = array
    return arrays


def along(model: SymbolicModel, entries: Callable[[str], Mapping[int, Fraction]], target: TargetMap) -> list[Fraction]:
    """The loss where the weight ``name`` is the polynomial ``entries(name)``, ``{power of t: coefficient}``, by powers of t."""

    def apply(symbols: dict[str, np.ndarray], u: np.ndarray) -> np.ndarray:
        t = symbols["t"][0]

        def entry(name: str) -> flint.fmpq_mpoly:
            return sum((t**power * fmpq(c) for power, c in entries(name).items() if c), t * 0)

        return model.apply(arrays_of(model, entry), u)

    single = SymbolicModel({"t": (1,)}, model.n_rows, model.n_channels, apply)
    loss = population_loss(single, target, Gaussian()).polynomial
    found = {int(power): Fraction(int(c.p), int(c.q)) for (power,), c in loss.to_dict().items()}
    return [found.get(power, Fraction(0)) for power in range(max(found, default=0) + 1)]


def prove_stationary(n_points: int, learned: tuple[str, ...], level: Fraction, formed: tuple[str, ...] = ()) -> int:
    """The loss is the level and no derivative in any weight is there; returns the number of weights."""
    model, values = dense_model(network(n_points))
    target = gradient_target(n_points)
    point = at_plateau(values, learned, formed)
    for moved in point:
        lines = {name: {0: value, 1: Fraction(int(name == moved))} for name, value in point.items()}
        loss = along(model, lines.__getitem__, target)
        if loss[0] != level:
            raise Refuted(f"N={n_points}, learned {learned}: the loss is {loss[0]}, not {level}")
        if len(loss) > 1 and loss[1]:
            raise Refuted(f"N={n_points}, learned {learned}: the derivative in {moved} is {loss[1]}")
    return len(point)


def prove_exit(
    n_points: int, learned: tuple[str, ...], level: Fraction, feature: str, size: Fraction, order: int = 8
) -> None:
    """Along the curve of the next feature the loss is ``level − size (2t⁸ − t¹⁶)``."""
    model, values = dense_model(network(n_points))
    point = at_plateau(values, learned)
    path = {f"1 {FEATURES[feature][0]}", f"2 {FEATURES[feature][1]}"}

    def entries(name: str) -> dict[int, Fraction]:
        unit = unit_of(name)
        if unit in path:
            return {1: values[name]}
        if feature == "(G/N − I)x" and unit == "2 x" and parts(name)[0] == "out_weight":
            return {0: point[name], order: -values[name]}  # the product brings x along: its own coefficient falls
        return {0: point[name]}

    loss = along(model, entries, gradient_target(n_points))
    expected = [Fraction(0)] * (2 * order + 1)
    expected[0], expected[order], expected[2 * order] = level, -2 * size, size
    if loss + [Fraction(0)] * (len(expected) - len(loss)) != expected:
        raise Refuted(f"N={n_points}, {feature}: the loss along the curve is {[str(value) for value in loss]}")


def levels(n_points: int) -> list[tuple[tuple[str, ...], Fraction, str, Fraction]]:
    """(learned, level, next feature, its mean square) for D = 1."""
    N = n_points
    return [
        ((), 1 + Fraction(3, N), "x", Fraction(1)),
        (("x",), Fraction(3, N), "Σab", Fraction(1, N)),
        (("x", "Σab"), Fraction(2, N), "(G/N − I)x", Fraction(2, N)),
    ]


@theorem(
    id="landscape-plateaus",
    title="The plateaus of training on the explicit gradient are saddles of its population loss",
    statement=r"L=1+\tfrac3N,\ \tfrac3N,\ \tfrac2N:\quad \nabla L=0\ (N=2),\qquad L(t)=L-c\,(2t^8-t^{16})\ (N=2,3)",
    hypotheses=("two layers, causal, D = 1, all data N(0, 1)", "units of features not yet learned have weights zero"),
    source="new; the levels as measured in training",
    covers="all dense weights of both layers, one at a time, at N = 2; the levels and the curves at N = 2, 3; other sizes are "
    "not covered",
    controls={
        "products formed in layer 1": lambda: prove_stationary(2, ("x", "Σab"), Fraction(1), ("aa",)),
        "x learned by half": lambda: prove_half(),
        "the level of two data points at three": lambda: prove_exit(3, (), Fraction(5, 2), "x", Fraction(1)),
        "a descent of order four": lambda: prove_exit(2, ("x",), Fraction(3, 2), "Σab", Fraction(1, 2), 4),
    },
)
def plateaus(size: Size) -> Evidence:
    counts = []
    for learned, level, feature, square in levels(2):
        counts.append(prove_stationary(2, learned, level))
        prove_exit(2, learned, level, feature, square)
    for learned, level, feature, square in levels(3):
        prove_exit(3, learned, level, feature, square)
    return Evidence(
        f"executed: three plateaus at N = 2, D = 1, the derivative in each of {counts[0]} weights; the levels and the curves at "
        "N = 2, 3. Argued: nothing, so other sizes are open",
        "Q[t]",
        "python-flint",
    )


def prove_half() -> None:
    """The plateau of x with the coefficient 1/2: there is a gradient."""
    model, values = dense_model(network(2))
    point = at_plateau(values, ("x",))
    name = next(n for n, v in point.items() if v and unit_of(n) == "2 x" and parts(n)[0] == "out_weight")
    loss = along(
        model, lambda n: {0: point[n] / (2 if n == name else 1), 1: Fraction(int(n == name))}, gradient_target(2)
    )
    if loss[1]:
        raise Refuted(f"the derivative in {name} is {loss[1]}")
