"""Counterexamples: proved, confirmed in ball arithmetic, refused where the model may equal the target."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from fractions import Fraction

import flint
import numpy as np
import pytest
import sympy
import torch
from helpers.models import MODELS, TRACED, Wrap, build, certified, run
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from constructions.models.transformer import GatedMLP, SoftmaxAttention, Transformer, TransformerBlock
from precls_theory.enclosures.jets import ball
from precls_theory.enclosures.norms import spectral_norm
from precls_theory.expressivity import (
    Inconclusive,
    counterexample,
    entries,
    growth_certificate,
    register_formula,
    register_rule,
    trace,
)
from precls_theory.expressivity.balls.errors import UncertainSign, Unsupported
from precls_theory.expressivity.balls.evaluator import Evaluator, evaluate
from precls_theory.expressivity.counterexample import make_target
from precls_theory.expressivity.growth import MODULE_RULES
from precls_theory.expressivity.tracing.trace import FORMULAS
from precls_theory.registry import Refuted
from precls_theory.theorems.transformers import any_depth

SHAPE = (1, 5, 4)
TARGETS = ["square", "multiply", "gradient_descent"]


def small(mlp="relu", **kw):
    torch.manual_seed(0)
    return Transformer(4, 4, 8, 2, n_heads=2, mlp=mlp, **kw)


def float_target(name, u, step_size=1.0):
    """The targets once more, in float64 and from their definitions."""
    if name == "square":
        return u**2
    if name == "multiply":
        return u[..., :2] * u[..., 2:]
    a, b, x = u[0, :-1, :-1], u[0, :-1, -1], u[0, -1, :-1]
    return x - step_size / len(b) * (a.T @ (a @ x - b))


def read(name, y):
    return {"square": y, "multiply": y[..., :2], "gradient_descent": y[0, -1, :3]}[name]


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("name", ["relu", "silu, rotary, layer norm", "torch encoder, pre norm", "user GPT"])
@pytest.mark.parametrize("margin", [1e6])
def test_the_model_misses_where_it_is_said_to(name, target, margin):
    model = build(MODELS[name])
    found = counterexample(model, target, margin, SHAPE, step_size=0.1)
    assert found.proven_miss >= margin
    assert found.confirmed
    assert found.miss_low <= found.miss_float64 * (1 + 1e-9)
    assert found.miss_float64 <= found.miss_high * (1 + 1e-9)
    assert found.miss_low >= found.proven_miss
    u = torch.tensor(found.input)
    with torch.no_grad():
        measured = float((read(target, run(model, u)) - float_target(target, u, 0.1)).norm())
    assert measured == pytest.approx(found.miss_float64, rel=1e-9)
    assert found.direct_miss >= margin
    assert found.direct_scale <= np.abs(found.input).max()
    json.dumps(found.to_json(), allow_nan=False)


def train(model, target, steps=250):
    """A few hundred Adam steps on Gaussian inputs; returns the last loss relative to that of the zero model."""
    torch.manual_seed(1)
    optimizer = torch.optim.Adam(model.parameters(), lr=3e-3)
    loss = scale = torch.tensor(0.0)
    for _ in range(steps):
        u = torch.randn(64, *SHAPE[1:])
        wanted = u**2 if target == "square" else u[..., :2] * u[..., 2:]
        loss = ((read(target, model(u)) - wanted) ** 2).mean()
        scale = (wanted**2).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return float((loss / scale).detach())


@pytest.mark.parametrize(("target", "mlp"), [("square", "gelu"), ("multiply", "relu")])
def test_trained_models_miss_too(target, mlp):
    model = Transformer(4, 4, 16, 1, n_heads=2, mlp=mlp)
    assert train(model, target) < 0.35  # it has learnt most of the target ...
    found = counterexample(model, target, 10.0, SHAPE)
    assert found.confirmed  # ... and misses it far away,
    near = counterexample(model, target, 0.0, SHAPE, region=(0.25, 0.5))
    assert near.confirmed  # and on an open set where it was trained
    assert {m.order for m in near.mismatches} >= {0, 1, 2}
    assert np.abs(near.input - 0.25).max() < 0.5


def test_polynomial_targets():
    u = entries(*SHAPE[1:])
    model = small()
    cubic = counterexample(model, {(2, 1): u[0, 0] ** 3 / 3 - u[4, 3] + sympy.Rational(1, 7)}, 5.0, SHAPE)
    assert cubic.confirmed
    table = [[u[n, d] * u[0, 0] for d in range(4)] for n in range(5)]
    assert counterexample(model, table, 5.0, SHAPE).confirmed
    assert counterexample(model, sympy.Matrix(table), 5.0, SHAPE).confirmed
    value = make_target({(2, 1): u[0, 0] ** 3 / 3 - u[4, 3]}, SHAPE, SHAPE, 1).value
    x = np.frompyfunc(flint.fmpq, 1, 1)(np.arange(20).reshape(SHAPE) + 3)
    assert value(x).tolist() == [[flint.fmpq(27, 3) - 22]]


@given(seed=st.integers(0, 2**16), eta=st.fractions(Fraction(-2), Fraction(2)).filter(lambda f: f != 0))
def test_exact_targets_agree_with_their_definitions(seed, eta):
    rng = np.random.default_rng(seed)
    u = rng.integers(-3, 4, SHAPE)
    exact = np.frompyfunc(lambda v: flint.fmpq(int(v)), 1, 1)(u)
    for name in TARGETS:
        value = make_target(name, SHAPE, SHAPE, eta).value(exact)
        wanted = float_target(name, torch.tensor(u, dtype=torch.float64), float(eta)).numpy()
        assert np.allclose([int(x.p) / int(x.q) for x in value.reshape(-1)], wanted.reshape(-1), atol=1e-12)


class ExactSquare(nn.Module):
    """Square by a bilinear MLP: no counterexample exists."""

    def __init__(self, error=0.0):
        super().__init__()
        self.mlp = GatedMLP(4, 4, "bilinear", bias=False).double()
        with torch.no_grad():
            for layer in (self.mlp.gate, self.mlp.up, self.mlp.down):
                layer.weight.copy_(torch.eye(4))
            self.mlp.down.weight[0, 0] += error

    def forward(self, u):
        return self.mlp(u)


def test_a_model_that_is_the_target_is_not_refuted():
    with pytest.raises(Inconclusive, match="growth does not separate"):
        counterexample(ExactSquare(), "square", 1.0, SHAPE)
    with pytest.raises(Inconclusive, match="may equal the target"):
        counterexample(ExactSquare(), "square", 0.0, SHAPE, region=(0.0, 1.0))


def test_one_changed_weight_is_found_on_a_region():
    found = counterexample(ExactSquare(2.0**-40), "square", 0.0, SHAPE, region=(1.0, 0.5))
    assert found.confirmed
    assert 0 < found.miss_high < 1e-10
    assert {m.order for m in found.mismatches} == {0, 1, 2}
    with pytest.raises(Inconclusive, match="largest miss"):
        counterexample(ExactSquare(2.0**-40), "square", 1e-3, SHAPE, region=(1.0, 0.5))


def test_piece_that_agrees_to_first_order_is_told_apart_by_its_second_derivative():
    """relu(2u) - 1 touches u² at 1 with the same slope; only the second derivative differs there."""
    model = Wrap(lambda m, u: torch.relu(2 * u) - 1)
    with flint.ctx.workprec(256):
        jet = Evaluator(trace(model, (1, 1, 1)), 2)([[[1]]], [[[1]]])
    assert [float(c.reshape(-1)[0]) for c in jet.coefficients] == [1.0, 2.0]
    found = counterexample(model, "square", 0.0, (1, 1, 1), region=(1.0, 1e-9))
    assert 2 in {m.order for m in found.mismatches}
    assert found.miss_high < 1e-17
    assert found.confirmed
    assert (found.units, found.active) == (1, 1)


def test_regions_that_grow_exponents_cannot_decide():
    """clamp(u, 0, 1) u is Square on (0, 1): the certificate says linear, the region says equal or refuses."""
    with pytest.raises(Inconclusive, match="ball evaluation"):
        counterexample(any_depth.ClampedGate(), "square", 0.0, SHAPE, region=(0.5, 0.25))
    far = counterexample(any_depth.ClampedGate(), "square", 1.0, SHAPE)
    assert far.proven_miss >= 1
    assert not far.confirmed
    assert "no ball evaluation" in far.note
    assert far.miss_float64 >= 1


WITHOUT_BALLS = {"Fourier", "attention's averaged weights", "group norm", "flattened and back"}


@pytest.mark.parametrize("name", sorted(set(TRACED) - WITHOUT_BALLS))
def test_ball_evaluation_encloses_the_model(name):
    model, program, _ = certified(name)
    u = torch.randn(SHAPE, dtype=torch.float64)
    try:
        out = evaluate(program, u, 200)
    except Unsupported:
        pytest.fail(f"no ball evaluation for {name}")
    with torch.no_grad():
        wanted = run(model, u).numpy()
    for enclosure, value in zip(out.reshape(-1), wanted.reshape(-1), strict=True):
        assert float(enclosure.rad()) < 1e-40
        assert abs(float(enclosure.mid()) - value) <= 1e-11 * max(1.0, abs(value))


@pytest.mark.parametrize("name", ["relu", "silu, rotary, layer norm", "glu, alibi, post norm", "user GPT", "geglu"])
def test_jets_are_the_derivatives(name):
    """Against central differences at step 10^-20 in 600 bits: PyTorch's nested forward mode is not a reference here."""
    factory = MODELS.get(name) or TRACED[name]
    program = trace(build(factory), SHAPE)
    rng = np.random.default_rng(0)
    u, v = rng.integers(-3, 4, SHAPE), rng.integers(-3, 4, SHAPE)
    h = Fraction(1, 10**20)

    def at(s):
        return Evaluator(program)([[[Fraction(int(a)) + s * int(b) for a, b in zip(p, q, strict=True)]
                                    for p, q in zip(u[0], v[0], strict=True)]]).coefficients[0]  # fmt: skip

    with flint.ctx.workprec(600):
        jet = Evaluator(program, 2)(u, v)
        plus, here, minus = at(h), at(Fraction(0)), at(-h)
        first = (plus - minus) / ball(2 * h)
        second = (plus - 2 * here + minus) / ball(2 * h * h)
        for k, wanted in ((1, first), (2, second)):
            gap = (jet.coefficients[k] - wanted).reshape(-1)
            assert max(float(g.abs_upper()) for g in gap) < 1e-30


