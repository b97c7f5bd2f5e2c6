import pytest

from sandbox.slack import blocks as block_kit
from sandbox.slack import matrix
from sandbox.slack.calls import METHODS
from sandbox.slack.limits import check_message, check_view
from sandbox.slack.workspace import Refused
from tests.sandbox.slack.block_samples import (
    BLOCKS,
    BUTTON,
    HOME,
    MENUS,
    MODAL,
    PICTURE,
    ROWS,
    TASK,
    mrkdwn,
    option,
    plain,
)

SECTION = {"type": "section", "text": mrkdwn()}
CELL = {"type": "raw_text", "text": "x"}


def actions(*elements: dict):
    return [{"type": "actions", "elements": list(elements)}]


def message_error(blocks):
    with pytest.raises(Refused) as caught:
        check_message("text", blocks)
    return caught.value


@pytest.mark.parametrize("block", BLOCKS, ids=lambda block: block["type"])
def test_a_good_block_is_taken(block):
    check_message("text", [block])


def test_good_views_are_taken():
    check_view(MODAL)
    check_view(HOME)


@pytest.mark.parametrize(
    ("blocks", "words"),
    [
        ([SECTION] * 51, "no more than 50 items allowed [json-pointer:/blocks]"),
        ([{"type": "section", "text": mrkdwn("x" * 3001)}], "must be less than 3001 characters"),
        ([{"type": "section", "text": mrkdwn("")}], "must be more than 0 characters"),
        ([{"type": "section"}], "must have at least one of: text, fields"),
        ([{"type": "section", "fields": [plain()] * 11}], "no more than 10 items"),
        ([{"type": "section", "fields": [plain("x" * 2001)]}], "must be less than 2001 characters"),
        ([{"type": "header", "text": plain("x" * 151)}], "must be less than 151 characters"),
        ([{"type": "header", "text": mrkdwn()}], "unsupported type: mrkdwn"),
        ([{"type": "context", "elements": [plain()] * 11}], "no more than 10 items"),
        (actions(*({**BUTTON, "action_id": str(number)} for number in range(26))), "no more than 25 items"),
        (actions(BUTTON, BUTTON), "`action_id` press already exists"),
        (actions({**BUTTON, "text": plain("x" * 76)}), "must be less than 76 characters"),
        (actions({**BUTTON, "value": "x" * 2001}), "must be less than 2001 characters"),
        (actions({**BUTTON, "action_id": "x" * 256}), "must be less than 256 characters"),
        (actions({**BUTTON, "style": "green"}), "must be a valid enum value"),
        (actions({**BUTTON, "colour": "green"}), "invalid additional property: colour"),
        (actions({**MENUS[0], "options": [option(str(n)) for n in range(101)]}), "no more than 100 items"),
        (actions({**MENUS[0], "options": [option("x" * 76)]}), "must be less than 76 characters"),
        (actions({**MENUS[0], "initial_option": option("other")}), "must exactly match one of the options"),
        (actions({**MENUS[0], "options": [{**option(), "type": "option"}]}), "invalid additional property: type"),
        (actions({**MENUS[0], "option_groups": []}), "must have exactly one of: options, option_groups"),
        ([{**SECTION, "block_id": "x" * 256}], "must be less than 256 characters"),
        ([{**SECTION, "block_id": "one"}] * 2, "`block_id` one already exists"),
        ([{"type": "image", "alt_text": "x"}], "must have exactly one of: image_url, slack_file"),
        ([{**PICTURE, "image_url": "file:///x"}], "must be a valid URL"),
        ([{"type": "markdown", "text": "x" * 6001}] * 2, "markdown blocks must be less than 12001 characters"),
        ([{"type": "table", "rows": [[CELL]] * 101}], "no more than 100 items"),
        ([{"type": "table", "rows": [[CELL] * 21]}], "no more than 20 items"),
        ([{"type": "table", "rows": ROWS}] * 2, "only_one_table_allowed"),
        ([{"type": "data_table", "rows": ROWS}], "missing required field: caption"),
        ([{"type": "data_table", "caption": "c", "rows": [[CELL], [CELL, CELL]]}], "the same number of cells"),
        ([{"type": "plan", "title": plain(), "tasks": []}], "must be a string [json-pointer:/blocks/0/title]"),
        ([{"type": "plan", "title": "t", "tasks": [TASK, TASK]}], "`task_id` backend already exists"),
        ([{**TASK, "status": "failed"}], "must be a valid enum value"),
        ([{**TASK, "details": "text"}], "must be an object"),
        ([{"type": "alert", "text": plain("x" * 201)}], "must be less than 201 characters"),
        ([{"type": "card"}], "must have at least one of"),
        ([{"type": "container", "title": plain(), "child_blocks": [TASK]}], "unsupported type: task_card"),
        ([{"type": "input", "label": plain(), "element": BUTTON}], "unsupported type: button"),
        ([{"type": "nonsense"}], "unsupported type: nonsense"),
        ([{}], "missing required field: type"),
        (["section"], "must be an object"),
        ({"type": "section"}, "must be an array"),
    ],
)
def test_a_message_beyond_a_limit_is_refused_with_its_place(blocks, words):
    error = message_error(blocks)
    assert error.error == "invalid_blocks"
    assert any(words in message for message in error.messages), error.messages


@pytest.mark.parametrize("kind", block_kit.REFUSED)
def test_what_the_sandbox_does_not_show_is_refused(kind):
    assert message_error([{"type": kind}]).error == "invalid_blocks"


def test_all_texts_of_the_blocks_together_are_limited():
    assert message_error([{"type": "section", "text": mrkdwn("x" * 2800)}] * 5).error == "msg_blocks_too_long"


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"title": plain("x" * 25)}, "must be less than 25 characters [json-pointer:/view/title/text]"),
        ({"private_metadata": "x" * 3001}, "must be less than 3001 characters"),
        ({"blocks": [SECTION] * 101}, "no more than 100 items"),
        ({"blocks": [{"type": "table", "rows": ROWS}]}, "unsupported type: table"),
        ({"submit_disabled": True}, "invalid additional property"),
        ({"type": "dialog"}, "unsupported type: dialog"),
    ],
)
def test_a_view_beyond_a_limit_is_refused_with_its_place(change, words):
    with pytest.raises(Refused) as caught:
        check_view(MODAL | change)
    assert caught.value.error == "invalid_arguments"
    assert any(words in message for message in caught.value.messages), caught.value.messages


def test_a_form_needs_a_submit_button_and_a_title():
    for name in ("submit", "title"):
        with pytest.raises(Refused) as caught:
            check_view({key: value for key, value in MODAL.items() if key != name})
        assert caught.value.messages == (f"[ERROR] missing required field: {name} [json-pointer:/view]",)


def test_the_matrix_says_what_the_code_has():
    assert set(matrix.METHODS) == set(METHODS)
    assert set(matrix.BLOCKS) == set(block_kit.BLOCKS)
    assert {block["type"] for block in BLOCKS} == set(matrix.BLOCKS)


async def test_every_method_of_the_matrix_has_a_route_and_no_other(slack):
    for name in matrix.METHODS:
        answer = await slack.server_call(name)
        assert answer.get("error") != "unknown_method", name
    assert (await slack.server_call("chat.shout"))["error"] == "unknown_method"
