"""Exact Transformers in floating point: the reference model of :mod:`constructions.models.transformer`, weights rounded
once; heads and hidden units are padded with zeros."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from constructions.algebra.arrays import refuse_reduced_precision
from constructions.lowering.maps import as_float_dtype, refuse_other_dtype, refuse_other_state, rounded
from constructions.models.transformer import Transformer
from constructions.networks.base import RowsKept
from constructions.networks.layer import SparseMap
from constructions.transformers.blocks import BlockStack


def lower(
    network: BlockStack,
    dtype: torch.dtype | None = None,
    device: torch.device | str = "cpu",
    rows: RowsKept = "readout",
) -> LoweredTransformer:
    """The network as the reference model in ``dtype`` (float64 by default) on ``device``.

    ``model(u)`` maps (..., n_rows, n_inputs) to (..., rows kept, n_outputs). Raises ``ValueError`` for a dtype that is
    not a float or rows that are neither "readout" nor "all", ``OverflowError`` when a weight overflows the dtype.
    """
    if rows not in ("readout", "all"):
        raise ValueError(f"rows must be 'readout' or 'all', got {rows!r}")
    kept = network.task.readout_rows if rows == "readout" else tuple(range(network.n_rows))
    return LoweredTransformer(network, kept, as_float_dtype(dtype)).to(device)


class LoweredTransformer(Transformer):
    """A :class:`~constructions.models.transformer.Transformer` that carries exact weights, for any leading batch."""

    def __init__(self, network: BlockStack, kept: tuple[int, ...], dtype: torch.dtype) -> None:
        sizes = [s.n_out for block in network.blocks for head in block.heads for s in head.maps().values()]
        super().__init__(
            n_in=network.n_inputs, n_out=len(network.outputs), width=network.width, depth=network.depth,
            n_rows=network.n_rows, n_heads=max(network.n_heads, 1), attention=network.attention, mask=network.mask,
            mlp=network.gate or "none", hidden=max(network.hidden, 1),
            positions="learned" if network.positions else "none", head_dim=max(sizes, default=1),
        )  # fmt: skip
        self.network, self.n_rows, self.n_inputs = network, network.n_rows, network.n_inputs
        self.kept = None if len(kept) == network.n_rows else list(kept)
        self.to(dtype)
        self.load_state_dict(exact_state(network, self))
        self.requires_grad_(False)
        self.lowered_to: torch.dtype | None = dtype

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> LoweredTransformer:
        if getattr(self, "lowered_to", None) is not None:
            refuse_other_dtype(fn, self.embed.weight.dtype)
        super()._apply(fn, recurse)  # type: ignore[no-untyped-call]
        return self

    def _load_from_state_dict(self, state_dict: Mapping[str, Tensor], prefix: str, *rest: object) -> None:
        refuse_other_state(state_dict, prefix, self.embed.weight.dtype)
        super()._load_from_state_dict(state_dict, prefix, *rest)

    def forward(self, u: Float[Tensor, "*batch rows channels"]) -> Float[Tensor, "*batch kept outputs"]:
        """Run on ``u``; ``ValueError`` for another shape, ``TypeError`` for another dtype."""
        if u.ndim < 2 or u.shape[-2:] != (self.n_rows, self.n_inputs):
            raise ValueError(
                f"the network reads (..., {self.n_rows} rows, {self.n_inputs} channels), got {tuple(u.shape)}"
            )
        dtype = self.embed.weight.dtype
        if u.dtype != dtype:
            raise TypeError(
                f"the network was lowered to {dtype}, and the input has {u.dtype}: convert the input, or lower with "
                f"to_torch(dtype={u.dtype})"
            )
        refuse_reduced_precision(u)
        y = super().forward(u if u.ndim == 3 else u.reshape(-1, self.n_rows, self.n_inputs))
        y = y if self.kept is None else y[:, self.kept]
        return y if u.ndim == 3 else y.reshape(*u.shape[:-2], *y.shape[1:])


def exact_state(network: BlockStack, model: Transformer) -> dict[str, Tensor]:
    """The parameters of ``model`` that make it ``network``; ``OverflowError`` when a weight does not fit."""
    state = {name: torch.zeros_like(value) for name, value in model.state_dict().items()}
    head_dim = state["blocks.0.attention.q_proj.weight"].shape[0] // max(network.n_heads, 1) if network.blocks else 0
    state["embed.weight"][range(network.n_inputs), range(network.n_inputs)] = 1
    state["unembed.weight"][range(len(network.reads)), list(network.reads)] = 1
    if network.positions:
        rows, columns = zip(*network.positions, strict=True)
        table = state["position"]
        table[list(rows), list(columns)] = rounded(network.positions.values(), table.dtype)
    for number, block in enumerate(network.blocks):
        prefix = f"blocks.{number}"
        for h, head in enumerate(block.heads):
            for name, sparse in head.maps().items():
                _load(state, f"{prefix}.attention.{name[0]}_proj", sparse, row_offset=h * head_dim)
            places = range(h * head_dim, h * head_dim + len(head.targets))
            state[f"{prefix}.attention.out_proj.weight"][head.targets, places] = 1
        if block.mlp:
            _load(state, f"{prefix}.mlp.gate", block.mlp.gate)
            _load(state, f"{prefix}.mlp.up", block.mlp.up)
            _load(state, f"{prefix}.mlp.down", block.mlp.down, rows=block.mlp.targets)
    return state


def _load(
    state: dict[str, Tensor],
    name: str,
    sparse: SparseMap,
    row_offset: int = 0,
    rows: Int[np.ndarray, " out"] | None = None,
) -> None:
    """Write an affine map into ``name.weight`` and ``name.bias``; the column after the last input is the bias."""
    weight = state[f"{name}.weight"]
    at = torch.as_tensor(sparse.rows + row_offset if rows is None else rows[sparse.rows])
    values = rounded(sparse.weights, weight.dtype)
    bias = torch.as_tensor(sparse.columns == sparse.n_in)
    columns = torch.as_tensor(sparse.columns)
    weight[at[~bias], columns[~bias]] = values[~bias]
    state[f"{name}.bias"][at[bias]] = values[bias]
