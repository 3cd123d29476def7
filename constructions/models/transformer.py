"""Reference PyTorch models: softmax and linear-attention Transformers with every MLP and norm of the field.

They are what theorems about architectures are checked on: exact constructions are loaded into them, growth
certificates are computed for them, and small ones are trained.  No kernel is fused, so that the code reads as the
definition does; tensors are ``(batch, rows, channels)`` throughout.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Literal, get_args

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor, nn

from constructions.networks.layer import Mask

Norm = Literal["none", "layer", "rms"]
NormPlacement = Literal["pre", "post", "mlp"]
MLPKind = Literal["none", "relu", "gelu", "silu", "glu", "swiglu", "geglu", "reglu", "bilinear"]
AttentionKind = Literal["softmax", "linear", "none"]
Positions = Literal["none", "learned", "rotary", "alibi"]


Heads = Float[Tensor, "batch heads rows head_dim"]


def identity(x: Tensor) -> Tensor:
    """The activation of a bilinear MLP's gate."""
    return x


ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {"relu": F.relu, "gelu": F.gelu, "silu": F.silu}
GATE_ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "glu": torch.sigmoid,
    "swiglu": F.silu,
    "geglu": F.gelu,
    "reglu": F.relu,
    "bilinear": identity,
}


def _one_of(name: str, value: object, choices: object) -> None:
    if value not in get_args(choices):
        raise ValueError(f"{name} must be one of {', '.join(map(repr, get_args(choices)))}, got {value!r}")


def attention_mask(n_rows: int, mask: Mask, device: torch.device | None = None) -> Bool[Tensor, "rows rows"]:
    """Boolean ``(n_rows, n_rows)``, true where row i may look at row j: all j, j <= i, or j < i."""
    _one_of("mask", mask, Mask)
    everything = torch.ones(n_rows, n_rows, dtype=torch.bool, device=device)
    return {"full": everything, "causal": everything.tril(), "strict": everything.tril(-1)}[mask]


def make_norm(norm: Norm, width: int, eps: float = 1e-5) -> nn.Module:
    """LayerNorm, RMSNorm or the identity over the last ``width`` channels."""
    _one_of("norm", norm, Norm)
    if norm == "none":
        return nn.Identity()
    return nn.LayerNorm(width, eps=eps) if norm == "layer" else nn.RMSNorm(width, eps=eps)


