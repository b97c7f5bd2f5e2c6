"""XML, on one line or over several: C-CDA and FHIR documents, and elements or attributes of any XML that are named like a secret.

In a clinical document every text and every `value` that is no code goes; in any other XML what a field's name says.
"""

import re
from collections import Counter

from runbooks.redaction.blocks.fields import FieldContext, context_of, is_secret, judge, kind_of, plain, secret_kind
from runbooks.redaction.blocks.reading import DEEPEST, FOREIGN, RECORD, Found, Read, Then
from runbooks.redaction.checks import is_placeholder
from runbooks.redaction.marks import MARK, PrivateKind

_OPENS = re.compile(rb"<\?xml\s|</[A-Za-z][\w:.-]{0,80}+\s*+>|/>|<[A-Za-z][\w:.-]{0,80}+(?:\s++[\w:.-]++\s*+=|>?\s*+$)")
_NAME = re.compile(rb"[A-Za-z_][\w:.-]*+")
_ATTRIBUTE = re.compile(rb"\s*+([\w:.-]++)\s*+=\s*+([\"'])")
_TAG_ENDS = re.compile(rb"\s*+(/?)>")
_CLINICAL = re.compile(rb"urn:hl7-org:v3|http://hl7\.org/fhir")
_TEXT_PARTS = {
    **dict.fromkeys((b"given", b"family", b"prefix", b"suffix", b"name", b"delimiter"), PrivateKind.NAME),
    **dict.fromkeys(
        (
            b"streetaddressline", b"housenumber", b"streetname", b"city", b"state", b"postalcode", b"county", b"country", b"addr",
            b"additionallocator", b"precinct",
        ),
        PrivateKind.ADDRESS,
    ),
}  # fmt: skip
_TIMES = frozenset((b"effectivetime", b"low", b"high", b"time", b"center"))
_PAIRS = frozenset((b"name", b"key", b"id", b"property"))
_COMMENT, _CDATA = b"-->", b"]]>"


_ENDS_A_TAG = re.compile(rb"\s*+(?:[\w:.-]++\s*+=\s*+(?:\"[^\"]*+\"|'[^']*+')\s*+)++/?>")
_CLOSES_A_TAG = re.compile(rb"[^<]*+</")


def ends_what_was_not_seen(line: bytes, at: int) -> bool:
    """A tag or an element ends here that did not begin here."""
    return _CLOSES_A_TAG.match(line, at) is not None or _ENDS_A_TAG.match(line, at) is not None


class _Element:
    __slots__ = ("around", "clinical", "context", "kind", "name", "secret")

    def __init__(self, written: bytes, outer: "_Element | None", *, clinical: bool) -> None:
        self.name = name = plain(written)
        self.clinical = clinical or name == b"clinicaldocument"
        # where the beginning was not seen, what `display` shows may be a person
        self.around: FieldContext = (
            outer.context if outer else FieldContext.REFERENCE if clinical else FieldContext.NONE
        )
        self.context: FieldContext = context_of(name, self.around)
        self.secret: PrivateKind | None = None
        self.kind: PrivateKind | None = kind_of(written.rsplit(b":", 1)[-1])
        """What its text tells."""
        if self.clinical:
            self.becomes_clinical()

    def becomes_clinical(self) -> None:
        """All of its text goes."""
        self.clinical = True
        self.kind = _TEXT_PARTS.get(self.name) or self.kind or PrivateKind.NARRATIVE


def _value(tag: _Element, value: bytes) -> PrivateKind | None:
    """What the attribute `value` tells: FHIR has all its data there, C-CDA numbers, times and telephones, and others a secret."""
    if tag.secret is not None:
        return tag.secret
    if tag.clinical and tag.name in _TIMES:
        return PrivateKind.DATE
    if tag.name == b"telecom":
        return PrivateKind.EMAIL if b"@" in value else PrivateKind.PHONE
    return judge(tag.name, tag.around, value, clinical=tag.clinical)


