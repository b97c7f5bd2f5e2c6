"""A card as JSON for scripts: facts under stable names, and the texts."""

from typing import Any

from bot.surfaces.terminal.words import Audience, offered, one_line, typed
from commands.kit.card import Card


def document(
    card: Card | None, reader: Audience, *, exit_status: int | None = None, run: str | None = None
) -> dict[str, Any]:
    """Return one JSON object. `data` is for scripts; `card` is the whole card."""
    found: dict[str, Any] = {}
    if exit_status is not None:
        found["exit"] = exit_status
    if run is not None:
        found["run"] = run
    if card is None:
        return found
    return found | {
        "title": one_line(card.title, reader),
        "summary": card.summary,
        "state": card.state.value if card.state else None,
        "data": card.data,
        "next": [
            {"label": label, "command": command} for label, command in (typed(b, reader) for b in offered(card.buttons))
        ],
        "card": card.model_dump(mode="json", exclude={"records"}),
    }
