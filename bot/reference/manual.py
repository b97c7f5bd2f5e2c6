"""The manual, made from the registry: the menu and a page for each command, as cards.

Answered where it is typed, within half a second and without a running bot; nothing heavy is imported here.
"""

from collections.abc import Mapping

from commands.about.help import command_card
from commands.kit.card import Card, Code, Element, Note, Paragraph, Table, sentence, words
from commands.kit.registry import Registry
from commands.kit.spec import CommandSpec, Kind
from commands.kit.topics import GROUPS, grouped
from commands.kit.types import nearest

HERE = {
    "serve": "run the bot",
    "sandbox": "a complete environment to try the bot in, on 127.0.0.1",
    "doctor": "check everything that is configured, one by one",
    "audit verify": "check that the audit log is intact",
    "generate": "write what comes from the command registry: manifest, reference",
    "completion": "a completion script for bash, zsh or fish",
}
"""What only a terminal has: they act on this machine, not through the bot."""

_STATUSES = "Exit status: 0 done, 1 failed, 2 typed wrong, 3 denied."


def menu(registry: Registry) -> Card:
    """Everything that can be typed, grouped."""
    groups = {label: {spec.name: spec.summary for spec in own} for _, label, own in grouped(registry)}
    groups["On this machine"] = HERE
    width = max(len(name) for names in groups.values() for name in names)
    body: list[Element] = [_table(names, width, label) for label, names in groups.items()]
    body += [
        Paragraph(
            text=words(
                "About one command: ",
                Code(text="omnicare help deploy"),
                ". About one group: ",
                Code(text="omnicare help database"),
                ". What you may do: ",
                Code(text="omnicare whoami"),
                ".",
            )
        ),
        Note(
            text=words(
                "Before or after a command: --json, --no-follow, --config FILE, --socket PATH, and in the sandbox --as PERSON."
            )
        ),
        Note(text=words(_STATUSES)),
        # last, because a terminal shows the end of a text that is so long
        Paragraph(text=words("Something is wrong? ", Code(text="omnicare diagnose"))),
    ]
    return Card(
        title=words("OmniCare: production operations with plan, approval and audit log"),
        summary="What can be typed",
        body=tuple(body),
        data={
            "commands": [{"name": spec.name, "summary": spec.summary, "usage": spec.usage} for spec in registry],
            "here": dict(HERE),
        },
    )


def group(name: str, registry: Registry) -> Card:
    """Return a card with the commands of a group, and what each of them does."""
    own = next((own for known, _, own in grouped(registry) if known == name), [])
    lines = {spec.name: spec.summary for spec in own}
    told = words("About one command: ", Code(text=f"omnicare help {own[0].name if own else 'deploy'}"), ".")
    return Card(
        title=words(GROUPS[name]),
        summary=GROUPS[name],
        body=(_table(lines, max(map(len, lines), default=0)), Paragraph(text=told)),
        data={"commands": lines},
    )


def _table(lines: Mapping[str, str], width: int, caption: str = "") -> Table:
    rows = tuple((words(Code(text=name.ljust(width))), sentence(about)) for name, about in lines.items())
    return Table(columns=("", ""), caption=caption, rows=rows)


def page(spec: CommandSpec) -> Card:
    """One command, in the words that the bot itself has for it, and what only a terminal needs to know."""
    card = command_card(spec)
    notes: list[Element] = []
    if spec.name == "audit":
        text = words("On this machine ", Code(text="omnicare audit verify"), " checks that the audit log is intact.")
        notes.append(Note(text=text))
    if spec.kind is Kind.OPERATION:
        notes.append(
            Note(text=words("The plan is shown and the run is followed until it ends. Ctrl-C leaves the run going."))
        )
    return card.model_copy(update={"body": (*card.body, *notes), "buttons": ()})


def meant(name: str, registry: Registry) -> str | None:
    """The command that was probably meant."""
    return nearest(name, (*registry.names(), *HERE))
