"""`home`: every environment at a glance, what waits for this person, what runs and what ran. It is what the app's Home shows in Slack.

Everything is asked side by side, each part with a deadline of its own; what does not answer is shown as unknown.
"""

import asyncio
from collections.abc import Awaitable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

from commands.kit.card import (
    Button,
    ButtonRow,
    Card,
    Code,
    Element,
    Link,
    Moment,
    Note,
    OpenForm,
    Paragraph,
    RunAct,
    State,
    StepStatus,
    Strong,
    Text,
    Typed,
    moment,
    person,
    sentence,
    words,
)
from commands.kit.command import Query
from commands.kit.context import Context, RunRecord, ToDecide
from commands.kit.metric_facts import alert_names, alerts_by_region
from commands.kit.regions import side_by_side
from commands.kit.running_versions import versions_of
from commands.kit.spec import QueryMeta
from runbooks.deployments.service_state import ServiceState
from runbooks.fleet.records import EnvironmentRecord
from runbooks.kit.errors import RunbookError
from runbooks.metrics.reading import FiringAlerts, Metrics
from runbooks.metrics.standing import where as where_in
from runbooks.observe import service_health
from runbooks.observe.service_health import ServiceHealth
from runbooks.wording import by_count, counted, listed

T = TypeVar("T")

DEADLINE = 1.5
"""Seconds for each part: the whole stands within two."""
_ENVIRONMENTS, _APPROVALS, _RUNNING, _RECENT, _ALERTS = 8, 5, 6, 6, 3
"""So many are shown; the rest is counted."""
_SIGNS = {
    "waiting": State.WAITING,
    "running": State.RUNNING,
    "succeeded": State.DONE,
    "nothing-to-do": State.DONE,
    "failed": State.FAILED,
}


class Home(Query):
    """Show your environments at a glance, approvals that wait for you, what runs and what ran recently."""

    meta = QueryMeta(permission=None, examples=[""], private=True)

    async def answer(self, context: Context) -> Card:
        may = [name for name in context.environments if await context.authority.may(context.actor, "fleet:read", name)]
        async with asyncio.TaskGroup() as together:
            looks = [together.create_task(_glance(context.at(name))) for name in may[:_ENVIRONMENTS]]
            asked = together.create_task(_part(context.runs.to_decide(context.actor)))
            active = [together.create_task(_part(context.runs.recent(environment=name, active=True))) for name in may]
            newest = [together.create_task(_part(context.runs.recent(environment=name, limit=20))) for name in may]
        glances = [look.result() for look in looks]
        to_decide = asked.result()
        if to_decide is not None:
            to_decide = [each for each in to_decide if each.record.environment in may]
        mine = {each.record.id for each in to_decide or ()}
        open_runs = [each for each in _together([task.result() for task in active]) or () if each.id not in mine]
        ended = [each for each in _together([task.result() for task in newest]) or () if each.ended is not None]
        known = all(task.result() is not None for task in (*active, *newest))
        state, text = _verdict(glances, to_decide)
        body = _approvals(context, to_decide)
        body.append(_heading("Environments") if may else Note(text=sentence("`whoami` shows what you may do.")))
        body += [element for each in glances for element in each.shown()]
        if len(may) > _ENVIRONMENTS:
            body.append(Note(text=words(f"{len(may) - _ENVIRONMENTS} more: ", Code(text="status --env …"))))
        body += _running(open_runs) + _recent(ended)
        if not known:
            body.append(Note(text=words("Some runs are unknown: the bot's database did not answer in time.")))
        body.append(Note(text=words("As of ", Moment(at=context.now))))
        return Card(
            state=state,
            title=words(Strong(text=text)),
            summary=text,
            body=tuple(body),
            buttons=(*await usual_commands(context), Button(label="Refresh", does=Typed(text="home", replaces=True))),
            data={
                "environments": [each.data() for each in glances],
                "to_decide": None if to_decide is None else [each.record.id for each in to_decide],
                "running": [_plain(each) for each in open_runs],
                "recent": [_plain(each) for each in ended[:_RECENT]],
            },
        )


