"""Which secrets may be given a new value, and who reads them."""

from collections.abc import Mapping
from typing import Annotated, Self

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, model_validator

from runbooks.clients.aws.secrets_manager import AwsSecret, SecretsManager

SecretName = Annotated[str, StringConstraints(pattern=r"^[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?$")]
SecretKey = Annotated[str, StringConstraints(pattern=r"^[-._a-zA-Z0-9]{1,253}$")]


class RotationSettings(BaseModel):
    """`[environments.NAME.rotations.WHAT]`: values of one Secret that are replaced together."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    secret: SecretName
    """The Secret, in the environment's namespace. The bot's account needs `get` and `patch` on it."""
    keys: Annotated[tuple[SecretKey, ...], Field(min_length=1, max_length=20)]
    """Each gets a new random value of its own, in one change."""
    services: Annotated[tuple[str, ...], Field(min_length=1)]
    """The services that read them; they get new pods, one service after the other."""
    size: Annotated[int, Field(ge=16, le=512)] = 48
    """Random bytes of each value; it is written in 4/3 as many letters, digits, `-` and `_`."""
    aws: AwsSecret | None = None

    @model_validator(mode="after")
    def _fields_are_of_keys(self) -> Self:
        if self.aws is None:
            return self
        if strange := [key for key in self.aws.fields if key not in self.keys]:
            raise ValueError(f"aws.fields: `{strange[0]}` is not one of `keys`")
        return self


class Rotations:
    """An environment's, by what people call them: `jwt`."""

    def __init__(self, known: Mapping[str, RotationSettings], *, throw_away: bool = False) -> None:
        """`throw_away`: a sandbox's, for which real AWS credentials are never looked up."""
        self.known = known
        self._throw_away = throw_away

    def aws(self, what: str) -> SecretsManager | None:
        """Return the secret in AWS from which the values of a rotation are read; None where the bot makes them."""
        rotation = self.known.get(what)
        if rotation is None or rotation.aws is None:
            return None
        return SecretsManager(rotation.aws, throw_away=self._throw_away)
