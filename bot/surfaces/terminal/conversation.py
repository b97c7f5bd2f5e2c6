"""One terminal command from beginning to end: sent to the running bot, shown, followed.

Used by `bot.cli`. It knows no commands: the words go to the bot as the shell split them.
"""

import asyncio
import contextlib
import os
import re
import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import ValidationError

from bot.boundary.inbound import Exit
from bot.boundary.printable import safe
from bot.surfaces.terminal.client import NoBot, Unreachable, new_key, say
from bot.surfaces.terminal.screen import Manner, Screen
from bot.surfaces.terminal.wire_format import (
    AnswerLine,
    Call,
    CardLine,
    EndLine,
    MoreLine,
    NoticeLine,
    RawLines,
    RefusedLine,
)
from bot.surfaces.terminal.words import Audience, typed
from commands.kit import registry
from commands.kit.card import Button, Choices, Paragraph
from commands.kit.parsing import split

_HEAD, _RESULT = "head", "result"
"""Slots: in a terminal the head message repeats what the others say, except where nothing else is said."""

INTERRUPTED = 130
"""The shells' exit status for Ctrl-C; the run's own result is not known yet."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """The typed words, and how to show the answer."""

    tokens: tuple[str, ...]
    socket: Path
    named: str | None = None
    follow: bool = True
    json: bool = False


def converse(wish: Wish, *, absent: Callable[[str], int] | None = None) -> int:
    """Run the command and return the exit status. `absent`: called with the message if no bot is running."""
    while True:
        conversation = _Conversation(wish, absent)
        status = conversation.run()
        if (chosen := conversation.chosen()) is None:
            return status
        wish = replace(wish, tokens=chosen)


def reader() -> Audience:
    """The person at this terminal."""
    return Audience(now=datetime.now().astimezone(), spec=lambda name: registry.load().find(name))


class _Conversation:
    def __init__(self, wish: Wish, absent: Callable[[str], int] | None) -> None:
        self._wish = wish
        self._absent = absent
        self._run: str | None = None
        self._answered = False
        self._following = False
        self._told = False
        self._recorded = False
        self._head: CardLine | None = None
        self._choices: Choices | None = None
        self._out = Screen(sys.stdout, Manner.of(sys.stdout, as_json=wish.json), reader())
        self._err = Screen(sys.stderr, Manner.of(sys.stderr, as_json=False), reader())

    def run(self) -> int:
        try:
            with self._out, self._err:
                return asyncio.run(self._talk())
        except KeyboardInterrupt:
            self._err.say(self._left_going())
            return INTERRUPTED
        except NoBot as error:
            if self._absent is not None and not self._wish.json:
                return self._absent(str(error))
            self._fail(str(error), Exit.FAILED)
            return Exit.FAILED
        except Unreachable as error:
            self._fail(str(error), Exit.FAILED)
            return Exit.FAILED

    def chosen(self) -> tuple[str, ...] | None:
        """Return the words of the command that the person completes; None where nothing is to be chosen, or nobody sits there."""
        if self._choices is None or self._wish.json or not (sys.stdin.isatty() and sys.stderr.isatty()):
            return None
        options = self._choices.options
        sys.stderr.write(f"{safe(self._choices.label)}, 1 to {len(options)} (Enter: none): ")
        sys.stderr.flush()
        try:
            typed = sys.stdin.readline().strip()
        except KeyboardInterrupt:
            return None
        if not re.fullmatch(r"[0-9]{1,3}", typed) or not 0 < int(typed) <= len(options):
            return None
        return tuple(split(options[int(typed) - 1].text))

    async def _talk(self) -> int:
        wish = self._wish
        try:
            call = Call(
                tokens=wish.tokens, key=new_key(), named=wish.named, follow=wish.follow, offset=_offset(), zone=_zone()
            )
        except ValidationError:
            self._fail("The text is too long, or is not valid UTF-8.", Exit.USAGE)
            return Exit.USAGE
        async for line in say(wish.socket, call):
            match line:
                case AnswerLine():
                    self._answer(line)
                case CardLine():
                    self._card(line)
                case MoreLine():
                    self._more(line)
                case NoticeLine():
                    self._err.say(line.said)
                case RawLines():
                    self._raw(line)
                case RefusedLine():
                    self._fail(line.message, line.exit)
                    return line.exit
                case EndLine():
                    self._end(line)
                    return line.exit
                case _:
                    continue
        raise Unreachable("The bot stopped in the middle of its answer.")

    def _answer(self, line: AnswerLine) -> None:
        self._answered = True
        self._run, self._following = line.short or line.run, line.followed
        self._choices = line.card.choices if line.card is not None else None
        if self._wish.json:
            found = self._out.document(line.card, line.names, exit_status=line.exit, run=line.run)
            records = line.card.records if line.card is not None else ()
            for record in records:
                self._out.json(record)
            # one document where nothing follows and nothing came before, else a line each
            alone = not (line.followed or records or self._recorded)
            self._out.json(found if alone else {"kind": "answer"} | found, indent=2 if alone else None)
            return
        # what is no answer to the question goes where it can't be taken for one
        screen = self._out if line.exit in (Exit.OK, Exit.FAILED) else self._err
        if line.card is not None:
            screen.card(line.card, line.names)
            if line.run is not None and not line.followed and line.exit == Exit.OK and not self._wish.follow:
                screen.say(
                    f"To see it: omnicare runs {self._run}; to approve it, if you may: omnicare approve {self._run}"
                )
        elif line.form is not None:
            _label, command = typed(Button(label="Form", does=line.form), reader())
            screen.say(f"Type: {command}")
        elif line.run is not None and not line.followed:
            screen.say(f"Requested as run {self._run}. To see it: omnicare runs {self._run}")
        elif line.exit != Exit.OK and not line.followed:
            screen.say("It failed unexpectedly. See the bot's log.")

    def _raw(self, line: RawLines) -> None:
        if not self._wish.json:
            self._out.log(line.lines, whole=True)
            return
        for record in line.records:
            self._out.json(record)
        self._recorded = self._recorded or bool(line.records)

    def _more(self, line: MoreLine) -> None:
        if self._wish.json:
            for record in line.records:
                self._out.json(record)
            return
        self._out.log(line.lines)
        if line.said:
            self._out.say(line.said)

    def _card(self, line: CardLine) -> None:
        if self._wish.json:
            found = self._out.document(line.card, line.names, exit_status=None, run=None)
            self._out.json({"kind": "card", "slot": line.slot} | found)
        elif line.slot == _HEAD:
            self._head = line
            if any(isinstance(element, Paragraph) for element in line.card.body) and not self._told:
                # whom it waits for, which no other message says
                self._out.follow(line.slot, line.card, line.names)
        else:
            self._told = self._told or line.slot == _RESULT
            self._out.follow(line.slot, line.card, line.names)

    def _end(self, line: EndLine) -> None:
        if self._head is not None and not self._told and not self._wish.json:
            self._out.follow(_HEAD, self._head.card, self._head.names)
        if self._wish.json and self._following:
            self._out.json({"kind": "end", "exit": line.exit, "run": self._run})

    def _fail(self, message: str, status: int) -> None:
        if self._wish.json:
            self._out.json({"kind": "refused", "exit": int(status), "message": message})
        else:
            self._err.say(message)

    def _left_going(self) -> str:
        if self._following and self._run is not None:
            return f"The run continues without this terminal. To see it again: omnicare runs {self._run}"
        if self._answered:
            return "Closed."
        return "Closed before the bot answered. If the request was accepted, `omnicare runs` shows it."


def _offset() -> int:
    """Return the seconds by which this machine's clock is ahead of UTC, for times that are typed here."""
    ahead = datetime.now().astimezone().utcoffset()
    return int(ahead.total_seconds()) if ahead is not None else 0


def _zone() -> str | None:
    """Return this machine's time zone by name, or None if it has none or one that disagrees with its clock."""
    named = os.environ.get("TZ", "").removeprefix(":")
    if not named:
        named = os.path.realpath("/etc/localtime").partition("/zoneinfo/")[2]
    with contextlib.suppress(ZoneInfoNotFoundError, ValueError, OSError):
        if named and datetime.now(ZoneInfo(named)).utcoffset() == datetime.now().astimezone().utcoffset():
            return named
    return None
