"""Models to certify, as users write them, and their certificates, made once for all tests."""

from __future__ import annotations

import math
from functools import cache

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from constructions.models.baseconv import BaseConvLayer, BaseConvModel, BaseConvOperator
from constructions.models.transformer import Transformer
from precls_theory.expressivity.growth.certificate import GrowthCertificate, certify
from precls_theory.expressivity.tracing.program import Program
from precls_theory.expressivity.tracing.trace import trace

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


@cache
def certified(
    name: str, weights: float = 1.0, dtype: torch.dtype = torch.float64
) -> tuple[nn.Module, Program, GrowthCertificate]:
    """A model of that name, its trace and its certificate of any exponent."""
    model = build(TRACED[name], seed=len(name), scale=weights).to(dtype)
    program = trace(model, SHAPE)
    return model, program, certify(program, model, None)
