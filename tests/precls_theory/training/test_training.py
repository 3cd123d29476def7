"""Training: targets from the definition, recipes that reach the floor, runs that resume with the same bits, evaluation."""

from __future__ import annotations

import json
from fractions import Fraction

import numpy as np
import pytest
import torch
from typer.testing import CliRunner

import constructions as C
from precls_theory.cli.main import app
from precls_theory.training import paper
from precls_theory.training.basin import basin
from precls_theory.training.evaluate import N_PROBLEMS, construction_for, fresh_problems, mean_squared_error
from precls_theory.training.levenberg_marquardt import DidNotConverge, LevenbergMarquardt
from precls_theory.training.models import ModelConfiguration
from precls_theory.training.recipes import (
    RECIPES,
    Layerwise,
    Setting,
    adam_marquardt,
    curriculum,
    homotopy,
    layerwise,
    quasi_newton,
)
from precls_theory.training.recipes.curriculum import smaller_problems
from precls_theory.training.recipes.marquardt import step_or_floor
from precls_theory.training.runs import CHECKPOINT, LOG, Run, RunError, RunSettings, read_log
from precls_theory.training.scaling import scale_to_ones
from precls_theory.training.seeds import key_of, measured, tables
from precls_theory.training.tables import Job, fill
from precls_theory.training.targets import exact_targets
from precls_theory.training.tasks import OUT_OF_DISTRIBUTION, TASKS, Distribution, TrainingTask, sample_problems

CPU = torch.device("cpu")


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize("name", TASKS)
def test_tasks_have_the_shapes_that_they_state(name):
    task = TrainingTask(name, n_points=4, n_dims=3)
    u, target = task.sample(7, seeded())
    assert u.shape == (7, task.n_rows, task.n_inputs)
    assert target.shape == (7, len(task.rows), task.n_outputs)
    again = task.sample(7, seeded())
    assert torch.equal(u, again[0])
    assert torch.equal(target, again[1])


@pytest.mark.parametrize("name", ["explicit_gradient", "multistep_gd"])
def test_targets_are_those_of_the_exact_construction(name):
    """Small integers: float64 holds every value of the exact network, so equality is equality."""
    task = TrainingTask(name, n_points=2, n_dims=2, n_steps=2, step_size=0.5)
    rng = np.random.default_rng(1)
    A, b, x = (torch.tensor(rng.integers(-3, 4, shape), dtype=torch.float64) for shape in ((5, 2, 2), (5, 2), (5, 2)))
    network = construction_for(task)
    u = network.encode(A, b, x)[..., : task.n_inputs]
    exact = network.decode(network.evaluate(network.encode(*(v.numpy().astype(int).astype(object) for v in (A, b, x)))))
    targets = exact_targets(task, u)
    assert (targets.numerators == exact[:, None] * targets.denominators).all()


@pytest.mark.parametrize("name", TASKS)
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_exact_targets_are_the_sampled_ones_without_their_rounding(name, dtype):
    """Of inputs in the dtype; a least-squares problem in float32 has another solution than the one its b was made of."""
    task = TrainingTask(name, n_points=5, n_dims=2)
    u, sampled = task.sample(20, seeded())
    errors = exact_targets(task, u.to(dtype).double()).errors(sampled)
    assert np.abs(errors).max() < (1e-13 if dtype == torch.float64 else 1e-4)
    wrong = sampled.clone()
    wrong[3, 0, 1] += 2.0**-20
    moved = exact_targets(task, u.to(dtype).double()).errors(wrong) - errors
    assert np.argwhere(moved).tolist() == [[3, 0, 1]]


