"""The theorems on circuits hold, and refuse wrong networks."""

from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest
import sympy as sp
from helpers.mutations import changed_filters, changed_weights, differs, exchanged_outputs, refuses, sample

import constructions as C
from constructions.compiler.circuit import Wire
from precls_theory import Refuted
from precls_theory.proofs.symbolic import sympy_variables
from precls_theory.theorems.compilers.circuits import (
    FAMILIES,
    POLYNOMIALS,
    chain_program,
    convolutions,
    degree_on_a_line,
    gradient_descent_program,
    layer_outputs,
    matrix_power,
    power,
    power_program,
    prove_circuit,
    prove_family,
    prove_polynomials,
    require_degree,
    require_least_depth,
)
from precls_theory.theorems.compilers.programs import circuit_width_of, prove_program, random_program

x, y = sp.symbols("x y")


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
    exprs = [x**3 * y - y / 2, x * y + 1]
    network = C.compile_polynomials(exprs, [x, y])
    prove_polynomials(network, exprs, [x, y])
    for what, wrong in changed_weights(network):
        assert refuses(prove_polynomials, wrong, exprs, [x, y]) == differs(network, wrong), what
    assert refuses(prove_polynomials, exchanged_outputs(network), exprs, [x, y])
    assert refuses(prove_polynomials, network, [x**3 * y + y / 2, x * y + 1], [x, y])
    assert refuses(prove_polynomials, network, exprs, [y, x])


def test_a_deeper_network_than_needed_is_refused():
    (wire,) = C.wires("x")
    chain = C.compile_circuit([wire * wire * wire * wire])
    assert chain.depth == 3
    with pytest.raises(Refuted, match="degree 4 does not rule out depth 2"):
        require_least_depth(chain)
    with pytest.raises(Refuted, match="the least for degree 4 is 2"):
        prove_polynomials(chain, [x**4], [x])


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
    (network,) = (program.compile() for program in FAMILIES if program.name.startswith("e_1"))
    ones = network.decode(network.evaluate(network.encode([1] * 16)))
    assert list(ones) == [int(sp.binomial(16, k)) for k in range(1, 17)]
    given = np.arange(9).reshape(3, 3).astype(object)
    cubed = given @ given @ given
    network = matrix_power(3, 6)
    assert (network.decode(network.evaluate(network.encode(list(given.flat)))) == (cubed @ cubed).reshape(-1)).all()
    assert len(POLYNOMIALS["the determinant of a 5×5 matrix"]()[0][0].args) == 120


@pytest.mark.parametrize("program", FAMILIES, ids=lambda program: program.name)
def test_a_program_is_not_another(program):
    """Each listed program's network, against each other one of its inputs."""
    others = [other for other in FAMILIES if other is not program and other.inputs == program.inputs]
    for other in others:
        assert refuses(prove_family, program, other.compile())


@pytest.mark.parametrize("seed", range(6))
def test_random_programs_with_a_weight_changed_are_refused(seed):
    program = random_program(seed)
    network = program.compile()
    prove_program(program, network, -60.0)
    for what, wrong in sample(list(changed_weights(network)), 6):
        assert refuses(prove_program, program, wrong, -60.0) or not differs(network, wrong), what


def test_a_compiler_that_takes_another_power_is_refused(monkeypatch):
    """Once it was certified: the reference was the compiler's own list of instructions."""
    power_of = Wire.__pow__
    monkeypatch.setattr(Wire, "__pow__", lambda wire, exponent: power_of(wire, 64 if exponent == 37 else exponent))
    program = power_program(37)
    assert refuses(prove_family, program, program.compile())


def test_width_is_counted_from_the_instructions():
    assert circuit_width_of(power(2).parameters) == 1
    assert circuit_width_of(power(3).parameters) == 2  # x², with x carried to x² x
    assert circuit_width_of(chain_program(5).compile().parameters) >= 2
