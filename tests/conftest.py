"""Hypothesis profiles: ``quick`` (the default) for every run, ``deep`` for a long one.

Choose with ``HYPOTHESIS_PROFILE=deep`` or ``pytest --hypothesis-profile=deep``.

Tests marked ``gpu`` run with ``pytest -m gpu`` where there is a CUDA device; where there is none they are deselected,
and the last line says so.
"""

import os

import pytest
import torch
from hypothesis import HealthCheck, Phase, settings

settings.register_profile(
    "quick", max_examples=20, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow]
)
settings.register_profile("deep", max_examples=500, deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile(
    "mutation", max_examples=5, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck), database=None,
    phases=(Phase.explicit, Phase.generate),
)  # fmt: skip
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "quick"))

without_device = pytest.StashKey[int]()


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Deselect what needs a CUDA device where there is none."""
    needy = [] if torch.cuda.is_available() else [item for item in items if item.get_closest_marker("gpu")]
    config.stash[without_device] = len(needy) if config.getoption("markexpr") == "gpu" else 0
    if needy:
        items[:] = [item for item in items if item not in needy]
        config.hook.pytest_deselected(items=needy)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    if count := config.stash.get(without_device, 0):
        terminalreporter.write_line(
            f"{count} tests need a CUDA device, and PyTorch sees none: they did not run", red=True
        )


# pytest-xdist gives its workers a COLUMNS of its own, which a console keeps from its import on.
os.environ.pop("COLUMNS", None)

# Tests run in parallel processes, and figures of one thread are the ones that repeat.
torch.set_num_threads(1)
