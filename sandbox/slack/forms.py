"""Interactive elements: finding one in blocks, what a choice in it looks like in an interaction payload, and what the
client itself refuses to submit.

A value is given plainly: a string (a button needs none), a list of strings for what takes several, None for empty.
"""

from collections.abc import Iterable, Iterator
from typing import Any

from sandbox.slack.model import Json

_PLAIN = {
    "datepicker": "selected_date",
    "timepicker": "selected_time",
    "datetimepicker": "selected_date_time",
    "users_select": "selected_user",
    "conversations_select": "selected_conversation",
    "channels_select": "selected_channel",
    "multi_users_select": "selected_users",
    "multi_conversations_select": "selected_conversations",
    "multi_channels_select": "selected_channels",
    "plain_text_input": "value",
    "email_text_input": "value",
    "url_text_input": "value",
    "number_input": "value",
    "rich_text_input": "rich_text_value",
    "file_input": "files",
}
_ONE_OPTION = {"static_select", "external_select", "radio_buttons", "overflow"}
_MANY_OPTIONS = {"multi_static_select", "multi_external_select", "checkboxes"}
_INITIAL = {
    "datepicker": "initial_date",
    "timepicker": "initial_time",
    "datetimepicker": "initial_date_time",
    "users_select": "initial_user",
    "conversations_select": "initial_conversation",
    "channels_select": "initial_channel",
    "multi_users_select": "initial_users",
    "multi_conversations_select": "initial_conversations",
    "multi_channels_select": "initial_channels",
}


def elements(blocks: Iterable[Json]) -> Iterator[tuple[Json, Json]]:
    """Each interactive element with the block that it stands in, containers and cards included."""
    for block in blocks:
        for key in ("elements", "actions"):
            for element in block.get(key) or ():
                if isinstance(element, dict) and "action_id" in element:
                    yield block, element
        for key in ("accessory", "element"):
            if isinstance(block.get(key), dict) and "action_id" in block[key]:
                yield block, block[key]
        children = [child for key in ("child_blocks", "elements") for child in block.get(key) or ()]
        yield from elements(child for child in children if isinstance(child, dict) and "block_id" in child)


def find(blocks: Iterable[Json], action_id: str, block_id: str | None = None) -> tuple[Json, Json] | None:
    for block, element in elements(blocks):
        if element["action_id"] == action_id and block_id in {None, "", block["block_id"]}:
            return block, element
    return None


def options_of(element: Json) -> list[Json]:
    groups = element.get("option_groups") or []
    return [*(element.get("options") or []), *(option for group in groups for option in group["options"])]


def _option(element: Json, value: Any) -> Json | None:
    if value in (None, "") or isinstance(value, dict):
        return value or None
    for option in options_of(element):
        if option.get("value") == value:
            return option
    return {"text": {"type": "plain_text", "text": str(value), "emoji": True}, "value": str(value)}


def chosen(element: Json, value: Any) -> Json:
    """The part of an action, or of a form's state, that says what was chosen."""
    kind = element["type"]
    if kind in _ONE_OPTION:
        return {"selected_option": _option(element, value)}
    if kind in _MANY_OPTIONS:
        return {"selected_options": [_option(element, one) for one in value or ()]}
    if kind in _PLAIN:
        empty: list[Any] | None = [] if _PLAIN[kind].endswith("s") else None
        return {_PLAIN[kind]: value if value not in ("", None) else empty}
    if kind == "button" and "value" in element:
        return {"value": element["value"], "text": element["text"]}
    if kind == "feedback_buttons":
        return {"value": value}
    return {key: element[key] for key in ("text", "value") if key in element}


def action(block: Json, element: Json, value: Any, ts: str) -> Json:
    """One entry of `actions` in a block_actions payload."""
    return {
        "type": element["type"],
        "action_id": element["action_id"],
        "block_id": block["block_id"],
        "action_ts": ts,
        **chosen(element, value),
    }


def initial(element: Json) -> Any:
    """What stands in the element before anybody touched it, as a plain value."""
    kind = element["type"]
    if kind in _ONE_OPTION:
        return (element.get("initial_option") or {}).get("value")
    if kind in _MANY_OPTIONS:
        return [option.get("value") for option in element.get("initial_options") or ()]
    return element.get(_INITIAL.get(kind, "initial_value"))


def with_current_conversation(view: Json, channel: str) -> Json:
    """The view, where selects that begin with the conversation that the person looks at begin with it."""

    def begun(block: Json) -> Json:
        element = block.get("element") or {}
        if not element.get("default_to_current_conversation") or "initial_conversation" in element or not channel:
            return block
        return {**block, "element": {**element, "initial_conversation": channel}}

    return {**view, "blocks": [begun(block) for block in view.get("blocks", [])]}


def state_of(blocks: Iterable[Json], values: Json | None) -> Json:
    """`state.values`: what was entered, else what stood there at first, by block id and action id."""
    answer: Json = {}
    for block, element in elements(blocks):
        kind = element["type"]
        if kind in {"button", "overflow", "feedback_buttons", "icon_button", "workflow_button"}:
            continue
        own = (values or {}).get(block["block_id"], {})
        value = own.get(element["action_id"], initial(element))
        if isinstance(value, dict) and value.get("type") == kind:
            entry = value
        else:
            entry = {"type": kind, **chosen(element, value)}
        answer.setdefault(block["block_id"], {})[element["action_id"]] = entry
    return answer


def is_empty(entry: Json) -> bool:
    return all(not value for key, value in entry.items() if key != "type")


def client_errors(blocks: Iterable[Json], state: Json) -> dict[str, str]:
    """What Slack's client refuses to submit, without asking the app: by block id."""
    errors: dict[str, str] = {}
    for block in blocks:
        if block.get("type") != "input":
            continue
        element = block["element"]
        entry = state[block["block_id"]][element["action_id"]]
        if is_empty(entry):
            if not block.get("optional"):
                errors[block["block_id"]] = "Please complete this required field."
            continue
        if (error := _wrong(element, entry)) is not None:
            errors[block["block_id"]] = error
    return errors


def _wrong(element: Json, entry: Json) -> str | None:
    value = entry.get("value")
    if element["type"] == "plain_text_input" and isinstance(value, str):
        if len(value) < element.get("min_length", 0):
            return f"Please enter at least {element['min_length']} characters."
        if len(value) > element.get("max_length", 3000):
            return f"Please enter no more than {element.get('max_length', 3000)} characters."
    if element["type"] == "number_input" and isinstance(value, str):
        return _wrong_number(element, value)
    return None


def _wrong_number(element: Json, value: str) -> str | None:
    try:
        number = float(value)
    except ValueError:
        return "Please enter a number."
    if not element.get("is_decimal_allowed") and not number.is_integer():
        return "Please enter a whole number."
    if "min_value" in element and number < float(element["min_value"]):
        return f"Please enter {element['min_value']} or more."
    if "max_value" in element and number > float(element["max_value"]):
        return f"Please enter {element['max_value']} or less."
    return None
