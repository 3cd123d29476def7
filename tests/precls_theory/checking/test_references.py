"""References against the definitions of the algorithms, written once more as loops over fractions."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from helpers.problems import array, gradient_descent, newton

import constructions as C
from constructions.algebra.rings import RATIONALS, Residues, Ring
from constructions.networks.network import Network
from constructions.slicing.task import SlicedTask
from precls_theory.checking import references
from precls_theory.checking.references import (
    REFERENCES,
    Reference,
    claimed,
    claimed_majorant,
    computed,
    computed_majorant,
    find,
    reference,
    results,
)
from precls_theory.proofs.majorants import VARIABLE, Majorant, network_majorant

FIELD = Residues(2**31 - 1)
N, D = 3, 2
A = array([[1, 2], [-3, 1], [2, "5/2"]])
B = array([2, "-1/3", 4])
X = array(["1/2", -2])


def chebyshev(A: np.ndarray, b: np.ndarray, x: np.ndarray, n: int, low: Fraction, high: Fraction) -> np.ndarray:
    """The semi-iteration with ω written by its own recursion, ω_{k+1} = 4σ²/(4σ² − ω_k) from ω_1 = 2."""
    sigma, middle = (high + low) / (high - low), (high + low) / 2
    before, omega = x, Fraction(2)
    for k in range(n):
        step = x - (A.T @ (A @ x - b)) / middle / N
        omega = Fraction(2) if k == 0 else 4 * sigma**2 / (4 * sigma**2 - omega)
        before, x = x, step if k == 0 else omega * (step - before) + before
    return x


def descend(steps: int, momentum: Fraction = Fraction(0)) -> Callable[[np.ndarray, np.ndarray, np.ndarray], np.ndarray]:
    def run(A: np.ndarray, b: np.ndarray, x: np.ndarray) -> np.ndarray:
        return gradient_descent(A, b, x, steps, Fraction(2, 7) * len(A) / N, momentum)

    return run


def newton_run(A: np.ndarray, b: np.ndarray, x: np.ndarray, refinements: int = 0) -> np.ndarray:
    return newton(A, b, 2, Fraction(1, 9), refinements)


SIZE: dict[str, Any] = {"n_points": N, "n_dims": D}
REGRESSIONS: dict[str, tuple[Callable[[], Any], Callable[[np.ndarray, np.ndarray, np.ndarray], np.ndarray]]] = {
    **{
        f"gradient descent, layout {layout}": (
            lambda layout=layout: C.gradient_descent(**SIZE, n_steps=3, step_size="2/7", layout=layout, form="tight"), descend(3)
        )
        for layout in "AES"
    },
    "linear attention": (
        lambda: C.linear_attention_gradient_descent(**SIZE, n_steps=3, step_size="2/7"), descend(3)
    ),
    "heavy ball": (
        lambda: C.heavy_ball(**SIZE, n_steps=4, step_size="2/7", momentum="3/5"), descend(4, Fraction(3, 5))
    ),
    "Chebyshev": (
        lambda: C.chebyshev(**SIZE, n_steps=4, lower="1/7", upper="3/2"),
        lambda A, b, x: chebyshev(A, b, x, 4, Fraction(1, 7), Fraction(3, 2)),
    ),
    "explicit gradient": (
        lambda: C.explicit_gradient(**SIZE), lambda A, b, x: A.T @ (A @ x - b) / N
    ),
    "Newton": (lambda: C.newton(**SIZE, n_iters=2, alpha="1/9"), newton_run),
    "Newton, refined": (
        lambda: C.newton(**SIZE, n_iters=2, alpha="1/9", refinements=2),
        lambda A, b, x: newton_run(A, b, x, 2),
    ),
    "Gram refinement": (  # from zero: the first round gives M c
        lambda: C.gram_refinement(**SIZE, n_iters=2, alpha="1/9", refinements=3),
        lambda A, b, x: newton_run(A, b, x, 2),
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", REGRESSIONS)
def test_regressions_are_their_loops_at_every_row(name: str) -> None:
    build, run = REGRESSIONS[name]
    network = build()
    task = network.task
    u = task.encode(A, B, X) if task.takes_start else task.encode(A, B)
    start = X if task.takes_start else 0 * X
    seen = [task.points_seen(row) for row in task.exact_rows]
    assert max(seen) == N
    expected = np.array([run(A[:n], B[:n], start) if n else run(0 * A, 0 * B, start) for n in seen])
    batch = np.stack([u, u])
    for given in (u, batch):
        found = claimed(network, given, RATIONALS)
        assert found.shape == (*given.shape[:-2], len(seen), D)
        assert (found == expected).all()
        assert (claimed(network, FIELD.elements(given), FIELD) == FIELD.elements(expected)).all()
        assert (computed(network, given, RATIONALS) == expected).all()


def test_channels_beyond_the_data_are_not_read() -> None:
    for layout in ("A", "E", "S"):
        network = C.gradient_descent(**SIZE, n_steps=1, step_size="2/7", layout=layout, form="gram")
        u = network.task.encode(A, B, X)
        wide = np.concatenate([u, u + 1], -1)
        assert (claimed(network, wide, RATIONALS) == claimed(network, u, RATIONALS)).all()


@pytest.mark.parametrize("scales", [None, ("2/3", -3)])
def test_centred_regressions_are_taken_back_by_hand(scales: tuple[Any, ...] | None) -> None:
    """Column by column over fractions: means, differences times scales, Newton, and the first coefficient from the means."""
    network = C.centred_newton(n_points=4, n_dims=3, n_iters=2, alpha="1/9", constant="5/2", scales=scales)
    rows = [
        [Fraction(5, 2), 1, 2],
        [Fraction(5, 2), -3, 1],
        [Fraction(5, 2), 0, Fraction(7, 2)],
        [Fraction(5, 2), 4, -1],
    ]
    b = [Fraction(2), Fraction(-1, 3), Fraction(4), Fraction(1)]
    factors = [Fraction(scale) for scale in scales or (1, 1)]
    means = [sum((row[j] for row in rows), Fraction(0)) / 4 for j in (1, 2)]
    Z = [[row[0], *(s * (v - m) for s, v, m in zip(factors, row[1:], means, strict=True))] for row in rows]
    y = newton(array(Z), array(b), 2, Fraction(1, 9), 0)
    others = [s * value for s, value in zip(factors, y[1:], strict=True)]
    first = y[0] - sum(m * value for m, value in zip(means, others, strict=True)) / Fraction(5, 2)
    u = network.task.encode(array(rows), array(b))
    expected = [[first, *others]] * len(network.task.exact_rows)
    for given in (u, np.stack([u, u])):
        assert (claimed(network, given, RATIONALS) == array(expected)).all()
        assert claimed(network, given, RATIONALS).shape == (*given.shape[:-2], len(expected), 3)
        assert (claimed(network, FIELD.elements(given), FIELD) == FIELD.elements(expected)).all()


def test_centred_columns_without_scales_have_factors_one() -> None:
    sizes: dict[str, Any] = {"n_points": 3, "n_dims": 4, "n_iters": 1, "alpha": "1/9"}
    plain, ones = C.centred_newton(**sizes), C.centred_newton(**sizes, scales=(1, 1, 1))
    u = plain.task.encode(array([[1, 2, 3, 4], [1, -1, 0, 2], [1, 5, 1, -3]]), B)
    assert (claimed(plain, u, RATIONALS) == claimed(ones, u, RATIONALS)).all()


def test_a_transformer_is_bounded_entry_by_entry() -> None:
    network = C.linear_attention_gradient_descent(**SIZE, n_steps=1, step_size="2/7")
    found = computed_majorant(network)
    assert found.degree == 3
    assert math.isfinite(found.log2_norm)


def test_descent_of_no_step_and_of_many() -> None:
    for steps in (0, 1, 2, 2048, 2049, 4100):
        network = C.gradient_descent(n_points=2, n_dims=1, n_steps=steps or 1, step_size="1/3", form="gram")
        parameters = {**network.parameters, "n_steps": steps}
        G, c, x = (FIELD.elements(value) for value in ([[[5]]], [[3]], [[2]]))
        found = references.gradient_descent(parameters, G, c, x, FIELD)
        exact, prime = 2, 2**31 - 1
        for _ in range(steps):
            exact = (exact - (5 * exact - 3) * pow(6, -1, prime)) % prime
        assert found.tolist() == [[exact]]


def test_powers_of_the_map_are_powers_at_every_bit(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two dimensions, so that the order of products shows; every count up to 9, all by squaring."""
    G, c, x = A.T @ A, A.T @ B, X
    for steps in range(10):
        parameters = {"step_size": "2/7", "n_points": N, "n_steps": steps}
        by_loop = references.gradient_descent(parameters, G[None], c[None], x[None], RATIONALS)
        with monkeypatch.context() as patch:
            patch.setattr(references, "LOOP_STEPS", -1)
            by_squaring = references.gradient_descent(parameters, G[None], c[None], x[None], RATIONALS)
        assert (by_loop[0] == gradient_descent(A, B, X, steps, Fraction(2, 7))).all()
        assert (by_squaring == by_loop).all()


