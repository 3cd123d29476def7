"""``precls solve``: exact reading, exact solution, digits, and every error in words."""

from __future__ import annotations

import csv as csv_module
import json
import math
import re
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
from precls_theory.cli import columns
from precls_theory.cli.main import app
from precls_theory.cli.solve import render
from precls_theory.regression.data import DataError, RegressionData, read_regression
from precls_theory.regression.methods import METHODS
from precls_theory.regression.numbers import decimal
from precls_theory.regression.solving import correct_digits, scale, solve

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


def test_sliced_networks_reach_full_precision_by_default_and_more_when_asked():
    document = json.loads(run(LONGLEY, "--target", "employed", "--json").stdout)
    assert min(document["digits"].values()) >= 19
    assert document["sliced"]["slices"] >= 3
    for name, text in document["decimal"].items():
        assert len(text.strip("-").replace(".", "").lstrip("0").partition("e")[0]) == 30
        exact = Fraction(document["exact"][name])
        assert abs(Fraction(text) - exact) <= abs(exact) * Fraction(10) ** -math.floor(document["digits"][name] - 0.1)


def test_digits_beyond_the_format_on_a_small_regression(tmp_path):
    data = csv(tmp_path, "x,y\n1,2\n2,3\n3,5\n5,7\n")
    document = json.loads(run(data, "--target", "y", "--digits", "40", "--json").stdout)
    assert min(document["digits"].values()) >= 40
    assert all(len(text.replace(".", "").strip("-0")) >= 38 for text in document["decimal"].values())
    document = json.loads(run(data, "--target", "y", "--dtype", "float32", "--digits", "15", "--json").stdout)
    assert min(document["digits"].values()) >= 15
    assert run(data, "--target", "y", "--digits", "30", "--method", "gram").exit_code == 2
    assert run(data, "--target", "y", "--digits", "61").exit_code == 2


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
    result = run(LONGLEY, "--target", "employed", "--method", "newton", "--exact")
    assert result.exit_code == 0
    assert "year = 140507032880869802421754309260924312189/76815417202508693645864603991495952" in result.stdout
    assert "depth" in result.stdout


def test_float32_answers_with_a_warning():
    result = run(LONGLEY, "--target", "employed", "--dtype", "float32", "--method", "newton", "--json",
                 "--min-digits", "0")  # fmt: skip
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
    plain = exact(csv(tmp_path, "x,y\n1,2\n2,3\n3,5\n"))
    for text in (
        "\ufeffx,y\n1,2\n2,3\n3,5\n", "x,y\r\n1,2\r\n2,3\r\n3,5", '"x", y\n"1",2\n2,"3"\n3,5\n',
        "\n  \nx,y\n\n1,2\n2,3\n \n3,5\n\n", "x,y\n1e0,+2.\n.2e1,3\n30E-1,5.00\n",
    ):  # fmt: skip
        (tmp_path / "data.csv").write_bytes(text.encode())
        assert exact(tmp_path / "data.csv") == plain


def test_names_that_look_like_markup_are_shown_as_they_are(tmp_path):
    data = csv(tmp_path, "[red],[/foo],y\n1,2,3\n2,1,4\n3,3,9\n4,0,1\n")
    result = run(data, "--target", "y")
    assert result.exit_code == 0, result.output
    assert "  [red] = " in result.stdout
    assert "  [/foo] = " in result.stdout
    missing = run(data, "--target", "[/nothing]")
    assert missing.exit_code == 1
    assert "no column '[/nothing]'" in missing.stderr


def test_exact_values_of_any_length_are_written_out(tmp_path):
    text = f"x,y\n1.{'3' * 5000},2\n2,3\n3,5\n"
    for options in (["--exact"], ["--json"]):
        result = run(csv(tmp_path, text), "--target", "y", *options)
        assert result.exit_code == 0, result.output
        assert "5" * 4500 in result.stdout


