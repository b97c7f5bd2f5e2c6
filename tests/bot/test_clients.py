"""What clients import ahead, so that the first answers do not wait for it."""

from typing import cast

from bot.clients import Clients
from runbooks.cache.caches import Cache
from runbooks.clients.aws.target_groups import LoadBalancerSettings, TargetGroups
from runbooks.clients.health import HealthClient
from runbooks.clients.image_registry.registry import RegistryClient
from runbooks.clients.redis.access import CacheSettings
from runbooks.redaction.redactor import default_redactor

ARN = "arn:aws:elasticloadbalancing:eu-central-1:123456789012:targetgroup/backend/0123456789abcdef"


async def test_what_can_not_be_loaded_ahead_stops_nothing_and_is_told_to_who_asks() -> None:
    groups = TargetGroups(LoadBalancerSettings(targets={"backend": (ARN,)}, endpoint="no address"), throw_away=True)
    cache = Cache(CacheSettings(nodes=("127.0.0.1:1",), tls="disable"), default_redactor())
    clients = Clients(
        clusters={},
        images=cast("RegistryClient", None),
        health=cast("HealthClient", None),
        environments={"production": {TargetGroups: groups, Cache: cache}, "staging": {}},
    )
    await clients.load()
    (group,) = await groups.look()
    assert group.why
