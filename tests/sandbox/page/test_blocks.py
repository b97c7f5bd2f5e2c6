"""Every block and element has a drawing of its own, and none of them lets a text become markup."""

from typing import Any

import pytest

from sandbox.slack.page import sample_blocks as cards
from sandbox.slack.page.reader import Names, Reader, zone_named
from sandbox.slack.page.rendering import Scope, draw_block, known

READER = Reader(
    "U1", "requester", zone_named("UTC"), Names({"U1": "Requester"}, {"C1": "deploys"}, {}), "/as/requester"
)
SCOPE = Scope(READER, "m1")
NASTY = "<script>alert('x')</script>\"><img src=x onerror=alert(1)>"


def draw(block: dict[str, Any], scope: Scope = SCOPE) -> str:
    return str(draw_block({"block_id": "b", **block}, scope))


def text(words: str) -> dict[str, Any]:
    return {"type": "plain_text", "text": words}


def nasty_rich() -> dict[str, Any]:
    return {"type": "rich_text", "elements": [
        {"type": "rich_text_section", "elements": [{"type": "text", "text": NASTY}, {"type": "link", "url": "javascript:alert(1)", "text": NASTY}]},
        {"type": "rich_text_preformatted", "elements": [{"type": "text", "text": NASTY}]},
        {"type": "rich_text_quote", "elements": [{"type": "text", "text": NASTY, "style": {"bold": True}}]},
        {"type": "rich_text_list", "style": "bullet", "elements": [{"type": "rich_text_section", "elements": [{"type": "emoji", "name": NASTY}]}]},
    ]}  # fmt: skip


def options() -> list[dict[str, Any]]:
    return [{"text": text(NASTY), "value": NASTY, "description": text(NASTY)}]


def elements() -> dict[str, dict[str, Any]]:
    """Each element with something nasty in every place that holds a text."""
    common = {"action_id": NASTY, "placeholder": text(NASTY), "initial_value": NASTY, "confirm": {"title": text(NASTY), "text": {"type": "mrkdwn", "text": NASTY}, "confirm": text(NASTY), "deny": text(NASTY)}}  # fmt: skip
    own: dict[str, dict[str, Any]] = {
        "button": {"text": text(NASTY), "value": NASTY, "url": "javascript:alert(1)"},
        "workflow_button": {"text": text(NASTY)},
        "icon_button": {"text": text(NASTY), "icon": "trash"},
        "feedback_buttons": {"positive_button": {"text": text(NASTY), "value": NASTY}, "negative_button": {"text": text(NASTY), "value": "-"}},
        "image": {"image_url": "javascript:alert(1)", "alt_text": NASTY},
    }  # fmt: skip
    return {kind: {"type": kind, "options": options(), **common, **own.get(kind, {})} for kind in known("elements")}


def blocks() -> dict[str, dict[str, Any]]:
    cell = {"type": "raw_text", "text": NASTY}
    task = {"type": "task_card", "task_id": "1", "title": NASTY, "status": "error", "details": nasty_rich(), "sources": [{"type": "url", "url": "javascript:x", "text": NASTY}]}  # fmt: skip
    words = {"type": "mrkdwn", "text": NASTY}
    card = {"type": "card", "title": words, "subtitle": words, "body": words, "actions": [elements()["button"]]}
    return {
        "section": {"text": words, "fields": [words, text(NASTY)], "accessory": elements()["overflow"]},
        "header": {"text": text(NASTY)},
        "divider": {},
        "context": {"elements": [words, elements()["image"]]},
        "actions": {"elements": [elements()["button"]]},
        "context_actions": {"elements": [elements()["feedback_buttons"], elements()["icon_button"]]},
        "input": {"label": text(NASTY), "hint": text(NASTY), "element": elements()["plain_text_input"]},
        "image": {"image_url": "javascript:alert(1)", "alt_text": NASTY, "title": text(NASTY)},
        "rich_text": nasty_rich(),
        "markdown": {"text": NASTY},
        "table": {"rows": [[cell, nasty_rich()]]},
        "data_table": {"caption": NASTY, "rows": [[cell], [cell]]},
        "plan": {"title": NASTY, "tasks": [task]},
        "task_card": task,
        "alert": {"level": NASTY, "text": text(NASTY)},
        "card": card,
        "carousel": {"elements": [card]},
        "container": {"title": text(NASTY), "subtitle": words, "is_collapsible": True, "child_blocks": [{"type": "section", "text": words}]},
        "file": {"external_id": NASTY, "source": "remote"},
    }  # fmt: skip


def assert_inert(shown: str) -> None:
    lowered = shown.lower()
    assert "<script" not in lowered
    assert "<img src=x" not in lowered
    assert 'href="javascript' not in lowered
    assert "not drawn here" not in shown


def test_every_block_that_has_a_template_is_tried_here() -> None:
    assert set(blocks()) == set(known("blocks"))


@pytest.mark.parametrize("kind", sorted(blocks()))
def test_a_block_shows_nasty_text_as_text(kind: str) -> None:
    shown = draw({"type": kind, **blocks()[kind]})
    assert_inert(shown)
    assert kind in {"divider", "file"} or "&lt;script&gt;" in shown or "script" in shown


@pytest.mark.parametrize("kind", sorted(elements()))
def test_an_element_shows_nasty_text_as_text(kind: str) -> None:
    shown = draw({"type": "actions", "elements": [elements()[kind]]})
    assert_inert(shown)
    assert shown.strip() != '<div class="b-actions" role="group" aria-label="Actions">\n</div>'


def test_a_block_nobody_knows_is_said_to_be_one() -> None:
    assert "not drawn here" in draw({"type": "hologram"})


@pytest.mark.parametrize("block", [{"type": "section", "text": 3}, {"type": "table", "rows": 7}, {"type": "input"}])
def test_a_malformed_block_takes_nothing_else_with_it(block: dict[str, Any]) -> None:
    assert draw(block)


def test_a_plan_says_each_tasks_state_in_words() -> None:
    _, parts = cards.progress()
    shown = draw(parts[1])
    assert [label for label in ("done", "running", "waiting") if f'aria-label="{label}"' in shown] == ["done", "running", "waiting"]  # fmt: skip
    assert "1 of 3" in shown


def test_a_table_has_a_head_and_aligned_columns() -> None:
    _, parts = cards.plan("v2.0.0")
    shown = draw(parts[1])
    assert shown.count("<th scope=col") == 5
    assert "align-right" in shown
    assert "v2.0.0 b81c07" in shown


def test_a_forms_error_stands_under_its_field() -> None:
    block = {"type": "input", "block_id": "reason", "label": text("Reason"), "element": {"type": "plain_text_input", "action_id": "a"}}  # fmt: skip
    scope = Scope(READER, "v1", errors={"reason": "Say a little more."})
    assert "Say a little more." in draw(block, scope)
    assert 'aria-invalid="true"' in draw(block, scope)


def test_a_link_button_leads_elsewhere_safely() -> None:
    element = {"type": "button", "action_id": "a", "text": text("Runbook"), "url": "https://example.com/r"}
    shown = draw({"type": "actions", "elements": [element]})
    assert 'href="https://example.com/r"' in shown
    assert 'rel="noreferrer noopener"' in shown


def test_what_was_chosen_before_is_shown_as_chosen() -> None:
    chosen = {"text": text("staging"), "value": "staging"}
    element = {"type": "static_select", "action_id": "a", "options": [{"text": text("production"), "value": "production"}, chosen], "initial_option": chosen}  # fmt: skip
    assert '<option value="staging" selected>' in draw({"type": "actions", "elements": [element]})
