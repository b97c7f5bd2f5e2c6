"""Target groups, from the sandbox's AWS through the real SDK: read, judged, and found by `diagnose`."""

from collections.abc import AsyncIterator

import pytest

from runbooks.clients.aws.target_groups import LoadBalancerSettings, LoadBalancerTarget, TargetGroup, TargetGroups
from runbooks.observe import target_health
from runbooks.troubleshooting.asking import Diagnosed, diagnose
from runbooks.troubleshooting.findings import Confidence, Trouble
from runbooks.troubleshooting.targets import Targets
from sandbox.aws import Aws
from sandbox.load_balancer import ARNS
from sandbox.load_balancer import TargetGroups as Served
from tests.support.cases import PRODUCTION, case
from tests.support.refusing_aws import SECRET, refusing


@pytest.fixture
async def served() -> AsyncIterator[tuple[Served, str]]:
    aws, groups = Aws(), Served()
    aws.services.append(groups)
    async with aws.serve() as url:
        await _client(url).look()  # the first visitor waits until moto is imported
        yield groups, url


def _client(url: str, arn: str = ARNS["backend"]) -> TargetGroups:
    return TargetGroups(
        LoadBalancerSettings(targets={"backend": (arn,)}, endpoint=url), throw_away=True, read_seconds=60.0
    )


async def _said(client: TargetGroups | None) -> Diagnosed:
    async with case({TargetGroups: client} if client is not None else {}) as asked:
        return await diagnose(asked, (Targets(),))


async def test_targets_that_fail_are_a_cause_with_the_reason_of_the_load_balancer(served: tuple[Served, str]):
    groups, url = served
    client = _client(url)
    assert (await _said(client)).well == ("load balancer targets (3 targets)",)
    groups.want("one", broken=True)
    (one,) = (await _said(client)).findings
    assert one.cause == "backend: 1 of 3 targets of the load balancer is unhealthy (omnicare-backend)"
    assert one.evidence == ("10.0.1.10:3001 answers its health check with the wrong status (503).",)
    assert one.confidence is Confidence.LIKELY
    groups.want("all", broken=True)
    (all_of_them,) = (await _said(client)).findings
    assert all_of_them.cause == "backend: no target of the load balancer is healthy (omnicare-backend)"
    assert (all_of_them.kind, all_of_them.confidence) == (Trouble.TARGETS, Confidence.CERTAIN)
    assert target_health.in_short(await client.look()) == "backend 0 of 3 healthy"


async def test_a_group_that_is_not_there_could_not_be_looked_at_and_none_is_no_trouble(served: tuple[Served, str]):
    _, url = served
    said = await _said(_client(url, ARNS["backend"][:-1] + "f"))
    assert not said.findings
    assert "there is no such target group in the account" in said.unknown[0][1]
    assert (await _said(None)).not_configured == ("load balancer targets",)


async def test_a_refusal_names_the_permission_and_never_the_words_of_aws():
    async with refusing(403, "AccessDenied") as url:
        said = await _said(_client(url))
    assert "elasticloadbalancing:DescribeTargetHealth" in said.unknown[0][1]
    assert SECRET not in said.unknown[0][1]


@pytest.mark.parametrize(
    ("states", "trouble"),
    [
        (("healthy", "initial", "draining"), ""),
        (("draining",), ""),
        ((), "backend: the load balancer has no target in api"),
        (("unused", "unused"), "backend: no target of the load balancer is healthy (api)"),
        (("healthy", "unhealthy", "unavailable"), "backend: 2 of 3 targets of the load balancer are unhealthy (api)"),
    ],
)
def test_targets_that_come_and_go_with_a_rollout_are_no_trouble(states: tuple[str, ...], trouble: str):
    targets = tuple(
        LoadBalancerTarget(id=f"10.0.0.{place}", port=3001, state=state) for place, state in enumerate(states)
    )
    group = TargetGroup(service="backend", name="api", aws_region="eu-west-1", targets=targets)
    assert target_health.trouble(group) == trouble
    assert target_health.region_of(group, PRODUCTION) == ""
