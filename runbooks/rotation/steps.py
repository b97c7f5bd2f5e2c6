"""The steps that replace values of one Secret: by random ones that the bot makes, by those of a secret in AWS, or by those of the home region."""

import hashlib
import hmac
import json
import secrets
import shlex
from collections.abc import Collection, Mapping
from functools import partial
from typing import ClassVar, Literal

from pydantic import Field, JsonValue

from runbooks.clients.kubernetes.cluster import ClusterClient
from runbooks.clients.kubernetes.views import SecretView
from runbooks.fleet.fleet import Fleet
from runbooks.fleet.holding import while_held
from runbooks.kit.errors import PermanentError, RunbookError
from runbooks.kit.reasons import ReasonCode
from runbooks.kit.retry import hearing, retried
from runbooks.kit.steps import Brief, Cell, Shown, Step, StepContext
from runbooks.kit.targets import Frozen
from runbooks.redaction.redactor import default_redactor
from runbooks.rotation.settings import Rotations
from runbooks.wording import counted, listed

ROTATED_BY = "omnicare.dev/rotated-by"
"""Annotation of a Secret: the run that gave it its values, for people. Anybody who may write the Secret can write it."""
PROOF = "omnicare.dev/rotated-proof"
"""Annotation of a Secret: an HMAC of its new values by the step's seal, so that a killed step that runs again makes no second ones."""
AWS_VERSION = "omnicare.dev/aws-version"
"""Annotation of a Secret: the version in AWS that its values are of."""
_RETRIES_SECONDS = 60.0
NewValues = tuple[Mapping[str, bytes], Mapping[str, str]]
"""The new value of each key, and annotations that say where the values come from."""


class Rotated(Frozen):
    """What got new values; the values themselves are nowhere but in the Secret."""

    secret: str
    keys: tuple[str, ...]
    resource_version: str = ""
    """The Secret's, as this run wrote it; empty where the version before wrote it."""


class ReplaceValues(Step):
    """Values of one Secret are replaced, all in one change. A subclass says where the new ones come from."""

    namespace: str
    secret: str
    keys: tuple[str, ...]
    kubectl: str = "kubectl"
    """As a person types it for the region."""
    seal: str = Field(default_factory=lambda: secrets.token_hex(32), repr=False)
    """Known to the bot alone: what the Secret has is what this step wrote only if its proof was made with it."""
    remembered: ClassVar[bool] = True
    """A retry makes the pods that are left, and replaces nothing again."""

    @property
    def target(self) -> str:
        return self.secret

    @property
    def title(self) -> str:
        return f"New values in Secret {self.secret}{self.place}"

    def in_short(self) -> tuple[Brief, ...]:
        return (Brief(act=f"{counted(len(self.keys), 'new value')} in", subject=f"Secret {self.secret}"),)

    async def apply(self, context: StepContext) -> Rotated:
        cluster = context.use(ClusterClient)
        found = await cluster.secret(self.namespace, self.secret)
        default_redactor().learn(found.data.values())
        if proves(found, self.keys, self.seal):
            return self._done(found)
        if missing := [key for key in self.keys if key not in found.data]:
            raise PermanentError(
                f"Secret {self.secret} no longer has {listed(missing)}.", code=ReasonCode.CHANGED_MEANWHILE
            )
        values, marks = await self._values(context)
        default_redactor().learn(values.values())
        proof = _proof(self.seal, self.secret, values)
        write = partial(cluster.patch_secret, found, values, {ROTATED_BY: context.run, PROOF: proof, **marks})
        return self._done(await while_held(context, write))

    def _done(self, written: SecretView) -> Rotated:
        return Rotated(secret=self.secret, keys=self.keys, resource_version=written.resource_version)

    async def _values(self, context: StepContext) -> NewValues:
        """Return the new values. They are never part of a result."""
        raise NotImplementedError


class RotateSecret(ReplaceValues):
    """Values of one Secret get new random ones."""

    kind: Literal["rotate-secret"] = "rotate-secret"
    size: int
    """Random bytes of each."""

    def changes(self) -> dict[str, JsonValue]:
        return {"target": f"{self.namespace}/secret/{self.secret}", "keys": list(self.keys), "bytes": self.size}

    def shown(self) -> Shown:
        return _next(self, "a new random value")

    def by_hand(self) -> tuple[str, ...]:
        """The value goes from one program to the next, and is on no command line."""
        made = f"openssl rand -base64 {self.size} | tr -d '\\n'"
        return tuple(_patched(self, {key: made}) for key in self.keys)

    async def _values(self, context: StepContext) -> NewValues:  # noqa: ARG002 - they come from nowhere
        return {key: secrets.token_urlsafe(self.size).encode() for key in self.keys}, {}


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
                Cell(text=f"{self.secret}{self.place}"),
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
        return (_patched(self, made),)

    async def _values(self, context: StepContext) -> NewValues:
        manager = context.use(Rotations).aws(self.what)
        if manager is None or (manager.settings.secret_id, manager.settings.fields) != (self.source, self.fields):
            raise PermanentError(
                f"The rotation {self.what} now reads from another place than when this was planned. Request it again.",
                code=ReasonCode.CHANGED_MEANWHILE,
            )
        read = partial(manager.values, self.version, self.keys)
        values = await retried(read, seconds=_RETRIES_SECONDS, pause=hearing(context.pulse))
        return values, {AWS_VERSION: self.version}


