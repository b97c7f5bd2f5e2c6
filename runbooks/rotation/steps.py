"""The steps that replace values of one Secret: by random ones that the bot makes, or by those of a secret in AWS."""

import json
import secrets
import shlex
from collections.abc import Mapping
from functools import partial
from typing import ClassVar, Literal

from pydantic import JsonValue

from runbooks.clients.kubernetes.cluster import ClusterClient
from runbooks.fleet.holding import while_held
from runbooks.kit.errors import PermanentError
from runbooks.kit.reasons import ReasonCode
from runbooks.kit.retry import hearing, retried
from runbooks.kit.steps import Brief, Cell, Shown, Step, StepContext
from runbooks.kit.targets import Frozen
from runbooks.redaction.redactor import default_redactor
from runbooks.rotation.settings import Rotations
from runbooks.wording import counted, listed

ROTATED_BY = "omnicare.dev/rotated-by"
"""Annotation of a Secret: the run that gave it its values, so that a killed step that runs again makes no second ones."""

AWS_VERSION = "omnicare.dev/aws-version"
"""Annotation of a Secret: the version in AWS that its values are of."""
_RETRIES_SECONDS = 60.0


class Rotated(Frozen):
    """What got new values; the values themselves are nowhere but in the Secret."""

    secret: str
    keys: tuple[str, ...]


class ReplaceValues(Step):
    """Values of one Secret are replaced, all in one change. A subclass says where the new ones come from."""

    namespace: str
    secret: str
    keys: tuple[str, ...]
    remembered: ClassVar[bool] = True
    """A retry makes the pods that are left, and replaces nothing again."""

    @property
    def target(self) -> str:
        return self.secret

    @property
    def title(self) -> str:
        return f"New values in Secret {self.secret}"

    def in_short(self) -> tuple[Brief, ...]:
        return (Brief(subject=f"Secret {self.secret}", change=f"{counted(len(self.keys), 'new value')}"),)

    async def apply(self, context: StepContext) -> Rotated:
        cluster = context.use(ClusterClient)
        found = await cluster.secret(self.namespace, self.secret)
        default_redactor().learn(found.data.values())
        done = Rotated(secret=self.secret, keys=self.keys)
        if found.annotations.get(ROTATED_BY) == context.run:
            return done
        if missing := [key for key in self.keys if key not in found.data]:
            raise PermanentError(
                f"Secret {self.secret} no longer has {listed(missing)}.", code=ReasonCode.CHANGED_MEANWHILE
            )
        values = await self._values(context)
        default_redactor().learn(values.values())
        marks = {ROTATED_BY: context.run, **self._marks()}
        await while_held(context, partial(cluster.patch_secret, found, values, marks))
        return done

    async def _values(self, context: StepContext) -> Mapping[str, bytes]:
        """Return the new value of each key. They are never part of a result."""
        raise NotImplementedError

    def _marks(self) -> Mapping[str, str]:
        """Return annotations that say where the values come from."""
        return {}


class RotateSecret(ReplaceValues):
    """Values of one Secret get new random ones."""

    kind: Literal["rotate-secret"] = "rotate-secret"
    size: int
    """Random bytes of each."""

    def changes(self) -> dict[str, JsonValue]:
        return {"target": f"{self.namespace}/secret/{self.secret}", "keys": list(self.keys), "bytes": self.size}

    def shown(self) -> Shown:
        rows = tuple((Cell(text=self.secret), Cell(text=key), Cell(text="a new random value")) for key in self.keys)
        return Shown(columns=("Secret", "Key", "Next"), rows=rows)

    def by_hand(self) -> tuple[str, ...]:
        """The value goes from one program to the next, and is on no command line."""
        made = f"openssl rand -base64 {self.size} | tr -d '\\n'"
        return tuple(_patched(self.namespace, self.secret, {key: made}) for key in self.keys)

    async def _values(self, context: StepContext) -> Mapping[str, bytes]:  # noqa: ARG002 - they come from nowhere
        return {key: secrets.token_urlsafe(self.size).encode() for key in self.keys}


class CopyFromAws(ReplaceValues):
    """Values of one Secret are replaced by those of one version of a secret in AWS Secrets Manager."""

    kind: Literal["copy-secret-from-aws"] = "copy-secret-from-aws"
    what: str
    """The rotation's name in the configuration."""
    source: str
    """The secret's name or ARN in AWS."""
    version: str
    """Its id: what AWS made current after the plan is not what was approved."""
    fields: dict[str, str] = {}
    """Key → field of the JSON in AWS, where it has another name."""

    def changes(self) -> dict[str, JsonValue]:
        target: dict[str, JsonValue] = {"target": f"{self.namespace}/secret/{self.secret}", "keys": list(self.keys)}
        return {**target, "source": self.source, "version": self.version, "fields": {**self.fields}}

    def shown(self) -> Shown:
        rows = tuple(
            (
                Cell(text=self.secret),
                Cell(text=key),
                Cell(text=f"{self.fields.get(key, key)}, version {self.version[:8]}"),
            )
            for key in self.keys
        )
        return Shown(columns=("Secret", "Key", "From AWS"), rows=rows, caption=f"from {self.source}")

    def by_hand(self) -> tuple[str, ...]:
        """All values in one change, each from one program to the next."""
        which = f"--secret-id {shlex.quote(self.source)} --version-id {shlex.quote(self.version)}"
        read = f"aws secretsmanager get-secret-value {which} --query SecretString"
        fields = {key: json.dumps(self.fields.get(key, key)) for key in self.keys}
        if len(fields) == 1 and not self.fields:  # it may be no JSON
            picks = {
                key: f'(fromjson? // .) | if type == "object" then .[{field}] else . end'
                for key, field in fields.items()
            }
        else:
            picks = {key: f"fromjson | .[{field}]" for key, field in fields.items()}
        made = {key: f"{read} | jq -j {shlex.quote(pick)}" for key, pick in picks.items()}
        return (_patched(self.namespace, self.secret, made),)

    async def _values(self, context: StepContext) -> Mapping[str, bytes]:
        manager = context.use(Rotations).aws(self.what)
        if manager is None or (manager.settings.secret_id, manager.settings.fields) != (self.source, self.fields):
            raise PermanentError(
                f"The rotation {self.what} reads from elsewhere now than when this was planned. Ask again.",
                code=ReasonCode.CHANGED_MEANWHILE,
            )
        read = partial(manager.values, self.version, self.keys)
        return await retried(read, seconds=_RETRIES_SECONDS, pause=hearing(context.pulse))

    def _marks(self) -> Mapping[str, str]:
        return {AWS_VERSION: self.version}


def _patched(namespace: str, secret: str, made: Mapping[str, str]) -> str:
    files = " ".join(f"--from-file={key}=<({line})" for key, line in made.items())
    return (
        f"kubectl create secret generic {secret} -n {namespace} {files} --dry-run=client -o json | "
        f"kubectl patch secret {secret} -n {namespace} --type=merge --patch-file=/dev/stdin"
    )
