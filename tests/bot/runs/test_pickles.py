"""Whoever can write a row of the engine's database can't run code in the bot: a row that claims to be a pickle is never unpickled."""

import base64
import os
import pickle
import sqlite3
from pathlib import Path

import pytest

from sandbox.people import STAGING as STAGING_CHANNEL
from tests.support.worlds import APPROVER, ON_CALL, Story


class Bomb:
    """Unpickling it makes a directory."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, ...]:
        return os.mkdir, (str(self.path),)


@pytest.fixture
def burnt(tmp_path: Path) -> Path:
    """Is there when code ran."""
    return tmp_path / "burnt"


@pytest.fixture
def bomb(burnt: Path) -> str:
    return base64.b64encode(pickle.dumps({"args": (Bomb(burnt),), "kwargs": {}})).decode()


def test_the_bomb_works(bomb: str, burnt: Path):
    pickle.loads(base64.b64decode(bomb))
    assert burnt.exists()


def change(engine: Path, statement: str, *values: str) -> None:
    connection = sqlite3.connect(engine)
    with connection:
        assert connection.execute(statement, values).rowcount > 0
    connection.close()


def put_into_input(engine: Path, run: str, bomb: str) -> None:
    change(engine, "UPDATE workflow_input SET inputs = ? WHERE workflow_uuid = ?", bomb, run)
    change(engine, "UPDATE workflow_status SET serialization = 'py_pickle' WHERE workflow_uuid = ?", run)


def put_into_event(engine: Path, run: str, bomb: str) -> None:
    change(
        engine,
        "UPDATE workflow_events SET value = ?, serialization = 'py_pickle' WHERE workflow_uuid = ?",
        bomb,
        run,
    )


def put_into_step(engine: Path, run: str, bomb: str) -> None:
    change(
        engine,
        "UPDATE operation_outputs SET output = ?, serialization = 'py_pickle' WHERE workflow_uuid = ?",
        bomb,
        run,
    )


def put_into_message(engine: Path, run: str, bomb: str) -> None:
    change(
        engine,
        "INSERT INTO notifications (destination_uuid, topic, message, serialization) VALUES (?, 'inbox', ?, 'py_pickle')",
        run,
        bomb,
    )


@pytest.mark.parametrize("put", [put_into_input, put_into_event, put_into_step, put_into_message])
async def test_a_row_that_carries_a_pickle_runs_no_code_and_stops_nobody_else(
    world: Story, put, bomb: str, burnt: Path
):
    await world.inside()
    poisoned = await world.ask("deploy v2.0.0")
    await world.says(poisoned, "waiting for approval")
    healthy = await world.ask("deploy v2.0.0", where=STAGING_CHANNEL)
    await world.says(healthy, "waiting for approval")
    await world.leave()
    put(world.engine, poisoned, bomb)
    await world.inside()
    await world.press(APPROVER, "approve", healthy)
    await world.ended_with(healthy, "v2.0.0 runs in staging")
    await world.press(APPROVER, "approve", poisoned)
    await world.type(ON_CALL, "/omnicare runs --env staging", STAGING_CHANNEL)
    await world.until(
        lambda: [each for each in world.slack.history(STAGING_CHANNEL) if "1 run in staging" in each.text],
        "the healthy runs are listed",
    )
    assert not os.path.exists(burnt)  # noqa: ASYNC240, PTH110 - a look at the disk of this machine
    assert world.chain_holds()
