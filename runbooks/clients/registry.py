"""The image registry, by the OCI distribution API: which tags exist, which digest a tag stands for, when it was made.

A registry that asks for a token gets the handshake of the distribution specification (`WWW-Authenticate: Bearer`), anonymous
or with the credentials that it was given. Errors are wrapped: what does not exist is permanent, what does not answer is temporary.
"""

import asyncio
import hashlib
import json
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from http import HTTPStatus
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self
from urllib.parse import urljoin, urlsplit

from runbooks.clients.registry_auth import RegistryLogins
from runbooks.kit.errors import PermanentError, TemporaryError
from runbooks.kit.reasons import ReasonCode
from runbooks.kit.targets import Frozen

if TYPE_CHECKING:
    import aiohttp

if TYPE_CHECKING:
    import aiohttp  # at run time where it is used: a quarter of a second that `omnicare help` does not have

_ACCEPT = (
    "application/vnd.oci.image.index.v1+json, application/vnd.docker.distribution.manifest.list.v2+json, "
    "application/vnd.oci.image.manifest.v1+json, application/vnd.docker.distribution.manifest.v2+json"
)
_LARGEST = 4 * 1024 * 1024
"""Bytes of a manifest or a list; the distribution specification asks registries to take manifests up to 4 MiB."""
_PAGES = 50
_DATED = 20
"""So many of the highest versions are asked for their age: each costs two requests, once."""
_PLATFORMS = 20
"""So many of an index are looked at."""
_REMEMBERED = 1000
_VERSION = re.compile(r"v?(\d+)(?:\.(\d+))?(?:\.(\d+))?(?:\.(\d+))?(-.+)?", re.ASCII)
_DESCRIBED = re.compile(r"-(\d+)-g[0-9a-f]{4,40}", re.ASCII)
"""What `git describe` adds to the last tag: so many commits later."""
_TAG = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,127}", re.ASCII)
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}", re.ASCII)


class Tagged(Frozen):
    """A version that exists."""

    tag: str
    created: datetime | None = None


def is_version(tag: str) -> bool:
    """Whether the tag has numbers that can be compared."""
    return _VERSION.fullmatch(tag) is not None


Order = tuple[int, tuple[int, ...], int, tuple[tuple[int, int, str], ...]]


def version_order(tag: str) -> Order:
    """Sorts versions by number: `-rc1` before its release, `git describe`'s `-3-gabc123` after it, other tags before all."""
    found = _VERSION.fullmatch(tag)
    if found is None:
        return (0, (), 0, ((1, 0, tag),))
    numbers = tuple(int(part or 0) for part in found.groups()[:4])
    suffix = found[5] or ""
    rank = 1 if not suffix else 2 if _DESCRIBED.fullmatch(suffix) else 0
    parts = re.findall(r"\d+|[^\d.\-]+", suffix)
    return (1, numbers, rank, tuple((0, int(part), "") if part.isdecimal() else (1, 0, part) for part in parts))


