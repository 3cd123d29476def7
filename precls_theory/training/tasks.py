"""What models are trained to do: inputs in the paper's layouts, exact targets, and the same out of distribution.

A task samples problems and says what the answer is; where it stands in a model's output is ``rows`` and the first
``n_outputs`` channels. Unless said otherwise numbers are N(0, 1) and ``b = A x`` for a hidden x (Liu et al. 2025, App. B).
The targets are computed in float64 from the definition; what rounding does to them is 1e-16 of their size and stays below
every figure that is reported from them.

A :class:`Distribution` other than the default is out of distribution: rows and solutions scaled, or A with a given
condition number.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal

import torch
from torch import Tensor

TaskName = Literal["explicit_gradient", "multistep_gd", "least_squares", "read", "linear", "multiply", "square"]
TASKS: tuple[TaskName, ...] = (
    "explicit_gradient", "multistep_gd", "least_squares", "read", "linear", "multiply", "square",
)  # fmt: skip


@dataclass(frozen=True)
class Distribution:
    """Of regressions: N(0, 1) entries times ``row_scale``, solutions and starting points times ``solution_scale``.

    ``condition_number`` replaces the singular values of A by a geometric sequence from √N down to √N divided by it.
    """

    row_scale: float = 1.0
    solution_scale: float = 1.0
    condition_number: float | None = None


OUT_OF_DISTRIBUTION: dict[str, Distribution] = {
    "rows x 2": Distribution(row_scale=2.0),
    "rows x 5": Distribution(row_scale=5.0),
    "solutions x 2": Distribution(solution_scale=2.0),
    "solutions x 10": Distribution(solution_scale=10.0),
    "condition number 10": Distribution(condition_number=10.0),
    "condition number 100": Distribution(condition_number=100.0),
}


@dataclass(frozen=True)
class Problems:
    """A batch of regressions: ``A`` (B, N, D), ``b`` (B, N), ``x`` (B, D) with ``b = A x``, ``x_init`` (B, D); float64."""

    A: Tensor
    b: Tensor
    x: Tensor
    x_init: Tensor

    def gradient(self, x: Tensor) -> Tensor:
        """``(1/N) Aᵀ(A x − b)``, shape (B, D)."""
        residual = (self.A @ x[..., None])[..., 0] - self.b
        return (self.A.mT @ residual[..., None])[..., 0] / self.A.shape[-2]


def sample_problems(
    batch: int, n_points: int, n_dims: int, generator: torch.Generator, distribution: Distribution | None = None
) -> Problems:
    """Fresh regressions; the same generator state gives the same problems."""
    d = distribution or Distribution()

    def normal(*shape: int) -> Tensor:
        return torch.randn(batch, *shape, generator=generator, dtype=torch.float64)

    A, x, x_init = normal(n_points, n_dims), normal(n_dims), normal(n_dims)
    if d.condition_number is not None:
        U, S, V = torch.linalg.svd(A, full_matrices=False)
        exponents = (
            torch.linspace(0, 1, S.shape[-1], dtype=torch.float64) if S.shape[-1] > 1 else torch.zeros(1).double()
        )
        A = (U * (n_points**0.5 * d.condition_number**-exponents)) @ V
    A, x, x_init = d.row_scale * A, d.solution_scale * x, d.solution_scale * x_init
    return Problems(A, (A @ x[..., None])[..., 0], x, x_init)


@dataclass(frozen=True)
class TrainingTask:
    """Inputs (B, n_rows, n_inputs) and targets (B, len(rows), n_outputs), float64.

    ``sample(batch, generator, distribution)`` draws them. ``n_steps`` and ``step_size`` are those of ``multistep_gd``.
    """

    name: TaskName
    n_points: int = 20
    n_dims: int = 5
    n_steps: int = 4
    step_size: float = 0.5
    _sampler: Callable[[TrainingTask, int, torch.Generator, Distribution | None], tuple[Tensor, Tensor]] = field(
        init=False, repr=False, compare=False
    )

    def __post_init__(self) -> None:
        if self.name not in SAMPLERS:
            raise ValueError(f"the task must be one of {', '.join(SAMPLERS)}, got {self.name!r}")
        if self.n_points < 1 or self.n_dims < 1 or self.n_steps < 1:
            raise ValueError(
                "n_points, n_dims and n_steps must be at least 1, got "
                f"{self.n_points}, {self.n_dims} and {self.n_steps}"
            )
        object.__setattr__(self, "_sampler", SAMPLERS[self.name])

    @property
    def is_regression(self) -> bool:
        """Whether inputs are regressions, which have distributions; the others are sequences of N(0, 1) numbers."""
        return self.name in ("explicit_gradient", "multistep_gd", "least_squares")

    @property
    def n_rows(self) -> int:
        return self.n_points + (self.name in ("explicit_gradient", "multistep_gd"))

    @property
    def n_inputs(self) -> int:
        return self.n_dims + 1 if self.is_regression else (2 if self.name == "multiply" else 1) * self.n_dims

    @property
    def n_outputs(self) -> int:
        return self.n_dims

    @property
    def rows(self) -> tuple[int, ...]:
        """Rows at which the answer stands: the last one, or all of a sequence."""
        return (self.n_rows - 1,) if self.is_regression else tuple(range(self.n_rows))

    def sample(
        self, batch: int, generator: torch.Generator, distribution: Distribution | None = None
    ) -> tuple[Tensor, Tensor]:
        """Fresh inputs and targets. Raises ``ValueError`` for a distribution of a task without regressions."""
        if distribution is not None and not self.is_regression:
            raise ValueError(f"{self.name} has no distribution of regressions, got {distribution}")
        return self._sampler(self, batch, generator, distribution)

    def answer(self, output: Tensor) -> Tensor:
        """The part of a model's output (B, n_rows, ≥ n_outputs) that is compared with the targets."""
        if output.shape[-1] < self.n_outputs or output.shape[-2] != self.n_rows:
            raise ValueError(
                f"{self.name} reads {self.n_outputs} channels of {self.n_rows} rows, "
                f"got an output of shape {tuple(output.shape)}"
            )
        return output[..., list(self.rows), : self.n_outputs]


