"""Linear attention under a causal mask: ⌈log3 k⌉ + 1 layers for k steps, and where one layer fewer is impossible."""

from __future__ import annotations

import math
from fractions import Fraction
from functools import partial
from typing import Any

import numpy as np
import sympy as sp

from constructions.algebra.terms import Form
from constructions.networks.layer import MASKS, Mask
from constructions.networks.tasks import Regression
from constructions.transformers import linear_attention
from constructions.transformers.builder import TransformerBuilder
from constructions.transformers.exact import ExactTransformer
from constructions.transformers.linear_attention import causal_depth, ternary_depth
from precls_theory.checking import transformers as claims
from precls_theory.proofs.variants import deaf_to_step, wrong_part
from precls_theory.registry import Evidence, Refuted, Size, theorem
from precls_theory.theorems.transformers.linear_attention import SMALL, STEP_SIZE, Construct, build


@theorem(
    id="linear-attention-causal",
    title="k steps in ⌈log3 k⌉ + 1 layers of causal linear attention",
    statement=r"\lceil \log_3(2k+1) \rceil \le \lceil \log_3 k \rceil + 1 \le \lceil \log_3(2k+1) \rceil + 1",
    hypotheses=("x in channels of its own", "causal mask", "an indicator of the last row among the positions"),
    source="new",
    covers="k up to 9 symbolically at N=D=1, k up to 3 at N=D=2; k up to 243 at the given size modulo a prime",
    controls={
        "a weight off by 1/3": {"construct": wrong_part(linear_attention.gradient_descent)},
        "another step size than claimed": {"construct": deaf_to_step(linear_attention.gradient_descent)},
    },
)
def causal(size: Size, construct: Construct = linear_attention.gradient_descent) -> Evidence:
    """The recurrence P ← P³, t ← P²t + Pt + t, x by ternary digits; depth within one of the lower bound:
    2k+1 ≤ 3^L gives k ≤ 3^L, hence ⌈log3 k⌉ + 1 ≤ L + 1 (and the code's integer formulas agree for k < 10^4)."""
    p, t, x = sp.symbols("P t x")
    affine = t + p * x
    thrice = affine.subs(x, affine.subs(x, affine))
    if sp.expand(thrice - (p**3 * x + p**2 * t + p * t + t)) != 0:
        raise Refuted("three affine steps are not (P³, P²t + Pt + t)")
    for k in range(1, 10_000):
        if not ternary_depth(k) <= causal_depth(k) <= ternary_depth(k) + 1:
            raise Refuted(f"at k = {k} the depth {causal_depth(k)} is not within one of {ternary_depth(k)}")
    for k in range(1, 10):
        claims.verify_descent_polynomials(
            build(1, 1, k, "causal", construct), 1, 1, k, STEP_SIZE, f"the causal form, k = {k}"
        )
    for k in (1, 2, 3):
        ring = claims.verify_descent_polynomials(build(*SMALL, k, "causal", construct), *SMALL, k, STEP_SIZE)
    chances, depths = [], {}
    for k in (5, 9, 81, 243):
        net = build(size.n_points, size.n_dims, k, "causal", construct)
        chance = claims.verify_descent_residues(net, size.n_points, size.n_dims, k, STEP_SIZE)
        chances.append(chance)
        depths[str(k)] = net.depth
    return Evidence(
        scope=f"N={SMALL[0]}, D={SMALL[1]}, k ≤ 3 symbolically; N={size.n_points}, D={size.n_dims}, k ≤ 243",
        ring=f"{ring}; F_p, random p",
        engine="SymPy, python-flint",
        failure_probability_log2=math.log2(sum(2.0**chance for chance in chances)),
        detail={"depth by k": depths, "width": net.width, "heads": net.n_heads},
    )


def top_parts(n_layers: int, mask: str, a: list[Any]) -> list[Any]:
    """Q_0, …, Q_{L−1} with ``Q_l = Σ_j w_l(j)²``, ``w_0 = a`` and ``w_{l+1}(n) = w_l(n) Σ_{j visible} w_l(j)²``."""
    w, sums = list(a), []
    for _ in range(n_layers):
        squares = [value * value for value in w]
        sums.append(sum(squares[1:], squares[0]))
        zero = squares[0] - squares[0]
        visible = {
            "full": [sums[-1]] * len(w),
            "causal": [sum(squares[1 : n + 1], squares[0]) for n in range(len(w))],
            "strict": [sum(squares[:n], zero) for n in range(len(w))],
        }[mask]
        w = [value * total for value, total in zip(w, visible, strict=True)]
    return sums


