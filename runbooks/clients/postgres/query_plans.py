"""A statement's plan, never its execution: through the DBA's function if it is installed, else with the role's own privileges.

The bot's role should not read clinical tables, but EXPLAIN needs the same privileges as executing. So `deploy/database/explain.sql` gives
it a function that only plans; refusals and statements that can't be planned come back as a reason.
"""

import re
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from runbooks.clients.postgres.database import Session
from runbooks.clients.postgres.statements import Statement
from runbooks.kit.answers import read_json
from runbooks.kit.errors import PermanentError, RunbookError
from runbooks.kit.reasons import ReasonCode

if TYPE_CHECKING:
    import psycopg

FUNCTION = "omnicare_bot.explain_query"
_GENERIC = 160000
"""PostgreSQL 16 can plan a text with `$1` in it."""
_NAME = "omnicare_bot_plan"
_PLANNABLE = re.compile(
    r"(\s|--[^\n]*\n|/\*([^*]|\*(?!/))*\*/|\()*(select|insert|update|delete|merge|with|values|table)\b", re.IGNORECASE
)

_THERE = """
SELECT to_regprocedure('omnicare_bot.explain_query(bigint)') IS NOT NULL AS there,
       CASE WHEN to_regprocedure('omnicare_bot.explain_query(bigint)') IS NOT NULL
            THEN has_function_privilege(to_regprocedure('omnicare_bot.explain_query(bigint)'), 'EXECUTE') END AS mine
"""


class NoQueryPlan(StrEnum):
    """Why there is no plan."""

    NO_FUNCTION = "no-function"
    """The function is not installed, and the role has no privileges on the tables, as intended."""
    NOT_MINE = "not-mine"
    """The bot's role has no permission to call the function."""
    FOREIGN = "foreign"
    """The function plans only statements of the application's roles, and another role ran this one."""
    NOT_A_QUERY = "not-a-query"
    """Only SELECT, INSERT, UPDATE, DELETE, MERGE, VALUES have a plan; or the text is not exactly one statement."""
    RIGHTS = "rights"
    """The function's owner lacks the privilege for this statement, such as UPDATE."""
    TEXT = "text"
    """The normalised text is not valid SQL: `interval $1`."""
    NAMES = "names"
    """A table or function is not in the function's search path, or was dropped."""
    TYPES = "types"
    """The types of its parameters can't be determined without values."""


@dataclass(frozen=True, slots=True)
class QueryPlan:
    """PostgreSQL's plan as JSON, or why there is none."""

    tree: dict[str, Any] | None
    refusal: NoQueryPlan | None = None
    state: str = ""
    """The SQLSTATE of the refusal."""
    generic: bool = False
    """The server can plan a statement with `$1`, so no values are needed by hand."""


_BY_STATE = {
    "OB001": NoQueryPlan.FOREIGN,
    "OB002": NoQueryPlan.NOT_A_QUERY,
    "42P11": NoQueryPlan.NOT_A_QUERY,
    "42501": NoQueryPlan.RIGHTS,
    "42P18": NoQueryPlan.TYPES,
    "42P08": NoQueryPlan.TYPES,
    "42725": NoQueryPlan.TYPES,
    "42P01": NoQueryPlan.NAMES,
    "42883": NoQueryPlan.NAMES,
    "42704": NoQueryPlan.NAMES,
    "42703": NoQueryPlan.NAMES,
    "3F000": NoQueryPlan.NAMES,
}


async def plan(session: Session, statement: Statement) -> QueryPlan:
    """Return the statement's plan. Raises RunbookError if the server can't be asked."""
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
    """Plan with the role's own privileges, which fail at the first table."""
    await session.rows("SET LOCAL search_path = pg_catalog, public, pg_temp")
    one = re.sub(r"[\s;]+$", "", text)
    if ";" in one or not _PLANNABLE.match(one):
        return QueryPlan(None, NoQueryPlan.NOT_A_QUERY)
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


def _plan(found: object) -> QueryPlan:
    match read_json(found, _unreadable) if isinstance(found, str) else None:
        case [{"Plan": dict(tree)}, *_]:
            return QueryPlan(tree)
        case _:
            raise _unreadable()


def _unreadable() -> RunbookError:
    """A DBA may have changed the function."""
    return PermanentError(
        "The server's plan can't be read.",
        code=ReasonCode.DATABASE_REFUSED,
        advice=("A DBA can run `deploy/database/explain.sql` again on the primary.",),
    )


def _refused(error: "psycopg.Error", *, installed: bool, mine: bool) -> QueryPlan:
    state = error.sqlstate or ""
    if not mine and state in ("42501", "42P01", "42883", "3F000"):
        return QueryPlan(None, NoQueryPlan.NOT_MINE if installed else NoQueryPlan.NO_FUNCTION, state)
    return QueryPlan(None, _BY_STATE.get(state, NoQueryPlan.TEXT), state)