class RegistryClient:
    """One for all registries, for the life of the process."""

    def __init__(
        self,
        addresses: Mapping[str, str] | None = None,
        *,
        plain_http: bool = False,
        logins: RegistryLogins | None = None,
        deadline: float = 10.0,
    ) -> None:
        """`addresses`: registry host → base URL, where it is not `https://HOST`. `plain_http`: such a URL may be http.

        `logins`: who the bot is to a registry; given to the registry's own token service only.
        """
        for host, url in (addresses or {}).items():
            if urlsplit(url).scheme != "https" and not plain_http:
                raise ValueError(f"registries.{host}: only https is accepted outside a sandbox")
        self._addresses = dict(addresses or {})
        self._logins = logins
        self._deadline = deadline
        self._tokens: dict[str, str] = {}
        self._made: dict[tuple[str, str], datetime] = {}
        """For showing how old a version is; never for what is deployed."""
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        import aiohttp  # a fifth of a second: only for who talks to a registry

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
            # what is no tag by the registries' own rules would be a command's words further on
            named = _object(body).get("tags") or []
            found += [tag for tag in named if isinstance(tag, str) and _TAG.fullmatch(tag)]
            following = re.search(r'<([^>]+)>;\s*rel="?next"?', headers.get("Link", ""))
            if following is None:
                return found
            after = urljoin(url, following[1])
            if urlsplit(after).netloc != urlsplit(url).netloc:
                break  # a page elsewhere is not the registry's to send us to
            url = after
        return found

    async def newest(self, repository: str, count: int) -> list[Tagged]:
        """The versions that were made last, newest first; those whose time is not known follow by number."""
        ordered = sorted(await self.tags(repository), key=version_order, reverse=True)
        asked = ordered[:_DATED]
        times = await asyncio.gather(*(self._created_or_none(repository, tag) for tag in asked))
        dated = [Tagged(tag=tag, created=time) for tag, time in zip(asked, times, strict=True)]
        dated.sort(key=lambda each: each.created.timestamp() if each.created is not None else 0.0, reverse=True)
        return [*dated, *(Tagged(tag=tag) for tag in ordered[_DATED:])][:count]

    async def resolve(self, repository: str, tag: str) -> str:
        """The digest that the tag stands for now; PermanentError(NO_SUCH_VERSION) where there is none."""
        body, headers = await self._manifest(repository, tag)
        # The header is optional, and only a claim: the digest is that of the bytes.
        digest = "sha256:" + hashlib.sha256(body).hexdigest()
        claimed = headers.get("Docker-Content-Digest", digest)
        if claimed != digest and _DIGEST.fullmatch(claimed):
            raise PermanentError(
                f"The registry's manifest of {repository}:{tag} does not have the digest that it names.",
                code=ReasonCode.REGISTRY_UNREACHABLE,
                evidence=(f"named {claimed}", f"found {digest}"),
            )
        return digest

    async def digests_within(self, repository: str, digest: str) -> frozenset[str]:
        """Every digest by which a node may name that image: its own, each platform's manifest and configuration."""
        manifest = _object((await self._manifest(repository, digest))[0])
        platforms = _digests(manifest.get("manifests"))[:_PLATFORMS]
        parts = await asyncio.gather(*(self._manifest(repository, each) for each in platforms))
        configurations = [manifest.get("config"), *(_object(body).get("config") for body, _ in parts)]
        return frozenset({digest, *platforms, *_digests(configurations)})

    async def created(self, repository: str, tag: str) -> datetime | None:
        """When the image was made; None where its configuration does not say."""
        base, name = self._place(repository)
        manifest = _object((await self._manifest(repository, tag))[0])
        if "manifests" in manifest:  # an index: any of its platforms
            manifest = _object((await self._manifest(repository, manifest["manifests"][0]["digest"]))[0])
        body, _ = await self._get(f"{base}/v2/{name}/blobs/{manifest['config']['digest']}", f"{repository}:{tag}")
        config = _object(body)
        created = config.get("created")
        try:
            return datetime.fromisoformat(re.sub(r"(\.\d{6})\d+", r"\1", created)).astimezone(UTC) if created else None
        except ValueError:
            return None

    async def reachable(self, repository: str) -> None:
        """Raises where the registry does not answer for the repository."""
        await self.tags(repository)

    async def _manifest(self, repository: str, reference: str) -> tuple[bytes, Mapping[str, str]]:
        if not _TAG.fullmatch(reference) and not _DIGEST.fullmatch(reference):
            raise PermanentError(f"There is no image {repository}:{reference}.", code=ReasonCode.NO_SUCH_VERSION)
        base, name = self._place(repository)
        joint = "@" if _DIGEST.fullmatch(reference) else ":"
        return await self._get(f"{base}/v2/{name}/manifests/{reference}", f"{repository}{joint}{reference}")

    async def _created_or_none(self, repository: str, tag: str) -> datetime | None:
        known = self._made.get((repository, tag))
        if known is not None:
            return known
        try:
            created = await self.created(repository, tag)
        except (PermanentError, TemporaryError, KeyError, IndexError, TypeError):
            return None
        if created is not None and len(self._made) < _REMEMBERED:
            self._made[repository, tag] = created
        return created

    def _place(self, repository: str) -> tuple[str, str]:
        host, _, name = repository.partition("/")
        return self._addresses.get(host, f"https://{host}").rstrip("/"), name

    async def _get(self, url: str, what: str) -> tuple[bytes, Mapping[str, str]]:
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
        if status in (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN):
            raise self._refused(what)
        if status != HTTPStatus.OK:
            raise PermanentError(f"The registry answers {status} for {what}.", code=ReasonCode.REGISTRY_UNREACHABLE)
        return body, headers

    async def _once(self, url: str, what: str) -> tuple[int, Mapping[str, str], bytes]:
        from aiohttp import ClientError

        assert self._session is not None, "inside `async with`"
        headers = {"Accept": _ACCEPT}
        if (token := self._tokens.get(_token_key(url))) is not None:
            headers["Authorization"] = f"Bearer {token}"
        try:
            async with self._session.get(url, headers=headers) as response:
                return response.status, response.headers.copy(), await _bounded(response, what)
        except (ClientError, TimeoutError, OSError) as error:
            raise TemporaryError(
                f"The registry does not answer for {what}.",
                code=ReasonCode.REGISTRY_UNREACHABLE,
                retry_after=2.0,
                evidence=(type(error).__name__,),
            ) from error

    async def _shake_hands(self, url: str, challenge: str, what: str) -> None:
        """The distribution specification's token handshake."""
        from aiohttp import ClientError, encode_basic_auth

        fields = dict(re.findall(r'(\w+)="([^"]*)"', challenge))
        realm = fields.get("realm", "")
        if urlsplit(realm).scheme not in ("http", "https") or (
            urlsplit(url).scheme == "https" and urlsplit(realm).scheme != "https"
        ):
            return
        assert self._session is not None, "inside `async with`"
        query = {name: fields[name] for name in ("service", "scope") if name in fields}
        known = self._logins.of(what.partition("/")[0]) if self._logins else None
        headers = {"Authorization": encode_basic_auth(known.user, known.password)} if known else {}
        try:
            async with self._session.get(realm, params=query, headers=headers) as response:
                answer = _object(await _bounded(response, what)) if response.status == HTTPStatus.OK else {}
        except (ClientError, TimeoutError, OSError) as error:
            raise TemporaryError(
                f"The registry gives no token for {what}.", code=ReasonCode.REGISTRY_UNREACHABLE
            ) from error
        token = answer.get("token") or answer.get("access_token")
        if token:
            self._tokens[_token_key(url)] = token

    def _refused(self, what: str) -> PermanentError:
        host = what.partition("/")[0]
        known = self._logins is not None and self._logins.of(host) is not None
        advice = (
            f"The login for {host} in the file that `bot.registry_auth` names was refused: it expired, or may not read this."
            if known
            else f"It is private, or not there. `bot.registry_auth` can name a file with a login for {host}."
        )
        return PermanentError(
            f"The registry lets the bot not read {what}.", code=ReasonCode.REGISTRY_UNREACHABLE, advice=(advice,)
        )


