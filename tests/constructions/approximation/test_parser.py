"""The restricted parser: exact numbers, SymPy's own arithmetic, and no way to run anything."""

from fractions import Fraction

import pytest
import sympy as sp
from hypothesis import given
from hypothesis import strategies as st

from constructions.approximation import parser as restricted_parser
from constructions.approximation.ball_functions import SUPPORTED
from constructions.approximation.parser import FUNCTIONS, parse_expression

x, y, z = sp.symbols("x y z")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("x**2*y - 3*z", x**2 * y - 3 * z),
        ("0.1 + 1e-3*x", sp.Rational(1, 10) + x / 1000),
        ("-(x - 2/3)/4", -(x - sp.Rational(2, 3)) / 4),
        ("exp(sin(3*x))", sp.exp(sp.sin(3 * x))),
        ("1/(1 + 25*x**2)", 1 / (1 + 25 * x**2)),
        ("2*pi*x", 2 * sp.pi * x),
        ("gelu(x)", x * (1 + sp.erf(x / sp.sqrt(2))) / 2),
        ("max(x, y)", sp.Max(x, y)),
        ("  x  ", x),
        ("1_000*x", 1000 * x),
    ],
)
def test_reads(text: str, expected: sp.Expr) -> None:
    assert parse_expression(text) == expected


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "empty"),
        ("x +", "cannot read"),
        ("x; y", "cannot read"),
        ("x = 1", "cannot read"),
        ("x^2", r"\*\*, not \^"),
        ("x // 2", "FloorDiv"),
        ("x if y else z", "IfExp"),
        ("[x, y]", "List"),
        ("x.real", "Attribute"),
        ("x < y", "Compare"),
        ("lambda: x", "Lambda"),
        ("(a := 2)", "NamedExpr"),
        ("f'{x}'", "JoinedStr"),
        ("'x'", "not str"),
        ("True", "not bool"),
        ("1j", "not complex"),
        ("__import__('os')", "not a known function"),
        ("().__class__", "Attribute"),
        ("exp(x)(y)", "only a named function"),
        ("exp(x, y)", "takes one argument, got 2"),
        ("exp(*x)", "plain arguments"),
        ("exp(x=1)", "plain arguments"),
        ("sin", "is a function"),
        ("max()", "at least one"),
        ("x/0", "division by zero"),
        ("0**(-1)", "division by zero"),
        ("9**9**9", "above 1000"),
        ("9**999**1*10**1000*(10**500)**500", "more than 20000 bits"),
        ("x**1001", "above 1000"),
        ("(x**900)**900", "above 1000"),
        ("1e100000000", "decimal exponent"),
        ("x**(1/10007)", "above 1000"),
        ("2**pi", "irrational power"),
        ("π*x", "non-ASCII"),
        ("__x__", "a variable is"),
        ("-" * 300 + "x", "nested more than"),
        ("(" * 400 + "x" + ")" * 400, "cannot read"),
        ("max(" + ",".join(["x"] * 4000) + ")", "nodes"),
        ("+".join(["x"] * 4000), "cannot read|nodes"),
        ("x" * 30_000, "characters"),
        ("9" * 5_000, "cannot read"),
        ("x\x00", "cannot read"),
    ],
)
def test_refuses(text: str, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        parse_expression(text)


def test_refuses_what_is_not_a_string() -> None:
    with pytest.raises(ValueError, match="is a string, got int"):
        parse_expression(3)  # type: ignore[arg-type]


def test_reads_long_sums() -> None:
    assert parse_expression(" - ".join(["x"] * 700)) == -698 * x


def test_variables_are_the_only_names() -> None:
    real = sp.Symbol("x", real=True)
    assert parse_expression("x**2", [real]) == real**2
    assert parse_expression("pi*x", ["pi", "x"]) == sp.Symbol("pi") * x
    with pytest.raises(ValueError, match=r"y is not one of the variables \(x\)"):
        parse_expression("x + y", ["x"])


def test_polynomial_syntax() -> None:
    assert parse_expression("x**3/3 - (y + 1)**2", functions=False) == x**3 / 3 - (y + 1) ** 2
    for text in ("exp(x)", "x**-1", "x**(1/2)", "1/x", "x**y"):
        with pytest.raises(ValueError):
            parse_expression(text, functions=False)


@given(st.fractions(max_denominator=10**6), st.integers(-30, 30), st.integers(0, 10**12))
def test_numbers_are_exact(ratio: Fraction, exponent: int, digits: int) -> None:
    decimal = f"{digits}.25e{exponent}"
    expected = Fraction(decimal) * x + Fraction(ratio)
    read = parse_expression(f"{decimal}*x + ({ratio.numerator})/{ratio.denominator}")
    assert sp.expand(read - sp.nsimplify(expected)) == 0
    assert not read.atoms(sp.Float)


@given(st.text(alphabet="xyz0123456789+-*/(). ,_eE[]{}'\"=:lambdimport", max_size=40))
def test_any_text_is_read_or_refused_with_a_value_error(text: str) -> None:
    try:
        read = parse_expression(text)
    except ValueError:
        return
    assert isinstance(read, sp.Expr)
    assert {type(node) for node in sp.preorder_traversal(read)}.isdisjoint({sp.Float, sp.Function})


def test_never_evaluates(monkeypatch: pytest.MonkeyPatch) -> None:
    def forbidden(*_: object, **__: object) -> None:
        raise AssertionError("text reached an evaluator")

    monkeypatch.setattr(sp, "sympify", forbidden)
    monkeypatch.setattr("builtins.eval", forbidden)
    assert restricted_parser.parse_expression("x + y") == x + y


@pytest.mark.parametrize("text", ["nan", "NaN*x", "inf", "oo + x", "zoo", "I*x"])
def test_names_of_what_is_no_real_number(text: str) -> None:
    with pytest.raises(ValueError, match="not a real number"):
        parse_expression(text)
    with pytest.raises(ValueError, match="not one of the variables"):
        parse_expression(text, ["x"])


@pytest.mark.parametrize("name", ["pi", "E"])
def test_constants_are_not_rational(name: str) -> None:
    with pytest.raises(ValueError, match="not a rational number"):
        parse_expression(f"{name}*x", functions=False)
    assert parse_expression(f"{name}*x", ["x", name], functions=False) == sp.Symbol("x") * sp.Symbol(name)


@pytest.mark.parametrize("function", [sp.sec, sp.csc, sp.cot, sp.sech, sp.csch, sp.coth, sp.erfi])
def test_every_function_that_is_approximated_can_be_written(function: sp.Function) -> None:
    expression = function(sp.Symbol("x"))
    assert parse_expression(str(expression)) == expression


def test_all_supported_functions_are_known() -> None:
    assert set(SUPPORTED) <= set(FUNCTIONS)
