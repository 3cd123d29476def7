"""Growth certificates: sound at every input tried, tight where that can be known, refused where no rule applies."""

from __future__ import annotations

import math
from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from helpers.models import (
    ALLOWANCE,
    CHANNELS,
    FASTER,
    MODELS,
    ROWS,
    SHAPE,
    TRACED,
    UserGPT,
    Wrap,
    bound,
    build,
    causal,
    certified,
    norms,
    ours,
    run,
)
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from constructions.models.baseconv import BaseConvModel
from constructions.models.transformer import GATE_ACTIVATIONS, LinearAttention, MLPKind, SoftmaxAttention, Transformer
from precls_theory.enclosures.norms import frobenius_norm, spectral_norm
from precls_theory.expressivity import Growth, Inconclusive, growth_certificate, register_rule, registered_rules
from precls_theory.expressivity.growth.certificate import certify
from precls_theory.expressivity.growth.operation import MODULE_RULES, OPERATIONS
from precls_theory.expressivity.growth.value import poly_add, poly_hypot, poly_mul, poly_value
from precls_theory.expressivity.tracing.program import Tensors, walk
from precls_theory.theorems.transformers import any_depth


def worst_ratio(model, certificate, u: Tensor) -> float:
    with torch.no_grad():
        out = norms(run(model, u))
    assert out.isfinite().all()
    return float((out / bound(certificate, norms(u)).clamp_min(1e-300)).max())


def adversarial(model, certificate, scale: float, seed: int, steps: int = 12, count: int = 16) -> Tensor:
    """Gradient ascent on ‖F(u)‖ over inputs of a given norm."""
    generator = torch.Generator().manual_seed(seed)
    u = torch.randn(count, *SHAPE[1:], generator=generator, dtype=torch.float64)
    for _ in range(steps):
        u = (u / norms(u)[:, None, None] * scale).requires_grad_(True)
        (gradient,) = torch.autograd.grad(norms(run(model, u)).sum(), u)
        gradient = torch.nan_to_num(gradient)
        size = norms(gradient).clamp_min(1e-300)[:, None, None]
        u = (u + 0.5 * scale * gradient / size).detach()
    return u


COUNT = 48


def inputs(model, certificate):
    """More than 100 inputs at scales from 1e-9 to 1e9: random, sparse, constant, and by gradient ascent."""
    generator = torch.Generator().manual_seed(1)
    scales = 10.0 ** torch.linspace(-9, 9, COUNT, dtype=torch.float64)[:, None, None]
    dense = torch.randn(COUNT, *SHAPE[1:], generator=generator, dtype=torch.float64) * scales
    spike = torch.zeros_like(dense)
    spike.view(COUNT, -1)[torch.arange(COUNT), torch.arange(COUNT) % (ROWS * CHANNELS)] = scales[:, 0, 0]
    rising = torch.cat([adversarial(model, certificate, scale, 3) for scale in (1e-3, 1.0, 1e3)])
    return dense, spike, torch.ones_like(dense) * scales, rising, torch.zeros_like(dense[:1])


@pytest.mark.parametrize("name", [*MODELS, *FASTER])
def test_no_output_exceeds_its_bound(name):
    model, _, certificate = certified(name)
    for u in inputs(model, certificate):
        assert worst_ratio(model, certificate, u) <= 1 + ALLOWANCE


@given(
    name=st.sampled_from(sorted(MODELS)), seed=st.integers(0, 2**20), exponent=st.integers(-150, 100),
    weights=st.sampled_from([0.0, 3.0]), sparse=st.booleans(),
)  # fmt: skip
def test_no_output_exceeds_its_bound_at_any_scale(name, seed, exponent, weights, sparse):
    model, _, certificate = certified(name, weights)
    generator = torch.Generator().manual_seed(seed)
    u = torch.randn(64, *SHAPE[1:], generator=generator, dtype=torch.float64) * 10.0**exponent
    if sparse:
        u *= torch.rand(u.shape, generator=generator) < 0.2
    assert worst_ratio(model, certificate, u) <= 1 + ALLOWANCE


