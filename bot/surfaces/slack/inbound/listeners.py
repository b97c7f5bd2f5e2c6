"""Bolt's listeners (`bolt_app` registers them): each gives what a person did to the dispatcher. No listener acts by itself.

Queries and help are acknowledged first; what changes something, and decisions, once the dispatcher has written them down and handed
them over. What was never handed over is never acknowledged: Slack then says so to the person, or delivers again.
"""

from slack_bolt.context.ack.async_ack import AsyncAck

from bot.boundary.inbound import Answer, Exit, ParsedInbound, TakesInbound
from bot.surfaces.slack.identity import SlackIdentity
from bot.surfaces.slack.inbound.answer_views import AnswerViews
from bot.surfaces.slack.inbound.background import TOO_MANY, Background
from bot.surfaces.slack.inbound.home_tab import HomeTab
from bot.surfaces.slack.inbound.modal_forms import ModalForms
from bot.surfaces.slack.inbound.payloads import (
    ChosenCommand,
    FormRequest,
    FromPerson,
    GroupChange,
    Mistake,
    RunRequest,
    SlackAct,
    Submission,
    Suggestion,
    typed,
)
from bot.surfaces.slack.inbound.thread_commands import ThreadCommands
from bot.surfaces.slack.membership import BotMembership
from bot.surfaces.slack.origin import Origin
from bot.surfaces.slack.outbound.replies import Replies
from bot.surfaces.slack.render import modals
from bot.surfaces.slack.render.modals import COMMAND
from bot.surfaces.slack.render.mrkdwn import shortened
from commands.kit.spec import Kind

_NOT_A_RUN = "That message does not belong to a run."


class Listeners:
    """One for the life of the process."""

    def __init__(
        self,
        dispatcher: TakesInbound,
        replies: Replies,
        forms: ModalForms,
        home: HomeTab,
        membership: BotMembership,
        identity: SlackIdentity,
        background: Background,
        threads: ThreadCommands,
        views: AnswerViews,
    ) -> None:
        self._dispatcher = dispatcher
        self._replies = replies
        self._forms = forms
        self._home = home
        self._membership = membership
        self._identity = identity
        self._background = background
        self._threads = threads
        self._views = views

    async def act(self, ack: AsyncAck, delivered: SlackAct | FormRequest | Mistake) -> None:
        """Handle a slash command, a mention, a direct message, a button or a menu."""
        match delivered:
            case SlackAct() if delivered.origin.in_home and delivered.origin.replaces:
                await self.publish_home(ack, delivered)
            case SlackAct():
                inbound = await self._threads.noted(delivered)  # before it is parsed: it may say what is meant
                await self._act(ack, delivered.origin, self._dispatcher.parse(inbound))
            case FormRequest():
                await ack()
                self._background.start(delivered.origin, self._forms.open(delivered))
            case Mistake():
                await ack()
                self._background.start(delivered.origin, self._replies.say(delivered.origin, delivered.sentence))

    async def submit_form(self, ack: AsyncAck, delivered: Submission) -> None:
        """Handle a submitted form: mistakes are shown in it, anything else closes it."""
        parsed = self._dispatcher.parse(delivered.inbound)
        if parsed.kind is Kind.QUERY:
            await _close(ack, delivered)
            self._background.start(delivered.origin, self._look(delivered.origin, parsed))
            return
        if not self._background.handing_over.has_room(delivered.origin.account):
            errors = modals.errors(TOO_MANY, delivered.inputs)
            await (ack(response_action="errors", errors=errors) if errors else ack())
            return
        answer = await self._hand_over(delivered.origin, parsed)
        errors = modals.error_in(answer, delivered.inputs, delivered.values) if answer.exit is Exit.USAGE else {}
        if errors:
            await ack(response_action="errors", errors=errors)
        else:
            await _close(ack, delivered)
            self._background.start(delivered.origin, self._replies.show(delivered.origin, answer))

    async def suggest(self, ack: AsyncAck, delivered: Suggestion) -> None:
        """Acknowledge with the options that a select of a form offers while somebody types."""
        if not self._background.handing_over.has_room(delivered.origin.account):
            await ack(options=[])
            return
        with self._background.handing_over.counted(delivered.origin.account):
            await ack(options=await self._forms.suggestions(delivered))

    async def choose(self, ack: AsyncAck, delivered: ChosenCommand) -> None:
        """Acknowledge with the form of the command that was chosen."""
        if not self._background.handing_over.has_room(delivered.origin.account):
            await ack(response_action="errors", errors={COMMAND: TOO_MANY})
            return
        with self._background.handing_over.counted(delivered.origin.account):
            made = await self._forms.chosen(delivered)
        if isinstance(made, str):
            await ack(response_action="errors", errors={COMMAND: shortened(made, 300)})
        else:
            await ack(response_action="push", view=made)

    async def show_run(self, ack: AsyncAck, delivered: RunRequest) -> None:
        """Show the run for the message shortcut on one of its messages."""
        await ack()
        self._background.start(delivered.origin, self._show_run(delivered))

    async def publish_home(self, ack: AsyncAck, delivered: FromPerson) -> None:
        """Publish the Home tab, anew each time it is opened or refreshed."""
        await ack()
        self._background.start(delivered.origin, self._home.publish(delivered))

    async def forget_groups(self, ack: AsyncAck, delivered: GroupChange) -> None:
        """Forget the remembered groups after a change of one."""
        await ack()
        self._identity.group_changed(delivered.group)

    async def _act(self, ack: AsyncAck, origin: Origin, parsed: ParsedInbound) -> None:
        if not parsed.changes:
            await ack()
            self._background.start(origin, self._look(origin, parsed))
            return
        if self._background.handing_over.has_room(origin.account):
            answer = await self._hand_over(origin, parsed)
            self._background.start(origin, self._views.show(origin, answer))
        else:
            self._background.too_many(origin)
        await ack()

    async def _show_run(self, asked: RunRequest) -> None:
        run = await self._forms.run_of(asked)
        if run is None:
            await self._replies.say(asked.origin, _NOT_A_RUN)
            return
        wanted = typed(asked.delivery_id, asked.origin, f"runs {run}")
        await self._look(asked.origin, self._dispatcher.parse(wanted))

    async def _hand_over(self, origin: Origin, parsed: ParsedInbound) -> Answer:
        with self._background.handing_over.counted(origin.account):
            answer = await self._dispatcher.take(await self._membership.noted(origin, parsed))
        self._home.changed()
        return answer

    async def _look(self, origin: Origin, parsed: ParsedInbound) -> None:
        view = await self._views.begin(origin)
        answer = await self._dispatcher.take(await self._membership.noted(origin, parsed))
        await self._views.show(origin, answer, view)


async def _close(ack: AsyncAck, form: Submission) -> None:
    """Close the form, and the menu that it was opened from."""
    await (ack(response_action="clear") if form.stacked else ack())
