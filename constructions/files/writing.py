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

The metadata are strings: :data:`METADATA`. Equal networks give equal bytes.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from fractions import Fraction
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import save as to_bytes

from constructions.algebra.rationals import write_rational
from constructions.files.output import write_output
from constructions.networks.base import ExactNetwork
from constructions.networks.construction import ALIASES, CONSTRUCTIONS
from constructions.networks.layer import Layer, layer_key
from constructions.networks.stack import LayerStack

FORMAT = "precls exact network"
FORMAT_VERSION = "1"
METADATA = (
    "format", "format_version", "precls", "algorithm", "parameters", "n_rows", "mode", "inputs", "outputs",
)  # fmt: skip
"""Keys of the metadata; ``parameters``, ``inputs`` and ``outputs`` (channel names by stored layer) are JSON."""


MAX_ROWS = 2**20
"""Most rows of a stored network."""


MAPS = ("conv", "gate", "out")


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
    assert isinstance(network, LayerStack)
    stored, order = _distinct_layers(network.layers)
    numbers = set(network.positions.values())
    for layer in stored:
        numbers |= {value for name in MAPS for value in getattr(layer, name).weights}
        numbers |= {value for filter in layer.filters for value in (*filter.head, filter.tail)}
    pool = sorted(numbers)
    index = {value: place for place, value in enumerate(pool)}

    def ints(values: Iterable[int]) -> np.ndarray:
        return np.fromiter(values, dtype=np.int32)

    def places(values: Iterable[Fraction]) -> np.ndarray:
        return ints(index[value] for value in values)

    positions = sorted(network.positions.items())
    tensors = {
        "pool": np.frombuffer(json.dumps([write_rational(value) for value in pool]).encode(), dtype=np.uint8),
        "order": ints(order),
        "positions.rows": ints(row for (row, _), _ in positions),
        "positions.columns": ints(column for (_, column), _ in positions),
        "positions.weights": places(weight for _, weight in positions),
    }
    for place, layer in enumerate(stored):
        for name in MAPS:
            sparse = getattr(layer, name)
            tensors[f"layer.{place}.{name}.rows"] = sparse.rows.astype(np.int32)
            tensors[f"layer.{place}.{name}.columns"] = sparse.columns.astype(np.int32)
            tensors[f"layer.{place}.{name}.weights"] = places(sparse.weights)
        starts = np.cumsum([0, *(len(filter.head) for filter in layer.filters)])
        tensors[f"layer.{place}.filter_index"] = layer.filter_index.astype(np.int32)
        tensors[f"layer.{place}.filters.starts"] = starts.astype(np.int32)
        tensors[f"layer.{place}.filters.heads"] = places(tap for filter in layer.filters for tap in filter.head)
        tensors[f"layer.{place}.filters.tails"] = places(filter.tail for filter in layer.filters)
    metadata = {
        "format": FORMAT,
        "format_version": FORMAT_VERSION,
        "precls": _precls_version(),
        "algorithm": network.algorithm,
        "parameters": _json(network.parameters),
        "n_rows": str(network.n_rows),
        "mode": network.mode,
        "inputs": _json(network.inputs),
        "outputs": _json([layer.outputs for layer in stored]),
    }
    return _deterministic(to_bytes(tensors, metadata=metadata))


def _json(value: Any) -> str:
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


def _distinct_layers(layers: tuple[Layer, ...]) -> tuple[list[Layer], list[int]]:
    """The layers without repetition, and the place of each layer among them."""
    stored: list[Layer] = []
    by_identity: dict[int, int] = {}
    by_content: dict[Any, int] = {}
    for layer in layers:
        if id(layer) not in by_identity:
            place = by_content.setdefault(layer_key(layer), len(stored))
            if place == len(stored):
                stored.append(layer)
            by_identity[id(layer)] = place
    return stored, [by_identity[id(layer)] for layer in layers]
