"""Classifications: complete, true at each listed point by SymPy alone, and lacking nothing that random starts find."""

from collections import Counter
from dataclasses import replace
from fractions import Fraction

import flint
import numpy as np
import pytest
import sympy

from precls_theory.landscape import classify, classify_all, landscape, products
from precls_theory.landscape.classification import with_name, without_point
from precls_theory.landscape.components import (
    DEGENERATE,
    GLOBAL,
    LOCAL,
    SADDLE,
    SPURIOUS,
    UNRESOLVED,
    Component,
    Value,
)
from precls_theory.landscape.graphs import components
from precls_theory.landscape.numerical import FastLoss, adam
from precls_theory.landscape.population_loss import Loss
from precls_theory.landscape.problems import Problem
from precls_theory.landscape.slices import Chart, Slice

CASES = [
    ("square", {}),
    ("linear", {}),
    ("square", {"channels": 2}),
    ("linear", {"channels": 2}),
    ("multiply", {"channels": 2}),
    ("square", {"rows": 2}),
    ("square", {"form": "layer"}),
    ("square", {"form": "layer", "units": 2}),
    ("linear", {"form": "layer", "channels": 2}),
    ("multiply", {"form": "layer", "channels": 2}),
    ("linear", {"form": "layer", "channels": 2, "rows": 2}),
    ("square", {"form": "layer", "channels": 2, "rows": 2}),
    ("multiply", {"form": "layer", "channels": 2, "rows": 2}),
    ("read", {"form": "layer", "channels": 2, "rows": 2}),
    ("read", {"form": "layer", "rows": 2}),
]


def numbers(point):
    """The point as SymPy numbers, rational where it is exact."""
    return {sympy.Symbol(name): sympy.Rational(value) if "." not in value and "e" not in value else sympy.Float(value)
            for name, value in point.items()}  # fmt: skip


@pytest.mark.parametrize(("target", "options"), CASES)
def test_listed_points_are_what_they_are_said_to_be(target, options):
    for part in classify_all(landscape(target, **options)):
        assert part.complete
        loss = part.problem.loss.sympy()
        symbols = [sympy.Symbol(name) for name in part.problem.loss.names]
        gradient = [sympy.lambdify(symbols, sympy.diff(loss, s)) for s in symbols]
        hessian = sympy.lambdify(symbols, sympy.hessian(loss, symbols))
        value = sympy.lambdify(symbols, loss)
        for component in part.real:
            if not component.point:
                continue
            at = [numbers(component.point)[symbol] for symbol in symbols]
            exact = all(isinstance(x, sympy.Rational) for x in at)
            slopes = [g(*at) for g in gradient]
            assert all(s == 0 for s in slopes) if exact else max(map(abs, slopes)) < 1e-9
            assert abs(value(*at) - float(component.loss)) < 1e-12
            eigenvalues = np.linalg.eigvalsh(np.array(hessian(*map(float, at)), dtype=float))
            if component.kind == SADDLE:
                assert eigenvalues[0] < -1e-6
            else:
                assert eigenvalues[0] > -1e-6
            if component.kind == SPURIOUS:
                assert component.loss.rational > 0


@pytest.mark.parametrize(("target", "options"), CASES)
def test_descents_descend(target, options):
    for part in classify_all(landscape(target, **options)):
        for component in part.real:
            if component.descent is None:
                continue
            t = sympy.Symbol("t")
            curve = {name: sympy.sympify(term.replace("^", "**")) for name, term in component.descent["curve"].items()}
            along = part.problem.loss.sympy().subs({sympy.Symbol(n): e for n, e in curve.items()}, simultaneous=True)
            change = sympy.Poly(sympy.expand(along - sympy.Rational(str(component.loss))), t)
            order = component.descent["order"]
            assert min(m[0] for m in change.monoms()) == order
            assert change.coeff_monomial(t**order) == -sympy.Rational(component.descent["rate"])
            assert component.kind == DEGENERATE


@pytest.mark.parametrize(
    ("target", "options"), [("square", {}), ("linear", {"channels": 2}), ("square", {"rows": 2}), ("square", {"form": "layer"}),
                            ("multiply", {"form": "layer", "channels": 2})],
)  # fmt: skip
def test_random_starts_end_at_listed_losses_of_minima(target, options):
    rng = np.random.default_rng(0)
    (part, *_) = classify_all(landscape(target, **options))
    loss = FastLoss(part.problem.loss)
    minima = {float(c.loss) for c in part.real if c.kind in (GLOBAL, SPURIOUS)}
    degenerate = {float(c.loss) for c in part.real if c.kind == DEGENERATE}
    x, _ = adam(loss, rng.normal(size=(len(loss.names), 200)))
    ends = Counter()
    for end in loss.value(x):
        nearest = min(minima | degenerate, key=lambda level: abs(level - end))
        assert abs(nearest - end) < 0.02  # quartic minima are approached slowly
        ends[nearest] += 1
    assert set(ends) >= {level for level in minima if level == 0}


