"""How a request ends before anything ran: each ending as a value, with its event and the buttons that lead on. Used by `request`."""

from typing import Any

from bot.audit import EventName
from bot.policy.approvals import Decision
from bot.runs.cards import refusal_outcome
from bot.runs.house import House
from bot.runs.model import DecisionMessage, Request
from commands.kit.card import Button, OpenForm, Typed
from commands.kit.context import Outcome
from commands.kit.policy import ApprovalPolicy
from runbooks.kit.errors import RunbookError
from runbooks.kit.plan import Plan
from runbooks.kit.reasons import ReasonCode
from runbooks.wording import short_id


class Ended(Exception):
    """The request is over before anything ran."""

    def __init__(
        self, outcome: Outcome, *, event: EventName, actor: str | None = None, buttons: tuple[Button, ...] = ()
    ) -> None:
        super().__init__(outcome.title)
        self.outcome = outcome
        self.event = event
        self.actor = actor
        self.buttons = buttons


def told(house: House, request: Request, error: RunbookError) -> dict[str, Any]:
    """A failure as a value that a step may return: redacted, since it is kept with the request."""
    redact = house.redact
    return {
        "code": error.code,
        "message": redact(error.message),
        "evidence": [redact(line) for line in error.evidence],
        "advice": [redact(line) for line in error.advice],
        "choices": [
            (version, f"{request.command} {version} --env {request.environment}")
            for version in getattr(error, "newest", ())
        ],
    }


def failed(request: Request, error: dict[str, Any]) -> Ended:
    """What `told` told."""
    outcome = Outcome(
        code=ReasonCode(error["code"]),
        title=error["message"],
        evidence=tuple(error["evidence"]),
        advice=tuple(error["advice"]),
        run=request.id,
        environment=request.environment,
    )
    buttons = tuple(Button(label=version, does=Typed(text=text)) for version, text in error["choices"])
    return Ended(outcome, event=EventName.RUN_FAILED, buttons=buttons)


def nothing_to_do(request: Request, plan: Plan) -> Ended:
    """Everything is as it was asked to be."""
    outcome = refusal_outcome(ReasonCode.NOTHING_TO_DO, plan.title, request=request, lines=plan.notes)
    return Ended(outcome, event=EventName.RUN_SKIPPED)


def needs_reason(request: Request, plan: Plan) -> Ended:
    """It goes to something older, and nobody said why."""
    outcome = refusal_outcome(ReasonCode.USAGE, f"{request.title} needs a reason", request=request, lines=plan.warnings)
    filled = {
        name: " ".join(value) if isinstance(value, list) else str(value)
        for name, value in request.arguments.items()
        if isinstance(value, str | list)
    }
    give = Button(label="Give the reason…", does=OpenForm(command=request.command, filled=filled | {"reason": ""}))
    return Ended(outcome, event=EventName.RUN_SKIPPED, buttons=(give,))


def nobody(request: Request, policy: ApprovalPolicy | None) -> Ended:
    """Nobody but the requester could say yes."""
    why = (
        f"it needs {policy.count} with permission {policy.permission}"
        if policy
        else "the configuration has no approval policy for its risk"
    )
    outcome = refusal_outcome(
        ReasonCode.NO_APPROVER,
        f"Nobody but you could approve this: {why}",
        request=request,
        advice=("The maintainers of `omnicare.toml` can add an approver; `doctor` lists such policies.",),
    )
    return Ended(outcome, event=EventName.RUN_FAILED)


def expired(request: Request) -> Ended:
    """Nobody decided in time."""
    outcome = refusal_outcome(ReasonCode.EXPIRED, f"{request.title} expired: nobody decided in time", request=request)
    return Ended(outcome, event=EventName.RUN_EXPIRED)


def no_go_in_time(request: Request) -> Ended:
    """Its time came, and nobody said go."""
    title = f"{request.title} expired: nobody said go, so nothing was started"
    return Ended(refusal_outcome(ReasonCode.EXPIRED, title, request=request), event=EventName.RUN_EXPIRED)


def no_go(request: Request, decided: DecisionMessage) -> Ended:
    """Somebody does not want it to start at its time."""
    why = f": {decided.reason}" if decided.reason else ""
    outcome = refusal_outcome(ReasonCode.NO_GO, f"No-go by {decided.actor.name}: {request.title}{why}", request=request)
    return Ended(outcome, event=EventName.GO_REFUSED, actor=decided.actor.key)


def called_off(request: Request, decided: DecisionMessage) -> Ended:
    """Stopped while it waited for its time."""
    why = f": {decided.reason}" if decided.reason else ""
    title = f"{request.title} was stopped by {decided.actor.name} before it started{why}"
    outcome = refusal_outcome(ReasonCode.CANCELLED, title, request=request)
    return Ended(outcome, event=EventName.RUN_CANCELLED, actor=decided.actor.key)


def denied(request: Request, decision: Decision) -> Ended:
    """Somebody said no."""
    why = f": {decision.reason}" if decision.reason else ""
    outcome = refusal_outcome(ReasonCode.DENIED, f"{request.title} was denied by {decision.name}{why}", request=request)
    return Ended(outcome, event=EventName.APPROVAL_DENIED, actor=decision.by)


def withdrawn(request: Request, decided: DecisionMessage) -> Ended:
    """Who asked took it back."""
    outcome = refusal_outcome(ReasonCode.WITHDRAWN, f"{decided.actor.name} withdrew: {request.title}", request=request)
    return Ended(outcome, event=EventName.RUN_WITHDRAWN, actor=decided.actor.key)


def locked(request: Request, freeze: dict[str, Any]) -> Ended:
    """The environment is locked."""
    why = f": {freeze['reason']}" if freeze.get("reason") else ""
    name = freeze["name"]
    outcome = refusal_outcome(
        ReasonCode.LOCKED,
        f"{name} locked {request.environment}{why}",
        request=request,
        advice=(f"Ask {name}, or `unlock` if you may. A `rollback` bypasses a lock.",),
    )
    again = Button(label="Retry", does=Typed(text=f"retry {request.id}"))
    return Ended(outcome, event=EventName.RUN_FAILED, buttons=(again,))


def bug(request: Request) -> Outcome:
    """Something nobody foresaw: where to look, not what was raised."""
    return refusal_outcome(
        ReasonCode.BUG,
        f"{request.title} was ended by an error in the bot",
        request=request,
        advice=(f"See run {short_id(request.id)} in the bot's log. Nothing more is changed.",),
    )


def few_words(outcome: Outcome) -> str:
    """For the head message."""
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
        ReasonCode.USAGE: "needs a reason",
    }.get(outcome.code, "not started")
