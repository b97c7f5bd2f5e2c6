"""What anybody may edit in the cluster ends no plan, no status, and no way back; what is not ours is named and refused."""

import asyncio
from collections.abc import AsyncIterator, Callable
from functools import partial
from typing import Any

import pytest

from runbooks.clients.image_registry.registry import RegistryClient
from runbooks.deployments import service_state
from runbooks.fleet.fleet import Release, ReleasedService, utc_now
from runbooks.kit.answers import read_stamp
from runbooks.kit.errors import PermanentError
from runbooks.kit.plan import Image, Plan
from runbooks.kit.reasons import ReasonCode
from runbooks.kit.steps import PlainPulse
from runbooks.observe import service_health
from runbooks.release import max_surge, plans, rollouts
from runbooks.release.steps import Record, images_of
from sandbox.outside.registry import Registry, digest_of
from tests.support.real import Place

FOREIGN = f"ghcr.evil.example/omnicare/backend:v1.1.0@sha256:{'a' * 64}"


@pytest.fixture
async def registry() -> AsyncIterator[RegistryClient]:
    async with Registry().serve() as url, RegistryClient({"ghcr.io": url}, plain_http=True) as client:
        yield client


async def _both(here: Place) -> None:
    await asyncio.gather(*(here.deploy(name, "v1.1.0", replicas=1, pinned=False) for name in ("backend", "frontend")))
    for name in ("backend", "frontend"):
        await here.set_image(name, f"ghcr.io/omnicare/{name}:v1.2.0@{digest_of(name, 'v1.2.0')}")
    for name in ("backend", "frontend"):
        await here.until(name, lambda d: d.rolled_out and ":v1.2.0@" in d.containers[0].image)


async def _annotate(here: Place, **annotations: str) -> None:
    await here.cluster.patch_deployment(
        here.namespace,
        "backend",
        [
            {"op": "test", "path": "/metadata/name", "value": "backend"},
            *(
                {"op": "add", "path": service_state.annotation_path(getattr(service_state, key)), "value": value}
                for key, value in annotations.items()
            ),
        ],
        manager="kubectl-annotate",
    )


async def _edit_old_set(here: Place, reference: str) -> None:
    sets = await here.cluster.replica_sets(here.namespace)
    (old,) = [each for each in sets if ":v1.1.0" in (each.image("backend") or "")]
    await here.connection.call(
        "PATCH",
        f"/apis/apps/v1/namespaces/{here.namespace}/replicasets/{old.name}",
        doing="edit it",
        body=[{"op": "replace", "path": "/spec/template/spec/containers/0/image", "value": reference}],
        content_type="application/json-patch+json",
    )


def _release_of(version: str, backend: Image | None = None) -> Release:
    own = {
        name: Image(repository=f"ghcr.io/omnicare/{name}", tag=version, digest=digest_of(name, version))
        for name in ("backend", "frontend")
    }
    if backend is not None:
        own["backend"] = backend
    services = tuple(ReleasedService(service=name, image=each) for name, each in own.items())
    return Release(version=version, services=services, run=f"run {version}", by="Maya", at=utc_now())


def unproven(plan: Plan) -> bool:
    return any(step.unproven for step in plan.steps if isinstance(step, Record))


async def _plan_back(here: Place, registry: RegistryClient, to: str | None = None) -> Any:
    return await plans.plan_rollback(here.cluster, registry, here.fleet, here.environment, to=to)


@pytest.mark.parametrize("at", ["yesterday", "", "2026-05-04", "9" * 500, "٣"])
async def test_a_time_that_somebody_annotated_is_unknown_and_going_back_goes_on(
    here: Place, registry: RegistryClient, at: str
):
    await _both(here)
    current = (await here.cluster.deployment(here.namespace, "backend")).containers[0].image
    await _annotate(here, DEPLOYED_IMAGE=current, DEPLOYED_AT=at)
    (backend, _) = await service_health.look(here.cluster, here.environment)
    if not read_stamp(at):
        assert backend.state.unknown == ("Annotation omnicare.dev/deployed-at is not a valid time and is ignored.",)
    assert (await plans.plan_deploy(here.cluster, registry, here.fleet, here.environment, "v2.0.0")).changing
    plan = await _plan_back(here, registry)
    assert {change.after.tag for change in images_of(plan)} == {"v1.1.0"}
    await here.take("run-1", over=True)
    pulse = PlainPulse("run-1")
    await rollouts.stamp(pulse, here.cluster, here.fleet, here.environment)
    images = images_of(plan)
    waves = await rollouts.waves_of(here.cluster, here.environment, images, ())
    await rollouts.roll_out_together(pulse, here.cluster, images, waves, cause="back", by="Maya")
    assert ":v1.1.0" in (await here.cluster.deployment(here.namespace, "backend")).containers[0].image


