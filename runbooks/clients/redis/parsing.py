"""What a node tells, as typed values. What is missing or has another form is None: unknown, never zero."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime

from runbooks.clients.redis.access import PORT
from runbooks.kit.addresses import joined

_LARGEST = 256 << 10
"""Characters of `INFO` that are read: a server tells some ten thousand."""
_NODES = 60
_REPLICAS = 20
_ERRORS = 40
_WORD = 40
_HOST = re.compile(r"[A-Za-z0-9][A-Za-z0-9.:_-]{0,252}")
_LONGEST = 100 * 366 * 86400
"""Seconds that can be told; more is no time."""
_PAIR, _ENTRY = 2, 4
"""Parts of a range or a setting, and those that an entry of the slow log has at least."""


@dataclass(frozen=True, slots=True)
class ReplicaLink:
    """A replica as its primary sees it."""

    address: str
    state: str
    """`online`, or where it stands in the first copy: `wait_bgsave`, `send_bulk`."""
    offset: int | None
    lag: int | None
    """Seconds since its last acknowledgement; it gives one each second."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeFacts:
    """`INFO` of one node."""

    version: str
    """`Redis 7.0.15`, `Valkey 8.0.1`."""
    cluster: bool | None
    uptime: int | None
    """Seconds."""
    loading: bool | None
    clients: int | None
    most_clients: int | None
    blocked: int | None
    rejected: int | None
    """Connections that were refused because there were too many."""
    memory: int | None
    peak: int | None
    most_memory: int | None
    """Bytes; 0: no limit."""
    policy: str
    """What is evicted when the memory is full; empty where it is not told."""
    evicted: int | None
    hits: int | None
    misses: int | None
    operations: int | None
    """A second, lately."""
    keys: int | None
    saved: bool | None
    """Whether the last snapshot to disk was written; None where there is none."""
    appended: bool | None
    """Whether the append-only file can be written; None without one."""
    unsaved: int | None
    """Changes since the last snapshot."""
    primary: bool | None
    link_up: bool | None
    """Of a replica: whether it is connected to its primary."""
    link_down: int | None
    """Seconds since the link was lost."""
    copying: bool | None
    """Of a replica: it is getting everything anew."""
    offset: int | None
    """How far a primary has written, and a replica has read: bytes of the replication stream."""
    replicas: tuple[ReplicaLink, ...]
    errors: Mapping[str, int] = field(default_factory=dict)
    """Error → how often it was the answer since the start: `OOM`, `WRONGPASS`."""


@dataclass(frozen=True, slots=True)
class ClusterHealth:
    """`CLUSTER INFO` of one node."""

    well: bool | None
    """Whether the node takes commands."""
    assigned: int | None
    failing: int | None
    """Slots whose node does not answer, as the majority sees it."""


@dataclass(frozen=True, slots=True)
class Member:
    """A node as the cluster lists it."""

    address: str
    shard: int
    """From 1, in the order of the slots."""
    primary: bool
    health: str
    """`online`, `loading`, `failed`."""


@dataclass(frozen=True, slots=True)
class SlowEntry:
    """A command of the slow log. The arguments never leave `runbooks.cache`."""

    at: datetime | None
    microseconds: int
    arguments: tuple[bytes, ...] = field(repr=False)


def facts_of(reply: object) -> NodeFacts:
    """Return what `INFO` tells."""
    told = dict(_lines(_text(reply)[:_LARGEST]))
    primary = {"master": True, "slave": False}.get(told.get("role", ""))
    appends = told.get("aof_enabled") == "1"
    return NodeFacts(
        version=_version(told),
        cluster=_flag(told.get("cluster_enabled")),
        uptime=_seconds(told.get("uptime_in_seconds")),
        loading=_flag(told.get("loading")),
        clients=_number(told.get("connected_clients")),
        most_clients=_number(told.get("maxclients")),
        blocked=_number(told.get("blocked_clients")),
        rejected=_number(told.get("rejected_connections")),
        memory=_number(told.get("used_memory")),
        peak=_number(told.get("used_memory_peak")),
        most_memory=_number(told.get("maxmemory")),
        policy=_word(told.get("maxmemory_policy")),
        evicted=_number(told.get("evicted_keys")),
        hits=_number(told.get("keyspace_hits")),
        misses=_number(told.get("keyspace_misses")),
        operations=_number(told.get("instantaneous_ops_per_sec")),
        keys=_keys(told),
        saved=_ok(told.get("rdb_last_bgsave_status")),
        appended=_ok(told.get("aof_last_write_status")) if appends else None,
        unsaved=_number(told.get("rdb_changes_since_last_save")),
        primary=primary,
        link_up=None if primary is not False else {"up": True, "down": False}.get(told.get("master_link_status", "")),
        link_down=_seconds(told.get("master_link_down_since_seconds")),
        copying=_flag(told.get("master_sync_in_progress")),
        offset=_number(told.get("master_repl_offset" if primary else "slave_repl_offset")),
        replicas=tuple(_replicas(told)),
        errors=dict(_errors(told)),
    )


