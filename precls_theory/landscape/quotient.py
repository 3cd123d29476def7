"""The finite-dimensional algebra Q[x]/I of a zero-dimensional ideal: multiplication matrices and minimal polynomials."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import flint

from precls_theory.landscape.ideals import Variety, leading_monomial

Exponents = tuple[int, ...]


class Quotient:
    """Q[x]/I for the ideal of a variety of dimension zero, with the standard monomials of its Gröbner basis."""

    def __init__(self, variety: Variety) -> None:
        self.names = variety.names
        self.context = flint.fmpq_mpoly_ctx.get(self.names, variety.context.ordering())
        self._leading = [leading_monomial(member) for member in variety.basis]
        self._monic = [self._over_q(member) for member in variety.basis]
        bounds = [self._pure_power(index) for index in range(len(self.names))]
        self.monomials = [
            monomial
            for monomial in itertools.product(*(range(bound) for bound in bounds))
            if not any(divides(lead, monomial) for lead in self._leading)
        ]
        self.index = {monomial: position for position, monomial in enumerate(self.monomials)}

    def _pure_power(self, index: int) -> int:
        powers = [lead[index] for lead in self._leading if all(not e for i, e in enumerate(lead) if i != index)]
        if not powers:
            raise ValueError("the ideal is not of dimension zero")
        return min(powers)

    def _over_q(self, member: flint.fmpz_mpoly) -> flint.fmpq_mpoly:
        lead = member.leading_coefficient()
        return self.context.from_dict({m: flint.fmpq(c, lead) for m, c in member.to_dict().items()})

    def normal_form(self, polynomial: flint.fmpq_mpoly) -> list[flint.fmpq]:
        """Coordinates of a polynomial (``fmpq_mpoly`` of :attr:`context`) in the standard monomials."""
        result = [flint.fmpq(0)] * len(self.monomials)
        while polynomial:
            monomial = tuple(map(int, polynomial.monomial(0)))
            coefficient = polynomial.leading_coefficient()
            for lead, member in zip(self._leading, self._monic, strict=True):
                if divides(lead, monomial):
                    shift = tuple(a - b for a, b in zip(monomial, lead, strict=True))
                    polynomial = polynomial - self.context.from_dict({shift: coefficient}) * member
                    break
            else:
                result[self.index[monomial]] += coefficient
                polynomial = polynomial - self.context.from_dict({monomial: coefficient})
        return result

    def algebra(self) -> Algebra:
        """The algebra by its multiplication matrices; column j of a matrix is the image of monomial j."""
        matrices = []
        size = len(self.monomials)
        for generator in self.context.gens():
            columns = [self.normal_form(generator * self.context.from_dict({m: 1})) for m in self.monomials]
            matrices.append(flint.fmpq_mat(size, size, [columns[j][i] for i in range(size) for j in range(size)]))
        one = flint.fmpq_mat(size, 1, [flint.fmpq(int(not any(m))) for m in self.monomials])
        return Algebra(tuple(matrices), one)


@dataclass(frozen=True, eq=False)
class Algebra:
    """A finite-dimensional quotient of Q[x]: the matrix of multiplication by each variable, and the unit."""

    matrices: tuple[flint.fmpq_mat, ...]
    one: flint.fmpq_mat

    @property
    def size(self) -> int:
        return self.one.nrows()

    def linear_form(self, weights: Sequence[int]) -> flint.fmpq_mat:
        """Multiplication by ``Σ weights[i]·x_i``."""
        total = flint.fmpq_mat(self.size, self.size)
        for weight, matrix in zip(weights, self.matrices, strict=True):
            total = total + matrix * flint.fmpq(weight)
        return total

    def modulo(self, element: flint.fmpq_mat) -> Algebra:
        """The quotient by the ideal of one element, given by its multiplication matrix."""
        reduced, rank = element.transpose().rref()
        pivots = [next(j for j in range(self.size) if reduced[i, j] != 0) for i in range(rank)]
        kept = [j for j in range(self.size) if j not in pivots]
        # v is congruent to v − Σ v[pivot]·row: the projection onto the coordinates that are not pivots.
        projection = flint.fmpq_mat(len(kept), self.size)
        for i, coordinate in enumerate(kept):
            projection[i, coordinate] = flint.fmpq(1)
            for row, pivot in enumerate(pivots):
                projection[i, pivot] = -reduced[row, coordinate]
        inclusion = flint.fmpq_mat(self.size, len(kept))
        for i, coordinate in enumerate(kept):
            inclusion[coordinate, i] = flint.fmpq(1)
        return Algebra(tuple(projection * matrix * inclusion for matrix in self.matrices), projection * self.one)

    def in_powers_of(self, form: flint.fmpq_mat) -> list[flint.fmpq_poly] | None:
        """Every variable as a polynomial in the linear form, or None when the form does not generate the algebra."""
        powers, current = [], self.one
        for _ in range(self.size):
            powers.append(current)
            current = form * current
        matrix = flint.fmpq_mat(self.size, self.size, [p[i, 0] for i in range(self.size) for p in powers])
        if matrix.det() == 0:
            return None
        inverse = matrix.inv()
        values = []
        for multiplication in self.matrices:
            coordinates = inverse * (multiplication * self.one)
            values.append(flint.fmpq_poly([coordinates[i, 0] for i in range(self.size)]))
        return values


def at_matrix(polynomial: flint.fmpq_poly, matrix: flint.fmpq_mat) -> flint.fmpq_mat:
    """The polynomial at a square matrix."""
    size = matrix.nrows()
    identity = flint.fmpq_mat(size, size, [flint.fmpq(int(i == j)) for i in range(size) for j in range(size)])
    total = flint.fmpq_mat(size, size)
    for coefficient in reversed(polynomial.coeffs()):
        total = total * matrix + identity * coefficient
    return total


def divides(left: Exponents, right: Exponents) -> bool:
    return all(a <= b for a, b in zip(left, right, strict=True))
