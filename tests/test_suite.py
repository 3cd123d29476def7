"""The tests themselves: how they are chosen and where they are."""

import os
import re
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


def test_no_test_imports_another() -> None:
    """Helpers are in ``tests/helpers``: a test file that another one imports runs twice, or not at all."""
    found = {
        path.relative_to(ROOT).as_posix()
        for path in (ROOT / "tests").rglob("*.py")
        for line in path.read_text(encoding="utf-8").splitlines()
        if re.match(r"(from|import) (tests(?!\.helpers)|test_)", line)
    }
    assert found == set()


def test_no_test_is_timed() -> None:
    """A duration may end a wait; that it is short is no claim that a busy machine keeps."""
    clock = re.compile(r"\bassert\b.*\b(perf_counter|process_time|elapsed|seconds? <|time\(\))")
    found = {
        f"{path.relative_to(ROOT).as_posix()}: {line.strip()}"
        for path in (ROOT / "tests").rglob("test_*.py")
        for line in path.read_text(encoding="utf-8").splitlines()
        if clock.search(line) and path != Path(__file__)
    }
    assert found == set()
