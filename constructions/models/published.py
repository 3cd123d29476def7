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
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor

from constructions.algebra.filters import DELTA, Filter
from constructions.networks.layer import Layer, SparseMap
from constructions.networks.network import Network

ConvType = Literal["short", "long"]
BLOCK = "_backbone.transformer.h.{}.seq_mixer.base_conv"
POSITIONS = "_backbone.transformer.wpe.weight"


@dataclass(frozen=True)
class PublishedModel:
    """``state_dict`` for ``load_state_dict(strict=True)`` of ``TransformerModel(**settings)``."""

    state_dict: dict[str, Tensor]
    settings: dict[str, Any]


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
    settings = {
        "n_dims": len(data), "n_positions": n_rows, "n_embd": size, "n_layer": network.depth, "n_head": 1,
        "use_mlps": False, "seq_op": "base_conv", "use_resid": False, "use_bias": True, "use_seqop_ln": False,
        "use_final_ln": False, "use_mlp_ln": False, "conv_type": kind, "causal": network.mode == "causal",
        "train_proj": True, "train_pos": True, "in_dims": len(data), "out_dims": len(columns),
    }  # fmt: skip
    return PublishedModel(state, settings)


def scattered(shape: tuple[int, int], entries: Mapping[tuple[int, int], Any], dtype: torch.dtype) -> Tensor:
    """The matrix with these entries, each rounded once; ``OverflowError`` where one overflows ``dtype``."""
    values = np.zeros(shape)
    for place, value in entries.items():
        values[place] = float(value)
    rounded = torch.from_numpy(values).to(dtype)
    if not bool(torch.isfinite(rounded).all()):
        raise OverflowError(f"a weight of the network overflows {dtype}")
    return rounded


