"""The proof kernels that commands can ask."""

from enum import StrEnum


class Kernel(StrEnum):
    """A kernel by name."""

    coq = "coq"
