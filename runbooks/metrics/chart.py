"""A chart as data: panels over one time axis, with marks on it. It knows no surface: Slack gets a picture of it, a terminal sparklines.

Its texts come from outside (labels, alerts, the fleet record), so whoever shows it has them redacted first.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from itertools import pairwise
from typing import Literal

from pydantic import Field

from runbooks.kit.targets import Frozen

_BARS = "▁▂▃▄▅▆▇█"
_GAP = "·"


class ChartLine(Frozen):
    """One series."""

    name: str = ""
    values: tuple[float | None, ...] = Field(max_length=500)
    """A value for each step from the chart's start to its end; None where there is none."""


class ChartPanel(Frozen):
    """One metric."""

    title: str
    now: str
    """Its value now, in words."""
    verdict: str
    """How it stands, in words: `above its limit since 14:02`."""
    beyond: bool = False
    unit: str = ""
    limit: float | None = None
    limit_shown: str = ""
    good_below: bool = True
    lines: tuple[ChartLine, ...] = Field(max_length=6)

    def texts(self) -> dict[str, str]:
        """Return what people read of it, by its fields."""
        return {"title": self.title, "now": self.now, "verdict": self.verdict, "limit_shown": self.limit_shown}

    def spark(self, line: ChartLine) -> str:
        """Return one of its series as a sparkline."""
        return sparkline(line.values, limit=self.limit)

    def in_words(self) -> str:
        """Return it in one line, with a sparkline for each series."""
        sparks = (f"{self.spark(line)}{f' {line.name}' if line.name else ''}" for line in self.lines)
        return f"{self.title}  {', '.join(sparks) or 'no data'}  {self.now}, {self.verdict}"


class ChartMark(Frozen):
    """Something that happened: a deploy, a rollback, an alert that began."""

    at: datetime
    kind: Literal["deploy", "rollback", "alert"]
    text: str

    @property
    def sign(self) -> str:
        """Its kind, as a sign."""
        return {"deploy": "▲", "rollback": "◀", "alert": "●"}[self.kind]


_SOON = timedelta(minutes=15)
"""What a release broke shows within this time, as a rule."""


def preceding(marks: Sequence[ChartMark], at: datetime, step: timedelta) -> ChartMark | None:
    """Return the last deploy or rollback shortly before; `step`: how far the time may be off."""
    changes = [each for each in marks if each.kind != "alert" and at - _SOON <= each.at <= at + step]
    return max(changes, key=lambda each: each.at, default=None)


class Chart(Frozen):
    """The whole."""

    kind: Literal["chart"] = "chart"
    filename: str
    caption: str
    """What it shows, in a line."""
    alt: str
    """What a person reads who can't see it."""
    start: datetime
    """In the reader's own zone, as the end is."""
    end: datetime
    panels: tuple[ChartPanel, ...] = Field(max_length=8)
    marks: tuple[ChartMark, ...] = Field(default=(), max_length=12)

    def in_lines(self) -> list[str]:
        """Return it in words and sparklines, for who has no pictures: a line for each panel, then what happened."""
        span = self.end - self.start
        return [
            f"{clock(self.start, span)} to {clock(self.end, span)} {self.end.tzname() or ''}".rstrip(),
            *(panel.in_words() for panel in self.panels),
            *(f"{clock(mark.at.astimezone(self.end.tzinfo), span)} {mark.sign} {mark.text}" for mark in self.marks),
        ]


def clock(at: datetime, span: timedelta) -> str:
    """Return a time on an axis of that length: with its date where one day is not enough to know it."""
    return f"{at:%d %b %H:%M}" if span >= timedelta(days=1) else f"{at:%H:%M}"


def sparkline(values: tuple[float | None, ...], width: int = 16, *, limit: float | None = None) -> str:
    """Return the values as a row of at most `width` bars: the largest of each part, from zero; `·` where there is none.

    `limit` is the height of a full bar unless a value is beyond it, so a steady metric shows how near to its limit it is.
    """
    count = min(width, len(values))
    edges = [place * len(values) // count for place in range(count + 1)] if count else [0]
    parts = [[value for value in values[a:b] if value is not None] for a, b in pairwise(edges)]
    largest = max((max(part) for part in parts if part), default=0.0)
    largest = max(largest, limit) if limit is not None else largest
    return "".join(_bar(max(part), largest) if part else _GAP for part in parts)


def _bar(value: float, largest: float) -> str:
    if largest <= 0 or value <= 0:
        return _BARS[0]
    return _BARS[min(len(_BARS) - 1, int(value / largest * len(_BARS)))]
