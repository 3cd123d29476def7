"""The atlas: architectures × {Square, Multiply, one step of gradient descent}, every cell checked when it is made.

A cell is a construction (its weights are run symbolically and must equal the target as polynomials) or an
impossibility: growth certificates ``‖F(u)‖ ≤ C0 + C1‖u‖`` of representative models, an input where such a model
provably misses the target by 1, the miss measured there, and the theorem that covers every depth and all weights. A
check that fails makes its cell ``refused``.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from fractions import Fraction
from functools import lru_cache
from typing import Literal

import numpy as np
import torch

from constructions.algebra.rings import RATIONALS
from constructions.models.transformer import Transformer
from constructions.networks.base import ExactNetwork
from constructions.networks.network import Network
from constructions.transformers.blocks import EvenPartRemains
from constructions.transformers.exact import ExactTransformer
from precls_theory.checking import transformers as claims
from precls_theory.expressivity.atlas.rows import (
    ARCHITECTURES,
    CHANNELS,
    N_DIMS,
    N_POINTS,
    STEP_SIZE,
    TARGETS,
    Architecture,
    AtlasTarget,
    Variant,
)
from precls_theory.expressivity.growth import GrowthCertificate, growth_certificate
from precls_theory.expressivity.tracing.program import Inconclusive
from precls_theory.registry import Refuted

MARGIN = Fraction(1)
LARGEST_ERROR = 1024
"""Relative error of a lowered construction that a cell accepts, in units of its format's epsilon (seen: about 1)."""


@dataclass(frozen=True)
class Cell:
    """The outcome of one check. ``expresses`` is the claim; ``status`` says whether it was confirmed."""

    architecture: str
    name: str
    target: AtlasTarget
    expresses: bool
    theorem: str
    status: Literal["checked", "refused"]
    summary: str
    seconds: float
    detail: dict[str, object] = field(default_factory=dict)

    def to_json(self) -> dict[str, object]:
        """Plain data."""
        return asdict(self)


def check_cell(architecture: Architecture, target: AtlasTarget) -> Cell:
    """Run the check of one cell; a failing check is recorded as ``refused``, with the reason as its summary."""
    start = time.perf_counter()
    status: Literal["checked", "refused"] = "checked"
    try:
        run = check_construction if architecture.expresses else check_impossible
        summary, detail = run(architecture, target)
    except Exception as error:  # a check that broke has not checked anything: its cell says so too
        expected = isinstance(error, (Refuted, Inconclusive, EvenPartRemains))
        status, summary = "refused", str(error) if expected else f"{type(error).__name__}: {error}"
        detail = {"counterexample": error.counterexample} if isinstance(error, Refuted) else {}
    return Cell(
        architecture.id, architecture.name, target, architecture.expresses, architecture.theorems[target], status,
        summary, time.perf_counter() - start, detail,
    )  # fmt: skip


def cells(architectures: tuple[Architecture, ...] | None = None) -> Iterator[Cell]:
    """Check every cell, row by row (of all architectures unless some are given)."""
    for architecture in ARCHITECTURES if architectures is None else architectures:
        for target in TARGETS:
            yield check_cell(architecture, target)


# ---- cells with a construction ---------------------------------------------------------------------------------------


def check_construction(architecture: Architecture, target: AtlasTarget) -> tuple[str, dict[str, object]]:
    """Prove the construction as polynomial identities, and measure its float64 and float32 errors at exact inputs."""
    network = architecture.constructions[target]()
    if target == "gradient_descent":
        ring = claims.verify_descent_polynomials(network, N_POINTS, N_DIMS, 1, STEP_SIZE, architecture.name)
    else:
        left, right, into = CHANNELS[target]
        ring = claims.verify_multiply(network, N_DIMS + 1, left, right, into, name=architecture.name)
    errors = {dtype: measured_error(network, target, dtype) for dtype in (torch.float64, torch.float32)}
    for dtype, error in errors.items():
        if not error <= LARGEST_ERROR * torch.finfo(dtype).eps:
            raise Refuted(f"lowered to {dtype}, {architecture.name} is {error:.2g} away from its exact values")
    detail: dict[str, object] = {
        "depth": network.depth, "width": network.width, "n_nonzero": network.n_nonzero, "ring": ring,
        "network": repr(network), "weights": weights(network),
    }  # fmt: skip
    detail |= {f"error {str(dtype).removeprefix('torch.')}": error for dtype, error in errors.items()}
    if isinstance(network, ExactTransformer):
        detail["growth"] = require_no_certificate(network)
    layers = f"{network.depth} layer{'s' if network.depth > 1 else ''}"
    return f"exact: {layers}, {network.n_nonzero} weights", detail


