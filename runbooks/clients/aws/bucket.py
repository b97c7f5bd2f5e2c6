"""A bucket in S3, for data that must be kept before it is deleted: written once, encrypted, read back completely.

The contents are about patients: they go to the bucket and nowhere else, so no error here contains any of them.
"""

import base64
import hashlib
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

from pydantic import Field

from runbooks.clients.aws.client import Absent, AwsApi, AwsClient
from runbooks.kit.errors import PermanentError
from runbooks.kit.reasons import ReasonCode
from runbooks.kit.targets import Frozen
from runbooks.wording import size

_PLACE = ("the bucket is in another region", "Set its `region` in `omnicare.toml` to the bucket's own region.")
_SAID: dict[str, tuple[str, str]] = {
    "NoSuchBucket": ("there is no such bucket", "Check the bucket's name in `omnicare.toml`, or create the bucket."),
    "PermanentRedirect": _PLACE,
    "301": _PLACE,
    "AuthorizationHeaderMalformed": _PLACE,
    "IllegalLocationConstraintException": _PLACE,
    "AccessDenied": (
        "the bot's account lacks the permission",
        "The account needs `s3:PutObject` and `s3:GetObject`, and `kms:GenerateDataKey` and `kms:Decrypt` for the bucket's key.",
    ),
    "403": ("the bot's account lacks the permission", "The account needs `s3:PutObject` and `s3:GetObject` in the bucket."),
    "KMS.DisabledException": ("the KMS key is disabled", "Enable the key, or set another `kms_key` in `omnicare.toml`."),
    "KMS.NotFoundException": ("there is no such KMS key", "Check `kms_key` under `exports`, and the key's region."),
    "KMS.AccessDeniedException": (
        "the bot's account may not use the KMS key", "The account needs `kms:GenerateDataKey` and `kms:Decrypt` for the key.",
    ),
    "KMS.KMSInvalidStateException": ("the KMS key can't be used in its current state", "Check the key in KMS: it may be scheduled for deletion."),
    "InvalidObjectState": ("the object is archived", "Restore the object from the archive first."),
    "InvalidRequest": ("the bucket rejects the request", "With `lock_days`, the bucket must be created with Object Lock."),
}  # fmt: skip
"""The meaning of each of S3's own codes and what to do about it."""
_THERE = frozenset({"PreconditionFailed", "412"})
_S3 = AwsApi(
    id="s3",
    name="S3",
    refused=ReasonCode.EXPORT_FAILED,
    unreachable=ReasonCode.EXPORT_FAILED,
    said=_SAID,
    absent=frozenset(
        {
            "NoSuchKey", "404", "NotFound",
            "ServerSideEncryptionConfigurationNotFoundError", "ObjectLockConfigurationNotFoundError",
        }
    ),
    # another write or deletion of that key is in progress, so the result is not known yet
    later=frozenset({"ConditionalRequestConflict"}),
)  # fmt: skip
READS = replace(
    _S3,
    refused=ReasonCode.AWS_REFUSED,
    unreachable=ReasonCode.AWS_UNREACHABLE,
    said={code: said for code, said in _SAID.items() if code not in ("AccessDenied", "403")},
)
"""The same for a bucket that is only looked at."""
_MOST_PAGES = 20


class BucketSettings(Frozen):
    """A bucket. Whoever can read the export bucket can read what clinicians wrote, so give few people access."""

    bucket: str = Field(pattern=r"^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$")
    """Its name."""
    prefix: str = Field(default="", pattern=r"^[A-Za-z0-9!_.*'()/-]{0,200}$")
    """Prefix of each key, such as `sync/`."""
    region: str | None = None
    """The AWS region; default: from the bot's AWS configuration."""
    endpoint: str | None = None
    """An address other than AWS's own, `https://…`."""
    kms_key: str | None = None
    """The KMS key for encrypting objects; default: S3's own key (AES-256)."""
    lock_days: int | None = Field(default=None, ge=1, le=36500)
    """Object Lock: number of days during which objects can't be deleted. The bucket must be created with Object Lock."""
    lock_mode: Literal["GOVERNANCE", "COMPLIANCE"] = "GOVERNANCE"
    """COMPLIANCE: not even the account's owner can delete objects."""


class ObjectThere(PermanentError):
    """An object with that key already exists; it was not changed."""


class ObjectState(Frozen):
    """An object in the bucket, without its contents."""

    key: str
    size: int
    at: datetime


@dataclass(frozen=True, slots=True)
class BucketState:
    """What `doctor` checks. None: the account may not read it."""

    encrypted: bool | None
    versioned: bool | None
    locks: bool | None


