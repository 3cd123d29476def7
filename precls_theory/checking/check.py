"""Does this network compute what it claims, exactly? Equality at every exact row, and every stored number.

:func:`check` proves that the network equals the reference of its algorithm as polynomials in its input (over Q[inputs]
where that is small, by residues otherwise), and compares every stored number with the network that the construction
builds from the recorded parameters. Both must hold: a weight that no output feels is refused too.
"""

from __future__ import annotations

import copy
import itertools
import math
import random
import secrets
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, is_dataclass, replace
from fractions import Fraction
from typing import Any

import flint
import numpy as np

from constructions.algebra.filters import Filter
from constructions.algebra.rings import FMPQ, Ring, polynomials
from constructions.approximation.chebyshev_network import LABEL_SEPARATOR
from constructions.approximation.parser import parse_expression
from constructions.files.reading import layer_key, write_rational
from constructions.networks.construction import rebuild
from constructions.networks.layer import Layer, SparseMap
from constructions.networks.network import Network
from constructions.networks.tasks import Regression, Sequence
from constructions.slicing.task import SlicedTask
from precls_theory.checking.references import claimed, computed, results
from precls_theory.proofs.residues import WORD_BITS, Unequal, network_bound, prove_network, random_prime, residue_ring

MAX_TERMS = 5000
"""Networks whose outputs have at most this many terms are compared as polynomials over Q."""
MAX_EXACT_WORK = 3e9
"""Largest product of weights, rows and bits for which a counterexample is evaluated over Q (else modulo a prime)."""
_BATCH_ENTRIES = 2e7

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
    first_difference: dict[str, Any] | None = None
    entry: dict[str, Any] | None = None
    method: str | None = None
    failure_probability_log2: float | None = None
    detail: dict[str, Any] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
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


def check(network: Network, *, seed: int | None = None, progress: Progress | None = None) -> CheckResult:
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
    entry = first_entry(network, expected)
    refused: dict[str, Any] = {"ok": False, "algorithm": network.algorithm, "entry": entry}
    if not _same_shape(network, expected):
        return CheckResult(**refused, message=f"not the network that its parameters build: {describe_entry(entry)}")
    # What is claimed, and where, is up to the construction; the weights are those of the network at hand.
    network = replace(network, task=expected.task)
    try:
        proof = prove_network(network, seed=seed, progress=progress)
    except Unequal as difference:
        found = counterexample(network, difference.index, expected, seed)
        message = describe_difference(found)
        if entry is not None:
            message += f"; against the rebuild, {describe_entry(entry)}"
        return CheckResult(**refused, first_difference=found, method="residues", message=message)
    except (LookupError, OverflowError) as error:
        return CheckResult(**refused, message=str(error))
    detail = proof.to_json()
    if entry is not None:
        message = f"every output is as claimed, but a stored number is not: {describe_entry(entry)}"
        return CheckResult(**refused, method="residues", message=message, detail=detail)
    wrong_bound = error_bound_problem(network)
    if wrong_bound is not None:
        entry = _entry("parameter error_bound", network.parameters["error_bound"], None)
        return CheckResult(False, network.algorithm, wrong_bound, entry=entry, method="residues", detail=detail)
    rows = len(network.task.exact_rows)
    as_built = "every stored number is as built"
    if network.parameters.get("label"):
        as_built += ", and the error bound is proved again"
    if n_terms(network, proof.degree) <= MAX_TERMS and prove_symbolically(network):
        message = f"equal to {network.algorithm} as polynomials over Q at {rows} rows; {as_built}"
        return CheckResult(True, network.algorithm, message, method="polynomials over Q (fmpq_mpoly)", detail=detail)
    probability = proof.failure_probability_log2
    message = (
        f"equal to {network.algorithm} at {rows} rows by residues modulo {len(proof.primes)} random primes "
        f"(failure probability below 2^{math.ceil(probability)}); {as_built}"
    )
    return CheckResult(
        True, network.algorithm, message, method="residues", failure_probability_log2=probability, detail=detail
    )


def n_terms(network: Network, degree: int) -> int:
    """Largest number of terms of a polynomial of this degree in the free inputs of ``network``."""
    n_variables = len(network.task.free_channels)
    if min(degree, n_variables) > 64:
        return 2**63
    return math.comb(n_variables + degree, min(degree, n_variables))


