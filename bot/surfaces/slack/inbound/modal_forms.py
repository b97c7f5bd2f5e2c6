"""Opening forms: the dispatcher says what is in them, Slack allows one within three seconds of what the person did."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import replace

from bot.boundary.inbound import Answer, Form, Inbound, TakesInbound
from bot.boundary.outbound import SurfaceGone
from bot.boundary.redacting import Redact
from bot.surfaces.slack.inbound import payloads
from bot.surfaces.slack.inbound.payloads import ChosenCommand, FormRequest, RunRequest, Suggestion
from bot.surfaces.slack.origin import Origin
from bot.surfaces.slack.outbound.replies import Replies
from bot.surfaces.slack.render import modals
from bot.surfaces.slack.render.modals import CHOOSER
from bot.surfaces.slack.render.mrkdwn import Block
from bot.surfaces.slack.transport.web_api import SlackApi, SlackError
from commands.kit.card import OpenForm, RunAct
from runbooks.kit.errors import TemporaryError

_log = logging.getLogger(__name__)

_TOO_LATE = "The form missed Slack's limit of three seconds. Press again."
_TOO_MUCH = "The form is larger than Slack allows. Type the command instead."
_LATE = frozenset({"expired_trigger_id", "exchanged_trigger_id", "invalid_trigger_id", "trigger_exchanged"})


_CHOOSING = 2.5
"""Seconds for the form of a chosen command; Slack waits three."""
_SUGGESTIONS = 2.0
"""Seconds for what a select offers; Slack waits three."""

Suggest = Callable[[Inbound, str, Mapping[str, str], str], Awaitable[Sequence[str]]]
"""(who and where, the field, what the form holds, what was typed so far) → values to offer, best first."""


class ModalForms:
    """One for the life of the process."""

    def __init__(
        self,
        api: SlackApi,
        dispatcher: TakesInbound,
        replies: Replies,
        redact: Redact,
        suggest: Suggest | None,
    ) -> None:
        self._api = api
        self._dispatcher = dispatcher
        self._replies = replies
        self._redact = redact
        self._suggest = suggest

    async def open(self, asked: FormRequest) -> None:
        """Open the form that a button or a shortcut asks for, or say why not."""
        origin, wanted = asked.origin, asked.form
        if wanted == CHOOSER:
            await self._choose(asked)
            return
        fixed: dict[str, str] = {}
        if isinstance(wanted, RunAct):
            fixed = {"run": wanted.run, "word": wanted.word}
            wanted = OpenForm(command=wanted.command, filled=fixed)
        inbound = payloads.filled(asked.delivery_id, origin, wanted.command, wanted.filled, fixed.get("word"))
        answer = await self._dispatcher.form(inbound, wanted)
        if isinstance(answer, Answer):
            await self._replies.show(origin, answer)
            return
        try:
            view = modals.form_view(self._checked(answer), origin, fixed=fixed, suggests=self._suggest is not None)
        except modals.TooMuch:
            await self._replies.say(origin, _TOO_MUCH)
            return
        await self._show(origin, view)

    async def _choose(self, asked: FormRequest) -> None:
        """Open the form to choose a command in."""
        choices = await self._dispatcher.choices(payloads.typed(asked.delivery_id, asked.origin, ""))
        if isinstance(choices, Answer):
            await self._replies.show(asked.origin, choices)
            return
        await self._show(asked.origin, modals.choice_view(choices, asked.origin))

    async def chosen(self, asked: ChosenCommand) -> Block | str:
        """Return the form of the command that was chosen, or why there is none. Slack waits three seconds for it."""
        inbound = payloads.filled(asked.delivery_id, asked.origin, asked.form.command, {})
        try:
            async with asyncio.timeout(_CHOOSING):
                answer = await self._dispatcher.form(inbound, asked.form)
        except TimeoutError:
            return _TOO_LATE
        if isinstance(answer, Answer):
            return self._redact(answer.card.summary) if answer.card is not None else _TOO_LATE
        try:
            return modals.form_view(self._checked(answer), asked.origin, suggests=self._suggest is not None)
        except modals.TooMuch:
            return _TOO_MUCH

    async def suggestions(self, asked: Suggestion) -> list[Block]:
        """Return the options of a select while somebody types: what was typed first, for values that nobody could suggest."""
        found: Sequence[str] = ()
        if self._suggest is not None:
            try:
                async with asyncio.timeout(_SUGGESTIONS):
                    found = await self._suggest(asked.inbound, asked.field, asked.values, asked.typed)
            except Exception:  # noqa: BLE001 - what was typed is offered all the same
                _log.warning("nothing could be suggested", exc_info=True)
        offered = dict.fromkeys(each for each in (asked.typed, *found) if 0 < len(each) <= payloads.LONGEST_OPTION)
        return [modals.option(each) for each in offered if self._redact(each) == each][:100]

    async def run_of(self, asked: RunRequest) -> str | None:
        """Return the run that one of the bot's own messages belongs to; None for any other message."""
        return asked.run if asked.bot is not None and asked.bot == (await self._api.myself()).bot else None

    def _checked(self, form: Form) -> Form:
        """Return the form with its words redacted; a filled-in value that must not leave is left empty."""
        fields = tuple(
            replace(
                field,
                label=self._redact(field.label),
                hint=self._redact(field.hint),
                filled=field.filled if self._redact(field.filled) == field.filled else "",
                options=tuple(each for each in field.options if self._redact(each) == each),
            )
            for field in form.fields
        )
        return replace(form, title=self._redact(form.title), intro=self._redact(form.intro), fields=fields)

    async def _show(self, origin: Origin, view: Block) -> None:
        method = "views.push" if origin.in_modal else "views.open"
        try:
            await self._api.call(method, trigger_id=origin.trigger, view=view)
        except SlackError as error:
            if error.error not in _LATE:
                raise
            await self._replies.say(origin, _TOO_LATE)
        except (TemporaryError, SurfaceGone):
            _log.warning("a form could not be opened", exc_info=True)
            await self._replies.say(origin, _TOO_LATE)
