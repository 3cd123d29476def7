"""Encoding values for networks of functions: every kind of number, kept to the domain where there is one."""

from fractions import Fraction
from typing import Any

import flint
import numpy as np
import pytest
import sympy as sp
import torch

import constructions as C

x, y, z = sp.symbols("x y z")
a, b = flint.fmpq_mpoly_ctx.get(["a", "b"], "lex").gens()


@pytest.mark.parametrize(
    "values",
    [
        [1, 2, 3],
        (1, Fraction(1, 2), 3),
        [x, y, z],
        [x, 2, Fraction(1, 2)],
        [sp.Rational(1, 2), 2, x],
        [flint.fmpq(1, 2), 2, flint.fmpq(3)],
        [flint.fmpz(1), flint.fmpz(2), flint.fmpz(3)],
        [flint.nmod(1, 7), flint.nmod(2, 7), flint.nmod(3, 7)],
        [a, b, a * b],
        [a, b, 1],
        [0.5, 2, Fraction(1, 4)],
        list(np.float32([0.5, 2, 3])),
        [np.int64(2**40), 1, 1],
        np.arange(3),
    ],
)
def test_values_of_every_kind(values: Any) -> None:
    network = C.compile_polynomials([x**2 * y - 3 * z, x * y], [x, y, z])
    found = network.decode(network.evaluate(network.encode(values)))
    u, v, w = values
    u = int(u) if isinstance(u, np.integer) else u
    assert found.shape == (2,)
    assert found[0] == u**2 * v - 3 * w or sp.expand(found[0] - (u**2 * v - 3 * w)) == 0
    assert found[1] == u * v


@pytest.mark.parametrize("shape", [(3,), (5, 3), (2, 4, 3), (0, 3)])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_tensors_of_every_shape(shape: tuple[int, ...], dtype: torch.dtype) -> None:
    network = C.compile_polynomials([x**2 * y - 3 * z, x * y], [x, y, z])
    values = torch.arange(int(np.prod(shape)), dtype=dtype).reshape(shape)
    found = network.decode(network.to_torch(dtype=dtype)(network.encode(values)))
    expected = torch.stack(
        [values[..., 0] ** 2 * values[..., 1] - 3 * values[..., 2], values[..., 0] * values[..., 1]], -1
    )
    assert found.dtype == dtype
    assert torch.equal(found, expected)


FAR = {x: (Fraction(10001, 10), Fraction(10013, 10))}


@pytest.mark.parametrize(
    "value",
    [sp.Integer(5), sp.Rational(2005, 2), sp.Float(5), flint.fmpq(5), flint.fmpz(5), flint.arb(5), np.int64(5), 5, 5.0,
     Fraction(5), torch.tensor(5.0), np.float32(1001.4)],
)  # fmt: skip
def test_numbers_of_every_library_are_kept_to_the_domain(value: Any) -> None:
    network = C.approximate(sp.sin(x), FAR, 1e-3)
    with pytest.raises(ValueError, match="lies outside"):
        network.encode([value])


@pytest.mark.parametrize(
    "value",
    [sp.Rational(2001, 2), sp.Float(1001), flint.fmpq(2001, 2), flint.arb(1001), np.int64(1001), 1001, x, sp.pi],
)
def test_what_may_lie_in_the_domain_is_taken(value: Any) -> None:
    assert C.approximate(sp.sin(x), FAR, 1e-3).encode([value]).shape == (1, 1)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_the_ends_of_a_domain_far_from_zero_survive_rounding(dtype: type) -> None:
    network = C.approximate(sp.sin(x), FAR, 1e-3)
    ends = np.array([[1000.1], [1001.3]], dtype=dtype)
    assert network.encode(ends).shape == (2, 1, 1)
    assert network.encode(torch.from_numpy(ends)).shape == (2, 1, 1)
