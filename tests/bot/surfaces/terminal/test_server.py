"""The terminal's socket: who calls is what the kernel says, one act is done once, and nothing leaves unredacted."""

import asyncio
import contextlib
import json
import os
import socket
import stat
from collections.abc import AsyncIterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from bot.boundary.inbound import Answer, Exit
from bot.surfaces.terminal.client import Unreachable, new_key, say
from bot.surfaces.terminal.server import SocketError, SocketServer
from bot.surfaces.terminal.wire_format import AnswerLine, Call, CardLine, EndLine, Line, RefusedLine, exit_of
from commands.kit.card import Button, Card, Paragraph, RunAct, State, person, words
from commands.kit.spec import Kind
from runbooks.kit.reasons import ReasonCode
from tests.support.crowds import silent
from tests.support.dispatchers import Dispatcher, Runs, card


def hide(text: str) -> str:
    return text.replace("hunter2", "[hidden]")


@contextlib.asynccontextmanager
async def listening(
    path: Path, dispatcher: Dispatcher, runs: Runs | None = None, **more: Any
) -> AsyncIterator[SocketServer]:
    server = SocketServer(
        path,
        dispatcher,
        runs or Runs(),
        redact=more.pop("redact", hide),
        name=lambda key: key.title(),
        short=lambda run: run.split(".")[-1][:4].upper(),
        **more,
    )
    await server.start()
    try:
        yield server
    finally:
        await server.stop(drain=1.0)


async def lines(path: Path, *tokens: str, **more: Any) -> list[Line]:
    call = Call(tokens=tokens, key=more.pop("key", None) or new_key(), **more)
    async with asyncio.timeout(60):
        return [line async for line in say(path, call, patience=60.0)]


async def test_a_command_reaches_the_dispatcher_as_the_shell_split_it_and_under_the_callers_account(
    tmp_path: Path,
) -> None:
    dispatcher = Dispatcher()
    async with listening(tmp_path / "s", dispatcher):
        answer, end = await lines(tmp_path / "s", "logs", "backend", "--grep", "a b")
    assert isinstance(answer, AnswerLine)
    assert answer.card is not None
    assert answer.card.summary == "You typed logs"
    assert end == EndLine(exit=0)
    (inbound,) = dispatcher.taken
    assert inbound.tokens == ("logs", "backend", "--grep", "a b")
    assert inbound.account == f"uid:{os.getuid()}"
    assert inbound.named is None


async def test_the_socket_is_for_the_bots_group_only(tmp_path: Path) -> None:
    path = tmp_path / "run" / "s"
    async with listening(path, Dispatcher()):
        assert stat.S_IMODE(path.stat().st_mode) == 0o660
        assert stat.S_IMODE(path.parent.stat().st_mode) == 0o750
    assert not path.exists()


