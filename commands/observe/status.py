"""`status`: one screen of what runs where, whether it is well, and who is doing what to it.

Everything is asked side by side, each part with a deadline of its own; what does not answer is shown as such, so the screen is there
within two seconds whatever is down.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Generic, TypeVar

from commands.kit.card import (
    Button,
    Card,
    Code,
    Element,
    Fact,
    Facts,
    Moment,
    Paragraph,
    Plain,
    State,
    Strong,
    Table,
    Text,
    moment,
    sentence,
    words,
)
from commands.kit.command import Observation
from commands.kit.context import Context, RunRecord
from commands.kit.database_facts import database_data, database_facts, database_looks, database_trouble
from commands.kit.dependencies import DependencyFacts, dependency_facts
from commands.kit.endings import held
from commands.kit.follow_ups import ROLL_BACK, roll_back
from commands.kit.looked_at import looked_at, with_diagnose
from commands.kit.metric_facts import (
    MeasuredState,
    alert_names,
    alerts_by_region,
    measured_state,
    metric_data,
    metric_facts,
    metric_trouble,
    metric_unknown,
    region_paragraphs,
)
from commands.kit.orphaned_run import UNKNOWN, as_it_is, holder, way_out
from commands.kit.regions import lines_of, not_gone_back, side_by_side, told
from commands.kit.running_versions import versions_of
from commands.kit.spec import CHANNEL_DEFAULT, FollowUp, QueryMeta, option
from commands.kit.types import EnvironmentName
from runbooks.clients.health import Health
from runbooks.clients.postgres.database import QueryResult
from runbooks.database.databases import Database
from runbooks.deployments.service_state import WORDS, ServiceState
from runbooks.fleet.fleet import EnvironmentRecord, KnownReleases, Lease, Undecided
from runbooks.kit.errors import RunbookError
from runbooks.metrics.reading import Metrics
from runbooks.observe import by_hand, service_health
from runbooks.observe.service_health import ServiceHealth
from runbooks.release.last_good import by_region
from runbooks.sync.queue import SyncQueue
from runbooks.sync.reading import SyncStatus
from runbooks.wording import duration, listed, short_id

T = TypeVar("T")

DEADLINE = 1.5
"""Seconds for each part: the whole stands within two."""
_NEXT = (FollowUp(command="diagnose"), ROLL_BACK, FollowUp(command="pods"), FollowUp(command="runs"))
_WAITING = 3
"""So many requests that wait are named; the rest are counted."""


@dataclass(frozen=True, slots=True)
class StatusPart(Generic[T]):
    """What one part said, or why it said nothing; neither where it was not asked."""

    said: T | None = None
    why: str = ""
    late: bool = False
    """It did not answer in time; asked for longer it may."""


class Status(Observation):
    """Show what runs and whether it is healthy: versions, pods, metrics, sync, waiting requests, lock, last release."""

    meta = QueryMeta(permission="fleet:read", examples=["", "--env staging"], refreshes=True, next=_NEXT)

    env: EnvironmentName = option("where", default=CHANNEL_DEFAULT)

    async def by_hand(self, context: Context) -> tuple[str, ...]:
        return await lines_of(context, None, by_hand.status)

    async def answer(self, context: Context) -> Card:
        return _card(context, await _asked(context))


@dataclass(frozen=True, slots=True)
class _Answers:
    services: StatusPart[list[ServiceHealth]]
    away: tuple[str, ...]
    """The regions whose cluster did not answer, while others did."""
    record: StatusPart[EnvironmentRecord]
    releases: StatusPart[KnownReleases]
    lost: StatusPart[Lease | None]
    """Who has the place, if no engine knows that run."""
    true: StatusPart[EnvironmentRecord]
    """The record, with what could not be written there yet."""
    runs: StatusPart[Sequence[RunRecord]]
    sync: StatusPart[SyncStatus]
    database: list[QueryResult]
    health: list[tuple[str, Health]]
    measured: MeasuredState
    needs: DependencyFacts


async def _asked(context: Context) -> _Answers:
    where = context.where
    may_sync = context.find(SyncQueue) is not None and await context.authority.may(
        context.actor, "sync:read", where.name
    )
    may_ask = context.find(Database) is not None and await context.authority.may(
        context.actor, "database:read", where.name
    )
    async with asyncio.TaskGroup() as together:
        releases = together.create_task(_part(partial(context.fleet.known_releases, where)))
        known = partial(_said, releases)
        looks = [
            together.create_task(_part(partial(service_health.look, place.cluster, place.environment, known)))
            for place in context.places
        ]
        record = together.create_task(_part(partial(context.fleet.read, where)))
        runs = together.create_task(_part(partial(context.runs.recent, environment=where.name, active=True)))
        health = together.create_task(_health(context))
        needs = together.create_task(dependency_facts(context, DEADLINE))
        database = together.create_task(_database(context)) if may_ask else None
        metrics = context.find(Metrics)
        measured = together.create_task(measured_state(metrics, context.now, DEADLINE)) if metrics is not None else None
        queue = context.use(SyncQueue, "sync", "sync scripts") if may_sync else None
        sync = together.create_task(_part(partial(queue.status, seconds=DEADLINE))) if queue is not None else None
    services, away = _side_by_side(context, [look.result() for look in looks])
    return _Answers(
        services,
        away,
        record.result(),
        releases.result(),
        await _part(partial(holder, context, seen)) if (seen := record.result().said) is not None else StatusPart(),
        await _part(partial(as_it_is, context, seen)) if seen is not None else StatusPart(),
        runs.result(),
        sync.result() if sync is not None else StatusPart(),
        database.result() if database is not None else [],
        health.result(),
        measured.result() if measured is not None else MeasuredState(),
        needs.result(),
    )


def _side_by_side(
    context: Context, parts: Sequence[StatusPart[list[ServiceHealth]]]
) -> tuple[StatusPart[list[ServiceHealth]], tuple[str, ...]]:
    """Return the services of all regions, each beside itself in the other regions, and the regions that did not answer."""
    found = [each for part in parts for each in part.said or ()]
    if not found:
        return parts[0], ()
    order = [service.name for service in context.where.services]
    found.sort(key=lambda each: order.index(each.state.service))
    pairs = zip(context.places, parts, strict=True)
    return StatusPart(said=found), tuple(place.name for place, part in pairs if part.said is None)


async def _said(releases: asyncio.Task[StatusPart[KnownReleases]]) -> KnownReleases:
    """Return the known releases, none where that part failed. Who gives up waiting does not take them from the others."""
    return (await asyncio.shield(releases)).said or KnownReleases()


async def _part(ask: Callable[[], Awaitable[T]]) -> StatusPart[T]:
    """Return what it answers within the deadline; a part that fails is a part that says so."""
    try:
        async with asyncio.timeout(DEADLINE):
            return StatusPart(said=await ask())
    except TimeoutError:
        return StatusPart(why=f"no answer within {DEADLINE:g} s", late=True)
    except RunbookError as error:
        return StatusPart(why=error.message)


async def _health(context: Context) -> list[tuple[str, Health]]:
    """Each service that has a health URL, and what it says; each with the deadline for itself."""
    named = [(service.name, service.health_url) for service in context.where.services if service.health_url]
    answers = await asyncio.gather(*(_part(partial(context.health.ask, url)) for _, url in named))
    return [
        (name, each.said or Health(None, DEADLINE, each.why)) for (name, _), each in zip(named, answers, strict=True)
    ]


async def _database(context: Context) -> list[QueryResult]:
    """Each server, within a deadline of its own (`answer_timeout`)."""
    database = context.use(Database, "database")
    return list(await asyncio.gather(*(database.answers(place) for place in database.settings.places())))


def _card(context: Context, answers: _Answers) -> Card:
    where = context.where.name
    services = answers.services.said or []
    record = answers.true.said or answers.record.said or EnvironmentRecord()
    state, what = _verdict(context, answers, record)
    database = any(each.well for each in answers.database)
    sync = answers.sync.said is not None and not answers.sync.said.not_understood
    asked = {"pods": services, "health URLs": answers.health, "sync": sync, "database locks": database}
    asked["connections"] = any(each.connections is not None for each in answers.database)
    body: list[Element] = [looked_at(asked, answers.measured, answers.needs)]
    if services:
        columns = ("Service", "Version", "State", "Ready", "Restarts, 1 h")
        body.append(Table(columns=columns, rows=tuple(_row(each.state) for each in services)))
    else:
        body.append(Paragraph(text=words(Strong(text="Cluster: "), answers.services.why)))
    body += [
        Paragraph(text=words(Strong(text=f"{each.state.named}: "), each.trouble)) for each in services if each.trouble
    ]
    body += [Paragraph(text=words("⚠️ ", warning)) for warning in _warnings(answers, services)]
    body += region_paragraphs(answers.measured)
    if facts := (*metric_facts(answers.measured), *_facts(context, answers, record), *answers.needs.facts):
        body.append(Facts(facts=facts))
    return Card(
        state=state,
        title=words(Strong(text=what)),
        summary=": ".join(filter(None, (what, ", ".join(_counted(each.state) for each in services)))),
        body=tuple(body),
        buttons=_buttons(context, answers, record),
        unhelpful=("rollback",) if _lacks_room(services) else (),
        data=_data(where, answers),
    )


def _warnings(answers: _Answers, services: Sequence[ServiceHealth]) -> list[str]:
    """What somebody wrote into the cluster or the record and can't be read; it is shown as unknown."""
    said = [f"{each.state.named}: {unknown}" for each in services for unknown in each.state.unknown]
    said += answers.record.said.warnings if answers.record.said is not None else ()
    known = answers.releases.said
    return [*said, *(known.warnings if known is not None else ())]


