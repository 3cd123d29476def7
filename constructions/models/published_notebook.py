"""The weights that the paper's published notebook sets by hand, as it sets them: three BaseConv layers.

Source: ``notebooks/baseconv_construction.ipynb`` of ``HazyResearch/precision-ls`` (commit 3f2993b), read for its
numbers alone. Its channels, 4D + 1 of them, are [a (D), b, x (D), p (D), r (D)]; every layer has as many hidden
channels, so In, Gate and Out are square; filters are causal, of N taps; biases that it does not set are zero, as the
model initialises them. It runs the block 300 times with η = 0.1, and a loop of gradient descent with η = 2·0.1/N.

1. p ← a ⊙ x by In (which copies a into p) and Gate; Out carries p and sets all D channels r to Σ_i p_i − b.
2. r ← r ⊙ a by Gate.
3. x ← x − η · prefix sum of r; Out leaves p and r out.

r holds one number D times, and p rides along where nobody reads it: what is left without that is
:func:`constructions.algorithms.published_block.published_block` (proved in the tests, unit by unit).
"""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction

import numpy as np

from constructions.models.operators import LayerWeights

SETTINGS = {"n_points": 20, "n_dims": 5, "n_applications": 300, "step_size": Fraction(1, 10)}
"""What the notebook runs."""


def published_channels(n_dims: int) -> tuple[str, ...]:
    """Names of the 4D + 1 channels, in order."""
    block = {name: [f"{name}[{i}]" for i in range(n_dims)] for name in "axpr"}
    return (*block["a"], "b", *block["x"], *block["p"], *block["r"])


def published_layers(
    n_points: int, n_dims: int, step_size: Fraction
) -> tuple[LayerWeights, LayerWeights, LayerWeights]:
    """The three layers as exact weights; maps act as ``u @ weight + bias``, the transpose of how PyTorch stores them."""
    names = published_channels(n_dims)
    index = {name: position for position, name in enumerate(names)}
    dims = range(n_dims)
    data = [name for name in names if name[0] in "abx"]

    def layer(
        copies: dict[str, str],
        gates: dict[str, str],
        ones: list[str],
        summed: str,
        out: Mapping[tuple[str, str], Fraction | int],
    ) -> LayerWeights:
        """``copies`` and ``gates`` say what a hidden channel reads in In and Gate, ``ones`` where the gate is 1."""
        size = len(names)
        in_weight, gate_weight, out_weight = (np.full((size, size), 0, dtype=object) for _ in range(3))
        gate_bias, zero = np.full(size, 0, dtype=object), np.full(size, 0, dtype=object)
        for hidden, source in copies.items():
            in_weight[index[source], index[hidden]] = 1
        for hidden, source in gates.items():
            gate_weight[index[source], index[hidden]] = 1
        for hidden in ones:
            gate_bias[index[hidden]] = 1
        for (target, hidden), weight in out.items():
            out_weight[index[hidden], index[target]] = weight
        taps = np.full((n_points, size), 0, dtype=object)
        taps[0] = 1
        taps[:, [position for position, name in enumerate(names) if name[0] == summed]] = 1
        return LayerWeights(in_weight, zero, taps, zero, gate_weight, gate_bias, out_weight, zero)

    def carried(which: list[str]) -> dict[tuple[str, str], int]:
        return {(name, name): 1 for name in which}

    residual = {(f"r[{i}]", f"p[{j}]"): 1 for i in dims for j in dims} | {(f"r[{i}]", "b"): -1 for i in dims}
    products = [f"p[{i}]" for i in dims]
    multiply = layer(
        copies={name: name for name in data} | {f"p[{i}]": f"a[{i}]" for i in dims},
        gates={f"p[{i}]": f"x[{i}]" for i in dims},
        ones=data,
        summed="",
        out={**carried([*data, *products]), **residual},
    )
    scale = layer(
        copies={name: name for name in names},
        gates={f"r[{i}]": f"a[{i}]" for i in dims},
        ones=[*data, *products],
        summed="",
        out=carried(list(names)),
    )
    update = layer(
        copies={name: name for name in names},
        gates={},
        ones=list(names),
        summed="r",
        out=carried(data) | {(f"x[{i}]", f"r[{i}]"): -step_size for i in dims},
    )
    return multiply, scale, update


def read_units(
    weights: LayerWeights, names: tuple[str, ...], outputs: tuple[str, ...]
) -> dict[tuple[object, ...], dict[str, Fraction]]:
    """The hidden channels of a layer by what they compute, and the weight with which each output reads them.

    A channel is known by its taps and the affine forms ``{name: weight}`` that In and Gate give it (two factors that
    are not convolved may change places); channels that are zero, or that no output reads, are left out.
    """
    found: dict[tuple[object, ...], dict[str, Fraction]] = {}
    for hidden in range(weights.in_weight.shape[1]):
        forms = [
            tuple(
                (name, Fraction(w))
                for name, w in zip((*names, "1"), (*weight[:, hidden], bias[hidden]), strict=True)
                if w
            )
            for weight, bias in ((weights.in_weight, weights.in_bias), (weights.gate_weight, weights.gate_bias))
        ]
        taps = tuple(map(Fraction, weights.filter[:, hidden]))
        read = {name: Fraction(w) for name, w in zip(outputs, weights.out_weight[hidden], strict=True) if w}
        if all(forms) and any(taps) and read:
            moved = any(taps[1:])
            unit = (taps, *(forms if moved else sorted(forms)))
            found[unit] = {name: found.get(unit, {}).get(name, Fraction(0)) + w for name, w in read.items()}
    return found
