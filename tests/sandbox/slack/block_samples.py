"""One good sample of each block and view, as rich as Slack allows: what the limits and Slack's schema are tried with."""


def plain(text="text"):
    return {"type": "plain_text", "text": text, "emoji": True}


def mrkdwn(text="text"):
    return {"type": "mrkdwn", "text": text}


def option(value="v"):
    return {"text": plain(value), "value": value, "description": plain()}


PICTURE = {"type": "image", "image_url": "https://pictures.test/one.png", "alt_text": "one"}
CONFIRM = {"title": plain(), "text": mrkdwn(), "confirm": plain(), "deny": plain(), "style": "danger"}
BUTTON = {
    "type": "button",
    "action_id": "press",
    "text": plain(),
    "value": "v",
    "style": "primary",
    "confirm": CONFIRM,
    "accessibility_label": "press",
    "url": "https://page.test/",
}
RICH = {
    "type": "rich_text",
    "elements": [
        {
            "type": "rich_text_section",
            "elements": [
                {"type": "text", "text": "bold", "style": {"bold": True}},
                {"type": "link", "url": "https://page.test/", "text": "page"},
                {"type": "user", "user_id": "U1"},
                {"type": "channel", "channel_id": "C1"},
                {"type": "usergroup", "usergroup_id": "S1"},
                {"type": "broadcast", "range": "here"},
                {"type": "emoji", "name": "lock"},
                {"type": "date", "timestamp": 1, "format": "{time}", "fallback": "now"},
            ],
        },
        {
            "type": "rich_text_list",
            "style": "bullet",
            "indent": 1,
            "elements": [{"type": "rich_text_section", "elements": [{"type": "text", "text": "item"}]}],
        },
        {"type": "rich_text_preformatted", "border": 0, "elements": [{"type": "text", "text": "code"}]},
        {"type": "rich_text_quote", "elements": [{"type": "text", "text": "quoted"}]},
    ],
}
TASK = {
    "type": "task_card",
    "task_id": "backend",
    "title": "Backend rollout",
    "status": "in_progress",
    "details": RICH,
    "output": RICH,
    "sources": [{"type": "url", "url": "https://page.test/", "text": "page"}],
}
MENUS = [
    {"type": "static_select", "action_id": "a", "options": [option()], "placeholder": plain()},
    {"type": "static_select", "action_id": "b", "option_groups": [{"label": plain(), "options": [option()]}]},
    {"type": "multi_static_select", "action_id": "c", "options": [option()], "initial_options": [option()]},
    {"type": "external_select", "action_id": "d", "min_query_length": 2, "placeholder": plain()},
    {"type": "users_select", "action_id": "e", "initial_user": "U1"},
    {"type": "multi_users_select", "action_id": "f", "max_selected_items": 3},
    {"type": "conversations_select", "action_id": "g", "filter": {"include": ["public"]}},
    {"type": "channels_select", "action_id": "h", "initial_channel": "C1"},
    {"type": "datepicker", "action_id": "i", "initial_date": "2026-11-24"},
    {"type": "timepicker", "action_id": "j", "initial_time": "18:00", "timezone": "Europe/London"},
    {"type": "datetimepicker", "action_id": "k", "initial_date_time": 1_795_000_000},
    {"type": "checkboxes", "action_id": "l", "options": [{"text": mrkdwn(), "value": "x"}]},
    {"type": "radio_buttons", "action_id": "m", "options": [option()], "initial_option": option()},
    {"type": "overflow", "action_id": "n", "options": [option("one"), option("two")], "confirm": CONFIRM},
    BUTTON,
]
INPUTS = [
    {
        "type": "plain_text_input",
        "action_id": "o",
        "multiline": True,
        "min_length": 1,
        "max_length": 200,
        "initial_value": "v",
        "placeholder": plain(),
        "dispatch_action_config": {"trigger_actions_on": ["on_enter_pressed"]},
    },
    {"type": "number_input", "action_id": "p", "is_decimal_allowed": False, "min_value": "1", "max_value": "9"},
    {"type": "email_text_input", "action_id": "q", "placeholder": plain()},
    {"type": "url_text_input", "action_id": "r"},
    {"type": "rich_text_input", "action_id": "s", "initial_value": RICH},
    {"type": "file_input", "action_id": "t", "filetypes": ["log"], "max_files": 2},
    *MENUS[:13],
]
ROWS = [
    [{"type": "raw_text", "text": "Service"}, {"type": "raw_text", "text": "Pods"}],
    [RICH, {"type": "raw_number", "text": "3", "value": 3}],
]
BLOCKS = [
    {"type": "section", "block_id": "one", "text": mrkdwn(), "fields": [plain(), mrkdwn()], "accessory": BUTTON},
    {"type": "section", "text": plain(), "accessory": PICTURE, "expand": True},
    {"type": "header", "text": plain()},
    {"type": "divider"},
    {"type": "context", "elements": [PICTURE, mrkdwn(), plain()]},
    {"type": "actions", "elements": MENUS},
    *({"type": "input", "label": plain(), "element": element, "hint": plain(), "optional": True} for element in INPUTS),
    {**PICTURE, "title": plain()},
    RICH,
    {"type": "markdown", "text": "# Title"},
    {"type": "table", "rows": ROWS, "column_settings": [{"align": "right", "is_wrapped": True}]},
    {"type": "data_table", "caption": "Pods", "rows": ROWS, "page_size": 5, "row_header_column_index": 0},
    {"type": "plan", "title": "Deploying", "tasks": [TASK]},
    TASK,
    {"type": "alert", "text": mrkdwn(), "level": "warning"},
    {"type": "card", "title": mrkdwn(), "body": mrkdwn(), "icon": PICTURE, "actions": [BUTTON]},
    {"type": "carousel", "elements": [{"type": "card", "title": mrkdwn()}]},
    {
        "type": "container",
        "title": plain(),
        "subtitle": mrkdwn(),
        "is_collapsible": True,
        "width": "wide",
        "child_blocks": [{"type": "divider"}, {"type": "section", "text": plain()}],
    },
    {
        "type": "context_actions",
        "elements": [
            {
                "type": "feedback_buttons",
                "action_id": "good",
                "positive_button": {"text": plain(), "value": "yes"},
                "negative_button": {"text": plain(), "value": "no"},
            },
            {"type": "icon_button", "action_id": "bin", "icon": "trash", "text": plain()},
        ],
    },
]
MODAL = {
    "type": "modal",
    "title": plain(),
    "submit": plain(),
    "close": plain(),
    "callback_id": "form",
    "private_metadata": "x",
    "notify_on_close": True,
    "blocks": [
        {"type": "input", "block_id": "i", "label": plain(), "element": INPUTS[0]},
        {"type": "section", "text": mrkdwn()},
        {"type": "alert", "text": plain()},
    ],
}
HOME = {"type": "home", "callback_id": "home", "blocks": [{"type": "header", "text": plain()}, BLOCKS[5]]}
