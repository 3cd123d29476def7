"""Back from networks: polynomials, or a circuit where these would be too large."""

import pytest
import sympy as sp

import constructions as C
from constructions.compiler.circuit import Wire


def test_a_network_comes_back_as_polynomials_or_as_a_circuit():
    network = C.gradient_descent(n_points=1, n_dims=1, n_steps=1, step_size="1/2")
    (found,) = network.polynomials()
    a, b, start = (sp.Symbol(name) for name in ("a[0]", "b", "x[0]"))
    assert sp.expand(found - (start - sp.Rational(1, 2) * a * (a * start - b))) == 0
    (wire,) = network.polynomials(max_terms=2)
    assert isinstance(wire, Wire)
    again = C.compile_circuit([wire])
    u = [3, 5, 7]
    assert again.decode(again.evaluate(again.encode(u))).tolist() == [
        found.subs(dict(zip((a, b, start), u, strict=True)))
    ]
    deep = C.compile_circuit([(x_ + 1) ** 512 for x_ in C.wires("x")])
    assert isinstance(deep.polynomials(max_terms=100)[0], Wire)
    with pytest.raises(ValueError, match="expands into more than"):
        C.compile_polynomials([(sum(C.wires("a b c d e f g h")) + 1) ** 64], rebalance=True)
    sequence = C.multiply(n_rows=2, n_channels=2, left=0, right=1, target=1, length=1).polynomials()
    assert [[str(entry) for entry in row] for row in sequence] == [["u0_0", "u0_0*u1_0"], ["u0_1", "u0_1*u1_1"]]


def test_one_term_of_an_enormous_degree_comes_back() -> None:
    (wire,) = C.wires("x")
    for _ in range(60):
        wire = wire * wire
    assert C.compile_circuit([wire]).polynomials() == [sp.Symbol("x") ** 2**60]
