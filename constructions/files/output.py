"""The one place where a file is written: all at once, or not at all.

What is written goes to a new file beside the target, is flushed to the disk, and only then takes the target's name, in
one step of the file system. So a full disk, a signal or a power cut leaves the old file or the new one, never a part of
either. A symbolic link is followed: what it points to is replaced, and the link stays.

A rename would also replace what is no file at all (a device, a FIFO), what this very run reads, and what its owner has
locked; :func:`check_output` refuses these, and a command calls it before the work that would be lost.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import stat
from collections.abc import Iterable
from pathlib import Path

_KINDS = (
    (stat.S_ISDIR, "a folder"),
    (stat.S_ISFIFO, "a FIFO (a named pipe)"),
    (stat.S_ISCHR, "a device"),
    (stat.S_ISBLK, "a device"),
    (stat.S_ISSOCK, "a socket"),
)
_STANDARD_STREAMS = {0: "standard input", 1: "standard output", 2: "standard error"}


def check_output(path: str | Path, *, inputs: Iterable[str | Path] = ()) -> None:
    """Raise unless a file could be written to ``path`` now; nothing is changed.

    ``inputs`` are files that must stay as they are: what the command reads, or its other outputs.

    Raises ``OSError`` (``FileNotFoundError``, ``IsADirectoryError``, ``PermissionError``, …) whose text names the path
    and the reason: no such folder, a folder, a device, FIFO or socket, an input, a standard stream of this process, a
    read-only file, a folder that may not be written to, a name that is too long.
    """
    _target(path, inputs)


def write_output(path: str | Path, data: bytes | str, *, inputs: Iterable[str | Path] = ()) -> None:
    """Write ``data`` (text in UTF-8) to ``path``, all at once: a failure of any kind leaves what was there before.

    A file that is replaced keeps its mode; a new one gets the mode that the umask allows. Raises ``OSError`` in words as
    :func:`check_output` does, and for a disk that is full.
    """
    content = data.encode() if isinstance(data, str) else data
    target, replaced = _target(path, inputs)
    mode = 0o666 if replaced is None else stat.S_IMODE(replaced.st_mode)
    # A short name of its own: the target's may already be as long as the file system allows.
    temporary = target.with_name(f".{secrets.token_hex(6)}.tmp")
    try:
        try:
            with open(temporary, "xb", opener=lambda name, flags: os.open(name, flags, mode)) as file:
                if replaced is not None:
                    _take_over(temporary, replaced)
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            os.replace(temporary, target)
        except BaseException:  # also Ctrl-C
            with contextlib.suppress(OSError):
                temporary.unlink()
            raise
    except OSError as error:
        raise _refusal(path, error) from error


def _take_over(temporary: Path, replaced: os.stat_result) -> None:
    """Give the new file the owner, as far as that is allowed, and the mode of the one that it replaces."""
    if hasattr(os, "chown"):
        with contextlib.suppress(OSError):
            os.chown(temporary, replaced.st_uid, replaced.st_gid)
    os.chmod(temporary, stat.S_IMODE(replaced.st_mode))


def _target(path: str | Path, inputs: Iterable[str | Path]) -> tuple[Path, os.stat_result | None]:
    """The file behind all symbolic links, and what is known of it where it exists."""
    try:
        if os.fspath(path).endswith(("/", os.sep)):
            raise IsADirectoryError("the name ends like that of a folder, and a file name is needed")
        target = Path(os.path.realpath(path))
        try:
            found = os.stat(target)
        except FileNotFoundError:
            found = None
        _check_kind(path, target, found)
        _check_not_an_input(target, found, inputs)
        _check_allowed(target, found)
        return target, found
    except ValueError as error:  # a null character
        raise OSError(f"cannot write {str(path)!r}: {error}") from error
    except OSError as error:
        raise _refusal(path, error) from error


def _check_kind(path: str | Path, target: Path, found: os.stat_result | None) -> None:
    if found is None:
        if not target.parent.is_dir():
            raise FileNotFoundError(f"there is no folder {_shown_folder(path, target)}")
        return
    if not stat.S_ISREG(found.st_mode):
        kind = next((name for is_kind, name in _KINDS if is_kind(found.st_mode)), "no regular file")
        wrong = IsADirectoryError if kind == "a folder" else OSError
        raise wrong(f"it is {kind}, and a file name is needed")


def _shown_folder(path: str | Path, target: Path) -> Path:
    """The missing folder as it was written, or where a symbolic link leads."""
    return target.parent if Path(path).is_symlink() else Path(path).parent


def _check_not_an_input(target: Path, found: os.stat_result | None, inputs: Iterable[str | Path]) -> None:
    for other in inputs:
        same = Path(os.path.realpath(other)) == target
        if not same and found is not None:
            with contextlib.suppress(OSError):
                same = os.path.samestat(os.stat(other), found)
        if same:
            raise OSError(f"it is the same file as {other}, which it would replace: choose another name")
    for descriptor, name in _STANDARD_STREAMS.items():
        if found is not None and _leads_to(descriptor, found):
            raise OSError(f"{name} of this command is that file: choose another name")


def _leads_to(descriptor: int, found: os.stat_result) -> bool:
    with contextlib.suppress(OSError):  # a stream may be closed
        return os.path.samestat(os.fstat(descriptor), found)
    return False


def _check_allowed(target: Path, found: os.stat_result | None) -> None:
    # The superuser may write to a read-only file; that its owner has marked it so counts all the same.
    if found is not None and (not found.st_mode & 0o222 or not os.access(target, os.W_OK)):
        raise PermissionError("it is read-only")
    if not os.access(target.parent, os.W_OK | os.X_OK):
        raise PermissionError(f"the folder {target.parent} may not be written to")


def _refusal(path: str | Path, error: OSError) -> OSError:
    """``error`` of the same type, its text naming ``path``."""
    return type(error)(f"cannot write {path}: {error.strerror or error}")
