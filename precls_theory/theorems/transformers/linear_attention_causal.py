"""Linear attention under a causal mask: ⌈log3 k⌉ + 1 layers for k steps, and where one layer fewer is impossible."""

from __future__ import annotations

import math
from dataclasses import replace
from fractions import Fraction
from functools import partial

import flint
import numpy as np
import sympy as sp

from constructions.algebra.terms import Form, channel_name
from constructions.algebra.types import RingElement
from constructions.networks.layer import MASKS, Mask
from constructions.networks.tasks import Regression
from constructions.transformers import linear_attention
from constructions.transformers.builder import TransformerBuilder
from constructions.transformers.exact import ExactTransformer
from constructions.transformers.linear_attention import causal_depth, ternary_depth
from precls_theory.checking import transformers as claims
from precls_theory.checking.every_value import prove_every_step
from precls_theory.proofs.symbolic import array_of, flint_variables, require_equal
from precls_theory.proofs.variants import deaf_to_step, wrong_part, wrong_transformer
from precls_theory.registry import Evidence, Refuted, Size, listed, theorem
from precls_theory.theorems.transformers.linear_attention import SMALL, STEP_SIZE, Construct, build

MANY_STEPS = (*range(1, 11), 27, 81, 82, 243, 244, 1000, 3**12)
"""Numbers of steps all of whose blocks are proved."""


def at_most_243(n_steps: int, **parameters: object) -> ExactTransformer:
    """The construction that never takes more than 243 steps, for the controls."""
    construct: Construct = linear_attention.gradient_descent
    return construct(n_steps=min(243, n_steps), **parameters)