def rotate(x: Tensor) -> Tensor:
    """Rotary positions (Su et al. 2021): rotate the channel pairs (c, c + d/2) of ``(..., rows, d)`` by row angles."""
    n_rows, dims = x.shape[-2], x.shape[-1]
    frequency = 10000.0 ** (-torch.arange(0, dims, 2, dtype=torch.float64, device=x.device) / dims)
    angle = torch.arange(n_rows, dtype=torch.float64, device=x.device)[:, None] * frequency
    cos, sin = angle.cos().to(x.dtype), angle.sin().to(x.dtype)
    first, second = x[..., : dims // 2], x[..., dims // 2 :]
    return torch.cat([first * cos - second * sin, first * sin + second * cos], dim=-1)


class MLP(nn.Module):
    """``down(act(up(x)))`` with ReLU, GELU (erf) or SiLU."""

    def __init__(self, width: int, hidden: int, activation: str = "relu", bias: bool = True) -> None:
        super().__init__()
        if activation not in ACTIVATIONS:
            raise ValueError(f"activation must be one of {', '.join(map(repr, ACTIVATIONS))}, got {activation!r}")
        self.activation = activation
        self.up = nn.Linear(width, hidden, bias=bias)
        self.down = nn.Linear(hidden, width, bias=bias)

    def forward(self, x: Float[Tensor, "batch rows width"]) -> Float[Tensor, "batch rows width"]:
        result: Tensor = self.down(ACTIVATIONS[self.activation](self.up(x)))
        return result


class GatedMLP(nn.Module):
    """``down(act(gate(x)) * up(x))``: sigmoid-GLU, SwiGLU, GEGLU, ReGLU, bilinear (Shazeer 2020)."""

    def __init__(self, width: int, hidden: int, kind: str = "swiglu", bias: bool = True) -> None:
        super().__init__()
        if kind not in GATE_ACTIVATIONS:
            raise ValueError(f"kind must be one of {', '.join(map(repr, GATE_ACTIVATIONS))}, got {kind!r}")
        self.kind = kind
        self.gate = nn.Linear(width, hidden, bias=bias)
        self.up = nn.Linear(width, hidden, bias=bias)
        self.down = nn.Linear(hidden, width, bias=bias)

    def forward(self, x: Float[Tensor, "batch rows width"]) -> Float[Tensor, "batch rows width"]:
        result: Tensor = self.down(GATE_ACTIVATIONS[self.kind](self.gate(x)) * self.up(x))
        return result


def make_mlp(kind: MLPKind, width: int, hidden: int, bias: bool = True) -> nn.Module | None:
    """The MLP of that kind; ``None`` for ``"none"``."""
    _one_of("mlp", kind, MLPKind)
    if kind == "none":
        return None
    return GatedMLP(width, hidden, kind, bias) if kind in GATE_ACTIVATIONS else MLP(width, hidden, kind, bias)


class MultiheadProjections(nn.Module):
    """Queries, keys and values of ``n_heads`` heads, and the map ``out_proj`` of what they return; all affine.

    ``head_dim`` defaults to ``width / n_heads``.
    """

    def __init__(self, width: int, n_heads: int, head_dim: int | None, bias: bool) -> None:
        super().__init__()
        if head_dim is None and width % n_heads:
            raise ValueError(f"width {width} is not divisible by n_heads {n_heads}; give head_dim")
        self.n_heads, self.head_dim = n_heads, head_dim or width // n_heads
        inner = n_heads * self.head_dim
        self.q_proj = nn.Linear(width, inner, bias=bias)
        self.k_proj = nn.Linear(width, inner, bias=bias)
        self.v_proj = nn.Linear(width, inner, bias=bias)
        self.out_proj = nn.Linear(inner, width, bias=bias)

    def split(self, x: Float[Tensor, "batch rows width"]) -> tuple[Heads, Heads, Heads]:
        """Queries, keys and values, each ``(batch, heads, rows, head_dim)``."""

        def heads(y: Float[Tensor, "batch rows inner"]) -> Heads:
            return y.view(y.shape[0], y.shape[1], self.n_heads, self.head_dim).transpose(1, 2)

        return heads(self.q_proj(x)), heads(self.k_proj(x)), heads(self.v_proj(x))

    def join(self, mixed: Heads) -> Float[Tensor, "batch rows width"]:
        """``out_proj`` of the heads side by side, ``(batch, rows, width)``."""
        result: Tensor = self.out_proj(mixed.transpose(1, 2).flatten(2))
        return result


class SoftmaxAttention(MultiheadProjections):
    """Multi-head softmax self-attention, ``out(softmax(q kᵀ/√d + positions + mask) v)``.

    A strict mask is refused: row 0 would attend to nothing.
    """

    def __init__(
        self,
        width: int,
        n_heads: int = 1,
        mask: Mask = "causal",
        positions: Positions = "none",
        head_dim: int | None = None,
        bias: bool = True,
    ) -> None:
        _one_of("mask", mask, Mask)
        _one_of("positions", positions, Positions)
        if mask == "strict":
            raise ValueError("softmax attention with a strict mask leaves row 0 nothing to attend to; use 'causal'")
        super().__init__(width, n_heads, head_dim, bias)
        self.mask, self.positions = mask, positions
        if positions == "rotary" and self.head_dim % 2:
            raise ValueError(f"rotary positions rotate pairs of channels: head_dim must be even, got {self.head_dim}")

    def forward(self, x: Float[Tensor, "batch rows width"]) -> Float[Tensor, "batch rows width"]:
        n_rows = x.shape[1]
        q, k, v = self.split(x)
        if self.positions == "rotary":
            q, k = rotate(q), rotate(k)
        scores = q @ k.transpose(-2, -1) / math.sqrt(self.head_dim)
        if self.positions == "alibi":  # Press et al. 2021
            row = torch.arange(n_rows, device=x.device)
            slope = 2.0 ** (-8.0 * (torch.arange(self.n_heads, device=x.device) + 1) / self.n_heads)
            scores = scores - slope[:, None, None].to(x.dtype) * (row[:, None] - row).abs().to(x.dtype)
        if self.mask == "causal":
            scores = scores.masked_fill(~attention_mask(n_rows, "causal", x.device), -math.inf)
        return self.join(scores.softmax(dim=-1) @ v)


class LinearAttention(MultiheadProjections):
    """Attention without the softmax, ``y_i = out(Σ_j (q_i · k_j) v_j)`` over the rows that ``mask`` allows.

    ``mask="strict"`` sums over j < i only.  No scale is applied: it belongs to the weights.
    """

    def __init__(
        self, width: int, n_heads: int = 1, mask: Mask = "causal", head_dim: int | None = None, bias: bool = True
    ) -> None:
        _one_of("mask", mask, Mask)
        super().__init__(width, n_heads, head_dim, bias)
        self.mask = mask

    def forward(self, x: Float[Tensor, "batch rows width"]) -> Float[Tensor, "batch rows width"]:
        q, k, v = self.split(x)
        weights = q @ k.transpose(-2, -1)
        if self.mask != "full":
            weights = weights * attention_mask(x.shape[1], self.mask, x.device).to(x.dtype)
        return self.join(weights @ v)


class TransformerBlock(nn.Module):
    """``x + attention(x)``, then ``x + mlp(x)``, with norms before (``pre``), after the sums (``post``), or only
    before the MLP (``mlp``); ``norm="none"`` leaves them out.  ``attention="none"`` or ``mlp="none"`` drops that half.
    """

    def __init__(
        self,
        width: int,
        n_heads: int = 1,
        attention: AttentionKind = "softmax",
        mask: Mask = "causal",
        mlp: MLPKind = "relu",
        hidden: int | None = None,
        norm: Norm = "none",
        norm_placement: NormPlacement = "pre",
        positions: Positions = "none",
        head_dim: int | None = None,
        bias: bool = True,
        dropout: float = 0.0,
        eps: float = 1e-5,
    ) -> None:
        super().__init__()
        _one_of("attention", attention, AttentionKind)
        _one_of("norm_placement", norm_placement, NormPlacement)
        self.norm_placement = norm_placement
        self.attention: nn.Module | None = None
        if attention == "softmax":
            self.attention = SoftmaxAttention(width, n_heads, mask, positions, head_dim, bias)
        elif attention == "linear":
            self.attention = LinearAttention(width, n_heads, mask, head_dim, bias)
        self.mlp = make_mlp(mlp, width, 4 * width if hidden is None else hidden, bias)
        self.norm1 = make_norm(norm if norm_placement != "mlp" else "none", width, eps)
        self.norm2 = make_norm(norm, width, eps)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Float[Tensor, "batch rows width"]) -> Float[Tensor, "batch rows width"]:
        for norm, part in ((self.norm1, self.attention), (self.norm2, self.mlp)):
            if part is None:
                continue
            post = self.norm_placement == "post"
            x = norm(x + self.dropout(part(x))) if post else x + self.dropout(part(norm(x)))
        return x


