"""A Job on a cluster's API that fails at each kind of request: tried again as runs do it, its program runs once."""

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest
from aiohttp import web

from runbooks.clients.kubernetes.cluster import ClusterClient
from runbooks.clients.kubernetes.connection import Timing
from runbooks.clients.kubernetes.jobs import JobSpec
from runbooks.jobs.running import run_job
from runbooks.kit.errors import PermanentError
from runbooks.kit.reasons import ReasonCode
from runbooks.kit.retry import retried
from runbooks.kit.steps import PlainPulse
from sandbox.cluster import Cluster
from sandbox.cluster.programs import Execution
from tests.support.clusters import QUICK
from tests.support.interference import How, cluster_through

RUN = "production.deploy.0f3a0f3a0f3a0f3a"
SPEC = JobSpec(
    namespace="omnicare-prod", what="smoke", image="x/backend:v2", words=("npm", "run", "task"), deadline=120
)
PATIENT = Timing(call=1, watch=2, watch_grace=1, silence=2, retry=0.1)


def _creates(request: web.Request) -> bool:
    return request.method == "POST" and request.path.endswith("/jobs")


def _watches(request: web.Request) -> bool:
    return "watch" in request.query and request.path.endswith("/jobs")


def _pods(request: web.Request) -> bool:
    return request.method == "GET" and request.path.endswith("/pods")


def _log(request: web.Request) -> bool:
    return request.path.endswith("/log")


ANY = (How.LOST, How.UNHEARD, How.SILENT, How.BUSY, How.BROKEN, How.BROKEN_AFTER, How.CUT, How.NONSENSE)
CASES = [(matches, how) for matches in (_creates, _watches, _pods) for how in ANY]
CASES += [(_log, How.LOST), (_log, How.BROKEN), (_log, How.FORBIDDEN), (_watches, How.GONE_LATER)]


@pytest.mark.parametrize(("matches", "how"), CASES, ids=lambda value: getattr(value, "__name__", "") or value.name)
async def test_a_fault_at_any_request_passes_and_the_program_runs_once(
    tmp_path: Path, matches: Callable[[web.Request], bool], how: How
) -> None:
    ran: list[str] = []
    asked = asyncio.Event()

    async def task(execution: Execution) -> int:
        ran.append(execution.pod["metadata"]["name"])
        await asked.wait()  # on a busy machine it would have ended before the bot watches it
        await execution.out(b"done\n")
        return 0

    def noticed(request: web.Request) -> bool:
        if found := matches(request):
            asked.set()
        return found

    cluster = Cluster(QUICK)
    cluster.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "omnicare-prod"}})
    cluster.add_scripts({"task": task})
    async with cluster.serve():
        path = tmp_path / "kubeconfig"
        path.write_text(cluster.kubeconfig("omnicare-bot"))
        async with (
            cluster_through(path, tmp_path) as (proxy, through),
            ClusterClient(kubeconfig=str(through), timing=PATIENT) as client,
        ):
            fault = proxy.fail(how, noticed)
            end = await retried(lambda: run_job(PlainPulse(RUN), client, SPEC), seconds=120)
    assert fault.struck == 1
    assert end.ok
    assert len(ran) == 1


async def test_rights_that_are_missing_are_named(tmp_path: Path) -> None:
    cluster = Cluster(QUICK)
    async with cluster.serve():
        path = tmp_path / "kubeconfig"
        path.write_text(cluster.kubeconfig("viewer"))
        async with ClusterClient(kubeconfig=str(path)) as client:
            with pytest.raises(PermanentError, match="denied the bot permission to create Job") as caught:
                await run_job(PlainPulse(RUN), client, SPEC)
    assert caught.value.code is ReasonCode.CLUSTER_REFUSED
