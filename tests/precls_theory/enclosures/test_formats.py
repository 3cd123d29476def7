"""What PyTorch computes, in the model's own format, never exceeds ``bound(‖u‖, computed=True)``: no tolerance here."""

from __future__ import annotations

import math
from functools import cache

import pytest
import torch
import torch.nn.functional as F
from helpers.models import CHANNELS, FASTER, MODELS, ROWS, SHAPE, TRACED, Wrap, build, certified, run
from helpers.mutations import DEEP
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from precls_theory.enclosures.formats import Rounding, model_dtypes
from precls_theory.expressivity import GrowthCertificate, growth_certificate

FORMATS = (torch.float64, torch.float32)
DOUBLE_MASKS = {"encoder with a float mask, rows first", "unbatched attention, added padding"}
NORMS = {
    "layer norm": lambda: nn.LayerNorm(CHANNELS),
    "layer norm without gains": lambda: nn.LayerNorm(CHANNELS, elementwise_affine=False),
    "group norm": lambda: nn.GroupNorm(ROWS, ROWS),
    "by hand": lambda: Wrap(
        lambda m, u: (u - u.mean(-1, keepdim=True)) / torch.sqrt(u.var(-1, keepdim=True, unbiased=False) + 1e-5)
    ),
    "post norm": lambda: nn.TransformerEncoderLayer(CHANNELS, 2, 8, batch_first=True),
}


def rays(dtype: torch.dtype, seed: int) -> list[Tensor]:
    """Random, constant, one-hot, equal rows, and rows that are constant up to the last digit."""
    generator = torch.Generator().manual_seed(seed)
    dense = torch.randn(SHAPE, generator=generator, dtype=torch.float64)
    digit = torch.randint(0, 2, SHAPE, generator=generator) * torch.finfo(dtype).eps
    ones = torch.ones_like(dense)
    return [dense, ones, dense[:, :1].expand(SHAPE), dense[..., :1] * ones, 1.7 * ones * (1 + digit),
            torch.eye(ROWS, CHANNELS, dtype=torch.float64)[None]]  # fmt: skip


def worst(model: nn.Module, dtype: torch.dtype, exponents: range, computed: bool = True, seed: int = 0,
          certificate: GrowthCertificate | None = None) -> float:  # fmt: skip
    """The largest ratio of a computed norm to its bound, over the rays at powers of ten."""
    certificate = growth_certificate(model, SHAPE, exponent=None) if certificate is None else certificate
    found = 0.0
    for exponent in exponents:
        for ray in rays(dtype, seed + exponent):
            u = (ray * 10.0**exponent).to(dtype)
            with torch.no_grad():
                out = run(model, u).double()
            if out.isfinite().all():  # short of overflow
                found = max(found, float(out.norm()) / certificate.bound(float(u.double().norm()), computed))
    return found


def formats(index: int, name: str) -> tuple[torch.dtype, ...]:
    """The formats that a model is run in: those it has a mask for, all in the deep profile, else one by turns."""
    possible = (torch.float64,) if name in DOUBLE_MASKS else FORMATS
    return possible if DEEP else (possible[index % len(possible)],)


CASES = [
    (name, dtype) for index, name in enumerate(sorted({**MODELS, **TRACED, **FASTER})) for dtype in formats(index, name)
]
"""Every model in every format in the deep profile, else each in one of them."""


@pytest.mark.parametrize(("name", "dtype"), CASES, ids=str)
def test_no_computed_output_exceeds_its_bound(name, dtype):
    model, _, certificate = certified(name, 1.0, dtype)
    assert 0 < worst(model, dtype, range(-12, 13, 2), certificate=certificate) <= 1


@given(name=st.sampled_from(sorted(NORMS)), seed=st.integers(0, 2**20), dtype=st.sampled_from(FORMATS))
def test_norms_of_nearly_constant_rows(name, seed, dtype):
    model, certificate = norm(name, dtype)
    assert worst(model, dtype, range(0, 13, 3), seed=seed, certificate=certificate) <= 1


