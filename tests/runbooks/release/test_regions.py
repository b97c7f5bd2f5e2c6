"""An environment in two clusters: what is planned for each region, in which order it is done, and what is left where one is away."""

from datetime import UTC, datetime

import pytest

from runbooks.clients.github.access import GithubSettings, GithubToken
from runbooks.clients.github.client import GithubClient
from runbooks.fleet.fleet import Lease, Undecided, utc_now
from runbooks.kit.errors import PermanentError, RunbookError
from runbooks.kit.reasons import ReasonCode
from runbooks.kit.steps import PlainPulse, StepContext, Stop, Stopped, applied, done
from runbooks.kit.targets import Region
from runbooks.manifests.planning import plan_part as plan_configuration
from runbooks.manifests.settings import ManifestSettings
from runbooks.manifests.steps import ApplyConfigMap
from runbooks.redaction.redactor import default_redactor
from runbooks.release.recording import Recorded
from runbooks.release.region_by_region import Bake
from runbooks.release.restarting import plan_restart
from runbooks.release.rollouts import CheckResult
from runbooks.release.steps import CheckRollout, Record, images_of, left_regions
from runbooks.release.train import with_parts
from sandbox.cluster.resources import DEPLOYMENT
from sandbox.outside.github import CONFIG, NAME, OWNER, Github
from sandbox.outside.registry import digest_of
from tests.support.two_regions import NAMESPACE, TwoRegions, with_regions

IN_TURN = [
    *("take@eu", "rollout:backend@eu", "rollout:frontend@eu", "check@eu", "bake@eu", "check:baked@eu"),
    *("take@us", "rollout:backend@us", "rollout:frontend@us", "check@us", "record"),
]


async def test_a_deploy_goes_region_by_region_and_a_rollback_through_all_at_once(both: TwoRegions):
    plan = await both.deploy()
    assert [step.key for step in plan.steps] == IN_TURN
    assert not any(step.beside for step in plan.steps)
    assert plan.steps[1].by_hand()[0].startswith("kubectl --context eu set image deployment/backend")
    assert plan.steps[7].by_hand()[0].count("kubectl --context us ") == 2
    await both.do(plan, "production.deploy.1111")
    assert both.tags("eu") == both.tags("us") == ["v2.0.0"] * 2
    back = await both.rollback()
    assert [(step.key, step.beside) for step in back.steps] == [
        ("rollback@eu", False),
        ("rollback@us", True),
        ("check@eu", False),
        ("check@us", True),
        ("record", False),
    ]
    await both.do(back, "production.rollback.2222")
    assert both.tags("eu") == both.tags("us") == ["v1.2.0"] * 2
    assert [(each.version, each.regions) for each in await both.fleet.releases(both.environment)] == [
        ("v1.2.0", ()),
        ("v2.0.0", ()),
    ]


async def test_a_limited_deploy_is_recorded_so_and_going_back_leaves_the_other_region_alone(both: TwoRegions):
    plan = await both.deploy("v2.0.0", "eu")
    assert plan.title == "Deploy v2.0.0 to production (eu only)"
    assert plan.warnings == (
        "Region us is not named by `--regions` and stays on v1.2.0. `deploy v2.0.0 --regions us` lets it catch up.",
    )
    assert [step.key for step in plan.steps] == [*IN_TURN[:4], "record"]
    await both.do(plan, "production.deploy.1111")
    assert [each.regions for each in await both.fleet.releases(both.environment)] == [("eu",)]
    back = await both.rollback()
    assert [step.key for step in back.steps] == ["rollback@eu", "check@eu", "record"]
    assert back.unchanged == ("backend in us", "frontend in us")
    catching_up = await both.deploy("v2.0.0", "us")
    assert [step.region for step in catching_up.changing[:-1]] == ["us", "us"]


async def hangs(both: TwoRegions, region: str, version: str = "v2.1.0-bad") -> None:
    """Somebody asked for a version in that region, and it does not get ready."""
    server, cluster = both.servers[region], both.clusters[region]
    for name in ("backend", "frontend"):
        found = server.cluster.store.get(DEPLOYMENT, NAMESPACE, name)
        assert found is not None
        image = f"ghcr.io/omnicare/{name}:{version}@{digest_of(name, version)}"
        path = "/spec/template/spec/containers/0/image"
        await cluster.patch_deployment(NAMESPACE, name, [{"op": "replace", "path": path, "value": image}])


