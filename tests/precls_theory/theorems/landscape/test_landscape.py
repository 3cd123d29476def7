"""The theorems on landscapes hold, and each refuses its controls."""

import pytest

from precls_theory import all_theorems, certify

NAMES = sorted(name for name in all_theorems() if name.startswith("landscape"))


@pytest.mark.parametrize("name", NAMES)
def test_certificates(name):
    certificate = certify(all_theorems()[name])
    assert certificate.status == "proved", certificate.message
    assert all(control["refused"] for control in certificate.controls)