@pytest.mark.parametrize("operation", ["linear", "softmax", "layer_norm", "add", "matmul"])
def test_a_wrong_rule_is_caught_by_the_same_inputs(operation, monkeypatch):
    """Halve what one rule claims: some input then exceeds the bound, so the test above can fail."""
    for target, record in list(OPERATIONS.items()):
        if str(target).split(".")[1] == operation:

            def wrong(context, record=record, **arguments):
                out = record.growth(context, **arguments)
                return replace(out, norm=tuple(0.4 * c for c in out.norm), entry=math.inf, lower=-math.inf)

            monkeypatch.setitem(OPERATIONS, target, replace(record, growth=wrong))
    models = {
        "linear": nn.Linear(CHANNELS, CHANNELS),
        "softmax": nn.Softmax(-1),
        "layer_norm": nn.LayerNorm(CHANNELS),
        "add": Wrap(lambda m, u: u + u),
        "matmul": Wrap(lambda m, u: u @ m.l.weight, l=nn.Linear(CHANNELS, CHANNELS)),
    }
    model = build(lambda: models[operation])
    certificate = growth_certificate(model, SHAPE)
    u = adversarial(model, certificate, 1e3, 0, steps=40)
    one_hot = 1e6 * torch.eye(CHANNELS, dtype=torch.float64).repeat(1, 2, 1)[:, :ROWS]
    assert max(worst_ratio(model, certificate, u), worst_ratio(model, certificate, one_hot)) > 1.2


@given(seed=st.integers(0, 2**20), rows=st.integers(1, 6), columns=st.integers(1, 6), exponent=st.integers(-200, 100))
def test_spectral_bound_is_an_upper_bound_and_tight(seed, rows, columns, exponent):
    generator = torch.Generator().manual_seed(seed)
    weights = torch.randn(rows, columns, generator=generator, dtype=torch.float64) * 10.0**exponent
    value = spectral_norm(weights)
    any_depth.require_spectral_bound(weights, value)
    assert value <= 1.01 * np.linalg.norm(weights.numpy(), 2)
    exact = sum(Fraction(x) ** 2 for x in weights.flatten().tolist())
    assert Fraction(frobenius_norm(weights)) ** 2 >= exact


def test_a_spectral_bound_that_is_too_small_is_refuted():
    weights = torch.tensor([[3.0, 1.0], [1.0, 2.0]])
    with pytest.raises(any_depth.Refuted, match="not an upper bound"):
        any_depth.require_spectral_bound(weights, spectral_norm(weights) * (1 - 1e-3))


finite = st.floats(0, 1e100)
polynomials = st.lists(finite, min_size=1, max_size=5).map(tuple)


@given(p=polynomials, q=polynomials, t=st.floats(0, 1e10))
def test_polynomial_arithmetic_rounds_up(p, q, t):
    def exact(r):
        return [Fraction(c) for c in r] + [Fraction(0)] * 10

    total, product, root = poly_add(p, q), poly_mul(p, q), poly_hypot(p, q)
    assert all(Fraction(c) >= a + b for c, a, b in zip(total, exact(p), exact(q), strict=False))
    assert all(Fraction(c) ** 2 >= a * a + b * b for c, a, b in zip(root, exact(p), exact(q), strict=False))
    for k, c in enumerate(product):
        assert Fraction(c) >= sum(exact(p)[i] * exact(q)[k - i] for i in range(k + 1))
    assert len(product) <= len(p) + len(q) - 1
    assert poly_value(p, t) == math.inf or Fraction(poly_value(p, t)) >= sum(
        c * Fraction(t) ** i for i, c in enumerate(exact(p))
    )