@theorem(
    id="linear-attention-causal",
    title="k steps in ⌈log3 k⌉ + 1 layers of causal linear attention",
    statement=r"\lceil \log_3(2k+1) \rceil \le \lceil \log_3 k \rceil + 1 \le \lceil \log_3(2k+1) \rceil + 1",
    hypotheses=("x in channels of its own", "causal mask", "an indicator of the last row among the positions"),
    source="new",
    covers="every k by induction on the block, on a generic state; every η by a symbol through the builder; whole networks "
    "symbolically for small k, at the given size modulo a prime",
    controls={
        "a weight off by 1/3": {"construct": wrong_part(linear_attention.gradient_descent)},
        "a step size of 1/3 whatever is asked for": {
            "construct": deaf_to_step(linear_attention.gradient_descent, STEP_SIZE)
        },
        "243 steps where 244 are asked for": {"construct": at_most_243},
        "a weight off by 1/3, by residues alone": lambda: claims.verify_descent_residues(
            wrong_transformer(build(2, 2, 5, "causal")), 2, 2, 5, STEP_SIZE
        ),
        "a block off by 1/3": lambda: prove_blocks(wrong_transformer(build(1, 2, 9, "causal")), 9, STEP_SIZE),
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
    for k in MANY_STEPS:
        prove_blocks(build(1, 2, k, "causal", construct), k, STEP_SIZE)
    prove_every_step(partial(construct, form="causal"), 2, 1, 5)
    for k in range(1, 10):
        claims.verify_descent_polynomials(
            build(1, 1, k, "causal", construct), 1, 1, k, STEP_SIZE, f"the causal form, k = {k}"
        )
    for k in (1, 2, 3):
        ring = claims.verify_descent_polynomials(build(*SMALL, k, "causal", construct), *SMALL, k, STEP_SIZE)
    chances, depths = [], {}
    for k in (5, 81):
        net = build(size.n_points, size.n_dims, k, "causal", construct)
        chance = claims.verify_descent_residues(net, size.n_points, size.n_dims, k, STEP_SIZE, failure_log2=-62.0)
        chances.append(chance)
        depths[str(k)] = net.depth
    return Evidence(
        scope=f"Executed: every block of the networks for k = {listed(MANY_STEPS)} at N=1, D=2, on a state P, "
        "t, x of symbols; whole "
        f"networks, A, b, x_init symbols, at N=D=1 for k = 1..9, at N={SMALL[0]}, D={SMALL[1]} for k = 1, 2, 3, at N=2, D=1, "
        f"k = 5 with η a symbol through the builder; N={size.n_points}, D={size.n_dims}, k = 5, 81 by residues; depths for k < "
        "10^4. Argued: other k, for the builder makes each block of its ternary digit alone; other N and D",
        ring=f"{ring}; F_p, random p",
        engine="SymPy, python-flint",
        failure_probability_log2=math.log2(sum(2.0**chance for chance in chances)),
        detail={"depth by k": depths, "width": net.width, "heads": net.n_heads},
    )


def prove_blocks(network: ExactTransformer, n_steps: int, step_size: Fraction) -> None:
    """Block 1 leaves P − I, t and x of one step at the last row, and each further block, on generic P, t and x there,
    P³, P²t + Pt + t, and x after none, one or two of the affine steps, by the ternary digits of k − 1, lowest first.

    So after block l the state is that of 3^(l−1) steps, and x has taken one and the digits' share of them. The last
    block leaves x alone. P is a matrix of symbols that commutes with nothing. Raises :class:`Refuted`.
    """
    task = network.task
    assert isinstance(task, Regression)
    n_dims, n_points = task.n_dims, task.n_points
    v = flint_variables(P=(n_dims, n_dims), t=(n_dims,), x=(n_dims,), A=(n_points, n_dims), b=(n_points,))
    A, b, x, step = v["A"], v["b"], v["x"], v.constant(step_size / n_points)
    column = {name: index for index, name in enumerate(network.channels)}
    eye = v.constants(np.eye(n_dims, dtype=int))

    def state(P: np.ndarray, t: np.ndarray, x: np.ndarray) -> dict[str, RingElement]:
        entries = {channel_name("P", i, j): (P - eye)[i, j] for i in range(n_dims) for j in range(n_dims)}
        return (
            entries
            | {channel_name("t", i): t[i] for i in range(n_dims)}
            | {channel_name("x", i): x[i] for i in range(n_dims)}
        )

    def rows(last: dict[str, RingElement], query: int) -> np.ndarray:
        u = v.zeros(n_points + 1, network.width)
        u[:-1, [column[channel_name("a", i)] for i in range(n_dims)]] = A
        u[:-1, column["b"]] = b
        for name, value in (last | {"query": v.constant(query)[0]}).items():
            u[-1, column[name]] = value
        return u

    def run(index: int, u: np.ndarray, read: list[str], expected: dict[str, RingElement]) -> None:
        block = replace(
            network, inputs=network.channels, reads=tuple(column[name] for name in read), positions={},
            blocks=(network.blocks[index],),
        )  # fmt: skip
        wanted = v.ring.coerce(array_of([expected[name] for name in read], (len(read),)))
        require_equal(block.evaluate(u, v.ring)[-1], wanted, f"block {index + 1}", v.ring)

    xs = [channel_name("x", i) for i in range(n_dims)]
    everything = list(state(v["P"], v["t"], x))
    G, c = np.add.reduce(A[:, :, None] * A[:, None, :], axis=0), np.add.reduce(A * b[:, None], axis=0)
    if network.positions != {(n_points, column["query"]): 1}:
        raise Refuted("the indicator of the last row is not where it should be")
    first = state(eye - step * G, step * c, x - step * (v.ring.matmul(G, x[:, None])[:, 0] - c))
    zero = v.zeros(n_dims, n_dims), v.zeros(n_dims)
    run(0, rows(state(eye + zero[0], zero[1], x), 1), everything if network.depth > 1 else xs, first)
    remaining = n_steps - 1
    for index in range(1, network.depth):
        remaining, digit = divmod(remaining, 3)
        P, t, y = v["P"], v["t"], x
        for _ in range(digit):
            y = v.ring.matmul(P, y[:, None])[:, 0] + t
        once = v.ring.matmul(P, t[:, None])[:, 0]
        moment = v.ring.matmul(P, once[:, None])[:, 0] + once + t
        after = state(v.ring.matmul(v.ring.matmul(P, P), P), moment, y)
        run(index, rows(state(P, t, x), 1), everything if index < network.depth - 1 else xs, after)
    if remaining:
        raise Refuted(f"{network.depth} blocks are too few for {n_steps} steps", {"n_steps": n_steps})


def top_parts(n_layers: int, mask: str, a: list[flint.fmpq_mpoly]) -> list[flint.fmpq_mpoly]:
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
        scope="Executed: the top parts of random networks of 1 and 2 layers, every mask; the factors of Q_0 "
        "and Q_1, two data rows "
        "symbols. Argued: the induction on L, every width and number of heads, and that unique factorisation forbids it",
        ring="Q[a_1, a_2, x] (fmpq_mpoly)",
        engine="python-flint",
        detail={"factors of Q_1 (a_1, a_2 = z0, z1)": factors},
    )
