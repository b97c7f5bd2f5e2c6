"""`omnicare`: what a terminal types. Commands go to the running bot as they are; what concerns this machine is done here.

argparse is used for the latter only: a command's words are parsed once, by the bot, by the same rules as in Slack.
"""

import argparse
import contextlib
import gc
import itertools
import os
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from bot.boundary.inbound import Exit

if TYPE_CHECKING:
    from bot.config import Settings
    from commands.kit.card import Card

SOCKET_VARIABLE = "OMNICARE_SOCKET"


class Mistyped(Exception):
    """The process-level part was typed wrong; the message is a sentence."""


class Failed(Exception):
    """It can't be done; the message is a sentence."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What may stand before or after any command."""

    json: bool = False
    config: Path | None = None
    socket: Path | None = None
    named: str | None = None
    follow: bool = True


GLOBAL_OPTIONS = ("--json", "--no-follow", "--config", "--socket", "--as")
"""Taken out wherever they stand; no command has an option of these names (a contract test)."""


def main(arguments: Sequence[str] | None = None) -> int:
    """The exit status: 0 done, 1 failed, 2 typed wrong, 3 denied."""
    for stream in (sys.stdout, sys.stderr):
        # a terminal that can't show a sign shows another one instead of failing
        with contextlib.suppress(AttributeError, ValueError):
            stream.reconfigure(errors="replace")  # type: ignore[union-attr]
    try:
        options, words = take_options(sys.argv[1:] if arguments is None else arguments)
        return _run(options, words)
    except Mistyped as error:
        print(error, file=sys.stderr)
        return Exit.USAGE
    except Failed as error:
        print(error, file=sys.stderr)
        return Exit.FAILED
    except BrokenPipeError:
        # whoever read has read enough; nothing more is written, not even by the interpreter's own last flush
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return Exit.OK


def take_options(arguments: Sequence[str]) -> tuple[Options, list[str]]:
    """The global options, and the rest as it was; after `--` nothing is taken."""
    options, queue = Options(), list(arguments)
    words: list[str] = []
    while queue:
        word = queue.pop(0)
        if word == "--":
            return options, [*words, word, *queue]
        name, equals, value = word.partition("=")
        if word == "--json":
            options = replace(options, json=True)
        elif word == "--no-follow":
            options = replace(options, follow=False)
        elif name in ("--config", "--socket", "--as"):
            if not equals:
                if not queue or queue[0].startswith("--"):
                    raise Mistyped(f"{name} needs a value, such as `{name} {_EXAMPLES[name]}`.")
                value = queue.pop(0)
            options = _with(options, name, value)
        else:
            words.append(word)
    return options, words


_EXAMPLES = {"--config": "omnicare.toml", "--socket": "/run/omnicare/bot.sock", "--as": "maya"}


def _with(options: Options, name: str, value: str) -> Options:
    if name == "--config":
        return replace(options, config=Path(value))
    return replace(options, socket=Path(value)) if name == "--socket" else replace(options, named=value)


def _run(options: Options, words: list[str]) -> int:
    if words[:1] == ["--version"]:
        from importlib.metadata import version

        print(f"omnicare {version('omnicare-bot')}")
        return Exit.OK
    name = "audit verify" if words[:2] == ["audit", "verify"] else words[0] if words else ""
    if name in _HERE:
        return _HERE[name](options, words[len(name.split()) :])
    asked = _help_for(words)
    if asked is not None:
        return _help(options, asked)
    from bot.surfaces.terminal.conversation import Wish, converse

    wish = Wish(
        tokens=tuple(words),
        socket=_socket(options),
        named=options.named,
        follow=options.follow,
        json=options.json,
    )

    def absent(said: str) -> int:
        """No bot runs. Where its files are on this machine, whoever may become its account can be it."""
        from bot.config import default_path
        from bot.foreground import offer

        try:
            settings = _settings(options)
        except Failed:
            raise Failed(said) from None
        if settings.bot.socket_path != wish.socket:  # another bot than this configuration's was asked for
            raise Failed(said)
        config = options.config or default_path()
        if settings.bot.sandbox:
            said = f"{said}\nIf its sandbox has ended, run `make sandbox` in the clone to start it again."
        return offer(said, settings.bot.state, wish.socket, config, ask=True, converse=lambda: converse(wish))

    return converse(wish, absent=absent)


_HELP = ("--help", "-h")


def _help_for(words: list[str]) -> list[str] | None:
    """What help is asked for: `help X`, `X --help`, nothing at all; None where it is not help."""
    if not words or words[0] in ("help", *_HELP):
        return [word for word in words[1:] if word not in _HELP]
    before = words[: words.index("--")] if "--" in words else words
    named = list(itertools.takewhile(lambda word: not word.startswith("-"), before))
    return named[:2] if any(word in _HELP for word in before) else None


