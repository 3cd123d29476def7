"""Solve a regression with an exact network, and say how many digits of the exact answer each method gets.

Columns and target are scaled by powers of two, which costs nothing in floating point. The depth follows from the
condition number: with ``α ≤ 1/λ_max`` the error of 2^t gradient steps is ``(1 − αλ_min)^(2^t)``. Refinement then takes the error
from about eps·κ² to about eps·κ, provided eps·κ² < 1.
"""

from __future__ import annotations

import math
import sys
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Literal, TypedDict

import numpy as np
import torch

import constructions as C
from constructions.algebra.rationals import write_rational
from constructions.networks.network import Network
from precls_theory.regression import slices
from precls_theory.regression.data import DataError, ExactFit, RegressionData
from precls_theory.regression.designs import Problem, log2, norm_exponent
from precls_theory.regression.methods import METHODS
from precls_theory.regression.numbers import as_number, decimal, decimal_root
from precls_theory.regression.slices import Need, SlicePlan

MAX_DEPTH = 512
"""Methods that take one layer a step are stopped at this depth, with a warning."""
MAX_DIMS = 100
"""Most unknowns: a doubling network has about 1.6 D³ hidden channels, each of them with dozens of exact weights."""
GD_STEPS = 10_000
"""Steps of the plain gradient-descent loop set beside the network."""
MAX_REFINEMENTS = 4
EPS = float(np.finfo(np.float64).eps)
MAX_DIGITS = 60
"""Correct digits are counted up to here."""
DECIMALS = 30
"""Significant digits of the coefficients in decimal."""


class NumericalError(DataError):
    """Floating point cannot give the answer, which is known exactly all the same: ``fit``."""

    def __init__(self, message: str, fit: ExactFit) -> None:
        super().__init__(message)
        self.fit = fit


class FitDocument(TypedDict):
    """An exact fit as JSON holds it."""

    exact: dict[str, str]
    standard_errors: dict[str, float | None]
    t_values: dict[str, float | None]
    residual_standard_error: float | None
    r_squared: float | None
    degrees_of_freedom: int


def fit_to_json(fit: ExactFit) -> FitDocument:
    """The exact solution as text, and the statistics that follow from it, each rounded once to a float."""

    def root(square: Fraction | None, negative: bool = False) -> float | None:
        return None if square is None else as_number(decimal_root(square, negative=negative))

    return {
        "exact": {name: write_rational(value) for name, value in fit.coefficients.items()},
        "standard_errors": {name: root(fit.variance(name)) for name in fit.coefficients},
        "t_values": {name: root(fit.t_squared(name), value < 0) for name, value in fit.coefficients.items()},
        "residual_standard_error": root(fit.residual_variance),
        "r_squared": None if fit.r_squared is None else as_number(decimal(fit.r_squared)),
        "degrees_of_freedom": fit.degrees_of_freedom,
    }


@dataclass(frozen=True)
class Solution:
    """Coefficients by name, the exact fit, and digits; ``warnings`` are sentences."""

    names: tuple[str, ...]
    coefficients: dict[str, float]
    fit: ExactFit
    digits: dict[str, float]
    lapack_digits: dict[str, float]
    gd_digits: dict[str, float]
    network: Network
    method: str
    dtype: str
    condition_number: float
    refinements: int
    gd_steps: int
    warnings: list[str] = field(default_factory=list)
    values: dict[str, Fraction] = field(default_factory=dict)
    sliced: SlicePlan | None = None

    @property
    def exact(self) -> dict[str, Fraction]:
        """The exact coefficients by name."""
        return self.fit.coefficients

    @property
    def worst(self) -> tuple[str, float]:
        """The coefficient in which the network has the fewest correct digits, and how many."""
        return min(self.digits.items(), key=lambda item: item[1])

    def to_json(self) -> dict[str, object]:
        """The document that ``precls solve --json`` prints."""
        return {
            "coefficients": self.coefficients,
            **fit_to_json(self.fit),
            "digits": self.digits,
            "lapack_digits": self.lapack_digits,
            "gd_digits": self.gd_digits,
            "depth": self.network.depth,
            "width": self.network.width,
            "n_nonzero": self.network.n_nonzero,
            "method": self.method,
            "dtype": self.dtype,
            "condition_number": self.condition_number,
            "refinements": self.refinements,
            "gd_steps": self.gd_steps,
            "warnings": self.warnings,
            "decimal": self.decimals(),
            "sliced": None
            if self.sliced is None
            else {
                "form": self.sliced.form,
                "centred": self.sliced.centred,
                "slices": self.sliced.slices,
                "slice_bits": self.sliced.bits,
                "doublings": self.sliced.n_iters,
                "rounds": self.sliced.rounds,
                "wanted_digits": self.sliced.wanted,
                "expected_digits": self.sliced.expected,
                "expected_weights": self.sliced.weights,
                "candidates": list(self.sliced.others),
                "reason": self.sliced.reason,
            },
        }

    def decimals(self) -> dict[str, str]:
        """The coefficients as the network holds them, digit channels added exactly, to 30 digits or as many as asked for."""
        digits = DECIMALS if self.sliced is None else max(DECIMALS, math.ceil(self.sliced.wanted))
        return {name: decimal(value, digits) for name, value in self.values.items()}


