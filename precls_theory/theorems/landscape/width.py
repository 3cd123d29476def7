r"""How much width leaves no spurious minimum: D + 1 hidden units, for every target; D do not, for some.

One output of a layer at one row, D inputs, r hidden units, in homogeneous coordinates ũ = (u, 1): unit h is (p_h·ũ)(q_h·ũ)
(Out folded into In, see ``folding.py``; the output bias at its best value). With P = [p_1 … p_r] and Q likewise, the
output is ũᵀMũ with ``M = sym(P Qᵀ)``, and the loss is F(M) for a convex quadratic F, whatever the target and the
distribution (a mean square, at its least over the bias). Let S = F'(M), a symmetric matrix. Then

    ∂L/∂P = S Q,   ∂L/∂Q = S P,   and   M(P + t e xᵀ, Q + t e yᵀ) = M + t sym(e (Qx + Py)ᵀ) + t² (x·y) e eᵀ.      (*)

**Theorem (wide layer).** If r ≥ D + 1, every stationary point is a global minimum or a strict saddle.

*Proof.* At a stationary point S P = S Q = 0. If S = 0, then M is a minimum of F, for F is convex. If not, choose e with
eᵀSe ≠ 0. The columns of P and Q lie in ker S, of dimension k ≤ D, so the pairs (x, y) ∈ R^{2r} with Qx + Py = 0 form a
space N of dimension at least 2r − k > r. The form x·y has signature (r, r); a subspace on which it is nowhere positive
(or nowhere negative) has dimension at most r; so N has vectors where it is positive and where it is negative. Take the
sign opposite to eᵀSe: by (*), ``L = F(M + t²(x·y) e eᵀ) = L_0 + t² (x·y) eᵀSe + O(t⁴)``, a strict descent of order two. ∎
(The dimension k of the span of all In and Gate vectors is what counts: r > k is enough at a given point.)

**Theorem (critical width).** Let r = D, u standard Gaussian, the target uᵀTu + t·u + const. A stationary point that is
neither a global minimum nor a strict saddle exists only if T has an eigenvector e ⊥ t with eigenvalue τ ≠ 0 such that
λ/τ ≥ 1 for every other eigenvalue λ of T. In particular none does for Square of one channel among D ≥ 2, Multiply, and
Linear. Conversely, for every D ≥ 1, T = diag(1, 2, …, 2) has spurious minima: D units are not enough.

*Proof.* As above r > k gives a strict saddle, so k = D, S = σ e eᵀ and K = ker S = span(P, Q) = e^⊥. The best bias gives
S_00 = 0, hence e_0 = 0; for a Gaussian, S_uu = 4 (M_uu − T) and S_u0 = 2 (2 M_u0 − t), and M e = 0 says T e = τ e with
σ = −4τ, and t·e = 0. Along (t e xᵀ, t e yᵀ) the loss has the second coefficient ``−4τ x·y + |Qx + Py|²``. Were Qz = 0,
(z, εz) would make it negative for one sign of ε: Q is invertible on K, and P too. By the Schur complement the form is
semidefinite exactly when ``τ (PQᵀ + QPᵀ)/2 ⪰ τ²`` on K, where the u-block of sym(PQᵀ) is T on e^⊥ in R^D. So every
other eigenvalue has λτ ≥ τ². Conversely with T = diag(1, 2, …, 2) drop e = e_1 (τ = 1): P = 2I, Q = I on K satisfy
it strictly; in the directions of K the loss is a sum of squares that vanish along the (smooth) fibre of constant M, so the
kernel of the Hessian is the tangent space of the stationary set: local minima (Morse–Bott), of loss 2τ² = 2. ∎
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping, Sequence
from fractions import Fraction

import flint
import numpy as np

from constructions.algebra.rings import polynomials
from precls_theory.landscape.classification import classify
from precls_theory.landscape.components import GLOBAL
from precls_theory.landscape.descent import kernel
from precls_theory.landscape.moments import Gaussian, Moments, Uniform, is_positive_semidefinite
from precls_theory.landscape.population_loss import Loss, SymbolicModel, TargetMap, population_loss
from precls_theory.landscape.problems import Problem, TargetName, landscape, layer_problem, without_bias
from precls_theory.landscape.roots import sign
from precls_theory.landscape.signature import Signature
from precls_theory.proofs.symbolic import Variables, array_of, flint_variables, require_equal
from precls_theory.registry import Evidence, Refuted, Size, theorem

Matrix = list[list[Fraction]]


# The algebra of the proof, with symbols.


def prove_moves(n_dims: int, units: int, factor: int = 1, make: Callable[..., Variables] = flint_variables) -> None:
    """The second identity of (*), with P, Q, e, x, y and t symbols; ``factor`` is that of t²(x·y) e eᵀ."""
    size = n_dims + 1
    v: Variables = make(P=(size, units), Q=(size, units), e=(size,), x=(units,), y=(units,), t=(1,))
    P, Q, e, x, y, t = (v[name] for name in "PQexyt")
    moved = symmetric(P + t * outer(e, x), Q + t * outer(e, y), v)
    straight = outer(e, Q @ x + P @ y)
    expected = symmetric(P, Q, v) + t * (straight + straight.T) * v.constant(Fraction(1, 2))
    expected = expected + t * t * array_of([x @ y], (1,)) * outer(e, e) * v.constant(factor)
    require_equal(moved, expected, f"M along (e xᵀ, e yᵀ), D={n_dims}, r={units}", v.ring)


def outer(left: np.ndarray, right: np.ndarray) -> np.ndarray:
    """``left rightᵀ`` of two vectors."""
    return left[:, None] * right[None]


def symmetric(P: np.ndarray, Q: np.ndarray, v: Variables) -> np.ndarray:
    product = P @ Q.T
    return (product + product.T) * v.constant(Fraction(1, 2))


def quadratic_loss(problem_target: TargetMap, output: int, n_dims: int, moments: Moments) -> Loss:
    """F(M): the loss of ũᵀMũ at the best constant, in the entries M_i_j, i ≤ j, of the symmetric matrix."""
    size = n_dims + 1
    pairs = [(i, j) for i in range(size) for j in range(i, size)]

    def apply(w: dict[str, np.ndarray], u: np.ndarray) -> np.ndarray:
        one = u[0, 0] * 0 + 1
        extended = [*u[0], one]
        total = w["bias"][0]
        for index, (i, j) in enumerate(pairs):
            total = total + w["M"][index] * extended[i] * extended[j] * (1 if i == j else 2)
        return array_of([total], (1,))

    model = SymbolicModel({"M": (len(pairs),), "bias": (1,)}, 1, n_dims, apply)
    loss = population_loss(model, lambda u: array_of([problem_target(u)[0, output]], (1,)), moments)
    return without_bias(loss, "bias_0")


def prove_factorisation(
    problem: Problem, target: TargetMap, output: int, n_dims: int, units: int, moments: Moments
) -> None:
    """The layer's loss is F(sym(P Qᵀ)), identically in the weights, and F is convex."""
    form = quadratic_loss(target, output, n_dims, moments)
    size = n_dims + 1
    context = problem.loss.polynomial.context()
    weights = dict(zip(problem.loss.names, context.gens(), strict=True))
    P = [[weights[f"in_{h}_{d}"] for h in range(units)] for d in range(n_dims)] + [
        [weights[f"p_{h}"] for h in range(units)]
    ]
    Q = [[weights[f"gate_{h}_{d}"] for h in range(units)] for d in range(n_dims)] + [
        [weights[f"q_{h}"] for h in range(units)]
    ]
    half = flint.fmpq(1, 2)
    entries = []
    for i in range(size):
        for j in range(i, size):
            entry = context.constant(0)
            for h in range(units):
                entry += (P[i][h] * Q[j][h] + P[j][h] * Q[i][h]) * half
            entries.append(entry)
    composed = form.polynomial.compose(*entries, ctx=context)
    loss = problem.loss.polynomial
    require_equal(array_of([loss], (1,)), array_of([composed], (1,)), "L = F(sym(P Qᵀ))", polynomials(context))
    constant = [[_constant(entry) for entry in row] for row in form.hessian]
    if not is_positive_semidefinite(constant):
        raise Refuted("F is not convex in M")