def _lacks_room(services: Sequence[ServiceHealth]) -> bool:
    """Return whether all that is bad is that no node takes more pods of what runs already."""
    bad = [each for each in services if each.bad]
    return bool(bad) and all(each.lacks_room for each in bad)


def _buttons(context: Context, answers: _Answers, record: EnvironmentRecord) -> tuple[Button, ...]:
    """What to do next: roll back a region that another one went back without, and look at what is not well."""
    where = context.where.name
    looks = [*database_looks(answers.database), *answers.needs.looks]
    if metric_trouble(answers.measured) or metric_unknown(answers.measured):
        looks.insert(0, ("Metrics", "metrics"))
    if _sync_trouble(context, answers.sync):
        looks.insert(0, ("Sync", "sync status"))
    services = answers.services.said or []
    if _lacks_room(services):
        looks.insert(0, ("Diagnose", "diagnose"))
    running = by_region([each.state for each in services])
    still = not_gone_back(running, answers.releases.said) if record.run is None else ()
    return (*((roll_back(still, where),) if still else ()), *with_diagnose(looks, where))


def _data(where: str, answers: _Answers) -> dict[str, Any]:
    """For `--json`: what was asked, part by part, and why a part is missing."""
    parts: dict[str, StatusPart[Any]] = {"services": answers.services, "record": answers.record, "sync": answers.sync}
    services = answers.services.said
    return {
        "environment": where,
        "well": services is not None and all(each.well for each in services),
        "services": [each.state.model_dump(mode="json") | _trouble(each) for each in services or ()],
        "record": answers.record.said.model_dump(mode="json") if answers.record.said else None,
        "sync": answers.sync.said.model_dump(mode="json") if answers.sync.said else None,
        **database_data(answers.database),
        "health": {name: each.status for name, each in answers.health},
        "metrics": [metric_data(each) for each in answers.measured.histories],
        "alerts": alert_names(answers.measured.alerts),
        "alerts_by_region": alerts_by_region(answers.measured.alerts),
        **answers.needs.data,
        "waiting": [each.id for each in answers.runs.said or () if each.state == "waiting"],
        "unanswered": {name: part.why for name, part in parts.items() if part.why},
    }