def test_errors_far_below_the_rounding_of_a_target_are_measured():
    """The exact network with 2^-70 added to its answer, and a target in float64: both errors are known exactly."""
    task = TrainingTask("explicit_gradient", 2, 1)
    u = torch.tensor([[[0.0, 0.0], [1.0, 0.0], [1.0, 0.0]]] * 3, dtype=torch.float64)
    model = C.BaseConvModel.from_network(construction_for(task))
    with torch.no_grad():
        model.layers[-1].out_proj.bias += 2.0**-70
        assert exact_targets(task, u).mean_square(task.answer(model(u))) == 2.0**-140
    u, targets = fresh_problems(TrainingTask("square", 2, 1), torch.float64)
    rounded = u.square()
    by_hand = [
        (Fraction(a) - Fraction(b) ** 2) ** 2
        for a, b in zip(*(v.flatten().tolist() for v in (rounded, u)), strict=True)
    ]
    assert sum(by_hand) > 0
    assert targets.mean_square(rounded) == pytest.approx(float(sum(by_hand) / len(by_hand)), rel=1e-13)
    assert len(u) == N_PROBLEMS


def test_answers_that_are_not_finite_are_infinitely_wrong():
    task = TrainingTask("square", 2, 1)
    cpu = torch.device("cpu")
    assert mean_squared_error(lambda u: u / 0, task, torch.float32, cpu) == float("inf")
    assert mean_squared_error(lambda u: 1e300 * u, task, torch.float64, cpu) == float("inf")
    errors = exact_targets(task, torch.ones(1, 2, 1)).errors(torch.tensor([[[torch.nan], [3.0]]]))
    assert errors.ravel().tolist() == [float("inf"), 2.0]
    with pytest.raises(ValueError, match="singular"):
        exact_targets(TrainingTask("least_squares", 2, 2), torch.ones(1, 2, 3))
    with pytest.raises(ValueError, match="finite"):
        exact_targets(task, torch.full((1, 2, 1), torch.inf))


def test_distributions_scale_what_they_name():
    usual = sample_problems(3, 6, 2, seeded())
    for d in OUT_OF_DISTRIBUTION.values():
        p = sample_problems(3, 6, 2, seeded(), d)
        assert torch.equal(p.b, (p.A @ p.x[..., None])[..., 0])
        if d.condition_number is None:
            assert torch.allclose(p.A, d.row_scale * usual.A)
            assert torch.allclose(p.x, d.solution_scale * usual.x)
        else:
            assert torch.linalg.cond(p.A).numpy() == pytest.approx(d.condition_number)
    with pytest.raises(ValueError, match="no distribution"):
        TrainingTask("square").sample(1, seeded(), Distribution())


def test_levenberg_marquardt_solves_what_has_a_solution_and_says_so_where_there_is_none():
    """r = p² − t has a root for t > 0; for t < 0 the least loss is at p = 0, where no step lowers it."""

    def residual(p, u, t):
        return p * p - t

    method = LevenbergMarquardt(residual, torch.tensor([0.7], dtype=torch.float64))
    data = torch.zeros(1, 1, dtype=torch.float64), torch.tensor([[2.0]], dtype=torch.float64)
    done = [step_or_floor(method, *data)[1] for _ in range(12)]
    assert done[-1]
    assert float(method.parameters) ** 2 == pytest.approx(2)
    stuck = LevenbergMarquardt(residual, torch.tensor([0.0], dtype=torch.float64))
    with pytest.raises(DidNotConverge, match="no step lowers"):
        stuck.step(data[0], -data[1])
    with pytest.raises(DidNotConverge, match="the loss is nan"):
        method.step(data[0], torch.full_like(data[1], torch.nan))
    with pytest.raises(MemoryError, match="smaller batch"):
        LevenbergMarquardt(residual, torch.zeros(1).double(), max_bytes=7).jacobian(*data)


def run_of(folder, recipe: str, **changes) -> Run:
    settings = {"task": "explicit_gradient", "model": "baseconv", "n_points": 2, "n_dims": 1, "width": 6, "depth": 2}
    return Run.start(folder, RunSettings(recipe=recipe, **settings | changes))


