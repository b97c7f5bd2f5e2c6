"""The dispatcher: inbound → request → permission → plan → approval → run, and the answer.

Every way in (typed, mention, button, form, shortcut, terminal) comes through here; nothing else asks permissions or starts anything.
What changes something is written to the book, then handed to the engine, and only then does `take` return, so that the surface
acknowledges nothing that could be lost.
"""

import asyncio
import logging
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, tzinfo

from bot import crash_points
from bot.audit import BookUnavailable, Event, EventName
from bot.config import Settings
from bot.dispatch.announcement import announce
from bot.dispatch.answers import by_hand, dry_run, refusal_card, started_card, usage_card
from bot.dispatch.disclosure import check_options, disclosed
from bot.dispatch.form import form_for, tokens_of
from bot.dispatch.refusals import Refusals, act_id, check_button
from bot.inbound import Answer, Exit, Form, Identity, Inbound, Surface
from bot.policy.people import People
from bot.redacting import without_private_words
from bot.runs import follow_up
from bot.runs.decisions import EngineRuns
from bot.runs.house import House
from bot.runs.model import Appointment, Request, request_id
from bot.runs.resolving import resolve
from commands.kit.card import Card, OpenForm
from commands.kit.command import Command, Decision, EnvironmentDecision, Operation, Query, RunDecision
from commands.kit.context import Actor, Context, Denied
from commands.kit.menu import menu_card
from commands.kit.parsing import LONGEST, UsageError, parse, split, typed_again
from commands.kit.registry import Registry
from commands.kit.spec import CommandSpec, Kind
from commands.kit.typed_text import made_plain
from commands.kit.types import Known
from runbooks.kit.errors import RunbookError
from runbooks.kit.reasons import ReasonCode
from runbooks.wording import cited, short_id

_log = logging.getLogger(__name__)

_DOTS = 2
"""In a request's full id: `production.deploy.<id>`."""

_ABOUT = 1.5
"""Seconds for what stands on a form: Slack takes one within three of the click."""

_SUGGESTING = 2.0
"""Seconds: Slack waits three for what a select offers."""


_Decides = Callable[[RunDecision, Context, str | None], Awaitable[Card]]
"""What a decision on a run does, given the clicked card's word."""


