"""What holds for every command: one document, exit codes, words for a closed pipe, a full disk and an interrupt."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any, get_args, get_type_hints

import pytest
import typer
from typer.testing import CliRunner, Result

from precls_theory.certificate import precls_version
from precls_theory.cli import output
from precls_theory.cli.main import Precls, app
from precls_theory.cli.paths import file_name

HERE = Path(__file__).resolve().parents[3]
PRECLS = [sys.executable, "-m", "precls_theory.cli.main"]


def run(*arguments: Any) -> Result:
    return CliRunner().invoke(app, [str(argument) for argument in arguments], env={"COLUMNS": "500", "TERM": "dumb"})


def test_version() -> None:
    result = run("--version")
    assert (result.exit_code, result.stdout) == (0, f"precls {precls_version()}\n")


def test_exit_codes_are_documented() -> None:
    shown = " ".join(run("--help").stdout.split())
    assert "Exit codes: 0 done, 1 not done or refused, 2 a command line that is wrong, 130 interrupted." in shown


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["check", "nowhere.safetensors"], 2, "does not exist"),
        (["check"], 2, "Missing argument"),
        (["check", "README.md", "--seed", "-1"], 2, "--seed"),
        (["check", "README.md"], 1, "is not a"),
        (["solve", "nowhere.csv", "--target", "y"], 1, "cannot read nowhere.csv"),
        (["solve", "nowhere.csv"], 2, "--target"),
        (["compile", "x +"], 2, "cannot read"),
        (["build", "nothing"], 2, "there is no construction"),
        (["atlas", "--svg", "nowhere/atlas.svg"], 1, "there is no folder"),
        (["bench", "--device", "nowhere"], 2, "not available"),
        (["approximate", "1/x", "--domain", "-1", "1"], 1, ""),
        (["nothing"], 2, "No such command"),
    ],
)
def test_one_document_whatever_happens(arguments: list[str], code: int, words: str) -> None:
    result = run(*arguments, "--json")
    assert result.exit_code == code, result.output
    document = json.loads(result.stdout)
    assert words in document["error"]
    assert words in " ".join(result.stderr.replace("│", " ").split())


def test_words_that_look_like_the_option_ask_for_no_document() -> None:
    result = run("compile", "x +", "--", "--json")
    assert result.exit_code == 2
    assert result.stdout == ""


def group(failure: BaseException | None, forgets: bool = False) -> Any:
    """An application with one command that fails in its own way."""
    test = typer.Typer(cls=Precls)

    @test.callback()
    def nothing() -> None: ...

    @test.command()
    def work(json: bool = False) -> None:
        if forgets:
            output.fail("it did not work")
        assert failure is not None
        raise failure

    return test


@pytest.mark.parametrize(
    ("failure", "code", "words"),
    [
        (KeyboardInterrupt(), 130, "interrupted"),
        (MemoryError(), 1, "out of memory"),
        (OSError(28, "No space left on device"), 1, "cannot write to standard output: No space left on device"),
        (PermissionError(13, "Permission denied", "a file"), 1, "cannot write to a file: Permission denied"),
        (OSError("cannot write x: it is a device"), 1, "cannot write x: it is a device"),
    ],
)
def test_failures_end_in_words(failure: BaseException, code: int, words: str) -> None:
    result = CliRunner().invoke(group(failure), ["work"])
    assert result.exit_code == code
    assert result.stderr.strip() == f"error: {words}" or words in result.stderr
    assert "Traceback" not in result.stderr


def test_a_mistake_of_ours_is_a_document_and_a_traceback() -> None:
    result = CliRunner().invoke(group(KeyError("lost")), ["work", "--json"])
    assert json.loads(result.stdout)["error"] == "KeyError: 'lost'"
    assert isinstance(result.exception, KeyError)


def test_a_command_that_forgets_its_document() -> None:
    result = CliRunner().invoke(group(None, forgets=True), ["work", "--json"])
    assert result.exit_code == 1
    assert json.loads(result.stdout)["error"] == "it did not work"


# --- Pipes and disks ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("arguments", [["--help"], ["--version"], ["check", "README.md", "--json"]])
def test_a_full_disk_behind_standard_output(arguments: list[str]) -> None:
    with open("/dev/full", "w") as full:
        done = subprocess.run(
            [*PRECLS, *arguments], cwd=HERE, stdout=full, stderr=subprocess.PIPE, text=True, timeout=120
        )
    assert done.returncode == 1
    assert done.stderr.splitlines() == ["error: cannot write to standard output: No space left on device"]


@pytest.mark.parametrize("arguments", [["--help"], ["--version"], ["check", "README.md", "--json"]])
def test_a_closed_pipe_behind_standard_output(arguments: list[str]) -> None:
    read, write = os.pipe()
    os.close(read)
    try:
        done = subprocess.run(
            [*PRECLS, *arguments], cwd=HERE, stdout=write, stderr=subprocess.PIPE, text=True, timeout=120
        )
    finally:
        os.close(write)
    assert done.returncode == 1
    assert done.stderr.splitlines() == ["error: cannot write to standard output: who read it has closed the pipe"]


@pytest.mark.parametrize("arguments", [["--help"], ["check", "README.md", "--json"]])
def test_a_closed_standard_output(arguments: list[str]) -> None:
    """``>&-``: Python has no standard output then, and what is printed was lost with exit code 0."""
    done = subprocess.run(
        ["sh", "-c", '"$@" >&-', "sh", *PRECLS, *arguments], cwd=HERE, stderr=subprocess.PIPE, text=True, timeout=120
    )
    assert done.returncode == 1
    assert done.stderr.startswith("error: standard output is closed")
    assert len(done.stderr.splitlines()) == 1


def test_an_interrupt_ends_in_a_word() -> None:
    process = subprocess.Popen(
        [*PRECLS, "solve", "-", "--target", "y", "--json"],
        cwd=HERE, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        # Tests that run in the background of a shell inherit that interrupts are ignored.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )  # fmt: skip
    assert process.stderr is not None
    assert process.stdin is not None
    assert "reading" in process.stderr.readline()  # on a pipe after two seconds
    process.stdin.write("x,y\n" + "1,2\n" * 100_000)  # more than a pipe holds: written when the command reads
    process.stdin.flush()
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert json.loads(out)["error"] == "interrupted"
    assert err.strip() == "error: interrupted"


@pytest.mark.parametrize("command", ["build", "compile", "solve", "atlas", "approximate"])
@pytest.mark.parametrize("target", ["device", "fifo", "folder", "read-only"])
def test_what_is_no_file_of_the_user_is_not_replaced(command: str, target: str, tmp_path: Path) -> None:
    """Refused before the work: in words, and what was there is there."""
    path = tmp_path / "target.svg"
    if target == "device":
        path = Path("/dev/null")
    elif target == "fifo":
        os.mkfifo(path)
    elif target == "folder":
        path.mkdir()
    else:
        path.write_text("old")
        path.chmod(0o444)
    before = path.stat()
    arguments = {
        "build": ["gd", "--n-steps", "1000000", "--step-size", "1", "--form", "gram", "-o", path],
        "compile": ["x*y", "-o", path],
        "solve": ["notebooks/data/longley.csv", "--target", "employed", "--coefficients", path],
        "atlas": ["--svg", path],
        "approximate": ["exp(x)", "--domain", "0", "1", "-o", path],
    }[command]
    result = run(command, *arguments)
    assert result.exit_code == 1
    assert f"cannot write {path}: " in result.stderr
    after = path.stat()
    assert (after.st_ino, after.st_mode, after.st_size) == (before.st_ino, before.st_mode, before.st_size)


OUTPUTS: dict[str, list[str]] = {
    "compile --plot": ["compile", "x*y", "--plot"],
    "approximate --plot": ["approximate", "exp(x)", "--domain", "0", "1", "--plot"],
    "atlas --html": ["atlas", "--html"],
    "solve -o": ["solve", "notebooks/data/longley.csv", "--target", "employed", "-o"],
    "certify --remake": ["certify", "--coverage", "--remake"],
    "landscape --plot": ["landscape", "square", "--plot"],
    "bench --plot": ["bench", "--quick", "--plot"],
}


@pytest.mark.parametrize("arguments", OUTPUTS.values(), ids=list(OUTPUTS))
def test_every_option_that_names_a_file_refuses_a_fifo(arguments: list[str], tmp_path: Path) -> None:
    """Before the work: none of these waits for a reader, or puts a file in the place of the FIFO."""
    path = tmp_path / "target.svg"
    os.mkfifo(path)
    result = run(*arguments, path)
    assert result.exit_code == 1
    assert f"cannot write {path}: it is a FIFO" in result.stderr
    assert path.is_fifo()


@pytest.mark.parametrize("arguments", OUTPUTS.values(), ids=list(OUTPUTS))
def test_every_option_that_names_a_file_refuses_a_slash_at_its_end(arguments: list[str], tmp_path: Path) -> None:
    """``--plot x.png/`` wrote x.png."""
    result = run(*arguments, f"{tmp_path}/target.svg/")
    assert result.exit_code == 2
    assert "is the name of a folder" in result.stderr
    assert list(tmp_path.iterdir()) == []


FOLDERS_AND_INPUTS = {
    "approximate --load", "bench --peer", "import --claims", "precision --out-dir", "precision --network",
    "train --folder", "train --init", "verify --certificates",
}  # fmt: skip
"""By the names of the parameters; both ``--out`` are folders."""


def test_no_option_that_names_a_file_forgets_the_slash() -> None:
    """Every option that takes a path reads it by :func:`precls_theory.cli.paths.file_name`, or names no file to write."""
    forgetful = {
        f"{command.name or command.callback.__name__} --{name.replace('_', '-')}"
        for command in app.registered_commands
        if command.callback is not None
        for name, hint in get_type_hints(command.callback, include_extras=True).items()
        for info in getattr(hint, "__metadata__", ())
        if isinstance(info, typer.models.OptionInfo) and Path in (get_args(hint)[0], *get_args(get_args(hint)[0]))
        if info.parser is not file_name
    }
    assert forgetful == FOLDERS_AND_INPUTS


def test_a_certificate_refuses_a_fifo(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "primitive-read.json")
    result = run("verify", "primitive-read", "--certificates", tmp_path)
    assert result.exit_code == 1
    assert "it is a FIFO" in result.stderr
    assert (tmp_path / "primitive-read.json").is_fifo()


@pytest.mark.parametrize("command", ["compile", "approximate"])
def test_an_expression_that_begins_with_a_minus(command: str) -> None:
    result = run(command, "-3*x + 1", "--domain" if command == "approximate" else "--variables", "0,1")
    assert result.exit_code == 2
    assert f'precls {command} … -- "-3*x + 1"' in " ".join(result.stderr.replace("│", " ").split()) or (
        f'{command} … -- "-3*x + 1"' in " ".join(result.stderr.replace("│", " ").split())
    )


def test_an_option_that_is_mistaken_is_no_expression() -> None:
    assert "expression" not in run("compile", "x", "--plott", "x.png").stderr


# --- The start: what a command does not need, it does not import; PyTorch and SymPy alone take seconds --------------

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