_COMMANDS: Mapping[str, Button] = {
    "diagnose": Button(label="Diagnose", does=Typed(text="diagnose")),
    "logs": Button(label="Logs…", does=Typed(text="logs")),
    "rollback": Button(label="Roll back…", does=OpenForm(command="rollback")),
    "deploy": Button(label="Deploy…", does=OpenForm(command="deploy")),
    "help": Button(label="All commands", does=Typed(text="help")),
}
"""What most people come for, besides the status of an environment."""


async def usual_commands(context: Context) -> list[Button]:
    """Return those that this person may use somewhere."""
    permissions = {spec.name: spec.permission for spec in context.menu}
    return [
        button
        for name, button in _COMMANDS.items()
        if name in permissions and await context.authority.may(context.actor, permissions[name], None)
    ]


@dataclass(frozen=True, slots=True, kw_only=True)
class Glance:
    """How one environment is; a part that is None is not known."""

    name: str
    services: Sequence[ServiceHealth] | None
    away: tuple[str, ...] = ()
    """The regions whose cluster did not answer, while others did."""
    record: EnvironmentRecord | None = None
    alerts: Sequence[FiringAlerts] = ()
    lock: Text | None = None

    @property
    def trouble(self) -> tuple[str, ...]:
        """What is wrong, a phrase each."""
        said = [
            f"{each.state.named}: {each.trouble or each.state.state}" for each in self.services or () if not each.well
        ]
        said += [f"region {name} does not answer" for name in self.away]
        if self.record is not None and self.record.undecided is not None and self.record.run is None:
            said.append(f"{self.record.undecided.title}: undecided")
        return tuple(said)

    @property
    def state(self) -> State:
        """The worst that is known."""
        ill = [each for each in self.services or () if not each.well]
        if self.services is None or self.away or any(each.bad for each in ill):
            return State.FAILED
        if any(each.state.state == "rolling" for each in ill) and not any(_not_all(each) for each in ill):
            return State.RUNNING
        _, differs = self._runs
        alerts = any(each.alerts or each.why for each in self.alerts)
        return State.WAITING if self.trouble or differs or alerts else State.DONE

    @property
    def _runs(self) -> tuple[str, bool]:
        """What runs, and whether the regions run different versions."""
        by_region: dict[str, list[ServiceState]] = {}
        for each in (each.state for each in self.services or () if each.state.image):
            by_region.setdefault(each.region, []).append(each)
        return side_by_side({region: versions_of(own) for region, own in by_region.items()})

    @property
    def what(self) -> str:
        """What runs, and how its pods are: nothing else of it was looked at."""
        if self.services is None:
            return "unknown: the cluster does not answer"
        runs, _ = self._runs
        if self.state is State.RUNNING:
            return f"{runs}, rolling out"
        if bad := [each.state.named for each in self.services if each.bad]:
            return f"{runs}, {listed(bad)} unhealthy"
        ill = [f"{each.state.named} {_not_all(each) or each.state.state}" for each in self.services if not each.well]
        return f"{runs}, {listed(ill)}" if ill else f"{runs}, pods ready"

    @property
    def firing(self) -> str:
        """How many alerts fire and which, and where nobody knows."""
        fires = [f"{alert.name}{where_in(each.regions)}" for each in self.alerts for alert in each.alerts]
        names = listed(dict.fromkeys(fires), most=_ALERTS)
        said = [f"{counted(len(fires), 'alert')} {by_count(len(fires), 'fires', 'fire')}: {names}"] if fires else []
        said += [f"alerts{where_in(each.regions)} unknown" for each in self.alerts if each.why]
        return ", ".join(said) or "no alerts"

    def shown(self) -> list[Element]:
        """Return its part of the card."""
        by_region: dict[str, list[str]] = {}
        for each in self.services or ():
            by_region.setdefault(each.state.region, []).append(f"{each.state.service} {each.state.readiness}")
        counts = "; ".join(f"{f'{name}: ' if name else ''}{', '.join(own)}" for name, own in by_region.items())
        line = " · ".join(filter(None, (counts, self.firing)))
        locked: list[Element] = [Paragraph(text=self.lock)] if self.lock is not None else []
        if self.record is None:
            locked.append(Note(text=words("The lock and the current run are unknown: the fleet record can't be read.")))
        troubles: list[Element] = [Paragraph(text=words(each)) for each in self.trouble[:_ALERTS]]
        buttons = [("Status", "status"), *((("Diagnose", "diagnose"),) if self.state is not State.DONE else ())]
        row = tuple(Button(label=label, does=Typed(text=f"{what} --env {self.name}")) for label, what in buttons)
        return [
            Paragraph(text=words(f"{self.state.sign} ", Strong(text=self.name), f" · {self.what}")),
            *troubles,
            *locked,
            Note(text=words(line)),
            ButtonRow(buttons=row),
        ]

    def data(self) -> dict[str, object]:
        """Return the facts for scripts, and for who compares two looks."""
        return {
            "name": self.name,
            "state": self.state.value,
            "what": self.what,
            "ready": {each.state.named: each.state.readiness for each in self.services or ()},
            "trouble": list(self.trouble),
            "alerts": alert_names(self.alerts),
            "alerts_by_region": alerts_by_region(self.alerts),
            "locked": None if self.record is None else self.record.freeze is not None,
        }


