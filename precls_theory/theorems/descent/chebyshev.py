"""The Chebyshev semi-iteration: k+1 layers, and its error polynomial, the smallest on the interval."""

from __future__ import annotations

from fractions import Fraction

import flint
import numpy as np

import constructions as C
from constructions.networks.tasks import LAYOUTS
from precls_theory.checking.every_value import prove_for_every
from precls_theory.proofs.symbolic import MakeVariables, flint_variables, parameters_of, require_equal, sympy_variables
from precls_theory.proofs.variants import Build, at_most, hard_coded, last_weight, late_row, wrong
from precls_theory.registry import Evidence, Refuted, Size, listed, theorem
from precls_theory.theorems.descent.gd_gram import MANY_STEPS, SMALL, STEPS, chebyshev_schedule, prove_gram


def prove_recurrence(make: MakeVariables = flint_variables, factor: int = 2) -> None:
    """``ω_{k+1} = 2σ T_k(σ)/T_{k+1}(σ)`` and ``e_k = T_k(z)/T_k(σ)`` satisfy the semi-iteration's recurrences, for
    every k.

    With s, s1 for T_{k−1}(σ), T_k(σ) and t, t1 for T_{k−1}(z), T_k(z); σ = 1/ρ and z = (1 − λ/d)σ = (d − λ)/(ρd). By
    the three-term recurrence (its ``factor`` is 2) the next ones are s2 = 2σ s1 − s and t2 = 2z t1 − t. Cleared of
    denominators:

    * ω_{k+1} = 1/(1 − ρ²ω_k/4), and ω_2 = 1/(1 − ρ²/2) with T_1(σ) = σ, T_2(σ) = 2σ² − 1;
    * e_{k+1} = e_k + (ω_{k+1} − 1)(e_k − e_{k−1}) − ω_{k+1} (λ/d) e_k; at k = 0, e_1 = 1 − λ/d = z/σ.
    """
    v = make(sigma=(1,), z=(1,), s=(1,), s1=(1,), t=(1,), t1=(1,))
    sigma, z, s, s1, t, t1 = (v[name] for name in ("sigma", "z", "s", "s1", "t", "t1"))
    two, four = v.constant(2), v.constant(4)
    s2, t2 = v.constant(factor) * sigma * s1 - s, v.constant(factor) * z * t1 - t
    # ω_{k+1} (1 − ρ²ω_k/4) = 1, times 4σ² s1 s2, where ω_k = 2σs/s1 and ω_{k+1} = 2σ s1/s2.
    left = two * sigma * s1 * (four * sigma * sigma * s1 - two * sigma * s)
    require_equal(left, four * sigma * sigma * s1 * s2, "the recurrence of ω", v.ring)
    # ω_2 (1 − ρ²/2) = 1, times 2σ² T_2(σ), where ω_2 = 2σ T_1(σ)/T_2(σ).
    second = v.constant(factor) * sigma * sigma - v.constant(1)
    require_equal(
        two * sigma * sigma * (two * sigma * sigma - v.constant(1)), two * sigma * sigma * second, "ω_2", v.ring
    )
    # The recurrence of the error, times σ s s1 s2.
    kept = sigma * s * s2 * t1
    momentum = sigma * (two * sigma * s1 - s2) * (t1 * s - t * s1)
    descent = two * sigma * s1 * (sigma - z) * s * t1
    require_equal(kept + momentum - descent, sigma * s * s1 * t2, "the recurrence of the error", v.ring)


def error_polynomial(network: C.Network) -> flint.fmpq_poly:
    """The network's error as a polynomial in t, λ = t²: its output on N = D = 1, a = t, b = 0, x_init = 1."""
    one, zero, t = (flint.fmpq_poly(entries) for entries in ([1], [0], [0, 1]))
    u = np.empty((1, 3), dtype=object)
    u[0, 0], u[0, 1], u[0, 2] = t, zero, one
    return network.evaluate(u)[0, network.task.columns[0]]


