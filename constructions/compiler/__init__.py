"""A compiler from polynomials, circuits and sequence programs to exact networks of the least depth, and back."""

from constructions.compiler.circuit import Circuit as Circuit
from constructions.compiler.circuit import Wire as Wire
from constructions.compiler.circuit import convolve as convolve
from constructions.compiler.circuit import prefix_sum as prefix_sum
from constructions.compiler.circuit import shift as shift
from constructions.compiler.circuit import total as total
from constructions.compiler.circuit import wires as wires
from constructions.compiler.instructions import compile_circuit as compile_circuit
from constructions.compiler.polynomials import Rebalanced as Rebalanced
from constructions.compiler.polynomials import compile_polynomials as compile_polynomials
from constructions.compiler.polynomials import rebalance_circuit as rebalance_circuit
from constructions.compiler.splitting import minimal_depth as minimal_depth
from constructions.compiler.splitting import plain_width as plain_width
