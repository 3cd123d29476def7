"""The outputs of a layer that share a row extent: all of them row-constant, or none."""

from __future__ import annotations

from collections import defaultdict
from fractions import Fraction

import torch
from torch import Tensor, nn

from constructions.algebra.filters import DELTA, Filter
from constructions.lowering.context import Context
from constructions.lowering.maps import LoweredMap
from constructions.lowering.sources import SourceIndex, Sources

FUSED_ELEMENTS = 2**14
FUSED_COLUMNS = 128
"""A block of at most so many stacked weights is fused for inputs of at most so many columns (rows times batch)."""

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


class Products(nn.Module):
    """Hidden channels with two factors: ``(conv z + bias) ⊙ (gate z + bias)``."""

    conv_bias: Tensor | None
    gate_bias: Tensor | None

    def __init__(
        self, conv: Collected, gate: Collected, n_units: int, n_z: int, context: Context, row_constant: bool
    ) -> None:
        super().__init__()
        self.conv = LoweredMap(n_units, n_z, conv.weights, context.dtype)
        self.gate = LoweredMap(n_units, n_z, gate.weights, context.dtype)
        self.register_buffer("conv_bias", context.bias(conv.constants, n_units, row_constant))
        self.register_buffer("gate_bias", context.bias(gate.constants, n_units, row_constant))

    def forward(self, flat: Tensor, n_rows: int) -> Tensor:
        conv = with_bias(self.conv.forward(flat), self.conv_bias, n_rows)
        return conv * with_bias(self.gate.forward(flat), self.gate_bias, n_rows)


def with_bias(y: Tensor, bias: Tensor | None, n_rows: int) -> Tensor:
    """``y`` (channels, rows · batch) plus a bias (channels, 1 or rows, 1)."""
    return y if bias is None else (y.unflatten(1, (n_rows, -1)) + bias).flatten(1)


class Fused(nn.Module):
    """A small block as two dense products, ``mix · (first half ⊙ second half)``, affine parts with gate one.

    Fewer kernels, more multiplications: for few columns the kernels' overhead is what counts.
    """

    stacked: Tensor
    stacked_bias: Tensor
    mix: Tensor

    def __init__(self, products: Products, mix: LoweredMap, linear: LoweredMap | None, n_z: int) -> None:
        super().__init__()
        eye = torch.eye(n_z, dtype=products.conv.dtype)
        extra = eye.new_zeros(0, n_z) if linear is None else linear.forward(eye)
        conv = torch.cat([products.conv.forward(eye), extra])
        gate = torch.cat([products.gate.forward(eye), torch.zeros_like(extra)])
        zero = eye.new_zeros(len(conv) - len(extra), 1, 1)
        biases = [
            zero if products.conv_bias is None else products.conv_bias, eye.new_zeros(len(extra), 1, 1),
            zero if products.gate_bias is None else products.gate_bias, eye.new_ones(len(extra), 1, 1),
        ]  # fmt: skip
        mixed = mix.forward(torch.eye(mix.n_in, dtype=eye.dtype))
        self.n_hidden = len(conv)
        self.register_buffer("stacked", torch.cat([conv, gate]))
        self.register_buffer("stacked_bias", torch.cat(biases).squeeze(2))
        self.register_buffer("mix", torch.cat([mixed, torch.eye(len(mixed), dtype=eye.dtype)[:, : len(extra)]], dim=1))

    @staticmethod
    def fits(products: Products, mix: LoweredMap, linear: LoweredMap | None, n_z: int) -> bool:
        """Is the block small, dense already, and without row-dependent constants?"""
        plain = all(bias is None or bias.shape[1] == 1 for bias in (products.conv_bias, products.gate_bias))
        is_dense = mix.kind == "dense" and (linear is None or linear.kind == "dense")
        return plain and is_dense and 2 * n_z * (mix.n_in + mix.n_out) <= FUSED_ELEMENTS

    def forward(self, flat: Tensor) -> Tensor:
        hidden = torch.addmm(self.stacked_bias, self.stacked, flat)
        return self.mix @ (hidden[: self.n_hidden] * hidden[self.n_hidden :])