@dataclass(frozen=True)
class Scaled:
    """The regression with columns and target scaled by powers of two: ``x_j = 2^(exponent_j) z_j``."""

    A: torch.Tensor
    b: torch.Tensor
    exponents: tuple[int, ...]

    def unscale(self, z: torch.Tensor) -> list[Fraction | None]:
        """Exact values of the coefficients from those of the scaled problem; None where one is not finite."""
        return [
            Fraction(value) * Fraction(2) ** exponent if math.isfinite(value) else None
            for value, exponent in zip(z.double().tolist(), self.exponents, strict=True)
        ]


def scale(data: RegressionData, dtype: torch.dtype, device: str) -> Scaled:
    """Scale the exact data to columns of norm about one, then round each entry once to ``dtype``."""
    columns = [norm_exponent(data.A[:, j]) for j in range(data.n_dims)]
    target = norm_exponent(data.b)
    A = np.empty(data.A.shape)
    for j, exponent in enumerate(columns):
        A[:, j] = [float(value / Fraction(2) ** exponent) for value in data.A[:, j]]
    b = np.array([float(value / Fraction(2) ** target) for value in data.b])
    exponents = tuple(target - exponent for exponent in columns)
    return Scaled(torch.tensor(A, dtype=dtype, device=device), torch.tensor(b, dtype=dtype, device=device), exponents)


def correct_digits(value: Fraction | None, exact: Fraction, eps: float, most: float | None = None) -> float:
    """−log10 of the relative error (absolute where ``exact`` is 0), capped at the digits of the dtype in both directions,
    or at ``most`` from above."""
    least = math.log10(eps)
    cap = -least if most is None else most
    if value is None:
        return least
    error = abs(value - exact) / abs(exact) if exact else abs(value)
    if not error:
        return cap
    return max(least, min(cap, -log2(error) * math.log10(2)))


def sized_network(
    sigma: np.ndarray, n_points: int, n_dims: int, method: str, eps: float, warnings: list[str]
) -> tuple[Network, int]:
    """Choose depth and refinements from the singular values of the scaled design; returns the network and refinements.

    α is the power of two between half and all of 1/λ_max: the large step that the finding ``step-size`` shows to be within twice
    LAPACK's error, where a step of a fifth of it is four to five times as far off.
    """
    largest, smallest = float(sigma[0]) ** 2, float(sigma[-1]) ** 2
    alpha = Fraction(2) ** -math.ceil(math.log2(largest * (1 + 1e-9)))
    contraction = min(float(alpha) * smallest, 0.5)
    needed = math.log(1 / eps) + 4
    # Past 1/(D eps) steps an eigenvalue of P that rounding pushed above one would grow instead of decay.
    doublings = max(1, math.ceil(math.log2(needed / contraction)))
    safe = max(1, math.floor(math.log2(1 / (n_dims * eps))))
    if method in ("doubling", "newton"):
        limited = eps * largest / smallest >= 1
        if limited:
            doublings = min(doublings, safe)
        quality = n_dims * eps * largest / smallest
        refinements = MAX_REFINEMENTS
        if not limited and quality < 0.5:
            refinements = min(MAX_REFINEMENTS, 1 + math.ceil(math.log(eps) / math.log(quality) / 2))
        network = C.newton(
            n_points=n_points, n_dims=n_dims, n_iters=doublings, alpha=alpha, refinements=refinements,
            form="doubling" if method == "doubling" else "residual",
        )  # fmt: skip
        return network, refinements
    if method == "tight":
        steps = min(2 ** (min(doublings, safe) + 1) - 1, 2**60)
        return C.gradient_descent(
            n_points=n_points, n_dims=n_dims, n_steps=steps, step_size=alpha * n_points, form="tight"
        ), 0  # fmt: skip
    low, high = Fraction(2) ** math.floor(math.log2(smallest * (1 - 1e-9))), 1 / alpha
    if low == high:
        low /= 2
    root = math.sqrt(float(low / high))
    wanted = math.ceil(needed / (contraction if method == "gram" else root))
    steps = min(wanted, MAX_DEPTH - 1)
    if steps < wanted:
        warnings.append(
            f"{method} takes one layer a step and would need about {wanted} layers here; it was stopped at "
            f"{MAX_DEPTH}: use --method doubling"
        )
    if method == "gram":
        return C.gradient_descent(
            n_points=n_points, n_dims=n_dims, n_steps=steps, step_size=alpha * n_points, form="gram"
        ), 0
    if method == "chebyshev":
        return C.chebyshev(
            n_points=n_points, n_dims=n_dims, n_steps=steps, lower=low / n_points, upper=high / n_points
        ), 0
    momentum = Fraction(((1 - root) / (1 + root)) ** 2).limit_denominator(10**6)
    step = Fraction(4 / (math.sqrt(float(high)) + math.sqrt(float(low))) ** 2).limit_denominator(10**9)
    return C.heavy_ball(
        n_points=n_points, n_dims=n_dims, n_steps=steps, step_size=step * n_points, momentum=momentum
    ), 0


