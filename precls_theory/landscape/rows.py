r"""A layer of one unit at N rows, by the layer at one row: Square, Linear, Multiply, for every N and every D.

Weights in ∈ R^D, b, taps f_0 … f_{N−1}, c, gate g ∈ R^D, q; u has independent standard Gaussian entries; the target acts
on every row alone, as ``uᵀT u + l·u`` with T symmetric. Let F_n = f_0 + … + f_n, F̄ their mean over the rows, m = c + F̄ b
(a change of coordinates: c ↔ m), and f' = (f_1 … f_{N−1}). The errors' Hermite coefficients are orthogonal, so

    L_N = N·L_1(f_0 in, m, g, q) + G,   L_1(p, m, g, q) = 2‖sym(p gᵀ) − T‖² + |q p + m g − l|²,
    G = (|g|² + q²) (|in|² A(f') + b² B(f')),   A = Σ_k (N−k) f_k²,   B = Σ_n (F_n − F̄)²,

A and B positive definite in f'. L_1 is the loss at one row; both lines are multiplied out by
:meth:`precls_theory.landscape.row_wise.RowWise.check`.

*Stationary points.* ``f'·∂_{f'} L = 2G`` (at constant m), so G = 0, hence ∇G = 0 for G ≥ 0: they are the points with
∇(L_1∘φ) = 0, φ = (f_0 in, m, g, q), and f' = 0, or g = q = 0, or in = b = 0. With v = ∂_p L_1 at p = f_0 in:
v·in = 0, f_0 v = 0. If v ≠ 0, then f_0 = 0, and (f_0, in) has the Hessian block [[·, v], [v, c]] whose first diagonal
entry in direction in, or whose second in direction v, is 0 (f' = 0: the second; in = b = 0: the first): a strict saddle.

*Where f_0 in ≠ 0 and f' = 0* φ is a submersion and L ≥ N L_1∘φ with equality at f' = 0: the kind is that of (p, m, g, q)
at one row. Where f_0 in ≠ 0 and f' ≠ 0: g = q = 0, L_1 does not depend on (p, m) there, and ∂_g∂_p L_1 = −4T,
∂_g∂_m L_1 = −2l: strict saddles.

*Where f_0 in = 0*, T = 0: ∂_m and ∂_g say m(mg − l) = 0, g·(mg − l) = 0. If mg = l the loss is 0. Else m = 0, l·g = 0,
v = −2q l: with q ≠ 0 a strict saddle as above; with q = 0 the block of (m, g) in direction l is [[2|g|², −2|l|²], [·, y]]
where y = 0 or, for g = 0, the first entry is: a strict saddle.

*Where f_0 in = 0*, l = 0: mg = 0, and v = −4Tg = 0 or a strict saddle. Up to the constant 2N‖T‖² the loss is

    N[−4 f_0 inᵀT g + f_0²(|in|²|g|² + (in·g)²) + |q f_0 in + m g|²] + (|g|² + q²)(A|in|² + B b²).                  (*)

(i) f_0 ≠ 0, in = 0: in (δin, δg) the Hessian is indefinite unless m ≠ 0, q ≠ 0 and g = 0; then eliminating δg leaves
``K = (4f_0²/m²)(q m T − T²) + (q² A/N)·1`` on δin: a negative eigenvalue is a strict saddle; K > 0 and f' ≠ 0 (so b = 0) a
minimum (the kernel is the tangent space of {in = b = 0, g = 0}). (ii) f_0 = 0, T in ≠ 0: the same in (δf_0, δg) leaves
``κ = q m inᵀT in − |T in|²`` if f' = 0, m ≠ 0, g = 0: κ > 0 is a minimum, κ < 0 a strict saddle, as is everything with f' ≠ 0,
m = 0 or q = 0. (iii) If q m T ≥ T² holds near (q, m), eliminating g from (*) shows that no value nearby is lower: a minimum
(f' = 0 or in = b = 0). (iv) f_0 = 0, in = b = 0, g = 0, f' ≠ 0, m q ≠ 0: K > 0 as in (i). (v) All others are limits of strict
saddles of the same loss, by moving f_0, q or in (K and κ change sign there): degenerate saddles.

For Multiply T has the eigenvalues ±1/2, so (iii) is empty: the minima of (i) and (ii) are the ones that rows add.

With r units the same identity holds with sums over units inside the norms, ``G = Σ_k (N−k)|Σ_h f_hk in_h⊗(g_h, q_h)|² +
Σ_n |Σ_h b_h (F_hn − F̄_h)(g_h, q_h)|²``, and so G = 0 at every stationary point; the kinds are worked out here for r = 1.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction

import flint

from precls_theory.landscape.components import DEGENERATE, LOCAL, SADDLE, Component, Value
from precls_theory.landscape.kinds import ACCUMULATE
from precls_theory.landscape.population_loss import fmpq
from precls_theory.landscape.problems import Problem
from precls_theory.landscape.row_wise import RowWise, Weights
from precls_theory.landscape.signature import Signature
from precls_theory.landscape.slices import Chart, Slice, charts

THEOREM = "theorem landscape-rows"
Classify = Callable[[Slice], Iterator[Component]]


def components(problem: Problem, split: RowWise, one_row: Classify) -> Iterator[Component]:
    """All stationary points of a layer of one unit at several rows; ``one_row`` classifies a slice of the one-row layer."""
    split.check(problem.loss)
    for chart in charts(split.one_row):
        if any(chart.fixed.get(f"in_0_{d}") == 1 for d in range(split.channels)):
            for component in one_row(Slice(split.one_row, chart)):
                yield lifted(problem, split, component)
    family = of_products if split.eigenvalues else of_linear
    for described in family(Weights(problem.loss, split)):
        yield described.component(problem)


def lifted(problem: Problem, split: RowWise, component: Component) -> Component:
    """A component at one row with in ≠ 0, at several: f_0 = 1, f' = 0, ``p_0 = c_0 + b_0``; b and a scaling are free."""

    def renamed(text: str) -> str:
        return re.sub(r"\bp_0\b", "(c_0 + b_0)", text)

    def weights(values: dict[str, str], one: str = "1") -> dict[str, str]:
        if not values:
            return {}
        moved = {"c_0" if name == "p_0" else name: value for name, value in values.items()}
        return {name: one if name == "filter_0_0" else moved.get(name, "0") for name in problem.loss.names}

    point = weights(component.point)
    signature, descent = component.signature, component.descent
    if signature is not None:
        gated = any(value != "0" for name, value in point.items() if name.startswith("gate") or name == "q_0")
        more = split.rows - 1
        signature = Signature(
            signature.negative, signature.zero + 1 + more * (not gated), signature.positive + more * gated
        )
    if descent is not None:
        rate = split.rows * Fraction(descent["rate"])
        descent = {**descent, "rate": str(rate), "curve": weights(descent["curve"])}
    taps = (f"filter_0_{k}" for k in range(1, split.rows))
    return replace(
        component,
        dimension=component.dimension + 2 if component.dimension >= 0 else component.dimension,
        loss=None if component.loss is None else times(component.loss, split.rows),
        equations=("filter_0_0 - 1", *taps, *map(renamed, component.equations)),
        conditions=tuple(map(renamed, component.conditions)),
        point=point,
        signature=signature,
        descent=descent,
        reason=f"{renamed(component.reason)} (at one row; {THEOREM})",
    )


