"""Networks that compute constants: no hidden channel, perhaps no input; lowered, saved and checked like any other."""

from pathlib import Path

import pytest
import sympy as sp
import torch

import constructions as C
from precls_theory.checking.check import check

x, y = sp.symbols("x y")


CONSTANTS = [[5], [0], [sp.Rational(1, 3), 0]]


@pytest.mark.parametrize(
    ("exprs", "variables"),
    [*((exprs, []) for exprs in CONSTANTS), *((exprs, [x, y]) for exprs in [*CONSTANTS, [0, x], [x * y, 5]])],
)
def test_constants(exprs: list[sp.Expr], variables: list[sp.Symbol], tmp_path: Path) -> None:
    network = C.compile_polynomials(exprs, variables)
    assert network.depth == 1
    assert list(network.decode(network.evaluate(network.encode(variables)))) == exprs
    for shape in ((), (4,), (3, 4), (0,)):
        for dtype in (torch.float32, torch.float64):
            values = torch.full((*shape, len(variables)), 2.0, dtype=dtype)
            found = network.decode(network.to_torch(dtype=dtype)(network.encode(values)))
            expected = torch.tensor([float(sp.sympify(expr).subs({x: 2, y: 2})) for expr in exprs], dtype=dtype)
            assert found.dtype == dtype
            assert torch.equal(found, expected.expand(*shape, len(exprs)))
    network.save(tmp_path / "constant.safetensors")
    assert check(C.load(tmp_path / "constant.safetensors")).ok


def test_constant_approximations() -> None:
    network = C.approximate(sp.pi, {x: (0, 1)}, 1e-6)
    found = network.decode(network.to_torch(dtype=torch.float64)(network.encode(torch.rand(3, 1, dtype=torch.float64))))
    assert found.shape == (3, 1)
    assert abs(float(found[0, 0]) - float(sp.pi)) <= float(network.error_bound)
