"""Networks as safetensors files: every rational exactly, never pickle.

Layout of a file (format version 1). All distinct rationals lie in one pool, a JSON list of ``"p/q"`` strings in
increasing order, stored as bytes; every weight is an index into it, so rationals of any size are exact and a
repeated one costs four bytes. Identical layers are stored once.

* ``pool``: uint8.
* ``order``: int32 (depth,), which stored layer stands at each depth.
* ``positions.{rows,columns,weights}``: int32, the positional embedding, sorted.
* ``layer.<i>.{conv,gate,out}.{rows,columns,weights}``: int32, the three maps, sorted by row and column.
* ``layer.<i>.filter_index``: int32 (width,), the filter of each hidden channel.
* ``layer.<i>.filters.{starts,heads,tails}``: int32; the head of filter f is ``heads[starts[f]:starts[f+1]]``.

A Transformer (format version 2) has the same pool, order and positions, and

* ``reads``: int32 (outputs,), the channels that come out.
* ``block.<i>.<p>.targets``: int32, the channels to which part p of stored block i adds: its heads, then its MLP.
* ``block.<i>.<p>.<map>.{rows,columns,weights}``: int32, ``value``, and for linear attention ``query`` and ``key``; of
  an MLP ``gate``, ``up`` and ``down``.

The metadata are strings: :data:`METADATA`, :data:`TRANSFORMER_METADATA`. Equal networks give equal bytes.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Hashable, Iterable, Sequence
from fractions import Fraction
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TypeVar

import numpy as np
from safetensors.numpy import save as to_bytes

from constructions.algebra.rationals import write_rational
from constructions.files.output import write_output
from constructions.networks.base import ExactNetwork
from constructions.networks.construction import ALIASES, CONSTRUCTIONS
from constructions.networks.layer import MAX_ROWS, SparseMap, layer_key
from constructions.networks.stack import LayerStack
from constructions.transformers.blocks import BlockStack, Gated, Head, block_key

FORMAT = "precls exact network"
FORMAT_VERSION = "1"
METADATA = (
    "format", "format_version", "precls", "algorithm", "parameters", "n_rows", "mode", "inputs", "outputs",
)  # fmt: skip
"""Keys of the metadata; ``parameters``, ``inputs`` and ``outputs`` (channel names by stored layer) are JSON."""


TRANSFORMER_VERSION = "2"
TRANSFORMER_METADATA = (
    "format", "format_version", "precls", "algorithm", "parameters", "n_rows", "mask", "attention", "gate", "channels",
    "n_inputs", "blocks",
)  # fmt: skip
"""Keys of the metadata of a Transformer; ``parameters``, ``channels`` and ``blocks`` (:func:`part_size`) are JSON."""
MAPS = ("conv", "gate", "out")

T = TypeVar("T")
Tensors = dict[str, np.ndarray]
Values = dict[str, list[Fraction]]


def save(network: ExactNetwork, path: str | Path) -> None:
    """Write ``network`` to ``path``, all at once: a failure leaves what was there before.

    Raises ``ValueError`` for a network that no construction made (it could not be rebuilt) or with too many rows, and
    ``OSError`` where the path cannot be written (see :mod:`constructions.files.output`).
    """
    write_output(path, dump(network))


def dump(network: ExactNetwork) -> bytes:
    """The bytes of the file for ``network``; equal networks give equal bytes."""
    if ALIASES.get(network.algorithm, network.algorithm) not in CONSTRUCTIONS:
        raise ValueError(
            f"cannot save a network of algorithm {network.algorithm!r}: a file records the construction that "
            f"rebuilds it, one of {', '.join(sorted(CONSTRUCTIONS))}"
        )
    if network.n_rows > MAX_ROWS:
        raise ValueError(f"cannot save a network of {network.n_rows} rows: at most {MAX_ROWS} are stored")
    if isinstance(network, LayerStack):
        return _write(network, *_layers(network))
    if isinstance(network, BlockStack):
        return _write(network, *_blocks(network))
    raise TypeError(f"expected an exact network, got {type(network).__name__}")


def _write(network: ExactNetwork, tensors: Tensors, values: Values, metadata: dict[str, str]) -> bytes:
    """The file with these tensors of places and, by name, of numbers."""
    positions = sorted(network.positions.items())
    values["positions.weights"] = [weight for _, weight in positions]
    pool = sorted({value for numbers in values.values() for value in numbers})
    index = {value: place for place, value in enumerate(pool)}
    tensors = {
        "pool": np.frombuffer(json.dumps([write_rational(value) for value in pool]).encode(), dtype=np.uint8),
        "positions.rows": _ints(row for (row, _), _ in positions),
        "positions.columns": _ints(column for (_, column), _ in positions),
        **tensors,
        **{name: _ints(index[value] for value in numbers) for name, numbers in values.items()},
    }
    metadata = metadata | {
        "format": FORMAT,
        "precls": _precls_version(),
        "algorithm": network.algorithm,
        "parameters": _json(network.parameters),
        "n_rows": str(network.n_rows),
    }
    return _deterministic(to_bytes(tensors, metadata=metadata))


def _layers(network: LayerStack) -> tuple[Tensors, Values, dict[str, str]]:
    """The layers of a BaseConv network."""
    stored, order = _distinct(network.layers, layer_key)
    tensors: Tensors = {"order": _ints(order)}
    values: Values = {}
    for place, layer in enumerate(stored):
        for name in MAPS:
            _add_map(f"layer.{place}.{name}", getattr(layer, name), tensors, values)
        starts = np.cumsum([0, *(len(filter.head) for filter in layer.filters)])
        tensors[f"layer.{place}.filter_index"] = layer.filter_index.astype(np.int32)
        tensors[f"layer.{place}.filters.starts"] = starts.astype(np.int32)
        values[f"layer.{place}.filters.heads"] = [tap for filter in layer.filters for tap in filter.head]
        values[f"layer.{place}.filters.tails"] = [filter.tail for filter in layer.filters]
    return tensors, values, {
        "format_version": FORMAT_VERSION, "mode": network.mode, "inputs": _json(network.inputs),
        "outputs": _json([layer.outputs for layer in stored]),
    }  # fmt: skip


def _blocks(network: BlockStack) -> tuple[Tensors, Values, dict[str, str]]:
    """The blocks of a Transformer."""
    stored, order = _distinct(network.blocks, block_key)
    tensors: Tensors = {"order": _ints(order), "reads": _ints(network.reads)}
    values: Values = {}
    for place, block in enumerate(stored):
        for number, part in enumerate(block.parts()):
            tensors[f"block.{place}.{number}.targets"] = part.targets.astype(np.int32)
            for name, sparse in part.maps().items():
                _add_map(f"block.{place}.{number}.{name}", sparse, tensors, values)
    return tensors, values, {
        "format_version": TRANSFORMER_VERSION, "mask": network.mask, "attention": network.attention,
        "gate": network.gate or "none", "channels": _json(network.channels), "n_inputs": str(network.n_inputs),
        "blocks": _json([[part_size(part) for part in block.parts()] for block in stored]),
    }  # fmt: skip


def part_size(part: Head | Gated) -> dict[str, int]:
    """What a part of a block is, as its metadata say: a head with so many scores (0: means), an MLP with so many units."""
    if isinstance(part, Gated):
        return {"units": part.hidden}
    return {"scores": 0 if part.key is None else part.key.n_out}


def _add_map(name: str, sparse: SparseMap, tensors: Tensors, values: Values) -> None:
    tensors[f"{name}.rows"] = sparse.rows.astype(np.int32)
    tensors[f"{name}.columns"] = sparse.columns.astype(np.int32)
    values[f"{name}.weights"] = list(sparse.weights)


def _ints(values: Iterable[int]) -> np.ndarray:
    return np.fromiter(values, dtype=np.int32)


def _json(value: object) -> str:
    return json.dumps(value, sort_keys=True, ensure_ascii=False, allow_nan=False, separators=(",", ":"))


def _precls_version() -> str:
    try:
        return version("precls")
    except PackageNotFoundError:
        return "0+uninstalled"


def _deterministic(data: bytes) -> bytes:
    """The same file with a sorted header: the library writes the metadata in an order that changes from run to run."""
    length = int.from_bytes(data[:8], "little")
    header = _json(json.loads(data[8 : 8 + length])).encode()
    header += b" " * (-len(header) % 8)
    return len(header).to_bytes(8, "little") + header + data[8 + length :]


def _distinct(stages: Sequence[T], key: Callable[[T], Hashable]) -> tuple[list[T], list[int]]:
    """The layers or blocks without repetition, and the place of each among them."""
    stored: list[T] = []
    by_identity: dict[int, int] = {}
    by_content: dict[Hashable, int] = {}
    for stage in stages:
        if id(stage) not in by_identity:
            place = by_content.setdefault(key(stage), len(stored))
            if place == len(stored):
                stored.append(stage)
            by_identity[id(stage)] = place
    return stored, [by_identity[id(stage)] for stage in stages]
