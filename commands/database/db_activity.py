"""`db activity`: who waits for whom in the database now, what has been running or idle in a transaction for long, and what was left behind."""

from collections.abc import Iterator
from typing import Annotated

from commands.kit.card import (
    Button,
    Card,
    Code,
    Element,
    Fact,
    Facts,
    Note,
    Paragraph,
    Preformatted,
    State,
    Strong,
    Table,
    Text,
    Typed,
    words,
)
from commands.kit.command import Observation
from commands.kit.context import Context
from commands.kit.spec import CHANNEL_DEFAULT, QueryMeta, option
from commands.kit.types import ChoiceType, EnvironmentName
from runbooks.clients.postgres.activity import CLIENT, ActiveSession
from runbooks.database import by_hand
from runbooks.database.activity import ActivityReading, Waits
from runbooks.database.databases import Database
from runbooks.database.slow_statements import query_name
from runbooks.redaction.redactor import cut_redacted
from runbooks.wording import by_count, counted, duration, listed, shortened

_WIDTH = 36
"""Characters of a line in a tree: what a phone shows unbroken."""
_WHOLE, _IN_TABLE = 300, 70
"""Characters of a statement."""
_TREES, _WAITING, _ROWS = 3, 12, 10
"""So many are shown: trees, sessions in one tree, sessions beside them."""


class DbActivity(Observation):
    """Show who waits for whom in the database now, long statements, idle transactions and prepared transactions.

    Literals in statements are never shown.
    """

    tool = "psql"
    meta = QueryMeta(permission="database:read", examples=["", "--on replica"], name="db activity", refreshes=True)

    on: Annotated[str | None, ChoiceType("server", ("primary", "replica"))] = option("which server")
    env: EnvironmentName = option("where", default=CHANNEL_DEFAULT)

    async def by_hand(self, context: Context) -> tuple[str, ...]:
        database = context.use(Database, "database")
        return by_hand.psql(database.settings, database.place(self.on), by_hand.ACTIVITY)

    async def answer(self, context: Context) -> Card:
        database = context.use(Database, "database")
        found = await database.activity(database.place(self.on))
        return _card(found, context.where.name, len(database.settings.places()) > 1)


def _card(found: ActivityReading, where: str, several: bool) -> Card:
    answer = _answer(found)
    return Card(
        state=State.FAILED if found.trees else State.WAITING if _odd(found) else State.DONE,
        title=words(Strong(text=answer), f" · {where}, {found.place}"),
        summary=f"{answer} ({where}, {found.place}).",
        body=(
            *_trees(found),
            *_left_behind(found),
            *_others(found),
            Facts(
                facts=(
                    Fact(label="Sessions", value=words(_states(found))),
                    Fact(label="Server", value=words(f"{found.place} {found.address}")),
                )
            ),
            Note(text=words("Literals are hidden; the bot's own session is omitted.")),
        ),
        buttons=tuple(_buttons(found, where, several)),
        data=_data(found, where),
    )


def _odd(found: ActivityReading) -> bool:
    return bool(found.idle or found.many_idle or found.long or found.left_behind)


def _answer(found: ActivityReading) -> str:
    """The answer in one sentence, without its full stop."""
    if len(found.trees) == 1:
        (tree,) = found.trees
        waiting = len(tree.pids)
        return f"{counted(waiting, 'session')} {by_count(waiting, 'waits', 'wait')} for {_holder(tree)}"
    if found.trees:
        waiting = sum(len(tree.pids) for tree in found.trees)
        holders = listed((_name(tree) for tree in found.trees), most=3)
        return f"{counted(waiting, 'session')} wait for {len(found.trees)} others: {holders}"
    if many := found.many_idle:
        longest = duration(many[0].seconds)
        return f"{len(many)} of {counted(found.sessions, 'session')} are idle in a transaction, the longest for {longest}; nothing is waiting for them"
    if found.idle:
        return f"Pid {found.idle[0].pid} has been {found.idle[0].state} for {duration(found.idle[0].seconds)}; nothing is waiting for it"
    if found.long:
        return f"Nothing is waiting, but pid {found.long[0].pid} has been running a statement for {duration(found.long[0].seconds)}"
    if found.left_behind:
        return (
            f"Nothing is waiting, but a prepared transaction has been open for {duration(found.left_behind[0].seconds)}"
        )
    return "Nothing is waiting for a lock, and nothing has been running for long"


