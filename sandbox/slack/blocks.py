"""Block Kit as data: every block and element that Slack has, its fields, lengths and counts.

`limits.py` checks messages and views with it; a test holds it against Slack's own schemas. What Slack knows and this
sandbox does not show is in `REFUSED`, with the reason.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from sandbox.slack.rules import Flag, Kind, Many, Number, Problem, Rule, Shape, Text, Word

# Texts

TEXTS: dict[str, Shape] = {
    "plain_text": Shape({"text!": Text(3000, 1), "emoji": Flag()}),
    "mrkdwn": Shape({"text!": Text(3000, 1), "verbatim": Flag()}),
}


def plain(most: int) -> Rule:
    return Kind(TEXTS, ("plain_text",), most)


def mrkdwn(most: int) -> Rule:
    return Kind(TEXTS, ("mrkdwn",), most)


def either(most: int) -> Rule:
    return Kind(TEXTS, (), most)


_ID = Text(255)
_URL = Text(3000, url=True)
_STYLE = Word(("primary", "danger"))
_CONFIRM = Shape(
    {"title": plain(100), "text!": either(300), "confirm": plain(30), "deny": plain(30), "style": _STYLE},
)
_SLACK_FILE = Shape({"url": Text(), "id": Text()}, one_of=("url", "id"))
_PICTURE: dict[str, Rule] = {"alt_text!": Text(2000), "image_url": _URL, "slack_file": _SLACK_FILE}
IMAGE: dict[str, Shape] = {"image": Shape(_PICTURE, one_of=("image_url", "slack_file"))}

# Rich text

_LOOK = Shape({name: Flag() for name in ("bold", "code", "italic", "strike", "underline")})


def _inline(fields: Mapping[str, Rule]) -> Shape:
    return Shape({**fields, "style": _LOOK})


INLINE: dict[str, Shape] = {
    "text": _inline({"text!": Text(40000)}),
    "link": _inline({"url!": Text(), "text": Text(), "unsafe": Flag()}),
    "user": _inline({"user_id!": Text()}),
    "channel": _inline({"channel_id!": Text()}),
    "usergroup": _inline({"usergroup_id!": Text()}),
    "team": _inline({"team_id!": Text()}),
    "broadcast": _inline({"range!": Word(("here", "channel", "everyone"))}),
    "emoji": _inline({"name!": Text(), "unicode": Text(), "url": Text()}),
    "color": _inline({"value!": Text()}),
    "date": _inline({"timestamp!": Number(), "format!": Text(), "url": Text(), "fallback": Text()}),
}
_BORDER = Word((0, 1))
RICH: dict[str, Shape] = {}
RICH |= {
    "rich_text_section": Shape({"elements!": Many(Kind(INLINE))}),
    "rich_text_quote": Shape({"elements!": Many(Kind(INLINE)), "border": _BORDER}),
    "rich_text_preformatted": Shape(
        {"elements!": Many(Kind(INLINE, ("text", "link"))), "border": _BORDER},
    ),
    "rich_text_list": Shape(
        {
            "elements!": Many(Kind(RICH, ("rich_text_section",))),
            "style!": Word(("bullet", "ordered")),
            "indent": Number(0, 8, whole=True),
            "border": _BORDER,
        },
    ),
}
_RICH_TEXT = Shape({"elements!": Many(Kind(RICH)), "block_id": _ID})
RICH_TEXT: dict[str, Shape] = {"rich_text": _RICH_TEXT}

# Elements

_OPTION = Shape(
    {"text!": plain(75), "value": Text(75), "description": plain(75), "url": _URL},
)
_MARKED_OPTION = Shape(
    {"text!": either(75), "value": Text(75), "description": plain(75), "url": _URL},
)
_GROUP = Shape({"label!": plain(75), "options!": Many(_OPTION, 100)})
_ACTION: dict[str, Rule] = {"action_id": _ID}
_CHOICE: dict[str, Rule] = {**_ACTION, "confirm": _CONFIRM, "focus_on_load": Flag()}
_MENU: dict[str, Rule] = {**_CHOICE, "placeholder": plain(150)}
_SEVERAL: dict[str, Rule] = {**_MENU, "max_selected_items": Number(1, whole=True)}
_STATIC: dict[str, Rule] = {"options": Many(_OPTION, 100, 1), "option_groups": Many(_GROUP, 100, 1)}
_FILTER = Shape(
    {
        "include": Many(Word(("im", "mpim", "private", "public")), least=1),
        "exclude_bot_users": Flag(),
        "exclude_external_shared_channels": Flag(),
    },
)
_CONVERSATIONS: dict[str, Rule] = {"default_to_current_conversation": Flag(), "filter": _FILTER}
_DISPATCH = Shape(
    {"trigger_actions_on": Many(Word(("on_enter_pressed", "on_character_entered")), least=1)},
)
_ENTRY: dict[str, Rule] = {
    **_ACTION,
    "dispatch_action_config": _DISPATCH,
    "focus_on_load": Flag(),
    "placeholder": plain(150),
}
_PARAMETERS = Many(Shape({"name!": Text(), "value!": Text()}))
_TRIGGER = Shape({"url!": _URL, "customizable_input_parameters": _PARAMETERS})
_FEEDBACK = Shape({"text!": plain(75), "value!": Text(2000), "accessibility_label": Text(75)})
_BUTTON: dict[str, Rule] = {
    **_ACTION,
    "text!": plain(75),
    "style": _STYLE,
    "confirm": _CONFIRM,
    "accessibility_label": Text(75),
}


def _initial_is_offered(element: Mapping[str, Any], pointer: str) -> Iterator[Problem]:
    """What is chosen at first must be one of the options, exactly."""
    groups = element.get("option_groups")
    lists = [element.get("options")]
    if isinstance(groups, list):
        lists += [group.get("options") for group in groups if isinstance(group, dict)]
    offered = [option for one in lists if isinstance(one, list) for option in one]
    initial = element.get("initial_options", [element["initial_option"]] if "initial_option" in element else [])
    if isinstance(initial, list) and any(option not in offered for option in initial):
        yield "initial_option must exactly match one of the options provided", pointer


ELEMENTS: dict[str, Shape] = {
    "button": Shape({**_BUTTON, "url": _URL, "value": Text(2000)}),
    "workflow_button": Shape({**_BUTTON, "workflow!": Shape({"trigger!": _TRIGGER})}),
    "overflow": Shape({**_ACTION, "options!": Many(_OPTION, 5, 1), "confirm": _CONFIRM}),
    "checkboxes": Shape(
        {**_CHOICE, "options!": Many(_MARKED_OPTION, 10, 1), "initial_options": Many(_MARKED_OPTION, 10, 1)},
        check=_initial_is_offered,
    ),
    "radio_buttons": Shape(
        {**_CHOICE, "options!": Many(_MARKED_OPTION, 10, 1), "initial_option": _MARKED_OPTION},
        check=_initial_is_offered,
    ),
    "static_select": Shape(
        {**_MENU, **_STATIC, "initial_option": _OPTION},
        one_of=("options", "option_groups"),
        check=_initial_is_offered,
    ),
    "external_select": Shape({**_MENU, "initial_option": _OPTION, "min_query_length": Number(0, whole=True)}),
    "users_select": Shape({**_MENU, "initial_user": Text()}),
    "channels_select": Shape({**_MENU, "initial_channel": Text(), "response_url_enabled": Flag()}),
    "conversations_select": Shape(
        {**_MENU, **_CONVERSATIONS, "initial_conversation": Text(), "response_url_enabled": Flag()},
    ),
    "multi_static_select": Shape(
        {**_SEVERAL, **_STATIC, "initial_options": Many(_OPTION, 100, 1)},
        one_of=("options", "option_groups"),
        check=_initial_is_offered,
    ),
    "multi_external_select": Shape(
        {**_SEVERAL, "initial_options": Many(_OPTION, 100, 1), "min_query_length": Number(0, whole=True)},
    ),
    "multi_users_select": Shape({**_SEVERAL, "initial_users": Many(Text())}),
    "multi_channels_select": Shape({**_SEVERAL, "initial_channels": Many(Text())}),
    "multi_conversations_select": Shape({**_SEVERAL, **_CONVERSATIONS, "initial_conversations": Many(Text())}),
    "datepicker": Shape({**_MENU, "initial_date": Text(10, 10)}),
    "timepicker": Shape({**_MENU, "initial_time": Text(5, 5), "timezone": Text()}),
    "datetimepicker": Shape({**_CHOICE, "initial_date_time": Number(0, whole=True)}),
    "plain_text_input": Shape(
        {
            **_ENTRY,
            "initial_value": Text(3000),
            "multiline": Flag(),
            "min_length": Number(0, 3000, whole=True),
            "max_length": Number(1, 3000, whole=True),
        },
    ),
    "email_text_input": Shape({**_ENTRY, "initial_value": Text()}),
    "url_text_input": Shape({**_ENTRY, "initial_value": Text()}),
    "number_input": Shape(
        {
            **_ENTRY,
            "is_decimal_allowed!": Flag(),
            "initial_value": Text(),
            "min_value": Text(),
            "max_value": Text(),
        },
    ),
    "rich_text_input": Shape(
        {
            **_ENTRY,
            "initial_value": Kind(RICH_TEXT),
            "min_lines": Number(1, whole=True),
            "max_lines": Number(1, whole=True),
        },
    ),
    "file_input": Shape({**_ACTION, "filetypes": Many(Text(), least=1), "max_files": Number(1, 10, whole=True)}),
    "feedback_buttons": Shape({**_ACTION, "positive_button!": _FEEDBACK, "negative_button!": _FEEDBACK}),
    "icon_button": Shape(
        {
            **_ACTION,
            "text!": plain(75),
            "icon!": Text(),
            "value": Text(2000),
            "confirm": _CONFIRM,
            "accessibility_label": Text(75),
            "visible_to_user_ids": Many(Text()),
        },
    ),
}

_SELECTS = tuple(name for name in ELEMENTS if name.endswith("_select"))
_PICKS = (*_SELECTS, "checkboxes", "radio_buttons", "datepicker", "timepicker")
_IN_ACTIONS = (*_PICKS, "button", "overflow", "workflow_button", "datetimepicker", "rich_text_input")
_IN_INPUT = (*_PICKS, "datetimepicker", *(name for name in ELEMENTS if name.endswith("_input")))
_BESIDE_SECTION = Kind({**ELEMENTS, **IMAGE}, (*_PICKS, "button", "overflow", "workflow_button", "image"))

# Tables

CELLS: dict[str, Shape] = {
    "raw_text": Shape({"text!": Text(40000)}),
    "raw_number": Shape({"text!": Text(40000), "value!": Number()}),
    "rich_text": _RICH_TEXT,
}
_COLUMN = Shape({"align": Word(("left", "center", "right")), "is_wrapped": Flag()})


def _same_width(block: Mapping[str, Any], pointer: str) -> Iterator[Problem]:
    rows = block.get("rows")
    if isinstance(rows, list) and len({len(row) for row in rows if isinstance(row, list)}) > 1:
        yield "all rows must have the same number of cells", f"{pointer}/rows"


# Blocks

_BLOCK: dict[str, Rule] = {"block_id": _ID}
BLOCKS: dict[str, Shape] = {}
_SOURCES = Kind({"url": Shape({"url!": _URL, "text!": Text()})})
_CARD = Shape(
    {
        **_BLOCK,
        "title": mrkdwn(150),
        "subtitle": mrkdwn(150),
        "body": mrkdwn(200),
        "icon": Kind(IMAGE),
        "hero_image": Kind(IMAGE),
        "actions": Many(Kind(ELEMENTS, ("button",)), 3),
    },
    any_of=("hero_image", "title", "actions", "body"),
)
_IN_CONTAINER = (
    "actions", "context", "divider", "header", "image", "input", "rich_text", "section", "table",
)  # fmt: skip

BLOCKS |= {
    "section": Shape(
        {
            **_BLOCK,
            "text": either(3000),
            "fields": Many(either(2000), 10, 1),
            "accessory": _BESIDE_SECTION,
            "expand": Flag(),
        },
        any_of=("text", "fields"),
    ),
    "header": Shape({**_BLOCK, "text!": plain(150)}),
    "divider": Shape(_BLOCK),
    "context": Shape({**_BLOCK, "elements!": Many(Kind({**TEXTS, **IMAGE}), 10, 1)}),
    "actions": Shape({**_BLOCK, "elements!": Many(Kind(ELEMENTS, _IN_ACTIONS), 25, 1, unique="action_id")}),
    "context_actions": Shape(
        {**_BLOCK, "elements!": Many(Kind(ELEMENTS, ("feedback_buttons", "icon_button")), 5, 1, unique="action_id")},
    ),
    "input": Shape(
        {
            **_BLOCK,
            "label!": plain(2000),
            "element!": Kind(ELEMENTS, _IN_INPUT),
            "hint": plain(2000),
            "optional": Flag(),
            "dispatch_action": Flag(),
        },
    ),
    "image": Shape({**_BLOCK, **_PICTURE, "title": plain(2000)}, one_of=("image_url", "slack_file")),
    "rich_text": _RICH_TEXT,
    "markdown": Shape({**_BLOCK, "text!": Text(12000, 1)}),
    "table": Shape(
        {
            **_BLOCK,
            "rows!": Many(Many(Kind(CELLS), 20, 1), 100, 1),
            "column_settings": Many(_COLUMN, 20),
        },
    ),
    "data_table": Shape(
        {
            **_BLOCK,
            "caption!": Text(3000, 1),
            "rows!": Many(Many(Kind(CELLS), 20, 1), 101, 2),
            "page_size": Number(1, 100, whole=True),
            "row_header_column_index": Number(0, 19, whole=True),
        },
        check=_same_width,
    ),
    "task_card": Shape(
        {
            **_BLOCK,
            "task_id!": Text(255, 1),
            "title!": Text(3000, 1),
            "status!": Word(("pending", "in_progress", "complete", "error")),
            "details": Kind(RICH_TEXT),
            "output": Kind(RICH_TEXT),
            "sources": Many(_SOURCES),
        },
    ),
    "plan": Shape(
        {**_BLOCK, "title!": Text(3000, 1), "tasks": Many(Kind(BLOCKS, ("task_card",)), unique="task_id")},
    ),
    "alert": Shape(
        {**_BLOCK, "text!": either(200), "level": Word(("default", "info", "warning", "error", "success"))},
    ),
    "card": _CARD,
    "carousel": Shape({**_BLOCK, "elements!": Many(Kind(BLOCKS, ("card",)), 10, 1)}),
    "container": Shape(
        {
            **_BLOCK,
            "title": plain(150),
            "rich_text_title": Kind(RICH_TEXT),
            "subtitle": either(150),
            "child_blocks!": Many(Kind(BLOCKS, _IN_CONTAINER), 10, 1),
            "width": Word(("narrow", "standard", "wide", "full")),
            "icon": Kind(IMAGE),
            "is_collapsible": Flag(),
            "default_collapsed": Flag(),
            "has_header_divider": Flag(),
        },
        any_of=("title", "rich_text_title"),
    ),
}

REFUSED: Mapping[str, str] = {
    "file": "an app can't send it: Slack adds it where a remote file is shown",
    "video": "needs unfurl domains and the scope links.embed:write, which this app does not have",
    "data_visualization": "charts are not drawn in the sandbox",
}

# Where a block may stand; what is not named here may stand everywhere.
MESSAGES_ONLY = frozenset({"markdown", "table", "data_table", "plan", "task_card", "context_actions", "carousel"})
