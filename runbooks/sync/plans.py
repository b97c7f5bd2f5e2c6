"""The plans of `sync retry-failed` and `sync clear-failed`, and the steps that they are made of."""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Literal

from pydantic import JsonValue

from runbooks.clients.aws.bucket import Bucket
from runbooks.fleet.fleet import Fleet
from runbooks.kit.plan import Plan, reads_before
from runbooks.kit.steps import Brief, Cell, Shown, Step, StepContext
from runbooks.sync import changes
from runbooks.sync.changes import Cleared, Export, ItemsChange, ItemsGroup, Retried, ids_of
from runbooks.sync.queue import SyncQueue
from runbooks.sync.reading import FailedItem, devices_of, digest_of, grouped, oldest_of


class QueueStep(Step):
    """A step about the offline queue: what fails is still in the queue, so nothing is left undecided."""

    decides: ClassVar[bool] = False
    carried: ClassVar[bool] = False


class ItemsStep(QueueStep):
    """A step that changes failed items."""

    change: ItemsChange
    line: str = ""
    """The line by which a person does it."""

    def changes(self) -> dict[str, JsonValue]:
        return self.change.substance()

    def shown(self) -> Shown:
        return _table(self.change)

    def in_short(self) -> tuple[Brief, ...]:
        return (Brief(subject=self.change.said),)

    def by_hand(self) -> tuple[str, ...]:
        return (self.line,) if self.line else ()


class RetryFailed(ItemsStep):
    """Every failed item is tried again. Returns how many had failed before, where it is known."""

    kind: Literal["sync-retry"] = "sync-retry"

    @property
    def title(self) -> str:
        return "Retry the failed items"

    async def apply(self, context: StepContext) -> int | None:
        return await changes.retry(context.pulse, context.use(SyncQueue))


class WatchQueue(QueueStep):
    """The queue is looked at until the count of failed items stands still."""

    kind: Literal["sync-watch"] = "sync-watch"

    @property
    def title(self) -> str:
        return "Watch the queue"

    async def apply(self, context: StepContext) -> Retried:
        before = context.results.value("sync-retry")
        known = before if isinstance(before, int) else None
        return await changes.watch_retry(context.pulse, context.use(SyncQueue), known)


class ExportItems(QueueStep):
    """The items are written into the bucket."""

    kind: Literal["sync-export"] = "sync-export"
    change: ItemsChange

    @property
    def title(self) -> str:
        return "Export to S3"

    async def apply(self, context: StepContext) -> Export:
        queue = context.use(SyncQueue)
        return await changes.export(context.pulse, queue, queue.exports, self.change)


class ReadBack(QueueStep):
    """The export is read whole and compared. Returns how many items it holds."""

    kind: Literal["sync-read-back"] = "sync-read-back"
    change: ItemsChange

    @property
    def title(self) -> str:
        return "Read the export back"

    async def apply(self, context: StepContext) -> int:
        queue, written = context.use(SyncQueue), context.results.only(ExportItems, Export)
        return await changes.read_back(context.pulse, queue, queue.exports, self.change, written)


class ClearItems(ItemsStep):
    """Exactly the approved items are thrown away; its line exports and compares them first."""

    kind: Literal["sync-clear"] = "sync-clear"

    @property
    def title(self) -> str:
        return "Clear the approved items"

    async def apply(self, context: StepContext) -> Cleared:
        queue, written = context.use(SyncQueue), context.results.only(ExportItems, Export)
        return await changes.clear(context.pulse, queue, queue.exports, context.use(Fleet), self.change, written)


def _table(change: ItemsChange) -> Shown:
    rows = tuple(
        (
            Cell(text=group.reason),
            Cell(text=str(group.items)),
            Cell(text=str(group.devices)),
            Cell(seconds=group.oldest_seconds),
        )
        for group in change.groups
    )
    return Shown(columns=("Reason", "Items", "Devices", "Oldest"), rows=rows, caption=change.said)


async def plan_retry(queue: SyncQueue) -> Plan:
    """Every failed item goes back into the queue."""
    found = await queue.failed()
    where = queue.environment.name
    if found.total == 0:
        return Plan(title=f"There are no failed sync items in {where}, so there is nothing to retry")
    groups = tuple(
        ItemsGroup(reason=each.reason, items=each.items, devices=each.devices, oldest_seconds=each.oldest_seconds)
        for each in found.groups
    )
    change = _change(queue, "retry", found.total, found.devices, found.oldest_seconds, groups)
    notes = ("Items whose cause still exists fail again; nothing is lost.",)
    again = RetryFailed(change=change, line=queue.by_hand(queue.scripts.retry_failed))
    return Plan(title=f"Retry the failed sync items in {where}", steps=(again, WatchQueue()), notes=notes)


