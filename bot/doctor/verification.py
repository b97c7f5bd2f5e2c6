"""`omnicare audit verify`: checks audit logs, also against the heads in the fleet's record if it is reachable.

Used by `bot.cli` and `bot.doctor`. It needs no running bot and changes nothing.
"""

import asyncio
import json
import sys
from collections.abc import Sequence
from pathlib import Path

from bot.audit import AuditFinding, AuditFindingKind, AuditHead, verify_audit_logs
from bot.audit.head_copies import bucket, copied
from bot.boundary.inbound import Exit
from bot.boundary.printable import safe
from bot.config import Settings
from runbooks.clients.aws.bucket import Bucket
from runbooks.clients.kubernetes.cluster import ClusterClient
from runbooks.fleet.fleet import Fleet
from runbooks.kit.errors import RunbookError
from runbooks.kit.reasons import ReasonCode
from runbooks.wording import counted

ASKED_SECONDS = 10.0


def prove(books: Sequence[Path], settings: Settings | None, *, as_json: bool) -> int:
    """Verify the logs and return exit status 1 if anything is wrong. Without `settings` the fleet is not asked, so a cut-off end may go unnoticed."""
    heads, changed, missing = asyncio.run(known_heads(settings)) if settings else ([], [], ["no fleet is configured"])
    found = [*changed, *verify_audit_logs(books, heads)]
    if as_json:
        _write(json.dumps(_document(books, found, heads, missing), indent=2))
        return Exit.FAILED if found else Exit.OK
    for finding in found:
        _write(f"✗ {safe(finding.sentence)}")
    for why in missing:
        _write(f"! A cut-off end may go unnoticed: {safe(why)}.")
    if not found:
        against = f", up to {counted(len(heads), 'head')} in the fleet's record" if heads else ""
        _write(
            f"✓ {', '.join(safe(str(book)) for book in books)}: nothing was edited, removed, moved or inserted{against}."
        )
    return Exit.FAILED if found else Exit.OK


def _document(
    books: Sequence[Path], found: Sequence[AuditFinding], heads: Sequence[AuditHead], missing: Sequence[str]
) -> dict[str, object]:
    return {
        "books": [str(book) for book in books],
        "whole": not found,
        "heads": [{"book": head.book, "number": head.seq} for head in heads],
        "not_asked": list(missing),
        "findings": [
            {"kind": each.kind, "book": each.book, "first": each.seq, "last": each.last, "sentence": each.sentence}
            for each in found
        ],
    }


async def known_heads(settings: Settings) -> tuple[list[AuditHead], list[AuditFinding], list[str]]:
    """Return the heads in each environment's fleet record and in the bucket, which of them were changed, and which could not be read."""

    async def ask(name: str) -> list[AuditHead] | AuditFinding | str:
        where = settings.environments[name].home_cluster
        try:
            async with (
                asyncio.timeout(ASKED_SECONDS),
                ClusterClient(
                    kubeconfig=str(where.kubeconfig) if where.kubeconfig else None, context=where.context
                ) as client,
            ):
                heads = await Fleet(client).heads(settings.environment(name))
        except RunbookError as error:
            if error.code is ReasonCode.RECORD_UNREADABLE:
                sentence = f"{name}: the heads in the fleet's record can't be read: they were changed."
                return AuditFinding(AuditFindingKind.RECORD, name, sentence)
            return f"{name}: {error.message.rstrip('.')}"
        except TimeoutError:
            return f"{name}: the cluster did not answer within {ASKED_SECONDS:g} s"
        return [AuditHead(book=head.book, seq=head.number, hash=head.hash) for kept in heads.values() for head in kept]

    async def ask_bucket(where: Bucket) -> list[AuditHead] | AuditFinding | str:
        try:
            async with asyncio.timeout(ASKED_SECONDS):
                return await copied(where)
        except RunbookError as error:
            return error.message.rstrip(".")
        except TimeoutError:
            return f"the bucket {where.settings.bucket} did not answer within {ASKED_SECONDS:g} s"

    where = bucket(settings)
    asked = [ask(name) for name in settings.environments] + ([ask_bucket(where)] if where is not None else [])
    answers = await asyncio.gather(*asked)
    # not by number, because two with one number may differ
    heads = dict.fromkeys(head for answer in answers if isinstance(answer, list) for head in answer)
    changed = [answer for answer in answers if isinstance(answer, AuditFinding)]
    return [*heads], changed, [answer for answer in answers if isinstance(answer, str)]


def _write(line: str) -> None:
    sys.stdout.write(f"{line}\n")
