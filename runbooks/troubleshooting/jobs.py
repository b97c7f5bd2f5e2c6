"""Jobs that failed and were not repeated, and CronJobs that do not run when they should."""

import re
from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from runbooks.clients.kubernetes.jobs import JobView
from runbooks.clients.kubernetes.schedules import CRON_JOBS, CronJobView
from runbooks.clients.kubernetes.views import PodView
from runbooks.diagnosis import clean
from runbooks.kit.answers import read_time
from runbooks.kit.errors import RunbookError
from runbooks.kit.minutes import Minutes
from runbooks.observe import by_hand
from runbooks.troubleshooting.case import Case, PlaceFacts
from runbooks.troubleshooting.findings import Confidence, Finding, RuleAnswer, ToDo, Trouble, could_not_look
from runbooks.troubleshooting.rule import RegionRule
from runbooks.wording import age_since, counted, short_id

_LATE = timedelta(minutes=10)
"""The controller starts a Job within seconds; a busy one may take longer."""
_MACROS = {
    "@yearly": "0 0 1 1 *", "@annually": "0 0 1 1 *", "@monthly": "0 0 1 * *", "@weekly": "0 0 * * 0",
    "@daily": "0 0 * * *", "@midnight": "0 0 * * *", "@hourly": "0 * * * *",
}  # fmt: skip
_NUMBERED = re.compile(r"-[a-z0-9]*[0-9][a-z0-9]*$")
"""The end of a name by which a Job is told from the one before."""
_ZONE = re.compile(r"(?:CRON_)?TZ=(\S{1,60}) +")
_WHAT = {
    "migrate": "the migrations failed",
    "migrate-down": "undoing the migrations failed",
    "smoke": "the smoke tests failed",
    "benchmark": "the benchmark failed",
}
"""What the bot's own Jobs are for."""
_SCHEMA = ("migrate", "migrate-down")
_BEHIND_SCHEMA = (Trouble.CRASHES, Trouble.PROBE, Trouble.ROLLOUT_STUCK, Trouble.NOT_READY, Trouble.JOB, Trouble.ERRORS, Trouble.METRIC, Trouble.ALERT)  # fmt: skip


class FailingJobs(RegionRule):
    """Looks at the newest Job of each kind, and at the schedule of each CronJob."""

    name = "Jobs and CronJobs"
    permission = "fleet:read"

    async def look_at(self, case: Case, place: PlaceFacts) -> RuleAnswer:
        """Return the Jobs that failed lately, and the CronJobs that failed last time, are overdue or suspended."""
        cluster, namespace = place.place.cluster, place.environment.namespace
        jobs, pods = await cluster.jobs.every(namespace), (await place.listed()).pods
        unknown: tuple[str, ...] = ()
        schedules: list[CronJobView] = []
        try:
            schedules = await cluster.every(CRON_JOBS, namespace)
        except RunbookError as error:
            unknown = could_not_look(f"CronJobs: {error.message}").unknown
        overdue: dict[str, datetime | None] = {}
        for each in schedules:
            try:
                overdue[each.uid] = _overdue(each, case.now)
            except ValueError as error:
                unknown += (str(error),)
        scheduled = {each.uid for each in schedules}
        newest: dict[str, JobView] = {}
        for job in sorted(jobs, key=lambda each: each.created):
            newest[_series(job)] = job
        alone = [job for job in newest.values() if job.owner not in scheduled]
        return RuleAnswer(
            found=(
                *(each for job in alone for each in _failed(case, place, job, pods)),
                *(
                    each
                    for schedule in schedules
                    for each in _scheduled(case, place, schedule, newest, pods, overdue.get(schedule.uid))
                ),
            ),
            unknown=unknown,
            details=", ".join(
                counted(len(each), what) for each, what in ((jobs, "Job"), (schedules, "CronJob")) if each
            ),
        )


def _series(job: JobView) -> str:
    """Return what a Job and the next try of the same have in common."""
    if job.owner:
        return job.owner
    return f"{job.what} of the bot" if job.run else _NUMBERED.sub("", job.name)


def _failed(case: Case, place: PlaceFacts, job: JobView, pods: Sequence[PodView]) -> Iterator[Finding]:
    ended = read_time(job.ended_at)
    if job.ended != "failed" or job.deleting or ended is None or ended < case.since:
        return
    what = _WHAT.get(job.what, "it failed") if job.run else "it failed"
    schema = job.what in _SCHEMA and bool(job.run)
    run = f" It belongs to run {short_id(job.run)}." if job.run else ""
    yield Finding(
        kind=Trouble.JOB,
        cause=f"Job {job.name}: {what}{f' ({job.reason})' if job.reason else ''}",
        evidence=tuple(filter(None, (clean(job.message), f"It was not repeated.{run}"))),
        confidence=Confidence.LIKELY if schema else Confidence.POSSIBLE,
        since=ended,
        explains=_BEHIND_SCHEMA if schema else (),
        to_do=_read(place, job, pods),
    )