class Bucket:
    """One bucket. Creating it does no I/O; the SDK is imported with the first call."""

    def __init__(
        self, settings: BucketSettings, *, throw_away: bool = False, api: AwsApi = _S3, read_seconds: float = 20.0
    ) -> None:
        """`throw_away`: a sandbox's bucket, for which real credentials are never looked up; `api`: how its errors are told."""
        self.settings = settings
        style = "path" if settings.endpoint else "auto"
        self._s3 = AwsClient(
            replace(api, options={"s3": {"addressing_style": style}}),
            region=settings.region,
            endpoint=settings.endpoint,
            throw_away=throw_away,
            read_seconds=read_seconds,
        )

    def address(self, key: str) -> str:
        """Return the object's address as people read it."""
        return f"s3://{self.settings.bucket}/{key}"

    async def put_new(self, key: str, body: bytes) -> str | None:
        """Write a new object and return its version, if the bucket has versions. Raises `ObjectThere` if it exists."""
        settings = self.settings
        digest = base64.b64encode(hashlib.sha256(body).digest()).decode()
        wanted: dict[str, Any] = {
            "Bucket": settings.bucket,
            "Key": key,
            "Body": body,
            "IfNoneMatch": "*",
            "ContentType": "application/json",
            "ChecksumSHA256": digest,
            "ServerSideEncryption": "aws:kms" if settings.kms_key else "AES256",
        }
        if settings.kms_key:
            wanted["SSEKMSKeyId"] = settings.kms_key
        if settings.lock_days:
            wanted["ObjectLockMode"] = settings.lock_mode
            wanted["ObjectLockRetainUntilDate"] = datetime.now(UTC) + timedelta(days=settings.lock_days)

        def write(s3: Any) -> Any:
            try:
                return s3.put_object(**wanted)
            except s3.exceptions.ClientError as error:
                if error.response.get("Error", {}).get("Code") not in _THERE:
                    raise
                raise ObjectThere(
                    f"S3 can't write {self.address(key)}: the object already exists.", code=ReasonCode.EXPORT_FAILED
                ) from None

        answer = await self._s3.call(f"write {self.address(key)}", write, needs="s3:PutObject")
        if not answer.get("ServerSideEncryption"):
            raise PermanentError(
                f"{self.address(key)} was written, but S3 does not confirm that it is encrypted.",
                code=ReasonCode.EXPORT_FAILED,
            )
        version: str | None = answer.get("VersionId")
        return version

    async def get(self, key: str, *, version: str | None = None, largest: int) -> bytes | None:
        """Return the whole object, or None if it does not exist."""

        def read(s3: Any) -> bytes:
            which = {"VersionId": version} if version else {}
            body = s3.get_object(Bucket=self.settings.bucket, Key=key, **which)["Body"]
            try:
                return bytes(body.read(largest + 1))
            finally:
                body.close()

        try:
            found = await self._s3.call(f"read {self.address(key)}", read, needs="s3:GetObject")
        except Absent:
            return None
        if len(found) > largest:
            raise PermanentError(f"{self.address(key)} is larger than {size(largest)}.", code=ReasonCode.EXPORT_FAILED)
        return found

    async def keys(self, under: str) -> list[str]:
        """Return all keys with this prefix, including deleted ones: a deletion hides a locked object but leaves its name."""

        def read(s3: Any) -> list[str]:
            pages = s3.get_paginator("list_object_versions").paginate(Bucket=self.settings.bucket, Prefix=under)
            kinds = ("Versions", "DeleteMarkers")
            return [str(each["Key"]) for page in pages for kind in kinds for each in _listed(page, kind)]

        doing, needs = f"list {self.address(under)}", "s3:ListBucketVersions"
        return list(dict.fromkeys(await self._s3.call(doing, read, needs=needs)))

    async def newest(self, under: str) -> ObjectState | None:
        """Return the newest object with this prefix; None where there is none. PermanentError where there are too many to look at."""

        def read(s3: Any) -> ObjectState | None:
            newest: ObjectState | None = None
            pages = s3.get_paginator("list_objects_v2").paginate(Bucket=self.settings.bucket, Prefix=under)
            for count, page in enumerate(pages):
                if count == _MOST_PAGES:
                    raise PermanentError(
                        f"{self.address(under)} has too many objects to find the newest one.",
                        code=self._s3.api.refused,
                        advice=("Set a narrower `prefix`, or let old objects expire.",),
                    )
                for each in _listed(page, "Contents"):
                    if newest is None or each["LastModified"] > newest.at:
                        newest = ObjectState(
                            key=each["Key"], size=each["Size"], at=each["LastModified"].astimezone(UTC)
                        )
            return newest

        return await self._s3.call(f"list {self.address(under)}", read, needs="s3:ListBucket")

    async def state(self) -> BucketState:
        """Return the bucket's settings. Raises if the bucket can't be reached."""
        name = self.settings.bucket
        await self._s3.call(f"see the bucket {name}", lambda s3: s3.head_bucket(Bucket=name), needs="s3:ListBucket")
        encryption = await self._seen("encryption", lambda s3: s3.get_bucket_encryption(Bucket=name))
        versions = await self._seen("versioning", lambda s3: s3.get_bucket_versioning(Bucket=name))
        locks = await self._seen("object lock", lambda s3: s3.get_object_lock_configuration(Bucket=name))
        return BucketState(
            encrypted=None if encryption is None else bool(encryption),
            versioned=None if versions is None else versions.get("Status") == "Enabled",
            locks=None if locks is None else bool(locks),
        )

    async def _seen(self, what: str, act: Callable[[Any], Any]) -> Any:
        """Return the setting, an empty answer if it is not set, or None if the account may not read it."""
        try:
            return await self._s3.call(f"see the {what} of {self.settings.bucket}", act, needs="s3:GetBucket…")
        except Absent:
            return {}
        except PermanentError:
            return None


def _listed(page: dict[str, Any], key: str) -> list[dict[str, Any]]:
    """Return what a page lists. Raises KeyError for what is no page of a list: botocore reads a web page as one on which nothing is."""
    page["IsTruncated"]  # each page has it
    found: list[dict[str, Any]] = page.get(key, [])
    return found