def _constant(entry: flint.fmpq_mpoly) -> Fraction:
    value = entry.leading_coefficient() if entry else flint.fmpq(0)
    return Fraction(int(value.p), int(value.q))


# The proof's directions, at given points.


def strict_descent(S: Matrix, P: Matrix, Q: Matrix) -> tuple[list[Fraction], list[Fraction], list[Fraction]]:
    """(e, x, y) with Qx + Py = 0 and (x·y)·eᵀSe < 0, at a point with S P = S Q = 0, S ≠ 0; ``Refuted`` if none is found."""
    size, units = len(S), len(P[0])
    if any(entry for X in (P, Q) for row in _times(S, X) for entry in row):
        raise Refuted("not a stationary point: S P and S Q are not zero")
    e, value = _vector_off(S)
    stacked = flint.fmpq_mat(size, 2 * units, [_q(entry) for i in range(size) for entry in (*Q[i], *P[i])])
    basis = [[Fraction(int(c.p), int(c.q)) for c in vector] for vector in kernel(stacked)]
    for count in (1, 2, 3):
        for chosen in itertools.combinations(basis, count):
            for signs in itertools.product((1, -1), repeat=count - 1):
                vector = [
                    sum((s * v[k] for s, v in zip((1, *signs), chosen, strict=True)), Fraction(0))
                    for k in range(2 * units)
                ]
                x, y = vector[:units], vector[units:]
                if sum(a * b for a, b in zip(x, y, strict=True)) * value < 0:
                    return e, x, y
    raise Refuted(
        f"no pair (x, y) with Qx + Py = 0 descends: width {units}, {size - 1} inputs",
        {"P": [[str(c) for c in row] for row in P], "Q": [[str(c) for c in row] for row in Q]},
    )


