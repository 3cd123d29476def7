"""Forms and terms: the algebra of layers against its definition, canonical forms, and what one layer cannot do."""

from __future__ import annotations

import itertools
from fractions import Fraction
from typing import Any

import numpy as np
import pytest

from constructions.algebra import terms
from constructions.algebra.filters import DELTA, EXCLUSIVE, MIDPOINT, PREFIX, shift
from constructions.algebra.terms import (
    ONE,
    Form,
    Terms,
    as_terms,
    channel,
    channel_name,
    channels,
    convolve,
    exact,
    exclusive,
    flatten,
    identity,
    midpoint,
    names,
    prefix,
    shifted,
    symmetric,
    symmetric_channels,
)

X, Y, Z = channel("x"), channel("y"), channel("z")
HALF = Fraction(1, 2)
ROWS = {"x": [2, -1, 5], "y": [3, 7, -2], "z": [1, 4, 6]}


def value(total: Any) -> list[Fraction]:
    """Terms at each row of ``ROWS``, by loops over taps, rows and weights."""
    result = [Fraction(0)] * 3

    def form(f: Form, row: int) -> Fraction:
        return sum((w * ROWS[name][row] for name, w in f.weights.items()), Fraction(f.constant))

    for (filter, conv, gate), coefficient in as_terms(total).items.items():
        taps = filter.taps(3)
        for row in range(3):
            result[row] += coefficient * sum(taps[row - m] * form(conv, m) for m in range(row + 1)) * form(gate, row)
    return result


def pointwise(function: Any) -> list[Fraction]:
    return [Fraction(function(*(ROWS[name][row] for name in "xyz"))) for row in range(3)]


EXPRESSIONS: list[tuple[Any, Any]] = [
    (lambda: X + Y, lambda x, y, z: x + y),
    (lambda: X - Y, lambda x, y, z: x - y),
    (lambda: -X, lambda x, y, z: -x),
    (lambda: 3 - X, lambda x, y, z: 3 - x),
    (lambda: X - HALF, lambda x, y, z: x - HALF),
    (lambda: HALF * X + 1, lambda x, y, z: HALF * x + 1),
    (lambda: X * Y, lambda x, y, z: x * y),
    (lambda: X * X, lambda x, y, z: x * x),
    (lambda: (X + 1) * (Y - 2), lambda x, y, z: (x + 1) * (y - 2)),
    (lambda: (X + 1) * Y, lambda x, y, z: (x + 1) * y),
    (lambda: X * (Y + 1), lambda x, y, z: x * (y + 1)),
    (lambda: X * Y * 3, lambda x, y, z: 3 * x * y),
    (lambda: 3 * (X * Y) - Y * X, lambda x, y, z: 2 * x * y),
    (lambda: X * Y - 1, lambda x, y, z: x * y - 1),
    (lambda: 1 - X * Y, lambda x, y, z: 1 - x * y),
    (lambda: X * Y + X * Z, lambda x, y, z: x * y + x * z),
    (lambda: X + X * Y, lambda x, y, z: x + x * y),
    (lambda: X * Y + X, lambda x, y, z: x + x * y),
    (lambda: X - X * Y, lambda x, y, z: x - x * y),
    (lambda: X * Y - X, lambda x, y, z: x * y - x),
    (lambda: -(X * Y), lambda x, y, z: -x * y),
    (lambda: (2 * X + 4 * Y) * (3 * Z - 6), lambda x, y, z: (2 * x + 4 * y) * (3 * z - 6)),
    (lambda: X * as_terms(Y), lambda x, y, z: x * y),
    (lambda: as_terms(X) * Y, lambda x, y, z: x * y),
    (lambda: as_terms(X + 2) * as_terms(Y - 1), lambda x, y, z: (x + 2) * (y - 1)),
    (lambda: as_terms(2) * as_terms(X), lambda x, y, z: 2 * x),
    (lambda: as_terms(X) * 0, lambda x, y, z: 0),
    (lambda: X * 0, lambda x, y, z: 0),
    (lambda: as_terms(3), lambda x, y, z: 3),
    (lambda: (as_terms(X) + Y * 2) * as_terms(3 * Z), lambda x, y, z: (x + 2 * y) * 3 * z),
    (lambda: (2 * as_terms(X) + 5) * (as_terms(Z) + 7), lambda x, y, z: (2 * x + 5) * (z + 7)),
]


