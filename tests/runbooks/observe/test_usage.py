"""What pods and nodes use: beside requests and limits, nearest to a limit first, and unknown where nothing measures it."""

import json
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from runbooks.clients.kubernetes.cluster import ClusterClient
from runbooks.clients.kubernetes.connection import Timing
from runbooks.kit.targets import Environment
from runbooks.observe.usage import top_nodes, top_pods
from sandbox.cluster import Cluster, seed_omnicare

MIB = 2.0**20
QUICK = Timing(connect=5, call=10)
EMPTY = Environment(name="production", namespace="omnicare-prod", record_namespace="omnicare-bot", services=())


async def test_pods_and_nodes_are_measured_beside_requests_and_limits(tmp_path: Path):
    cluster = Cluster()
    seed_omnicare(cluster)
    async with cluster.serve():
        kubeconfig = tmp_path / "kubeconfig"
        kubeconfig.write_text(cluster.kubeconfig("omnicare-bot"))
        async with ClusterClient(kubeconfig=str(kubeconfig), timing=QUICK) as client:
            pods, nodes = await top_pods(client, EMPTY), await top_nodes(client)
    assert (pods.unknown, nodes.unknown) == ("", "")
    assert len(pods.lines) == 6
    backend = next(each for each in pods.lines if each.name.startswith("backend"))
    assert (backend.memory.requested, backend.memory.limit) == (128 * MIB, 512 * MIB)
    assert (backend.cpu.requested, backend.cpu.limit, backend.cpu.share) == (0.1, None, None)
    assert 0 < (backend.memory.used or 0) < 512 * MIB
    assert [each.share for each in pods.lines] == sorted((each.share for each in pods.lines), reverse=True)
    (node,) = nodes.lines
    assert (node.cpu.limit, node.memory.limit) == (16, 64 * 1024 * MIB)
    assert (node.cpu.used or 0) > sum(each.cpu.used or 0 for each in pods.lines)
    assert node.cpu.requested == pytest.approx(2 * 3 * (0.1 + 0.05))


def _pod(name: str, **limits: dict[str, str]) -> dict[str, Any]:
    containers = [{"name": each, "image": "x:1", "resources": {"limits": found}} for each, found in limits.items()]
    ready = {"type": "Ready", "status": "True"}
    return {
        "metadata": {"name": name},
        "spec": {"containers": containers},
        "status": {"phase": "Running", "conditions": [ready]},
    }


def _used(name: str, **memory: str) -> dict[str, Any]:
    containers = [{"name": each, "usage": {"memory": found, "cpu": "0"}} for each, found in memory.items()]
    return {"metadata": {"name": name}, "containers": containers}


class _Served:
    """A cluster of a few answers; what it does not have is answered with Kubernetes' own page for an unknown path."""

    def __init__(self, answers: dict[str, tuple[int, Any]]) -> None:
        self._answers = answers

    async def answer(self, request: web.Request) -> web.Response:
        status, body = self._answers.get(request.path, (404, "404 page not found\n"))
        text = body if isinstance(body, str) else json.dumps(body)
        return web.Response(
            status=status, text=text, content_type="text/plain" if isinstance(body, str) else "application/json"
        )


PODS, USAGE = "/api/v1/namespaces/omnicare-prod/pods", "/apis/metrics.k8s.io/v1beta1/namespaces/omnicare-prod/pods"
GROUPS = {"kind": "APIGroupList", "groups": [{"name": "apps"}, {"name": "metrics.k8s.io"}]}


async def _top(tmp_path: Path, pods: list[Any], answers: dict[str, tuple[int, Any]]) -> Any:
    app = web.Application()
    app.router.add_route(
        "*", "/{path:.*}", _Served({PODS: (200, {"kind": "PodList", "items": pods}), **answers}).answer
    )
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        here = {"name": "here", "cluster": {"server": f"http://127.0.0.1:{runner.addresses[0][1]}"}}
        context = {"name": "here", "context": {"cluster": "here", "user": "bot"}}
        user = {"name": "bot", "user": {"token": "t"}}
        config = {"clusters": [here], "users": [user], "contexts": [context], "current-context": "here"}
        kubeconfig = tmp_path / "kubeconfig"
        kubeconfig.write_text(json.dumps({"apiVersion": "v1", "kind": "Config", **config}))
        async with ClusterClient(kubeconfig=str(kubeconfig), timing=QUICK) as client:
            return await top_pods(client, EMPTY)
    finally:
        await runner.cleanup()


FORBIDDEN = {
    "kind": "Status",
    "reason": "Forbidden",
    "message": 'pods.metrics.k8s.io is forbidden: User "bot" cannot list',
}
BUSY = {
    "kind": "Status",
    "reason": "ServiceUnavailable",
    "message": "the server is currently unable to handle the request",
}


@pytest.mark.parametrize(
    ("answers", "says"),
    [
        ({"/apis": (200, {"kind": "APIGroupList", "groups": [{"name": "apps"}]})}, "has no metrics API"),
        ({"/apis": (200, GROUPS), USAGE: (403, FORBIDDEN)}, "no permission to read the metrics API"),
        ({"/apis": (200, GROUPS), USAGE: (503, BUSY)}, "does not answer"),
    ],
)
async def test_without_measurements_a_sentence_says_which_and_the_rest_is_still_shown(
    tmp_path: Path, answers: dict[str, tuple[int, Any]], says: str
):
    found = await _top(tmp_path, [_pod("backend-1", app={"memory": "512Mi"})], answers)
    assert says in found.unknown
    (line,) = found.lines
    assert (line.memory.used, line.memory.share, line.memory.limit) == (None, None, 512 * MIB)


async def test_the_container_nearest_to_its_own_limit_decides_and_what_is_not_measured_comes_last(tmp_path: Path):
    pods = [
        _pod("new", app={"memory": "100Mi"}),
        _pod("calm", app={"memory": "100Mi"}),
        _pod("tight", app={"memory": "900Mi"}, proxy={"memory": "100Mi"}),
        _pod("odd", app={"memory": "100Mi"}),
    ]
    used = [_used("calm", app="50Mi"), _used("tight", app="10Mi", proxy="95Mi"), _used("odd", app="much")]
    found = await _top(tmp_path, pods, {USAGE: (200, {"kind": "PodMetricsList", "items": used})})
    assert [each.name for each in found.lines] == ["tight", "calm", "new", "odd"]
    assert [each.memory.share for each in found.lines] == [0.95, 0.5, None, None]
    assert [each.memory.used for each in found.lines] == [105 * MIB, 50 * MIB, None, None]
    assert found.lines[0].memory.near
