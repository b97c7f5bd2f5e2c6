"""A node's clock that jumps and is set back: each line is shown with its own time, and none is lost without a word."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runbooks import logs
from runbooks.logs import Asked
from runbooks.logs.blocks import Window
from runbooks.logs.grouping import Grouping
from runbooks.logs.newest import Newest
from runbooks.logs.reading import shown
from runbooks.redaction.redactor import default_redactor
from sandbox.cluster import Cluster
from sandbox.cluster.log_moods import ANNOTATION, Mood
from sandbox.cluster.settings import Settings
from tests.support.real import Place, place

UNTIL = "2026-01-01T10:30:00.000000000Z"


@pytest.fixture
async def jumping(tmp_path: Path) -> AsyncIterator[Place]:
    """A pod that says `entry 1`, `entry 2` and so on, every tenth of them stamped an hour late."""
    cluster = Cluster(Settings(start_seconds=(0.05, 0.1), stop_seconds=0.1))
    async with cluster.serve():
        written = tmp_path / "admin.kubeconfig"
        written.write_text(cluster.kubeconfig())
        async with place(str(written)) as here:
            await here.deploy("backend", replicas=1)
            (pod,) = cluster.pods(here.namespace)
            cluster.annotate_pod(here.namespace, pod.name, ANNOTATION, Mood.CLOCK)
            yield here


def _numbers(lines: list[logs.LogLine]) -> list[int]:
    return [int(line.text.rpartition(" ")[2]) for line in lines if "entry" in line.text]


async def test_until_keeps_the_lines_behind_a_jump_and_tells_of_those_it_leaves_out(jumping: Place):
    while True:  # it writes while the test looks
        asked = Asked(target="backend", tail=5000, until=datetime.now(UTC) + timedelta(minutes=30))
        found = await logs.read(jumping.cluster, jumping.environment, asked)
        numbers = _numbers(list(found.lines))
        if numbers and numbers[-1] > 24:
            break
    assert sorted(set(range(numbers[-1])) - set(numbers))[:2] == [2, 12]
    assert any("was set back" in note and "omitted" in note for note in found.notes)


async def test_lines_behind_a_jump_are_followed_in_their_pods_own_order(jumping: Place):
    lines: list[logs.LogLine] = []
    follow = logs.follow(jumping.cluster, jumping.environment, Asked(target="backend"), moment=0.3)
    async with asyncio.timeout(60), aclosing(follow) as moments:
        async for fresh in moments:
            lines += fresh.lines
            if len(lines) > 45:
                break
    numbers = _numbers(lines)
    assert numbers == list(range(numbers[0], numbers[0] + len(numbers)))
    assert any(line.at > lines[-1].at for line in lines[:-10]), "the clock has jumped"


def test_a_pod_whose_clock_jumped_once_does_not_outlive_the_others():
    newest = Newest(4)
    newest.offer([_line(f"10:00:{second:02}")[:-1] for second in range(0, 20, 2)], 0)
    newest.offer([_line(time)[:-1] for time in ("10:00:01", "11:00:00", "10:00:03", "10:00:15", "10:00:17")], 1)
    assert [(at[11:19], source) for at, source, _ in newest.entries()] == [
        ("10:00:15", 1), ("10:00:16", 0), ("10:00:17", 1), ("10:00:18", 0)
    ]  # fmt: skip


@given(
    st.lists(st.lists(st.integers(0, 59).map("10:00:{:02}".format), max_size=12), min_size=1, max_size=4),
    st.integers(1, 20),
)
def test_each_pods_lines_stay_in_its_order_whatever_its_clock_does(pods: list[list[str]], most: int):
    newest = Newest(most)
    lines = [[_line(time)[:-1] + b" %d" % number for number, time in enumerate(times)] for times in pods]
    for source, own in enumerate(lines):
        newest.offer(own, source)
    found = newest.entries()
    assert len(found) == min(most, sum(map(len, lines)))
    assert [at for at, _, _ in found] == sorted(at for at, _, _ in found)
    for source, own in enumerate(lines):
        kept = [line for _, each, line in found if each == source]
        assert kept == own[len(own) - len(kept) :]


@given(st.lists(st.lists(st.integers(0, 59).map("10:00:{:02}".format) | st.none(), max_size=8), max_size=5))
def test_a_shape_lasts_from_its_earliest_line_to_its_latest_whatever_the_clock_does(blocks: list[list[str | None]]):
    grouping = Grouping(None)
    for times in blocks:
        grouping.take([b"line" if time is None else _line(time)[:-1] for time in times], 0)
    seen = sorted(time for times in blocks for time in times if time is not None)
    shapes = [shape for shape in grouping.groups(5).shapes if shape.text == "line" and shape.first]
    assert [(shape.first[11:19], shape.last[11:19]) for shape in shapes] == ([(seen[0], seen[-1])] if seen else [])


def _line(time: str) -> bytes:
    return f"2026-01-01T{time}.000000000Z line\n".encode()


def test_lines_that_are_later_to_the_end_are_counted_and_need_not_be_read():
    window = Window(until=UNTIL)
    assert window.within(_line("10:00:00") + _line("11:00:00") + _line("10:00:01")).count(b"\n") == 2
    assert (window.later, window.between, window.over) == (1, 1, False)
    assert window.within(_line("11:00:00") * 10_000) == b""
    assert (window.later, window.between, window.over) == (10_001, 1, True)


def test_a_line_without_a_stamp_goes_with_the_one_before_it_in_the_next_block_too():
    window = Window(until=UNTIL)
    assert window.within(b"the node's words\n" + _line("11:00:00")) == b"the node's words\n"
    assert window.within(b"more of them\n") == b""


def test_a_line_behind_a_step_of_the_clock_has_its_own_time_and_its_place():
    newest = Newest(10)
    stamps = [f"2026-01-01T{time}.000000000Z" for time in ("10:00:00", "11:00:00", "10:00:01", "10:00:02")]
    newest.offer([f"{stamp} line".encode() for stamp in stamps], 0)
    lines, _, _ = shown(newest.entries(), ["x"], default_redactor().scope())
    assert [line.at for line in lines] == stamps
