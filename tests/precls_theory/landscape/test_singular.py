"""Singular's help: what it adds, what it must multiply out, and what happens without it."""

import flint
import pytest

from precls_theory.landscape import landscape, singular
from precls_theory.landscape.classification import charts
from precls_theory.landscape.ideals import TooLarge, integral, varieties
from precls_theory.landscape.slices import Slice


def ring():
    context = flint.fmpz_mpoly_ctx.get(("x", "y", "z"), "degrevlex")
    return context, context.gens()


def equations():
    context, (x, y, z) = ring()
    return [x**2 * y - z, y * z - x, x * z**2 - 1], context


def answer():
    """A basis with its cofactors, as Singular would give them: the equations and one combination."""
    generators, context = equations()
    rational = flint.fmpq_mpoly_ctx.get(tuple(context.names()), "degrevlex")
    over_q = [rational.from_dict(dict(g.to_dict())) for g in generators]
    x, y, z = rational.gens()
    zero, one = rational.constant(0), rational.constant(1)
    rows = [[one, zero, zero], [zero, one, zero], [zero, zero, one], [z, x * flint.fmpq(1, 2), y]]
    return generators, [sum((c * g for c, g in zip(row, over_q, strict=True)), zero) for row in rows], rows


def test_what_multiplies_out_is_accepted():
    singular.check(*answer())


@pytest.mark.parametrize("change", ["basis", "cofactor"])
def test_what_does_not_multiply_out_is_refused(change):
    generators, basis, rows = answer()
    if change == "basis":
        basis[3] = basis[3] + 1
    else:
        rows[3][1] = rows[3][1] * 2
    with pytest.raises(singular.Disproved, match="member 3"):
        singular.check(generators, basis, rows)


def test_a_lying_program_is_found_out(monkeypatch):
    """A program that answers with the basis 1, whose cofactors do not give 1: no solution must be lost."""
    generators, context = equations()
    lines = ["begin", "1 0,0,0", "."]
    for _ in generators:
        lines += ["1 1,0,0", "."]
    monkeypatch.setattr(singular, "run", lambda script, seconds: "\n".join([*lines, "end\n"]))
    monkeypatch.setattr(singular, "by_flint", too_large)
    with pytest.raises(singular.Disproved):
        singular.groebner(generators, context)


def too_large(generators, context):
    raise TooLarge("told so")


@pytest.mark.parametrize("output", ["", "begin\n? error\n", "? `jacob` is not defined\n"])
def test_a_failing_program_leaves_the_system_unresolved(monkeypatch, output):
    monkeypatch.setattr(singular, "run", lambda script, seconds: output)
    generators, context = equations()
    with pytest.raises(TooLarge, match="Singular failed"):
        singular.lifted(generators, context)


def test_without_the_program_nothing_is_claimed(monkeypatch):
    monkeypatch.setattr(singular.shutil, "which", lambda name: None)
    assert not singular.available()
    with pytest.raises(TooLarge, match="apt install singular"):
        singular.run("quit;", 1.0)


def slice_beyond_flint():
    """A slice of Linear, two channels and rows, without real stationary points, where FLINT's engine stops."""
    problem = landscape("linear", channels=2, rows=2).parts[0]
    chart = next(chart for chart in charts(problem) if chart.fixed == {"W_0": 0, "W_1": 1})
    piece = Slice(problem, chart)
    return [integral(slope, piece.integral_context) for slope in piece.gradient], piece.integral_context


def test_singular_helps_where_flint_stops_if_it_is_there():
    generators, context = slice_beyond_flint()
    with pytest.raises(TooLarge, match="too large"):
        varieties(generators, context)
    if singular.available():
        assert all(variety.no_real_point is not None for variety in singular.decompose(generators, context))
    else:
        with pytest.raises(TooLarge, match="not installed"):
            singular.decompose(generators, context)


def test_both_engines_find_the_same_zeros():
    generators, context = equations()
    assert {str(v.basis) for v in varieties(generators, context)} == {
        str(v.basis) for v in singular.decompose(generators, context)
    }
