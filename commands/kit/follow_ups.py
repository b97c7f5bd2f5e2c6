"""The buttons under an answer: what its definition says that helps next (`CommandMeta.next`), and *Refresh*.

A card is shared, and who presses a button may do less than who asked: that is checked when it is pressed. So a button is left out only
where who asked could not use it either.
"""

from collections.abc import Callable, Iterator, Sequence
from datetime import datetime

from commands.kit.card import Button, Card, CardSubject, Confirm, Moment, Note, OpenForm, State, Typed, words
from commands.kit.command import Command
from commands.kit.regions import RegionsType
from commands.kit.remembered import single_values
from commands.kit.spec import CommandSpec, FollowUp
from commands.kit.typed_again import typed_again, typed_words
from commands.kit.types import EnvironmentType, ServiceType, TargetType
from runbooks.wording import headed, listed

MOST = 5
"""Buttons of a card, the command's own included; more are no help."""
ROLL_BACK = FollowUp(
    command="rollback",
    label="Roll back",
    failed=True,
    confirm="This plans a rollback to the last known good release.",
)
_TROUBLE = frozenset({State.FAILED, State.WAITING})


def roll_back(regions: Sequence[str], environment: str) -> Button:
    """Return the button that plans a rollback of these regions."""
    return Button(
        label=f"Roll back {listed(regions)}",
        style="danger",
        does=Typed(text=f"rollback --regions {','.join(regions)} --env {environment}"),
        confirm=Confirm(
            title=f"Roll back {listed(regions)} in {environment}?",
            text="This plans a rollback of what the other regions went back from already.",
            yes="Roll back",
        ),
    )


def follow_ups(
    request: Command, card: Card, find: Callable[[str], CommandSpec | None]
) -> Iterator[tuple[CommandSpec, Button]]:
    """Yield the commands that help after this answer, each with its button, without those that the card has already."""
    for each in request.meta.next:
        spec = find(each.command)
        helps = (
            not (each.trouble or each.failed) or card.state is State.FAILED or (each.trouble and card.state in _TROUBLE)
        )
        if spec is None or not helps or spec.name in card.unhelpful or _has(card, spec.name):
            continue
        yield spec, _button(each, spec, request, card)


def refreshed(request: Command, card: Card, now: datetime) -> tuple[Card, Button]:
    """Return the card with the time at which it was read, and the button that puts a newer one in its place."""
    read = Note(text=words("Read at ", Moment(at=now, form="seconds")))
    button = Button(label="Refresh", does=Typed(text=typed_again(request), replaces=True))
    return card.model_copy(update={"body": (*card.body, read)}), button


def with_buttons(card: Card, more: list[Button], last: tuple[Button, ...] = ()) -> Card:
    """Return the card with as many of these as there is room for; those that come last always have room."""
    shown = sum(not button.quiet for button in card.buttons)
    room = max(0, MOST - shown - len(last))
    return card.model_copy(update={"buttons": (*card.buttons, *more[:room], *last)})


def _has(card: Card, command: str) -> bool:
    for button in card.buttons:
        match button.does:
            case Typed(text=text) if text == command or text.startswith(f"{command} "):
                return True
            case OpenForm(command=name) if name == command:
                return True
    return False


def _button(each: FollowUp, spec: CommandSpec, request: Command, card: Card) -> Button:
    values = _filled(spec, request, card.about or _named(request))
    label = each.label or headed(spec.name)
    missing = any(parameter.required and parameter.name not in values for parameter in spec.parameters)
    confirm = (
        Confirm(
            title=f"{label}{f' {request.environment}' if request.environment else ''}?", text=each.confirm, yes=label
        )
        if each.confirm
        else None
    )
    return Button(
        label=f"{label}…" if missing else label,  # what is missing is asked when it is pressed
        style="danger" if confirm is not None else "default",
        does=Typed(text=typed_words(spec, values)),
        confirm=confirm,
    )


def _filled(spec: CommandSpec, request: Command, about: CardSubject) -> dict[str, str | list[str]]:
    """Return what is known of the command's arguments."""
    arguments = request.arguments()
    regions = {type(p.type): arguments.get(p.name) for p in request.spec.parameters if isinstance(p.type, RegionsType)}
    found: dict[str, str | list[str]] = {}
    for parameter in spec.parameters:
        value: str | None = None
        match parameter.type:
            case EnvironmentType():
                value = request.environment
            case ServiceType():
                value = about.service
            case TargetType():
                value = about.target or about.service
            case RegionsType():
                value = regions.get(type(parameter.type))
        if value:
            found[parameter.name] = [value] if parameter.repeated else value
    return found


def _named(request: Command) -> CardSubject:
    """Return the service or pod that the request names, where it names one."""
    found = CardSubject()
    for parameter, value in single_values(request):
        if isinstance(parameter.type, ServiceType):
            found = CardSubject(service=value, target=found.target)
        elif isinstance(parameter.type, TargetType):
            found = CardSubject(service=found.service, target=value)
    return found
