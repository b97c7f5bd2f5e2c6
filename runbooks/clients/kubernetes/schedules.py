"""CronJobs: the view and how it is read from Kubernetes' JSON."""

from dataclasses import dataclass

from runbooks.clients.kubernetes.fields import Json, fields, listed, stamp, text
from runbooks.clients.kubernetes.listed_kinds import ListedKind


@dataclass(frozen=True, slots=True)
class CronJobView:
    """A CronJob."""

    name: str
    uid: str
    created: str
    schedule: str
    """As it was written: `30 2 * * *`, `@daily`."""
    zone: str
    """Of the schedule; empty: the controller's own, which is UTC as a rule."""
    suspended: bool
    forbids: bool
    """The next Job does not start while one runs."""
    active: int
    """Jobs that run now."""
    last_started: str
    last_succeeded: str
    """Not told before Kubernetes 1.21."""


def cron_job(item: Json) -> CronJobView:
    """Return the CronJob from Kubernetes' JSON."""
    meta, spec, status = fields(item, "metadata"), fields(item, "spec"), fields(item, "status")
    return CronJobView(
        name=text(meta, "name"),
        uid=text(meta, "uid"),
        created=stamp(meta, "creationTimestamp"),
        schedule=text(spec, "schedule"),
        zone=text(spec, "timeZone"),
        suspended=spec.get("suspend") is True,
        forbids=text(spec, "concurrencyPolicy") == "Forbid",
        active=len(listed(status, "active")),
        last_started=stamp(status, "lastScheduleTime"),
        last_succeeded=stamp(status, "lastSuccessfulTime"),
    )


CRON_JOBS = ListedKind(("/apis/batch/v1", "/apis/batch/v1beta1"), "cronjobs", "CronJobs", cron_job)
