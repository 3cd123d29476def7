"""Singular, where it is installed, as an accelerator: its Gröbner bases are re-checked, never trusted.

Buchberger's algorithm in FLINT stops at systems that Singular's ``liftstd`` still does. It answers with a basis G *and* a
matrix T such that ``G = F T`` for the equations F. Multiplying out in FLINT shows that every member of G is in the ideal
of F, so F and G ∪ F have the same zeros, whatever Singular did: that is all that the decomposition of
:mod:`precls_theory.landscape.ideals` needs. FLINT then computes the Gröbner basis of G ∪ F itself, which is quick when G
is one. An answer that does not multiply out raises :class:`Disproved`; one that is late or absent leaves the system
unresolved, as without Singular.

Debian: ``apt install singular``.
"""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterable, Sequence
from functools import partial

import flint

from precls_theory.landscape.ideals import TooLarge, Variety, integral, primitive, varieties
from precls_theory.landscape.ideals import groebner as by_flint

SECONDS = 60.0
"""Time that one basis may take."""

SCRIPT = """
ring r = 0, ({names}), dp;
ideal f = {generators};
matrix t;
ideal g = liftstd(f, t);
proc show(poly p) {{ while (p != 0) {{ print(string(leadcoef(p)) + " " + string(leadexp(p))); p = p - lead(p); }} print("."); }}
print("begin");
int j; int k;
for (k = 1; k <= ncols(g); k++) {{ show(g[k]); for (j = 1; j <= ncols(f); j++) {{ show(t[j, k]); }} }}
print("end");
quit;
"""


class Disproved(ArithmeticError):
    """An answer of Singular that does not multiply out."""


def available() -> bool:
    """Whether there is a program ``Singular``."""
    return shutil.which("Singular") is not None


def run(script: str, seconds: float) -> str:
    """What Singular prints; ``TooLarge`` when it is not there, is late or fails."""
    program = shutil.which("Singular")
    if program is None:
        raise TooLarge("Singular is not installed (Debian: apt install singular)")
    try:
        done = subprocess.run(
            [program, "-q"], input=script, capture_output=True, text=True, timeout=seconds, check=False
        )
    except subprocess.TimeoutExpired as error:
        raise TooLarge(f"Singular did not finish in {seconds:.0f} s") from error
    if done.returncode < 0:
        raise TooLarge("Singular was stopped by a limit of the system")
    return done.stdout


def lifted(
    generators: Sequence[flint.fmpz_mpoly], context: flint.fmpz_mpoly_ctx, seconds: float = SECONDS
) -> tuple[list[flint.fmpq_mpoly], list[list[flint.fmpq_mpoly]]]:
    """Singular's (G, T): polynomials over Q and for each its cofactors of the generators. Nothing is checked here."""
    names = [f"x({index})" for index in range(1, context.nvars() + 1)]
    plain = flint.fmpz_mpoly_ctx.get(tuple(names), "degrevlex")
    shown = ", ".join(str(plain.from_dict(dict(generator.to_dict()))) for generator in generators)
    output = run(SCRIPT.format(names=", ".join(names), generators=shown), seconds)
    if "begin\n" not in output or not output.rstrip().endswith("end"):
        raise TooLarge(f"Singular failed on {len(generators)} equations: {output.strip()[-200:] or 'no output'}")
    rational = flint.fmpq_mpoly_ctx.get(tuple(context.names()), "degrevlex")
    polynomials: list[flint.fmpq_mpoly] = []
    terms: dict[tuple[int, ...], flint.fmpq] = {}
    for line in output.split("begin\n", 1)[1].splitlines()[:-1]:
        if line == ".":
            polynomials.append(rational.from_dict(terms))
            terms = {}
        else:
            coefficient, exponents = line.split(" ", 1)
            top, _, bottom = coefficient.partition("/")
            terms[tuple(int(e) for e in exponents.split(","))] = flint.fmpq(int(top), int(bottom or 1))
    width = len(generators) + 1
    rows = [polynomials[i : i + width] for i in range(0, len(polynomials), width)]
    return [row[0] for row in rows], [row[1:] for row in rows]


def check(
    generators: Sequence[flint.fmpz_mpoly],
    basis: Sequence[flint.fmpq_mpoly],
    cofactors: Sequence[Sequence[flint.fmpq_mpoly]],
) -> None:
    """``basis = cofactors · generators``, multiplied out in FLINT; :class:`Disproved` where it is not."""
    if not basis:
        return
    context = basis[0].context()
    over_q = [context.from_dict(dict(generator.to_dict())) for generator in generators]
    for index, (member, row) in enumerate(zip(basis, cofactors, strict=True)):
        total = context.constant(0)
        for cofactor, generator in zip(row, over_q, strict=True):
            total += cofactor * generator
        if total != member:
            raise Disproved(f"member {index} of the basis is not the combination of the equations that Singular gave")


def groebner(
    generators: Iterable[flint.fmpz_mpoly], context: flint.fmpz_mpoly_ctx, seconds: float = SECONDS
) -> list[flint.fmpz_mpoly]:
    """As :func:`precls_theory.landscape.ideals.groebner`, which is tried first, then helped by Singular."""
    nonzero = [primitive(generator) for generator in generators if generator]
    try:
        return by_flint(nonzero, context)
    except TooLarge:
        basis, cofactors = lifted(nonzero, context, seconds)
    check(nonzero, basis, cofactors)
    return by_flint([*(integral(member, context) for member in basis), *nonzero], context)


def decompose(
    generators: Sequence[flint.fmpz_mpoly], context: flint.fmpz_mpoly_ctx, seconds: float = SECONDS
) -> list[Variety]:
    """As :func:`precls_theory.landscape.ideals.varieties`, with Singular's help where FLINT stops."""
    return varieties(generators, context, partial(groebner, seconds=seconds))
