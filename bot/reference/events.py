"""What machines read: reason codes, audit events, metrics."""

from bot.audit import EventName
from bot.reference.markdown import code, page, table
from runbooks.kit.reasons import ReasonCode

EVENTS: dict[EventName, str] = {
    EventName.BOT_STARTED: "The bot opened the audit log and started serving.",
    EventName.BOT_STOPPED: "The bot was asked to stop and finished its short tasks. If it is missing between two starts, the bot was killed.",
    EventName.BOOK_CHECKED: "Written by earlier versions for each `/readyz` request. It proves nothing.",
    EventName.COMMAND_ANSWERED: "Somebody ran a query.",
    EventName.COMMAND_ACCEPTED: "A decision was accepted; written before it takes effect.",
    EventName.DISCLOSURE_ALLOWED: "Somebody is about to read unredacted log lines: who, why, of which pods, with which options; "
    "written before the first line is read. Without a `command:answered` after it, nothing was shown.",
    EventName.COMMAND_REFUSED: "A command was understood and refused, for a reason other than permission.",
    EventName.PERMISSION_DENIED: "The policy denied it; the reason code says why.",
    EventName.REFUSALS_SUPPRESSED: "One account was refused so often within a minute that further refusals are counted instead.",
    EventName.RUN_REQUESTED: "Somebody requested an operation; written before anything else happens.",
    EventName.RUN_PLANNED: "The plan was made; the approval will cover its digest.",
    EventName.RUN_STARTED: "The run took the environment's lease and starts to make changes.",
    EventName.RUN_SUCCEEDED: "The run succeeded.",
    EventName.RUN_FAILED: "The run failed; the reason code says how.",
    EventName.RUN_CANCEL_ASKED: "Somebody asked the run to stop.",
    EventName.RUN_CANCELLED: "The run stopped because somebody asked, or because a rollback replaced it.",
    EventName.RUN_ABANDONED: "The request was recorded and never reached the engine; nothing was changed.",
    EventName.RUN_HELD: "Somebody asked the run to wait before its next change.",
    EventName.RUN_CONTINUED: "Somebody resumed a held run.",
    EventName.RUN_UNANSWERED: "The run failed and nobody reacted: people who may roll back were mentioned again.",
    EventName.RUN_WITHDRAWN: "The requester withdrew the request.",
    EventName.RUN_EXPIRED: "Nobody decided, or nobody said go, in time.",
    EventName.RUN_SKIPPED: "There was nothing to do, or no plan could be made.",
    EventName.RUN_RESOLVED: "Somebody decided to leave a failed run as it is.",
    EventName.APPROVAL_ASKED: "The plan is waiting for the named people.",
    EventName.APPROVAL_GIVEN: "One person approved.",
    EventName.APPROVAL_GRANTED: "Enough people approved.",
    EventName.APPROVAL_DENIED: "One person denied it, with a reason; that ends the request.",
    EventName.RUN_SCHEDULED: "The run was approved and is waiting for its time.",
    EventName.GO_ASKED: "The time is near: the requester and people who may say go were asked for go or no-go.",
    EventName.GO_GIVEN: "Somebody said go: the run starts at its time.",
    EventName.GO_REFUSED: "Somebody said no-go; that ends the run.",
    EventName.STEP_STARTED: "A step of a run is about to make a change; written before it does.",
    EventName.STEP_FINISHED: "The step succeeded.",
    EventName.STEP_FAILED: "The step failed; the reason code says why.",
    EventName.GATE_SIGNED: "Somebody signed off a manual check for a release; a gate of its deploy waited for it.",
    EventName.GATE_OVERRIDDEN: "A deploy was approved although gates had not passed: which ones, in which state, with what evidence.",
    EventName.LOCK_TAKEN: "Somebody locked an environment. The lock that a rollback leaves is its step `lock`.",
    EventName.LOCK_RELEASED: "Somebody unlocked an environment.",
    EventName.RELEASE_ADOPTED: "Somebody recorded the running version as a good release. Written until `releases adopt` became a run of its own; kept to be read.",
    EventName.STRATEGY_RESTORED: "The bot restored a Deployment's `maxSurge` that a killed bot had left raised.",
    EventName.RECORD_WRITTEN: "What a rollback without the record did was written into the record, once the home region's cluster answered again.",
    EventName.RECORD_LEFT: "What a rollback without the record did was not written into the record, because another run had used it since.",
}
"""The meaning of each event; a test checks that the set is complete."""


def reason_codes() -> str:
    """Return the page with every outcome and refusal."""
    return page(
        "Reason codes",
        "Every refusal and every ending has one of these, in the audit log, in `--json` and in the metrics. The sentence "
        "on the card says more.",
        table(("Code", "Meaning"), ((code(each), each.meaning) for each in ReasonCode)),
    )


def audit_events() -> str:
    """Return the page with every audit event."""
    return page(
        "Audit events",
        "Everything that the audit log can contain. Each event has a number, a time (UTC), who, through which surface, where, "
        "which command and run, a reason (theirs) and a reason code (ours), and the hash of the event before it. "
        "`omnicare audit` searches, `omnicare audit verify` checks the chain.",
        table(("Event", "Tells"), ((code(each), EVENTS[each]) for each in EventName)),
    )


def metrics() -> str:
    """Return the page with the metrics that `/metrics` serves."""
    from bot.process.metrics import ProcessMetrics

    families = sorted(ProcessMetrics().registry.collect(), key=lambda family: family.name)
    return page(
        "Metrics",
        "Served at `/metrics` in Prometheus' format. There are also `/healthz` (the process is alive) and `/readyz` (Slack's connections are "
        "fresh, the audit log can be written, the cluster answers).",
        table(
            ("Metric", "Type", "Meaning"), ((code(_served(f.name, f.type)), f.type, f.documentation) for f in families)
        ),
    )


def _served(name: str, kind: str) -> str:
    return f"{name}_total" if kind == "counter" else name
