"""The one place where exact rational weights become PyTorch tensors.

Three savings, none of which changes the function:

* rows: only the rows that some later filter or the read-out needs are kept;
* row-constant channels: in a circular network a sum over all rows is the same at every row, and so is everything
  computed from such sums alone; these channels are stored once;
* sparse maps: gathered where an output has few entries, CSR where the density is low, dense otherwise.

Filters are applied directly (shifts, prefix sums, totals; a Toeplitz product otherwise), never through an FFT, and
a channel that a layer carries unchanged is copied, so carried and read channels are exact in any dtype.
State tensors have shape (channels, rows, batch): every map is then a product from the left.
"""

from __future__ import annotations

import warnings
from collections import defaultdict
from collections.abc import Iterable
from fractions import Fraction
from typing import Any, Literal

import torch
from torch import Tensor, nn

from constructions.filters import DELTA, Filter
from constructions.network import Layer, Network

Entries = dict[tuple[int, int], Fraction]
LADDER_STEPS = 3
"""Maps with at most this many entries an output are gathered."""
TINY_ELEMENTS = 2**12
"""Maps with at most this many elements are dense, unless one gather does: a single small product is fastest."""
DENSE_ELEMENTS = 2**15
"""Maps with at most this many elements are dense whatever their density."""
DENSE_DENSITY = 0.1
"""Larger maps are dense from this density on."""
BATCH_ELEMENTS = 2**17
"""Batches are cut so that the largest hidden tensor holds about this many numbers, which keeps it in cache."""


def lower(
    network: Network,
    dtype: torch.dtype | None = None,
    device: torch.device | str = "cpu",
    rows: Literal["readout", "all"] = "readout",
) -> LoweredNetwork:
    """The network as an ``nn.Module`` in ``dtype`` (float64 by default) on ``device``.

    ``model(u)`` maps (..., n_rows, n_channels) to (..., rows kept, n_outputs). Raises ``ValueError`` for a dtype that is not
    a float or rows that are neither "readout" nor "all", ``OverflowError`` when a weight overflows the dtype.
    """
    dtype = dtype or torch.float64
    if not dtype.is_floating_point:
        raise ValueError(f"a network is lowered to a floating-point dtype, got {dtype}")
    if rows not in ("readout", "all"):
        raise ValueError(f"rows must be 'readout' or 'all', got {rows!r}")
    kept = network.task.readout_rows if rows == "readout" else tuple(range(network.n_rows))
    return LoweredNetwork(network, kept, dtype).to(device)


def tensor(values: Iterable[Fraction], dtype: torch.dtype) -> Tensor:
    """Rationals rounded to ``dtype``; raises ``OverflowError`` where one is too large for it."""
    exact = list(values)
    try:
        rounded = torch.tensor([float(value) for value in exact], dtype=torch.float64).to(dtype)
        overflows = not bool(torch.isfinite(rounded).all())
    except OverflowError:
        overflows = True
    if overflows:
        largest = max(exact, key=abs)
        raise OverflowError(f"a weight of about 10^{len(str(int(abs(largest)))) - 1} overflows {dtype}")
    return rounded