async def test_a_replica_set_that_was_edited_to_another_registry_is_not_gone_back_to(
    here: Place, registry: RegistryClient
):
    await _both(here)
    await _edit_old_set(here, FOREIGN)
    with pytest.raises(PermanentError) as raised:
        await plans.plan_rollback(here.cluster, registry, here.fleet, here.environment, services=("backend",))
    assert raised.value.code is ReasonCode.FOREIGN_IMAGE
    assert "ghcr.evil.example/omnicare/backend:v1.1.0" in raised.value.evidence[0]
    assert any(
        f"ghcr.io/omnicare/backend:v1.1.0@{digest_of('backend', 'v1.1.0')}" in each for each in raised.value.advice
    )


async def test_what_no_record_knows_is_said_to_be_unproven(here: Place, registry: RegistryClient):
    await _both(here)
    plan = await _plan_back(here, registry)
    assert unproven(plan)
    assert any("No record lists this image as good" in each for each in plan.warnings)


async def test_a_record_of_another_registry_is_no_release(here: Place, registry: RegistryClient):
    await _both(here)
    await here.fleet.record_release(here.environment, _release_of("v1.1.0"))
    await here.fleet.record_release(here.environment, _release_of("v1.1.5", Image.parse(FOREIGN)))
    plan = await _plan_back(here, registry)
    assert {change.after.repository for change in images_of(plan)} == {
        "ghcr.io/omnicare/backend",
        "ghcr.io/omnicare/frontend",
    }
    assert {change.after.tag for change in images_of(plan)} == {"v1.1.0"}
    assert not unproven(plan)
    assert any("ghcr.evil.example/omnicare/backend" in each for each in plan.warnings)
    with pytest.raises(PermanentError) as raised:
        await _plan_back(here, registry, to="v1.1.5")
    assert raised.value.code is ReasonCode.FOREIGN_IMAGE


@pytest.mark.parametrize("registry_of", ["ghcr.evil.example", "ghcr.io"])
@pytest.mark.parametrize("tag", ["v1.1.0", "v1.2.0", "v1.1.0 (good, by Tomas)"])
async def test_a_tag_beside_another_image_makes_no_good_release_bad(
    here: Place, registry: RegistryClient, registry_of: str, tag: str
):
    """Else whoever sets an image takes a good release away, by the hand of the person who goes back from it."""
    await _both(here)
    for version in ("v1.1.0", "v1.2.0"):
        await here.fleet.record_release(here.environment, _release_of(version))
    for name in ("backend", "frontend"):
        await here.set_image(name, f"{registry_of}/omnicare/{name}:{tag}@sha256:{'a' * 64}")
    plan = await _plan_back(here, registry)
    assert {change.after.tag for change in images_of(plan)} == {"v1.2.0"}
    assert [step.left for step in plan.steps if isinstance(step, Record)] == [None]
    assert not [note for note in plan.notes if "is marked bad" in note]
    assert "Tomas" not in f"{plan.title} {plan.in_short} {plan.links}"


async def test_a_forged_annotation_puts_nobodys_name_on_a_foreign_image(here: Place, registry: RegistryClient):
    await _both(here)
    await here.fleet.record_release(here.environment, _release_of("v1.2.0"))
    await here.set_image("backend", FOREIGN)
    await _annotate(here, DEPLOYED_IMAGE=FOREIGN, DEPLOYED_BY="Maya", DEPLOYED_RUN="run-1")
    known = partial(here.fleet.known_releases, here.environment)
    (backend, _) = await service_health.look(here.cluster, here.environment, known)
    assert (backend.state.by, backend.state.run) == ("kubectl-set", None)
    assert backend.broken
    assert "ghcr.evil.example/omnicare/backend:v1.1.0" in backend.trouble
    plan = await plans.plan_deploy(here.cluster, registry, here.fleet, here.environment, "v2.0.0")
    assert any("ghcr.evil.example/omnicare/backend" in each for each in plan.warnings)
    assert "ghcr.evil.example/" in images_of(plan)[0].before.shown(images_of(plan)[0].repository)