def times(value: Value, factor: int) -> Value:
    """A value of the loss times a positive integer."""
    if value.rational is not None:
        return Value(factor * value.rational)
    degree = len(value.coefficients) - 1
    scaled = flint.fmpz_poly([c * factor ** (degree - k) for k, c in enumerate(value.coefficients)])
    primitive = scaled / scaled.content()
    return Value(None, tuple(int(c) for c in primitive.coeffs()), factor * value.approximately)


@dataclass(frozen=True, eq=False)
class Described:
    """A set of stationary points with f_0 in = 0, or g = q = 0: equations, conditions, one of its points."""

    kind: str
    loss: Fraction
    dimension: int
    equations: Sequence[flint.fmpq_mpoly]
    conditions: tuple[str, ...]
    point: dict[str, Fraction]
    reason: str

    def component(self, problem: Problem) -> Component:
        """The component, after a check of its point: stationary, of this loss, on the set, of a Hessian of this kind."""
        loss = problem.loss
        at = dict.fromkeys(loss.names, Fraction(0)) | self.point
        values = loss.point(at)
        signature = signature_at(problem, at)
        if any(slope != 0 for slope in loss.gradient_at(at)) or loss.at(at) != self.loss:
            raise ArithmeticError(f"{self.point} is not a stationary point of loss {self.loss}")
        if any(equation(*values) != 0 for equation in self.equations):
            raise ArithmeticError(f"{self.point} is not on the set that it is said to be of")
        if (signature.negative > 0) != (self.kind == SADDLE):
            raise ArithmeticError(f"the Hessian at {self.point} has the signature {signature}: it is no {self.kind}")
        shown = {name: str(value) for name, value in at.items()}
        equations = tuple(str(equation) for equation in self.equations if equation)
        return Component(
            self.kind, self.dimension, Value(self.loss), True, equations, self.conditions, shown, signature,
            reason=f"{self.reason} ({THEOREM})",
        )  # fmt: skip


