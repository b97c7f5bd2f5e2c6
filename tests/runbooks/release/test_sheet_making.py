"""The sheet at the end of a deploy: whatever the cluster answers, the deploy has succeeded."""

from pathlib import Path

from runbooks.clients.image_registry.registry import RegistryClient
from runbooks.clients.kubernetes.cluster import ClusterClient
from runbooks.clients.kubernetes.connection import Timing
from runbooks.fleet.fleet import Fleet
from runbooks.kit.steps import PlainPulse, StepContext
from runbooks.release.sheet_making import MakeSheet
from sandbox.cluster import Cluster, seed_omnicare
from sandbox.outside.registry import Registry
from tests.support.gates import environment


async def test_a_page_is_made_and_a_cluster_that_is_away_is_only_told(tmp_path: Path) -> None:
    cluster, path = Cluster(), tmp_path / "kubeconfig"
    seed_omnicare(cluster)
    async with Registry().serve() as url, RegistryClient({"ghcr.io": url}, plain_http=True) as registry:
        async with cluster.serve():
            path.write_text(cluster.kubeconfig("omnicare-bot"))
            timing = Timing(call=0.5, retry=0.05)
            async with ClusterClient(kubeconfig=str(path), timing=timing) as client:
                services = {ClusterClient: client, RegistryClient: registry, Fleet: Fleet(client)}
                context = StepContext(pulse=PlainPulse("r"), environment=environment(), services=services)
                made = await MakeSheet().apply(context)
        async with ClusterClient(kubeconfig=str(path), timing=timing) as client:
            services = {ClusterClient: client, RegistryClient: registry, Fleet: Fleet(client)}
            context = StepContext(pulse=PlainPulse("r"), environment=environment(), services=services)
            away = await MakeSheet().apply(context)
    assert "3. Go back" in made.text
    assert made.problem == ""
    assert away.text == ""
    assert away.problem.startswith("The sheet could not be made")