async def test_choosing_a_person_is_refused_outside_the_sandbox(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    dispatcher = Dispatcher()
    async with listening(tmp_path / "s", dispatcher):
        (refused,) = await lines(tmp_path / "s", "status", named="approver")
    assert isinstance(refused, RefusedLine)
    assert refused.exit == Exit.DENIED
    assert not dispatcher.taken
    assert "wanted to be another person" in caplog.text, "whoever keeps the bot hears of it"


async def test_choosing_a_person_works_in_the_sandbox(tmp_path: Path) -> None:
    dispatcher = Dispatcher()
    async with listening(tmp_path / "s", dispatcher, may_choose=True):
        await lines(tmp_path / "s", "status", named="approver")
    assert dispatcher.taken[0].named == "approver"


async def test_the_same_call_sent_again_acts_once(tmp_path: Path) -> None:
    dispatcher = Dispatcher()
    key = new_key()
    async with listening(tmp_path / "s", dispatcher):
        first = await lines(tmp_path / "s", "deploy", "v2.0.0", key=key)
        second = await lines(tmp_path / "s", "deploy", "v2.0.0", key=key)
        await lines(tmp_path / "s", "deploy", "v2.0.0")
    assert first == second
    assert len(dispatcher.taken) == 2
    assert dispatcher.taken[0].key != dispatcher.taken[1].key


async def test_a_client_that_goes_away_stops_nothing(tmp_path: Path) -> None:
    dispatcher = Dispatcher()
    dispatcher.release.clear()
    async with listening(tmp_path / "s", dispatcher):
        leaving = asyncio.create_task(lines(tmp_path / "s", "deploy", "v2.0.0"))
        await asyncio.wait_for(dispatcher.entered.wait(), 60)
        leaving.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await leaving
        assert not dispatcher.finished.is_set()
        dispatcher.release.set()
        await asyncio.wait_for(dispatcher.finished.wait(), 60)


async def test_a_run_is_followed_until_it_ends_and_its_outcome_is_the_exit_status(tmp_path: Path) -> None:
    dispatcher = Dispatcher()
    dispatcher.kinds["deploy"] = Kind.OPERATION
    dispatcher.answers["deploy"] = Answer(card=card("Asked"), run="production.deploy.7kq2abc")
    runs = Runs(
        ("progress", card("Rolling", state=State.RUNNING)),
        ("result", card("Stopped", state=State.FAILED, reason_code="image-pull")),
        ("head", card("Deploy", state=State.FAILED)),
    )
    async with listening(tmp_path / "s", dispatcher, runs):
        answer, *news, end = await lines(tmp_path / "s", "deploy", "v2.0.0")
    assert isinstance(answer, AnswerLine)
    assert answer.followed
    assert answer.short == "7KQ2"
    assert [line.slot for line in news if isinstance(line, CardLine)] == ["progress", "result", "head"]
    assert end == EndLine(exit=1)


@pytest.mark.parametrize(("kind", "follow"), [(Kind.OPERATION, False), (Kind.DECISION, True), (Kind.QUERY, True)])
async def test_only_an_operation_is_followed_and_only_where_it_is_wanted(
    tmp_path: Path, kind: Kind, follow: bool
) -> None:
    dispatcher = Dispatcher()
    dispatcher.kinds["act"] = kind
    dispatcher.answers["act"] = Answer(card=card("Told"), run="production.deploy.7kq2abc")
    async with listening(tmp_path / "s", dispatcher, Runs(("progress", card("Rolling")))):
        found = await lines(tmp_path / "s", "act", follow=follow)
    assert [type(line) for line in found] == [AnswerLine, EndLine]


async def test_who_stops_following_leaves_the_run_going(tmp_path: Path) -> None:
    dispatcher = Dispatcher()
    dispatcher.kinds["deploy"] = Kind.OPERATION
    dispatcher.answers["deploy"] = Answer(card=card("Asked"), run="production.deploy.7kq2abc")
    runs = Runs(("progress", card("Rolling", state=State.RUNNING)))
    runs.end.clear()
    async with listening(tmp_path / "s", dispatcher, runs, alive_seconds=0.05):
        following = asyncio.create_task(lines(tmp_path / "s", "deploy"))
        await asyncio.wait_for(runs.watching.wait(), 60)
        following.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await following
        # the watching ends, since nobody watches; that is all that ends
        await asyncio.wait_for(runs.left.wait(), 60)
        assert len(dispatcher.taken) == 1


async def test_a_bot_that_is_started_again_is_followed_further(tmp_path: Path) -> None:
    dispatcher = Dispatcher()
    dispatcher.kinds["deploy"] = Kind.OPERATION
    dispatcher.answers["deploy"] = Answer(card=card("Asked"), run="production.deploy.7kq2abc")
    before = Runs(("progress", card("Rolling", state=State.RUNNING)))
    before.end.clear()
    seen: list[Line] = []

    async def follow() -> None:
        async for line in say(tmp_path / "s", Call(tokens=("deploy",), key=new_key()), patience=60.0):
            seen.append(line)  # noqa: PERF401 - seen while it is followed

    async with listening(tmp_path / "s", dispatcher, before):
        following = asyncio.create_task(follow())
        await asyncio.wait_for(before.watching.wait(), 60)
    after = Runs(("result", card("Done", state=State.DONE, reason_code="succeeded")))
    async with listening(tmp_path / "s", dispatcher, after):
        await asyncio.wait_for(following, 60)
    assert [type(line) for line in seen] == [AnswerLine, CardLine, CardLine, EndLine]
    assert seen[-1] == EndLine(exit=0)
    # both deliveries carry the same key, so the dispatcher knows the second as the first
    assert len({inbound.key for inbound in dispatcher.taken}) == 1


async def test_what_leaves_is_redacted_and_the_buttons_words_stay_in_the_bot(tmp_path: Path) -> None:
    dispatcher = Dispatcher()
    shown = Card(
        title=words("The password is hunter2"),
        summary="hunter2",
        body=(Paragraph(text=words("asked by ", person("requester"), ": hunter2")),),
        buttons=(
            Button(
                label="Approve", does=RunAct(command="approve", run="production.deploy.7kq2abc", word="secret-word")
            ),
        ),
        data={"deep": [{"text": "hunter2"}]},
    )
    dispatcher.answers["status"] = Answer(card=shown)
    async with (
        listening(tmp_path / "s", dispatcher),
        aiohttp.ClientSession(connector=aiohttp.UnixConnector(path=str(tmp_path / "s"))) as session,
    ):
        call = Call(tokens=("status",), key=new_key())
        async with session.post("http://bot/deliver", data=call.model_dump_json()) as response:
            raw = await response.text()
    assert "hunter2" not in raw
    assert "secret-word" not in raw
    answer = json.loads(raw.splitlines()[0])
    assert answer["names"] == {"requester": "Requester"}
    assert answer["card"]["buttons"][0]["does"]["run"] == "7KQ2"
    assert answer["card"]["data"] == {"deep": [{"text": "[hidden]"}]}


async def test_a_redactor_that_fails_lets_nothing_out(tmp_path: Path) -> None:
    def broken(_text: str) -> str:
        raise RuntimeError("hunter2")

    dispatcher = Dispatcher()
    dispatcher.answers["status"] = Answer(card=card("hunter2"))
    async with listening(tmp_path / "s", dispatcher, redact=broken):
        answer, _end = await lines(tmp_path / "s", "status")
    assert "hunter2" not in answer.model_dump_json()
    assert isinstance(answer, AnswerLine)
    assert answer.card is not None
    assert "withheld" in answer.card.summary


async def test_a_dispatcher_that_breaks_is_an_answer_too(tmp_path: Path) -> None:
    class Broken(Dispatcher):
        async def take(self, inbound: object) -> Answer:  # noqa: ARG002
            raise RuntimeError("hunter2")

    async with listening(tmp_path / "s", Broken()):
        found = await lines(tmp_path / "s", "status")
    assert found[-1] == EndLine(exit=1)
    assert "hunter2" not in str(found)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{}",
        b'{"tokens": "status", "key": "' + b"0" * 32 + b'"}',
        b'{"tokens": ["status"], "key": "short"}',
        b'{"tokens": ["status"], "key": "' + b"0" * 32 + b'", "account": "uid:0"}',
        b'{"tokens": ["' + b"x" * 70_000 + b'"], "key": "' + b"0" * 32 + b'"}',
        b"[" * 60_000,
        b'{"tokens": ["\\ud800"], "key": "' + b"0" * 32 + b'"}',
        b'{"tokens": ["\xff"], "key": "' + b"0" * 32 + b'"}',
        b'{"tokens": ["status"], "key": "' + b"0" * 32 + b'", "offset": 86400}',
    ],
)
async def test_a_call_that_is_none_is_refused_before_the_dispatcher(tmp_path: Path, body: bytes) -> None:
    dispatcher = Dispatcher()
    async with (
        listening(tmp_path / "s", dispatcher),
        aiohttp.ClientSession(connector=aiohttp.UnixConnector(path=str(tmp_path / "s"))) as session,
        session.post("http://bot/deliver", data=body) as response,
    ):
        assert response.status == 400
    assert not dispatcher.taken


