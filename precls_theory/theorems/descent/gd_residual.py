"""Gradient descent, residual form: k steps in 2k+1 layers of width Θ(D), for every k by induction on two layers."""

from __future__ import annotations

from fractions import Fraction
from functools import partial

import numpy as np

import constructions as C
from constructions.networks.tasks import LAYOUTS
from precls_theory.checking.every_value import prove_for_every
from precls_theory.proofs.induction import Claims, RegressionSymbols, content, prove_base, prove_layer, prove_readout
from precls_theory.proofs.symbolic import MakeVariables, Variables, dot, flint_variables, parameters_of, sympy_variables
from precls_theory.proofs.variants import Build, at_most, hard_coded, last_weight, late_row, wrong
from precls_theory.registry import Evidence, Refuted, Size, listed, theorem

MANY_STEPS = (*range(1, 5), 8, 9, 33)
"""Numbers of steps whose networks are proved at N = 2, D = 1: every layer of every one."""


def prove_residual(network: C.Network, make: MakeVariables = flint_variables) -> None:
    """The network takes k steps, and every row holds x_k. Raises :class:`Refuted` otherwise.

    Base: the first layer (the second in E and S, after the mask) holds a_n, b_n (zero at the row of x_init), and x_init
    and ``r_n = a_n·x_init − b_n`` at every row. Step: on generic a_n, b_n, r_n and a generic x, the same at every row,
    the next layer holds ``r_n a_n``; on generic ``r_n a_n`` the one after holds ``x' = x − (η/N) Σ r_n a_n`` and ``r_n'
    = a_n·x' − b_n``.
    """
    p = RegressionSymbols.of(network, make)
    parameters = parameters_of(network)
    step, n_steps = parameters["step_size"] / p.task.n_points, parameters["n_steps"]
    base = 1 if p.task.layout == "A" else 2
    if network.depth != base + 2 * n_steps:
        raise Refuted(f"{n_steps} steps take {base + 2 * n_steps} layers, got {network.depth}")
    a, b = data_rows(p.a, p.variables["b"], p.task.layout, p.variables)
    x = np.broadcast_to(p.x, a.shape)
    prove_base(network, p.u, base, {"a": a, "b": b, "x": x, "r": dot(a, x) - b}, p.variables, p.rows)
    n_points, n_dims, rows = p.task.n_points, p.task.n_dims, network.n_rows
    v = make(a=(n_dims, n_points), b=(n_points,), x=(n_dims, 1), r=(rows,), ra=(n_dims, rows))
    multiply, add = one_step(v, step, p.task.layout)
    proved = set()
    for index in range(base, network.depth):
        stage = (index - base) % 2
        key = content(network, index), stage
        if key not in proved:
            prove_layer(network, index, *(add if stage else multiply), v)
            proved.add(key)
    prove_readout(network)


def data_rows(a: np.ndarray, b: np.ndarray, layout: str, v: Variables) -> tuple[np.ndarray, np.ndarray]:
    """The data by row, with a zero row where the layout has x_init."""
    if layout == "A":
        return a, b
    order = (1, -1) if layout == "E" else (-1, 1)
    a_zero, b_zero = v.zeros(len(a), 1), v.zeros(1)
    return np.concatenate([a, a_zero][:: order[0]], axis=1), np.concatenate([b, b_zero][:: order[0]])


def one_step(v: Variables, step: Fraction, layout: str) -> tuple[tuple[Claims, Claims], tuple[Claims, Claims]]:
    """(before, after) of the two layers of a step."""
    a, b = data_rows(v["a"], v["b"], layout, v)
    x = np.broadcast_to(v["x"], a.shape)
    carried = {"a": a, "b": b, "x": x}
    total = np.add.reduce(v["ra"], axis=1)[:, None]
    new = np.broadcast_to(v["x"] - v.constant(step) * total, a.shape)
    multiply = (carried | {"r": v["r"]}, carried | {"ra": v["r"] * a})
    add = (carried | {"ra": v["ra"]}, {"a": a, "b": b, "x": new, "r": dot(a, new) - b})
    return multiply, add


@theorem(
    id="gd-residual",
    title="Gradient descent, residual form: k steps in 2k+1 layers of width Θ(D)",
    statement=r"r_n = a_n\cdot x - b_n,\qquad x \mapsto x - \tfrac{\eta}{N}\textstyle\sum_n r_n a_n",
    hypotheses=("N, D, k >= 1", "circular; layout A (2k+1 layers), E and S (2k+2)"),
    source="Liu et al. 2025, App. D.2",
    covers="every η by a symbol through the builder, every k by induction on two layers; exact at every row",
    controls={
        "the last weight off by 1/3": {"build": wrong(C.gradient_descent, last_weight)},
        "the first sum a row late": {"build": wrong(C.gradient_descent, late_row)},
        "a step size of 1/10 whatever is asked for": {"build": hard_coded(C.gradient_descent, step_size="1/10")},
        "8 steps where 9 are asked for": {"build": at_most(C.gradient_descent, n_steps=8)},
    },
)
def residual_descent(size: Size, build: Build = C.gradient_descent) -> Evidence:
    N, D = size.n_points, size.n_dims
    steps = (1, 2, 3)
    residual, special = partial(build, form="residual"), set()
    for layout in LAYOUTS:
        for k in steps:
            prove_residual(residual(n_points=N, n_dims=D, n_steps=k, step_size="1/10", layout=layout))
        prove_residual(residual(n_points=2, n_dims=2, n_steps=2, step_size="1/10", layout=layout), sympy_variables)
        generic = {"n_points": 2, "n_dims": 2, "n_steps": 3, "layout": layout}
        special |= {*prove_for_every(residual, prove_residual, generic, {"n_steps": 2}, step_size="1/10")}
    for k in MANY_STEPS:
        prove_residual(residual(n_points=2, n_dims=1, n_steps=k, step_size="1/10"))
    return Evidence(
        f"Executed: N={N}, D={D}, layouts A, E, S, A, b, x_init symbols, a, b, x, r generic in the step, every layer of the "
        f"networks for k = {listed(steps)}, and at N=2, D=1 for k = {listed(MANY_STEPS)}; η a symbol through the builder "
        f"at N=D=2, whole networks of 2 steps at its special values {listed(sorted(special))}. Argued: other "
        "k, for the builder repeats its two layers; other N and D",
        "Q(η)[A, b, x_init], Q(η)[a, b, x, r], Q(η)[a, b, x, ra]", "python-flint; SymPy at N=D=2",
    )  # fmt: skip
