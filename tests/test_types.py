"""Types say something: ``Any`` is counted, and the strictness of the type checker is written down."""

import re
import tomllib
from pathlib import Path

ROOT = Path(__file__).parent.parent
PACKAGES = ("constructions", "precls_theory")
MOST_ANY = 9
"""Occurrences of the word in both packages, comments and imports included. Lower it with every one that goes."""
STRICT = ("constructions.*", "precls_theory.proofs.*")


def words(text: str) -> int:
    return len(re.findall(r"\bAny\b", text))


def test_any_is_rare() -> None:
    found = {path: words(path.read_text()) for name in PACKAGES for path in (ROOT / name).rglob("*.py")}
    worst = sorted(((count, str(path.relative_to(ROOT))) for path, count in found.items()), reverse=True)[:5]
    assert sum(found.values()) <= MOST_ANY, f"most of them: {worst}"


def test_what_is_counted() -> None:
    assert words("def f(x: Any) -> dict[str, Any]: ...  # Anything") == 2


def test_no_alias_hides_it() -> None:
    """``Value = Any`` would be one use that stands for many."""
    alias = re.compile(r"^\w+(: TypeAlias)? = Any\b", re.MULTILINE)
    paths = [path for name in PACKAGES for path in (ROOT / name).rglob("*.py")]
    assert [str(path.relative_to(ROOT)) for path in paths if alias.search(path.read_text())] == []
    assert alias.search("Polynomial = Any  # of a library without types")


def test_the_strict_rooms() -> None:
    """What builds and what proves is checked as by ``mypy --strict``, whose flags are those of one override."""
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["mypy"]
    strict = next(entry for entry in settings["overrides"] if set(STRICT) <= set(entry["module"]))
    assert settings["check_untyped_defs"]
    assert settings["disallow_untyped_defs"]
    assert settings["warn_redundant_casts"]
    flags = (
        "disallow_any_generics", "disallow_incomplete_defs", "disallow_subclassing_any", "disallow_untyped_calls",
        "disallow_untyped_decorators", "extra_checks", "strict_equality", "warn_return_any", "warn_unused_ignores",
    )  # fmt: skip
    assert [flag for flag in flags if not strict[flag]] == []
    assert strict["implicit_reexport"] is False
