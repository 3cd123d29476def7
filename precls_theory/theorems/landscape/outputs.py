r"""Several outputs, several rows: width leaves no local minimum above the least loss, strict or flat.

A layer with r hidden units has the outputs ``M = Σ_h o_h ⊗ p_h ⊗ q_h ∈ R^C ⊗ R^m ⊗ R^n``: o_h is the unit's column of Out, p_h
and q_h the coefficients of its convolved factor and of its gate (constants among them; one row: m = n = D + 1). The loss is
F(M), F a convex quadratic, for every target and distribution.

**Theorem.** Let ``r ≥ (m + 1)(n + 1) + C (m + n + 1)``. At *every* point with L > min L there is a direction along which the loss
decreases at order three: no local minimum lies above the least loss.

*Proof.* S = F'(M) ≠ 0, for F is convex; rank-one tensors span, so S(ω, a, b) ≠ 0 for some ω, a, b. Suppose x, y, z ∈ R^r with

    Σ x_h p_h⊗q_h = 0,   Σ y_h o_h⊗q_h = 0,   Σ z_h o_h⊗p_h = 0,
    Σ x_h y_h q_h = 0,   Σ x_h z_h p_h = 0,   Σ y_h z_h o_h = 0,   Σ x_h y_h z_h = 1.                                  (*)

Then ``M(o + t x ω, p + t y a, q + t z b) = M + t³ ω⊗a⊗b`` exactly, and the loss is ``L + t³ S(ω, a, b) + O(t⁶)``: it decreases
for one sign of t.

Solutions exist. Let Y be the y of the second equation, of dimension ≥ r − Cn, and given y let X be the x of the first and the
fourth, of dimension ≥ r − mn − n. Given x and y, a z exists unless x∘y is a combination of the vectors that z is orthogonal to:

    x_h (y_h − α·p_h) = A(o_h, p_h) + y_h β·o_h   for all h, with some A ∈ R^{C×m}, α ∈ R^m, β ∈ R^C.                    (bad)

Fix α and let Z = {h : y_h = α·p_h}. Off Z the bad x are determined linearly by A and β, on Z they are free: a space of dimension
≤ Cm + C + |Z|. The α with this Z form an affine space of dimension m − ρ, ρ the rank of (p_h), h ∈ Z, and y restricted to Z lies
in a space of dimension ρ; Y restricted to Z has dimension ≥ |Z| − Cn, so for a generic y ∈ Y (off finitely many proper subspaces)
that happens only if |Z| − ρ ≤ Cn. So the bad x have dimension ≤ Cm + C + m + Cn, less than r − mn − n ≤ dim X. ∎

One output has more (``width.py``: D + 1 units, and a *strict* descent). With several outputs no width makes all saddles strict:
where all units see a subspace of the inputs on which S vanishes, the Hessian is that of F, semidefinite (:func:`prove_flat`).
At small widths spurious minima are there (case F of ``spurious.py``: two outputs, two units).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

import flint
import numpy as np

from precls_theory.landscape import targets
from precls_theory.landscape.descent import kernel
from precls_theory.landscape.moments import Gaussian, Moments, Uniform
from precls_theory.landscape.population_loss import SymbolicModel, TargetMap, fmpq, population_loss
from precls_theory.landscape.roots import sign
from precls_theory.landscape.signature import Signature
from precls_theory.proofs.symbolic import array_of, flint_variables, require_equal
from precls_theory.registry import Evidence, Refuted, Size, theorem

Row = list[Fraction]


@dataclass(frozen=True)
class Units:
    """Weights o (r, C), p (r, m), q (r, n) of the units of a layer."""

    o: list[Row]
    p: list[Row]
    q: list[Row]

    @property
    def count(self) -> int:
        return len(self.o)


def enough(n_outputs: int, n_conv: int, n_gate: int) -> int:
    """The width of the theorem."""
    return (n_conv + 1) * (n_gate + 1) + n_outputs * (n_conv + n_gate + 1)


# The identity, with symbols: each of its coefficients is one of the sums of (*).


def prove_identity(units: int, n_outputs: int, n_conv: int, n_gate: int, cube: int = 1) -> None:
    """The coefficients of t, t², t³ in M are the sums of (*) with ω, a, b where a factor is missing; all symbols."""
    v = flint_variables(
        o=(units, n_outputs), p=(units, n_conv), q=(units, n_gate), x=(units,), y=(units,), z=(units,),
        w=(n_outputs,), a=(n_conv,), b=(n_gate,), t=(1,),
    )  # fmt: skip
    o, p, q, x, y, z, w, a, b, t = (v[name] for name in "opqxyzwabt")

    def tensor(left: np.ndarray, middle: np.ndarray, right: np.ndarray) -> np.ndarray:
        return left[:, None, None] * middle[None, :, None] * right[None, None, :]

    moved = v.zeros(n_outputs * n_conv * n_gate).reshape(n_outputs, n_conv, n_gate)
    expected = moved
    for h in range(units):
        # One-element arrays, for NumPy would take a polynomial for a sequence.
        xh, yh, zh = x[h : h + 1], y[h : h + 1], z[h : h + 1]
        moved = moved + tensor(o[h] + t * xh * w, p[h] + t * yh * a, q[h] + t * zh * b)
        expected = expected + tensor(o[h], p[h], q[h])
        for coefficient, parts in (
            (t * xh, (w, p[h], q[h])), (t * yh, (o[h], a, q[h])), (t * zh, (o[h], p[h], b)),
            (t * t * xh * yh, (w, a, q[h])), (t * t * xh * zh, (w, p[h], b)), (t * t * yh * zh, (o[h], a, b)),
            (t * t * t * xh * yh * zh * v.constant(cube), (w, a, b)),
        ):  # fmt: skip
            expected = expected + tensor(*parts) * coefficient
    require_equal(moved, expected, f"M along the curve, r={units}, C={n_outputs}, m={n_conv}, n={n_gate}", v.ring)


# The directions, at given points.


def directions(units: Units) -> tuple[Row, Row, Row]:
    """(x, y, z) of (*), over Q; ``Refuted`` where none is found."""
    second = kernel(matrix(pairs(units.o, units.q)))
    for seed in range(1, 6):
        y = combination(second, seed, units.count)
        first = kernel(matrix([*pairs(units.p, units.q), *scaled(y, units.q)]))
        x = combination(first, seed + 1, units.count)
        product = [a * b for a, b in zip(x, y, strict=True)]
        z = dual([*pairs(units.o, units.p), *scaled(x, units.p), *scaled(y, units.o)], product)
        if z is not None:
            return x, y, z
    raise Refuted(f"no x, y, z with (*) were found: {units.count} units")


def pairs(left: list[Row], right: list[Row]) -> list[Row]:
    """For each i, j the vector ``left[h][i]·right[h][j]`` over h."""
    return [
        [a[i] * b[j] for a, b in zip(left, right, strict=True)]
        for i in range(len(left[0]))
        for j in range(len(right[0]))
    ]


def scaled(weights: Row, rows: list[Row]) -> list[Row]:
    return [[weight * row[j] for weight, row in zip(weights, rows, strict=True)] for j in range(len(rows[0]))]


def matrix(rows: list[Row]) -> flint.fmpq_mat:
    return flint.fmpq_mat(len(rows), len(rows[0]), [fmpq(entry) for row in rows for entry in row])


def combination(basis: list[list[flint.fmpq]], seed: int, size: int) -> Row:
    """A combination of all vectors with small coefficients that differ."""
    total = [Fraction(0)] * size
    for index, vector in enumerate(basis, start=1):
        weight = (seed * index * index + index) % 13 - 6 or 1
        total = [s + weight * Fraction(int(c.p), int(c.q)) for s, c in zip(total, vector, strict=True)]
    return total


def dual(orthogonal: list[Row], to: Row) -> Row | None:
    """z orthogonal to some vectors with z·to = 1, or None."""
    rows = [*([*row, Fraction(0)] for row in orthogonal), [*to, Fraction(1)]]
    reduced, rank = matrix(rows).rref()
    z = [Fraction(0)] * len(to)
    for row in range(rank):
        pivot = next(j for j in range(len(to) + 1) if reduced[row, j] != 0)
        if pivot == len(to):
            return None
        value = reduced[row, len(to)]
        z[pivot] = Fraction(int(value.p), int(value.q))
    return z


def loss_along(
    units: Units,
    x: Row,
    y: Row,
    z: Row,
    direction: tuple[Row, Row, Row],
    bias: Row,
    target: TargetMap,
    moments: Moments,
) -> list[Fraction]:
    """The population loss of the layer (one row) as a polynomial in t, by powers, along the curve."""
    w, a, b = direction

    def apply(weights: dict[str, np.ndarray], u: np.ndarray) -> np.ndarray:
        t = weights["t"][0]
        extended = [*u[0], t * 0 + 1]
        outputs = [t * 0 + fmpq(value) for value in bias]
        for h in range(units.count):
            conv, gate = t * 0, t * 0
            for i, entry in enumerate(extended):
                conv = conv + entry * (fmpq(units.p[h][i]) + t * fmpq(y[h] * a[i]))
                gate = gate + entry * (fmpq(units.q[h][i]) + t * fmpq(z[h] * b[i]))
            unit = conv * gate
            outputs = [total + unit * (fmpq(units.o[h][c]) + t * fmpq(x[h] * w[c])) for c, total in enumerate(outputs)]
        return array_of(outputs, (len(outputs),))

    n_dims = len(units.p[0]) - 1
    loss = population_loss(SymbolicModel({"t": (1,)}, 1, n_dims, apply), lambda u: target(u)[0], moments).polynomial
    found = [Fraction(0)] * 7
    for (power,), coefficient in loss.to_dict().items():
        found[int(power)] = Fraction(int(coefficient.p), int(coefficient.q))
    return found


def descends(units: Units, direction: tuple[Row, Row, Row], bias: Row, target: TargetMap, moments: Moments) -> Fraction:
    """The loss decreases at order three along the curve of the proof; returns the coefficient of t³."""
    x, y, z = directions(units)
    loss = loss_along(units, x, y, z, direction, bias, target, moments)
    if loss[1] or loss[2] or loss[4] or loss[5] or not loss[3]:
        raise Refuted(f"the loss along the curve is not L + ct³ + dt⁶: {[str(value) for value in loss]}")
    return loss[3]


def example(kind: str, count: int, n_outputs: int, n_dims: int) -> Units:
    """Points to descend from: all units zero, all the same, all seeing channel 0 alone, or small integers."""
    size = n_dims + 1

    def numbers(seed: int, width: int) -> list[Row]:
        return [[Fraction((seed * (h + 1) * (i + 2) + h * h + i) % 7 - 3) for i in range(width)] for h in range(count)]

    o, p, q = numbers(1, n_outputs), numbers(2, size), numbers(3, size)
    if kind == "zero":
        o, p, q = ([[Fraction(0)] * len(row) for row in rows] for rows in (o, p, q))
    elif kind == "the same":
        o, p, q = ([rows[1]] * count for rows in (o, p, q))
    elif kind == "one channel":
        p, q = ([[row[0], *[Fraction(0)] * (n_dims - 1), row[-1]] for row in rows] for rows in (p, q))
    return Units(o, p, q)


KINDS = ("zero", "the same", "one channel", "integers")


def flat_point(units: int) -> Units:
    """Two outputs, two inputs: unit 0 is u_0² for output 0, the others constants that cancel; output 1 has only its bias."""
    zero, one = Fraction(0), Fraction(1)
    o, p, q = [[one, zero]], [[one, zero, zero]], [[one, zero, zero]]
    for h in range(1, units):
        o.append([one if h % 2 else -one, zero])
        p.append([zero, zero, one])
        q.append([zero, zero, one])
    return Units(o, p, q)


def two_squares(names: Sequence[str]) -> dict[str, Fraction]:
    """Unit 0 is u_0² for output 0, unit 1 is u_1² for output 1; all else is zero."""
    ones = {f"{family}_{h}_{h}" for family in "opq" for h in range(2)}
    return {name: Fraction(int(name in ones)) for name in names}


def prove_flat(units: int, seen: int = 0) -> Signature:
    """Square of two channels: a stationary point of loss 2 whose Hessian is semidefinite, at this (odd) width.

    From width 2 on it is above the least loss: two units have loss 0. The Hessian in all weights and the output biases.
    ``seen = 1`` lets unit 0's gate see channel 1 as well.
    """
    at = flat_point(units)
    shapes: dict[str, tuple[int, ...]] = {"o": (units, 2), "p": (units, 3), "q": (units, 3), "bias": (2,)}

    def apply(w: dict[str, np.ndarray], u: np.ndarray) -> np.ndarray:
        extended = array_of([*u[0], w["bias"][0] * 0 + 1], (3,))
        unit = [(w["p"][h] @ extended) * (w["q"][h] @ extended) for h in range(units)]
        outputs = []
        for c in range(2):
            total = w["bias"][c]
            for h in range(units):
                total = total + w["o"][h, c] * unit[h]
            outputs.append(total)
        return array_of(outputs, (2,))

    loss = population_loss(SymbolicModel(shapes, 1, 2, apply), lambda u: targets.square(u)[0], Gaussian())
    point = {"bias_0": Fraction(0), "bias_1": Fraction(1)}
    for name, rows in (("o", at.o), ("p", at.p), ("q", at.q)):
        point |= {f"{name}_{h}_{i}": value for h, row in enumerate(rows) for i, value in enumerate(row)}
    point["q_0_1"] += seen
    if any(loss.gradient_at(point)):
        raise Refuted("the point is not stationary")
    if loss.at(point) != 2:
        raise Refuted(f"the loss is {loss.at(point)}, not 2")
    if units > 1 and loss.at(two_squares(loss.names)) != 0:
        raise Refuted("two units do not reach loss 0")
    values, size = loss.point(point), len(loss.names)
    hessian = flint.fmpq_mat(size, size, [entry(*values) for entry in loss.hessian.flat])
    coefficients = hessian.charpoly().coeffs()
    found = Signature.of_signs([(-1) ** k * sign(coefficients[size - k]) for k in range(1, size + 1)])
    if found.negative:
        raise Refuted(f"the Hessian has {found.negative} negative eigenvalues")
    return found


def linear_and_product(u: np.ndarray) -> np.ndarray:
    """Two outputs of one row: u_0 u_1 and u_0 + u_1/2 (u_0² and u_0 where there is one channel)."""
    last = u[0, -1]
    return array_of([u[0, 0] * last, u[0, 0] + last * flint.fmpq(1, 2)], (1, 2))


CASE_F = Units(
    [[Fraction(1), Fraction(1)], [Fraction(0), Fraction(1)]],
    [[Fraction(1), Fraction(0), Fraction(0)], [Fraction(1), Fraction(0), Fraction(1)]],
    [[Fraction(1), Fraction(0), Fraction(0)], [Fraction(-3), Fraction(0), Fraction(3)]],
)
"""Units like those of case F of ``spurious.py``: u_0², and (u_0 + 1)(3 − 3u_0)."""


@theorem(
    id="landscape-wide-outputs",
    title="Several outputs: from a width on, no local minimum lies above the least loss",
    statement=r"r\ge(m+1)(n+1)+C(m+n+1),\ L(o,p,q)>\min L\ \Rightarrow\ "
    r"L(o+tx\omega,p+tya,q+tzb)=L+t^3S(\omega,a,b)+O(t^6),\ S(\omega,a,b)\ne0",
    hypotheses=(
        "C outputs, r units; convolved factors in a space of dimension m, gates in one of dimension n",
        "any target and any distribution with fourth moments",
    ),
    source="new",
    covers="every C, m, n, r, argued in the module (dimension count); the identity with symbols, the directions and the exact "
    "loss along them at twelve points, among them all units zero and all the same; a stationary point of loss 2 with a "
    "semidefinite Hessian at widths 1 and 3, at 3 above the least loss, which is 0 there",
    controls={
        "two units, as at case F's spurious minimum": lambda: directions(CASE_F),
        "t³ Σxyz counted twice": {"cube": 2},
        "directions of another point": lambda: crossed(),
        "a flat point that is not stationary": lambda: prove_flat(1, 1),
    },
)
def wide_outputs(size: Size, cube: int = 1) -> Evidence:
    for shape in ((2, 2, 2, 2), (3, 2, 3, 2)):
        prove_identity(*shape, cube)
    moments: Sequence[Moments] = (Gaussian(), Uniform())
    count = 0
    for n_dims, distribution in ((1, moments[0]), (1, moments[1]), (2, moments[0])):
        width = enough(2, n_dims + 1, n_dims + 1)
        for kind in KINDS:
            one_hot = [Fraction(int(i == 0)) for i in range(n_dims + 1)]
            mixed = [Fraction(int(i in (0, n_dims))) for i in range(n_dims + 1)]
            direction = ([Fraction(1), Fraction(2)], one_hot, mixed)
            units = example(kind, width, 2, n_dims)
            descends(units, direction, [Fraction(1), Fraction(0)], linear_and_product, distribution)
            count += 1
    flat = {f"{units} units": vars(prove_flat(units)) for units in (1, 3)}
    return Evidence(
        f"executed: the identity with all weights symbols at two sizes; x, y, z of the proof at {count} points of the width "
        "of the theorem (two outputs, D = 1, 2, Gaussian and uniform) and the exact loss along the curve; the Hessians of "
        "the flat points, and the loss 0 of two units. Argued: existence of x, y, z at every size",
        "Q[o, p, q, x, y, z, ω, a, b, t]",
        "python-flint",
        flat,
    )


def crossed() -> None:
    """The directions of one point, tried at another."""
    width = enough(2, 2, 2)
    x, y, z = directions(example("the same", width, 2, 1))
    one = [Fraction(1), Fraction(0)]
    loss = loss_along(example("integers", width, 2, 1), x, y, z, (one, one, one), one, linear_and_product, Gaussian())
    if loss[1] or loss[2] or loss[4] or loss[5]:
        raise Refuted("the loss along the curve has other powers of t")
