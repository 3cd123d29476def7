"""Gradient descent, doubling form: 2^m steps in m+2 layers, for every m by induction on the layer."""

from __future__ import annotations

from functools import partial

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
    parameters_of,
    require_equal,
    sympy_variables,
)
from precls_theory.proofs.variants import Build, at_most, hard_coded, last_weight, late_row, wrong
from precls_theory.registry import Evidence, Refuted, Size, listed, theorem

MANY_STEPS = (*range(6), 11, 24, 64)
"""Numbers of doublings whose networks are proved at N = 2, D = 1: every layer of every one."""


def prove_doubling(network: C.Network, make: MakeVariables = flint_variables) -> None:
    """The network takes 2^m steps. Raises :class:`Refuted` otherwise.

    Base: layer 2 (3 in layout S) holds the map of one step, P = I − (η/N)G and q = (η/N)c, and x_1, at every exact row.
    Step: each later layer, on generic symmetric P and generic q and x, holds P², Pq + q and Px + q. With
    :func:`prove_powers`, layer l holds the map of j = 2^{l−2} steps and x after as many.
    """
    p = RegressionSymbols.of(network, make)
    parameters = parameters_of(network)
    step, n_dims = parameters["step_size"] / p.task.n_points, p.task.n_dims
    base = 3 if p.task.layout == "S" else 2
    if 2 ** (network.depth - base) != parameters["n_steps"]:
        raise Refuted(f"{network.depth} layers take 2^{network.depth - base} steps, not {parameters['n_steps']}")
    scale = p.variables.constant(step)
    P, q = p.variables.identity(n_dims) - scale * p.G, scale * p.c
    prove_base(network, p.u, base, {"P": P, "q": q, "x": apply(P, p.x) + q}, p.variables, p.rows)
    v = make(P=(n_dims, n_dims, 1), q=(n_dims, 1), x=(n_dims, 1))
    before, after = squared(v)
    proved = set()
    for index in range(base, network.depth):
        key = content(network, index)
        if key not in proved:
            prove_layer(network, index, before, after, v)
            proved.add(key)
    prove_readout(network)


def squared(v: Variables) -> tuple[Claims, Claims]:
    """Generic symmetric P and generic q, x before a layer; P², Pq + q and Px + q after it."""
    P, q, x = mirror(v["P"]), v["q"], v["x"]
    return {"P": P, "q": q, "x": x}, {"P": compose(P, P), "q": apply(P, q) + q, "x": apply(P, x) + q}


def prove_powers(make: MakeVariables = flint_variables) -> None:
    """Composing the map of j steps with that of i steps gives that of i + j, for all i and j.

    With t for P, y = t^j, z = t^i and S_j = Σ_{l<j} t^l, which is defined by (t − 1) S_j = y − 1: t^{i+j} = yz, and
    S_{i+j} = y S_i + S_j. So q_j = S_j q_1 obeys q_2j = P^j q_j + q_j, and x_{i+j} = P^j x_i + q_j. Everything is a
    polynomial in one matrix, so it commutes.
    """
    v = make(t=(1,), y=(1,), z=(1,))
    one, y, z = v.constant(1), v["y"], v["z"]
    require_equal(y * (z - one) + (y - one), y * z - one, "S_{i+j} = t^j S_i + S_j", v.ring)


@theorem(
    id="gd-doubling",
    title="Gradient descent, doubling form: 2^m steps in m+2 layers",
    statement=r"P_{2j}=P_j^2,\ q_{2j}=P_j q_j+q_j,\ x_{2j}=P_j x_j+q_j;\quad "
    r"P_1=I-\tfrac{\eta}{N}G,\ q_1=\tfrac{\eta}{N}c",
    hypotheses=("N, D >= 1", "k = 2^m", "layouts A, E (m+2 layers) and S (m+3 layers)"),
    source="new",
    covers="every η by a symbol through the builder; every m by induction on the layer; "
    "exact at every row for its prefix problem (layout E: at the last row)",
    controls={
        "the last weight off by 1/3": {"build": wrong(C.gradient_descent, last_weight)},
        "the first sum a row late": {"build": wrong(C.gradient_descent, late_row)},
        "a step size of 1/10 whatever is asked for": {"build": hard_coded(C.gradient_descent, step_size="1/10")},
        "1024 steps where 2048 are asked for": {"build": at_most(C.gradient_descent, n_steps=1024)},
    },
)
def doubling_descent(size: Size, build: Build = C.gradient_descent) -> Evidence:
    N, D = size.n_points, size.n_dims
    prove_powers()
    prove_powers(sympy_variables)
    doubling, special = partial(build, form="doubling"), set()
    for layout in LAYOUTS:
        for m in (0, 1, 2, 10):
            prove_doubling(doubling(n_points=N, n_dims=D, n_steps=2**m, step_size="1/10", layout=layout))
        prove_doubling(doubling(n_points=2, n_dims=2, n_steps=4, step_size="1/10", layout=layout), sympy_variables)
        generic = {"n_points": 2, "n_dims": 2, "n_steps": 8, "layout": layout}
        special |= {*prove_for_every(doubling, prove_doubling, generic, {"n_steps": 2}, step_size="1/10")}
    for m in MANY_STEPS:
        prove_doubling(doubling(n_points=2, n_dims=1, n_steps=2**m, step_size="1/10"))
    return Evidence(
        f"Executed: N={N}, D={D}, layouts A, E, S, A, b, x_init symbols, every layer of the networks for m = 0, 1, 2, 10, and "
        f"at N=2, D=1 for m = {listed(MANY_STEPS)}; η a symbol through the builder at N=D=2, whole networks of 2 steps at its "
        f"special values {listed(sorted(special))}. Argued: other m, for the builder repeats its layer; other N and D",
        "Q(η)[A, b, x_init], Q(η)[P, q, x]", "python-flint; SymPy at N=D=2",
    )  # fmt: skip
