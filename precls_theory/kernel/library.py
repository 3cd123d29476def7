"""The Coq library: found, built once, and asked what its theorems rest on.

A build lies in the user's cache directory under the hash of the sources and of the version of Coq, with a list of the
hashes of what Coq wrote: a build that is damaged or mixed with another is made again. (Who can write there and changes the
list as well is not kept out; nor is who can replace ``coqc``.) What sources may contain is said in
:mod:`~precls_theory.kernel.sources`. A theorem counts only where Coq prints ``Closed under the global context`` for it: an
axiom, a parameter, an admitted lemma or any other line is refused.
Errors are :class:`KernelError`, and :class:`KernelMissing` where there is no Coq.
"""

from __future__ import annotations

import hashlib
import os
import re
import resource
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from functools import cache
from graphlib import TopologicalSorter
from pathlib import Path

from precls_theory.kernel.sources import SourceError, require_allowed, without_comments

SOURCES = Path(__file__).parent / "coq"
FILES = (
    "Scalars", "Network", "NormalForm", "Descent", "Families", "Gradient", "Newton", "Residual", "Primitives",
    "Layouts", "Algorithms", "Certificate", "Soundness", "Literal", "Widths", "NetworkWidths", "ChebyshevError",
    "Decode", "Evaluator", "Operators", "LowerBound", "LayoutMistake", "Growth", "Gated", "LinearAttention", "Ternary",
    "CausalAttention", "Attention", "AttentionModels", "AttentionCertificate",
)  # fmt: skip
"""Modules of the library, each after those that it uses."""
LOGICAL_NAME = "Precls"
INSTALL = "apt-get install --no-install-recommends coq libcoq-mathcomp-algebra"
CLOSED = "Closed under the global context"
SECONDS = 1800
"""Longest run of one Coq process."""

COMPLETE = "complete"
"""The file of a finished build: the SHA-256 of each compiled module."""
RECHECKED = "coqchk"
"""The file of a build that ``coqchk`` has accepted: the same hashes."""
_VERSION = re.compile(r"[0-9]+\.[0-9][A-Za-z0-9.+-]*\Z")

Progress = Callable[[str], None]


class KernelError(RuntimeError):
    """Coq refused, or said something that is not understood: nothing counts as proved."""


class KernelMissing(KernelError):
    """There is no Coq here, or not MathComp."""


@dataclass(frozen=True)
class Coq:
    """An installed Coq."""

    coqc: str
    version: str

    @property
    def name(self) -> str:
        """``coq 8.16.1``: how certificates name the kernel."""
        return f"coq {self.version}"


@cache
def find_coq() -> Coq:
    """The Coq on the path; :class:`KernelMissing` says how to install one."""
    coqc = shutil.which("coqc")
    if coqc is None:
        raise KernelMissing(f"there is no Coq here (no coqc on the path): on Debian or Ubuntu, {INSTALL}")
    printed = subprocess.run([coqc, "--print-version"], capture_output=True, text=True, check=False).stdout.split()
    if not printed or not _VERSION.match(printed[0]):
        raise KernelMissing(f"{coqc} does not tell its version: on Debian or Ubuntu, {INSTALL}")
    return Coq(coqc, printed[0])


def content_hash(sources: Path) -> str:
    """SHA-256 of the sources of the library, in order."""
    digest = hashlib.sha256()
    for name in FILES:
        digest.update(f"{name}\0".encode() + (sources / f"{name}.v").read_bytes() + b"\0")
    return digest.hexdigest()


def cache_folder() -> Path:
    """The user's cache directory of the package."""
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "precls" / "coq"


def build(sources: Path | None = None, progress: Progress = lambda _: None) -> Path:
    """The folder of the compiled library; compiled where the cache does not have it.

    ``progress`` is told each file. Raises :class:`KernelError` with Coq's words where a proof does not check, and where a
    source contains a word that could leave something unproved.
    """
    coq, sources = find_coq(), sources or SOURCES
    target = cache_folder() / f"{content_hash(sources)[:24]}-{coq.version}"
    if is_intact(target):
        return target
    for name in FILES:
        try:
            require_allowed((sources / f"{name}.v").read_text())
        except (SourceError, UnicodeDecodeError) as error:
            raise KernelError(f"{name}.v is not a source of the library: {error}") from error
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=target.parent) as work:
        folder = Path(work) / "library"
        folder.mkdir()
        for name in FILES:
            shutil.copy(sources / f"{name}.v", folder)
        compile_all(folder, progress)
        (folder / COMPLETE).write_text(compiled_hashes(folder))
        if target.exists() and not is_intact(target):
            target.rename(Path(work) / "damaged")
        try:
            folder.rename(target)
        except OSError:  # another process was first
            if not is_intact(target):
                raise
    return target


def compiled_hashes(folder: Path) -> str:
    """The SHA-256 of each compiled module in ``folder``, a line each; :class:`KernelError` where Coq wrote none."""
    for name in FILES:
        if not (folder / f"{name}.vo").is_file():
            raise KernelError(
                f"{find_coq().coqc} accepted {name}.v, and yet wrote no {name}.vo: it does not act as Coq does"
            )
    return "".join(f"{hashlib.sha256((folder / f'{name}.vo').read_bytes()).hexdigest()}  {name}.vo\n" for name in FILES)


def is_intact(folder: Path) -> bool:
    """Is this a finished build, with every compiled module as Coq wrote it?"""
    try:
        return (folder / COMPLETE).read_text() == compiled_hashes(folder)
    except (OSError, UnicodeDecodeError, KernelError):
        return False


