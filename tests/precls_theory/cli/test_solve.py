"""``precls solve``: exact reading, exact solution, digits, and every error in words."""

from __future__ import annotations

import json
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import torch
from helpers.problems import regressions
from hypothesis import assume, given
from hypothesis import strategies as st
from typer.testing import CliRunner

import constructions as C
from precls_theory.cli.main import app
from precls_theory.regression.data import DataError, RegressionData, read_regression
from precls_theory.regression.methods import METHODS
from precls_theory.regression.solving import correct_digits, decimal, scale, solve

LONGLEY = Path(__file__).parents[3] / "notebooks" / "data" / "longley.csv"
NIST = {
    "intercept": "-3482258.63459582", "deflator": "15.0618722713733", "gnp": "-0.0358191792925910",
    "unemployed": "-2.02022980381683", "armed_forces": "-1.03322686717359", "population": "-0.0511041056535807",
    "year": "1829.15146461355",
}  # fmt: skip


def run(*arguments: str):
    return CliRunner().invoke(app, ["solve", *map(str, arguments)])


def csv(folder: Path, text: str) -> Path:
    path = folder / "data.csv"
    path.write_text(text)
    return path


def test_longley_agrees_with_nist_to_every_certified_digit():
    solution = read_regression(LONGLEY, "employed").exact_solution()
    assert [decimal(value, 15) for value in solution] == list(NIST.values())


def test_longley_has_the_digits_of_lapack():
    solution = solve(read_regression(LONGLEY, "employed"))
    assert solution.condition_number == pytest.approx(4.2e4, rel=0.1)
    assert not solution.warnings
    for name in solution.names:
        assert solution.digits[name] >= min(solution.lapack_digits[name] - 1, 11)
    assert min(solution.digits.values()) >= min(solution.lapack_digits.values()) - 1


def test_json_is_the_contract():
    result = run(LONGLEY, "--target", "employed", "--json")
    assert result.exit_code == 0
    document = json.loads(result.stdout)
    keys = {
        "coefficients", "exact", "digits", "lapack_digits", "gd_digits", "depth", "width", "n_nonzero", "method",
        "dtype", "warnings", "precls", "versions", "seconds",
    }  # fmt: skip
    assert keys <= set(document)
    assert list(document["coefficients"]) == list(NIST)
    assert decimal(Fraction(document["exact"]["year"]), 15) == NIST["year"]
    assert all(isinstance(value, float) for value in document["digits"].values())


def test_table_names_every_coefficient_and_the_exact_solution():
    result = run(LONGLEY, "--target", "employed")
    assert result.exit_code == 0
    assert "year = 140507032880869802421754309260924312189/76815417202508693645864603991495952" in result.stdout
    assert "depth" in result.stdout


def test_float32_answers_with_a_warning():
    result = run(LONGLEY, "--target", "employed", "--dtype", "float32", "--json")
    assert result.exit_code == 0
    assert "float32 limits the answer" in json.loads(result.stdout)["warnings"][0]
    assert "float32 limits the answer" in result.stderr


@pytest.mark.parametrize("method", METHODS)
def test_every_method_solves_a_tame_regression(method, tmp_path):
    rng = np.random.default_rng(1)
    rows = rng.integers(-9, 10, (30, 3))
    text = "u,v,y\n" + "\n".join(",".join(map(str, row)) for row in rows)
    saved = tmp_path / "net.safetensors"
    result = run(csv(tmp_path, text), "--target", "y", "--method", method, "--json", "-o", saved)
    assert result.exit_code == 0, result.output
    document = json.loads(result.stdout)
    assert min(document["digits"].values()) > 11
    network = C.load(saved)
    assert (network.depth, network.width) == (document["depth"], document["width"])


def test_a_zero_coefficient_is_judged_by_its_absolute_error(tmp_path):
    result = run(csv(tmp_path, "x,y\n1,5\n2,5\n3,5\n"), "--target", "y", "--json")
    document = json.loads(result.stdout)
    assert document["exact"] == {"intercept": "5", "x": "0"}
    assert document["digits"]["x"] > 13


