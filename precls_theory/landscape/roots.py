"""Real roots of polynomials over Q, in balls, and signs and values at them: what is exact of a real algebraic number."""

from __future__ import annotations

from functools import cmp_to_key

import flint


def sign(value: flint.fmpq) -> int:
    return (value > 0) - (value < 0)


def real_roots(polynomial: flint.fmpq_poly, precision: int = 128) -> list[flint.arb]:
    """The real roots of a polynomial without multiple roots, in increasing order, in disjoint balls."""
    old = flint.ctx.prec
    try:
        flint.ctx.prec = precision
        roots = [root for root, _ in polynomial.numer().complex_roots()]
        return sorted((root.real for root in roots if root.imag == 0), key=cmp_to_key(_order))
    finally:
        flint.ctx.prec = old


def _order(left: flint.arb, right: flint.arb) -> int:
    """The order of disjoint balls."""
    if left < right:
        return -1
    if right < left:
        return 1
    raise ArithmeticError("two real roots were not separated")


def at_ball(polynomial: flint.fmpq_poly, ball: flint.arb) -> flint.arb:
    """The polynomial at a ball, at the working precision."""
    return flint.arb_poly(polynomial)(ball)


def at_root(value: flint.fmpq_poly, modulus: flint.fmpq_poly, index: int) -> float:
    """An element of Q(θ) at the real root with this index, to the accuracy of a float."""
    precision = 128
    old = flint.ctx.prec
    try:
        while precision <= 1 << 16:
            flint.ctx.prec = precision
            ball = at_ball(value % modulus, real_roots(modulus, precision)[index])
            if ball.rel_accuracy_bits() > 60 or not value % modulus:
                return float(ball.mid())
            precision *= 2
    finally:
        flint.ctx.prec = old
    raise ArithmeticError("a value was not found to 60 bits at 65536 bits")


def sign_at(value: flint.fmpq_poly, modulus: flint.fmpq_poly, root: int) -> int:
    """The sign of an element of Q[θ]/modulus at the real root with this index; zero only when it is zero exactly."""
    if not value % modulus:
        return 0
    precision = 128
    while precision <= 1 << 16:
        old = flint.ctx.prec
        flint.ctx.prec = precision
        try:
            ball = at_ball(value % modulus, real_roots(modulus, precision)[root])
        finally:
            flint.ctx.prec = old
        if ball > 0:
            return 1
        if ball < 0:
            return -1
        precision *= 2
    raise ArithmeticError("a sign was not decided at 65536 bits")
