"""Gradient descent and heavy ball in Gram form: k steps in k+1 layers, for every k by induction on the layer."""

from __future__ import annotations

from collections.abc import Iterable
from fractions import Fraction
from functools import partial

import flint

import constructions as C
from constructions.networks.tasks import LAYOUTS
from precls_theory.checking.every_value import prove_for_every, prove_whole
from precls_theory.proofs.induction import RegressionSymbols, content, prove_base, prove_layer, prove_readout
from precls_theory.proofs.symbolic import (
    MakeVariables,
    Variables,
    apply,
    flint_variables,
    mirror,
    parameters_of,
    sympy_variables,
)
from precls_theory.proofs.variants import Build, at_most, hard_coded, last_weight, late_row, wrong
from precls_theory.registry import Evidence, Refuted, Size, listed, theorem

Schedule = list[tuple[Fraction, Fraction]]


def prove_gram(network: C.Network, schedule: Schedule, make: MakeVariables = flint_variables) -> None:
    """``x_{k+1} = x_k + μ_k (x_k − x_{k−1}) − (η_k/N)(G x_k − c)`` for the schedule of pairs (η_k, μ_k), x_{−1} = x_0.

    Base: with A, b and x_init symbols, layer 2 (3 in layout S) holds G, c and x_1 at every exact row. Step: each later
    layer, on generic G, c, x and x_{k−1}, keeps G and c and takes one step. Raises :class:`Refuted` otherwise.
    """
    p = RegressionSymbols.of(network, make)
    n_points, n_dims = p.task.n_points, p.task.n_dims
    base = 3 if p.task.layout == "S" else 2
    if network.depth != base + len(schedule) - 1:
        raise Refuted(f"{len(schedule)} steps take {base + len(schedule) - 1} layers, got {network.depth}")
    gradient = apply(p.G, p.x) - p.c
    first = p.x - p.variables.constant(schedule[0][0] / n_points) * gradient
    prove_base(network, p.u, base, {"G": p.G, "c": p.c, "previous": p.x, "x": first}, p.variables, p.rows)
    v = make(G=(n_dims, n_dims, 1), c=(n_dims, 1), x=(n_dims, 1), previous=(n_dims, 1))
    proved = set()
    for index, (step, momentum) in enumerate(schedule[1:], start=base):
        key = content(network, index), step, momentum
        if key not in proved:
            prove_step(network, index, step / n_points, momentum, v)
            proved.add(key)
    prove_readout(network)


def prove_step(network: C.Network, index: int, step: Fraction, momentum: Fraction, v: Variables) -> None:
    G, c, x, previous = mirror(v["G"]), v["c"], v["x"], v["previous"]
    new = x + v.constant(momentum) * (x - previous) - v.constant(step) * (apply(G, x) - c)
    before = {"G": G, "c": c, "x": x, "previous": previous}
    prove_layer(network, index, before, {"G": G, "c": c, "previous": x, "x": new}, v)


def gradient_descent_schedule(network: C.Network) -> Schedule:
    """(η, 0), n_steps times."""
    parameters = parameters_of(network)
    return [(parameters["step_size"], Fraction(0))] * parameters["n_steps"]


def heavy_ball_schedule(network: C.Network) -> Schedule:
    """(η, β), n_steps times."""
    parameters = parameters_of(network)
    return [(parameters["step_size"], parameters["momentum"])] * parameters["n_steps"]


def chebyshev_schedule(network: C.Network) -> Schedule:
    """(ω_k/d, ω_k − 1) by the closed form ``ω_{k+1} = 2σ T_k(σ)/T_{k+1}(σ)``, σ = 1/ρ, not by the recurrence."""
    parameters = parameters_of(network)
    low, high = parameters["lower"], parameters["upper"]
    sigma, centre = (high + low) / (high - low), (high + low) / 2
    return [
        (omega / centre, omega - 1)
        for omega in [Fraction(1)]
        + [2 * sigma * first_kind(k, sigma) / first_kind(k + 1, sigma) for k in range(1, parameters["n_steps"])]
    ]


def first_kind(degree: int, at: Fraction) -> Fraction:
    """The Chebyshev polynomial ``T_degree`` at a rational number (or a rational function), by its coefficients."""
    return sum((int(c) * at**i for i, c in enumerate(flint.fmpz_poly.chebyshev_t(degree)) if c), Fraction(0))


STEPS = (1, 2, 3, 16)
MANY_STEPS = (*range(1, 7), 17, 33, 100)
"""Numbers of steps whose networks are proved at N = 2, D = 1: every layer of every one."""
SMALL = {"n_points": 2, "n_dims": 2}
RING = "Q(parameters)[A, b, x_init], Q(parameters)[G, c, x, x_prev]"