def prove_error_polynomial(network: C.Network) -> None:
    """The network's error is ``T_k((d − λ)/(ρd)) / T_k(1/ρ)``; raises :class:`Refuted` otherwise (N = D = 1)."""
    parameters = parameters_of(network)
    low, high, k = parameters["lower"], parameters["upper"], parameters["n_steps"]
    sigma, centre = (high + low) / (high - low), (high + low) / 2
    chebyshev = flint.fmpz_poly.chebyshev_t(k)
    z = flint.fmpq_poly([as_fmpq(sigma), 0, as_fmpq(-sigma / centre)])
    expected = flint.fmpq_poly(chebyshev)(z) / flint.fmpq_poly(chebyshev)(as_fmpq(sigma))
    actual = error_polynomial(network)
    if actual != expected:
        raise Refuted(f"the error polynomial of {k} steps is {actual}, not {expected}", {"k": k})


def as_fmpq(value: Fraction) -> flint.fmpq:
    return flint.fmpq(value.numerator, value.denominator)


@theorem(
    id="chebyshev",
    title="The Chebyshev semi-iteration in k+1 layers",
    statement=r"x_k-x^\ast = e_k(G/N)(x_0-x^\ast),"
    r"\quad e_k(\lambda)=T_k\bigl(\tfrac{d-\lambda}{\rho d}\bigr)/T_k(1/\rho)"
    r",\quad d=\tfrac{l+u}{2},\ \rho=\tfrac{u-l}{u+l}",
    hypotheses=("0 < l < u", "N, D, k >= 1"),
    source="new (Golub & Varga 1961 as a network)",
    covers="every l and u by symbols through the builder; every k: the layers by induction in layouts A, E and S, the error "
    "polynomial by its three-term recurrence; k <= 12 written out in Q[t] from the networks",
    controls={
        "the last weight off by 1/3": {"build": wrong(C.chebyshev, last_weight)},
        "the first sum a row late": {"build": wrong(C.chebyshev, late_row)},
        "an upper bound of 5/2 whatever is asked for": {"build": hard_coded(C.chebyshev, upper="5/2")},
        "16 steps where 17 are asked for": {"build": at_most(C.chebyshev, n_steps=16)},
        "a three-term recurrence with factor 3": lambda: prove_recurrence(factor=3),
    },
)
def chebyshev(size: Size, build: Build = C.chebyshev) -> Evidence:
    N, D = size.n_points, size.n_dims
    bounds = {"lower": "1/3", "upper": "5/2"}

    def prove(network: C.Network, make: MakeVariables = flint_variables) -> None:
        prove_gram(network, chebyshev_schedule(network), make)

    for layout in LAYOUTS:
        for k in STEPS:
            prove(build(n_points=N, n_dims=D, n_steps=k, layout=layout, **bounds))
        prove(build(**SMALL, n_steps=3, layout=layout, **bounds), sympy_variables)
        prove_for_every(build, prove, SMALL | {"n_steps": 6, "layout": layout}, **bounds)
    for k in MANY_STEPS:
        prove(build(n_points=2, n_dims=1, n_steps=k, **bounds))
    for k in range(1, 13):
        prove_error_polynomial(build(n_points=1, n_dims=1, n_steps=k, **bounds))
    prove_recurrence()
    prove_recurrence(sympy_variables)
    return Evidence(
        f"Executed: N={N}, D={D}, layouts A, E, S, A, b, x_init symbols, every layer of the networks for k = "
        f"{listed(STEPS)} on [1/3, 5/2], and at N=2, D=1 for k = {listed(MANY_STEPS)}, against T_k in closed form; l "
        "and u symbols through the builder at N=D=2, k = 6 (0 < l < u as their order alone); the error polynomial of the "
        "networks for k <= 12, and its recurrence and that of ω for every k. Argued: other k, for the builder repeats its "
        "layer with the next ω; other N and D",
        "Q(l, u)[A, b, x_init], Q(l, u)[G, c, x, x_prev], Q[σ, z, T], Q[t]", "python-flint; SymPy at N=D=2",
    )  # fmt: skip
