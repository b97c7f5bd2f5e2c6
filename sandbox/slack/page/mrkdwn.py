"""Text as people see it: Slack's mrkdwn, plain text and Markdown, made into HTML that holds nothing but what is written here.

Everything that comes in is somebody's data. It is escaped as a whole; tags come only from this module. Used by the
templates through `rendering.py`.
"""

import re
from functools import cache, partial
from typing import Any
from urllib.parse import urlsplit

import emoji
from markdown_it import MarkdownIt
from markupsafe import Markup, escape

from sandbox.slack.page.reader import Reader, token_date

_FENCE = re.compile(r"```\n?(.+?)\n?```", re.DOTALL)
_CODE = re.compile(r"`([^`\n]+)`")
_TOKEN = re.compile(r"<([^<>\n]+)>")
_ADDRESS = re.compile(r"https?://[^\s<>\"'`\ue000\ue001]+[^\s<>\"'`.,;:!?)\]\ue000\ue001]")
_MESSAGE = re.compile(r"https?://[^/\s]+/archives/([A-Z0-9]+)/p(\d{10})(\d{6})")
_SHORT_CODE = re.compile(r"(?<!\w):[a-z0-9_+\-']+:(?!\w)")
_QUOTE = re.compile(r"^(?:&gt;|>) ?(.*)$")
_HELD = re.compile("\ue000(\\d+)\ue001")
_EDGE = r"(?<![^\W_])(?<!{0}){0}(?=\S)([^\n]{{1,1000}}?)(?<=\S){0}(?![^\W_])(?!{0})"
_STYLES = tuple(
    (re.compile(_EDGE.format(re.escape(sign))), tag) for sign, tag in (("*", "strong"), ("_", "em"), ("~", "s"))
)
# Slack has names of its own for these.
_OTHER_NAMES = {
    "large_yellow_circle": "yellow_circle",
    "large_green_circle": "green_circle",
    "large_red_circle": "red_circle",
    "large_orange_circle": "orange_circle",
    "simple_smile": "smile",
}


def safe_url(url: str) -> str:
    """The address, if a browser may be sent there: http and https, with a host. Else nothing."""
    url = url.strip()
    try:
        parts = urlsplit(url)
    except ValueError:
        return ""
    clean = not any(ord(sign) <= ord(" ") or sign in "\ue000\ue001" for sign in url)
    return url if clean and parts.scheme in {"http", "https"} and parts.netloc else ""


def link(url: str, label: str | Markup, reader: Reader | None = None) -> Markup:
    """A link to another page, or only its label where the address is none to follow; one to a message leads to its thread here."""
    if reader is not None and (found := _MESSAGE.fullmatch(url)) and (name := reader.names.channels.get(found[1])):
        there = f"{reader.base}/{name}/{found[2]}.{found[3]}"
        return Markup('<a href="{0}" data-go>{1}</a>').format(there, label)
    if not safe_url(url):
        return escape(label)
    return Markup('<a href="{0}" title="{0}" target="_blank" rel="noreferrer noopener">{1}</a>').format(url, label)


def emojis(text: str) -> str:
    """`:white_check_mark:` as the sign itself; what is no emoji's name stays as it is."""

    def sign(found: re.Match[str]) -> str:
        name = found[0].strip(":")
        return emoji.emojize(f":{_OTHER_NAMES.get(name, name)}:", language="alias")

    return _SHORT_CODE.sub(lambda found: found[0] if ":" in sign(found) else sign(found), text)


def plain(text: str, *, with_emoji: bool = True) -> Markup:
    """A plain_text object: no markup, no mention, no link."""
    return escape(emojis(text) if with_emoji else text)


def mrkdwn(text: str, reader: Reader, *, verbatim: bool = False) -> Markup:
    """A whole mrkdwn text: fenced blocks, quotes, lines."""
    text = text.replace("\ue000", "").replace("\ue001", "")
    parts: list[Markup] = []
    at = 0
    for fence in _FENCE.finditer(text):
        parts.append(_lines(text[at : fence.start()].removesuffix("\n"), reader, verbatim))
        parts.append(Markup("<pre>{}</pre>").format(_code_text(fence[1])))
        at = fence.end()
        at += text[at : at + 1] == "\n"
    parts.append(_lines(text[at:], reader, verbatim))
    return Markup("").join(parts)


def _lines(text: str, reader: Reader, verbatim: bool) -> Markup:
    """Lines that begin with `>` are gathered into a quote; other line ends are kept as they are."""
    out: list[Markup] = []
    quote: list[str] = []
    open_line = False

    def close_quote() -> None:
        if quote:
            out.append(
                Markup("<blockquote>{}</blockquote>").format(inline("\n".join(quote), reader, verbatim=verbatim))
            )
            quote.clear()

    for line in text.split("\n") if text else ():
        if (quoted := _QUOTE.match(line)) is not None:
            quote.append(quoted[1])
            open_line = False
            continue
        close_quote()
        out.append((Markup("<br>") if open_line else Markup("")) + inline(line, reader, verbatim=verbatim))
        open_line = True
    close_quote()
    return Markup("").join(out)