def signature_at(problem: Problem, at: dict[str, Fraction]) -> Signature:
    """The signature of the Hessian in all weights."""
    _, signature = Slice(problem, Chart({}, ())).hessian_at(problem.loss.point(at))
    if sum(vars(signature).values()) != len(at):
        raise ArithmeticError("a signature of another size")
    return signature


def placed(
    into: Sequence[int] = (), taps: Sequence[Fraction | int] = (), gate: Sequence[int] = (), **named: int
) -> dict[str, Fraction]:
    """A point by the weights that are not zero."""
    families = {"in_0": into, "filter_0": taps, "gate_0": gate}
    found = {f"{name}_{i}": Fraction(value) for name, values in families.items() for i, value in enumerate(values)}
    return found | {f"{name}_0": Fraction(value) for name, value in named.items()}


MINOR = "the Hessian has a negative eigenvalue"
"""What the strict saddles rest on; the module says in which weights."""


def of_linear(w: Weights) -> Iterator[Described]:
    """T = 0: global minima with m g = l, and strict saddles."""
    size, rows = w.split.channels, w.split.rows
    linear = [w.context.constant(1) * fmpq(entry) for entry in w.split.linear]
    level = rows * sum((entry**2 for entry in w.split.linear), Fraction(0))
    met = [w.mean * gate - entry for gate, entry in zip(w.gate, linear, strict=True)]
    later = w.taps[1:]
    slopes = placed(c=1) | {f"gate_0_{d}": entry for d, entry in enumerate(w.split.linear)}
    for dimension, equations in (
        (size + 3, [*w.taps, *met]),
        (4, [*w.into, *later, *met]),
        (rows + 2, [*w.into, w.b, *met]),
    ):
        yield Described(LOCAL, Fraction(0), dimension, equations, (), slopes, "the loss is 0")
    closed = [*w.gate, w.q]
    on_in, on_gate = w.inner(linear, w.into), w.inner(linear, w.gate)
    sets: list[tuple[int, list[flint.fmpq_mpoly]]] = [
        (size + rows, [*closed, w.taps[0], w.mean]),
        (size + rows, [*closed, w.mean, on_in]),
        (2 * size, [*w.taps, w.c, on_in, on_gate]),
        (size + rows - 1, [*w.into, w.b, w.taps[0], w.c, on_gate]),
    ]
    if size > 1:  # with one channel these are among the others
        sets += [
            (2 * size, [*w.taps, w.c, w.q, on_gate]),
            (size + 1, [*w.into, *later, w.mean, w.q, on_gate]),
            (size + rows - 1, [*w.into, w.b, w.c, w.q, on_gate]),
        ]
    for dimension, equations in sets:
        yield Described(SADDLE, level, dimension, equations, (), placed(), MINOR)


