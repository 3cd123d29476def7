"""``precls landscape``: the document, the table, the picture, and what is refused."""

import json

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
        (("square", "--units", "2"), "form='layer'"),
    ],
)
def test_bad_input_is_refused_in_words(arguments, message):
    result = precls(*arguments)
    assert result.exit_code == 2
    assert message in " ".join(result.stderr.replace("│", " ").split())
