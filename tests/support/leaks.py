"""What must never leave, looked for in everything that left a story's bot: Slack's messages, files and forms, the book, the engine, the log.

Each story ends with it (`tests.support.worlds.story`), so that it holds for the whole suite and not only where a test thinks of it.
"""

import contextlib
import json
from collections.abc import Iterator

from sandbox.sync_queue import PATIENT_DATA
from sandbox.world import SandboxWorld

_LONG_ENOUGH = 6
"""Shorter ones (a given name) are in ordinary words."""


def private_of(world: SandboxWorld) -> dict[str, str]:
    """Everything in that world that the bot has or meets and must not show: value → what it is."""
    found = {value: "of a patient" for value in PATIENT_DATA if len(value) >= _LONG_ENOUGH}
    found |= {world.slack.bot_token: "the bot's token", world.slack.app_token: "the app's token"}
    if world.database is not None:
        found[world.database.reader_password] = "the reader's password"
    return found


def _left(world: SandboxWorld) -> Iterator[tuple[str, str]]:
    """(where, all that was said there)."""
    slack = world.workspace
    yield "messages", json.dumps([(each.text, each.blocks) for each in _messages(world)], default=str)
    for file in slack.files.values():
        yield f"file {file.name}", (file.content or b"").decode(errors="replace")
    yield "forms and homes", json.dumps([view.view for view in slack.views.values()], default=str)
    state = world.folder / "state"
    for path in sorted(state.glob("*.sqlite*")) if state.is_dir() else ():
        with contextlib.suppress(FileNotFoundError):  # SQLite takes its companions away when the bot ends
            yield path.name, path.read_bytes().decode(errors="replace")
    log = world.folder / "bot.log"
    if log.exists():
        yield log.name, log.read_text(encoding="utf-8", errors="replace")


def _messages(world: SandboxWorld) -> Iterator[object]:
    slack = world.workspace
    for channel in slack.channels:
        for head in slack.history(channel):
            yield head
            if head.reply_count:
                yield from slack.replies(channel, head.ts)
    for person in list(slack.people):
        yield from slack.ephemerals(person, "")


def nothing_leaked(world: SandboxWorld) -> None:
    """Raises AssertionError with what it was and where, never with the value."""
    private = private_of(world)
    leaked = {
        f"{what} is in {where}" for where, said in _left(world) for value, what in private.items() if value in said
    }
    assert not leaked, sorted(leaked)