class LoweredMap(nn.Module):
    """A sparse linear map on (channels, rows · batch): a ladder of gathers, CSR, or dense.

    ``selects`` asks for the ladder where it is possible at all: it never multiplies an entry by zero, nor in reduced
    precision (TF32), so that a product with an indicator (Read) stays exact.
    """

    def __init__(self, n_out: int, n_in: int, entries: Entries, dtype: torch.dtype, selects: bool = False) -> None:
        super().__init__()
        self.n_out = n_out
        by_output: dict[int, list[tuple[int, Fraction]]] = defaultdict(list)
        for (row, column), weight in sorted(entries.items()):
            by_output[row].append((column, weight))
        steps = max(map(len, by_output.values()), default=0)
        small = n_out * n_in <= DENSE_ELEMENTS or len(entries) >= DENSE_DENSITY * n_out * n_in
        self.covers = len(by_output) == n_out
        self.kind: Literal["ladder", "dense", "csr"]
        one_gather = steps == 1 and self.covers
        tiny = n_out * n_in <= TINY_ELEMENTS and not one_gather and not selects
        if (steps <= LADDER_STEPS and not tiny) or (not small and dtype not in (torch.float32, torch.float64)):
            self.kind, self.n_steps = "ladder", steps
            for step in range(steps):
                chosen = [(row, *items[step]) for row, items in by_output.items() if len(items) > step]
                rows, columns, weights = zip(*chosen, strict=True)
                contiguous = rows == tuple(range(rows[0], rows[0] + len(rows)))
                setattr(self, f"slice{step}", slice(rows[0], rows[-1] + 1) if contiguous else None)
                self.register_buffer(f"rows{step}", torch.tensor(rows))
                self.register_buffer(f"columns{step}", torch.tensor(columns))
                plain = all(weight == 1 for weight in weights)
                self.register_buffer(f"weights{step}", None if plain else tensor(weights, dtype).unsqueeze(1))
        elif small:
            self.kind = "dense"
            matrix = torch.zeros(n_out, n_in, dtype=dtype)
            rows, columns = zip(*entries, strict=True)
            matrix[list(rows), list(columns)] = tensor(entries.values(), dtype)
            self.register_buffer("matrix", matrix)
        else:
            self.kind = "csr"
            ordered = sorted(entries)
            rows, columns = zip(*ordered, strict=True)
            starts = torch.bincount(torch.tensor(rows), minlength=n_out).cumsum(0)
            with warnings.catch_warnings():
                warnings.filterwarnings("ignore", "Sparse CSR tensor support is in beta", UserWarning)
                matrix = torch.sparse_csr_tensor(
                    torch.cat([torch.zeros(1, dtype=torch.int64), starts]), torch.tensor(columns),
                    tensor([entries[key] for key in ordered], dtype), (n_out, n_in), check_invariants=True,
                )  # fmt: skip
            self.register_buffer("matrix", matrix)

    def _step(self, step: int, x: Tensor) -> Tensor:
        gathered = x.index_select(0, getattr(self, f"columns{step}"))
        weights = getattr(self, f"weights{step}")
        return gathered if weights is None else gathered * weights

    def forward(self, x: Tensor) -> Tensor:
        """The map of ``x`` (n_in, m): (n_out, m)."""
        if self.kind != "ladder":
            return self.matrix @ x
        if self.covers and self.n_steps:
            return self._climb(self._step(0, x), x, start=1)
        return self._climb(x.new_zeros(self.n_out, x.shape[1]), x, start=0)

    def add_to(self, y: Tensor, x: Tensor) -> Tensor:
        """``y`` plus the map of ``x``; ``y`` may be overwritten."""
        if self.kind == "dense":
            return torch.addmm(y, self.matrix, x)
        return self._climb(y, x, start=0) if self.kind == "ladder" else y + self.matrix @ x

    def _climb(self, y: Tensor, x: Tensor, start: int) -> Tensor:
        for step in range(start, self.n_steps):
            where = getattr(self, f"slice{step}")
            if where is None:
                y.index_add_(0, getattr(self, f"rows{step}"), self._step(step, x))
            else:
                y[where] += self._step(step, x)
        return y


