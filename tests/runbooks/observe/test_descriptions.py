"""What `describe` says beside the state of the pods: a configuration that somebody changed, and which log tells of a crash."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from runbooks.clients.kubernetes.cluster import ClusterClient
from runbooks.observe.descriptions import describe
from sandbox.cluster import Cluster, seed_omnicare
from sandbox.cluster.fields import Writer
from sandbox.cluster.resources import CONFIG_MAP, Json
from tests.support.cases import BACKEND, PRODUCTION
from tests.support.worlds import FAST_CLUSTER

FRONTEND = BACKEND.model_copy(update=dict.fromkeys(("name", "deployment", "container"), "frontend"))
WHERE = PRODUCTION.model_copy(update={"services": (BACKEND, FRONTEND)})


@pytest.fixture
async def there(tmp_path: Path) -> AsyncIterator[tuple[Cluster, ClusterClient]]:
    cluster = Cluster(FAST_CLUSTER)
    seed_omnicare(cluster)
    async with cluster.serve():
        kubeconfig = tmp_path / "kubeconfig"
        kubeconfig.write_text(cluster.kubeconfig())
        async with ClusterClient(kubeconfig=str(kubeconfig)) as client:
            yield cluster, client


async def test_a_configuration_that_somebody_changed_is_named_by_its_keys_under_who_reads_it(
    there: tuple[Cluster, ClusterClient],
):
    cluster, client = there

    def edit(draft: Json) -> None:
        draft["data"]["LOG_LEVEL"] = "the planted value"

    assert (await describe(client, WHERE, "backend")).changed == ""
    cluster.api.modify(CONFIG_MAP, WHERE.namespace, "backend-config", edit, Writer("kubectl-edit"))
    said = await describe(client, WHERE, "backend")
    assert said.well
    assert said.changed.startswith("its configuration was changed outside the bot")
    (fact,) = (value for label, value in said.facts if label == "Configuration")
    assert fact.startswith("ConfigMap backend-config (LOG_LEVEL) was changed by kubectl-edit")
    assert fact.endswith("none of its pods started after that")
    assert "planted" not in said.model_dump_json()
    assert (await describe(client, WHERE, "frontend")).changed == ""