class Xml:
    """From the first tag to the one that closes it."""

    def __init__(self, *, clinical: bool = False, goes_on: bool = False) -> None:
        """`clinical`: the beginning was not seen, so that it could be such a document; `goes_on`: some of it was."""
        self.steps = 0
        self._clinical = clinical
        self._open: list[_Element] = []
        self._names: Counter[bytes] = Counter()
        self._deeper = 0
        self._tag: _Element | None = None
        """The tag that is not closed yet: its attributes may stand on lines of their own."""
        self._quote = b""
        self._quote_kind: PrivateKind | None = None
        self._until = b""
        """What ends the comment or the literal text."""
        self._begun = goes_on

    @staticmethod
    def opens(line: bytes, at: int) -> bool:
        """There is a tag that is more than a type's parameter or a method's name."""
        return b"<" in line and _OPENS.search(line, at) is not None

    def read(self, line: bytes, at: int) -> Read:
        """As `Reader` says."""
        if self._begun and RECORD.match(line, at):
            return FOREIGN
        first, self._begun = not self._begun, True
        parts: list[Found] = []
        deep = self._deeper > 0
        if first:
            at = max(line.find(b"<", at), at)
        while at < len(line):
            self.steps += 1
            if self._tag is not None:
                at = self._attributes(line, at, parts)
            elif self._until:
                end = line.find(self._until, at)
                self._said(line, at, len(line) if end < 0 else end, parts)
                if end < 0:
                    break
                at, self._until = end + len(self._until), b""
            else:
                at = self._content(line, at, parts)
            deep |= self._deeper > 0
        then = Then.MORE if self._open or self._tag is not None or self._until else Then.OVER
        return Read(then, withheld="{lines} withheld: XML nested too deeply") if deep else Read(then, parts)

    def _content(self, line: bytes, at: int, parts: list[Found]) -> int:
        tag = line.find(b"<", at)
        if tag < 0:
            self._said(line, at, len(line), parts)
            return len(line)
        self._said(line, at, tag, parts)
        if line.startswith(b"<!--", tag):
            self._until = _COMMENT
            return tag + 4
        if line.startswith(b"<![CDATA[", tag):
            self._until = _CDATA
            return tag + 9
        if line.startswith((b"<?", b"<!"), tag):
            end = line.find(b">", tag)
            return len(line) if end < 0 else end + 1
        closes = line.startswith(b"</", tag)
        name = _NAME.match(line, tag + (2 if closes else 1))
        if name is None:
            self._said(line, tag, tag + 1, parts)
            return tag + 1
        local = plain(name.group())
        if closes:
            self._close(local)
            end = line.find(b">", name.end())
            return len(line) if end < 0 else end + 1
        outer = self._open[-1] if self._open else None
        clinical = outer.clinical if outer else self._clinical
        self._tag = _Element(name.group(), outer, clinical=clinical)
        return name.end()

    def _attributes(self, line: bytes, at: int, parts: list[Found]) -> int:
        tag = self._tag
        assert tag is not None, "asked before"
        if self._quote:
            end = line.find(self._quote, at)
            last = len(line) if end < 0 else end
            if self._quote_kind is not None and last > at:
                parts.append(Found(self._quote_kind, at, last))
            if end < 0:
                return len(line)
            self._quote = b""
            return end + 1
        if (ends := _TAG_ENDS.match(line, at)) is not None:
            self._tag = None
            if not ends[1]:
                self._push(tag)
            return ends.end()
        attribute = _ATTRIBUTE.match(line, at)
        if attribute is None:
            if line[at : at + 1] == b"<":  # the tag was none
                self._tag = None
                return at
            word = _NAME.match(line, at)
            return word.end() if word is not None else at + 1
        start = attribute.end()
        end = line.find(attribute[2], start)
        last = len(line) if end < 0 else end
        value = line[start:last]
        kind = self._judged(tag, plain(attribute[1]), attribute[1], value)
        if kind is not None and last > start:
            parts.append(Found(kind, start, last))
        if end < 0:
            self._quote, self._quote_kind = attribute[2], kind
            return last
        return last + 1

    def _judged(self, tag: _Element, name: bytes, key: bytes, value: bytes) -> PrivateKind | None:
        if key.startswith(b"xmlns"):
            if _CLINICAL.fullmatch(value):
                tag.becomes_clinical()
            return None
        if is_placeholder(value) or MARK.fullmatch(value):
            return None
        if name in _PAIRS and is_secret(value):
            tag.secret = tag.kind = secret_kind(value)
            return None
        if name == b"value":
            return _value(tag, value)
        if tag.clinical and name in (b"extension", b"id"):
            return PrivateKind.MRN if name == b"extension" else None
        return judge(key, FieldContext.NONE, value)

    def _push(self, element: _Element) -> None:
        if len(self._open) >= DEEPEST:
            self._deeper += 1
            return
        self._open.append(element)
        self._names[element.name] += 1

    def _close(self, name: bytes) -> None:
        """Elements that nobody closed (HTML's `br`, a type's parameter) close with the one around them."""
        if self._deeper:
            self._deeper -= 1
            return
        if not self._names[name]:
            return
        while self._open:
            self.steps += 1
            closed = self._open.pop()
            self._names[closed.name] -= 1
            if closed.name == name:
                return

    def _said(self, line: bytes, start: int, end: int, parts: list[Found]) -> None:
        """Text between two tags."""
        while start < end and line[start] in b" \t\r":
            start += 1
        while start < end and line[end - 1] in b" \t\r":
            end -= 1
        if start == end:
            return
        kind = self._open[-1].kind if self._open else (PrivateKind.NARRATIVE if self._clinical else None)
        if self._until == _COMMENT:
            kind = PrivateKind.NARRATIVE if self._open and self._open[-1].clinical else None
        value = line[start:end]
        if kind is not None and not is_placeholder(value) and MARK.fullmatch(value) is None:
            parts.append(Found(kind, start, end))