async def test_half_a_character_in_an_answer_is_one_sign_less_and_not_an_answer_less(tmp_path: Path) -> None:
    """A script's JSON may say `"\\ud800"`, which no encoder takes."""
    dispatcher = Dispatcher()
    dispatcher.answers["sync"] = Answer(card=card("failed", reason="\ud800 x"))
    async with listening(tmp_path / "s", dispatcher):
        answer, end = await lines(tmp_path / "s", "sync", "failed")
    assert isinstance(answer, AnswerLine)
    assert answer.card is not None
    assert answer.card.data["reason"] == "? x"
    assert end == EndLine(exit=0)


async def test_where_no_bot_runs_the_sentence_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(Unreachable, match=r"No bot is running here.*omnicare serve"):
        await lines(tmp_path / "none", "status")


async def test_what_a_killed_bot_left_is_no_obstacle(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as left:
        left.bind(str(tmp_path / "s"))
    async with listening(tmp_path / "s", Dispatcher()):
        assert len(await lines(tmp_path / "s", "status")) == 2


async def test_a_second_bot_on_the_same_socket_is_refused(tmp_path: Path) -> None:
    async with listening(tmp_path / "s", Dispatcher()):
        with pytest.raises(SocketError, match="Another bot"):
            await SocketServer(tmp_path / "s", Dispatcher(), Runs(), redact=hide, name=str, short=str).start()
        assert len(await lines(tmp_path / "s", "status")) == 2


async def test_a_file_in_the_sockets_place_is_not_removed(tmp_path: Path) -> None:
    (tmp_path / "s").write_text("mine")
    with pytest.raises(SocketError, match="not a socket"):
        await SocketServer(tmp_path / "s", Dispatcher(), Runs(), redact=hide, name=str, short=str).start()
    assert (tmp_path / "s").read_text() == "mine"


@pytest.mark.parametrize(
    ("code", "status"),
    [("succeeded", 0), ("nothing-to-do", 0), ("dry-run", 0), ("image-pull", 1), ("withdrawn", 1), ("denied", 3)],
)
def test_a_runs_reason_code_is_its_exit_status(code: str, status: int) -> None:
    assert exit_of(card("It ended", reason_code=ReasonCode(code))) == status


def test_a_card_without_a_reason_code_is_judged_by_its_state() -> None:
    assert exit_of(card("It ended", state=State.DONE)) == 0
    assert exit_of(card("It ended", state=State.FAILED)) == 1
    assert exit_of(None) == 1


@pytest.mark.parametrize(
    ("zone", "offset", "hours"),
    [
        ("Europe/Zurich", 7200, 1),
        ("Nowhere/Else", 7200, 2),
        ("../../etc/passwd", 7200, 2),
        ("America", 7200, 2),
        (None, 7200, 2),
    ],
)
async def test_a_time_behind_the_next_change_of_the_clock_is_meant_as_the_clock_will_be(
    tmp_path: Path, zone: str | None, offset: int, hours: int
) -> None:
    """Typed in summer: `lock --until "2026-12-01 18:00"` is 17:00 UTC in Zurich, and not 16:00."""
    dispatcher = Dispatcher()
    async with listening(tmp_path / "s", dispatcher):
        await lines(tmp_path / "s", "status", zone=zone, offset=offset)
    assert dispatcher.taken[0].zone is not None
    assert datetime(2026, 12, 1, 18, tzinfo=dispatcher.taken[0].zone).utcoffset() == timedelta(hours=hours)


@pytest.mark.parametrize("half", [b"", b"POST /deliver HTTP/1.1\r\nHost: x\r\nContent-Length: 99\r\n\r\n{"])
async def test_a_terminal_is_answered_however_many_calls_stop_halfway(tmp_path: Path, half: bytes) -> None:
    async with (
        listening(tmp_path / "s", Dispatcher(), arrive_seconds=600.0),
        silent(500, lambda: asyncio.open_unix_connection(tmp_path / "s"), half, kept=256),
    ):
        assert len(await lines(tmp_path / "s", "status")) == 2


async def test_a_call_that_does_not_arrive_whole_is_cut_off(tmp_path: Path) -> None:
    async with listening(tmp_path / "s", Dispatcher(), arrive_seconds=0.2):
        reader, writer = await asyncio.open_unix_connection(tmp_path / "s")
        writer.write(b"POST /deliver HTTP/1.1\r\nHost: x\r\nContent-Length: 99\r\n\r\n{")
        with contextlib.suppress(ConnectionError):
            assert await reader.read() == b""
        writer.close()
