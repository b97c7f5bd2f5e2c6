"""The offline queue of an environment: what tablets wrote without a network, and what of it could not be synchronised.

It is read and changed by the application's own npm scripts, run in a ready pod of the backend (`runbooks.clients.kubernetes.exec`).
Which scripts, the configuration says once: a closed set of argument lists. A pod that has no such script, a script that fails, one
that never answers: each is told as what it is.
"""

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass

from pydantic import Field, field_validator

from runbooks.clients.aws.bucket import Bucket
from runbooks.clients.kubernetes.cluster import ClusterClient
from runbooks.clients.kubernetes.exec import ExecLimits, Output, Program
from runbooks.clients.kubernetes.views import PodView
from runbooks.kit.answers import NotUnderstood, read_printed
from runbooks.kit.errors import PermanentError
from runbooks.kit.reasons import ReasonCode
from runbooks.kit.targets import Environment, Frozen
from runbooks.redaction.redactor import default_redactor
from runbooks.sync.reading import (
    FailedItem,
    FailedItems,
    SyncStatus,
    devices_of,
    grouped,
    items_of,
    oldest_of,
    shapes,
    status_of,
)
from runbooks.wording import counted

_TAIL_LINES, _TAIL_CHARACTERS = 8, 1200
_SHAPES = 20
_TEXT = 3000
_BEYOND = 2000
"""So many bytes more than are shown are redacted: what a cut halves is not known again."""
_SOON, _LONG_AGO = 10.0, 3600.0
"""Seconds between two looks from which a rate is made."""


class SyncScripts(Frozen):
    """The npm scripts of the offline queue: a closed set of argument lists of plain words; typed text is never added."""

    service: str = "backend"
    """The service in whose pods the scripts run."""
    status: tuple[str, ...] = ("npm", "run", "--silent", "sync:status")
    """Prints the state of the queue, preferably as JSON: `pending`, `failed`, `oldestPendingSeconds`, `devices`, `ratePerMinute`."""
    failed: tuple[str, ...] = ("npm", "run", "--silent", "sync:failed")
    """Prints the failed items, preferably as a JSON list: `id`, `reason`, `device`, `ageSeconds`."""
    retry_failed: tuple[str, ...] = ("npm", "run", "--silent", "sync:retry-failed")
    """Puts all failed items back into the queue."""
    clear_failed: tuple[str, ...] = ("npm", "run", "--silent", "sync:clear-failed")
    """Deletes failed items: all of them, or with `takes_ids` the given ones."""
    contents: tuple[str, ...] = ()
    """Prints the failed items with their contents, for the export before clearing; default: `failed`."""
    takes_ids: bool = False
    """`clear_failed` reads which items from one line of standard input: a JSON array of their ids."""
    seconds: float = Field(default=12.0, gt=0, le=120)
    """Time limit for one script."""
    largest: int = Field(default=16 << 20, ge=1 << 10, le=256 << 20)
    """Maximum size of one script's output in bytes."""
    watch_seconds: float = Field(default=60.0, gt=0, le=600)
    """How long the queue is watched after a retry, at most."""
    look_seconds: float = Field(default=2.0, gt=0, le=60)
    """Time between two of those checks."""
    stuck_after: float = Field(default=900.0, gt=0)
    """If an item waits for longer than this, the queue is stuck."""

    @field_validator("status", "failed", "retry_failed", "clear_failed")
    @classmethod
    def _is_a_program(cls, words: tuple[str, ...]) -> tuple[str, ...]:
        Program(words)
        return words

    @field_validator("contents")
    @classmethod
    def _is_a_program_or_nothing(cls, words: tuple[str, ...]) -> tuple[str, ...]:
        if words:
            Program(words)
        return words

    def programs(self) -> tuple[Program, ...]:
        """The closed set."""
        lists = (self.status, self.failed, self.retry_failed, self.clear_failed, self.contents)
        return tuple(Program(words) for words in lists if words)


@dataclass(frozen=True, slots=True)
class _Look:
    at: float
    pending: int


