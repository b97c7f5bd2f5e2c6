"""`help [COMMAND|GROUP]`: the names of all commands by group; the commands of one group, each in a line; or one command with its arguments and examples."""

from typing import Annotated

from commands.kit import registry
from commands.kit.card import Button, Card, Code, Element, OpenForm, Paragraph, Strong, Table, Typed, sentence, words
from commands.kit.command import Query
from commands.kit.context import Context
from commands.kit.spec import CommandSpec, Kind, QueryMeta, argument
from commands.kit.topics import GROUPS, TopicType, grouped


class Help(Query):
    """Name all commands by group, or explain one group or command."""

    meta = QueryMeta(permission=None, examples=["", "database", "deploy"], private=True)

    topic: Annotated[str | None, TopicType()] = argument("which command, or which group of them", default=None)

    async def answer(self, context: Context) -> Card:
        specs = tuple(context.menu)
        if self.topic is None:
            return commands_card(specs)
        spec = next((each for each in specs if self.topic in (each.name, *each.aliases)), None)
        if spec is None:
            return group_card(self.topic, specs)
        definition = registry.load()
        known = definition.command(spec.name).help_lines(context) if definition.find(spec.name) is not None else ()
        return command_card(spec, tuple(known))


def commands_card(specs: tuple[CommandSpec, ...]) -> Card:
    """Return a card with the names of all commands by group; above them the one to type when something is wrong."""
    trouble = Paragraph(text=words("Something is wrong? ", Code(text="diagnose")))
    body: list[Element] = [trouble] if any(spec.name == "diagnose" for spec in specs) else []
    body += [
        Paragraph(
            text=words(
                Strong(text=label), " · ", Code(text=f"help {group}"), "\n", ", ".join(each.name for each in own)
            )
        )
        for group, label, own in grouped(specs)
    ]
    body.append(Paragraph(text=words("One command with its arguments and examples: ", Code(text="help deploy"))))
    return Card(
        title=words(Strong(text="Commands")),
        summary="Commands: " + ", ".join(spec.name for spec in specs),
        body=tuple(body),
        buttons=_groups(specs),
        data={"commands": {spec.name: spec.summary for spec in specs}},
    )


def group_card(group: str, specs: tuple[CommandSpec, ...]) -> Card:
    """Return a card with the commands of a group, and what each of them does."""
    own = next((own for name, _, own in grouped(specs) if name == group), [])
    lines = [part for each in own for part in ("\n", Code(text=each.name), " · ", sentence(each.summary))]
    return Card(
        title=words(Strong(text=GROUPS[group])),
        summary=f"{GROUPS[group]}: {', '.join(each.name for each in own)}",
        body=(
            Paragraph(text=words(*lines[1:])),
            Paragraph(text=words("Arguments and examples: ", Code(text=f"help {own[0].name if own else 'deploy'}"))),
        ),
        buttons=_groups(specs, but=group),
        data={"commands": {each.name: each.summary for each in own}},
    )


def _groups(specs: tuple[CommandSpec, ...], *, but: str = "") -> tuple[Button, ...]:
    """Return a button for each group but the shown one; it replaces the card."""
    return tuple(
        Button(label=label, does=Typed(text=f"help {group}", replaces=True))
        for group, label, _ in grouped(specs)
        if group != but
    )


def command_card(spec: CommandSpec, known: tuple[str, ...] = ()) -> Card:
    """One command: usage, what the configuration has for it, arguments, examples."""
    shown = spec.parameters
    rows = tuple((words(Code(text=p.bare if p.positional else p.flag)), sentence(p.help)) for p in shown)
    table = (Table(columns=("Argument", "Meaning"), rows=rows),) if rows else ()
    # a docstring's lines end where the source's do; only its paragraphs are meant
    paragraphs = [" ".join(part.split()) for part in spec.description.split("\n\n") if part.strip()]
    examples = [f"{spec.name} {each}".strip() for each in spec.examples]
    does = (
        Typed(text=examples[0])
        if spec.kind is Kind.QUERY and not any(p.required for p in shown)
        else OpenForm(command=spec.name)
    )
    return Card(
        title=words(Strong(text=spec.name), ": ", sentence(spec.summary)),
        summary=f"{spec.name}: {spec.summary}",
        body=(
            Paragraph(text=words("Usage: ", Code(text=spec.usage))),
            *(Paragraph(text=sentence(each)) for each in paragraphs),
            *(Paragraph(text=sentence(each)) for each in known),
            *table,
            Paragraph(text=words("Examples:", *(part for each in examples for part in ("\n", "  ", Code(text=each))))),
        ),
        buttons=(Button(label="Try", does=does),),
        data={"command": spec.name, "usage": spec.usage},
    )
