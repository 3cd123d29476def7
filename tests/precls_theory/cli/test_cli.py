"""What a command does not need, it does not import: PyTorch and SymPy alone take seconds."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).resolve().parents[3]
PROGRAM = """
import sys
from precls_theory.cli.main import app
try:
    app(sys.argv[1:])
except SystemExit as end:
    code = end.code
heavy = {"torch", "sympy", "pandas", "matplotlib", "scipy"} & set(sys.modules)
print(f"code {code}, imported: {' '.join(sorted(heavy)) or 'nothing heavy'}", file=sys.stderr)
"""


def told(program: str, *arguments: str) -> str:
    """Standard error of ``program`` in a Python of its own."""
    done = subprocess.run(
        [sys.executable, "-c", program, *arguments], cwd=HERE, capture_output=True, text=True, timeout=120
    )
    return done.stderr


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["--help"], 0),
        (["--version"], 0),
        (["solve", "--help"], 0),
        (["check", "nofile"], 2),
        (["check", "README.md"], 1),
        (["check", "README.md", "--json"], 1),
        (["verify", "--n-points", "0"], 2),
        (["build", "--help"], 0),
        (["build", "--list"], 0),
        (["build", "gd", "--n-steps", "4", "--step-size", "1/10"], 0),
    ],
)
def test_no_heavy_import(arguments: list[str], code: int) -> None:
    assert f"code {code}, imported: nothing heavy" in told(PROGRAM, *arguments)


def test_building_and_saving_needs_no_pytorch(tmp_path: Path) -> None:
    program = (
        "import sys, constructions as C; "
        "C.gradient_descent(n_points=3, n_dims=2, n_steps=4, step_size='1/10').save(sys.argv[1]); "
        "print(*{'torch', 'sympy'} & set(sys.modules), file=sys.stderr)"
    )
    file = tmp_path / "gd.safetensors"
    assert told(program, str(file)).strip() == ""
    assert file.is_file()


def test_importing_the_packages_imports_nothing_heavy() -> None:
    program = "import constructions, precls_theory, sys; print(*{'torch', 'sympy', 'numpy'} & set(sys.modules), file=sys.stderr)"
    assert told(program).strip() == ""
