"""Certificates of saved networks: the checker of the library, run on the data of a file in the kernel of Coq.

The generated source is a list of integers and two fixed lines: ``certified``, the statement, ``checks``, the checker, and
the proof that the checker is sound, are in the library. The kernel computes the check. The proof is the library's theorem at
the data, so that what both rest on is what it rests on: Coq is asked of the theorem once for a build, and of the data each time.
"""

from __future__ import annotations

import hashlib
import re
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

from constructions.files.reading import CorruptFileError, load
from constructions.networks.base import ExactNetwork
from constructions.networks.network import Network
from constructions.transformers.exact import ExactTransformer
from precls_theory.kernel.attention_export import attention_stream
from precls_theory.kernel.export import NotCovered, stream
from precls_theory.kernel.library import (
    CLOSED,
    LOGICAL_NAME,
    KernelError,
    Progress,
    build,
    find_coq,
    is_rechecked,
    require_closed_once,
    run_coq,
)
from precls_theory.kernel.statements import require_recorded
from precls_theory.kernel.theorems import CERTIFICATES

PART = 400
"""Integers of one definition: Coq parses a list recursively."""
LONG = 64
"""Bits up to which an integer costs nothing to speak of."""
MOST_WORK = 2**31
"""Largest sum of the squares of the lengths, in bits, of the longer integers of a file: Coq multiplies and reduces fractions
in time quadratic in their length, which makes this about two minutes."""


@dataclass(frozen=True)
class Checker:
    """A checker of the library: its module, and there what it decides, what that proves, and the theorem that it does."""

    module: str
    checks: str
    certified: str
    theorem: str

    @property
    def header(self) -> str:
        """What a generated source begins with: no more than what writes down a list of integers."""
        return f"""From Coq Require Import BinInt.
From mathcomp Require Import seq.
From {LOGICAL_NAME} Require Import {self.module}.
Local Open Scope Z_scope.
"""

    @property
    def proof(self) -> str:
        """The theorem on ``network``."""
        # [refine] with the network written out: [apply:] would unfold the check outside the virtual machine, which takes minutes.
        return f"""Theorem proved : {self.certified} network.
Proof. refine (@{self.theorem} network _); vm_cast_no_check (eq_refl true). Qed.
Redirect "assumptions" Print Assumptions network.
"""

    @property
    def full_theorem(self) -> str:
        """The theorem with its module."""
        return f"{self.module}.{self.theorem}"

    @property
    def refusal(self) -> str:
        """What asks for the verdict where the theorem has no proof."""
        return f'Redirect "verdict" Eval vm_compute in ({self.checks} network).\n'


BASECONV = Checker("Decode", "checks", "certified", "certificate")
ATTENTION = Checker("AttentionCertificate", "attention_checks", "attention_certified", "attention_certificate")


@dataclass(frozen=True)
class KernelVerdict:
    """What the kernel says about a file, in how many seconds (building the library not included); ``coqchk`` is ``"accepted"``
    where the independent checker has accepted the compiled library, and ``None`` where it was not run
    (``precls verify --kernel coq --coqchk`` runs it)."""

    verdict: Literal["proved", "refused"]
    sha256: str
    seconds: float
    kernel: str
    theorem: str = "Decode.certificate"
    coqchk: Literal["accepted"] | None = None

    def to_json(self) -> dict[str, object]:
        """JSON-serialisable data."""
        return asdict(self)


