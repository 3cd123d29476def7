"""Files are written all at once or not at all, and nothing that is no file of the user's is replaced."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from constructions.files.output import check_output, write_output

HERE = Path(__file__).resolve().parents[3]


def in_a_process(program: str, *arguments: str, **options: Any) -> subprocess.CompletedProcess[str]:
    """A Python of its own, for what would change this one: limits, standard streams, its user."""
    return subprocess.run(
        [sys.executable, "-c", program, *arguments], cwd=HERE, capture_output=True, text=True, timeout=60, **options
    )


def refused(path: Path | str, words: str, kind: type[OSError] = OSError, **options: Any) -> None:
    """Both functions refuse, in the same words, naming the path."""
    for call in (check_output, lambda path, **options: write_output(path, b"new", **options)):
        with pytest.raises(kind, match=words) as caught:
            call(path, **options)
        assert str(path) in str(caught.value)


def test_bytes_and_text_are_written(tmp_path: Path) -> None:
    write_output(tmp_path / "a", b"\x00\xff")
    write_output(str(tmp_path / "b"), "κ\n")
    assert (tmp_path / "a").read_bytes() == b"\x00\xff"
    assert (tmp_path / "b").read_bytes() == "κ\n".encode()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a", "b"]


def test_check_changes_nothing(tmp_path: Path) -> None:
    check_output(tmp_path / "new")
    assert not list(tmp_path.iterdir())


def test_a_relative_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    write_output("a", b"new")
    assert (tmp_path / "a").read_bytes() == b"new"


def test_symbolic_links_are_followed(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    real = tmp_path / "folder" / "real"
    real.write_bytes(b"old")
    first, second, dangling = tmp_path / "first", tmp_path / "second", tmp_path / "dangling"
    first.symlink_to("second")
    second.symlink_to(real)
    dangling.symlink_to("folder/made")
    write_output(first, b"new")
    write_output(dangling, b"new")
    assert real.read_bytes() == (tmp_path / "folder" / "made").read_bytes() == b"new"
    assert first.is_symlink() and second.is_symlink() and dangling.is_symlink()  # noqa: PT018


def test_a_circle_of_symbolic_links(tmp_path: Path) -> None:
    (tmp_path / "a").symlink_to("b")
    (tmp_path / "b").symlink_to("a")
    refused(tmp_path / "a", "[Ss]ymbolic links")


def test_a_link_into_a_folder_that_is_not_there(tmp_path: Path) -> None:
    (tmp_path / "a").symlink_to("nowhere/file")
    refused(tmp_path / "a", "there is no folder .*nowhere", FileNotFoundError)


@pytest.mark.parametrize("device", ["/dev/null", "/dev/full", "/dev/zero"])
def test_devices(device: str) -> None:
    before = os.stat(device)
    refused(device, "it is a device")
    assert os.path.samestat(os.stat(device), before)


def test_a_fifo(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    refused(tmp_path / "pipe", "it is a FIFO")
    assert (tmp_path / "pipe").is_fifo()


def test_folders(tmp_path: Path) -> None:
    refused(tmp_path, "it is a folder", IsADirectoryError)
    refused(tmp_path / "missing" / "x", "there is no folder .*missing", FileNotFoundError)
    refused(f"{tmp_path}/new/", "ends like that of a folder", IsADirectoryError)
    (tmp_path / "file").touch()
    refused(tmp_path / "file" / "x", "there is no folder|Not a directory")


def test_a_null_character() -> None:
    with pytest.raises(OSError, match="null"):
        write_output("a\0b", b"new")


def test_an_input_under_any_of_its_names(tmp_path: Path) -> None:
    data = tmp_path / "data"
    data.write_bytes(b"old")
    (tmp_path / "soft").symlink_to(data)
    (tmp_path / "hard").hardlink_to(data)
    for name in ("data", "soft", "hard", "../" + tmp_path.name + "/data"):
        refused(tmp_path / name, "the same file as", inputs=[data])
    refused(tmp_path / "new", "the same file as", inputs=[tmp_path / "new"])
    write_output(tmp_path / "other", b"new", inputs=[data, tmp_path / "missing"])
    assert data.read_bytes() == b"old"


def test_a_standard_stream(tmp_path: Path) -> None:
    """`precls … -o /dev/stdout > file` would write its text into a file without a name."""
    program = "import sys; from constructions.files.output import write_output; write_output(sys.argv[1], b'new')"
    path = tmp_path / "out"
    for name in (str(path), "/dev/stdout"):
        with path.open("w") as file:
            done = subprocess.run(
                [sys.executable, "-c", program, name], cwd=HERE, stdout=file, stderr=subprocess.PIPE, text=True
            )
        assert done.returncode == 1
        assert "standard output of this command is that file" in done.stderr


@pytest.mark.parametrize("mode", [0o600, 0o640, 0o664, 0o755, 0o200])
def test_the_mode_is_kept(mode: int, tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"old")
    path.chmod(mode)
    write_output(path, b"new")
    assert path.stat().st_mode & 0o7777 == mode


def test_a_new_file_has_the_mode_that_the_umask_allows(tmp_path: Path) -> None:
    program = (
        "import os, sys; from constructions.files.output import write_output; "
        "os.umask(0o027); write_output(sys.argv[1], b'new')"
    )
    assert in_a_process(program, str(tmp_path / "file")).returncode == 0
    assert (tmp_path / "file").stat().st_mode & 0o7777 == 0o640


def test_a_read_only_file(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"old")
    path.chmod(0o444)
    refused(path, "it is read-only", PermissionError)
    assert path.read_bytes() == b"old"


def test_a_folder_that_may_not_be_written_to(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("constructions.files.output.os.access", lambda path, mode: path != tmp_path)
    refused(tmp_path / "file", "the folder .* may not be written to", PermissionError)


def test_names_as_long_as_the_file_system_allows(tmp_path: Path) -> None:
    for length in (252, 255):
        write_output(tmp_path / ("n" * length), b"new")
        write_output(tmp_path / ("n" * length), b"again")
        assert (tmp_path / ("n" * length)).read_bytes() == b"again"
    refused(tmp_path / ("n" * 256), "name too long")


def test_odd_names(tmp_path: Path) -> None:
    for name in ("κ 名前", "-o", "a\nb", os.fsdecode(b"\xff\xfe"), " "):
        write_output(tmp_path / name, b"new")
        assert (tmp_path / name).read_bytes() == b"new"


FULL = """
import resource, sys
from constructions.files.output import write_output
resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
try:
    write_output(sys.argv[1], b"n" * 5000)
