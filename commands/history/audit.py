"""`audit`: search the audit log. (`omnicare audit verify` in a terminal proves that nobody changed it.)"""

from dataclasses import replace
from typing import Annotated

from commands.kit.audit_filter import AuditFilter
from commands.kit.card import Attachment, Card, Code, Element, Moment, Note, Strong, Table, person, words
from commands.kit.command import Query
from commands.kit.context import AuditHistoryEvent, Context
from commands.kit.spec import QueryMeta, option
from commands.kit.types import CommandName, EnvironmentName, NumberType, PersonKey, RunId, Until, moment
from commands.kit.visible_environments import must, readable
from runbooks.wording import counted, short_id

_IN_MESSAGE = 40


class Audit(Query):
    """Search the audit log by person, command, time or run."""

    meta = QueryMeta(permission="audit:read", examples=["", "--person maya --since 1d", "--run 7KQ2"], private=True)

    person: PersonKey | None = option("who acted")
    command: CommandName | None = option("which command")
    run: RunId | None = option("only this run")
    since: Until | None = option("earliest time")
    until: Until | None = option("latest time")
    limit: Annotated[int, NumberType(low=1, high=1000)] = option("maximum number of events", default=30)
    env: EnvironmentName | None = option("only this environment", default=None)

    async def answer(self, context: Context) -> Card:
        run = await self._run_id(context)
        places = await readable(context, "audit:read", self.env)
        asked = AuditFilter(
            actor=self.person,
            command=self.command,
            run=run,
            since=moment(self.since, now=context.now, ahead=False) if self.since else None,
            until=moment(self.until, now=context.now, ahead=False) if self.until else None,
            limit=self.limit,
        )
        searched = [await context.audit_log.search(replace(asked, environment=place)) for place in places]
        newest = sorted((event for each in searched for event in each), key=lambda event: event.at, reverse=True)
        found = newest[: self.limit]
        text = f"{counted(len(found), 'audit event')}, newest first" if found else "No audit event matches"
        table = Table(
            columns=("No.", "When", "Event", "Command", "Who", "Run"),
            rows=tuple(
                (
                    words(str(event.seq)),
                    words(Moment(at=event.at, form="date-time")),
                    words(event.name),
                    words(event.command or ""),
                    words(person(event.actor)) if event.actor else words(""),
                    words(Code(text=short_id(event.run))) if event.run else words(""),
                )
                for event in found[:_IN_MESSAGE]
            ),
        )
        body: list[Element] = [table] if found else []
        if len(found) > _IN_MESSAGE:
            lines = "\n".join(_line(event) for event in found)
            body.append(
                Attachment(filename="audit.txt", content=lines + "\n", summary=f"All {counted(len(found), 'event')}")
            )
        if len(found) == self.limit:
            body.append(Note(text=words(f"There may be more than {self.limit}; use --limit to show more.")))
        if self.env is None and None not in places:
            body.append(Note(text=words(f"Only {', '.join(map(str, places))}, where you may read the audit log.")))
        return Card(
            title=words(Strong(text=text)),
            summary=text,
            body=tuple(body),
            data={"events": [_plain(event) for event in found]},
        )

    async def _run_id(self, context: Context) -> str | None:
        if self.run is None:
            return None
        record = await context.runs.find(self.run)
        await must(context, "audit:read", record.environment)
        return record.id


def _plain(event: AuditHistoryEvent) -> dict[str, object]:
    return {
        "seq": event.seq,
        "id": event.id,
        "name": event.name,
        "at": event.at.isoformat(),
        "actor": event.actor,
        "environment": event.environment,
        "command": event.command,
        "run": event.run,
        "reason_code": event.reason_code,
        "reason": event.reason,
        "details": dict(event.details),
    }


def _line(event: AuditHistoryEvent) -> str:
    return f"{event.seq} {event.at.isoformat()} {event.name} {event.actor or ''} {event.run or ''} {event.reason or ''}".rstrip()
