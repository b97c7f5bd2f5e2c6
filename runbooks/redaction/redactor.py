"""What must never leave the process: secrets and patient data become typed marks, on every way out.

Every text passes through here: Slack messages, terminal answers, the bot's log, the audit log, what is
kept with a run. One pass: google-re2 looks through the bytes with a few alternations (`redaction.rules`), exact checks
follow on hits only (`redaction.parts`), and the exact values of Secrets that the bot has read are sought in all their
forms (`redaction.known`). A text without a hit costs these searches and comes back as it was. What wears a disguise (colours inside a number,
signs without width, escapes) is read without it too (`redaction.disguise`).

    redactor = default_redactor()
    redactor.redact("MRN 1234567 of patient Maria Lopez").text   # 'MRN [mrn 1] of patient [name 1]'

    answer = redactor.scope()            # the same value gets the same number in all texts of one answer
    answer.redact(summary), answer.redact(log)

A mark says the kind and a number, never anything made from the value. Marks survive: redacting twice changes nothing.
It fails closed: whatever goes wrong is `RedactionFailed`, and the text does not leave.
"""

import re
import threading
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache, partial
from typing import Any, NamedTuple

from runbooks.redaction.blocks.fields import FieldContext, context_of, cue_of, judge
from runbooks.redaction.blocks.json_lines import is_resource
from runbooks.redaction.blocks.lines import Lines, whole
from runbooks.redaction.compiled import Compiled
from runbooks.redaction.disguise import Reading, plain, readings, wears
from runbooks.redaction.known import Ignored, source_of, why_ignored
from runbooks.redaction.marks import MARK, PrivateKind
from runbooks.redaction.part import PrivatePart
from runbooks.redaction.parts import private_parts
from runbooks.redaction.rules import Hits, patterns
from runbooks.redaction.text import LONGEST_LINE, ScannedText, TooDense, long_lines
from runbooks.wording import shortened

__all__ = [
    "Ignored",
    "KnownSecrets",
    "PrivateKind",
    "Redacted",
    "RedactedBytes",
    "RedactionFailed",
    "Redactor",
    "Scope",
    "default_redactor",
]


class RedactionFailed(Exception):
    """The text could not be checked, so it must not leave. Never carries any of the text."""

    def __init__(self) -> None:
        super().__init__("A text could not be checked for private data, so it was withheld.")


@dataclass(frozen=True, slots=True)
class Redacted:
    """A text that may leave, and how many values of each kind were taken out of it."""

    text: str
    counts: Mapping[PrivateKind, int]


@dataclass(frozen=True, slots=True)
class RedactedBytes:
    """The same for bytes."""

    data: bytes
    counts: Mapping[PrivateKind, int]


class _Known(NamedTuple):
    """The secret values that were learned, and what finds them; replaced as a whole when another is learned."""

    values: frozenset[bytes]
    pattern: Compiled


_NOTHING_REMOVED: Mapping[PrivateKind, int] = {}


@dataclass(repr=False)
class Redactor:
    """Thread-safe. Its `repr` shows nothing of what it knows."""

    _known: _Known | None = None
    _learning: threading.Lock = field(default_factory=threading.Lock)

    def learn(self, secret_values: Iterable[bytes]) -> Mapping[Ignored, int]:
        """From now on these exact values, in any encoding, never leave. Returns how many were ignored, and why."""
        ignored: Counter[Ignored] = Counter()
        kept = set()
        for given in secret_values:
            value = given.strip(b" \t\r\n\0")
            if why := why_ignored(value):
                ignored[why] += 1
            else:
                kept.add(value)
        with self._learning:
            before = self._known.values if self._known else frozenset()
            values = before | kept
            if values != before:
                self._known = _Known(values, Compiled(source_of(values)))
        return ignored

    def scope(self) -> "Scope":
        """For the texts of one answer: equal values get equal marks in it."""
        return Scope(self)

    def redact(self, text: str) -> Redacted:
        """One text on its own."""
        return self.scope().redact(text)

    def redact_bytes(self, data: bytes) -> RedactedBytes:
        """One text on its own, as bytes."""
        return self.scope().redact_bytes(data)

    def text(self, text: str) -> str:
        """Only the text that may leave."""
        return self.scope().redact(text).text

    def __call__(self, text: str) -> str:
        """The same as `text`: for whoever wants a function. Who has a whole answer in hand opens a `scope`."""
        return self.text(text)

    def json(self, value: Any) -> Any:
        """A JSON value on its own: see `Scope.json`."""
        return self.scope().json(value)

    def finds_nothing(self, data: bytes) -> bool:
        """A few searches: nothing in these bytes even looks like something that must not leave. Raises `RedactionFailed`."""
        try:
            return self._nothing_known(data) and all(each.search(data) is None for each in patterns().first)
        except Exception:  # noqa: BLE001 - fails closed
            raise RedactionFailed from None

    def _nothing_known(self, data: bytes) -> bool:
        known = self.known()
        return known is None or known.search(data) is None

    def known(self) -> Compiled | None:
        """The pattern of the learned values, or None."""
        return self._known.pattern if self._known else None


