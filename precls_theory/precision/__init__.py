"""The precision laboratory: what float arithmetic does to exact networks, measured against exact values and bounded."""

from precls_theory.precision.bounds import error_bound as error_bound
from precls_theory.precision.exactness import ExactnessReport as ExactnessReport
from precls_theory.precision.exactness import exact_digits as exact_digits
from precls_theory.precision.exactness import unexpected as unexpected
from precls_theory.precision.measure import Measurement as Measurement
from precls_theory.precision.measure import measure as measure
