"""Systems of polynomial equations over Q: Gröbner bases by python-flint, split along factors, so that nothing is lost.

``varieties`` writes the *real* zero set of some polynomials as a union of zero sets of Gröbner bases whose elements are
irreducible. It only ever uses three steps. (i) A product vanishes exactly where one of its factors does: from a member
``Π f_i`` of the ideal follow the cases ``f_1 = 0``; ``f_2 = 0`` (and f_1 ≠ 0); … (ii) A Gröbner basis has the zeros of
what it was computed from. (iii) A sum of squares of monomials is zero at a real point only where each monomial is: a
filter tap h that enters a loss as ``h²(w_1² + w_2² + b²)`` is followed into h = 0 and w_1 = w_2 = b = 0, and not into
the complex cone. So the union over the leaves has all real zeros: the completeness of a decomposition rests on FLINT's
factorisation and Buchberger algorithm alone. The theorems of ``theorems/landscape`` repeat it without them where they
are small: the products of the leaves' equations have powers in the gradient ideal, by SymPy.

Leaves without real points are recognised by a member all of whose monomials are squares with coefficients of one sign
and a constant term: a sum of squares plus a positive number.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

import flint

LIMITS = (2000, 100_000, 100_000)
"""Buchberger's algorithm stops beyond so many polynomials, terms in one, bits of a coefficient."""


class TooLarge(Exception):
    """A Gröbner basis went beyond :data:`LIMITS`: this engine does not reach the system."""


def integral(polynomial: flint.fmpq_mpoly, context: flint.fmpz_mpoly_ctx) -> flint.fmpz_mpoly:
    """An ``fmpq_mpoly`` as a primitive ``fmpz_mpoly`` of ``context`` (same variables, by position)."""
    terms = polynomial.to_dict()
    denominator = flint.fmpz(1)
    for coefficient in terms.values():
        denominator = denominator.lcm(flint.fmpq(coefficient).q)
    return primitive(context.from_dict({m: (flint.fmpq(c) * denominator).p for m, c in terms.items()}))


def primitive(polynomial: flint.fmpz_mpoly) -> flint.fmpz_mpoly:
    """Without common factor of the coefficients, the leading one positive."""
    if not polynomial:
        return polynomial
    result = polynomial.primitive()[1] if isinstance(polynomial.primitive(), tuple) else polynomial.primitive()
    return -result if result.leading_coefficient() < 0 else result


@dataclass(frozen=True, eq=False)
class Variety:
    """The zeros of a reduced Gröbner basis; ``no_real_point`` is a member that shows that there is no real one."""

    basis: tuple[flint.fmpz_mpoly, ...]
    context: flint.fmpz_mpoly_ctx
    no_real_point: flint.fmpz_mpoly | None = None

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(self.context.names())

    def contains(self, polynomial: flint.fmpz_mpoly) -> bool:
        """Whether ``polynomial`` is in the ideal (so that it vanishes on the variety)."""
        if not self.basis:
            return not polynomial
        return not polynomial.reduction_primitive_part(flint.fmpz_mpoly_vec(list(self.basis), self.context))

    def lies_in(self, other: Variety) -> bool:
        """A sufficient condition for this variety to be part of the other: its ideal contains the other's."""
        return all(self.contains(member) for member in other.basis)

    def dimension(self) -> int:
        """Dimension over C: the largest set of variables that no leading monomial is confined to."""
        supports = [frozenset(i for i, e in enumerate(leading_monomial(member)) if e) for member in self.basis]
        size = self.context.nvars()
        for dimension in range(size, -1, -1):
            for chosen in itertools.combinations(range(size), dimension):
                if not any(support <= set(chosen) for support in supports):
                    return dimension
        return -1

    def equations(self) -> list[str]:
        return [str(member) for member in self.basis]


def leading_monomial(polynomial: flint.fmpz_mpoly) -> tuple[int, ...]:
    return tuple(map(int, polynomial.monomial(0)))


def groebner(generators: Iterable[flint.fmpz_mpoly], context: flint.fmpz_mpoly_ctx) -> list[flint.fmpz_mpoly]:
    """The reduced Gröbner basis in the order of ``context``; raises :class:`TooLarge` beyond :data:`LIMITS`."""
    nonzero = [primitive(generator) for generator in generators if generator]
    if not nonzero:
        return []
    basis, finished = flint.fmpz_mpoly_vec(nonzero, context).buchberger_naive(limits=LIMITS)
    if not finished:
        raise TooLarge(f"a Gröbner basis of {len(nonzero)} equations in {context.nvars()} variables is too large")
    return sorted((primitive(member) for member in basis.autoreduction()), key=str)


