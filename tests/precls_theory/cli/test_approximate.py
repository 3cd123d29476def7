"""``precls approximate`` from the command line."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

import constructions as C
from precls_theory.cli.approximate import above, join_intervals
from precls_theory.cli.main import app

runner = CliRunner()


def run(*args: str, code: int = 0) -> tuple[str, str]:
    result = runner.invoke(app, ["approximate", *args])
    assert result.exit_code == code, (result.output, result.exception)
    return result.stdout, result.stderr


def test_json_is_one_document() -> None:
    document = json.loads(run("exp(sin(3*x))", "--domain", "-1", "1", "--tolerance", "1e-10", "--verify", "--json")[0])
    assert document["depth"] == 6
    assert {"width", "n_nonzero", "degree", "versions", "precls", "seconds"} <= set(document)
    measured, again, bound = (document[k] for k in ("measured_error_exact", "error_bound_from_weights", "error_bound"))
    assert measured <= again <= bound <= 1e-10
    assert document["domain"] == {"x": ["-1", "1"]}


def test_table_file_and_plot(tmp_path: Path) -> None:
    file, plot = tmp_path / "runge.safetensors", tmp_path / "error.png"
    out, err = run("1/(1+25*x**2)", "--domain", "-1", "1", "-t", "1e-3", "-o", str(file), "--plot", str(plot))
    assert "error bound" in out
    assert "wrote" in err
    assert plot.read_bytes().startswith(b"\x89PNG")
    network = C.load(file)
    assert float(network.error_bound) <= 1e-3
    assert runner.invoke(app, ["check", str(file)]).exit_code == 0


def test_a_changed_file_fails_the_check(tmp_path: Path) -> None:
    file = tmp_path / "exp.safetensors"
    run("exp(x)", "--domain", "-1", "1", "-t", "1e-3", "-o", str(file))
    data = file.read_bytes()
    network = C.load(file)
    old = network.parameters["factors"][0]["polynomials"][0][0][1].encode()
    assert old in data
    file.write_bytes(data.replace(old, old[:-1] + (b"1" if old[-1:] != b"1" else b"3")))
    assert runner.invoke(app, ["check", str(file)]).exit_code != 0


def test_the_error_of_a_saved_network_is_proved(tmp_path: Path) -> None:
    file = tmp_path / "exp.safetensors"
    run("exp(x)", "--domain", "-1", "1", "-t", "1e-6", "-o", str(file))
    document = json.loads(run("exp(x)", "--domain", "-1", "1", "--load", str(file), "--json")[0])
    assert document["error_bound_from_weights"] <= document["error_bound"] <= 1e-6
    assert "the weights prove only" in run("exp(x)+x/10**6", "--domain", "-1", "1", "--load", str(file), code=1)[1]
    assert "holds 1 functions on x in [-1, 1]" in run("exp(x)", "--domain", "0", "1", "--load", str(file), code=1)[1]
    assert "no file" in run("exp(x)", "--domain", "0", "1", "--load", str(tmp_path / "none"), code=1)[1]


def test_several_variables_and_functions() -> None:
    args = ("exp(x*y)", "x - y", "--domain", "x=-1,1", "--domain", "y=0", "1/2", "-t", "1e-4", "--json")
    document = json.loads(run(*args)[0])
    assert document["domain"] == {"x": ["-1", "1"], "y": ["0", "1/2"]}
    assert document["expressions"] == ["exp(x*y)", "x - y"]


def test_an_expression_with_a_minus_sign_in_front() -> None:
    assert json.loads(run("--domain", "0", "1", "--json", "--", "-x**2")[0])["degree"] == 2


@pytest.mark.parametrize(
    ("args", "reason"),
    [
        (("exp(x",), "cannot read"),
        (("__import__('os').system('ls')",), "cannot use"),
        (("x^2",), "powers are written"),
        (("x*y",), "write NAME="),
        (("x", "--domain", "y=0,1"), "does not occur"),
        (("x", "--domain", "x=0,1"), "two intervals"),
        (("x", "--tolerance", "0"), "above zero"),
        (("x", "--tolerance", "nan"), "finite"),
        (("x", "--tolerance", "x"), "not one of the variables"),
        (("x", "--plot", "error.txt"), ".png"),
        (("nan",), "not a real number"),
        (("I*x",), "not a real number"),
    ],
)
def test_bad_usage_is_exit_code_2(args: tuple[str, ...], reason: str) -> None:
    out, err = run(*args, "--domain", "-1", "1", "--json", code=2)
    assert reason in json.loads(out)["error"]
    assert reason in " ".join(err.replace("│", " ").split())


@pytest.mark.parametrize(
    ("domain", "reason"),
    [(("1", "-1"), "is empty"), (("0", "inf"), "finite"), (("0", "pi"), "rational"), (("0,1,2",), "LOW HIGH")],
)
def test_bad_domains_are_exit_code_2(domain: tuple[str, ...], reason: str) -> None:
    assert reason in run("exp(x)", "--domain", *domain, code=2)[1]


@pytest.mark.parametrize(
    ("text", "reason"), [("1/x", "denominator x vanishes"), ("abs(x)", "Jackson"), ("sin(10**5*x)", "limit is degree")]
)
def test_what_cannot_be_proved_is_exit_code_1(text: str, reason: str) -> None:
    out, err = run(text, "--domain", "-1", "1", "--json", code=1)
    assert reason in " ".join(err.split())
    assert reason in json.loads(out)["error"]


@pytest.mark.parametrize("option", ["-o", "--plot"])
def test_a_folder_that_does_not_exist_is_found_before_the_work(option: str) -> None:
    out, err = run("exp(x)", "--domain", "-1", "1", option, "/nowhere/at/all.png", "--json", code=1)
    assert "there is no folder /nowhere/at" in err
    assert "there is no folder /nowhere/at" in json.loads(out)["error"]


@pytest.mark.parametrize("text", ["3", "pi", "0"])
def test_constants_are_measured_in_floating_point(text: str) -> None:
    document = json.loads(run(text, "--domain", "-1", "1", "--json")[0])
    assert document["depth"] == 1
    assert document["measured_error_float64"] <= 1e-6


def test_numbers_that_overflow_floating_point_have_no_measured_error() -> None:
    args = ("exp(x)", "--domain", "1000", "1001", "-t", "1e-3")
    document = json.loads(run(*args, "--json")[0])
    assert document["measured_error_exact"] <= document["error_bound"] <= 1e-3
    assert document["measured_error_float32"] is document["measured_error_float64"] is None
    assert "overflows" in run(*args)[0]


def test_functions_that_cannot_be_read_back_are_not_saved(tmp_path: Path) -> None:
    nested = "gelu(" * 11 + "x" + ")" * 11
    out, _ = run(nested, "--domain", "0", "1", "-t", "1e-2", "--json", "-o", str(tmp_path / "f"), code=1)
    assert "the limit is 20000" in json.loads(out)["error"]


def test_help_has_examples() -> None:
    assert "exp(sin(3*x))" in run("--help")[0]


def test_intervals_are_joined() -> None:
    assert join_intervals(["f", "--domain", "-1", "1", "-t", "1"]) == ["f", "--domain=-1,1", "-t", "1"]
    assert join_intervals(["--domain", "x=-1,1", "--", "--domain"]) == ["--domain=x=-1,1", "--", "--domain"]
    assert join_intervals(["--domain"]) == ["--domain"]
    assert join_intervals(["--domain", "-1 1", "-t", "1"]) == ["--domain=-1,1", "-t", "1"]
    assert join_intervals(["--domain", "x=0, 1", "f"]) == ["--domain=x=0,1", "f"]


def test_floats_are_rounded_up() -> None:
    from fractions import Fraction

    for value in (Fraction(1, 3), Fraction(1, 10), Fraction(1, 2), Fraction(2, 7)):
        assert Fraction(above(value)) >= value
