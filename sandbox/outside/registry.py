"""The sandbox's image registry: tags, manifests and configurations of the OCI distribution API, seeded.

Digests of manifests are computed from their bytes and the same on every machine, so that a screenshot of today and a
test of tomorrow name the same image. Creation times are relative to the start, so that "2 h old" stays true; that is
why a configuration's own digest is that of the configuration without its time.
"""

from __future__ import annotations

import hashlib
import json
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from aiohttp import encode_basic_auth, web

from sandbox.outside.serving import serving

REGISTRY = "ghcr.io"
SERVICES = ("backend", "frontend")

# Each tag and its age when the sandbox starts.
VERSIONS = {
    "v1.0.0": timedelta(days=96),
    "v1.1.0": timedelta(days=41),
    "v1.2.0": timedelta(days=13),
    "v2.1.0-sqlerror": timedelta(hours=10),
    "v2.1.0-bad": timedelta(hours=9),
    "v2.1.0-crash": timedelta(hours=8),
    "v2.1.0-oom": timedelta(hours=7),
    "v2.1.0-unready": timedelta(hours=6),
    "v2.1.0-slow": timedelta(hours=5),
    "v2.1.0-private": timedelta(hours=5, minutes=1),
    "v2.1.0-limited": timedelta(hours=5, minutes=2),
    "v2.1.0-arm": timedelta(hours=5, minutes=3),
    "v2.1.0-unlive": timedelta(hours=5, minutes=4),
    "v2.1.0-stalls": timedelta(hours=5, minutes=5),
    "v2.1.0-hang": timedelta(hours=5, minutes=6),
    "v2.1.0-errors": timedelta(hours=5, minutes=7),
    "v2.2.0-drops": timedelta(hours=4, minutes=30),
    "v2.1.0-moved": timedelta(hours=4),
    "v2.0.0": timedelta(hours=2),
}

_RUNS_ONLY_ITSELF = ("v2.2.0-drops",)
"""Versions that declare that no older one runs on their database's schema."""
_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
_CONFIG = "application/vnd.oci.image.config.v1+json"
_LAYER = "application/vnd.oci.image.layer.v1.tar+gzip"
_DIGEST_HEADER = "Docker-Content-Digest"
_LARGEST_PAGE = 100


def _digest(data: bytes) -> str:
    return "sha256:" + hashlib.sha256(data).hexdigest()


def _bytes(document: dict[str, Any]) -> bytes:
    return json.dumps(document, sort_keys=True, separators=(",", ":")).encode()


def commit_of(version: str) -> str:
    """The commit that a version is made from, the same at every call."""
    return hashlib.sha1(f"omnicare {version}".encode()).hexdigest()  # noqa: S324 - git's own


def _configuration(service: str, version: str) -> dict[str, Any]:
    labels = {
        "org.opencontainers.image.title": f"omnicare-{service}",
        "org.opencontainers.image.version": version,
        "org.opencontainers.image.revision": commit_of(version),
    }
    if version in _RUNS_ONLY_ITSELF:
        labels["dev.omnicare.schema.oldest-release"] = version
    layer = _digest(f"layer of {service} {version}".encode())
    return {
        "architecture": "amd64",
        "os": "linux",
        "config": {"Labels": labels, "Cmd": ["npm", "start"]},
        "rootfs": {"type": "layers", "diff_ids": [layer]},
    }


def manifest(service: str, version: str) -> bytes:
    """The bytes of an image's manifest, the same at every call."""
    configuration = _bytes(_configuration(service, version))
    size = 40_000_000 + int(_digest(configuration)[7:12], 16)
    document = {
        "schemaVersion": 2,
        "mediaType": _MANIFEST,
        "config": {"mediaType": _CONFIG, "digest": _digest(configuration), "size": len(configuration)},
        "layers": [{"mediaType": _LAYER, "digest": _digest(f"{service} {version}".encode()), "size": size}],
    }
    return _bytes(document)


def digest_of(service: str, version: str) -> str:
    return _digest(manifest(service, version))


@dataclass(frozen=True)
class _Image:
    version: str
    manifest: bytes
    digest: str
    configuration: bytes
    configuration_digest: str


