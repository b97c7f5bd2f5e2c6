"""The audit log: what is appended is there, once, chained, private, found again."""

# ruff: noqa: ASYNC240, ASYNC221 - small files and one process of a test, nobody else waits

import asyncio
import hashlib
import json
import os
import sqlite3
import stat
import subprocess
import sys
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bot.audit import AuditLog, AuditLogHeld, AuditLogUnavailable, Event, EventName, search_audit_logs, verify
from bot.audit.events import draft, read_entry
from commands.kit.audit_filter import AuditFilter
from runbooks.redaction.redactor import Redactor

NOON = datetime(2026, 5, 4, 12, 0, 0, 123456, tzinfo=UTC)


def event(number: int, **other: object) -> Event:
    return Event(
        **{  # type: ignore[arg-type]
            "id": f"production.deploy.{number // 4:016x}/step/backend-rollout/{number}/started",
            "name": EventName.STEP_STARTED,
            "at": NOON + timedelta(seconds=number),
            "actor": "requester",
            "surface": "slack",
            "environment": "production",
            "command": "deploy",
            "run": f"production.deploy.{number // 4:016x}",
            "details": {"step": "Roll out backend", "number": number},
        }
        | other
    )


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "book.db"


@pytest.fixture
async def audit_log(path: Path) -> AsyncIterator[AuditLog]:
    async with AuditLog.open(path, name="bot-0", redactor=Redactor()) as opened:
        yield opened


async def test_an_appended_event_is_read_back_as_it_was_told(audit_log: AuditLog) -> None:
    told = event(
        1, reason="the clinic asked", ticket="OPS-12", reason_code="succeeded", details={"pods": ["a", 3, None]}
    )
    recorded = await audit_log.append(told)
    (entry,) = await audit_log.search()
    assert (entry.seq, entry.hash, entry.book) == (recorded.seq, recorded.hash, "bot-0") == (1, recorded.hash, "bot-0")
    for field in Event.__dataclass_fields__:
        assert getattr(entry, field) == getattr(told, field)


async def test_each_event_carries_the_hash_of_the_one_before_and_its_own_is_of_the_stored_bytes(
    audit_log: AuditLog, path: Path
) -> None:
    hashes = [(await audit_log.append(event(number))).hash for number in range(3)]
    with sqlite3.connect(path) as raw:
        rows = raw.execute("SELECT data, hash FROM event ORDER BY seq").fetchall()
    assert [json.loads(data)["previous"] for data, _ in rows] == ["0" * 64, *hashes[:2]]
    assert [hashlib.sha256(data.encode()).hexdigest() for data, _ in rows] == hashes == [each.hex() for _, each in rows]
    assert (await audit_log.head()).hash == hashes[-1]


async def test_an_id_that_exists_writes_nothing_and_returns_what_stands_there(audit_log: AuditLog) -> None:
    first = await audit_log.append(event(1))
    await audit_log.append(event(2))
    assert await audit_log.append(event(1, details={"told": "again"})) == first
    assert (await audit_log.head()).seq == 2


async def test_the_same_event_told_many_times_at_once_is_written_once(audit_log: AuditLog) -> None:
    results = await asyncio.gather(*(audit_log.append(event(1)) for _ in range(50)))
    assert len(set(results)) == 1
    assert (await audit_log.head()).seq == 1


async def test_two_hundred_at_once_are_all_written_and_the_chain_holds(audit_log: AuditLog, path: Path) -> None:
    results = await asyncio.gather(*(audit_log.append(event(number)) for number in range(200)))
    assert sorted(each.seq for each in results) == list(range(1, 201))
    assert verify(path, [await audit_log.head()]) == []


async def test_an_audit_log_goes_on_where_it_stopped(path: Path) -> None:
    for start in (0, 5):
        async with AuditLog.open(path, name="bot-0", redactor=Redactor()) as audit_log:
            for number in range(start, start + 5):
                await audit_log.append(event(number))
            assert (await audit_log.head()).seq == start + 5
    assert verify(path) == []