def _help(options: Options, asked: list[str]) -> int:
    """Answered here, from the registry: no bot is needed, and nothing heavy is imported."""
    from bot.reference import manual
    from commands.kit import registry
    from commands.kit.topics import GROUPS
    from commands.kit.types import unfinished

    known = registry.load()
    name = " ".join(asked).lower()
    if name in _HERE:
        return _HERE[name](options, ["--help"])
    spec = (known.find(name) or known.find(asked[0].lower())) if asked else None
    if spec is None and name in GROUPS:
        _show(manual.group(name, known), as_json=options.json)
        return Exit.OK
    if asked and spec is None:
        near = manual.meant(name, known) or manual.meant(asked[0], known)
        if near is None and (said := unfinished(asked[0], (*known.names(), *_HERE))):
            raise Mistyped(said)
        raise Mistyped(
            f"There is no `{name}`. " + (f"Did you mean `{near}`?" if near else "`omnicare help` lists all commands.")
        )
    _show(manual.page(spec) if spec else manual.menu(known), as_json=options.json)
    return Exit.OK


def _show(card: "Card", *, as_json: bool) -> None:
    """A card of our own making, on standard output."""
    from datetime import datetime

    from bot.surfaces.terminal.screen import Manner, Screen
    from bot.surfaces.terminal.words import Audience

    with Screen(
        sys.stdout, Manner.of(sys.stdout, as_json=as_json), Audience(now=datetime.now().astimezone())
    ) as screen:
        if as_json:
            screen.json(card.data, indent=2)
        else:
            screen.card(card, {})


def _settings(options: Options) -> "Settings":
    from bot.config import ConfigurationError, default_path, load

    try:
        return load(options.config or default_path())
    except ConfigurationError as error:
        raise Failed(str(error)) from error


def _socket(options: Options) -> Path:
    """Where the running bot listens: as named, else as its configuration says."""
    if options.socket is not None:
        return options.socket
    if named := os.environ.get(SOCKET_VARIABLE):
        return Path(named)
    try:
        return _settings(options).bot.socket_path
    except Failed as error:
        raise Failed(f"{error}\nTo use a running bot's socket instead: --socket PATH or ${SOCKET_VARIABLE}.") from error


class _Parser(argparse.ArgumentParser):
    """For what concerns this machine; a mistake is a sentence and exit status 2, as everywhere."""

    def __init__(self, name: str, about: str) -> None:
        super().__init__(prog=f"omnicare {name}", description=f"{about[0].upper()}{about[1:]}.", allow_abbrev=False)

    def error(self, message: str) -> NoReturn:
        raise Mistyped(f"{message[0].upper()}{message[1:]}.\n{self.format_usage().rstrip()}")


def _parser(name: str) -> _Parser:
    from bot.reference.manual import HERE

    return _Parser(name, HERE[name])


def _parsed(parser: _Parser, words: list[str]) -> argparse.Namespace | None:
    """None where help was asked for, and is shown."""
    if any(word in _HELP for word in words):
        print(parser.format_help(), end="")
        return None
    return parser.parse_args(words)


def _serve(options: Options, words: list[str]) -> int:
    parser = _parser("serve")
    parser.add_argument(
        "--without-slack",
        action="store_true",
        help="run the bot in this terminal while the real one is down; it serves terminals only, and Slack catches up when the real bot is back",
    )
    chosen = _parsed(parser, words)
    if chosen is None:
        return Exit.OK
    settings = _settings(options)
    gc.disable()  # what is imported stays, and looking through it for garbage took an eighth of the start
    from bot.app import serve
    from bot.audit import AuditLogUnavailable
    from bot.process import process_lock
    from bot.surfaces.terminal.server import SocketError
    from runbooks.kit.errors import RunbookError

    gc.freeze()
    gc.enable()
    try:
        account = process_lock.become_owner(settings.bot.state)
        if chosen.without_slack:
            print(_foreground(settings, account), file=sys.stderr)
        return serve(settings, foreground=chosen.without_slack)
    except (AuditLogUnavailable, SocketError, process_lock.StateHeld) as error:
        raise Failed(f"{error} `omnicare doctor` checks everything.") from error
    except RunbookError as error:
        raise Failed(" ".join([error.message, *error.advice, "`omnicare doctor` checks everything."])) from error
    except OSError as error:
        raise Failed(f"The bot can't start: {error}. `omnicare doctor` checks everything.") from error


