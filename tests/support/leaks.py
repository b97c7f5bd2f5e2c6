"""What must never leave, looked for in everything that left a story's bot: Slack's messages, files and forms, the audit log, the engine, the log.

Each story ends with it (`tests.support.worlds.story`), so that it holds for the whole suite and not only where a test thinks of it.
What terminals show is looked through as they end (`tests.support.terminals`); the one exception is what `logs … --raw` writes to
standard output, and that command's standard error is none.
"""

import contextlib
import json
import re
from collections.abc import Iterable, Iterator

from sandbox.cache import PRIVATE as CACHE_KEYS
from sandbox.cluster.logs import LOG_SECRETS
from sandbox.slack.model import Message
from sandbox.sync_queue import PATIENT_DATA
from sandbox.world import SandboxWorld

_LONG_ENOUGH = 6
"""Shorter ones (a given name) are in ordinary words."""


def _invented() -> dict[str, str]:
    """What is private in every sandbox."""
    found = {value: "of a patient" for value in PATIENT_DATA if len(value) >= _LONG_ENOUGH}
    found |= dict.fromkeys(CACHE_KEYS, "of a patient, in a key of the cache")
    return found | dict.fromkeys(LOG_SECRETS, "a secret of the logs")


def stands_in(said: str, value: str) -> bool:
    """Whether `value` is there; a number only as a whole one, since digits of a time or an id may be the same by chance."""
    if not value.isdigit() or value not in said:
        return value in said
    return re.search(rf"(?<!\d)(?<!\d\.){value}(?!\d)", said) is not None


def nothing_shown(said: str) -> None:
    """Of what a terminal showed. Raises AssertionError with what it was, never with the value."""
    leaked = {what for value, what in _invented().items() if stands_in(said, value)}
    assert not leaked, f"a terminal was shown: {sorted(leaked)}"


def private_of(world: SandboxWorld) -> dict[str, str]:
    """Everything in that world that the bot has or meets and must not show: value → what it is."""
    found = _invented()
    found |= {world.slack.bot_token: "the bot's token", world.slack.app_token: "the app's token"}
    if world.database is not None:
        found[world.database.reader_password] = "the reader's password"
    return found


def _left(world: SandboxWorld, messages: Iterable[Message]) -> Iterator[tuple[str, str]]:
    """(where, all that was said there)."""
    slack = world.workspace
    private = [each for person in slack.people for each in slack.ephemerals(person)]
    yield "messages", _written([(each.text, each.blocks) for each in (*messages, *private)])
    for file in slack.files.values():
        yield f"file {file.name}", (file.content or b"").decode(errors="replace")
    yield "forms and homes", _written([view.view for view in slack.views.values()])
    state = world.folder / "state"
    for path in sorted(state.glob("*.sqlite*")) if state.is_dir() else ():
        with contextlib.suppress(FileNotFoundError):  # SQLite takes its companions away when the bot ends
            yield path.name, path.read_bytes().decode(errors="replace")
    log = world.folder / "bot.log"
    if log.exists():
        yield log.name, log.read_text(encoding="utf-8", errors="replace")


def _written(value: object) -> str:
    """A no-break space, which stands between a number and its unit, hides nothing."""
    return json.dumps(value, default=str).replace("\\u00a0", " ")


def nothing_leaked(world: SandboxWorld, messages: Iterable[Message]) -> None:
    """`messages`: those that anybody can read, in any channel and thread. Raises AssertionError with what it was and where, never with the value."""
    private = private_of(world)
    leaked = {
        f"{what} is in {where}"
        for where, said in _left(world, messages)
        for value, what in private.items()
        if stands_in(said, value)
    }
    assert not leaked, sorted(leaked)