def from_published(model: PublishedModel, like: Network) -> Network:
    """The published model as an exact network that claims what ``like`` claims (its task, algorithm and parameters).

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
    residual = bool(settings.get("use_resid", True))
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
        if not bool(torch.isfinite(state[name]).all()):
            raise ValueError(f"{name} has entries that are not finite")
    if n_rows != like.n_rows:
        raise ValueError(f"the model has {n_rows} rows, and what it is to claim has {like.n_rows}")
    exact = {name: rationals(value) for name, value in state.items()}

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
    layers: list[Layer] = []
    for number in range(depth):
        block = BLOCK.format(number)
        maps = {
            name: (exact[f"{block}.{name}.weight"], exact[f"{block}.{name}.bias"])
            for name in ("in_proj", "projection", "out_proj")
        }
        taps = exact[f"{block}.conv.conv.weight"][:, 0, ::-1] if kind == "short" else exact[f"{block}.conv.filter"]
        bias = exact[f"{block}.conv.conv.bias"] if kind == "short" else np.full(size, Fraction(0), dtype=object)
        branches = exact[f"{block}.branch_weights"] if residual else None
        before = embed if number == 0 else None
        after = (exact["_read_out.weight"], exact["_read_out.bias"]) if number == depth - 1 else None
        layers.append(exact_layer(maps, taps, bias, branches, before, after, size))
    task = replace(like.task, n_inputs=len(inputs), columns=tuple(range(len(like.task.columns))))  # type: ignore[type-var]
    return replace(
        like,
        mode="causal" if causal else "circular",
        inputs=inputs,
        layers=tuple(layers),
        positions=positions,
        task=task,
    )


def expected_shapes(settings: Mapping[str, Any], n_data: int, n_results: int) -> dict[str, tuple[int, ...]]:
    """Names and shapes of the weights of a published model with these settings."""
    size, n_rows = settings["n_embd"], settings["n_positions"]
    shapes: dict[str, tuple[int, ...]] = {
        "_read_in.weight": (size, n_data), "_read_in.bias": (size,), POSITIONS: (n_rows, size),
        "_read_out.weight": (n_results, size), "_read_out.bias": (n_results,),
    }  # fmt: skip
    for number in range(settings["n_layer"]):
        block = BLOCK.format(number)
        for name in ("projection", "in_proj", "out_proj"):
            shapes |= {f"{block}.{name}.weight": (size, size), f"{block}.{name}.bias": (size,)}
        if settings.get("use_resid", True):
            shapes[f"{block}.branch_weights"] = (2,)
        if settings.get("conv_type", "short") == "short":
            shapes |= {f"{block}.conv.conv.weight": (size, 1, n_rows), f"{block}.conv.conv.bias": (size,)}
        else:
            shapes[f"{block}.conv.filter"] = (size, n_rows)
    return shapes


def rationals(values: Tensor) -> np.ndarray:
    """The exact values of a floating tensor."""
    flat = [Fraction(value) for value in values.detach().double().flatten().tolist()]
    array = np.empty(len(flat), dtype=object)
    array[:] = flat
    return array.reshape(tuple(values.shape))


def exact_layer(
    maps: Mapping[str, tuple[np.ndarray, np.ndarray]],
    taps: np.ndarray,
    conv_bias: np.ndarray,
    branches: np.ndarray | None,
    before: np.ndarray | None,
    after: tuple[np.ndarray, np.ndarray] | None,
    size: int,
) -> Layer:
    """One published layer, with ``before`` (n_embd, inputs) multiplied into In and Gate and ``after`` into Out, over Q.

    Beside its n_embd hidden channels stand one for each nonzero bias of the convolution, ``bias ⊙ Gate u``, and with
    residual branches (w0, w1) one for each channel that is carried, ``u ⊙ 1``.
    """
    (In, in_bias), (gate, gate_bias), (out, out_bias) = (maps[name] for name in ("in_proj", "projection", "out_proj"))
    n_in = size
    filters = [Filter.of(row) for row in taps]
    zero, one = Fraction(0), Fraction(1)
    biased = [unit for unit in range(size) if conv_bias[unit]]
    if branches is not None:
        # The convolution adds its input, the layer mixes its branches, and the block adds its input.
        filters = [Filter.of([row[0] + 1, *row[1:]]) for row in taps]
        out, out_bias = branches[0] * out, branches[0] * out_bias
    conv_rows, conv_constants = [In], [in_bias]
    gate_rows, gate_constants = [gate], [gate_bias]
    out_columns = [out]
    if biased:
        conv_rows.append(np.full((len(biased), n_in), zero, dtype=object))
        conv_constants.append(conv_bias[biased])
        gate_rows.append(gate[biased])
        gate_constants.append(gate_bias[biased])
        out_columns.append(out[:, biased])
        filters += [DELTA] * len(biased)
    if branches is not None and 1 + branches[1]:
        identity = np.array([[one if i == j else zero for j in range(size)] for i in range(size)], dtype=object)
        conv_rows.append(identity)
        conv_constants.append(np.full(size, zero, dtype=object))
        gate_rows.append(np.full((size, n_in), zero, dtype=object))
        gate_constants.append(np.full(size, one, dtype=object))
        out_columns.append((1 + branches[1]) * identity)
        filters += [DELTA] * size
    conv, gates = np.concatenate(conv_rows), np.concatenate(gate_rows)
    mixed = np.concatenate(out_columns, axis=1)
    if before is not None:
        conv, gates = conv @ before, gates @ before
    if after is not None:
        mixed, out_bias = after[0] @ mixed, after[0] @ out_bias + after[1]
    distinct = tuple(dict.fromkeys(filters))
    return Layer(
        conv=affine(conv, np.concatenate(conv_constants)),
        gate=affine(gates, np.concatenate(gate_constants)),
        out=affine(mixed, out_bias),
        filters=distinct,
        filter_index=np.array([distinct.index(filter) for filter in filters], dtype=np.int64),
        outputs=tuple(f"y[{row}]" for row in range(len(mixed))),
    )


def affine(weight: np.ndarray, bias: np.ndarray) -> SparseMap:
    """A dense map (n_out, n_in) and its bias as a sparse one."""
    n_out, n_in = weight.shape
    entries = {(i, j): Fraction(weight[i, j]) for i, j in np.argwhere(weight != 0).tolist()}
    return SparseMap.of(n_in, n_out, entries | {(row, n_in): Fraction(bias[row]) for row in range(n_out)})
