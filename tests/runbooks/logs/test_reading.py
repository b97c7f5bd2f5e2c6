"""The logs of a service: bounded, in time order, grouped, redacted, and plain about what is missing."""

import asyncio
from datetime import UTC, datetime, timedelta

import pytest

from runbooks import logs
from runbooks.kit.errors import PermanentError
from runbooks.kit.reasons import ReasonCode
from runbooks.logs import Asked, LogLevel
from tests.support.real import Place

LONG_AGO = datetime(2020, 1, 1, tzinfo=UTC)


async def test_the_pods_lines_are_merged_in_time_order_and_bounded(here: Place):
    await here.deploy("backend", replicas=2)
    found = await logs.read(here.cluster, here.environment, Asked(target="backend", tail=4))
    assert len(found.lines) == 4
    assert [line.at for line in found.lines] == sorted(line.at for line in found.lines)
    assert found.silent == ()
    assert found.counts.streams == 2
    assert found.counts.left_out > 0 or found.counts.each


async def test_a_pattern_counts_what_it_leaves_out(here: Place):
    await here.deploy("backend", replicas=1)
    every = await logs.read(here.cluster, here.environment, Asked(target="backend", tail=5000, grep="INFO"))
    few = await logs.read(here.cluster, here.environment, Asked(target="backend", tail=1, grep="INFO"))
    assert len(every.lines) > 1
    assert len(few.lines) == 1
    assert few.counts.left_out + 1 >= len(every.lines)
    assert all("INFO" in line.text for line in every.lines)
    assert sum(every.groups.levels.values()) == every.counts.matching == len(every.lines)
    assert sum(shape.count for shape in every.groups.shapes) + every.groups.rarer == every.counts.matching


async def test_an_anchor_means_the_lines_own_beginning(here: Place):
    await here.deploy("backend", replicas=1)
    found = await logs.read(here.cluster, here.environment, Asked(target="backend", grep="^INFO"))
    assert found.lines
    assert all(line.text.startswith("INFO") for line in found.lines)


async def test_the_summary_alone_has_no_lines(here: Place):
    await here.deploy("backend", replicas=1)
    found = await logs.read(here.cluster, here.environment, Asked(target="backend", tail=0, since=LONG_AGO))
    assert found.lines == ()
    assert found.counts.matching == found.counts.read > 0


async def test_a_window_has_two_ends(here: Place):
    await here.deploy("backend", replicas=2)
    asked = Asked(target="backend", tail=5000, since=LONG_AGO)
    async with asyncio.timeout(60):
        every = await logs.read(here.cluster, here.environment, asked)
        while len({line.at for line in every.lines}) == 1:  # both pods began within one second
            await asyncio.sleep(0.3)
            every = await logs.read(here.cluster, here.environment, asked)
    until = datetime.fromisoformat(f"{every.lines[0].at[:26]}+00:00")
    first = await logs.read(
        here.cluster, here.environment, Asked(target="backend", tail=5000, since=LONG_AGO, until=until)
    )
    assert 0 < len(first.lines) < len(every.lines)
    assert max(line.at for line in first.lines) <= f"{until:%Y-%m-%dT%H:%M:%S.%f}999Z"


async def test_one_pod_by_the_end_of_its_name(here: Place):
    await here.deploy("backend", replicas=2)
    pods = await here.cluster.pods(here.namespace)
    short = pods[0].name.rsplit("-", 1)[-1]
    found = await logs.read(here.cluster, here.environment, Asked(target=short, tail=5))
    assert found.title == pods[0].name
    assert {line.pod for line in found.lines} == {short}


async def test_a_pod_without_a_log_is_named_and_the_others_are_shown(here: Place):
    await here.deploy("backend", replicas=1)
    await here.set_image("backend", "ghcr.io/omnicare/backend:v2.0.0-bad")
    await here.until("backend", lambda d: d.observed_generation >= d.generation and d.total > d.updated > 0)
    found = await logs.read(here.cluster, here.environment, Asked(target="backend", tail=3))
    assert found.lines
    assert found.counts.streams == 2


async def test_the_life_before_the_last_restart(here: Place):
    await here.deploy("backend", replicas=1)
    fine = await logs.read(here.cluster, here.environment, Asked(target="backend", previous=True))
    assert fine.lines == ()
    assert "has not restarted" in fine.notes[0]


@pytest.mark.parametrize("name", ["billing", "nothing-like-it-x2lqp"])
async def test_what_is_not_there_is_not_found_and_says_what_is(here: Place, name: str):
    with pytest.raises(PermanentError) as caught:
        await logs.read(here.cluster, here.environment, Asked(target=name))
    assert caught.value.code is ReasonCode.NOT_FOUND
    assert "Services: backend, frontend" in caught.value.message


async def test_secrets_and_names_do_not_leave(here: Place):
    await here.deploy("backend", replicas=2)
    found = await logs.read(here.cluster, here.environment, Asked(target="backend", tail=5000, since=LONG_AGO))
    text = found.model_dump_json()
    assert "hunter2" not in text
    assert "eyJhbGci" not in text
    assert found.groups.levels.keys() <= set(LogLevel)


async def test_the_newest_come_from_now(here: Place):
    await here.deploy("backend", replicas=1)
    found = await logs.read(here.cluster, here.environment, Asked(target="backend", tail=1))
    assert datetime.fromisoformat(f"{found.lines[0].at[:26]}+00:00") > datetime.now(UTC) - timedelta(minutes=5)
