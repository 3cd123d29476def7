"""Identities of Newton's iteration: it is gradient descent from zero, 2^t steps at once."""

from __future__ import annotations

from collections.abc import Callable

import flint
import numpy as np

import constructions as C
from precls_theory.proofs.parameters import Symbols
from precls_theory.proofs.symbolic import MakeVariables, Variables, flint_variables, require_equal, sympy_variables
from precls_theory.proofs.variants import Build, hard_coded
from precls_theory.registry import Evidence, Refuted, Size, theorem
from precls_theory.theorems.descent.gd_doubling import prove_powers


def newton_step(g: np.ndarray, M: np.ndarray, v: Variables) -> np.ndarray:
    """``2M − M g M``; M is a polynomial in G, so everything commutes."""
    return v.constant(2) * M - M * g * M


def prove_identities(
    make: MakeVariables = flint_variables, step: Callable[[np.ndarray, np.ndarray, Variables], np.ndarray] = newton_step
) -> None:
    """One Newton step squares ``1 − gM``, and doubles the number of terms of the sum ``M = α Σ_{i<n} z^i``.

    With g for G and z = 1 − αg, the sum S = Σ_{i<n} z^i is defined by ``(z − 1) S = z^n − 1``, that is αgS = 1 − y with
    y = z^n. So M = αS has 1 − gM = y, and ``M' = M (2 − gM) = M (1 + y)`` is the sum of 2n terms: αgS' = 1 − y². Base:
    n = 1. The substitution g = (1 − y)/M is cleared of its denominator, so no inverse is taken and G may be singular.
    """
    v = make(g=(1,), M=(1,), y=(1,))
    g, M, y, one = v["g"], v["M"], v["y"], v.constant(1)
    new = step(g, M, v)
    require_equal(one - g * new, (one - g * M) * (one - g * M), "1 − gM' = (1 − gM)²", v.ring)
    require_equal(new, M * (one + (one - g * M)), "M' = M (1 + y) with y = 1 − gM", v.ring)
    require_equal((one - y) * (one + y), one - y * y, "S_2n = S_n (1 + z^n)", v.ring)


def prove_sums(t_max: int) -> None:
    """``M_t = α Σ_{i<2^t} (1 − αg)^i`` and ``1 − g M_t = (1 − αg)^{2^t}`` in Q[α, g], for t up to ``t_max``."""
    alpha, g = flint.fmpq_mpoly_ctx.get(["alpha", "g"], "degrevlex").gens()
    z, M = 1 - alpha * g, alpha
    for t in range(t_max + 1):
        total = sum((z**i for i in range(2**t)), 0 * g)
        residual = 1 - g * M
        power = z ** (2**t)
        if (M - alpha * total) or residual != power:
            raise Refuted(f"the identities fail at t={t}", {"t": t})
        M = 2 * M - M * g * M


def prove_same_network_function(n_points: int, n_dims: int, t: int, build: Build = C.newton) -> None:
    """M_t c equals 2^t gradient steps from zero with η = αN, as functions of α, A and b (every entry a symbol)."""
    symbols = Symbols(alpha="1/7")
    alpha, sizes = symbols["alpha"], {"n_points": n_points, "n_dims": n_dims}
    newton = symbols.build(build, **sizes, n_iters=t, alpha=alpha)
    descent = symbols.build(
        C.gradient_descent, **sizes, n_steps=2**t, step_size=n_points * alpha, form="gram", layout="A"
    )
    v = symbols.variables(A=(n_points, n_dims), b=(n_points,))
    left = newton.decode(newton.evaluate(newton.encode(v["A"], v["b"]), v.ring))
    right = descent.decode(descent.evaluate(descent.encode(v["A"], v["b"]), v.ring))
    require_equal(left, right, f"M_{t} c and {2**t} gradient steps", v.ring)


@theorem(
    id="newton-identities",
    title="t Newton iterates are 2^t gradient steps from zero",
    statement=r"I-GM_t=(I-\alpha G)^{2^t},\quad M_t=\alpha\sum_{i<2^t}(I-\alpha G)^i,\quad "
    r"M_t c = x_{2^t}\ (x_0=0,\ \eta/N=\alpha)",
    hypotheses=("M_0 = αI", "G symmetric; it may be singular"),
    source="new (Schulz iteration as repeated squaring)",
    covers="every t by induction in Q[g, M, y]; t <= 6 written out in Q[α, g]; the networks, symbolically, at N=1, D=2 "
    "(G singular) and N=2, D=1",
    controls={
        "a step 3M - MGM": lambda: prove_identities(step=lambda g, M, v: v.constant(3) * M - M * g * M),
        "an alpha of 1/7 whatever is asked for": {"build": hard_coded(C.newton, alpha="1/7")},
    },
)
def newton_identities(size: Size, build: Build = C.newton) -> Evidence:
    prove_identities()
    prove_identities(sympy_variables)
    prove_powers()
    prove_sums(6)
    for n_points, n_dims in ((1, 2), (2, 1)):
        prove_same_network_function(n_points, n_dims, 2, build)
    return Evidence(
        "Executed: the step from t to t+1 with g, M, y symbols; t <= 6 written out, α and g symbols; networks for t = 2, α, A, "
        "b symbols, at N=1, D=2 and N=2, D=1. Argued: induction on t; that a matrix may stand for g, for all are polynomials "
        "in the one matrix G",
        "Q[g, M, y], Q[α, g], Q(α)[A, b]", "python-flint; SymPy",
    )  # fmt: skip