def test_the_loop_ends_where_it_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(references, "_identity", None)
    G, c, x = (FIELD.elements(value) for value in ([[[5]]], [[3]], [[2]]))
    parameters = {"step_size": "1/3", "n_points": 2, "n_steps": references.LOOP_STEPS}
    references.gradient_descent(parameters, G, c, x, FIELD)
    with pytest.raises(TypeError):
        references.gradient_descent({**parameters, "n_steps": references.LOOP_STEPS + 1}, G, c, x, FIELD)
    assert references.LOOP_STEPS == 2048


# --- primitives -----------------------------------------------------------------------------------------------------------

U = array([[[1, 2, 3, 4], [5, 6, 7, 8], ["1/2", 0, -1, 9]], [[2, 2, 3, 4], [5, 1, 7, 8], [1, 0, 4, 9]]])


def test_read_by_hand() -> None:
    network = C.read(n_rows=3, n_channels=4, source=0, target=2, start=1, stop=3)
    found = claimed(network, U, RATIONALS)
    expected = U.copy()
    for batch in range(2):
        for channel in (1, 2):
            expected[batch, 2, channel] = U[batch, 0, channel]
    assert (found == expected).all()
    assert (computed(network, network.encode(U), RATIONALS) == expected).all()
    wide = np.concatenate([U, U], -1)
    assert claimed(network, wide, RATIONALS).shape == U.shape


