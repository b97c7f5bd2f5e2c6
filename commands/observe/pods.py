"""`pods`: the pods of an environment's services, with what Kubernetes says of each."""

from commands.kit.card import Card, Note, Strong, Table, words
from commands.kit.command import Query
from commands.kit.context import Context
from commands.kit.spec import CHANNEL_DEFAULT, QueryMeta, argument, option
from commands.kit.types import EnvironmentName, ServiceName
from runbooks.observe import pods
from runbooks.wording import counted

_MOST = 60
"""Rows of the table; the rest is counted."""


class Pods(Query):
    """List the pods: version, phase, readiness, restarts, age, and why one is not ready."""

    meta = QueryMeta(permission="fleet:read", examples=["", "backend"])

    service: ServiceName | None = argument("only this service", default=None)
    env: EnvironmentName = option("where", default=CHANNEL_DEFAULT)

    async def answer(self, context: Context) -> Card:
        found = await pods.list_pods(context.cluster, context.where, self.service)
        ready = sum(each.ready for each in found)
        rows = tuple(
            (
                words(each.service),
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
        notes = (Note(text=words(f"{left} more; name a service to see only its pods.")),) if left > 0 else ()
        over = sum(each.over for each in found)
        text = f"{ready} of {counted(len(found) - over, 'pod')} ready in {context.where.name}"
        text += f", {over} ended before" if over else ""
        return Card(
            title=words(Strong(text=text)),
            summary=text,
            body=(*body, *notes),
            data={"pods": [each.model_dump(mode="json") for each in found]},
        )
