"""The image registry, with the OCI distribution API: which tags exist, which digest a tag has, and when it was created.

A registry that asks for a token gets the handshake of the distribution specification (`WWW-Authenticate: Bearer`), anonymous
or with the configured credentials. Errors are wrapped: a missing image is permanent, a missing answer is temporary.
"""

import asyncio
import hashlib
import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from types import TracebackType
from typing import Any, Self
from urllib.parse import urljoin, urlsplit

from runbooks.clients.image_registry.challenges import origin
from runbooks.clients.image_registry.ecr import EcrLogins
from runbooks.clients.image_registry.logins import RegistryLogins
from runbooks.clients.image_registry.requests import RegistryRequests, RegistryResponse
from runbooks.kit.answers import read_object, read_time
from runbooks.kit.errors import PermanentError, RunbookError, TemporaryError
from runbooks.kit.reasons import ReasonCode
from runbooks.kit.targets import Frozen
from runbooks.kit.versions import PATTERN, TAG, VersionPattern, version_order

_TAGS = 100_000
"""Maximum number of tags that are read; in a longer list nobody could find one."""
_DATED = 20
"""Number of highest versions whose age is requested; each costs two requests, once."""
_PLATFORMS = 20
"""Maximum number of an index's entries that are read."""
_REMEMBERED = 1000
_NEXT = re.compile(r'<([^<>]*)>[^<>,]*;[ \t]*rel="?next"?', re.ASCII | re.IGNORECASE)
_FIRST = datetime(2013, 3, 1, tzinfo=UTC)
"""Earlier than any container image: the date of a reproducible build (1970, 1980) does not show its age."""
_AHEAD = timedelta(days=1)
"""Allowed clock difference; a time further in the future is invalid."""
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}", re.ASCII)


class Tagged(Frozen):
    """A version that exists."""

    tag: str
    created: datetime | None = None