@dataclass(repr=False)
class Scope:
    """One answer: equal values get equal marks in all its texts. Not for several threads at once."""

    redactor: Redactor
    _marks: dict[tuple[PrivateKind, bytes], bytes] = field(default_factory=dict)
    _last: Counter[PrivateKind] = field(default_factory=Counter)

    def redact(self, text: str) -> Redacted:
        """The text as it may leave. Raises `RedactionFailed`."""
        try:
            data = text.encode(errors="surrogatepass")
            redacted, counts = self._redacted(data)
            return Redacted(text if redacted is data else redacted.decode(errors="surrogatepass"), counts)
        except Exception:  # noqa: BLE001 - fails closed; the cause may quote the text, so it is not chained
            raise RedactionFailed from None

    def redact_bytes(self, data: bytes) -> RedactedBytes:
        """The bytes as they may leave. Raises `RedactionFailed`."""
        try:
            return RedactedBytes(*self._redacted(data))
        except Exception:  # noqa: BLE001 - as above
            raise RedactionFailed from None

    def text(self, text: str) -> str:
        """Only the text that may leave."""
        return self.redact(text).text

    def finds_nothing(self, data: bytes) -> bool:
        """A few searches: nothing in these bytes even looks like something that this takes out. Raises `RedactionFailed`."""
        return self.redactor.finds_nothing(data)

    @property
    def removed(self) -> Mapping[PrivateKind, int]:
        """So many different values of each kind the marks in this answer stand for, and so many lines were withheld."""
        return dict(self._last)

    def json(self, value: Any) -> Any:
        """A JSON value, each text by itself, so that it stays JSON; a key is a cue for what stands under it.

        In a FHIR resource only codes stay, as in one that is a text. Raises `RedactionFailed`.
        """
        return self._json(value, "", None)

    def _json(self, value: Any, key: str, context: FieldContext | None) -> Any:
        """`context`: what it stands in, where that is a FHIR resource."""
        if isinstance(value, str):
            return self._under(key, value) if context is None else self._of_resource(key, context, value)
        if isinstance(value, Mapping):
            if context is not None:
                context = context_of(key.encode(errors="surrogatepass"), context)
            elif is_resource(value.get("resourceType")):
                context = FieldContext.NONE
            return {self.text(name): self._json(each, cue_of(name, value), context) for name, each in value.items()}
        if isinstance(value, list | tuple):
            return [self._json(each, key, context) for each in value]
        if value is None or isinstance(value, bool):
            return value
        if isinstance(value, int | float):
            plain = self._under(key, text := str(value))
            return value if plain == text else plain
        raise RedactionFailed

    def _of_resource(self, key: str, context: FieldContext, text: str) -> str:
        """What stands under this key in a FHIR resource: what `JsonLines` would take out of it goes whole."""
        try:
            data = text.encode(errors="surrogatepass")
            kind = judge(key.encode(errors="surrogatepass"), context, data, clinical=True)
            return self._under(key, text) if kind is None else self._mark(kind, data).decode()
        except Exception:  # noqa: BLE001 - as above
            raise RedactionFailed from None

    def _under(self, key: str, text: str) -> str:
        """The text that stands under this key: all of it goes where the key says that it is private."""
        try:
            front = plain(f'"{key}": "'.encode(errors="surrogatepass")) if key else b""
            data = plain(text.encode(errors="surrogatepass"))
            cue = (
                next((part for part in _parts(front + data + b'"') if part.start == len(front)), None) if key else None
            )
            if cue is None or any(part.start == 0 for part in _parts(data)):
                return self.text(text)
            return self._mark(cue.kind, data).decode()
        except Exception:  # noqa: BLE001 - as above
            raise RedactionFailed from None

    def _redacted(self, data: bytes) -> tuple[bytes, Mapping[PrivateKind, int]]:
        if self.redactor.finds_nothing(data):
            return data, _NOTHING_REMOVED
        for mark in MARK.finditer(data):  # of an earlier pass: new numbers begin behind theirs
            kind, _, number = mark.group()[1:-1].rpartition(b" ")
            self._last[PrivateKind(kind.decode())] = max(self._last[PrivateKind(kind.decode())], int(number))
        counts: Counter[PrivateKind] = Counter()
        data = self._without_long_lines(data, counts)
        if (known := self.redactor.known()) is not None:
            # First: a pattern's hit could otherwise take half of a value, and leave half.
            data = self._without(data, partial(_known_parts, known), counts)
        data = whole(data, partial(self._counted, counts), partial(self._lost, counts))
        return self._without(data, _parts, counts), counts

    def lines(self, *, cut: bool = True) -> Lines:
        """For the lines of one stream as they come, so that what belongs together is read together. `cut`: its beginning was not read."""
        return Lines(self._mark, partial(self._lost, Counter()), cut=cut)

    def tail(self, log: bytes) -> bytes:
        """The end of a log with what is private in its blocks taken out; its lines are then redacted like any other text."""
        lines = self.lines()
        return lines.feed(log if log.endswith(b"\n") else log + b"\n") + lines.end() if log else log

    def _lost(self, counts: Counter[PrivateKind], lines: int = 1) -> None:
        """So many lines were withheld."""
        counts[PrivateKind.WITHHELD] += lines
        self._last[PrivateKind.WITHHELD] += lines

    def _without_long_lines(self, data: bytes, counts: Counter[PrivateKind]) -> bytes:
        out: list[bytes] = []
        at = 0
        for start, end in long_lines(data):
            out += (data[at:start], _LONG % (end - start))
            self._lost(counts)
            at = end
        return b"".join((*out, data[at:])) if out else data

    def _counted(self, counts: Counter[PrivateKind], kind: PrivateKind, value: bytes) -> bytes:
        counts[kind] += 1
        return self._mark(kind, value)

    def _without(self, data: bytes, find: "_Find", counts: Counter[PrivateKind]) -> bytes:
        disguised = wears(data)
        for _ in range(_PASSES):
            before = data
            disguised = disguised and wears(data)  # it may have gone with what was found
            data = (self._without_once if disguised else self._replaced)(data, find, counts)
            if data is before:
                break
        return data

    def _without_once(self, data: bytes, find: "_Find", counts: Counter[PrivateKind]) -> bytes:
        """Of what wears a disguise: in the first way of reading it that finds something."""
        for reading in readings(data):
            changed = self._replaced(data, find, counts, reading)
            if changed is not data:
                return changed
        return data

    def _replaced(
        self, data: bytes, find: "_Find", counts: Counter[PrivateKind], reading: Reading | None = None
    ) -> bytes:
        """The text with a mark for each thing that is found, in it or in what it is read as; the same object where nothing is."""
        out: list[bytes] = []
        at, size = 0, len(data)
        for part in find(data if reading is None else reading.data):
            start, end = part.start, part.end
            value = b""
            if reading is not None:
                value = reading.data[start:end]
                start, end = reading.span(start, end)
                start = max(start, at)
            # never half of a character
            while start > at and data[start] & 0xC0 == _CONTINUES:
                start -= 1
            while end < size and data[end] & 0xC0 == _CONTINUES:
                end += 1
            if end <= at:
                continue  # the rest of one sign that stands for several
            if part.withheld:
                out += (data[at:start], _REST % (end - start))
                self._lost(counts)
            else:
                out += (data[at:start], self._mark(part.kind, value or data[start:end]))
                counts[part.kind] += 1
            at = end
        if not out:
            return data
        out.append(data[at:])
        return b"".join(out)

    def _mark(self, kind: PrivateKind, value: bytes) -> bytes:
        mark = self._marks.get((kind, value))
        if mark is None:
            plain = value.translate(None, _JOINTS).lower()
            same = (kind, (_ESCAPED_JOINTS.sub(b"", plain) if b"%" in plain else plain) or value)
            mark = self._marks.get(same)
            if mark is None:
                if len(self._marks) > _REMEMBERED:
                    self._marks.clear()
                self._last[kind] += 1
                mark = self._marks[same] = b"[%s %d]" % (kind.encode(), self._last[kind])
            self._marks[kind, value] = mark
        return mark


