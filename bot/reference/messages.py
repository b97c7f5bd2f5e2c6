"""The list of every text that a person may read, extracted from the sources.

A string is listed because of its form, not because of its use: everything that is not clearly something else. So a new text can't
be missed. A string that nobody sees may be listed too, which does no harm.
"""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

from bot.reference.markdown import page

ROOT = Path(__file__).parents[2]
PACKAGES = ("bot", "commands", "runbooks")
LEFT_OUT = {
    "bot/process/crash_points.py": "places where tests kill the bot",
    "bot/reference/": "writes these pages, where its texts stand as they are",
    "runbooks/redaction/blocks/fields.py": "names of fields to look for",
    "runbooks/redaction/columns.py": "names of columns to look for",
    "runbooks/redaction/vendors.py": "names of vendors whose tokens to look for",
}
"""Modules whose strings no user reads, each with the reason."""

_WORDS = re.compile(r"[^\W\d_]\S*\s+\S|\S\s+\S*[^\W\d_]")
_CAPITALISED = re.compile(r"[A-Z][a-z]+(?:[-'][a-z]+)*[….:?]*")
_SMALL_LETTER = re.compile(r"[a-z]")
_SQL = re.compile(
    r"\s*(?:SELECT|INSERT|UPDATE|DELETE|WITH|CREATE (?:TABLE|TRIGGER|INDEX)|PRAGMA|SET(?: LOCAL)?|SHOW|BEGIN|EXPLAIN|PREPARE|EXECUTE"
    r"|DEALLOCATE|json_extract\()\b"
)
_PATTERNS = {"compile", "match", "fullmatch", "search", "sub", "subn", "findall", "finditer"}
_LOG_LEVELS = {"debug", "info", "warning", "error", "exception", "critical"}
_NAMES_ONLY = {"TypeVar", "ParamSpec", "cast", "NewType", "split", "step", "_step", "_though_a_bug"}


def messages() -> str:
    """Return the page: each module with its texts, in source order."""
    listed = [(name, texts) for name, texts in _modules() if texts]
    return page(
        "Messages",
        "Every text of the bot that a person may read: cards, errors, help, findings, what the terminal prints. It is here so that a "
        "review sees each new text in the diff; what stands in braces is filled in. The texts of help and of settings that stand in "
        "docstrings are on the pages [Commands](commands.md) and [Configuration](configuration.md).",
        "A string of the sources is listed when it has two words, or is one word with a capital letter. Not listed are docstrings, "
        "annotations, regular expressions (and other raw strings), SQL, lines of the process log, lists of names (`split()`), names of durable "
        "steps, strings that are only compared, and these modules: "
        + "; ".join(f"`{name}` ({why})" for name, why in LEFT_OUT.items())
        + ".",
        *(f"## {name}\n\n~~~text\n" + "\n".join(texts) + "\n~~~" for name, texts in listed),
    )


def _modules() -> Iterator[tuple[str, list[str]]]:
    for package in PACKAGES:
        for path in sorted((ROOT / package).rglob("*.py")):
            name = path.relative_to(ROOT).as_posix()
            if not name.startswith(tuple(LEFT_OUT)):
                yield name, texts(path.read_text(encoding="utf-8"))


def texts(source: str) -> list[str]:
    """Return the texts of one module, each once, with placeholders for what is filled in."""
    finder = _Finder(source)
    finder.visit(ast.parse(source))
    return list(dict.fromkeys(finder.found))


