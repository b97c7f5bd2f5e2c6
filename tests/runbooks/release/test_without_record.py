"""What is planned where the record can't be read: the regions away from home, by their own history."""

from collections.abc import Mapping

import pytest

from runbooks.deployments.service_state import DEPLOYED_AT, DEPLOYED_IMAGE, annotation_path
from runbooks.fleet.absent import AbsentRecord
from runbooks.kit.errors import PermanentError, RunbookError
from runbooks.kit.plan import Plan
from runbooks.kit.reasons import ReasonCode
from runbooks.release.plans import plan_deploy
from runbooks.release.steps import images_of
from runbooks.release.without_record import plan_without_record
from tests.support.two_regions import NAMESPACE, TwoRegions


async def without_record(
    both: TwoRegions, *regions: str, to: str | None = None, left: Mapping[str, str] | None = None
) -> Plan:
    return await plan_without_record(
        both.registry,
        both.fleet,
        AbsentRecord(both.clusters["eu"], "production.rollback.9999", left=left or {}),
        both.environment,
        services=(),
        to=to,
        places=both.places,
        regions=regions,
    )


async def test_a_region_goes_back_by_its_own_history(both: TwoRegions):
    await both.do(await both.deploy("v1.1.0"), "production.deploy.1111")
    await both.do(await both.deploy("v2.0.0"), "production.deploy.2222")
    with pytest.raises(PermanentError, match="The record of production can be read"):
        await without_record(both)
    await both.servers["eu"].go_down()
    plan = await without_record(both)
    assert plan.title == "Roll back production (us only) to v1.1.0"
    assert [(step.key, step.later) for step in plan.steps] == [
        ("rollback@us", False),
        ("check@us", False),
        ("record", True),
    ]
    first, lease, home = plan.warnings[:3]
    assert "a lock of production can't be seen" in lease
    assert first.startswith("The cluster of eu has the record of production and does not answer")
    assert "When it answers again: `rollback --regions eu`." in home
    assert "`kubectl --context eu set image deployment/backend backend=ghcr.io/omnicare/backend:v1.1.0@" in home
    named = await without_record(both, to="1.2.0")
    assert {(change.region, change.after.tag) for change in images_of(named)} == {("us", "v1.2.0")}


async def test_a_version_that_no_region_had_is_refused_with_the_lines_that_show_what_there_is(both: TwoRegions):
    await both.servers["eu"].go_down()
    with pytest.raises(PermanentError, match=r"v9\.9\.9 is not in the revision history of us") as unknown:
        await without_record(both, to="v9.9.9")
    assert unknown.value.evidence[0] == "kubectl --context us rollout history deployment/backend -n omnicare-prod"
    with pytest.raises(PermanentError, match="eu has the record, so it can only be rolled back with it"):
        await without_record(both, "eu")


async def test_what_a_run_went_back_from_is_chosen_only_by_its_name(both: TwoRegions):
    await both.do(await both.deploy("v2.0.0"), "production.deploy.1111")
    await both.do(await both.rollback(), "production.rollback.2222")
    await both.servers["eu"].go_down()
    left = {"v2.0.0": "left by run 2222"}
    further = await without_record(both, left=left)
    assert {change.after.tag for change in images_of(further)} == {"v1.1.0"}
    assert "Skipped: v2.0.0 (left by run 2222). `--to VERSION` goes there all the same." in further.warnings
    named = await without_record(both, to="v2.0.0", left=left)
    assert {change.after.tag for change in images_of(named)} == {"v2.0.0"}
    with pytest.raises(PermanentError, match="has no earlier revision to go back to") as none:
        await without_record(both, left={**left, "v1.1.0": "left by run 1111"})
    assert none.value.advice[0].startswith("Skipped: v2.0.0 (left by run 2222) and v1.1.0 (left by run 1111).")


async def test_a_region_that_does_not_answer_either_leaves_nothing_to_go_back(both: TwoRegions):
    for server in both.servers.values():
        await server.go_down()
    with pytest.raises(RunbookError) as away:
        await without_record(both)
    assert away.value.code is ReasonCode.CLUSTER_UNREACHABLE
    assert away.value.message.startswith("us: ")


async def test_an_absent_record_is_never_written(both: TwoRegions):
    absent = AbsentRecord(both.clusters["eu"], "production.rollback.1111")
    await both.do(await both.deploy(), "production.deploy.1111")
    with pytest.raises(PermanentError, match="was not changed"):
        await absent.mark_bad(both.environment, "v2.0.0", "seen")
    assert (await absent.known_releases(both.environment)).releases == ()
    assert [each.verdict for each in await both.fleet.releases(both.environment)] == ["good"]


@pytest.mark.parametrize(
    ("service", "at"), [("frontend", "9000-01-01T00:00:00Z"), ("backend", "2020-01-01T00:00:00+00:00")]
)
async def test_no_date_that_somebody_annotated_chooses_what_goes_back(both: TwoRegions, service: str, at: str):
    alone = await plan_deploy(
        both.clusters["eu"], both.registry, both.fleet, both.environment, "v2.0.0", only="backend", places=both.places
    )
    await both.do(alone, "production.deploy.1111")
    await both.servers["eu"].go_down()
    us = both.clusters["us"]
    image = (await us.deployment(NAMESPACE, service)).images[service]
    marks = {DEPLOYED_IMAGE: image, DEPLOYED_AT: at}
    forged = [{"op": "add", "path": annotation_path(key), "value": value} for key, value in marks.items()]
    if not (await us.deployment(NAMESPACE, service)).has_annotations:
        forged = [{"op": "add", "path": "/metadata/annotations", "value": marks}]
    await us.patch_deployment(NAMESPACE, service, forged, manager="kubectl-annotate")
    plan = await without_record(both)
    assert [(change.named, change.after.tag) for change in images_of(plan)] == [("backend in us", "v1.2.0")]
