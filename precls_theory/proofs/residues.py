"""Proofs of polynomial identities by residues, with a failure probability that leaves nothing out.

To show that a polynomial f over Q is zero, evaluate it modulo a random prime at a uniform point. Let f ≠ 0 have total
degree at most d, and let q be its denominator, so that F = q·f has integer coefficients below 2^h. One round misses f
≠ 0 only if

* the prime divides a nonzero coefficient c of F. A c below 2^h has at most h/b prime factors ≥ 2^b, and the
  prime is uniform among the primes of [2^b, 2^{b+1}), of which there are more than ``3x/(5 ln x)``, x = 2^b (Rosser &
  Schoenfeld 1962, Cor. 3, from π(2x) − π(x), x ≥ 20.5), less those that divide q and are never drawn: at most
  log2(q)/b of them; or
* F mod p, now nonzero of degree at most d, vanishes at the point: probability at most d/p ≤ d/2^b (Schwartz 1980,
  Zippel 1979), and (d/2^b)^m at m independent points.

Rounds are independent, so r of them fail together with the r-th power. No union over outputs is needed: if
some output differs, each round tests that one.

With b = 30 the arithmetic is vectorised in int64; where degree or height would take too many rounds, one or two rounds
modulo a prime of hundreds of bits do, on Python integers.
"""

from __future__ import annotations

import math
import random
import secrets
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from fractions import Fraction

import flint
import numpy as np

from constructions.algebra.rings import Residues, Ring, python_number
from precls_theory.proofs.majorants import Majorant

FAILURE_LOG2 = -60.0
"""Base-2 logarithm of the failure probability that a proof must reach."""
LN2_NUMERATOR, LN2_DENOMINATOR = 6931471813, 10**10
"""A little more than the natural logarithm of 2."""
WORD_BITS = 30
MAX_PRIME_BITS = 1024
"""Longest primes that are drawn: to prove one of 2048 bits prime takes many minutes."""
MAX_WORD_ROUNDS = 40


class BigResidues(Ring):
    """Integers modulo a prime of any size, as Python integers in object arrays."""

    def __init__(self, prime: int) -> None:
        self.prime = prime
        self.name = f"F_p, p of {prime.bit_length()} bits"

    def element(self, value: Fraction | int) -> int:
        value = python_number(Fraction(value))
        if value.denominator % self.prime == 0:
            raise ZeroDivisionError(f"the denominator of {value} is divisible by the prime: choose another")
        return value.numerator * pow(value.denominator, -1, self.prime) % self.prime

    def coerce(self, array: np.ndarray) -> np.ndarray:
        return self.elements(array)

    def reduce(self, array: np.ndarray) -> np.ndarray:
        return array % self.prime


def residue_ring(prime: int) -> Ring:
    """The field of ``prime`` elements: vectorised where products fit in 64 bits."""
    return Residues(prime) if prime < 2**31 else BigResidues(prime)


@dataclass(frozen=True)
class Bound:
    """What is known of a difference: degree, log2 of its integer coefficients, log2 of the denominators."""

    degree: int
    log2_height: float
    log2_denominator: float

    @classmethod
    def of_difference(cls, left: Majorant, right: Majorant) -> Bound:
        """The bound of ``left − right``, over the product of the two denominators.

        ``OverflowError`` where the length of the coefficients is beyond the range of floats.
        """
        denominator = left.log2_denominator + right.log2_denominator
        height = max(0.0, (left + right).log2_norm) + denominator
        if not all(length < math.inf for length in (left.log2_norm, right.log2_norm, height)):  # NaN neither
            raise OverflowError("the coefficients are too long to bound: more than 10^308 binary digits")
        return cls(max(left.degree, right.degree), height, denominator)


@dataclass(frozen=True)
class Plan:
    """Rounds of one prime each in [2^bits, 2^(bits+1)), at ``points`` points; failure of one round, log2."""

    bits: int
    points: int
    rounds: int
    round_failure_log2: float


@dataclass(frozen=True)
class ResidueProof:
    """The identity holds but with probability 2^``failure_probability_log2``; ``seed`` replays primes and points."""

    failure_probability_log2: float
    primes: tuple[int, ...]
    points: int
    seed: int
    degree: int
    log2_height: float
    log2_denominator: float

    def to_json(self) -> dict[str, object]:
        """The proof as JSON-serialisable data; integers beyond 2^53 as decimal strings."""
        plain = asdict(self)
        return plain | {"seed": str(self.seed), "primes": [p if p < 2**53 else str(p) for p in self.primes]}


class Unequal(Exception):
    """The two sides differ: at ``index`` of the arrays compared, modulo ``prime``."""

    def __init__(self, index: tuple[int, ...], prime: int, proof_seed: int) -> None:
        super().__init__(f"the two sides differ at {index} modulo {prime}")
        self.index = index
        self.prime = prime
        self.seed = proof_seed


