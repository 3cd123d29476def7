"""Polynomials to networks and back: exact, least depth, narrow; and what is not a polynomial is refused."""

import subprocess
import sys
from fractions import Fraction

import flint
import numpy as np
import pytest
import sympy as sp
import torch
from helpers.mutations import changed_weights, differs
from hypothesis import given
from hypothesis import strategies as st

import constructions as C
from constructions.compiler.monomials import minimal_depth, plain_width
from constructions.compiler.polynomials import MAX_POLYNOMIAL_DEGREE
from constructions.files.writing import dump
from precls_theory.checking.check import check
from precls_theory.theorems.compilers.circuits import POLYNOMIALS, prove_polynomials

x, y, z = sp.symbols("x y z")


@st.composite
def monomials(draw: st.DrawFn, n_variables: int, degree: int) -> tuple[int, ...]:
    exponents = [0] * n_variables
    for _ in range(draw(st.integers(0, degree))):
        exponents[draw(st.integers(0, n_variables - 1))] += 1
    return tuple(exponents)


@st.composite
def systems(draw: st.DrawFn) -> tuple[int, list[dict[tuple[int, ...], Fraction]]]:
    """Up to three polynomials, up to 8 variables, degree 16 and 40 terms."""
    n_variables = draw(st.integers(1, 8))
    degree = draw(st.sampled_from([1, 2, 3, 4, 6, 8, 11, 16]))
    n_terms = draw(st.sampled_from([0, 1, 3, 8, 40]))
    weights = st.fractions(min_value=-5, max_value=5, max_denominator=6).filter(bool)
    polynomial = st.dictionaries(monomials(n_variables, degree), weights, max_size=n_terms)
    return n_variables, draw(st.lists(polynomial, min_size=1, max_size=3))


@given(systems(), st.integers(0, 2**32 - 1))
def test_every_polynomial_is_compiled_exactly_in_the_least_depth(system, seed):
    n_variables, polynomials = system
    symbols = sp.symbols(f"v:{n_variables}")
    exprs = [
        sp.Add(*(sp.Rational(w.numerator, w.denominator) * sp.prod(s**e for s, e in zip(symbols, es, strict=True))
                 for es, w in p.items()))
        for p in polynomials
    ]  # fmt: skip
    network = C.compile_polynomials(exprs, symbols)
    # Symbolically.
    context = flint.fmpq_mpoly_ctx.get([f"v{i}" for i in range(n_variables)], "lex")
    computed = network.decode(network.evaluate(network.encode(list(context.gens()))))
    for value, p in zip(computed, polynomials, strict=True):
        assert value == context.from_dict({es: flint.fmpq(w.numerator, w.denominator) for es, w in p.items()})
    # Over Q, against the polynomials themselves.
    point = [Fraction(int(a), int(b)) for a, b in np.random.default_rng(seed).integers(1, 6, (n_variables, 2))]
    expected = [
        sum(w * np.prod([a**e for a, e in zip(point, es, strict=True)], dtype=object) for es, w in p.items())
        for p in polynomials
    ]
    assert network.decode(network.evaluate(network.encode(point))).tolist() == expected
    degree = max((sum(es) for p in polynomials for es in p), default=0)
    assert network.depth == max(1, int(np.ceil(np.log2(max(degree, 1))))) == minimal_depth(polynomials)
    assert network.width <= max(1, plain_width(polynomials))
    # And back.
    assert [sp.expand(a - b) for a, b in zip(network.polynomials(), exprs, strict=True)] == [0] * len(exprs)


@pytest.mark.parametrize(
    ("name", "width"),
    [
        ("the determinant of a 5×5 matrix", 45),
        ("the Motzkin polynomial", 2),
        ("a Newton–Schulz step for 4×4 matrices", 64),
        ("a dense polynomial of degree 9 in 3 variables", 30),
        ("a dense polynomial of degree 33 in 1 variable", 8),
    ],
)
def test_reach(name, width):
    exprs, symbols = POLYNOMIALS[name]()
    network = C.compile_polynomials(exprs, symbols)
    prove_polynomials(network, exprs, symbols)
    assert network.width <= width


def test_a_power_of_a_sum_is_found_in_its_expansion():
    network = C.compile_polynomials([sp.expand((x + 2 * y - z + 1) ** 8)], [x, y, z])
    assert (network.depth, network.width) == (3, 1)


