"""Does it fit? Asked of a size before anything of that size is made."""

from __future__ import annotations

import os
from pathlib import Path

_MEMINFO = Path("/proc/meminfo")
_CGROUP = Path("/sys/fs/cgroup")


def available_memory() -> int | None:
    """Bytes that this process could take now, as far as the system tells: ``None`` where it tells nothing.

    On Linux what is free or can be freed, and no more than what a control group (a container) has left; elsewhere all of
    the machine's.
    """
    found = [bytes_ for bytes_ in (_free(), _left_to_the_group()) if bytes_ is not None]
    return min(found, default=None) if found else _whole()


def check_fits(needed: int, what: str, instead: str) -> None:
    """Raises ``MemoryError`` in words where ``needed`` bytes are not available for ``what``: the sizes, and what to do
    ``instead``."""
    available = available_memory()
    if available is not None and needed > available:
        raise MemoryError(
            f"{what}: {needed / 2**30:,.2f} GiB are needed, and {available / 2**30:,.2f} GiB of memory are available; {instead}"
        )


def _free() -> int | None:
    try:
        lines = dict(line.split(":", 1) for line in _MEMINFO.read_text().splitlines() if ":" in line)
        return 1024 * int(lines["MemAvailable"].split()[0])
    except (OSError, KeyError, ValueError):
        return None


def _left_to_the_group() -> int | None:
    """The limit of the control group less what it uses; ``None`` without a limit ("max")."""
    try:
        limit, used = (int((_CGROUP / f"memory.{name}").read_text()) for name in ("max", "current"))
        return max(0, limit - used)
    except (OSError, ValueError):
        return None


def _whole() -> int | None:
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, OSError, ValueError):
        return None
