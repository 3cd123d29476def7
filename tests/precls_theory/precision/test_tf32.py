"""TF32 emulated: eleven bits of each factor, exactly; what it does to exact channels, sliced digits and the sweep."""

from __future__ import annotations

from typing import Any

import pytest
import torch

import constructions as C
from precls_theory.precision import measure
from precls_theory.precision.sweep import Case, run_case
from precls_theory.precision.tf32 import EmulatedTF32, to_tf32


def test_values_are_rounded_to_eleven_bits() -> None:
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(4096, generator=generator) * 2.0 ** torch.randint(-60, 60, (4096,), generator=generator)
    found = to_tf32(x)
    mantissa, _ = torch.frexp(found)
    assert torch.equal(mantissa * 2**11, (mantissa * 2**11).round())
    exact, exponent = torch.frexp(x.double())
    nearest = torch.ldexp((exact.abs() * 2**11 + 0.5).floor() * exact.sign() / 2**11, exponent)
    assert torch.equal(found.double(), nearest)
    kept = torch.tensor([0.0, -0.0, float("inf"), -float("inf"), 1.0, 2047.0])
    assert torch.equal(to_tf32(kept), kept)
    assert to_tf32(torch.tensor([float("nan")])).isnan().all()
    assert to_tf32(torch.tensor([2049.0])).item() == 2050  # ties away from zero
    assert to_tf32(x.double()) is not None
    assert torch.equal(to_tf32(x.double()), x.double())


@pytest.mark.parametrize("product", [
    lambda a, b: a @ b, torch.mm, lambda a, b: torch.addmm(torch.zeros(8, 8), a, b),
    lambda a, b: torch.einsum("ij,jk->ik", a, b), torch.nn.functional.linear,
])  # fmt: skip
def test_products_take_rounded_factors(product: Any) -> None:
    a, b = (torch.randn(8, 8, generator=torch.Generator().manual_seed(s)) for s in (0, 1))
    with EmulatedTF32():
        found = product(a, b)
        added = a + b
    assert torch.equal(found, product(to_tf32(a), to_tf32(b)))
    assert not torch.equal(found, product(a, b))
    assert torch.equal(added, a + b)


def test_it_costs_half_the_digits_of_a_network_and_all_that_slices_won() -> None:
    net = C.newton(n_points=6, n_dims=3, n_iters=5, alpha="1/32")
    A, b = torch.randn(4, 6, 3, generator=torch.Generator().manual_seed(2)), torch.ones(4, 6)
    u = net.encode(A, b)
    plain = measure(net, u, split=False).results["total"].largest
    with EmulatedTF32():
        cut = measure(net, u, split=False).results["total"].largest
    assert cut > 100 * plain
    rows = {dtype: run_case(Case("gram", dtype, n_points=6, n_dims=2, samples=3)) for dtype in ("float32", "tf32")}
    assert rows["tf32"]["message"] is None
    assert rows["tf32"]["largest"] > 20 * rows["float32"]["largest"]
    assert rows["tf32"]["median_bound_ratio"] is None  # the bound is for float32


@pytest.mark.gpu
def test_the_emulation_is_what_the_hardware_does() -> None:
    a, b = (torch.randn(64, 64, generator=torch.Generator().manual_seed(s)) for s in (0, 1))
    exact = to_tf32(a).double() @ to_tf32(b).double()
    allowed = torch.backends.cuda.matmul.allow_tf32
    try:
        torch.backends.cuda.matmul.allow_tf32 = True
        found = (a.cuda() @ b.cuda()).cpu().double()
    finally:
        torch.backends.cuda.matmul.allow_tf32 = allowed
    far = (a.double() @ b.double() - found).abs().max()
    assert far > 1e-4  # it was TF32
    assert (exact - found).abs().max() < far
