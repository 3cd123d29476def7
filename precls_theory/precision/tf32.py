"""TF32 on any machine: float32 with both factors of every matrix product rounded to eleven bits, as tensor cores take them.

NVIDIA's format has the exponents of float32 and ten explicit bits of the fraction; products are exact in float32's accumulator
then. :class:`EmulatedTF32` rounds to nearest (the conversion instruction's rounding, ties away from zero). What stays
float32 on the hardware, element by element, stays so here. A lowered network refuses to run on a GPU set to TF32; with this one
sees what it refuses.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode

DROPPED_BITS = 13
"""Bits of float32's fraction that TF32 lacks."""
PRODUCTS = {
    torch.matmul, Tensor.matmul, Tensor.__matmul__, Tensor.__rmatmul__, torch.mm, Tensor.mm, torch.bmm, Tensor.bmm,
    torch.einsum, torch.nn.functional.linear,
}  # fmt: skip
ADDED = {torch.addmm, Tensor.addmm}
"""Products whose first argument is added, and stays float32."""


def to_tf32(values: Tensor) -> Tensor:
    """float32 values as TF32 holds them, in float32; other dtypes, infinities and NaN as they are."""
    if values.dtype != torch.float32 or values.layout != torch.strided:
        return values
    half = 1 << (DROPPED_BITS - 1)
    bits = values.contiguous().view(torch.int32)
    cut = ((bits + half) & ~((1 << DROPPED_BITS) - 1)).view(torch.float32)
    return torch.where(values.isfinite(), cut, values)


class EmulatedTF32(TorchFunctionMode):
    """``with EmulatedTF32(): …``: dense matrix products of float32 tensors take their factors in TF32."""

    def __torch_function__(
        self,
        func: Callable[..., object],
        types: Sequence[type],
        args: Sequence[object] = (),
        kwargs: Mapping[str, object] | None = None,
    ) -> object:
        named = dict(kwargs or {})
        first = 1 if func in ADDED else 0
        if func in PRODUCTS or func in ADDED:
            args = [
                to_tf32(value) if isinstance(value, Tensor) and place >= first else value
                for place, value in enumerate(args)
            ]
        return func(*args, **named)
