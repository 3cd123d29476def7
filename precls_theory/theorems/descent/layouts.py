"""Layout S: what goes wrong, silently, without its masking layer, and how the last row alone can do without one."""

from __future__ import annotations

from fractions import Fraction
from functools import partial

import numpy as np

from constructions.algebra.filters import PREFIX, Filter, shift
from constructions.algebra.terms import channel, channels, convolve, identity
from constructions.networks.builder import Builder
from constructions.networks.network import Network
from constructions.networks.tasks import Regression
from precls_theory.proofs.induction import RegressionSymbols, prove_base, prove_layer
from precls_theory.proofs.symbolic import MakeVariables, apply, flint_variables, outer, sympy_variables
from precls_theory.proofs.variants import Build, last_weight, wrong
from precls_theory.registry import Evidence, Refuted, Size, theorem
from precls_theory.theorems.descent.gd_doubling import squared
from precls_theory.theorems.descent.gd_gram import prove_step

STEP = Fraction(1, 10)


def unmasked(n_points: int, n_dims: int, n_steps: int, form: str, skip: bool = True) -> Network:
    """Gram or doubling form on layout S without a mask, for the last row. ``skip``: filters that leave out lag N."""
    sums, spread = (Filter.of((1,) * n_points, 0), shift(n_points)) if skip else (PREFIX, PREFIX)
    builder = Builder(n_points + 1, [*(f"a[{i}]" for i in range(n_dims)), "b"])
    a, b, step = channels("a", n_dims), channel("b"), STEP / n_points
    aa, ba, x = builder.layer(aa=np.outer(a, a), ba=b * a, x=convolve(spread, a))
    G, c = convolve(sums, aa), convolve(sums, ba)
    if form == "gram":
        for _ in range(n_steps):
            G, c, x = builder.layer(G=G, c=c, x=x - step * (G @ x - c))
    else:
        P, q = identity(n_dims) - step * G, step * c
        P, q, x = builder.layer(P=P, q=q, x=x - step * (G @ x) + q)
        for _ in range(n_steps.bit_length() - 1):
            P, q, x = builder.layer(P=P @ P, q=P @ q + q, x=P @ x + q)
    return builder.build(x, lambda columns: Regression(n_points, n_dims, "S", columns, n_dims + 1))


def prove_last_row(network: Network, form: str, make: MakeVariables = flint_variables) -> None:
    """At the last row the network does the steps of its form; :class:`Refuted` otherwise. Its first layer has no mask."""
    p = RegressionSymbols.of(network, make)
    if network.positions:
        raise Refuted("the network has positional channels")
    step, n_dims = STEP / p.task.n_points, p.task.n_dims
    scale, rows = p.variables.constant(step), [p.task.n_points]
    first = p.x - scale * (apply(p.G, p.x) - p.c)
    P = p.variables.identity(n_dims) - scale * p.G
    prove_base(network, p.u, 2, {"G": p.G, "c": p.c, "P": P, "q": scale * p.c, "x": first}, p.variables, rows)
    square, vector = (n_dims, n_dims, 1), (n_dims, 1)
    if form == "gram":
        v = make(G=square, c=vector, x=vector, previous=vector)
        for index in range(2, network.depth):
            prove_step(network, index, step, Fraction(0), v)
    else:
        v = make(P=square, q=vector, x=vector)
        for index in range(2, network.depth):
            prove_layer(network, index, *squared(v), v)


def prove_mixed_up(n_points: int, n_dims: int, make: MakeVariables = flint_variables, skip: bool = False) -> None:
    """Prefix sums over layout S, as layout A would take them, hold ``G + x xᵀ`` and ``x + Σ a`` at the last row."""
    network = unmasked(n_points, n_dims, 2, "gram", skip=skip)
    p = RegressionSymbols.of(network, make)
    start = p.x + np.add.reduce(p.a, axis=1)[:, None]
    G = p.G + outer(p.x, p.x)
    first = start - p.variables.constant(STEP / n_points) * (apply(G, start) - p.c)
    prove_base(network, p.u, 2, {"G": G, "c": p.c, "x": first}, p.variables, [n_points])


@theorem(
    id="layout-s-mixed-up",
    title="Layout S taken for A gives G + x xᵀ and x + Σ a",
    statement=r"\sum_{\text{rows}} a a^\top = G + x_{\mathrm{init}}x_{\mathrm{init}}^\top,\quad "
    r"\sum_{\text{rows}} a = x_{\mathrm{init}}+\sum_n a_n",
    hypotheses=("x_init in row 0 in the channels of a", "no mask"),
    source="new",
    covers="A, b, x_init symbolic at the given N and D, at the last row",
    controls={
        "filters that skip lag N, which mix nothing up": {"skip": True},
    },
)
def layout_s_mixed_up(size: Size, skip: bool = False) -> Evidence:
    prove_mixed_up(size.n_points, size.n_dims, skip=skip)
    prove_mixed_up(2, 2, sympy_variables, skip)
    return Evidence(
        f"Executed: N={size.n_points}, D={size.n_dims}, A, b, x_init symbols, the last row. Argued: other N and D",
        "Q[A, b, x_init]", "python-flint; SymPy at N=D=2",
    )  # fmt: skip


@theorem(
    id="layout-s-last-row",
    title="In layout S the last row needs no mask: filters that skip lag N",
    statement=r"f=[\underbrace{1,\dots,1}_{N},0,\dots]:\ (f\star aa^\top)_N = G,\quad (\delta_N\star a)_N = x_{\mathrm{init}}",
    hypotheses=("read at the last row alone", "Gram form in k+1 layers, doubling form in m+2"),
    source="new",
    covers="every k (2^m) by induction, as for the forms with a mask; not the tight form, whose sums run at every row",
    controls={
        "the last weight off by 1/3": {"build": wrong(unmasked, last_weight)},
        "prefix sums, which do not skip lag N": {"build": partial(unmasked, skip=False)},
    },
)
def layout_s_last_row(size: Size, build: Build = unmasked) -> Evidence:
    N, D = size.n_points, size.n_dims
    for form, k in (("gram", 1), ("gram", 4), ("doubling", 4)):
        prove_last_row(build(N, D, k, form), form)
        prove_last_row(build(2, 2, k, form), form, sympy_variables)
    for k in (*range(1, 9), 32):
        prove_last_row(build(2, 1, k, "gram"), "gram")
        prove_last_row(build(2, 1, 2 ** min(k, 8), "doubling"), "doubling")
    return Evidence(
        f"Executed: N={N}, D={D}, Gram form for k = 1, 4 and doubling form for k = 4, and at N=2, D=1 for k up to 32; step "
        "size 1/10. Argued: other k, for the networks repeat their layer; other N and D",
        "Q[A, b, x_init], Q[G, c, x], Q[P, q, x]",
        "python-flint; SymPy at N=D=2",
    )  # fmt: skip
