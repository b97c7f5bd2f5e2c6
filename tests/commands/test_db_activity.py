"""`db activity` as people read it: what a program chose as a name is redacted whole, before it is cut."""

from types import SimpleNamespace
from typing import Any, cast

from commands.kit.command import Query
from commands.kit.registry import load
from runbooks.clients.postgres.activity import ActiveSession, Activity
from runbooks.database import activity


async def test_a_prepared_transaction_whose_name_has_a_secret_shows_no_part_of_it() -> None:
    gid = "postgres://o:hunter2-of-tonight@db:5432/emr"
    waits = ActiveSession(
        pid=7, role="omnicare", state="active", waits="Lock: relation", seconds=9.0, transaction=9.0, blocked_by=(),
        prepared=(gid,), text="select ?",
    )  # fmt: skip
    reading = activity.read("primary", "db:5432", Activity(sessions=(waits,), states={"active": 1}, prepared=()))

    async def answer(_: str) -> activity.ActivityReading:
        return reading

    database = SimpleNamespace(
        activity=answer, place=lambda _: "primary", settings=SimpleNamespace(places=lambda: ("primary",))
    )
    context = SimpleNamespace(where=SimpleNamespace(name="production"), use=lambda *_: database)
    request = load().make("db activity", {"env": "production"})
    assert isinstance(request, Query)
    card = await request.answer(cast("Any", context))
    assert "hunter2" not in card.summary
    assert "hunter2" not in card.title.model_dump_json()
