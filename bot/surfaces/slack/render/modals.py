"""Forms as modals, and what comes back from them.

A form's inputs have the parameters' names as block ids. What is not to be changed (a run's id and word, the place it was opened in)
goes through Slack in `private_metadata` and comes back; the dispatcher checks it like anything else that comes in.
"""

import re
from collections.abc import Mapping, Sequence

from bot.boundary.inbound import Answer, CommandChoice, Form, FormField
from bot.surfaces.slack.origin import Origin
from bot.surfaces.slack.render.button_values import compact
from bot.surfaces.slack.render.mrkdwn import Block, clean, shortened
from commands.kit.card import OpenForm

FORM = "omnicare_form"
CHOICE = "omnicare_choice"
"""The form to choose a command in."""
ANSWER = "omnicare_answer"
"""The modal that holds an answer."""
CHOOSER = OpenForm(command="")
"""What a button that opens it does."""
COMMAND, PLACE = "command", "place"
"""Its inputs."""
INPUT = "value"
"""Every input's action id."""
YES = "yes"
_METADATA = 3000
_OPTIONS = 100
_OPTION = 75
_VALUE = 3000
_TYPED = re.compile(r"`([^`]*)`")


class TooMuch(Exception):
    """What the form has to carry does not fit into it."""


def form_view(form: Form, origin: Origin, *, fixed: Mapping[str, str] | None = None, suggests: bool = False) -> Block:
    """Return the modal. `fixed` are values that the person does not change: a run's id and word. Raises `TooMuch`."""
    hidden = {**form.hidden, **(fixed or {})}
    fields = [field for field in form.fields if field.name not in hidden][:_OPTIONS]
    carried = compact({"c": form.command, "h": hidden, "p": _place(origin)})
    if len(carried) > _METADATA:
        raise TooMuch(form.command)
    intro = clean(form.intro).strip()
    blocks: list[Block] = []
    if intro:
        blocks.append({"type": "section", "text": _plain(_quoted(intro), 3000)})
    blocks += [_input(field, suggests=suggests) for field in fields]
    return {
        "type": "modal",
        "callback_id": FORM,
        "title": _plain(form.title, 24),
        "submit": _plain(form.submit, 24),
        "close": _plain("Back", 24),
        "private_metadata": carried,
        "blocks": blocks or [{"type": "section", "text": _plain("There is nothing to fill in.", 3000)}],
    }


def choice_view(choices: Sequence[CommandChoice], origin: Origin) -> Block:
    """Return the modal in which a command is chosen, and the channel where none is known."""
    groups: dict[str, list[Block]] = {}
    for each in choices:
        label = shortened(f"{each.name} · {each.summary}", _OPTION)
        groups.setdefault(each.group, []).append(option(each.name, label))
    offered = [{"label": _plain(label, _OPTION), "options": options[:_OPTIONS]} for label, options in groups.items()]
    blocks: list[Block] = [
        {
            "type": "input",
            "block_id": COMMAND,
            "label": _plain("Command", 2000),
            "element": {
                "type": "static_select",
                "action_id": INPUT,
                "placeholder": _plain("Choose a command", 150),
                "option_groups": offered,
                "focus_on_load": True,
            },
        }
    ]
    if origin.channel is None:
        blocks.append(_where())
    else:
        where = "Answered in the thread of that message." if origin.in_thread else "Answered in the channel."
        blocks.append({"type": "context", "elements": [_plain(where, 3000)]})
    return {
        "type": "modal",
        "callback_id": CHOICE,
        "title": _plain("Run a command", 24),
        "submit": _plain("Next", 24),
        "close": _plain("Close", 24),
        "private_metadata": compact({"p": _place(origin)}),
        "blocks": blocks,
    }


def answer_view(blocks: list[Block]) -> Block:
    """Return the modal that holds the answer to what was pressed in Home."""
    return {
        "type": "modal",
        "callback_id": ANSWER,
        "title": _plain("OmniCare", 24),
        "close": _plain("Close", 24),
        "blocks": blocks[:_OPTIONS],
    }


