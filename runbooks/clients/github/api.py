"""gidgethub over aiohttp: answers are bounded, and no redirect is followed, since it would carry the token elsewhere."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from http import HTTPStatus
from typing import TYPE_CHECKING

from gidgethub import sansio
from gidgethub.abc import GitHubAPI

from runbooks.kit.answers import read_bounded
from runbooks.kit.errors import TemporaryError
from runbooks.kit.reasons import ReasonCode

if TYPE_CHECKING:
    import aiohttp

_REQUESTER = "omnicare-bot"


class Api(GitHubAPI):
    """Requests of one look."""

    def __init__(self, session: "aiohttp.ClientSession", token: str | None, base_url: str) -> None:
        super().__init__(_REQUESTER, oauth_token=token, base_url=base_url)
        self._session = session

    async def _request(
        self, method: str, url: str, headers: Mapping[str, str], body: bytes = b""
    ) -> tuple[int, Mapping[str, str], bytes]:
        if not url.startswith(f"{self.base_url}/"):  # the address of a next page, which the server names
            raise unreadable()
        async with self._session.request(method, url, headers=headers, data=body, allow_redirects=False) as answer:
            found = await read_bounded(answer.content, unreadable)
            if answer.ok and answer.status != HTTPStatus.NO_CONTENT and not (found and "json" in answer.content_type):
                raise unreadable()  # gidgethub takes it for a text, or for null: nothing would seem to be there
            return answer.status, {name.lower(): value for name, value in answer.headers.items()}, found

    async def pages(self, path: str, values: Mapping[str, str], key: str | None) -> AsyncIterator[object]:
        """Give the entries of a list, page after page; `key`: where it stands in the answer, None where it is the answer.

        gidgethub's own takes the keys of any other object for the entries.
        """
        url: str | None = path
        while url:
            data, url, _ = await self._make_request("GET", url, values, b"", sansio.accept_format())
            listed = data.get(key) if key is not None and isinstance(data, dict) else data
            if not isinstance(listed, list):
                raise unreadable()
            for each in listed:
                yield each

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)


@asynccontextmanager
async def opened(token: str | None, base_url: str, seconds: float) -> AsyncIterator[Api]:
    """Give the API with connections of its own; each answer has `seconds`."""
    import aiohttp  # importing this takes a fifth of a second, so it happens on first use

    limits = aiohttp.ClientTimeout(total=seconds)
    async with aiohttp.ClientSession(timeout=limits, cookie_jar=aiohttp.DummyCookieJar()) as session:
        yield Api(session, token, base_url)


def unreadable() -> TemporaryError:
    """Return the error for an answer that has another form than documented."""
    return TemporaryError("GitHub's answer can't be read.", code=ReasonCode.GITHUB_UNREACHABLE)
