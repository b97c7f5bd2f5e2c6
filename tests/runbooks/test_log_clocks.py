"""A node's clock that jumps and is set back: each line is shown with its own time, and none is lost without a word."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from runbooks import logs
from runbooks.kit.redaction import default_redactor
from runbooks.logs import Asked
from runbooks.logs.blocks import Window
from runbooks.logs.newest import Newest
from runbooks.logs.reading import shown
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
    assert any("was set back" in note and "left out" in note for note in found.notes)


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