class KnownSecrets(Scope):
    """Takes out the values that the redactor has learned, and nothing else: for `logs --raw` alone (a contract test).

    The bot's own way into a database is nothing that a log is read for, and who may read lines may not have it.
    """

    def finds_nothing(self, data: bytes) -> bool:
        """As its base says."""
        try:
            known = self.redactor.known()
            return known is None or (known.search(data) is None and not wears(data))
        except Exception:  # noqa: BLE001 - fails closed
            raise RedactionFailed from None

    def lines(self, *, cut: bool = True) -> Lines:  # noqa: ARG002 - as above
        """Nothing of a block is read: a value that was learned is known by itself, whatever stands around it."""
        return Lines(None)

    def _redacted(self, data: bytes) -> tuple[bytes, Mapping[PrivateKind, int]]:
        if self.finds_nothing(data):
            return data, _NOTHING_REMOVED
        counts: Counter[PrivateKind] = Counter()
        return self._without(data, partial(_known_parts, self.redactor.known()), counts), counts


_PASSES = 12
"""A mark has other neighbours than what it stands for, so that something beside it may show only then; two passes are usual,
the second of them nearly without hits. Of what wears a disguise one pass looks in one way."""
_REMEMBERED = 50_000
"""Values whose mark is known again; beyond them an equal value may get another number."""
_CONTINUES = 0x80
"""How the further bytes of a character begin in UTF-8."""
_JOINTS = b" \t\r\n\x0b\x0c().,+-"
_ESCAPED_JOINTS = re.compile(rb"%20|%2d")
"""What does not tell two values apart: `555-0100` and `555 0100`."""