def test_no_intercept(tmp_path):
    result = run(csv(tmp_path, "x,y\n0.1,0.2\n0.3,0.6\n"), "--target", "y", "--no-intercept", "--json")
    assert json.loads(result.stdout)["exact"] == {"x": "2"}


@pytest.mark.parametrize(
    ("text", "arguments", "words"),
    [
        ("", [], "empty"),
        ("x,y\n", [], "no rows of data"),
        ("x,y\n1,2\n,3\n4,5\n", [], "line 3, column 'x' is missing"),
        ("x,y\n1,2\n2,three\n4,5\n", [], "line 3, column 'y' is not a number: 'three'"),
        ("x,y\n1,2\nnan,3\n4,5\n", [], "not a finite number"),
        ("x,y\n1,2\n1e999999,3\n4,5\n", [], "beyond 10"),
        ("x,y\n1,2\n3\n4,5\n", [], "line 3 has 1 cells"),
        ("x,z,y\n1,2,3\n4,5,6\n", [], "2 rows for 3 unknowns"),
        ("x,c,y\n1,7,3\n4,7,6\n5,7,1\n2,7,0\n", [], "c = 7·intercept"),
        ("x,w,y\n1,2,3\n4,8,6\n5,10,1\n2,4,0\n", ["--no-intercept"], "w = 2·x"),
        ("x,w,y\n0,2,3\n0,8,6\n0,10,1\n0,4,0\n", ["--no-intercept"], "x = zero"),
        ("x,x,y\n1,2,3\n", [], "every column once"),
        ("intercept,y\n1,2\n3,4\n", [], "--no-intercept"),
        ("y\n1\n2\n", ["--no-intercept"], "nothing to fit"),
        ("a,b\n1,2\n3,4\n", [], "no column 'y'"),
        ("x;y\n1;2\n3;4\n", [], "separates its cells by ';'"),
        ("x,y\n1_000,2\n3,4\n5,9\n", [], "not a number: '1_000'"),
        ("x,y\n\u0661,2\n3,4\n5,9\n", [], "line 2, column 'x' is not a number"),
        ('x,y\n"1,000",2\n3,4\n5,9\n', [], "not a number: '1,000'"),
        ('x,"a\nb",y\n1,5,1\n2,7,q\n', [], "line 4, column 'y'"),
        ('x,y\n1,2\n"3,4\n', [], "line 3: unexpected end of data"),
        ("x,y\n1e-299,1e299\n2e-299,3e299\n3e-299,5e299\n", [], "about 2.00e+598, outside the range of float64"),
        ("x,y\n1e299,1e-299\n2e299,3e-299\n3e299,5e-299\n", [], "about 2.00e-598, outside the range of float64"),
        ("x,y\n[/red],2\n3,4\n5,9\n", [], "not a number: '[/red]'"),
        ("[/a],[b],y\n1,2,1\n2,4,0\n3,6,5\n4,8,2\n", [], "[b] = 2·[/a]"),
    ],
)
def test_bad_data_is_refused_in_words(tmp_path, text, arguments, words):
    result = run(csv(tmp_path, text), "--target", "y", "--json", *arguments)
    assert result.exit_code == 1
    assert words in " ".join(result.stderr.split())
    assert words in json.loads(result.stdout)["error"]


def test_the_same_table_in_other_dress(tmp_path):
    """A byte-order mark, other line ends, quotes, blank lines, exponents: the same numbers."""
    plain = run(csv(tmp_path, "x,y\n1,2\n2,3\n3,5\n"), "--target", "y", "--json")
    for text in (
        "\ufeffx,y\n1,2\n2,3\n3,5\n", "x,y\r\n1,2\r\n2,3\r\n3,5", '"x", y\n"1",2\n2,"3"\n3,5\n',
        "\n  \nx,y\n\n1,2\n2,3\n \n3,5\n\n", "x,y\n1e0,+2.\n.2e1,3\n30E-1,5.00\n",
    ):  # fmt: skip
        (tmp_path / "data.csv").write_bytes(text.encode())
        result = run(tmp_path / "data.csv", "--target", "y", "--json")
        assert result.exit_code == 0, result.output
        assert json.loads(result.stdout)["exact"] == json.loads(plain.stdout)["exact"]