@pytest.mark.parametrize("name", sorted(MODELS))
def test_linear_growth_is_certified(name):
    _, _, certificate = certified(name)
    assert certificate.exponent <= 1
    assert certificate.C1 is not None
    assert math.isfinite(certificate.C0 + certificate.C1)
    assert certificate.input_shape == SHAPE
    assert certificate.piece_exponent is not None
    assert certificate.piece_exponent <= 1
    piecewise = "relu" in name or "torch" in name or name in ("convolution", "prefix means, concatenation")
    exact = {"torch encoder, pre norm": False}.get(name, piecewise)
    assert certificate.analytic == ("piecewise analytic" if exact else "analytic")
    shown = str(certificate).split("≤ ")[1].split("   for")[0].split(" + ")
    assert float(shown[0]) >= certificate.C0  # what is printed is a bound too
    assert float(shown[0]) <= certificate.C0 * 1.0001
    assert set(certificate.to_json()) >= {"C0", "C1", "exponent", "analytic", "rules"}


@pytest.mark.parametrize("name", sorted(FASTER))
def test_products_are_named_and_get_a_polynomial_bound(name):
    operation = FASTER[name][1]
    model, program, certificate = certified(name)
    with pytest.raises(Inconclusive, match=f"{operation} multiplies quantities") as caught:
        certify(program, model)
    assert caught.value.module
    assert certificate.exponent >= 2
    assert certificate.C1 is None
    assert certify(program, model, exponent=certificate.exponent) == certificate


def test_the_degree_doubles_at_each_baseconv_layer():
    for depth in (1, 2, 3, 4):
        model = BaseConvModel(ROWS, (CHANNELS,) * (depth + 1), (4,) * depth)
        assert growth_certificate(model, SHAPE, exponent=None).exponent == 2**depth


def test_linear_model_is_bounded_tightly():
    model = build(lambda: nn.Linear(CHANNELS, 7, bias=False))
    certificate = growth_certificate(model, SHAPE)
    assert certificate.C0 == 0
    assert pytest.approx(float(torch.linalg.matrix_norm(model.weight.detach(), 2)), rel=1e-2) == certificate.C1
    model.weight.data.zero_()
    assert growth_certificate(model, SHAPE).coefficients == (0.0,)


@pytest.mark.parametrize("norm", ["layer", "rms"])
def test_norm_bound_is_reached_up_to_eps(norm):
    model = build(lambda: nn.LayerNorm(CHANNELS) if norm == "layer" else nn.RMSNorm(CHANNELS, eps=1e-5))
    with torch.no_grad():
        model.weight.fill_(2.0)
        if norm == "layer":
            model.bias.zero_()
    certificate = growth_certificate(model, SHAPE)
    assert certificate.exponent == 0
    u = torch.tensor([1.0, -1.0, 1.0, -1.0], dtype=torch.float64).expand(SHAPE) * 1e6
    assert worst_ratio(model, certificate, u) == pytest.approx(1.0, abs=1e-6)


def test_twelve_layers_of_width_256():
    """As large as the contract asks for; how long it takes is measured, not tested."""
    torch.manual_seed(0)
    model = Transformer(6, 6, 256, 12, 20, n_heads=8, mlp="gelu", norm="layer").eval()
    certificate = growth_certificate(model, (1, 20, 6))
    assert pytest.approx(4372.3382136506125, rel=1e-9) == certificate.C0  # as tight as the bounds of the first version
    assert pytest.approx(2.815643730469198, rel=1e-9) == certificate.C1


# ---- the trace computes what the model computes ----------------------------------------------------------------------


@pytest.mark.parametrize("name", sorted(TRACED))
def test_traced_graph_equals_the_model(name):
    model, program, certificate = certified(name)
    u = torch.randn(SHAPE, dtype=torch.float64)
    with torch.no_grad():
        assert torch.allclose(walk(program, Tensors(u)), run(model, u), rtol=1e-10, atol=1e-12)
    assert worst_ratio(model, certificate, torch.cat([u, 1e4 * u, torch.full_like(u, 1e4)])) <= 1 + ALLOWANCE


