"""The card of `diagnose`: each cause has a number and says what to do, and what somebody may not do is offered to somebody who may."""

from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any, cast

import pytest

from commands.kit.card import Card, Code, Paragraph, Strong, Typed
from commands.kit.context import RunRecord
from commands.kit.registry import load
from commands.observe.diagnose import Diagnose, began, card_of, in_their_regions, orders_of
from runbooks.troubleshooting.asking import Diagnosed
from runbooks.troubleshooting.findings import Confidence, Finding, ToDo, Trouble
from tests.support.cases import PRODUCTION

PAUSED = Finding(
    kind=Trouble.REPLICATION_LAG,
    cause="The replica does not replay what it receives",
    confidence=Confidence.CERTAIN,
    to_do=(ToDo(text="As the DBA, on the replica: `SELECT pg_wal_replay_resume();`"),),
)
BLOCKED = Finding(
    kind=Trouble.BLOCKED_SESSIONS,
    cause="4 sessions of the database wait for pid 4711",
    confidence=Confidence.CERTAIN,
    to_do=(
        ToDo(text="See who waits for whom", command="db activity", label="Activity"),
        ToDo(text="End it, after an approval", command="db kill 4711", label="Kill 4711…"),
    ),
)


async def card(*found: Finding, lacks: str = "", caused_by: tuple[int | None, ...] = ()) -> Card:
    async def may(_: object, permission: str, __: str) -> bool:
        return permission != lacks

    context = cast(
        "Any",
        SimpleNamespace(
            where=SimpleNamespace(name="production", services=PRODUCTION.services),
            actor="U1",
            authority=SimpleNamespace(may=may),
            menu=tuple(load()),
        ),
    )
    said = in_their_regions(context, Diagnosed(findings=found, caused_by=caused_by or (None,) * len(found)))
    return card_of(context, Diagnose(), said, await orders_of(context, said.findings))


def paragraphs(of: Card) -> list[str]:
    return ["".join(span.text for span in each.text.spans) for each in of.body if isinstance(each, Paragraph)]


async def test_each_of_several_causes_has_a_number_that_its_words_can_not_merge_with_and_what_to_do() -> None:
    made = await card(PAUSED, BLOCKED)
    said = paragraphs(made)
    assert said[0].startswith("Cause 1: ")
    second = next(each for each in said if each.startswith("Cause 2: 4 sessions of the database wait"))
    assert "What to do\n• See who waits for whom: db activity\n• End it, after an approval: db kill 4711" in second
    typed = [
        span.text
        for each in made.body
        if isinstance(each, Paragraph)
        for span in each.text.spans
        if isinstance(span, Code)
    ]
    assert typed[0] == "SELECT pg_wal_replay_resume();"
    assert "Cause" not in "".join(paragraphs(await card(PAUSED)))


async def test_what_who_asks_may_not_do_is_no_button_and_says_which_permission_it_needs() -> None:
    kill = load().find("db kill")
    assert kill is not None
    assert kill.permission is not None
    made = await card(BLOCKED, lacks=kill.permission)
    assert f"• Somebody with {kill.permission} can end it, after an approval: db kill 4711" in paragraphs(made)[-1]
    assert [each.does for each in made.buttons] == [Typed(text="db activity --env production")]
    assert "Kill 4711…" in [each.label for each in (await card(BLOCKED)).buttons]


@pytest.mark.parametrize(
    ("cause", "title", "rest"),
    [
        ("The replica does not replay what it receives", "The replica does not replay what it receives", ""),
        (
            "ConfigMap backend-config (FHIR) was changed by kubectl-edit; backend read it when it restarted; since then API p95: 640 ms",
            "ConfigMap backend-config (FHIR) was changed by kubectl-edit",
            "backend read it when it restarted; since then API p95: 640 ms.",
        ),
        (
            "frontend: no node has room for the new pod: insufficient cpu (2 of 5 new pods; 3 old pods still serve)",
            "frontend: no node has room for the new pod: insufficient cpu",
            "2 of 5 new pods; 3 old pods still serve.",
        ),
        (
            "The database is running out of connections: role backend-worker uses 12 of 12 connections that it may have",
            "The database is running out of connections",
            "Role backend-worker uses 12 of 12 connections that it may have.",
        ),
        (
            "The database has become slower since this morning; pg_dump reads all of the table audit_events",
            "The database has become slower since this morning",
            "pg_dump reads all of the table audit_events.",
        ),
        (f"backend: {'x' * 200}", f"backend: {'x' * 200}", ""),
    ],
)
async def test_the_title_names_a_long_cause_in_few_words_and_the_rest_stands_under_it(
    cause: str, title: str, rest: str
) -> None:
    made = await card(PAUSED.model_copy(update={"cause": cause, "region": "eu"}))
    assert "".join(span.text for span in made.title.spans if isinstance(span, Strong)) == f"production: {title} (eu)"
    assert paragraphs(made)[0] == "\n".join(filter(None, (rest, "Certain.")))
    assert made.summary == f"production: {cause} (eu)", "a notification says all of it"


def test_a_run_that_ended_before_its_first_step_changed_nothing() -> None:
    asked = {"id": "production.deploy.1", "short": "1", "command": "deploy", "environment": "production", "title": "t"}
    now = datetime.now(UTC)
    failed = {**asked, "text": "deploy v1", "requester": "maya", "state": "failed", "at": now, "ended": now}
    step = {"key": "1", "title": "Migrations", "status": "failed"}
    assert not began(RunRecord.model_validate(failed))
    assert began(RunRecord.model_validate({**failed, "steps": [step]}))
    assert began(RunRecord.model_validate({**failed, "state": "running", "ended": None}))
    assert not began(RunRecord.model_validate({**failed, "state": "waiting", "ended": None}))


async def test_a_command_that_takes_a_region_is_typed_with_that_of_its_finding() -> None:
    orders = (
        ToDo(text="Read what it wrote", command="logs backend-x --previous", label="Logs"),
        ToDo(text="Roll back", command="rollback backend", label="Roll back"),
    )
    crash = Finding(
        kind=Trouble.CRASHES, cause="backend crashes", confidence=Confidence.CERTAIN, region="us", to_do=orders
    )
    assert [each.does for each in (await card(crash)).buttons] == [
        Typed(text="logs backend-x --previous --region us --env production"),
        Typed(text="rollback backend --env production"),
    ]


async def test_the_same_trouble_seen_elsewhere_is_evidence_and_what_else_follows_a_consequence() -> None:
    full = BLOCKED.model_copy(update={"kind": Trouble.POOL_EXHAUSTED, "cause": "No connection is left"})
    pool = full.model_copy(update={"cause": "backend: its pool is used up", "evidence": ("9 requests waiting.",)})
    slow = full.model_copy(update={"kind": Trouble.SLOW, "cause": "API p95: 525 ms"})
    said = paragraphs(await card(full, pool, slow, caused_by=(None, 0, 0)))
    assert "• backend: its pool is used up. 9 requests waiting." in said
    assert said[-1] == "Likely consequences: API p95: 525 ms."
