"""Ways to train, one file each, behind one interface: :class:`Recipe`. :data:`RECIPES` lists them."""

from precls_theory.training.recipes.adam import Adam as Adam
from precls_theory.training.recipes.adam import PublishedAdam as PublishedAdam
from precls_theory.training.recipes.adam_marquardt import AdamMarquardt as AdamMarquardt
from precls_theory.training.recipes.alternating import Alternating as Alternating
from precls_theory.training.recipes.curriculum import Curriculum as Curriculum
from precls_theory.training.recipes.homotopy import Homotopy as Homotopy
from precls_theory.training.recipes.layerwise import Layerwise as Layerwise
from precls_theory.training.recipes.marquardt import Marquardt as Marquardt
from precls_theory.training.recipes.quasi_newton import QuasiNewton as QuasiNewton
from precls_theory.training.recipes.recipe import Recipe as Recipe
from precls_theory.training.recipes.recipe import Setting as Setting

RECIPES: dict[str, type[Recipe]] = {
    "adam": Adam, "published": PublishedAdam, "levenberg-marquardt": Marquardt, "layerwise": Layerwise,
    "curriculum": Curriculum, "homotopy": Homotopy, "alternating": Alternating, "lbfgs": QuasiNewton,
    "adam-then-marquardt": AdamMarquardt,
}  # fmt: skip
"""By the name that ``precls train --recipe`` takes."""
