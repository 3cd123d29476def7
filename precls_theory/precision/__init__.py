"""The precision laboratory: what float arithmetic does to exact networks, measured against exact values and bounded.

*The same bits again.* On one machine, with one release of PyTorch, device, thread count and shape of the input, a lowered network
gives the same bits, run after run and built anew; tests hold it to that. PyTorch promises no more, nor do we:

* other releases, CPUs (other vector units) and GPUs sum in other orders, and so do other numbers of threads;
* so do other shapes: a sample in a batch of 64 may come out otherwise than by itself, for BLAS chooses kernels by shape;
* on CUDA, sums by atomic additions and sparse products may differ from run to run, unless
  ``torch.use_deterministic_algorithms(True)`` is set, which refuses what has no deterministic kernel.

``network.to_torch(sums="fixed")`` has one order for every sum, so that neither the batch nor the number of threads changes a
bit (on the CPU; prefix sums at many rows follow PyTorch's ``cumsum``). It is no default, for it is not free: at N=20, D=5 in
float32 a forward pass takes 1.2 to 3.5 times as long (row sums by a tree alone 3 to 14 times a plain sum), while bounds are
1.6 to 2.2 times as tight. A test holds it to the bits.

Two things do hold across all of these: :func:`error_bound`, which is for any order of summation, and every class of a sliced
network but the last of each value, which is exact, hence the same bits everywhere (:func:`exact_digits`).
"""

from precls_theory.precision.bounds import error_bound as error_bound
from precls_theory.precision.exactness import ExactnessReport as ExactnessReport
from precls_theory.precision.exactness import exact_digits as exact_digits
from precls_theory.precision.exactness import unexpected as unexpected
from precls_theory.precision.measure import Measurement as Measurement
from precls_theory.precision.measure import measure as measure
