"""Gradient descent and heavy ball in Gram form: k steps in k+1 layers, for every k by induction on the layer."""

from __future__ import annotations

from fractions import Fraction

import flint

import constructions as C
from constructions.networks.tasks import LAYOUTS
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
from precls_theory.proofs.variants import Build, hard_coded, last_weight, late_row, wrong
from precls_theory.registry import Evidence, Refuted, Size, theorem

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
    """The Chebyshev polynomial ``T_degree`` at a rational number."""
    value = flint.fmpz_poly.chebyshev_t(degree)(flint.fmpq(at.numerator, at.denominator))
    return Fraction(int(value.p), int(value.q))


SCOPE = "A, b, x_init symbolic; every k: base case and generic step; the steps are those of the networks for k = {}"
RING = "Q[A, b, x_init], Q[G, c, x, x_prev]"
STEPS = (1, 2, 3, 16)


@theorem(
    id="gd-gram",
    title="Gradient descent, Gram form: k steps in k+1 layers",
    statement=r"x_{k+1} = x_k - \tfrac{\eta}{N}(G x_k - c),\quad G=\sum_n a_n a_n^\top,\ c=\sum_n b_n a_n",
    hypotheses=("N, D, k >= 1", "layouts A, E (k+1 layers) and S (k+2 layers)"),
    source="Liu et al. 2025, §3.3; Gram form new",
    covers="every k by induction on the layer; exact at every row for its prefix problem (layout E: at the last row)",
    controls={
        "the last weight off by 1/3": {"build": wrong(C.gradient_descent, last_weight)},
        "the first sum a row late": {"build": wrong(C.gradient_descent, late_row)},
        "another step size than claimed": {"build": hard_coded(C.gradient_descent, step_size="1/7")},
    },
)
def gram_descent(size: Size, build: Build = C.gradient_descent) -> Evidence:
    N, D = size.n_points, size.n_dims
    for layout in LAYOUTS:
        for k in STEPS:
            net = build(n_points=N, n_dims=D, n_steps=k, step_size="1/10", form="gram", layout=layout)
            prove_gram(net, gradient_descent_schedule(net))
        small = build(n_points=2, n_dims=2, n_steps=3, step_size="1/10", form="gram", layout=layout)
        prove_gram(small, gradient_descent_schedule(small), sympy_variables)
    return Evidence(
        f"N={N}, D={D}, layouts A, E, S; {SCOPE.format(', '.join(map(str, STEPS)))}", RING,
        "python-flint; SymPy at N=D=2",
    )  # fmt: skip


@theorem(
    id="heavy-ball",
    title="Polyak's heavy ball in k+1 layers",
    statement=r"x_{k+1} = x_k - \tfrac{\eta}{N}(G x_k - c) + \beta (x_k - x_{k-1}),\quad x_{-1}=x_0",
    hypotheses=("N, D, k >= 1",),
    source="new (Polyak 1964 as a network)",
    covers="every k by induction on the layer, layouts A, E and S",
    controls={
        "the last weight off by 1/3": {"build": wrong(C.heavy_ball, last_weight)},
        "the first sum a row late": {"build": wrong(C.heavy_ball, late_row)},
        "another momentum than claimed": {"build": hard_coded(C.heavy_ball, momentum="1/7")},
        "another step size than claimed": {"build": hard_coded(C.heavy_ball, step_size="1/7")},
    },
)
def heavy_ball(size: Size, build: Build = C.heavy_ball) -> Evidence:
    N, D = size.n_points, size.n_dims

    def network(n: int, d: int, k: int, layout: str) -> C.Network:
        return build(n_points=n, n_dims=d, n_steps=k, step_size="1/10", momentum="1/2", layout=layout)

    for layout in LAYOUTS:
        for k in STEPS:
            net = network(N, D, k, layout)
            prove_gram(net, heavy_ball_schedule(net))
        small = network(2, 2, 3, layout)
        prove_gram(small, heavy_ball_schedule(small), sympy_variables)
    return Evidence(
        f"N={N}, D={D}, layouts A, E, S; {SCOPE.format(', '.join(map(str, STEPS)))}", RING,
        "python-flint; SymPy at N=D=2",
    )  # fmt: skip
