"""Gradient descent in linear attention: one layer is one step in the right layout, and the lower bound on depth (§8)."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from functools import partial

import flint
import numpy as np
import sympy as sp
import torch

from constructions.algebra.rings import univariate
from constructions.algebra.terms import Form
from constructions.models.transformer import Norm, Transformer, TransformerBlock
from constructions.networks.layer import MASKS, Mask
from constructions.networks.tasks import Sequence
from constructions.transformers import gated, linear_attention
from constructions.transformers.builder import TransformerBuilder
from constructions.transformers.exact import ExactTransformer
from constructions.transformers.linear_attention import ternary_depth, unchecked_steps
from precls_theory.checking import transformers as claims
from precls_theory.checking.every_value import prove_every_step
from precls_theory.expressivity.growth import growth_certificate
from precls_theory.expressivity.tracing.program import Inconclusive
from precls_theory.proofs import definitions
from precls_theory.proofs.parameters import Symbols
from precls_theory.proofs.symbolic import flint_variables, require_equal, sympy_variables
from precls_theory.proofs.variants import deaf_to_step, wrong_part, wrong_transformer
from precls_theory.registry import Evidence, Refuted, Size, theorem
from precls_theory.theorems.descent.degree import prove_ray

STEP_SIZE = Fraction(1, 3)
Construct = Callable[..., ExactTransformer]
SMALL = (2, 2)
NORMED_BLOCKS: tuple[tuple[Norm, Mask], ...] = (
    ("layer", "causal"),
    ("layer", "full"),
    ("rms", "causal"),
    ("rms", "full"),
)


def build(
    n_points: int,
    n_dims: int,
    n_steps: int,
    form: linear_attention.DescentForm,
    construct: Construct = linear_attention.gradient_descent,
) -> ExactTransformer:
    """A construction at the step size of these checks."""
    return construct(n_points=n_points, n_dims=n_dims, n_steps=n_steps, step_size=STEP_SIZE, form=form)


@theorem(
    id="linear-attention-step",
    title="One layer of linear attention is one step of gradient descent",
    statement=r"x - \tfrac{\eta}{N} \sum_{j} \big((x, -1)\cdot(a_j, b_j)\big)\, a_j = x - \tfrac{\eta}{N}(Gx - c)",
    hypotheses=("x in channels of its own, or in those of a under a strict mask", "with the residual connection"),
    source="von Oswald et al. 2023 for the correspondence; the layout conditions are new",
    covers="symbolic entries and η at small sizes for every mask; at the given size modulo a prime; k layers are k steps",
    controls={
        "a weight off by 1/3": {"construct": wrong_part(linear_attention.gradient_descent)},
        "a weight off by 1/3, by residues alone": lambda: claims.verify_descent_residues(
            wrong_transformer(build(2, 2, 2, "step")), 2, 2, 2, STEP_SIZE
        ),
        "a step size of 1/3 whatever is asked for": {
            "construct": deaf_to_step(linear_attention.gradient_descent, STEP_SIZE)
        },
    },
)
def one_step(size: Size, construct: Construct = linear_attention.gradient_descent) -> Evidence:
    """Polynomial identities in all entries, then the given size at random residues."""
    n, d = SMALL
    for mask in ("causal", "full", "strict"):
        for k in (1, 2):
            net = construct(
                n_points=n, n_dims=d, n_steps=k, step_size=STEP_SIZE, mask=mask
            )  # fmt: skip
            ring = claims.verify_descent_polynomials(net, n, d, k, STEP_SIZE, f"{k} layers, {mask} mask")
    shared = construct(n_points=n, n_dims=d, step_size=STEP_SIZE, layout="E")
    claims.verify_descent_polynomials(shared, n, d, 1, STEP_SIZE, "layout E, strict mask")
    k = 4
    large = build(size.n_points, size.n_dims, k, "step", construct)
    log2 = claims.verify_descent_residues(large, size.n_points, size.n_dims, k, STEP_SIZE)
    for mask in MASKS:
        prove_every_step(partial(construct, mask=mask), n, d, 2)
    return Evidence(
        scope=f"Executed: N={n}, D={d}, k = 1, 2, every mask, and layout E, A, b, x_init symbols; η a symbol "
        "through the builder for "
        f"k = 2; N={size.n_points}, D={size.n_dims}, k = {k} by residues. Argued: other k, for the builder repeats its layer; "
        "other N and D",
        ring=ring,
        engine="python-flint",
        failure_probability_log2=log2,
        detail={"width": large.width, "heads": large.n_heads, "nonzero weights a layer": large.n_nonzero // k},
    )


def prove_extra_term(n_points: int, n_dims: int, mask: Mask = "causal") -> None:
    """Layout E under an inclusive mask: the output is one step minus (η/N) x|x|², for every η; :class:`Refuted` if not."""
    symbols = Symbols(eta=STEP_SIZE)
    step = symbols["eta"] / n_points
    v = symbols.variables(A=(n_points, n_dims), b=(n_points,), x=(n_dims,))
    net = unchecked_steps(n_points, n_dims, 1, step, mask, "E")
    got = np.asarray(net.decode(net.evaluate(net.encode(v["A"], v["b"], v["x"]), v.ring)))
    right = claims.descent(v["A"], v["b"], v["x"], 1, symbols["eta"], v.ring)
    square = np.add.reduce(v["x"] * v["x"], keepdims=True)
    require_equal(got, right - v.ring.elements([step]) * v["x"] * square, "one layer under the inclusive mask", v.ring)


@theorem(
    id="linear-attention-layout-e",
    title="In layout E linear attention needs a strict mask, and does one step only",
    statement=r"x \leftarrow x - \tfrac{\eta}{N}(Gx - c) - \tfrac{\eta}{N}\, x\,|x|^2 \text{ under the inclusive mask}",
    hypotheses=("x in the channels of a, in the last row",),
    source="new",
    covers="the extra term as a polynomial identity, every η; the second application refuted by an explicit counterexample",
    controls={
        "a strict mask, which adds nothing": lambda: prove_extra_term(*SMALL, "strict"),
    },
)
def layout_e(size: Size) -> Evidence:
    """The silent bug is exactly x|x|²; under the strict mask the second layer reads overwritten data rows."""
    n, d = SMALL
    prove_extra_term(n, d)
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
        scope=f"Executed: the extra term at N={n}, D={d}, A, b, x symbols and η a symbol through the builder; the "
        f"counterexamples over Q, at η = {STEP_SIZE}, one a claim refuted. Argued: the extra term at other N and D",
        ring="Q(η)[A, b, x] (fmpq_mpoly); Q",
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


def require_cubic_layer(mask: str, apply: Callable[..., np.ndarray] = definitions.linear_attention) -> None:
    """One head with symbols for all weights, biases and inputs has degree exactly 3 in its input; :class:`Refuted` if not.

    So L layers have degree at most 3^L. 2 rows, 2 channels, queries and keys of dimension 1.
    """
    v = flint_variables(
        u=(2, 2), q=(2, 1), k=(2, 1), v=(2, 2), bq=(1,), bk=(1,), bv=(2,)
    )  # fmt: skip
    output = apply(v["q"], v["k"], v["v"], (v["bq"], v["bk"], v["bv"]), v["u"], mask)
    degree = max(sum(map(int, powers[:4])) for value in output.flat for powers in value.monoms())
    if degree != 3:
        raise Refuted(f"a layer of linear attention has degree {degree} in its input", {"mask": mask})


def quartic_layer(
    query: np.ndarray, key: np.ndarray, value: np.ndarray, biases: tuple[np.ndarray, ...], u: np.ndarray, mask: str
) -> np.ndarray:
    """The layer times its input."""
    return definitions.linear_attention(query, key, value, biases, u, mask) * u


def require_definition(mask: Mask) -> None:
    """A head of an exact Transformer with random integer weights is the sum of the definition; :class:`Refuted` if not."""
    rng = np.random.default_rng(0)
    names = ["c", "d"]
    q, k, values = (rng.integers(1, 9, shape).astype(object) for shape in ((2, 1), (2, 1), (2, 2)))
    biases = tuple(rng.integers(1, 9, size).astype(object) for size in (1, 1, 2))

    def forms(weight: np.ndarray, bias: np.ndarray) -> list[Form]:
        columns = range(weight.shape[1])
        return [Form({n: Fraction(weight[i, j]) for i, n in enumerate(names)}, Fraction(bias[j])) for j in columns]

    builder = TransformerBuilder(names, 2)
    builder.block()
    builder.attend(forms(q, biases[0]), forms(k, biases[1]), dict(zip(names, forms(values, biases[2]), strict=True)))
    v = flint_variables(u=(3, 2))
    output = builder.build(3, mask, names, partial(Sequence, 3, 2, n_inputs=2)).evaluate(v["u"], v.ring)
    query, key, value = (v.constants(part) for part in (q, k, values))
    constants = tuple(v.constants(bias) for bias in biases)
    expected = definitions.linear_attention(query, key, value, constants, v["u"], mask)
    require_equal(output, expected, f"one head, {mask} mask", v.ring)


def gated_block() -> ExactTransformer:
    """A network with MLPs: what :func:`require_cubic` must refuse."""
    return gated.gradient_descent(n_points=1, n_dims=1)


@theorem(
    id="linear-attention-lower-bound",
    title="k steps need ⌈log3(2k+1)⌉ layers of linear attention",
    statement=r"\deg(\text{L layers}) \le 3^L, \quad \deg x_k = 2k+1 \;\Rightarrow\; L \ge \lceil \log_3(2k+1) \rceil",
    hypotheses=("linear attention with any mask, width, heads and positions, and residual connections", "η ≠ 0"),
    source="new",
    covers="every k: x_k on a ray by induction; a layer with symbols for weights and inputs; degrees along a ray for k up to 13 "
    "at the given size",
    controls={
        "a block with an MLP": lambda: require_cubic(gated_block()),
        "a layer that multiplies four factors": lambda: require_cubic_layer("causal", quartic_layer),
        "one step more than claimed": {"extra_steps": 1},
    },
)
def lower_bound(size: Size, extra_steps: int = 0) -> Evidence:
    """(q·k)v of affine maps of degree-d polynomials has degree at most 3d; x_k has total degree 2k+1 exactly.

    At b = 0 and all rows but one zero, a_1 = t e_1, x = t e_1: x_k = (1 − (η/N) t²)^k t, of degree 2k+1 in t. From
    x_init = 0 the degree is 2k, and 2k ≤ 3^L is the same as 2k+1 ≤ 3^L, since 3^L is odd.
    """
    for make in (flint_variables, sympy_variables):
        prove_ray(make)
    # The induction itself: what a layer multiplies, so that it at most triples the degree of its input.
    for mask in MASKS:
        require_cubic_layer(mask)
        require_definition(mask)
    ring = univariate()
    A, b, x = along_a_ray(size.n_points, size.n_dims)
    for steps in (1, 2, 4, 13):
        found = ray_degree(claims.descent(A, b, x, steps + extra_steps, STEP_SIZE, ring))
        net = build(size.n_points, size.n_dims, steps, "ternary")
        require_cubic(net)
        got = ray_degree(np.asarray(net.decode(net.evaluate(net.encode(A, b, x), ring))))
        if not found == got == 2 * steps + 1 <= 3**net.depth:
            raise Refuted(f"x_{steps} has degree {found}, the network {got}, in {net.depth} layers")
        if ternary_depth(steps) > 0 and 3 ** (ternary_depth(steps) - 1) >= 2 * steps + 1:
            raise Refuted(f"⌈log3(2k+1)⌉ is wrong at k = {steps}")
    return Evidence(
        scope="Executed: x_k on a ray, by an induction step with t, η/N and the power symbols; one head with "
        "all weights, biases and "
        "inputs symbols, 2 rows, 2 channels, every mask, has degree 3, and is what the networks run; degrees along a line at "
        f"N={size.n_points}, D={size.n_dims}, k = 1, 2, 4, 13. Argued: more heads, rows and channels are sums of the same "
        "products; induction on L and k",
        ring="Q[t, y, h], Q[weights, inputs], Q[t]",
        engine="python-flint, SymPy",
        detail={"k = (3^L − 1)/2 attains degree 3^L": {str(L): (3**L - 1) // 2 for L in range(1, 8)}},
    )


@theorem(
    id="linear-attention-multiply",
    title="Two layers of linear attention with one-hot positions are Multiply (and Square)",
    statement=r"u_n[r] \leftarrow u_n[p]\, u_n[q] \text{ at every row } n",
    hypotheses=("positional one-hot channels", "causal or full mask"),
    source="new",
    covers="symbolic entries at 3 rows and 4 channels, both masks, and Square",
    controls={
        "a weight off by 1/3": {"construct": wrong_part(linear_attention.multiply)},
    },
)
def multiply(size: Size, construct: Construct = linear_attention.multiply) -> Evidence:
    """Scores (p_n e_n)·e_j = p_n [n = j]."""
    for mask in ("causal", "full"):
        for left, right, target in ((0, 1, 2), (1, 1, 0), (0, 1, 0)):
            net = construct(n_rows=3, n_channels=4, left=left, right=right, target=target, mask=mask)
            ring = claims.verify_multiply(net, 4, left, right, target, name=f"Multiply, {mask} mask")
    return Evidence(
        scope="Executed: 3 rows, 4 channels, three choices of channels, causal and full masks, every input a "
        "symbol. Argued: other "
        "rows and channels",
        ring=ring, engine="python-flint", detail={"depth": net.depth},
    )  # fmt: skip


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


def require_growth(bound: sp.Poly, degree: int) -> None:
    """The bound has that degree in t; :class:`Refuted` if not."""
    if bound.degree() != degree:
        raise Refuted(f"a layer of linear attention grows as t^{bound.degree()}, not t^{degree}", {"bound": str(bound)})


@theorem(
    id="linear-attention-norm",
    title="With a norm before each layer of linear attention, impossible again at every depth",
    statement=r"\|F(u)\| \le C_0 + C_1\|u\|, \text{ while the targets grow as } t^2, t^2, t^3",
    hypotheses=("linear attention with any mask and heads, each layer after LayerNorm or RMSNorm with eps > 0",),
    source="new",
    covers="every depth by induction on the layer, generic constants; certificates of random models; the same check "
    "fails without the norm, as it must",
    controls={
        "no norm": {"normed": False},
    },
)
def norm_before_linear_attention(size: Size, normed: bool = True) -> Evidence:
    """Rows of norm(x) lie in a ball whatever x is, so a layer adds a bounded term: linear growth stays linear."""
    require_growth(block_growth(normed), 1)
    require_growth(block_growth(normed=False), 3)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = Transformer(3, 3, 8, 0)
        model.blocks.extend(
            TransformerBlock(8, 2, attention="linear", mlp="none", mask=mask, norm=norm) for norm, mask in NORMED_BLOCKS
        )
        unnormed = Transformer(3, 3, 8, 1, attention="linear", mlp="none")
    certificate = growth_certificate(model.double().eval(), (1, 4, 3), exponent=1)
    try:
        growth_certificate(unnormed.eval(), (1, 4, 3), exponent=1)
    except Inconclusive:
        return Evidence(
            scope="Executed: one layer's growth with symbols for all its constants, with and without the norm; a growth "
            "certificate of one random model of depth 4, with each norm and mask. Argued: induction on the depth; that a row "
            "of a norm's output lies in a ball; every width, number of heads and rows, by the symbols",
            ring="polynomials in t over generic nonnegative constants",
            engine="SymPy, growth certificates (outward rounding)",
            detail={"C0, C1 of the random model": [certificate.C0, certificate.C1]},
        )
    raise Refuted("linear attention without a norm got a certificate of linear growth")