class Block(nn.Module):
    """``y = linear(z) + mix((conv z) ⊙ (gate z)) + bias``, then copies; z stacks the channels read, filtered.

    ``order`` lists the outputs in the order in which they come out: computed ones first, then copies.
    """

    bias: Tensor | None
    copies: Tensor | None

    def __init__(self, context: Context, outputs: list[int], row_constant: bool) -> None:
        super().__init__()
        layer, dtype = context.layer, context.dtype
        members = {unit for row in outputs for unit in context.out[row] if unit < layer.width}
        sources = SourceIndex(context, members)
        is_product = {unit: set(context.gate[unit]) != {layer.conv.n_in} for unit in members}
        # Channels with the most entries first, so that a ladder's later steps act on a leading slice.
        ranked = sorted(members, key=lambda unit: (-len(context.conv[unit]), -len(context.gate[unit]), unit))
        units = {unit: place for place, unit in enumerate(unit for unit in ranked if is_product[unit])}
        linear, conv, gate, mixed = Collected(), Collected(), Collected(), defaultdict[int, dict[int, Fraction]](dict)
        for row in outputs:
            for unit, weight in context.out[row].items():
                if unit == layer.width:
                    linear.constants[row].append((DELTA, weight))
                elif is_product[unit]:
                    mixed[row][units[unit]] = weight
                else:
                    scale = weight * context.gate[unit][layer.conv.n_in]
                    linear.add(row, context.conv[unit], context.filter_of(unit), sources, scale)
        for unit, place in units.items():
            conv.add(place, context.conv[unit], context.filter_of(unit), sources, Fraction(1))
            gate.add(place, context.gate[unit], DELTA, sources, Fraction(1))
        copies = find_copies(outputs, linear, mixed)
        has_linear = {row for row, _ in linear.weights}
        computed = sorted((row for row in outputs if row not in copies), key=lambda row: (row not in has_linear, row))
        self.order = [*computed, *copies]
        order = {row: index for index, row in enumerate(computed)}
        self.sources = Sources(sources, row_constant)
        self.n_computed = len(computed)
        placed = {(order[row], source): w for (row, source), w in linear.weights.items() if row in order}
        self.linear = LoweredMap(len(computed), sources.size, placed, dtype) if placed else None
        self.products, self.mix = None, None
        if units:
            self.products = Products(conv, gate, len(units), sources.size, context, row_constant)
            entries = {(order[row], unit): weight for row, items in mixed.items() for unit, weight in items.items()}
            self.mix = LoweredMap(len(computed), len(units), entries, dtype, selects=True)
        self.fused = None
        if self.products is not None and self.mix is not None:
            parts = (self.products, self.mix, self.linear, sources.size)
            self.fused = Fused(*parts) if Fused.fits(*parts) else None
        constants = {order[row]: items for row, items in linear.constants.items() if row in order}
        self.register_buffer("bias", context.bias(constants, len(computed), row_constant))
        self.register_buffer("copies", torch.tensor(list(copies.values())) if copies else None)

    def forward(self, varying: Tensor | None, constant: Tensor | None) -> Tensor:
        z = self.sources.forward(varying, constant)
        if not self.n_computed and self.copies is not None:
            return z.index_select(0, self.copies)
        n_rows, flat = z.shape[1], z.flatten(1)
        if self.fused is not None and flat.shape[1] <= FUSED_COLUMNS:
            y = self.fused.forward(flat)
        elif self.products is not None and self.mix is not None:
            y = self.mix.forward(self.products.forward(flat, n_rows))
            y = y if self.linear is None else self.linear.add_to(y, flat)
        elif self.linear is not None:
            y = self.linear.forward(flat)
        else:
            y = flat.new_zeros(self.n_computed, flat.shape[1])
        y = with_bias(y, self.bias, n_rows).unflatten(1, (n_rows, -1))
        return y if self.copies is None else torch.cat([y, z.index_select(0, self.copies)])


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
