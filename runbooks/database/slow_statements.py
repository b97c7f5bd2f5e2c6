"""Which statements to look at first, and why: from what a server counts of them.

A list by one number hides what matters: the slowest by its mean is often a report that runs at night, and what takes the database's
time is often quick and asked a thousand times. So each statement gets its reasons in words, and those that cost most come first.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from runbooks.clients.postgres.statements import Counted, Statement
from runbooks.wording import counted, size

SLOW = 100.0
"""Milliseconds on average, from which a statement is called slow: what the production guide asks of 95 in 100."""
HEAVY = 0.2
"""Of the time of all statements."""
_NOTABLE = 0.05
_QUICK = 10.0
"""Milliseconds: below it a statement that is heavy is asked too often, not slow."""
_OFTEN = 100
_COLD, _COLD_SHARE = 0.9, 0.01
_SPIKE, _SPIKE_MS = 10.0, 1000.0
_MANY_ROWS = 1000.0
_BLOCK = 8192
_FIRST = 3


@dataclass(frozen=True, slots=True)
class Pick:
    """A statement worth a look, and why."""

    statement: Statement
    why: tuple[str, ...]


def name_of(statement: Statement) -> str:
    """Return what people type for it."""
    return query_name(statement.id)


def query_name(number: int) -> str:
    """`q3f9ac1d2`: as people type it; the server's own number is twenty digits, and may be negative."""
    return f"q{number & (1 << 64) - 1:016x}"[:9]


def first(counted: Counted, now: datetime) -> tuple[Pick, ...]:
    """At most three, those that take most of the time first; none where nothing stands out."""
    everything = {each.id: each for each in (*counted.statements, *counted.others)}.values()
    picks = [Pick(each, why) for each in everything if (why := reasons(each, counted.since, now))]
    return tuple(sorted(picks, key=lambda pick: (-pick.statement.share, pick.statement.id))[:_FIRST])


def reasons(statement: Statement, since: datetime | None, now: datetime) -> tuple[str, ...]:
    """Why it is worth a look, the weightiest first; empty where it is not."""
    why = [*_heavy(statement, since, now), *_slow(statement)]
    return (*why, *_because(statement)) if why else ()


def _heavy(statement: Statement, since: datetime | None, now: datetime) -> Iterable[str]:
    if statement.share < HEAVY:
        return
    yield f"takes {percent(statement.share)} of the time of all statements"
    if statement.mean < _QUICK and statement.calls >= _OFTEN:
        counted_from = statement.since or since
        minutes = (now - counted_from).total_seconds() / 60 if counted_from else 0.0
        rate = f", {statement.calls / minutes:,.0f} a minute" if minutes >= 1 else ""
        yield (
            f"is quick ({milliseconds(statement.mean)}) but ran {counted(statement.calls, 'time')}{rate}: perhaps once for each row of a list"
        )


def _slow(statement: Statement) -> Iterable[str]:
    if statement.mean >= SLOW and statement.share >= _NOTABLE:
        yield f"takes {milliseconds(statement.mean)} each time"
    spike = statement.longest >= _SPIKE_MS and statement.longest >= _SPIKE * statement.mean
    if spike:
        yield (
            f"usually takes {milliseconds(statement.mean)}, but once took {milliseconds(statement.longest)}: sometimes it waits for a lock or the disk"
        )


def _because(statement: Statement) -> Iterable[str]:
    """What its numbers say about the cause."""
    if statement.cache is not None and statement.cache < _COLD and statement.share >= _COLD_SHARE:
        yield f"finds only {percent(statement.cache)} of its data in memory"
    if statement.spilled:
        yield f"writes {size(statement.spilled * _BLOCK)} to temporary files: its sorts or hashes don't fit into `work_mem`"
    if statement.rows / statement.calls >= _MANY_ROWS:
        yield f"fetches {counted(round(statement.rows / statement.calls), 'row')} each time"


def milliseconds(value: float) -> str:
    """`0.4 ms`, `80 ms`, `1.2 s`, `3 min 5 s`."""
    if value < 0.1:  # noqa: PLR2004 - a hundred microseconds
        return f"{value * 1000:.0f} µs"
    if value < 1:
        return f"{value:.2g} ms"
    if value < 10:  # noqa: PLR2004 - one more digit is worth its room
        return f"{value:.1f} ms"
    if value < 1000:  # noqa: PLR2004 - a second
        return f"{value:.0f} ms"
    if value < 60_000:  # noqa: PLR2004 - a minute
        return f"{value / 1000:.1f} s"
    minutes, seconds = divmod(round(value / 1000), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {seconds} s"


def percent(share: float) -> str:
    """`44 %`; what is little but there is not nothing, and what is nearly all is not all."""
    value = share * 100
    if 0 < value < 1:
        return "< 1 %"
    return "> 99 %" if 99 < value < 100 else f"{value:.0f} %"  # noqa: PLR2004 - of a hundred
