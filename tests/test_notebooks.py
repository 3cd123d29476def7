"""Every notebook runs from a clean kernel, in a copy of its folder, and is committed as it ran: what it prints is what a
fresh run prints, but for timings and rounding errors."""

import itertools
import json
import os
import re
import shutil
import sys
import tempfile
from decimal import Decimal
from pathlib import Path

import nbformat
import pytest
from jupyter_client.kernelspec import KernelSpecManager
from jupyter_client.manager import AsyncKernelManager
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError

FOLDER = Path(__file__).parents[1] / "notebooks"
NOTEBOOKS = sorted(FOLDER.glob("*.ipynb"))
LARGEST = 400_000
"""Bytes of a committed notebook: figures are small."""

PICTURES = {"image/png", "image/svg+xml"}
NOISE = re.compile(r"\(?\b\d+(\.\d+)? ?(µs|ms|s|min|seconds)\b\)?|0x[0-9a-f]+")
FLOAT = re.compile(r"[-+−]?\d+(?:\.\d+(?:[eE][-+]?\d+)?|[eE][-+]?\d+)")

each_notebook = pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)


def run(path: Path) -> nbformat.NotebookNode:
    """Run the notebook in its own folder, on a new kernel of the interpreter that runs the tests.

    Only the kernel that comes with ipykernel is known to the manager, whatever is registered on the machine.
    """
    notebook = nbformat.read(path, as_version=4)
    with tempfile.TemporaryDirectory() as folder:
        # Sockets in a folder of its own: TCP ports would be guessed, and tests in parallel could guess the same.
        manager = AsyncKernelManager(
            kernel_name="python3", kernel_spec_manager=KernelSpecManager(kernel_dirs=[]),
            transport="ipc", connection_file=f"{folder}/kernel.json",
        )  # fmt: skip
        client = NotebookClient(notebook, timeout=900, km=manager, resources={"metadata": {"path": str(path.parent)}})
        # Notebooks run next to each other: one thread each.
        client.execute(env=os.environ | {"OMP_NUM_THREADS": "1"}, cleanup_kc=True)
    return notebook


def code_cells(notebook: nbformat.NotebookNode) -> list[nbformat.NotebookNode]:
    return [cell for cell in notebook.cells if cell.cell_type == "code" and cell.source.strip()]


def write(path: Path, *sources: str) -> Path:
    nbformat.write(nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(source) for source in sources]), path)
    return path


def test_there_are_notebooks():
    assert {path.stem[:2] for path in NOTEBOOKS} >= {"01", "02", "03", "04"}


@each_notebook
def test_notebook_runs_from_a_clean_kernel(path, tmp_path):
    copy = tmp_path / "notebooks"
    shutil.copytree(FOLDER, copy, ignore=shutil.ignore_patterns(".*"))
    committed, fresh = nbformat.read(path, as_version=4), run(copy / path.name)
    for before, after in zip(code_cells(committed), code_cells(fresh), strict=True):
        where = f"cell {before.execution_count} of {path.name}"
        assert kinds(before) == kinds(after), f"{where} no longer gives its output"
        assert difference(text_of(before), text_of(after)) is None, (
            f"{where}: {difference(text_of(before), text_of(after))}"
        )


def kinds(cell: nbformat.NotebookNode) -> set[str]:
    """Kinds of output; not standard error, where libraries speak of themselves when they run for the first time."""
    found = {mime for output in cell.outputs for mime in output.get("data", {output.get("name", "error"): None})}
    return found - {"stderr"}


def text_of(cell: nbformat.NotebookNode) -> str:
    """What a cell prints or shows as text: standard output, tables without their markup, expressions."""
    parts = []
    for output in cell.outputs:
        data = output.get("data", {})
        if output.get("name") == "stdout":
            parts.append(output.text)
        elif "text/html" in data:
            plain = re.sub(r"<style.*?</style>", "", data["text/html"], flags=re.S)
            parts.append(re.sub(r"\s*<[^>]*>\s*", " ", plain))
        elif not PICTURES & data.keys():
            parts.append(data.get("text/plain", "") + "\n")
    return "".join(parts)


def difference(before: str, after: str) -> str | None:
    """The first line in which two texts differ, or ``None``.

    Words and whole numbers are compared as they are, numbers with a point or an exponent as :func:`close` says; times
    (``1.3 s``), white space and addresses of objects do not count.
    """
    ours, theirs = (NOISE.sub("", text).split() for text in (before, after))
    for index, (one, other) in enumerate(itertools.zip_longest(ours, theirs, fillvalue="")):
        numbers = FLOAT.findall(one), FLOAT.findall(other)
        same = FLOAT.sub("#", one) == FLOAT.sub("#", other) and len(numbers[0]) == len(numbers[1])
        if not same or not all(close(a, b) for a, b in zip(*numbers, strict=True)):
            context = " ".join(ours[max(0, index - 8) : index])
            return f"after {context!r} the committed notebook says {one!r}, a fresh run {other!r}"
    return None


def close(one: str, other: str) -> bool:
    """Within a fifth or two units of the last place; rounding errors, numbers below 1e-6, within a factor of 30."""
    a, b = (Decimal(text.replace("−", "-")) for text in (one, other))
    largest, least = max(abs(a), abs(b)), min(abs(a), abs(b))
    if largest < Decimal("1e-6") and largest <= 30 * least:
        return True
    place = max(int(number.as_tuple().exponent) for number in (a, b))
    return abs(a - b) <= max(largest / 5, 2 * Decimal(10) ** place)


