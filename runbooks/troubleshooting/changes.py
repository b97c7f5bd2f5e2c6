"""What changed: the bot's runs, releases, rollouts made past the bot, autoscaling, ConfigMaps and Secrets (never their contents).

Each is held against the start of the trouble. What ended shortly before, or was under way, is a suspect; what came later is none.
"""

import asyncio
import logging
import re
from collections.abc import Awaitable, Iterator, Sequence
from datetime import datetime, timedelta
from typing import Literal, TypeVar

from runbooks.clients.kubernetes.views import DeploymentView, EventView, ReplicaSetView
from runbooks.clients.kubernetes.written import WrittenView
from runbooks.deployments import configuration, service_state
from runbooks.deployments.service_state import Listed
from runbooks.kit.answers import read_time
from runbooks.kit.bugs import told
from runbooks.kit.errors import RunbookError
from runbooks.kit.targets import Frozen, Service
from runbooks.manifests.settings import ManifestSettings
from runbooks.redaction.redactor import cut_redacted
from runbooks.rotation.settings import Rotations
from runbooks.troubleshooting.case import Case, PlaceFacts, RecentRun, before
from runbooks.troubleshooting.findings import Confidence, Finding, Thing, ToDo, Trouble, explains
from runbooks.troubleshooting.image_changes import changed_image
from runbooks.wording import counted, duration, headed, in_sentence, listed, short_id

T = TypeVar("T")

_log = logging.getLogger(__name__)
_AFTER = timedelta(minutes=15)
"""What a release broke shows within this time, as a rule; an alert waits before it fires."""
_SOON = timedelta(minutes=5)
"""What any other change broke shows within this time."""
_ALIKE = timedelta(minutes=2)
"""By how much later than the first thing that a change broke another may begin: metrics have a point a minute."""
_BETTER = timedelta(minutes=5)
"""By how much nearer to a symptom's start a change must be than another cause."""
_LATE = timedelta(seconds=60)
"""How far the start may be before the change: points of metrics and whole seconds of events."""
_PATIENCE = 4.0
_LONGEST = 80
_SCALED = re.compile(r"Scaled (?:up|down) replica set (\S+) (?:from \d+ )?to \d+")
SYMPTOMS = (Trouble.ERRORS, Trouble.SLOW, Trouble.METRIC, Trouble.ALERT, Trouble.RESTARTS, Trouble.SLOW_QUERIES)
"""What people notice: something else is the cause."""
_NOTICED = (Trouble.WEBSOCKET_DROPS, Trouble.SYNC_STUCK)
"""What people notice too, but may be a cause itself: a change that comes with a symptom explains it only where it began after the change."""
_DEPENDS = (*SYMPTOMS, *_NOTICED, Trouble.CRASHES, Trouble.PROBE)
"""What a service may have because another one changed, on which it depends."""
_RESTARTER = "kubectl-rollout"
"""Who writes the pod template with `kubectl rollout restart`."""
_CHANGING = frozenset({"deploy", "rollback", "restart", "scale", "migrate", "config apply", "secret rotate", "db rollback", "db restore", "db kill", "cdn invalidate", "sync clear-failed", "sync retry-failed"})  # fmt: skip
_RELEASING = frozenset({"deploy", "rollback"})


_BACK = (ToDo(text="Go back to the last good release", command="rollback", label="Roll back"),)
_PUT_BACK = ToDo(text="Put the previous values back, then restart what reads them")


class Change(Frozen):
    """One change."""

    what: str
    """`Deploy v2.0.0 to production, by Maya, run 7KQ2`. Redacted."""
    at: datetime
    """When it began."""
    ended: datetime
    service: str = ""
    region: str = ""
    release: bool = False
    """A rollback undoes it."""
    command: str = ""
    """What shows more of it, as it is typed."""
    how: Literal["", "configuration", "restart"] = ""
    """A restart changes nothing by itself: pods read the configuration that was written before it."""
    undo: tuple[ToDo, ...] = ()
    """How it is taken back, where a rollback does not."""
    known: tuple[str, ...] = ()
    """What else is known of it, each a sentence. Redacted."""
    about: tuple[Thing, ...] = ()
    """By what a person finds it in a terminal; empty: its service's Deployment."""
    elsewhere: bool = False
    """It is of another service than the one that was asked about, which may depend on it."""

    def lead(self, start: datetime) -> timedelta | None:
        """Return how long before the start it ended, zero if it was under way; None where it can't be the cause."""
        if self.at - start > _LATE or start - self.ended > _AFTER:
            return None
        return max(timedelta(0), start - self.ended)


