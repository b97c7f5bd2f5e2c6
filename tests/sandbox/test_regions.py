"""A region of the sandbox after *Reset the world*: as at first, and the audit log is still the one that its record knows."""

from sandbox.cluster import Cluster
from sandbox.cluster.resources import CONFIG_MAP, DEPLOYMENT
from sandbox.regions import RegionServer


async def test_a_reset_keeps_the_heads_of_the_audit_log_alone() -> None:
    async with RegionServer("eu", Cluster()) as region:
        for name in ("book-heads", "lock"):
            made = {"metadata": {"name": name, "namespace": "omnicare-bot"}, "data": {"key": name}}
            region.cluster.create({"apiVersion": "v1", "kind": "ConfigMap", **made})
        region.reset()
        kept = region.cluster.store.get(CONFIG_MAP, "omnicare-bot", "book-heads")
        assert kept is not None
        assert kept["data"] == {"key": "book-heads"}
        assert region.cluster.store.get(CONFIG_MAP, "omnicare-bot", "lock") is None
        assert region.cluster.store.get(DEPLOYMENT, "omnicare-prod", "backend") is not None