def faults(path: Path) -> list[str]:
    """What is wrong with a notebook as it is committed."""
    notebook = nbformat.read(path, as_version=4)
    nbformat.validate(notebook)
    cells = code_cells(notebook)
    outputs = [output for cell in cells for output in cell.outputs]
    text = json.dumps([output for output in outputs if "image/png" not in output.get("data", {})])
    private = [folder for folder in ("/home/", "/tmp/", "/root/", "/work/", "site-packages") if folder in text]
    wrong = {
        "not run from top to bottom": [c.execution_count for c in cells] != list(range(1, len(cells) + 1)),
        "no outputs": not outputs,
        "an error": any(output.output_type == "error" for output in outputs),
        "standard error": any(output.get("name") == "stderr" for output in outputs),
        "no picture": not any("image/png" in output.get("data", {}) for output in outputs),
        f"larger than {LARGEST} bytes": path.stat().st_size >= LARGEST,
        f"folders of the machine: {', '.join(private)}": bool(private),
    }
    return [fault for fault, found in wrong.items() if found]


@each_notebook
def test_notebook_is_committed_as_it_ran(path):
    assert faults(path) == []


@pytest.mark.parametrize(
    ("before", "after", "same"),
    [
        ("depth 6, width 8", "depth 6, width 8", True),
        ("depth 6, width 8", "depth 6, width 9", False),
        ("proved, 66 of 66 (2.3 s)", "proved, 66 of 66 (11.9 s)", True),
        ("proved", "refused", False),
        ("proved", "proved, and more", False),
        ("x = 1/3", "x = 1/4", False),
        ("error 6.1e-16", "error 5.0e-15", True),
        ("error 6.1e-16", "error 6.1e-13", False),
        ("error 0.0", "error 2.2e-16", True),
        ("12.4 digits", "12.6 digits", True),
        ("12.4 digits", "7.1 digits", False),
        ("bound 0.058", "bound 0.100", False),
        ("<Styler at 0x7fe2>", "<Styler at 0x81aa>", True),
        ("a  b\n", "a b", True),
    ],
)
def test_texts_are_compared_but_for_timings_and_rounding(before, after, same):
    assert (difference(before, after) is None) is same


def test_what_is_compared_is_what_is_read():
    table = {"output_type": "display_data", "data": {"text/html": "<style>.a1 {}</style><td>1</td><td>two</td>"}}
    cell = committed("a", 1, TEXT | {"text": "printed\n"}, PICTURE, table, TEXT | {"name": "stderr", "text": "noise"})
    assert text_of(cell).split() == ["printed", "1", "two"]


def committed(source: str, count: int, *outputs: dict) -> nbformat.NotebookNode:
    made = [nbformat.v4.new_output(**output) for output in outputs]
    return nbformat.v4.new_code_cell(source, execution_count=count, outputs=made)


PICTURE = {"output_type": "display_data", "data": {"image/png": "aGVsbG8="}}
TEXT = {"output_type": "stream", "name": "stdout", "text": "1"}
BAD = [
    ("not run from top to bottom", [committed("a", 2, PICTURE)]),
    ("no outputs", [committed("a", 1)]),
    ("an error", [committed("a", 1, PICTURE, {"output_type": "error", "ename": "E", "evalue": "", "traceback": []})]),
    ("standard error", [committed("a", 1, PICTURE, TEXT | {"name": "stderr"})]),
    ("no picture", [committed("a", 1, TEXT)]),
    ("larger than", [committed("a", 1, PICTURE, TEXT | {"text": "x" * LARGEST})]),
    ("folders of the machine", [committed("a", 1, PICTURE, TEXT | {"text": "saved to /home/me/net"})]),
]


@pytest.mark.parametrize(("fault", "cells"), BAD, ids=[fault for fault, _ in BAD])
def test_every_fault_of_a_committed_notebook_is_noticed(fault, cells, tmp_path):
    path = tmp_path / "bad.ipynb"
    nbformat.write(nbformat.v4.new_notebook(cells=cells), path)
    assert any(found.startswith(fault) for found in faults(path))
    nbformat.write(nbformat.v4.new_notebook(cells=[committed("a", 1, PICTURE, TEXT)]), path)
    assert faults(path) == []


def test_the_kernel_is_the_running_interpreter_whatever_is_registered(tmp_path, monkeypatch):
    decoy = tmp_path / "share" / "kernels" / "python3"
    decoy.mkdir(parents=True)
    spec = {"argv": ["no-such-interpreter", "{connection_file}"], "display_name": "decoy", "language": "python"}
    (decoy / "kernel.json").write_text(json.dumps(spec))
    monkeypatch.setenv("JUPYTER_PATH", str(tmp_path / "share"))
    assert "no-such-interpreter" in KernelSpecManager().get_kernel_spec("python3").argv  # the decoy is what others get
    notebook = run(write(tmp_path / "which.ipynb", "import sys", "print(sys.executable)"))
    assert notebook.cells[1].outputs[0].text.strip() == sys.executable


@pytest.mark.parametrize(
    ("source", "error"), [("1 / 0", "ZeroDivisionError"), ("defined_in_an_earlier_session", "NameError")]
)
def test_a_notebook_that_fails_is_noticed(source, error, tmp_path):
    with pytest.raises(CellExecutionError, match=error):
        run(write(tmp_path / "broken.ipynb", "a = 1", source))
