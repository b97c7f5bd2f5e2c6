"""A CloudFront distribution: its invalidations are created by a reference that makes them once only, and looked at until they are completed."""

import asyncio
import re
from datetime import UTC, datetime
from typing import Any

from pydantic import Field, field_validator

from runbooks.clients.aws.client import AwsApi, AwsClient
from runbooks.kit.errors import RunbookError, TemporaryError
from runbooks.kit.reasons import ReasonCode
from runbooks.kit.targets import Frozen

MOST_PATHS = 30
"""In one invalidation; CloudFront allows 15 with a wildcard at once, and says so itself."""
_PATH = re.compile(r"/[A-Za-z0-9_.~:/?#\[\]@!$&'()+,;=%-]*\*?", re.ASCII)
_LONGEST = 1000
TAG = "#"
"""What begins with it is a cache tag: everything that the origin has marked with it."""
_TAG = re.compile(r"#[!-+\--~]{1,256}", re.ASCII)

_CLOUDFRONT = AwsApi(
    id="cloudfront",
    name="CloudFront",
    said={
        "NoSuchDistribution": (
            "there is no such distribution in the account",
            "Check `distribution` under `cdn` in `omnicare.toml`, and the account of the bot's credentials.",
        ),
        "InvalidationBatchAlreadyExists": (
            "the same run invalidated other paths before",
            "Request it again: a new run has a reference of its own.",
        ),
        "BatchTooLarge": ("it has too many paths", "Use fewer paths, or one wildcard such as `/assets/*`."),
        "InvalidArgument": ("it rejects the paths", "Check the paths: each must begin with `/`, and `*` may only be its last character."),
    },
    later=frozenset({"TooManyInvalidationsInProgress"}),
)  # fmt: skip


def checked_path(path: str) -> str:
    """Return the path or the `#TAG`; ValueError, as a sentence without a full stop, where CloudFront would not take it."""
    if path.startswith(TAG):
        return _checked_tag(path)
    if not path.startswith("/"):
        raise ValueError("a path must begin with `/`, such as `/index.html` or `/*`, and a cache tag with `#`")
    if "*" in path[:-1]:
        raise ValueError("`*` may only be the last character of a path, such as `/assets/*`")
    if len(path) > _LONGEST or not _PATH.fullmatch(path):
        raise ValueError("a path may only contain characters of a URL, and at most 1000")
    return path


def _checked_tag(tag: str) -> str:
    if "*" in tag:
        raise ValueError("a cache tag has no `*`: it is named in full, such as `#release:v2.0.0`")
    if not _TAG.fullmatch(tag):
        raise ValueError("a cache tag may have at most 256 visible ASCII characters after its `#`, and no comma")
    return tag


