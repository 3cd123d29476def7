"""What the compilers take as expressions and variables: lists, matrices, SymPy's polynomials, names and assumptions."""

from typing import Any

import numpy as np
import pytest
import sympy as sp

import constructions as C

x, y = sp.symbols("x y")
real = sp.Symbol("x", real=True)
ring_x = sp.ring("x,y", sp.QQ)[1]


def outputs(network: C.Network) -> list[sp.Expr]:
    return network.polynomials()


@pytest.mark.parametrize(
    "exprs",
    [
        [x * y, y + 1],
        (x * y, y + 1),
        iter([x * y, y + 1]),
        np.array([x * y, y + 1]),
        sp.Matrix([[x * y, y + 1]]),
        [sp.Poly(x * y, x, y), sp.Poly(y + 1, y)],
        [ring_x * sp.ring("x,y", sp.QQ)[2], y + 1],
    ],
)
def test_lists_arrays_matrices_and_polynomials(exprs: Any) -> None:
    assert outputs(C.compile_polynomials(exprs, [x, y])) == [x * y, y + 1]


def test_one_expression() -> None:
    for expr in (x**3, sp.Poly(x**3, x), sp.Poly(x**3 / 1, x, domain="QQ")):
        assert outputs(C.compile_polynomials(expr, x)) == [x**3]
    assert outputs(C.compile_polynomials(sp.Poly(x**2 / 3, x), [x])) == [x**2 / 3]
    assert outputs(C.compile_polynomials([np.int64(2**40)], [x])) == [2**40]
    approximation = C.approximate(sp.Matrix([sp.exp(x), x**2]), {x: (-1, 1)}, 1e-6)
    assert approximation.decode(approximation.evaluate(approximation.encode([0]))).shape == (2,)


def test_variables_by_name() -> None:
    for variables in ("x y", "x, y", ["x", "y"], ("x", y)):
        assert C.compile_polynomials([x * y], variables).inputs == ("x", "y")
    assert outputs(C.compile_polynomials([real**2], ["x"])) == [x**2]
    assert C.approximate(sp.exp(real), {"x": (-1, 1)}, 1e-3).inputs == ("x",)
    assert C.approximate(sp.exp(real), {real: (-1, 1)}, 1e-3).inputs == ("x",)


@pytest.mark.parametrize(
    ("exprs", "variables", "error", "message"),
    [
        ([real**2], [x], ValueError, "symbol of that name with other assumptions"),
        ([x * y], [x], ValueError, r"y in x\*y is not one of the variables \(x\)"),
        ([x], 3, TypeError, "must be a list of SymPy symbols or names, got 3"),
        ([x], [x + 1], TypeError, "symbols or names, got Add"),
        ([x], [x, "x"], ValueError, "distinct names"),
        ([sp.Poly(x, x, modulus=3)], [x], ValueError, r"coefficients in GF\(3\)"),
        ([sp.Poly(0.5 * x, x)], [x], TypeError, "is a float"),
        ([sp.Symbol("a", commutative=False)], ["a"], ValueError, "does not commute"),
        ([np.float64(3)], [x], TypeError, "got float64"),
        ([True], [x], TypeError, "got bool"),
    ],
)
def test_refuses(exprs: Any, variables: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        C.compile_polynomials(exprs, variables)


def test_approximate_refuses_another_symbol_of_the_same_name() -> None:
    with pytest.raises(ValueError, match="other assumptions"):
        C.approximate(sp.exp(real), {x: (-1, 1)}, 1e-3)
    with pytest.raises(ValueError, match="and at most 1e200"):
        C.approximate(sp.exp(x), {x: (-1, 1)}, "1e400")
