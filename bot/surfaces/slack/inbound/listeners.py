"""What Slack delivers → the door, and its answer → the person. No listener acts by itself.

Bolt calls `Edge` as a middleware for every delivery, because Bolt's own listeners acknowledge an event before they run, and here an
event may carry a command: queries and help are acknowledged first; what changes something, and decisions, once the door has written
them down and handed them over. What was never handed over is never acknowledged: Slack then says so to the person, or delivers again.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any

from slack_bolt.app.async_app import AsyncApp
from slack_bolt.middleware.async_middleware import AsyncMiddleware
from slack_bolt.request.async_request import AsyncBoltRequest
from slack_bolt.response import BoltResponse

from bot.inbound import Answer, Exit, Inbound, ParsedInbound, TakesInbound
from bot.surfaces.slack.inbound import payloads
from bot.surfaces.slack.inbound.background import TOO_MANY, Afterwards
from bot.surfaces.slack.inbound.deduplication import Once
from bot.surfaces.slack.inbound.home_tab import Home
from bot.surfaces.slack.inbound.modal_forms import Forms
from bot.surfaces.slack.membership import Places
from bot.surfaces.slack.origin import Origin
from bot.surfaces.slack.outbound.replies import Answers
from bot.surfaces.slack.render import modals
from bot.surfaces.slack.render.button_values import read
from commands.kit.card import OpenForm, RunAct, Typed
from commands.kit.spec import Kind

_log = logging.getLogger(__name__)

MENU_SHORTCUT = "omnicare_menu"
RUN_SHORTCUT = "omnicare_run"
_IN_PASSING = "To give a command, begin the message with the mention, such as `@omnicare status`."
_NOT_PLAIN = (
    "I read plain messages only: no files, and nothing typed with `/me`. Send the command by itself, such as `status`."
)
_NOT_A_RUN = "That message does not belong to a run."
_OLD_BUTTON = "That button is not one of mine any more. Type the command instead."


class Edge(AsyncMiddleware):
    """Every delivery comes in here. One for the life of the process."""

    def __init__(
        self,
        door: TakesInbound,
        answers: Answers,
        forms: Forms,
        home: Home,
        places: Places,
    ) -> None:
        self._door = door
        self._answers = answers
        self._forms = forms
        self._home = home
        self._places = places
        self._once = Once()
        self._after = Afterwards(answers)
        self._delivering = 0
        self._quiet = asyncio.Event()
        self._quiet.set()
        self._closed = False
        self.on_group_changed: Callable[[dict[str, Any]], None] = lambda _: None

    async def async_process(
        self,
        *,
        req: AsyncBoltRequest,
        resp: BoltResponse,  # noqa: ARG002 - Bolt's signature
        next: Callable[[], Awaitable[BoltResponse]],  # noqa: A002, ARG002
    ) -> BoltResponse:
        """Returns what is acknowledged; status 503 is not."""
        if self._closed:
            return BoltResponse(status=503)
        self._delivering += 1
        self._quiet.clear()
        self._after.calm.disturbed()
        try:
            return await self._received(req.body)
        except Exception:  # noqa: BLE001 - Bolt would log the payload; an unacknowledged delivery comes again
            _log.exception("a delivery could not be read or handed over, so it is not acknowledged")
            return BoltResponse(status=500)
        finally:
            self._delivering -= 1
            if not self._delivering:
                self._quiet.set()

    async def drain(self, seconds: float) -> None:
        """Takes nothing new; waits so long for what is being handed over or answered."""
        self._closed = True
        try:
            async with asyncio.timeout(seconds):
                await self._quiet.wait()
                await self._after.ended()
        except TimeoutError:
            self._after.stop()

    async def _received(self, body: dict[str, Any]) -> BoltResponse:
        match body.get("type"):
            case _ if "command" in body:
                typed = payloads.slash_command(body)
                return await self._typed(typed.origin, typed.delivery)
            case "event_callback":
                return await self._event(body)
            case "block_actions":
                return await self._clicked(body)
            case "view_submission":
                return await self._submitted(body)
            case "block_suggestion":
                return await self._suggested(body)
            case "shortcut" if body.get("callback_id") == MENU_SHORTCUT:
                return self._menu_modal(body)
            case "message_action" if body.get("callback_id") == RUN_SHORTCUT:
                return await self._run_of_message(body)
            case _:
                return _acknowledged()

    # Typed text

    async def _event(self, body: dict[str, Any]) -> BoltResponse:
        event = body.get("event") or {}
        match event.get("type"):
            case "app_mention" | "message":
                return await self._said(body)
            case "app_home_opened" if event.get("tab") == "home" and event.get("user"):
                origin, key = Origin(account=str(event["user"])), f"event:{body.get('event_id')}"
                if self._once.is_new(key):
                    self._after.start(origin, self._home.publish(origin, key))
            case "subteam_members_changed" | "subteam_updated":
                self.on_group_changed(event)
        return _acknowledged()

    async def _said(self, body: dict[str, Any]) -> BoltResponse:
        said = payloads.message(body)
        if said is None:
            return _acknowledged()
        me = payloads.bot_user(body)
        text = payloads.after_mention(said.text, me)
        if text is None and said.origin.mentioned:
            if self._once.is_new(said.once):
                self._after.start(said.origin, self._answers.say(said.origin, _IN_PASSING))
            return _acknowledged()
        if not said.plain:
            if self._once.is_new(said.once):
                self._after.start(said.origin, self._answers.say(said.origin, _NOT_PLAIN))
            return _acknowledged()
        return await self._typed(said.origin, replace(said.delivery, text=said.text if text is None else text))

    async def _typed(self, origin: Origin, delivery: Inbound) -> BoltResponse:
        return await self._act(origin, delivery, delivery.key)

    async def _act(self, origin: Origin, delivery: Inbound, once: str) -> BoltResponse:
        """The order of things: what changes something is handed over first, all else is acknowledged first."""
        parsed = self._door.parse(delivery)
        if parsed.changes:
            if not self._after.handing.has_room(origin.account):
                self._after.too_many(origin)
                return _acknowledged()
            await self._once.run(once, lambda: self._hand_over(origin, parsed))
        elif self._once.is_new(once):
            self._after.start(origin, self._look(origin, parsed))
        return _acknowledged()

    async def _hand_over(self, origin: Origin, parsed: ParsedInbound) -> Answer:
        with self._after.handing.counted(origin.account):
            answer = await self._door.take(await self._placed(origin, parsed))
        self._after.start(origin, self._answers.show(origin, answer))
        return answer

    async def _look(self, origin: Origin, parsed: ParsedInbound) -> None:
        answer = await self._door.take(await self._placed(origin, parsed))
        await self._answers.show(origin, answer)

    async def _placed(self, origin: Origin, parsed: ParsedInbound) -> ParsedInbound:
        if await self._places.is_member(origin):
            return parsed
        elsewhere = parsed.inbound.place.model_copy(update={"member": False})
        return replace(parsed, inbound=replace(parsed.inbound, place=elsewhere))

    # Clicked

    async def _clicked(self, body: dict[str, Any]) -> BoltResponse:
        origin, value = payloads.click(body), payloads.chosen(body)
        if value is None:
            return _acknowledged()  # a select in a form: it counts when the form is submitted
        once = f"click:{body.get('trigger_id', '')}"
        match read(value):
            case RunAct(form=False) as act:
                return await self._act(origin, payloads.run_delivery(act, origin), once)
            case Typed() as act:
                pressed = replace(payloads.nothing_yet(once, origin), text=act.text, drawn=True)
                return await self._act(origin, pressed, once)
            case RunAct() | OpenForm() as act:
                if self._once.is_new(once):
                    self._after.start(origin, self._forms.open(origin, act, once))
            case None:
                if self._once.is_new(once):
                    self._after.start(origin, self._answers.say(origin, _OLD_BUTTON))
        return _acknowledged()

    # Forms

    async def _submitted(self, body: dict[str, Any]) -> BoltResponse:
        form = modals.submitted(body)
        if form is None:
            return _acknowledged()
        if not self._after.handing.has_room(form.origin.account):
            return _acknowledged({"response_action": "errors", "errors": modals.errors(TOO_MANY, body["view"])})
        once = f"form:{body.get('trigger_id') or (body.get('view') or {}).get('hash')}"
        parsed = self._door.parse(self._forms.delivery(form, once))
        if parsed.kind is Kind.QUERY:
            if self._once.is_new(once):
                self._after.start(form.origin, self._look(form.origin, parsed))
            return _closed(body)
        answer = await self._once.run(once, lambda: self._take_form(form, parsed, body))
        errors = self._errors(answer, body, form)
        return _acknowledged({"response_action": "errors", "errors": errors}) if errors else _closed(body)

    async def _take_form(self, form: modals.Submitted, parsed: ParsedInbound, body: dict[str, Any]) -> Answer:
        with self._after.handing.counted(form.origin.account):
            answer = await self._door.take(await self._placed(form.origin, parsed))
        if not self._errors(answer, body, form):
            self._after.start(form.origin, self._answers.show(form.origin, answer))
        return answer

    @staticmethod
    def _errors(answer: Answer, body: dict[str, Any], form: modals.Submitted) -> dict[str, str]:
        return modals.error_in(answer, body["view"], form.values) if answer.exit is Exit.USAGE else {}

    async def _suggested(self, body: dict[str, Any]) -> BoltResponse:
        origin = payloads.click(body)
        if not self._after.handing.has_room(origin.account):
            return _acknowledged({"options": []})
        with self._after.handing.counted(origin.account):
            return _acknowledged({"options": await self._forms.suggestions(body)})

    # Shortcuts

    def _menu_modal(self, body: dict[str, Any]) -> BoltResponse:
        origin, once = payloads.click(body), f"shortcut:{body.get('trigger_id', '')}"
        if self._once.is_new(once):
            self._after.start(origin, self._forms.menu(origin, once))
        return _acknowledged()

    async def _run_of_message(self, body: dict[str, Any]) -> BoltResponse:
        origin, once = payloads.click(body), f"shortcut:{body.get('trigger_id', '')}"
        run = await self._forms.run_of(body.get("message") or {})
        if run is None:
            if self._once.is_new(once):
                self._after.start(origin, self._answers.say(origin, _NOT_A_RUN))
            return _acknowledged()
        return await self._act(origin, replace(payloads.nothing_yet(once, origin), text=f"runs {run}"), once)


def build(app: AsyncApp, edge: Edge) -> AsyncApp:
    """Puts the edge into the app: after Bolt's own checks, before (and instead of) its listeners."""
    app.use(edge)
    return app


def _acknowledged(payload: dict[str, Any] | None = None) -> BoltResponse:
    return BoltResponse(status=200, body=payload or "")


def _closed(body: dict[str, Any]) -> BoltResponse:
    """The form closes; so does the menu that it was opened from."""
    stacked = (body.get("view") or {}).get("previous_view_id")
    return _acknowledged({"response_action": "clear"} if stacked else None)
