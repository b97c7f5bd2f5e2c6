"""The manual, made from the registry: the menu and a page for each command, as cards.

Answered where it is typed, within half a second and without a running bot; nothing heavy is imported here.
"""

import itertools

from commands.kit.card import Card, Code, Element, Fact, Facts, Note, Paragraph, Table, words
from commands.kit.menu import GROUPS
from commands.kit.registry import Registry
from commands.kit.spec import CommandSpec, Kind, Parameter
from commands.kit.types import nearest

HERE = {
    "serve": "run the bot",
    "sandbox": "a whole world to try it in, on 127.0.0.1",
    "doctor": "check everything that is configured, one by one",
    "audit verify": "prove that the audit trail is whole",
    "generate": "write what comes from the command registry: manifest, reference",
    "completion": "a completion script for bash, zsh or fish",
}
"""What only a terminal has: they act on this machine, not through the bot."""

_STATUSES = "Exit status: 0 done, 1 failed, 2 typed wrong, 3 denied."


def menu(registry: Registry) -> Card:
    """Everything that can be typed, grouped."""
    body: list[Element] = []
    ordered = sorted(registry, key=lambda spec: (_place(spec.group), spec.name))
    for group, specs in itertools.groupby(ordered, key=lambda spec: spec.group):
        body.append(
            Table(
                columns=(GROUPS.get(group, group.capitalize()), ""),
                rows=tuple((words(Code(text=spec.name)), words(spec.summary)) for spec in specs),
            )
        )
    body.append(
        Table(
            columns=("On this machine", ""),
            rows=tuple((words(Code(text=name)), words(about)) for name, about in HERE.items()),
        )
    )
    body += [
        Paragraph(
            text=words(
                "More of one: ",
                Code(text="omnicare help deploy"),
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
    ]
    return Card(
        title=words("OmniCare: production operations, with plan, approval and audit trail"),
        summary="What can be typed",
        body=tuple(body),
        data={
            "commands": [{"name": spec.name, "summary": spec.summary, "usage": spec.usage} for spec in registry],
            "here": dict(HERE),
        },
    )


def _place(group: str) -> int:
    order = list(GROUPS)
    return order.index(group) if group in order else len(order)


def page(spec: CommandSpec) -> Card:
    """One command: usage, arguments, examples, what it needs."""
    body: list[Element] = [Paragraph(text=words("Usage: ", Code(text=f"omnicare {spec.usage}")))]
    if spec.description:
        body.append(Paragraph(text=words(spec.description)))
    shown = [parameter for parameter in spec.parameters if not parameter.hidden]
    if shown:
        body.append(
            Table(
                columns=("Argument", "What it says"),
                rows=tuple((words(Code(text=_typed(parameter))), words(_about(parameter))) for parameter in shown),
            )
        )
    examples = ", ".join(f"omnicare {spec.name} {example}".strip() for example in spec.examples)
    facts = [Fact(label="Example" if len(spec.examples) == 1 else "Examples", value=words(Code(text=examples)))]
    if spec.permission:
        facts.append(Fact(label="Permission", value=words(Code(text=spec.permission))))
    if spec.risk:
        facts.append(Fact(label="Risk", value=words(spec.risk)))
    if spec.aliases:
        facts.append(Fact(label="Also", value=words(", ".join(spec.aliases))))
    body.append(Facts(facts=tuple(facts)))
    if spec.name == "audit":
        body.append(
            Note(text=words("On this machine ", Code(text="omnicare audit verify"), " proves that the trail is whole."))
        )
    if spec.kind is Kind.OPERATION:
        body.append(
            Note(text=words("It shows its plan, is approved, and is followed until it ends. Ctrl-C leaves it going."))
        )
    return Card(
        title=words(Code(text=spec.name), f": {spec.summary}"),
        summary=f"{spec.name}: {spec.summary}",
        body=tuple(body),
        data={"name": spec.name, "usage": spec.usage, "examples": list(spec.examples), "permission": spec.permission},
    )


def _typed(parameter: Parameter) -> str:
    return parameter.usage.removeprefix("[").removesuffix("]")


def _about(parameter: Parameter) -> str:
    default = f" (otherwise {parameter.default})" if parameter.default not in (None, False, "", ()) else ""
    return f"{parameter.help}{default}"


def meant(name: str, registry: Registry) -> str | None:
    """The command that was probably meant."""
    return nearest(name, (*registry.names(), *HERE))
