"""Every ring: how rationals enter it, what its arrays hold, sums and products, names, and what is refused."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import flint
import numpy as np
import pytest
import sympy

from constructions.algebra import rings
from constructions.algebra.rings import (
    BALLS,
    COMPLEX_BALLS,
    FMPQ,
    RATIONALS,
    Floats,
    Rationals,
    Residues,
    Ring,
    polynomials,
    prime_field,
    python_number,
    ring_of,
    univariate,
)

P = 2147483629
CONTEXT = flint.fmpq_mpoly_ctx.get(["s", "t"], "lex")
HALF = Fraction(1, 2)


def objects(*entries: Any) -> np.ndarray:
    return np.fromiter(entries, object, len(entries))


NAMES = (
    "rationals", "fmpq", "polynomials", "univariate", "nmod", "residues", "sympy", "balls", "complex balls", "floats",
    "short floats",
)  # fmt: skip


def elements() -> dict[str, tuple[Ring, Any, type]]:
    """By ring: the ring, made anew, what -3/2 is in it, and of which type."""
    return {
        "rationals": (RATIONALS, Fraction(-3, 2), Fraction),
        "fmpq": (FMPQ, flint.fmpq(-3, 2), flint.fmpq),
        "polynomials": (polynomials(CONTEXT), CONTEXT.constant(flint.fmpq(-3, 2)), flint.fmpq_mpoly),
        "univariate": (univariate(), flint.fmpq_poly([flint.fmpq(-3, 2)]), flint.fmpq_poly),
        "nmod": (prime_field(7), flint.nmod(2, 7), flint.nmod),
        "residues": (Residues(7), 2, int),
        "sympy": (rings.SYMPY, sympy.Rational(-3, 2), sympy.Rational),
        "balls": (BALLS, flint.arb(-3) / 2, flint.arb),
        "complex balls": (COMPLEX_BALLS, flint.acb(-3) / 2, flint.acb),
        "floats": (Floats(np.float64), -1.5, np.float64),
        "short floats": (Floats(np.float32), -1.5, np.float32),
    }


@pytest.mark.parametrize("name", NAMES)
def test_a_rational_enters_every_ring_as_itself(name: str) -> None:
    ring, expected, kind = elements()[name]
    element = ring.element(Fraction(-3, 2))
    assert isinstance(element, kind)
    assert element == expected
    array = ring.elements([[Fraction(-3, 2), 1], [0, Fraction(-3, 2)]])
    assert array.shape == (2, 2)
    assert array[0, 0] == array[1, 1] == expected
    assert array[0, 1] == ring.element(1)
    assert array[1, 0] == ring.element(0)
    zeros, full = ring.zeros((2, 3)), ring.full((3, 1), Fraction(-3, 2))
    assert zeros.shape == (2, 3)
    assert full.shape == (3, 1)
    assert all(entry == ring.element(0) for entry in zeros.flat)
    assert all(entry == expected for entry in full.flat)


@pytest.mark.parametrize("name", [n for n in NAMES if n not in ("residues", "floats", "short floats")])
def test_arrays_of_objects_become_elements(name: str) -> None:
    """Integers of Python, NumPy and python-flint, fractions, and what is an element already."""
    ring, expected, kind = elements()[name]
    given = objects(3, np.int64(3), Fraction(-3, 2), expected).reshape(2, 2)
    found = ring.coerce(given)
    assert found.shape == (2, 2)
    assert found.dtype == object
    assert [entry == ring.element(3) for entry in found[0]] == [True, True]
    assert found[1, 0] == found[1, 1] == expected
    if name != "rationals":
        assert all(isinstance(entry, kind) for entry in found[1])
        assert found[1, 1] is expected


def test_rationals_of_flint_enter_other_rings() -> None:
    for ring in (polynomials(CONTEXT), univariate(), rings.SYMPY, prime_field(7)):
        assert ring.coerce(objects(flint.fmpq(2, 3)))[0] == ring.element(Fraction(2, 3))
    assert FMPQ.coerce(objects(flint.fmpz(3)))[0] == flint.fmpq(3)


def test_integers_stay_integers_and_whole_fractions_become_them() -> None:
    assert type(RATIONALS.element(Fraction(4, 2))) is int
    assert RATIONALS.element(5) == 5
    assert [type(entry) for entry in RATIONALS.elements([2, Fraction(6, 3), HALF])] == [int, int, Fraction]
    assert type(python_number(np.int64(2**40))) is int
    numpy_parts = python_number(Fraction(np.int64(3), np.int64(2)))
    assert (type(numpy_parts.numerator), type(numpy_parts.denominator)) == (int, int)
    assert numpy_parts == Fraction(3, 2)
    fraction = Fraction(3, 2)
    assert python_number(fraction) is fraction
    assert type(Residues(7).element(Fraction(np.int64(3), np.int64(2)))) is int


def test_one_part_of_numpy_is_enough_to_be_replaced() -> None:
    half = Fraction(1, 2)
    object.__setattr__(half, "_numerator", np.int64(1))
    replaced = python_number(half)
    assert (type(replaced.numerator), type(replaced.denominator)) == (int, int)
    other = Fraction(1, 2)
    object.__setattr__(other, "_denominator", np.int64(2))
    assert type(python_number(other).denominator) is int


def test_equal_values_share_an_element_whatever_their_type() -> None:
    calls = []

    class Counting(Rationals):
        def element(self, value: Fraction | int) -> Any:
            calls.append(value)
            return super().element(value)

    found = Counting().elements([HALF, Fraction(2, 4), 3, HALF])
    assert list(found) == [HALF, HALF, 3, HALF]
    assert len(calls) == 2


def test_polynomials_are_not_taken_apart() -> None:
    s, t = CONTEXT.gens()
    ring = polynomials(CONTEXT)
    assert ring.full((2,), HALF).tolist() == [CONTEXT.constant(flint.fmpq(1, 2))] * 2
    coerced = ring.coerce(objects(s + t, s * t))
    assert coerced.shape == (2,)
    assert coerced[0] == s + t
    assert univariate().coerce(objects(flint.fmpq_poly([1, 2, 3])))[0] == flint.fmpq_poly([1, 2, 3])


# --- sums, products, canonical forms ------------------------------------------------------------------------------------


def test_matrix_products_are_the_sums_of_the_definition() -> None:
    rng = np.random.default_rng(0)
    left, right = rng.integers(-9, 10, (2, 3, 4)).astype(object), rng.integers(-9, 10, (2, 4, 2)).astype(object)
    product = [
        [[sum(int(left[b, i, k]) * int(right[b, k, j]) for k in range(4)) for j in range(2)] for i in range(3)]
        for b in range(2)
    ]
    for ring in (RATIONALS, FMPQ, rings.SYMPY, BALLS):
        found = ring.matmul(ring.elements(left), ring.elements(right))
        assert (found == ring.elements(product)).all()
    field = Residues(101)
    assert (field.matmul(field.elements(left), field.elements(right)) == field.elements(product)).all()


@pytest.mark.parametrize("prime", [2**31 - 1, P])
def test_products_of_residues_do_not_overflow(prime: int) -> None:
    """The largest residues, and rows as long as they may be: products of 15 + 16 bits stay below 2^63."""
    n = 2**16 - 1
    field = Residues(prime)
    left = np.full((1, n), prime - 1, dtype=np.int64)
    right = np.full((n, 1), prime - 1, dtype=np.int64)
    assert field.matmul(left, right).tolist() == [[n % prime]]
    mixed = np.array([[prime - 1, 65535, 65536, 1]], dtype=np.int64)
    other = np.array([[prime - 2], [prime - 3], [prime - 5], [7]], dtype=np.int64)
    exact = sum(int(a) * int(b) for a, b in zip(mixed[0], other[:, 0], strict=True)) % prime
    found = field.matmul(mixed, other)
    assert found.dtype == np.int64
    assert found.tolist() == [[exact]]


def test_residues_are_reduced_and_coerced() -> None:
    field = Residues(7)
    assert field.reduce(np.array([-1, 7, 15])).tolist() == [6, 0, 1]
    assert field.coerce(np.array([-1, 8], dtype=np.int32)).tolist() == [6, 1]
    assert field.coerce(np.array([-1, 8], dtype=np.int32)).dtype == np.int64
    coerced = field.coerce(objects(HALF, -1, 8))
    assert coerced.tolist() == [4, 6, 1]
    assert coerced.dtype == np.int64
    assert field.elements([HALF]).dtype == np.int64
    assert field.element(Fraction(5, 3)) == 5 * pow(3, -1, 7) % 7
    assert field.element(-2) == 5


def test_residues_are_of_whole_numbers_only() -> None:
    """1/2 would become 0, and 2^64 − 1 would become −1, in silence."""
    field = Residues(7)
    with pytest.raises(
        TypeError, match=r"^residues are those of integers and fractions, got an array of dtype float64$"
    ):
        field.coerce(np.array([0.5]))
    assert field.coerce(objects(0.5)).tolist() == [4]  # a float by itself is the fraction that it is
    for dtype in (np.uint64, np.uint8, np.int8, bool):
        largest = int(np.array(-1).astype(dtype))
        assert field.coerce(np.array([largest, 1], dtype=dtype)).tolist() == [largest % 7, 1]
    found = Residues(2**31 - 1).coerce(np.array([2**64 - 1], dtype=np.uint64))
    assert (found.dtype, found.tolist()) == (np.int64, [(2**64 - 1) % (2**31 - 1)])


def test_sums_of_residues_that_may_overflow_are_refused() -> None:
    long = np.ones((1, 1, 2**16), dtype=np.int64)
    with pytest.raises(ValueError, match=r"^sums of 65536 products of residues may overflow: at most 65535 are taken$"):
        Residues(7).matmul(long, long.transpose(0, 2, 1))


def test_sympy_sums_are_expanded_and_others_left_alone() -> None:
    x = sympy.Symbol("x")
    assert rings.SYMPY.reduce(objects((x + 1) * x)).tolist() == [x**2 + x]
    array = objects(HALF)
    assert RATIONALS.reduce(array) is array
    assert FMPQ.reduce(array) is array


def test_floats_have_the_given_format() -> None:
    short = Floats(np.float32)
    assert short.dtype == np.float32
    assert short.zeros((2,)).dtype == np.float32
    assert short.elements([HALF]).dtype == np.float32
    assert short.coerce(objects(HALF, 1)).dtype == np.float32
    assert short.element(Fraction(1, 3)) == np.float32(1 / 3)


# --- names and errors -----------------------------------------------------------------------------------------------------


def test_names_say_what_is_computed_with() -> None:
    many = flint.fmpq_mpoly_ctx.get([f"v{i}" for i in range(9)], "lex")
    eight = flint.fmpq_mpoly_ctx.get([f"v{i}" for i in range(8)], "lex")
    assert RATIONALS.name == "Q (int, Fraction)"
    assert FMPQ.name == "Q (fmpq)"
    assert polynomials(CONTEXT).name == "Q[s, t] (fmpq_mpoly)"
    assert polynomials(eight).name == "Q[v0, v1, v2, v3, v4, v5, v6, v7] (fmpq_mpoly)"
    assert polynomials(many).name == "Q[9 variables] (fmpq_mpoly)"
    assert univariate().name == "Q[t] (fmpq_poly)"
    assert prime_field(7).name == "F_7 (nmod)"
    assert Residues(7).name == "F_7"
    assert Residues(7).prime == 7
    assert rings.SYMPY.name == "SymPy expressions"
    assert BALLS.name == "Arb balls"
    assert COMPLEX_BALLS.name == "Arb complex balls"
    assert Floats(np.float64).name == "floating point (float64)"


@pytest.mark.parametrize("modulus", [-3, 0, 1, 2, 9, 15, 2**31, 2**31 + 11])
def test_residues_need_an_odd_prime_below_two_to_the_31(modulus: int) -> None:
    with pytest.raises(ValueError, match=f"^residues need an odd prime below 2\\^31, got {modulus}$"):
        Residues(modulus)


def test_the_least_and_the_largest_prime_are_taken() -> None:
    assert Residues(3).element(HALF) == 2
    assert Residues(2**31 - 1).element(-1) == 2**31 - 2


def test_a_denominator_that_the_prime_divides() -> None:
    with pytest.raises(ZeroDivisionError, match=r"^the denominator of 1/14 is divisible by 7: choose another prime$"):
        Residues(7).element(Fraction(1, 14))


def test_the_module_has_no_other_lazy_name() -> None:
    with pytest.raises(AttributeError, match=r"^module 'constructions\.algebra\.rings' has no attribute 'sympy_'$"):
        rings.sympy_  # noqa: B018
    assert rings.SYMPY is rings.SYMPY


FOUND: dict[str, tuple[np.ndarray, str]] = {
    "floats": (np.zeros(2, dtype=np.float32), "floating point (float32)"),
    "integers": (np.zeros(2, dtype=np.int32), "Q (int, Fraction)"),
    "unsigned": (np.zeros(2, dtype=np.uint8), "Q (int, Fraction)"),
    "fractions": (objects(HALF, 1, np.int64(2)), "Q (int, Fraction)"),
    "nothing": (objects(), "Q (int, Fraction)"),
    "fmpq": (objects(1, flint.fmpq(1, 2)), "Q (fmpq)"),
    "fmpz": (objects(flint.fmpz(1), HALF), "Q (fmpq)"),
    "mpoly": (objects(1, CONTEXT.gens()[0]), "Q[s, t] (fmpq_mpoly)"),
    "poly": (objects(1, flint.fmpq_poly([1])), "Q[t] (fmpq_poly)"),
    "nmod": (objects(1, flint.nmod(1, 7)), "F_7 (nmod)"),
    "arb": (objects(1, flint.arb(1)), "Arb balls"),
    "acb": (objects(1, flint.acb(1)), "Arb complex balls"),
    "sympy": (objects(1, sympy.Symbol("x")), "SymPy expressions"),
    "float objects": (objects(1, 0.5), "floating point (float64)"),
    "NumPy float objects": (objects(1, np.float32(0.5)), "floating point (float64)"),
}


@pytest.mark.parametrize("name", FOUND)
def test_the_ring_is_read_off_the_entries(name: str) -> None:
    array, expected = FOUND[name]
    assert ring_of(array).name == expected


def test_entries_of_no_ring_are_named() -> None:
    with pytest.raises(TypeError, match=r"^cannot evaluate over entries of dtype complex128$"):
        ring_of(np.zeros(2, dtype=complex))
    with pytest.raises(
        TypeError,
        match=r"^cannot evaluate over entries of type str, list: expected int, Fraction, SymPy expressions, python-flint "
        r"fmpq, fmpq_mpoly, fmpq_poly, nmod, arb or acb, or floats$",
    ):
        ring_of(objects("a", 1, []))


def test_only_fractions_and_numpy_integers_are_made_python_numbers() -> None:
    """Elements of other rings that have a numerator and a denominator too stay what they are."""
    for value in (flint.fmpq(1, 2), sympy.Rational(1, 2), 0.5, "x"):
        assert python_number(value) is value  # type: ignore[arg-type]


def test_integers_that_no_machine_type_holds_together() -> None:
    """NumPy alone makes floats of 2^63 and −1."""
    found = RATIONALS.elements([2**63, -1, 2**63 + 1])
    assert found.tolist() == [2**63, -1, 2**63 + 1]
    assert {type(value) for value in found} == {int}
