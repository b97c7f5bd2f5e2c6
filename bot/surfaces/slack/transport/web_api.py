"""Slack's Web API as the rest of this package calls it: one session, errors in the project's words, no address but Slack's own.

Nothing is sent twice by itself: a call whose answer was lost may have been done, and only the caller knows how to find that out.
"""

import logging
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from urllib.parse import urlsplit

import aiohttp
from slack_sdk.web.async_client import AsyncWebClient

from bot.boundary.outbound import SurfaceGone
from bot.surfaces.slack.json_path import list_at, text_at
from runbooks.kit.answers import read_bounded, read_object, read_wait
from runbooks.kit.errors import PermanentError, TemporaryError
from runbooks.kit.reasons import ReasonCode

_LARGEST = 32 * 1024 * 1024
"""Bytes of an answer; a page of 200 messages may have 8 MB."""
_LARGEST_WORD = 64 * 1024
"""Bytes of an answer to a response URL: a word, or a small object."""
_LONGEST_WORD = 200
_PAGES = 200
"""Of a list; a page has up to a thousand items."""
_log = logging.getLogger(__name__)

SLACK_HOST = "slack.com"

GONE = frozenset({
    "account_inactive_user", "cannot_dm_bot", "cannot_reply_to_message", "cant_update_message", "channel_is_archived",
    "channel_not_found", "edit_window_closed", "is_archived", "is_inactive", "message_not_found", "no_permission", "not_in_channel",
    "restricted_action", "restricted_action_non_threadable_channel", "restricted_action_read_only_channel",
    "restricted_action_thread_locked", "restricted_action_thread_only_channel", "thread_locked", "thread_not_found",
    "user_disabled", "user_is_bot", "user_not_found", "user_not_in_channel", "user_not_visible", "users_not_found",
})  # fmt: skip
"""The place no longer exists, or is closed to the bot."""

UNDRAWABLE = frozenset({
    "invalid_arguments", "invalid_attachments", "invalid_blocks", "invalid_blocks_format", "metadata_too_large",
    "msg_blocks_too_long", "msg_too_long", "no_text", "only_one_table_allowed", "too_many_attachments",
})  # fmt: skip
"""Slack does not take the message as it is drawn; it may take it in plainer words."""

KEPT_OUT = frozenset({
    "access_denied", "accesslimited", "account_inactive", "ekm_access_denied", "enterprise_is_restricted", "invalid_auth",
    "missing_scope", "not_allowed_token_type", "not_authed", "org_login_required", "team_access_not_granted",
    "token_expired", "token_revoked",
})  # fmt: skip
"""Somebody has to mend the app or its token; what is to be said waits until then. `doctor` names it."""

LATER = frozenset({
    "fatal_error", "internal_error", "request_timeout", "service_unavailable",
    "team_added_to_org",
})  # fmt: skip
"""Slack failed, and says itself that some of it may have been done. (When it is asked too often, nothing was.)"""

_CONNECT = 5.0
"""Seconds."""


class SlackError(PermanentError):
    """Slack says no, and would say it again. `error` is its word."""

    def __init__(self, message: str, *, error: str) -> None:
        super().__init__(message, code=ReasonCode.BUG)
        self.error = error


class Undrawable(SlackError):
    """Slack refuses the blocks; plainer ones may pass."""


@dataclass(frozen=True, slots=True)
class Self:
    """The bot's own ids, as Slack says them."""

    team: str
    user: str
    bot: str
    url: str
    """The workspace's address, which the addresses of its messages begin with."""


