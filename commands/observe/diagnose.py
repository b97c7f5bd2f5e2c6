"""`diagnose [SERVICE]`: what is wrong, the most likely cause first, then what was found well and what nobody could look at."""

import re
from collections.abc import AsyncGenerator, Iterable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace

from commands.kit.card import (
    Button,
    Card,
    CardSubject,
    Code,
    Element,
    Moment,
    Note,
    Paragraph,
    State,
    Strong,
    Text,
    Typed,
    sentence,
    words,
)
from commands.kit.command import Observation
from commands.kit.context import Context, RunRecord
from commands.kit.regions import RegionName, lines_of, names_of
from commands.kit.spec import CHANNEL_DEFAULT, CommandSpec, FollowUp, QueryMeta, argument, option
from commands.kit.types import EnvironmentName, ServiceName
from runbooks.deployments.places import Place, named
from runbooks.observe import by_hand
from runbooks.troubleshooting.asking import Diagnosed, diagnose
from runbooks.troubleshooting.case import LOOKED_BACK, Case, RecentRun, opened
from runbooks.troubleshooting.findings import Confidence, Finding, ToDo
from runbooks.troubleshooting.rules import PERMISSIONS
from runbooks.troubleshooting.terminal_lines import terminal_lines
from runbooks.wording import capital, counted, headed, in_sentence, listed

_OTHERS = 5
"""Findings after the first that are shown, and consequences; the rest are counted."""
_EVIDENCE, _FEWER = 5, 1
_ALIKE = 2
_TO_DO, _FEWER_TO_DO = 4, 2
_BUTTONS = 4
_UNKNOWN = 8
_CHANGES = 5
_RUNS = 50
_ANSWER = 20.0
"""Seconds for an answer that the rules' own times are made for. Where the configuration gives an answer more or less, so do they."""
_BY_HAND = 0.6 * _ANSWER
"""Seconds for what is found for the lines to run by hand: those for all pods are looked up afterwards."""
_HEADLINE, _LEAST = 80, 30
"""Characters of a cause in the title, where it has a place to end; the rest stands under it."""
_PLACES = re.compile(r"(?:; |: |, and )(?![^()]*\))| \((?=[^()]*\)$)")
"""Where a cause may end in the title: after a clause, or before what stands in parentheses at its end."""
_STOPS = ",;:"
_RAN = ("running", "succeeded", "failed", "cancelled")


class Diagnose(Observation):
    """Say what is wrong, the most likely cause first, with the evidence, what to do, and what changed before it began.

    It asks the cluster, the metrics and everything else that is configured, side by side, in all regions. It names what it
    found healthy and what it could not check. It changes nothing.
    """

    meta = QueryMeta(
        permission="fleet:read",
        examples=["", "backend", "--env staging"],
        refreshes=True,
        next=(FollowUp(command="metrics", trouble=True), FollowUp(command="status")),
    )

    service: ServiceName | None = argument("only this service", default=None)
    region: RegionName | None = option("only this region; default: all")
    env: EnvironmentName = option("where", default=CHANNEL_DEFAULT)

    async def by_hand(self, context: Context) -> tuple[str, ...]:
        async def of(place: Place) -> tuple[str, ...]:
            return (
                *await by_hand.pods(place, self.service),
                *await by_hand.events(place, self.service),
                *by_hand.nodes(place.environment),
            )

        async with self._case(context) as case:
            found = await diagnose(case, seconds=_BY_HAND)
            exact = terminal_lines(case, found.findings)
        return tuple(dict.fromkeys((*exact, *await lines_of(context, self.region, of))))

    async def answer(self, context: Context) -> Card:
        async with self._case(context) as case:
            found = in_their_regions(context, await diagnose(case))
        return card_of(context, self, found, await orders_of(context, found.findings))

    @asynccontextmanager
    async def _case(self, context: Context) -> AsyncGenerator[Case]:
        """Yield the case, with what this person may see."""
        where = context.where

        async def runs() -> Sequence[RecentRun]:
            recent = await context.runs.recent(environment=where.name, limit=_RUNS)
            return [_run(context, each) for each in recent if began(each)]

        async with opened(
            named(context.places, names_of(self.region)),
            environment=where,
            service=where.service(self.service) if self.service else None,
            clients=context.services,
            now=context.now,
            may=await _may(context),
            runs=runs,
            patience=context.deadline / _ANSWER,
        ) as case:
            yield case


