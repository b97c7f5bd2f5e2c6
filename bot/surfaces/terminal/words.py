"""Conversion of a card for terminals: spans to text, buttons to commands, and data without control sequences."""

import shlex
import unicodedata
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime

from bot.boundary.printable import safe
from commands.kit.card import (
    Button,
    Card,
    Code,
    Link,
    Moment,
    OpenForm,
    PersonName,
    Plain,
    RunAct,
    Span,
    StepStatus,
    Text,
    Typed,
)
from commands.kit.spec import CommandSpec
from runbooks.wording import age

PROGRAM = "omnicare"

BREAK = "\n"
"""A span that is nothing else ends the line. Inside data a line break is a space, so no data can pose as a line of ours."""

STEP_SIGNS = {
    StepStatus.PENDING: "○",
    StepStatus.RUNNING: "◌",
    StepStatus.DONE: "✓",
    StepStatus.FAILED: "✗",
    StepStatus.SKIPPED: "–",  # noqa: RUF001 - a dash is meant
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Audience:
    """The reader: their clock, and the known names and commands."""

    now: datetime
    """In the reader's own zone."""
    names: Mapping[str, str] = field(default_factory=dict)
    """People's names by key, as the bot sent them."""
    spec: Callable[[str], CommandSpec | None] = lambda _name: None
    """A command by its name: how its arguments are typed."""

    def in_a_cell(self) -> "Audience":
        """The same person before a table, which has no room for more than what it says."""
        return replace(self, spec=lambda _name: None)


def plain(text: Text, reader: Audience) -> str:
    """Return a text without styling."""
    return "".join(span_words(span, reader) for span in text.spans)


def one_line(text: Text, reader: Audience) -> str:
    """A title or a cell: it has one line, whatever its spans say."""
    return plain(text, reader).replace(BREAK, " ")


def span_words(span: Span, reader: Audience) -> str:
    """Return one span as text."""
    match span:
        case PersonName():
            return safe(reader.names.get(span.key, span.key))
        case Moment():
            return moment(span, reader.now)
        case Link():
            url, label = safe(span.url), safe(span.text)
            return url if label in ("", url) else f"{label} ({url})"
        case Plain() if span.text == BREAK:
            return BREAK
        case Code():
            return safe(_to_type(span.text, reader))
        case _:
            return safe(span.text)


def _to_type(text: str, reader: Audience) -> str:
    """Return a command in a sentence in the shell's form, so that it can be copied and run."""
    names = text.split()[:2]
    known = reader.spec(" ".join(names)) or reader.spec("".join(names[:1]))
    return f"{PROGRAM} {text}" if known is not None else text


def _in_zone(at: datetime, now: datetime) -> datetime:
    try:
        return at.astimezone(now.tzinfo)
    except OverflowError:  # such as the last second of the year 9999, which certificates that never expire have
        return at


def moment(span: Moment, now: datetime) -> str:
    """Return a point in time on the reader's clock, with the date if it is another day."""
    at = _in_zone(span.at, now)
    dated = span.form == "date-time" or at.date() != now.date()
    shown = at.strftime("%Y-%m-%d %H:%M" if dated else "%H:%M:%S" if span.form == "seconds" else "%H:%M")
    if not span.age:
        return shown
    seconds = (now - at).total_seconds()
    return f"{shown} (in {age(-seconds)})" if seconds < 0 else f"{shown} ({age(seconds)} ago)"


def numbered(card: Card) -> list[str]:
    """Return the values to choose from, each with the command that it completes."""
    if card.choices is None:
        return []
    shown = [f"  {at}. {PROGRAM} {safe(each.text)}" for at, each in enumerate(card.choices.options, 1)]
    return [f"{safe(card.choices.label)}:", *shown]


def offered(buttons: tuple[Button, ...]) -> list[Button]:
    """Return the buttons that a terminal shows: it draws no card again in its place."""
    return [button for button in buttons if not (isinstance(button.does, Typed) and button.does.replaces)]


def typed(button: Button, reader: Audience) -> tuple[str, str]:
    """(what it does, the command that one could type instead)."""
    label = safe(button.label).rstrip("…. ")
    does = button.does
    match does:
        case Typed():
            text = safe(does.text)
            return label, f"{PROGRAM} {_completed(text, reader) if button.label.endswith('…') else text}"
        case OpenForm():
            return label, _form(does, reader)
        case RunAct():
            return label, f"{PROGRAM} {does.command} {safe(does.run)}{_reason(does, reader)}"


def _completed(text: str, reader: Audience) -> str:
    """Return a command that something is missing from with the names of the arguments that it needs: Slack asks for them."""
    words = text.split(" ")
    spec = reader.spec(" ".join(words[:2])) or reader.spec(words[0])
    if spec is None:
        return text
    at = len(spec.name.split(" "))
    options = next((place for place, word in enumerate(words) if word.startswith("--")), len(words))
    given = max(0, options - at)
    needed = [p.usage for p in [p for p in spec.parameters if p.positional][given:] if p.required]
    return " ".join([*words[: at + given], *needed, *words[at + given :]])


def _reason(act: RunAct, reader: Audience) -> str:
    """What a form would have asked for besides, where the command needs it."""
    if not act.form:
        return ""
    spec = reader.spec(act.command)
    parameter = spec.parameter("reason") if spec else None
    if parameter is None:
        return ""
    return ' "why"' if parameter.positional else f' {parameter.flag} "why"'


def _form(form: OpenForm, reader: Audience) -> str:
    """Return the command line that is equivalent to the form."""
    spec = reader.spec(form.command)
    words: list[str] = [PROGRAM, safe(form.command)]
    left = dict(form.filled)
    for parameter in spec.parameters if spec else ():
        value = left.pop(parameter.name, None)
        if parameter.positional:
            words += [shlex.quote(safe(value))] if value else [parameter.usage] if parameter.required else []
        elif value and parameter.type is None:
            words.append(parameter.flag)
        elif value:
            words += [parameter.flag, shlex.quote(safe(value))]
        elif parameter.type is not None and (
            parameter.asked or value is not None
        ):  # what is filled with nothing is what is asked for
            words += [parameter.flag, '"why"' if parameter.name == "reason" else parameter.type.name.upper()]
    words += [
        f"--{name.replace('_', '-')}={shlex.quote(safe(value))}"
        for name, value in left.items()
        if value and spec is None
    ]
    return " ".join(words)


def is_ping(text: Text) -> bool:
    """Return whether a paragraph only notifies people, which has no use in a terminal."""
    people = [span for span in text.spans if isinstance(span, PersonName)]
    rest = "".join(span.text for span in text.spans if not isinstance(span, PersonName | Moment)).strip()
    return bool(people) and all(span.mention for span in people) and not rest


def wide(text: str) -> int:
    """Return the width of a text in cells."""
    return sum(
        0
        if unicodedata.combining(sign) or sign in "\u200c\u200d\ufe0f"
        else 2
        if unicodedata.east_asian_width(sign) in "WF"
        else 1
        for sign in text
    )


def padded(text: str, width: int) -> str:
    """Return the text padded with spaces to `width` cells."""
    return text + " " * max(0, width - wide(text))
