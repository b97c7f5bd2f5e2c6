"""What a rollback of the images does not undo: a ConfigMap that somebody changed after the release that runs was deployed."""

import asyncio
from datetime import datetime

from runbooks.clients.kubernetes.cluster import ClusterClient
from runbooks.deployments.configuration import by_others, change_of, reads
from runbooks.kit.answers import read_time
from runbooks.kit.errors import RunbookError
from runbooks.kit.train import Part, Train
from runbooks.kit.waiting import side_by_side
from runbooks.manifests.settings import ManifestSettings

_PATIENCE = 1.0
"""Seconds that a rollback's plan may last longer because of it."""


async def plan_part(train: Train) -> Part:
    """Return a warning for each such ConfigMap that a service reads; none where nobody can say."""
    if not train.going_back or train.find(ManifestSettings) is None:
        return Part()
    found = await side_by_side(*(_changed(each) for each in train.by_region))
    changed = [each for region in found for each in region]
    put_back = f"`config apply --take-over --restart --env {train.environment.name}`"
    runs = train.before or "the running release"
    return Part(
        warnings=tuple(
            f"{each} after {runs} was deployed. If only that is wrong, do not go back: {put_back} puts it back."
            for each in changed
        )
    )


async def _changed(train: Train) -> list[str]:
    """Return what was changed in one region: `ConfigMap backend-config (FHIR) was changed by kubectl-edit`."""
    cluster, where = train.find(ClusterClient), train.environment
    if cluster is None:
        return []
    try:
        async with asyncio.timeout(_PATIENCE):
            written, deployments = await asyncio.gather(
                cluster.config_maps_written(where.namespace),
                side_by_side(*(cluster.deployment(where.namespace, each.deployment) for each in train.changes)),
            )
    except (RunbookError, TimeoutError):  # worth a sentence, and nobody waits for it
        return []
    since = [(view, _deployed(each.since)) for view, each in zip(deployments, train.changes, strict=True)]
    place = f"{where.region}: " if where.region else ""
    return [  # a field manager calls itself whatever it likes; what stands between backticks is ours to type
        f"{place}{change_of('ConfigMap', each)}".replace("`", "'")
        for each in by_others(written)
        if any(at is not None and each.at > at and reads(view, each.name) for view, at in since)
    ]


def _deployed(stamp: str | None) -> datetime | None:
    return read_time(stamp) if stamp else None
