"""A gallery of small networks: every construction, form and layout of the foundation."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import constructions as C
from constructions.algebra.filters import Filter
from constructions.networks.layer import Layer
from constructions.networks.network import Network
from precls_theory.proofs.variants import weights_of, with_filter, with_layer, with_weight

__all__ = ["SMALL", "fields", "layer_fields", "tap_changes", "weights_of", "with_filter", "with_layer", "with_weight"]

SMALL: dict[str, Callable[[], Network]] = {
    **{
        f"gd-{form}-{layout}": (
            lambda form=form, layout=layout: C.gradient_descent(
                n_points=2, n_dims=2, n_steps=2, step_size="1/10", form=form, layout=layout
            )
        )
        for form in ("residual", "gram", "doubling", "tight")
        for layout in "AES"
    },
    "heavy_ball": lambda: C.heavy_ball(n_points=2, n_dims=2, n_steps=3, step_size="1/7", momentum="2/3"),
    "chebyshev": lambda: C.chebyshev(n_points=2, n_dims=2, n_steps=3, lower="1/7", upper=1, layout="E"),
    "newton-direct": lambda: C.newton(n_points=2, n_dims=2, n_iters=2, alpha="1/7", form="direct"),
    "newton-residual": lambda: C.newton(n_points=2, n_dims=2, n_iters=3, alpha="1/7", form="residual"),
    "newton-doubling": lambda: C.newton(n_points=2, n_dims=2, n_iters=3, alpha="-1/7"),
    "newton-refined": lambda: C.newton(n_points=2, n_dims=2, n_iters=1, alpha="1/7", refinements=1),
    "read": lambda: C.read(n_rows=4, n_channels=3, source=1, target=2, start=0, stop=2),
    "read-circular": lambda: C.read(n_rows=4, n_channels=3, source=3, target=1, start=1, stop=2, mode="circular"),
    "linear": lambda: C.linear(n_rows=2, weight=[[1, "1/2"], [0, -3]], bias=["1/3", 0]),
    "linear-zero": lambda: C.linear(n_rows=2, weight=[[0, 0]]),
    "multiply": lambda: C.multiply(n_rows=2, n_channels=3, left=0, right=1, target=2, length=1),
}


def tap_changes(network: Network) -> list[tuple[int, int, Filter]]:
    """For every filter of every layer and every tap up to the number of rows: the filter with that tap changed."""
    changes = []
    for depth, layer in enumerate(network.layers):
        for index, filter in enumerate(layer.filters):
            taps = filter.taps(network.n_rows)
            for lag in range(network.n_rows):
                changed = [tap + (m == lag) for m, tap in enumerate(taps)]
                changes.append((depth, index, Filter.of(changed, filter.tail)))
            changes.append((depth, index, Filter.of(filter.head, filter.tail + 1)))
    return changes


def layer_fields(layer: Layer) -> tuple[Any, ...]:
    """Everything stored about a layer, comparable with ``==``."""
    maps = tuple((m.n_in, m.n_out, tuple(m.entries().items())) for m in (layer.conv, layer.gate, layer.out))
    return maps, layer.filters, tuple(layer.filter_index.tolist()), layer.outputs


def fields(network: Network) -> tuple[Any, ...]:
    """Everything stored about a network, comparable with ``==``."""
    layers = tuple(layer_fields(layer) for layer in network.layers)
    return (
        network.n_rows, network.mode, network.inputs, layers, network.positions, network.task, network.algorithm,
        network.parameters,
    )  # fmt: skip