class RecentChanges(Frozen):
    """What changed in the time that is looked at, newest first, and what nobody knows of."""

    found: tuple[Change, ...] = ()
    unknown: tuple[str, ...] = ()


def suspect(finding: Finding, changes: Sequence[Change]) -> Change | None:
    """Return the change that fits the start of the trouble best: the one that ended last before it, of another service only where no other fits."""
    if finding.since is None:
        return None
    fitting = [
        (change.elsewhere or _other_service(finding, change), lead, place)
        for place, change in enumerate(changes)
        if (lead := change.lead(finding.since)) is not None
        and (lead <= _SOON or change.release or finding.kind is Trouble.ALERT)
        and (not _other_service(finding, change) or finding.kind in _DEPENDS)
        and (not change.region or not finding.region or change.region == finding.region)
    ]
    if not fitting:
        return None
    chosen = changes[min(fitting)[-1]]
    return _taken_up(chosen, changes) if chosen.how == "restart" else chosen


def _other_service(finding: Finding, change: Change) -> bool:
    return bool(change.service and finding.service and change.service != finding.service)


def _taken_up(restart: Change, changes: Sequence[Change]) -> Change:
    """Return the newest configuration that was written shortly before the restart; where there is none, the restart."""
    written = [
        each
        for each in changes
        if each.how == "configuration"
        and each.region == restart.region
        and each.service in ("", restart.service)
        and timedelta(0) <= restart.at - each.at <= _AFTER
    ]
    if not written:
        return restart
    newest = max(written, key=lambda each: each.at)
    what = f"{newest.what}; {restart.service} read it when it restarted"
    known = {"undo": newest.undo, "known": newest.known, "about": newest.about}
    return restart.model_copy(update={"what": what, "at": newest.at, "how": "configuration", **known})


def blamed(findings: Sequence[Finding], changes: Sequence[Change]) -> list[Finding]:
    """Return the findings with the change that came before each as evidence.

    Before a mere symptom that nothing else explains, or only what has no known start or was wrong long before, such a change is a finding of its own.
    """
    with_suspects = _nearest(
        [(each, None if _is_over(each, findings) else suspect(each, changes)) for each in findings]
    )
    noticed = [(each.kind, change) for each, change in with_suspects if each.kind in _NOTICED]
    following = [_after(each, change) if change is not None else each for each, change in with_suspects]
    causes = {
        change: _finding(each, change, [kind for kind, other in noticed if other == change])
        for each, change in reversed(with_suspects)
        if change is not None and each.kind in SYMPTOMS and not _explained(each, change, findings)
    }
    return [*causes.values(), *following]


def _is_over(finding: Finding, findings: Sequence[Finding]) -> bool:
    """Return whether only a number still shows it, or it is an alert of nothing but such numbers."""
    causes = [each for each in findings if explains(each, finding)]
    return finding.recovering or (bool(causes) and all(each.recovering for each in causes))


def _nearest(with_suspects: Sequence[tuple[Finding, Change | None]]) -> list[tuple[Finding, Change | None]]:
    """Return the pairs, each change only with what began soonest after it, of what nothing else explains, and at about that time.

    A release stays with every symptom: going back is what helps most often.
    """
    findings = [each for each, _ in with_suspects]
    leads: dict[Change, timedelta] = {}
    for each, change in with_suspects:
        if change is None or each.confidence is Confidence.POSSIBLE or _explained(each, change, findings):
            continue
        leads[change] = min(_lead(each, change), leads.get(change, _AFTER))

    def fits(finding: Finding, change: Change) -> bool:
        kept = change.release and finding.kind in SYMPTOMS
        return kept or _lead(finding, change) <= leads.get(change, _AFTER) + _ALIKE

    return [(each, change if change is not None and fits(each, change) else None) for each, change in with_suspects]


