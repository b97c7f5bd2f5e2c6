"""What a program prints, told line by line while it runs, redacted."""

import re
from dataclasses import dataclass

from runbooks.kit.answers import NotUnderstood, read_printed
from runbooks.kit.steps import Pulse
from runbooks.redaction.blocks.lines import Lines
from runbooks.redaction.redactor import default_redactor

_LONGEST_LINE = 200
_JSON = ("{", "}", "[{", '["', "[[", "]", '"')
"""How lines of JSON begin; `[1/4] …` is none."""
_COLOUR = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


@dataclass(slots=True)
class _Channel:
    """One of a program's outputs."""

    lines: Lines
    rest: bytes = b""
    """The beginning of a line."""


class SpokenLines:
    """Says each whole line of an output to a run's pulse. What belongs together over several lines is redacted as one.

    Each channel has lines of its own: what comes on another one in the middle of a line must not part a private value from its cue.
    """

    def __init__(self, pulse: Pulse) -> None:
        self._pulse = pulse
        self._scope = default_redactor().scope()
        self._channels: dict[int, _Channel] = {}

    def hear(self, chunk: bytes, channel: int = 1) -> None:
        """Take what came; a line's beginning waits for its end."""
        heard = self._channels.get(channel)
        if heard is None:
            heard = self._channels[channel] = _Channel(self._scope.lines(cut=False))
        whole, cut, heard.rest = (heard.rest + chunk).rpartition(b"\n")
        told = (heard.lines.feed(whole + cut) if cut else b"") + heard.lines.pause()
        for line in told.decode(errors="replace").splitlines():
            if plain := plain_line(_said(self._scope.text(line))):
                self._pulse.say(plain)

    def broken_off(self) -> None:
        """Forget a line's beginning: the output is opened again, and comes with whole lines."""
        for each in self._channels.values():
            each.rest = b""


def _said(line: str) -> str:
    """Return what a line says to people: a log entry in JSON is its message, and nothing is said of what is cut or a piece of a document."""
    plain = _COLOUR.sub("", line).strip()
    if not plain.startswith(_JSON) and plain != "[":
        return line
    try:
        found = read_printed(plain.encode())
    except NotUnderstood:
        return ""
    told = (found.get(key) for key in ("msg", "message")) if isinstance(found, dict) else ()
    return next((each for each in told if isinstance(each, str)), "")


def redacted_lines(output: bytes, most: int) -> tuple[str, ...]:
    """Return the last lines, without what is private in them."""
    scope = default_redactor().scope()
    plain = scope.text(scope.tail(output).decode(errors="replace"))
    return tuple(line for each in plain.splitlines() if (line := plain_line(each)))[-most:]


def plain_line(text: str) -> str:
    """Return a line without colours, and not longer than people read."""
    plain = " ".join(_COLOUR.sub("", text).split())
    return plain if len(plain) <= _LONGEST_LINE else plain[: _LONGEST_LINE - 1] + "…"
