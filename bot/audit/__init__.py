"""The audit log: what happened, written before and after acting. Append-only, hash-chained, one SQLite file a process.

    events          what is written: a closed set of names, and the bytes that stand for an event
    file            the SQLite file: its schema, its triggers, the one place with SQL (and the only importer of sqlite_utils)
    audit_log       one writer thread that commits together all that waits; reading beside it
    verification    proves the chain, or names what was done to it

`bot.dispatch.dispatcher`, `bot.runs` and `bot.app` write; `omnicare audit` reads; nothing reads it to decide what to do next.
"""

from bot.audit.audit_log import AuditLog
from bot.audit.events import Appended, AuditHead, AuditLogHeld, AuditLogUnavailable, Entry, Event, EventName
from bot.audit.file import first_not_found, search_audit_logs
from bot.audit.verification import AuditFinding, AuditFindingKind, verify, verify_audit_logs

__all__ = [
    "Appended",
    "AuditFinding",
    "AuditFindingKind",
    "AuditHead",
    "AuditLog",
    "AuditLogHeld",
    "AuditLogUnavailable",
    "Entry",
    "Event",
    "EventName",
    "first_not_found",
    "search_audit_logs",
    "verify",
    "verify_audit_logs",
]
