"""Slack's limits over a whole message or view: how many blocks, how long altogether, which ids twice.

The Web API, response URLs and acknowledgements with a payload ask here before anything is shown.
"""

import json
from collections.abc import Iterator
from typing import Any

from sandbox.slack.blocks import BLOCKS, MESSAGES_ONLY, plain
from sandbox.slack.model import Json, Refused
from sandbox.slack.rules import Flag, Kind, Many, Problem, Rule, Shape, Text

TEXT_AT_MOST = 40_000
BLOCKS_IN_MESSAGE = 50
BLOCKS_IN_VIEW = 100
MARKDOWN_TOGETHER = 12_000
# Not in Slack's reference, but seen by its users: all texts of a message's blocks together.
BLOCK_TEXT_TOGETHER = 13_200
METADATA_AT_MOST = 8_000

_MESSAGE = Many(Kind(BLOCKS), BLOCKS_IN_MESSAGE)
_VIEW: dict[str, Rule] = {
    "blocks!": Many(Kind(BLOCKS, tuple(set(BLOCKS) - MESSAGES_ONLY)), BLOCKS_IN_VIEW),
    "private_metadata": Text(3000),
    "callback_id": Text(255),
    "external_id": Text(255),
}
VIEWS = {
    "home": Shape(_VIEW),
    "modal": Shape(
        {
            **_VIEW,
            "title!": plain(24),
            "submit": plain(24),
            "close": plain(24),
            "clear_on_close": Flag(),
            "notify_on_close": Flag(),
        },
    ),
}


def message_problems(blocks: Any) -> Iterator[Problem]:
    yield from _MESSAGE.problems(blocks, "/blocks")
    if not isinstance(blocks, list):
        return
    known = [block for block in blocks if isinstance(block, dict)]
    yield from _twice(known)
    tables = sum(1 for block in _all_blocks(known) if block.get("type") in ("table", "data_table"))
    if tables > 1:
        yield "only_one_table_allowed", "/blocks"
    together = sum(
        len(block["text"]) for block in known if block.get("type") == "markdown" and isinstance(block.get("text"), str)
    )
    if together > MARKDOWN_TOGETHER:
        yield f"markdown blocks must be less than {MARKDOWN_TOGETHER + 1} characters together", "/blocks"


def view_problems(view: Any) -> Iterator[Problem]:
    yield from Kind(VIEWS).problems(view, "/view")
    if not isinstance(view, dict) or not isinstance(view.get("blocks"), list):
        return
    known = [block for block in view["blocks"] if isinstance(block, dict)]
    yield from _twice(known)
    inputs = any(block.get("type") == "input" for block in known)
    if view.get("type") == "modal" and inputs and "submit" not in view:
        yield "missing required field: submit", "/view"


def check_message(text: Any, blocks: Any) -> None:
    """Refuse what Slack would refuse in a message."""
    if text is not None and not isinstance(text, str):
        raise Refused("invalid_arguments", "[ERROR] must be a string [json-pointer:/text]")
    if text and len(text) > TEXT_AT_MOST:
        raise Refused("msg_too_long")
    if blocks is None or blocks == []:
        return
    if problems := list(message_problems(blocks)):
        raise Refused("invalid_blocks", *_written(problems))
    if sum(map(len, _texts(blocks))) > BLOCK_TEXT_TOGETHER:
        raise Refused("msg_blocks_too_long")


def check_view(view: Any) -> None:
    if problems := list(view_problems(view)):
        raise Refused("invalid_arguments", *_written(problems))


def check_metadata(metadata: Any) -> None:
    """An event type and a flat payload of the app's own, kept with a message so that it can be found again."""
    if not isinstance(metadata, dict) or not isinstance(metadata.get("event_type"), str):
        raise Refused("invalid_metadata_format")
    if not isinstance(metadata.get("event_payload"), dict):
        raise Refused("invalid_metadata_format")
    if len(json.dumps(metadata)) > METADATA_AT_MOST:
        raise Refused("metadata_too_large")


def _written(problems: list[Problem]) -> list[str]:
    return [f"[ERROR] {words} [json-pointer:{pointer}]" for words, pointer in dict.fromkeys(problems)]


def _all_blocks(blocks: list[Json]) -> Iterator[Json]:
    for block in blocks:
        yield block
        children = block.get("child_blocks")
        if isinstance(children, list):
            yield from _all_blocks([child for child in children if isinstance(child, dict)])


def _twice(blocks: list[Json]) -> Iterator[Problem]:
    seen: set[str] = set()
    for block in _all_blocks(blocks):
        block_id = block.get("block_id")
        if isinstance(block_id, str) and block_id:
            if block_id in seen:
                yield f"`block_id` {block_id} already exists", "/blocks"
            seen.add(block_id)


def _texts(value: Any) -> Iterator[str]:
    """Every text that a reader sees."""
    if isinstance(value, list):
        for item in value:
            yield from _texts(item)
    elif isinstance(value, dict):
        for key, item in value.items():
            if key in {"text", "title", "caption"} and isinstance(item, str):
                yield item
            else:
                yield from _texts(item)
