"""The image registry, by the OCI distribution API: which tags exist, which digest a tag stands for, when it was made.

A registry that asks for a token gets the anonymous handshake of the distribution specification (`WWW-Authenticate: Bearer`), or
the credentials that it was given. Errors are wrapped: what does not exist is permanent, what does not answer is temporary.
"""

import asyncio
import json
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from http import HTTPStatus
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self
from urllib.parse import urljoin, urlsplit

from runbooks.kit.errors import PermanentError, TemporaryError
from runbooks.kit.reasons import ReasonCode
from runbooks.kit.targets import Frozen

if TYPE_CHECKING:
    import aiohttp  # at run time where it is used: a quarter of a second that `omnicare help` does not have

_ACCEPT = (
    "application/vnd.oci.image.index.v1+json, application/vnd.docker.distribution.manifest.list.v2+json, "
    "application/vnd.oci.image.manifest.v1+json, application/vnd.docker.distribution.manifest.v2+json"
)
_LARGEST = 4 * 1024 * 1024
"""Bytes of a manifest or a list; the distribution specification asks registries to take manifests up to 4 MiB."""
_PAGES = 50
_VERSION = re.compile(r"v?(\d+)(?:\.(\d+))?(?:\.(\d+))?(?:\.(\d+))?(-.+)?", re.ASCII)


class Tagged(Frozen):
    """A version that exists."""

    tag: str
    created: datetime | None = None


def version_order(tag: str) -> tuple[int, tuple[int, ...], int, str]:
    """Sorts versions by number, a pre-release (`-rc1`) before its release, anything else before all versions."""
    found = _VERSION.fullmatch(tag)
    if found is None:
        return (0, (), 0, tag)
    numbers = tuple(int(part or 0) for part in found.groups()[:4])
    return (1, numbers, 0 if found[5] else 1, found[5] or "")


