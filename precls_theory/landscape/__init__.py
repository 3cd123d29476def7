"""Population losses of BaseConv networks, exactly, and all their stationary points."""

from precls_theory.landscape.classification import Classification as Classification
from precls_theory.landscape.classification import classify as classify
from precls_theory.landscape.classification import classify_all as classify_all
from precls_theory.landscape.components import Component as Component
from precls_theory.landscape.moments import Gaussian as Gaussian
from precls_theory.landscape.moments import Rademacher as Rademacher
from precls_theory.landscape.moments import Uniform as Uniform
from precls_theory.landscape.population_loss import Loss as Loss
from precls_theory.landscape.population_loss import SymbolicModel as SymbolicModel
from precls_theory.landscape.population_loss import layer_model as layer_model
from precls_theory.landscape.population_loss import operator_model as operator_model
from precls_theory.landscape.population_loss import population_loss as population_loss
from precls_theory.landscape.problems import Landscape as Landscape
from precls_theory.landscape.problems import Problem as Problem
from precls_theory.landscape.problems import landscape as landscape
from precls_theory.landscape.products import products as products
