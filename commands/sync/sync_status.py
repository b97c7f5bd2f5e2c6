"""`sync status`: how the offline queue stands: backlog, age, devices, and how long until it is empty."""

from commands.kit.card import (
    Button,
    Card,
    Fact,
    Facts,
    Note,
    Paragraph,
    Preformatted,
    State,
    Strong,
    Typed,
    sentence,
    words,
)
from commands.kit.command import Observation
from commands.kit.context import Context
from commands.kit.spec import CHANNEL_DEFAULT, QueryMeta, option
from commands.kit.types import EnvironmentName
from runbooks.sync.queue import SyncQueue
from runbooks.sync.reading import SyncStatus
from runbooks.wording import capital, counted, duration


class SyncStatusCommand(Observation):
    """Show the offline sync queue: backlog, oldest item, devices, failed items, rate and time until it is empty."""

    meta = QueryMeta(permission="sync:read", examples=["", "--env staging"], name="sync status")

    env: EnvironmentName = option("where", default=CHANNEL_DEFAULT)

    async def by_hand(self, context: Context) -> tuple[str, ...]:
        return (context.use(SyncQueue, "sync", "sync scripts").status_by_hand,)

    async def answer(self, context: Context) -> Card:
        queue = context.use(SyncQueue, "sync", "sync scripts")
        found = await queue.status()
        where = context.where.name
        if found.not_understood:
            return _as_it_is(found, where)
        stuck = queue.is_stuck(found)
        text = _summary(found, where, stuck=stuck)
        advice = (Paragraph(text=sentence(_advice(queue.scripts.service, where))),) if stuck else ()
        buttons = [
            Button(label="Logs", does=Typed(text=f"logs {queue.scripts.service} --grep websocket --env {where}"))
        ]
        if found.failed:
            buttons.insert(0, Button(label="Failed items", does=Typed(text=f"sync failed --env {where}")))
        return Card(
            state=State.FAILED if stuck else State.WAITING if found.pending is None else State.DONE,
            title=words(Strong(text=text)),
            summary=text,
            body=(Facts(facts=_facts(found)), *advice, Note(text=words(f"pod {found.pod}"))),
            buttons=tuple(buttons),
            data={"environment": where, "stuck": stuck, "drains_in": found.drains_in, **found.model_dump(mode="json")},
        )


def _summary(found: SyncStatus, where: str, *, stuck: bool) -> str:
    waits = "number waiting unknown"
    if found.pending is not None:
        waits = f"{found.pending} waiting" if found.pending else "nothing waiting"
    failed = f", {found.failed} failed" if found.failed else ""
    stands = " is stuck" if stuck else " is running" if found.pending is not None else ""
    return f"Sync in {where}{stands}: {waits}{failed}"


def _facts(found: SyncStatus) -> tuple[Fact, ...]:
    facts: list[tuple[str, str | None]] = [
        ("Waiting", _count(found.pending, found.devices)),
        ("Oldest", duration(found.oldest_seconds) if found.oldest_seconds is not None and found.pending else None),
        ("Failed", str(found.failed) if found.failed is not None else None),
        ("Connected", f"{counted(found.connected, 'client')}" if found.connected is not None else None),
        ("Rate", _rate(found)),
        ("Empty in", _drains(found)),
    ]
    return tuple(Fact(label=label, value=words(value)) for label, value in facts if value is not None)


def _count(pending: int | None, devices: int | None) -> str | None:
    if pending is None:
        return None
    return f"{pending} from {counted(devices, 'device')}" if devices and pending else str(pending)


def _rate(found: SyncStatus) -> str:
    if found.per_minute is None:
        return "unknown yet: try again in half a minute"
    if found.told:
        return f"{found.per_minute:g} a minute"
    way = "shorter" if found.per_minute >= 0 else "longer"
    return f"{abs(found.per_minute):g} a minute {way}, between two checks"


def _drains(found: SyncStatus) -> str | None:
    if not found.pending:
        return None
    if found.drains_in is not None:
        return f"about {duration(found.drains_in)}"
    return None if found.per_minute is None else "never, at this rate"


def _advice(service: str, where: str) -> str:
    return (
        f"Clinicians' entries stay on their devices until sync continues. `logs {service} --grep websocket --env {where}` shows "
        f"whether devices connect; `restart {service} --env {where}` makes them reconnect."
    )


def _as_it_is(found: SyncStatus, where: str) -> Card:
    text = f"Sync in {where}: unknown, the script's answer was not understood"
    why = Paragraph(text=sentence(f"{capital(found.not_understood)}."))
    end = (Preformatted(label="End of its output", text=found.text),) if found.text else ()
    return Card(
        state=State.WAITING,
        title=words(Strong(text=text)),
        summary=f"{text}: {found.not_understood}",
        body=(why, *end, Note(text=words(f"pod {found.pod}"))),
        data={"environment": where, **found.model_dump(mode="json", exclude_defaults=True)},
    )
