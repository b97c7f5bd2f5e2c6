"""Text → request: what a person typed in Slack or in a terminal becomes a command's instance, or a sentence with the fix.

Typos never start anything: whatever is not understood raises `UsageError`, which says what to type instead.
"""

import itertools
import unicodedata
from typing import Any

from commands.kit.command import Command
from commands.kit.question import Question, question_for
from commands.kit.registry import Registry
from commands.kit.remembered import NOTHING, Subject, recalled
from commands.kit.script_type import ScriptArgumentType
from commands.kit.spec import CHANNEL_DEFAULT, CommandSpec, Kind, Parameter, environment_parameter
from commands.kit.typed_again import quoted
from commands.kit.typed_text import invisible
from commands.kit.types import (
    CommandNameType,
    Invalid,
    Known,
    VersionType,
    closeness,
    nearest,
    unfinished,
)
from runbooks.wording import cited, listed, shortened

LONGEST = 4000
"""Characters; Slack's own composer stops earlier for commands, a socket does not."""


class UsageError(Exception):
    """Typed wrong. `message` says what; the rest is what to type instead."""

    def __init__(
        self,
        message: str,
        *,
        usage: str | None = None,
        example: str | None = None,
        suggestion: str | None = None,
        form: tuple[str, dict[str, str]] | None = None,
        choices: tuple[str, ...] = (),
        question: Question | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.usage = usage
        self.example = example
        self.suggestion = suggestion
        """A whole command that was probably meant."""
        self.form = form
        """(command, what is known of its arguments): a form that would help."""
        self.choices = choices
        """Whole commands that would work, newest first: "deploy v2.0.0"."""
        self.question = question
        """What is missing, where it can be chosen."""


def _as_typed(token: str) -> str:
    """A word as it was typed: what stood in quotes stays one word."""
    return quoted(token) if not token or any(sign.isspace() or sign in "\"'" for sign in token) else token


_INSIDE = 'There is a quotation mark inside a word. Put quotation marks around the whole value, such as `--reason "two words"`.'


def split(text: str) -> list[str]:
    """Return the words, those in quotation marks as one; an apostrophe inside a word is a letter.

    Raises `UsageError` for a quotation mark that is not closed, or that stands inside a word: a shell would read `"s"taging` as a name,
    a person who typed it has slipped.
    """
    found: list[str] = []
    current: list[str] | None = None
    quote = ""
    for at, sign in enumerate(f"{text} "):  # the blank ends the last word
        if quote:
            if sign != quote:
                assert current is not None, "a quote opens a word"
                current.append(sign)
            elif text[at + 1 : at + 2].strip():
                raise UsageError(_INSIDE)
            else:
                quote = ""
        elif sign == '"' or (sign == "'" and (current is None or current[-1:] == ["="])):
            if current and current[-1] != "=":
                raise UsageError(_INSIDE)
            quote = sign
            current = [] if current is None else current
        elif sign.isspace():
            if current is not None:
                found.append("".join(current))
                current = None
        else:
            current = [] if current is None else current
            current.append(sign)
    if quote:
        raise UsageError(f"A quotation mark ({quote}) is not closed.")
    return found


def parse(tokens: list[str], registry: Registry, known: Known, *, default_environment: str | None) -> Command:
    """The request in `tokens` (its first one or two are the command's name). Raises `UsageError`."""
    return parse_follow_up(tokens, registry, known, NOTHING, default_environment=default_environment)[0]


def parse_follow_up(
    tokens: list[str], registry: Registry, known: Known, about: Subject, *, default_environment: str | None
) -> tuple[Command, Subject]:
    """The same in a thread that is `about` something, and what of that was taken because it was not typed."""
    try:
        return _parsed(tokens, registry, known, about, default_environment)
    except UsageError as error:
        # what is refused for a sign that nobody sees looks right
        if unseen := next((sign for token in tokens for sign in token if invisible(sign)), ""):
            name = unicodedata.name(unseen, "a control character")
            error.message += (
                f" There is an invisible character in what you typed: U+{ord(unseen):04X} ({name.lower()})."
            )
        raise


def _parsed(
    tokens: list[str], registry: Registry, known: Known, about: Subject, default_environment: str | None
) -> tuple[Command, Subject]:
    if not tokens:
        raise UsageError("Which command?", usage="help")
    _check_text(tokens)
    if tokens[0] in (*_HELP, "?") and registry.find("help") is not None:
        return registry.make("help", {}), NOTHING
    _check_place(tokens, known)
    spec, rest = _command(tokens, registry)
    values = _Values(registry.command(spec.name), known)
    for_options = True
    queue = list(rest)
    if queue and queue[-1].lower() == BY_HAND and spec.parameter(BY_HAND) is not None:
        queue[-1] = f"--{BY_HAND}"
    wrong: UsageError | None = None
    while queue:
        token = queue.pop(0)
        if for_options and token == "--":  # noqa: S105 - a word of a command line
            for_options = False
            continue
        if for_options and token in _HELP and registry.find("help") is not None:
            return registry.make("help", {"topic": spec.name}), NOTHING
        try:
            if for_options and token.startswith("--"):
                values.take_option(token, queue)
            else:
                values.take_positional(token, queue)
        except UsageError as error:
            wrong = wrong or error
    if wrong is not None:
        # with what comes after the mistake: an environment that is left out would be another one
        wrong.form = values.form()
        raise wrong
    taken = values.recall(about, default_environment)
    return values.request(default_environment), taken


BY_HAND = "kubectl"
"""The last word asks for the lines that tell the same in a terminal."""

GOES_BACK = "rollback"
"""What is never held up by a thread that is not clear."""

_HELP = ("--help", "-h")
"""Where an option may stand: as shells have it, `deploy --help` is `help deploy`."""


def _check_place(tokens: list[str], known: Known) -> None:
    """What acts on a machine is not typed to the bot, but on that machine."""
    for name in known.terminal:
        if " ".join(tokens[: len(name.split())]).lower() == name:
            raise UsageError(f"`{name}` works in a terminal only, on the machine it concerns: `omnicare {name}`.")


def _check_text(tokens: list[str]) -> None:
    """What nobody types: more than a person would, and halves of characters, which can't be written down."""
    if sum(map(len, tokens)) > LONGEST:
        raise UsageError(f"The text is too long: the maximum is {LONGEST} characters.")
    if any("\ud800" <= sign <= "\udfff" for token in tokens if not token.isascii() for sign in token):
        raise UsageError("The text contains an incomplete character. Type it again.")


def find(tokens: list[str], registry: Registry) -> CommandSpec | None:
    """The command that the words begin with, where it is typed right."""
    return registry.find(" ".join(tokens[:2]).lower()) or (registry.find(tokens[0].lower()) if tokens else None)


_TROUBLE = "diagnose"
_FREE_WORDS = frozenset(
    ("why", "what", "what's", "whats", "is", "how", "something", "trouble", "problem", "broken", "down", "wrong")
)
"""First words of a question about what is wrong, in words of one's own."""


def _command(tokens: list[str], registry: Registry) -> tuple[CommandSpec, list[str]]:
    """The command and what is left to read. A name has one word or two, and `releases adpt` is a mistyped `releases adopt`."""
    whole = registry.find(" ".join(tokens[:2]).lower()) if len(tokens) > 1 else None
    if whole is not None:
        return whole, tokens[2:]
    spec = registry.find(tokens[0].lower())
    if (
        spec is None
        and tokens[0].lower().replace("\u2019", "'").rstrip("?!.,:") in _FREE_WORDS
        and registry.find(_TROUBLE) is not None
    ):
        raise UsageError(
            f"There is no {cited(tokens[0])}. Did you mean `{_TROUBLE}`?", suggestion=_TROUBLE, choices=(_TROUBLE,)
        )
    meant = _mistyped(tokens, registry, other_than=spec)
    if spec is not None and meant is None:
        return spec, tokens[1:]
    if meant is None and (said := unfinished(tokens[0], registry.names())):
        raise UsageError(said, choices=_asked_alone(tokens[0], registry))
    if meant is None:
        raise UsageError(f"There is no {cited(tokens[0])}. `help` lists all commands.")
    typed, name = meant
    rest = tokens[len(typed.split(" ")) :]
    raise UsageError(
        f"There is no {cited(typed)}. Did you mean `{name}`?",
        suggestion=" ".join([name, *map(_as_typed, rest)]),
        form=_form(registry.get(name), rest),
    )


def _asked_alone(word: str, registry: Registry) -> tuple[str, ...]:
    """The questions that begin with the word and need no more: a button may ask them at once."""
    begun = [spec for spec in registry if spec.name.startswith(f"{word.lower()} ") and spec.kind is Kind.QUERY]
    return tuple(spec.name for spec in begun if not any(p.required for p in spec.parameters))


def _too_many(rest: list[str], spec: CommandSpec) -> bool:
    """Whether more words follow than the command takes."""
    taken = [p for p in spec.parameters if p.positional]
    words = list(itertools.takewhile(lambda token: not token.startswith("-"), rest))
    return len(words) > len(taken) and not any(p.repeated for p in taken)


_SURE = 0.85
"""So close to a name of two words is that name, however close its first word alone is to another."""


def _mistyped(tokens: list[str], registry: Registry, *, other_than: CommandSpec | None) -> tuple[str, str] | None:
    """(what was typed, the name that was probably meant); two words go before one.

    Where the first word is a command, only a second word that it could not take may belong to a name of two.
    """
    long = [name for name in registry.names() if " " in name]
    one, two = tokens[0], " ".join(tokens[:2])
    if other_than is not None:
        if not _too_many(tokens[1:], other_than):
            return None
        meant = nearest(two, [name for name in long if name.startswith(f"{one.lower()} ")])
        return (two, meant) if meant else None
    if (joined := "-".join(tokens[:2]).lower()) in registry.names():  # `slow queries`
        return two, joined
    tried = [
        (two, _alike(tokens[:2], long)),
        (one, _run_together(one, long)),
        (one, [name for name in registry.names() if " " not in name]),
    ]
    found = [(typed, meant) for typed, names in tried if (meant := nearest(typed, names))]
    sure = next((pair for pair in found if " " in pair[1] and closeness(*pair) >= _SURE), None)
    return sure or max(found, key=lambda pair: closeness(*pair), default=None)


_ALIKE = 0.5
"""So much of a word of a name stands in what was typed in its place, or it is another name."""


def _alike(typed: list[str], names: list[str]) -> list[str]:
    """Names of two words that are near word by word: `scale backend` is not `sync failed`, though many of its letters are."""
    return [name for name in names if all(map(lambda *pair: closeness(*pair) >= _ALIKE, typed, name.split(" ")))]


_TOGETHER = 0.75
"""`syncfailed` is so close to `sync failed` at least; `scale` is not, though its letters are all in it."""


def _run_together(typed: str, names: list[str]) -> list[str]:
    """Names of two words that were probably typed as one."""
    return [name for name in names if closeness(typed, name) >= _TOGETHER]


def _form(spec: CommandSpec, rest: list[str]) -> tuple[str, dict[str, str]]:
    """What is likely meant by the words after a mistyped command, to fill its form with."""
    filled: dict[str, str] = {}
    positional = [p for p in spec.parameters if p.positional]
    words = [word for word in rest if not word.startswith("-")]
    if positional and words:
        filled[positional[0].name] = words[0]
    return spec.name, filled


_NAMED = 3
"""So many environments are named."""


_INVISIBLE = ("Zs", "Zl", "Zp", "Cc", "Cf")
"""Categories of signs that nobody sees: a value of these alone is empty."""


class _Values:
    """Collects what was typed for one command."""

    def __init__(self, command: type[Command], known: Known) -> None:
        self._command = command
        self._spec = spec = command.spec
        self._known = known
        self._found: dict[str, Any] = {}
        self._typed: dict[str, str] = {}
        self._positional = [p for p in spec.parameters if p.positional]
        self._options = {p.flag: p for p in spec.parameters if not p.positional}

    def _fail(self, message: str, suggestion: str | None = None, *, missing: Parameter | None = None) -> UsageError:
        spec = self._spec
        return UsageError(
            message,
            usage=spec.usage,
            example=f"{spec.name} {spec.examples[0]}".strip(),
            suggestion=suggestion,
            form=self.form(),
            question=question_for(spec, missing, self._found, self._known) if missing is not None else None,
        )

    def form(self) -> tuple[str, dict[str, str]] | None:
        """Return the command's form filled with what was typed so far; a value that is wrong is asked for. None where it takes nothing."""
        return (self._spec.name, dict(self._typed)) if self._positional or self._options else None

    def take_option(self, token: str, queue: list[str]) -> None:
        flag, equals, value = token.partition("=")
        parameter = self._options.get(flag.lower())
        if parameter is None:
            raise self._fail(self._no_option(flag))
        if parameter.name in self._found:
            raise self._fail(f"{cited(flag)} is given twice.")
        if parameter.type is None:
            if equals:
                raise self._fail(f"{cited(flag)} takes no value.")
            self._found[parameter.name] = True
            self._typed[parameter.name] = "yes"
            return
        if not equals:
            if not queue or queue[0].startswith("--"):
                raise self._fail(f"`{flag}` needs a value, such as `{flag} {parameter.type.example}`.")
            value = queue.pop(0)
        self._put(parameter, value)

    def take_positional(self, token: str, queue: list[str]) -> None:
        for parameter in self._positional:
            if isinstance(parameter.type, CommandNameType) and queue and f"{token} {queue[0]}" in self._known.commands:
                token = f"{token} {queue.pop(0)}"  # a command's name may have two words
            if parameter.repeated:
                before, value = self._found.get(parameter.name, ()), self._value(parameter, token)
                if value in before:
                    raise self._fail(f"{cited(token)} is given twice.")
                self._found[parameter.name] = (*before, value)
                return
            if parameter.name not in self._found:
                self._put(parameter, token)
                return
        shown = f"There is an extra word: {cited(token)}."
        hint = self._as_option(token)
        raise self._fail(hint or (f"{shown} Put values with spaces in quotes." if self._options else shown))

    def _nowhere(self, where: Parameter) -> UsageError:
        """What to add, by its name, in the example too: the same words alone would be refused again."""
        ways = [f"{where.flag} {name}" for name in self._known.environments]
        shown = listed((f"`{way}`" for way in ways[:_NAMED]), "or")
        error = self._fail(f"Name the environment: this channel has none of its own. Add {shown}.", missing=where)
        if ways and error.example and where.flag not in error.example:
            error.example = f"{error.example} {ways[-1]}"
        return error

    def _as_option(self, token: str) -> str | None:
        """A sentence for a word that stands alone and means an option: `-n`, `production`, `v1.2.0`."""
        if token.startswith("-"):
            return self._no_option(token)
        where = environment_parameter(self._spec)
        if where is not None and not where.positional and (meant := nearest(token, self._known.environments)):
            self._typed.setdefault(where.name, meant)
            return f"There is an extra word: {cited(token)}. Did you mean `{where.flag} {meant}`?"
        for option in self._options.values():
            if isinstance(option.type, VersionType) and VersionType.looks_like(token, self._known):
                self._typed.setdefault(option.name, token)
                return f"{cited(token)} is a version. Did you mean `{option.flag} {shortened(token, 40)}`?"
        return None

    def _no_option(self, flag: str) -> str:
        begun = [each for each in self._options if each.startswith(f"--{flag.strip('-').lower()}")]
        meant = nearest(flag, self._options) or (begun[0] if len(begun) == 1 else None)  # `-f`
        hint = f" Did you mean `{meant}`?" if meant else f" There are: {', '.join(self._options) or 'none'}."
        return f"`{self._spec.name}` has no option {cited(flag)}.{hint}"

    def _put(self, parameter: Parameter, token: str) -> None:
        if not parameter.positional:
            self._typed[parameter.name] = ""
        self._found[parameter.name] = self._value(parameter, token)
        self._typed[parameter.name] = token

    def _value(self, parameter: Parameter, token: str) -> Any:
        assert parameter.type is not None
        if all(unicodedata.category(sign) in _INVISIBLE for sign in token):
            # for every type at once: a sentence around an empty value says nothing, and an empty pattern matches everything
            name = (
                f"`{parameter.flag}`" if not parameter.positional else f"The {parameter.type.name.replace('|', ' or ')}"
            )
            raise self._fail(f"{name} is empty. Type a value, such as `{parameter.type.example}`, or omit it.")
        try:
            return parameter.type.parse(token, self._known)
        except Invalid as error:
            if not parameter.positional:
                raise self._fail(f"`{parameter.flag}`: {error}") from None
            near = "Did you mean" in str(error) and not token.startswith("-")
            raise self._fail(str(error) if near else self._as_option(token) or str(error)) from None

    def recall(self, about: Subject, default_environment: str | None) -> Subject:
        """Fill in what was not typed and the thread tells, and return that. Raises `UsageError` where the environment has to be named."""
        decision, where = self._spec.kind is Kind.DECISION, self._untold()
        if where is not None:
            if about.unsure and self._changes():
                raise self._unsure(about.unsure, where, about.environment)
            named = about.environment in self._known.environments and about.environment != default_environment
            if decision and named:  # it acts at once, so it takes nothing silently
                raise self._unsure(f"This thread is about {about.environment}", where, about.environment)
            if named and about.to_another and self._changes():
                why = f"The newest answer in this thread was to another person, about {about.environment}"
                raise self._unsure(why, where, about.environment)
        if decision:
            return NOTHING
        values, taken = recalled(self._spec, self._found, self._known, about)
        self._found |= values
        return taken

    def _changes(self) -> bool:
        """Whether it changes something. Going back is not held up: its plan names the environment, and a person confirms it."""
        if self._spec.kind is not Kind.OPERATION:
            return self._spec.kind is Kind.DECISION
        goes_back = self._spec.name == GOES_BACK and "to" not in self._found
        return not goes_back and not self._found.get("dry_run")

    def _unsure(self, why: str, where: Parameter, environment: str | None) -> UsageError:
        shown = environment if environment in self._known.environments else self._known.environments[-1]
        text = f"{why}. Name the environment for `{self._spec.name}`: add `{where.flag} {shown}` or another one."
        return self._fail(text, missing=where)

    def _untold(self) -> Parameter | None:
        """The parameter of the environment, where the channel's own is meant."""
        where = environment_parameter(self._spec)
        return where if where and where.default == CHANNEL_DEFAULT and where.name not in self._found else None

    def request(self, default_environment: str | None) -> Command:
        where = self._untold()
        if where is not None and default_environment is not None:
            self._found[where.name] = default_environment
        missing = [p for p in self._positional if p.required and p.name not in self._found]
        if missing:
            names = listed(f"the {p.type.name.replace('|', ' or ')}" for p in missing if p.type)
            raise self._fail(f"`{self._spec.name}` needs {names}: {missing[0].help}.", missing=missing[0])
        for option in self._options.values():
            if option.asked is not None and option.name not in self._found:
                raise self._fail(option.asked, missing=option)
        if where is not None and default_environment is None:
            raise self._nowhere(where)
        for each in self._positional:
            if isinstance(each.type, ScriptArgumentType) and (needed := each.type.needed(self._found, self._known)):
                self._check_argument(each, needed)
        return self._command.make(self._found)

    def _check_argument(self, parameter: Parameter, needed: tuple[str, ...]) -> None:
        """Raise `UsageError` for a script's argument that is missing, or that the script does not take; it offers those that it takes."""
        script, given = self._found["script"], self._found.get(parameter.name)
        if given is None:
            raise self._fail(f"Script `{script}` needs an argument.", missing=parameter)
        if given not in needed:
            meant = nearest(given, needed)
            hint = f" Did you mean `{meant}`?" if meant else ""
            raise self._fail(f"Script `{script}` has no argument {cited(given)}.{hint}", missing=parameter)
