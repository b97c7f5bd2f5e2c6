"""Whatever a node answers is read without an error, and what is not in the documented form is unknown."""

from hypothesis import given
from hypothesis import strategies as st

from runbooks.cache import judging
from runbooks.cache.reading import CacheReading, NodeReading
from runbooks.cache.slow_log import shown
from runbooks.clients.redis.parsing import facts_of, health_of, members_of, setting_of, slow_of

_NAMES = (
    "redis_version", "role", "used_memory", "maxmemory", "maxmemory_policy", "slave0", "errorstat_OOM", "db0", "keyspace_hits",
    "keyspace_misses", "connected_clients", "maxclients", "loading", "uptime_in_seconds", "master_link_status", "aof_enabled",
    "aof_last_write_status", "rdb_last_bgsave_status", "master_repl_offset", "cluster_state", "cluster_slots_assigned",
)  # fmt: skip
_VALUES = st.one_of(
    st.integers(-(1 << 70), 1 << 70).map(str),
    st.sampled_from(("", "up", "down", "slave", "master", "fail", "ok", "count=x", "keys=7", "ip=a,port=1,state=online,lag=99", "ip=?,port=1")),
    st.text(max_size=50),
)  # fmt: skip
_INFO = st.lists(st.tuples(st.sampled_from(_NAMES), _VALUES), max_size=20).map(
    lambda pairs: "\r\n".join(f"{name}:{value}" for name, value in pairs).encode(errors="replace")
)
_LEAVES = st.none() | st.booleans() | st.integers() | st.binary(max_size=20) | st.text(max_size=20)
_FIELDS = st.sampled_from((b"slots", b"nodes", b"endpoint", b"ip", b"port", b"role", b"health"))
_REPLIES = st.recursive(_LEAVES | _FIELDS, lambda inner: st.lists(inner, max_size=6), max_leaves=30)


@given(_INFO | _REPLIES, _INFO | _REPLIES)
def test_two_looks_at_anything_are_judged(before: object, now: object) -> None:
    for primary in (True, False, None):
        node = NodeReading(
            address="10.0.0.4:6379",
            shard=2,
            listed_primary=primary,
            before=facts_of(before),
            facts=facts_of(now),
            seconds=1.0,
            health=health_of(now),
        )
        regions = {"": CacheReading(nodes=(node,))}
        found = judging.troubles(regions)
        assert judging.answer(regions, found)
        assert all(each.says.isprintable() for each in found)


@given(_REPLIES)
def test_any_list_of_nodes_and_any_slow_log_can_be_read(reply: object) -> None:
    for member in members_of(reply, tls=True):
        assert member.address.isprintable()
        assert " " not in member.address
    setting_of(reply)
    for entry in slow_of(reply):
        assert shown(entry).arguments >= 0


def test_what_no_clock_shows_is_no_time() -> None:
    said = facts_of(b"role:slave\r\nmaster_link_down_since_seconds:%b\r\nuptime_in_seconds:12\r\n" % (b"9" * 38))
    assert (said.link_down, said.uptime) == (None, 12)


def test_a_node_that_does_not_know_its_name_is_known_by_its_address() -> None:
    node = [b"id", b"x", b"port", 6379, b"ip", b"10.0.0.4", b"endpoint", b"?", b"role", b"master", b"health", b"online"]
    (member,) = members_of([[b"slots", [0, 16383], b"nodes", [node]]], tls=False)
    assert (member.address, member.primary) == ("10.0.0.4:6379", True)
    node = [b"tls-port", 6380, *node, b"hostname", b"cache.example"]
    (member,) = members_of([[b"slots", [0, 16383], b"nodes", [node]]], tls=True)
    assert member.address == "10.0.0.4:6380"
