"""A card's buttons as Block Kit: names that stay the same, values that are read with distrust (`button_values`)."""

import re

from bot.surfaces.slack.render.button_values import LONGEST, Act, as_option, written
from bot.surfaces.slack.render.mrkdwn import Block, line, shortened
from commands.kit.card import Button, Choices, Confirm, OpenForm, RunAct, Typed

_NOT_IN_NAMES = re.compile(r"[^a-z0-9-]+")

MORE = "more"
"""The action of the menu that holds what is seldom needed."""
CHOOSE = "choose"
"""The action of the select of a question."""
_LABEL = 75
_PLACEHOLDER = 150
_CHOICES = 100
_FEW = 5
_IN_MENU = 5
_IN_BLOCK = 25
_AT_MOST = 75


def actions(buttons: tuple[Button, ...]) -> list[Block]:
    """Return action blocks, without ids; a button whose value does not fit is left out."""
    names: dict[str, int] = {}
    shown: list[Block] = []
    menu: list[Block] = []
    for button in buttons[:_AT_MOST]:
        option = as_option(button.does) if button.quiet and button.confirm is None else None
        if option is not None and len(menu) < _IN_MENU and all(each["value"] != option for each in menu):
            menu.append({"text": _words(button.label, _LABEL), "value": option})
        elif (value := written(button.does)) and len(value) <= LONGEST:
            shown.append(_button(button, value, _unique(action_name(button.does), names)))
    if menu:
        shown.append({"type": "overflow", "action_id": MORE, "options": menu})
    return [{"type": "actions", "elements": shown[at : at + _IN_BLOCK]} for at in range(0, len(shown), _IN_BLOCK)]


def choosing(choices: Choices) -> list[Block]:
    """Return buttons for few values, a select for more; buttons too where a value does not fit into an option."""
    acts = [(each.label, Typed(text=each.text, expires=choices.expires)) for each in choices.options[:_CHOICES]]
    options = [{"text": _words(label, _LABEL), "value": value} for label, act in acts if (value := as_option(act))]
    if len(acts) <= _FEW or len(options) < len(acts):
        return actions(tuple(Button(label=label, does=act) for label, act in acts))
    select = {
        "type": "static_select",
        "action_id": CHOOSE,
        "placeholder": _words(choices.label, _PLACEHOLDER),
        "options": options,
    }
    return [{"type": "actions", "elements": [select]}]


def action_name(act: Act) -> str:
    """Return `approve` for a run's act, `type-logs` for a typed command, `open-deploy` for a form."""
    match act:
        case RunAct():
            return _word(act.command)
        case Typed():
            return f"type-{_word((act.text.split() or [''])[0])}"
        case OpenForm():
            return f"open-{_word(act.command)}"


def _word(text: str) -> str:
    return _NOT_IN_NAMES.sub("-", text.lower())[:60] or "nothing"


def _unique(name: str, names: dict[str, int]) -> str:
    names[name] = names.get(name, 0) + 1
    return name if names[name] == 1 else f"{name}-{names[name]}"


def _button(button: Button, value: str, name: str) -> Block:
    made: Block = {
        "type": "button",
        "action_id": name,
        "text": _words(button.label, _LABEL),
        "value": value,
    }
    if button.style != "default":
        made["style"] = button.style
    if button.confirm is not None:
        made["confirm"] = _confirm(button.confirm, danger=button.style == "danger")
    return made


def _confirm(confirm: Confirm, *, danger: bool) -> Block:
    return {
        "title": _words(confirm.title, 100),
        "text": _words(confirm.text, 300),
        "confirm": _words(confirm.yes, 30),
        "deny": _words(confirm.no, 30),
        **({"style": "danger"} if danger else {}),
    }


def _words(text: str, most: int) -> Block:
    return {"type": "plain_text", "text": shortened(line(text).strip() or "…", most), "emoji": False}
