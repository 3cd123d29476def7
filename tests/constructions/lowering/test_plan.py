"""Plans of layers that no builder writes, and sources that coincide: against the exact evaluator, floats being integers."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from functools import partial

import numpy as np
import torch
from helpers.networks import with_weight

import constructions as C
from constructions.algebra.filters import EXCLUSIVE, PREFIX, Filter
from constructions.algebra.terms import channel, convolve
from constructions.lowering.module import lower
from constructions.networks.builder import Builder
from constructions.networks.layer import Layer, SparseMap
from constructions.networks.network import Network
from constructions.networks.tasks import Sequence

N = 3


def assert_exact(network: Network) -> None:
    u = np.random.default_rng(2).integers(-3, 4, (2, network.n_rows, len(network.inputs))).astype(object)
    expected = network.evaluate(u).astype(float)
    for rows in ("all", "readout"):
        kept = range(network.n_rows) if rows == "all" else network.task.readout_rows
        found = lower(network, rows=rows)(torch.tensor(u.astype(float)))  # type: ignore[arg-type]
        assert np.array_equal(found.numpy(), expected[:, list(kept)])


def test_a_constant_gate_is_a_factor() -> None:
    """A gate of 3 in place of 1, as a file may hold it."""
    network = C.linear(n_rows=N, weight=[[1, 2], [-3, 4]], bias=[5, -1])
    for entry in range(len(network.layers[0].gate.weights)):
        assert_exact(with_weight(network, 0, "gate", entry, Fraction(2)))


def test_sources_that_coincide_are_added() -> None:
    """A channel that is the same at every row, through two filters: one source, with the sum of the taps of each."""
    builder = Builder(N, ["x"], "circular")
    total = builder.layer(p=convolve(PREFIX, channel("x")))
    steps = Filter.of((1, 2), 3)
    both = builder.layer(a=convolve(steps, total) + 2 * total, b=convolve(EXCLUSIVE, total) - total + 4)
    assert_exact(builder.build(list(both), partial(Sequence, N, 1, n_inputs=1)))


def test_hidden_channels_that_read_the_same_are_added() -> None:
    """Two affine hidden channels of one input in one output: 2(x + y) + 5(x − 3) by hand."""
    network = C.linear(n_rows=N, weight=[[1], [1]])
    layer = Layer(
        conv=SparseMap.of(2, 2, {(0, 0): 1, (0, 1): 1, (1, 0): 1, (1, 2): -3}),
        gate=SparseMap.of(2, 2, {(0, 2): 1, (1, 2): 1}), out=SparseMap.of(2, 1, {(0, 0): 2, (0, 1): 5}),
        filters=(Filter.of((1,), 0),), filter_index=np.array([0, 0]), outputs=network.layers[0].outputs,
    )  # fmt: skip
    changed = replace(network, layers=(layer,))
    assert changed.evaluate(np.array([[1, 2]] * N, dtype=object)).tolist() == [[2 * 3 + 5 * -2]] * N
    assert_exact(changed)