class CdnSettings(Frozen):
    """The CloudFront distribution in front of the frontend."""

    distribution: str = Field(pattern=r"^[A-Z0-9]{10,20}$")
    """Its id, such as `E2EXAMPLE1ABCD`; default: `CLOUDFRONT_DISTRIBUTION_ID`."""
    paths: tuple[str, ...] = Field(default=("/*",), min_length=1, max_length=MOST_PATHS)
    """What is invalidated after each deploy and rollback. Each path begins with `/`, and `*` may be its last character; `#TAG` is a cache tag."""
    endpoint: str | None = None
    """An address other than AWS's own, `https://…`."""
    patience_seconds: float = Field(default=900.0, gt=0, le=3600, allow_inf_nan=False)
    """How long a run waits until CloudFront has completed the invalidation."""
    rollback_patience_seconds: float = Field(default=60.0, gt=0, le=3600, allow_inf_nan=False)
    """The same for a rollback, which then ends without it: CloudFront completes it by itself."""
    look_seconds: float = Field(default=5.0, gt=0, le=60, allow_inf_nan=False)
    """How often it checks meanwhile."""

    @field_validator("paths")
    @classmethod
    def _paths(cls, paths: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(checked_path(path) for path in paths)


class Invalidation(Frozen):
    """An invalidation as CloudFront knows it."""

    id: str
    completed: bool


class InvalidationSeen(Invalidation):
    """One of the newest, with what was invalidated."""

    at: datetime | None
    paths: tuple[str, ...] | None
    """None where that can't be read."""


class Distribution(Frozen):
    """A distribution as CloudFront knows it."""

    domain: str
    enabled: bool
    deployed: bool
    """Its configuration has reached all edges."""
    changed: datetime | None
    in_progress: int
    """Invalidations that are not completed."""
    tag_header: str | None
    """The origin's header with the cache tags; None where the distribution has none, and invalidating a tag does nothing."""


class Cdn:
    """One distribution. Making it does no I/O."""

    def __init__(self, settings: CdnSettings, *, throw_away: bool = False, read_seconds: float = 20.0) -> None:
        """`throw_away`: a sandbox's, for which real credentials are never looked up."""
        self.settings = settings
        self._cloudfront = AwsClient(
            _CLOUDFRONT,
            region="us-east-1",  # CloudFront is a global service, signed for there
            endpoint=settings.endpoint,
            throw_away=throw_away,
            read_seconds=read_seconds,
        )

    async def invalidate(self, distribution: str, paths: tuple[str, ...], reference: str) -> Invalidation:
        """Create the invalidation, and return it. With the same reference and paths CloudFront returns the first one, without paying again."""
        batch = {"Paths": {"Quantity": len(paths), "Items": list(paths)}, "CallerReference": reference}
        answer = await self._cloudfront.call(
            f"invalidate {distribution}",
            lambda client: client.create_invalidation(DistributionId=distribution, InvalidationBatch=batch),
            needs="cloudfront:CreateInvalidation",
        )
        return _invalidation(answer)

    async def look(self, distribution: str, invalidation: str) -> Invalidation:
        """Return the invalidation as it is now."""
        answer = await self._cloudfront.call(
            f"show the invalidation {invalidation}",
            lambda client: client.get_invalidation(DistributionId=distribution, Id=invalidation),
            needs="cloudfront:GetInvalidation",
        )
        return _invalidation(answer)

    async def distribution(self) -> Distribution:
        """Return the configured distribution as it is now."""
        name = self.settings.distribution
        answer = await self._cloudfront.call(
            f"look at the distribution {name}",
            lambda client: client.get_distribution(Id=name),
            needs="cloudfront:GetDistribution",
        )
        match answer:
            case {
                "Distribution": {"Status": str(status), "DomainName": str(domain), "DistributionConfig": dict(config)}
            }:
                found, tags = answer["Distribution"], config.get("CacheTagConfig")
                count = found.get("InProgressInvalidationBatches")
                header = tags.get("HeaderName") if isinstance(tags, dict) else None
                return Distribution(
                    domain=domain[:_LONGEST],
                    enabled=config.get("Enabled") is True,
                    deployed=status.lower() == "deployed",
                    changed=_time(found.get("LastModifiedTime")),
                    in_progress=count if isinstance(count, int) else 0,
                    tag_header=header[:100] if isinstance(header, str) and header else None,
                )
            case _:
                raise _unreadable()

    async def newest(self, most: int) -> tuple[InvalidationSeen, ...]:
        """Return the newest invalidations, the newest first, each with its paths."""
        name = self.settings.distribution
        answer = await self._cloudfront.call(
            f"list the invalidations of {name}",
            lambda client: client.list_invalidations(DistributionId=name, MaxItems=str(most)),
            needs="cloudfront:ListInvalidations",
        )
        match answer:
            case {"InvalidationList": dict(listed)}:
                items = [each for each in listed.get("Items") or [] if isinstance(each, dict)]
            case _:
                raise _unreadable()
        items.sort(key=lambda each: _time(each.get("CreateTime")) or datetime.min.replace(tzinfo=UTC), reverse=True)
        return tuple(await asyncio.gather(*(self._seen(name, each) for each in items[:most])))

    async def _seen(self, distribution: str, item: Any) -> InvalidationSeen:
        plain = _invalidation({"Invalidation": item})
        try:
            answer = await self._cloudfront.call(
                f"look at the invalidation {plain.id}",
                lambda client: client.get_invalidation(DistributionId=distribution, Id=plain.id),
                needs="cloudfront:GetInvalidation",
            )
            paths = tuple(str(each) for each in answer["Invalidation"]["InvalidationBatch"]["Paths"].get("Items", ()))
        except (RunbookError, KeyError, TypeError):
            paths = None
        at = _time(item.get("CreateTime"))
        return InvalidationSeen(id=plain.id, completed=plain.completed, at=at, paths=paths)


def _time(found: object) -> datetime | None:
    return found.astimezone(UTC) if isinstance(found, datetime) else None


def _unreadable() -> TemporaryError:
    # what was asked for may be done: with the same reference the next answer says so
    return TemporaryError("CloudFront's answer can't be read.", code=ReasonCode.AWS_UNREACHABLE, retry_after=2.0)


def _invalidation(answer: Any) -> Invalidation:
    match answer:
        case {"Invalidation": {"Id": str(name), "Status": str(status)}} if re.fullmatch(r"[A-Za-z0-9]{1,40}", name):
            return Invalidation(id=name, completed=status.lower() == "completed")
        case _:
            raise _unreadable()
