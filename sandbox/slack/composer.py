"""What Slack's client makes of what a person types: `@maya` becomes `<@U…>`, an address becomes a link, `<` is escaped."""

import re

from sandbox.slack.state import State

_ADDRESS = re.compile(r"https?://[^\s<>]+[^\s<>.,;:!?)]")
_NAMED = re.compile(r"(?<![\w@#])([@#])([\w][\w.-]*)")


def escaped(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def typed(state: State, text: str) -> str:
    """The text of a message. What is linked already (`<@U1>`, from the page's completion) is left as it is."""
    parts = re.split(r"(<(?:[@#][A-Z0-9]+(?:\|[^<>]*)?|![^<>]+|https?://[^<>\s]+)>)", text)
    return "".join(part if index % 2 else _linked(state, part) for index, part in enumerate(parts))


def typed_command(state: State, text: str, *, escape_entities: bool) -> str:
    """The text of a slash command: names and addresses are linked only where the app asked for it."""
    return typed(state, text) if escape_entities else escaped(text)


def mentioned(text: str) -> set[str]:
    return set(re.findall(r"<@([A-Z0-9]+)(?:\|[^<>]*)?>", text))


def _linked(state: State, text: str) -> str:
    pieces: list[str] = []
    last = 0
    for address in _ADDRESS.finditer(text):
        pieces += [_named(state, text[last : address.start()]), f"<{escaped(address.group())}>"]
        last = address.end()
    return "".join([*pieces, _named(state, text[last:])])


def _named(state: State, text: str) -> str:
    return _NAMED.sub(lambda match: _mention(state, match), escaped(text))


def _mention(state: State, match: re.Match[str]) -> str:
    sign, name = match.group(1), match.group(2)
    trimmed = name.rstrip(".-")
    rest = name[len(trimmed) :]
    if sign == "#":
        for channel in state.channels.values():
            if channel.name == trimmed and not channel.is_im:
                return f"<#{channel.id}|{trimmed}>{rest}"
        return match.group()
    if trimmed in {"channel", "here", "everyone"}:
        return f"<!{trimmed}>{rest}"
    for person in state.people.values():
        if person.handle == trimmed:
            return f"<@{person.id}>{rest}"
    for group in state.groups.values():
        if group.handle == trimmed:
            return f"<!subteam^{group.id}>{rest}"
    return match.group()
