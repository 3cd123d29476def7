"""Proof by induction on layers: what every channel holds before a layer implies what it holds after.

A claim gives each family of channels an array with the rows last, ``P`` of shape (D, D, rows) and ``x`` of shape (D,
rows), over a polynomial ring. The base case runs the first layers on a symbolic input; the step runs one layer on
generic channels. A layer whose filters are all the identity acts row by row, so one generic row proves it for every
row.
"""

from __future__ import annotations

import re
from collections.abc import Hashable, Iterable
from dataclasses import dataclass, replace

import numpy as np

from constructions.networks.evaluate import evaluate, evaluate_layer
from constructions.networks.layer import Layer, layer_key
from constructions.networks.network import Network
from constructions.networks.tasks import Regression
from precls_theory.proofs.symbolic import MakeVariables, Variables, outer, require_equal
from precls_theory.registry import Refuted

Claims = dict[str, np.ndarray]


def channel_of(claims: Claims, name: str) -> np.ndarray:
    """The rows that ``claims`` gives the channel ``family[i,j]``; :class:`Refuted` when they do not speak of it."""
    family, _, index = re.fullmatch(r"([^\[]+)(\[([\d,]+)\])?", name).groups()  # type: ignore[union-attr]
    try:
        result: np.ndarray = claims[family][tuple(int(i) for i in index.split(",")) if index else ()]
        return result
    except (KeyError, IndexError) as error:
        raise Refuted(f"the network has a channel {name!r} that the invariant does not know") from error


def input_names(network: Network, index: int) -> tuple[str, ...]:
    """Names of the channels that layer ``index`` reads."""
    return network.layers[index - 1].outputs if index else network.inputs


def content(network: Network, index: int) -> Hashable:
    """Everything that layer ``index`` is: equal for layers that repeat, so that each is proved once."""
    return layer_key(network.layers[index]), input_names(network, index)


def is_row_local(layer: Layer) -> bool:
    """Does the layer act on each row by itself?"""
    return all(filter.is_identity for filter in layer.filters)


def require_channels(
    names: Iterable[str],
    values: np.ndarray,
    claims: Claims,
    what: str,
    variables: Variables,
    rows: slice | list[int] = slice(None),
) -> None:
    """``values`` (channels, rows) are what is claimed of the channels of these names, at the given rows."""
    for name, value in zip(names, values, strict=True):
        expected = np.broadcast_to(channel_of(claims, name), value.shape)
        require_equal(value[rows], expected[rows], f"{what}, channel {name}", variables.ring)


def prove_base(
    network: Network,
    u: np.ndarray,
    n_layers: int,
    after: Claims,
    variables: Variables,
    rows: slice | list[int] = slice(None),
) -> None:
    """The first ``n_layers`` layers on the input ``u`` leave what ``after`` claims, at the given rows."""
    first = replace(network, layers=network.layers[:n_layers])
    values = np.moveaxis(evaluate(first, u, variables.ring), -1, 0)
    require_channels(first.outputs, values, after, f"layer {n_layers}", variables, rows)


def prove_layer(network: Network, index: int, before: Claims, after: Claims, variables: Variables) -> None:
    """Layer ``index`` (from 0) takes channels that hold ``before`` to channels that hold ``after``, for all values."""
    layer = network.layers[index]
    state = [channel_of(before, name) for name in input_names(network, index)]
    n_rows = max(map(len, state))
    if n_rows != network.n_rows and not is_row_local(layer):
        raise Refuted(f"layer {index + 1} mixes rows, and the invariant speaks of {n_rows} of {network.n_rows}")
    stacked = np.stack([np.broadcast_to(rows, (n_rows,)) for rows in state])
    values = evaluate_layer(layer, variables.ring.coerce(stacked), variables.ring, network.mode)
    require_channels(layer.outputs, values, after, f"layer {index + 1}", variables)


@dataclass(frozen=True)
class RegressionSymbols:
    """A regression in symbols: the encoded input, and by row the Gram matrix and moment that the row must see."""

    task: Regression
    variables: Variables
    u: np.ndarray

    @classmethod
    def of(cls, network: Network, make: MakeVariables) -> RegressionSymbols:
        task = network.task
        if not isinstance(task, Regression):
            raise Refuted(f"{network.algorithm} does not read a regression but {type(task).__name__}")
        v = make(A=(task.n_points, task.n_dims), b=(task.n_points,), x=(task.n_dims,))
        start = (v["x"],) if task.takes_start else ()
        return cls(task, v, network.encode(v["A"], v["b"], *start))

    @property
    def rows(self) -> list[int]:
        """Rows at which the network claims its output."""
        return list(self.task.exact_rows)

    def by_row(self, data: np.ndarray) -> np.ndarray:
        """Sums of ``data`` (..., N) over the points that each row sees: (..., n_rows)."""
        empty = self.variables.zeros(*data.shape[:-1], 1)
        sums = np.concatenate([empty, np.add.accumulate(data, axis=-1)], axis=-1)
        return sums[..., [self.task.points_seen(row) for row in range(self.task.n_rows)]]

    @property
    def a(self) -> np.ndarray:
        """The data rows as columns (D, N)."""
        return self.variables["A"].T

    @property
    def G(self) -> np.ndarray:
        """``Σ a aᵀ`` by row, (D, D, n_rows)."""
        return self.by_row(outer(self.a, self.a))

    @property
    def c(self) -> np.ndarray:
        """``Σ b a`` by row, (D, n_rows)."""
        return self.by_row(self.variables["b"] * self.a)

    @property
    def x(self) -> np.ndarray:
        """The starting point, (D, 1)."""
        return self.variables["x"][:, None]


def prove_readout(network: Network, family: str = "x") -> None:
    """The columns that the task decodes are ``family[0], family[1], …`` at rows where they are claimed."""
    task = network.task
    names = [network.outputs[column] for column in task.columns]
    expected = [f"{family}[{i}]" for i in range(len(names))]
    if names != expected:
        raise Refuted(f"the network decodes the channels {names}, expected {expected}")
    if not set(task.readout_rows) <= set(task.exact_rows):
        raise Refuted(f"the network is read at rows {task.readout_rows} but exact at {task.exact_rows}")
