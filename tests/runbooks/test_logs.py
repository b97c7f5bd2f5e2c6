"""The tail of a service's logs: bounded, in time order, redacted, and plain about what is missing."""

import pytest

from runbooks import logs
from runbooks.kit.errors import PermanentError
from runbooks.kit.reasons import ReasonCode
from runbooks.logs import _Newest, _Pattern, _sortable
from tests.support.real import Place


async def test_the_pods_lines_are_merged_in_time_order_and_bounded(here: Place):
    await here.deploy("backend", replicas=2)
    found = await logs.tail(here.cluster, here.environment, "backend", tail=4)
    assert len(found.lines) == 4
    assert [line.at for line in found.lines] == sorted(line.at for line in found.lines)
    assert found.silent == ()
    assert found.left_out > 0 or found.more


async def test_a_pattern_counts_what_it_leaves_out(here: Place):
    await here.deploy("backend", replicas=1)
    every = await logs.tail(here.cluster, here.environment, "backend", tail=5000, grep="INFO")
    few = await logs.tail(here.cluster, here.environment, "backend", tail=1, grep="INFO")
    assert len(every.lines) > 1
    assert (len(few.lines), few.left_out) == (1, len(every.lines) - 1)
    assert all("INFO" in line.text for line in every.lines)


async def test_an_anchor_means_the_lines_own_beginning(here: Place):
    await here.deploy("backend", replicas=1)
    found = await logs.tail(here.cluster, here.environment, "backend", tail=100, grep="^INFO")
    assert found.lines
    assert all(line.text.startswith("INFO") for line in found.lines)


async def test_a_pod_without_a_log_is_named_and_the_others_are_shown(here: Place):
    await here.deploy("backend", replicas=1)
    await here.set_image("backend", "ghcr.io/omnicare/backend:v2.0.0-bad")
    await here.until("backend", lambda d: d.observed_generation >= d.generation and d.total > d.updated > 0)
    found = await logs.tail(here.cluster, here.environment, "backend", tail=3)
    assert found.lines or found.silent


async def test_a_service_that_nobody_configured_is_not_found(here: Place):
    with pytest.raises(PermanentError) as caught:
        await logs.tail(here.cluster, here.environment, "billing", tail=3)
    assert caught.value.code is ReasonCode.NOT_FOUND


@pytest.mark.parametrize("grep", ["(?=x)", "(", r"(a)\1"])
def test_a_pattern_that_re2_refuses_is_a_sentence(grep: str):
    with pytest.raises(PermanentError) as caught:
        _Pattern(grep)
    assert caught.value.code is ReasonCode.USAGE
    assert "Look-around" in caught.value.message


BLOCK = b"2026-01-01T00:00:01Z ERROR one\n2026-01-01T00:00:02Z fine 2026\n2026-01-01T00:00:03Z one\n2026-01-01T00:00:04Z ERROR\n"


@pytest.mark.parametrize(
    ("grep", "expected"),
    [
        ("ERROR", [0, 3]),
        ("^one", [2]),
        ("one$", [0, 2]),
        ("2026", [1]),
        (r"one\s+2026", []),
        ("[^x]+two", []),
        ("", [0, 1, 2, 3]),
    ],
)
def test_a_pattern_sees_each_lines_text_and_nothing_else(grep: str, expected: list[int]):
    lines = BLOCK.splitlines()
    assert list(_Pattern(grep).lines(BLOCK)) == [lines[number] for number in expected]


def test_only_the_newest_lines_are_kept_however_many_come():
    newest = _Newest(3)
    for second in (5, 1, 9, 3, 7):
        newest.offer(b"2026-01-01T00:00:0%dZ line %d" % (second, second), 0)
    assert sorted(entry[3] for entry in newest.kept) == [b"line 5", b"line 7", b"line 9"]
    assert newest.offered == 5


def test_stamps_sort_as_times():
    stamps = [
        b"2026-01-01T00:00:05.1Z",
        b"2026-01-01T00:00:05Z",
        b"2026-01-01T02:00:05.05+02:00",
        b"2026-01-01T00:00:05.123456789Z",
    ]
    assert sorted(stamps, key=_sortable) == [stamps[1], stamps[2], stamps[0], stamps[3]]


async def test_secrets_and_names_do_not_leave(here: Place):
    await here.deploy("backend", replicas=2)
    found = await logs.tail(here.cluster, here.environment, "backend", tail=5000, since_seconds=3600)
    text = "\n".join(line.text for line in found.lines)
    assert "hunter2" not in text
    assert "eyJhbGci" not in text