class RowFilter(nn.Module):
    """One filter on (channels, rows held, batch), evaluated at the rows wanted."""

    def __init__(
        self, filter: Filter, held: tuple[int, ...], wanted: tuple[int, ...], n_rows: int, mode: str, dtype: torch.dtype
    ) -> None:
        super().__init__()
        self.sum_over: slice | None = None
        self.prefix = False
        self.row_constant = mode == "circular" and not filter.head
        taps = filter.taps(n_rows)
        weights = {
            (i, j): taps[(row - source) % n_rows]
            for i, row in enumerate(wanted[:1] if self.row_constant else wanted)
            for j, source in enumerate(held)
            if mode == "circular" or source <= row
        } if self.row_constant or len(wanted) == 1 or not filter.tail else {}  # fmt: skip
        weights = {key: weight for key, weight in weights.items() if weight}
        columns = sorted(j for _, j in weights)
        consecutive = columns == list(range(columns[0], columns[0] + len(columns))) if columns else False
        if (self.row_constant or len(wanted) == 1) and consecutive and set(weights.values()) == {1}:
            self.sum_over = slice(columns[0], columns[-1] + 1)
        elif weights and len({i for i, _ in weights}) == len(weights) and set(weights.values()) == {1}:
            targets, sources = zip(*weights, strict=True)  # a shift: copy rows, so that they stay exact
            self.register_buffer("targets", torch.tensor(targets))
            self.register_buffer("sources", torch.tensor(sources))
            self.n_wanted = len(wanted)
        elif mode == "causal" and filter.tail and held == tuple(range(held[-1] + 1)) and len(wanted) > 1:
            self.prefix, self.lag, self.wanted = True, len(filter.head), list(wanted)
            self.all_wanted = wanted == held
            self.register_buffer("head", tensor(filter.head, dtype))
            self.tail = float(filter.tail)
        else:
            n_wanted = 1 if self.row_constant else len(wanted)
            matrix = torch.zeros(n_wanted, len(held), dtype=dtype)
            full = filter.matrix(n_rows, mode)
            for i, row in enumerate(wanted[:n_wanted]):
                matrix[i] = tensor([full[row, source] for source in held], dtype)
            self.register_buffer("matrix", matrix)

    def forward(self, x: Tensor) -> Tensor:
        if self.sum_over is not None:
            return x[:, self.sum_over].sum(1, keepdim=True)
        if hasattr(self, "targets"):
            moved = x.new_zeros(x.shape[0], self.n_wanted, x.shape[2])
            return moved.index_copy(1, self.targets, x.index_select(1, self.sources))
        if not self.prefix:
            return self.matrix @ x
        y = torch.zeros_like(x)
        if self.lag < x.shape[1]:
            y[:, self.lag :] = self.tail * x[:, : x.shape[1] - self.lag].cumsum(1)
        for lag, tap in enumerate(self.head.unbind()):
            y[:, lag:] += tap * x[:, : x.shape[1] - lag]
        return y if self.all_wanted else y[:, self.wanted]