def test_the_masked_model_is_the_piece_continued():
    program = trace(small().double(), SHAPE)
    u = np.random.default_rng(0).normal(size=SHAPE)
    with flint.ctx.workprec(128):
        here = Evaluator(program)
        value = here(u).coefficients[0]
        masked = Evaluator(program, pattern=here.signs)
        assert all(a.overlaps(b) for a, b in zip(value.reshape(-1), masked(u).coefficients[0].reshape(-1), strict=True))
        other = masked(-3 * u).coefficients[0].reshape(-1)
        model = Evaluator(program)(-3 * u).coefficients[0].reshape(-1)
        assert any(not a.overlaps(b) for a, b in zip(other, model, strict=True))  # elsewhere another piece holds


def test_kinks_are_reported():
    model = Wrap(lambda m, u: torch.relu(u))
    with flint.ctx.workprec(64):
        assert Evaluator(trace(model, (1, 1, 1)))([[[0]]]).coefficients[0].reshape(-1)[0].is_zero()
        with pytest.raises(UncertainSign):
            Evaluator(trace(model, (1, 1, 1)), 1)([[[0]]], [[[1]]])
    away = counterexample(model, "square", 0.0, (1, 1, 1), region=(0.0, 0.5))  # the centre itself is a kink
    assert away.confirmed


