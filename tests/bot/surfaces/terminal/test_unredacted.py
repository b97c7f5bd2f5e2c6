"""Unredacted lines at the terminal's socket: to the account they are for, beside a card that is redacted, harmless where they are shown."""

import asyncio
import contextlib
import io
import json
import os
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from bot.boundary import logs
from bot.boundary.inbound import Answer, Exit, TerminalOnly
from bot.surfaces.terminal.client import Unreachable, new_key, say
from bot.surfaces.terminal.server import SocketServer
from bot.surfaces.terminal.wire_format import AnswerLine, Call, EndLine, Line, NoticeLine, RawLines, RefusedLine
from commands.kit import disclosure
from runbooks.redaction.unredacted import Unredacted
from tests.bot.test_cli import omnicare
from tests.support.dispatchers import Dispatcher, Runs, card

PRIVATE = "patient Maria Lopez \x1b[2J\x1b]0;owned\x07 \u202e hunter2"


def only(*texts: str, account: str = "") -> TerminalOnly:
    shown = tuple(disclosure.RawLine(f"x2lqp 14:02:31 {text}", {"kind": "line", "text": text}) for text in texts)
    return TerminalOnly(account=account or f"uid:{os.getuid()}", event=7, lines=Unredacted(shown))


@contextlib.asynccontextmanager
async def bot(path: Path, dispatcher: Dispatcher, **more: Any) -> AsyncIterator[SocketServer]:
    hide = more.pop("redact", lambda text: text.replace("hunter2", "[hidden]"))
    server = SocketServer(path, dispatcher, Runs(), redact=hide, name=str.title, short=str, **more)
    await server.start()
    try:
        yield server
    finally:
        await server.stop(drain=1.0)


async def lines(path: Path, *tokens: str, key: str = "") -> list[Line]:
    async with asyncio.timeout(60):
        return [each async for each in say(path, Call(tokens=tokens, key=key or new_key()), patience=60.0)]


def raw(title: str = "backend hunter2", *texts: str, **more: Any) -> Answer:
    return Answer(card=card(title, at="hunter2"), terminal_only=only(*(texts or (PRIVATE,)), **more))


async def test_they_come_before_the_card_which_is_redacted_like_any_other(tmp_path: Path) -> None:
    dispatcher = Dispatcher()
    dispatcher.answers["logs"] = raw()
    async with bot(tmp_path / "s", dispatcher):
        notice, found, answer, end = await lines(tmp_path / "s", "logs")
    assert isinstance(notice, NoticeLine)
    assert notice.said == (
        "The following is unredacted: it may contain secrets and patients' names. The audit log records that you read it (event 7)."
    )
    assert isinstance(found, RawLines)
    assert found.lines == (f"x2lqp 14:02:31 {PRIVATE}",)
    assert found.records == ({"kind": "line", "text": PRIVATE},)
    assert isinstance(answer, AnswerLine)
    assert answer.card is not None
    assert (answer.card.summary, answer.card.data) == ("backend [hidden]", {"at": "[hidden]"})
    assert end == EndLine(exit=0)


