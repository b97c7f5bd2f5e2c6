"""What an answer of `status` looked at, so that nobody takes it for more."""

from collections.abc import Mapping, Sequence

from commands.kit.card import Button, Code, Note, Typed, words
from commands.kit.dependencies import DependencyFacts
from commands.kit.metric_facts import MeasuredState, answered

_LOOKS = 2
"""Buttons of a card's own beside which `follow_ups` has room for *Diagnose*."""
_DIAGNOSE = ("Diagnose", "diagnose")


def with_diagnose(looks: Sequence[tuple[str, str]], where: str) -> tuple[Button, ...]:
    """Return a button for each label and command, with *Diagnose* among them where they leave it no room."""
    found = list(dict.fromkeys(looks))
    if len(found) > _LOOKS and _DIAGNOSE not in found:
        found.insert(_LOOKS, _DIAGNOSE)
    return tuple(Button(label=label, does=Typed(text=f"{command} --env {where}")) for label, command in found)


def looked_at(parts: Mapping[str, object], measured: MeasuredState, needs: DependencyFacts) -> Note:
    """Return it in a line: the parts that answered, each a name and whether it did, and where to look for the rest."""
    named = [name for name, found in parts.items() if found]
    named += answered(measured)
    named += [name for key, name in (("cache", "cache"), ("targets", "load balancer")) if key in needs.data]
    return Note(
        text=words(
            f"Looked at: {', '.join(named) or 'nothing that answered'}. ", Code(text="diagnose"), " looks at the rest."
        )
    )