def _explained(finding: Finding, change: Change, findings: Sequence[Finding]) -> bool:
    """Whether something else explains it at least as well as the change does, which fits its start.

    What has no known start, or was wrong long before, does not, except a metric behind its alert: the two are one thing.
    """
    lead, start = _lead(finding, change), finding.since
    assert start is not None, "what has no start has no suspect"
    return any(
        cause.measured if cause.since is None else start - cause.since <= lead + _BETTER
        for cause in findings
        if explains(cause, finding)
    )


def _lead(finding: Finding, change: Change) -> timedelta:
    lead = change.lead(finding.since) if finding.since is not None else None
    assert lead is not None, "a suspect fits the start"
    return lead


def _after(finding: Finding, change: Change) -> Finding:
    back = any(each.command.split()[:1] == ["rollback"] for each in finding.to_do)
    return finding.model_copy(
        update={
            "evidence": (*finding.evidence, f"It began {_when(finding, change)} this change: {change.what}."),
            "to_do": (*(_BACK if change.release and not back else ()), *change.undo, *finding.to_do),
            "about": (*finding.about, *change.about),
        }
    )


def _finding(symptom: Finding, change: Change, noticed: Sequence[Trouble]) -> Finding:
    more = (
        ToDo(
            text="Look at what it did",
            command=change.command,
            label=headed(change.command),
        ),
    )
    return Finding(
        kind=Trouble.CHANGE,
        cause=f"{change.what}; since then {in_sentence(symptom.cause)}",
        evidence=(f"It began {_when(symptom, change)} this change.", *change.known),
        confidence=Confidence.LIKELY,
        since=symptom.since,
        service=change.service,
        region=change.region,
        to_do=(
            *(_BACK if change.release else ()),
            *change.undo,
            *(more if change.command else ()),
        ),
        about=change.about,
        explains=(*SYMPTOMS, *noticed),
    )


def _when(finding: Finding, change: Change) -> str:
    lead = _lead(finding, change)
    return f"{duration(lead.total_seconds())} after" if lead else "during"


async def changes_of(case: Case, seconds: float = _PATIENCE) -> RecentChanges:
    """Return what changed, from all that knows of it, side by side, within some seconds."""
    within = min(seconds, _PATIENCE)
    parts = await asyncio.gather(
        _or_why("the bot's runs", _of_runs(case), within),
        *(_or_why("", _of_place(case, place), within) for place in case.places),
    )
    found = [change for part in parts for change in part.found if change.ended >= case.since]
    found.sort(key=lambda change: change.ended, reverse=True)
    return RecentChanges(found=tuple(found), unknown=tuple(why for part in parts for why in part.unknown))


async def _or_why(what: str, asked: Awaitable[RecentChanges], seconds: float) -> RecentChanges:
    try:
        async with asyncio.timeout(seconds):
            return await asked
    except TimeoutError:
        why = f"no answer within {seconds:g} s"
    except RunbookError as error:
        why = error.message.rstrip(".")
    except Exception as error:  # noqa: BLE001 - a mistake here hides nothing that the rules found
        _log.error("what changed: %s", told(error))
        why = "an error in the bot; its log has the details"
    return RecentChanges(unknown=(f"{what}: {why}" if what else why,))


async def _of_runs(case: Case) -> RecentChanges:
    runs = [run for run in await case.runs() if run.command in _CHANGING]
    known = {run.id for run in runs}
    releases = await case.releases()
    others = [
        Change(
            what=f"Release {cut_redacted(each.version, _LONGEST)}, by {cut_redacted(each.by, _LONGEST)}, run {short_id(each.run)}",
            at=before(at, each.seconds or 0),
            ended=at,
            release=True,
            command=f"runs {short_id(each.run)}",
        )
        for each in releases.releases
        # a version that is only marked bad has a record without services: nothing was rolled out then
        if each.services and (at := read_time(each.at)) is not None and short_id(each.run) not in known
    ]
    return RecentChanges(found=(*(_of_run(case, run) for run in runs), *others))


