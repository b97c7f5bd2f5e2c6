"""YAML: `- name: DB_PASSWORD` with `value:` on the next line, texts of several lines behind `|`, a Secret's data, lists under a name."""

import re

from runbooks.redaction.blocks.fields import (
    FieldContext,
    context_of,
    is_secret,
    judge,
    kind_of,
    says_secret,
    secret_kind,
)
from runbooks.redaction.blocks.reading import DEEPEST, FOREIGN, RECORD, Found, Read, Then
from runbooks.redaction.checks import is_placeholder
from runbooks.redaction.marks import MARK, PrivateKind, without_forged

_OPENS = re.compile(
    rb"[ ]*+(?:-[ ]++)*+(?:[\w./$-]{1,80}+:(?:[ ]*+[|>][+-]?\d?)?[ ]*+$|(?:name|key):[ ]*+[\"']?[\w.-]{1,80}+[\"']?[ ]*+$|kind:[ ]++Secret[ ]*+$)"
)
_LINE = re.compile(
    rb"(?P<indent>[ ]*+)(?P<dashes>(?:-[ ]++)*+)(?:(?P<key>[\w./$-]{1,80}+|\"[^\"]{1,80}+\"|'[^']{1,80}+'):(?:[ ]++|$))?(?P<value>.*+)"
)
_BLOCK_TEXT = re.compile(rb"[|>][+-]?\d?[ ]*+(?:#.*+)?")
_NAMES = frozenset((b"name", b"key"))


class _Level:
    __slots__ = ("context", "indent", "key", "of_secret", "secret")

    def __init__(self, indent: int, context: FieldContext) -> None:
        self.indent = indent
        self.context = context
        self.key = b""
        self.secret: PrivateKind | None = None
        self.of_secret = False


class YamlLines:
    """From a key with nothing behind it to the first line that is not indented like what it holds."""

    def __init__(self) -> None:
        self.steps = 0
        self._levels: list[_Level] = []
        self._base = -1
        self._text_indent = -1
        """Lines that are indented more than so much are one text."""
        self._text_kind: PrivateKind | None = None

    @staticmethod
    def opens(line: bytes, at: int) -> bool:
        """A key that has what is under it on the next lines, or names what stands there."""
        return _OPENS.match(line, at) is not None

    def read(self, line: bytes, at: int) -> Read:
        """As `Reader` says."""
        self.steps += 1
        found = _LINE.match(line, at)
        if found is None or (self._base >= 0 and RECORD.match(line, at)):
            return FOREIGN
        indent = len(found["indent"])
        if at + indent == len(line):
            return Read(Then.MORE)
        if self._text_indent >= 0:
            if indent > self._text_indent:
                return Read(Then.MORE, [Found(self._text_kind, at + indent, len(line))] if self._text_kind else [])
            self._text_indent = -1
        key, dashes = found["key"], len(found["dashes"])
        if self._base < 0:
            self._base = indent
        elif indent < self._base or (key is None and not dashes and indent <= self._base):
            return FOREIGN
        column = indent + dashes
        if not self._level(indent, column, new=bool(dashes)):
            return Read(Then.MORE, withheld="{lines} withheld: YAML nested too deeply")
        return Read(Then.MORE, self._parts(line, found, key, column))

    def _level(self, indent: int, column: int, *, new: bool) -> bool:
        levels = self._levels
        while levels and (levels[-1].indent > column or (new and levels[-1].indent > indent)):
            self.steps += 1
            levels.pop()
        if levels and levels[-1].indent == column:
            return True
        if len(levels) >= DEEPEST:
            return False
        outer = levels[-1] if levels else None
        level = _Level(
            column, context_of(outer.key, outer.context, of_secret=outer.of_secret) if outer else FieldContext.NONE
        )
        if outer is not None:
            level.key = outer.key
        levels.append(level)
        return True

    def _parts(self, line: bytes, found: re.Match[bytes], key: bytes | None, column: int) -> list[Found]:
        level = self._levels[-1]
        if key is not None:
            level.key = key.strip(b"\"'")
            if level.key in _NAMES and found["dashes"]:
                level.secret = None
        if found["dashes"]:
            level.of_secret = False
        start, end = found.span("value")
        while end > start and line[end - 1] in b" \t,":
            end -= 1
        if start == end:
            return []
        value = line[start:end]
        if _BLOCK_TEXT.fullmatch(value):
            self._text_indent = column if key is not None else column - 1
            self._text_kind = self._kind(level, b"")
            return []
        if len(value) > 1 and value[:1] in b"\"'" and value[-1:] == value[:1]:
            start, end = start + 1, end - 1
            value = line[start:end]
        if level.key in _NAMES and is_secret(value):
            level.secret = secret_kind(value)
            return []
        level.of_secret = level.of_secret or says_secret(level.key, value)
        kind = self._kind(level, value)
        return [Found(kind, start, end)] if kind is not None and value else []

    def _kind(self, level: _Level, value: bytes) -> PrivateKind | None:
        if level.key in (b"value", b"val") and level.secret is not None:
            return None if value and (is_placeholder(value) or MARK.fullmatch(value)) else level.secret
        if not value:
            return (
                kind_of(level.key)
                or (PrivateKind.SECRET if level.context is FieldContext.SEALED else None)
                or (PrivateKind.SECRET if level.context is FieldContext.DATA and is_secret(level.key) else None)
            )
        return None if without_forged(value)[:1] in b"&*!{[" else judge(level.key, level.context, value)
