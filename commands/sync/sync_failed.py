"""`sync failed`: what could not be synchronised, grouped by reason; nothing of a patient, and no ids."""

from commands.kit.card import (
    Button,
    Card,
    Element,
    Note,
    OpenForm,
    Paragraph,
    Preformatted,
    State,
    Strong,
    Table,
    Text,
    Typed,
    sentence,
    words,
)
from commands.kit.command import Query
from commands.kit.context import Context
from commands.kit.spec import CHANNEL_DEFAULT, QueryMeta, option
from commands.kit.types import EnvironmentName
from runbooks.sync.queue import SyncQueue
from runbooks.sync.reading import FailedItems, ReasonGroup
from runbooks.wording import by_count, capital, counted, duration

_MOST = 25
_IN_DATA = 500


class SyncFailed(Query):
    """Show failed sync items grouped by reason: how many, from how many devices, how old."""

    meta = QueryMeta(permission="sync:read", examples=["", "--env staging"], name="sync failed")

    env: EnvironmentName = option("where", default=CHANNEL_DEFAULT)

    async def answer(self, context: Context) -> Card:
        found = await context.use(SyncQueue, "sync", "sync scripts").failed()
        where = context.where.name
        if found.total is None:
            return _as_it_is(found, where)
        text = _summary(found, where)
        body: list[Element] = []
        if found.groups:
            rows = tuple(_row(group) for group in found.groups[:_MOST])
            body.append(Table(columns=("Reason", "Items", "Devices", "Oldest"), rows=rows))
        if left := sum(group.items for group in found.groups[_MOST:]):
            body.append(
                Note(
                    text=words(
                        f"{counted(left, 'item')} with {counted(len(found.groups) - _MOST, 'other reason')} {by_count(left, 'is', 'are')} not listed."
                    )
                )
            )
        if found.total:
            body.append(
                Note(text=sentence("Names, numbers and ids are hidden as …; `sync retry-failed` retries all items."))
            )
        return Card(
            state=State.FAILED if found.total else State.DONE,
            title=words(Strong(text=text)),
            summary=text,
            body=(*body, Note(text=words(f"pod {found.pod}"))),
            buttons=_buttons(where) if found.total else (),
            data={"environment": where, **_bounded(found).model_dump(mode="json")},
        )


def _bounded(found: FailedItems) -> FailedItems:
    """For scripts; each text of it is looked through before it leaves, and a reason of its own for each item is no reason to wait."""
    return found.model_copy(update={"groups": found.groups[:_IN_DATA]})


def _summary(found: FailedItems, where: str) -> str:
    if not found.total:
        return f"No failed sync items in {where}"
    devices = f" from {counted(found.devices, 'device')}" if found.devices else ""
    oldest = f", the oldest {duration(found.oldest_seconds)} old" if found.oldest_seconds is not None else ""
    return f"{counted(found.total, 'item')}{devices} failed to sync in {where}{oldest}"


def _row(group: ReasonGroup) -> tuple[Text, ...]:
    oldest = duration(group.oldest_seconds) if group.oldest_seconds is not None else ""
    return (words(group.reason), words(str(group.items)), words(str(group.devices)), words(oldest))


def _buttons(where: str) -> tuple[Button, ...]:
    return (
        Button(label="Retry…", style="primary", does=OpenForm(command="sync retry-failed", filled={"env": where})),
        Button(label="Clear…", style="danger", does=OpenForm(command="sync clear-failed", filled={"env": where})),
        Button(label="Sync status", does=Typed(text=f"sync status --env {where}")),
    )


def _as_it_is(found: FailedItems, where: str) -> Card:
    text = f"Failed items in {where}: unknown, the script's answer was not understood"
    why = Paragraph(text=sentence(f"{capital(found.not_understood)}."))
    label = "End of its output: each kind of line once, names and numbers hidden"
    end = (Preformatted(label=label, text="\n".join(found.lines)),) if found.lines else ()
    return Card(
        state=State.WAITING,
        title=words(Strong(text=text)),
        summary=f"{text}: {found.not_understood}",
        body=(why, *end, Note(text=words(f"pod {found.pod}"))),
        data={"environment": where, **found.model_dump(mode="json")},
    )
