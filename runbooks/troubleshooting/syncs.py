"""Offline sync: whether its queue stands, and whether the WebSocket connections that it goes over drop."""

from datetime import timedelta

from runbooks.logs import LogLimits
from runbooks.sync.queue import SyncQueue
from runbooks.troubleshooting.case import Case, PlaceFacts, before
from runbooks.troubleshooting.findings import (
    Confidence,
    Finding,
    RuleAnswer,
    ToDo,
    Trouble,
    could_not_look,
    found,
    not_configured,
)
from runbooks.troubleshooting.rule import RegionRule, Rule
from runbooks.websockets.reading import MEANINGS, Spread, WebsocketReading, look
from runbooks.websockets.settings import WINDOW, WebsocketSettings
from runbooks.wording import counted, duration

_PODS = 12
"""So many logs are read: what is wrong with all pods shows in a few, and this is one question of many."""


class SyncQueues(Rule):
    """Looks at the queue of what clinicians wrote offline."""

    name = "offline sync"
    permission = "sync:read"
    seconds = 6.0

    async def look(self, case: Case) -> RuleAnswer:
        """Return whether it stands: an item waits for too long, or nothing leaves it."""
        queue = case.find(SyncQueue)
        if queue is None:
            return not_configured()
        status = await queue.status(seconds=self.seconds * 0.9)
        if status.not_understood:
            return could_not_look(
                f"the output of the status script in pod {status.pod} was not understood: {status.not_understood}"
            )
        waits = (
            f"{counted(status.pending, 'item')} waiting"
            if status.pending is not None
            else "an unknown number of items waiting"
        )
        if not queue.is_stuck(status):
            return RuleAnswer(details=waits)
        oldest = status.oldest_seconds
        age = f", the oldest for {duration(oldest)}" if oldest is not None else ""
        evidence = ["Nothing leaves the queue."] if status.per_minute == 0 else []
        if status.connected is not None:
            evidence.append(f"{counted(status.connected, 'client')} connected.")
        return found(
            Finding(
                kind=Trouble.SYNC_STUCK,
                cause=f"Offline sync is stuck: {waits}{age}",
                evidence=(*evidence, "Clinicians' entries stay on their devices until it continues."),
                confidence=Confidence.CERTAIN,
                since=before(case.now, oldest) if oldest is not None else None,
                service=queue.scripts.service,
                to_do=(
                    ToDo(text="See the queue", command="sync status", label="Sync status"),
                    ToDo(text="See whether devices connect", command="sync websocket", label="WebSockets"),
                    ToDo(text="Make the devices reconnect", command=f"restart {queue.scripts.service}"),
                ),
            )
        )


class Websockets(RegionRule):
    """Looks for WebSocket connections that drop more often than before, in the logs."""

    name = "WebSocket connections"
    permission = "sync:read"
    seconds = 6.0

    async def look_at(self, case: Case, place: PlaceFacts) -> RuleAnswer:
        """Return since when, and in which pods; nothing where the logs don't reach back far enough to compare."""
        settings, queue = case.find(WebsocketSettings) or WebsocketSettings(), case.find(SyncQueue)
        name = settings.service or (queue.scripts.service if queue is not None else None)
        service = case.environment.service(name) if name is not None else None
        if service is None or (case.service is not None and case.service.name != service.name):
            return not_configured()
        limits = LogLimits(stream=self.seconds * 0.7, silence=3.0, all=self.seconds * 0.75)
        reading = await look(
            place.place.cluster, place.environment, service, settings, case.now, most=_PODS, limits=limits
        )
        unread = [each for each in reading.pods if each.unread]
        if reading.pods and len(unread) == len(reading.pods):
            return could_not_look(f"no log could be read: {unread[0].unread}")
        if reading.rise is None:
            rate = reading.per_minute
            return RuleAnswer(details="" if rate is None else f"{rate:.3g} drops a minute")
        return found(_finding(reading, case))


def _finding(reading: WebsocketReading, case: Case) -> Finding:
    rise = reading.rise
    assert rise is not None, "it was asked"
    worst = reading.pods[0] if reading.pods else None
    rate = reading.per_minute if reading.per_minute is not None else rise.after
    evidence = [f"{rate:.3g} drops a minute in the last {WINDOW} min, up from {rise.before:.3g}."]
    evidence += [reading.partly] if reading.partly else []
    if (most := next((each for each in reading.closes if each.drop), None)) is not None:
        why = most.reason or MEANINGS.get(most.code or 0, "no reason given")
        evidence.append(f"Mostly {f'code {most.code}, ' if most.code is not None else ''}{why}.")
    to_do = [ToDo(text="See them by minute, code and pod", command="sync websocket", label="WebSockets")]
    if worst is not None and reading.spread is Spread.ONE_POD:
        cause = f"{reading.service}: WebSocket connections drop in pod {worst.pod}"
        to_do.append(ToDo(text="Compare the pod with the others", command=f"describe {worst.pod}", label="Describe"))
    elif worst is not None and reading.spread is Spread.ONE_NODE:
        cause = f"{reading.service}: WebSocket connections drop in the pods on node {worst.node}"
        to_do.append(ToDo(text="See how one of them is", command=f"describe {worst.pod}", label="Describe"))
    else:
        cause = f"{reading.service}: WebSocket connections drop{' in all pods' if reading.spread is Spread.ALL else ''}"
        if not reading.pods_started(rise.at, timedelta(minutes=5)):
            evidence.append(
                "No pod started just before, so the cause is probably in front of them: load balancer, WAF or network."
            )
            idle = most is not None and "idle" in (most.reason or "")
            look = (
                "its idle timeout has to be longer than the time between two pings"
                if idle
                else "see what changed there"
            )
            to_do.append(ToDo(text=f"Look at the load balancer first: {look}"))
    known = case.since <= rise.at <= case.now
    return Finding(
        kind=Trouble.WEBSOCKET_DROPS,
        cause=cause,
        evidence=tuple(evidence),
        confidence=Confidence.CERTAIN,
        since=rise.at if known else None,
        service=reading.service,
        explains=(Trouble.SYNC_STUCK,),
        to_do=tuple(to_do),
    )
