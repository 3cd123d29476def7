"""The outputs of a layer that share a row extent: all of them row-constant, or none."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from constructions.lowering.context import Context
from constructions.lowering.maps import LoweredMap
from constructions.lowering.plan import BlockPlan, Collected
from constructions.lowering.sources import Sources

FUSED_ELEMENTS = 2**14
FUSED_COLUMNS = 128
"""A block of at most so many stacked weights is fused for inputs of at most so many columns (rows times batch)."""


class Products(nn.Module):
    """Hidden channels with two factors: ``(conv z + bias) ⊙ (gate z + bias)``."""

    conv_bias: Tensor | None
    gate_bias: Tensor | None

    def __init__(
        self, conv: Collected, gate: Collected, n_units: int, n_z: int, context: Context, row_constant: bool
    ) -> None:
        super().__init__()
        self.conv = LoweredMap(n_units, n_z, conv.weights, context.dtype, sums=context.sums)
        self.gate = LoweredMap(n_units, n_z, gate.weights, context.dtype, sums=context.sums)
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

    def __init__(self, plan: BlockPlan) -> None:
        super().__init__()
        context, dtype, n_z = plan.context, plan.context.dtype, plan.sources.size
        self.order, self.n_computed = plan.order, plan.n_computed
        self.sources = Sources(plan.sources, plan.row_constant)
        self.linear = LoweredMap(plan.n_computed, n_z, plan.linear, dtype, sums=context.sums) if plan.linear else None
        self.products, self.mix = None, None
        if plan.n_units:
            self.products = Products(plan.conv, plan.gate, plan.n_units, n_z, context, plan.row_constant)
            self.mix = LoweredMap(plan.n_computed, plan.n_units, plan.mix, dtype, selects=True, sums=context.sums)
        self.fused = None
        if self.products is not None and self.mix is not None and context.sums == "any":
            parts = (self.products, self.mix, self.linear, n_z)
            self.fused = Fused(*parts) if Fused.fits(*parts) else None
        self.register_buffer("bias", context.bias(plan.constants, plan.n_computed, plan.row_constant))
        self.register_buffer("copies", torch.tensor(list(plan.copies.values())) if plan.copies else None)

    def forward(self, varying: Tensor | None, constant: Tensor | None) -> Tensor:
        z = self.sources.forward(varying, constant)
        if not self.n_computed and self.copies is not None:
            return z.index_select(0, self.copies)
        n_rows, flat = z.shape[1], z.flatten(1)
        # a traced graph holds for every size of the batch: its compiler fuses what is worth it
        few = not torch.compiler.is_compiling() and flat.shape[1] <= FUSED_COLUMNS
        if self.fused is not None and few:
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