except OSError as error:
    print(error)
"""


@pytest.mark.parametrize("before", [b"old", None])
def test_no_room_for_the_whole_file(before: bytes | None, tmp_path: Path) -> None:
    """The system stops the writing part of the way through."""
    path = tmp_path / "file"
    if before is not None:
        path.write_bytes(before)
    done = in_a_process(FULL, str(path))
    assert done.stdout == f"cannot write {path}: File too large\n", done.stderr
    assert (path.read_bytes() if path.exists() else None) == before
    assert [found.name for found in tmp_path.iterdir()] == (["file"] if before else [])


def _full_disk(*_: Any) -> None:
    raise OSError(28, "No space left on device")


def _interrupted(*_: Any) -> None:
    raise KeyboardInterrupt


@pytest.mark.parametrize("step", ["fsync", "replace"])
@pytest.mark.parametrize(("failure", "raised"), [(_full_disk, OSError), (_interrupted, KeyboardInterrupt)])
def test_a_failure_at_any_step_leaves_the_old_file(
    step: str,
    failure: Callable[..., None],
    raised: type[BaseException],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"old")
    monkeypatch.setattr(f"constructions.files.output.os.{step}", failure)
    with pytest.raises(raised):
        write_output(path, b"new")
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_reader_never_sees_a_part(tmp_path: Path) -> None:
    """While one process writes two contents in turn, every look at the file finds the whole of one."""
    path = tmp_path / "file"
    write_output(path, b"a" * 100_000)
    program = (
        "import sys\nfrom constructions.files.output import write_output\n"
        "while True:\n    for letter in (b'a', b'b'):\n        write_output(sys.argv[1], letter * 100_000)"
    )
    writer = subprocess.Popen([sys.executable, "-c", program, str(path)], cwd=HERE)
    seen = set()
    deadline = time.monotonic() + 60
    while len(seen) < 2 and time.monotonic() < deadline:
        seen.add(path.read_bytes())
    writer.send_signal(signal.SIGTERM)
    writer.wait(10)
    assert seen == {b"a" * 100_000, b"b" * 100_000}


WRITES = re.compile(
    r"""open\([^)]*["'][wax]b?\+?["']|\.write_text\(|\.write_bytes\(|\.to_(?:csv|parquet)\((?!index=False\))|fdopen\("""
    r"""|\.savefig\((?!drawn|picture)|save_file\(|np\.savez?\("""
)
"""Calls that write to a path; pictures are drawn into memory first."""
OWN_FOLDER = "precls_theory/kernel/"
"""Writes what Coq compiles into folders of its own, which no user names."""


def test_nothing_else_writes_files() -> None:
    sources = [path for package in ("constructions", "precls_theory") for path in (HERE / package).rglob("*.py")]
    named = {path.relative_to(HERE).as_posix(): path.read_text(encoding="utf-8") for path in sources}
    found = {name for name, text in named.items() if WRITES.search(text)}
    assert {name for name in found if not name.startswith(OWN_FOLDER)} == {"constructions/files/output.py"}
    assert "precls_theory/kernel/certificates.py" in found
