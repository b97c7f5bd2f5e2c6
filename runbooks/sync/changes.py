"""What changes the offline queue: trying failed items again, and throwing them away after an export that was read back.

Clearing is the one thing here that can't be undone, so it goes by exact items. The ids' digest is in the plan; the export holds
the items themselves and is the only place where their ids are kept; each step compares with it. A killed step runs again: an
export that is there is taken, and items that are gone count as cleared. Step results hold counts, digests and the key.
"""

import asyncio
import hashlib
import json
import re
from collections.abc import Sequence
from typing import Literal

from pydantic import JsonValue, field_validator

from runbooks.clients.aws.bucket import Bucket, ObjectThere
from runbooks.fleet.fleet import Fleet
from runbooks.kit.answers import NotUnderstood, read_printed
from runbooks.kit.errors import PermanentError
from runbooks.kit.reasons import ReasonCode
from runbooks.kit.steps import Pulse, Stopped
from runbooks.kit.targets import Frozen
from runbooks.kit.waiting import end
from runbooks.sync.queue import SyncQueue
from runbooks.sync.reading import FailedItem, digest_of, items_of
from runbooks.wording import counted, size

GROUPS = 25
"""Of items in a plan, for the eye."""
_FORMAT = "omnicare-sync-export/1"
_HALF = re.compile("[\ud800-\udfff]")
_LAST_MOMENT = 0.3
"""Seconds in which a *Cancel* that was pressed before is still heard: after them it is done."""


class Export(Frozen):
    """An export as it stands in the bucket; nothing of what is in it."""

    key: str
    version: str | None
    sha256: str
    size: int
    items: int


class Cleared(Frozen):
    """What the clearing did."""

    items: int
    gone_before: int
    """Approved items that were no longer there: cleared by this run before it was interrupted, or synchronised meanwhile."""


class Retried(Frozen):
    """What the retrying did."""

    before: int | None
    after: int | None
    pending: int | None
    settled: bool
    """The count of failed items has stopped moving."""


class ItemsGroup(Frozen):
    """Items of one kind, for the eye."""

    reason: str
    items: int
    devices: int = 0
    oldest_seconds: float | None = None


class ItemsChange(Frozen):
    """Items of a queue are tried again, or thrown away."""

    act: Literal["retry", "clear"]
    service: str
    namespace: str
    ids: str = ""
    """The digest of the ids of exactly these items; empty where the act is about whatever is there."""
    # what follows is shown, and not part of the digest
    count: int | None = None
    devices: int = 0
    oldest_seconds: float | None = None
    groups: tuple[ItemsGroup, ...] = ()

    @field_validator("groups")
    @classmethod
    def _bounded(cls, groups: tuple[ItemsGroup, ...]) -> tuple[ItemsGroup, ...]:
        """The most frequent: a plan is kept again and again, and a script may give each item a reason of its own."""
        if len(groups) <= GROUPS:
            return groups
        rest = groups[GROUPS - 1 :]
        ages = [each.oldest_seconds for each in rest if each.oldest_seconds is not None]
        other = ItemsGroup(
            reason=f"{len(rest)} other reasons",
            items=sum(each.items for each in rest),
            devices=max(each.devices for each in rest),
            oldest_seconds=max(ages, default=None),
        )
        return (*groups[: GROUPS - 1], other)

    @property
    def said(self) -> str:
        """`7 failed items from 5 devices`."""
        items = "all failed items" if self.count is None else counted(self.count, "failed item")
        devices = f" from {counted(self.devices, 'device')}" if self.devices else ""
        return f"{items}{devices}"

    def substance(self) -> dict[str, JsonValue]:
        """What the approval is bound to."""
        return {"act": self.act, "target": f"{self.namespace}/{self.service}", "ids": self.ids}


# retrying


async def retry(pulse: Pulse, queue: SyncQueue) -> int | None:
    """Runs the script; how many had failed before, where it is known. Running it twice does no harm."""
    before = (await queue.failed()).total
    if before != 0:
        pulse.say("the script is running")
        await queue.ran(queue.scripts.retry_failed)
    return before


async def watch_retry(pulse: Pulse, queue: SyncQueue, before: int | None) -> Retried:
    """Until the count of failed items has moved and stands still, or the deadline. A queue can't be watched, so it is asked."""
    scripts = queue.scripts
    loop = asyncio.get_running_loop()
    deadline = loop.time() + scripts.watch_seconds
    last: int | None = None
    while True:
        status = await queue.status()
        if status.failed is None:
            return Retried(before=before, after=None, pending=status.pending, settled=False)
        pulse.say(f"{status.failed} failed, {status.pending if status.pending is not None else '?'} waiting")
        moved = before is None or status.failed < before
        settled = status.failed == 0 or (moved and status.failed == last)
        if settled or loop.time() >= deadline:
            return Retried(before=before, after=status.failed, pending=status.pending, settled=settled)
        last = status.failed
        await _pause(pulse, scripts.look_seconds)


async def _pause(pulse: Pulse, seconds: float) -> None:
    """A pause that a person's *Cancel* ends."""
    stopping = asyncio.ensure_future(pulse.stop())
    try:
        done, _ = await asyncio.wait({stopping}, timeout=seconds)
        if done:
            raise Stopped(stopping.result())
    finally:
        await end(stopping)


# clearing


