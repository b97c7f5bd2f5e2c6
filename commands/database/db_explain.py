"""`db explain`: what PostgreSQL would do for a counted statement, and which step of it costs most. It is planned, never executed."""

import re
from typing import Annotated

from commands.kit.card import (
    Button,
    Card,
    Code,
    Element,
    Note,
    Paragraph,
    Preformatted,
    State,
    Strong,
    Typed,
    counted,
    sentence,
    words,
)
from commands.kit.command import Query
from commands.kit.context import Context
from commands.kit.spec import CHANNEL_DEFAULT, QueryMeta, argument, option
from commands.kit.types import ChoiceType, EnvironmentName, QueryId
from runbooks.clients.postgres.access import Instance
from runbooks.clients.postgres.query_plans import Refusal
from runbooks.clients.postgres.statements import Statement
from runbooks.database import query_plans, slow_statements
from runbooks.database.slow_statements import milliseconds, percent
from runbooks.kit.reasons import ReasonCode
from runbooks.kit.sql import shortened

_LONGEST = 4000
"""Characters of the statement."""


class DbExplain(Query):
    """Show a counted statement's plan: its steps, what each costs, and the dearest one named. Planned only, never executed."""

    meta = QueryMeta(permission="database:read", examples=["q3f9ac1d2", "q3f9ac1d2 --on replica"], name="db explain")

    query: QueryId = argument("which, by the id that `slow-queries` shows")
    on: Annotated[str | None, ChoiceType("server", ("primary", "replica"))] = option("which server")
    env: EnvironmentName = option("where", default=CHANNEL_DEFAULT)

    async def run(self, context: Context) -> Card:
        database = context.database()
        place = database.place(self.on)
        statement, plan = await database.explained(place, self.query.removeprefix("q"))
        where = context.where.name
        if plan.tree is None:
            assert plan.refusal is not None
            return _refused(statement, plan.refusal, place, where, generic=plan.generic)
        return _planned(statement, query_plans.read(plan.tree), place, where)


def _planned(statement: Statement, reading: query_plans.PlanReading, place: Instance, where: str) -> Card:
    name, dearest = slow_statements.name_of(statement), reading.dearest
    meaning = query_plans.meaning(dearest)
    return Card(
        title=words(Strong(text=f"Plan of {name} in {where}"), f" · {place}, {_figures(statement)}"),
        summary=f"Plan of {name} in {where} ({place}). {meaning}",
        body=(
            Paragraph(text=words(Strong(text=f"{dearest.what}. "), *sentence(meaning).spans)),
            Preformatted(text="\n".join(query_plans.lines(reading)), label="Steps, the last one first"),
            Preformatted(text=shortened(statement.text, _LONGEST), label="Statement"),
            Note(
                text=words(
                    f"Planned without values, never executed. Cost {reading.cost:,.0f} in the planner's own unit; rows are what it expects."
                )
            ),
        ),
        buttons=_buttons(where, place),
        data={
            **_facts(statement, place, where),
            "cost": reading.cost,
            "dearest": {"step": dearest.what, "share": round(dearest.own, 4), "means": meaning},
            "steps": [
                {
                    "depth": step.depth,
                    "step": step.what,
                    "rows": step.rows,
                    "share": round(step.own, 4),
                    "conditions": list(step.conditions),
                }
                for step in reading.steps
            ],
        },
    )


_WHY: dict[Refusal, tuple[str, str]] = {
    Refusal.NO_FUNCTION: (
        "The function that plans is not installed there, and the bot's own role rightly reads no table.",
        "A DBA installs it with `deploy/database/explain.sql`; then it can be explained here. Until then, by hand:",
    ),
    Refusal.NOT_MINE: (
        "The function that plans is there, and the bot's role may not call it.",
        "As the DBA: `GRANT EXECUTE ON FUNCTION omnicare_bot.explain_query(bigint) TO omnicare_reader;` Until then, by hand:",
    ),
    Refusal.FOREIGN: (
        "It was run by a role whose statements the function does not plan.",
        "Where that is one of the application's: `GRANT omnicare_explained TO ROLE;`, as the DBA. Otherwise by hand:",
    ),
    Refusal.NOT_A_QUERY: ("It is not one single statement that has a plan.", "What it does can be read from its text:"),
    Refusal.RIGHTS: (
        "The function's owner has not the right that this statement wants: it may plan what reads, not what writes.",
        "If plans of writes are wanted, a DBA runs `deploy/database/explain.sql` again with `-v writes=yes`. Until then, by hand:",
    ),
    Refusal.TEXT: (
        "The counted text is not valid SQL any more: `$1` took the place of something that has to be written out, as in `interval '1 day'`.",
        "Put values in, and ask by hand:",
    ),
    Refusal.NAMES: (
        "A table, column or function in it is not found: it lives in another schema than the function looks in, or is gone.",
        "By hand, with the application's search path:",
    ),
    Refusal.TYPES: (
        "Without values PostgreSQL can't tell which types `$1` and the others have.",
        "Put values in, and ask by hand:",
    ),
}


def _refused(statement: Statement, refusal: Refusal, place: Instance, where: str, *, generic: bool) -> Card:
    name = slow_statements.name_of(statement)
    why, to_do = _WHY[refusal]
    by_hand = shortened(statement.text, _LONGEST)
    if refusal is not Refusal.NOT_A_QUERY:
        by_hand = _by_hand(by_hand, place, generic=generic and refusal not in _NEEDS_VALUES)
    body: tuple[Element, ...] = (
        Paragraph(text=sentence(why)),
        Paragraph(text=sentence(to_do)),
        Preformatted(text=by_hand),
        Note(text=words("Nothing was executed. reason code ", Code(text=ReasonCode.NO_PLAN))),
    )
    return Card(
        state=State.ENDED,
        title=words(Strong(text=f"No plan of {name} in {where}"), f" · {place}, {_figures(statement)}"),
        summary=f"No plan of {name} in {where}: {why}",
        body=body,
        buttons=_buttons(where, place),
        data={
            **_facts(statement, place, where),
            "ok": False,
            "reason_code": ReasonCode.NO_PLAN,
            "why": refusal,
            "message": why,
        },
    )


_NEEDS_VALUES = frozenset({Refusal.TEXT, Refusal.TYPES})
_HIDDEN = re.compile(r"…|\?")
"""What was written into a statement is hidden so, and is no parameter to plan with."""


def _by_hand(text: str, place: Instance, *, generic: bool) -> str:
    """EXPLAIN alone plans; with ANALYZE it would execute. Pasted as it stands where the server needs no values (`generic`)."""
    who = f"-- psql on the {place}, as a role that may read these tables"
    if generic and not _HIDDEN.search(text):
        return f"{who}\nEXPLAIN (GENERIC_PLAN) {text};"
    return f"{who}; values in place of $1, '…' and ?\nEXPLAIN {text};"


def _figures(statement: Statement) -> str:
    return f"{milliseconds(statement.mean)} each time, {counted(statement.calls, 'call')}, {percent(statement.share)} of all time"


def _facts(statement: Statement, place: Instance, where: str) -> dict[str, object]:
    return {
        "environment": where,
        "on": place,
        "id": slow_statements.name_of(statement),
        "mean_ms": round(statement.mean, 3),
        "calls": statement.calls,
        "statement": statement.text,
    }


def _buttons(where: str, place: Instance) -> tuple[Button, ...]:
    return (Button(label="Slow queries", does=Typed(text=f"slow-queries --on {place} --env {where}")),)