def test_the_cases_of_spurious_minima():
    (square_layer,) = classify_all(landscape("square", "layer"))
    (spurious,) = [c for c in square_layer.real if c.kind == SPURIOUS]
    assert (spurious.loss.rational, spurious.conditions, spurious.point["p_0"]) == (2, ("q_0 > 1",), "1")  # A
    (rows,) = classify_all(landscape("square", rows=2))
    (spurious,) = [c for c in rows.real if c.kind == SPURIOUS]
    assert spurious.loss.rational == 4
    assert spurious.conditions == ("B1_1 < -1 or -1 < B1_1 < 0 or 0 < B1_1 < 1 or B1_1 > 1",)  # B: |B1_1| = 1 = B1_0
    for coefficient, kind in ((Fraction(4, 5), SPURIOUS), (Fraction(5, 6), SADDLE)):  # C: c² < 2/3
        part = classify(landscape("linear", channels=2, coefficient=coefficient).parts[0])
        assert [c.kind for c in part.real if c.loss.rational == coefficient**2] == [kind]
    (multiply,) = classify_all(landscape("multiply", "layer", channels=2))
    found = [c for c in multiply.real if c.kind == SPURIOUS]
    assert {c.loss.rational for c in found} == {Fraction(1, 2)}  # D
    assert all("-1.41421… or p_0 > 1.41421…" in c.conditions[0] for c in found)


def test_the_border_of_case_c_is_found_degenerate_or_minimum_but_not_missed():
    part = classify(landscape("square", "layer", units=2).parts[0])
    assert part.complete
    assert {c.kind for c in part.real} == {GLOBAL, SADDLE}  # one unit more removes case A


def test_read_in_one_operator_has_no_minimum():
    (part,) = classify_all(landscape("read", rows=2))
    assert part.complete
    assert {c.kind for c in part.real} == {SADDLE}
    assert "not attained" in part.infimum


def test_read_in_a_layer_has_a_least_loss_and_a_spurious_minimum():
    (part,) = classify_all(landscape("read", "layer", rows=2))
    assert part.infimum.startswith("1/2, attained")
    assert [(c.kind, str(c.loss)) for c in part.real if c.kind in (GLOBAL, SPURIOUS)] == [
        (GLOBAL, "1/2"),
        (SPURIOUS, "1"),
    ]


def test_the_identity_is_classified_with_two_channels_and_two_rows():
    part = classify(landscape("linear", channels=2, rows=2, coefficient=Fraction(0)).parts[0])
    assert part.complete
    assert {c.kind for c in part.real} == {GLOBAL, SADDLE}


def test_products_of_parts():
    whole = landscape("linear", channels=2)
    parts = classify_all(whole)
    shown = products(whole, parts)
    assert len(shown) == len(parts[0].real) * len(parts[1].real)
    assert Counter(c.kind for c in shown)[SPURIOUS] == 2
    irrational = [c.loss for c in shown if c.loss.rational is None]
    assert irrational
    for value in irrational:
        assert abs(np.polyval([int(c) for c in value.polynomial.coeffs()][::-1], float(value))) < 1e-4 * max(
            abs(int(c)) for c in value.polynomial.coeffs()
        )


@pytest.mark.parametrize(
    ("target", "options", "message"),
    [
        ("cube", {}, "must be one of"),
        ("square", {"form": "matrix"}, "form must be"),
        ("square", {"channels": 0}, "at least 1"),
        ("multiply", {}, "two channels"),
        ("read", {}, "rows >= 2"),
        ("square", {"units": 2}, "form='layer'"),
        ("read", {"form": "layer"}, "rows >= 2"),
    ],
)
def test_sizes_that_are_not_there_are_refused(target, options, message):
    with pytest.raises(ValueError, match=message):
        landscape(target, **options)


def test_a_minimum_of_the_least_loss_is_never_called_spurious():
    def named(loss):
        return with_name(Component(LOCAL, 1, Value(Fraction(loss)), True, ()), Fraction(0)).kind

    assert named(0) == GLOBAL  # no point of it is shown
    assert named(2) == SPURIOUS


def test_saddles_that_no_sample_meets_leave_a_surface_open():
    """1 + x²(1 + b²)(a + 100) has minima at x = 0, a > -100 and saddles at x = 0, a < -100, off the grid of samples."""
    context = flint.fmpq_mpoly_ctx.get(("x", "a", "b"), "degrevlex")
    x, a, b = context.gens()
    problem = Problem("far saddles", Loss(1 + x**2 * (1 + b**2) * (a + 100)), ())
    found = list(components(Slice(problem, Chart({}, ()))))
    assert {LOCAL, UNRESOLVED} <= {component.kind for component in found}
    assert not classify(problem).complete


def test_every_set_of_two_units_on_two_channels_shows_a_point_that_is_stationary():
    (part,) = landscape("square", "layer", 2, 1, 2).parts
    found = classify(part)
    assert found.complete
    for component in found.real:
        at = {name: Fraction(value) for name, value in component.point.items()}
        assert set(at) == set(part.loss.names)
        assert not any(part.loss.gradient_at(at))
        assert part.loss.at(at) == component.loss.rational
        assert (component.kind == SADDLE) == (component.signature is not None and component.signature.negative > 0)
        assert "may be empty" not in component.reason


def test_a_set_without_a_point_is_not_said_to_have_one():
    described = Component(SADDLE, 1, Value(Fraction(2)), True, ("x*y - 1",), reason="somewhere")
    assert without_point(described).reason == "somewhere; no point is shown: the set may be empty"
    assert without_point(replace(described, point={"x": "1", "y": "1"})).reason == "somewhere"
    assert without_point(replace(described, kind=SPURIOUS)).reason == "somewhere"
