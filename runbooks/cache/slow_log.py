"""The slow log without what it may tell of patients: the command, the plain words of its key, how long it took.

A key may be a name or a number of a patient, and arguments are values. Only words of a closed list are shown of a key; each other part is
a star. So nothing of a key has to be recognised as private.
"""

import re
from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime

from runbooks.clients.redis.parsing import SlowEntry

_PLAIN = """
    access account accounts active admin alert alerts api appointment appointments asset assets audit auth backend bull bullmq cache
    cached calendar chart charts clinic clinics completed config count counter counters csrf data delayed device devices dashboard
    document documents emr encounter encounters event events export failed feature features fhir flag flags form forms frontend global
    health id ids import index inbox items job jobs key keys lab labs last list lists live lock locks login map media medication
    medications message messages meta metrics notification notifications note notes observation observations offline omnicare order orders
    page pages paused patient patients pending permission permissions pool practitioner practitioners prescription prescriptions priority
    profile prod production provider providers pubsub push query queue queues rate ratelimit rate-limit rate_limit rate-limiter record
    records refresh report reports request requests result results retry role roles schedule schedules schema search session sessions set
    sets settings shard sid socket socketio state stats status stream streams summary sync sync_queue sync-queue tag tags tasks task temp
    template templates tenant tenants throttle tmp token tokens total ttl upload uploads user users vitals wait waiting websocket worker
    workers ws
"""
WORDS = frozenset(_PLAIN.split())
"""Plain words of applications' keys: what a thing is, never who it is about."""

_SEPARATOR = re.compile(r"[:/|#.{}]+")
_COMMAND = re.compile(rb"[A-Za-z]{1,20}")
_LONGEST = 60
_KEYED = """
    APPEND BITCOUNT BITPOS BLPOP BRPOP DECR DECRBY DEL DUMP EXISTS EXPIRE EXPIREAT GEOADD GET GETDEL GETEX GETRANGE GETSET HDEL HEXISTS
    HGET HGETALL HINCRBY HKEYS HLEN HMGET HMSET HRANDFIELD HSCAN HSET HSETNX HVALS INCR INCRBY LINDEX LINSERT LLEN LMOVE LPOP LPUSH LRANGE
    LREM LSET LTRIM MGET MSET PERSIST PEXPIRE PFADD PFCOUNT PSETEX PTTL RENAME RESTORE RPOP RPUSH SADD SCARD SDIFF SET SETEX SETNX SETRANGE
    SINTER SISMEMBER SMEMBERS SORT SPOP SRANDMEMBER SREM SSCAN STRLEN SUNION TOUCH TTL TYPE UNLINK WATCH XACK XADD XLEN XRANGE XREVRANGE
    XTRIM ZADD ZCARD ZCOUNT ZINCRBY ZRANGE ZRANGEBYLEX ZRANGEBYSCORE ZRANK ZREM ZREMRANGEBYRANK ZREMRANGEBYSCORE ZREVRANGE ZSCAN ZSCORE
"""
_FIRST_IS_KEY = frozenset(_KEYED.split())
_SCRIPTS = frozenset({"EVAL", "EVALSHA", "EVAL_RO", "EVALSHA_RO", "FCALL", "FCALL_RO"})


@dataclass(frozen=True, slots=True)
class SlowCommand:
    """One entry, as it may be shown."""

    command: str
    """`HGETALL`; empty where it is not a plain word."""
    key: str
    """Its first key's pattern, such as `patient/*/notes`; empty where the command has none."""
    arguments: int
    microseconds: int
    at: datetime | None


def shown(entry: SlowEntry, words: Collection[str] = ()) -> SlowCommand:
    """Return the entry without keys and arguments; `words`: more that may be shown of a key."""
    first = entry.arguments[0] if entry.arguments else b""
    command = first.decode().upper() if _COMMAND.fullmatch(first) else ""
    key = entry.arguments[_place(command)] if 0 < _place(command) < len(entry.arguments) else None
    return SlowCommand(
        command=command,
        key=pattern(key, words) if key is not None else "",
        arguments=max(0, len(entry.arguments) - 1),
        microseconds=entry.microseconds,
        at=entry.at,
    )


def pattern(key: bytes, words: Collection[str] = ()) -> str:
    """Return a key with a star for what is between known words: `patient:4711:1970:notes` is `patient/*/notes`. With a colon between them redaction would take them for a name and its secret value."""
    parts = _SEPARATOR.split(key[:_LONGEST].decode("ascii", errors="replace"))
    known = {each.lower() for each in words} | WORDS
    kept = [part if part.lower() in known else "*" for part in parts if part]
    if len(key) > _LONGEST and kept:
        kept[-1] = "*"
    return "/".join(part for place, part in enumerate(kept) if part != "*" or kept[place - 1 : place] != ["*"]) or "*"


def _place(command: str) -> int:
    """Return where the command's first key is among its words; 0: it has none."""
    if command in _SCRIPTS:
        return 3
    return 1 if command in _FIRST_IS_KEY else 0
