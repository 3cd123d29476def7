"""Circuits as data: what is written is what is read, and what cannot be is refused in words."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

import constructions as C
from constructions.compiler.instructions import circuit, instructions, read_instructions


def small() -> list[C.Wire]:
    """x², and the sum of the rows so far of x·y, beside a constant by row."""
    home = C.Circuit(3)
    x, y = home.input("x"), home.input("y")
    offset = home.row_constants("offset", {0: 1, 2: "1/2"})
    return [x * x, C.prefix_sum(x * y) + offset * 3]


def test_instructions_are_json_and_read_back() -> None:
    written = instructions(small())
    assert written["inputs"] == ["x", "y"]
    assert len(written["products"]) == 2
    again = json.loads(json.dumps(written))
    _, outputs = read_instructions(**again)
    assert json.loads(json.dumps(instructions(outputs))) == again


def test_the_network_does_what_the_instructions_say() -> None:
    network = circuit(**instructions(small()))
    u = np.array([[2, 3], [5, 7], [1, 4]], dtype=object)
    square, sums = u[:, 0] ** 2, np.cumsum(u[:, 0] * u[:, 1])
    expected = np.stack([square, sums + np.array([3, 0, 1.5])], axis=1)
    assert (
        np.asarray(network.decode(network.evaluate(network.encode(u))), dtype=float) == expected.astype(float)
    ).all()
    assert network.depth == 2  # the sum over rows is taken of a product


def test_only_what_an_output_reads_is_written() -> None:
    home = C.Circuit()
    x = home.input("x")
    unread = x * x * x
    assert len(instructions([x * x])["products"]) == 1
    assert len(instructions([unread])["products"]) == 2


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"outputs": []}, "at least one output"),
        ({"outputs": [[[0, 9, "1"]]]}, "output 0 reads node 9"),
        ({"outputs": [[[4, 0, "1"]]]}, "uses filter 4"),
        ({"outputs": [[[0, 0, "one"]]]}, "not well formed"),
        ({"products": [[[[0, 2, "1"]], [[0, 0, "1"]]]]}, "product 0 reads node 2, which does not exist before it"),
        ({"inputs": ["", "y"]}, "non-empty string"),
        ({"n_rows": 0}, "n_rows"),
        ({"n_rows": 2**20 + 1}, "at most 1048576"),
    ],
)  # fmt: skip
def test_what_is_not_well_formed_is_refused_in_words(change: dict[str, Any], words: str) -> None:
    home = C.Circuit()
    x, y = home.input("x"), home.input("y")
    good: dict[str, Any] = {**instructions([x * y])}
    assert circuit(**good).depth == 1
    with pytest.raises(ValueError, match=words):
        circuit(**(good | change))


def test_outputs_of_two_circuits_do_not_mix() -> None:
    with pytest.raises(ValueError, match="two circuits"):
        instructions([C.Circuit().input("x"), C.Circuit().input("x")])
    with pytest.raises(ValueError, match="at least one output"):
        instructions([])