def test_layer_by_layer_reaches_the_floor(tmp_path):
    """And the stacked network is the task: no joint training is needed."""
    run = run_of(tmp_path, "layerwise", n_dims=2)
    run.train(200)
    assert run.recipe.finished
    u, target = run.task.sample(256, seeded(5))
    with torch.no_grad():
        assert float((run.task.answer(run.model(u)) - target).square().mean()) < 1e-26
    assert {stage for _, stage, _, _ in run.log} == {"layer 1 of 2", "layer 2 of 2"}


def test_an_output_that_is_stuck_starts_again(tmp_path, monkeypatch):
    """Where a step has no time to succeed each attempt starts from new weights, and the run ends in words."""
    monkeypatch.setattr(layerwise, "PATIENCE", 1)
    run = run_of(tmp_path, "layerwise")
    with pytest.raises(RunError, match="output 0 is not learned in 10 attempts"):
        run.train(2 * layerwise.ATTEMPTS)
    assert len({loss for _, _, loss, _ in run.log}) == layerwise.ATTEMPTS - 1


def test_smaller_problems_of_a_curriculum_are_problems():
    """Zeros outside, the gradient of what is left inside."""
    task = TrainingTask("explicit_gradient", 4, 3)
    u, target = smaller_problems(task, 5, seeded(), n_dims=2, n_points=3)
    assert not u[:, 1].any()
    assert not u[..., 2].any()
    assert not target[..., 2].any()
    assert bool((u[:, 2:, :2] != 0).all())
    assert np.abs(exact_targets(task, u).errors(target)).max() < 1e-13


def test_a_curriculum_goes_on_and_a_homotopy_ends_at_the_end_loss(tmp_path, monkeypatch):
    """Where every loss counts as learned, each step is a stage; they are taken up where they were, and refuse in words."""
    for module in (curriculum, homotopy):
        monkeypatch.setattr(module, "LEARNED", np.inf)
    run = run_of(tmp_path / "curriculum", "curriculum", n_dims=2, n_points=4)
    assert run.recipe.n_points == 2
    run.train(2)
    assert [stage for _, stage, _, _ in run.log] == ["1 of 2 unknowns", "2 of 2 unknowns"]
    assert Run.resume(run.folder).recipe.current == 2
    run = run_of(tmp_path / "homotopy", "homotopy")
    run.train(8)
    stages = [stage for _, stage, _, _ in run.log]
    assert stages[0] == "intermediate targets with weight 1e+00"
    assert stages[6] != stages[7] == "all layers, end to end"
    assert Run.resume(run.folder).recipe.weight == 0
    losses = [loss for _, _, loss, _ in run.log]
    assert losses[-1] < losses[0]
    for changes, words in (
        ({"task": "square"}, "explicit_gradient"),
        ({"width": 2}, "width 2"),
        ({"depth": 3}, "depth 2"),
    ):
        with pytest.raises(ValueError, match=words):
            run_of(tmp_path / "refused", "homotopy", **changes)
    with pytest.raises(ValueError, match="curriculum"):
        run_of(tmp_path / "refused", "curriculum", task="square")


@pytest.mark.parametrize(("recipe", "steps"), [("alternating", 16), ("lbfgs", 2), ("adam-then-marquardt", 12)])
def test_recipes_of_the_end_loss_alone_learn(recipe, steps, tmp_path, monkeypatch):
    """One unknown and one row, on the same fresh problems before and after."""
    monkeypatch.setattr(adam_marquardt, "STEPS", 4)
    monkeypatch.setattr(quasi_newton, "ITERATIONS", 20)
    run = run_of(tmp_path, recipe, n_points=1)
    assert not run.model.layers[0].in_proj.bias.any()
    before = mean_squared_error(run.model, run.task, torch.float64, CPU)
    run.train(steps)
    assert mean_squared_error(run.model, run.task, torch.float64, CPU) < before / 2
    if recipe == "adam-then-marquardt":
        assert [stage for _, stage, _, _ in run.log] == ["Adam"] * 4 + ["Levenberg-Marquardt"] * 8


