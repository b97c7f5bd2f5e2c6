"""What logs say of WebSocket connections: drops by minute, code, reason and pod; where they can't tell, they say so."""

import re
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from runbooks.clients.kubernetes.cluster import ClusterClient
from runbooks.clients.kubernetes.views import PodView
from runbooks.kit.targets import Environment, Service
from runbooks.logs import Groups, LogCounts, LogLine, LogReading, Silent
from runbooks.logs.blocks import stamped
from runbooks.websockets import reading
from runbooks.websockets.reading import LineKind, Spread, WebsocketReading, event_of, look, read
from runbooks.websockets.settings import MINUTES, WINDOW, WebsocketSettings
from sandbox.cluster import Cluster, seed_omnicare
from sandbox.cluster.log_moods import ANNOTATION, Mood, annotation
from sandbox.cluster.settings import Settings

NOW = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)
START = NOW - timedelta(minutes=MINUTES)
BACKEND = Service(name="backend", deployment="backend", container="backend", repository="ghcr.io/omnicare/backend")
ENVIRONMENT = Environment(
    name="production", namespace="omnicare-prod", record_namespace="omnicare-bot", services=(BACKEND,)
)
PODS = ("x2lqp", "m4wnd", "t9kfs")


@pytest.mark.parametrize(
    ("text", "kind", "code", "reason"),
    [
        ("WARN  websocket connection lost client=7 code=1006", LineKind.DROPPED, 1006, ""),
        ("INFO websocket closed code=1000", LineKind.CLOSED, 1000, ""),
        ("INFO websocket closed code: 1011 reason=internal error client=7", LineKind.DROPPED, 1011, "internal error"),
        ('INFO socket.io disconnect reason="ping timeout"', LineKind.DROPPED, None, "ping timeout"),
        ("INFO socket.io disconnect reason=client namespace disconnect", LineKind.CLOSED, None, "client namespace disconnect"),
        ("INFO websocket connection opened client=61", LineKind.OPENED, None, ""),
        ("ERROR websocket upgrade failed: 502", LineKind.REFUSED, None, ""),
        ('{"level":"warn","msg":"websocket closed","code":1006,"reason":"read ECONNRESET"}', LineKind.DROPPED, 1006, "read ECONNRESET"),
        ("WARN websocket closed code=1008 reason=token of Maria Lopez expired", LineKind.DROPPED, 1008, "token of … expired"),
        ('{"msg":"websocket closed","code":true,"reason":["Maria"]}', LineKind.CLOSED, None, ""),
        ('{"msg":"websocket closed","code":99999999}', LineKind.CLOSED, None, ""),
    ],
)  # fmt: skip
def test_a_line_tells_how_a_connection_fared_and_nothing_of_a_person(
    text: str, kind: LineKind, code: int | None, reason: str
):
    event = event_of(LogLine(at="", pod="x2lqp", text=text))
    assert event is not None
    assert (event.kind, event.code, event.reason) == (kind, code, reason)


def test_a_line_about_something_else_is_none():
    assert event_of(LogLine(at="", pod="x2lqp", text="INFO websocket pool has 12 workers")) is None


@pytest.mark.parametrize(
    ("text", "kind", "code"),
    [
        (f"websocket closed code=1006 reason={' ' * 3700}{'x' * 210}", LineKind.DROPPED, 1006),
        (f"websocket closed code={' ' * 3900}1006", LineKind.DROPPED, 1006),
        (f"websocket closed {'reason=' * 500}", LineKind.CLOSED, None),
        ('{"msg":"websocket closed \\ud800","code":1006,"reason":"\\ud800"}', LineKind.DROPPED, 1006),
    ],
)
def test_a_line_of_any_shape_is_read_in_linear_time(text: str, kind: LineKind, code: int | None):
    event = event_of(LogLine(at="", pod="x2lqp", text=text))
    assert event is not None
    assert (event.kind, event.code) == (kind, code)
    assert not [name for name, each in vars(reading).items() if isinstance(each, re.Pattern)], "google-re2 is linear"


def found(drops: Iterable[tuple[float, str]], *, begins: timedelta = timedelta(0), **more: Any) -> LogReading:
    """A reading with a drop at each (minute, pod)."""
    text = "WARN websocket connection lost code=1006"
    lines = tuple(LogLine(at=stamped(START + timedelta(minutes=at)), pod=pod, text=text) for at, pod in sorted(drops))
    groups = Groups(levels={}, shapes=(), rarer=0)
    begun = (stamped(START + begins),) * len(PODS)
    counts = LogCounts(streams=3, read=len(lines), matching=len(lines), shown=len(lines))
    return LogReading(title="backend", counts=counts, lines=lines, groups=groups, labels=PODS, begins=begun, **more)


def pods(nodes: Iterable[str] = ("node-1", "node-2", "node-3")) -> list[PodView]:
    return [
        PodView(
            namespace="omnicare-prod", name=f"backend-7c9f-{end}", uid=end, resource_version="1", created="", owner="",
            phase="Running", ready=True, deleting=False, unschedulable="", asked=(), containers=(), node=node,
        )
        for end, node in zip(PODS, nodes, strict=True)
    ]  # fmt: skip


def spread_over(which: Iterable[str], a_minute: int, first: int) -> list[tuple[float, str]]:
    return [(at + n / a_minute, pod) for at in range(first, MINUTES) for n in range(a_minute) for pod in which]