def test_dead_units_have_no_kink():
    model = Wrap(lambda m, u: m.down(torch.relu(m.up(u))), up=nn.Linear(4, 6), down=nn.Linear(6, 4))
    with torch.no_grad():
        model.up.weight[2] = 0
        model.up.bias[2] = 0
    found = counterexample(model, "square", 0.0, SHAPE, region=(0.5, 0.25))
    assert found.confirmed
    assert found.units == 30
    with torch.no_grad():
        model.up.weight[2, 0] = 1.0  # alive again, its kink runs through every point with u[., 0] = 0
    with pytest.raises(Inconclusive, match="border"):
        counterexample(Wrap(lambda m, u: m.m(u - u), m=model), "square", 0.0, SHAPE, region=(0.5, 0.25))


def test_a_formula_gives_bound_and_enclosure():
    class Tripled(nn.Module):
        def forward(self, u):
            return torch.tensor((3 * u).tolist(), dtype=u.dtype)

    try:

        @register_formula(Tripled)
        def formula(module, u):
            return 3 * u

        found = counterexample(Tripled(), "square", 3.0, SHAPE)
        assert found.confirmed
        assert growth_certificate(Tripled(), SHAPE).C1 == pytest.approx(3.0)  # noqa: SIM300
    finally:
        FORMULAS.pop(Tripled, None)


