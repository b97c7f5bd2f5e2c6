"""The heads that the fleet's record keeps of the audit log: looked for in it before another is kept, and when the bot starts."""

import asyncio
import sqlite3
from collections.abc import Callable
from http import HTTPStatus
from urllib.parse import urlsplit

import pytest
from aiohttp import ClientSession

from bot.audit import AuditFindingKind, AuditHead, EventName, verify
from bot.audit.head_copies import copied
from runbooks.clients.aws.bucket import Bucket, BucketSettings
from runbooks.fleet.records import heads_from
from sandbox.aws import BUCKET
from sandbox.cluster.resources import CONFIG_MAP, DEPLOYMENT
from sandbox.people import DEPLOYS
from tests.support.broken_wire import Wire
from tests.support.falsified import chain_anew, cut_and_count, tampered
from tests.support.worlds import APPROVER, ON_CALL, REQUESTER, Story


def kept(here: Story) -> list[AuditHead]:
    """What the record of production keeps."""
    texts = here._record("book-heads")
    return [
        AuditHead(each.book, each.number, each.hash) for key, text in texts.items() for each in heads_from(key, text)
    ]


def texts(here: Story) -> str:
    """What everybody can read in the channel, in its main view."""
    return "\n".join(message.text for message in here.slack.history(DEPLOYS))


def forget(here: Story) -> None:
    """Somebody removes the kept heads."""
    found = here.world.cluster.store.get(CONFIG_MAP, "omnicare-bot", "book-heads")
    assert found is not None
    here.world.cluster.store.remove(CONFIG_MAP, found)


def rewritten(raw: sqlite3.Connection) -> None:
    chain_anew(raw, "tomas", "nobody")


def cut(raw: sqlite3.Connection) -> None:
    cut_and_count(raw, 5)


async def test_each_run_keeps_one_more_head(here: Story) -> None:
    await here.deployed("v2.0.0")
    await here.until(lambda: kept(here), "a head is kept")
    first = kept(here)
    run = await here.ask("restart backend")
    await here.press(APPROVER, "approve", run)
    await here.ended_with(run, "was restarted")
    await here.until(lambda: len(kept(here)) > len(first), "another head is kept")
    assert kept(here)[: len(first)] == first
    assert verify(here.audit_log, kept(here)) == []


def restarted_at(here: Story) -> str:
    """When the pods of the backend were last asked to start anew; empty where they never were."""
    deployment = here.world.cluster.store.get(DEPLOYMENT, "omnicare-prod", "backend")
    assert deployment is not None
    annotations = deployment["spec"]["template"]["metadata"].get("annotations", {})
    return str(annotations.get("kubectl.kubernetes.io/restartedAt", ""))


async def test_a_log_that_was_rewritten_while_the_bot_runs_is_noticed_before_an_approved_run_changes_anything(
    here: Story,
) -> None:
    await here.deployed("v2.0.0")
    await here.until(lambda: kept(here), "a head is kept")
    before = kept(here)
    run = await here.ask("restart backend")
    tampered(here.audit_log, rewritten)
    await here.press(APPROVER, "approve", run)
    said = await here.says(run, "so nothing was started", "result")
    assert "audit log was changed" in said
    await here.says(run, "not started")
    assert restarted_at(here) == ""
    assert kept(here) == before, "the witness stays"
    await here.until(lambda: "audit log was changed" in texts(here), "people are told")


async def test_whoever_asks_whether_it_is_ready_writes_no_event(here: Story) -> None:
    before = here.events()
    async with ClientSession() as client:
        for _ in range(2):
            async with client.get(f"http://127.0.0.1:{here.bot.web.port}/readyz") as answer:
                assert (answer.status, "book" in await answer.text()) == (HTTPStatus.OK, True)
    assert here.events() == before


@pytest.mark.parametrize("change", [rewritten, cut])
async def test_after_a_restart_on_a_falsified_log_nothing_starts_but_going_back_and_the_kept_heads_stay(
    here: Story, change: Callable[[sqlite3.Connection], None]
) -> None:
    await here.deployed("v2.0.0")
    await here.until(lambda: kept(here), "a head is kept")
    before = kept(here)
    await here.leave()
    tampered(here.audit_log, change)
    assert verify(here.audit_log) == [], "by itself the chain holds"
    wrong = [each.kind for each in verify(here.audit_log, before)]
    assert wrong
    assert {*wrong} <= {AuditFindingKind.REWRITTEN, AuditFindingKind.CUT}
    await here.inside()
    await here.until(lambda: "audit log was changed" in texts(here), "people are told")
    async with ClientSession() as client, client.get(f"http://127.0.0.1:{here.bot.web.port}/readyz") as answer:
        assert answer.status == HTTPStatus.SERVICE_UNAVAILABLE
        assert "audit log was changed" in await answer.text()
    await here.type(REQUESTER, "/omnicare restart backend")
    await here.whispered(REQUESTER, "audit log was changed")
    back = await here.ask("rollback", who=ON_CALL)
    await here.press(ON_CALL, "approve", back)
    await here.ended_with(back, "Back on v1.2.0 in production")
    assert EventName.RUN_SUCCEEDED in here.event_names(back)
    assert kept(here) == before, "the witness stays"
    assert (
        AuditFindingKind.REWRITTEN in [each.kind for each in verify(here.audit_log, before)]
        or AuditFindingKind.CUT in wrong
    )


@pytest.mark.parametrize("at_start", [True, False], ids=["the bucket answers", "the bucket answers later"])
async def test_heads_are_copied_to_the_bucket_and_the_channel_and_show_what_record_and_log_hide(
    here: Story, at_start: bool
) -> None:
    aws = urlsplit(here.world.aws.url)
    wire = Wire(str(aws.hostname), aws.port or 0)
    server = await asyncio.start_server(wire.handle, "127.0.0.1", 0)
    endpoint = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    where = BucketSettings(bucket=BUCKET, prefix="trail/", region="us-east-1", endpoint=endpoint)
    copies = {"audit_bucket": where.model_dump(exclude_none=True), "audit_channel": DEPLOYS}
    await here.leave()
    here.configure(lambda document: document["bot"].update(copies))
    await here.inside()
    await here.deployed("v2.0.0")
    await here.until(lambda: kept(here), "a head is kept")
    (newest,) = kept(here)
    await here.until(lambda: f"event {newest.seq} of {newest.book} has the hash {newest.hash}" in texts(here), "told")
    bucket = Bucket(where, throw_away=True)
    async with asyncio.timeout(60):
        while newest not in await copied(bucket):  # noqa: ASYNC110 - what is looked at is in a server
            await asyncio.sleep(0.1)
    await here.leave()
    tampered(here.audit_log, rewritten)
    forget(here)
    assert verify(here.audit_log, kept(here)) == [], "log and record agree"
    assert AuditFindingKind.REWRITTEN in [each.kind for each in verify(here.audit_log, await copied(bucket))]
    wire.refuses = not at_start
    await here.inside()
    if not at_start:
        assert "the one in the bucket" not in texts(here)
        wire.refuses = False
    await here.until(lambda: "the one in the bucket omnicare-exports" in texts(here), "people are told")
    server.close()
