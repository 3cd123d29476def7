"""The registry of theorems: a statement, its hypotheses, its source, and a check that can fail.

A theorem is registered by decorating its check::

    @theorem(
        id="gd-gram", title="Gradient descent, Gram form",
        statement=r"x_{k+1} = x_k - \\tfrac{\\eta}{N}(G x_k - c)",
        hypotheses=("N >= 1", "D >= 1"), source="new",
        covers="every k, by induction on the layer block",
        controls={
            "the last weight off by 1/3": {"build": wrong_weight(gradient_descent)},
            "a step of the other sign": lambda: prove_step(sign=-1),
        },
    )
    def gradient_descent_gram(size: Size, build: Build = gradient_descent) -> Evidence: ...

The check returns :class:`Evidence` when it has *proved* the statement, raises :class:`Refuted` (with a
counterexample) when the statement is false, and any other exception when the check itself broke.

*Controls.* A check that cannot refuse proves nothing. So every theorem declares wrong variants, each in words, that
its own check must refuse: either keyword arguments with which the check is run again, at :data:`CONTROL_SIZE`
(:mod:`precls_theory.proofs.variants` makes wrong networks), or a function without arguments, for a part of the
check. :func:`precls_theory.certificate.certify` runs every control, every time; a theorem one of whose controls is not
refused with :class:`Refuted` is not proved, whatever its check says. Declare one for each thing that the statement
asserts: a changed weight, a shifted row, a wrong constant, a hard-coded parameter. A theorem without controls cannot be
registered.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Size:
    """Problem size at which the checks run: ``n_points`` data rows (N), ``n_dims`` unknowns (D)."""

    n_points: int = 20
    n_dims: int = 5

    def __post_init__(self) -> None:
        if self.n_points < 1 or self.n_dims < 1:
            raise ValueError(f"n_points and n_dims must be at least 1, got {self.n_points} and {self.n_dims}")


CONTROL_SIZE = Size(2, 2)
"""Where a check runs again on its wrong variants: small, for it is there to refuse."""


@dataclass(frozen=True)
class Evidence:
    """What a check proved: what was executed and what is argued (``scope``, in words), over which ``ring``, by which
    ``engine``.

    ``failure_probability_log2`` is ``None`` for a proof over a ring of characteristic zero, and the base-2
    logarithm of the chance that a false statement passed for a proof by residues.
    """

    scope: str
    ring: str
    engine: str
    detail: Mapping[str, object] = field(default_factory=dict)
    failure_probability_log2: float | None = None


def listed(values: Iterable[object]) -> str:
    """``1, 2, 3``: for scopes."""
    return ", ".join(map(str, values))


class Refuted(Exception):
    """The statement is false; ``counterexample`` is JSON-serialisable data that shows it."""

    def __init__(self, message: str, counterexample: object = None) -> None:
        super().__init__(message)
        self.counterexample = counterexample


Check = Callable[..., Evidence]
Control = Mapping[str, object] | Callable[[], object]
"""A wrong variant: keyword arguments of the check, or a function that runs a part of it."""


@dataclass(frozen=True)
class Theorem:
    """One registered statement; ``statement`` is LaTeX, ``covers`` says in words what the check covers, and
    ``controls`` names the wrong variants that the check must refuse (see the module)."""

    id: str
    title: str
    statement: str
    hypotheses: tuple[str, ...]
    source: str
    covers: str
    check: Check
    controls: Mapping[str, Control]

    def run_control(self, variant: str) -> None:
        """Run the check on a wrong variant: :class:`Refuted` is what must come out of it."""
        control = self.controls[variant]
        if callable(control):
            control()
        else:
            self.check(CONTROL_SIZE, **control)


_REGISTRY: dict[str, Theorem] = {}


def theorem(
    *,
    id: str,
    title: str,
    statement: str,
    hypotheses: Iterable[str] = (),
    source: str,
    covers: str,
    controls: Mapping[str, Control],
) -> Callable[[Check], Check]:
    """Register the decorated check under ``id``; raises ``ValueError`` on a duplicate identifier and without controls."""
    if not controls:
        raise ValueError(
            f"theorem {id!r} declares no control: name at least one wrong variant that its check must refuse "
            "(see precls_theory.registry)"
        )

    def register(check: Check) -> Check:
        if id in _REGISTRY and _REGISTRY[id].check.__module__ != check.__module__:
            raise ValueError(
                f"theorem {id!r} is registered twice: {_REGISTRY[id].check.__module__}, {check.__module__}"
            )
        _REGISTRY[id] = Theorem(id, title, statement, tuple(hypotheses), source, covers, check, dict(controls))
        return check

    return register


def all_theorems() -> dict[str, Theorem]:
    """Every registered theorem by identifier, in the order of the modules of ``precls_theory.theorems``."""
    from precls_theory import theorems

    for module in sorted(pkgutil.walk_packages(theorems.__path__, f"{theorems.__name__}."), key=lambda m: m.name):
        importlib.import_module(module.name)
    return dict(_REGISTRY)
