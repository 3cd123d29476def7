"""Defining formulas of modules of ``torch.nn``: what they compute in eval mode, in plain tensor operations.

A formula stands in for a module whose own ``forward`` is a fused kernel, takes a fast path in eval mode
(``nn.TransformerEncoderLayer``), or checks its input in ways that cannot be traced.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import nn

from precls_theory.expressivity.tracing import Inconclusive, register_formula


@register_formula(nn.Linear)
def _linear(m: nn.Linear, x: Any) -> Any:
    return torch.nn.functional.linear(x, m.weight, m.bias)


@register_formula(nn.LayerNorm)
def _layer_norm(m: nn.LayerNorm, x: Any) -> Any:
    return torch.nn.functional.layer_norm(x, m.normalized_shape, m.weight, m.bias, m.eps)


@register_formula(nn.RMSNorm)
def _rms_norm(m: nn.RMSNorm, x: Any) -> Any:
    return torch.nn.functional.rms_norm(x, list(m.normalized_shape), m.weight, m.eps)


@register_formula(nn.GroupNorm)
def _group_norm(m: nn.GroupNorm, x: Any) -> Any:
    return torch.nn.functional.group_norm(x, m.num_groups, m.weight, m.bias, m.eps)


def _batch_norm(m: Any, x: Any) -> Any:
    if m.running_mean is None:
        raise Inconclusive(type(m).__name__, "batch statistics are used in eval mode too (track_running_stats=False)")
    scale = (m.running_var + m.eps).rsqrt() * (1 if m.weight is None else m.weight)
    shift = (0 if m.bias is None else m.bias) - m.running_mean * scale
    shape = (1, -1) + (1,) * (x.ndim - 2)
    return x * scale.view(shape) + shift.view(shape)


for _kind in (nn.BatchNorm1d, nn.BatchNorm2d):
    register_formula(_kind)(_batch_norm)


@register_formula(nn.Embedding)
def _embedding(m: nn.Embedding, x: Any) -> Any:
    raise Inconclusive(
        type(m).__name__, "a table look-up needs integer inputs; give the certificate the embedded tensor as its input"
    )


for _dropout in (nn.Dropout, nn.Dropout1d, nn.Dropout2d, nn.AlphaDropout, nn.FeatureAlphaDropout):

    @register_formula(_dropout)
    def _no_dropout(m: nn.Module, x: Any) -> Any:
        return x


_ELEMENTWISE: dict[type[nn.Module], Callable[[Any, Any], Any]] = {
    nn.ReLU: lambda m, x: torch.nn.functional.relu(x, inplace=m.inplace),
    nn.ReLU6: lambda m, x: torch.clamp(x, 0.0, 6.0),
    nn.Hardtanh: lambda m, x: torch.clamp(x, m.min_val, m.max_val),
    nn.Hardswish: lambda m, x: torch.nn.functional.hardswish(x),
    nn.Hardsigmoid: lambda m, x: torch.nn.functional.hardsigmoid(x),
    nn.GELU: lambda m, x: torch.nn.functional.gelu(x, approximate=m.approximate),
    nn.SiLU: lambda m, x: torch.nn.functional.silu(x),
    nn.Mish: lambda m, x: torch.nn.functional.mish(x),
    nn.Sigmoid: lambda m, x: torch.sigmoid(x),
    nn.Tanh: lambda m, x: torch.tanh(x),
    nn.Softplus: lambda m, x: torch.nn.functional.softplus(x, m.beta, m.threshold),
    nn.ELU: lambda m, x: torch.nn.functional.elu(x, m.alpha),
    nn.SELU: lambda m, x: torch.nn.functional.selu(x),
    nn.CELU: lambda m, x: torch.nn.functional.celu(x, m.alpha),
    nn.LeakyReLU: lambda m, x: torch.nn.functional.leaky_relu(x, m.negative_slope),
    nn.Softmax: lambda m, x: torch.softmax(x, m.dim),
    nn.Flatten: lambda m, x: torch.flatten(x, m.start_dim, m.end_dim),
    nn.Unflatten: lambda m, x: x.unflatten(m.dim, m.unflattened_size),
    nn.GLU: lambda m, x: torch.nn.functional.glu(x, m.dim),
    nn.Conv1d: lambda m, x: _conv1d(m, x),
}


def _out_of_place(formula: Callable[[Any, Any], Any]) -> Callable[[Any, Any], Any]:
    def checked(m: Any, x: Any) -> Any:
        if getattr(m, "inplace", False) and not isinstance(m, nn.ReLU):
            raise Inconclusive(type(m).__name__, "inplace=True changes its input; set inplace=False")
        return formula(m, x)

    return checked


for _type, _formula in _ELEMENTWISE.items():
    register_formula(_type)(_out_of_place(_formula))


def _conv1d(m: nn.Conv1d, x: Any) -> Any:
    if m.padding_mode != "zeros":
        x = torch.nn.functional.pad(x, m._reversed_padding_repeated_twice, mode=m.padding_mode)
        return torch.nn.functional.conv1d(x, m.weight, m.bias, m.stride, 0, m.dilation, m.groups)
    return torch.nn.functional.conv1d(x, m.weight, m.bias, m.stride, m.padding, m.dilation, m.groups)


def _check_hint(mask: Any, is_causal: Any) -> None:
    if mask is None and is_causal:
        raise Inconclusive("MultiheadAttention", "is_causal is only a hint; give attn_mask too")


def _masked(scores: Any, mask: Any) -> Any:
    """Boolean masks are true where a row may not look; others are added."""
    return scores.masked_fill(mask, -math.inf) if mask.dtype == torch.bool else scores + mask


@register_formula(nn.MultiheadAttention)
def _multihead_attention(
    m: nn.MultiheadAttention,
    query: Any,
    key: Any,
    value: Any,
    key_padding_mask: Any = None,
    need_weights: bool = True,
    attn_mask: Any = None,
    average_attn_weights: bool = True,
    is_causal: bool = False,
) -> Any:
    """The formula of Vaswani et al. 2017, §3.2.2, with PyTorch's weights; no fast path."""
    _check_hint(attn_mask, is_causal)
    batched = query.ndim == 3
    if not batched:
        query, key, value = (x.unsqueeze(0) for x in (query, key, value))
        key_padding_mask = None if key_padding_mask is None else key_padding_mask.unsqueeze(0)
    elif not m.batch_first:
        query, key, value = (x.transpose(0, 1) for x in (query, key, value))
    width, heads, dims = m.embed_dim, m.num_heads, m.head_dim
    if m._qkv_same_embed_dim:
        weights = m.in_proj_weight.view(3, width, width).unbind(0)
    else:
        weights = (m.q_proj_weight, m.k_proj_weight, m.v_proj_weight)
    biases = (None, None, None) if m.in_proj_bias is None else m.in_proj_bias.view(3, width).unbind(0)
    q, k, v = (torch.nn.functional.linear(*xwb) for xwb in zip((query, key, value), weights, biases, strict=True))
    rows = k.shape[1]
    if m.bias_k is not None and m.bias_v is not None:
        k, v = (torch.cat([x, b.expand(x.shape[0], 1, width)], dim=1) for x, b in ((k, m.bias_k), (v, m.bias_v)))
    if m.add_zero_attn:
        k, v = (torch.cat([x, torch.zeros(x.shape[0], 1, width, dtype=x.dtype)], dim=1) for x in (k, v))
    q, k, v = (x.view(x.shape[0], x.shape[1], heads, dims).transpose(1, 2) for x in (q, k, v))
    scores = q @ k.transpose(-2, -1) / math.sqrt(dims)
    added = (0, k.shape[2] - rows)  # the rows added to keys and values are seen by every query
    if attn_mask is not None:
        mask = torch.nn.functional.pad(attn_mask, added)
        scores = _masked(scores, mask.view(-1, heads, *mask.shape[-2:]) if mask.ndim == 3 else mask)
    if key_padding_mask is not None:
        scores = _masked(scores, torch.nn.functional.pad(key_padding_mask, added)[:, None, None, :])
    attention = torch.softmax(scores, dim=-1)
    mixed = (attention @ v).transpose(1, 2)
    mixed = mixed.reshape(mixed.shape[0], mixed.shape[1], width)
    out = torch.nn.functional.linear(mixed, m.out_proj.weight, m.out_proj.bias)
    if average_attn_weights:
        attention = attention.mean(dim=1)
    if not batched:
        out, attention = out.squeeze(0), attention.squeeze(0)
    elif not m.batch_first:
        out = out.transpose(0, 1)
    return out, attention if need_weights else None


