"""No softmax Transformer of any depth is Square, Multiply or a gradient step: the argument, step by step, checked.

1. *Rules.*  Each operation's growth inequality (``growth-rules``).
2. *Induction.*  A block maps a bound ``a + b‖u‖`` to one of the same form, for all weights (``any-depth``); targets
   grow as t², t², t³ along a ray.
3. *Open sets.*  Every piece of a ReLU model, continued to all inputs, obeys the same bound, hence is not the target;
   finitely many closed sets without interior do not cover an open set (``any-depth-open-sets``).
4. *Norms before gates.*  A gated MLP of a normalised input is bounded (``norm-before-gated-mlp``).
5. *A limit of the argument.*  Linear growth alone decides nothing on open sets (``clamped-gate-on-open-sets``).
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from fractions import Fraction

import flint
import numpy as np
import sympy
import torch
from torch import Tensor, nn

from constructions.models.transformer import (
    MLPKind,
    Norm,
    NormPlacement,
    Positions,
    Transformer,
    TransformerBlock,
)
from constructions.networks.layer import Mask
from precls_theory.enclosures.norms import as_float64, spectral_norm
from precls_theory.expressivity.balls.evaluator import Evaluator
from precls_theory.expressivity.counterexample import search
from precls_theory.expressivity.growth import OPERATIONS, Operation, growth_certificate
from precls_theory.expressivity.growth.certificate import certify
from precls_theory.expressivity.growth.operation import GrowthContext
from precls_theory.expressivity.growth.soundness import check, operations
from precls_theory.expressivity.growth.value import Growth
from precls_theory.expressivity.targets import make_target
from precls_theory.expressivity.tracing.program import Inconclusive
from precls_theory.expressivity.tracing.trace import trace
from precls_theory.registry import Evidence, Refuted, Size, theorem

SOURCE = "new; asked for by the reviewers of Liu et al. 2025, extends Thm. D.34 and Cor. D.32"


# ---- 1. the inequalities of the rules --------------------------------------------------------------------------------


def require_zero(expression: sympy.Expr, name: str) -> None:
    """A rational identity: refuted unless ``expression`` is identically zero."""
    rest = sympy.cancel(sympy.together(sympy.expand(expression)))
    if rest != 0:
        raise Refuted(f"{name}: the two sides differ by {rest}", {"identity": name, "difference": str(rest)})


def simplex_identity(n: int) -> None:
    """``Σ a_j v_j² - (Σ a_j v_j)² = ½ Σ_jk a_j a_k (v_j - v_k)²`` where ``Σ a_j = 1``.

    The right side is nonnegative and ``a_j ≤ 1``, so each row of ``A V`` has norm at most ``‖V‖``, n rows at most √n.
    """
    a = list(sympy.symbols(f"a0:{n - 1}"))
    a.append(1 - sum(a))
    v = sympy.symbols(f"v0:{n}")
    left = sum(p * x**2 for p, x in zip(a, v, strict=True)) - sum(p * x for p, x in zip(a, v, strict=True)) ** 2
    right = sum(a[j] * a[k] * (v[j] - v[k]) ** 2 for j, k in itertools.combinations(range(n), 2))
    require_zero(left - right, f"simplex, n={n}")


def norm_identity(n: int) -> None:
    """LayerNorm and RMSNorm: ``n - Σ (x-μ)²/(σ²+ε) = nε/(σ²+ε) ≥ 0``, the same with ``μ = 0``."""
    x, eps = sympy.symbols(f"x0:{n}"), sympy.Symbol("eps", positive=True)
    for mean in (sum(x) / n, sympy.Integer(0)):
        square = sum((xi - mean) ** 2 for xi in x) / n
        total = sum((xi - mean) ** 2 for xi in x) / (square + eps)
        require_zero(n - total - n * eps / (square + eps), f"norm, n={n}")


def lagrange_identity(n: int) -> None:
    """``‖x‖²‖y‖² - (x·y)² = Σ_{i<j} (x_i y_j - x_j y_i)²``: Cauchy-Schwarz, hence ``‖A B‖ ≤ ‖A‖‖B‖``."""
    x, y = sympy.symbols(f"x0:{n}"), sympy.symbols(f"y0:{n}")
    dot = sum(p * q for p, q in zip(x, y, strict=True))
    left = sum(p**2 for p in x) * sum(q**2 for q in y) - dot**2
    right = sum((x[i] * y[j] - x[j] * y[i]) ** 2 for i, j in itertools.combinations(range(n), 2))
    require_zero(left - right, f"Cauchy-Schwarz, n={n}")


def require_increasing_between(function: Callable[[sympy.Expr], sympy.Expr], low: int, high: int, name: str) -> None:
    """``low < function < high`` on the real line: it increases strictly, with these limits."""
    x = sympy.Symbol("x", real=True)
    slope = sympy.simplify(sympy.diff(function(x), x).rewrite(sympy.exp))
    limits = [sympy.limit(function(x).rewrite(sympy.exp), x, end) for end in (-sympy.oo, sympy.oo)]
    if not (slope.is_positive and limits == [low, high]):
        raise Refuted(f"{name}: not strictly increasing from {low} to {high}", {"slope": str(slope), "limits": limits})


def activation_inequalities() -> list[str]:
    """``|f(x)| ≤ |x|`` as ``f(x) = x g(x)`` with ``0 < g < 1``, and the bounded functions."""
    require_increasing_between(lambda x: 1 / (1 + sympy.exp(-x)), 0, 1, "sigmoid")  # SiLU: g = sigmoid
    require_increasing_between(lambda x: (1 + sympy.erf(x / sympy.sqrt(2))) / 2, 0, 1, "GELU factor")
    require_increasing_between(sympy.tanh, -1, 1, "tanh")  # GELU's tanh form: g = (1 + tanh)/2
    x = sympy.Symbol("x", positive=True)
    # |softplus(±x) - relu(±x)| = log(1 + e^-x): decreasing from log 2.
    excess = sympy.log(1 + sympy.exp(-x))
    if not sympy.simplify(sympy.diff(excess, x)).is_negative or excess.subs(x, 0) != sympy.log(2):
        raise Refuted("softplus exceeds |x| + log 2")
    # |elu(-x)| = 1 - e^-x ≤ x: the difference x - 1 + e^-x is convex and vanishes to first order at 0.
    gap = x - 1 + sympy.exp(-x)
    if not sympy.diff(gap, x, 2).is_positive or gap.subs(x, 0) != 0 or sympy.diff(gap, x).subs(x, 0) != 0:
        raise Refuted("ELU exceeds |x|")
    return ["SiLU", "GELU", "GELU (tanh)", "Mish", "sigmoid", "tanh", "softplus", "ELU"]


def require_spectral_bound(weights: Tensor, bound: float) -> None:
    """``B ≥ ‖W‖₂`` for the float bound, exactly: ``B² I - WᵀW`` is positive semidefinite over the rationals.

    Its characteristic polynomial must have no negative root: the coefficients of ``det(λ I - M)`` alternate in sign.
    """
    exact = flint.fmpq_mat([[flint.fmpq(*map(int, Fraction(x).as_integer_ratio())) for x in row]
                            for row in as_float64(weights).tolist()])  # fmt: skip
    square = flint.fmpq(*map(int, Fraction(bound).as_integer_ratio())) ** 2
    size = exact.ncols()
    gap = flint.fmpq_mat(size, size, [square * int(i == j) for i in range(size) for j in range(size)])
    polynomial = (gap - exact.transpose() * exact).charpoly()
    signs = [polynomial[size - k] * (-1) ** k for k in range(size + 1)]
    if any(s < 0 for s in signs):
        raise Refuted(f"{bound} is not an upper bound of the spectral norm", {"weights": as_float64(weights).tolist()})


def half_of_relu() -> Operation:
    """A wrong record."""
    record = OPERATIONS[torch.ops.aten.relu.default]

    def claim(c: GrowthContext, **arguments: object) -> Growth:
        out = record.growth(c, **arguments)
        assert isinstance(out, Growth)
        return replace(out, norm=tuple(p / 2 for p in out.norm))

    return replace(record, growth=claim)


def require_rules_hold(records: Mapping[torch._ops.OpOverload, Operation], tries: int) -> int:
    """Run rules at random calls of their operations; how many calls got a bound, Refuted where one is violated."""
    calls = 0
    for target, record in records.items():
        before = OPERATIONS[target]
        OPERATIONS[target] = record
        try:
            answered, reason = check(target, 0, tries)
        finally:
            OPERATIONS[target] = before
        calls += answered
        if reason:
            raise Refuted(f"a growth rule is violated: {reason}")
    return calls


@theorem(
    id="growth-rules",
    title="Soundness of the growth rules",
    statement=r"\|AV\|\le\sqrt n\|V\|,\quad \|\mathrm{LN}(x)\|^2\le n,\quad |\mathrm{gelu}(x)|,"
    r"|\mathrm{silu}(x)|\le|x|,\quad \|AB\|\le\|A\|\|B\|,\quad \|W\|_2\le B(W)",
    hypotheses=("rows of A in the simplex", "eps > 0 in norms", "finite weights"),
    source="new",
    covers="proved: the identities for n = 2..5 by expansion (their proof is the same for every n), the activations named "
    "on the whole real line by monotonicity and limits, the computed spectral bounds by exact semidefiniteness on sample "
    "weights. Executed: every rule, at random calls of an operation that it serves, none violated. Argued: that each rule's "
    "inequality, in its docstring, follows from those for every call",
    controls={
        "a spectral norm one percent too small": lambda: require_spectral_bound(torch.eye(3), 0.99),
        "a ReLU rule that claims half": lambda: require_rules_hold({torch.ops.aten.relu.default: half_of_relu()}, 20),
        "tanh between -1 and 2": lambda: require_increasing_between(sympy.tanh, -1, 2, "tanh"),
    },
)
def growth_rules(size: Size) -> Evidence:
    """Each inequality that a rule rests on, proved; raises Refuted where one fails."""
    for n in range(2, 6):
        simplex_identity(n)
        lagrange_identity(n)
    for n in range(2, 5):
        norm_identity(n)
    names = activation_inequalities()
    generator = torch.Generator().manual_seed(0)
    matrices = [torch.randn(7, 5, generator=generator) * 10.0**k for k in (-6, 0, 6)]
    matrices += [torch.ones(4, 6), torch.eye(5) * 3, torch.outer(torch.arange(4.0), torch.arange(5.0))]
    for matrix in matrices:
        require_spectral_bound(matrix, spectral_norm(matrix))
    served = {record.growth: record for target in operations() for record in [OPERATIONS[target]]}
    calls = require_rules_hold({record.target: record for record in served.values()}, 2)
    return Evidence(
        scope="Executed: the identities for n = 2..5 (norms: 2..4), entries symbols; the activations on the real line by "
        "monotonicity and limits; spectral bounds of six matrices; every rule at random calls of an operation that it serves, "
        "none violated. Argued: other n, by the same expansion; that each rule's inequality holds for every call",
        ring="Q(x), and exact rationals for the spectral bounds",
        engine="SymPy, python-flint",
        detail={"activations": names, "spectral bounds": len(matrices), "rules": len(served), "calls": calls},
    )


# ---- 2. the induction over blocks ------------------------------------------------------------------------------------

T = sympy.Symbol("t", nonnegative=True)
Kind = tuple[MLPKind, Norm, NormPlacement]
LINEAR_MLPS: tuple[MLPKind, ...] = ("relu", "gelu", "silu", "glu")
GATED_MLPS: tuple[MLPKind, ...] = ("swiglu", "geglu", "reglu", "bilinear")


class SymbolicBlock:
    """A block's growth over generic nonnegative constants: every norm of a weight is a fresh symbol.

    The rules are those of the interpreter, written for one symbol each, so that the degree found holds for all weights.
    """

    def __init__(self, mlp: MLPKind, norm: Norm, placement: NormPlacement) -> None:
        self.mlp, self.norm, self.placement = mlp, norm, placement
        self._count = itertools.count()

    def constant(self, name: str) -> sympy.Symbol:
        return sympy.Symbol(f"{name}{next(self._count)}", nonnegative=True)

    def linear(self, g: sympy.Expr) -> sympy.Expr:
        return self.constant("w") * g + self.constant("b")

    def attention(self, g: sympy.Expr) -> sympy.Expr:
        """Scores do not matter: the weights are in a simplex."""
        return self.linear(self.constant("sqrt_n") * self.linear(g))

    def feed_forward(self, g: sympy.Expr) -> sympy.Expr:
        if self.mlp == "glu":  # ‖σ(·) ⊙ x‖ ≤ ‖x‖
            return self.linear(self.linear(g))
        if self.mlp in GATED_MLPS:
            return self.linear(self.linear(g) * self.linear(g))
        return self.linear(self.linear(g))

    def normalised(self, g: sympy.Expr, norm: bool) -> sympy.Expr:
        return self.constant("n") if norm and self.norm != "none" else g

    def __call__(self, g: sympy.Expr) -> sympy.Expr:
        for part, is_mlp in ((self.attention, False), (self.feed_forward, True)):
            here = is_mlp or self.placement != "mlp"
            post = self.placement == "post"
            g = self.normalised(g + part(g), here) if post else g + part(self.normalised(g, here))
        return g

    def degree(self) -> int:
        """The growth exponent of the block's output, given ``a + b t``, for generic weights."""
        a, b = self.constant("a"), self.constant("b")
        return int(sympy.Poly(sympy.expand(self(a + b * T)), T).degree())