def test_shared_products_are_computed_once():
    alone = C.compile_polynomials([x**3 * y**3], [x, y]).width
    together = C.compile_polynomials([x**3 * y**3, 2 * x**3 * y**3 + 1, x**3 * y**3 / 7], [x, y])
    assert together.width == alone
    assert together.decode(together.evaluate(together.encode([2, 1]))).tolist() == [8, 17, Fraction(8, 7)]


def test_zero_constants_duplicates_and_idle_variables():
    exprs = [sp.Integer(0), 3, Fraction(1, 2), x, x, x - x, sp.Rational(-1, 3) * x + 1]
    network = C.compile_polynomials(exprs, [x, y])
    values = network.decode(network.evaluate(network.encode([6, 100])))
    assert values.tolist() == [0, 3, Fraction(1, 2), 6, 6, 0, -1]
    assert network.depth == 1
    assert C.compile_polynomials([0], []).decode(C.compile_polynomials([0], []).evaluate(np.zeros((1, 0), object))) == [
        0
    ]
    assert network.polynomials() == [0, 3, sp.Rational(1, 2), x, x, 0, 1 - x / 3]
    module = network.to_torch()
    assert network.decode(module(network.encode(torch.tensor([[6.0, 1.0]]).double())))[0, 0] == 0


def test_encoding_one_value_a_variable_or_a_batch():
    network = C.compile_polynomials([x - y, x * y, x], ["x", "y"])
    assert network.decode(network.evaluate(network.encode([5, 2]))).tolist() == [3, 10, 5]
    batch = torch.tensor([[5.0, 2.0], [1.0, 3.0]], dtype=torch.float64)
    for given_values in (batch, [batch[:, 0], batch[:, 1]]):
        u = network.encode(given_values)
        assert u.shape == (2, 1, 2)
        assert network.decode(network.evaluate(u)).tolist() == [[3, 10, 5], [-2, 3, 1]]
        assert network.decode(network.to_torch()(u)).tolist() == [[3, 10, 5], [-2, 3, 1]]
    symbolic = network.decode(network.evaluate(network.encode([x, x + 1])))
    assert list(symbolic) == [-1, x**2 + x, x]
    for wrong in ([1, 2, 3], torch.zeros(3), [1.0, float("nan")]):
        with pytest.raises(ValueError, match=r"values"):
            network.encode(wrong)


def test_saved_and_checked_like_any_other(tmp_path):
    network = C.compile_polynomials([x**2 * y / 3 - 3 * z, x * y], [x, y, z])
    assert network.parameters == {
        "variables": ["x", "y", "z"],
        "polynomials": [[[[2, 1, 0], "1/3"], [[0, 0, 1], "-3"]], [[[1, 1, 0], "1"]]],
    }
    network.save(tmp_path / "p.safetensors")
    loaded = C.load(tmp_path / "p.safetensors")
    assert check(loaded).ok
    for what, wrong in changed_weights(network):
        result = check(wrong)
        assert not result.ok, what
        assert (result.first_difference is not None) >= differs(network, wrong)


def test_the_same_network_whatever_the_hash_seed():
    code = (
        "import constructions as C, hashlib, sympy as sp; from constructions.files.writing import dump;"
        "x, y, z = sp.symbols('x y z');"
        "n = C.compile_polynomials([sp.expand((x+y*z+1)**5 + x**3*y - z**7), x**4 - y**3*z], [x, y, z]);"
        "print(hashlib.sha256(dump(n)).hexdigest())"
    )
    digests = {
        subprocess.run(
            [sys.executable, "-c", code], env={"PYTHONHASHSEED": seed}, capture_output=True, text=True, check=True
        ).stdout
        for seed in ("0", "1")
    }
    assert len(digests) == 1


