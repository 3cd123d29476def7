"""Exact constructions of neural networks that run numerical algorithms.

Everything here is imported when it is first used, so that ``import constructions`` and whatever needs only a part of it
start at once: PyTorch and SymPy alone take seconds.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from constructions.algorithms.centred_newton import centred_newton as centred_newton
    from constructions.algorithms.descent.gradient_descent import gradient_descent as gradient_descent
    from constructions.algorithms.descent.momentum import chebyshev as chebyshev
    from constructions.algorithms.descent.momentum import heavy_ball as heavy_ball
    from constructions.algorithms.explicit_gradient import explicit_gradient as explicit_gradient
    from constructions.algorithms.gram_refinement import centred_refinement as centred_refinement
    from constructions.algorithms.gram_refinement import gram_refinement as gram_refinement
    from constructions.algorithms.newton import newton as newton
    from constructions.algorithms.primitives import linear as linear
    from constructions.algorithms.primitives import multiply as multiply
    from constructions.algorithms.primitives import read as read
    from constructions.algorithms.published_block import published_block as published_block
    from constructions.algorithms.reciprocal import reciprocal as reciprocal
    from constructions.approximation.approximate import approximate as approximate
    from constructions.approximation.chebyshev_network import Approximation as Approximation
    from constructions.approximation.chebyshev_network import chebyshev_polynomial as chebyshev_polynomial
    from constructions.compiler import Circuit as Circuit
    from constructions.compiler import Wire as Wire
    from constructions.compiler import compile_circuit as compile_circuit
    from constructions.compiler import compile_polynomials as compile_polynomials
    from constructions.compiler import prefix_sum as prefix_sum
    from constructions.compiler import rebalance_circuit as rebalance_circuit
    from constructions.compiler import shift as shift
    from constructions.compiler import total as total
    from constructions.compiler import wires as wires
    from constructions.files.reading import CorruptFileError as CorruptFileError
    from constructions.files.reading import load as load
    from constructions.models.baseconv import BaseConvLayer as BaseConvLayer
    from constructions.models.baseconv import BaseConvModel as BaseConvModel
    from constructions.models.baseconv import BaseConvOperator as BaseConvOperator
    from constructions.models.own_weights import own_weights as own_weights
    from constructions.networks.construction import CONSTRUCTIONS as CONSTRUCTIONS
    from constructions.networks.construction import rebuild as rebuild
    from constructions.networks.layer import Layer as Layer
    from constructions.networks.network import Network as Network
    from constructions.slicing.sliced import sliced as sliced
    from constructions.transformers import gated as gated
    from constructions.transformers import linear_attention as linear_attention
    from constructions.transformers.gated import gradient_descent as gated_gradient_descent  # noqa: F401
    from constructions.transformers.gated import multiply as gated_multiply  # noqa: F401
    from constructions.transformers.linear_attention import gradient_descent as linear_attention_gradient_descent  # noqa: F401
    from constructions.transformers.linear_attention import multiply as linear_attention_multiply  # noqa: F401


_NAMES = {
    "algorithms.centred_newton": ("centred_newton",),
    "algorithms.descent.gradient_descent": ("gradient_descent",),
    "algorithms.descent.momentum": ("chebyshev", "heavy_ball"),
    "algorithms.explicit_gradient": ("explicit_gradient",),
    "algorithms.gram_refinement": ("centred_refinement", "gram_refinement"),
    "algorithms.newton": ("newton",),
    "algorithms.primitives": ("linear", "multiply", "read"),
    "algorithms.published_block": ("published_block",),
    "algorithms.reciprocal": ("reciprocal",),
    "approximation.approximate": ("approximate",),
    "approximation.chebyshev_network": ("Approximation", "chebyshev_polynomial"),
    "compiler": (
        "Circuit", "Wire", "compile_circuit", "compile_polynomials", "prefix_sum", "rebalance_circuit", "shift",
        "total", "wires",
    ),
    "files.reading": ("CorruptFileError", "load"),
    "models.baseconv": ("BaseConvLayer", "BaseConvModel", "BaseConvOperator"),
    "models.own_weights": ("own_weights",),
    "networks.construction": ("CONSTRUCTIONS", "rebuild"),
    "networks.layer": ("Layer",),
    "networks.network": ("Network",),
    "slicing.sliced": ("sliced",),
    "transformers": ("gated", "linear_attention"),
    "transformers.gated": ("gated_gradient_descent=gradient_descent", "gated_multiply=multiply"),
    "transformers.linear_attention": (
        "linear_attention_gradient_descent=gradient_descent", "linear_attention_multiply=multiply",
    ),
}  # fmt: skip
"""Public names by module, ``name`` or ``name=name there``; a test keeps them equal to the imports above."""
_HOMES = {
    name.partition("=")[0]: (f"{__name__}.{module}", name.rpartition("=")[2])
    for module, names in _NAMES.items()
    for name in names
}
__all__ = sorted(_HOMES)


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module, original = _HOMES[name]
    home = importlib.import_module(module)
    # a module, such as gated, is an attribute of its package once it has been imported
    value: object = (
        getattr(home, original) if hasattr(home, original) else importlib.import_module(f"{module}.{original}")
    )
    globals()[name] = value
    return value


def homes() -> tuple[str, ...]:
    """The modules of all public names."""
    return tuple(dict.fromkeys(module for module, _ in _HOMES.values()))


_WITHOUT_CONSTRUCTIONS = ("approximation.approximate", "files.reading", "models.baseconv")


def homes_of_constructions() -> tuple[str, ...]:
    """The modules of public names that may register a construction: none of them imports PyTorch or SymPy."""
    return tuple(home for home in homes() if home.partition(".")[2] not in _WITHOUT_CONSTRUCTIONS)


def home_of(name: str) -> str | None:
    """The module of the public name ``name``, ``None`` where there is no such name."""
    return _HOMES[name][0] if name in _HOMES else None


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