class Dispatcher:
    """One per process."""

    def __init__(
        self,
        *,
        settings: Settings,
        registry: Registry,
        people: People,
        house: House,
        runs: EngineRuns,
        identity: Identity | None,
        of_the_machine: tuple[str, ...] = (),
    ) -> None:
        self._settings = settings
        self._registry = registry
        self._people = people
        self._house = house
        self._decisions: Mapping[str, _Decides] = {
            **{spec.name: self._decide_by_card for spec in registry if spec.on_card},
            "retry": self._retry,
            "resolve": self._resolve,
        }
        self._runs = runs
        self._identity = identity
        self._zones: dict[str, tzinfo | None] = {}
        self._pending = house.pending
        self._refusals = Refusals(house.book, house.clock)
        self._known = Known(
            environments=tuple(settings.environments),
            services=tuple(sorted({each.name for one in settings.environments.values() for each in one.services})),
            commands=registry.names(),
            people=people.keys(),
            terminal=of_the_machine,
            versions=settings.bot.versions,
        )

    # reading

    def _parse(self, inbound: Inbound) -> Command:
        """Raises `UsageError`. Pure: decides nothing, asks nobody."""
        default = self._settings.channels.get(inbound.place.channel or "") or self._terminal_default(inbound)
        if inbound.filled is not None:
            return parse(
                tokens_of(inbound.filled, self._registry), self._registry, self._known, default_environment=default
            )
        if inbound.tokens is not None:
            tokens = list(inbound.tokens)
        else:
            typed = inbound.text or ""
            # before anything is done with it; signs that a client wrote as entities are longer than they were
            if len(typed) > 5 * LONGEST or len(text := typed if inbound.drawn else made_plain(typed)) > LONGEST:
                raise UsageError(f"The text is too long: {LONGEST} characters at most.")
            tokens = [self._person_meant(token) for token in split(text)]
        return parse(tokens, self._registry, self._known, default_environment=default)

    def _person_meant(self, token: str) -> str:
        """A mention that stands alone, or as an option's value, is the listed person's key; else what was typed."""
        before, sign, account = token.rpartition("@")
        alone = before == "" or (before.startswith("--") and before.endswith("="))
        key = self._people.by_slack(account) if sign and alone else None
        return f"{before}{key}" if key else token

    def _terminal_default(self, inbound: Inbound) -> str | None:
        if inbound.surface is Surface.TERMINAL or inbound.place.direct:
            return self._settings.bot.default_environment
        return None

    def kind(self, inbound: Inbound) -> Kind | None:
        """What is asked for, by parsing alone; None where it can't be understood or nothing was typed."""
        try:
            request = self._parse(inbound)
        except UsageError:
            return None
        return request.kind if _changes(request) else Kind.QUERY

    # acting

    async def take(self, inbound: Inbound) -> Answer:
        """Does it. Refusals, mistakes and bugs are answers too; nothing is raised."""
        answer = await self._answered(inbound)
        if self._house.metrics is not None:
            self._house.metrics.inbound(inbound.surface, self._name_of(inbound), answer.exit.name.lower())
        return answer

    def _name_of(self, inbound: Inbound) -> str | None:
        try:
            return self._parse(inbound).spec.name
        except UsageError:
            return None

    async def _answered(self, inbound: Inbound) -> Answer:
        try:
            return await self._tried(inbound)
        except Exception:  # noqa: BLE001 - a bug: the person gets an id, the log the rest
            bug = secrets.token_hex(4)
            _log.exception("a delivery ended by a bug", extra={"bug": bug, "act": act_id(inbound)})
            text = f"An error of the bot's own. Its log has it under {bug}. Nothing was started."
            return Answer(card=refusal_card(text, ReasonCode.BUG), exit=Exit.FAILED)

    async def _tried(self, inbound: Inbound) -> Answer:
        actor = self._people.actor(inbound.surface, inbound.account, inbound.named)
        request: Command | None = None
        try:
            if self._is_empty(inbound):
                return Answer(card=await self.menu(inbound))
            check_button(inbound, self._registry)
            request = self._parse(inbound)
            return await self._taken(inbound, actor, request)
        except UsageError as error:
            return await self._corrected(inbound, actor, error)
        except Denied as denied:
            refused = await self._denied(inbound, actor, denied)
        except RunbookError as error:
            card = refusal_card(self._house.redact(error.message), error.code, advice=error.advice)
            refused = Answer(card=card, exit=Exit.FAILED)
        except BookUnavailable:
            text = f"{self._house.book_trouble}, so nothing was started. `doctor` says why."
            refused = Answer(card=refusal_card(text, ReasonCode.BOOK_UNAVAILABLE), exit=Exit.FAILED)
        return await self._with_way_back(actor, request, refused)

    async def _with_way_back(self, actor: Actor, request: Command | None, refused: Answer) -> Answer:
        """Who may look and can't go back through the bot is told how it is done by hand, digests included."""
        where = request.environment if isinstance(request, Operation) and request.goes_back else None
        if where is None or refused.card is None:
            return refused
        if not await self._house.permissions.may(actor, "fleet:read", where):
            return refused
        way = await self._house.ways_back.of(self._house, where)
        if way is None:
            return refused
        return replace(refused, card=by_hand(refused.card, way, self._house.clock()))

    async def _corrected(self, inbound: Inbound, actor: Actor, error: UsageError) -> Answer:
        """What to type instead; a stranger is told nothing of what there is to be typed."""
        try:
            await self._house.permissions.require(actor, None, None, changes=False)
        except Denied as denied:
            return await self._denied(inbound, actor, denied)
        return Answer(card=usage_card(error), exit=Exit.USAGE)

    async def _denied(self, inbound: Inbound, actor: Actor, denied: Denied) -> Answer:
        await self._refusals.note(actor, inbound, denied)
        return Answer(card=refusal_card(denied.message, denied.code), exit=Exit.DENIED)

    @staticmethod
    def _is_empty(inbound: Inbound) -> bool:
        return inbound.filled is None and not (inbound.tokens or (inbound.text or "").strip())

    async def _taken(self, inbound: Inbound, actor: Actor, request: Command) -> Answer:
        changes = _changes(request)
        if changes:
            request = without_private_words(request, self._house.redact)
        await self._standing(inbound, actor, fresh=changes)
        if changes and (inbound.place.direct or not inbound.place.member):
            raise _misplaced(inbound)
        if isinstance(request, Operation):  # a time of day is the person's own
            request = request.with_full_times(self._context(inbound, actor, None).now)
        permission = request.permission if changes or isinstance(request, Query) else "fleet:read"
        await self._house.permissions.require(actor, permission, request.environment, changes=changes)
        await check_options(self._house, inbound, actor, request)
        match request:
            case Operation(dry_run=False):
                return await self._start(inbound, actor, request)
            case Operation():
                return await self._try(inbound, actor, request)
            case Decision():
                return await self._decide(inbound, actor, request)
            case Query():
                return await self._look(inbound, actor, request)
        raise TypeError(f"{request.spec.name} is of no kind that there is")

    async def _standing(self, inbound: Inbound, actor: Actor, *, fresh: bool) -> None:
        """What Slack says of the account: nothing goes through Slack for a guest, a bot or somebody who left.

        Slack is not asked about strangers, who may do nothing anyway: a flood of theirs would use up what Slack answers.
        """
        if inbound.surface is not Surface.SLACK or self._identity is None or not actor.listed:
            return
        standing = await self._identity.standing(inbound.account, fresh=fresh)
        if standing.ok:
            self._zones[inbound.account] = standing.tz
            return
        if not standing.known:
            if fresh:
                raise Denied(
                    "Slack could not say whether your account is in good standing, so nothing was started. Try again, or use a terminal.",
                    code=ReasonCode.ACCOUNT_UNCHECKED,
                )
            return
        raise Denied(f"Your account may not act here: {standing.why}.", code=ReasonCode.ACCOUNT_REFUSED)

    async def _look(self, inbound: Inbound, actor: Actor, request: Query) -> Answer:
        environment = request.environment
        if environment is None and request.about_run is not None:
            environment = self._environment_of(await self._full_id(actor, request.about_run))  # the run's own cluster
        context = self._context(inbound, actor, environment)
        only, live = None, None
        async with self._in_time():
            if request.discloses:
                card, only = await disclosed(self._house, inbound, actor, request, context)
            elif (live := request.stream(context)) is not None:
                card = (await anext(live)).card
            else:
                card = await request.run(context)
        await self._note(inbound, actor, request, environment, EventName.COMMAND_ANSWERED)
        return Answer(card=card, private=request.discloses or request.meta.private, terminal_only=only, live=live)

    @asynccontextmanager
    async def _in_time(self) -> AsyncIterator[None]:
        try:
            async with asyncio.timeout(self._settings.times.query_deadline):
                yield
        except TimeoutError:
            raise RunbookError("It did not answer in time. Try again.", code=ReasonCode.TIMED_OUT) from None

    async def _try(self, inbound: Inbound, actor: Actor, request: Operation) -> Answer:
        """The plan, and nothing else."""
        context = self._context(inbound, actor, request.environment)
        async with self._in_time():
            card = await dry_run(context, request, self._appointment(request))
        await self._note(inbound, actor, request, request.environment, EventName.COMMAND_ANSWERED)
        return Answer(card=card, private=False)

    async def _decide(self, inbound: Inbound, actor: Actor, request: Decision) -> Answer:
        environment = request.environment
        word = inbound.filled.word if inbound.filled is not None else None
        if isinstance(request, RunDecision):
            request = replace(request, run=await self._full_id(actor, request.run))
            environment = self._environment_of(request.run)
        context = self._context(inbound, actor, environment)
        await self._note(inbound, actor, request, environment, EventName.COMMAND_ACCEPTED)
        match request:
            case RunDecision():
                told = await self._decisions[request.spec.name](request, context, word)
            case EnvironmentDecision():
                told = await request.decide(context)
            case _:
                raise TypeError(f"{request.spec.name} decides on nothing that there is")
        if (event := request.meta.audit_event) is not None:
            await self._note(inbound, actor, request, environment, EventName(event), said=told.summary)
            if environment is not None and not request.meta.private:
                await announce(self._house, inbound, actor, request, environment, told)
        # after a click the card that was clicked says it a moment later, to everybody
        return Answer(card=None if word is not None else told, private=request.meta.private)

    async def _decide_by_card(self, request: RunDecision, context: Context, word: str | None) -> Card:
        act, reason, then = request.spec.name, request.reason, request.then
        return await self._runs.decide(request.run, act, context.actor, reason=reason, word=word, then=then)

    async def _retry(self, request: RunDecision, context: Context, word: str | None) -> Card:  # noqa: ARG002 - no card asks
        return await self._runs.retry(request.run, context.actor, reason=request.reason)

    async def _resolve(self, request: RunDecision, context: Context, word: str | None) -> Card:  # noqa: ARG002 - no card asks
        return await resolve(self._runs, context, request.run, request.reason or "")

    async def _full_id(self, actor: Actor, run: str) -> str:
        """What a short id stands for, so that the book names the run itself. Raises `Denied` where it is none or several."""
        return run.lower() if run.count(".") == _DOTS else (await self._house.context(actor, None).runs.find(run)).id

    def _environment_of(self, run: str) -> str | None:
        """Where a run is, by its id: its fleet's record may be in another cluster than the first one's."""
        name = run.partition(".")[0]
        return name if name in self._settings.environments else None

    async def _start(self, inbound: Inbound, actor: Actor, asked: Operation) -> Answer:
        name, environment = asked.spec.name, asked.environment
        assert environment is not None, "every operation has an environment"
        settings = self._settings.environments[environment]
        channel = inbound.place.channel or settings.channel
        id = request_id(environment, name, inbound.key)  # noqa: A001 - it is the request's id
        request = Request(
            id=id,
            command=name,
            arguments=asked.arguments(),
            environment=environment,
            text=typed_again(asked),
            title=asked.title(environment),
            requester=actor,
            channel=channel,
            threaded=self._settings.slack.enabled and channel is not None,
            at=self._house.clock(),
            reason=asked.reason,
            ticket=asked.ticket,
            appointment=self._appointment(asked),
        )
        again = self._pending.holds(request)
        if (twin := await self._twin(request, asked)) is not None:
            card = refusal_card(
                f"You asked for that already: run {short_id(twin)} is still open. Look at its thread.",
                ReasonCode.ALREADY_DECIDED,
            )
            return Answer(card=card, run=twin)
        try:
            await self._hand_over(request)
        except BaseException:
            if not again:
                self._pending.end(request)
            raise
        threadless = inbound.surface is Surface.TERMINAL or not request.threaded
        return Answer(card=started_card(request) if threadless else None, private=False, run=request.id)

    def _appointment(self, asked: Operation) -> Appointment | None:
        at, times = asked.starts_at, self._settings.times
        return Appointment.of(at, before=times.go_before, grace=times.go_grace) if at is not None else None

    async def _twin(self, request: Request, asked: Operation) -> str | None:
        """The same request of the same person that is still open. One that the engine has ended is none."""
        bounded = not asked.goes_back
        while (found := self._pending.claim(request, bounded=bounded)) is not None:
            view = await self._house.engine.view(found)
            if view is None or view.active:  # None: just being handed over
                return found
            self._pending.forget(found)
        return None

    async def _hand_over(self, request: Request) -> None:
        """First the book, then the engine."""
        noted = await follow_up.noted(self._house, request)
        if not noted:
            raise BookUnavailable("the request could not be written")
        crash_points.reached("request-noted")
        await self._house.engine.start("request", request.id, request.model_dump(mode="json"))

    def _context(self, inbound: Inbound, actor: Actor, environment: str | None) -> Context:
        context = self._house.context(actor, environment)
        return replace(context, now=context.now.astimezone(inbound.zone or self._zones.get(inbound.account) or UTC))

    async def _note(
        self,
        inbound: Inbound,
        actor: Actor,
        request: Command,
        environment: str | None,
        name: EventName,
        *,
        said: str | None = None,
    ) -> None:
        """Who looked at what, or decided what. Decisions need the book; looking, and telling what was done, does not."""
        details: dict[str, object] = {"arguments": request.arguments()}
        event = Event(
            id=f"{act_id(inbound)}/{name}",
            name=name,
            at=self._house.clock(),
            actor=actor.key,
            surface=actor.surface,
            environment=environment,
            command=request.spec.name,
            run=request.run if isinstance(request, RunDecision) else None,
            reason=request.reason,
            details=details | ({"said": said} if said else {}),
        )
        try:
            await self._house.book.append(event)
        except BookUnavailable:
            if name is EventName.COMMAND_ACCEPTED:
                raise
            _log.warning("%s could not be written to the book", name, extra={"command": request.spec.name})

    # forms and the menu

    async def form(self, inbound: Inbound, form: OpenForm) -> Form | Answer:
        """The form for a command, for this person, or a refusal."""
        actor = self._people.actor(inbound.surface, inbound.account, inbound.named)
        spec = self._registry.find(form.command)
        if spec is None:
            return Answer(card=usage_card(UsageError(f"There is no {cited(form.command)}.")), exit=Exit.USAGE)
        try:
            await self._standing(inbound, actor, fresh=False)
            await self._house.permissions.require(actor, spec.permission, None, changes=spec.kind is not Kind.QUERY)
        except Denied as denied:
            return await self._denied(inbound, actor, denied)
        default = self._settings.channels.get(inbound.place.channel or "")
        made = form_for(spec, form.filled, self._known, default_environment=default)
        about = await self._about(actor, spec, form.filled)
        return replace(made, intro=about) if about else made

    async def _about(self, actor: Actor, spec: CommandSpec, filled: Mapping[str, str]) -> str:
        """What a command wants said on its form of how things stand now; nothing where that takes too long for Slack."""
        where = self._environment_of(filled.get("run", ""))
        if where is None or not await self._house.permissions.may(actor, "fleet:read", where):
            return ""
        try:
            async with asyncio.timeout(_ABOUT):
                command = self._registry.command(spec.name)
                return await command.form_intro(self._house.context(actor, where), filled)
        except TimeoutError:
            return ""

    async def menu(self, inbound: Inbound) -> Card:
        """What this person may run."""
        actor = self._people.actor(inbound.surface, inbound.account, inbound.named)
        try:
            await self._standing(inbound, actor, fresh=False)
        except Denied as denied:
            await self._refusals.note(actor, inbound, denied)
            return refusal_card(denied.message, denied.code)
        allowed = [spec for spec in self._registry if await self._house.permissions.may(actor, spec.permission, None)]
        return menu_card(actor, allowed if actor.listed else [], self._settings.slack.command)

    async def suggestions(self, inbound: Inbound, field: str, values: Mapping[str, str], typed: str) -> tuple[str, ...]:
        """Values to offer in a form while somebody types: versions that exist, runs that are open."""
        actor = self._people.actor(inbound.surface, inbound.account, inbound.named)
        default = self._settings.channels.get(inbound.place.channel or "") or next(iter(self._settings.environments))
        where = values.get("env") or default
        try:
            await self._standing(inbound, actor, fresh=False)
        except Denied:
            return ()
        if where not in self._settings.environments or not await self._house.permissions.may(
            actor, "fleet:read", where
        ):
            return ()
        context = self._house.context(actor, where)
        try:
            async with asyncio.timeout(_SUGGESTING):
                if field in ("run", "run_id", "after"):
                    found = [each.short for each in await context.runs.recent(environment=where, limit=25)]
                else:
                    repository = self._settings.environment(where).services[0].repository
                    found = [each.tag for each in await context.registry.newest(repository, 50)]
        except (RunbookError, TimeoutError):
            return ()
        return tuple(each for each in found if typed.lower() in each.lower())[:25]


def _changes(request: Command) -> bool:
    """Whether it would change something: a dry run only shows what would be."""
    return not isinstance(request, Query) and not (isinstance(request, Operation) and request.dry_run)


def _misplaced(inbound: Inbound) -> Denied:
    if inbound.place.direct:
        text = "Nothing that changes something starts in a direct message, where nobody else sees it. Type it in a channel where the bot is."
    else:
        text = "The bot is not in this channel, so it can't keep a thread here. Invite it (/invite), or type it where it is."
    return Denied(text, code=ReasonCode.PLACE_REFUSED)
