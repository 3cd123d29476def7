"""Exact constructions of neural networks that run numerical algorithms."""

from constructions.algorithms.descent.gradient_descent import gradient_descent as gradient_descent
from constructions.algorithms.descent.momentum import chebyshev as chebyshev
from constructions.algorithms.descent.momentum import heavy_ball as heavy_ball
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
from constructions.networks.construction import CONSTRUCTIONS as CONSTRUCTIONS
from constructions.networks.construction import rebuild as rebuild
from constructions.networks.layer import Layer as Layer
from constructions.networks.network import Network as Network
from constructions.transformers import gated as gated
from constructions.transformers import linear_attention as linear_attention

gated_multiply = gated.multiply
gated_gradient_descent = gated.gradient_descent
linear_attention_multiply = linear_attention.multiply
linear_attention_gradient_descent = linear_attention.gradient_descent
