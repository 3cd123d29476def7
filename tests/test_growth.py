"""Growth certificates: sound at every input tried, tight where that can be known, refused where no rule applies."""

from __future__ import annotations

import math
import time
from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, fx, nn

from constructions.models.baseconv import BaseConvLayer, BaseConvModel, BaseConvOperator
from constructions.models.transformer import GATE_ACTIVATIONS, LinearAttention, MLPKind, SoftmaxAttention, Transformer
from precls_theory.expressivity import Growth, Inconclusive, growth_certificate, register_rule, registered_rules, trace
from precls_theory.expressivity import growth as growth_module
from precls_theory.expressivity.bounds import frobenius_norm, spectral_norm
from precls_theory.expressivity.growth import FUNCTION_RULES, MODULE_RULES, poly_add, poly_hypot, poly_mul, poly_value
from precls_theory.theorems.transformers import any_depth

ROWS, CHANNELS = 5, 4
SHAPE = (1, ROWS, CHANNELS)
ALLOWANCE = 1e-9
"""The bound is about exact arithmetic; float64 evaluation of these small models is far closer than this, relatively."""


class Wrap(nn.Module):
    """Calls ``function(self, u)``; modules given by keyword are registered."""

    def __init__(self, function, **modules):
        super().__init__()
        self.function = function
        for name, module in modules.items():
            setattr(self, name, module)

    def forward(self, u):
        return self.function(self, u)


# ---- code as users write it -----------------------------------------------------------------------------------------


