"""The published block rebuilt: the weights that the notebook sets, and ours, are the same units."""

from fractions import Fraction

import numpy as np
import pytest

from constructions.algorithms.published_block import published_block
from constructions.models.operators import LayerWeights, apply_layer, dense_weights
from constructions.models.published_notebook import SETTINGS, published_channels, published_layers, read_units
from precls_theory.proofs.symbolic import flint_variables, require_equal

Units = dict[tuple, dict[str, Fraction]]


def ours(n_points: int, n_dims: int, step: Fraction) -> list[Units]:
    """The units of the library's block, by the names of its channels."""
    # Of two applications the first: the last drops what nobody will read.
    network = published_block(n_points=n_points, n_dims=n_dims, n_applications=2, step_size=step)
    inputs, found = network.inputs, []
    for layer in network.layers[:3]:
        found.append(read_units(dense_weights(layer, n_points), inputs, layer.outputs))
        inputs = layer.outputs
    return found


def theirs(n_points: int, n_dims: int, step: Fraction) -> list[Units]:
    """The units of the published block, when its D copies of r are one channel and nobody carries p."""
    names = published_channels(n_dims)
    one, two, three = (read_units(w, names, names) for w in published_layers(n_points, n_dims, step))

    def renamed(form: tuple, old: str, new: str | None) -> tuple:
        return tuple((new if new and name.startswith(old) else name, w) for name, w in form)

    def without_p(units: Units) -> Units:
        """p[i] is written by the first layer and carried to its end; no other output reads it."""
        return {
            unit: kept
            for unit, read in units.items()
            if (kept := {name: w for name, w in read.items() if not name.startswith("p[")})
        }

    for copies in one.values():  # every copy of r is the same sum
        assert len({copies.get(f"r[{i}]") for i in range(n_dims)}) == 1
    first = {
        unit: {"r" if n == "r[0]" else n: w for n, w in read.items() if not n.startswith("r[") or n == "r[0]"}
        for unit, read in without_p(one).items()
    }
    second = {
        (unit[0], *sorted(renamed(form, "r[", "r") for form in unit[1:])): {
            n.replace("r[", "ra["): w for n, w in read.items()
        }
        for unit, read in without_p(two).items()
    }
    third = {
        (unit[0], *(tuple((n.replace("r[", "ra["), w) for n, w in form) for form in unit[1:])): read
        for unit, read in without_p(three).items()
    }
    return [first, second, third]


@pytest.mark.parametrize(("n_points", "n_dims"), [(1, 1), (3, 2), (SETTINGS["n_points"], SETTINGS["n_dims"])])
def test_every_unit_of_the_block_is_one_of_the_published_weights(n_points: int, n_dims: int) -> None:
    step = Fraction(SETTINGS["step_size"])
    for depth, (mine, published) in enumerate(
        zip(ours(n_points, n_dims, step), theirs(n_points, n_dims, step), strict=True)
    ):
        assert mine == published, f"layer {depth + 1}"
        assert len(mine) == 3 * n_dims + 1


def run(layers: tuple[LayerWeights, ...], u: np.ndarray) -> np.ndarray:
    for weights in layers:
        u = apply_layer(weights, u)
    return u


def test_the_published_weights_compute_the_block() -> None:
    n_points, n_dims, step = 4, 2, Fraction(1, 10)
    v = flint_variables(u=(n_points, 2 * n_dims + 1))
    u = np.concatenate([v["u"], v.zeros(n_points, 2 * n_dims)], axis=1)
    after = run(tuple(rational(v, weights) for weights in published_layers(n_points, n_dims, step)), u)
    network = published_block(n_points=n_points, n_dims=n_dims, n_applications=1, step_size=step)
    block = network.evaluate(v["u"], v.ring)[:, list(network.task.columns)]
    require_equal(after[:, n_dims + 1 : 2 * n_dims + 1], block, "one application", v.ring)
    require_equal(after[:, : n_dims + 1], v["u"][:, : n_dims + 1], "the data", v.ring)


def rational(v, weights: LayerWeights) -> LayerWeights:  # type: ignore[no-untyped-def]
    return LayerWeights(*(v.constants(array) for array in vars(weights).values() if array is not None))


def test_a_changed_weight_is_noticed() -> None:
    network = ours(3, 2, Fraction(1, 10))
    assert network != ours(3, 2, Fraction(1, 9))
    layers = published_layers(3, 2, Fraction(1, 10))
    layers[0].out_weight[0, 0] = 2
    names = published_channels(2)
    assert read_units(layers[0], names, names) != read_units(published_layers(3, 2, Fraction(1, 10))[0], names, names)
