"""What the sources of the Coq library may contain: the first of two guards.

A source is ASCII. Its comments nest and its strings are read as Coq reads them, inside comments too, so that neither can hide
a command. Each sentence that begins as a command must be one of :data:`COMMANDS`; what a section generalises over is
declared inside a section. So there is no axiom, no ``Module Type`` to hold one, no option that weakens the kernel, and
nothing that loads code. The second guard, which does not depend on reading sources, is what Coq prints that a theorem rests
on (:func:`precls_theory.kernel.library.require_closed`), and what it states (:mod:`precls_theory.kernel.statements`).
"""

from __future__ import annotations

import re

FORBIDDEN = re.compile(
    r"\b(Axioms?|Parameters?|Conjectures?|Admitted|Admit|admit|give_up|Abort|bypass_check|type_in_type|(Set|Unset)\s+"
    r"(Guard|Positivity|Universe)\s+Checking|Primitive|Declare|Extract|Extraction|Load|Redirect|Module|Include|Drop|Cd)\b|#\["
)
"""Words that no source may contain outside comments and strings, wherever they stand."""
COMMANDS = frozenset(
    (
        "Lemma", "Theorem", "Proof", "Qed", "Definition", "Fixpoint", "Inductive", "Record", "Structure", "Canonical",
        "Notation", "Section", "End", "Implicit", "Arguments", "From", "Import", "Delimit", "Close",
    )
)  # fmt: skip
"""What a sentence may begin with."""
SECTION_COMMANDS = frozenset(["Variable", "Variables", "Hypothesis", "Hypotheses", "Let"])
"""Further, inside a section, which generalises over what they declare."""
SENTENCES = frozenset(
    (
        "Set Implicit Arguments", "Unset Strict Implicit", "Unset Printing Implicit Defensive",
        "Local Open Scope ring_scope", "Local Open Scope Q_scope",
    )
)  # fmt: skip
"""Options and scopes."""
_TOKEN = re.compile(r'"(?:[^"]|"")*"|\(\*|\*\)|"')


class SourceError(ValueError):
    """A source contains what the library does not allow."""


def without_comments(source: str) -> str:
    """A Coq source without its comments, which nest, and with its strings emptied.

    Raises :class:`SourceError` where a comment or a string is not closed, for what comes after could be either.
    """
    kept, depth, place = [], 0, 0
    for token in _TOKEN.finditer(source):
        if not depth:
            kept.append(source[place : token.start()])
        place, text = token.end(), token.group()
        if text == '"':
            raise SourceError("a string is not closed")
        if text == "(*":
            depth += 1
        elif text == "*)" and depth:
            depth -= 1
            kept.append(" ")
        elif not depth:
            kept.append('""' if text.startswith('"') else text)
    if depth:
        raise SourceError("a comment is not closed")
    return "".join([*kept, source[place:]])


def sentences(source: str) -> list[str]:
    """The sentences, each without bullets, braces and its full stop: a full stop ends one where a blank follows."""
    parts = re.split(r"\.(?=\s|\Z)", without_comments(source))
    return [words for part in parts if (words := " ".join(re.sub(r"\A[-+*{}\s]+", "", part).split()))]


def require_allowed(source: str) -> None:
    """Raise :class:`SourceError` for a source with anything that could leave something unproved."""
    if not source.isascii():
        raise SourceError(f"it contains {next(c for c in source if not c.isascii())!r}: the library is ASCII")
    found = FORBIDDEN.search(without_comments(source))
    if found:
        raise SourceError(f"it contains {found.group(0)!r}: the library admits nothing")
    depth = 0
    for sentence in sentences(source):
        word = re.match(r"[A-Za-z_]*", sentence)[0]  # type: ignore[index]
        if not word[:1].isupper() or sentence in SENTENCES:
            continue
        if not (word in COMMANDS or (depth and word in SECTION_COMMANDS)):
            raise SourceError(
                f"the command {word} is not one that the library uses{'' if depth else ' outside sections'}"
            )
        depth += (word == "Section") - (word == "End")
        if depth < 0:
            raise SourceError("it ends a section that it does not begin")
    if depth:
        raise SourceError("a section does not end")
