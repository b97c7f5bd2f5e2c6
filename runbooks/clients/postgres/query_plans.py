"""A statement's plan, never its execution: through the DBA's function where it is installed, else with the role's own rights.

The bot's role should read no clinical table, and EXPLAIN wants the rights that executing would. So `deploy/database/explain.sql` gives
it a function that plans and does nothing else; what it refuses comes back as a reason, and so does what can't be planned at all.
"""

import json
import re
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from runbooks.clients.postgres.database import Session
from runbooks.clients.postgres.statements import Statement

if TYPE_CHECKING:
    import psycopg

FUNCTION = "omnicare_bot.explain_query"
_GENERIC = 160000
"""PostgreSQL 16 plans a text with `$1` in it as it is."""
_NAME = "omnicare_bot_plan"
_PLANNABLE = re.compile(
    r"(\s|--[^\n]*\n|/\*([^*]|\*(?!/))*\*/|\()*(select|insert|update|delete|merge|with|values|table)\b", re.IGNORECASE
)

_THERE = """
SELECT to_regprocedure('omnicare_bot.explain_query(bigint)') IS NOT NULL AS there,
       CASE WHEN to_regprocedure('omnicare_bot.explain_query(bigint)') IS NOT NULL
            THEN has_function_privilege(to_regprocedure('omnicare_bot.explain_query(bigint)'), 'EXECUTE') END AS mine
"""


class Refusal(StrEnum):
    """Why there is no plan."""

    NO_FUNCTION = "no-function"
    """The function is not installed, and the role has no right of its own on the tables. That is as it should be."""
    NOT_MINE = "not-mine"
    """The function is there, and the bot's role may not call it."""
    FOREIGN = "foreign"
    """The function plans only what the application's roles ran; this was somebody else."""
    NOT_A_QUERY = "not-a-query"
    """Only SELECT, INSERT, UPDATE, DELETE, MERGE, VALUES have a plan; or the text is not exactly one statement."""
    RIGHTS = "rights"
    """The function's owner has not the right that this statement wants, such as UPDATE."""
    TEXT = "text"
    """The text as it is counted is not valid SQL: `interval $1`."""
    NAMES = "names"
    """A table or function of it is not found where the function looks (its search path), or is gone."""
    TYPES = "types"
    """The types of its parameters can't be told without values."""


@dataclass(frozen=True, slots=True)
class QueryPlan:
    """What PostgreSQL would do, as its own JSON; or why that can't be told."""

    tree: dict[str, Any] | None
    refusal: Refusal | None = None
    state: str = ""
    """The SQLSTATE of the refusal."""
    generic: bool = False
    """The server plans a statement with `$1` as it stands, so whoever asks by hand needs no values."""


_BY_STATE = {
    "OB001": Refusal.FOREIGN,
    "OB002": Refusal.NOT_A_QUERY,
    "42P11": Refusal.NOT_A_QUERY,
    "42501": Refusal.RIGHTS,
    "42P18": Refusal.TYPES,
    "42P08": Refusal.TYPES,
    "42725": Refusal.TYPES,
    "42P01": Refusal.NAMES,
    "42883": Refusal.NAMES,
    "42704": Refusal.NAMES,
    "42703": Refusal.NAMES,
    "3F000": Refusal.NAMES,
}


async def plan(session: Session, statement: Statement) -> QueryPlan:
    """Plans it. Raises RunbookError where the server can't be asked."""
    import psycopg

    function = await session.row(_THERE)
    try:
        if function["mine"]:
            found = await session.said(f"SELECT {FUNCTION}(%s) AS plan", (statement.id,), bare=True)
            return _plan(found[0]["plan"])
        return await _by_itself(session, statement.text)
    except psycopg.Error as error:
        refused = _refused(error, installed=bool(function["there"]), mine=bool(function["mine"]))
        return replace(refused, generic=session.version >= _GENERIC)


async def _by_itself(session: Session, text: str) -> QueryPlan:
    """With the role's own rights, which end at the first table."""
    await session.rows("SET LOCAL search_path = pg_catalog, public, pg_temp")
    one = re.sub(r"[\s;]+$", "", text)
    if ";" in one or not _PLANNABLE.match(one):
        return QueryPlan(None, Refusal.NOT_A_QUERY)
    if session.version >= _GENERIC:
        found = await session.said(f"EXPLAIN (GENERIC_PLAN, FORMAT JSON) {one}", bare=True)
        return _plan(found[0]["QUERY PLAN"])
    await session.rows("SET LOCAL plan_cache_mode = force_generic_plan")
    await session.said(f"PREPARE {_NAME} AS {one}", bare=True)
    row = await session.row(
        "SELECT cardinality(parameter_types) AS n FROM pg_prepared_statements WHERE name = %s", _NAME
    )
    values = f"({', '.join(['NULL'] * row['n'])})" if row["n"] else ""
    found = await session.said(f"EXPLAIN (FORMAT JSON) EXECUTE {_NAME}{values}", bare=True)
    return _plan(found[0]["QUERY PLAN"])


def _plan(found: Any) -> QueryPlan:
    return QueryPlan(json.loads(found)[0]["Plan"])


def _refused(error: "psycopg.Error", *, installed: bool, mine: bool) -> QueryPlan:
    state = error.sqlstate or ""
    if not mine and state in ("42501", "42P01", "42883", "3F000"):
        return QueryPlan(None, Refusal.NOT_MINE if installed else Refusal.NO_FUNCTION, state)
    return QueryPlan(None, _BY_STATE.get(state, Refusal.TEXT), state)