def _trouble(each: ServiceHealth) -> dict[str, Any]:
    return {"trouble": each.trouble, "broken": each.broken} if each.trouble else {}


def _verdict(context: Context, answers: _Answers, record: EnvironmentRecord) -> tuple[State, str]:
    """The sign and the one sentence: the worst that is known."""
    where, services = context.where.name, answers.services.said
    if services is None:
        return State.FAILED, f"{where}: the cluster does not answer"
    running = by_region([each.state for each in services if each.state.image])
    versions, differs = side_by_side({region: versions_of(own) for region, own in running.items()})
    ill = [each for each in services if not each.well]
    idle = [each.state.named for each in services if each.state.idle]
    bad = [each for each in ill if each.bad]
    sync = _sync_trouble(context, answers.sync)
    undecided = ", undecided" if record.undecided is not None and record.run is None else ""
    if bad:
        names = listed(each.state.named for each in bad)
        return State.FAILED, f"{where}: {names} {'are' if len(bad) > 1 else 'is'} unhealthy{undecided}"
    if answers.away:
        away = "regions" if len(answers.away) > 1 else "region"
        does = "do" if len(answers.away) > 1 else "does"
        what = f"{away} {listed(answers.away)} {does} not answer, the rest runs {versions}"
        return State.FAILED, f"{where}: {what}{undecided}"
    if idle:
        # nothing of a service that is scaled to 0 runs, whatever its Deployment asks for
        return State.WAITING, f"{where}: {listed(idle)} {'are' if len(idle) > 1 else 'is'} scaled to 0{undecided}"
    if mixed := [each.state.named for each in services if each.state.state == "complete" and each.state.mixed]:
        verb = "run" if len(mixed) > 1 else "runs"
        return State.WAITING, f"{where}: {listed(mixed)} {verb} several versions{undecided}"
    if ill:
        rolling = any(each.state.state == "rolling" for each in ill)
        return (
            # what a run left half done is nobody's rollout any more, though Kubernetes goes on with it
            (State.WAITING if undecided else State.RUNNING, f"{where} is rolling out{undecided}")
            if rolling
            else (State.WAITING, f"{where} is paused{undecided}")
        )
    if silent := [name for name, health in answers.health if not health.well]:
        return State.FAILED, f"{where} runs {versions}, {listed(silent)} unhealthy by the health URL{undecided}"
    database = database_trouble(answers.database)
    trouble = f"{metric_trouble(answers.measured)}{metric_unknown(answers.measured)}{answers.needs.trouble}"
    if undecided or sync or database or trouble or differs:
        return State.WAITING, f"{where} runs {versions}{undecided}{sync}{database}{trouble}"
    return State.DONE, f"{where} runs {versions}"


