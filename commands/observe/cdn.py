"""`cdn`: how the distribution stands, and its newest invalidations."""

import asyncio
import shlex
from datetime import datetime

from commands.kit.card import (
    Button,
    Card,
    Fact,
    Facts,
    Moment,
    Note,
    OpenForm,
    State,
    Strong,
    Table,
    Text,
    words,
)
from commands.kit.command import Observation
from commands.kit.context import Context
from commands.kit.spec import CHANNEL_DEFAULT, QueryMeta, option
from commands.kit.types import EnvironmentName
from runbooks.clients.aws.cloudfront import Cdn, Distribution, InvalidationSeen
from runbooks.wording import counted, shortened

_NEWEST = 5
_LONGEST = 80


class CdnCommand(Observation):
    """Show the CDN: whether its distribution is enabled and deployed, and its newest invalidations."""

    tool = "aws"
    meta = QueryMeta(permission="fleet:read", examples=["", "--env staging"], name="cdn")

    env: EnvironmentName = option("where", default=CHANNEL_DEFAULT)

    async def by_hand(self, context: Context) -> tuple[str, ...]:
        settings = context.use(Cdn, "cdn", "CDN").settings
        return (
            shlex.join(["aws", "cloudfront", "get-distribution", "--id", settings.distribution]),
            shlex.join(
                [
                    "aws",
                    "cloudfront",
                    "list-invalidations",
                    "--distribution-id",
                    settings.distribution,
                    "--max-items",
                    str(_NEWEST),
                ]
            ),
        )

    async def answer(self, context: Context) -> Card:
        cdn, where = context.use(Cdn, "cdn", "CDN"), context.where.name
        found, newest = await asyncio.gather(cdn.distribution(), cdn.newest(_NEWEST))
        running = max(found.in_progress, sum(not each.completed for each in newest))
        said = "disabled" if not found.enabled else "deployed" if found.deployed else "being deployed"
        text = f"The CDN of {where} is {said}, {counted(running, 'invalidation') if running else 'no invalidation'} in progress"
        facts = (
            Fact(label="Distribution", value=words(cdn.settings.distribution)),
            Fact(label="Domain", value=words(found.domain)),
            Fact(label="Changed", value=_moment(found.changed)),
            Fact(label="Cache tags", value=words(found.tag_header or "none: only paths can be invalidated")),
        )
        invalidations = (
            Table(columns=("Invalidation", "Created", "Status", "What"), rows=tuple(map(_row, newest)))
            if newest
            else Note(text=words("There was no invalidation yet."))
        )
        return Card(
            state=_state(found, running),
            title=words(Strong(text=text)),
            summary=text,
            body=(Facts(facts=facts), invalidations),
            buttons=(Button(label="Invalidate…", does=OpenForm(command="cdn invalidate", filled={"env": where})),),
            data={
                "environment": where,
                "distribution": {"id": cdn.settings.distribution, **found.model_dump(mode="json")},
                "invalidations": [each.model_dump(mode="json") for each in newest],
            },
        )


def _state(found: Distribution, running: int) -> State:
    if not found.enabled:
        return State.FAILED
    return State.WAITING if running or not found.deployed else State.DONE


def _moment(at: datetime | None) -> Text:
    return words("unknown") if at is None else words(Moment(at=at, form="date-time", age=True))


def _row(found: InvalidationSeen) -> tuple[Text, ...]:
    what = "unknown" if found.paths is None else shortened(" ".join(found.paths), _LONGEST)
    return (words(found.id), _moment(found.at), words("completed" if found.completed else "in progress"), words(what))
