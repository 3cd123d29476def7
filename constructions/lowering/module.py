"""A network as an ``nn.Module``."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Literal, NoReturn, cast

import torch
from jaxtyping import Float
from torch import Tensor, nn

from constructions.algebra.arrays import refuse_reduced_precision
from constructions.algebra.guards import is_exporting, refuse
from constructions.lowering.block import Block
from constructions.lowering.context import Location
from constructions.lowering.maps import Sums, as_float_dtype, refuse_other_dtype, refuse_other_state, rounded
from constructions.lowering.plan import LayerPlan, plan_network
from constructions.lowering.row_filter import Rows
from constructions.networks.stack import LayerStack

BATCH_ELEMENTS = 2**17
"""On the CPU, batches are cut so that the largest hidden tensor holds about this many numbers and stays in cache."""


def lower(
    network: LayerStack,
    dtype: torch.dtype | None = None,
    device: torch.device | str = "cpu",
    rows: Literal["readout", "all"] = "readout",
    sums: Sums = "any",
) -> LoweredNetwork:
    """The network as an ``nn.Module`` in ``dtype`` (float64 by default) on ``device``.

    ``sums="fixed"`` gives every sum one order, a tree over rows and from first to last over channels, so that a sample has
    the same bits in a batch of any size and with any number of threads; it costs up to four times as much. ``model(u)`` maps
    (..., n_rows, n_channels) to (..., rows kept, n_outputs). Raises ``ValueError`` for a dtype that is not a float, rows that
    are neither "readout" nor "all" and sums neither "any" nor "fixed", ``OverflowError`` when a weight overflows the dtype.
    """
    if rows not in ("readout", "all"):
        raise ValueError(f"rows must be 'readout' or 'all', got {rows!r}")
    dtype = as_float_dtype(dtype)
    if network.precision is not None and torch.finfo(dtype).eps > 2.0 ** (1 - network.precision):
        raise ValueError(
            f"this network's digits need a format of {network.precision} bits, and {dtype} has fewer: slice the original "
            "for that format, C.sliced(..., dtype=...)"
        )
    kept = network.task.readout_rows if rows == "readout" else tuple(range(network.n_rows))
    if sums not in ("any", "fixed"):
        raise ValueError(f"sums must be 'any' or 'fixed', got {sums!r}")
    return LoweredNetwork(network, kept, dtype, sums).to(device)


class LoweredLayer(nn.Module):
    """A layer: one block for the row-constant outputs, one for the others. ``location`` says where each output lies."""

    def __init__(self, plan: LayerPlan) -> None:
        super().__init__()
        self.constant = None if plan.constant is None else Block(plan.constant)
        self.varying = None if plan.varying is None else Block(plan.varying)
        self.location = plan.location

    def forward(self, varying: Tensor | None, constant: Tensor | None) -> tuple[Tensor | None, Tensor | None]:
        if self.varying is None and self.constant is None:  # no channel is read: an empty state still says the batch
            state = varying if varying is not None else constant
            return None if state is None else state[:0], None
        return (
            None if self.varying is None else self.varying.forward(varying, constant),
            None if self.constant is None else self.constant.forward(varying, constant),
        )


class LoweredNetwork(nn.Module):
    """A network in floating point: (..., n_rows, n_channels) to (..., rows kept, n_outputs)."""

    positions: Tensor | None
    take_varying: Tensor | None
    take_constant: Tensor | None
    order: Tensor | None

    def __init__(self, network: LayerStack, kept: Rows, dtype: torch.dtype, sums: Sums = "any") -> None:
        super().__init__()
        self.n_rows, self.n_inputs, self.n_outputs = network.n_rows, len(network.inputs), len(network.outputs)
        self.n_kept, self.dtype = len(kept), dtype
        held, plans = plan_network(network, kept, dtype, sums)
        self.first_rows = None if len(held) == network.n_rows else list(held)
        self.register_buffer("positions", positional_embedding(network, held, dtype))
        lowered = {id(plan): LoweredLayer(plan) for plan in {id(plan): plan for plan in plans}.values()}
        layers = [lowered[id(plan)] for plan in plans]
        self.layers = nn.ModuleList(layers)
        self._register_outputs(plans[-1].location)
        self.limits = nn.ModuleList(limits_of(network, [layer.location for layer in layers], dtype))
        widest = max(plan.context.layer.width * len(plan.context.wanted) for plan in plans)
        self.batch_chunk = max(64, BATCH_ELEMENTS // max(1, widest))  # a constant network has no hidden channel

    @property
    def lowered_layers(self) -> list[LoweredLayer]:
        """The layers in order; one that is repeated is the same module."""
        return [layer for layer in self.layers if isinstance(layer, LoweredLayer)]

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> LoweredNetwork:
        refuse_other_dtype(fn, self.dtype)
        super()._apply(fn, recurse)  # type: ignore[no-untyped-call]
        return self

    def _load_from_state_dict(self, state_dict: Mapping[str, Tensor], prefix: str, *rest: object) -> None:
        refuse_other_state(state_dict, prefix, self.dtype)
        super()._load_from_state_dict(state_dict, prefix, *rest)

    def _register_outputs(self, location: tuple[Location, ...]) -> None:
        """Indices that put the outputs back into their order: those of the varying state first, then the others."""
        varying = [place for constant, place in location if not constant]
        constant = [place for constant, place in location if constant]
        order = sorted(range(len(location)), key=lambda output: location[output][0])
        self.register_buffer("take_varying", torch.tensor(varying) if varying else None)
        self.register_buffer("take_constant", torch.tensor(constant) if constant else None)
        self.register_buffer("order", None if order == sorted(order) else torch.tensor(order).argsort())

    def forward(self, u: Float[Tensor, "*batch rows channels"]) -> Float[Tensor, "*batch rows_out outputs"]:
        """Run on ``u`` (..., n_rows, n_channels); ``ValueError`` for another shape, ``TypeError`` for another dtype.

        ``RuntimeError`` where PyTorch is set to multiply float32 in TF32.
        """
        if u.ndim < 2 or u.shape[-2:] != (self.n_rows, self.n_inputs):
            raise ValueError(
                f"the network reads (..., {self.n_rows} rows, {self.n_inputs} channels), got {tuple(u.shape)}"
            )
        if u.dtype != self.dtype:
            raise TypeError(
                f"the network was lowered to {self.dtype}, and the input has {u.dtype}: convert the input, or lower with "
                f"to_torch(dtype={u.dtype})"
            )
        refuse_reduced_precision(u)
        batch = u.reshape(math.prod(u.shape[:-2]), self.n_rows, self.n_inputs)
        # a traced graph holds for every size of the batch: it is not cut there
        cut = u.device.type == "cpu" and not torch.compiler.is_compiling()
        chunks = batch.split(self.batch_chunk) if cut else (batch,)
        outputs = [self._run(chunk) for chunk in chunks]
        y = outputs[0] if len(outputs) == 1 else torch.cat(outputs, dim=2)
        return y.permute(2, 1, 0).reshape(*u.shape[:-2], self.n_kept, self.n_outputs)

    def states(self, u: Tensor) -> list[tuple[Tensor | None, Tensor | None]]:
        """The varying and the row-constant state after every layer, (channels, rows or 1, batch); for measurements."""
        batch = u.reshape(math.prod(u.shape[:-2]), self.n_rows, self.n_inputs)
        state = (batch if self.first_rows is None else batch[:, self.first_rows]).permute(2, 1, 0).contiguous()
        pair: tuple[Tensor | None, Tensor | None] = (
            state if self.positions is None else state + self.positions,
            None,
        )
        found = []
        for layer in self.layers:
            pair = cast(LoweredLayer, layer).forward(*pair)
            found.append(pair)
        return found

    def _run(self, u: Tensor) -> Tensor:
        """(batch, rows, channels) to (outputs, rows kept, batch)."""
        state = (u if self.first_rows is None else u[:, self.first_rows]).permute(2, 1, 0).contiguous()
        varying: Tensor | None = state if self.positions is None else state + self.positions
        constant: Tensor | None = None
        outside: list[Tensor] = []
        for index, layer in enumerate(self.layers):
            varying, constant = layer.forward(varying, constant)
            if len(self.limits):
                outside += cast(Limits, self.limits[index]).outside(varying, constant)
        if outside:
            varying, constant = self._within_limits(u, varying, constant, torch.stack(outside).any())
        parts = []
        if varying is not None and self.take_varying is not None:
            parts.append(varying.index_select(0, self.take_varying))
        if constant is not None and self.take_constant is not None:
            parts.append(constant.index_select(0, self.take_constant).expand(-1, self.n_kept, -1))
        y = parts[0] if len(parts) == 1 else torch.cat(parts)
        return y if self.order is None else y.index_select(0, self.order)

    def _within_limits(
        self, u: Tensor, varying: Tensor | None, constant: Tensor | None, wrong: Tensor
    ) -> tuple[Tensor | None, Tensor | None]:
        """The states; ``OverflowError`` where a leading digit left its range, ``TypeError`` where that cannot be seen."""
        if is_exporting():
            raise TypeError(
                "a sliced network refuses digits that leave their range, and an exported program cannot: export the network "
                "that was sliced, or run this one through torch.compile"
            )
        if not torch.compiler.is_compiling():
            try:
                if bool(wrong):
                    self._refuse(u)
                return varying, constant
            except RuntimeError:  # under vmap a flag has no value
                pass
        message = "a leading digit leaves the range in which digits are exact: run the model as it is to see which"
        held = [None if state is None else refuse(state, state, wrong, message, True) for state in (varying, constant)]
        return held[0], held[1]

    def _refuse(self, u: Tensor) -> NoReturn:
        """Say which channel left its range: ``OverflowError``."""
        state = (u if self.first_rows is None else u[:, self.first_rows]).permute(2, 1, 0).contiguous()
        varying: Tensor | None = state if self.positions is None else state + self.positions
        constant: Tensor | None = None
        for index, layer in enumerate(self.layers):
            varying, constant = layer.forward(varying, constant)
            message = cast(Limits, self.limits[index]).describe(varying, constant)
            if message is not None:
                raise OverflowError(f"layer {index + 1}: {message}")
        raise AssertionError("no channel left its range")  # pragma: no cover


class Limits(nn.Module):
    """The largest magnitudes of a layer's outputs, in the order in which they lie in the two state tensors."""

    varying: Tensor | None
    constant: Tensor | None

    def __init__(self, network: LayerStack, index: int, location: tuple[Location, ...], dtype: torch.dtype) -> None:
        super().__init__()
        limits = network.limits[index]
        self.names: dict[bool, list[str]] = {}
        for row_constant, buffer in ((False, "varying"), (True, "constant")):
            places = sorted((place, output) for output, (flag, place) in enumerate(location) if flag is row_constant)
            chosen = [float("inf") if limits is None else float(limits[output]) for _, output in places]
            self.names[row_constant] = [network.layers[index].outputs[output] for _, output in places]
            finite = any(limit != float("inf") for limit in chosen)
            table = torch.tensor(chosen, dtype=torch.float64).to(dtype).reshape(-1, 1, 1) if finite else None
            self.register_buffer(buffer, table)

    def outside(self, varying: Tensor | None, constant: Tensor | None) -> list[Tensor]:
        """Flags: does a value leave its range? NaN does."""
        pairs = ((varying, self.varying), (constant, self.constant))
        return [~(state.abs() <= limit).all() for state, limit in pairs if state is not None and limit is not None]

    def describe(self, varying: Tensor | None, constant: Tensor | None) -> str | None:
        """What left its range, in words."""
        for row_constant, state, limit in ((False, varying, self.varying), (True, constant, self.constant)):
            if state is None or limit is None:
                continue
            wrong = (~(state.abs() <= limit)).nonzero()
            if len(wrong):
                channel, _, entry = wrong[0].tolist()
                name = self.names[row_constant][channel]
                family = name.partition("@")[0].partition("[")[0]
                return (
                    f"the leading digit {name} of batch entry {entry} is {state[tuple(wrong[0])].item():.6g}, and the digits "
                    f"are exact up to {limit[channel].item():.6g} only: scale the data, or slice with a larger "
                    f"bounds={{{family!r}: …}}"
                )
        return None


def limits_of(network: LayerStack, locations: list[tuple[Location, ...]], dtype: torch.dtype) -> list[Limits]:
    """The limits of each layer, or none at all where the network has none."""
    if not any(limit is not None for limit in network.limits):
        return []
    return [Limits(network, index, location, dtype) for index, location in enumerate(locations)]


def positional_embedding(network: LayerStack, rows: Rows, dtype: torch.dtype) -> Tensor | None:
    """The positional embedding at the rows held: (channels, rows, 1), or None."""
    if not network.positions:
        return None
    table = torch.zeros(len(network.inputs), len(rows), 1, dtype=dtype)
    for ((row, channel), _), value in zip(
        network.positions.items(), rounded(network.positions.values(), dtype), strict=True
    ):
        if row in rows:
            table[channel, rows.index(row), 0] = value
    return table