def _of_run(case: Case, run: RecentRun) -> Change:
    by = f", by {run.by}" if run.by else ""
    how = "" if run.state == "succeeded" else f" ({run.state})"
    return Change(
        what=cut_redacted(f"{run.title}{how}{by}, run {run.id}", 2 * _LONGEST),
        at=run.at,
        ended=run.ended or case.now,
        release=run.command in _RELEASING,
        command=f"runs {run.id}",
        how="restart" if run.command == "restart" else "",
    )


async def _of_place(case: Case, place: PlaceFacts) -> RecentChanges:
    found, written, events, scaled = await asyncio.gather(
        place.listed(),
        asyncio.gather(_config_maps(case, place), _secrets(case, place)),
        place.events(),
        place.scaled(),
    )
    changes: list[Change] = []
    for service in place.environment.services:
        if (view := found.deployment(service)) is not None:
            changes += [*_of_deployment(service, view, found.replica_sets), *_scaled(service.name, view, events)]
            changes += _scaled_by_hand(service, view, found.replica_sets, scaled, events)
    where = f"{place.region}: " if place.region else ""
    return RecentChanges(
        found=tuple(
            each.model_copy(update={"region": place.region, "elsewhere": _is_elsewhere(case, each)})
            for each in (*changes, *(change for part in written for change in part.found))
        ),
        unknown=tuple(f"{where}{why}" for part in written for why in part.unknown),
    )


def _is_elsewhere(case: Case, change: Change) -> bool:
    return case.service is not None and change.service not in ("", case.service.name)


def _of_deployment(service: Service, view: DeploymentView, sets: Sequence[ReplicaSetView]) -> Iterator[Change]:
    """Yield who else wrote its pod template; what the bot wrote is in its runs."""
    images = {(each.name, each.time): changed_image(service, view, sets, each) for each in view.owners}
    for writer in view.writers:
        at = read_time(writer.time)
        if writer.name in configuration.QUIET or at is None:
            continue
        name, command = service.name, f"describe {service.name}"
        if writer.name == _RESTARTER:
            what = f"{name} was restarted outside the bot"
            yield Change(what=what, at=at, ended=at, service=name, command=command, how="restart")
            continue
        image, by = images.get((writer.name, writer.time), ""), cut_redacted(writer.name, _LONGEST)
        what = f"{image}, set" if image else f"The pod template of {name} was changed"
        yield Change(
            what=f"{what} outside the bot ({by})", at=at, ended=at, service=name, release=bool(image), command=command
        )


def _scaled(service: str, view: DeploymentView, events: Sequence[EventView]) -> Iterator[Change]:
    """Yield what an autoscaler did: its events are about itself, and it is called after its Deployment as a rule."""
    for event in events:
        if event.reason == "SuccessfulRescale" and event.about_name == view.name and event.at is not None:
            what = f"Autoscaler of {service}: {cut_redacted(event.message, _LONGEST)}"
            yield Change(what=what, at=event.at, ended=event.at, service=service, command=f"events {service}")


def _scaled_by_hand(
    service: Service,
    view: DeploymentView,
    sets: Sequence[ReplicaSetView],
    scaled: Sequence[WrittenView],
    events: Sequence[EventView],
) -> Iterator[Change]:
    """Yield who set the number of pods outside the bot; `kubectl scale` leaves no name, so only its event shows that."""
    wrote = next((each for each in scaled if each.name == view.name), None)
    told = _told_scaled(view, sets, events)
    if wrote is not None and (told is None or wrote.at >= told - _ALIKE):
        if wrote.by in configuration.QUIET:
            return
        at, by = wrote.at, f" ({cut_redacted(wrote.by, _LONGEST)})"
    elif told is not None:
        at, by = told, ""
    else:
        return
    back = ToDo(
        text=f"Scale {service.name} back to {counted(view.ready, 'pod')}, as many as are ready",
        command=f"scale {service.name} {view.ready}",
        label=f"Scale {service.name} to {view.ready}…",
    )
    yield Change(
        what=f"{service.name} was scaled to {counted(view.desired, 'pod')} outside the bot{by}",
        at=at,
        ended=at,
        service=service.name,
        command=f"describe {service.name}",
        undo=(back,) if service.min_replicas <= view.ready < view.desired else (),
    )


