"""Trained models over balls, layer by layer: their floats are rationals, and every operation of theirs has an enclosure.

``BaseConvModel`` and ``Transformer`` (:mod:`constructions.models`) with any attention, MLP, norm and positions: affine maps and
convolutions as matrices of balls, exp, erf and square roots by Arb. Arrays are (batch, rows, channels), as in the models.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import singledispatch
from typing import cast

import flint
import numpy as np
from torch import Tensor, nn

from constructions.models.baseconv import BaseConvLayer, BaseConvModel
from constructions.models.transformer import (
    MLP,
    GatedMLP,
    LinearAttention,
    MultiheadProjections,
    SoftmaxAttention,
    Transformer,
    TransformerBlock,
    attention_mask,
)

Balls = np.ndarray
Trained = BaseConvModel | Transformer


def trained_states(model: Trained, u: Balls) -> Iterator[Balls]:
    """What stands after every layer (and after the read-out of a Transformer), exactly: (batch, rows, channels) of balls."""
    if isinstance(model, BaseConvModel):
        state = u + balls(model.positions)
        for layer in model.layers:
            state = in_balls(layer, state)
            yield state
        return
    state = in_balls(model.embed, u)
    if model.position is not None:
        state = state + balls(model.position)[: u.shape[1]]
    for block in model.blocks:
        state = in_balls(block, state)
        yield state
    yield in_balls(model.unembed, in_balls(model.final_norm, state))


def computed_states(model: Trained, u: Tensor) -> Iterator[Tensor]:
    """The same as PyTorch computes it."""
    if isinstance(model, BaseConvModel):
        state = u + model.positions
        for layer in model.layers:
            state = layer(state)
            yield state
        return
    state = model.embed(u)
    if model.position is not None:
        state = state + model.position[: u.shape[1]]
    for block in model.blocks:
        state = block(state)
        yield state
    yield model.unembed(model.final_norm(state))


def balls(values: Tensor | np.ndarray) -> Balls:
    """Floats as exact balls."""
    array = values.detach().double().cpu().numpy() if isinstance(values, Tensor) else values
    return np.fromiter((flint.arb(float(value)) for value in array.flat), object, array.size).reshape(array.shape)


def product(left: Balls, right: Balls) -> Balls:
    """``left @ right`` for (..., n) and (n, m)."""
    n, m = right.shape
    rows = left.size // n
    found = flint.arb_mat(rows, n, left.ravel().tolist()) * flint.arb_mat(n, m, right.ravel().tolist())
    return np.fromiter(found.entries(), object, rows * m).reshape(*left.shape[:-1], m)


def each(function: Callable[[flint.arb], flint.arb], values: Balls) -> Balls:
    """A function of every entry."""
    return cast(Balls, np.frompyfunc(function, 1, 1)(values))


@singledispatch
def in_balls(module: nn.Module, x: Balls) -> Balls:
    """What a module of these models computes, over balls; ``TypeError`` for any other."""
    raise TypeError(f"no enclosure is known of {type(module).__name__}")


@in_balls.register
def _(module: nn.Identity, x: Balls) -> Balls:
    return x


@in_balls.register
def _(module: nn.Linear, x: Balls) -> Balls:
    y = product(x, balls(module.weight).T)
    return y if module.bias is None else y + balls(module.bias)


@in_balls.register
def _(module: nn.LayerNorm, x: Balls) -> Balls:
    centred = x - np.add.reduce(x, axis=-1, keepdims=True) / x.shape[-1]
    return _scaled(module, centred, module.eps)


@in_balls.register
def _(module: nn.RMSNorm, x: Balls) -> Balls:
    if module.eps is None:
        raise TypeError("an RMSNorm without eps depends on the format that it runs in: give eps")
    return _scaled(module, x, module.eps)


def _scaled(module: nn.LayerNorm | nn.RMSNorm, x: Balls, eps: float) -> Balls:
    square = np.add.reduce(x * x, axis=-1, keepdims=True) / x.shape[-1] + flint.arb(eps)
    y = x * each(lambda value: value.rsqrt(), square)
    if module.weight is not None:
        y = y * balls(module.weight)
    bias = getattr(module, "bias", None)
    return y if bias is None else y + balls(bias)


def silu(x: flint.arb) -> flint.arb:
    return x / (1 + (-x).exp())


def gelu(x: flint.arb) -> flint.arb:
    return x * (1 + (x / flint.arb(2).sqrt()).erf()) / 2


FUNCTIONS: dict[str, Callable[[flint.arb], flint.arb]] = {
    "relu": lambda x: x.nonnegative_part(),
    "gelu": gelu,
    "silu": silu,
    "glu": lambda x: 1 / (1 + (-x).exp()),
    "swiglu": silu,
    "geglu": gelu,
    "reglu": lambda x: x.nonnegative_part(),
    "bilinear": lambda x: x,
}


@in_balls.register
def _(module: MLP, x: Balls) -> Balls:
    return in_balls(module.down, each(FUNCTIONS[module.activation], in_balls(module.up, x)))


@in_balls.register
def _(module: GatedMLP, x: Balls) -> Balls:
    return in_balls(module.down, each(FUNCTIONS[module.kind], in_balls(module.gate, x)) * in_balls(module.up, x))


def _heads(module: MultiheadProjections, x: Balls) -> tuple[Balls, Balls, Balls]:
    def heads(y: Balls) -> Balls:
        return y.reshape(*y.shape[:2], module.n_heads, module.head_dim).swapaxes(1, 2)

    q, k, v = (heads(in_balls(part, x)) for part in (module.q_proj, module.k_proj, module.v_proj))
    return q, k, v


def _mixed(module: MultiheadProjections, x: Balls, weigh: Callable[[Balls, Balls, int], Balls]) -> Balls:
    """``out(weights · v)``; ``weigh(q, k, head)`` gives the weights (rows, rows) of one sample and head."""
    q, k, v = _heads(module, x)
    mixed = np.empty(v.shape, dtype=object)
    for sample, head in np.ndindex(v.shape[:2]):
        at = sample, head
        mixed[at] = product(weigh(q[at], k[at], head), v[at])
    joined = mixed.swapaxes(1, 2)
    return in_balls(module.out_proj, joined.reshape(*joined.shape[:2], -1))


@in_balls.register
def _(module: LinearAttention, x: Balls) -> Balls:
    seen = attention_mask(x.shape[1], module.mask).numpy()
    return _mixed(module, x, lambda q, k, head: np.where(seen, product(q, k.T), flint.arb(0)))


@in_balls.register
def _(module: SoftmaxAttention, x: Balls) -> Balls:
    n_rows = x.shape[1]
    seen = attention_mask(n_rows, module.mask).numpy()
    root = flint.arb(module.head_dim).rsqrt()
    apart = np.abs(np.subtract.outer(np.arange(n_rows), np.arange(n_rows)))

    def weigh(q: Balls, k: Balls, head: int) -> Balls:
        if module.positions == "rotary":
            q, k = _rotated(q), _rotated(k)
        scores = product(q, k.T) * root
        if module.positions == "alibi":
            slope = flint.arb(2) ** (flint.arb(-8 * (head + 1)) / module.n_heads)
            scores = scores - balls(apart.astype(float)) * slope
        sizes = np.where(seen, each(lambda score: score.exp(), scores), flint.arb(0))
        return sizes / np.add.reduce(sizes, axis=-1, keepdims=True)

    return _mixed(module, x, weigh)


def _rotated(x: Balls) -> Balls:
    """Rotary positions of (rows, head_dim): see :func:`constructions.models.transformer.rotate`."""
    n_rows, dims = x.shape
    found = np.empty(x.shape, dtype=object)
    for row, pair in np.ndindex(n_rows, dims // 2):
        sine, cosine = (row * flint.arb(10000) ** (flint.arb(-2 * pair) / dims)).sin_cos()
        first, second = x[row, pair], x[row, pair + dims // 2]
        found[row, pair] = first * cosine - second * sine
        found[row, pair + dims // 2] = first * sine + second * cosine
    return found


@in_balls.register
def _(module: TransformerBlock, x: Balls) -> Balls:
    for norm, part in ((module.norm1, module.attention), (module.norm2, module.mlp)):
        if part is not None:
            after = module.norm_placement == "post"
            x = in_balls(norm, x + in_balls(part, x)) if after else x + in_balls(part, in_balls(norm, x))
    return x


@in_balls.register
def _(module: BaseConvLayer, x: Balls) -> Balls:
    inside, filter = in_balls(module.in_proj, x), balls(module.filter)
    n_rows = len(filter)
    lags = np.subtract.outer(np.arange(n_rows), np.arange(n_rows))
    visible = (lags >= 0) | (module.mode == "circular")
    conv = np.empty(inside.shape, dtype=object)
    for channel in range(inside.shape[2]):
        toeplitz = np.where(visible, filter[lags % n_rows, channel], flint.arb(0))
        conv[:, :, channel] = product(inside[:, :, channel], toeplitz.T)
    y = in_balls(module.out_proj, (conv + balls(module.conv_bias)) * in_balls(module.gate_proj, x))
    if module.branch_weights is None:
        return y
    own, branch = balls(module.branch_weights)
    return own * y + branch * x
