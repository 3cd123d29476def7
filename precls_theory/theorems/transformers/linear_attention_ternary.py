"""k steps of gradient descent in ⌈log3(2k+1)⌉ layers of linear attention, the least possible."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import replace
from fractions import Fraction
from functools import partial

import numpy as np
import sympy as sp

from constructions.algebra.terms import Form
from constructions.transformers import linear_attention
from constructions.transformers.blocks import forms_of
from constructions.transformers.exact import ExactTransformer
from constructions.transformers.linear_attention import ternary_depth, ternary_schedule
from precls_theory.checking import transformers as claims
from precls_theory.checking.every_value import prove_every_step
from precls_theory.proofs.parameters import Quotient, Symbols
from precls_theory.proofs.symbolic import array_of, require_equal
from precls_theory.proofs.variants import deaf_to_step, wrong_transformer
from precls_theory.registry import Evidence, Refuted, Size, theorem
from precls_theory.theorems.transformers.linear_attention import SMALL, STEP_SIZE, Construct, build


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


LAYERS = 13
"""Layers each of whose kinds is proved."""


def block_at(layer: int, advance: int, construct: Construct = linear_attention.gradient_descent) -> ExactTransformer:
    """Layer ``layer`` of a ternary network for N = D = 1 that takes ``advance`` steps there, on all channels.

    It is taken from a network whose next layer reads every channel that matters, so that none is left out.
    """
    full, reach = 3 ** (layer + 1), (3**layer - 1) // 2
    for top in (full - 1, full):
        for below in (0, 1, reach):
            k = top + advance + below
            schedule = ternary_schedule(k)
            if len(schedule) == layer + 2 and schedule[layer] == advance and schedule[layer + 1] == top:
                net = construct(n_points=1, n_dims=1, n_steps=k, step_size=STEP_SIZE, form="ternary")
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
    v = Symbols(unused=1).variables(a=(1,), b=(1,), x=(1,), w=(1,))
    (a,), (b,), (x,), (w,) = v["a"], v["b"], v["x"], v["w"]
    one, zero, step = v.constant(1)[0], v.zeros(1)[0], v.constant(STEP_SIZE)[0]
    p = one - step * a * a
    d = (3**layer - 1) // 2
    w = w if layer else one
    # P^m for the m steps of this layer; steps from P^d alone, so that they hold for every d.
    power_m = {0: one, d: w, 2 * d: w * w, 2 * d + 1: w * w * p}[advance]

    def state(power: Quotient, scale: int, iterate: Quotient) -> tuple[list[Quotient], list[Quotient]]:
        half = v.constant(Fraction(1, 2))[0]
        sums = ((one - power * p) / (one - p) - power * half) * v.constant(Fraction(1, scale))[0] - half
        data = [a, b, zero, (power - one) * a, (power - one) * b, sums * a, sums * b]
        return data, [zero, zero, iterate, zero, zero, zero, zero]

    got = block.evaluate(as_rows(state(w, 3**layer, x)), v.ring)
    after, moved = state(w * w * w * p, 3 ** (layer + 1), power_m * x + (one - power_m) / (one - p) * step * a * b)
    for name in ("power[0]", "power[1]", "sum[0]"):
        index = block.channels.index(name)
        what = f"layer {layer} with {advance} steps: the invariant of {name}"
        require_equal(got[0, index : index + 1], array_of([after[index]], (1,)), what, v.ring)
    require_equal(got[1], array_of(moved, (len(moved),)), f"layer {layer} takes {advance} steps: the query row", v.ring)


def as_rows(rows: tuple[list[Quotient], list[Quotient]]) -> np.ndarray:
    """Two rows of ring elements as an array."""
    return array_of([entry for row in rows for entry in row], (2, len(rows[0])))


Seen = frozenset[tuple[str, Fraction]]
Score = Counter[tuple[Seen, Seen]]


def coordinate_weights(
    net: ExactTransformer, coordinate: int, n_dims: int
) -> list[list[tuple[Score, dict[str, Seen]]]]:
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

    def seen(form: Form) -> tuple[int | None, frozenset[tuple[str, Fraction]]]:
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
    covers="every k, N and D: by induction on the layer, for generic P^d; each kind of layer for l <= 12, more than enough for "
    "an identity that is a Laurent polynomial in 3^l of degrees -1 to 2, which is argued; every η by a symbol through the "
    "builder; weights act coordinate by coordinate like those of D = 1. Whole networks besides",
    controls={
        "a step size of 1/4 whatever is asked for": {
            "construct": deaf_to_step(linear_attention.gradient_descent, Fraction(1, 4))
        },
        "a weight off by 1/3, by residues alone": lambda: claims.verify_descent_residues(
            wrong_transformer(build(2, 2, 4, "ternary")), 2, 2, 4, STEP_SIZE
        ),
        "a weight of a layer off by 1/3": lambda: require_layer(1, 1, wrong_transformer(block_at(1, 1))),
        "the schedule of another layer": lambda: require_layer(1, 2, block_at(1, 1)),
        "one coordinate off by 1/3": lambda: require_coordinatewise(
            wrong_transformer(build(2, 2, 4, "ternary")), build(1, 1, 4, "ternary"), 2
        ),
    },
)
def ternary(size: Size, construct: Construct = linear_attention.gradient_descent) -> Evidence:
    """Recurrences for all d; each kind of layer keeps the invariant; weights at D are those of D = 1, coordinatewise.

    In a layer 3^l enters its keys and values as 3^l · sum, to the first power each, and the rate 3^{-l-1}.
    """
    for name, expression in recurrence_identities().items():
        if sp.cancel(expression) != 0:
            raise Refuted(f"false: {name}", {"remainder": str(sp.cancel(expression))})
    for layer in range(LAYERS):
        d = (3**layer - 1) // 2
        for advance in (0, d, 2 * d, 2 * d + 1) if layer else (1,):
            require_layer(layer, advance, block_at(layer, advance, construct))
    prove_every_step(partial(construct, form="ternary"), 2, 1, 4)
    for k in range(1, 15):
        small = build(1, 1, k, "ternary", construct)
        if small.depth != ternary_depth(k) or sum(ternary_schedule(k)) != k:
            raise Refuted(f"k = {k} takes {small.depth} layers with the schedule {ternary_schedule(k)}")
        claims.verify_descent_polynomials(small, 1, 1, k, STEP_SIZE, f"the ternary form, k = {k}")
    ring = claims.verify_descent_polynomials(build(*SMALL, 4, "ternary", construct), *SMALL, 4, STEP_SIZE)
    chances, depths = [], {}
    for k in (4, 40, 1000):
        # The D = 1 network with this N's step size s = η/N: η scaled so that η/N agrees.
        small = construct(n_points=1, n_dims=1, n_steps=k, step_size=STEP_SIZE / size.n_points, form="ternary")
        net = build(size.n_points, size.n_dims, k, "ternary", construct)
        require_coordinatewise(net, small, size.n_dims)
        chance = claims.verify_descent_residues(net, size.n_points, size.n_dims, k, STEP_SIZE, failure_log2=-62.0)
        chances.append(chance)
        depths[str(k)] = net.depth
    return Evidence(
        scope=f"Executed: the recurrences, P and P^d symbols; each kind of layer for l < {LAYERS}, built at N=D=1, on a state of "
        "symbols; whole networks, A, b, x_init symbols, at N=D=1 for k = 1..14, at N=D=2 for k = 4, at N=2, D=1, k = 4 with η a "
        f"symbol through the builder; at N={size.n_points}, D={size.n_dims} for k = 4, 40, 1000 by residues, "
        "with the weights of D = "
        "1 in each coordinate. Argued: layers from l = 13 on, whose weights are the same formula in 3^l; other N and D, "
        "for the heads act by polynomials in AAᵀ",
        ring=f"Q(P, w); {ring}; F_p, random p",
        engine="SymPy, python-flint",
        failure_probability_log2=math.log2(sum(2.0**chance for chance in chances)),
        detail={"depth by k": depths, "width": 4 * size.n_dims + 3, "BaseConv depth ⌊log2 k⌋ + 2 at k = 1000": 11},
    )
