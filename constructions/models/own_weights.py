"""Networks with weights of their own that claim what another construction claims: trained, imported, or edited ones.

A construction's file names the parameters that build it, and ``precls check`` compares every stored number with the
rebuild. Weights that somebody found in another way have nothing to be compared with; what they can claim is a function.
:func:`claiming` records whose: the network is then of the kind ``own_weights``, its parameters name the construction
whose reference says what each result is, and a check proves the results alone.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from fractions import Fraction
from typing import Annotated

import numpy as np

from constructions.algebra.filters import DELTA
from constructions.networks.construction import construction, rebuild
from constructions.networks.layer import Layer, Mode, SparseMap
from constructions.networks.network import Network
from constructions.networks.parameters import ClaimParameters, Count, Declaration, claim_of
from constructions.slicing.task import SlicedTask

OWN_WEIGHTS = "own_weights"


@construction
def own_weights(
    *,
    network: Annotated[Mapping[str, object], Declaration('whose function it is, {"algorithm": …, "parameters": {…}}')],
    n_inputs: Annotated[int, Count("input channels", fits="channels")],
) -> Network:
    """The claim of ``network`` (``{"algorithm": …, "parameters": …}``) with no weights: one layer of zeros.

    The data channels of the claim come first among the ``n_inputs``, further ones are positional, and the first outputs are
    its results in their order. Files of this kind hold the weights. Raises ``ValueError`` for a claim that is no BaseConv
    network's, that has weights of its own, digits or an error bound, or that has more data channels than ``n_inputs``.
    """
    original = claimed_network(network)
    data = sorted({column for _, column in original.task.free_channels})
    if data != list(range(len(data))) or n_inputs < len(data):
        raise ValueError(f"{original.algorithm} has data in the channels {data}, got n_inputs={n_inputs}")
    results = tuple(original.outputs[column] for column in original.task.columns)
    nothing = SparseMap.of(n_inputs, 1, {})
    out: dict[tuple[int, int], Fraction] = {}
    zero = Layer(
        nothing, nothing, SparseMap.of(1, len(results), out), (DELTA,), np.zeros(1, dtype=np.int64), results
    )  # fmt: skip
    task = replace(original.task, n_inputs=n_inputs, columns=tuple(range(len(results))))  # type: ignore[type-var]
    inputs = (*original.inputs[: len(data)], *(f"position[{c}]" for c in range(len(data), n_inputs)))
    return replace(original, inputs=inputs, layers=(zero,), positions={}, task=task)


def claimed_network(network: Mapping[str, object]) -> Network:
    """The network whose function is claimed; ``ValueError`` for what cannot be claimed."""
    algorithm, parameters = network.get("algorithm"), network.get("parameters")
    if set(network) != {"algorithm", "parameters"} or not isinstance(parameters, Mapping):
        raise ValueError(f"a claim is {{'algorithm': …, 'parameters': {{…}}}}, got {network!r:.200}")
    if algorithm == OWN_WEIGHTS:
        raise ValueError("the claim of own weights is that of a construction, not of own weights again")
    original = rebuild(str(algorithm), dict(parameters))
    if not isinstance(original, Network) or isinstance(original.task, SlicedTask):
        raise ValueError(f"own weights claim what a BaseConv network without digits computes, got {algorithm!r}")
    if parameters.get("label") or Fraction(parameters.get("error_bound", 0)):
        raise ValueError(f"own weights cannot claim the error bound that {algorithm!r} records")
    return original


def claiming(
    like: Network, *, mode: Mode, inputs: tuple[str, ...], layers: tuple[Layer, ...],
    positions: Mapping[tuple[int, int], Fraction],
) -> Network:  # fmt: skip
    """A network that claims what ``like`` claims, with these ``mode``, ``inputs``, ``layers`` and ``positions``.

    Raises ``ValueError`` for a claim that own weights cannot make.
    """
    own = like.algorithm == OWN_WEIGHTS
    claim = claim_of(like.parameters) if own else ClaimParameters(algorithm=like.algorithm, parameters=like.parameters)
    empty = own_weights(network=claim, n_inputs=len(inputs))
    return replace(empty, mode=mode, inputs=inputs, layers=layers, positions=positions)