class RegistryClient:
    """A client for all registries, for the life of the process."""

    def __init__(
        self,
        addresses: Mapping[str, str] | None = None,
        *,
        plain_http: bool = False,
        logins: RegistryLogins | None = None,
        ecr: EcrLogins | None = None,
        versions: str = PATTERN,
        deadline: float = 10.0,
    ) -> None:
        """`addresses`: registry host → base URL, if it is not `https://HOST`. `plain_http`: such a URL may be http.

        `logins`, `ecr`: the bot's credentials by host, sent only to that host and the token service that it names.
        `versions`: which tags are versions (`runbooks.kit.versions`).
        """
        for host, url in (addresses or {}).items():
            if urlsplit(url).scheme != "https" and not plain_http:
                raise ValueError(f"registries.{host}: only https is accepted outside the sandbox")
        self._addresses = dict(addresses or {})
        self._requests = RegistryRequests(logins=logins, ecr=ecr, plain_http=plain_http, deadline=deadline)
        self._pattern = VersionPattern(versions)
        self._made: dict[tuple[str, str], datetime] = {}
        """When it was created, for showing its age; never used for deciding what is deployed."""

    async def __aenter__(self) -> Self:
        await self._requests.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._requests.__aexit__(kind, error, trace)

    async def tags(self, repository: str) -> list[str]:
        """Return all tags of the repository (`ghcr.io/omnicare/backend`), in the registry's order."""
        base, name = self._place(repository)
        url, found, seen = f"{base}/v2/{name}/tags/list?n=1000", dict[str, None](), set[str]()
        while url not in seen and len(found) < _TAGS:
            seen.add(url)
            answer = await self._requests.get(url, repository)
            before = len(found)
            # later a tag becomes part of a command line, so only valid tags pass
            listed = _object(answer).get("tags")
            named = listed if isinstance(listed, list) else []
            found |= {tag: None for tag in named if isinstance(tag, str) and TAG.fullmatch(tag)}
            after = _next_page(url, answer)
            if after is None or len(found) == before:  # a page without new tags would lead to an endless loop
                break
            url = after
        return list(found)

    async def versions(self, repository: str) -> list[str]:
        """Return the tags that are versions, highest first."""
        found = [tag for tag in await self.tags(repository) if self._pattern.matches(tag)]
        return sorted(found, key=version_order, reverse=True)

    async def newest(self, repository: str, count: int) -> list[Tagged]:
        """Return the newest versions, newest first; sorted by number only if the time of one is unknown."""
        ordered = await self.versions(repository)
        asked = ordered[:_DATED]
        times = await asyncio.gather(*(self._created_or_none(repository, tag) for tag in asked))
        dated = [Tagged(tag=tag, created=time) for tag, time in zip(asked, times, strict=True)]
        if all(times):
            dated.sort(key=lambda each: each.created.timestamp() if each.created is not None else 0.0, reverse=True)
        return [*dated, *(Tagged(tag=tag) for tag in ordered[_DATED:])][:count]

    async def resolve(self, repository: str, tag: str) -> str:
        """Return the tag's current digest. Raises PermanentError(NO_SUCH_VERSION) if there is none."""
        answer = await self._manifest(repository, tag)
        # The header is optional, and only a claim: the digest is that of the bytes.
        digest = "sha256:" + hashlib.sha256(answer.body).hexdigest()
        claimed = answer.headers.get("Docker-Content-Digest", digest)
        if claimed != digest and _DIGEST.fullmatch(claimed):
            raise PermanentError(
                f"The registry's manifest of {repository}:{tag} does not match its digest.",
                code=ReasonCode.REGISTRY_UNREACHABLE,
                evidence=(f"named {claimed}", f"found {digest}"),
            )
        return digest

    async def digests_within(self, repository: str, digest: str) -> frozenset[str]:
        """Return all digests that a node may report for the image: its own, each platform's manifest and configuration."""
        manifest = _object(await self._manifest(repository, digest))
        platforms = _digests(manifest.get("manifests"))[:_PLATFORMS]
        parts = await asyncio.gather(*(self._manifest(repository, each) for each in platforms))
        configurations = [manifest.get("config"), *(_object(each).get("config") for each in parts)]
        return frozenset({digest, *platforms, *_digests(configurations)})

    async def revisions(self, repository: str, digest: str) -> tuple[str | None, ...]:
        """Return the commit that each platform's image names as its source (`org.opencontainers.image.revision`), in the index's order."""
        return await self.labels(repository, digest, "org.opencontainers.image.revision")

    async def labels(self, repository: str, digest: str, name: str) -> tuple[str | None, ...]:
        """Return the value that each platform's image has for the label, in the index's order.

        None where one has none. An index's attestations are no images.
        """
        document = _object(await self._pinned(repository, digest))
        listed = document.get("manifests")
        if isinstance(listed, list):
            platforms = _digests([each for each in listed if not _attests(each)])
            if not platforms or len(platforms) > _PLATFORMS:
                raise PermanentError(
                    f"The registry's index of {repository}@{digest} lists {len(platforms)} images.",
                    code=ReasonCode.REGISTRY_UNREACHABLE,
                )
        else:
            platforms = [digest]
        return tuple(await asyncio.gather(*(self._label(repository, each, name) for each in platforms)))

    async def _label(self, repository: str, digest: str, label: str) -> str | None:
        base, name = self._place(repository)
        configurations = _digests([_object(await self._pinned(repository, digest)).get("config")])
        if not configurations:
            return None
        url = f"{base}/v2/{name}/blobs/{configurations[0]}"
        match _object(await self._requests.get(url, f"{repository}@{digest}")):
            case {"config": {"Labels": dict(labels)}}:
                value = labels.get(label)
                return value if isinstance(value, str) else None
            case _:
                return None

    async def _pinned(self, repository: str, digest: str) -> RegistryResponse:
        """Return the manifest with that digest, which is compared with its bytes."""
        answer = await self._manifest(repository, digest)
        if "sha256:" + hashlib.sha256(answer.body).hexdigest() != digest:
            raise PermanentError(
                f"The registry's manifest of {repository}@{digest} does not match its digest.",
                code=ReasonCode.REGISTRY_UNREACHABLE,
            )
        return answer

    async def created(self, repository: str, tag: str) -> datetime | None:
        """Return when the image was created, or None if its configuration has no valid time."""
        base, name = self._place(repository)
        manifest = _object(await self._manifest(repository, tag))
        match manifest:
            case {"manifests": [{"digest": str(platform)}, *_]}:  # an index: any of its platforms
                manifest = _object(await self._manifest(repository, platform))
            case _:
                pass
        match manifest:
            case {"config": {"digest": str(digest)}} if _DIGEST.fullmatch(digest):
                answer = await self._requests.get(f"{base}/v2/{name}/blobs/{digest}", f"{repository}:{tag}")
            case _:
                return None
        made = read_time(_object(answer).get("created"))
        return made if made is not None and _FIRST <= made <= datetime.now(UTC) + _AHEAD else None

    async def _manifest(self, repository: str, reference: str) -> RegistryResponse:
        if not TAG.fullmatch(reference) and not _DIGEST.fullmatch(reference):
            raise PermanentError(f"There is no image {repository}:{reference}.", code=ReasonCode.NO_SUCH_VERSION)
        base, name = self._place(repository)
        joint = "@" if _DIGEST.fullmatch(reference) else ":"
        answer = await self._requests.get(f"{base}/v2/{name}/manifests/{reference}", f"{repository}{joint}{reference}")
        if not {"config", "manifests"} & _object(answer).keys():
            # a proxy's page or an error that came with 200: its hash would become the digest of the release
            raise TemporaryError(
                f"The registry's answer for {repository}{joint}{reference} is not an image manifest.",
                code=ReasonCode.REGISTRY_UNREACHABLE,
            )
        return answer

    async def _created_or_none(self, repository: str, tag: str) -> datetime | None:
        known = self._made.get((repository, tag))
        if known is not None:
            return known
        try:
            created = await self.created(repository, tag)
        except RunbookError:
            return None
        if created is not None and len(self._made) < _REMEMBERED:
            self._made[repository, tag] = created
        return created

    def _place(self, repository: str) -> tuple[str, str]:
        host, _, name = repository.partition("/")
        return self._addresses.get(host, f"https://{host}").rstrip("/"), name


def _next_page(url: str, answer: RegistryResponse) -> str | None:
    """Return the next page's address, or None at the end or if it is on another registry."""
    found = _NEXT.search(answer.headers.get("Link", "")[:8192])
    if found is None:
        return None
    try:
        after = urljoin(url, found[1])
        return after if origin(after) == origin(url) else None
    except ValueError:
        return None


def _attests(descriptor: object) -> bool:
    """Whether an index's entry is BuildKit's attestation of another one."""
    match descriptor:
        case {"annotations": {"vnd.docker.reference.type": str()}} | {"platform": {"os": "unknown"}}:
            return True
        case _:
            return False


def _digests(descriptors: object) -> list[str]:
    """Return the digests of the valid descriptors."""
    found = (
        [each.get("digest") for each in descriptors if isinstance(each, dict)] if isinstance(descriptors, list) else []
    )
    return [digest for digest in found if isinstance(digest, str) and _DIGEST.fullmatch(digest)]


def _object(answer: RegistryResponse) -> dict[str, Any]:
    return read_object(
        answer.body,
        lambda: TemporaryError("The registry's answer is not JSON.", code=ReasonCode.REGISTRY_UNREACHABLE),
    )