def _sync_trouble(context: Context, part: StatusPart[SyncStatus]) -> str:
    if part.why:
        return ", sync does not answer" if part.late else ", sync is unavailable"
    if part.said is None:
        return ""
    if context.use(SyncQueue, "sync", "sync scripts").is_stuck(part.said):
        return ", sync is stuck"
    return ", sync is unknown" if part.said.not_understood or part.said.pending is None else ""


def _row(service: ServiceState) -> tuple[Text, ...]:
    return (
        words(service.named),
        words(service.shown),
        words(WORDS[service.state]),
        words(service.readiness),
        words(f"{service.restarts_lately} of {service.restarts}" if service.restarts else "0"),
    )


_MINUTE = len("2026-11-30T14:02")


def _since(services: Sequence[ServiceHealth]) -> Text | None:
    """Who set what runs, and when; said once where it is the same for all. Not in the table, which a phone shows in full."""
    alike: dict[tuple[str, str], list[ServiceState]] = {}
    for each in (each.state for each in services):
        if each.since:
            alike.setdefault((each.since[:_MINUTE], f", {each.set_by}" if each.set_by else ""), []).append(each)
    spans: list[Moment | str] = []
    for (_, by), states in alike.items():
        whose = f"{listed([each.named for each in states])} " if len(alike) > 1 else ""
        spans += [
            f"{'; ' if spans else ''}{whose}",
            moment(states[0].since or ""),
            by,
        ]
    return words(*(span for span in spans if span)) if spans else None


def _counted(service: ServiceState) -> str:
    return f"{service.named} {service.readiness}"


def _facts(context: Context, answers: _Answers, record: EnvironmentRecord) -> tuple[Fact, ...]:
    runs = answers.runs.said or ()
    facts: list[tuple[str, Text | None]] = [
        ("Since", _since(answers.services.said or ())),
        ("Running", _going(record, runs, context, answers.lost.said)),
        ("Held", _held(record, runs)),
        ("Waiting", _waiting(runs, context)),
        ("Locked", _locked(record, context)),
        ("Undecided", _undecided(record.undecided) if record.undecided is not None else None),
        ("Health URLs", _answering(answers.health)),
        ("Sync", _sync(context, answers.sync)),
        *((each.label, each.value) for each in database_facts(answers.database, context.where.name)),
        ("Last release", _last(answers.releases)),
        ("Regions", told(context, answers.releases.said)),
    ]
    if answers.record.said is not None and answers.record.said.run != record.run:
        facts.append(("Record", words("can't be written now, so it still names that run; the bot keeps trying")))
    if answers.record.why and answers.services.said is not None:
        facts.append(("Lock and run", words(answers.record.why)))
    return tuple(Fact(label=label, value=value) for label, value in facts if value is not None)


