"""`hold RUN`: a run waits before its next change until somebody lets it go on; the typed form of the progress card's button."""

from commands.kit.command import RunDecision
from commands.kit.spec import RunDecisionMeta


class Hold(RunDecision):
    """Pause a run before its next step that changes something; the current step is watched until it ends.

    The run keeps the environment meanwhile. `continue` resumes it, `cancel` ends it, and a `rollback` replaces it. After four hours
    (`times.hold_longest`) a held run ends where it is, undecided.
    """

    meta = RunDecisionMeta(permission=None, examples=["7KQ2", '7KQ2 --reason "looking at the error rate first"'])
