"""Certificates of saved networks: the checker of the library, run on the data of a file in the kernel of Coq.

The generated source is a list of integers and two fixed lines: ``certified``, the statement, ``checks``, the checker, and
the proof that the checker is sound, are in the library. The kernel computes the check; the theorem must then rest on
nothing but Coq's logic.
"""

from __future__ import annotations

import hashlib
import re
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import flint

from constructions.files.reading import load
from constructions.networks.network import Network
from precls_theory.kernel.export import NotCovered, stream
from precls_theory.kernel.library import CLOSED, LOGICAL_NAME, KernelError, Progress, build, find_coq, run_coq

PART = 400
"""Integers of one definition: Coq parses a list recursively."""
HEADER = f"""From Coq Require Import ZArith.
From mathcomp Require Import ssreflect ssrfun ssrbool eqtype ssrnat seq.
From {LOGICAL_NAME} Require Import Decode.
Local Open Scope Z_scope.
"""
# [refine] with the network written out: [apply:] would unfold the check outside the virtual machine, which takes minutes.
THEOREM = """Theorem proved : certified network.
Proof. refine (@certificate network _); vm_cast_no_check (erefl true). Qed.
Redirect "assumptions" Print Assumptions proved.
"""
REFUSED = 'Redirect "verdict" Eval vm_compute in (checks network).\n'


@dataclass(frozen=True)
class KernelVerdict:
    """What the kernel says about a file, in how many seconds (building the library not included)."""

    verdict: Literal["proved", "refused"]
    sha256: str
    seconds: float
    kernel: str
    theorem: str = "Decode.certificate"

    def to_json(self) -> dict[str, Any]:
        """JSON-serialisable data."""
        return asdict(self)


def check_file(path: str | Path, progress: Progress = lambda _: None) -> KernelVerdict:
    """Ask the kernel whether the network saved at ``path`` computes what it claims, for all data over every ring.

    Raises :class:`~precls_theory.kernel.export.NotCovered` for an algorithm without a theorem, ``CorruptFileError`` and
    ``OSError`` as :func:`constructions.load`, :class:`KernelError` where Coq breaks down.
    """
    path = Path(path)
    before = hashlib.sha256(path.read_bytes()).hexdigest()
    network = load(path)
    if not isinstance(network, Network):
        raise NotCovered(
            f"the kernel has theorems about BaseConv networks, and {path} holds a {type(network).__name__}"
        )
    numbers = stream(network)
    if hashlib.sha256(path.read_bytes()).hexdigest() != before:
        raise OSError(f"{path} changed while it was read")
    library = build(progress=progress)
    progress(f"Coq checks {path}")
    start = time.perf_counter()
    verdict = prove(numbers, library, f"(* SHA-256 of the file: {before} *)\n")
    return KernelVerdict(verdict, before, time.perf_counter() - start, find_coq().name)


def prove(numbers: Sequence[int], library: Path, comment: str = "") -> Literal["proved", "refused"]:
    """The verdict of the kernel on one network."""
    data = definition("network", numbers)
    with tempfile.TemporaryDirectory() as work:
        folder = Path(work)
        (folder / "certificate.v").write_text(comment + HEADER + data + THEOREM)
        try:
            run_coq(["certificate.v"], folder, library)
        except KernelError as error:
            (folder / "refusal.v").write_text(comment + HEADER + data + REFUSED)
            run_coq(["refusal.v"], folder, library)
            printed = (folder / "verdict.out").read_text().split()
            if printed[:2] != ["=", "false"]:
                raise KernelError(f"the check is {' '.join(printed)}, and yet {error}") from error
            return "refused"
        printed_assumptions = (folder / "assumptions.out").read_text().strip()
        if printed_assumptions != CLOSED:
            raise KernelError(f"the certificate rests on something unproved; Coq prints: {printed_assumptions[:1000]}")
        return "proved"


def _digits(number: int) -> str:
    """The decimal digits, however many: ``str`` stops at 4300."""
    return str(flint.fmpz(number))


def definition(name: str, numbers: Sequence[int]) -> str:
    """A list of integers as a Coq definition, in parts."""
    if not all(type(number) is int for number in numbers):
        raise TypeError("a certificate is made of integers alone")
    parts = [numbers[start : start + PART] for start in range(0, len(numbers), PART)]
    lines = [
        f"Definition {name}_{place} : seq Z := [:: {'; '.join(map(_digits, part))}].\n"
        for place, part in enumerate(parts)
    ]
    whole = " ++ ".join(f"{name}_{place}" for place in range(len(parts))) or "[::]"
    return "".join(lines) + f"Definition {name} : seq Z := {whole}.\n"


def verdicts(networks: Sequence[Sequence[int]], library: Path) -> list[bool]:
    """What the checker computes on each of many networks, in one run of Coq; for tests of the checker."""
    answers = []
    with tempfile.TemporaryDirectory() as work:
        folder = Path(work)
        data = "".join(definition(f"network{place}", numbers) for place, numbers in enumerate(networks))
        ask = [f'Redirect "v{place}" Eval vm_compute in (checks network{place}).\n' for place in range(len(networks))]
        (folder / "verdicts.v").write_text(HEADER + data + "".join(ask))
        run_coq(["verdicts.v"], folder, library)
        for place in range(len(networks)):
            match = re.match(r"\s*= (true|false)\s*: bool\s*\Z", (folder / f"v{place}.out").read_text())
            if match is None:
                raise KernelError(f"Coq does not decide on network {place}")
            answers.append(match.group(1) == "true")
    return answers
