"""Networks read from safetensors files: nothing is believed, and whatever is wrong is said in words.

The layout of a file is that of :mod:`constructions.files.writing`. The work of reading is bounded by the size of the file.
"""

from __future__ import annotations

import itertools
import json
import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path
from typing import NoReturn, TypeGuard, TypeVar

import numpy as np
from safetensors import SafetensorError, safe_open

from constructions.algebra.filters import Filter
from constructions.algebra.rationals import check_exponent, is_integer, read_rational, shown
from constructions.algebra.work import TooMuchWork, at_most
from constructions.files.writing import (
    FORMAT,
    FORMAT_VERSION,
    MAPS,
    METADATA,
    TRANSFORMER_METADATA,
    TRANSFORMER_VERSION,
)
from constructions.networks.base import ExactNetwork
from constructions.networks.construction import parameters_of, rebuild
from constructions.networks.layer import MASKS, MAX_ROWS, Layer, Mode, SparseMap, layer_key
from constructions.networks.parameters import Count, Sizes
from constructions.networks.stack import LayerStack
from constructions.transformers.blocks import ATTENTIONS, GATE_NAMES, Block, BlockStack, Gated, Head, block_key

MAX_COUNT = 2**20
"""Largest integer among the parameters of a stored network, where the file itself gives no smaller bound."""
WORK = 20_000
"""Steps of the algebra of layers that rebuilding may take in any case."""


class CorruptFileError(ValueError):
    """The file is not a network saved by this package, or what it holds is inconsistent."""