def test_the_symbolic_block_is_the_certificate_of_a_block():
    """The induction's symbols, replaced by the norms of a block's weights, give its certificate."""
    torch.manual_seed(0)
    block = TransformerBlock(4, mlp="gelu").double()
    certificate = growth_certificate(block, SHAPE)
    t = any_depth.T
    symbolic = sympy.expand(any_depth.SymbolicBlock("gelu", "none", "pre")(t))
    attention, mlp = block.attention, block.mlp
    values = {"sqrt_n0": math.sqrt(5)}
    for index, layer in ((1, attention.v_proj), (3, attention.out_proj), (5, mlp.up), (7, mlp.down)):
        values[f"w{index}"] = spectral_norm(layer.weight)
        values[f"b{index + 1}"] = math.sqrt(5) * float(layer.bias.detach().norm())
    symbols = {s: values[s.name] for s in symbolic.free_symbols if s != t}
    wanted = [float(c) for c in sympy.Poly(symbolic.subs(symbols), t).all_coeffs()[::-1]]
    assert np.allclose(certificate.coefficients, wanted, rtol=1e-9)


def test_users_modules_have_a_proof_but_no_enclosure():
    class Opaque(nn.Module):
        def forward(self, u):
            return u.abs().sqrt() * u.abs().sqrt()

    try:

        @register_rule(Opaque, analytic="neither")
        def rule(module, x):
            return x.affine(0.0, 1.0)

        found = counterexample(Opaque(), "square", 3.0, SHAPE)
        assert found.proven_miss >= 3
        assert found.miss_low is None
        assert not found.confirmed
        assert found.miss_float64 >= 3
    finally:
        MODULE_RULES.pop(Opaque, None)


def test_bad_arguments():
    model = small()
    for target, shape, message in (
        ("cube", SHAPE, "must be 'square'"),
        ("multiply", (1, 5, 3), "even number"),
        ("gradient_descent", (1, 1, 4), "rows"),
        ({(9, 0): entries(5, 4)[0, 0]}, SHAPE, "names output entry"),
        ({(0, 0): sympy.Symbol("z")}, SHAPE, "unknown symbols"),
        ({(0, 0): sympy.exp(entries(5, 4)[0, 0])}, SHAPE, "not a polynomial"),
        ([[1, 2]], SHAPE, "shape"),
    ):
        other = Transformer(shape[2], shape[2], 4, 1)
        with pytest.raises(ValueError, match=message):
            counterexample(other, target, 1.0, shape)
    with pytest.raises(ValueError, match="step size other than 0"):
        counterexample(model, "gradient_descent", 1.0, SHAPE, step_size=0)
    for margin in (-1.0, math.nan, math.inf):
        with pytest.raises(ValueError, match="margin"):
            counterexample(model, "square", margin, SHAPE)
    with pytest.raises(ValueError, match="margin"):
        counterexample(model, "square", "1", SHAPE)  # type: ignore[arg-type]
    for step_size in (math.nan, math.inf, "x", None):
        with pytest.raises(ValueError, match="step_size must be a finite number"):
            counterexample(model, "gradient_descent", 1.0, SHAPE, step_size=step_size)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="give the output entries"):
        counterexample(model, entries(5, 4)[0, 0] ** 2, 1.0, SHAPE)
    with pytest.raises(TypeError, match=r"torch\.nn\.Module"):
        counterexample(lambda u: u, "square", 1.0, SHAPE)  # type: ignore[arg-type]
    for region in (1, (np.ones((2, 7)), 1.0), ("a", 1.0)):
        with pytest.raises(ValueError, match="a centre that broadcasts"):
            counterexample(model, "square", 0.0, SHAPE, region=region)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="region"):
        counterexample(model, "square", 0.0, SHAPE, region=(0.0, -1.0))
    with pytest.raises(ValueError, match="output of shape"):
        counterexample(Transformer(4, 3, 8, 1), "square", 1.0, SHAPE)
    with pytest.raises(ValueError, match="rows, channels"):
        counterexample(Wrap(lambda m, u: u.flatten(1)), "square", 1.0, SHAPE)