def positive_witness(generators: Iterable[flint.fmpz_mpoly]) -> flint.fmpz_mpoly | None:
    """One of the polynomials that is, up to sign, a sum of squares of monomials plus a positive constant."""
    for generator in generators:
        terms = generator.to_dict()
        signs = {coefficient > 0 for coefficient in terms.values()}
        even = all(int(e) % 2 == 0 for monomial in terms for e in monomial)
        if even and len(signs) == 1 and (0,) * generator.context().nvars() in terms:
            return generator
    return None


def vanishing_monomials(polynomial: flint.fmpz_mpoly) -> list[flint.fmpz_mpoly]:
    """For ``± Σ c_i m_i²``, c_i > 0, two monomials or more: the radicals of the m_i, all zero at its real zeros. Else empty."""
    terms = polynomial.to_dict()
    one_sign = len({coefficient > 0 for coefficient in terms.values()}) == 1
    if len(terms) < 2 or not one_sign or any(int(e) % 2 for monomial in terms for e in monomial):
        return []
    context = polynomial.context()
    return [context.from_dict({tuple(int(e > 0) for e in monomial): 1}) for monomial in terms]


Basis = Callable[[Iterable[flint.fmpz_mpoly], flint.fmpz_mpoly_ctx], list[flint.fmpz_mpoly]]
"""A Gröbner basis of polynomials of a context."""


def varieties(
    generators: Sequence[flint.fmpz_mpoly], context: flint.fmpz_mpoly_ctx, basis: Basis = groebner
) -> list[Variety]:
    """The real zero set as a union of varieties whose Gröbner bases have irreducible elements; none lies in another.

    ``basis`` is the engine (:func:`precls_theory.landscape.singular.groebner` is another).
    Varieties without real points are kept, with their witness. Raises :class:`TooLarge` where the engine stops.
    """
    leaves = list(_split(list(generators), context, (), basis))
    kept: list[Variety] = []
    for leaf in sorted(leaves, key=lambda leaf: -leaf.dimension()):
        if not any(leaf.lies_in(other) for other in kept):
            kept.append(leaf)
    return kept


def _split(
    generators: list[flint.fmpz_mpoly],
    context: flint.fmpz_mpoly_ctx,
    nonzero: tuple[flint.fmpz_mpoly, ...],
    engine: Basis,
) -> Iterator[Variety]:
    generators = [generator for generator in generators if generator]
    if any(generator.is_constant() for generator in generators):
        return
    witness = positive_witness(generators)
    if witness is not None:
        yield Variety(tuple(generators), context, witness)
        return
    for generator in generators:
        monomials = vanishing_monomials(generator)
        if monomials:
            yield from _split([*monomials, *(g for g in generators if g != generator)], context, nonzero, engine)
            return
    for generator in sorted(generators, key=len):
        _, factors = generator.factor()
        if len(factors) > 1 or factors[0][1] > 1:
            rest = [other for other in generators if other != generator]
            passed: list[flint.fmpz_mpoly] = []
            for factor, _ in factors:
                factor = primitive(factor)
                if not any(factor == other for other in nonzero):
                    yield from _split([factor, *rest], context, (*nonzero, *passed), engine)
                passed.append(factor)
            return
    basis = engine(generators, context)
    if any(member.is_constant() for member in basis):
        return
    leaf = Variety(tuple(basis), context)
    if any(leaf.contains(other) for other in nonzero):
        return
    if {str(member) for member in basis} != {str(primitive(generator)) for generator in generators}:
        yield from _split(basis, context, nonzero, engine)
        return
    yield leaf


def eliminate(variety: Variety, order: Sequence[str]) -> tuple[list[flint.fmpz_mpoly], flint.fmpz_mpoly_ctx]:
    """The Gröbner basis in the lexicographic order with these variables, first the largest, and its context."""
    context = flint.fmpz_mpoly_ctx.get(tuple(order), "lex")
    return groebner((renamed(member, context) for member in variety.basis), context), context


def renamed(polynomial: flint.fmpz_mpoly, context: flint.fmpz_mpoly_ctx) -> flint.fmpz_mpoly:
    """The polynomial in another context, which has its variables by name."""
    places = [list(context.names()).index(name) for name in polynomial.context().names()]
    size = context.nvars()
    terms = {}
    for monomial, coefficient in polynomial.to_dict().items():
        moved = [0] * size
        for place, exponent in zip(places, monomial, strict=True):
            moved[place] = int(exponent)
        terms[tuple(moved)] = coefficient
    return context.from_dict(terms)