class Block(nn.Module):
    """The outputs of a layer that share a row extent: all of them row-constant, or none.

    ``y = linear(z) + products((conv z) ⊙ (gate z)) + bias``, then copies; z stacks the channels read, filtered.
    """

    def __init__(self, layer: Layer, outputs: list[int], context: Context, row_constant: bool) -> None:
        super().__init__()
        self.row_constant = row_constant
        dtype, sources = context.dtype, Sources(context, row_constant)
        conv, gate, out = context.conv, context.gate, context.out
        n_in = layer.conv.n_in
        units: dict[int, int] = {}
        linear: dict[tuple[int, int], Fraction] = defaultdict(Fraction)
        products: Entries = {}
        constants: dict[int, list[tuple[Filter, Fraction]]] = defaultdict(list)
        members = {unit for row in outputs for unit in out[row] if unit < layer.width}
        # Units with the most entries first, so that a ladder's later steps act on a leading slice.
        for unit in sorted(members, key=lambda unit: (-len(conv[unit]), -len(gate[unit]), unit)):
            if set(gate[unit]) != {n_in}:
                units[unit] = len(units)
        for row in outputs:
            for unit, weight in out[row].items():
                if unit == layer.width:
                    constants[row].append((DELTA, weight))
                elif unit in units:
                    products[row, units[unit]] = weight
                else:
                    scale = weight * gate[unit][n_in]
                    filter = layer.filters[layer.filter_index[unit]]
                    for column, value in conv[unit].items():
                        if column == n_in:
                            constants[row].append((filter, scale * value))
                        else:
                            index, factor = sources.index(filter, column)
                            linear[row, index] += scale * value * factor
        conv_entries: dict[tuple[int, int], Fraction] = defaultdict(Fraction)
        gate_entries: Entries = {}
        conv_constants: dict[int, list[tuple[Filter, Fraction]]] = defaultdict(list)
        gate_constants: dict[int, list[tuple[Filter, Fraction]]] = defaultdict(list)
        for unit, index in units.items():
            filter = layer.filters[layer.filter_index[unit]]
            for column, value in conv[unit].items():
                if column == n_in:
                    conv_constants[index].append((filter, value))
                else:
                    source, factor = sources.index(filter, column)
                    conv_entries[index, source] += value * factor
            for column, value in gate[unit].items():
                if column == n_in:
                    gate_constants[index].append((DELTA, value))
                else:
                    source, factor = sources.index(DELTA, column)
                    gate_entries[index, source] = value * factor
        per_row: dict[int, list[tuple[int, Fraction]]] = defaultdict(list)
        for (row, source), weight in linear.items():
            per_row[row].append((source, weight))
        with_products = {row for row, _ in products}
        copies = {
            row: per_row[row][0][0]
            for row in outputs
            if row not in with_products
            and not constants.get(row)
            and len(per_row[row]) == 1
            and per_row[row][0][1] == 1
        }
        computed = sorted((row for row in outputs if row not in copies), key=lambda row: (row not in per_row, row))
        place = {row: index for index, row in enumerate(computed)}
        self.order = [*computed, *copies]
        self.n_computed, self.n_units = len(computed), len(units)
        self.sources, n_z = sources, sources.finish(dtype)
        rows = None if row_constant else context.wanted

        def bias(constants: dict[int, list[tuple[Filter, Fraction]]], n_out: int) -> Tensor | None:
            return context.bias(constants, n_out, rows)

        self.register_buffer("copies", torch.tensor(list(copies.values())) if copies else None)
        if computed:
            placed = {(place[row], source): weight for (row, source), weight in linear.items() if row in place}
            self.linear = LoweredMap(len(computed), n_z, placed, dtype) if placed else None
            self.register_buffer("bias", bias({place[r]: c for r, c in constants.items() if r in place}, len(computed)))
            if units:
                self.conv = LoweredMap(len(units), n_z, conv_entries, dtype)
                self.gate = LoweredMap(len(units), n_z, gate_entries, dtype)
                self.register_buffer("conv_bias", bias(conv_constants, len(units)))
                self.register_buffer("gate_bias", bias(gate_constants, len(units)))
                mixed = {(place[row], unit): weight for (row, unit), weight in products.items()}
                self.products = LoweredMap(len(computed), len(units), mixed, dtype, selects=True)

    def forward(self, varying: Tensor | None, constant: Tensor | None) -> Tensor:
        z = self.sources.forward(varying, constant)
        shape = z.shape[1:]
        flat = z.flatten(1)
        parts = []
        if self.n_computed:
            y: Tensor | None = None
            if self.n_units:
                conv, gate = self.conv.forward(flat), self.gate.forward(flat)
                if self.conv_bias is not None:
                    conv = (conv.unflatten(1, shape) + self.conv_bias).flatten(1)
                if self.gate_bias is not None:
                    gate = (gate.unflatten(1, shape) + self.gate_bias).flatten(1)
                y = self.products.forward(conv * gate)
            if self.linear is not None:
                y = self.linear.forward(flat) if y is None else self.linear.add_to(y, flat)
            if y is None:
                y = flat.new_zeros(self.n_computed, flat.shape[1])
            y = y.unflatten(1, shape)
            parts.append(y if self.bias is None else y + self.bias)
        if self.copies is not None:
            parts.append(z.index_select(0, self.copies))
        return parts[0] if len(parts) == 1 else torch.cat(parts)


