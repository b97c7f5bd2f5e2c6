"""The card of `diagnose`: each cause has a number and says what to do, and what somebody may not do is offered to somebody who may."""

from types import SimpleNamespace
from typing import Any, cast

from commands.kit.card import Card, Code, Paragraph, Typed
from commands.kit.registry import load
from commands.observe.diagnose import Diagnose, card_of, orders_of
from runbooks.troubleshooting.asking import Diagnosed
from runbooks.troubleshooting.findings import Confidence, Finding, ToDo, Trouble

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


async def card(*found: Finding, lacks: str = "") -> Card:
    async def may(_: object, permission: str, __: str) -> bool:
        return permission != lacks

    context = cast(
        "Any",
        SimpleNamespace(
            where=SimpleNamespace(name="production"),
            actor="U1",
            authority=SimpleNamespace(may=may),
            menu=tuple(load()),
        ),
    )
    orders = await orders_of(context, found)
    return card_of(context, Diagnose(), Diagnosed(findings=found, caused_by=(None,) * len(found)), orders)


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