async def _bounded(response: "aiohttp.ClientResponse", what: str) -> bytes:
    """The whole answer, which no registry may make too large to hold."""
    found = bytearray()
    async for chunk in response.content.iter_chunked(64 * 1024):
        found += chunk
        if len(found) > _LARGEST:
            raise PermanentError(
                f"The registry's answer for {what} is too large.", code=ReasonCode.REGISTRY_UNREACHABLE
            )
    return bytes(found)


def _object(body: bytes) -> dict[str, Any]:
    try:
        found = json.loads(body)
    except ValueError as error:
        raise PermanentError("The registry's answer is not JSON.", code=ReasonCode.REGISTRY_UNREACHABLE) from error
    return found if isinstance(found, dict) else {}


def _digests(descriptors: object) -> list[str]:
    """Of descriptors, as far as they are any."""
    found = (
        [each.get("digest") for each in descriptors if isinstance(each, dict)] if isinstance(descriptors, list) else []
    )
    return [digest for digest in found if isinstance(digest, str) and _DIGEST.fullmatch(digest)]


def _token_key(url: str) -> str:
    """A token is for one repository: its address without what is asked of it."""
    parts = urlsplit(url)
    return parts.netloc + re.split(r"/(?:manifests|blobs|tags)/", parts.path)[0]
