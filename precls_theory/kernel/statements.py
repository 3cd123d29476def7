"""What the claimed theorems state, as Coq prints it, down to the last definition of the library.

A theorem with the right name proves nothing when its statement has become weaker, or when a definition in it has. So the
statement of each claimed theorem is printed with ``Printing All``, where no notation, coercion or implicit argument hides
anything, and with it each definition and inductive type of the library that it names, and those that these name. The SHA-256
of all this text is its fingerprint, and those of the library as it was read and reviewed are in ``statements.json``: a theorem
with another fingerprint is refused. Proofs do not enter, nor does how a source is laid out; definitions of Coq and MathComp
are those that are installed.

After a change of a statement that is meant, ``python -m precls_theory.kernel.statements`` records the new fingerprints; what
changed is then to be read in the sources.
"""

from __future__ import annotations

import hashlib
import json
import re
import tempfile
from collections.abc import Iterable, Mapping
from pathlib import Path

from precls_theory.kernel.library import FILES, LOGICAL_NAME, KernelError, build, compiled_hashes, run_coq
from precls_theory.kernel.sources import without_comments
from precls_theory.kernel.theorems import CERTIFICATES, EVERY_SIZE

RECORDED = Path(__file__).parent / "statements.json"
PRINTED = frozenset(("def", "ind", "rec", "canonstruc", "inst"))
"""Kinds of names, as Coq's index of a module has them, of which the body is part of what a statement says."""
INSIDE = frozenset(("constr", "proj"))
"""Constructors and projections: their type is part of the inductive type that they belong to, which that type names."""
PROVED = frozenset(("prf",))
"""Of lemmas the statement is, and not the proof."""


def claimed() -> list[str]:
    """Every Coq theorem that the registry or a certificate names."""
    return list(dict.fromkeys([*(name for names in EVERY_SIZE.values() for name in names), *CERTIFICATES]))


def recorded() -> dict[str, str]:
    """Fingerprint by theorem, as it is in the package."""
    known: dict[str, str] = json.loads(RECORDED.read_text())
    return known


def require_recorded(names: Iterable[str], library: Path) -> None:
    """Raise :class:`~precls_theory.kernel.library.KernelError` unless each theorem states what was recorded."""
    names, known = list(dict.fromkeys(names)), recorded()
    found = remembered(library)
    if not set(names) <= set(found):
        found |= fingerprints(names, library)
    for name in names:
        if known.get(name) != found[name]:
            raise KernelError(
                f"{name} does not state what it did when it was recorded: its statement, or a definition in it, is another"
            )


def remembered(library: Path) -> dict[str, str]:
    """The fingerprints of the claimed theorems, found once for a build and kept with it."""
    hashes, kept = compiled_hashes(library), library / "statements"
    try:
        document = json.loads(kept.read_text())
        if document["compiled"] == hashes:
            found: dict[str, str] = document["fingerprints"]
            return found
    except (OSError, ValueError, KeyError, TypeError):
        pass  # none yet, or of another build
    printed = texts(library)
    found = fingerprints([name for name in claimed() if name in printed], library, printed)
    kept.write_text(json.dumps({"compiled": hashes, "fingerprints": found}))
    return found


def fingerprints(names: Iterable[str], library: Path, printed: Mapping[str, str] | None = None) -> dict[str, str]:
    """SHA-256 by theorem of its statement and of all definitions of the library below it."""
    printed = printed or texts(library)
    found = {}
    for name in names:
        if name not in printed:
            raise KernelError(f"the library has no theorem {name}")
        below = sorted(reached(name, printed))
        text = "\0".join(f"{below_name}\0{printed[below_name]}" for below_name in [name, *below])
        found[name] = hashlib.sha256(text.encode()).hexdigest()
    return found


def reached(name: str, printed: Mapping[str, str]) -> set[str]:
    """The names of the library that the text of ``name`` mentions, and those that theirs mention."""
    names_of = re.compile(rf"\b(?:{'|'.join(FILES)})\.[A-Za-z_][A-Za-z0-9_']*")
    found: set[str] = set()
    waiting = [name]
    while waiting:
        for mentioned in set(names_of.findall(printed[waiting.pop()])) - found:
            if mentioned not in printed:
                raise KernelError(f"Coq's index of the library does not know {mentioned}")
            found.add(mentioned)
            waiting.append(mentioned)
    return found


def texts(library: Path) -> dict[str, str]:
    """What Coq prints of each name of the library: bodies of definitions, statements of lemmas, in one run."""
    commands = {name: command for module in FILES for name, command in index(library, module).items()}
    places = {name: str(place) for place, name in enumerate(commands)}
    with tempfile.TemporaryDirectory() as work:
        folder = Path(work)
        lines = [
            f"From {LOGICAL_NAME} Require {' '.join(FILES)}.",
            "Set Printing All. Set Printing Width 1000000. Set Printing Depth 1000000.",
            *(f'Redirect "{places[name]}" {command} {LOGICAL_NAME}.{name}.' for name, command in commands.items()),
        ]
        (folder / "statements.v").write_text("\n".join(lines) + "\n")
        run_coq(["statements.v"], folder, library)
        # Which arguments are implicit is a matter of notation, which nothing that is printed here depends on.
        return {
            name: (folder / f"{place}.out").read_text().partition("\nArguments ")[0] for name, place in places.items()
        }


def index(library: Path, module: str) -> dict[str, str]:
    """The names of a module with the command that prints each, from the index that Coq wrote when it compiled it."""
    source = (library / f"{module}.v").read_text()
    commands = {}
    for line in (library / f"{module}.glob").read_text().splitlines():
        kind, _, rest = line.partition(" ")
        if kind not in PRINTED | INSIDE | PROVED:
            continue
        place, _, name = rest.split(" ")
        if re.search(r"\bLet\s+\Z", source[: int(place.partition(":")[0])]):
            continue  # a definition of its section alone
        commands[f"{module}.{name}"] = "Print" if kind in PRINTED else "Check"
    # Coq's index has no constructors of records.
    for name in re.findall(r"\b(?:Record|Structure)\b[^.]*?:=\s*(\w+)\s*\{", without_comments(source)):
        commands[f"{module}.{name}"] = "Check"
    return commands


def record() -> None:
    """Write the fingerprints of the library as it is."""
    found = fingerprints(claimed(), build(progress=print))
    RECORDED.write_text(json.dumps(found, indent=1, sort_keys=True) + "\n")
    print(f"{len(found)} statements in {RECORDED}")


if __name__ == "__main__":
    record()