class Sources(nn.Module):
    """The channels that a block reads, each through its filter, stacked into one tensor."""

    def __init__(self, context: Context, row_constant: bool) -> None:
        super().__init__()
        self.row_constant = row_constant
        self._context = [context]  # in a list: plain data, not a submodule
        self._keys: dict[tuple[Filter, bool, int], int] = {}

    def index(self, filter: Filter, channel: int) -> tuple[tuple[Filter, bool, int], Fraction]:  # type: ignore[override]
        """A key for ``filter ⋆ channel`` (resolved to an index by :meth:`finish`) and a factor to fold into its weight."""
        context = self._context[0]
        constant, position = context.location[channel]
        if constant and filter != DELTA:  # every row is equal, so the filter is its sum
            factor, filter = sum(filter.taps(context.n_rows), Fraction(0)), DELTA
        else:
            factor = Fraction(1)
        key = (filter, constant, position)
        return self._keys.setdefault(key, len(self._keys)), factor  # type: ignore[return-value]

    def finish(self, dtype: torch.dtype) -> int:
        """Fix the stacking order; returns the number of stacked channels."""
        context = self._context.pop()
        groups: dict[tuple[Filter, bool], list[tuple[int, int]]] = defaultdict(list)
        for (filter, constant, position), index in self._keys.items():
            groups[filter, constant].append((position, index))
        self.segments: list[tuple[str, bool]] = []
        order: list[int] = []
        for number, ((filter, constant), members) in enumerate(groups.items()):
            positions = [position for position, _ in members]
            everything = positions == list(range(context.n_constant if constant else context.n_varying))
            self.register_buffer(f"pick{number}", None if everything else torch.tensor(positions))
            module = f"filter{number}" if filter != DELTA else ""
            if module:
                self.add_module(
                    module, RowFilter(filter, context.held, context.wanted, context.n_rows, context.mode, dtype)
                )
            self.segments.append((module, constant))
            order += [index for _, index in members]
        self.register_buffer("order", None if order == sorted(order) else torch.tensor(order).argsort())
        self.rows = context.select
        self.n_wanted = len(context.wanted)
        plain = self.segments[0] if len(self.segments) == 1 else None
        # The common case, and no work at all: one tensor, as it is.
        self.as_is = (
            plain is not None and not plain[0] and self.pick0 is None and self.order is None
            and (self.row_constant if plain[1] else self.rows is None)
        )  # fmt: skip
        return len(order)

    def forward(self, varying: Tensor | None, constant: Tensor | None) -> Tensor:
        if self.as_is:
            z = constant if self.segments[0][1] else varying
            assert z is not None
            return z
        pieces = []
        for number, (module, is_constant) in enumerate(self.segments):
            x = constant if is_constant else varying
            assert x is not None
            pick = getattr(self, f"pick{number}")
            if pick is not None:
                x = x.index_select(0, pick)
            if module:
                x = getattr(self, module)(x)
            elif not is_constant and self.rows is not None:
                x = x[:, self.rows]
            if not self.row_constant and x.shape[1] != self.n_wanted:
                x = x.expand(-1, self.n_wanted, -1)
            pieces.append(x)
        if not pieces:  # a block of constants
            some = varying if varying is not None else constant
            assert some is not None
            return some.new_zeros(0, 1 if self.row_constant else self.n_wanted, some.shape[2])
        z = pieces[0] if len(pieces) == 1 else torch.cat(pieces)
        return z if self.order is None else z.index_select(0, self.order)


