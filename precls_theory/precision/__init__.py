"""The precision laboratory: what float arithmetic does to exact networks, measured against exact values and bounded."""

from precls_theory.precision.exactness import ExactnessReport as ExactnessReport
from precls_theory.precision.exactness import exact_digits as exact_digits
from precls_theory.precision.exactness import unexpected as unexpected
