"""What the published notebook's block computes: gradient descent once, then a Kaczmarz sweep in the limit."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from itertools import product

import numpy as np
import sympy

import constructions as C
from constructions.algorithms.published_block import published_block
from constructions.networks.tasks import IterateByRow
from precls_theory.checking.every_value import prove_for_every
from precls_theory.proofs.induction import Claims, prove_layer, prove_readout
from precls_theory.proofs.parameters import Symbols
from precls_theory.proofs.symbolic import (
    MakeVariables,
    Variables,
    dot,
    flint_variables,
    parameters_of,
    require_equal,
    shorten,
    sympy_variables,
)
from precls_theory.proofs.variants import Build, at_most, hard_coded, last_weight, late_row, wrong
from precls_theory.registry import Evidence, Refuted, Size, listed, theorem


def prove_block(network: C.Network, make: MakeVariables = flint_variables) -> None:
    """Every application of the network is the block: ``x_n ← x_n − η Σ_{m≤n} (a_m·x_m − b_m) a_m``, each row with its
    own x_n.

    Layer by layer, on generic rows a_n, b_n, x_n (then r_n, then r_n a_n). Raises :class:`Refuted` otherwise.
    """
    parameters, task = parameters_of(network), network.task
    if not isinstance(task, IterateByRow) or network.depth != 3 * parameters["n_applications"]:
        raise Refuted(
            f"{parameters['n_applications']} applications of the block take three layers each on rows [a, b, x]"
        )
    rows, dims = task.n_points, task.n_dims
    by_row = (dims, rows)
    v = make(a=by_row, b=(rows,), x=by_row, r=(rows,), ra=by_row)
    data: Claims = {"a": v["a"], "b": v["b"], "x": v["x"]}
    new = v["x"] - v.constant(parameters["step_size"]) * np.add.accumulate(v["ra"], axis=1)
    for first in range(0, network.depth, 3):
        prove_layer(network, first, data, data | {"r": dot(v["a"], v["x"]) - v["b"]}, v)
        prove_layer(network, first + 1, data | {"r": v["r"]}, data | {"ra": v["r"] * v["a"]}, v)
        prove_layer(network, first + 2, data | {"ra": v["ra"]}, data | {"x": new}, v)
    prove_readout(network)


def descent_step(a: np.ndarray, b: np.ndarray, x: np.ndarray, step: np.ndarray) -> np.ndarray:
    """One gradient step ``x − η Σ_m (a_m·x − b_m) a_m`` over all rows: a (D, N), x (D, 1)."""
    return x - step * np.add.reduce(a * (dot(a, x) - b), axis=1)[:, None]


def generic_step(build: Build = published_block, **sizes: int) -> tuple[C.Network, MakeVariables, Fraction]:
    """The block with its step size a symbol η through the builder, variables to go with it, and η."""
    symbols = Symbols(eta="1/10")
    return symbols.build(build, **sizes, step_size=symbols["eta"]), symbols.variables, symbols["eta"]


def prove_first_application(n_points: int, n_dims: int, build: Build = published_block) -> None:
    """One application from x_init at every row is a gradient step of rate η, at row n on the first n points."""
    network, make, eta = generic_step(build, n_points=n_points, n_dims=n_dims, n_applications=1)
    v = make(A=(n_points, n_dims), b=(n_points,), x=(n_dims,))
    output = network.evaluate(network.encode(v["A"], v["b"], v["x"]), v.ring)[:, list(network.task.columns)]
    a, x, step = v["A"].T, v["x"][:, None], v.constant(eta)
    for row in range(n_points):
        seen = slice(row + 1)
        expected = descent_step(a[:, seen], v["b"][seen], x, step)[:, 0]
        require_equal(output[row], expected, f"the first application, row {row}", v.ring)


def prove_one_point(n_dims: int, build: Build = published_block) -> None:
    """With one data point the block is gradient descent at every application: there is nothing to mix (generic x)."""
    network, make, eta = generic_step(build, n_points=1, n_dims=n_dims, n_applications=1)
    v = make(a=(n_dims, 1), b=(1,), x=(n_dims, 1))
    u = np.concatenate([v["a"], v["b"][None], v["x"]]).T
    output = network.evaluate(u, v.ring)[0, list(network.task.columns)]
    expected = descent_step(v["a"], v["b"], v["x"], v.constant(eta))[:, 0]
    require_equal(output, expected, "one data point", v.ring)


def second_application(build: Build = published_block) -> tuple[np.ndarray, Variables, np.ndarray]:
    """(the block's second application less two gradient steps) at N=2, D=1, in symbols; the symbols; η."""
    network, make, eta = generic_step(build, n_points=2, n_dims=1, n_applications=2)
    v = make(A=(2, 1), b=(2,), x=(1,))
    output = network.decode(network.evaluate(network.encode(v["A"], v["b"], v["x"]), v.ring))
    x, step = v["x"][:, None], v.constant(eta)
    for _ in range(2):
        x = descent_step(v["A"].T, v["b"], x, step)
    return output - x[:, 0], v, step


def smallest_counterexample() -> dict[str, object]:
    """Integers of the least ℓ1 norm at which two applications at N=2, D=1 are not two gradient steps; all smaller ones
    agree.

    Entries are (a_1, a_2, b_1, b_2, x_init). Every integer input of norm up to the one found is tried, exactly.
    """
    network = published_block(n_points=2, n_dims=1, n_applications=2, step_size="1/10")
    for norm in range(1, 6):
        entries = [e for e in product(range(-norm, norm + 1), repeat=5) if sum(map(abs, e)) == norm]
        data = np.array(entries, dtype=object).T
        a, b, start = data[:2], data[2:4], data[4]
        u = network.encode(a.T[..., None], b.T, start[:, None])
        block = network.decode(network.evaluate(u))[:, 0]
        descent = start
        for _ in range(2):
            descent = descent - Fraction(1, 10) * sum(a[n] * (a[n] * descent - b[n]) for n in range(2))
        differs = np.flatnonzero(block != descent)
        if len(differs):
            best = max(differs, key=lambda i: entries[i])
            names = ("a_1", "a_2", "b_1", "b_2", "x_init")
            return dict(zip(names, entries[best], strict=True)) | {
                "norm": norm, "block": str(block[best]), "gradient_descent": str(descent[best]),
                "inputs_of_smaller_norm": "all agree",
            }  # fmt: skip
    raise AssertionError("no counterexample of norm up to 5")


def prove_difference(build: Build = published_block) -> str:
    """The difference at N=2, D=1 is ``−η² a_1² a_2 (a_2 x − b_2)``: zero only if a row is zero or row 2 is fitted."""
    difference, v, eta = second_application(build)
    (a1, a2), b2, x = v["A"], v["b"][1:], v["x"]
    expected = -(eta * eta) * a1 * a1 * a2 * (a2 * x - b2)
    require_equal(difference, expected, "second application less two gradient steps", v.ring)
    return shorten(difference[0])


# The limit. Iterates are x_n = x_init − Σ_{m≤n} s_m a_m with scalars s_m, and s ← s + η(ρ − L s), ρ = A x_init − b.


def lower_triangle(a: np.ndarray, v: Variables) -> np.ndarray:
    """``L = tril(A Aᵀ)``, (N, N), from the rows as columns a (D, N)."""
    gram = np.add.reduce(outer_product(a), axis=0)
    return np.where(np.tri(a.shape[1], dtype=bool), gram, v.zeros(*gram.shape))


def outer_product(a: np.ndarray) -> np.ndarray:
    return a[:, :, None] * a[:, None, :]


def prove_scalars(
    n_points: int,
    n_dims: int,
    make: MakeVariables = flint_variables,
    sums: Callable[..., np.ndarray] = np.add.accumulate,
) -> None:
    """One application takes ``x_n = x_init − Σ_{m≤n} s_m a_m`` to the same form with ``s + η (ρ − L s)``, for generic
    s.

    ``sums`` is the block's sum over rows.
    """
    v = make(a=(n_dims, n_points), b=(n_points,), x=(n_dims, 1), s=(n_points,), eta=(1,))
    a, b, start, s, step = v["a"], v["b"], v["x"], v["s"], v["eta"]
    x = start - np.add.accumulate(s * a, axis=1)
    block = x - step * sums((dot(a, x) - b) * a, axis=1)
    rho = dot(a, start) - b
    new = s + step * (rho - lower_triangle(a, v) @ s)
    require_equal(block, start - np.add.accumulate(new * a, axis=1), "s ↦ s + η(ρ − L s)", v.ring)


def prove_triangular(n_points: int, n_dims: int, make: MakeVariables = flint_variables) -> None:
    """The Jacobian of ``s ↦ s + η(ρ − Ls)`` is I − ηL: zero above the diagonal, ``1 − η|a_n|²`` on it, its eigenvalues.

    Checked on the block itself: the coefficient of s_m in the residual of row n of ``x_n = x_init − Σ_{m≤n} s_m a_m``.
    """
    v = make(a=(n_dims, n_points), b=(n_points,), x=(n_dims, 1))
    zero_based = np.broadcast_to(v["x"], v["a"].shape)
    for m in range(n_points):
        unit = np.where(np.arange(n_points) == m, v.constants([1]), v.zeros(1))
        x = zero_based - np.add.accumulate(unit * v["a"], axis=1)
        change = (dot(v["a"], x) - v["b"]) - (dot(v["a"], zero_based) - v["b"])
        norm = dot(v["a"], v["a"])[m : m + 1]
        require_equal(change[:m], v.zeros(m), f"nothing above the diagonal, column {m}", v.ring)
        require_equal(change[m : m + 1], -norm, f"the diagonal entry {m} of −L is −|a_{m}|²", v.ring)


def prove_sweep(n_points: int, n_dims: int, make: MakeVariables = flint_variables, sign: int = 1) -> None:
    """Row n of ``L s = ρ`` says ``|a_n|² s_n = a_n·x_{n−1} − b_n``: x_n is x_{n−1} projected onto row n, one Kaczmarz
    sweep.

    There every residual ``a_n·x_n − b_n`` is zero: each row fits its own point, the last row the last training point,
    which says nothing of the others. The fixed point is ``x_N = x_init − Aᵀ L⁻¹ (A x_init − b)``, and with b = A x* the
    error is ``(I − Aᵀ L⁻¹ A)(x_init − x*)``. ``sign`` is that of the projection.
    """
    v = make(a=(n_dims, n_points), b=(n_points,), x=(n_dims, 1), s=(n_points,))
    a, b, start, s = v["a"], v["b"], v["x"], v["s"]
    after = start - np.add.accumulate(s * a, axis=1)
    before = np.concatenate([start, after[:, :-1]], axis=1)
    projection = dot(a, a) * s - v.constant(sign) * (dot(a, before) - b)
    system = lower_triangle(a, v) @ s - (dot(a, start) - b)
    require_equal(dot(a, after) - b, -system, "every row fits its own point where L s = ρ", v.ring)
    require_equal(projection, system, "a Kaczmarz sweep solves L s = ρ by forward substitution", v.ring)


def limit(A: np.ndarray, b: np.ndarray, x_init: np.ndarray) -> np.ndarray:
    """``x_init − Aᵀ L⁻¹ (A x_init − b)`` over the rationals: the limit of the last row (every a_n ≠ 0)."""
    x = x_init
    for row, target in zip(A, b, strict=True):
        x = x - row * Fraction(row @ x - target) / Fraction(row @ row)
    return x


def solution(A: np.ndarray, b: np.ndarray, x_init: np.ndarray) -> np.ndarray:
    """The least-squares solution nearest to ``x_init``: not the limit, for the controls."""
    matrix, rhs = sympy.Matrix(A.tolist()), sympy.Matrix((b - A @ x_init).tolist())
    correction = matrix.pinv() * rhs
    return x_init + np.array([Fraction(int(entry.p), int(entry.q)) for entry in correction], dtype=object)


def require_convergence(build: Build = published_block, reach: Callable[..., np.ndarray] = limit) -> dict[str, object]:
    """Run the network over Q: it reaches the limit where it is said to, and leaves it where it is not.

    With η|a_n|² = 1 for every n the matrix I − ηL is strictly lower triangular, so N applications reach the limit
    *exactly*. With η|a_n|² in (0, 2) the distance falls below 2^-40; with one of them above 2 it grows. Raises
    :class:`Refuted`.
    """
    x_init, b = np.array([2, -1], dtype=object), np.array([1, -2, 3], dtype=object)
    norm_25 = np.array([[3, 4], [5, 0], [-4, 3]], dtype=object)
    small, large = (np.array(rows, dtype=object) for rows in ([[1, 0], [1, 1], [0, 1]], [[1, 0], [2, 2], [0, 1]]))
    found: dict[str, object] = {}
    for name, A, step, count in (
        ("exactly", norm_25, "1/25", 3),
        ("in the limit", small, "3/4", 80),
        ("not", large, "3/4", 40),
    ):
        network = build(n_points=3, n_dims=2, n_applications=count, step_size=step)
        output = network.decode(network.evaluate(network.encode(A, b, x_init)))
        rows = network.evaluate(network.encode(A, b, x_init))[:, list(network.task.columns)]
        wanted = [reach(A[: n + 1], b[: n + 1], x_init) for n in range(3)]
        distance = max(abs(Fraction(value)) for n in range(3) for value in rows[n] - wanted[n])
        reached = {"exactly": distance == 0, "in the limit": 0 < distance < Fraction(1, 2**40), "not": distance > 2**20}
        if not reached[name] or (output != rows[-1]).any():
            raise Refuted(
                f"{count} applications with η = {step} are {float(distance):.3g} from the limit", {"A": A.tolist()}
            )
        found[name] = f"{count} applications, η = {step}: distance {float(distance):.3g}"
    return found


def smallest_unsolved() -> dict[str, object]:
    """Consistent data at which the limit is not the solution: N=D=2, x* = 0; for D=1 one projection solves all."""
    A, b, start = (
        np.array([[1, 0], [1, 1]], dtype=object),
        np.array([0, 0], dtype=object),
        np.array([0, 1], dtype=object),
    )
    reached = limit(A, b, start)
    if not any(reached):
        raise Refuted("the sweep solved its system after all", {"limit": [str(entry) for entry in reached]})
    return {
        "A": A.tolist(),
        "b": b.tolist(),
        "x_init": start.tolist(),
        "solution": [0, 0],
        "limit": list(map(str, reached)),
    }


@theorem(
    id="published-block-not-gd",
    title="The published block is gradient descent at its first application and not at its second",
    statement=r"x_n \mapsto x_n-\eta\sum_{m\le n}(a_m\cdot x_m-b_m)a_m;\quad "
    r"N=2,D=1:\ x^{(2)}-x^{(2)}_{\mathrm{GD}}=-\eta^2a_1^2a_2(a_2x_{\mathrm{init}}-b_2)",
    hypotheses=("η ≠ 0", "x_n = x_init at every row at first; no factor 1/N"),
    source="new (on the notebook published with Liu et al. 2025)",
    covers="the block on generic rows at the given N and D; the first application in symbols; the smallest "
    "counterexample (N=2, D=1), for N=1 there is none, and no integers of smaller norm",
    controls={
        "the last weight off by 1/3": {"build": wrong(published_block, last_weight)},
        "the sum a row late": {"build": wrong(published_block, late_row)},
        "a step size of 1/10 whatever is asked for": {"build": hard_coded(published_block, step_size="1/10")},
        "two applications where three are asked for": {"build": at_most(published_block, n_applications=2)},
    },
)
def published_block_is_not_descent(size: Size, build: Build = published_block) -> Evidence:
    N, D = size.n_points, size.n_dims
    prove_block(build(n_points=N, n_dims=D, n_applications=2, step_size="1/10"))
    prove_block(build(n_points=2, n_dims=1, n_applications=2, step_size="1/10"), sympy_variables)
    generic = {"n_points": 2, "n_dims": 2, "n_applications": 2}
    special = prove_for_every(build, prove_block, generic, step_size="1/10")
    for count in (1, 3, 4, 20):
        prove_block(build(n_points=2, n_dims=1, n_applications=count, step_size="1/10"))
    prove_first_application(min(N, 6), min(D, 3), build)
    prove_one_point(D, build)
    difference = prove_difference(build)
    return Evidence(
        f"Executed: the block on generic rows at N={N}, D={D}, layer by layer, for 2 applications, and at N=2, D=1 for 1, 3, "
        f"4, 20; η a symbol through the builder: the block at N=D=2 (whole networks at its special values {listed(special)}), "
        f"the first application at N={min(N, 6)}, D={min(D, 3)}, the second at N=2, D=1, and N=1; the smallest counterexample "
        "among integers, η = 1/10. Argued: other numbers of applications, for the builder repeats its three layers; other "
        "N and D",
        "Q[A, b, x_n at every row], Q(η)[A, b, x_init], Z (all inputs of ℓ1 norm up to the counterexample's)",
        "python-flint; SymPy at N=2",
        detail={"counterexample": smallest_counterexample(), "difference": difference},
    )  # fmt: skip


@theorem(
    id="published-block-kaczmarz",
    title="The published block converges to one Kaczmarz sweep",
    statement=r"x_N \to x_{\mathrm{init}} - A^\top L^{-1}(A x_{\mathrm{init}}-b),\quad L=\mathrm{tril}(AA^\top);\qquad "
    r"a_N\cdot x_N\to b_N;\ b=Ax^\ast \implies x-x^\ast\to(I-A^\top L^{-1}A)(x_{\mathrm{init}}-x^\ast)",
    hypotheses=(
        "a_n ≠ 0 for every n",
        "0 < η|a_n|² < 2 for every n: sufficient, and necessary for all rows to converge whatever b and x_init",
    ),
    source="new (on the notebook published with Liu et al. 2025)",
    covers="the iteration of the scalars s, its triangular matrix, and its fixed point, in symbols at the given N and "
    "D and for every η; convergence as the spectral radius of I − ηL, and run",
    controls={
        "the last weight off by 1/3": {"build": wrong(published_block, last_weight)},
        "a limit that is the least-squares solution": {"reach": solution},
        "a reflected sweep": lambda: prove_sweep(3, 2, sign=-1),
        "a sum that leaves out its own row": lambda: prove_scalars(
            3, 2, sums=lambda array, axis: np.add.accumulate(array, axis=axis) - array
        ),
    },
)
def published_block_limit(
    size: Size, build: Build = published_block, reach: Callable[..., np.ndarray] = limit
) -> Evidence:
    N, D = size.n_points, size.n_dims
    prove_block(build(n_points=N, n_dims=D, n_applications=1, step_size="1/10"))
    for n, d, make in ((N, D, flint_variables), (2, 2, sympy_variables)):
        prove_scalars(n, d, make)
        prove_triangular(n, d, make)
        prove_sweep(n, d, make)
    return Evidence(
        f"Executed: N={N}, D={D}, A, b, x_init, s and η symbols: the iteration of the scalars s, its triangular matrix, its "
        "fixed point; the network run over Q at N=3, D=2 to convergence, exact and in the limit, and to divergence. Argued: "
        "powers of a triangular matrix tend to 0 just where its diagonal is below 1 in modulus; other N and D",
        "Q[A, b, x_init, s, η]; Q", "python-flint; SymPy at N=D=2",
        detail={"not_a_solution": smallest_unsolved(), "runs": require_convergence(build, reach)},
    )  # fmt: skip
