"""Exact BaseConv networks: rows, named input channels, layers (:mod:`constructions.networks.layer`), and a claimed task."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

from constructions.networks.base import RowsKept
from constructions.networks.facade import Facade
from constructions.networks.stack import LayerStack

if TYPE_CHECKING:
    import torch

    from constructions.algebra.rings import Ring
    from constructions.lowering.module import LoweredNetwork


@dataclass(frozen=True, eq=False, repr=False, kw_only=True)
class Network(LayerStack, Facade):
    """An exact network: ``n_rows`` rows, named input channels, layers, and the task that it claims to do.

    ``positions`` is the positional embedding ``{(row, channel index): weight}`` that is added to the input.
    ``algorithm`` and ``parameters`` name the construction, which :func:`constructions.rebuild` runs again.
    A network made for one number format (:func:`constructions.sliced`) says its ``precision`` in bits, and in ``limits``,
    layer by layer, the largest magnitude of each output (or None): a float run that leaves them is refused.
    """

    def evaluate_exactly(self, u: np.ndarray, ring: Ring | None = None) -> np.ndarray:
        """The one evaluator: :func:`constructions.networks.evaluate.evaluate`."""
        from constructions.networks.evaluate import evaluate

        return evaluate(self, u, ring)

    def to_torch(
        self,
        dtype: torch.dtype | None = None,
        device: torch.device | str = "cpu",
        rows: RowsKept = "readout",
        sums: Literal["any", "fixed"] = "any",
    ) -> LoweredNetwork:
        """Lower to an ``nn.Module`` (float64 unless ``dtype`` says otherwise); see :func:`constructions.lowering.lower`."""
        from constructions.lowering import lower

        return lower(self, dtype=dtype, device=device, rows=rows, sums=sums)

    def __repr__(self) -> str:
        return (
            f"<Network {self.algorithm}: {self.mode}, {self.n_rows} rows, {len(self.inputs)} channels in, "
            f"depth {self.depth}, width {self.width}, {self.n_nonzero} nonzero weights>"
        )