class CopyFromHome(ReplaceValues):
    """Values of one Secret in another region than home are replaced by those that this run wrote in the home region, or that it had there when this was planned.

    They are only in the two Secrets and in memory, so a run that was killed goes on with the same values. What somebody else wrote into
    home's Secret meanwhile goes to no other region.
    """

    kind: Literal["copy-secret-from-home"] = "copy-secret-from-home"
    home: str
    """The home region."""
    home_kubectl: str
    """As a person types it for the home region."""
    again: str
    """The command that does it later, where the region can't be reached."""
    seen: str = ""
    """The resource version of home's Secret when this was planned; empty in a plan of the version before."""
    made_by: str = ""
    """The key of the step that makes the values in the same run; empty where home keeps what it has."""
    made_with: str = Field(default="", repr=False)
    """The seal of that step."""

    @property
    def title(self) -> str:
        return f"Values of {self.home} copied to Secret {self.secret}{self.place}"

    def changes(self) -> dict[str, JsonValue]:
        return {
            "target": f"{self.namespace}/secret/{self.secret}",
            "keys": list(self.keys),
            "copied from": self.home,
            # where the run makes none, these very values are approved
            **({"seen": self.seen} if self.seen and not self.made_by else {}),
        }

    def resumed(self, before: Step, done: Collection[str]) -> Step:
        """The values were made by a run before: only those are copied."""
        if self.made_by not in done or not isinstance(before, CopyFromHome):
            return self
        return self.model_copy(update={"made_with": before.made_with})

    def shown(self) -> Shown:
        return _next(self, f"the same value as in {self.home}")

    def by_hand(self) -> tuple[str, ...]:
        """All values in one change, from one program to the next."""
        picked = ", ".join(f"{json.dumps(key)}: .data[{json.dumps(key)}]" for key in self.keys)
        read = f"{self.home_kubectl} get secret {self.secret} -n {self.namespace} -o json"
        return (f"{read} | jq {shlex.quote(f'{{data: {{{picked}}}}}')} | {_patch(self)}",)

    async def apply(self, context: StepContext) -> Rotated:
        try:
            return await super().apply(context)
        except RunbookError as error:
            if error.code is ReasonCode.CLUSTER_UNREACHABLE:
                error.advice = (
                    *error.advice,
                    f"`{self.again}` brings {self.region} up to date once its cluster answers.",
                )
            raise

    async def _values(self, context: StepContext) -> NewValues:
        found = await context.use(Fleet).cluster.secret(self.namespace, self.secret)
        default_redactor().learn(found.data.values())
        made = [
            each.resource_version
            for step, each in context.results.each(ReplaceValues, Rotated)
            if step.region == self.home
        ]
        if self.made_by:
            same = proves(found, self.keys, self.made_with)
        else:  # those of a run only in a plan of the version before
            same = found.resource_version == ((made[-1] if made else self.seen) or found.resource_version)
        if not same:
            when = "after this run wrote it" if self.made_by or made else "after this was planned"
            raise PermanentError(
                f"Somebody changed Secret {self.secret} in {self.home} {when}, so {self.region} does not get what it has now.",
                code=ReasonCode.CHANGED_MEANWHILE,
                advice=(
                    f"`{self.home_kubectl} get secret {self.secret} -n {self.namespace} --show-managed-fields -o jsonpath='{{.metadata.managedFields[*].manager}}'` shows who wrote it.",
                    f"If the values in {self.home} are right, `{self.again}` copies them to {self.region}.",
                ),
            )
        if missing := [key for key in self.keys if key not in found.data]:
            raise PermanentError(
                f"Secret {self.secret} in {self.home} no longer has {listed(missing)}.",
                code=ReasonCode.CHANGED_MEANWHILE,
            )
        marks = {name: value for name, value in found.annotations.items() if name == AWS_VERSION}
        return {key: found.data[key] for key in self.keys}, marks


def proves(found: SecretView, keys: Collection[str], seal: str) -> bool:
    """Return whether the Secret has just the values that the step with that seal wrote."""
    values = {key: found.data.get(key, b"") for key in keys}
    told = found.annotations.get(PROOF, "").encode("utf-8", "replace")
    return bool(seal) and hmac.compare_digest(told, _proof(seal, found.name, values).encode())


def _proof(seal: str, secret: str, values: Mapping[str, bytes]) -> str:
    told = json.dumps(
        [secret, {key: hashlib.sha256(value).hexdigest() for key, value in values.items()}], sort_keys=True
    )
    return hmac.new(seal.encode(), told.encode(), hashlib.sha256).hexdigest()


def _next(step: ReplaceValues, value: str) -> Shown:
    rows = tuple((Cell(text=f"{step.secret}{step.place}"), Cell(text=key), Cell(text=value)) for key in step.keys)
    return Shown(columns=("Secret", "Key", "Next"), rows=rows)


def _patched(step: ReplaceValues, made: Mapping[str, str]) -> str:
    files = " ".join(f"--from-file={key}=<({line})" for key, line in made.items())
    create = f"{step.kubectl} create secret generic {step.secret} -n {step.namespace} {files} --dry-run=client -o json"
    return f"{create} | {_patch(step)}"


def _patch(step: ReplaceValues) -> str:
    return f"{step.kubectl} patch secret {step.secret} -n {step.namespace} --type=merge --patch-file=/dev/stdin"
