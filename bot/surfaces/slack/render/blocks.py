"""A card → a message: its `text` (the whole thing in words, as a notification says it) and its blocks, within Slack's limits.

What does not fit is left out at the border of a line, row or step, is named in the message, and stands whole in a file beside it.
"""

import secrets
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Literal

from bot.boundary.accounts import Directory
from bot.surfaces.slack.json_path import list_at, text_at
from bot.surfaces.slack.render.buttons import actions, choosing
from bot.surfaces.slack.render.elements import Drawing, rich_text, section
from bot.surfaces.slack.render.mrkdwn import Block, escaped, line, rich, shortened, unbroken
from bot.surfaces.slack.render.truncation import Truncation, as_text
from commands.kit.card import Attachment, Card, words
from runbooks.metrics.chart import Chart
from runbooks.wording import duration

TEXT_AT_MOST = 3900
"""Slack advises 4 000 characters."""
_TITLE = 500
_TEXTS = frozenset({"text", "title", "caption"})
BLOCKS = {"message": 50, "home": 100, "modal": 100}
_RESERVED = 12
"""Blocks for what is said of the ones that are left out, and for what a surface adds to a card."""

Surface = Literal["message", "home", "modal"]


@dataclass(frozen=True, slots=True)
class DrawnCard:
    """A card, drawn: what goes into the message, and the files beside it."""

    text: str
    blocks: list[Block] = field(default_factory=list)
    files: tuple[Attachment | Chart, ...] = ()
    """A chart is a picture of it."""


def drawn(card: Card, names: Directory, *, newest: bool = True, surface: Surface = "message") -> DrawnCard:
    """Return the card for that surface. `newest`: plan, task card and table blocks, which only messages take."""
    drawing = Drawing(names, newest=newest and surface == "message")
    last = [*(choosing(card.choices) if card.choices is not None else []), *actions(card.buttons)]
    most = BLOCKS[surface] - _RESERVED - len(last)
    space = Truncation(parts=most)
    blocks = [_title(card, names)]
    for element in card.body:
        fitted = space.fitted(element, names)
        made = drawing.blocks(fitted) if fitted is not None else []
        # as drawn it may be longer than its words: columns are padded, and signs are escaped
        if made and space.takes(element, sum(map(len, _shown(made))), fits=len(blocks) + len(made) <= most):
            blocks += made
    files: tuple[Attachment | Chart, ...] = tuple(
        element for element in card.body if isinstance(element, Attachment | Chart)
    )
    has_lines = any(isinstance(file, Attachment) for file in files)
    if space.missing and surface == "message" and not (has_lines and space.only_lines):
        files = (*files, _whole(card, names))
    if space.missing:
        said = f"Omitted because of length: {_listed(space.missing)}."
        where = f" The full text is in the file {files[-1].filename} below." if surface == "message" else ""
        blocks += drawing.note(words(said + where))
    blocks += last
    return DrawnCard(text=summary(card), blocks=_with_ids(blocks), files=files)


def summary(card: Card) -> str:
    """Return the card in one line of words, which is all that a notification and an old client show."""
    said = escaped(line(card.summary).strip()) or "…"
    return shortened(f"{card.state.sign} {said}" if card.state else said, TEXT_AT_MOST)


def _title(card: Card, names: Directory) -> Block:
    elements = rich(card.title, names)
    left = _TITLE
    for element in elements:
        if text := text_at(element, "text"):
            kept = shortened(text, max(left, 1))
            element["text"] = kept
            left -= len(kept)
    sign: list[Block] = [{"type": "text", "text": f"{card.state.sign} "}] if card.state else []
    took: list[Block] = (
        [{"type": "text", "text": unbroken(f" · {duration(card.elapsed)}")}] if card.elapsed is not None else []
    )
    return rich_text(
        section([*sign, *elements, *took] or [{"type": "text", "text": line(card.summary)[:_TITLE] or "…"}])
    )


def _shown(value: object) -> Iterator[str]:
    """Every text of blocks that a reader sees."""
    if isinstance(value, list):
        for item in value:
            yield from _shown(item)
    elif isinstance(value, dict):
        for key, item in value.items():
            if key in _TEXTS and isinstance(item, str):
                yield item
            else:
                yield from _shown(item)


def _whole(card: Card, names: Directory) -> Attachment:
    return Attachment(filename="whole-text.txt", content=as_text(card, names), summary="the full text")


def _listed(missing: list[str]) -> str:
    shown = missing[:8]
    more = [f"{len(missing) - len(shown)} more"] if len(missing) > len(shown) else []
    return ", ".join([*shown, *more])


def _with_ids(blocks: list[Block]) -> list[Block]:
    """Return each block with an id of its own, a new one for each state of the message, as Slack asks."""
    draw = secrets.token_hex(4)
    for place, block in enumerate(blocks):
        block["block_id"] = f"{draw}-{place}"
        for task in list_at(block, "tasks"):
            if isinstance(task, dict):
                task["block_id"] = f"{draw}-{place}-{task['task_id']}"
    return blocks
