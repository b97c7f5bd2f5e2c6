"""The messages of a run's thread: each posted once, edited within the workspace's budget, never sent unredacted.

`SlackMessenger` implements `bot.boundary.inbound.Messenger` for the engine; `replies.py` says through it what only concerns one person.
Every card leaves through `card_sender.py`, which redacts it first.
"""

import logging
from collections import OrderedDict
from collections.abc import Mapping

from bot.boundary.accounts import Directory
from bot.boundary.outbound import Posted, SurfaceGone
from bot.boundary.redacting import Redact
from bot.surfaces.slack.membership import ChannelMembers
from bot.surfaces.slack.outbound.card_sender import CardSender
from bot.surfaces.slack.outbound.edit_budget import EditBudget
from bot.surfaces.slack.outbound.live_progress import LiveProgress
from bot.surfaces.slack.outbound.own_messages import ANSWER, METADATA, OwnMessages
from bot.surfaces.slack.outbound.uploads import Uploads
from bot.surfaces.slack.render.blocks import DrawnCard, Surface
from bot.surfaces.slack.transport.web_api import Lost, SlackApi, SlackError, needed
from commands.kit.card import Attachment, Card, words
from runbooks.kit.errors import RunbookError, TemporaryError
from runbooks.metrics.chart import Chart

_log = logging.getLogger(__name__)

_REMEMBERED = 4096
_LONGEST_TYPED = 1000
_CLOSED_TO_US = frozenset({"cannot_dm_bot", "user_disabled", "user_not_found", "users_not_found", "user_not_visible"})


