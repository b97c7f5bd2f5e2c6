"""`describe SERVICE|POD`: the part of `kubectl describe` that matters."""

from commands.kit.card import (
    Button,
    Card,
    CardSubject,
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
from commands.kit.command import Observation
from commands.kit.context import Context
from commands.kit.regions import RegionName, lines_of
from commands.kit.spec import CHANNEL_DEFAULT, FollowUp, QueryMeta, argument, option
from commands.kit.types import EnvironmentName, Target
from runbooks.observe import by_hand
from runbooks.observe.descriptions import ContainerLine, Described, describe
from runbooks.observe.events import EventGroup
from runbooks.observe.pods import PodLine
from runbooks.wording import counted

_PODS, _EVENTS = 12, 6
"""Rows; the rest is counted, and a button leads to it."""


class Describe(Observation):
    """Describe a service or a pod: state and cause, image, resources, probes, how containers ended, warnings."""

    meta = QueryMeta(
        permission="fleet:read",
        examples=["backend", "backend-7c9f-x2lqp", "x2lqp --env staging"],
        refreshes=True,
        next=(
            FollowUp(command="logs"),
            FollowUp(command="diagnose", trouble=True),
            FollowUp(command="events"),
            FollowUp(command="pods"),
        ),
    )

    target: Target = argument("a service, or a pod by the end of its name")
    region: RegionName | None = option("the region to look in; default: the home region")
    env: EnvironmentName = option("where", default=CHANNEL_DEFAULT)

    async def by_hand(self, context: Context) -> tuple[str, ...]:
        return await lines_of(
            context, self.region or context.where.home, lambda place: by_hand.described(place, self.target)
        )

    async def answer(self, context: Context) -> Card:
        there = context.within(self.region)
        found = await describe(there.cluster, there.where, self.target)
        where = context.where.name
        text = "; ".join(filter(None, (f"{found.name} in {there.where.shown} {found.summary}", found.changed)))
        body: list[Element] = []
        if found.trouble:
            body.append(Paragraph(text=words(Strong(text="Cause: "), found.trouble)))
        body.append(Facts(facts=tuple(Fact(label=label, value=words(value)) for label, value in found.facts)))
        body += _containers(found.containers) + _pods(found.pods) + _events(found)
        return Card(
            state=_state(found),
            title=words(Strong(text=text)),
            summary=f"{text}: {found.trouble}" if found.trouble else text,
            body=tuple(body),
            buttons=(*_log(found, self.region, where), *_service(found, where)),
            about=CardSubject(service=found.service or "", target=found.name),
            data={"environment": where, **found.model_dump(mode="json")},
        )


def _state(found: Described) -> State:
    if found.well:
        return State.WAITING if found.changed else State.DONE
    return State.FAILED if found.trouble else State.WAITING


def _containers(lines: tuple[ContainerLine, ...]) -> list[Element]:
    if not lines:
        return []
    rows = tuple(
        (
            words(each.name),
            words(each.image),
            words(each.state),
            words(str(each.restarts)),
            _ended(each),
            words(each.asked),
        )
        for each in lines
    )
    return [Table(columns=("Container", "Image", "State", "Restarts", "Previously", "Requests"), rows=rows)]


def _ended(each: ContainerLine) -> Text:
    if not each.last_end:
        return words("")
    at = (", ", Moment(at=each.ended_at, form="date-time", age=True)) if each.ended_at is not None else ()
    return words(each.last_end, *at)


def _pods(lines: tuple[PodLine, ...]) -> list[Element]:
    if not lines:
        return []
    rows = tuple(
        (
            words(Code(text=each.name)),
            words(each.version),
            words("ready" if each.ready else each.detail or each.phase),
            words(str(each.restarts)),
            words(each.age),
            words(each.node),
        )
        for each in lines[:_PODS]
    )
    more = (
        [Note(text=words(f"{counted(len(lines) - _PODS, 'more pod')}; `pods` lists them all."))]
        if len(lines) > _PODS
        else []
    )
    return [Table(columns=("Pod", "Version", "State", "Restarts", "Age", "Node"), rows=rows), *more]


def _events(found: Described) -> list[Element]:
    warnings = [each for each in found.events if each.warning] or ([] if found.well else list(found.events))
    if not warnings:
        return [Note(text=words("There are no warnings in Kubernetes' events."))]
    rows = tuple(_event(each) for each in warnings[:_EVENTS])
    more = (
        [Note(text=words(f"{counted(len(warnings) - _EVENTS, 'more kind')} of events."))]
        if len(warnings) > _EVENTS
        else []
    )
    return [Table(columns=("Event", "Message", "Times", "Last"), rows=rows), *more]


def _event(each: EventGroup) -> tuple[Text, ...]:
    last = Moment(at=each.last, form="date-time", age=True) if each.last is not None else "unknown"
    return words(each.reason), words(each.message), words(str(each.count)), words(last)


def _log(found: Described, region: str | None, where: str) -> tuple[Button, ...]:
    """Return the button for the log of the pod that crashed, not of the pods that are well."""
    if not found.log:
        return ()
    there = f" --region {region}" if region else ""
    return (Button(label="Logs", does=Typed(text=f"logs {found.log}{there} --env {where}")),)


def _service(found: Described, where: str) -> tuple[Button, ...]:
    """The way from a pod to its service."""
    if found.service is None or found.kind == "service":
        return ()
    return (Button(label="Service", does=Typed(text=f"describe {found.service} --env {where}")),)
