"""Counts, lists and quotations in texts are made by `runbooks.wording`, so that none reads "1 lines" or stands around nothing."""

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parents[2]
SOURCES = [path for top in ("bot", "commands", "runbooks") for path in sorted((ROOT / top).rglob("*.py"))]
WORDING = ROOT / "runbooks" / "wording.py"


@cache
def nodes() -> tuple[tuple[str, ast.expr], ...]:
    """Every call, choice and text with values in it, with its place."""
    return tuple(
        (f"{name}:{node.lineno}", node)
        for name, path in ((path.relative_to(ROOT), path) for path in SOURCES if path != WORDING)
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Call | ast.IfExp | ast.JoinedStr)
    )


def counted_nouns() -> set[str]:
    """What is counted anywhere by the toolbox, in its plural."""
    found = set()
    for _, node in nodes():
        match node:
            case ast.Call(func=ast.Name(id="counted"), args=[_, ast.Constant(value=str(noun)), *rest]):
                many = rest[0].value if rest and isinstance(rest[0], ast.Constant) else f"{noun}s"
                found.add(str(many).split()[-1])
            case _:
                pass
    return found


def followed_by() -> Iterator[tuple[str, ast.expr, str]]:
    """Each value in a text, with the words behind it."""
    for place, node in nodes():
        if isinstance(node, ast.JoinedStr):
            for value, behind in zip(node.values, node.values[1:], strict=False):
                if isinstance(value, ast.FormattedValue) and isinstance(behind, ast.Constant):
                    yield place, value.value, str(behind.value)


def test_what_is_counted_somewhere_is_counted_so_everywhere() -> None:
    nouns = counted_nouns()
    assert {"lines", "pods", "items", "devices"} <= nouns
    by_hand = [
        f"{place}: {ast.unparse(value)}{behind[:20]}"
        for place, value, behind in followed_by()
        if (word := re.match(r" (?:more |old |failed |of )?([a-z]+)\b", behind))
        and word[1] in nouns
        and not isinstance(value, ast.Call)
        and not ast.unparse(value).isupper()  # a constant
    ]
    assert by_hand == []


def test_no_plural_is_made_by_hand() -> None:
    by_hand = [
        f"{place}: {ast.unparse(node)}"
        for place, node in nodes()
        if isinstance(node, ast.IfExp)
        and {"s", ""} == {each.value for each in (node.body, node.orelse) if isinstance(each, ast.Constant)}
    ]
    assert by_hand == []


def test_a_cut_value_between_backticks_is_cited() -> None:
    by_hand = [
        f"{place}: {ast.unparse(value)}"
        for place, value, behind in followed_by()
        if behind.startswith("`") and isinstance(value, ast.Subscript) and isinstance(value.slice, ast.Slice)
    ]
    assert by_hand == []
