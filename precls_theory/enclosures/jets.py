"""Balls and jets: Arb enclosures of numbers, and of truncated power series along a line.

Along ``u(s) = u + s v`` every tensor is a truncated power series in s (a jet), so one evaluation gives the value
(order 0) and the directional derivatives, all enclosed.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from fractions import Fraction
from typing import SupportsFloat

import flint
import numpy as np
from torch import Tensor

Coefficients = tuple[np.ndarray, ...]


def ball(x: flint.arb | Fraction | SupportsFloat) -> flint.arb:
    """An enclosure of a number: exact for floats and integers, one rounding for fractions."""
    if isinstance(x, flint.arb):
        return x
    if isinstance(x, Fraction):
        return flint.arb(flint.fmpq(x.numerator, x.denominator))
    if isinstance(x, bool | int | np.integer | np.bool_):
        return flint.arb(int(x))
    return flint.arb(float(x))


_to_balls = np.frompyfunc(ball, 1, 1)


def balls(values: object) -> np.ndarray:
    """An object array of balls, from a tensor (float64 or narrower, exactly), nested lists or an array."""
    if isinstance(values, Tensor):
        values = values.detach().cpu().double().numpy()
    return np.asarray(_to_balls(np.asarray(values, dtype=object)), dtype=object)


class Jet:
    """``Σ_k coefficients[k] s^k`` modulo ``s^(order+1)``; missing coefficients are zero."""

    def __init__(self, coefficients: Sequence[np.ndarray], order: int) -> None:
        self.coefficients: Coefficients = tuple(np.asarray(c, dtype=object) for c in coefficients[: order + 1])
        self.order = order
        self.null: np.ndarray | None = None  # entries that are zero for every input, so that a ReLU has no kink there

    @property
    def shape(self) -> tuple[int, ...]:
        return self.coefficients[0].shape

    @property
    def numel(self) -> int:
        """The number of entries."""
        return self.coefficients[0].size

    def map(self, linear: Callable[[np.ndarray], np.ndarray]) -> Jet:
        """Apply a linear map to every coefficient."""
        return Jet([linear(c) for c in self.coefficients], self.order)

    def __add__(self, other: Jet) -> Jet:
        long, short = sorted((self.coefficients, other.coefficients), key=len, reverse=True)
        shape = np.broadcast_shapes(self.shape, other.shape)
        rest = [np.broadcast_to(c, shape) for c in long[len(short) :]]
        return Jet([a + b for a, b in zip(long, short, strict=False)] + rest, self.order)

    def bilinear(self, other: Jet, product: Callable[[np.ndarray, np.ndarray], np.ndarray]) -> Jet:
        """The Cauchy product for a bilinear ``product``."""
        top = min(self.order, len(self.coefficients) + len(other.coefficients) - 2)
        out = []
        for k in range(top + 1):
            terms = [
                product(self.coefficients[i], other.coefficients[k - i])
                for i in range(max(0, k - len(other.coefficients) + 1), min(k, len(self.coefficients) - 1) + 1)
            ]
            out.append(sum(terms[1:], terms[0]))
        return Jet(out, self.order)

    def __mul__(self, other: Jet) -> Jet:
        return self.bilinear(other, np.multiply)

    def pointwise(self, function: Callable[[flint.arb_series], flint.arb_series]) -> Jet:
        """Apply an analytic function of one variable, given on balls and on Arb power series alike."""
        if len(self.coefficients) == 1:
            return Jet([np.asarray(np.frompyfunc(function, 1, 1)(self.coefficients[0]), dtype=object)], self.order)
        flat = np.stack([c.reshape(-1) for c in self.coefficients])
        out = np.empty((self.order + 1, flat.shape[1]), dtype=object)
        cap = flint.ctx.cap
        flint.ctx.cap = self.order + 1
        try:
            for j in range(flat.shape[1]):
                series = function(flint.arb_series(list(flat[:, j]), prec=self.order + 1))
                for k in range(self.order + 1):
                    out[k, j] = series[k]
        finally:
            flint.ctx.cap = cap
        return Jet([row.reshape(self.shape) for row in out], self.order)


def matrix_product(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Batched product of object arrays, by Arb's matrix multiplication."""
    batch = np.broadcast_shapes(a.shape[:-2], b.shape[:-2])
    n, m, p = a.shape[-2], a.shape[-1], b.shape[-1]
    wide_a = np.broadcast_to(a, (*batch, n, m)).reshape(-1, n, m)
    wide_b = np.broadcast_to(b, (*batch, m, p)).reshape(-1, m, p)
    out = np.empty((wide_a.shape[0], n, p), dtype=object)
    for i, (x, y) in enumerate(zip(wide_a, wide_b, strict=True)):
        product = flint.arb_mat(n, m, x.reshape(-1).tolist()) * flint.arb_mat(m, p, y.reshape(-1).tolist())
        out[i] = np.array(product.entries(), dtype=object).reshape(n, p)
    return out.reshape(*batch, n, p)
