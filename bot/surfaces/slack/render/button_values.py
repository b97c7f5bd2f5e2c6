"""What a button carries, and what a modal carries through Slack and back: small texts that are read with distrust.

A button's value is never the state itself: a run's id and the card's random word, a command's text, or a form to open. Anybody who
speaks Slack's API can send any text as a value, so what is not exactly of these shapes is nothing.
"""

import json
import re
from collections.abc import Mapping

from commands.kit.card import OpenForm, RunAct, Typed

Act = RunAct | Typed | OpenForm

LONGEST = 2000
LONGEST_OPTION = 75
"""Of a value in a menu: Slack's types say 75 characters."""
_TEXTS_AT_MOST = 4000
_SEPARATOR = "|"


def written(act: Act) -> str:
    """Return a button's value."""
    match act:
        case RunAct():
            made: dict[str, object] = {"k": "run", "c": act.command, "r": act.run, "w": act.word}
            if act.form:
                made["f"] = 1
        case Typed():
            made = {"k": "typed", "t": act.text, **({"e": act.expires} if act.expires is not None else {})}
            if act.replaces:
                made["r"] = 1
        case OpenForm():
            made = {"k": "form", "c": act.command, "v": act.filled}
    return compact(made)


def compact(value: Mapping[str, object]) -> str:
    """Return JSON without blanks."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def as_option(act: Act) -> str | None:
    """Return the same for a menu's option, where little fits; None where it does not."""
    match act:
        case RunAct() if not any(_SEPARATOR in part for part in (act.command, act.run, act.word)):
            made = _SEPARATOR.join(("f" if act.form else "r", act.command, act.run, act.word))
        case Typed(replaces=False, expires=None):
            made = f"t{_SEPARATOR}{act.text}"
        case Typed(replaces=False):
            made = f"e{_SEPARATOR}{act.expires}{_SEPARATOR}{act.text}"
        case _:
            return None
    return made if len(made) <= LONGEST_OPTION else None


def read(value: object) -> Act | None:
    """Return what a clicked button asks for; None for anything that no card of ours carries."""
    if not isinstance(value, str) or len(value) > LONGEST:
        return None
    if not value.startswith("{"):
        return _option(value)
    try:
        found = json.loads(value)
    except (ValueError, RecursionError):
        return None
    match found:
        case {"k": "run", "c": str(command), "r": str(run), "w": str(word)}:
            return RunAct(command=command, run=run, word=word, form=found.get("f") == 1)
        case {"k": "typed", "t": str(text)}:
            expires = found.get("e")
            return Typed(text=text, replaces=found.get("r") == 1, expires=expires if isinstance(expires, int) else None)
        case {"k": "form", "c": str(command), "v": dict(filled)}:
            return OpenForm(command=command, filled=_texts(filled))
        case _:
            return None


def _option(value: str) -> Act | None:
    kind, _, rest = value.partition(_SEPARATOR)
    parts = rest.split(_SEPARATOR)
    match kind:
        case "r" | "f" if len(parts) == 3 and all(parts):  # noqa: PLR2004 - command, run, word
            return RunAct(command=parts[0], run=parts[1], word=parts[2], form=kind == "f")
        case "t" if rest:
            return Typed(text=rest)
        case "e" if len(parts) > 1 and re.fullmatch(r"\d{1,12}", parts[0], re.ASCII):
            return Typed(text=rest.partition(_SEPARATOR)[2], expires=int(parts[0]))
        case _:
            return None


def _texts(raw: Mapping[object, object]) -> dict[str, str]:
    return {name: text for name, text in raw.items() if isinstance(name, str) and isinstance(text, str)}


def read_hidden(raw: object) -> Mapping[str, object]:
    """Return a view's `private_metadata`; empty where it is not ours."""
    if not isinstance(raw, str) or not raw or len(raw) > _TEXTS_AT_MOST:
        return {}
    try:
        found = json.loads(raw)
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}
