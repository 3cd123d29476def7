"""A lowered network's run, layer by layer, and the same plan over balls with the weights that its format stores."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from fractions import Fraction

import flint
import numpy as np
import torch

from constructions.algebra.filters import DELTA
from constructions.algebra.rings import BALLS
from constructions.lowering.maps import rounded
from constructions.lowering.module import LoweredNetwork
from constructions.lowering.plan import BlockPlan, Constants, LayerPlan, plan_network
from constructions.lowering.row_filter import is_total
from constructions.networks.network import Network
from precls_theory.precision.exact import to_ring


def lowered_states(network: Network, module: LoweredNetwork, u: torch.Tensor) -> list[np.ndarray]:
    """The outputs of each layer of a lowered module, (channels, rows kept, batch), as float64."""
    found = []
    with torch.no_grad():
        for layer, (varying, constant) in zip(module.lowered_layers, module.states(u), strict=True):
            rows = max(state.shape[1] for state in (varying, constant) if state is not None)
            values = np.empty((len(layer.location), rows, u.shape[0]))
            for output, (row_constant, place) in enumerate(layer.location):
                held = constant if row_constant else varying
                assert held is not None
                values[output] = held[place].double().cpu().numpy()
            found.append(values)
    return found


def stored_values(network: Network, u: np.ndarray, kept: tuple[int, ...], dtype: torch.dtype) -> list[np.ndarray]:
    """The network with its weights as the format stores them, in exact (ball) arithmetic; as
    :func:`precls_theory.precision.exact.layer_values`."""
    held, plans = plan_network(network, kept, dtype)
    known: dict[Fraction, flint.arb] = {}

    def weight(value: Fraction) -> flint.arb:
        if value not in known:
            known[value] = flint.arb(float(rounded([value], dtype)[0]))
        return known[value]

    varying = np.moveaxis(to_ring(u, BALLS), (-1, -2), (0, 1))[:, list(held)].copy()
    for (row, channel), entry in network.positions.items():
        if row in held:
            varying[channel, held.index(row)] = varying[channel, held.index(row)] + weight(entry)
    constant = np.empty((0, 1, u.shape[0]), dtype=object)
    found = []
    for plan in plans:
        made = [
            np.empty((0, 1, u.shape[0]), dtype=object)
            if block is None
            else _stored_block(block, varying, constant, weight)
            for block in (plan.varying, plan.constant)
        ]
        varying, constant = made
        found.append(_arranged(plan, varying, constant))
    return found


def _arranged(plan: LayerPlan, varying: np.ndarray, constant: np.ndarray) -> np.ndarray:
    rows = len(plan.context.wanted)
    parts = [
        np.broadcast_to(constant[place], (rows, constant.shape[2])) if row_constant else varying[place]
        for row_constant, place in plan.location
    ]
    return np.stack(parts)


def _stored_block(
    plan: BlockPlan, varying: np.ndarray, constant: np.ndarray, weight: Callable[[Fraction], flint.arb]
) -> np.ndarray:
    context = plan.context
    rows, batch = (
        1 if plan.row_constant else len(context.wanted),
        varying.shape[2] if len(varying) else constant.shape[2],
    )
    zero = np.full((rows, batch), flint.arb(0), dtype=object)
    z = np.empty((plan.sources.size, rows, batch), dtype=object)
    for (filter, is_constant), places in plan.sources.members.items():
        if not is_constant and filter != DELTA:
            at = context.wanted[:1] if is_total(filter, context.mode) else context.wanted
            taps = filter.taps(context.n_rows)
        for place, number in places.items():
            if is_constant:
                z[number] = np.broadcast_to(constant[place], (rows, batch))
            elif filter == DELTA:
                z[number] = varying[place][[context.held.index(row) for row in context.wanted]][:rows]
            else:
                for i, row in enumerate(at):
                    total = zero[0]
                    for j, source in enumerate(context.held):
                        tap = (
                            taps[(row - source) % context.n_rows] if context.mode == "circular" or source <= row else 0
                        )
                        if tap:
                            total = total + weight(Fraction(tap)) * varying[place][j]
                    if len(at) == 1:
                        z[number] = np.broadcast_to(total, (rows, batch))
                    else:
                        z[number][i] = total

    def apply(
        n_out: int, entries: Mapping[tuple[int, int], Fraction], constants: Constants, source: np.ndarray
    ) -> np.ndarray:
        out = np.stack([zero] * n_out) if n_out else np.empty((0, rows, batch), dtype=object)
        for (row, column), entry in entries.items():
            out[row] = out[row] + weight(entry) * source[column]
        for row, items in constants.items():
            for place in range(rows):
                total = Fraction(0)
                for filter, number in items:
                    seen = filter.taps(context.n_rows)
                    seen = seen if context.mode == "circular" else seen[: context.wanted[place] + 1]
                    total += number * (1 if filter == DELTA else sum(seen, Fraction(0)))
                out[row][place] = out[row][place] + weight(total)
        return out

    y = apply(plan.n_computed, plan.linear, plan.constants, z)
    if plan.n_units:
        conv = apply(plan.n_units, plan.conv.weights, plan.conv.constants, z)
        gate = apply(plan.n_units, plan.gate.weights, plan.gate.constants, z)
        y = y + apply(plan.n_computed, plan.mix, {}, conv * gate)
    return np.concatenate([y, z[list(plan.copies.values())]]) if plan.copies else y
