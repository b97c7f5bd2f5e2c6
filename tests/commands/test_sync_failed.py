"""`sync failed` and `sync status` as people and scripts read them."""

from types import SimpleNamespace
from typing import Any, cast

import pytest

from commands.kit.card import Card, State
from commands.kit.command import Query
from commands.kit.registry import load
from runbooks.sync.reading import FailedItems, ReasonGroup, SyncStatus


async def card_of(command: str, found: FailedItems | SyncStatus) -> Card:
    async def answer() -> FailedItems | SyncStatus:
        return found

    queue = SimpleNamespace(failed=answer, status=answer)
    context = SimpleNamespace(where=SimpleNamespace(name="production"), use=lambda *_: queue)
    request = load().make(command, {"env": "production"})
    assert isinstance(request, Query)
    return await request.answer(cast("Any", context))


async def test_what_scripts_read_of_a_hundred_thousand_reasons_is_bounded() -> None:
    """Each text of an answer is looked through before it leaves, on the loop that everybody shares."""
    groups = tuple(ReasonGroup(reason=f"error_{n}", items=1, devices=1, oldest_seconds=None) for n in range(100_000))
    found = FailedItems(pod="backend-1", total=100_000, devices=1, oldest_seconds=None, groups=groups)

    card = await card_of("sync failed", found)
    assert len(card.model_dump_json()) < 100_000
    assert card.data["total"] == 100_000
    assert card.data["groups"][0]["reason"] == "error_0"


@pytest.mark.parametrize(
    ("command", "found"),
    [
        (
            "sync failed",
            FailedItems(pod="backend-1", total=None, not_understood="no JSON was printed", lines=("the end",)),
        ),
        ("sync status", SyncStatus(pod="backend-1", not_understood="no JSON was printed", text="the end")),
    ],
)
async def test_the_card_says_what_was_not_understood_and_shows_the_end(
    command: str, found: FailedItems | SyncStatus
) -> None:
    card = await card_of(command, found)
    assert "No JSON was printed." in card.model_dump_json()
    assert "the end" in card.model_dump_json()
    assert card.state is State.WAITING
    bare = await card_of(command, found.model_copy(update={"lines": (), "text": ""}))
    assert "End of its output" not in bare.model_dump_json()