class SlackApi:
    """The Web API with the bot's token."""

    def __init__(self, token: str, base_url: str, *, seconds: float = 15.0) -> None:
        """`seconds`: for a whole call."""
        self._limits = aiohttp.ClientTimeout(total=seconds, connect=min(_CONNECT, seconds))
        self._host = urlsplit(base_url).hostname or ""
        self._netloc = urlsplit(base_url).netloc
        self.client = AsyncWebClient(token=token, base_url=base_url, timeout=max(1, round(seconds)), retry_handlers=[])
        if self._host != SLACK_HOST:
            self.client.proxy = None  # the sandbox is this machine: a proxy of the environment has no business there
        self._session: aiohttp.ClientSession | None = None
        self._self: Self | None = None

    @property
    def proxy(self) -> str | None:
        """The environment's proxy, for Slack only."""
        return self.client.proxy

    def permitted(self, url: str) -> bool:
        """Return whether an address that came in a payload is Slack's own (or the sandbox's): nothing is sent anywhere else."""
        try:
            parts = urlsplit(url)
        except ValueError:
            return False
        if self._host == SLACK_HOST:
            host = parts.hostname or ""
            return parts.scheme in ("https", "wss") and (host == SLACK_HOST or host.endswith(f".{SLACK_HOST}"))
        return parts.netloc == self._netloc

    def session(self) -> aiohttp.ClientSession:
        """Return the one pool of connections, made when first needed."""
        if self._session is None or self._session.closed:
            self._session = aiohttp.ClientSession(timeout=self._limits)
            self.client.session = self._session
        return self._session

    async def close(self) -> None:
        """Close the pool of connections."""
        if self._session is not None:
            await self._session.close()

    async def call(self, method: str, /, **arguments: object) -> Mapping[str, object]:
        """Call one method and return its answer. Raises `TemporaryError`, `SurfaceGone`, `Undrawable` or `SlackError`."""
        return await self._asked(method, "POST", json=_given(arguments))

    async def read(self, method: str, /, **arguments: object) -> Mapping[str, object]:
        """Call a method with its arguments as a query and return its answer: not all reading methods accept JSON."""
        return await self._asked(method, "GET", params={name: str(value) for name, value in _given(arguments).items()})

    async def pages(self, method: str, /, **arguments: object) -> AsyncIterator[Mapping[str, object]]:
        """Yield the pages of a method that reads a list. Raises as `call` does, and `SlackError` where the list has no end."""
        cursor: str | None = None
        for _ in range(_PAGES):
            page = await self.read(method, **arguments, cursor=cursor)
            yield page
            cursor = text_at(page, "response_metadata", "next_cursor")
            if cursor is None:
                return
        raise SlackError(f"Slack's list from {method} never ends.", error="endless_list")

    async def _asked(
        self,
        method: str,
        verb: str,
        *,
        json: dict[str, object] | None = None,
        params: dict[str, str] | None = None,
        token: str | None = None,
    ) -> Mapping[str, object]:
        """Not through the SDK, which reads answers of any size and follows a redirect wherever it leads."""
        headers = {"Authorization": f"Bearer {token or self.client.token}"}
        if json is not None:
            headers["Content-Type"] = "application/json; charset=utf-8"
        url, proxy = f"{self.client.base_url}{method}", self.proxy
        try:
            async with self.session().request(
                verb, url, json=json, params=params, headers=headers, proxy=proxy, allow_redirects=False
            ) as response:
                answer = await read_bounded(response.content, lambda: _unreadable(method), largest=_LARGEST)
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise lost(method, error) from error
        try:
            found = read_object(answer, lambda: _unreadable(method))
        except Lost:  # a page of something between here and there: its status says how it went
            found = {}
        if response.status == 200 and found.get("ok") is True:  # noqa: PLR2004
            return found
        raise self._named(method, response.status, response.headers.get("Retry-After"), found)

    async def myself(self) -> Self:
        """Return the bot's own ids, asked for once."""
        if self._self is None:
            said = await self.call("auth.test")
            self._self = Self(
                team=needed("auth.test", said, "team_id"),
                user=needed("auth.test", said, "user_id"),
                bot=text_at(said, "bot_id") or "",
                url=text_at(said, "url") or "",
            )
        return self._self

    async def socket_address(self, app_token: str) -> str:
        """Return an address for one WebSocket, good for one connection. Raises as `call` does."""
        said = await self._asked("apps.connections.open", "POST", token=app_token)
        url = text_at(said, "url") or ""
        if not self.permitted(url):
            raise SlackError("Slack returned a foreign address for Socket Mode.", error="foreign_address")
        return url

    async def send(self, url: str, *, data: bytes | None = None, json: Mapping[str, object] | None = None) -> None:
        """Send to an address that Slack gave: a response URL, an upload. Raises as `call` does."""
        if not self.permitted(url):
            raise SlackError("Slack returned a foreign address, so nothing was sent there.", error="foreign_address")
        what = "an answer" if data is None else "an upload"
        try:
            async with self.session().post(
                url, data=data, json=json, proxy=self.proxy, allow_redirects=False
            ) as response:
                answer = await read_bounded(response.content, lambda: _later(what, 1.0), largest=_LARGEST_WORD)
                said = answer.decode(errors="replace").strip()
                if response.status == 429:  # noqa: PLR2004 - too many requests
                    raise _later(what, _seconds(response.headers.get("Retry-After")))
                if response.status >= 500:  # noqa: PLR2004 - Slack's own trouble
                    raise _later(what, 1.0)
                if response.status != 200 or said.startswith("{"):  # noqa: PLR2004
                    _check(what, response.status, said)
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise lost(what, error) from error

    @staticmethod
    def _named(method: str, status: int, wait: str | None, data: Mapping[str, object]) -> Exception:
        word = (text_at(data, "error") or "")[:_LONGEST_WORD]
        if status == 429 or word in {"ratelimited", "rate_limited"}:  # noqa: PLR2004
            return _later(method, _seconds(wait))
        if status >= 500 or word in LATER or not word:  # noqa: PLR2004
            # No word is no answer of Slack's: a page of something between here and there.
            return Lost(f"Slack failed at {method}.", code=ReasonCode.TIMED_OUT, retry_after=1.0)
        if word in UNDRAWABLE:
            details = list_at(data, "response_metadata", "messages")
            _log.warning("Slack refuses what %s sends: %s %s", method, word, details)
        return _of_word(method, word)


