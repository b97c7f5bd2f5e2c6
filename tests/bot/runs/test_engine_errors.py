"""What a step raises that nobody foresaw: the engine keeps it in its database, so none of what was read may be in it."""

import asyncio
import json
import logging
import sqlite3
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from bot.runs.engine import Broke, Engine, EngineSettings
from runbooks.kit.errors import PermanentError
from runbooks.kit.reasons import ReasonCode
from runbooks.kit.targets import Frozen

PATIENT = "Mirabel Quarrington"
"""No cue stands beside it, so no pattern finds it."""


class _Item(Frozen):
    age: int


def _pydantic() -> None:
    _Item.model_validate({"age": PATIENT, PATIENT: 1})


def _number() -> None:
    int(PATIENT)


def _key() -> None:
    json.loads("{}")[PATIENT]


def _chained() -> None:
    try:
        _key()
    except KeyError as error:
        raise TypeError("about the code") from error


class _Answer(Exception):
    """As a vendor's client raises it: what the server said is in it."""

    def __init__(self) -> None:
        super().__init__(f"400: {PATIENT}")
        self.data = {"body": PATIENT}
        self.code = PATIENT


def _vendor() -> None:
    raise _Answer


_Answer.__module__ = "vendor.client"


@asynccontextmanager
async def _engine(path: Path, workflow: Callable[[Engine, Any], Awaitable[Any]]) -> AsyncIterator[Engine]:
    made: list[Engine] = []

    async def flow(raw: Any) -> Any:
        return await workflow(made[0], raw)

    made.append(Engine(EngineSettings(database_url=f"sqlite:///{path}")))
    made[0].register({"flow": flow})
    await made[0].launch()
    try:
        yield made[0]
    finally:
        made[0].destroy()


def _kept(path: Path) -> str:
    """Everything that stands in the engine's database."""
    with sqlite3.connect(path) as connection:
        return "\n".join(connection.iterdump())


@pytest.mark.parametrize("breaks", [_pydantic, _number, _key, _chained, _vendor])
@pytest.mark.parametrize("inside", [True, False], ids=["in a step", "in a workflow"])
async def test_nothing_of_what_was_read_is_kept_of_an_exception_that_nobody_foresaw(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, breaks: Callable[[], None], inside: bool
) -> None:
    raised: list[BaseException] = []
    over = asyncio.Event()

    async def step() -> None:
        breaks()

    async def flow(engine: Engine, _: Any) -> None:
        try:
            await (engine.step("reads", step) if inside else step())
        except Exception as error:
            raised.append(error)
            raise
        finally:
            over.set()

    path = tmp_path / "engine.sqlite"
    with caplog.at_level(logging.CRITICAL):  # its lines are held by tests/bot/boundary/test_logs.py
        async with _engine(path, flow) as engine:
            await engine.start("flow", "a", {})
            await asyncio.wait_for(over.wait(), 60)
            while (view := await engine.view("a")) is None or view.active:  # noqa: ASYNC110 - the engine wakes nobody
                await asyncio.sleep(0.01)
    kept = _kept(path)
    assert PATIENT not in kept
    assert "Broke" in kept
    assert f"{breaks.__name__}" in kept, "where it happened"
    if inside:
        (error,) = raised
        assert isinstance(error, Broke)
        assert (error.__cause__, error.__context__) == (None, None)
        assert PATIENT not in str(error)


async def test_what_is_ours_is_told_redacted_and_bounded(tmp_path: Path) -> None:
    said = f"patient: {PATIENT}, password=hunter2hunter2 " + "x" * 5000
    told: list[str] = []
    over = asyncio.Event()

    async def step() -> None:
        raise PermanentError(said, code=ReasonCode.SCRIPT_FAILED)

    async def flow(engine: Engine, _: Any) -> None:
        try:
            await engine.step("says", step)
        except Broke as error:
            told.append(str(error))
        over.set()

    async with _engine(tmp_path / "engine.sqlite", flow) as engine:
        await engine.start("flow", "a", {})
        await asyncio.wait_for(over.wait(), 60)
    (text,) = told
    assert text.startswith("PermanentError: patient: [name 1]")
    assert "hunter2" not in text + _kept(tmp_path / "engine.sqlite")
    assert len(text) < 500


async def test_a_replay_sees_a_bug_and_not_an_exception_of_the_engines_own(tmp_path: Path) -> None:
    """Those mean that the engine stops, so the run would end without a word, and its request wait for ever."""
    seen: list[BaseException] = []
    caught, gate = asyncio.Event(), asyncio.Event()

    async def flow(engine: Engine, _: Any) -> str:
        try:
            await engine.step("breaks", step)
        except Exception as error:  # noqa: BLE001 - whatever comes is what is looked at
            seen.append(error)
        caught.set()
        await gate.wait()
        return "over"

    async def step() -> None:
        _number()

    path = tmp_path / "engine.sqlite"
    async with _engine(path, flow) as engine:
        await engine.start("flow", "a", {})
        await asyncio.wait_for(caught.wait(), 60)
    caught.clear()
    async with _engine(path, flow):
        await asyncio.wait_for(caught.wait(), 60)
        gate.set()
    first, second = seen
    assert isinstance(first, Broke)
    assert (type(second), str(second)) == (type(first), str(first))