@cache
def norm(name: str, dtype: torch.dtype) -> tuple[nn.Module, GrowthCertificate]:
    """A norm and its certificate."""
    model = build(NORMS[name], len(name)).to(dtype)
    return model, growth_certificate(model, SHAPE, exponent=None)


def test_a_float32_norm_is_not_bounded():
    """Why the computed bound of a LayerNorm grows: the exact one, √n, is exceeded a million times."""
    model = build(NORMS["group norm"]).float()
    assert worst(model, torch.float32, range(12, 13), computed=False) > 1e6
    digits = torch.cartesian_prod(*[torch.arange(3)] * 4) * torch.finfo(torch.float32).eps
    u = 1e12 * (1 + torch.linspace(0, 0.9, 50)[:, None, None]) * (1 + digits)
    assert float(F.layer_norm(u, (4,)).norm(dim=-1).max()) > 1e3  # LayerNorm itself, where its variance rounds to 0


def along_the_singular_vector() -> tuple[list[float], list[float]]:
    """Norms that a float32 linear layer computes along its largest singular vector, over the two bounds."""
    model = build(lambda: nn.Linear(CHANNELS, CHANNELS, bias=False)).float()
    certificate = growth_certificate(model, SHAPE)
    direction = torch.linalg.svd(model.weight.detach().double())[2][0]
    exact, computed = [], []
    for i in range(200):
        u = ((1 + i / 100) * direction).float().expand(SHAPE)
        with torch.no_grad():
            out = float(model(u).double().norm())
        size = float(u.double().norm())
        exact.append(out / certificate.bound(size))
        computed.append(out / certificate.bound(size, computed=True))
    return exact, computed


def test_exact_bounds_are_exceeded_by_rounding_alone():
    """The allowance is needed, and it is small."""
    exact, computed = along_the_singular_vector()
    assert max(exact) > 1 >= max(computed)
    assert min(c / e for c, e in zip(computed, exact, strict=True)) > 0.9999


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16], ids=str)
def test_the_allowance_shrinks_with_the_unit_roundoff(dtype):
    certificate = growth_certificate(build(MODELS["user GPT, fused, RMS norm"]).to(dtype), SHAPE)
    assert certificate.C1 is not None
    assert certificate.computed_coefficients is not None
    exact, computed = certificate.bound(1.0), certificate.bound(1.0, computed=True)
    assert exact < computed
    if dtype != torch.bfloat16:
        assert computed <= exact * (1 + 1e5 * torch.finfo(dtype).eps)
    assert certificate.to_json()["computed_coefficients"] == list(certificate.computed_coefficients)


def test_a_narrow_conversion_counts():
    model = Wrap(lambda m, u: u.bfloat16().to(u.dtype), weight=nn.Parameter(torch.zeros(1, dtype=torch.float64)))
    certificate = growth_certificate(model, SHAPE)
    assert certificate.C1 == 1.0
    u = torch.full(SHAPE, 1 + 2**-8 + 2**-10, dtype=torch.float64)
    assert float(model(u).norm()) > certificate.bound(float(u.norm()))
    assert float(model(u).norm()) <= certificate.bound(float(u.norm()), computed=True)


def test_constants_of_formats():
    assert Rounding.of([torch.float64, torch.float32]).unit == 2.0**-24
    assert Rounding.of([torch.float64, torch.int64]).unit == 2.0**-53
    assert Rounding(2.0**-8, 0.0).gamma(256) == math.inf
    assert 3 * 2.0**-53 < Rounding.of([torch.float64]).gamma(3) < 3.1 * 2.0**-53
    assert model_dtypes(nn.ReLU()) == {torch.get_default_dtype()}
    assert model_dtypes(nn.Linear(2, 2).half()) == {torch.float16}


def test_the_inputs_notice_a_missing_allowance(monkeypatch):
    group = build(NORMS["group norm"]).float()
    assert worst(group, torch.float32, range(12, 13)) <= 1
    monkeypatch.setattr(Rounding, "layer_norm_slope", lambda *args: 0.0)
    assert worst(group, torch.float32, range(12, 13)) > 1e5
    monkeypatch.setattr(Rounding, "gamma", lambda *args: 0.0)
    assert max(along_the_singular_vector()[1]) > 1
