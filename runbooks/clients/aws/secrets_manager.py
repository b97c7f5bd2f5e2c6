"""A secret in AWS Secrets Manager: which version is the current one, and what stands in it. What is read is known to the redactor before it is returned."""

import json
from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any

from pydantic import Field

from runbooks.clients.aws.client import AwsApi, AwsClient
from runbooks.kit.errors import PermanentError
from runbooks.kit.reasons import ReasonCode
from runbooks.kit.targets import Frozen
from runbooks.redaction.redactor import default_redactor

SecretId = Annotated[
    str, Field(pattern=r"^(arn:aws[a-z-]*:secretsmanager:[a-z0-9-]+:[0-9]{12}:secret:)?[A-Za-z0-9/_+=.@-]{1,512}$")
]
_CURRENT = "AWSCURRENT"
_MANAGER = AwsApi(
    id="secretsmanager",
    name="Secrets Manager",
    said={
        "ResourceNotFoundException": (
            "there is no such secret or version",
            "Check `secret_id` and `region` under `aws` of the rotation, and the account of the bot's credentials.",
        ),
        "InvalidRequestException": (
            "the secret is marked for deletion, or has no value yet",
            "`aws secretsmanager describe-secret` says which.",
        ),
        "DecryptionFailure": ("it can't be decrypted", "The account needs `kms:Decrypt` for the secret's key."),
    },
    later=frozenset({"InternalServiceError"}),
)


class AwsSecret(Frozen):
    """A secret in AWS Secrets Manager from which the new values are read, instead of being made by the bot."""

    secret_id: SecretId
    """Its name or ARN."""
    region: str | None = Field(default=None, pattern=r"^[a-z0-9-]{1,32}$")
    """Its region; default: that of the bot's AWS configuration."""
    fields: dict[str, str] = {}
    """Key of the Kubernetes Secret → field of the JSON in AWS; default: the field of the same name. A secret that is no JSON needs exactly one key."""
    endpoint: str | None = None
    """An address other than AWS's own, `https://…`."""


class CurrentVersion(Frozen):
    """The version that AWS calls the current one."""

    id: str
    at: datetime | None
    """When the secret was last changed."""


class SecretsManager:
    """One secret. Making it does no I/O."""

    def __init__(self, settings: AwsSecret, *, throw_away: bool = False, read_seconds: float = 20.0) -> None:
        """`throw_away`: a sandbox's, for which real credentials are never looked up."""
        self.settings = settings
        self._manager = AwsClient(
            _MANAGER,
            region=settings.region,
            endpoint=settings.endpoint,
            throw_away=throw_away,
            read_seconds=read_seconds,
        )

    async def current(self) -> CurrentVersion:
        """Return which version is the current one; its value is not read."""
        name = self.settings.secret_id
        answer = await self._manager.call(
            f"look at the secret {name}",
            lambda client: client.describe_secret(SecretId=name),
            needs="secretsmanager:DescribeSecret",
        )
        match answer:
            case {"VersionIdsToStages": dict(stages)} if "DeletedDate" not in answer:
                found = [version for version, of in stages.items() if isinstance(of, list) and _CURRENT in of]
                changed = answer.get("LastChangedDate")
                if len(found) == 1 and isinstance(found[0], str):
                    return CurrentVersion(id=found[0], at=changed if isinstance(changed, datetime) else None)
        raise PermanentError(f"The secret {name} has no current version.", code=ReasonCode.AWS_REFUSED)

    async def values(self, version: str, keys: tuple[str, ...]) -> Mapping[str, bytes]:
        """Return the value of each key, all of the same version. PermanentError where one is missing, or that version is not the current one any more."""
        name = self.settings.secret_id
        answer = await self._manager.call(
            f"read the secret {name}",
            lambda client: client.get_secret_value(SecretId=name, VersionId=version),
            needs="secretsmanager:GetSecretValue",
        )
        whole = _whole(answer)
        default_redactor().learn([whole])
        if _CURRENT not in answer.get("VersionStages", ()):
            raise PermanentError(
                f"The secret {name} has another current version than when this was planned.",
                code=ReasonCode.CHANGED_MEANWHILE,
                advice=("Request it again: the new plan uses the new version.",),
            )
        found = _fields(whole)
        if found is None and len(keys) == 1 and not self.settings.fields:
            return {keys[0]: whole}
        values = {key: _value((found or {}).get(self.settings.fields.get(key, key))) for key in keys}
        default_redactor().learn(value for value in values.values() if value)
        if missing := [self.settings.fields.get(key, key) for key, value in values.items() if not value]:
            raise PermanentError(
                f"The secret {name} has no usable field {missing[0]}: it must be JSON with that field, a text that is not empty.",
                code=ReasonCode.NOT_FOUND,
                advice=("Check `fields` under `aws` of the rotation.",),
            )
        return {key: value for key, value in values.items() if value}


def _whole(answer: Any) -> bytes:
    match answer:
        case {"SecretString": str(text)} if text:
            return text.encode()
        case {"SecretBinary": bytes(data)} if data:
            return data
        case _:
            raise PermanentError("Secrets Manager's answer can't be read.", code=ReasonCode.AWS_REFUSED)


def _fields(whole: bytes) -> dict[str, object] | None:
    """None where it is no JSON object."""
    try:
        found = json.loads(whole)
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) else None


def _value(found: object) -> bytes | None:
    if isinstance(found, int) and not isinstance(found, bool):  # AWS writes a database's port as a number
        return str(found).encode()
    return found.encode("utf-8", errors="replace") if isinstance(found, str) and found else None