def _going(record: EnvironmentRecord, runs: Sequence[RunRecord], context: Context, lost: Lease | None) -> Text | None:
    if lost is not None:
        return words(f"{lost.title}, by {lost.by}, but {UNKNOWN}. ", sentence(f"{way_out(lost)}."))
    if record.run is not None:
        return words(f"{record.run.title}, by {record.run.by}")
    mine = next((each for each in runs if each.state == "running"), None)
    return words(f"{mine.title}, by {context.authority.name(mine.requester)}") if mine is not None else None


def _held(record: EnvironmentRecord, runs: Sequence[RunRecord]) -> Text | None:
    run = next((each for each in runs if record.run is not None and each.id == record.run.run), None)
    return held(run.held_by, run.held_since) if run is not None and run.held_by and run.held_since else None


def _waiting(runs: Sequence[RunRecord], context: Context) -> Text | None:
    """What somebody still has to say yes to, and what can't be asked yet."""
    waiting = [each for each in runs if each.state == "waiting"]
    if not waiting:
        return None
    spans: list[Plain | Moment | Code | str] = []
    for each in waiting[:_WAITING]:
        spans += ["; " if spans else "", f"{each.title}, by {context.authority.name(each.requester)}, "]
        if each.starts is not None:
            said = f", go by {each.go_by}: " if each.go_by else ": "
            act = "no-go" if each.go_by else "go"
            spans += [
                "waiting until ",
                Moment(at=each.starts, form="date-time"),
                said,
                Code(text=f"{act} {each.short}"),
            ]
        else:
            way: tuple[str | Code, ...] = (": ", Code(text=f"approve {each.short}"))
            spans += [Moment(at=each.at, age=True), *((f", {each.waits}",) if each.waits else way)]
    more = len(waiting) - _WAITING
    return words(*(span for span in spans if span), *([f"; {more} more"] if more > 0 else []))


def _locked(record: EnvironmentRecord, context: Context) -> Text | None:
    if record.freeze is None or not record.freeze.holds(context.now):
        return None
    until: list[str | Moment] = []
    if record.freeze.until:
        until = [" until ", moment(record.freeze.until, age=False)]
    return words(f"🔒 by {record.freeze.name}", *until, f": {record.freeze.reason}")


def _undecided(undecided: Undecided) -> Text:
    """What happened, since when, and the three ways to decide it."""
    since = moment(undecided.since)
    ways = [f"{verb} {short_id(undecided.run)}" for verb in ("rollback --after", "retry", "resolve")]
    return words(
        undecided.title, ", ", since, ". Decide: ",
        Code(text=ways[0]), ", ", Code(text=ways[1]), " or ", Code(text=f"{ways[2]} --reason …"),
    )  # fmt: skip


def _answering(health: Sequence[tuple[str, Health]]) -> Text | None:
    return words(", ".join(f"{name} {_health_words(each)}" for name, each in health)) if health else None


def _health_words(health: Health) -> str:
    if health.status is None:
        return f"fails: {health.why}"
    return f"{health.status} in {health.seconds * 1000:.0f} ms"


def _sync(context: Context, part: StatusPart[SyncStatus]) -> Text | None:
    if part.why:
        then = " waits longer." if part.late else " says what to do."
        return words(
            *sentence(f"{part.why.rstrip('.')}. ").spans, Code(text=f"sync status --env {context.where.name}"), then
        )
    found = part.said
    if found is None:
        return None
    if found.not_understood:
        return words(
            f"answer not understood ({found.not_understood}): ",
            Code(text=f"sync status --env {context.where.name}"),
        )
    stuck = "stuck: " if context.use(SyncQueue, "sync", "sync scripts").is_stuck(found) else ""
    oldest = f", the oldest {duration(found.oldest_seconds)} old" if found.pending and found.oldest_seconds else ""
    failed = f", {found.failed} failed" if found.failed else ""
    waiting = "nothing" if found.pending == 0 else (found.pending or "an unknown number")
    return words(f"{stuck}{waiting} waiting{oldest}{failed}")


def _last(part: StatusPart[KnownReleases]) -> Text | None:
    if part.said is None:
        return None
    if not part.said.releases:
        unknown = "can't be read" if part.said.unreadable else "none is recorded"
        return words(f"{unknown}: ", Code(text="releases adopt"))
    last = part.said.releases[0]
    by = f" by {last.by}" if last.by else ""
    where = f" in {listed(last.regions)} only" if last.regions else ""
    return words(f"{last.version}{where}{by}, ", moment(last.at))