def test_a_rise_is_dated_and_its_pods_are_compared():
    usual = [(at + 0.5, PODS[at % 3]) for at in range(MINUTES)]
    every = read(found([*usual, *spread_over(PODS, 5, 18)]), pods(), BACKEND, START)
    assert every.rise is not None
    assert (every.rise.at - START) / timedelta(minutes=1) == 18
    assert (every.rise.before, every.rise.after) == (1, 16)
    assert every.spread is Spread.ALL
    one = read(found([*usual, *spread_over(PODS[:1], 15, 18)]), pods(), BACKEND, START)
    assert (one.spread, one.pods[0].pod) == (Spread.ONE_POD, "backend-7c9f-x2lqp")
    node = read(found([*usual, *spread_over(PODS[:2], 8, 18)]), pods(("a", "a", "b")), BACKEND, START)
    assert node.spread is Spread.ONE_NODE


def test_what_began_three_minutes_ago_is_seen_and_one_bad_minute_is_not():
    usual = [(at + 0.5, PODS[0]) for at in range(MINUTES)]
    fresh = read(found([*usual, *spread_over(PODS, 4, 27)]), pods(), BACKEND, START)
    assert fresh.rise is not None
    assert (fresh.rise.at - START) / timedelta(minutes=1) == 27
    burst = [(20 + n / 40, PODS[0]) for n in range(40)]
    assert read(found([*usual, *burst]), pods(), BACKEND, START).rise is None
    assert read(found(usual), pods(), BACKEND, START).rise is None
    over = [(at, pod) for at, pod in spread_over(PODS, 5, 5) if at < 15]
    assert read(found([*usual, *over]), pods(), BACKEND, START).rise is None, "it is over"


def test_minutes_before_the_logs_begin_are_unknown_and_not_quiet():
    reading = read(found(spread_over(PODS, 3, 20), begins=timedelta(minutes=19.5)), pods(), BACKEND, START)
    assert reading.minutes[:20] == (None,) * 20
    assert reading.minutes[20:] == (9.0,) * 10
    assert reading.rise is None, "nothing says that it was better before"
    assert reading.known_from == START + timedelta(minutes=20)


def test_a_pod_whose_log_is_missing_is_named_and_nothing_is_known_without_any():
    silent = (Silent(pod=PODS[1], why="no data for 5 s"),)
    reading = read(found([], silent=silent), pods(), BACKEND, START)
    assert [each.label for each in reading.pods if each.unread] == [PODS[1]]
    none = read(found([]).model_copy(update={"begins": ("", "", "")}), pods(), BACKEND, START)
    assert none.per_minute is None
    assert none.known_from is None


@asynccontextmanager
async def sandbox(tmp_path: Path) -> AsyncIterator[tuple[Cluster, ClusterClient]]:
    """The sandbox's cluster with its services, and a client of it."""
    cluster = Cluster(Settings(nodes=3))
    seed_omnicare(cluster)
    async with cluster.serve():
        (tmp_path / "kubeconfig").write_text(cluster.kubeconfig())
        async with ClusterClient(kubeconfig=str(tmp_path / "kubeconfig")) as client:
            yield cluster, client


def cut(cluster: Cluster) -> None:
    for pod in cluster.pods("omnicare-prod"):
        cluster.annotate_pod("omnicare-prod", pod.name, ANNOTATION, annotation(Mood.DROPS, cluster.clock.now()))


async def test_the_sandboxs_backend_is_steady_until_its_connections_are_cut(tmp_path: Path):
    async with sandbox(tmp_path) as (cluster, client):
        now = datetime.now(UTC)
        well = await look(client, ENVIRONMENT, BACKEND, WebsocketSettings(), now)
        assert well.rise is None
        assert well.orderly > well.drops > 0
        cut(cluster)
        ill = await look(client, ENVIRONMENT, BACKEND, WebsocketSettings(), now)
    assert ill.rise is not None
    assert abs(ill.rise.at - (now - timedelta(minutes=9))) < timedelta(minutes=2)
    assert ill.spread is Spread.ALL
    assert (ill.closes[0].code, ill.closes[0].reason) == (1006, "idle timeout")


async def test_who_asks_some_seconds_later_is_told_the_same_time(tmp_path: Path):
    async with sandbox(tmp_path) as (cluster, client):
        cut(cluster)
        minute = datetime.now(UTC).replace(second=0, microsecond=0)
        asked = [minute + timedelta(seconds=at) for at in (0, 17, 44, 59.9)]
        rises = [(await look(client, ENVIRONMENT, BACKEND, WebsocketSettings(), now)).rise for now in asked]
    assert all(rise is not None and rise.at.second == 0 for rise in rises)
    assert len({rise.at for rise in rises if rise is not None}) == 1


async def test_of_very_many_pods_some_are_read_and_that_is_said(tmp_path: Path):
    async with sandbox(tmp_path) as (_, client):
        some = await look(client, ENVIRONMENT, BACKEND, WebsocketSettings(), datetime.now(UTC), most=2)
    assert len(some.pods) == 2
    assert some.partly == "Only 2 of 3 pods were read, so there are more drops than counted."


def test_drops_a_minute_are_of_the_same_window_by_the_logs_and_by_prometheus():
    quiet = WebsocketReading(service="backend", start=START, minutes=(None, 9.0, 9.0, 1.0, 2.0, 3.0, 4.0, 5.0))
    assert quiet.per_minute == 3.0  # the last five
    assert quiet.model_copy(update={"minutes": (None, None, 4.0)}).per_minute == 4.0
    drops = next(each for each in WebsocketSettings().queries() if each.name == "drops")
    assert f"[{WINDOW}m]" in drops.query
    assert "$window" not in drops.query
