"""The algorithms that :func:`precls_theory.regression.solving.solve` can run in a network."""

from typing import Literal, get_args

Method = Literal["doubling", "newton", "tight", "gram", "heavy_ball", "chebyshev"]
METHODS: tuple[str, ...] = get_args(Method)