async def test_a_caller_that_gives_up_takes_nothing_back_and_harms_nobody(audit_log: AuditLog) -> None:
    task = asyncio.create_task(audit_log.append(event(1)))
    await asyncio.sleep(0)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert (await audit_log.append(event(2))).seq in (1, 2)
    assert verify(audit_log.path) == []


async def test_a_closed_audit_log_refuses(path: Path) -> None:
    audit_log = AuditLog.open(path, name="bot-0", redactor=Redactor())
    waiting = asyncio.create_task(audit_log.append(event(1)))
    await asyncio.sleep(0)
    await audit_log.close()
    await audit_log.close()
    await asyncio.gather(waiting, return_exceptions=True)
    with pytest.raises(AuditLogUnavailable, match="closed"):
        await audit_log.append(event(2))


# ---- who may open it ----


async def test_the_files_are_for_their_owner_alone_whatever_the_umask(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        async with AuditLog.open(tmp_path / "book.db", name="bot-0", redactor=Redactor()) as audit_log:
            await audit_log.append(event(1))
            modes = {each.name: stat.S_IMODE(each.stat().st_mode) for each in tmp_path.iterdir()}
    finally:
        os.umask(before)
    assert set(modes) >= {"book.db", "book.db-wal", "book.db.lock"}
    assert set(modes.values()) == {0o600}


async def test_a_file_that_others_could_read_is_closed_to_them(path: Path) -> None:
    path.touch(mode=0o644)
    async with AuditLog.open(path, name="bot-0", redactor=Redactor()):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600


async def test_a_second_process_may_read_but_not_write(audit_log: AuditLog, path: Path) -> None:
    await audit_log.append(event(1))
    script = (
        "import sys; from pathlib import Path; from bot.audit import *; from runbooks.redaction.redactor import Redactor\n"
        "path = Path(sys.argv[1]); print(len(search_audit_logs([path])), verify(path))\n"
        "try: AuditLog.open(path, name='bot-0', redactor=Redactor())\n"
        "except AuditLogHeld as error: print(error)"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, str(path)], capture_output=True, text=True, check=True, timeout=60
    )
    found, refused = done.stdout.splitlines()
    assert found == "1 []"
    assert f"used by another process (PID {os.getpid()})" in refused


async def test_a_second_audit_log_object_on_the_same_file_is_refused_until_the_first_is_closed(path: Path) -> None:
    first = AuditLog.open(path, name="bot-0", redactor=Redactor())
    with pytest.raises(AuditLogHeld):
        AuditLog.open(path, name="bot-0", redactor=Redactor())
    await first.close()
    await AuditLog.open(path, name="bot-0", redactor=Redactor()).close()


async def test_another_bots_audit_log_is_refused(path: Path) -> None:
    await AuditLog.open(path, name="bot-0", redactor=Redactor()).close()
    with pytest.raises(AuditLogUnavailable, match="audit log of bot-0, not of bot-1"):
        AuditLog.open(path, name="bot-1", redactor=Redactor())


def test_a_file_that_is_no_audit_log_is_refused(path: Path) -> None:
    path.write_bytes(b"not a database, but long enough to be read as one" * 100)
    with pytest.raises(AuditLogUnavailable, match="not a database"):
        AuditLog.open(path, name="bot-0", redactor=Redactor())


# ---- searching ----


