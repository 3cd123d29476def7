"""Exact Transformers: blocks (:mod:`constructions.transformers.blocks`) and what one does with them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from constructions.networks.base import RowsKept
from constructions.networks.facade import Facade
from constructions.transformers.blocks import BlockStack
from constructions.transformers.blocks import EvenPartRemains as EvenPartRemains
from constructions.transformers.evaluate import evaluate

if TYPE_CHECKING:
    import torch

    from constructions.algebra.rings import Ring
    from constructions.transformers.lowering import LoweredTransformer


@dataclass(frozen=True, eq=False, repr=False, kw_only=True)
class ExactTransformer(BlockStack, Facade):
    """A Transformer with exact weights, used like a :class:`constructions.Network`: the same task, claim and methods."""

    def evaluate_exactly(self, u: np.ndarray, ring: Ring | None = None) -> np.ndarray:
        """Output channels of all rows over the ring of ``u``; see :func:`constructions.transformers.evaluate.evaluate`."""
        return evaluate(self, u, ring)

    def to_torch(
        self, dtype: torch.dtype | None = None, device: torch.device | str = "cpu", rows: RowsKept = "readout"
    ) -> LoweredTransformer:
        """Lower to the reference model (float64 unless ``dtype`` says otherwise); see
        :mod:`constructions.transformers.lowering`."""
        from constructions.transformers.lowering import lower

        return lower(self, dtype=dtype, device=device, rows=rows)

    def __repr__(self) -> str:
        mlp = f", {self.gate} MLPs of {self.hidden} hidden units" if self.gate else ""
        return (
            f"<ExactTransformer {self.algorithm}: {self.mask} {self.attention} attention, {self.n_heads} heads{mlp}, "
            f"{self.n_rows} rows, depth {self.depth}, width {self.width}, {self.n_nonzero} nonzero weights>"
        )
