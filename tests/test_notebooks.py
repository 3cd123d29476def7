"""Every notebook runs from a clean kernel, in a copy of its folder, and is committed as it ran."""

import json
import os
import shutil
import sys
import tempfile
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
        client = NotebookClient(notebook, timeout=300, km=manager, resources={"metadata": {"path": str(path.parent)}})
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
        # The same kinds of output, so a figure or a table that disappears is noticed; numbers may differ by machine.
        assert kinds(before) == kinds(after), f"cell {before.execution_count} of {path.name} no longer gives its output"


def kinds(cell: nbformat.NotebookNode) -> set[str]:
    """Kinds of output; not standard error, where libraries speak of themselves when they run for the first time."""
    found = {mime for output in cell.outputs for mime in output.get("data", {output.get("name", "error"): None})}
    return found - {"stderr"}


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