def random_attention(seed: int, n_layers: int, mask: Mask, n_rows: int) -> ExactTransformer:
    """Random integer weights, biases and positions: two heads of dimension two a layer, five channels (a, b, x first)."""
    rng = np.random.default_rng(seed)
    names = ["a[0]", "b", "x[0]", "s[0]", "s[1]"]
    builder = TransformerBuilder(names, 3)

    def form() -> Form:
        weights = {name: Fraction(int(w)) for name, w in zip(names, rng.integers(-3, 4, 5), strict=True)}
        return Form(weights, Fraction(int(rng.integers(-3, 4))))

    for _ in range(n_layers):
        builder.block()
        for _ in range(2):
            builder.attend([form(), form()], [form(), form()], {name: form() for name in names})
    positions = {(row, "s[0]"): int(rng.integers(-3, 4)) for row in range(n_rows)}
    return builder.build(n_rows, mask, ["x[0]"], partial(Regression, n_rows - 1, 1, "separate", n_inputs=3), positions)


def require_top_part(n_layers: int, mask: Mask, seed: int) -> None:
    """The part of degree 3^L of a random network's output that is linear in x is a multiple of ``x Q_0 ⋯ Q_{L−1}``."""
    n_points = 2
    ring, (A, x) = claims.generic((n_points, 1), (1,))
    net = random_attention(seed, n_layers, mask, n_points + 1)
    output = net.decode(net.evaluate(net.encode(A, ring.zeros((n_points,)), x), ring))[0]
    terms = {
        powers: weight
        for powers, weight in output.to_dict().items()
        if sum(powers) == 3**n_layers and powers[n_points] == 1
    }
    shape = math.prod(top_parts(n_layers, mask, list(A[:, 0])), start=x[0]).to_dict()
    ratios = {terms.get(powers, 0) / weight for powers, weight in shape.items()}
    if set(terms) - set(shape) or len(ratios) != 1 or ratios == {0}:
        raise Refuted("the top part of a network is not x Q_0 ⋯ Q_{L−1}", {"mask": mask, "seed": seed})


def require_gap(mask: str) -> list[str]:
    """Q_1 is not a multiple of Q_0³ for two data rows, the others zero; raises :class:`Refuted` if it is."""
    _, (a,) = claims.generic((2,))
    first, second = top_parts(2, mask, list(a))
    factors = [str(factor) for factor, _ in second.factor()[1]]
    if factors == [str(first)]:
        raise Refuted(f"under the {mask} mask Q_1 is a power of Q_0: the lower bound is attained", {"Q_1": str(second)})
    return factors


@theorem(
    id="linear-attention-causal-gap",
    title="Under a causal mask the depth ⌈log3(2k+1)⌉ is not attained at k = 4, 13, 40, …",
    statement=r"k = \tfrac{3^L - 1}{2},\ L \ge 2,\ N \ge 2 \;\Rightarrow\; \text{at least } L+1 \text{ causal layers}",
    hypotheses=("linear attention with a causal or strict mask, any width, heads, biases and positions", "η ≠ 0"),
    source="new",
    covers="every L ≥ 2, N ≥ 2 and D ≥ 1; the causal form has L + 1 layers, so it is optimal at these k. Open: "
    "3^(L−1) < k < (3^L − 1)/2, first at k = 10",
    controls={
        "no mask, where the bound is attained": lambda: require_gap("full"),
    },
)
def causal_gap(size: Size) -> Evidence:
    """All other coordinates, b, and all data rows but two are zero, and x is at the last row.

    By induction the degree-3^l part of every channel is a constant times w_l(n) at data rows, and its part that is linear
    in x a constant times x Q_0 ⋯ Q_{l−1} at the last row: three factors of top degree, biases and positions drop out. For
    x_k with 2k+1 = 3^L this has to be (−η/N)^k x Q_0^k. Q_0 = a_1² + a_2² is irreducible, so Q_1 would be a power of
    it; it has another factor. (Without a mask Q_1 = Q_0³, and the bound is attained.)
    """
    for seed, mask in enumerate(MASKS, start=1):  # seeds whose top part is not zero
        for n_layers in (1, 2):
            require_top_part(n_layers, mask, seed)
    _, (a,) = claims.generic((2,))
    first = top_parts(1, "causal", list(a))[0]
    if [str(f) for f, _ in first.factor()[1]] != [str(first)]:
        raise Refuted("Q_0 is reducible over Q")
    factors = {mask: require_gap(mask) for mask in ("causal", "strict")}
    for depth in range(2, 8):
        k = (3**depth - 1) // 2
        if (ternary_depth(k), causal_depth(k)) != (depth, depth + 1):
            raise Refuted(f"the depths at k = {k} are not {depth} and {depth + 1}")
    return Evidence(
        scope="every L ≥ 2, N ≥ 2, D ≥ 1",
        ring="Q[a_1, a_2, x] (fmpq_mpoly)",
        engine="python-flint",
        detail={"factors of Q_1 (a_1, a_2 = z0, z1)": factors},
    )
