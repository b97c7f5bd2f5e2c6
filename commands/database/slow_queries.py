"""`slow-queries`: which statements the database spends its time on, which of them to look at first and why, and what is stuck now."""

from typing import Annotated, Any, cast

from commands.kit.card import (
    Button,
    Card,
    Code,
    Element,
    Fact,
    Facts,
    Moment,
    Note,
    Paragraph,
    Plain,
    State,
    Strong,
    Table,
    Text,
    Typed,
    sentence,
    words,
)
from commands.kit.command import Observation
from commands.kit.context import Context
from commands.kit.spec import CHANNEL_DEFAULT, QueryMeta, option
from commands.kit.types import ChoiceType, EnvironmentName, NumberType
from runbooks import wording
from runbooks.clients.postgres.activity import ActiveSession
from runbooks.clients.postgres.statements import By, Statement
from runbooks.database import by_hand, slow_statements
from runbooks.database.activity import trees
from runbooks.database.databases import Database, Slow
from runbooks.database.slow_statements import Pick, milliseconds, percent
from runbooks.wording import capital, duration, listed, shortened

_ORDERS: dict[By, str] = {"mean": "by mean time", "total": "by total time", "calls": "by calls"}
_IN_TABLE, _IN_SENTENCE = 70, 90
"""Characters of a statement."""
_STUCK = 3
"""So many of those that are waited for, or run now, are named."""
_FORGETS = 10


class SlowQueries(Observation):
    """Show the statements that take the most time: which to look at first and why, and what is waiting for a lock now.

    The numbers come from pg_stat_statements; the card says since when. Literals in statements are never shown.
    """

    tool = "psql"
    meta = QueryMeta(
        permission="database:read", examples=["", "--by total --limit 20", "--on replica"], aliases=["db slow"]
    )

    limit: Annotated[int, NumberType(1, 50, example="10")] = option("how many to show", default=10)
    by: Annotated[str, ChoiceType("order", ("mean", "total", "calls"))] = option(
        "sort order: slowest on average, most time in total, most calls", default="mean"
    )
    on: Annotated[str | None, ChoiceType("server", ("primary", "replica"))] = option(
        "which server; each counts only its own statements"
    )
    env: EnvironmentName = option("where", default=CHANNEL_DEFAULT)

    async def by_hand(self, context: Context) -> tuple[str, ...]:
        database = context.use(Database, "database")
        return by_hand.psql(database.settings, database.place(self.on), by_hand.slow(self.by, self.limit))

    async def answer(self, context: Context) -> Card:
        database = context.use(Database, "database")
        found = await database.slow(database.place(self.on), by=cast("By", self.by), limit=self.limit)
        return _Told(self, context, found).card()


