"""``precls compile``: one JSON document, files that ``precls check`` accepts, errors in words."""

import json

import pytest
from typer.testing import CliRunner

import constructions as C
from precls_theory.checking.check import check
from precls_theory.cli.main import app


def run(*arguments: object) -> tuple[int, str, str]:
    result = CliRunner().invoke(app, ["compile", *map(str, arguments)])
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return result.exit_code, result.stdout, result.stderr


def test_json_is_one_document_with_the_facts():
    code, out, err = run("x**2*y - 3*z", "x*y", "--json")
    assert (code, err) == (0, "")
    document = json.loads(out)
    facts = {"depth": 2, "width": 3, "degree": 3, "plain_width": 4, "n_terms": 3, "n_polynomials": 2}
    assert facts.items() <= document.items()
    assert document["variables"] == ["x", "y", "z"]
    assert document["n_nonzero"] > 0
    assert document["proved"] == {"method": "polynomials over Q (fmpq_mpoly)", "failure_probability_log2": None}
    assert {"precls", "versions", "seconds"} <= document.keys()


def test_files_are_saved_drawn_and_checked(tmp_path):
    file, picture = tmp_path / "motzkin.safetensors", tmp_path / "motzkin.png"
    code, out, _ = run("x**4*y**2 + x**2*y**4 - 3*x**2*y**2 + 1", "-o", file, "--plot", picture, "--variables", "y,x")
    assert code == 0
    assert "proved" in out
    assert picture.read_bytes().startswith(b"\x89PNG")
    network = C.load(file)
    assert network.parameters["variables"] == ["y", "x"]
    assert network.decode(network.evaluate(network.encode([2, 1]))).tolist() == [1 * 4 + 16 - 12 + 1]
    checked = CliRunner().invoke(app, ["check", str(file), "--json"])
    assert checked.exit_code == 0
    assert json.loads(checked.stdout)["ok"]


def test_a_table_for_people():
    code, out, _ = run("3*x", "7")
    assert code == 0
    assert "2 polynomials in x" in out
    assert "plain width" in out
    assert run("--help")[0] == 0


def test_exact_decimals_and_a_leading_minus():
    code, out, _ = run("--json", "--", "-0.1*x**3")
    assert code == 0
    assert json.loads(out)["degree"] == 3


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["exp(x)"], "no function calls"),
        (["x/y"], "not a polynomial"),
        (["x**y"], "whole number"),
        (["x**-1"], "whole number"),
        (["x +"], "cannot read"),
        (["__import__('os').system('true')"], "Attribute|cannot use"),
        (["w*x", "--variables", "x,y"], "w is not one of"),
        (["x", "--variables", "x,x"], "distinct"),
        (["(a+b+c+d+e+f)**900"], "terms when expanded"),
        (["x**600*y**600"], "degree must be at most 1024"),
        ([], "Missing argument"),
    ],
)
def test_bad_usage_is_exit_code_2_and_words(arguments, message):
    code, out, err = run(*arguments)
    assert code == 2
    assert out == ""
    flat = " ".join(err.replace("│", " ").split())
    assert any(part in flat for part in message.split("|")), flat


def test_an_unwritable_file_is_exit_code_1(tmp_path):
    code, out, err = run("x*y", "-o", tmp_path / "nowhere" / "p.safetensors", "--json")
    assert code == 1
    assert "no folder" in err
    assert "no folder" in json.loads(out)["error"]


def test_a_picture_of_another_kind_is_found_before_the_work(tmp_path):
    code, out, err = run("x*y", "--plot", tmp_path / "picture.txt", "--json")
    assert code == 2
    assert "ending in .png" in json.loads(out)["error"]
    assert ".png, .svg, .pdf" in " ".join(err.split())


def test_constants_that_are_not_rational_are_refused():
    code, _, err = run("pi*x")
    assert code == 2
    assert "not a rational number" in " ".join(err.replace("│", " ").split())
    assert run("pi*x", "--variables", "pi,x")[0] == 0


def test_a_constant_is_saved_and_checked(tmp_path):
    assert run("5", "-o", tmp_path / "five.safetensors")[0] == 0
    assert check(C.load(tmp_path / "five.safetensors")).ok


def test_a_large_polynomial_says_what_it_costs_and_how_far_it_is(monkeypatch):
    """It was silent for a minute."""
    monkeypatch.setattr("precls_theory.cli.progress.FIRST", 0.0)
    code, _, err = run("(x+y+z+1)**14")
    assert code == 0
    lines = err.splitlines()
    assert any(
        line.startswith("680 terms of degree 14: products are searched on 4 levels, which takes") for line in lines
    )
    assert "building the network, levels of products searched: 0 of 4 done, 0 s" in lines


def test_what_is_too_large_is_refused_at_once_with_its_size():
    code, out, err = run("(x+y+z+w)**100")
    assert (code, out) == (2, "")
    assert "has 176851 terms when expanded, the limit is 20000" in " ".join(err.replace("│", " ").split())
