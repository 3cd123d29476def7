"""A small input at which a network differs from its claim."""

from __future__ import annotations

import copy
import itertools
import random
import secrets
from dataclasses import replace
from fractions import Fraction

import numpy as np

from constructions.algebra.rationals import write_rational
from constructions.algebra.rings import FMPQ, Ring
from constructions.networks.base import ExactNetwork
from constructions.networks.stack import LayerStack
from constructions.networks.tasks import Regression, Sequence
from constructions.slicing.task import SlicedTask
from constructions.transformers.blocks import BlockStack
from precls_theory.checking.prove import network_bound
from precls_theory.checking.references import claimed, results
from precls_theory.proofs.residues import WORD_BITS, random_prime, residue_ring

MAX_EXACT_WORK = 3e9
"""Largest product of weights, rows and bits for which a counterexample is evaluated over Q (else modulo a prime)."""


_BATCH_ENTRIES = 2e7


def counterexample(
    network: ExactNetwork, index: tuple[int, ...], expected: ExactNetwork, seed: int | None = None
) -> dict[str, object]:
    """An input of small integers at which the output ``index`` (place among exact rows, result) differs from the claim.

    ``expected`` is the rebuild: it names the output channels. Found modulo a prime, where a difference of integers that
    is not zero is not zero over Q either; evaluated over Q where that is feasible, else the two values are given modulo
    the prime.
    """
    place, result = index
    row = network.task.exact_rows[place]
    # A network whose mode was changed to causal may have to answer for rows that it does not read.
    last = row if looks_back_only(network) and looks_back_only(expected) else network.n_rows - 1
    source = random.Random(secrets.randbits(64) if seed is None else seed)
    u, prime = _small_input(network, place, result, last, source)
    used_rows = row + 1 if looks_back_only(network) else network.n_rows
    work = network.n_nonzero * used_rows * max(64.0, network_bound(network).log2_height)
    ring = FMPQ if work <= MAX_EXACT_WORK else residue_ring(prime)
    values = [side(network, ring.coerce(u), place, ring)[result] for side in (_computed_at, _claimed_at)]
    texts = [
        write_rational(Fraction(int(value.p), int(value.q))) if ring is FMPQ else f"{int(value)} (mod {prime})"
        for value in values
    ]
    return {
        "output": _result_name(expected, result),
        "row": row,
        "input": _named_input(network, u),
        "computed": texts[0],
        "claimed": texts[1],
    }


def _result_name(expected: ExactNetwork, result: int) -> str:
    """The channel that holds a result; of digit channels, what they add up to."""
    if isinstance(expected.task, SlicedTask):
        return expected.outputs[expected.task.groups[result][0]].rpartition("@")[0]
    return expected.outputs[expected.task.columns[result]]


def looks_back_only(network: ExactNetwork) -> bool:
    """Whether no row reads a later one."""
    return (
        network.mode == "causal"
        if isinstance(network, LayerStack)
        else isinstance(network, BlockStack) and network.mask != "full"
    )


def _computed_at(network: ExactNetwork, u: np.ndarray, place: int, ring: Ring) -> np.ndarray:
    """The results (..., n results) at one exact row; a causal network is run on the rows up to it alone."""
    row = network.task.exact_rows[place]
    if looks_back_only(network):
        positions = {key: weight for key, weight in network.positions.items() if key[0] <= row}
        network, u = replace(network, n_rows=row + 1, positions=positions), u[..., : row + 1, :]
    return results(network, network.evaluate(u, ring)[..., row, :], ring)


def _claimed_at(network: ExactNetwork, u: np.ndarray, place: int, ring: Ring) -> np.ndarray:
    """The claim (..., n results) at one exact row, and where the reference allows it, computed for that row alone."""
    rows = network.task.exact_rows
    if len(rows) > 1 and isinstance(network.task, Regression):
        task = copy.copy(network.task)
        object.__setattr__(task, "__class__", type("AtRow", (type(task),), {"exact_rows": (rows[place],)}))
        network, place = replace(network, task=task), 0
    return claimed(network, u, ring)[..., place, :]


def _small_input(
    network: ExactNetwork, place: int, result: int, last: int, source: random.Random
) -> tuple[np.ndarray, int]:
    """Integers, small and few if possible, in rows up to ``last``, at which the result differs at an exact row, and the
    prime that shows it."""
    free = np.array([at for at in network.task.free_channels if at[0] <= last], dtype=np.int64).reshape(-1, 2)
    stages = network.layers if isinstance(network, LayerStack) else [network]
    weights = max(stage.n_nonzero for stage in stages) * (last + 1)
    batch = max(1, min(24, int(_BATCH_ENTRIES / max(1, weights))))
    generator = np.random.default_rng(source.getrandbits(64))
    magnitude = 1
    for attempt in itertools.count():
        # A degree beyond the size of a word needs a larger field.
        prime = random_prime(WORD_BITS if attempt < 32 else 128, source)
        ring = residue_ring(prime)
        integers = generator.integers(-magnitude, magnitude + 1, size=(batch, len(free)))
        density = np.linspace(0.2, 1, batch)[::-1, None]
        integers *= generator.random((batch, len(free))) < density
        u = np.zeros((batch, network.n_rows, len(network.inputs)), dtype=np.int64)
        u[:, free[:, 0], free[:, 1]] = integers
        residues = ring.coerce(u)
        try:
            gap = _computed_at(network, residues, place, ring) - _claimed_at(network, residues, place, ring)
        except ZeroDivisionError:
            continue
        differs = np.flatnonzero(ring.reduce(gap)[:, result])
        if len(differs):
            fewest = differs[np.argmin(np.count_nonzero(integers[differs], axis=1))]
            return u[fewest].astype(object), prime
        magnitude = min(2 * magnitude, 2**28)
    raise AssertionError("unreachable")


def _named_input(network: ExactNetwork, u: np.ndarray) -> dict[str, object]:
    task = network.task
    if isinstance(task, Regression):
        first = 1 if task.layout == "S" else 0
        data = u[first : first + task.n_points]
        named = {"A": data[:, : task.n_dims].tolist(), "b": data[:, task.n_dims].tolist()}
        if task.takes_start:
            row, start = task.start_slice
            named["x_init"] = u[row, start].tolist()
        return named
    if isinstance(task, Sequence):
        return {"u": u[:, : task.n_channels].tolist()}
    return {network.inputs[column] + f" at row {row}": int(u[row, column]) for row, column in task.free_channels}