# ---- for each rule, a module that violates it ------------------------------------------------------------------------


def quotient(m, u):
    scores = u @ u.transpose(1, 2)
    return (scores / scores.sum(-1, keepdim=True)) @ u


def masked_row(m, u):
    mask = torch.ones(ROWS, ROWS, dtype=torch.bool).tril(-1)  # row 0 sees nothing
    return (u @ u.transpose(1, 2)).masked_fill(~mask, -math.inf).softmax(-1) @ u


def mask_from_input(m, u):
    return (u @ u.transpose(1, 2)).masked_fill(u[..., :1] > 0, -math.inf).softmax(-1) @ u


def control_flow(m, u):
    return u if u.sum() > 0 else u * u


def masked_then_divided(m, u):
    return u.masked_fill(causal()[:, :CHANNELS], -math.inf) / (torch.sigmoid(u) + 1)


VIOLATIONS = {
    "-inf divided by a function of the input": (masked_then_divided, "-inf is divided"),
    "fully masked after a division": (lambda m, u: masked_then_divided(m, u - math.inf).softmax(-1), "inf"),
    "rounded to thousands": (lambda m, u: torch.round(u, decimals=-3), "does not cover"),
    "CELU that grows exponentially": (lambda m, u: F.celu(u, alpha=-1.0), "positive"),
    "ELU of the wrong sign": (lambda m, u: F.elu(u, alpha=-1.0), "positive"),
    "clamp at NaN": (lambda m, u: u.clamp(min=math.nan), "nan"),
    "padded with -inf": (lambda m, u: F.pad(u, (1, -1), value=-math.inf), "-inf"),
    "complex square": (
        lambda m, u: 1 / (1 + torch.real((lambda z: z * z)(torch.fft.fft(u, dim=1)))), "bounded away"
    ),
    "all keys padded": (lambda m, u: m.a(u, u, u, key_padding_mask=torch.ones(1, ROWS) > 0)[0], "masked completely"),
    "attention without softmax": (lambda m, u: (u @ u.transpose(1, 2)) @ u, "multiplies"),
    "attention divided by its sum": (quotient, "denominator"),
    "softmax of the wrong thing": (lambda m, u: u.softmax(-1) * u @ u.transpose(1, 2), "multiplies"),
    "softmax along queries": (lambda m, u: u @ (u.transpose(1, 2) @ u).softmax(-1) * u, "multiplies"),
    "row masked completely": (masked_row, "masked completely"),
    "mask that depends on the input": (mask_from_input, "depends on the input"),
    "layer norm with eps = 0": (lambda m, u: F.layer_norm(u, (CHANNELS,), eps=0.0), "eps = 0.0"),
    "RMS norm with eps = 0": (lambda m, u: F.rms_norm(u, (CHANNELS,), eps=0.0), "eps = 0.0"),
    "RMS norm by hand without eps": (lambda m, u: u * torch.rsqrt(u.pow(2).mean(-1, keepdim=True)), "bounded away"),
    "RMS norm of something else": (lambda m, u: u * u * torch.rsqrt(u.pow(2).mean(-1, keepdim=True) + 1), "multiplies"),
    "MLP with a product": (lambda m, u: m.l(u) * m.l(u + 1), "multiplies"),
    "square": (lambda m, u: u**2, "multiplies"),
    "hidden product": (lambda m, u: ((u + 1) ** 2 - (u - 1) ** 2) / 4, "multiplies"),
    "exponential": (lambda m, u: torch.exp(u), "exponential"),
    "division by the input": (lambda m, u: u / u, "denominator"),
    "variance": (lambda m, u: u.var(-1, keepdim=True).expand_as(u), "multiplies"),
    "unknown operation": (lambda m, u: torch.cdist(u, u), "no rule"),
    "control flow": (control_flow, "control flow"),
    "random numbers": (lambda m, u: u + torch.randn(SHAPE), "random"),
    "random like the input": (lambda m, u: u + torch.randn_like(u), "random"),
    "functional dropout": (lambda m, u: F.dropout(u, 0.5), "random"),
    "in place on a buffer": (lambda m, u: m.b.running_mean.add_(u[0, 0]) + u, "its own buffer"),
    "eps of the wrong sign": (
        lambda m, u: u * torch.rsqrt(torch.add(u.pow(2).mean(-1, keepdim=True), torch.tensor(1.0), alpha=-1)),
        "bounded away",
    ),
    "two outputs": (lambda m, u: (u, u), "wrap it"),
    "filter made from the input": (lambda m, u: F.conv1d(u[:, :4], u[:, :4, :2].transpose(0, 1).expand(4, 4, 2)), "multiplies"),
    "linear map made from the input": (lambda m, u: F.linear(u, u[0]), "multiplies"),
    "outer product": (lambda m, u: torch.einsum("bnd,bnd->bn", u, u), "multiplies"),
    "infinite constant": (lambda m, u: u + torch.full((4,), math.inf), "inf"),
    "embedding of the input": (lambda m, u: m.e(u.clamp(0, 1).long()), "rounds or wraps"),
}  # fmt: skip


