"""The offline queue of an environment: what tablets wrote without a network, and what of it could not be synchronised.

It is read and changed by the application's own npm scripts, run in a ready pod of the backend (`runbooks.clients.kubernetes.exec`).
Which scripts, the configuration says once: a closed set of argument lists. A pod that has no such script, a script that fails, one
that never answers: each is told as what it is.
"""

import asyncio
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from pydantic import Field

from runbooks.clients.aws.bucket import Bucket
from runbooks.clients.kubernetes.cluster import ClusterClient
from runbooks.clients.kubernetes.exec import ExecLimits, Program
from runbooks.deployments.pod_scripts import PodScripts, end_of
from runbooks.kit.answers import NotUnderstood, read_printed
from runbooks.kit.errors import PermanentError
from runbooks.kit.programs import OptionalProgram, ProgramWords
from runbooks.kit.reasons import ReasonCode
from runbooks.kit.targets import Environment, Frozen
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

_TAIL_LINES = 8
_SHAPES = 20
_TEXT = 3000
_SOON, _LONG_AGO = 10.0, 3600.0
"""Seconds between two looks from which a rate is made."""


class SyncScripts(Frozen):
    """The npm scripts of the offline queue: a closed set of argument lists of plain words; typed text is never added."""

    service: str = "backend"
    """The service in whose pods the scripts run."""
    status: ProgramWords = ("npm", "run", "--silent", "sync:status")
    """Prints the state of the queue, preferably as JSON: `pending`, `failed`, `oldestPendingSeconds`, `devices`, `ratePerMinute`."""
    failed: ProgramWords = ("npm", "run", "--silent", "sync:failed")
    """Prints the failed items, preferably as a JSON list: `id`, `reason`, `device`, `ageSeconds`."""
    retry_failed: ProgramWords = ("npm", "run", "--silent", "sync:retry-failed")
    """Puts all failed items back into the queue."""
    clear_failed: ProgramWords = ("npm", "run", "--silent", "sync:clear-failed")
    """Deletes failed items: all of them, or with `takes_ids` the given ones."""
    contents: OptionalProgram = ()
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
        self._environment = environment
        self.scripts = scripts
        self._pod_scripts = PodScripts(cluster, environment, scripts.service, scripts.programs(), table="sync")
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
    def status_by_hand(self) -> str:
        """Return the line by which a person sees how the queue stands."""
        return self.by_hand(self.scripts.status)

    def by_hand(self, words: Sequence[str], *, stdin: bool = False) -> str:
        """Return the line by which a person runs one of the scripts; `stdin`: which reads its input there."""
        return self._pod_scripts.by_hand(words, stdin=stdin)

    @property
    def environment(self) -> Environment:
        return self._environment

    async def ran(
        self, words: tuple[str, ...], *, stdin: bytes = b"", seconds: float | None = None, says: bool = False
    ) -> tuple[str, bytes]:
        """The pod and what the script printed there; raises where it did not do its work.

        `says`: its output may be shown where it fails; otherwise it may hold what was written about patients.
        """
        limits = ExecLimits(seconds=seconds or self.scripts.seconds, bytes=self.scripts.largest)
        return await self._pod_scripts.ran(words, limits=limits, stdin=stdin, says=says)

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


# A hundred thousand items take seconds to read: in a thread, so that nothing else waits for it.


def _status(pod: str, out: bytes) -> SyncStatus:
    try:
        return status_of(read_printed(out), pod)
    except NotUnderstood as error:
        return SyncStatus(pod=pod, not_understood=str(error), text=end_of(out, _TEXT))


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
