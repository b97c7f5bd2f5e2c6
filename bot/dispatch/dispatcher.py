"""The dispatcher: what came in is parsed once, authorised, and given to the handler of its kind.

Every way in (typed, mention, button, form, shortcut, terminal) comes through here; nothing else asks permissions or starts anything.
What changes something is written to the audit log, then handed to the engine, and only then does `take` return, so that the surface
acknowledges nothing that could be lost.
"""

import logging
import secrets
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from bot.audit import AuditLogUnavailable
from bot.boundary.accounts import Identity
from bot.boundary.inbound import Answer, CommandChoice, Exit, Form, Inbound, ParsedInbound
from bot.config import Settings
from bot.dispatch import decision, form, operation, query
from bot.dispatch.account_check import AccountCheck
from bot.dispatch.act import Act, Services
from bot.dispatch.answers import by_hand, question_card, refusal_card, usage_card
from bot.dispatch.disclosure import check_options
from bot.dispatch.reading import RequestReader
from bot.dispatch.refusals import Refusals, act_id, check_button, check_expiry
from bot.policy.people import People
from bot.process.metrics import ProcessMetrics
from bot.runs.decisions import EngineRuns
from bot.runs.manual_rollback import ManualRollbacks
from bot.runs.notes import AuditNotes
from commands.kit.card import OpenForm
from commands.kit.command import Command, Decision, Operation, Query
from commands.kit.context import Actor, Denied
from commands.kit.parsing import UsageError
from commands.kit.question import Question
from commands.kit.registry import Registry
from commands.kit.rotation_type import RotationType
from commands.kit.script_type import ScriptType
from commands.kit.spec import Kind
from commands.kit.topics import grouped
from commands.kit.types import EnvironmentType, Known, ServiceType, TargetType, TextType, VersionType
from runbooks.kit.errors import RunbookError
from runbooks.kit.reasons import ReasonCode
from runbooks.kit.waiting import failed_inside
from runbooks.wording import cited

_log = logging.getLogger(__name__)

_VERSIONS = 5
"""The newest, which are offered where a version is missing."""


