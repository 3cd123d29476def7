"""Regression problems and references that several test modules share."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
from hypothesis import strategies as st

rationals = st.fractions(min_value=-3, max_value=3, max_denominator=4)
step_sizes = st.fractions(min_value=Fraction(1, 20), max_value=1, max_denominator=20)
sizes = st.tuples(st.integers(1, 4), st.integers(1, 3))
layouts = st.sampled_from(["A", "E", "S"])


def array(values: object) -> np.ndarray:
    """An object array of Fractions."""
    return np.vectorize(Fraction, otypes=[object])(np.asarray(values, dtype=object))


@st.composite
def regressions(draw: st.DrawFn, n_points: int, n_dims: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Rational ``A`` (n_points, n_dims), ``b`` (n_points,), ``x_init`` (n_dims,)."""

    def block(*shape: int) -> np.ndarray:
        count = int(np.prod(shape))
        return array(draw(st.lists(rationals, min_size=count, max_size=count))).reshape(shape)

    return block(n_points, n_dims), block(n_points), block(n_dims)


def integer_regression(n_points: int, n_dims: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Small-integer data as Fractions."""
    rng = np.random.default_rng(seed)
    shapes = ((n_points, n_dims), (n_points,), (n_dims,))
    return tuple(array(rng.integers(-3, 4, shape)) for shape in shapes)  # type: ignore[return-value]


def gradient_descent(
    A: np.ndarray, b: np.ndarray, x: np.ndarray, n_steps: int, step: Fraction, momentum: Fraction = Fraction(0)
) -> np.ndarray:
    """``x ← x + momentum (x − previous) − (step/N) Aᵀ(A x − b)``, the loop itself."""
    previous = x
    for _ in range(n_steps):
        previous, x = x, x + momentum * (x - previous) - step / len(A) * (A.T @ (A @ x - b))
    return x


def newton(A: np.ndarray, b: np.ndarray, n_iters: int, alpha: Fraction, refinements: int = 0) -> np.ndarray:
    """``M ← 2M − M G M`` from αI, then ``x = M c`` and ``x ← x + M Aᵀ(b − A x)``, the loop itself."""
    G, c = A.T @ A, A.T @ b
    M = alpha * array(np.eye(A.shape[1], dtype=int))
    for _ in range(n_iters):
        M = 2 * M - M @ G @ M
    x = M @ c
    for _ in range(refinements):
        x = x + M @ (A.T @ (b - A @ x))
    return x