async def test_events_are_found_by_each_criterion_newest_first(audit_log: AuditLog) -> None:
    for number in range(12):
        who = "approver" if number % 3 else "requester"
        await audit_log.append(event(number, actor=who, command="deploy" if number < 6 else "rollback"))
    assert [each.seq for each in await audit_log.search()] == list(range(12, 0, -1))
    assert [each.seq for each in await audit_log.search(AuditFilter(actor="requester"))] == [10, 7, 4, 1]
    assert [each.seq for each in await audit_log.search(AuditFilter(command="rollback", limit=2))] == [12, 11]
    assert [each.seq for each in await audit_log.search(AuditFilter(run=f"production.deploy.{1:016x}"))] == [8, 7, 6, 5]
    assert await audit_log.search(AuditFilter(environment="staging")) == []
    assert len(await audit_log.search(AuditFilter(name=EventName.STEP_STARTED, environment="production"))) == 12
    between = await audit_log.search(AuditFilter(since=NOON + timedelta(seconds=3), until=NOON + timedelta(seconds=5)))
    assert [each.seq for each in between] == [5, 4]
    elsewhere = timezone(timedelta(hours=5))
    assert len(await audit_log.search(AuditFilter(since=(NOON + timedelta(seconds=10)).astimezone(elsewhere)))) == 2


async def test_several_audit_logs_are_searched_as_one(tmp_path: Path) -> None:
    paths = [tmp_path / f"{name}.db" for name in ("bot-0", "bot-1")]
    for turn, path in enumerate(paths):
        async with AuditLog.open(path, name=path.stem, redactor=Redactor()) as audit_log:
            for number in range(turn, 6, 2):
                await audit_log.append(event(number))
    assert [each.details["number"] for each in search_audit_logs(paths, AuditFilter(limit=4))] == [5, 4, 3, 2]
    assert {each.book for each in search_audit_logs(paths)} == {"bot-0", "bot-1"}


async def test_criteria_are_values_not_sql(audit_log: AuditLog) -> None:
    await audit_log.append(event(1))
    assert await audit_log.search(AuditFilter(actor="x' OR '1'='1")) == []


# ---- nothing private goes in ----


async def test_every_text_is_redacted_before_it_is_hashed(path: Path) -> None:
    redactor = Redactor()
    redactor.learn([b"correct horse battery"])
    async with AuditLog.open(path, name="bot-0", redactor=redactor) as audit_log:
        await audit_log.append(
            event(
                1,
                reason="patient Maria Lopez, MRN 1234567, called",
                ticket="SSN 123-45-6789",
                actor="maria@example.org",
                details={"password": "hunter2", "deep": [{"said": "correct horse battery"}], "mrn": 1234567},
            )
        )
        (entry,) = await audit_log.search()
    assert entry.reason == "patient [name 1], MRN [mrn 1], called"
    assert entry.details == {"password": "[password 1]", "deep": [{"said": "[secret 1]"}], "mrn": "[mrn 1]"}
    stored = b"".join(each.read_bytes() for each in path.parent.iterdir())
    for private in (b"Lopez", b"1234567", b"123-45-6789", b"maria@example.org", b"hunter2", b"correct horse"):
        assert private not in stored
    assert verify(path) == []


async def test_ids_that_hold_a_secret_stay_apart_without_showing_it(path: Path) -> None:
    redactor = Redactor()
    redactor.learn([b"s3cret-one", b"s3cret-two"])
    async with AuditLog.open(path, name="bot-0", redactor=redactor) as audit_log:
        for secret in ("s3cret-one", "s3cret-two", "s3cret-one"):
            await audit_log.append(event(1, id=f"run/{secret}/started"))
        entries = await audit_log.search()
    assert len(entries) == 2
    assert not any("s3cret" in entry.id for entry in entries)


async def test_an_event_that_cannot_be_checked_is_not_written(path: Path) -> None:
    class Broken(Redactor):
        def known(self) -> object:
            raise MemoryError

    async with AuditLog.open(path, name="bot-0", redactor=Broken()) as audit_log:
        with pytest.raises(AuditLogUnavailable, match="could not be checked"):
            await audit_log.append(event(1))
        assert (await audit_log.head()).seq == 0


# ---- the bytes ----