def _image(service: str, version: str, created: datetime) -> _Image:
    plain, body = _configuration(service, version), manifest(service, version)
    dated = {**plain, "created": created.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")}
    return _Image(version, body, _digest(body), _bytes(dated), _digest(_bytes(plain)))


class Registry:
    """Serves the seeded images; with `handshake` it wants a token first, which it gives to anybody, as ghcr.io does for what is
    public; with `login` (user, password) only to that account. With `basic` it takes that login itself, as Amazon's ECR and htpasswd do.
    """

    def __init__(
        self,
        *,
        handshake: bool = False,
        login: tuple[str, str] | None = None,
        basic: bool = False,
        started: datetime | None = None,
    ) -> None:
        started = started or datetime.now(UTC)
        self._handshake = handshake or login is not None
        self.login = login
        self._basic = basic
        self._token = secrets.token_urlsafe(16)
        self._images: dict[str, list[_Image]] = {
            f"omnicare/{service}": [_image(service, version, started - age) for version, age in VERSIONS.items()]
            for service in SERVICES
        }
        self.url = ""

    def forget(self, service: str, version: str) -> None:
        """Delete a tag, as a clean-up job would: what runs stays, what is to be deployed is no longer found."""
        name = f"omnicare/{service}"
        self._images[name] = [image for image in self._images[name] if image.version != version]

    def move(self, service: str, version: str, *, to: str) -> None:
        """Make a tag stand for the image of another version, as somebody does who pushes it again."""
        images = self._images[f"omnicare/{service}"]
        there = next(image for image in images if image.version == to)
        self.forget(service, version)
        self._images[f"omnicare/{service}"].append(replace(there, version=version))

    def publish(self, service: str, version: str, created: datetime) -> None:
        """Add a tag, as a build would; a reproducible build says that it was made in 1970."""
        self._images[f"omnicare/{service}"].append(_image(service, version, created))

    @asynccontextmanager
    async def serve(self, host: str = "127.0.0.1", port: int = 0) -> AsyncIterator[str]:
        """Serve until the block ends; gives the address."""
        async with serving(self._application(), host, port) as self.url:
            yield self.url

    def _application(self) -> web.Application:
        app = web.Application(middlewares=[self._guard])
        app.router.add_get("/token", self._give_token)
        app.router.add_get("/v2/", _welcome)
        app.router.add_get("/v2/{name:.+}/tags/list", self._tags)
        app.router.add_get("/v2/{name:.+}/manifests/{reference}", self._manifest)
        app.router.add_get("/v2/{name:.+}/blobs/{digest}", self._blob)
        return app

    @web.middleware
    async def _guard(self, request: web.Request, handler: Any) -> web.StreamResponse:
        asked = request.path.startswith("/v2/") and self._handshake
        shown = request.headers.get("Authorization")
        if asked and self._basic and self.login is not None:
            if shown != encode_basic_auth(*self.login):
                response = _error(401, "UNAUTHORIZED", "authentication required")
                response.headers["WWW-Authenticate"] = f'Basic realm="{self.url}/",service="sandbox"'
                return response
        elif asked and shown != f"Bearer {self._token}":
            name = request.path.removeprefix("/v2/").partition("/manifests/")[0].partition("/tags/")[0].strip("/")
            scope = f',scope="repository:{name}:pull"' if name else ""
            challenge = f'Bearer realm="{self.url}/token",service="sandbox"{scope}'
            response = _error(401, "UNAUTHORIZED", "authentication required")
            response.headers["WWW-Authenticate"] = challenge
            return response
        answer: web.StreamResponse = await handler(request)
        return answer

    async def _give_token(self, request: web.Request) -> web.Response:
        if self.login is not None and request.headers.get("Authorization") != encode_basic_auth(*self.login):
            return _error(401, "UNAUTHORIZED", "authentication required")
        return web.json_response({"token": self._token, "access_token": self._token, "expires_in": 300})

    async def _tags(self, request: web.Request) -> web.Response:
        name = request.match_info["name"]
        if name not in self._images:
            return _error(404, "NAME_UNKNOWN", "repository name not known to registry", {"name": name})
        tags = sorted(image.version for image in self._images[name])
        wanted = request.query.get("n", str(_LARGEST_PAGE))
        if not wanted.isdigit():
            return _error(400, "PAGINATION_NUMBER_INVALID", "invalid number of results requested", {"n": wanted})
        size, after = min(int(wanted), _LARGEST_PAGE), request.query.get("last", "")
        left = [tag for tag in tags if tag > after]
        page = left[:size]
        response = web.json_response({"name": name, "tags": page})
        if page and len(left) > size:
            response.headers["Link"] = f'</v2/{name}/tags/list?last={page[-1]}&n={size}>; rel="next"'
        return response

    async def _manifest(self, request: web.Request) -> web.Response:
        name, reference = request.match_info["name"], request.match_info["reference"]
        images = self._images.get(name)
        if images is None:
            return _error(404, "NAME_UNKNOWN", "repository name not known to registry", {"name": name})
        found = next((image for image in images if reference in (image.version, image.digest)), None)
        if found is None:
            return _error(404, "MANIFEST_UNKNOWN", "manifest unknown", {"name": name, "Tag": reference})
        headers = {_DIGEST_HEADER: found.digest, "Content-Type": _MANIFEST}
        return web.Response(body=found.manifest, headers=headers)

    async def _blob(self, request: web.Request) -> web.Response:
        name, digest = request.match_info["name"], request.match_info["digest"]
        images = self._images.get(name, [])
        found = next((image for image in images if image.configuration_digest == digest), None)
        if found is None:
            return _error(404, "BLOB_UNKNOWN", "blob unknown to registry", {"digest": digest})
        return web.Response(body=found.configuration, headers={_DIGEST_HEADER: digest, "Content-Type": _CONFIG})


async def _welcome(_: web.Request) -> web.Response:
    return web.json_response({}, headers={"Docker-Distribution-Api-Version": "registry/2.0"})


def _error(status: int, code: str, message: str, detail: dict[str, str] | None = None) -> web.Response:
    return web.json_response({"errors": [{"code": code, "message": message, "detail": detail}]}, status=status)
