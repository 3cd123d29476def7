"""Exact population losses: against sampling-free references, for symbolic, rational and floating-point weights."""

from fractions import Fraction

import numpy as np
import pytest
import torch

import constructions as C
from precls_theory.landscape import Gaussian, Rademacher, Uniform, layer_model, operator_model, population_loss, targets


def test_moments():
    assert [Gaussian().moment((k,)) for k in range(7)] == [1, 0, 1, 0, 3, 0, 15]
    assert Uniform(2).moment((2, 4)) == Fraction(4, 3) * Fraction(16, 5)
    assert Rademacher().moment((2, 4, 0)) == 1
    correlated = Gaussian([[2, 1], [1, 3]])
    assert correlated.moment((1, 1)) == 1
    assert correlated.moment((2, 2)) == 2 * 3 + 2 * 1 * 1  # Isserlis: Σ11 Σ22 + 2 Σ12²
    assert correlated.moment((1, 3)) == 3 * 1 * 3
    assert correlated.moment((1, 2)) == 0
    assert Gaussian([[1, 0], [0, 1]]).moment((4, 2)) == Gaussian().moment((4, 2))


@pytest.mark.parametrize(
    ("covariance", "message"),
    [
        ([[1, 2]], "square matrix"),
        ([[1, 2], [3, 1]], "symmetric"),
        ([[1, 2], [2, 1]], "negative eigenvalue"),
        ([], "square matrix"),
    ],
)
def test_wrong_covariances_are_refused(covariance, message):
    with pytest.raises(ValueError, match=message):
        Gaussian(covariance)


def test_a_covariance_of_another_size_is_refused():
    with pytest.raises(ValueError, match="one row and column to every entry"):
        population_loss(operator_model(2, 1), targets.square, Gaussian([[1]]))
    with pytest.raises(ValueError, match="positive"):
        Uniform(0)


def test_symbolic_loss_at_weights_is_the_loss_of_the_module():
    torch.manual_seed(1)
    operator = C.BaseConvOperator(2, 2).double()
    weights = {
        f"{name}_{i}_{j}": float(value)
        for name, parameter in operator.named_parameters()
        for (i, j), value in np.ndenumerate(parameter.detach().numpy())
    }
    loss = population_loss(operator_model(2, 2), targets.square)
    assert loss.at(weights) == population_loss(operator, targets.square)
    assert len(loss.gradient_at(weights)) == len(loss.names) == loss.hessian.shape[0]
    with pytest.raises(ValueError, match="missing: W_0_0"):
        loss.at({name: value for name, value in weights.items() if name != "W_0_0"})


def test_the_gradient_is_that_of_the_loss():
    loss = population_loss(layer_model(1, 1, 1, 1), targets.square)
    point = {name: Fraction(k + 1, 7) for k, name in enumerate(loss.names)}
    step = Fraction(1, 10**9)
    for name, slope in zip(loss.names, loss.gradient_at(point), strict=True):
        moved = (loss.at(point | {name: point[name] + step}) - loss.at(point | {name: point[name] - step})) / (2 * step)
        assert abs(moved - slope) < Fraction(1, 10**6)


def test_the_loss_of_a_trained_model_is_what_samples_show():
    torch.manual_seed(2)
    model = C.BaseConvModel(2, (2, 2), (3,))
    exact = float(population_loss(model, targets.multiply(0, 1, 1)))
    u = torch.randn(200_000, 2, 2)
    error = (model(u) - torch.stack([u[..., 0], u[..., 0] * u[..., 1]], -1)).detach() ** 2
    mean, spread = error.sum((1, 2)).mean(), error.sum((1, 2)).std() / 200_000**0.5
    assert abs(exact - float(mean)) < 6 * float(spread)


def test_exact_networks_have_loss_zero_and_wrong_ones_not():
    network = C.multiply(n_rows=2, n_channels=2, left=0, right=1, target=1, length=1)
    assert population_loss(network, targets.multiply(0, 1, 1)) == 0
    assert population_loss(network, targets.multiply(1, 1, 1)) == 2 * 4  # E(u0 u1 − u1²)² = 1 + 3 a row
    assert population_loss(C.BaseConvModel.from_network(network), targets.multiply(0, 1, 1)) == 0
    read = C.read(n_rows=3, n_channels=2, source=0, target=2, start=0, stop=2)
    assert population_loss(read, lambda u: targets.read(0, 2)(u[:, :2])) == 0  # the third channel is positional
    descent = C.gradient_descent(n_points=3, n_dims=2, n_steps=1, step_size="1/2")
    assert population_loss(descent, lambda u: descent.decode(descent.evaluate(u)) + 2) == 2 * 4


def test_models_without_a_loss_are_refused():
    model = C.BaseConvOperator(1, 1)
    with torch.no_grad():
        model.W[0, 0] = float("nan")
    with pytest.raises(ValueError, match="not finite"):
        population_loss(model, targets.square)
    with pytest.raises(TypeError, match="SymbolicModel"):
        population_loss(torch.nn.Linear(1, 1), targets.square)
    with pytest.raises(ValueError, match="rational coefficients"):
        population_loss(operator_model(1, 1), lambda u: 0.1 * u)
    with pytest.raises(ValueError, match="must agree"):
        population_loss(C.BaseConvLayer(1, 1, 2, 1), targets.square)
