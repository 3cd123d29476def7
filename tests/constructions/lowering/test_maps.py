"""Sparse maps one by one: weights rounded once, maps of nothing, and the product by compressed rows itself."""

from __future__ import annotations

import re
from fractions import Fraction

import pytest
import torch

from constructions.lowering.maps import LoweredMap, SparseProduct, dense, refuse_other_dtype, rounded

ENTRIES = {(2, 1): Fraction(1, 3), (0, 2): Fraction(5), (0, 0): Fraction(-2), (2, 2): Fraction(7)}
MATRIX = [[-2.0, 0.0, 5.0, 0.0], [0.0] * 4, [0.0, 1 / 3, 7.0, 0.0], [0.0] * 4]
X = torch.tensor([[1.0, -4.0], [3.0, 6.0], [0.5, 2.0], [9.0, 9.0]], dtype=torch.float64)


def test_weights_are_rounded_once_whatever_the_default_dtype_is() -> None:
    before = torch.get_default_dtype()
    try:
        for default in (torch.float32, torch.float64):
            torch.set_default_dtype(default)
            assert rounded([Fraction(1, 3), Fraction(10**39)], torch.float64).tolist() == [1 / 3, 1e39]
    finally:
        torch.set_default_dtype(before)


def test_the_refusal_of_a_second_rounding_says_what_to_do() -> None:
    refuse_other_dtype(lambda x: x.double(), torch.float64)
    message = (
        "the weights of this network were rounded to torch.float64 once, from exact ones, and torch.float32 would round them "
        "again: lower the network anew with to_torch(dtype=torch.float32)"
    )
    with pytest.raises(TypeError, match=f"^{re.escape(message)}$"):
        refuse_other_dtype(lambda x: x.float(), torch.float64)


def test_compressed_rows_by_hand(monkeypatch: pytest.MonkeyPatch) -> None:
    product = SparseProduct(4, 4, ENTRIES, torch.float64)
    assert (product.starts.tolist(), product.columns.tolist()) == ([0, 2, 2, 4, 4], [0, 2, 1, 2])
    matrix = product._matrix()
    assert (matrix.layout, tuple(matrix.shape)) == (torch.sparse_csr, (4, 4))
    assert torch.equal(matrix.to_dense(), torch.tensor(MATRIX, dtype=torch.float64))
    expected, y = torch.tensor(MATRIX, dtype=torch.float64) @ X, torch.ones(4, 2, dtype=torch.float64)
    assert torch.allclose(product(X), expected, rtol=1e-15)
    assert torch.allclose(product(X, y), expected + 1, rtol=1e-15)
    used: list[int] = []
    monkeypatch.setattr(product, "_matrix", lambda: used.append(1) or matrix)  # type: ignore[func-returns-value]
    product(X)
    assert used == [1]


@pytest.mark.parametrize("selects", [False, True])
@pytest.mark.parametrize("sums", ["any", "fixed"])
def test_a_map_without_entries_is_zero(selects: bool, sums: str) -> None:
    nothing = LoweredMap(3, 4, {}, torch.float64, selects, sums)  # type: ignore[arg-type]
    assert torch.equal(nothing(X), torch.zeros(3, 2, dtype=torch.float64))
    assert torch.equal(nothing.add_to(torch.ones(3, 2, dtype=torch.float64), X), torch.ones(3, 2, dtype=torch.float64))
    assert nothing.kind == ("ladder" if selects or sums == "fixed" else "dense")
    assert torch.equal(dense(3, 4, {}, torch.float64), torch.zeros(3, 4, dtype=torch.float64))