def test_exact_values_are_shortened_to_a_line(tmp_path):
    text = f"x,y\n1.{'3' * 5000},2\n2,3\n3,5\n"
    result = run(csv(tmp_path, text), "--target", "y")
    lines = result.stdout.splitlines()
    exact = [line for line in lines if line.startswith("  x = ")]
    assert len(exact) == 1
    assert "…/" in exact[0]
    assert re.search(r"\(\d{4,} over \d{4,} digits\)$", exact[0])
    assert max(map(len, lines)) <= 250  # the lines of words, and no number of thousands of digits
    assert len(exact[0]) <= 80
    assert "--exact" in result.stdout


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


# --- Statistics of the fit ------------------------------------------------------------------------------------------

CERTIFIED_ERRORS = (
    "890420.383607373", "84.9149257747669", "0.0334910077722432", "0.488399681651699", "0.214274163161675",
    "0.226073200069370", "455.478499142212",
)  # fmt: skip
"""Standard deviations of the estimates that NIST certifies for Longley."""


def test_statistics_agree_with_nist():
    document = json.loads(run(LONGLEY, "--target", "employed", "--json").stdout)
    errors = [float(text) for text in CERTIFIED_ERRORS]
    assert list(document["standard_errors"].values()) == pytest.approx(errors, rel=1e-13)
    assert document["residual_standard_error"] == pytest.approx(304.854073561965, rel=1e-13)
    assert document["r_squared"] == pytest.approx(0.995479004577296, rel=1e-13)
    assert document["degrees_of_freedom"] == 9
    for name, t in document["t_values"].items():
        assert t == pytest.approx(float(NIST[name]) / document["standard_errors"][name], rel=1e-12)


@given(st.data())
def test_statistics_are_what_their_definitions_say(data):
    """From the residuals and the inverse of AᵀA, in Fractions, by another way: solving for each unit vector."""
    A, b, _ = data.draw(regressions(5, 2))
    regression = RegressionData(("a", "b"), A, b)
    try:
        fit = regression.exact_fit()
    except DataError:
        assume(False)
    x = np.array(list(fit.coefficients.values()), dtype=object)
    residuals = A @ x - b
    assert fit.residual_square == sum(residuals * residuals)
    assert fit.total_square == sum(b * b)
    G = A.T @ A
    determinant = G[0, 0] * G[1, 1] - G[0, 1] * G[1, 0]
    assert fit.inverse_diagonal == {"a": Fraction(G[1, 1]) / determinant, "b": Fraction(G[0, 0]) / determinant}
    if fit.total_square:
        assert fit.r_squared == 1 - fit.residual_square / fit.total_square


def test_r_squared_is_about_the_mean_where_there_is_an_intercept(tmp_path):
    path = csv(tmp_path, "x,y\n1,10\n2,12\n3,11\n4,13\n")
    with_mean = read_regression(path, "y").exact_fit()
    assert with_mean.total_square == 5
    assert with_mean.r_squared == Fraction(16, 25)
    assert read_regression(path, "y", intercept=False).exact_fit().total_square == 10**2 + 12**2 + 11**2 + 13**2


@pytest.mark.parametrize(
    ("text", "nothing"),
    [
        ("x,y\n1,2\n2,5\n", "standard_errors"),
        ("x,y\n1,3\n2,5\n3,7\n", "t_values"),
        ("x,y\n1,0\n2,0\n3,0\n", "r_squared"),
    ],
)
def test_a_statistic_that_is_not_determined_is_none(tmp_path, text, nothing):
    for options in (["--json"], []):
        result = run(csv(tmp_path, text), "--target", "y", *options)
        assert result.exit_code == 0, result.output
    document = json.loads(run(csv(tmp_path, text), "--target", "y", "--json").stdout)
    assert document[nothing] is None or set(document[nothing].values()) == {None}


def test_coefficients_as_a_file(tmp_path):
    file = tmp_path / "fit.csv"
    document = json.loads(
        run(LONGLEY, "--target", "employed", "--method", "newton", "--coefficients", file, "--json").stdout
    )
    with file.open(newline="") as handle:
        rows = list(csv_module.DictReader(handle))
    assert [row["coefficient"] for row in rows] == list(NIST)
    for row in rows:
        name = row["coefficient"]
        assert row["exact"] == document["exact"][name]
        assert float(row["network"]) == document["coefficients"][name]
        assert float(row["standard_error"]) == document["standard_errors"][name]
        assert float(row["t_value"]) == document["t_values"][name]
        assert float(row["digits"]) == document["digits"][name]


