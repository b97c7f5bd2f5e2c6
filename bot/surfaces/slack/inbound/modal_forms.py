"""Opening forms: the door says what is in them, Slack allows one within three seconds of what the person did."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from bot.inbound import Answer, Form, Inbound, SurfaceGone, TakesInbound
from bot.redacting import Redact
from bot.surfaces.slack.inbound import payloads
from bot.surfaces.slack.inbound.home_tab import Home
from bot.surfaces.slack.origin import Origin
from bot.surfaces.slack.outbound.own_messages import METADATA, Finder
from bot.surfaces.slack.outbound.replies import Answers
from bot.surfaces.slack.render import modals
from bot.surfaces.slack.render.mrkdwn import Block
from bot.surfaces.slack.transport.web_api import SlackApi, SlackError
from commands.kit.card import OpenForm, RunAct
from runbooks.kit.errors import TemporaryError

_log = logging.getLogger(__name__)

_TOO_LATE = "The form came too late for Slack, which allows three seconds. Press again."
_TOO_MUCH = "The form would have to carry more than Slack allows. Type the command instead."
_LATE = frozenset({"expired_trigger_id", "exchanged_trigger_id", "invalid_trigger_id", "trigger_exchanged"})


_SUGGESTIONS = 2.0
"""Seconds for what a select offers; Slack waits three."""
_LONGEST = 75
"""Of an option's value."""

Suggest = Callable[[Inbound, str, Mapping[str, str], str], Awaitable[Sequence[str]]]
"""(who and where, the field, what the form holds, what was typed so far) → values to offer, best first."""


class Forms:
    """One for the life of the process."""

    def __init__(
        self, api: SlackApi, door: TakesInbound, answers: Answers, home: Home, redact: Redact, suggest: Suggest | None
    ) -> None:
        self._api = api
        self._door = door
        self._answers = answers
        self._home = home
        self._redact = redact
        self._suggest = suggest
        self._finder = Finder(api)

    async def open(self, origin: Origin, act: RunAct | OpenForm, key: str) -> None:
        """Opens the form that a button asks for, or says why not."""
        fixed: dict[str, str] = {}
        if isinstance(act, RunAct):
            fixed = {"run": act.run, "word": act.word}
            act = OpenForm(command=act.command, filled=fixed)
        delivery = payloads.filled_delivery(key, origin, act.command, dict(act.filled), fixed.get("word"))
        answer = await self._door.form(delivery, act)
        if isinstance(answer, Answer):
            await self._answers.show(origin, answer)
            return
        try:
            view = modals.form_view(self._checked(answer), origin, fixed=fixed, suggests=self._suggest is not None)
        except modals.TooMuch:
            await self._answers.say(origin, _TOO_MUCH)
            return
        await self._show(origin, view)

    async def menu(self, origin: Origin, key: str) -> None:
        """The menu as a modal: the global shortcut."""
        await self._show(origin, modals.menu_view(await self._home.menu(origin, key, surface_home=False)))

    def delivery(self, form: modals.Submitted, key: str) -> Inbound:
        """A form that came back, as the act that it is."""
        if form.decision and form.word is not None:
            act = RunAct(command=form.command, run=form.values["run"], word=form.word)
            return payloads.run_delivery(act, form.origin, form.values)
        return payloads.filled_delivery(key, form.origin, form.command, form.values, form.word)

    async def suggestions(self, body: dict[str, Any]) -> list[Block]:
        """What a select offers while somebody types: always what was typed, for values that nobody could suggest."""
        typed, view, origin = (
            str(body.get("value") or "").strip()[:_LONGEST],
            body.get("view") or {},
            payloads.click(body),
        )
        found: Sequence[str] = ()
        if self._suggest is not None:
            delivery = payloads.nothing_yet("suggestion", origin)
            try:
                async with asyncio.timeout(_SUGGESTIONS):
                    found = await self._suggest(delivery, str(body.get("block_id", "")), modals.entered(view), typed)
            except Exception:  # noqa: BLE001 - what was typed is offered all the same
                _log.warning("nothing could be suggested", exc_info=True)
        offered = dict.fromkeys(each for each in (typed, *found) if 0 < len(each) <= _LONGEST)
        return [modals.option(each) for each in offered if self._redact(each) == each][:100]

    async def run_of(self, message: dict[str, Any]) -> str | None:
        """The run that a message of the bot's own belongs to: another app may write the same metadata."""
        metadata = message.get("metadata") or {}
        run = (metadata.get("event_payload") or {}).get("run")
        if metadata.get("event_type") != METADATA or not isinstance(run, str) or not run or not message.get("bot_id"):
            return None
        return run if message["bot_id"] == (await self._finder.myself()).bot else None

    def _checked(self, form: Form) -> Form:
        """A form's words leave too. What was filled in and must not leave is left empty."""
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
            await self._answers.say(origin, _TOO_LATE)
        except (TemporaryError, SurfaceGone):
            _log.warning("a form could not be opened", exc_info=True)
            await self._answers.say(origin, _TOO_LATE)