def said(sentence: str) -> list[Block]:
    """Return a sentence of the surface's own."""
    return [{"type": "section", "text": _plain(sentence, 3000)}]


def _where() -> Block:
    return {
        "type": "input",
        "block_id": PLACE,
        "optional": True,
        "label": _plain("Channel", 2000),
        "hint": _plain("Where the answer goes. Leave it empty to get it in your messages with the app.", 2000),
        "element": {
            "type": "conversations_select",
            "action_id": INPUT,
            "default_to_current_conversation": True,
            "filter": {"include": ["public", "private"], "exclude_external_shared_channels": True},
        },
    }


def _input(field: FormField, *, suggests: bool) -> Block:
    element, optional = _element(field, suggests=suggests), not field.required or field.flag
    block: Block = {
        "type": "input",
        "block_id": field.name,
        "label": _plain(field.label or field.name, 2000),
        "element": {**element, "action_id": INPUT},
        "optional": optional,
    }
    beside = field.flag and _fits(field.hint)
    if field.hint.strip() not in ("", field.label) and not beside:
        block["hint"] = _plain(_quoted(field.hint), 2000)
    return block


def _quoted(text: str) -> str:
    """Return words of ours with quotation marks for backticks, which plain text would show as they are."""
    return _TYPED.sub(r"“\1”", text)


def _fits(hint: str) -> bool:
    """Return whether it can stand beside a checkbox; if not, it stands under it, uncut."""
    return len(_quoted(hint)) <= _OPTION


def _element(field: FormField, *, suggests: bool) -> Block:
    filled = clean(field.filled).strip()
    if field.flag:
        beside = _quoted(field.hint or field.label)
        yes = option(YES, beside if _fits(beside) else "Yes")
        return {"type": "checkboxes", "options": [yes], **({"initial_options": [yes]} if filled == YES else {})}
    if field.options and all(len(each) <= _OPTION for each in field.options):
        offered = [option(each) for each in dict.fromkeys(field.options)][:_OPTIONS]
        initial = {"initial_option": option(filled)} if option(filled) in offered and filled else {}
        return {"type": "static_select", "options": offered, **initial}
    if field.suggested and suggests and len(filled) <= _OPTION:
        initial = {"initial_option": option(filled)} if filled else {}
        return {"type": "external_select", "min_query_length": 0, **initial}
    typed: Block = {"type": "plain_text_input", "multiline": field.long}
    return {**typed, "initial_value": filled[:_VALUE]} if filled else typed


def option(value: str, label: str | None = None) -> Block:
    """Return one option of a select."""
    return {"text": _plain(label or value, _OPTION), "value": value}


def error_in(answer: Answer, inputs: Sequence[str], values: Mapping[str, str]) -> dict[str, str]:
    """Return the mistake under the input that it is about: the one it names, else the one whose value it quotes, else the first."""
    said = clean(answer.card.summary) if answer.card else "This can't be used."
    named = answer.card.data.get("field") if answer.card else None
    place = next((name for name in inputs if name == named), None)
    place = place or next((name for name in inputs if f"--{name.replace('_', '-')}" in said), None)
    place = place or next((name for name in inputs if values.get(name) and f"`{values[name]}`" in said), None)
    return {place: shortened(said, 300)} if place else errors(said, inputs)


def errors(sentence: str, inputs: Sequence[str]) -> dict[str, str]:
    """Return a sentence under the form's first input, which keeps it open; empty where the form has none."""
    return {inputs[0]: shortened(sentence, 300)} if inputs else {}


def _place(origin: Origin) -> dict[str, object]:
    return {
        "ch": origin.channel,
        "th": origin.thread,
        "in": origin.in_thread,
        "d": origin.direct,
        "u": origin.response_url,
    }


def _plain(text: str, most: int) -> Block:
    return {"type": "plain_text", "text": shortened(clean(text).strip() or "…", most), "emoji": False}
