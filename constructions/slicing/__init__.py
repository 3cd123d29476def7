"""Sliced arithmetic: from an exact network to one that carries more digits than its number format."""

from constructions.slicing.digits import BudgetError as BudgetError
from constructions.slicing.sliced import sliced as sliced
