"""JSON over several lines, as `JSON.stringify(x, null, 2)`, `kubectl -o json`, Node's `util.inspect` and Python's `pprint` write it."""

import re

from runbooks.redaction.blocks.fields import (
    AMBIGUOUS,
    FieldContext,
    context_of,
    is_secret,
    judge,
    plain,
    says_secret,
    secret_kind,
)
from runbooks.redaction.blocks.reading import DEEPEST, FOREIGN, RECORD, Found, Read, Then
from runbooks.redaction.checks import is_placeholder
from runbooks.redaction.rules import MARK, PrivateKind

_TOKEN = re.compile(
    rb"(?P<space>[\s,]++)|(?P<open>[\[{])|(?P<close>[\]}])|(?P<colon>:)"
    rb"|(?P<string>\"[^\"\\]*+(?:\\.?[^\"\\]*+)*+(?:\"|$)|'[^'\\]*+(?:\\.?[^'\\]*+)*+(?:'|$))|(?P<word>[^\s,\[\]{}\"':]++)",
    re.DOTALL,
)
_RESTS = {
    quote: re.compile(rb"[^%c\\]*+(?:\\.?[^%c\\]*+)*+" % (quote[0], quote[0]), re.DOTALL) for quote in (b'"', b"'")
}
_KEY_ENDS = re.compile(rb"\s*+:")
_GOES_ON = re.compile(
    rb"\s*+(?:[\"'\[\]{}]|-?\d[\d.eE+-]*+\s*+,?\s*+[\]}]*+,?\s*+$|(?:true|false|null|undefined|None|True|False)\s*+,?\s*+$|[\w$]++\s*+:\s|$)"
)
_OPENS = re.compile(rb"[\[{]\s*+$")
_PAIRED = re.compile(rb"\"(?:name|key|Name|Key)\"\s*+:\s*+\"[\w.-]{1,80}\"")
_MEMBER_LINE = re.compile(
    rb"\s*+(?:\"(?P<key>[^\"\\]*+)\"\s*+:\s*+(?:\"(?P<text>[^\"\\]*+)\"|(?P<open>[\[{]))|(?P<close>[\]}]))\s*+,?\s*+$"
)
"""How nearly every line of such a text is."""
_ORPHAN = re.compile(
    rb"\s*+\"(?P<text>[^\"\\]*+(?:\\.[^\"\\]*+)*+)\"\s*+(?:,?\s*+$|(?P<colon>:)\s*+(?:\"[^\"\\]*+(?:\\.[^\"\\]*+)*+\"|-?[\d.eE+-]++|true|false|null)\s*+,?\s*+$)"
)
_MEMBER = re.compile(rb"\s*+(?:[\"'][^\"']*+[\"']\s*+:\s*+[\[{]|(?<=\s)[\w$]++:\s++[\[{])")
_ONLY_BRACKETS = re.compile(rb"[\[{\s]++")
_KEY_BEFORE = re.compile(rb"([\w-]{1,80})[\"']?\s*+[:=]\s*+$")


def is_orphan(line: bytes, at: int) -> bool:
    """Only a JSON text has such a line, and where its beginning was not seen nobody knows what the line says."""
    found = _ORPHAN.match(line, at)
    return found is not None and (found["colon"] is None or plain(found["text"]) in AMBIGUOUS)


_NAMES = frozenset((b"name", b"key", b"Name", b"Key", b"variable"))
_VALUES = frozenset((b"value", b"Value", b"val", b"defaultValue", b"SecretString"))
_BARE_LITERALS = frozenset((b"true", b"false", b"null", b"undefined", b"None", b"True", b"False"))


_TOO_DEEP = "{lines} withheld: JSON nested too deeply"


class _Level:
    """One open bracket."""

    __slots__ = ("bracket", "context", "key", "of_secret", "secret")

    def __init__(self, bracket: bytes, key: bytes, context: FieldContext) -> None:
        self.bracket = bracket
        self.key = key
        self.context = context
        self.secret: PrivateKind | None = None
        """What a `name` in it says that its `value` is."""
        self.of_secret = False
        """Its `kind` says that it is a Secret."""


