"""The table of modules: complete for ``torch.nn``, and as certificates answer now."""

import inspect

import pytest
from helpers.mutations import DEEP
from torch import nn

from precls_theory.expressivity import coverage
from precls_theory.expressivity.coverage import Row, read_table, stock_cases, write_table

ROWS, VERSIONS = read_table()
STOCK = {case.name: case for case in stock_cases()}
QUICK = ("Conv2d", "ConvTranspose1d", "MaxPool2d", "AvgPool1d", "PReLU", "LogSoftmax", "InstanceNorm1d", "Bilinear")


def test_every_module_of_torch_is_a_case_or_left_out_for_a_reason():
    classes = {name for name, kind in vars(nn).items() if inspect.isclass(kind) and issubclass(kind, nn.Module)}
    left_out = [name for names in coverage.LEFT_OUT.values() for name in names.split()]
    assert len(left_out) == len(set(left_out))
    assert {*STOCK, *left_out} == classes
    assert not set(STOCK) & set(left_out)


def test_the_table_has_a_row_for_each_case():
    assert [row.name for row in ROWS if row.library == "torch.nn"] == list(STOCK)
    assert [row.name for row in ROWS if row.library == "transformers"] == [c.name for c in coverage.published_cases()]
    assert set(VERSIONS) == {"torch", "transformers"}
    for row in ROWS:
        assert (row.exponent is None) == bool(row.reason)
        assert row.outcome.startswith("refused" if row.reason else "certified")


@pytest.mark.parametrize("name", list(STOCK) if DEEP else QUICK)
def test_rows_are_what_certificates_answer_now(name):
    (row,) = (row for row in ROWS if row.name == name and row.library == "torch.nn")
    assert STOCK[name].row() == row


def test_what_a_user_would_expect_is_certified():
    found = {row.name: row for row in ROWS}
    names = (
        "GRU LSTM Transformer TransformerDecoder Conv1d Conv2d Conv3d ConvTranspose1d ConvTranspose2d ConvTranspose3d MaxPool2d "
        "AvgPool2d AdaptiveAvgPool2d PReLU Softmax LogSoftmax Softmin InstanceNorm1d InstanceNorm2d InstanceNorm3d "
        "GPT2Model LlamaModel BertModel BloomModel ViTModel CLIPVisionModel MambaModel"
    )
    assert [name for name in names.split() if found[name].exponent not in (0, 1)] == []


def test_tables_are_written_and_read(tmp_path):
    rows = [Row("torch.nn", "A", (1, 2), None, "", "no “rule”"), Row("torch.nn", "B", (1, 2), 3, "analytic", "")]
    write_table(rows, {"torch": "2"}, tmp_path / "table.json")
    assert read_table(tmp_path / "table.json") == (rows, {"torch": "2"})
    assert [row.outcome for row in rows] == ["refused", "certified: degree 3"]
    one = STOCK["ReLU"]
    assert [row.name for row in coverage.remake([one], tmp_path / "new.json")] == ["ReLU"]
    again, versions = read_table(tmp_path / "new.json")
    assert [row for row in again if row.library == "transformers"] == [r for r in ROWS if r.library == "transformers"]
    assert versions["transformers"] == VERSIONS["transformers"]
