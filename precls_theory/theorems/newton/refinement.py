"""Residual refinement ``x ← x + M Aᵀ(b − A x)``: three layers, an exact map, and when it helps."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from functools import partial

import numpy as np

import constructions as C
from precls_theory.checking.every_value import prove_for_every
from precls_theory.proofs.induction import Claims, RegressionSymbols, prove_layer, prove_readout
from precls_theory.proofs.symbolic import (
    MakeVariables,
    apply,
    compose,
    dot,
    flint_variables,
    parameters_of,
    require_equal,
    sympy_variables,
)
from precls_theory.proofs.variants import Build, hard_coded, last_weight, wrong
from precls_theory.registry import Evidence, Refuted, Size, listed, theorem
from precls_theory.theorems.newton.newton import prove_iterates


def prove_refinement(network: C.Network, make: MakeVariables = flint_variables) -> None:
    """The network reads out M_t c after ``refinements`` corrections. Raises :class:`Refuted` otherwise.

    Newton's layers as in the other forms. Then on generic data rows and generic M and x, the same at every row:
    ``r_n = b_n − a_n·x``; on generic r, ``r_n a_n``; on generic ``r_n a_n``, ``x + M Σ r_n a_n``. A causal network
    fails, for its rows would see sums over different points: x must be the same at every row.
    """
    p = RegressionSymbols.of(network, make)
    parameters, task = parameters_of(network), p.task
    t, count = parameters["n_iters"], parameters["refinements"]
    first = t + 2 + (parameters["form"] == "residual")
    if network.mode != "circular" or task.prefix_rows:
        raise Refuted(f"refinement sums over all data rows: it takes a circular network, got a {network.mode} one")
    if not t or network.depth != first + 3 * count:
        raise Refuted(f"{t} iterates and {count} refinements take {first + 3 * count} layers, got {network.depth}")
    prove_iterates(network, p, make)
    n_points, n_dims = task.n_points, task.n_dims
    v = make(
        a=(n_dims, n_points), b=(n_points,), M=(n_dims, n_dims, 1), x=(n_dims, 1), r=(n_points,), ra=(n_dims, n_points)
    )
    data: Claims = {"a": v["a"], "b": v["b"], "M": v["M"]}
    if parameters["form"] == "residual":
        solve_before: Claims = data | {"c": v["x"]}
        prove_layer(network, first - 1, solve_before, data | {"x": apply(v["M"], v["x"])}, v)
    x = v["x"]
    for index in range(first, network.depth, 3):
        # In doubling form y = M c is the first x.
        entering = data | {"x": x, "y": x}
        prove_layer(network, index, entering, data | {"x": x, "r": v["b"] - dot(v["a"], x)}, v)
        prove_layer(network, index + 1, data | {"x": x, "r": v["r"]}, data | {"x": x, "ra": v["r"] * v["a"]}, v)
        moment = np.add.reduce(v["ra"], axis=1)[:, None]
        prove_layer(network, index + 2, data | {"x": x, "ra": v["ra"]}, data | {"x": x + apply(v["M"], moment)}, v)
    prove_readout(network)


def prove_error_map(n_dims: int, make: MakeVariables = flint_variables, sign: int = 1) -> None:
    """``x' − x* = (I − MG)(x − x*)`` for ``x' = x + M(c − Gx)`` and any x* with G x* = c: generic M, G, x and x*.

    ``sign`` is that of MG on the right.
    """
    square = (n_dims, n_dims, 1)
    v = make(M=square, G=square, x=(n_dims, 1), s=(n_dims, 1))
    M, G, x, solution = v["M"], v["G"], v["x"], v["s"]
    c = apply(G, solution)
    refined = x + apply(M, c - apply(G, x))
    expected = apply(v.identity(n_dims) - v.constant(sign) * compose(M, G), x - solution)
    require_equal(refined - solution, expected, "x' − x* = (I − MG)(x − x*)", v.ring)


def prove_residual_is_moment(n_points: int, n_dims: int, make: MakeVariables = flint_variables) -> None:
    """``Σ (b_n − a_n·x) a_n = c − G x``: from the data rows, with no G formed."""
    v = make(a=(n_dims, n_points), b=(n_points,), x=(n_dims, 1))
    a, b, x = v["a"], v["b"], v["x"]
    G = np.add.reduce(a[:, None] * a[None], axis=2)[..., None]
    c = np.add.reduce(a * b, axis=1)[:, None]
    require_equal(np.add.reduce(a * (b - dot(a, x)), axis=1)[:, None], c - apply(G, x), "Aᵀ(b − Ax) = c − Gx", v.ring)


@theorem(
    id="refinement",
    title="Residual refinement in three layers",
    statement=r"x' = x + M A^\top(b-Ax) \implies x'-x^\ast=(I-MG)(x-x^\ast),\quad I-M_tG=(I-\alpha G)^{2^t}",
    hypotheses=(
        "circular: x is the same at every data row, and every row is kept to the end",
        "M is carried (residual or doubling form), t >= 1",
        "G x* = c; the error shrinks if 0 < αλ < 2 for every eigenvalue λ of G, and in floating point if eps κ² < 1",
    ),
    source="new",
    covers="every α by a symbol through the builder, every t and every number of refinements, by induction on three "
    "layers; the exact map, not its rounding",
    controls={
        "the last weight off by 1/3": {"build": wrong(C.newton, last_weight)},
        "a causal network": {"build": wrong(C.newton, lambda network: replace(network, mode="causal"))},
        "an alpha of 1/7 whatever is asked for": {"build": hard_coded(C.newton, alpha="1/7")},
        "an error map with I + MG": lambda: prove_error_map(2, sign=-1),
    },
)
def refinement(size: Size, build: Build = C.newton) -> Evidence:
    N, D = size.n_points, size.n_dims
    special: set[Fraction] = set()
    for form in ("doubling", "residual"):
        for t, count in ((1, 1), (3, 2)):
            prove_refinement(
                build(n_points=N, n_dims=D, n_iters=t, alpha="1/7", form=form, refinements=count)  # type: ignore[arg-type]
            )
        prove_refinement(
            build(n_points=2, n_dims=2, n_iters=2, alpha="1/7", form=form, refinements=1),  # type: ignore[arg-type]
            sympy_variables,
        )
        newton = partial(build, form=form)
        generic = {"n_points": 2, "n_dims": 2, "n_iters": 2, "refinements": 2}
        special |= {*prove_for_every(newton, prove_refinement, generic, {"n_iters": 1, "refinements": 1}, alpha="1/7")}
        for t, count in ((1, 3), (9, 1), (10, 4), (12, 12)):
            prove_refinement(newton(n_points=2, n_dims=1, n_iters=t, alpha="1/7", refinements=count))
    prove_error_map(D)
    prove_residual_is_moment(N, D)
    prove_error_map(2, sympy_variables)
    prove_residual_is_moment(2, 2, sympy_variables)
    return Evidence(
        f"Executed: N={N}, D={D}, data rows, M, x, r generic in the step, every layer of the networks for (t, count) = (1, 1), "
        "(3, 2), and at N=2, D=1 for (1, 3), (9, 1), (10, 4), (12, 12); α a symbol through the builder at N=D=2, whole "
        f"networks of one iterate and one refinement at its special values {listed(sorted(special))}. Argued: other t and "
        "counts, for the builder repeats its layers; other N and D; the hypotheses on when it helps",
        "Q[a, b, M, x, r], Q[M, G, x, x*]", "python-flint; SymPy at N=D=2",
    )  # fmt: skip