class JsonLines:
    """From the line whose bracket stays open to the one that closes it."""

    def __init__(self, *, within: bool = False) -> None:
        """`within`: a first line that is indented, or is a member of something, has its beginning before it."""
        self.steps = 0
        self._within = within
        self._levels: list[_Level] = []
        self._deeper = 0
        self._clinical = False
        self._string = b""
        """The quotation mark of a text that goes on in the next line."""
        self._string_kind: PrivateKind | None = None
        self._begun = False
        self._prefixed = False
        """Before the bracket stands what it is: `patient: {`."""

    @staticmethod
    def opens(line: bytes, at: int) -> bool:
        """The line leaves a bracket open, or names a secret beside its value."""
        return (
            _OPENS.search(line, max(at, len(line) - 40)) is not None
            or _PAIRED.search(line, at) is not None
            or _MEMBER.match(line, at) is not None
        )

    def read(self, line: bytes, at: int) -> Read:
        """As `Reader` says."""
        parts: list[Found] = []
        member = None if self._string or self._deeper or not self._levels else _MEMBER_LINE.match(line, at)
        if member is not None and (member["close"] or self._levels[-1].bracket == b"{"):
            return self._member(line, member)
        if not self._begun:
            at = self._begin(line, at)
        elif RECORD.match(line, at) or (not self._string and _GOES_ON.match(line, at) is None):
            return FOREIGN
        if self._string:
            at = self._rest_of_string(line, at, parts)
        deep = self._deeper > 0
        while at < len(line) and (token := _TOKEN.match(line, at)) is not None:
            self.steps += 1
            at = token.end()
            match token.lastgroup:
                case "open":
                    deep |= self._open(token.group())
                case "close":
                    self._close()
                case "string" | "word":
                    self._text(line, token.start(), at, quoted=token.lastgroup == "string", parts=parts)
        then = Then.MORE if self._levels or self._string else Then.OVER
        if deep:
            return Read(then, withheld=_TOO_DEEP)
        return Read(then, parts)

    def _begin(self, line: bytes, at: int) -> int:
        """Where the JSON begins on its first line."""
        self._begun = True
        if _MEMBER.match(line, at) is not None or (self._within and line[at : at + 1] in (b" ", b"\t")):
            # the bracket around it was not seen: it could be a patient's
            self._levels.append(_Level(b"{", b"", FieldContext.UNSEEN if self._within else FieldContext.NONE))
            self._clinical = self._within
            return at
        begins = _first_bracket(line, at)
        if (key := _KEY_BEFORE.search(line, max(at, begins - 100), begins)) is not None:
            self._levels.append(_Level(b"{", key[1], FieldContext.NONE))
            self._prefixed = True
        return begins

    def _open(self, bracket: bytes) -> bool:
        if len(self._levels) >= DEEPEST:
            self._deeper += 1
            return True
        if not self._levels:
            self._levels.append(_Level(bracket, b"", FieldContext.NONE))
            return False
        outer = self._levels[-1]
        context = outer.context if bracket == b"[" else context_of(outer.key, outer.context, of_secret=outer.of_secret)
        if outer.context is FieldContext.UNSEEN and not outer.key:
            context = FieldContext.UNSEEN
        # what stands in a list stands under the list's key
        self._levels.append(_Level(bracket, outer.key if bracket == b"[" else b"", context))
        return False

    def _close(self) -> None:
        if self._deeper:
            self._deeper -= 1
        elif self._levels:
            self._levels.pop()
            if self._prefixed and len(self._levels) == 1:
                self._levels.clear()

    def _text(self, line: bytes, start: int, end: int, *, quoted: bool, parts: list[Found]) -> None:
        if not self._levels or self._deeper:
            return
        level = self._levels[-1]
        whole = not quoted or (
            end - start > 1 and line[end - 1] == line[start] and not _is_escaped(line, start, end - 1)
        )
        if level.bracket == b"{" and whole and _KEY_ENDS.match(line, end) is not None:
            self._key(level, line[start + 1 : end - 1] if quoted else line[start:end])
            return
        first, last = (start + 1, end - 1 if whole else end) if quoted else (start, end)
        kind = self._value(level, line, first, last, quoted=quoted, parts=parts)
        if not whole:
            self._string, self._string_kind = line[start : start + 1], kind

    def _member(self, line: bytes, member: re.Match[bytes]) -> Read:
        """A line with one key and a text or an opening bracket behind it, or with a closing one."""
        self.steps += 1
        if member["close"]:
            self._close()
            return Read(Then.MORE if self._levels else Then.OVER)
        level, parts = self._levels[-1], list[Found]()
        self._key(level, member["key"])
        if member["open"] is None:
            self._value(level, line, *member.span("text"), quoted=True, parts=parts)
        elif self._open(member["open"]):
            return Read(Then.MORE, withheld=_TOO_DEEP)
        return Read(Then.MORE, parts)

    def _key(self, level: _Level, key: bytes) -> None:
        level.key = key
        if key == b"resourceType":
            self._clinical = True

    def _value(
        self, level: _Level, line: bytes, first: int, last: int, *, quoted: bool, parts: list[Found]
    ) -> PrivateKind | None:
        value = line[first:last]
        if not quoted and value in _BARE_LITERALS:
            return None
        if level.key in _NAMES and is_secret(value):
            level.secret = secret_kind(value)
        level.of_secret = level.of_secret or says_secret(level.key, value)
        kind = judge(level.key, level.context, value, clinical=self._clinical and quoted)
        if kind is None and level.key in _VALUES and not is_placeholder(value) and MARK.fullmatch(value) is None:
            kind = level.secret
        if kind is not None and first < last:
            parts.append(Found(kind, first, last, bare=not quoted))
        return kind

    def _rest_of_string(self, line: bytes, at: int, parts: list[Found]) -> int:
        rest = _RESTS[self._string].match(line, at)
        end = rest.end() if rest is not None else at
        if self._string_kind is not None and end > at:
            parts.append(Found(self._string_kind, at, end))
        if end < len(line):
            self._string = b""
            return end + 1
        return end


def _first_bracket(line: bytes, at: int) -> int:
    """Where the JSON begins: before it is the program's own prefix, whose brackets are closed again (`[main] INFO {`)."""
    while line[at : at + 1] in (b" ", b"\t"):
        at += 1
    if _ONLY_BRACKETS.fullmatch(line, at):
        return at
    begins = line.find(b"{", at)
    if begins < 0 and line.rstrip().endswith(b"["):
        begins = line.rindex(b"[")
    return begins if begins >= 0 else len(line)


def _is_escaped(line: bytes, start: int, at: int) -> bool:
    count = 0
    while at - 1 - count > start and line[at - 1 - count] == 0x5C:  # noqa: PLR2004 - a backslash
        count += 1
    return count % 2 == 1
