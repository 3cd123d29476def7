"""How large the channels of a network become: what its construction knows, what the caller says, else what follows.

Digits stand on a fixed grid, so a sliced network needs log2 of the largest magnitude of every channel. In this order:

1. ``bounds`` of the caller: by channel (``"x[0]"``) or by family (``"x"``), at every depth; or sample inputs, on which the
   network is run in float64 and twice the largest magnitude is taken.
2. What the construction knows (:func:`known`). For least squares with ``0 ⪯ (η/N)G ⪯ I`` the matrices ``P^j`` lie between 0
   and I, so their entries are at most 1, and ``‖q_j‖ ≤ √(jη/N)·‖b‖``: with the singular values s of ``√(η/N)·A``,
   ``q_j`` has the factors ``√(η/N)·(1 − (1 − s²)^j)/s``, and ``(1 − (1 − s²)^j)/s ≤ min(1/s, js) ≤ √j``.
3. The interval that follows from the channels before.

A magnitude that a run exceeds is an error then, in words, never a loss of digits.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from fractions import Fraction

import numpy as np

from constructions.algebra.filters import DELTA
from constructions.algebra.rings import Floats
from constructions.networks.evaluate import evaluate_layer
from constructions.networks.function_task import FunctionTask
from constructions.networks.network import Network
from constructions.networks.parameters import IterationParameters, recorded
from constructions.slicing.digits import CONSTANT, exponent_of, tap_sum, unit
from constructions.slicing.slicer import Output, read_layers

Bounds = Mapping[str, Fraction | int | float | str] | Sequence[Sequence[int]] | np.ndarray
"""Magnitudes by channel or family name, exponents of every channel layer by layer, or sample inputs."""

ENTRY, TARGET, ITERATE = Fraction(8), Fraction(32), Fraction(16)
"""Magnitudes of data that are not said otherwise: entries of A and x_init, targets b, iterates x."""
GAIN_BITS = 8
"""Bits that a round of refinement is taken to win where nothing is said: it wins −log2 of eps·κ²."""
REFINEMENTS = ("gram_refinement", "centred_refinement")
"""Constructions that need digits of the residual, and floats of the inverse."""
MARGIN = 2
"""Magnitudes seen on data are taken this many times as large."""


def known(network: Network) -> dict[str, Fraction]:
    """Magnitudes by channel family that the construction knows, for A, x_init ≤ 8, b ≤ 32 and iterates up to 16."""
    p = recorded(network.parameters, IterationParameters)
    data = {"a": ENTRY, "b": TARGET, "x": ITERATE}
    if network.algorithm == "gradient_descent":
        step, k = Fraction(p["step_size"]) / p["n_points"], p["n_steps"]
        root = Fraction(math.isqrt(math.ceil(step * k)) + 1)
        map_of_j = {"P": Fraction(1), "q": min(TARGET * root, ITERATE)}
        increments = {"W": Fraction(1), "v": 2 * map_of_j["q"]}
        return data | map_of_j | increments
    if network.algorithm in ("heavy_ball", "chebyshev"):
        return data | {"previous": ITERATE}
    if network.algorithm == "newton":
        most = Fraction(p["alpha"]) * 2 ** p["n_iters"]
        return data | {"R": Fraction(1), "M": max(most, Fraction(p["alpha"])), "Y": Fraction(1), "y": ITERATE}
    if network.algorithm == "centred_newton":
        return data | {"R": Fraction(1), "y": ITERATE}
    if network.algorithm in REFINEMENTS:
        most = Fraction(p["alpha"]) * 2 ** p["n_iters"]
        rounds = {f"d{done}": ITERATE / 2 ** (GAIN_BITS * done) for done in range(p["refinements"])}
        residual = p["n_points"] * ENTRY * TARGET * (math.isqrt(p["n_dims"]) + 1)
        inverse = {"R": Fraction(1), "M": max(most, Fraction(p["alpha"])), "r": residual, "y": ITERATE}
        return data | rounds | inverse
    return {}


def floats_of(network: Network) -> tuple[str, ...]:
    """Families that a construction needs no digits of: the inverse and the corrections of refinement."""
    if network.algorithm not in REFINEMENTS:
        return ()
    return ("R", "M", *(f"d{done}" for done in range(recorded(network.parameters, IterationParameters)["refinements"])))


def resolve(network: Network, bounds: Bounds | None, read: Mapping[int, list[Output]] | None = None) -> list[list[int]]:
    """log2 of the largest magnitude of each channel: of the inputs, then of the outputs of each layer.

    ``bounds``: None, a mapping from channel or family names to magnitudes, sample inputs (..., rows, channels), or
    these lists themselves. ``read``: :func:`read_layers` of the network. Raises ``ValueError`` for names that no channel has
    and magnitudes that are not positive.
    """
    if bounds is None or isinstance(bounds, Mapping):
        return propagate(network, known(network) | checked(network, bounds or {}), read)
    if isinstance(bounds, Sequence):
        lengths = [len(network.inputs), *(len(layer.outputs) for layer in network.layers)]
        exponents = [list(map(int, row)) for row in bounds]
        if [len(row) for row in exponents] != lengths:
            raise ValueError(f"bounds must list one exponent a channel: {lengths} of them, layer by layer")
        return exponents
    return measured(network, bounds)


def checked(network: Network, bounds: Mapping[str, Fraction | int | float | str]) -> dict[str, Fraction]:
    """The caller's magnitudes as rationals."""
    names = {*network.inputs, *(name for layer in network.layers for name in layer.outputs)}
    names |= {family(name) for name in names}
    unknown = sorted(set(bounds) - names)
    if unknown:
        some = ", ".join(sorted({family(name) for name in names})[:12])
        raise ValueError(
            f"no channel is called {', '.join(unknown)}: bounds may name a channel, or a family such as {some}"
        )
    magnitudes = {name: Fraction(value) for name, value in bounds.items()}
    wrong = [name for name, value in magnitudes.items() if value <= 0]
    if wrong:
        raise ValueError(f"a bound must be positive, got {wrong[0]} = {magnitudes[wrong[0]]}")
    return magnitudes