@dataclass(frozen=True)
class Orders:
    """What the findings say to type, and which of it who asks may not."""

    needed: Mapping[str, str]
    """What is typed → the permission that who asks lacks for it."""

    def lacking(self, each: ToDo) -> str:
        """Return the permission that is lacking; empty where none is."""
        return self.needed.get(each.command, "")


def in_their_regions(context: Context, found: Diagnosed) -> Diagnosed:
    """Return the diagnosis with the region added to each finding's commands: a pod's log is only there."""

    def there(each: ToDo, region: str) -> ToDo:
        spec = _spec_of(context, each.command) if each.command and region else None
        parameter = spec.parameter("region") if spec is not None else None
        return each.model_copy(update={"command": f"{each.command} --region {region}"}) if parameter else each

    return replace(
        found,
        findings=tuple(
            each.model_copy(update={"to_do": tuple(there(order, each.region) for order in each.to_do)})
            for each in found.findings
        ),
    )


def _spec_of(context: Context, typed: str) -> CommandSpec | None:
    known = {spec.name: spec for spec in context.menu}
    first, second = (*typed.split(), "", "")[:2]
    return known.get(f"{first} {second}", known.get(first))


async def orders_of(context: Context, findings: Sequence[Finding]) -> Orders:
    needed: dict[str, str] = {}
    for command in {each.command for finding in findings for each in finding.to_do if each.command}:
        spec = _spec_of(context, command)
        permission = spec.permission if spec is not None else None
        if permission is not None and not await context.authority.may(context.actor, permission, context.where.name):
            needed[command] = permission
    return Orders(needed)


async def _may(context: Context) -> frozenset[str]:
    may, where = context.authority.may, context.where.name
    return frozenset([each for each in PERMISSIONS if await may(context.actor, each, where)])


def began(record: RunRecord) -> bool:
    """Return whether the run may have changed something: one whose gates failed, or that ended otherwise before its first step, did not."""
    return record.state in _RAN and bool(record.steps or record.ended is None)


def _run(context: Context, record: RunRecord) -> RecentRun:
    return RecentRun(
        id=record.short,
        title=record.title,
        command=record.command,
        state=record.state,
        at=record.at,
        ended=record.ended,
        by=context.authority.name(record.requester),
    )


def card_of(context: Context, asked: Diagnose, found: Diagnosed, orders: Orders) -> Card:
    first = next(iter(found.findings), None)
    whose = f"{asked.service} in {context.where.name}" if asked.service and first is None else context.where.name
    text = f"{whose}: {_answer(found)}"
    names = [each.name for each in context.where.services]
    title = f"{whose}: {_headline(first.cause, names)[0]}{_where(first)}" if first is not None else text
    body: list[Element] = []
    pairs = list(zip(found.findings, found.caused_by, strict=True))
    others = [each for each, cause in pairs[1:] if cause is None]
    # trouble of the same kind is evidence for the first finding; anything else that it causes is a consequence
    alike = [each for each, cause in pairs[1:] if first is not None and cause == 0 and each.kind is first.kind]
    follow = [each for each, cause in pairs[1:] if cause is not None and each not in alike]
    if first is not None:  # a change is named with the trouble that it brought
        follow = [each for each in follow if in_sentence(each.cause) not in first.cause]
    if first is not None:
        body += _first(first, alike, orders, names, numbered=bool(others))
        body += [_other(number, each, orders) for number, each in enumerate(others[:_OTHERS], start=2)]
    if follow:
        said = "; ".join(f"{each.cause}{_where(each)}" for each in follow[:_OTHERS])
        left = f"; {len(follow) - _OTHERS} more" if len(follow) > _OTHERS else ""
        body.append(Paragraph(text=words(Strong(text="Likely consequences: "), f"{said}{left}.")))
    if (more := len(others) - _OTHERS) > 0:
        body.append(Note(text=words(f"{counted(more, 'more finding')}; name a service to see fewer.")))
    body += [*_changed(found), *_notes(found)]
    return Card(
        state=_state(found),
        title=words(Strong(text=title)),
        summary=text,
        body=tuple(body),
        about=CardSubject(service=first.service) if first is not None and first.service and not asked.service else None,
        buttons=_buttons(context, found.findings, orders),
        data={
            "environment": context.where.name,
            "findings": [each.model_dump(mode="json") for each in found.findings],
            "changes": [each.model_dump(mode="json") for each in found.changes.found],
            "well": list(found.well),
            "unknown": [{"rule": rule, "why": why} for rule, why in found.unknown],
            "not_configured": list(found.not_configured),
            "not_permitted": [{"rule": rule, "permission": needed} for rule, needed in found.not_permitted],
        },
    )


