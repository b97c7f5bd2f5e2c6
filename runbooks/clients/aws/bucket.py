"""A bucket in S3, for data that must be kept before it is deleted: written once, encrypted, read back completely.

boto3 is blocking, so each call runs in a thread, with boto3's own deadlines. The contents are about patients: they go to the
bucket and nowhere else, so no error here contains any of them, and botocore's loggers (which print bodies) stay quiet.
"""

import asyncio
import base64
import hashlib
import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Literal, TypeVar

from pydantic import Field

from runbooks.kit.errors import PermanentError, RunbookError, TemporaryError
from runbooks.kit.reasons import ReasonCode
from runbooks.kit.targets import Frozen
from runbooks.wording import size

T = TypeVar("T")

_CONNECT, _READ = 5, 20
_THERE = frozenset({"PreconditionFailed", "412"})
_ABSENT = frozenset({"NoSuchKey", "404", "NotFound"})
_LATER = frozenset({"SlowDown", "ServiceUnavailable", "InternalError", "RequestTimeout", "500", "503"})
_SAID: dict[str, tuple[str, str]] = {
    "NoSuchBucket": ("there is no such bucket", "Check the bucket's name in `omnicare.toml`, or create the bucket."),
    "PermanentRedirect": ("the bucket is in another region", "Set its `region` in `omnicare.toml` to the bucket's own region."),
    "301": ("the bucket is in another region", "Set its `region` in `omnicare.toml` to the bucket's own region."),
    "AuthorizationHeaderMalformed": (
        "the bucket is in another region", "Set its `region` in `omnicare.toml` to the bucket's own region.",
    ),
    "IllegalLocationConstraintException": (
        "the bucket is in another region", "Set its `region` in `omnicare.toml` to the bucket's own region.",
    ),
    "ExpiredToken": ("the bot's AWS token has expired", "Renew the bot's AWS credentials, or use a role (IRSA)."),
    "ExpiredTokenException": (
        "the bot's AWS token has expired", "Renew the bot's AWS credentials, or use a role (IRSA).",
    ),
    "InvalidAccessKeyId": ("AWS does not know the bot's access key", "Check the bot's AWS credentials."),
    "InvalidToken": ("AWS rejects the bot's session token", "Check the bot's AWS credentials."),
    "SignatureDoesNotMatch": ("the bot's secret access key is wrong", "Check the bot's AWS credentials."),
    "RequestTimeTooSkewed": ("the clock of the bot's machine is wrong", "Correct the clock of the bot's machine."),
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
"""The meaning of each code and what to do about it. S3's own message is not used, because it may quote what was sent."""


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


@dataclass(frozen=True, slots=True)
class BucketState:
    """What `doctor` checks. None: the account may not read it."""

    encrypted: bool | None
    versioned: bool | None
    locks: bool | None


class Bucket:
    """One bucket. Creating it does no I/O; the SDK is imported with the first call."""

    def __init__(self, settings: BucketSettings, *, throw_away: bool = False) -> None:
        """`throw_away`: a sandbox's bucket, for which real credentials are never looked up."""
        self.settings = settings
        self._throw_away = throw_away
        self._making = threading.Lock()
        self._made: Any = None

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
        answer = await self._call(f"write {self.address(key)}", lambda s3: s3.put_object(**wanted))
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
            found = await self._call(f"read {self.address(key)}", read)
        except _Absent:
            return None
        if len(found) > largest:
            raise PermanentError(f"{self.address(key)} is larger than {size(largest)}.", code=ReasonCode.EXPORT_FAILED)
        return found

    async def keys(self, under: str) -> list[str]:
        """Return all keys with this prefix, including deleted ones: a deletion hides a locked object but leaves its name."""

        def read(s3: Any) -> list[str]:
            pages = s3.get_paginator("list_object_versions").paginate(Bucket=self.settings.bucket, Prefix=under)
            kinds = ("Versions", "DeleteMarkers")
            return [str(each["Key"]) for page in pages for kind in kinds for each in page.get(kind, ())]

        return list(dict.fromkeys(await self._call(f"list {self.address(under)}", read)))

    async def state(self) -> BucketState:
        """Return the bucket's settings. Raises if the bucket can't be reached."""
        name = self.settings.bucket
        await self._call(f"see the bucket {name}", lambda s3: s3.head_bucket(Bucket=name))
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
            return await self._call(f"see the {what} of {self.settings.bucket}", act)
        except _Absent:
            return {}
        except PermanentError:
            return None

    async def _call(self, doing: str, act: Callable[[Any], T]) -> T:
        def done() -> T:
            return act(self._client())

        try:
            return await asyncio.to_thread(done)
        except RunbookError:
            raise
        except Exception as error:  # noqa: BLE001 - whatever it is, it may quote what was sent
            raise _wrapped(error, doing) from None

    def _client(self) -> Any:
        with self._making:
            if self._made is None:
                self._made = self._make()
            return self._made

    def _make(self) -> Any:
        import boto3
        from botocore.config import Config

        for name in ("boto3", "botocore", "urllib3"):
            logging.getLogger(name).setLevel(logging.WARNING)
        settings = Config(
            connect_timeout=_CONNECT,
            read_timeout=_READ,
            retries={"max_attempts": 3, "mode": "standard"},
            s3={"addressing_style": "path" if self.settings.endpoint else "auto"},
        )
        # a separate session, because boto3's default session is not thread-safe
        made_up = {"aws_access_key_id": "sandbox", "aws_secret_access_key": "sandbox"} if self._throw_away else {}
        session = boto3.session.Session(region_name=self.settings.region, **made_up)
        return session.client("s3", endpoint_url=self.settings.endpoint, config=settings)


class _Absent(PermanentError):
    """No such object, or no such setting."""


def _wrapped(error: Exception, doing: str) -> RunbookError:
    """Translate botocore's errors: with S3's code, never its message."""
    from botocore.exceptions import BotoCoreError, ClientError, NoCredentialsError

    if isinstance(error, RecursionError):
        # if a server redirects without naming a region, botocore asks that server for the region, endlessly
        error = ClientError({"Error": {"Code": "PermanentRedirect"}}, doing)
    if isinstance(error, ClientError):
        code = str(error.response.get("Error", {}).get("Code", ""))
        if code in _THERE:
            return ObjectThere(f"S3 can't {doing}: the object already exists.", code=ReasonCode.EXPORT_FAILED)
        if code in _ABSENT or code.startswith(
            ("ServerSideEncryptionConfigurationNotFound", "ObjectLockConfigurationNotFound")
        ):
            return _Absent(f"S3 can't {doing}: the object does not exist.", code=ReasonCode.EXPORT_FAILED)
        if (
            code == "ConditionalRequestConflict"
        ):  # another write or deletion of that key is in progress, so the result is not known yet
            return TemporaryError(
                f"S3 can't {doing} right now: another request is changing the same object.",
                code=ReasonCode.EXPORT_FAILED,
                retry_after=2.0,
            )
        if code in _LATER:
            return TemporaryError(
                f"S3 can't {doing} right now ({code}).", code=ReasonCode.EXPORT_FAILED, retry_after=2.0
            )
        if code in _SAID:
            what, advice = _SAID[code]
            return PermanentError(
                f"S3 can't {doing}: {what} ({code}).", code=ReasonCode.EXPORT_FAILED, advice=(advice,)
            )
        return PermanentError(
            f"S3 refused to {doing} ({code or 'no code'}).",
            code=ReasonCode.EXPORT_FAILED,
            advice=(
                "Run `omnicare doctor` to check the bucket; the bot's account needs `s3:PutObject` and `s3:GetObject` there.",
            ),
        )
    if isinstance(error, NoCredentialsError):
        return PermanentError(
            f"The bot has no AWS credentials (to {doing}).",
            code=ReasonCode.EXPORT_FAILED,
            advice=("Give the bot's service account a role (IRSA), or set the AWS environment variables.",),
        )
    if isinstance(error, BotoCoreError):
        return TemporaryError(
            f"S3 can't be reached (to {doing}; {type(error).__name__}).", code=ReasonCode.EXPORT_FAILED, retry_after=2.0
        )
    return PermanentError(f"S3 can't {doing} ({type(error).__name__}).", code=ReasonCode.EXPORT_FAILED)