def _attend(m: nn.MultiheadAttention, x: Any, memory: Any, mask: Any, padding: Any) -> Any:
    return m(x, memory, memory, attn_mask=mask, key_padding_mask=padding, need_weights=False)[0]


def _feed_forward(m: Any, x: Any) -> Any:
    activation = m.activation
    return m.linear2(m.dropout(activation(m.linear1(x))))


@register_formula(nn.TransformerEncoderLayer)
def _encoder_layer(
    m: nn.TransformerEncoderLayer,
    src: Any,
    src_mask: Any = None,
    src_key_padding_mask: Any = None,
    is_causal: bool = False,
) -> Any:
    _check_hint(src_mask, is_causal)
    masks = (src_mask, src_key_padding_mask)
    if m.norm_first:
        y = m.norm1(src)
        x = src + m.dropout1(_attend(m.self_attn, y, y, *masks))
        return x + m.dropout2(_feed_forward(m, m.norm2(x)))
    x = m.norm1(src + m.dropout1(_attend(m.self_attn, src, src, *masks)))
    return m.norm2(x + m.dropout2(_feed_forward(m, x)))


@register_formula(nn.TransformerEncoder)
def _encoder(
    m: nn.TransformerEncoder,
    src: Any,
    mask: Any = None,
    src_key_padding_mask: Any = None,
    is_causal: bool | None = None,
) -> Any:
    _check_hint(mask, is_causal)
    for layer in m.layers:
        src = layer(src, src_mask=mask, src_key_padding_mask=src_key_padding_mask)
    return src if m.norm is None else m.norm(src)


@register_formula(nn.TransformerDecoderLayer)
def _decoder_layer(
    m: nn.TransformerDecoderLayer,
    tgt: Any,
    memory: Any,
    tgt_mask: Any = None,
    memory_mask: Any = None,
    tgt_key_padding_mask: Any = None,
    memory_key_padding_mask: Any = None,
    tgt_is_causal: bool = False,
    memory_is_causal: bool = False,
) -> Any:
    _check_hint(tgt_mask, tgt_is_causal)
    _check_hint(memory_mask, memory_is_causal)
    own, cross = (tgt_mask, tgt_key_padding_mask), (memory_mask, memory_key_padding_mask)
    feed = lambda x: m.dropout3(m.linear2(m.dropout(m.activation(m.linear1(x)))))  # noqa: E731
    x = tgt
    if m.norm_first:
        y = m.norm1(x)
        x = x + m.dropout1(_attend(m.self_attn, y, y, *own))
        x = x + m.dropout2(_attend(m.multihead_attn, m.norm2(x), memory, *cross))
        return x + feed(m.norm3(x))
    x = m.norm1(x + m.dropout1(_attend(m.self_attn, x, x, *own)))
    x = m.norm2(x + m.dropout2(_attend(m.multihead_attn, x, memory, *cross)))
    return m.norm3(x + feed(x))