def _foreground(settings: "Settings", account: str | None) -> str:
    became = f" It runs as {account}, the owner of the files." if account else ""
    return (
        f"This terminal runs the bot, without Slack (process {os.getpid()}), as soon as {settings.bot.socket_path} exists.{became}\n"
        "`omnicare …` in other terminals reaches it as before. Ctrl-C ends it; its runs continue when a bot starts again."
    )


def _sandbox(_options: Options, words: list[str]) -> int:
    parser = _parser("sandbox")
    parser.add_argument("--demo", action="store_true", help="play a deploy in this terminal, then exit")
    parser.add_argument("--reset", action="store_true", help="delete everything that was done in the sandbox before")
    parser.add_argument("--port", type=int, default=None, metavar="N", help="port of the page (default: any free port)")
    parser.add_argument(
        "--kubeconfig",
        type=Path,
        default=None,
        metavar="FILE",
        help="use this cluster instead of the sandbox's own; its namespace must be labelled as throw-away",
    )
    nights = _scenarios()
    parser.add_argument(
        "--scenario",
        action="append",
        default=[],
        choices=tuple(nights),
        metavar="NAME",
        help="start with something broken, as listed below; may be given several times",
    )
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.epilog = "\n".join(["scenarios:", *(f"  {name:<25} {what}" for name, what in nights.items())])
    parser.add_argument("--no-page", dest="page", action="store_false", help="no chat page: terminal and cluster only")
    chosen = _parsed(parser, words)
    if chosen is None:
        return Exit.OK
    try:
        from sandbox.command import run
    except ModuleNotFoundError as error:
        if error.name is None or error.name.split(".")[0] in ("bot", "commands", "runbooks"):
            raise
        raise Failed(
            f"The sandbox is not installed here ({error.name} is missing): production doesn't need it. "
            "In a clone, `make sandbox` installs and starts it; elsewhere, install `omnicare-bot[sandbox]`."
        ) from error
    return run(chosen)


def _scenarios() -> dict[str, str]:
    """Name → what is broken; none where the sandbox is not installed, which is said when it is to be started."""
    try:
        from sandbox.scenarios import EVERY
    except ModuleNotFoundError:
        return {}
    return {each.name: each.sentence for each in EVERY}


def _doctor(options: Options, words: list[str]) -> int:
    if _parsed(_parser("doctor"), words) is None:
        return Exit.OK
    from bot.doctor.examination import examine

    return examine(options.config, as_json=options.json)


def _generate(_options: Options, words: list[str]) -> int:
    parser = _parser("generate")
    parser.add_argument("--check", action="store_true", help="write nothing; exit with 1 if something would change")
    parser.add_argument(
        "--root", type=Path, default=Path(), metavar="DIR", help="the clone (default: the current directory)"
    )
    chosen = _parsed(parser, words)
    if chosen is None:
        return Exit.OK
    from bot.reference.generate import NotAClone, generate

    try:
        changed = generate(chosen.root, check=chosen.check)
    except NotAClone as error:
        raise Failed(str(error)) from error
    for path in changed:
        print(f"{path} is out of date. Run `make generate`." if chosen.check else f"wrote {path}")
    return Exit.FAILED if chosen.check and changed else Exit.OK


def _verify(options: Options, words: list[str]) -> int:
    parser = _parser("audit verify")
    parser.add_argument(
        "books", nargs="*", type=Path, metavar="BOOK", help="audit log file (default: the configured one)"
    )
    chosen = _parsed(parser, words)
    if chosen is None:
        return Exit.OK
    settings = None
    with contextlib.suppress(Failed):
        settings = _settings(options)
    if settings is None and not chosen.books:
        raise Failed("The audit log is not configured here. Name its file, or the configuration with --config.")
    from bot.doctor.verification import prove

    return prove(chosen.books or [settings.bot.audit_log_path], settings, as_json=options.json)  # type: ignore[union-attr] # one is there


def _completion(options: Options, words: list[str]) -> int:
    parser = _parser("completion")
    parser.add_argument("shell", choices=("bash", "zsh", "fish"))
    chosen = _parsed(parser, words)
    if chosen is None:
        return Exit.OK
    from bot.reference.manual import HERE
    from bot.surfaces.terminal.completion import script
    from commands.kit import registry

    with contextlib.suppress(Failed):
        print(script(chosen.shell, registry.load(), _settings(options), HERE), end="")
        return Exit.OK
    print(script(chosen.shell, registry.load(), None, HERE), end="")
    return Exit.OK


_HERE: dict[str, Callable[[Options, list[str]], int]] = {
    "serve": _serve,
    "sandbox": _sandbox,
    "doctor": _doctor,
    "audit verify": _verify,
    "generate": _generate,
    "completion": _completion,
}