def _vector_off(S: Matrix) -> tuple[list[Fraction], Fraction]:
    """e with eᵀSe ≠ 0, among unit vectors and sums of two."""
    size = len(S)
    for i, j in itertools.product(range(size), repeat=2):
        e = [Fraction(int(k in (i, j))) for k in range(size)]
        value = sum((e[a] * S[a][b] * e[b] for a in range(size) for b in range(size)), Fraction(0))
        if value:
            return e, value
    raise Refuted("S is zero: the point is a global minimum")


def _times(left: Matrix, right: Matrix) -> Matrix:
    return [
        [sum((left[i][k] * right[k][j] for k in range(len(right))), Fraction(0)) for j in range(len(right[0]))]
        for i in range(len(left))
    ]


def _q(value: Fraction) -> flint.fmpq:
    return flint.fmpq(value.numerator, value.denominator)


def at_stationary_point(
    problem: Problem, form: Loss, n_dims: int, units: int, point: Mapping[str, str | Fraction]
) -> None:
    """The proof carried out at one rational stationary point: the loss, exactly, decreases at order two."""
    size = n_dims + 1
    weights = {name: Fraction(value) for name, value in point.items()}
    P = [[weights[f"in_{h}_{d}"] for h in range(units)] for d in range(n_dims)] + [
        [weights[f"p_{h}"] for h in range(units)]
    ]
    Q = [[weights[f"gate_{h}_{d}"] for h in range(units)] for d in range(n_dims)] + [
        [weights[f"q_{h}"] for h in range(units)]
    ]
    product = _times(P, [list(column) for column in zip(*Q, strict=True)])
    pairs = [(i, j) for i in range(size) for j in range(i, size)]
    M = [(product[i][j] + product[j][i]) / 2 for i, j in pairs]
    slopes = form.gradient_at(dict(zip(form.names, M, strict=True)))
    S: Matrix = [[Fraction(0)] * size for _ in range(size)]
    for (i, j), slope in zip(pairs, slopes, strict=True):
        S[i][j] = S[j][i] = slope if i == j else slope / 2
    e, x, y = strict_descent(S, P, Q)
    t = Fraction(1, 1000)
    moved = dict(weights)
    for h in range(units):
        for d in range(n_dims):
            moved[f"in_{h}_{d}"] += t * e[d] * x[h]
            moved[f"gate_{h}_{d}"] += t * e[d] * y[h]
        moved[f"p_{h}"] += t * e[n_dims] * x[h]
        moved[f"q_{h}"] += t * e[n_dims] * y[h]
    if not problem.loss.at(moved) < problem.loss.at(weights):
        raise Refuted("the loss does not decrease along the direction of the proof")