def prove_symbolically(network: Network) -> bool:
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


def error_bound_problem(network: Network) -> str | None:
    """What is wrong with the approximation error that a network records, or ``None``: it is proved again from the weights.

    Only a network whose parameters claim an ``error_bound``, perhaps of 0, for the functions named in ``label`` has
    one; the weights do not depend on it, so the rebuild says nothing about it.
    """
    if not network.parameters.get("label") and not Fraction(network.parameters.get("error_bound", 0)):
        return None
    from precls_theory.approximation.error import chebyshev_error

    label, bound = str(network.parameters.get("label", "")), Fraction(network.parameters["error_bound"])
    try:
        functions = [parse_expression(text, network.parameters["variables"]) for text in label.split(LABEL_SEPARATOR)]
        proved = chebyshev_error(network, functions)
    except (ValueError, ArithmeticError, LookupError) as error:
        return f"the recorded error bound cannot be proved again for the function {_short(label)!r}: {error}"
    if proved <= bound:
        return None
    return (
        f"the recorded error bound is {_short(write_rational(bound))}, and the weights are proved to within "
        f"{float(proved):.6g} of {_short(label)} only"
    )


# --- Counterexamples ----------------------------------------------------------------------------------------------


def counterexample(
    network: Network, index: tuple[int, ...], expected: Network, seed: int | None = None
) -> dict[str, Any]:
    """An input of small integers at which the output ``index`` (place among exact rows, result) differs from the claim.

    ``expected`` is the rebuild: it names the output channels. Found modulo a prime, where a difference of integers that
    is not zero is not zero over Q either; evaluated over Q where that is feasible, else the two values are given modulo
    the prime.
    """
    place, result = index
    row = network.task.exact_rows[place]
    # A network whose mode was changed to causal may have to answer for rows that it does not read.
    last = row if network.mode == expected.mode == "causal" else network.n_rows - 1
    source = random.Random(secrets.randbits(64) if seed is None else seed)
    u, prime = _small_input(network, place, result, last, source)
    used_rows = row + 1 if network.mode == "causal" else network.n_rows
    work = network.n_nonzero * used_rows * max(64.0, network_bound(network).log2_height)
    ring = FMPQ if work <= MAX_EXACT_WORK else residue_ring(prime)
    values = [side(network, ring.coerce(u), place, ring)[result] for side in (_computed_at, _claimed_at)]
    texts = [
        write_rational(Fraction(int(value.p), int(value.q))) if ring is FMPQ else f"{int(value)} (mod {prime})"
        for value in values
    ]
    return {
        "output": _result_name(expected, result),
        "row": row,
        "input": _named_input(network, u),
        "computed": texts[0],
        "claimed": texts[1],
    }


def _result_name(expected: Network, result: int) -> str:
    """The channel that holds a result; of digit channels, what they add up to."""
    if isinstance(expected.task, SlicedTask):
        return expected.outputs[expected.task.groups[result][0]].rpartition("@")[0]
    return expected.outputs[expected.task.columns[result]]


def _computed_at(network: Network, u: np.ndarray, place: int, ring: Ring) -> np.ndarray:
    """The results (..., n results) at one exact row; a causal network is run on the rows up to it alone."""
    row = network.task.exact_rows[place]
    if network.mode == "causal":
        positions = {key: weight for key, weight in network.positions.items() if key[0] <= row}
        network, u = replace(network, n_rows=row + 1, positions=positions), u[..., : row + 1, :]
    return results(network, network.evaluate(u, ring)[..., row, :], ring)


def _claimed_at(network: Network, u: np.ndarray, place: int, ring: Ring) -> np.ndarray:
    """The claim (..., n results) at one exact row, and where the reference allows it, computed for that row alone."""
    rows = network.task.exact_rows
    if len(rows) > 1 and isinstance(network.task, Regression):
        task = copy.copy(network.task)
        object.__setattr__(task, "__class__", type("AtRow", (type(task),), {"exact_rows": (rows[place],)}))
        network, place = replace(network, task=task), 0
    return claimed(network, u, ring)[..., place, :]


