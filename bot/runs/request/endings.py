"""How a request ends before anything ran: each ending as a value, with the buttons that lead on, and its audit event."""

from bot.audit import EventName
from bot.policy.approvals import ApprovalDecision
from bot.runs.cards import refusal_outcome, refused_buttons
from bot.runs.failures import Failure
from bot.runs.model import DecisionMessage, Request
from commands.kit.card import Button, OpenForm, Typed
from commands.kit.context import Outcome
from commands.kit.policy import ApprovalPolicy
from runbooks.fleet.records import Freeze
from runbooks.kit.plan import Plan
from runbooks.kit.reasons import ReasonCode
from runbooks.wording import headed, short_id

EVENTS = {
    ReasonCode.NOTHING_TO_DO: EventName.RUN_SKIPPED,
    ReasonCode.USAGE: EventName.RUN_SKIPPED,
    ReasonCode.NEEDS_REASON: EventName.RUN_SKIPPED,
    ReasonCode.GATES_NOT_PASSED: EventName.RUN_SKIPPED,
    ReasonCode.SCHEMA_TOO_NEW: EventName.RUN_SKIPPED,
    ReasonCode.EXPIRED: EventName.RUN_EXPIRED,
    ReasonCode.NO_GO: EventName.GO_REFUSED,
    ReasonCode.CANCELLED: EventName.RUN_CANCELLED,
    ReasonCode.DENIED: EventName.APPROVAL_DENIED,
    ReasonCode.WITHDRAWN: EventName.RUN_WITHDRAWN,
}
"""What the audit log says where it is not that the request failed."""


class RequestEnded(Exception):
    """The request is over before anything ran."""

    def __init__(self, outcome: Outcome, *, actor: str | None = None, buttons: tuple[Button, ...] = ()) -> None:
        super().__init__(outcome.title)
        self.outcome = outcome
        self.actor = actor
        self.buttons = buttons


def failed(request: Request, failure: Failure) -> RequestEnded:
    """Return the ending by an error of a runbook."""
    outcome = Outcome(
        code=failure.code,
        title=failure.message,
        evidence=failure.evidence,
        advice=failure.advice,
        run=request.id,
        environment=request.environment,
    )
    return RequestEnded(
        outcome, buttons=tuple(Button(label=tag, does=Typed(text=text)) for tag, text in failure.choices)
    )


def nothing_to_do(request: Request, plan: Plan) -> RequestEnded:
    """Return the ending where everything is already as requested."""
    outcome = refusal_outcome(ReasonCode.NOTHING_TO_DO, plan.title, request=request, lines=plan.notes)
    return RequestEnded(outcome)


def needs_reason(request: Request, plan: Plan) -> RequestEnded:
    """Return the ending of a plan that leads to something older without a reason."""
    outcome = refusal_outcome(
        ReasonCode.NEEDS_REASON, f"{request.title} needs a reason", request=request, lines=plan.warnings
    )
    filled = {
        name: " ".join(value) if isinstance(value, list) else "yes" if value is True else str(value)
        for name, value in request.arguments.items()
        if isinstance(value, str | list) or value is True
    }
    give = Button(label="Give the reason…", does=OpenForm(command=request.command, filled=filled | {"reason": ""}))
    return RequestEnded(outcome, buttons=(give,))


def refused(request: Request, plan: Plan) -> RequestEnded:
    """Return the ending of a plan that says itself why it can't be approved; nobody is asked."""
    outcome = refusal_outcome(
        plan.refused_by[0].code,
        f"{request.title} can't be approved as it is",
        request=request,
        lines=tuple(f"{each.what} {each.advice}".strip() for each in plan.refused_by),
    )
    again = Button(label=f"{headed(request.command)} again", does=Typed(text=request.text))
    return RequestEnded(outcome, buttons=(*refused_buttons(plan), again))


def nobody(request: Request, policy: ApprovalPolicy | None) -> RequestEnded:
    """Return the ending where nobody but the requester could approve."""
    why = (
        f"it needs {policy.count} with permission {policy.permission}"
        f"{f', one of them with the role {policy.one_of_role}' if policy.one_of_role else ''}"
        if policy
        else "the configuration has no approval policy for its risk"
    )
    too_few = "Too few people" if policy is not None and policy.count > 1 else "Nobody but you"
    outcome = refusal_outcome(
        ReasonCode.NO_APPROVER,
        f"{too_few} could approve this: {why}",
        request=request,
        advice=("The maintainers of `omnicare.toml` can add an approver; `doctor` lists such policies.",),
    )
    return RequestEnded(outcome)