def run_wide(target: TargetName, n_dims: int, units: int) -> int:
    """Every listed rational stationary point above the least loss descends as the proof says; returns their number."""
    whole = landscape(target, "layer", n_dims, 1, units)
    (problem,) = whole.parts
    form = quadratic_loss(wanted(target, n_dims), 1 if target == "multiply" else 0, n_dims, Gaussian())
    count = 0
    for component in classify(problem).real:
        if component.kind != GLOBAL and component.point and all("." not in v for v in component.point.values()):
            at_stationary_point(problem, form, n_dims, units, component.point)
            count += 1
    if not count:
        raise Refuted("there was no point above the least loss to descend from: nothing was checked")
    return count


def wanted(target: TargetName, n_dims: int) -> TargetMap:
    from precls_theory.landscape.problems import wanted_output

    return wanted_output(target, n_dims, 1, Fraction(1, 2))


def diagonal_target(entries: Sequence[int]) -> TargetMap:
    """``Σ entries[d]·u_d²`` as the one output."""

    def target(u: np.ndarray) -> np.ndarray:
        total = u[0, 0] * 0
        for entry, value in zip(entries, u[0], strict=True):
            total = total + value * value * entry
        return array_of([total], (1, 1))

    return target


def dropped_eigenvector(entries: Sequence[int], units: int) -> tuple[Problem, dict[str, Fraction]]:
    """Target diag(entries); the point that drops channel 0: unit h < D is (2 u_h)(u_h), the last one is (2)(1)."""
    n_dims = len(entries)
    problem = layer_problem("square", diagonal_target(entries), 0, n_dims, units, Gaussian())
    point = {name: Fraction(0) for name in problem.loss.names}
    for h in range(n_dims - 1):
        point[f"in_{h}_{h + 1}"], point[f"gate_{h}_{h + 1}"] = Fraction(entries[h + 1]), Fraction(1)
    point[f"p_{n_dims - 1}"], point[f"q_{n_dims - 1}"] = Fraction(2), Fraction(1)
    return problem, point