class Dispatcher:
    """One per process."""

    def __init__(
        self,
        *,
        settings: Settings,
        registry: Registry,
        people: People,
        services: Services,
        notes: AuditNotes,
        runs: EngineRuns,
        manual_rollbacks: ManualRollbacks,
        metrics: ProcessMetrics,
        redact: Callable[[str], str],
        identity: Identity | None,
        of_the_machine: tuple[str, ...] = (),
    ) -> None:
        self._settings = settings
        self._registry = registry
        self._people = people
        self._services = services
        self._permissions = services.permissions
        self._notes = notes
        self._manual_rollbacks = manual_rollbacks
        self._metrics = metrics
        self._redact = redact
        self._runs = runs
        self._accounts = AccountCheck(identity)
        self._refusals = Refusals(services.audit_log, services.clock)
        self._known = Known(
            environments=tuple(settings.environments),
            services=tuple(sorted({each.name for one in settings.environments.values() for each in one.services})),
            commands=registry.names(),
            people=people.keys(),
            regions=settings.regions(),
            scripts=settings.scripts(),
            rotations=tuple(dict.fromkeys(name for one in settings.environments.values() for name in one.rotations)),
            script_arguments={
                (name, script): each.choices
                for name, one in settings.environments.items()
                for script, each in one.scripts.items()
                if each.choices
            },
            terminal=of_the_machine,
            versions=settings.bot.versions,
        )
        self._reader = RequestReader(settings, registry, people, self._known)

    def parse(self, inbound: Inbound) -> ParsedInbound:
        """Return what is asked for, by parsing alone. Never raises."""
        return self._reader.read(inbound)

    async def take(self, came: Inbound | ParsedInbound) -> Answer:
        """Do what is asked for. Refusals, mistakes and bugs are answers too; nothing is raised."""
        parsed = came if isinstance(came, ParsedInbound) else self.parse(came)
        inbound = parsed.inbound
        try:
            answer = await self._answered(parsed)
        except BaseException as error:  # a bug: the person gets an id, the log the rest
            if not failed_inside(error):
                raise
            bug = secrets.token_hex(4)
            _log.exception("what came in ended by a bug", extra={"bug": bug, "act": act_id(inbound)})
            text = f"The bot failed unexpectedly. Its log has the error under {bug}. Nothing was started."
            answer = Answer(card=refusal_card(text, ReasonCode.BUG), exit=Exit.FAILED)
        name = parsed.request.spec.name if parsed.request is not None else None
        self._metrics.inbound(inbound.surface, name, answer.exit.name.lower())
        return answer

    async def _answered(self, parsed: ParsedInbound) -> Answer:
        inbound = parsed.inbound
        act = Act(services=self._services, inbound=inbound, actor=self._actor(inbound), recalled=parsed.recalled)
        try:
            check_button(inbound, self._registry)
            check_expiry(inbound, self._services.clock())
            if parsed.error is not None:
                raise parsed.error
            assert parsed.request is not None, "what was not understood has an error"
            return await self._authorised(act, parsed.request)
        except UsageError as error:
            return await self._corrected(act, error)
        except Denied as denied:
            refused = await self._denied(act, denied)
            if denied.code is ReasonCode.ACCOUNT_REFUSED:
                return refused  # it looks at nothing, so it gets no lines either
        except RunbookError as error:
            card = refusal_card(self._redact(error.message), error.code, advice=error.advice)
            refused = Answer(card=card, exit=Exit.FAILED)
        except AuditLogUnavailable:
            text = f"{self._notes.trouble}, so nothing was started. Run `doctor` to find out why."
            refused = Answer(card=refusal_card(text, ReasonCode.BOOK_UNAVAILABLE), exit=Exit.FAILED)
        return await self._with_way_back(act.actor, parsed.request, refused)

    async def _authorised(self, act: Act, request: Command) -> Answer:
        changes = request.changes
        if changes:
            request = _without_private_words(request, self._redact)
        act = replace(act, zone=await self._accounts.zone(act.inbound, act.actor, fresh=changes))
        if changes and (act.inbound.place.direct or not act.inbound.place.member):
            raise _misplaced(act.inbound)
        if isinstance(request, Operation):  # a time of day is the person's own
            request = request.with_full_times(act.context(None).now)
        permission = request.permission if changes or isinstance(request, Query) else "fleet:read"
        await self._permissions.require(act.actor, permission, request.environment, changes=changes)
        await check_options(act, request)
        match request:
            case Query():
                return await query.answer(act, request)
            case Operation(dry_run=True):
                return await operation.show_plan(act, request)
            case Operation():
                return await operation.start(act, request)
            case Decision():
                return await decision.decide(act, request, self._runs)
        raise TypeError(f"{request.spec.name} is no query, operation or decision")

    async def _with_way_back(self, actor: Actor, request: Command | None, refused: Answer) -> Answer:
        """Return the refusal of a rollback, with the lines for doing it by hand where the person may look at the environment."""
        where = request.environment if isinstance(request, Operation) and request.goes_back else None
        if where is None or refused.card is None:
            return refused
        if not await self._permissions.may(actor, "fleet:read", where):
            return refused
        way = await self._manual_rollbacks.of(where)
        if way is None:
            return refused
        return replace(refused, card=by_hand(refused.card, way, self._services.clock()))

    async def _corrected(self, act: Act, error: UsageError) -> Answer:
        """Return what to type instead; to an unlisted or refused account a refusal, which tells nothing of the commands."""
        try:
            await self._accounts.zone(
                act.inbound, act.actor, fresh=False
            )  # before anything is looked up for the account
            await self._permissions.require(act.actor, None, None, changes=False)
        except Denied as denied:
            return await self._denied(act, denied)
        values = await self._choices(act, error.question) if error.question is not None else ()
        if error.question is not None and values:
            return Answer(card=question_card(error, error.question, values, self._services.clock()), exit=Exit.USAGE)
        return Answer(card=usage_card(error), exit=Exit.USAGE)

    async def _choices(self, act: Act, question: Question) -> Sequence[str]:
        """Return the values that this person may choose from; none of an environment where they may not do it."""
        permission, where = question.spec.permission, question.environment

        async def may(environment: str) -> bool:
            return await self._permissions.may(act.actor, permission, environment)

        match question.parameter.type:
            case EnvironmentType():
                return [name for name in question.values if await may(name)]
            case _ if where is not None and not await may(where):
                return ()
            case VersionType():
                known = {"env": where} if where else {}
                return (await form.suggestions(act, question.parameter.name, known, ""))[:_VERSIONS]
            case ServiceType() | TargetType() if where is not None:
                services = {each.name for each in self._settings.environments[where].services}
                return [name for name in question.values if name in services]
            case ScriptType() if where is not None:
                return tuple(self._settings.environments[where].scripts)
            case RotationType() if where is not None:
                return tuple(self._settings.environments[where].rotations)
        return question.values

    async def _denied(self, act: Act, denied: Denied) -> Answer:
        await self._refusals.note(act.actor, act.inbound, denied)
        return Answer(card=refusal_card(denied.message, denied.code), exit=Exit.DENIED)

    def _actor(self, inbound: Inbound) -> Actor:
        return self._people.actor(inbound.surface, inbound.account, inbound.named)

    async def typed_for(self, run: str) -> tuple[str, str] | None:
        """Return what a run was asked for with, as it would be typed, and the key of who asked; None where there is no such run."""
        try:
            found = await self._runs.find(run)
        except Denied:
            return None
        return found.text, found.requester

    # forms

    async def form(self, inbound: Inbound, asked: OpenForm) -> Form | Answer:
        """Return the form for a command, for this person, or a refusal."""
        act = Act(services=self._services, inbound=inbound, actor=self._actor(inbound))
        spec = self._registry.find(asked.command)
        if spec is None:
            return Answer(card=usage_card(UsageError(f"There is no {cited(asked.command)}.")), exit=Exit.USAGE)
        try:
            await self._accounts.zone(inbound, act.actor, fresh=False)
            await self._permissions.require(act.actor, spec.permission, None, changes=spec.kind is not Kind.QUERY)
        except Denied as denied:
            return await self._denied(act, denied)
        return await form.opened(act, self._registry.command(spec.name), asked.filled, self._known)

    async def choices(self, inbound: Inbound) -> tuple[CommandChoice, ...] | Answer:
        """Return the commands that this person may run, by group, or a refusal."""
        act = Act(services=self._services, inbound=inbound, actor=self._actor(inbound))
        try:
            await self._accounts.zone(inbound, act.actor, fresh=False)
            await self._permissions.require(act.actor, None, None, changes=False)
        except Denied as denied:
            return await self._denied(act, denied)
        allowed = [spec for spec in self._registry if await self._permissions.may(act.actor, spec.permission, None)]
        return tuple(
            CommandChoice(name=spec.name, summary=spec.summary, group=label)
            for _, label, own in grouped(allowed)
            for spec in own
        )

    async def suggestions(self, inbound: Inbound, field: str, values: Mapping[str, str], typed: str) -> tuple[str, ...]:
        """Return values to offer in a form while somebody types: versions that exist, runs that are open."""
        act = Act(services=self._services, inbound=inbound, actor=self._actor(inbound))
        try:
            await self._accounts.zone(inbound, act.actor, fresh=False)
        except Denied:
            return ()
        return await form.suggestions(act, field, values, typed)


def _without_private_words(request: Command, redact: Callable[[str], str]) -> Command:
    """Return the request with its reason and ticket redacted: they go into the engine, the fleet's record and every card as they are."""
    texts = {each.name for each in request.spec.parameters if isinstance(each.type, TextType)}
    said = {name: text for name, text in request.arguments().items() if name in texts}
    changed = {name: kept for name, text in said.items() if (kept := redact(text)) != text}
    return replace(request, **changed) if changed else request


def _misplaced(inbound: Inbound) -> Denied:
    if inbound.place.direct:
        text = "Changes can't be started in a direct message, where nobody else sees them. Use a channel that the bot is in."
    else:
        text = "The bot is not in this channel, so it can't post a thread here. Invite it (/invite), or use a channel that it is in."
    return Denied(text, code=ReasonCode.PLACE_REFUSED)