FULL_PRECISION = {"float32": 15.0, "float64": 16.0}
"""What ``precls solve`` asks of every coefficient unless told otherwise: the digits in which coefficients are printed.
In float32 no single number holds them, the sum of its digit channels does."""


MAX_RUNS = 4
"""Networks that are built and run, at most, until one has the wanted digits."""


def scaled_exactly(data: RegressionData) -> tuple[Problem, list[int], int] | None:
    """Columns and target scaled by powers of two, exactly, and the exponents; None where no float is near the solution."""
    in_float64 = scale(data, torch.float64, "cpu")
    near = np.linalg.lstsq(in_float64.A.numpy(), in_float64.b.numpy(), rcond=None)[0]
    size = float(np.linalg.norm(near))
    if not (math.isfinite(size) and size):
        return None
    columns = [norm_exponent(data.A[:, j]) for j in range(data.n_dims)]
    target = norm_exponent(data.b)
    A = np.array(
        [[value / Fraction(2) ** e for value, e in zip(row, columns, strict=True)] for row in data.A], dtype=object
    )
    b = np.array([value / Fraction(2) ** target for value in data.b], dtype=object)
    return Problem(A, b, near, data.intercept), columns, target


def run_sliced(
    data: RegressionData,
    exact: tuple[Fraction, ...],
    digits: float | Literal["full"],
    dtype: torch.dtype,
    device: str,
    warnings: list[str],
) -> tuple[list[Fraction | None], Network, SlicePlan] | None:
    """The coefficients from the cheapest network with the wanted digits; None, with a warning, where there is none.

    Digits are counted on what the network gives; where some coefficient has fewer than wanted, the same network with a
    slice more is next, twice at most, and then the other candidates.
    """
    name = str(dtype).removeprefix("torch.")
    given = scaled_exactly(data) if name in slices.FORMATS else None
    if given is None:
        return None
    problem, columns, target = given
    wanted = FULL_PRECISION[name] if digits == "full" else digits
    todo = slices.candidates(problem, Need(wanted, name), full=digits == "full")
    if isinstance(todo, str):
        warnings.append(f"{todo}: a plain network was run instead")
        return None
    best: tuple[float, list[Fraction | None], Network, SlicePlan] | None = None
    failure = ""
    for _ in range(MAX_RUNS):
        if not todo:
            break
        chosen = todo.pop(0)
        try:
            found, network, chosen = slices.run(chosen, problem, dtype, device)
        except (slices.BudgetError, OverflowError) as error:
            failure = str(error)
            continue
        values: list[Fraction | None] = [
            value * Fraction(2) ** (target - exponent) for value, exponent in zip(found, columns, strict=True)
        ]
        counted = min(correct_digits(v, e, EPS, MAX_DIGITS) for v, e in zip(values, exact, strict=True))
        if best is None or counted > best[0]:
            best = counted, values, network, chosen
        if counted >= wanted:
            break
        more = slices.more_slices(chosen, problem)
        if more is not None:
            todo.insert(0, more)
    if best is None:
        warnings.append(f"slicing failed, and a plain network was run instead: {failure}")
        return None
    return best[1:]