def check_file(path: str | Path, progress: Progress = lambda _: None) -> KernelVerdict:
    """Ask the kernel whether the network saved at ``path`` computes what it claims, for all data over every ring.

    Raises :class:`~precls_theory.kernel.export.NotCovered` for an algorithm without a theorem and for rationals of too many
    digits, ``CorruptFileError`` and
    ``OSError`` as :func:`constructions.load`, :class:`KernelError` where Coq breaks down.
    """
    path = Path(path)
    if path.exists() and not path.is_file():
        raise OSError(f"cannot read {path}: it is no regular file")
    content = path.read_bytes()
    before = hashlib.sha256(content).hexdigest()
    network = network_of(content, path)
    if isinstance(network, Network):
        checker, numbers = BASECONV, stream(network)
    elif isinstance(network, ExactTransformer):
        checker, numbers = ATTENTION, attention_stream(network)
    else:
        raise NotCovered(
            f"the kernel has theorems about BaseConv networks and linear attention, and {path} holds a "
            f"{type(network).__name__}"
        )
    require_short(numbers, path)
    library = build(progress=progress)
    require_recorded(CERTIFICATES, library)
    require_closed_once(CERTIFICATES, library)
    progress(f"Coq checks {path}")
    start = time.perf_counter()
    verdict = prove(numbers, library, f"(* SHA-256 of the file: {before} *)\n", checker)
    seconds = time.perf_counter() - start
    rechecked: Literal["accepted"] | None = "accepted" if is_rechecked(library) else None
    return KernelVerdict(verdict, before, seconds, find_coq().name, checker.full_theorem, rechecked)


def network_of(content: bytes, path: Path) -> ExactNetwork:
    """The network in the content of the file at ``path``, which may be another file by now: what is hashed is what is read."""
    with tempfile.TemporaryDirectory() as work:
        copy = Path(work) / "network"
        copy.write_bytes(content)
        try:
            return load(copy)
        except CorruptFileError as error:
            raise CorruptFileError(str(error).replace(str(copy), str(path))) from error


def require_short(numbers: Sequence[int], path: str | Path) -> None:
    """Raise :class:`~precls_theory.kernel.export.NotCovered` for rationals so long that Coq would not come to an end."""
    lengths = [bits for number in numbers if (bits := number.bit_length()) > LONG]
    if (work := sum(bits**2 for bits in lengths)) > MOST_WORK:
        raise NotCovered(
            f"the kernel is not asked about {path}: {len(lengths)} of its integers are longer than {LONG} bits, the longest has "
            f"{max(lengths)}, and Coq's time grows with the squares of their lengths, which sum to {work:.1e} where at most "
            f"{MOST_WORK:.1e} is done; use rationals with shorter numerators and denominators"
        )


def prove(
    numbers: Sequence[int], library: Path, comment: str = "", checker: Checker = BASECONV
) -> Literal["proved", "refused"]:
    """The verdict of the kernel on one network."""
    data = definition("network", numbers)
    with tempfile.TemporaryDirectory() as work:
        folder = Path(work)
        (folder / "certificate.v").write_text(comment + checker.header + data + checker.proof)
        try:
            run_coq(["certificate.v"], folder, library)
        except KernelError as error:
            (folder / "refusal.v").write_text(comment + checker.header + data + checker.refusal)
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
    """The number for Coq, which takes time quadratic in the length of decimal digits, and linear in that of hexadecimal ones."""
    if number.bit_length() <= 64:
        return str(number)
    return hex(number) if number > 0 else f"(-{hex(-number)})"


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


def verdicts(networks: Sequence[Sequence[int]], library: Path, checker: Checker = BASECONV) -> list[bool]:
    """What the checker computes on each of many networks, in one run of Coq; for tests of the checker."""
    answers = []
    with tempfile.TemporaryDirectory() as work:
        folder = Path(work)
        data = "".join(definition(f"network{place}", numbers) for place, numbers in enumerate(networks))
        ask = [
            f'Redirect "v{place}" Eval vm_compute in ({checker.checks} network{place}).\n'
            for place in range(len(networks))
        ]
        (folder / "verdicts.v").write_text(checker.header + data + "".join(ask))
        run_coq(["verdicts.v"], folder, library)
        for place in range(len(networks)):
            match = re.match(r"\s*= (true|false)\s*: bool\s*\Z", (folder / f"v{place}.out").read_text())
            if match is None:
                raise KernelError(f"Coq does not decide on network {place}")
            answers.append(match.group(1) == "true")
    return answers