def _not_all(health: ServiceHealth) -> str:
    """Return why not all of it runs though nothing fails; empty where that is not so."""
    if health.state.idle:
        return "scaled to 0"
    return "in several versions" if health.state.state == "complete" and health.state.mixed else ""


async def _glance(context: Context) -> Glance:
    where = context.where
    metrics = context.find(Metrics)
    async with asyncio.TaskGroup() as together:
        looks = [
            together.create_task(_part(service_health.look(place.cluster, place.environment)))
            for place in context.places
        ]
        asked = together.create_task(_part(context.fleet.read(where)))
        fires = together.create_task(metrics.alerts(DEADLINE)) if metrics is not None else None
    found = [look.result() for look in looks]
    services = [each for part in found for each in part or ()]
    record = asked.result()
    return Glance(
        name=where.name,
        services=None if all(part is None for part in found) else services,
        away=tuple(
            place.name for place, part in zip(context.places, found, strict=True) if part is None and any(found)
        ),
        record=record,
        alerts=fires.result() if fires is not None else (),
        lock=_lock(context, record),
    )


async def _part(ask: Awaitable[T]) -> T | None:
    """Return what it answers within the deadline; None where it is not known."""
    try:
        async with asyncio.timeout(DEADLINE):
            return await ask
    except (TimeoutError, RunbookError):
        return None


def _lock(context: Context, record: EnvironmentRecord | None) -> Text | None:
    if record is None or record.freeze is None or not record.freeze.holds(context.now):
        return None
    freeze = record.freeze
    until = (" until ", moment(freeze.until, age=False)) if freeze.until else ()
    return words(f"{State.LOCKED.sign} Locked by {freeze.name}", *until, f": {freeze.reason}")


def _verdict(glances: Sequence[Glance], to_decide: Sequence[ToDecide] | None) -> tuple[State | None, str]:
    """Return the sign and the one sentence: the worst first, then what waits for the reader."""
    if not glances:
        return None, "You may not look at any environment"
    ill = [each.name for each in glances if each.state is State.FAILED]
    unsure = [each.name for each in glances if each.state is State.WAITING]
    if ill:
        state, said = State.FAILED, f"{listed(ill)} {by_count(len(ill), 'needs', 'need')} attention"
    elif unsure:
        state, said = State.WAITING, f"{listed(unsure)} {by_count(len(unsure), 'needs', 'need')} a look"
    else:
        state, said = (
            State.DONE,
            f"{listed(each.name for each in glances)}: pods ready",
        )
    if to_decide is None:
        return state, f"{said}, approvals that wait for you are unknown"
    waits = f"{counted(len(to_decide), 'approval')} {by_count(len(to_decide), 'waits', 'wait')} for you"
    return state, f"{said}, {waits}" if to_decide else said