async def test_success_in_one_region_does_not_decide_what_hangs_in_another(both: TwoRegions):
    await both.do(await both.deploy(), "production.deploy.0000")
    await hangs(both, "us")
    run = "production.deploy.0000"
    assert await both.fleet.end(both.environment, run, undecided=Undecided(run=run, title="stopped", since=utc_now()))
    checks = await both.deploy("v2.0.0", "eu")
    assert checks.title == "Check v2.0.0 in production (eu only), and record it"
    results = await both.do(checks, "production.deploy.2222")
    ((_, written),) = results.each(Record, Recorded)
    assert (written.hanging, written.elsewhere) == ((), ("backend in us", "frontend in us"))
    assert (await both.fleet.releases(both.environment))[0].regions == ("eu",)


async def test_a_region_goes_back_to_what_was_released_there_and_another_one_is_not_moved(both: TwoRegions):
    await both.do(await both.deploy("v1.1.0"), "production.deploy.0000")
    await both.do(await both.deploy("v1.2.0"), "production.deploy.1111")
    await both.do(await both.deploy("v2.0.0", "eu"), "production.deploy.2222")
    await hangs(both, "eu")
    for back in (await both.rollback(), await both.rollback("eu")):
        assert [step.key for step in back.steps][-3:] == ["rollback@eu", "check@eu", "record"]
        assert {change.after.tag for change in images_of(back)} == {"v2.0.0"}
    back = await both.rollback()
    assert back.unchanged == ("backend in us", "frontend in us")
    await both.do(back, "production.rollback.3333")
    assert (both.tags("eu"), both.tags("us")) == (["v2.0.0"] * 2, ["v1.2.0"] * 2)
    known = [(each.version, each.regions, each.verdict) for each in await both.fleet.releases(both.environment)]
    assert known[:2] == [("v2.0.0", ("eu",), "good"), ("v2.1.0-bad", (), "bad")]
    # the second one goes further back from the newest release alone
    further = await both.rollback()
    assert {(change.region, change.after.tag) for change in images_of(further)} == {("eu", "v1.2.0")}


async def test_regions_that_hang_go_back_each_to_its_own_release(both: TwoRegions):
    await both.do(await both.deploy("v1.2.0"), "production.deploy.1111")
    await both.do(await both.deploy("v2.0.0", "eu"), "production.deploy.2222")
    for region in ("eu", "us"):
        await hangs(both, region)
    back = await both.rollback()
    moved = {(change.region, change.after.tag) for change in images_of(back)}
    assert moved == {("eu", "v2.0.0"), ("us", "v1.2.0")}
    await both.do(back, "production.rollback.3333")
    assert (both.tags("eu"), both.tags("us")) == (["v2.0.0"] * 2, ["v1.2.0"] * 2)
    assert [(each.version, each.regions) for each in await both.fleet.releases(both.environment)][:1] == [
        ("v2.0.0", ("eu",))
    ]


async def test_a_release_that_is_named_does_not_reach_a_region_where_it_never_was(both: TwoRegions):
    await both.do(await both.deploy("v2.0.0", "eu"), "production.deploy.1111")
    await both.do(await both.deploy("v1.2.0", "eu"), "production.deploy.2222")
    back = await both.rollback(to="v2.0.0")
    assert {(change.region, change.after.tag) for change in images_of(back)} == {("eu", "v2.0.0")}
    assert "v2.0.0 was never released in us, which stays on v1.2.0." in back.warnings


