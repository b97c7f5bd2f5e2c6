"""What came in, parsed: typed text, a shell's words, or the values of a button or form become one request. Once; the rest carries it on."""

from dataclasses import replace

from bot.boundary.inbound import Inbound, ParsedInbound, Surface
from bot.config import Settings
from bot.dispatch.form import tokens_of
from bot.policy.people import People
from commands.kit.command import Command
from commands.kit.parsing import BY_HAND, LONGEST, UsageError, find, parse, parse_follow_up, split
from commands.kit.registry import Registry
from commands.kit.remembered import NOTHING, UNREAD, Subject, subject_of, together
from commands.kit.spec import Kind
from commands.kit.typed_text import made_plain
from commands.kit.types import Known

START = "home"
"""The command that is meant where only the program's name was typed."""


class RequestReader:
    """Parses; decides nothing, and asks nobody."""

    def __init__(self, settings: Settings, registry: Registry, people: People, known: Known) -> None:
        self._settings = settings
        self._registry = registry
        self._people = people
        self._known = known

    def read(self, inbound: Inbound) -> ParsedInbound:
        """Return the request, or why there is none."""
        if inbound.filled is None and not (inbound.tokens or (inbound.text or "").strip()):
            inbound = replace(inbound, tokens=(START,))
        try:
            request, recalled = self._request(inbound)
        except Exception as error:  # noqa: BLE001 - whoever takes it answers with what to type instead, or with a bug's id
            return ParsedInbound(inbound=inbound, error=error)
        kind = request.kind if request.changes else Kind.QUERY
        return ParsedInbound(inbound=inbound, request=request, kind=kind, recalled=recalled)

    def _request(self, inbound: Inbound) -> tuple[Command, str]:
        """Return the request, and what of it comes from the thread, in words."""
        default = self._settings.channels.get(inbound.place.channel or "") or self._terminal_default(inbound)
        if inbound.filled is not None:
            tokens = tokens_of(inbound.filled, self._registry)
        elif inbound.tokens is not None:
            tokens = list(inbound.tokens)
        else:
            typed = inbound.text or ""
            # before anything is done with it; signs that a client wrote as entities are longer than they were
            if len(typed) > 5 * LONGEST or len(text := typed if inbound.drawn else made_plain(typed)) > LONGEST:
                raise UsageError(f"The text is too long: the maximum is {LONGEST} characters.")
            tokens = [self._person_meant(token) for token in split(text)]
        if [each.lower() for each in tokens] == [BY_HAND]:
            tokens = self._by_hand(inbound.thread_commands)
        if not inbound.thread_commands and not inbound.thread_unread:
            return parse(tokens, self._registry, self._known, default_environment=default), ""
        about = self._subject(inbound) if not inbound.thread_unread else UNREAD
        request, taken = parse_follow_up(tokens, self._registry, self._known, about, default_environment=default)
        if taken == Subject(environment=default):
            taken = NOTHING  # as it would have been without the thread
        return request, taken.told(default)

    def _by_hand(self, commands: tuple[str, ...]) -> list[str]:
        """Return the words that ask for the lines of the thread's newest answer that has some. Raises `UsageError`."""
        for text in commands:
            tokens = split(text)
            if (spec := find(tokens, self._registry)) is not None and spec.parameter(BY_HAND) is not None:
                return [*tokens, f"--{BY_HAND}"]
        raise UsageError(
            f"`{BY_HAND}` shows a query's commands for your own terminal: add it to a query, or type it in an answer's thread.",
            example=f"pods {BY_HAND}",
        )

    def _subject(self, inbound: Inbound) -> Subject:
        """Return what a thread is about. What can't be read any more, such as a command of an older version, is left out."""
        services = dict(inbound.thread_found)
        found: list[Subject] = []
        for text in inbound.thread_commands:
            try:
                request = parse(split(text), self._registry, self._known, default_environment=None)
            except UsageError:
                continue
            found.append(subject_of(request, self._known, services.get(text, "")))
        by = self._people.by_slack(inbound.thread_asked_by) or inbound.thread_asked_by
        actor = self._people.actor(inbound.surface, inbound.account, inbound.named)
        return together(found).model_copy(update={"to_another": by not in (actor.key, actor.account)})

    def _person_meant(self, token: str) -> str:
        """Return the key of a listed person for a mention that stands alone or as an option's value; else what was typed."""
        before, sign, account = token.rpartition("@")
        alone = before == "" or (before.startswith("--") and before.endswith("="))
        key = self._people.by_slack(account) if sign and alone else None
        return f"{before}{key}" if key else token

    def _terminal_default(self, inbound: Inbound) -> str | None:
        if inbound.surface is Surface.TERMINAL or inbound.place.direct:
            return self._settings.bot.default_environment
        return None
