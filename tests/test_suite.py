"""The tests themselves: how they are chosen and where they are."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


def test_without_a_gpu_its_tests_are_left_out_in_words() -> None:
    where = ROOT / "tests" / "constructions" / "models"
    command = [sys.executable, "-m", "pytest", "-m", "gpu", "-p", "no:xdist", "-p", "no:cacheprovider", str(where)]
    run = subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, check=False, env=os.environ | {"CUDA_VISIBLE_DEVICES": ""}
    )
    assert run.returncode == pytest.ExitCode.NO_TESTS_COLLECTED
    assert "1 tests need a CUDA device, and PyTorch sees none: they did not run" in run.stdout
    assert "error" not in run.stdout.lower()


@pytest.mark.parametrize("package", ["constructions", "precls_theory"])
def test_folders_of_tests_are_folders_of_modules(package: str) -> None:
    folders = {path.parent.relative_to(ROOT / "tests") for path in (ROOT / "tests" / package).rglob("test_*.py")}
    assert folders
    assert [str(folder) for folder in folders if not (ROOT / folder / "__init__.py").exists()] == []
