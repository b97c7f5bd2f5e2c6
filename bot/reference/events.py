"""What machines read: reason codes, audit events, metrics."""

from bot.audit import EventName
from bot.reference.markdown import code, page, table
from runbooks.kit.reasons import ReasonCode

EVENTS: dict[EventName, str] = {
    EventName.BOT_STARTED: "The bot opened the book and serves.",
    EventName.BOT_STOPPED: "The bot was asked to stop and drained. Where it is missing between two starts, it was killed.",
    EventName.BOOK_CHECKED: "Written by earlier versions when `/readyz` was asked. It proves nothing.",
    EventName.COMMAND_ANSWERED: "Somebody looked at something.",
    EventName.COMMAND_ACCEPTED: "Somebody's decision was taken; written before it acts.",
    EventName.DISCLOSURE_ALLOWED: "Somebody is about to read lines of a log unredacted: who, why, of which pods, with which options; "
    "written before the first line is read. Without a `command:answered` after it nothing was shown.",
    EventName.COMMAND_REFUSED: "A command was understood and refused, for another reason than permission.",
    EventName.PERMISSION_DENIED: "Policy said no; the reason code says why.",
    EventName.REFUSALS_SUPPRESSED: "One account was refused so often within a minute that the rest is not written one by one.",
    EventName.RUN_REQUESTED: "Somebody asked for an operation; written before anything else happens.",
    EventName.RUN_PLANNED: "Its plan was made; the digest is what will be approved.",
    EventName.RUN_STARTED: "The run took the environment's place and begins to change things.",
    EventName.RUN_SUCCEEDED: "It ended as it was meant to.",
    EventName.RUN_FAILED: "It ended otherwise; the reason code says how.",
    EventName.RUN_CANCEL_ASKED: "Somebody asked it to stop.",
    EventName.RUN_CANCELLED: "It stopped because somebody asked, or a rollback took its place.",
    EventName.RUN_ABANDONED: "It was written down and never reached the engine; nothing was changed.",
    EventName.RUN_HELD: "Somebody asked it to wait before its next service.",
    EventName.RUN_CONTINUED: "Somebody let a held run go on.",
    EventName.RUN_UNANSWERED: "It failed and nobody did anything about it: those who may go back were told once more.",
    EventName.RUN_WITHDRAWN: "The requester took it back.",
    EventName.RUN_EXPIRED: "Nobody decided, or nobody said go, in time.",
    EventName.RUN_SKIPPED: "There was nothing to do, or it could not be planned.",
    EventName.RUN_RESOLVED: "Somebody decided that a failed run stays as it is.",
    EventName.APPROVAL_ASKED: "The plan waits for people, who are named.",
    EventName.APPROVAL_GIVEN: "One person said yes.",
    EventName.APPROVAL_GRANTED: "Enough people said yes.",
    EventName.APPROVAL_DENIED: "One person said no, with a reason; that ends it.",
    EventName.RUN_SCHEDULED: "It was approved and waits for its time.",
    EventName.GO_ASKED: "Its time is near: who asked for it, and who may say so for others, were asked for go or no go.",
    EventName.GO_GIVEN: "Somebody said go: it starts at its time.",
    EventName.GO_REFUSED: "Somebody said no go; that ends it.",
    EventName.STEP_STARTED: "A step of a run is about to change something; written before it does.",
    EventName.STEP_FINISHED: "The step did what it was to do.",
    EventName.STEP_FAILED: "The step did not; the reason code says why.",
    EventName.LOCK_TAKEN: "Somebody locked an environment.",
    EventName.LOCK_RELEASED: "Somebody unlocked an environment.",
    EventName.RELEASE_ADOPTED: "Somebody recorded what ran as a good release.",
    EventName.STRATEGY_RESTORED: "The bot put a Deployment's `maxSurge` back that a killed bot had left raised.",
}
"""What each event tells; a test holds it equal to the closed set."""


def reason_codes() -> str:
    """Every way in which something ends or is refused."""
    return page(
        "Reason codes",
        "Every refusal and every ending has one of these, in the audit log, in `--json` and in the metrics. The sentence "
        "on the card says more.",
        table(("Code", "Meaning"), ((code(each), each.meaning) for each in ReasonCode)),
    )


def audit_events() -> str:
    """Everything that may ever stand in a book."""
    return page(
        "Audit events",
        "Everything that the audit log can contain. Each event has a number, a time (UTC), who, through which surface, where, "
        "which command and run, a reason (theirs) and a reason code (ours), and the hash of the event before it. "
        "`omnicare audit` searches, `omnicare audit verify` checks the chain.",
        table(("Event", "Tells"), ((code(each), EVENTS[each]) for each in EventName)),
    )


def metrics() -> str:
    """What `/metrics` serves."""
    from bot.metrics import Metrics

    families = sorted(Metrics().registry.collect(), key=lambda family: family.name)
    return page(
        "Metrics",
        "Served at `/metrics` in Prometheus' format. Besides: `/healthz` (the process lives) and `/readyz` (Slack's connections are "
        "fresh, the book can be written, the cluster answers).",
        table(
            ("Metric", "Type", "Meaning"), ((code(_served(f.name, f.type)), f.type, f.documentation) for f in families)
        ),
    )


def _served(name: str, kind: str) -> str:
    return f"{name}_total" if kind == "counter" else name