class Context:
    """Where a layer stands: rows held and wanted, where each input channel lies, the maps by output."""

    def __init__(
        self, layer: Layer, held: tuple[int, ...], wanted: tuple[int, ...], network: Network,
        location: list[tuple[bool, int]], dtype: torch.dtype,
    ) -> None:  # fmt: skip
        self.layer, self.held, self.wanted, self.dtype = layer, held, wanted, dtype
        self.n_rows, self.mode, self.location = network.n_rows, network.mode, location
        self.n_constant = sum(constant for constant, _ in location)
        self.n_varying = len(location) - self.n_constant
        position = {row: index for index, row in enumerate(held)}
        chosen = [position[row] for row in wanted]
        contiguous = chosen == list(range(chosen[0], chosen[0] + len(chosen)))
        self.select: Any = None if wanted == held else slice(chosen[0], chosen[-1] + 1) if contiguous else chosen
        self.conv, self.gate, self.out = (by_row(sparse) for sparse in (layer.conv, layer.gate, layer.out))

    def is_row_constant(self) -> list[bool]:
        """For each output channel: is it the same at every row?"""
        layer, n_in = self.layer, self.layer.conv.n_in

        def constant(columns: Iterable[int], filter: Filter) -> bool:
            summed = self.mode == "circular" and not filter.head
            return all((c == n_in and (filter == DELTA or self.mode == "circular")) or (c < n_in and (summed or self.location[c][0])) for c in columns)  # fmt: skip

        units = [
            constant(self.conv[unit], layer.filters[layer.filter_index[unit]]) and constant(self.gate[unit], DELTA)
            for unit in range(layer.width)
        ]
        return [all(unit == layer.width or units[unit] for unit in self.out[row]) for row in range(layer.out.n_out)]

    def bias(
        self, constants: dict[int, list[tuple[Filter, Fraction]]], n_out: int, rows: tuple[int, ...] | None
    ) -> Tensor | None:
        """Constants by output, seen through their filters: (n_out, 1 or rows, 1), or None where there are none."""
        if not any(constants.values()):
            return None
        varies = rows is not None and any(filter != DELTA for items in constants.values() for filter, _ in items)
        at = rows if varies and rows is not None else (self.wanted[0],)
        table = [[Fraction(0)] * len(at) for _ in range(n_out)]
        for index, items in constants.items():
            for filter, value in items:
                taps = filter.taps(self.n_rows)
                for position, row in enumerate(at):
                    seen = taps if self.mode == "circular" else taps[: row + 1]
                    table[index][position] += value * (1 if filter == DELTA else sum(seen, Fraction(0)))
        return tensor([value for line in table for value in line], self.dtype).reshape(n_out, len(at), 1)


def by_row(sparse: Any) -> list[dict[int, Fraction]]:
    """The entries of a sparse map, a dictionary an output."""
    rows: list[dict[int, Fraction]] = [{} for _ in range(sparse.n_out)]
    for row, column, weight in zip(sparse.rows.tolist(), sparse.columns.tolist(), sparse.weights, strict=True):
        rows[row][column] = weight
    return rows


class LoweredLayer(nn.Module):
    """A layer: one block for the row-constant outputs, one for the others."""

    def __init__(self, context: Context) -> None:
        super().__init__()
        flags = context.is_row_constant()
        self.n_outputs = len(flags)
        wanted: dict[bool, list[int]] = {
            flag: [row for row, f in enumerate(flags) if f is flag] for flag in (True, False)
        }
        self.constant = Block(context.layer, wanted[True], context, True) if wanted[True] else None
        self.varying = Block(context.layer, wanted[False], context, False) if wanted[False] else None
        self.location = [(False, 0)] * len(flags)
        for block in (self.constant, self.varying):
            for position, row in enumerate(block.order if block is not None else []):
                self.location[row] = (block is self.constant, position)

    def forward(self, varying: Tensor | None, constant: Tensor | None) -> tuple[Tensor | None, Tensor | None]:
        return (
            self.varying.forward(varying, constant) if self.varying is not None else None,
            self.constant.forward(varying, constant) if self.constant is not None else None,
        )


def rows_needed(layer: Layer, wanted: tuple[int, ...], n_rows: int, mode: str) -> tuple[int, ...]:
    """Rows that a layer must be given so that it can compute the rows wanted."""
    needed = set(wanted)
    for filter in layer.filters:
        if filter == DELTA:
            continue
        if filter.tail:
            needed |= set(range(n_rows if mode == "circular" else max(wanted) + 1))
        for lag, tap in enumerate(filter.head):
            if tap:
                needed |= {(row - lag) % n_rows for row in wanted if mode == "circular" or row >= lag}
    return tuple(sorted(needed))