class SlackMessenger:
    """Posts, edits, shares files. One for the life of the process."""

    def __init__(
        self,
        api: SlackApi,
        names: Directory,
        redact: Redact,
        *,
        newest_blocks: bool = True,
        edits_per_minute: float = 50.0,
        progress_seconds: float = 3.0,
    ) -> None:
        self._api = api
        self._names = names
        self._redact = redact
        self._sender = CardSender(names, redact, newest=newest_blocks)
        self._budget = EditBudget(edits_per_minute)
        self._progress = LiveProgress(self._budget, progress_seconds, self._update)
        self.own_messages = OwnMessages(api)
        self._uploads = Uploads(api, self.own_messages)
        self._posted: OrderedDict[tuple[str, str, str], Posted] = OrderedDict()
        self._unsure: set[tuple[str, str, str]] = set()
        self._directs: dict[str, str] = {}
        self._members = ChannelMembers(api)

    # What a run says (bot.boundary.inbound.Messenger)

    async def post(
        self,
        run: str,
        slot: str,
        card: Card,
        *,
        channel: str,
        thread: str | None,
        search: bool,
        broadcast: bool = False,
    ) -> Posted:
        """Post a card once; see `Messenger.post`."""
        key = (run, slot, f"{channel}/{thread or ''}")
        drawing = await self._sender.drawn(card)
        posted = self._posted.get(key)
        if posted is None and (search or key in self._unsure):
            posted = await self.own_messages.message(run, slot, channel=channel, thread=thread)
        if posted is None:
            posted = await self._send_once(key, drawing, card, channel=channel, thread=thread, broadcast=broadcast)
        self._remember(key, posted)
        for file in drawing.files:
            await self._attach(run, slot, file, Posted(channel=channel, ts=thread or posted.ts), search=search)
        return posted

    async def edit(self, posted: Posted, run: str, slot: str, card: Card) -> None:
        """Edit the message to show `card`; live progress that still waits for it is dropped."""
        drawing = await self._sender.drawn(card)
        async with self._progress.closed(posted):
            await self._budget.turn()
            try:
                await self._update(posted, run, slot, card, drawing)
            except SurfaceGone:
                self._forget(posted)
                raise
        for file in drawing.files:
            await self._attach(run, slot, file, posted, search=False)

    def progress(self, posted: Posted, run: str, slot: str, card: Card) -> None:
        """Show live progress: the newest wins, any may be dropped."""
        self._progress.show(posted, run, slot, card)

    async def direct(self, run: str, slot: str, person: str, card: Card, *, search: bool) -> Posted | None:
        """Post a direct message to a listed person and return it; None where they can't be reached in Slack."""
        account = self._names.slack_id(person)
        channel = await self.direct_channel(account) if account else None
        if channel is None:
            return None
        return await self.post(run, f"{slot}@{person}", card, channel=channel, thread=None, search=search)

    async def link(self, posted: Posted) -> str | None:
        """Return the address of a message, as `chat.getPermalink` makes it; None where Slack does not say where the workspace is."""
        try:
            url = (await self._api.myself()).url
        except (SurfaceGone, RunbookError):
            return None
        return f"{url.rstrip('/')}/archives/{posted.channel}/p{posted.ts.replace('.', '')}" if url else None

    async def in_channel(self, channel: str, person: str) -> bool:
        """Return whether the person is in the channel; False where Slack refuses to say, so that they are told directly.

        Raises TemporaryError where Slack is away: the caller asks again, as for every message.
        """
        account = self._names.slack_id(person)
        if account is None:
            return False
        try:
            return account in await self._members.of(channel)
        except (SurfaceGone, SlackError):
            return False

    # What one person is told (`replies`, `home_tab`, `modal_forms`)

    async def drawn(self, card: Card, *, surface: Surface = "message") -> DrawnCard:
        """Return a card, redacted, for another surface than a message."""
        return await self._sender.drawn(card, surface=surface)

    async def say(
        self, card: Card, *, channel: str, thread: str | None = None, typed: str = "", account: str = ""
    ) -> Posted:
        """Post a message that belongs to no run, such as the public answer to what an account `typed`, and return it."""
        drawing = await self._sender.drawn(card)
        posted = await self._send(
            drawing, card, channel=channel, thread=thread, metadata=self._answer(typed, account, card)
        )
        for file in drawing.files:
            await self._uploads.upload(file, channel=channel, thread=thread or posted.ts)
        return posted

    async def whisper(self, card: Card, *, channel: str, account: str, thread: str | None = None) -> None:
        """Post a message that only one person sees, and only until they reload."""
        drawing = await self._sender.drawn(card)
        await self._sender.send(
            drawing,
            card,
            lambda text, blocks: self._api.call(
                "chat.postEphemeral", channel=channel, user=account, thread_ts=thread, text=text, blocks=blocks
            ),
        )
        await self._send_files(drawing, account)

    async def respond(self, card: Card, url: str, *, account: str, public: bool = False, typed: str = "") -> None:
        """Answer through the response URL that came with the act; `typed`: what a public answer is to."""
        drawing = await self._sender.drawn(card)
        kind: dict[str, object] = {
            "response_type": "in_channel" if public else "ephemeral",
            "replace_original": False,
        }
        if metadata := self._answer(typed, account, card):
            kind["metadata"] = metadata
        await self._sender.send(
            drawing,
            card,
            lambda text, blocks: self._api.send(
                url, json={"text": text, **kind, **({"blocks": blocks} if blocks else {})}
            ),
        )
        await self._send_files(drawing, account)

    async def replace(self, card: Card, url: str, *, account: str, files: Posted | None, typed: str = "") -> None:
        """Put the card in the place of the message that was clicked. `files`: the thread for its files; None: they go to that person."""
        drawing = await self._sender.drawn(card)
        kind: dict[str, object] = {"replace_original": True}
        if metadata := self._answer(typed, account, card):
            kind["metadata"] = metadata
        await self._sender.send(
            drawing, card, lambda text, blocks: self._api.send(url, json={"text": text, "blocks": blocks or [], **kind})
        )
        if files is None:
            await self._send_files(drawing, account)
            return
        for file in drawing.files:
            await self._uploads.upload(file, channel=files.channel, thread=files.ts)

    async def direct_channel(self, account: str) -> str | None:
        """Return the conversation with that account; None where it takes no messages."""
        if account not in self._directs:
            try:
                found = await self._api.call("conversations.open", users=account)
            except SurfaceGone:
                return None
            except SlackError as error:
                if error.error in _CLOSED_TO_US:
                    return None
                raise
            self._directs[account] = needed("conversations.open", found, "channel", "id")
        return self._directs[account]

    async def close(self) -> None:
        """End the live progress that is under way."""
        await self._progress.close()

    def _answer(self, typed: str, account: str, card: Card) -> Mapping[str, object] | None:
        """Return the metadata by which a follow-up finds what was asked, and by whom; None where the words must not leave, or are many."""
        if not typed or len(typed) > _LONGEST_TYPED or self._redact(typed) != typed:
            return None
        found = {"service": card.about.service} if card.about is not None and card.about.service else {}
        return {"event_type": ANSWER, "event_payload": {"typed": typed, "by": account, **found}}

    # How it leaves

    async def _send_once(
        self,
        key: tuple[str, str, str],
        drawing: DrawnCard,
        card: Card,
        *,
        channel: str,
        thread: str | None,
        broadcast: bool,
    ) -> Posted:
        metadata = {"event_type": METADATA, "event_payload": {"run": key[0], "slot": key[1]}}
        try:
            posted = await self._send(
                drawing, card, channel=channel, thread=thread, metadata=metadata, broadcast=broadcast
            )
        except Lost:
            self._unsure.add(key)  # it may be there: look before posting again
            raise
        self._unsure.discard(key)
        return posted

    async def _send(
        self,
        drawing: DrawnCard,
        card: Card,
        *,
        channel: str,
        thread: str | None,
        metadata: Mapping[str, object] | None,
        broadcast: bool = False,
    ) -> Posted:
        answer = await self._sender.send(
            drawing,
            card,
            lambda text, blocks: self._api.call(
                "chat.postMessage",
                channel=channel,
                thread_ts=thread,
                text=text,
                blocks=blocks,
                metadata=metadata,
                reply_broadcast=True if broadcast else None,
                unfurl_links=False,
                unfurl_media=False,
            ),
        )
        method = "chat.postMessage"
        return Posted(channel=needed(method, answer, "channel"), ts=needed(method, answer, "ts"))

    async def _update(self, posted: Posted, run: str, slot: str, card: Card, drawing: DrawnCard | None = None) -> None:
        """Call `chat.update` once; the caller has asked the budget."""
        made = drawing or await self._sender.drawn(card)
        # a message that belongs to no run keeps its own metadata
        metadata = {"event_type": METADATA, "event_payload": {"run": run, "slot": slot}} if run else None
        try:
            await self._sender.send(
                made,
                card,
                lambda text, blocks: self._api.call(
                    "chat.update",
                    channel=posted.channel,
                    ts=posted.ts,
                    text=text,
                    blocks=blocks or [],
                    metadata=metadata,
                ),
            )
        except TemporaryError as error:
            if not isinstance(error, Lost):
                self._budget.later(error.retry_after)
            raise

    async def _attach(self, run: str, slot: str, file: Attachment | Chart, head: Posted, *, search: bool) -> None:
        """Share a run's file. One that Slack refuses is named in words, because the message points to it."""
        try:
            await self._uploads.share(run, slot, file, channel=head.channel, thread=head.ts, search=search)
        except SlackError as error:
            _log.error("a file could not be shared: %s", error.error)
            said = f"The file {file.filename} could not be shared: Slack rejected it."
            instead = Card(title=words(said), summary=said)
            await self.post(
                run, f"{slot}/{file.filename}", instead, channel=head.channel, thread=head.ts, search=search
            )

    async def _send_files(self, drawing: DrawnCard, account: str) -> None:
        """Send the files of a private answer as direct messages: one that only one person sees can't carry them."""
        if not drawing.files:
            return
        channel = await self.direct_channel(account)
        for file in drawing.files if channel else ():
            await self._uploads.upload(file, channel=str(channel), thread=None)

    # What is remembered

    def _remember(self, key: tuple[str, str, str], posted: Posted) -> None:
        self._posted[key] = posted
        while len(self._posted) > _REMEMBERED:
            self._posted.popitem(last=False)

    def _forget(self, posted: Posted) -> None:
        for key in [key for key, value in self._posted.items() if value == posted]:
            del self._posted[key]