def of_products(w: Weights) -> Iterator[Described]:
    """l = 0: the sets with f_0 in = 0, or g = q = 0, of loss 2N‖T‖², and their minima."""
    size, rows, eigenvalues = w.split.channels, w.split.rows, w.split.eigenvalues
    kernel = size - len(eigenvalues)
    level = 2 * rows * sum((entry**2 for row in w.split.quadratic for entry in row), Fraction(0))
    later, f0 = w.taps[1:], w.taps[0]
    seen, gated = [v for v in w.applied(w.into) if v], [v for v in w.applied(w.gate) if v]
    definite = min(eigenvalues) > 0
    largest = str(max(eigenvalues))
    first, both, zeros = [1, *[0] * (size - 1)], [1] * min(2, size), [0] * (rows - 1)
    shown_in, shown_gate = f"({', '.join(map(str, seen))})", f"({', '.join(map(str, gated))})"

    def described(
        kind: str, dimension: int, equations: Sequence[flint.fmpq_mpoly], point: dict[str, Fraction], *conditions: str
    ) -> Described:
        reason = {SADDLE: MINOR, DEGENERATE: ACCUMULATE, LOCAL: "no value nearby is lower"}[kind]
        return Described(kind, level, dimension, equations, conditions, point, reason)

    # in = 0, f' = 0, gate = 0
    equations, product = [*w.into, *later, *w.gate], f"q_0*({w.c + f0 * w.b})"
    if definite:
        yield described(LOCAL, 4, equations, placed(taps=[1], c=2, q=1), f"{product} > {largest}")
        yield described(SADDLE, 4, equations, placed(taps=[1], c=1), f"{f0} != 0", f"{product} < {largest}")
        yield described(DEGENERATE, 3, [*equations, f0], placed(c=1), f"{product} <= {largest}")
        wall = w.q * (w.c + f0 * w.b) - fmpq(max(eigenvalues))
        yield described(DEGENERATE, 3, [*equations, wall], on_product(taps=[1], product=max(eigenvalues)))
    else:
        yield described(SADDLE, 4, equations, placed(taps=[1], c=1), f"{f0} != 0")
        yield described(DEGENERATE, 3, [*equations, f0], placed(c=1))
    # filter = 0, gate = 0
    equations = [*w.taps, *w.gate]
    kappa = w.c * w.q * w.inner(w.into, w.applied(w.into)) - w.norm(w.applied(w.into))
    if definite:
        yield described(LOCAL, size + 3, equations, placed(first, c=2, q=1), f"{w.c * w.q} > {largest}")
        yield described(DEGENERATE, size + 3 - len(seen), [*equations, *seen], placed(c=1), f"{w.c * w.q} <= {largest}")
    else:
        yield described(LOCAL, size + 3, equations, placed(both, c=1, q=1), f"{kappa} > 0")
        yield described(DEGENERATE, size + 3 - len(seen), [*equations, *seen], placed(c=1))
    yield described(SADDLE, size + 3, equations, placed(first), f"{kappa} < 0")
    boundary = on_product(into=both, product=max(eigenvalues))
    yield described(DEGENERATE, size + 2, [*equations, kappa], boundary, f"{shown_in} != 0")
    # in = b = 0, gate = 0
    equations = [*w.into, w.b, *w.gate]
    ks = [
        4 * rows * f0**2 * (w.q * w.c * fmpq(value) - fmpq(value**2)) + w.c**2 * w.q**2 * w.later()
        for value in eigenvalues
    ]
    moving = f"({', '.join(map(str, later))}) != 0"
    yield described(
        LOCAL, rows + 2, equations, placed(taps=[Fraction(1, 4), 1], c=1, q=1), moving, *(f"{k} > 0" for k in ks)
    )
    negative = f"{ks[0]} < 0" if len(ks) == 1 else f"one of these is negative: {', '.join(map(str, ks))}"
    yield described(SADDLE, rows + 2, equations, placed(taps=[1, 1], q=1), moving, negative)
    none = "none of the others is negative" if len(ks) > 1 else ""
    for k, point in zip(ks, walls(w), strict=True):
        yield described(DEGENERATE, rows + 1, [*equations, k], point, *filter(None, (moving, none)))
    # Where gate may be in the kernel of T, or the product of in and gate is orthogonal
    if kernel:
        for extra, dimension in (
            ([*w.into, *later, w.mean, *gated], 3 + kernel),
            ([*w.into, w.b, w.c, *gated], rows + 1 + kernel),
        ):
            yield described(SADDLE, dimension, extra, placed(taps=[1]), f"{f0} != 0")
            yield described(DEGENERATE, dimension - 1, [*extra, f0], placed())
    orthogonal = w.inner(w.into, w.applied(w.gate))
    yield described(
        SADDLE, 2 * size + 1, [*w.taps, w.c, orthogonal], placed(first), f"{shown_in} != 0 or {shown_gate} != 0"
    )
    both_in_kernel = [*w.taps, w.c, *seen, *gated]
    yield described(DEGENERATE, 2 * size + 2 - 2 * len(seen), both_in_kernel, placed())
    yield described(
        SADDLE, rows + size, [*w.into, w.b, f0, w.c], placed(taps=[0, *zeros[1:], 1], gate=first), f"{shown_gate} != 0"
    )
    # gate = q = 0
    closed = [*w.gate, w.q]
    yield described(SADDLE, size + rows + 1, [*closed, f0], placed(first), f"{shown_in} != 0")
    yield described(SADDLE, rows + kernel + 2, [*closed, *seen], placed(taps=[1]), f"{f0} != 0")
    yield described(DEGENERATE, rows + kernel + 1, [*closed, f0, *seen], placed())


def on_product(
    into: Sequence[int] = (), taps: Sequence[Fraction | int] = (), product: Fraction = Fraction(1)
) -> dict[str, Fraction]:
    """A point with c = 1, b = 0 and q the value that q c has."""
    return placed(into, taps, c=1) | {"q_0": product}


def walls(w: Weights) -> Iterator[dict[str, Fraction]]:
    """For each eigenvalue τ a point with in = b = 0, gate = 0, f' ≠ 0 where its K is 0 and no other is negative, f_0 = c = 0."""
    for _ in w.split.eigenvalues:
        yield placed(taps=[0, 1], q=1)
