"""Layers at several rows by the layer at one row: against the plain engine, and at points of all the listed sets."""

import itertools
import operator
import re
from dataclasses import replace
from fractions import Fraction

import flint
import numpy as np
import pytest

from precls_theory.landscape import Gaussian, classify, landscape
from precls_theory.landscape.components import DEGENERATE, GLOBAL, LOCAL, SADDLE, SPURIOUS, Value
from precls_theory.landscape.numerical import FastLoss, stationary
from precls_theory.landscape.population_loss import Loss
from precls_theory.landscape.row_wise import Weights
from precls_theory.landscape.rows import Described, of_linear, of_products, placed, times
from precls_theory.landscape.slices import Chart, Slice


def problem(target, channels=2, rows=2):
    return landscape(target, "layer", channels, rows).parts[0]


@pytest.mark.parametrize(("target", "channels"), [("square", 2), ("linear", 2), ("multiply", 2), ("square", 1)])
def test_two_rows_are_complete_with_the_levels_of_one_row_twice(target, channels):
    here = classify(problem(target, channels))
    once = classify(problem(target, channels, 1))
    assert here.complete
    assert {c.loss.rational for c in here.real} == {2 * c.loss.rational for c in once.real}
    assert here.components[0].kind == GLOBAL


def test_the_plain_engine_finds_the_same_losses_and_kinds_where_it_is_complete():
    by_rows = problem("linear", 1)
    plain = classify(replace(by_rows, row_wise=None))
    assert plain.complete

    def kinds(result):
        return {(c.kind, str(c.loss)) for c in result.real}

    assert kinds(plain) == kinds(classify(by_rows))
    # Square: the plain engine leaves sets open, and what it decides agrees.
    square = problem("square", 1)
    left_open = classify(replace(square, row_wise=None))
    assert not left_open.complete
    assert {k for k in kinds(left_open) if k[0] != "unresolved"} <= kinds(classify(square))


def test_minima_that_one_row_does_not_have():
    """Multiply: one row has no minimum with the loss of the zero model; two rows have two families of them."""
    once = {(c.kind, c.loss.rational) for c in classify(problem("multiply", 2, 1)).real}
    assert (SPURIOUS, Fraction(1)) not in once
    found = [c for c in classify(problem("multiply")).real if (c.kind, c.loss.rational) == (SPURIOUS, Fraction(2))]
    assert [c.signature.zero == c.dimension for c in found] == [True, True]  # Morse–Bott


def test_kinds_at_random_points_of_the_sets_where_in_is_zero():
    """in = b = 0, gate = 0: the sign of the least 4N f_0²τ(qc − τ) + c²q²A is the sign of curvature, by eigenvalues."""
    rows = 3
    split = problem("square", 1, rows)
    loss = FastLoss(split.loss)
    rng = np.random.default_rng(0)
    taus = [float(value) for value in split.row_wise.eigenvalues]
    signs = set()
    for _ in range(40):
        taps, c, q = rng.normal(size=rows) * [0.5, *[1] * (rows - 1)], *rng.normal(size=2)
        at = {f"filter_0_{k}": tap for k, tap in enumerate(taps)} | {"c_0": c, "q_0": q}
        x = np.array([[at.get(name, 0.0)] for name in loss.names])
        assert np.abs(loss.gradient(x)).max() < 1e-12
        later = sum((rows - k) * taps[k] ** 2 for k in range(1, rows))
        least = min(4 * rows * taps[0] ** 2 * tau * (q * c - tau) + c**2 * q**2 * later for tau in taus)
        lowest = np.linalg.eigvalsh(loss.hessian(x)[0])[0]
        assert (lowest < -1e-9) == (least < 0)
        signs.add(least < 0)
    assert signs == {True, False}


def test_numerical_stationary_points_have_listed_losses_and_no_excess():
    split = problem("multiply")
    levels = sorted({float(c.loss) for c in classify(split).real})
    loss = FastLoss(split.loss)
    x, norms = stationary(loss, np.random.default_rng(1).normal(size=(len(loss.names), 80)))
    found = x[:, norms < 1e-11]
    assert found.shape[1] > 20
    values = loss.value(found)
    assert np.abs(values[:, None] - np.array(levels)).min(axis=1).max() < 1e-6
    at = dict(zip(loss.names, found, strict=True))
    gates = at["gate_0_0"] ** 2 + at["gate_0_1"] ** 2 + at["q_0"] ** 2
    seen = at["in_0_0"] ** 2 + at["in_0_1"] ** 2 + at["b_0"] ** 2 / 2
    assert (gates * seen * at["filter_0_1"] ** 2).max() < 1e-6


def points_of_the_strata(split, rng):
    """Columns of weights in the order (in, b, taps, m, gate, q), from all choices of zero, special and generic values.

    f_0 in = 0, or gate = q = 0: among them are the stationary points that one row does not have.
    """
    quadratic, linear = np.array(split.quadratic, dtype=float), np.array(split.linear, dtype=float)
    size = len(linear)

    def generic(*shape):
        return rng.choice([-1, 1], shape) * rng.uniform(0.5, 1.5, shape)

    def across(vector):
        """A vector orthogonal to this one."""
        other = generic(size)
        return other - vector * (other @ vector) / (vector @ vector) if vector.any() else other

    zero = np.zeros(size)
    blind = zero + (np.arange(size) == size - 1) if linear.any() or not quadratic[-1].any() else zero
    for into in (zero, blind, generic(size), across(linear)):
        gates = [zero, blind, generic(size), across(linear), across(quadratic @ into)]
        for gate, f0, b, moved, m in itertools.product(gates, (0, 0.8), (0, 1.2), (0, 1), (0, 0.9)):
            met = [linear / m] if m and linear.any() else []
            for shown, q in itertools.product([gate, *met], (0, 2.2, 0.3, -1.4)):
                if not f0 * into.any() or not (shown.any() or q):
                    taps = [f0, *moved * generic(split.rows - 1)]
                    yield [*into, b, *taps, m, *shown, q]


