"""`deny RUN --reason …`: the typed form of the card's button."""

from commands.kit.command import RunDecision
from commands.kit.spec import RunDecisionMeta, option
from commands.kit.types import Words


class Deny(RunDecision):
    """Deny a request, with a reason; one denial ends it."""

    meta = RunDecisionMeta(permission=None, examples=['7KQ2 --reason "clinic go-live until 18:00"'])

    reason: Words | None = option("why not; the requester reads it", asked="A denial needs a reason.")