@pytest.mark.parametrize(
    ("expr", "error", "message"),
    [
        (x / y, ValueError, "divides by y"),
        (1 / (x + y), ValueError, "divides by"),
        (sp.sqrt(x), ValueError, r"sqrt\(x\) is a root"),
        (x ** sp.Rational(1, 3), ValueError, "is a root"),
        (x**y, ValueError, "variable in its exponent"),
        (2**x, ValueError, "variable in its exponent"),
        (sp.exp(x), ValueError, "exp|approximate"),
        (sp.Abs(x), ValueError, r"Abs\(x\) is a function"),
        (sp.sqrt(2) * x, ValueError, "not rational"),
        (sp.I * x, ValueError, "not rational"),
        (sp.pi * x, ValueError, "not rational"),
        (sp.zoo, ValueError, "zoo"),
        (sp.nan, ValueError, "nan"),
        (sp.oo * x, ValueError, "oo"),
        (0.5 * x, TypeError, "is a float"),
        (0.5, TypeError, "got float"),
        (x + sp.Symbol("w"), ValueError, "w in .* is not one of the variables"),
        (sp.Symbol("x", positive=True), ValueError, "symbol of that name with other assumptions"),
        (sp.Eq(x, y), TypeError, "expected a SymPy polynomial"),
        ("x +", ValueError, "cannot read the expression"),
        ("w*x", ValueError, "w is not one of|w in .* is not one of"),
        ("exp(x)", ValueError, "no function calls"),
        ("__import__('os').system('true')", ValueError, "cannot use|Attribute"),
        (None, TypeError, "NoneType"),
        (10**5000 * x, ValueError, "digits"),
        (x**2000, ValueError, "degree must be at most 1024"),
        ((x + y + z) ** 1000 * (x + 1), ValueError, "may have|at most"),
    ],
)
def test_what_is_not_a_polynomial_is_refused_with_the_reason(expr, error, message):
    with pytest.raises(error, match=message):
        C.compile_polynomials([expr], [x, y, z])


def test_texts_are_compiled_as_on_the_command_line() -> None:
    network = C.compile_polynomials(["x**2*y - 0.5*z", "x*y"])
    same = C.compile_polynomials([x**2 * y - z / 2, x * y], [x, y, z])
    assert dump(network) == dump(same)
    assert C.compile_polynomials("-b + a**2").parameters["variables"] == ["a", "b"]
    given_order = C.compile_polynomials(["x*y", z], "z y x")
    assert given_order.parameters["variables"] == ["z", "y", "x"]
    positive = sp.Symbol("x", positive=True)
    assert C.compile_polynomials(["x + 1", positive**2], [positive]).polynomials() == [x + 1, x**2]
    with pytest.raises(ValueError, match="give the variables"):
        C.compile_polynomials(["x", x])


def test_other_bad_input():
    with pytest.raises(ValueError, match="nothing to compile"):
        C.compile_polynomials([], [x])
    with pytest.raises(ValueError, match="give the variables"):
        C.compile_polynomials([x])
    with pytest.raises(ValueError, match="distinct names"):
        C.compile_polynomials([x], [x, sp.Symbol("x", real=True)])
    with pytest.raises(TypeError, match="symbols or names, got int"):
        C.compile_polynomials([x], [3])
    with pytest.raises(ValueError, match="max_terms must be at least 1"):
        C.compile_polynomials([x], [x]).polynomials(max_terms=0)


@pytest.mark.parametrize(
    "parameters",
    [
        {"variables": ["x"], "polynomials": [[[[1, 2], "1"]]]},
        {"variables": ["x"], "polynomials": [[[[-1], "1"]]]},
        {"variables": ["x"], "polynomials": [[[[True], "1"]]]},
        {"variables": ["x"], "polynomials": [[[["1"], "1"]]]},
        {"variables": ["x"], "polynomials": [[[[MAX_POLYNOMIAL_DEGREE + 1], "1"]]]},
        {"variables": ["x"], "polynomials": [[[[1], "one"]]]},
        {"variables": ["x"], "polynomials": [[7]]},
        {"variables": ["x"], "polynomials": 7},
        {"variables": ["x"], "polynomials": []},
        {"variables": ["x", "x"], "polynomials": [[[[1, 1], "1"]]]},
        {"variables": [""], "polynomials": [[[[1], "1"]]]},
        {"variables": ["x"], "polynomials": [[[[0], str(j)] for j in range(1, 20_002)]]},
    ],
)
def test_parameters_that_are_not_well_formed_are_refused(parameters):
    with pytest.raises(ValueError):
        C.rebuild("polynomials", parameters)


def test_large_powers_of_sums_are_found_to_be_powers() -> None:
    symbols = sp.symbols("v:8")
    network = C.compile_polynomials([sum(symbols) ** 8], symbols)  # 6435 terms
    assert (network.depth, network.width) == (3, 1)