class Transformer(nn.Module):
    """A stack of :class:`TransformerBlock`: ``(batch, rows, n_in)`` to ``(batch, rows, n_out)``.

    ``embed`` and ``unembed`` are affine maps of the channels; ``positions="learned"`` adds a table of ``n_rows`` rows.
    ``final_norm`` puts the norm before ``unembed`` (GPT-2, Llama).  Other arguments are those of the block.
    """

    def __init__(
        self,
        n_in: int,
        n_out: int,
        width: int,
        depth: int,
        n_rows: int | None = None,
        n_heads: int = 1,
        attention: AttentionKind = "softmax",
        mask: Mask = "causal",
        mlp: MLPKind = "relu",
        hidden: int | None = None,
        norm: Norm = "none",
        norm_placement: NormPlacement = "pre",
        final_norm: bool = False,
        positions: Positions = "none",
        head_dim: int | None = None,
        bias: bool = True,
        dropout: float = 0.0,
        eps: float = 1e-5,
    ) -> None:
        super().__init__()
        if positions == "learned" and n_rows is None:
            raise ValueError("positions='learned' needs n_rows")
        self.embed = nn.Linear(n_in, width)
        self.position: nn.Parameter | None = None
        if positions == "learned":
            self.position = nn.Parameter(0.02 * torch.randn(n_rows or 0, width))
        self.blocks = nn.ModuleList(
            TransformerBlock(
                width,
                n_heads,
                attention,
                mask,
                mlp,
                hidden,
                norm,
                norm_placement,
                "none" if positions == "learned" else positions,
                head_dim,
                bias,
                dropout,
                eps,
            )
            for _ in range(depth)
        )
        self.final_norm = make_norm(norm if final_norm else "none", width, eps)
        self.unembed = nn.Linear(width, n_out)

    def forward(self, u: Float[Tensor, "batch rows n_in"]) -> Float[Tensor, "batch rows n_out"]:
        if u.ndim != 3:
            raise ValueError(f"expected an input of shape (batch, rows, channels), got shape {tuple(u.shape)}")
        x = self.embed(u)
        if self.position is not None:
            if u.shape[1] > self.position.shape[0]:
                raise ValueError(f"positions were made for {self.position.shape[0]} rows, the input has {u.shape[1]}")
            x = x + self.position[: u.shape[1]]
        for block in self.blocks:
            x = block(x)
        result: Tensor = self.unembed(self.final_norm(x))
        return result