@pytest.mark.parametrize("name", sorted(VIOLATIONS))
def test_no_certificate(name):
    function, reason = VIOLATIONS[name]
    torch.manual_seed(0)
    model = Wrap(
        function,
        a=nn.MultiheadAttention(CHANNELS, 2, batch_first=True),
        i=nn.ReLU(inplace=True),
        s=nn.SiLU(inplace=True),
        b=nn.BatchNorm1d(CHANNELS),
        l=nn.Linear(CHANNELS, CHANNELS),
        r=nn.LSTM(CHANNELS, 3, batch_first=True),
        e=nn.Embedding(3, 2),
    ).eval()
    with pytest.raises(Inconclusive, match=reason) as caught:
        growth_certificate(model, SHAPE)
    assert "cannot conclude: " in str(caught.value)


def aliased(m, u):
    x = m.l(u)
    y = x.view(x.shape)
    y.add_(u)
    return x * 2


def assigned(m, u):
    x = m.l(u)
    x[:, 0] = u[:, 0] * 2
    return x


def constant_changes(m, u):
    mask = torch.ones(CHANNELS)
    y = u * mask
    mask.zero_()
    return y + u * mask


OPTIONS = {
    "hardtanh's limits": lambda m, u: F.hardtanh(u, min_val=-100.0, max_val=100.0),
    "hardtanh's limits by position": lambda m, u: F.hardtanh(u, -100.0, 100.0),
    "ReLU6": lambda m, u: F.relu6(u),
    "limits in the wrong order": lambda m, u: u.clamp(70.0, -60.0),
    "comparison with a larger tensor": lambda m, u: (u[:, :1, :1] > -1e9 * m.many).to(u.dtype),
    "a larger tensor compared": lambda m, u: torch.gt(1e9 * m.many, u[:, :1, :1]).to(u.dtype),
    "filled where cropped": lambda m, u: F.pad(u, (1, -1), value=500.0),
    "CELU": lambda m, u: F.celu(u, alpha=3.0),
    "ELU": lambda m, u: F.elu(u, alpha=3.0),
    "complex weights": lambda m, u: torch.real(torch.fft.fft(u, dim=1) @ m.rotation),
    "complex weights, einsum": lambda m, u: torch.real(torch.einsum("bij,jk->bik", torch.fft.fft(u, dim=1), m.rotation)),
    "absolute value of a complex number": lambda m, u: torch.fft.fft(u, dim=1).abs(),
    "type of the input": lambda m, u: u if isinstance(u, Tensor) else u * u,
    "constant that changes": constant_changes,
    "square root": lambda m, u: torch.sqrt(u.abs()),
    "in place through another name": aliased,
    "in place, module": lambda m, u: m.i(x := m.l(u)) + x,
    "in place, positional flag": lambda m, u: F.relu(x := m.l(u), True) + x,
    "in place, other module": lambda m, u: m.s(u),
    "assigned slice": assigned,
    "filled rows": lambda m, u: u.clone().index_fill_(1, torch.tensor([0]), 1.0),
    "rows picked by a tensor": lambda m, u: u[:, torch.tensor([0, 0, 0, 1])],
}  # fmt: skip


