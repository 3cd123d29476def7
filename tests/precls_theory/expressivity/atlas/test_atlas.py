"""The atlas: all cells check, a corrupted one is refused, and the command reports it."""

from __future__ import annotations

import importlib
import itertools
import json
import re
import xml.etree.ElementTree as ElementTree
from dataclasses import replace
from fractions import Fraction

import pytest
import torch
import typer
from hypothesis import settings
from typer.testing import CliRunner

from constructions.transformers import linear_attention
from precls_theory.cli import atlas as command
from precls_theory.expressivity.atlas import ARCHITECTURES, TARGETS, check_cell
from precls_theory.pictures import atlas as atlas_picture
from precls_theory.registry import all_theorems

atlas = importlib.import_module("precls_theory.expressivity.atlas.cells")  # the package has a function of that name
ROWS = {row.id: row for row in ARCHITECTURES}
DEEP = settings.get_current_profile_name() == "deep"
EXPRESS = [row.id for row in ARCHITECTURES if row.expresses]


@pytest.fixture
def cells():
    """Cells of all rows for pictures and tables, which do not ask whether they were checked."""
    return [
        atlas.Cell(row.id, row.name, target, row.expresses, row.theorems[target], "checked", "in words", 0.1, {})
        for row in ARCHITECTURES
        for target in TARGETS
    ]


@pytest.fixture
def app():
    application = typer.Typer()
    command.register(application)
    return application


def test_the_boundary_is_the_gate():
    """What expresses one target expresses all, and is gated or attends linearly, and has no norm."""
    assert set(EXPRESS) == {"swiglu", "geglu", "reglu", "bilinear", "linear-attention", "baseconv"}
    assert {theorem for row in ARCHITECTURES for theorem in row.theorems.values()} <= set(all_theorems())


def test_any_two_values_of_two_options_meet_in_a_variant():
    for row in ARCHITECTURES:
        options: dict[str, set] = {}
        for name, value in itertools.chain(*row.variants):
            options.setdefault(name, set()).add(value)
        met = {pair for variant in row.variants for pair in itertools.combinations(variant, 2)}
        assert met == {
            ((one, a), (other, b))
            for one, other in itertools.combinations(options, 2)
            for a, b in itertools.product(options[one], options[other])
        }
    assert len(ROWS["softmax-gelu-norm"].variants) == 6


def test_the_atlas():
    """Every cell is checked and measured; one test, because the cells are the cost.

    All constructions and a few impossible rows here, the others in the deep profile and in the atlas's notebook.
    """
    few = {"softmax-1", "softmax-gelu", "relu-mlp", "linear-attention-norm"}
    rows = tuple(row for row in ARCHITECTURES if DEEP or row.expresses or row.id in few)
    cells = list(atlas.cells(rows))
    assert len(cells) == 3 * len(rows)
    assert [cell for cell in cells if cell.status != "checked"] == []
    assert {cell.architecture for cell in cells if cell.expresses} == set(EXPRESS)
    for cell in cells:
        if cell.expresses:
            assert cell.detail["weights"]
            assert cell.detail["error float64"] <= 1e-14
            assert cell.detail["error float32"] <= 1e-5
        else:
            for record in cell.detail["certificates"]:
                assert record["exponent"] <= 1
                assert record["measured miss"] >= record["proved miss"] * (1 - 1e-9) >= 1 - 1e-9


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("row", [id for id in EXPRESS if id != "baseconv"])
def test_a_corrupted_weight_is_refused(row, target):
    network = ROWS[row].constructions[target]()
    name, sparse = list(network.blocks[-1].parts()[-1].maps().items())[-1]
    broken = network.with_weight(network.depth - 1, len(network.blocks[-1].parts()) - 1, name, sparse.weights[0] * 2)
    cell = check_cell(replace(ROWS[row], constructions={target: lambda: broken}), target)
    assert cell.status == "refused"
    assert "differs" in cell.summary or "even part" in cell.summary


def test_a_construction_that_is_lowered_wrongly_is_refused(monkeypatch):
    """The exact weights are right, those of the PyTorch model are not."""
    network = ROWS["swiglu"].constructions["square"]()
    lowered = type(network).to_torch

    def wrong(self, dtype=torch.float64, device="cpu"):
        model = lowered(self, dtype, device)
        model.blocks[0].mlp.down.weight.mul_(1 + 1e-3)
        return model

    monkeypatch.setattr(type(network), "to_torch", wrong)
    cell = check_cell(ROWS["swiglu"], "square")
    assert cell.status == "refused"
    assert "lowered to torch.float64" in cell.summary


@pytest.mark.parametrize("target", TARGETS)
def test_a_corrupted_baseconv_weight_is_refused(target):
    network = ROWS["baseconv"].constructions[target]()
    out = network.layers[-1].out
    weights = out.weights.copy()
    weights[-1] *= 2
    layers = (*network.layers[:-1], replace(network.layers[-1], out=replace(out, weights=weights)))
    broken = replace(network, layers=layers)
    assert check_cell(replace(ROWS["baseconv"], constructions={target: lambda: broken}), target).status == "refused"


def test_a_construction_for_another_target_is_refused():
    row = replace(ROWS["swiglu"], constructions={"square": ROWS["swiglu"].constructions["multiply"]})
    assert check_cell(row, "square").status == "refused"