@pytest.mark.parametrize("kept", ["banana", "5000", "٣", "<b>&", "", "101%", "-1"])
async def test_a_max_surge_that_is_none_falls_back_to_the_default(here: Place, kept: str):
    await here.deploy(strategy={"rollingUpdate": {"maxSurge": "100%", "maxUnavailable": 0}})
    await _annotate(here, SURGE=kept)
    (state, *_) = await service_state.current(here.cluster, here.environment)
    assert state.unknown == ("Annotation omnicare.dev/max-surge is not a valid value, so 25% is used.",)
    await max_surge.put_back(here.cluster, here.namespace, "backend", run=None)
    after = await here.cluster.deployment(here.namespace, "backend")
    assert (after.max_surge, service_state.SURGE in after.annotations) == ("25%", False)


@pytest.mark.parametrize(
    "spoil",
    [
        lambda _: "not JSON",
        lambda _: "{}",
        lambda text: text.replace('"at": "', '"at": "never '),
        lambda text: "[" * 100_000 + text,
        lambda text: text.replace("v1.1.0", "v1.1.0`reboot`"),
    ],
)
async def test_a_record_that_can_t_be_read_is_said_and_stops_nobody_from_going_back(
    here: Place, registry: RegistryClient, spoil: Callable[[str], str]
):
    await _both(here)
    await here.fleet.record_release(here.environment, _release_of("v1.1.0"))
    space = here.environment.record_namespace
    found = await here.cluster.config_map(space, "releases-production")
    await here.cluster.replace_config_map(found, {"releases": spoil(found.data["releases"])})
    plan = await _plan_back(here, registry)
    assert {change.after.tag for change in images_of(plan)} == {"v1.1.0"}
    assert plan.warnings
    await here.fleet.mark_bad(here.environment, "v1.2.0", "left")
    assert (await here.fleet.releases(here.environment))[0].version == "v1.2.0"


async def test_an_environment_that_can_t_be_read_is_taken_by_a_rollback_alone(here: Place, registry: RegistryClient):
    await _both(here)
    nonsense = {"freeze": "{oops", "undecided": '{"run": "r", "title": "stopped", "since": "never"}'}
    await here.cluster.create_config_map(here.environment.record_namespace, "environment-production", nonsense, {})
    record = await here.fleet.read(here.environment)
    assert record.undecided is not None
    assert record.undecided.since == ""
    assert len(record.warnings) == 2
    with pytest.raises(PermanentError) as raised:
        await plans.plan_deploy(here.cluster, registry, here.fleet, here.environment, "v2.0.0")
    assert raised.value.code is ReasonCode.RECORD_UNREADABLE
    assert (await _plan_back(here, registry)).changing
    await here.take("run-1", over=True)
    kept = await here.cluster.config_map(here.environment.record_namespace, "environment-production")
    assert kept.data["freeze"] == "{oops", "nobody's text is thrown away unread"
    await here.fleet.unfreeze(here.environment)
    assert (await here.fleet.read(here.environment)).unreadable == ()


@pytest.mark.parametrize("text", ["é", "<b>&", "'\"\\", "line\nbreak"])
async def test_no_text_in_the_stamp_keeps_a_run_from_beginning(here: Place, text: str):
    """API servers compare the bytes of a JSON Patch's condition: a text that can be written in two ways may never be found equal."""
    here.environment = here.environment.model_copy(update={"services": here.environment.services[:1]})
    await here.deploy()
    await _annotate(here, RUN=text)
    await here.take("run-1")
    await rollouts.stamp(PlainPulse("run-1"), here.cluster, here.fleet, here.environment)
    assert (await here.cluster.deployment(here.namespace, "backend")).annotations[service_state.RUN] == "run-1"
