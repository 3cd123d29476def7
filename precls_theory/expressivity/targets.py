"""Targets: polynomial maps over any commutative ring, by name or as polynomials of the input's entries."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import TypeAlias

import flint
import numpy as np
import sympy

ExactMap = Callable[[np.ndarray], np.ndarray]
StepSize: TypeAlias = int | float | Fraction | str
Entry: TypeAlias = "sympy.Expr | int | Fraction | str"
"""An output entry of a target: a polynomial in the symbols of :func:`entries`, or what SymPy reads as one."""

TargetLike: TypeAlias = (
    "str | Mapping[tuple[int, int], Entry] | Sequence[Sequence[Entry]] | np.ndarray | sympy.Array | sympy.Matrix"
)
"""A target's name, or its output entries; see :func:`make_target`."""


def entries(n_rows: int, n_channels: int) -> np.ndarray:
    """Symbols ``u_n_d`` for the entries of an input, as an array of shape ``(n_rows, n_channels)``."""
    return np.array([[sympy.Symbol(f"u_{n}_{d}") for d in range(n_channels)] for n in range(n_rows)], dtype=object)


@dataclass(frozen=True)
class Target:
    """A polynomial map: ``value`` takes an exact input ``(batch, rows, channels)`` over any commutative ring, and
    ``read`` picks from the model's output what is compared with it.
    """

    name: str
    value: ExactMap
    read: Callable[[np.ndarray], np.ndarray]


def _expect(ok: bool, target: str, expected: str, given: object) -> None:
    if not ok:
        raise ValueError(f"target {target!r} expects {expected}, got {given}")


def _step_size(value: StepSize) -> Fraction:
    try:
        return Fraction(value)
    except (TypeError, ValueError, OverflowError, ZeroDivisionError) as error:
        raise ValueError(f"step_size must be a finite number or a string such as '1/10', got {value!r}") from error


def make_target(
    target: TargetLike, input_shape: tuple[int, int, int], output_shape: tuple[int, ...], step_size: StepSize
) -> Target:
    """The target as an exact map.

    ``"square"``: ``u ⊙ u``, all entries.  ``"multiply"``: ``u[:, :d] ⊙ u[:, d:]`` for 2d channels, read in the
    output's first d channels.  ``"gradient_descent"``: layout E, N rows ``[a_n, b_n]`` and a last row ``[x, 0]``, one
    step ``x - (η/N)(Gx - c)`` read at the last row in the first D channels.  Or polynomials in the symbols of
    :func:`entries`: an array of the shape of the output, or ``{(row, channel): polynomial}``.

    Raises:
        ValueError: the shapes do not fit the target, or an expression is not a polynomial of the entries.
    """
    _, rows, channels = input_shape
    if len(output_shape) != 3 or output_shape[0] != input_shape[0]:
        raise ValueError(f"the model must return (batch, rows, channels), it returns shape {output_shape}")
    if isinstance(target, str):
        if target == "square":
            _expect(output_shape == input_shape, target, f"an output of shape {input_shape}", output_shape)
            return Target(target, lambda u: u * u, lambda y: y)
        if target == "multiply":
            half = channels // 2
            _expect(channels % 2 == 0, target, "an even number of channels", channels)
            _expect(output_shape[1] == rows and output_shape[2] >= half, target, f"{rows} rows and at least {half} "
                    "output channels", output_shape)  # fmt: skip
            return Target(target, lambda u: u[..., :half] * u[..., half:], lambda y: y[..., :half])
        if target == "gradient_descent":
            dims, points = channels - 1, rows - 1
            _expect(dims >= 1 and points >= 1, target, "N + 1 >= 2 rows of D + 1 >= 2 channels", input_shape)
            _expect(output_shape[1] == rows and output_shape[2] >= dims, target,
                    f"{rows} rows and at least {dims} output channels", output_shape)  # fmt: skip
            rate = _step_size(step_size)
            _expect(rate != 0, target, "a step size other than 0", step_size)
            scale = flint.fmpq(rate.numerator, rate.denominator) / points

            def step(u: np.ndarray) -> np.ndarray:
                a, b, x = u[:, :-1, :dims], u[:, :-1, dims], u[:, -1, :dims]
                residual = (a * x[:, None, :]).sum(axis=-1) - b
                return x - (a * residual[..., None]).sum(axis=1) * scale

            return Target(target, step, lambda y: y[:, -1, :dims])
        raise ValueError(
            f"target must be 'square', 'multiply', 'gradient_descent' or polynomials of the entries, got {target!r}"
        )
    symbols = {str(s): (n, d) for (n, d), s in np.ndenumerate(entries(rows, channels))}
    if isinstance(target, sympy.Expr):
        raise ValueError(
            f"give the output entries of a polynomial target, as in {{(0, 0): {target}}}, or all in an array"
        )
    if isinstance(target, Mapping):
        items = {(int(n), int(d)): sympy.sympify(e) for (n, d), e in target.items()}
    else:
        array = np.array(sympy.Array(target).tolist() if not isinstance(target, np.ndarray) else target, dtype=object)
        _expect(array.shape == output_shape[1:], "polynomials", f"shape {output_shape[1:]}", array.shape)
        items = {(n, d): sympy.sympify(e) for (n, d), e in np.ndenumerate(array)}
    table: list[list[tuple[flint.fmpq, list[tuple[int, int, int]]]]] = []
    for place, expression in items.items():
        if not all(0 <= i < size for i, size in zip(place, output_shape[1:], strict=True)):
            raise ValueError(f"the target names output entry {place}, the output has shape {output_shape[1:]}")
        unknown = {str(s) for s in expression.free_symbols} - set(symbols)
        if unknown:
            raise ValueError(f"unknown symbols {sorted(unknown)}; use those of entries({rows}, {channels})")
        names = sorted(map(str, expression.free_symbols))
        try:
            poly = sympy.Poly(sympy.nsimplify(expression, rational=True), *map(sympy.Symbol, names or ["u_0_0"]))
            terms = [
                (
                    flint.fmpq(int(c.p), int(c.q)),
                    [(*symbols[n], e) for n, e in zip(names, powers, strict=False) if e],
                )
                for powers, c in poly.terms()
            ]
        except (sympy.PolynomialError, AttributeError) as error:
            raise ValueError(f"{expression} is not a polynomial of the entries with rational coefficients") from error
        table.append(terms)

    def polynomials(u: np.ndarray) -> np.ndarray:
        out = np.empty((u.shape[0], len(table)), dtype=object)
        for index in range(u.shape[0]):
            for k, terms in enumerate(table):
                total = u[0, 0, 0] * 0
                for coefficient, factors in terms:
                    product = u[0, 0, 0] * 0 + coefficient
                    for n, d, e in factors:
                        product = product * u[index, n, d] ** e
                    total = total + product
                out[index, k] = total
        return out

    where = np.array(list(items))
    return Target("polynomials", polynomials, lambda y: y[:, where[:, 0], where[:, 1]])