def weights(network: ExactNetwork) -> list[str]:
    """All weights of a construction, readable: formulas of a Transformer, nonzero entries of a BaseConv network."""
    if isinstance(network, ExactTransformer):
        return network.describe()
    assert isinstance(network, Network)
    return [
        f"layer {number} {name}[{row}, {column}] = {weight}"
        for number, layer in enumerate(network.layers, 1)
        for name, sparse in (("conv", layer.conv), ("gate", layer.gate), ("out", layer.out))
        for (row, column), weight in sparse.entries().items()
    ] + [
        f"layer {number} filter of hidden channel {h} = {layer.filters[index]}"
        for number, layer in enumerate(network.layers, 1)
        for h, index in enumerate(layer.filter_index)
    ]


def measured_error(network: ExactNetwork, target: AtlasTarget, dtype: torch.dtype) -> float:
    """Largest error of the lowered network over 64 inputs, relative to the largest exact value of each."""
    rng = np.random.default_rng(0)
    draw = np.frompyfunc(lambda p: Fraction(int(p), 64), 1, 1)  # exact in float32 as well

    def numbers(*shape: int) -> np.ndarray:
        return np.asarray(draw(rng.integers(-256, 257, (64, *shape))), dtype=object)

    if target == "gradient_descent":
        given = (numbers(N_POINTS, N_DIMS), numbers(N_POINTS), numbers(N_DIMS))
        exact = claims.descent(*given, 1, STEP_SIZE, RATIONALS)
        encoded = network.encode(*(torch.tensor(v.astype(float), dtype=dtype) for v in given))
    else:
        (given_u,) = (numbers(N_POINTS + 1, N_DIMS + 1),)
        left, right, into = CHANNELS[target]
        exact = given_u.copy()
        exact[..., into] = given_u[..., left] * given_u[..., right]
        u = torch.tensor(given_u.astype(float), dtype=dtype)
        encoded = network.encode(u) if getattr(network, "task", None) is not None else u
    output = network.to_torch(dtype=dtype)(encoded)
    decoded = network.decode(output) if getattr(network, "task", None) is not None else output
    # Differences are taken exactly: a float is a rational number.
    got = np.frompyfunc(Fraction, 1, 1)(decoded.double().numpy().astype(object))
    flat = (len(exact), -1)
    error = np.abs(got - exact).reshape(flat).max(axis=1)
    scale = np.abs(exact).reshape(flat).max(axis=1)
    return float(max(e / s for e, s in zip(error, scale, strict=True) if s))


def require_no_certificate(network: ExactTransformer) -> str:
    """The growth certificate must not apply to a network that expresses a product: it would contradict the proof.

    Returns what the certificate says; raises :class:`Refuted` if it certifies linear growth.
    """
    try:
        growth_certificate(network.to_torch(), (1, N_POINTS + 1, network.n_inputs), exponent=1)
    except Inconclusive as verdict:
        return str(verdict)
    raise Refuted("a growth certificate applies to a network that multiplies: one of the two proofs is wrong")


# ---- cells that are impossible ---------------------------------------------------------------------------------------