@pytest.mark.parametrize("name", sorted(OPTIONS))
def test_options_of_operations_count(name):
    """Each of these once got a bound that ignored an argument."""
    modules = {"l": nn.Linear(CHANNELS, CHANNELS), "i": nn.ReLU(inplace=True), "s": nn.SiLU(inplace=True)}
    model = build(lambda: Wrap(OPTIONS[name], weight=nn.Parameter(torch.zeros(1)), **modules))
    model.many = torch.ones(1, ROWS, 400, dtype=torch.float64)
    model.rotation = 1000j * torch.eye(CHANNELS, dtype=torch.complex128)
    certificate = growth_certificate(model, SHAPE)
    scales = 10.0 ** torch.arange(-6, 7, dtype=torch.float64)
    u = torch.randn(len(scales), *SHAPE[1:], generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    signs = [u, u.abs(), -u.abs(), torch.ones_like(u), -torch.ones_like(u)]
    ratio = worst_ratio(model, certificate, torch.cat([scales[:, None, None] * v for v in signs]))
    assert 0.1 < ratio <= 1 + ALLOWANCE


@pytest.mark.parametrize("kind", sorted(GATE_ACTIVATIONS))
def test_gated_mlps_need_a_norm(kind: MLPKind):
    if kind == "glu":  # the gate is bounded
        assert growth_certificate(ours(mlp=kind), SHAPE).exponent == 1
        return
    with pytest.raises(Inconclusive, match="GatedMLP"):
        growth_certificate(ours(mlp=kind), SHAPE)
    assert growth_certificate(ours(mlp=kind, norm="rms", norm_placement="mlp"), SHAPE).exponent == 1


@pytest.mark.parametrize("scale", [1, 10])
def test_a_bounded_gate_may_be_unbounded_on_its_pieces(scale):
    model = Wrap(lambda m, u: torch.clamp(u, 0.0, float(scale)) * u)
    certificate = growth_certificate(model, SHAPE)
    assert (certificate.exponent, certificate.piece_exponent) == (1, 2)
    elu = growth_certificate(Wrap(lambda m, u: F.elu(u)), SHAPE)
    assert elu.exponent == 1
    assert elu.piece_exponent is None
    assert "exponentially" in elu.piece_reason
    rounded = growth_certificate(Wrap(lambda m, u: torch.round(u)), SHAPE)
    assert rounded.analytic == "neither"


def test_dropout_must_be_off():
    model = UserGPT().train()
    with pytest.raises(Inconclusive, match=r"call model\.eval"):
        growth_certificate(model, SHAPE)
    attention = nn.MultiheadAttention(CHANNELS, 2, dropout=0.5, batch_first=True)
    with pytest.raises(Inconclusive, match=r"call model\.eval"):
        growth_certificate(attention, SHAPE)
    with pytest.raises(Inconclusive, match="batch statistics"):
        growth_certificate(nn.BatchNorm1d(ROWS), SHAPE)


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_weights_must_be_finite(bad):
    model = ours()
    model.blocks[1].mlp.up.weight.data[0, 0] = bad
    with pytest.raises(ValueError, match=r"blocks\.1\.mlp\.up\.weight"):
        growth_certificate(model, SHAPE)


@pytest.mark.filterwarnings("ignore:.*torch.jit.script.*:DeprecationWarning")
def test_bad_arguments():
    with pytest.raises(ValueError, match="positive integers"):
        growth_certificate(ours(), (1, 0, 4))
    with pytest.raises(ValueError, match="exponent"):
        growth_certificate(ours(), SHAPE, exponent=-1)
    for shape in (5, None, "abc", (True, 5, 4), (1.0, 5, 4), ()):
        with pytest.raises(ValueError, match="positive integers"):
            growth_certificate(ours(), shape)  # type: ignore[arg-type]
    assert growth_certificate(ours(), [1, 5, 4]).input_shape == (1, 5, 4)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="meta device"):
        growth_certificate(nn.Linear(4, 4, device="meta"), SHAPE)
    with pytest.raises(Inconclusive, match="TorchScript"):
        growth_certificate(torch.jit.script(nn.Linear(4, 4)), SHAPE)
    with pytest.raises(Inconclusive, match="cannot be copied"), pytest.warns(FutureWarning):
        growth_certificate(nn.utils.weight_norm(nn.Linear(4, 4)), SHAPE)
    with pytest.raises(Inconclusive, match="not bounded") as caught:
        growth_certificate(ours(), SHAPE, exponent=0)
    assert "multiplies" not in str(caught.value)
    with pytest.raises(TypeError, match=r"torch\.nn\.Module"):
        growth_certificate(lambda u: u, SHAPE)  # type: ignore[arg-type]
    with pytest.raises(Inconclusive, match=r"torch\.export refuses"):
        growth_certificate(ours(), (1, 5, 3))
    with pytest.raises(ValueError, match="finite and nonnegative"):
        growth_certificate(ours(), SHAPE).bound(-1.0)


