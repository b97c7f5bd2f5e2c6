"""`resources`: what is in an environment's namespace: `kubectl get all`, with what is not well first."""

from collections import Counter
from collections.abc import Iterator, Sequence

from commands.kit.card import Button, Card, Code, Element, Note, State, Strong, Table, Typed, sentence, words
from commands.kit.command import Observation
from commands.kit.context import Context
from commands.kit.regions import RegionName, lines_of, names_of
from commands.kit.spec import CHANNEL_DEFAULT, QueryMeta, option
from commands.kit.types import EnvironmentName
from runbooks.deployments.places import asked, named
from runbooks.observe import by_hand
from runbooks.observe.resources import ResourcesOfKind, resources
from runbooks.wording import counted, listed

_MOST = 12
"""Rows of a kind; the rest is counted."""
_MOST_ROWS = 90
"""Of all kinds: Slack takes 100 in a table."""


class Resources(Observation):
    """Show what is in the environment's namespace, kind by kind: Deployments, pods, Services, Jobs, autoscalers."""

    meta = QueryMeta(permission="fleet:read", examples=["", "--env staging"], refreshes=True)

    region: RegionName | None = option("only this region; default: all")
    env: EnvironmentName = option("where", default=CHANNEL_DEFAULT)

    async def by_hand(self, context: Context) -> tuple[str, ...]:
        return await lines_of(context, self.region, lambda place: by_hand.resources(place.environment))

    async def answer(self, context: Context) -> Card:
        kinds, missing = await asked(
            named(context.places, names_of(self.region)), lambda place: resources(place.cluster, place.environment)
        )
        where = context.where.name
        unwell = sum(not each.well for kind in kinds for each in kind.found)
        all_of_them = sum(len(kind.found) for kind in kinds)
        unknown = any(kind.unknown for kind in kinds)
        text = f"{unwell} of {counted(all_of_them, 'resource')} in {where} not as they should be"
        if not unwell:
            text = f"{counted(all_of_them, 'resource')} in {where}" + ("" if unknown else ", all as they should be")
        body = list(_table(kinds))
        body += [Note(text=words(why)) for why in missing]
        return Card(
            state=State.WAITING if unwell or unknown or missing else State.DONE,
            title=words(Strong(text=text)),
            summary=text,
            body=tuple(body),
            buttons=(
                Button(label="Pods", does=Typed(text=f"pods --env {where}")),
                Button(label="Events", does=Typed(text=f"events --env {where}")),
            ),
            data={"environment": where, "kinds": [kind.model_dump(mode="json") for kind in kinds]},
        )


def _table(kinds: Sequence[ResourcesOfKind]) -> Iterator[Element]:
    rows = [
        (
            words(f"{kind.kind} in {kind.region}" if kind.region else kind.kind),
            words(Code(text=each.name)),
            words(each.state if each.well else Strong(text=each.state)),
            words(each.age),
        )
        for kind in kinds
        for each in kind.found[:_MOST]
    ]
    if rows:
        yield Table(columns=("Kind", "Name", "State", "Age"), rows=tuple(rows[:_MOST_ROWS]))
    if (left := sum(len(kind.found) for kind in kinds) - min(len(rows), _MOST_ROWS)) > 0:
        yield Note(text=sentence(f"{counted(left, 'more resource')} not shown; `--json` in a terminal has all."))
    old: Counter[str] = Counter()
    for kind in kinds:
        old[kind.kind] += kind.left_out
    if left_out := [counted(count, kind) for kind, count in old.items() if count]:
        yield Note(text=words(f"Left out because none of their pods run: {listed(left_out)}."))
    for why in dict.fromkeys(kind.unknown for kind in kinds if kind.unknown):
        yield Note(text=words(why))