_LONG = b"[a line of %%d bytes was withheld: lines are read up to %d bytes]" % LONGEST_LINE
_REST = b"[the rest of this line was withheld, %d bytes: it can't be read in a reasonable time]"


_Find = Callable[[bytes], Iterable[PrivatePart]]


def _known_parts(known: Compiled | None, data: bytes) -> list[PrivatePart]:
    return (
        [] if known is None else [PrivatePart(PrivateKind.SECRET, start, end, end) for start, end in known.spans(data)]
    )


def _parts(data: bytes, text: ScannedText | None = None) -> Iterator[PrivatePart]:
    """The private parts in reading order; they do not overlap."""
    hits = Hits(data, patterns().groups)
    text = text or ScannedText(data)
    text.cue = hits.cue
    at = taken = 0
    while (hit := hits.next(at)) is not None:
        text.at = start = hit[0]
        try:
            parts: Iterable[PrivatePart] = private_parts(text, hit)
        except TooDense:
            ends = text.line_end(hit[1])
            parts = (PrivatePart(PrivateKind.SECRET, start, ends, ends, withheld=True),)
        for part in parts:
            if part.end > part.start and part.end > taken:
                yield part if part.start >= taken else part._replace(start=taken)
                taken = part.end
            at = max(at, part.resume, start + 1)


@cache
def default_redactor() -> Redactor:
    """Return the one of this process: what a client learns from a Secret is then hidden everywhere.

    `bot.app` hands it on as a value; only where nothing is handed (a runbook's evidence) is it asked for by name. Tests make a
    `Redactor` of their own.
    """
    return Redactor()


def cut_redacted(text: str, most: int) -> str:
    """Return a text from outside, redacted and then shortened: a part of a secret or of a name would no longer be recognised."""
    return shortened(default_redactor().text(text), most)
