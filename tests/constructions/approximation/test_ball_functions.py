"""Expressions as maps of balls: every function against mpmath, every branch cut met, every refusal in its words."""

from __future__ import annotations

import math
import re
from fractions import Fraction

import flint
import mpmath
import pytest
import sympy as sp
from flint import acb, arb

from constructions.approximation.ball_functions import (
    SUPPORTED,
    BallFunction,
    cover_real_domain,
    describe_point,
    exact_numbers,
    interval,
    lipschitz_bound,
    resolve_signs,
    split_box,
)

x, y = sp.symbols("x y")
CUBE_ROOT = x ** sp.Rational(1, 3)
UNIT = ((Fraction(-1), Fraction(1)),)


def ball_at(expression: sp.Expr, z: complex) -> acb:
    return BallFunction(expression, [x])([acb(z.real, z.imag)])


@pytest.mark.parametrize("name", SUPPORTED)
def test_functions_are_those_of_mpmath(name: str) -> None:
    function = getattr(sp, name)(x)
    reference = getattr(mpmath, name)
    with mpmath.workdps(30):
        for z in (0.3 + 0.4j, 1.7 - 0.2j, -0.6 + 1.1j, -2.3 - 0.7j):
            found, expected = ball_at(function, z), complex(reference(mpmath.mpc(z)))
            assert found.is_finite()
            assert abs(complex(float(found.real.mid()), float(found.imag.mid())) - expected) <= 1e-13 * (
                1 + abs(expected)
            )
            assert float(found.real.rad()) < 1e-10


CUTS = {
    "log": (-1.0, 2j),
    "asin": (1.5, 1.5 + 0.1j),
    "acos": (-1.5, -1.5 + 0.1j),
    "atanh": (-2.0, 2j),
    "atan": (2j, 2.0),
    "asinh": (-2j, -2.0),
    "acosh": (0.5, 0.5 + 0.2j),
}


@pytest.mark.parametrize("name", CUTS)
def test_a_ball_that_meets_a_branch_cut_is_not_finite(name: str) -> None:
    on, off = map(complex, CUTS[name])
    function = getattr(sp, name)(x)
    assert not ball_at(function, on).is_finite()
    assert ball_at(function, off).is_finite()
    wide = acb(arb(on.real, 0.01), arb(on.imag, 0.01))
    compiled = BallFunction(function, [x])
    assert not compiled([wide]).is_finite()
    assert compiled.may_fail
    found = compiled.failure([wide])
    assert found == (function, f"the argument x of {name} leaves the open set where it is smooth and real")


@pytest.mark.parametrize(
    ("expression", "at", "failing", "reason"),
    [
        (1 / x, 0, 1 / x, "the denominator x vanishes there"),
        (x**-3 + 1, 0, x**-3, "the denominator x vanishes there"),
        (sp.sqrt(x), -1, sp.sqrt(x), "the base x of a fractional power reaches zero or is negative there"),
        (1 / sp.sqrt(x), -1, 1 / sp.sqrt(x), "the base x of a fractional power reaches zero or is negative there"),
        (CUBE_ROOT, -1, CUBE_ROOT, "the base x of a fractional power reaches zero or is negative there"),
        (sp.cot(x), 0, sp.cot(x), "cot may have a pole there"),
        (sp.exp(sp.exp(sp.exp(x))), 1e9, None, "its value is too large to enclose"),
    ],
)  # fmt: skip
def test_failures_are_said(expression: sp.Expr, at: float, failing: sp.Expr | None, reason: str) -> None:
    function = BallFunction(expression, [x])
    assert function.may_fail == (reason != "its value is too large to enclose")
    found = function.failure([acb(at)])
    assert found is not None
    assert found[1] == reason
    assert failing is None or found[0] == failing
    assert function.failure([acb(2)]) is None


