"""One evaluator for every ring: each gives the image of the rational result."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
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
from constructions.networks.evaluate import apply_map, convolved, evaluate, states
from constructions.networks.layer import Layer, SparseMap

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
    np.testing.assert_array_equal(convolved(filter, u, RATIONALS, mode)[0], filter.matrix(n_rows, mode) @ u[0])


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


# --- one layer by hand: every weight, bias, filter and positional value by loops over fractions ---------------------------

FILTERS = (
    Filter.of((1,), 0), Filter.of((), 1), Filter.of((), "2/3"), Filter.of((0, 2), 3), Filter.of((0, "1/2", 0, -1), 0),
    Filter.of((5, -1, 4, 1, 5, 9), 2), Filter.of((0, 1), 0), Filter.of((), 0), Filter.of((2,), 1),
)  # fmt: skip


def sparse(n_in: int, n_out: int, seed: int) -> SparseMap:
    """Weights with ones, zeros and a bias in some rows; the last row is empty, the first holds one weight."""
    rng = np.random.default_rng(seed)
    entries = {
        (row, column): Fraction(int(rng.integers(-3, 4)), int(rng.integers(1, 4)))
        for row in range(1, n_out - 1)
        for column in range(n_in + 1)
        if rng.random() < 0.7
    }
    return SparseMap.of(n_in, n_out, entries | {(0, 0): Fraction(1), (1, n_in): Fraction(7, 2)})


def full_layer(n_in: int, seed: int, filters: tuple[Filter, ...]) -> Layer:
    width = len(filters) + 2
    return Layer(
        conv=sparse(n_in, width, seed), gate=SparseMap.of(n_in, width, {
            **sparse(n_in, width, seed + 1).entries(), (width - 1, n_in): Fraction(1), (0, n_in): Fraction(2)
        }),
        out=sparse(width, 4, seed + 2), filters=filters, filter_index=np.arange(width) % len(filters),
        outputs=("a", "b", "c", "d"),
    )  # fmt: skip


def by_hand(layer: Layer, u: list[list[Fraction]], mode: str) -> list[list[Fraction]]:
    """``Out((filter ⋆ In u) ⊙ Gate u)`` at every row from the definition; ``u`` by rows."""
    n_rows = len(u)

    def apply(weights: SparseMap, row: list[Fraction]) -> list[Fraction]:
        result = [Fraction(0)] * weights.n_out
        for (output, source), weight in weights.entries().items():
            result[output] += weight * [*row, Fraction(1)][source]
        return result

    conv, gate = ([apply(part, row) for row in u] for part in (layer.conv, layer.gate))
    result = []
    for row in range(n_rows):
        hidden = []
        for h in range(layer.width):
            taps = layer.filters[layer.filter_index[h]].taps(n_rows)
            sources = range(n_rows) if mode == "circular" else range(row + 1)
            hidden.append(sum(taps[(row - m) % n_rows] * conv[m][h] for m in sources) * gate[row][h])
        result.append(apply(layer.out, hidden))
    return result


@dataclass(frozen=True)
class Bare:
    """What the evaluator reads of a network."""

    n_rows: int
    mode: str
    inputs: tuple[str, ...]
    layers: tuple[Layer, ...]
    positions: dict[tuple[int, int], Fraction]


def bare(mode: str, n_rows: int = 5) -> Bare:
    positions = {(1, 2): Fraction(3, 2), (4, 0): Fraction(-2), (0, 1): Fraction(1)}
    layers = (full_layer(3, 0, FILTERS), full_layer(4, 7, FILTERS[::-1]))
    return Bare(n_rows, mode, ("x", "y", "z"), layers, positions)


@pytest.mark.parametrize("mode", ["causal", "circular"])
def test_a_network_by_hand(mode):
    network = bare(mode)
    rng = np.random.default_rng(3)
    u = array(rng.integers(-4, 5, (2, 5, 3)))
    before = u.copy()
    expected, trace = [], []
    for batch in u.tolist():
        state = [list(row) for row in batch]
        for (row, column), weight in network.positions.items():
            state[row][column] += weight
        trace.append([state])
        for layer in network.layers:
            state = by_hand(layer, state, mode)
            trace[-1].append(state)
        expected.append(state)
    assert (evaluate(network, u) == array(expected)).all()
    assert (u == before).all()
    assert any(entry for batch in expected for row in batch for entry in row)
    for depth, state in enumerate(states(network, u)):
        by_rows = np.moveaxis(state, (0, 1), (-1, -2))
        assert (by_rows == array([steps[depth] for steps in trace])).all()
    field = Residues(PRIME)
    assert (evaluate(network, u, field) == field.elements(expected)).all()
    assert (evaluate(network, field.elements(u), field) == field.elements(expected)).all()
    small = Residues(7)
    assert (evaluate(network, u.astype(np.int64), small) == small.elements(expected)).all()
    floats = evaluate(network, u.astype(np.float64))
    assert floats.dtype == np.float64
    assert np.allclose(floats, np.array(expected, dtype=float), rtol=1e-12, atol=1e-9)
    x = sympy.Symbol("x")
    symbolic = evaluate(network, np.where(np.arange(15).reshape(5, 3) == 0, x, u[0].astype(int)))
    assert all(entry == sympy.expand(entry) for entry in symbolic.flat)
    assert [entry.subs(x, int(u[0, 0, 0])) for entry in symbolic.flat] == [
        sympy.Rational(e) for e in itertools.chain(*expected[0])
    ]


@pytest.mark.parametrize("mode", ["causal", "circular"])
@pytest.mark.parametrize("filter", FILTERS, ids=lambda filter: str(filter).replace("…", "and so on"))
@pytest.mark.parametrize("n_rows", [1, 2, 3, 6, 8])
def test_every_filter_at_every_length_by_hand(mode, filter, n_rows):
    """Heads longer and shorter than the rows, over fractions, residues near the prime, and SymPy."""
    taps = filter.taps(n_rows)
    u = [Fraction(2 * n * n - 3, 2) for n in range(n_rows)]
    expected = [
        sum(taps[(n - m) % n_rows] * u[m] for m in (range(n_rows) if mode == "circular" else range(n + 1)))
        for n in range(n_rows)
    ]
    rows = np.array([u, u], dtype=object)
    assert convolved(filter, rows, RATIONALS, mode).tolist() == [expected, expected]
    assert rows.tolist() == [u, u]
    field = Residues(PRIME)
    found = convolved(filter, field.elements(rows), field, mode)
    assert found.tolist() == field.elements([expected, expected]).tolist()
    # residues that are not reduced after each product or sum leave int64
    largest = np.full((1, n_rows), PRIME - 1, dtype=np.int64)
    minus = [
        -sum(taps[(n - m) % n_rows] for m in (range(n_rows) if mode == "circular" else range(n + 1)))
        for n in range(n_rows)
    ]
    assert convolved(filter, largest, field, mode).tolist() == [field.elements(minus).tolist()]


def test_long_rows_of_the_largest_residues_stay_in_64_bits():
    field = Residues(2**31 - 1)
    n_rows = 70000
    u = np.full((1, n_rows), 2**31 - 2, dtype=np.int64)
    tail = Filter.of((), -1)
    assert convolved(tail, u, field, "circular")[0, 0] == n_rows
    assert convolved(tail, u, field, "causal")[0, [0, 1, -1]].tolist() == [1, 2, n_rows]


def test_maps_by_hand_and_what_they_share():
    """Gathered rows alone, rows left out, sums, weights 1 and others; the state is never changed."""
    state = array(np.arange(1, 13).reshape(4, 3))
    before = state.copy()
    for entries in (
        {(0, 2): 1, (1, 0): 1}, {(0, 2): 3, (1, 0): 1}, {(0, 2): 3}, {(1, 1): 1}, {}, {(0, 0): 1, (0, 1): 1, (1, 3): "1/2"},
        {(0, 0): 2, (0, 3): 5, (1, 0): -1, (1, 2): 1}, {(0, 0): 1, (0, 1): 1},
    ):  # fmt: skip
        sparse_map = SparseMap.of(3, 2, {key: Fraction(weight) for key, weight in entries.items()})
        expected = [
            [sum(Fraction(w) * state[c, n] for (r, c), w in entries.items() if r == row) for n in range(3)]
            for row in (0, 1)
        ]
        for ring in (RATIONALS, Residues(11)):
            found = apply_map(sparse_map, ring.elements(state), ring)
            assert found.tolist() == ring.elements(expected).tolist()
            assert found.shape == (2, 3)
        assert (state == before).all()


def test_a_matrix_product_of_residues_is_reduced_before_it_overflows():
    """Two products of residues near the prime, added before they are reduced, still fit; three would not."""
    field = Residues(2**31 - 1)
    weights = {(0, column): Fraction(-1 - column) for column in range(5)}
    state = np.full((5, 2), 2**31 - 2, dtype=np.int64)
    assert apply_map(SparseMap.of(4, 1, weights), state, field).tolist() == [[15, 15]]


def test_shapes_and_entries_are_refused_in_words():
    network = bare("causal")
    with pytest.raises(ValueError, match="5 rows, 3 channels"):
        evaluate(network, np.zeros((3, 5)))
    with pytest.raises(ValueError, match="5 rows, 3 channels"):
        evaluate(network, np.zeros((5, 4)))
    with pytest.raises(TypeError, match="str"):
        evaluate(network, np.full((5, 3), "a", dtype=object))
    assert evaluate(network, np.zeros((5, 3)).tolist()).shape == (5, 4)
    assert evaluate(network, np.zeros((2, 0, 5, 3))).shape == (2, 0, 5, 4)
