"""Files beside a message: three calls, none of which carries metadata, so a file is known again by its name.

The name that Slack keeps is made from run, slot and content; the title that people read is the card's own.
"""

import asyncio
import hashlib
from collections import OrderedDict
from pathlib import PurePosixPath

from bot.surfaces.slack.json_path import object_at
from bot.surfaces.slack.outbound.own_messages import OwnMessages
from bot.surfaces.slack.render.mrkdwn import clean, shortened
from bot.surfaces.slack.transport.web_api import SlackApi, needed
from commands.kit.card import Attachment
from runbooks.metrics.chart import Chart
from runbooks.metrics.picture import png

_REMEMBERED = 1024
_LONGEST_ALT = 1000


class Uploads:
    """Shares files, those of a run once."""

    def __init__(self, api: SlackApi, own_messages: OwnMessages) -> None:
        self._api = api
        self._own_messages = own_messages
        self._uploaded: OrderedDict[tuple[str, str, str], str] = OrderedDict()
        self._shared: OrderedDict[tuple[str, str, str], None] = OrderedDict()
        self._lock = asyncio.Lock()

    async def share(
        self, run: str, slot: str, file: Attachment | Chart, *, channel: str, thread: str, search: bool
    ) -> None:
        """Share the file in the thread unless it is there already."""
        name = _name(file, f"{run}\0{slot}")
        key = (channel, thread, name)
        async with self._lock:
            if key in self._shared:
                return
            known = self._uploaded.get(key)
            if known is not None and await self._is_shared(known, channel):
                self._done(key)
                return
            if known is None and search and await self._own_messages.file(name, channel=channel, thread=thread):
                self._done(key)
                return
            file_id = known or await self._upload(name, file)
            self._uploaded[key] = file_id
            await self._complete(file_id, file, channel=channel, thread=thread)
            self._done(key)

    async def upload(self, file: Attachment | Chart, *, channel: str, thread: str | None) -> None:
        """Share a file that belongs to no run."""
        file_id = await self._upload(_name(file, ""), file)
        await self._complete(file_id, file, channel=channel, thread=thread)

    def _done(self, key: tuple[str, str, str]) -> None:
        self._uploaded.pop(key, None)
        self._shared[key] = None
        while len(self._shared) > _REMEMBERED:
            self._shared.popitem(last=False)

    async def _is_shared(self, file_id: str, channel: str) -> bool:
        """Return whether the file is there, after an upload whose last answer was lost."""
        said = await self._api.read("files.info", file=file_id)
        return any(channel in object_at(where) for where in object_at(said, "file", "shares").values())

    async def _upload(self, name: str, file: Attachment | Chart) -> str:
        if isinstance(file, Chart):
            content, alt = await asyncio.to_thread(png, file), shortened(clean(file.alt), _LONGEST_ALT)
        else:
            content, alt = clean(file.content).encode() or b"\n", None
        method = "files.getUploadURLExternal"
        place = await self._api.read(method, filename=name, length=len(content), alt_txt=alt)
        await self._api.send(needed(method, place, "upload_url"), data=content)
        return needed(method, place, "file_id")

    async def _complete(self, file_id: str, file: Attachment | Chart, *, channel: str, thread: str | None) -> None:
        title = shortened(clean(file.filename).strip() or "file.txt", 200)
        await self._api.call(
            "files.completeUploadExternal",
            files=[{"id": file_id, "title": title}],
            channel_id=channel,
            thread_ts=thread,
        )


def _name(file: Attachment | Chart, salt: str) -> str:
    """Return such as `logs-backend-4c1f92ab.txt`, with characters only that every disk accepts."""
    content = file.model_dump_json() if isinstance(file, Chart) else file.content
    mark = hashlib.sha256(f"{salt}\0{file.filename}\0{content}".encode("utf-8", "replace")).hexdigest()[:12]
    path = PurePosixPath(clean(file.filename).replace("\n", " ") or "file.txt")
    stem = "".join(sign if sign.isalnum() or sign in "-_" else "-" for sign in path.stem)[:80] or "file"
    suffix = path.suffix if path.suffix.isascii() and path.suffix[1:].isalnum() and len(path.suffix) < 8 else ".txt"  # noqa: PLR2004
    return f"{stem}-{mark}{suffix}"