def test_hooks_and_replaced_methods_are_part_of_the_model():
    model = ours()
    model.blocks[0].mlp.register_forward_hook(lambda module, args, out: out * out)
    with pytest.raises(Inconclusive, match="multiplies"):
        growth_certificate(model, SHAPE)

    class Squared(nn.Linear):
        def forward(self, input):
            return super().forward(input) ** 2

    with pytest.raises(Inconclusive, match="multiplies"):
        growth_certificate(Squared(CHANNELS, CHANNELS), SHAPE)

    patched = nn.Linear(CHANNELS, CHANNELS)
    patched.forward = lambda u: u * u  # type: ignore[method-assign]
    with pytest.raises(Inconclusive):
        growth_certificate(nn.Sequential(patched), SHAPE)

    layer = nn.TransformerEncoderLayer(CHANNELS, 2, 8, batch_first=True, norm_first=True).eval()
    layer._ff_block = lambda u: u * u  # type: ignore[method-assign]
    assert any("mul:" in rule for rules in growth_certificate(layer, SHAPE).by_module.values() for rule in rules)

    class Same(nn.LayerNorm):
        pass

    assert growth_certificate(Same(CHANNELS), SHAPE).exponent == 0


def test_the_model_is_not_changed():
    model = ours(positions="rotary", norm="layer")
    before = {name: value.clone() for name, value in model.state_dict().items()}
    attributes = set(vars(model))
    growth_certificate(model, SHAPE)
    assert set(vars(model)) == attributes
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert all(p.requires_grad for p in model.parameters())


# ---- users' rules ----------------------------------------------------------------------------------------------------


class Opaque(nn.Module):
    """3 u, computed where no trace can follow."""

    def forward(self, u):
        return torch.tensor((3 * u).tolist(), dtype=u.dtype)


def test_users_register_rules():
    model = nn.Sequential(nn.Linear(CHANNELS, CHANNELS), Opaque(), nn.Linear(CHANNELS, CHANNELS))
    with pytest.raises(Inconclusive):
        growth_certificate(model, SHAPE)
    try:

        @register_rule(Opaque, statement="‖y‖ = 3 ‖x‖")
        def opaque(module: Opaque, x: Growth) -> Growth:
            return x.affine(0.0, 3.0)

        certificate = growth_certificate(model, SHAPE)
        assert certificate.exponent == 1
        assert "1 (Opaque)" in certificate.by_module
        assert any(rule.name == "Opaque" and rule.proof == "given by the user" for rule in registered_rules())
        alone = growth_certificate(Opaque(), SHAPE)
        assert pytest.approx(3.0) == alone.C1
    finally:
        MODULE_RULES.pop(Opaque, None)