async def test_another_account_does_not_get_them(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    dispatcher = Dispatcher()
    dispatcher.answers["logs"] = raw(account="uid:4711")
    async with bot(tmp_path / "s", dispatcher):
        (refused,) = await lines(tmp_path / "s", "logs")
    assert isinstance(refused, RefusedLine)
    assert refused.exit == Exit.FAILED
    assert "Maria" not in refused.model_dump_json() + caplog.text


async def test_they_are_not_remembered_for_a_call_that_is_sent_again(tmp_path: Path) -> None:
    dispatcher = Dispatcher()
    dispatcher.answers["logs"] = raw()
    key = new_key()
    async with bot(tmp_path / "s", dispatcher) as server:
        await lines(tmp_path / "s", "logs", key=key)
        assert server._taken == {}
        await lines(tmp_path / "s", "logs", key=key)
        await lines(tmp_path / "s", "status", key=key)
    assert len(dispatcher.taken) == 3


async def test_many_come_in_parts_and_none_is_lost(tmp_path: Path) -> None:
    dispatcher = Dispatcher()
    texts = [f"line {number}" for number in range(1201)]
    dispatcher.answers["logs"] = raw("backend", *texts)
    async with bot(tmp_path / "s", dispatcher):
        found = await lines(tmp_path / "s", "logs")
    parts = [line for line in found if isinstance(line, RawLines)]
    assert len(parts) == 3
    assert [record["text"] for part in parts for record in part.records] == texts


async def test_a_card_has_no_way_to_carry_them(tmp_path: Path) -> None:
    """Whatever is put into a card's data, it is redacted, or shows nothing of itself."""
    dispatcher = Dispatcher()
    dispatcher.answers["status"] = Answer(
        card=card("Status", raw=True, lines=["hunter2"], terminal_only={"lines": ["hunter2"]})
    )
    async with bot(tmp_path / "s", dispatcher):
        found = await lines(tmp_path / "s", "status")
    assert [type(line) for line in found] == [AnswerLine, EndLine]
    assert "hunter2" not in found[0].model_dump_json()


async def test_where_the_card_can_not_be_redacted_it_is_withheld_and_nothing_of_it_is_logged(tmp_path: Path) -> None:
    def broken(text: str) -> str:
        raise ValueError("no " + text)

    stream = io.StringIO()
    logs.set_up(lambda text: text.replace("hunter2", "[hidden]"), stream=stream, pretty=False)
    dispatcher = Dispatcher()
    dispatcher.answers["logs"] = raw()
    async with bot(tmp_path / "s", dispatcher, redact=broken):
        *_, answer, _ = await lines(tmp_path / "s", "logs")
    assert isinstance(answer, AnswerLine)
    assert answer.card is not None
    assert answer.card.summary.startswith("The answer could not be checked")
    assert "Maria" not in stream.getvalue()


async def test_a_bot_that_goes_away_in_the_middle_is_not_asked_again_by_itself(tmp_path: Path) -> None:
    """Each reading stands in the audit trail: the client makes none that nobody typed."""
    calls = 0

    async def half(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal calls
        calls += 1
        await reader.readuntil(b"\r\n\r\n")
        notice = json.dumps({"kind": "notice", "said": "The following is unredacted"}).encode() + b"\n"
        writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n%x\r\n%b\r\n" % (len(notice), notice))
        await writer.drain()
        writer.close()

    server = await asyncio.start_unix_server(half, tmp_path / "s")
    async with server:
        with pytest.raises(Unreachable, match="in the middle of the unredacted lines"):
            await lines(tmp_path / "s", "logs")
    assert calls == 1


# as a person sees it


async def test_a_terminal_is_shown_them_and_not_driven_by_them(tmp_path: Path) -> None:
    dispatcher = Dispatcher()
    dispatcher.answers["logs"] = raw()
    async with bot(tmp_path / "s", dispatcher):
        ended = await omnicare("logs", "backend", "--raw", "--reason", "x", socket=tmp_path / "s")
    assert ended.status == 0
    assert ended.err.startswith("The following is unredacted: it may contain secrets and patients' names.")
    assert "Maria" not in ended.err
    first, second = ended.out.splitlines()
    assert first == "x2lqp 14:02:31 patient Maria Lopez ␛[2J␛]0;owned␇ <U+202E> hunter2"
    assert second == "backend [hidden]"
    assert ended.out.replace("\n", "").isprintable()


async def test_scripts_read_an_object_a_line_and_then_the_answer(tmp_path: Path) -> None:
    dispatcher = Dispatcher()
    dispatcher.answers["logs"] = raw("backend", PRIVATE, "two")
    async with bot(tmp_path / "s", dispatcher):
        ended = await omnicare("--json", "logs", "backend", "--raw", "--reason", "x", socket=tmp_path / "s")
    assert (ended.status, ended.out.isascii()) == (0, True)
    assert ended.out.replace("\n", "").isprintable()
    assert ended.err.startswith("The following is unredacted")
    first, second, answer = map(json.loads, ended.out.splitlines())
    assert (first, second) == ({"kind": "line", "text": PRIVATE}, {"kind": "line", "text": "two"})
    assert (answer["kind"], answer["exit"]) == ("answer", 0)


async def test_an_answer_without_them_is_one_document_and_says_nothing_beside_it(tmp_path: Path) -> None:
    async with bot(tmp_path / "s", Dispatcher()):
        ended = await omnicare("--json", "logs", "backend", socket=tmp_path / "s")
    assert json.loads(ended.out)["data"] == {"typed": "logs"}
    assert ended.err == ""
