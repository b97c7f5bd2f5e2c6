"""What the sandbox's AWS has besides S3, where a part of the release train asks for it: a CloudFront distribution.

moto's gaps are covered here (docs/known-flaws.md): an invalidation takes a while, and the same caller reference returns the first one.
"""

from __future__ import annotations

import io
import time
from typing import Any, Protocol
from xml.etree import ElementTree as ET

ACCOUNT, REGION = "123456789012", "us-east-1"
"""moto's own."""
DISTRIBUTIONS = {"production": "E2PRODSANDBOX1", "staging": "E2STAGSANDBOX1"}

Refusal = tuple[str, bytes]
"""The status line and the body of an answer that the API gives instead of moto."""


class Service(Protocol):
    """One API that moto serves, as the real one answers where moto does not."""

    def furnish(self) -> None:
        """Make what is there from the beginning."""
        ...

    def before(self, environ: dict[str, Any]) -> Refusal | None:
        """Called with each request; may change it. Returns an answer where moto is not asked."""
        ...


class CloudFront:
    """Two distributions, whose invalidations take `seconds`."""

    def __init__(self, seconds: float = 0.0) -> None:
        self.seconds = seconds
        self.created: list[tuple[str, tuple[str, ...]]] = []
        """What was paid for: the distribution and the paths of each invalidation."""
        self._since: dict[str, float] = {}

    def furnish(self) -> None:
        for name in DISTRIBUTIONS.values():
            made, _, _ = self._backend().create_distribution(_config(name), [])
            distributions = self._backend().distributions
            distributions[name] = distributions.pop(made.distribution_id)
            made.id = made.distribution_id = name
            made.arn = f"arn:aws:cloudfront::{ACCOUNT}:distribution/{name}"

    def before(self, environ: dict[str, Any]) -> Refusal | None:
        backend, now = self._backend(), time.monotonic()
        for invalidations in backend.invalidations.values():
            for each in invalidations:
                each.status = "Completed" if now - self._since[each.id] >= self.seconds else "InProgress"
        path = environ["PATH_INFO"].rstrip("/").split("/")
        if environ["REQUEST_METHOD"] != "POST" or path[-1] != "invalidation" or path[-2] not in backend.distributions:
            return None
        body = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
        paths, reference = _batch(body)
        found = next((each for each in backend.invalidations.get(path[-2], ()) if each.caller_ref == reference), None)
        if found is not None and tuple(found.paths) != paths:
            return "400 Bad Request", _error("InvalidationBatchAlreadyExists")
        if found is None:
            found = backend.create_invalidation(path[-2], list(paths), reference)
            found.status, self._since[found.id] = "InProgress" if self.seconds else "Completed", now
            self.created.append((path[-2], paths))
        look = f"{'/'.join(path)}/{found.id}"
        environ |= {
            "REQUEST_METHOD": "GET",
            "PATH_INFO": look,
            "RAW_URI": look,
            "REQUEST_URI": look,
            "CONTENT_LENGTH": "0",
            "wsgi.input": io.BytesIO(),
        }
        return None

    def _backend(self) -> Any:
        from moto.backends import get_backend

        return get_backend("cloudfront")[ACCOUNT]["aws"]


def _config(reference: str) -> dict[str, Any]:
    origin = {"Id": "frontend", "DomainName": "frontend.omnicare.example", "CustomOriginConfig": {"HTTPPort": 80}}
    return {
        "CallerReference": reference,
        "Origins": {"Quantity": 1, "Items": [origin]},
        "DefaultCacheBehavior": {"TargetOriginId": "frontend", "ViewerProtocolPolicy": "redirect-to-https"},
        "Comment": "The frontend",
        "Enabled": True,
    }


def _batch(body: bytes) -> tuple[tuple[str, ...], str]:
    root = ET.fromstring(body)  # noqa: S314 - the sandbox's own bot sends it
    paths = tuple(each.text or "" for each in root.iterfind(".//{*}Path"))
    return paths, root.findtext("{*}CallerReference") or ""


def _error(code: str) -> bytes:
    said = f"<Error><Type>Sender</Type><Code>{code}</Code><Message>refused</Message></Error>"
    return f'<ErrorResponse xmlns="http://cloudfront.amazonaws.com/doc/2020-05-31/">{said}</ErrorResponse>'.encode()
