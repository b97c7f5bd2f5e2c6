"""A run's messages: each once, whatever is lost on the way; edits within the budget; nothing unredacted."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from aiohttp import web

from bot.boundary.outbound import Posted, SurfaceGone
from bot.boundary.redacting import Withheld
from bot.surfaces.slack.outbound.messenger import SlackMessenger
from bot.surfaces.slack.transport.web_api import SlackApi, SlackError
from commands.kit.card import Attachment, Preformatted, State, Table, person, words
from runbooks.kit.errors import TemporaryError
from sandbox.slack.settings import SlackSettings as SandboxSettings
from tests.bot.surfaces.slack.conftest import SECRET, Names, Slack, Start, card, hide

RUN = "production.deploy.0123456789abc"


async def _post(
    slack: Slack, text: str = "head", *, slot: str = "head", search: bool = False, thread: str | None = None
) -> Posted:
    return await slack.surface.messenger.post(RUN, slot, card(text), channel="C1DEPLOYS", thread=thread, search=search)


def _texts(slack: Slack) -> list[str]:
    return [message.text for message in slack.workspace.history("deploys")]


async def test_a_slot_is_posted_once(slack: Slack) -> None:
    first = await _post(slack)
    assert await _post(slack) == first
    assert _texts(slack) == ["head"]


async def test_after_a_restart_the_message_is_found_and_not_posted_again(start: Start) -> None:
    slack = await start(connect=False)
    first = await _post(slack)
    reply = await _post(slack, "plan", slot="plan", thread=first.ts)
    again = SlackMessenger(slack.surface.api, Names(), hide)
    assert await again.post(RUN, "head", card("head"), channel="C1DEPLOYS", thread=None, search=True) == first
    assert await again.post(RUN, "plan", card("plan"), channel="C1DEPLOYS", thread=first.ts, search=True) == reply
    assert await again.post(RUN, "result", card("result"), channel="C1DEPLOYS", thread=first.ts, search=True) != reply


async def test_another_apps_message_with_our_metadata_is_not_ours(slack: Slack) -> None:
    metadata = {"event_type": "omnicare_run", "event_payload": {"run": RUN, "slot": "head"}}
    forged = slack.workspace.post("deploys", "outsider", "head", metadata=metadata)
    assert (await _post(slack, search=True)).ts != forged.ts


async def test_a_lost_answer_is_looked_for_before_posting_again(slack: Slack) -> None:
    slack.workspace.faults.fail_next("chat.postMessage", "server_error")
    with pytest.raises(TemporaryError):
        await _post(slack)
    await _post(slack)
    slack.workspace.faults.fail_next("chat.postMessage", "reset")
    with pytest.raises(TemporaryError):
        await _post(slack, "plan", slot="plan")
    slack.workspace.post(  # it had arrived all the same
        "deploys",
        slack.workspace.app.user_id,
        "plan",
        metadata={"event_type": "omnicare_run", "event_payload": {"run": RUN, "slot": "plan"}},
    )
    await _post(slack, "plan", slot="plan")
    assert _texts(slack) == ["head", "plan"]


async def test_an_edit_changes_the_message_and_keeps_its_metadata(slack: Slack) -> None:
    posted = await _post(slack)
    await slack.surface.messenger.edit(posted, RUN, "head", card("done", state=State.DONE))
    (message,) = slack.workspace.history("deploys")
    assert message.text == "🟢 done"
    assert message.metadata == {"event_type": "omnicare_run", "event_payload": {"run": RUN, "slot": "head"}}


@pytest.mark.parametrize(
    "break_it",
    [
        lambda slack, ts: slack.workspace.delete("C1DEPLOYS", ts),
        lambda slack, _: slack.workspace.archive("deploys"),
    ],
    ids=["deleted", "archived"],
)
async def test_a_message_that_is_gone_says_so(slack: Slack, break_it: Callable[[Slack, str], None]) -> None:
    posted = await _post(slack)
    break_it(slack, posted.ts)
    with pytest.raises(SurfaceGone):
        await slack.surface.messenger.edit(posted, RUN, "head", card("x"))


async def test_a_channel_without_the_bot_is_gone(slack: Slack) -> None:
    with pytest.raises(SurfaceGone):
        await slack.surface.messenger.post(RUN, "head", card("x"), channel="C2ELSEWHERE", thread=None, search=False)


async def test_after_a_deleted_message_the_slot_can_be_posted_anew(slack: Slack) -> None:
    posted = await _post(slack)
    slack.workspace.delete("C1DEPLOYS", posted.ts)
    with pytest.raises(SurfaceGone):
        await slack.surface.messenger.edit(posted, RUN, "head", card("x"))
    assert (await _post(slack)).ts != posted.ts


async def test_slack_says_later_and_how_much(slack: Slack) -> None:
    posted = await _post(slack)
    slack.workspace.faults.fail_next("chat.update", "ratelimited", retry_after=7)
    with pytest.raises(TemporaryError) as caught:
        await slack.surface.messenger.edit(posted, RUN, "head", card("x"))
    assert caught.value.retry_after == 7


async def test_of_progress_the_newest_wins(slack: Slack) -> None:
    posted = await _post(slack)
    for step in range(50):
        slack.surface.messenger.progress(posted, RUN, "head", card(f"step {step}"))
    await slack.until(lambda: _texts(slack) == ["step 49"])
    assert len(slack.sent("chat.update")) < 5


async def test_progress_never_overtakes_a_later_edit(slack: Slack) -> None:
    posted = await _post(slack)
    for step in range(20):
        slack.surface.messenger.progress(posted, RUN, "head", card(f"step {step}"))
        await asyncio.sleep(0)
    await slack.surface.messenger.edit(posted, RUN, "head", card("ended"))
    sent = len(slack.sent("chat.update"))
    await slack.surface.messenger.edit(await _post(slack, "other", slot="other"), RUN, "other", card("y"))
    assert _texts(slack)[0] == "ended"
    assert len(slack.sent("chat.update")) == sent + 1


async def test_progress_survives_slack_saying_later(slack: Slack) -> None:
    posted = await _post(slack)
    slack.workspace.faults.fail_next("chat.update", "ratelimited", retry_after=1)
    slack.surface.messenger.progress(posted, RUN, "head", card("one"))
    await slack.until(lambda: _texts(slack) == ["one"])
    await slack.surface.messenger.edit(posted, RUN, "head", card("ended"))
    assert _texts(slack) == ["ended"]


async def test_all_edits_share_one_budget(start: Start) -> None:
    # the burst that the budget has at this rate (a fifth of a minute's), and what may arrive at once from a busy machine
    limits = SandboxSettings(rates={"chat.update": (120, 600)})
    slack = await start(sandbox=limits, edits_per_minute=540, connect=False, progress_seconds=0.01)
    posts = [await _post(slack, slot=f"s{number}") for number in range(6)]
    for step in range(40):
        for number, posted in enumerate(posts):
            slack.surface.messenger.progress(posted, RUN, f"s{number}", card(f"{number}.{step}"))
        await asyncio.sleep(0.02)
    await asyncio.gather(
        *(slack.surface.messenger.edit(posted, RUN, f"s{number}", card("ended")) for number, posted in enumerate(posts))
    )
    refused = [one for one in slack.server.record if one.method == "chat.update" and not one.answer.get("ok")]
    assert refused == []
    assert _texts(slack) == ["ended"] * 6


async def test_a_direct_message_reaches_the_person_once(slack: Slack) -> None:
    messenger = slack.surface.messenger
    first = await messenger.direct(RUN, "invite", "approver", card("please approve"), search=False)
    assert first == await messenger.direct(RUN, "invite", "approver", card("please approve"), search=True)
    direct = slack.workspace.direct_channel("approver")
    assert [message.text for message in slack.workspace.history(direct)] == ["please approve"]
    assert await messenger.direct(RUN, "invite", "nobody", card("x"), search=False) is None


async def test_who_is_in_a_channel(slack: Slack) -> None:
    slack.workspace.leave("approver", "deploys")
    messenger = slack.surface.messenger
    assert await messenger.in_channel("C1DEPLOYS", "requester")
    assert not await messenger.in_channel("C1DEPLOYS", "approver")
    assert not await messenger.in_channel("C1DEPLOYS", "nobody")


async def test_who_is_in_a_channel_is_unknown_while_slack_is_away_so_that_nobody_is_told_twice(slack: Slack) -> None:
    slack.workspace.faults.fail_next("conversations.members", "server_error")
    with pytest.raises(TemporaryError):
        await slack.surface.messenger.in_channel("C1DEPLOYS", "approver")
    assert await slack.surface.messenger.in_channel("C1DEPLOYS", "approver")


async def test_a_person_is_pinged_only_where_the_card_says_so(slack: Slack) -> None:
    body = words("by ", person("requester"), ", for ", person("approver", mention=True))
    await slack.surface.messenger.post(
        RUN, "head", card("x").model_copy(update={"title": body}), channel="C1DEPLOYS", thread=None, search=False
    )
    (sent,) = slack.sent("chat.postMessage")
    assert "U2APPROVER" in str(sent["blocks"])
    assert "U1REQUESTER" not in str(sent["blocks"])


async def test_a_file_is_shared_once_under_its_message(start: Start) -> None:
    slack = await start(connect=False)
    file = Attachment(filename="logs.txt", content="a\n", summary="1 line")
    shown = card("logs", body=(file,))
    posted = await slack.surface.messenger.post(RUN, "logs", shown, channel="C1DEPLOYS", thread=None, search=False)
    again = SlackMessenger(slack.surface.api, Names(), hide)
    await again.post(RUN, "logs", shown, channel="C1DEPLOYS", thread=None, search=True)
    await slack.surface.messenger.edit(posted, RUN, "logs", shown)
    thread = slack.workspace.replies("deploys", posted.ts)
    assert [len(message.files) for message in thread] == [0, 1]


async def test_a_file_whose_last_answer_was_lost_is_not_shared_again(slack: Slack) -> None:
    shown = card("logs", body=(Attachment(filename="logs.txt", content="a\n", summary="1 line"),))
    slack.workspace.faults.fail_next("files.completeUploadExternal", "reset")
    with pytest.raises(TemporaryError):
        await slack.surface.messenger.post(RUN, "logs", shown, channel="C1DEPLOYS", thread=None, search=False)
    (head,) = slack.workspace.history("deploys")
    file = next(iter(slack.workspace.files.values()))
    slack.workspace.share_files([file], "deploys", slack.workspace.app.user_id, thread_ts=head.ts)  # it had arrived
    await slack.surface.messenger.post(RUN, "logs", shown, channel="C1DEPLOYS", thread=None, search=False)
    assert [len(message.files) for message in slack.workspace.replies("deploys", head.ts)] == [0, 1]


async def test_nothing_leaves_unredacted(slack: Slack) -> None:
    file = Attachment(filename="logs.txt", content=f"password {SECRET}\n", summary=f"with {SECRET}")
    shown = card(f"the word is {SECRET}", body=(Preformatted(text=f"x {SECRET}"), file))
    await slack.surface.messenger.post(RUN, "head", shown, channel="C1DEPLOYS", thread=None, search=False)
    (stored,) = slack.workspace.files.values()
    assert stored.content == b"password [secret]\n"  # all else is held in conftest


async def test_a_redactor_that_fails_lets_nothing_out(start: Start) -> None:
    def broken(text: str) -> str:
        raise RuntimeError(text)

    slack = await start(connect=False, redact=broken)
    with pytest.raises(Withheld):
        await _post(slack)
    assert slack.sent("chat.postMessage") == []


async def test_what_slack_refuses_is_said_in_plainer_words() -> None:
    """A Slack that knows no tables, and one that takes no blocks at all."""
    refused: list[str] = []
    taken: list[dict[str, Any]] = []

    async def post(request: web.Request) -> web.Response:
        body = await request.json()
        found = [block["type"] for block in body.get("blocks") or []]
        if "table" in found or (body["channel"] == "C0WORDS" and found):
            refused.append(body["channel"])
            return web.json_response({"ok": False, "error": "invalid_blocks"})
        taken.append(body)
        return web.json_response({"ok": True, "channel": body["channel"], "ts": "1.1"})

    application = web.Application()
    application.add_routes([web.post("/api/chat.postMessage", post)])
    runner = web.AppRunner(application)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    api = SlackApi("xoxb-test", f"http://127.0.0.1:{runner.addresses[0][1]}/api/")
    messenger = SlackMessenger(api, Names(), hide)
    shown = card("two rows", body=(Table(columns=("A",), rows=((words("1"),), (words("2"),))),))
    try:
        for channel in ("C0PLAIN", "C0WORDS"):
            await messenger.post(RUN, "head", shown, channel=channel, thread=None, search=False)
    finally:
        await api.close()
        await runner.cleanup()
    plain, bare = taken
    assert [block["type"] for block in plain["blocks"]] == ["rich_text", "rich_text"]
    assert (bare["text"], "blocks" in bare) == ("two rows", False)
    assert refused == ["C0PLAIN", "C0WORDS", "C0WORDS"]


async def test_a_revoked_token_is_waited_for(start: Start) -> None:
    slack = await start(connect=False)
    api = SlackApi("xoxb-revoked", slack.server.api_url)
    messenger = SlackMessenger(api, Names(), hide)
    with pytest.raises(TemporaryError):
        await messenger.post(RUN, "head", card("x"), channel="C1DEPLOYS", thread=None, search=False)
    await api.close()


async def test_nothing_is_sent_to_an_address_that_is_not_slacks() -> None:
    real = SlackApi("xoxb-test", "https://slack.com/api/")
    assert real.permitted("https://hooks.slack.com/commands/1")
    assert real.permitted("https://files.slack.com/upload/v1/x")
    for foreign in (
        "https://slack.com.evil.example/x",
        "http://hooks.slack.com/x",
        "https://evil.example/?slack.com",
        "x",
    ):
        assert not real.permitted(foreign)
        with pytest.raises(SlackError):
            await real.send(foreign, json={})
    sandbox = SlackApi("xoxb-test", "http://127.0.0.1:1234/api/")
    assert sandbox.permitted("http://127.0.0.1:1234/response/x")
    assert not sandbox.permitted("http://127.0.0.1:4321/response/x")
    assert not sandbox.permitted("https://hooks.slack.com/commands/1")


async def test_no_proxy_of_the_environment_is_asked_on_the_way_to_the_sandbox(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:9")
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    assert SlackApi("xoxb-test", "http://127.0.0.1:1234/api/").proxy is None
    assert SlackApi("xoxb-test", "https://slack.com/api/").proxy == "http://127.0.0.1:9"