class LoweredNetwork(nn.Module):
    """A network in floating point: (..., n_rows, n_channels) to (..., rows kept, n_outputs)."""

    def __init__(self, network: Network, kept: tuple[int, ...], dtype: torch.dtype) -> None:
        super().__init__()
        self.n_rows, self.n_inputs, self.n_kept, self.dtype = network.n_rows, len(network.inputs), len(kept), dtype
        wanted = [kept]
        for layer in reversed(network.layers):
            wanted.append(rows_needed(layer, wanted[-1], network.n_rows, network.mode))
        wanted.reverse()
        self.first_rows = None if len(wanted[0]) == network.n_rows else list(wanted[0])
        self.register_buffer("positions", self._positions(network, wanted[0], dtype))
        location = [(False, channel) for channel in range(len(network.inputs))]
        layers: list[LoweredLayer] = []
        made: dict[Any, LoweredLayer] = {}
        for index, layer in enumerate(network.layers):
            key = (id(layer), wanted[index], wanted[index + 1], tuple(location))
            if key not in made:
                made[key] = LoweredLayer(Context(layer, wanted[index], wanted[index + 1], network, location, dtype))
            layers.append(made[key])
            location = layers[-1].location
        self.layers = nn.ModuleList(layers)
        self.final = location
        constants = [position for is_constant, position in location if is_constant]
        varying = [position for is_constant, position in location if not is_constant]
        self.register_buffer("final_constant", torch.tensor(constants) if constants else None)
        self.register_buffer("final_varying", torch.tensor(varying) if varying else None)
        order = [i for i, (flag, _) in enumerate(location) if not flag] + [
            i for i, (flag, _) in enumerate(location) if flag
        ]
        self.register_buffer("final_order", None if order == sorted(order) else torch.tensor(order).argsort())
        widest = max(layer.width * len(rows) for layer, rows in zip(network.layers, wanted[1:], strict=True))
        self.batch_chunk = max(64, BATCH_ELEMENTS // widest)

    def _positions(self, network: Network, rows: tuple[int, ...], dtype: torch.dtype) -> Tensor | None:
        if not network.positions:
            return None
        table = torch.zeros(len(network.inputs), len(rows), 1, dtype=dtype)
        values = tensor(network.positions.values(), dtype)
        for (row, channel), value in zip(network.positions, values, strict=True):
            if row in rows:
                table[channel, rows.index(row), 0] = value
        return table

    def forward(self, u: Tensor) -> Tensor:
        """Run on ``u`` (..., n_rows, n_channels); raises ``ValueError`` for another shape, ``TypeError`` for another dtype."""
        if u.ndim < 2 or u.shape[-2:] != (self.n_rows, self.n_inputs):
            raise ValueError(
                f"the network reads (..., {self.n_rows} rows, {self.n_inputs} channels), got {tuple(u.shape)}"
            )
        if u.dtype != self.dtype:
            raise TypeError(f"the network was lowered to {self.dtype}, and the input has {u.dtype}")
        batch = u.shape[:-2]
        state = u.reshape(-1, self.n_rows, self.n_inputs)
        chunks = state.split(self.batch_chunk) if u.device.type == "cpu" else (state,)
        outputs = [self._run(chunk) for chunk in chunks] if len(chunks) > 1 else [self._run(state)]
        y = outputs[0] if len(outputs) == 1 else torch.cat(outputs, dim=2)
        return y.permute(2, 1, 0).reshape(*batch, self.n_kept, len(self.final))

    def _run(self, u: Tensor) -> Tensor:
        varying: Tensor | None = (u if self.first_rows is None else u[:, self.first_rows]).permute(2, 1, 0).contiguous()
        constant: Tensor | None = None
        if self.positions is not None and varying is not None:
            varying = varying + self.positions
        for layer in self.layers:
            varying, constant = layer.forward(varying, constant)
        parts = []
        if varying is not None and self.final_varying is not None:
            parts.append(varying.index_select(0, self.final_varying))
        if constant is not None and self.final_constant is not None:
            parts.append(constant.index_select(0, self.final_constant).expand(-1, self.n_kept, -1))
        y = parts[0] if len(parts) == 1 else torch.cat(parts)
        return y if self.final_order is None else y.index_select(0, self.final_order)