def test_factors_are_trained_in_turn_and_stuck_ones_are_passed_over(tmp_path, monkeypatch):
    """A step moves one factor; where no factor can lower the loss the run ends in words."""
    run = run_of(tmp_path, "alternating")
    before = {name: value.clone() for name, value in run.model.state_dict().items()}
    run.train(1)
    moved = {name for name, value in run.model.state_dict().items() if not torch.equal(value, before[name])}
    assert moved == {"layers.1.out_proj.weight", "layers.1.out_proj.bias"}

    def stuck(self, inputs, targets):
        raise DidNotConverge("no step lowers the loss", 1.0)

    monkeypatch.setattr(LevenbergMarquardt, "step", stuck)
    with pytest.raises(RunError, match="no step lowers"):
        run.train(100)
    assert run.n_steps == 8
    with pytest.raises(ValueError, match="BaseConv"):
        run_of(tmp_path / "other", "alternating", model="transformer", width=8)


def test_scaling_to_ones_changes_weights_and_not_the_function():
    """Every factor has an entry that is exactly 1; branch weights, which fix the scale, are left alone."""
    task = TrainingTask("explicit_gradient", 3, 2)
    model = ModelConfiguration("baseconv", 4, 3, 2, depth=3, width=5).build(seeded(), torch.float64)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=seeded(1), dtype=torch.float64))
        model.layers[1].gate_proj.weight[2], model.layers[1].gate_proj.bias[2] = 0, 0
    u, _ = task.sample(50, seeded())
    before, weights = model(u), {name: value.clone() for name, value in model.state_dict().items()}
    scale_to_ones(model)
    assert torch.allclose(model(u), before, rtol=1e-12, atol=1e-12)
    for number, layer in enumerate(model.layers):
        assert (layer.filter.abs().amax(dim=0) == 1).all()
        assert (layer.in_proj.weight.abs().amax(dim=1) == 1).all()
        if number < 2:
            assert (layer.out_proj.weight.abs().amax(dim=1) == 1).all()
        assert not torch.equal(layer.filter, weights[f"layers.{number}.filter"])
    branched = ModelConfiguration("baseconv", 4, 3, 3, width=3, branch_weights=True).build(seeded(), torch.float64)
    weights = {name: value.clone() for name, value in branched.state_dict().items()}
    scale_to_ones(branched)
    assert all(torch.equal(value, weights[name]) for name, value in branched.state_dict().items())


def test_tables_are_filled_row_by_row_and_go_on(tmp_path):
    """What a file has is not made again; rows of other jobs stay; another table is refused."""
    made, file = [], tmp_path / "table.csv"

    def job(number: int, fails: bool = False) -> Job:
        def make():
            if fails:
                raise KeyboardInterrupt
            made.append(number)
            return {"number": number, "name": "", "half": number / 2}

        return Job({"number": number, "name": ""}, make)

    with pytest.raises(KeyboardInterrupt):
        fill(file, [job(2), job(1), job(0, fails=True)], "")
    fill(file, [job(0), job(1)], "")
    assert made == [2, 1, 0]
    assert file.read_text().split() == ["number,name,half", "0,,0.0", "1,,0.5", "2,,1.0"]
    with pytest.raises(ValueError, match="not a table of this command"):
        fill(file, [Job({"other": 1}, dict)], "")


def test_the_runs_of_the_tables_are_told_apart():
    """By the columns that say what they are; every recipe that needs no intermediate targets alone is compared."""
    for runs in tables().values():
        keys = [tuple(key_of(settings).values()) for settings, _ in runs]
        assert len(set(keys)) == len(keys)
    assert {settings.recipe for settings, _ in tables()["end-to-end"]} == set(RECIPES) - {"layerwise"}
    for full in (False, True):
        assert len({tuple(job.key.values()) for job in paper.jobs(1.0, full, "cpu")}) == len(paper.experiments())


