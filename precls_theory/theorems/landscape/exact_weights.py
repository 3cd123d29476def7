"""Exact constructions are stationary points of their population losses, at loss 0: checked at their own weights.

Every weight of the dense model (In, filter, Gate, Out, all biases and positions) is a symbol; the loss is a polynomial
in them; at the construction's weights it is 0 and so is its gradient. That a point of loss 0 is stationary is no
surprise, since a mean square has its least value there; what is checked is that the exact loss, its gradient and the
construction agree about where it is.
"""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction

import flint
import numpy as np

import constructions as C
from constructions.models.operators import LayerWeights, apply_layer, dense_weights
from precls_theory.landscape import targets
from precls_theory.landscape.moments import Gaussian
from precls_theory.landscape.population_loss import SymbolicModel, TargetMap, fmpq, population_loss
from precls_theory.registry import Evidence, Refuted, Size, theorem

FIELDS = ("in_weight", "in_bias", "filter", "conv_bias", "gate_weight", "gate_bias", "out_weight", "out_bias")


def dense_model(network: C.Network) -> tuple[SymbolicModel, dict[str, Fraction]]:
    """All dense weights of a network's model as symbols, and their values."""
    shapes: dict[str, tuple[int, ...]] = {"positions": (network.n_rows, len(network.inputs))}
    arrays: dict[str, np.ndarray] = {"positions": np.full(shapes["positions"], Fraction(0), dtype=object)}
    for place, value in network.positions.items():
        arrays["positions"][place] = value
    for depth, layer in enumerate(network.layers):
        weights = dense_weights(layer, network.n_rows)
        for name in FIELDS:
            shapes[f"{name}{depth}"] = getattr(weights, name).shape
            arrays[f"{name}{depth}"] = getattr(weights, name)

    def apply(symbols: dict[str, np.ndarray], u: np.ndarray) -> np.ndarray:
        data = u * 0
        for place in network.task.free_channels:
            data[place] = u[place]
        state = data + symbols["positions"]
        for depth in range(network.depth):
            layer = LayerWeights(**{name: symbols[f"{name}{depth}"] for name in FIELDS})
            state = apply_layer(layer, state, network.mode)
        return network.decode(state)

    values = {
        "_".join([family, *map(str, index)]): Fraction(arrays[family].item(index))
        for family, shape in shapes.items()
        for index in np.ndindex(*shape)
    }
    return SymbolicModel(shapes, network.n_rows, len(network.inputs), apply), values


def prove_stationary(name: str, network: C.Network, target: TargetMap, change: Fraction = Fraction(0)) -> int:
    """Loss and gradient vanish at the weights (the last of them changed by ``change``); returns the number of weights."""
    model, values = dense_model(network)
    loss = population_loss(model, target, Gaussian())
    last = list(values)[-1]
    values[last] += change
    if loss.at(values) != 0:
        raise Refuted(f"{name}: the loss at the exact weights is {loss.at(values)}")
    for weight, slope in zip(loss.names, loss.gradient_at(values), strict=True):
        if slope != 0:
            raise Refuted(f"{name}: the derivative in {weight} is {slope}, not 0")
    return len(loss.names)


def prove_stationary_singly(name: str, network: C.Network, target: TargetMap, change: Fraction = Fraction(0)) -> int:
    """The same for deeper networks, whose loss in all weights is too large: one weight a symbol at a time."""
    model, values = dense_model(network)
    values[list(values)[-1]] += change
    for weight in values:

        def apply(symbols: dict[str, np.ndarray], u: np.ndarray, weight: str = weight) -> np.ndarray:
            symbol = symbols["weight"]
            arrays = {}
            for family, shape in model.shapes.items():
                array = np.empty(shape, dtype=object)
                for index in np.ndindex(*shape):
                    key = "_".join([family, *map(str, index)])
                    array[index] = symbol[0] if key == weight else symbol[0] * 0 + fmpq(values[key])
                arrays[family] = array
            return model.apply(arrays, u)

        single = SymbolicModel({"weight": (1,)}, model.n_rows, model.n_channels, apply)
        loss = population_loss(single, target, Gaussian())
        at = {"weight_0": values[weight]}
        if loss.at(at) != 0:
            raise Refuted(f"{name}: the loss at the exact weights is {loss.at(at)}")
        if any(loss.gradient_at(at)):
            raise Refuted(f"{name}: the derivative in {weight} is not 0")
    return len(values)


def descent_step(u: np.ndarray) -> np.ndarray:
    """One step of gradient descent of size 1/2 on one point: rows [a, b, x] of layout A."""
    a, b, x = u[0]
    result = np.empty((1,), dtype=object)
    result[0] = x - (a * (a * x - b)) * _half(x)
    return result


def _half(like: flint.fmpq_mpoly) -> flint.fmpq_mpoly:
    return like.context().constant(1) / 2


def data_columns(target: Callable[[np.ndarray], np.ndarray], columns: int) -> TargetMap:
    """A target that reads the first columns only: the others are positional."""
    return lambda u: target(u[:, :columns])


@theorem(
    id="landscape-exact-weights",
    title="Exact constructions are stationary points of the population loss",
    statement=r"L(\theta^*)=0,\quad\nabla L(\theta^*)=0",
    hypotheses=("u ~ N(0, I)", "Read, Linear, Multiply, one step of gradient descent"),
    source="new",
    covers="one network each, one and two layers; all dense weights symbols, in the step of gradient descent one at a time",
    controls={
        "a bias off by 1/3": {"change": Fraction(1, 3)},
        "Multiply for Linear": lambda: prove_stationary(
            "control", C.multiply(n_rows=1, n_channels=2, left=0, right=1, target=1, length=1), lambda u: u
        ),
    },
)
def exact_weights(size: Size, change: Fraction = Fraction(0)) -> Evidence:
    cases: list[tuple[str, C.Network, TargetMap]] = [
        (
            "Multiply",
            C.multiply(n_rows=2, n_channels=2, left=0, right=1, target=1, length=1),
            targets.multiply(0, 1, 1),
        ),
        (
            "Linear",
            C.linear(n_rows=2, weight=[[1, 2], ["1/2", -1]], bias=[1, 0]),
            targets.linear([[1, 2], ["1/2", -1]], [1, 0]),
        ),
        (
            "Read",
            C.read(n_rows=2, n_channels=1, source=0, target=1, start=0, stop=1),
            data_columns(targets.read(0, 1), 1),
        ),
    ]
    counts = {name: prove_stationary(name, network, target, change) for name, network, target in cases}
    network = C.gradient_descent(n_points=1, n_dims=1, n_steps=1, step_size="1/2", form="gram")
    counts["GD step, one weight at a time"] = prove_stationary_singly("GD step", network, descent_step, change)
    return Evidence(
        f"executed: {', '.join(f'{name} ({count} weights)' for name, count in counts.items())}, one network each, all "
        "weights symbols where not said otherwise. Argued: other sizes, and the gradient of the GD step in all weights at "
        "once, since a mean square is least where it is 0",
        "Q[weights]",
        "python-flint",
    )
