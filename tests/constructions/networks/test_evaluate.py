"""One evaluator for every ring: each gives the image of the rational result."""

from __future__ import annotations

from fractions import Fraction

import flint
import numpy as np
import pytest
import sympy
import torch
from helpers.problems import array, integer_regression, layouts, regressions
from hypothesis import given
from hypothesis import strategies as st

import constructions as C
from constructions.algebra.filters import Filter
from constructions.algebra.rings import BALLS, RATIONALS, Residues, ring_of
from constructions.networks.evaluate import convolve

PRIME = 2147483629
FORMS = ("residual", "gram", "doubling", "tight")


def rational(value) -> Fraction:
    return Fraction(int(value.p), int(value.q))


@given(st.data(), layouts, st.sampled_from(FORMS))
def test_rings_agree(data, layout, form):
    A, b, x = data.draw(regressions(3, 2))
    net = C.gradient_descent(n_points=3, n_dims=2, n_steps=2, step_size="1/7", form=form, layout=layout)
    u = net.encode(A, b, x)
    exact = net.evaluate(u)
    to_fmpq = np.vectorize(lambda v: flint.fmpq(Fraction(v).numerator, Fraction(v).denominator), otypes=[object])
    assert (np.vectorize(rational, otypes=[object])(net.evaluate(to_fmpq(u))) == exact).all()
    to_sympy = np.vectorize(lambda v: sympy.Rational(Fraction(v).numerator, Fraction(v).denominator), otypes=[object])
    assert (np.vectorize(rational, otypes=[object])(net.evaluate(to_sympy(u))) == exact).all()
    field = Residues(PRIME)
    assert (net.evaluate(field.elements(u), ring=field) == field.elements(exact)).all()
    balls = net.evaluate(BALLS.elements(u))
    assert all(
        ball.contains(flint.fmpq(v.numerator, v.denominator))
        for ball, v in zip(balls.flat, map(Fraction, exact.flat), strict=True)
    )
    floats = net.evaluate(u.astype(float))
    tensor = net.evaluate(torch.tensor(u.astype(float)))
    scale = 1 + np.abs(exact.astype(float)).max()
    assert np.abs(floats - exact.astype(float)).max() <= 1e-12 * scale
    assert np.abs(tensor.numpy() - exact.astype(float)).max() <= 1e-12 * scale


@given(st.data(), layouts)
def test_polynomials_specialise_to_rationals(data, layout):
    A, b, x = data.draw(regressions(2, 1))
    names = ["a0", "a1", "b0", "b1", "x"]
    context = flint.fmpq_mpoly_ctx.get(names, "lex")
    a0, a1, b0, b1, x0 = context.gens()
    net = C.gradient_descent(n_points=2, n_dims=1, n_steps=2, step_size="1/3", layout=layout)
    polynomial = net.decode(net.evaluate(net.encode([[a0], [a1]], [b0, b1], [x0])))[0]
    values = [flint.fmpq(v.numerator, v.denominator) for v in (*A[:, 0], *b, *x)]
    assert rational(polynomial(*values)) == net.decode(net.evaluate(net.encode(A, b, x)))[0]


def test_sympy_symbols_pass_through():
    a, b, x = sympy.symbols("a b x")
    net = C.gradient_descent(n_points=1, n_dims=1, n_steps=1, step_size="1/2")
    assert sympy.expand(net.decode(net.evaluate(net.encode([[a]], [b], [x])))[0] - (x - (a * x - b) * a / 2)) == 0


def test_sympy_matrices_and_column_vectors():
    A, b, x = (sympy.Matrix(value.reshape(len(value), -1).tolist()) for value in integer_regression(3, 2))
    net = C.gradient_descent(n_points=3, n_dims=2, n_steps=1, step_size="1/2")
    assert list(net.decode(net.evaluate(net.encode(A, b, x)))) == list(x - A.T * (A * x - b) / 6)
    single = C.gradient_descent(n_points=3, n_dims=1, n_steps=1, step_size="1/2")
    assert single.encode(A[:, 0], b, x[0, :]).shape == (3, 3)


@given(st.data(), st.sampled_from(["causal", "circular"]), st.integers(1, 5))
def test_convolution_is_its_matrix(data, mode, n_rows):
    small = st.integers(-2, 2).map(Fraction)
    filter = Filter.of(data.draw(st.lists(small, max_size=6)), data.draw(small))
    u = array(data.draw(st.lists(small, min_size=n_rows, max_size=n_rows))).reshape(1, n_rows)
    np.testing.assert_array_equal(convolve(filter, u, RATIONALS, mode)[0], filter.matrix(n_rows, mode) @ u[0])


def test_batches_have_any_leading_shape():
    A, b, x = integer_regression(3, 2)
    net = C.gradient_descent(n_points=3, n_dims=2, n_steps=2, step_size="1/7")
    one = net.decode(net.evaluate(net.encode(A, b, x)))
    many = net.decode(net.evaluate(net.encode(np.stack([[A, A]] * 3), b, x)))
    assert many.shape == (3, 2, 2)
    assert (many == one).all()


def test_wrong_shape_and_wrong_entries_are_refused():
    net = C.gradient_descent(n_points=3, n_dims=2, n_steps=1, step_size="1/7")
    with pytest.raises(ValueError, match="3 rows, 5 channels"):
        net.evaluate(np.zeros((3, 4)))
    with pytest.raises(TypeError, match="str"):
        net.evaluate(np.full((3, 5), "a", dtype=object))
    with pytest.raises(ValueError, match="prime"):
        Residues(15)


def test_ring_is_read_off_mixed_entries():
    assert ring_of(np.array([1, sympy.Symbol("x")], dtype=object)).name == "SymPy expressions"
    assert ring_of(np.array([1, Fraction(1, 2)], dtype=object)) is RATIONALS
    with pytest.raises(ZeroDivisionError, match="divisible"):
        Residues(PRIME).element(Fraction(1, PRIME))