def with_row(problems: Problems, first: bool) -> Tensor:
    """``[a_n, b_n]`` with the row ``[x_init, 0]`` first (``explicit_gradient``) or last (``multistep_gd``)."""
    data = torch.cat([problems.A, problems.b[..., None]], dim=-1)
    start = torch.nn.functional.pad(problems.x_init, (0, 1))[:, None]
    return torch.cat([start, data] if first else [data, start], dim=1)


def _explicit_gradient(
    task: TrainingTask, batch: int, generator: torch.Generator, distribution: Distribution | None
) -> tuple[Tensor, Tensor]:
    p = sample_problems(batch, task.n_points, task.n_dims, generator, distribution)
    return with_row(p, first=True), p.gradient(p.x_init)[:, None]


def _multistep_gd(
    task: TrainingTask, batch: int, generator: torch.Generator, distribution: Distribution | None
) -> tuple[Tensor, Tensor]:
    p = sample_problems(batch, task.n_points, task.n_dims, generator, distribution)
    x = p.x_init
    for _ in range(task.n_steps):
        x = x - task.step_size * p.gradient(x)
    return with_row(p, first=False), x[:, None]


def _least_squares(
    task: TrainingTask, batch: int, generator: torch.Generator, distribution: Distribution | None
) -> tuple[Tensor, Tensor]:
    p = sample_problems(batch, task.n_points, task.n_dims, generator, distribution)
    return torch.cat([p.A, p.b[..., None]], dim=-1), p.x[:, None]


def _sequence(target: Callable[[Tensor, int], Tensor], factor: int = 1) -> Callable[..., tuple[Tensor, Tensor]]:
    def sample(
        task: TrainingTask, batch: int, generator: torch.Generator, distribution: Distribution | None
    ) -> tuple[Tensor, Tensor]:
        u = torch.randn(batch, task.n_rows, factor * task.n_dims, generator=generator, dtype=torch.float64)
        return u, target(u, task.n_dims)

    return sample


def _read(u: Tensor, n_dims: int) -> Tensor:
    """Row 0 copied into the last row."""
    return torch.cat([u[:, :-1], u[:, :1]], dim=1) if u.shape[1] > 1 else u


def _linear(u: Tensor, n_dims: int) -> Tensor:
    """The cyclic shift of the channels minus their half: a fixed map of full rank that is not diagonal."""
    return u.roll(1, dims=-1) - u / 2


SAMPLERS: dict[str, Callable[..., tuple[Tensor, Tensor]]] = {
    "explicit_gradient": _explicit_gradient,
    "multistep_gd": _multistep_gd,
    "least_squares": _least_squares,
    "read": _sequence(_read),
    "linear": _sequence(_linear),
    "multiply": _sequence(lambda u, d: u[..., :d] * u[..., d:], factor=2),
    "square": _sequence(lambda u, d: u.square()),
}
