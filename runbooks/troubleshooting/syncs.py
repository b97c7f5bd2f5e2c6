"""Offline sync: whether its queue stands, and whether the WebSocket connections that it goes over drop."""

import asyncio
from collections.abc import Sequence
from datetime import datetime, timedelta

from runbooks.kit.answers import read_time
from runbooks.kit.errors import RunbookError
from runbooks.kit.targets import Service
from runbooks.logs import LogLimits
from runbooks.metrics.reading import Metrics
from runbooks.metrics.standing import MetricHistory, where
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
from runbooks.websockets.measured import drops_of, known_drops, measured
from runbooks.websockets.reading import MEANINGS, Rise, Spread, WebsocketReading, look
from runbooks.websockets.settings import WINDOW, WebsocketSettings
from runbooks.wording import counted, duration

_PODS = 12
"""So many logs are read: what is wrong with all pods shows in a few, and this is one question of many."""


_SEE_THEM = ToDo(text="See them by minute, code and pod", command="sync websocket", label="WebSockets")
_SHORT = "the logs begin too late to tell whether that is more than before"


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
        status = await queue.status(seconds=self.within(case) * 0.9)
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
            if status.pending is None:
                return could_not_look(f"the status script in pod {status.pod} does not say how many items wait")
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
    """Looks for WebSocket connections that drop more often than before: in the logs, and in Prometheus, which remembers pods that are gone."""

    name = "WebSocket connections"
    permission = "sync:read"
    seconds = 6.0

    async def look(self, case: Case) -> RuleAnswer:
        """Return what each region's logs tell; where they tell of no trouble, what Prometheus has counted."""
        service, settings = _service(case), _settings(case)
        if service is None:
            return not_configured()
        answer, histories = await asyncio.gather(
            super().look(case),
            measured(case.find(Metrics), settings, case.now, within=self.within(case) * 0.7, regions=case.regions),
        )
        known = known_drops(histories)
        told = {each.region for each in answer.found}
        more = [each for each in known if not told or (each.regions and told.isdisjoint(each.regions))]
        rising = [await _measured(case, service, each) for each in more if drops_of(None, each).rise is not None]
        if answer.found or rising:
            return answer.model_copy(update={"found": (*answer.found, *rising)})
        # it knows of the time before the logs began
        unknown = [why for why in answer.unknown if not (why.endswith(_SHORT) and _is_counted(why, known))]
        return answer.model_copy(update={"unknown": tuple(unknown)})

    async def look_at(self, case: Case, place: PlaceFacts) -> RuleAnswer:
        """Return since when, and in which pods; unknown where some dropped and the logs don't reach back far enough to compare."""
        service = _service(case)
        assert service is not None, "it was asked"
        limits = LogLimits(stream=self.within(case) * 0.7, silence=3.0, all=self.within(case) * 0.75)
        reading = await look(
            place.place.cluster, place.environment, service, _settings(case), case.now, most=_PODS, limits=limits
        )
        unread = [each for each in reading.pods if each.unread]
        if reading.pods and len(unread) == len(reading.pods):
            return could_not_look(f"no log could be read: {unread[0].unread}")
        if reading.rise is None:
            rate = reading.per_minute
            if reading.drops and not reading.comparable:
                return could_not_look(f"{counted(reading.drops, 'dropped connection')} in the logs; {_SHORT}")
            return RuleAnswer(details="" if rate is None else f"{rate:.3g} drops a minute")
        return found(_finding(reading, case))


def _settings(case: Case) -> WebsocketSettings:
    return case.find(WebsocketSettings) or WebsocketSettings()


def _service(case: Case) -> Service | None:
    """Return the service that has the connections; None where the configuration names none, or another one is asked about."""
    queue = case.find(SyncQueue)
    name = _settings(case).service or (queue.scripts.service if queue is not None else None)
    service = case.environment.service(name) if name is not None else None
    return service if service is not None and case.service in (None, service) else None


def _is_counted(why: str, known: Sequence[MetricHistory]) -> bool:
    """Return whether a Prometheus counts in the region that the sentence is about."""
    return any(not each.regions or why.startswith(tuple(f"{name}: " for name in each.regions)) for each in known)


async def _measured(case: Case, service: Service, history: MetricHistory) -> Finding:
    """Return the finding where Prometheus alone saw the rise: pods that are gone took their logs with them."""
    rise, rate = drops_of(None, history)
    assert rise is not None, "it was asked"
    region = history.regions[0] if len(history.regions) == 1 else ""
    now = rate if rate is not None else rise.after
    counted_now = f"{now:.3g} drops a minute in the last {WINDOW} min by Prometheus, up from {rise.before:.3g}."
    started = await _started(case, service, region)
    if started and min(started) > case.now - timedelta(minutes=WINDOW):
        replaced = f"All its pods started in the last {WINDOW} min, so the number still contains what those before them dropped."
        cause = f"{service.name}: WebSocket connections dropped until its pods were replaced{'' if region else where(history.regions)}"
        over = {"region": region, "recovering": True, "confidence": Confidence.POSSIBLE}
        return _drop(case, service.name, cause, rise, (counted_now, replaced), (_SEE_THEM,)).model_copy(update=over)
    evidence = [counted_now, "The logs of the pods that run now don't show since when."]
    to_do = [_SEE_THEM]
    if started and min(started) > rise.at:
        evidence.append(
            "All its pods have started since then, so the cause is probably in front of them: load balancer, WAF or network."
        )
        to_do.append(ToDo(text="Look at the load balancer first: see what changed there"))
    cause = f"{service.name}: WebSocket connections drop{'' if region else where(history.regions)}"
    return _drop(case, service.name, cause, rise, evidence, to_do).model_copy(update={"region": region})


async def _started(case: Case, service: Service, region: str) -> list[datetime]:
    """Return when the service's pods started; nothing where they can't be listed, or one of them does not say."""
    started: list[datetime | None] = []
    try:
        places = [place for place in case.places if region in ("", place.region)]
        for each in await asyncio.gather(*(place.listed() for place in places)):
            deployment = each.deployment(service)
            owners = {rs.uid for rs in each.replica_sets if deployment is not None and rs.owner == deployment.uid}
            started += [read_time(pod.created) for pod in each.pods if pod.owner in owners and not pod.deleting]
    except RunbookError:
        return []
    known = [each for each in started if each is not None]
    return known if len(known) == len(started) else []


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
    to_do = [_SEE_THEM]
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
    return _drop(case, reading.service, cause, rise, evidence, to_do)


def _drop(case: Case, service: str, cause: str, rise: Rise, evidence: Sequence[str], to_do: Sequence[ToDo]) -> Finding:
    known = case.since <= rise.at <= case.now
    return Finding(
        kind=Trouble.WEBSOCKET_DROPS,
        cause=cause,
        evidence=tuple(evidence),
        confidence=Confidence.CERTAIN,
        since=rise.at if known else None,
        service=service,
        explains=(Trouble.SYNC_STUCK,),
        to_do=tuple(to_do),
    )