def _approvals(context: Context, to_decide: Sequence[ToDecide] | None) -> list[Element]:
    if to_decide is None:
        return [_heading("Waiting for you"), Note(text=words("Unknown: the bot's database did not answer in time."))]
    if not to_decide:
        return []
    body: list[Element] = [_heading("Waiting for you")]
    for each in to_decide[:_APPROVALS]:
        card = each.card
        # who did not ask can't withdraw it
        buttons = tuple(
            button
            for button in card.buttons
            if not (isinstance(button.does, RunAct) and button.does.command == "withdraw")
            or each.record.requester == context.actor.key
        )
        sign = f"{card.state.sign} " if card.state is not None else ""
        thread = (" · ", Link(url=each.record.link, text="thread")) if each.record.link else ()
        body += [
            Paragraph(text=words(sign, *card.title.spans, *thread)),
            Note(text=words("Requested by ", person(each.record.requester), ", ", Moment(at=each.record.at, age=True))),
            *card.body,
            ButtonRow(buttons=buttons),
        ]
    return [*body, *_more(len(to_decide) - _APPROVALS)]


def _running(records: Sequence[RunRecord]) -> list[Element]:
    if not records:
        return []
    body: list[Element] = [_heading("Running and waiting")]
    for each in records[:_RUNNING]:
        thread = Link(url=each.link, text="thread") if each.link else Code(text=f"runs {each.short}")
        body += [
            Paragraph(text=words(f"{_sign(each)} ", Strong(text=each.title), " · ", thread)),
            Note(text=words(*_stands(each), " · by ", person(each.requester), ", ", Moment(at=each.at, age=True))),
        ]
    return [*body, *_more(len(records) - _RUNNING)]


def _stands(record: RunRecord) -> tuple[str | Moment, ...]:
    if record.starts is not None:
        return "waiting until ", Moment(at=record.starts, form="date-time")
    return (_progress(record),)


def _progress(record: RunRecord) -> str:
    """Return such as `step 2 of 5: Backend rollout, 1/3 new pods ready`."""
    if record.state != "running" or not record.steps:
        return "held" if record.held_by else record.state
    over = {StepStatus.DONE.value, StepStatus.SKIPPED.value, StepStatus.FAILED.value}
    done = sum(step.status in over for step in record.steps)
    now = next((step for step in record.steps if step.status == StepStatus.RUNNING.value), None)
    at = f": {now.title}{f', {now.detail}' if now.detail else ''}" if now is not None else ""
    held = f", held by {record.held_by}" if record.held_by else ""
    return f"step {min(done + 1, len(record.steps))} of {len(record.steps)}{at}{held}"


def _recent(records: Sequence[RunRecord]) -> list[Element]:
    if not records:
        return []
    spans: list[object] = []
    for each in records[:_RECENT]:
        spans += [
            "\n" if spans else "",
            f"{_sign(each)} ",
            Code(text=each.short),
            f" {each.title}: {each.state}, ",
            person(each.requester),
            ", ",
            Moment(at=each.ended or each.at, form="date-time", age=True),
        ]
    return [
        _heading("Recent runs"),
        Paragraph(text=words(*spans)),  # type: ignore[arg-type] # strings, people, moments
        ButtonRow(buttons=(Button(label="All runs", does=Typed(text="runs")),)),
    ]


def _heading(text: str) -> Paragraph:
    return Paragraph(text=words(Strong(text=text)))


def _more(count: int) -> list[Element]:
    return [Note(text=words(f"{count} more: ", Code(text="runs")))] if count > 0 else []


def _sign(record: RunRecord) -> str:
    return _SIGNS.get(record.state, State.ENDED).sign


def _together(parts: Sequence[Sequence[RunRecord] | None]) -> list[RunRecord]:
    """Return the records of all environments, the newest first."""
    return sorted((each for part in parts for each in part or ()), key=lambda each: each.at, reverse=True)


def _plain(record: RunRecord) -> dict[str, object]:
    return {"id": record.id, "state": record.state, "title": record.title, "progress": _progress(record)}
