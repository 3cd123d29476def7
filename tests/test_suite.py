"""The tests themselves: how they are chosen and where they are."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


def test_without_a_gpu_its_tests_are_left_out_in_words() -> None:
    where = ROOT / "tests" / "constructions" / "models" / "test_baseconv.py"
    command = [sys.executable, "-m", "pytest", "-m", "gpu", "-p", "no:xdist", "-p", "no:cacheprovider", str(where)]
    run = subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, check=False, env=os.environ | {"CUDA_VISIBLE_DEVICES": ""}
    )
    assert run.returncode == pytest.ExitCode.NO_TESTS_COLLECTED
    assert "1 tests need a CUDA device, and PyTorch sees none: they did not run" in run.stdout
    assert "error" not in run.stdout.lower()


PACKAGES = ("constructions", "precls_theory")
ELSEWHERE = {
    "constructions/algebra/arrays.py": "constructions/lowering/test_lowering.py",
    "constructions/algebra/kinds.py": "precls_theory/cli/test_main.py",  # that asking imports nothing
    "constructions/algebra/types.py": "test_types.py",
    "constructions/algorithms/centring.py": "constructions/algorithms/test_centred_newton.py",
    "constructions/algorithms/published_block.py": "constructions/models/test_published_notebook.py",
    "constructions/models/operators.py": "constructions/models/test_baseconv.py",
    "constructions/models/own_weights.py": "precls_theory/cli/test_import_model.py",
    "constructions/models/transformer.py": "precls_theory/expressivity/growth/test_certificate.py",
    "constructions/transformers/blocks.py": "constructions/networks/test_networks.py",
    "constructions/transformers/builder.py": "constructions/transformers/test_gated.py",
    "constructions/transformers/evaluate.py": "constructions/networks/test_networks.py",
    "constructions/transformers/exact.py": "constructions/networks/test_networks.py",
    "constructions/transformers/lowering.py": "constructions/networks/test_networks.py",
    "precls_theory/approximation/gallery.py": "constructions/approximation/test_approximate.py",
    "precls_theory/cli/atlas.py": "precls_theory/expressivity/atlas/test_atlas.py",
    "precls_theory/cli/bench.py": "precls_theory/test_benchmarks.py",
    "precls_theory/cli/columns.py": "precls_theory/cli/test_solve.py",
    "precls_theory/cli/counterexample.py": "precls_theory/cli/test_certify.py",
    "precls_theory/cli/evaluate.py": "precls_theory/training/test_training.py",
    "precls_theory/cli/expressions.py": "precls_theory/cli/test_main.py",
    "precls_theory/cli/kernels.py": "precls_theory/kernel/test_kernel.py",
    "precls_theory/cli/models.py": "precls_theory/cli/test_certify.py",
    "precls_theory/cli/output.py": "precls_theory/cli/test_main.py",
    "precls_theory/cli/paths.py": "precls_theory/cli/test_main.py",
    "precls_theory/cli/precision.py": "precls_theory/precision/test_sweep.py",
    "precls_theory/cli/prove_trained.py": "precls_theory/training/test_certify.py",
    "precls_theory/cli/train.py": "precls_theory/training/test_training.py",
    "precls_theory/enclosures/threads.py": "precls_theory/enclosures/test_norms.py",
    "precls_theory/expressivity/targets.py": "precls_theory/expressivity/counterexample/test_counterexample.py",
    "precls_theory/proofs/definitions.py": "precls_theory/theorems/test_theorems.py",
    "precls_theory/proofs/induction.py": "precls_theory/theorems/test_theorems.py",
    "precls_theory/proofs/symbolic.py": "precls_theory/theorems/test_theorems.py",
    "precls_theory/proofs/variants.py": "precls_theory/theorems/test_theorems.py",
    "precls_theory/registry.py": "precls_theory/test_certificate.py",
    "precls_theory/regression/data.py": "precls_theory/cli/test_solve.py",
    "precls_theory/regression/methods.py": "precls_theory/cli/test_solve.py",
    "precls_theory/regression/numbers.py": "precls_theory/cli/test_solve.py",
    "precls_theory/regression/designs.py": "precls_theory/regression/test_slices.py",
    "precls_theory/regression/solving.py": "precls_theory/cli/test_solve.py",
}
"""Modules whose tests are neither at their mirror nor at their package's, and where they are."""


def home_of_tests(module: Path) -> Path | None:
    """Where one looks for the tests of a module: ``test_<module>.py`` at its mirror, else ``test_<package>.py`` of its package
    or one around it, in the folder of that package or beside it; else what :data:`ELSEWHERE` says."""
    places = [module.with_name(f"test_{module.name}")]
    for package in [parent for parent in module.parents if len(parent.parts) > 1]:
        places += [package / f"test_{package.name}.py", package.parent / f"test_{package.name}.py"]
    places += [Path(ELSEWHERE[module.as_posix()])] if module.as_posix() in ELSEWHERE else []
    return next((place for place in places if (ROOT / "tests" / place).is_file()), None)


def modules() -> list[Path]:
    """Every module of the packages, from the root; what only lists names is none."""
    found = [path.relative_to(ROOT) for package in PACKAGES for path in sorted((ROOT / package).rglob("*.py"))]
    return [path for path in found if path.name != "__init__.py"]


def test_every_module_has_its_tests_where_one_looks_for_them() -> None:
    known = modules()
    lost = [module.as_posix() for module in known if home_of_tests(module) is None]
    assert lost == [], "write test_<module>.py at the mirror of each, or say in ELSEWHERE which file tests it"
    assert [module for module in ELSEWHERE if Path(module) not in known] == []
    needless = {module for module, place in ELSEWHERE.items() if home_of_tests(Path(module)) != Path(place)}
    assert needless == set()


def test_every_test_file_names_what_it_is_about() -> None:
    """A module, or a package: one in its folder, or the folder's own."""
    unnamed = []
    for path in [path for package in PACKAGES for path in (ROOT / "tests" / package).rglob("test_*.py")]:
        folder, name = ROOT / path.parent.relative_to(ROOT / "tests"), path.stem.removeprefix("test_")
        about = ((folder / f"{name}.py").is_file(), (folder / name / "__init__.py").is_file(), name == folder.name)
        unnamed += [] if any(about) else [path.relative_to(ROOT).as_posix()]
    assert unnamed == []


def test_a_module_without_tests_is_noticed() -> None:
    assert home_of_tests(Path("constructions/lowering/nothing.py")) == Path("constructions/lowering/test_lowering.py")
    assert home_of_tests(Path("constructions/algebra/nothing.py")) is None
    assert home_of_tests(Path("constructions/nothing.py")) is None
    assert home_of_tests(Path("precls_theory/theorems/precision/x.py")) == Path(
        "precls_theory/theorems/test_theorems.py"
    )


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
