"""Exact constructions of neural networks that run numerical algorithms."""

from constructions import gated as gated
from constructions import linear_attention as linear_attention
from constructions.approximate import approximate as approximate
from constructions.baseconv import BaseConvLayer as BaseConvLayer
from constructions.baseconv import BaseConvModel as BaseConvModel
from constructions.baseconv import BaseConvOperator as BaseConvOperator
from constructions.chebyshev_network import Approximation as Approximation
from constructions.chebyshev_network import chebyshev_polynomial as chebyshev_polynomial
from constructions.compiler import Circuit as Circuit
from constructions.compiler import Wire as Wire
from constructions.compiler import compile_circuit as compile_circuit
from constructions.compiler import compile_polynomials as compile_polynomials
from constructions.compiler import prefix_sum as prefix_sum
from constructions.compiler import rebalance_circuit as rebalance_circuit
from constructions.compiler import shift as shift
from constructions.compiler import total as total
from constructions.compiler import wires as wires
from constructions.construction import CONSTRUCTIONS as CONSTRUCTIONS
from constructions.construction import rebuild as rebuild
from constructions.descent.gradient_descent import gradient_descent as gradient_descent
from constructions.descent.momentum import chebyshev as chebyshev
from constructions.descent.momentum import heavy_ball as heavy_ball
from constructions.network import Layer as Layer
from constructions.network import Network as Network
from constructions.newton import newton as newton
from constructions.primitives import linear as linear
from constructions.primitives import multiply as multiply
from constructions.primitives import read as read
from constructions.published_block import published_block as published_block
from constructions.reciprocal import reciprocal as reciprocal
from constructions.serialization import CorruptFileError as CorruptFileError
from constructions.serialization import load as load

gated_multiply = gated.multiply
gated_gradient_descent = gated.gradient_descent
linear_attention_multiply = linear_attention.multiply
linear_attention_gradient_descent = linear_attention.gradient_descent
