"""A Job from its creation to its end, for any step that runs a program of a release's image.

    end = await run_job(context.pulse, context.use(ClusterClient), JobSpec(
        namespace="omnicare-prod", what="smoke", image=image.reference, words=("npm", "run", "test:smoke"),
        environment=(SecretVariable(variable="DATABASE_URL", secret="backend-secret", key="DATABASE_URL"),),
        like="backend", deadline=300,
    ))
    end.exit_code, end.log, end.output

- The Job's name is made of the run's id and `what`: a step that was killed finds its Job again and watches on. A Job of that name
  which another run made is refused.
- Its log is told line by line, redacted, to `pulse.say`.
- A program that runs to its end is a `JobEnd`, whatever its exit status. Everything else is raised: it never started (and why), it
  was evicted or killed for memory, its deadline passed, somebody deleted it.
- On a request to stop the Job is deleted and `Stopped` raised; one with `ends_on_stop=False` goes on in the cluster.
"""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing, suppress
from dataclasses import dataclass, field
from functools import partial

from runbooks.clients.kubernetes.cluster import ClusterClient
from runbooks.clients.kubernetes.cluster_events import LISTED
from runbooks.clients.kubernetes.errors import AlreadyThere
from runbooks.clients.kubernetes.jobs import JobSpec, JobView, ScratchDatabase
from runbooks.clients.kubernetes.views import ContainerView, EventView, PodView, Seen
from runbooks.diagnosis import Cause, PodsSnapshot, clean, of_job
from runbooks.jobs.speaking import SpokenLines, redacted_lines
from runbooks.kit.diagnosis import Diagnosis
from runbooks.kit.errors import PermanentError, RunbookError
from runbooks.kit.reasons import ReasonCode
from runbooks.kit.retry import retried
from runbooks.kit.steps import Pulse, Stopped
from runbooks.kit.waiting import end, logged, merged, unless_stopped
from runbooks.wording import duration

