"""Sentences of the notebooks that were found wrong stay out, and what is true is said in their place."""

from pathlib import Path

import nbformat
import pytest

FOLDER = Path(__file__).parents[1] / "notebooks"


def text(number: str) -> str:
    """All that a notebook says, code included, on one line."""
    (path,) = FOLDER.glob(f"{number}_*.ipynb")
    return " ".join(" ".join(cell.source for cell in nbformat.read(path, as_version=4).cells).split())


WRONG = [
    ("01", "error of the size of the largest row", "eps times that"),
    ("02", "rebuilt from its description", "the weights of the published block are compared"),
    ("03", "thousands of steps, as the paper's regressions need", "the median settles at 2^7 to 2^8"),
    ("04", "many returned not a single correct digit", "no source says so"),
    ("04", "the gap is noise", "rounding in later squarings matters"),
    ("06", "about as small as any polynomial allows", "degree 37 suffices where 64 is used"),
    ("08", "whatever the activation", "a sigmoid has another odd part: its own fourth panel"),
    ("08", "the data rows cannot see each other", "under a causal mask they see earlier rows"),
]
RIGHT = [
    ("01", "error of about $\\varepsilon$ times the *largest* row"),
    ("01", "Notebook 02** assembles the three primitives into a step"),
    ("02", "Literally so, one primitive a layer"),
    ("02", "residual (circular)"),
    (
        "02",
        "These are not the settings of the published notebook, which runs its block 300 times with $\\eta=1/10$, no $1/N$",
    ),
    ("02", "Compare them hidden channel by hidden channel"),
    ("03", "median problem after $2^7$ to $2^8$ steps"),
    ("04", "each squaring that follows rounds again"),
    ("06", "which are for *smooth* functions; this is for *analytic* ones, a smaller class"),
    ("06", "Five layers cannot do it"),
    ("07", "RMSNorm ($\\varepsilon>0$)"),
    ("08", "any activation with odd part $z/2$"),
    ("08", "Under a causal mask a data row sees only the rows before it"),
    (
        "08",
        "with bidirectional attention it runs $k$ steps",
    ),
]


@pytest.mark.parametrize(("notebook", "sentence", "why"), WRONG)
def test_what_was_found_wrong_is_not_said(notebook: str, sentence: str, why: str) -> None:
    assert sentence not in text(notebook), f"found wrong: {why}"


@pytest.mark.parametrize(("notebook", "sentence"), RIGHT)
def test_what_is_true_is_said(notebook: str, sentence: str) -> None:
    assert sentence in text(notebook)


def test_the_primitives_are_assembled_and_the_weights_compared() -> None:
    """The code is there, not only the words."""
    code = text("02")
    assert all(call in code for call in ("C.read(", "C.linear(", "C.multiply(", "require_equal("))
    assert "read_units(weights, names, names) for weights in published_layers(" in code
    assert "assert same" in code
