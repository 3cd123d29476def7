"""Check that an exact network computes what it claims: Multiply, or steps of gradient descent.

Three exact ways, never a tolerance: as an identity of polynomials in every input entry, modulo random primes at random
residues (with a failure probability), and at a rational point.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from fractions import Fraction

import flint
import numpy as np

from constructions.algebra.rationals import as_fraction
from constructions.algebra.rings import FMPQ, Ring, polynomials
from constructions.networks.base import ExactNetwork
from precls_theory.proofs.majorants import MAJORANTS, VARIABLE, Majorant, worst
from precls_theory.proofs.residues import FAILURE_LOG2, Bound, Unequal, prove_zero
from precls_theory.registry import Refuted


def descent(A: np.ndarray, b: np.ndarray, x: np.ndarray, n_steps: int, step_size: Fraction, ring: Ring) -> np.ndarray:
    """``n_steps`` of ``x ← x − (η/N) Aᵀ(Ax − b)`` over a ring: the definition, (..., N, D), (..., N), (..., D)."""
    step = ring.elements([as_fraction("step_size", step_size) / A.shape[-2]])
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
    _refuse(name, steps(n_steps), got, wanted, {})
    return ring.name


def steps(n_steps: int) -> str:
    """The claim in words."""
    return "one step of gradient descent" if n_steps == 1 else f"{n_steps} steps of gradient descent"


def descent_majorant(n_points: int, n_dims: int, n_steps: int, step_size: Fraction) -> Majorant:
    """A bound (degree, coefficients, denominator) on every entry of :func:`descent` as a polynomial in A, b, x."""
    x = VARIABLE
    step = Majorant.of(Fraction(step_size) / n_points)
    for _ in range(n_steps):
        residual = Majorant.of(n_dims) * (VARIABLE * x) + VARIABLE
        x = x + step * (Majorant.of(n_points) * (VARIABLE * residual))
    return x


def verify_descent_residues(
    network: ExactNetwork, n_points: int, n_dims: int, n_steps: int, step_size: Fraction, name: str = "the network",
    seed: int | None = None, failure_log2: float = FAILURE_LOG2,
) -> float:  # fmt: skip
    """The same modulo random primes at random residues, for any size; see :mod:`precls_theory.proofs.residues`.

    Returns the base-2 logarithm of the probability that a wrong network passes; raises :class:`Refuted`.
    """
    shapes = ((n_points, n_dims), (n_points,), (n_dims,))
    free = [np.full(shape, VARIABLE, dtype=object) for shape in shapes]
    computed = worst(np.asarray(network.decode(network.evaluate(network.encode(*free), MAJORANTS))))

    def difference(ring: Ring, draw: Callable[[tuple[int, ...]], np.ndarray], points: int) -> np.ndarray:
        A, b, x = (draw((points, *shape)).astype(object) for shape in shapes)
        got = np.asarray(network.decode(network.evaluate(network.encode(A, b, x), ring)))
        result: np.ndarray = got - descent(ring.coerce(A), ring.coerce(b), ring.coerce(x), n_steps, step_size, ring)
        return result

    bound = Bound.of_difference(computed, descent_majorant(n_points, n_dims, n_steps, step_size))
    try:
        return prove_zero(difference, bound, seed=seed, failure_log2=failure_log2).failure_probability_log2
    except Unequal as unequal:
        raise Refuted(
            f"{name} is not {steps(n_steps)}: entry {unequal.index} differs modulo {unequal.prime}",
            {"entry": list(unequal.index), "prime": unequal.prime, "seed": str(unequal.seed)},
        ) from None


def verify_descent_rational(
    network: ExactNetwork, n_points: int, n_dims: int, n_steps: int, step_size: Fraction, name: str = "the network",
    seed: int = 0,
) -> None:  # fmt: skip
    """The same at one random rational point, exactly (``==``): refutes with that point as the counterexample."""
    A, b, x = rationals(seed, (n_points, n_dims), (n_points,), (n_dims,))
    got = np.asarray(network.decode(network.evaluate(network.encode(A, b, x), FMPQ)))
    wanted = descent(FMPQ.coerce(A), FMPQ.coerce(b), FMPQ.coerce(x), n_steps, step_size, FMPQ)
    _refuse(name, steps(n_steps), got, wanted, {"A": A, "b": b, "x_init": x})


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
