"""Does this network compute what it claims, exactly? Equality at every exact row, and every stored number.

:func:`check` proves that the network equals the reference of its algorithm as polynomials in its input (over Q[inputs]
where that is small, by residues otherwise), and compares every stored number with the network that the construction
builds from the recorded parameters. Both must hold: a weight that no output feels is refused too. A network with weights
of its own (:mod:`constructions.models.own_weights`) has no rebuild to be compared with: its results are all that it claims.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from functools import partial

import flint

from constructions.algebra.rationals import as_fraction, write_rational
from constructions.algebra.rings import polynomials
from constructions.approximation.chebyshev_network import LABEL_SEPARATOR, ChebyshevParameters
from constructions.approximation.parser import parse_expression
from constructions.models.own_weights import OWN_WEIGHTS
from constructions.networks.base import ExactNetwork
from constructions.networks.construction import rebuild
from constructions.networks.parameters import claim_of, recorded
from constructions.networks.stack import LayerStack
from constructions.transformers.blocks import EvenPartRemains
from precls_theory.checking.counterexample import counterexample
from precls_theory.checking.prove import prove_network
from precls_theory.checking.rebuild import differing, first_entry, same_shape
from precls_theory.checking.references import claimed, computed
from precls_theory.checking.words import describe_difference, describe_entry, short
from precls_theory.proofs.residues import Unequal

MAX_WRITTEN_TERMS = 5000
"""Networks whose outputs have at most this many terms are compared as polynomials over Q."""

Progress = Callable[[Iterable[int], int], Iterable[int]]


@dataclass(frozen=True)
class CheckResult:
    """Whether the network is what it claims to be, and if not, where it first differs.

    ``first_difference`` is an output that differs with an input that shows it; ``entry`` is the first stored number
    that differs from the rebuild. ``failure_probability_log2`` is ``None`` for a proof over Q.
    """

    ok: bool
    algorithm: str
    message: str
    first_difference: dict[str, object] | None = None
    entry: dict[str, object] | None = None
    method: str | None = None
    failure_probability_log2: float | None = None
    detail: dict[str, object] = field(default_factory=dict)

    def to_json(self) -> dict[str, object]:
        """JSON-serialisable data; ``entry`` is there where only the rebuild differs."""
        only_entry = self.entry is not None and self.first_difference is None
        return {
            "ok": self.ok,
            "algorithm": self.algorithm,
            "first_difference": self.first_difference,
            **({"entry": self.entry} if only_entry else {}),
            "method": self.method,
            "failure_probability_log2": self.failure_probability_log2,
            "message": self.message,
            "detail": self.detail,
        }


def check(network: ExactNetwork, *, seed: int | None = None, progress: Progress | None = None) -> CheckResult:
    """Check ``network`` against the claim that its ``algorithm`` and ``parameters`` make.

    ``seed`` replays the random primes and points of an earlier check; ``progress(rounds, total)`` wraps the rounds.
    A network that fails is reported, not raised.
    """
    try:
        expected = rebuild(network.algorithm, network.parameters)
    except (ValueError, TypeError, ArithmeticError, LookupError, AttributeError) as error:
        return CheckResult(
            ok=False, algorithm=network.algorithm, entry={"where": "parameters", "stored": network.parameters},
            message=f"the recorded parameters do not rebuild: {error}",
        )  # fmt: skip
    own = network.algorithm == OWN_WEIGHTS
    entry = None if own and same_shape(network, expected) else first_entry(network, expected)
    refused = partial(CheckResult, ok=False, algorithm=network.algorithm, entry=entry)
    if not same_shape(network, expected):
        return refused(message=f"not the network that its parameters build: {describe_entry(entry)}")
    # What is claimed, and where, is up to the construction; the weights are those of the network at hand.
    network = replace(network, task=expected.task)
    try:
        proof = prove_network(network, seed=seed, progress=progress)
    except Unequal as difference:
        found = counterexample(network, difference.index, expected, seed)
        message = describe_difference(found)
        if entry is not None:
            message += f"; against the rebuild, {describe_entry(entry)}"
        return refused(first_difference=found, method="residues", message=message)
    except (LookupError, OverflowError, EvenPartRemains) as error:
        return refused(message=str(error))
    detail = proof.to_json()
    if entry is not None:
        message = f"every output is as claimed, but a stored number is not: {describe_entry(entry)}"
        return refused(method="residues", message=message, detail=detail)
    wrong_bound = error_bound_problem(network)
    if wrong_bound is not None:
        entry = differing("parameter error_bound", network.parameters["error_bound"], None)
        return CheckResult(False, network.algorithm, wrong_bound, entry=entry, method="residues", detail=detail)
    rows = len(network.task.exact_rows)
    as_built = "the weights are its own" if own else "every stored number is as built"
    claim = claim_of(network.parameters)["algorithm"] if own else network.algorithm
    if network.parameters.get("label"):
        as_built += ", and the error bound is proved again"
    if n_terms(network, proof.degree) <= MAX_WRITTEN_TERMS and prove_symbolically(network):
        message = f"equal to {claim} as polynomials over Q at {rows} rows; {as_built}"
        return CheckResult(True, network.algorithm, message, method="polynomials over Q (fmpq_mpoly)", detail=detail)
    probability = proof.failure_probability_log2
    message = (
        f"equal to {claim} at {rows} rows by residues modulo {len(proof.primes)} random primes "
        f"(failure probability below 2^{math.ceil(probability)}); {as_built}"
    )
    return CheckResult(
        True, network.algorithm, message, method="residues", failure_probability_log2=probability, detail=detail
    )


def n_terms(network: ExactNetwork, degree: int) -> int:
    """Largest number of terms of a polynomial of this degree in the free inputs of ``network``."""
    n_variables = len(network.task.free_channels)
    if min(degree, n_variables) > 64:
        return 2**63
    return math.comb(n_variables + degree, min(degree, n_variables))


def prove_symbolically(network: ExactNetwork) -> bool:
    """Whether computed and claimed values agree as polynomials over Q in the free inputs, at every exact row."""
    free = network.task.free_channels
    names = [f"u{index}" for index in range(len(free))]
    context = flint.fmpq_mpoly_ctx.get(names, flint.Ordering.degrevlex)
    ring = polynomials(context)
    u = ring.zeros((network.n_rows, len(network.inputs)))
    for (row, column), generator in zip(free, context.gens(), strict=True):
        u[row, column] = generator
    left, right = computed(network, u, ring), claimed(network, u, ring)
    return left.shape == right.shape and all(a == b for a, b in zip(left.flat, right.flat, strict=True))


def error_bound_problem(network: ExactNetwork) -> str | None:
    """What is wrong with the approximation error that a network records, or ``None``: it is proved again from the weights.

    Only a network whose parameters claim an ``error_bound``, perhaps of 0, for the functions named in ``label`` has
    one; the weights do not depend on it, so the rebuild says nothing about it.
    """
    if not network.parameters.get("label") and not as_fraction("error_bound", network.parameters.get("error_bound", 0)):
        return None
    from precls_theory.approximation.error import chebyshev_error

    assert isinstance(network, LayerStack)

    label, bound = (
        str(network.parameters.get("label", "")),
        as_fraction("error_bound", network.parameters["error_bound"]),
    )
    try:
        variables = recorded(network.parameters, ChebyshevParameters)["variables"]
        functions = [parse_expression(text, variables) for text in label.split(LABEL_SEPARATOR)]
        proved = chebyshev_error(network, functions)
    except (ValueError, ArithmeticError, LookupError) as error:
        return f"the recorded error bound cannot be proved again for the function {short(label)!r}: {error}"
    if proved <= bound:
        return None
    return (
        f"the recorded error bound is {short(write_rational(bound))}, and the weights are proved to within "
        f"{float(proved):.6g} of {short(label)} only"
    )
