"""The log: one JSON object a line, redacted, the libraries' own lines too."""

import asyncio
import io
import json
import logging
from collections.abc import Iterator

import pytest
import structlog

from bot.boundary import logs
from bot.process.metrics import ProcessMetrics
from bot.surfaces.http.server import Web


def hide(text: str) -> str:
    return text.replace("hunter2", "[hidden]")


@pytest.fixture(autouse=True)
def _as_before() -> Iterator[None]:
    names = ("", "dbos", "slack_bolt", "slack_sdk", "aiohttp", "kubernetes", "aiohttp.access")
    kept = {
        name: (logging.getLogger(name).handlers, logging.getLogger(name).level, logging.getLogger(name).propagate)
        for name in names
    }
    yield
    for name, (handlers, level, propagate) in kept.items():
        logger = logging.getLogger(name)
        logger.handlers, logger.propagate = handlers, propagate
        logger.setLevel(level)
    logging.captureWarnings(capture=False)
    structlog.reset_defaults()


def lines(stream: io.StringIO) -> list[dict[str, object]]:
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def test_every_line_is_one_json_object_with_time_level_and_logger() -> None:
    stream = io.StringIO()
    logs.set_up(hide, stream=stream)
    logging.getLogger("bot.dispatch.dispatcher").info("took %s", "deploy", extra={"run": "7KQ2"})
    structlog.get_logger("bot.app").warning("started", port=8080)
    first, second = lines(stream)
    assert (first["event"], first["level"], first["logger"], first["run"]) == (
        "took deploy",
        "info",
        "bot.dispatch.dispatcher",
        "7KQ2",
    )
    assert (second["event"], second["level"], second["port"]) == ("started", "warning", 8080)
    assert "timestamp" in first


def test_nothing_secret_is_logged_wherever_it_stands() -> None:
    stream = io.StringIO()
    logs.set_up(hide, stream=stream)
    log = logging.getLogger("bot.anything")
    log.info("password hunter2 and %s", "hunter2", extra={"deep": {"list": ["hunter2"]}, "thing": object})
    try:
        int("hunter2")
    except ValueError:
        log.exception("it broke")
    logging.getLogger("slack_sdk.web").error("token hunter2")
    logging.getLogger("dbos").warning("database hunter2")
    assert len(lines(stream)) == 4
    assert "hunter2" not in stream.getvalue()
    assert "ValueError" in stream.getvalue()


def test_a_line_that_can_not_be_redacted_is_withheld() -> None:
    def broken(_text: str) -> str:
        raise RuntimeError("hunter2")

    stream = io.StringIO()
    logs.set_up(broken, stream=stream)
    logging.getLogger("bot").error("hunter2")
    assert lines(stream) == [{"event": logs.WITHHELD, "level": "error"}]


def test_a_line_that_can_not_be_formatted_shows_none_of_its_arguments() -> None:
    stream = io.StringIO()
    logs.set_up(hide, stream=stream)
    logging.getLogger("bot").error("%d", "hunter2")
    assert "hunter2" not in stream.getvalue()
    assert stream.getvalue().count("\n") == 1


def test_the_engines_advertisement_is_dropped_and_its_warnings_are_not() -> None:
    stream = io.StringIO()
    logs.set_up(hide, stream=stream)
    logger = logging.getLogger("dbos")
    logger.info("To view and manage workflows, connect to DBOS Conductor at: https://console.example")
    logger.warning("a workflow was recovered")
    assert [line["event"] for line in lines(stream)] == ["a workflow was recovered"]


def test_the_engine_adds_no_handler_of_its_own() -> None:
    stream = io.StringIO()
    logs.set_up(hide, stream=stream)
    from dbos._logger import init_logger

    init_logger()
    assert len(logging.getLogger("dbos").handlers) == 1
    logging.getLogger("dbos").warning("once")
    assert stream.getvalue().count("once") == 1


def test_people_get_readable_lines() -> None:
    stream = io.StringIO()
    logs.set_up(hide, stream=stream, pretty=True)
    logging.getLogger("bot").warning("started hunter2")
    assert "started [hidden]" in stream.getvalue()
    assert not stream.getvalue().startswith("{")


def test_of_an_exception_its_kind_and_place_are_logged_and_not_what_it_quotes() -> None:
    """A name without a cue is nothing that redaction could find."""
    name = "Mirabel Quarrington"
    stream = io.StringIO()
    logs.set_up(str, stream=stream)
    log = logging.getLogger("bot.anything")
    try:
        try:
            int(name)
        except ValueError as error:
            raise ExceptionGroup(name, [KeyError(name), TypeError("code")]) from error
    except ExceptionGroup as error:
        error.add_note(name)
        log.exception("it broke")
        logging.getLogger("dbos").exception("so did it", exc_info=error)
        structlog.get_logger("bot").error("and it", exc_info=error)
    shown = stream.getvalue()
    assert len(lines(stream)) == 3
    assert name not in shown
    for words in ("ValueError", "KeyError", "TypeError: code", "test_logs.py", "which caused"):
        assert shown.count(words) >= 3


@pytest.mark.parametrize("pretty", [True, False])
def test_what_others_said_drives_no_terminal_and_makes_no_line(pretty: bool) -> None:
    nasty = "\x1b[2J\x1b]0;owned\x07\u009b31m\u202e\n[error] forged"
    stream = io.StringIO()
    logs.set_up(str, stream=stream, pretty=pretty)
    logging.getLogger("bot").warning("pod %s", nasty, extra={"deep": {nasty: [nasty]}, "run": nasty})
    shown = stream.getvalue()
    # what the renderer itself colours with
    assert not [sign for sign in shown.replace("\x1b[0m", "") if sign in "\x07\u009b\u202e"]
    assert "\x1b[2J" not in shown
    assert "\x1b]" not in shown
    assert shown.count("\n") == 1


@pytest.mark.parametrize("sent", [b"GET / HTTP/9.9\r\n\r\n", b"GET / HTTP/1.1\r\nX: " + b"a" * 100_000 + b"\r\n\r\n"])
async def test_bytes_that_are_no_http_are_one_short_line_without_a_traceback(sent: bytes) -> None:
    stream = io.StringIO()
    logs.set_up(hide, stream=stream)
    web = Web(ProcessMetrics(), {})
    reader, writer = await asyncio.open_connection("127.0.0.1", await web.start("127.0.0.1", 0))
    try:
        writer.write(sent)
        async with asyncio.timeout(60):
            assert b" 400 " in await reader.readline()
            await reader.read()
    finally:
        writer.close()
        await web.stop()
    (line,) = [each for each in lines(stream) if each["logger"] == "aiohttp.server"]
    assert str(line["event"]).startswith("refused bytes that are not HTTP: ")
    assert "exception" not in line
