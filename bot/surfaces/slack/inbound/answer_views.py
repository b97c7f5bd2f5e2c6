"""Answers to what is pressed in the app's Home, where no message can stand: a modal shows them.

What is pressed in such an answer is answered in the same modal. An answer that a modal can't hold, since it has files or goes on for a
while, comes as a direct message, and the modal says so.
"""

import logging

from bot.boundary.inbound import Answer
from bot.boundary.outbound import SurfaceGone
from bot.boundary.redacting import Withheld
from bot.surfaces.slack.json_path import text_at
from bot.surfaces.slack.origin import Origin
from bot.surfaces.slack.outbound.messenger import SlackMessenger
from bot.surfaces.slack.outbound.replies import Replies
from bot.surfaces.slack.render.modals import answer_view, said
from bot.surfaces.slack.render.mrkdwn import Block
from bot.surfaces.slack.transport.web_api import SlackApi
from runbooks.kit.errors import RunbookError

_log = logging.getLogger(__name__)

_LOOKING = "Looking…"
_ELSEWHERE = "A form can't show this answer. It is in your messages with the app."
_REQUESTED = "Done. The request has its own thread; Home links to it."


class AnswerViews:
    """One for the life of the process."""

    def __init__(self, api: SlackApi, messenger: SlackMessenger, replies: Replies) -> None:
        self._api = api
        self._messenger = messenger
        self._replies = replies

    async def begin(self, origin: Origin) -> str | None:
        """Open the modal that will have the answer, and return its id; None where an answer is a message."""
        if origin.view is not None or not origin.in_home:
            return origin.view
        return await self._put(origin, None, said(_LOOKING))

    async def show(self, origin: Origin, answer: Answer, view: str | None = None) -> None:
        """Show the answer in that modal, in a new one where it was pressed in Home, else as a message."""
        view = view or origin.view
        if view is None and not (origin.in_home and answer.card is not None):
            await self._replies.show(origin, answer)
            return
        blocks = await self._blocks(answer)
        if await self._put(origin, view, said(_ELSEWHERE) if blocks is None else blocks) is None or blocks is None:
            await self._replies.show(origin, answer)

    async def _blocks(self, answer: Answer) -> list[Block] | None:
        """Return what the modal shows; None where it can't hold the answer."""
        if answer.card is None:
            return said(_REQUESTED)
        if answer.live is not None:
            return None
        try:
            drawing = await self._messenger.drawn(answer.card, surface="modal")
        except Withheld:
            return None  # whoever shows it otherwise says why it is not shown
        return None if drawing.files else drawing.blocks

    async def _put(self, origin: Origin, view: str | None, blocks: list[Block]) -> str | None:
        """Open the modal, or change it; return its id, None where Slack does not do it: it was closed, or it is too late."""
        made = answer_view(blocks)
        try:
            if view is not None:
                await self._api.call("views.update", view_id=view, view=made)
                return view
            return text_at(await self._api.call("views.open", trigger_id=origin.trigger, view=made), "view", "id")
        except (RunbookError, SurfaceGone) as error:
            _log.info("an answer is not shown in a form: %s", error)
            return None
