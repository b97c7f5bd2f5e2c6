"""`hold RUN`: a run waits before its next service until somebody lets it go on; the typed twin of the progress card's button."""

from commands.kit.command import RunDecision
from commands.kit.spec import RunDecisionMeta


class Hold(RunDecision):
    """Let a run wait before its next service: what is rolling out now is watched to its end.

    It keeps the environment's place meanwhile. `continue` lets it go on, `cancel` ends it, and a `rollback` passes it. One that nobody lets
    go on for four hours (`times.hold_longest`) ends where it is, undecided.
    """

    meta = RunDecisionMeta(permission=None, examples=["7KQ2", '7KQ2 --reason "looking at the error rate first"'])
