"""Exact BaseConv networks: rows, named input channels, layers (:mod:`constructions.networks.layer`), and a claimed task."""

from __future__ import annotations

from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from constructions.networks.layer import Layer, Mode

if TYPE_CHECKING:
    import torch

    from constructions.algebra.rings import Ring
    from constructions.networks.tasks import Task


@dataclass(frozen=True, eq=False)
class Network:
    """An exact network: ``n_rows`` rows, named input channels, layers, and the task that it claims to do.

    ``positions`` is the positional embedding ``{(row, channel index): weight}`` that is added to the input.
    ``algorithm`` and ``parameters`` name the construction, which :func:`constructions.rebuild` runs again.
    A network made for one number format (:func:`constructions.sliced`) says its ``precision`` in bits, and in ``limits``,
    layer by layer, the largest magnitude of each output (or None): a float run that leaves them is refused.
    """

    n_rows: int
    mode: Mode
    inputs: tuple[str, ...]
    layers: tuple[Layer, ...]
    task: Task
    algorithm: str
    parameters: dict[str, Any]
    positions: dict[tuple[int, int], Fraction] = field(default_factory=dict)
    limits: tuple[np.ndarray | None, ...] = ()
    precision: int | None = None

    @property
    def depth(self) -> int:
        """Number of layers."""
        return len(self.layers)

    @property
    def width(self) -> int:
        """Largest number of hidden channels in a layer."""
        return max(layer.width for layer in self.layers)

    @property
    def n_nonzero(self) -> int:
        """Number of nonzero weights, positional embedding included."""
        return len(self.positions) + sum(layer.n_nonzero for layer in self.layers)

    @property
    def outputs(self) -> tuple[str, ...]:
        """Names of the output channels."""
        return self.layers[-1].outputs

    def encode(self, *values: Any, **named: Any) -> Any:
        """The input of the network, shape (..., n_rows, n_channels); see the task of the construction."""
        return self.task.encode(*values, **named)

    def decode(self, output: Any, **options: Any) -> Any:
        """What the network computed, read from its output (all rows, or the read-out rows alone).

        ``options`` are those of the task: ``as_tensor`` of a sliced network.
        """
        return self.task.decode(output, **options)

    def evaluate(self, u: Any, ring: Ring | None = None) -> Any:
        """Run the network on ``u`` of shape (..., n_rows, n_channels) over the ring of its entries.

        Tensors run through :meth:`to_torch` with all rows; arrays through the exact evaluator.
        Returns all rows, shape (..., n_rows, n_outputs). Raises ``ValueError`` on a wrong shape.
        """
        import torch

        from constructions.networks.evaluate import evaluate

        if isinstance(u, torch.Tensor):
            from constructions.lowering import lowered_once

            return lowered_once(self, u.dtype, u.device)(u)
        return evaluate(self, u, ring)

    def to_torch(
        self,
        dtype: torch.dtype | None = None,
        device: torch.device | str = "cpu",
        rows: Literal["readout", "all"] = "readout",
    ) -> Any:
        """Lower to an ``nn.Module`` (float64 unless ``dtype`` says otherwise); see :mod:`constructions.lowering`."""
        from constructions.lowering import lower

        return lower(self, dtype=dtype, device=device, rows=rows)

    def polynomials(self, max_terms: int = 20_000) -> Any:
        """What the network computes, as SymPy polynomials (a circuit above ``max_terms``); see :mod:`constructions.compiler`."""
        from constructions.compiler.decompile import network_polynomials

        return network_polynomials(self, max_terms)

    def save(self, path: str | Path) -> None:
        """Write the network to a safetensors file, rationals exactly; :func:`constructions.load` reads it back."""
        from constructions.files.reading import save

        save(self, path)

    def __repr__(self) -> str:
        return (
            f"<Network {self.algorithm}: {self.mode}, {self.n_rows} rows, {len(self.inputs)} channels in, "
            f"depth {self.depth}, width {self.width}, {self.n_nonzero} nonzero weights>"
        )