async def test_a_region_in_maintenance_is_left_out_by_name_and_by_a_refusal_where_it_is_named(both: TwoRegions):
    closed = Region(name="us", kubectl="kubectl --context us", maintenance="new nodes")
    both.environment = with_regions(us=closed)
    plan = await both.deploy()
    assert {step.region for step in plan.steps} == {"eu", ""}
    assert plan.warnings[0] == (
        "Region us is in maintenance (new nodes) and stays on v1.2.0. Afterwards, `deploy v2.0.0 --regions us` lets it catch up."
    )
    with pytest.raises(PermanentError, match="us is in maintenance") as refused:
        await both.deploy("v2.0.0", "us")
    assert refused.value.code is ReasonCode.IN_MAINTENANCE
    with pytest.raises(PermanentError, match=r"has no region `asia`\. Its regions: eu and us\."):
        await both.deploy("v2.0.0", "asia")


async def test_a_retry_bakes_anew_and_goes_on_in_the_second_region(both: TwoRegions):
    both.environment = with_regions(eu=Region(name="eu", kubectl="kubectl --context eu", bake_seconds=300))
    plan = await both.deploy()
    lease = Lease(run="production.deploy.1111", title="x", by="requester", since=utc_now())
    await both.fleet.take(both.environment, lease)
    await done(plan.steps[:4], both.context("production.deploy.1111"))
    again = await both.deploy()
    assert [step.key for step in again.steps] == [*IN_TURN[4:]]
    (bake,) = [step for step in again.steps if isinstance(step, Bake)]
    assert bake.since == "", "anybody may edit the annotation, and no record says when the region got it"
    assert again.completes(plan)


async def test_the_bake_time_of_a_region_that_runs_it_counts_from_the_record(both: TwoRegions):
    await both.do(await both.deploy("v2.0.0", "eu"), "production.deploy.1111")
    (release,) = await both.fleet.releases(both.environment)
    path = "/metadata/annotations/omnicare.dev~1deployed-at"
    for stamp in ("2020-01-01T00:00:00+00:00", "2099-01-01T00:00:00+00:00"):
        for name in ("backend", "frontend"):
            await both.clusters["eu"].patch_deployment(
                NAMESPACE, name, [{"op": "replace", "path": path, "value": stamp}]
            )
        (bake,) = [step for step in (await both.deploy()).steps if isinstance(step, Bake)]
        assert release.at <= bake.since <= utc_now(), "what can't be true is no time"
    assert await applied(bake, both.context("production.deploy.2222")) == bake.seconds


async def test_a_deploy_names_the_region_that_does_not_answer(both: TwoRegions):
    await both.servers["us"].go_down()
    with pytest.raises(RunbookError) as failed:
        await both.deploy()
    assert failed.value.code is ReasonCode.CLUSTER_UNREACHABLE
    assert failed.value.message.startswith("us: ")
    assert failed.value.advice[-1] == "Name the other regions to leave the region us out."


async def test_a_region_that_is_away_when_a_rollback_is_planned_is_left_with_the_line_for_later(both: TwoRegions):
    await both.do(await both.deploy(), "production.deploy.1111")
    await both.servers["us"].go_down()
    plan = await both.rollback()
    assert plan.warnings[0].startswith("us: ")
    assert plan.warnings[0].endswith("It is left as it is. When it answers again: `rollback --regions us`.")
    assert [step.key for step in plan.steps] == ["rollback@eu", "check@eu", "record"]
    await both.do(plan, "production.rollback.2222")
    assert both.tags("eu") == ["v1.2.0"] * 2
    await both.servers["us"].come_back()
    later = await both.rollback("us")
    assert "eu is not named by `--regions`, so nothing changes there." in later.warnings
    assert [step.key for step in later.steps] == ["rollback@us", "check@us", "record"]
    await both.do(later, "production.rollback.3333")
    assert both.tags("us") == ["v1.2.0"] * 2


async def test_a_region_that_is_lost_during_a_rollback_holds_up_no_other_one(both: TwoRegions):
    await both.do(await both.deploy(), "production.deploy.1111")
    plan = await both.rollback()
    await both.servers["us"].go_down()
    results = await both.do(plan, "production.rollback.2222")
    assert both.tags("eu") == ["v1.2.0"] * 2
    assert list(left_regions(results)) == ["us"]
    (newest, *_) = await both.fleet.releases(both.environment)
    assert (newest.version, newest.regions) == ("v1.2.0", ("eu",))
    await both.servers["us"].come_back()
    assert both.tags("us") == ["v2.0.0"] * 2
    assert [step.key for step in (await both.rollback()).steps] == ["rollback@us", "check@us", "record"]


