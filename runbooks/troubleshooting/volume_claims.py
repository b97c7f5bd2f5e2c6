"""Volume claims whose volume is lost, or that have no volume while a pod waits for them."""

from collections.abc import Sequence
from datetime import timedelta

from runbooks.clients.kubernetes.claims import CLAIMS, ClaimView
from runbooks.clients.kubernetes.views import EventView, PodView
from runbooks.diagnosis import clean
from runbooks.kit.answers import read_time
from runbooks.kit.errors import RunbookError
from runbooks.observe import by_hand
from runbooks.troubleshooting.case import Case, PlaceFacts
from runbooks.troubleshooting.findings import Confidence, Finding, RuleAnswer, ToDo, Trouble, not_configured
from runbooks.troubleshooting.lately import pods_of
from runbooks.troubleshooting.rule import RegionRule
from runbooks.wording import counted, listed

_PATIENCE = timedelta(minutes=5)
"""A volume is made within a minute or two."""
_NAMED = 3
_EXPLAINS = (Trouble.VOLUME, Trouble.PENDING, Trouble.CRASHES, Trouble.NOT_READY, Trouble.ROLLOUT_STUCK, Trouble.NOT_SERVED, Trouble.ERRORS, Trouble.METRIC, Trouble.ALERT)  # fmt: skip


class VolumeClaims(RegionRule):
    """Looks at the PersistentVolumeClaims of the namespace."""

    name = "volume claims"
    permission = "fleet:read"
    contradicted_by = (Trouble.VOLUME,)

    async def look_at(self, case: Case, place: PlaceFacts) -> RuleAnswer:
        """Return the lost ones, and those for which another pod than a service's waits: a service's own is told with its pods."""
        claims = await place.place.cluster.every(CLAIMS, place.environment.namespace)
        if not claims:
            return not_configured()
        here = await place.listed()
        owners = {pod.uid: each.name for each in place.environment.services for pod in pods_of(here, each)}
        findings, events = [], None
        for claim in claims:
            mounted = [pod for pod in here.pods if claim.name in pod.claims and not pod.over]
            service = next((owners[pod.uid] for pod in mounted if pod.uid in owners), "")
            if case.service is not None and service != case.service.name:
                continue
            if claim.phase == "Lost":
                findings.append(_lost(place, claim, mounted, service))
            elif claim.phase == "Pending" and not service and mounted and _is_old(case, claim):
                events = await _events(place) if events is None else events
                findings.append(_unbound(place, claim, mounted, events))
        return RuleAnswer(found=tuple(findings), details=counted(len(claims), "claim"))


async def _events(place: PlaceFacts) -> Sequence[EventView]:
    try:
        return await place.events()
    except RunbookError:  # they only say why
        return ()


def _is_old(case: Case, claim: ClaimView) -> bool:
    created = read_time(claim.created)
    return created is not None and case.now - created > _PATIENCE


def _lost(place: PlaceFacts, claim: ClaimView, mounted: Sequence[PodView], service: str) -> Finding:
    volume = f" {claim.volume}" if claim.volume else ""
    return Finding(
        kind=Trouble.VOLUME,
        cause=f"{f'{service}: ' if service else ''}volume claim {claim.name} is lost: its volume{volume} no longer exists",
        evidence=_mounts(mounted),
        confidence=Confidence.CERTAIN,
        service=service,
        explains=_EXPLAINS,
        to_do=(
            ToDo(text="Do not delete the claim: find out whether the volume behind it still exists at the provider"),
            ToDo(text=f"See the claim: `{by_hand.kubectl(place.environment, 'describe', 'pvc', claim.name)}`"),
        ),
    )


def _unbound(place: PlaceFacts, claim: ClaimView, mounted: Sequence[PodView], events: Sequence[EventView]) -> Finding:
    said = [each for each in events if each.about == claim.uid and each.type == "Warning"]
    newest = max(said, key=lambda each: each.order, default=None)
    return Finding(
        kind=Trouble.VOLUME,
        cause=f"Volume claim {claim.name} has no volume, and {counted(len(mounted), 'pod')} {'waits' if len(mounted) == 1 else 'wait'} for it",
        evidence=(*((clean(newest.message),) if newest is not None else ()), *_mounts(mounted)),
        confidence=Confidence.LIKELY,
        since=read_time(claim.created),
        to_do=(
            ToDo(
                text=f"Check its storage class{f' {claim.storage_class}' if claim.storage_class else ''} and the provisioner: "
                f"`{by_hand.kubectl(place.environment, 'describe', 'pvc', claim.name)}`"
            ),
        ),
    )


def _mounts(mounted: Sequence[PodView]) -> tuple[str, ...]:
    return (f"Used by {listed((pod.name for pod in mounted), most=_NAMED)}.",) if mounted else ()