def compile_all(folder: Path, progress: Progress) -> None:
    """Compile the sources in ``folder``, each as soon as those that it requires are, on as many cores as there are (4 at
    most: each takes half a gigabyte)."""
    order = TopologicalSorter({name: requirements((folder / f"{name}.v").read_text()) for name in FILES})
    order.prepare()
    running: dict[Future[str], str] = {}
    with ThreadPoolExecutor(min(4, os.cpu_count() or 1)) as pool:
        try:
            while order.is_active():
                for name in order.get_ready():
                    running[pool.submit(run_coq, [f"{name}.v"], folder, folder)] = name
                    progress(f"Coq checks {name}.v")
                done, _ = wait(running, return_when=FIRST_COMPLETED)
                for future in done:
                    future.result()
                    order.done(running.pop(future))
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def requirements(source: str) -> set[str]:
    """The modules of the library that a source requires."""
    found = re.findall(rf"From {LOGICAL_NAME} Require(?: Import)? ([\w\s]+)\.", without_comments(source))
    return {name for names in found for name in names.split()}


def run_coq(arguments: Sequence[str], folder: Path, library: Path) -> str:
    """Standard output of ``coqc`` on files in ``folder``, with the library at hand; :class:`KernelError` where it fails."""
    coq = find_coq()

    def deep_stack() -> None:  # a network is one long term
        _, hard = resource.getrlimit(resource.RLIMIT_STACK)
        resource.setrlimit(resource.RLIMIT_STACK, (hard, hard))

    try:
        done = subprocess.run(
            [coq.coqc, "-q", "-w", "none", "-Q", str(library), LOGICAL_NAME, *arguments], cwd=folder, text=True,
            capture_output=True, timeout=SECONDS, check=False, preexec_fn=deep_stack,
        )  # fmt: skip
    except subprocess.TimeoutExpired as error:
        raise KernelError(f"Coq took more than {SECONDS} s on {' '.join(arguments)}") from error
    if done.returncode:
        message = done.stderr.strip() or f"exit code {done.returncode}"
        if "mathcomp" in message and "Cannot find" in message:
            raise KernelMissing(f"Coq is here, but MathComp is not: on Debian or Ubuntu, {INSTALL}")
        raise KernelError(f"Coq refuses {' '.join(arguments)}: {message[:2000]}")
    return done.stdout


_NAME = re.compile(r"[A-Z][A-Za-z0-9_]*\.[A-Za-z][A-Za-z0-9_']*\Z")


def assumptions(names: Iterable[str], library: Path) -> dict[str, str]:
    """What Coq prints that each theorem ``Module.name`` rests on, word for word."""
    names = list(dict.fromkeys(names))
    for name in names:
        if not _NAME.match(name) or name.split(".")[0] not in FILES:
            raise KernelError(f"{name!r} does not name a theorem of the library")
    with tempfile.TemporaryDirectory() as work:
        folder = Path(work)
        lines = [f"From {LOGICAL_NAME} Require {' '.join(FILES)}."]
        lines += [
            f'Redirect "{place}" Print Assumptions {LOGICAL_NAME}.{name}.\nRedirect "{place}s" Check {LOGICAL_NAME}.{name}.'
            for place, name in enumerate(names)
        ]
        (folder / "assumptions.v").write_text("\n".join(lines) + "\n")
        run_coq(["assumptions.v"], folder, library)
        return {name: (folder / f"{place}.out").read_text().strip() for place, name in enumerate(names)}


def require_closed(names: Iterable[str], library: Path) -> None:
    """Raise :class:`KernelError` unless each of these theorems rests on nothing but Coq's logic."""
    for name, printed in assumptions(names, library).items():
        if printed != CLOSED:
            raise KernelError(f"{name} rests on something unproved; Coq prints: {printed[:1000] or 'nothing'}")


def recheck(library: Path) -> None:
    """Check the compiled library again with ``coqchk``, which is a second, smaller program; the build remembers it."""
    hashes = compiled_hashes(library)
    coqchk = shutil.which("coqchk")
    if coqchk is None:
        raise KernelMissing(f"there is no coqchk here: on Debian or Ubuntu, {INSTALL}")
    arguments = [
        coqchk,
        "-silent",
        "-o",
        "-Q",
        str(library),
        LOGICAL_NAME,
        *(f"{LOGICAL_NAME}.{name}" for name in FILES),
    ]
    done = subprocess.run(arguments, capture_output=True, text=True, timeout=SECONDS, check=False)
    printed = done.stdout + done.stderr
    if done.returncode:
        raise KernelError(f"coqchk refuses the library: {printed.strip()[:2000]}")
    sections = re.findall(r"^\* ([^\n:]+):\s*(<none>|[^*]*)", printed, flags=re.MULTILINE)
    open_ends = [
        f"{title}: {found.strip()}" for title, found in sections if title != "Theory" and found.strip() != "<none>"
    ]
    if not sections or open_ends:
        raise KernelError(f"coqchk reports {'; '.join(open_ends) or 'nothing that can be read'}")
    (library / RECHECKED).write_text(hashes)


def is_rechecked(library: Path) -> bool:
    """Has ``coqchk`` accepted these compiled modules?"""
    try:
        return (library / RECHECKED).read_text() == compiled_hashes(library)
    except (OSError, UnicodeDecodeError, KernelError):
        return False
