"""How far the engines reach: the committed table is of the sizes named, and its promises hold."""

import csv
from pathlib import Path

import pytest

from precls_theory.landscape import reach
from precls_theory.landscape.reach import SIZES, Reached, finished, main, reached, read, weights_of

DATA = Path(__file__).parents[3] / "notebooks" / "data" / "landscape_reach.csv"


def rows():
    with DATA.open(encoding="utf-8") as file:
        return list(csv.DictReader(file))


def size_of(row):
    return (row["target"], row["form"], int(row["channels"]), int(row["rows"]), int(row["units"]))


def test_the_table_is_of_the_sizes_named():
    assert {size_of(row) for row in rows()} == set(SIZES)
    assert all(int(row["weights"]) == weights_of(size_of(row)) for row in rows() if int(row["weights"]) <= 8)


def test_each_target_is_complete_with_two_channels_or_two_rows_in_both_forms():
    complete = {size_of(row) for row in rows() if row["complete"] == "True"}
    for target in ("square", "linear", "multiply", "read"):
        for form in ("operator", "layer"):
            assert any(size[:2] == (target, form) and max(size[2], size[3]) > 1 for size in complete), (target, form)


def test_each_target_is_complete_as_a_layer_with_two_channels_and_two_rows():
    complete = {size_of(row) for row in rows() if row["complete"] == "True"}
    for target in ("square", "linear", "multiply", "read"):
        assert (target, "layer", 2, 2, 1) in complete


def test_a_run_that_was_stopped_goes_on_where_it_was(tmp_path, monkeypatch):
    asked = []

    def lines_of(size, seconds=0):
        asked.append(size)
        yield Reached(*size, "flint", 4, size[2] == 1, 1.0, "" if size[2] == 1 else "too large")
        if size[2] > 1:
            yield Reached(*size, "singular", 4, False, None, "15 s")

    monkeypatch.setattr(reach, "SIZES", SIZES[:3])
    monkeypatch.setattr(reach, "lines_of", lines_of)
    path = tmp_path / "reach.csv"
    main([str(path), "square,operator,2,1,1"])
    main([str(path)])
    main([str(path)])
    assert asked == [SIZES[1], SIZES[0], SIZES[2]]  # each once
    assert list(read(path)) == list(SIZES[:3])  # in the order of the sizes
    assert all(map(finished, read(path).values()))
    assert not finished(read(path)[SIZES[1]][:1])  # FLINT's answer alone, not complete
    with pytest.raises(SystemExit, match="usage"):
        main([str(path), "cube,operator,1,1,1"])


def test_what_is_not_complete_says_why():
    assert all((row["complete"] == "True") is (row["stopped_by"] == "") for row in rows())


def test_a_size_that_takes_too_long_is_stopped():
    found = reached(("read", "operator", 1, 3, 1), "flint", seconds=1)
    assert not found.complete
    assert found.seconds is None
    assert found.stopped_by == "1 s"