def prove_spurious(entries: Sequence[int], units: int) -> Fraction:
    """The point that drops channel 0 is a spurious minimum, by its Hessian: semidefinite, kernel = tangent space.

    The stationary set contains all (P, Q) on K with sym(P Qᵀ) fixed but for the constant entry, a smooth manifold of
    dimension ``2 r D − (D(D+1)/2 − 1)`` where Q is invertible on K, r = D.
    """
    n_dims = len(entries)
    problem, point = dropped_eigenvector(entries, units)
    loss = problem.loss.at(point)
    if any(problem.loss.gradient_at(point)):
        raise Refuted("the point is not stationary")
    if loss == 0:
        raise Refuted("the point has loss 0")
    at = problem.loss.point(point)
    size = len(problem.loss.names)
    hessian = flint.fmpq_mat(size, size, [entry(*at) for entry in problem.loss.hessian.flat])
    coefficients = hessian.charpoly().coeffs()
    signature = Signature.of_signs([(-1) ** k * sign(coefficients[size - k]) for k in range(1, size + 1)])
    tangent = 2 * units * n_dims - (n_dims * (n_dims + 1) // 2 - 1)
    if signature.negative or signature.zero != tangent:
        raise Refuted(
            f"T = diag{tuple(entries)}, {units} units: the Hessian has {signature.negative} negative and "
            f"{signature.zero} zero eigenvalues, {tangent} are tangent",
            {"signature": vars(signature)},
        )
    return loss


def prove_second_coefficient(n_dims: int, weight: int = -4) -> None:
    """Along (t e xᵀ, t e yᵀ), e = e_0, the loss has the second coefficient ``−4τ x·y + |Qx + Py|²``, r = D.

    TargetMap diag(τ, λ_1, …): the first row of P and Q is zero, all else is symbols.
    """
    v = flint_variables(
        P=(n_dims, n_dims), Q=(n_dims, n_dims), x=(n_dims,), y=(n_dims,), tau=(1,), lam=(max(1, n_dims - 1),), t=(1,)
    )
    first_p, first_q = v["t"] * v["x"], v["t"] * v["y"]
    rows = n_dims - 1

    def entry(left: np.ndarray, right: np.ndarray, other: np.ndarray, another: np.ndarray) -> flint.fmpq_mpoly:
        return ((left @ right) + (other @ another)) * v.constant(Fraction(1, 2))[0]

    P = [first_p, *v["P"]]
    Q = [first_q, *v["Q"]]  # rows: e_0, e_1, …, e_{D−1}, constant
    zero = v.zeros(1)[0]
    total = zero
    for i in range(n_dims):
        for j in range(n_dims):
            wanted_entry = zero if i != j else v["tau"][0] if i == 0 else v["lam"][i - 1]
            difference = entry(P[i], Q[j], P[j], Q[i]) - wanted_entry
            total = total + difference * difference * v.constant(2)[0]
        linear = entry(P[i], Q[n_dims], P[n_dims], Q[i]) * v.constant(2)[0]
        total = total + linear * linear
    context = total.context()
    place = list(context.names()).index("t_0")
    second = context.from_dict({
        (*m[:place], 0, *m[place + 1 :]): c for m, c in total.to_dict().items() if int(m[place]) == 2
    })  # fmt: skip
    mixed = v["Q"] @ v["x"] + v["P"] @ v["y"]
    expected = v.constant(weight)[0] * v["tau"][0] * (v["x"] @ v["y"]) + mixed @ mixed
    require_equal(
        array_of([second], (1,)), array_of([expected], (1,)), f"second coefficient, D={n_dims}, {rows}", v.ring
    )


def prove_gaussian_form(n_dims: int) -> None:
    """For a standard Gaussian F(M) = 2‖M_uu − T‖² + |2 M_u0 − t|² up to a constant, here for T = diag(1, 2, …), t = 0."""
    entries = list(range(1, n_dims + 1))
    form = quadratic_loss(diagonal_target(entries), 0, n_dims, Gaussian())
    context = form.polynomial.context()
    symbols = iter(context.gens())
    expected = context.constant(0)
    for i in range(n_dims + 1):
        for j in range(i, n_dims + 1):
            entry = next(symbols)
            if j < n_dims:
                difference = entry - (entries[i] if i == j else 0)
                expected += difference * difference * (2 if i == j else 4)
            elif i < n_dims:
                expected += entry * entry * 4
    require_equal(
        array_of([form.polynomial], (1,)), array_of([expected], (1,)), "F of a Gaussian", polynomials(context)
    )


@theorem(
    id="landscape-wide-layer",
    title="With D+1 hidden units every stationary point is a global minimum or a strict saddle",
    statement=r"r\ge D+1,\ \nabla L(P,Q)=0\ \Rightarrow\ L=\min L\ \text{ or }\ \lambda_{\min}(\nabla^2L)<0",
    hypotheses=(
        "one output, one row, D inputs, r hidden units, Out folded into In, the output bias at its best value",
        "any target and any distribution with fourth moments",
    ),
    source="new",
    covers="every D, r, target and distribution, argued in the module; its identities are executed with symbols, and its "
    "directions at every listed stationary point of four landscapes",
    controls={
        "one unit, where Square has spurious minima": lambda: spurious_point_descends(),
        "half of t²(x·y) e eᵀ": {"factor": Fraction(1, 2)},
        "a stationary point that is none": lambda: strict_descent([[Fraction(1)]], [[Fraction(1)]], [[Fraction(1)]]),
    },
)
def wide_layer(size: Size, factor: int = 1) -> Evidence:
    for n_dims, units in ((1, 2), (2, 3), (3, 4), (2, 5)):
        prove_moves(n_dims, units, factor)
    moments: list[Moments] = [Gaussian(), Uniform()]
    sizes: tuple[tuple[TargetName, int, int], ...] = (("square", 1, 2), ("linear", 2, 2), ("multiply", 2, 3))
    for target, n_dims, units in sizes:
        output = 1 if target == "multiply" else 0
        for distribution in moments:
            problem = layer_problem(target, wanted(target, n_dims), output, n_dims, units, distribution)
            prove_factorisation(problem, wanted(target, n_dims), output, n_dims, units, distribution)
    count = run_wide("square", 1, 2) + run_wide("linear", 1, 2)
    for entries in ((1, 2), (1, 2, 2)):
        units = len(entries) + 1
        problem, point = dropped_eigenvector(entries, units)
        form = quadratic_loss(diagonal_target(entries), 0, len(entries), Gaussian())
        at_stationary_point(problem, form, len(entries), units, point)
        count += 1
    return Evidence(
        f"executed: (*) with symbols at (D, r) = (1,2), (2,3), (3,4), (2,5); L = F(sym(PQᵀ)), F convex, at three sizes, "
        f"Gaussian and uniform; the proof's direction at {count} stationary points. Argued: every size (dimension count)",
        "Q[P, Q, e, x, y, t]",
        "python-flint",
    )


def spurious_point_descends() -> None:
    """The direction of the proof at case A's spurious minimum, one unit: there must be none."""
    problem, point = dropped_eigenvector((1,), 1)
    form = quadratic_loss(diagonal_target((1,)), 0, 1, Gaussian())
    at_stationary_point(problem, form, 1, 1, point)


@theorem(
    id="landscape-critical-width",
    title="D hidden units: spurious minima exist for every D, but not for Multiply, nor Square or Linear with D ≥ 2",
    statement=r"r=D:\ \text{a stationary point above }\min L\text{ without negative curvature needs }"
    r"Te=\tau e\neq0,\ e\perp t,\ \lambda/\tau\ge1\ \forall\lambda;\quad T=\mathrm{diag}(1,2,\dots,2)\text{ has spurious minima}",
    hypotheses=("as landscape-wide-layer, with r = D", "u standard Gaussian", "target uᵀTu + t·u + const"),
    source="new",
    covers="every D, argued in the module; the second coefficient with symbols and the minima at D = 1, 2, 3",
    controls={
        "T = diag(2, 1): the eigenvalue dropped is not the smallest": lambda: prove_spurious((2, 1), 2),
        "one unit more": {"extra": 1},
        "the second coefficient with −2τ": {"weight": -2},
    },
)
def critical_width(size: Size, extra: int = 0, weight: int = -4) -> Evidence:
    for n_dims in (1, 2, 3):
        prove_gaussian_form(n_dims)
        prove_second_coefficient(n_dims, weight)
        entries = (1, *[2] * (n_dims - 1))
        loss = prove_spurious(entries, n_dims + extra)
        if loss != 2:
            raise Refuted(f"the loss at the dropped eigenvector is {loss}, not 2τ² = 2")
    for eigenvalues in ([Fraction(1, 2), Fraction(-1, 2)], [Fraction(1), Fraction(0)], [Fraction(0), Fraction(0)]):
        if admits_spurious(eigenvalues):
            raise Refuted(f"a target with eigenvalues {eigenvalues} satisfies the condition")
    return Evidence(
        "executed: the second coefficient with P, Q, x, y, τ, λ symbols and the exact Hessians of spurious minima at "
        "D = 1, 2, 3; the condition for Multiply, Square, Linear at D = 2. Argued: every D (Schur complement, Morse–Bott)",
        "Q[P, Q, x, y, tau, lambda]",
        "python-flint",
    )


def admits_spurious(eigenvalues: Sequence[Fraction]) -> bool:
    """Whether the condition of the theorem can hold for a target without linear part with these eigenvalues."""
    return any(
        tau != 0 and all(other / tau >= 1 for index, other in enumerate(eigenvalues) if index != chosen)
        for chosen, tau in enumerate(eigenvalues)
    )