class _Finder(ast.NodeVisitor):
    def __init__(self, source: str) -> None:
        self.found: list[str] = []
        self._lines = source.encode().splitlines()

    def visit_Constant(self, node: ast.Constant) -> None:
        if isinstance(node.value, str) and not self._is_raw(node):
            self._keep(node.value, node.value)

    def visit_JoinedStr(self, node: ast.JoinedStr) -> None:
        if self._is_raw(node):
            return
        fixed = "".join(str(part.value) for part in node.values if isinstance(part, ast.Constant))
        self._keep("".join(map(_part, node.values)), fixed)
        for part in node.values:
            if isinstance(part, ast.FormattedValue):
                self.visit(part.value)

    def visit_Expr(self, node: ast.Expr) -> None:
        if not isinstance(node.value, ast.Constant):  # a docstring otherwise
            self.generic_visit(node)

    def visit_Call(self, node: ast.Call) -> None:
        name = _label(node.func)
        if isinstance(node.func, ast.Attribute):
            if name in _LOG_LEVELS and _label(node.func.value) in ("log", "_log"):
                return
            if name != "split":
                self.visit(node.func)
        skipped = 1 if name in _PATTERNS or name in _NAMES_ONLY else 0
        for argument in [*node.args[skipped:], *node.keywords]:
            self.visit(argument)

    def visit_Compare(self, node: ast.Compare) -> None:
        for each in (node.left, *node.comparators):
            if not isinstance(each, ast.Constant | ast.Tuple | ast.Set | ast.List):
                self.visit(each)

    def visit_Subscript(self, node: ast.Subscript) -> None:
        self.visit(node.value)
        if not isinstance(node.slice, ast.Constant):
            self.visit(node.slice)

    def visit_MatchValue(self, node: ast.MatchValue) -> None:
        """Skip the value, which is only compared."""

    def visit_Assign(self, node: ast.Assign) -> None:
        if _label(node.targets[0]) not in ("__all__", "__slots__"):
            self.visit(node.value)

    def visit_AnnAssign(self, node: ast.AnnAssign) -> None:
        if node.value:
            self.visit(node.value)

    def visit_arg(self, node: ast.arg) -> None:
        """Skip it: an argument has only a name and an annotation."""

    def visit_FunctionDef(self, node: ast.FunctionDef | ast.AsyncFunctionDef) -> None:
        for each in [*node.decorator_list, node.args, *node.body]:
            self.visit(each)

    def visit_AsyncFunctionDef(self, node: ast.AsyncFunctionDef) -> None:
        self.visit_FunctionDef(node)

    def _is_raw(self, node: ast.expr) -> bool:
        line = self._lines[node.lineno - 1][node.col_offset :]
        return line[:2].lower().startswith((b"r", b"fr"))

    def _keep(self, text: str, fixed: str) -> None:
        if _is_text(fixed):
            self.found.append(text.strip().replace("\n", "\\n"))


def _is_text(fixed: str) -> bool:
    if not _SMALL_LETTER.search(fixed) or _SQL.match(fixed):
        return False
    return bool(_WORDS.search(fixed) or _CAPITALISED.fullmatch(fixed.strip()))


def _part(node: ast.expr) -> str:
    """Return a part of a formatted text: the text, or a placeholder with the value's name."""
    if isinstance(node, ast.Constant):
        return str(node.value)
    return "{" + _label(node) + "}"


def _label(node: ast.AST | None) -> str:
    """Return a short name for an expression that is stable when the code around it is rewritten."""
    match node:
        case ast.Name(id=name) | ast.Attribute(attr=name):
            return name
        case ast.Call(func=ast.Name(), args=[_, *_]):
            return _worded(node)
        case ast.FormattedValue(value=value) | ast.Await(value=value) | ast.Subscript(value=value):
            return _label(value)
        case ast.Call(func=value):
            return _label(value)
        case ast.Constant(value=str(text)):
            return text.strip()
        case ast.IfExp(body=one, orelse=other):
            return "|".join(filter(None, (_label(one), _label(other))))
        case ast.BoolOp(op=ast.Or(), values=values):
            return "|".join(filter(None, map(_label, values)))
        case ast.JoinedStr(values=values):
            return "".join(map(_part, values)).strip()
    return "…"


def _worded(call: ast.Call) -> str:
    """Return what a call puts into a text: what the functions of `runbooks.wording` say, else the function's name."""
    match call:
        case ast.Call(func=ast.Name(id="by_count"), args=[_, one, many]):
            return f"{_label(one)}|{_label(many)}"
        case ast.Call(func=ast.Name(id="counted"), args=[_, ast.Constant(value=str(what))]):
            return f"{what}s"
        case ast.Call(func=ast.Name(id="counted" | "part_of"), args=[_, *_, ast.Constant(value=str(many))]):
            return many
        case ast.Call(func=ast.Name(id="capital" | "cited" | "listed" | "sentence"), args=[value, *_]):
            return _label(value)
    return _label(call.func)