def _answer(found: Diagnosed) -> str:
    if found.findings:
        return f"{found.findings[0].cause}{_where(found.findings[0])}"
    if found.unknown:
        return f"no problem found, but {counted(len(found.unknown), 'thing')} could not be checked"
    return "no problem found in what you may see" if found.not_permitted else "nothing is wrong"


def _headline(cause: str, names: Sequence[str]) -> tuple[str, str]:
    """Return a cause in few words for the title, and the rest of it as a sentence, which is empty where all of it is short.

    A sentence begins with a capital letter, unless it begins with one of the names of services or with another name.
    """
    places = [place for place in _PLACES.finditer(cause) if place.start() >= _LEAST]
    if len(cause) <= _HEADLINE or not places:
        return cause, ""
    fitting = [place for place in places if place.start() <= _HEADLINE]
    place = fitting[-1] if fitting else places[0]
    rest = cause[place.end() :].removesuffix(")" if place[0] == " (" else "")
    word = rest.split(maxsplit=1)[0].rstrip(_STOPS) if rest else ""
    named = word in names or not word.isalpha()
    return cause[: place.start()], f"{rest if named else capital(rest)}."


def _state(found: Diagnosed) -> State:
    now = [each for each in found.findings if not each.ahead and not each.recovering]
    if any(each.confidence is not Confidence.POSSIBLE for each in now):
        return State.FAILED
    return State.WAITING if found.findings or found.unknown else State.DONE


def _first(
    finding: Finding, alike: Sequence[Finding], orders: Orders, names: Sequence[str], *, numbered: bool
) -> Iterator[Element]:
    """The most likely cause, which the title names: its evidence, and what to do."""
    unexplained = " The cause was not found." if finding.measured and not finding.recovering else ""
    number = words(Strong(text="Cause 1: "), "the one above. ") if numbered else ""
    _, rest = _headline(finding.cause, names)
    how_sure = words(number, _how_sure(finding), unexplained)
    yield Paragraph(text=words(*_lines([words(rest), how_sure] if rest else [how_sure])))
    shown = [*finding.evidence[:_EVIDENCE], *(_as_evidence(each) for each in alike[:_ALIKE])]
    if shown:
        yield Paragraph(text=words(*_lines(words(f"• {line}") for line in shown)))
    if lines := list(_to_do(finding, orders, _TO_DO)):
        yield Paragraph(text=words(*_lines(lines)))


def _as_evidence(finding: Finding) -> str:
    return f"{finding.cause}{_where(finding)}.{f' {finding.evidence[0]}' if finding.evidence else ''}"