def _name(tree: Waits) -> str:
    return (
        f"pid {tree.holder}"
        if isinstance(tree.holder, int)
        else f"prepared transaction {cut_redacted(tree.holder, 30)}"
    )


def _holder(tree: Waits) -> str:
    if tree.session is None:
        return _name(tree)
    return f"{_name(tree)}, {_doing(tree.session)}"


def _doing(session: ActiveSession) -> str:
    if session.kind != CLIENT:
        return f"{session.kind}, for {duration(session.seconds)}"
    return f"{session.state or 'in an unknown state'} for {duration(session.seconds)}"


def _who(session: ActiveSession) -> str:
    """Role and application."""
    return " · ".join(part for part in (session.role, shortened(session.application, 30)) if part)


def _trees(found: ActivityReading) -> Iterator[Element]:
    for tree in found.trees[:_TREES]:
        yield Preformatted(label="Who waits for whom", text="\n".join(_lines(tree)))
        if isinstance(tree.holder, str):
            yield Paragraph(text=_ending(tree.holder))
        elif tree.session is not None:
            yield Paragraph(text=_root(tree.session))
    if (left := len(found.trees) - _TREES) > 0:
        yield Note(text=words(f"{counted(left, 'more session')} {by_count(left, 'is', 'are')} waited for."))


def _root(session: ActiveSession) -> Text:
    """Whose session the others wait for, and what it ran last."""
    who = f"Pid {session.pid} is {_who(session) or session.kind}"
    where = f" from {session.client}" if session.client else ""
    opened = f", its transaction open for {duration(session.transaction)}" if session.transaction else ""
    ran = (f". It {'last ran' if session.idle else 'runs'} ", Code(text=shortened(session.text, _WHOLE)))
    return words(f"{who}{where}{opened}", *(ran if session.text else (".",)))


def _lines(tree: Waits) -> Iterator[str]:
    """Yield a tree as lines: who and how long, below it the statement."""
    shown = 0

    def draw(node: Waits, first: str, rest: str) -> Iterator[str]:
        nonlocal shown
        shown += 1
        yield f"{first}{_line(node)}"
        if node.session is not None and node.session.text:
            line = f"{rest}{'│ ' if node.behind else '  '}"
            yield f"{line}{shortened(node.session.text, max(10, _WIDTH - len(line)))}"
        for place, each in enumerate(node.behind):
            last = place == len(node.behind) - 1
            if shown <= _WAITING:
                yield from draw(each, f"{rest}{'└ ' if last else '├ '}", f"{rest}{'  ' if last else '│ '}")

    yield from draw(tree, "", "")
    if (left := len(tree.pids) + 1 - shown) > 0:
        yield f"and {left} more"


def _line(node: Waits) -> str:
    session = node.session
    if session is None:
        return _name(node) if isinstance(node.holder, str) else f"{node.holder} (ended meanwhile)"
    waits = bool(session.blocked_by or session.prepared)
    doing = f"waits {duration(session.seconds)}" if waits else session.state if session.kind == CLIENT else session.kind
    return f"{session.pid} {shortened(session.application or session.role, 16)} {doing}".rstrip()


def _left_behind(found: ActivityReading) -> Iterator[Element]:
    held = {tree.holder for tree in found.trees}
    for each in found.left_behind[:_TREES]:
        if each.gid not in held:
            told = f", prepared by {each.owner}, has been open for {duration(each.seconds)}. It keeps its locks, and vacuum can't clean up behind it. "
            yield Paragraph(text=words("Prepared transaction ", Code(text=each.gid), told, _ending(each.gid)))


