"""k steps of gradient descent in ⌈log3(2k+1)⌉ layers of linear attention, the least possible."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import replace
from fractions import Fraction
from typing import Any

import numpy as np
import sympy as sp

from constructions.algebra.rings import ElementRing
from constructions.transformers import linear_attention
from constructions.transformers.blocks import forms_of
from constructions.transformers.exact import ExactTransformer
from constructions.transformers.linear_attention import ternary_depth, ternary_schedule
from precls_theory.checking import transformers as claims
from precls_theory.proofs.variants import wrong_transformer
from precls_theory.registry import Evidence, Refuted, Size, theorem
from precls_theory.theorems.transformers.linear_attention import SMALL, STEP_SIZE, build


def recurrence_identities() -> dict[str, sp.Expr]:
    """The identities behind the ternary form, each an expression in P and w = P^d that must vanish (all d at once)."""
    p, w = sp.symbols("P w")

    def s(power: sp.Expr) -> sp.Expr:
        """S_m = (1 − P^m)/(1 − P) from P^m."""
        return (1 - power) / (1 - p)

    s_d, s_d1, s_2d1 = s(w), s(w * p), s(w**2 * p)
    return {
        "S_d = S_{d+1} − P^d": s_d - (s_d1 - w),
        "S_{2d} = (1 + P^d) S_d": s(w**2) - (1 + w) * s_d,
        "S_{2d+1} = S_d + P^d S_{d+1}": s_2d1 - (s_d + w * s_d1),
        "P^{3d+1} = P^d − (1−P) S_{2d+1} P^d": w**3 * p - (w - (1 - p) * s_2d1 * w),
        "S_{3d+2} = 3 S_{d+1} − P^d − (1−P)(S_{2d+1} + S_d) S_{d+1}": s(w**3 * p**2)
        - (3 * s_d1 - w - (1 - p) * (s_2d1 + s_d) * s_d1),
        "x_m: P^m = 1 − (1−P) S_m": w - (1 - (1 - p) * s(w)),
    }


def block_at(layer: int, advance: int) -> ExactTransformer:
    """Layer ``layer`` of a ternary network for N = D = 1 that takes ``advance`` steps there, on all channels.

    It is taken from a network whose next layer reads every channel that matters, so that none is left out.
    """
    full = 3 ** (layer + 1)
    for k in range(1, 2 * full):
        schedule = ternary_schedule(k)
        if len(schedule) == layer + 2 and schedule[layer] == advance and schedule[layer + 1] in (full - 1, full):
            net = build(1, 1, k, "ternary")
            return replace(net, inputs=net.channels, reads=tuple(range(net.width)), blocks=(net.blocks[layer],))
    raise ValueError(f"no schedule takes {advance} steps in layer {layer}")


def require_layer(layer: int, advance: int, block: ExactTransformer) -> None:
    """The induction step, for a generic value of P^d: the layer maps its invariant to the next one, for N = D = 1.

    Invariant: power = (P^d − 1)(a, b), sum = 3^{-l}(S_{d+1} − P^d/2)(a, b) − (a, b)/2. With w = P^d (in place of d) the
    next ones have P^{3d+1} = w³P; x becomes P^m x + s S_m a b, and no key or value reads x. Raises :class:`Refuted`.
    """
    for head in block.blocks[0].heads:
        read = {block.channels[c] for m in (head.key, head.value) if m for c in m.columns if c < block.width}
        if "x[0]" in read:
            raise Refuted(f"layer {layer} has a key or value that reads x")
    a, b, x, w = sp.symbols("a b x w")
    step = sp.Rational(STEP_SIZE.numerator, STEP_SIZE.denominator)
    p = 1 - step * a**2
    d = (3**layer - 1) // 2
    w = w if layer else sp.Integer(1)
    # P^m for the m steps of this layer; steps from P^d alone, so that they hold for every d.
    power_m = {0: sp.Integer(1), d: w, 2 * d: w**2, 2 * d + 1: w**2 * p}[advance]

    def state(power: sp.Expr, scale: int, iterate: sp.Expr) -> tuple[list[sp.Expr], list[sp.Expr]]:
        sums = ((1 - power * p) / (1 - p) - power / 2) / scale - sp.Rational(1, 2)
        return [a, b, 0, (power - 1) * a, (power - 1) * b, sums * a, sums * b], [0, 0, iterate, 0, 0, 0, 0]

    data, query = state(w, 3**layer, x)
    rows = np.array([data, query], dtype=object)
    got = block.evaluate(np.frompyfunc(sp.sympify, 1, 1)(rows), FORMULAS)
    after, moved = state(w**3 * p, 3 ** (layer + 1), power_m * x + (1 - power_m) / (1 - p) * step * a * b)
    names = block.channels
    for name in ("power[0]", "power[1]", "sum[0]"):
        index = names.index(name)
        if sp.cancel(got[0, index] - after[index]) != 0:
            raise Refuted(f"layer {layer} with {advance} steps does not keep the invariant of {name}")
    for index, name in enumerate(names):
        if sp.cancel(got[1, index] - moved[index]) != 0:
            raise Refuted(f"layer {layer} does not take {advance} steps: {name} of the query row differs")


FORMULAS = ElementRing(
    "SymPy rational functions", lambda value: sp.Rational(value.numerator, value.denominator), (sp.Basic,)
)
"""SymPy without expansion: the layer's formulas as they stand, compared by cancelling."""


Score = Counter[tuple[frozenset[tuple[str, Fraction]], frozenset[tuple[str, Fraction]]]]


