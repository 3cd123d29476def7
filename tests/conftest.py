"""Hypothesis profiles: ``quick`` (the default) for every run, ``deep`` for a long one.

Choose with ``HYPOTHESIS_PROFILE=deep`` or ``pytest --hypothesis-profile=deep``.
"""

import os

import torch
from hypothesis import HealthCheck, settings

settings.register_profile(
    "quick", max_examples=20, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow]
)
settings.register_profile("deep", max_examples=500, deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "quick"))

# pytest-xdist gives its workers a COLUMNS of its own, which a console keeps from its import on.
os.environ.pop("COLUMNS", None)

# Tests run in parallel processes, and figures of one thread are the ones that repeat.
torch.set_num_threads(1)
