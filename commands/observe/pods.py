"""`pods`: the pods of an environment's services, with what Kubernetes says of each."""

from commands.kit.card import Card, Note, State, Strong, Table, words
from commands.kit.command import Observation
from commands.kit.context import Context
from commands.kit.regions import RegionName, lines_of, names_of
from commands.kit.spec import CHANNEL_DEFAULT, FollowUp, QueryMeta, argument, option
from commands.kit.types import EnvironmentName, ServiceName
from runbooks.deployments.places import asked, named
from runbooks.observe import by_hand, pods
from runbooks.wording import counted

_MOST = 60
"""Rows of the table; the rest is counted."""


class Pods(Observation):
    """List the pods: version, phase, readiness, restarts, age, and why one is not ready."""

    meta = QueryMeta(
        permission="fleet:read",
        examples=["", "backend"],
        refreshes=True,
        next=(FollowUp(command="logs"), FollowUp(command="describe"), FollowUp(command="diagnose")),
    )

    service: ServiceName | None = argument("only this service", default=None)
    region: RegionName | None = option("only this region; default: all")
    env: EnvironmentName = option("where", default=CHANNEL_DEFAULT)

    async def by_hand(self, context: Context) -> tuple[str, ...]:
        return await lines_of(context, self.region, lambda place: by_hand.pods(place, self.service))

    async def answer(self, context: Context) -> Card:
        found, missing = await asked(
            named(context.places, names_of(self.region)),
            lambda place: pods.list_pods(place.cluster, place.environment, self.service),
        )
        ready = sum(each.ready for each in found)
        rows = tuple(
            (
                words(f"{each.service} in {each.region}" if each.region else each.service),
                words(each.name),
                words(each.version),
                words("ready" if each.ready else each.detail or each.phase),
                words(str(each.restarts)),
                words(each.age),
            )
            for each in found[:_MOST]
        )
        left = len(found) - _MOST
        body = [Table(columns=("Service", "Pod", "Version", "State", "Restarts", "Age"), rows=rows)] if rows else []
        notes: tuple[Note, ...] = (
            (Note(text=words(f"{left} more; name a service to see only its pods.")),) if left > 0 else ()
        )
        notes += tuple(Note(text=words(why)) for why in missing)
        over = sum(each.over for each in found)
        text = f"{ready} of {counted(len(found) - over, 'pod')} ready in {context.where.name}"
        text += f", {over} ended earlier" if over else ""
        well = ready == len(found) - over and not missing
        return Card(
            state=(State.DONE if well else State.WAITING) if found or missing else None,
            title=words(Strong(text=text)),
            summary=text,
            body=(*body, *notes),
            data={"pods": [each.model_dump(mode="json") for each in found]},
        )
