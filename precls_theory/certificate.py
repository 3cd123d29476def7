"""Run a theorem's check and record the outcome as a certificate (plain data, saved as JSON)."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from functools import partial
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Literal, TypedDict

from constructions.files.output import write_output
from precls_theory.registry import Refuted, Size, Theorem

Status = Literal["proved", "refuted", "failed"]
_LIBRARIES = ("torch", "sympy", "python-flint", "numpy", "mpmath")


def versions() -> dict[str, str]:
    """Versions of the libraries that a result rests on, by distribution name."""
    found = {}
    for name in _LIBRARIES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:  # pragma: no cover - every one is a dependency
            found[name] = "missing"
    return found


def precls_version() -> str:
    """Version of the installed ``precls`` distribution."""
    try:
        return version("precls")
    except PackageNotFoundError:
        return "0+uninstalled"


class ControlRecord(TypedDict):
    """A wrong variant: whether the check refused it, and what came out, in words."""

    variant: str
    refused: bool
    outcome: str


@dataclass(frozen=True)
class Certificate:
    """What was proved, for which sizes, over which ring, by which engine, in what time (seconds).

    ``every_size`` says that ``kernel`` has also proved the statement for all sizes, as the theorem ``coq`` of the library in
    :mod:`precls_theory.kernel`; ``coqchk`` is ``"accepted"`` where the independent checker has accepted that library too, and
    empty where it was not run; ``every_size_given`` names what the theorem assumes, ``why_not_every_size`` says in words why
    not. All are empty where no kernel was asked.
    """

    id: str
    title: str
    source: str
    status: Status
    scope: str
    ring: str
    engine: str
    seconds: float
    statement: str = ""
    hypotheses: tuple[str, ...] = ()
    n_points: int = 0
    n_dims: int = 0
    failure_probability_log2: float | None = None
    controls: tuple[ControlRecord, ...] = ()
    detail: Mapping[str, object] = field(default_factory=dict)
    message: str = ""
    every_size: bool = False
    kernel: str | None = None
    coq: str | None = None
    coqchk: str | None = None
    every_size_given: str | None = None
    why_not_every_size: str | None = None
    precls: str = field(default_factory=precls_version)
    versions: dict[str, str] = field(default_factory=versions)

    def to_json(self) -> dict[str, object]:
        """The certificate as a JSON-serialisable dictionary."""
        return asdict(self)

    def save(self, folder: Path) -> Path:
        """Write ``<folder>/<id>.json`` and return its path."""
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / f"{self.id}.json"
        write_output(path, json.dumps(self.to_json(), indent=2, default=str) + "\n")
        return path


def certify(theorem: Theorem, size: Size | None = None) -> Certificate:
    """Run the check of ``theorem`` at ``size`` (the paper's N=20, D=5 by default), then its controls, and record both.

    The theorem is proved when its check says so and refuses every wrong variant that the theorem declares: a check
    that accepts one, and one for which there is none, is ``failed``.
    """
    size = size or Size()
    certificate = partial(
        Certificate, id=theorem.id, title=theorem.title, source=theorem.source, statement=theorem.statement,
        hypotheses=theorem.hypotheses, n_points=size.n_points, n_dims=size.n_dims,
    )  # fmt: skip
    start = time.perf_counter()

    def unproved(
        status: Status,
        message: str,
        detail: Mapping[str, object] | None = None,
        controls: tuple[ControlRecord, ...] = (),
    ) -> Certificate:
        return certificate(
            status=status, scope="", ring="", engine="", seconds=time.perf_counter() - start, message=message,
            detail=detail or {}, controls=controls,
        )  # fmt: skip

    try:
        evidence = theorem.check(size)
    except Refuted as refutation:
        return unproved("refuted", str(refutation), detail={"counterexample": refutation.counterexample})
    except Exception as error:  # the check itself broke: say so, never call it proved
        return unproved("failed", f"{type(error).__name__}: {error}")
    controls = run_controls(theorem)
    accepted = [f"{control['variant']!r} ({control['outcome']})" for control in controls if not control["refused"]]
    if accepted or not controls:
        message = (
            f"the check does not refuse what is wrong: {'; '.join(accepted)}" if controls else "no control was run"
        )
        return unproved("failed", message, controls=controls)
    return certificate(
        status="proved", scope=evidence.scope, ring=evidence.ring, engine=evidence.engine,
        seconds=time.perf_counter() - start, detail=evidence.detail, controls=controls,
        failure_probability_log2=evidence.failure_probability_log2,
    )  # fmt: skip


def run_controls(theorem: Theorem) -> tuple[ControlRecord, ...]:
    """Each wrong variant of ``theorem``, whether its check refused it, and what came out, in words.

    A variant is refused by :class:`Refuted` alone: another error says that the control broke, not that it is wrong.
    """
    results: list[ControlRecord] = []
    for variant in theorem.controls:
        try:
            theorem.run_control(variant)
            refused, outcome = False, "accepted"
        except Refuted as refutation:
            refused, outcome = True, str(refutation)
        except Exception as error:
            refused, outcome = False, f"{type(error).__name__}: {error}"
        results.append({"variant": variant, "refused": refused, "outcome": outcome})
    return tuple(results)
