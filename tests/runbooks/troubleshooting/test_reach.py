"""A cluster that does not answer is the trouble itself, and not only a reason why nothing else could be looked at."""

from pathlib import Path

from runbooks.clients.kubernetes.cluster import ClusterClient
from runbooks.troubleshooting.asking import diagnose
from runbooks.troubleshooting.findings import Trouble
from runbooks.troubleshooting.reach import Clusters
from runbooks.troubleshooting.workloads import Workloads
from sandbox.cluster import Cluster, seed_omnicare
from tests.support.cases import case


async def test_a_cluster_that_does_not_answer_is_the_first_finding(tmp_path: Path) -> None:
    cluster = Cluster()
    seed_omnicare(cluster)
    kubeconfig = tmp_path / "kubeconfig"
    async with cluster.serve():
        kubeconfig.write_text(cluster.kubeconfig("admin"))
        async with ClusterClient(kubeconfig=str(kubeconfig)) as client, case(cluster=client) as asked:
            assert (await diagnose(asked, (Clusters(),))).well == ("Kubernetes API",)
    async with ClusterClient(kubeconfig=str(kubeconfig)) as client, case(cluster=client) as asked:
        told = await diagnose(asked, (Clusters(), Workloads()))
    (finding,) = told.findings
    assert finding.kind is Trouble.CLUSTER
    assert finding.cause == "The Kubernetes API does not answer"
    assert "can't be reached" in finding.evidence[0]
    assert [each.command for each in finding.to_do if each.command] == ["status"]
    assert [rule for rule, _ in told.unknown] == ["pods and rollouts"]
