"""JSON over several lines, as `JSON.stringify(x, null, 2)`, `kubectl -o json`, Node's `util.inspect` and Python's `pprint` write it; FHIR
and DICOM also on one line, behind a log's prefix or as a text within other JSON.
"""

import re

from runbooks.redaction.begins import STANDARD_JSON
from runbooks.redaction.blocks.documents import what_dicom_tells
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
from runbooks.redaction.marks import MARK, PrivateKind

_WITHIN_MOST = 4
"""JSON as a text in JSON, so often; what is deeper is withheld."""


def _tokens(depth: int) -> re.Pattern[bytes]:
    r"""Tokens of JSON that is a text in JSON, so many times: `{\"a\":1}` once.

    Before a quotation mark that ends or begins a text stand 2^depth - 1 backslashes, behind any number of escaped backslashes.
    """
    escape = 1 << depth
    quote = rb"\\{%d}\"" % (escape - 1) if depth else b'"'
    backslashes = rb"(?:\\{%d})*+" % (2 * escape)
    said = rb"(?:[^\"\\]++|\\++(?!\")|%s\\{%d}\")*+%s" % (backslashes, 2 * escape - 1, backslashes)
    said_singly = rb"(?:[^'\\]++|\\++(?!')|%s\\{%d}')*+%s" % (backslashes, escape, backslashes)
    return re.compile(
        rb"(?P<space>(?:[\s,]|\\{1,16}+[nrt])++)|(?P<open>[\[{])|(?P<close>[\]}])|(?P<colon>:)"
        rb"|(?P<string>%s(?P<double>%s)(?P<ended>%s)?|(?<![A-Za-z0-9])'(?P<single>%s)(?P<ends>')?)"
        rb"|(?P<word>[^\s,\[\]{}\"':\\]++)|(?P<other>.)" % (quote, said, quote, said_singly),
        re.DOTALL,
    )


_TOKENS = [_tokens(depth) for depth in range(_WITHIN_MOST + 1)]
_ESCAPES = re.compile(rb"[\[{](?:\s|\\{1,16}+[nrt]){0,200}+(?P<escapes>\\*+)\"")
_RESTS = {
    quote: re.compile(rb"[^%c\\]*+(?:\\.?[^%c\\]*+)*+" % (quote[0], quote[0]), re.DOTALL) for quote in (b'"', b"'")
}
_KEY_ENDS = re.compile(rb"(?:\s|\\{1,16}+[nrt])*+:")
_GOES_ON = re.compile(
    rb"\s*+(?:[\"'\[\]{}]|-?\d[\d.eE+-]*+\s*+,?\s*+[\]}]*+,?\s*+$|(?:true|false|null|undefined|None|True|False)\s*+,?\s*+$|[\w$]++\s*+:\s|$)"
)
_STANDARD = re.compile(STANDARD_JSON)
_TYPE = re.compile(rb"[A-Z][A-Za-z]{2,60}")
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


def is_resource(kind: object) -> bool:
    """Whether this is what a FHIR resource has as its `resourceType`."""
    return isinstance(kind, str) and _TYPE.fullmatch(kind.encode(errors="replace")) is not None


def is_orphan(line: bytes, at: int) -> bool:
    """Only a JSON text has such a line, and where its beginning was not seen nobody knows what the line says."""
    found = _ORPHAN.match(line, at)
    return found is not None and (found["colon"] is None or plain(found["text"]) in AMBIGUOUS)


_NAMES = frozenset((b"name", b"key", b"Name", b"Key", b"variable"))
_VALUES = frozenset((b"value", b"Value", b"val", b"defaultValue", b"SecretString"))
_BARE_LITERALS = frozenset((b"true", b"false", b"null", b"undefined", b"None", b"True", b"False"))


_TAG = re.compile(rb"[0-9A-Fa-f]{4},?[0-9A-Fa-f]{4}")
_OF_AN_ELEMENT = frozenset((b"Value", b"Alphabetic", b"Ideographic", b"Phonetic", b"InlineBinary", b"BulkDataURI"))
_TOO_DEEP = "{lines} withheld: JSON nested too deeply"


class _Level:
    """One open bracket."""

    __slots__ = ("bracket", "clinical", "context", "key", "late", "of_secret", "secret", "tag", "vr")

    def __init__(self, bracket: bytes, key: bytes, context: FieldContext, outer: "_Level | None" = None) -> None:
        self.bracket = bracket
        self.key = key
        self.context = context
        self.clinical: bool = outer is not None and outer.clinical
        """It stands in a FHIR resource."""
        self.late = 0
        """So much of what only a FHIR resource would hide stood before it on the line."""
        self.tag: bytes = outer.tag if outer is not None else b""
        self.vr: bytes = outer.vr if outer is not None else b""
        """The DICOM element that it stands in, and that element's kind of value."""
        if outer is not None and bracket == b"{" and _TAG.fullmatch(outer.key):
            self.tag, self.vr = outer.key.replace(b",", b"").lower(), b""
        self.secret: PrivateKind | None = None
        """What a `name` in it says that its `value` is."""
        self.of_secret = False
        """Its `kind` says that it is a Secret."""


