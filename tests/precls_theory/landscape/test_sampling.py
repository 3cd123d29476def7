"""Training on sampled batches: the gradient is that of the batch, runs end at listed minima, and visits are counted."""

import numpy as np
import pytest

from precls_theory.landscape import Loss, Problem, landscape
from precls_theory.landscape.numerical import FastLoss, listed_sets
from precls_theory.landscape.sampling import Run, SampledLoss, train, visits


@pytest.mark.parametrize(("target", "form", "rows"), [("square", "operator", 2), ("multiply", "layer", 1)])
def test_the_gradient_is_that_of_the_batch_by_differences(target, form, rows):
    channels = 2 if target == "multiply" else 1
    problem = landscape(target, form, channels, rows).parts[0]
    loss = SampledLoss(problem)
    rng = np.random.default_rng(0)
    x, u = rng.normal(size=(len(loss.names), 3)), rng.normal(size=(5, loss.n_inputs))
    model, target_of = problem.task

    def value(weights):
        split, start = {}, 0
        for family, shape in model.shapes.items():
            count = int(np.prod(shape))
            split[family] = weights[start : start + count].reshape(shape).astype(object)
            start += count
        errors = []
        for row in u:
            inputs = row.reshape(model.n_rows, model.n_channels).astype(object)
            errors.append(np.sum((model.apply(split, inputs) - target_of(inputs)) ** 2))
        return np.mean(errors)

    slope = loss.gradient(x, u)
    for run in range(3):
        for index in range(len(x)):
            step = np.zeros(len(x))
            step[index] = 1e-5
            difference = (value(x[:, run] + step) - value(x[:, run] - step)) / 2e-5
            assert abs(difference - slope[index, run]) < 1e-5 * (1 + abs(difference))


@pytest.mark.parametrize("adaptive", [True, False])
def test_runs_on_batches_end_at_minima_and_pass_saddles(adaptive):
    problem = landscape("linear", channels=2).parts[0]
    loss, exact = SampledLoss(problem), FastLoss(problem.loss)
    assert loss.names == exact.names
    starts = np.random.default_rng(0).normal(size=(len(loss.names), 60))
    run = train(loss, starts, 1500, np.random.default_rng(1), adaptive=adaptive, learning_rate=0.02, every=5)
    ends = exact.value(run.path[-1])
    assert {min((0.0, 0.25), key=lambda level: abs(level - end)) for end in ends} == {0.0, 0.25}  # case C
    assert np.median(np.minimum(abs(ends), abs(ends - 0.25))) < 0.02
    steps = visits(listed_sets(problem), run)
    assert steps.max() <= len(run.path) * run.every
    assert (steps.sum(axis=1) > 0).sum() >= 2
    assert ((steps > 0).sum(axis=0) >= 1).mean() > 0.9  # nearly every run is near a listed set for a while


def test_a_run_that_stands_on_a_set_is_near_it_all_the_time():
    problem = landscape("square").parts[0]
    names = tuple(problem.loss.names)
    on = {"W_0": 1.0, "H_0": 1.0, "B1_0": 0.0, "B2_0": 0.0}
    path = np.array([[[on[name]] * 2 for name in names]] * 7)
    steps = visits(listed_sets(problem), Run(names, path, 10))
    assert sorted(steps[:, 0]) == [0, 0, 70]


def test_a_problem_without_a_model_is_refused():
    loss = landscape("square").parts[0].loss
    with pytest.raises(ValueError, match="no model to sample"):
        SampledLoss(Problem("given", Loss(loss.polynomial), ()))
