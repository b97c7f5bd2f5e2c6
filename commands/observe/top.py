"""`top pods [SERVICE]`, `top nodes`: CPU and memory beside requests and limits, what is near a limit first."""

from collections.abc import Sequence
from typing import Literal

from commands.kit.card import (
    Button,
    Card,
    Code,
    Element,
    Note,
    Paragraph,
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
from commands.kit.regions import RegionName, lines_of, names_of
from commands.kit.spec import CHANNEL_DEFAULT, QueryMeta, argument, option
from commands.kit.types import EnvironmentName, ServiceName
from runbooks.deployments.places import Place, asked, named
from runbooks.diagnosis.quantities import shown
from runbooks.observe import by_hand
from runbooks.observe.usage import NEAR, Amount, ResourceUsage, Top, top_nodes, top_pods
from runbooks.wording import by_count, capital, counted, listed, size

_MOST = 40
"""Rows of the table; the rest is counted."""


class TopPods(Observation):
    """Show the CPU and memory that pods use, beside requests and limits: what is near a limit first."""

    meta = QueryMeta(permission="fleet:read", examples=["", "backend"], name="top pods", refreshes=True)

    service: ServiceName | None = argument("only this service's pods", default=None)
    region: RegionName | None = option("only this region; default: all")
    env: EnvironmentName = option("where", default=CHANNEL_DEFAULT)

    async def by_hand(self, context: Context) -> tuple[str, ...]:
        return await lines_of(context, self.region, lambda place: by_hand.used(place, self.service))

    async def answer(self, context: Context) -> Card:
        async def of(place: Place) -> list[Top]:
            return [await top_pods(place.cluster, place.environment, self.service)]

        found, missing = await asked(named(context.places, names_of(self.region)), of)
        return _card("pod", context.where.name, found, missing)


class TopNodes(Observation):
    """Show the CPU and memory that nodes use, beside what they can give to pods: what is nearly full first."""

    meta = QueryMeta(permission="fleet:read", examples=["", "--env staging"], name="top nodes", refreshes=True)

    region: RegionName | None = option("only this region; default: all")
    env: EnvironmentName = option("where", default=CHANNEL_DEFAULT)

    async def by_hand(self, context: Context) -> tuple[str, ...]:
        return await lines_of(context, self.region, lambda place: by_hand.nodes(place.environment))

    async def answer(self, context: Context) -> Card:
        async def of(place: Place) -> list[Top]:
            return [await top_nodes(place.cluster, place.name)]

        found, missing = await asked(named(context.places, names_of(self.region)), of)
        return _card("node", context.where.name, found, missing)


def _card(one: Literal["pod", "node"], where: str, found: Sequence[Top], missing: Sequence[str]) -> Card:
    lines = sorted((line for each in found for line in each.lines), key=lambda line: -line.share)
    unknown = tuple(dict.fromkeys(each.unknown for each in found if each.unknown))
    near = sum(line.share >= NEAR for line in lines)
    measured = sum(line.measured for line in lines)
    full = [line for line in lines if one == "node" and (line.cpu.full or line.memory.full)]
    ill = sum(bool(line.detail) for line in lines) if one == "pod" else 0
    if near:
        text = f"{near} of {counted(len(lines), one)} in {where} near a limit"
    elif unknown and not measured:
        text = f"The usage of {one}s in {where} is unknown"
    else:
        text = f"{counted(len(lines), one)} in {where}, none near a limit"
        text += f" ({len(lines) - measured} not measured)" if measured < len(lines) else ""
    if full:
        text += f"; {len(full)} without room for more pods"
    if ill:
        text += f"; {ill} {by_count(ill, 'is', 'are')} not ready"
    body: list[Element] = [Paragraph(text=sentence(why)) for why in unknown]
    body += [Paragraph(text=words(_requested_in_full(full)))] if full else []
    if lines:
        body.append(_table(lines[:_MOST], one))
    if (left := len(lines) - _MOST) > 0:
        body.append(Note(text=words(f"{left} more, farther from their limits.")))
    body.append(Note(text=words(f"Near means {NEAR * 100:.0f} % of a limit or more. {_LIMIT[one]}")))
    body += [Note(text=words(why)) for why in missing]
    other = "nodes" if one == "pod" else "pods"
    return Card(
        state=State.WAITING if near or unknown or full or ill else State.DONE,
        title=words(Strong(text=text)),
        summary=text,
        body=tuple(body),
        buttons=(
            Button(label=f"Top {other}", does=Typed(text=f"top {other} --env {where}")),
            Button(label="Metrics", does=Typed(text=f"metrics --env {where}")),
        ),
        data={
            "environment": where,
            "unknown": list(unknown),
            f"{one}s": [line.model_dump(mode="json") for line in lines],
        },
    )


def _requested_in_full(full: Sequence[ResourceUsage]) -> str:
    """Return what is used up on which nodes, though it may hardly be used."""
    said = [
        f"{name} of {listed(names)}"
        for name, names in (
            ("CPU", [line.name for line in full if line.cpu.full]),
            ("memory", [line.name for line in full if line.memory.full]),
        )
        if names
    ]
    return (
        f"Nearly all {' and '.join(said)} is requested. A pod goes only where its requests fit, however little is used."
    )


_LIMIT = {
    "pod": "A container over its memory limit is killed; at its CPU limit it is slowed down.",
    "node": "A node's limit is what it can give to pods.",
}


def _table(lines: list[ResourceUsage], one: str) -> Table:
    last = "Restarts" if one == "pod" else "State"
    limits = "Limits" if one == "pod" else "Allocatable"
    return Table(
        columns=(capital(one), "Memory", "CPU", "Requests", limits, last),
        rows=tuple(_row(line) for line in lines),
    )


def _row(line: ResourceUsage) -> tuple[Text, ...]:
    ends = (
        line.detail or "ready" if line.restarts is None else ", ".join(filter(None, (str(line.restarts), line.detail)))
    )
    return (
        words(Code(text=line.name), f" in {line.region}" if line.region else ""),
        _used("memory", line.memory),
        _used("cpu", line.cpu),
        words(_both(line.cpu.requested, line.memory.requested)),
        words(_both(line.cpu.limit, line.memory.limit)),
        words(ends),
    )


def _used(resource: str, found: Amount) -> Text:
    if found.used is None:
        return words("unknown")
    number = size(found.used) if resource == "memory" else f"{round(found.used, 3):g}"
    if found.share is None:
        return words(number)
    told = f"{number} ({found.share * 100:.0f} %)"
    return words(Strong(text=told)) if found.near else words(told)


def _both(cpu: float | None, memory: float | None) -> str:
    amounts = {"cpu": cpu, "memory": memory}
    return ", ".join(shown(resource, value) for resource, value in amounts.items() if value is not None) or "none"