_MAIN = "main"
_TICK = 5.0
"""Seconds after which it is said again what the Job waits for."""
_OVERDUE = 60.0
"""Seconds after its deadline in which Kubernetes has to end it."""
_GONE = 10.0
"""Seconds for deleting it, when somebody stops the run."""
_AGAIN = 1.0
"""Pause before a log that broke off is opened again."""
_READ_AGAIN = 5.0
"""Seconds for which the log of a program that has ended is asked for again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class JobEnd:
    """How a program ended by itself."""

    name: str
    stage: str = ""
    """The program before the Job's own that failed, so nothing after it ran; empty where the Job's own ended."""
    exit_code: int
    log: tuple[str, ...]
    """The last lines, redacted."""
    output: bytes = field(repr=False)
    """The end of what it printed, unredacted: to be parsed, never to be shown or kept."""
    whole: bool = True
    """`output` is all that it printed."""
    scratch_failed: bool = False
    """Its scratch database restarted, or was killed for memory, while the programs used it."""

    @property
    def ok(self) -> bool:
        """Whether its exit status was 0."""
        return self.exit_code == 0


@dataclass(frozen=True, slots=True, kw_only=True)
class _JobSnapshot(PodsSnapshot):
    def is_main(self, container: str) -> bool:
        return container == _MAIN


async def run_job(pulse: Pulse, cluster: ClusterClient, spec: JobSpec) -> JobEnd:
    """Return how the program ended; create the Job unless this run has done that before."""
    job = await _created(cluster, spec, pulse.run)
    try:
        return await unless_stopped(pulse, _followed(pulse, cluster, spec, job))
    except Stopped:
        if spec.ends_on_stop:
            await _deleted(cluster, job)
        raise


async def _created(cluster: ClusterClient, spec: JobSpec, run: str) -> JobView:
    try:
        return await cluster.jobs.create(spec, run)
    except AlreadyThere:
        job = await cluster.jobs.get(spec.namespace, spec.name(run))
    if job.run != run or job.program != spec.program:
        whose = f"run {job.run}" if job.run not in ("", run) else "somebody else"
        raise PermanentError(
            f"Job {job.name} exists, but {whose} created it.",
            code=ReasonCode.CHANGED_MEANWHILE,
            advice=(f"Look at it with `{spec.kubectl} describe job/{job.name} -n {job.namespace}`, then try again.",),
        )
    return job


async def _deleted(cluster: ClusterClient, job: JobView) -> None:
    """The Job is gone, or Kubernetes ends it at its deadline: a run that stops does not wait for more."""
    with suppress(RunbookError, TimeoutError):
        async with asyncio.timeout(_GONE):
            await cluster.jobs.delete(job)


async def _followed(pulse: Pulse, cluster: ClusterClient, spec: JobSpec, job: JobView) -> JobEnd:
    following = _Following(pulse, cluster, spec, job)
    try:
        async with asyncio.timeout(spec.deadline + _OVERDUE):
            await following.to_the_end()
            return await following.end()
    except TimeoutError as error:
        raise _late(spec, following, "and Kubernetes has not ended it") from error
    finally:
        await following.close()


class _Following:
    """What the watches told so far of one Job."""

    def __init__(self, pulse: Pulse, cluster: ClusterClient, spec: JobSpec, job: JobView) -> None:
        self._pulse, self._cluster, self._spec = pulse, cluster, spec
        self.job = job
        self._pods: dict[str, PodView] = {}
        self._events: dict[str, EventView] = {}
        self._explained = False
        self._waited: Cause | None = None
        """What its pod waited for when it was last looked at: at its deadline Kubernetes takes the pod away."""
        self._heard = bytearray()
        self._speaking: dict[str, asyncio.Task[None]] = {}

    async def to_the_end(self) -> None:
        """Return once the Job has ended; raise where its program can't begin."""
        streams: tuple[AsyncGenerator[Seen[JobView] | Seen[PodView] | Seen[EventView], None], ...] = (
            _states(self._cluster, self.job),
            self._cluster.watch_pods(self.job.namespace, self.job.selector),
            self._cluster.watch_events(self.job.namespace),
        )
        async with merged(*streams, tick=_TICK) as changes:
            async for batch in changes:
                for change in batch:
                    self._take(change)
                if self.job.ended is not None:
                    return
                await self._look()

    def _take(self, seen: Seen[JobView] | Seen[PodView] | Seen[EventView]) -> None:
        match seen.view:
            case None if seen is LISTED:
                self._explained = True
            case JobView() as job:
                if seen.kind == "deleted":
                    raise _vanished(job)
                self.job = job
            case PodView() as pod if pod.owner == self.job.uid:
                if seen.kind == "deleted":
                    self._pods.pop(pod.uid, None)
                else:
                    self._pods[pod.uid] = pod
            case EventView() as event if event.about_name.startswith(self.job.name):
                self._events[event.uid] = event
            case _:
                pass

    async def _look(self) -> None:
        pod = self._pod
        begun = self._begun(pod) if pod is not None else None
        if pod is not None and begun is not None:
            if begun.name not in self._speaking:
                if begun.name != _MAIN:
                    self._pulse.say(f"{begun.name}: running")
                self._speaking[begun.name] = logged(
                    self._speak(pod, begun.name), "reading a Job's log for its progress"
                )
            return
        cause = self._waited = self._cause() or (None if pod is not None else self._waited)
        if cause is not None and cause.certain and self._explained:
            await _deleted(self._cluster, self.job)  # its program never began
            raise self._failed(cause)
        self._pulse.say(self._waits(cause))

    def _begun(self, pod: PodView) -> ContainerView | None:
        """Return the last of the Job's programs that has begun; None where none has, or where the next one can't."""
        begun = None
        for name in (*(stage.name for stage in self._spec.stages), _MAIN):
            container = pod.container(name)
            if container is None or container.phase not in ("running", "terminated"):
                waits = container is not None and container.reason not in ("", "PodInitializing", "ContainerCreating")
                return None if waits else begun
            begun = container
        return begun

    def _waits(self, cause: Cause | None) -> str:
        if self.job.suspended:
            return f"Job {self.job.name} is suspended"
        if cause is not None:
            return f"waits: {cause.brief}"
        refused = self._refused()
        return f"no pod: {refused}" if refused and self._pod is None else "starting"

    def _refused(self) -> str:
        """Why the cluster takes no pod of the Job, in its own words."""
        told = [
            event for event in self._events.values() if event.about == self.job.uid and event.reason == "FailedCreate"
        ]
        return clean(max(told, key=lambda event: event.order).message) if told else ""

    @property
    def _pod(self) -> PodView | None:
        return max(self._pods.values(), key=lambda pod: pod.created, default=None)

    def _cause(self) -> Cause | None:
        pod = self._pod
        return of_job(_JobSnapshot(events=list(self._events.values())), pod) if pod is not None else None

    async def end(self) -> JobEnd:
        """Return how the program ended; raise where it did not end by itself."""
        found = await self._cluster.pods(self.job.namespace, self.job.selector)
        self._pods |= {pod.uid: pod for pod in found if pod.owner == self.job.uid}
        pod = self._pod
        if self.job.reason == "DeadlineExceeded":
            raise self._too_late(pod.container(_MAIN) if pod is not None else None)
        stage = self._failed_stage(pod)
        cause = self._cause() if stage is None else None
        if self.job.ended == "failed" and cause is not None:
            raise self._failed(cause)
        main = stage or (pod.container(_MAIN) if pod is not None else None)
        output, whole = await self._output(pod, main.name if main is not None else _MAIN)
        code = 0 if self.job.ended == "complete" else main.exit_code if main is not None else None
        if code is None:
            raise PermanentError(
                f"Job {self.job.name} failed, and its pod is gone, so it is unknown how far it got.",
                code=ReasonCode.JOB_FAILED,
                evidence=_words(self.job.message, self._refused()),
                diagnosis=Diagnosis(log=redacted_lines(output, self._spec.log_lines)),
            )
        log, failed = redacted_lines(output, self._spec.log_lines), stage.name if stage is not None else ""
        scratch = pod.container(ScratchDatabase.NAME) if pod is not None else None
        return JobEnd(
            name=self.job.name,
            stage=failed,
            exit_code=code,
            log=log,
            output=output,
            whole=whole,
            scratch_failed=scratch is not None and (scratch.restarts > 0 or scratch.reason == "OOMKilled"),
        )

    def _failed_stage(self, pod: PodView | None) -> ContainerView | None:
        """Return the stage whose program ended by itself, and not well."""
        names = {stage.name for stage in self._spec.stages}
        found = (each for each in pod.containers if each.name in names) if pod is not None else ()
        return next((each for each in found if _failed(each)), None)

    def _too_late(self, main: ContainerView | None) -> PermanentError:
        cause = self._cause() or self._waited
        began = bool(self._heard) or (main is not None and main.phase in ("running", "terminated"))
        if cause is not None and not began:
            return self._failed(cause)
        refused = self._refused()
        why = f", because the cluster rejects its pod: {refused}" if refused and not began else ""
        return _late(self._spec, self, f"so Kubernetes ended it{why}")

    def _failed(self, cause: Cause) -> PermanentError:
        """The error for people, with the diagnosis that was made."""
        what = clean(cause.what)
        diagnosis = Diagnosis(
            cause=what,
            said=tuple(clean(word) for word in cause.said),
            seen=(f"Pod {cause.pod.name} of Job {self.job.name}.",) if cause.pod is not None else (),
            log=self.log,
            causes=cause.usual,
        )
        return PermanentError(f"Job {self.job.name}: {what}", code=cause.code, diagnosis=diagnosis)

    # its log

    @property
    def log(self) -> tuple[str, ...]:
        """The last lines that were heard, redacted."""
        return redacted_lines(bytes(self._heard), self._spec.log_lines)

    async def _output(self, pod: PodView | None, container: str) -> tuple[bytes, bool]:
        """Return the end of what its program printed and whether that is all; what was heard while it ran, where the log can't be read now."""
        if pod is None:
            return bytes(self._heard), False
        try:
            return await retried(partial(self._printed, pod, container), seconds=_READ_AGAIN)
        except RunbookError:  # a missing log hides nothing of how it ended
            return bytes(self._heard), False

    async def _printed(self, pod: PodView, container: str) -> tuple[bytes, bool]:
        kept, whole = bytearray(), True
        async for chunk in self._cluster.logs(pod.namespace, pod.name, container):
            kept += chunk
            if len(kept) > self._spec.output_bytes:
                whole = False
                del kept[: -self._spec.output_bytes]
        return bytes(kept), whole

    async def _speak(self, pod: PodView, container: str) -> None:
        """Say each line of a program's log; one that breaks off is opened again."""
        spoken, tail = SpokenLines(self._pulse), None
        while True:
            spoken.broken_off()
            with suppress(RunbookError):
                silence = self._spec.deadline + _OVERDUE
                log = self._cluster.logs(pod.namespace, pod.name, container, follow=True, tail=tail, silence=silence)
                async with aclosing(log):
                    async for chunk in log:
                        self._heard += chunk
                        del self._heard[: -self._spec.output_bytes]
                        spoken.hear(chunk)
                return
            tail = 1
            await asyncio.sleep(_AGAIN)

    async def close(self) -> None:
        """End the reading of its logs."""
        await end(*self._speaking.values())


