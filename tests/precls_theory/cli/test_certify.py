"""``precls certify`` and ``precls counterexample`` of a user's own model."""

from __future__ import annotations

import json

import pytest
from typer.testing import CliRunner

from precls_theory.cli.main import app

MODELS = """
import torch
from torch import nn


def build():
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 4))


class Square(nn.Module):
    def forward(self, u):
        return u * u


number = 3


def with_arguments(width):
    return nn.Linear(width, width)


def wrong():
    raise RuntimeError("no weights here")


def ends():
    raise SystemExit(0)


def prints():
    print("random weights")
    return build()
"""


@pytest.fixture
def run(tmp_path, monkeypatch):
    (tmp_path / "models_of_a_user.py").write_text(MODELS)
    monkeypatch.syspath_prepend(str(tmp_path))
    return lambda *arguments: CliRunner().invoke(app, list(arguments))


def test_certify(run):
    result = run("certify", "models_of_a_user:build", "--shape", "1,3,4", "--json")
    assert result.exit_code == 0
    answer = json.loads(result.stdout)
    assert answer["ok"]
    assert answer["exponent"] == 1
    assert "≤" in run("certify", "models_of_a_user:build", "--shape", "1,3,4").stdout


def test_a_product_has_no_certificate_of_linear_growth(run):
    result = run("certify", "models_of_a_user:Square", "--shape", "1,3,4", "--json")
    assert result.exit_code == 1
    assert "multiplies" in json.loads(result.stdout)["error"]
    assert run("certify", "models_of_a_user:Square", "--shape", "1,3,4", "--any-growth").exit_code == 0


def test_counterexample(run):
    result = run("counterexample", "models_of_a_user:build", "square", "--shape", "1,3,4", "--json")
    assert result.exit_code == 0
    assert json.loads(result.stdout)["proven_miss"] >= 1
    assert "misses square" in run("counterexample", "models_of_a_user:build", "square", "--shape", "1,3,4").stdout
    assert run("counterexample", "models_of_a_user:Square", "square", "--shape", "1,3,4").exit_code == 1


def test_refusals_speak_of_options(run):
    assert "--any-growth gives" in run("certify", "models_of_a_user:Square", "--shape", "1,3,4").output
    refusal = run("counterexample", "models_of_a_user:Square", "square", "--shape", "1,3,4").output
    assert "in Python, a region compares" in refusal


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["certify", "nowhere_to_be_found:build"], 1), (["certify", "models_of_a_user"], 1),
        (["certify", "models_of_a_user:number"], 1), (["certify", "models_of_a_user:missing"], 1),
        (["certify", "models_of_a_user:build", "--shape", "a,b"], 2),
        (["counterexample", "models_of_a_user:build", "square", "--shape", "3,4"], 2),
        (["counterexample", "models_of_a_user:build", "gradient_descent", "--shape", "1,3,4", "--step-size", "1/0"], 1),
    ],
)  # fmt: skip
def test_wrong_arguments_end_in_words(run, arguments, code):
    assert run(*arguments).exit_code == code


def test_the_table_of_coverage(run, tmp_path):
    result = run("certify", "--coverage")
    assert result.exit_code == 0
    assert "TransformerDecoder" in result.output
    assert "refused" in result.output
    document = json.loads(run("certify", "--coverage", "--json").output)
    assert set(document["made_with"]) == {"torch", "transformers"}
    assert {"name", "shape", "exponent", "reason", "outcome"} <= set(document["rows"][0])


@pytest.mark.parametrize("command", [("certify",), ("counterexample", "square")])
def test_what_a_users_module_prints_is_not_in_the_document(run, command):
    result = run(command[0], "models_of_a_user:prints", *command[1:], "--shape", "1,3,4", "--json")
    assert json.loads(result.stdout)["ok"] is True
    assert "random weights" in result.stderr


@pytest.mark.parametrize("arguments", [(), ("models_of_a_user:build", "--coverage"), ("a:b", "--remake", "x.json")])
def test_a_model_or_the_table(run, arguments):
    assert run("certify", *arguments).exit_code == 2


def test_the_table_is_made_again(run, tmp_path, monkeypatch):
    from precls_theory.expressivity import coverage

    monkeypatch.setattr(coverage, "cases", lambda: coverage.stock_cases()[:2])
    result = run("certify", "--coverage", "--remake", str(tmp_path / "table.json"))
    assert result.exit_code == 0, result.output
    rows, _ = coverage.read_table(tmp_path / "table.json")
    assert [row.name for row in rows if row.library == "torch.nn"] == ["AdaptiveAvgPool1d", "AdaptiveAvgPool2d"]


@pytest.mark.parametrize(
    ("factory", "words"),
    [
        ("models_of_a_user:with_arguments", "with_arguments() raised TypeError: with_arguments() missing 1 required"),
        (
            "models_of_a_user:wrong",
            "wrong() raised RuntimeError: no weights here; a factory takes no arguments and returns",
        ),
        ("models_of_a_user:ends", "ends() raised SystemExit: 0; a factory takes no arguments"),
        ("broken_models:build", "cannot import broken_models: NameError: name 'nothing' is not defined"),
    ],
)
@pytest.mark.parametrize("command", [("certify",), ("counterexample", "square")])
def test_what_a_users_module_raises_is_named(run, tmp_path, command, factory, words):
    (tmp_path / "broken_models.py").write_text("nothing\n")
    result = run(command[0], factory, *command[1:], "--shape", "1,3,4")
    assert result.exit_code == 1
    assert words in " ".join(result.output.split())