async def export(pulse: Pulse, queue: SyncQueue, bucket: Bucket, change: ItemsChange) -> Export:
    """Writes the items into the bucket under the run's id, or takes the export that an earlier try wrote."""
    key = f"{bucket.settings.prefix}{queue.environment.name}/{pulse.run}.json"
    kept, version = await _kept_before(bucket, key, _largest(queue)), None
    if kept is None:
        items, out = await queue.items(contents=True)
        _same(change, items, "since the approval")
        body = kept = await asyncio.to_thread(_enveloped, queue, pulse.run, out)
        try:
            version = await bucket.put_new(key, body)
        except ObjectThere:  # an earlier try of this run wrote it after all
            kept = await bucket.get(key, largest=_largest(queue))
    ids = await asyncio.to_thread(_exported_ids, kept)
    if kept is None or digest_of(ids) != change.ids:
        raise PermanentError(
            f"{bucket.address(key)} does not contain the approved items. Nothing was cleared.",
            code=ReasonCode.EXPORT_FAILED,
        )
    pulse.say(f"{counted(len(ids), 'item')}, {size(len(kept))}")
    return Export(key=key, version=version, sha256=hashlib.sha256(kept).hexdigest(), size=len(kept), items=len(ids))


async def _kept_before(bucket: Bucket, key: str, largest: int) -> bytes | None:
    """What an earlier try of this run wrote. An account that may not list is refused where there is none; writing tells."""
    try:
        return await bucket.get(key, largest=largest)
    except PermanentError:
        return None


async def read_back(pulse: Pulse, queue: SyncQueue, bucket: Bucket, change: ItemsChange, written: Export) -> int:
    """Reads the export whole and compares it; where the script takes no ids, the queue too. How many items it holds."""
    ids = await _approved(queue, bucket, change, written)
    pulse.say(f"{counted(len(ids), 'item')}, the same digest")
    if not queue.scripts.takes_ids:
        items, _ = await queue.items()
        _same(change, items, "since the export")
    return len(ids)


async def clear(
    pulse: Pulse, queue: SyncQueue, bucket: Bucket, fleet: Fleet, change: ItemsChange, written: Export
) -> Cleared:
    """Throws the approved items away, and looks that they are gone. What is gone already is not cleared twice."""
    approved = frozenset(await _approved(queue, bucket, change, written))
    items, _ = await queue.items()
    present = ids_of(items)
    left = approved & present
    if not queue.scripts.takes_ids and left and present - approved:
        _same(change, (await queue.items())[0], "since the export")
    if left:
        await _still_ours(pulse, queue, fleet)
        pulse.say(counted(len(left), "item"))
        told = [item.printed for item in sorted(items, key=lambda item: item.id) if item.id in left]
        stdin = json.dumps(told).encode() + b"\n" if queue.scripts.takes_ids else b""
        await queue.ran(queue.scripts.clear_failed, stdin=stdin)
    still = approved & ids_of((await queue.items())[0])
    if still:
        raise PermanentError(
            f"The script succeeded, but {len(still)} of the {len(approved)} approved items still exist.",
            code=ReasonCode.SCRIPT_FAILED,
            advice=(f"The cleared items are in {bucket.address(written.key)}.",),
        )
    return Cleared(items=len(left), gone_before=len(approved) - len(left))


async def _approved(queue: SyncQueue, bucket: Bucket, change: ItemsChange, written: Export) -> tuple[str, ...]:
    """The approved items' ids, from the export: the only place that keeps them."""
    found = await bucket.get(written.key, version=written.version, largest=_largest(queue))
    ids = await asyncio.to_thread(_exported_ids, found)
    if found is None or hashlib.sha256(found).hexdigest() != written.sha256 or digest_of(ids) != change.ids:
        raise PermanentError(
            f"The export {bucket.address(written.key)} differs from what was written. Nothing was cleared.",
            code=ReasonCode.EXPORT_FAILED,
            advice=("Find out who else writes there: objects in that bucket should never be changed.",),
        )
    return ids


async def _still_ours(pulse: Pulse, queue: SyncQueue, fleet: Fleet) -> None:
    """A run that was cancelled, or lost the environment, throws nothing away."""
    await _pause(pulse, _LAST_MOMENT)
    place = (await fleet.read(queue.environment)).run
    if place is None or place.run != pulse.run:
        raise PermanentError("Another run has taken the environment. Nothing was cleared.", code=ReasonCode.OVERTAKEN)


def _same(change: ItemsChange, items: Sequence[FailedItem], since: str) -> None:
    if digest_of(ids_of(items)) != change.ids:
        raise PermanentError(
            f"The failed items have changed {since}: {change.count} were approved, now there are {len(items)}. Nothing was cleared.",
            code=ReasonCode.CHANGED_MEANWHILE,
            advice=("Request it again: `sync clear-failed` plans with the current items.",),
        )


def ids_of(items: Sequence[FailedItem]) -> frozenset[str]:
    """Return the items' ids."""
    return frozenset(item.id for item in items)


def _largest(queue: SyncQueue) -> int:
    return queue.scripts.largest * 2 + 4096


def _enveloped(queue: SyncQueue, run: str, out: bytes) -> bytes:
    envelope = {"format": _FORMAT, "run": run, "environment": queue.environment.name, "items": read_printed(out)}
    text = json.dumps(envelope, ensure_ascii=False, separators=(",", ":"))
    # half of a pair is no UTF-8; a script may print it, escaped, and it is exported the same way
    return _HALF.sub(lambda half: f"\\u{ord(half.group()):04x}", text).encode()


def _exported_ids(body: bytes | None) -> tuple[str, ...]:
    """Return the ids of the items in an export; none where it is none."""
    try:
        envelope = read_printed(body or b"")
        if isinstance(envelope, dict) and envelope.get("format") == _FORMAT:
            return tuple(item.id for item in items_of(envelope.get("items")))
    except NotUnderstood:
        pass
    return ()