# --- Too few digits, and none ---------------------------------------------------------------------------------------


def powers(folder: Path, degree: int = 10, count: int = 82, start: int = -9) -> Path:
    """A polynomial fit in powers of x, as ill-conditioned as NIST's Filip."""
    header = ",".join([*(f"x{k}" for k in range(1, degree + 1)), "y"])
    points = [Fraction(start) + Fraction(6 * i, count - 1) for i in range(count)]
    rows = [
        ",".join([*(f"{float(x) ** k!r}" for k in range(1, degree + 1)), f"{(i * i) % 7}"])
        for i, x in enumerate(points)
    ]
    return csv(folder, "\n".join([header, *rows]) + "\n")


def test_too_few_digits_are_said_in_words(tmp_path):
    data = powers(tmp_path, degree=3, count=8, start=20_000)
    result = run(data, "--target", "y", "--method", "newton")
    assert result.exit_code == 1
    assert "correct digits in" in result.stderr
    assert "fewer than 2" in result.stderr
    assert "--min-digits 0" in result.stderr
    document = json.loads(run(data, "--target", "y", "--method", "newton", "--json").stdout)
    assert document["ok"] is False
    assert "correct digits" in document["error"]
    assert min(document["digits"].values()) < 2
    accepted = run(data, "--target", "y", "--method", "newton", "--json", "--min-digits", "0")
    assert accepted.exit_code == 0
    assert json.loads(accepted.stdout)["ok"] is True


def test_float32_says_what_to_do():
    result = run(LONGLEY, "--target", "employed", "--dtype", "float32", "--method", "newton")
    assert result.exit_code == 1
    assert "use --dtype float64" in result.stderr


def test_a_high_bar_is_not_met():
    result = run(LONGLEY, "--target", "employed", "--method", "newton", "--min-digits", "15")
    assert result.exit_code == 1
    assert "fewer than 15" in result.stderr


@pytest.fixture(scope="module")
def ill(tmp_path_factory):
    """An ill-conditioned regression and its solution."""
    regression = read_regression(powers(tmp_path_factory.mktemp("powers")), "y")
    return regression, solve(regression)


@pytest.mark.parametrize("width", [40, 80, 120, 300])
def test_no_column_is_cropped(ill, width, monkeypatch, capsys):
    regression, solution = ill
    monkeypatch.setattr(columns.out, "_width", width)
    render(solution, regression, in_full=False)
    shown = capsys.readouterr().out
    for heading in ("digits: network", "digits: LAPACK", "digits: GD", "standard error", "exact, rounded"):
        assert heading in shown
    for name in solution.names:
        assert repr(solution.coefficients[name]) in shown
        assert decimal(solution.exact[name], 16) in shown
        assert len(re.findall(rf"^ *{name} .*", shown, re.MULTILINE)) >= 2
    lines = shown.splitlines()
    tables = lines[: lines.index("Exact least-squares solution:")]
    assert "…" not in "".join(tables)
    assert max(map(len, tables)) <= max(width, 46)  # the name and one number stay whole


def test_a_name_wider_than_the_terminal_is_written_out(tmp_path):
    name = "n" * 150
    result = run(csv(tmp_path, f"{name},y\n1,2\n2,3\n3,5\n"), "--target", "y")
    assert result.exit_code == 0
    assert result.stdout.count(name) >= 2


SINGULAR = "x,w,y\n" + "\n".join(f"{i},{i}.{'0' * 20}{i * i},{i}" for i in range(1, 8))


def test_the_exact_solution_is_printed_where_floating_point_has_none(tmp_path):
    data = csv(tmp_path, SINGULAR)
    result = run(data, "--target", "y")
    assert result.exit_code == 1
    assert "condition number" in result.stderr
    assert "  x = 1" in result.stdout
    assert "  w = 0" in result.stdout
    assert "residual standard error" in result.stdout
    document = json.loads(run(data, "--target", "y", "--json").stdout)
    assert document["exact"] == {"intercept": "0", "x": "1", "w": "0"}
    assert "condition number" in document["error"]