@pytest.mark.parametrize(
    ("expression", "value"),
    [
        (x**3 - 2 * x + sp.Rational(1, 3), 4 + 1 / 3),
        (x**0 + sp.pi * x, 1 + 2 * math.pi),
        (sp.E * x, 2 * math.e),
        (sp.exp(x), math.exp(2)),
        (x**-2, 0.25),
        (sp.sqrt(x), math.sqrt(2)),
        (1 / sp.sqrt(x), 1 / math.sqrt(2)),
        (x ** sp.Rational(2, 3), 2 ** (2 / 3)),
        (x**x, 4.0),
        (sp.Integer(3) ** x, 9.0),
        (x * sp.sin(x) * sp.cos(x), 2 * math.sin(2) * math.cos(2)),
    ],
)
def test_arithmetic(expression: sp.Expr, value: float) -> None:
    with flint.ctx.workprec(100):
        found = BallFunction(expression, [x])([acb(2)])
    assert float(found.real.mid()) == pytest.approx(value, rel=1e-15)
    assert float(found.real.rad()) < 1e-25
    assert found.imag == 0


def test_variables_in_their_order_and_steps_shared() -> None:
    function = BallFunction(sp.sin(x * y) + sp.sin(x * y) ** 2 - y, [y, x])
    assert float(function([acb(2), acb(3)]).real.mid()) == pytest.approx(math.sin(6) + math.sin(6) ** 2 - 2)
    assert [step.expression for step in function.steps].count(sp.sin(x * y)) == 1
    assert not function.may_fail
    assert function.failure([acb(2), acb(3)]) is None


@pytest.mark.parametrize(
    ("expression", "reason"),
    [
        (x + y, "y has no domain: the variables are x; give y an interval"),
        (sp.zoo + x, "the expression is not a number anywhere: it contains zoo"),
        (x + sp.oo, "the expression is not a number anywhere: it contains oo"),
        (sp.nan, "the expression is not a number anywhere: it contains nan"),
        (x + sp.I, "the expression contains the imaginary unit I: expected real values"),
        (sp.Abs(x), "Abs(x) is not smooth: it must be resolved on the domain first"),
        (sp.sign(x), "sign(x) is not smooth: it must be resolved on the domain first"),
        (sp.gamma(x), f"gamma is not supported: use {', '.join(SUPPORTED)}, and + - * / **"),
        (sp.log(x, evaluate=False) + sp.zeta(x), f"zeta is not supported: use {', '.join(SUPPORTED)}, and + - * / **"),
    ],
)  # fmt: skip
def test_refusals(expression: sp.Expr, reason: str) -> None:
    with pytest.raises(ValueError, match=f"^{re.escape(reason)}$"):
        BallFunction(expression, [x])


def test_weak_derivatives() -> None:
    sign = BallFunction(sp.sign(x), [x], weak_derivatives=True)([acb(0)]).real
    assert (float(sign.lower()), float(sign.upper())) == pytest.approx((-1, 1))
    step = BallFunction(sp.Heaviside(x), [x], weak_derivatives=True)([acb(0)]).real
    assert (float(step.lower()), float(step.upper())) == pytest.approx((0, 1), abs=1e-9)


def test_boxes() -> None:
    found = interval(Fraction(1, 3), 0.5)
    assert found.contains(arb(flint.fmpq(1, 3)))
    assert found.contains(arb(0.5))
    assert float(found.rad()) == pytest.approx(1 / 12)
    box = ((Fraction(0), Fraction(1)), (Fraction(2), Fraction(5)))
    assert split_box(box, 0) == [((0, Fraction(1, 2)), (2, 5)), ((Fraction(1, 2), 1), (2, 5))]
    assert split_box(box, 1) == [((0, 1), (2, Fraction(7, 2))), ((0, 1), (Fraction(7, 2), 5))]
    assert describe_point([x, y], ((Fraction(0), Fraction(1)), (Fraction(-1), Fraction(1)))) == "x = 0.5, y = 0"
    assert exact_numbers(x + 0.1) == x + sp.Rational(0.1)
    assert exact_numbers(x + 1) == x + 1


