"""The Coq library: found, built once, and asked what its theorems rest on.

A build lies in the user's cache directory under the hash of the sources and of the version of Coq, with a list of the
hashes of what Coq wrote: a build that is damaged or mixed with another is made again. (Who can write there and changes the
list as well is not kept out; nor is who can replace ``coqc``.) Coq takes MathComp from where it is installed, and from nowhere
else that an environment or a home directory names: another ``seq`` could read other data than those of a file.
What sources may contain is said in
:mod:`~precls_theory.kernel.sources`. A theorem counts only where Coq prints ``Closed under the global context`` for a term that
holds it: an axiom, a parameter, an admitted lemma or any other line is refused.
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
from collections.abc import Callable, Iterable, Mapping, Sequence, Set
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from functools import cache
from graphlib import TopologicalSorter
from heapq import heappop, heappush
from pathlib import Path

from precls_theory.kernel.sources import SourceError, require_allowed, without_comments

SOURCES = Path(__file__).parent / "coq"
FILES = (
    "Scalars", "Network", "NormalForm", "Descent", "Families", "Gradient", "Newton", "Residual", "Primitives",
    "Layouts", "Algorithms", "Certificate", "Soundness", "Literal", "Widths", "NetworkWidths", "ChebyshevError",
    "Decode", "Evaluator", "Operators", "LowerBound", "Unmasked", "Growth", "Gated", "LinearAttention", "Ternary",
    "CausalAttention", "Attention", "AttentionModels", "AttentionCertificate",
)  # fmt: skip
"""Modules of the library, each after those that it uses."""
LOGICAL_NAME = "Precls"
INSTALL = "apt-get install --no-install-recommends coq libcoq-mathcomp-algebra"
CLOSED = "Closed under the global context"
LOADING = 5000
"""Characters of proofs that take Coq about as long as MathComp takes to load."""
SECONDS = 1800
"""Longest run of one Coq process."""

COMPLETE = "complete"
"""The file of a finished build: the SHA-256 of each compiled module."""
CLOSED_THEOREMS = "closed"
"""The file of a build with the theorems that Coq has said to be closed: the same hashes, and their names."""
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
    sources = sources or SOURCES
    target = place_of(sources)
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


def is_built() -> bool:
    """Does the cache have the library, so that :func:`build` compiles nothing?"""
    return is_intact(place_of(SOURCES))


def place_of(sources: Path) -> Path:
    """Where the cache has the build of these sources."""
    return cache_folder() / f"{content_hash(sources)[:24]}-{find_coq().version}"


def compile_all(folder: Path, progress: Progress) -> None:
    """Compile the sources in ``folder``, each as soon as those that it requires are, on as many cores as there are (4 at
    most: each takes half a gigabyte). Of those that are ready, the one that the most waits for comes first."""
    sources = {name: (folder / f"{name}.v").read_text() for name in FILES}
    required = {name: requirements(source) for name, source in sources.items()}
    waiting = waiting_for(required, {name: len(source) + LOADING for name, source in sources.items()})
    order = TopologicalSorter(required)
    order.prepare()
    n_at_a_time = min(4, os.cpu_count() or 1)
    ready: list[tuple[int, str]] = []
    running: dict[Future[str], str] = {}
    with ThreadPoolExecutor(n_at_a_time) as pool:
        try:
            while order.is_active():
                for name in order.get_ready():
                    heappush(ready, (-waiting[name], name))
                while ready and len(running) < n_at_a_time:
                    _, name = heappop(ready)
                    running[pool.submit(run_coq, [f"{name}.v"], folder, folder)] = name
                    progress(f"Coq checks {name}.v")
                done, _ = wait(running, return_when=FIRST_COMPLETED)
                for future in done:
                    future.result()
                    order.done(running.pop(future))
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def waiting_for(required: Mapping[str, Set[str]], costs: Mapping[str, int]) -> dict[str, int]:
    """By module the cost of the longest chain that begins with it, each module required by the next."""
    longest = dict(costs)
    for name in reversed([*TopologicalSorter(required).static_order()]):
        for earlier in required.get(name, ()):
            longest[earlier] = max(longest.get(earlier, 0), costs.get(earlier, 0) + longest.get(name, 0))
    return longest


def requirements(source: str) -> set[str]:
    """The modules of the library that a source requires."""
    found = re.findall(rf"From {LOGICAL_NAME} Require(?: Import)? ([\w\s]+)\.", without_comments(source))
    return {name for names in found for name in names.split()}


def environment() -> dict[str, str]:
    """The environment for Coq, without what leads it to other libraries and plugins than those that it is installed with.

    Besides its variables Coq reads ``coq`` in each of XDG's folders of data, of which there are none below a device.
    """
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("COQ", "OCAML", "CAML"))}
    return kept | {"XDG_DATA_HOME": os.devnull, "XDG_DATA_DIRS": os.devnull}


def run_coq(arguments: Sequence[str], folder: Path, library: Path) -> str:
    """Standard output of ``coqc`` on files in ``folder``, with the library at hand; :class:`KernelError` where it fails."""
    coq = find_coq()

    def deep_stack() -> None:  # a network is one long term
        _, hard = resource.getrlimit(resource.RLIMIT_STACK)
        resource.setrlimit(resource.RLIMIT_STACK, (hard, hard))

    try:
        done = subprocess.run(
            [coq.coqc, "-q", "-w", "none", "-Q", str(library), LOGICAL_NAME, *arguments], cwd=folder, text=True,
            capture_output=True, timeout=SECONDS, check=False, preexec_fn=deep_stack, env=environment(),
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


def assumptions(names: Iterable[str], library: Path) -> str:
    """What Coq prints that these theorems ``Module.name`` rest on, all together, word for word: it is asked of one term that
    holds them all, because what they share it looks through once for each term that it is asked of."""
    names = list(dict.fromkeys(names))
    for name in names:
        if not _NAME.match(name) or name.split(".")[0] not in FILES:
            raise KernelError(f"{name!r} does not name a theorem of the library")
    with tempfile.TemporaryDirectory() as work:
        folder = Path(work)
        theorems = ", ".join(f"@{LOGICAL_NAME}.{name}" for name in names)
        lines = [
            f"From {LOGICAL_NAME} Require {' '.join(FILES)}.",
            f"Definition claimed := ({theorems}).",
            'Redirect "claimed" Print Assumptions claimed.',
        ]
        (folder / "assumptions.v").write_text("\n".join(lines) + "\n")
        run_coq(["assumptions.v"], folder, library)
        return (folder / "claimed.out").read_text().strip()


def require_closed(names: Iterable[str], library: Path) -> None:
    """Raise :class:`KernelError` unless these theorems rest on nothing but Coq's logic; it names the first that does not."""
    names = list(names)
    if not names or assumptions(names, library) == CLOSED:
        return
    for name in names:
        if (printed := assumptions([name], library)) != CLOSED:
            raise KernelError(f"{name} rests on something unproved; Coq prints: {printed[:1000] or 'nothing'}")
    raise KernelError(f"{', '.join(names)} rest on something unproved together, and none of them alone")


def require_closed_once(names: Iterable[str], library: Path) -> None:
    """As :func:`require_closed`, which Coq is asked once for a build; the build remembers it."""
    names, hashes, kept = list(names), compiled_hashes(library), library / CLOSED_THEOREMS
    try:
        if kept.read_text().split("\n\n") == [hashes.strip(), "\n".join(names)]:
            return
    except (OSError, UnicodeDecodeError):
        pass  # not asked yet
    require_closed(names, library)
    kept.write_text("\n\n".join([hashes.strip(), "\n".join(names)]))


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
    done = subprocess.run(arguments, capture_output=True, text=True, timeout=SECONDS, check=False, env=environment())
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
