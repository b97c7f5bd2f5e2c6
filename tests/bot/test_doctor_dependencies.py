"""The cache and the load balancer in the configuration, and what `doctor` says about them."""

from typing import Any

import pytest

from bot.config import ConfigurationError, Settings, validate
from bot.doctor import dependencies
from bot.doctor.findings import Severity
from sandbox.cache import CacheCluster
from sandbox.elasticache import ARN as GROUP
from sandbox.load_balancer import ARNS
from tests.support.refusing_aws import SECRET, refusing


def _configured(*, sandbox: bool = True, **tables: Any) -> Settings:
    production = {
        "namespace": "omnicare-prod",
        "services": [{"name": "backend", "repository": "ghcr.io/omnicare/backend"}],
        **tables,
    }
    return validate(
        {"bot": {"sandbox": sandbox}, "slack": {"enabled": False}, "environments": {"production": production}}
    )


async def test_each_node_that_can_not_be_asked_is_named() -> None:
    async with CacheCluster().serve() as cluster:
        cluster.forbidden = {"SLOWLOG"}
        table = {"nodes": cluster.addresses[-1:], "tls": "disable", "sample_seconds": 0.05}
        found = [each async for each in dependencies.cache(_configured(cache=table), "production")]
        assert [each.level for each in found] == [Severity.WARNING, Severity.FINE]
        assert "does not accept `SLOWLOG GET 5`" in found[0].sentence
        assert found[1].sentence == "production: the cache: 6 nodes can be queried (Redis 7.0.15)."
        cluster.accounts = {"default": "of-the-services"}
        (refused,) = [each async for each in dependencies.cache(_configured(cache=table), "production")]
    assert refused.level is Severity.FAILED
    assert "requires a password, and the bot sent none" in refused.sentence
    assert "secret_variable" in refused.to_do


async def test_a_target_group_that_can_not_be_seen_is_named_with_the_permission() -> None:
    async with refusing(403, "AccessDenied") as url:
        table = {"targets": {"backend": [ARNS["backend"]]}, "endpoint": url}
        (found,) = [each async for each in dependencies.targets(_configured(load_balancer=table), "production")]
    assert found.level is Severity.FAILED
    assert "elasticloadbalancing:DescribeTargetHealth" in found.sentence
    assert SECRET not in found.sentence


async def test_a_replication_group_that_can_not_be_seen_is_named_with_the_permission() -> None:
    async with refusing(403, "AccessDenied") as url:
        configured = _configured(elasticache={"groups": [GROUP], "endpoint": url})
        (found,) = [each async for each in dependencies.elasticache(configured, "production")]
    assert found.level is Severity.FAILED
    assert "elasticache:DescribeReplicationGroups" in found.sentence
    assert SECRET not in found.sentence


@pytest.mark.parametrize(
    ("sandbox", "tables", "said"),
    [
        (False, {"elasticache": {"groups": ["omnicare-prod"]}}, "elasticache.groups"),
        (True, {"elasticache": {"groups": [GROUP]}}, "elasticache.endpoint: a sandbox may only connect to 127.0.0.1"),
        (True, {"cache": {"nodes": ["cache.example:6379"]}}, "cache: a sandbox may only connect to 127.0.0.1"),
        (
            False,
            {"cache": {"nodes": ["c:1"], "secret_variable": "X", "tls": "disable"}},
            "cache.tls: a password needs TLS",
        ),
        (False, {"cache": {"nodes": ["c:1"], "regions": {"us": ["d:1"]}}}, "cache.regions: there is no region `us`"),
        (False, {"verification": {"regions": {"us": {"prometheus": {"url": "https://p"}}}}}, "there is no region `us`"),
        (False, {"cache": {"nodes": ["c:1"], "user": "bot"}}, "`user` needs its password"),
        (False, {"cache": {"nodes": []}}, "cache.nodes"),
        (False, {"load_balancer": {"targets": {"api": [ARNS["backend"]]}}}, "targets: there is no service `api`"),
        (False, {"load_balancer": {"targets": {"backend": ["omnicare-backend"]}}}, "load_balancer.targets"),
        (
            True,
            {"load_balancer": {"targets": {"backend": [ARNS["backend"]]}}},
            "a sandbox may only connect to 127.0.0.1",
        ),
    ],
)
def test_what_is_configured_wrong_is_named_at_the_start(sandbox: bool, tables: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        _configured(sandbox=sandbox, **tables)
    assert said in str(caught.value)