def scope(size: Size, parameters: str, special: Iterable[Fraction] = ()) -> str:
    """What the checks of this module execute and what they argue, in words."""
    values = f"; whole networks of 2 steps at its special values {listed(special)}" if special else ""
    return (
        f"Executed: N={size.n_points}, D={size.n_dims}, layouts A, E, S, A, b, x_init symbols, every layer of the networks "
        f"for k = {listed(STEPS)}, and at N=2, D=1 for k = {listed(MANY_STEPS)}; {parameters} a symbol through "
        f"the builder at N=D=2{values}. Argued: other k, for the builder repeats its layer; other N and D"
    )


@theorem(
    id="gd-gram",
    title="Gradient descent, Gram form: k steps in k+1 layers",
    statement=r"x_{k+1} = x_k - \tfrac{\eta}{N}(G x_k - c),\quad G=\sum_n a_n a_n^\top,\ c=\sum_n b_n a_n",
    hypotheses=("N, D, k >= 1", "layouts A, E (k+1 layers) and S (k+2 layers)"),
    source="Liu et al. 2025, §3.3; Gram form new",
    covers="every η by a symbol through the builder, every k by induction on the layer; exact at every row for its prefix "
    "problem (layout E: at the last row)",
    controls={
        "the last weight off by 1/3": {"build": wrong(C.gradient_descent, last_weight)},
        "the first sum a row late": {"build": wrong(C.gradient_descent, late_row)},
        "a step size of 1/10 whatever is asked for": {"build": hard_coded(C.gradient_descent, step_size="1/10")},
        "16 steps where 17 are asked for": {"build": at_most(C.gradient_descent, n_steps=16)},
    },
)
def gram_descent(size: Size, build: Build = C.gradient_descent) -> Evidence:
    N, D = size.n_points, size.n_dims

    def prove(network: C.Network, make: MakeVariables = flint_variables) -> None:
        prove_gram(network, gradient_descent_schedule(network), make)

    gram = partial(build, form="gram")
    special: set[Fraction] = set()
    for layout in LAYOUTS:
        for k in STEPS:
            prove(gram(n_points=N, n_dims=D, n_steps=k, step_size="1/10", layout=layout))
        prove(gram(**SMALL, n_steps=3, step_size="1/10", layout=layout), sympy_variables)
        generic = SMALL | {"n_steps": 4, "layout": layout}
        special |= {*prove_for_every(gram, prove, generic, {"n_steps": 2}, step_size="1/10")}
    for k in MANY_STEPS:
        prove(gram(n_points=2, n_dims=1, n_steps=k, step_size="1/10"))
    return Evidence(scope(size, "η", sorted(special)), RING, "python-flint; SymPy at N=D=2")


@theorem(
    id="heavy-ball",
    title="Polyak's heavy ball in k+1 layers",
    statement=r"x_{k+1} = x_k - \tfrac{\eta}{N}(G x_k - c) + \beta (x_k - x_{k-1}),\quad x_{-1}=x_0",
    hypotheses=("N, D, k >= 1",),
    source="new (Polyak 1964 as a network)",
    covers="every η and β by symbols through the builder, every k by induction on the layer, layouts A, E and S",
    controls={
        "the last weight off by 1/3": {"build": wrong(C.heavy_ball, last_weight)},
        "the first sum a row late": {"build": wrong(C.heavy_ball, late_row)},
        "a momentum of 1/2 whatever is asked for": {"build": hard_coded(C.heavy_ball, momentum="1/2")},
        "a step size of 1/10 whatever is asked for": {"build": hard_coded(C.heavy_ball, step_size="1/10")},
    },
)
def heavy_ball(size: Size, build: Build = C.heavy_ball) -> Evidence:
    N, D = size.n_points, size.n_dims

    def prove(network: C.Network, make: MakeVariables = flint_variables) -> None:
        prove_gram(network, heavy_ball_schedule(network), make)

    rates = {"step_size": "1/10", "momentum": "1/2"}
    for layout in LAYOUTS:
        for k in STEPS:
            prove(build(n_points=N, n_dims=D, n_steps=k, layout=layout, **rates))
        prove(build(**SMALL, n_steps=3, layout=layout, **rates), sympy_variables)
        prove_for_every(build, prove, SMALL | {"n_steps": 4, "layout": layout}, **rates)
    for k in MANY_STEPS:
        prove(build(n_points=2, n_dims=1, n_steps=k, **rates))
    for momentum in (-1, 0, 1):  # where weights vanish
        prove_whole(build(**SMALL, n_steps=2, step_size="1/10", momentum=momentum))
    return Evidence(scope(size, "η and β"), RING, "python-flint; SymPy at N=D=2")