def test_names_that_look_like_markup_are_shown_as_they_are(tmp_path):
    data = csv(tmp_path, "[red],[/foo],y\n1,2,3\n2,1,4\n3,3,9\n4,0,1\n")
    result = run(data, "--target", "y")
    assert result.exit_code == 0, result.output
    assert result.stdout.count("[red]") == result.stdout.count("[/foo]") == 2
    missing = run(data, "--target", "[/nothing]")
    assert missing.exit_code == 1
    assert "no column '[/nothing]'" in missing.stderr


def test_exact_values_of_any_length_are_written_out(tmp_path):
    text = f"x,y\n1.{'3' * 5000},2\n2,3\n3,5\n"
    for options in ([], ["--json"]):
        result = run(csv(tmp_path, text), "--target", "y", *options)
        assert result.exit_code == 0, result.output
        assert "5" * 4500 in result.stdout


def test_missing_file_and_bad_usage(tmp_path):
    assert run(tmp_path / "none.csv", "--target", "y").exit_code == 1
    assert run(LONGLEY).exit_code == 2
    assert run(LONGLEY, "--target", "employed", "--dtype", "float8").exit_code == 2
    assert run(LONGLEY, "--target", "employed", "--device", "nowhere").exit_code == 2
    meta = run(LONGLEY, "--target", "employed", "--device", "meta")  # there, but it computes nothing
    assert meta.exit_code == 2
    assert "not available" in meta.stderr


def test_numerically_singular_data_is_refused(tmp_path):
    text = "x,w,y\n" + "\n".join(f"{i},{i}.{'0' * 20}{i * i},{i}" for i in range(1, 8))
    result = run(csv(tmp_path, text), "--target", "y")
    assert result.exit_code == 1
    assert "condition number" in result.stderr


@given(st.data(), st.integers(1, 3))
def test_exact_solution_satisfies_the_normal_equations(data, n_dims):
    A, b, _ = data.draw(regressions(5, n_dims))
    try:
        x = np.array(RegressionData(tuple("abc"[:n_dims]), A, b).exact_solution(), dtype=object)
    except DataError as error:
        assume("dependent" not in str(error))
        raise
    assert not (A.T @ (A @ x - b)).any()


@given(st.data())
def test_scaling_by_powers_of_two_is_undone_exactly(data):
    A, b, _ = data.draw(regressions(4, 2))
    assume(all((A[:, j] != 0).any() for j in range(2)))
    scaled = scale(RegressionData(("a", "b"), A, b), torch.float64, "cpu")
    assert 0.5 <= float(scaled.A.norm(dim=0).min()) <= float(scaled.A.norm(dim=0).max()) <= 2
    z = torch.tensor([3.0, -5.0], dtype=torch.float64)
    assert scaled.unscale(z) == [Fraction(int(v)) * Fraction(2) ** e for v, e in zip(z, scaled.exponents, strict=True)]


def test_digits_are_finite_and_capped():
    eps = 2.0**-52
    assert correct_digits(Fraction(1), Fraction(1), eps) == pytest.approx(15.65, abs=0.01)
    assert correct_digits(None, Fraction(1), eps) == pytest.approx(-15.65, abs=0.01)
    assert correct_digits(Fraction(101, 100), Fraction(1), eps) == pytest.approx(2)
    assert correct_digits(Fraction(10) ** 400, Fraction(1), eps) == pytest.approx(-15.65, abs=0.01)
    assert correct_digits(Fraction(1, 1000), Fraction(0), eps) == pytest.approx(3)


def test_unknown_method_is_refused():
    with pytest.raises(ValueError, match="method must be one of"):
        solve(read_regression(LONGLEY, "employed"), method="magic")
