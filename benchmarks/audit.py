"""The audit log beside bare `sqlite3`: appends a second, and the time to verify a million events.

Ours and the peer take turns in short rounds, and the median of the rounds counts on either side, so that a busy machine
slows both. The peer commits each row by itself: WAL, `synchronous=FULL`, no index, no hash, the bytes made beforehand.
What verification is held against is a bare loop that reads and hashes the stored bytes.

    python -m benchmarks.audit [--smoke]
"""

import argparse
import asyncio
import gc
import hashlib
import resource
import sqlite3
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

from benchmarks.figures import Figure
from bot.audit import AuditLog, Event, EventName, verify
from bot.audit.events import Draft, draft
from bot.audit.file import AuditFile
from runbooks.redaction.redactor import Redactor

_REDACTOR = Redactor()
_START = datetime(2024, 1, 1, tzinfo=UTC)


def event(number: int) -> Event:
    """An event of ordinary size: a step of a run, about 450 bytes as stored."""
    run = f"production.deploy.{number // 8:016x}"
    return Event(
        id=f"{run}/step/backend-rollout/{number}/finished",
        name=EventName.STEP_FINISHED,
        at=_START + timedelta(seconds=number),
        actor="requester",
        surface="slack",
        environment="production",
        command="deploy",
        run=run,
        details={"step": "Roll out backend", "detail": "3/3 new pods ready", "seconds": 21},
    )


