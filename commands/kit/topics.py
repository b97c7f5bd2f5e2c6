"""The groups of the commands, and the type of what `help` explains: a command, or a group of them."""

from collections.abc import Iterable, Iterator

from commands.kit.spec import CommandSpec
from commands.kit.types import CommandNameType, Known

GROUPS = {
    "observe": "Look",
    "release": "Release and change",
    "database": "Database",
    "sync": "Offline sync",
    "control": "Approve, stop, lock",
    "history": "Who did what",
    "about": "You and the bot",
}
"""The name of the package that a command is in, which is what `help` takes, and the heading for people."""


class TopicType(CommandNameType):
    """The name of a command, or of a group of commands."""

    name = "command|group"

    def parse(self, text: str, known: Known) -> str:
        word = text.lower()
        return word if word in GROUPS and word not in known.commands else super().parse(text, known)

    def suggestions(self, known: Known) -> tuple[str, ...]:
        return (*known.commands, *(each for each in GROUPS if each not in known.commands))


def grouped(specs: Iterable[CommandSpec]) -> Iterator[tuple[str, str, list[CommandSpec]]]:
    """Yield each group that has some of these commands: how it is typed, its heading, and its commands in order of name."""
    ordered = sorted(specs, key=lambda spec: spec.name)
    for group, label in GROUPS.items():
        if own := [spec for spec in ordered if spec.group == group]:
            yield group, label, own