class SyncQueue:
    """The queue of one environment."""

    def __init__(
        self,
        cluster: ClusterClient,
        environment: Environment,
        scripts: SyncScripts,
        exports: Bucket | None = None,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._clock = clock
        self._exports = exports
        self._cluster = cluster
        self._environment = environment
        self.scripts = scripts
        self._exec = cluster.programs(scripts.programs())
        self._before: _Look | None = None

    @property
    def exports(self) -> Bucket:
        """Where items go before they are cleared; PermanentError(NOT_CONFIGURED) where no bucket is named."""
        if self._exports is None:
            where = self._environment.name
            raise PermanentError(
                f"No bucket is configured for exports of {where}, and nothing is cleared without an export.",
                code=ReasonCode.NOT_CONFIGURED,
                advice=(f"Add `[environments.{where}.exports]` to `omnicare.toml`.",),
            )
        return self._exports

    @property
    def environment(self) -> Environment:
        return self._environment

    async def ran(
        self, words: tuple[str, ...], *, stdin: bytes = b"", seconds: float | None = None, says: bool = False
    ) -> tuple[str, bytes]:
        """The pod and what the script printed there; raises where it did not do its work.

        `says`: its output may be shown where it fails; otherwise it may hold what was written about patients.
        """
        program = Program(words)
        limits = ExecLimits(seconds=seconds or self.scripts.seconds, bytes=self.scripts.largest)
        pod, container = await self._pod()
        output = await self._exec.run(
            self._environment.namespace, pod.name, container, program, stdin=stdin, limits=limits
        )
        if output.code != 0:
            raise _failure(program, pod.name, output, says=says)
        return pod.name, output.out

    async def status(self, *, seconds: float | None = None) -> SyncStatus:
        """How it stands, within that many seconds; raises `RunbookError`."""
        limit = seconds or self.scripts.seconds
        try:
            async with asyncio.timeout(limit):
                pod, out = await self.ran(self.scripts.status, seconds=limit, says=True)
        except TimeoutError:
            advice = (
                "The script hangs, usually on the database, and may still be running in that pod. "
                f"`logs {self.scripts.service}` may show what it is waiting for."
            )
            raise PermanentError(
                f"The sync queue of {self._environment.name} did not answer within {limit:g} s.",
                code=ReasonCode.SCRIPT_UNANSWERED,
                advice=(advice,),
            ) from None
        return self._with_rate(await asyncio.to_thread(_status, pod, out))

    def _with_rate(self, found: SyncStatus) -> SyncStatus:
        """Where the script tells no rate, by what the bot itself saw before."""
        if found.pending is None:
            return found
        now, before = _Look(self._clock(), found.pending), self._before
        if before is None or now.at - before.at > _SOON:
            self._before = now
        if found.told or before is None or not _SOON <= now.at - before.at <= _LONG_AGO:
            return found
        rate = (before.pending - now.pending) / (now.at - before.at) * 60
        return found.model_copy(update={"per_minute": round(rate, 1)})

    def is_stuck(self, status: SyncStatus) -> bool:
        """Something waits for too long, or nothing leaves the queue."""
        waits = (status.oldest_seconds or 0) > self.scripts.stuck_after
        stands = bool(status.pending) and status.told and status.per_minute == 0
        return waits or stands

    async def failed(self) -> FailedItems:
        """The failed items by reason, nothing of a patient in it."""
        pod, out = await self.ran(self.scripts.failed)
        return await asyncio.to_thread(_failed, pod, out)

    async def items(self, *, contents: bool = False) -> tuple[tuple[FailedItem, ...], bytes]:
        """The failed items one by one, and the script's own words, which may be about patients: never shown, never kept."""
        words = (self.scripts.contents or self.scripts.failed) if contents else self.scripts.failed
        pod, out = await self.ran(words)
        try:
            return await asyncio.to_thread(lambda: items_of(read_printed(out))), out
        except NotUnderstood as error:
            raise PermanentError(
                f"The output of `{Program(words)}` in pod {pod} is not a clear list of failed items: {error}.",
                code=ReasonCode.SCRIPT_FAILED,
                evidence=await asyncio.to_thread(shapes, out, _TAIL_LINES),
                advice=("It must print one JSON list of all items, each with an id.",),
            ) from None

    async def _pod(self) -> tuple[PodView, str]:
        """A ready pod of the service, and its container."""
        service = self._environment.service(self.scripts.service)
        assert service is not None, "the configuration was checked"
        deployment = await self._cluster.deployment(self._environment.namespace, service.deployment)
        pods = [pod for pod in await self._cluster.pods_of(deployment) if pod.ready and not pod.deleting]
        if not pods:
            raise PermanentError(
                f"The sync scripts need a ready pod of {service.name}, and {self._environment.name} has none.",
                code=ReasonCode.NOT_FOUND,
                advice=(f"`pods {service.name}` shows why.",),
            )
        return min(pods, key=lambda pod: pod.name), service.container


# A hundred thousand items take seconds to read: in a thread, so that nothing else waits for it.


def _status(pod: str, out: bytes) -> SyncStatus:
    try:
        return status_of(read_printed(out), pod)
    except NotUnderstood as error:
        return SyncStatus(pod=pod, not_understood=str(error), text=_end(out, _TEXT))


def _failed(pod: str, out: bytes) -> FailedItems:
    try:
        items = items_of(read_printed(out))
    except NotUnderstood as error:
        return FailedItems(pod=pod, total=None, not_understood=str(error), lines=shapes(out, _SHAPES))
    return FailedItems(
        pod=pod,
        total=len(items),
        devices=devices_of(items),
        oldest_seconds=oldest_of(items),
        groups=grouped(items),
    )


def _failure(program: Program, pod: str, output: Output, *, says: bool) -> PermanentError:
    """Which of the ways in which a script does not do its work."""
    heard = output.err + (output.out if says or output.out.lstrip()[:1] not in (b"{", b"[") else b"")
    words = f"{output.message}\n{heard.decode(errors='replace')}".lower()
    silent = not output.out.strip() and not output.err.strip() and "--silent" in program.arguments
    absent = "missing script" in words or "executable file not found" in words or output.code == 127  # noqa: PLR2004
    if absent or (silent and output.code == 1):
        how = "exits with 1 and prints nothing, as npm does for a missing script" if silent and not absent else ""
        return PermanentError(
            f"Pod {pod} has no script for this: `{program}` {how or 'does not exist'}.",
            code=ReasonCode.SCRIPT_MISSING,
            evidence=_tail(output, says=says),
            advice=(
                "Check the scripts in that release's `package.json` and `[environments.….sync]` in `omnicare.toml`.",
            ),
        )
    ended = f"exited with {output.code}" if output.code is not None else f"could not be run ({output.message[:200]})"
    return PermanentError(
        f"`{program}` {ended} in pod {pod}.",
        code=ReasonCode.SCRIPT_FAILED,
        evidence=_tail(output, says=says),
        advice=(f"`logs {pod}` may show more.",),
    )


def _tail(output: Output, *, says: bool) -> tuple[str, ...]:
    """Return the end of what it said, redacted; of what may hold patients' data only how much there was."""
    text = _end(output.err.strip() or (output.out.strip() if says else b""), _TAIL_CHARACTERS)
    lines = tuple(line for line in text.splitlines() if line.strip())[-_TAIL_LINES:]
    if not says and output.out.strip():
        return (
            *lines,
            f"({counted(len(output.out), 'byte')} of output are hidden: they may be about patients.)",
        )
    return lines


def _end(said: bytes, characters: int) -> str:
    """Return the last characters of an output, redacted."""
    read = said[-characters * 4 - _BEYOND :]
    if len(read) < len(said):
        read = read[read.find(b"\n") + 1 :]  # what the first cut halves, or parts from its cue, goes
    return default_redactor().text(read.decode(errors="replace")).strip()[-characters:]