def _scheduled(
    case: Case,
    place: PlaceFacts,
    schedule: CronJobView,
    newest: dict[str, JobView],
    pods: Sequence[PodView],
    overdue: datetime | None,
) -> Iterator[Finding]:
    job, started = newest.get(schedule.uid), read_time(schedule.last_started)
    named = f"CronJob {schedule.name}"
    last = f"It last started {age_since(started, case.now)} ago." if started is not None else "It has never started."
    if job is not None and job.ended == "failed" and not schedule.suspended:
        yield Finding(
            kind=Trouble.SCHEDULE,
            cause=f"{named}: its last Job failed{f' ({job.reason})' if job.reason else ''}",
            evidence=tuple(filter(None, (clean(job.message), _success(schedule, case.now)))),
            confidence=Confidence.POSSIBLE,
            since=read_time(job.ended_at),
            to_do=_read(place, job, pods),
        )
    elif schedule.suspended and started is not None and overdue is not None:
        yield Finding(
            kind=Trouble.SCHEDULE,
            cause=f"{named} is suspended, so it does not run",
            evidence=(last,),
            confidence=Confidence.CERTAIN,
            ahead=True,
            to_do=(
                ToDo(text=f"If that was forgotten, resume it: {_line(place, schedule)}"),
                ToDo(text="See what is there", command="resources", label="Resources"),
            ),
        )
    elif overdue is not None and not schedule.suspended:
        blocked = schedule.forbids and schedule.active > 0
        why = "its last Job still runs, and it allows one at a time" if blocked else "no Job was started"
        yield Finding(
            kind=Trouble.SCHEDULE,
            cause=f"{named} has been overdue for {age_since(overdue, case.now)}: {why}",
            evidence=(
                last,
                f"Its schedule: {clean(schedule.schedule)}{f' ({schedule.zone})' if schedule.zone else ''}.",
            ),
            confidence=Confidence.POSSIBLE,
            since=overdue,
            to_do=(
                *(_read(place, job, pods) if blocked and job is not None else ()),
                ToDo(
                    text=f"See its events: `{by_hand.kubectl(place.environment, 'describe', 'cronjob', schedule.name)}`"
                ),
                ToDo(text="See what is there", command="resources", label="Resources"),
            ),
        )


def _success(schedule: CronJobView, now: datetime) -> str:
    succeeded = read_time(schedule.last_succeeded)
    return f"It last succeeded {age_since(succeeded, now)} ago." if succeeded is not None else ""


def _line(place: PlaceFacts, schedule: CronJobView) -> str:
    patch = '{"spec":{"suspend":false}}'
    return f"`{by_hand.kubectl(place.environment, 'patch', 'cronjob', schedule.name, '--patch', patch)}`"


def _overdue(schedule: CronJobView, now: datetime) -> datetime | None:
    """Return since when a Job should have started; None where none should have. Raises ValueError where the schedule can't be read."""
    began = read_time(schedule.last_started) or read_time(schedule.created)
    if began is None:
        return None
    written, zone = schedule.schedule, schedule.zone
    if found := _ZONE.match(written):  # the older way to name the zone
        zone, written = found[1], written[found.end() :]
    try:
        there = ZoneInfo(zone or "UTC")
        due = Minutes(_MACROS.get(written, written).replace("?", "*")).after(
            began.astimezone(there).replace(tzinfo=None)
        )
    except (ValueError, KeyError, StopIteration, OSError, OverflowError) as error:
        raise ValueError(f"CronJob {schedule.name}: its schedule `{clean(schedule.schedule)}` can't be read") from error
    late = due.replace(tzinfo=there)
    return late if late < now - _LATE else None


def _read(place: PlaceFacts, job: JobView, pods: Sequence[PodView]) -> tuple[ToDo, ...]:
    pod = next((each.name for each in pods if each.owner == job.uid), "")
    if pod:
        return (ToDo(text="Read its log", command=f"logs {pod}", label="Logs"),)
    line = by_hand.kubectl(place.environment, "describe", "job", job.name)
    return (ToDo(text=f"Its pods are gone. See what is left: `{line}`"),)