@pytest.mark.parametrize(
    "wrong",
    [
        {"id": ""},
        {"id": "x" * 301},
        {"at": datetime(2026, 1, 1)},  # noqa: DTZ001
        {"details": {"x": float("nan")}},
        {"details": {"x": {1}}},
    ],
)
def test_what_has_no_one_form_is_refused_where_it_is_made(wrong: dict[str, object]) -> None:
    with pytest.raises((ValueError, TypeError)):
        event(1, **wrong)


async def test_of_many_at_once_the_one_that_cannot_be_written_keeps_nobody_else_out(
    audit_log: AuditLog, path: Path
) -> None:
    secret = event(2, reason="password=hunter2hunter2")
    told = [event(1), secret, event(3, reason="half a sign \ud83d"), event(4)]
    first, second, third, fourth = await asyncio.gather(*map(audit_log.append, told), return_exceptions=True)
    assert isinstance(third, AuditLogUnavailable)
    assert not any(isinstance(each, BaseException) for each in (first, second, fourth))
    assert [entry.details["number"] for entry in await audit_log.search()] == [4, 2, 1]
    assert "hunter2" not in path.with_name(path.name + "-wal").read_bytes().decode(errors="replace")
    assert verify(path) == []


@pytest.mark.parametrize("said", ['a "quoted" one', "back\\slash", "ünïcödé 🟡", "x' OR 1 --", '","run":"'])
async def test_a_search_finds_what_is_stored_with_escapes(audit_log: AuditLog, said: str) -> None:
    await audit_log.append(event(1, command=said))
    await audit_log.append(event(2))
    assert [entry.command for entry in await audit_log.search(AuditFilter(command=said))] == [said]


async def test_what_cannot_be_put_into_bytes_is_refused_and_the_audit_log_goes_on(audit_log: AuditLog) -> None:
    with pytest.raises(AuditLogUnavailable):
        await audit_log.append(event(1, reason="\ud800"))
    with pytest.raises(AuditLogUnavailable):
        await audit_log.append(event(1, details={"far too much": "word " * 100_000}))
    assert (await audit_log.append(event(2))).seq == 1


_texts = st.none() | st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=6,
)
_events = st.builds(
    Event,
    id=st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=12),
    name=st.sampled_from(EventName),
    at=st.datetimes(timezones=st.sampled_from([UTC, timezone(timedelta(hours=-7))]), min_value=datetime(1970, 1, 2)),  # noqa: DTZ001
    actor=_texts,
    surface=_texts,
    environment=_texts,
    command=_texts,
    run=_texts,
    reason_code=_texts,
    reason=_texts,
    ticket=_texts,
    details=st.dictionaries(st.text(st.characters(exclude_categories=["Cs"]), max_size=4), _json, max_size=3),
)


def _form(event: Event) -> bytes:
    """The canonical form by itself, without redaction."""
    from bot.audit.events import _body

    texts = (event.actor, event.surface, event.environment, event.command, event.run)
    return _body(event.id, event, (*texts, event.reason_code, event.reason, event.ticket), event.details).encode()


@settings(max_examples=300, deadline=None)
@given(_events, _events)
def test_two_different_events_never_share_their_bytes(first: Event, second: Event) -> None:
    try:
        one, other = _form(first), _form(second)
    except UnicodeEncodeError:
        return
    same = json.dumps(first.details, sort_keys=True) == json.dumps(second.details, sort_keys=True) and first == second
    assert (one == other) == same


@settings(max_examples=300, deadline=None)
@given(_events)
def test_the_bytes_say_all_of_the_event(told: Event) -> None:
    try:
        body = _form(told)
    except UnicodeEncodeError:
        return
    entry = read_entry(b'{"book":"b","seq":1,"previous":"","event":' + body + b"}", b"")
    for field in Event.__dataclass_fields__:
        assert getattr(entry, field) == getattr(told, field)


def test_drafts_of_clean_events_are_their_form_as_it_is() -> None:
    assert draft(event(1), Redactor()).body.encode() == _form(event(1))
