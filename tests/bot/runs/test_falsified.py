"""A whole bot that starts with an audit log that somebody falsified: it says so, and goes back all the same, or refuses to start.

The ways are those of `tests/bot/audit/test_falsified.py`, where each is also followed by what a bot does while it runs.
"""

import asyncio
import shutil

import pytest

from bot.audit import AuditHead, AuditLogUnavailable, verify
from runbooks.fleet.records import heads_from
from sandbox.cluster.resources import CONFIG_MAP
from tests.bot.audit.test_falsified import WAYS
from tests.support.worlds import ON_CALL, Story

REFUSED = {
    "a table added",
    "a trigger dropped",
    "a trigger that swallows events (`sqlite_x`)",
    "a trigger weakened",
    "a view in the place of the events",
    "an index added",
    "another bot's log in its place",
    "the index of ids dropped",
    "the log renamed, and its chain written anew",
    "the log's format changed",
}
"""No event can be trusted to be written: the bot does not start, and the sentence says why."""


def heads(here: Story) -> list[AuditHead]:
    return [
        AuditHead(each.book, each.number, each.hash)
        for key, text in here._record("book-heads").items()
        for each in heads_from(key, text)
    ]


@pytest.mark.parametrize("way", WAYS)
async def test_it_shows_and_never_stops_going_back(here: Story, way: str) -> None:
    done = WAYS[way]
    aside = here.audit_log.parent.with_name("aside")
    aside.mkdir()
    for each in here.audit_log.parent.glob("audit.sqlite*"):
        shutil.copy(each, aside)
    await here.deployed("v2.0.0")
    await here.until(lambda: heads(here), "a head is kept")
    before = heads(here)
    held = {each: each.read_bytes() for each in here.audit_log.parent.glob("audit.sqlite*")}
    await here.leave()
    if done.killed:
        for each, data in held.items():
            each.write_bytes(data)
    if done.file is not None:
        await asyncio.to_thread(done.file, here.audit_log)
    if done.record is not None:
        found = here.world.cluster.store.get(CONFIG_MAP, "omnicare-bot", "book-heads")
        here.world.cluster.store.put(CONFIG_MAP, found | {"data": done.record(found["data"])})
    witness = here._record("book-heads")
    if way in REFUSED:
        with pytest.raises(AuditLogUnavailable) as caught:
            await here.inside()
        assert str(here.audit_log) in str(caught.value)
        return
    await here.inside()
    back = await here.ask("rollback", who=ON_CALL)
    await here.press(ON_CALL, "approve", back)
    await here.ended_with(back, "Back on v1.2.0 in production")
    await here.leave()
    if done.file is not None:
        assert verify(here.audit_log, before), "it shows, whatever was done since"
    if done.record is None:
        assert heads(here)[: len(before)] == before, "the saved heads are kept"
    elif witness:
        assert here._record("book-heads") == witness, "what does not fit the log stays as it is"
