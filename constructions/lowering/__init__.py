"""The one place where exact rational weights become PyTorch tensors.

Three savings, none of which changes the function:

* rows: only the rows that some later filter or the read-out needs are kept;
* row-constant channels: in a circular network a sum over all rows is the same at every row, and so is everything
  computed from such sums alone; these channels are stored once;
* sparse maps: gathered where an output has few entries, CSR where the density is low, dense otherwise.

Filters are applied directly (shifts, prefix sums, totals; a Toeplitz product otherwise), never through an FFT, and
a channel that a layer carries unchanged is copied, so carried and read channels are exact in any dtype.

What the lowering never does, so that sliced arithmetic (:mod:`constructions.slicing`) may rely on it: a hidden channel with a
factor that is not constant is computed as it is written, ``(filter ⋆ conv) ⊙ gate``, and never composed with the maps
before or after it, so that ``1 ⊙ (t − C)`` is one subtraction; and the constant of an output is added last, in one addition.
A network's ``limits`` are watched at every layer.

State tensors have shape (channels, rows, batch): every map is then a product from the left.
"""

from constructions.lowering.module import LoweredNetwork as LoweredNetwork
from constructions.lowering.module import lower as lower