def family(name: str) -> str:
    """``P`` of ``P[0,1]``."""
    return name.partition("[")[0]


def propagate(
    network: Network, magnitudes: Mapping[str, Fraction], read: Mapping[int, list[Output]] | None = None
) -> list[list[int]]:
    """Exponents from named magnitudes, and by intervals where there are none."""

    def named(name: str) -> Fraction | None:
        return magnitudes.get(name, magnitudes.get(family(name)))

    inputs = [exponent_of(named(name) or default_input(network, index)) for index, name in enumerate(network.inputs)]
    for (_, channel), weight in network.positions.items():
        inputs[channel] = max(inputs[channel], exponent_of(weight))
    exponents = [inputs]
    read = read_layers(network) if read is None else read
    done: dict[tuple[int, tuple[int, ...]], list[int]] = {}
    for layer in network.layers:
        key = id(layer), tuple(exponents[-1])
        if key not in done:  # iterations repeat a layer, and soon its magnitudes
            row = []
            for name, output in zip(layer.outputs, read[id(layer)], strict=True):
                size = named(name)
                if size is None:
                    size = interval(output, exponents[-1], network.n_rows)
                row.append(exponent_of(size) if size else 0)
            done[key] = row
        exponents.append(list(done[key]))
    return exponents


def default_input(network: Network, index: int) -> Fraction:
    """The magnitude of an input that nothing is said about: that of its domain, else 2."""
    task = network.task
    if isinstance(task, FunctionTask) and task.domain is not None:
        return max(max(abs(low), abs(high)) for low, high in task.domain) or Fraction(1)
    return Fraction(2)


def interval(output: Output, exponents: Sequence[int], n_rows: int) -> Fraction:
    """The largest magnitude of an output whose channels stay below 2^exponents."""

    def size(form: Mapping[int, Fraction]) -> Fraction:
        return sum((abs(w) * (1 if c == CONSTANT else unit(-exponents[c])) for c, w in form.items()), Fraction(0))

    total = abs(output.constant)
    total += sum(size(form) * (1 if f == DELTA else tap_sum(f, n_rows)) for f, form in output.linear.items())
    for term in output.products:
        total += abs(term.weight) * tap_sum(term.filter, n_rows) * size(term.conv) * size(term.gate)
    return total


def measured(network: Network, inputs: object) -> list[list[int]]:
    """Exponents from a run in float64 on sample inputs, with the margin; ``ValueError`` where it overflows."""
    sample = np.asarray(inputs.detach().cpu().numpy() if hasattr(inputs, "detach") else inputs).astype(np.float64)
    if sample.ndim < 2 or sample.shape[-2:] != (network.n_rows, len(network.inputs)):
        raise ValueError(
            f"sample inputs must have shape (..., {network.n_rows}, {len(network.inputs)}), got {sample.shape}: "
            "make them with the network's encode"
        )
    ring = Floats(np.float64)
    state = np.moveaxis(sample, (-1, -2), (0, 1)).copy()
    for (row, channel), weight in network.positions.items():
        state[channel, row] += float(weight)
    exponents = []
    for layer in (None, *network.layers):
        state = state if layer is None else evaluate_layer(layer, state, ring, network.mode)
        largest = np.abs(state).reshape(len(state), -1).max(axis=1, initial=0.0)
        if not np.isfinite(largest).all():
            raise ValueError(
                "the network overflows float64 on the sample inputs: scale the data, or give bounds by name"
            )
        exponents.append([exponent_of(Fraction(float(value)) * MARGIN) if value else 0 for value in largest])
    return exponents
