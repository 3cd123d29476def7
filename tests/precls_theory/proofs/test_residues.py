"""Proofs by residues: the bounds that they rest on, the probability that they state, and that they can refuse."""

from __future__ import annotations

import math
import random
from fractions import Fraction
from typing import Any

import flint
import numpy as np
import pytest
import sympy
from helpers.networks import SMALL, weights_of, with_weight
from hypothesis import given
from hypothesis import strategies as st

import constructions as C
from constructions.algebra.rings import RATIONALS, Residues, Ring, polynomials
from constructions.networks.evaluate import evaluate
from constructions.networks.network import Network
from precls_theory.checking import references
from precls_theory.checking.prove import network_bound, prove_network
from precls_theory.checking.references import claimed, claimed_majorant, computed, find, reference
from precls_theory.proofs.majorants import MAJORANTS, VARIABLE, Majorant, input_majorants, network_majorant, worst
from precls_theory.proofs.residues import (
    FAILURE_LOG2,
    BigResidues,
    Bound,
    ResidueProof,
    Unequal,
    plan,
    prove_zero,
    random_prime,
    residue_ring,
    round_failure,
    uniform,
)

SIZES: dict[str, dict[str, Any]] = {
    "gradient_descent": {"n_steps": 4, "step_size": "-3/10"},
    "heavy_ball": {"n_steps": 4, "step_size": "1/10", "momentum": "2/3"},
    "chebyshev": {"n_steps": 5, "lower": "1/7", "upper": "3/2"},
}


def symbolic(network: Network) -> tuple[Ring, np.ndarray]:
    """The ring of polynomials in the free inputs, and the input of variables."""
    free = network.task.free_channels
    context = flint.fmpq_mpoly_ctx.get([f"u{i}" for i in range(len(free))], flint.Ordering.degrevlex)
    ring = polynomials(context)
    u = ring.zeros((network.n_rows, len(network.inputs)))
    for (row, column), generator in zip(free, context.gens(), strict=True):
        u[row, column] = generator
    return ring, u


def size(polynomial: Any) -> tuple[int, Fraction, int]:
    """Degree, sum of absolute coefficients, and common denominator of a polynomial."""
    coefficients = [Fraction(int(c.p), int(c.q)) for c in polynomial.coeffs()]
    degree = max((sum(monomial) for monomial in polynomial.monoms()), default=0)
    return int(degree), sum(map(abs, coefficients), Fraction(0)), math.lcm(*(c.denominator for c in coefficients))


def holds(majorant: Majorant, polynomial: Any) -> bool:
    """Whether the majorant bounds the polynomial: degree, norm and denominator."""
    degree, norm, denominator = size(polynomial)
    allowed = math.prod(base**exponent for base, exponent in majorant.denominators.items())
    in_norm = not norm or math.log2(norm.numerator) - math.log2(norm.denominator) <= majorant.log2_norm
    return degree <= majorant.degree and allowed % denominator == 0 and in_norm


# --- References ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", SMALL)
def test_networks_equal_their_references_as_polynomials(name: str) -> None:
    network = SMALL[name]()
    ring, u = symbolic(network)
    left, right = computed(network, u, ring), claimed(network, u, ring)
    assert left.shape == right.shape == (len(network.task.exact_rows), len(network.task.columns))
    assert all(a == b for a, b in zip(left.flat, right.flat, strict=True))


@pytest.mark.parametrize("algorithm", SIZES)
@pytest.mark.parametrize("layout", "AES")
@given(data=st.data(), n_points=st.integers(1, 4), n_dims=st.integers(1, 3))
def test_regression_references_at_every_row_over_q(
    algorithm: str, layout: Any, data: st.DataObject, n_points: int, n_dims: int
) -> None:
    """A batch of two problems of small rationals, at all exact rows."""
    network = C.rebuild(algorithm, {"n_points": n_points, "n_dims": n_dims, "layout": layout, **SIZES[algorithm]})
    entry = st.fractions(min_value=-2, max_value=2, max_denominator=3)
    free = network.task.free_channels
    u = np.full((2, network.n_rows, len(network.inputs)), 0, dtype=object)
    for row, column in free:
        u[0, row, column], u[1, row, column] = data.draw(entry), data.draw(entry)
    assert (computed(network, u, RATIONALS) == claimed(network, u, RATIONALS)).all()