class UserAttention(nn.Module):
    def __init__(self, width, heads, rows, fused):
        super().__init__()
        self.c_attn, self.c_proj = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.drop, self.heads, self.width, self.fused = nn.Dropout(0.1), heads, width, fused
        self.register_buffer("bias", torch.tril(torch.ones(rows, rows)).view(1, 1, rows, rows))

    def forward(self, x):
        b, t, c = x.size()
        q, k, v = self.c_attn(x).split(self.width, dim=2)
        q, k, v = (y.view(b, t, self.heads, c // self.heads).transpose(1, 2) for y in (q, k, v))
        if self.fused:
            y = F.scaled_dot_product_attention(q, k, v, dropout_p=0.1 if self.training else 0.0, is_causal=True)
        else:
            att = (q @ k.transpose(-2, -1)) * (1.0 / math.sqrt(k.size(-1)))
            att = att.masked_fill(self.bias[:, :, :t, :t] == 0, float("-inf"))
            y = self.drop(F.softmax(att, dim=-1)) @ v
        return self.drop(self.c_proj(y.transpose(1, 2).contiguous().view(b, t, c)))


class HandGELU(nn.Module):
    def forward(self, x):
        return 0.5 * x * (1.0 + torch.tanh(math.sqrt(2.0 / math.pi) * (x + 0.044715 * torch.pow(x, 3.0))))


class HandRMSNorm(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.weight = nn.Parameter(torch.rand(width) + 0.5)

    def forward(self, x):
        return self.weight * (x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + 1e-6))


class HandLayerNorm(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.weight = nn.Parameter(torch.rand(width) + 0.5)

    def forward(self, x):
        y = (x - x.mean(-1, keepdim=True)) / torch.sqrt(x.var(-1, keepdim=True, unbiased=False) + 1e-5)
        return self.weight * y


class UserGPT(nn.Module):
    """GPT-2 as in nanoGPT, reading channels instead of tokens."""

    def __init__(self, norm=nn.LayerNorm, fused=False, width=8, heads=2, depth=2, rows=8):
        super().__init__()
        self.read, self.wpe, self.drop = nn.Linear(CHANNELS, width), nn.Embedding(rows, width), nn.Dropout(0.1)
        self.blocks = nn.ModuleList(
            nn.ModuleDict(
                {
                    "ln_1": norm(width), "attn": UserAttention(width, heads, rows, fused), "ln_2": norm(width),
                    "mlp": nn.Sequential(nn.Linear(width, 4 * width), HandGELU(), nn.Linear(4 * width, width)),
                }
            )
            for _ in range(depth)
        )  # fmt: skip
        self.head, self.rows = nn.Linear(width, CHANNELS, bias=False), rows

    def forward(self, u):
        _, t, _ = u.size()
        assert t <= self.rows, "too long"
        x = self.drop(self.read(u) + self.wpe(torch.arange(0, t, dtype=torch.long, device=u.device)))
        for block in self.blocks:
            x = x + block["attn"](block["ln_1"](x))
            x = x + block["mlp"](block["ln_2"](x))
        return self.head(x)


class Conv1D(nn.Module):
    """A linear layer as GPT-2's published weights have it: ``x W + b`` by addmm."""

    def __init__(self, n_in, n_out):
        super().__init__()
        self.weight, self.bias = nn.Parameter(torch.randn(n_in, n_out) / n_in**0.5), nn.Parameter(torch.zeros(n_out))

    def forward(self, x):
        size = (*x.size()[:-1], self.weight.shape[1])
        return torch.addmm(self.bias, x.view(-1, x.size(-1)), self.weight).view(size)


class UserGPT2(nn.Module):
    """GPT-2 attention with a finite mask value chosen by ``torch.where``, and an additive mask."""

    def __init__(self, width=8, heads=2, rows=16):
        super().__init__()
        self.read, self.heads = nn.Linear(CHANNELS, width), heads
        self.c_attn, self.c_proj, self.ln = Conv1D(width, 3 * width), Conv1D(width, width), nn.LayerNorm(width)
        self.fc, self.proj, self.head = Conv1D(width, 4 * width), Conv1D(4 * width, width), nn.Linear(width, CHANNELS)
        self.register_buffer("bias", torch.tril(torch.ones((rows, rows), dtype=torch.bool)).view(1, 1, rows, rows))

    def attention(self, x):
        query, key, value = self.c_attn(x).split(x.shape[-1], dim=2)

        def split_heads(tensor):
            shape = (*tensor.size()[:-1], self.heads, tensor.size(-1) // self.heads)
            return tensor.view(shape).permute(0, 2, 1, 3)

        query, key, value = split_heads(query), split_heads(key), split_heads(value)
        weights = torch.matmul(query, key.transpose(-1, -2)) / torch.full([], value.size(-1) ** 0.5, dtype=value.dtype)
        n, m = query.size(-2), key.size(-2)
        lowest = torch.full([], torch.finfo(weights.dtype).min, dtype=weights.dtype)
        weights = torch.where(self.bias[:, :, m - n : m, :m], weights, lowest)
        weights = nn.functional.softmax(weights, dim=-1).type(value.dtype)
        out = torch.matmul(weights, value).permute(0, 2, 1, 3).contiguous()
        return self.c_proj(out.view(*out.size()[:-2], -1))

    def forward(self, u):
        x = self.read(u)
        x = x + self.attention(self.ln(x))
        return self.head(x + self.proj(HandGELU()(self.fc(self.ln(x)))))


class UserLlama(nn.Module):
    """Rotary positions by rotate_half, grouped keys and values, RMSNorm by hand, SwiGLU: bounded by its norms."""

    def __init__(self, width=8, heads=4, groups=2, normalised=True):
        super().__init__()
        self.read, self.head = nn.Linear(CHANNELS, width), nn.Linear(width, CHANNELS, bias=False)
        self.heads, self.groups, self.dims = heads, groups, width // heads
        self.q, self.o = nn.Linear(width, width, bias=False), nn.Linear(width, width, bias=False)
        self.k = nn.Linear(width, groups * self.dims, bias=False)
        self.v = nn.Linear(width, groups * self.dims, bias=False)
        self.gate, self.up, self.down = nn.Linear(width, 12), nn.Linear(width, 12), nn.Linear(12, width)
        self.norm1 = HandRMSNorm(width)
        self.norm2 = HandRMSNorm(width) if normalised else nn.Identity()
        self.register_buffer("inv_freq", 1.0 / 100 ** (torch.arange(0, self.dims, 2).float() / self.dims))

    def forward(self, u):
        x = self.read(u)
        b, t, _ = x.shape
        angle = torch.outer(torch.arange(t, dtype=self.inv_freq.dtype), self.inv_freq)
        cos, sin = torch.cat((angle, angle), -1).cos(), torch.cat((angle, angle), -1).sin()

        def rotate(y):
            first, second = y.chunk(2, dim=-1)
            return y * cos + torch.cat((-second, first), dim=-1) * sin

        def repeat(y):
            n = self.heads // self.groups
            wide = y[:, :, None, :, :].expand(b, self.groups, n, t, self.dims)
            return wide.reshape(b, self.heads, t, self.dims)

        h = self.norm1(x)
        q = self.q(h).view(b, t, self.heads, self.dims).transpose(1, 2)
        k, v = (f(h).view(b, t, self.groups, self.dims).transpose(1, 2) for f in (self.k, self.v))
        scores = torch.matmul(rotate(q), repeat(rotate(k)).transpose(2, 3)) / math.sqrt(self.dims)
        scores = scores + torch.triu(torch.full((t, t), -math.inf, dtype=x.dtype), diagonal=1)
        weights = F.softmax(scores, dim=-1, dtype=torch.float64).to(q.dtype)
        x = x + self.o(torch.matmul(weights, repeat(v)).transpose(1, 2).reshape(b, t, -1))
        h = self.norm2(x)
        return self.head(x + self.down(F.silu(self.gate(h)) * self.up(h)))


def ours(**kw):
    return Transformer(CHANNELS, CHANNELS, 8, 2, ROWS, n_heads=2, **kw)


MODELS = {
    "relu": lambda: ours(),
    "gelu, learned positions": lambda: ours(mlp="gelu", positions="learned", mask="full"),
    "silu, rotary, layer norm": lambda: ours(mlp="silu", positions="rotary", norm="layer"),
    "glu, alibi, post norm": lambda: ours(mlp="glu", positions="alibi", norm="layer", norm_placement="post"),
    "swiglu, rms norm": lambda: ours(mlp="swiglu", norm="rms", final_norm=True),
    "bilinear, norm before mlp": lambda: ours(mlp="bilinear", norm="layer", norm_placement="mlp"),
    "attention only": lambda: ours(mlp="none"),
    "torch encoder, post norm": lambda: nn.TransformerEncoder(
        nn.TransformerEncoderLayer(CHANNELS, 2, 8, batch_first=True), 2
    ),
    "torch encoder, pre norm": lambda: nn.TransformerEncoder(
        nn.TransformerEncoderLayer(CHANNELS, 2, 8, batch_first=True, norm_first=True, activation="gelu"),
        2, enable_nested_tensor=False,
    ),
    "torch decoder layer": lambda: nn.TransformerDecoderLayer(CHANNELS, 2, 8, batch_first=True, norm_first=True),
    "multihead attention": lambda: nn.MultiheadAttention(CHANNELS, 2, batch_first=True),
    "user GPT": lambda: UserGPT(),
    "user GPT, fused, RMS norm": lambda: UserGPT(HandRMSNorm, fused=True),
    "user GPT, hand layer norm": lambda: UserGPT(HandLayerNorm),
    "user GPT, no norm": lambda: UserGPT(lambda width: nn.Identity(), fused=True),
    "GPT-2 with addmm and where": lambda: UserGPT2(),
    "user Llama": lambda: UserLlama(),
    "convolution": lambda: Wrap(
        lambda m, u: F.softplus(m.conv(u.transpose(1, 2)).transpose(1, 2)),
        conv=nn.Conv1d(CHANNELS, CHANNELS, 3, padding=1, groups=2),
    ),
    "sigmoid attention": lambda: Wrap(
        lambda m, u: torch.sigmoid(m.q(u) @ u.transpose(1, 2)) @ u / ROWS, q=nn.Linear(CHANNELS, CHANNELS)
    ),
    "einsum attention": lambda: Wrap(
        lambda m, u: torch.einsum("bij,bjd->bid", torch.einsum("bid,bjd->bij", m.q(u), u).softmax(-1), u),
        q=nn.Linear(CHANNELS, CHANNELS),
    ),
    "prefix means, concatenation": lambda: Wrap(
        lambda m, u: m.out(torch.cat([u.cumsum(1), u.mean(1, keepdim=True).expand_as(u), F.leaky_relu(u).flip(1)], -1)),
        out=nn.Linear(3 * CHANNELS, CHANNELS),
    ),
    "NumPy's argument names": lambda: Wrap(
        lambda m, u: u.mean(axis=1, keepdims=True) + torch.softmax(input=u, dim=1) + u.sum(axis=-1, keepdims=True)
    ),
    "Fourier": lambda: Wrap(lambda m, u: torch.fft.irfft(torch.fft.rfft(u, n=2 * ROWS, dim=1), n=2 * ROWS, dim=1)),
}  # fmt: skip
FASTER = {
    "swiglu": (lambda: ours(mlp="swiglu"), "mul"),
    "geglu": (lambda: ours(mlp="geglu"), "mul"),
    "reglu": (lambda: ours(mlp="reglu"), "mul"),
    "bilinear": (lambda: ours(mlp="bilinear"), "mul"),
    "Llama without its second norm": (lambda: UserLlama(normalised=False), "mul"),
    "linear attention": (lambda: ours(attention="linear", mlp="none"), "matmul"),
    "BaseConv operator": (lambda: BaseConvOperator(ROWS, CHANNELS), "mul"),
    "BaseConv layer": (lambda: BaseConvLayer(ROWS, CHANNELS, CHANNELS, 6, "circular", branch_weights=True), "mul"),
    "BaseConv model": (lambda: BaseConvModel(ROWS, (CHANNELS, 3, CHANNELS), (5, 5)), "mul"),
}


def build(factory, seed=0, scale=1.0):
    torch.manual_seed(seed)
    model = factory().double().eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(scale).add_(0.1 * torch.randn_like(parameter))
    return model


def run(model, u):
    if isinstance(model, nn.MultiheadAttention):
        return model(u, u, u, need_weights=False)[0]
    return model(u, u) if isinstance(model, nn.TransformerDecoderLayer) else model(u)


def norms(x: Tensor) -> Tensor:
    return x.flatten(1).norm(dim=1)


def bound(certificate, size: Tensor) -> Tensor:
    return sum(c * size**i for i, c in enumerate(certificate.coefficients))


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


WEIGHTS, COUNT = (0.3, 1.0, 3.0), 48


@pytest.mark.parametrize("name", [*MODELS, *FASTER])
def test_no_output_exceeds_its_bound(name):
    """Together more than 10,000 inputs at scales from 1e-9 to 1e9: random, sparse, constant, and by gradient ascent."""
    factory = MODELS[name] if name in MODELS else FASTER[name][0]
    tested = 0
    for weights in WEIGHTS:
        model = build(factory, seed=len(name), scale=weights)
        certificate = growth_certificate(model, SHAPE, exponent=None)
        generator = torch.Generator().manual_seed(1)
        scales = 10.0 ** torch.linspace(-9, 9, COUNT, dtype=torch.float64)[:, None, None]
        dense = torch.randn(COUNT, *SHAPE[1:], generator=generator, dtype=torch.float64) * scales
        spike = torch.zeros_like(dense)
        spike.view(COUNT, -1)[torch.arange(COUNT), torch.arange(COUNT) % (ROWS * CHANNELS)] = scales[:, 0, 0]
        equal = torch.ones_like(dense) * scales
        rising = torch.cat([adversarial(model, certificate, scale, 3) for scale in (1e-3, 1.0, 1e3)])
        for u in (dense, spike, equal, rising, torch.zeros_like(dense[:1])):
            assert worst_ratio(model, certificate, u) <= 1 + ALLOWANCE
            tested += len(u)
    assert tested * len([*MODELS, *FASTER]) >= 10_000


@given(
    name=st.sampled_from(sorted(MODELS)), seed=st.integers(0, 2**20), exponent=st.integers(-150, 100),
    weights=st.floats(0, 8), sparse=st.booleans(),
)  # fmt: skip
def test_no_output_exceeds_its_bound_at_any_scale(name, seed, exponent, weights, sparse):
    model = build(MODELS[name], seed, weights)
    certificate = growth_certificate(model, SHAPE, exponent=None)
    generator = torch.Generator().manual_seed(seed)
    u = torch.randn(64, *SHAPE[1:], generator=generator, dtype=torch.float64) * 10.0**exponent
    if sparse:
        u *= torch.rand(u.shape, generator=generator) < 0.2
    assert worst_ratio(model, certificate, u) <= 1 + ALLOWANCE


@pytest.mark.parametrize("operation", ["linear", "softmax", "layer_norm", "add", "matmul"])
def test_a_wrong_rule_is_caught_by_the_same_inputs(operation, monkeypatch):
    """Halve what one rule claims: some input then exceeds the bound, so the test above can fail."""
    rule = FUNCTION_RULES[operation]

    def wrong(context, *args, **kwargs):
        out = rule.apply(context, *args, **kwargs)
        return replace(out, norm=tuple(0.4 * c for c in out.norm), entry=math.inf)

    monkeypatch.setitem(FUNCTION_RULES, operation, replace(rule, apply=wrong))
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
    certificate = growth_certificate(build(MODELS[name]), SHAPE)
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
    factory, operation = FASTER[name]
    model = build(factory)
    with pytest.raises(Inconclusive, match=f"{operation} multiplies quantities") as caught:
        growth_certificate(model, SHAPE)
    assert caught.value.module
    certificate = growth_certificate(model, SHAPE, exponent=None)
    assert certificate.exponent >= 2
    assert certificate.C1 is None
    assert growth_certificate(model, SHAPE, exponent=certificate.exponent) == certificate


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


@pytest.mark.parametrize(
    "model",
    [
        lambda: Transformer(6, 6, 256, 12, 20, n_heads=8, mlp="gelu", norm="layer"),
        lambda: Transformer(6, 6, 256, 12, 20, n_heads=8, positions="learned"),
        lambda: nn.Sequential(
            nn.Linear(6, 256),
            nn.TransformerEncoder(nn.TransformerEncoderLayer(256, 8, 1024, batch_first=True), 12),
        ),
    ],
)
def test_twelve_layers_of_width_256_take_less_than_five_seconds(model):
    model = model().eval()
    start = time.process_time()  # other processes of a parallel test run do not count
    certificate = growth_certificate(model, (1, 20, 6))
    assert time.process_time() - start < 5
    assert certificate.exponent <= 1


# ---- the trace computes what the model computes ----------------------------------------------------------------------


def causal(rows=ROWS):
    return torch.ones(rows, rows, dtype=torch.bool).triu(1)


def last_row(u):
    return (torch.arange(ROWS) == ROWS - 1).expand(u.shape[0], ROWS)


def gate_in_place(m, u):
    """The value of ``out`` as it was made, 5, is what counts; at the zero input it becomes 2.5."""
    out = u.new_full(u.shape, 5.0)
    return out.mul_(torch.sigmoid(u))


TRACED = {
    **MODELS,
    "constant changed in place": lambda: Wrap(gate_in_place),
    "in place where nothing else looks": lambda: Wrap(
        lambda m, u: m.n(m.l(u).add_(u).mul_(0.5)), l=nn.Linear(CHANNELS, CHANNELS), n=nn.ReLU(inplace=True)
    ),
    **{name: factory for name, (factory, _) in FASTER.items()},
    "encoder with a boolean mask": lambda: Wrap(
        lambda m, u: m.e(u, mask=causal()),
        e=nn.TransformerEncoder(nn.TransformerEncoderLayer(CHANNELS, 2, 8, batch_first=True), 1),
    ),
    "encoder with a float mask, rows first": lambda: Wrap(
        lambda m, u: m.e(u.transpose(0, 1), nn.Transformer.generate_square_subsequent_mask(ROWS).double())
        .transpose(0, 1),
        e=nn.TransformerEncoderLayer(CHANNELS, 2, 8, dropout=0.0, norm_first=True),
    ),
    "attention with different key sizes": lambda: Wrap(
        lambda m, u: m.a(u, u[..., :3], u[..., :2], average_attn_weights=False)[0],
        a=nn.MultiheadAttention(CHANNELS, 2, kdim=3, vdim=2, batch_first=True, bias=False),
    ),
    "attention's averaged weights": lambda: Wrap(
        lambda m, u: m.a(u, u, u)[1] @ u, a=nn.MultiheadAttention(CHANNELS, 2, batch_first=True)
    ),
    **{
        f"attention with {', '.join(options)}": lambda options=options: Wrap(
            lambda m, u: m.a(u, u, u, key_padding_mask=last_row(u), attn_mask=causal())[0],
            a=nn.MultiheadAttention(CHANNELS, 2, batch_first=True, **dict.fromkeys(options, True)),
        )
        for options in (("bias",), ("add_bias_kv",), ("add_zero_attn",), ("add_bias_kv", "add_zero_attn"))
    },
    "unbatched attention, added padding": lambda: Wrap(
        lambda m, u: torch.stack([m.a(x, x, x, key_padding_mask=-3 * last_row(u)[0].double())[0] for x in u.unbind(0)]),
        a=nn.MultiheadAttention(CHANNELS, 2),
    ),
    "encoder with padding": lambda: Wrap(
        lambda m, u: m.e(u, mask=causal(), src_key_padding_mask=last_row(u)),
        e=nn.TransformerEncoder(
            nn.TransformerEncoderLayer(CHANNELS, 2, 8, batch_first=True, norm_first=True), 2, enable_nested_tensor=False
        ),
    ),
    "group norm": lambda: nn.GroupNorm(ROWS, ROWS),
    "flattened and back": lambda: nn.Sequential(nn.Flatten(), nn.Unflatten(1, (ROWS, CHANNELS)), nn.SELU(), nn.CELU()),
    "batch norm": lambda: Wrap(lambda m, u: m.b(u.transpose(1, 2)).transpose(1, 2), b=nn.BatchNorm1d(CHANNELS)),
}  # fmt: skip


@pytest.mark.parametrize("name", sorted(TRACED))
def test_traced_graph_equals_the_model(name):
    model = build(TRACED[name])
    program = trace(model, SHAPE)
    u = torch.randn(SHAPE, dtype=torch.float64)
    traced = fx.GraphModule(program.root, program.graph)
    assert torch.allclose(traced(u), run(model, u), rtol=1e-10, atol=1e-12)
    certificate = growth_certificate(model, SHAPE, exponent=None)
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


def masked_then_divided(m, u):
    return u.masked_fill(causal()[:, :CHANNELS], -math.inf) / (torch.sigmoid(u) + 1)


VIOLATIONS = {
    "-inf divided by a function of the input": (masked_then_divided, "-inf is divided"),
    "fully masked after a division": (lambda m, u: masked_then_divided(m, u - math.inf).softmax(-1), "inf"),
    "rounded to thousands": (lambda m, u: torch.round(u, decimals=-3), "does not cover"),
    "CELU that grows exponentially": (lambda m, u: F.celu(u, alpha=-1.0), "positive"),
    "ELU of the wrong sign": (lambda m, u: F.elu(u, alpha=-1.0), "positive"),
    "clamp at NaN": (lambda m, u: u.clamp(min=math.nan), "NaN"),
    "padded with -inf": (lambda m, u: F.pad(u, (1, -1), value=-math.inf), "infinity"),
    "complex square": (
        lambda m, u: 1 / (1 + torch.real((lambda z: z * z)(torch.fft.fft(u, dim=1)))), "bounded away"
    ),
    "absolute value of a complex number": (lambda m, u: torch.fft.fft(u, dim=1).abs(), "complex"),
    "type of the input": (lambda m, u: u * u if isinstance(u, Tensor) else u, "do not reproduce"),
    "type of the input, by torch": (lambda m, u: u * u if torch.is_tensor(u) else u, "do not reproduce"),
    "all keys padded": (lambda m, u: m.a(u, u, u, key_padding_mask=torch.ones(1, ROWS) > 0)[0], "masked completely"),
    "constant that changes": (constant_changes, "constant is changed in place"),
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
    "square root": (lambda m, u: torch.sqrt(u.abs()), "bounded away"),
    "division by the input": (lambda m, u: u / u, "denominator"),
    "variance": (lambda m, u: u.var(-1, keepdim=True).expand_as(u), "multiplies"),
    "unknown operation": (lambda m, u: torch.cdist(u, u), "no rule"),
    "control flow": (control_flow, "control flow"),
    "random numbers": (lambda m, u: u + torch.randn(SHAPE), "random"),
    "random like the input": (lambda m, u: u + torch.randn_like(u), "random"),
    "functional dropout": (lambda m, u: F.dropout(u, 0.5), "random"),
    "in place through another name": (aliased, "in place"),
    "in place, module": (lambda m, u: m.i(x := m.l(u)) + x, "in place"),
    "in place, positional flag": (lambda m, u: F.relu(x := m.l(u), True) + x, "in place"),
    "in place on a buffer": (lambda m, u: m.b.running_mean.add_(u[0, 0]) + u, "in place"),
    "assigned slice": (assigned, "item assignment"),
    "in place, other module": (lambda m, u: m.s(u), "inplace=True"),
    "eps of the wrong sign": (
        lambda m, u: u * torch.rsqrt(torch.add(u.pow(2).mean(-1, keepdim=True), torch.tensor(1.0), alpha=-1)),
        "bounded away",
    ),
    "bits reinterpreted": (lambda m, u: u.view(torch.int32).float(), "bits"),
    "assignment to a slice": (lambda m, u: u.clone().index_fill_(1, torch.tensor([0]), 1.0), "no rule"),
    "two outputs": (lambda m, u: (u, u), "wrap it"),
    "filter made from the input": (lambda m, u: F.conv1d(u, u[:, :4, :2].transpose(0, 1)[:4]), "input"),
    "linear map made from the input": (lambda m, u: F.linear(u, u[0]), "multiplies"),
    "outer product": (lambda m, u: torch.einsum("bnd,bnd->bn", u, u), "multiplies"),
    "infinite constant": (lambda m, u: u + torch.full((4,), math.inf), "inf"),
    "LSTM": (lambda m, u: m.r(u)[0], "no rule for LSTM"),
    "embedding of the input": (lambda m, u: m.e(u.long()), "look-up"),
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
    "rows picked by a tensor": lambda m, u: u[:, torch.tensor([0, 0, 0, 1])],
}  # fmt: skip


@pytest.mark.parametrize("name", sorted(OPTIONS))
def test_options_of_operations_count(name):
    """Each of these once got a bound that ignored an argument."""
    model = build(lambda: Wrap(OPTIONS[name], weight=nn.Parameter(torch.zeros(1))))
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
    with pytest.raises(Inconclusive, match="Linear"):
        growth_certificate(ours(), (1, 5, 3))
    with pytest.raises(ValueError, match="finite and nonnegative"):
        growth_certificate(ours(), SHAPE).bound(-1.0)


def test_hooks_and_overridden_methods_void_a_rule():
    model = ours()
    model.blocks[0].mlp.register_forward_hook(lambda module, args, out: out * out)
    with pytest.raises(Inconclusive, match="hooks"):
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
    with pytest.raises(Inconclusive, match="no rule for TransformerEncoderLayer"):
        growth_certificate(layer, SHAPE)

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
        return torch.from_numpy(3 * u.detach().numpy())


def test_users_register_rules(monkeypatch):
    monkeypatch.setattr(growth_module, "MODULE_RULES", MODULE_RULES)
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


def test_every_rule_says_what_it_claims():
    rules = registered_rules()
    assert len(rules) > 40
    assert all(rule.statement and rule.proof and rule.exponent in (0, 1, 2) for rule in rules)
    assert len({name for rule in rules for name in rule.name.split(", ")}) >= len(FUNCTION_RULES)


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