@pytest.mark.parametrize(
    "variant",
    [{"mlp": "swiglu"}, {"mlp": "bilinear", "mask": "full"}, {"attention": "linear", "mlp": "none"}],
)
def test_a_model_that_multiplies_gets_no_certificate(variant):
    row = replace(ROWS["softmax-relu"], variants=(tuple(variant.items()),))
    cell = check_cell(row, "multiply")
    assert cell.status == "refused"
    assert "multiplies" in cell.summary


def test_a_false_certificate_is_caught(monkeypatch):
    """If a certified model met the target where it provably cannot, the cell would say so."""

    class Exact(torch.nn.Module):
        def forward(self, u):
            out = u.clone()
            out[..., 2] = u[..., 0] * u[..., 1]
            return out

    _, certificate = atlas.representative(ROWS["softmax-1"].variants[0])
    monkeypatch.setattr(atlas, "representative", lambda variant: (Exact(), certificate))
    cell = check_cell(ROWS["softmax-1"], "multiply")
    assert cell.status == "refused"
    assert "not by the proved" in cell.summary


def test_a_certificate_for_a_construction_would_be_a_contradiction(monkeypatch):
    monkeypatch.setattr(atlas, "growth_certificate", lambda *arguments, **options: None)
    cell = check_cell(ROWS["bilinear"], "multiply")
    assert cell.status == "refused"
    assert "one of the two proofs is wrong" in cell.summary


def test_pictures(cells):
    root = ElementTree.fromstring(atlas_picture.svg(cells))
    texts = [node.text for node in root.iter("{http://www.w3.org/2000/svg}text")]
    assert texts.count("impossible") == sum(not cell.expresses for cell in cells)
    assert all(row.name in texts for row in ARCHITECTURES)
    page = atlas_picture.html(cells)
    assert page.count("<details") == len(cells)
    assert all(cell.theorem in page for cell in cells)
    failed = replace(cells[0], status="refused", summary="<wrong & refused>")
    assert "CHECK FAILED" in atlas_picture.svg([failed])
    ElementTree.fromstring(atlas_picture.svg([failed]))


def test_command_json(app, tmp_path):
    svg = tmp_path / "atlas.svg"
    result = CliRunner().invoke(app, ["-a", "reglu", "-a", "softmax-gelu", "--json", "--svg", str(svg)])
    document = json.loads(result.stdout)
    assert result.exit_code == 0
    assert document["all_checked"] is True
    found = [(cell["architecture"], cell["expresses"]) for cell in document["cells"]]
    assert sorted(found) == 3 * [("reglu", True)] + 3 * [("softmax-gelu", False)]
    assert svg.read_text().startswith("<svg")


def test_command_table_and_proofs(app, tmp_path):
    page = tmp_path / "atlas.html"
    options = ["-a", "linear-attention", "--prove", "--html", str(page)]
    result = CliRunner().invoke(app, options, env={"COLUMNS": "200"})
    assert result.exit_code == 0
    assert "3 of 3 cells checked" in result.stdout
    assert "proved   linear-attention-step" in result.stdout
    assert page.read_text().startswith("<!doctype html>")


def test_command_reports_a_refused_cell(app, monkeypatch):
    wrong = replace(
        ROWS["linear-attention"],
        constructions={
            target: lambda: linear_attention.gradient_descent(
                n_points=atlas.N_POINTS, n_dims=atlas.N_DIMS, step_size=Fraction(1, 5)
            )
            for target in TARGETS
        },
    )
    monkeypatch.setattr(importlib.import_module("precls_theory.expressivity.atlas"), "ARCHITECTURES", (wrong,))
    result = CliRunner().invoke(app, ["--json"])
    assert result.exit_code == 1
    assert json.loads(result.stdout)["all_checked"] is False
    assert "the check failed for linear-attention / square" in result.stderr


@pytest.mark.parametrize(
    ("options", "message", "code"),
    [(["-a", "rnn"], "unknown architecture rnn", 2), (["--svg", "/nowhere/atlas.svg"], "there is no folder", 1)],
)
def test_command_bad_usage(app, options, message, code):
    result = CliRunner().invoke(app, options, env={"COLUMNS": "300"})
    assert result.exit_code == code
    assert message in result.stderr


@pytest.mark.parametrize("width", [80, 100, 200])
def test_identifiers_break_at_hyphens_alone(cells, width, monkeypatch, capsys):
    """Every piece of an identifier that stands on a line of its own is made of whole words."""
    monkeypatch.setattr(command.out, "_width", width)
    command.out.print(command.table(cells))
    lines = [re.split("[│┃]", line) for line in capsys.readouterr().out.splitlines()]
    pieces = {piece.strip() for line in lines for piece in line}
    for cell in cells:
        words = [word for word in re.split("(?<=-)", cell.theorem) if word]
        starts = [0]
        while starts[-1] < len(words):  # the pieces, longest first, cover the identifier
            ends = [end for end in range(len(words), starts[-1], -1) if "".join(words[starts[-1] : end]) in pieces]
            assert ends, f"{cell.theorem} is broken inside a word at width {width}"
            starts.append(ends[0])
