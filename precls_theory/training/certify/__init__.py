"""Learned, then proved: exact population losses, sup norms, and exact networks near trained ones.

Explicit gradient in two causal BaseConv layers, as ``precls train --recipe layerwise`` trains it:

* :mod:`.equations`: coefficients of a layer, and what they should be;
* :mod:`.difference`, :mod:`.bounds`: the error as a polynomial; its population loss, exactly, and its sup norm on a box;
* :mod:`.krawczyk`: that a root lies near a point; :mod:`.snap`: the exact network near a trained one;
* :mod:`.proof`: all of it, for ``precls prove-trained``.
"""

from precls_theory.training.certify.proof import Proof as Proof
from precls_theory.training.certify.proof import prove as prove