def coordinate_weights(net: ExactTransformer, coordinate: int, n_dims: int) -> list[list[tuple[Any, Any]]]:
    """The weights seen by one coordinate of the vectors a, x, power, sum, channels renamed to those of D = 1.

    Every query, key and value form may touch one coordinate only (or b's scalars and the constant); refuted otherwise.
    """

    def rename(column: str) -> tuple[int | None, str]:
        name = net.channels[int(column)]
        if "[" not in name:
            return None, name
        family, index = name.rstrip("]").split("[")
        # In power and sum the last index is the scalar channel of b.
        return (None, f"{family}[b]") if int(index) == n_dims else (int(index), family)

    def seen(form: Any) -> tuple[int | None, frozenset[tuple[str, Fraction]]]:
        named = [(rename(column), weight) for column, weight in form.weights.items()]
        touched = {where for (where, _), _ in named}
        if len(touched) > 1:
            raise Refuted(f"a form mixes coordinates {touched}: {form}")
        constant = [("1", form.constant)] if form.constant else []
        return next(iter(touched), None), frozenset([(name, weight) for (_, name), weight in named] + constant)

    layers = []
    for block in net.blocks:
        heads = []
        for head in block.heads:
            if head.query is None or head.key is None:
                raise Refuted("a head is not linear attention")
            pairs = [(seen(q), seen(k)) for q, k in zip(forms_of(head.query), forms_of(head.key), strict=True)]
            if any(None not in (q[0], k[0]) and q[0] != k[0] for q, k in pairs):
                raise Refuted("a score multiplies two different coordinates")
            score = Counter((q[1], k[1]) for q, k in pairs if {q[0], k[0]} <= {coordinate, None})
            values = {}
            for target, form in zip(head.targets, forms_of(head.value), strict=True):
                (at, name), (source, value) = rename(str(target)), seen(form)
                if at != source:
                    raise Refuted(f"channel {net.channels[target]} receives another coordinate")
                if at in (coordinate, None):
                    values[name] = value
            heads.append((score, values))
        layers.append(heads)
    return layers


def require_coordinatewise(net: ExactTransformer, small: ExactTransformer, n_dims: int) -> None:
    """All coordinates of ``net`` carry the weights of ``small`` (D = 1), so both act by the same polynomials in AAᵀ."""
    reference = coordinate_weights(small, 0, 1)
    for coordinate in range(n_dims):
        if coordinate_weights(net, coordinate, n_dims) != reference:
            raise Refuted(f"coordinate {coordinate} has weights other than those of the construction for D = 1")


@theorem(
    id="linear-attention-ternary",
    title="k steps in ⌈log3(2k+1)⌉ layers of linear attention, the least possible",
    statement=r"L = \lceil \log_3(2k+1) \rceil \text{ layers, width } 4D+3, \text{ at most 4 heads}",
    hypotheses=("x in channels of its own", "no causal mask: data rows see each other", "k ≥ 1"),
    source="new",
    covers="every k, N and D: by induction on the layer, for generic P^d; each kind of layer at four l, enough since its "
    "identity is a Laurent polynomial in 3^l of degrees -1 to 2; weights act coordinate by coordinate like those of D = 1. "
    "Whole networks besides",
    controls={
        "a weight of a layer off by 1/3": lambda: require_layer(1, 1, wrong_transformer(block_at(1, 1))),
        "the schedule of another layer": lambda: require_layer(1, 2, block_at(1, 1)),
        "one coordinate off by 1/3": lambda: require_coordinatewise(
            wrong_transformer(build(2, 2, 4, "ternary")), build(1, 1, 4, "ternary"), 2
        ),
    },
)
def ternary(size: Size) -> Evidence:
    """Recurrences for all d; each kind of layer keeps the invariant; weights at D are those of D = 1, coordinatewise.

    In a layer 3^l enters its keys and values as 3^l · sum, to the first power each, and the rate 3^{-l-1}.
    """
    for name, expression in recurrence_identities().items():
        if sp.cancel(expression) != 0:
            raise Refuted(f"false: {name}", {"remainder": str(sp.cancel(expression))})
    for layer in range(5):
        d = (3**layer - 1) // 2
        for advance in (0, d, 2 * d, 2 * d + 1) if layer else (1,):
            require_layer(layer, advance, block_at(layer, advance))
    for k in range(1, 15):
        small = build(1, 1, k, "ternary")
        if small.depth != ternary_depth(k) or sum(ternary_schedule(k)) != k:
            raise Refuted(f"k = {k} takes {small.depth} layers with the schedule {ternary_schedule(k)}")
        claims.verify_descent_polynomials(small, 1, 1, k, STEP_SIZE, f"the ternary form, k = {k}")
    ring = claims.verify_descent_polynomials(build(*SMALL, 4, "ternary"), *SMALL, 4, STEP_SIZE)
    chances, depths = [], {}
    for k in (4, 13, 40, 100, 364, 1000):
        # The D = 1 network with this N's step size s = η/N: η scaled so that η/N agrees.
        small = linear_attention.gradient_descent(
            n_points=1, n_dims=1, n_steps=k, step_size=STEP_SIZE / size.n_points, form="ternary"
        )
        net = build(size.n_points, size.n_dims, k, "ternary")
        require_coordinatewise(net, small, size.n_dims)
        chance = claims.verify_descent_residues(net, size.n_points, size.n_dims, k, STEP_SIZE)
        chances.append(chance)
        depths[str(k)] = net.depth
    return Evidence(
        scope=f"every k, N, D; whole networks at N={size.n_points}, D={size.n_dims} for k up to 1000",
        ring=f"Q(P, w); {ring}; F_p, random p",
        engine="SymPy, python-flint",
        failure_probability_log2=math.log2(sum(2.0**chance for chance in chances)),
        detail={"depth by k": depths, "width": 4 * size.n_dims + 3, "BaseConv depth ⌊log2 k⌋ + 2 at k = 1000": 11},
    )