@lru_cache(maxsize=256)
def representative(variant: Variant) -> tuple[torch.nn.Module, GrowthCertificate]:
    """A random model of this kind (float64, two blocks unless told, weights from a fixed seed) and its certificate.

    Raises :class:`Inconclusive` when the growth is not certified to be at most linear on all inputs, and
    :class:`Refuted` when it is not on the analytic pieces.
    """
    with torch.random.fork_rng():
        torch.manual_seed(0)
        build: Callable[..., torch.nn.Module] = Transformer  # which checks the options that the table gives
        model = build(
            **{"n_in": N_DIMS + 1, "n_out": N_DIMS + 1, "width": 8, "depth": 2, "n_heads": 2, **dict(variant)}
        )
    model = model.double().eval()
    certificate = growth_certificate(model, (1, N_POINTS + 1, N_DIMS + 1), exponent=1)
    if certificate.piece_exponent is None or certificate.piece_exponent > 1:
        raise Refuted(f"the pieces of {dict(variant)} are not certified: {certificate.piece_reason}")
    return model, certificate


@dataclass(frozen=True)
class Ray:
    """Inputs that are t at the entries ``direction`` (row, channel), and the target there at one output entry."""

    direction: tuple[tuple[int, int], ...]
    output: tuple[int, int]
    value: Callable[[Fraction], Fraction]


def ray(target: AtlasTarget) -> Ray:
    """Where the target outgrows every line: t² for Square and Multiply, t − (η/N) t³ for the step (layout E)."""
    if target == "gradient_descent":
        last = N_POINTS
        return Ray(((0, 0), (last, 0)), (last, 0), lambda t: t - STEP_SIZE / N_POINTS * t**3)
    left, right, into = CHANNELS[target]
    return Ray(tuple({(0, left), (0, right)}), (0, into), lambda t: t * t)


def provable_miss(certificate: GrowthCertificate, target: AtlasTarget) -> tuple[Fraction, Fraction]:
    """The first t = 2^i at which ``|target| − (C0 + C1‖u‖)`` is at least the margin, and that gap; exact arithmetic."""
    line = ray(target)
    if certificate.C1 is None:
        raise Refuted("the certificate's growth is faster than linear")
    # ‖direction‖ is 1 or √2; 3/2 is above both.
    norm = Fraction(1) if len(line.direction) == 1 else Fraction(3, 2)
    c0, c1 = Fraction(certificate.C0), Fraction(certificate.C1)
    for i in range(2000):
        t = Fraction(2**i)
        gap = abs(line.value(t)) - (c0 + c1 * norm * t)
        if gap >= MARGIN:
            return t, gap
    raise Refuted(f"no power of two up to 2^2000 makes {target} exceed the bound")


def check_impossible(architecture: Architecture, target: AtlasTarget) -> tuple[str, dict[str, object]]:
    """Certify every variant, find an input where it provably misses, and measure the miss there."""
    line, scales = ray(target), []
    records: list[dict[str, object]] = []
    for variant in architecture.variants:
        model, certificate = representative(variant)
        t, gap = provable_miss(certificate, target)
        u = torch.zeros(1, N_POINTS + 1, N_DIMS + 1, dtype=torch.float64)
        for row, channel in line.direction:
            u[0, row, channel] = float(t)
        row, channel = line.output
        with torch.no_grad():
            got = float(model(u)[0, row, channel])
        miss = abs(line.value(t) - Fraction(got)) if math.isfinite(got) else Fraction(0)
        if miss < gap * (1 - Fraction(1, 2**30)):  # the allowance is for the model's rounding errors in float64
            raise Refuted(
                f"at t = {float(t):.3g} the model misses {TARGETS[target]} by {float(miss):.3g}, not by the proved "
                f"{float(gap):.3g}",
                {"variant": dict(variant), "t": str(t)},
            )
        scales.append(float(t))
        record = {"model": dict(variant), "C0": certificate.C0, "C1": certificate.C1, "t": float(t)}
        growth = {"exponent": certificate.exponent, "analytic": certificate.analytic}
        records.append(record | growth | {"proved miss": float(gap), "measured miss": float(miss)})
    many = f"{len(records)} models miss" if len(records) > 1 else "1 model misses"
    return f"impossible: {many} it at t ≤ {max(scales):.0f}", {"certificates": records}
