"""Proofs for every size, by an independent kernel: Coq.

The other checks of this package prove theorems at the sizes that are run, and rest on SymPy, python-flint and the Python
of this repository. The library in ``coq/`` proves them for every number of data points N, columns D and steps k, over
every commutative ring into which Q maps, and is checked by the kernel of Coq, which shares no code with them. It also
holds a checker of saved networks that is proved sound: where it says yes, the network computes what its file claims.

* ``coq/``: the library, to be read in the order of :data:`~precls_theory.kernel.library.FILES`.
* :mod:`~precls_theory.kernel.library`: builds it once and asks Coq what each theorem rests on.
* :mod:`~precls_theory.kernel.sources`: what the sources may contain.
* :mod:`~precls_theory.kernel.statements`: what the claimed theorems state, pinned down to the last definition.
* :mod:`~precls_theory.kernel.theorems`: which theorem of the registry is which theorem of the library.
* :mod:`~precls_theory.kernel.export`: a network as a list of integers, the one thing that a certificate adds;
  :mod:`~precls_theory.kernel.attention_export`, the same for linear attention.
* :mod:`~precls_theory.kernel.certificates`: the checker, run in the kernel.

Coq 8.16 with MathComp 1.15, as Debian 12 has them. Nothing else in the package needs Coq. The sources are written for MathComp 1:
they declare instances with ``Canonical``, ``EqType`` and ``[finType of ...]``, and use lemma names of order and norm
(``ler_norm_add``, ``ltr_addl``) which MathComp 2 has replaced; Debian 12 has no MathComp 2 with which another spelling
could be checked.
"""
