"""Output to the terminal: chooses how a card is shown, and updates a run's progress in place."""

import json
import os
import shutil
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import TYPE_CHECKING, Any, Self, TextIO

from bot.boundary.printable import safe
from bot.surfaces.terminal import plain
from bot.surfaces.terminal.json_document import document
from bot.surfaces.terminal.words import Audience
from commands.kit.card import Card

if TYPE_CHECKING:
    from rich.console import Console
    from rich.live import Live


@dataclass(frozen=True, slots=True, kw_only=True)
class Manner:
    """How this terminal is to be spoken to."""

    json: bool = False
    rich: bool = False
    """Tables, and a run that moves in its place."""
    colour: bool = False

    @classmethod
    def of(cls, stream: TextIO, *, as_json: bool) -> Self:
        """By what the stream is; NO_COLOR and a dumb terminal are honoured."""
        is_terminal = stream.isatty() and os.environ.get("TERM") != "dumb"
        return cls(
            json=as_json, rich=is_terminal and not as_json, colour=is_terminal and not os.environ.get("NO_COLOR")
        )


class Screen:
    """Shows cards on one stream. Use as a context: leaving puts the cursor back."""

    def __init__(self, stream: TextIO, manner: Manner, reader: Audience) -> None:
        self._stream = stream
        self._manner = manner
        self._reader = reader
        self._shown: dict[str, Card] = {}
        self._moving = ""
        self._live: Live | None = None
        self._console = _console(stream, manner) if manner.rich else None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exception: object) -> None:
        self._settle()

    def card(self, card: Card, names: dict[str, str]) -> None:
        """An answer."""
        reader = self._with(names)
        self._settle()
        if self._console is not None:
            from bot.surfaces.terminal.colour import drawn

            self._console.print(drawn(card, reader))
        else:
            self.lines(plain.lines(card, reader))

    def follow(self, slot: str, card: Card, names: dict[str, str]) -> None:
        """A new state of one of a run's messages: in its place where it is the one that moved last, else below."""
        before = self._shown.get(slot)
        if card == before:
            return
        reader = self._with(names)
        self._shown[slot] = card
        if self._console is None:
            self.lines(plain.changes(before, card, reader))
            return
        from rich.live import Live

        from bot.surfaces.terminal.colour import drawn

        if slot == self._moving and self._live is not None:
            self._live.update(drawn(card, reader), refresh=True)
            return
        self._settle()
        self._console.print()
        self._moving = slot
        self._live = Live(drawn(card, reader), console=self._console, auto_refresh=False)
        self._live.start(refresh=True)

    def lines(self, lines: list[str]) -> None:
        """Plain lines, as they are."""
        for line in lines:
            self._stream.write(f"{line}\n")
        self._stream.flush()

    def log(self, lines: Sequence[str], *, whole: bool = False) -> None:
        """Lines of a log, each in its level's colour where there is colour. `whole`: the terminal breaks them, not we."""
        if self._console is None:
            self.lines([safe(line) for line in lines])
            return
        from bot.surfaces.terminal.colour import log_line

        for line in lines:
            self._console.print(log_line(safe(line)), soft_wrap=whole)

    def say(self, sentence: str) -> None:
        """A sentence of ours."""
        self._settle()
        self.lines([safe(sentence)])

    def json(self, value: dict[str, Any], *, indent: int | None = None) -> None:
        """One JSON document, or one line of several."""
        self.lines([json.dumps(value, ensure_ascii=True, indent=indent)])

    def document(
        self, card: Card | None, names: dict[str, str], *, exit_status: int | None, run: str | None
    ) -> dict[str, Any]:
        """A card as scripts read it."""
        return document(card, self._with(names), exit_status=exit_status, run=run)

    def _with(self, names: dict[str, str]) -> Audience:
        return replace(self._reader, names={**self._reader.names, **names}, now=datetime.now().astimezone())

    def _settle(self) -> None:
        """What moved stays as it is."""
        if self._live is not None:
            self._live.stop()
            self._live = None


def _console(stream: TextIO, manner: Manner) -> "Console":
    from rich.console import Console

    return Console(
        file=stream,
        no_color=not manner.colour,
        width=shutil.get_terminal_size().columns,
        highlight=False,
        markup=False,
        emoji=False,
        force_terminal=True,
    )
