"""Something that an answer waits for is cancelled, the answer itself is not: the person hears of it."""

import asyncio
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from bot.boundary.inbound import Exit
from commands.observe.status import DEADLINE
from runbooks.clients.kubernetes.cluster import ClusterClient
from runbooks.kit.reasons import ReasonCode
from sandbox.cluster import Cluster, seed_omnicare
from tests.support.interference import How, cluster_through
from tests.support.thresholds import REQUESTER, Threshold, code, said, threshold


@pytest.fixture
async def here(tmp_path: Path) -> AsyncIterator[Threshold]:
    async with threshold(tmp_path) as made:
        yield made


async def test_status_answers_where_its_parts_run_out_of_time_in_the_same_moment(tmp_path: Path) -> None:
    """One part waits for another: its giving up took the other with it, and the whole answer was lost without a word."""
    cluster = Cluster()
    seed_omnicare(cluster)
    async with cluster.serve():
        path = tmp_path / "kubeconfig"
        path.write_text(cluster.kubeconfig("omnicare-bot"), encoding="utf-8")
        async with (
            cluster_through(path, tmp_path) as (proxy, through),
            ClusterClient(kubeconfig=str(through)) as client,
            threshold(tmp_path, clients=dict.fromkeys(("production", "staging"), client)) as here,
        ):
            proxy.fail(How.SILENT, lambda request: "configmaps" in request.path, times=100)
            # a busy machine: both deadlines are over when the loop looks
            asyncio.get_running_loop().call_later(DEADLINE - 0.1, time.sleep, 0.3)
            answer = await here.type(REQUESTER, "status")
            assert answer.exit is Exit.OK, said(answer)
            assert "does not answer" in said(answer)


async def test_a_query_whose_part_was_cancelled_from_inside_is_told_as_a_bug(here: Threshold) -> None:
    async def cancelled(**_: Any) -> Any:
        part = asyncio.ensure_future(asyncio.Event().wait())
        part.cancel()
        await part

    here.engine.list = cancelled  # type: ignore[method-assign] # something in it was cancelled, the query was not
    answer = await here.type(REQUESTER, "runs")
    assert (answer.exit, code(answer)) == (Exit.FAILED, ReasonCode.BUG)


async def test_a_query_that_is_cancelled_itself_ends(here: Threshold) -> None:
    async def never(**_: Any) -> Any:
        await asyncio.Event().wait()

    here.engine.list = never  # type: ignore[method-assign] # an engine that hangs
    asking = asyncio.ensure_future(here.type(REQUESTER, "runs"))
    await asyncio.sleep(0)
    asking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asking