def _given(arguments: Mapping[str, object]) -> dict[str, object]:
    return {name: value for name, value in arguments.items() if value is not None}


def _of_word(what: str, word: str) -> Exception:
    if word in GONE:
        return SurfaceGone(f"{what}: {word}")
    if word in KEPT_OUT:
        _log.error("Slack keeps the bot out (%s): %s", what, word)
        return KeptOut(f"Slack denies the bot access ({what}: {word}).", code=ReasonCode.TIMED_OUT, retry_after=30.0)
    if word in UNDRAWABLE:
        return Undrawable(f"Slack rejects the layout of {what}.", error=word)
    return SlackError(f"Slack rejects {what}: {word or 'no reason given'}.", error=word)


def _check(what: str, status: int, said: str) -> None:
    """Raise the refusal of a response URL: a word, bare or in JSON, with any status."""
    try:
        found = read_object(said, lambda: _later(what, 1.0))
    except TemporaryError:
        raise _of_word(what, said[:_LONGEST_WORD]) from None
    if status == 200 and found.get("ok", True):  # noqa: PLR2004
        return
    word = found.get("error")
    raise _of_word(what, word[:_LONGEST_WORD] if isinstance(word, str) else "")


def _later(what: str, seconds: float) -> TemporaryError:
    return TemporaryError(f"Slack is limiting requests ({what}).", code=ReasonCode.TIMED_OUT, retry_after=seconds)


class KeptOut(TemporaryError):
    """Until somebody has mended the app or its token."""


class Lost(TemporaryError):
    """No answer came, or one of a server that failed on the way: Slack may have done it or not."""


def lost(what: str, error: BaseException) -> Lost:
    """Return the error for a call that has no answer."""
    return Lost(f"Slack did not answer {what} ({type(error).__name__}).", code=ReasonCode.TIMED_OUT, retry_after=1.0)


def _unreadable(what: str) -> Lost:
    return Lost(f"Slack's answer to {what} can't be read.", code=ReasonCode.TIMED_OUT, retry_after=1.0)


def needed(what: str, said: object, *path: str) -> str:
    """Return the text at the path of an answer; raises `Lost` where there is none: what was asked for may have been done."""
    found = text_at(said, *path)
    if found is None:
        raise _unreadable(what)
    return found


def _seconds(header: str | None) -> float:
    asked = read_wait(header)
    return 1.0 if asked is None else max(0.5, asked)
