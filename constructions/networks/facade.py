"""What one does with an exact network, of either kind: evaluate it, lower it, read it as polynomials, save it."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, overload

import numpy as np

from constructions.networks.base import ExactNetwork

if TYPE_CHECKING:
    import torch

    from constructions.algebra.rings import Ring
    from constructions.compiler.decompile import Nested
    from constructions.networks.base import Evaluable


class Facade(ExactNetwork):
    """The methods that need the rest of the package: they import it where they are called."""

    @abstractmethod
    def evaluate_exactly(self, u: np.ndarray, ring: Ring | None = None) -> np.ndarray:
        """The exact evaluator, for arrays; see :meth:`evaluate`."""

    @overload
    def evaluate(self, u: torch.Tensor, ring: Ring | None = None) -> torch.Tensor: ...

    @overload
    def evaluate(self, u: np.ndarray | Sequence[object], ring: Ring | None = None) -> np.ndarray: ...

    def evaluate(self, u: Evaluable, ring: Ring | None = None) -> torch.Tensor | np.ndarray:
        """Run the network on ``u`` of shape (..., n_rows, n_channels) over the ring of its entries.

        Tensors run through :meth:`to_torch` with all rows; arrays through the exact evaluator.
        Returns all rows, shape (..., n_rows, n_outputs). Raises ``ValueError`` on a wrong shape.
        """
        import torch

        if isinstance(u, torch.Tensor):
            output: torch.Tensor = _lowered_once(self, u.dtype, u.device)(u)
            return output
        return self.evaluate_exactly(np.asarray(u), ring)

    def polynomials(self, max_terms: int = 20_000) -> Nested:
        """What the network computes, as SymPy polynomials (a circuit above ``max_terms``); see :mod:`constructions.compiler`."""
        from constructions.compiler.decompile import network_polynomials

        return network_polynomials(self, max_terms)

    def save(self, path: str | Path) -> None:
        """Write the network to a safetensors file, rationals exactly; :func:`constructions.load` reads it back."""
        from constructions.files.writing import save

        save(self, path)


@lru_cache(maxsize=4)
def _lowered_once(network: ExactNetwork, dtype: torch.dtype, device: torch.device) -> torch.nn.Module:
    """The network with all rows, kept for the next call: what ``evaluate`` runs on tensors."""
    return network.to_torch(dtype, device, rows="all")
