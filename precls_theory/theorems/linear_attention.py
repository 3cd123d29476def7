"""Gradient descent in linear attention: one step, k steps in ⌈log3(2k+1)⌉ layers, and why not fewer (theory §8)."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import replace
from fractions import Fraction
from typing import Any

import flint
import numpy as np
import sympy as sp

from constructions import linear_attention
from constructions.exact_transformer import MASKS, DescentTask, ExactTransformer, Mask, TransformerBuilder, forms_of
from constructions.linear_attention import causal_depth, ternary_depth, ternary_schedule, unchecked_steps
from constructions.models import Transformer
from constructions.rings import ElementRing, univariate
from constructions.terms import Form
from precls_theory.expressivity import claims
from precls_theory.expressivity.growth import growth_certificate
from precls_theory.expressivity.tracing import Inconclusive
from precls_theory.registry import Evidence, Refuted, Size, theorem

STEP_SIZE = Fraction(1, 3)
SMALL = (2, 2)


def build(n_points: int, n_dims: int, n_steps: int, form: Any) -> ExactTransformer:
    """A construction at the step size of these checks."""
    return linear_attention.gradient_descent(
        n_points=n_points, n_dims=n_dims, n_steps=n_steps, step_size=STEP_SIZE, form=form
    )


@theorem(
    id="linear-attention-step",
    title="One layer of linear attention is one step of gradient descent",
    statement=r"x - \tfrac{\eta}{N} \sum_{j} \big((x, -1)\cdot(a_j, b_j)\big)\, a_j = x - \tfrac{\eta}{N}(Gx - c)",
    hypotheses=("x in channels of its own, or in those of a under a strict mask", "with the residual connection"),
    source="von Oswald et al. 2023 for the correspondence; the layout conditions are new",
    covers="symbolic entries at small sizes for every mask; at the given size modulo a prime; k layers are k steps",
)
def one_step(size: Size) -> Evidence:
    """Polynomial identities in all entries, then the given size at random residues."""
    n, d = SMALL
    for mask in ("causal", "full", "strict"):
        for k in (1, 2):
            net = linear_attention.gradient_descent(
                n_points=n, n_dims=d, n_steps=k, step_size=STEP_SIZE, mask=mask
            )  # fmt: skip
            ring = claims.verify_descent_polynomials(net, n, d, k, STEP_SIZE, f"{k} layers, {mask} mask")
    shared = linear_attention.gradient_descent(n_points=n, n_dims=d, step_size=STEP_SIZE, layout="E")
    claims.verify_descent_polynomials(shared, n, d, 1, STEP_SIZE, "layout E, strict mask")
    k = 4
    large = build(size.n_points, size.n_dims, k, "step")
    log2 = claims.verify_descent_residues(large, size.n_points, size.n_dims, k, STEP_SIZE)
    return Evidence(
        scope=f"N={n}, D={d} symbolically; N={size.n_points}, D={size.n_dims}, k={k} by residues",
        ring=ring,
        engine="python-flint",
        failure_probability_log2=log2,
        detail={"width": large.width, "heads": large.n_heads, "nonzero weights a layer": large.n_nonzero // k},
    )


def self_attention_error(n_points: int, n_dims: int) -> list[Any]:
    """Layout E under an inclusive mask: output minus one step plus (η/N) x|x|², as polynomials (zero if true)."""
    ring, (A, b, x) = claims.generic((n_points, n_dims), (n_points,), (n_dims,))
    step = STEP_SIZE / n_points
    net = unchecked_steps(n_points, n_dims, 1, step, "causal", "E")
    got = net.decode(net.evaluate(net.encode(A, b, x), ring))
    right = claims.descent(A, b, x, 1, STEP_SIZE, ring)
    return list(got - right + ring.elements([step]) * x * np.add.reduce(x * x, keepdims=True))


@theorem(
    id="linear-attention-layout-e",
    title="In layout E linear attention needs a strict mask, and does one step only",
    statement=r"x \leftarrow x - \tfrac{\eta}{N}(Gx - c) - \tfrac{\eta}{N}\, x\,|x|^2 \text{ under the inclusive mask}",
    hypotheses=("x in the channels of a, in the last row",),
    source="new",
    covers="the extra term as a polynomial identity; the second application refuted by an explicit counterexample",
)
def layout_e(size: Size) -> Evidence:
    """The silent bug is exactly x|x|²; under the strict mask the second layer reads overwritten data rows."""
    n, d = SMALL
    if any(error != 0 for error in self_attention_error(n, d)):
        raise Refuted("the inclusive mask adds something other than x|x|²")
    inclusive = unchecked_steps(n, d, 1, STEP_SIZE / n, "causal", "E")
    twice = unchecked_steps(n, d, 2, STEP_SIZE / n, "strict", "E")
    found = {}
    for name, net, k in (("inclusive mask, one layer", inclusive, 1), ("strict mask, two layers", twice, 2)):
        try:
            claims.verify_descent_rational(net, n, d, k, STEP_SIZE)
        except Refuted as refutation:
            found[name] = refutation.counterexample
        else:
            raise Refuted(f"{name} equals gradient descent at a random point, against the statement")
    return Evidence(
        scope=f"N={n}, D={d}",
        ring="Q[A, b, x] (fmpq_mpoly); Q",
        engine="python-flint",
        detail={"counterexamples": found},
    )


def ray_degree(values: np.ndarray) -> int:
    """Largest degree of univariate polynomials."""
    return max(int(value.degree()) for value in values.flat)


def along_a_ray(n_points: int, n_dims: int, seed: int = 0) -> list[np.ndarray]:
    """A, b and x_init with every entry an integer multiple of t plus an integer, as ``fmpq_poly``."""
    rng = np.random.default_rng(seed)
    line = np.frompyfunc(lambda p, q: flint.fmpq_poly([int(p), int(q)]), 2, 1)
    shapes = ((n_points, n_dims), (n_points,), (n_dims,))
    return [line(rng.integers(-3, 4, shape), rng.integers(1, 4, shape)) for shape in shapes]


def require_cubic(net: ExactTransformer) -> None:
    """Each layer multiplies the degree by at most three, seen on its parts: affine query, key and value, no MLP."""
    for block in net.blocks:
        if block.mlp is not None or any(head.query is None or head.key is None for head in block.heads):
            raise Refuted("a block has something other than linear attention heads")


@theorem(
    id="linear-attention-lower-bound",
    title="k steps need ⌈log3(2k+1)⌉ layers of linear attention",
    statement=r"\deg(\text{L layers}) \le 3^L, \quad \deg x_k = 2k+1 \;\Rightarrow\; L \ge \lceil \log_3(2k+1) \rceil",
    hypotheses=("linear attention with any mask, width, heads and positions, and residual connections", "η ≠ 0"),
    source="new",
    covers="every k: the leading coefficient is symbolic in k; degrees along a ray for k up to 13 at the given size",
)
def lower_bound(size: Size) -> Evidence:
    """(q·k)v of affine maps of degree-d polynomials has degree at most 3d; x_k has total degree 2k+1 exactly.

    At b = 0 and all rows but one zero, a_1 = t e_1, x = t e_1: x_k = (1 − (η/N) t²)^k t, of degree 2k+1 in t. From
    x_init = 0 the degree is 2k, and 2k ≤ 3^L is the same as 2k+1 ≤ 3^L, since 3^L is odd.
    """
    t, step, k = sp.Symbol("t"), sp.Symbol("s", nonzero=True), sp.Symbol("k", positive=True, integer=True)
    leading = sp.limit((1 / t**2 - step) ** k, t, sp.oo)
    if sp.simplify(leading - (-step) ** k) != 0:
        raise Refuted("the leading coefficient of x_k along the ray is not (−η/N)^k", {"found": str(leading)})
    # The induction itself: a layer adds products of three affine images of polynomials of degree at most d.
    degree = sp.Symbol("d", positive=True, integer=True)
    if sp.Max(degree, sp.Add(degree, degree, degree)) != 3 * degree:
        raise Refuted("a layer of linear attention does more than triple the degree")
    ring = univariate()
    A, b, x = along_a_ray(size.n_points, size.n_dims)
    for steps in (1, 2, 4, 13):
        found = ray_degree(claims.descent(A, b, x, steps, STEP_SIZE, ring))
        net = build(size.n_points, size.n_dims, steps, "ternary")
        require_cubic(net)
        got = ray_degree(np.asarray(net.decode(net.evaluate(net.encode(A, b, x), ring))))
        if not found == got == 2 * steps + 1 <= 3**net.depth:
            raise Refuted(f"x_{steps} has degree {found}, the network {got}, in {net.depth} layers")
        if ternary_depth(steps) > 0 and 3 ** (ternary_depth(steps) - 1) >= 2 * steps + 1:
            raise Refuted(f"⌈log3(2k+1)⌉ is wrong at k = {steps}")
    return Evidence(
        scope=f"every k; degrees at N={size.n_points}, D={size.n_dims}, k = 1, 2, 4, 13",
        ring="Q[t] (fmpq_poly), SymPy",
        engine="python-flint, SymPy",
        detail={"k = (3^L − 1)/2 attains degree 3^L": {str(L): (3**L - 1) // 2 for L in range(1, 8)}},
    )


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
            return replace(net, n_inputs=net.width, outputs=tuple(range(net.width)), blocks=(net.blocks[layer],))
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


@theorem(
    id="linear-attention-causal",
    title="k steps in ⌈log3 k⌉ + 1 layers of causal linear attention",
    statement=r"\lceil \log_3(2k+1) \rceil \le \lceil \log_3 k \rceil + 1 \le \lceil \log_3(2k+1) \rceil + 1",
    hypotheses=("x in channels of its own", "causal mask", "an indicator of the last row among the positions"),
    source="new",
    covers="k up to 9 symbolically at N=D=1, k up to 3 at N=D=2; k up to 243 at the given size modulo a prime",
)
def causal(size: Size) -> Evidence:
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
        claims.verify_descent_polynomials(build(1, 1, k, "causal"), 1, 1, k, STEP_SIZE, f"the causal form, k = {k}")
    for k in (1, 2, 3):
        ring = claims.verify_descent_polynomials(build(*SMALL, k, "causal"), *SMALL, k, STEP_SIZE)
    chances, depths = [], {}
    for k in (5, 9, 81, 243):
        net = build(size.n_points, size.n_dims, k, "causal")
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
    return builder.build(n_rows, mask, ["x[0]"], DescentTask(n_rows - 1, 1, "separate"), positions)


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


@theorem(
    id="linear-attention-multiply",
    title="Two layers of linear attention with one-hot positions are Multiply (and Square)",
    statement=r"u_n[r] \leftarrow u_n[p]\, u_n[q] \text{ at every row } n",
    hypotheses=("positional one-hot channels", "causal or full mask"),
    source="new",
    covers="symbolic entries at 3 rows and 4 channels, both masks, and Square",
)
def multiply(size: Size) -> Evidence:
    """Scores (p_n e_n)·e_j = p_n [n = j]."""
    for mask in ("causal", "full"):
        for left, right, target in ((0, 1, 2), (1, 1, 0), (0, 1, 0)):
            net = linear_attention.multiply(n_rows=3, n_channels=4, left=left, right=right, target=target, mask=mask)
            ring = claims.verify_multiply(net, 4, left, right, target, name=f"Multiply, {mask} mask")
    return Evidence(scope="3 rows, 4 channels", ring=ring, engine="python-flint", detail={"depth": net.depth})


def block_growth(normed: bool) -> sp.Poly:
    """Growth of ``x + Σ_j (q·k_j) v_j`` in t = ‖u‖, from ‖x‖ ≤ c0 + c1 t and generic nonnegative constants.

    ``q, k, v`` are affine in x, or in norm(x), whose rows have norm at most R.
    """
    t = sp.Symbol("t", nonnegative=True)
    c0, c1, radius, rows = sp.symbols("c0 c1 R n", positive=True)
    x = c0 + c1 * t
    seen = radius if normed else x
    q, k, v = (sp.Symbol(f"{name}0", positive=True) + sp.Symbol(f"{name}1", positive=True) * seen for name in "qkv")
    return sp.Poly(sp.expand(x + rows * q * k * v), t)


@theorem(
    id="linear-attention-norm",
    title="With a norm before each layer of linear attention, impossible again at every depth",
    statement=r"\|F(u)\| \le C_0 + C_1\|u\|, \text{ while the targets grow as } t^2, t^2, t^3",
    hypotheses=("linear attention with any mask and heads, each layer after LayerNorm or RMSNorm with eps > 0",),
    source="new",
    covers="every depth by induction on the layer, generic constants; certificates of random models; the same check "
    "fails without the norm, as it must",
)
def norm_before_linear_attention(size: Size) -> Evidence:
    """Rows of norm(x) lie in a ball whatever x is, so a layer adds a bounded term: linear growth stays linear."""
    if block_growth(normed=True).degree() != 1:
        raise Refuted("a layer of normed linear attention grows faster than linearly")
    if block_growth(normed=False).degree() != 3:
        raise Refuted("without the norm a layer should have degree 3")
    bounds = {}
    for norm in ("layer", "rms"):
        for mask in ("causal", "full"):
            model = Transformer(3, 3, 8, 3, n_heads=2, attention="linear", mlp="none", mask=mask, norm=norm)
            certificate = growth_certificate(model.double().eval(), (1, 4, 3), exponent=1)
            bounds[f"{norm}, {mask}"] = [certificate.C0, certificate.C1]
    try:
        growth_certificate(Transformer(3, 3, 8, 1, attention="linear", mlp="none").eval(), (1, 4, 3), exponent=1)
    except Inconclusive:
        return Evidence(
            scope="every depth, width, number of heads and rows",
            ring="polynomials in t over generic nonnegative constants",
            engine="SymPy, growth certificates (outward rounding)",
            detail={"C0, C1 of random models of depth 3": bounds},
        )
    raise Refuted("linear attention without a norm got a certificate of linear growth")
