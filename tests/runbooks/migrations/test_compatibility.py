"""Whether an older release runs on a newer one's schema: what a declaration says, and what can't be read."""

from pathlib import Path

import pytest

from runbooks.clients.image_registry.registry import RegistryClient
from runbooks.clients.kubernetes.cluster import ClusterClient
from runbooks.fleet.fleet import Fleet
from runbooks.migrations.compatibility import compatibility, runs_by_declaration
from sandbox.cluster import Cluster, seed_omnicare
from tests.support.clusters import QUICK
from tests.support.migrating import WHERE, image


@pytest.mark.parametrize(
    ("older", "declared", "runs"),
    [
        ("v1.2.0", "v1.2.0", True),
        ("v1.3.0", "v1.2.0", True),
        ("v1.1.0", "v1.2.0", False),
        ("v1.2.0", "v2.0.0", False),
        ("v1.2.0", None, None),
        ("main-4f2a", "v1.2.0", None),
        ("v1.2.0", "the-last-one", None),
    ],
)
def test_the_label_names_the_oldest_release_that_runs(older: str, declared: str | None, runs: bool | None) -> None:
    assert runs_by_declaration(image(older), image("v2.0.0"), declared) is runs


async def test_what_can_not_be_read_is_unknown_and_raises_nothing(tmp_path: Path) -> None:
    cluster = Cluster(QUICK)
    seed_omnicare(cluster)
    metadata = {"name": "schema-proofs-production", "namespace": "omnicare-bot"}
    data = {"schema-proofs": '[7, {"older": ["v1.2.0"]}, {"runs": "perhaps"}]'}
    async with (
        cluster.serve(),
        RegistryClient({"ghcr.io": "http://127.0.0.1:1"}, plain_http=True) as silent,
    ):
        cluster.create({"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": data})
        (tmp_path / "kubeconfig").write_text(cluster.kubeconfig())
        async with ClusterClient(kubeconfig=str(tmp_path / "kubeconfig")) as client:
            found = await compatibility(silent, Fleet(client), WHERE, image("v1.2.0"), image("v2.0.0"), seconds=2)
    assert found.verdict == "unknown"
    assert "there is no proof" not in found.evidence, "the registry's silence is said"