class JsonLines:
    """From the line whose bracket stays open to the one that closes it, or that has a FHIR resource or DICOM's JSON."""

    def __init__(self, *, within: bool = False, nested: int = 0, depth: int = 0) -> None:
        """`within`: a first line that is indented, or is a member of something, has its beginning before it. `nested`: it is a text in
        JSON, so many times.
        """
        self.steps = 0
        self._nested = nested
        self._depth = depth
        """How often quotation marks are escaped here."""
        self._looks_back = False
        self._late: list[Found] = []
        """What goes if it turns out that it stood in a FHIR resource: what names one may stand behind it."""
        self._within = within
        self._levels: list[_Level] = []
        self._deeper = 0
        self._string = b""
        """The quotation mark of a text that goes on in the next line."""
        self._string_kind: PrivateKind | None = None
        self._begun = False
        self._prefixed = False
        """Before the bracket stands what it is: `patient: {`."""

    @staticmethod
    def is_standard(line: bytes, at: int, end: int | None = None) -> bool:
        """There is FHIR or DICOM as JSON."""
        end = len(line) if end is None else end
        return (begins := line.find(b"{", at, end)) >= 0 and _STANDARD.search(line, begins, end) is not None

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
        deep = self._scan(line, at, len(line), parts)
        then = Then.MORE if self._levels or self._string else Then.OVER
        if deep:
            return Read(then, withheld=_TOO_DEEP)
        return Read(then, parts)

    def _scan(self, line: bytes, at: int, end: int, parts: list[Found]) -> bool:
        """Read what is there of JSON; True where it is nested too deeply."""
        deep = self._deeper > 0
        self._looks_back = line.find(b"resourceType", at, end) >= 0
        self._late.clear()
        for level in self._levels:
            level.late = 0
        while at < end:
            if not self._levels and line[at] not in b"[{" and (at := line.find(b"{", at, end)) < 0:
                break  # between two of them a log says something
            token = _TOKENS[self._depth].match(line, at, end)
            assert token is not None, "any sign is a token"
            self.steps += 1
            match token.lastgroup:
                case "open":
                    deep |= self._escaped_too_often(line, at, end) or self._open(token.group())
                case "close":
                    self._close()
                case "string" | "word":
                    deep |= self._text(line, token, end, parts)
            at = token.end()
        self._looks_back = False
        return deep

    def _escaped_too_often(self, line: bytes, at: int, end: int) -> bool:
        """Look how often quotation marks behind this bracket are escaped: if not as before, what was open was no JSON."""
        found = _ESCAPES.match(line, at, end)
        depth = len(found["escapes"]).bit_length() if found is not None else self._depth
        if depth > _WITHIN_MOST:
            return True
        if depth != self._depth:
            self._levels.clear()
            self._depth = depth
        return False

    def _begin(self, line: bytes, at: int) -> int:
        """Where the JSON begins on its first line."""
        self._begun = True
        if _MEMBER.match(line, at) is not None or (self._within and line[at : at + 1] in (b" ", b"\t")):
            # the bracket around it was not seen: it could be a patient's
            self._levels.append(_Level(b"{", b"", FieldContext.UNSEEN if self._within else FieldContext.NONE))
            self._levels[-1].clinical = self._within
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
        self._levels.append(_Level(bracket, outer.key if bracket == b"[" else b"", context, outer))
        self._levels[-1].late = len(self._late)
        return False

    def _close(self) -> None:
        if self._deeper:
            self._deeper -= 1
        elif self._levels:
            self._levels.pop()
            if self._prefixed and len(self._levels) == 1:
                self._levels.clear()

    def _text(self, line: bytes, token: re.Match[bytes], end: int, parts: list[Found]) -> bool:
        """Return whether what is in it is nested too deeply."""
        if not self._levels or self._deeper:
            return False
        level = self._levels[-1]
        quoted = token.lastgroup == "string"
        whole = not quoted or token["ended"] is not None or token["ends"] is not None
        first, last = token.span(("single" if token["double"] is None else "double") if quoted else "word")
        if level.bracket == b"{" and whole and _KEY_ENDS.match(line, token.end(), end) is not None:
            self._key(level, line[first:last])
            return False
        kind = self._value(level, line, first, last, quoted=quoted, parts=parts)
        deep = False
        if kind is None and quoted and JsonLines.is_standard(line, first, last):
            if self._nested == _WITHIN_MOST:
                return True
            inner = JsonLines(nested=self._nested + 1, depth=min(self._depth + 1, _WITHIN_MOST))
            deep = inner._scan(line, first, last, parts)
            self.steps += inner.steps
            kind = PrivateKind.NARRATIVE
        if not whole and not self._nested and not self._depth:
            self._string, self._string_kind = line[token.start() : token.start() + 1], kind
        return deep

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

    def _value(
        self, level: _Level, line: bytes, first: int, last: int, *, quoted: bool, parts: list[Found]
    ) -> PrivateKind | None:
        value = line[first:last]
        if not quoted and value in _BARE_LITERALS:
            return None
        if level.key in _NAMES and is_secret(value):
            level.secret = secret_kind(value)
        level.of_secret = level.of_secret or says_secret(level.key, value)
        if level.key == b"resourceType" and _TYPE.fullmatch(value):
            level.clinical = True
            parts += self._late[level.late :]
            del self._late[level.late :]
        elif level.tag and level.key == b"vr":
            level.vr = value
        kind = judge(level.key, level.context, value, clinical=level.clinical and quoted)
        if kind is None and level.tag and level.key in _OF_AN_ELEMENT:
            kind = what_dicom_tells(level.vr, level.tag, value)
        if kind is None and level.key in _VALUES and not is_placeholder(value) and MARK.fullmatch(value) is None:
            kind = level.secret
        if kind is not None and first < last:
            parts.append(Found(kind, first, last, quote=b"" if quoted else self._quote()))
        elif self._looks_back and first < last and not level.clinical and quoted:
            kind_of_resource = judge(level.key, level.context, value, clinical=True)
            if kind_of_resource is not None:
                self._late.append(Found(kind_of_resource, first, last))
        return kind

    def _quote(self) -> bytes:
        """What begins and ends a text here."""
        return b"\\" * ((1 << self._depth) - 1) + b'"'

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
