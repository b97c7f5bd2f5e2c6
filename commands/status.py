"""`status`: one screen of what runs where, whether it is well, and who is doing what to it."""

import asyncio
from datetime import datetime

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
    State,
    Strong,
    Table,
    Text,
    Typed,
    words,
)
from commands.kit.context import Context, Denied, RunRecord
from commands.kit.endings import held
from commands.kit.spec import CHANNEL_DEFAULT, option, query
from commands.kit.types import EnvironmentName
from runbooks import states
from runbooks.fleet import EnvironmentRecord, Release, Undecided

_WORDS = {"complete": "runs", "rolling": "rolling out", "stuck": "stuck", "paused": "paused", "missing": "missing"}


@query(permission="fleet:read", examples=["", "--env staging"])
class Status:
    """Show what runs: versions, pods, lock, the operation that is going on, the last release."""

    env: EnvironmentName = option("where", default=CHANNEL_DEFAULT)

    async def run(self, context: Context) -> Card:
        async with asyncio.TaskGroup() as together:
            asked = together.create_task(states.current(context.cluster, context.where))
            recorded = together.create_task(context.fleet.read(context.where))
            released = together.create_task(context.fleet.releases(context.where))
        current, record, releases = asked.result(), recorded.result(), released.result()
        well = all(service.state == "complete" for service in current)
        going = await _going(context, record)
        body: list[Element] = [
            Table(
                columns=("Service", "Version", "State", "Ready", "Restarts", "Since"),
                rows=tuple(_row(service) for service in current),
            )
        ]
        facts = _facts(record, releases, context, going)
        if facts:
            body.append(Facts(facts=facts))
        body += [
            Paragraph(text=words(Strong(text=f"{service.service}: "), service.detail))
            for service in current
            if service.detail
        ]
        body.append(Note(text=words("Asked of the cluster ", Moment(at=context.now))))
        versions = ", ".join(dict.fromkeys(service.image.tag or "untagged" for service in current if service.image))
        what = f"{context.where.name} runs {versions}" if well else f"{context.where.name} is not settled"
        state = State.DONE if well else State.RUNNING if any(s.state == "rolling" for s in current) else State.FAILED
        if record.undecided is not None and record.run is None:
            what = f"{what}, undecided"
            state = State.WAITING if state is State.DONE else state
        return Card(
            state=state,
            title=words(Strong(text=what)),
            summary=f"{what}: " + ", ".join(f"{s.service} {s.ready}/{s.desired}" for s in current),
            body=tuple(body),
            buttons=(
                Button(label="Pods", does=Typed(text=f"pods --env {context.where.name}")),
                Button(label="Runs", does=Typed(text=f"runs --env {context.where.name}")),
            ),
            data={
                "environment": context.where.name,
                "services": [service.model_dump(mode="json") for service in current],
                "record": record.model_dump(mode="json"),
                "well": well,
            },
        )


def _row(service: states.ServiceState) -> tuple[Text, ...]:
    since = words("not known")
    if service.since:
        by = f", by {service.by}" if service.by else ""
        hand = " by hand" if service.by_hand else ""
        since = words(Moment(at=datetime.fromisoformat(service.since), form="date-time", age=True), f"{hand}{by}")
    return (
        words(service.service),
        words(service.image.short if service.image else "none"),
        words(_WORDS[service.state]),
        words(f"{service.ready}/{service.desired}"),
        words(str(service.restarts)),
        since,
    )


async def _going(context: Context, record: EnvironmentRecord) -> RunRecord | None:
    """The run that has the place; None where there is none, or the bot does not know it."""
    if record.run is None:
        return None
    try:
        return await context.runs.find(record.run.run)
    except Denied:
        return None


def _undecided(undecided: Undecided) -> Text:
    """What happened, since when, and the three ways to decide it."""
    since = Moment(at=datetime.fromisoformat(undecided.since), form="date-time", age=True)
    ways = [f"{verb} {undecided.run}" for verb in ("rollback --after", "retry", "resolve")]
    return words(
        undecided.title, ", ", since, ". Decide: ",
        Code(text=ways[0]), ", ", Code(text=ways[1]), " or ", Code(text=f"{ways[2]} --reason …"),
    )  # fmt: skip


def _facts(
    record: EnvironmentRecord, releases: tuple[Release, ...], context: Context, going: RunRecord | None
) -> tuple[Fact, ...]:
    facts: list[Fact] = []
    if record.run is not None:
        facts.append(Fact(label="Going on", value=words(f"{record.run.title}, by {record.run.by}")))
    if going is not None and going.held_by and going.held_since:
        facts.append(Fact(label="Held", value=held(going.held_by, going.held_since)))
    if record.freeze is not None and record.freeze.holds(context.now):
        until: list[str | Moment] = (
            [" until ", Moment(at=datetime.fromisoformat(record.freeze.until), form="date-time")]
            if record.freeze.until
            else []
        )
        facts.append(Fact(label="Locked", value=words(f"🔒 by {record.freeze.name}: {record.freeze.reason}", *until)))
    if record.undecided is not None:
        facts.append(Fact(label="Undecided", value=_undecided(record.undecided)))
    if releases:
        last = releases[0]
        at = Moment(at=datetime.fromisoformat(last.at), form="date-time", age=True)
        facts.append(Fact(label="Last release", value=words(f"{last.version} by {last.by}, ", at)))
    return tuple(facts)