# ---- the theorems: they hold, and their checks can fail --------------------------------------------------------------


@pytest.mark.parametrize("mlp", any_depth.GATED_MLPS)
def test_the_induction_fails_for_gated_mlps(mlp):
    with pytest.raises(Refuted, match="growth exponent 2"):
        any_depth.require_block_degree(mlp, "none", "pre")
    with pytest.raises(Refuted):
        any_depth.require_block_degree("relu", "none", "pre", at_most=0)


def test_wrong_identities_are_refuted(monkeypatch):
    x = sympy.Symbol("x")
    with pytest.raises(Refuted, match="differ"):
        any_depth.require_zero(x**2 - 2 * x + 1 - (x + 1) ** 2, "a wrong sign")
    with pytest.raises(Refuted, match="not strictly increasing"):
        any_depth.require_increasing_between(lambda x: 1 / (1 + sympy.exp(-x)), 0, 2, "twice the sigmoid")
    with pytest.raises(Refuted, match="not strictly increasing"):
        any_depth.require_increasing_between(lambda x: x, 0, 1, "the identity")


def test_the_open_set_steps_fail_for_a_model_that_is_the_target():
    with pytest.raises((Refuted, Inconclusive)):
        any_depth.require_piece_argument(ExactSquare(), "square", SHAPE, 0.5)
    with pytest.raises(Refuted, match="linearly"):
        any_depth.require_piece_argument(any_depth.ClampedGate(), "square", SHAPE, 0.5)


def test_certificates_do_not_contradict_exact_constructions():
    """Both proofs cannot hold: a model that is Square exactly has no certificate of linear growth."""
    with pytest.raises(Inconclusive):
        growth_certificate(ExactSquare(), SHAPE)


def test_a_miss_that_may_be_zero_is_no_counterexample():
    """u·u against Square, computed in two ways whose enclosures overlap: no derivative differs, nothing is claimed."""
    model = Wrap(lambda m, u: (u / 3) * (u * 3))
    with pytest.raises(Inconclusive, match="may equal the target"):
        counterexample(model, "square", 0.0, SHAPE, region=(0.3, 0.1))
    touching = Wrap(lambda m, u: u * u + 0 * torch.exp(-(u**2)))
    with pytest.raises(Inconclusive):
        counterexample(touching, "square", 0.0, SHAPE, region=(0.3, 0.1))


@dataclass
class Outputs:
    """What models of the transformers library return: by name, with the keys and values of every layer kept."""

    last_hidden_state: torch.Tensor
    past_key_values: tuple[tuple[torch.Tensor, torch.Tensor], ...]


class WithCache(nn.Module):
    """A language model as the transformers library writes them, its cache on: embeddings in, an object out."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.config = {"use_cache": True}
        self.attention = SoftmaxAttention(width, 2, "causal")
        self.norm = nn.LayerNorm(width)

    def get_input_embeddings(self) -> None:
        """Models of the library are known by this method and ``config``."""

    def forward(self, input_ids: None = None, inputs_embeds: torch.Tensor | None = None) -> Outputs:
        assert inputs_embeds is not None
        kept = (self.attention.k_proj(inputs_embeds), self.attention.v_proj(inputs_embeds))
        hidden = self.norm(inputs_embeds + self.attention(inputs_embeds))
        return Outputs(hidden, (kept,))


def test_a_language_model_with_its_cache_on():
    torch.manual_seed(0)
    found = counterexample(WithCache(4).eval(), "square", 1.0, (1, 3, 4))
    assert found.proven_miss >= 1