@pytest.mark.parametrize("index", range(len(EXPRESSIONS)))
def test_expressions_are_what_they_say(index: int) -> None:
    expression, function = EXPRESSIONS[index]
    assert value(expression()) == pointwise(function)


def test_convolutions_are_sums_over_earlier_rows() -> None:
    x = ROWS["x"]
    assert value(prefix(X)) == [2, 1, 6]
    assert value(exclusive(X)) == [0, 2, 1]
    assert value(midpoint(X)) == [1, Fraction(3, 2), Fraction(7, 2)]
    assert value(shifted(X, 1)) == [0, 2, -1]
    assert value(prefix(X + 1)) == [3, 3, 9]
    assert value(prefix(2 * X) * Y) == [2 * 2 * 3, 2 * 1 * 7, 2 * 6 * -2]
    assert value(Y * prefix(2 * X)) == [2 * 2 * 3, 2 * 1 * 7, 2 * 6 * -2]
    assert value(prefix(X) * 3 - prefix(X)) == [4, 2, 12]
    assert value(convolve(EXCLUSIVE, HALF * X + Y)) == [0, 4, Fraction(21, 2)]
    assert [value(entry) for entry in prefix(np.array([X, Y], dtype=object))] == [[2, 1, 6], [3, 10, 8]]
    assert value(as_terms(X)) == x
    z = ROWS["z"]
    assert value((prefix(X) + 2 * as_terms(Y) + 1) * (3 * as_terms(Z))) == [
        (sums + 2 * y + 1) * 3 * z for sums, y, z in zip([2, 1, 6], ROWS["y"], z, strict=True)
    ]
    assert value((3 * as_terms(Z)) * (prefix(X) + 2 * as_terms(Y) + 1)) == [
        (sums + 2 * y + 1) * 3 * z for sums, y, z in zip([2, 1, 6], ROWS["y"], z, strict=True)
    ]
    assert value((5 * prefix(X)) * (2 * as_terms(Z) + as_terms(Y))) == [
        5 * sums * (2 * z + y) for sums, y, z in zip([2, 1, 6], ROWS["y"], z, strict=True)
    ]
    made = terms._convolution(EXCLUSIVE, "what it says")
    assert value(made(X)) == [0, 2, 1]
    assert made.__doc__ == "what it says"
    assert terms.total is prefix
    for function, words in (
        (prefix, "Sum over the rows up to and including each row (over all rows in a circular network)."),
        (exclusive, "Sum over the rows strictly before each row."),
        (midpoint, "Mean of the inclusive and the exclusive prefix sum: filter [½, 1, 1, …]."),
    ):
        assert function.__doc__ == words


def test_forms_drop_zeros_and_are_equal_when_the_map_is() -> None:
    assert Form({"x": Fraction(0)}).weights == {}
    assert Form({"y": HALF, "x": HALF}) == Form({"x": HALF, "y": HALF})
    assert hash(Form({"y": HALF, "x": HALF})) == hash(Form({"x": HALF, "y": HALF}))
    assert Form({"x": HALF}) != Form({"x": HALF}, HALF)
    assert Form({"x": HALF}) != "x"
    assert Form({}).is_constant
    assert not X.is_constant
    assert Form({}).constant == 0
    assert Form({}) == X - X
    assert (X - X).weights == {}
    assert Form({"y": HALF, "x": Fraction(2)}, HALF).key == ((("x", 2), ("y", HALF)), HALF)
    form = Form({"x": HALF})
    assert form.key is form.key
    assert hash(form) == hash(form.key)


def test_monic_forms_have_a_leading_one() -> None:
    scale, form = Form({"y": Fraction(4), "x": Fraction(2)}, Fraction(6)).monic()
    assert (scale, form) == (2, Form({"x": Fraction(1), "y": Fraction(2)}, Fraction(3)))
    assert Form({}, Fraction(5)).monic() == (5, ONE)
    assert Form({}, Fraction(0)).monic() == (1, Form({}))
    assert X.monic() == (1, X)
    assert (-X).monic() == (-1, X)