class _Told:
    """The answer in words."""

    def __init__(self, request: SlowQueries, context: Context, found: Slow) -> None:
        self._request = request
        self._context = context
        self._found = found
        self._where = context.where.name
        self._picks = slow_statements.first(found.counted, context.now)
        self._stuck = trees(found.running)

    def card(self) -> Card:
        found, counted = self._found, self._found.counted
        title = f"Slow queries in {self._where}"
        order = _ORDERS[cast("By", self._request.by)]
        waits = sum(len(each.pids) for each in self._stuck)
        state = State.FAILED if self._stuck else None
        now = f": {_sessions(waits)} for a lock now" if waits else ""
        look = "; ".join(f"{slow_statements.name_of(pick.statement)} {pick.why[0]}" for pick in self._picks)
        return Card(
            state=state,
            title=words(Strong(text=f"{title}{now}"), f" · {found.place}, {order}"),
            summary=f"{title} ({found.place}, {order}){now}. {f'Look first at {look}.' if look else 'Nothing stands out.'}",
            body=(
                *self._blocked(),
                *self._look_first(),
                *self._table(),
                Facts(facts=self._facts()),
                *(Note(text=each) for each in self._notes()),
            ),
            buttons=self._buttons(),
            data={
                "environment": self._where,
                "on": found.place,
                "server": found.address,
                "by": self._request.by,
                "counted_since": counted.since.isoformat() if counted.since else None,
                "counted": counted.of,
                "total_ms": round(counted.total, 3),
                "calls": counted.calls,
                "cache_hit_ratio": counted.cache,
                "look_first": [
                    {"id": slow_statements.name_of(each.statement), "why": list(each.why)} for each in self._picks
                ],
                "statements": [_as_data(each) for each in counted.statements],
                "running": [_running_data(each) for each in found.running],
            },
        )

    def _blocked(self) -> list[Element]:
        """Who holds up others: what an on-call engineer needs before any statistics."""
        if not self._stuck:
            return []
        holders = listed(
            (
                f"process {each.holder}" if isinstance(each.holder, int) else f"prepared transaction {each.holder}"
                for each in self._stuck
            ),
            most=_STUCK,
        )
        return [
            Paragraph(
                text=words(
                    Strong(text="Stuck now: "),
                    f"they wait for {holders}. ",
                    Code(text="db activity"),
                    " shows who waits for whom.",
                )
            )
        ]

    def _look_first(self) -> list[Element]:
        if not self._picks:
            return []
        return [
            Paragraph(text=words(Strong(text="Start with"))),
            *(self._pick(place, pick) for place, pick in enumerate(self._picks, 1)),
        ]

    def _pick(self, place: int, pick: Pick) -> Paragraph:
        *others, last = pick.why
        why = f"{', '.join(others)}, and {last}" if others else last
        text = shortened(pick.statement.text, _IN_SENTENCE)
        return Paragraph(
            text=words(
                f"{place}. ",
                Code(text=slow_statements.name_of(pick.statement)),
                " ",
                sentence(why),
                ": ",
                Code(text=text or "(no text)"),
            )
        )

    def _table(self) -> list[Element]:
        statements = self._found.counted.statements
        if not statements:
            return [Paragraph(text=words("There are no statistics yet."))]
        return [
            Table(
                columns=("Statement", "Mean", "Calls", "Total", "Share", "Cache", "Rows"),
                rows=tuple(map(_row, statements)),
            )
        ]

    def _facts(self) -> tuple[Fact, ...]:
        counted = self._found.counted
        since: Moment | Plain = (
            Moment(at=counted.since, form="date-time", age=True)
            if counted.since
            else Plain(text="unknown (PostgreSQL before 14)")
        )
        facts = [
            Fact(label="Statistics since", value=words(since)),
            Fact(
                label="Statements",
                value=words(
                    f"{counted.of:,}, called {wording.counted(counted.calls, 'time')}, {milliseconds(counted.total)} in total"
                ),
            ),
        ]
        if counted.cache is not None:
            facts.append(Fact(label="Read from memory", value=words(percent(counted.cache))))
        facts.append(Fact(label="Server", value=words(f"{self._found.place} {self._found.address}")))
        return tuple(facts)

    def _notes(self) -> list[Text]:
        counted = self._found.counted
        notes: list[Text] = []
        held = {each.holder for each in self._stuck}
        slow_now = [
            each for each in self._found.running if not each.blocked_by and not each.prepared and each.pid not in held
        ]
        for each in slow_now[:_STUCK]:
            what = (
                f"{each.role} for {duration(each.seconds)}"
                if each.state == "active"
                else f"{each.role} with a transaction open for {duration(each.transaction)} ({each.state})"
            )
            notes.append(words(f"Running now: {what}: ", Code(text=shortened(each.text, _IN_SENTENCE))))
        if counted.forgotten >= _FORGETS:
            notes.append(
                words(
                    f"The least used statements were dropped {wording.counted(counted.forgotten, 'time')} to make room, so totals are too low; ",
                    Code(text="pg_stat_statements.max"),
                    " makes more room.",
                )
            )
        if not counted.texts:
            notes.append(
                words(
                    "Texts are omitted: one from another database on this server doesn't fit this database's encoding."
                )
            )
        elif any(not each.text for each in counted.statements):
            notes.append(
                words(
                    "The server has lost its file of statement texts; ",
                    Code(text="pg_stat_statements_reset()"),
                    " starts a new one.",
                )
            )
        left_out = counted.of - len(counted.statements)
        if left_out > 0:
            notes.append(
                words(
                    f"{wording.counted(left_out, 'more statement')}; ",
                    Code(text=f"--limit {min(50, self._request.limit * 2)}"),
                    " shows more.",
                )
            )
        if len(self._context.use(Database, "database").settings.places()) > 1:
            notes.append(
                words(
                    f"Includes only statements that the {self._found.place} ran. Literals are hidden; the bot's own statements are omitted."
                )
            )
        else:
            notes.append(words("Literals are hidden; the bot's own statements are omitted."))
        return notes

    def _buttons(self) -> tuple[Button, ...]:
        wanted = [pick.statement for pick in self._picks] or list(self._found.counted.statements[:1])
        on = f" --on {self._found.place}" if len(self._context.use(Database, "database").settings.places()) > 1 else ""
        buttons = (
            [Button(label="Activity", does=Typed(text=f"db activity{on} --env {self._where}"))] if self._stuck else []
        )
        buttons += [
            Button(
                label=f"Explain {slow_statements.name_of(each)}",
                does=Typed(text=f"db explain {slow_statements.name_of(each)}{on} --env {self._where}"),
            )
            for each in wanted
        ]
        limit = f" --limit {self._request.limit}" if self._request.limit != 10 else ""  # noqa: PLR2004 - the default
        buttons += [
            Button(
                label=capital(words_of),
                does=Typed(text=f"slow-queries --by {by}{limit}{on} --env {self._where}"),
                quiet=True,
            )
            for by, words_of in _ORDERS.items()
            if by != self._request.by
        ]
        if on:
            other = "replica" if self._found.place == "primary" else "primary"
            buttons.append(
                Button(
                    label=f"On the {other}",
                    does=Typed(text=f"slow-queries --by {self._request.by}{limit} --on {other} --env {self._where}"),
                    quiet=True,
                )
            )
        return tuple(buttons)


