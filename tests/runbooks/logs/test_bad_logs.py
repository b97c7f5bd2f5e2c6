"""Logs in a bad way: a pod that floods, patients everywhere, streams that hang, nodes that answer for a log that is lost."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from runbooks import logs
from runbooks.diagnosis import evidence
from runbooks.kit.steps import PlainPulse
from runbooks.logs import Asked, LogLevel, LogLimits
from runbooks.observe.descriptions import describe
from sandbox.cluster import Cluster
from sandbox.cluster.log_moods import ANNOTATION, Mood
from sandbox.cluster.settings import Settings
from tests.support.real import Place, place

QUICK = LogLimits(stream=10.0, silence=0.7, all=12.0)
NAMES = ("Maria", "Lopez", "Haddad", "Adeyemi", "LOPEZ", "HADDAD")


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[tuple[Cluster, Place]]:
    cluster = Cluster(Settings(start_seconds=(0.05, 0.1), stop_seconds=0.1, crash_seconds=0.1, restart_seconds=0.2))
    async with cluster.serve():
        written = tmp_path / "admin.kubeconfig"
        written.write_text(cluster.kubeconfig())
        async with place(str(written)) as here:
            await here.deploy("backend", replicas=3)
            yield cluster, here


def _moody(world: tuple[Cluster, Place], mood: Mood, *, every: bool = False) -> list[str]:
    cluster, here = world
    pods = sorted(pod.name for pod in cluster.pods(here.namespace))
    for name in pods if every else pods[:1]:
        cluster.annotate_pod(here.namespace, name, ANNOTATION, mood)
    return [name.rsplit("-", 1)[-1] for name in pods]


async def test_a_stream_that_hangs_is_named_and_the_others_are_shown(world: tuple[Cluster, Place]):
    pods = _moody(world, Mood.HANG)
    found = await logs.read(world[1].cluster, world[1].environment, Asked(target="backend"), limits=QUICK)
    assert [(each.pod, each.why) for each in found.silent] == [(pods[0], "no data for 0.7 s")]
    assert {line.pod for line in found.lines} == set(pods[1:])


async def test_a_node_that_has_lost_the_log_is_quoted_and_its_sentence_is_no_line(world: tuple[Cluster, Place]):
    pods = _moody(world, Mood.LOST)
    found = await logs.read(world[1].cluster, world[1].environment, Asked(target="backend"), limits=QUICK)
    (silent,) = found.silent
    assert silent.pod == pods[0]
    assert "unable to retrieve container logs" in silent.why
    assert {line.pod for line in found.lines} == set(pods[1:])


async def test_a_log_that_is_rotated_is_followed_without_a_gap_and_nothing_comes_twice(world: tuple[Cluster, Place]):
    pods = _moody(world, Mood.ROTATED)
    numbers: list[int] = []
    cluster, environment = world[1].cluster, world[1].environment
    async with (
        asyncio.timeout(90),
        aclosing(logs.follow(cluster, environment, Asked(target=pods[0]), moment=0.1)) as moments,
    ):
        async for fresh in moments:
            numbers += [int(line.text.rpartition(" ")[2]) for line in fresh.lines if "entry" in line.text]
            if numbers and numbers[-1] // 200 > numbers[0] // 200 + 2:  # one file ended the stream, one did not
                break
    assert numbers == list(range(numbers[0], numbers[0] + len(numbers)))


async def test_what_the_node_says_between_the_lines_is_shown_while_it_is_followed(world: tuple[Cluster, Place]):
    pods = _moody(world, Mood.SENTENCE)
    cluster, environment = world[1].cluster, world[1].environment
    async with (
        asyncio.timeout(60),
        aclosing(logs.follow(cluster, environment, Asked(target=pods[0]), moment=0.1)) as moments,
    ):
        async for fresh in moments:
            said = [line.text for line in fresh.lines if "watch" in line.text]
            if said:
                break
    assert said[0] == "failed to watch log file: too many open files"


async def test_all_streams_end_when_the_time_is_over(world: tuple[Cluster, Place]):
    _moody(world, Mood.HANG, every=True)
    async with asyncio.timeout(60):
        found = await logs.read(
            world[1].cluster,
            world[1].environment,
            Asked(target="backend"),
            limits=LogLimits(stream=600, silence=600, all=0.3),
        )
    assert found.lines == ()
    assert [each.why for each in found.silent] == ["not read in time"] * 3


async def test_a_pod_that_floods_is_seen_in_the_summary_and_what_drowns_in_it_too(world: tuple[Cluster, Place]):
    pods = _moody(world, Mood.FLOOD)
    asked = Asked(target="backend", since=datetime.now(UTC) - timedelta(minutes=10), tail=20)
    while True:  # it writes while the test looks
        found = await logs.read(world[1].cluster, world[1].environment, asked)
        if found.groups.levels.get(LogLevel.FATAL) and found.counts.matching > 500:
            break
    first = found.groups.shapes[0]
    assert first.text == "ERROR retry # of request <id> failed: ECONNRESET postgres-primary:#"
    assert [found.labels[source] for source in first.sources] == [pods[0]]
    assert any(shape.text.startswith("FATAL connection pool") for shape in found.groups.shapes)
    assert len(found.lines) == 20
    assert found.counts.left_out == found.counts.matching - 20


async def test_nothing_of_patients_leaves(world: tuple[Cluster, Place]):
    _moody(world, Mood.PATIENTS, every=True)
    asked = Asked(target="backend", tail=5000, since=datetime.now(UTC) - timedelta(hours=1))
    while True:  # it writes while the test looks
        found = await logs.read(world[1].cluster, world[1].environment, asked)
        if found.removed:
            break
    text = "\n".join([line.text for line in found.lines if "resourceType" not in line.text and "PID|" not in line.text])
    assert found.lines
    for name in NAMES:
        assert f"patient {name}" not in text
    assert sum(found.removed.values()) > 0


@pytest.mark.parametrize("grep", [None, "a"])
async def test_nothing_of_patients_leaves_over_several_lines_wherever_the_tail_begins(
    world: tuple[Cluster, Place], grep: str | None
):
    _moody(world, Mood.BLOCKS, every=True)
    for tail in range(8, 38):
        asked = Asked(target="backend", tail=tail, grep=grep)
        found = await logs.read(world[1].cluster, world[1].environment, asked)
        text = found.model_dump_json()
        assert found.lines
        assert [name for name in NAMES if name in text] == []
    assert any("active" in line.text for line in found.lines), "what says nothing of anybody stays"


async def test_a_person_is_not_found_by_a_pattern_that_sees_only_a_line_of_a_block(world: tuple[Cluster, Place]):
    _moody(world, Mood.BLOCKS, every=True)
    since = datetime.now(UTC) - timedelta(minutes=10)
    for name in NAMES:
        found = await logs.read(
            world[1].cluster,
            world[1].environment,
            Asked(target="backend", since=since, grep=f'"{name}|="{name}|\\*{name}'),
        )
        assert (name, found.counts.matching) == (name, 0)


async def test_nothing_of_patients_is_followed_over_several_lines(world: tuple[Cluster, Place]):
    _moody(world, Mood.BLOCKS, every=True)
    cluster, environment = world[1].cluster, world[1].environment
    text = ""
    async with (
        asyncio.timeout(60),
        aclosing(logs.follow(cluster, environment, Asked(target="backend"), moment=0.1)) as moments,
    ):
        async for fresh in moments:
            text += fresh.model_dump_json()
            if text.count("X12 message") > 3 and text.count("[name") > 6:
                break
    assert [name for name in NAMES if name in text] == []


async def test_nothing_of_patients_is_kept_over_several_lines(world: tuple[Cluster, Place]):
    _moody(world, Mood.BLOCKS, every=True)
    here = world[1]
    await evidence.keep(PlainPulse("production.rollback.0f3a"), here.cluster, here.environment, ["backend"])
    told = await evidence.find(here.cluster, here.environment, "production.rollback.0f3a")
    assert told is not None
    assert "X12" in told.text
    assert [name for name in NAMES if name in told.text] == []


async def test_json_lines_are_read(world: tuple[Cluster, Place]):
    _moody(world, Mood.JSON, every=True)
    while True:
        found = await logs.read(world[1].cluster, world[1].environment, Asked(target="backend", tail=200))
        lines = [line for line in found.lines if line.message]
        if len(lines) > 8:
            break
    assert {line.message for line in lines} <= {"request done", "slow query", "sync failed", "cache miss"}
    assert all(len(line.trace) == 32 for line in lines)
    assert found.groups.shapes[0].text in {"request done", "slow query", "sync failed", "cache miss"}


async def test_every_container_of_the_pods_by_its_name(world: tuple[Cluster, Place]):
    here = world[1]
    extra = {"name": "proxy", "image": "x/proxy:v1"}
    await here.patch("backend", {"op": "add", "path": "/spec/template/spec/containers/-", "value": extra})
    await here.until("backend", lambda d: d.rolled_out)
    one = await logs.read(here.cluster, here.environment, Asked(target="backend"))
    every = await logs.read(here.cluster, here.environment, Asked(target="backend", every_container=True))
    assert all("/" not in line.pod for line in one.lines)
    assert {line.pod.partition("/")[2] for line in every.lines} == {"backend", "proxy"}
    assert every.counts.streams > one.counts.streams


async def test_a_container_that_was_put_into_a_running_pod_is_described_and_read(world: tuple[Cluster, Place]):
    cluster, here = world
    name = min(pod.name for pod in cluster.pods(here.namespace))
    cluster.add_ephemeral(here.namespace, name, "debugger", "ghcr.io/omnicare/tools:v1")
    one = await logs.read(here.cluster, here.environment, Asked(target=name))
    every = await logs.read(here.cluster, here.environment, Asked(target=name, every_container=True))
    assert one.counts.streams == 1
    assert {line.pod.partition("/")[2] for line in every.lines} == {"backend", "debugger"}
    found = await describe(here.cluster, here.environment, name)
    assert [(each.name, each.state) for each in found.containers] == [
        ("backend", "running, ready"), ("debugger (ephemeral)", "running")
    ]  # fmt: skip


async def test_a_container_that_comes_while_its_pod_is_followed_is_followed_too(world: tuple[Cluster, Place]):
    cluster, here = world
    name = min(pod.name for pod in cluster.pods(here.namespace))
    asked = Asked(target="backend", every_container=True)
    async with (
        asyncio.timeout(60),
        aclosing(logs.follow(here.cluster, here.environment, asked, moment=0.1)) as moments,
    ):
        await anext(moments)
        cluster.add_ephemeral(here.namespace, name, "debugger", "ghcr.io/omnicare/tools:v1")
        async for fresh in moments:
            if opening := [line.text for line in fresh.lines if line.pod.endswith("/debugger")]:
                break
    assert opening[0].startswith("INFO  debugger starting"), "all that it has said since it began"


async def test_the_life_before_a_crash(world: tuple[Cluster, Place]):
    here = world[1]
    await here.set_image("backend", "ghcr.io/omnicare/backend:v2.0.0-crash")
    crashed = None
    async with asyncio.timeout(60):
        while crashed is None:
            pods = await here.cluster.pods(here.namespace)
            crashed = next((pod for pod in pods if pod.restarts), None)
            await asyncio.sleep(0.05)
    found = await logs.read(here.cluster, here.environment, Asked(target=crashed.name, previous=True))
    assert found.lines[-1].text.startswith("FATAL cannot connect")
    assert found.lines[-1].level is LogLevel.FATAL
    assert "before its last restart: Error, exit code 1" in found.notes[0]
