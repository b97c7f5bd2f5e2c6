"""`events`: what the cluster tells of the services, grouped: `kubectl get events`, with the part that matters first."""

from datetime import timedelta

from commands.kit.card import Card, Code, Element, Moment, Note, Strong, Table, Text, words
from commands.kit.command import Observation
from commands.kit.context import Context
from commands.kit.regions import RegionName, lines_of, names_of
from commands.kit.spec import CHANNEL_DEFAULT, FollowUp, QueryMeta, argument, option
from commands.kit.types import Duration, EnvironmentName, ServiceName
from runbooks.deployments.places import Place, asked, named
from runbooks.observe import by_hand, events
from runbooks.wording import counted

_MOST = 40
_HOUR = 3600


class Events(Observation):
    """Show Kubernetes' events for the services: warnings first, repeated messages once with a count."""

    meta = QueryMeta(
        permission="fleet:read",
        examples=["", "backend --since 15m"],
        refreshes=True,
        next=(FollowUp(command="describe"), FollowUp(command="diagnose")),
    )

    service: ServiceName | None = argument("only this service", default=None)
    since: Duration = option("how far back", default=_HOUR)
    region: RegionName | None = option("only this region; default: all")
    env: EnvironmentName = option("where", default=CHANNEL_DEFAULT)

    async def by_hand(self, context: Context) -> tuple[str, ...]:
        return await lines_of(context, self.region, lambda place: by_hand.events(place, self.service))

    async def answer(self, context: Context) -> Card:
        since = context.now - timedelta(seconds=self.since)

        async def of(place: Place) -> list[events.EventGroup]:
            told = await events.told(place.cluster, place.environment, self.service, since=since)
            return [each.model_copy(update={"region": place.name}) for each in told]

        found, missing = await asked(named(context.places, names_of(self.region)), of)
        warnings = sum(each.warning for each in found)
        whose = self.service or context.where.name
        where = f"{'of' if self.service else 'in'} {whose}"
        kinds = f"{counted(len(found), 'kind')} of events {where}, {counted(warnings, 'warning') if warnings else 'no warning'}"
        text = kinds if found else f"No events {where}"
        body: list[Element] = []
        if found:
            columns = ("Reason", "About", "Message", "Times", "Last")
            kind = ("Kind",) if warnings else ()  # it would say the same in every row
            rows = tuple(_row(each, kind=bool(kind)) for each in found[:_MOST])
            body.append(Table(columns=(*kind, *columns), rows=rows))
        if len(found) > _MOST:
            body.append(Note(text=words(f"{len(found) - _MOST} more; name a service, or a shorter --since.")))
        body += [Note(text=words(why)) for why in missing]
        return Card(
            title=words(Strong(text=text)),
            summary=text,
            body=tuple(body),
            data={"events": [each.model_dump(mode="json") for each in found]},
        )


def _row(each: events.EventGroup, *, kind: bool) -> tuple[Text, ...]:
    more = f" and {len(each.about) - 1} more" if len(each.about) > 1 else ""
    return (
        *((words("warning" if each.warning else "normal"),) if kind else ()),
        words(each.reason),
        words(Code(text=each.about[0]), f"{more} in {each.region}" if each.region else more),
        words(each.message),
        words(str(each.count)),
        words(Moment(at=each.last, form="date-time", age=True) if each.last is not None else "unknown"),
    )