def test_covers_end_in_time() -> None:
    function = BallFunction(x, [x])
    assert cover_real_domain(function, UNIT, lambda ball: True) is None
    asked: list[acb] = []
    found = cover_real_domain(function, UNIT, lambda ball: bool(asked.append(ball)), budget=7)
    assert found is not None
    assert len(asked) == 8  # the budget, and the one that finds it spent
    assert found[0][0] == -1  # the left half first
    found = cover_real_domain(function, UNIT, lambda ball: False)
    assert found is not None
    assert found[0][1] - found[0][0] == Fraction(2, 2**30)
    plane = BallFunction(x + y, [x, y])
    found = cover_real_domain(plane, (*UNIT, *UNIT), lambda ball: False)
    assert found is not None
    assert [high - low for low, high in found] == [Fraction(2, 2**30)] * 2


@pytest.mark.parametrize(
    ("expression", "resolved"),
    [
        (sp.Abs(x + 2), x + 2),
        (sp.Abs(x - 2), 2 - x),
        (sp.sign(x - 2), -1),
        (sp.Heaviside(x - 2), 0),
        (sp.Heaviside(x + 2), 1),
        (sp.Max(x, x + 3, 2 * x + 9), 2 * x + 9),
        (sp.Min(x, x + 3, 2 * x - 9), 2 * x - 9),
        (sp.Piecewise((x, x > 2), (x**2, x < 3), (x**3, True)), x**2),
        (sp.Piecewise((x, sp.Or(x > 2, x > -2)), (x**3, True)), x),
        (sp.Piecewise((x, sp.And(x > 2, x > -2)), (x**3, True)), x**3),
        (sp.Piecewise((x, sp.Not(sp.And(x > 2, x > -2), evaluate=False)), (x**3, True)), x),
        (sp.Piecewise((x, sp.Eq(x, 3)), (x**3, True)), x**3),
        (sp.Piecewise((x, sp.Ne(x, 3)), (x**3, True)), x),
        (sp.Piecewise((x, x >= 2), (x**3, x <= 2)), x**3),
        (sp.Abs(sp.Abs(x) + 1), None),
        (sp.Max(x, -x), None),
        (sp.Abs(x / 2), None),
        (sp.Piecewise((x, x > 0), (x**3, True)), None),
        (sp.Piecewise((x, sp.And(x > 0, x < 3)), (x**3, True)), None),
    ],
)
def test_signs_are_resolved_where_they_are_proved(expression: sp.Expr, resolved: sp.Expr | None) -> None:
    if resolved is None:
        with pytest.raises(ValueError, match="is not smooth on the domain"):
            resolve_signs(expression, [x], UNIT)
    else:
        assert sp.expand(resolve_signs(expression, [x], UNIT) - resolved) == 0


def test_what_is_left_of_a_rate_is_said() -> None:
    reason = "is not smooth on the domain (none of its pieces was shown to hold on all of it), so no geometric error bound exists"
    end = "split the domain where the pieces meet"
    rate = "with slopes of at most 3, Jackson's theorem proves only an error of 9.425/(d+1) at degree d"
    with pytest.raises(ValueError, match=f"^{re.escape(f'Abs(x) {reason}: {rate}; {end}')}$"):
        resolve_signs(3 * sp.Abs(x), [x], ((Fraction(-1), Fraction(3)),))
    with pytest.raises(ValueError, match=f"^{re.escape(f'sign(x) {reason}; {end}')}$"):
        resolve_signs(sp.sign(x), [x], UNIT)


def test_slopes() -> None:
    assert lipschitz_bound(sp.Abs(x) * 2 + x, [x], UNIT) == pytest.approx(3)
    assert lipschitz_bound(x**2, [x], UNIT) == pytest.approx(2, rel=0.01)
    assert lipschitz_bound(sp.sign(x), [x], UNIT) is None
    assert lipschitz_bound(sp.Abs(x) * sp.gamma(x + 5), [x], UNIT) is None
    assert lipschitz_bound(sp.sqrt(x), [x], UNIT) is None
    assert lipschitz_bound(x * sp.Abs(y), [x, y], (*UNIT, *UNIT)) is None
    assert lipschitz_bound(sp.Abs(x) * y, [x, y], (*UNIT, *UNIT)) == pytest.approx(1)
