"""``precls check``: how it knows, what it refuses and with which words."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from helpers.commands import document, precls, words
from helpers.networks import SMALL, with_filter, with_weight
from safetensors.numpy import save_file

import constructions as C
from constructions.algebra.filters import Filter


def test_check_says_how_it_knows(tmp_path: Path) -> None:
    path = tmp_path / "gd.safetensors"
    precls("build", "gd", "--n-steps", 256, "--step-size", "1/10", "-o", path)
    result = precls("check", path)
    assert result.exit_code == 0
    assert "ok: equal to gradient_descent at 20 rows by residues" in result.stdout
    found = document(precls("check", path, "--json", "--seed", 5))
    assert found["algorithm"] == "gradient_descent"
    assert found["failure_probability_log2"] <= -60
    assert found["method"] == "residues"
    assert document(precls("check", path, "--json", "--seed", 5))["detail"] == found["detail"]


def test_check_refuses_a_changed_weight_with_an_input_that_shows_it(tmp_path: Path) -> None:
    path = tmp_path / "bad.safetensors"
    with_weight(SMALL["gd-gram-A"](), 1, "out", 0).save(path)
    result = precls("check", path, "--json")
    assert result.exit_code == 1
    found = document(result)
    assert found["ok"] is False
    difference = found["first_difference"]
    assert set(difference) == {"output", "row", "input", "computed", "claimed"}
    assert "entry" not in found
    network = C.load(path)
    given = {name: np.array(value, dtype=object) for name, value in difference["input"].items()}
    output = network.evaluate(network.encode(**given))[difference["row"]]
    assert str(output[network.outputs.index(difference["output"])]) == difference["computed"]
    assert f"output {difference['output']} at row {difference['row']} is" in words(precls("check", path))


def test_check_names_the_entry_that_no_output_feels(tmp_path: Path) -> None:
    network = SMALL["gd-doubling-A"]()
    (index,) = [i for i, filter in enumerate(network.layers[1].filters) if filter.tail]
    path = tmp_path / "bad.safetensors"
    with_filter(network, 1, index, Filter.of((1,) * network.n_rows, 7)).save(path)
    result = precls("check", path, "--json")
    assert result.exit_code == 1
    found = document(result)
    assert found["first_difference"] is None
    assert found["entry"]["where"] == "filter"
    assert found["entry"]["layer"] == 2
    assert "every output is as claimed, but a stored number is not: filter (layer 2" in words(result)


def test_check_of_files_that_are_no_networks(tmp_path: Path) -> None:
    path = tmp_path / "file"
    whole = tmp_path / "whole.safetensors"
    SMALL["read"]().save(whole)
    for content, message in (
        (b"", "empty or cut off"),
        (b"PK\x03\x04" + b"x" * 100, "zip archive or a pickle"),
        (b"x,y\n1,2\n" * 9, "not a safetensors file"),
        (whole.read_bytes()[:-5], "cut off"),
    ):
        path.write_bytes(content)
        result = precls("check", path, "--json")
        assert result.exit_code == 1
        assert message in words(result)
        found = document(result)
        assert found["ok"] is False
        assert message in found["error"]
        assert precls("check", path).stdout == ""
    save_file({"w": np.ones(2)}, path)
    assert "of another tool" in words(precls("check", path))


def test_check_of_no_file(tmp_path: Path) -> None:
    for target in (tmp_path / "missing", tmp_path):
        result = precls("check", target)
        assert result.exit_code == 2
        assert result.stdout == ""
    assert precls("check").exit_code == 2