def round_failure(bound: Bound, bits: int, points: int) -> float:
    """The probability, at most, that one round misses a difference; 1 or more says nothing.

    In integers, where floats would overflow: ``2^bits`` has at least ``3·2^bits/(5·bits·ln 2)`` primes above it.
    """
    if bound.degree >= 2**bits:
        return 1.0
    n_primes = 3 * 2**bits * LN2_DENOMINATOR // (5 * bits * LN2_NUMERATOR)
    drawn_from = n_primes - math.ceil(bound.log2_denominator / bits)
    if drawn_from <= 0:
        return 1.0
    prime_divides = (math.ceil(bound.log2_height) // bits) / drawn_from
    result: float = (prime_divides + (bound.degree / 2**bits) ** points) * (1 + 1e-9)
    return result


def plan(bound: Bound, failure_log2: float = FAILURE_LOG2) -> Plan:
    """The cheapest plan that reaches the failure probability: word-sized primes, or large ones where needed."""
    bits = WORD_BITS
    while True:
        points = next(
            (m for m in range(1, 4) if round_failure(bound, bits, m) < 1.25 * round_failure(bound, bits, 8)), 4
        )
        failure = round_failure(bound, bits, points)
        rounds = math.ceil(failure_log2 / math.log2(failure)) if 0 < failure < 1 else 1 if failure == 0 else None
        if rounds is not None and rounds <= (MAX_WORD_ROUNDS if bits == WORD_BITS else 1):
            # A constant difference without denominators has failure 0 in exact arithmetic: one round, reported as the
            # target.
            return Plan(bits, points, rounds, math.log2(failure) if failure else failure_log2)
        bits = 128 if bits == WORD_BITS else 2 * bits


def uniform(shape: tuple[int, ...], prime: int, ring: Ring, source: random.Random) -> np.ndarray:
    """An array of independent uniform residues."""
    size = math.prod(shape)
    return np.fromiter((source.randrange(prime) for _ in range(size)), ring.dtype, size).reshape(shape)


def random_prime(bits: int, source: random.Random) -> int:
    """A uniform prime of [2^bits, 2^(bits+1))."""
    while True:
        candidate = source.randrange(2**bits, 2 ** (bits + 1)) | 1
        if flint.fmpz(candidate).is_prime():
            return candidate


def prove_zero(
    difference: Callable[[Ring, Callable[[tuple[int, ...]], np.ndarray], int], np.ndarray],
    bound: Bound,
    *,
    seed: int | None = None,
    failure_log2: float = FAILURE_LOG2,
    progress: Callable[[Iterable[int], int], Iterable[int]] | None = None,
) -> ResidueProof:
    """Prove that polynomials are zero: ``difference(ring, draw, points)`` is their values at uniform points of
    ``ring``.

    ``draw(shape)`` gives an array of uniform residues; leading axis of the result: the points. ``bound`` must hold for
    every one of the polynomials. The seed is 256 bits from the operating system unless given. A prime that divides a
    denominator is drawn again. ``progress(rounds, total)`` wraps the loop. Raises :class:`Unequal` at the first value
    that is not zero, and ``OverflowError`` where no prime of :data:`MAX_PRIME_BITS` is long enough.
    """
    seed = secrets.randbits(256) if seed is None else seed
    source = random.Random(seed)
    chosen = plan(bound, failure_log2)
    if chosen.bits > MAX_PRIME_BITS:
        length = math.log2(max(1.0, bound.log2_height))
        raise OverflowError(
            f"a degree of {bound.degree.bit_length()} bits and coefficients of 2^{length:.0f} bits need a prime "
            f"of {chosen.bits} bits, and one of at most {MAX_PRIME_BITS} is drawn"
        )
    primes: list[int] = []
    rounds: Iterable[int] = range(chosen.rounds)
    for _ in progress(rounds, chosen.rounds) if progress else rounds:
        while True:
            prime = random_prime(chosen.bits, source)
            ring = residue_ring(prime)

            def draw(shape: tuple[int, ...], prime: int = prime, ring: Ring = ring) -> np.ndarray:
                return uniform(shape, prime, ring, source)

            try:
                values = ring.reduce(difference(ring, draw, chosen.points))
            except ZeroDivisionError:
                continue
            break
        primes.append(prime)
        nonzero = np.argwhere(values.any(axis=0)) if values.dtype != object else np.argwhere((values != 0).any(axis=0))
        if len(nonzero):
            raise Unequal(tuple(nonzero[0].tolist()), prime, seed)
    return ResidueProof(
        failure_probability_log2=chosen.rounds * chosen.round_failure_log2, primes=tuple(primes), points=chosen.points,
        seed=seed, degree=bound.degree, log2_height=bound.log2_height, log2_denominator=bound.log2_denominator,
    )  # fmt: skip