def sweep(mlps: tuple[MLPKind, ...]) -> list[Kind]:
    """Every choice of MLP, norm and its place."""
    table: list[tuple[MLPKind, Norm, NormPlacement]] = [(m, "none", "pre") for m in mlps]
    norms: tuple[Norm, ...] = ("layer", "rms")
    places: tuple[NormPlacement, ...] = ("pre", "post", "mlp")
    return table + list(itertools.product(mlps, norms, places))


POSITIONS: tuple[Positions, ...] = ("none", "rotary", "alibi")
MASKS: tuple[Mask, ...] = ("causal", "full")


def require_block_degree(mlp: MLPKind, norm: Norm, placement: NormPlacement, at_most: int = 1) -> None:
    """The induction step: the growth exponent of one block, for generic constants."""
    degree = SymbolicBlock(mlp, norm, placement).degree()
    if degree > at_most:
        raise Refuted(f"a block with {mlp}, norm {norm} ({placement}) has growth exponent {degree}",
                      {"mlp": mlp, "norm": norm, "placement": placement})  # fmt: skip


def mixed_model(kinds: Sequence[Kind], width: int = 4) -> Transformer:
    """A Transformer with one block of each kind and random weights, the same every time; positions and masks take turns."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = Transformer(3, 3, width, 0)
        model.blocks.extend(
            TransformerBlock(width, 2, mask=MASKS[i % 2], mlp=mlp, norm=norm, norm_placement=placement,
                             positions=POSITIONS[i % 3])
            for i, (mlp, norm, placement) in enumerate(kinds)
        )  # fmt: skip
    return model


def require_certificate(kinds: Sequence[Kind], at_most: int = 1) -> None:
    """The interpreter agrees with the induction step: a model with one block of each kind, and its pieces, are certified."""
    named = "; ".join(f"{mlp}, {norm} ({placement})" for mlp, norm, placement in kinds)
    try:
        certificate = growth_certificate(mixed_model(kinds), (1, 3, 3), exponent=at_most)
    except Inconclusive as error:
        raise Refuted(f"{named}: {error}") from error
    if certificate.piece_exponent is None or certificate.piece_exponent > at_most:
        raise Refuted(f"{named}: the pieces grow faster: {certificate.piece_reason}")


def covering(kinds: Sequence[Kind]) -> list[Kind]:
    """Few of the kinds, in which every MLP, and every norm at every place, occurs."""
    places = list(dict.fromkeys(kind[1:] for kind in kinds))
    mlps = list(dict.fromkeys(kind[0] for kind in kinds))
    return [(mlps[i % len(mlps)], *places[i % len(places)]) for i in range(max(len(mlps), len(places)))]


def target_degree(name: str, shape: tuple[int, int, int], direction: np.ndarray) -> int:
    """The degree of the target along the ray ``t · direction``, exactly."""
    ray = np.frompyfunc(lambda v: flint.fmpq_poly([0, int(v)]), 1, 1)(direction)
    return max(p.degree() for p in make_target(name, shape, shape, 1).value(ray).reshape(-1))


@theorem(
    id="any-depth",
    title="Softmax Transformers of any depth are not Square, Multiply or a gradient step",
    statement=r"\|F(u)\|\le C_0+C_1\|u\| \text{ for every } u,\quad "
    r"\|\mathrm{target}(tv)\|=\Theta(t^2), \Theta(t^2), \Theta(t^3)",
    hypotheses=(
        "softmax attention with any masks, heads, additive or rotary or ALiBi positions",
        "MLPs: ReLU, GELU, SiLU, sigmoid-GLU",
        "no norms, or LayerNorm/RMSNorm with eps > 0, before, after, or before the MLP only",
        "step size not 0",
    ),
    source=SOURCE,
    covers="every depth by induction on the block, every width and weight by generic constants, for each block kind; a "
    "random model with every MLP and every norm at every place is also run through the certificate",
    controls={
        "a bilinear MLP without a norm": lambda: require_block_degree("bilinear", "none", "pre"),
        "a model with a bilinear MLP without a norm": lambda: require_certificate([("bilinear", "none", "pre")]),
    },
)
def any_depth(size: Size) -> Evidence:
    """The induction step for each block kind, and the growth of the targets at the given size."""
    kinds = sweep(LINEAR_MLPS)
    for kind in kinds:
        require_block_degree(*kind)
    mixed = covering(kinds)
    require_certificate(mixed)
    shape = (1, size.n_points + 1, 2 * ((size.n_dims + 2) // 2))
    ones = np.ones(shape, dtype=int)
    degrees = {name: target_degree(name, shape, ones) for name in ("square", "multiply", "gradient_descent")}
    if degrees != {"square": 2, "multiply": 2, "gradient_descent": 3}:
        raise Refuted(f"the targets grow as {degrees} along the ray of ones", degrees)
    # one data row a = t e_1, x = t e_1, b = 0, for every N and η: x - (η/N) a (a·x) = t - (η/N) t³
    eta, n = sympy.symbols("eta N", nonzero=True)
    step = T - eta / n * T * (T * T)
    if sympy.Poly(step, T).degree() != 3 or sympy.Poly(step, T).LC() != -eta / n:
        raise Refuted("the gradient step does not grow as t^3 along the ray a = x = t e_1")
    return Evidence(
        scope=f"Executed: the growth of one block of each of {len(kinds)} kinds, symbols for all its constants; a certificate, "
        f"of function and pieces, of one random model of depth {len(mixed)} in which every MLP and every norm at every place "
        "occurs; the targets' degrees on the ray of ones at the given size, and of the step for every η and N. "
        "Argued: induction on the depth; every width, number of heads and rows, by the symbols; the rules (growth-rules)",
        ring="polynomials in t over generic nonnegative constants; exact rationals for the targets",
        engine="SymPy, growth certificates (outward rounding)",
        detail={"block kinds": len(kinds), "blocks of the model": mixed, "target degrees": degrees},
    )


# ---- 3. open sets ----------------------------------------------------------------------------------------------------


def require_piece_argument(
    model: nn.Module, target: str, shape: tuple[int, int, int], centre: float
) -> dict[str, float]:
    """For one ReLU model and one open box: a piece, the mismatch of derivatives, and the bound of the continued piece.

    1. At a point of the box no ReLU argument vanishes; the signs s there hold in a neighbourhood, where F = F_s.
    2. A derivative of F_s at that point differs from the target's (enclosures).
    3. F_s, continued to all inputs, agrees with F at the point and obeys the certificate for pieces far away, where the
       target exceeds it: F_s is not the target anywhere, so no neighbourhood of the kind in 1 lies in {F = target}.
    """
    program = trace(model.double(), shape)
    certificate = certify(program, program.model)
    if certificate.piece_coefficients is None or certificate.piece_exponent is None or certificate.piece_exponent > 1:
        raise Refuted("the pieces are not certified to grow linearly")
    found = search(program, target, 0.0, region=(centre, 0.25), order=2)
    if not any(m.order == 2 for m in found.mismatches):
        raise Refuted("no second derivative differs on the piece", found.to_json())
    with flint.ctx.workprec(256):
        here = Evaluator(program)
        value = here(found.input).coefficients[0]
        pattern = here.signs
        masked = Evaluator(program, pattern=pattern)
        again = masked(found.input).coefficients[0]
        if not all(bool(a.overlaps(b)) for a, b in zip(value.reshape(-1), again.reshape(-1), strict=True)):
            raise Refuted("the masked model differs from the model on its own piece")
        far = np.zeros(shape, dtype=int)
        far[0] = 1
        scale = 2**60
        out = masked(far * scale).coefficients[0].reshape(-1)
        norm = sum((x * x for x in out), flint.arb(0)).sqrt()
        low, slope = (*certificate.piece_coefficients, 0.0)[:2]
        allowed = flint.arb(low) + flint.arb(slope) * scale * flint.arb(int(far.sum())).sqrt()
        exact = make_target(target, shape, shape, 1).value(
            np.frompyfunc(lambda v: flint.fmpq(int(v)), 1, 1)(far * scale)
        )
        reached = sum((flint.arb(x * x) for x in exact.reshape(-1)), flint.arb(0)).sqrt()
    if not norm <= allowed:
        raise Refuted("the continued piece exceeds its certificate", {"norm": str(norm), "allowed": str(allowed)})
    if not reached > allowed:
        raise Refuted("the target does not exceed the certificate of the piece far away")
    return {"units": found.units, "active": found.active, "miss": found.proven_miss}


class ClampedGate(nn.Module):
    """``clamp(u, 0, 1) · u``: grows linearly, and is Square on (0, 1)."""

    def forward(self, u: Tensor) -> Tensor:
        return torch.clamp(u, 0.0, 1.0) * u


@theorem(
    id="any-depth-open-sets",
    title="... nor on any nonempty open set of inputs",
    statement=r"F|_U \ne \mathrm{target}|_U \text{ for every nonempty open } U",
    hypotheses=(
        "as any-depth",
        "F is at each input one of finitely many analytic functions, each with linear growth on all inputs",
    ),
    source=SOURCE,
    covers="the bound for pieces for every block kind (any-depth runs it); the steps that can be executed, on random "
    "models and boxes: a piece located, a derivative that differs, the continued piece below its bound and below the "
    "target. The remaining step is Baire's: U is a finite union of the sets where a pattern occurs, so one is dense in "
    "an open subset; there F_s is the target by continuity, hence everywhere by analyticity, against its growth",
    controls={
        "a model that is Square on the box": lambda: require_piece_argument(ClampedGate(), "square", (1, 4, 4), 0.5),
    },
)
def any_depth_open_sets(size: Size) -> Evidence:
    """The executable steps, for analytic and piecewise analytic models and three targets."""
    details = []
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        for depth, mlp, norm, target, centre in (
            (2, "relu", "none", "square", 0.5),
            (1, "relu", "layer", "multiply", -1.0),
            (1, "relu", "none", "gradient_descent", 0.0),
            (1, "gelu", "rms", "gradient_descent", 2.0),
        ):
            model = Transformer(4, 4, 8, depth, n_heads=2, mlp=mlp, norm=norm)  # type: ignore[arg-type]
            details.append(require_piece_argument(model, target, (1, 4, 4), centre))
    return Evidence(
        scope=f"Executed: for {len(details)} random models, one of depth 2, and one box each: a piece located, a "
        "derivative that differs, the "
        "continued piece below its bound and below the target. Argued: every model and open set: the bound "
        "for pieces (any-depth), "
        "Baire's theorem, continuity and analyticity",
        ring="Arb balls with outward rounding; exact rationals for the targets",
        engine="python-flint jets along a line, growth certificates for pieces",
        detail={"cases": details},
    )


# ---- 4. norms before gated MLPs --------------------------------------------------------------------------------------


@theorem(
    id="norm-before-gated-mlp",
    title="With a norm before each gated MLP, impossible again at every depth",
    statement=r"\|W_3(\phi(W_1\hat x)\odot W_2\hat x)\|\le \mathrm{const}\ \text{ where } \hat x=\mathrm{norm}(x)",
    hypotheses=("SwiGLU, GEGLU, ReGLU or bilinear MLPs, each after LayerNorm or RMSNorm with eps > 0",),
    source="new",
    covers="every depth, width and weight by generic constants; without the norm the same check fails, as it must",
    controls={
        "a gated MLP without a norm": lambda: require_block_degree("swiglu", "none", "pre"),
        "a model with a gated MLP without a norm": lambda: require_certificate([("swiglu", "none", "pre")]),
    },
)
def norm_before_gated_mlp(size: Size) -> Evidence:
    """Norm placements 'pre' and 'mlp' give exponent 1; without norms the exponent of one block is 2."""
    kinds = [kind for kind in sweep(GATED_MLPS) if kind[1] != "none" and kind[2] != "post"]
    for kind in kinds:
        require_block_degree(*kind)
    for mlp in GATED_MLPS:
        if SymbolicBlock(mlp, "none", "pre").degree() != 2:
            raise Refuted(f"{mlp} without a norm should multiply")
    mixed = covering(kinds)
    require_certificate(mixed)
    return Evidence(
        scope=f"Executed: the growth of one block of each of {len(kinds)} kinds, symbols for all its constants, with the norm 1 "
        f"and without it 2; a certificate of one random model of depth {len(mixed)} in which every gate and every norm at every "
        "place occurs. Argued: induction on the depth; every width, number of heads and rows, by the symbols",
        ring="polynomials in t over generic nonnegative constants",
        engine="SymPy, growth certificates (outward rounding)",
        detail={"block kinds": len(kinds), "blocks of the model": mixed},
    )


# ---- 5. a limit of the argument --------------------------------------------------------------------------------------


class HardswishSquare(nn.Module):
    """``6 hardswish(u) - 3u``: grows linearly, and is Square on (-3, 3)."""

    def forward(self, u: Tensor) -> Tensor:
        return 6 * nn.functional.hardswish(u) - 3 * u


@theorem(
    id="clamped-gate-on-open-sets",
    title="Linear growth alone decides nothing on open sets",
    statement=r"\mathrm{clamp}(u,0,1)\,u = u^2 \text{ on } (0,1),\quad "
    r"6\,\mathrm{hardswish}(u)-3u = u^2 \text{ on } (-3,3)",
    hypotheses=(),
    source="new: why the open-set theorem asks for the growth of the continued pieces, not of the model",
    covers="both models, all of the intervals",
    controls={
        "hardswish with the factor 5": lambda: require_zero(5 * (T * (T + 3) / 6) - 3 * T - T**2, "hardswish"),
    },
)
def clamped_gate_on_open_sets(size: Size) -> Evidence:
    """The certificate must give exponent 1 for the function and 2 for its pieces, and the identities must hold."""
    u = sympy.Symbol("u")
    require_zero(u * u - u**2, "the middle piece of the clamped gate")
    require_zero(6 * (u * (u + 3) / 6) - 3 * u - u**2, "the middle piece of hardswish")
    with torch.no_grad():  # the modules have the pieces that the identities are about (dyadic points: exact in float64)
        points = torch.arange(1, 64, dtype=torch.float64).reshape(1, -1, 1) / 64
        if not torch.equal(ClampedGate()(points), points**2):
            raise Refuted("the clamped gate is not Square at dyadic points of (0, 1)")
        if (HardswishSquare()(points) - points**2).abs().max() > 2**-48:
            raise Refuted("the hardswish model is not Square on (0, 1)")
    for model in (ClampedGate(), HardswishSquare()):
        certificate = growth_certificate(model, (1, 3, 2))
        if certificate.exponent != 1 or certificate.piece_exponent != 2:
            raise Refuted(f"{type(model).__name__}: exponents {certificate.exponent}, {certificate.piece_exponent}")
    return Evidence(
        "Executed: the identities of the middle pieces, u a symbol; the modules at 63 dyadic points; their "
        "certificates. Argued: that "
        "the modules have these pieces between the points",
        "Q[u]", "SymPy, growth certificates", {"models": 2},
    )  # fmt: skip
