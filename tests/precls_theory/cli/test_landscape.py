"""``precls landscape``: the document, the table, the picture, and what is refused."""

import json
from fractions import Fraction

import pytest
from typer.testing import CliRunner

from precls_theory.cli.main import app


def precls(*arguments):
    return CliRunner().invoke(app, ["landscape", *arguments], env={"COLUMNS": "200", "TERM": "dumb"})


def test_json_of_scalar_square():
    result = precls("square", "--json")
    assert result.exit_code == 0
    document = json.loads(result.stdout)
    assert document["target"] == "square"
    assert document["complete"] is True
    assert [(c["kind"], c["dimension"], c["loss"]) for c in document["components"]] == [
        ("global minimum", 1, "0"), ("degenerate saddle", 1, "2"), ("saddle", 0, "3"),
    ]  # fmt: skip
    assert all(set(c) >= {"dimension", "loss", "real", "kind", "equations", "point"} for c in document["components"])
    assert document["components"][1]["descent"]["order"] == 4


KEYS = {
    "target",
    "form",
    "channels",
    "rows",
    "units",
    "coefficient",
    "engine",
    "complete",
    "infimum",
    "components",
    "components_listed",
    "parts",
}
KINDS = {
    "global minimum",
    "saddle",
    "degenerate saddle",
    "spurious minimum",
    "no real point",
    "unresolved",
    "local minimum",
}


@pytest.mark.parametrize(
    "arguments",
    [("square",), ("linear", "--rows", "2"), ("multiply",), ("read",), ("square", "--form", "layer"),
     ("linear", "--form", "layer", "--rows", "2"), ("multiply", "--form", "layer"), ("read", "--form", "layer")],
)  # fmt: skip
def test_every_target_and_form_keeps_the_contract(arguments):
    result = precls(*arguments, "--json")
    assert result.exit_code == 0
    document = json.loads(result.stdout)
    assert set(document) >= KEYS
    assert document["target"] == arguments[0]
    assert document["complete"] is True
    assert document["components"]
    for component in document["components"]:
        assert set(component) >= {"dimension", "loss", "real", "kind", "equations", "point"}
        assert component["kind"] in KINDS
        assert component["real"] is (component["kind"] != "no real point")
        assert isinstance(component["dimension"], int)
        assert all(isinstance(equation, str) for equation in component["equations"])
        for value in component["point"].values():
            assert Fraction(value) is not None  # p/q or a decimal
        if isinstance(component["loss"], str):
            assert Fraction(component["loss"]) >= 0
        elif component["loss"] is not None:
            assert set(component["loss"]) == {"minimal_polynomial", "approximately"}


def test_progress_is_told_on_a_pipe(monkeypatch):
    monkeypatch.setattr("precls_theory.cli.progress.FIRST", 0.0)
    result = precls("square")
    assert "classifying channel 0: W_0=1: 0 of 3 done" in " ".join(result.stderr.split())


def test_without_singular_its_engine_is_refused_in_words(monkeypatch):
    monkeypatch.setattr("precls_theory.landscape.singular.shutil.which", lambda name: None)
    result = precls("square", "--engine", "singular", "--json")
    assert result.exit_code == 1
    assert "apt install singular" in json.loads(result.stdout)["error"]


def test_json_of_parts_and_irrational_losses():
    document = json.loads(precls("linear", "--channels", "2", "--json").stdout)
    assert [part["name"] for part in document["parts"]] == ["channel 0", "channel 1"]
    values = [c["loss"] for c in document["components"] if isinstance(c["loss"], dict)]
    assert values
    assert all(set(value) == {"minimal_polynomial", "approximately"} for value in values)


def test_table_and_picture(tmp_path):
    path = tmp_path / "square.png"
    result = precls("square", "--form", "layer", "--plot", str(path))
    assert result.exit_code == 0
    assert "spurious minimum" in result.stdout
    assert "complete" in result.stdout
    assert path.read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("cube",), "must be one of"),
        (("multiply", "--channels", "1"), "two channels"),
        (("linear", "--coefficient", "1/0"), "divides by zero"),
        (("square", "--plot", "a.bmp"), "expected a file ending in"),
        (("square", "--units", "2"), "--form layer"),
        (("square", "--engine", "maple"), "flint or singular"),
        (("square", "--form", "matrix"), "form must be"),
        (("read", "--rows", "1"), "rows >= 2"),
        (("square", "--channels", "0"), "at least 1"),
        (("linear", "--coefficient", "nan"), "nan"),
    ],
)
def test_bad_input_is_refused_in_words(arguments, message):
    result = precls(*arguments)
    assert result.exit_code == 2
    assert message in " ".join(result.stderr.replace("│", " ").split())


@pytest.mark.parametrize("coefficient", ["1e400", "1e99999999", "7" * 40, "nan", "[bold]", "1/0"])
def test_a_coefficient_that_is_no_moderate_ratio_is_refused_at_once(coefficient):
    result = precls("linear", "--channels", "2", "--coefficient", coefficient)
    assert result.exit_code == 2
    assert "--coefficient" in result.output


def test_products_that_are_not_listed_are_said_not_to_be(monkeypatch):
    from precls_theory.landscape import products

    monkeypatch.setitem(products.__globals__, "LARGEST", 1)
    document = json.loads(precls("multiply", "--json").stdout)
    assert document["components"] == []
    assert document["components_listed"] is False
    assert all(part["components"] for part in document["parts"])
