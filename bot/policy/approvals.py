"""Pending → granted | denied | expired | withdrawn: the rules of an approval, as functions over one frozen value.

No I/O here: who may is asked by the caller (`bot.runs.decisions`), what is decided is kept by the engine. The server checks the
account that clicked, not a name on a card.
"""

import secrets
from collections.abc import Collection, Sequence
from datetime import datetime, timedelta
from typing import Literal

from commands.kit.context import Actor, Denied
from commands.kit.policy import ApprovalPolicy
from runbooks.kit.reasons import ReasonCode
from runbooks.kit.targets import Frozen

Verdict = Literal["pending", "granted", "denied", "withdrawn"]
Act = Literal["approve", "deny", "withdraw"]


class ApprovalDecision(Frozen):
    """What one person said."""

    act: Act
    by: str
    """The person's key: several accounts of one human count once."""
    name: str
    at: datetime
    reason: str | None = None
    role: str = ""
    """The role that one approver must have, where this one had it."""


class PendingApproval(Frozen):
    """A request that waits for people."""

    policy: ApprovalPolicy
    requester: str
    requester_name: str
    digest: str
    """Of request and plan: what exactly is approved."""
    word: str
    """The card's random word: a new one for each state of the card."""
    asked: datetime
    approvers: tuple[str, ...]
    """Keys of those who could approve when it was asked, those on shift first; shown, and not what permission is checked by."""
    later: tuple[str, ...] = ()
    """Those of them who are not on shift: told at the reminder. They may approve at any time."""
    given: tuple[ApprovalDecision, ...] = ()

    @property
    def expires(self) -> datetime:
        """After this moment nobody's yes counts."""
        return self.asked + timedelta(seconds=self.policy.expires_seconds)

    @property
    def reminds(self) -> datetime:
        """When those who could approve are told once more."""
        return self.expires - timedelta(seconds=self.policy.reminder_seconds)

    @property
    def missing(self) -> int:
        """How many more yeses it needs."""
        return max(int(self.lacks_role), self.policy.count - len(self.given))

    @property
    def lacks_role(self) -> bool:
        """Whether nobody with the role that one approver must have has said yes."""
        return lacks_role(self.policy, self.given)


def lacks_role(policy: ApprovalPolicy, given: Sequence[ApprovalDecision]) -> bool:
    """Whether the policy wants an approver with a role whom these decisions don't have."""
    return policy.one_of_role is not None and all(each.role != policy.one_of_role for each in given)


def later(approvers: Sequence[str], on_shift: Collection[str], policy: ApprovalPolicy) -> tuple[str, ...]:
    """Who is asked at the reminder only.

    Nobody, where those on shift are too few to decide, where no reminder would come, and where it is about going back, which waits
    for no sleeper.
    """
    rest = tuple(key for key in approvers if key not in on_shift)
    reminds = 0 < policy.reminder_seconds < policy.expires_seconds and not policy.own
    return rest if reminds and len(approvers) - len(rest) >= max(policy.count, 1) else ()


def new_word() -> str:
    """96 random bits for a card's buttons."""
    return secrets.token_urlsafe(12)


def same_word(given: str | None, word: str) -> bool:
    """Whether a button's word is the card's. None: typed, so it means the card as it stands."""
    return given is None or secrets.compare_digest(given.encode(errors="surrogatepass"), word.encode())


def check(
    pending: PendingApproval,
    act: Act,
    actor: Actor,
    *,
    now: datetime,
    word: str | None,
    permitted: bool,
    approvers: str,
) -> None:
    """Raises `Denied` where `actor` may not `act`; the sentence names the way forward.

    `permitted`: whether the actor has the policy's permission. `approvers`: the names of those who can, for the sentence.
    `word` None: typed, so it means the request as it stands.
    """
    if not same_word(word, pending.word):
        raise Denied(
            "This card has changed since the button was shown. Use the newest card in the thread.",
            code=ReasonCode.STALE_BUTTON,
        )
    if now >= pending.expires:
        raise Denied("The request has expired: nobody decided in time. Request it again.", code=ReasonCode.EXPIRED)
    if act == "withdraw":
        if actor.key != pending.requester:
            raise Denied(
                f"Only the requester, {pending.requester_name}, can withdraw it. You can deny it.",
                code=ReasonCode.NOT_PERMITTED,
            )
        return
    if actor.key == pending.requester and not pending.policy.own:
        can = f" {approvers} can." if approvers else " Nobody else can; the roles in the configuration must be changed."
        verb = "approve" if act == "approve" else "deny"
        way = " You can withdraw it." if act == "deny" else ""
        raise Denied(f"You can't {verb} your own request.{can}{way}", code=ReasonCode.OWN_REQUEST)
    if not permitted:
        raise Denied(
            f"You lack the permission to decide this ({pending.policy.permission}).{f' {approvers} can.' if approvers else ''}",
            code=ReasonCode.NOT_PERMITTED,
        )
    if act == "approve" and any(decision.by == actor.key for decision in pending.given):
        raise Denied(f"You have already approved it; it needs {pending.missing} more.", code=ReasonCode.ALREADY_DECIDED)


def apply(pending: PendingApproval, decision: ApprovalDecision) -> tuple[PendingApproval, Verdict]:
    """The state after a decision that `check` let pass; a second yes of the same person changes nothing."""
    if decision.act == "deny":
        return pending, "denied"
    if decision.act == "withdraw":
        return pending, "withdrawn"
    if any(given.by == decision.by for given in pending.given):
        return pending, "pending"
    after = pending.model_copy(update={"given": (*pending.given, decision)})
    return after, "granted" if after.missing == 0 else "pending"
