"""What the sandbox's AWS has besides S3's exports, where a part of the release train asks for it: CloudFront, RDS and backups in S3.

moto's gaps are covered here (docs/known-flaws.md): an invalidation takes a while, and the same caller reference returns the first one;
snapshots and instances are being created for a while; an instance's address is one where a PostgreSQL answers.
"""

from __future__ import annotations

import io
import json
import time
from datetime import UTC, datetime, timedelta
from typing import Any, Protocol
from urllib.parse import parse_qs
from xml.etree import ElementTree as ET

ACCOUNT, REGION = "123456789012", "us-east-1"
"""moto's own."""
DISTRIBUTIONS = {"production": "E2PRODSANDBOX1", "staging": "E2STAGSANDBOX1"}

CACHE_TAGS = "x-amz-meta-cache-tag"

INSTANCES = {"production": "omnicare-prod", "staging": "omnicare-staging"}
BACKUPS = "omnicare-backups"
"""The bucket with the backups of the configuration."""

SIGNING_SECRET = "omnicare/production/backend"  # noqa: S105 - its name

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


def action_of(environ: dict[str, Any]) -> str:
    """Return the action that a request to one of the older APIs names, such as `CreateDBSnapshot`; empty where it names none."""
    return _asked(environ).get("Action", [""])[0]


class CloudFront:
    """Two distributions, whose invalidations take `seconds`."""

    def __init__(self, seconds: float = 0.0) -> None:
        self.seconds = seconds
        self.created: list[tuple[str, tuple[str, ...]]] = []
        """What was paid for: the distribution and the paths of each invalidation."""
        self.tags: str | None = CACHE_TAGS
        """The header with the cache tags; None: the distributions read none."""
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
        for made in backend.distributions.values():
            made.distribution_config.cache_tag_config = {"HeaderName": self.tags} if self.tags else None
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
            known = backend.invalidations[path[-2]]
            known.insert(0, known.pop())  # the newest is listed first
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


class Rds:
    """Two encrypted instances with a snapshot each, and yesterday's and today's backup of the configuration. What is new is being created for
    `seconds`; `place`: where a PostgreSQL answers for every instance (`127.0.0.1:PORT`).
    """

    def __init__(self, seconds: float = 0.0, place: str = "") -> None:
        self.seconds = seconds
        self.place = place
        self._since: dict[str, float] = {}

    @property
    def snapshots(self) -> dict[str, Any]:
        """Moto's own, by name; a test may change them."""
        return self.backend.database_snapshots  # type: ignore[no-any-return]

    @property
    def instances(self) -> dict[str, Any]:
        """Moto's own, by name."""
        return self.backend.databases  # type: ignore[no-any-return]

    @property
    def backend(self) -> Any:
        """Moto's own."""
        from moto.backends import get_backend

        return get_backend("rds")[ACCOUNT][REGION]

    def furnish(self) -> None:
        from moto.backends import get_backend

        now = datetime.now(UTC)
        for name in INSTANCES.values():
            self.backend.create_db_instance(
                {
                    "db_instance_identifier": name,
                    "db_instance_class": "db.r6g.large",
                    "engine": "postgres",
                    "engine_version": "15.4",
                    "allocated_storage": 100,
                    "port": 5432,
                    "storage_encrypted": True,
                    "master_username": "omnicare",
                    "master_user_password": "of-the-sandbox",
                }
            )
            for own in [each for each in self.snapshots if name in each]:
                del self.snapshots[own]  # moto takes one as soon as there is an instance
            for hours in (27, 3):
                at = now - timedelta(hours=hours)
                made = self.backend.create_auto_snapshot(name, f"rds:{name}-{at:%Y-%m-%d-%H-%M}")
                made.created = at
        s3 = get_backend("s3")[ACCOUNT]["aws"]
        s3.create_bucket(BACKUPS, REGION)
        for hours in (26, 2):
            at = now - timedelta(hours=hours)
            made = s3.put_object(BACKUPS, f"config/{at:%Y-%m-%d-%H%M}.tar.gz", b"the configuration " * 64)
            made.last_modified = at.replace(tzinfo=None)
        self._since = dict.fromkeys((*self.instances, *self.snapshots), float("-inf"))

    def before(self, environ: dict[str, Any]) -> Refusal | None:
        now, asked = time.monotonic(), _asked(environ)
        if asked.get("Action") == ["DeleteDBInstance"]:
            (name,) = asked["DBInstanceIdentifier"]
            if name in self.instances and self.instances[name].status == "deleting":
                return "400 Bad Request", _error("InvalidDBInstanceState")
        for name, each in (*self.instances.items(), *self.snapshots.items()):
            if each.status in ("creating", "available"):
                ready = now - self._since.setdefault(name, now) >= self.seconds
                each.status = "available" if ready else "creating"
        if self.place:
            for each in self.instances.values():
                _move(each, self.place)
        return None


class SecretsManager:
    """One secret, with a signing key and the account of a database."""

    def furnish(self) -> None:
        self.backend.create_secret(
            name=SIGNING_SECRET,
            secret_string="{}",  # noqa: S106 - nothing yet
            secret_binary=None,
            description=None,
            tags=[],
            kms_key_id=None,
            client_request_token=None,
            replica_regions=[],
            force_overwrite=True,
        )
        self.put(
            json.dumps({"JWT_SECRET": "from-aws-4f1d09b2c7", "user": "omnicare", "password": "from-aws-9c01e7aa53"})
        )

    @property
    def backend(self) -> Any:
        """Moto's own."""
        from moto.backends import get_backend

        return get_backend("secretsmanager")[ACCOUNT][REGION]

    def put(self, value: str) -> None:
        """Make this the current version."""
        self.backend.put_secret_value(SIGNING_SECRET, value, None, None, ["AWSCURRENT"])

    def before(self, environ: dict[str, Any]) -> Refusal | None:  # noqa: ARG002 - moto answers as AWS does
        return None


def _asked(environ: dict[str, Any]) -> dict[str, list[str]]:
    """Return the fields of a form, and leave it to be read again."""
    if not environ.get("CONTENT_TYPE", "").startswith("application/x-www-form-urlencoded"):
        return {}
    body = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
    environ["wsgi.input"] = io.BytesIO(body)
    return parse_qs(body.decode())


def _move(instance: Any, place: str) -> None:
    """Give the instance an address where somebody answers."""
    host, _, port = place.rpartition(":")
    if instance.address != host:
        kind = type(instance)
        instance.__class__ = type(kind.__name__, (kind,), {"address": property(lambda _: host)})
        instance.port = int(port)


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
