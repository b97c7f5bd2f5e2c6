"""The words for how many lines `logs` is about: read, matching, shown and left out, all from the one value that counts them."""

from dataclasses import dataclass
from datetime import datetime

from commands.kit.card import Code, Plain, Text, words
from commands.kit.log_lines import moment_of
from runbooks import logs
from runbooks.wording import by_count, counted


@dataclass(frozen=True, slots=True, kw_only=True)
class CountWords:
    """What a card says of the counts."""

    headline: tuple[Plain | Code, ...]
    """How many match, of what: a part of a sentence."""
    shown: str
    """How many stand on the card or in its file."""
    missing: tuple[Text, ...]
    """How many do not, and how to have them."""


def count_words(found: logs.LogReading, asked: logs.Asked, now: datetime) -> CountWords:
    """Return the words for all figures of a reading."""
    counts = found.counts
    return CountWords(
        headline=_headline(counts, asked),
        shown=counted(counts.shown, "line"),
        missing=(*_left_out(found, asked, now), *_unread(counts)),
    )


def _headline(counts: logs.LogCounts, asked: logs.Asked) -> tuple[Plain | Code, ...]:
    streams = counted(counts.streams, "container" if asked.every_container else "pod")
    lines = f"{counted(counts.matching, 'line')} of {streams}"
    if asked.grep is None:
        return (Plain(text=lines),)
    verb = by_count(counts.matching, "matches", "match")
    return Plain(text=f"{lines} {verb} "), Code(text=asked.grep), Plain(text=f", of {counts.read:,} read")


def _left_out(found: logs.LogReading, asked: logs.Asked, now: datetime) -> tuple[Text, ...]:
    """Return what was read and matches, but is not here."""
    left_out, tail = found.counts.left_out, asked.tail
    if not left_out:
        return ()
    if not tail:
        return (words("Summary only; ", Code(text="--tail 100"), " shows the newest lines."),)
    if tail < logs.MOST:
        how = Code(text=f"--tail {min(logs.MOST, max(100, tail * 10))}"), " shows more."
    elif (oldest := moment_of(found.oldest)) is not None:
        until = f"{oldest.astimezone(now.tzinfo):%Y-%m-%d %H:%M}"
        how = Code(text=f'--until "{until}"'), " shows earlier lines."
    else:  # no line has a time by which earlier ones could be asked for
        how = Code(text="--grep"), " shows fewer."
    return (words(f"{counted(left_out, 'older line')} omitted here; ", *how),)


def _unread(counts: logs.LogCounts) -> tuple[Text, ...]:
    """Return what was not read at all."""
    if not counts.each:
        return ()
    newest = f"{counted(counts.each, 'line')} of each pod {by_count(counts.each, 'was', 'were')}"
    return (words(f"Only the last {newest} read; ", Code(text="--since 1h"), " reads a whole hour."),)
