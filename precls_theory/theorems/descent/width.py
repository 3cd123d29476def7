"""The width of the doubling form: how many products the square of a symmetric matrix takes."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

import constructions as C
from constructions.networks.layer import SparseMap
from constructions.networks.parameters import IterationParameters, recorded
from precls_theory.proofs.symbolic import (
    MakeVariables,
    compose,
    flint_variables,
    mirror,
    require_equal,
    sympy_variables,
)
from precls_theory.registry import Evidence, Refuted, Size, theorem


def merged_square(P: np.ndarray, sign: int = 1) -> tuple[np.ndarray, int]:
    """``P²`` of a symmetric P (D, D, 1) and the number of products: ``P_ij (P_ii + sign P_jj)`` is one, squares are shared."""
    size, products = len(P), 0
    square = np.empty(P.shape, dtype=object)
    squares = P * P
    products += size * (size + 1) // 2
    for i in range(size):
        square[i, i] = np.add.reduce(squares[i], axis=0)
        for j in range(i):
            others = [k for k in range(size) if k not in (i, j)]
            terms = [P[i, j] * (P[i, i] + sign * P[j, j]), *(P[i, k] * P[k, j] for k in others)]
            square[i, j] = square[j, i] = np.add.reduce(np.stack(terms), axis=0)
            products += len(terms)
    return square, products


def prove_products(size: int, make: MakeVariables = flint_variables, sign: int = 1) -> None:
    """P² has D²(D−1)/2 + D(D+1)/2 distinct monomials, and (D(D−1)² + D(D+1))/2 products after merging (65 and 55 at D = 5)."""
    v = make(P=(size, size, 1))
    P = mirror(v["P"])
    square, products = merged_square(P, sign)
    require_equal(square, compose(P, P), "the merged square", v.ring)
    if products != (size * (size - 1) ** 2 + size * (size + 1)) // 2:
        raise Refuted(f"the merged square takes {products} products", {"n_dims": size})
    if make is flint_variables:
        monomials = {monomial for entry in compose(P, P).flat for monomial in entry.monoms()}
        if len(monomials) != size**2 * (size - 1) // 2 + size * (size + 1) // 2:
            raise Refuted(f"the square has {len(monomials)} monomials", {"n_dims": size})


def prove_block_width(network: C.Network) -> None:
    """A squaring layer of the doubling form has no more than the merged products for P²; :class:`Refuted` otherwise."""
    size = recorded(network.parameters, IterationParameters)["n_dims"]
    layer, names = network.layers[2], network.layers[1].outputs

    def read_by(sparse: SparseMap, unit: int) -> set[str]:
        chosen = sparse.columns[(sparse.rows == unit) & (sparse.columns < sparse.n_in)]
        return {names[column].partition("[")[0] for column in chosen}

    count = sum(read_by(layer.conv, unit) == read_by(layer.gate, unit) == {"P"} for unit in range(layer.width))
    expected = (size * (size - 1) ** 2 + size * (size + 1)) // 2
    if count != expected:
        raise Refuted(f"the square of P takes {count} hidden channels, expected {expected}", {"n_dims": size})


def squaring(n_dims: int) -> C.Network:
    """A network whose third layer squares P."""
    return C.gradient_descent(n_points=2, n_dims=n_dims, n_steps=4, step_size="1/10")


@theorem(
    id="doubling-width",
    title="The square of a symmetric P takes 55 products at D = 5, not 125",
    statement=r"\#\{P_{ik}P_{kj}\} = \tfrac{D^2(D-1)}{2}+\tfrac{D(D+1)}{2};\quad "
    r"\tfrac{D(D-1)^2}{2}+\tfrac{D(D+1)}{2}\text{ with } P_{ij}(P_{ii}+P_{jj})\text{ as one}",
    hypotheses=("P symmetric",),
    source="new",
    covers="generic symmetric P for D up to 8; the hidden channels of a squaring layer at the given D",
    controls={
        "one dimension more claimed": lambda: prove_block_width(
            replace(network := squaring(2), parameters=network.parameters | {"n_dims": 3})
        ),
        "the merged square with the wrong sign": lambda: prove_products(3, sign=-1),
    },
)
def doubling_width(size: Size) -> Evidence:
    for n_dims in range(1, 9):
        prove_products(n_dims)
    prove_products(3, sympy_variables)
    prove_block_width(squaring(size.n_dims))
    return Evidence(
        f"Executed: P symbols, D = 1..8, products counted; the squaring layer of a network at D={size.n_dims}. Argued: other "
        "D. That fewer products do not do is not claimed",
        "Q[P]", "python-flint; SymPy at D=3",
    )  # fmt: skip
