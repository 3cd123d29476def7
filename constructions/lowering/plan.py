"""What a lowered layer computes, as plain data: which weights act on which filtered channels, what is copied.

The lowering builds its tensors from these plans, and whoever wants to know the roundings of a lowered network
(:func:`precls_theory.precision.error_bound`) reads the same plans: the weights are still rational here.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Hashable
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property

import torch

from constructions.algebra.filters import DELTA, Filter
from constructions.lowering.context import Context, Location, rows_needed
from constructions.lowering.maps import Sums
from constructions.lowering.row_filter import Rows
from constructions.lowering.sources import SourceIndex
from constructions.networks.stack import LayerStack

Weights = dict[tuple[int, int], Fraction]
Constants = dict[int, list[tuple[Filter, Fraction]]]


class Collected:
    """A linear map of the sources and constants, collected entry by entry."""

    def __init__(self) -> None:
        self.weights: Weights = defaultdict(Fraction)
        self.constants: Constants = defaultdict(list)

    def add(self, row: int, form: dict[int, Fraction], filter: Filter, sources: SourceIndex, scale: Fraction) -> None:
        """Add ``scale · (filter ⋆ form)`` to output ``row``."""
        n_in = sources.context.layer.conv.n_in
        for column, weight in form.items():
            if column == n_in:
                self.constants[row].append((filter, scale * weight))
            else:
                source, factor = sources.index(filter, column)
                self.weights[row, source] += scale * weight * factor


class BlockPlan:
    """The outputs of a layer that share a row extent: ``linear(z) + mix((conv z) ⊙ (gate z)) + constants``, then copies.

    ``order`` lists the outputs in the order in which they come out: computed ones first, then copies of sources.
    """

    def __init__(self, context: Context, outputs: list[int], row_constant: bool) -> None:
        layer = context.layer
        self.context, self.row_constant = context, row_constant
        members = {unit for row in outputs for unit in context.out[row] if unit < layer.width}
        self.sources = SourceIndex(context, members)
        is_product = {unit: set(context.gate[unit]) != {layer.conv.n_in} for unit in members}
        # Channels with the most entries first, so that a ladder's later steps act on a leading slice.
        ranked = sorted(members, key=lambda unit: (-len(context.conv[unit]), -len(context.gate[unit]), unit))
        units = {unit: place for place, unit in enumerate(unit for unit in ranked if is_product[unit])}
        self.n_units = len(units)
        linear, mixed = Collected(), defaultdict[int, dict[int, Fraction]](dict)
        self.conv, self.gate = Collected(), Collected()
        for row in outputs:
            for unit, weight in context.out[row].items():
                if unit == layer.width:
                    linear.constants[row].append((DELTA, weight))
                elif is_product[unit]:
                    mixed[row][units[unit]] = weight
                else:
                    scale = weight * context.gate[unit][layer.conv.n_in]
                    linear.add(row, context.conv[unit], context.filter_of(unit), self.sources, scale)
        for unit, place in units.items():
            self.conv.add(place, context.conv[unit], context.filter_of(unit), self.sources, Fraction(1))
            self.gate.add(place, context.gate[unit], DELTA, self.sources, Fraction(1))
        self.copies = find_copies(outputs, linear, mixed)
        has_linear = {row for row, _ in linear.weights}
        computed = sorted(
            (row for row in outputs if row not in self.copies), key=lambda row: (row not in has_linear, row)
        )
        self.order = [*computed, *self.copies]
        self.n_computed = len(computed)
        order = {row: index for index, row in enumerate(computed)}
        self.linear = {(order[row], source): w for (row, source), w in linear.weights.items() if row in order}
        self.mix = {(order[row], unit): weight for row, items in mixed.items() for unit, weight in items.items()}
        self.constants = {order[row]: items for row, items in linear.constants.items() if row in order}


@dataclass(frozen=True, eq=False)
class LayerPlan:
    """A layer's row-constant outputs and the others."""

    context: Context
    constant: BlockPlan | None
    varying: BlockPlan | None

    @cached_property
    def location(self) -> tuple[Location, ...]:
        """Where each output lies."""
        places: dict[int, Location] = {}
        for plan, row_constant in ((self.constant, True), (self.varying, False)):
            places |= {row: (row_constant, place) for place, row in enumerate(plan.order if plan is not None else [])}
        return tuple(places[row] for row in range(len(places)))


def plan_layer(context: Context) -> LayerPlan:
    """The plan of a layer in its place."""
    flags = context.row_constant_outputs()

    def block(row_constant: bool) -> BlockPlan | None:
        outputs = [row for row, flag in enumerate(flags) if flag is row_constant]
        return BlockPlan(context, outputs, row_constant) if outputs else None

    return LayerPlan(context, block(True), block(False))


def plan_network(
    network: LayerStack, kept: Rows, dtype: torch.dtype, sums: Sums = "any"
) -> tuple[Rows, list[LayerPlan]]:
    """The rows of the input that are held, and the plans of the layers; iterations share theirs."""
    rows = [kept]
    for layer in reversed(network.layers):
        rows.insert(0, rows_needed(layer, rows[0], network.n_rows, network.mode))
    location: tuple[Location, ...] = tuple((False, channel) for channel in range(len(network.inputs)))
    plans: list[LayerPlan] = []
    made: dict[Hashable, LayerPlan] = {}
    for layer, held, wanted in zip(network.layers, rows, rows[1:], strict=False):
        key = (id(layer), held, wanted, location)
        if key not in made:
            made[key] = plan_layer(Context(layer, held, wanted, network.n_rows, network.mode, location, dtype, sums))
        plans.append(made[key])
        location = made[key].location
    return rows[0], plans


def find_copies(outputs: list[int], linear: Collected, mixed: dict[int, dict[int, Fraction]]) -> dict[int, int]:
    """Outputs that are one source with weight one, and that source: they are copied, never multiplied."""
    terms: dict[int, list[tuple[int, Fraction]]] = defaultdict(list)
    for (row, source), weight in linear.weights.items():
        terms[row].append((source, weight))
    return {
        row: terms[row][0][0]
        for row in outputs
        if not mixed.get(row) and not linear.constants.get(row) and len(terms[row]) == 1 and terms[row][0][1] == 1
    }