class _Findings:
    """Everything wrong with a file, collected so that it is reported all at once."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.problems: list[str] = []

    def expect(self, condition: bool, problem: str | Callable[[], str]) -> bool:
        if not condition:
            self.problems.append(problem if isinstance(problem, str) else problem())
        return bool(condition)

    def stop_if_any(self) -> None:
        if self.problems:
            shown = "; ".join(self.problems[:5])
            more = f"; and {len(self.problems) - 5} more" if len(self.problems) > 5 else ""
            raise CorruptFileError(f"{self.path} is not a valid saved network: {shown}{more}")


def load(path: str | Path) -> ExactNetwork:
    """The network saved at ``path``; its encoder and decoder come from rebuilding the construction it names.

    The weights are those of the file, whatever they are: ``precls check`` says whether they do what the file claims.
    Raises :class:`CorruptFileError` for a truncated, foreign or inconsistent file, ``OSError`` for an unreadable one.
    """
    path = Path(path)
    if path.is_dir():
        raise IsADirectoryError(f"{path} is a folder, and a saved network is a file")
    if not path.exists():
        raise FileNotFoundError(f"there is no file {path}")
    found = _Findings(path)
    metadata, tensors = _read(path, found)
    given = metadata.get("format_version")
    keys = {FORMAT_VERSION: METADATA, TRANSFORMER_VERSION: TRANSFORMER_METADATA}.get(str(given))
    if keys is None:
        known = f"expected {FORMAT_VERSION} or {TRANSFORMER_VERSION}: a newer precls may read it"
        raise CorruptFileError(f"{path} is not a valid saved network: its format version is {shown(given)}, {known}")
    unexpected = sorted(set(metadata) ^ set(keys))
    found.expect(not unexpected, f"missing or unexpected metadata: {', '.join(map(shown, unexpected))}")
    found.stop_if_any()
    n_rows = _n_rows(metadata["n_rows"], found)
    given_parameters = _from_json("parameters", metadata, found)
    found.expect(isinstance(given_parameters, dict), "parameters must be an object")
    parameters = given_parameters if isinstance(given_parameters, dict) else {}
    stored = (_read_layers if keys is METADATA else _read_blocks)(metadata, tensors, n_rows, found)
    _check_pool_use(tensors, len(stored.pool), found)
    found.stop_if_any()

    algorithm = metadata["algorithm"]
    held = sum(tensor.size for name, tensor in tensors.items() if name != "pool")
    sizes = Sizes(n_rows, len(stored.inputs), stored.depth, held)
    _check_sizes(algorithm, parameters, sizes, found)
    found.stop_if_any()
    # The parameters are small, and what they ask for may be huge: building stops where the file could not hold it.
    try:
        with at_most(work_for(held)):
            claimed = rebuild(algorithm, parameters)
    except TooMuchWork as error:
        raise CorruptFileError(
            f"{path} is not a valid saved network: its parameters ask for a much larger network than the {held} numbers "
            "that it holds"
        ) from error
    except (ValueError, TypeError, ArithmeticError, IndexError, KeyError, AttributeError) as error:
        raise CorruptFileError(
            f"{path} is not a valid saved network: its parameters do not rebuild: {error}"
        ) from error
    filled = stored.fill(claimed)
    if filled is None:
        raise CorruptFileError(f"{path} is not a valid saved network: {algorithm} builds a {type(claimed).__name__}")
    found.expect(claimed.n_rows == n_rows, f"it has {n_rows} rows, its parameters say {claimed.n_rows}")
    found.expect(
        len(claimed.inputs) == len(stored.inputs),
        f"it has {len(stored.inputs)} inputs, its parameters say {len(claimed.inputs)}",
    )
    found.expect(
        max(claimed.task.columns, default=-1) < stored.n_outputs,
        f"it has {stored.n_outputs} outputs, its parameters say {len(claimed.outputs)}",
    )
    found.stop_if_any()
    return replace(
        filled,
        n_rows=n_rows,
        inputs=stored.inputs,
        positions=stored.positions,
        algorithm=algorithm,
        parameters=parameters,
    )


def work_for(held: int) -> int:
    """Steps of the algebra of layers that rebuilding may take for so many numbers in the file.

    Sums of D terms take D² steps, a product of D × D matrices so D⁴ for 3 D³ numbers and more: steps for each number grow as
    its cube root. Measured: 0.2 of it at most, for Newton's iteration by doubling at D = 14 and less.
    """
    return WORK + held * (3 + round(math.cbrt(held) / 2))


@dataclass(frozen=True)
class _Stored:
    """What a file holds of a network. ``fill`` puts its weights into one of its kind, and gives None for another kind."""

    inputs: tuple[str, ...]
    n_outputs: int
    depth: int
    pool: np.ndarray
    positions: dict[tuple[int, int], Fraction]
    fill: Callable[[ExactNetwork], ExactNetwork | None]


def _read_layers(metadata: dict[str, str], tensors: dict[str, np.ndarray], n_rows: int, found: _Findings) -> _Stored:
    """The layers of a BaseConv network."""
    mode: Mode = "circular" if metadata["mode"] == "circular" else "causal"
    found.expect(metadata["mode"] == mode, f"mode is {shown(metadata['mode'])}, expected 'causal' or 'circular'")
    inputs = _names("inputs", _from_json("inputs", metadata, found), found)
    given = _from_json("outputs", metadata, found)
    listed = given if isinstance(given, list) else []
    if not found.expect(bool(listed), "outputs must be a non-empty list of lists"):
        found.stop_if_any()
    outputs = [_names(f"outputs of stored layer {place}", names, found) for place, names in enumerate(listed)]
    expected = set()
    for place in range(min(len(outputs), len(tensors) + 1)):
        expected |= {f"layer.{place}.{name}.{part}" for name in MAPS for part in ("rows", "columns", "weights")}
        expected |= {f"layer.{place}.filter_index"}
        expected |= {f"layer.{place}.filters.{part}" for part in ("starts", "heads", "tails")}
    _check_tensors(tensors, expected, found)
    found.stop_if_any()
    pool = _pool(tensors["pool"], found)
    order = _order(tensors["order"], len(outputs), "layer", found)
    n_in: dict[int, int] = {}
    width = len(inputs)
    for place in order:
        known = n_in.setdefault(place, width)
        found.expect(known == width, f"stored layer {place} is used after layers of {known} and of {width} channels")
        width = len(outputs[place])
    found.stop_if_any()
    layers = [_layer(place, tensors, pool, n_in[place], outputs[place], found) for place in range(len(outputs))]
    positions = _positions(tensors, pool, n_rows, len(inputs), found)
    found.stop_if_any()
    built = [layer for layer in layers if layer is not None]
    found.expect(len({layer_key(layer) for layer in built}) == len(built), "two stored layers are equal")
    stack = tuple(built[place] for place in order)

    def fill(claimed: ExactNetwork) -> ExactNetwork | None:
        return replace(claimed, mode=mode, layers=stack) if isinstance(claimed, LayerStack) else None

    return _Stored(inputs, len(outputs[order[-1]]), len(order), pool, positions, fill)


def _read_blocks(metadata: dict[str, str], tensors: dict[str, np.ndarray], n_rows: int, found: _Findings) -> _Stored:
    """The blocks of a Transformer."""
    mask, attention = _word("mask", MASKS, metadata, found), _word("attention", ATTENTIONS, metadata, found)
    gate = None if metadata["gate"] == "none" else _word("gate", GATE_NAMES, metadata, found, "none")
    channels = _names("channels", _from_json("channels", metadata, found), found)
    text = metadata["n_inputs"]
    fits = bool(re.match(r"(0|[1-9][0-9]{0,8})\Z", text)) and int(text) <= len(channels)
    found.expect(fits, f"n_inputs is {shown(text)}, expected an integer from 0 to {len(channels)}")
    given = _from_json("blocks", metadata, found)
    sizes = [parts for parts in given if _is_block(parts)] if isinstance(given, list) else []
    found.expect(
        bool(sizes) and given == sizes,
        "blocks must be a non-empty list of lists of {'scores': n} and at most one last {'units': n}",
    )
    found.stop_if_any()
    linear, gated = attention == "linear", gate is not None
    expected = {"reads"}
    for place, parts in enumerate(sizes[: len(tensors) + 1]):
        for number, part in enumerate(parts):
            found.expect("scores" not in part or bool(part["scores"]) == linear, f"block {place} has other attention")
            found.expect("units" not in part or gated, f"block {place} has an MLP, and the network no gate")
            expected |= {f"block.{place}.{number}.targets"}
            expected |= {
                f"block.{place}.{number}.{name}.{side}"
                for name in _part_maps(part)
                for side in ("rows", "columns", "weights")
            }
    _check_tensors(tensors, expected, found)
    found.stop_if_any()
    pool = _pool(tensors["pool"], found)
    order = _order(tensors["order"], len(sizes), "block", found)
    found.expect(_inside(tensors["reads"], len(channels)), f"reads must lie in 0..{len(channels) - 1}")
    blocks = [_block(place, parts, tensors, pool, len(channels), found) for place, parts in enumerate(sizes)]
    positions = _positions(tensors, pool, n_rows, len(channels), found)
    found.stop_if_any()
    found.expect(len(set(map(block_key, blocks))) == len(blocks), "two stored blocks are equal")
    reads = tuple(tensors["reads"].tolist())
    stack = tuple(blocks[place] for place in order)

    def fill(claimed: ExactNetwork) -> ExactNetwork | None:
        if not isinstance(claimed, BlockStack):
            return None
        return replace(claimed, mask=mask, attention=attention, gate=gate, channels=channels, reads=reads, blocks=stack)

    return _Stored(channels[: int(text)], len(reads), len(order), pool, positions, fill)


W = TypeVar("W", bound=str)


def _word(name: str, words: tuple[W, ...], metadata: dict[str, str], found: _Findings, *others: str) -> W:
    """The entry ``name``, one of the words; the first of them where it is none, which ``found`` then holds."""
    word = next((word for word in words if word == metadata[name]), None)
    known = ", ".join((*words, *others))
    found.expect(word is not None, f"{name} is {shown(metadata[name])}, expected one of {known}")
    return words[0] if word is None else word


def _is_block(parts: object) -> TypeGuard[list[dict[str, int]]]:
    """Whether the metadata of a block are heads and then at most one MLP, each with a size."""
    if not isinstance(parts, list) or not all(isinstance(part, dict) and len(part) == 1 for part in parts):
        return False
    kinds = [next(iter(part)) for part in parts]
    sizes = [next(iter(part.values())) for part in parts]
    in_order = all(kind == "scores" for kind in kinds[:-1]) and all(kind in ("scores", "units") for kind in kinds)
    return in_order and all(type(size) is int and 0 <= size < 2**31 for size in sizes)


def _part_maps(part: dict[str, int]) -> tuple[str, ...]:
    if "units" in part:
        return ("gate", "up", "down")
    return ("query", "key", "value") if part["scores"] else ("value",)


def _block(
    place: int, parts: list[dict[str, int]], tensors: dict[str, np.ndarray], pool: np.ndarray, width: int,
    found: _Findings,
) -> Block:  # fmt: skip
    heads: list[Head] = []
    mlp: Gated | None = None
    for number, part in enumerate(parts):
        name = f"block.{place}.{number}"
        targets = tensors[f"{name}.targets"]
        found.expect(_inside(targets, width), f"{name}.targets must lie in 0..{width - 1}")
        found.expect(len(set(targets.tolist())) == len(targets), f"{name}.targets repeat a channel")
        hidden = next(iter(part.values()))
        maps = {}
        for kind in _part_maps(part):
            n_in = hidden if kind == "down" else width
            n_out = len(targets) if kind in ("value", "down") else hidden
            entries = _sparse(f"{name}.{kind}", tensors, pool, n_out, n_in + 1, found)
            if entries is None:
                return Block()
            maps[kind] = SparseMap(n_in, n_out, *entries)
            if n_out == hidden and kind not in ("value", "down"):
                used = len(np.unique(entries[0]))
                found.expect(used == hidden or kind in ("gate", "up"), f"{name}.{kind} has a row without a weight")
                found.expect(hidden <= len(entries[0]) + 1, f"{name}.{kind} is said to be larger than what is stored")
        where = targets.astype(np.int64)
        if "units" in part:
            mlp = Gated(targets=where, **maps)
        else:
            heads.append(Head(targets=where, **maps))
    return Block(tuple(heads), mlp)


def _order(tensor: np.ndarray, n_stored: int, what: str, found: _Findings) -> list[int]:
    order: list[int] = tensor.tolist()
    found.expect(
        list(dict.fromkeys(order)) == list(range(n_stored)),
        f"order must name every stored {what}, in order of first use",
    )
    found.stop_if_any()
    return order


def _read(path: Path, found: _Findings) -> tuple[dict[str, str], dict[str, np.ndarray]]:
    """Metadata and tensors of the file; what another tool wrote is refused before its tensors are read."""
    with path.open("rb") as file:
        first = file.read(8)
    if len(first) < 8:
        raise CorruptFileError(f"{path} is not a saved network: it is empty or cut off ({len(first)} bytes)")
    if first[:2] in (b"PK", b"\x80\x02", b"\x80\x04", b"\x80\x05"):
        raise CorruptFileError(
            f"{path} is a zip archive or a pickle, such as torch.save writes: expected a safetensors file of precls"
        )
    try:
        with safe_open(path, framework="numpy") as file:
            metadata = file.metadata() or {}
            if metadata.get("format") != FORMAT:
                raise CorruptFileError(
                    f"{path} is a safetensors file of another tool (format {shown(metadata.get('format'))}): "
                    "expected one written by `precls build` or network.save"
                )
            names = list(file.keys())
            kinds = {name: file.get_slice(name).get_dtype() for name in names}
            for name, kind in kinds.items():
                wanted = "U8" if name == "pool" else "I32"
                found.expect(kind == wanted, f"tensor {shown(name)} has dtype {kind}, expected {wanted}")
            found.stop_if_any()
            return metadata, {name: file.get_tensor(name) for name in names}
    except SafetensorError as error:
        raise CorruptFileError(f"{path} is not a safetensors file, or is cut off: {error}") from error


def _n_rows(text: str, found: _Findings) -> int:
    if found.expect(
        bool(re.match(r"[1-9][0-9]{0,8}\Z", text)) and int(text) <= MAX_ROWS,
        f"n_rows is {shown(text)}, expected an integer from 1 to {MAX_ROWS}",
    ):
        return int(text)
    return 1


def _from_json(key: str, metadata: dict[str, str], found: _Findings) -> object:
    def without_repeats(pairs: list[tuple[str, object]]) -> dict[str, object]:
        if len(dict(pairs)) != len(pairs):
            raise ValueError("a key occurs twice")
        return dict(pairs)

    def refuse(text: str) -> NoReturn:
        raise ValueError(f"{text} is not an exact number")

    try:
        read: object = json.loads(
            metadata[key], object_pairs_hook=without_repeats, parse_constant=refuse, parse_float=refuse
        )
        return read
    except (ValueError, RecursionError) as error:
        found.expect(False, f"{key} is not valid JSON: {error}")
        return None


def _names(what: str, given: object, found: _Findings) -> tuple[str, ...]:
    listed = given if isinstance(given, list) else []
    names = [name for name in listed if isinstance(name, str) and name]
    # a network of constants has no inputs
    whole = isinstance(given, list) and (bool(names) or what == "inputs") and len(names) == len(listed)
    if not found.expect(whole, f"{what} must be a non-empty list of channel names"):
        return ("",)
    found.expect(len(set(names)) == len(names), f"{what} repeat a channel name")
    return tuple(names)


def _check_tensors(tensors: dict[str, np.ndarray], stages: set[str], found: _Findings) -> None:
    expected = {"pool", "order", *(f"positions.{part}" for part in ("rows", "columns", "weights")), *stages}
    missing, unexpected = sorted(expected - set(tensors)), sorted(set(tensors) - expected)
    found.expect(not missing, lambda: f"missing tensors: {', '.join(missing[:5])}")
    found.expect(not unexpected, lambda: f"unexpected tensors: {', '.join(map(shown, unexpected[:5]))}")
    flat = [name for name, tensor in tensors.items() if tensor.ndim != 1]
    found.expect(not flat, lambda: f"tensors that are not one-dimensional: {', '.join(flat[:5])}")


def _pool(tensor: np.ndarray, found: _Findings) -> np.ndarray:
    values: list[Fraction] = []
    try:
        texts = json.loads(tensor.tobytes().decode())
        if not isinstance(texts, list):
            raise ValueError("expected a list of numbers")
        if json.dumps(texts).encode() != tensor.tobytes():
            raise ValueError("unusual spacing or spelling")
        values = [read_rational(text) for text in texts]
        if any(left >= right for left, right in itertools.pairwise(values)):
            raise ValueError("the numbers must increase")
    except (ValueError, RecursionError) as error:
        found.expect(False, f"pool of rational numbers: {error}")
    return np.fromiter(values, dtype=object, count=len(values))


def _inside(tensor: np.ndarray, size: int) -> bool:
    return not len(tensor) or (int(tensor.min()) >= 0 and int(tensor.max()) < size)


def _sorted_pairs(rows: np.ndarray, columns: np.ndarray) -> bool:
    above = rows[1:] > rows[:-1]
    return bool(np.all(above | ((rows[1:] == rows[:-1]) & (columns[1:] > columns[:-1]))))


def _sparse(
    name: str, tensors: dict[str, np.ndarray], pool: np.ndarray, n_rows: int, n_columns: int, found: _Findings
) -> tuple[np.ndarray, np.ndarray, np.ndarray] | None:
    rows, columns, weights = (tensors[f"{name}.{part}"] for part in ("rows", "columns", "weights"))
    ok = found.expect(len(rows) == len(columns) == len(weights), f"{name}: rows, columns and weights differ in length")
    for part, tensor, size in (
        ("rows", rows, n_rows),
        ("columns", columns, n_columns),
        ("weights", weights, len(pool)),
    ):
        ok &= found.expect(_inside(tensor, size), f"{name}.{part} must lie in 0..{size - 1}")
    ok = ok and found.expect(_sorted_pairs(rows, columns), f"{name}: entries are not sorted, or one is given twice")
    ok = ok and found.expect(not np.any(pool[weights] == 0), f"{name}: a stored weight is zero")
    return (rows.astype(np.int64), columns.astype(np.int64), pool[weights]) if ok else None


def _layer(
    place: int, tensors: dict[str, np.ndarray], pool: np.ndarray, n_in: int, outputs: tuple[str, ...], found: _Findings
) -> Layer | None:
    name = f"layer.{place}"
    filter_index = tensors[f"{name}.filter_index"]
    starts, heads, tails = (tensors[f"{name}.filters.{part}"] for part in ("starts", "heads", "tails"))
    width = len(filter_index)
    ok = found.expect(
        len(starts) == len(tails) + 1
        and starts[0] == 0
        and starts[-1] == len(heads)
        and bool(np.all(np.diff(starts) >= 0)),
        f"{name}.filters.starts do not divide the {len(heads)} stored taps among {len(tails)} filters",
    )
    ok &= found.expect(_inside(heads, len(pool)), f"{name}.filters.heads must lie in 0..{len(pool) - 1}")
    ok &= found.expect(_inside(tails, len(pool)), f"{name}.filters.tails must lie in 0..{len(pool) - 1}")
    ok &= found.expect(_inside(filter_index, len(tails)), f"{name}.filter_index must lie in 0..{len(tails) - 1}")
    maps = [
        _sparse(f"{name}.{kind}", tensors, pool, n_out, n_columns + 1, found)
        for kind, n_out, n_columns in (("conv", width, n_in), ("gate", width, n_in), ("out", len(outputs), width))
    ]
    if not ok or any(entries is None for entries in maps):
        return None
    filters = []
    for start, stop, tail in zip(starts[:-1].tolist(), starts[1:].tolist(), tails.tolist(), strict=True):
        head = tuple(pool[heads[start:stop]])
        filters.append(Filter.of(head, pool[tail]))
        found.expect(filters[-1].head == head, f"{name}: filter {len(filters) - 1} is not in canonical form")
    found.expect(len(set(filters)) == len(filters), f"{name}: a filter is stored twice")
    found.expect(len(np.unique(filter_index)) == len(filters), f"{name}: a stored filter is not used")
    sizes = ((n_in, width), (n_in, width), (width, len(outputs)))
    conv, gate, out = (SparseMap(*size, *entries) for size, entries in zip(sizes, maps, strict=True) if entries)
    return Layer(conv, gate, out, tuple(filters), filter_index.astype(np.int64), outputs)


def _positions(
    tensors: dict[str, np.ndarray], pool: np.ndarray, n_rows: int, n_inputs: int, found: _Findings
) -> dict[tuple[int, int], Fraction]:
    entries = _sparse("positions", tensors, pool, n_rows, n_inputs, found)
    if entries is None:
        return {}
    rows, columns, weights = entries
    return dict(zip(zip(rows.tolist(), columns.tolist(), strict=True), weights, strict=True))


def _check_pool_use(tensors: dict[str, np.ndarray], n_numbers: int, found: _Findings) -> None:
    parts = (".weights", ".heads", ".tails")
    used = np.unique(np.concatenate([tensor for name, tensor in tensors.items() if name.endswith(parts)]))
    found.expect(len(used) == n_numbers, f"{n_numbers - len(used)} numbers of the pool are not used")


def _check_sizes(algorithm: str, parameters: Mapping[str, object], sizes: Sizes, found: _Findings) -> None:
    """Refuse parameters that ask for a larger network than the file holds, before anything is built from them.

    What a declared count may be is up to its declaration (:mod:`constructions.networks.parameters`).
    """
    try:
        declarations = parameters_of(algorithm)
    except LookupError:
        declarations = {}
    held = f"{sizes.rows} rows, {sizes.channels} inputs, {sizes.layers} layers, {sizes.numbers} numbers"

    def visit(name: str, value: object) -> None:
        if isinstance(value, bool) or value is None:
            return
        if isinstance(value, int):
            # A count that nobody declares is one of rows, channels or layers.
            bound = max(sizes.rows, sizes.channels, sizes.layers) if name.startswith("n_") else MAX_COUNT
            found.expect(abs(value) <= bound, f"parameter {name} is {_short(value)}: too large for {held}")
        elif isinstance(value, str):
            try:
                check_exponent(name, value)
            except ValueError as error:
                found.expect(False, f"parameter {error}")
        elif isinstance(value, list):
            for entry in value:
                visit(name, entry)
        elif isinstance(value, dict) and value.keys() == {"algorithm", "parameters"}:
            if isinstance(value["parameters"], dict):
                # A network made of another one, which may hold fewer numbers than that one.
                inner = replace(sizes, numbers=MAX_COUNT**2)
                _check_sizes(str(value["algorithm"]), value["parameters"], inner, found)
        elif isinstance(value, dict):
            for key, entry in value.items():
                visit(str(key), entry)

    form = parameters.get("form", declarations["form"].default if "form" in declarations else None)
    for name, value in parameters.items():
        declaration = declarations[name].declaration if name in declarations else None
        if isinstance(declaration, Count) and is_integer(value):
            fits = abs(value) <= sizes.bound(declaration, form)
            found.expect(fits, f"parameter {name} is {_short(value)}: too large for {held}")
        else:
            visit(name, value)


def _short(value: int) -> str:
    return str(value) if abs(value) < 10**30 else f"an integer of {math.floor(value.bit_length() * 0.30103) + 1} digits"
