"""A name means one thing: whoever reads `Finding` need not look where it was imported from."""

import ast
from collections import defaultdict

from tests.contracts.test_words import ROOT, SOURCES


def test_no_public_class_has_the_name_of_another() -> None:
    places = defaultdict(list)
    for path in SOURCES:
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                places[node.name].append(path.relative_to(ROOT).as_posix())
    assert len(places) > 500
    assert {name: found for name, found in places.items() if len(found) > 1} == {}