def solve(
    data: RegressionData,
    method: str = "doubling",
    dtype: torch.dtype = torch.float64,
    device: str = "cpu",
    digits: float | Literal["full"] | None = None,
) -> Solution:
    """Build the network for this regression, run it in ``dtype``, and compare with the exact solution.

    With ``digits`` the cheapest network is run that gives every coefficient so many correct digits, sliced doubling or refinement
    on the columns as they are or centred (:mod:`precls_theory.regression.slices`); where that would be too large, a plain one
    is run, with a warning. ``"full"`` is the working precision, :data:`FULL_PRECISION`, with no fewer digits than the sliced
    doubling form is expected to have. Without ``digits`` the network is plain.
    Raises :class:`DataError` for exact rank deficiency, :class:`NumericalError` (which holds the exact solution) where
    floating point cannot tell the design from a rank-deficient one and where the network or a coefficient overflows,
    and ``ValueError`` for an unknown method.
    """
    if method not in METHODS:
        raise ValueError(f"method must be one of {', '.join(METHODS)}, got {method!r}")
    in_range = digits is None or digits == "full" or 1 <= digits <= MAX_DIGITS
    if digits is not None and not (method == "doubling" and in_range):
        raise ValueError(f"digits must be from 1 to {MAX_DIGITS}, with method='doubling', got {digits} with {method!r}")
    fit = data.exact_fit()
    if data.n_dims > MAX_DIMS:
        raise NumericalError(
            f"{data.n_dims} unknowns are too many for an exact network, whose width grows as their third power: at most "
            f"{MAX_DIMS} are taken; leave columns out with --drop or --columns",
            fit,
        )
    exact = tuple(fit.coefficients.values())
    eps = float(torch.finfo(dtype).eps)
    scaled = scale(data, dtype, device)
    sigma = np.linalg.svd(scale(data, torch.float64, "cpu").A.numpy(), compute_uv=False)
    kappa = float(sigma[0] / sigma[-1]) if sigma[-1] > 0 else math.inf
    name = str(dtype).removeprefix("torch.")
    warnings: list[str] = []
    if kappa * np.finfo(np.float64).eps > 1:
        raise NumericalError(
            f"the scaled design has a condition number of about {kappa:.1e}: determined exactly, but float64 cannot tell it "
            "from rank-deficient; use other regressors (centred, or orthogonal polynomials)",
            fit,
        )
    sliced = None if digits is None else run_sliced(data, exact, digits, dtype, device, warnings)
    refinements = 0
    if sliced is not None:
        values, network, chosen = sliced
    else:
        chosen = None
        if kappa**2 > 1 / eps:
            warnings.append(
                f"{name} limits the answer: the squared condition number {kappa**2:.1e} exceeds 1/eps = {1 / eps:.1e}, so "
                "directions below eps are not resolved and refinement need not converge"
                + ("; use --dtype float64" if name == "float32" else "")
            )
        network, refinements = sized_network(sigma, data.n_points, data.n_dims, method, eps, warnings)
        with torch.no_grad():
            inputs = network.encode(scaled.A, scaled.b)
            values = scaled.unscale(network.decode(network.to_torch(dtype=dtype, device=device)(inputs)))
    if any(value is None for value in values):
        raise NumericalError(
            f"the network overflowed {name} on this regression (condition number {kappa:.1e}): use --dtype float64 "
            "or --method doubling",
            fit,
        )
    with torch.no_grad():
        lapack = scaled.unscale(torch.linalg.lstsq(scaled.A, scaled.b.unsqueeze(-1)).solution.squeeze(-1))
        loop = scaled.unscale(gradient_descent_loop(scaled.A, scaled.b, 1 / float(sigma[0]) ** 2, GD_STEPS))

    def count(found: list[Fraction | None], most: float | None = None) -> dict[str, float]:
        pairs = zip(data.names, found, exact, strict=True)
        return {name: correct_digits(value, true, eps, most) for name, value, true in pairs}

    return Solution(
        names=data.names,
        coefficients={
            n: as_float(n, v, fit) for n, v in zip(data.names, values, strict=True) if v is not None
        },
        fit=fit,
        digits=count(values, MAX_DIGITS), lapack_digits=count(lapack), gd_digits=count(loop),
        network=network, method=method, dtype=name, condition_number=kappa, refinements=refinements,
        gd_steps=GD_STEPS, warnings=warnings, sliced=chosen,
        values={n: v for n, v in zip(data.names, values, strict=True) if v is not None},
    )  # fmt: skip


def as_float(name: str, value: Fraction, fit: ExactFit) -> float:
    """The coefficient as a float64; :class:`NumericalError` where it or the exact one is outside the range of normal
    numbers."""
    exact = fit.coefficients[name]
    try:
        result = float(value)
        if not exact or sys.float_info.min <= abs(exact) <= sys.float_info.max:
            return result
    except OverflowError:
        pass
    raise NumericalError(
        f"the coefficient of {name!r} is about {decimal(exact, 3)}, outside the range of float64: change the unit of its "
        "column or of the target",
        fit,
    )


def gradient_descent_loop(A: torch.Tensor, b: torch.Tensor, step: float, n_steps: int) -> torch.Tensor:
    """The plain loop ``x ← x − step · Aᵀ(A x − b)`` from zero, one problem or a batch: (..., N, D), (..., N) to (..., D)."""
    x = A.new_zeros(*A.shape[:-2], A.shape[-1], 1)
    b = b.unsqueeze(-1)
    transposed = A.mT
    for _ in range(n_steps):
        x = x - step * (transposed @ (A @ x - b))
    return x.squeeze(-1)
