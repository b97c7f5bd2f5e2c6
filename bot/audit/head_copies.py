"""Heads of the audit log as objects of a bucket, each written once; its key says all of it, so a list of keys is a list of heads."""

import json
import re
from urllib.parse import quote, unquote

from bot.audit import AuditHead
from bot.config import Settings
from runbooks.clients.aws.bucket import Bucket

_KEY = re.compile(r"([^/]+)/([0-9]{1,19})-([0-9a-f]{64})\.json")


def bucket(settings: Settings) -> Bucket | None:
    """Return where heads are copied to."""
    where = settings.bot.audit_bucket
    return Bucket(where, throw_away=settings.bot.sandbox) if where is not None else None


async def copy(where: Bucket, head: AuditHead) -> None:
    """Write the head. Raises `RunbookError`: `ObjectThere` where it was copied before."""
    body = json.dumps({"book": head.book, "number": head.seq, "hash": head.hash}).encode()
    await where.put_new(f"{_folder(where)}{quote(head.book, safe='')}/{head.seq:012d}-{head.hash}.json", body)


async def copied(where: Bucket) -> list[AuditHead]:
    """Return all heads that were copied there. Raises `RunbookError`."""
    folder = _folder(where)
    found = [_KEY.fullmatch(key.removeprefix(folder)) for key in await where.keys(folder)]
    return [AuditHead(unquote(key[1]), int(key[2]), key[3]) for key in found if key is not None]


def _folder(where: Bucket) -> str:
    return f"{where.settings.prefix}audit-heads/"
