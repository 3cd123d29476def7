"""Learned, then proved: exact losses, bounds, the Krawczyk test, and exact networks near trained ones."""

from __future__ import annotations

import itertools
import json
from dataclasses import replace
from fractions import Fraction

import flint
import numpy as np
import pytest
import torch
from typer.testing import CliRunner

import constructions as C
from constructions.models.exact_weights import exact_weights, network_with
from precls_theory.checking.check import check
from precls_theory.cli.main import app
from precls_theory.landscape.population_loss import population_loss
from precls_theory.proofs.symbolic import array_of
from precls_theory.training.certify import prove
from precls_theory.training.certify.bounds import Monomials, exact_mean_square, exact_sup_norm
from precls_theory.training.certify.difference import error_polynomials, monomials, n_roundings, n_variables, place
from precls_theory.training.certify.equations import Sizes, coefficients
from precls_theory.training.certify.krawczyk import NoRootProved, krawczyk
from precls_theory.training.certify.proof import exact_errors, exact_layers, gradient
from precls_theory.training.certify.snap import NoExactNetwork, dead, snap, solve_near
from precls_theory.training.runs import CHECKPOINT, Run, RunSettings

SMALL = Sizes(3, 1)


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A run at N=3, D=1, under a second: the first of some seeds that ends where the structure shows."""
    for seed in range(5):
        folder = tmp_path_factory.mktemp("trained")
        settings = RunSettings("explicit_gradient", "baseconv", "layerwise", n_points=3, n_dims=1, seed=seed)
        run = Run.start(folder, settings)
        run.train(200)
        assert run.recipe.finished
        if prove(run.model, SMALL).network is not None:
            return run
    raise AssertionError("no exact network was found near any of five trained ones")


@pytest.fixture(scope="module")
def layers(trained):
    return exact_layers(trained.model, SMALL)


def random_layers(sizes: Sizes, seed: int = 0, eighths: bool = True):
    """Two layers that compute nothing in particular; of weights with few bits, or with all 53."""
    torch.manual_seed(seed)
    D, F = sizes.n_dims, sizes.n_features
    model = C.BaseConvModel(sizes.n_points + 1, (D + 1, F, D), (3, 4)).double()
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if name != "positions":
                drawn = torch.randn_like(parameter)
                parameter.copy_((8 * drawn).round() / 8 if eighths else drawn)
    return exact_layers(model, sizes)


def test_coefficients_are_those_of_the_layer():
    """A layer evaluated on rationals against its bilinear forms, biases of every kind included."""
    weights = random_layers(Sizes(2, 2))[0]
    forms = coefficients(weights)
    network = network_with([weights], np.full((3, 3), Fraction(0)), "causal", C.explicit_gradient(n_points=2, n_dims=2))
    u = np.array([[Fraction(3 * n - d, 4) for d in range(3)] for n in range(3)], dtype=object)
    v = np.concatenate([u, np.full((3, 1), Fraction(1))], axis=1)
    output = network.evaluate(u)
    for n in range(3):
        value = sum(np.einsum("a,pab,b->p", v[n - k], forms[k], v[n]) for k in range(n + 1))
        assert value.tolist() == output[n].tolist()


def test_places_of_monomials():
    table = monomials(5)
    assert table.shape[1] == len(set(map(tuple, table.T.tolist())))
    for permutation in itertools.permutations(range(4)):
        assert place([table[i] for i in permutation]).tolist() == list(range(table.shape[1]))


@pytest.mark.parametrize("which", ["trained", "random"])
def test_enclosures_hold_the_exact_values(which, layers):
    """The exact loss and coefficient sum by python-flint lie in the enclosures, which are narrow."""
    chosen, sizes = (layers, SMALL) if which == "trained" else (random_layers(Sizes(2, 2)), Sizes(2, 2))
    table = Monomials(n_variables(sizes), unused=sizes.n_dims)
    for exact, enclosed in zip(exact_errors(chosen, sizes), error_polynomials(chosen, sizes), strict=True):
        loss, bounds = exact_mean_square(exact), table.mean_square(enclosed)
        assert bounds.lower <= loss <= bounds.upper
        assert bounds.upper - bounds.lower <= loss / 10**9
        supremum, bound = exact_sup_norm(exact, Fraction(3, 2)), table.sup_norm(enclosed, Fraction(3, 2))
        assert supremum <= bound <= supremum * (1 + Fraction(1, 10**9))


def test_every_coefficient_lies_in_its_enclosure():
    """Coefficient by coefficient, against python-flint; enclosures a thousand times narrower do not hold them."""
    sizes = Sizes(2, 2)
    layers = random_layers(sizes, seed=1, eighths=False)
    V, D = n_variables(sizes), sizes.n_dims
    table = monomials(V)
    for exact, enclosed in zip(exact_errors(layers, sizes), error_polynomials(layers, sizes), strict=True):
        coefficients_of = {tuple(map(int, e)): Fraction(int(c.p), int(c.q)) for e, c in exact.to_dict().items()}
        outside = narrow = found = 0
        for place_of, indices in enumerate(table.T.tolist()):
            if D in indices:
                continue
            exponents = tuple(indices.count(v) for v in range(V) if v != D)
            wanted = coefficients_of.get(exponents, Fraction(0))
            error = abs(Fraction(enclosed.values[place_of]) - wanted)
            outside += error > Fraction(enclosed.errors[place_of])
            narrow += error > Fraction(enclosed.errors[place_of]) / 1000
            found += wanted != 0
        assert found == len(coefficients_of)
        assert outside == 0
        assert narrow > 0


def test_what_the_rounding_theorem_does_not_cover_is_refused():
    random = random_layers(Sizes(2, 2))
    huge = replace(random[1], out_weight=random[1].out_weight * 2**80)
    with pytest.raises(ValueError, match="at most 2\\^64"):
        error_polynomials([random[0], huge], Sizes(2, 2))
    with pytest.raises(ValueError, match="1023 channels"):
        n_roundings(2000, np.ones(1))
    with pytest.raises(ValueError, match="terms"):
        n_roundings(3, np.array([2.0**21]))


def test_the_loss_is_that_of_the_landscape(layers):
    """By pairs of monomials and moments, as the landscape computes it, on the same network."""
    network = network_with(layers, np.full((4, 2), Fraction(0)), "causal", C.explicit_gradient(n_points=3, n_dims=1))
    expected = population_loss(network, lambda u: array_of(gradient(u, SMALL), (1,)))
    assert sum(map(exact_mean_square, exact_errors(layers, SMALL))) == expected > 0


def test_mean_squares_of_powers():
    """E (u⁴)² = 105, E (u v − 1)² = 2, by hand."""
    context = flint.fmpq_mpoly_ctx.get(["u", "v"], "degrevlex")
    u, v = context.gens()
    assert exact_mean_square(u**4) == 105
    assert exact_mean_square(u * v - 1) == 2
    assert exact_sup_norm(u**2 - 3 * v, Fraction(2)) == 10


def test_krawczyk_finds_the_root_of_a_quadratic_and_refuses_where_there_is_none():
    def square(shift):
        def function(x):
            return flint.arb_mat(1, 1, [x[0, 0] * x[0, 0] - shift])

        return function, lambda x: flint.arb_mat(1, 1, [2 * x[0, 0]])

    root = krawczyk(*square(2), [Fraction(14142, 10000)])
    distance = abs(Fraction(14142, 10000) - Fraction(141421356237309, 10**14))
    assert distance - Fraction(1, 10**13) <= root.within <= root.radius <= 3 * distance
    with pytest.raises(NoRootProved, match="fails"):
        krawczyk(*square(2), [Fraction(14142, 10000)], radius=distance / 2)
    with pytest.raises(NoRootProved):
        krawczyk(*square(-1), [Fraction(1)])
    with pytest.raises(NoRootProved, match="singular"):
        krawczyk(*square(0), [Fraction(0)])


def test_inconsistent_equations_are_refused():
    """Two equal rows with equal targets have a solution; with different ones they have none."""
    one = np.array([[Fraction(1), Fraction(2)], [Fraction(1), Fraction(2)]], dtype=object)
    start = np.array([[Fraction(1)], [Fraction(1)]], dtype=object)
    exact, _, root = solve_near(one, np.array([[Fraction(4)], [Fraction(4)]], dtype=object), start)
    assert (one @ exact).ravel().tolist() == [4, 4]
    assert root.within < Fraction(1, 10**10)
    with pytest.raises(NoExactNetwork, match="consistent"):
        solve_near(one, np.array([[Fraction(4)], [Fraction(5)]], dtype=object), start)


def test_a_trained_network_is_proved(trained, layers):
    """And what was proved is true: the exact network is within the radius, and is accepted by another proof."""
    proof = prove(trained.model, SMALL)
    assert proof.population_loss.exact
    assert 0 < proof.population_loss.upper < Fraction(1, 10**26)
    assert proof.snapped.distance <= proof.snapped.krawczyk_radius < Fraction(1, 10**12)
    for exact, before in zip(proof.snapped.layers, layers, strict=True):
        for name, values in vars(before).items():
            if values is not None:
                assert np.abs(getattr(exact, name) - values).max() <= proof.snapped.krawczyk_radius, name
    assert proof.verdict.method == "polynomials over Q (fmpq_mpoly)"
    assert all(error == 0 for error in exact_errors(proof.snapped.layers, SMALL))


def test_the_error_bound_holds_where_it_is_nearly_attained(trained):
    """On the corners of the box the float error of a spoiled model comes close to the bound, and never above."""
    spoiled = Run.resume(trained.folder).model
    with torch.no_grad():
        spoiled.layers[1].out_proj.weight += 0.5
    proof = prove(spoiled, SMALL, Fraction(1))
    corners = torch.tensor(list(itertools.product((-1.0, 1.0), repeat=7)), dtype=torch.float64)
    u = torch.zeros(len(corners), 4, 2, dtype=torch.float64)
    u[:, 0, 0], u[:, 1:] = corners[:, 0], corners[:, 1:].reshape(-1, 3, 2)
    A, b, x = u[:, 1:, :1], u[:, 1:, 1], u[:, 0, :1]
    wanted = (A.mT @ ((A @ x[..., None])[..., 0] - b)[..., None])[:, 0, 0] / 3
    with torch.no_grad():
        largest = float((spoiled(u)[:, -1, 0] - wanted).abs().max())
    assert 0.3 * float(proof.sup_error) < largest <= float(proof.sup_error) * (1 + 1e-12)


def test_a_weight_that_was_moved_is_noticed(layers):
    """Taps that must be zero: no exact network. A weight that may be anything: one, at a radius that says how far."""
    amount = Fraction(1, 1000)
    snapped = snap(layers, SMALL)
    unit = int(np.flatnonzero(~dead(snapped.layers[0]))[0])
    taps = layers[0].filter.copy()
    taps[1] += amount * taps[0]
    with pytest.raises(NoExactNetwork, match="no exact network near"):
        snap([replace(layers[0], filter=taps), layers[1]], SMALL)
    out = layers[0].out_weight.copy()
    out[unit] += amount
    moved = snap([replace(layers[0], out_weight=out), layers[1]], SMALL)
    assert all(error == 0 for error in exact_errors(moved.layers, SMALL))
    assert snapped.krawczyk_radius < amount / 10**6 < moved.krawczyk_radius < 2 * amount


def test_exact_weights_near_another_function_are_refused(layers):
    """The gradient of another target (twice it) has an exact network; it is not one of explicit gradient."""
    wrong = [layers[0], replace(layers[1], out_weight=2 * layers[1].out_weight)]
    snapped = snap(layers, SMALL)
    twice = [snapped.layers[0], replace(snapped.layers[1], out_weight=2 * snapped.layers[1].out_weight)]
    like = C.explicit_gradient(n_points=3, n_dims=1)
    none = np.full((4, 2), Fraction(0))
    assert check(network_with(snapped.layers, none, "causal", like)).ok
    refused = check(network_with(twice, none, "causal", like))
    assert not refused.ok
    assert refused.first_difference is not None
    # In is free, so that a solution exists half as far away as In is large: the radius says so.
    assert snap(wrong, SMALL).krawczyk_radius > Fraction(1, 1000)


def test_models_of_other_shapes_are_refused_in_words(trained):
    with pytest.raises(ValueError, match="two layers"):
        prove(C.BaseConvModel(4, (2, 1), (2,)), SMALL)
    shifted = Run.resume(trained.folder).model
    with torch.no_grad():
        shifted.positions += 1
    with pytest.raises(ValueError, match="positions"):
        prove(shifted, SMALL)
    with pytest.raises(MemoryError, match="smaller sizes"):
        error_polynomials([exact_weights(layer) for layer in shifted.layers], Sizes(40, 40))
    random = random_layers(Sizes(2, 2))
    with pytest.raises(NoExactNetwork, match="no exact network near"):
        snap(random, Sizes(2, 2))


def test_prove_trained_from_the_command_line(trained):
    arguments = ["prove-trained", str(trained.folder), "--json"]
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 0, result.output
    document = json.loads(result.stdout)
    assert Fraction(document["population_loss"]) < Fraction(1, 10**26)
    assert document["sup_error"] < 1e-10
    assert document["krawczyk_radius"] < 1e-12
    assert check(C.load(document["exact_network"])).ok
    result = CliRunner().invoke(app, ["prove-trained", str(trained.folder), "--box", "0"])
    assert result.exit_code == 1
    assert "positive" in result.stderr


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        ("nan", "layer 1 of 2: filter has entries that are not finite"),
        ("inf", "layer 1 of 2: filter has entries that are not finite"),
        ("task", "was trained on square"),
        ("depth", "causal BaseConv models of two layers"),
        ("truncated", "is not a checkpoint of a training run, or is damaged"),
        ("checkpoint of another run", "damaged or of another run"),
        ("settings of another run", "expected 6 rows"),
        ("no run", "holds no run"),
    ],
)
def test_runs_of_which_nothing_can_be_proved_are_refused_in_words(spoil, words, tmp_path):
    """Exit status 1, a sentence, and no network is written."""
    folder, document = tmp_path / "run", tmp_path / "run" / "run.json"
    settings = RunSettings("explicit_gradient", "baseconv", "layerwise", n_points=3, n_dims=1)
    if spoil == "task":
        settings = replace(settings, task="square", recipe="adam", depth=1, width=4)
    if spoil == "depth":
        settings = replace(settings, recipe="adam", depth=3, width=4)
    run = Run.start(folder, settings)
    if spoil in ("nan", "inf"):
        with torch.no_grad():
            run.model.layers[0].filter[0, 0] = float(spoil)
        run.save()
    if spoil == "truncated":
        (folder / CHECKPOINT).write_bytes((folder / CHECKPOINT).read_bytes()[:200])
    if spoil == "checkpoint of another run":
        Run.start(tmp_path / "other", replace(settings, n_points=4))
        (folder / CHECKPOINT).write_bytes((tmp_path / "other" / CHECKPOINT).read_bytes())
    if spoil == "settings of another run":
        document.write_text(document.read_text().replace('"n_points": 3', '"n_points": 5'))
    if spoil == "no run":
        document.unlink()
    result = CliRunner().invoke(app, ["prove-trained", str(folder)])
    assert result.exit_code == 1
    assert words in " ".join(result.stderr.split())
    assert not (folder / "exact.safetensors").exists()
