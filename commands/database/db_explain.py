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
    sentence,
    words,
)
from commands.kit.command import Observation
from commands.kit.context import Context
from commands.kit.endings import failure
from commands.kit.spec import CHANNEL_DEFAULT, QueryMeta, argument, option
from commands.kit.types import ChoiceType, EnvironmentName, QueryId
from runbooks.clients.postgres.access import Instance
from runbooks.clients.postgres.query_plans import NoQueryPlan
from runbooks.clients.postgres.statements import Statement
from runbooks.database import by_hand, query_plans, slow_statements
from runbooks.database.databases import Database
from runbooks.database.slow_statements import milliseconds, percent
from runbooks.kit.reasons import ReasonCode
from runbooks.wording import counted, shortened

_LONGEST = 4000
"""Characters of the statement."""


class DbExplain(Observation):
    """Show a statement's plan: its steps, their cost, and the most expensive one. Planned only, never executed."""

    tool = "psql"
    meta = QueryMeta(permission="database:read", examples=["q3f9ac1d2", "q3f9ac1d2 --on replica"], name="db explain")

    query: QueryId = argument("the statement's id, shown by `slow-queries`")
    on: Annotated[str | None, ChoiceType("server", ("primary", "replica"))] = option("which server")
    env: EnvironmentName = option("where", default=CHANNEL_DEFAULT)

    async def by_hand(self, context: Context) -> tuple[str, ...]:
        database = context.use(Database, "database")
        return by_hand.psql(database.settings, database.place(self.on), by_hand.statement(self.query))

    async def answer(self, context: Context) -> Card:
        database = context.use(Database, "database")
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
            Preformatted(text="\n".join(query_plans.lines(reading)), label="Steps, last one first"),
            Preformatted(text=shortened(statement.text, _LONGEST), label="Statement"),
            Note(
                text=words(
                    f"Planned without values and not executed. Cost {reading.cost:,.0f} in planner units; row counts are estimates."
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


_WHY: dict[NoQueryPlan, tuple[str, str]] = {
    NoQueryPlan.NO_FUNCTION: (
        "The function for query plans is not installed, and the bot's role deliberately has no access to tables.",
        "A DBA can install it with `deploy/database/explain.sql`. Until then, by hand:",
    ),
    NoQueryPlan.NOT_MINE: (
        "The bot's role has no permission to call the function for query plans.",
        "As the DBA: `GRANT EXECUTE ON FUNCTION omnicare_bot.explain_query(bigint) TO omnicare_reader;` Until then, by hand:",
    ),
    NoQueryPlan.FOREIGN: (
        "The statement belongs to a role that the function does not cover.",
        "If that is one of the application's roles: `GRANT omnicare_explained TO ROLE;`, as the DBA. Otherwise by hand:",
    ),
    NoQueryPlan.NOT_A_QUERY: ("It is not a single statement with a plan.", "Its text shows what it does:"),
    NoQueryPlan.RIGHTS: (
        "The function's owner lacks the privilege for this statement: it can plan reads, not writes.",
        "To allow plans of writes, a DBA can run `deploy/database/explain.sql` again with `-v writes=yes`. Until then, by hand:",
    ),
    NoQueryPlan.TEXT: (
        "The normalised text is not valid SQL: `$1` replaces something that must be a literal, as in `interval '1 day'`.",
        "Fill in values and run it by hand:",
    ),
    NoQueryPlan.NAMES: (
        "A table, column or function in it was not found: it is in a schema that the function doesn't search, or was dropped.",
        "By hand, with the application's search path:",
    ),
    NoQueryPlan.TYPES: (
        "Without values PostgreSQL can't determine the types of the parameters.",
        "Fill in values and run it by hand:",
    ),
}


def _refused(statement: Statement, refusal: NoQueryPlan, place: Instance, where: str, *, generic: bool) -> Card:
    name = slow_statements.name_of(statement)
    why, to_do = _WHY[refusal]
    by_hand = shortened(statement.text, _LONGEST)
    if refusal is not NoQueryPlan.NOT_A_QUERY:
        by_hand = _by_hand(by_hand, place, generic=generic and refusal not in _NEEDS_VALUES)
    body: tuple[Element, ...] = (
        Paragraph(text=sentence(why)),
        Paragraph(text=sentence(to_do)),
        Preformatted(text=by_hand),
        Note(text=words("Nothing was executed. Reason code ", Code(text=ReasonCode.NO_PLAN))),
    )
    return Card(
        state=State.ENDED,
        title=words(Strong(text=f"No plan of {name} in {where}"), f" · {place}, {_figures(statement)}"),
        summary=f"No plan of {name} in {where}: {why}",
        body=body,
        buttons=_buttons(where, place),
        data=_facts(statement, place, where) | failure(ReasonCode.NO_PLAN, why) | {"why": refusal},
    )


_NEEDS_VALUES = frozenset({NoQueryPlan.TEXT, NoQueryPlan.TYPES})
_HIDDEN = re.compile(r"…|\?")
"""What was written into a statement is hidden so, and is no parameter to plan with."""


def _by_hand(text: str, place: Instance, *, generic: bool) -> str:
    """EXPLAIN alone plans; with ANALYZE it would execute. Pasted as it stands where the server needs no values (`generic`)."""
    who = f"-- psql on the {place}, as a role that may read these tables"
    if generic and not _HIDDEN.search(text):
        return f"{who}\nEXPLAIN (GENERIC_PLAN) {text};"
    return f"{who}; values in place of $1, '…' and ?\nEXPLAIN {text};"


def _figures(statement: Statement) -> str:
    return f"{milliseconds(statement.mean)} each time, {counted(statement.calls, 'call')}, {percent(statement.share)} of the total time"


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