def test_powers_of_the_affine_map_agree_with_the_loop(monkeypatch: pytest.MonkeyPatch) -> None:
    network = C.gradient_descent(n_points=3, n_dims=2, n_steps=37, step_size="1/10", form="tight")
    u = network.encode(np.array([[1, 2], [0, -1], [3, 1]]), np.array([1, 0, 2]), np.array([1, -1]))
    by_loop = claimed(network, u, RATIONALS)
    monkeypatch.setattr(references, "LOOP_STEPS", 0)
    assert (claimed(network, u, RATIONALS) == by_loop).all()


def test_unknown_algorithm_has_no_reference() -> None:
    with pytest.raises(LookupError, match=r"no reference says what 'magic' computes: known are .*newton"):
        find("magic")


def test_a_reference_can_be_added(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(references, "REFERENCES", dict(references.REFERENCES))
    network = SMALL["linear"]()

    @reference("linear")
    def twice(network: Network, u: np.ndarray, ring: Ring) -> np.ndarray:
        return ring.reduce(ring.elements([2]) * u)

    with pytest.raises(Unequal):
        prove_network(network)


# --- Bounds -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", SMALL)
def test_bounds_hold_for_every_output(name: str) -> None:
    network = SMALL[name]()
    ring, u = symbolic(network)
    whole, claim = network_majorant(network), claimed_majorant(network)
    assert all(holds(whole, polynomial) for polynomial in evaluate(network, u, ring).flat)
    assert all(holds(claim, polynomial) for polynomial in claimed(network, u, ring).flat)


@pytest.mark.parametrize("name", SMALL)
def test_vectorised_bound_is_no_better_than_the_evaluator_over_majorants(name: str) -> None:
    """Two programs for one bound: by channel in logarithms, and the evaluator itself over the semiring."""
    network = SMALL[name]()
    by_entry = worst(evaluate(network, input_majorants(network), MAJORANTS))
    by_channel = network_majorant(network)
    assert by_entry.degree <= by_channel.degree
    assert by_entry.log2_norm <= by_channel.log2_norm + 1e-6 or by_entry.log2_norm == -math.inf


def test_closed_bounds_of_regressions_cover_the_generic_ones() -> None:
    """The one-unknown bound of an iteration is at least what the reference gives over majorants entry by entry."""
    for name in ("gd-gram-A", "heavy_ball", "chebyshev", "newton-direct", "newton-refined"):
        network = SMALL[name]()
        generic = worst(find(network.algorithm).claim(network, input_majorants(network), MAJORANTS))
        closed = claimed_majorant(network)
        assert generic.degree <= closed.degree, name
        assert generic.log2_norm <= closed.log2_norm + 1e-6, name
        for base, exponent in generic.denominators.items():
            assert closed.denominators.get(base, 0) >= exponent, name


@given(st.lists(st.tuples(st.sampled_from("+*-"), st.fractions(max_denominator=50), st.integers(0, 2)), max_size=8))
def test_majorants_bound_programs(program: list[tuple[str, Fraction, int]]) -> None:
    """Any program of sums and products of variables and rationals stays within its majorant."""
    context = flint.fmpq_mpoly_ctx.get(["x", "y", "z"], flint.Ordering.degrevlex)
    value, bound = context.gens()[0], VARIABLE
    for operation, constant, variable in program:
        other = context.gens()[variable] + context.constant(flint.fmpq(constant.numerator, constant.denominator))
        other_bound = VARIABLE + constant
        if operation == "*" and bound.degree < 6:
            value, bound = value * other, bound * other_bound
        elif operation == "-":
            value, bound = value - other, bound - other_bound
        else:
            value, bound = value + other, bound + other_bound
    assert holds(bound, value)


def test_bound_grows_with_the_weights() -> None:
    """A weight with a new denominator or a larger numerator shows in the bound."""
    network = SMALL["gd-gram-A"]()
    before = network_majorant(network)
    larger = network_majorant(with_weight(network, 1, "out", 0, Fraction(10**30)))
    finer = network_majorant(with_weight(network, 1, "out", 0, Fraction(1, 10**9 + 7)))
    assert larger.log2_norm > before.log2_norm + 50
    assert finer.log2_denominator > before.log2_denominator + 20


def test_bounds_of_very_deep_networks_stay_finite() -> None:
    network = C.gradient_descent(n_points=2, n_dims=2, n_steps=2**200, step_size="1/10")
    assert network_majorant(network).degree >= 2**201
    assert prove_network(network).failure_probability_log2 <= FAILURE_LOG2


# --- Probability --------------------------------------------------------------------------------------------------


def test_number_of_primes_is_bounded_below() -> None:
    """π(2x) − π(x) > 3x/(5 ln x) (Rosser & Schoenfeld 1962, Cor. 3), at every power of two from 32 to 2^20."""
    for bits in range(5, 21):
        x = 2**bits
        assert sympy.primepi(2 * x) - sympy.primepi(x) > 3 * x / (5 * math.log(x))


def test_round_failure_counts_both_ways_to_miss() -> None:
    """By hand: (h/b)/π + d/2^b, with the primes that divide the denominators taken from π."""
    bound = Bound(degree=1000, log2_height=30_000, log2_denominator=3_000)
    primes = 3 * 2**30 / (5 * 30 * math.log(2)) - 100
    assert round_failure(bound, 30, 1) == pytest.approx(1000 / primes + 1000 / 2**30, rel=1e-6)
    assert round_failure(bound, 30, 2) == pytest.approx(1000 / primes + (1000 / 2**30) ** 2, rel=1e-6)
    assert round_failure(Bound(10, 1e12, 1e12), 30, 1) >= 1


@given(degree=st.integers(0, 2**70), height=st.floats(0, 1e24), share=st.floats(0, 1))
def test_plan_reaches_the_target(degree: int, height: float, share: float) -> None:
    bound = Bound(degree, height, share * height)
    chosen = plan(bound)
    assert chosen.rounds >= 1
    assert chosen.rounds * chosen.round_failure_log2 <= FAILURE_LOG2
    failure = round_failure(bound, chosen.bits, chosen.points)
    assert failure == 0 or chosen.round_failure_log2 == pytest.approx(math.log2(failure))


def test_random_primes_are_prime_and_spread() -> None:
    source = random.Random(5)
    primes = [random_prime(30, source) for _ in range(50)]
    assert all(sympy.isprime(p) and 2**30 <= p < 2**31 for p in primes)
    assert len(set(primes)) == 50


# --- Proofs -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", SMALL)
def test_proves_every_construction(name: str) -> None:
    proof = prove_network(SMALL[name]())
    assert proof.failure_probability_log2 <= FAILURE_LOG2
    assert len(set(proof.primes)) == len(proof.primes)


@pytest.mark.parametrize("name", ["gd-tight-S", "gd-residual-E", "newton-refined", "multiply"])
def test_refuses_a_changed_weight(name: str) -> None:
    network = SMALL[name]()
    depth, part, entry = weights_of(network)[-1]
    with pytest.raises(Unequal) as error:
        prove_network(with_weight(network, depth, part, entry))
    row, result = error.value.index
    assert 0 <= row < len(network.task.exact_rows)
    assert 0 <= result < len(network.task.columns)


def test_refuses_a_flipped_sign_at_large_size() -> None:
    network = C.gradient_descent(n_points=20, n_dims=5, n_steps=256, step_size="1/10")
    weight = network.layers[5].out.weights[7]
    with pytest.raises(Unequal):
        prove_network(with_weight(network, 5, "out", 7, -2 * weight))


def test_a_seed_replays_the_proof() -> None:
    network = SMALL["gd-doubling-A"]()
    first = prove_network(network, seed=7)
    assert first == prove_network(network, seed=7)
    assert first.primes != prove_network(network, seed=8).primes
    assert prove_network(network).seed != prove_network(network).seed
    assert prove_network(network, seed=first.seed).to_json() == first.to_json()


def test_a_prime_that_divides_a_denominator_is_drawn_again() -> None:
    prime = prove_network(SMALL["gd-gram-A"](), seed=3).primes[0]
    network = C.gradient_descent(n_points=2, n_dims=2, n_steps=2, step_size=Fraction(1, prime), form="gram")
    proof = prove_network(network, seed=3)
    assert prime not in proof.primes
    assert proof.log2_denominator >= 2 * math.log2(prime)


def test_a_difference_that_the_first_prime_divides_is_caught_by_the_next() -> None:
    bound = Bound(degree=0, log2_height=40_000, log2_denominator=0)
    first = prove_zero(lambda ring, draw, points: ring.zeros((points, 1)), bound, seed=1).primes[0]
    with pytest.raises(Unequal) as error:
        prove_zero(lambda ring, draw, points: ring.full((points, 1), first**50), bound, seed=1)
    assert error.value.prime != first


def test_large_primes_for_large_degrees() -> None:
    network = C.gradient_descent(n_points=4, n_dims=2, n_steps=2**40, step_size="1/10")
    proof = prove_network(network)
    assert proof.primes[0] > 2**64
    assert proof.failure_probability_log2 <= FAILURE_LOG2
    with pytest.raises(Unequal):
        prove_network(with_weight(network, 3, "out", 1))


def test_big_residues_agree_with_word_residues() -> None:
    network, prime = SMALL["gd-tight-E"](), 2**31 - 1
    u = np.random.default_rng(0).integers(0, prime, (2, network.n_rows, len(network.inputs)))
    words = network.evaluate(u, Residues(prime))
    assert (network.evaluate(u.astype(object), BigResidues(prime)) == words).all()
    with pytest.raises(ZeroDivisionError, match="choose another"):
        BigResidues(prime).element(Fraction(1, prime))


def test_progress_sees_every_round() -> None:
    seen: list[int] = []

    def watch(rounds: Any, total: int) -> Any:
        for number in rounds:
            seen.append(total)
            yield number

    proof = prove_network(C.gradient_descent(n_points=3, n_dims=2, n_steps=64, step_size="1/10"), progress=watch)
    assert seen == [len(proof.primes)] * len(proof.primes)


def test_doubling_at_large_size() -> None:
    """N=200, D=20, 2^10 steps: the reach that the package claims."""
    network = C.gradient_descent(n_points=200, n_dims=20, n_steps=1024, step_size=Fraction(1, 10))
    proof = prove_network(network)
    assert proof.failure_probability_log2 <= -60
    assert proof.degree >= 2049
    assert network_bound(network).log2_height == proof.log2_height


@pytest.mark.parametrize("power", [100, 600, 901, 5000])
def test_plans_for_degrees_that_floats_do_not_hold(power: int) -> None:
    chosen = plan(Bound(2**power, 1e300, 1e3))
    assert chosen.bits > power
    assert chosen.round_failure_log2 * chosen.rounds <= FAILURE_LOG2
    assert round_failure(Bound(2**power, 1e300, 1e3), power, 1) == 1.0


# --- Numbers by hand ------------------------------------------------------------------------------------------------------


def test_large_residues_are_integers_modulo_the_prime() -> None:
    prime = 2**61 - 1
    ring = BigResidues(prime)
    assert ring.prime == prime
    assert ring.name == "F_p, p of 61 bits"
    assert ring.element(Fraction(5, 3)) == 5 * pow(3, -1, prime) % prime
    assert ring.element(-1) == prime - 1
    with pytest.raises(
        ZeroDivisionError, match=rf"^the denominator of 2/{prime} is divisible by the prime: choose another$"
    ):
        ring.element(Fraction(2, prime))
    entries = np.array([[Fraction(1, 2), prime + 3]], dtype=object)
    assert ring.coerce(entries).tolist() == [[(prime + 1) // 2, 3]]
    assert ring.reduce(np.array([-1, prime, 5], dtype=object)).tolist() == [prime - 1, 0, 5]
    left, right = ring.elements([[prime - 1, 2]]), ring.elements([[prime - 1], [3]])
    assert ring.matmul(left, right).tolist() == [[7]]
    assert isinstance(residue_ring(2**31 - 1), Residues)
    assert isinstance(residue_ring(2**31 + 11), BigResidues)


def test_the_bound_of_a_difference_is_over_both_denominators() -> None:
    left, right = Majorant(3, 2.0, {3: 1}), Majorant(5, 2.0, {7: 2})
    bound = Bound.of_difference(left, right)
    assert bound.degree == 5
    assert bound.log2_denominator == left.log2_denominator + right.log2_denominator
    assert bound.log2_height == pytest.approx(3 + math.log2(3 * 49))
    assert bound.log2_height >= 3 + math.log2(3 * 49)
    tiny = Bound.of_difference(Majorant(0, -40.0), Majorant(0, -40.0))
    assert (tiny.log2_height, tiny.log2_denominator) == (0.0 + tiny.log2_denominator, tiny.log2_denominator)


def test_failure_of_a_round_by_hand() -> None:
    primes = 3 * 2**30 * 10**10 // (5 * 30 * 6931471813)
    assert round_failure(Bound(7, 100.0, 0.0), 30, 1) == (3 / primes + 7 / 2**30) * (1 + 1e-9)
    assert round_failure(Bound(7, 89.5, 0.0), 30, 1) == (3 / primes + 7 / 2**30) * (1 + 1e-9)
    assert round_failure(Bound(7, 100.0, 31.0), 30, 2) == (3 / (primes - 2) + (7 / 2**30) ** 2) * (1 + 1e-9)
    assert round_failure(Bound(2**30, 0.0, 0.0), 30, 1) == 1.0
    assert round_failure(Bound(2**29, 0.0, 0.0), 30, 1) == 0.5 * (1 + 1e-9)
    assert round_failure(Bound(1, 0.0, 30.0 * primes), 30, 1) == 1.0
    assert round_failure(Bound(0, 0.0, 30.0 * (primes - 1)), 30, 1) == 0.0


def test_plans_by_hand() -> None:
    nothing = plan(Bound(0, 0.0, 0.0))
    assert (nothing.bits, nothing.points, nothing.rounds, nothing.round_failure_log2) == (30, 4, 1, FAILURE_LOG2)
    few = plan(Bound(5, 100.0, 0.0))
    failure = round_failure(Bound(5, 100.0, 0.0), 30, few.points)
    assert few.round_failure_log2 == math.log2(failure)
    assert few.rounds == math.ceil(60 / -math.log2(failure))
    assert plan(Bound(5, 100.0, 0.0), -120.0).rounds == math.ceil(120 / -math.log2(failure))
    assert few.points == 1
    high = plan(Bound(2**20, 10.0, 0.0))  # degree counts more than height: points are cheaper than primes
    assert (high.bits, high.points, high.rounds) == (30, 4, 2)
    assert plan(Bound(2**20, 1e6, 0.0)).points == 2
    assert plan(Bound(2**40, 1e3, 0.0)).bits == 128
    assert plan(Bound(2**40, 1e3, 0.0)).rounds == 1
    assert plan(Bound(2**130, 1e3, 0.0)).bits == 256
    # One round modulo 128 bits misses with 2^-48: a longer prime, not a second round on Python integers.
    long = plan(Bound(2**116, 1e3, 0.0))
    assert (long.bits, long.rounds) == (256, 1)


def test_what_is_drawn_and_what_is_written_down() -> None:
    source = random.Random(1)
    drawn = uniform((3, 4), 7, Residues(7), source)
    assert drawn.shape == (3, 4)
    assert drawn.dtype == np.int64
    assert set(uniform((200,), 7, Residues(7), source).tolist()) == set(range(7))
    assert {random_prime(3, random.Random(k)) for k in range(60)} == {11, 13}
    shapes: list[tuple[int, ...]] = []

    def difference(ring: Ring, draw: Any, points: int) -> np.ndarray:
        shapes.append(draw((points, 2)).shape)
        return ring.zeros((points, 2)) + ring.prime  # type: ignore[attr-defined]  # reduced before it is compared

    bound = Bound(5, 100.0, 2.0)
    proof = prove_zero(difference, bound, seed=2**70)
    chosen = plan(bound)
    assert shapes == [(chosen.points, 2)] * chosen.rounds
    assert proof.failure_probability_log2 == chosen.rounds * chosen.round_failure_log2
    assert (proof.points, proof.seed, proof.degree) == (chosen.points, 2**70, 5)
    assert (proof.log2_height, proof.log2_denominator) == (100.0, 2.0)
    written = proof.to_json()
    assert written["seed"] == str(2**70)
    assert written["primes"] == list(proof.primes)
    large = prove_zero(lambda ring, draw, points: ring.zeros((points, 1)), Bound(2**40, 1e3, 0.0), seed=1)
    assert large.to_json()["primes"] == [str(large.primes[0])]
    stricter = prove_zero(difference, bound, seed=1, failure_log2=-200.0)
    assert stricter.failure_probability_log2 <= -200
    with pytest.raises(Unequal, match=r"^the two sides differ at \(1,\) modulo \d+$") as error:
        prove_zero(lambda ring, draw, points: np.array([[0, 5, 0]]), bound, seed=3)
    assert error.value.index == (1,)
    assert error.value.seed == 3
    assert 2**30 <= error.value.prime < 2**31
    objects = np.array([[0, 0, 0], [0, 0, 2**65]], dtype=object)
    with pytest.raises(Unequal) as later:
        prove_zero(lambda ring, draw, points: objects, Bound(2**40, 1e3, 0.0), seed=3)
    assert later.value.index == (2,)


def test_the_number_of_points_is_weighed_against_eight() -> None:
    """d/2^30 = 2/5: three points, for the prime's own chance c is nearly all: c + 0.4^3 < 1.25 (c + 0.4^8), not with 0.4^9."""
    primes = 3 * 2**30 / (5 * 30 * math.log(2))
    bound = Bound(int(0.4 * 2**30), 0.2532 * primes * 30, 0.0)
    assert (plan(bound).bits, plan(bound).points) == (30, 3)


def test_a_seed_has_256_bits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("precls_theory.proofs.residues.secrets.randbits", lambda bits: bits)
    bound = Bound(degree=0, log2_height=1, log2_denominator=0)
    assert prove_zero(lambda ring, draw, points: ring.zeros((points, 1)), bound).seed == 256


def test_integers_that_json_readers_round_are_written_as_text() -> None:
    primes = (2**31 - 1, 2**53 - 111, 2**53, 2**53 + 5, 3**53)
    found = ResidueProof(-60.0, primes, 1, 2**255, 2, 3.0, 0.0).to_json()
    assert found["primes"] == [2**31 - 1, 2**53 - 111, str(2**53), str(2**53 + 5), str(3**53)]
    assert found["seed"] == str(2**255)


def test_degrees_that_need_longer_primes_are_refused_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """2^1010 steps of gradient descent: a prime of 2048 bits, which takes minutes to find."""
    for degree, height, length in ((2**1010, 2.0**1012, 1012), (2**1010, 0.0, 0), (3, 2.0**1000, 1000)):
        words = (
            rf"^a degree of {degree.bit_length()} bits and coefficients of 2\^{length} bits need a prime of 2048 bits, "
        )
        with pytest.raises(OverflowError, match=words + r"and one of at most 1024 is drawn$"):
            prove_zero(lambda ring, draw, points: ring.zeros((points, 1)), Bound(degree, height, 0.0))
    assert plan(Bound(2**900, 2.0**902, 0.0)).bits == 1024
    monkeypatch.setattr("precls_theory.proofs.residues.MAX_PRIME_BITS", 30)
    assert prove_zero(lambda ring, draw, points: ring.zeros((points, 1)), Bound(3, 5.0, 0.0)).primes[0] < 2**31
