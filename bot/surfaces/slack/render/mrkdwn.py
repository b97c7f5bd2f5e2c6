"""A card's text → what Slack shows: rich text elements, mrkdwn where a block takes nothing else, and plain words.

What a card says is data: a log line or a person's name must not ping a channel, pose as a link or as a part of the card. Rich text
is inert, so it is used wherever a block takes it. mrkdwn has no way to escape `*` or `_`: `mrkdwn` gives None where the data could
be taken for markup, and its caller uses rich text instead.
"""

import re
from datetime import UTC
from typing import assert_never
from urllib.parse import urlsplit

from bot.boundary.accounts import Directory
from bot.boundary.printable import BEFORE_UNIT
from commands.kit.card import Code, Link, Moment, PersonName, Plain, Span, Strong, Text

Block = dict[str, object]

_CONTROL = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u00ad\u061c\u180e\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb\U000e0000-\U000e007f]"
)
"""Signs that nobody sees: terminal escapes, those that turn the reading direction or have no width (a text may pose as another one),
and line breaks by other names. Joiners inside an emoji or a script stay.
"""
BREAK = "\n"
"""A span that is nothing else ends the line. Inside data a line break is a space, so no data can pose as a line of ours."""

_MARKUP = re.compile(r"[*_~`]|:[\w+'-]+:|^\s*(?:>|&gt;|[-•]\s|\d+\.\s)", re.MULTILINE)
_LONGEST_URL = 3000
_LOOPBACK = ("127.0.0.1", "localhost")


def clean(text: str) -> str:
    """Return the text without invisible characters, and without halves of characters, which no encoder accepts."""
    return _CONTROL.sub("", text.replace("\r\n", "\n")).encode("utf-8", "replace").decode("utf-8")


def line(text: str) -> str:
    """Return the text, cleaned, on one line."""
    return clean(text).replace("\n", " ")


def unbroken(text: str) -> str:
    """Return the text with a no-break space between each number and its unit or the sign of its limit, so that no line ends between them.

    For words that are read in Slack only: what may be pasted or is read by a program keeps its spaces.
    """
    return BEFORE_UNIT.sub("\u00a0", text)


def in_lines(text: str) -> Text:
    """Return a text of ours whose line breaks are ours."""
    parts = (Plain(text=part) for each in text.split(BREAK) for part in (BREAK, each))
    return Text(spans=tuple(parts)[1:])


def _said(span: Plain | Strong | Code) -> str:
    return BREAK if isinstance(span, Plain) and span.text == BREAK else line(span.text)


def escaped(text: str) -> str:
    """Return the text escaped for mrkdwn and for a message's `text`, so that nothing in it is markup."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def shortened(text: str, most: int) -> str:
    """Return at most so many characters, marked where some are missing."""
    return text if len(text) <= most else text[: most - 1] + "…"


def safe_link(url: str) -> bool:
    """Return whether the address may be live: https anywhere, http on this machine (the sandbox)."""
    if len(url) > _LONGEST_URL or _CONTROL.search(url) or any(sign in url for sign in '<>|" \t\n'):
        return False
    try:
        parts = urlsplit(url)
    except ValueError:
        return False
    if parts.username or parts.password or not parts.hostname:
        return False
    return parts.scheme == "https" or (parts.scheme == "http" and parts.hostname in _LOOPBACK)


def plain(text: Text, names: Directory) -> str:
    """Return the words alone, for files and for where only plain text may stand."""
    return "".join(_words(span, names) for span in text.spans)


def _words(span: Span, names: Directory) -> str:
    match span:
        case Plain() | Strong() | Code():
            return _said(span)
        case PersonName():
            return line(names.name(span.key))
        case Moment():
            return _fallback(span)
        case Link():
            return line(f"{span.text} ({span.url})")
        case _:
            assert_never(span)


def rich(text: Text, names: Directory) -> list[Block]:
    """Return rich text elements, in which only what the card marks as such is a link or a mention."""
    return [element for span in text.spans if (element := _element(span, names)) is not None]


def _element(span: Span, names: Directory) -> Block | None:
    match span:
        case Plain() | Strong() | Code():
            styles = {Plain: None, Strong: {"bold": True}, Code: {"code": True}}
            said = _said(span)
            return _styled(said if isinstance(span, Code) else unbroken(said), styles[type(span)])
        case PersonName():
            account = names.slack_id(span.key) if span.mention else None
            return {"type": "user", "user_id": account} if account else _styled(line(names.name(span.key)), None)
        case Moment():
            return {
                "type": "date",
                "timestamp": _timestamp(span),
                "format": _format(span),
                "fallback": _fallback(span),
            }
        case Link():
            if not safe_link(span.url):
                return _styled(line(f"{span.text} ({span.url})"), None)
            return {"type": "link", "url": span.url, "text": line(span.text) or span.url}
        case _:
            assert_never(span)


def _styled(text: str, style: dict[str, bool] | None) -> Block | None:
    if not text:
        return None
    return {"type": "text", "text": text, "style": style} if style else {"type": "text", "text": text}


def mrkdwn(text: Text, names: Directory) -> str | None:
    """Return the text as mrkdwn; None where something in it could be taken for markup."""
    parts: list[str] = []
    for span in text.spans:
        part = _marked(span, names)
        if part is None:
            return None
        parts.append(part)
    for before, after in zip(text.spans, text.spans[1:], strict=False):
        if isinstance(before, Strong | Code) and _words(after, names)[:1].isalnum():
            return None
        if isinstance(after, Strong | Code) and _words(before, names)[-1:].isalnum():
            return None
    return "".join(parts)


def _marked(span: Span, names: Directory) -> str | None:
    match span:
        case Plain() | Strong():
            return _unmarked(unbroken(_said(span)), "*" if isinstance(span, Strong) else "")
        case Code():
            words = _said(span)
            return None if "`" in words or not words.strip() else f"`{escaped(words)}`"
        case PersonName():
            account = names.slack_id(span.key) if span.mention else None
            return f"<@{account}>" if account else _unmarked(line(names.name(span.key)), "")
        case Moment():
            return f"<!date^{_timestamp(span)}^{_format(span)}|{_fallback(span)}>"
        case Link():
            label = _unmarked(line(span.text), "")
            return f"<{span.url}|{label}>" if label and safe_link(span.url) else None
        case _:
            assert_never(span)


def _unmarked(words: str, around: str) -> str | None:
    if _MARKUP.search(words) or (around and words != words.strip()):
        return None
    return f"{around}{escaped(words)}{around}" if words else ""


def _timestamp(moment: Moment) -> int:
    at = moment.at if moment.at.tzinfo else moment.at.replace(tzinfo=UTC)
    return int(at.timestamp())


def _format(moment: Moment) -> str:
    shown = {"time": "{time}", "seconds": "{time_secs}"}.get(moment.form, "{date_short_pretty} {time}")
    return f"{shown} ({{ago}})" if moment.age else shown


def _fallback(moment: Moment) -> str:
    at = (moment.at if moment.at.tzinfo else moment.at.replace(tzinfo=UTC)).astimezone(UTC)
    forms = {"time": "%H:%M UTC", "seconds": "%H:%M:%S UTC"}
    return at.strftime(forms.get(moment.form, "%Y-%m-%d %H:%M UTC"))