def _ending(gid: str) -> Text:
    """How a DBA ends a prepared transaction."""
    quoted = "'" + gid.replace("'", "''") + "'"
    return words(
        "No session holds it. Ask whoever prepared it to finish it; to roll it back, as the DBA: ",
        Code(text=f"ROLLBACK PREPARED {quoted};"),
    )


def _others(found: ActivityReading) -> Iterator[Element]:
    shown = sorted(found.others, key=lambda each: -max(each.seconds, each.transaction))
    if shown:
        yield Table(
            columns=("Session", "State", "Transaction", "Statement"),
            rows=tuple(map(_row, shown[:_ROWS])),
            caption="Others, the longest first" if found.trees else "The longest first",
        )
    if len(shown) > _ROWS:
        yield Note(text=words(f"{counted(len(shown) - _ROWS, 'more session')} not shown."))


def _row(each: ActiveSession) -> tuple[Text, ...]:
    return (
        words(Code(text=str(each.pid)), f" {_who(each)}"),
        words(_doing(each)),
        words(duration(each.transaction)),
        words(Code(text=shortened(each.text, _IN_TABLE)) if each.text else ""),
    )


def _states(found: ActivityReading) -> str:
    states = found.activity.states
    total = sum(states.values())
    each = ", ".join(f"{count} {state or 'unknown'}" for state, count in sorted(states.items(), key=lambda it: -it[1]))
    return f"{total}: {each}" if total else "none"


def _buttons(found: ActivityReading, where: str, several: bool) -> Iterator[Button]:
    on = f" --on {found.place}" if several else ""
    named = next((each for each in _worth_a_plan(found) if each.counted), None)
    if named is not None and named.counted is not None:
        name = query_name(named.counted)
        yield Button(label=f"Explain {name}", does=Typed(text=f"db explain {name}{on} --env {where}"))
    for tree in found.trees[:_TREES]:
        if tree.session is not None and tree.session.kind == CLIENT:
            yield Button(
                label=f"Kill {tree.holder}…",
                does=Typed(text=f"db kill {tree.holder}{on} --env {where}"),
                style="danger",
            )
    yield Button(label="Locks", does=Typed(text=f"db locks{on} --env {where}"))
    yield Button(label="Slow queries", does=Typed(text=f"slow-queries{on} --env {where}"), quiet=True)
    if several:
        other = "replica" if found.place == "primary" else "primary"
        yield Button(label=f"On the {other}", does=Typed(text=f"db activity --on {other} --env {where}"), quiet=True)


def _worth_a_plan(found: ActivityReading) -> Iterator[ActiveSession]:
    """Yield the sessions whose statement runs for long: an idle one's has ended, so its plan explains nothing."""
    yield from (tree.session for tree in found.trees if tree.session is not None and not tree.session.idle)
    yield from found.long


def _data(found: ActivityReading, where: str) -> dict[str, object]:
    return {
        "environment": where,
        "on": found.place,
        "server": found.address,
        "waiting": sum(len(tree.pids) for tree in found.trees),
        "blockers": [{"holder": tree.holder, "waiting": list(tree.pids)} for tree in found.trees],
        "sessions": [_session_data(each) for each in found.activity.sessions],
        "states": dict(found.activity.states),
        "prepared": [
            {"gid": each.gid, "owner": each.owner, "seconds": round(each.seconds, 1)}
            for each in found.activity.prepared
        ],
    }


def _session_data(each: ActiveSession) -> dict[str, object]:
    return {
        "process": each.pid,
        "role": each.role,
        "application": each.application,
        "client": each.client,
        "kind": each.kind,
        "state": each.state,
        "waits": each.waits,
        "seconds": round(each.seconds, 1),
        "transaction_seconds": round(each.transaction, 1),
        "blocked_by": list(each.blocked_by),
        "blocked_by_prepared": list(each.prepared),
        "query": query_name(each.counted) if each.counted else None,
        "statement": each.text,
    }