def test_linear_by_hand() -> None:
    weight, bias = [["1/2", 1], [0, -3], [2, 0], [1, 1]], ["1/3", 5]
    for given in (None, bias):
        network = C.linear(n_rows=3, weight=weight, bias=given)
        expected = [
            [
                [
                    sum(row[c] * Fraction(weight[c][j]) for c in range(4)) + Fraction((given or [0, 0])[j])
                    for j in (0, 1)
                ]
                for row in batch
            ]
            for batch in U.tolist()
        ]
        assert claimed(network, U, RATIONALS).tolist() == expected
        assert (claimed(network, FIELD.elements(U), FIELD) == FIELD.elements(expected)).all()


@pytest.mark.parametrize("clear", [True, False])
@pytest.mark.parametrize(
    ("left", "right", "target", "length"), [(0, 2, 0, 2), (1, 2, 0, 2), (0, 0, 3, 1), (0, 1, 1, 3)]
)
def test_multiply_by_hand(clear: bool, left: int, right: int, target: int, length: int) -> None:
    place: dict[str, Any] = {"left": left, "right": right, "target": target, "length": length}
    network = C.multiply(n_rows=3, n_channels=4, **place)
    if not clear:
        network = replace(network, parameters={**network.parameters, "clear": False})
    expected = U.copy()
    for index in np.ndindex(2, 3):
        for k in range(length):
            product = U[(*index, left + k)] * U[(*index, right + k)]
            expected[(*index, target + k)] = product if clear else U[(*index, target + k)] + product
    for u in (U, np.concatenate([U, U], -1)):
        assert (claimed(network, u, RATIONALS) == expected).all()
    field = Residues(7)
    small = np.array([[[3, 6, 5, 4]]])
    by_hand = small.copy()
    for k in range(length):
        product = small[0, 0, left + k] * small[0, 0, right + k] + (0 if clear else small[0, 0, target + k])
        by_hand[0, 0, target + k] = product % 7
    assert (claimed(network, small, field) == by_hand).all()


# --- sliced networks, and weights of their own ------------------------------------------------------------------------------


