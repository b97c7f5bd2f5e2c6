"""What leaves the process passes here: each text in a value is redacted, and where that fails nothing of the value goes out.

Used by the terminal's socket and by the logs. The texts are taken one by one, so redaction can't break the JSON around them.
"""

import logging
from collections.abc import Callable, Mapping
from typing import Any

from bot.boundary.redacting import redacted
from commands.kit.card import Card, Paragraph, State, words
from runbooks.redaction.blocks.fields import cue_of

Redact = Callable[[str], str]

_log = logging.getLogger(__name__)

_PLAIN = frozenset({"at", "level"})
"""Of a record: never words of others."""

WITHHELD = "The answer could not be checked for private data, so it is withheld. The bot's log says why."


def leaf_by_leaf(value: Any, redact: Redact, *, fixed: frozenset[str] = frozenset()) -> Any:
    """The same value with every text in it redacted, names of keys too; what is under a key of `fixed` stays."""
    if isinstance(value, str):
        return redact(value)
    if isinstance(value, Mapping):
        return {
            redact(str(key)): each if key in fixed else _under(cue_of(str(key), value), each, redact, fixed)
            for key, each in value.items()
        }
    if isinstance(value, list | tuple | set | frozenset):
        return [leaf_by_leaf(each, redact, fixed=fixed) for each in value]
    if value is None or isinstance(value, bool | int | float):
        return value
    return redact(str(value))


def _under(key: str, value: Any, redact: Redact, fixed: frozenset[str]) -> Any:
    """A text under its key is read together with it: a key such as "password" is a cue."""
    if not isinstance(value, str):
        return leaf_by_leaf(value, redact, fixed=fixed)
    line = f"{key}: {value}"
    checked = redact(line)
    return value if checked == line else redact(checked.removeprefix(f"{key}: "))


def card_out(card: Card, redact: Redact) -> dict[str, Any]:
    """A card as JSON that may leave. Fails closed: one that can't be redacted is replaced by one that says so."""
    try:
        out: dict[str, Any] = redacted(card, redact).model_dump(mode="json")
        bare = card.model_dump(mode="json", include={"data", "records"})
        out["data"] = leaf_by_leaf(bare["data"], redact)
        out["records"] = leaf_by_leaf(bare["records"], redact, fixed=_PLAIN)
    except Exception:  # noqa: BLE001 - whatever the reason: nothing that was not redacted goes out
        _log.exception("a card could not be redacted, so it was withheld")
        return withheld().model_dump(mode="json")
    return out


def withheld() -> Card:
    """Said in place of what could not be redacted."""
    return Card(
        state=State.FAILED,
        title=words("Answer withheld"),
        summary=WITHHELD,
        body=(Paragraph(text=words(WITHHELD)),),
        data={"reason_code": "bug"},
    )