def inline(text: str, reader: Reader, *, verbatim: bool = False) -> Markup:
    """Code, tokens in angle brackets, bold, italic, struck, short codes, addresses.

    What is finished is held back behind a private character, so that no later rule looks inside it.
    """
    held: list[Markup] = []

    def hold(done: Markup) -> str:
        held.append(done)
        return f"\ue000{len(held) - 1}\ue001"

    text = _CODE.sub(lambda found: hold(Markup("<code>{}</code>").format(_code_text(found[1]))), text)
    text = _TOKEN.sub(lambda found: hold(_token(found[1], reader)), text)
    text = _unescape(text)
    if not verbatim:
        text = _ADDRESS.sub(lambda found: hold(link(found[0], found[0])), text)
    text = _SHORT_CODE.sub(lambda found: emojis(found[0]), text)
    shown = str(escape(text))
    for pattern, tag in _STYLES:
        shown = pattern.sub(partial(_styled, tag), shown)
    shown = shown.replace("\n", "<br>")
    while _HELD.search(shown):
        shown = _HELD.sub(lambda found: str(held[int(found[1])]), shown)
    return Markup(shown)  # noqa: S704 - escaped above, as a whole, before any tag was put in


def _styled(tag: str, found: re.Match[str]) -> str:
    """The text between two signs in its tag, unless that would cut through a tag put there before."""
    inside = found[1]
    whole = inside.count("<") == 2 * inside.count("</")
    return f"<{tag}>{inside}</{tag}>" if whole else found[0]


def _unescape(text: str) -> str:
    """Slack's three entities, and no others: `&copy;` is five letters and two signs."""
    return text.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&")


def _code_text(text: str) -> str:
    """Inside code nothing is formatted, but a link is still written as its words."""
    words = _TOKEN.sub(lambda found: found[1].rpartition("|")[2] if "|" in found[1] else found[1], text)
    return _unescape(words)


def _token(content: str, reader: Reader) -> Markup:
    target, _, label = content.partition("|")
    label = _unescape(label)
    if target.startswith("@"):
        return mention(target[1:], reader)
    if target.startswith("#"):
        return channel(target[1:], reader)
    if target.startswith("!"):
        return _special(target[1:], label, reader)
    return link(_unescape(target), emojis(label) or _unescape(target).removeprefix("mailto:"), reader)


def mention(person: str, reader: Reader) -> Markup:
    """Only an id that exists is drawn as a mention; its name comes from the workspace, never from the text."""
    name = reader.names.people.get(person)
    if name is None:
        return escape("@unknown")
    kind = "mention mention-you" if person == reader.person else "mention"
    return Markup('<span class="{}">@{}</span>').format(kind, name)


def channel(channel_id: str, reader: Reader) -> Markup:
    name = reader.names.channels.get(channel_id)
    if name is None:
        return escape("#unknown")
    return Markup('<a class="mention" href="{}/{}" data-go>#{}</a>').format(reader.base, name, name)


def group(group_id: str, reader: Reader) -> Markup:
    name = reader.names.groups.get(group_id)
    if name is None:
        return escape("@unknown-group")
    kind = "mention mention-you" if group_id in reader.groups else "mention"
    return Markup('<span class="{}">@{}</span>').format(kind, name)


def broadcast(word: str) -> Markup:
    return Markup('<span class="mention mention-you">@{}</span>').format(word)


def date(stamp: float, template: str, reader: Reader, *, url: str = "") -> Markup:
    moment = reader.time(stamp)
    shown = Markup('<time datetime="{}" title="{}"{}>{}</time>').format(
        moment.isoformat(),
        f"{moment:%A}, {moment.day} {moment:%B %Y, %H:%M:%S}",
        Markup(" data-ago") if template.strip() == "{ago}" else "",
        token_date(stamp, template, reader),
    )
    return link(url, shown) if url else shown


def _special(word: str, label: str, reader: Reader) -> Markup:
    if word in {"here", "channel", "everyone"}:
        return broadcast(word)
    if word.startswith("subteam^"):
        return group(word.removeprefix("subteam^"), reader)
    if word.startswith("date^"):
        _, stamp, template, *rest = [*word.split("^"), "", ""]
        try:
            return date(float(stamp), _unescape(template), reader, url=_unescape(rest[0]) if rest else "")
        except (ValueError, OverflowError, OSError):
            return escape(label)
    return escape(label or word)


@cache
def _markdown() -> MarkdownIt:
    parser = MarkdownIt("commonmark", {"html": False, "breaks": True}).enable(["table", "strikethrough"])
    parser.disable(["html_block", "html_inline", "image"])
    parser.validateLink = lambda url: bool(safe_url(url))  # type: ignore[method-assign]
    parser.add_render_rule("link_open", _link_open)
    return parser


def _link_open(renderer: Any, tokens: Any, index: int, options: Any, env: Any) -> str:
    tokens[index].attrSet("target", "_blank")
    tokens[index].attrSet("rel", "noreferrer noopener")
    return str(renderer.renderToken(tokens, index, options, env))


def markdown(text: str) -> Markup:
    """A `markdown` block. The parser escapes; it knows no HTML, no pictures, and only http and https."""
    return Markup(_markdown().render(emojis(text)))  # noqa: S704 - the parser runs with html off
