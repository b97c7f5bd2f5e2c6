"""`sync failed` as scripts read it."""

from types import SimpleNamespace
from typing import Any, cast

from commands.kit.registry import load
from runbooks.sync.reading import FailedItems, ReasonGroup


async def test_what_scripts_read_of_a_hundred_thousand_reasons_is_bounded() -> None:
    """Each text of an answer is looked through before it leaves, on the loop that everybody shares."""
    groups = tuple(ReasonGroup(reason=f"error_{n}", items=1, devices=1, oldest_seconds=None) for n in range(100_000))
    found = FailedItems(pod="backend-1", total=100_000, devices=1, oldest_seconds=None, groups=groups)

    async def failed() -> FailedItems:
        return found

    context = SimpleNamespace(
        where=SimpleNamespace(name="production"), sync_queue=lambda: SimpleNamespace(failed=failed)
    )
    card = await load().get("sync failed").make({"env": "production"}).run(cast("Any", context))
    assert len(card.model_dump_json()) < 100_000
    assert card.data["total"] == 100_000
    assert card.data["groups"][0]["reason"] == "error_0"
