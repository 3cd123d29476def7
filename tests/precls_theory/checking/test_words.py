"""What a check found, in words: where, what stands there, what should."""

from __future__ import annotations

from fractions import Fraction

from precls_theory.checking.words import describe_difference, describe_entry, short


def test_entries() -> None:
    assert describe_entry(None) == "nothing differs"
    found: dict[str, object] = {
        "where": "out",
        "layer": 2,
        "row": 0,
        "column": 3,
        "stored": Fraction(1, 3),
        "rebuilt": None,
    }
    assert describe_entry(found) == "out (layer 2, row 0, column 3) is 1/3, and the construction has nothing"
    assert describe_entry({"where": "mode", "stored": "causal", "rebuilt": "circular"}) == (
        "mode is causal, and the construction has circular"
    )
    assert short("7" * 50) == f"{'7' * 16}…{'7' * 8} (50 characters)"


def test_differences_name_what_is_not_zero() -> None:
    found: dict[str, object] = {
        "output": "x[0]", "row": 3, "computed": "1", "claimed": "2/3",
        "input": {"A": [[0, 5], [0, 0]], "b": [0, Fraction(1, 2)], "x_init": 0},
    }  # fmt: skip
    assert describe_difference(found) == (
        "output x[0] at row 3 is 1 instead of 2/3 for A[0, 1] = 5, b[1] = 1/2, all else zero"
    )
    assert describe_difference(found | {"input": {"b": [0]}}).endswith("for the zero input")
    assert "and 3 more entries" in describe_difference(found | {"input": {"b": [1] * 15}})