def test_equal_terms_have_one_form() -> None:
    assert X * Y == Y * X
    assert list((Y * X).items) == [(DELTA, X, Y)]
    assert ((2 * X) * (3 * Y)).items == {(DELTA, X, Y): 6}
    assert as_terms(HALF * X).items == {(DELTA, X, ONE): HALF}
    assert Terms.product(DELTA, ONE, X).items == {(DELTA, X, ONE): 1}
    assert Terms.product(PREFIX, ONE, X).items == {(PREFIX, ONE, X): 1}
    assert Terms.product(PREFIX, Y, X).items == {(PREFIX, Y, X): 1}
    assert Terms.product(DELTA, X, ONE, Fraction(3)).items == {(DELTA, X, ONE): 3}
    assert Terms.product(DELTA, Form({}), X) == Terms()
    assert Terms.product(DELTA, X, Form({})) == Terms()
    assert Terms.product(DELTA, X, Y, Fraction(0)) == Terms()
    assert Terms.product(DELTA, ONE, ONE).items == {(DELTA, ONE, ONE): 1}
    assert (X * Y - Y * X).items == {}
    assert (as_terms(X) + 1 + X).items == {(DELTA, X, ONE): 2, (DELTA, ONE, ONE): 1}
    assert as_terms(Form({})) == Terms()
    assert as_terms(0).items == {}
    assert (X * Y * 0).items == {}
    assert as_terms(X + 3).items == {(DELTA, X, ONE): 1, (DELTA, ONE, ONE): 3}
    assert Terms() != 0
    assert X * Y != X * Z
    given = {(DELTA, X, ONE): Fraction(1)}
    copied = Terms(given)
    given.clear()
    assert copied.items
    with pytest.raises(TypeError, match="unhashable"):
        hash(X * Y)


def test_products_of_forms_with_constants_are_multiplied_out() -> None:
    one_side = {(DELTA, X, Y): 1, (DELTA, Y, ONE): 3}
    assert ((X + 3) * Y).items == one_side
    assert (Y * (X + 3)).items == one_side
    assert ((X + Z) * Y).items == {(DELTA, X + Z, Y): 1}


def test_degree_and_channels() -> None:
    assert (X * Y + Z).degree == 2
    assert as_terms(X + 1).degree == 1
    assert as_terms(3).degree == 0
    assert Terms().degree == 0
    assert Terms.product(PREFIX, ONE, X).degree == 1
    assert (X * Y + prefix(Z)).channels() == {"x", "y", "z"}
    assert as_terms(2).channels() == set()


def test_arrays_do_arithmetic_entry_by_entry() -> None:
    left, right = np.array([X, Y], dtype=object), np.array([Z, X], dtype=object)
    assert [value(entry) for entry in left + right] == [value(X + Z), value(Y + X)]
    for scalar in (Z, Z * Z):
        assert [value(entry) for entry in left + scalar] == [value(X + scalar), value(Y + scalar)]
        assert [value(entry) for entry in scalar + left] == [value(X + scalar), value(Y + scalar)]
        assert [value(entry) for entry in scalar - left] == [value(scalar - X), value(scalar - Y)]
        assert [value(entry) for entry in left - scalar] == [value(X - scalar), value(Y - scalar)]
    assert [value(entry) for entry in Z * left] == [value(Z * X), value(Z * Y)]
    assert [value(entry) for entry in left * as_terms(Z)] == [value(Z * X), value(Z * Y)]
    assert [value(entry) for entry in as_terms(Z) * left] == [value(Z * X), value(Z * Y)]
    assert value(left @ right) == value(X * Z + Y * X)