async def test_a_plan_without_a_region_that_was_lost_since_is_still_the_confirmed_one(both: TwoRegions):
    await both.do(await both.deploy(), "production.deploy.1111")
    confirmed = await both.rollback()
    await both.servers["us"].go_down()
    assert (await both.rollback()).ends_as(confirmed)


async def test_a_rollback_to_another_release_is_not_the_confirmed_one(both: TwoRegions):
    for at, version in enumerate(("v1.1.0", "v1.2.0", "v2.0.0")):
        await both.do(await both.deploy(version), f"production.deploy.{at}")
    confirmed = await both.rollback()
    assert {change.after.tag for change in images_of(confirmed)} == {"v1.2.0"}
    assert (await both.rollback()).ends_as(confirmed)
    await both.fleet.mark_bad(both.environment, "v1.2.0", "seen later")
    now = await both.rollback()
    assert {change.after.tag for change in images_of(now)} == {"v1.1.0"}
    assert not now.ends_as(confirmed)


async def test_a_restart_goes_through_all_regions_or_the_named_one(both: TwoRegions):
    for regions, wanted in (((), ["eu", "us"]), (("us",), ["us"])):
        plan = await plan_restart(
            both.clusters["eu"], both.fleet, both.environment, "backend", places=both.places, regions=regions
        )
        assert [step.region for step in plan.changing] == wanted


async def test_the_bake_time_counts_from_the_check_and_ends_by_a_stop(both: TwoRegions):
    check = CheckRollout(images=(), region="eu")
    context = both.context("production.deploy.1111")
    context.results.keep(
        check, CheckResult(services=(), seconds=0, at="2026-01-01T00:00:00+00:00").model_dump(mode="json")
    )
    assert await applied(Bake(seconds=3600, region="eu"), context) == 3600
    pulse = PlainPulse("production.deploy.1111")
    pulse.ask_to_stop(Stop(kind="cancelled", by="Tomas"))
    with pytest.raises(Stopped):
        await Bake(seconds=3600).apply(StepContext(pulse=pulse, environment=both.environment))


def test_a_step_of_a_region_that_is_not_configured_any_more_is_refused():
    context = StepContext(pulse=PlainPulse("x"), environment=with_regions())
    with pytest.raises(PermanentError, match="has no region asia"):
        context.within("asia")
    assert context.within("") is context


def test_a_record_without_regions_is_approved_as_before():
    assert "regions" not in Record().changes()
    assert Record(regions=("eu",)).changes()["regions"] == ["eu"]


async def test_each_region_gets_the_configuration_of_the_release(both: TwoRegions):
    github = Github()
    async with github.serve():
        text = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: flags}\ndata:\n  LOG_LEVEL: warn\n"
        github.versions["v2.0.0"].files[CONFIG] = text
        settings = GithubSettings(repository=f"{OWNER}/{NAME}", api_url=github.url)
        client = GithubClient(settings, GithubToken(default_redactor()), default_redactor())
        context = both.context("production.deploy.1111")
        clients = {**context.services, ManifestSettings: ManifestSettings(paths=(CONFIG,)), GithubClient: client}
        for regions in (("eu",), ()):
            plan = await with_parts(
                await both.deploy("v2.0.0", *regions),
                both.environment,
                clients,
                now=datetime.now(UTC),
                regions=context.regions,
                parts=(("configuration", plan_configuration),),
            )
            applying = [step for step in plan.steps if isinstance(step, ApplyConfigMap)]
            assert [step.region for step in applying] == list(regions or both.clusters)
    assert applying[1].title == "ConfigMap flags in us"
    assert "| kubectl --context us apply --server-side" in applying[1].by_hand()[0]
    lease = Lease(run=context.run, title=plan.title, by="requester", since=utc_now())
    assert (await both.fleet.take(both.environment, lease)).taken
    await done(applying, context)
    for cluster in both.clusters.values():
        assert (await cluster.config_map(NAMESPACE, "flags")).data["LOG_LEVEL"] == "warn"