def _small_input(network: Network, place: int, result: int, last: int, source: random.Random) -> tuple[np.ndarray, int]:
    """Integers, small and few if possible, in rows up to ``last``, at which the result differs at an exact row, and the
    prime that shows it."""
    free = np.array([at for at in network.task.free_channels if at[0] <= last], dtype=np.int64).reshape(-1, 2)
    weights = max(layer.n_nonzero for layer in network.layers) * (last + 1)
    batch = max(1, min(24, int(_BATCH_ENTRIES / max(1, weights))))
    generator = np.random.default_rng(source.getrandbits(64))
    magnitude = 1
    for attempt in itertools.count():
        # A degree beyond the size of a word needs a larger field.
        prime = random_prime(WORD_BITS if attempt < 32 else 128, source)
        ring = residue_ring(prime)
        integers = generator.integers(-magnitude, magnitude + 1, size=(batch, len(free)))
        density = np.linspace(0.2, 1, batch)[::-1, None]
        integers *= generator.random((batch, len(free))) < density
        u = np.zeros((batch, network.n_rows, len(network.inputs)), dtype=np.int64)
        u[:, free[:, 0], free[:, 1]] = integers
        residues = ring.coerce(u)
        try:
            gap = _computed_at(network, residues, place, ring) - _claimed_at(network, residues, place, ring)
        except ZeroDivisionError:
            continue
        differs = np.flatnonzero(ring.reduce(gap)[:, result])
        if len(differs):
            fewest = differs[np.argmin(np.count_nonzero(integers[differs], axis=1))]
            return u[fewest].astype(object), prime
        magnitude = min(2 * magnitude, 2**28)
    raise AssertionError("unreachable")


def _named_input(network: Network, u: np.ndarray) -> dict[str, Any]:
    task = network.task
    if isinstance(task, Regression):
        first = 1 if task.layout == "S" else 0
        data = u[first : first + task.n_points]
        named = {"A": data[:, : task.n_dims].tolist(), "b": data[:, task.n_dims].tolist()}
        if task.takes_start:
            row, start = task.start_slice
            named["x_init"] = u[row, start].tolist()
        return named
    if isinstance(task, Sequence):
        return {"u": u[:, : task.n_channels].tolist()}
    return {network.inputs[column] + f" at row {row}": int(u[row, column]) for row, column in task.free_channels}


# --- Comparison with the rebuild ----------------------------------------------------------------------------------


def _same_shape(network: Network, expected: Network) -> bool:
    """Whether the claim can be evaluated on the network at all."""
    return (
        network.n_rows == expected.n_rows
        and len(network.inputs) == len(expected.inputs)
        and bool(network.layers)
        and max(expected.task.columns, default=-1) < len(network.outputs)
        and all(row < network.n_rows and column < len(network.inputs) for row, column in network.positions)
    )


def first_entry(network: Network, expected: Network) -> dict[str, Any] | None:
    """The first thing stored about ``network`` that differs from ``expected``, or ``None``."""
    for name in ("algorithm", "n_rows", "mode", "inputs", "depth"):
        stored, rebuilt = getattr(network, name), getattr(expected, name)
        if stored != rebuilt:
            return _entry(name, stored, rebuilt)
    if network.parameters != expected.parameters:
        name = min(
            key
            for key in {*network.parameters, *expected.parameters}
            if network.parameters.get(key) != expected.parameters.get(key)
            or (key in network.parameters) != (key in expected.parameters)
        )
        return _entry(f"parameter {name}", network.parameters.get(name), expected.parameters.get(name))
    if is_dataclass(network.task) and network.task != expected.task:
        return _entry("task", repr(network.task), repr(expected.task))
    if network.positions != expected.positions:
        at = min(
            key for key in {*network.positions, *expected.positions}
            if network.positions.get(key) != expected.positions.get(key)
        )  # fmt: skip
        found = _entry("positional embedding", network.positions.get(at), expected.positions.get(at))
        return found | {"row": at[0], "column": expected.inputs[at[1]] if at[1] < len(expected.inputs) else at[1]}
    inputs = expected.inputs
    equal: set[tuple[int, int]] = set()
    for depth, (stored, rebuilt) in enumerate(zip(network.layers, expected.layers, strict=True), start=1):
        if (id(stored), id(rebuilt)) not in equal:
            found_in_layer = _first_in_layer(stored, rebuilt, inputs)
            if found_in_layer is not None:
                return {"layer": depth} | found_in_layer
            equal.add((id(stored), id(rebuilt)))
        inputs = rebuilt.outputs
    return None