def test_what_one_layer_cannot_do() -> None:
    with pytest.raises(
        ValueError,
        match=r"^one BaseConv layer has one multiplication and convolves one of its factors: "
        r"\(1·\(x\)⊙\(y\)\) \* \(1·\(z\)\) needs another layer$",
    ):
        X * Y * Z
    with pytest.raises(ValueError, match="one BaseConv layer has one multiplication"):
        Z * (X * Y)
    with pytest.raises(ValueError, match="one BaseConv layer has one multiplication"):
        prefix(X) * prefix(Y)
    with pytest.raises(
        ValueError, match=r"^one layer convolves an affine form of its input channels, not 1·\(x\)⊙\(y\)$"
    ):
        prefix(X * Y)
    with pytest.raises(ValueError, match="one layer convolves an affine form"):
        prefix(prefix(X))
    for wrong in (0.5, "x", None):
        with pytest.raises(
            TypeError,
            match=rf"^a layer is written with channels and exact rationals, got {type(wrong).__name__}: {wrong!r}$",
        ):
            as_terms(wrong)


def test_they_are_shown_as_they_are_written() -> None:
    assert repr(X) == "x"
    assert repr(2 * X - Y + 3) == "2*x + -1*y + 3"
    assert repr(Form({})) == "0"
    assert repr(ONE) == "1"
    assert repr(Terms()) == "0"
    assert repr(X * Y + 2 * as_terms(Z)) == "1·(x)⊙(y) + 2·(z)"
    assert repr(prefix(X) * Y) == "1·(prefix sum ⋆ (x))⊙(y)"
    assert repr(prefix(X)) == "1·(prefix sum ⋆ (x))"


def test_names_and_arrays_of_channels() -> None:
    assert channel_name("x") == "x"
    assert channel_name("P", 0, 2) == "P[0,2]"
    assert names("P", 2, 2) == ["P[0,0]", "P[0,1]", "P[1,0]", "P[1,1]"]
    P = channels("P", 2, 3)
    assert P.shape == (2, 3)
    assert P.dtype == object
    assert P[1, 2] == channel("P[1,2]")
    S = symmetric_channels("S", 3)
    for i, j in itertools.product(range(3), repeat=2):
        assert S[i, j] == channel(f"S[{min(i, j)},{max(i, j)}]")
    assert symmetric(np.array([[1, 2, 3], [4, 5, 6], [7, 8, 9]])).tolist() == [[1, 2, 3], [2, 5, 6], [3, 6, 9]]
    assert identity(2).tolist() == [[1, 0], [0, 1]]
    assert identity(2).dtype == object
    assert type(identity(1)[0, 0]) is int
    assert list(flatten("x", X)) == [("x", as_terms(X))]
    assert list(flatten("v", np.array([X, 2], dtype=object))) == [("v[0]", as_terms(X)), ("v[1]", as_terms(2))]


def test_numbers_are_exact() -> None:
    fraction = Fraction(1, 3)
    assert exact(fraction) is fraction
    assert exact("1/3") == fraction
    assert type(exact(2)) is Fraction
    assert (X * 2).weights == {"x": Fraction(2)}
    assert type((X * 2).weights["x"]) is Fraction
    assert shift(1) != MIDPOINT


def test_work_is_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    """A builder that is given a limit stops by these counts: weights of forms, items of terms, channels made."""
    spent: list[int] = []
    monkeypatch.setattr(terms, "spend", spent.append)
    (X + Y).scaled(Fraction(2))
    assert spent == [3, 3]
    spent.clear()
    Terms.product(DELTA, X, Y)
    assert spent == [1]
    spent.clear()
    as_terms(X).__add__(Terms())
    assert spent == [1, 2]
    spent.clear()
    channels("P", 2, 3)
    assert spent == [6]


def test_numbers_scale_every_coefficient() -> None:
    x, y = channel("x"), channel("y")
    scaled = (2 * (x * y) + 5 * (x * x)) * Fraction(3, 2)
    assert scaled == 3 * (x * y) + Fraction(15, 2) * (x * x)
    assert sorted(scaled.items.values()) == [3, Fraction(15, 2)]
    assert (x * y * 0).items == {}


def test_what_is_no_rational_is_named_where_it_is_subtracted() -> None:
    with pytest.raises(TypeError, match="got str: '1/2'"):
        channel("x") - "1/2"  # type: ignore[operator]