def value(text, at):
    """What the package prints, a polynomial or a vector of them, at points: (count, points)."""
    entries = eval(text.replace("^", "**"), {}, at)
    return np.array(np.broadcast_arrays(*(entries if isinstance(entries, tuple) else [entries]), at["q_0"])[:-1])


def holds(condition, at):
    """Where a condition of a set, as it is printed, holds."""
    if condition == "none of the others is negative":
        return at["q_0"] == at["q_0"]  # beside the equation of a wall, on which no point here lies by chance
    if condition.startswith("one of these is negative: "):
        return (value(condition.partition(": ")[2], at) < -1e-9).any(axis=0)
    signs = {"!=": operator.ne, "<": operator.lt, "<=": operator.le, ">": operator.gt}
    clauses = [re.split(" (!=|<=|<|>) ", clause) for clause in condition.split(" or ")]
    return np.any([signs[sign](value(a, at).round(9), float(b)).any(axis=0) for a, sign, b in clauses], axis=0)


@pytest.mark.parametrize(("target", "channels"), [("square", 2), ("multiply", 2), ("linear", 2)])
def test_points_of_all_strata_are_listed_with_the_kind_of_their_hessian(target, channels):
    """Nothing is lost by the theorem's list, and its conditions say where the Hessian has a negative eigenvalue."""
    whole = problem(target, channels)
    split, loss = whole.row_wise, FastLoss(whole.loss)
    points = np.array(list(points_of_the_strata(split, np.random.default_rng(0)))).T
    taps = points[channels + 1 : channels + 1 + split.rows]
    means = (np.arange(split.rows, 0, -1) @ taps) / split.rows
    points[channels + 1 + split.rows] -= means * points[channels]  # c = m − F̄ b
    x = points[:, np.abs(loss.gradient(points)).max(axis=0) < 1e-12]
    at = dict(zip(loss.names, x, strict=True))
    family = list((of_linear if target == "linear" else of_products)(Weights(whole.loss, split)))
    on = {kind: np.zeros(x.shape[1], bool) for kind in (LOCAL, SADDLE, DEGENERATE)}
    met = []
    for described in family:
        zeros = [np.abs(value(str(equation), at)[0]) < 1e-9 for equation in described.equations]
        member = np.all([*zeros, *(holds(c, at) for c in described.conditions)], axis=0)
        on[described.kind] |= member
        met.append(member.any())
    assert (sum(map(np.asarray, on.values()), np.zeros(x.shape[1], int)) == 1).all()  # one kind each
    assert ((np.linalg.eigvalsh(loss.hessian(x))[:, 0] < -1e-9) == on[SADDLE]).all()
    assert met.count(False) <= 3  # walls that points with these numbers miss


def test_minima_of_one_row_have_the_dimension_of_the_kernel_of_their_hessian():
    whole = problem("multiply")
    minima = [c for c in classify(whole).real if c.kind in (GLOBAL, SPURIOUS) and "filter_0_0 - 1" in c.equations]
    assert len(minima) == 4
    for component in minima:
        at = whole.loss.point({name: Fraction(weight) for name, weight in component.point.items()})
        _, signature = Slice(whole, Chart({}, ())).hessian_at(at)
        assert (signature.negative, signature.zero) == (0, component.dimension)


def test_a_loss_of_another_shape_is_refused():
    split = problem("square")
    gens = split.loss.polynomial.context().gens()
    with pytest.raises(ArithmeticError, match="squares of the later taps"):
        split.row_wise.check(Loss(split.loss.polynomial + gens[0] ** 2))
    wrong = replace(split.row_wise, quadratic=((Fraction(2), Fraction(0)), (Fraction(0), Fraction(0))))
    with pytest.raises(ArithmeticError, match="at one row"):
        wrong.check(split.loss)
    with pytest.raises(ArithmeticError, match="eigenvalues"):
        replace(split.row_wise, eigenvalues=(Fraction(2),)).check(split.loss)
    correlated = landscape("square", "layer", 1, 2, moments=Gaussian([[1, 0], [0, 1]]))
    assert correlated.parts[0].row_wise is None


@pytest.mark.parametrize(
    ("kind", "level", "equations", "point", "message"),
    [
        (SADDLE, 4, (), placed(taps=[0, 1], c=1, q=1), "is no saddle"),
        (DEGENERATE, 4, (), placed(taps=[1]), "is no degenerate saddle"),
        (SADDLE, 3, (), placed(taps=[1]), "not a stationary point of loss 3"),
        (SADDLE, 4, ("filter_0_0",), placed(taps=[1]), "not on the set"),
    ],
)
def test_points_that_are_not_what_they_are_said_to_be_are_refused(kind, level, equations, point, message):
    split = problem("square", 1)
    generators = dict(zip(split.loss.names, split.loss.polynomial.context().gens(), strict=True))
    described = Described(kind, Fraction(level), 1, [generators[name] for name in equations], (), point, "")
    with pytest.raises(ArithmeticError, match=message):
        described.component(split)


def test_an_irrational_loss_is_multiplied_with_its_polynomial():
    root = times(Value(None, (-2, 0, 1), 2**0.5), 3)
    assert root.coefficients == (-18, 0, 1)
    assert abs(root.approximately - 18**0.5) < 1e-15
    assert flint.fmpq_poly(list(root.coefficients)).degree() == 2