def expired(request: Request) -> RequestEnded:
    """Return the ending where nobody decided in time."""
    outcome = refusal_outcome(ReasonCode.EXPIRED, f"{request.title} expired: nobody decided in time", request=request)
    return RequestEnded(outcome)


def no_go_in_time(request: Request) -> RequestEnded:
    """Return the ending where its time came and nobody said go."""
    title = f"{request.title} expired: nobody said go, so nothing was started"
    return RequestEnded(refusal_outcome(ReasonCode.EXPIRED, title, request=request))


def no_go(request: Request, decided: DecisionMessage) -> RequestEnded:
    """Return the ending by a no-go."""
    why = f": {decided.reason}" if decided.reason else ""
    outcome = refusal_outcome(ReasonCode.NO_GO, f"No-go by {decided.actor.name}: {request.title}{why}", request=request)
    return RequestEnded(outcome, actor=decided.actor.key)


def called_off(request: Request, decided: DecisionMessage) -> RequestEnded:
    """Return the ending of a request that was stopped while it waited for its time."""
    why = f": {decided.reason}" if decided.reason else ""
    title = f"{request.title} was stopped by {decided.actor.name} before it started{why}"
    outcome = refusal_outcome(ReasonCode.CANCELLED, title, request=request)
    return RequestEnded(outcome, actor=decided.actor.key)


def denied(request: Request, decision: ApprovalDecision) -> RequestEnded:
    """Return the ending by a denial."""
    why = f": {decision.reason}" if decision.reason else ""
    outcome = refusal_outcome(ReasonCode.DENIED, f"{request.title} was denied by {decision.name}{why}", request=request)
    return RequestEnded(outcome, actor=decision.by)


def withdrawn(request: Request, decided: DecisionMessage) -> RequestEnded:
    """Return the ending by the requester's withdrawal."""
    outcome = refusal_outcome(ReasonCode.WITHDRAWN, f"{decided.actor.name} withdrew: {request.title}", request=request)
    return RequestEnded(outcome, actor=decided.actor.key)


def locked(request: Request, freeze: Freeze) -> RequestEnded:
    """Return the ending where the environment is locked."""
    why = f": {freeze.reason}" if freeze.reason else ""
    name, where = freeze.name, request.environment
    again = Button(label="Retry", does=Typed(text=f"retry {request.id}"))
    if freeze.run:
        outcome = refusal_outcome(
            ReasonCode.LOCKED,
            f"{where} has been locked since {name}'s rollback{why}",
            request=request,
            advice=(
                "Find out why it was rolled back, and whether this release fixes that.",
                f"Then `unlock --env {where}` if you may, and retry. A `rollback` bypasses the lock.",
            ),
        )
        unlock = Button(label="Unlock", does=Typed(text=f"unlock --env {where}"))
        return RequestEnded(outcome, buttons=(unlock, again))
    outcome = refusal_outcome(
        ReasonCode.LOCKED,
        f"{name} locked {request.environment}{why}",
        request=request,
        advice=(f"Ask {name}, or `unlock` if you may. A `rollback` bypasses a lock.",),
    )
    return RequestEnded(outcome, buttons=(again,))


def bug(request: Request) -> RequestEnded:
    """Return the ending by a bug: it says where to look, not what was raised."""
    outcome = refusal_outcome(
        ReasonCode.BUG,
        f"{request.title} was ended by an error in the bot",
        request=request,
        advice=(f"See run {short_id(request.id)} in the bot's log. Nothing more is changed.",),
    )
    return RequestEnded(outcome)


def few_words(outcome: Outcome) -> str:
    """Return a few words for the head message."""
    return {
        ReasonCode.DENIED: "denied",
        ReasonCode.WITHDRAWN: "withdrawn",
        ReasonCode.EXPIRED: "expired",
        ReasonCode.NO_GO: "no-go",
        ReasonCode.CANCELLED: "stopped before it started",
        ReasonCode.NOTHING_TO_DO: "nothing to do",
        ReasonCode.LOCKED: "locked",
        ReasonCode.NO_SUCH_VERSION: "no such version",
        ReasonCode.NO_APPROVER: "nobody could approve it",
        ReasonCode.NEEDS_REASON: "needs a reason",
        ReasonCode.GATES_NOT_PASSED: "gates not passed",
        ReasonCode.SCHEMA_TOO_NEW: "the release can't run on the schema",
    }.get(outcome.code, "not started")