def _failed(container: ContainerView | None) -> bool:
    """Whether the program ended by itself, and not well: one that was killed for memory did not."""
    if container is None or container.phase != "terminated":
        return False
    return container.exit_code not in (0, None) and container.reason != "OOMKilled"


async def _states(cluster: ClusterClient, job: JobView) -> AsyncGenerator[Seen[JobView], None]:
    """Only this very Job; deleted where it is not in the first list."""
    present = False
    async with aclosing(cluster.jobs.watch(job.namespace, job.name)) as states:
        async for seen in states:
            if seen.view is None and not present:
                yield Seen("deleted", job)
            elif seen.view is not None and seen.view.uid == job.uid:
                present = True
                yield seen


def _late(spec: JobSpec, following: _Following, what: str) -> PermanentError:
    return PermanentError(
        f"Job {following.job.name} did not finish within {duration(spec.deadline)}, {what}.",
        code=ReasonCode.TIMED_OUT,
        evidence=_words(following.job.message),
        diagnosis=Diagnosis(log=following.log),
    )


def _vanished(job: JobView) -> PermanentError:
    return PermanentError(
        f"Somebody deleted Job {job.name} before it ended, so it is unknown how far it got.", code=ReasonCode.NOT_FOUND
    )


def _words(*texts: str) -> tuple[str, ...]:
    return tuple(clean(text) for text in texts if text)
