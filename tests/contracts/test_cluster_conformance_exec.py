"""The sandbox's cluster and a real control plane answer alike: commands in a pod, by the real kubectl and by our client."""

import pytest

from runbooks.clients.kubernetes.cluster import ClusterClient
from runbooks.clients.kubernetes.exec import ExecLimits, Program
from runbooks.kit.targets import Environment, Service
from runbooks.sync.queue import SyncQueue, SyncScripts
from tests.support.clusters import BOTH, opened
from tests.support.conformance import install, names

POOL = Program(("npm", "run", "--silent", "db:pool:status"))
FAILING = Program(("npm", "run", "--silent", "test:failing"))
ABSENT = Program(("nosuch",))
LIMITS = ExecLimits(seconds=60, bytes=1 << 16)


@pytest.fixture(params=BOTH)
async def cluster(request, tmp_path):
    async with opened(request.param, tmp_path) as under_test:
        await install(under_test)
        yield under_test


async def pod_of(cluster):
    return min(names(await cluster.get("pods")))


async def test_kubectl_exec_shows_the_output_of_a_script(cluster):
    answer = await cluster.kubectl("exec", await pod_of(cluster), "--", *POOL.arguments)
    assert '{"size": 20, "idle": 14, "waiting": 0, "max": 50}' in answer.out


async def test_kubectl_exec_ends_with_the_scripts_own_status(cluster):
    pod = await pod_of(cluster)
    assert (await cluster.kubectl("exec", pod, "--", *FAILING.arguments, code=1)).err
    answer = await cluster.kubectl("exec", pod, "--", *ABSENT.arguments, code=127)
    assert "not found" in answer.err


async def test_a_pod_or_a_container_that_is_not_there_is_refused(cluster):
    answer = await cluster.kubectl("exec", "web-nothing", "--", "true", code=1)
    assert 'pods "web-nothing" not found' in answer.err
    assert (await cluster.kubectl("exec", await pod_of(cluster), "-c", "nothing", "--", "true", code=1)).err


async def test_our_client_hears_output_and_status_raw_though_it_looks_like_json(cluster):
    pod = await pod_of(cluster)
    async with ClusterClient(kubeconfig=str(cluster.config_of("admin"))) as client:
        programs = client.programs([POOL, FAILING, ABSENT])
        fine = await programs.run(cluster.namespace, pod, "web", POOL, limits=LIMITS)
        assert (fine.code, fine.out) == (0, b'{"size": 20, "idle": 14, "waiting": 0, "max": 50}\n')
        failed = await programs.run(cluster.namespace, pod, "web", FAILING, limits=LIMITS)
        assert (failed.code, failed.out) == (1, b"")
        assert failed.err
        assert (await programs.run(cluster.namespace, pod, "web", ABSENT, limits=LIMITS)).code == 127


@pytest.mark.real_cluster
async def test_the_offline_queue_is_read_in_a_pod_of_a_real_control_plane(tmp_path):
    async with opened("real", tmp_path) as cluster:
        await install(cluster)
        web = Service(name="web", deployment="web", container="web", repository="x/web")
        place = Environment(name="production", namespace=cluster.namespace, record_namespace="none", services=(web,))
        async with ClusterClient(kubeconfig=str(cluster.config_of("admin"))) as client:
            queue = SyncQueue(client, place, SyncScripts(service="web"))
            status, failed = await queue.status(), await queue.failed()
    assert (status.pending, status.failed, status.oldest_seconds, status.connected) == (12, 3, 41, 87)
    assert [(group.reason, group.items, group.devices) for group in failed.groups] == [
        ("conflict", 2, 1),
        ("schema", 1, 1),
    ]
