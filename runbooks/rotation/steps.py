"""The step that gives values of one Secret new ones."""

import secrets
from typing import ClassVar, Literal

from pydantic import JsonValue

from runbooks.clients.kubernetes.cluster import ClusterClient
from runbooks.kit.errors import PermanentError
from runbooks.kit.reasons import ReasonCode
from runbooks.kit.steps import Brief, Cell, Shown, Step, StepContext
from runbooks.kit.targets import Frozen
from runbooks.redaction.redactor import default_redactor
from runbooks.wording import counted, listed

ROTATED_BY = "omnicare.dev/rotated-by"
"""Annotation of a Secret: the run that gave it its values, so that a killed step that runs again makes no second ones."""


class Rotated(Frozen):
    """What got new values; the values themselves are nowhere but in the Secret."""

    secret: str
    keys: tuple[str, ...]


class RotateSecret(Step):
    """Values of one Secret get new random ones, in one change."""

    kind: Literal["rotate-secret"] = "rotate-secret"
    namespace: str
    secret: str
    keys: tuple[str, ...]
    size: int
    """Random bytes of each."""
    remembered: ClassVar[bool] = True
    """A retry makes the pods that are left, and no newer values."""

    @property
    def target(self) -> str:
        return self.secret

    @property
    def title(self) -> str:
        return f"New values in Secret {self.secret}"

    def changes(self) -> dict[str, JsonValue]:
        return {"target": f"{self.namespace}/secret/{self.secret}", "keys": list(self.keys), "bytes": self.size}

    def shown(self) -> Shown:
        rows = tuple((Cell(text=self.secret), Cell(text=key), Cell(text="a new random value")) for key in self.keys)
        return Shown(columns=("Secret", "Key", "Next"), rows=rows)

    def in_short(self) -> tuple[Brief, ...]:
        return (Brief(subject=f"Secret {self.secret}", change=f"{counted(len(self.keys), 'new value')}"),)

    def by_hand(self) -> tuple[str, ...]:
        """The value goes from one program to the next, and is on no command line."""
        return tuple(
            f"kubectl create secret generic {self.secret} -n {self.namespace} --from-file={key}=<(openssl rand -base64 {self.size} | tr -d '\\n') "
            f"--dry-run=client -o json | kubectl patch secret {self.secret} -n {self.namespace} --type=merge --patch-file=/dev/stdin"
            for key in self.keys
        )

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
        values = {key: secrets.token_urlsafe(self.size).encode() for key in self.keys}
        default_redactor().learn(values.values())
        await cluster.patch_secret(found, values, {ROTATED_BY: context.run})
        return done
