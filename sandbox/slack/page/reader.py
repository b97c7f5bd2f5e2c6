"""Who reads: everything in a message that depends on the reader (names, time zone, where links lead) is here.

Used by the renderers of text and of blocks; made for each request by `desk.py`.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError


@dataclass(frozen=True, slots=True)
class Names:
    """What the ids in a message are called."""

    people: Mapping[str, str] = field(default_factory=dict)
    channels: Mapping[str, str] = field(default_factory=dict)
    groups: Mapping[str, str] = field(default_factory=dict)
    app: str = ""


@dataclass(frozen=True, slots=True)
class Reader:
    """The person who looks: `base` is the path that their pages begin with."""

    person: str
    handle: str
    zone: ZoneInfo
    names: Names
    base: str
    groups: frozenset[str] = frozenset()

    def time(self, ts: str | float) -> datetime:
        return datetime.fromtimestamp(float(ts), UTC).astimezone(self.zone)

    def now(self) -> datetime:
        return datetime.now(UTC).astimezone(self.zone)


def zone_named(*names: str) -> ZoneInfo:
    """The first of these that is a time zone; what a browser claims is not trusted to be one."""
    for name in names:
        try:
            return ZoneInfo(name)
        except (ZoneInfoNotFoundError, ValueError, OSError):
            continue
    return ZoneInfo("UTC")


def clock(moment: datetime) -> str:
    return f"{moment:%H:%M}"


def day(moment: datetime, now: datetime) -> str:
    """Today, Yesterday, else the weekday and date; the year only where it is another one."""
    distance = (now.date() - moment.date()).days
    if distance == 0:
        return "Today"
    if distance == 1:
        return "Yesterday"
    written = f"{moment:%A}, {moment.day} {moment:%B}"
    return written if moment.year == now.year else f"{written} {moment.year}"


def ago(moment: datetime, now: datetime) -> str:
    """The age in one unit: `12 min ago`."""
    seconds = int((now - moment).total_seconds())
    ahead, seconds = seconds < 0, abs(seconds)
    for size, unit in ((86_400, "day"), (3_600, "h"), (60, "min")):
        if seconds >= size:
            count = seconds // size
            amount = f"{count} {unit}{'s' if unit == 'day' and count > 1 else ''}"
            return f"in {amount}" if ahead else f"{amount} ago"
    return "in a moment" if ahead else "just now"


def token_date(stamp: float, template: str, reader: Reader) -> str:
    """Slack's date token: its words in braces stand for parts of the moment, in the reader's zone."""
    moment, now = reader.time(stamp), reader.now()
    short = f"{moment:%b} {moment.day}, {moment.year}"
    long = f"{moment:%A}, {moment:%B} {_ordinal(moment.day)}, {moment.year}"
    plain = f"{moment:%B} {_ordinal(moment.day)}, {moment.year}"
    near = {0: "today", 1: "yesterday", -1: "tomorrow"}.get((now.date() - moment.date()).days)
    words = {
        "date_num": f"{moment:%Y-%m-%d}",
        "date_slash": f"{moment:%m/%d/%Y}",
        "date_short": short,
        "date_long": long,
        "date": plain,
        "day_divider_pretty": day(moment, now),
        "date_short_pretty": near or short,
        "date_long_pretty": near or long,
        "date_long_full": long,
        "date_pretty": near or plain,
        "time": clock(moment),
        "time_secs": f"{moment:%H:%M:%S}",
        "ago": ago(moment, now),
    }
    for word, value in words.items():
        template = template.replace("{" + word + "}", value)
    return template


def _ordinal(number: int) -> str:
    suffix = "th" if number in range(11, 14) else {1: "st", 2: "nd", 3: "rd"}.get(number % 10, "th")
    return f"{number}{suffix}"
