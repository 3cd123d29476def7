"""SymPy expressions and their variables, however they are held: what the compilers are given."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

import numpy as np
import sympy as sp
from sympy.polys.rings import PolyElement


def as_expressions(given: object) -> list[sp.Expr | str]:
    """The entries of a list, tuple, iterator, NumPy array or SymPy matrix one by one, or the one expression given.

    SymPy's polynomials (``Poly``, elements of ``ring``) become expressions; nothing else is converted or checked.
    Raises ``ValueError`` for polynomials over a finite field.
    """
    if isinstance(given, np.ndarray):
        entries = list(given.flat)
    else:
        entries = list(given) if isinstance(given, list | tuple | Iterator | sp.MatrixBase) else [given]
    return [_expression(entry) for entry in entries]


def _expression(entry: object) -> sp.Expr | str:
    if not isinstance(entry, sp.Poly | PolyElement):
        return entry
    domain = entry.domain if isinstance(entry, sp.Poly) else entry.ring.domain
    if domain.is_FiniteField:
        raise ValueError(f"{entry} has coefficients in {domain}: expected rational coefficients")
    return entry.as_expr()


def as_symbols(given: object, expressions: Iterable[object]) -> list[sp.Symbol]:
    """Variables as symbols: a list of symbols or names, one symbol, or names in one text (``"x y"``).

    A name stands for the symbol of that name in the expressions, whatever is assumed of it. Raises ``TypeError`` for
    other objects and ``ValueError`` for names that occur twice and for symbols that do not commute.
    """
    if isinstance(given, str):
        given = given.replace(",", " ").split()
    if isinstance(given, sp.Symbol):
        given = [given]
    if not isinstance(given, Iterable):
        raise TypeError(f"variables must be a list of SymPy symbols or names, got {given!r}")
    used = {symbol.name: symbol for e in expressions if isinstance(e, sp.Basic) for symbol in e.free_symbols}
    symbols = [used.get(entry, sp.Symbol(entry)) if isinstance(entry, str) else entry for entry in given]
    for symbol in symbols:
        if not isinstance(symbol, sp.Symbol):
            raise TypeError(f"variables are SymPy symbols or names, got {type(symbol).__name__}: {symbol!r}")
        if not symbol.is_commutative:
            raise ValueError(f"the variable {symbol} does not commute: networks multiply numbers")
    names = [symbol.name for symbol in symbols]
    if len(set(names)) != len(names):
        raise ValueError(f"variables must have distinct names, got {', '.join(names)}")
    return symbols


def unknown_symbols(expression: sp.Expr, symbols: Sequence[sp.Symbol]) -> str:
    """The names of the symbols of the expression that are not among the variables: empty when all are.

    Raises ``ValueError`` for one that has the name of a variable and is another symbol.
    """
    unknown = {symbol.name for symbol in expression.free_symbols - set(symbols)}
    for name in sorted(unknown & {symbol.name for symbol in symbols}):
        raise ValueError(
            f"{name} in the expression is not the variable {name}, but a symbol of that name with other assumptions: "
            "use one symbol for both, or give the variable by its name"
        )
    return ", ".join(sorted(unknown))
