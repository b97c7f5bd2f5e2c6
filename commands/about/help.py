"""`help [COMMAND]`: the menu in words, or one command with its arguments and examples."""

from commands.kit import registry
from commands.kit.card import Button, Card, Code, OpenForm, Paragraph, Strong, Table, Typed, sentence, words
from commands.kit.command import Query
from commands.kit.context import Context
from commands.kit.spec import CommandSpec, Kind, QueryMeta, argument
from commands.kit.types import CommandName


class Help(Query):
    """Explain all commands, or one of them."""

    meta = QueryMeta(permission=None, examples=["", "deploy"], group="about", private=True)

    command: CommandName | None = argument("which command", default=None)

    async def answer(self, context: Context) -> Card:
        if self.command is None:
            return commands_card(tuple(context.menu))
        spec = next(each for each in context.menu if self.command in (each.name, *each.aliases))
        definition = registry.load()
        known = definition.command(spec.name).help_lines(context) if definition.find(spec.name) is not None else ()
        return command_card(spec, tuple(known))


def commands_card(specs: tuple[CommandSpec, ...]) -> Card:
    """Every command in a line; first the one for who is in trouble."""
    trouble = Paragraph(text=words("Trouble? ", Code(text="diagnose")))
    first = (trouble,) if any(spec.name == "diagnose" for spec in specs) else ()
    table = Table(
        columns=("Command", "What it does"),
        rows=tuple((words(Code(text=spec.name)), sentence(spec.summary)) for spec in specs),
    )
    return Card(
        title=words(Strong(text="Commands")),
        summary="Commands: " + ", ".join(spec.name for spec in specs),
        body=(*first, table, Paragraph(text=words(Code(text="help COMMAND"), " explains one command."))),
        data={"commands": {spec.name: spec.summary for spec in specs}},
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
        title=words(Strong(text=spec.name), f": {spec.summary}"),
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
