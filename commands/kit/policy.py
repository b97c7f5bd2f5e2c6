"""What a command needs before it may act: a permission, and for an operation an approval by risk and environment."""

from enum import StrEnum
from typing import Annotated

from pydantic import Field

from runbooks.kit.targets import Frozen


class Risk(StrEnum):
    """How bad it is when an operation was a mistake."""

    REVERSIBLE = "reversible"
    DISRUPTIVE = "disruptive"
    DESTRUCTIVE = "destructive"


class ApprovalPolicy(Frozen):
    """N of the people who hold a permission there, never the requester.

    `own` stands for the one case that must not wait for a sleeper: going back, confirmed by one person who holds the
    permission, who may be the requester.
    """

    count: int
    """How many must say yes; one denial ends it."""
    permission: str
    """Whoever has it there may approve."""
    own: bool = False
    """The requester may give it (a confirmation, not an approval)."""
    expires_seconds: Annotated[float, Field(gt=0, le=30 * 86400, allow_inf_nan=False)] = 1800.0
    """Nobody decided in time: it ends."""
    reminder_seconds: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 600.0
    """Before it expires."""


class Policies(Frozen):
    """An environment's policies, from the configuration. A risk that is not listed can't be approved by anybody."""

    by_risk: dict[Risk, ApprovalPolicy] = {}
    going_back: ApprovalPolicy | None = None

    def of(self, risk: Risk) -> ApprovalPolicy | None:
        """The policy of that risk; None where the configuration has none, and then nothing of that risk runs."""
        return self.by_risk.get(risk)
