"""Exact networks to and from the published code's models: ``TransformerModel`` of ``HazyResearch/precision-ls``.

That model with ``seq_op="base_conv"`` and without MLPs and norms is an embedding ``_read_in``, a table ``wpe`` of positions, L
layers of ours (``in_proj`` is In, ``projection`` Gate, ``out_proj`` Out, all n_embd × n_embd with biases), and ``_read_out``. Its
convolution is a causal ``Conv1d`` of as many taps as rows, whose last tap is lag 0 (``conv_type="short"``), or an FFT with the
filter stored by lag (``"long"``; circular with ``causal=False``). With ``use_resid`` a layer is
``u + w0·Out((f ⋆ In u + In u + bias) ⊙ Gate u) + w1·u``. Read from commit 3f2993b for names and shapes alone.

:func:`to_published` pads a network to the largest of its widths; every weight is rounded once. :func:`from_published` goes
back exactly: floats are rationals, ``_read_in`` and ``_read_out`` are multiplied into the first In and Gate and the last Out over
Q, and what a layer of ours has no place for (a bias of the convolution, the residual) becomes hidden channels of its own.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Literal, SupportsFloat, TypedDict

import numpy as np
import torch
from torch import Tensor

from constructions.models.baseconv import rounded
from constructions.models.exact_weights import exact_layer, rationals, without_branches
from constructions.models.operators import LayerWeights
from constructions.models.own_weights import claiming
from constructions.networks.layer import Mode
from constructions.networks.network import Network

ConvType = Literal["short", "long"]
BLOCK = "_backbone.transformer.h.{}.seq_mixer.base_conv"
MAPS = ("in_proj", "projection", "out_proj")
POSITIONS = "_backbone.transformer.wpe.weight"


class PublishedSettings(TypedDict, total=False):
    """Arguments of the published ``TransformerModel``, by its names."""

    n_dims: int
    n_positions: int
    n_embd: int
    n_layer: int
    n_head: int
    use_mlps: bool
    seq_op: str
    use_resid: bool
    use_bias: bool
    use_seqop_ln: bool
    use_final_ln: bool
    use_mlp_ln: bool
    conv_type: str
    causal: bool
    train_proj: bool
    train_pos: bool
    in_dims: int
    out_dims: int


@dataclass(frozen=True)
class PublishedModel:
    """``state_dict`` for ``load_state_dict(strict=True)`` of ``TransformerModel(**settings)``."""

    state_dict: dict[str, Tensor]
    settings: PublishedSettings


def to_published(
    network: Network, dtype: torch.dtype = torch.float32, conv_type: ConvType | None = None
) -> PublishedModel:
    """The network as a published model: input (B, n_rows, data channels), output (B, n_rows, results).

    The data channels are those that ``encode`` fills, and results come in the order of ``decode``; both at the start of
    the published tasks' rows. ``conv_type`` defaults to "short" for a causal and "long" for a circular network.
    Raises ``ValueError`` for a circular network with "short", ``OverflowError`` where a weight overflows ``dtype``.
    """
    kind: ConvType = conv_type or ("short" if network.mode == "causal" else "long")
    if network.mode == "circular" and kind == "short":
        raise ValueError("the published short convolution is causal: a circular network needs conv_type='long'")
    data = sorted({column for _, column in network.task.free_channels})
    columns = list(network.task.columns)
    n_rows, inputs = network.n_rows, len(network.inputs)
    size = max(inputs, *(max(layer.width, len(layer.outputs)) for layer in network.layers))
    state = {
        "_read_in.weight": scattered(
            (size, len(data)), dict.fromkeys(zip(data, range(len(data)), strict=True), 1), dtype
        ),
        "_read_in.bias": torch.zeros(size, dtype=dtype),
        POSITIONS: scattered((n_rows, size), network.positions, dtype),
    }
    for number, layer in enumerate(network.layers):
        block = BLOCK.format(number)
        for name, sparse in (("projection", layer.gate), ("in_proj", layer.conv), ("out_proj", layer.out)):
            weights = {key: weight for key, weight in sparse.entries().items() if key[1] < sparse.n_in}
            biases = {(row, 0): weight for (row, column), weight in sparse.entries().items() if column == sparse.n_in}
            state[f"{block}.{name}.weight"] = scattered((size, size), weights, dtype)
            state[f"{block}.{name}.bias"] = scattered((size, 1), biases, dtype)[:, 0]
        taps = {
            (unit, lag): tap
            for unit, filter in enumerate(layer.filter_index.tolist())
            for lag, tap in enumerate(layer.filters[filter].taps(n_rows))
        }
        by_lag = scattered((size, n_rows), taps, dtype)
        if kind == "short":
            state[f"{block}.conv.conv.weight"] = by_lag.flip(1)[:, None].contiguous()
            state[f"{block}.conv.conv.bias"] = torch.zeros(size, dtype=dtype)
        else:
            state[f"{block}.conv.filter"] = by_lag
    read = dict.fromkeys(zip(range(len(columns)), columns, strict=True), 1)
    state["_read_out.weight"] = scattered((len(columns), size), read, dtype)
    state["_read_out.bias"] = torch.zeros(len(columns), dtype=dtype)
    settings: PublishedSettings = {
        "n_dims": len(data), "n_positions": n_rows, "n_embd": size, "n_layer": network.depth, "n_head": 1,
        "use_mlps": False, "seq_op": "base_conv", "use_resid": False, "use_bias": True, "use_seqop_ln": False,
        "use_final_ln": False, "use_mlp_ln": False, "conv_type": kind, "causal": network.mode == "causal",
        "train_proj": True, "train_pos": True, "in_dims": len(data), "out_dims": len(columns),
    }  # fmt: skip
    return PublishedModel(state, settings)


def scattered(shape: tuple[int, int], entries: Mapping[tuple[int, int], SupportsFloat], dtype: torch.dtype) -> Tensor:
    """The matrix with these entries, each rounded once; ``OverflowError`` where one overflows ``dtype``."""
    values = np.zeros(shape)
    for place, value in entries.items():
        values[place] = float(value)
    return rounded(values, dtype)


def from_published(model: PublishedModel, like: Network) -> Network:
    """The published model as an exact network that claims what ``like`` claims (:mod:`constructions.models.own_weights`).

    ``like`` must read as many rows and data channels, and give as many results, as the model. Its own weights are not
    used. Raises ``ValueError`` for a model that is not BaseConv layers alone, has missing or unexpected weights, weights
    that are not finite, or other sizes than ``like``.
    """
    settings, state = model.settings, dict(model.state_dict)
    for name, expected in (
        ("seq_op", "base_conv"),
        ("use_mlps", False),
        ("use_seqop_ln", False),
        ("use_final_ln", False),
    ):
        if settings.get(name, not expected if isinstance(expected, bool) else None) != expected:
            raise ValueError(
                f"the model must have {name}={expected!r} to be a BaseConv network, got {settings.get(name)!r}"
            )
    kind, causal = settings.get("conv_type", "short"), bool(settings.get("causal", True))
    if kind not in ("short", "long") or (kind == "short" and not causal):
        raise ValueError(f"convolutions must be 'short' and causal, or 'long': got conv_type={kind!r}, causal={causal}")
    depth, size, n_rows = settings["n_layer"], settings["n_embd"], settings["n_positions"]
    data = sorted({column for _, column in like.task.free_channels})
    shapes = expected_shapes(settings, len(data), len(like.task.columns))
    if (wrong := sorted(set(shapes) ^ set(state))) != []:
        raise ValueError(f"missing or unexpected weights: {', '.join(wrong[:5])}")
    for name, shape in shapes.items():
        if tuple(state[name].shape) != shape:
            raise ValueError(
                f"{name} has shape {tuple(state[name].shape)}, expected {shape} for these settings and claims"
            )
    if n_rows != like.n_rows:
        raise ValueError(f"the model has {n_rows} rows, and what it is to claim has {like.n_rows}")
    exact = {name: rationals(name, value) for name, value in state.items()}

    # The embedding: data channels, and one positional channel for each embedded channel with a constant.
    names = [like.inputs[column] for column in data]
    constants = exact[POSITIONS] + exact["_read_in.bias"]
    positional = [c for c in range(size) if any(constants[:, c])]
    inputs = (*names, *(f"position[{c}]" for c in positional))
    embed = np.full((size, len(inputs)), Fraction(0), dtype=object)
    embed[:, : len(names)] = exact["_read_in.weight"]
    for place, c in enumerate(positional, start=len(names)):
        embed[c, place] = Fraction(1)
    positions = {
        (row, place): constants[row, c]
        for place, c in enumerate(positional, start=len(names))
        for row in range(n_rows)
        if constants[row, c]
    }
    layers = []
    for number in range(depth):
        block = BLOCK.format(number)
        layer = published_layer({name: value for name, value in exact.items() if name.startswith(f"{block}.")}, block)
        if number == 0:
            layer = replace(layer, in_weight=embed.T @ layer.in_weight, gate_weight=embed.T @ layer.gate_weight)
        if number == depth - 1:
            layer = followed(layer, exact["_read_out.weight"].T, exact["_read_out.bias"])
        layers.append(exact_layer(layer))
    mode: Mode = "causal" if causal else "circular"
    return claiming(like, mode=mode, inputs=inputs, layers=tuple(layers), positions=positions)


def expected_shapes(settings: PublishedSettings, n_data: int, n_results: int) -> dict[str, tuple[int, ...]]:
    """Names and shapes of the weights of a published model with these settings."""
    size, n_rows = settings["n_embd"], settings["n_positions"]
    shapes: dict[str, tuple[int, ...]] = {
        "_read_in.weight": (size, n_data), "_read_in.bias": (size,), POSITIONS: (n_rows, size),
        "_read_out.weight": (n_results, size), "_read_out.bias": (n_results,),
    }  # fmt: skip
    for number in range(settings["n_layer"]):
        block = BLOCK.format(number)
        for name in MAPS:
            shapes |= {f"{block}.{name}.weight": (size, size), f"{block}.{name}.bias": (size,)}
        if settings.get("use_resid", True):
            shapes[f"{block}.branch_weights"] = (2,)
        if settings.get("conv_type", "short") == "short":
            shapes |= {f"{block}.conv.conv.weight": (size, 1, n_rows), f"{block}.conv.conv.bias": (size,)}
        else:
            shapes[f"{block}.conv.filter"] = (size, n_rows)
    return shapes


def published_layer(exact: Mapping[str, np.ndarray], block: str) -> LayerWeights:
    """One published layer as one of ours. With ``use_resid`` its convolution adds its input, and its block adds the layer's."""
    weight = {name: (exact[f"{block}.{name}.weight"].T, exact[f"{block}.{name}.bias"]) for name in MAPS}
    short = f"{block}.conv.conv.weight" in exact
    taps = exact[f"{block}.conv.conv.weight"][:, 0, ::-1].T if short else exact[f"{block}.conv.filter"].T
    bias = exact[f"{block}.conv.conv.bias"] if short else 0 * taps[0]
    branches = exact.get(f"{block}.branch_weights")
    if branches is not None:
        taps = np.concatenate([taps[:1] + 1, taps[1:]])
        branches = np.array([branches[0], branches[1] + 1], dtype=object)
    return without_branches(
        LayerWeights(*weight["in_proj"], taps, bias, *weight["projection"], *weight["out_proj"], branches)
    )


def followed(layer: LayerWeights, weight: np.ndarray, bias: np.ndarray) -> LayerWeights:
    """The layer, then ``u @ weight + bias``, multiplied into Out."""
    return replace(layer, out_weight=layer.out_weight @ weight, out_bias=layer.out_bias @ weight + bias)