def health_of(reply: object) -> ClusterHealth:
    """Return what `CLUSTER INFO` tells."""
    told = dict(_lines(_text(reply)[:_LARGEST]))
    return ClusterHealth(
        {"ok": True, "fail": False}.get(told.get("cluster_state", "")),
        _number(told.get("cluster_slots_assigned")),
        _number(told.get("cluster_slots_fail")),
    )


def members_of(reply: object, *, tls: bool) -> tuple[Member, ...]:
    """Return the nodes that `CLUSTER SHARDS` lists; what is not in its form is left out."""
    shards = [_paired(each) for each in _items(reply)]
    shards.sort(key=_first_slot)
    found: list[Member] = []
    for number, shard in enumerate(shards, 1):
        for node in map(_paired, _items(shard.get("nodes"))):
            host = _host(_text(node.get("endpoint"))) or _host(_text(node.get("ip")))
            port = (node.get("tls-port") if tls else None) or node.get("port") or PORT
            role, health = _text(node.get("role")), _word(_text(node.get("health")))
            if host and isinstance(port, int) and 0 < port < 1 << 16:
                found.append(Member(joined(host, port), number, role == "master", health))
    return tuple(found[:_NODES])


def slow_of(reply: object) -> tuple[SlowEntry, ...]:
    """Return the entries of `SLOWLOG GET`, the newest first; what is not in its form is left out."""
    found = []
    for entry in map(_items, _items(reply)):
        if len(entry) >= _ENTRY and isinstance(entry[2], int):
            arguments = tuple(each for each in _items(entry[3]) if isinstance(each, bytes))
            found.append(SlowEntry(_moment(entry[1]), entry[2], arguments))
    return tuple(found)


def setting_of(reply: object) -> int | None:
    """Return the number that `CONFIG GET` of one setting tells."""
    pair = _items(reply)
    return _number(_text(pair[1])) if len(pair) == _PAIR else None


def _lines(text: str) -> Iterator[tuple[str, str]]:
    for line in text.splitlines():
        name, colon, value = line.partition(":")
        if colon and not line.startswith("#"):
            yield name, value.strip()


def _version(told: Mapping[str, str]) -> str:
    name = "Valkey" if told.get("server_name") == "valkey" else "Redis"
    return f"{name} {_word(told.get('valkey_version') or told.get('redis_version')) or 'of an unknown version'}"


def _replicas(told: Mapping[str, str]) -> Iterator[ReplicaLink]:
    for place in range(_REPLICAS):
        parts = dict(each.partition("=")[::2] for each in told.get(f"slave{place}", "").split(",") if each)
        port = _number(parts.get("port"))
        host = _host(parts.get("ip", ""))
        if host and port:
            lag = _seconds(parts.get("lag"))
            yield ReplicaLink(joined(host, port), _word(parts.get("state")), _number(parts.get("offset")), lag)


def _errors(told: Mapping[str, str]) -> Iterator[tuple[str, int]]:
    for name in [each for each in told if each.startswith("errorstat_")][:_ERRORS]:
        count = _number(told[name].removeprefix("count="))
        if count is not None:
            yield _word(name.removeprefix("errorstat_")), count


def _keys(told: Mapping[str, str]) -> int | None:
    """A server without keys has no line about them."""
    if "redis_version" not in told:
        return None
    found = [told[name] for name in told if name.startswith("db") and name[2:].isdigit()]
    return sum(_number(each.partition(",")[0].removeprefix("keys=")) or 0 for each in found)


def _paired(reply: object) -> dict[str, object]:
    """Return the map that RESP 2 writes as a list of names and values in turn."""
    items = _items(reply)
    return {_text(name): value for name, value in zip(items[::2], items[1::2], strict=False)}


def _first_slot(shard: Mapping[str, object]) -> int:
    slots = _items(shard.get("slots"))
    return slots[0] if slots and isinstance(slots[0], int) else 1 << 20


def _items(reply: object) -> list[object]:
    return reply if isinstance(reply, list) else []


def _text(reply: object) -> str:
    if isinstance(reply, bytes):
        return reply.decode(errors="replace")
    return reply if isinstance(reply, str) else ""


def _word(text: str | None) -> str:
    """Return a name of the server's, such as a state, if it is short and plain."""
    found = text or ""
    return found if len(found) <= _WORD and all(each.isalnum() or each in "._-" for each in found) else ""


def _host(text: str) -> str:
    """Return a name or an IP address; a node that does not know its own says `?`."""
    return text if _HOST.fullmatch(text) else ""


def _number(text: str | None) -> int | None:
    try:
        return max(0, int(text)) if text is not None and len(text) <= _WORD else None
    except ValueError:
        return None


def _seconds(text: str | None) -> int | None:
    found = _number(text)
    return found if found is not None and found <= _LONGEST else None


def _flag(text: str | None) -> bool | None:
    return {"0": False, "1": True}.get(text or "")


def _ok(text: str | None) -> bool | None:
    return None if text is None else text == "ok"


def _moment(seconds: object) -> datetime | None:
    try:
        return datetime.fromtimestamp(seconds, UTC) if isinstance(seconds, int) else None
    except (OverflowError, OSError, ValueError):
        return None
