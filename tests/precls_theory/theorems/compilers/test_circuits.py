"""The theorems on circuits hold, and refuse wrong networks."""

from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest
import sympy as sp
from helpers.mutations import changed_filters, changed_weights, differs, exchanged_outputs, refuses, sample

import constructions as C
from precls_theory import Refuted
from precls_theory.certificate import certify
from precls_theory.proofs.symbolic import sympy_variables
from precls_theory.registry import all_theorems
from precls_theory.theorems.compilers.circuits import (
    FAMILIES,
    POLYNOMIALS,
    convolutions,
    degree_on_a_line,
    gradient_descent_program,
    layer_outputs,
    matrix_power,
    power,
    prove_circuit,
    prove_polynomials,
    require_degree,
    require_least_depth,
)

x, y = sp.symbols("x y")


@pytest.mark.parametrize("identifier", ["circuit-compilation", "polynomial-compilation", "depth-lower-bound"])
def test_theorems_are_proved(identifier):
    certificate = certify(all_theorems()[identifier])
    assert certificate.status == "proved", certificate.message
    assert certificate.detail


@pytest.mark.parametrize("make", [lambda: power(11), lambda: matrix_power(2, 3), lambda: convolutions(3)])
def test_circuits_with_one_number_changed_are_refused(make):
    network = make()
    prove_circuit(network)
    for what, wrong in changed_weights(network):
        # A weight that no output feels may still break the invariant of its layer; one that is felt must.
        assert refuses(prove_circuit, wrong) >= differs(network, wrong), what
    for what, wrong in changed_filters(network):
        assert refuses(prove_circuit, wrong) >= differs(network, wrong), what


def test_most_changed_weights_are_felt():
    network = power(11)
    wrong = [other for _, other in changed_weights(network)]
    assert sum(refuses(prove_circuit, other) for other in wrong) == len(wrong)


def test_a_changed_sequence_program_is_refused():
    network = gradient_descent_program(3, 1, 1, Fraction(1, 10))
    prove_circuit(network, sympy_variables)
    for _, wrong in sample(list(changed_weights(network)), 10):
        assert refuses(prove_circuit, wrong, sympy_variables)


def test_structure_is_checked():
    network = matrix_power(2, 3)
    assert refuses(prove_circuit, exchanged_outputs(network))
    shallow = replace(network, layers=network.layers[:1])
    with pytest.raises(Refuted, match="depth 2, the network 1"):
        prove_circuit(shallow)
    masked = convolutions(3)
    assert refuses(prove_circuit, replace(masked, positions={key: 2 * w for key, w in masked.positions.items()}))


def test_wrong_polynomial_networks_are_refused():
    network = C.compile_polynomials([x**3 * y - y / 2, x * y + 1], [x, y])
    prove_polynomials(network)
    for what, wrong in changed_weights(network):
        assert refuses(prove_polynomials, wrong) == differs(network, wrong), what
    assert refuses(prove_polynomials, exchanged_outputs(network))
    claims_other = [[[[3, 1], "1"], [[0, 1], "1/2"]], network.parameters["polynomials"][1]]
    assert refuses(prove_polynomials, replace(network, parameters=network.parameters | {"polynomials": claims_other}))


def test_a_deeper_network_than_needed_is_refused():
    (wire,) = C.wires("x")
    chain = C.compile_circuit([wire * wire * wire * wire])
    assert chain.depth == 3
    with pytest.raises(Refuted, match="degree 4 does not rule out depth 2"):
        require_least_depth(chain)
    slow = replace(chain, algorithm="polynomials", parameters={"variables": ["x"], "polynomials": [[[[4], "1"]]]})
    with pytest.raises(Refuted, match="the least is 2"):
        prove_polynomials(slow)


def test_a_layer_of_higher_degree_is_refused():
    outputs, variables = layer_outputs(2, 1, 2, "causal")
    require_degree(outputs, variables, 2)
    with pytest.raises(Refuted, match="degree 4"):
        require_degree(outputs * outputs, variables, 2)
    with pytest.raises(Refuted, match="degree 2"):
        require_degree(outputs, variables, 1)


def test_degrees_on_a_line():
    assert degree_on_a_line(C.compile_polynomials([x**5 * y**2, x], [x, y])) == 7
    assert degree_on_a_line(C.gradient_descent(n_points=2, n_dims=2, n_steps=4, step_size="1/3")) == 9


def test_families_are_what_they_say():
    (network,) = (build() for name, (build, _) in FAMILIES.items() if name.startswith("e_1"))
    ones = network.decode(network.evaluate(network.encode([1] * 16)))
    assert list(ones) == [int(sp.binomial(16, k)) for k in range(1, 17)]
    build, _ = FAMILIES["the 6th power of a 3×3 matrix"]
    given = np.arange(9).reshape(3, 3).astype(object)
    cubed = given @ given @ given
    network = build()
    assert (network.decode(network.evaluate(network.encode(list(given.flat)))) == (cubed @ cubed).reshape(-1)).all()
    assert len(POLYNOMIALS["the determinant of a 5×5 matrix"]()[0][0].args) == 120