def test_too_many_unknowns_for_a_network(tmp_path, monkeypatch):
    monkeypatch.setattr("precls_theory.regression.solving.MAX_DIMS", 1)
    result = run(csv(tmp_path, "x,y\n1,2\n2,3\n3,5\n"), "--target", "y", "--json")
    assert result.exit_code == 1
    document = json.loads(result.stdout)
    assert "2 unknowns are too many" in document["error"]
    assert document["exact"] == {"intercept": "1/3", "x": "3/2"}


# --- Reading --------------------------------------------------------------------------------------------------------


def exact(*arguments) -> dict[str, str]:
    result = run(*arguments, "--target", "y", "--method", "newton", "--json")
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)["exact"]


def test_columns_and_drop(tmp_path):
    data = csv(tmp_path, 'who,x,"a,b",y\nann,1,4,2\nbob,2,1,3\ncid,3,2,5\ndan,4,0,6\n')
    assert list(exact(data, "--columns", "x")) == ["intercept", "x"]
    assert list(exact(data, "--columns", '"a,b",x')) == ["intercept", "x", "a,b"]
    assert list(exact(data, "--drop", "who")) == ["intercept", "x", "a,b"]
    assert list(exact(data, "--drop", "who", "--drop", "x")) == ["intercept", "a,b"]


def test_a_column_that_is_used_and_left_out_is_an_error(tmp_path):
    data = csv(tmp_path, "who,x,y\nann,1,2\nbob,2,3\n")
    result = run(data, "--target", "y", "--columns", "x,who", "--drop", "who")
    assert result.exit_code == 1
    assert "--columns and --drop both name 'who'" in result.stderr


def test_separators_and_decimal_commas(tmp_path):
    plain = exact(csv(tmp_path, "x,y\n1.5,2\n2,3\n3,5.25\n"))
    assert exact(csv(tmp_path, "x;y\n1,5;2\n2;3\n3;5,25\n"), "--sep", ";", "--decimal", ",") == plain
    for name in ("tab", "\\t", "\t"):
        assert exact(csv(tmp_path, "x\ty\n1.5\t2\n2\t3\n3\t5.25\n"), "--sep", name) == plain


def test_missing_values_are_dropped_where_asked(tmp_path):
    text = "x,z,y\n1,a,2\n,b,9\n2,,3\nNA,c,4\n3,d,5\n7,e,nan\n4,f,6.5\n"
    data = csv(tmp_path, text)
    whole = csv(tmp_path, text)
    result = run(data, "--target", "y", "--columns", "x", "--na", "drop", "--json")
    document = json.loads(result.stdout)
    assert (document["n_points"], document["n_dropped"]) == (4, 3)
    assert "3 rows with missing values left out" in run(whole, "--target", "y", "--drop", "z", "--na", "drop").stdout
    small = csv(tmp_path, "x,y\n1,2\n2,3\n3,5\n4,6.5\n")
    assert document["exact"] == exact(small)


def test_standard_input(tmp_path):
    text = "x,y\n1,2\n2,3\n3,5\n"
    found = CliRunner().invoke(app, ["solve", "-", "--target", "y", "--json"], input=text)
    assert found.exit_code == 0, found.output
    assert json.loads(found.stdout)["exact"] == exact(csv(tmp_path, text))
    empty = CliRunner().invoke(app, ["solve", "-", "--target", "y"], input="")
    assert "standard input is empty" in empty.stderr


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("/dev/zero", "line 1 has more than 16777216 characters"),
        ("/dev/null", "/dev/null is empty"),
        (".", "Is a directory"),
        ("no\0file", "null"),
    ],
)
def test_what_is_no_table_is_refused_in_words(name, words):
    with pytest.raises(DataError, match=words):
        read_regression(Path(name), "y")


