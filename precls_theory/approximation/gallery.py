"""Functions on which the approximation theorem is checked and measured: expressions, domain and tolerance."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction

import sympy as sp

_x, _y, _z = sp.symbols("x y z")


@dataclass(frozen=True)
class GalleryFunction:
    """Functions to approximate on ``domain``, all to within ``tolerance``."""

    expressions: tuple[sp.Expr, ...]
    domain: Mapping[sp.Symbol, tuple[Fraction, Fraction]]
    tolerance: Fraction


def _on(low: int, high: int, *variables: sp.Symbol) -> dict[sp.Symbol, tuple[Fraction, Fraction]]:
    return {variable: (Fraction(low), Fraction(high)) for variable in variables}


def franke() -> sp.Expr:
    """Franke's function: four Gaussian bumps on the unit square (Franke 1979), the standard test of surface fitting."""
    quarter = sp.Rational(1, 4)
    return (
        3 * quarter * sp.exp(-quarter * ((9 * _x - 2) ** 2 + (9 * _y - 2) ** 2))
        + 3 * quarter * sp.exp(-((9 * _x + 1) ** 2) / 49 - (9 * _y + 1) / 10)
        + sp.exp(-quarter * ((9 * _x - 7) ** 2 + (9 * _y - 3) ** 2)) / 2
        - sp.exp(-((9 * _x - 4) ** 2) - (9 * _y - 7) ** 2) / 5
    )


def softmax() -> tuple[sp.Expr, ...]:
    """The three outputs of a softmax of three logits."""
    total = sp.exp(_x) + sp.exp(_y) + sp.exp(_z)
    return tuple(sp.exp(logit) / total for logit in (_x, _y, _z))


GALLERY: dict[str, GalleryFunction] = {
    "exp": GalleryFunction((sp.exp(_x),), _on(-1, 1, _x), Fraction(1, 10**12)),
    "sin": GalleryFunction((sp.sin(_x),), _on(-3, 3, _x), Fraction(1, 10**12)),
    "exp(sin 3x)": GalleryFunction((sp.exp(sp.sin(3 * _x)),), _on(-1, 1, _x), Fraction(1, 10**12)),
    "Runge": GalleryFunction((1 / (1 + 25 * _x**2),), _on(-1, 1, _x), Fraction(1, 10**10)),
    "GELU": GalleryFunction((_x * (1 + sp.erf(_x / sp.sqrt(2))) / 2,), _on(-4, 4, _x), Fraction(1, 10**10)),
    "1/x": GalleryFunction((1 / _x,), _on(1, 2, _x), Fraction(1, 10**12)),
    "Franke": GalleryFunction((franke(),), _on(0, 1, _x, _y), Fraction(1, 10**6)),
    "softmax": GalleryFunction(softmax(), _on(-1, 1, _x, _y, _z), Fraction(1, 10**5)),
}