def test_a_row_of_the_tables_is_a_run(tmp_path):
    """Stopped when its time is over, in words; from exact weights the noise alone is what the first step sees."""
    settings = RunSettings("explicit_gradient", "baseconv", "adam", 2, 1, "float64", initial="exact", noise=1e-2)
    (tmp_path / "seeds").mkdir()
    row = measured(tmp_path / "seeds", settings, 0.0)
    assert row["steps"] == 1
    assert "out of time in step 1" in row["stopped"]
    assert row["mse_float64"] < 0.1
    row = paper.measured(settings, 0.0)
    assert row["mse"] < 0.1 < row["mse_solutions_x_10"]


def test_layer_by_layer_says_what_it_cannot(tmp_path):
    task = TrainingTask("square", 2, 1)
    model = ModelConfiguration("baseconv", task.n_rows, task.n_inputs, task.n_outputs)
    with pytest.raises(ValueError, match="another recipe"):
        Layerwise.configuration(model, task)
    C.explicit_gradient(n_points=2, n_dims=1).save(tmp_path / "exact.safetensors")
    with pytest.raises(ValueError, match="from random weights"):
        run_of(tmp_path / "run", "layerwise", initial=str(tmp_path / "exact.safetensors"))


@pytest.mark.parametrize("recipe", sorted(RECIPES))
def test_a_resumed_run_makes_the_same_steps(recipe, tmp_path, monkeypatch):
    monkeypatch.setattr(adam_marquardt, "STEPS", 2)
    monkeypatch.setattr(quasi_newton, "ITERATIONS", 5)
    whole, broken = run_of(tmp_path / "whole", recipe), run_of(tmp_path / "broken", recipe)
    whole.train(7)
    broken.train(3)
    taken_up = Run.resume(tmp_path / "broken")
    assert taken_up.n_steps == 3
    taken_up.train(7)
    for name, value in whole.model.state_dict().items():
        assert torch.equal(value, taken_up.model.state_dict()[name]), name
    losses = [[loss for _, _, loss, _ in read_log(tmp_path / name / LOG)] for name in ("whole", "broken")]
    assert losses[0] == losses[1]


@pytest.mark.parametrize("model", ["baseconv", "linear_attention", "transformer"])
@pytest.mark.parametrize("recipe", ["adam", "published"])
def test_first_order_recipes_learn(model, recipe, tmp_path):
    run = run_of(tmp_path, recipe, task="square", n_points=3, model=model, width=8, depth=1, learning_rate=1e-2)
    run.train(60)
    losses = [loss for _, _, loss, _ in run.log]
    assert sum(losses[-10:]) < sum(losses[:10]) / 2


def test_published_recipe_raises_the_rate_while_gradients_disagree():
    task = TrainingTask("square", 2, 1)
    generator = seeded()
    model = ModelConfiguration("baseconv", 2, 1, 1, depth=1, width=4).build(generator)
    recipe = RECIPES["published"](model, Setting(task, generator, torch.float32, CPU))
    for similarity, factor in ((0.95, 0.9), (0.5, 1 / 0.9)):
        before, recipe.n_steps, recipe.similarity = recipe.rate, 3000, similarity
        recipe.schedule()
        assert recipe.rate == pytest.approx(before * factor)


def test_starting_from_an_exact_network(tmp_path):
    C.explicit_gradient(n_points=2, n_dims=1).save(tmp_path / "exact.safetensors")
    exact = run_of(tmp_path / "exact", "adam", initial=str(tmp_path / "exact.safetensors"), dtype="float64")
    u, target = exact.task.sample(64, seeded(1))
    assert float((exact.task.answer(exact.model(u)) - target).abs().max()) < 1e-14
    noisy = run_of(tmp_path / "noisy", "levenberg-marquardt", initial=str(tmp_path / "exact.safetensors"), noise=1e-2)
    noisy.train(1)
    assert noisy.log[0][2] > 1e-6
    noisy.train(20)
    assert noisy.recipe.finished
    assert noisy.log[-1][2] < 1e-27


