"""Gradient descent, tight form: any k ≥ 1 steps in ⌊log2 k⌋ + 2 layers, for every k by induction on the layer."""

from __future__ import annotations

from fractions import Fraction
from functools import partial

import numpy as np

import constructions as C
from constructions.networks.tasks import LAYOUTS
from precls_theory.checking.every_value import prove_for_every
from precls_theory.proofs.induction import Claims, RegressionSymbols, content, prove_base, prove_layer, prove_readout
from precls_theory.proofs.symbolic import (
    MakeVariables,
    Variables,
    apply,
    compose,
    flint_variables,
    mirror,
    outer,
    parameters_of,
    require_equal,
    sympy_variables,
)
from precls_theory.proofs.variants import Build, at_most, hard_coded, last_weight, late_row, wrong
from precls_theory.registry import Evidence, Refuted, Size, listed, theorem
from precls_theory.theorems.descent.gd_doubling import prove_powers

MANY_STEPS = (*range(1, 9), 63, 64, 65, 66, 1000, 10**6 + 1, 2**60 - 1)
"""Numbers of steps whose networks are proved at N = 2, D = 1: every layer of every one."""


def prove_tight(network: C.Network, make: MakeVariables = flint_variables) -> None:
    """The network takes k steps, k its ``n_steps``. Raises :class:`Refuted` otherwise.

    Base: the first layer (the second in S) holds the increments ``W_n = −(η/N) a_n a_nᵀ``, ``v_n = (η/N) b_n a_n``, and
    x_init. Step: a layer on increments whose sums over the rows up to n are generic, T_n and q_n, holds increments
    whose sums are ``2T + T²`` and ``2q + Tq`` (the map of 2j steps, as T = P^j − I), and ``x + digit·(Tx + q)``. The
    digits of the layers are the binary digits of k, so by :func:`prove_powers` x has taken k steps.
    """
    p = RegressionSymbols.of(network, make)
    parameters = parameters_of(network)
    n_dims, n_steps = p.task.n_dims, parameters["n_steps"]
    base = 2 if p.task.layout == "S" else 1
    digits = [int(digit) for digit in reversed(f"{n_steps:b}")]
    if network.depth != base + len(digits):
        raise Refuted(f"{n_steps} steps take {base + len(digits)} layers, got {network.depth}")
    prove_base(network, p.u, base, increments_of_data(p, parameters["step_size"] / p.task.n_points), p.variables)
    rows = network.n_rows
    v = make(T=(n_dims, n_dims, rows), q=(n_dims, rows), x=(n_dims, rows))
    proved = set()
    for index, digit in enumerate(digits, start=base):
        key = content(network, index), digit
        if key not in proved:
            prove_layer(network, index, *doubled(v, digit, p.task.layout), v)
            proved.add(key)
    prove_readout(network)


def increments_of_data(p: RegressionSymbols, step: Fraction) -> Claims:
    """What the first layer holds: W and v at the data rows (zero at the start row of S), x_init at the exact rows."""
    v, task = p.variables, p.task
    scale = v.constant(step)
    W, b_a = -scale * outer(p.a, p.a), scale * v["b"] * p.a
    x = np.broadcast_to(p.x, (task.n_dims, task.n_rows)).copy()
    if task.layout == "S":
        W, b_a = (np.concatenate([v.zeros(*array.shape[:-1], 1), array], axis=-1) for array in (W, b_a))
    if task.layout == "E":
        W, b_a, x[:, :-1] = unclaimed_last(W), unclaimed_last(b_a), None
    return {"W": W, "v": b_a, "x": x}


def unclaimed_last(array: np.ndarray) -> np.ndarray:
    """``array`` with one more row of which nothing is claimed."""
    return np.concatenate([array, np.full((*array.shape[:-1], 1), None)], axis=-1)


def difference(sums: np.ndarray) -> np.ndarray:
    """The increments whose sums over the rows up to n are given."""
    return np.concatenate([sums[..., :1], sums[..., 1:] - sums[..., :-1]], axis=-1)


def doubled(v: Variables, digit: int, layout: str) -> tuple[Claims, Claims]:
    """Generic channels before a layer, and what it must leave. Sums T, q are generic, so the increments are too.

    In layout E the last row's own increment is arbitrary and never counts: x there sees the rows strictly before.
    """
    T, q, x = mirror(v["T"]), v["q"], v["x"]
    two, sign = v.constant(2), v.constant(digit)
    before = {"W": difference(T), "v": difference(q), "x": x}
    W, b_a = difference(two * T + compose(T, T)), difference(two * q + apply(T, q))
    if layout != "E":
        return before, {"W": W, "v": b_a, "x": x + sign * (apply(T, x) + q)}
    seen = x[:, -1:] + sign * (apply(T[..., -2:-1], x[:, -1:]) + q[:, -2:-1])
    last = np.concatenate([np.full((len(x), x.shape[1] - 1), None), seen], axis=1)
    return before, {"W": unclaimed_last(W[..., :-1]), "v": unclaimed_last(b_a[..., :-1]), "x": last}