def _other(number: int, finding: Finding, orders: Orders) -> Paragraph:
    """Another cause, its number apart from it: a cause may begin with a number of its own."""
    title = words(Strong(text=f"Cause {number}: {finding.cause}{_where(finding)}"))
    evidence = [words(f"• {line}") for line in finding.evidence[:_FEWER]]
    lines = [title, _how_sure(finding), *evidence, *_to_do(finding, orders, _FEWER_TO_DO)]
    return Paragraph(text=words(*_lines(lines)))


def _to_do(finding: Finding, orders: Orders, most: int) -> Iterator[Text]:
    if finding.to_do:
        yield words(Strong(text="What to do"))
        yield from (_order(each, orders.lacking(each)) for each in finding.to_do[:most])


def _where(finding: Finding) -> str:
    return f" ({finding.region})" if finding.region else ""


def _how_sure(finding: Finding) -> Text:
    """Return `Certain, since 14:02 (3 min ago).`"""
    since = (", since ", Moment(at=finding.since, age=True)) if finding.since is not None else ()
    return words(capital(finding.confidence.value), *since, ".")


def _order(each: ToDo, lacking: str) -> Text:
    if lacking:
        text = f"Somebody with `{lacking}` can {each.text[:1].lower()}{each.text[1:].rstrip('.')}: "
        return words("• ", sentence(text), Code(text=each.command))
    if each.command:
        return words("• ", sentence(each.text.rstrip(".")), ": ", Code(text=each.command))
    return words("• ", sentence(each.text if each.text.endswith((".", "?")) else f"{each.text}."))


def _lines(parts: Iterable[Text]) -> Iterator[Text | str]:
    """Yield the parts with a line's end between them, each a span of its own: within one it would be a space."""
    for place, part in enumerate(parts):
        if place:
            yield "\n"
        yield part


def _changed(found: Diagnosed) -> Iterator[Element]:
    """What changed in the last hours, the newest first."""
    changes = found.changes.found
    hours = f"{LOOKED_BACK.total_seconds() / 3600:g} h"
    if changes:
        lines = (words("• ", each.what, ", ", Moment(at=each.ended, age=True)) for each in changes[:_CHANGES])
        more = [words(f"{len(changes) - _CHANGES} more")] if len(changes) > _CHANGES else []
        yield Paragraph(text=words(*_lines([words(Strong(text=f"Changed in the last {hours}")), *lines, *more])))
    elif found.findings and not found.changes.unknown:
        yield Note(text=words(f"No change found in the last {hours}."))


def _notes(found: Diagnosed) -> Iterator[Element]:
    if found.well:
        yield Note(text=words(f"No problem found in: {', '.join(found.well)}."))
    unknown = [*found.unknown, *(("what changed", why) for why in found.changes.unknown)]
    by_reason: dict[str, list[str]] = {}
    for rule, why in unknown:
        by_reason.setdefault(why, []).append(rule)
    for why, rules in list(by_reason.items())[:_UNKNOWN]:
        yield Note(text=words(f"Could not check {listed(rules)}: {why}."))
    if more := sum(len(rules) for rules in list(by_reason.values())[_UNKNOWN:]):
        yield Note(text=words(f"{counted(more, 'more thing')} could not be checked."))
    if found.not_configured:
        yield Note(text=words(f"Not there or not configured, so not checked: {listed(found.not_configured)}."))
    for needed in dict.fromkeys(permission for _, permission in found.not_permitted):
        names = listed(rule for rule, permission in found.not_permitted if permission == needed)
        yield Note(text=words(f"Not checked, because you need the permission {needed}: {names}."))


def _buttons(context: Context, findings: Sequence[Finding], orders: Orders) -> tuple[Button, ...]:
    where = context.where.name
    offered: dict[str, Button] = {}
    typed = (each for finding in findings for each in finding.to_do if each.command and not orders.lacking(each))
    for each in typed:
        label = each.label or headed(each.command)
        offered.setdefault(label, Button(label=label, does=Typed(text=_typed(each.command, where))))
    return tuple(offered.values())[:_BUTTONS]


def _typed(command: str, where: str) -> str:
    return f"{command} --env {where}"
