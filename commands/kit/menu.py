"""The menu: what this person may run, grouped, each with an example that can be tried."""

from collections.abc import Sequence

from commands.kit.card import Button, Card, Code, Element, OpenForm, Paragraph, Strong, Typed, sentence, words
from commands.kit.context import Actor
from commands.kit.spec import CommandSpec, Kind
from commands.kit.types import QueryType, RunType, SnapshotType

GROUPS = {"look": "Look", "act": "Act", "decide": "Approve and decide", "about": "About"}


_BUTTONS = 75
"""Slack takes 25 in one row; they are shown in three."""


def menu_card(actor: Actor, allowed: Sequence[CommandSpec], command: str) -> Card:
    """For an outsider: what is missing and whom to ask."""
    if not allowed:
        text = (
            f"Your account ({actor.account or actor.key}) is not listed, so you may not run anything yet. "
            "Ask the maintainers of omnicare.toml to add you with a role."
        )
        return Card(
            title=words(Strong(text="No commands yet")),
            summary=text,
            body=(Paragraph(text=words(text)),),
            data={"commands": []},
        )
    body: list[Element] = []
    for group, label in GROUPS.items():
        lines: list[object] = []
        for spec in (each for each in allowed if each.group == group):
            lines += [
                "\n" if lines else "",
                Code(text=f"{command} {spec.name} {spec.examples[0]}".strip()),
                "  ",
                sentence(spec.summary),
            ]
        if lines:
            body.append(Paragraph(text=words(Strong(text=label), "\n", *lines)))  # type: ignore[arg-type] # strings, code, texts
    buttons = [
        Button(label=spec.name.capitalize() + ("…" if _has_form(spec) else ""), does=_does(spec))
        for spec in allowed
        if (spec.kind is not Kind.DECISION or spec.group == "act") and not _is_told_by_a_card(spec)
    ]
    return Card(
        title=words(Strong(text=f"What you may run, {actor.name}")),
        summary=f"What you may run: {', '.join(spec.name for spec in allowed)}",
        body=tuple(body),
        buttons=tuple(buttons[:_BUTTONS]),
        data={"commands": [spec.name for spec in allowed]},
    )


def _is_told_by_a_card(spec: CommandSpec) -> bool:
    """Whether it wants an id, which nobody knows without the card that has the button; `help` is this very menu."""
    kinds = [p.type for p in spec.parameters if p.required]
    return spec.name in ("help", "logs stop") or any(
        isinstance(kind, RunType | QueryType | SnapshotType) for kind in kinds
    )


def _has_form(spec: CommandSpec) -> bool:
    return any(p.required for p in spec.parameters) or spec.kind is not Kind.QUERY


def _does(spec: CommandSpec) -> OpenForm | Typed:
    return OpenForm(command=spec.name) if _has_form(spec) else Typed(text=spec.name)
