"""Newton's iteration for the inverse of G, ``M ← 2M − M G M`` from ``M_0 = αI``, applied to c; residual refinement.

With ``R = I − M G`` the iteration is ``M ← M + R M, R ← R²``: one layer per iterate. Since ``M_t c`` is 2^t gradient steps from
zero, M can be left out altogether: ``y ← y + R y, R ← R²`` from y = αc (the doubling form).
"""

from __future__ import annotations

from fractions import Fraction
from typing import Annotated, Literal

import numpy as np

from constructions.algebra.terms import Form, exact, identity, total
from constructions.networks.construction import construction
from constructions.networks.layouts import Start, begin
from constructions.networks.network import Network
from constructions.networks.parameters import Count, Dims, Exact, Points, Rational

NewtonForm = Literal["direct", "residual", "doubling"]
NEWTON_FORMS: tuple[NewtonForm, ...] = ("direct", "residual", "doubling")


@construction
def newton(
    *,
    n_points: Points,
    n_dims: Dims,
    n_iters: Annotated[int, Count("iterates", minimum=0, fits="layers")],
    alpha: Annotated[Rational, Exact("starting point αI")],
    form: NewtonForm = "doubling",
    refinements: Annotated[int, Count("residual refinements", minimum=0, fits="layers")] = 0,
) -> Network:
    """A network that decodes ``x = M_t c`` for ``t = n_iters``; ``net.encode(A, b)`` has rows [a_n, b_n].

    Depth: ``direct`` 2t+1 for t ≥ 1 (two layers per iterate), ``residual`` t+3, ``doubling`` t+2. ``refinements`` r adds r
    corrections ``x ← x + M Aᵀ(b − A x)``, three layers each, with the residual formed from the data rows; the network
    is then circular, carries M (``residual`` or ``doubling``), and is exact at every row for the whole problem.
    Raises ``ValueError`` for a negative count or an unknown form, and for refinements in the direct form.
    """
    alpha = exact(alpha)
    if refinements and form == "direct":
        raise ValueError("refinement carries M next to R = I − MG: use form='residual' or form='doubling'")
    start = begin("A", n_points, n_dims, mode="circular" if refinements else "causal", takes_start=False)
    if form == "direct":
        return start.finish(direct_form(start, n_dims, n_iters, alpha))
    return start.finish(residual_form(start, n_dims, n_iters, alpha, form, refinements))


def direct_form(start: Start, n_dims: int, n_iters: int, alpha: Fraction) -> np.ndarray:
    """``Y = G M``, then ``M ← 2M − M Y``: two layers per iterate; M_1 = 2αI − α²G is affine in G and comes free."""
    layer, eye = start.builder.layer, identity(n_dims)
    aa, ba = layer(aa=np.outer(start.a, start.a), ba=start.b * start.a)
    G, c = start.accumulate(aa), start.accumulate(ba)
    x: np.ndarray
    if n_iters == 0:
        x = layer(x=alpha * c)
        return x
    G, c, M = layer(G=G, c=c, M=2 * alpha * eye - alpha**2 * G)

    def iterate(G: np.ndarray, c: np.ndarray, M: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        G, c, M, Y = layer(G=G, c=c, M=M, Y=G @ M)
        return layer(G=G, c=c, M=2 * M - M @ Y)  # type: ignore[no-any-return]

    G, c, M = start.builder.repeat(n_iters - 1, iterate, G, c, M)
    x = layer(x=M @ c)
    return x


def residual_form(
    start: Start, n_dims: int, n_iters: int, alpha: Fraction, form: NewtonForm, refinements: int
) -> np.ndarray:
    """``M ← M + R M, R ← R²`` and the same for y = M c; refinement at the end. Channels that nobody reads are dropped."""
    layer, eye = start.builder.layer, identity(n_dims)
    a, b, aa, ba = layer(a=start.a, b=start.b, aa=np.outer(start.a, start.a), ba=start.b * start.a)
    G, c = start.accumulate(aa), start.accumulate(ba)
    R, M, y = eye - alpha * G, alpha * eye, alpha * c
    a, b, c, R, M, y = layer(a=a, b=b, c=c, R=R, M=M, y=y)
    a, b, c, R, M, y = start.builder.iterate(
        n_iters,
        lambda a, b, c, R, M, y: {"a": a, "b": b, "c": c, "R": R @ R, "M": M + R @ M, "y": y + R @ y},
        a=a, b=b, c=c, R=R, M=M, y=y,
    )  # fmt: skip
    x: np.ndarray = y if form == "doubling" else layer(a=a, b=b, M=M, x=M @ c)[-1]

    def refine(a: np.ndarray, b: Form, M: np.ndarray, x: np.ndarray) -> tuple[np.ndarray, Form, np.ndarray, np.ndarray]:
        a, b, M, x, r = layer(a=a, b=b, M=M, x=x, r=b - a @ x)
        a, b, M, x, ra = layer(a=a, b=b, M=M, x=x, ra=r * a)
        return layer(a=a, b=b, M=M, x=x + M @ total(ra))  # type: ignore[no-any-return]

    return start.builder.repeat(refinements, refine, a, b, M, x)[-1]
