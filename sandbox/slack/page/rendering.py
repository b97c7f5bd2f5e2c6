"""Blocks, elements, messages and views as HTML: one template for each type, all of it escaped by default.

Used by the handlers and by the live stream, which send the same fragments.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Any

from jinja2 import ChainableUndefined, Environment, PackageLoader, TemplateError, select_autoescape
from markupsafe import Markup

from sandbox.slack.model import File, Json
from sandbox.slack.page import mrkdwn, reader
from sandbox.slack.page.reader import Reader


@dataclass(frozen=True, slots=True)
class Scope:
    """Where a block stands: in whose view, in which message or view, beside which errors.

    `key` begins every DOM id that is made here, so that a message in the channel and in its thread do not share one.
    `where` is what a control tells the server when it is used.
    """

    reader: Reader
    key: str
    where: Mapping[str, str] = field(default_factory=dict)
    errors: Mapping[str, str] = field(default_factory=dict)
    file: Callable[[str], File | None] = lambda _: None


@cache
def environment() -> Environment:
    made = Environment(
        loader=PackageLoader("sandbox.slack.page", "templates"),
        autoescape=select_autoescape(("html", "svg"), default=True),
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=ChainableUndefined,  # what a block leaves out is as if it were empty
    )
    made.globals |= {
        "block": draw_block,
        "element": draw_element,
        "text": draw_text,
        "date": mrkdwn.date,
        "mention": mrkdwn.mention,
        "channel_mention": mrkdwn.channel,
        "group_mention": mrkdwn.group,
        "broadcast": mrkdwn.broadcast,
        "link": mrkdwn.link,
        "markdown": mrkdwn.markdown,
        "sorted_options": chosen_options,
        "dom_id": dom_id,
        "day": reader.day,
        "clock": reader.clock,
        "ago": reader.ago,
    }
    made.filters |= {
        "emojis": mrkdwn.emojis,
        "plain": mrkdwn.plain,
        "safe_url": mrkdwn.safe_url,
        "initials": initials,
        "tone": tone,
        "size": size,
        "dom": dom_id,
    }
    return made


def render(template: str, **values: Any) -> Markup:
    return Markup(environment().get_template(template).render(**values))  # noqa: S704 - autoescape is on


@cache
def known(folder: str) -> frozenset[str]:
    """The types that have a template: the list is the folder."""
    names = environment().list_templates(filter_func=lambda name: name.startswith(f"{folder}/"))
    return frozenset(name.removeprefix(f"{folder}/").removesuffix(".html") for name in names) - {"unknown"}


def draw_block(block: Json, scope: Scope, number: int | str = 0) -> Markup:
    """One block. `number` tells blocks without a block_id apart."""
    kind = str(block.get("type", ""))
    name = kind if kind in known("blocks") else "unknown"
    block_id = str(block.get("block_id") or f"b{number}")
    try:
        return render(f"blocks/{name}.html", it=block, scope=scope, block_id=block_id)
    except (TemplateError, TypeError, ValueError, AttributeError, KeyError):
        # One block that cannot be drawn must not take the channel with it.
        return render("blocks/unknown.html", it=block, scope=scope, block_id=block_id)


def draw_element(element: Json, scope: Scope, block_id: str, *, label: str = "", live: bool = True) -> Markup:
    """A control. `live` controls tell the app as soon as they are used; those of a form wait for its submit button."""
    kind = str(element.get("type", ""))
    name = kind if kind in known("elements") else "unknown"
    action_id = str(element.get("action_id", ""))
    return render(
        f"elements/{name}.html",
        it=element,
        scope=scope,
        block_id=block_id,
        action_id=action_id,
        label=label,
        live=live,
        id=f"{scope.key}-{dom_id(block_id)}-{dom_id(action_id)}",
    )


def draw_text(text: Json | None, scope: Scope) -> Markup:
    """A text object of either kind."""
    if not text:
        return Markup("")
    if text.get("type") == "mrkdwn":
        return mrkdwn.mrkdwn(str(text.get("text", "")), scope.reader, verbatim=bool(text.get("verbatim")))
    return mrkdwn.plain(str(text.get("text", "")), with_emoji=text.get("emoji", True))


def chosen_options(element: Json) -> frozenset[str]:
    """The values that a control shows as chosen before anybody touched it."""
    several = element.get("initial_options") or []
    one = element.get("initial_option")
    named = element.get("initial_users") or []
    first = element.get("initial_user") or element.get("initial_channel") or element.get("initial_conversation")
    options = [*several, *([one] if one else [])]
    return frozenset([*(str(option.get("value")) for option in options), *named, *([first] if first else [])])


def dom_id(name: str) -> str:
    """A name as a part of a DOM id: letters, digits and dashes, two different names never the same."""
    return "".join(sign if sign.isascii() and sign.isalnum() else f"-{ord(sign):x}-" for sign in str(name))


def initials(name: str) -> str:
    words = [word for word in name.replace("-", " ").split() if word[0].isalnum()]
    return "".join(word[0] for word in words[:2]).upper() or "?"


def tone(name: str) -> int:
    """The colour of an avatar, one of eight, always the same for the same name."""
    value = 0
    for sign in name:
        value = (value * 45 + ord(sign)) % 1009  # spreads names and versions that differ in one letter
    return value % 8


def size(count: int) -> str:
    value = float(count)
    for unit in ("B", "kB", "MB"):
        if value < 1000:  # noqa: PLR2004 - the step between units
            return f"{value:.0f} {unit}" if unit == "B" or value >= 10 else f"{value:.1f} {unit}"  # noqa: PLR2004
        value /= 1000
    return f"{value:.1f} GB"
