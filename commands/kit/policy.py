"""What a command needs before it may act: a permission, and for an operation an approval by risk and environment."""

from collections.abc import Sequence
from enum import StrEnum
from typing import Annotated

from pydantic import Field

from runbooks.kit.plan import Unusual
from runbooks.kit.targets import Frozen


class Risk(StrEnum):
    """How bad it is when an operation was a mistake."""

    REVERSIBLE = "reversible"
    DISRUPTIVE = "disruptive"
    DESTRUCTIVE = "destructive"


class ApprovalPolicy(Frozen):
    """N people who have a permission in the environment, never the requester.

    `own` is for rollbacks, which must not wait for somebody who is asleep: one person with the permission
    confirms, who may be the requester.
    """

    count: int
    """How many people must approve; one denial ends the request."""
    permission: str
    """The permission that approvers need."""
    one_of_role: str | None = None
    """At least one of the approvers must have this role too, such as `dba`; their number stays `count`."""
    own: bool = False
    """The requester may approve (a confirmation, not an approval)."""
    expires_seconds: Annotated[float, Field(gt=0, le=30 * 86400, allow_inf_nan=False)] = 1800.0
    """The request ends if nobody decides within this time."""
    reminder_seconds: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 600.0
    """How long before the expiry people are reminded."""


class Policies(Frozen):
    """An environment's policies, from the configuration. A risk that is not listed can't be approved by anybody."""

    by_risk: dict[Risk, ApprovalPolicy] = {}
    going_back: ApprovalPolicy | None = None

    def of(self, risk: Risk) -> ApprovalPolicy | None:
        """The policy of that risk; None where the configuration has none, and then nothing of that risk runs."""
        return self.by_risk.get(risk)


def raised(policy: ApprovalPolicy | None, unusual: Sequence[Unusual]) -> ApprovalPolicy | None:
    """Return the policy with one more approval where options make the run riskier than usual, however many they are.

    One for each would leave nobody to approve an emergency where few people can.
    """
    if policy is None or not unusual:
        return policy
    role = next((each.role for each in unusual if each.role), policy.one_of_role)
    return policy.model_copy(update={"count": policy.count + 1, "one_of_role": role})
