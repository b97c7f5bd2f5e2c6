"""`db activity` as people read it: what a program chose as a name is redacted whole, before it is cut."""

from types import SimpleNamespace
from typing import Any, cast

import pytest

from commands.kit.card import Card, State
from commands.kit.command import Query
from commands.kit.registry import load
from runbooks.clients.postgres.activity import ActiveSession, Activity
from runbooks.database import activity


async def card_of(reading: activity.ActivityReading) -> Card:
    async def answer(_: str) -> activity.ActivityReading:
        return reading

    database = SimpleNamespace(
        activity=answer, place=lambda _: "primary", settings=SimpleNamespace(places=lambda: ("primary",))
    )
    context = SimpleNamespace(where=SimpleNamespace(name="production"), use=lambda *_: database)
    request = load().make("db activity", {"env": "production"})
    assert isinstance(request, Query)
    return await request.answer(cast("Any", context))


@pytest.mark.parametrize(
    ("idle", "seconds", "said", "state"),
    [
        (9, 51.0, "9 of 12 sessions are idle in a transaction, the longest for 51 s; nothing is waiting for them", State.WAITING),
        (9, 1.0, "Nothing is waiting for a lock, and nothing has been running for long", State.DONE),
        (2, 51.0, "Nothing is waiting for a lock, and nothing has been running for long", State.DONE),
    ],
)  # fmt: skip
async def test_many_sessions_that_do_nothing_in_a_transaction_are_not_called_well(
    idle: int, seconds: float, said: str, state: State
) -> None:
    sessions = tuple(
        ActiveSession(
            pid=pid, role="omnicare", state="idle in transaction", waits="", seconds=seconds, transaction=seconds,
            blocked_by=(), prepared=(), text="select ?",
        )
        for pid in range(1, idle + 1)
    )  # fmt: skip
    states = {"idle in transaction": idle, "idle": 12 - idle}
    card = await card_of(activity.read("primary", "db:5432", Activity(sessions=sessions, states=states, prepared=())))
    assert (card.summary, card.state) == (f"{said} (production, primary).", state)


def waiting_for(gid: str) -> activity.ActivityReading:
    """One session, which waits for that prepared transaction."""
    waits = ActiveSession(
        pid=7, role="omnicare", state="active", waits="Lock: relation", seconds=9.0, transaction=9.0, blocked_by=(),
        prepared=(gid,), text="select ?",
    )  # fmt: skip
    return activity.read("primary", "db:5432", Activity(sessions=(waits,), states={"active": 1}, prepared=()))


async def test_a_prepared_transaction_whose_name_has_a_secret_shows_no_part_of_it() -> None:
    card = await card_of(waiting_for("postgres://o:hunter2-of-tonight@db:5432/emr"))
    assert "hunter2" not in card.summary
    assert "hunter2" not in card.title.model_dump_json()


async def test_a_prepared_transaction_that_others_wait_for_is_ended_by_its_name_and_not_as_a_process() -> None:
    card = await card_of(waiting_for("order o'brien"))
    said = card.model_dump_json()
    assert "ROLLBACK PREPARED 'order o''brien';" in said
    assert "pg_terminate_backend" not in said
    assert "db kill" not in said
