"""`runs [RUN]`: what runs and ran; one of them with its steps and its timeline."""

from datetime import datetime
from typing import Annotated

from commands.kit.audit_filter import AuditFilter
from commands.kit.card import (
    Button,
    Card,
    Code,
    Fact,
    Facts,
    Moment,
    Note,
    Paragraph,
    State,
    StepLine,
    StepList,
    StepStatus,
    Strong,
    Table,
    Text,
    Typed,
    person,
    words,
)
from commands.kit.command import Query
from commands.kit.context import Context, RunRecord
from commands.kit.endings import held
from commands.kit.spec import QueryMeta, argument, option
from commands.kit.types import EnvironmentName, NumberType, RunId
from commands.kit.visible_environments import must, readable
from runbooks.wording import counted, duration

_LINES = 4
_SIGNS = {
    "waiting": State.WAITING,
    "running": State.RUNNING,
    "succeeded": State.DONE,
    "nothing-to-do": State.DONE,
    "failed": State.FAILED,
}


class Runs(Query):
    """List requests and runs, or show one with its steps and timeline."""

    meta = QueryMeta(permission="fleet:read", examples=["", "7KQ2"])

    run: RunId | None = argument("a run's id, to show only that run", default=None)
    limit: Annotated[int, NumberType(low=1, high=100)] = option("how many to show", default=15)
    env: EnvironmentName | None = option("only this environment", default=None)

    async def answer(self, context: Context) -> Card:
        if self.run is not None:
            return await _one(context, self.run)
        places = await readable(context, "fleet:read", self.env)
        listed = [await context.runs.recent(environment=place, limit=self.limit) for place in places]
        newest = sorted((record for each in listed for record in each), key=lambda record: record.at, reverse=True)
        found = newest[: self.limit]
        where = f" in {self.env}" if self.env else ""
        runs = counted(len(found), "newest run" if len(newest) > 1 else "run")
        text = f"{runs}{where}" if found else f"No runs yet{where}"
        table = Table(
            columns=("Run", "What", "State", "By", "When"),
            rows=tuple(
                (
                    words(Code(text=each.short)),
                    words(each.title),
                    _standing(each),
                    words(person(each.requester)),
                    words(Moment(at=each.at, form="date-time", age=True)),
                )
                for each in found
            ),
        )
        return Card(
            title=words(Strong(text=text)),
            summary=text,
            body=(table,) if found else (),
            data={"runs": [_plain(each) for each in found]},
        )


def _standing(record: RunRecord) -> Text:
    if record.starts is not None:
        return words(f"{_sign(record)} waiting until ", Moment(at=record.starts, form="date-time"))
    return words(f"{_sign(record)} {record.state}")


def _sign(record: RunRecord) -> str:
    return _SIGNS.get(record.state, State.ENDED).sign


def _plain(record: RunRecord) -> dict[str, object]:
    """Without the card's secret word."""
    return record.model_dump(mode="json", exclude={"word", "card"})


async def _one(context: Context, run: str) -> Card:
    record = await context.runs.find(run)
    await must(context, "fleet:read", record.environment)
    events = (
        await context.audit_log.search(AuditFilter(run=record.id, limit=100))
        if await context.authority.may(context.actor, "audit:read", record.environment)
        else []
    )
    facts = [
        Fact(
            label="Requested by",
            value=words(person(record.requester), ", ", Moment(at=record.at, form="date-time", age=True)),
        ),
        Fact(label="Typed", value=words(Code(text=record.text))),
    ]
    if record.follows:
        facts.append(Fact(label="Follows", value=words("run ", Code(text=record.follows))))
    if record.starts is not None:
        go = f", go by {record.go_by}" if record.go_by else ", after a final go"
        facts.append(Fact(label="Waits until", value=words(Moment(at=record.starts, form="date-time"), go)))
    if record.held_by and record.held_since:
        facts.append(Fact(label="Held", value=held(record.held_by, record.held_since)))
    if record.approved_by:
        facts.append(Fact(label="Approved by", value=words(", ".join(record.approved_by))))
    if record.ended:
        facts.append(Fact(label="Took", value=words(duration((record.ended - record.at).total_seconds()))))
    if record.reason_code:
        facts.append(Fact(label="Reason code", value=words(Code(text=record.reason_code))))
    steps = StepList(
        title="Steps",
        steps=tuple(
            StepLine(title=s.title, status=StepStatus(s.status), detail=s.detail, seconds=s.seconds)
            for s in record.steps
        ),
    )
    timeline = Table(
        columns=("When", "Event", "Who"),
        rows=tuple(
            (_when(event.at), words(event.name), words(person(event.actor) if event.actor else ""))
            for event in reversed(events)
        ),
        caption="Timeline",
    )
    text = f"{record.title}: {record.state}"
    running = record.state in ("waiting", "running")
    return Card(
        state=_SIGNS.get(record.state, State.ENDED),
        title=words(Strong(text=text), " · run ", Code(text=record.short)),
        summary=text,
        body=(
            *_ending(record),
            Facts(facts=tuple(facts)),
            *((steps,) if record.steps else ()),
            *((timeline,) if events else ()),
            Note(text=words(Code(text=record.id))),
        ),
        buttons=(Button(label="Refresh", does=Typed(text=f"runs {record.id}", replaces=True)),) if running else (),
        data={"run": _plain(record)},
    )


def _ending(record: RunRecord) -> tuple[Paragraph, ...]:
    """The cause, and what was so when it ended."""
    if not record.ending:
        return ()
    return tuple(Paragraph(text=words(line)) for line in (record.ending, *record.lines[:_LINES]))


def _when(at: datetime) -> Text:
    return words(Moment(at=at, form="date-time"))