def test_singular_solutions_are_reached_in_few_steps(tmp_path):
    """Exact constructions of least width are singular: by normal equations this run took 30 steps."""
    rows = list(basin(noises=(1e-2,), widths=(1.0,), seeds=(0,)))
    assert [row["dtype"] for row in rows] == ["float64", "float32"]
    assert rows[0]["mse"] < 1e-28
    assert rows[1]["mse"] < 1e-12
    assert rows[0]["steps"] <= 15


def test_a_wider_model_starts_as_the_same_network(tmp_path):
    C.explicit_gradient(n_points=2, n_dims=1).save(tmp_path / "exact.safetensors")
    wide = run_of(
        tmp_path / "wide",
        "levenberg-marquardt",
        initial=str(tmp_path / "exact.safetensors"),
        dtype="float64",
        spare_width=2.0,
    )
    u, target = wide.task.sample(64, seeded(1))
    assert float((wide.task.answer(wide.model(u)) - target).abs().max()) < 1e-14
    assert wide.configuration.hidden == (6, 4)
    wide.train(1)
    assert torch.equal(Run.resume(tmp_path / "wide").model.positions, wide.model.positions)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"recipe": "magic"}, "recipe must be one of"),
        ({"dtype": "float8"}, "dtype must be"),
        ({"noise": -1.0}, "noise"),
        ({"spare_width": 0.5}, "spare width"),
        ({"spare_width": 2.0}, "--init"),
    ],
)
def test_settings_are_refused_in_words(changes, words):
    with pytest.raises(RunError, match=words):
        RunSettings(**{"task": "square", "model": "baseconv", "recipe": "adam"} | changes)


def test_networks_of_another_size_are_refused(tmp_path):
    C.explicit_gradient(n_points=3, n_dims=1).save(tmp_path / "exact.safetensors")
    with pytest.raises(RunError, match="same n_points"):
        run_of(tmp_path / "run", "adam", initial=str(tmp_path / "exact.safetensors"))


def test_damaged_runs_are_refused_and_divergence_keeps_the_checkpoint(tmp_path):
    run = run_of(tmp_path, "adam")
    run.train(2)
    good = (tmp_path / CHECKPOINT).read_bytes()
    with pytest.raises(RunError, match="already holds a run"):
        run_of(tmp_path, "adam")
    with torch.no_grad():
        next(run.model.parameters()).fill_(torch.nan)
    with pytest.raises(RunError, match="diverged"):
        run.train(5)
    assert (tmp_path / CHECKPOINT).read_bytes() == good
    (tmp_path / CHECKPOINT).write_bytes(good[: len(good) // 2])
    with pytest.raises(RunError, match="damaged"):
        Run.resume(tmp_path)
    (tmp_path / "run.json").write_text("{")
    with pytest.raises(RunError, match="damaged"):
        Run.resume(tmp_path)
    with pytest.raises(RunError, match="holds no run"):
        Run.resume(tmp_path / "elsewhere")


def test_train_and_evaluate_from_the_command_line(tmp_path):
    folder = tmp_path / "run"
    arguments = ["train", "--n-points", "3", "--n-dims", "1", "--dtype", "float64", "--out", str(folder), "--json"]
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 0, result.output
    assert json.loads(result.stdout)["finished"]
    assert (folder / "loss.svg").read_text().startswith("<?xml")
    result = CliRunner().invoke(app, ["evaluate", str(folder), "--json"])
    assert result.exit_code == 0, result.output
    document = json.loads(result.stdout)
    assert document["mse"] < 1e-26
    assert document["construction"]["mse"] < 1e-28
    assert set(document["mse_out_of_distribution"]) == set(OUT_OF_DISTRIBUTION)
    assert document["mse_iterated"] < 1e-20
    result = CliRunner().invoke(app, ["evaluate", str(tmp_path)])
    assert result.exit_code == 1
    assert "holds no run" in " ".join(result.stderr.split())
