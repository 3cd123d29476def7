"""A compiler from polynomials, circuits and sequence programs to exact networks of the least depth, and back.

One stage after another, each in a module of its own; :func:`constructions.compiler.polynomials.polynomials` is the whole of
it in four lines::

    polynomials      expansion   expressions multiplied out: exponents and rational coefficients
                     monomials   their degree, and the depth that it takes
      → circuits     search      level by level: sums of products (splitting), or shared monomials (words)
      → schedule     schedule    which product in which layer, and which linear forms (forms) are carried past it
      → layers       emit        every form as terms over the channels of the layer before

A user's own circuit (``circuit``, read from and written to a file as ``instructions``) enters at the second stage.
``decompile`` goes back, from any network to polynomials or a circuit.
"""

from constructions.compiler.circuit import Circuit as Circuit
from constructions.compiler.circuit import Wire as Wire
from constructions.compiler.circuit import convolved as convolved
from constructions.compiler.circuit import prefix_sum as prefix_sum
from constructions.compiler.circuit import shift as shift
from constructions.compiler.circuit import total as total
from constructions.compiler.circuit import wires as wires
from constructions.compiler.instructions import compile_circuit as compile_circuit
from constructions.compiler.monomials import minimal_depth as minimal_depth
from constructions.compiler.monomials import plain_width as plain_width
from constructions.compiler.polynomials import Rebalanced as Rebalanced
from constructions.compiler.polynomials import compile_polynomials as compile_polynomials
from constructions.compiler.polynomials import rebalance_circuit as rebalance_circuit