def _first_in_layer(stored: Layer, rebuilt: Layer, inputs: tuple[str, ...]) -> dict[str, Any] | None:
    if layer_key(stored) == layer_key(rebuilt):
        return None
    hidden = [f"hidden {h}" for h in range(max(stored.width, rebuilt.width))]
    outputs = list(rebuilt.outputs)
    for name, rows, columns in (("conv", hidden, inputs), ("gate", hidden, inputs), ("out", outputs, hidden)):
        found = _first_in_map(name, getattr(stored, name), getattr(rebuilt, name), rows, columns)
        if found is not None:
            return found
    for h in range(min(stored.width, rebuilt.width)):
        filters = [layer.filters[layer.filter_index[h]] for layer in (stored, rebuilt)]
        if filters[0] != filters[1]:
            return _entry("filter", _filter(filters[0]), _filter(filters[1])) | {"row": f"hidden {h}"}
    if stored.outputs != rebuilt.outputs:
        at = next(
            (i for i, (a, b) in enumerate(zip(stored.outputs, rebuilt.outputs, strict=False)) if a != b),
            min(len(stored.outputs), len(rebuilt.outputs)),
        )
        return _entry("output name", *("".join(names.outputs[at : at + 1]) or None for names in (stored, rebuilt))) | {
            "row": at
        }
    # The same filters in another order, or one that is not used.
    return _entry("filters", [_filter(f) for f in stored.filters], [_filter(f) for f in rebuilt.filters])


def _first_in_map(name: str, stored: SparseMap, rebuilt: SparseMap, rows: Any, columns: Any) -> dict[str, Any] | None:
    if (stored.n_in, stored.n_out) != (rebuilt.n_in, rebuilt.n_out):
        return _entry(name, [stored.n_in, stored.n_out], [rebuilt.n_in, rebuilt.n_out]) | {"what": "channels in, out"}
    left, right = stored.entries(), rebuilt.entries()
    changed = [key for key in {*left, *right} if left.get(key) != right.get(key)]
    if not changed:
        return None
    row, column = min(changed)
    label = "1 (bias)" if column == rebuilt.n_in else columns[column] if column < len(columns) else column
    return _entry(name, left.get((row, column)), right.get((row, column))) | {"row": rows[row], "column": label}


def _entry(where: str, stored: Any, rebuilt: Any) -> dict[str, Any]:
    def plain(value: Any) -> Any:
        if isinstance(value, Fraction):
            return write_rational(value)
        return list(value) if isinstance(value, tuple) else value

    return {"where": where, "stored": plain(stored), "rebuilt": plain(rebuilt)}


def _filter(filter: Filter) -> dict[str, Any]:
    return {"head": [write_rational(tap) for tap in filter.head], "tail": write_rational(filter.tail)}


# --- Words --------------------------------------------------------------------------------------------------------


def _short(value: Any) -> str:
    text = str(value)
    return text if len(text) <= 40 else f"{text[:16]}…{text[-8:]} ({len(text)} characters)"


def describe_entry(entry: dict[str, Any] | None) -> str:
    """An entry in words."""
    if entry is None:
        return "nothing differs"
    place = ", ".join(f"{key} {entry[key]}" for key in ("layer", "row", "column") if key in entry)
    stored, rebuilt = (_short("nothing" if entry[key] is None else entry[key]) for key in ("stored", "rebuilt"))
    return f"{entry['where']}{f' ({place})' if place else ''} is {stored}, and the construction has {rebuilt}"


def describe_difference(found: dict[str, Any]) -> str:
    """A counterexample in words; of the input, the entries that are not zero."""
    entries = []
    for name, value in found["input"].items():
        array = np.asarray(value, dtype=object)
        for index in np.argwhere(array != 0).tolist() if array.ndim else [[]] if value else []:
            entries.append(f"{name}{index or ''} = {array[tuple(index)]}")
    shown = ", ".join(entries[:12]) + (f" and {len(entries) - 12} more entries" if len(entries) > 12 else "")
    values = f"{_short(found['computed'])} instead of {_short(found['claimed'])}"
    given = f"{shown}, all else zero" if entries else "the zero input"
    return f"output {found['output']} at row {found['row']} is {values} for {given}"