async def plan_clear(queue: SyncQueue, bucket: Bucket) -> Plan:
    """These failed items and no others are exported and thrown away."""
    items, _ = await queue.items(contents=True)
    where = queue.environment.name
    if not items:
        return Plan(title=f"There are no failed sync items in {where}, so there is nothing to clear")
    change, with_contents = await asyncio.to_thread(_cleared, queue, items)
    warnings = ["This deletes what clinicians wrote offline. It can be recovered only from the export."]
    if not with_contents:
        warnings.append(
            "The script prints the items without their contents, so the export contains only ids, reasons and devices. "
            f"`contents` in `[environments.{where}.sync]` names a script that prints everything."
        )
    race = (
        "The script gets the list of items to clear; items that fail meanwhile are not touched."
        if queue.scripts.takes_ids
        else "The script clears all failed items: the list is compared just before, but an item that fails in that second is cleared too."
    )
    export = f"First an export to `{bucket.address(bucket.settings.prefix)}`, which is read back and compared."
    return Plan(
        title=f"Clear the failed sync items in {where}",
        steps=(
            ExportItems(change=change),
            ReadBack(change=change),
            ClearItems(change=change, line=_clear_by_hand(queue, bucket)),
        ),
        warnings=tuple(warnings),
        notes=(export, race, "`sync retry-failed` retries them instead, and loses nothing."),
    )


def _cleared(queue: SyncQueue, items: Sequence[FailedItem]) -> tuple[ItemsChange, bool]:
    """Return the change, and whether any item holds what was written: whatever looks at each item, for a thread of its own."""
    groups = tuple(
        ItemsGroup(reason=each.reason, items=each.items, devices=each.devices, oldest_seconds=each.oldest_seconds)
        for each in grouped(items)
    )
    change = _change(
        queue, "clear", len(items), devices_of(items), oldest_of(items), groups, ids=digest_of(ids_of(items))
    )
    return change, any(item.has_content for item in items)


def _change(
    queue: SyncQueue,
    act: str,
    count: int | None,
    devices: int,
    oldest: float | None,
    groups: tuple[ItemsGroup, ...],
    *,
    ids: str = "",
) -> ItemsChange:
    return ItemsChange.model_validate(
        {
            "act": act,
            "service": queue.scripts.service,
            "namespace": queue.environment.namespace,
            "ids": ids,
            "count": count,
            "devices": devices,
            "oldest_seconds": oldest,
            "groups": groups,
        }
    )


def _clear_by_hand(queue: SyncQueue, bucket: Bucket) -> str:
    """Return the line by which a person exports the failed items, compares the export and clears them; what fails ends it."""
    listing = queue.by_hand(queue.scripts.contents or queue.scripts.failed)
    address = bucket.address(f"{bucket.settings.prefix}{queue.environment.name}")
    parts = [
        f'to="{address}/by-hand-$(date -u +%Y%m%dT%H%M%SZ).json"',
        f"{listing} > failed.json",
        "test -s failed.json",
        'aws s3 cp failed.json "$to"',
        'aws s3 cp "$to" - | cmp - failed.json',
    ]
    clearing = queue.by_hand(queue.scripts.clear_failed, stdin=queue.scripts.takes_ids)
    if queue.scripts.takes_ids:
        parts += ["jq -ce 'map(.id // error(\"no id\"))' failed.json > ids.json", f"{clearing} < ids.json"]
    else:  # the script takes whatever there is, so the list must still be the exported one
        parts += [f"{listing} > now.json", "cmp failed.json now.json", clearing]
    return " && ".join(parts)


@reads_before
def _of_the_version_before(stored: Mapping[str, Any]) -> tuple[Step, ...]:
    steps: list[Step] = []
    for each in stored.get("items", ()):
        change = ItemsChange.model_validate({name: value for name, value in each.items() if name != "kind"})
        if change.act == "retry":
            steps += [RetryFailed(change=change), WatchQueue()]
        else:
            steps += [ExportItems(change=change), ReadBack(change=change), ClearItems(change=change)]
    return tuple(steps)