def test_standard_input_that_is_closed(monkeypatch):
    monkeypatch.setattr("sys.stdin", None)
    with pytest.raises(DataError, match="cannot read standard input: it is closed"):
        read_regression(Path("-"), "y")


@pytest.mark.parametrize(
    ("text", "arguments", "words"),
    [
        ("x,y\n1,2\n3,4\n5,9\n", ["--columns", "z"], "no column 'z'"),
        ("height,y\n1,2\n3,4\n5,9\n", ["--columns", "heigth"], "did you mean 'height'?"),
        ("x,y\n1,2\n3,4\n5,9\n", ["--drop", "y"], "--drop names the target"),
        ("x,y\n1,2\n3,4\n5,9\n", ["--columns", "x,y"], "--columns names the target"),
        ("x,y\n1,2\n3,4\n5,9\n", ["--sep", ";;"], "--sep must be one character"),
        ("x,y\n1,2\n3,4\n5,9\n", ["--sep", ""], "--sep must be one character"),
        ("x,y\n1,2\n3,4\n5,9\n", ["--sep", "1"], "--sep must be one character"),
        ("x,y\n1,2\n3,4\n5,9\n", ["--decimal", ","], "choose another separator"),
        ("x,y\n1,2\n3,4\n5,9\n", ["--decimal", "x"], "--decimal must be . or ,"),
        ("x;y\n1,5;2\n3;4\n5;9\n", [], "--sep ';'"),
        ("x;y\n1,5;2\n3;4\n5;9\n", ["--sep", ";"], "--decimal ,"),
        ("x;y\n1.5;2\n3;4\n5;9\n", ["--sep", ";", "--decimal", ","], "has a point"),
        ("x,y\nNA,2\n3,4\n5,9\n", [], "--na drop"),
        ("x,y\n,2\n3,4\n5,9\n", [], "--na drop"),
        ("x,y\nann,2\n3,4\n5,9\n", [], "--drop 'x'"),
        ("x,y\nNA,2\nNA,4\n5,9\n", ["--na", "drop"], "1 rows (2 with missing values were left out) for 2 unknowns"),
        ("x,y\n1,2\n3\n5,9\n", ["--na", "drop"], "line 3 has 1 cells"),
        ("x,y\n0e999999999,2\n1e-999999999,4\n5,9\n", [], "line 3, column 'x' is beyond"),
    ],
)
def test_options_of_reading_are_refused_in_words(tmp_path, text, arguments, words):
    result = run(csv(tmp_path, text), "--target", "y", "--json", *arguments)
    assert result.exit_code == 1
    assert words in json.loads(result.stdout)["error"]
    assert words in " ".join(result.stderr.split())


def test_the_data_are_not_overwritten(tmp_path):
    data = csv(tmp_path, "x,y\n1,2\n2,3\n3,5\n")
    before = data.read_bytes()
    (tmp_path / "link").symlink_to(data)
    for option in ("--output", "--coefficients"):
        for name in (data, tmp_path / "link"):
            result = run(data, "--target", "y", option, name)
            assert result.exit_code == 1
            assert "the same file as" in result.stderr
    same = run(data, "--target", "y", "-o", tmp_path / "new", "--coefficients", tmp_path / "new")
    assert "the same file as" in same.stderr
    assert data.read_bytes() == before
    assert not (tmp_path / "new").exists()


def test_an_answer_is_printed_where_its_file_cannot_be_written(tmp_path, monkeypatch):
    def full(*args, **options):
        raise OSError("cannot write net: No space left on device")

    monkeypatch.setattr("precls_theory.cli.solve.write_output", full)
    data = csv(tmp_path, "x,y\n1,2\n2,3\n3,5\n")
    result = run(data, "--target", "y", "--coefficients", str(tmp_path / "fit.csv"))
    assert result.exit_code == 1
    assert "x = 3/2" in result.stdout
    assert "No space left" in result.stderr
    assert "wrote" not in result.stderr
    document = json.loads(run(data, "--target", "y", "--coefficients", str(tmp_path / "fit.csv"), "--json").stdout)
    assert (document["ok"], document["exact"]["x"]) == (False, "3/2")
    assert "No space left" in document["error"]