async def appends(directory: Path, *, rounds: int, each: int) -> list[Figure]:
    """Appends a second: one writer, and 50 at once, beside bare `sqlite3` that commits each row."""
    alone: list[tuple[float, float]] = []
    together: list[tuple[float, float]] = []
    slowest: list[float] = []
    async with AuditLog.open(directory / "ours.db", name="bench-0", redactor=Redactor()) as audit_log:
        with _bare(directory / "bare.db") as bare:
            for number in range(rounds + 1):
                first = number * 100_000
                before = _bare_rate(bare, first, each)
                one = await _one(audit_log, first, each)
                between = _bare_rate(bare, first + each, each)
                fifty = await _at_once(audit_log, first + 50_000, writers=50, each=max(4, each // 10))
                after = _bare_rate(bare, first + 2 * each, each)
                latency = await _latency(audit_log, first + 80_000)
                if number:  # the first round warms both up
                    alone.append((one, (before + between) / 2))
                    together.append((fifty, (between + after) / 2))
                    slowest.append(latency * 1000)
    return [
        _rates("append, one writer", alone, goal=0.6),
        _rates("append, 50 at once", together, goal=8.0),
        Figure(name="append, 200 at once: the last one done after", ours=statistics.median(slowest), unit="ms"),
    ]


def _rates(name: str, pairs: Sequence[tuple[float, float]], *, goal: float) -> Figure:
    """The round with the median ratio stands for all."""
    ours, peer = sorted(pairs, key=lambda pair: pair[0] / pair[1])[len(pairs) // 2]
    return Figure(name=name, ours=ours, unit="/s", peer=peer, peer_name="bare sqlite3", goal=goal, sense="at least")


async def _one(audit_log: AuditLog, first: int, count: int) -> float:
    events = [event(first + number) for number in range(count)]
    begin = time.perf_counter()
    for each in events:
        await audit_log.append(each)
    return count / (time.perf_counter() - begin)


async def _at_once(audit_log: AuditLog, first: int, *, writers: int, each: int) -> float:
    work = [[event(first + writer * each + number) for number in range(each)] for writer in range(writers)]

    async def write(events: Sequence[Event]) -> None:
        for one in events:
            await audit_log.append(one)

    begin = time.perf_counter()
    await asyncio.gather(*map(write, work))
    return writers * each / (time.perf_counter() - begin)


async def _latency(audit_log: AuditLog, first: int) -> float:
    events = [event(first + number) for number in range(200)]
    begin = time.perf_counter()
    await asyncio.gather(*map(audit_log.append, events))
    return time.perf_counter() - begin


@contextmanager
def _bare(path: Path) -> Iterator[sqlite3.Connection]:
    connection = sqlite3.connect(path, isolation_level=None)
    try:
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("PRAGMA synchronous=FULL")
        connection.execute("CREATE TABLE event (seq INTEGER PRIMARY KEY, data TEXT NOT NULL, hash BLOB NOT NULL)")
        yield connection
    finally:
        connection.close()


def _bare_rate(connection: sqlite3.Connection, first: int, count: int) -> float:
    rows = [(_drafted(first + number).body + "x" * 100, b"h" * 32) for number in range(count)]
    begin = time.perf_counter()
    for row in rows:
        connection.execute("INSERT INTO event (data, hash) VALUES (?, ?)", row)
    return count / (time.perf_counter() - begin)


def verification(directory: Path, *, events: int, rounds: int) -> list[Figure]:
    """Seconds to verify, beside a bare loop that reads and hashes the stored bytes; memory, for this many and a tenth."""
    path = directory / "long.db"
    grown: dict[int, int] = {}
    pairs = []
    _fill(path, 0, events // 10)
    verify(path)
    for upto in (events // 10, events):
        _fill(path, events // 10, upto)
        gc.collect()
        before = _peak_kb()
        for _ in range(rounds):
            begin = time.perf_counter()
            count = _read_and_hash(path)
            bare = time.perf_counter() - begin
            begin = time.perf_counter()
            findings = verify(path)
            ours = time.perf_counter() - begin
            if findings or count != upto:
                raise SystemExit(f"the chain of {count} events does not verify: {findings[:1]}")
            if upto == events:
                pairs.append((ours, bare))
        grown[upto] = _peak_kb() - before
    ours, bare = sorted(pairs, key=lambda pair: pair[0] / pair[1])[len(pairs) // 2]
    return [
        Figure(name=f"verify {events:,} events", ours=ours, unit="s", peer=bare, peer_name="read and hash", goal=3.0),
        # SQLite caches 2 MB a connection; the rest does not grow with the number of events
        Figure(name="verify: memory for ten times the events", ours=grown[events] / 1024, unit="MB", goal=8.0),
    ]


def _drafted(number: int) -> Draft:
    return draft(event(number), _REDACTOR)


def _fill(path: Path, first: int, upto: int) -> None:
    file = AuditFile(path, "bench-0")
    try:
        for start in range(first, upto, 2000):
            file.append([_drafted(number) for number in range(start, min(start + 2000, upto))])
    finally:
        file.close()


def _read_and_hash(path: Path) -> int:
    connection = sqlite3.connect(f"file:{path}?mode=ro", uri=True)
    connection.text_factory = bytes
    try:
        count = 0
        for (data,) in connection.execute("SELECT data FROM event ORDER BY seq"):
            hashlib.sha256(data).digest()
            count += 1
        return count
    finally:
        connection.close()


def _peak_kb() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


async def measure(*, smoke: bool) -> list[Figure]:
    """All figures; `smoke` is small and quick, and shows only that they can be taken."""
    with tempfile.TemporaryDirectory(prefix="omnicare-bench-") as place:
        directory = Path(place)
        figures = await appends(directory, rounds=2 if smoke else 25, each=40 if smoke else 100)
        return figures + verification(directory, events=10_000 if smoke else 1_000_000, rounds=1 if smoke else 3)


def table(figures: Sequence[Figure]) -> str:
    """For people to read."""
    lines = []
    for each in figures:
        peer = f"{each.peer:,.4g} {each.unit} {each.peer_name}" if each.peer is not None else ""
        ratio = f"{each.ratio:.2f}" if each.ratio is not None else ""
        verdict = "" if each.met is None else "met" if each.met else "missed"
        lines.append(
            f"{each.name:46} {f'{each.ours:,.4g} {each.unit}':>12} {peer:>26} {ratio:>6} {each.goal_text:>10} {verdict}"
        )
    return "\n".join(lines)


def main(arguments: Sequence[str] | None = None) -> int:
    """Exit status 1 where a goal is missed; `--smoke` judges nothing."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.audit", description="The audit log beside bare sqlite3."
    )
    parser.add_argument("--smoke", action="store_true", help="small and quick: that it runs, not how fast")
    options = parser.parse_args(arguments)
    figures = asyncio.run(measure(smoke=options.smoke))
    print(table(figures))
    return 0 if options.smoke or all(each.met is not False for each in figures) else 1


if __name__ == "__main__":
    sys.exit(main())