def test_sliced_networks_claim_what_the_original_claims_of_the_sums() -> None:
    original = C.gradient_descent(n_points=2, n_dims=1, n_steps=1, step_size="1/2")
    network = C.sliced(original, slices=3, slice_bits=8)
    task = network.task
    assert isinstance(task, SlicedTask)
    u = np.arange(2 * task.n_rows * task.n_inputs).reshape(2, task.n_rows, task.n_inputs).astype(object)
    sums = np.full((2, 2, len(original.inputs)), Fraction(0), dtype=object)
    for row, column in original.task.free_channels:
        for _, place in task.digits[column]:
            sums[:, row, column] += u[:, row, place]
    a, b, x = sums[..., 0], sums[..., 1], sums[:, 0, 2]
    last = x - Fraction(1, 4) * (a * a * x[:, None] - a * b).sum(1)
    assert claimed(network, u, RATIONALS)[:, -1, 0].tolist() == last.tolist()
    assert (claimed(network, u, FIELD)[:, -1, 0] == FIELD.elements(last)).all()
    free = 0 * u
    for row, column in task.free_channels:
        free[:, row, column] = u[:, row, column]
    assert (computed(network, free, RATIONALS) == claimed(network, free, RATIONALS)).all()
    output = np.arange(2 * 40).reshape(2, 40)
    assert results(network, output, Residues(7)).tolist() == [
        [sum(int(row[c]) for c in group) % 7 for group in task.groups] for row in output
    ]
    most, digits = max(map(len, task.groups)), max(map(len, task.digits))
    whole, plain, claim = network_majorant(network), claimed_majorant(original), claimed_majorant(network)
    grown = computed_majorant(network)
    assert (grown.degree, grown.denominators) == (whole.degree, whole.denominators)
    assert 0 < grown.log2_norm - whole.log2_norm - math.log2(most) < 1e-9
    assert (claim.degree, claim.denominators) == (plain.degree, plain.denominators)
    assert 0 < claim.log2_norm - plain.log2_norm - plain.degree * math.log2(digits) < 1e-9
    assert most > 1
    assert digits > 1
    single = replace(network, task=replace(task, digits=tuple(places[:1] for places in task.digits)))
    assert 0 <= claimed_majorant(single).log2_norm - plain.log2_norm < 1e-9


def test_weights_of_their_own_claim_what_the_original_claims() -> None:
    """At the rows of their own task."""
    original = C.gradient_descent(**SIZE, n_steps=3, step_size="2/7", form="gram")
    recorded = {"algorithm": "gradient_descent", "parameters": original.parameters}
    last = replace(original.task, prefix_rows=False)
    network = replace(original, algorithm="own_weights", parameters={"network": recorded}, task=last)
    u = original.encode(A, B, X)
    expected = gradient_descent(A, B, X, 3, Fraction(2, 7))
    assert claimed(network, u, RATIONALS).tolist() == [expected.tolist()] * len(last.exact_rows)


def test_the_registry() -> None:
    assert set(REFERENCES) >= {"gradient_descent", "newton", "read", "linear", "multiply", "sliced", "own_weights"}
    known = find("gradient_descent")
    assert isinstance(known, Reference)
    assert known.bound is not None
    assert find("read").bound is None
    with pytest.raises(
        LookupError,
        match=rf"^no reference says what 'magic' computes: known are {', '.join(sorted(REFERENCES))}; "
        r"see precls_theory\.checking\.references$",
    ):
        find("magic")
    assert find("gd") is known


def test_a_claim_is_registered_with_its_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(references, "REFERENCES", {})
    limit = Majorant.of(3)

    @reference("mine", lambda network: limit)
    def mine(network: Network, u: np.ndarray, ring: Ring) -> np.ndarray:
        return u

    assert references.REFERENCES["mine"].claim is mine
    network = C.read(n_rows=2, n_channels=1, source=0, target=1, start=0, stop=1)
    renamed = C.read(n_rows=2, n_channels=1, source=0, target=1, start=0, stop=1)
    object.__setattr__(renamed, "algorithm", "mine")
    assert claimed_majorant(renamed) is limit
    with pytest.raises(LookupError, match="known are mine;"):
        claimed(network, U, RATIONALS)
    with pytest.raises(LookupError):
        find("published_block_")
    assert find("published_block").claim is not None
    assert "published_block" in references.REFERENCES