def test_users_rules_are_validated():
    with pytest.raises(TypeError, match=r"torch\.nn\.Module"):
        register_rule(int)
    with pytest.raises(ValueError, match="finite and nonnegative"):
        Growth((2,), (0.0, 1.0)).affine(-1.0, 1.0)
    try:

        @register_rule(Opaque)
        def wrong_shape(module: Opaque, x: Growth) -> Growth:
            return x.affine(0.0, 3.0, shape=(1,))

        with pytest.raises(Inconclusive, match="shape"):
            growth_certificate(Opaque(), SHAPE)
    finally:
        MODULE_RULES.pop(Opaque, None)


def test_every_record_says_what_it_claims():
    records = registered_rules()
    assert len(records) > 200
    assert all(r.statement and r.proof and r.exponent in (0, 1, 2) for r in records)
    assert all(record.target is target for target, record in OPERATIONS.items())


# ---- facts that rules pass on ----------------------------------------------------------------------------------------


def test_softmax_weights_survive_what_keeps_them_weights():
    def through(change):
        return Wrap(lambda m, u: change((u @ u.transpose(1, 2)).softmax(-1)) @ u)

    keep = [
        lambda a: a.clone(),
        lambda a: a * torch.ones(ROWS, ROWS).tril(),
        lambda a: a.tril(),
        lambda a: a.masked_fill(causal(), 0.0),
        lambda a: a.view(1, 1, ROWS, ROWS)[0],
        lambda a: a.transpose(1, 2).transpose(1, 2),
        lambda a: a.flip(2),
    ]
    for change in keep:
        assert pytest.approx(math.sqrt(ROWS)) == growth_certificate(through(change), SHAPE).C1
    # the transposed weights are bounded entrywise only: still linear, with a larger constant
    loose = growth_certificate(through(lambda a: a.transpose(1, 2)), SHAPE)
    assert loose.C1 is not None
    columns = Wrap(lambda m, u: u.transpose(1, 2) @ (u @ u.transpose(1, 2)).softmax(-2))
    assert pytest.approx(math.sqrt(ROWS)) == growth_certificate(columns, SHAPE).C1


def test_repeated_entries_are_counted():
    certificate = growth_certificate(Wrap(lambda m, u: u.repeat(1, 1, 3)), SHAPE)
    assert pytest.approx(math.sqrt(3)) == certificate.C1
    expanded = growth_certificate(Wrap(lambda m, u: u[:, :1].expand(1, 7, CHANNELS)), SHAPE)
    assert pytest.approx(math.sqrt(7)) == expanded.C1
    grouped = Wrap(
        lambda m, u: F.scaled_dot_product_attention(
            u.view(1, ROWS, 4, 1).transpose(1, 2), u[..., :2].view(1, ROWS, 2, 1).transpose(1, 2),
            u[..., :2].view(1, ROWS, 2, 1).transpose(1, 2), enable_gqa=True,
        )
    )  # fmt: skip
    assert pytest.approx(math.sqrt(2 * ROWS)) == growth_certificate(grouped, SHAPE).C1


def test_the_bound_holds_for_a_batch_as_a_whole():
    model = build(lambda: ours())
    certificate = growth_certificate(model, (3, ROWS, CHANNELS))
    u = torch.randn(3, ROWS, CHANNELS, dtype=torch.float64)
    with torch.no_grad():
        assert float(model(u).norm()) <= certificate.bound(float(u.norm()))


@pytest.mark.parametrize("module", [SoftmaxAttention(CHANNELS, 2), LinearAttention(CHANNELS, 2, mask="strict")])
def test_attention_modules_alone(module):
    certificate = growth_certificate(module, SHAPE, exponent=None)
    assert certificate.exponent == (1 if isinstance(module, SoftmaxAttention) else 3)