def _told_scaled(view: DeploymentView, sets: Sequence[ReplicaSetView], events: Sequence[EventView]) -> datetime | None:
    """Return when its events tell last of another number of pods that neither a rollout nor an autoscaler wanted."""
    newest = service_state.newest_of(view, [each for each in sets if each.owner == view.uid])
    made = read_time(newest.created) if newest is not None else None
    if newest is None or made is None:
        return None
    own = [each for each in events if each.about_name == view.name and each.at is not None]
    steps = [
        (each.order, found[1])
        for each in own
        if each.reason == "ScalingReplicaSet" and (found := _SCALED.match(each.message))
    ]
    rescaled = [each.order for each in own if each.reason == "SuccessfulRescale"]
    alone = [
        at
        for at, name in steps
        if name == newest.name
        and at - made > _AFTER
        and not any(other != name and abs(at - then) <= _AFTER for then, other in steps)
        and not any(abs(at - then) <= _ALIKE for then in rescaled)
    ]
    return max(alone, default=None)


async def _config_maps(case: Case, place: PlaceFacts) -> RecentChanges:
    try:
        views = configuration.by_others(await place.config_maps())
    except RunbookError as error:
        return RecentChanges(unknown=(in_sentence(error.message.rstrip(".")),))
    found = await place.listed()
    try:
        releases = (await case.releases()).releases
    except RunbookError:  # the version is shown and approved anyway
        releases = ()
    version = service_state.running_version(service_state.read(place.environment, found), releases)
    release = f"the configuration of {version}" if version else "the release's configuration"
    # somebody else owns the values now, so they have to be taken over
    command = " ".join(("config apply", *filter(None, (version,)), "--take-over"))
    apply = ToDo(text=f"Put back {release}", command=command, label=f"Apply {release.partition(' ')[2]}…")
    back = apply if case.find(ManifestSettings) is not None else _PUT_BACK
    changes = []
    for each in views:
        readers = [service.name for service in place.environment.services if _reads(found, service, each.name)]
        changes.append(
            Change(
                what=configuration.change_of("ConfigMap", each),
                at=each.at,
                ended=each.at,
                service=readers[0] if len(readers) == 1 else "",
                how="configuration",
                undo=(_and_restart(back, readers),) if back.command and readers else (back, *map(_restart, readers)),
                known=(_by(each),),
                about=(Thing(kind="configmap", name=each.name),),
            )
        )
    return RecentChanges(found=tuple(changes))


def _by(each: WrittenView) -> str:
    by = cut_redacted(each.by, _LONGEST)
    return f"{by} is the program that wrote it; Kubernetes does not record who used it. Values are not shown."


def _reads(found: Listed, service: Service, config_map: str) -> bool:
    view = found.deployment(service)
    return view is not None and configuration.reads(view, config_map)


def _and_restart(back: ToDo, services: Sequence[str]) -> ToDo:
    text = f"{back.text} and restart {listed(services)}, whose pods read it when they start"
    label = f"Apply configuration, restart {listed(services)}…"
    return back.model_copy(update={"text": text, "command": f"{back.command} --restart", "label": label})


def _restart(service: str) -> ToDo:
    text = f"Then restart {service}, whose pods read it when they start"
    return ToDo(text=text, command=f"restart {service}", label=f"Restart {service}…")


async def _secrets(case: Case, place: PlaceFacts) -> RecentChanges:
    """Return those that the bot may read by their names: it lists none."""
    rotations = case.find(Rotations)
    names = dict.fromkeys(each.secret for each in rotations.known.values()) if rotations is not None else {}
    cluster, namespace = place.place.cluster, place.environment.namespace
    try:
        views = await asyncio.gather(*(cluster.secret_written(namespace, name) for name in names))
    except RunbookError as error:
        return RecentChanges(unknown=(in_sentence(error.message.rstrip(".")),))
    secrets = configuration.by_others(each for each in views if each is not None)
    return RecentChanges(
        found=tuple(
            Change(
                what=configuration.change_of("Secret", each),
                at=each.at,
                ended=each.at,
                how="configuration",
                undo=(_PUT_BACK,),
                known=(_by(each),),
            )
            for each in secrets
        )
    )
