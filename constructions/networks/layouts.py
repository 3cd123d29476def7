"""How a regression enters a network: layouts A, E and S as the first channels of a construction."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np

from constructions.algebra.terms import Convolution, Form, channel, channels, exclusive, prefix
from constructions.networks.builder import Builder
from constructions.networks.layer import Mode
from constructions.networks.network import Network
from constructions.networks.tasks import LAYOUTS, LayoutName, Regression


@dataclass
class Start:
    """Channels at the start of a regression: rows ``a``, targets ``b``, and what a first layer makes of x_init.

    ``spread`` is x_init at every row that is exact, as terms; ``accumulate`` sums the data rows that an exact row
    sees. ``finish`` builds the network from the channels of the iterate.
    """

    builder: Builder
    a: np.ndarray
    b: Form
    spread: np.ndarray
    accumulate: Convolution
    finish: Callable[[np.ndarray], Network]


def begin(layout: LayoutName, n_points: int, n_dims: int, mode: Mode = "causal", takes_start: bool = True) -> Start:
    """Open a regression in a layout; adds the masking layer where one is needed.

    One layer cannot both mask a row and multiply. Layout S needs the mask always; layout E only in a circular
    network, where its last row could not be left out of a sum. In a causal network E sums over the rows
    strictly before the last, and its starting point is the last row itself.
    """
    if layout not in LAYOUTS:
        raise ValueError(f"layout must be one of {', '.join(LAYOUTS)}, got {layout!r}")
    own_channels = [f"x[{i}]" for i in range(n_dims)] if layout == "A" and takes_start else []
    inputs = [*(f"a[{i}]" for i in range(n_dims)), "b", *own_channels]
    builder = Builder(n_points + (layout != "A"), inputs, mode)
    a, b, x = channels("a", n_dims), channel("b"), channels("x", n_dims)
    accumulate = prefix
    if not takes_start:
        x = np.zeros(n_dims, dtype=object)
    elif layout == "E" and mode == "causal":
        accumulate = exclusive
    elif layout != "A":
        row = 0 if layout == "S" else n_points
        is_start = builder.position("is_start", {row: 1})
        a, b, x = builder.layer(a=a * (1 - is_start), b=b, x=a * is_start)
    spread = a if accumulate is exclusive else prefix(x)

    def finish(iterate: np.ndarray) -> Network:
        task = partial(
            Regression, n_points, n_dims, layout, takes_start=takes_start, prefix_rows=mode == "causal",
            n_inputs=len(builder.inputs),
        )  # fmt: skip
        return builder.build(iterate, task)

    return Start(builder, a, b, spread, accumulate, finish)