def _row(each: Statement) -> tuple[Text, ...]:
    return (
        # first, so that a narrow screen shows it
        words(Code(text=slow_statements.name_of(each)), f" {shortened(each.text, _IN_TABLE) or '(no text)'}"),
        words(milliseconds(each.mean)),
        words(f"{each.calls:,}"),
        words(milliseconds(each.total)),
        words(percent(each.share)),
        words("" if each.cache is None else percent(each.cache)),
        words(f"{each.rows:,}"),
    )


def _sessions(count: int) -> str:
    return f"{wording.counted(count, 'session')} {wording.by_count(count, 'waits', 'wait')}"


def _as_data(each: Statement) -> dict[str, Any]:
    return {
        "id": slow_statements.name_of(each),
        "mean_ms": round(each.mean, 3),
        "calls": each.calls,
        "total_ms": round(each.total, 3),
        "longest_ms": round(each.longest, 3),
        "share": round(each.share, 4),
        "cache_hit_ratio": each.cache,
        "rows": each.rows,
        "temporary_blocks": each.spilled,
        "roles": list(each.roles),
        "statement": each.text,
    }


def _running_data(each: ActiveSession) -> dict[str, Any]:
    return {
        "process": each.pid,
        "role": each.role,
        "state": each.state,
        "waits": each.waits,
        "seconds": round(each.seconds, 1),
        "transaction_seconds": round(each.transaction, 1),
        "blocked_by": list(each.blocked_by),
        "blocked_by_prepared": list(each.prepared),
        "statement": each.text,
    }
