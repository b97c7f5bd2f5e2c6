"""What Slack's own types refuse, the sandbox refuses too; what is good for both is taken by both."""

import copy
import functools
import json
import os
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from sandbox.slack.limits import check_message, check_view, message_problems, view_problems
from tests.sandbox.slack.block_samples import BLOCKS, HOME, MODAL

SCHEMAS = os.environ.get("SLACK_SCHEMA_DIR", "")
pytestmark = pytest.mark.skipif(
    not SCHEMAS, reason="left out: SLACK_SCHEMA_DIR does not say where Slack's own schemas are"
)
SEEDS: list[tuple[str, Any]] = [
    *(("message", {"text": "text", "blocks": [block]}) for block in BLOCKS),
    ("view", MODAL),
    ("view", HOME),
]
JUNK = [None, True, 0, -1, 1.5, "", "junk", [], {}, ["junk"], {"type": "plain_text"}, {"type": "nonsense"}]


@functools.cache
def schema(kind):
    import jsonschema

    return jsonschema.Draft7Validator(json.loads((Path(SCHEMAS) / f"{kind}.schema.json").read_text()))


def is_taken(kind, payload):
    problems = message_problems(payload["blocks"]) if kind == "message" else view_problems(payload)
    return not list(problems)


@pytest.mark.parametrize(("kind", "payload"), SEEDS)
def test_good_payloads_are_good_for_both(kind, payload):
    schema(kind).validate(payload)
    if kind == "message":
        check_message(payload["text"], payload["blocks"])
    else:
        check_view(payload)


def places(value, path=()):
    """Every place in the payload that can be spoiled, but not the top of a message."""
    if path:
        yield path
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in items:
        yield from places(item, (*path, key))


def spoiled(payload, path, how, junk):
    payload = copy.deepcopy(payload)
    holder = payload
    for key in path[:-1]:
        holder = holder[key]
    key = path[-1]
    if how == "removed":
        del holder[key]
    elif how == "replaced":
        holder[key] = copy.deepcopy(junk)
    elif isinstance(holder, dict):
        holder["unheard_of"] = copy.deepcopy(junk)
    else:
        holder.append(copy.deepcopy(junk))
    return payload


@settings(max_examples=300, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True)
@given(data=st.data())
def test_what_slacks_types_refuse_is_refused(data):
    kind, payload = data.draw(st.sampled_from(SEEDS))
    within = [path for path in places(payload) if kind == "view" or len(path) > 1]
    path = data.draw(st.sampled_from(within))
    bad = spoiled(
        payload, path, data.draw(st.sampled_from(["removed", "replaced", "added"])), data.draw(st.sampled_from(JUNK))
    )
    assume(not schema(kind).is_valid(bad))
    assert not is_taken(kind, bad), (path, bad)


async def test_what_bolt_sends_is_recorded_as_it_came_and_valid(slack):
    await slack.client.chat_postMessage(channel="C1", text="all", blocks=BLOCKS[:6])
    await slack.client.views_open(trigger_id=slack.workspace.new_trigger("U1"), view=MODAL)
    posted, opened = slack.server.record
    assert (posted.method, opened.method) == ("chat.postMessage", "views.open")
    blocks = posted.body["blocks"]
    schema("message").validate({"text": posted.body["text"], "blocks": _plain(blocks)})
    schema("view").validate(_plain(opened.body["view"]))


def _plain(value):
    return json.loads(value) if isinstance(value, str) else value
