"""From a network to its sliced network: every layer becomes one stage, or two where a weight has to be split first."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction

import numpy as np

from constructions.algebra.filters import DELTA, Filter
from constructions.networks.layer import Layer, SparseMap
from constructions.networks.network import Network
from constructions.slicing.digits import (
    CONSTANT,
    LIGHT_BITS,
    ONE,
    AffineForm,
    BudgetError,
    Digit,
    Digits,
    Grid,
    add_forms,
    combine,
    exponent_of,
    is_multiple,
    light,
    light_filter,
    split,
    tap_sum,
    unit,
    units,
)
from constructions.slicing.stage import Kind, Stage, Value

Weights = dict[int, Fraction]
Exponents = Sequence[Sequence[int]]
"""log2 of the largest magnitude of each channel: of the inputs, then of the outputs of each layer."""


@dataclass(frozen=True)
class Term:
    """A product ``weight · (filter ⋆ conv) ⊙ gate`` of two affine forms of channels."""

    filter: Filter
    conv: Weights
    gate: Weights
    weight: Fraction


@dataclass
class Output:
    """An output of a layer: products, linear parts by filter, and a constant."""

    products: list[Term] = field(default_factory=list)
    linear: dict[Filter, Weights] = field(default_factory=lambda: defaultdict(lambda: defaultdict(Fraction)))
    constant: Fraction = Fraction(0)

    @property
    def copied(self) -> int | None:
        """The channel that this output repeats, if that is all it does."""
        only = dict(self.linear.get(DELTA, {}))
        if self.products or self.constant or set(self.linear) != {DELTA} or len(only) != 1:
            return None
        ((channel, weight),) = only.items()
        return channel if weight == 1 and channel != CONSTANT else None


def by_output(sparse: SparseMap) -> list[Weights]:
    """Rows of a sparse map as ``{channel or CONSTANT: weight}``."""
    rows: list[Weights] = [{} for _ in range(sparse.n_out)]
    for (row, column), weight in sparse.entries().items():
        rows[row][CONSTANT if column == sparse.n_in else column] = weight
    return rows


def read_layer(layer: Layer) -> list[Output]:
    """The outputs of a layer in normal form; a factor that is constant makes a hidden channel linear."""
    conv, gate, out = by_output(layer.conv), by_output(layer.gate), by_output(layer.out)
    outputs = []
    for row in out:
        made = Output(constant=row.get(CONSTANT, Fraction(0)))
        for hidden, weight in row.items():
            if hidden == CONSTANT:
                continue
            filter, left, right = layer.filters[layer.filter_index[hidden]], conv[hidden], gate[hidden]
            if set(right) <= {CONSTANT}:
                scale, form = weight * right.get(CONSTANT, Fraction(0)), left
            elif set(left) <= {CONSTANT} and filter == DELTA:
                scale, form = weight * left.get(CONSTANT, Fraction(0)), right
            else:
                made.products.append(Term(filter, left, right, weight))
                continue
            for channel, entry in form.items():
                if channel == CONSTANT and filter == DELTA:
                    made.constant += scale * entry
                elif scale * entry:
                    made.linear[filter][channel] += scale * entry
        made.linear = {
            filter: kept for filter, form in made.linear.items() if (kept := {c: w for c, w in form.items() if w})
        }
        outputs.append(made)
    return outputs


Source = tuple[Filter, tuple[tuple[int, Fraction], ...], Fraction, int]
"""A factor that has to be made first: filter, form, weight, offset of the grid on which it is wanted."""


class LayerSlicer:
    """One layer: decides what must be made in a stage before, then writes the stage."""

    def __init__(
        self,
        grid: Grid,
        n_rows: int,
        n_in: int,
        values: dict[int, Digits],
        exponents: Sequence[int],
        eager: bool,
        kinds: Mapping[str, Kind],
    ) -> None:
        self.grid, self.n_rows, self.n_in, self.eager = grid, n_rows, n_in, eager
        self.values, self.exponents, self.kinds = values, exponents, kinds
        self.layers: list[Layer] = []
        self.limits: list[list[float] | None] = []
        self.wanted: dict[tuple[int, int], tuple[Source | None, Source | None]] = {}
        self._natural: dict[int, int | None] = {}
        self.made: dict[Source, Digits] = {}
        self.largest_sum = 0

    # --- Factors ------------------------------------------------------------------------------------------------

    def factor(self, form: Weights) -> Digits | None:
        return combine(form, self.values, self.grid) if all(c in self.values or c == CONSTANT for c in form) else None

    def natural(self, term: Term) -> int | None:
        """The grid on which the product lies by itself; None where a factor or weight is not light."""
        if id(term) not in self._natural:
            self._natural[id(term)] = self._find_natural(term)
        return self._natural[id(term)]

    def _find_natural(self, term: Term) -> int | None:
        part, shape = light(term.weight), light_filter(term.filter, self.n_rows)
        left, right = self.factor(term.conv), self.factor(term.gate)
        if part is None or shape is None or left is None or right is None:
            return None
        if self.eager and (term.filter != DELTA or len(term.conv) > 1 or len(term.gate) > 1):
            return None
        return (left.top + right.top + part[1] + shape[0]) % self.grid.slice_bits

    def choose_offset(self, output: Output) -> int:
        """The grid on which most products of an output lie by themselves, the others as near as possible."""
        beta = self.grid.slice_bits
        natural = [place for term in output.products if (place := self.natural(term)) is not None]
        carried = [
            (self.values[channel].top + part[1]) % beta
            for channel, weight in output.linear.get(DELTA, {}).items()
            if channel != CONSTANT and (part := light(weight)) is not None
        ]

        def cost(offset: int) -> tuple[int, int, int]:
            gaps = [(offset - place) % beta for place in natural]
            late = [(offset - place) % beta for place in carried]
            return sum(gap > LIGHT_BITS for gap in gaps), max(gaps, default=0), max(late, default=0)

        return min(sorted({*natural, *carried}), key=cost, default=0)

    def sources(self, term: Term, offset: int) -> tuple[Source | None, Source | None]:
        """Which factors of a product have to be made first (None: none), its weight going into one of them."""
        natural = self.natural(term)
        if natural is not None and (offset - natural) % self.grid.slice_bits <= LIGHT_BITS:
            return None, None
        left, right = self.factor(term.conv), self.factor(term.gate)
        conv, gate = tuple(sorted(term.conv.items())), tuple(sorted(term.gate.items()))
        keep_right = right is not None and not (self.eager and len(term.gate) > 1)
        if keep_right and right is not None:
            return (term.filter, conv, term.weight, (offset - right.top) % self.grid.slice_bits), None
        shape = light_filter(term.filter, self.n_rows)
        if left is not None and shape is not None and not self.eager:
            return None, (DELTA, gate, term.weight, (offset - left.top - shape[0]) % self.grid.slice_bits)
        return (term.filter, conv, term.weight, offset), (DELTA, gate, Fraction(1), 0)

    def make(self, wanted: set[Source], needed: set[int]) -> None:
        """A stage that makes these factors and carries the channels that are still needed."""
        stage = Stage(self.grid, self.n_channels(), self.n_rows)
        names: dict[Source, str] = {}
        for source in sorted(wanted, key=str):
            filter, form, weight, offset = source
            names[source] = f"factor{len(names)}"
            linear = {channel: weight * entry for channel, entry in form if channel != CONSTANT}
            constant = weight * dict(form).get(CONSTANT, Fraction(0))
            size = sum(abs(w) * unit(-self.exponents[c]) for c, w in linear.items()) + abs(constant)
            exponent = exponent_of(size * tap_sum(filter, self.n_rows))
            output = Output(linear={filter: linear | ({CONSTANT: constant} if filter != DELTA and constant else {})},
                            constant=constant if filter == DELTA else Fraction(0))  # fmt: skip
            stage.values.append(self.write(stage, names[source], output, exponent, offset))
        stage.copies = {f"={channel}": self.values[channel] for channel in sorted(needed)}
        results = self.close(stage)
        self.made = {source: results[name] for source, name in names.items()}
        self.values = {channel: results[f"={channel}"] for channel in needed}

    def close(self, stage: Stage) -> dict[str, Digits]:
        """End a stage: its layers join those before, its values are returned."""
        layers, results, limits = stage.close()
        self.largest_sum = max(self.largest_sum, stage.largest_sum)
        self.layers += layers
        self.limits += limits
        return results

    # --- Floats ---------------------------------------------------------------------------------------------------

    def settle(self, outputs: Mapping[str, Output]) -> None:
        """A stage that carries once more in the values that floats are made of by products.

        Their leading digits may cancel, as 1 and −2^β in the next position do. After another carry the leading digits of a
        small value are zeros, and a float that adds its digits in any order errs by a few units of its own size alone.
        """
        floats = [output for name, output in outputs.items() if self.kinds[name] == "cut"]
        factors = {c for output in floats for term in output.products for c in (*term.conv, *term.gate)}
        loose = sorted(c for c in factors if c != CONSTANT and len(self.values[c].digits) > 1)
        needed = {c for output in outputs.values() for form in output.linear.values() for c in form}
        needed |= {c for output in outputs.values() for term in output.products for c in (*term.conv, *term.gate)}
        needed -= {CONSTANT}
        if not loose:
            return
        stage = Stage(self.grid, self.n_channels(), self.n_rows)
        for channel in loose:
            X = self.values[channel]
            value = Value(f"={channel}", self.exponents[channel], X.offset(self.grid), X.top, X.last, X.exact)
            stage.linear(value, DELTA, X, Fraction(1))
            stage.values.append(value)
        stage.copies = {f"={channel}": self.values[channel] for channel in sorted(needed - set(loose))}
        results = self.close(stage)
        self.values = {channel: results[f"={channel}"] for channel in needed}

    def whole(self, form: Mapping[int, Fraction]) -> AffineForm:
        """An affine form of values as one of channels: all digits of each added up."""
        total: AffineForm = ()
        for channel, weight in form.items():
            if channel == CONSTANT:
                total = add_forms(total, ((CONSTANT, weight),))
                continue
            for digit in self.values[channel].digits.values():
                total = add_forms(total, digit.form, weight)
        return total

    def write_float(self, stage: Stage, name: str, output: Output, exponent: int) -> Value:
        """Add an output that is computed as one float to a stage."""
        kind, p = self.kinds[name], self.grid.precision
        lowest = p - 3 - exponent
        last = lowest - lowest % self.grid.slice_bits if kind == "cut" else self.grid.top(exponent, 0)
        value = Value(name, exponent, last % self.grid.slice_bits, last, last, exact=False, kind=kind)
        for term in output.products:
            stage.float_product(value, term.filter, self.whole(term.conv), self.whole(term.gate), term.weight)
        for filter, form in output.linear.items():
            stage.float_product(value, filter, self.whole(form), ONE, Fraction(1))
        if output.constant:
            value.at(value.last).constant += output.constant
        return value

    def n_channels(self) -> int:
        """Channels that the next stage reads from."""
        return len(self.layers[-1].outputs) if self.layers else self.n_in

    # --- The outputs --------------------------------------------------------------------------------------------

    def factors(self, term: Term, offset: int) -> tuple[Filter, Digits, Digits, Fraction]:
        """What is multiplied in the end: filter, two values, a light weight."""
        first, second = self.wanted.get((id(term), offset), (None, None))
        left = self.made[first] if first else self.factor(term.conv)
        right = self.made[second] if second else self.factor(term.gate)
        assert left is not None
        assert right is not None
        return (DELTA if first else term.filter), left, right, (Fraction(1) if first or second else term.weight)

    def write(self, stage: Stage, name: str, output: Output, exponent: int, offset: int) -> Value:
        """Add an output of a layer to a stage."""
        if self.kinds.get(name, "digits") != "digits":
            return self.write_float(stage, name, output, exponent)
        grid = self.grid
        top = grid.top(exponent, offset)
        ready = [self.factors(term, offset) for term in output.products]
        limits = [stage.product_limit(*factors, offset) for factors in ready]
        limits += [
            stage.linear_limit(filter, self.values[channel], weight, offset)
            for filter, form in output.linear.items()
            for channel, weight in form.items()
            if channel != CONSTANT
        ]
        last = min([grid.last(exponent, offset), *(limit for limit in limits if limit is not None)])
        value = Value(name, exponent, offset, min(top, last), last)
        for factors in ready:
            stage.product(value, *factors)
        for filter, form in output.linear.items():
            for channel, weight in form.items():
                if channel == CONSTANT:
                    stage.constant(value, weight, filter)
                else:
                    stage.linear(value, filter, self.values[channel], weight)
        stage.constant(value, output.constant)
        return value

    def prepare(self, outputs: Mapping[str, Output]) -> dict[str, int]:
        """Choose the grids of the outputs, and make in a stage of its own what they need; returns the offsets."""
        self.settle(outputs)
        floats = {name for name in outputs if self.kinds[name] != "digits"}
        offsets = {name: 0 if name in floats else self.choose_offset(output) for name, output in outputs.items()}
        self.wanted = {}
        for name, output in outputs.items():
            if name in floats:
                continue
            for term in output.products:
                self.wanted[id(term), offsets[name]] = self.sources(term, offsets[name])
        asked = {source for pair in self.wanted.values() for source in pair if source}
        if asked:
            needed = {c for output in outputs.values() for form in output.linear.values() for c in form}
            for name, output in outputs.items():
                for term in output.products:
                    first, second = self.wanted[id(term), offsets[name]]
                    needed |= (set() if first else set(term.conv)) | (set() if second else set(term.gate))
            self.make(asked, needed - {CONSTANT})
        return offsets

    def slice(self, outputs: Mapping[str, Output], exponents: Mapping[str, int]) -> dict[str, Digits]:
        """The stage of this layer; the values of its outputs."""
        copies = {name: output.copied for name, output in outputs.items() if output.copied is not None}
        offsets = self.prepare(outputs)
        stage = Stage(self.grid, self.n_channels(), self.n_rows)
        stage.copies = {name: self.values[channel] for name, channel in copies.items()}
        for name, output in outputs.items():
            if name not in copies:
                stage.values.append(self.write(stage, name, output, exponents[name], offsets[name]))
        return self.close(stage)

    def slice_last(self, outputs: Mapping[str, Output], exponents: Mapping[str, int]) -> dict[str, list[int]]:
        """The last layer; the outputs that hold the class sums of each value."""
        offsets = self.prepare(outputs)
        stage = Stage(self.grid, self.n_channels(), self.n_rows)
        for name, output in outputs.items():
            stage.values.append(self.write(stage, name, output, exponents[name], offsets[name]))
        layer, groups = stage.close_last()
        self.largest_sum = max(self.largest_sum, stage.largest_sum)
        self.layers.append(layer)
        self.limits.append(None)
        return groups


@dataclass(frozen=True)
class SlicedLayers:
    """What slicing gives: layers, run-time limits, the input digits (position, channel) and the output groups."""

    inputs: tuple[str, ...]
    layers: tuple[Layer, ...]
    limits: tuple[np.ndarray | None, ...]
    digits: tuple[tuple[tuple[int, int], ...], ...]
    groups: tuple[tuple[int, ...], ...]
    positions: dict[tuple[int, int], Fraction]
    largest_sum: int


def read_layers(network: Network) -> dict[int, list[Output]]:
    """The outputs of each layer in normal form, by the id of the layer: iterations repeat layers."""
    return {id(layer): read_layer(layer) for layer in {id(layer): layer for layer in network.layers}.values()}


def kinds_of(network: Network, floats: Container[str], read: Mapping[int, list[Output]]) -> list[dict[str, Kind]]:
    """How the outputs of each layer are carried: families in ``floats`` as one float, cut into digits where digits read them."""
    kinds: list[dict[str, Kind]] = []
    after: Layer | None = None
    for layer in reversed(network.layers):
        own: dict[str, Kind] = {
            name: "float" if name.partition("[")[0] in floats else "digits" for name in layer.outputs
        }
        if after is None:
            own = dict.fromkeys(own, "digits")
        else:
            for name, output in zip(after.outputs, read[id(after)], strict=True):
                if kinds[-1][name] == "digits":
                    forms = [*output.linear.values(), *(f for term in output.products for f in (term.conv, term.gate))]
                    for channel in {c for form in forms for c in form if c != CONSTANT}:
                        if own[layer.outputs[channel]] == "float":
                            own[layer.outputs[channel]] = "cut"
        kinds.append(own)
        after = layer
    return kinds[::-1]


def slice_layers(
    network: Network,
    grid: Grid,
    exponents: Exponents,
    may_split: bool = True,
    floats: Container[str] = (),
    read: Mapping[int, list[Output]] | None = None,
) -> SlicedLayers:
    """Slice ``network``, whose channels stay below 2^exponents. Raises :class:`BudgetError` where sums do not fit.

    Channels of the families ``floats`` are computed as one float each. ``read``: :func:`read_layers` of the network.
    ``may_split`` allows a stage more where a layer fits only with its filtered and composite factors made first.
    """
    values, inputs, digits, positions = slice_inputs(network, grid, exponents[0])
    layers: list[Layer] = []
    limits: list[list[float] | None] = []
    largest = 0
    known: dict[tuple[object, ...], tuple[LayerSlicer, dict[str, Digits]]] = {}
    read = read_layers(network) if read is None else read
    groups: dict[str, list[int]] = {}
    wanted = [network.outputs[column] for column in network.task.columns]
    kinds = kinds_of(network, floats, read)
    for index, layer in enumerate(network.layers):
        is_last = index == len(network.layers) - 1
        made = read[id(layer)]
        n_in = len(layers[-1].outputs) if layers else len(inputs)
        key = (
            id(layer),
            n_in,
            is_last,
            tuple(value.key for value in values.values()),
            tuple(exponents[index + 1]),
            tuple(kinds[index].values()),
        )
        if key not in known:  # iterations repeat a layer: it is sliced once
            named = {n: o for n, o in zip(layer.outputs, made, strict=True) if not is_last or n in wanted}
            sizes = dict(zip(layer.outputs, exponents[index + 1], strict=True))

            for eager in (False, True):
                slicer = LayerSlicer(grid, network.n_rows, n_in, dict(values), exponents[index], eager, kinds[index])
                try:
                    if is_last:
                        groups, known[key] = slicer.slice_last(named, sizes), (slicer, {})
                    else:
                        known[key] = slicer, slicer.slice(named, sizes)
                    break
                except BudgetError:
                    if eager or not may_split:
                        raise
        slicer, results = known[key]
        layers += slicer.layers
        limits += slicer.limits
        largest = max(largest, slicer.largest_sum)
        if not is_last:
            values = {place: results[name] for place, name in enumerate(layer.outputs)}
    return SlicedLayers(
        inputs, tuple(layers), tuple(None if limit is None else np.array(limit) for limit in limits), digits,
        tuple(tuple(groups[name]) for name in wanted), positions, largest,
    )  # fmt: skip


def slice_inputs(
    network: Network, grid: Grid, exponents: Sequence[int]
) -> tuple[
    dict[int, Digits], tuple[str, ...], tuple[tuple[tuple[int, int], ...], ...], dict[tuple[int, int], Fraction]
]:
    """The input channels as digits: values, names, (position, channel) of each digit, and the positional embedding.

    A channel that no data enter has the digits of its positional constants alone.
    """
    free = {column for _, column in network.task.free_channels}
    values: dict[int, Digits] = {}
    names: list[str] = []
    digits: list[tuple[tuple[int, int], ...]] = []
    positions: dict[tuple[int, int], Fraction] = {}
    for channel, (name, exponent) in enumerate(zip(network.inputs, exponents, strict=True)):
        top = grid.top(exponent, 0)
        last = grid.last(exponent, 0)
        bounds: dict[int, int] = {}
        exact = channel not in free
        if channel in free:
            bounds = dict.fromkeys(range(top, last + 1, grid.slice_bits), 2 ** (grid.slice_bits - 1))
            bounds[top] = 2 ** (exponent + top)
        fixed: dict[int, dict[int, Fraction]] = {}
        for (row, column), weight in network.positions.items():
            if column == channel:
                fixed[row] = split(weight, grid, 0, last)
                exact = exact and all(is_multiple(slice_, p) for p, slice_ in fixed[row].items())
        for position in {p for slices in fixed.values() for p in slices}:
            largest = max(units(slices.get(position, Fraction(0)), position) for slices in fixed.values())
            bounds[position] = bounds.get(position, 0) + largest
        bounds = bounds or {top: 1}
        first = len(names)
        places = {position: first + place for place, position in enumerate(sorted(bounds))}
        names += [f"{name}@{position}" for position in places]
        digits.append(tuple(places.items()) if channel in free else ())
        values[channel] = Digits(
            {p: Digit(((place, Fraction(1)),), max(1, bounds[p])) for p, place in places.items()}, exact
        )
        positions |= {(row, places[p]): slice_ for row, slices in fixed.items() for p, slice_ in slices.items()}
    return values, tuple(names), tuple(digits), positions