def test_results_are_the_columns_of_the_exact_rows() -> None:
    network = C.gradient_descent(n_points=N, n_dims=D, n_steps=1, step_size="1/2")
    output = np.arange(2 * 20).reshape(2, 20)
    found = results(network, output, RATIONALS)
    assert found.tolist() == [[20 * i + c for c in network.task.columns] for i in range(2)]


# --- bounds ---------------------------------------------------------------------------------------------------------------


def test_bounds_of_descent_by_hand() -> None:
    """|x| ≤ 1 + (η/N)(ND·1·|x| + N·1), each ‖·‖₁ of a polynomial; degree 2 for G and c, and one more for x."""
    network = C.gradient_descent(n_points=N, n_dims=D, n_steps=2, step_size="2/7")
    step, size = Fraction(2, 7) / N, Fraction(1)
    for _ in range(2):
        size = size + step * (N * D * size + N)
    bound = claimed_majorant(network)
    assert bound.degree == 1 + 2 * 2
    assert 0 <= bound.log2_norm - math.log2(size) < 1e-9
    assert bound.denominators == {21: 2}
    from_zero = claimed_majorant(C.newton(n_points=N, n_dims=D, n_iters=1, alpha="1/9"))
    assert from_zero.degree == 2 + 2
    one_step = (2 * Fraction(1, 9) + Fraction(1, 9) ** 2 * N * D) * N
    assert 0 <= from_zero.log2_norm - math.log2(one_step) < 1e-9


def test_bounds_of_what_is_computed() -> None:
    network = C.gradient_descent(n_points=N, n_dims=D, n_steps=2, step_size="2/7")
    whole = network_majorant(network)
    found = computed_majorant(network)
    assert (found.degree, found.log2_norm, found.denominators) == (whole.degree, whole.log2_norm, whole.denominators)
    plain = claimed_majorant(C.read(n_rows=2, n_channels=1, source=0, target=1, start=0, stop=1))
    assert (plain.degree, plain.denominators) == (1, {})
    assert plain.log2_norm == VARIABLE.log2_norm


def test_an_iteration_becomes_a_reference_with_its_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    """Made here, for those of the module are made when it is imported."""
    monkeypatch.setattr(references, "REFERENCES", {})
    assert references.regression("mine")(references.gradient_descent) is references.gradient_descent
    for layout, form in (("A", "gram"), ("S", "gram"), ("E", "tight")):
        original = C.gradient_descent(**SIZE, n_steps=2, step_size="2/7", form=form, layout=layout)
        network = replace(original, algorithm="mine")
        u = original.encode(A, B, X)
        seen = [network.task.points_seen(row) for row in network.task.exact_rows]
        run = descend(2)
        expected = np.array([run(A[:n], B[:n], X) if n else run(0 * A, 0 * B, X) for n in seen])
        assert (claimed(network, u, RATIONALS) == expected).all()
        step, size = Fraction(2, 7) / N, Fraction(1)
        for _ in range(2):
            size = size + step * (N * D * size + N)
        bound = claimed_majorant(network)
        assert (bound.degree, bound.denominators) == (5, {21: 2})
        assert 0 <= bound.log2_norm - math.log2(size) < 1e-9
    from_zero = replace(C.newton(n_points=N, n_dims=D, n_iters=1, alpha="1/9"), algorithm="zero")
    references.regression("zero")(references.newton)
    one_step = (2 * Fraction(1, 9) + Fraction(1, 9) ** 2 * N * D) * N
    assert 0 <= claimed_majorant(from_zero).log2_norm - math.log2(one_step) < 1e-9
    assert find("zero").bound is not None
    references.regression("descent from zero")(references.gradient_descent)
    no_start = {"n_points": N, "n_dims": D, "n_steps": 1, "step_size": "2/7"}
    without = replace(from_zero, algorithm="descent from zero", parameters=no_start)
    assert 0 <= claimed_majorant(without).log2_norm - math.log2(Fraction(2, 7)) < 1e-9


def test_newton_without_refinements_in_its_record_has_none() -> None:
    parameters = {"n_points": N, "n_dims": D, "n_iters": 2, "alpha": "1/9"}
    G, c = (A.T @ A)[None], (A.T @ B)[None]
    assert (references.newton(parameters, G, c, 0 * c, RATIONALS)[0] == newton_run(A, B, X)).all()
