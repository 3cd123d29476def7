"""A trained model is an exact network: every parameter is taken over, exactly."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
import torch

import constructions as C
from constructions.algebra.rings import FMPQ
from constructions.models.exact_weights import exact_network


@pytest.mark.parametrize("branch_weights", [False, True])
@pytest.mark.parametrize("mode", ["causal", "circular"])
def test_every_parameter_is_taken_over(mode, branch_weights):
    torch.manual_seed(0)
    like = C.explicit_gradient(n_points=2, n_dims=2)
    model = C.BaseConvModel(3, (3, 3, 3), (4, 5), mode, branch_weights=branch_weights).double()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.normal_()
        u = torch.randn(5, 3, 3, dtype=torch.float64)
        network = exact_network(model, like)
        assert network.parameters["network"]["algorithm"] == "explicit_gradient"
        assert torch.allclose(network.evaluate(u), model(u), rtol=1e-12, atol=1e-10)
        for name, parameter in model.named_parameters():
            old = parameter.clone()
            parameter += 0.25
            changed = exact_network(model, like)
            parameter.copy_(old)
            assert not torch.allclose(changed.evaluate(u), network.evaluate(u)), name


def test_over_q_it_is_the_function_of_the_floats():
    """One layer of one channel, evaluated by hand on rationals."""
    model = C.BaseConvModel(2, (1, 1), (1,)).double()
    layer = model.layers[0]
    with torch.no_grad():
        for parameter, value in zip(model.parameters(), (0.5, 0.25, 3.0, -0.75, 0.1, 0.3, 0.7, 1.5, 2.5), strict=False):
            parameter.fill_(value)
    like = C.linear(n_rows=2, weight=[[1]])
    network = exact_network(model, like)
    u = np.array([[Fraction(1, 3)], [Fraction(2, 7)]], dtype=object)
    p = u[:, 0] + Fraction(0.5)
    w = {name: Fraction(float(value.flatten()[0])) for name, value in layer.named_parameters()}
    v = [w["in_proj.weight"] * x + w["in_proj.bias"] for x in p]
    conv = [w["filter"] * v[0], w["filter"] * v[1] + w["filter"] * v[0]]
    expected = [
        w["out_proj.weight"] * (c + w["conv_bias"]) * (w["gate_proj.weight"] * x + w["gate_proj.bias"])
        + w["out_proj.bias"]
        for c, x in zip(conv, p, strict=True)
    ]
    computed = network.evaluate(u, FMPQ)[:, 0]
    assert [Fraction(int(value.p), int(value.q)) for value in computed] == expected


def test_what_does_not_fit_is_refused():
    like = C.explicit_gradient(n_points=2, n_dims=2)
    with pytest.raises(ValueError, match="4 rows"):
        exact_network(C.BaseConvModel(4, (3, 3), (2,)), like)
    model = C.BaseConvModel(3, (3, 2), (2,))
    with torch.no_grad():
        model.positions[0, 0] = torch.inf
    with pytest.raises(ValueError, match="positions has entries that are not finite"):
        exact_network(model, like)
