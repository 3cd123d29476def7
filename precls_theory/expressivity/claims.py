"""Check that an exact network computes what it claims: Multiply, or steps of gradient descent.

Three exact ways, never a tolerance: as an identity of polynomials in every input entry, at random residues modulo a
prime (a false claim passes with probability at most (degree/p)^samples, Schwartz-Zippel), and at a rational point.
"""

from __future__ import annotations

import math
from fractions import Fraction
from typing import Any, Protocol

import flint
import numpy as np

from constructions.rings import FMPQ, Residues, Ring, polynomials
from precls_theory.registry import Refuted

PRIME = 2**31 - 1


class ExactNetwork(Protocol):
    """What BaseConv networks and exact Transformers share."""

    @property
    def n_rows(self) -> int: ...

    def encode(self, *values: Any) -> Any: ...

    def decode(self, output: Any) -> Any: ...

    def evaluate(self, u: Any, ring: Ring | None = None) -> Any: ...


def descent(A: np.ndarray, b: np.ndarray, x: np.ndarray, n_steps: int, step_size: Any, ring: Ring) -> np.ndarray:
    """``n_steps`` of ``x ← x − (η/N) Aᵀ(Ax − b)`` over a ring: the definition, (..., N, D), (..., N), (..., D)."""
    step = ring.elements([Fraction(step_size) / A.shape[-2]])
    for _ in range(n_steps):
        residual = ring.reduce(np.add.reduce(ring.reduce(A * x[..., None, :]), axis=-1) - b)
        gradient = ring.reduce(np.add.reduce(ring.reduce(A * residual[..., :, None]), axis=-2))
        x = ring.reduce(x - ring.reduce(step * gradient))
    return x


def generic(*shapes: tuple[int, ...]) -> tuple[Ring, list[np.ndarray]]:
    """Arrays of distinct indeterminates of Q[...] with these shapes, and their ring."""
    sizes = [math.prod(shape) for shape in shapes]
    context = flint.fmpq_mpoly_ctx.get([f"z{i}" for i in range(sum(sizes))], flint.Ordering.degrevlex)
    gens, arrays, start = context.gens(), [], 0
    for shape, size in zip(shapes, sizes, strict=True):
        arrays.append(np.fromiter(gens[start : start + size], object, size).reshape(shape))
        start += size
    return polynomials(context), arrays


def residues(seed: int, samples: int, *shapes: tuple[int, ...]) -> tuple[Residues, list[np.ndarray]]:
    """Uniform residues modulo :data:`PRIME` with these shapes after a leading batch of ``samples``."""
    rng = np.random.default_rng(seed)
    return Residues(PRIME), [rng.integers(0, PRIME, (samples, *shape)).astype(object) for shape in shapes]


def rationals(seed: int, *shapes: tuple[int, ...]) -> list[np.ndarray]:
    """Small random rationals with these shapes."""
    rng = np.random.default_rng(seed)
    fractions = np.frompyfunc(lambda p, q: Fraction(int(p), int(q)), 2, 1)
    return [np.asarray(fractions(rng.integers(-9, 10, s), rng.integers(1, 6, s)), dtype=object) for s in shapes]


def _refuse(name: str, claim: str, got: np.ndarray, wanted: np.ndarray, inputs: dict[str, np.ndarray]) -> None:
    """Raise :class:`Refuted` with the first entry that differs."""
    wrong = np.argwhere(np.asarray(got != wanted, dtype=bool))
    if len(wrong):
        at = tuple(int(i) for i in wrong[0])
        shown = {key: value.astype(str).tolist() for key, value in inputs.items() if value.size <= 200}
        raise Refuted(
            f"{name} is not {claim}: entry {at} differs ({len(wrong)} of {got.size} entries do)",
            {"entry": list(at), "got": str(got[at])[:400], "expected": str(wanted[at])[:400], "inputs": shown},
        )


def verify_descent_polynomials(
    network: ExactNetwork, n_points: int, n_dims: int, n_steps: int, step_size: Fraction, name: str = "the network"
) -> str:
    """Prove ``n_steps`` steps as polynomial identities in A, b, x_init; returns the ring, raises :class:`Refuted`."""
    ring, (A, b, x) = generic((n_points, n_dims), (n_points,), (n_dims,))
    got = np.asarray(network.decode(network.evaluate(network.encode(A, b, x), ring)))
    wanted = descent(A, b, x, n_steps, step_size, ring)
    _refuse(name, f"{n_steps} steps of gradient descent", got, wanted, {})
    return ring.name


def verify_descent_residues(
    network: ExactNetwork, n_points: int, n_dims: int, n_steps: int, step_size: Fraction, degree: int,
    name: str = "the network", samples: int = 4, seed: int = 0,
) -> float:  # fmt: skip
    """The same at random residues, for any size. ``degree`` bounds the network's degree.

    Returns the base-2 logarithm of the probability that a wrong network passes; raises :class:`Refuted`.
    """
    ring, (A, b, x) = residues(seed, samples, (n_points, n_dims), (n_points,), (n_dims,))
    got = np.asarray(network.decode(network.evaluate(network.encode(A, b, x), ring)))
    wanted = descent(ring.coerce(A), ring.coerce(b), ring.coerce(x), n_steps, step_size, ring)
    _refuse(name, f"{n_steps} steps of gradient descent", got, wanted, {})
    return samples * (math.log2(max(degree, 2 * n_steps + 1)) - math.log2(PRIME))


def verify_descent_rational(
    network: ExactNetwork, n_points: int, n_dims: int, n_steps: int, step_size: Fraction, name: str = "the network",
    seed: int = 0,
) -> None:  # fmt: skip
    """The same at one random rational point, exactly (``==``): refutes with that point as the counterexample."""
    A, b, x = rationals(seed, (n_points, n_dims), (n_points,), (n_dims,))
    got = np.asarray(network.decode(network.evaluate(network.encode(A, b, x), FMPQ)))
    wanted = descent(FMPQ.coerce(A), FMPQ.coerce(b), FMPQ.coerce(x), n_steps, step_size, FMPQ)
    _refuse(name, f"{n_steps} steps of gradient descent", got, wanted, {"A": A, "b": b, "x_init": x})


def verify_multiply(
    network: ExactNetwork, n_channels: int, left: int, right: int, target: int, length: int = 1,
    name: str = "the network",
) -> str:  # fmt: skip
    """Prove Multiply at every row, all other channels unchanged, as polynomial identities; returns the ring.

    ``left == right`` is Square. Raises :class:`Refuted` otherwise.
    """
    ring, (u,) = generic((network.n_rows, n_channels))
    tasks = getattr(network, "task", None)
    given = network.encode(u) if tasks is not None else u
    output = network.evaluate(given, ring)
    got = np.asarray(network.decode(output) if tasks is not None else output)
    wanted = u.copy()
    wanted[:, target : target + length] = u[:, left : left + length] * u[:, right : right + length]
    _refuse(name, "Square" if left == right else "Multiply", got, wanted, {})
    return ring.name
