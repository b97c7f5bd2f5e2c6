"""Following the logs of a service: what is new, of pods that come too, through restarts, for as long as it is wanted."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing

import pytest

from runbooks import logs
from runbooks.logs import Asked, Fresh
from tests.support.real import Place


@pytest.fixture
def timed_lines(is_real: bool) -> None:
    """What is new has to carry its time: without one it counts as more of the line before."""
    if is_real:
        pytest.skip(
            "what the real plane's stand-in node says while it is followed carries no time, as a kubelet's lines always do"
        )


@pytest.mark.usefixtures("timed_lines")
async def test_new_lines_come_in_time_order_and_once(here: Place):
    await here.deploy("backend", replicas=2)
    lines: list[logs.LogLine] = []
    async with asyncio.timeout(60), aclosing(_followed(here)) as moments:
        async for fresh in moments:
            assert [line.at for line in fresh.lines] == sorted(line.at for line in fresh.lines)
            lines += fresh.lines
            if len({line.pod for line in lines}) == 2 and len(lines) > 8:
                break
    assert fresh.streams == 2
    assert len({(line.at, line.pod, line.text) for line in lines}) == len(lines)
    assert "hunter2" not in "".join(line.text for line in lines)


@pytest.mark.usefixtures("timed_lines")
async def test_pods_that_come_are_followed_too(here: Place):
    await here.deploy("backend", replicas=1)
    async with asyncio.timeout(60), aclosing(_followed(here)) as moments:
        first = await anext(moments)
        assert first.streams == 1
        await here.patch("backend", {"op": "replace", "path": "/spec/replicas", "value": 2})
        seen: set[str] = set()
        async for fresh in moments:
            seen |= {line.pod for line in fresh.lines}
            if len(seen) == 2:
                break
    assert fresh.streams == 2


@pytest.mark.usefixtures("timed_lines")
async def test_only_lines_that_match_are_followed(here: Place):
    await here.deploy("backend", replicas=2)
    async with asyncio.timeout(60), aclosing(_followed(here, grep="INFO")) as moments:
        async for fresh in moments:
            if fresh.lines:
                break
    assert all("INFO" in line.text for line in fresh.lines)


def _followed(here: Place, grep: str | None = None) -> AsyncGenerator[Fresh]:
    return logs.follow(here.cluster, here.environment, Asked(target="backend", grep=grep), moment=0.2)