class RegistryClient:
    """One for all registries, for the life of the process."""

    def __init__(
        self, addresses: Mapping[str, str] | None = None, *, plain_http: bool = False, deadline: float = 10.0
    ) -> None:
        """`addresses`: registry host → base URL, where it is not `https://HOST`. `plain_http`: such a URL may be http."""
        for host, url in (addresses or {}).items():
            if urlsplit(url).scheme != "https" and not plain_http:
                raise ValueError(f"registries.{host}: only https is accepted outside a sandbox")
        self._addresses = dict(addresses or {})
        self._deadline = deadline
        self._tokens: dict[str, str] = {}
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        import aiohttp

        self._session = aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=self._deadline))
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._session is not None:
            await self._session.close()

    async def tags(self, repository: str) -> list[str]:
        """Every tag of the repository (`ghcr.io/omnicare/backend`), in the registry's order."""
        base, name = self._place(repository)
        url, found = f"{base}/v2/{name}/tags/list?n=1000", list[str]()
        for _ in range(_PAGES):
            body, headers = await self._get(url, repository)
            found += body.get("tags") or []
            following = re.search(r'<([^>]+)>;\s*rel="?next"?', headers.get("Link", ""))
            if following is None:
                return found
            after = urljoin(url, following[1])
            if urlsplit(after).netloc != urlsplit(url).netloc:
                break  # a page elsewhere is not the registry's to send us to
            url = after
        return found

    async def newest(self, repository: str, count: int) -> list[Tagged]:
        """The newest versions by number, with the time when each was made where the registry says."""
        ordered = sorted(await self.tags(repository), key=version_order, reverse=True)[:count]
        few = ordered[:10]  # each costs two requests
        times = await asyncio.gather(*(self._created_or_none(repository, tag) for tag in few))
        known = dict(zip(few, times, strict=True))
        return [Tagged(tag=tag, created=known.get(tag)) for tag in ordered]

    async def resolve(self, repository: str, tag: str) -> str:
        """The digest that the tag stands for now; PermanentError(NO_SUCH_VERSION) where there is none."""
        base, name = self._place(repository)
        _, headers = await self._get(f"{base}/v2/{name}/manifests/{tag}", f"{repository}:{tag}")
        digest: str = headers.get("Docker-Content-Digest", "")
        if not re.fullmatch(r"sha256:[0-9a-f]{64}", digest):
            raise PermanentError(
                f"The registry gives no digest for {repository}:{tag}.", code=ReasonCode.REGISTRY_UNREACHABLE
            )
        return digest

    async def created(self, repository: str, tag: str) -> datetime | None:
        """When the image was made; None where its configuration does not say."""
        base, name = self._place(repository)
        manifest, _ = await self._get(f"{base}/v2/{name}/manifests/{tag}", f"{repository}:{tag}")
        if "manifests" in manifest:  # an index: any of its platforms
            first = manifest["manifests"][0]["digest"]
            manifest, _ = await self._get(f"{base}/v2/{name}/manifests/{first}", f"{repository}:{tag}")
        config, _ = await self._get(f"{base}/v2/{name}/blobs/{manifest['config']['digest']}", f"{repository}:{tag}")
        created = config.get("created")
        try:
            return datetime.fromisoformat(re.sub(r"(\.\d{6})\d+", r"\1", created)).astimezone(UTC) if created else None
        except ValueError:
            return None

    async def reachable(self, repository: str) -> None:
        """Raises where the registry does not answer for the repository."""
        await self.tags(repository)

    async def _created_or_none(self, repository: str, tag: str) -> datetime | None:
        try:
            return await self.created(repository, tag)
        except (PermanentError, TemporaryError, KeyError, IndexError, TypeError):
            return None

    def _place(self, repository: str) -> tuple[str, str]:
        host, _, name = repository.partition("/")
        return self._addresses.get(host, f"https://{host}").rstrip("/"), name

    async def _get(self, url: str, what: str) -> tuple[dict[str, Any], Mapping[str, str]]:
        for second in (False, True):
            status, headers, body = await self._once(url, what)
            if status == HTTPStatus.UNAUTHORIZED and not second and (challenge := headers.get("WWW-Authenticate", "")):
                await self._shake_hands(url, challenge, what)
                continue
            break
        if status == HTTPStatus.NOT_FOUND:
            raise PermanentError(f"There is no image {what}.", code=ReasonCode.NO_SUCH_VERSION)
        if status == HTTPStatus.TOO_MANY_REQUESTS or status >= HTTPStatus.INTERNAL_SERVER_ERROR:
            pause = headers.get("Retry-After", "")
            raise TemporaryError(
                f"The registry answers {status} for {what}.",
                code=ReasonCode.REGISTRY_UNREACHABLE,
                retry_after=float(pause) if pause.isdigit() else 2.0,
            )
        if status != HTTPStatus.OK:
            raise PermanentError(f"The registry answers {status} for {what}.", code=ReasonCode.REGISTRY_UNREACHABLE)
        return body, headers

    async def _once(self, url: str, what: str) -> tuple[int, Mapping[str, str], dict[str, Any]]:
        import aiohttp

        assert self._session is not None, "inside `async with`"
        headers = {"Accept": _ACCEPT}
        if (token := self._tokens.get(urlsplit(url).netloc + urlsplit(url).path.rsplit("/", 2)[0])) is not None:
            headers["Authorization"] = f"Bearer {token}"
        try:
            async with self._session.get(url, headers=headers) as response:
                raw = await response.content.read(_LARGEST + 1)
                found = dict(response.headers)
                if response.status != HTTPStatus.OK:
                    return response.status, found, {}
                if len(raw) > _LARGEST:
                    raise PermanentError(
                        f"The registry's answer for {what} is too large.", code=ReasonCode.REGISTRY_UNREACHABLE
                    )
                return response.status, found, json.loads(raw)
        except (aiohttp.ClientError, TimeoutError, ValueError) as error:
            raise TemporaryError(
                f"The registry does not answer for {what}.",
                code=ReasonCode.REGISTRY_UNREACHABLE,
                retry_after=2.0,
                evidence=(type(error).__name__,),
            ) from error

    async def _shake_hands(self, url: str, challenge: str, what: str) -> None:
        """The distribution specification's token handshake, without credentials."""
        fields = dict(re.findall(r'(\w+)="([^"]*)"', challenge))
        realm = fields.get("realm", "")
        if urlsplit(realm).scheme not in ("http", "https") or (
            urlsplit(url).scheme == "https" and urlsplit(realm).scheme != "https"
        ):
            return
        import aiohttp

        assert self._session is not None, "inside `async with`"
        query = {name: fields[name] for name in ("service", "scope") if name in fields}
        try:
            async with self._session.get(realm, params=query) as response:
                answer = await response.json(content_type=None)
        except (aiohttp.ClientError, TimeoutError, ValueError) as error:
            raise TemporaryError(
                f"The registry gives no token for {what}.", code=ReasonCode.REGISTRY_UNREACHABLE
            ) from error
        token = answer.get("token") or answer.get("access_token")
        if token:
            self._tokens[urlsplit(url).netloc + urlsplit(url).path.rsplit("/", 2)[0]] = token
