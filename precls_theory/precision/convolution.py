"""The convolution's algorithm as a source of error of its own: the same lowered network, its filters run in another way.

The lowering runs filters as shifts, plain sums, prefix sums or Toeplitz products. :func:`with_convolution` puts one
algorithm in the place of all of them:

* ``direct``: the product with the Toeplitz (circulant) matrix of the filter;
* ``prefix``: a running sum, for filters that are all ones from some row on (others stay direct);
* ``fft``: a product of spectra, of every channel, delta filters too, as trained models have it. It mixes all rows of a
channel, by the unit roundoff times the largest entry: integers stop being integers, and zeros zeros.
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn

from constructions.algebra.filters import Filter
from constructions.lowering.context import Context
from constructions.lowering.maps import rounded
from constructions.lowering.module import LoweredNetwork
from constructions.lowering.plan import plan_network
from constructions.lowering.row_filter import MixRows, PrefixSumRows, is_total
from constructions.lowering.sources import Segment
from constructions.networks.layer import Mode
from constructions.networks.network import Network

Algorithm = Literal["lowered", "direct", "prefix", "fft"]
ALGORITHMS: tuple[Algorithm, ...] = ("lowered", "direct", "prefix", "fft")
"""``lowered``: whatever the lowering takes."""


class FourierRows(nn.Module):
    """A filter as a product of spectra; rows that are not held hold zeros."""

    spectrum: Tensor

    def __init__(self, filter: Filter, context: Context, at: tuple[int, ...]) -> None:
        super().__init__()
        self.held, self.at, self.n_rows = list(context.held), list(at), context.n_rows
        self.length = context.n_rows if context.mode == "circular" else 2 * context.n_rows
        taps = rounded(filter.taps(context.n_rows), context.dtype)
        self.register_buffer("spectrum", torch.fft.rfft(taps, n=self.length)[None, :, None])

    def forward(self, x: Tensor) -> Tensor:
        whole = x.new_zeros(x.shape[0], self.n_rows, x.shape[2])
        whole[:, self.held] = x
        return torch.fft.irfft(torch.fft.rfft(whole, n=self.length, dim=1) * self.spectrum, n=self.length, dim=1)[
            :, self.at
        ]


class FourierConvolution(nn.Module):
    """In the place of a trained layer's :class:`~constructions.models.baseconv.DirectConvolution`: a product of spectra."""

    def __init__(self, n_rows: int, mode: Mode) -> None:
        super().__init__()
        self.n_rows, self.length = n_rows, n_rows if mode == "circular" else 2 * n_rows

    def forward(self, filter: Tensor, u: Tensor) -> Tensor:
        spectrum = torch.fft.rfft(filter, n=self.length, dim=0)
        product = torch.fft.rfft(u, n=self.length, dim=-2) * spectrum
        return torch.fft.irfft(product, n=self.length, dim=-2)[..., : self.n_rows, :]


def with_convolution(network: Network, module: LoweredNetwork, algorithm: Algorithm) -> LoweredNetwork:
    """The lowered ``module`` of ``network`` (rows as ``decode`` reads them) with its filters run by ``algorithm``.

    The module is changed in place.
    Raises ``ValueError`` for another name, and for an FFT in a format that PyTorch has none for.
    """
    if algorithm not in ALGORITHMS:
        raise ValueError(f"convolution must be one of {', '.join(ALGORITHMS)}, got {algorithm!r}")
    if algorithm == "lowered":
        return module
    if algorithm == "fft" and module.dtype not in (torch.float32, torch.float64):
        raise ValueError(f"an FFT runs in float32 and float64, got {module.dtype}")
    _, plans = plan_network(network, network.task.readout_rows, module.dtype)
    device = next((buffer.device for buffer in module.buffers()), torch.device("cpu"))
    for plan, layer in zip(plans, module.lowered_layers, strict=True):
        for part, block in ((plan.constant, layer.constant), (plan.varying, layer.varying)):
            if part is None or block is None:
                continue
            block.sources.whole_state = None
            for (filter, constant), segment in zip(part.sources.members, block.sources.segments, strict=True):
                assert isinstance(segment, Segment)
                if not constant and (segment.filter is not None or algorithm == "fft"):
                    segment.filter = filter_by(algorithm, filter, part.context, part.row_constant).to(device)
    return module


def filter_by(algorithm: Algorithm, filter: Filter, context: Context, row_constant: bool) -> nn.Module:
    """One filter by one algorithm, at the rows wanted (one row where all are equal)."""
    at = context.wanted[:1] if row_constant or is_total(filter, context.mode) else context.wanted
    if algorithm == "fft":
        return FourierRows(filter, context, at)
    consecutive = context.mode == "causal" and context.held == tuple(range(len(context.held)))
    if algorithm == "prefix" and filter.tail and consecutive:
        return PrefixSumRows(filter, at, len(context.held), context.dtype)
    return MixRows(filter, context.held, at, context.n_rows, context.mode, context.dtype)