def prove_increments(size: int = 2, make: MakeVariables = flint_variables, sign: int = 1) -> None:
    """Three ways to write the increment of the squared map, for matrices that need not commute.

    With S = T_{n−1} and W, so that T_n = S + W, and the same for q: the increment ``2W + T_n² − T_{n−1}²`` is, by the
    filter of the sums, inclusive ``2W + TW + WT − W²``, exclusive ``2W + SW + WS + W²``, midpoint H = S + W/2: ``2W +
    HW + WH``. Likewise ``2v + Tv + Wq − Wv`` and so on. ``sign`` is that of the square.
    """
    square, vector = (size, size, 1), (size, 1)
    v = make(S=square, W=square, q=vector, v=vector)
    S, W, q, dv, half = v["S"], v["W"], v["q"], v["v"], v.constant(Fraction(1, 2))
    T, new_q, signed = S + W, q + dv, v.constant(sign)
    rise = compose(T, T) - compose(S, S)
    require_equal(compose(T, W) + compose(W, T) - signed * compose(W, W), rise, "inclusive", v.ring)
    require_equal(compose(S, W) + compose(W, S) + signed * compose(W, W), rise, "exclusive", v.ring)
    H = S + half * W
    require_equal(compose(H, W) + compose(W, H), rise, "midpoint", v.ring)
    rise_q = apply(T, new_q) - apply(S, q)
    require_equal(apply(T, dv) + apply(W, new_q) - signed * apply(W, dv), rise_q, "inclusive, q", v.ring)
    require_equal(apply(S, dv) + apply(W, q) + signed * apply(W, dv), rise_q, "exclusive, q", v.ring)
    require_equal(apply(H, dv) + apply(W, q + half * dv), rise_q, "midpoint, q", v.ring)


@theorem(
    id="gd-tight",
    title="Gradient descent, tight form: any k steps in ⌊log2 k⌋ + 2 layers",
    statement=r"\sum_{m\le n} W_m = P_n^j - I \;\mapsto\; P_n^{2j}-I,\qquad "
    r"x \mapsto x + \kappa\,(T x + q),\ \kappa\in\{0,1\}\text{ a binary digit of }k",
    hypotheses=("N, D, k >= 1", "layouts A, E (⌊log2 k⌋+2 layers) and S (one more)"),
    source="new",
    covers="every η by a symbol through the builder; every k by induction on the layer; "
    "exact at every row for its prefix problem (layout E: at the last row); "
    "the increments by inclusive, exclusive and midpoint filters",
    controls={
        "the last weight off by 1/3": {"build": wrong(C.gradient_descent, last_weight)},
        "the first sum a row late": {"build": wrong(C.gradient_descent, late_row)},
        "a step size of 1/10 whatever is asked for": {"build": hard_coded(C.gradient_descent, step_size="1/10")},
        "64 steps where 65 are asked for": {"build": at_most(C.gradient_descent, n_steps=64)},
        "the square subtracted twice": lambda: prove_increments(sign=-1),
    },
)
def tight_descent(size: Size, build: Build = C.gradient_descent) -> Evidence:
    N, D = size.n_points, size.n_dims
    steps = (1, 2, 5, 37)
    prove_powers()
    prove_increments()
    prove_increments(make=sympy_variables)
    tight, special = partial(build, form="tight"), set()
    for layout in LAYOUTS:
        for k in steps:
            prove_tight(tight(n_points=N, n_dims=D, n_steps=k, step_size="1/10", layout=layout))
        prove_tight(tight(n_points=2, n_dims=2, n_steps=5, step_size="1/10", layout=layout), sympy_variables)
        generic = {"n_points": 2, "n_dims": 2, "n_steps": 5, "layout": layout}
        special |= {*prove_for_every(tight, prove_tight, generic, {"n_steps": 2}, step_size="1/10")}
    for k in MANY_STEPS:
        prove_tight(tight(n_points=2, n_dims=1, n_steps=k, step_size="1/10"))
    return Evidence(
        f"Executed: N={N}, D={D}, layouts A, E, S, A, b, x_init symbols, increments generic at all rows in the step, every "
        f"layer of the networks for k = {listed(steps)}, and at N=2, D=1 for k = {listed(MANY_STEPS)}; η a "
        "symbol through the builder at N=D=2, whole networks of 2 steps at its special values "
        f"{listed(sorted(special))}. Argued: other k, for the builder makes each layer of its binary digit "
        "alone; other N and D",
        "Q(η)[A, b, x_init], Q(η)[T_n, q_n, x_n at every row]", "python-flint; SymPy at N=D=2",
    )  # fmt: skip
